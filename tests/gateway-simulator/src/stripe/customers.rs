//! Customers and their saved payment methods.

use super::cards::{self, Card, Issuer};
use super::form::Params;
use super::listing;
use super::refusal::{Refusal, Result};
use super::{Store, emit};
use crate::state::State;
use crate::table::Row;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Customer {
    id: String,
    created: i64,
    pub(super) email: Option<String>,
    name: Option<String>,
    phone: Option<String>,
    description: Option<String>,
    default_method: Option<String>,
    metadata: Map<String, Value>,
}

impl Row for Customer {
    fn id(&self) -> &str {
        &self.id
    }
}

impl Customer {
    pub(super) fn json(&self) -> Value {
        json!({
            "id": self.id, "object": "customer", "address": null, "balance": 0, "created": self.created,
            "currency": null, "default_source": null, "delinquent": false, "description": self.description,
            "discount": null, "email": self.email, "invoice_settings": {
                "custom_fields": null, "default_payment_method": self.default_method, "footer": null,
                "rendering_options": null,
            },
            "livemode": false, "metadata": self.metadata, "name": self.name, "phone": self.phone,
            "preferred_locales": [], "shipping": null, "tax_exempt": "none", "test_clock": null,
        })
    }
}

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
            "fingerprint": fingerprint, "funding": "credit", "last4": card.last4(),
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

pub(super) fn known(store: &Store, id: &str, param: &str) -> Result<()> {
    store.customers.get(id).map(|_| ()).ok_or_else(|| Refusal::missing("customer", id, param))
}

const FIELDS: [&str; 8] = [
    "email",
    "name",
    "phone",
    "description",
    "metadata",
    "metadata[*]",
    "invoice_settings[default_payment_method]",
    "expand[*]",
];

pub(super) fn create(state: &mut State, params: &Params) -> Result<Value> {
    params.allow(&[FIELDS.as_slice(), &["payment_method"]].concat())?;
    let metadata = params.metadata("metadata", &Map::new())?;
    let method = match params.text("payment_method") {
        Some(id) => Some(attachable(state, id, "payment_method")?),
        None => None,
    };
    let id = new_customer(state, params.owned("email"));
    if let Some(method) = method {
        give(state, &method, &id, false, &id);
    }
    let default = default_method(state, &id, params)?;
    let Some(customer) = state.stripe.customers.get_mut(&id) else { return Err(Refusal::broken()) };
    (customer.name, customer.phone) = (params.owned("name"), params.owned("phone"));
    customer.description = params.owned("description");
    customer.metadata = metadata;
    customer.default_method = default.flatten();
    Ok(customer.json())
}

pub(super) fn new_customer(state: &mut State, email: Option<String>) -> String {
    let id = state.id("cus_", 14);
    let created = state.now();
    let (name, phone, description, default_method) = (None, None, None, None);
    let metadata = Map::new();
    state.stripe.customers.add(Customer {
        id: id.clone(),
        created,
        email,
        name,
        phone,
        description,
        default_method,
        metadata,
    });
    id
}

/// None: it is not to be changed.
fn default_method(state: &State, customer: &str, params: &Params) -> Result<Option<Option<String>>> {
    let param = "invoice_settings[default_payment_method]";
    match params.sent(param) {
        None => Ok(None),
        Some("") => Ok(Some(None)),
        Some(id) => match state.stripe.methods.get(id) {
            Some(method) if method.customer.as_deref() == Some(customer) => Ok(Some(Some(id.to_owned()))),
            _ => Err(not_theirs(id, param)),
        },
    }
}

pub(super) fn not_theirs(id: &str, param: &str) -> Box<Refusal> {
    let message = format!(
        "The customer does not have a payment method with the ID {id}. The payment method must be attached to the \
         customer."
    );
    Refusal::invalid(&message, Some(param), Some("resource_missing"))
}

pub(super) fn update(state: &mut State, id: &str, params: &Params) -> Result<Value> {
    params.allow(&FIELDS)?;
    known(&state.stripe, id, "id")?;
    let default = default_method(state, id, params)?;
    let Some(customer) = state.stripe.customers.get_mut(id) else { return Err(Refusal::broken()) };
    customer.metadata = params.metadata("metadata", &customer.metadata)?;
    let fields = [
        ("email", &mut customer.email),
        ("name", &mut customer.name),
        ("phone", &mut customer.phone),
        ("description", &mut customer.description),
    ];
    for (name, field) in fields {
        if params.sent(name).is_some() {
            *field = params.owned(name);
        }
    }
    if let Some(default) = default {
        customer.default_method = default;
    }
    Ok(customer.json())
}

pub(super) fn retrieve(state: &State, id: &str, params: &Params) -> Result<Value> {
    params.allow(&["expand[*]"])?;
    state.stripe.customers.get(id).map(Customer::json).ok_or_else(|| Refusal::missing("customer", id, "id"))
}

pub(super) fn list(state: &State, params: &Params) -> Result<Value> {
    listing::allow(params, &["email"])?;
    let email = params.text("email");
    let rows = state.stripe.customers.iter().filter(|row| email.is_none() || row.email.as_deref() == email);
    listing::page(params, "/v1/customers", rows.map(|row| (row.id.as_str(), row.created, || row.json())))
}

pub(super) fn list_methods(state: &State, id: &str, params: &Params) -> Result<Value> {
    listing::allow(params, &["type"])?;
    known(&state.stripe, id, "id")?;
    // Only cards are simulated: of any other type there are none.
    let cards = params.text("type").is_none_or(|kind| kind == "card");
    let rows = state.stripe.methods.iter().filter(|row| cards && row.customer.as_deref() == Some(id));
    let url = format!("/v1/customers/{id}/payment_methods");
    listing::page(params, &url, rows.map(|row| (row.id.as_str(), row.created, || row.json())))
}

pub(super) fn retrieve_method(state: &State, id: &str, params: &Params) -> Result<Value> {
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
fn attachable(state: &mut State, id: &str, param: &str) -> Result<Method> {
    let method = resolve(state, id, param)?;
    usable(&method)?;
    match method.test_card() {
        Some(Card { saves: false, issuer: Issuer::Declines(reason), .. }) => {
            let mut error = cards::decline(reason);
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
