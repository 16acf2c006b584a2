//! Stories of subscriptions that ran elsewhere and go on here: nothing is charged by that, and everything in its time.

use crate::changes::upgrade;
use crate::living::{ends, with_card};
use crate::stage::{
    DAY, HOUR, Is, attempt, command, index, is, live, methods, money, opened, pass, subscribed, tokens,
};
use billing::calendar::{Interval, Period};
use billing::id::PlanId;
use billing::mail::Contact;
use billing::money::Currency;
use billing::payment::Gateway;
use billing::ports::{GatewayError, Key, Record};
use billing::subscription::{Command, Refusal, Subscription, Unfit};
use billing::testing::{World, customer, instant, method, world};
use billing::workflow::{NotForSale, TakeOver, TakeOverError, TakenOver};
use futures::executor::block_on;

/// As it ran elsewhere at noon of the sample day, the 31st of January.
pub(crate) fn row() -> TakeOver {
    TakeOver {
        customer: customer(),
        contact: None,
        plan: PlanId::try_from("estates-professional".to_owned()).unwrap_or_else(|error| panic!("{error}")),
        interval: Interval::Month,
        currency: Currency::from_code("NGN").unwrap_or_else(|| panic!("NGN")),
        quantity: None,
        period: Period { start: instant("2025-01-15T00:00:00Z"), end: instant("2025-02-15T00:00:00Z") },
        anchor: None,
        paid: 0,
        tokens: None,
        method: Some(method("AUTH_elsewhere")),
        fingerprint: "row 1".to_owned(),
        time_zone: None,
    }
}

fn try_taking(world: &World, row: &TakeOver) -> Result<TakenOver, TakeOverError> {
    block_on(world.take_over(row, false))
}

fn taken(world: &World, row: &TakeOver) -> Subscription {
    match try_taking(world, row) {
        Ok(TakenOver::Now(subscription)) => subscription,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_ran_elsewhere_is_not_charged_again_before_its_period_is_over() {
    let world = world();
    taken(&world, &row());
    assert_eq!((is(&world.subscription()), methods(&world), money(&world)), (Is::Active, 1, (0, 0)));
    live(&world, DAY * 14);
    assert_eq!((index(&world), money(&world)), (Some(0), (0, 0)));
    live(&world, DAY);
    assert_eq!((index(&world), ends(&world), money(&world)), (Some(1), instant("2025-03-15T00:00:00Z"), (1, 0)));
    let paid = attempt(&world, 1, 1);
    assert_eq!(
        (paid.amount.minor, paid.charged_method().map(|it| it.token.as_str())),
        (700_000, Some("AUTH_elsewhere"))
    );
}

#[test]
fn who_has_no_method_here_is_asked_for_one_when_the_period_is_over() {
    let world = world();
    taken(&world, &TakeOver { method: None, ..row() });
    live(&world, DAY * 15);
    assert_eq!((is(&world.subscription()), money(&world)), (Is::InGrace, (0, 0)));
}

#[test]
fn the_same_row_again_changes_nothing_however_much_later() {
    let world = world();
    taken(&world, &row());
    for days in [0, 30, 400] {
        live(&world, DAY * days);
        let before = world.subscription();
        let again = try_taking(&world, &row());
        assert!(matches!(again, Ok(TakenOver::Before(_))), "{again:?}");
        assert_eq!((world.subscription(), methods(&world)), (before, 1));
    }
    command(&world, Command::CancelNow);
    assert!(matches!(try_taking(&world, &row()), Ok(TakenOver::Before(_))));
    assert_eq!(is(&world.subscription()), Is::Canceled, "nobody is made a customer again by that");
    opened(&world, "estates-starter", "page");
    live(&world, DAY * 2);
    assert!(matches!(try_taking(&world, &row()), Ok(TakenOver::Before(_))));
    assert_eq!(is(&world.subscription()), Is::Expired, "nor by having looked at a page since");
}

#[test]
fn another_row_of_who_has_a_subscription_is_refused() {
    for world in [subscribed(), world()] {
        if world.gateways.taken() == 0 {
            taken(&world, &row());
        }
        let before = world.subscription();
        let other = try_taking(&world, &TakeOver { fingerprint: "row 2".to_owned(), ..row() });
        let refused = matches!(other, Err(TakeOverError::Unfit(Unfit::Refused(Refusal::AlreadySubscribed))));
        assert!(refused, "{other:?}");
        assert_eq!(world.subscription(), before);
    }
}

#[test]
fn how_the_customer_is_told_comes_along_and_stays_where_nothing_is_said_of_it() {
    let contact = |email: &str| Contact { email: email.to_owned(), gateway: Gateway::Paystack, return_url: None };
    let world = world();
    taken(&world, &TakeOver { contact: Some(contact("billing@acme.example")), method: None, ..row() });
    assert_eq!(world.subscription().contact, Some(contact("billing@acme.example")));
    live(&world, DAY * 15);
    assert!(world.store.mails().iter().any(|mail| mail.to.email == "billing@acme.example"));
}

#[test]
fn what_somebody_else_does_meanwhile_is_seen_and_decided_anew() {
    let customers = || {
        let before = world();
        let left = subscribed();
        command(&left, Command::CancelNow);
        [before, left]
    };
    for (mine, theirs) in customers().into_iter().zip(customers()) {
        let other = taken(&theirs, &TakeOver { fingerprint: "row 2".to_owned(), ..row() });
        mine.store.meanwhile(Record::Subscription(other.clone()));
        let refused = try_taking(&mine, &row());
        let known = matches!(refused, Err(TakeOverError::Unfit(Unfit::Refused(Refusal::AlreadySubscribed))));
        assert!(known, "{refused:?}");
        assert_eq!(mine.subscription(), other);
    }
    for (mine, theirs) in customers().into_iter().zip(customers()) {
        mine.store.meanwhile(Record::Subscription(taken(&theirs, &row())));
        let again = try_taking(&mine, &row());
        assert!(matches!(again, Ok(TakenOver::Before(_))), "{again:?}");
    }
}

#[test]
fn a_dry_run_says_what_would_be_and_writes_nothing() {
    let world = world();
    let would = block_on(world.take_over(&row(), true)).unwrap_or_else(|error| panic!("{error}"));
    assert!(matches!(would, TakenOver::Now(subscription) if is(&subscription) == Is::Active));
    assert!(world.key(Key::Subscription(customer())).subscription().is_none());
    assert_eq!(methods(&world), 0);
}

#[test]
fn nothing_is_credited_that_was_not_vouched_for() {
    let credit = |paid| {
        let world = world();
        taken(&world, &TakeOver { paid, ..row() });
        let shown = block_on(world.preview_change(&upgrade())).unwrap_or_else(|error| panic!("{error}"));
        let credits = shown.preview.lines.iter().filter(|line| line.is_credit).map(|line| -line.amount.minor);
        credits.sum::<i64>()
    };
    assert_eq!(credit(0), 0);
    // Of 31 days 14 and 14 hours are left.
    assert_eq!(credit(620_000), 620_000 * 14 / 31 + 620_000 * 14 / 31 / 24 + 1);
}

#[test]
fn who_has_a_page_open_here_is_not_taken_over_before_it_ends() {
    let world = world();
    opened(&world, "estates-starter", "page");
    let refused = try_taking(&world, &row());
    assert!(matches!(refused, Err(TakeOverError::Refused(Refusal::ChargeRunning))), "{refused:?}");
    live(&world, DAY * 2);
    taken(&world, &row());
    assert_eq!((is(&world.subscription()), money(&world)), (Is::Active, (0, 0)));
}

#[test]
fn who_was_a_customer_here_before_keeps_what_they_left() {
    let world = subscribed();
    command(&world, Command::CancelNow);
    pass(&world, HOUR);
    let next = taken(&world, &row());
    assert_eq!((next.id.number, is(&next), methods(&world)), (2, Is::Active, 2));
    let past = world.key(Key::PastSubscription(customer(), attempt_of_first(&world)));
    assert!(past.records().len() == 1);
}

fn attempt_of_first(world: &World) -> billing::id::SubscriptionId {
    billing::id::SubscriptionId::nth(&world.subscription().customer, 1)
}

#[test]
fn prepaid_tokens_come_along() {
    let world = world();
    let plan = PlanId::try_from("tokens-basic".to_owned()).unwrap_or_else(|error| panic!("{error}"));
    let usd = Currency::from_code("USD").unwrap_or_else(|| panic!("USD"));
    let prepaid = TakeOver { plan, currency: usd, interval: Interval::Days(30), method: None, ..row() };
    let without = try_taking(&world, &prepaid);
    assert!(matches!(without, Err(TakeOverError::Unfit(Unfit::TokensMissing))), "{without:?}");
    taken(&world, &TakeOver { tokens: Some(321), ..prepaid });
    assert_eq!(tokens(&world), 321);
}

#[test]
fn what_nobody_sells_or_no_gateway_takes_is_refused() {
    let world = world();
    with_card(&world);
    let often = try_taking(&world, &TakeOver { interval: Interval::Days(5), ..row() });
    assert!(matches!(often, Err(TakeOverError::NotForSale(NotForSale::Interval(_)))), "{often:?}");
    let yen = Currency::from_code("JPY").unwrap_or_else(|| panic!("JPY"));
    let abroad = try_taking(&world, &TakeOver { currency: yen, ..row() });
    assert!(matches!(abroad, Err(TakeOverError::NotForSale(NotForSale::Currency(_)))), "{abroad:?}");
    world.gateways.refuse(true);
    let refused = try_taking(&world, &row());
    assert!(matches!(refused, Err(TakeOverError::Gateway(GatewayError::Unacceptable { .. }))), "{refused:?}");
    let plan = PlanId::try_from("estates-gold".to_owned()).unwrap_or_else(|error| panic!("{error}"));
    let unknown = try_taking(&world, &TakeOver { plan, ..row() });
    assert!(matches!(unknown, Err(TakeOverError::NotForSale(NotForSale::Plan(_)))), "{unknown:?}");
    let plan = PlanId::try_from("crm-professional".to_owned()).unwrap_or_else(|error| panic!("{error}"));
    let gel = Currency::from_code("GEL").unwrap_or_else(|| panic!("GEL"));
    let seats = try_taking(&world, &TakeOver { plan, currency: gel, ..row() });
    assert!(matches!(seats, Err(TakeOverError::QuantityMissing)), "{seats:?}");
    assert!(world.key(Key::Subscription(customer())).subscription().is_none());
}
