//! Stripe, as its API speaks in the version pinned below.

mod cards;
mod charges;
mod checkout;
mod customers;
mod declines;
mod disputes;
mod elements;
mod form;
mod hosted;
mod intents;
mod invoices;
mod items;
mod keys;
mod lifecycle;
mod listing;
mod methods;
mod money;
mod prices;
mod products;
mod refunds;
mod refusal;
mod setups;
mod subscriptions;

use crate::admin;
use crate::gateway::{Answer, Begun, Call, Gateway, Operation};
use crate::state::State;
use crate::table::{Row, Table};
use data_encoding::HEXLOWER;
use form::Params;
use hmac::{Hmac, KeyInit, Mac};
use refusal::{Refusal, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::Sha256;
use std::collections::BTreeMap;

pub(crate) use disputes::order as dispute;

const PIN: &str = "2026-10-28.endive";

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Store {
    customers: Table<customers::Customer>,
    methods: Table<methods::Method>,
    intents: Table<intents::Intent>,
    charges: Table<charges::Charge>,
    setups: Table<setups::Setup>,
    sessions: Table<checkout::Session>,
    refunds: Table<refunds::Refund>,
    disputes: Table<disputes::Dispute>,
    products: Table<products::Product>,
    prices: Table<prices::Price>,
    subscriptions: Table<subscriptions::Subscription>,
    invoices: Table<invoices::Invoice>,
    events: Table<Event>,
    keys: BTreeMap<String, keys::Key>,
}

impl Store {
    pub(crate) fn rows(&self) -> usize {
        self.customers.len()
            + self.methods.len()
            + self.intents.len()
            + self.charges.len()
            + self.setups.len()
            + self.sessions.len()
            + self.refunds.len()
            + self.disputes.len()
            + self.products.len()
            + self.prices.len()
            + self.subscriptions.len()
            + self.invoices.len()
            + self.events.len()
            + self.keys.len()
    }

    pub(crate) fn forget_keys(&mut self) -> usize {
        std::mem::take(&mut self.keys).len()
    }

    /// What ran when the simulator stopped runs no more: its keys are free again.
    pub(crate) fn restarted(&mut self) {
        self.keys.retain(|_, key| key.answer.is_some());
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Event {
    id: String,
    created: i64,
    json: Value,
}

impl Row for Event {
    fn id(&self) -> &str {
        &self.id
    }
}

/// `t=…,v1=…` over `t.body`, keyed with the whole secret, prefix and all.
pub(crate) fn signature(secret: &str, t: i64, body: &str) -> String {
    // HMAC takes keys of any length, so there is always a MAC; the empty text would never verify.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else { return String::new() };
    mac.update(format!("{t}.{body}").as_bytes());
    format!("t={t},v1={}", HEXLOWER.encode(&mac.finalize().into_bytes()))
}

pub(crate) fn operation(call: &Call) -> Option<Operation> {
    let off_session =
        || Params::parse(&call.body).is_ok_and(|form| form.text("off_session").is_some_and(|v| v != "false"));
    let confirms = || Params::parse(&call.body).is_ok_and(|form| form.text("confirm") == Some("true"));
    Some(match (call.method.as_str(), call.segments().as_slice()) {
        ("POST", ["pay" | "elements", _]) => Operation::Hosted,
        (_, ["pay" | "elements", ..]) => return None,
        ("POST", ["v1", "checkout", "sessions"]) => Operation::Checkout,
        (
            "POST",
            ["v1", "checkout", "sessions", _, "expire"] | ["v1", "payment_intents" | "setup_intents", _, "cancel"],
        ) => Operation::Cancel,
        ("POST", ["v1", "setup_intents"]) => Operation::Checkout,
        ("POST", ["v1", "setup_intents", _, "confirm"]) => Operation::Method,
        ("POST", ["v1", "payment_intents"] | ["v1", "payment_intents", _, "confirm"]) if off_session() => {
            Operation::OffSession
        }
        ("POST", ["v1", "payment_intents", _, "confirm"]) => Operation::Hosted,
        ("POST", ["v1", "payment_intents"]) if confirms() => Operation::Hosted,
        ("POST", ["v1", "payment_intents"]) => Operation::Checkout,
        ("POST", ["v1", "refunds"]) => Operation::Refund,
        (_, ["v1", "customers", ..]) => Operation::Customer,
        (_, ["v1", "payment_methods", ..]) => Operation::Method,
        (_, ["v1", "products" | "prices", ..]) => Operation::Catalogue,
        _ => Operation::Find,
    })
}

pub(crate) fn begin(state: &mut State, call: &Call) -> Begun {
    if !call.path.starts_with("v1/") {
        return Begun::Proceed;
    }
    if state.full() {
        return Begun::Refuse(dressed(Refusal::full().answer(), call));
    }
    let now = state.now();
    match keys::begin(&mut state.stripe, &state.settings.stripe.secret_key, now, call) {
        Ok(begun) => begun,
        Err(refusal) => Begun::Refuse(dressed(refusal.answer(), call)),
    }
}

pub(crate) fn broken(call: &Call) -> Answer {
    dressed(Refusal::broken().answer(), call)
}

pub(crate) fn finish(state: &mut State, call: &Call, answer: Option<&Answer>) {
    keys::finish(&mut state.stripe, call, answer);
}

pub(crate) fn tick(state: &mut State) {
    let now = state.now();
    let before = state.stripe.keys.len();
    state.stripe.keys.retain(|_, key| key.at + keys::LIFETIME > now);
    if state.stripe.keys.len() < before {
        state.touch();
    }
    checkout::expire_due(state);
    refunds::settle_due(state);
}

/// `POST /admin/stripe/…`
pub(crate) fn order(state: &mut State, what: &str, body: &str) -> std::result::Result<Value, String> {
    match what {
        "subscription" => lifecycle::order(state, admin::read(body)?),
        _ => Err(format!("there is no /admin/stripe/{what}")),
    }
}

/// The headers that Stripe sends with every answer.
fn dressed(answer: Answer, call: &Call) -> Answer {
    let answer = answer.with("request-id", call.id.clone()).with("stripe-version", PIN);
    match call.header("idempotency-key") {
        Some(key) => answer.with("idempotency-key", key),
        None => answer,
    }
}

pub(crate) fn perform(state: &mut State, call: &Call) -> Answer {
    let segments = call.segments();
    match (call.method.as_str(), segments.as_slice()) {
        ("GET", ["pay", session]) => hosted::show_session(state, session),
        ("POST", ["pay", session]) => hosted::pay_session(state, session, call),
        ("GET", ["elements", secret]) => elements::show(state, secret),
        ("POST", ["elements", secret]) => elements::pay(state, secret, call),
        (method, segments) => match api(state, method, segments, call) {
            Ok(value) => dressed(Answer::json(200, value), call),
            Err(refusal) => dressed(refusal.answer(), call),
        },
    }
}

fn api(state: &mut State, method: &str, segments: &[&str], call: &Call) -> Result<Value> {
    let mut params = Params::parse(if method == "POST" { &call.body } else { &call.query })?;
    if method == "POST" && !call.query.is_empty() {
        params = Params::parse(&format!("{}&{}", call.body, call.query))?;
    }
    let params = &params;
    let value = match (method, segments) {
        ("POST", ["v1", "customers"]) => customers::create(state, params)?,
        ("GET", ["v1", "customers"]) => customers::list(state, params)?,
        ("GET", ["v1", "customers", id]) => customers::retrieve(state, id, params)?,
        ("DELETE", ["v1", "customers", id]) => customers::delete(state, id, params)?,
        ("POST", ["v1", "customers", id]) => customers::update(state, id, params)?,
        ("GET", ["v1", "customers", id, "payment_methods"]) => methods::list_of(state, id, params)?,
        ("GET", ["v1", "payment_methods"]) => methods::list(state, params)?,
        ("GET", ["v1", "payment_methods", id]) => methods::retrieve(state, id, params)?,
        ("POST", ["v1", "payment_methods", id, "attach"]) => methods::attach(state, id, params)?,
        ("POST", ["v1", "payment_methods", id, "detach"]) => methods::detach(state, id, params)?,
        ("POST", ["v1", "checkout", "sessions"]) => checkout::create(state, params)?,
        ("GET", ["v1", "checkout", "sessions"]) => checkout::list(state, params)?,
        ("GET", ["v1", "checkout", "sessions", id]) => checkout::retrieve(state, id, params)?,
        ("POST", ["v1", "checkout", "sessions", id, "expire"]) => checkout::expire(state, id, params)?,
        ("POST", ["v1", "setup_intents"]) => setups::create(state, params)?,
        ("GET", ["v1", "setup_intents"]) => setups::list(state, params)?,
        ("GET", ["v1", "setup_intents", id]) => setups::retrieve(state, id, params)?,
        ("POST", ["v1", "setup_intents", id, "confirm"]) => setups::confirm(state, id, params)?,
        ("POST", ["v1", "setup_intents", id, "cancel"]) => setups::cancel(state, id, params)?,
        ("POST", ["v1", "payment_intents"]) => intents::create(state, params)?,
        ("GET", ["v1", "payment_intents"]) => intents::list(state, params)?,
        ("GET", ["v1", "payment_intents", id]) => intents::retrieve(state, id, params)?,
        ("POST", ["v1", "payment_intents", id, "confirm"]) => intents::confirm(state, id, params)?,
        ("POST", ["v1", "payment_intents", id, "cancel"]) => intents::cancel(state, id, params)?,
        ("GET", ["v1", "charges", id]) => charges::retrieve(state, id, params)?,
        ("POST", ["v1", "refunds"]) => refunds::create(state, params)?,
        ("GET", ["v1", "refunds"]) => refunds::list(state, params)?,
        ("GET", ["v1", "refunds", id]) => refunds::retrieve(state, id, params)?,
        ("GET", ["v1", "disputes"]) => disputes::list(state, params)?,
        ("GET", ["v1", "disputes", id]) => disputes::retrieve(state, id, params)?,
        ("POST", ["v1", "products"]) => products::create(state, params)?,
        ("GET", ["v1", "products"]) => products::list(state, params)?,
        ("GET", ["v1", "products", id]) => products::retrieve(state, id, params)?,
        ("POST", ["v1", "products", id]) => products::update(state, id, params)?,
        ("DELETE", ["v1", "products", id]) => products::delete(state, id, params)?,
        ("POST", ["v1", "prices"]) => prices::create(state, params)?,
        ("GET", ["v1", "prices"]) => prices::list(state, params)?,
        ("GET", ["v1", "prices", id]) => prices::retrieve(state, id, params)?,
        ("POST", ["v1", "prices", id]) => prices::update(state, id, params)?,
        ("GET", ["v1", "subscriptions"]) => subscriptions::list(state, params)?,
        ("GET", ["v1", "subscriptions", id]) => subscriptions::retrieve(state, id, params)?,
        ("GET", ["v1", "invoices"]) => invoices::list(state, params)?,
        ("GET", ["v1", "invoices", id]) => invoices::retrieve(state, id, params)?,
        ("GET", ["v1", "events"]) => events(state, params)?,
        ("GET", ["v1", "events", id]) => {
            params.allow(&[])?;
            let event = state.stripe.events.get(id).ok_or_else(|| Refusal::missing("event", id, "id"))?;
            event.json.clone()
        }
        _ => return Err(Refusal::no_such_route(method, &call.path)),
    };
    listing::expand(state, value, params)
}

fn events(state: &State, params: &Params) -> Result<Value> {
    listing::allow(params, &["type"])?;
    let wanted = params.text("type");
    let rows = state.stripe.events.iter().filter(|event| wanted.is_none_or(|kind| event.json["type"] == kind));
    listing::page(params, "/v1/events", rows.map(|event| (event.id.as_str(), event.created, || event.json.clone())))
}

/// Writes an event and sends it to the merchant's webhook.
fn emit(state: &mut State, kind: &str, reference: &str, object: Value) {
    tell(state, kind, reference, json!({"object": object}));
}

/// The same, with what the fields that changed were before.
fn emit_change(state: &mut State, kind: &str, reference: &str, object: Value, before: Value) {
    tell(state, kind, reference, json!({"object": object, "previous_attributes": before}));
}

fn tell(state: &mut State, kind: &str, reference: &str, data: Value) {
    let id = state.id("evt_1", 23);
    let created = state.now();
    let event = json!({
        "id": id, "object": "event", "api_version": PIN, "created": created, "type": kind, "livemode": false,
        "pending_webhooks": i32::from(state.settings.stripe.webhook_url.is_some()),
        "request": {"id": null, "idempotency_key": null}, "data": data,
    });
    // Stripe sends its events indented.
    let body = serde_json::to_string_pretty(&event).unwrap_or_else(|_| event.to_string());
    state.stripe.events.add(Event { id, created, json: event });
    state.announce(Gateway::Stripe, kind, reference, &body);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::vectors;

    #[test]
    fn webhooks_are_signed_as_in_the_vectors() {
        let mut seen = 0;
        for vector in vectors("stripe") {
            let header = vector.header("Stripe-Signature");
            let t = header.split(',').find_map(|part| part.strip_prefix("t=")).expect("a time");
            let t = t.parse().expect("a number");
            let made = vector.secrets.iter().map(|secret| signature(secret, t, &vector.body));
            let ours = made.filter_map(|made| Some(made.split_once(",v1=")?.1.to_owned()));
            let matches = ours.filter(|hex| header.contains(&format!("v1={hex}"))).count() > 0;
            assert_eq!(matches, vector.genuine, "{}", vector.id);
            seen += 1;
        }
        assert!(seen >= 4, "only {seen} vectors");
    }
}
