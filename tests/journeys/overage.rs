//! Stories of what is used beyond a limit and paid with the next invoice, worked out by hand: 1,000 minutes are included in
//! 29.00 dollars a month, and each of the first 500 beyond costs 5 cents, each after that 4, up to 2,000.

use crate::stage::{DAY, Is, command, declined_at_period_end, is, pass, to_period_end, told};
use crate::usage::{minutes_plan, of_minutes};
use billing::catalog::OveragePrice;
use billing::id::{FeatureId, PeriodId};
use billing::outcome::Remedy;
use billing::ports::{Record, Wanted};
use billing::subscription::{Command, Intervention, UsageLine};
use billing::testing::{World, catalogue, customer, idempotency_key, meter, world};
use billing::usage::MeterUsage;
use billing::workflow::{NotCounted, Use};
use futures::executor::block_on;

/// On Starter, whose overage is sold.
fn starter() -> World {
    let world = world();
    let mut plans = catalogue("minutes");
    for plan in plans.plans.iter_mut().filter(|plan| plan.id.as_str() == "minutes-starter") {
        plan.overage = [(meter("minutes"), vec![overage_price()])].into();
    }
    block_on(world.load(plans)).unwrap_or_else(|error| panic!("{error}"));
    let wanted =
        billing::workflow::Checkout { plan: billing::testing::plan("minutes-starter").id, ..minutes_plan("k") };
    let payment = block_on(world.checkout(wanted)).unwrap_or_else(|error| panic!("{error}"));
    world.gateways.visit(&payment, true);
    told(&world, &payment, "evt");
    world
}

fn overage_price() -> OveragePrice {
    let text = r#"{"per": 1, "tiers": [
        {"up_to": 500, "amount": {"minor": 5, "currency": "USD"}},
        {"up_to": 2000, "amount": {"minor": 4, "currency": "USD"}}
    ]}"#;
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}"))
}

fn minutes(world: &World, value: u64, id: &str) -> Result<u64, NotCounted> {
    counted(world, of_minutes(value, id))
}

fn counted(world: &World, it: Use) -> Result<u64, NotCounted> {
    let mut answers = block_on(world.report(&customer(), &[it])).unwrap_or_else(|error| panic!("{error}"));
    answers.remove(0).map(|standing| standing.used)
}

/// What the gateway took, one after the other.
fn charged(world: &World) -> Vec<i64> {
    let mut paid: Vec<_> = world.store.records().into_iter().filter_map(payment).collect();
    paid.sort();
    paid.into_iter().map(|(_, minor)| minor).collect()
}

fn payment(record: Record) -> Option<(billing::id::PaymentId, i64)> {
    let Record::Payment(it) = record else { return None };
    it.paid().is_some().then(|| (it.id.clone(), it.amount.minor))
}

fn renewed(world: &World) {
    to_period_end(world);
    world.run();
}

#[test]
fn what_is_beyond_the_limit_is_counted_and_paid_with_the_next_period() {
    let world = starter();
    assert_eq!(minutes(&world, 1_000, "a"), Ok(1_000));
    assert_eq!(minutes(&world, 600, "b"), Ok(1_600));
    let live = block_on(world.lookup(&customer())).unwrap_or_else(|error| panic!("{error}"));
    let order = live.map(|live| live.subscription.order).unwrap_or_else(|| panic!("no subscription"));
    let overage = order.overage(&meter("minutes"), 1_600);
    assert_eq!(overage.map(|it| (it.units, it.amount.minor)), Some((600, 500 * 5 + 100 * 4)));
    renewed(&world);
    // 29.00, and 500 at 5 cents and 100 at 4.
    assert_eq!(charged(&world), [2_900, 2_900 + 2_900]);
    assert_eq!(minutes(&world, 1, "c"), Ok(1), "the next period starts at zero");
    renewed(&world);
    assert_eq!(charged(&world), [2_900, 5_800, 2_900]);
}

#[test]
fn the_lines_are_on_the_payment_that_pays_for_them_and_all_of_it_can_be_given_back() {
    let world = starter();
    assert_eq!(minutes(&world, 1_500, "a"), Ok(1_500));
    renewed(&world);
    let subscription = world.subscription();
    assert!(subscription.usage.is_empty() && subscription.balances.iter().all(|it| it.minor == 0));
    let last = block_on(world.payments(&customer(), None, 1)).unwrap_or_else(|error| panic!("{error}")).remove(0);
    let lines = last.bought.clone().map(|it| it.usage).unwrap_or_default();
    let [UsageLine { period: 0, used: 1_500, included: 1_000, amount, .. }] = &lines[..] else { panic!("{lines:?}") };
    assert_eq!(amount.minor, 2_500);
    let fund = subscription.funds.iter().find(|fund| fund.period == 1).map(|fund| fund.left.minor);
    assert_eq!(fund, Some(5_400));
}

#[test]
fn beyond_the_last_tier_nothing_is_sold() {
    let world = starter();
    assert_eq!(minutes(&world, 3_000, "a"), Ok(3_000));
    assert!(matches!(minutes(&world, 1, "b"), Err(NotCounted::LimitReached(_))));
    let name = FeatureId::try_from("minutes".to_owned()).unwrap_or_else(|error| panic!("{error}"));
    let entitled = block_on(world.entitlement(&customer(), &name)).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(entitled.reason, Some(billing::entitlement::Reason::LimitReached));
}

#[test]
fn what_is_used_while_the_renewal_is_late_belongs_to_the_next_invoice() {
    let world = starter();
    assert_eq!(minutes(&world, 1_100, "a"), Ok(1_100));
    to_period_end(&world);
    // Nobody has got round to the renewal, and 1,200 are used in the new period already.
    assert_eq!(minutes(&world, 1_200, "b"), Ok(1_200));
    pass(&world, DAY);
    world.run();
    assert_eq!(charged(&world), [2_900, 2_900 + 500]);
    assert_eq!(minutes(&world, 1, "c"), Ok(1_201));
    renewed(&world);
    assert_eq!(charged(&world), [2_900, 3_400, 2_900 + 201 * 5]);
}

#[test]
fn each_period_is_billed_once_however_often_its_charge_is_tried() {
    let world = starter();
    assert_eq!(minutes(&world, 1_010, "a"), Ok(1_010));
    declined_at_period_end(&world, Remedy::RetryLater);
    assert_eq!((is(&world.subscription()), world.subscription().usage.len()), (Is::Retrying, 1));
    assert_eq!(minutes(&world, 1, "b"), Ok(1));
    assert!(
        matches!(minutes(&world, 1_000, "c"), Err(NotCounted::LimitReached(_))),
        "who owes is sold nothing beyond the limit"
    );
    pass(&world, DAY);
    world.run();
    assert_eq!((is(&world.subscription()), charged(&world)), (Is::Active, vec![2_900, 2_950]));
}

#[test]
fn a_use_that_is_held_up_until_its_period_is_billed_is_counted_in_the_next() {
    let world = starter();
    assert_eq!(minutes(&world, 1_100, "a"), Ok(1_100));
    let closed = world.store.records().into_iter().find_map(|record| {
        let Record::Usage(it) = record else { return None };
        let period = it.period.clone().map(|period| PeriodId { index: 1, ..period });
        Some(MeterUsage { value: 0, period, version: it.version + 1, ..it })
    });
    world.store.meanwhile(Record::Usage(closed.unwrap_or_else(|| panic!("nothing is counted"))));
    assert_eq!(minutes(&world, 7, "late"), Ok(7));
    let late = world.store.records().into_iter().find_map(|record| {
        let Record::UsageRecord(it) = record else { return None };
        (it.id.as_str() == "late").then_some(it.period.index)
    });
    assert_eq!(late, Some(1));
}

#[test]
fn wherever_the_renewal_is_killed_what_was_used_is_paid_once() {
    for commits in 0..4 {
        let world = starter();
        assert_eq!(minutes(&world, 1_100, "a"), Ok(1_100));
        to_period_end(&world);
        world.store.fail_after(commits);
        let wanted = Wanted::Subscription { customer: customer() };
        let killed = block_on(world.wake(wanted));
        assert_eq!(killed.is_err(), commits < 3, "{commits} commits and {killed:?}");
        world.store.recover();
        assert_eq!(minutes(&world, 3, "b"), Ok(3));
        for _ in 0..3 {
            pass(&world, DAY);
            world.run();
        }
        assert_eq!(charged(&world), [2_900, 3_400], "killed after {commits} commits");
        assert_eq!(minutes(&world, 1, "c"), Ok(4));
    }
}

#[test]
fn who_leaves_is_sold_nothing_more_and_what_they_owe_is_on_their_next_invoice() {
    let world = starter();
    assert_eq!(minutes(&world, 1_010, "a"), Ok(1_010));
    assert_eq!(command(&world, Command::CancelAtPeriodEnd), Is::Leaving);
    assert!(matches!(minutes(&world, 1, "b"), Err(NotCounted::LimitReached(_))));
    renewed(&world);
    let ended = world.subscription();
    assert_eq!((is(&ended), charged(&world)), (Is::Canceled, vec![2_900]));
    assert_eq!(ended.usage.iter().map(|line| (line.period, line.amount.minor)).collect::<Vec<_>>(), [(0, 50)]);
    let wanted =
        billing::workflow::Checkout { plan: billing::testing::plan("minutes-starter").id, ..minutes_plan("again") };
    let payment = block_on(world.checkout(wanted)).unwrap_or_else(|error| panic!("{error}"));
    world.gateways.visit(&payment, true);
    told(&world, &payment, "evt_again");
    assert_eq!((is(&world.subscription()), world.subscription().usage.len()), (Is::Active, 0));
    assert_eq!(charged(&world), [2_900, 2_950]);
}

#[test]
fn a_period_that_staff_made_longer_is_billed_as_one() {
    let world = starter();
    assert_eq!(minutes(&world, 1_600, "a"), Ok(1_600));
    let extended = Intervention::Extend { days: 7 };
    let done = block_on(world.intervene(&customer(), &extended, &idempotency_key("x"), "extend"));
    assert!(done.is_ok(), "{done:?}");
    renewed(&world);
    assert_eq!(charged(&world), [2_900, 5_800], "a period that was made longer is one period");
}
