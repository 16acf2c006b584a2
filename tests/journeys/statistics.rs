//! Stories of what was used day by day, and of counters that are what their records say.

use crate::stage::{
    DAY, HOUR, Is, command, declined_at_period_end, is, pass, period_end, subscribed_to, to_period_end,
};
use crate::tokens::{consumed, tokens_plan};
use crate::usage::{minutes_plan, of_minutes};
use billing::id::{MeterId, PeriodId};
use billing::outcome::Remedy;
use billing::ports::Record;
use billing::statistics::{Statistics, Unusual};
use billing::subscription::Command;
use billing::testing::{World, customer, meter, zone};
use billing::workflow::{Alerts, Checkout, Use};
use futures::executor::block_on;
use jiff::civil::{Date, date};
use std::collections::BTreeMap;

fn statistics(world: &World) -> (Date, BTreeMap<Option<MeterId>, Statistics>) {
    let found = block_on(world.statistics(&customer())).unwrap_or_else(|error| panic!("{error}"));
    found.unwrap_or_else(|| panic!("no subscription"))
}

fn of_meter(world: &World) -> Statistics {
    statistics(world).1.remove(&Some(meter("minutes"))).unwrap_or_else(|| panic!("nothing was used"))
}

fn report(world: &World, uses: &[Use]) {
    let answers = block_on(world.report(&customer(), uses)).unwrap_or_else(|error| panic!("{error}"));
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
}

fn alerts(world: &World) -> Alerts {
    block_on(world.alerts(&customer())).unwrap_or_else(|error| panic!("{error}"))
}

fn unusual_days(world: &World) -> Vec<Date> {
    alerts(world).unusual.into_iter().map(|it| it.date).collect()
}

/// Ten minutes a day for a week, and today so many.
fn after_a_week_of_ten(world: &World, today: u64) {
    for n in 0..7 {
        report(world, &[of_minutes(10, &format!("day-{n}"))]);
        pass(world, DAY);
    }
    report(world, &[of_minutes(today, "today")]);
}

#[test]
fn what_is_used_is_shown_for_today_this_month_and_thirty_days() {
    let world = subscribed_to(minutes_plan("k"));
    // It is the 31st of January.
    report(&world, &[of_minutes(100, "a"), of_minutes(20, "b")]);
    let yesterday = world.clock.time().checked_sub(DAY).ok();
    report(&world, &[Use { at: yesterday, ..of_minutes(7, "late") }]);
    let found = of_meter(&world);
    assert_eq!((found.today, found.this_month, found.by_day.len()), (120, 127, 30));
    assert_eq!(found.by_day[28].used, 7, "a use that says when it was is of that day");
    pass(&world, DAY);
    report(&world, &[of_minutes(3, "c")]);
    let (today, _) = statistics(&world);
    assert_eq!(today, date(2025, 2, 1));
    assert_eq!((of_meter(&world).today, of_meter(&world).this_month), (3, 3));
}

#[test]
fn what_is_told_twice_or_refused_is_of_no_day() {
    let world = subscribed_to(minutes_plan("k"));
    report(&world, &[of_minutes(100, "a"), of_minutes(100, "a")]);
    report(&world, &[of_minutes(100, "a")]);
    let refused = block_on(world.report(&customer(), &[of_minutes(5_000, "b")]));
    assert!(refused.is_ok_and(|answers| answers[0].is_err()));
    assert_eq!(of_meter(&world).today, 100);
}

#[test]
fn tokens_have_their_days_too() {
    let world = subscribed_to(tokens_plan("k"));
    consumed(&world, 10, "a");
    consumed(&world, 10, "a");
    pass(&world, DAY);
    consumed(&world, 5, "b");
    let (_, mut all) = statistics(&world);
    let found = all.remove(&None).unwrap_or_else(|| panic!("none were used"));
    assert_eq!((found.today, found.by_day[28].used, all.len()), (5, 10, 0));
}

#[test]
fn a_day_far_above_the_customers_habit_is_said_to_be_so() {
    let world = subscribed_to(minutes_plan("k"));
    after_a_week_of_ten(&world, 30);
    assert!(!of_meter(&world).unusual && alerts(&world) == Alerts::default());
    report(&world, &[of_minutes(1, "and-one")]);
    assert!(of_meter(&world).unusual);
    let found = Unusual { meter: Some(meter("minutes")), date: date(2025, 2, 7), used: 31, usual: 10 };
    let before = world.store.records();
    assert_eq!(alerts(&world), Alerts { open: vec![], unusual: vec![found.clone()] });
    assert_eq!(world.store.records(), before, "it is seen, and not kept");
    report(&world, &[of_minutes(2_369, "near-the-limit")]);
    let told = alerts(&world);
    assert_eq!((told.open.len(), told.unusual), (1, vec![Unusual { used: 2_400, ..found }]));
    pass(&world, DAY);
    assert_eq!(
        (alerts(&world).open.len(), alerts(&world).unusual),
        (1, vec![]),
        "another day, on which nothing is used"
    );
}

#[test]
fn an_unusual_day_is_one_of_the_customers_own() {
    // It is eleven at night in Auckland, and two hours later another day there.
    for (zone_name, later) in [("UTC", vec![date(2025, 2, 7)]), ("Pacific/Auckland", vec![])] {
        let world = subscribed_to(Checkout { time_zone: Some(zone(zone_name)), ..minutes_plan("k") });
        after_a_week_of_ten(&world, 31);
        assert_eq!(unusual_days(&world), [date(2025, 2, 7)], "{zone_name}");
        pass(&world, HOUR * 2);
        assert_eq!(unusual_days(&world), later, "{zone_name}");
    }
}

#[test]
fn an_unusual_day_is_told_to_whoever_is_served() {
    let none = alerts(&billing::testing::world());
    assert_eq!(none, Alerts::default(), "who never subscribed");
    // Its last day, and an hour to its end.
    let at_its_end = || {
        let world = subscribed_to(minutes_plan("k"));
        world.clock.set(period_end(&world) - DAY * 7 - HOUR);
        after_a_week_of_ten(&world, 31);
        assert_eq!(unusual_days(&world), [date(2025, 2, 28)]);
        world
    };
    let world = at_its_end();
    to_period_end(&world);
    assert_eq!(unusual_days(&world).len(), 1, "that the renewal is late is no fault of theirs");
    declined_at_period_end(&world, Remedy::RetryLater);
    assert_eq!((is(&world.subscription()), unusual_days(&world).len()), (Is::Retrying, 1));

    let world = at_its_end();
    command(&world, Command::Pause);
    assert_eq!(alerts(&world), Alerts::default());
    command(&world, Command::Unpause);
    assert_eq!(unusual_days(&world).len(), 1);

    for leaves in [Command::PauseAtPeriodEnd, Command::CancelAtPeriodEnd] {
        let world = at_its_end();
        command(&world, leaves);
        assert_eq!(unusual_days(&world).len(), 1, "until then they are served");
        to_period_end(&world);
        assert_eq!(alerts(&world), Alerts::default(), "{leaves:?}, which nobody has got round to");
        world.run();
        assert_eq!(alerts(&world), Alerts::default(), "{leaves:?}");
    }
}

#[test]
fn an_unusual_day_of_tokens_is_told_too() {
    let world = subscribed_to(tokens_plan("k"));
    for n in 0..7 {
        consumed(&world, 10 + n % 2, &format!("day-{n}"));
        pass(&world, DAY);
    }
    consumed(&world, 31, "three-times");
    assert_eq!(unusual_days(&world), []);
    consumed(&world, 1, "and-one");
    let found = Unusual { meter: None, date: date(2025, 2, 7), used: 32, usual: 10 };
    assert_eq!(alerts(&world), Alerts { open: vec![], unusual: vec![found] });
}

/// Counted again from the records of each use, as if nobody had counted them before: by period, and by day.
#[test]
fn counters_and_days_are_what_their_records_say() {
    let world = subscribed_to(minutes_plan("k"));
    for n in 0..60_u64 {
        let uses: Vec<Use> =
            (0..n % 7 + 1).map(|i| of_minutes(n % 5 + i + 1, &format!("call-{}-{i}", n % 50))).collect();
        let answers = block_on(world.report(&customer(), &uses)).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(answers.len(), uses.len());
        pass(&world, HOUR * 11);
        if n == 30 {
            to_period_end(&world);
            world.run();
        }
    }
    let mut by_period: BTreeMap<PeriodId, u64> = BTreeMap::new();
    let mut by_day: BTreeMap<Date, u64> = BTreeMap::new();
    for record in world.store.records() {
        if let Record::UsageRecord(it) = record {
            *by_period.entry(it.period).or_default() += it.value.get();
            let at = it.at.unwrap_or(it.counted_at).to_zoned(jiff::tz::TimeZone::UTC);
            *by_day.entry(at.date()).or_default() += it.value.get();
        }
    }
    let records = world.store.records();
    let days =
        records.iter().filter_map(|record| if let Record::Day(it) = record { Some((it.date, it.value)) } else { None });
    assert_eq!(days.collect::<BTreeMap<_, _>>(), by_day);
    let counted =
        records.iter().find_map(|record| if let Record::Usage(it) = record { Some(it.clone()) } else { None });
    let counted = counted.unwrap_or_else(|| panic!("nothing is counted"));
    let last = by_period.last_key_value().map(|(period, value)| (Some(period.clone()), *value));
    assert_eq!(Some((counted.period, counted.value)), last);
    assert!(by_period.len() > 1 && by_day.len() > 20, "{by_period:?} {by_day:?}");
}
