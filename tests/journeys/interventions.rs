//! Stories of what billing staff do: a period that ends otherwise, and what is paid for it; tokens that are filled up.

use crate::changes::{downgrade, half_way, try_change, upgrade};
use crate::living::{ends, trialing, with_card};
use crate::stage::{
    DAY, HOUR, Is, attempt, command, index, is, live, money, pass, subscribed, subscribed_to, to_period_end, tokens,
};
use billing::calendar::Interval;
use billing::id::PlanId;
use billing::mail::About;
use billing::money::Currency;
use billing::ports::Key;
use billing::subscription::{Action, Command, Effective, Event, Intervention, Refusal, Subscription};
use billing::testing::{MemoryMailer, World, customer, idempotency_key, instant, request};
use billing::workflow::{Checkout, RequestError, Subscribe};
use futures::executor::block_on;
use jiff::Timestamp;

pub(crate) fn try_to(world: &World, intervention: &Intervention, key: &str) -> Result<Subscription, RequestError> {
    block_on(world.intervene(&customer(), intervention, &idempotency_key(key), &format!("{intervention:?}")))
}

fn done(world: &World, intervention: &Intervention) -> Subscription {
    let key = format!("{intervention:?}-{}", world.subscription().version).replace(' ', "");
    try_to(world, intervention, &key).unwrap_or_else(|error| panic!("{error}"))
}

fn extended(world: &World, days: u16) -> Timestamp {
    done(world, &Intervention::Extend { days });
    ends(world)
}

fn to_end(world: &World, end: &str) {
    done(world, &Intervention::ChangeDates { end: instant(end) });
}

fn amounts(world: &World, wish: &billing::workflow::Wish) -> Vec<i64> {
    let shown = block_on(world.preview_change(wish)).unwrap_or_else(|error| panic!("{error}"));
    shown.preview.lines.iter().map(|it| it.amount.minor).collect()
}

fn history(world: &World) -> Event {
    let subscription = world.subscription();
    let key = Key::History(customer(), subscription.id, subscription.version, 0);
    let found = block_on(billing::ports::Store::get(&world.store, vec![key])).unwrap_or_else(|error| panic!("{error}"));
    match found.records() {
        [billing::ports::Record::History { event, .. }] => event.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_extended_period_is_charged_for_no_earlier_than_it_ends_and_the_next_is_counted_from_there() {
    let world = half_way();
    assert_eq!(extended(&world, 14), instant("2025-03-14T10:00:00Z"));
    world.clock.set(instant("2025-03-14T09:59:59Z"));
    world.run();
    assert_eq!((is(&world.subscription()), index(&world), money(&world)), (Is::Active, Some(0), (1, 0)));
    pass(&world, HOUR);
    world.run();
    assert_eq!((index(&world), ends(&world)), (Some(1), instant("2025-04-14T10:00:00Z")));
    assert_eq!((attempt(&world, 1, 1).amount.minor, money(&world)), (700_000, (2, 0)));
}

#[test]
fn a_period_that_ends_earlier_is_renewed_then() {
    let world = half_way();
    to_end(&world, "2025-02-20T00:00:00Z");
    live(&world, DAY * 6);
    assert_eq!((index(&world), ends(&world)), (Some(1), instant("2025-03-20T00:00:00Z")));
}

#[test]
fn an_extension_is_granted_once_for_each_key() {
    let world = half_way();
    for _ in 0..2 {
        try_to(&world, &Intervention::Extend { days: 7 }, "k").unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(ends(&world), instant("2025-03-07T10:00:00Z"));
    }
    let other = try_to(&world, &Intervention::Extend { days: 8 }, "k");
    assert!(matches!(other, Err(RequestError::KeyReused)), "{other:?}");
    assert_eq!(ends(&world), instant("2025-03-07T10:00:00Z"));
}

/// Half of 7,000.00 is left: 3,500.00, over six times the time.
#[test]
fn an_upgrade_right_after_an_extension_credits_no_more_than_was_paid_for_the_rest() {
    let world = half_way();
    assert_eq!(amounts(&world, &upgrade()), [-350_000, 750_000]);
    extended(&world, 70);
    // The rest is 84 of 98 days now, at 15,000.00 for the whole.
    assert_eq!(amounts(&world, &upgrade()), [-350_000, 1_285_714]);
    world.clock.set(instant("2025-03-28T10:00:00Z"));
    assert_eq!(amounts(&world, &upgrade())[0], -175_000, "half of it is used up");
}

#[test]
fn neither_extending_nor_going_down_again_and_again_leaves_more_credit_than_was_paid() {
    let world = half_way();
    for n in 0..3 {
        extended(&world, 30);
        if n == 1 {
            try_change(&world, &downgrade(Effective::Now), "down").unwrap_or_else(|error| panic!("{error}"));
        }
    }
    let subscription = world.subscription();
    let balance = subscription.balance(subscription.order.price.amount.currency).minor;
    let kept: i64 = subscription.funds.iter().map(|fund| fund.left.minor).sum();
    assert_eq!(balance + kept, 700_000);
    assert!((0..350_000).contains(&balance), "{balance}");
}

#[test]
fn who_is_to_leave_is_served_to_the_new_end() {
    let world = half_way();
    assert_eq!(command(&world, Command::CancelAtPeriodEnd), Is::Leaving);
    extended(&world, 10);
    live(&world, DAY * 23);
    assert_eq!(is(&world.subscription()), Is::Leaving);
    live(&world, DAY * 2);
    assert_eq!((is(&world.subscription()), money(&world)), (Is::Canceled, (1, 0)));
}

// Trials.

#[test]
fn an_extended_trial_is_ended_and_reminded_of_later() {
    let (world, inbox) = (trialing(), MemoryMailer::default());
    let began = world.clock.time();
    pass(&world, DAY);
    assert_eq!(extended(&world, 7), began + DAY * 21);
    assert_eq!(is(&world.subscription()), Is::Trialing);
    pass(&world, DAY * 16);
    world.run_mailing(&inbox);
    assert_eq!(inbox.take().len(), 0, "three days before the old end was long ago");
    pass(&world, DAY);
    world.run_mailing(&inbox);
    world.run_mailing(&inbox);
    let [mail] = &inbox.take()[..] else { panic!("one mail") };
    let About::TrialEnding(about) = &mail.about else { panic!("{mail:?}") };
    assert_eq!(about.trial_ends_at, began + DAY * 21);
    with_card(&world);
    to_period_end(&world);
    world.run();
    assert_eq!((is(&world.subscription()), money(&world)), (Is::Active, (1, 0)));
    assert_eq!(world.subscription().trial.map(|it| it.ends_at(&jiff::tz::TimeZone::UTC)), Some(began + DAY * 21));
}

#[test]
fn who_was_told_of_a_trials_end_is_told_of_the_new_one() {
    let (world, inbox) = (trialing(), MemoryMailer::default());
    pass(&world, DAY * 11);
    world.run_mailing(&inbox);
    world.run_mailing(&inbox);
    assert_eq!(inbox.take().len(), 1);
    let end = extended(&world, 1);
    pass(&world, DAY);
    world.run_mailing(&inbox);
    world.run_mailing(&inbox);
    let told: Vec<Timestamp> = inbox.take().iter().map(|mail| mail.about.holds_until()).collect();
    assert_eq!(told, [end]);
}

#[test]
fn a_mail_that_waits_with_the_old_end_of_a_trial_is_not_sent() {
    let (world, inbox) = (trialing(), MemoryMailer::default());
    pass(&world, DAY * 11);
    world.run(); // it is due, and nobody has sent it yet
    extended(&world, 30);
    world.run_mailing(&inbox);
    assert_eq!(inbox.take().len(), 0);
}

// Gifts.

#[test]
fn nothing_is_charged_for_the_periods_that_are_given() {
    let world = half_way();
    done(&world, &Intervention::Comp { percent: 100, periods: Some(2) });
    for n in 1..=3 {
        to_period_end(&world);
        world.run();
        assert_eq!((is(&world.subscription()), index(&world)), (Is::Active, Some(n)));
    }
    assert_eq!((money(&world), attempt(&world, 3, 1).amount.minor), ((2, 0), 700_000));
}

#[test]
fn half_is_charged_for_as_long_as_half_is_given() {
    let world = half_way();
    done(&world, &Intervention::Comp { percent: 50, periods: None });
    for n in 1..=3 {
        to_period_end(&world);
        world.run();
        assert_eq!(attempt(&world, n, 1).amount.minor, 350_000);
    }
}

#[test]
fn who_is_given_a_plan_has_it_for_nothing_and_pays_when_the_gift_is_over() {
    let world = billing::testing::world();
    let comp = Some(billing::discount::Discount::comp(100, Some(1)));
    let wanted = Subscribe { comp, ..crate::living::wanted("estates-starter") };
    for _ in 0..2 {
        let given = block_on(world.subscribe(&wanted, &idempotency_key("k"), "given"));
        assert!(given.unwrap_or_else(|error| panic!("{error}")).payment.is_none());
    }
    assert_eq!((is(&world.subscription()), money(&world)), (Is::Active, (0, 0)));
    with_card(&world);
    to_period_end(&world);
    world.run();
    assert_eq!((index(&world), attempt(&world, 1, 1).amount.minor), (Some(1), 300_000));
}

#[test]
fn what_is_given_with_a_plan_is_off_that_plan_and_no_other() {
    let world = billing::testing::world();
    with_card(&world);
    let comp = Some(billing::discount::Discount::comp(50, None));
    let wanted = Subscribe { comp, ..crate::living::wanted("estates-starter") };
    block_on(world.subscribe(&wanted, &idempotency_key("k"), "half")).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(attempt(&world, 0, 1).amount.minor, 150_000);
    let wish = crate::overage::to(Action::Upgrade, "estates-professional", Effective::PeriodEnd);
    crate::overage::changed(&world, &wish, "up");
    to_period_end(&world);
    world.run();
    assert_eq!((index(&world), attempt(&world, 1, 1).amount.minor), (Some(1), 700_000));
}

// Tokens.

#[test]
fn tokens_are_reset_to_what_the_plan_includes_and_history_says_so() {
    let plan = PlanId::try_from("tokens-basic".to_owned()).unwrap_or_else(|error| panic!("{error}"));
    let usd = Currency::from_code("USD").unwrap_or_else(|| panic!("USD"));
    let wanted = request("estates-starter", "first");
    let gateway = billing::payment::Gateway::Stripe;
    let world = subscribed_to(Checkout { plan, currency: usd, interval: Interval::Days(30), gateway, ..wanted });
    to_period_end(&world);
    world.run();
    assert_eq!(tokens(&world), 2_000);
    for _ in 0..2 {
        try_to(&world, &Intervention::ResetTokens, "k").unwrap_or_else(|error| panic!("{error}"));
        assert_eq!((tokens(&world), history(&world)), (1_000, Event::TokensReset { from: 2_000, to: 1_000 }));
    }
    let version = world.subscription().version;
    done(&world, &Intervention::ResetTokens);
    assert_eq!(world.subscription().version, version, "there was nothing to be done");
}

#[test]
fn what_is_refused_changes_nothing() {
    let world = subscribed();
    let before = world.subscription();
    let refused = try_to(&world, &Intervention::ResetTokens, "k");
    assert!(matches!(refused, Err(RequestError::Refused(Refusal::NoTokens))), "{refused:?}");
    let past = Intervention::ChangeDates { end: world.clock.time() };
    let refused = try_to(&world, &past, "past");
    assert!(matches!(refused, Err(RequestError::Refused(Refusal::EndIsPast))), "{refused:?}");
    assert_eq!(world.subscription(), before);
}
