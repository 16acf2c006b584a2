//! One adapter per payment gateway. Each turns our vocabulary into theirs and back.
//!
//! A gateway has files for its client and calls, for wire types with only the
//! fields we read, and for pure translation. Only the first do I/O.

mod access;
mod flitt;
mod keys;
mod paypal;
mod paystack;
mod stripe;
pub mod sync;
#[doc(hidden)]
pub mod verification;

use crate::metrics;
use crate::secrets::{KeySource, KeyStore, Keys};
use access::{Access, no_answer};
use billing::account::{Incoming, VirtualAccount};
use billing::delivery::Notice;
use billing::driven::Seen;
use billing::money::{Currency, Money};
use billing::outcome::{Outcome, RefundOutcome, Sighting};
use billing::payment::{Gateway, Opened, Payment, Refund};
use billing::ports::{GatewayError, Gateways};
use billing::wallet::Method;
use flitt::Flitt;
use http::HeaderMap;
use jiff::Timestamp;
use paypal::PayPal;
use paystack::Paystack;
use std::future::Future;
use std::time::Duration;
use stripe::Stripe;

/// The gateways that this deployment has keys for.
#[derive(Clone, Debug, Default)]
pub struct Clients {
    stripe: Option<Stripe>,
    paystack: Option<Paystack>,
    flitt: Option<Flitt>,
    paypal: Option<PayPal>,
}

impl Clients {
    /// Adds `gateway`, reached at the address `api`, with the keys in `store`.
    /// `callback`: where it is to call us back, if it asks with each payment.
    #[must_use]
    pub fn with(
        mut self,
        gateway: Gateway,
        api: &str,
        http: reqwest::Client,
        store: KeyStore,
        callback: Option<String>,
    ) -> Self {
        let api = api.trim_end_matches('/').to_owned();
        match gateway {
            Gateway::Stripe => self.stripe = Some(Stripe::new(access(api, http, store, callback))),
            Gateway::Paystack => self.paystack = Some(Paystack::new(access(api, http, store, callback))),
            Gateway::Flitt => self.flitt = Some(Flitt::new(access(api, http, store, callback))),
            Gateway::PayPal => self.paypal = Some(PayPal::new(access(api, http, store, callback))),
        }
        self
    }

    pub fn is_configured(&self, gateway: Gateway) -> bool {
        match gateway {
            Gateway::Stripe => self.stripe.is_some(),
            Gateway::Paystack => self.paystack.is_some(),
            Gateway::Flitt => self.flitt.is_some(),
            Gateway::PayPal => self.paypal.is_some(),
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
            Gateway::Flitt => self.flitt()?.receive(delivery).await,
            Gateway::PayPal => self.paypal()?.receive(delivery).await,
        }
    }

    fn stripe(&self) -> Result<&Stripe, GatewayError> {
        self.stripe.as_ref().ok_or(GatewayError::NotConfigured(Gateway::Stripe))
    }

    fn paystack(&self) -> Result<&Paystack, GatewayError> {
        self.paystack.as_ref().ok_or(GatewayError::NotConfigured(Gateway::Paystack))
    }

    fn flitt(&self) -> Result<&Flitt, GatewayError> {
        self.flitt.as_ref().ok_or(GatewayError::NotConfigured(Gateway::Flitt))
    }

    fn paypal(&self) -> Result<&PayPal, GatewayError> {
        self.paypal.as_ref().ok_or(GatewayError::NotConfigured(Gateway::PayPal))
    }
}

fn access<K: Keys>(api: String, http: reqwest::Client, store: KeyStore, callback: Option<String>) -> Access<K> {
    Access { api, http, keys: KeySource::new(store), callback }
}

impl Gateways for Clients {
    fn accepts(&self, payment: &Payment) -> Result<(), GatewayError> {
        match payment.gateway {
            Gateway::Stripe => self.stripe()?.accepts(payment),
            Gateway::Paystack => self.paystack()?.accepts(payment),
            Gateway::Flitt => self.flitt()?.accepts(payment),
            Gateway::PayPal => self.paypal()?.accepts(payment),
        }
    }

    fn setup_amount(&self, gateway: Gateway, currency: Currency) -> Result<Money, GatewayError> {
        match gateway {
            Gateway::Stripe => self.stripe()?.setup_amount(currency),
            Gateway::Paystack => self.paystack()?.setup_amount(currency),
            Gateway::Flitt => self.flitt()?.setup_amount(currency),
            Gateway::PayPal => self.paypal()?.setup_amount(currency),
        }
    }

    /// A gateway that refuses our keys can charge nobody: it is passed over as one
    /// that is silent is, and as one is that we have no keys for. The customer pays
    /// by another method, so no charge fails that would tell an operator: this does.
    async fn answers(&self, gateway: Gateway) -> bool {
        let answer = async {
            match gateway {
                Gateway::Stripe => self.stripe()?.answers().await,
                Gateway::Paystack => self.paystack()?.answers().await,
                Gateway::Flitt => self.flitt()?.answers().await,
                Gateway::PayPal => self.paypal()?.answers().await,
            }
        };
        let answer = tokio::time::timeout(SHOWS_WITHIN, answer).await;
        if let Ok(Err(refusal @ GatewayError::Rejected(_))) = &answer {
            tracing::error!("{} is passed over: {refusal}", gateway.as_str());
            metrics::count(metrics::FAILED_MESSAGES);
        }
        matches!(answer, Ok(Ok(())))
    }

    async fn open(&self, payment: &Payment) -> Result<Opened, GatewayError> {
        match payment.gateway {
            Gateway::Stripe => within(self.stripe()?.open(payment)).await,
            Gateway::Paystack => within(self.paystack()?.open(payment)).await,
            Gateway::Flitt => within(self.flitt()?.open(payment)).await,
            Gateway::PayPal => within(self.paypal()?.open(payment)).await,
        }
    }

    async fn charge(&self, payment: &Payment) -> Result<Outcome, GatewayError> {
        match payment.gateway {
            Gateway::Stripe => within(self.stripe()?.charge(payment)).await,
            Gateway::Paystack => within(self.paystack()?.charge(payment)).await,
            Gateway::Flitt => within(self.flitt()?.charge(payment)).await,
            Gateway::PayPal => within(self.paypal()?.charge(payment)).await,
        }
    }

    async fn find(&self, payment: &Payment, object: Option<&str>) -> Result<Sighting, GatewayError> {
        match payment.gateway {
            Gateway::Stripe => within(self.stripe()?.find(payment)).await,
            Gateway::Paystack => within(self.paystack()?.find(payment)).await,
            Gateway::Flitt => within(self.flitt()?.find(payment)).await,
            Gateway::PayPal => within(self.paypal()?.find(payment, object)).await,
        }
    }

    async fn close(&self, payment: &Payment) -> Result<Sighting, GatewayError> {
        match payment.gateway {
            Gateway::Stripe => within(self.stripe()?.close(payment)).await,
            Gateway::Paystack => within(self.paystack()?.close(payment)).await,
            Gateway::Flitt => within(self.flitt()?.close(payment)).await,
            Gateway::PayPal => within(self.paypal()?.close(payment)).await,
        }
    }

    async fn refund(&self, payment: &Payment, refund: &Refund) -> Result<RefundOutcome, GatewayError> {
        match payment.gateway {
            Gateway::Stripe => within(self.stripe()?.refund(payment, refund)).await,
            Gateway::Paystack => within(self.paystack()?.refund(payment, refund)).await,
            Gateway::Flitt => within(self.flitt()?.refund(payment, refund)).await,
            Gateway::PayPal => within(self.paypal()?.refund(payment, refund)).await,
        }
    }

    async fn transfers(&self, account: &VirtualAccount) -> Result<Vec<Incoming>, GatewayError> {
        match account.gateway {
            Gateway::Paystack => within(self.paystack()?.transfers(account)).await,
            // They open no accounts, so none can be theirs.
            Gateway::Stripe | Gateway::Flitt | Gateway::PayPal => Ok(vec![]),
        }
    }

    async fn driven(&self, gateway: Gateway, id: &str) -> Result<Option<Seen>, GatewayError> {
        match gateway {
            Gateway::Stripe => within(self.stripe()?.driven(id)).await,
            // What they could drive is nothing that anybody wants to bring.
            Gateway::Paystack | Gateway::Flitt | Gateway::PayPal => Ok(None),
        }
    }

    async fn forget(&self, method: &Method) -> Result<(), GatewayError> {
        match method.gateway {
            Gateway::Stripe => within(self.stripe()?.forget(method)).await,
            Gateway::Paystack => within(self.paystack()?.forget(method)).await,
            Gateway::Flitt => within(self.flitt()?.forget(method)).await,
            Gateway::PayPal => within(self.paypal()?.forget(method)).await,
        }
    }
}

/// What one question to a gateway may take, however many requests it needs
/// (RELIABILITY R8): two of them fit into a function's time.
const MOST_TIME: Duration = Duration::from_secs(10);

/// How long a gateway may take to show that it is there.
const SHOWS_WITHIN: Duration = Duration::from_secs(2);

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
    #[error("the keys cannot be read, or the gateway not be asked what it is about")]
    NoKeys(#[from] GatewayError),
}

/// Where the customer comes back to, with the payment to verify.
fn coming_back(url: &str, payment: &Payment) -> String {
    let separator = if url.contains('?') { '&' } else { '?' };
    format!("{url}{separator}payment={}", payment.id)
}
