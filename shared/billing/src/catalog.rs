//! What is for sale: families of plans, their prices, features and limits.
//!
//! A catalogue document (one file, one family) is checked as a whole by
//! [`Catalogue::problems`]; nothing of a document with a problem is stored.

mod addon;
mod price;

use crate::calendar::Interval;
use crate::discount::{Coupon, Lasts, Off};
use crate::dunning::ladder::DunningPolicy;
use crate::id::{AddonId, FamilyId, FeatureId, MeterId, PlanId};
use crate::money::Currency;
use crate::proration::Proration;
use crate::ratio::Ratio;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

pub use addon::{Addon, AddonPrice};
pub use price::{Price, PriceTier, PricingModel};

/// One family as its file gives it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Catalogue {
    pub family: Family,
    pub plans: Vec<Offer>,
    /// That can be redeemed for its plans. One leaves by not being named any more.
    #[serde(default)]
    pub coupons: Vec<Coupon>,
}

/// A product line: what its plans differ in, in the order to show.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Family {
    pub id: FamilyId,
    pub name: String,
    pub meters: Vec<Meter>,
    pub features: Vec<Feature>,
}

/// What usage is counted in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Meter {
    pub id: MeterId,
    pub name: String,
    pub kind: MeterKind,
    /// `agent`, `agents`: how one and how many are called.
    pub unit: Unit,
    /// What a customer does to have less of it: `delete or archive`.
    pub reduce: String,
    /// What other systems call the same meter.
    #[serde(default)]
    pub aliases: Vec<MeterId>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MeterKind {
    /// A level, such as users or storage: it is set.
    Gauge,
    /// Starts at zero each period, such as minutes: it is added to.
    Counter,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unit {
    pub one: String,
    pub many: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Feature {
    pub id: FeatureId,
    pub name: String,
}

/// A plan as a catalogue file offers it. `features` names those switched on.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Offer {
    pub id: PlanId,
    pub name: String,
    pub display_name: String,
    pub description: String,
    /// 1 < 2 < 3: a change to a lower tier is a downgrade.
    pub tier: u32,
    pub pricing_model: PricingModel,
    pub prices: Vec<Price>,
    pub features: BTreeSet<FeatureId>,
    pub limits: BTreeMap<MeterId, Limit>,
    /// Granted when a period is paid; `tokens` plans only.
    pub tokens_included: Option<u64>,
    /// How often what is left of them is carried over into the next period; 0: they end with their own. Where nothing
    /// is said, they are kept until they are used.
    #[serde(default)]
    pub tokens_rollover: Option<u16>,
    /// How a change away from it within a period is charged: by the second where nothing is said.
    #[serde(default)]
    pub proration: Proration,
    /// None: there is no trial. [`crate::trial::DEFAULT_DAYS`] is what most plans have.
    pub trial_days: Option<u16>,
    /// Days 1, 3 and 5, then three of grace, where nothing is said.
    #[serde(default)]
    pub dunning: DunningPolicy,
    /// What can be bought onto it.
    #[serde(default)]
    pub addons: Vec<Addon>,
    #[serde(default)]
    pub recommended: bool,
    #[serde(default)]
    pub popular: bool,
    pub active: bool,
}

/// One version of a plan. Whoever bought a version keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    pub id: PlanId,
    pub family: FamilyId,
    pub version: u32,
    pub name: String,
    pub display_name: String,
    pub description: String,
    pub tier: u32,
    pub pricing_model: PricingModel,
    pub prices: Vec<Price>,
    /// Every feature of the family, on or off.
    pub features: BTreeMap<FeatureId, bool>,
    pub limits: BTreeMap<MeterId, Limit>,
    pub tokens_included: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_rollover: Option<u16>,
    #[serde(default)]
    pub proration: Proration,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trial_days: Option<u16>,
    #[serde(default)]
    pub dunning: DunningPolicy,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addons: Vec<Addon>,
    pub recommended: bool,
    pub popular: bool,
    pub active: bool,
}

/// At most so much. Unlimited is `null` (in files also `"unlimited"`), never a magic number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "WrittenLimit", into = "Option<u64>")]
pub enum Limit {
    AtMost(u64),
    Unlimited,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "a whole number, `null` or `\"unlimited\"`")]
enum WrittenLimit {
    AtMost(Option<u64>),
    Word(Unlimited),
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Unlimited {
    Unlimited,
}

impl From<WrittenLimit> for Limit {
    fn from(written: WrittenLimit) -> Self {
        match written {
            WrittenLimit::AtMost(Some(most)) => Self::AtMost(most),
            WrittenLimit::AtMost(None) | WrittenLimit::Word(Unlimited::Unlimited) => Self::Unlimited,
        }
    }
}

impl From<Limit> for Option<u64> {
    fn from(limit: Limit) -> Option<u64> {
        match limit {
            Limit::AtMost(most) => Some(most),
            Limit::Unlimited => None,
        }
    }
}

impl Plan {
    pub fn price(&self, interval: Interval, currency: Currency) -> Option<Price> {
        self.prices.iter().find(|price| price.interval == interval && price.amount.currency == currency).cloned()
    }

    pub fn addon(&self, id: &AddonId) -> Option<&Addon> {
        self.addons.iter().find(|addon| addon.id == *id)
    }

    /// The plan that `offer` describes, as a first version.
    fn of(offer: Offer, family: &Family) -> Self {
        let features = family.features.iter().map(|it| (it.id.clone(), offer.features.contains(&it.id))).collect();
        Self {
            id: offer.id,
            family: family.id.clone(),
            version: 1,
            name: offer.name,
            display_name: offer.display_name,
            description: offer.description,
            tier: offer.tier,
            pricing_model: offer.pricing_model,
            prices: offer.prices,
            features,
            limits: offer.limits,
            tokens_included: offer.tokens_included,
            tokens_rollover: offer.tokens_rollover,
            proration: offer.proration,
            trial_days: offer.trial_days,
            dunning: offer.dunning,
            addons: offer.addons,
            recommended: offer.recommended,
            popular: offer.popular,
            active: offer.active,
        }
    }

    /// `self` as it follows on `current`, or nothing if it says the same.
    pub fn succeeding(self, current: &Self) -> Option<Self> {
        let same = Self { version: current.version, ..self };
        if same == *current { None } else { Some(Self { version: current.version + 1, ..same }) }
    }
}

/// What is wrong with a catalogue document, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CatalogueProblem {
    /// The plan's id, or none for the family itself.
    pub plan: Option<PlanId>,
    pub field: String,
    pub problem: String,
}

/// A family is kept and shown as a whole.
const MOST_PLANS: usize = 20;
const MOST_METER_NAMES: usize = 25;
const MOST_COUPONS: usize = 20;

/// A subscription keeps its plan whole, and is read and written as one.
const MOST_ADDONS: usize = 20;

const LONGEST_TRIAL: u16 = 730;

/// A balance keeps what is left of each period apart.
const MOST_ROLLOVERS: u16 = 25;

impl Catalogue {
    /// Everything that is wrong, in the order of the document. Empty: it may be stored.
    pub fn problems(&self) -> Vec<CatalogueProblem> {
        let mut found = Problems::default();
        self.check_family(&mut found);
        let mut seen = BTreeSet::new();
        for plan in &self.plans {
            found.plan = Some(plan.id.clone());
            if !seen.insert(&plan.id) {
                found.add("id", "is used by an earlier plan of this file".to_owned());
            }
            self.check_plan(plan, &mut found);
        }
        found.plan = None;
        self.check_coupons(&mut found);
        found.list
    }

    pub fn into_plans(self) -> (Family, Vec<Plan>) {
        let plans = self.plans.into_iter().map(|offer| Plan::of(offer, &self.family)).collect();
        (self.family, plans)
    }

    fn check_family(&self, found: &mut Problems) {
        found.text("family.name", &self.family.name);
        if self.plans.is_empty() {
            found.add("plans", "a family has at least one plan".to_owned());
        }
        if self.plans.len() > MOST_PLANS {
            found.add("plans", format!("a family has at most {MOST_PLANS} plans"));
        }
        let mut names = BTreeSet::new();
        for meter in &self.family.meters {
            let field = format!("family.meters.{}", meter.id);
            for text in [&meter.name, &meter.unit.one, &meter.unit.many, &meter.reduce] {
                found.text(&field, text);
            }
            for name in std::iter::once(&meter.id).chain(&meter.aliases) {
                if !names.insert(name) {
                    found.add(&field, format!("`{name}` names two meters"));
                }
            }
        }
        if names.len() > MOST_METER_NAMES {
            found.add("family.meters", format!("a family has at most {MOST_METER_NAMES} meters and aliases"));
        }
        let mut features = BTreeSet::new();
        for feature in &self.family.features {
            found.text(&format!("family.features.{}", feature.id), &feature.name);
            if !features.insert(&feature.id) {
                found.add(&format!("family.features.{}", feature.id), "is declared twice".to_owned());
            }
        }
    }

    fn check_coupons(&self, found: &mut Problems) {
        if self.coupons.len() > MOST_COUPONS {
            found.add("coupons", format!("a family has at most {MOST_COUPONS} coupons"));
        }
        let mut codes = BTreeSet::new();
        for (n, coupon) in self.coupons.iter().enumerate() {
            let at = |field: &str| format!("coupons[{n}].{field}");
            if !codes.insert(&coupon.code) {
                found.add(&at("code"), "is used by an earlier coupon of this file".to_owned());
            }
            match coupon.off {
                Off::Percent(percent) if percent <= Ratio::ZERO || percent > Ratio::from(100_u32) => {
                    found.add(&at("off.percent"), "is more than 0 and at most 100".to_owned());
                }
                Off::Amount(amount) if amount.minor <= 0 => {
                    found.add(&at("off.amount"), "is more than 0".to_owned());
                }
                Off::Percent(_) | Off::Amount(_) => {}
            }
            if coupon.lasts == Lasts::Periods(0) {
                found.add(&at("lasts.periods"), "is at least 1".to_owned());
            }
            for (field, most) in
                [("most_redemptions", coupon.most_redemptions), ("most_per_customer", coupon.most_per_customer)]
            {
                if most == Some(0) {
                    found.add(&at(field), "is at least 1; without a limit nothing is said".to_owned());
                }
            }
            for plan in &coupon.plans {
                if !self.plans.iter().any(|it| it.id == *plan) {
                    found.add(&at("plans"), format!("`{plan}` is not a plan of this file"));
                }
            }
        }
    }

    fn check_plan(&self, plan: &Offer, found: &mut Problems) {
        use PricingModel::{Flat, Graduated, Package, PerSeat, Tokens, Volume};

        let prefix = format!("{}-", self.family.id);
        if !plan.id.as_str().starts_with(&prefix) {
            found.add("id", format!("a plan of this family is called `{prefix}…`"));
        }
        found.text("name", &plan.name);
        found.text("display_name", &plan.display_name);
        found.text("description", &plan.description);
        if plan.tier == 0 {
            found.add("tier", "tiers are counted from 1".to_owned());
        }
        self.family.check(&plan.features, plan.limits.keys(), "", found);
        for meter in &self.family.meters {
            if !plan.limits.contains_key(&meter.id) {
                // No default: a limit that was forgotten must not become unlimited, nor zero.
                found.add("limits", format!("`{}` is missing: a number or \"unlimited\"", meter.id));
            }
        }
        if plan.prices.is_empty() {
            found.add("prices", "a plan has at least one price".to_owned());
        }
        let mut sold = Vec::new();
        for (n, price) in plan.prices.iter().enumerate() {
            let field = format!("prices[{n}]");
            price.check(plan.pricing_model, &field, found);
            found.once(&mut sold, (price.interval, price.amount.currency), &field);
        }
        match (plan.pricing_model, plan.tokens_included) {
            (Tokens, None | Some(0)) => {
                found.add("tokens_included", "a `tokens` plan includes at least 1".to_owned());
            }
            (Flat | PerSeat | Graduated | Volume | Package, Some(_)) => {
                found.add("tokens_included", "only a `tokens` plan includes tokens".to_owned());
            }
            (Tokens, Some(_)) | (Flat | PerSeat | Graduated | Volume | Package, None) => {}
        }
        match (plan.pricing_model, plan.tokens_rollover) {
            (Tokens, Some(MOST_ROLLOVERS..)) => {
                found.add("tokens_rollover", format!("is less than {MOST_ROLLOVERS}; without an end nothing is said"));
            }
            (Flat | PerSeat | Graduated | Volume | Package, Some(_)) => {
                found.add("tokens_rollover", "only a `tokens` plan has tokens to carry over".to_owned());
            }
            (Tokens | Flat | PerSeat | Graduated | Volume | Package, _) => {}
        }
        if plan.trial_days.is_some_and(|days| !(1..=LONGEST_TRIAL).contains(&days)) {
            found.add("trial_days", format!("a trial has 1 to {LONGEST_TRIAL} days; without one nothing is said"));
        }
        plan.dunning.check(|field, problem| found.add(&format!("dunning.{field}"), problem));
        if plan.addons.len() > MOST_ADDONS {
            found.add("addons", format!("a plan has at most {MOST_ADDONS} add-ons"));
        }
        let mut names = BTreeSet::new();
        for (n, addon) in plan.addons.iter().enumerate() {
            let field = format!("addons[{n}]");
            if !names.insert(&addon.id) {
                found.add(&format!("{field}.id"), "is used by an earlier add-on of the plan".to_owned());
            }
            addon.check(&sold, &self.family, &field, found);
        }
    }
}

impl Family {
    /// Whether it has the features and meters that are spoken of at `within`.
    fn check<'a>(
        &self,
        features: &BTreeSet<FeatureId>,
        meters: impl Iterator<Item = &'a MeterId>,
        within: &str,
        found: &mut Problems,
    ) {
        for feature in features {
            if !self.features.iter().any(|it| it.id == *feature) {
                found.add(&format!("{within}features"), format!("`{feature}` is not a feature of the family"));
            }
        }
        for meter in meters {
            if !self.meters.iter().any(|it| it.id == *meter) {
                found.add(&format!("{within}limits"), format!("`{meter}` is not a meter of the family"));
            }
        }
    }
}

/// What something is sold by.
type Terms = (Interval, Currency);

#[derive(Default)]
struct Problems {
    plan: Option<PlanId>,
    list: Vec<CatalogueProblem>,
}

impl Problems {
    fn add(&mut self, field: &str, problem: String) {
        self.list.push(CatalogueProblem { plan: self.plan.clone(), field: field.to_owned(), problem });
    }

    /// The price at `field` is on `terms` that no other of the `sold` ones is on.
    fn once(&mut self, sold: &mut Vec<Terms>, terms: Terms, field: &str) {
        let (interval, currency) = terms;
        if sold.contains(&terms) {
            self.add(field, format!("there are two prices for {interval} in {currency}"));
        }
        sold.push(terms);
    }

    fn text(&mut self, field: &str, text: &str) {
        if text.trim().is_empty() || text.len() > 500 {
            self.add(field, "must be 1 to 500 characters".to_owned());
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
