//! How PayPal proves where a webhook comes from: a certificate, and a signature over what was transmitted.
//!
//! The key and the certificates were made for these tests. No one else trusts their root.

use crate::gateway::Answer;
use crate::state::State;
use data_encoding::{BASE64, HEXLOWER};
use ring::rand::SystemRandom;
use ring::signature::{KeyPair, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaKeyPair, UnparsedPublicKey};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::sync::LazyLock;

const ALGORITHM: &str = "SHA256withRSA";
const CERTIFICATE: &str = "CERT-5117a7e0-70e57000-c0ffee01";
const CERTIFICATE_URL: &str = "https://api.sandbox.paypal.com/v1/notifications/certs/CERT-5117a7e0-70e57000-c0ffee01";
/// The leaf and the authority above it.
const CHAIN: &str = include_str!("../../testdata/paypal/chain.pem");
const ROOT: &str = include_str!("../../testdata/paypal/root.pem");

static KEY: LazyLock<Option<RsaKeyPair>> = LazyLock::new(|| {
    let key = PrivatePkcs8KeyDer::from_pem_slice(include_bytes!("../../testdata/paypal/key.pem")).ok()?;
    RsaKeyPair::from_pkcs8(key.secret_pkcs8_der()).ok()
});

/// CRC-32 as zlib computes it.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 };
    !bytes.iter().fold(u32::MAX, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), step))
}

fn message(id: &str, time: &str, webhook: &str, body: &str) -> String {
    format!("{id}|{time}|{webhook}|{}", crc32(body.as_bytes()))
}

/// The headers that prove where a webhook comes from. Its transmission's id stays an event's own, however often it is sent.
pub(crate) fn headers(state: &State, body: &str) -> Vec<(&'static str, String)> {
    let digest = HEXLOWER.encode(&Sha256::digest(body));
    let part = |from: usize, to: usize| digest.get(from..to).unwrap_or_default();
    let id = [part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32)].join("-");
    let time = super::time(state);
    let message = message(&id, &time, &state.settings.paypal.webhook_id, body);
    // Without a key the empty signature would never verify.
    let signature = KEY.as_ref().map_or_else(String::new, |key| {
        let mut signature = vec![0; key.public().modulus_len()];
        let signed = key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message.as_bytes(), &mut signature);
        signed.map_or_else(|_| String::new(), |()| BASE64.encode(&signature))
    });
    vec![
        ("paypal-transmission-id", id),
        ("paypal-transmission-time", time),
        ("paypal-transmission-sig", signature),
        ("paypal-cert-url", CERTIFICATE_URL.to_owned()),
        ("paypal-auth-algo", ALGORITHM.to_owned()),
        ("paypal-auth-version", "v2".to_owned()),
    ]
}

/// Is this one of our own? `event` is the event as it was written in the question.
pub(super) fn verifies(state: &State, asked: &Value, event: &str) -> bool {
    let text = |name: &str| asked[name].as_str().unwrap_or_default();
    let message = message(text("transmission_id"), text("transmission_time"), text("webhook_id"), event);
    let known = text("auth_algo") == ALGORITHM
        && text("cert_url") == CERTIFICATE_URL
        && text("webhook_id") == state.settings.paypal.webhook_id;
    let signature = BASE64.decode(text("transmission_sig").as_bytes());
    match (KEY.as_ref(), signature) {
        (Some(key), Ok(signature)) if known => {
            let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key.public_key());
            public.verify(message.as_bytes(), &signature).is_ok()
        }
        _ => false,
    }
}

/// `GET /v1/notifications/certs/{id}`: public, and cacheable for a day.
pub(super) fn certificate(id: &str) -> Option<Answer> {
    let answer = Answer::html(200, CHAIN.to_owned()).with("content-type", "application/x-pem-file");
    (id == CERTIFICATE).then(|| answer.with("cache-control", "public,max-age=86400"))
}

/// For deployments that are to trust the simulator as they trust PayPal.
pub(crate) fn certificates() -> Value {
    json!({"url": CERTIFICATE_URL, "chain": CHAIN, "root": ROOT})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_zlibs() {
        for (text, sum) in
            [("", 0), ("123456789", 3_421_780_262), ("The quick brown fox jumps over the lazy dog", 0x414F_A339)]
        {
            assert_eq!(crc32(text.as_bytes()), sum, "{text}");
        }
    }
}
