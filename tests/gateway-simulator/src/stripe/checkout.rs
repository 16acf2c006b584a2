//! Checkout sessions on Stripe's hosted page: to pay, or only to save a card.

use super::form::Params;
use super::refusal::{Refusal, Result};
use super::{customers, emit, intents, items, listing, money, setups};
use crate::state::State;
use crate::table::Row;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

const SHORTEST: i64 = 30 * 60;
const LONGEST: i64 = 24 * 3600;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Status {
    Open,
    Complete,
    Expired,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Session {
    pub(super) id: String,
    created: i64,
    expires_at: i64,
    pub(super) saves_only: bool,
    pub(super) status: Status,
    pub(super) amount: i64,
    pub(super) currency: Option<String>,
    pub(super) about: String,
    pub(super) customer: Option<String>,
    pub(super) customer_email: Option<String>,
    pub(super) creates_customer: bool,
    client_reference: Option<String>,
    metadata: Map<String, Value>,
    pub(super) save_for: Option<String>,
    pub(super) payment_metadata: Map<String, Value>,
    pub(super) payment_description: Option<String>,
    pub(super) intent: Option<String>,
    pub(super) setup: Option<String>,
    success_url: String,
    pub(super) cancel_url: Option<String>,
    /// With the address that only open sessions have.
    base: String,
}

impl Row for Session {
    fn id(&self) -> &str {
        &self.id
    }
}

impl Session {
    /// What the merchant calls the payment.
    pub(super) fn reference(&self) -> String {
        let named = self.metadata.get("reference").or(self.payment_metadata.get("reference")).and_then(Value::as_str);
        named.or(self.client_reference.as_deref()).unwrap_or(&self.id).to_owned()
    }

    pub(super) fn client_reference(&self) -> Option<String> {
        self.client_reference.clone()
    }

    pub(super) fn success_address(&self) -> String {
        self.success_url.replace("{CHECKOUT_SESSION_ID}", &self.id)
    }

    pub(super) fn json(&self) -> Value {
        let open = self.status == Status::Open;
        let paid = match (self.saves_only, self.status) {
            (true, _) => "no_payment_required",
            (false, Status::Complete) => "paid",
            (false, Status::Open | Status::Expired) => "unpaid",
        };
        let amount = (!self.saves_only).then_some(self.amount);
        json!({
            "id": self.id, "object": "checkout.session", "amount_subtotal": amount, "amount_total": amount,
            "automatic_tax": {"enabled": false, "liability": null, "provider": null, "status": null},
            "cancel_url": self.cancel_url, "client_reference_id": self.client_reference, "client_secret": null,
            "created": self.created, "currency": self.currency, "custom_fields": [], "customer": self.customer,
            "customer_account": null,
            "customer_creation": if self.creates_customer { "always" } else { "if_required" },
            "customer_details": self.customer_email.as_ref().map(|email| json!({"address": null, "email": email,
                "name": null, "phone": null, "tax_exempt": "none", "tax_ids": null})),
            "customer_email": self.customer_email, "expires_at": self.expires_at, "livemode": false, "locale": null,
            "metadata": self.metadata, "mode": if self.saves_only { "setup" } else { "payment" },
            "payment_intent": self.intent, "payment_link": null, "payment_method_options": {},
            "payment_method_types": ["card"], "payment_status": paid, "setup_intent": self.setup,
            "shipping_options": [], "status": self.status, "subscription": null, "success_url": self.success_url,
            "total_details": {"amount_discount": 0, "amount_shipping": 0, "amount_tax": 0}, "ui_mode": "hosted_page",
            "url": open.then(|| format!("{}/stripe/pay/{}", self.base, self.id)),
        })
    }
}

pub(super) fn create(state: &mut State, params: &Params) -> Result<Value> {
    params.allow(&[
        "mode",
        "success_url",
        "cancel_url",
        "line_items[*][quantity]",
        "line_items[*][price]",
        "line_items[*][price_data][currency]",
        "line_items[*][price_data][unit_amount]",
        "line_items[*][price_data][product_data][name]",
        "line_items[*][price_data][product_data][description]",
        "line_items[*][price_data][product_data][metadata][*]",
        "customer",
        "customer_email",
        "customer_creation",
        "client_reference_id",
        "metadata",
        "metadata[*]",
        "payment_intent_data[setup_future_usage]",
        "payment_intent_data[description]",
        "payment_intent_data[metadata][*]",
        "setup_intent_data[description]",
        "setup_intent_data[metadata][*]",
        "expires_at",
        "currency",
        "locale",
        "submit_type",
        "ui_mode",
        "allowed_payment_method_types[*]",
        "excluded_payment_method_types[*]",
        "expand[*]",
    ])?;
    params.required("mode")?;
    let mode = params.one_of("mode", &["payment", "setup", "subscription"])?;
    if mode.as_deref() == Some("subscription") {
        let message = "The simulator has no Stripe subscriptions: mode must be payment or setup.";
        return Err(Refusal::invalid(message, Some("mode"), None));
    }
    let saves_only = mode.as_deref() == Some("setup");
    params.one_of("ui_mode", &["hosted_page"])?;
    params.required("success_url")?;
    let success_url = params.web_address("success_url")?.unwrap_or_default();
    let cancel_url = params.web_address("cancel_url")?;
    let (customer, customer_email) = (params.owned("customer"), params.owned("customer_email"));
    if customer.is_some() && customer_email.is_some() {
        let message = "You may only specify one of these parameters: customer, customer_email.";
        return Err(Refusal::invalid(message, Some("customer_email"), None));
    }
    if let Some(customer) = &customer {
        customers::known(&state.stripe, customer, "customer")?;
    }
    let email = customer.as_ref().and_then(|id| state.stripe.customers.get(id)).and_then(|row| row.email.clone());
    let creation = params.one_of("customer_creation", &["always", "if_required"])?;
    if customer.is_some() && creation.is_some() {
        let message = "`customer_creation` can only be used without `customer`.";
        return Err(Refusal::invalid(message, Some("customer_creation"), None));
    }
    let client_reference = params.owned("client_reference_id");
    if client_reference.as_ref().is_some_and(|id| id.chars().count() > 200) {
        let message = "Invalid string: client_reference_id can be at most 200 characters.";
        return Err(Refusal::invalid(message, Some("client_reference_id"), None));
    }
    let now = state.now();
    let expires_at = params.integer("expires_at")?.unwrap_or(now + LONGEST);
    // A minute of grace on either side for clocks that differ.
    if !(now + SHORTEST - 60..=now + LONGEST + 60).contains(&expires_at) {
        let message = "The `expires_at` timestamp must be at least 30 minutes and at most 24 hours in the future.";
        return Err(Refusal::invalid(message, Some("expires_at"), None));
    }
    let (amount, currency, about) = if saves_only {
        if params.any("line_items") {
            let message = "You can not pass `line_items` in `setup` mode.";
            return Err(Refusal::invalid(message, Some("line_items"), None));
        }
        if params.any("payment_intent_data") {
            let message = "You can not pass `payment_intent_data` in `setup` mode.";
            return Err(Refusal::invalid(message, Some("payment_intent_data"), None));
        }
        if !params.any("allowed_payment_method_types") {
            params.required("currency")?;
        }
        let currency = params.text("currency").map(|_| money::currency(params, "currency")).transpose()?;
        (0, currency, "For later payments".to_owned())
    } else {
        let (amount, currency, about) = items::read(state, params)?;
        (amount, Some(currency), about)
    };
    let metadata = params.metadata("metadata", &Map::new())?;
    let part = if saves_only { "setup_intent_data" } else { "payment_intent_data" };
    let payment_metadata = params.metadata(&format!("{part}[metadata]"), &Map::new())?;
    let save_for = params.one_of("payment_intent_data[setup_future_usage]", &["off_session", "on_session"])?;
    let mut session = Session {
        id: state.id("cs_test_a1", 58),
        created: now,
        expires_at,
        saves_only,
        status: Status::Open,
        amount,
        currency,
        about,
        customer,
        customer_email: customer_email.or(email),
        creates_customer: creation.as_deref() == Some("always"),
        client_reference,
        metadata,
        save_for,
        payment_metadata,
        payment_description: params.owned(&format!("{part}[description]")),
        intent: None,
        setup: None,
        success_url,
        cancel_url,
        base: state.base.clone(),
    };
    if saves_only {
        let start = setups::Start {
            customer: session.customer.clone(),
            description: session.payment_description.clone(),
            metadata: session.payment_metadata.clone(),
            client_reference: Some(session.reference()),
            ..setups::Start::default()
        };
        session.setup = Some(setups::start(state, start).id);
    }
    let object = session.json();
    state.stripe.sessions.add(session);
    Ok(object)
}

pub(super) fn retrieve(state: &State, id: &str, params: &Params) -> Result<Value> {
    params.allow(&["expand[*]"])?;
    shown(state, id)
}

fn shown(state: &State, id: &str) -> Result<Value> {
    state.stripe.sessions.get(id).map(Session::json).ok_or_else(|| Refusal::missing("checkout.session", id, "session"))
}

pub(super) fn list(state: &State, params: &Params) -> Result<Value> {
    listing::allow(params, &["customer", "payment_intent", "status"])?;
    let (customer, intent) = (params.text("customer"), params.text("payment_intent"));
    let status = params.one_of("status", &["open", "complete", "expired"])?;
    let rows = state.stripe.sessions.iter().filter(|row| {
        (customer.is_none() || row.customer.as_deref() == customer)
            && (intent.is_none() || row.intent.as_deref() == intent)
            && status.as_ref().is_none_or(|status| json!(row.status) == *status)
    });
    listing::page(params, "/v1/checkout/sessions", rows.map(|row| (row.id.as_str(), row.created, || row.json())))
}

pub(super) fn expire(state: &mut State, id: &str, params: &Params) -> Result<Value> {
    params.allow(&["expand[*]"])?;
    let session = state.stripe.sessions.get(id).ok_or_else(|| Refusal::missing("checkout.session", id, "session"))?;
    if session.status != Status::Open {
        let status = json!(session.status);
        let message = format!(
            "Only Checkout Sessions with a status in [\"open\"] can be expired. This Checkout Session has a status of \
             {}.",
            status.as_str().unwrap_or_default()
        );
        return Err(Refusal::invalid(&message, None, None));
    }
    end(state, id);
    shown(state, id)
}

fn end(state: &mut State, id: &str) {
    let Some(session) = state.stripe.sessions.get_mut(id) else { return };
    session.status = Status::Expired;
    let session = session.clone();
    if let Some(intent) = &session.intent {
        intents::call_off(state, intent, Some("automatic".to_owned()));
    }
    emit(state, "checkout.session.expired", &session.reference(), session.json());
}

/// Ends the sessions whose time is over.
pub(super) fn expire_due(state: &mut State) {
    let now = state.now();
    let open = state.stripe.sessions.iter().filter(|row| row.status == Status::Open && row.expires_at <= now);
    let due: Vec<String> = open.map(|row| row.id.clone()).collect();
    for id in due {
        end(state, &id);
    }
}
