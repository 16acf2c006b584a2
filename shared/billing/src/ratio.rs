//! Exact fractions: what is left of a period, a percentage, a quantity such as
//! 100.5 units, a price below the minor unit.
//!
//! Nothing here rounds by itself. Amounts of money are whole, and become so in
//! [`crate::money`], once, with a rounding that is named.

use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

/// A number, exactly. Written as a decimal (`"15.5"`), or as a fraction where
/// no decimal ends (`"14/31"`); a whole number may be read without quotes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "String")]
pub struct Ratio {
    numerator: i128,
    /// At least 1, and without a divisor in common with the numerator: equal numbers are equal values.
    denominator: i128,
}

/// Which whole number stands for one that is not whole. A negative number is
/// the mirror of its positive in every mode, so that a credit undoes its charge
/// to the minor unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rounding {
    /// To the nearest; a half away from zero. What invoices of every peer are made with.
    HalfUp,
    /// To the nearest; a half to the even neighbour, as accountants do who add up many.
    HalfEven,
    /// Away from zero, as far as the next whole number: days that were paid for, packages that were begun.
    Up,
    /// Towards zero.
    Down,
}

impl Ratio {
    pub const ZERO: Self = Self { numerator: 0, denominator: 1 };
    pub const ONE: Self = Self { numerator: 1, denominator: 1 };

    /// `numerator / denominator`. None: there is nothing to divide by, or they are beyond counting.
    pub fn new(numerator: i128, denominator: i128) -> Option<Self> {
        if numerator == i128::MIN || denominator == i128::MIN || denominator == 0 {
            return None; // their positives cannot be written
        }
        let divisor = common_divisor(numerator.abs(), denominator.abs()) * denominator.signum();
        Some(Self { numerator: numerator / divisor, denominator: denominator / divisor })
    }

    /// So many of a hundred: 15.5 becomes 0.155.
    pub fn percent(self) -> Option<Self> {
        self.times(Self { numerator: 1, denominator: 100 })
    }

    pub fn plus(self, other: Self) -> Option<Self> {
        let (a, b) = (self.numerator.checked_mul(other.denominator)?, other.numerator.checked_mul(self.denominator)?);
        Self::new(a.checked_add(b)?, self.denominator.checked_mul(other.denominator)?)
    }

    pub fn minus(self, other: Self) -> Option<Self> {
        self.plus(Self { numerator: -other.numerator, ..other })
    }

    pub fn times(self, other: Self) -> Option<Self> {
        // Cancelled crosswise first: what fits in the end does not overflow on the way.
        let (a, b) = (Self::new(self.numerator, other.denominator)?, Self::new(other.numerator, self.denominator)?);
        let numerator = a.numerator.checked_mul(b.numerator)?;
        Self::new(numerator, a.denominator.checked_mul(b.denominator)?)
    }

    /// None also where `other` is zero.
    pub fn over(self, other: Self) -> Option<Self> {
        self.times(Self::new(other.denominator, other.numerator)?)
    }

    pub fn is_negative(self) -> bool {
        self.numerator < 0
    }

    pub fn is_zero(self) -> bool {
        self.numerator == 0
    }

    /// As a whole number.
    pub fn rounded(self, rounding: Rounding) -> i128 {
        let (whole, rest) = (self.numerator / self.denominator, self.numerator % self.denominator);
        // Compared so, twice the rest cannot overflow.
        let half = rest.abs().cmp(&(self.denominator - rest.abs()));
        let on = match rounding {
            Rounding::HalfUp => half.is_ge(),
            Rounding::HalfEven => half.is_gt() || (half.is_eq() && whole % 2 != 0),
            Rounding::Up => rest != 0,
            Rounding::Down => false,
        };
        if on { whole + self.numerator.signum() } else { whole }
    }

    /// The whole number below, or itself.
    pub fn floor(self) -> i128 {
        self.numerator.div_euclid(self.denominator)
    }

    /// With so many digits after the point. None: beyond counting.
    pub fn to_decimals(self, digits: u32, rounding: Rounding) -> Option<Self> {
        let unit = Self { numerator: 10_i128.checked_pow(digits)?, denominator: 1 };
        Self::new(self.times(unit)?.rounded(rounding), unit.numerator)
    }
}

impl From<i64> for Ratio {
    fn from(whole: i64) -> Self {
        Self { numerator: whole.into(), denominator: 1 }
    }
}

impl From<u32> for Ratio {
    fn from(whole: u32) -> Self {
        Self { numerator: whole.into(), denominator: 1 }
    }
}

impl From<u64> for Ratio {
    fn from(whole: u64) -> Self {
        Self { numerator: whole.into(), denominator: 1 }
    }
}

impl Ord for Ratio {
    /// By whole parts, then by the rest turned over: multiplying crosswise could overflow.
    fn cmp(&self, other: &Self) -> Ordering {
        let parts = |it: &Self| (it.floor(), it.numerator.rem_euclid(it.denominator));
        let ((a, a_rest), (b, b_rest)) = (parts(self), parts(other));
        a.cmp(&b).then_with(|| match (a_rest, b_rest) {
            (0, 0) => Ordering::Equal,
            (0, _) => Ordering::Less,
            (_, 0) => Ordering::Greater,
            (_, _) => Self { numerator: other.denominator, denominator: b_rest }
                .cmp(&Self { numerator: self.denominator, denominator: a_rest }),
        })
    }
}

impl PartialOrd for Ratio {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl FromStr for Ratio {
    type Err = NotANumber;

    fn from_str(text: &str) -> Result<Self, NotANumber> {
        let number = match text.split_once('/') {
            Some((over, under)) => over.parse().ok().zip(under.parse().ok()).and_then(|(a, b)| Self::new(a, b)),
            None => decimal(text),
        };
        number.ok_or_else(|| NotANumber(text.to_owned()))
    }
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "a whole number, or a text such as `\"15.5\"`")]
enum Written {
    Whole(i64),
    Text(String),
}

impl TryFrom<Written> for Ratio {
    type Error = NotANumber;

    fn try_from(written: Written) -> Result<Self, NotANumber> {
        match written {
            Written::Whole(number) => Ok(Self::from(number)),
            Written::Text(text) => text.parse(),
        }
    }
}

impl From<Ratio> for String {
    fn from(ratio: Ratio) -> String {
        ratio.to_string()
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match ending_digits(self.denominator) {
            Some(0) => write!(f, "{}", self.numerator),
            Some(digits) => {
                let (sign, mut rest) = (if self.numerator < 0 { "-" } else { "" }, self.numerator.abs());
                write!(f, "{sign}{}.", rest / self.denominator)?;
                for _ in 0..digits {
                    rest = rest % self.denominator * 10;
                    write!(f, "{}", rest / self.denominator)?;
                }
                Ok(())
            }
            None => write!(f, "{}/{}", self.numerator, self.denominator),
        }
    }
}

impl fmt::Debug for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not a number: expected digits with at most one point, such as `15.5`, or a fraction such as `14/31`")]
pub struct NotANumber(String);

fn decimal(text: &str) -> Option<Ratio> {
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |digits| (-1, digits));
    let (whole, rest) = digits.split_once('.').unwrap_or((digits, "0"));
    let plain = |part: &str| !part.is_empty() && part.bytes().all(|it| it.is_ascii_digit());
    if !plain(whole) || !plain(rest) {
        return None;
    }
    let rest = rest.trim_end_matches('0');
    let unit = 10_i128.checked_pow(u32::try_from(rest.len()).ok()?)?;
    let rest: i128 = if rest.is_empty() { 0 } else { rest.parse().ok()? };
    let whole: i128 = whole.parse().ok()?;
    Ratio::new(sign * whole.checked_mul(unit)?.checked_add(rest)?, unit)
}

/// How many digits after the point a fraction over `denominator` has. None: it does not end, or only
/// after more than can be shown without overflow.
fn ending_digits(denominator: i128) -> Option<u32> {
    (0..=36).find(|digits| 10_i128.pow(*digits) % denominator == 0)
}

/// Euclid's. At least 1 for a positive `b`.
fn common_divisor(a: i128, b: i128) -> i128 {
    if a == 0 { b } else { common_divisor(b % a, a) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ratio(text: &str) -> Ratio {
        text.parse().unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn a_number_has_one_spelling() {
        let cases = [
            ("15.5", "15.5"),
            ("0.10", "0.1"),
            ("-0.05", "-0.05"),
            ("007", "7"),
            ("28/62", "14/31"),
            ("1/-4", "-0.25"),
            ("0/5", "0"),
            ("0.000000000001", "0.000000000001"),
            ("1000000000000000000000000000000", "1000000000000000000000000000000"),
        ];
        for (text, shown) in cases {
            assert_eq!([ratio(text).to_string(), format!("{:?}", ratio(text))], [shown, shown], "{text}");
        }
        assert_eq!(serde_json::to_string(&ratio("0.30")).ok().as_deref(), Some("\"0.3\""));
        for (json, read) in [("10", Some("10")), ("\"0.5\"", Some("0.5")), ("0.5", None), ("true", None), ("[]", None)]
        {
            assert_eq!(serde_json::from_str(json).ok(), read.map(ratio), "{json}");
        }
    }

    #[test]
    fn what_is_no_number_is_refused() {
        let long = "9".repeat(40);
        for text in ["", "-", ".", "1.", ".5", "1,5", "1e3", "+1", "1.2.3", "--1", "1/0", "1/", "½", " 1", &long] {
            assert!(text.parse::<Ratio>().is_err(), "{text}");
        }
    }

    #[test]
    fn rounding_mirrors_at_zero() {
        type Row = (&'static str, [i128; 4]);
        // Half up, half even, up, down.
        let cases: [Row; 8] = [
            ("2.5", [3, 2, 3, 2]),
            ("3.5", [4, 4, 4, 3]),
            ("2.4", [2, 2, 3, 2]),
            ("2.6", [3, 3, 3, 2]),
            ("-2.5", [-3, -2, -3, -2]),
            ("-0.4", [0, 0, -1, 0]),
            ("0.5", [1, 0, 1, 0]),
            ("7", [7, 7, 7, 7]),
        ];
        for (text, expected) in cases {
            let modes = [Rounding::HalfUp, Rounding::HalfEven, Rounding::Up, Rounding::Down];
            assert_eq!(modes.map(|mode| ratio(text).rounded(mode)), expected, "{text}");
        }
        assert_eq!(ratio("14/31").to_decimals(9, Rounding::HalfUp), Some(ratio("0.451612903")));
    }

    #[test]
    fn arithmetic_is_exact() {
        assert_eq!(ratio("0.1").plus(ratio("0.2")), Some(ratio("0.3")));
        assert_eq!(ratio("1/3").minus(ratio("1/2")), Some(ratio("-1/6")));
        assert_eq!(ratio("2/3").times(ratio("3/2")), Some(Ratio::ONE));
        assert_eq!(ratio("1").over(ratio("-4")), Some(ratio("-0.25")));
        assert_eq!(ratio("15.5").percent(), Some(ratio("0.155")));
        assert_eq!(Ratio::ONE.over(Ratio::ZERO), None);
    }

    #[test]
    fn order_holds_where_crosswise_products_would_overflow() {
        let (below, above) = (Ratio::new(i128::MAX - 2, i128::MAX - 1), Ratio::new(i128::MAX - 1, i128::MAX));
        assert!(below < above);
        let sorted = ["-2", "-3/2", "-1/3", "0", "1/3", "0.5", "2/3", "1", "4/3", "7"].map(ratio);
        assert!(sorted.is_sorted() && sorted.windows(2).all(|pair| pair[0] != pair[1]));
    }

    #[test]
    fn what_is_beyond_counting_is_none() {
        let huge = Ratio::new(i128::MAX, 1).unwrap_or(Ratio::ZERO);
        assert_eq!((huge.plus(Ratio::ONE), huge.times(huge)), (None, None));
        assert_eq!(huge.times(ratio("1/2")).and_then(|it| it.times(ratio("2"))), Some(huge));
        assert_eq!((Ratio::new(1, 0), Ratio::new(i128::MIN, 1), Ratio::new(1, i128::MIN)), (None, None, None));
    }
}
