//! Stories of add-ons that do not go along: an upgrade, or another interval, that allows less by that is held against what is
//! in use, and confirmed, as a downgrade is.

use crate::changes::{by_the_year, change, try_change, upgrade};
use crate::downgrades::agents_are;
use crate::stage::{Is, index, is, opened_as, to_period_end, told};
use crate::usage::minutes_plan;
use billing::calendar::Interval;
use billing::catalog::{Addon, AddonPrice, Limit};
use billing::downgrade::Downgrade;
use billing::id::{AddonId, FeatureId, MeterId};
use billing::money::Money;
use billing::subscription::{Action, Effective};
use billing::testing::{World, catalogue, meter, plan, world};
use billing::workflow::{ChangeError, Checkout, Wish};
use futures::executor::block_on;

const STARTER: &str = "minutes-starter";
const PRO: &str = "minutes-pro";

fn to_pro(effective: Effective) -> Wish {
    Wish { plan: Some(plan(PRO).id), effective, confirm: false, ..upgrade() }
}

fn yearly(effective: Effective) -> Wish {
    Wish { confirm: false, ..by_the_year(effective) }
}

fn confirmed(wish: &Wish) -> Wish {
    Wish { confirm: true, ..wish.clone() }
}

/// On Starter, which has one agent, with an add-on that it is sold with by the month; Pro has five, and analytics.
fn with(agents: u64, feature: Option<&str>) -> World {
    let id = AddonId::try_from("crew".to_owned()).unwrap_or_else(|error| panic!("{error}"));
    let named = |name: &str| FeatureId::try_from(name.to_owned()).unwrap_or_else(|error| panic!("{error}"));
    let mut offers = catalogue("minutes");
    let starter = &mut offers.plans[0];
    let amount = Money { minor: 1_000, ..starter.prices[0].amount };
    starter.addons = vec![Addon {
        id: id.clone(),
        name: "Crew".to_owned(),
        description: None,
        prices: vec![AddonPrice { interval: Interval::Month, amount }],
        per_unit: false,
        features: feature.into_iter().map(named).collect(),
        limits: [(meter("agents"), agents)].into_iter().filter(|(_, more)| *more > 0).collect(),
    }];
    let world = world();
    block_on(world.load(offers)).unwrap_or_else(|error| panic!("{error}"));
    let payment = opened_as(&world, Checkout { plan: plan(STARTER).id, ..minutes_plan("first") });
    world.gateways.visit(&payment, true);
    told(&world, &payment, "evt");
    change(&world, &Wish { action: Action::AddAddon, plan: None, addon: Some(id), ..upgrade() }, "add");
    assert_eq!(agents_allowed(&world), Some(Limit::AtMost(1 + agents)));
    world
}

fn agents_allowed(world: &World) -> Option<Limit> {
    world.subscription().order.limits().get(&meter("agents")).copied()
}

fn has(world: &World) -> (String, Interval, usize) {
    let order = world.subscription().order;
    (order.plan.id.to_string(), order.price.interval, order.addons.len())
}

fn shown(world: &World, wish: &Wish) -> Option<Downgrade> {
    block_on(world.preview_change(wish)).unwrap_or_else(|error| panic!("{error}")).downgrade
}

/// What is in the way, as the preview and the change itself say it.
fn blocked(world: &World, wish: &Wish) -> Vec<(MeterId, u64, u64)> {
    let before = world.subscription();
    let Err(ChangeError::Blocked(blocked)) = try_change(world, &confirmed(wish), "blocked") else {
        panic!("{wish:?} is made");
    };
    assert_eq!((shown(world, wish).as_ref(), world.subscription()), (Some(&*blocked), before));
    blocked.exceeds.into_iter().map(|it| (it.resource, it.current, it.limit)).collect()
}

/// What is lost, as the preview and the change itself say it.
fn unconfirmed(world: &World, wish: &Wish) -> Vec<String> {
    let before = world.subscription();
    let Err(ChangeError::Unconfirmed(lost)) = try_change(world, wish, "unconfirmed") else {
        panic!("{wish:?} is made");
    };
    assert_eq!((shown(world, wish).as_ref(), world.subscription()), (Some(&*lost), before));
    lost.features_lost.iter().map(ToString::to_string).collect()
}

#[test]
fn an_upgrade_that_leaves_an_addon_behind_leaves_room_for_what_is_in_use() {
    for effective in [Effective::Now, Effective::PeriodEnd] {
        let world = with(20, None);
        agents_are(&world, 12);
        assert_eq!(blocked(&world, &to_pro(effective)), [(meter("agents"), 12, 5)]);
        agents_are(&world, 5);
        assert_eq!(unconfirmed(&world, &to_pro(effective)), [""; 0]);
        change(&world, &confirmed(&to_pro(effective)), "up");
        to_period_end(&world);
        world.run();
        assert_eq!(
            (has(&world), agents_allowed(&world)),
            ((PRO.to_owned(), Interval::Month, 0), Some(Limit::AtMost(5)))
        );
    }
}

#[test]
fn another_interval_that_an_addon_is_not_sold_by_leaves_room_for_what_is_in_use() {
    for effective in [Effective::Now, Effective::PeriodEnd] {
        let world = with(20, None);
        agents_are(&world, 2);
        assert_eq!(blocked(&world, &yearly(effective)), [(meter("agents"), 2, 1)]);
        agents_are(&world, 1);
        assert_eq!(unconfirmed(&world, &yearly(effective)), [""; 0]);
        change(&world, &confirmed(&yearly(effective)), "year");
        to_period_end(&world);
        world.run();
        assert_eq!(has(&world), (STARTER.to_owned(), Interval::Year, 0));
    }
}

#[test]
fn who_uses_more_by_then_than_is_left_goes_on_as_before() {
    for wish in [to_pro(Effective::PeriodEnd), yearly(Effective::PeriodEnd)] {
        let world = with(20, None);
        change(&world, &confirmed(&wish), "later");
        agents_are(&world, 12);
        to_period_end(&world);
        world.run();
        world.run();
        assert_eq!((is(&world.subscription()), index(&world)), (Is::Active, Some(1)));
        assert_eq!(has(&world), (STARTER.to_owned(), Interval::Month, 1));
        assert_eq!(world.subscription().scheduled, None);
    }
}

#[test]
fn a_feature_that_is_left_behind_is_confirmed_and_one_that_comes_again_is_not() {
    let world = with(0, Some("api_access"));
    assert_eq!(unconfirmed(&world, &to_pro(Effective::Now)), ["api_access"]);
    let world = with(4, Some("analytics"));
    assert_eq!(shown(&world, &to_pro(Effective::Now)), None);
    change(&world, &to_pro(Effective::Now), "up");
    assert_eq!(has(&world), (PRO.to_owned(), Interval::Month, 0));
}
