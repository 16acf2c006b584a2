//! Amounts are whole minor units (cents, kobo, yen) of one currency.
//!
//! What takes a part of an amount says how it rounds, and what divides an
//! amount returns every share: nothing is lost, and nothing made, on the way.

use crate::ratio::{Ratio, Rounding};
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;
use std::fmt;

/// An ISO 4217 currency that has a minor unit: metals and test codes have none,
/// and nothing can be charged in them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Currency(iso_currency::Currency);

impl Currency {
    pub fn from_code(code: &str) -> Option<Self> {
        let currency = iso_currency::Currency::from_code(code)?;
        currency.exponent().map(|_| Self(currency))
    }

    /// The three upper-case letters.
    pub fn code(self) -> &'static str {
        self.0.code()
    }

    /// Digits after the decimal point.
    pub fn exponent(self) -> u32 {
        u32::from(self.0.exponent().unwrap_or_default()) // `from_code` let none without one in
    }

    /// How many minor units a major one has.
    pub fn unit(self) -> Ratio {
        Ratio::from(10_u64.pow(self.exponent()))
    }

    /// In how many minor units every gateway counts. Stripe takes no odd fils; PayPal takes whole forints and
    /// Taiwan dollars only.
    fn step(self) -> i64 {
        match (self.code(), self.exponent()) {
            ("HUF" | "TWD", _) => 100,
            (_, 3..) => 10,
            _ => 1,
        }
    }

    /// The least that is charged, in minor units: the largest of the gateways' leasts, and half a major unit where they
    /// name none.
    fn least_charge(self) -> i64 {
        match (self.code(), self.exponent()) {
            ("NGN", _) => 80_000,
            ("HUF", _) => 17_500,
            ("CZK", _) => 1_500,
            ("MXN" | "THB", _) => 1_000,
            ("CLP", _) => 500,
            ("HKD", _) => 400,
            ("KES" | "NOK" | "SEK", _) => 300,
            ("DKK", _) => 250,
            ("USD" | "AED" | "MYR" | "PLN" | "RON", _) => 200,
            ("GEL", _) => 140,
            ("BGN" | "ZAR", _) => 100,
            (_, 0) => 50,
            (_, digits) => 10_i64.saturating_pow(digits) / 2,
        }
    }
}

impl TryFrom<String> for Currency {
    type Error = UnknownCurrency;

    fn try_from(code: String) -> Result<Self, UnknownCurrency> {
        Self::from_code(&code).ok_or(UnknownCurrency(code))
    }
}

impl From<Currency> for String {
    fn from(currency: Currency) -> String {
        currency.code().to_owned()
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not an ISO 4217 currency, in capital letters, that can be charged")]
pub struct UnknownCurrency(String);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Money {
    /// Whole minor units of `currency`.
    pub minor: i64,
    pub currency: Currency,
}

impl Money {
    pub const fn new(minor: i64, currency: Currency) -> Self {
        Self { minor, currency }
    }

    pub const fn zero(currency: Currency) -> Self {
        Self { minor: 0, currency }
    }

    /// `quantity` times the amount, unless that is more than can be counted.
    pub fn times(self, quantity: u32) -> Option<Self> {
        Some(Self { minor: self.minor.checked_mul(i64::from(quantity))?, ..self })
    }

    /// None: another currency, or more than can be counted.
    pub fn plus(self, other: Self) -> Option<Self> {
        let minor = self.minor.checked_add(other.minor)?;
        (self.currency == other.currency).then_some(Self { minor, ..self })
    }

    /// None: another currency, or more than can be counted.
    pub fn minus(self, other: Self) -> Option<Self> {
        let minor = self.minor.checked_sub(other.minor)?;
        (self.currency == other.currency).then_some(Self { minor, ..self })
    }

    /// What of it is worth a charge, as gateways take it: the rest, or all of what is too small, is for the next
    /// invoice. Nothing of what is not above zero.
    pub fn chargeable(self) -> Self {
        let whole = self.minor.max(0) / self.currency.step() * self.currency.step();
        Self { minor: if whole < self.currency.least_charge() { 0 } else { whole }, ..self }
    }

    /// The same with `minor` units more, up to what can be counted.
    pub(crate) fn with_more(self, minor: i64) -> Self {
        Self { minor: self.minor.saturating_add(minor), ..self }
    }

    /// What a credit of it is. None: more than can be counted.
    pub fn negated(self) -> Option<Self> {
        Some(Self { minor: self.minor.checked_neg()?, ..self })
    }

    /// `amounts` together. None: several currencies, or more than can be counted.
    pub fn sum(currency: Currency, amounts: impl IntoIterator<Item = Self>) -> Option<Self> {
        amounts.into_iter().try_fold(Self::zero(currency), Self::plus)
    }

    /// `part` of the amount, exact until it is rounded to whole minor units.
    /// None: more than can be counted.
    pub fn part(self, part: Ratio, rounding: Rounding) -> Option<Self> {
        Self::rounded(Ratio::from(self.minor).times(part)?, self.currency, rounding)
    }

    /// `minor` units, which need not be whole, as an amount. None: more than can be counted.
    pub fn rounded(minor: Ratio, currency: Currency, rounding: Rounding) -> Option<Self> {
        i64::try_from(minor.rounded(rounding)).ok().map(|minor| Self { minor, currency })
    }

    /// The amount divided by `weights`, a share for each, which together are the amount.
    ///
    /// By largest remainder: every share is rounded down, and the minor units
    /// that are left go one each to the shares that lost most by it, of equal
    /// ones to the first. None: a weight below zero, none above it for an amount
    /// that is not zero, or more than can be counted.
    pub fn split(self, weights: &[Ratio]) -> Option<Vec<Self>> {
        let all = weights.iter().try_fold(Ratio::ZERO, |sum, weight| sum.plus(*weight))?;
        if weights.iter().any(|weight| weight.is_negative()) {
            return None;
        }
        if self.minor == 0 {
            return Some(vec![self; weights.len()]);
        }
        if all.is_zero() {
            return None;
        }
        let amount = Ratio::from(self.minor);
        let exact = weights.iter().map(|weight| amount.times(weight.over(all)?)).collect::<Option<Vec<_>>>()?;
        self.apportioned(&exact)
    }

    /// The amount in whole minor units that come to it together, each near its
    /// `exact` one. These are together the amount but for its own rounding.
    pub(crate) fn apportioned(self, exact: &[Ratio]) -> Option<Vec<Self>> {
        // A credit is divided as its charge was, unit for unit.
        let sign = Ratio::from(if self.minor < 0 { -1_i64 } else { 1 });
        let exact = exact.iter().map(|share| share.times(sign)).collect::<Option<Vec<_>>>()?;
        let mut shares = exact.iter().map(|share| share.floor()).collect::<Vec<_>>();
        let given = shares.iter().try_fold(0_i128, |sum, share| sum.checked_add(*share))?;
        let mut left = i128::from(self.minor).abs() - given;
        let lost = |(at, share): (usize, &i128)| Some((Reverse(exact[at].minus(Ratio::new(*share, 1)?)?), at));
        let mut losers = shares.iter().enumerate().map(lost).collect::<Option<Vec<_>>>()?;
        losers.sort();
        for (_, at) in losers {
            shares[at] += left.signum();
            left -= left.signum();
        }
        let signed = |share| Money::rounded(Ratio::new(share, 1)?.times(sign)?, self.currency, Rounding::Down);
        shares.into_iter().map(signed).collect()
    }

    /// `10.00` of major units. As exact as it is written: what has more digits
    /// than the currency is no amount of it.
    pub fn from_major(text: &str, currency: Currency) -> Result<Self, NotAnAmount> {
        let minor = text.parse::<Ratio>().ok().and_then(|major| major.times(currency.unit()));
        let whole = minor.filter(|minor| Ratio::new(minor.rounded(Rounding::Down), 1) == Some(*minor));
        whole
            .and_then(|minor| Self::rounded(minor, currency, Rounding::Down))
            .ok_or_else(|| NotAnAmount { text: text.to_owned(), currency })
    }

    /// In major units, with the decimals of the currency: `7000.00`, `500`, `-1.250`.
    pub fn major(self) -> String {
        let exponent = self.currency.exponent();
        let unit = 10_u64.pow(exponent);
        let (sign, minor) = (if self.minor < 0 { "-" } else { "" }, self.minor.unsigned_abs());
        match usize::try_from(exponent) {
            Ok(digits @ 1..) => format!("{sign}{}.{:0digits$}", minor / unit, minor % unit),
            Ok(0) | Err(_) => format!("{sign}{minor}"),
        }
    }
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not an amount of {currency}: expected digits, with at most {} after the point", currency.exponent())]
pub struct NotAnAmount {
    text: String,
    currency: Currency,
}

/// For people: `NGN 7000.00`, `JPY 500`, `KWD 1.250`.
impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.currency, self.major())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn money(minor: i64, code: &str) -> Money {
        Money::new(minor, Currency::from_code(code).unwrap_or_else(|| panic!("{code}")))
    }

    #[test]
    fn amounts_are_shown_with_the_decimals_of_their_currency() {
        let cases = [
            (700_000, "NGN", "NGN 7000.00"),
            (5, "USD", "USD 0.05"),
            (500, "JPY", "JPY 500"),
            (1_250, "KWD", "KWD 1.250"),
            (-101, "GEL", "GEL -1.01"),
            (0, "USD", "USD 0.00"),
            (0, "JPY", "JPY 0"),
        ];
        for (minor, code, shown) in cases {
            assert_eq!(money(minor, code).to_string(), shown);
            assert_eq!(format!("{:?}", money(minor, code).currency), code);
        }
    }

    #[test]
    fn only_currencies_that_can_be_charged_exist() {
        for code in ["XAU", "XXX", "usd", "US", "", "ABC"] {
            assert!(Currency::from_code(code).is_none(), "{code}");
        }
    }

    #[test]
    fn what_is_charged_is_counted_as_every_gateway_counts_and_not_too_small() {
        let cases = [
            (200, "USD", 200),
            (199, "USD", 0),
            (-700, "USD", 0),
            (79_999, "NGN", 0),
            (80_001, "NGN", 80_001),
            (17_550, "HUF", 17_500), // forints have fillér, and no gateway takes any
            (17_499, "HUF", 0),
            (1_257, "KWD", 1_250),
            (49, "JPY", 0),
            (50, "JPY", 50),
            // Half of the major unit, where no gateway says.
            (49, "EUR", 0),
            (50, "EUR", 50),
            (490, "KWD", 0),
            (500, "KWD", 500),
            (i64::MAX, "TWD", i64::MAX / 100 * 100),
        ];
        for (minor, code, charged) in cases {
            assert_eq!(money(minor, code).chargeable(), money(charged, code), "{minor} {code}");
        }
    }

    #[test]
    fn an_amount_too_large_to_count_is_none() {
        assert_eq!(money(i64::MAX, "USD").times(2), None);
        assert_eq!(money(1_500, "GEL").times(4), Some(money(6_000, "GEL")));
    }

    fn ratio(text: &str) -> Ratio {
        text.parse().unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn a_part_is_rounded_once_and_as_told() {
        let cases = [
            ("1000", "27/31", Rounding::HalfUp, 871),
            ("-1000", "27/31", Rounding::HalfUp, -871),
            ("1001", "0.5", Rounding::HalfUp, 501),
            ("1001", "0.5", Rounding::HalfEven, 500),
            ("1003", "0.5", Rounding::HalfEven, 502),
            ("1001", "0.5", Rounding::Down, 500),
            ("-1001", "0.5", Rounding::Up, -501),
            ("9223372036854775807", "1/3", Rounding::HalfUp, 3_074_457_345_618_258_602),
        ];
        for (amount, part, rounding, expected) in cases {
            let amount = amount.parse().unwrap_or_else(|error| panic!("{error}"));
            let got = money(amount, "USD").part(ratio(part), rounding);
            assert_eq!(got, Some(money(expected, "USD")), "{amount} {part}");
        }
        assert_eq!(money(i64::MAX, "USD").part(ratio("1.1"), Rounding::HalfUp), None);
    }

    #[test]
    fn shares_are_the_whole_amount_however_it_is_divided() {
        type Row = (i64, &'static [&'static str], &'static [i64]);
        let cases: [Row; 8] = [
            (600, &["10", "5"], &[400, 200]),
            (5, &["1", "1", "1"], &[2, 2, 1]),
            (-5, &["1", "1", "1"], &[-2, -2, -1]),
            (10_000, &["1", "2", "3"], &[1_667, 3_333, 5_000]),
            (1, &["100", "1"], &[1, 0]),
            (100, &["0.001", "0.002"], &[33, 67]),
            (100, &["0", "7"], &[0, 100]),
            (0, &["1", "1"], &[0, 0]),
        ];
        for (amount, weights, expected) in cases {
            let weights: Vec<_> = weights.iter().map(|it| ratio(it)).collect();
            let shares = money(amount, "USD").split(&weights).unwrap_or_default();
            assert_eq!(shares.iter().map(|it| it.minor).collect::<Vec<_>>(), expected, "{amount}");
        }
        // Every amount, and every weight, of a range: no unit lost or made, none off by more than one.
        for (amount, a, b, c) in (0..4_000_i64).map(|n| (n % 401 - 200, n % 7, n % 11, n % 13 + 1)) {
            let weights = [a, b, c].map(Ratio::from);
            let shares = money(amount, "JPY").split(&weights).unwrap_or_default();
            assert_eq!(shares.iter().map(|it| it.minor).sum::<i64>(), amount);
            for (share, weight) in shares.iter().zip([a, b, c]) {
                assert!((share.minor * (a + b + c) - amount * weight).abs() < a + b + c, "{amount} {a} {b} {c}");
            }
        }
    }

    #[test]
    fn what_cannot_be_divided_is_none() {
        for weights in [&[][..], &["0"], &["0", "0"], &["-1", "2"]] {
            let weights: Vec<_> = weights.iter().map(|it| ratio(it)).collect();
            assert_eq!(money(100, "USD").split(&weights), None, "{weights:?}");
        }
    }

    #[test]
    fn major_units_are_read_exactly_or_not_at_all() {
        let cases = [
            ("10.00", "USD", Some(1_000)),
            ("23188", "RWF", Some(23_188)),
            ("1.250", "KWD", Some(1_250)),
            ("-0.5", "GEL", Some(-50)),
            ("10.000", "USD", Some(1_000)),
            ("10.005", "USD", None),
            ("0.5", "JPY", None),
            ("1000000000000000000000000000000", "USD", None),
            ("ten", "USD", None),
        ];
        for (text, code, minor) in cases {
            let currency = Currency::from_code(code).unwrap_or_else(|| panic!("{code}"));
            assert_eq!(Money::from_major(text, currency).ok().map(|it| it.minor), minor, "{text}");
        }
    }

    #[test]
    fn amounts_of_two_currencies_are_not_added() {
        assert_eq!(money(1, "USD").plus(money(1, "EUR")), None);
        assert_eq!(money(1, "USD").minus(money(3, "USD")), Some(money(-2, "USD")));
        assert_eq!(money(i64::MAX, "USD").plus(money(1, "USD")), None);
        assert_eq!(money(i64::MIN, "USD").negated(), None);
    }
}
