//! What is charged for what is used beyond a limit, with the next invoice.

use super::price::{MOST_TIERS, tiers};
use super::{Catalogue, Limit, MeterKind, Offer, PriceTier, Problems};
use crate::money::{Currency, Money};
use crate::pricing::tiers::{Beyond, Tiers};
use crate::pricing::{Model, Tariff, Unpriced, Used};
use crate::ratio::Ratio;
use serde::{Deserialize, Serialize};
use std::num::NonZeroU32;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OveragePrice {
    /// How many units an amount is for. Of fewer, the part is charged: what is rounded is the whole. Where the units are minor
    /// units of money, 29 for 1,000 of them is 2.9 per cent.
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

    /// What `used` costs in a period of which `limit` is included and that up to `billed` is on an invoice: together all of a
    /// period's parts cost what it costs as one. None: nothing more is beyond the limit. What was used though it was not
    /// sold, because less was allowed later, costs what the most does that is.
    pub fn overage(&self, used: u64, limit: u64, billed: u64) -> Option<Overage> {
        let (now, before) = (used.saturating_sub(limit), billed.saturating_sub(limit));
        let units = now.checked_sub(before).filter(|units| *units > 0)?;
        let amount = self.cost(now).ok()?.minus(self.cost(before).ok()?)?;
        Some(Overage { units, amount })
    }

    fn cost(&self, units: u64) -> Result<Money, Unpriced> {
        let currency = self.currency().ok_or(Unpriced::InvalidQuantity)?;
        // The fee of the first tier is for what is in it.
        if units == 0 {
            return Ok(Money::zero(currency));
        }
        let tiers = self.tiers().ok_or(Unpriced::InvalidQuantity)?;
        let tariff = Tariff { model: Model::Graduated { tiers, beyond: Beyond::Refused }, minimum: None };
        tariff.cost(Used::units(units.min(self.most(0)).into()), currency)
    }

    fn tiers(&self) -> Option<Tiers> {
        tiers(&self.tiers, self.currency()?, self.per.get().into(), |_| Ratio::ZERO)
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
        if found.list.len() > earlier {
            return;
        }
        if self.tiers().is_none() {
            let order = "each is up to more than the one before it, and only the last may have no end";
            found.add(&format!("{field}.tiers"), order.to_owned());
        } else if let Err(error) = self.cost(self.most(0)) {
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
        let overage = price.overage(used, 1_000, 0)?;
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
    fn the_parts_of_a_period_cost_what_it_costs_as_one() {
        let tiers = r#"{"per": 7, "tiers": [
            {"up_to": 100, "amount": {"minor": 5, "currency": "USD"}, "flat": {"minor": 30, "currency": "USD"}},
            {"up_to": null, "amount": {"minor": 4, "currency": "USD"}, "flat": {"minor": 9, "currency": "USD"}}
        ]}"#;
        let price = price(tiers);
        for parts in [vec![1_400], vec![1_003, 1_400], vec![999, 1_000, 1_001, 1_100, 1_101, 1_400]] {
            let (mut billed, mut sum) = (0, 0);
            for used in parts {
                sum += price.overage(used, 1_000, billed).map_or(0, |it| it.amount.minor);
                billed = used;
            }
            assert_eq!(Some(sum), cost(&price, 1_400));
        }
        // What was billed of a plan that allowed less is included in one that allows more.
        assert_eq!(price.overage(3_001, 3_000, 1_600).map(|it| it.units), Some(1));
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
