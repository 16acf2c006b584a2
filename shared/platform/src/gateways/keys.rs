//! The keys of a gateway: read when first needed, never at start-up, and kept
//! for a while, so that a rotated key is taken up without a deployment.

use crate::config::Secret;
use aws_sdk_secretsmanager::Client;
use billing::ports::GatewayError;
use serde::Deserialize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The value of a gateway's secret, as JSON.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keys {
    pub secret_key: Secret,
    /// Any of these may have signed a delivery: two during a rotation.
    pub webhook_secrets: Vec<Secret>,
}

#[derive(Debug, thiserror::Error)]
enum BadSecret {
    #[error("the secret has no value")]
    NoValue,
    #[error("the secret is not {{\"secret_key\", \"webhook_secrets\"}}")]
    NotKeys,
    #[error("the secret has an empty key: nothing can be signed or verified with it")]
    Empty,
}

impl Keys {
    /// An empty key would accept what anyone signs with an empty key.
    fn parse(text: &str) -> Result<Self, BadSecret> {
        // The parser's own error would quote the secret.
        let keys: Self = serde_json::from_str(text).map_err(|_| BadSecret::NotKeys)?;
        let blank = |secret: &Secret| secret.expose().trim().is_empty();
        match blank(&keys.secret_key) || keys.webhook_secrets.is_empty() || keys.webhook_secrets.iter().any(blank) {
            true => Err(BadSecret::Empty),
            false => Ok(keys),
        }
    }
}

/// The keys, and when they were read.
type Read = (Instant, Arc<Keys>);

#[derive(Clone, Debug)]
pub enum KeySource {
    Given(Arc<Keys>),
    SecretsManager { client: Client, arn: String, cached: Arc<Mutex<Option<Read>>> },
}

const KEPT_FOR: Duration = Duration::from_secs(300);

impl KeySource {
    pub fn secret(client: Client, arn: String) -> Self {
        Self::SecretsManager { client, arn, cached: Arc::default() }
    }

    /// The keys, or no answer: a store of secrets that is down is not a decline.
    pub async fn get(&self) -> Result<Arc<Keys>, GatewayError> {
        let (client, arn, cached) = match self {
            Self::Given(keys) => return Ok(keys.clone()),
            Self::SecretsManager { client, arn, cached } => (client, arn, cached),
        };
        let known = cached.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((read_at, keys)) = known
            && read_at.elapsed() < KEPT_FOR
        {
            return Ok(keys);
        }
        let request = client.get_secret_value().secret_id(arn);
        let output = Box::pin(request.send()).await.map_err(|error| GatewayError::NoAnswer(Box::new(error)))?;
        let parsed = output.secret_string().ok_or(BadSecret::NoValue).and_then(Keys::parse);
        let keys = Arc::new(parsed.map_err(|error| GatewayError::NoAnswer(Box::new(error)))?);
        *cached.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), keys.clone()));
        Ok(keys)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_key_is_no_key() {
        for text in [
            r#"{"secret_key":"","webhook_secrets":["whsec_1"]}"#,
            r#"{"secret_key":"sk_1","webhook_secrets":[]}"#,
            r#"{"secret_key":"sk_1","webhook_secrets":["whsec_1"," "]}"#,
            r#"{"secret_key":"sk_1"}"#,
            "sk_live_1",
        ] {
            let refused = Keys::parse(text).map_or_else(|error| error.to_string(), |_| panic!("{text}"));
            assert!(!refused.contains("sk_"), "{refused}");
        }
        assert!(Keys::parse(r#"{"secret_key":"sk_1","webhook_secrets":["whsec_1","whsec_2"]}"#).is_ok());
    }
}
