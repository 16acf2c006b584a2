//! Stories of who sells: what is loaded is on sale, what is withdrawn is not, and all of a file is loaded or none.

use billing::catalog::Catalogue;
use billing::discount::Coupon;
use billing::id::PlanId;
use billing::ports::Record;
use billing::testing::{FakeGateways, FixedClock, MemoryStore, World, catalogue, instant, plan, world};
use billing::workflow::{Billing, LoadError};
use futures::executor::block_on;
use serde_json::json;

/// Nothing is on sale yet.
fn empty() -> World {
    let clock = FixedClock::at(instant("2025-01-31T10:00:00Z"));
    Billing::new(MemoryStore::default(), FakeGateways::default(), clock)
}

fn ids(plans: &[billing::catalog::Plan]) -> Vec<&str> {
    plans.iter().map(|plan| plan.id.as_str()).collect()
}

fn named(id: &str) -> PlanId {
    plan(id).id
}

#[test]
fn what_is_on_sale_is_listed_by_family_and_tier_and_what_was_withdrawn_is_not() {
    let world = world();
    let mut estates = catalogue("estates");
    let withdrawn = estates.plans.iter_mut().find(|offer| offer.id.as_str() == "estates-starter");
    withdrawn.unwrap_or_else(|| panic!("it is there")).active = false;
    block_on(world.load(estates)).unwrap_or_else(|error| panic!("{error}"));

    let all = block_on(world.all_plans()).unwrap_or_else(|error| panic!("{error}"));
    let listed: Vec<(&str, u32)> = all.iter().map(|plan| (plan.family.as_str(), plan.tier)).collect();
    assert!(listed.is_sorted(), "{listed:?}");
    assert!(ids(&all).contains(&"estates-starter") && ids(&all).contains(&"crm-basic"));

    let on_sale = block_on(world.plans()).unwrap_or_else(|error| panic!("{error}"));
    let left: Vec<&str> = ids(&all).into_iter().filter(|id| *id != "estates-starter").collect();
    assert_eq!(ids(&on_sale), left);
    let one = |id: &str| block_on(world.plan(&named(id))).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(one("estates-professional"), Some(plan("estates-professional")));
    assert_eq!(one("estates-starter"), None);
}

/// Twenty plans and twenty-five names of one meter, in that edition, with coupons of these numbers.
fn large(edition: u32, coupons: std::ops::Range<u32>) -> Catalogue {
    let mut large = catalogue("estates");
    let offer = large.plans.swap_remove(0);
    let meter = large.family.meters.swap_remove(0);
    let limit = [(meter.id.clone(), offer.limits[&meter.id])];
    let plan = |number| billing::catalog::Offer {
        id: text(&format!("estates-{number}")),
        tier: edition,
        limits: limit.clone().into(),
        ..offer.clone()
    };
    large.plans = (0..20).map(plan).collect();
    let aliases = (1..25).map(|number| text(&format!("alias-{number}"))).collect();
    large.family.meters = vec![billing::catalog::Meter { aliases, name: format!("Estates, {edition}"), ..meter }];
    let coupon = |number| json!({"code": format!("CODE-{number}"), "off": {"percent": "5"}, "lasts": "once"});
    let read = |it| serde_json::from_value::<Coupon>(it).unwrap_or_else(|error| panic!("{error}"));
    large.coupons = coupons.map(coupon).map(read).collect();
    large
}

fn text<T: TryFrom<String, Error = billing::id::Invalid>>(text: &str) -> T {
    T::try_from(text.to_owned()).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn a_file_of_which_more_would_change_than_can_at_once_changes_nothing() {
    let world = empty();
    let load = |file: Catalogue| block_on(world.load(file));
    load(large(1, 0..20)).unwrap_or_else(|error| panic!("{error}"));
    let first = world.store.records();
    // The family, twenty plans with the version that they get, each name, twenty coupons that are gone and fifteen new ones.
    let Err(LoadError::Problems(problems)) = load(large(2, 20..35)) else { panic!("101 records change") };
    let told: Vec<(&str, bool)> = problems.iter().map(|it| (it.field.as_str(), it.problem.contains("101"))).collect();
    assert_eq!(told, [("plans", true)]);
    assert!(world.store.records() == first, "nothing has changed");
    load(large(2, 20..34)).unwrap_or_else(|error| panic!("{error}"));
    let versions = block_on(world.plans()).unwrap_or_else(|error| panic!("{error}"));
    assert!(versions.len() == 20 && versions.iter().all(|plan| (plan.version, plan.tier) == (2, 2)));
    let before = world.store.records();
    load(large(2, 20..34)).unwrap_or_else(|error| panic!("{error}"));
    assert!(world.store.records() == before, "what says the same is not written again");
}

#[test]
fn a_coupon_that_is_changed_was_redeemed_as_often_as_before() {
    let world = empty();
    let of = |percent: &str| {
        let coupon = json!({"code": "FIFTH", "off": {"percent": percent}, "lasts": "once"});
        let coupon = serde_json::from_value::<Coupon>(coupon).unwrap_or_else(|error| panic!("{error}"));
        Catalogue { coupons: vec![coupon], ..catalogue("estates") }
    };
    let stored = || {
        let of_coupon = |record| if let Record::Coupon(coupon) = record { Some(coupon) } else { None };
        let coupon = world.store.records().into_iter().find_map(of_coupon);
        coupon.unwrap_or_else(|| panic!("it is stored"))
    };
    block_on(world.load(of("20"))).unwrap_or_else(|error| panic!("{error}"));
    let mut redeemed = stored();
    redeemed.redeemed = 7;
    world.store.put(Record::Coupon(redeemed));
    block_on(world.load(of("25"))).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((stored().redeemed, stored().withdrawn), (7, false));
    assert_ne!(stored().coupon.off, of("20").coupons[0].off);
    block_on(world.load(Catalogue { coupons: vec![], ..of("25") })).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((stored().redeemed, stored().withdrawn), (7, true));
    block_on(world.load(of("25"))).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((stored().redeemed, stored().withdrawn), (7, false), "one that comes back is counted on");
}
