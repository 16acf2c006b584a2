//! Stories of what is held for a use to come: nobody else has it meanwhile, it is used or let go, and it is over by itself.

use crate::overage::starter;
use crate::stage::{MINUTE, command, pass, subscribed_to, to_period_end};
use crate::usage::{minutes_plan, of_minutes};
use billing::entitlement::{Reason, Standing};
use billing::id::{FeatureId, PlanId, UsageId};
use billing::ports::{Key, Record, Store};
use billing::reservation::{MOST_OPEN, Minutes};
use billing::subscription::Command;
use billing::testing::{World, customer, meter};
use billing::workflow::{MeterError, NotCounted, Reserve, ReserveError};
use futures::executor::block_on;
use jiff::SignedDuration;
use std::num::NonZeroU64;

pub(crate) fn id(name: &str) -> UsageId {
    UsageId::try_from(name.to_owned()).unwrap_or_else(|error| panic!("{error}"))
}

/// So much of a meter, held for ten minutes.
fn wanted(of: &str, value: u64, name: &str) -> Reserve {
    let value = NonZeroU64::new(value).unwrap_or_else(|| panic!("nothing"));
    let minutes = Minutes::try_from(10).unwrap_or_else(|error| panic!("{error}"));
    Reserve { customer: customer(), meter: meter(of), id: id(name), value, minutes }
}

pub(crate) fn of_held_minutes(value: u64, name: &str) -> Reserve {
    wanted("minutes", value, name)
}

fn asked(world: &World, wanted: &Reserve) -> Result<Standing, ReserveError> {
    block_on(world.reserve(wanted)).map(|(_, standing)| standing)
}

/// Used, held and left then.
fn hold(world: &World, value: u64, name: &str) -> (u64, u64, Option<u64>) {
    let standing = asked(world, &of_held_minutes(value, name)).unwrap_or_else(|error| panic!("{error}"));
    (standing.used, standing.reserved, standing.remaining)
}

fn refused(world: &World, value: u64, name: &str) -> ReserveError {
    match asked(world, &of_held_minutes(value, name)) {
        Ok(standing) => panic!("it is held: {standing:?}"),
        Err(error) => error,
    }
}

pub(crate) fn release(world: &World, of: &str, name: &str) {
    block_on(world.release(&customer(), &meter(of), &id(name))).unwrap_or_else(|error| panic!("{error}"));
}

fn report(world: &World, value: u64, name: &str) -> Result<(u64, u64, Option<u64>), NotCounted> {
    let uses = [of_minutes(value, name)];
    let mut answers = block_on(world.report(&customer(), &uses)).unwrap_or_else(|error| panic!("{error}"));
    answers.remove(0).map(|it| (it.used, it.reserved, it.remaining))
}

fn reached(outcome: &Result<(u64, u64, Option<u64>), NotCounted>) -> Option<(u64, u64)> {
    match outcome {
        Err(NotCounted::LimitReached(standing)) => Some((standing.used, standing.reserved)),
        Ok(_) | Err(_) => None,
    }
}

/// What of a meter is used, held and left, and why it is off, if it is.
fn shown(world: &World, of: &str) -> (u64, u64, Option<u64>, Option<Reason>) {
    let name = FeatureId::try_from(of.to_owned()).unwrap_or_else(|error| panic!("{error}"));
    let entitled = block_on(world.entitlement(&customer(), &name)).unwrap_or_else(|error| panic!("{error}"));
    let live = block_on(world.lookup(&customer())).unwrap_or_else(|error| panic!("{error}"));
    let live = live.unwrap_or_else(|| panic!("no subscription"));
    let standing = entitled.standing.unwrap_or_else(|| panic!("no meter of the plan"));
    let reserved = live.reserved().get(&meter(of)).copied().unwrap_or(0);
    assert_eq!(reserved, standing.reserved, "all that tells of it agrees");
    (standing.used, standing.reserved, standing.remaining, entitled.reason)
}

#[test]
fn what_is_held_for_one_use_is_left_by_all_others() {
    let world = subscribed_to(minutes_plan("k"));
    assert_eq!(hold(&world, 2_000, "call"), (0, 2_000, Some(1_000)));
    assert_eq!(reached(&report(&world, 1_001, "other")), Some((0, 2_000)));
    assert_eq!(report(&world, 999, "other"), Ok((999, 2_000, Some(1))));
    assert_eq!(shown(&world, "minutes"), (999, 2_000, Some(1), None));
    assert!(
        matches!(refused(&world, 2, "third"), ReserveError::LimitReached(standing) if standing.remaining == Some(1))
    );
    assert_eq!(hold(&world, 1, "third"), (999, 2_001, Some(0)));
    assert_eq!(shown(&world, "minutes"), (999, 2_001, Some(0), Some(Reason::LimitReached)));
    assert_eq!(reached(&report(&world, 1, "fourth")), Some((999, 2_001)));
    assert!(matches!(refused(&world, u64::MAX, "fourth"), ReserveError::LimitReached(_)));
    assert_eq!(shown(&world, "minutes"), (999, 2_001, Some(0), Some(Reason::LimitReached)));
}

#[test]
fn what_is_held_is_used_under_its_id_all_of_it_or_less() {
    let world = subscribed_to(minutes_plan("k"));
    hold(&world, 2_000, "all");
    hold(&world, 1_000, "less");
    assert_eq!(report(&world, 2_000, "all"), Ok((2_000, 1_000, Some(0))));
    assert_eq!(report(&world, 400, "less"), Ok((2_400, 0, Some(600))));
    assert_eq!(report(&world, 400, "less"), Ok((2_400, 0, Some(600))), "told again, it is counted");
    assert_eq!(report(&world, 401, "less"), Err(NotCounted::IdReused));
    // What was used is not held once more, whoever asks late.
    for value in [400, 1_000] {
        assert!(matches!(refused(&world, value, "less"), ReserveError::IdReused));
    }
    assert_eq!(shown(&world, "minutes"), (2_400, 0, Some(600), None));
}

#[test]
fn of_what_is_used_beyond_what_was_held_the_rest_has_to_fit() {
    let world = subscribed_to(minutes_plan("k"));
    hold(&world, 10, "call");
    hold(&world, 5, "other");
    assert_eq!(report(&world, 2_980, "before"), Ok((2_980, 15, Some(5))));
    assert_eq!(reached(&report(&world, 16, "call")), Some((2_980, 15)), "and it is held still");
    assert_eq!(report(&world, 15, "call"), Ok((2_995, 5, Some(0))));
    assert_eq!(report(&world, 5, "other"), Ok((3_000, 0, Some(0))));
}

#[test]
fn the_same_asked_twice_is_held_once_and_released_it_is_free() {
    let world = subscribed_to(minutes_plan("k"));
    let first = block_on(world.reserve(&of_held_minutes(5, "call"))).unwrap_or_else(|error| panic!("{error}"));
    pass(&world, MINUTE);
    let again = block_on(world.reserve(&of_held_minutes(5, "call"))).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((&again, again.1.reserved), (&first, 5), "until when it was said to be");
    assert!(matches!(refused(&world, 6, "call"), ReserveError::IdReused));
    let longer =
        Reserve { minutes: Minutes::try_from(11).unwrap_or_else(|e| panic!("{e}")), ..of_held_minutes(5, "call") };
    assert!(matches!(asked(&world, &longer), Err(ReserveError::IdReused)));
    hold(&world, 7, "other");
    for _ in 0..2 {
        release(&world, "minutes", "call");
        assert_eq!(shown(&world, "minutes"), (0, 7, Some(2_993), None));
    }
    release(&world, "minutes", "never-heard-of");
    assert_eq!(hold(&world, 6, "call"), (0, 13, Some(2_987)));
}

#[test]
fn from_the_instant_that_it_is_over_it_holds_nothing() {
    let world = subscribed_to(minutes_plan("k"));
    assert_eq!(report(&world, 1, "before"), Ok((1, 0, Some(2_999))));
    hold(&world, 2_999, "call");
    pass(&world, MINUTE * 10 - SignedDuration::from_secs(1));
    assert_eq!(shown(&world, "minutes"), (1, 2_999, Some(0), Some(Reason::LimitReached)));
    assert_eq!(reached(&report(&world, 1, "other")), Some((1, 2_999)));
    pass(&world, SignedDuration::from_secs(1));
    assert_eq!(shown(&world, "minutes"), (1, 0, Some(2_999), None));
    assert_eq!(report(&world, 2_000, "other"), Ok((2_001, 0, Some(999))));
    // What is late is just a use, and what is asked for again is held anew.
    assert_eq!(reached(&report(&world, 1_000, "call")), Some((2_001, 0)));
    assert_eq!(hold(&world, 999, "call"), (2_001, 999, Some(0)));
    assert_eq!(report(&world, 999, "call"), Ok((3_000, 0, Some(0))));
    // Whoever reserves finds what is over too.
    to_period_end(&world);
    hold(&world, 3_000, "a");
    pass(&world, MINUTE * 10);
    assert_eq!(hold(&world, 3_000, "b"), (0, 3_000, Some(0)));
    release(&world, "minutes", "a");
    assert_eq!(shown(&world, "minutes").1, 3_000);
}

#[test]
fn what_is_held_when_a_period_ends_is_held_in_the_next() {
    let world = subscribed_to(minutes_plan("k"));
    assert_eq!(report(&world, 2_000, "before"), Ok((2_000, 0, Some(1_000))));
    to_period_end(&world);
    pass(&world, -MINUTE);
    assert_eq!(hold(&world, 1_000, "call"), (2_000, 1_000, Some(0)));
    pass(&world, MINUTE);
    assert_eq!(reached(&report(&world, 2_001, "next")), Some((0, 1_000)));
    assert_eq!(report(&world, 2_000, "next"), Ok((2_000, 1_000, Some(0))));
    world.run();
    assert_eq!(shown(&world, "minutes"), (2_000, 1_000, Some(0), Some(Reason::LimitReached)));
    assert_eq!(report(&world, 1_000, "call"), Ok((3_000, 0, Some(0))));
}

#[test]
fn a_seat_is_held_while_it_is_made_and_setting_the_level_lets_none_go() {
    let world = subscribed_to(minutes_plan("k"));
    let set = |value| {
        let (_, standing) =
            block_on(world.set_usage(&customer(), &meter("agents"), value)).unwrap_or_else(|e| panic!("{e}"));
        standing.map(|it| (it.used, it.reserved, it.remaining))
    };
    assert_eq!(set(3), Some((3, 0, Some(2))));
    for (name, reserved) in [("ada", 1), ("bea", 2)] {
        let held = asked(&world, &wanted("agents", 1, name)).map(|it| it.reserved);
        assert_eq!(held.ok(), Some(reserved));
    }
    assert!(matches!(asked(&world, &wanted("agents", 1, "cy")), Err(ReserveError::LimitReached(_))));
    assert_eq!(shown(&world, "agents"), (3, 2, Some(0), Some(Reason::LimitReached)));
    assert_eq!(set(4), Some((4, 2, Some(0))), "Ada is made, and hers is to be released");
    release(&world, "agents", "ada");
    assert_eq!(shown(&world, "agents"), (4, 1, Some(0), Some(Reason::LimitReached)));
    pass(&world, MINUTE * 10);
    assert_eq!(shown(&world, "agents"), (4, 0, Some(1), None));
    assert_eq!(set(4), Some((4, 0, Some(1))));
}

#[test]
fn beyond_a_limit_that_is_sold_as_much_is_held_as_is_sold() {
    // 1,000 minutes are included, and 2,000 more are sold.
    let world = starter();
    assert_eq!(hold(&world, 2_999, "call"), (0, 2_999, Some(0)));
    assert_eq!(shown(&world, "minutes").3, None, "one more is sold");
    assert!(matches!(refused(&world, 2, "other"), ReserveError::LimitReached(_)));
    assert_eq!(report(&world, 1, "other"), Ok((1, 2_999, Some(0))));
    assert_eq!(shown(&world, "minutes").3, Some(Reason::LimitReached));
    assert_eq!(report(&world, 1_500, "call"), Ok((1_501, 0, Some(0))));
}

#[test]
fn what_is_held_is_not_used_for_alerts_downgrades_and_bills() {
    let world = starter();
    hold(&world, 2_500, "call");
    assert_eq!(block_on(world.alerts(&customer())).map(|alerts| alerts.open.len()).ok(), Some(0));
    to_period_end(&world);
    world.run();
    assert!(world.subscription().usage_charges.is_empty());

    let world = subscribed_to(minutes_plan("k"));
    hold(&world, 2_500, "call");
    let plan = PlanId::try_from("minutes-starter".to_owned()).unwrap_or_else(|error| panic!("{error}"));
    let advice = block_on(world.validate_downgrade(&customer(), &plan)).unwrap_or_else(|error| panic!("{error}"));
    assert!(advice.downgrade.exceeds.is_empty());
}

#[test]
fn who_is_not_served_holds_nothing_new_and_may_let_go_of_what_they_hold() {
    assert!(matches!(
        asked(&billing::testing::world(), &of_held_minutes(1, "a")),
        Err(ReserveError::NoSubscription | ReserveError::Meter(_))
    ));
    let world = subscribed_to(minutes_plan("k"));
    hold(&world, 5, "before");
    command(&world, Command::Pause);
    assert!(matches!(refused(&world, 1, "a"), ReserveError::NoSubscription));
    assert_eq!(hold(&world, 5, "before").1, 5, "what is held is told again");
    release(&world, "minutes", "before");
    command(&world, Command::Unpause);
    assert_eq!(hold(&world, 1, "a").1, 1);
}

#[test]
fn only_a_meter_is_reserved() {
    let world = subscribed_to(minutes_plan("k"));
    for of in ["faxes", "analytics"] {
        let strange = |error: &MeterError| *error == MeterError::NoSuchMeter(meter(of));
        assert!(
            asked(&world, &wanted(of, 1, "a")).is_err_and(|it| matches!(it, ReserveError::Meter(it) if strange(&it)))
        );
        assert!(block_on(world.release(&customer(), &meter(of), &id("a"))).is_err());
    }
}

#[test]
fn a_hundred_are_open_of_a_meter_and_one_more_when_one_is_over() {
    let world = subscribed_to(minutes_plan("k"));
    hold(&world, 1, "first");
    pass(&world, MINUTE);
    for n in 1..MOST_OPEN {
        hold(&world, 1, &format!("call-{n}"));
    }
    assert!(matches!(refused(&world, 1, "more"), ReserveError::TooMany));
    assert_eq!(hold(&world, 1, "call-1").1, 100, "what is held is told again");
    pass(&world, MINUTE * 9);
    assert_eq!(hold(&world, 1, "more").1, 100);
    release(&world, "minutes", "more");
    assert_eq!(hold(&world, 1, "another").1, 100);
}

#[test]
fn a_batch_uses_what_was_held_and_what_was_not() {
    let world = subscribed_to(minutes_plan("k"));
    hold(&world, 1_000, "a");
    hold(&world, 1_500, "b");
    // Of the last 500, b needs 400 of what is let go by a.
    let batch = [of_minutes(600, "a"), of_minutes(901, "c"), of_minutes(900, "c"), of_minutes(1_500, "b")];
    let answers = block_on(world.report(&customer(), &batch)).unwrap_or_else(|error| panic!("{error}"));
    let told: Vec<_> = answers.iter().map(|it| it.as_ref().ok().map(|it| (it.used, it.reserved))).collect();
    assert_eq!(told, [Some((600, 1_500)), None, Some((1_500, 1_500)), Some((3_000, 0))]);
    assert_eq!(shown(&world, "minutes"), (3_000, 0, Some(0), Some(Reason::LimitReached)));
}

/// Somebody else holds as much after the report has read what there is: what it counts by then is refused, and it reads again.
#[test]
fn who_counts_while_somebody_reserves_leaves_what_is_held() {
    let world = subscribed_to(minutes_plan("k"));
    assert_eq!(report(&world, 1_000, "a"), Ok((1_000, 0, Some(2_000))));
    let key = || vec![Key::Usage(customer(), meter("minutes"))];
    let before =
        block_on(world.store.get(key())).unwrap_or_else(|e| panic!("{e}")).usage().unwrap_or_else(|| panic!("none"));
    hold(&world, 1_900, "b");
    let after =
        block_on(world.store.get(key())).unwrap_or_else(|e| panic!("{e}")).usage().unwrap_or_else(|| panic!("none"));
    world.store.put(Record::Usage(before));
    world.store.meanwhile(Record::Usage(after));
    assert_eq!(reached(&report(&world, 500, "c")), Some((1_000, 1_900)));
    assert_eq!(report(&world, 100, "c"), Ok((1_100, 1_900, Some(0))));
}
