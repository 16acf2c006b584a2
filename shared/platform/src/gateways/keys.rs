//! What the secret of each gateway holds.

use super::WebhookError;
use crate::config::Secret;
use crate::secrets::{Keys, SecretError};
use billing::ports::GatewayError;
use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;

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

/// A store of secrets that is down is not a decline.
impl From<SecretError> for GatewayError {
    fn from(error: SecretError) -> Self {
        Self::NoAnswer(Box::new(error))
    }
}

impl From<SecretError> for WebhookError {
    fn from(error: SecretError) -> Self {
        Self::NoKeys(error.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secrets::read;

    fn parse<K: Keys>(text: &str) -> Result<K, SecretError> {
        read(&Secret::new(text))
    }

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
