//! The keys that the issuer signs tokens with, where its discovery document says they are, kept for a while.
//! <https://openid.net/specs/openid-connect-discovery-1_0.html>, RFC 7517.
//!
//! No address comes from a token. How long is waited, how much is read and how long keys are kept is as API Gateway does it
//! before our own routes: a key that the issuer takes back stops working within the same time for both.

use crate::config::TokenRules;
use crate::http_client::body_within;
use data_encoding::BASE64URL_NOPAD;
use jiff::{SignedDuration, Timestamp};
use reqwest::{Client, Url};
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;

const ANSWERED_WITHIN: Duration = Duration::from_millis(1_500);
const MOST_BYTES: usize = 150_000;
const FRESH_FOR: SignedDuration = SignedDuration::from_hours(1);
/// While the issuer does not answer.
const KEPT_FOR: SignedDuration = SignedDuration::from_hours(2);
/// Whoever makes up names of keys makes us ask no more often.
const ASKED_AGAIN_AFTER: SignedDuration = SignedDuration::from_secs(30);

/// For how long nobody asks an issuer again that has not answered, where no key is known.
const SILENT_FOR: SignedDuration = SignedDuration::from_secs(1);

#[derive(Clone, Debug)]
pub struct IssuerKeys {
    issuer: String,
    http: Client,
    kept: Arc<Mutex<Kept>>,
}

#[derive(Debug, Default)]
struct Kept {
    keys: Vec<Key>,
    fetched_at: Option<Timestamp>,
    asked_at: Option<Timestamp>,
}

/// The issuer does not say which keys are its own.
#[derive(Debug, thiserror::Error)]
#[error("the issuer's keys are not known: {0}")]
pub struct NoKeys(String);

impl IssuerKeys {
    pub fn new(rules: &TokenRules, http: Client) -> Self {
        Self { issuer: rules.issuer.clone(), http, kept: Arc::default() }
    }

    /// Whether the issuer's key `name` signed `message`. Who asks while another fetches the keys waits for that one's.
    pub(super) async fn signed(
        &self,
        name: &str,
        message: &[u8],
        signature: &[u8],
        now: Timestamp,
    ) -> Result<bool, NoKeys> {
        let mut kept = self.kept.lock().await;
        // Who has never answered is asked once a second, by however many.
        if !within(kept.fetched_at, KEPT_FOR, now) && within(kept.asked_at, SILENT_FOR, now) {
            return Err(NoKeys("it did not answer just now".to_owned()));
        }
        if kept.wants(name, now) {
            kept.asked_at = Some(now);
            match self.fetch().await {
                Ok(keys) => (kept.keys, kept.fetched_at) = (keys, Some(now)),
                Err(error) if within(kept.fetched_at, KEPT_FOR, now) => {
                    tracing::warn!("{error}: kept those there were")
                }
                Err(error) => return Err(error),
            }
        }
        // Asked since, the issuer said nothing: a key that it may have by now is not known, which is no refusal.
        if kept.asked_at != kept.fetched_at && !kept.keys.iter().any(|key| key.name == name) {
            return Err(NoKeys("it has not answered since it was asked for another".to_owned()));
        }
        // One name may stand for several keys, all of them the issuer's.
        Ok(kept.keys.iter().filter(|key| key.name == name).any(|key| key.signed(message, signature)))
    }

    async fn fetch(&self) -> Result<Vec<Key>, NoKeys> {
        let issuer = self.issuer.strip_suffix('/').unwrap_or(&self.issuer);
        let discovery: Discovery = self.get(&format!("{issuer}/.well-known/openid-configuration")).await?;
        if discovery.issuer != self.issuer {
            return Err(NoKeys("its discovery document is another issuer's".to_owned()));
        }
        if !is_trusted(&discovery.jwks_uri, &self.issuer) {
            return Err(NoKeys("they are not where they could be trusted".to_owned()));
        }
        let set: KeySet = self.get(&discovery.jwks_uri).await?;
        let keys: Vec<Key> = set.keys.into_iter().filter_map(Key::read).collect();
        // An empty answer is none: what was kept is better.
        if keys.is_empty() { Err(NoKeys("it has none for RS256".to_owned())) } else { Ok(keys) }
    }

    async fn get<T: DeserializeOwned>(&self, url: &str) -> Result<T, NoKeys> {
        let failed = |error: reqwest::Error| NoKeys(crate::sqs::chain(&error));
        let response = self.http.get(url).timeout(ANSWERED_WITHIN).send().await.map_err(failed)?;
        if response.status() != http::StatusCode::OK {
            return Err(NoKeys(format!("{url} answers {}", response.status())));
        }
        let body = body_within(response, MOST_BYTES).await.map_err(failed)?;
        let body = body.ok_or_else(|| NoKeys(format!("{url} says more than {MOST_BYTES} bytes")))?;
        serde_json::from_slice(&body).map_err(|error| NoKeys(format!("{url} says something else: {error}")))
    }
}

impl Kept {
    /// Whether the issuer is to be asked for the key `name`.
    fn wants(&self, name: &str, now: Timestamp) -> bool {
        if !within(self.fetched_at, KEPT_FOR, now) {
            return true;
        }
        let has = within(self.fetched_at, FRESH_FOR, now) && self.keys.iter().any(|key| key.name == name);
        !has && !within(self.asked_at, ASKED_AGAIN_AFTER, now)
    }
}

/// Whether `at` was so short a time ago. A clock that was put back says nothing.
fn within(at: Option<Timestamp>, time: SignedDuration, now: Timestamp) -> bool {
    at.map(|at| now.duration_since(at)).is_some_and(|age| !age.is_negative() && age < time)
}

/// Over TLS, or where the issuer itself is: one without TLS is on this machine.
fn is_trusted(keys: &str, issuer: &str) -> bool {
    let (Ok(keys), Ok(issuer)) = (Url::parse(keys), Url::parse(issuer)) else { return false };
    keys.scheme() == "https" || keys.origin() == issuer.origin()
}

#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: String,
}

#[derive(Deserialize)]
struct KeySet {
    keys: Vec<Value>,
}

#[derive(Debug)]
struct Key {
    name: String,
    public: RsaPublicKeyComponents<Vec<u8>>,
}

#[derive(Deserialize)]
struct Written {
    kty: String,
    kid: String,
    n: String,
    e: String,
    alg: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
}

impl Key {
    /// Those of other kinds are no concern of ours.
    fn read(key: Value) -> Option<Self> {
        let key: Written = serde_json::from_value(key).ok()?;
        let for_us = key.kty == "RSA"
            && key.alg.is_none_or(|alg| alg == "RS256")
            && key.usage.is_none_or(|usage| usage == "sig");
        let public = RsaPublicKeyComponents { n: number(&key.n)?, e: number(&key.e)? };
        for_us.then_some(Self { name: key.kid, public })
    }

    fn signed(&self, message: &[u8], signature: &[u8]) -> bool {
        self.public.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature).is_ok()
    }
}

/// Some issuers write a zero before a number, which the standard forbids and the verifier does not know.
fn number(text: &str) -> Option<Vec<u8>> {
    let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).ok()?;
    Some(bytes.into_iter().skip_while(|byte| *byte == 0).collect())
}

#[cfg(test)]
mod tests;
