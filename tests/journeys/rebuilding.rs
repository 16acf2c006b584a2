//! Stories of counters that are reckoned again from the records of their uses: 1,000 minutes are included, and more is sold.

use crate::overage::{minutes, renewed, starter};
use crate::stage::{DAY, command, pass, subscribed_to, to_period_end};
use crate::usage::{minutes_plan, of_minutes};
use billing::ports::{Key, Record};
use billing::subscription::{Command, Event, Intervention};
use billing::testing::{World, customer, idempotency_key, meter};
use billing::usage::MeterUsage;
use billing::workflow::{MeterError, Rebuild, RebuildError, Rebuilt, Use};
use futures::executor::block_on;

pub(crate) fn rebuild(world: &World, name: &str, dry_run: bool) -> Result<Rebuilt, RebuildError> {
    block_on(world.rebuild(&Rebuild { customer: customer(), meter: meter(name), dry_run }))
}

/// By period: its index, what was counted and what is recorded. No day says anything else than what is recorded.
fn recounted(world: &World, dry_run: bool) -> Vec<(u32, u64, u64)> {
    let found = rebuild(world, "minutes", dry_run).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(found.days, []);
    found.periods.into_iter().map(|it| (it.period.index, it.counted, it.recorded)).collect()
}

fn stored(world: &World) -> MeterUsage {
    world.key(Key::Usage(customer(), meter("minutes"))).usage().unwrap_or_else(|| panic!("nothing is counted"))
}

/// Somebody has written to the table what nobody counted.
pub(crate) fn tamper(world: &World, change: impl Fn(MeterUsage) -> MeterUsage) {
    let held = stored(world);
    world.store.put(Record::Usage(change(MeterUsage { version: held.version + 1, ..held })));
}

fn history(world: &World) -> Vec<(u64, u64)> {
    let rebuilt = |record| {
        let Record::History { event: Event::CounterRebuilt { from, to, .. }, .. } = record else { return None };
        Some((from, to))
    };
    world.store.records().into_iter().filter_map(rebuilt).collect()
}

/// Whatever is told, twice, late, beyond the limit, under an id of another use, by batches and over three periods.
#[test]
fn what_was_counted_is_what_is_recorded_whatever_was_reported() {
    for seed in 1..=20_u64 {
        let world = starter();
        let mut dice = seed;
        let mut roll = |sides: u64| {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (dice >> 33) % sides
        };
        for _ in 0..3 {
            for _ in 0..40 {
                let late = (roll(4) == 0).then(|| world.clock.time());
                let some = (0..=roll(40)).map(|_| {
                    let value = roll(90) + 1;
                    Use { at: late, ..of_minutes(value, &format!("call-{}", roll(400))) }
                });
                let uses: Vec<Use> = some.collect();
                block_on(world.report(&customer(), &uses)).unwrap_or_else(|error| panic!("{error}"));
                pass(&world, DAY / 24);
            }
            let before = world.store.records();
            for (_, counted, recorded) in recounted(&world, false) {
                assert_eq!(counted, recorded, "seed {seed}");
            }
            assert_eq!(stored(&world).value, recounted(&world, true)[0].1);
            assert!(world.store.records() == before, "what is right is left alone");
            renewed(&world);
        }
    }
}

#[test]
fn a_counter_that_says_something_else_is_told_of_and_set_right_when_that_is_asked_for() {
    let world = starter();
    assert_eq!((minutes(&world, 500, "a"), minutes(&world, 400, "b")), (Ok(500), Ok(900)));
    tamper(&world, |held| MeterUsage { value: 20, alerts: vec![], ..held });
    let before = world.store.records();
    assert_eq!(recounted(&world, true), [(0, 20, 900)]);
    assert!(world.store.records() == before, "a dry run changes nothing");
    pass(&world, DAY);
    assert_eq!(recounted(&world, false), [(0, 20, 900)]);
    assert_eq!(stored(&world).at, world.clock.time());
    let alerts: Vec<u16> = stored(&world).alerts.iter().map(|it| it.percent).collect();
    assert_eq!((stored(&world).value, alerts, history(&world)), (900, vec![80], vec![(20, 900)]));
    assert_eq!(recounted(&world, false), [(0, 900, 900)]);
    assert_eq!(history(&world).len(), 1, "what is right needs no history");
    // And it goes on from there.
    assert_eq!(minutes(&world, 100, "c"), Ok(1_000));
    tamper(&world, |held| MeterUsage { value: 5_000, ..held });
    assert_eq!(recounted(&world, false), [(0, 5_000, 1_000)]);
    assert_eq!(minutes(&world, 1, "d"), Ok(1_001));
}

#[test]
fn a_counter_that_is_gone_comes_back() {
    let world = starter();
    assert_eq!(recounted(&world, false), [(0, 0, 0)], "nothing was used");
    assert_eq!(minutes(&world, 500, "a"), Ok(500));
    // It counts for another subscription, as far as it says.
    let other = billing::id::SubscriptionId::nth(&customer(), 9);
    let elsewhere = billing::id::PeriodId { subscription: other, index: 0 };
    tamper(&world, |held| MeterUsage { period: Some(elsewhere.clone()), ..held });
    assert_eq!(recounted(&world, false), [(0, 0, 500)]);
    assert_eq!(minutes(&world, 1, "b"), Ok(501));
}

#[test]
fn what_is_on_no_invoice_yet_is_set_right_before_it_is_billed() {
    let world = starter();
    assert_eq!(minutes(&world, 1_100, "a"), Ok(1_100));
    to_period_end(&world);
    // Nobody has got round to the renewal, and the next period is counted in.
    assert_eq!(minutes(&world, 7, "b"), Ok(7));
    tamper(&world, |held| MeterUsage { before: held.before.map(|(period, _)| (period, 9_000)), value: 8, ..held });
    assert_eq!(recounted(&world, false), [(0, 9_000, 1_100), (1, 8, 7)]);
    assert_eq!(history(&world), [(9_000, 1_100), (8, 7)]);
    pass(&world, DAY);
    world.run();
    let last = block_on(world.payments(&customer(), None, 1)).unwrap_or_else(|error| panic!("{error}")).remove(0);
    assert_eq!(last.amount.minor, 2_900 + 100 * 5);
    assert_eq!(recounted(&world, false), [(1, 7, 7)], "what is billed is not touched");
}

#[test]
fn what_others_count_meanwhile_is_counted_and_what_they_count_does_not_go_under() {
    let world = starter();
    assert_eq!(minutes(&world, 500, "a"), Ok(500));
    tamper(&world, |held| MeterUsage { value: 20, ..held });
    let held = stored(&world);
    // Just before it is kept, somebody adds to the counter as it was.
    world.store.meanwhile(Record::Usage(MeterUsage { value: 27, version: held.version + 1, ..held }));
    assert_eq!(recounted(&world, false), [(0, 27, 500)], "it is read again");
    assert_eq!(stored(&world).value, 500);
}

#[test]
fn a_dry_run_tells_of_no_difference_that_is_a_use_counted_meanwhile() {
    let world = starter();
    assert_eq!(minutes(&world, 900, "a"), Ok(900));
    world.store.tear(Key::Usage(customer(), meter("minutes")));
    assert_eq!(recounted(&world, true), [(0, 900, 900)]);
}

#[test]
fn what_is_not_used_yet_in_the_next_period_is_reckoned_too() {
    // Of Pro no more is sold: nobody closes the meter, and the next use turns it.
    let world = subscribed_to(minutes_plan("k"));
    assert_eq!(minutes(&world, 500, "call"), Ok(500));
    renewed(&world);
    for dry_run in [true, false] {
        assert_eq!(recounted(&world, dry_run), [(1, 0, 0)]);
    }
    // Of Starter more is sold: from the end of the period until that is billed there are two.
    let world = starter();
    assert_eq!(minutes(&world, 500, "call"), Ok(500));
    to_period_end(&world);
    assert_eq!(recounted(&world, true), [(0, 500, 500), (1, 0, 0)]);
}

#[test]
fn what_cannot_be_reckoned_is_refused() {
    let nobody = subscribed_to(minutes_plan("k"));
    command(&nobody, Command::CancelNow);
    assert!(matches!(rebuild(&nobody, "minutes", true), Err(RebuildError::NoSubscription)));
    let world = starter();
    assert!(matches!(
        rebuild(&world, "agents", false),
        Err(RebuildError::Meter(MeterError::NotACounter(it))) if it == meter("agents")
    ));
    assert!(matches!(rebuild(&world, "faxes", false), Err(RebuildError::Meter(MeterError::NoSuchMeter(_)))));
    // A period of which the first uses may be forgotten.
    assert_eq!(minutes(&world, 500, "a"), Ok(500));
    let extended = Intervention::Extend { days: 500 };
    let done = block_on(world.intervene(&customer(), &extended, &idempotency_key("x"), "extend"));
    assert!(done.is_ok(), "{done:?}");
    pass(&world, DAY * 399);
    assert_eq!(recounted(&world, false), [(0, 500, 500)]);
    pass(&world, DAY);
    assert!(matches!(rebuild(&world, "minutes", false), Err(RebuildError::Forgotten)));
    assert!(matches!(rebuild(&world, "minutes", true), Err(RebuildError::Forgotten)));
    assert_eq!(minutes(&world, 1, "b"), Ok(501));
}

#[test]
fn more_uses_than_are_read_at_once_are_all_summed() {
    let world = starter();
    for batch in 0..3 {
        let uses: Vec<Use> = (0..500).map(|n| of_minutes(1, &format!("call-{batch}-{n}"))).collect();
        block_on(world.report(&customer(), &uses)).unwrap_or_else(|error| panic!("{error}"));
    }
    assert_eq!(recounted(&world, true), [(0, 1_500, 1_500)]);
}
