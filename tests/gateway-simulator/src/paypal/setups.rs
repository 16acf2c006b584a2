//! Setup tokens: a method that its owner agreed to, or a card that was typed in, before it is saved for good.

use super::funding::Instrument;
use super::keys::Made;
use super::refusal::{Refusal, Result};
use super::{orders, vault};
use crate::gateway::Call;
use crate::state::State;
use crate::table::Row;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Seconds for which it can be approved and used.
const LIFETIME: i64 = 3 * 86_400;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(super) enum SetupStatus {
    PayerActionRequired,
    Approved,
    Vaulted,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Setup {
    pub(super) id: String,
    pub(super) status: SetupStatus,
    pub(super) customer: String,
    pub(super) merchant_customer: Option<String>,
    pub(super) instrument: Option<Instrument>,
    pub(super) return_url: Option<String>,
    pub(super) cancel_url: Option<String>,
    until: i64,
}

impl Row for Setup {
    fn id(&self) -> &str {
        &self.id
    }
}

impl Setup {
    pub(super) fn json(&self, state: &State) -> Value {
        let address = super::address(state, &format!("v3/vault/setup-tokens/{}", self.id));
        let mut links = vec![json!({"href": address, "rel": "self", "method": "GET"})];
        match self.status {
            SetupStatus::PayerActionRequired => {
                let page = format!("{}/paypal/agreements/approve?approval_session_id={}", state.base, self.id);
                links.push(json!({"href": page, "rel": "approve", "method": "GET"}));
            }
            SetupStatus::Approved => {
                let confirm = super::address(state, "v3/vault/payment-tokens");
                links.push(json!({"href": confirm, "rel": "confirm", "method": "POST"}));
            }
            SetupStatus::Vaulted => {}
        }
        let source = match &self.instrument {
            Some(instrument) => json!({instrument.kind(): instrument.json()}),
            None => json!({"paypal": {}}),
        };
        json!({
            "id": self.id, "status": self.status, "payment_source": source, "links": links,
            "customer": vault::shown_customer(&self.customer, self.merchant_customer.as_deref()),
        })
    }
}

pub(super) fn create(state: &mut State, call: &Call) -> Result<Made> {
    let body = super::body(call)?;
    let source = &body["payment_source"];
    let (customer, merchant_customer) = vault::customer(&body, "/customer")?;
    let instrument = match (source["card"].is_object(), source["paypal"].is_object()) {
        (true, _) => Some(card(&source["card"])?),
        (false, true) => None,
        (false, false) => return Err(Refusal::invalid("MISSING_REQUIRED_PARAMETER", "/payment_source")),
    };
    let (return_url, cancel_url) = orders::addresses(&source["paypal"], "/payment_source/paypal")?;
    let approved = instrument.is_some();
    let setup = Setup {
        id: super::id(state),
        status: if approved { SetupStatus::Approved } else { SetupStatus::PayerActionRequired },
        customer: customer.unwrap_or_else(|| vault::new_customer(state)),
        merchant_customer,
        instrument,
        return_url,
        cancel_url,
        until: state.now() + LIFETIME,
    };
    let id = setup.id.clone();
    state.paypal.setups.add(setup);
    Ok(Made::Setup(id))
}

/// A card is not asked for money when it is saved: its name decides when it is charged.
fn card(card: &Value) -> Result<Instrument> {
    let text = |name: &str| {
        let field = format!("/payment_source/card/{name}");
        card[name].as_str().ok_or_else(|| Refusal::invalid("MISSING_REQUIRED_PARAMETER", &field))
    };
    let (number, expiry) = (text("number")?, text("expiry")?);
    let valid = (13..=19).contains(&number.len()) && number.bytes().all(|byte| byte.is_ascii_digit()) && luhn(number);
    if !valid {
        return Err(Refusal::unprocessable("INVALID_PARAMETER_VALUE", "/payment_source/card/number"));
    }
    let month = |text: &str| text.len() == 2 && matches!(text.parse(), Ok(1..=12_u8));
    if !expiry.split_once('-').is_some_and(|(y, m)| y.len() == 4 && y.parse::<u16>().is_ok() && month(m)) {
        return Err(Refusal::invalid("INVALID_PARAMETER_SYNTAX", "/payment_source/card/expiry").with_value(expiry));
    }
    Ok(Instrument::Card {
        name: card["name"].as_str().unwrap_or_default().to_owned(),
        last_digits: number.get(number.len() - 4..).unwrap_or_default().to_owned(),
        expiry: expiry.to_owned(),
    })
}

fn luhn(number: &str) -> bool {
    let digits = number.bytes().rev().map(|byte| u32::from(byte - b'0')).enumerate();
    let sum: u32 =
        digits.map(|(place, digit)| if place % 2 == 0 { digit } else { digit * 2 / 10 + digit * 2 % 10 }).sum();
    sum.is_multiple_of(10)
}

pub(super) fn find<'a>(state: &'a State, id: &str) -> Result<&'a Setup> {
    state.paypal.setups.get(id).filter(|setup| setup.until > state.now()).ok_or_else(Refusal::not_found)
}

pub(super) fn approve(state: &mut State, id: &str, instrument: Instrument) {
    if let Some(setup) = state.paypal.setups.get_mut(id) {
        (setup.status, setup.instrument) = (SetupStatus::Approved, Some(instrument));
    }
}

/// It was used: it is not used twice.
pub(super) fn spend(state: &mut State, id: &str) {
    if let Some(setup) = state.paypal.setups.get_mut(id) {
        setup.status = SetupStatus::Vaulted;
    }
}
