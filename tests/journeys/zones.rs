//! Stories of customers who are elsewhere: what is counted on their clocks, and
//! what holds of periods on every clock there is.

use crate::changes::{amounts, preview, try_change, upgrade};
use crate::living::{on_trial_offer, try_subscribing, wanted, with_card};
use crate::stage::{
    HOUR, Is, MINUTE, PLAN, ask, command, index, is, money, opened_as, pass, period_end, subscribed_to, to_period_end,
    told,
};
use billing::calendar::zone::Zone;
use billing::calendar::{Interval, Period};
use billing::ports::{Record, Store, Write};
use billing::proration::Proration;
use billing::subscription::Command;
use billing::testing::{MemoryMailer, World, instant, request, world, zone};
use billing::workflow::{Checkout, Subscribe};
use futures::executor::block_on;
use jiff::civil::DateTime;
use jiff::tz::TimeZoneDatabase;
use jiff::{Span, Timestamp};
use proptest::prelude::{Strategy, prop_assert, prop_assert_eq, prop_oneof};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

fn from(name: &str, key: &str) -> Checkout {
    Checkout { time_zone: Some(zone(name)), ..request(PLAN, key) }
}

fn clock_of(world: &World) -> String {
    world.subscription().time_zone.to_string()
}

#[test]
fn a_month_ends_at_the_hour_at_which_it_began_there_whatever_is_done_to_the_clocks() {
    // The 31st, at five in the morning in New York; on 9 March the clocks are put forward.
    let world = subscribed_to(from("America/New_York", "first"));
    let mut ends = vec![];
    for _ in 0..4 {
        ends.push(period_end(&world).to_string());
        world.clock.set(period_end(&world) - MINUTE);
        world.run();
        let before = index(&world);
        to_period_end(&world);
        world.run();
        assert_eq!(index(&world), before.map(|index| index + 1), "it is paid when it is over, and not before");
    }
    let expected = ["2025-02-28T10:00:00Z", "2025-03-31T09:00:00Z", "2025-04-30T09:00:00Z", "2025-05-31T09:00:00Z"];
    assert_eq!((ends, money(&world)), (expected.map(str::to_owned).to_vec(), (5, 0)));
}

#[test]
fn whose_day_it_is_decides_which_month_it_is() {
    // An hour to midnight in UTC: still February there, and March in Lagos.
    let ends = ["UTC", "Africa/Lagos"].map(|name| {
        let world = world();
        world.clock.set(instant("2025-02-28T23:30:00Z"));
        let payment = opened_as(&world, from(name, "first"));
        world.gateways.visit(&payment, true);
        told(&world, &payment, "evt");
        period_end(&world).to_string()
    });
    assert_eq!(ends, ["2025-03-28T23:30:00Z", "2025-03-31T23:30:00Z"]);
}

#[test]
fn a_page_that_is_paid_late_begins_what_was_ordered_where_the_customer_was_last() {
    for (second, begins) in
        [(request(PLAN, "second"), "Asia/Tbilisi"), (from("Africa/Lagos", "second"), "Africa/Lagos")]
    {
        let world = world();
        let payment = opened_as(&world, from("Asia/Tbilisi", "first"));
        // Nobody pays in time, and another page is opened.
        pass(&world, HOUR * 30);
        world.run();
        assert_eq!((is(&world.subscription()), clock_of(&world)), (Is::Expired, "Asia/Tbilisi".to_owned()));
        opened_as(&world, second);
        world.gateways.visit(&payment, true);
        told(&world, &payment, "evt");
        assert_eq!((is(&world.subscription()), clock_of(&world)), (Is::Active, begins.to_owned()));
    }
}

#[test]
fn a_customers_clock_goes_with_them_and_is_not_changed_while_they_stay() {
    let world = subscribed_to(from("Africa/Lagos", "first"));
    assert!(ask(&world, from("Asia/Tbilisi", "second")).is_err());
    assert_eq!(clock_of(&world), "Africa/Lagos");
    assert_eq!(command(&world, Command::CancelNow), Is::Canceled);
    opened_as(&world, request(PLAN, "third"));
    assert_eq!((is(&world.subscription()), clock_of(&world)), (Is::Incomplete, "Africa/Lagos".to_owned()));
    opened_as(&world, from("Asia/Tbilisi", "fourth"));
    assert_eq!(clock_of(&world), "Asia/Tbilisi");
}

#[test]
fn a_trial_ends_at_the_hour_of_its_start_there_and_so_does_its_reminder_come() {
    let (world, inbox) = (on_trial_offer(), MemoryMailer::default());
    world.clock.set(instant("2025-03-01T12:00:00Z"));
    let there = Subscribe { time_zone: Some(zone("America/New_York")), ..wanted(PLAN) };
    try_subscribing(&world, &there, "k").unwrap_or_else(|error| panic!("{error}"));
    with_card(&world);
    // Seven in the morning, an hour earlier since the 9th.
    world.clock.set(instant("2025-03-12T10:59:59Z"));
    world.run_mailing(&inbox);
    assert_eq!(inbox.take().len(), 0);
    world.clock.set(instant("2025-03-12T11:00:00Z"));
    world.run_mailing(&inbox);
    assert_eq!(
        inbox.take().iter().map(|mail| mail.time_zone.name().to_owned()).collect::<Vec<_>>(),
        ["America/New_York"]
    );
    assert_eq!(period_end(&world), instant("2025-03-15T11:00:00Z"));
    to_period_end(&world);
    world.run();
    assert_eq!((is(&world.subscription()), period_end(&world)), (Is::Active, instant("2025-04-15T11:00:00Z")));
}

#[test]
fn the_days_that_are_left_are_those_of_the_customer() {
    // Ten in UTC is midnight there: the month began with 1 February. Half an hour to midnight of the 14th, fifteen of 28
    // days are left; in UTC it would be the day after the middle.
    let world = subscribed_to(from("Pacific/Kiritimati", "first"));
    world.clock.set(instant("2025-02-14T09:30:00Z"));
    let mut subscription = world.subscription();
    subscription.order.plan.proration = Proration::ByDay;
    let write = Write::next(Record::Subscription(subscription));
    block_on(world.store.commit(vec![write])).unwrap_or_else(|error| panic!("{error}"));
    let shown = preview(&world, &upgrade());
    assert_eq!(amounts(&shown), [-375_000, 803_571]);
    assert_eq!((shown.due_now.minor, shown.next_at), (428_571, instant("2025-02-28T10:00:00Z")));
    try_change(&world, &upgrade(), "k").unwrap_or_else(|error| panic!("{error}"));
    to_period_end(&world);
    world.run();
    assert_eq!((index(&world), period_end(&world)), (Some(1), instant("2025-03-31T10:00:00Z")));
}

// Every clock there is.

/// Since Samoa left out a day, nobody has.
const SINCE: i64 = 1_325_376_000;
const UNTIL: i64 = 2_240_524_800;

fn zones() -> Vec<Zone> {
    let names = TimeZoneDatabase::bundled();
    names.available().filter_map(|name| Zone::try_from(name.to_string()).ok()).collect()
}

fn intervals() -> impl Strategy<Value = Interval> {
    prop_oneof![
        (1_u16..40).prop_map(Interval::Days),
        (1_u16..9).prop_map(Interval::Weeks),
        (1_u16..25).prop_map(Interval::Months),
        (1_u16..4).prop_map(Interval::Years),
    ]
}

/// `count` intervals after `anchor`, as a calendar on a wall has it.
fn on_the_wall(anchor: DateTime, interval: Interval, count: u32) -> DateTime {
    let times = |length: u16| i64::from(length) * i64::from(count);
    let span = match interval {
        Interval::Days(days) => Span::new().days(times(days)),
        Interval::Weeks(weeks) => Span::new().weeks(times(weeks)),
        Interval::Months(months) => Span::new().months(times(months)),
        Interval::Years(years) => Span::new().years(times(years)),
    };
    anchor.checked_add(span).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn periods_touch_are_never_empty_and_keep_their_day_and_hour_on_every_clock() {
    let zones = zones();
    assert!(zones.len() > 500, "{} zones", zones.len());
    let cases = (proptest::sample::select(zones), intervals(), SINCE..UNTIL, 0_u32..60);
    let config = Config { cases: 20_000, failure_persistence: None, ..Config::default() };
    let held = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha)).run(
        &cases,
        |(zone, interval, anchor, index)| {
            let anchor = Timestamp::from_second(anchor).unwrap_or_default();
            let [period, next] = [index, index + 1].map(|index| Period::nth(anchor, interval, index, &zone));
            prop_assert!(period.start < period.end, "empty");
            prop_assert_eq!(period.end, next.start);
            let expected = on_the_wall(zone.clocks(anchor).datetime(), interval, index + 1);
            let (shown, meant) = (zone.clocks(period.end).datetime(), zone.to_ambiguous_zoned(expected));
            // What no clock shows comes later that day, what two hours show is the first of them.
            prop_assert!(shown == expected || meant.is_ambiguous() && shown > expected, "{shown} is not {expected}");
            prop_assert_eq!(Some(period.end), meant.compatible().ok().map(|it| it.timestamp()));
            for inside in [period.start, period.end - HOUR / 2] {
                prop_assert_eq!(Period::containing(anchor, interval, inside, &zone), period);
            }
            Ok(())
        },
    );
    held.unwrap_or_else(|error| panic!("{error}"));
}
