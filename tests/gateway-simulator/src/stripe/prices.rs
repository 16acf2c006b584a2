//! Prices: what a product costs. Amount, currency and interval never change; a lookup key can move.

use super::form::Params;
use super::refusal::{Refusal, Result};
use super::{listing, money, products};
use crate::state::State;
use crate::table::Row;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

const LONGEST_KEY: usize = 200;
const LARGEST: i64 = 99_999_999;
/// Three years of each.
const INTERVALS: [(&str, i64); 4] = [("day", 1_095), ("week", 156), ("month", 36), ("year", 3)];

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Recurring {
    pub(super) interval: String,
    pub(super) count: i64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Price {
    pub(super) id: String,
    created: i64,
    pub(super) active: bool,
    pub(super) amount: i64,
    pub(super) currency: String,
    pub(super) product: String,
    pub(super) recurring: Option<Recurring>,
    lookup_key: Option<String>,
    nickname: Option<String>,
    metadata: Map<String, Value>,
}

impl Row for Price {
    fn id(&self) -> &str {
        &self.id
    }
}

impl Price {
    pub(super) fn json(&self) -> Value {
        let recurring = self.recurring.as_ref().map(|recurring| {
            json!({
                "interval": recurring.interval, "interval_count": recurring.count, "meter": null,
                "trial_period_days": null, "usage_type": "licensed",
            })
        });
        json!({
            "id": self.id, "object": "price", "active": self.active, "billing_scheme": "per_unit",
            "created": self.created, "currency": self.currency, "custom_unit_amount": null, "livemode": false,
            "lookup_key": self.lookup_key, "metadata": self.metadata, "nickname": self.nickname,
            "product": self.product, "recurring": recurring, "tax_behavior": "unspecified", "tiers_mode": null,
            "transform_quantity": null, "type": if self.recurring.is_some() { "recurring" } else { "one_time" },
            "unit_amount": self.amount, "unit_amount_decimal": self.amount.to_string(),
        })
    }
}

/// What of a price never changes.
#[derive(Debug)]
pub(super) struct Terms {
    amount: i64,
    currency: String,
    recurring: Option<Recurring>,
}

impl Terms {
    /// From parameters of their own, or from those inside `part`.
    pub(super) fn read(params: &Params, part: &str) -> Result<Self> {
        let name = |first: &str, rest: &str| match part {
            "" => format!("{first}{rest}"),
            _ => format!("{part}[{first}]{rest}"),
        };
        let currency = money::currency(params, &name("currency", ""))?;
        let amount_name = name("unit_amount", "");
        params.required(&amount_name)?;
        let amount = params.integer(&amount_name)?.unwrap_or_default();
        if !(0..=LARGEST).contains(&amount) {
            let message = format!("Invalid amount: must be 0 to {LARGEST}.");
            return Err(Refusal::invalid(&message, Some(&amount_name), Some("parameter_invalid_integer")));
        }
        let (interval_name, count_name) = (name("recurring", "[interval]"), name("recurring", "[interval_count]"));
        let recurring = match params.one_of(&interval_name, &INTERVALS.map(|(word, _)| word))? {
            Some(interval) => {
                let most = INTERVALS.iter().find(|(word, _)| *word == interval).map_or(1, |(_, most)| *most);
                let count = params.integer(&count_name)?.unwrap_or(1);
                if !(1..=most).contains(&count) {
                    let message = "The interval must be from one day to three years.";
                    return Err(Refusal::invalid(message, Some(&count_name), None));
                }
                Some(Recurring { interval, count })
            }
            None if params.any(&name("recurring", "")) => {
                params.required(&interval_name)?;
                None
            }
            None => None,
        };
        Ok(Self { amount, currency, recurring })
    }
}

pub(super) fn add(state: &mut State, product: &str, terms: Terms) -> String {
    let price = Price {
        id: state.id("price_1", 23),
        created: state.now(),
        active: true,
        amount: terms.amount,
        currency: terms.currency,
        product: product.to_owned(),
        recurring: terms.recurring,
        lookup_key: None,
        nickname: None,
        metadata: Map::new(),
    };
    let id = price.id.clone();
    state.stripe.prices.add(price);
    id
}

pub(super) fn create(state: &mut State, params: &Params) -> Result<Value> {
    params.allow(&[
        "currency",
        "unit_amount",
        "product",
        "recurring[interval]",
        "recurring[interval_count]",
        "active",
        "lookup_key",
        "transfer_lookup_key",
        "nickname",
        "metadata",
        "metadata[*]",
        "expand[*]",
    ])?;
    let terms = Terms::read(params, "")?;
    let product = params.required("product")?.to_owned();
    products::known(&state.stripe, &product, "product")?;
    let metadata = params.metadata("metadata", &Map::new())?;
    let active = params.text("active").is_none() || params.boolean("active")?;
    let key = free_key(state, params, None)?;
    let id = add(state, &product, terms);
    let Some(price) = state.stripe.prices.get_mut(&id) else { return Err(Refusal::broken()) };
    (price.active, price.lookup_key, price.nickname, price.metadata) =
        (active, key, params.owned("nickname"), metadata);
    Ok(price.json())
}

/// The lookup key that is asked for, taken from another price if that is asked for too.
fn free_key(state: &mut State, params: &Params, price: Option<&str>) -> Result<Option<String>> {
    let transfers = params.boolean("transfer_lookup_key")?;
    let Some(key) = params.owned("lookup_key") else { return Ok(None) };
    if key.chars().count() > LONGEST_KEY {
        let message = format!("Invalid string: lookup_key can be at most {LONGEST_KEY} characters.");
        return Err(Refusal::invalid(&message, Some("lookup_key"), None));
    }
    let holder = state.stripe.prices.iter_mut().find(|row| row.lookup_key.as_ref() == Some(&key));
    match holder.filter(|row| Some(row.id.as_str()) != price) {
        Some(holder) if transfers => holder.lookup_key = None,
        Some(holder) => {
            let message = format!("A price (`{}`) already uses that lookup key.", holder.id);
            return Err(Refusal::invalid(&message, Some("lookup_key"), None));
        }
        None => {}
    }
    Ok(Some(key))
}

fn known<'a>(state: &'a State, id: &str) -> Result<&'a Price> {
    state.stripe.prices.get(id).ok_or_else(|| Refusal::missing("price", id, "id"))
}

pub(super) fn retrieve(state: &State, id: &str, params: &Params) -> Result<Value> {
    params.allow(&["expand[*]"])?;
    known(state, id).map(Price::json)
}

pub(super) fn update(state: &mut State, id: &str, params: &Params) -> Result<Value> {
    params.allow(&[
        "active",
        "nickname",
        "lookup_key",
        "transfer_lookup_key",
        "metadata",
        "metadata[*]",
        "expand[*]",
    ])?;
    let mut price = known(state, id)?.clone();
    if params.text("active").is_some() {
        price.active = params.boolean("active")?;
    }
    if params.sent("nickname").is_some() {
        price.nickname = params.owned("nickname");
    }
    price.metadata = params.metadata("metadata", &price.metadata)?;
    if params.sent("lookup_key").is_some() {
        price.lookup_key = free_key(state, params, Some(id))?;
    }
    let object = price.json();
    state.stripe.prices.add(price);
    Ok(object)
}

pub(super) fn list(state: &State, params: &Params) -> Result<Value> {
    listing::allow(params, &["active", "product", "currency", "type", "lookup_keys[*]"])?;
    let active = params.text("active").map(|_| params.boolean("active")).transpose()?;
    let (product, currency) = (params.text("product"), params.text("currency"));
    let kind = params.one_of("type", &["one_time", "recurring"])?;
    let keys = params.list("lookup_keys");
    let rows = state.stripe.prices.iter().filter(|row| {
        active.is_none_or(|active| row.active == active)
            && product.is_none_or(|product| row.product == product)
            && currency.is_none_or(|currency| row.currency == currency)
            && kind.as_ref().is_none_or(|kind| (kind == "recurring") == row.recurring.is_some())
            && (keys.is_empty() || row.lookup_key.as_deref().is_some_and(|key| keys.contains(&key)))
    });
    listing::page(params, "/v1/prices", rows.map(|row| (row.id.as_str(), row.created, || row.json())))
}
