//! The keys that entitlements are signed with. Each is made of a version of a
//! secret that the deployment made up, so nobody has to make one, and rotating
//! the secret rotates the key: a new one is published at once, and signs once
//! everyone who verifies can be expected to know it.

use super::SigningError;
use crate::config::{self, Missing, Secret};
use crate::secrets::{Kept, KeyStore, OwnKey, SecretError, Stage, Version, read};
use crate::{App, aws};
use data_encoding::BASE64URL_NOPAD;
use jiff::{SignedDuration, Timestamp};
use ring::hkdf::{HKDF_SHA256, Salt};
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// How long a key is published before it signs: those who verify read the keys every five minutes, from a proxy that keeps
/// them for one, which has them from a function that keeps them for five.
const PUBLISHED_FOR: SignedDuration = SignedDuration::from_mins(15);

/// What tells this key from others that might be made of the same secret.
const PURPOSE: &[u8] = b"perennial: signed entitlements: Ed25519";

/// Where the keys come from.
#[derive(Clone, Debug)]
pub struct KeyRings {
    store: KeyStore,
    kept: Kept<KeyRing>,
}

impl KeyRings {
    pub fn new(store: KeyStore) -> Self {
        Self { store, kept: Kept::default() }
    }

    pub fn from_env(app: &App) -> Result<Self, Missing> {
        let client = aws::secrets_manager(&app.config.aws, &app.sdk);
        Ok(Self::new(KeyStore::SecretsManager { client, arn: config::entitlement_key_arn()? }))
    }

    /// The keys that what was signed is verified with, as a JWK set.
    pub async fn published(&self) -> Result<Value, SigningError> {
        Ok(self.get().await?.published())
    }

    pub(super) async fn get(&self) -> Result<Arc<KeyRing>, SecretError> {
        if let Some(keys) = self.kept.get() {
            return Ok(keys);
        }
        let current = self.store.current().await?;
        let previous = self.store.version(Stage::Previous).await?;
        Ok(self.kept.keep(KeyRing::of(&current, previous.as_ref())?))
    }
}

/// The keys of one moment.
#[derive(Debug)]
pub(super) struct KeyRing {
    current: SigningKey,
    /// When its secret was.
    made_at: Timestamp,
    /// What it signed is still about, and it goes on signing until the current one is known.
    previous: Option<SigningKey>,
}

impl KeyRing {
    fn of(current: &Version, previous: Option<&Version>) -> Result<Self, SecretError> {
        let (key, made_at) = (SigningKey::made_of(&current.text)?, current.made_at);
        // Rotated away from what was no secret at all, the one that is signs alone.
        let previous = previous.and_then(|it| match SigningKey::made_of(&it.text) {
            Ok(key) => Some(key),
            Err(error) => {
                tracing::warn!("the secret before this one makes no key: {error}");
                None
            }
        });
        // One key is both if it was rotated between two questions, and a set of keys names none twice.
        let previous = previous.filter(|previous| previous.kid != key.kid);
        Ok(Self { current: key, made_at, previous })
    }

    /// The key that signs at `now`, by the world's clock.
    pub(super) fn signing(&self, now: Timestamp) -> &SigningKey {
        match &self.previous {
            Some(previous) if now.duration_since(self.made_at) < PUBLISHED_FOR => previous,
            Some(_) | None => &self.current,
        }
    }

    /// As a JWK set (RFC 7517).
    pub(super) fn published(&self) -> Value {
        let keys = std::iter::once(&self.current).chain(&self.previous);
        json!({ "keys": keys.map(SigningKey::jwk).collect::<Vec<_>>() })
    }
}

pub(super) struct SigningKey {
    pair: Ed25519KeyPair,
    /// Follows from the public key.
    pub(super) kid: String,
}

impl SigningKey {
    fn made_of(secret: &Secret) -> Result<Self, SecretError> {
        let OwnKey { key } = read(secret)?;
        Self::derived(key.expose().as_bytes()).ok_or(SecretError::NoKey)
    }

    /// HKDF makes a seed of what is long and random, and of no particular form.
    fn derived(key: &[u8]) -> Option<Self> {
        let mut seed = [0; 32];
        Salt::new(HKDF_SHA256, &[]).extract(key).expand(&[PURPOSE], HKDF_SHA256).ok()?.fill(&mut seed).ok()?;
        Self::of_seed(&seed)
    }

    fn of_seed(seed: &[u8]) -> Option<Self> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).ok()?;
        let kid = thumbprint(&public(&pair));
        Some(Self { pair, kid })
    }

    pub(super) fn sign(&self, text: &str) -> String {
        BASE64URL_NOPAD.encode(self.pair.sign(text.as_bytes()).as_ref())
    }

    /// As RFC 8037 writes it.
    fn jwk(&self) -> Value {
        json!({
            "kty": "OKP", "crv": "Ed25519", "x": public(&self.pair), "kid": self.kid, "alg": "EdDSA", "use": "sig",
        })
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigningKey").field("kid", &self.kid).finish_non_exhaustive()
    }
}

fn public(pair: &Ed25519KeyPair) -> String {
    BASE64URL_NOPAD.encode(pair.public_key().as_ref())
}

/// RFC 7638.
fn thumbprint(x: &str) -> String {
    BASE64URL_NOPAD.encode(&Sha256::digest(format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use billing::testing::instant;

    fn version(key: &str, made_at: &str) -> Version {
        Version { text: Secret::new(json!({ "key": key }).to_string()), made_at: instant(made_at) }
    }

    #[test]
    fn a_key_is_written_and_named_and_signs_as_in_rfc_8037() {
        let seed = BASE64URL_NOPAD.decode(b"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A");
        let key = seed.ok().and_then(|seed| SigningKey::of_seed(&seed)).unwrap_or_else(|| panic!("a key"));
        let expected = json!({
            "kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
            "kid": "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k", "alg": "EdDSA", "use": "sig",
        });
        assert_eq!(key.jwk(), expected);
        let signature = key.sign("eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc");
        let expected = "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
        assert_eq!(signature, expected);
    }

    /// A release that made another key of the same secret would have every token refused for a while.
    #[test]
    fn of_one_secret_there_is_one_key_in_every_release() {
        let key = SigningKey::derived("k7".repeat(32).as_bytes()).unwrap_or_else(|| panic!("a key"));
        assert_eq!(public(&key.pair), "yRR3BQdZNwysBkMaUOa9szN9x6OqN_lfg5GGnxoaB-I");
        assert_eq!(format!("{key:?}"), format!("SigningKey {{ kid: {:?}, .. }}", key.kid));
    }

    #[test]
    fn a_secret_that_was_none_is_no_obstacle_to_the_one_after_it() {
        let (before, rotated) = (version("", "2026-01-01T00:00:00Z"), version(&"n".repeat(64), "2026-03-01T10:00:00Z"));
        let broken = Version { text: Secret::new("not JSON".to_owned()), ..before };
        let ring = KeyRing::of(&rotated, Some(&broken)).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(ring.published()["keys"].as_array().map(Vec::len), Some(1));
        assert_eq!(ring.signing(instant("2026-03-01T10:00:00Z")).kid, ring.current.kid);
        assert!(KeyRing::of(&broken, Some(&rotated)).is_err());
    }

    #[test]
    fn a_rotated_key_is_published_at_once_and_signs_when_it_is_known() {
        let (old, new) = ("o".repeat(64), "n".repeat(64));
        let (before, rotated) = (version(&old, "2026-01-01T00:00:00Z"), version(&new, "2026-03-01T10:00:00Z"));
        let ring = |current, previous| KeyRing::of(current, previous).unwrap_or_else(|error| panic!("{error}"));
        let kid = |key: &str| SigningKey::derived(key.as_bytes()).map(|key| key.kid).unwrap_or_default();
        let both = ring(&rotated, Some(&before));
        let published = both.published();
        assert_eq!([&published["keys"][0]["kid"], &published["keys"][1]["kid"]], [&kid(&new), &kid(&old)]);
        for (now, signs) in [
            ("2026-03-01T10:00:00Z", &old),
            ("2026-03-01T10:14:59Z", &old),
            ("2026-03-01T10:15:00Z", &new),
            ("2027-03-01T10:00:00Z", &new),
        ] {
            assert_eq!(both.signing(instant(now)).kid, kid(signs), "{now}");
        }
        // The first one has nobody to wait for, nor one that is the same.
        for first in [ring(&rotated, None), ring(&rotated, Some(&rotated))] {
            assert_eq!(first.signing(instant("2026-03-01T10:00:00Z")).kid, kid(&new));
            assert_eq!(first.published()["keys"].as_array().map(Vec::len), Some(1));
        }
    }

    #[test]
    fn what_could_be_guessed_is_no_key_and_is_not_told() {
        for key in ["", "private", &"k".repeat(31), &" ".repeat(64)] {
            let refused = KeyRing::of(&version(key, "2026-01-01T00:00:00Z"), None);
            let Err(cause) = refused else { panic!("{key:?}: {refused:?}") };
            assert!(!cause.to_string().contains("private"), "{cause}");
        }
    }
}
