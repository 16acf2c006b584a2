//! Flitt's signatures. <https://docs.flitt.com/api/building-signature/>
//!
//! Protocol 1.0 signs the values of a message in the order of their names, and
//! not the names: who has seen one message can make another of its values under
//! other names, and it verifies (RELIABILITY S49). So nothing that a delivery
//! says is believed. Protocol 2.0 signs one encoded text: what it encodes is
//! vouched for, and what stands beside it is not.

use super::params::Params;
use crate::config::Secret;
use crate::gateways::WebhookError;
use data_encoding::HEXLOWER;
use hmac::digest::{CtOutput, Output};
use sha1::{Digest, Sha1};

/// The signature itself, and what test mode tells of how it came about.
const UNSIGNED: [&str; 2] = ["signature", "response_signature_string"];

/// Protocol 1.0.
pub(in crate::gateways) fn sign(key: &Secret, params: &Params) -> String {
    hex(digest(key, values(params)))
}

/// Protocol 2.0.
pub(in crate::gateways) fn sign_data(key: &Secret, data: &str) -> String {
    hex(digest(key, [data].into_iter()))
}

/// What any of `keys` vouches for in `params`: two are valid while one is being rotated.
pub(in crate::gateways) fn verified(keys: &[Secret], params: Params) -> Result<Params, WebhookError> {
    let signature = params.text("signature").ok_or(WebhookError::Unsigned)?;
    // Lower case only: one signature, one spelling.
    let signature = HEXLOWER.decode(signature.as_bytes()).map_err(|_| WebhookError::Forged)?;
    let signature = Output::<Sha1>::try_from(signature.as_slice()).map_err(|_| WebhookError::Forged)?;
    let signature = CtOutput::<Sha1>::new(signature); // compared in constant time

    let data = params.text("data").filter(|_| params.text("version") == Some("2.0"));
    let genuine = keys.iter().any(|key| match data {
        Some(data) => digest(key, [data].into_iter()) == signature,
        None => digest(key, values(&params)) == signature,
    });
    match (genuine, data) {
        (false, _) => Err(WebhookError::Forged),
        (true, Some(data)) => Params::from_data(data).map_err(|error| WebhookError::Malformed(error.into())),
        (true, None) => Ok(params),
    }
}

/// What is signed, in the order in which it is: what is empty is left out, with its separator.
fn values(params: &Params) -> impl Iterator<Item = &str> {
    params.iter().filter(|(name, value)| !value.is_empty() && !UNSIGNED.contains(name)).map(|(_, value)| value)
}

fn digest<'a>(key: &Secret, values: impl Iterator<Item = &'a str>) -> CtOutput<Sha1> {
    let mut sha1 = Sha1::new();
    sha1.update(key.expose());
    for value in values {
        sha1.update("|");
        sha1.update(value);
    }
    CtOutput::new(sha1.finalize())
}

fn hex(digest: CtOutput<Sha1>) -> String {
    HEXLOWER.encode(&digest.into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "dEvFlittKey_0000000000000001";

    fn params(json: &str) -> Params {
        Params::from_json(json.as_bytes()).unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn requests_are_signed_as_flitt_signs_them() {
        let recurring = r#"{"order_id":"test_recurring_payment123","order_desc":"Debit by token transaction",
            "currency":"GEL","amount":"4600","rectoken":"I0wh7fBmFIdcY6K3Px2QugVrVR65sPafeZkPmRanOiRnXG",
            "merchant_id":"1549901"}"#;
        let signature = sign(&Secret::new("test"), &params(recurring));
        assert_eq!(signature, "34cda2e7a60c5aee343515fde5deef5403f87f86");
    }

    #[test]
    fn what_is_empty_is_left_out_and_zero_is_not_empty() {
        let order = r#"{"order_id":"ord-1","order_desc":"გამოწერა Pro – თვე","currency":"GEL","amount":1399,
            "merchant_id":1549901,"sender_email":"","product_id":"0","lifetime":3600,"rectoken":null,
            "response_url":"https://shop.example/ty?a=1&b=2"}"#;
        assert_eq!(sign(&Secret::new(KEY), &params(order)), "f5a438fe6da2a31ff7f04ec6fbae76c24bc5ff04");
    }

    #[test]
    fn any_payment_key_may_have_signed_and_no_other() {
        let keys = [Secret::new("new"), Secret::new("old")];
        let signed = |key: &str| {
            let plain = Params::from_iter([("order_id", "ord-1".to_owned())]);
            let signature = sign(&Secret::new(key), &plain);
            Params::from_iter([("order_id", "ord-1".to_owned()), ("signature", signature)])
        };
        assert!(verified(&keys, signed("new")).is_ok() && verified(&keys, signed("old")).is_ok());
        assert!(matches!(verified(&keys, signed("other")), Err(WebhookError::Forged)));
        assert!(matches!(verified(&[], signed("new")), Err(WebhookError::Forged)));
    }

    #[test]
    fn a_signature_has_one_spelling() {
        let good = sign(&Secret::new(KEY), &Params::from_iter([("order_id", "ord-1".to_owned())]));
        let with = |signature: &str| {
            let signed = [("order_id", "ord-1".to_owned()), ("signature", signature.to_owned())];
            verified(&[Secret::new(KEY)], Params::from_iter(signed))
        };
        assert!(with(&good).is_ok());
        for other in [good.to_uppercase(), good[..38].to_owned(), format!("{good}00"), "zz".repeat(20)] {
            assert!(matches!(with(&other), Err(WebhookError::Forged)), "{other}");
        }
        assert!(matches!(with(""), Err(WebhookError::Unsigned)));
    }

    #[test]
    fn s49_names_are_not_signed_so_a_relabelled_message_verifies() {
        let genuine = params(r#"{"amount":"200","order_id":"ord-1","rrn":"123456"}"#);
        let signature = sign(&Secret::new(KEY), &genuine);
        let relabelled =
            format!(r#"{{"a":"200","actual_amount":"ord-1","amount":"123456","signature":"{signature}"}}"#);
        assert!(verified(&[Secret::new(KEY)], params(&relabelled)).is_ok());
    }

    #[test]
    fn of_an_encoded_message_only_what_it_encodes_is_believed() {
        let order = r#"{"order":{"order_id":"ord-1","order_status":"declined","receiver":{"requisites":[]}}}"#;
        let data = data_encoding::BASE64.encode(order.as_bytes());
        let signature = sign_data(&Secret::new(KEY), &data);
        let encoded = params(&format!(
            r#"{{"response":{{"version":"2.0","data":"{data}","signature":"{signature}","order_status":"approved"}}}}"#
        ));
        let believed = verified(&[Secret::new(KEY)], encoded).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(believed.text("order_status"), Some("declined"));
        assert_eq!(believed.text("data"), None);
    }
}
