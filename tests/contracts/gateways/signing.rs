//! Deliveries as the gateways would sign them, had they that secret: written from
//! their documentation, and not with the code that verifies them.

use super::desk::{FLITT_MERCHANT, PAYPAL_CERTIFICATE, secret};
use billing::payment::Gateway;
use data_encoding::{BASE64, HEXLOWER};
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, HeaderName};
use jiff::Timestamp;
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use serde_json::{Map, Value, json};
use sha1::{Digest, Sha1};
use sha2::{Sha256, Sha512};

/// A delivery: what a gateway sends.
#[derive(Clone, Debug)]
pub(crate) struct Delivery {
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

/// An event of that kind, about nothing of ours. Flitt names none: there it is what the fields together say.
pub(crate) fn event(gateway: Gateway, kind: &str) -> Vec<u8> {
    let event = match gateway {
        Gateway::Stripe => json!({"id": "evt_1", "type": kind, "livemode": false, "data": {"object": {"id": "x_1"}}}),
        Gateway::Paystack => json!({"event": kind, "data": {"id": 7}}),
        Gateway::Flitt => {
            let (of, status) = kind.split_once('.').expect("a kind of two words");
            json!({"order_id": "a-shop-1", "merchant_id": 1_549_901, "tran_type": of, "order_status": status})
        }
        Gateway::PayPal => json!({"id": "WH-1", "event_type": kind, "resource": {"id": "X1"}}),
    };
    event.to_string().into_bytes()
}

/// `body`, signed by `gateway` with `secret`, now.
pub(crate) fn signed(gateway: Gateway, secret: &str, body: &[u8]) -> Delivery {
    let time = Timestamp::now().as_second();
    let headers = match gateway {
        Gateway::Stripe => header("stripe-signature", &format!("t={time},v1={}", stripe(secret, time, body))),
        Gateway::Paystack => header("x-paystack-signature", &paystack(secret, body)),
        Gateway::Flitt => {
            let headers = header("content-type", "application/json; charset=UTF-8");
            return Delivery { headers, body: flitt_body(secret, body) };
        }
        Gateway::PayPal => paypal(secret, body),
    };
    Delivery { headers, body: body.to_vec() }
}

pub(crate) fn header(name: &'static str, value: &str) -> HeaderMap {
    HeaderMap::from_iter([(HeaderName::from_static(name), value.parse().expect("a value"))])
}

pub(crate) fn stripe(secret: &str, time: i64, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("a key");
    mac.update(format!("{time}.").as_bytes());
    mac.update(body);
    HEXLOWER.encode(&mac.finalize().into_bytes())
}

pub(crate) fn paystack(secret: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha512>::new_from_slice(secret.as_bytes()).expect("a key");
    mac.update(body);
    HEXLOWER.encode(&mac.finalize().into_bytes())
}

/// The values in the order of their names, without what is empty.
pub(crate) fn flitt(key: &str, fields: &Map<String, Value>) -> String {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let mut named: Vec<_> = fields.iter().filter(|(name, _)| *name != "signature").collect();
    named.sort_by_key(|(name, _)| *name);
    let values = named.into_iter().map(|(_, value)| text(value)).filter(|text| !text.is_empty() && text != "null");
    let signed = std::iter::once(key.to_owned()).chain(values).collect::<Vec<_>>().join("|");
    HEXLOWER.encode(&Sha1::digest(signed))
}

/// What is not an object has nowhere to be signed.
fn flitt_body(key: &str, body: &[u8]) -> Vec<u8> {
    let Ok(Value::Object(mut fields)) = serde_json::from_slice(body) else { return body.to_vec() };
    let signature = flitt(key, &fields);
    fields.insert("signature".to_owned(), signature.into());
    Value::Object(fields).to_string().into_bytes()
}

/// As the merchant asks Flitt.
pub(crate) fn flitt_request(body: &Value) -> Value {
    let mut fields = body.as_object().cloned().unwrap_or_default();
    fields.insert("merchant_id".to_owned(), FLITT_MERCHANT.into());
    let signature = flitt(secret(Gateway::Flitt), &fields);
    fields.insert("signature".to_owned(), signature.into());
    Value::Object(fields)
}

/// For the webhook with that id, by the key that the simulator's certificate is for.
fn paypal(webhook: &str, body: &[u8]) -> HeaderMap {
    let (id, time) = ("5d3e1f00-0000-11f1-8000-000000000001", "2026-11-21T12:00:00Z");
    let message = format!("{id}|{time}|{webhook}|{}", crc32(body));
    let key = include_str!("../../gateway-simulator/testdata/paypal/key.pem");
    let der: String = key.lines().filter(|line| !line.starts_with("-----")).collect();
    let key = RsaKeyPair::from_pkcs8(&BASE64.decode(der.as_bytes()).expect("base64")).expect("a key");
    let mut signature = vec![0; key.public().modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message.as_bytes(), &mut signature).expect("signed");
    let headers = [
        ("paypal-transmission-id", id),
        ("paypal-transmission-time", time),
        ("paypal-transmission-sig", &BASE64.encode(&signature)),
        ("paypal-cert-url", PAYPAL_CERTIFICATE),
        ("paypal-auth-algo", "SHA256withRSA"),
        ("paypal-auth-version", "v2"),
    ];
    headers.into_iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().expect("a value"))).collect()
}

/// As zlib computes it.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 };
    !bytes.iter().fold(u32::MAX, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), step))
}
