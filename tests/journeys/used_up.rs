//! Stories of what is credited of a period that is used up: where a change begins another one, in which the counters start at
//! zero, what they have counted is paid for. Pro allows 3,000 minutes for 99.00 dollars a month, Starter 1,000 for 29.00; the
//! sample subscription's first period has 28 days.

use crate::changes::{amounts, by_the_year, change, preview, try_change};
use crate::overage::{charged, minutes};
use crate::stage::{DAY, HOUR, MINUTE, attempt, pass, subscribed_to};
use crate::usage::minutes_plan;
use billing::calendar::Interval;
use billing::id::PlanId;
use billing::ports::{Key, Record, Store, Write};
use billing::proration::Proration;
use billing::subscription::{Action, Effective, Refusal};
use billing::testing::{World, plan};
use billing::workflow::{ChangeError, Checkout, Wish};
use futures::executor::block_on;
use jiff::SignedDuration;

const STARTER: &str = "minutes-starter";
const PRO: &str = "minutes-pro";

fn on(plan: &str) -> World {
    let plan = PlanId::try_from(plan.to_owned()).unwrap_or_else(|error| panic!("{error}"));
    subscribed_to(Checkout { plan, ..minutes_plan("k") })
}

fn to(action: Action, id: &str) -> Wish {
    Wish { action, plan: Some(plan(id).id), interval: None, ..by_the_year(Effective::Now) }
}

fn by_the_month() -> Wish {
    Wish { interval: Some(Interval::Month), ..by_the_year(Effective::Now) }
}

/// Both plans, and what is had of them, go by `policy` from now on.
fn by(world: &World, policy: Proration) {
    let put =
        |record| block_on(world.store.commit(vec![Write::next(record)])).unwrap_or_else(|error| panic!("{error}"));
    for id in [STARTER, PRO] {
        let mut stored = world.key(Key::Plan(plan(id).id)).plan().unwrap_or_else(|| panic!("no plan {id}"));
        stored.plan.proration = policy;
        put(Record::Plan(stored));
    }
    let mut subscription = world.subscription();
    subscription.order.plan.proration = policy;
    put(Record::Subscription(subscription));
}

fn balance(world: &World) -> i64 {
    let subscription = world.subscription();
    subscription.balance(subscription.order.price.amount.currency).minor
}

#[test]
fn who_goes_from_month_to_year_and_back_pays_for_each_period_that_is_used_up() {
    let world = on(PRO);
    let flips = [(by_the_year(Effective::Now), 99_000), (by_the_month(), 9_900)];
    for (n, (wish, price)) in flips.iter().chain(&flips).enumerate() {
        assert_eq!(minutes(&world, 3_000, &format!("all-{n}")), Ok(3_000));
        pass(&world, MINUTE);
        assert_eq!(amounts(&preview(&world, wish)), [*price], "{n}");
        change(&world, wish, &format!("flip-{n}"));
    }
    assert_eq!((charged(&world), balance(&world)), (vec![9_900, 99_000, 9_900, 99_000, 9_900], 0));
}

#[test]
fn what_is_credited_is_what_is_left_of_the_time_and_no_more_than_what_is_left_of_the_minutes() {
    // How long it has run, how many minutes are used, and what is credited of 99.00.
    let cases = [
        (SignedDuration::ZERO, 0, 9_900),
        (SignedDuration::ZERO, 3, 9_890),
        (SignedDuration::ZERO, 3_000, 0),
        // A tenth of the time is gone.
        (DAY * 2 + HOUR * 19 + MINUTE * 12, 0, 8_910),
        (DAY * 2 + HOUR * 19 + MINUTE * 12, 300, 8_910),
        (DAY * 2 + HOUR * 19 + MINUTE * 12, 1_500, 4_950),
        (DAY * 14, 1_500, 4_950),
        (DAY * 14, 2_250, 2_475),
        (DAY * 21, 2_250, 2_475),
    ];
    for (time, used, credit) in cases {
        let world = on(PRO);
        if used > 0 {
            assert_eq!(minutes(&world, used, "all"), Ok(used));
        }
        pass(&world, time);
        let shown = preview(&world, &by_the_year(Effective::Now));
        let lines: Vec<i64> = [-credit, 99_000].into_iter().filter(|minor| *minor != 0).collect();
        assert_eq!((amounts(&shown), shown.due_now.minor), (lines, 99_000 - credit), "{used} after {time}");
        change(&world, &Wish { preview: Some(shown.id), ..by_the_year(Effective::Now) }, "year");
        assert_eq!(attempt(&world, 1, 1_001).amount, shown.due_now, "{used} after {time}");
        assert_eq!(minutes(&world, 3_000, "a-new-period"), Ok(3_000));
    }
}

#[test]
fn where_each_change_begins_a_period_going_up_and_down_gives_no_minutes_for_nothing() {
    let world = on(STARTER);
    by(&world, Proration::FullNow);
    for round in 1..=3 {
        assert_eq!(minutes(&world, 1_000, &format!("all-{round}")), Ok(1_000));
        assert_eq!(amounts(&preview(&world, &to(Action::Upgrade, PRO))), [9_900]);
        change(&world, &to(Action::Upgrade, PRO), &format!("up-{round}"));
        assert_eq!(amounts(&preview(&world, &to(Action::Downgrade, STARTER))), [-9_900, 2_900]);
        change(&world, &to(Action::Downgrade, STARTER), &format!("down-{round}"));
        // Each thousand is paid for, and the one to come too.
        let paid: i64 = charged(&world).iter().sum();
        assert_eq!(paid - balance(&world), 2_900 * (round + 1));
    }
}

#[test]
fn who_went_up_for_nothing_has_back_no_more_than_what_is_unused_of_what_they_paid() {
    let world = on(STARTER);
    by(&world, Proration::None);
    assert_eq!(amounts(&preview(&world, &to(Action::Upgrade, PRO))), [0; 0]);
    change(&world, &to(Action::Upgrade, PRO), "up");
    by(&world, Proration::BySecond);
    assert_eq!(minutes(&world, 2_000, "two-thirds"), Ok(2_000));
    assert_eq!(amounts(&preview(&world, &by_the_year(Effective::Now))), [-967, 99_000]);
}

#[test]
fn a_change_within_the_period_is_credited_by_the_time_alone_and_what_is_counted_goes_on() {
    let world = on(STARTER);
    assert_eq!(minutes(&world, 1_000, "all"), Ok(1_000));
    pass(&world, DAY * 14);
    assert_eq!(amounts(&preview(&world, &to(Action::Upgrade, PRO))), [-1_450, 4_950]);
    change(&world, &to(Action::Upgrade, PRO), "up");
    assert_eq!(minutes(&world, 2_000, "the-rest"), Ok(3_000));
    assert!(minutes(&world, 1, "more").is_err());
    // What is paid for now is what Pro allows, and that is used up.
    assert_eq!(amounts(&preview(&world, &by_the_year(Effective::Now))), [99_000]);
}

#[test]
fn a_use_that_comes_after_a_preview_makes_it_stale_if_it_costs_what_was_credited() {
    let world = on(PRO);
    pass(&world, DAY * 14);
    let shown = preview(&world, &by_the_year(Effective::Now));
    let as_shown = Wish { preview: Some(shown.id), ..by_the_year(Effective::Now) };
    assert_eq!(minutes(&world, 1_501, "meanwhile"), Ok(1_501));
    let refused = try_change(&world, &as_shown, "year");
    assert!(matches!(refused, Err(ChangeError::Refused(Refusal::PreviewStale))), "{refused:?}");
    // What leaves the amounts as they are does not.
    let world = on(PRO);
    pass(&world, DAY * 14);
    let shown = preview(&world, &by_the_year(Effective::Now));
    assert_eq!(minutes(&world, 1_500, "meanwhile"), Ok(1_500));
    change(&world, &Wish { preview: Some(shown.id), ..by_the_year(Effective::Now) }, "year");
    assert_eq!(attempt(&world, 1, 1_001).amount, shown.due_now);
}
