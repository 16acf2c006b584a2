//! Stories of what is told when its period is over, worked out by hand: 1,000 minutes are included in 29.00 dollars a month,
//! and each of the first 500 beyond costs 5 cents, each after that 4, up to 2,000.

use crate::overage::{changed, charged, counted, lines, minutes, renewed, starter, to};
use crate::stage::{DAY, HOUR, Is, MINUTE, command, declined_at_period_end, is, pass, to_period_end};
use crate::usage::{minutes_plan, of_minutes};
use billing::calendar::Interval;
use billing::id::MeterId;
use billing::outcome::Remedy;
use billing::ports::{Key, Record};
use billing::subscription::{Action, Command, Effective, Event, Intervention, Subscription};
use billing::testing::{World, customer, idempotency_key, meter};
use billing::usage::MeterUsage;
use billing::workflow::{Checkout, NotCounted, Rebuild, Use, Wish};
use futures::executor::block_on;
use jiff::Timestamp;

/// `value` minutes that were used then.
fn used_at(world: &World, at: Timestamp, value: u64, id: &str) -> Result<u64, NotCounted> {
    counted(world, Use { at: Some(at), ..of_minutes(value, id) })
}

fn at_hand(world: &World) -> u64 {
    let live = block_on(world.lookup(&customer())).unwrap_or_else(|error| panic!("{error}"));
    live.and_then(|live| live.usage.get(&meter("minutes")).copied()).unwrap_or(0)
}

/// In which period the use is recorded.
fn period_of(world: &World, id: &str) -> Option<u32> {
    world.store.records().into_iter().find_map(|record| {
        let Record::UsageRecord(it) = record else { return None };
        (it.id.as_str() == id).then_some(it.period.index)
    })
}

/// What was told late, as the history has it: the meter, and what it had counted before and after.
fn history(world: &World) -> Vec<(MeterId, u64, u64)> {
    let late = |record| {
        let Record::History { event: Event::CountedLate { counted, .. }, .. } = record else { return vec![] };
        counted.into_iter().map(|it| (it.meter, it.from, it.to)).collect()
    };
    world.store.records().into_iter().flat_map(late).collect()
}

#[test]
fn what_is_told_late_of_a_period_that_is_billed_is_on_the_next_invoice() {
    let world = starter();
    let then = world.clock.time();
    assert_eq!(minutes(&world, 1_100, "a"), Ok(1_100));
    renewed(&world);
    assert_eq!(charged(&world), [2_900, 2_900 + 500]);
    assert_eq!(minutes(&world, 30, "b"), Ok(30));
    // 1,550 in all: 400 more at 5 cents and 50 at 4.
    assert_eq!(used_at(&world, then, 450, "late"), Ok(1_550));
    assert_eq!((at_hand(&world), period_of(&world, "late")), (30, Some(0)));
    assert_eq!((lines(&world), history(&world)), (vec![(1_550, 1_100, 2_200)], vec![(meter("minutes"), 1_100, 1_550)]));
    assert_eq!(used_at(&world, then, 450, "late"), Ok(1_550), "told again, it is counted");
    assert_eq!(used_at(&world, then, 451, "late"), Err(NotCounted::IdReused));
    renewed(&world);
    assert_eq!(charged(&world), [2_900, 3_400, 2_900 + 2_200]);
    assert_eq!((lines(&world), at_hand(&world)), (vec![], 0));
}

#[test]
fn however_many_parts_it_is_told_in_a_period_costs_what_it_costs_as_one() {
    let world = starter();
    let then = world.clock.time();
    assert_eq!(minutes(&world, 900, "a"), Ok(900));
    renewed(&world);
    assert_eq!(used_at(&world, then, 100, "b"), Ok(1_000));
    assert_eq!(lines(&world), [], "what was included costs nothing");
    assert_eq!(used_at(&world, then, 1, "c"), Ok(1_001));
    assert_eq!(used_at(&world, then, 599, "d"), Ok(1_600));
    assert_eq!(lines(&world), [(1_600, 1_000, 500 * 5 + 100 * 4)], "and it is one line");
    renewed(&world);
    assert_eq!(charged(&world).pop(), Some(2_900 + 500 * 5 + 100 * 4));
}

#[test]
fn what_is_told_before_its_period_is_billed_is_billed_with_it() {
    // Whether somebody has used something in the next one already, or nobody.
    for meanwhile in [0, 40] {
        let world = starter();
        let then = world.clock.time();
        assert_eq!(minutes(&world, 990, "a"), Ok(990));
        to_period_end(&world);
        if meanwhile > 0 {
            assert_eq!(minutes(&world, meanwhile, "b"), Ok(meanwhile));
        }
        assert_eq!(used_at(&world, then, 20, "late"), Ok(1_010));
        assert_eq!((lines(&world), at_hand(&world)), (vec![], meanwhile));
        world.run();
        assert_eq!(charged(&world), [2_900, 2_900 + 10 * 5]);
        assert_eq!(used_at(&world, then, 1, "later"), Ok(1_011));
        assert_eq!((lines(&world), at_hand(&world)), (vec![(1_011, 1_010, 5)], meanwhile));
    }
}

#[test]
fn what_could_not_have_been_used_then_is_not_counted_late_either() {
    let world = starter();
    let then = world.clock.time();
    assert_eq!(minutes(&world, 2_900, "a"), Ok(2_900));
    renewed(&world);
    // 1,000 are included and 2,000 are sold.
    assert_eq!(used_at(&world, then, 100, "b"), Ok(3_000));
    let refused = used_at(&world, then, 1, "c");
    assert!(
        matches!(&refused, Err(NotCounted::LimitReached(it)) if (it.used, it.remaining) == (3_000, Some(0))),
        "{refused:?}"
    );
    assert_eq!((at_hand(&world), period_of(&world, "c")), (0, None));
    assert_eq!(minutes(&world, 1, "c"), Ok(1), "refused is not used");
}

#[test]
fn a_period_ends_on_the_second_and_of_those_before_the_last_nothing_is_touched() {
    let world = starter();
    let first = world.clock.time();
    renewed(&world);
    let second = world.clock.time();
    assert_eq!(used_at(&world, second, 3, "its-first-second"), Ok(3));
    assert_eq!(used_at(&world, second - MINUTE, 5, "the-last-minute"), Ok(5));
    assert_eq!((period_of(&world, "its-first-second"), period_of(&world, "the-last-minute")), (Some(1), Some(0)));
    renewed(&world);
    assert_eq!(used_at(&world, first, 7, "two-periods-late"), Ok(7));
    assert_eq!(used_at(&world, first - HOUR, 1, "before-it-began"), Ok(8));
    assert_eq!((period_of(&world, "two-periods-late"), period_of(&world, "before-it-began")), (Some(2), Some(2)));
    assert_eq!(used_at(&world, second, 4, "one-period-late"), Ok(7), "of three");
}

#[test]
fn who_used_nothing_then_may_tell_of_something_still() {
    let world = starter();
    let then = world.clock.time();
    renewed(&world);
    assert_eq!(used_at(&world, then, 1_002, "late"), Ok(1_002));
    assert_eq!((lines(&world), at_hand(&world)), (vec![(1_002, 1_000, 10)], 0));
}

#[test]
fn what_is_told_while_an_invoice_is_being_paid_is_on_the_one_after_it() {
    let world = starter();
    let then = world.clock.time();
    assert_eq!(minutes(&world, 1_010, "a"), Ok(1_010));
    declined_at_period_end(&world, Remedy::RetryLater);
    assert_eq!(used_at(&world, then, 10, "late"), Ok(1_020));
    let owed: Vec<i64> = world.subscription().unpaid_usage().iter().map(|line| line.amount.minor).collect();
    assert_eq!((is(&world.subscription()), owed), (Is::Retrying, vec![50, 50]));
    pass(&world, DAY);
    world.run();
    assert_eq!((is(&world.subscription()), charged(&world)), (Is::Active, vec![2_900, 2_950]));
    assert_eq!(lines(&world), [(1_020, 1_010, 50)]);
    renewed(&world);
    assert_eq!((charged(&world), lines(&world)), (vec![2_900, 2_950, 2_950], vec![]));
}

#[test]
fn what_was_used_of_one_plan_is_charged_by_its_price_when_there_is_another() {
    let world = starter();
    let then = world.clock.time();
    assert_eq!(minutes(&world, 1_600, "a"), Ok(1_600));
    changed(&world, &to(Action::Upgrade, "minutes-pro", Effective::PeriodEnd), "pro");
    renewed(&world);
    assert_eq!(world.subscription().order.plan.id.as_str(), "minutes-pro");
    assert_eq!(used_at(&world, then, 25, "late"), Ok(1_625));
    assert_eq!((lines(&world), at_hand(&world)), (vec![(1_625, 1_600, 100)], 0));
}

#[test]
fn who_leaves_owes_what_is_told_late_and_pays_it_if_they_come_back() {
    let world = starter();
    let then = world.clock.time();
    declined_at_period_end(&world, Remedy::RetryLater);
    assert_eq!(used_at(&world, then, 1_010, "late"), Ok(1_010));
    command(&world, Command::CancelNow);
    assert_eq!(used_at(&world, then, 1, "later"), Err(NotCounted::NoSubscription));
    let owed = |world: &World| world.subscription().unpaid_usage().iter().map(|it| it.amount.minor).sum::<i64>();
    assert_eq!(owed(&world), 50);
    let wanted = Checkout { plan: billing::testing::plan("minutes-starter").id, ..minutes_plan("again") };
    let payment = block_on(world.checkout(wanted)).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(payment.amount.minor, 2_900 + 50);
}

#[test]
fn what_was_not_sold_then_is_not_sold_late() {
    let world = starter();
    let then = world.clock.time();
    // The next period is a gift: beyond its limit nothing is sold in this one.
    let free = Intervention::Comp { percent: 100, periods: Some(1) };
    let done = block_on(world.intervene(&customer(), &free, &idempotency_key("gift"), "gift"));
    assert!(done.is_ok(), "{done:?}");
    assert!(matches!(minutes(&world, 1_001, "a"), Err(NotCounted::LimitReached(_))));
    renewed(&world);
    assert!(matches!(used_at(&world, then, 1_001, "a"), Err(NotCounted::LimitReached(it)) if it.used == 0));
    assert_eq!((used_at(&world, then, 1_000, "a"), lines(&world)), (Ok(1_000), vec![]));
}

#[test]
fn what_costs_nothing_is_not_told_with_the_subscription() {
    let world = starter();
    let then = world.clock.time();
    renewed(&world);
    let before = world.subscription().version;
    assert_eq!(used_at(&world, then, 400, "late"), Ok(400));
    assert_eq!((world.subscription().version, history(&world)), (before, vec![]));
    assert_eq!(used_at(&world, then, 700, "later"), Ok(1_100));
    assert_eq!((lines(&world), history(&world).len()), (vec![(1_100, 1_000, 500)], 1));
}

#[test]
fn what_was_used_before_the_interval_was_changed_is_charged_by_what_was_had_then() {
    let world = starter();
    let then = world.clock.time();
    assert_eq!(minutes(&world, 1_000, "a"), Ok(1_000));
    pass(&world, DAY);
    let wish = Wish {
        plan: None,
        interval: Some(Interval::Year),
        ..to(Action::ChangeInterval, "minutes-starter", Effective::Now)
    };
    changed(&world, &wish, "yearly");
    assert_eq!(world.subscription().order.price.interval, Interval::Year);
    let before = lines(&world);
    assert_eq!(used_at(&world, then, 2, "late"), Ok(1_002));
    assert_eq!((before, lines(&world)), (vec![], vec![(1_002, 1_000, 10)]));
    assert_eq!(used_at(&world, then + DAY, 2, "since"), Ok(2));
}

/// A release before this one did not say on what terms a period was sold.
#[test]
fn of_a_period_that_says_nothing_of_its_terms_what_is_late_counts_at_hand() {
    let world = starter();
    let then = world.clock.time();
    assert_eq!(minutes(&world, 1_010, "a"), Ok(1_010));
    to_period_end(&world);
    assert_eq!(minutes(&world, 1, "b"), Ok(1));
    let held = world.key(Key::Usage(customer(), meter("minutes"))).usage().unwrap_or_else(|| panic!("nothing"));
    assert_eq!(held.before.as_ref().map(|(period, used)| (period.index, *used)), Some((0, 1_010)));
    world.store.put(Record::Usage(MeterUsage { sold: None, version: held.version + 1, ..held }));
    assert_eq!(used_at(&world, then, 2, "late"), Ok(3));
    world.run();
    assert_eq!(charged(&world), [2_900, 2_950]);
}

#[test]
fn of_a_batch_each_is_counted_in_its_own_period() {
    let world = starter();
    let then = world.clock.time();
    assert_eq!(minutes(&world, 1_000, "a"), Ok(1_000));
    renewed(&world);
    let uses: Vec<Use> = (0..100)
        .map(|n| {
            let at = if n % 2 == 0 { then } else { world.clock.time() };
            Use { at: Some(at), ..of_minutes(1, &format!("call-{n}")) }
        })
        .collect();
    let answers = block_on(world.report(&customer(), &uses)).unwrap_or_else(|error| panic!("{error}"));
    let last: Vec<Option<u64>> = answers[98..].iter().map(|it| it.as_ref().ok().map(|it| it.used)).collect();
    assert_eq!(last, [Some(1_050), Some(50)]);
    assert_eq!(lines(&world).iter().map(|(.., minor)| minor).sum::<i64>(), 50 * 5);
    assert_eq!(at_hand(&world), 50);
    let recounts = block_on(world.rebuild(&Rebuild { customer: customer(), meter: meter("minutes"), dry_run: true }));
    let found = recounts.unwrap_or_else(|error| panic!("{error}"));
    let recounts: Vec<_> = found.periods.iter().map(|it| (it.period.index, it.counted, it.recorded)).collect();
    assert_eq!((recounts, found.days), (vec![(1, 50, 50)], vec![]));
}

/// The subscription was read before its period was billed, and the use is told after that: it is read again.
#[test]
fn a_late_use_and_the_billing_of_its_period_do_not_pass_each_other_by() {
    let world = starter();
    let then = world.clock.time();
    assert_eq!(minutes(&world, 1_000, "a"), Ok(1_000));
    to_period_end(&world);
    assert_eq!(minutes(&world, 1, "next"), Ok(1));
    let unbilled = world.subscription();
    let billed = unbilled.clone().apply(&Event::UsageBilled { closed: Some(0), lines: vec![] });
    world.store.meanwhile(Record::Subscription(Subscription { version: unbilled.version + 1, ..billed }));
    assert_eq!(used_at(&world, then, 2, "late"), Ok(1_002));
    assert_eq!(lines(&world), [(1_002, 1_000, 10)]);
}

#[test]
fn wherever_it_is_killed_it_is_counted_once() {
    for commits in 0..2 {
        let world = starter();
        let then = world.clock.time();
        renewed(&world);
        world.store.fail_after(commits);
        let late = Use { at: Some(then), ..of_minutes(1_010, "late") };
        let killed = block_on(world.report(&customer(), std::slice::from_ref(&late)));
        assert_eq!(killed.is_err(), commits == 0);
        world.store.recover();
        assert_eq!(counted(&world, late), Ok(1_010));
        assert_eq!((lines(&world), history(&world).len()), (vec![(1_010, 1_000, 50)], 1));
    }
}
