//! Add-ons: what can be bought onto a plan, by the plan's own period.

use super::{Family, Problems, Terms};
use crate::calendar::Interval;
use crate::id::{AddonId, FeatureId, MeterId};
use crate::money::{Currency, Money};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Addon {
    pub id: AddonId,
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Each by an interval and in a currency that the plan is sold by. Where there is none, it is not sold.
    pub prices: Vec<AddonPrice>,
    /// Whether several can be bought; else it is sold once.
    pub per_unit: bool,
    /// What it switches on.
    #[serde(default)]
    pub features: BTreeSet<FeatureId>,
    /// By how much each one raises a limit.
    #[serde(default)]
    pub limits: BTreeMap<MeterId, u64>,
}

/// What one costs. Whether it renews is the plan's to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddonPrice {
    pub interval: Interval,
    pub amount: Money,
}

impl Addon {
    pub fn price(&self, interval: Interval, currency: Currency) -> Option<Money> {
        let sold = |price: &&AddonPrice| price.interval == interval && price.amount.currency == currency;
        self.prices.iter().find(sold).map(|price| price.amount)
    }

    /// `of_plan`: what the plan is sold by.
    pub(super) fn check(&self, of_plan: &[Terms], family: &Family, field: &str, found: &mut Problems) {
        found.text(&format!("{field}.name"), &self.name);
        if let Some(description) = &self.description {
            found.text(&format!("{field}.description"), description);
        }
        family.check(&self.features, self.limits.keys(), &format!("{field}."), found);
        for (meter, raise) in &self.limits {
            if *raise == 0 {
                found.add(&format!("{field}.limits.{meter}"), "a limit is raised by at least 1".to_owned());
            }
        }
        if self.prices.is_empty() {
            found.add(&format!("{field}.prices"), "an add-on has at least one price".to_owned());
        }
        let mut sold = vec![];
        for (n, price) in self.prices.iter().enumerate() {
            let (field, terms) = (format!("{field}.prices[{n}]"), (price.interval, price.amount.currency));
            found.amount(price.amount, 1, price.amount.currency, &format!("{field}.amount"));
            found.once(&mut sold, terms, &field);
            if !of_plan.contains(&terms) {
                found.add(&field, format!("the plan is not sold by {} in {}", terms.0, terms.1));
            }
        }
    }
}
