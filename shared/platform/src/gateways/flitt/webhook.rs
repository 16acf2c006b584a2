//! Flitt's deliveries, which it calls callbacks. <https://docs.flitt.com/api/callbacks/>
//!
//! They are an order as it is at that moment. No header, no timestamp, no event
//! id and no name of what happened: a replay does nothing, because what a
//! delivery says is never believed.

use super::params::Params;
use super::signature;
use crate::config::Secret;
use crate::gateways::{Received, WebhookError};
use billing::delivery::{DeliveryId, Notice};
use billing::id::Reference;
use billing::payment::Gateway;
use data_encoding::HEXLOWER;
use http::header::CONTENT_TYPE;
use sha2::{Digest, Sha256};

/// What any of `keys` vouches for: JSON, in an envelope or not, or a form.
pub(in crate::gateways) fn verify(keys: &[Secret], delivery: &Received<'_>) -> Result<Params, WebhookError> {
    let kind = delivery.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let params = match kind.to_ascii_lowercase().starts_with("application/x-www-form-urlencoded") {
        true => Params::from_form(delivery.body),
        false => Params::from_json(delivery.body),
    };
    signature::verified(keys, params.map_err(|error| WebhookError::Malformed(error.into()))?)
}

/// What a verified delivery is about. One for another merchant is not for us,
/// although whoever holds one key for two merchants could sign it (RELIABILITY S50).
pub(in crate::gateways) fn notice(
    params: &Params,
    merchant_id: &str,
    delivery: &Received<'_>,
) -> Result<Notice, WebhookError> {
    if params.text("merchant_id") != Some(merchant_id) {
        return Err(WebhookError::Malformed("it is not for our merchant".into()));
    }
    let identity = IDENTITY.map(|name| params.text(name).unwrap_or_default()).join("|");
    let reference = params.text("order_id").and_then(|order| Reference::try_from(order.to_owned()).ok());
    Ok(Notice {
        id: DeliveryId { gateway: Gateway::Flitt, event: HEXLOWER.encode(&Sha256::digest(identity)) },
        kind: kind(params),
        reference,
        object: None,
        body: String::from_utf8_lossy(delivery.body).into_owned(),
    })
}

/// What makes two deliveries the same event.
const IDENTITY: [&str; 6] = ["order_id", "payment_id", "tran_type", "order_status", "reversal_amount", "response_code"];

/// What happened, in words of ours: `purchase.approved`.
fn kind(params: &Params) -> String {
    let of = word(params.text("tran_type").unwrap_or("order"));
    let went_back = params.text("reversal_amount").is_some_and(|amount| amount != "0");
    match (params.text("order_status").unwrap_or("unknown"), params.text("response_code")) {
        ("processing", Some(_)) => format!("{of}.declined_try"),
        ("approved", _) if went_back && of != "reverse" => format!("{of}.partly_reversed"),
        (status, _) => format!("{of}.{}", word(status)),
    }
}

fn word(text: &str) -> String {
    let letters = text.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' });
    letters.take(32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderMap, HeaderValue};
    use jiff::Timestamp;

    const KEY: &str = "dEvFlittKey_0000000000000001";

    /// As Flitt's own servers sent it, and signed it with the key `test`.
    const EXPIRED: &str = concat!(
        r#"{"rrn": "", "masked_card": "", "sender_cell_phone": "", "sender_account": "", "currency": "USD", "#,
        r#""fee": "", "reversal_amount": "0", "settlement_amount": "0", "actual_amount": "", "#,
        r#""response_description": "", "sender_email": "", "order_status": "expired", "response_status": "#,
        r#""success", "order_time": "28.02.2018 19:18:16", "actual_currency": "", "order_id": "TestOrder2", "#,
        r#""tran_type": "purchase", "eci": "", "settlement_date": "", "payment_system": "", "approval_code": "#,
        r#""", "merchant_id": 1396424, "settlement_currency": "", "payment_id": 83456044, "card_bin": "", "#,
        r#""response_code": "", "card_type": "", "amount": "1000", "signature": "#,
        r#""268b8f189f97c85696134fe6ae0f7f5ab93f28d5", "product_id": "", "merchant_data": "", "rectoken": "", "#,
        r#""rectoken_lifetime": "", "verification_status": "", "parent_order_id": "", "fee_oplata": "0", "#,
        r#""additional_info": "{\"capture_status\": null, \"capture_amount\": null, \"reservation_data\": "#,
        r#"null, \"transaction_id\": null, \"bank_response_code\": null, \"bank_response_description\": null, "#,
        r#"\"client_fee\": null, \"settlement_fee\": 0.0, \"bank_name\": null, \"bank_country\": null, "#,
        r#"\"card_type\": null, \"card_product\": null, \"card_category\": null, \"timeend\": \"01.03.2018 "#,
        r#"05:18:17\", \"ipaddress_v4\": \"52.30.149.20\", \"payment_method\": null}"}"#,
    );

    const APPROVED: &str = concat!(
        r#"{"order_id": "ord-1", "merchant_id": 1549901, "order_status": "approved", "response_status": "#,
        r#""success", "amount": "1399", "actual_amount": "1399", "currency": "GEL", "actual_currency": "GEL", "#,
        r#""payment_id": 900000001, "card_bin": 444455, "masked_card": "444455XXXXXX1111", "card_type": "#,
        r#""VISA", "tran_type": "purchase", "reversal_amount": "0", "settlement_amount": "0", "fee": "", "#,
        r#""response_code": "", "response_description": "", "order_time": "06.11.2026 12:00:00", "rectoken": "#,
        r#""devRectoken0000000000000000000000000000001", "merchant_data": "{\"sub\":\"s-1\"}", "#,
        r#""additional_info": "{\"capture_status\": null, \"client_fee\": 0.0, \"is_test\": true, "#,
        r#"\"schemeid\": \"abc\"}", "response_signature_string": "**********|whatever", "signature": "#,
        r#""7d8b0b1924a5d2317111c844988d0103cd35ca4f"}"#,
    );

    /// Another order of the fields, indented, with Georgian spelled in ASCII.
    const ESCAPED: &str = r#"{
    "signature": "073b341cfa4ebae9310ece19cc7747120571dc7d",
    "response_signature_string": "**********|whatever",
    "additional_info": "{\"capture_status\": null, \"client_fee\": 0.0, \"is_test\": true, \"schemeid\": \"abc\"}",
    "merchant_data": "\u10e5\u10d0\u10e0\u10d7\u10e3\u10da\u10d8",
    "rectoken": "devRectoken0000000000000000000000000000001",
    "order_time": "06.11.2026 12:00:00",
    "response_description": "",
    "response_code": "",
    "fee": "",
    "settlement_amount": "0",
    "reversal_amount": "0",
    "tran_type": "purchase",
    "card_type": "VISA",
    "masked_card": "444455XXXXXX1111",
    "card_bin": 444455,
    "payment_id": 900000001,
    "actual_currency": "GEL",
    "currency": "GEL",
    "actual_amount": "1399",
    "amount": "1399",
    "response_status": "success",
    "order_status": "approved",
    "merchant_id": 1549901,
    "order_id": "ord-1"
}"#;

    const JSON: &str = "application/json; charset=UTF-8";

    fn received(key: &str, kind: &'static str, body: &str) -> Result<Notice, WebhookError> {
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(kind))]);
        let delivery = Received { headers: &headers, body: body.as_bytes(), at: Timestamp::UNIX_EPOCH };
        let params = verify(&[Secret::new("other"), Secret::new(key)], &delivery)?;
        let merchant = if key == "test" { "1396424" } else { "1549901" };
        notice(&params, merchant, &delivery)
    }

    fn signed(fields: &[(&'static str, &str)]) -> Params {
        let fields = fields.iter().map(|(name, value)| (*name, (*value).to_owned()));
        let params = Params::from_iter(fields.chain([("merchant_id", "1549901".to_owned())]));
        let signature = signature::sign(&Secret::new(KEY), &params);
        params.with("signature", signature)
    }

    fn told(fields: &[(&'static str, &str)]) -> Notice {
        let body = serde_json::to_string(&signed(fields)).unwrap_or_default();
        received(KEY, JSON, &body).unwrap_or_else(|error| panic!("{body}: {error}"))
    }

    #[test]
    fn what_flitt_signed_is_accepted_however_it_is_spelled() {
        for (key, body) in [("test", EXPIRED), (KEY, APPROVED), (KEY, ESCAPED)] {
            let notice = received(key, JSON, body).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(notice.body, body);
        }
        let kinds =
            [("test", EXPIRED), (KEY, APPROVED)].map(|(key, body)| received(key, JSON, body).map(|it| it.kind).ok());
        assert_eq!(kinds, [Some("purchase.expired".to_owned()), Some("purchase.approved".to_owned())]);
    }

    #[test]
    fn what_was_changed_or_is_not_signed_is_refused() {
        let unsigned = APPROVED.replace(r#", "signature": "7d8b0b1924a5d2317111c844988d0103cd35ca4f""#, "");
        assert!(matches!(received(KEY, JSON, &unsigned), Err(WebhookError::Unsigned)));
        for (from, to) in [
            ("7d8b0b1924a5d2317111c844988d0103cd35ca4f", "43ee7b71198ec46021e4f5eb921bcbcd0f4cc42b"),
            (r#""approved""#, r#""declined""#),
            ("0.0", "0"),
            (r#""1399""#, r#""1""#),
            ("900000001", "900000001.0"),
        ] {
            assert!(matches!(received(KEY, JSON, &APPROVED.replace(from, to)), Err(WebhookError::Forged)), "{to}");
        }
        assert!(matches!(received("test", JSON, APPROVED), Err(WebhookError::Forged)));
    }

    #[test]
    fn a_body_that_means_two_things_is_malformed() {
        let start = r#"{"order_id": "ord-1", "#;
        for (body, kind) in [
            (APPROVED.replacen(start, r#"{"order_id": "ord-2", "order_id": "ord-1", "#, 1), JSON),
            (APPROVED.replacen(start, r#"{"order_id": "ord-1", "capture": true, "#, 1), JSON),
            (APPROVED.replacen(start, r#"{"order_id": "ord-1", "receiver": {}, "#, 1), JSON),
            (format!("\u{feff}{APPROVED}"), JSON),
            ("order_id=1&order_id=2".to_owned(), "application/x-www-form-urlencoded"),
        ] {
            assert!(matches!(received(KEY, kind, &body), Err(WebhookError::Malformed(_))), "{body}");
        }
    }

    #[test]
    fn s50_an_order_of_another_merchant_is_not_for_us() {
        let other = Params::from_iter([("order_id", "ord-1".to_owned()), ("merchant_id", "1549902".to_owned())]);
        let signature = signature::sign(&Secret::new(KEY), &other);
        let body = serde_json::to_string(&other.with("signature", signature)).unwrap_or_default();
        assert!(matches!(received(KEY, JSON, &body), Err(WebhookError::Malformed(_))));
    }

    #[test]
    fn an_envelope_a_form_and_an_encoded_order_are_the_same_event() {
        let fields = [("order_id", "rabcdefghijklmnopqrstuvwxy"), ("order_status", "approved"), ("amount", "13 99")];
        let flat = told(&fields);
        assert_eq!(flat.reference.as_ref().map(Reference::as_str), Some("rabcdefghijklmnopqrstuvwxy"));

        let params = signed(&fields);
        let wrapped = serde_json::json!({ "response": params }).to_string();
        let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(params.iter()).finish();
        let order = serde_json::json!({ "order": params }).to_string();
        let data = data_encoding::BASE64.encode(order.as_bytes());
        let signature = signature::sign_data(&Secret::new(KEY), &data);
        let encoded = serde_json::json!({ "version": "2.0", "data": data, "signature": signature }).to_string();
        for (kind, body) in [(JSON, wrapped), ("application/x-www-form-urlencoded", form), (JSON, encoded)] {
            let notice = received(KEY, kind, &body).unwrap_or_else(|error| panic!("{body}: {error}"));
            assert_eq!((&notice.id, &notice.reference), (&flat.id, &flat.reference));
        }
    }

    #[test]
    fn what_happened_is_told_by_the_fields_together() {
        let cases: [(&str, &str, &str, &str, &str); 8] = [
            ("purchase", "approved", "0", "", "purchase.approved"),
            ("purchase", "processing", "0", "", "purchase.processing"),
            ("purchase", "processing", "0", "1000", "purchase.declined_try"),
            ("purchase", "declined", "0", "1000", "purchase.declined"),
            ("purchase", "approved", "399", "", "purchase.partly_reversed"),
            ("reverse", "approved", "399", "", "reverse.approved"),
            ("verification", "reversed", "100", "", "verification.reversed"),
            ("P2P credit\n", "", "", "", "p2p_credit_.unknown"),
        ];
        for (of, status, reversed, code, kind) in cases {
            let fields =
                [("tran_type", of), ("order_status", status), ("reversal_amount", reversed), ("response_code", code)];
            assert_eq!(told(&fields).kind, kind);
        }
    }

    #[test]
    fn the_same_again_is_the_same_event_and_a_later_one_is_not() {
        let approved = [("order_id", "ord-1"), ("order_status", "approved"), ("reversal_amount", "0"), ("rrn", "1")];
        let later = |name, value| {
            let mut fields = approved;
            fields.iter_mut().filter(|(it, _)| *it == name).for_each(|(_, it)| *it = value);
            told(&fields).id
        };
        assert_eq!(told(&approved).id, later("rrn", "2"));
        assert_ne!(told(&approved).id, later("reversal_amount", "399"));
        assert_ne!(told(&approved).id, later("order_status", "reversed"));
        assert_ne!(told(&approved).id, later("order_id", "ord-2"));
    }
}
