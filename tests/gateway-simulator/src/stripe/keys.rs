//! Idempotency keys: the first answer to a key is kept, and given again.

use super::form::Params;
use super::refusal::{Refusal, Result};
use super::{PIN, Store};
use crate::gateway::{Answer, Begun, Body, Call};
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

pub(super) const LIFETIME: i64 = 24 * 3600;
const LONGEST: usize = 255;

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Key {
    fingerprint: String,
    pub(super) at: i64,
    /// None while the first request runs.
    pub(super) answer: Option<Kept>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Kept {
    status: u16,
    body: Value,
    request: String,
}

fn key(call: &Call) -> Option<&str> {
    call.header("idempotency-key").filter(|_| call.method == "POST" && call.path.starts_with("v1/"))
}

/// Who asks, in which version, and whether it was asked before.
pub(super) fn begin(store: &mut Store, secret: &str, now: i64, call: &Call) -> Result<Begun> {
    match call.bearer() {
        Some(given) if given == secret => {}
        Some(given) => {
            let shown: String = given.chars().take(8).collect();
            return Err(Refusal::unauthorized(&format!("Invalid API Key provided: {shown}****")));
        }
        None => {
            return Err(Refusal::unauthorized(
                "You did not provide an API key. You need to provide your API key in the Authorization header, using \
                 Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY').",
            ));
        }
    }
    match call.header("stripe-version") {
        Some(PIN) => {}
        Some(other) => return Err(Refusal::invalid(&format!("Invalid Stripe API version: {other}"), None, None)),
        None => {
            let message = format!("No Stripe-Version was sent. Pin it to {PIN}: accounts differ in their default.");
            return Err(Refusal::invalid(&message, None, None));
        }
    }
    let form = "application/x-www-form-urlencoded";
    if call.method == "POST"
        && !call.body.is_empty()
        && !call.header("content-type").is_some_and(|kind| kind.starts_with(form))
    {
        let message = format!("Invalid request (check that your POST content type is {form}).");
        return Err(Refusal::invalid(&message, None, None));
    }
    let Some(key) = key(call) else { return Ok(Begun::Proceed) };
    if key.is_empty() || key.chars().count() > LONGEST {
        let message = format!("Idempotency keys must be 1 to {LONGEST} characters long.");
        return Err(Refusal::invalid(&message, None, None));
    }
    let asked = format!("{}?{}", call.path.trim_end_matches('/'), Params::parse(&call.body)?.canonical());
    let fingerprint = HEXLOWER.encode(&Sha256::digest(asked));
    match store.keys.get(key).filter(|known| known.at + LIFETIME > now) {
        Some(known) if known.fingerprint != fingerprint => Err(Refusal::idempotency(
            400,
            &format!(
                "Keys for idempotent requests can only be used with the same parameters they were first used with. \
                 Try using a key other than '{key}' if you meant to execute a different request."
            ),
            None,
        )),
        Some(Key { answer: Some(kept), .. }) => {
            let answer = Answer::json(kept.status, kept.body.clone());
            let answer = answer.with("idempotent-replayed", "true").with("original-request", kept.request.clone());
            Ok(Begun::Replay(answer.with("request-id", call.id.clone()).with("idempotency-key", key)))
        }
        Some(Key { answer: None, .. }) => Err(Refusal::idempotency(
            409,
            &format!(
                "There is currently another in-progress request using this Idempotent Key (that probably means you \
                 submitted twice, and the other request is still going through): {key}. Please try again later."
            ),
            Some("idempotency_key_in_use"),
        )),
        None => {
            store.keys.insert(key.to_owned(), Key { fingerprint, at: now, answer: None });
            Ok(Begun::Proceed)
        }
    }
}

/// Keeps the answer. Requests that were refused before anything was tried leave their key free.
pub(super) fn finish(store: &mut Store, call: &Call, answer: Option<&Answer>) {
    let Some(key) = key(call) else { return };
    let kept = answer.and_then(|answer| match &answer.body {
        Body::Json(body) if matches!(answer.status, 200 | 402 | 500) => {
            Some(Kept { status: answer.status, body: body.clone(), request: call.id.clone() })
        }
        Body::Json(_) | Body::Html(_) | Body::Form(_) | Body::Empty => None,
    });
    match (kept, store.keys.get_mut(key)) {
        (Some(kept), Some(entry)) => entry.answer = Some(kept),
        (None, Some(_)) => {
            store.keys.remove(key);
        }
        (_, None) => {}
    }
}
