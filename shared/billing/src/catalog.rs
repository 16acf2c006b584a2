//! What is for sale: families of plans, their prices, features and limits.
//!
//! A catalogue document (one file, one family) is checked as a whole by
//! [`Catalogue::problems`]; nothing of a document with a problem is stored.

mod addon;
mod check;
mod overage;
mod price;

use crate::calendar::Interval;
use crate::discount::Coupon;
use crate::dunning::ladder::DunningPolicy;
use crate::id::{AddonId, FamilyId, FeatureId, MeterId, PlanId};
use crate::money::Currency;
use crate::proration::Proration;
use crate::shard::Shards;
use crate::trial::TrialOffer;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

pub use addon::{Addon, AddonPrice};
pub use check::CatalogueProblem;
use check::{Problems, Terms};
pub use overage::{Overage, OveragePrice};
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
    /// In how many places a counter is kept, where one customer has more of it counted at once than one place takes. None: one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shards: Option<Shards>,
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
    /// How often what is left of them is carried over into the next period; 0: they end when it begins. Where nothing
    /// is said, they are kept until they are used.
    #[serde(default)]
    pub tokens_rollover: Option<u16>,
    /// At how many per cent of a limit the customer is alerted: at [`crate::alert::DEFAULT_LINES`] where nothing is said.
    #[serde(default)]
    pub alerts: BTreeMap<MeterId, Vec<u16>>,
    /// What more of a counter costs than its limit: one price a currency. Where nothing is said, more is refused.
    #[serde(default)]
    pub overage: BTreeMap<MeterId, Vec<OveragePrice>>,
    /// How a change away from it within a period is charged: by the second where nothing is said.
    #[serde(default)]
    pub proration: Proration,
    /// None: there is no trial.
    pub trial: Option<TrialOffer>,
    /// Days 1, 3 and 5, then three of grace and thirty of suspension, where nothing is said.
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
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub alerts: BTreeMap<MeterId, Vec<u16>>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub overage: BTreeMap<MeterId, Vec<OveragePrice>>,
    #[serde(default)]
    pub proration: Proration,
    #[serde(
        default,
        alias = "trial_days",
        deserialize_with = "crate::trial::stored",
        skip_serializing_if = "Option::is_none"
    )]
    pub trial: Option<TrialOffer>,
    #[serde(default)]
    pub dunning: DunningPolicy,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addons: Vec<Addon>,
    pub recommended: bool,
    pub popular: bool,
    pub active: bool,
}

/// At most so much. Unlimited is `null` (in files also `"unlimited"`), never a magic number, and more than any number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
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
            alerts: offer.alerts,
            overage: offer.overage,
            proration: offer.proration,
            trial: offer.trial,
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

impl Catalogue {
    pub fn into_plans(self) -> (Family, Vec<Plan>) {
        let plans = self.plans.into_iter().map(|offer| Plan::of(offer, &self.family)).collect();
        (self.family, plans)
    }
}

#[cfg(test)]
pub(crate) mod tests;
