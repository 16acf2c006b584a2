//! What was bought: one version of a plan, at one of its prices.

use crate::catalog::{Plan, Price, PricingModel};
use crate::money::Money;
use crate::subscription::Refusal;
use serde::{Deserialize, Serialize};

/// Kept whole, so that a later change of the catalogue changes nobody's terms,
/// and so that a subscription is looked up in one request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    pub plan: Plan,
    pub price: Price,
    pub quantity: u32,
}

impl Order {
    /// What one period costs.
    pub fn amount(&self) -> Result<Money, Refusal> {
        match (self.plan.pricing_model, self.quantity) {
            (PricingModel::PerSeat, quantity) => self.price.amount.times(quantity).ok_or(Refusal::TooExpensive),
            (PricingModel::Flat | PricingModel::Tokens, 1) => Ok(self.price.amount),
            (PricingModel::Flat | PricingModel::Tokens, _) => Err(Refusal::QuantityNotOne),
        }
    }
}
