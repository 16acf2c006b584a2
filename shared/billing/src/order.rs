//! What was bought: one version of a plan, at one of its prices.

use crate::calendar::Interval;
use crate::catalog::{Plan, Price, PricingModel};
use crate::money::Money;
use crate::ratio::Ratio;
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
    /// What a year of it costs, so that prices of different intervals can be compared. None: more than can be counted.
    pub(crate) fn yearly(&self) -> Option<Ratio> {
        let (per_year, length) = match self.price.interval {
            Interval::Days(n) => (365, n),
            Interval::Weeks(n) => (52, n),
            Interval::Months(n) => (12, n),
            Interval::Years(n) => (1, n),
        };
        Ratio::from(self.amount().ok()?.minor).times(Ratio::new(per_year, length.into())?)
    }

    /// What one period costs.
    pub fn amount(&self) -> Result<Money, Refusal> {
        match (self.plan.pricing_model, self.quantity) {
            (PricingModel::PerSeat, quantity) => self.price.amount.times(quantity).ok_or(Refusal::TooExpensive),
            (PricingModel::Flat | PricingModel::Tokens, 1) => Ok(self.price.amount),
            (PricingModel::Flat | PricingModel::Tokens, _) => Err(Refusal::QuantityNotOne),
        }
    }
}
