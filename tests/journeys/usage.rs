//! Stories of what is counted: each use once, in the period at hand, and never more than the plan allows.

use crate::stage::{DAY, HOUR, command, pass, subscribed_to, to_period_end};
use billing::calendar::Interval;
use billing::entitlement::{Reason, Standing};
use billing::id::{FeatureId, UsageId};
use billing::money::Currency;
use billing::ports::{Key, Record};
use billing::subscription::Command;
use billing::testing::{World, catalogue, customer, meter, request, world};
use billing::usage::MeterUsage;
use billing::workflow::{Checkout, MeterError, NotCounted, OpenAlert, Use};
use futures::executor::block_on;
use jiff::Timestamp;
use std::num::NonZeroU64;

/// Pro: 3,000 minutes a month, and five agents.
pub(crate) fn minutes_plan(key: &str) -> Checkout {
    let usd = Currency::from_code("USD").unwrap_or_else(|| panic!("USD"));
    Checkout { interval: Interval::Month, currency: usd, ..request("minutes-pro", key) }
}

pub(crate) fn of_minutes(value: u64, id: &str) -> Use {
    let id = UsageId::try_from(id.to_owned()).unwrap_or_else(|error| panic!("{error}"));
    let value = NonZeroU64::new(value).unwrap_or_else(|| panic!("nothing"));
    Use { meter: meter("minutes"), value, id, at: None }
}

fn report(world: &World, uses: &[Use]) -> Vec<Result<Standing, NotCounted>> {
    block_on(world.report(&customer(), uses)).unwrap_or_else(|error| panic!("{error}"))
}

/// How many are used then.
fn told(world: &World, it: Use) -> Result<u64, NotCounted> {
    report(world, &[it]).remove(0).map(|standing| standing.used)
}

fn minutes(world: &World, value: u64, id: &str) -> Result<u64, NotCounted> {
    told(world, of_minutes(value, id))
}

fn used(world: &World) -> Option<u64> {
    let live = block_on(world.lookup(&customer())).unwrap_or_else(|error| panic!("{error}"));
    live.and_then(|live| live.usage.get(&meter("minutes")).copied())
}

/// Why no minutes can be used.
fn reason(world: &World) -> Option<Reason> {
    let name = FeatureId::try_from("minutes".to_owned()).unwrap_or_else(|error| panic!("{error}"));
    block_on(world.entitlement(&customer(), &name)).unwrap_or_else(|error| panic!("{error}")).reason
}

fn reached(used: u64, outcome: &Result<u64, NotCounted>) -> bool {
    matches!(outcome, Err(NotCounted::LimitReached(standing)) if standing.used == used)
}

#[test]
fn each_use_is_counted_once_under_its_id() {
    let world = subscribed_to(minutes_plan("k"));
    assert_eq!(minutes(&world, 100, "call-1"), Ok(100));
    assert_eq!(minutes(&world, 50, "call-2"), Ok(150));
    assert_eq!(minutes(&world, 100, "call-1"), Ok(150), "told again, it is counted");
    assert_eq!(minutes(&world, 101, "call-1"), Err(NotCounted::IdReused));
    let later = Use { at: Some(world.clock.time()), ..of_minutes(100, "call-1") };
    assert_eq!(told(&world, later), Err(NotCounted::IdReused));
    // The reference numbers: 150 of 3000 are 5.0 per cent.
    let standing = report(&world, &[of_minutes(50, "call-2")]).remove(0);
    assert_eq!(standing.map(|it| (it.remaining, it.per_mille)), Ok((Some(2_850), Some(50))));
    assert_eq!(used(&world), Some(150));
    let kept = |record| if let Record::UsageRecord(it) = record { Some(it.expires_at) } else { None };
    let kept: Vec<_> = world.store.records().into_iter().filter_map(kept).collect();
    let a_year_and_a_month = world.clock.time() + DAY * 400;
    assert_eq!(kept, [a_year_and_a_month; 2]);
}

#[test]
fn what_is_beyond_the_limit_is_not_counted_and_what_fits_is() {
    let world = subscribed_to(minutes_plan("k"));
    assert_eq!(minutes(&world, 2_999, "a"), Ok(2_999));
    assert!(reached(2_999, &minutes(&world, 2, "b")));
    // Refused is not used: the same id may be told of less.
    assert_eq!(minutes(&world, 1, "b"), Ok(3_000));
    assert!(reached(3_000, &minutes(&world, 1, "c")));
    assert!(reached(3_000, &minutes(&world, u64::MAX, "d")));
    assert_eq!(reason(&world), Some(Reason::LimitReached));
}

#[test]
fn each_of_a_batch_is_answered_by_itself_and_in_its_place() {
    let world = subscribed_to(minutes_plan("k"));
    assert_eq!(minutes(&world, 1, "known"), Ok(1));
    let strange = Use { meter: meter("faxes"), ..of_minutes(1, "x") };
    let gauge = Use { meter: meter("agents"), ..of_minutes(1, "y") };
    let batch = [
        of_minutes(2_000, "a"),
        of_minutes(1_000, "b"),
        of_minutes(999, "c"),
        of_minutes(999, "c"),
        of_minutes(1, "c"),
        of_minutes(1, "known"),
        strange,
        gauge,
    ];
    let answers: Vec<_> = report(&world, &batch).into_iter().map(|it| it.map(|it| it.used)).collect();
    assert_eq!(answers[0], Ok(2_001));
    assert!(reached(2_001, &answers[1]));
    assert_eq!([answers[2].clone(), answers[3].clone()], [Ok(3_000), Ok(3_000)], "the same twice is counted once");
    assert_eq!(answers[4], Err(NotCounted::IdReused));
    assert_eq!(answers[5], Ok(3_000));
    assert_eq!(answers[6], Err(MeterError::NoSuchMeter(meter("faxes")).into()));
    assert_eq!(answers[7], Err(MeterError::NotACounter(meter("agents")).into()));
    assert_eq!(used(&world), Some(3_000));
}

#[test]
fn five_hundred_at_once_are_all_counted() {
    let world = subscribed_to(minutes_plan("k"));
    let batch: Vec<Use> = (0..500).map(|n| of_minutes(2, &format!("call-{n}"))).collect();
    let answers = report(&world, &batch);
    assert_eq!(answers.iter().filter(|it| it.is_ok()).count(), 500);
    assert_eq!(answers[499].as_ref().map(|it| it.used), Ok(1_000));
    assert_eq!((report(&world, &batch).len(), used(&world)), (500, Some(1_000)));
}

#[test]
fn every_period_starts_at_zero_even_before_it_is_paid() {
    let world = subscribed_to(minutes_plan("k"));
    assert_eq!(minutes(&world, 3_000, "a"), Ok(3_000));
    assert_eq!((used(&world), reason(&world)), (Some(3_000), Some(Reason::LimitReached)));
    to_period_end(&world);
    // The worker has not come yet, which is not the customer's fault; and who only asks is told the same as who uses it.
    assert_eq!((used(&world), reason(&world), alerts(&world)), (Some(0), None, vec![]));
    assert_eq!(minutes(&world, 10, "b"), Ok(10));
    world.run();
    assert_eq!(used(&world), Some(10));
    assert_eq!(minutes(&world, 5, "c"), Ok(15));
    to_period_end(&world);
    world.run();
    assert_eq!(used(&world), Some(0));
    // What was told in a period that is over is not counted again in this one.
    assert_eq!((minutes(&world, 3_000, "a"), used(&world)), (Ok(0), Some(0)));
}

#[test]
fn what_is_late_counts_in_the_period_at_hand_and_what_is_to_come_in_none() {
    let world = subscribed_to(minutes_plan("k"));
    let before = world.clock.time();
    to_period_end(&world);
    world.run();
    let late = Use { at: Some(before), ..of_minutes(7, "late") };
    assert_eq!((told(&world, late), used(&world)), (Ok(7), Some(7)));
    let at = |ahead| Some(world.clock.time() + ahead);
    let soon = Use { at: at(jiff::SignedDuration::from_mins(5)), ..of_minutes(1, "soon") };
    assert_eq!(told(&world, soon), Ok(8));
    let to_come = Use { at: at(HOUR), ..of_minutes(1, "to-come") };
    assert_eq!(told(&world, to_come), Err(NotCounted::InFuture));
}

#[test]
fn a_clock_that_is_behind_takes_nothing_back() {
    let world = subscribed_to(minutes_plan("k"));
    to_period_end(&world);
    assert_eq!(minutes(&world, 10, "ahead"), Ok(10));
    let now = world.clock.time();
    world.clock.set(Timestamp::from_second(now.as_second() - 60).unwrap_or(now));
    assert_eq!(minutes(&world, 5, "behind"), Ok(15));
    assert_eq!(used(&world), Some(15));
}

#[test]
fn who_is_not_served_uses_nothing() {
    assert_eq!(minutes(&world(), 1, "a"), Err(NotCounted::NoSubscription));
    let world = subscribed_to(minutes_plan("k"));
    assert_eq!(minutes(&world, 1, "a"), Ok(1));
    command(&world, Command::Pause);
    assert_eq!(minutes(&world, 1, "b"), Err(NotCounted::NoSubscription));
    assert_eq!(minutes(&world, 1, "a"), Ok(1), "what was counted is told again");
    command(&world, Command::Unpause);
    assert_eq!(minutes(&world, 1, "b"), Ok(2));
}

#[test]
fn a_meter_may_be_called_by_its_alias() {
    let world = world();
    let mut family = catalogue("minutes");
    family.family.meters[0].aliases.push(meter("talk"));
    block_on(world.load(family)).unwrap_or_else(|error| panic!("{error}"));
    let payment = block_on(world.checkout(minutes_plan("k"))).unwrap_or_else(|error| panic!("{error}"));
    world.gateways.visit(&payment, true);
    crate::stage::told(&world, &payment, "evt");
    assert_eq!(minutes(&world, 5, "a"), Ok(5));
    assert_eq!(told(&world, Use { meter: meter("talk"), ..of_minutes(2, "b") }), Ok(7));
    assert_eq!(
        told(&world, Use { meter: meter("talk"), ..of_minutes(5, "a") }),
        Ok(7),
        "by either name it is the same"
    );
    assert_eq!(used(&world), Some(7));
}

/// A reporter who heard nothing tells again while the first report is taken. What is read then is not of one moment.
#[test]
fn who_tells_again_while_it_is_counted_is_not_told_that_nothing_was() {
    let world = subscribed_to(minutes_plan("k"));
    let full = of_minutes(3_000, "a");
    assert_eq!(told(&world, full.clone()), Ok(3_000));
    world.store.tear(Key::UsageRecord(customer(), full.id.clone()));
    assert_eq!(told(&world, full.clone()), Ok(3_000));
    command(&world, Command::Pause);
    world.store.tear(Key::UsageRecord(customer(), full.id.clone()));
    assert_eq!((told(&world, full), used(&world)), (Ok(3_000), Some(3_000)));
}

#[test]
fn of_two_who_report_at_once_the_second_has_what_the_first_left() {
    let world = subscribed_to(minutes_plan("k"));
    assert_eq!(minutes(&world, 1, "a"), Ok(1));
    let meanwhile = |value| {
        let held = world.key(Key::Usage(customer(), meter("minutes"))).usage().unwrap_or_else(|| panic!("nothing"));
        world.store.meanwhile(Record::Usage(MeterUsage { value, version: held.version + 1, ..held }));
    };
    meanwhile(2_990);
    drop(minutes(&world, 10, "b"));
    assert_eq!(used(&world), Some(3_000));
    assert!(reached(3_000, &minutes(&world, 1, "c")));
    // And of two who are the first, one is told to look again.
    to_period_end(&world);
    pass(&world, DAY);
    world.run();
    meanwhile(0);
    assert_eq!(minutes(&world, 4, "d"), Ok(4));
}

/// The alerts that are open, each with what is in use, and whether the customer has seen it.
fn alerts(world: &World) -> Vec<(String, u16, u64, bool)> {
    let alerts = block_on(world.alerts(&customer())).unwrap_or_else(|error| panic!("{error}"));
    let told = |it: OpenAlert| (it.meter.to_string(), it.alert.percent, it.used, it.alert.acknowledged_at.is_some());
    alerts.open.into_iter().map(told).collect()
}

fn of(name: &str, percent: u16, used: u64, acknowledged: bool) -> (String, u16, u64, bool) {
    (name.to_owned(), percent, used, acknowledged)
}

fn acknowledge(world: &World, name: &str) -> usize {
    let answer = block_on(world.acknowledge(&customer(), &meter(name), true));
    answer.unwrap_or_else(|error| panic!("{error}")).len()
}

#[test]
fn a_customer_is_alerted_once_a_period_as_a_limit_comes_near_and_is_reached() {
    let world = subscribed_to(minutes_plan("k"));
    assert_eq!(minutes(&world, 2_399, "a"), Ok(2_399));
    assert_eq!((alerts(&world), acknowledge(&world, "minutes")), (vec![], 0));
    assert_eq!(minutes(&world, 1, "b"), Ok(2_400));
    assert_eq!(alerts(&world), [of("minutes", 80, 2_400, false)]);
    assert_eq!(acknowledge(&world, "minutes"), 1);
    assert_eq!(minutes(&world, 100, "c"), Ok(2_500));
    assert_eq!(alerts(&world), [of("minutes", 80, 2_500, true)]);
    assert_eq!(minutes(&world, 500, "d"), Ok(3_000));
    assert_eq!(alerts(&world), [of("minutes", 80, 3_000, true), of("minutes", 100, 3_000, false)]);
    to_period_end(&world);
    assert_eq!(alerts(&world), [], "the period is over, and nothing is used in the next one");
    assert_eq!(minutes(&world, 1, "e"), Ok(1));
    assert_eq!(alerts(&world), []);
    assert_eq!(minutes(&world, 2_399, "f"), Ok(2_400));
    assert_eq!(alerts(&world), [of("minutes", 80, 2_400, false)]);
}

#[test]
fn a_level_alerts_too_and_a_bigger_plan_ends_it() {
    let world = subscribed_to(minutes_plan("k"));
    let set = |value| block_on(world.set_usage(&customer(), &meter("agents"), value)).is_ok();
    assert!(set(4));
    assert_eq!(alerts(&world), [of("agents", 80, 4, false)]);
    assert!(set(3) && alerts(&world).is_empty());
    assert!(set(4));
    assert_eq!(alerts(&world), [of("agents", 80, 4, false)]);
    assert!(set(7));
    assert_eq!(alerts(&world), [of("agents", 80, 7, false), of("agents", 100, 7, false)]);
    command(&world, Command::CancelNow);
    assert_eq!(alerts(&world), [], "who is served no more is warned of nothing");
}

#[test]
fn whoever_brings_a_meter_to_a_line_raises_its_alert_whatever_others_count_meanwhile() {
    let world = subscribed_to(minutes_plan("k"));
    assert_eq!(minutes(&world, 2_000, "a"), Ok(2_000));
    // By what was read, 399 more leave it below; but meanwhile there are 2,100.
    let key = Key::Usage(customer(), meter("minutes"));
    let held = block_on(billing::ports::Store::get(&world.store, vec![key]));
    let held = held.unwrap_or_else(|error| panic!("{error}")).usage().unwrap_or_else(|| panic!("nothing is counted"));
    world.store.meanwhile(Record::Usage(MeterUsage { value: 2_100, version: held.version + 1, ..held }));
    assert_eq!(minutes(&world, 399, "b"), Ok(2_499));
    assert_eq!(alerts(&world), [of("minutes", 80, 2_499, false)]);
}
