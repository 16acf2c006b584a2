//! Stories of days that are reckoned again from the records of their uses: 1,000 minutes are included, and more is sold. It is
//! the 31st of January.

use crate::overage::{counted, minutes, overage_price, renewed, starter, starter_of};
use crate::rebuilding::{rebuild, tamper};
use crate::shards::in_shards;
use crate::stage::{DAY, HOUR, command, opened_as, pass, subscribed_to, told};
use crate::usage::{minutes_plan, of_minutes};
use billing::calendar::zone::Zone;
use billing::ports::{Key, Record};
use billing::statistics::{DayRecount, DayUsage, Statistics};
use billing::subscription::{Command, Event};
use billing::testing::{World, customer, meter, zone};
use billing::usage::MeterUsage;
use billing::workflow::{Checkout, RebuildError, Rebuilt, Use};
use futures::executor::block_on;
use jiff::ToSpan;
use jiff::civil::{Date, date};

fn today(world: &World) -> Date {
    world.clock.time().to_zoned((*world.subscription().time_zone).clone()).date()
}

fn day(of_what: Option<&str>, date: Date, shard: u8, value: u64) -> DayUsage {
    DayUsage { customer: customer(), date, meter: of_what.map(meter), shard, value }
}

/// Somebody has written to the table what nobody used so many days ago, outside of all shards.
pub(crate) fn tamper_with_day(world: &World, days_ago: i32, value: u64) {
    let date = today(world).checked_sub(days_ago.days()).unwrap_or_else(|error| panic!("{error}"));
    world.store.put(Record::Day(day(Some("minutes"), date, 0, value)));
}

fn rebuilt(world: &World, dry_run: bool) -> Rebuilt {
    rebuild(world, "minutes", dry_run).unwrap_or_else(|error| panic!("{error}"))
}

/// Of the days that were not what is recorded: which, what was said of it, and what is recorded.
fn days(world: &World, dry_run: bool) -> Vec<(Date, u64, u64)> {
    let rebuilt = rebuilt(world, dry_run);
    assert!(rebuilt.periods.iter().all(|it| it.counted == it.recorded), "{rebuilt:?}");
    rebuilt.days.iter().map(|it| (it.date, it.counted, it.recorded)).collect()
}

fn shown(world: &World) -> Option<Statistics> {
    let found = block_on(world.statistics(&customer())).unwrap_or_else(|error| panic!("{error}"));
    found.unwrap_or_else(|| panic!("no subscription")).1.remove(&Some(meter("minutes")))
}

/// Today, yesterday, and so on: what the customer is shown of it.
fn shown_of_last(world: &World, count: usize) -> Vec<u64> {
    let shown = shown(world).unwrap_or_else(|| panic!("nothing was used"));
    shown.by_day.iter().rev().take(count).map(|it| it.used).collect()
}

/// What is stored of each part of each day.
fn stored(world: &World) -> Vec<DayUsage> {
    let day = |record| if let Record::Day(it) = record { Some(it) } else { None };
    world.store.records().into_iter().filter_map(day).collect()
}

fn history(world: &World) -> Vec<Vec<DayRecount>> {
    let rebuilt = |record| {
        let Record::History { event: Event::DaysRebuilt { days, .. }, .. } = record else { return None };
        Some(days)
    };
    world.store.records().into_iter().filter_map(rebuilt).collect()
}

fn version(world: &World) -> u64 {
    world.key(Key::Usage(customer(), meter("minutes"))).usage().map_or(0, |it| it.version)
}

#[test]
fn days_that_say_something_else_are_told_of_and_put_right_when_that_is_asked_for() {
    let world = starter();
    for n in 0..4 {
        assert!(minutes(&world, 10 + n, &format!("day-{n}")).is_ok());
        pass(&world, DAY);
    }
    assert!(minutes(&world, 14, "today").is_ok());
    assert_eq!((days(&world, false), shown_of_last(&world, 5)), (vec![], vec![14, 13, 12, 11, 10]));
    // Too much, too little, nothing; and something on a day without any.
    for (days_ago, value) in [(0, 40), (1, 1), (3, 0), (6, 8)] {
        tamper_with_day(&world, days_ago, value);
    }
    let wrong =
        [(date(2025, 1, 29), 8, 0), (date(2025, 2, 1), 0, 11), (date(2025, 2, 3), 1, 13), (date(2025, 2, 4), 40, 14)];
    let before = world.store.records();
    assert_eq!(days(&world, true), wrong);
    assert!(world.store.records() == before, "a dry run changes nothing");
    let read = version(&world);
    assert_eq!(days(&world, false), wrong);
    assert_eq!(shown_of_last(&world, 7), [14, 13, 12, 11, 10, 0, 0]);
    assert!(version(&world) > read, "the counter is written with them, right as it was");
    let told: Vec<(Date, u64, u64)> =
        history(&world).concat().iter().map(|it| (it.date, it.counted, it.recorded)).collect();
    assert_eq!((history(&world).len(), told), (1, wrong.to_vec()), "all of them are one line of the history");
    let after = world.store.records();
    assert_eq!(days(&world, false), []);
    assert!(world.store.records() == after, "what is right is left alone");
    assert_eq!(minutes(&world, 6, "and-on"), Ok(66));
    assert_eq!(shown_of_last(&world, 1), [20]);
}

#[test]
fn a_counter_and_its_days_are_put_right_at_once_and_each_by_itself() {
    for (counter, of_day) in [(true, true), (true, false), (false, true)] {
        let world = starter();
        assert_eq!(minutes(&world, 500, "a"), Ok(500));
        if counter {
            tamper(&world, |held| MeterUsage { value: 20, ..held });
        }
        if of_day {
            tamper_with_day(&world, 0, 7);
        }
        let read = world.subscription().version;
        let found = rebuilt(&world, false);
        assert_eq!((found.periods[0].counted, found.periods[0].recorded), (if counter { 20 } else { 500 }, 500));
        let wrong = DayRecount { date: date(2025, 1, 31), counted: 7, recorded: 500 };
        assert_eq!(found.days, if of_day { vec![wrong] } else { vec![] });
        assert_eq!(world.subscription().version, read + 1, "in one transaction");
        assert_eq!(history(&world), if of_day { vec![vec![wrong]] } else { vec![] });
        assert_eq!((minutes(&world, 1, "b"), shown_of_last(&world, 1)), (Ok(501), vec![501]));
    }
}

#[test]
fn a_day_is_put_right_in_whichever_places_it_is_kept_and_counted_on_in_them() {
    for value in [0, 7, 5_000] {
        let world = starter_of(in_shards(4), 1_000, &overage_price());
        for n in 1..=300 {
            assert_eq!(minutes(&world, 1, &format!("call-{n}")), Ok(n));
        }
        let parts = stored(&world);
        assert!(parts.len() == 5 && days(&world, true).is_empty(), "{parts:?}");
        let of_second = parts.iter().find(|it| it.shard == 2).map_or(0, |it| it.value);
        assert!(of_second > 7, "{parts:?}");
        world.store.put(Record::Day(day(Some("minutes"), date(2025, 1, 31), 2, value)));
        assert_eq!(days(&world, false), [(date(2025, 1, 31), 300 - of_second + value, 300)]);
        let parts: Vec<(u8, u64)> = stored(&world).iter().map(|it| (it.shard, it.value)).collect();
        assert_eq!(parts, [(0, 300), (1, 0), (2, 0), (3, 0), (4, 0)]);
        for n in 301..=400 {
            assert_eq!(minutes(&world, 1, &format!("call-{n}")), Ok(n));
        }
        assert_eq!((days(&world, false), shown_of_last(&world, 1)), (vec![], vec![400]));
    }
}

#[test]
fn a_use_that_says_when_it_was_is_of_that_day_whenever_it_was_told() {
    let world = starter();
    let then = world.clock.time();
    assert_eq!(minutes(&world, 5, "first"), Ok(5));
    renewed(&world);
    // On the 28th of February: of the period before, and of the one at hand.
    assert_eq!(counted(&world, Use { at: Some(then + DAY * 7), ..of_minutes(20, "late") }), Ok(25));
    pass(&world, HOUR * 20);
    let yesterday = world.clock.time() - HOUR * 10;
    assert_eq!(counted(&world, Use { at: Some(yesterday), ..of_minutes(30, "yesterday") }), Ok(30));
    assert_eq!(minutes(&world, 40, "now"), Ok(70));
    assert_eq!(days(&world, false), []);
    for days_ago in [0, 1, 22] {
        tamper_with_day(&world, days_ago, 1);
    }
    let wrong = [(date(2025, 2, 7), 1, 20), (date(2025, 2, 28), 1, 30), (date(2025, 3, 1), 1, 40)];
    assert_eq!(days(&world, false), wrong);
    assert_eq!(days(&world, false), []);
}

#[test]
fn a_day_that_is_not_shown_any_more_and_what_is_of_something_else_is_left_alone() {
    let world = starter();
    assert_eq!(minutes(&world, 500, "a"), Ok(500));
    pass(&world, DAY * 12);
    assert_eq!(minutes(&world, 1, "b"), Ok(501));
    // It is the 12th of February: the thirty days begin on the 14th of January.
    let others = [
        day(Some("minutes"), date(2025, 1, 13), 0, 9),
        day(Some("minutes"), date(2025, 2, 13), 0, 9),
        day(Some("calls"), date(2025, 1, 31), 0, 9),
        day(None, date(2025, 1, 31), 0, 9),
    ];
    others.iter().for_each(|it| world.store.put(Record::Day(it.clone())));
    let (first, last) = (day(Some("minutes"), date(2025, 1, 14), 0, 9), day(Some("minutes"), date(2025, 2, 12), 3, 9));
    [first, last].into_iter().for_each(|it| world.store.put(Record::Day(it)));
    assert_eq!(days(&world, false), [(date(2025, 1, 14), 9, 0), (date(2025, 2, 12), 10, 1)]);
    let kept = stored(&world);
    assert!(others.iter().all(|it| kept.contains(it)), "{kept:?}");
}

#[test]
fn a_meter_that_was_not_used_is_not_shown_when_its_days_are_put_right() {
    let world = starter();
    tamper_with_day(&world, 3, 8);
    assert!(shown(&world).is_some_and(|it| it.by_day[26].used == 8));
    assert_eq!(days(&world, false), [(date(2025, 1, 28), 8, 0)]);
    assert_eq!(shown(&world), None);
}

#[test]
fn what_others_count_meanwhile_is_of_its_day_too() {
    let world = starter();
    assert_eq!(minutes(&world, 500, "a"), Ok(500));
    tamper_with_day(&world, 0, 7);
    let held = world.key(Key::Usage(customer(), meter("minutes"))).usage().unwrap_or_else(|| panic!("nothing"));
    // Just before it is kept, somebody has written the counter.
    world.store.meanwhile(Record::Usage(MeterUsage { version: held.version + 1, ..held.clone() }));
    assert_eq!(days(&world, false), [(date(2025, 1, 31), 7, 500)], "it is read again");
    assert_eq!((version(&world), history(&world).len()), (held.version + 2, 1));
    // What was read of the counter is of another moment than the days.
    world.store.tear(Key::Usage(customer(), meter("minutes")));
    assert_eq!(days(&world, true), []);
}

#[test]
fn more_days_than_a_transaction_has_writes_are_put_right_one_after_another() {
    // Of all thirty-one days of the month, each in nine places.
    let damaged = || {
        let world = starter();
        assert_eq!(minutes(&world, 500, "a"), Ok(500));
        tamper(&world, |held| MeterUsage { value: 20, ..held });
        for date in date(2025, 1, 1).series(1.day()).take(31) {
            (0..=8).for_each(|shard| world.store.put(Record::Day(day(Some("minutes"), date, shard, 1))));
        }
        world
    };
    let wrong: Vec<(Date, u64, u64)> =
        date(2025, 1, 1).series(1.day()).take(31).map(|it| (it, 9, if it.day() == 31 { 500 } else { 0 })).collect();
    let told = |found: &Rebuilt| {
        let [period] = &found.periods[..] else { panic!("one period") };
        let days = found.days.iter().map(|it| (it.date, it.counted, it.recorded));
        (period.counted, period.recorded, days.collect::<Vec<_>>())
    };
    let world = damaged();
    assert_eq!(told(&rebuilt(&world, true)), (20, 500, wrong.clone()));
    assert_eq!(told(&rebuilt(&world, false)), (20, 500, wrong.clone()));
    assert_eq!(history(&world).iter().map(Vec::len).collect::<Vec<_>>(), [9, 9, 9, 4]);
    assert_eq!((days(&world, false), shown_of_last(&world, 2)), (vec![], vec![500, 0]));
    // Whoever is cut short has done some of it, and the same again does the rest.
    let world = damaged();
    world.store.fail_after(2);
    assert!(matches!(rebuild(&world, "minutes", false), Err(RebuildError::Store(_))));
    world.store.recover();
    assert_eq!(days(&world, false), wrong[18..]);
    assert_eq!(shown_of_last(&world, 2), [500, 0]);
}

fn in_zone(name: &str, key: &str) -> Checkout {
    Checkout { time_zone: Some(zone(name)), ..minutes_plan(key) }
}

#[test]
fn a_day_is_one_of_the_customers_own_calendar() {
    let world = subscribed_to(in_zone("Pacific/Auckland", "k"));
    // Ten in the evening there, and three hours later.
    assert_eq!(minutes(&world, 5, "a"), Ok(5));
    pass(&world, HOUR * 3);
    assert_eq!(minutes(&world, 6, "b"), Ok(11));
    assert_eq!(days(&world, false), []);
    tamper_with_day(&world, 0, 1);
    tamper_with_day(&world, 1, 2);
    assert_eq!(days(&world, false), [(date(2025, 1, 31), 2, 5), (date(2025, 2, 1), 1, 6)]);
}

#[test]
fn who_has_moved_has_the_days_of_before_as_they_were_counted_there() {
    let world = subscribed_to(in_zone("Pacific/Auckland", "k"));
    pass(&world, HOUR * 3);
    assert_eq!(minutes(&world, 5, "there"), Ok(5));
    command(&world, Command::CancelNow);
    let again = opened_as(&world, in_zone("UTC", "again"));
    world.gateways.visit(&again, true);
    told(&world, &again, "evt_again");
    assert_eq!(world.subscription().time_zone, Zone::UTC);
    // It is the 1st of February in Auckland, and the 31st of January here.
    assert_eq!(minutes(&world, 7, "here"), Ok(7));
    pass(&world, DAY);
    assert_eq!((days(&world, false), shown_of_last(&world, 2)), (vec![], vec![5, 7]));
    tamper_with_day(&world, 0, 80);
    tamper_with_day(&world, 1, 90);
    assert_eq!(days(&world, false), [(date(2025, 1, 31), 90, 7), (date(2025, 2, 1), 80, 5)]);
}
