//! Everything a function learns from its environment. No other module reads it.

use billing::payment::Gateway;
use std::{env, fmt};

#[derive(Clone, Debug)]
pub struct Config {
    pub table: String,
    pub aws: Aws,
    pub tokens: TokenRules,
    pub gateways: GatewayConfig,
    /// Where the world reaches our API, without a slash at its end: some gateways are told with each payment, and links
    /// in mails begin with it.
    pub public_url: Option<String>,
    /// Where a customer may be sent back to, as origins: `https://app.example.com`.
    pub return_urls: Vec<String>,
    /// Whether time is a record that an admin may move.
    pub test_clock: bool,
}

/// Who we are to AWS: what the Lambda runtime puts into the environment.
#[derive(Clone, Debug)]
pub struct Aws {
    pub region: String,
    pub access_key_id: String,
    pub secret_access_key: Secret,
    pub session_token: Option<Secret>,
    /// Another address for all of AWS: the local stack.
    pub endpoint: Option<String>,
}

/// What a token must say.
#[derive(Clone, Debug)]
pub struct TokenRules {
    pub issuer: String,
    pub audience: String,
    pub customer_claim: String,
    pub email_claim: String,
}

#[derive(Clone, Debug)]
pub struct GatewayConfig {
    pub stripe: GatewayAccess,
    pub paystack: GatewayAccess,
    pub flitt: GatewayAccess,
    pub paypal: GatewayAccess,
}

#[derive(Clone, Debug)]
pub struct GatewayAccess {
    /// Of the secret with the keys. None: this deployment does not use the gateway.
    pub secret_arn: Option<String>,
    pub api: String,
}

impl Config {
    pub fn from_env() -> Result<Self, Missing> {
        Ok(Self {
            table: required("TABLE_NAME")?,
            aws: Aws {
                region: required("AWS_REGION")?,
                access_key_id: required("AWS_ACCESS_KEY_ID")?,
                secret_access_key: Secret(required("AWS_SECRET_ACCESS_KEY")?),
                session_token: optional("AWS_SESSION_TOKEN").map(Secret),
                endpoint: optional("AWS_ENDPOINT_URL"),
            },
            tokens: TokenRules {
                issuer: required("TOKEN_ISSUER")?,
                audience: required("TOKEN_AUDIENCE")?,
                customer_claim: required("CUSTOMER_CLAIM")?,
                email_claim: required("EMAIL_CLAIM")?,
            },
            gateways: GatewayConfig {
                stripe: GatewayAccess::from_env("STRIPE_SECRET_ARN", "STRIPE_API", "https://api.stripe.com"),
                paystack: GatewayAccess::from_env("PAYSTACK_SECRET_ARN", "PAYSTACK_API", "https://api.paystack.co"),
                flitt: GatewayAccess::from_env("FLITT_SECRET_ARN", "FLITT_API", "https://pay.flitt.com"),
                paypal: GatewayAccess::from_env("PAYPAL_SECRET_ARN", "PAYPAL_API", "https://api-m.paypal.com"),
            },
            public_url: optional("PUBLIC_URL").map(|url| url.trim_end_matches('/').to_owned()),
            return_urls: list("RETURN_URLS"),
            test_clock: match required("TEST_CLOCK")?.as_str() {
                "enabled" => true,
                "disabled" => false,
                _ => return Err(Missing("TEST_CLOCK (enabled or disabled)")),
            },
        })
    }
}

impl GatewayConfig {
    pub fn of(&self, gateway: Gateway) -> &GatewayAccess {
        match gateway {
            Gateway::Stripe => &self.stripe,
            Gateway::Paystack => &self.paystack,
            Gateway::Flitt => &self.flitt,
            Gateway::PayPal => &self.paypal,
        }
    }
}

impl GatewayAccess {
    fn from_env(arn: &'static str, api: &'static str, address: &str) -> Self {
        Self { secret_arn: optional(arn), api: optional(api).unwrap_or_else(|| address.to_owned()) }
    }
}

/// The address of a work queue, for the one function that sends.
pub fn queue_url(name: &'static str) -> Result<String, Missing> {
    required(name)
}

/// The one gateway whose deliveries this function takes in.
pub fn gateway() -> Result<Gateway, Missing> {
    let name = required("GATEWAY")?;
    Gateway::ALL.into_iter().find(|gateway| gateway.as_str() == name).ok_or(Missing("GATEWAY (the name of one)"))
}

/// The address that mails come from. None: this deployment sends no mails.
pub fn mail_from() -> Option<String> {
    optional("MAIL_FROM")
}

/// Of the secret with the key that links are signed with, for the functions that write and follow them.
pub fn link_key_arn() -> Option<String> {
    optional("LINK_KEY_SECRET_ARN")
}

/// Of the secret that the key of signed entitlements is made of, for the functions that sign and publish.
pub fn entitlement_key_arn() -> Result<String, Missing> {
    required("ENTITLEMENT_KEY_SECRET_ARN")
}

/// What signed entitlements call this deployment.
pub fn entitlement_issuer() -> Result<String, Missing> {
    required("ENTITLEMENT_ISSUER")
}

/// The name under which this function was deployed; empty where there is none.
pub fn function_name() -> String {
    optional("AWS_LAMBDA_FUNCTION_NAME").unwrap_or_default()
}

fn required(name: &'static str) -> Result<String, Missing> {
    optional(name).ok_or(Missing(name))
}

fn optional(name: &'static str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

fn list(name: &'static str) -> Vec<String> {
    let text = optional(name).unwrap_or_default();
    text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()
}

#[derive(Debug, thiserror::Error)]
#[error("environment variable {0} is not set")]
pub struct Missing(pub(crate) &'static str);

/// A value that must not reach a log: `Debug` prints stars.
#[derive(Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_not_printed() {
        assert_eq!(format!("{:?}", Secret::new("sk_live_1")), "***");
    }
}
