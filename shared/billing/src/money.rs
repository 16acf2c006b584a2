//! Amounts are whole minor units (cents, kobo, yen) of one currency.

use serde::{Deserialize, Serialize};
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

    /// `quantity` times the amount, unless that is more than can be counted.
    pub fn times(self, quantity: u32) -> Option<Self> {
        Some(Self { minor: self.minor.checked_mul(i64::from(quantity))?, ..self })
    }
}

/// For people: `NGN 7000.00`, `JPY 500`, `KWD 1.250`.
impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exponent = self.currency.exponent();
        let unit = 10_u64.pow(exponent);
        let (sign, minor) = (if self.minor < 0 { "-" } else { "" }, self.minor.unsigned_abs());
        write!(f, "{} {sign}{}", self.currency, minor / unit)?;
        match usize::try_from(exponent) {
            Ok(digits @ 1..) => write!(f, ".{:0digits$}", minor % unit),
            Ok(0) | Err(_) => Ok(()),
        }
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
        ];
        for (minor, code, shown) in cases {
            assert_eq!(money(minor, code).to_string(), shown);
        }
    }

    #[test]
    fn only_currencies_that_can_be_charged_exist() {
        for code in ["XAU", "XXX", "usd", "US", "", "ABC"] {
            assert!(Currency::from_code(code).is_none(), "{code}");
        }
    }

    #[test]
    fn an_amount_too_large_to_count_is_none() {
        assert_eq!(money(i64::MAX, "USD").times(2), None);
        assert_eq!(money(1_500, "GEL").times(4), Some(money(6_000, "GEL")));
    }
}
