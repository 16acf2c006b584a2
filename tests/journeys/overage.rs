//! Stories of what is used beyond a limit and paid with the next invoice, worked out by hand: 1,000 minutes are included in
//! 29.00 dollars a month, and each of the first 500 beyond costs 5 cents, each after that 4, up to 2,000.

use crate::stage::{DAY, Is, MINUTE, command, declined_at_period_end, is, live, pass, refund_of, to_period_end, told};
use crate::usage::{minutes_plan, of_minutes};
use billing::calendar::Interval;
use billing::catalog::{Catalogue, Limit, OveragePrice};
use billing::id::{FeatureId, PeriodId};
use billing::money::Money;
use billing::outcome::{DisputeStanding, Remedy};
use billing::payment::Portion;
use billing::ports::{Key, Record, Store, Wanted};
use billing::subscription::{Action, Command, Effective, Event, Intervention, UsageLine};
use billing::testing::{Script, World, catalogue, customer, idempotency_key, meter, world};
use billing::usage::MeterUsage;
use billing::workflow::{ChangeError, NotCounted, RefundRequest, Use, Wish};
use futures::executor::block_on;

/// On Starter, whose overage is sold.
pub(crate) fn starter() -> World {
    starter_with(1_000, overage_price())
}

pub(crate) fn starter_with(included: u64, price: OveragePrice) -> World {
    starter_of(catalogue("minutes"), included, &price)
}

/// On Starter as `plans` have it, with so much of it included and more for that price.
pub(crate) fn starter_of(mut plans: Catalogue, included: u64, price: &OveragePrice) -> World {
    let world = world();
    for plan in plans.plans.iter_mut().filter(|plan| plan.id.as_str() == "minutes-starter") {
        plan.limits.insert(meter("minutes"), Limit::AtMost(included));
        plan.overage = [(meter("minutes"), vec![price.clone()])].into();
    }
    block_on(world.load(plans)).unwrap_or_else(|error| panic!("{error}"));
    let wanted =
        billing::workflow::Checkout { plan: billing::testing::plan("minutes-starter").id, ..minutes_plan("k") };
    let payment = block_on(world.checkout(wanted)).unwrap_or_else(|error| panic!("{error}"));
    world.gateways.visit(&payment, true);
    told(&world, &payment, "evt");
    world
}

pub(crate) fn overage_price() -> OveragePrice {
    priced(
        r#"{"per": 1, "tiers": [
        {"up_to": 500, "amount": {"minor": 5, "currency": "USD"}},
        {"up_to": 2000, "amount": {"minor": 4, "currency": "USD"}}
    ]}"#,
    )
}

fn priced(text: &str) -> OveragePrice {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}"))
}

pub(crate) fn minutes(world: &World, value: u64, id: &str) -> Result<u64, NotCounted> {
    counted(world, of_minutes(value, id))
}

pub(crate) fn counted(world: &World, it: Use) -> Result<u64, NotCounted> {
    let mut answers = block_on(world.report(&customer(), &[it])).unwrap_or_else(|error| panic!("{error}"));
    answers.remove(0).map(|standing| standing.used)
}

/// What the gateway took, one after the other.
pub(crate) fn charged(world: &World) -> Vec<i64> {
    let mut paid: Vec<_> = world.store.records().into_iter().filter_map(payment).collect();
    paid.sort();
    paid.into_iter().map(|(_, minor)| minor).collect()
}

fn payment(record: Record) -> Option<(billing::id::PaymentId, i64)> {
    let Record::Payment(it) = record else { return None };
    it.paid().is_some().then(|| (it.id.clone(), it.amount.minor))
}

pub(crate) fn renewed(world: &World) {
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

/// Each sale is added in minor units: 2.9 per cent of 12,345.67 is 358.02443, and the first 100.00 are free in the second case.
#[test]
fn a_percentage_of_what_is_turned_over_is_an_amount_for_so_many_minor_units() {
    let rate = r#"{"per": 1000, "tiers": [{"up_to": null, "amount": {"minor": 29, "currency": "USD"}}]}"#;
    for (free, fee) in [(0, 35_802), (10_000, 35_512)] {
        let world = starter_with(free, priced(rate));
        assert_eq!(minutes(&world, 1_234_500, "a-sale"), Ok(1_234_500));
        assert_eq!(minutes(&world, 67, "another"), Ok(1_234_567));
        renewed(&world);
        assert_eq!((charged(&world), lines(&world)), (vec![2_900, 2_900 + fee], vec![]));
    }
    // Of nothing it is nothing.
    let world = starter_with(0, priced(rate));
    renewed(&world);
    assert_eq!(charged(&world), [2_900, 2_900]);
}

#[test]
fn the_lines_are_on_the_payment_that_pays_for_them_and_all_of_it_can_be_given_back() {
    let world = starter();
    assert_eq!(minutes(&world, 1_500, "a"), Ok(1_500));
    renewed(&world);
    let subscription = world.subscription();
    assert!(subscription.usage_charges.is_empty() && subscription.balances.iter().all(|it| it.minor == 0));
    let last = block_on(world.payments(&customer(), None, 1)).unwrap_or_else(|error| panic!("{error}")).remove(0);
    let lines = last.bought.clone().map(|it| it.usage_charges).unwrap_or_default();
    let [UsageLine { period: PeriodId { index: 0, .. }, used: 1_500, included: 1_000, amount, .. }] = &lines[..] else {
        panic!("{lines:?}")
    };
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
    assert_eq!((is(&world.subscription()), world.subscription().usage_charges.len()), (Is::Retrying, 1));
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
    assert_eq!(
        ended.usage_charges.iter().map(|line| (line.period.index, line.amount.minor)).collect::<Vec<_>>(),
        [(0, 50)]
    );
    let wanted =
        billing::workflow::Checkout { plan: billing::testing::plan("minutes-starter").id, ..minutes_plan("again") };
    let payment = block_on(world.checkout(wanted)).unwrap_or_else(|error| panic!("{error}"));
    world.gateways.visit(&payment, true);
    told(&world, &payment, "evt_again");
    assert_eq!((is(&world.subscription()), world.subscription().usage_charges.len()), (Is::Active, 0));
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

/// To another plan of the family, now or when the period ends.
pub(crate) fn to(action: Action, name: &str, effective: Effective) -> Wish {
    Wish {
        customer: customer(),
        action,
        plan: Some(billing::testing::plan(name).id),
        addon: None,
        interval: None,
        quantity: None,
        effective,
        confirm: true,
        preview: None,
    }
}

pub(crate) fn changed(world: &World, wish: &Wish, key: &str) {
    let done = block_on(world.change(wish, &idempotency_key(key), key));
    assert!(done.is_ok(), "{done:?}");
}

pub(crate) fn lines(world: &World) -> Vec<(u64, u64, i64)> {
    let lines = world.subscription().usage_charges;
    lines.iter().map(|line| (line.used, line.included, line.amount.minor)).collect()
}

#[test]
fn a_bigger_plan_forgives_nothing_that_the_smaller_one_had_a_price_for() {
    let world = starter();
    assert_eq!(minutes(&world, 1_600, "a"), Ok(1_600));
    // A minute before the period ends, the rest of Pro costs next to nothing.
    to_period_end(&world);
    world.clock.set(world.clock.time() - MINUTE);
    changed(&world, &to(Action::Upgrade, "minutes-pro", Effective::Now), "up");
    assert_eq!(lines(&world), [(1_600, 1_000, 2_900)]);
    assert_eq!(minutes(&world, 1_000, "b"), Ok(2_600), "within what Pro allows");
    changed(&world, &to(Action::Downgrade, "minutes-starter", Effective::PeriodEnd), "down");
    renewed(&world);
    let last = charged(&world).pop();
    assert_eq!((last, lines(&world)), (Some(2_900 + 2_900), vec![]));
}

#[test]
fn what_was_used_of_a_plan_that_allowed_it_is_not_held_against_the_one_after_it() {
    let world = starter();
    changed(&world, &to(Action::Upgrade, "minutes-enterprise", Effective::Now), "up");
    assert_eq!(minutes(&world, 8_000, "a"), Ok(8_000));
    changed(&world, &to(Action::Downgrade, "minutes-starter", Effective::PeriodEnd), "down");
    assert_eq!(minutes(&world, 2_000, "b"), Ok(10_000), "what is paid for is allowed until it is over");
    renewed(&world);
    assert_eq!(
        (world.subscription().order.plan.id.as_str().to_owned(), charged(&world).pop()),
        ("minutes-starter".to_owned(), Some(2_900))
    );
    renewed(&world);
    assert_eq!((charged(&world).pop(), lines(&world)), (Some(2_900), vec![]));
}

#[test]
fn a_change_of_interval_takes_what_was_used_along() {
    let world = starter();
    assert_eq!(minutes(&world, 1_600, "a"), Ok(1_600));
    let yearly = Wish {
        plan: None,
        interval: Some(Interval::Year),
        ..to(Action::ChangeInterval, "minutes-starter", Effective::Now)
    };
    changed(&world, &yearly, "year");
    assert_eq!(lines(&world), [(1_600, 1_000, 2_900)]);
    assert_eq!(minutes(&world, 1_010, "b"), Ok(1_010), "a period of its own");
    renewed(&world);
    assert_eq!(charged(&world).pop(), Some(29_000 + 2_900 + 50));
}

#[test]
fn a_change_is_previewed_with_the_invoice_that_it_leads_to() {
    let world = starter();
    assert_eq!(minutes(&world, 1_100, "a"), Ok(1_100));
    let wish = to(Action::Upgrade, "minutes-pro", Effective::Now);
    let shown = block_on(world.preview_change(&wish)).unwrap_or_else(|error| panic!("{error}")).preview;
    assert_eq!((shown.next_amount.minor, lines(&world)), (9_900 + 500, vec![]), "looking changes nothing");
    changed(&world, &Wish { preview: Some(shown.id), ..wish }, "up");
    renewed(&world);
    assert_eq!(charged(&world).pop(), Some(9_900 + 500));
}

/// Found on a second reading: the rest of a period that was billed in two parts began anew at the first tier.
#[test]
fn a_period_that_is_billed_in_two_parts_costs_what_it_costs_as_one() {
    let world = starter();
    assert_eq!(minutes(&world, 1_400, "a"), Ok(1_400));
    let seated =
        Wish { interval: Some(Interval::Year), ..to(Action::ChangeInterval, "minutes-starter", Effective::Now) };
    // It is declined: what was used so far is told, and the period goes on.
    world.gateways.next(Script::Decline(Remedy::RetryLater));
    let declined = block_on(world.change(&seated, &idempotency_key("year"), "year"));
    assert!(matches!(declined, Err(ChangeError::Declined(_))), "{declined:?}");
    assert_eq!(lines(&world), [(1_400, 1_000, 400 * 5)]);
    assert_eq!(minutes(&world, 300, "b"), Ok(1_700));
    renewed(&world);
    // 500 at 5 cents and 200 at 4, whenever they were billed.
    assert_eq!(charged(&world), [2_900, 2_900 + 500 * 5 + 200 * 4]);
}

#[test]
fn who_cancels_at_once_is_told_what_they_owe() {
    let world = starter();
    assert_eq!(minutes(&world, 1_100, "a"), Ok(1_100));
    assert_eq!(command(&world, Command::CancelNow), Is::Canceled);
    assert_eq!(lines(&world), [(1_100, 1_000, 500)]);
}

/// Found on a second reading: the lines were written after the end, by nobody if that was cut off; and not at all if the
/// period was over, or a change was being paid.
#[test]
fn what_ends_is_billed_in_the_transaction_that_ends_it() {
    type Begin = fn(&World);
    let waiting = |world: &World| {
        world.gateways.next(Script::SilentBefore);
        let wish =
            Wish { interval: Some(Interval::Year), ..to(Action::ChangeInterval, "minutes-starter", Effective::Now) };
        let changed = block_on(world.change(&wish, &idempotency_key("year"), "year"));
        assert!(changed.is_ok(), "{changed:?}");
        assert_eq!(minutes(world, 100, "b"), Ok(1_200));
    };
    let cases: [(&str, Begin, i64); 4] = [
        ("within the period", |_| {}, 500),
        ("once it is over", to_period_end, 500),
        ("paused, and to be cancelled at its end", |world| assert_eq!(command(world, Command::Pause), Is::Paused), 500),
        ("while a change is being paid", waiting, 1_000),
    ];
    for (when, begin, owed) in cases {
        let world = starter();
        assert_eq!(minutes(&world, 1_100, "a"), Ok(1_100), "{when}");
        begin(&world);
        let how = if when.contains("at its end") { Command::CancelAtPeriodEnd } else { Command::CancelNow };
        assert_eq!(command(&world, how), Is::Canceled, "{when}");
        let subscription = world.subscription();
        let amounts: i64 = lines(&world).iter().map(|(.., amount)| amount).sum();
        assert_eq!(amounts, owed, "{when}: {:?}", lines(&world));
        let told = |index| Key::History(customer(), subscription.id.clone(), subscription.version, index);
        let found = block_on(world.store.get(vec![told(0), told(1)])).unwrap_or_else(|error| panic!("{error}"));
        let events: Vec<&Record> = found.records().iter().collect();
        let [
            Record::History { event: Event::UsageBilled { .. }, .. },
            Record::History { event: Event::Canceled { .. }, .. },
        ] = events[..]
        else {
            panic!("{when}: {events:?}")
        };
        assert!(minutes(&world, 1, "late").is_err(), "{when}");
    }
}

/// Found by seed 1,459: what was used after a change had looked was of a period that nobody came back to.
#[test]
fn a_change_that_begins_another_period_bills_all_that_was_used_until_it_was_made() {
    let yearly =
        || Wish { interval: Some(Interval::Year), ..to(Action::ChangeInterval, "minutes-starter", Effective::Now) };
    let world = starter();
    assert_eq!(minutes(&world, 1_100, "a"), Ok(1_100));
    world.gateways.next(Script::SilentAfter);
    let changing = block_on(world.change(&yearly(), &idempotency_key("year"), "year"));
    assert!(changing.is_ok_and(|it| it.payment.is_some()));
    assert_eq!(lines(&world), [(1_100, 1_000, 500)]);
    // Days may go by until it is heard that the change is paid.
    assert_eq!(minutes(&world, 450, "b"), Ok(1_550));
    live(&world, DAY);
    assert_eq!(world.subscription().order.price.interval, Interval::Year);
    assert_eq!(lines(&world), [(1_100, 1_000, 500), (1_550, 1_100, 400 * 5 + 50 * 4)]);
    assert_eq!(minutes(&world, 1_000, "c"), Ok(1_000), "a period of its own");
    renewed(&world);
    assert_eq!(charged(&world).pop(), Some(29_000 + 500 + 2_200));
}

/// Found by seed 1,409: what is counted by a clock that is ahead is of the next period already.
#[test]
fn a_change_by_a_clock_that_is_behind_bills_the_period_that_it_changes() {
    let world = starter();
    assert_eq!(minutes(&world, 1_600, "a"), Ok(1_600));
    to_period_end(&world);
    assert_eq!(minutes(&world, 1_900, "b"), Ok(1_900));
    pass(&world, -MINUTE);
    changed(&world, &to(Action::Upgrade, "minutes-pro", Effective::Now), "up");
    assert_eq!(lines(&world), [(1_600, 1_000, 2_900)]);
}

/// Found by seed 39.
#[test]
fn who_has_a_payment_charged_back_owes_for_what_they_used() {
    let world = starter();
    assert_eq!(minutes(&world, 1_100, "a"), Ok(1_100));
    let payment = block_on(world.payments(&customer(), None, 1)).unwrap_or_else(|error| panic!("{error}")).remove(0);
    world.gateways.dispute(&payment, DisputeStanding::Lost);
    told(&world, &payment, "evt_lost");
    assert_eq!((is(&world.subscription()), lines(&world)), (Is::Disputed, vec![(1_100, 1_000, 500)]));
}

#[test]
fn what_is_owed_in_one_currency_is_paid_in_no_other() {
    let world = starter();
    assert_eq!(minutes(&world, 1_100, "a"), Ok(1_100));
    command(&world, Command::CancelNow);
    let naira = billing::testing::request("estates-starter", "naira");
    let payment = block_on(world.checkout(naira)).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(payment.amount.minor, 300_000);
    world.gateways.visit(&payment, true);
    told(&world, &payment, "evt_naira");
    assert_eq!((is(&world.subscription()), lines(&world)), (Is::Active, vec![(1_100, 1_000, 500)]));
}

#[test]
fn what_was_used_up_is_credited_to_nobody() {
    let world = starter();
    assert_eq!(minutes(&world, 1_500, "a"), Ok(1_500));
    renewed(&world);
    // 29.00 and 25.00 were paid; the plan's 29.00 go back.
    let last = block_on(world.payments(&customer(), None, 1)).unwrap_or_else(|error| panic!("{error}")).remove(0);
    let part = Money { minor: 2_900, ..last.amount };
    let wanted = RefundRequest { payment: last.id, portion: Portion::Part(part), ..refund_of(&world, 2_900) };
    block_on(world.refund(wanted)).unwrap_or_else(|error| panic!("{error}"));
    world.run();
    let wish = to(Action::Upgrade, "minutes-pro", Effective::Now);
    let shown = block_on(world.preview_change(&wish)).unwrap_or_else(|error| panic!("{error}")).preview;
    let credit: i64 = shown.lines.iter().filter(|line| line.is_credit).map(|line| line.amount.minor).sum();
    assert_eq!(credit, 0);
}

#[test]
fn a_trial_and_a_gift_have_their_limits() {
    let world = starter();
    let free = Intervention::Comp { percent: 100, periods: None };
    let done = block_on(world.intervene(&customer(), &free, &idempotency_key("gift"), "gift"));
    assert!(done.is_ok(), "{done:?}");
    assert!(matches!(minutes(&world, 1_001, "a"), Err(NotCounted::LimitReached(_))));
    assert_eq!(minutes(&world, 1_000, "b"), Ok(1_000));
}
