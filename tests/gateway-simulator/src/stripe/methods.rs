//! Payment methods: test cards, and whom they are saved with.

use super::cards::{self, Card, DEBIT, Issuer};
use super::customers::known;
use super::form::Params;
use super::refusal::{Refusal, Result};
use super::{declines, emit, listing};
use crate::state::State;
use crate::table::Row;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Method {
    pub(super) id: String,
    created: i64,
    /// The test card's number.
    pub(super) card: String,
    pub(super) customer: Option<String>,
    /// The customer authenticated it for charges without them.
    pub(super) set_up: bool,
    /// Detached, or used once without being attached: never to be used again.
    pub(super) spent: bool,
}

impl Row for Method {
    fn id(&self) -> &str {
        &self.id
    }
}

impl Method {
    pub(super) fn test_card(&self) -> Option<&'static Card> {
        cards::by_number(&self.card)
    }

    /// What the method and its charges say about the card.
    pub(super) fn card_json(&self) -> Value {
        let Some(card) = self.test_card() else { return Value::Null };
        // One card, one fingerprint, whoever it is saved with.
        let fingerprint = format!("{:0>16}", card.number.chars().rev().collect::<String>());
        json!({
            "brand": card.brand, "checks": {
                "address_line1_check": null, "address_postal_code_check": null, "cvc_check": "pass",
            },
            "country": "US", "display_brand": card.brand, "exp_month": 12, "exp_year": 2040,
            "fingerprint": fingerprint, "funding": if card.number == DEBIT { "debit" } else { "credit" }, "last4": card.last4(),
            "networks": {"available": [card.brand], "preferred": null}, "network": card.brand,
            "three_d_secure_usage": {"supported": true}, "wallet": null,
        })
    }

    pub(super) fn json(&self) -> Value {
        json!({
            "id": self.id, "object": "payment_method", "allow_redisplay": "unspecified", "billing_details": {
                "address": null, "email": null, "name": null, "phone": null, "tax_id": null,
            },
            "card": self.card_json(), "created": self.created, "customer": self.customer, "livemode": false,
            "metadata": {}, "type": "card",
        })
    }
}

/// A new method of a test card, attached to nobody yet.
pub(super) fn new_method(state: &mut State, card: &Card) -> Method {
    let id = state.id("pm_1", 23);
    let created = state.now();
    let method = Method { id, created, card: card.number.to_owned(), customer: None, set_up: false, spent: false };
    state.stripe.methods.add(method.clone());
    method
}

/// The method behind an id, or a new one of a `pm_card_…` token.
pub(super) fn resolve(state: &mut State, id: &str, param: &str) -> Result<Method> {
    if let Some(card) = cards::by_token(id) {
        return Ok(new_method(state, card));
    }
    state.stripe.methods.get(id).cloned().ok_or_else(|| Refusal::missing("PaymentMethod", id, param))
}

pub(super) fn not_theirs(id: &str, param: &str) -> Box<Refusal> {
    let message = format!(
        "The customer does not have a payment method with the ID {id}. The payment method must be attached to the \
         customer."
    );
    Refusal::invalid(&message, Some(param), Some("resource_missing"))
}

/// Of the customer whom the path names.
pub(super) fn list_of(state: &State, id: &str, params: &Params) -> Result<Value> {
    listing::allow(params, &["type"])?;
    known(&state.stripe, id, "id")?;
    page(state, id, &format!("/v1/customers/{id}/payment_methods"), params)
}

/// Of the customer whom a parameter names.
pub(super) fn list(state: &State, params: &Params) -> Result<Value> {
    listing::allow(params, &["customer", "type"])?;
    let id = params.required("customer")?;
    known(&state.stripe, id, "customer")?;
    page(state, id, "/v1/payment_methods", params)
}

fn page(state: &State, customer: &str, url: &str, params: &Params) -> Result<Value> {
    // Only cards are simulated: of any other type there are none.
    let cards = params.text("type").is_none_or(|kind| kind == "card");
    let rows = state.stripe.methods.iter().filter(|row| cards && row.customer.as_deref() == Some(customer));
    listing::page(params, url, rows.map(|row| (row.id.as_str(), row.created, || row.json())))
}

pub(super) fn retrieve(state: &State, id: &str, params: &Params) -> Result<Value> {
    params.allow(&["expand[*]"])?;
    state.stripe.methods.get(id).map(Method::json).ok_or_else(|| Refusal::missing("PaymentMethod", id, "id"))
}

pub(super) fn attach(state: &mut State, id: &str, params: &Params) -> Result<Value> {
    params.allow(&["customer", "expand[*]"])?;
    let customer = params.required("customer")?.to_owned();
    known(&state.stripe, &customer, "customer")?;
    let method = attachable(state, id, "id")?;
    if method.customer.is_some() && method.customer.as_ref() != Some(&customer) {
        let message = "The payment method you provided has already been attached to a customer.";
        return Err(Refusal::invalid(message, None, None));
    }
    if method.customer.is_none() {
        give(state, &method, &customer, false, &customer);
    }
    state.stripe.methods.get(&method.id).map(Method::json).ok_or_else(Refusal::broken)
}

/// A method that its card lets be saved.
pub(super) fn attachable(state: &mut State, id: &str, param: &str) -> Result<Method> {
    let method = resolve(state, id, param)?;
    usable(&method)?;
    match method.test_card() {
        Some(Card { saves: false, issuer: Issuer::Declines(reason), .. }) => {
            let mut error = declines::words(reason);
            error.insert("payment_method".to_owned(), method.json());
            Err(Refusal::card(error))
        }
        _ => Ok(method),
    }
}

pub(super) fn usable(method: &Method) -> Result<()> {
    if !method.spent {
        return Ok(());
    }
    Err(Refusal::invalid(
        "The provided PaymentMethod was previously used with a PaymentIntent without Customer attachment, shared with \
         a connected account without Customer attachment, or was detached from a Customer. It may not be used again. \
         To use a PaymentMethod multiple times, you must attach it to a Customer first.",
        None,
        None,
    ))
}

/// Attaches a method, and says so.
pub(super) fn give(state: &mut State, method: &Method, customer: &str, set_up: bool, reference: &str) {
    let Some(method) = state.stripe.methods.get_mut(&method.id) else { return };
    let new = method.customer.is_none();
    method.customer = Some(customer.to_owned());
    method.set_up |= set_up;
    let object = method.json();
    if new {
        emit(state, "payment_method.attached", reference, object);
    }
}

pub(super) fn detach(state: &mut State, id: &str, params: &Params) -> Result<Value> {
    params.allow(&["expand[*]"])?;
    let method = state.stripe.methods.get_mut(id).ok_or_else(|| Refusal::missing("PaymentMethod", id, "id"))?;
    let Some(customer) = method.customer.take() else {
        let message = "The payment method you provided is not attached to a customer so detachment is impossible.";
        return Err(Refusal::invalid(message, None, None));
    };
    method.spent = true;
    let object = method.json();
    if let Some(row) = state.stripe.customers.get_mut(&customer)
        && row.default_method.as_deref() == Some(id)
    {
        row.default_method = None;
    }
    emit(state, "payment_method.detached", &customer, object.clone());
    Ok(object)
}
