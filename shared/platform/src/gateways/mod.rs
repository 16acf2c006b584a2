//! One adapter per payment gateway. Each turns our vocabulary into theirs and back.
//!
//! A module has three parts, top to bottom: the client and its calls; wire types
//! with only the fields we read; pure translation. Only the first does I/O.

mod keys;
mod paystack;
mod stripe;

use billing::delivery::Notice;
use billing::outcome::{Outcome, RefundOutcome};
use billing::payment::{Gateway, Opened, Payment};
use billing::ports::{GatewayError, Gateways};
use http::{HeaderMap, StatusCode};
use jiff::Timestamp;
use reqwest::RequestBuilder;
use serde::de::DeserializeOwned;
use std::future::Future;
use std::time::Duration;

pub use keys::{KeySource, Keys};
use paystack::Paystack;
use stripe::Stripe;

/// The gateways that this deployment has keys for.
#[derive(Clone, Debug, Default)]
pub struct Clients {
    stripe: Option<Stripe>,
    paystack: Option<Paystack>,
}

impl Clients {
    /// Adds `gateway`, reached at the address `api`.
    #[must_use]
    pub fn with(mut self, gateway: Gateway, api: &str, http: reqwest::Client, keys: KeySource) -> Self {
        let access = Access { api: api.trim_end_matches('/').to_owned(), http, keys };
        match gateway {
            Gateway::Stripe => self.stripe = Some(Stripe::new(access)),
            Gateway::Paystack => self.paystack = Some(Paystack::new(access)),
        }
        self
    }

    pub fn is_configured(&self, gateway: Gateway) -> bool {
        match gateway {
            Gateway::Stripe => self.stripe.is_some(),
            Gateway::Paystack => self.paystack.is_some(),
        }
    }

    /// Verifies and reads one webhook delivery.
    ///
    /// The two are a single step, so that there is no way to read a body whose
    /// signature was not checked.
    pub async fn receive(&self, gateway: Gateway, delivery: &Received<'_>) -> Result<Notice, WebhookError> {
        match gateway {
            Gateway::Stripe => self.stripe()?.receive(delivery).await,
            Gateway::Paystack => self.paystack()?.receive(delivery).await,
        }
    }

    fn stripe(&self) -> Result<&Stripe, GatewayError> {
        self.stripe.as_ref().ok_or(GatewayError::NotConfigured(Gateway::Stripe))
    }

    fn paystack(&self) -> Result<&Paystack, GatewayError> {
        self.paystack.as_ref().ok_or(GatewayError::NotConfigured(Gateway::Paystack))
    }
}

impl Gateways for Clients {
    fn accepts(&self, payment: &Payment) -> Result<(), GatewayError> {
        match payment.gateway {
            Gateway::Stripe => self.stripe()?.accepts(payment),
            Gateway::Paystack => self.paystack()?.accepts(payment),
        }
    }

    async fn open(&self, payment: &Payment) -> Result<Opened, GatewayError> {
        match payment.gateway {
            Gateway::Stripe => within(self.stripe()?.open(payment)).await,
            Gateway::Paystack => within(self.paystack()?.open(payment)).await,
        }
    }

    async fn charge(&self, payment: &Payment) -> Result<Outcome, GatewayError> {
        match payment.gateway {
            Gateway::Stripe => within(self.stripe()?.charge(payment)).await,
            Gateway::Paystack => within(self.paystack()?.charge(payment)).await,
        }
    }

    async fn find(&self, payment: &Payment) -> Result<Option<Outcome>, GatewayError> {
        match payment.gateway {
            Gateway::Stripe => within(self.stripe()?.find(payment)).await,
            Gateway::Paystack => within(self.paystack()?.find(payment)).await,
        }
    }

    async fn close(&self, payment: &Payment) -> Result<Option<Outcome>, GatewayError> {
        match payment.gateway {
            Gateway::Stripe => within(self.stripe()?.close(payment)).await,
            Gateway::Paystack => within(self.paystack()?.close(payment)).await,
        }
    }

    async fn refund(&self, payment: &Payment) -> Result<RefundOutcome, GatewayError> {
        match payment.gateway {
            Gateway::Stripe => within(self.stripe()?.refund(payment)).await,
            Gateway::Paystack => within(self.paystack()?.refund(payment)).await,
        }
    }
}

/// What one question to a gateway may take, however many requests it needs
/// (RELIABILITY R8): two of them fit into a function's time.
const MOST_TIME: Duration = Duration::from_secs(10);

async fn within<T>(answer: impl Future<Output = Result<T, GatewayError>>) -> Result<T, GatewayError> {
    tokio::time::timeout(MOST_TIME, answer).await.map_err(no_answer)?
}

/// A delivery as it came over the wire.
#[derive(Clone, Copy, Debug)]
pub struct Received<'a> {
    pub headers: &'a HeaderMap,
    /// The very bytes: a signature covers no other spelling of them.
    pub body: &'a [u8],
    /// By the world's clock, also where business time is a test clock's.
    pub at: Timestamp,
}

impl<'a> Received<'a> {
    /// The header called `name`, if there is exactly one.
    fn header(&self, name: &str) -> Result<&'a str, WebhookError> {
        let mut values = self.headers.get_all(name).iter();
        match (values.next(), values.next()) {
            (Some(value), None) => value.to_str().map_err(|_| WebhookError::Unsigned),
            (None, _) | (Some(_), Some(_)) => Err(WebhookError::Unsigned),
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    #[error("the delivery is not signed")]
    Unsigned,
    #[error("the signature does not match")]
    Forged,
    #[error("the delivery is too old, or from the future")]
    Stale,
    #[error("the body is not what the gateway documents")]
    Malformed(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("nothing can be verified")]
    NoKeys(#[from] GatewayError),
}

/// How to reach a gateway, and as whom.
#[derive(Clone, Debug)]
struct Access {
    api: String,
    http: reqwest::Client,
    keys: KeySource,
}

/// The most that is read of an answer (RELIABILITY S68).
const MOST_BYTES: usize = 1024 * 1024;

/// An answer that means something: not a redirect, not "try again", not "we are broken".
struct Answer {
    status: StatusCode,
    body: Vec<u8>,
}

impl Access {
    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.api)
    }

    async fn send(&self, request: RequestBuilder) -> Result<Answer, GatewayError> {
        let mut response = request.send().await.map_err(no_answer)?;
        let status = response.status();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(no_answer)? {
            if body.len() + chunk.len() > MOST_BYTES {
                return Err(GatewayError::NoAnswer("an answer of more than 1 MiB".into()));
            }
            body.extend_from_slice(&chunk);
        }
        match status {
            // Another request with this key is running, or there were too many: nothing was refused.
            StatusCode::CONFLICT | StatusCode::TOO_MANY_REQUESTS => {
                Err(GatewayError::NoAnswer(format!("status {status}").into()))
            }
            _ if status.is_server_error() || status.is_redirection() || status.is_informational() => {
                Err(GatewayError::NoAnswer(format!("status {status}").into()))
            }
            _ => Ok(Answer { status, body }),
        }
    }
}

impl Answer {
    /// An answer that cannot be read is no answer.
    fn read<T: DeserializeOwned>(&self) -> Result<T, GatewayError> {
        serde_json::from_slice(&self.body).map_err(no_answer)
    }
}

fn no_answer(error: impl std::error::Error + Send + Sync + 'static) -> GatewayError {
    GatewayError::NoAnswer(Box::new(error))
}

/// Where the customer comes back to, with the payment to verify.
fn coming_back(url: &str, payment: &Payment) -> String {
    let separator = if url.contains('?') { '&' } else { '?' };
    format!("{url}{separator}payment={}", payment.id)
}
