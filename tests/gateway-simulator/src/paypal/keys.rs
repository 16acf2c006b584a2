//! PayPal-Request-Id: what a request made is shown again to whoever repeats it.

use super::refusal::{Refusal, Result};
use super::{Store, orders};
use crate::gateway::Call;
use crate::state::State;
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

const LONGEST: usize = 108;
const HOUR: i64 = 3_600;

/// What a request came to, if it came to anything.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Made {
    Order(String),
    Refund(String),
    Setup(String),
    Token(String),
    /// A saved method was declined: it is not asked again under the same id.
    Declined(String),
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Key {
    fingerprint: String,
    pub(super) until: i64,
    made: Made,
}

/// Seconds for which PayPal keeps the ids of this part of its API.
fn lifetime(call: &Call) -> i64 {
    if call.path.starts_with("v2/payments/") {
        45 * 24 * HOUR
    } else if call.path.starts_with("v3/vault/") {
        3 * HOUR
    } else {
        6 * HOUR
    }
}

/// An id belongs to the call that it came with: the same one may capture what it created.
fn name(call: &Call) -> Option<String> {
    let id = call.header("paypal-request-id").filter(|_| call.method == "POST")?;
    Some(format!("{} {id}", call.path.trim_end_matches('/')))
}

fn fingerprint(call: &Call) -> String {
    HEXLOWER.encode(&Sha256::digest(&call.body))
}

/// What was made under this id before, if anything was.
pub(super) fn begin(store: &mut Store, now: i64, call: &Call) -> Result<Option<Made>> {
    let Some(name) = name(call) else {
        return match call.segments().as_slice() {
            ["v3", "vault", ..] if call.method == "POST" => {
                Err(Refusal::invalid("MISSING_REQUIRED_PARAMETER", "PayPal-Request-Id"))
            }
            ["v2", "checkout", "orders"] if orders::is_single_step(call) => {
                Err(Refusal::invalid("PAYPAL_REQUEST_ID_REQUIRED", "PayPal-Request-Id"))
            }
            _ => Ok(None),
        };
    };
    if call.header("paypal-request-id").is_none_or(|id| id.is_empty() || id.len() > LONGEST) {
        return Err(Refusal::invalid("INVALID_STRING_LENGTH", "PayPal-Request-Id"));
    }
    if let Some(known) = store.keys.get(&name).filter(|known| known.until > now) {
        // Of a changed request under a known id only the vault complains; elsewhere the first one stands.
        if call.path.starts_with("v3/vault/") && known.fingerprint != fingerprint(call) {
            return Err(Refusal::unprocessable("PAYPAL_REQUEST_ID_PREVIOUSLY_USED", "PayPal-Request-Id"));
        }
        return Ok(Some(known.made.clone()));
    }
    if store.running.insert(name) { Ok(None) } else { Err(Refusal::in_progress()) }
}

/// From here on the id stands for this, even if its caller never hears the answer.
pub(super) fn keep(store: &mut Store, now: i64, call: &Call, made: Made) {
    if let Some(name) = name(call) {
        store.keys.insert(name, Key { fingerprint: fingerprint(call), until: now + lifetime(call), made });
    }
}

pub(super) fn finish(store: &mut Store, call: &Call) {
    if let Some(name) = name(call) {
        store.running.remove(&name);
    }
}

pub(super) fn keep_decline(state: &mut State, call: &Call, issue: &str) {
    let now = state.now();
    keep(&mut state.paypal, now, call, Made::Declined(issue.to_owned()));
}
