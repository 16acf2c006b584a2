//! Stories of a counter that is kept in several places: nobody who reads it can tell, and whoever counts need not wait.

use crate::overage::{counted, minutes, overage_price, starter_of};
use crate::reserving::{of_held_minutes, release};
use crate::stage::{DAY, pass, to_period_end};
use crate::usage::of_minutes;
use billing::catalog::Catalogue;
use billing::id::{FeatureId, UsageId};
use billing::ports::{Key, Record, Store, Write};
use billing::shard::{Shard, Shards};
use billing::testing::{World, catalogue, customer, meter};
use billing::usage::MeterUsage;
use billing::workflow::{Live, NotCounted, Rebuild, Use};
use futures::executor::block_on;
use std::collections::BTreeSet;

/// The family whose minutes are kept in so many places.
pub(crate) fn in_shards(shards: u8) -> Catalogue {
    let mut plans = catalogue("minutes");
    for it in plans.family.meters.iter_mut().filter(|it| it.id == meter("minutes")) {
        it.shards = Some(Shards::try_from(shards).unwrap_or_else(|error| panic!("{error}")));
    }
    plans
}

/// On Starter: 1,000 minutes of which one is told at 800 and at 1,000, and up to 2,000 more for money.
fn starter() -> World {
    starter_of(in_shards(4), 1_000, &overage_price())
}

fn stored(world: &World) -> MeterUsage {
    world.key(Key::Usage(customer(), meter("minutes"))).usage().unwrap_or_else(|| panic!("nothing is counted"))
}

fn shards(world: &World) -> Vec<Shard> {
    let shard = |record| if let Record::Shard(it) = record { Some(it) } else { None };
    world.store.records().into_iter().filter_map(shard).collect()
}

/// One by one, each under an id of its own: what is used then.
fn one_by_one(world: &World, count: u32, name: &str) -> Vec<Result<u64, NotCounted>> {
    (0..count).map(|n| minutes(world, 1, &format!("{name}-{n}"))).collect()
}

fn live(world: &World) -> Live {
    let live = block_on(world.lookup(&customer())).unwrap_or_else(|error| panic!("{error}"));
    live.unwrap_or_else(|| panic!("no subscription"))
}

/// What everybody reads of it.
fn shown(world: &World) -> u64 {
    let name = FeatureId::try_from("minutes".to_owned()).unwrap_or_else(|error| panic!("{error}"));
    let entitled = block_on(world.entitlement(&customer(), &name)).unwrap_or_else(|error| panic!("{error}"));
    let used = entitled.standing.map_or(0, |it| it.used);
    assert_eq!(live(world).usage.get(&meter("minutes")).copied().unwrap_or(0), used);
    used
}

#[test]
fn what_is_counted_in_several_places_is_one_sum_to_whoever_reads_it() {
    let world = starter();
    for (n, answer) in (1..).zip(one_by_one(&world, 300, "call")) {
        assert_eq!(answer, Ok(n), "each is told all that was used");
    }
    assert_eq!(shown(&world), 300);
    let (held, shards) = (stored(&world), shards(&world));
    assert!(held.value < 10 && shards.len() == 4, "the meter itself is left alone: {held:?}");
    assert!(shards.iter().all(|it| it.value > 40), "each has counted its part: {shards:?}");
    // Told again, it is the same use, wherever it was counted.
    assert_eq!(minutes(&world, 1, "call-17"), Ok(300));
    assert_eq!(minutes(&world, 2, "call-17"), Err(NotCounted::IdReused));
    let statistics = block_on(world.statistics(&customer())).unwrap_or_else(|error| panic!("{error}"));
    let today = statistics.and_then(|(_, it)| it.get(&Some(meter("minutes"))).map(|it| it.today));
    assert_eq!(today, Some(300));
    let again = Rebuild { customer: customer(), meter: meter("minutes"), dry_run: true };
    let again = block_on(world.rebuild(&again)).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(again.periods.iter().map(|it| (it.counted, it.recorded)).collect::<Vec<_>>(), [(300, 300)]);
    assert_eq!(again.days, []);
}

#[test]
fn who_counts_leaves_the_meter_to_others_until_what_was_lent_is_used() {
    let world = starter();
    drop(one_by_one(&world, 700, "call"));
    let held = stored(&world);
    assert!(held.version < 10, "of 700 uses {} have written it", held.version);
}

#[test]
fn a_line_is_come_to_by_one_use_that_says_so() {
    let world = starter();
    let alerts = |world: &World| live(world).alerts.iter().map(|it| it.alert.percent).collect::<Vec<_>>();
    drop(one_by_one(&world, 799, "call"));
    assert_eq!(alerts(&world), [0_u16; 0]);
    assert_eq!(minutes(&world, 1, "the-800th"), Ok(800));
    assert_eq!(alerts(&world), [80]);
    drop(one_by_one(&world, 199, "more"));
    assert_eq!((shown(&world), alerts(&world)), (999, vec![80]));
    assert_eq!(minutes(&world, 1, "the-1000th"), Ok(1_000));
    assert_eq!(alerts(&world), [80, 100]);
    // Beyond it there is no line but the end of what is sold.
    drop(one_by_one(&world, 2_000, "sold"));
    assert_eq!(shown(&world), 3_000);
    assert!(matches!(minutes(&world, 1, "one-too-many"), Err(NotCounted::LimitReached(it)) if it.used == 3_000));
    assert_eq!(shown(&world), 3_000);
}

#[test]
fn what_was_used_beyond_the_limit_is_billed_wherever_it_was_counted() {
    let world = starter();
    assert_eq!(minutes(&world, 1_000, "at-once"), Ok(1_000));
    drop(one_by_one(&world, 120, "call"));
    assert!(shards(&world).iter().any(|it| it.value > 0));
    to_period_end(&world);
    world.run();
    // 120 at 5 cents.
    let amount = |record: &Record| if let Record::Payment(it) = record { Some(it.amount.minor) } else { None };
    let bill = world.store.records().iter().filter_map(amount).max();
    assert_eq!(bill, Some(2_900 + 600));
    assert_eq!(shown(&world), 0, "the next period begins with nothing");
    assert!(shards(&world).iter().all(|it| (it.value, it.left) == (0, 0)), "{:?}", shards(&world));
    assert_eq!(one_by_one(&world, 9, "next").pop(), Some(Ok(9)));
}

#[test]
fn what_is_held_is_left_by_all_places() {
    let world = starter();
    drop(one_by_one(&world, 10, "call"));
    let wanted = of_held_minutes(2_980, "big");
    let (_, standing) = block_on(world.reserve(&wanted)).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((standing.used, standing.reserved), (10, 2_980));
    assert_eq!(one_by_one(&world, 10, "more").pop(), Some(Ok(20)));
    assert!(matches!(minutes(&world, 1, "too-many"), Err(NotCounted::LimitReached(_))));
    // It is used: then it is all there is.
    assert_eq!(minutes(&world, 2_979, "big"), Ok(2_999));
    release(&world, "minutes", "big");
    assert_eq!(minutes(&world, 1, "last"), Ok(3_000));
}

#[test]
fn what_was_lent_under_a_greater_limit_is_not_used_under_a_smaller_one() {
    let world = starter();
    drop(one_by_one(&world, 1_010, "call"));
    assert!(stored(&world).lease.is_some());
    // Who leaves is sold no more: 1,000 are included.
    crate::stage::command(&world, billing::subscription::Command::CancelAtPeriodEnd);
    assert!(matches!(minutes(&world, 1, "too-many"), Err(NotCounted::LimitReached(it)) if it.used == 1_010));
    assert_eq!(shown(&world), 1_010);
}

#[test]
fn whoever_reads_while_it_is_taken_back_reads_again() {
    let world = starter();
    drop(one_by_one(&world, 50, "call"));
    let held = stored(&world);
    // Between the meter and its shards somebody else writes all of them.
    let all = block_on(world.lookup(&customer())).unwrap_or_else(|error| panic!("{error}"));
    let whole = all.and_then(|it| it.meters.into_iter().find(|it| it.meter == meter("minutes")));
    let whole = whole.unwrap_or_else(|| panic!("nothing is counted"));
    assert_eq!((whole.value, whole.version), (50, held.version));
    let records: Vec<Shard> = shards(&world).into_iter().map(|it| Shard { lease: it.lease + 1, ..it }).collect();
    for it in records {
        world.store.put(Record::Shard(it));
    }
    // What is of two moments is never told.
    assert!(block_on(world.lookup(&customer())).is_err());
    let answer = block_on(world.report(&customer(), &[of_minutes(1, "now")]));
    assert!(answer.is_err());
}

#[test]
fn a_meter_may_be_kept_in_more_places_or_in_fewer_at_any_time() {
    let world = starter();
    drop(one_by_one(&world, 100, "four"));
    for (n, places) in [8_u8, 2, 3].into_iter().enumerate() {
        block_on(world.load(in_shards(places))).unwrap_or_else(|error| panic!("{error}"));
        drop(one_by_one(&world, 60, &format!("in-{places}")));
        let before = u64::try_from(n).unwrap_or(0) * 60 + 160;
        assert_eq!(shown(&world), before);
        let counting = shards(&world).iter().filter(|it| it.value > 0).count();
        assert_eq!(counting, usize::from(places), "from the next use on");
    }
    let mut plans = in_shards(2);
    plans.family.meters.iter_mut().for_each(|it| it.shards = None);
    block_on(world.load(plans)).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(minutes(&world, 1, "in-one"), Ok(281));
    assert_eq!(stored(&world).lease, None, "from then on it is kept in one");
    assert!(shards(&world).iter().all(|it| (it.value, it.left) == (0, 0)));
    assert_eq!(minutes(&world, 7, "alone"), Ok(288));
}

#[test]
fn a_batch_of_many_meters_is_still_one_transaction() {
    let mut plans = in_shards(8);
    let first = plans.family.meters.iter().find(|it| it.id == meter("minutes")).cloned();
    let first = first.unwrap_or_else(|| panic!("no minutes"));
    for n in 0..20 {
        let id = meter(&format!("line-{n:02}"));
        for plan in &mut plans.plans {
            plan.limits.insert(id.clone(), billing::catalog::Limit::Unlimited);
        }
        let more = billing::catalog::Meter { id, aliases: vec![], shards: None, ..first.clone() };
        plans.family.meters.push(more);
    }
    let world = starter_of(plans, 1_000, &overage_price());
    // On thirty-two days, of twenty-one meters.
    let uses: Vec<Use> = (0..32_i32)
        .map(|n| {
            let name = if n < 20 { format!("line-{n:02}") } else { "minutes".to_owned() };
            let at = Some(world.clock.time() - DAY * n);
            Use { meter: meter(&name), at, ..of_minutes(1, &format!("use-{n}")) }
        })
        .collect();
    let answers = block_on(world.report(&customer(), &uses)).unwrap_or_else(|error| panic!("{error}"));
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    assert_eq!(shown(&world), 12);
    pass(&world, DAY);
    assert_eq!(counted(&world, of_minutes(1, "later")), Ok(13));
}

#[test]
fn nobody_counts_in_a_shard_that_was_lent_nothing() {
    let world = starter();
    drop(one_by_one(&world, 20, "call"));
    let ids: BTreeSet<u64> = shards(&world).iter().map(|it| it.lease).collect();
    let [lease] = ids.into_iter().collect::<Vec<_>>()[..] else { panic!("one lease") };
    let (of, by) = (meter("minutes"), std::num::NonZeroU64::MIN);
    let count = |shard, lease| Write::CountInShard {
        customer: customer(),
        meter: of.clone(),
        shard,
        lease,
        by,
        at: world.clock.time(),
    };
    for (shard, lease) in [(1, lease + 1), (5, lease), (1, 0)] {
        assert!(block_on(world.store.commit(vec![count(shard, lease)])).is_err(), "{shard} {lease}");
    }
    let name = UsageId::try_from("call-3".to_owned()).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(world.key(Key::UsageRecord(customer(), name)).records().len(), 1);
}
