//! The keys of a gateway: read when first needed, never at start-up, and kept
//! for a while, so that a rotated key is taken up without a deployment.

use crate::config::Secret;
use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::operation::get_secret_value::GetSecretValueOutput;
use billing::ports::GatewayError;
use jiff::Timestamp;
use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Where the secret with a gateway's keys is kept: JSON, in the shape of that gateway.
#[derive(Clone, Debug)]
pub enum KeyStore {
    Given(Secret),
    SecretsManager { client: Client, arn: String },
}

impl KeyStore {
    /// Keys that are known already, as the secret would spell them.
    pub fn given(json: impl ToString) -> Self {
        Self::Given(Secret::new(json.to_string()))
    }

    async fn text(&self) -> Result<Secret, GatewayError> {
        match self.version(Stage::Current).await? {
            Some(version) => Ok(version.text),
            None => Err(GatewayError::NoAnswer("there is no such secret".into())),
        }
    }

    /// None: the secret has no such version, or there is no secret.
    pub(crate) async fn version(&self, stage: Stage) -> Result<Option<Version>, GatewayError> {
        let (client, arn) = match (self, stage) {
            (Self::Given(text), Stage::Current) => {
                return Ok(Some(Version { text: text.clone(), made_at: Timestamp::UNIX_EPOCH }));
            }
            (Self::Given(_), Stage::Previous) => return Ok(None),
            (Self::SecretsManager { client, arn }, _) => (client, arn),
        };
        let request = client.get_secret_value().secret_id(arn).version_stage(stage.as_str());
        match Box::pin(request.send()).await {
            Ok(output) => Version::of(output).map(Some),
            Err(error) if error.as_service_error().is_some_and(|it| it.is_resource_not_found_exception()) => Ok(None),
            Err(error) => Err(GatewayError::NoAnswer(Box::new(error))),
        }
    }
}

/// Which version of a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Current,
    /// The one that the current one took the place of.
    Previous,
}

impl Stage {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Current => "AWSCURRENT",
            Self::Previous => "AWSPREVIOUS",
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Version {
    pub(crate) text: Secret,
    pub(crate) made_at: Timestamp,
}

impl Version {
    fn of(output: GetSecretValueOutput) -> Result<Self, GatewayError> {
        let made_at = output.created_date.and_then(|made| Timestamp::from_second(made.secs()).ok());
        let made_at = made_at.ok_or_else(|| GatewayError::NoAnswer("nobody knows when the secret was made".into()))?;
        Ok(Self { text: Secret::new(output.secret_string.unwrap_or_default()), made_at })
    }
}

/// What a secret holds: the keys of one gateway, or our own.
pub(crate) trait Keys: DeserializeOwned {
    /// What its secret must look like.
    const SHAPE: &'static str;

    /// All that must not be blank: what anyone signs with an empty key would be accepted.
    fn all(&self) -> Vec<&str>;

    /// Those of which there must be one at least.
    fn verifying(&self) -> usize;
}

/// Stripe's and Paystack's.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ApiKeys {
    pub(super) secret_key: Secret,
    /// Any of these may have signed a delivery: two during a rotation.
    pub(super) webhook_secrets: Vec<Secret>,
}

impl Keys for ApiKeys {
    const SHAPE: &'static str = r#"{"secret_key", "webhook_secrets": […]}"#;

    fn all(&self) -> Vec<&str> {
        std::iter::once(&self.secret_key).chain(&self.webhook_secrets).map(Secret::expose).collect()
    }

    fn verifying(&self) -> usize {
        self.webhook_secrets.len()
    }
}

/// Flitt's: one key signs what we send and what we are sent.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FlittKeys {
    #[serde(deserialize_with = "number_or_text")]
    pub(super) merchant_id: String,
    /// The current one first; those before it may still have signed a delivery.
    pub(super) payment_keys: Vec<Secret>,
}

impl Keys for FlittKeys {
    const SHAPE: &'static str = r#"{"merchant_id", "payment_keys": […]}"#;

    fn all(&self) -> Vec<&str> {
        let keys = self.payment_keys.iter().map(Secret::expose);
        std::iter::once(self.merchant_id.as_str()).chain(keys).collect()
    }

    fn verifying(&self) -> usize {
        self.payment_keys.len()
    }
}

/// PayPal's.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PayPalKeys {
    pub(super) client_id: String,
    pub(super) client_secret: Secret,
    /// What a delivery is signed for: ours are at any of these.
    pub(super) webhook_ids: Vec<String>,
    /// Certificates that deliveries are signed with, by address, as PEM. What is not here is fetched.
    #[serde(default)]
    pub(super) certificates: BTreeMap<String, String>,
    /// What a certificate must chain to, as PEM. None: the public roots.
    #[serde(default)]
    pub(super) roots: Vec<String>,
}

impl Keys for PayPalKeys {
    const SHAPE: &'static str =
        r#"{"client_id", "client_secret", "webhook_ids": […]} and, if pinned, "certificates" and "roots""#;

    fn all(&self) -> Vec<&str> {
        let named = [self.client_id.as_str(), self.client_secret.expose()].into_iter();
        let pinned = self.certificates.values().chain(&self.roots);
        named.chain(self.webhook_ids.iter().chain(pinned).map(String::as_str)).collect()
    }

    fn verifying(&self) -> usize {
        self.webhook_ids.len()
    }
}

/// A key of our own, which the deployment made up.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OwnKey {
    #[serde(deserialize_with = "long_enough")]
    pub(crate) key: Secret,
}

/// A shorter key could be guessed by someone who has seen what it signed.
const LEAST_KEY: usize = 32;

impl Keys for OwnKey {
    const SHAPE: &'static str = r#"{"key"} of at least 32 characters"#;

    fn all(&self) -> Vec<&str> {
        vec![self.key.expose()]
    }

    fn verifying(&self) -> usize {
        1
    }
}

fn long_enough<'de, D: Deserializer<'de>>(from: D) -> Result<Secret, D::Error> {
    let key = Secret::deserialize(from)?;
    match key.expose().len() >= LEAST_KEY {
        true => Ok(key),
        false => Err(D::Error::custom("too short")),
    }
}

fn number_or_text<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        Number(u64),
        Text(String),
    }
    Ok(match Either::deserialize(from)? {
        Either::Number(number) => number.to_string(),
        Either::Text(text) => text,
    })
}

#[derive(Debug, thiserror::Error)]
enum BadSecret {
    #[error("the secret is not {0}")]
    NotKeys(&'static str),
    #[error("the secret has an empty key: nothing can be signed or verified with it")]
    Empty,
}

/// The keys that a secret holds, or no answer.
pub(crate) fn read<K: Keys>(secret: &Secret) -> Result<K, GatewayError> {
    parse(secret.expose()).map_err(|error| GatewayError::NoAnswer(Box::new(error)))
}

fn parse<K: Keys>(text: &str) -> Result<K, BadSecret> {
    // The parser's own error would quote the secret.
    let keys: K = serde_json::from_str(text).map_err(|_| BadSecret::NotKeys(K::SHAPE))?;
    match keys.verifying() == 0 || keys.all().iter().any(|key| key.trim().is_empty()) {
        true => Err(BadSecret::Empty),
        false => Ok(keys),
    }
}

/// What was read, for a while: long enough that few calls wait for it, and not so long that a rotation is.
#[derive(Debug)]
pub(crate) struct Kept<T>(Arc<Mutex<Option<Read<T>>>>);

/// What was read, and when.
type Read<T> = (Instant, Arc<T>);

const KEPT_FOR: Duration = Duration::from_secs(300);

impl<T> Clone for Kept<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T> Kept<T> {
    pub(crate) fn get(&self) -> Option<Arc<T>> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        known.filter(|(read_at, _)| read_at.elapsed() < KEPT_FOR).map(|(_, read)| read)
    }

    pub(crate) fn keep(&self, read: T) -> Arc<T> {
        let read = Arc::new(read);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), read.clone()));
        read
    }
}

/// The keys of a gateway, wherever they are kept.
#[derive(Clone, Debug)]
pub(crate) struct KeySource<K> {
    store: KeyStore,
    kept: Kept<K>,
}

impl<K: Keys> KeySource<K> {
    pub(crate) fn new(store: KeyStore) -> Self {
        Self { store, kept: Kept::default() }
    }

    /// The keys, or no answer: a store of secrets that is down is not a decline.
    pub(crate) async fn get(&self) -> Result<Arc<K>, GatewayError> {
        match self.kept.get() {
            Some(keys) => Ok(keys),
            None => Ok(self.kept.keep(read::<K>(&self.store.text().await?)?)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused<K: Keys>(text: &str) -> String {
        parse::<K>(text).map_or_else(|error| error.to_string(), |_| panic!("{text}"))
    }

    #[test]
    fn an_empty_key_is_no_key_and_no_error_quotes_one() {
        let refusals = [
            refused::<ApiKeys>(r#"{"secret_key":"","webhook_secrets":["private"]}"#),
            refused::<ApiKeys>(r#"{"secret_key":"private","webhook_secrets":[]}"#),
            refused::<ApiKeys>(r#"{"secret_key":"private","webhook_secrets":["private"," "]}"#),
            refused::<ApiKeys>(r#"{"secret_key":"private"}"#),
            refused::<ApiKeys>("private"),
            refused::<FlittKeys>(r#"{"merchant_id":1396424,"payment_keys":[]}"#),
            refused::<FlittKeys>(r#"{"merchant_id":1396424,"payment_keys":[""]}"#),
            refused::<FlittKeys>(r#"{"merchant_id":"","payment_keys":["private"]}"#),
            refused::<FlittKeys>(r#"{"merchant_id":null,"payment_keys":["private"]}"#),
            refused::<PayPalKeys>(r#"{"client_id":"","client_secret":"private","webhook_ids":["private"]}"#),
            refused::<PayPalKeys>(r#"{"client_id":"a","client_secret":" ","webhook_ids":["private"]}"#),
            refused::<PayPalKeys>(r#"{"client_id":"a","client_secret":"private","webhook_ids":[]}"#),
            refused::<PayPalKeys>(
                r#"{"client_id":"a","client_secret":"private","webhook_ids":["b"],"certificates":{"c":""}}"#,
            ),
            refused::<PayPalKeys>(
                r#"{"client_id":"a","client_secret":"private","webhook_ids":["b"],"root":"private"}"#,
            ),
        ];
        assert!(refusals.iter().all(|refusal| !refusal.contains("private")), "{refusals:?}");
    }

    #[test]
    fn each_gateway_has_a_shape_of_its_own() {
        assert!(parse::<ApiKeys>(r#"{"secret_key":"sk_1","webhook_secrets":["whsec_1","whsec_2"]}"#).is_ok());
        for merchant in ["1396424", r#""1396424""#] {
            let keys = parse::<FlittKeys>(&format!(r#"{{"merchant_id":{merchant},"payment_keys":["new","old"]}}"#));
            assert_eq!(keys.map(|keys| keys.merchant_id).ok().as_deref(), Some("1396424"));
        }
        let plain = r#"{"client_id":"a","client_secret":"b","webhook_ids":["c"]}"#;
        assert!(parse::<PayPalKeys>(plain).is_ok_and(|keys| keys.certificates.is_empty() && keys.roots.is_empty()));
        let pinned = plain.replace('}', r#","certificates":{"https://api.paypal.com/c":"PEM"},"roots":["PEM"]}"#);
        assert!(parse::<PayPalKeys>(&pinned).is_ok_and(|keys| keys.certificates.len() == 1 && keys.roots.len() == 1));
    }
}
