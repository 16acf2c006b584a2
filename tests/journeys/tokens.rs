//! Stories of prepaid tokens: they come with what is paid, and are consumed once for each key.

use crate::overage::counted;
use crate::stage::{
    DAY, attempt, command, declined_at_period_end, money, pass, subscribed, subscribed_to, to_period_end, tokens, told,
};
use crate::usage::{minutes_plan, of_minutes};
use billing::calendar::Interval;
use billing::catalog::Feature;
use billing::entitlement::Reason;
use billing::id::FeatureId;
use billing::money::Currency;
use billing::outcome::Remedy;
use billing::ports::{Key, Record};
use billing::subscription::{Command, Intervention, Status};
use billing::testing::{World, catalogue, customer, idempotency_key, instant, request, world, zone};
use billing::token::{Consumption, Purpose, Tokens};
use billing::workflow::{Checkout, Consume, ConsumeError};
use futures::executor::block_on;
use jiff::SignedDuration;
use std::num::NonZeroU32;

pub(crate) fn tokens_plan(key: &str) -> Checkout {
    let usd = Currency::from_code("USD").unwrap_or_else(|| panic!("USD"));
    Checkout { interval: Interval::Days(30), currency: usd, ..request("tokens-basic", key) }
}

pub(crate) fn of_tokens(tokens: u32, key: &str) -> Consume {
    Consume {
        customer: customer(),
        tokens: NonZeroU32::new(tokens).unwrap_or_else(|| panic!("none")),
        description: Purpose::try_from("a reply".to_owned()).ok(),
        key: idempotency_key(key),
        fingerprint: format!("{tokens}"),
    }
}

fn try_to(world: &World, tokens: u32, key: &str) -> Result<Consumption, ConsumeError> {
    block_on(world.consume(&of_tokens(tokens, key)))
}

pub(crate) fn consumed(world: &World, tokens: u32, key: &str) -> Consumption {
    try_to(world, tokens, key).unwrap_or_else(|error| panic!("{error}"))
}

fn history(world: &World) -> Vec<u32> {
    let all = block_on(world.consumptions(&customer(), None, 100)).unwrap_or_else(|error| panic!("{error}"));
    all.iter().map(|it| it.tokens.get()).collect()
}

/// Other requests have left so many.
fn meanwhile(world: &World, balance: u64) {
    let held = world.key(Key::Tokens(customer())).tokens().unwrap_or_else(|| panic!("no tokens"));
    world.store.meanwhile(Record::Tokens(Tokens { balance, version: held.version + 1, ..held }));
}

#[test]
fn they_come_with_the_payment_that_is_settled_and_again_with_the_next() {
    let world = subscribed_to(tokens_plan("k"));
    assert_eq!(tokens(&world), 1_000);
    told(&world, &attempt(&world, 0, 1), "evt_again");
    assert_eq!(tokens(&world), 1_000);
    consumed(&world, 300, "a");
    to_period_end(&world);
    world.run();
    assert_eq!((tokens(&world), money(&world)), (1_700, (2, 0)));
}

#[test]
fn a_declined_period_brings_none_and_those_that_are_left_can_be_used() {
    let world = subscribed_to(tokens_plan("k"));
    declined_at_period_end(&world, Remedy::RetryLater);
    assert_eq!(tokens(&world), 1_000);
    assert_eq!(consumed(&world, 1_000, "a").balance, 0);
}

#[test]
fn those_of_a_plan_that_carries_none_over_end_with_their_period() {
    let world = world();
    let mut plans = catalogue("tokens");
    plans.plans.iter_mut().for_each(|plan| plan.tokens_rollover = Some(0));
    block_on(world.load(plans)).unwrap_or_else(|error| panic!("{error}"));
    let payment = block_on(world.checkout(tokens_plan("k"))).unwrap_or_else(|error| panic!("{error}"));
    world.gateways.visit(&payment, true);
    told(&world, &payment, "evt");
    consumed(&world, 1, "a");
    to_period_end(&world);
    world.run();
    assert_eq!(tokens(&world), 1_000);
    // What staff fill up is of the period at hand as well.
    consumed(&world, 400, "b");
    let reset = block_on(world.intervene(&customer(), &Intervention::ResetTokens, &idempotency_key("c"), "reset"));
    assert!(reset.is_ok() && tokens(&world) == 1_000);
    to_period_end(&world);
    world.run();
    assert_eq!(tokens(&world), 1_000);
}

#[test]
fn a_bundle_that_does_not_renew_is_used_through_its_last_day_where_its_customer_is() {
    // Bought at ten in the morning in UTC. It is one in New York then: their summer begins on 9 March.
    let days = [
        ("UTC", "2025-03-02", "2025-03-03T00:00:00Z"),
        ("Africa/Lagos", "2025-03-02", "2025-03-02T23:00:00Z"),
        ("Pacific/Kiritimati", "2025-03-03", "2025-03-03T10:00:00Z"),
        ("America/New_York", "2025-03-02", "2025-03-03T05:00:00Z"),
    ];
    for (name, last, over) in days {
        let world = world();
        let mut plans = catalogue("tokens");
        plans.plans.iter_mut().flat_map(|plan| &mut plan.prices).for_each(|price| price.recurring = false);
        block_on(world.load(plans)).unwrap_or_else(|error| panic!("{error}"));
        let wanted = Checkout { time_zone: Some(zone(name)), ..tokens_plan("k") };
        let payment = block_on(world.checkout(wanted)).unwrap_or_else(|error| panic!("{error}"));
        world.gateways.visit(&payment, true);
        told(&world, &payment, "evt");
        assert_eq!(world.subscription().end_date().map(|date| date.to_string()).as_deref(), Some(last), "{name}");
        let over = instant(over);
        world.clock.set(over - SignedDuration::from_secs(1));
        world.run();
        assert_eq!(consumed(&world, 1, "a").balance, 999, "{name}");
        world.clock.set(over);
        assert!(matches!(try_to(&world, 1, "b"), Err(ConsumeError::NotActive)), "{name}");
        world.run();
        assert!(matches!(world.subscription().status, Status::Expired { .. }), "{name}");
        assert_eq!(world.subscription().end_date().map(|date| date.to_string()).as_deref(), Some(last), "{name}");
        assert_eq!((tokens(&world), money(&world)), (999, (1, 0)), "{name}");
    }
}

#[test]
fn what_is_asked_for_under_one_key_is_taken_once_and_told_the_same() {
    let world = subscribed_to(tokens_plan("k"));
    let first = consumed(&world, 10, "a");
    assert_eq!((first.balance, first.description.as_ref().map(Purpose::as_str)), (990, Some("a reply")));
    pass(&world, DAY);
    assert_eq!(consumed(&world, 90, "b").balance, 900);
    assert_eq!(consumed(&world, 10, "a"), first);
    assert_eq!((tokens(&world), history(&world)), (900, vec![90, 10]));
    assert!(matches!(try_to(&world, 11, "a"), Err(ConsumeError::KeyReused)));
    assert_eq!(tokens(&world), 900);
}

/// A key that was used for something else is not one of a consumption, whatever was asked for.
#[test]
fn a_key_of_another_kind_of_request_is_refused() {
    let world = subscribed_to(tokens_plan("k"));
    let paused = block_on(world.request(&customer(), Command::PauseAtPeriodEnd, None, &idempotency_key("a"), "10"));
    assert!(paused.is_ok());
    assert!(matches!(try_to(&world, 10, "a"), Err(ConsumeError::KeyReused)));
    consumed(&world, 10, "b");
    let reused = block_on(world.request(&customer(), Command::PauseAtPeriodEnd, None, &idempotency_key("b"), "pause"));
    assert!(reused.is_err());
}

#[test]
fn more_than_there_are_is_refused_and_nothing_is_taken() {
    let world = subscribed_to(tokens_plan("k"));
    let refused = try_to(&world, 1_001, "a");
    assert!(matches!(refused, Err(ConsumeError::TooFew { balance: 1_000, .. })), "{refused:?}");
    assert_eq!((tokens(&world), history(&world)), (1_000, vec![]));
    // Refused is not used: under the same key less may be asked for.
    assert_eq!(consumed(&world, 1_000, "a").balance, 0);
    let refused = try_to(&world, 1, "b");
    assert!(matches!(refused, Err(ConsumeError::TooFew { balance: 0, .. })), "{refused:?}");
}

#[test]
fn whoever_is_served_with_none_has_too_few() {
    let refused = try_to(&subscribed(), 1, "a");
    assert!(matches!(refused, Err(ConsumeError::TooFew { balance: 0, .. })), "{refused:?}");
}

/// PRODUCT 11: a token plan is active while there are tokens; its subscription goes on, and renews.
#[test]
fn with_the_last_token_all_that_the_plan_has_is_off_until_more_come() {
    let world = world();
    let mut plans = catalogue("tokens");
    let feature: FeatureId = "reports".to_owned().try_into().unwrap_or_else(|error| panic!("{error}"));
    plans.family.features = vec![Feature { id: feature.clone(), name: "Reports".to_owned() }];
    plans.plans.iter_mut().for_each(|plan| plan.features = [feature.clone()].into());
    block_on(world.load(plans)).unwrap_or_else(|error| panic!("{error}"));
    let payment = block_on(world.checkout(tokens_plan("k"))).unwrap_or_else(|error| panic!("{error}"));
    world.gateways.visit(&payment, true);
    told(&world, &payment, "evt");
    let reasons = || {
        let alone = block_on(world.entitlement(&customer(), &feature)).unwrap_or_else(|error| panic!("{error}"));
        let all = block_on(world.entitlements(&customer())).unwrap_or_else(|error| panic!("{error}"));
        let listed = all.and_then(|it| it.entitlements.get(&feature).map(|it| it.reason));
        assert_eq!(listed, Some(alone.reason));
        alone.reason
    };
    let has_tokens = || {
        let live = block_on(world.lookup(&customer())).unwrap_or_else(|error| panic!("{error}"));
        live.is_some_and(|it| it.has_tokens())
    };
    consumed(&world, 999, "a");
    assert_eq!((reasons(), has_tokens()), (None, true));
    consumed(&world, 1, "b");
    assert_eq!((reasons(), has_tokens()), (Some(Reason::OutOfTokens), false));
    assert!(matches!(world.subscription().status, Status::Active { .. }));
    to_period_end(&world);
    world.run();
    assert_eq!((tokens(&world), money(&world), reasons(), has_tokens()), (1_000, (2, 0), None, true));
    consumed(&world, 1_000, "c");
    assert_eq!(reasons(), Some(Reason::OutOfTokens));
    let reset = block_on(world.intervene(&customer(), &Intervention::ResetTokens, &idempotency_key("d"), "reset"));
    assert!(reset.is_ok() && reasons().is_none());
    command(&world, Command::Pause);
    assert_eq!((reasons(), has_tokens()), (Some(Reason::Suspended), false));
}

#[test]
fn f32_whoever_uses_much_never_meets_their_own_subscription() {
    let world = subscribed_to(tokens_plan("k"));
    let read = world.subscription();
    for n in 0..1_000 {
        consumed(&world, 1, &format!("token-{n}"));
    }
    assert_eq!((tokens(&world), world.subscription()), (0, read));
    let world = subscribed_to(minutes_plan("k"));
    let read = world.subscription();
    // Over both of its lines, and beyond.
    for n in 0..=3_000 {
        assert_eq!(counted(&world, of_minutes(1, &format!("call-{n}"))).is_ok(), n < 3_000, "{n}");
    }
    assert_eq!(world.subscription(), read);
}

#[test]
fn of_two_who_ask_at_once_the_second_has_what_the_first_left() {
    let world = subscribed_to(tokens_plan("k"));
    // There are enough still: nobody waits, and nothing that others took comes back.
    meanwhile(&world, 700);
    consumed(&world, 200, "a");
    assert_eq!(tokens(&world), 500);
    // There are not any more.
    meanwhile(&world, 99);
    let refused = try_to(&world, 100, "b");
    assert!(matches!(refused, Err(ConsumeError::TooFew { balance: 99, .. })), "{refused:?}");
    assert_eq!((tokens(&world), history(&world)), (99, vec![200]));
}

/// A client that heard nothing asks again while the first request is granted. What it reads is not of one moment.
#[test]
fn who_asks_again_while_it_is_granted_is_not_told_that_nothing_was_taken() {
    let world = subscribed_to(tokens_plan("k"));
    let first = consumed(&world, 1_000, "a");
    world.store.tear(Key::Claim(customer(), idempotency_key("a")));
    assert_eq!(consumed(&world, 1_000, "a"), first);
    command(&world, Command::Pause);
    world.store.tear(Key::Claim(customer(), idempotency_key("a")));
    assert_eq!(consumed(&world, 1_000, "a"), first);
    assert_eq!(tokens(&world), 0);
}

#[test]
fn they_are_kept_and_not_used_while_a_subscription_is_not_active() {
    let nobody = world();
    assert!(matches!(try_to(&nobody, 1, "a"), Err(ConsumeError::NoSubscription)));
    let world = subscribed_to(tokens_plan("k"));
    command(&world, Command::Pause);
    assert!(matches!(try_to(&world, 1, "a"), Err(ConsumeError::NotActive)));
    command(&world, Command::Unpause);
    assert_eq!(consumed(&world, 1, "a").balance, 999);
    command(&world, Command::CancelNow);
    assert!(matches!(try_to(&world, 1, "b"), Err(ConsumeError::NotActive)));
    // What was answered before is answered still.
    assert_eq!((consumed(&world, 1, "a").balance, tokens(&world)), (999, 999));
}
