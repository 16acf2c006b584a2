use crate::{Cache, Entitlements, Error, KeysError, LEEWAY, Limit, MOST_BYTES, Verifier};
use data_encoding::BASE64URL_NOPAD;
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde_json::{Value, json};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const ISSUER: &str = "perennial-test";
const ISSUED: u64 = 1_767_225_600;
const EXPIRES: u64 = ISSUED + 300;

/// RFC 8037, appendix A: a key, its thumbprint, and what it signed.
const RFC_SEED: &str = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A";
const RFC_X: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
const RFC_KID: &str = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k";
const RFC_JWS: &str = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.\
    hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

fn key(seed: &[u8]) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(seed).unwrap_or_else(|error| panic!("{error}"))
}

fn jwk(key: &Ed25519KeyPair, kid: &str) -> Value {
    let x = BASE64URL_NOPAD.encode(key.public_key().as_ref());
    json!({"kty": "OKP", "crv": "Ed25519", "x": x, "kid": kid, "alg": "EdDSA", "use": "sig"})
}

fn ours() -> Ed25519KeyPair {
    key(&[7; 32])
}

fn verifier() -> Verifier {
    let jwks = json!({ "keys": [jwk(&ours(), "ours"), jwk(&key(&[8; 32]), "older")] });
    Verifier::new(ISSUER, &jwks.to_string()).unwrap_or_else(|error| panic!("{error}"))
}

fn header() -> Value {
    json!({"alg": "EdDSA", "typ": "entitlements+jwt", "kid": "ours"})
}

fn claims() -> Value {
    json!({
        "iss": ISSUER, "sub": "acme", "aud": "entitlements", "iat": ISSUED, "exp": EXPIRES,
        "plan": "minutes-pro", "status": "active",
        "features": {
            "analytics": {"on": true}, "api_access": {"on": false, "reason": "not_in_plan"}, "minutes": {"on": true},
        },
        "limits": {
            "minutes": {"limit": 3_000, "used": 150, "remaining": 2_850},
            "agents": {"limit": null, "used": 3, "reserved": 1, "remaining": null},
        },
    })
}

fn with(mut of: Value, name: &str, value: Value) -> Value {
    of[name] = value;
    of
}

fn without(mut of: Value, name: &str) -> Value {
    of.as_object_mut().map(|fields| fields.remove(name));
    of
}

fn text(part: &Value) -> String {
    BASE64URL_NOPAD.encode(part.to_string().as_bytes())
}

fn signed_by(key: &Ed25519KeyPair, header: &Value, claims: &Value) -> String {
    let signed = format!("{}.{}", text(header), text(claims));
    let signature = BASE64URL_NOPAD.encode(key.sign(signed.as_bytes()).as_ref());
    format!("{signed}.{signature}")
}

fn signed(header: &Value, claims: &Value) -> String {
    signed_by(&ours(), header, claims)
}

fn good() -> String {
    signed(&header(), &claims())
}

fn verify(token: &str) -> Result<Entitlements, Error> {
    verifier().verify(token, "acme", at(ISSUED))
}

#[test]
fn what_may_be_used_is_read_and_what_is_not_known_is_off() {
    let it = verify(&good()).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((it.customer(), it.plan(), it.status()), ("acme", Some("minutes-pro"), Some("active")));
    assert_eq!((it.issued_at(), it.expires_at()), (at(ISSUED), at(EXPIRES)));
    let cases = [
        ("analytics", None),
        ("minutes", None),
        ("api_access", Some("not_in_plan")),
        ("agents", Some("not_in_plan")),
        ("", Some("not_in_plan")),
    ];
    for (name, expected) in cases {
        let found = (it.refusal(name, at(ISSUED)), it.allows(name, at(ISSUED)));
        assert_eq!(found, (expected, expected.is_none()), "{name}");
    }
    assert_eq!(
        it.limit("minutes"),
        Some(&Limit { limit: Some(3_000), used: 150, reserved: 0, remaining: Some(2_850) })
    );
    assert_eq!(it.limit("agents"), Some(&Limit { limit: None, used: 3, reserved: 1, remaining: None }));
    assert_eq!(it.limit("analytics"), None);
}

#[test]
fn it_holds_to_the_second_and_is_asked_for_the_time_at_every_check() {
    let it = verify(&good()).unwrap_or_else(|error| panic!("{error}"));
    let last = at(EXPIRES) - Duration::from_nanos(1);
    assert_eq!([it.allows("analytics", last), it.allows("analytics", at(EXPIRES))], [true, false]);
    assert_eq!(it.refusal("analytics", at(EXPIRES)), Some("expired"));
    let verified = |now| verifier().verify(&good(), "acme", now).map(|_| ());
    assert_eq!([verified(last), verified(at(EXPIRES))], [Ok(()), Err(Error::Expired)]);
    let early = at(ISSUED) - LEEWAY;
    assert_eq!([verified(early), verified(early - Duration::from_nanos(1))], [Ok(()), Err(Error::NotYetValid)]);
}

#[test]
fn who_has_no_subscription_may_use_nothing() {
    let nobodys = ["plan", "status"].into_iter().fold(claims(), |claims, name| with(claims, name, Value::Null));
    let nobodys = with(with(nobodys, "features", json!({})), "limits", json!({}));
    let it = verify(&signed(&header(), &nobodys)).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((it.plan(), it.refusal("analytics", at(ISSUED))), (None, Some("no_subscription")));
}

#[test]
fn another_customers_is_refused_whatever_it_says_besides() {
    for customer in ["globex", "", "ACME", "acme ", "acm", "acme1"] {
        let found = verifier().verify(&good(), customer, at(ISSUED));
        assert_eq!(found, Err(Error::OtherCustomer), "{customer:?}");
    }
}

#[test]
fn what_is_not_signed_as_it_must_be_is_refused() {
    let other = |name, value| signed(&with(header(), name, value), &claims());
    let kind = Err(Error::OtherKind);
    let cases = [
        (other("alg", json!("none")), kind.clone()),
        (other("alg", json!("HS256")), kind.clone()),
        (other("alg", json!("RS256")), kind.clone()),
        (other("alg", json!("eddsa")), kind.clone()),
        (other("alg", json!(null)), Err(Error::Malformed)),
        (signed(&without(header(), "alg"), &claims()), Err(Error::Malformed)),
        (other("typ", json!("JWT")), kind.clone()),
        (signed(&without(header(), "typ"), &claims()), kind.clone()),
        (other("crit", json!(["exp"])), kind.clone()),
        (other("crit", json!([])), kind),
        (other("kid", json!("theirs")), Err(Error::UnknownKey)),
        (signed(&without(header(), "kid"), &claims()), Err(Error::UnknownKey)),
        // A key that is ours, and not the one that signed.
        (other("kid", json!("older")), Err(Error::Forged)),
        (signed_by(&key(&[9; 32]), &header(), &claims()), Err(Error::Forged)),
        // It brings its own key along, which is not looked at.
        (signed_by(&key(&[9; 32]), &with(header(), "jwk", jwk(&key(&[9; 32]), "ours")), &claims()), Err(Error::Forged)),
    ];
    for (token, expected) in cases {
        assert_eq!(verify(&token), expected, "{token}");
    }
    let none = with(header(), "alg", json!("none"));
    assert_eq!(verify(&format!("{}.{}.", text(&none), text(&claims()))), Err(Error::OtherKind));
    let hs256 = format!("{}.{}", text(&with(header(), "alg", json!("HS256"))), text(&claims()));
    let public = ours();
    let secret = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, public.public_key().as_ref());
    let mac = BASE64URL_NOPAD.encode(ring::hmac::sign(&secret, hs256.as_bytes()).as_ref());
    assert_eq!(verify(&format!("{hs256}.{mac}")), Err(Error::OtherKind));
}

#[test]
fn what_is_signed_and_says_something_else_is_refused() {
    let other = |name, value| verify(&signed(&header(), &with(claims(), name, value)));
    assert_eq!(other("iss", json!("perennial-other")), Err(Error::OtherIssuer));
    assert_eq!(other("aud", json!("perennial")), Err(Error::OtherAudience));
    assert_eq!(other("aud", json!(["entitlements"])), Err(Error::Malformed));
    assert_eq!(other("exp", json!(u64::MAX)), Err(Error::Malformed));
    assert_eq!(other("exp", json!(-1)), Err(Error::Malformed));
    assert_eq!(other("exp", json!("4102444800")), Err(Error::Malformed));
    assert_eq!(other("features", json!({"analytics": {"on": true, "reason": "not_in_plan"}})), Err(Error::Malformed));
    assert_eq!(other("features", json!({"analytics": {"on": false}})), Err(Error::Malformed));
    assert_eq!(other("features", json!({"analytics": {"on": 1}})), Err(Error::Malformed));
    assert_eq!(other("limits", json!({"minutes": {"used": 0, "remaining": 1}})), Err(Error::Malformed));
    assert_eq!(other("limits", json!({"minutes": {"limit": 1, "used": 0}})), Err(Error::Malformed));
    for name in ["iss", "sub", "aud", "iat", "exp", "plan", "status", "features", "limits"] {
        assert_eq!(verify(&signed(&header(), &without(claims(), name))), Err(Error::Malformed), "{name}");
    }
    assert!(other("more", json!("of a later release")).is_ok());
}

#[test]
fn garbage_is_refused() {
    let token = good();
    let parts: Vec<&str> = token.split('.').collect();
    let garbage = [
        String::new(),
        ".".to_owned(),
        "..".to_owned(),
        "....".to_owned(),
        parts[..2].join("."),
        format!("{token}.{}", parts[2]),
        format!("{}.{token}", parts[0]),
        format!("{token}="),
        format!(" {token}"),
        format!("{token}\n"),
        format!("{}.{}.{}", parts[0], parts[1], &parts[2][..85]),
        format!("é.{}.{}", parts[1], parts[2]),
    ];
    for text in garbage {
        assert!(matches!(verify(&text), Err(Error::Malformed | Error::Forged)), "{text}");
    }
    assert_eq!(verify(&format!("{}.{}.", parts[0], parts[1])), Err(Error::Forged));
    assert_eq!(verify(&"a".repeat(MOST_BYTES + 1)), Err(Error::TooLong));
    let huge = signed(&header(), &with(claims(), "more", json!("a".repeat(MOST_BYTES))));
    assert_eq!(verify(&huge), Err(Error::TooLong));
    assert_eq!(verify(&text(&json!("[")).repeat(1_000)), Err(Error::Malformed));
}

/// Not by another spelling of the same bytes either.
#[test]
fn a_token_in_which_any_byte_was_changed_is_refused() {
    let (token, verifier) = (good(), verifier());
    for at_byte in 0..token.len() {
        for bit in 0..7 {
            let mut bytes = token.clone().into_bytes();
            bytes[at_byte] ^= 1 << bit;
            let edited = String::from_utf8(bytes).unwrap_or_else(|error| panic!("{error}"));
            assert!(verifier.verify(&edited, "acme", at(ISSUED)).is_err(), "{edited}");
        }
        let cut = format!("{}{}", &token[..at_byte], &token[at_byte + 1..]);
        assert!(verifier.verify(&cut, "acme", at(ISSUED)).is_err(), "{cut}");
    }
}

#[test]
fn the_key_of_rfc_8037_verifies_what_it_signed() {
    let jwks = json!({ "keys": [{"kty": "OKP", "crv": "Ed25519", "x": RFC_X, "kid": RFC_KID}] }).to_string();
    let keys = crate::keys::Keys::parse(&jwks).unwrap_or_else(|error| panic!("{error}"));
    let (signed, signature) = RFC_JWS.rsplit_once('.').unwrap_or_else(|| panic!("a JWS"));
    let signature = BASE64URL_NOPAD.decode(signature.as_bytes()).unwrap_or_else(|error| panic!("{error}"));
    let key = keys.get(RFC_KID).unwrap_or_else(|| panic!("the key"));
    assert!(key.verify(signed.as_bytes(), &signature).is_ok());
    // Well signed, and no entitlement.
    let verifier = Verifier::new(ISSUER, &jwks).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(verifier.verify(RFC_JWS, "acme", at(ISSUED)), Err(Error::OtherKind));
    let seed = BASE64URL_NOPAD.decode(RFC_SEED.as_bytes()).unwrap_or_else(|error| panic!("{error}"));
    let named = with(header(), "kid", json!(RFC_KID));
    assert!(verifier.verify(&signed_by(&self::key(&seed), &named, &claims()), "acme", at(ISSUED)).is_ok());
}

#[test]
fn keys_are_taken_as_they_must_be_or_not_at_all() {
    let good = jwk(&ours(), "ours");
    let set = |keys: Value| Verifier::new(ISSUER, &json!({ "keys": keys }).to_string()).map(|_| ());
    let rsa = json!({"kty": "RSA", "n": "AQAB", "e": "AQAB", "kid": "ours"});
    assert_eq!(set(json!([good, rsa])), Ok(()));
    let cases = [
        (json!([]), KeysError::None),
        (json!([rsa]), KeysError::None),
        (json!([with(good.clone(), "crv", json!("X25519"))]), KeysError::None),
        (json!([with(good.clone(), "alg", json!("ES256"))]), KeysError::None),
        (json!([with(good.clone(), "use", json!("enc"))]), KeysError::None),
        (json!([good, with(good.clone(), "d", json!(RFC_SEED))]), KeysError::Private),
        (json!([good, good]), KeysError::BadKey),
        (json!([without(good.clone(), "kid")]), KeysError::BadKey),
        (json!([with(good.clone(), "kid", json!(""))]), KeysError::BadKey),
        (json!([without(good.clone(), "x")]), KeysError::BadKey),
        (json!([with(good.clone(), "x", json!("AAAA"))]), KeysError::BadKey),
        (json!([with(good.clone(), "x", json!(format!("{RFC_X}=")))]), KeysError::BadKey),
        (json!([with(good.clone(), "x", json!(7))]), KeysError::Malformed),
        (json!({}), KeysError::Malformed),
    ];
    for (keys, expected) in cases {
        assert_eq!(set(keys.clone()), Err(expected), "{keys}");
    }
    for text in ["", "null", "[]", "{}", "{\"keys\":", &" ".repeat(MOST_BYTES + 1)] {
        assert!(Verifier::new(ISSUER, text).is_err_and(|error| error == KeysError::Malformed));
    }
}

fn numbered(n: usize) -> String {
    signed(&header(), &with(claims(), "n", json!(n)))
}

#[test]
fn what_is_remembered_is_asked_for_its_customer_and_the_time_as_at_first() {
    let (cache, token) = (Cache::new(verifier(), 10), good());
    let verified = |customer, now| cache.verify(&token, customer, now).map(|_| ());
    for _ in 0..3 {
        assert_eq!(verified("acme", at(ISSUED)), Ok(()));
        assert_eq!(verified("globex", at(ISSUED)), Err(Error::OtherCustomer));
        assert_eq!(verified("acme", at(EXPIRES)), Err(Error::Expired));
        assert_eq!(verified("acme", at(0)), Err(Error::NotYetValid));
    }
    let first = cache.verify(&token, "acme", at(ISSUED)).unwrap_or_else(|error| panic!("{error}"));
    let again = cache.verify(&token.clone(), "acme", at(ISSUED)).unwrap_or_else(|error| panic!("{error}"));
    assert!(std::sync::Arc::ptr_eq(&first, &again), "verified once");
}

#[test]
fn what_is_remembered_lets_no_other_text_pass() {
    let (cache, token) = (Cache::new(verifier(), 10), good());
    assert!(cache.verify(&token, "acme", at(ISSUED)).is_ok());
    for at_byte in 0..token.len() {
        let mut bytes = token.clone().into_bytes();
        bytes[at_byte] ^= 1;
        let edited = String::from_utf8(bytes).unwrap_or_else(|error| panic!("{error}"));
        assert!(cache.verify(&edited, "acme", at(ISSUED)).is_err(), "{edited}");
    }
    // The same signature under other claims.
    let (_, signature) = token.rsplit_once('.').unwrap_or_else(|| panic!("a token"));
    let edited = format!("{}.{}.{signature}", text(&header()), text(&with(claims(), "sub", json!("globex"))));
    assert_eq!(cache.verify(&edited, "globex", at(ISSUED)), Err(Error::Forged));
    assert!(cache.verify(&token, "acme", at(ISSUED)).is_ok());
}

#[test]
fn no_more_is_remembered_than_was_allowed_and_what_was_forgotten_is_verified_anew() {
    for most in [0, 1, 2, 7, 10] {
        let cache = Cache::new(verifier(), most);
        for n in (0..25).chain(0..25) {
            assert!(cache.verify(&numbered(n), "acme", at(ISSUED)).is_ok());
            assert!(cache.remembered() <= most.max(2), "{} of {most}", cache.remembered());
        }
        assert!(cache.remembered() >= most / 2);
    }
}

#[test]
fn many_threads_ask_at_once() {
    let (cache, token) = (Cache::new(verifier(), 10), good());
    std::thread::scope(|threads| {
        for n in 0..8 {
            let (cache, token) = (&cache, &token);
            threads.spawn(move || {
                for m in 0..50 {
                    assert!(cache.verify(token, "acme", at(ISSUED)).is_ok());
                    assert!(cache.verify(&numbered(n * m), "acme", at(ISSUED)).is_ok());
                }
            });
        }
    });
}
