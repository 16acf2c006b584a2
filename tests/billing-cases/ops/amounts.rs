//! How cases write amounts and numbers. Whole numbers are minor units, texts are
//! major units; an answer is written as its case writes.

use crate::cases::Refusal;
use billing::money::{Currency, Money};
use billing::ratio::Ratio;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

/// The currency of a case that names none: any of two decimals will do.
const UNNAMED: &str = "USD";

/// An amount as it is written.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, expecting = "a whole number of minor units, or a text in major units")]
pub(crate) enum Amount {
    Minor(i64),
    Major(String),
}

impl Amount {
    pub(crate) fn money(&self, field: &str, currency: Currency) -> Result<Money, Refusal> {
        match self {
            Self::Minor(minor) => Ok(Money::new(*minor, currency)),
            Self::Major(text) => Money::from_major(text, currency).map_err(|error| Refusal::of(field, error)),
        }
    }

    /// `money` as this is written.
    pub(crate) fn tell(&self, money: Money) -> Value {
        match self {
            Self::Minor(_) => json!(money.minor),
            Self::Major(_) => json!(money.major()),
        }
    }
}

pub(crate) fn unnamed() -> Currency {
    Currency::from_code(UNNAMED).unwrap_or_else(|| unreachable!("{UNNAMED} is a currency"))
}

/// A number, written as one or as a text.
pub(crate) fn exact<'de, D: Deserializer<'de>>(from: D) -> Result<Ratio, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "a number, or a text of one")]
    enum Written {
        Number(serde_json::Number),
        Text(String),
    }
    let text = match Written::deserialize(from)? {
        Written::Number(number) => number.to_string(),
        Written::Text(text) => text,
    };
    text.parse().map_err(serde::de::Error::custom)
}

/// As [`exact`], where there need not be one.
pub(crate) fn exact_or_none<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Ratio>, D::Error> {
    #[derive(Deserialize)]
    struct Exact(#[serde(deserialize_with = "exact")] Ratio);
    Ok(Option::<Exact>::deserialize(from)?.map(|Exact(ratio)| ratio))
}

/// What is written as per cent, as a part of one.
pub(crate) fn percent<'de, D: Deserializer<'de>>(from: D) -> Result<Ratio, D::Error> {
    exact(from)?.percent().ok_or_else(|| serde::de::Error::custom("more than can be counted"))
}

/// What the domain answers nothing to.
pub(crate) fn counted<T>(answer: Option<T>, field: &str) -> Result<T, Refusal> {
    answer.ok_or_else(|| Refusal::of(field, "cannot be computed: not for these amounts, or beyond counting"))
}
