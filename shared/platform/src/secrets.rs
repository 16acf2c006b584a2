//! Secrets: a gateway's keys, and our own. Each is read when first needed, never
//! at start-up, and what it holds is kept for a while, so that a rotated key is
//! taken up without a deployment.

use crate::config::Secret;
use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::operation::get_secret_value::GetSecretValueOutput;
use jiff::Timestamp;
use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Why the keys that a secret holds are not to be had. None of it quotes the secret.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    #[error("the store of secrets does not answer")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("there is no such secret")]
    Missing,
    #[error("nobody knows when the secret was made")]
    Undated,
    #[error("the secret is not {0}")]
    NotKeys(&'static str),
    #[error("the secret has an empty key: nothing can be signed or verified with it")]
    Empty,
    #[error("no key can be made of the secret")]
    NoKey,
}

/// Where a secret is kept: JSON, in the shape of whoever's keys it holds.
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

    async fn text(&self) -> Result<Secret, SecretError> {
        Ok(self.current().await?.text)
    }

    pub(crate) async fn current(&self) -> Result<Version, SecretError> {
        self.version(Stage::Current).await?.ok_or(SecretError::Missing)
    }

    /// None: the secret has no such version, or there is no secret.
    pub(crate) async fn version(&self, stage: Stage) -> Result<Option<Version>, SecretError> {
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
            Err(error) => Err(SecretError::Unavailable(Box::new(error))),
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
    fn of(output: GetSecretValueOutput) -> Result<Self, SecretError> {
        let made_at = output.created_date.and_then(|made| Timestamp::from_second(made.secs()).ok());
        let made_at = made_at.ok_or(SecretError::Undated)?;
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

/// The keys that `secret` holds.
pub(crate) fn read<K: Keys>(secret: &Secret) -> Result<K, SecretError> {
    // The parser's own error would quote the secret.
    let keys: K = serde_json::from_str(secret.expose()).map_err(|_| SecretError::NotKeys(K::SHAPE))?;
    match keys.verifying() == 0 || keys.all().iter().any(|key| key.trim().is_empty()) {
        true => Err(SecretError::Empty),
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

/// The keys that one secret holds, wherever it is kept.
#[derive(Clone, Debug)]
pub(crate) struct KeySource<K> {
    store: KeyStore,
    kept: Kept<K>,
}

impl<K: Keys> KeySource<K> {
    pub(crate) fn new(store: KeyStore) -> Self {
        Self { store, kept: Kept::default() }
    }

    pub(crate) async fn get(&self) -> Result<Arc<K>, SecretError> {
        match self.kept.get() {
            Some(keys) => Ok(keys),
            None => Ok(self.kept.keep(read::<K>(&self.store.text().await?)?)),
        }
    }
}
