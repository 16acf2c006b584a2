//! Requests and answers on the line: an envelope of JSON, a form, or protocol 2.0's encoded order. An answer has the shape
//! of its request.

use super::refusal::{Refusal, Result};
use super::signature::{self, SEPARATOR};
use crate::gateway::{Answer, Body, Call};
use crate::pages;
use crate::state::State;
use data_encoding::BASE64;
use serde_json::{Map, Value, json};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Json,
    Form,
    /// Protocol 2.0.
    Encoded,
}

impl Shape {
    pub(super) fn of(call: &Call) -> Self {
        if is_form(call) {
            return Self::Form;
        }
        let encoded = envelope(call).is_some_and(|request| request.get("version") == Some(&json!("2.0")));
        if encoded { Self::Encoded } else { Self::Json }
    }
}

/// Flitt's library for Node sends `content-type: Content-type: application/json`, and Flitt takes it.
fn has_type(call: &Call, wanted: &str) -> bool {
    call.header("content-type").is_some_and(|kind| kind.contains(wanted))
}

fn is_form(call: &Call) -> bool {
    has_type(call, "application/x-www-form-urlencoded")
}

fn envelope(call: &Call) -> Option<Map<String, Value>> {
    let mut body: Value = serde_json::from_str(&call.body).ok()?;
    match body.get_mut("request").map(Value::take) {
        Some(Value::Object(request)) => Some(request),
        Some(_) | None => None,
    }
}

/// The fields of a request that is the merchant's.
#[derive(Debug)]
pub(super) struct Request(Map<String, Value>);

impl Request {
    /// A number counts as its text, as Flitt takes either; what is empty counts as absent.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        match self.0.get(name)? {
            Value::String(text) => Some(text.clone()).filter(|text| !text.is_empty()),
            Value::Number(number) => Some(number.to_string()),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
        }
    }

    pub(super) fn required(&self, name: &str) -> Result<String> {
        self.text(name).ok_or_else(|| Refusal::missing(name))
    }

    pub(super) fn limited(&self, name: &str, longest: usize) -> Result<Option<String>> {
        match self.text(name) {
            Some(text) if text.chars().count() > longest => Err(Refusal::incorrect(name)),
            text => Ok(text),
        }
    }

    /// `Y` or `N`.
    pub(super) fn yes(&self, name: &str, otherwise: bool) -> Result<bool> {
        match self.text(name).as_deref() {
            None => Ok(otherwise),
            Some("Y" | "y") => Ok(true),
            Some("N" | "n") => Ok(false),
            Some(_) => Err(Refusal::incorrect(name)),
        }
    }

    pub(super) fn web_address(&self, name: &str) -> Result<Option<String>> {
        match self.limited(name, 2048)? {
            Some(address) if !pages::is_web_address(&address) => Err(Refusal::incorrect(name)),
            address => Ok(address),
        }
    }

    /// Minor units.
    pub(super) fn amount(&self) -> Result<i64> {
        let amount = self.required("amount")?;
        let amount = Some(amount).filter(|text| text.len() <= 12 && text.bytes().all(|byte| byte.is_ascii_digit()));
        let amount = amount.and_then(|text| text.parse().ok()).filter(|amount| *amount > 0);
        amount.ok_or_else(|| Refusal::coded(1023))
    }

    /// One that the merchant is set up for.
    pub(super) fn currency(&self, state: &State) -> Result<String> {
        let (currency, settings) = (self.required("currency")?, &state.settings.flitt);
        if settings.currencies.contains(&currency) {
            return Ok(currency);
        }
        let merchant = &settings.merchant_id;
        Err(Refusal::new(1012, &format!("Currency `{currency}` is not available for this merchant `{merchant}`")))
    }
}

/// Who is asking, and is it them?
pub(super) fn read(state: &State, call: &Call) -> Result<Request> {
    let settings = &state.settings.flitt;
    let json = has_type(call, "application/json");
    if call.method != "POST" || !(json || is_form(call)) {
        return Err(Refusal::new(1021, "Unsupported Content-Type"));
    }
    let outer = if json {
        envelope(call)
    } else {
        let fields = pages::fields(&call.body).filter(|fields| !fields.is_empty());
        fields.map(|fields| fields.into_iter().map(|(name, value)| (name, Value::String(value))).collect())
    };
    let outer = outer.ok_or_else(|| Refusal::new(1010, "Request is empty"))?;
    let (fields, expected) = match Shape::of(call) {
        Shape::Encoded => {
            let data = outer.get("data").and_then(Value::as_str).ok_or_else(|| Refusal::missing("data"))?;
            let order = decode(data).ok_or_else(|| Refusal::incorrect("data"))?;
            (order, Some(signature::of_data(&settings.payment_key, data)))
        }
        Shape::Json | Shape::Form => {
            let expected = signature::source(&settings.payment_key, &outer).map(|source| signature::of(&source));
            (outer.clone(), expected)
        }
    };
    let request = Request(fields);
    let merchant = request.required("merchant_id")?;
    if merchant != settings.merchant_id {
        return Err(Refusal::new(1016, &format!("Merchant `{merchant}` not found")));
    }
    if request.0.values().filter_map(Value::as_str).any(|text| text.contains(SEPARATOR)) {
        return Err(Refusal::new(1034, &format!("Please do not use symbol `{SEPARATOR}` in parameters")));
    }
    let sent = outer.get("signature").and_then(Value::as_str).ok_or_else(|| Refusal::missing("signature"))?;
    if expected.as_deref() != Some(sent) {
        return Err(Refusal::new(1014, "Invalid signature"));
    }
    Ok(request)
}

fn decode(data: &str) -> Option<Map<String, Value>> {
    let mut data: Value = serde_json::from_slice(&BASE64.decode(data.as_bytes()).ok()?).ok()?;
    match data.get_mut("order").map(Value::take) {
        Some(Value::Object(order)) => Some(order),
        Some(_) | None => None,
    }
}

/// What is answered to a request that was accepted.
#[derive(Debug)]
pub(super) enum Success {
    Signed(Map<String, Value>),
    Unsigned(Map<String, Value>),
    List(Vec<Value>),
}

pub(super) fn answer(key: &str, shape: Shape, success: Success) -> Answer {
    match (shape, success) {
        (Shape::Encoded, Success::Signed(fields)) => Answer::json(200, json!({"response": encoded(key, &fields)})),
        (Shape::Json | Shape::Form, Success::Signed(fields)) => unsigned(shape, &signed(key, fields)),
        (_, Success::Unsigned(fields)) => unsigned(shape, &fields),
        (_, Success::List(rows)) => Answer::json(200, json!({"response": rows})),
    }
}

pub(super) fn unsigned(shape: Shape, fields: &Map<String, Value>) -> Answer {
    match shape {
        Shape::Form => Answer { status: 200, headers: Vec::new(), body: Body::Form(form(fields)) },
        Shape::Json | Shape::Encoded => Answer::json(200, json!({"response": fields})),
    }
}

/// The fields with their signature, and what test mode tells of how it came about.
pub(super) fn signed(key: &str, mut fields: Map<String, Value>) -> Map<String, Value> {
    let source = signature::source(key, &fields).unwrap_or_default();
    fields.insert("signature".to_owned(), json!(signature::of(&source)));
    fields.insert("response_signature_string".to_owned(), json!(source.replace(key, "**********")));
    fields
}

pub(super) fn encoded(key: &str, fields: &Map<String, Value>) -> Value {
    let data = BASE64.encode(json!({"order": fields}).to_string().as_bytes());
    json!({"version": "2.0", "signature": signature::of_data(key, &data), "data": data})
}

pub(super) fn form(fields: &Map<String, Value>) -> String {
    let pairs = fields.iter().map(|(name, value)| format!("{}={}", pages::encode(name), pages::encode(&plain(value))));
    pairs.collect::<Vec<_>>().join("&")
}

/// A value as a form writes it.
pub(super) fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}
