//! Tax: on top of an amount or within it, and what of it is rounded.
//!
//! The rate is an argument: which rate applies to whom is not decided here.

use crate::money::{Currency, Money};
use crate::ratio::{Ratio, Rounding};

/// What a price says of tax.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prices {
    /// The price is without tax, which comes on top.
    Exclusive,
    /// The price is with tax, which is a part of it.
    Inclusive,
}

/// What is rounded to the minor unit. Peers differ, by a unit an invoice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoundedBy {
    /// The tax of each line. The invoice's is their sum (Lago, Flexprice).
    Line,
    /// The tax of the invoice. The lines share it by largest remainder (Stripe can be set to either).
    Invoice,
}

/// An amount without its tax, and the tax. Together they are what is paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taxed {
    pub net: Money,
    pub tax: Money,
}

impl Taxed {
    /// What is paid. None: more than can be counted.
    pub fn total(self) -> Option<Money> {
        self.net.plus(self.tax)
    }

    fn new(price: Money, tax: Money, prices: Prices) -> Option<Self> {
        let net = match prices {
            Prices::Exclusive => price,
            Prices::Inclusive => price.minus(tax)?,
        };
        Some(Self { net, tax })
    }
}

/// What of `price` is tax at `rate` (20 % is 0.2), half up to the minor unit.
/// A credit's is the mirror of its charge's. None: a rate below zero, or more
/// than can be counted.
pub fn tax(price: Money, rate: Ratio, prices: Prices) -> Option<Taxed> {
    Taxed::new(price, price.part(part(rate, prices)?, Rounding::HalfUp)?, prices)
}

/// The tax of each of `lines`, which are all in `currency`. Half up, as [`tax`].
pub fn tax_lines(
    lines: &[Money],
    currency: Currency,
    rate: Ratio,
    prices: Prices,
    by: RoundedBy,
) -> Option<Vec<Taxed>> {
    let all = Money::sum(currency, lines.iter().copied())?;
    match by {
        RoundedBy::Line => lines.iter().map(|line| tax(*line, rate, prices)).collect(),
        RoundedBy::Invoice => {
            let part = part(rate, prices)?;
            let exact = lines.iter().map(|line| Ratio::from(line.minor).times(part)).collect::<Option<Vec<_>>>()?;
            let taxes = all.part(part, Rounding::HalfUp)?.apportioned(&exact)?;
            lines.iter().zip(taxes).map(|(line, tax)| Taxed::new(*line, tax, prices)).collect()
        }
    }
}

/// What part of a price is tax.
fn part(rate: Ratio, prices: Prices) -> Option<Ratio> {
    if rate.is_negative() {
        return None;
    }
    match prices {
        Prices::Exclusive => Some(rate),
        Prices::Inclusive => rate.over(Ratio::ONE.plus(rate)?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usd() -> Currency {
        Currency::from_code("USD").unwrap_or_else(|| panic!("USD"))
    }

    fn percent(text: &str) -> Ratio {
        text.parse::<Ratio>().ok().and_then(Ratio::percent).unwrap_or_else(|| panic!("{text}"))
    }

    #[test]
    fn tax_is_on_top_or_within() {
        // Price, per cent, tax on top, tax within.
        let cases = [
            (9_999, "20", 2_000, 1_667),
            (12_345, "7.25", 895, 835),
            (10_000, "0.01", 1, 1),
            (100, "0.1", 0, 0),
            (10_000, "0", 0, 0),
            (-9_999, "20", -2_000, -1_667),
        ];
        for (price, rate, on_top, within) in cases {
            let price = Money::new(price, usd());
            let taxed = |prices| tax(price, percent(rate), prices).unwrap_or_else(|| panic!("{price} {rate}"));
            assert_eq!(taxed(Prices::Exclusive).tax.minor, on_top, "{price} {rate}");
            assert_eq!(taxed(Prices::Exclusive).net, price);
            assert_eq!(taxed(Prices::Inclusive).tax.minor, within, "{price} {rate}");
            assert_eq!(taxed(Prices::Inclusive).total(), Some(price));
        }
        assert_eq!(tax(Money::new(1, usd()), percent("-1"), Prices::Exclusive), None);
    }

    #[test]
    fn an_invoice_is_rounded_by_its_lines_or_as_one() {
        type Row = (&'static [i64], &'static [i64], &'static [i64]);
        let cases: [Row; 4] = [
            (&[103, 103, 103], &[10, 10, 10], &[11, 10, 10]),
            (&[105, 105, 105], &[11, 11, 11], &[11, 11, 10]),
            (&[-103, -103, -103], &[-10, -10, -10], &[-11, -10, -10]),
            (&[1_005, -505], &[101, -51], &[101, -51]),
        ];
        for (lines, by_line, by_invoice) in cases {
            let lines = lines.iter().map(|minor| Money::new(*minor, usd())).collect::<Vec<_>>();
            let taxes = |by| {
                let taxed = tax_lines(&lines, usd(), percent("10"), Prices::Exclusive, by).unwrap_or_default();
                taxed.iter().map(|it| it.tax.minor).collect::<Vec<_>>()
            };
            assert_eq!(taxes(RoundedBy::Line), by_line, "{lines:?}");
            assert_eq!(taxes(RoundedBy::Invoice), by_invoice, "{lines:?}");
        }
    }
}
