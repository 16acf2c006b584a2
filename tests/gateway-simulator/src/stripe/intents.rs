//! PaymentIntents: a payment, through all its attempts.

use super::charges::{Customer, attempt};
use super::form::Params;
use super::methods::{self, Method};
use super::refusal::{Refusal, Result};
use super::{customers, emit, listing, money};
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
pub(super) struct Intent {
    pub(super) id: String,
    created: i64,
    pub(super) amount: i64,
    pub(super) received: i64,
    pub(super) currency: String,
    pub(super) customer: Option<String>,
    pub(super) method: Option<String>,
    pub(super) status: Status,
    pub(super) client_secret: String,
    pub(super) save_for: Option<String>,
    pub(super) return_url: Option<String>,
    pub(super) description: Option<String>,
    receipt_email: Option<String>,
    statement_suffix: Option<String>,
    pub(super) metadata: Map<String, Value>,
    pub(super) latest_charge: Option<String>,
    pub(super) last_error: Option<Value>,
    pub(super) next_action: Option<Value>,
    canceled_at: Option<i64>,
    cancellation_reason: Option<String>,
    /// The checkout session's word for the payment, where the metadata has none.
    client_reference: Option<String>,
}

impl Row for Intent {
    fn id(&self) -> &str {
        &self.id
    }
}

impl Intent {
    /// What the merchant calls the payment.
    pub(super) fn reference(&self) -> String {
        let named = self.metadata.get("reference").and_then(Value::as_str).or(self.client_reference.as_deref());
        named.unwrap_or(&self.id).to_owned()
    }

    pub(super) fn json(&self) -> Value {
        json!({
            "id": self.id, "object": "payment_intent", "amount": self.amount, "amount_capturable": 0,
            "amount_details": {"tip": {}}, "amount_received": self.received, "application": null,
            "application_fee_amount": null,
            "automatic_payment_methods": {"allow_redirects": "always", "enabled": true},
            "canceled_at": self.canceled_at, "cancellation_reason": self.cancellation_reason,
            "capture_method": "automatic_async", "client_secret": self.client_secret,
            "confirmation_method": "automatic", "created": self.created, "currency": self.currency,
            "customer": self.customer, "customer_account": null, "description": self.description,
            "last_payment_error": self.last_error, "latest_charge": self.latest_charge, "livemode": false,
            "metadata": self.metadata, "next_action": self.next_action, "on_behalf_of": null,
            "payment_method": self.method, "payment_method_options": {"card": {"request_three_d_secure": "automatic"}},
            "payment_method_types": ["card"], "processing": null, "receipt_email": self.receipt_email,
            "review": null, "setup_future_usage": self.save_for, "shipping": null, "statement_descriptor": null,
            "statement_descriptor_suffix": self.statement_suffix, "status": self.status, "transfer_data": null,
            "transfer_group": null,
        })
    }
}

/// What an intent begins with.
#[derive(Debug, Default)]
pub(super) struct Start {
    pub(super) amount: i64,
    pub(super) currency: String,
    pub(super) customer: Option<String>,
    pub(super) save_for: Option<String>,
    pub(super) return_url: Option<String>,
    pub(super) description: Option<String>,
    pub(super) receipt_email: Option<String>,
    pub(super) statement_suffix: Option<String>,
    pub(super) metadata: Map<String, Value>,
    pub(super) client_reference: Option<String>,
}

pub(super) fn start(state: &mut State, start: Start) -> Intent {
    let id = state.id("pi_3", 23);
    let client_secret = state.id(&format!("{id}_secret_"), 25);
    let created = state.now();
    let intent = Intent {
        id,
        created,
        amount: start.amount,
        received: 0,
        currency: start.currency,
        customer: start.customer,
        method: None,
        status: Status::RequiresPaymentMethod,
        client_secret,
        save_for: start.save_for,
        return_url: start.return_url,
        description: start.description,
        receipt_email: start.receipt_email,
        statement_suffix: start.statement_suffix,
        metadata: start.metadata,
        latest_charge: None,
        last_error: None,
        next_action: None,
        canceled_at: None,
        cancellation_reason: None,
        client_reference: start.client_reference,
    };
    state.stripe.intents.add(intent.clone());
    intent
}

const USAGE: [&str; 2] = ["off_session", "on_session"];

pub(super) fn create(state: &mut State, params: &Params) -> Result<Value> {
    params.allow(&[
        "amount",
        "currency",
        "customer",
        "payment_method",
        "confirm",
        "off_session",
        "setup_future_usage",
        "capture_method",
        "description",
        "metadata",
        "metadata[*]",
        "receipt_email",
        "return_url",
        "statement_descriptor_suffix",
        "error_on_requires_action",
        "automatic_payment_methods[enabled]",
        "automatic_payment_methods[allow_redirects]",
        "allowed_payment_method_types[*]",
        "excluded_payment_method_types[*]",
        "expand[*]",
    ])?;
    params.required("amount")?;
    let currency = money::currency(params, "currency")?;
    let amount = params.integer("amount")?.unwrap_or_default();
    money::check(amount, &currency, "amount")?;
    if params.any("allowed_payment_method_types")
        && (params.any("excluded_payment_method_types") || params.any("automatic_payment_methods"))
    {
        let message = "`allowed_payment_method_types` cannot be combined with `excluded_payment_method_types` or \
                       `automatic_payment_methods`.";
        return Err(Refusal::invalid(message, Some("allowed_payment_method_types"), None));
    }
    if params.one_of("capture_method", &["automatic", "automatic_async", "manual"])?.as_deref() == Some("manual") {
        let message = "The simulator captures at once: manual capture is not simulated.";
        return Err(Refusal::invalid(message, Some("capture_method"), None));
    }
    let customer = params.owned("customer");
    if let Some(customer) = &customer {
        customers::known(&state.stripe, customer, "customer")?;
    }
    let save_for = params.one_of("setup_future_usage", &USAGE)?;
    let confirms = params.boolean("confirm")?;
    let off_session = params.boolean("off_session")?;
    if off_session && !confirms {
        let message = "`off_session` can only be used when `confirm` is true.";
        return Err(Refusal::invalid(message, Some("off_session"), None));
    }
    if off_session && save_for.is_some() {
        let message = "You cannot confirm with `off_session=true` when `setup_future_usage` is also set on the \
                       PaymentIntent.";
        return Err(Refusal::invalid(message, Some("off_session"), None));
    }
    let may_redirect = !params.any("allowed_payment_method_types")
        && params.one_of("automatic_payment_methods[allow_redirects]", &["always", "never"])?.as_deref()
            != Some("never");
    let return_url = params.web_address("return_url")?;
    if confirms && !off_session && may_redirect && return_url.is_none() {
        let message = "This PaymentIntent is configured to accept payment methods enabled in your Dashboard. Because \
                       some of these payment methods might redirect your customer off of your page, you must provide \
                       a `return_url`. If you don't want to accept redirect-based payment methods, set \
                       `automatic_payment_methods[enabled]` to `true` and \
                       `automatic_payment_methods[allow_redirects]` to `never`.";
        return Err(Refusal::invalid(message, Some("return_url"), None));
    }
    let metadata = params.metadata("metadata", &Map::new())?;
    let method = match params.text("payment_method") {
        Some(id) => Some(chargeable(state, id, customer.as_deref())?),
        None if confirms => {
            let message = "You must provide a payment method to confirm the PaymentIntent.";
            return Err(Refusal::invalid(message, Some("payment_method"), Some("parameter_missing")));
        }
        None => None,
    };
    let intent = start(
        state,
        Start {
            amount,
            currency,
            customer,
            save_for,
            return_url,
            description: params.owned("description"),
            receipt_email: params.owned("receipt_email"),
            statement_suffix: params.owned("statement_descriptor_suffix"),
            metadata,
            client_reference: None,
        },
    );
    if let Some(method) = method {
        if confirms {
            let customer = if off_session { Customer::Away } else { Customer::Calling };
            attempt(state, &intent.id, &method, customer, params.boolean("error_on_requires_action")?)?;
        } else if let Some(intent) = state.stripe.intents.get_mut(&intent.id) {
            intent.method = Some(method.id);
            intent.status = Status::RequiresConfirmation;
        }
    }
    shown(state, &intent.id)
}

/// A method that may be charged for this customer.
pub(super) fn chargeable(state: &mut State, id: &str, customer: Option<&str>) -> Result<Method> {
    let method = methods::resolve(state, id, "payment_method")?;
    methods::usable(&method)?;
    match (method.customer.as_deref(), customer) {
        (Some(owner), Some(customer)) if owner == customer => Ok(method),
        (Some(_), Some(_)) => Err(methods::not_theirs(&method.id, "payment_method")),
        (Some(_), None) => {
            let message = format!(
                "The PaymentMethod ({}) you provided is attached to a customer so you must also provide the customer \
                 in the request.",
                method.id
            );
            Err(Refusal::invalid(&message, Some("payment_method"), None))
        }
        (None, _) => Ok(method),
    }
}

fn shown(state: &State, id: &str) -> Result<Value> {
    state.stripe.intents.get(id).map(Intent::json).ok_or_else(|| Refusal::missing("payment_intent", id, "intent"))
}

pub(super) fn retrieve(state: &State, id: &str, params: &Params) -> Result<Value> {
    params.allow(&["expand[*]", "client_secret"])?;
    shown(state, id)
}

pub(super) fn list(state: &State, params: &Params) -> Result<Value> {
    listing::allow(params, &["customer"])?;
    let customer = params.text("customer");
    let rows = state.stripe.intents.iter().filter(|row| customer.is_none() || row.customer.as_deref() == customer);
    listing::page(params, "/v1/payment_intents", rows.map(|row| (row.id.as_str(), row.created, || row.json())))
}

pub(super) fn confirm(state: &mut State, id: &str, params: &Params) -> Result<Value> {
    params.allow(&[
        "payment_method",
        "off_session",
        "setup_future_usage",
        "return_url",
        "receipt_email",
        "error_on_requires_action",
        "client_secret",
        "expand[*]",
    ])?;
    let intent =
        state.stripe.intents.get(id).cloned().ok_or_else(|| Refusal::missing("payment_intent", id, "intent"))?;
    let over = match intent.status {
        Status::Succeeded => Some("it has already succeeded after being previously confirmed"),
        Status::Canceled => Some("it has a status of canceled"),
        Status::RequiresPaymentMethod | Status::RequiresConfirmation | Status::RequiresAction => None,
    };
    if let Some(over) = over {
        let message = format!("You cannot confirm this PaymentIntent because {over}.");
        return Err(Refusal::unexpected_state(&message, intent.json()));
    }
    let save_for = params.one_of("setup_future_usage", &USAGE)?.or(intent.save_for);
    let return_url = params.web_address("return_url")?.or(intent.return_url);
    let Some(method) = params.owned("payment_method").or(intent.method) else {
        let message = "You cannot confirm this PaymentIntent because it's missing a payment method. You can either \
                       update the PaymentIntent with a payment method and then confirm it again, or confirm it again \
                       directly with a payment method.";
        return Err(Refusal::invalid(message, Some("payment_method"), Some("parameter_missing")));
    };
    let method = chargeable(state, &method, intent.customer.as_deref())?;
    let customer = if params.boolean("off_session")? { Customer::Away } else { Customer::Calling };
    if let Some(intent) = state.stripe.intents.get_mut(id) {
        (intent.save_for, intent.return_url) = (save_for, return_url);
    }
    attempt(state, id, &method, customer, params.boolean("error_on_requires_action")?)?;
    shown(state, id)
}

pub(super) fn cancel(state: &mut State, id: &str, params: &Params) -> Result<Value> {
    params.allow(&["cancellation_reason", "expand[*]"])?;
    let reasons = ["duplicate", "fraudulent", "requested_by_customer", "abandoned"];
    let reason = params.one_of("cancellation_reason", &reasons)?;
    let intent = state.stripe.intents.get(id).ok_or_else(|| Refusal::missing("payment_intent", id, "intent"))?;
    if matches!(intent.status, Status::Succeeded | Status::Canceled) {
        let message = format!(
            "You cannot cancel this PaymentIntent because it has a status of {}. Only a PaymentIntent with one of the \
             following statuses may be canceled: requires_payment_method, requires_capture, requires_confirmation, \
             requires_action, processing.",
            json!(intent.status).as_str().unwrap_or_default(),
        );
        return Err(Refusal::unexpected_state(&message, intent.json()));
    }
    call_off(state, id, reason);
    shown(state, id)
}

pub(super) fn call_off(state: &mut State, id: &str, reason: Option<String>) {
    let now = state.now();
    let Some(intent) = state.stripe.intents.get_mut(id) else { return };
    if matches!(intent.status, Status::Succeeded | Status::Canceled) {
        return;
    }
    intent.status = Status::Canceled;
    (intent.canceled_at, intent.cancellation_reason, intent.next_action) = (Some(now), reason, None);
    let (reference, object) = (intent.reference(), intent.json());
    emit(state, "payment_intent.canceled", &reference, object);
}
