//! What is charged for what is used beyond a limit, with the next invoice.

use super::price::MOST_TIERS;
use super::{Catalogue, Limit, MeterKind, Offer, PriceTier, Problems};
use crate::money::{Currency, Money};
use crate::pricing::tiers::{Beyond, Tier, Tiers};
use crate::pricing::{Model, Unpriced, Used, total};
use crate::ratio::{Ratio, Rounding};
use serde::{Deserialize, Serialize};
use std::num::NonZeroU32;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OveragePrice {
    /// How many units an amount is for. Of fewer, the part is charged: what is rounded is the whole.
    pub per: NonZeroU32,
    /// Of what is beyond the limit, in ascending order. More than the last one has an end for is not sold.
    pub tiers: Vec<PriceTier>,
}

/// The most units that are sold beyond a limit where its price has no end: all of them can be charged for.
const MOST_BEYOND: u32 = 1_000_000_000;

/// What was used beyond a limit, and what that costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overage {
    pub units: u64,
    pub amount: Money,
}

impl OveragePrice {
    /// All of its amounts are in it.
    pub fn currency(&self) -> Option<Currency> {
        self.tiers.first().map(|tier| tier.amount.currency)
    }

    /// The most that can be used where `limit` is included.
    pub fn most(&self, limit: u64) -> u64 {
        let last = self.tiers.last().and_then(|tier| tier.up_to).unwrap_or(MOST_BEYOND);
        limit.saturating_add(last.min(MOST_BEYOND).into())
    }

    /// What `used` costs in a period of which `included` is, or is paid for. None: nothing is beyond it. What was used
    /// though it was not sold, because less was allowed later, costs what the most does that is.
    pub fn overage(&self, used: u64, included: u64) -> Option<Overage> {
        let units = used.checked_sub(included).filter(|units| *units > 0)?;
        Some(Overage { units, amount: self.cost(units.min(self.most(0))).ok()? })
    }

    fn cost(&self, units: u64) -> Result<Money, Unpriced> {
        let currency = self.currency().ok_or(Unpriced::InvalidQuantity)?;
        let tiers = self.tiers().ok_or(Unpriced::InvalidQuantity)?;
        let model = Model::Graduated { tiers, beyond: Beyond::Refused };
        let exact = total(&model.lines(Used::units(units.into()))?)?;
        Money::rounded(exact, currency, Rounding::HalfUp).ok_or(Unpriced::TooExpensive)
    }

    fn tiers(&self) -> Option<Tiers> {
        let per = Ratio::from(self.per.get());
        let tier = |tier: &PriceTier| {
            let unit = Ratio::from(tier.amount.minor).over(per)?;
            let flat = tier.flat.map_or(Ratio::ZERO, |flat| flat.minor.into());
            Some(Tier { up_to: tier.up_to.map(Ratio::from), unit, flat })
        };
        Tiers::new(self.tiers.iter().map(tier).collect::<Option<_>>()?).ok()
    }

    fn check(&self, currency: Currency, field: &str, found: &mut Problems) {
        let earlier = found.list.len();
        if self.tiers.len() > MOST_TIERS {
            found.add(&format!("{field}.tiers"), format!("there are at most {MOST_TIERS} tiers"));
        }
        for (n, tier) in self.tiers.iter().enumerate() {
            found.amount(tier.amount, 0, currency, &format!("{field}.tiers[{n}].amount"));
            if let Some(flat) = tier.flat {
                found.amount(flat, 0, currency, &format!("{field}.tiers[{n}].flat"));
            }
        }
        if self.tiers().is_none() {
            let order = "each is up to more than the one before it, and only the last may have no end";
            found.add(&format!("{field}.tiers"), order.to_owned());
        } else if found.list.len() == earlier
            && let Err(error) = self.cost(self.most(0))
        {
            found.add(&format!("{field}.tiers"), error.to_string());
        }
    }
}

impl Catalogue {
    /// Whoever pays in a currency that the plan is sold in is sold what is beyond a limit in the same.
    pub(super) fn check_overage(&self, plan: &Offer, found: &mut Problems) {
        let mut sold: Vec<Currency> = vec![];
        for currency in plan.prices.iter().map(|price| price.amount.currency) {
            if !sold.contains(&currency) {
                sold.push(currency);
            }
        }
        for (meter, prices) in &plan.overage {
            let field = format!("overage.{meter}");
            let counted = |kind| kind == MeterKind::Counter;
            if !self.family.meters.iter().any(|it| it.id == *meter && counted(it.kind)) {
                found.add(&field, "is no counter of the family: a level is set, whatever it costs".to_owned());
            }
            if !matches!(plan.limits.get(meter), Some(Limit::AtMost(_))) {
                found.add(&field, "the plan has no limit that could be passed".to_owned());
            }
            let mut left = sold.clone();
            for (n, price) in prices.iter().enumerate() {
                let field = format!("{field}[{n}]");
                match price.currency() {
                    None => found.add(&format!("{field}.tiers"), "there is at least one tier".to_owned()),
                    Some(currency) if !left.contains(&currency) => {
                        found.add(&field, format!("there is another in {currency}, or no price of the plan is"));
                    }
                    Some(currency) => {
                        left.retain(|it| *it != currency);
                        price.check(currency, &field, found);
                    }
                }
            }
            if let Some(currency) = left.first() {
                found.add(&field, format!("there is none in {currency}, in which the plan is sold"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn price(text: &str) -> OveragePrice {
        serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}"))
    }

    /// In minor units, of a thousand that are included.
    fn cost(price: &OveragePrice, used: u64) -> Option<i64> {
        let overage = price.overage(used, 1_000)?;
        assert_eq!(overage.units, used - 1_000);
        Some(overage.amount.minor)
    }

    #[test]
    fn what_is_beyond_the_limit_costs_and_what_is_within_does_not() {
        // Three cents a minute.
        let plain = price(r#"{"per": 1, "tiers": [{"up_to": null, "amount": {"minor": 3, "currency": "USD"}}]}"#);
        let cases = [(0, None), (999, None), (1_000, None), (1_001, Some(3)), (1_500, Some(1_500))];
        for (used, expected) in cases {
            assert_eq!(cost(&plain, used), expected, "{used}");
        }
        assert_eq!((plain.most(1_000), plain.most(u64::MAX)), (1_000_001_000, u64::MAX));
    }

    #[test]
    fn an_amount_for_many_units_is_charged_in_proportion_and_rounded_once() {
        // Two cents for 1,000: of half a cent the half is rounded up, and less to nothing.
        let cheap = price(r#"{"per": 1000, "tiers": [{"up_to": null, "amount": {"minor": 2, "currency": "USD"}}]}"#);
        let cases = [(1_249, Some(0)), (1_250, Some(1)), (1_749, Some(1)), (1_750, Some(2)), (2_000, Some(2))];
        for (used, expected) in cases {
            assert_eq!(cost(&cheap, used), expected, "{used}");
        }
    }

    #[test]
    fn each_unit_costs_what_its_tier_does_and_beyond_a_last_end_none_is_sold() {
        let tiered = price(
            r#"{"per": 1, "tiers": [
                {"up_to": 100, "amount": {"minor": 5, "currency": "USD"}},
                {"up_to": 500, "amount": {"minor": 4, "currency": "USD"}, "flat": {"minor": 100, "currency": "USD"}}
            ]}"#,
        );
        let cases = [(1_100, Some(500)), (1_101, Some(604)), (1_500, Some(500 + 100 + 1_600))];
        for (used, expected) in cases {
            assert_eq!(cost(&tiered, used), expected, "{used}");
        }
        assert_eq!(tiered.most(1_000), 1_500);
        assert_eq!(cost(&tiered, 1_501), cost(&tiered, 1_500), "what could not be sold costs no more, and no less");
    }

    #[test]
    fn a_fee_of_the_first_tier_is_charged_once_anything_is_beyond() {
        let fee = price(
            r#"{"per": 1, "tiers": [{"up_to": null, "amount": {"minor": 0, "currency": "USD"},
                "flat": {"minor": 1000, "currency": "USD"}}]}"#,
        );
        assert_eq!([cost(&fee, 1_000), cost(&fee, 1_001), cost(&fee, 9_000)], [None, Some(1_000), Some(1_000)]);
    }
}
