//! SetupIntents: a card is saved for later, and nothing is charged.

use super::cards::{Card, Issuer};
use super::charges::Customer;
use super::form::Params;
use super::methods::{self, Method};
use super::refusal::{Refusal, Result};
use super::{customers, declines, emit, intents, listing};
use crate::state::State;
use crate::table::Row;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Status {
    RequiresPaymentMethod,
    RequiresConfirmation,
    RequiresAction,
    Succeeded,
    Canceled,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Setup {
    pub(super) id: String,
    created: i64,
    pub(super) client_secret: String,
    pub(super) customer: Option<String>,
    method: Option<String>,
    pub(super) status: Status,
    last_error: Option<Value>,
    next_action: Option<Value>,
    pub(super) return_url: Option<String>,
    pub(super) description: Option<String>,
    usage: String,
    cancellation_reason: Option<String>,
    metadata: Map<String, Value>,
    /// The checkout session's word for it, where the metadata has none.
    client_reference: Option<String>,
}

impl Row for Setup {
    fn id(&self) -> &str {
        &self.id
    }
}

impl Setup {
    /// What the merchant calls it.
    pub(super) fn reference(&self) -> String {
        let named = self.metadata.get("reference").and_then(Value::as_str).or(self.client_reference.as_deref());
        named.unwrap_or(&self.id).to_owned()
    }

    pub(super) fn json(&self) -> Value {
        json!({
            "id": self.id, "object": "setup_intent", "application": null,
            "automatic_payment_methods": {"allow_redirects": "always", "enabled": true},
            "cancellation_reason": self.cancellation_reason, "client_secret": self.client_secret,
            "created": self.created, "customer": self.customer, "customer_account": null,
            "description": self.description, "flow_directions": null, "last_setup_error": self.last_error,
            "latest_attempt": null, "livemode": false, "mandate": null, "metadata": self.metadata,
            "next_action": self.next_action, "on_behalf_of": null, "payment_method": self.method,
            "payment_method_options": {}, "payment_method_types": ["card"], "single_use_mandate": null,
            "status": self.status, "usage": self.usage,
        })
    }
}

/// What a setup begins with.
#[derive(Debug, Default)]
pub(super) struct Start {
    pub(super) customer: Option<String>,
    pub(super) usage: Option<String>,
    pub(super) return_url: Option<String>,
    pub(super) description: Option<String>,
    pub(super) metadata: Map<String, Value>,
    pub(super) client_reference: Option<String>,
}

pub(super) fn start(state: &mut State, start: Start) -> Setup {
    let id = state.id("seti_1", 23);
    let setup = Setup {
        client_secret: state.id(&format!("{id}_secret_"), 25),
        id,
        created: state.now(),
        customer: start.customer,
        method: None,
        status: Status::RequiresPaymentMethod,
        last_error: None,
        next_action: None,
        return_url: start.return_url,
        description: start.description,
        usage: start.usage.unwrap_or_else(|| "off_session".to_owned()),
        cancellation_reason: None,
        metadata: start.metadata,
        client_reference: start.client_reference,
    };
    state.stripe.setups.add(setup.clone());
    setup
}

pub(super) fn create(state: &mut State, params: &Params) -> Result<Value> {
    params.allow(&[
        "customer",
        "payment_method",
        "confirm",
        "usage",
        "description",
        "metadata",
        "metadata[*]",
        "return_url",
        "automatic_payment_methods[enabled]",
        "automatic_payment_methods[allow_redirects]",
        "allowed_payment_method_types[*]",
        "excluded_payment_method_types[*]",
        "expand[*]",
    ])?;
    let customer = params.owned("customer");
    if let Some(customer) = &customer {
        customers::known(&state.stripe, customer, "customer")?;
    }
    let usage = params.one_of("usage", &["off_session", "on_session"])?;
    let confirms = params.boolean("confirm")?;
    let return_url = params.web_address("return_url")?;
    let metadata = params.metadata("metadata", &Map::new())?;
    let method = match params.text("payment_method") {
        Some(id) => Some(intents::chargeable(state, id, customer.as_deref())?),
        None if confirms => return Err(without_method()),
        None => None,
    };
    let description = params.owned("description");
    let setup = start(state, Start { customer, usage, return_url, description, metadata, client_reference: None });
    if let Some(method) = method {
        if confirms {
            attempt(state, &setup.id, &method, Customer::Calling)?;
        } else if let Some(setup) = state.stripe.setups.get_mut(&setup.id) {
            (setup.method, setup.status) = (Some(method.id), Status::RequiresConfirmation);
        }
    }
    shown(state, &setup.id)
}

fn without_method() -> Box<Refusal> {
    let message = "You cannot confirm this SetupIntent because it's missing a payment method.";
    Refusal::invalid(message, Some("payment_method"), Some("parameter_missing"))
}

fn shown(state: &State, id: &str) -> Result<Value> {
    Ok(find(state, id)?.json())
}

fn find<'a>(state: &'a State, id: &str) -> Result<&'a Setup> {
    state.stripe.setups.get(id).ok_or_else(|| Refusal::missing("setup_intent", id, "intent"))
}

pub(super) fn retrieve(state: &State, id: &str, params: &Params) -> Result<Value> {
    params.allow(&["expand[*]", "client_secret"])?;
    shown(state, id)
}

pub(super) fn list(state: &State, params: &Params) -> Result<Value> {
    listing::allow(params, &["customer", "payment_method"])?;
    let (customer, method) = (params.text("customer"), params.text("payment_method"));
    let rows = state.stripe.setups.iter().filter(|row| {
        (customer.is_none() || row.customer.as_deref() == customer)
            && (method.is_none() || row.method.as_deref() == method)
    });
    listing::page(params, "/v1/setup_intents", rows.map(|row| (row.id.as_str(), row.created, || row.json())))
}

/// Refuses to touch what is over.
fn unfinished(setup: &Setup, verb: &str) -> Result<()> {
    if !matches!(setup.status, Status::Succeeded | Status::Canceled) {
        return Ok(());
    }
    let status = json!(setup.status);
    let message = format!(
        "You cannot {verb} this SetupIntent because it has a status of {}.",
        status.as_str().unwrap_or_default()
    );
    Err(Refusal::unexpected_setup(&message, setup.json()))
}

pub(super) fn confirm(state: &mut State, id: &str, params: &Params) -> Result<Value> {
    params.allow(&["payment_method", "return_url", "client_secret", "expand[*]"])?;
    let setup = find(state, id)?.clone();
    unfinished(&setup, "confirm")?;
    let return_url = params.web_address("return_url")?.or(setup.return_url);
    let method = params.owned("payment_method").or(setup.method).ok_or_else(without_method)?;
    let method = intents::chargeable(state, &method, setup.customer.as_deref())?;
    if let Some(setup) = state.stripe.setups.get_mut(id) {
        setup.return_url = return_url;
    }
    attempt(state, id, &method, Customer::Calling)?;
    shown(state, id)
}

pub(super) fn cancel(state: &mut State, id: &str, params: &Params) -> Result<Value> {
    params.allow(&["cancellation_reason", "expand[*]"])?;
    let reasons = ["abandoned", "requested_by_customer", "duplicate"];
    let reason = params.one_of("cancellation_reason", &reasons)?;
    unfinished(find(state, id)?, "cancel")?;
    if let Some(setup) = state.stripe.setups.get_mut(id) {
        (setup.status, setup.cancellation_reason, setup.next_action) = (Status::Canceled, reason, None);
        let (reference, object) = (setup.reference(), setup.json());
        emit(state, "setup_intent.canceled", &reference, object);
    }
    shown(state, id)
}

/// Tries to save a card once. `Ok` when it is saved or waits for the customer; a decline is a refusal.
pub(super) fn attempt(state: &mut State, id: &str, method: &Method, customer: Customer) -> Result<()> {
    let base = state.base.clone();
    let refused = match (customer, method.test_card()) {
        (Customer::Refusing, _) => Some("generic_decline"),
        (_, Some(Card { saves: false, issuer: Issuer::Declines(reason), .. })) => Some(*reason),
        _ => None,
    };
    let Some(setup) = state.stripe.setups.get_mut(id) else { return Err(Refusal::broken()) };
    if let Some(reason) = refused {
        let mut error = declines::words(reason);
        error.insert("payment_method".to_owned(), method.json());
        (setup.status, setup.method, setup.next_action) = (Status::RequiresPaymentMethod, None, None);
        setup.last_error = Some(json!(error));
        let (reference, object) = (setup.reference(), setup.json());
        emit(state, "setup_intent.setup_failed", &reference, object.clone());
        error.insert("setup_intent".to_owned(), object);
        return Err(Refusal::card(error));
    }
    setup.method = Some(method.id.clone());
    let wanted = method.test_card().is_some_and(|card| match card.issuer {
        Issuer::WantsCustomerUntilSetUp | Issuer::WantsCustomerAlways | Issuer::WantsCustomerAndDeclines(_) => true,
        Issuer::Approves | Issuer::Declines(_) => false,
    });
    if wanted && customer == Customer::Calling {
        setup.status = Status::RequiresAction;
        let page = format!("{base}/stripe/elements/{}", setup.client_secret);
        let sdk =
            json!({"type": "use_stripe_sdk", "use_stripe_sdk": {"type": "three_d_secure_redirect", "stripe_js": page}});
        setup.next_action = Some(match &setup.return_url {
            Some(back) => json!({"type": "redirect_to_url", "redirect_to_url": {"url": page, "return_url": back}}),
            None => sdk,
        });
        let (reference, object) = (setup.reference(), setup.json());
        emit(state, "setup_intent.requires_action", &reference, object);
        return Ok(());
    }
    setup.status = Status::Succeeded;
    (setup.last_error, setup.next_action) = (None, None);
    let (reference, object) = (setup.reference(), setup.json());
    let (owner, off_session) = (setup.customer.clone(), setup.usage == "off_session");
    if let Some(owner) = owner {
        methods::give(state, method, &owner, off_session, &reference);
    }
    emit(state, "setup_intent.succeeded", &reference, object);
    Ok(())
}
