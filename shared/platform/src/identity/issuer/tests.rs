//! Tokens, forged and genuine, before an issuer on this machine that says what it is told to say.

use super::*;
use crate::identity::{Unverified, verified};
use data_encoding::BASE64;
use ring::hmac;
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RSA_PKCS1_SHA512, RsaEncoding, RsaKeyPair};
use serde_json::json;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};

const NOW: i64 = 1_800_000_000;
/// Made for these tests; nobody trusts it.
const KEY: &str = include_str!("../../../testdata/issuer.pem");

fn key() -> RsaKeyPair {
    let der: String = KEY.lines().filter(|line| !line.starts_with("-----")).collect();
    let der = BASE64.decode(der.as_bytes()).unwrap_or_else(|error| panic!("{error}"));
    RsaKeyPair::from_pkcs8(&der).unwrap_or_else(|error| panic!("{error}"))
}

fn public() -> RsaPublicKeyComponents<Vec<u8>> {
    RsaPublicKeyComponents::from(key().public())
}

/// The key as an issuer writes it, under this name.
fn written(name: &str) -> Value {
    let RsaPublicKeyComponents { n, e } = public();
    json!({"kty": "RSA", "alg": "RS256", "use": "sig", "kid": name, "n": encode(&n), "e": encode(&e)})
}

/// Another key of that name: whatever it signed, we have not seen it.
fn anothers(name: &str) -> Value {
    let mut n = public().n;
    let last = n.len() - 1;
    n[last] ^= 0b10;
    let mut key = written(name);
    key["n"] = json!(encode(&n));
    key
}

fn encode(bytes: &[u8]) -> String {
    BASE64URL_NOPAD.encode(bytes)
}

/// What the issuer says at each path, and how often it was asked for its keys.
struct Issuer {
    rules: TokenRules,
    keys: IssuerKeys,
    says: Arc<std::sync::Mutex<(Value, Value)>>,
    asked: Arc<AtomicUsize>,
}

impl Issuer {
    fn with(set: Value) -> Self {
        Self::at("", set)
    }

    /// Whose name ends so.
    fn at(end: &str, set: Value) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap_or_else(|error| panic!("{error}"));
        let here = format!("http://{}", listener.local_addr().unwrap_or_else(|error| panic!("{error}")));
        let issuer = format!("{here}{end}");
        let discovery = json!({"issuer": issuer, "jwks_uri": format!("{here}/keys")});
        let says = Arc::new(std::sync::Mutex::new((discovery, set)));
        let asked = Arc::new(AtomicUsize::new(0));
        let (said, count, end) = (says.clone(), asked.clone(), end.trim_end_matches('/').to_owned());
        std::thread::spawn(move || {
            for mut connection in listener.incoming().flatten() {
                let mut request = [0; 4_096];
                let length = connection.read(&mut request).unwrap_or_default();
                let request = String::from_utf8_lossy(&request[..length]).into_owned();
                let said = said.lock().unwrap_or_else(|error| panic!("{error}"));
                let body = if request.starts_with(&format!("GET {end}/.well-known/openid-configuration ")) {
                    &said.0
                } else {
                    assert!(request.starts_with("GET /keys "), "{request}");
                    count.fetch_add(1, Ordering::SeqCst);
                    &said.1
                };
                let status = if body.is_null() { "503 Service Unavailable" } else { "200 OK" };
                let body = body.to_string();
                let head = format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
                let _ = connection.write_all((head + &body).as_bytes());
            }
        });
        let rules = TokenRules {
            issuer,
            audience: "billing".to_owned(),
            customer_claim: "sub".to_owned(),
            email_claim: "email".to_owned(),
        };
        let http = crate::http_client::client().unwrap_or_else(|error| panic!("{error}"));
        Self { keys: IssuerKeys::new(&rules, http), rules, says, asked }
    }

    fn says(&self, set: Value) {
        self.says.lock().unwrap_or_else(|error| panic!("{error}")).1 = set;
    }

    fn leads_to(&self, issuer: Value, keys: Value) {
        self.says.lock().unwrap_or_else(|error| panic!("{error}")).0 = json!({"issuer": issuer, "jwks_uri": keys});
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    fn claims(&self) -> Value {
        json!({"iss": self.rules.issuer, "aud": "billing", "sub": "acme", "exp": NOW + 90_000})
    }

    fn token(&self, name: &str) -> String {
        signed(&json!({"alg": "RS256", "kid": name}), &self.claims())
    }

    /// Who called, or why that is not known, so many seconds later.
    async fn after(&self, seconds: i64, token: &str) -> String {
        let now = Timestamp::from_second(NOW + seconds).unwrap_or_else(|error| panic!("{error}"));
        match verified(&self.rules, &self.keys, &format!("Bearer {token}"), now).await {
            Ok(caller) => caller.customer.to_string(),
            Err(Unverified::Refused(problem)) => problem.status.as_u16().to_string(),
            Err(Unverified::NoKeys(_)) => "no keys".to_owned(),
        }
    }

    async fn hears(&self, token: &str) -> String {
        self.after(0, token).await
    }
}

fn signed(header: &Value, claims: &Value) -> String {
    signed_with(&RSA_PKCS1_SHA256, header, claims)
}

fn signed_with(how: &'static dyn RsaEncoding, header: &Value, claims: &Value) -> String {
    let text = unsigned(header, claims);
    let key = key();
    let mut signature = vec![0; key.public().modulus_len()];
    key.sign(how, &SystemRandom::new(), text.as_bytes(), &mut signature).unwrap_or_else(|error| panic!("{error}"));
    format!("{text}.{}", encode(&signature))
}

fn unsigned(header: &Value, claims: &Value) -> String {
    format!("{}.{}", encode(header.to_string().as_bytes()), encode(claims.to_string().as_bytes()))
}

fn set(keys: &[Value]) -> Value {
    json!({ "keys": keys })
}

#[tokio::test]
async fn a_token_that_the_issuer_has_signed_names_its_caller() {
    let issuer = Issuer::with(set(&[written("k1")]));
    let token = issuer.token("k1");
    assert_eq!(issuer.hears(&token).await, "acme");
    let now = Timestamp::from_second(NOW).unwrap_or_default();
    assert!(verified(&issuer.rules, &issuer.keys, &format!("bEaReR {token}"), now).await.is_ok());
    for header in [token.clone(), format!("Basic {token}"), format!("Bearer {token}, Bearer {token}"), String::new()] {
        assert!(verified(&issuer.rules, &issuer.keys, &header, now).await.is_err(), "{header}");
    }
}

#[tokio::test]
async fn s1_s7_a_token_that_anyone_else_could_have_made_names_nobody() {
    let issuer = Issuer::with(set(&[written("k1"), anothers("k2")]));
    let (header, claims) = (json!({"alg": "RS256", "kid": "k1"}), issuer.claims());
    let good = issuer.token("k1");
    let (text, signature) = good.rsplit_once('.').unwrap_or_else(|| panic!("{good}"));
    let with = |change: &dyn Fn(&mut Value)| {
        let mut header = header.clone();
        change(&mut header);
        signed(&header, &claims)
    };
    let mut other = claims.clone();
    other["sub"] = json!("globex");
    let hmac_with = |secret: &[u8]| {
        let text = unsigned(&json!({"alg": "HS256", "kid": "k1"}), &claims);
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), text.as_bytes());
        format!("{text}.{}", encode(tag.as_ref()))
    };
    let mut flipped = BASE64URL_NOPAD.decode(signature.as_bytes()).unwrap_or_default();
    flipped[0] ^= 1;
    let forged = [
        ("nobody signed it", format!("{text}.")),
        ("alg none", format!("{}.", unsigned(&json!({"alg": "none", "kid": "k1"}), &claims))),
        ("alg none, with a signature", with(&|it| it["alg"] = json!("none"))),
        ("one key's modulus as a password", hmac_with(&public().n)),
        ("the key's document as a password", hmac_with(written("k1").to_string().as_bytes())),
        ("RS256 with the tag of a password", {
            let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &public().n), text.as_bytes());
            format!("{text}.{}", encode(tag.as_ref()))
        }),
        ("another digest", signed_with(&RSA_PKCS1_SHA512, &header, &claims)),
        ("RS512", signed_with(&RSA_PKCS1_SHA512, &json!({"alg": "RS512", "kid": "k1"}), &claims)),
        ("another customer", format!("{}.{signature}", unsigned(&header, &other))),
        ("a bit of the signature", format!("{text}.{}", encode(&flipped))),
        ("half a signature", format!("{text}.{}", &signature[..signature.len() / 2])),
        ("more of a signature", format!("{good}AAAA")),
        ("padding", format!("{good}==")),
        ("another key's name", with(&|it| it["kid"] = json!("k2"))),
        ("nobody's key", with(&|it| it["kid"] = json!("../../k1"))),
        ("a pattern", with(&|it| it["kid"] = json!("*"))),
        ("no key", with(&|it| it["kid"] = json!(null))),
        ("a list of keys", with(&|it| it["kid"] = json!(["k1"]))),
        ("a key of its own", with(&|it| it["jwk"] = written("k1"))),
        ("an address of its own", with(&|it| it["jku"] = json!(format!("{}/keys", issuer.rules.issuer)))),
        ("a certificate's address", with(&|it| it["x5u"] = json!("http://169.254.169.254/"))),
        ("what must be understood", with(&|it| it["crit"] = json!(["b64"]))),
        ("four parts", format!("{good}.AAAA")),
        ("too long", format!("{}{good}", "A".repeat(8 * 1024))),
    ];
    for (what, token) in forged {
        assert_eq!(issuer.hears(&token).await, "401", "{what}");
    }
    assert_eq!(issuer.hears(&good).await, "acme");
}

#[tokio::test]
async fn what_a_signed_token_says_is_read_as_before_our_own_routes() {
    let issuer = Issuer::with(set(&[written("k1")]));
    let with = |name: &str, value: Value| {
        let mut claims = issuer.claims();
        claims[name] = value;
        signed(&json!({"alg": "RS256", "kid": "k1"}), &claims)
    };
    for (name, value, expected) in [
        ("iss", json!(format!("{}/", issuer.rules.issuer)), "401"),
        ("iss", json!([issuer.rules.issuer]), "401"),
        ("aud", json!("another"), "401"),
        ("aud", json!(["another", "billing"]), "acme"),
        ("exp", json!(NOW), "401"),
        ("exp", Value::Null, "401"),
        ("nbf", json!(NOW + 1), "401"),
        ("token_use", json!("id"), "401"),
        ("token_use", json!("access"), "acme"),
        ("nonce", json!("n-0S6_WzA2Mj"), "401"),
        ("at_hash", json!("77QmUPtjPfzWtF2AnpK9RQ"), "401"),
        ("sub", json!("*"), "403"),
        ("sub", Value::Null, "403"),
    ] {
        assert_eq!(issuer.hears(&with(name, value.clone())).await, expected, "{name} {value}");
    }
    assert_eq!(issuer.asked(), 1);
}

#[tokio::test]
async fn a_key_of_the_issuers_that_is_not_for_rs256_signs_nothing() {
    for (name, value) in [("kty", "oct"), ("alg", "RS512"), ("alg", "HS256"), ("use", "enc"), ("e", "AQ")] {
        let mut key = written("k1");
        key[name] = json!(value);
        let issuer = Issuer::with(set(&[key, written("k2")]));
        assert_eq!(issuer.hears(&issuer.token("k1")).await, "401", "{name} {value}");
        assert_eq!(issuer.hears(&issuer.token("k2")).await, "acme", "{name} {value}");
    }
    // 1024 bits are too few, whoever publishes them.
    let mut short = written("k1");
    short["n"] = json!(encode(&public().n[..128]));
    let issuer = Issuer::with(set(&[short]));
    assert_eq!(issuer.hears(&issuer.token("k1")).await, "401");
}

#[tokio::test]
async fn keys_are_found_among_whatever_else_the_issuer_publishes() {
    let bare = {
        let RsaPublicKeyComponents { n, e } = public();
        let zero: Vec<u8> = [0].into_iter().chain(n).collect();
        json!({"kty": "RSA", "kid": "k1", "n": encode(&zero), "e": encode(&e), "x5c": ["…"]})
    };
    let others = [json!({"kty": "EC", "crv": "P-256", "kid": "k1"}), json!(7), json!({"kty": "RSA", "kid": 1})];
    // Two keys of one name: either may have signed.
    let issuer = Issuer::at("/tenant/", set(&[&others[..], &[anothers("k1"), bare]].concat()));
    assert_eq!(issuer.hears(&issuer.token("k1")).await, "acme");
}

#[tokio::test]
async fn a_new_key_is_asked_for_once_and_made_up_ones_not_at_will() {
    let issuer = Issuer::with(set(&[written("k1")]));
    assert_eq!(issuer.hears(&issuer.token("k1")).await, "acme");
    issuer.says(set(&[written("k1"), written("k2")]));
    for made_up in 0..20 {
        assert_eq!(issuer.after(29, &issuer.token(&format!("k{made_up}x"))).await, "401");
    }
    assert_eq!((issuer.after(29, &issuer.token("k2")).await.as_str(), issuer.asked()), ("401", 1));
    assert_eq!((issuer.after(30, &issuer.token("k2")).await.as_str(), issuer.asked()), ("acme", 2));
    assert_eq!((issuer.after(59, &issuer.token("k3")).await.as_str(), issuer.asked()), ("401", 2));
    assert_eq!((issuer.after(60, &issuer.token("k3")).await.as_str(), issuer.asked()), ("401", 3));
    assert_eq!((issuer.after(61, &issuer.token("k1")).await.as_str(), issuer.asked()), ("acme", 3));
}

#[tokio::test]
async fn a_key_that_is_taken_back_stops_working_within_an_hour_or_two_if_nobody_answers() {
    let issuer = Issuer::with(set(&[written("k1"), written("k2")]));
    let token = issuer.token("k1");
    assert_eq!(issuer.hears(&token).await, "acme");
    issuer.says(set(&[written("k2")]));
    assert_eq!((issuer.after(3_599, &token).await.as_str(), issuer.asked()), ("acme", 1));
    assert_eq!((issuer.after(3_600, &token).await.as_str(), issuer.asked()), ("401", 2));

    let issuer = Issuer::with(set(&[written("k1")]));
    let token = issuer.token("k1");
    assert_eq!(issuer.hears(&token).await, "acme");
    for nothing in [Value::Null, set(&[]), json!("keys"), json!({"keys": "x".repeat(MOST_BYTES)})] {
        issuer.says(nothing);
        assert_eq!(issuer.after(3_600, &token).await, "acme");
        assert_eq!(issuer.after(7_200, &token).await, "no keys");
    }
    issuer.says(set(&[written("k1")]));
    assert_eq!(issuer.after(7_201, &token).await, "acme");
}

#[tokio::test]
async fn without_keys_nobody_is_let_in_and_nobody_is_refused() {
    let issuer = Issuer::with(Value::Null);
    let token = issuer.token("k1");
    assert_eq!(issuer.hears(&token).await, "no keys");
    assert_eq!(issuer.hears("a.b.c").await, "401", "which needs no key");
    let asked = issuer.asked();
    for name in ["k1", "k2", "k3"] {
        assert_eq!(issuer.hears(&issuer.token(name)).await, "no keys");
    }
    assert_eq!(issuer.asked(), asked, "it is asked once a second");
    issuer.says(set(&[written("k1")]));
    assert_eq!(issuer.after(1, &token).await, "acme", "as soon as it answers");
}

#[tokio::test]
async fn who_comes_with_a_key_that_could_not_be_asked_for_is_not_refused() {
    let issuer = Issuer::with(set(&[written("k1")]));
    assert_eq!(issuer.hears(&issuer.token("k1")).await, "acme");
    issuer.says(Value::Null);
    assert_eq!(issuer.after(30, &issuer.token("k2")).await, "no keys");
    assert_eq!(issuer.after(31, &issuer.token("k2")).await, "no keys");
    assert_eq!(issuer.after(31, &issuer.token("k1")).await, "acme", "what is known holds");
    issuer.says(set(&[written("k1"), written("k2")]));
    assert_eq!(issuer.after(60, &issuer.token("k2")).await, "acme");
    assert_eq!(issuer.after(61, &issuer.token("k3")).await, "401", "it has answered, and there is none");
}

#[tokio::test]
async fn all_who_ask_at_once_share_one_answer() {
    let issuer = Issuer::with(set(&[written("k1")]));
    let token = issuer.token("k1");
    let heard = futures::future::join_all((0..8).map(|_| issuer.hears(&token))).await;
    assert!(heard.iter().all(|it| it == "acme"));
    assert_eq!(issuer.asked(), 1);
}

#[tokio::test]
async fn keys_are_the_issuers_own_and_nobody_can_change_them_on_the_way() {
    let issuer = Issuer::with(set(&[written("k1")]));
    let (own, keys) = (json!(issuer.rules.issuer), json!(format!("{}/keys", issuer.rules.issuer)));
    for (name, at) in [
        (json!("https://issuer.example"), keys.clone()),
        (json!(format!("{}/", issuer.rules.issuer)), keys.clone()),
        (own.clone(), json!("http://issuer.example/keys")),
        (own.clone(), json!("file:///etc/passwd")),
        (own.clone(), json!("/keys")),
        (own.clone(), Value::Null),
    ] {
        issuer.leads_to(name.clone(), at.clone());
        assert_eq!(issuer.hears(&issuer.token("k1")).await, "no keys", "{name} {at}");
    }
    assert_eq!(issuer.asked(), 0);
    assert!(is_trusted("https://keys.example/set", "https://issuer.example/tenant/"));
    assert!(!is_trusted("http://issuer.example/set", "https://issuer.example/"));
}
