//! What is signed is accepted, and nothing else: each input is a body, and eight
//! bytes that say in what way what was signed is then changed.

use crate::signers::{self, CERTIFICATE_URL, CHAIN, ROOT};
use billing::payment::Gateway;
use data_encoding::BASE64;
use http::{HeaderMap, HeaderValue};
use jiff::Timestamp;
use platform::config::Secret;
use platform::gateways::{Received, verification};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::LazyLock;

const SECRET: &str = "whsec_fuzz";
const OTHER: &str = "whsec_other";
const NOW: i64 = 1_794_000_000;
const TOLERANCE: u32 = 300;

pub(crate) fn run(gateway: Gateway, input: &[u8]) {
    let Some((body, control)) = input.split_last_chunk::<8>() else { return };
    let change = Change::of(*control);
    match gateway {
        Gateway::Stripe => by_header(gateway, body, &change, |secret, at| signers::stripe(secret, body, at)),
        Gateway::Paystack => by_header(gateway, body, &change, |secret, _| signers::paystack(secret, body)),
        Gateway::Flitt => in_the_body(body, &change),
        Gateway::PayPal => by_certificate(body, &change),
    }
}

/// What is done to something that was signed.
struct Change {
    how: u8,
    byte: u8,
    place: usize,
    seconds: i32,
}

impl Change {
    fn of([how, byte, a, b, seconds @ ..]: [u8; 8]) -> Self {
        Self { how, byte, place: usize::from(u16::from_le_bytes([a, b])), seconds: i32::from_le_bytes(seconds) }
    }

    /// Another text than `of`, by one byte, or one that is gone or too many; or the same one.
    fn made(&self, of: &[u8]) -> Vec<u8> {
        let mut changed = of.to_vec();
        let place = self.place % (of.len() + 1);
        match self.how / 8 % 4 {
            0 => changed.insert(place, self.byte),
            1 if place < of.len() => changed[place] = self.byte,
            2 if place < of.len() => drop(changed.remove(place)),
            _ => changed.truncate(place),
        }
        changed
    }

    /// The headers with one byte of one of their values replaced, and whether that made them others.
    fn replaced(&self, headers: &HeaderMap) -> Option<HeaderMap> {
        let (name, value) = headers.iter().nth(usize::from(self.byte) % headers.len())?;
        let mut text = value.as_bytes().to_vec();
        let place = self.place % text.len();
        text[place] = self.seconds.to_le_bytes()[0];
        let mut changed = headers.clone();
        changed.insert(name, HeaderValue::from_bytes(&text).ok()?);
        (changed != *headers).then_some(changed)
    }
}

/// The secret of each gateway, as it would be kept, by what deliveries are signed with or for.
static KEYS: LazyLock<BTreeMap<(Gateway, &str), Secret>> = LazyLock::new(|| {
    let pairs = Gateway::ALL.into_iter().flat_map(|gateway| [SECRET, OTHER].map(|secret| (gateway, secret)));
    pairs.map(|(gateway, secret)| ((gateway, secret), keys(gateway, secret))).collect()
});

fn keys(gateway: Gateway, secret: &str) -> Secret {
    let keys = match gateway {
        Gateway::Stripe | Gateway::Paystack => json!({"secret_key": "sk_test_fuzz", "webhook_secrets": [secret]}),
        Gateway::Flitt => json!({"merchant_id": 1_549_901, "payment_keys": [secret]}),
        Gateway::PayPal => json!({
            "client_id": "fuzz", "client_secret": "fuzz", "webhook_ids": [secret],
            "certificates": {CERTIFICATE_URL: CHAIN}, "roots": [ROOT],
        }),
    };
    Secret::new(keys.to_string())
}

fn accepted(gateway: Gateway, secret: &'static str, headers: &HeaderMap, body: &[u8], at: i64) -> bool {
    let at = Timestamp::from_second(at).expect("a time");
    verification::verify(gateway, &KEYS[&(gateway, secret)], false, &Received { headers, body, at }).is_ok()
}

/// Stripe and Paystack: a header over the very bytes.
fn by_header(gateway: Gateway, body: &[u8], change: &Change, sign: impl Fn(&str, i64) -> HeaderMap) {
    let headers = sign(SECRET, NOW);
    match change.how % 8 {
        0 => {
            let late = change.seconds.unsigned_abs() > TOLERANCE && gateway == Gateway::Stripe;
            let at = NOW + i64::from(change.seconds);
            assert_eq!(accepted(gateway, SECRET, &headers, body, at), !late, "{} s", change.seconds);
        }
        1 => assert!(!accepted(gateway, OTHER, &headers, body, NOW), "by another secret"),
        2 | 3 => {
            if let Some(changed) = change.replaced(&headers) {
                assert!(!accepted(gateway, SECRET, &changed, body, NOW), "{changed:?}");
            }
        }
        4 => {
            // Whatever stands in the header: without the right signature in it, it is refused.
            let (value, body) = body.split_at(change.place.min(body.len()));
            let name = headers.keys().next().expect("a header").clone();
            let Ok(value) = HeaderValue::from_bytes(value) else { return };
            let headers = HeaderMap::from_iter([(name, value)]);
            assert!(!accepted(gateway, SECRET, &headers, body, NOW), "{headers:?}");
        }
        _ => {
            let changed = change.made(body);
            assert_eq!(accepted(gateway, SECRET, &headers, &changed, NOW), changed == body);
        }
    }
}

/// Flitt: a field over the values of the others, or over encoded data.
fn in_the_body(body: &[u8], change: &Change) {
    let plain = HeaderMap::new();
    let accepted = |secret: &'static str, body: &[u8]| accepted(Gateway::Flitt, secret, &plain, body, NOW);
    match (change.how % 8, signers::flitt_source(body)) {
        // Nobody signed it, but by chance a genuine one is among the seeds: those have other keys.
        (0, _) | (_, None) => assert!(!accepted(SECRET, body), "not signed"),
        (1, Some(_)) => {
            let data = BASE64.encode(&[br#"{"order":"#, body, b"}"].concat());
            let whole = |data: &str| {
                let signature = signers::flitt(SECRET, &[data.to_owned()]);
                json!({"version": "2.0", "data": data, "signature": signature, "order_status": "approved"}).to_string()
            };
            let signed = whole(&data);
            let headers = HeaderMap::new();
            let at = Timestamp::UNIX_EPOCH;
            let believed = |body: &[u8]| {
                let delivery = Received { headers: &headers, body, at };
                verification::believed_of_flitt(&[Secret::new(SECRET)], &delivery).ok()
            };
            let beside = signed.replace(r#","order_status":"approved""#, "");
            assert_eq!(believed(signed.as_bytes()), believed(beside.as_bytes()));
            let other = String::from_utf8_lossy(&change.made(data.as_bytes())).into_owned();
            if other != data {
                assert!(!accepted(SECRET, signed.replace(&data, &other).as_bytes()), "{other}");
            }
        }
        (_, Some(_)) => {
            let Some((signed, source)) = signed_by_flitt(body) else { return };
            assert!(accepted(SECRET, &signed), "{}", String::from_utf8_lossy(&signed));
            assert!(!accepted(OTHER, &signed), "by another key");
            let changed = change.made(&signed);
            // Names and layout are not signed: the values, and their order, are.
            if accepted(SECRET, &changed) {
                let said = signers::flitt_source(&changed).map(|values| values.join("|"));
                assert_eq!(said, Some(source), "{}", String::from_utf8_lossy(&changed));
            }
        }
    }
}

/// The members of `body` with a signature of their own, and what that signature covers.
fn signed_by_flitt(body: &[u8]) -> Option<(Vec<u8>, String)> {
    let mut fields: Map<String, Value> = serde_json::from_slice(body).ok()?;
    // An envelope is opened, and encoded data signed in another way.
    if fields.contains_key("response") || fields.get("version").is_some_and(|version| version == "2.0") {
        return None;
    }
    fields.remove("signature");
    let values = signers::flitt_source(&serde_json::to_vec(&fields).ok()?)?;
    fields.insert("signature".to_owned(), signers::flitt(SECRET, &values).into());
    Some((serde_json::to_vec(&fields).ok()?, values.join("|")))
}

const EVENT: &[u8] = br#"{"id":"WH-FUZZ-1","event_type":"PAYMENT.CAPTURE.COMPLETED","resource_type":"capture",
    "resource":{"id":"3C679366HH908993F","custom_id":"rabcdefghijklmnopqrstuvwxy"},"links":[]}"#;

/// Signed once: it takes a hundred times as long as to verify it.
static SIGNED: LazyLock<HeaderMap> = LazyLock::new(|| signers::paypal(SECRET, EVENT));

/// PayPal: headers over a checksum of the body, by a certificate that is somewhere else.
fn by_certificate(body: &[u8], change: &Change) {
    let accepted = |secret: &'static str, headers: &HeaderMap, body: &[u8], at: i64| {
        accepted(Gateway::PayPal, secret, headers, body, at)
    };
    match change.how % 8 {
        0 => {
            let at = NOW + i64::from(change.seconds);
            assert_eq!(accepted(SECRET, &SIGNED, EVENT, at), signers::VALID.contains(&at), "{at}");
        }
        1 => assert!(!accepted(OTHER, &SIGNED, EVENT, NOW), "for another webhook"),
        2 | 3 => {
            if let Some(changed) = change.replaced(&SIGNED) {
                assert!(!accepted(SECRET, &changed, EVENT, NOW), "{changed:?}");
            }
        }
        4 => {
            let mut changed = SIGNED.clone();
            let (name, _) = SIGNED.iter().nth(usize::from(change.byte) % SIGNED.len()).expect("a header");
            let Ok(value) = HeaderValue::from_bytes(body) else { return };
            changed.insert(name, value);
            assert_eq!(accepted(SECRET, &changed, EVENT, NOW), changed == *SIGNED, "{changed:?}");
        }
        // Whoever finds another body of the same checksum is let in: see the vector pp-dev-08.
        5 => assert_eq!(accepted(SECRET, &SIGNED, body, NOW), signers::crc32(body) == signers::crc32(EVENT)),
        _ => {
            let changed = change.made(EVENT);
            let same = signers::crc32(&changed) == signers::crc32(EVENT);
            assert_eq!(accepted(SECRET, &SIGNED, &changed, NOW), same);
        }
    }
}
