//! Events: written when something happened, sent as webhooks, and listed for who missed them.

use super::refusal::{Refusal, Result};
use super::signing;
use crate::gateway::{Call, Gateway};
use crate::pages;
use crate::state::State;
use crate::table::Row;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Event {
    id: String,
    kind: String,
    reference: String,
    /// What the event is about.
    resource: String,
    created_at: String,
    /// As it is sent, to the byte.
    body: String,
}

impl Row for Event {
    fn id(&self) -> &str {
        &self.id
    }
}

impl Event {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }
}

/// The resource's type and version, and a sentence.
fn about(kind: &str) -> (&'static str, &'static str, String) {
    let (kind_of, version) = match kind {
        "PAYMENT.CAPTURE.REFUNDED" | "PAYMENT.CAPTURE.REVERSED" => ("refund", "2.0"),
        _ if kind.starts_with("PAYMENT.REFUND.") => ("refund", "2.0"),
        _ if kind.starts_with("PAYMENT.CAPTURE.") => ("capture", "2.0"),
        _ if kind.starts_with("VAULT.") => ("payment_token", "3.0"),
        _ if kind.starts_with("CUSTOMER.DISPUTE.") => ("dispute", "1.0"),
        "CHECKOUT.PAYMENT-APPROVAL.REVERSED" => ("payment_approval", "2.0"),
        _ => ("checkout-order", "2.0"),
    };
    let words = kind.to_lowercase().replace(['.', '-'], " ");
    let (first, rest) = words.split_at(1);
    (kind_of, version, format!("{}{rest}.", first.to_uppercase()))
}

/// Writes an event and sends it to the merchant's webhook.
pub(super) fn emit(state: &mut State, kind: &str, reference: &str, resource: Value) {
    let id = format!("WH-{}-{}", super::id(state), super::id(state));
    let created_at = state.stamp();
    let (resource_type, resource_version, summary) = about(kind);
    let address = super::address(state, &format!("v1/notifications/webhooks-events/{id}"));
    let named = resource["id"].as_str().or(resource["dispute_id"].as_str()).or(resource["order_id"].as_str());
    let named = named.unwrap_or_default().to_owned();
    let body = json!({
        "id": id, "event_version": "1.0", "create_time": created_at, "resource_type": resource_type,
        "resource_version": resource_version, "event_type": kind, "summary": summary, "resource": resource,
        "links": [
            {"href": address, "rel": "self", "method": "GET"},
            {"href": format!("{address}/resend"), "rel": "resend", "method": "POST"},
        ],
    });
    let (kind, reference) = (kind.to_owned(), reference.to_owned());
    let event = Event { id, kind, reference, resource: named, created_at, body: body.to_string() };
    state.announce(Gateway::Paypal, &event.kind, &event.reference, &event.body);
    state.paypal.events.add(event);
}

/// Those of a stretch of time, the newest first.
pub(super) fn list(state: &State, query: &str) -> Result<Value> {
    let fields = pages::fields(query).unwrap_or_default();
    let field = |name: &str| fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str());
    let time = |name: &str| match field(name).map(str::parse::<jiff::Timestamp>) {
        None => Ok(None),
        Some(Ok(time)) => Ok(Some(time)),
        Some(Err(_)) => Err(Refusal::invalid("INVALID_PARAMETER_SYNTAX", name)),
    };
    let (from, to) = (time("start_time")?, time("end_time")?);
    let size = match field("page_size").map(str::parse::<usize>) {
        None => 10,
        Some(Ok(size)) if size > 0 => size,
        Some(_) => return Err(Refusal::invalid("INVALID_PARAMETER_VALUE", "page_size")),
    };
    let (kind, about) = (field("event_type"), field("transaction_id"));
    let rows = state.paypal.events.iter().rev().filter(|event| {
        let at = event.created_at.parse::<jiff::Timestamp>().ok();
        kind.is_none_or(|kind| event.kind == kind)
            && about.is_none_or(|id| event.resource == id)
            && from.is_none_or(|from| at.is_some_and(|at| at >= from))
            && to.is_none_or(|to| at.is_some_and(|at| at <= to))
    });
    let events: Vec<Value> = rows.take(size).map(Event::json).collect();
    let address = super::address(state, "v1/notifications/webhooks-events");
    let links = json!([{"href": address, "rel": "self", "method": "GET"}]);
    Ok(json!({"events": events, "count": events.len(), "links": links}))
}

pub(super) fn fetch(state: &State, id: &str) -> Result<Value> {
    state.paypal.events.get(id).map(Event::json).ok_or_else(Refusal::not_found)
}

pub(super) fn resend(state: &mut State, id: &str) -> Result<Value> {
    let event = state.paypal.events.get(id).cloned().ok_or_else(Refusal::not_found)?;
    state.announce(Gateway::Paypal, &event.kind, &event.reference, &event.body);
    Ok(event.json())
}

/// `POST /v1/notifications/verify-webhook-signature`
pub(super) fn verify(state: &State, call: &Call) -> Result<Value> {
    let asked = super::body(call)?;
    for name in [
        "auth_algo",
        "cert_url",
        "transmission_id",
        "transmission_sig",
        "transmission_time",
        "webhook_id",
        "webhook_event",
    ] {
        if asked[name].is_null() {
            return Err(Refusal::invalid("MISSING_REQUIRED_PARAMETER", &format!("/{name}")));
        }
    }
    let genuine = raw_event(&call.body, &asked).is_some_and(|event| signing::verifies(state, &asked, event));
    Ok(json!({"verification_status": if genuine { "SUCCESS" } else { "FAILURE" }}))
}

/// The event as it stands in the question: its checksum does not survive being written anew.
fn raw_event<'a>(body: &'a str, asked: &Value) -> Option<&'a str> {
    const NAME: &str = "\"webhook_event\"";
    body.match_indices(NAME).find_map(|(place, _)| {
        let rest = body.get(place + NAME.len()..)?.trim_start().strip_prefix(':')?.trim_start();
        let mut values = serde_json::Deserializer::from_str(rest).into_iter::<IgnoredAny>();
        values.next()?.ok()?;
        let event = rest.get(..values.byte_offset())?;
        // The name may also stand inside of some text: then what follows is something else.
        (serde_json::from_str::<Value>(event).ok()? == asked["webhook_event"]).then_some(event)
    })
}
