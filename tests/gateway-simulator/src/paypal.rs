//! PayPal, as its REST APIs speak: Orders v2, Payments v2, Vault v3, disputes and webhooks.

mod access;
mod captures;
mod disputes;
mod funding;
mod hosted;
mod keys;
mod money;
mod notifications;
mod orders;
mod refunds;
mod refusal;
mod setups;
mod signing;
mod vault;

use crate::admin::{self, Nothing};
use crate::gateway::{Answer, Begun, Body, Call, Operation};
use crate::state::State;
use crate::table::Table;
use data_encoding::HEXLOWER;
use keys::Made;
use refusal::{Refusal, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};

pub(crate) use disputes::order as dispute;
pub(crate) use signing::{certificates, headers as sign};

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Store {
    /// Access tokens, and when they end.
    access: BTreeMap<String, i64>,
    orders: Table<orders::Order>,
    captures: Table<captures::Capture>,
    refunds: Table<refunds::Refund>,
    setups: Table<setups::Setup>,
    tokens: Table<vault::Token>,
    disputes: Table<disputes::Dispute>,
    events: Table<notifications::Event>,
    keys: BTreeMap<String, keys::Key>,
    /// Requests that are being carried out: a restart ends them.
    #[serde(skip)]
    running: BTreeSet<String>,
}

impl Store {
    pub(crate) fn rows(&self) -> usize {
        self.access.len()
            + self.orders.len()
            + self.captures.len()
            + self.refunds.len()
            + self.setups.len()
            + self.tokens.len()
            + self.disputes.len()
            + self.events.len()
            + self.keys.len()
    }
}

pub(crate) fn operation(call: &Call) -> Option<Operation> {
    Some(match (call.method.as_str(), call.segments().as_slice()) {
        (_, ["checkoutnow"] | ["agreements", ..] | ["v1", "oauth2", ..] | ["v1", "notifications", "certs", _]) => {
            return None;
        }
        ("POST", ["v2", "checkout", "orders"]) if orders::is_single_step(call) => Operation::OffSession,
        ("POST", ["v2", "checkout", "orders"]) => Operation::Checkout,
        // No money moves on the approval page: the capture that follows it is what takes it.
        ("POST", ["v2", "checkout", "orders", _, "capture"]) => Operation::Hosted,
        ("POST", ["v2", "payments", "captures", _, "refund"]) => Operation::Refund,
        (_, ["v3", "vault", ..]) => Operation::Method,
        _ => Operation::Find,
    })
}

/// What PayPal's support asks for.
fn debug_id(call: &Call) -> String {
    HEXLOWER.encode(&Sha256::digest(&call.id)).chars().take(13).collect()
}

/// The header that PayPal sends with every answer.
fn dressed(answer: Answer, call: &Call) -> Answer {
    answer.with("paypal-debug-id", debug_id(call))
}

fn refused(refusal: &Refusal, call: &Call) -> Answer {
    dressed(refusal.answer(&debug_id(call)), call)
}

pub(crate) fn begin(state: &mut State, call: &Call) -> Begun {
    if operation(call).is_none() {
        return Begun::Proceed;
    }
    if let Some(answer) = access::refusal(state, call, &debug_id(call)) {
        return Begun::Refuse(dressed(answer, call));
    }
    if state.full() {
        return Begun::Refuse(refused(&Refusal::broken(), call));
    }
    let now = state.now();
    match keys::begin(&mut state.paypal, now, call) {
        Ok(None) => Begun::Proceed,
        Ok(Some(made)) => Begun::Replay(shown(state, &made, call, false)),
        Err(refusal) => Begun::Refuse(refused(&refusal, call)),
    }
}

pub(crate) fn broken(call: &Call) -> Answer {
    refused(&Refusal::broken(), call)
}

/// What a request made is kept where it is made: PayPal knows it even if its answer was a 500.
pub(crate) fn finish(state: &mut State, call: &Call, _answer: Option<&Answer>) {
    keys::finish(&mut state.paypal, call);
}

pub(crate) fn tick(state: &mut State) {
    let now = state.now();
    let before = state.paypal.keys.len();
    state.paypal.keys.retain(|_, key| key.until > now);
    if state.paypal.keys.len() < before {
        state.touch();
    }
    orders::expire_due(state);
    captures::settle_due(state);
    refunds::settle_due(state);
    vault::arrive_due(state);
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RemoveToken {
    token: String,
}

/// `POST /admin/paypal/…`
pub(crate) fn order(state: &mut State, what: &str, body: &str) -> std::result::Result<Value, String> {
    match what {
        "expire-tokens" => {
            admin::read::<Nothing>(body)?;
            Ok(json!({"expired": std::mem::take(&mut state.paypal.access).len()}))
        }
        // Buyers do so in their accounts, without a word to the merchant.
        "remove-token" => {
            let RemoveToken { token } = admin::read(body)?;
            let removed = vault::remove(state, &token);
            if removed { Ok(json!({ "removed": token })) } else { Err(format!("token: there is no {token}")) }
        }
        _ => Err(format!("there is no /admin/paypal/{what}")),
    }
}

pub(crate) fn perform(state: &mut State, call: &Call) -> Answer {
    let segments = call.segments();
    match (call.method.as_str(), segments.as_slice()) {
        ("GET" | "POST", ["checkoutnow"]) => hosted::order(state, call),
        ("GET" | "POST", ["agreements", "approve"]) => hosted::setup(state, call),
        ("POST", ["v1", "oauth2", "token"]) => dressed(access::grant(state, call), call),
        ("GET", ["v1", "notifications", "certs", id]) => {
            signing::certificate(id).unwrap_or_else(|| refused(&Refusal::not_found(), call))
        }
        (method, segments) => match api(state, method, segments, call) {
            Ok(Done::Made(made)) => {
                let now = state.now();
                keys::keep(&mut state.paypal, now, call, made.clone());
                shown(state, &made, call, true)
            }
            Ok(Done::Shown(status, value)) => dressed(Answer::json(status, value), call),
            Ok(Done::Removed) => dressed(Answer { status: 204, headers: Vec::new(), body: Body::Empty }, call),
            Err(refusal) => refused(&refusal, call),
        },
    }
}

/// What came of a call.
#[derive(Debug)]
enum Done {
    Made(Made),
    Shown(u16, Value),
    Removed,
}

fn api(state: &mut State, method: &str, segments: &[&str], call: &Call) -> Result<Done> {
    Ok(match (method, segments) {
        ("POST", ["v2", "checkout", "orders"]) => Done::Made(orders::create(state, call)?),
        ("GET", ["v2", "checkout", "orders", id]) => Done::Shown(200, orders::find(state, id)?.json(state)),
        ("POST", ["v2", "checkout", "orders", id, "capture"]) => Done::Made(orders::capture(state, id, call)?),
        ("GET", ["v2", "payments", "captures", id]) => Done::Shown(200, captures::find(state, id)?.whole(state)),
        ("POST", ["v2", "payments", "captures", id, "refund"]) => Done::Made(refunds::create(state, id, call)?),
        ("GET", ["v2", "payments", "refunds", id]) => Done::Shown(200, refunds::find(state, id)?.json(state)),
        ("POST", ["v3", "vault", "setup-tokens"]) => Done::Made(setups::create(state, call)?),
        ("GET", ["v3", "vault", "setup-tokens", id]) => Done::Shown(200, setups::find(state, id)?.json(state)),
        ("POST", ["v3", "vault", "payment-tokens"]) => Done::Made(vault::create(state, call)?),
        ("GET", ["v3", "vault", "payment-tokens"]) => Done::Shown(200, vault::list(state, &call.query)?),
        ("GET", ["v3", "vault", "payment-tokens", id]) => {
            Done::Shown(200, vault::find(state, id).ok_or_else(Refusal::not_found)?.json(state))
        }
        ("DELETE", ["v3", "vault", "payment-tokens", id]) => {
            vault::remove(state, id);
            Done::Removed
        }
        ("GET", ["v1", "customer", "disputes"]) => Done::Shown(200, disputes::list(state, &call.query)),
        ("GET", ["v1", "customer", "disputes", id]) => Done::Shown(200, disputes::fetch(state, id)?),
        ("POST", ["v1", "notifications", "verify-webhook-signature"]) => {
            Done::Shown(200, notifications::verify(state, call)?)
        }
        ("GET", ["v1", "notifications", "webhooks-events"]) => {
            Done::Shown(200, notifications::list(state, &call.query)?)
        }
        ("GET", ["v1", "notifications", "webhooks-events", id]) => Done::Shown(200, notifications::fetch(state, id)?),
        ("POST", ["v1", "notifications", "webhooks-events", id, "resend"]) => {
            Done::Shown(202, notifications::resend(state, id)?)
        }
        _ => return Err(Refusal::not_found()),
    })
}

/// The answer to the request that made this: its latest state, in as many words as the caller prefers.
fn shown(state: &State, made: &Made, call: &Call, first: bool) -> Answer {
    let whole = call.header("prefer").is_some_and(|wish| wish.contains("return=representation"));
    let value = match made {
        Made::Order(id) => {
            state.paypal.orders.get(id).map(|row| if whole { row.json(state) } else { row.minimal(state) })
        }
        Made::Refund(id) => {
            state.paypal.refunds.get(id).map(|row| if whole { row.json(state) } else { row.minimal(state) })
        }
        Made::Setup(id) => state.paypal.setups.get(id).map(|row| row.json(state)),
        Made::Token(id) => state.paypal.tokens.get(id).map(|row| row.json(state)),
        Made::Declined(issue) => return refused(&Refusal::named(issue), call),
    };
    match value {
        Some(value) => {
            // An order that names its source waits for its buyer, and is answered with 200 even when it is new.
            let waits = matches!(made, Made::Order(_)) && value["status"] == "PAYER_ACTION_REQUIRED";
            let status = if first && !waits { 201 } else { 200 };
            dressed(Answer::json(status, value), call)
        }
        None => refused(&Refusal::not_found(), call),
    }
}

/// Seventeen letters and digits, as PayPal's ids are.
fn id(state: &mut State) -> String {
    state.id("", 17).to_uppercase()
}

/// RFC 3339 to the second, as PayPal writes time.
fn time(state: &State) -> String {
    jiff::Timestamp::from_second(state.now()).map_or_else(|_| state.stamp(), |time| time.to_string())
}

/// Where a resource is found.
fn address(state: &State, path: &str) -> String {
    format!("{}/paypal/{path}", state.base)
}

fn payee() -> Value {
    json!({"email_address": "merchant@business.example", "merchant_id": "SMKA7R5EHTN2Q"})
}

/// A body may be missing where an empty object would do.
fn body(call: &Call) -> Result<Value> {
    if !call.header("content-type").is_some_and(|kind| kind.starts_with("application/json")) {
        return Err(Refusal::not_json());
    }
    let text = if call.body.trim().is_empty() { "{}" } else { &call.body };
    let value = serde_json::from_str(text).ok().filter(Value::is_object);
    value.ok_or_else(|| Refusal::invalid("MALFORMED_REQUEST_JSON", "/"))
}

/// The sandbox's negative testing: the application code that the caller wants to hear.
fn mock(call: &Call) -> Option<String> {
    let wish: Value = serde_json::from_str(call.header("paypal-mock-response")?).ok()?;
    let codes = &wish["mock_application_codes"];
    codes.as_str().or_else(|| codes[0].as_str()).map(str::to_owned)
}
