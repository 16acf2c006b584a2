//! Stories of going down to a smaller plan: what is in the way, until when, and which plan would do.

use crate::changes::try_change;
use crate::overage::minutes;
use crate::reserving::of_held_minutes;
use crate::stage::{
    DAY, Is, command, declined_at_period_end, is, live, money, opened_as, pass, period_end, subscribed_to,
    to_period_end,
};
use crate::usage::{minutes_plan, of_minutes};
use billing::catalog::Limit;
use billing::downgrade::Downgrade;
use billing::entitlement::Reason;
use billing::id::{FeatureId, PlanId};
use billing::outcome::Remedy;
use billing::subscription::{Action, Command, Effective, Refusal};
use billing::testing::{World, catalogue, customer, meter, zone};
use billing::workflow::{Advice, ChangeError, Checkout, DowngradeError, NotCounted, ReserveError, Wish};
use futures::executor::block_on;

const STARTER: &str = "minutes-starter";

fn named(plan: &str) -> PlanId {
    PlanId::try_from(plan.to_owned()).unwrap_or_else(|error| panic!("{error}"))
}

fn down(effective: Effective) -> Wish {
    let plan = Some(named(STARTER));
    Wish { action: Action::Downgrade, plan, effective, ..crate::changes::upgrade() }
}

/// Pro, with so many minutes used of its 3,000 and so many of its five agents; Starter has 1,000 and one.
pub(crate) fn using(minutes: u64, agents: u64) -> World {
    let world = subscribed_to(Checkout { time_zone: Some(zone("Africa/Lagos")), ..minutes_plan("first") });
    agents_are(&world, agents);
    counts(&world, minutes, "before");
    world
}

pub(crate) fn agents_are(world: &World, agents: u64) {
    block_on(world.set_usage(&customer(), &meter("agents"), agents)).unwrap_or_else(|error| panic!("{error}"));
}

fn counts(world: &World, minutes: u64, id: &str) {
    let counted = block_on(world.report(&customer(), &[of_minutes(minutes, id)]));
    assert!(matches!(counted.as_deref(), Ok([Ok(_)])), "{counted:?}");
}

fn advice(world: &World, plan: &str) -> Result<Advice, DowngradeError> {
    block_on(world.validate_downgrade(&customer(), &named(plan)))
}

fn advised(world: &World) -> Advice {
    advice(world, STARTER).unwrap_or_else(|error| panic!("{error}"))
}

fn blocked(world: &World, effective: Effective) -> Downgrade {
    let before = world.subscription();
    let Err(ChangeError::Blocked(blocked)) = try_change(world, &down(effective), "k") else {
        panic!("a downgrade is made");
    };
    assert_eq!(world.subscription(), before);
    *blocked
}

pub(crate) fn schedule(world: &World) {
    let made = try_change(world, &down(Effective::PeriodEnd), "k").unwrap_or_else(|error| panic!("{error}"));
    assert!(made.subscription.scheduled.is_some());
}

fn has(world: &World) -> String {
    world.subscription().order.plan.id.to_string()
}

/// How the minutes stand, as whoever asks is told.
fn stand(world: &World) -> (u64, Limit, Option<u64>, Option<Reason>) {
    let name = FeatureId::from(meter("minutes"));
    let found = block_on(world.entitlement(&customer(), &name)).unwrap_or_else(|error| panic!("{error}"));
    let standing = found.standing.unwrap_or_else(|| panic!("no minutes"));
    (standing.used, standing.limit, standing.remaining, found.reason)
}

#[test]
fn a_period_that_is_owed_allows_no_more_than_the_smaller_plan_that_it_will_be_of() {
    let (world, starter, pro) = (using(2_500, 1), Limit::AtMost(1_000), Limit::AtMost(3_000));
    schedule(&world);
    assert_eq!(stand(&world), (2_500, pro, Some(500), None), "what is paid for is had to its end");
    declined_at_period_end(&world, Remedy::RetryLater);
    assert_eq!((has(&world).as_str(), stand(&world)), ("minutes-pro", (0, starter, Some(1_000), None)));
    assert!(matches!(minutes(&world, 1_001, "more"), Err(NotCounted::LimitReached(it)) if it.limit == starter));
    let held = block_on(world.reserve(&of_held_minutes(1_001, "call")));
    assert!(matches!(held, Err(ReserveError::LimitReached(_))), "{held:?}");
    assert_eq!(minutes(&world, 1_000, "all"), Ok(1_000));
    assert_eq!(stand(&world), (1_000, starter, Some(0), Some(Reason::LimitReached)));
    let alerts = block_on(world.alerts(&customer())).unwrap_or_else(|error| panic!("{error}"));
    let alerts: Vec<_> = alerts.open.iter().map(|it| (it.alert.percent, it.alert.limit, it.used)).collect();
    assert_eq!(alerts, [(80, 1_000, 1_000), (100, 1_000, 1_000)]);
    pass(&world, DAY);
    world.run();
    assert_eq!((has(&world).as_str(), is(&world.subscription())), (STARTER, Is::Active));
    assert_eq!(stand(&world), (1_000, starter, Some(0), Some(Reason::LimitReached)));
}

#[test]
fn a_period_that_is_owed_allows_no_more_than_what_was_paid_for_before() {
    let world = using(2_500, 1);
    let plan = Some(named("minutes-enterprise"));
    let up = Wish { action: Action::Upgrade, plan, effective: Effective::PeriodEnd, ..crate::changes::upgrade() };
    try_change(&world, &up, "k").unwrap_or_else(|error| panic!("{error}"));
    declined_at_period_end(&world, Remedy::RetryLater);
    assert_eq!(minutes(&world, 3_000, "all"), Ok(3_000));
    assert_eq!(stand(&world), (3_000, Limit::AtMost(3_000), Some(0), Some(Reason::LimitReached)));
    pass(&world, DAY);
    world.run();
    assert_eq!(stand(&world), (3_000, Limit::AtMost(10_000), Some(7_000), None));
    let alerts = block_on(world.alerts(&customer())).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(alerts.open, []);
}

#[test]
fn minutes_that_are_used_up_are_in_the_way_now_and_not_when_the_period_ends() {
    let world = using(1_500, 1);
    let advice = advised(&world).downgrade;
    assert_eq!(
        advice.steps,
        [
            "Monthly Call Minutes: 500 above the limit (1500 used, 1000 max): possible from the next period, 2025-02-28",
            "Or stay on Pro",
        ]
    );
    assert_eq!(advice.possible_from, Some(period_end(&world)));
    assert_eq!(blocked(&world, Effective::Now), advice, "the change says what the check did");
    let shown = block_on(world.preview_change(&down(Effective::PeriodEnd))).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(shown.downgrade, Some(advice));
    schedule(&world);
    // Until then, Pro is what they have.
    counts(&world, 1_500, "after");
    to_period_end(&world);
    // Then Starter, before the worker has come.
    counts(&world, 1_000, "late-worker");
    world.run();
    assert_eq!((has(&world).as_str(), is(&world.subscription()), money(&world)), (STARTER, Is::Active, (2, 0)));
    assert_eq!(world.subscription().order.price.amount.minor, 2_900);
}

#[test]
fn agents_are_in_the_way_until_there_are_few_enough() {
    let world = using(1_500, 2);
    for effective in [Effective::Now, Effective::PeriodEnd] {
        assert_eq!(blocked(&world, effective), advised(&world).downgrade);
    }
    agents_are(&world, 1);
    assert_eq!(blocked(&world, Effective::Now).exceeds.len(), 1);
    schedule(&world);
    // There are two again when it is to be made.
    agents_are(&world, 2);
    to_period_end(&world);
    world.run();
    assert_eq!((has(&world).as_str(), world.subscription().scheduled), ("minutes-pro", None));
    assert_eq!(advised(&world).downgrade.possible_from, None, "the minutes are of the last period");
    agents_are(&world, 1);
    try_change(&world, &down(Effective::Now), "now").unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(has(&world), STARTER);
}

#[test]
fn what_is_cheaper_at_the_same_tier_is_asked_about_as_it_is_changed_to() {
    let world = using(1_500, 3);
    let mut offers = catalogue("minutes");
    for (name, minor) in [("minutes-lite", 9_800), ("minutes-plus", 9_900)] {
        let mut pro = offers.plans[1].clone();
        pro.id = named(name);
        pro.prices[0].amount.minor = minor;
        pro.limits.insert(meter("agents"), Limit::AtMost(2));
        offers.plans.push(pro);
    }
    block_on(world.load(offers)).unwrap_or_else(|error| panic!("{error}"));
    let lite = advice(&world, "minutes-lite").unwrap_or_else(|error| panic!("{error}")).downgrade;
    assert_eq!(lite.exceeds.iter().map(|it| it.overage).collect::<Vec<_>>(), [1]);
    let to_lite = Wish { plan: Some(named("minutes-lite")), ..down(Effective::Now) };
    assert!(matches!(try_change(&world, &to_lite, "k"), Err(ChangeError::Blocked(blocked)) if *blocked == lite));
    for no_lower in ["minutes-plus", "minutes-pro", "minutes-enterprise"] {
        assert!(matches!(advice(&world, no_lower), Err(DowngradeError::NotLower(_))), "{no_lower}");
    }
}

#[test]
fn whoever_has_a_subscription_that_goes_on_is_told_what_would_fit_and_who_has_none_why_not() {
    let world = using(1_500, 3);
    let beyond = |world: &World| advised(world).downgrade.exceeds.iter().map(|it| it.overage).collect::<Vec<_>>();
    assert_eq!(beyond(&world), [500, 2]);
    command(&world, Command::Pause);
    assert_eq!(beyond(&world), [500, 2]);
    assert!(
        advised(&world).downgrade.exceeds.iter().all(|it| it.resets_at.is_none()),
        "while it is paused nothing ends"
    );
    command(&world, Command::Unpause);
    declined_at_period_end(&world, Remedy::NewMethod);
    counts(&world, 1_400, "owed");
    live(&world, DAY * 12);
    assert!(!world.subscription().is_live());
    let owed = advised(&world).downgrade;
    assert_eq!((beyond(&world), owed.possible_from), (vec![400, 2], None), "what is owed ends when it is paid for");
    command(&world, Command::CancelNow);
    let refusal = |world: &World| match advice(world, STARTER) {
        Err(DowngradeError::Refused(refusal)) => refusal,
        other => panic!("{other:?}"),
    };
    assert_eq!(refusal(&world), Refusal::Ended);
    let world = billing::testing::world();
    assert!(matches!(advice(&world, STARTER), Err(DowngradeError::NoSubscription)));
    opened_as(&world, minutes_plan("first"));
    assert_eq!(refusal(&world), Refusal::NotActive);
}

#[test]
fn who_looks_for_a_smaller_plan_is_told_which_is_the_cheapest_that_would_do() {
    let fit = |world: &World| advised(world).cheapest_fit.map(|it| (it.display_name, it.amount.to_string()));
    let told = |name: &str, amount: &str| Some((name.to_owned(), amount.to_owned()));
    let world = using(1_000, 1);
    assert_eq!(fit(&world), told("Starter", "USD 29.00"));
    agents_are(&world, 2);
    assert_eq!(fit(&world), told("Pro", "USD 99.00"), "what they have");
    // What came on sale since counts, and so does what became of it.
    let mut offers = catalogue("minutes");
    let mut duo = offers.plans[0].clone();
    (duo.id, duo.display_name) = (named("minutes-duo"), "Duo".to_owned());
    duo.prices[0].amount.minor = 3_900;
    duo.limits.insert(meter("agents"), Limit::AtMost(2));
    offers.plans.push(duo);
    block_on(world.load(offers.clone())).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(fit(&world), told("Duo", "USD 39.00"));
    offers.plans[3].active = false;
    block_on(world.load(offers)).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(fit(&world), told("Pro", "USD 99.00"));
    assert!(matches!(advice(&world, "minutes-duo"), Err(DowngradeError::NoSuchPlan(_))));
    agents_are(&world, 26);
    assert_eq!(fit(&world), None);
}
