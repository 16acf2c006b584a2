//! What a quantity costs: flat, by the unit, graduated, by volume, by the
//! package, as a percentage; and a minimum on top of any.
//!
//! Prices and quantities are exact here: a unit may cost 0.8 of a cent, and
//! 100.5 units may be used. [`Tariff::cost`] makes money of it, rounded once, so
//! that no tier of an invoice rounds by itself.

pub mod tiers;

use crate::money::{Currency, Money};
use crate::ratio::{Ratio, Rounding};
use serde::{Deserialize, Serialize};
use tiers::{Beyond, Tiers};

/// How a price is made, and the least that is charged for a period of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tariff {
    #[serde(flatten)]
    pub model: Model,
    /// In minor units. What is missing to it is charged as a line of its own,
    /// also where nothing was used (OpenMeter).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minimum: Option<Ratio>,
}

/// How a price follows from a quantity. Every price is in minor units.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "model", rename_all = "snake_case", deny_unknown_fields)]
pub enum Model {
    /// One price whatever the quantity.
    Flat { price: Ratio },
    /// Every unit costs the same: seats.
    PerUnit { unit: Ratio },
    /// Each unit costs what the tier costs that it falls in. With sums for
    /// quantities and rates for unit prices these are graduated percentages.
    Graduated {
        tiers: Tiers,
        #[serde(default)]
        beyond: Beyond,
    },
    /// Every unit costs what the tier of the last one costs. That more can be
    /// cheaper than less is the seller's decision (OpenMeter: legal).
    Volume { tiers: Tiers },
    /// Units are sold by so many; a package that was begun is paid whole.
    Package {
        size: Ratio,
        price: Ratio,
        #[serde(default = "nothing")]
        free: Ratio,
    },
    /// A part of the sum that was turned over, and a fee for each transaction.
    /// The first `free_sum` and `free_events` are not charged for, and where
    /// nothing was turned over there is no fee either (Lago).
    Percentage {
        /// 1.3 % is 0.013.
        rate: Ratio,
        #[serde(default = "nothing")]
        fee: Ratio,
        #[serde(default = "nothing")]
        free_sum: Ratio,
        #[serde(default)]
        free_events: u64,
    },
}

fn nothing() -> Ratio {
    Ratio::ZERO
}

/// What was used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Used {
    /// Units; for a percentage the sum in minor units.
    pub quantity: Ratio,
    /// How many transactions it came in. Only a percentage asks.
    pub events: u64,
}

/// One line of what a quantity costs, in minor units, exactly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    pub of: Part,
    pub amount: Ratio,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The flat price, the units, the packages or the rate.
    Price,
    /// The fees of the transactions.
    Fees,
    /// The units of the tier of this number, counted from 1.
    Tier(usize),
    /// The flat fee of that tier.
    TierFee(usize),
    /// What was missing to the minimum.
    Minimum,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unpriced {
    #[error("there is no price for this quantity")]
    InvalidQuantity,
    #[error("that many would cost more than can be charged")]
    TooExpensive,
}

impl Used {
    pub const NOTHING: Self = Self { quantity: Ratio::ZERO, events: 0 };

    pub fn units(quantity: Ratio) -> Self {
        Self { quantity, events: 0 }
    }
}

impl Model {
    /// What `used` costs in a period, line by line, in minor units, exactly. A
    /// line of nothing is none.
    pub fn lines(&self, used: Used) -> Result<Vec<Line>, Unpriced> {
        let Used { quantity, events } = used;
        if quantity.is_negative() {
            return Err(Unpriced::InvalidQuantity);
        }
        let price =
            |amount: Option<Ratio>| Ok(vec![Line { of: Part::Price, amount: amount.ok_or(Unpriced::TooExpensive)? }]);
        let mut lines = match self {
            Self::Flat { price: amount } => price(Some(*amount))?,
            Self::PerUnit { unit } => price(unit.times(quantity))?,
            Self::Graduated { tiers, beyond } => tiers.graduated(quantity, *beyond)?,
            Self::Volume { tiers } => tiers.volume(quantity)?,
            Self::Package { size, price: each, free } => price(packages(quantity, *size, *free)?.times(*each))?,
            Self::Percentage { rate, fee, free_sum, free_events } => {
                let begun = if quantity.is_zero() { 0 } else { events.saturating_sub(*free_events) };
                let fees = fee.times(Ratio::from(begun)).ok_or(Unpriced::TooExpensive)?;
                let mut lines = price(beyond(quantity, *free_sum)?.times(*rate))?;
                lines.push(Line { of: Part::Fees, amount: fees });
                lines
            }
        };
        lines.retain(|line| !line.amount.is_zero());
        Ok(lines)
    }

    /// What `now` costs beyond what `before` did: what is billed for usage of
    /// which an earlier part has been billed. Where the same was used as
    /// before, nothing; where more is cheaper, a line below zero.
    pub fn lines_since(&self, before: Used, now: Used) -> Result<Vec<Line>, Unpriced> {
        let mut lines = self.lines(now)?;
        for billed in self.lines(before)? {
            let less = Ratio::ZERO.minus(billed.amount).ok_or(Unpriced::TooExpensive)?;
            match lines.iter_mut().find(|line| line.of == billed.of) {
                Some(line) => line.amount = line.amount.plus(less).ok_or(Unpriced::TooExpensive)?,
                None => lines.push(Line { amount: less, ..billed }),
            }
        }
        lines.retain(|line| !line.amount.is_zero());
        Ok(lines)
    }

    /// What usage beyond the `included` units costs, of which that up to
    /// `billed` units has been billed. What is included costs nothing here. Less
    /// than was billed, or less than nothing, is refused.
    pub fn overage(&self, used: Ratio, included: Ratio, billed: Ratio) -> Result<Vec<Line>, Unpriced> {
        if used < billed || billed.is_negative() || included.is_negative() {
            return Err(Unpriced::InvalidQuantity);
        }
        let more = |quantity| beyond(quantity, included).map(Used::units);
        self.lines_since(more(billed)?, more(used)?)
    }
}

impl Tariff {
    /// What `used` costs in a whole period, line by line, in minor units, exactly.
    pub fn lines(&self, used: Used) -> Result<Vec<Line>, Unpriced> {
        let mut lines = self.model.lines(used)?;
        if let Some(minimum) = self.minimum {
            let missing = minimum.minus(total(&lines)?).ok_or(Unpriced::TooExpensive)?;
            if missing > Ratio::ZERO {
                lines.push(Line { of: Part::Minimum, amount: missing });
            }
        }
        Ok(lines)
    }

    /// What `used` costs in a whole period, rounded half up to the minor unit, once, at the end.
    pub fn cost(&self, used: Used, currency: Currency) -> Result<Money, Unpriced> {
        let exact = total(&self.lines(used)?)?;
        Money::rounded(exact, currency, Rounding::HalfUp).ok_or(Unpriced::TooExpensive)
    }
}

/// The lines together, in minor units, exactly.
pub fn total(lines: &[Line]) -> Result<Ratio, Unpriced> {
    let sum = lines.iter().try_fold(Ratio::ZERO, |sum, line| sum.plus(line.amount));
    sum.ok_or(Unpriced::TooExpensive)
}

/// How much of `used` is beyond what is `included`. Never below zero.
fn beyond(used: Ratio, included: Ratio) -> Result<Ratio, Unpriced> {
    used.minus(included).map(|more| more.max(Ratio::ZERO)).ok_or(Unpriced::TooExpensive)
}

fn packages(quantity: Ratio, size: Ratio, free: Ratio) -> Result<Ratio, Unpriced> {
    if size <= Ratio::ZERO {
        return Err(Unpriced::InvalidQuantity);
    }
    let begun = beyond(quantity, free)?.over(size).map(|packages| packages.rounded(Rounding::Up));
    begun.and_then(|begun| Ratio::new(begun, 1)).ok_or(Unpriced::TooExpensive)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ratio(text: &str) -> Ratio {
        text.parse().unwrap_or_else(|error| panic!("{error}"))
    }

    fn model(text: &str) -> Model {
        serde_json::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn costs(model: &Model, quantities: &[&str]) -> Vec<String> {
        let cost = |quantity: &&str| match model.lines(Used::units(ratio(quantity))).and_then(|it| total(&it)) {
            Ok(amount) => amount.to_string(),
            Err(error) => error.to_string(),
        };
        quantities.iter().map(cost).collect()
    }

    const TIERS: &str = r#"[{"up_to": 10, "unit": 10, "flat": 2}, {"up_to": "20", "unit": "5", "flat": "3"},
                            {"up_to": null, "unit": "1.5"}]"#;

    #[test]
    fn graduated_units_cost_what_their_own_tier_costs() {
        let graduated = model(&format!(r#"{{"model": "graduated", "tiers": {TIERS}}}"#));
        let expected = ["2", "12", "102", "107.5", "110", "155", "156.5"];
        assert_eq!(costs(&graduated, &["0", "1", "10", "10.5", "11", "20", "21"]), expected);
    }

    #[test]
    fn by_volume_all_units_cost_what_the_last_ones_tier_costs() {
        let volume = model(&format!(r#"{{"model": "volume", "tiers": {TIERS}}}"#));
        // One unit more than 20 makes all of them cheaper.
        assert_eq!(costs(&volume, &["0", "10", "10.5", "20", "21"]), ["2", "102", "55.5", "103", "31.5"]);
    }

    #[test]
    fn beyond_a_last_bound_nothing_is_for_sale() {
        for kind in ["graduated", "volume"] {
            let tiers = r#"[{"up_to": "10", "unit": "500"}]"#;
            let bounded = model(&format!(r#"{{"model": "{kind}", "tiers": {tiers}}}"#));
            assert_eq!(bounded.lines(Used::units(ratio("11"))), Err(Unpriced::InvalidQuantity));
            assert_eq!(costs(&bounded, &["10"]), ["5000"]);
        }
        let free = model(r#"{"model": "graduated", "tiers": [{"up_to": "10", "unit": "500"}], "beyond": "free"}"#);
        assert_eq!(costs(&free, &["10", "15"]), ["5000", "5000"]);
    }

    #[test]
    fn a_package_begun_is_paid_whole() {
        let packages = model(r#"{"model": "package", "size": "10", "price": "100", "free": "10"}"#);
        assert_eq!(
            costs(&packages, &["0", "10", "10.1", "20", "20.1", "121"]),
            ["0", "0", "100", "100", "200", "1200"]
        );
        let sizeless = model(r#"{"model": "package", "size": "0", "price": "100"}"#);
        assert_eq!(sizeless.lines(Used::units(ratio("1"))), Err(Unpriced::InvalidQuantity));
    }

    #[test]
    fn a_percentage_leaves_out_what_is_free() {
        let rate = r#"{"model": "percentage", "rate": "0.013", "fee": "200", "free_sum": "25000", "free_events": 2}"#;
        let cost = |sum, events| {
            let used = Used { quantity: ratio(sum), events };
            model(rate).lines(used).and_then(|lines| total(&lines)).map(|amount| amount.to_string()).ok()
        };
        assert_eq!(cost("80000", 4).as_deref(), Some("1115"));
        assert_eq!(cost("25000", 2).as_deref(), Some("0"));
        assert_eq!(cost("0", 4).as_deref(), Some("0"));
    }

    #[test]
    fn what_is_missing_to_the_minimum_is_a_line_of_its_own() {
        let text = format!(r#"{{"model": "volume", "tiers": {TIERS}, "minimum": "30"}}"#);
        let tariff: Tariff = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}"));
        let lines = |quantity| {
            let lines = tariff.lines(Used::units(ratio(quantity))).unwrap_or_default();
            lines.into_iter().map(|line| (line.of, line.amount.to_string())).collect::<Vec<_>>()
        };
        assert_eq!(lines("0"), [(Part::TierFee(1), "2".to_owned()), (Part::Minimum, "28".to_owned())]);
        assert_eq!(lines("5"), [(Part::Tier(1), "50".to_owned()), (Part::TierFee(1), "2".to_owned())]);
        assert_eq!(serde_json::to_value(&tariff).ok().map(|it| it["minimum"].clone()), Some("30".into()));
    }

    #[test]
    fn money_is_rounded_once_and_not_by_tier() {
        let tiers = r#"[{"up_to": "1", "unit": "0.4"}, {"up_to": null, "unit": "0.4"}]"#;
        let tariff = Tariff { model: model(&format!(r#"{{"model": "graduated", "tiers": {tiers}}}"#)), minimum: None };
        let usd = Currency::from_code("USD").unwrap_or_else(|| panic!("USD"));
        let cost = |quantity| tariff.cost(Used::units(ratio(quantity)), usd);
        assert_eq!(cost("2"), Ok(Money::new(1, usd)));
        assert_eq!(cost("99999999999999999999"), Err(Unpriced::TooExpensive));
    }

    #[test]
    fn what_was_billed_is_not_billed_again() {
        let graduated = model(&format!(r#"{{"model": "graduated", "tiers": {TIERS}}}"#));
        let at = |quantity: u64| Used::units(Ratio::from(quantity));
        let since = |a, b| graduated.lines_since(at(a), at(b)).and_then(|lines| total(&lines));
        // However a month is cut in two, both bills together are the one bill.
        for (first, all) in (0..40_u64).flat_map(|all| (0..=all).map(move |first| (first, all))) {
            let whole = graduated.lines(at(all)).and_then(|lines| total(&lines));
            let begun = graduated.lines(at(first)).and_then(|lines| total(&lines));
            let sum = begun.and_then(|a| since(first, all).map(|b| a.plus(b)));
            assert_eq!(sum, whole.map(Some), "{first} {all}");
        }
        let shown = |lines: Vec<Line>| lines.iter().map(|it| (it.of, it.amount.to_string())).collect::<Vec<_>>();
        let lines = graduated.lines_since(at(8), at(12)).map(shown);
        let expected = [(Part::Tier(1), "20"), (Part::Tier(2), "10"), (Part::TierFee(2), "3")];
        assert_eq!(lines, Ok(expected.map(|(of, amount)| (of, amount.to_owned())).to_vec()));
    }

    #[test]
    fn where_more_is_cheaper_a_later_bill_gives_back() {
        let volume = model(&format!(r#"{{"model": "volume", "tiers": {TIERS}}}"#));
        let at = |quantity: u64| Used::units(Ratio::from(quantity));
        let lines = volume.lines_since(at(20), at(21)).unwrap_or_default();
        let shown = lines.iter().map(|it| (it.of, it.amount.to_string())).collect::<Vec<_>>();
        let expected = [(Part::Tier(3), "31.5"), (Part::Tier(2), "-100"), (Part::TierFee(2), "-3")];
        assert_eq!(shown, expected.map(|(of, amount)| (of, amount.to_owned())));
        assert_eq!(volume.lines_since(at(20), at(20)), Ok(vec![]));
    }

    #[test]
    fn a_price_with_a_field_of_another_or_of_none_is_refused() {
        for text in [
            r#"{"model": "flat", "price": "5", "minimum": "1", "maximum": "2"}"#,
            r#"{"model": "flat", "price": "5", "unit": "1"}"#,
            r#"{"model": "flat"}"#,
            r#"{"model": "graduated", "tiers": [{"up_to": null, "unit": "1", "flatt": "2"}]}"#,
            r#"{"model": "graduated", "tiers": [{"up_to": null}]}"#,
        ] {
            assert!(serde_json::from_str::<Tariff>(text).is_err(), "{text}");
        }
        assert!(serde_json::from_str::<Tariff>(r#"{"model": "flat", "price": "5", "minimum": "1"}"#).is_ok());
    }

    #[test]
    fn overage_is_what_was_used_beyond_what_is_included_and_billed() {
        let minutes = model(r#"{"model": "per_unit", "unit": "2.5"}"#);
        // Used, included, billed, costs.
        let cases = [
            (900, 1_000, 0, "0"),
            (1_000, 1_000, 0, "0"),
            (1_200, 1_000, 0, "500"),
            (1_200, 1_000, 1_100, "250"),
            (1_200, 1_000, 1_200, "0"),
        ];
        for (used, included, billed, expected) in cases {
            let [used, included, billed] = [used, included, billed].map(|it: u64| Ratio::from(it));
            let cost = minutes.overage(used, included, billed).and_then(|lines| total(&lines));
            assert_eq!(cost.map(|cost| cost.to_string()).as_deref(), Ok(expected), "{used} {billed}");
        }
        for (used, included, billed) in [("-1", "0", "0"), ("5", "0", "6"), ("5", "-1", "0"), ("-1", "0", "-2")] {
            let overage = minutes.overage(ratio(used), ratio(included), ratio(billed));
            assert_eq!(overage, Err(Unpriced::InvalidQuantity), "{used} {included} {billed}");
        }
    }

    #[test]
    fn quantities_of_no_sense_are_refused_and_do_not_panic() {
        let huge = ratio("170000000000000000000000000000000000000");
        for text in [
            r#"{"model": "per_unit", "unit": "10"}"#.to_owned(),
            format!(r#"{{"model": "graduated", "tiers": {TIERS}}}"#),
            r#"{"model": "package", "size": "1", "price": "10"}"#.to_owned(),
            r#"{"model": "percentage", "rate": "10", "fee": "1"}"#.to_owned(),
        ] {
            assert_eq!(model(&text).lines(Used::units(ratio("-1"))), Err(Unpriced::InvalidQuantity), "{text}");
            assert_eq!(model(&text).lines(Used::units(huge)), Err(Unpriced::TooExpensive), "{text}");
        }
    }

    #[test]
    fn what_is_missing_to_the_minimum_is_a_line_of_its_own_where_something_is() {
        let text = r#"{"model": "per_unit", "unit": "5", "minimum": "15"}"#;
        let tariff: Tariff = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}"));
        let missing = |units: u32| {
            let lines = tariff.lines(Used::units(units.into())).unwrap_or_else(|error| panic!("{error}"));
            lines.into_iter().find(|line| line.of == Part::Minimum).map(|line| line.amount)
        };
        assert_eq!([0, 2, 3, 4].map(missing), [Some(ratio("15")), Some(ratio("5")), None, None]);
    }
}
