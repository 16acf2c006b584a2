//! What was bought: one version of a plan, at one of its prices, and the
//! add-ons onto it.

use crate::calendar::Interval;
use crate::catalog::{Addon, Limit, Overage, OveragePrice, Plan, Price};
use crate::discount::Discount;
use crate::id::{AddonId, FeatureId, MeterId};
use crate::money::Money;
use crate::ratio::Ratio;
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
    /// What is taken off all that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discount: Option<Discount>,
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
    #[error("add-on `{0}` is sold by the unit: say how many")]
    QuantityMissing(AddonId),
}

impl Order {
    /// What a year of it costs, so that prices of different intervals can be compared. None: more than can be counted.
    pub(crate) fn yearly(&self) -> Option<Ratio> {
        let (per_year, length) = match self.price.interval {
            Interval::Days(n) => (365, n),
            Interval::Weeks(n) => (52, n),
            Interval::Months(n) => (12, n),
            Interval::Years(n) => (1, n),
        };
        // A discount is none of the plan's merits, and passes.
        let whole = Self { discount: None, ..self.clone() };
        Ratio::from(whole.amount().ok()?.minor).times(Ratio::new(per_year, length.into())?)
    }

    /// With so many of an add-on, whether there were any before or not. What is sold once needs no number.
    pub fn with_addon(mut self, id: &AddonId, quantity: Option<NonZeroU32>) -> Result<Self, AddonRefusal> {
        let price = |addon: &Addon| addon.price(self.price.interval, self.price.amount.currency);
        let offered = self.plan.addon(id).and_then(|addon| Some((addon.clone(), price(addon)?)));
        let (addon, price) = offered.ok_or_else(|| AddonRefusal::NotOffered(id.clone()))?;
        let quantity = match quantity.map(NonZeroU32::get) {
            None if addon.per_unit => return Err(AddonRefusal::QuantityMissing(id.clone())),
            Some(2..) if !addon.per_unit => return Err(AddonRefusal::QuantityNotOne(id.clone())),
            quantity => quantity.unwrap_or(1),
        };
        let bought = BoughtAddon { addon, price, quantity };
        match self.addons.iter_mut().find(|it| it.addon.id == *id) {
            Some(known) => *known = bought,
            None => self.addons.push(bought),
        }
        Ok(self)
    }

    /// With the add-ons of `other` that its plan offers, at its own prices. What it offers not is left behind.
    #[must_use]
    pub fn with_addons_of(self, other: &Self) -> Self {
        Self { addons: vec![], ..self }.with_addons(&other.addons)
    }

    /// With as many of each as is `held`, at the plan's own prices. What it offers not stays as it is.
    fn with_addons(self, held: &[BoughtAddon]) -> Self {
        held.iter().fold(self, |order, held| {
            order.clone().with_addon(&held.addon.id, NonZeroU32::new(held.quantity)).unwrap_or(order)
        })
    }

    /// The same of another version of its plan, with the add-ons that this has at its prices. None: it has no price for the
    /// interval in the currency, or one that renews otherwise.
    pub fn of_version(self, plan: &Plan) -> Option<Self> {
        let price = plan.price(self.price.interval, self.price.amount.currency)?;
        let held = self.addons.clone();
        let alike = price.recurring == self.price.recurring;
        alike.then(|| Self { plan: plan.clone(), price, ..self }.with_addons(&held))
    }

    /// How many of `plan` whoever has this is to have, if they do not say. None: they have to, since it is sold by the seat,
    /// and this is not.
    pub(crate) fn quantity_of(&self, plan: &Plan) -> Option<u32> {
        match (self.plan.pricing_model.is_by_quantity(), plan.pricing_model.is_by_quantity()) {
            (true, true) | (false, false) => Some(self.quantity),
            (false, true) => None,
            (true, false) => Some(1),
        }
    }

    /// With `quantity` left of an add-on that it has, at the price it was bought at. None: it has not that many.
    pub fn keeping_of_addon(mut self, id: &AddonId, quantity: u32) -> Option<Self> {
        let held = self.addons.iter_mut().find(|it| it.addon.id == *id && quantity < it.quantity)?;
        held.quantity = quantity;
        self.addons.retain(|it| it.quantity > 0);
        Some(self)
    }

    /// How many of an add-on there are.
    pub fn addon_quantity(&self, id: &AddonId) -> u32 {
        self.addons.iter().find(|it| it.addon.id == *id).map_or(0, |it| it.quantity)
    }

    /// What one period costs.
    pub fn amount(&self) -> Result<Money, Refusal> {
        let amounts = self.lines()?.into_iter().map(|(_, amount)| amount);
        Money::sum(self.price.amount.currency, amounts).ok_or(Refusal::TooExpensive)
    }

    /// What is taken off a period's price. None: nothing is.
    pub fn discounted(&self) -> Option<Money> {
        let whole = self.whole_lines().ok()?;
        let whole = Money::sum(self.price.amount.currency, whole.iter().map(|(_, amount)| *amount))?;
        whole.minus(self.amount().ok()?).filter(|off| off.minor > 0)
    }

    /// The same in the period after the one at hand.
    #[must_use]
    pub fn in_next_period(self) -> Self {
        Self { discount: self.discount.and_then(Discount::in_next_period), ..self }
    }

    /// What that is made of, the plan first: of each part, what is left once its share of the discount is off.
    pub fn lines(&self) -> Result<Vec<(Item, Money)>, Refusal> {
        let lines = self.whole_lines()?;
        let Some(discount) = self.discount.as_ref().filter(|discount| discount.is_on) else { return Ok(lines) };
        let amounts: Vec<Money> = lines.iter().map(|(_, amount)| *amount).collect();
        // A discount is bought with prices in its currency, and they are changed in none: what is left to be wrong is
        // that it is too much.
        let off = discount.off.from_lines(&amounts, self.price.amount.currency).ok_or(Refusal::TooExpensive)?;
        Ok(lines.into_iter().zip(off).map(|((item, _), discounted)| (item, discounted.left)).collect())
    }

    fn whole_lines(&self) -> Result<Vec<(Item, Money)>, Refusal> {
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

    /// What more of `meter` costs than is allowed of it, if it is sold: with the next invoice, so only where one follows.
    pub fn overage_price(&self, meter: &MeterId) -> Option<&OveragePrice> {
        let currency = Some(self.price.amount.currency);
        let prices = self.plan.overage.get(meter).filter(|_| self.price.recurring)?;
        prices.iter().find(|price| price.currency() == currency)
    }

    /// What was used of `meter` beyond what is allowed of it, and what that costs. None: nothing.
    pub fn overage(&self, meter: &MeterId, used: u64) -> Option<Overage> {
        let Some(Limit::AtMost(limit)) = self.limits().get(meter).copied() else { return None };
        self.overage_price(meter)?.overage(used, limit, 0)
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

#[cfg(test)]
mod tests;
