//! Stories of a subscription's life besides its payments: how it begins
//! without a page, is tried out and is paused.

use crate::changes::try_change;
use crate::stage::{
    DAY, HOUR, Is, attempt, command, command_refused, declined_at_period_end, index, is, live, methods, money, pass,
    subscribed, to_period_end, told,
};
use billing::id::PlanId;
use billing::mail::{About, Contact, TrialEnding};
use billing::money::Currency;
use billing::order::Order;
use billing::outcome::{DisputeStanding, Remedy};
use billing::payment::Gateway;
use billing::ports::{Key, Record, Store, Write};
use billing::subscription::{Action, Command, Refusal, Status, Subscription};
use billing::testing::{MemoryMailer, Script, World, customer, idempotency_key, instant, method, plan, world};
use billing::trial::TrialOffer;
use billing::wallet::Wallet;
use billing::workflow::{ChangeError, Changed, NotForSale, Subscribe, Wish};
use futures::executor::block_on;
use jiff::Timestamp;

const PRO: &str = "estates-professional";

pub(crate) fn wanted(plan: &str) -> Subscribe {
    Subscribe {
        customer: customer(),
        contact: Some(Contact {
            email: "billing@acme.example".to_owned(),
            gateway: Gateway::Paystack,
            return_url: None,
        }),
        plan: PlanId::try_from(plan.to_owned()).unwrap_or_else(|error| panic!("{error}")),
        interval: Some(billing::calendar::Interval::Month),
        currency: None,
        quantity: None,
        coupon: None,
        comp: None,
        preview: None,
        time_zone: None,
    }
}

pub(crate) fn try_subscribing(world: &World, wanted: &Subscribe, key: &str) -> Result<Changed, ChangeError> {
    block_on(world.subscribe(wanted, &idempotency_key(key), &format!("{wanted:?}")))
}

pub(crate) fn put(world: &World, record: Record) {
    block_on(world.store.commit(vec![Write::next(record)])).unwrap_or_else(|error| panic!("{error}"));
}

/// Sold with a trial of two weeks.
pub(crate) fn on_trial_offer() -> World {
    offering(TrialOffer { days: 14, method_required: false })
}

fn offering(trial: TrialOffer) -> World {
    let world = world();
    let mut stored = world.key(Key::Plan(plan(PRO).id)).plan().unwrap_or_else(|| panic!("{PRO} is not stored"));
    stored.plan.trial = Some(trial);
    put(&world, Record::Plan(stored));
    world
}

pub(crate) fn with_card(world: &World) {
    let wallet = world.key(Key::Wallet(customer())).wallet().unwrap_or_else(|| Wallet::empty(customer()));
    let wallet = wallet.remembering(method("AUTH_1")).unwrap_or_else(|| panic!("the card is there"));
    put(world, Record::Wallet(wallet));
}

pub(crate) fn trialing() -> World {
    let world = on_trial_offer();
    try_subscribing(&world, &wanted(PRO), "k").unwrap_or_else(|error| panic!("{error}"));
    world
}

pub(crate) fn ends(world: &World) -> Timestamp {
    world.subscription().period().unwrap_or_else(|| panic!("a period")).end
}

// Trials.

#[test]
fn a_trial_costs_nothing_and_is_followed_by_periods_counted_from_its_end() {
    let world = trialing();
    with_card(&world);
    let began = world.clock.time();
    assert_eq!((is(&world.subscription()), money(&world), ends(&world)), (Is::Trialing, (0, 0), began + DAY * 14));
    to_period_end(&world);
    world.run();
    let subscription = world.subscription();
    let period = subscription.period().unwrap_or_else(|| panic!("a period"));
    assert_eq!((is(&subscription), index(&world), period.start), (Is::Active, Some(1), began + DAY * 14));
    assert_eq!((attempt(&world, 1, 1).amount.minor, money(&world)), (700_000, (1, 0)));
    to_period_end(&world);
    world.run();
    assert_eq!((index(&world), money(&world)), (Some(2), (2, 0)));
}

#[test]
fn who_leaves_no_method_is_told_before_the_trial_ends_and_asked_to_pay_afterwards() {
    let (world, inbox) = (trialing(), MemoryMailer::default());
    pass(&world, DAY * 11 - HOUR);
    world.run_mailing(&inbox);
    assert_eq!(inbox.take().len(), 0);
    pass(&world, HOUR);
    world.run_mailing(&inbox);
    world.run_mailing(&inbox);
    let [mail] = &inbox.take()[..] else { panic!("one mail") };
    let About::TrialEnding(TrialEnding { amount, trial_ends_at, has_method, .. }) = &mail.about else {
        panic!("{mail:?}")
    };
    assert_eq!((amount.minor, *trial_ends_at, *has_method), (700_000, ends(&world), false));
    // The link leads to where a method is left.
    let page =
        block_on(world.follow_mail(&mail.id, idempotency_key("follow"))).unwrap_or_else(|error| panic!("{error}"));
    assert!(page.is_setup());
    to_period_end(&world);
    world.run();
    assert_eq!(is(&world.subscription()), Is::InGrace);
    live(&world, DAY * 3);
    assert_eq!((is(&world.subscription()), money(&world)), (Is::Suspended, (0, 0)));
}

#[test]
fn a_trial_that_asks_for_a_method_begins_for_nobody_without_one() {
    let world = offering(TrialOffer { days: 14, method_required: true });
    let refused = try_subscribing(&world, &wanted(PRO), "k");
    assert!(matches!(refused, Err(ChangeError::Refused(Refusal::NoMethod))), "{refused:?}");
    assert!(world.key(Key::Subscription(customer())).subscription().is_none());
    // Nor is the key spent.
    with_card(&world);
    try_subscribing(&world, &wanted(PRO), "k").unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((is(&world.subscription()), money(&world)), (Is::Trialing, (0, 0)));
    to_period_end(&world);
    world.run();
    assert_eq!((is(&world.subscription()), money(&world)), (Is::Active, (1, 0)));
}

#[test]
fn what_is_given_for_nothing_is_tried_out_without_a_method() {
    let world = offering(TrialOffer { days: 14, method_required: true });
    let given = Subscribe { comp: Some(billing::discount::Discount::comp(100, None)), ..wanted(PRO) };
    try_subscribing(&world, &given, "k").unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((is(&world.subscription()), money(&world)), (Is::Trialing, (0, 0)));
}

#[test]
fn a_method_that_is_left_in_time_pays_for_the_first_period() {
    let world = trialing();
    pass(&world, DAY * 13);
    with_card(&world);
    to_period_end(&world);
    world.run();
    assert_eq!((is(&world.subscription()), money(&world)), (Is::Active, (1, 0)));
}

#[test]
fn there_is_one_trial_a_customer() {
    let world = trialing();
    assert_eq!(command(&world, Command::CancelNow), Is::Canceled);
    let again = try_subscribing(&world, &wanted(PRO), "again");
    assert!(matches!(again, Err(ChangeError::Refused(Refusal::NoMethod))), "{again:?}");
    with_card(&world);
    try_subscribing(&world, &wanted(PRO), "paid").unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((is(&world.subscription()), money(&world)), (Is::Active, (1, 0)));
}

#[test]
fn who_cancels_a_trial_is_served_to_its_end_and_charged_nothing() {
    let (world, inbox) = (trialing(), MemoryMailer::default());
    with_card(&world);
    assert_eq!(command(&world, Command::CancelAtPeriodEnd), Is::Leaving);
    live(&world, DAY * 13);
    world.run_mailing(&inbox);
    assert_eq!((is(&world.subscription()), inbox.take().len()), (Is::Leaving, 0), "and needs no reminder");
    live(&world, DAY * 2);
    assert_eq!((is(&world.subscription()), money(&world)), (Is::Canceled, (0, 0)));
}

#[test]
fn another_plan_is_tried_out_for_nothing() {
    let world = trialing();
    pass(&world, DAY);
    let shown = block_on(world.preview_change(&crate::changes::upgrade())).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((shown.preview.due_now.minor, shown.preview.next_amount.minor), (0, 1_500_000));
    try_change(&world, &crate::changes::upgrade(), "up").unwrap_or_else(|error| panic!("{error}"));
    with_card(&world);
    assert_eq!(is(&world.subscription()), Is::Trialing);
    to_period_end(&world);
    world.run();
    assert_eq!((attempt(&world, 1, 1).amount.minor, money(&world)), (1_500_000, (1, 0)));
}

// Without a page.

#[test]
fn who_has_left_a_method_subscribes_by_a_charge_once_for_each_key() {
    let world = world();
    let without = try_subscribing(&world, &wanted(PRO), "k");
    assert!(matches!(without, Err(ChangeError::Refused(Refusal::NoMethod))), "{without:?}");
    with_card(&world);
    for _ in 0..2 {
        let subscribed = try_subscribing(&world, &wanted(PRO), "k").unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(subscribed.payment.map(|it| it.amount.minor), Some(700_000));
    }
    assert_eq!((is(&world.subscription()), index(&world), money(&world)), (Is::Active, Some(0), (1, 0)));
    let twice = try_subscribing(&world, &wanted(PRO), "other");
    assert!(matches!(twice, Err(ChangeError::Refused(Refusal::AlreadySubscribed))), "{twice:?}");
}

#[test]
fn a_first_charge_that_is_declined_leaves_nothing_and_can_be_tried_again() {
    let world = world();
    with_card(&world);
    world.gateways.next(Script::Decline(Remedy::RetryLater));
    assert!(matches!(try_subscribing(&world, &wanted(PRO), "k"), Err(ChangeError::Declined(_))));
    assert_eq!((is(&world.subscription()), money(&world)), (Is::Expired, (0, 0)));
    try_subscribing(&world, &wanted(PRO), "again").unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((is(&world.subscription()), money(&world)), (Is::Active, (1, 0)));
}

#[test]
fn while_nobody_can_tell_of_the_first_charge_there_is_no_second() {
    let world = world();
    with_card(&world);
    world.gateways.next(Script::SilentAfter);
    let pending = try_subscribing(&world, &wanted(PRO), "k").unwrap_or_else(|error| panic!("{error}"));
    assert!(pending.payment.is_some_and(|it| it.paid().is_none()));
    let second = try_subscribing(&world, &wanted(PRO), "other");
    assert!(matches!(second, Err(ChangeError::Refused(Refusal::ChargeRunning))), "{second:?}");
    live(&world, DAY);
    assert_eq!((is(&world.subscription()), money(&world)), (Is::Active, (1, 0)));
}

#[test]
fn while_a_page_is_open_for_what_costs_something_nothing_is_charged_for_it() {
    let world = world();
    with_card(&world);
    block_on(world.checkout(billing::testing::request(PRO, "page"))).unwrap_or_else(|error| panic!("{error}"));
    let charged = try_subscribing(&world, &wanted(PRO), "k");
    assert!(matches!(charged, Err(ChangeError::Refused(Refusal::ChargeRunning))), "{charged:?}");
    assert_eq!((is(&world.subscription()), money(&world)), (Is::Incomplete, (0, 0)));
}

#[test]
fn who_subscribes_again_by_a_charge_has_what_they_had_before_kept() {
    let world = subscribed();
    let old = world.subscription().id;
    assert_eq!(command(&world, Command::CancelNow), Is::Canceled);
    try_subscribing(&world, &wanted(PRO), "again").unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((is(&world.subscription()), world.subscription().id), (Is::Active, old.next()));
    assert!(world.key(Key::PastSubscription(customer(), old)).past_subscription().is_some());
}

#[test]
fn a_charge_that_succeeds_late_opens_what_it_was_for_whatever_was_ordered_since() {
    let world = world();
    with_card(&world);
    world.gateways.next(Script::SilentAfter);
    try_subscribing(&world, &wanted(PRO), "k").unwrap_or_else(|error| panic!("{error}"));
    block_on(world.checkout(billing::testing::request("estates-starter", "page")))
        .unwrap_or_else(|error| panic!("{error}"));
    live(&world, DAY);
    let subscription = world.subscription();
    assert_eq!((subscription.order.plan.id.as_str(), is(&subscription), money(&world)), (PRO, Is::Active, (1, 0)));
}

#[test]
fn of_several_prices_the_one_that_is_meant_must_be_told() {
    let world = world();
    with_card(&world);
    let vague = Subscribe { interval: None, ..wanted(PRO) };
    assert!(matches!(try_subscribing(&world, &vague, "k"), Err(ChangeError::NotForSale(NotForSale::SeveralPrices(_)))));
    let seats = try_subscribing(&world, &wanted("crm-professional"), "k");
    assert!(matches!(seats, Err(ChangeError::QuantityMissing)), "{seats:?}");
    let daily = Subscribe { interval: Some(billing::calendar::Interval::Days(1)), ..wanted(PRO) };
    let refused = try_subscribing(&world, &daily, "k");
    assert!(matches!(refused, Err(ChangeError::NotForSale(NotForSale::Interval(_)))), "{refused:?}");
    let yen = Subscribe { currency: Currency::from_code("JPY"), ..wanted(PRO) };
    let refused = try_subscribing(&world, &yen, "k");
    assert!(matches!(refused, Err(ChangeError::NotForSale(NotForSale::Currency(_)))), "{refused:?}");
}

// Pauses.

#[test]
fn a_pause_keeps_what_is_left_of_the_period_and_nothing_is_charged_in_it() {
    let world = subscribed();
    world.clock.set(instant("2025-02-14T10:00:00Z"));
    assert_eq!(command(&world, Command::Pause), Is::Paused);
    assert!(!world.subscription().is_live());
    live(&world, DAY * 40);
    assert_eq!((is(&world.subscription()), money(&world)), (Is::Paused, (1, 0)));
    assert_eq!(command(&world, Command::Unpause), Is::Active);
    assert_eq!(ends(&world), world.clock.time() + DAY * 14);
    // Half of it is left still, and is credited as half.
    let shown = block_on(world.preview_change(&crate::changes::upgrade())).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(shown.preview.lines.iter().map(|it| it.amount.minor).collect::<Vec<_>>(), [-350_000, 750_000]);
    let renewed = ends(&world);
    to_period_end(&world);
    world.run();
    let period = world.subscription().period().unwrap_or_else(|| panic!("a period"));
    assert_eq!((index(&world), period.start, money(&world)), (Some(1), renewed, (2, 0)));
}

#[test]
fn who_pauses_at_the_periods_end_goes_on_with_a_period_that_is_paid_then() {
    let world = subscribed();
    assert_eq!(command(&world, Command::PauseAtPeriodEnd), Is::Active);
    to_period_end(&world);
    world.run();
    assert_eq!((is(&world.subscription()), money(&world)), (Is::Paused, (1, 0)));
    live(&world, DAY * 10);
    assert_eq!(command(&world, Command::Unpause), Is::Active);
    world.run();
    let period = world.subscription().period().unwrap_or_else(|| panic!("a period"));
    assert_eq!((index(&world), period.start, money(&world)), (Some(1), world.clock.time(), (2, 0)));
}

#[test]
fn a_pause_to_come_is_taken_back_and_one_that_is_there_is_cancelled() {
    let world = subscribed();
    command(&world, Command::PauseAtPeriodEnd);
    assert_eq!(command(&world, Command::Resume), Is::Active);
    to_period_end(&world);
    world.run();
    assert_eq!((index(&world), is(&world.subscription())), (Some(1), Is::Active));
    command(&world, Command::Pause);
    assert_eq!(command_refused(&world, Command::Resume), Refusal::Paused);
    assert_eq!(command(&world, Command::CancelNow), Is::Canceled);
}

#[test]
fn a_bank_that_decides_for_the_customer_ends_a_pause() {
    let world = subscribed();
    command(&world, Command::Pause);
    let payment = attempt(&world, 0, 1);
    world.gateways.dispute(&payment, DisputeStanding::Lost);
    told(&world, &payment, "lost");
    assert_eq!(is(&world.subscription()), Is::Disputed);
}

#[test]
fn what_cannot_be_paused_says_why() {
    assert_eq!(command_refused(&trialing(), Command::Pause), Refusal::Trialing);
    let world = subscribed();
    command(&world, Command::CancelAtPeriodEnd);
    assert_eq!(command_refused(&world, Command::Pause), Refusal::Leaving);
    let world = subscribed();
    declined_at_period_end(&world, Remedy::RetryLater);
    assert_eq!(command_refused(&world, Command::Pause), Refusal::PaymentOwed);
    assert_eq!(methods(&world), 1);
    let Status::PastDue { .. } = world.subscription().status else { panic!("nothing has changed") };
}

// Changes, of plans that prorate in different ways.

fn of_all_policies() -> [billing::proration::Proration; 5] {
    use billing::proration::Proration::{ByDay, BySecond, FullNow, NextPeriod, None};
    [None, ByDay, BySecond, FullNow, NextPeriod]
}

#[test]
fn nobody_gains_by_changing_there_and_back_whatever_the_plans_policies() {
    for from in of_all_policies() {
        for to in of_all_policies() {
            let world = subscribed();
            let mut stored =
                world.key(Key::Plan(plan("estates-enterprise").id)).plan().unwrap_or_else(|| panic!("a plan"));
            stored.plan.proration = to;
            put(&world, Record::Plan(stored));
            let mut stored = world.key(Key::Plan(plan(PRO).id)).plan().unwrap_or_else(|| panic!("a plan"));
            stored.plan.proration = from;
            put(&world, Record::Plan(stored.clone()));
            let subscription = world.subscription();
            let order = Order { plan: stored.plan, ..subscription.order.clone() };
            put(&world, Record::Subscription(Subscription { order, ..subscription }));
            let back = Wish { action: Action::Downgrade, plan: Some(plan(PRO).id), ..crate::changes::upgrade() };
            // Night after night, just before midnight and just after: where policies differ most.
            for (night, wish) in (13..18).flat_map(|night| (0..4).map(move |n| (night, n))).map(|(night, n)| {
                let minute = ["23:57", "23:58", "23:59", "00:01"][n];
                let day = if n == 3 { night + 1 } else { night };
                (
                    (n, format!("2025-02-{day:02}T{minute}:00Z")),
                    if n % 2 == 0 { crate::changes::upgrade() } else { back.clone() },
                )
            }) {
                let (n, time) = night;
                world.clock.set(instant(&time));
                let done = try_change(&world, &wish, &format!("{n}.{time}"));
                done.unwrap_or_else(|error| panic!("{from:?} {to:?} {time}: {error}"));
            }
            // The plan is theirs to the period's end, as it was: all that was paid besides its price may be balance.
            let subscription = world.subscription();
            let payments = block_on(world.payments(&customer(), None, 50)).unwrap_or_else(|error| panic!("{error}"));
            let paid: i64 = payments.iter().filter(|it| it.paid().is_some()).map(|it| it.amount.minor).sum();
            let balance = subscription.balance(subscription.order.price.amount.currency).minor;
            // A day begun counts whole by one policy and by the hour by another: they differ by no more than one, once.
            let a_day = 25_000;
            assert!(balance <= paid - 700_000 + a_day, "{from:?} {to:?}: {balance} of {paid}");
        }
    }
}
