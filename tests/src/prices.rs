//! What AWS charges, from a file; and what a bill must assume because it cannot
//! be counted here.

use serde::{Deserialize, Deserializer, de};
use std::fmt;
use std::iter::Sum;
use std::num::NonZeroU128;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PriceFile {
    pub(crate) region: String,
    pub(crate) date: String,
    pub(crate) prices: Prices,
    pub(crate) assumed: Assumed,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Prices {
    pub(crate) dynamodb_read_units: Price,
    pub(crate) dynamodb_write_units: Price,
    pub(crate) lambda_requests: Price,
    pub(crate) lambda_gb_seconds: Price,
    pub(crate) sqs_requests: Price,
    pub(crate) http_api_requests: Price,
    pub(crate) schedules: Price,
    pub(crate) log_gigabytes: Price,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Price {
    pub(crate) dollars: Dollars,
    pub(crate) per: NonZeroU128,
    /// Where it is written.
    pub(crate) source: String,
    /// A second source says the same.
    pub(crate) confirmed: bool,
}

/// What a test in one process cannot measure.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Assumed {
    /// A gateway's answer takes so long.
    pub(crate) gateway_ms: u128,
    /// And an answer of DynamoDB or SQS.
    pub(crate) request_ms: u128,
    pub(crate) idle_sweep_ms: u128,
    pub(crate) memory_mb: u128,
    /// Of those that SQS hands over, when there are many.
    pub(crate) messages_an_invocation: NonZeroU128,
    /// That run side by side.
    pub(crate) workers: NonZeroU128,
    pub(crate) looks_a_payment: u128,
    /// Of Lambda's pollers, at queues that are empty.
    pub(crate) idle_polls_a_month: u128,
    pub(crate) log_bytes_an_invocation: u128,
}

/// In millionths of a millionth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Dollars(pub(crate) u128);

impl Dollars {
    pub(crate) const ONE: u128 = 1_000_000_000_000;

    pub(crate) fn exactly(self) -> String {
        let all = format!("{}.{:012}", self.0 / Self::ONE, self.0 % Self::ONE);
        let short = all.trim_end_matches('0');
        if short.ends_with('.') { format!("{short}0") } else { short.to_owned() }
    }
}

impl Sum for Dollars {
    fn sum<I: Iterator<Item = Self>>(costs: I) -> Self {
        Self(costs.map(|cost| cost.0).sum())
    }
}

/// To the cent.
impl fmt::Display for Dollars {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cents = (self.0 + Self::ONE / 200) / (Self::ONE / 100);
        write!(f, "{}.{:02}", cents / 100, cents % 100)
    }
}

impl<'de> Deserialize<'de> for Dollars {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let (whole, part) = text.split_once('.').unwrap_or((&text, ""));
        let digits = format!("{whole}{part:0<12}");
        let are_digits = digits.bytes().all(|byte| byte.is_ascii_digit()) && !whole.is_empty() && part.len() <= 12;
        let value = if are_digits { digits.parse().ok() } else { None };
        value.map(Self).ok_or_else(|| de::Error::custom(format!("not an amount of dollars: {text:?}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dollars_are_read_and_told_exactly() {
        for (text, exactly, cents) in
            [("0.0000133334", "0.0000133334", "0.00"), ("1.00", "1.0", "1.00"), ("12", "12.0", "12.00")]
        {
            let dollars: Dollars = serde_json::from_value(text.into()).expect(text);
            assert_eq!((dollars.exactly().as_str(), dollars.to_string().as_str()), (exactly, cents));
        }
        assert_eq!(Dollars(5 * Dollars::ONE / 1_000).to_string(), "0.01");
        for text in ["", ".5", "1e-3", "-1", "1,0", "0.0000000000001"] {
            assert!(serde_json::from_value::<Dollars>(text.into()).is_err(), "{text}");
        }
    }
}
