//! Each gateway's signature, written apart from the adapters'.

use data_encoding::{BASE64, HEXLOWER};
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, HeaderName};
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject;
use serde_json::value::RawValue;
use sha1::{Digest, Sha1};
use sha2::{Sha256, Sha512};
use std::collections::BTreeMap;

pub(crate) const CERTIFICATE_URL: &str = "https://api.sandbox.paypal.com/v1/notifications/certs/CERT-fuzz-0001";
pub(crate) const CHAIN: &str = include_str!("../../gateway-simulator/testdata/paypal/chain.pem");
pub(crate) const ROOT: &str = include_str!("../../gateway-simulator/testdata/paypal/root.pem");
const KEY: &str = include_str!("../../gateway-simulator/testdata/paypal/key.pem");

/// When the certificates are valid, in seconds: 2020 to 2120.
pub(crate) const VALID: std::ops::RangeInclusive<i64> = 1_577_836_800..=4_733_510_400;

pub(crate) fn stripe(secret: &str, body: &[u8], sent_at: i64) -> HeaderMap {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any key");
    mac.update(format!("{sent_at}.").as_bytes());
    mac.update(body);
    headers([("stripe-signature", format!("t={sent_at},v1={}", HEXLOWER.encode(&mac.finalize().into_bytes())))])
}

pub(crate) fn paystack(secret: &str, body: &[u8]) -> HeaderMap {
    let mut mac = Hmac::<Sha512>::new_from_slice(secret.as_bytes()).expect("any key");
    mac.update(body);
    headers([("x-paystack-signature", HEXLOWER.encode(&mac.finalize().into_bytes()))])
}

pub(crate) fn paypal(webhook_id: &str, body: &[u8]) -> HeaderMap {
    let (id, time) = ("7a3b1c90-b9f1-11f0-9d1e-0242ac120002", "2026-11-06T21:19:56Z");
    let key = PrivatePkcs8KeyDer::from_pem_slice(KEY.as_bytes()).expect("a key");
    let key = RsaKeyPair::from_pkcs8(key.secret_pkcs8_der()).expect("an RSA key");
    let mut signature = vec![0; key.public().modulus_len()];
    let message = format!("{id}|{time}|{webhook_id}|{}", crc32(body));
    key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message.as_bytes(), &mut signature).expect("signed");
    headers([
        ("paypal-transmission-id", id.to_owned()),
        ("paypal-transmission-time", time.to_owned()),
        ("paypal-transmission-sig", BASE64.encode(&signature)),
        ("paypal-cert-url", CERTIFICATE_URL.to_owned()),
        ("paypal-auth-algo", "SHA256withRSA".to_owned()),
        ("paypal-auth-version", "v2".to_owned()),
    ])
}

/// All that PayPal signs of a body.
pub(crate) fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 };
    !bytes.iter().fold(u32::MAX, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), step))
}

/// All that Flitt signs of a message: its values in the order of their names. None:
/// something in it cannot be signed.
pub(crate) fn flitt_source(json: &[u8]) -> Option<Vec<String>> {
    let mut fields: BTreeMap<String, Box<RawValue>> = serde_json::from_slice(json).ok()?;
    if let (1, Some(inner)) = (fields.len(), fields.get("response")) {
        fields = serde_json::from_str(inner.get()).ok()?;
    }
    fields.retain(|name, _| name != "signature" && name != "response_signature_string");
    let texts = fields.values().map(|value| match value.get() {
        "null" => Some(String::new()),
        text if text.starts_with('"') => serde_json::from_str(text).ok(),
        text if text.starts_with(['{', '[', 't', 'f']) => None,
        number => Some(number.to_owned()),
    });
    let texts: Option<Vec<String>> = texts.collect();
    texts.map(|texts| texts.into_iter().filter(|text| !text.is_empty()).collect())
}

pub(crate) fn flitt(key: &str, values: &[String]) -> String {
    let source = [&[key.to_owned()], values].concat().join("|");
    HEXLOWER.encode(&Sha1::digest(source))
}

fn headers<const N: usize>(pairs: [(&'static str, String); N]) -> HeaderMap {
    let pairs = pairs.into_iter();
    pairs.map(|(name, value)| (HeaderName::from_static(name), value.parse().expect("a header"))).collect()
}
