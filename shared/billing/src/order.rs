//! What was bought: one version of a plan, at one of its prices, and the
//! add-ons onto it.

use crate::catalog::{Addon, Limit, Plan, Price};
use crate::id::{AddonId, FeatureId, MeterId};
use crate::money::Money;
use crate::subscription::Refusal;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::num::NonZeroU32;

/// Kept whole, so that a later change of the catalogue changes nobody's terms,
/// and so that a subscription is looked up in one request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    pub plan: Plan,
    pub price: Price,
    pub quantity: u32,
    /// Each once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addons: Vec<BoughtAddon>,
}

/// An add-on as it was bought: for the order's interval and in its currency.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BoughtAddon {
    pub addon: Addon,
    /// For one.
    pub price: Money,
    pub quantity: u32,
}

/// What a part of the price is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Item {
    /// With its seats.
    Plan,
    Addon(AddonId),
}

/// Why an add-on cannot be bought.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddonRefusal {
    #[error("the plan has no add-on `{0}` for its interval and in its currency")]
    NotOffered(AddonId),
    #[error("add-on `{0}` is sold once: quantity must be 1")]
    QuantityNotOne(AddonId),
}

impl Order {
    /// With so many of an add-on, whether there were any before or not.
    pub fn with_addon(mut self, id: &AddonId, quantity: NonZeroU32) -> Result<Self, AddonRefusal> {
        let price = |addon: &Addon| addon.price(self.price.interval, self.price.amount.currency);
        let offered = self.plan.addon(id).and_then(|addon| Some((addon.clone(), price(addon)?)));
        let (addon, price) = offered.ok_or_else(|| AddonRefusal::NotOffered(id.clone()))?;
        if quantity.get() != 1 && !addon.per_unit {
            return Err(AddonRefusal::QuantityNotOne(id.clone()));
        }
        let bought = BoughtAddon { addon, price, quantity: quantity.get() };
        match self.addons.iter_mut().find(|it| it.addon.id == *id) {
            Some(known) => *known = bought,
            None => self.addons.push(bought),
        }
        Ok(self)
    }

    /// What one period costs.
    pub fn amount(&self) -> Result<Money, Refusal> {
        let amounts = self.lines()?.into_iter().map(|(_, amount)| amount);
        Money::sum(self.price.amount.currency, amounts).ok_or(Refusal::TooExpensive)
    }

    /// What that is made of, the plan first.
    pub fn lines(&self) -> Result<Vec<(Item, Money)>, Refusal> {
        let model = self.plan.pricing_model;
        if self.quantity != 1 && !model.is_by_quantity() {
            return Err(Refusal::QuantityNotOne);
        }
        // Every price of a catalogue is one of its plan's model: what is left to be wrong is that it is too much.
        let plan = self.price.cost(model, self.quantity).map_err(|_| Refusal::TooExpensive)?;
        let addon = |it: &BoughtAddon| {
            let amount = it.price.times(it.quantity).ok_or(Refusal::TooExpensive)?;
            Ok((Item::Addon(it.addon.id.clone()), amount))
        };
        std::iter::once(Ok((Item::Plan, plan))).chain(self.addons.iter().map(addon)).collect()
    }

    /// Every feature of the family, on or off: what the plan switches on, and what the add-ons do.
    pub fn features(&self) -> BTreeMap<FeatureId, bool> {
        let mut features = self.plan.features.clone();
        features.extend(self.addons.iter().flat_map(|it| &it.addon.features).map(|feature| (feature.clone(), true)));
        features
    }

    /// What the plan allows, raised by each of the add-ons.
    pub fn limits(&self) -> BTreeMap<MeterId, Limit> {
        let mut limits = self.plan.limits.clone();
        for bought in &self.addons {
            for (meter, raise) in &bought.addon.limits {
                let limit = limits.entry(meter.clone()).or_insert(Limit::AtMost(0));
                if let Limit::AtMost(most) = limit {
                    *most = most.saturating_add(raise.saturating_mul(bought.quantity.into()));
                }
            }
        }
        limits
    }
}
