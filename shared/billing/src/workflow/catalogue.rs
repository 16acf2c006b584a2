//! Putting plans on sale, and showing them.

use super::Billing;
use crate::catalog::{Addon, Catalogue, CatalogueProblem, Family, Limit, Meter, Plan};
use crate::discount::Coupon;
use crate::id::{CouponCode, FamilyId, MeterId, PlanId};
use crate::ports::{
    Clock, Gateways, Key, MeterName, Record, Store, StoreError, StoredCoupon, StoredFamily, StoredPlan, Write,
};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// What loading a catalogue did to a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PlanChange {
    pub plan: PlanId,
    pub version: u32,
    pub change: Change,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    Created,
    /// Who has the old version keeps it.
    NewVersion,
    Unchanged,
}

#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("the catalogue has {} problems", .0.len())]
    Problems(Vec<CatalogueProblem>),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Of a transaction. Two records change for each plan, and one for each coupon and each name of a meter.
const MOST_CHANGES: usize = 100;

/// A family at a glance: what each plan offers of each line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comparison {
    pub features: Vec<String>,
    /// By plan name, lowest tier first.
    pub packages: Vec<(String, Vec<String>)>,
}

impl<S: Store, G: Gateways, C: Clock> Billing<S, G, C> {
    /// Stores a family, its plans and its coupons: all of them, or none. A plan that the
    /// document does not name stays as it is; one leaves by `active: false`. A coupon that
    /// it does not name is redeemed no more.
    pub async fn load(&self, catalogue: Catalogue) -> Result<Vec<PlanChange>, LoadError> {
        let problems = catalogue.problems();
        if !problems.is_empty() {
            return Err(LoadError::Problems(problems));
        }
        let coupons = catalogue.coupons.clone();
        let (family, plans) = catalogue.into_plans();
        let stored = self.stored(&family, &plans, &coupons).await?;
        let problems = stored.foreign(&family, &coupons);
        if !problems.is_empty() {
            return Err(LoadError::Problems(problems));
        }

        let mut writes = stored.family_writes(&family, &coupons);
        writes.extend(stored.coupon_writes(&family, &coupons));
        let mut changes = vec![];
        for plan in plans {
            let current = stored.plans.get(&plan.id);
            let (change, next) = match current {
                None => (Change::Created, Some(plan.clone())),
                Some(current) => match plan.clone().succeeding(&current.plan) {
                    Some(next) => (Change::NewVersion, Some(next)),
                    None => (Change::Unchanged, None),
                },
            };
            let version = next.as_ref().or(current.map(|it| &it.plan)).map_or(1, |plan| plan.version);
            changes.push(PlanChange { plan: plan.id, version, change });
            if let Some(plan) = next {
                let revision = current.map_or(0, |it| it.revision);
                writes.push(Write::Create(Record::PlanVersion(plan.clone())));
                writes.push(Write::next(Record::Plan(StoredPlan { plan, revision })));
            }
        }
        if writes.len() > MOST_CHANGES {
            let problem = format!("{} records change at once, and {MOST_CHANGES} can: load a part first", writes.len());
            return Err(LoadError::Problems(vec![CatalogueProblem { plan: None, field: "plans".to_owned(), problem }]));
        }
        if !writes.is_empty() {
            self.store.commit(writes).await?;
        }
        Ok(changes)
    }

    /// Every plan on sale, by family and tier.
    pub async fn plans(&self) -> Result<Vec<Plan>, StoreError> {
        let mut plans = self.all_plans().await?;
        plans.retain(|plan| plan.active);
        Ok(plans)
    }

    /// Those that were withdrawn, too.
    pub async fn all_plans(&self) -> Result<Vec<Plan>, StoreError> {
        let mut found = self.store.catalogue().await?;
        let mut plans: Vec<Plan> = std::iter::from_fn(|| found.plan()).map(|it| it.plan).collect();
        plans.sort_by(|a, b| (&a.family, a.tier, &a.id).cmp(&(&b.family, b.tier, &b.id)));
        Ok(plans)
    }

    /// One plan, if it is on sale.
    pub async fn plan(&self, id: &PlanId) -> Result<Option<Plan>, StoreError> {
        let plan = self.store.get(vec![Key::Plan(id.clone())]).await?.plan();
        Ok(plan.map(|it| it.plan).filter(|plan| plan.active))
    }

    pub async fn comparison(&self, family: &FamilyId) -> Result<Option<Comparison>, StoreError> {
        let mut found = self.store.catalogue().await?;
        let family = std::iter::from_fn(|| found.family()).map(|it| it.family).find(|it| it.id == *family);
        let Some(family) = family else { return Ok(None) };
        let plans = std::iter::from_fn(|| found.plan()).map(|it| it.plan);
        let mut plans: Vec<Plan> = plans.filter(|plan| plan.active && plan.family == family.id).collect();
        plans.sort_by(|a, b| (a.tier, &a.id).cmp(&(b.tier, &b.id)));
        Ok(Some(compare(&family, &plans)))
    }

    async fn stored(&self, family: &Family, plans: &[Plan], coupons: &[Coupon]) -> Result<Stored, StoreError> {
        let stored = self.store.get(vec![Key::Family(family.id.clone())]).await?.family();
        let old_names = stored.iter().flat_map(|it| names(&it.family));
        let all: BTreeSet<MeterId> = names(family).chain(old_names).map(|(name, _)| name.clone()).collect();
        let plans = plans.iter().map(|plan| Key::Plan(plan.id.clone()));
        let old_codes = stored.iter().flat_map(|it| &it.coupons);
        let codes: BTreeSet<CouponCode> = coupons.iter().map(|it| &it.code).chain(old_codes).cloned().collect();
        let codes = codes.into_iter().map(Key::Coupon);
        let mut found = self.store.get(all.iter().cloned().map(Key::Meter).chain(plans).chain(codes).collect()).await?;
        let mut known: BTreeMap<MeterId, MeterName> =
            std::iter::from_fn(|| found.meter()).map(|it| (it.name.clone(), it)).collect();
        let fresh = |name| MeterName { name, families: BTreeMap::new(), version: 0 };
        Ok(Stored {
            family: stored,
            meters: all.into_iter().map(|name| known.remove(&name).unwrap_or_else(|| fresh(name))).collect(),
            plans: std::iter::from_fn(|| found.plan()).map(|it| (it.plan.id.clone(), it)).collect(),
            coupons: std::iter::from_fn(|| found.coupon()).map(|it| (it.coupon.code.clone(), it)).collect(),
        })
    }
}

/// What the store has of a family so far.
struct Stored {
    family: Option<StoredFamily>,
    /// Every name that a meter of the family has or had.
    meters: Vec<MeterName>,
    plans: BTreeMap<PlanId, StoredPlan>,
    /// Every coupon that the family has or had, and those of others that go by the same code.
    coupons: BTreeMap<CouponCode, StoredCoupon>,
}

impl Stored {
    /// The writes that bring the family and the names of its meters up to date.
    fn family_writes(&self, family: &Family, coupons: &[Coupon]) -> Vec<Write> {
        let mut writes = vec![];
        let coupons: BTreeSet<CouponCode> = coupons.iter().map(|it| it.code.clone()).collect();
        if self.family.as_ref().is_none_or(|stored| stored.family != *family || stored.coupons != coupons) {
            let version = self.family.as_ref().map_or(0, |it| it.version);
            writes.push(Write::next(Record::Family(StoredFamily { family: family.clone(), coupons, version })));
        }
        for stored in &self.meters {
            let mut next = stored.clone();
            next.families.remove(&family.id);
            let meter = names(family).find(|(name, _)| **name == stored.name).map(|(_, meter)| meter);
            next.families.extend(meter.map(|meter| (family.id.clone(), meter.clone())));
            if next != *stored {
                writes.push(Write::next(Record::Meter(next)));
            }
        }
        writes
    }

    /// What is wrong with `coupons`: a code means one thing, whoever types it and whenever.
    fn foreign(&self, family: &Family, coupons: &[Coupon]) -> Vec<CatalogueProblem> {
        let taken = |coupon: &Coupon| self.coupons.get(&coupon.code).filter(|it| it.family != family.id);
        let problem = |(n, coupon): (usize, &Coupon)| {
            let family = &taken(coupon)?.family;
            let (field, problem) = (format!("coupons[{n}].code"), format!("is used by the family `{family}`"));
            Some(CatalogueProblem { plan: None, field, problem })
        };
        coupons.iter().enumerate().filter_map(problem).collect()
    }

    /// The writes that bring the coupons up to date. How often one was redeemed stays.
    fn coupon_writes(&self, family: &Family, coupons: &[Coupon]) -> Vec<Write> {
        let mut writes = vec![];
        for coupon in coupons {
            let fresh = || StoredCoupon {
                coupon: coupon.clone(),
                family: family.id.clone(),
                withdrawn: false,
                redeemed: 0,
                version: 0,
            };
            let stored = self.coupons.get(&coupon.code);
            let next = match stored {
                Some(stored) => StoredCoupon { redeemed: stored.redeemed, version: stored.version, ..fresh() },
                None => fresh(),
            };
            if stored != Some(&next) {
                writes.push(Write::next(Record::Coupon(next)));
            }
        }
        let named = |stored: &&StoredCoupon| coupons.iter().any(|it| it.code == stored.coupon.code);
        let gone = self.coupons.values().filter(|it| it.family == family.id && !it.withdrawn && !named(it));
        writes.extend(gone.cloned().map(|it| Write::next(Record::Coupon(StoredCoupon { withdrawn: true, ..it }))));
        writes
    }
}

/// Every name a meter goes by, with the meter.
fn names(family: &Family) -> impl Iterator<Item = (&MeterId, &Meter)> {
    family.meters.iter().flat_map(|meter| {
        let names = std::iter::once(&meter.id).chain(&meter.aliases);
        names.map(move |name| (name, meter))
    })
}

/// What no plan of the family has is no line of it: trials, add-ons.
fn compare(family: &Family, plans: &[Plan]) -> Comparison {
    let meters = family.meters.iter().map(|meter| meter.name.clone());
    let features = family.features.iter().map(|feature| feature.name.clone());
    let trial = plans.iter().any(|plan| plan.trial.is_some()).then(|| "Free Trial".to_owned());
    let mut addons: Vec<&Addon> = vec![];
    for addon in plans.iter().flat_map(|plan| &plan.addons) {
        if !addons.iter().any(|known| known.id == addon.id) {
            addons.push(addon);
        }
    }
    let line = |plan: &Plan| {
        let limits = family.meters.iter().map(|meter| allowance(meter, plan.limits.get(&meter.id)));
        let on = |feature| plan.features.get(feature).copied().unwrap_or(false);
        let flags = family.features.iter().map(|it| if on(&it.id) { YES } else { NO }.to_owned());
        let trial = trial.iter().map(|_| plan.trial.map_or(NO.to_owned(), |trial| trial_of(trial.days)));
        let bought = addons.iter().map(|it| plan.addon(&it.id).map_or(NO, |_| "➕ Add-on").to_owned());
        (plan.name.clone(), limits.chain(flags).chain(trial).chain(bought).collect())
    };
    let packages = plans.iter().map(line).collect();
    let addons = addons.iter().map(|addon| addon.name.clone());
    Comparison { features: meters.chain(features).chain(trial.clone()).chain(addons).collect(), packages }
}

const YES: &str = "✅ Yes";
const NO: &str = "❌ No";

fn trial_of(days: u16) -> String {
    if days == 1 { "1 day".to_owned() } else { format!("{days} days") }
}

fn allowance(meter: &Meter, limit: Option<&Limit>) -> String {
    match limit {
        Some(Limit::Unlimited) => format!("Unlimited {}", meter.unit.many),
        Some(Limit::AtMost(1)) => format!("1 {}", meter.unit.one),
        Some(Limit::AtMost(most)) => format!("{most} {}", meter.unit.many),
        None => format!("0 {}", meter.unit.many),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::tests::documented_catalogue;
    use crate::testing::{World, catalogue, customer, meter, world};
    use futures::executor::block_on;

    #[test]
    fn the_comparison_is_the_one_of_the_product_page() {
        let minutes = FamilyId::try_from("minutes".to_owned()).unwrap_or_else(|it| panic!("{it}"));
        let comparison = block_on(world().comparison(&minutes)).ok().flatten();
        let row = |name: &str, cells: [&str; 4]| (name.to_owned(), cells.map(str::to_owned).to_vec());
        let expected = Comparison {
            features: ["Monthly Call Minutes", "Number of Agents", "Analytics", "API Access"]
                .map(str::to_owned)
                .to_vec(),
            packages: vec![
                row("Starter", ["1000 minutes", "1 agent", "❌ No", "❌ No"]),
                row("Pro", ["3000 minutes", "5 agents", "✅ Yes", "❌ No"]),
                row("Enterprise", ["10000 minutes", "25 agents", "✅ Yes", "✅ Yes"]),
            ],
        };
        assert_eq!(comparison, Some(expected));
    }

    #[test]
    fn trials_and_addons_are_lines_of_their_own_where_a_plan_has_any() {
        let mut desk = documented_catalogue();
        let mut small = desk.plans[0].clone();
        small.id = "desk-small".to_owned().try_into().unwrap_or_else(|error| panic!("{error}"));
        (small.name, small.trial) = ("Small".to_owned(), None);
        small.addons.truncate(1);
        desk.plans.push(small);
        let (family, plans) = desk.into_plans();
        let shown = compare(&family, &plans);
        assert_eq!(shown.features, ["Storage", "Phone", "Reports", "Free Trial", "50 GB more", "Phone line"]);
        let rows = shown.packages.iter().map(|(_, row)| &row[3..]).collect::<Vec<_>>();
        assert_eq!(rows, [["14 days", "➕ Add-on", "➕ Add-on"], ["❌ No", "➕ Add-on", "❌ No"]]);
        assert_eq!(trial_of(1), "1 day");
    }

    fn changes(world: &World, catalogue: Catalogue) -> Vec<(Change, u32)> {
        let changes = block_on(world.load(catalogue)).unwrap_or_else(|error| panic!("{error}"));
        changes.into_iter().map(|it| (it.change, it.version)).collect()
    }

    #[test]
    fn loading_twice_changes_nothing_and_a_new_price_makes_a_new_version() {
        let world = world();
        assert_eq!(changes(&world, catalogue("tokens")), [(Change::Unchanged, 1), (Change::Unchanged, 1)]);
        let mut dearer = catalogue("tokens");
        dearer.plans[0].prices[0].amount.minor += 100;
        assert_eq!(changes(&world, dearer), [(Change::NewVersion, 2), (Change::Unchanged, 1)]);
    }

    #[test]
    fn a_plan_that_is_not_active_is_not_shown() {
        let world = world();
        let mut fewer = catalogue("tokens");
        fewer.plans[0].active = false;
        let id = fewer.plans[0].id.clone();
        changes(&world, fewer);
        assert_eq!(block_on(world.plan(&id)).ok(), Some(None));
        assert!(block_on(world.plans()).is_ok_and(|plans| plans.iter().all(|plan| plan.id != id)));
    }

    #[test]
    fn a_name_that_a_family_gives_up_means_nothing_any_more() {
        let world = world();
        let mut renamed = catalogue("estates");
        renamed.family.meters[0].aliases.clear();
        changes(&world, renamed);
        assert!(block_on(world.set_usage(&customer(), &meter("plots"), 1)).is_err());
        assert!(block_on(world.set_usage(&customer(), &meter("estates"), 1)).is_ok());
    }

    #[test]
    fn a_name_that_two_families_use_means_the_one_of_the_subscription() {
        let world = world();
        let agents = || block_on(world.set_usage(&customer(), &meter("agents"), 3));
        assert!(agents().is_err(), "of which product?");
        world.store.put(crate::ports::Record::Subscription(crate::testing::active()));
        assert!(agents().is_ok_and(|(usage, _)| usage.meter == meter("marketers")));
    }

    #[test]
    fn a_gauge_is_set_by_its_name_or_an_alias() {
        let world = world();
        for (name, value) in [("estates", 26), ("plots", 25), ("plots", 24)] {
            let set = block_on(world.set_usage(&customer(), &meter(name), value));
            assert!(set.is_ok_and(|(usage, _)| usage.meter == meter("estates") && usage.value == value));
        }
        assert!(block_on(world.set_usage(&customer(), &meter("minutes"), 1)).is_err(), "a counter is not set");
        assert!(block_on(world.set_usage(&customer(), &meter("dogs"), 1)).is_err());
    }
}
