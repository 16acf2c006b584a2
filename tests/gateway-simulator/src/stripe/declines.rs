//! How Stripe words a decline: the issuer's reason, the network's own numbers, and Stripe's advice.

use serde_json::{Map, Value, json};

/// Reasons that are error codes of their own. Every other decline is a `card_declined`.
const CODES: [&str; 9] = [
    "authentication_required",
    "expired_card",
    "incorrect_cvc",
    "incorrect_number",
    "incorrect_zip",
    "invalid_cvc",
    "invalid_expiry_month",
    "invalid_expiry_year",
    "processing_error",
];

const LATER: &str = "try_again_later";
const NEVER: &str = "do_not_try_again";
const CHECK: &str = "confirm_card_data";

/// The network's number for the decline, its number for what to do next, and Stripe's advice. Each may be missing.
type Advice = (Option<&'static str>, Option<&'static str>, Option<&'static str>);

fn advice(reason: &str) -> Advice {
    match reason {
        "insufficient_funds" => (Some("51"), Some("02"), Some(LATER)),
        "withdrawal_count_limit_exceeded" | "card_velocity_exceeded" => (Some("65"), Some("25"), Some(LATER)),
        "do_not_honor" | "generic_decline" => (Some("05"), None, Some(LATER)),
        "call_issuer" | "approve_with_id" | "no_action_taken" => (Some("01"), None, Some(LATER)),
        "issuer_not_available" => (Some("91"), Some("24"), Some(LATER)),
        "processing_error" | "try_again_later" | "reenter_transaction" => (None, None, Some(LATER)),
        "lost_card" => (Some("41"), Some("03"), Some(NEVER)),
        "stolen_card" => (Some("43"), Some("03"), Some(NEVER)),
        "pickup_card" => (Some("04"), Some("03"), Some(NEVER)),
        "transaction_not_allowed" => (Some("57"), Some("03"), Some(NEVER)),
        "revocation_of_authorization" => (Some("R1"), Some("21"), Some(NEVER)),
        "revocation_of_all_authorizations" => (Some("R3"), Some("21"), Some(NEVER)),
        "stop_payment_order" => (Some("R0"), Some("21"), Some(NEVER)),
        "highest_risk_level" | "previously_declined_do_not_retry" => (None, None, Some(NEVER)),
        "new_account_information_available" => (Some("05"), Some("01"), Some(CHECK)),
        "expired_card" => (Some("54"), Some("01"), Some(CHECK)),
        "incorrect_cvc" | "invalid_cvc" => (Some("N7"), None, Some(CHECK)),
        "incorrect_number" | "invalid_number" | "invalid_account" => (Some("14"), None, Some(CHECK)),
        "invalid_expiry_month" | "invalid_expiry_year" | "incorrect_zip" => (None, None, Some(CHECK)),
        "restricted_card" => (Some("62"), None, None),
        "security_violation" => (Some("63"), None, None),
        "pin_try_exceeded" => (Some("75"), None, None),
        _ => (None, None, None),
    }
}

/// The error of a decline: `reason` is what the issuer gave as its reason.
pub(super) fn words(reason: &str) -> Map<String, Value> {
    let code = if CODES.contains(&reason) { reason } else { "card_declined" };
    let message = match reason {
        "insufficient_funds" => "Your card has insufficient funds.",
        "expired_card" => "Your card has expired.",
        "incorrect_cvc" | "invalid_cvc" => "Your card's security code is incorrect.",
        "incorrect_number" => "Your card number is incorrect.",
        "incorrect_zip" => "Your card's postal code is incorrect.",
        "invalid_expiry_month" => "Your card's expiration month is invalid.",
        "invalid_expiry_year" => "Your card's expiration year is invalid.",
        "processing_error" => "An error occurred while processing your card. Try again in a little bit.",
        "authentication_required" => "Your card was declined. This transaction requires authentication.",
        _ => "Your card was declined.",
    };
    let page = format!("https://stripe.com/docs/error-codes/{}", code.replace('_', "-"));
    let mut error = Map::new();
    error.insert("type".to_owned(), json!("card_error"));
    error.insert("code".to_owned(), json!(code));
    error.insert("decline_code".to_owned(), json!(reason));
    error.insert("message".to_owned(), json!(message));
    error.insert("doc_url".to_owned(), json!(page));
    let (network, network_advice, advice) = advice(reason);
    let numbers = [("network_decline_code", network), ("network_advice_code", network_advice), ("advice_code", advice)];
    for (name, value) in numbers {
        if let Some(value) = value {
            error.insert(name.to_owned(), json!(value));
        }
    }
    error
}
