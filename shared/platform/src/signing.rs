//! Signed entitlements: what a customer may use, as a token that whoever serves
//! them believes without asking us. A JWS (RFC 7515) by Ed25519 (RFC 8037).
//!
//! A token lives for [`LIFETIME`], and never beyond the time at which the clock
//! takes something of it away: so what the clock ends, ends on time, and what
//! somebody ends is over for whoever verifies as soon as the token is. Times in
//! it are the world's, which verifiers live by; what it says holds at the
//! customer's own time, whatever a test clock shows.

mod keys;

use crate::config::{self, Missing};
use crate::secrets::SecretError;
use crate::{App, view};
use billing::id::CustomerId;
use billing::workflow::Entitled;
use data_encoding::BASE64URL_NOPAD;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

pub use keys::KeyRings;

/// How long it may take until what somebody ended is over for whoever verifies.
const LIFETIME: SignedDuration = SignedDuration::from_mins(5);

/// No verifier reads more. It is room for about a thousand features.
const MOST_BYTES: usize = 64 * 1024;

#[derive(Clone, Debug)]
pub struct Signer {
    /// What this deployment is called.
    issuer: String,
    keys: KeyRings,
}

#[derive(Debug, thiserror::Error)]
pub enum SigningError {
    #[error("the key that entitlements are signed with is not to be had")]
    NoKey(#[from] SecretError),
    #[error("what is to be signed is longer than anyone reads")]
    TooLong,
}

impl Signer {
    pub fn new(issuer: String, keys: KeyRings) -> Self {
        Self { issuer, keys }
    }

    pub fn from_env(app: &App) -> Result<Self, Missing> {
        Ok(Self::new(config::entitlement_issuer()?, KeyRings::from_env(app)?))
    }

    /// What `customer` was found to be entitled to, not before `at` by the world's clock, as `{"token", "expires_at"}`.
    pub async fn sign(
        &self,
        customer: &CustomerId,
        entitled: Option<&Entitled>,
        at: Timestamp,
    ) -> Result<Value, SigningError> {
        let keys = self.keys.get().await?;
        let (key, until) = (keys.signing(at), until(entitled, at));
        let header = json!({ "alg": "EdDSA", "typ": "entitlements+jwt", "kid": key.kid });
        let mut claims = json!({
            "iss": self.issuer, "sub": customer, "aud": "entitlements", "iat": at.as_second(), "exp": until.as_second(),
        });
        if let (Some(claims), Value::Object(more)) = (claims.as_object_mut(), view::claims(entitled)) {
            claims.extend(more);
        }
        let text = |part: &Value| BASE64URL_NOPAD.encode(part.to_string().as_bytes());
        let signed = format!("{}.{}", text(&header), text(&claims));
        let token = format!("{signed}.{}", key.sign(&signed));
        match token.len() > MOST_BYTES {
            true => Err(SigningError::TooLong),
            false => Ok(json!({ "token": token, "expires_at": until })),
        }
    }
}

/// In whole seconds, as a token says it, and not a part of one too late.
fn until(entitled: Option<&Entitled>, at: Timestamp) -> Timestamp {
    let holds_for = entitled.and_then(|it| it.holds_for).map_or(LIFETIME, |it| it.min(LIFETIME));
    let until = at.checked_add(holds_for).unwrap_or(at);
    Timestamp::from_second(until.as_second()).unwrap_or(at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secrets::KeyStore;
    use billing::entitlement::{Usage, entitlements};
    use billing::subscription::Subscription;
    use billing::testing::{active, customer, instant, meter, order};
    use futures::executor::block_on;
    use signed_entitlements::{Cache, Error, Verifier};
    use std::time::SystemTime;

    const AT: &str = "2026-03-01T10:00:00.7Z";

    fn keys(key: &str) -> KeyRings {
        KeyRings::new(KeyStore::given(json!({ "key": key.repeat(32) })))
    }

    fn signer(key: &str) -> Signer {
        Signer::new("perennial-test".to_owned(), keys(key))
    }

    fn verifier() -> Verifier {
        let keys = block_on(keys("k7").published()).unwrap_or_else(|error| panic!("{error}"));
        Verifier::new("perennial-test", &keys.to_string()).unwrap_or_else(|error| panic!("{error}"))
    }

    fn world(seconds: i64) -> SystemTime {
        SystemTime::from(Timestamp::from_second(instant(AT).as_second() + seconds).unwrap_or_else(|e| panic!("{e}")))
    }

    fn entitled(holds_for: Option<SignedDuration>) -> Entitled {
        let subscription = Subscription { order: order("minutes-pro"), ..active() };
        let usage: Usage = [(meter("minutes"), 150), (meter("agents"), 2)].into();
        let reserved: Usage = [(meter("agents"), 3)].into();
        let entitlements = entitlements(&subscription, &usage, &reserved, 0, instant("2025-02-10T10:00:00Z"));
        Entitled { subscription, entitlements, holds_for }
    }

    fn signed(by: &Signer, entitled: Option<&Entitled>) -> (String, Value) {
        let mut answer =
            block_on(by.sign(&customer(), entitled, instant(AT))).unwrap_or_else(|error| panic!("{error}"));
        (answer["token"].as_str().unwrap_or_default().to_owned(), answer["expires_at"].take())
    }

    #[test]
    fn what_is_signed_is_what_is_read() {
        let (token, expires_at) = signed(&signer("k7"), Some(&entitled(None)));
        assert_eq!(expires_at, "2026-03-01T10:05:00Z");
        let cache = Cache::new(verifier(), 10);
        let it = cache.verify(&token, customer().as_str(), world(0)).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!((it.plan(), it.status()), (Some("minutes-pro"), Some("active")));
        assert_eq!((it.issued_at(), it.expires_at()), (world(0), world(300)));
        let refusals = ["analytics", "api_access", "minutes", "agents", "fax"].map(|name| it.refusal(name, world(299)));
        assert_eq!(refusals, [None, Some("not_in_plan"), None, Some("limit_reached"), Some("not_in_plan")]);
        let limit = |meter| it.limit(meter).map(|it| (it.limit, it.used, it.reserved, it.remaining));
        assert_eq!(limit("minutes"), Some((Some(3_000), 150, 0, Some(2_850))));
        assert_eq!(limit("agents"), Some((Some(5), 2, 3, Some(0))));
        assert_eq!(limit("analytics"), None);
        let refused = |customer, now| cache.verify(&token, customer, now).map(|_| ());
        assert_eq!(refused("globex", world(0)), Err(Error::OtherCustomer));
        assert_eq!(refused(customer().as_str(), world(300)), Err(Error::Expired));
    }

    #[test]
    fn what_is_unlimited_is_read_as_that() {
        let subscription = Subscription { order: order("estates-enterprise"), ..active() };
        let entitlements =
            entitlements(&subscription, &Usage::new(), &Usage::new(), 0, instant("2025-02-10T10:00:00Z"));
        let (token, _) = signed(&signer("k7"), Some(&Entitled { subscription, entitlements, holds_for: None }));
        let it = verifier().verify(&token, customer().as_str(), world(0)).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(it.limit("estates").map(|it| (it.limit, it.used, it.remaining)), Some((None, 0, None)));
        assert!(it.allows("estates", world(0)));
    }

    #[test]
    fn who_never_had_a_subscription_is_told_so() {
        let (token, _) = signed(&signer("k7"), None);
        let it = verifier().verify(&token, customer().as_str(), world(0)).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!((it.plan(), it.refusal("analytics", world(0))), (None, Some("no_subscription")));
    }

    #[test]
    fn a_token_ends_with_what_the_clock_ends_and_not_a_part_of_a_second_later() {
        let cases = [
            (None, "2026-03-01T10:05:00Z"),
            (Some(SignedDuration::from_hours(24)), "2026-03-01T10:05:00Z"),
            (Some(SignedDuration::from_secs(300)), "2026-03-01T10:05:00Z"),
            (Some(SignedDuration::from_secs(299)), "2026-03-01T10:04:59Z"),
            (Some(SignedDuration::from_millis(1_299)), "2026-03-01T10:00:01Z"),
            // Nothing is left of it in whole seconds, and nobody accepts it.
            (Some(SignedDuration::from_millis(299)), "2026-03-01T10:00:00Z"),
        ];
        for (holds_for, expected) in cases {
            assert_eq!(signed(&signer("k7"), Some(&entitled(holds_for))).1, expected, "{holds_for:?}");
        }
    }

    #[test]
    fn what_another_deployment_signed_is_refused() {
        let theirs = signed(&signer("x9"), Some(&entitled(None))).0;
        assert_eq!(verifier().verify(&theirs, customer().as_str(), world(0)), Err(Error::UnknownKey));
        let mut same_key = signer("k7");
        same_key.issuer = "perennial-staging".to_owned();
        let theirs = signed(&same_key, Some(&entitled(None))).0;
        assert_eq!(verifier().verify(&theirs, customer().as_str(), world(0)), Err(Error::OtherIssuer));
    }

    #[test]
    fn what_nobody_would_read_is_not_signed() {
        let mut many = entitled(None);
        let none = many.entitlements.values().next().cloned().unwrap_or_else(|| panic!("an entitlement"));
        let names = (0..2_000).map(|n| format!("feature-{n}").try_into().unwrap_or_else(|e| panic!("{e}")));
        many.entitlements = names.map(|name| (name, none.clone())).collect();
        let refused = block_on(signer("k7").sign(&customer(), Some(&many), instant(AT)));
        assert!(matches!(refused, Err(SigningError::TooLong)), "{refused:?}");
    }
}
