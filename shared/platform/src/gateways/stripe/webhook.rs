//! Stripe's deliveries. <https://docs.stripe.com/webhooks#verify-manually>

use super::wire::{Expandable, Metadata, Named};
use crate::config::Secret;
use crate::gateways::{Received, WebhookError};
use billing::delivery::{DeliveryId, Notice};
use billing::id::Reference;
use billing::payment::Gateway;
use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit, Mac};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::Value;
use sha2::Sha256;

/// Older deliveries are refused, and so are those from the future.
const TOLERANCE: SignedDuration = SignedDuration::from_mins(5);

/// A header with more signatures than any rotation explains is not read.
const MOST_SIGNATURES: usize = 20;

/// Accepts a delivery that any of `secrets` signed, not long ago.
pub(in crate::gateways) fn verify(secrets: &[Secret], delivery: &Received<'_>) -> Result<(), WebhookError> {
    let header = delivery.header("stripe-signature")?;
    let fields: Vec<(&str, &str)> = header.split(',').filter_map(|field| field.split_once('=')).collect();
    let named = |wanted: &'static str| fields.iter().filter(move |(name, _)| *name == wanted).map(|(_, value)| *value);

    let mut times = named("t");
    let (Some(sent_at), None) = (times.next(), times.next()) else { return Err(WebhookError::Unsigned) };
    if named("v1").count() > MOST_SIGNATURES {
        return Err(WebhookError::Unsigned);
    }
    let signatures: Vec<Vec<u8>> = named("v1").filter_map(|hex| HEXLOWER.decode(hex.as_bytes()).ok()).collect();
    if named("v1").next().is_none() {
        return Err(WebhookError::Unsigned);
    }

    let genuine = secrets.iter().any(|secret| {
        // The whole secret, with its `whsec_`, is the key.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes()) else { return false };
        mac.update(sent_at.as_bytes());
        mac.update(b".");
        mac.update(delivery.body);
        signatures.iter().any(|signature| mac.clone().verify_slice(signature).is_ok())
    });
    if !genuine {
        return Err(WebhookError::Forged);
    }

    let sent_at: i64 = sent_at.parse().map_err(|_| WebhookError::Unsigned)?;
    let sent_at = Timestamp::from_second(sent_at).map_err(|_| WebhookError::Stale)?;
    // Whole seconds, as the signature has them: a delivery of exactly five minutes is accepted.
    let age = SignedDuration::from_secs(delivery.at.as_second() - sent_at.as_second());
    if age.abs() > TOLERANCE { Err(WebhookError::Stale) } else { Ok(()) }
}

/// What a verified delivery is about; if it does not say, its object is the intent that leads there. `live`: whether
/// our key is.
pub(in crate::gateways) fn notice(delivery: &Received<'_>, live: bool) -> Result<Notice, WebhookError> {
    let malformed = |error: serde_json::Error| WebhookError::Malformed(error.into());
    let event: Event = serde_json::from_slice(delivery.body).map_err(malformed)?;
    // An event of the other mode is about no payment of ours, whatever it names.
    let ours = event.livemode.is_none_or(|livemode| livemode == live);
    let object = event.data.object;
    let intent = object.intent().filter(|_| ours);
    let driven = object.driven();
    let reference = object.metadata.and_then(|it| it.reference).or(object.client_reference_id);
    let reference = reference.and_then(|reference| Reference::try_from(reference).ok()).or(driven);
    Ok(Notice {
        id: DeliveryId { gateway: Gateway::Stripe, event: event.id },
        kind: event.kind,
        reference: reference.filter(|_| ours),
        object: intent,
        body: String::from_utf8_lossy(delivery.body).into_owned(),
    })
}

#[derive(Deserialize)]
struct Event {
    id: String,
    #[serde(rename = "type")]
    kind: String,
    livemode: Option<bool>,
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    object: Object,
}

/// Whatever the event is about: a session, an intent, a charge, a refund, a dispute; or a subscription that Stripe
/// drives, and what belongs to one.
#[derive(Deserialize)]
struct Object {
    #[serde(default)]
    object: String,
    metadata: Option<Metadata>,
    client_reference_id: Option<String>,
    payment_intent: Option<Expandable<Named>>,
    #[serde(default)]
    id: Value,
    #[serde(default)]
    customer: Value,
    #[serde(default)]
    parent: Value,
}

impl Object {
    /// The subscription that this is about, or who pays for one.
    fn driven(&self) -> Option<Reference> {
        let named = |it: &Value| it.as_str().or_else(|| it["id"].as_str()).map(str::to_owned);
        let (of_driven, of_payer) = (Reference::of_driven, Reference::of_payer);
        let (reference, id): (fn(&str, &str) -> Reference, _) = match self.object.as_str() {
            "subscription" => (of_driven, named(&self.id)),
            "invoice" => (of_driven, named(&self.parent["subscription_details"]["subscription"])),
            "payment_method" | "setup_intent" => (of_payer, named(&self.customer)),
            _ => return None,
        };
        id.map(|id| reference(Gateway::Stripe.as_str(), &id))
    }

    /// Disputes, and refunds that someone made on Stripe's own pages, name their payment's intent only.
    fn intent(&self) -> Option<String> {
        let id = match self.payment_intent.as_ref()? {
            Expandable::Object(intent) => &intent.id,
            Expandable::Id(id) => id,
        };
        let leads_there = matches!(self.object.as_str(), "dispute" | "refund" | "charge");
        let is_one = id.starts_with("pi_") && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        (leads_there && is_one).then(|| id.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderMap;

    const SECRET: &str = "whsec_test";
    const BODY: &[u8] = br#"{"id":"evt_1","type":"payment_intent.succeeded","livemode":false,
        "data":{"object":{"id":"pi_1","metadata":{"reference":"rabcdefghijklmnopqrstuvwxy"}}}}"#;

    fn signature(secret: &str, sent_at: &str, body: &[u8]) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap_or_else(|_| unreachable!());
        mac.update(sent_at.as_bytes());
        mac.update(b".");
        mac.update(body);
        HEXLOWER.encode(&mac.finalize().into_bytes())
    }

    /// Verifies a delivery with that header, received at second 1,000.
    fn verified(header: &str, body: &[u8]) -> Result<(), WebhookError> {
        let mut headers = HeaderMap::new();
        headers.insert("stripe-signature", header.parse().unwrap_or_else(|error| panic!("{error}")));
        let at = Timestamp::from_second(1_000).unwrap_or_default();
        verify(&[Secret::new("whsec_other"), Secret::new(SECRET)], &Received { headers: &headers, body, at })
    }

    fn signed(sent_at: &str) -> String {
        format!("t={sent_at},v1={}", signature(SECRET, sent_at, BODY))
    }

    #[test]
    fn any_configured_secret_may_have_signed() {
        assert!(verified(&signed("1000"), BODY).is_ok());
    }

    #[test]
    fn s43_another_byte_is_another_body() {
        let altered: [&[u8]; 3] = [b"{}", &[BODY, b"\n"].concat(), &[b"\xef\xbb\xbf", BODY].concat()];
        for body in altered {
            assert!(matches!(verified(&signed("1000"), body), Err(WebhookError::Forged)));
        }
    }

    #[test]
    fn s44_five_minutes_are_accepted_and_a_second_more_is_not_either_way() {
        assert!(verified(&signed("700"), BODY).is_ok());
        assert!(verified(&signed("1300"), BODY).is_ok());
        assert!(matches!(verified(&signed("699"), BODY), Err(WebhookError::Stale)));
        assert!(matches!(verified(&signed("1301"), BODY), Err(WebhookError::Stale)));
    }

    #[test]
    fn s45_only_v1_counts_any_of_several_does_and_a_thousand_do_not() {
        let good = signature(SECRET, "1000", BODY);
        let bad = "00".repeat(32);
        assert!(matches!(verified(&format!("t=1000,v0={good}"), BODY), Err(WebhookError::Unsigned)));
        assert!(verified(&format!("t=1000,v1={bad},v1={good}"), BODY).is_ok());
        let thousand = format!("t=1000{}", format!(",v1={bad}").repeat(1_000));
        assert!(matches!(verified(&thousand, BODY), Err(WebhookError::Unsigned)));
    }

    #[test]
    fn what_is_not_a_signature_is_none() {
        let good = signature(SECRET, "1000", BODY);
        let upper = good.to_uppercase();
        for header in ["", "t=1000", "v1=", &format!("v1={good}"), &format!("t=1000,t=1000,v1={good}")] {
            assert!(matches!(verified(header, BODY), Err(WebhookError::Unsigned)), "{header}");
        }
        for header in [format!("t=1000,v1={upper}"), format!("t=1000,v1={}", &good[..32]), format!("t=01000,v1={good}")]
        {
            assert!(matches!(verified(&header, BODY), Err(WebhookError::Forged)), "{header}");
        }
    }

    #[test]
    fn s55_an_event_of_the_other_mode_names_no_payment_of_ours() {
        let headers = HeaderMap::new();
        let delivery = Received { headers: &headers, body: BODY, at: Timestamp::UNIX_EPOCH };
        assert!(notice(&delivery, false).is_ok_and(|notice| notice.reference.is_some()));
        assert!(notice(&delivery, true).is_ok_and(|notice| notice.reference.is_none()));
    }

    #[test]
    fn what_is_about_a_driven_subscription_leads_to_it_or_to_who_pays_for_it() {
        let reference = |object: &str, live| {
            let body =
                format!(r#"{{"id":"evt_1","type":"invoice.created","livemode":false,"data":{{"object":{object}}}}}"#);
            let headers = HeaderMap::new();
            let delivery = Received { headers: &headers, body: body.as_bytes(), at: Timestamp::UNIX_EPOCH };
            notice(&delivery, live).unwrap_or_else(|error| panic!("{error}")).reference
        };
        let (it, payer) = (Reference::of_driven("stripe", "sub_1"), Reference::of_payer("stripe", "cus_1"));
        let subscription = r#"{"object":"subscription","id":"sub_1","customer":"cus_1","metadata":{}}"#;
        let cases = [
            (subscription, Some(&it)),
            (
                r#"{"object":"invoice","id":"in_1","parent":{"subscription_details":{"subscription":"sub_1"}}}"#,
                Some(&it),
            ),
            (r#"{"object":"invoice","id":"in_1","customer":"cus_1","parent":null}"#, None),
            (r#"{"object":"payment_method","id":"pm_1","customer":"cus_1"}"#, Some(&payer)),
            (r#"{"object":"setup_intent","id":"seti_1","customer":{"id":"cus_1"}}"#, Some(&payer)),
            (r#"{"object":"payment_method","id":"pm_1","customer":null}"#, None),
            (r#"{"object":"customer","id":"cus_1","parent":7}"#, None),
        ];
        for (object, expected) in cases {
            assert_eq!(reference(object, false).as_ref(), expected, "{object}");
        }
        assert_eq!(reference(subscription, true), None, "of the other mode");
        let ours =
            r#"{"object":"setup_intent","customer":"cus_1","metadata":{"reference":"rabcdefghijklmnopqrstuvwxy"}}"#;
        assert_eq!(reference(ours, false).map(String::from).as_deref(), Some("rabcdefghijklmnopqrstuvwxy"));
    }

    #[test]
    fn what_names_only_an_intent_leads_there_by_it() {
        let intent = |object: &str, live| {
            let body = format!(
                r#"{{"id":"evt_1","type":"charge.dispute.created","livemode":false,"data":{{"object":{object}}}}}"#
            );
            let headers = HeaderMap::new();
            let delivery = Received { headers: &headers, body: body.as_bytes(), at: Timestamp::UNIX_EPOCH };
            notice(&delivery, live).unwrap_or_else(|error| panic!("{error}")).object
        };
        let dispute = r#"{"object":"dispute","metadata":{},"payment_intent":"pi_1"}"#;
        assert_eq!(intent(dispute, false).as_deref(), Some("pi_1"));
        assert_eq!(intent(dispute, true), None, "of the other mode");
        let expanded = r#"{"object":"refund","payment_intent":{"id":"pi_2"}}"#;
        assert_eq!(intent(expanded, false).as_deref(), Some("pi_2"));
        for other in [
            r#"{"object":"checkout.session","payment_intent":"pi_1"}"#,
            r#"{"object":"dispute","payment_intent":null}"#,
            r#"{"object":"charge","payment_intent":"pi_1/../../v1/customers"}"#,
        ] {
            assert_eq!(intent(other, false), None, "{other}");
        }
    }
}
