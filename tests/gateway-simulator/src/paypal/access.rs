//! Access tokens: given out against the app's id and secret, good for nine hours.

use super::refusal::Refusal;
use crate::gateway::{Answer, Call};
use crate::pages;
use crate::state::State;
use data_encoding::BASE64;
use serde_json::json;

/// Seconds.
const LIFETIME: i64 = 32_400;
const SCOPE: &str = "https://uri.paypal.com/services/payments/payment \
                     https://uri.paypal.com/services/vault/payment-tokens/readwrite";

/// The token endpoint speaks OAuth's language, not PayPal's.
fn refused(status: u16, error: &str, description: &str) -> Answer {
    Answer::json(status, json!({"error": error, "error_description": description}))
}

fn is_the_app(state: &State, call: &Call) -> bool {
    let settings = &state.settings.paypal;
    let given = call.header("authorization").and_then(|value| value.strip_prefix("Basic "));
    let given = given.and_then(|encoded| BASE64.decode(encoded.as_bytes()).ok());
    given.is_some_and(|pair| pair == format!("{}:{}", settings.client_id, settings.client_secret).as_bytes())
}

/// `POST /v1/oauth2/token`
pub(super) fn grant(state: &mut State, call: &Call) -> Answer {
    if !is_the_app(state, call) {
        return refused(401, "invalid_client", "Client Authentication failed");
    }
    let form = pages::fields(&call.body).unwrap_or_default();
    match form.iter().find(|(name, _)| name == "grant_type").map(|(_, value)| value.as_str()) {
        Some("client_credentials") => {}
        Some(_) => return refused(400, "unsupported_grant_type", "Grant Type is unsupported"),
        None => return refused(400, "invalid_request", "Missing grant type"),
    }
    let now = state.now();
    let token = state.id("A21AA", 60);
    let nonce = format!("{}{}", super::time(state), state.id("", 43));
    state.paypal.access.retain(|_, expires| *expires > now);
    state.paypal.access.insert(token.clone(), now + LIFETIME);
    Answer::json(
        200,
        json!({
            "scope": SCOPE,
            "access_token": token, "token_type": "Bearer", "app_id": "APP-80W284485P519543T",
            "expires_in": LIFETIME, "nonce": nonce,
        }),
    )
}

/// The refusal of a call that brings no token, or one that is not good any more.
pub(super) fn refusal(state: &State, call: &Call, debug_id: &str) -> Option<Answer> {
    let Some(token) = call.bearer() else { return Some(Refusal::no_token().answer(debug_id)) };
    if state.paypal.access.get(token).is_some_and(|expires| *expires > state.now()) {
        return None;
    }
    Some(refused(401, "invalid_token", "Token signature verification failed"))
}
