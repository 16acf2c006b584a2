//! Paystack's deliveries. <https://paystack.com/docs/payments/webhooks>
//!
//! No timestamp and no event id: a replay cannot be told by its signature, and
//! does nothing, because what a delivery says is never believed.

use super::accounts::CHANNEL;
use crate::config::Secret;
use crate::gateways::{Received, WebhookError};
use billing::delivery::{DeliveryId, Notice};
use billing::id::Reference;
use billing::payment::Gateway;
use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit, Mac};
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256, Sha512};

/// Accepts a delivery that any of `secrets` signed: the API keys, of which two
/// are valid while one is being rotated.
pub(in crate::gateways) fn verify(secrets: &[Secret], delivery: &Received<'_>) -> Result<(), WebhookError> {
    let header = delivery.header("x-paystack-signature")?;
    if header.is_empty() {
        return Err(WebhookError::Unsigned);
    }
    let signature = HEXLOWER.decode(header.as_bytes()).map_err(|_| WebhookError::Forged)?;
    let genuine = secrets.iter().any(|secret| {
        let Ok(mut mac) = Hmac::<Sha512>::new_from_slice(secret.expose().as_bytes()) else { return false };
        mac.update(delivery.body);
        mac.verify_slice(&signature).is_ok()
    });
    if genuine { Ok(()) } else { Err(WebhookError::Forged) }
}

pub(in crate::gateways) fn notice(delivery: &Received<'_>) -> Result<Notice, WebhookError> {
    let malformed = |error: serde_json::Error| WebhookError::Malformed(error.into());
    let event: Event = serde_json::from_slice(delivery.body).map_err(malformed)?;
    let data = event.data;
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let identity = match data.get("id").filter(|id| !id.is_null()) {
        Some(id) => format!("{}|{id}|{}", event.event, data.get("status").and_then(text).unwrap_or_default()),
        // Refunds come without an id: then only the same bytes are the same event.
        None => String::from_utf8_lossy(delivery.body).into_owned(),
    };
    Ok(Notice {
        id: DeliveryId { gateway: Gateway::Paystack, event: HEXLOWER.encode(&Sha256::digest(identity)) },
        reference: reference(&event.event, &data),
        object: incoming(&event.event, &data).map(|(_, transfer)| transfer.to_owned()),
        kind: event.event,
        body: String::from_utf8_lossy(delivery.body).into_owned(),
    })
}

/// The account that a transfer came in on, and Paystack's own reference of it.
fn incoming<'a>(event: &str, data: &'a Value) -> Option<(&'a str, &'a str)> {
    let text = |path: &str| data.pointer(path).and_then(Value::as_str);
    let came_in = event == "charge.success" && text("/channel") == Some(CHANNEL);
    let account = text("/authorization/receiver_bank_account_number").filter(|_| came_in)?;
    Some((account, text("/reference")?))
}

/// The payment that `data` is about, or the account that money came in on.
fn reference(event: &str, data: &Value) -> Option<Reference> {
    let text = |path: &str| data.pointer(path).and_then(Value::as_str);
    let account = match event {
        // Paystack's own reference, which nobody has heard of before: whose it is, the account says.
        "charge.success" => incoming(event, data).map(|(account, _)| account),
        "dedicatedaccount.assign.success" => text("/dedicated_account/account_number"),
        _ => None,
    };
    let paystack = Gateway::Paystack.as_str();
    if let Some(account) = account {
        return Some(Reference::of_account(paystack, account));
    }
    let named = ["/transaction/reference", "/transaction_reference", "/reference"].into_iter().find_map(text)?;
    let of_transfer = || Reference::of_transfer(paystack, named);
    match Reference::try_from(named.to_owned()) {
        Ok(ours) => Some(ours),
        // Of a transfer that was taken in, if of anything.
        Err(_) => (event.starts_with("refund.") || event.starts_with("charge.dispute.")).then(of_transfer),
    }
}

#[derive(Deserialize)]
struct Event {
    event: String,
    /// Whatever the event is about, in the shape of that event: only what leads to a payment is looked for.
    #[serde(default)]
    data: Value,
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderMap;
    use jiff::Timestamp;

    const BODY: &[u8] = br#"{"event":"charge.success","data":{"id":1,"status":"success",
        "reference":"rabcdefghijklmnopqrstuvwxy"}}"#;

    fn signature(secret: &str, body: &[u8]) -> String {
        let mut mac = Hmac::<Sha512>::new_from_slice(secret.as_bytes()).unwrap_or_else(|_| unreachable!());
        mac.update(body);
        HEXLOWER.encode(&mac.finalize().into_bytes())
    }

    fn verified(header: &str, body: &[u8]) -> Result<(), WebhookError> {
        let mut headers = HeaderMap::new();
        headers.insert("x-paystack-signature", header.parse().unwrap_or_else(|error| panic!("{error}")));
        let secrets = [Secret::new("sk_test_new"), Secret::new("sk_test_old")];
        verify(&secrets, &Received { headers: &headers, body, at: Timestamp::UNIX_EPOCH })
    }

    #[test]
    fn either_key_of_a_rotation_may_have_signed() {
        for secret in ["sk_test_new", "sk_test_old"] {
            assert!(verified(&signature(secret, BODY), BODY).is_ok());
        }
        assert!(matches!(verified(&signature("sk_test_other", BODY), BODY), Err(WebhookError::Forged)));
    }

    #[test]
    fn s48_another_digest_spelling_or_length_is_forged() {
        let good = signature("sk_test_new", BODY);
        for header in [good.to_uppercase(), good[..64].to_owned(), format!("{good}00"), "zz".repeat(64)] {
            assert!(matches!(verified(&header, BODY), Err(WebhookError::Forged)), "{header}");
        }
        assert!(matches!(verified("", BODY), Err(WebhookError::Unsigned)));
    }

    fn identity(body: &[u8]) -> DeliveryId {
        let headers = HeaderMap::new();
        let delivery = Received { headers: &headers, body, at: Timestamp::UNIX_EPOCH };
        notice(&delivery).unwrap_or_else(|error| panic!("{error}")).id
    }

    #[test]
    fn an_event_of_any_shape_is_taken_in() {
        for data in [r#"[{"id":1}]"#, r#""text""#, "null", r#"{"id":null,"transaction":7,"reference":{}}"#] {
            identity(format!(r#"{{"event":"subscription.expiring_cards","data":{data}}}"#).as_bytes());
        }
    }

    fn names(event: &str, data: &str) -> Option<Reference> {
        let body = format!(r#"{{"event":"{event}","data":{data}}}"#);
        let headers = HeaderMap::new();
        let delivery = Received { headers: &headers, body: body.as_bytes(), at: Timestamp::UNIX_EPOCH };
        notice(&delivery).unwrap_or_else(|error| panic!("{error}")).reference
    }

    #[test]
    fn what_came_in_by_itself_leads_to_the_account_it_came_in_on() {
        let transfer = r#"{"id":1,"status":"success","reference":"100004","channel":"dedicated_nuban",
            "authorization":{"receiver_bank_account_number":"9900000001"}}"#;
        let account = Some(Reference::of_account("paystack", "9900000001"));
        assert_eq!(names("charge.success", transfer), account);
        let assigned = r#"{"dedicated_account":{"account_number":"9900000001"}}"#;
        assert_eq!(names("dedicatedaccount.assign.success", assigned), account);
    }

    #[test]
    fn what_became_of_a_transfer_leads_to_it_and_a_strangers_reference_nowhere() {
        let taken_in = Some(Reference::of_transfer("paystack", "100004"));
        assert_eq!(names("refund.processed", r#"{"transaction_reference":"100004"}"#), taken_in);
        assert_eq!(names("charge.dispute.create", r#"{"transaction":{"reference":"100004"}}"#), taken_in);
        assert_eq!(names("charge.success", r#"{"reference":"100004"}"#), None);
        let ours = names("refund.processed", r#"{"transaction_reference":"rabcdefghijklmnopqrstuvwxy"}"#);
        assert_eq!(ours.map(|it| it.to_string()).as_deref(), Some("rabcdefghijklmnopqrstuvwxy"));
    }

    #[test]
    fn the_same_event_has_the_same_id_however_it_is_spelled() {
        let text = String::from_utf8_lossy(BODY).into_owned();
        assert_eq!(identity(BODY), identity(text.replace(":1,", ": 1, ").as_bytes()));
        assert_ne!(identity(BODY), identity(text.replace(":1,", ":2,").as_bytes()));
        assert_ne!(identity(BODY), identity(text.replace("charge.success", "charge.dispute.create").as_bytes()));
    }
}
