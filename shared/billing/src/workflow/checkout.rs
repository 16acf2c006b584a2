//! Someone wants to buy: record the order, then open a page to pay at.

use super::{Billing, MOST_RACES};
use crate::calendar::Interval;
use crate::dunning::after;
use crate::id::{CustomerId, IdempotencyKey, PlanId};
use crate::money::Currency;
use crate::payment::{CheckoutMethod, Gateway, Payer, Payment, PaymentStatus};
use crate::ports::{Claim, Clock, Found, GatewayError, Gateways, Key, Record, Referred, Store, StoreError, Write};
use crate::subscription::{Order, Refusal, Subscription};
use jiff::{SignedDuration, Timestamp};

/// A request to buy, as understood.
#[derive(Clone, Debug)]
pub struct Checkout {
    pub customer: CustomerId,
    pub email: Option<String>,
    pub plan: PlanId,
    pub interval: Interval,
    pub currency: Currency,
    pub quantity: u32,
    pub gateway: Gateway,
    pub method: CheckoutMethod,
    pub return_url: Option<String>,
    pub key: IdempotencyKey,
    /// Of the request's body: the same key for another body is a mistake.
    pub fingerprint: String,
}

#[derive(Debug, thiserror::Error)]
pub enum CheckoutError {
    #[error("`{0}` is not for sale")]
    NoSuchPlan(PlanId),
    #[error("{plan} is not sold by {interval} in {currency}")]
    NoSuchPrice { plan: PlanId, interval: Interval, currency: Currency },
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error("this Idempotency-Key was used for another request")]
    KeyReused,
    #[error("a request with this Idempotency-Key is still running")]
    InProgress,
    #[error(transparent)]
    Gateway(#[from] GatewayError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// How long a key keeps its meaning: a Friday's mistake can be repeated on Monday.
const CLAIM_KEPT_FOR: SignedDuration = SignedDuration::from_hours(96);

impl<S: Store, G: Gateways, C: Clock> Billing<S, G, C> {
    /// Opens a checkout, once for each idempotency key.
    pub async fn checkout(&self, wanted: Checkout) -> Result<Payment, CheckoutError> {
        let now = self.clock.now().await?;
        for _ in 0..MOST_RACES {
            let mut found = self.store.get(wanted.keys()).await?;
            if let Some(claim) = found.claim() {
                return self.resume(&wanted, claim, now).await;
            }
            let (payment, writes) = wanted.order(found, now)?;
            self.gateways.accepts(&payment)?;
            match self.store.commit(writes).await {
                Ok(()) => return self.open(Payment { version: 1, ..payment }).await,
                // The same key at the same time, or another order: read again and see which.
                Err(StoreError::Duplicate | StoreError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(StoreError::Conflict.into())
    }

    /// The key was used before: the same answer for the same request. If the
    /// run that claimed it never got as far as an answer, this one goes on.
    async fn resume(&self, wanted: &Checkout, claim: Claim, now: Timestamp) -> Result<Payment, CheckoutError> {
        if claim.fingerprint != wanted.fingerprint {
            return Err(CheckoutError::KeyReused);
        }
        let key = Key::Payment(wanted.customer.clone(), claim.payment);
        let payment = self.store.get(vec![key]).await?.payment().ok_or(StoreError::Conflict)?;
        let unopened = payment.opened().is_none() && matches!(payment.status, PaymentStatus::Pending { .. });
        match unopened {
            false => Ok(payment),
            true if payment.may_be_in_flight(now) => Err(CheckoutError::InProgress),
            true => self.open(payment).await,
        }
    }

    async fn open(&self, payment: Payment) -> Result<Payment, CheckoutError> {
        let opened = self.gateways.open(&payment).await?;
        let payment = payment.opened_at(opened);
        self.store.commit(vec![Write::next(Record::Payment(payment.clone()))]).await?;
        Ok(Payment { version: payment.version + 1, ..payment })
    }
}

impl Checkout {
    fn keys(&self) -> Vec<Key> {
        vec![
            Key::Claim(self.customer.clone(), self.key.clone()),
            Key::Plan(self.plan.clone()),
            Key::Subscription(self.customer.clone()),
            Key::Wallet(self.customer.clone()),
        ]
    }

    /// The payment to open and everything that is to be recorded before.
    fn order(&self, mut found: Found, now: Timestamp) -> Result<(Payment, Vec<Write>), CheckoutError> {
        let plan = found.plan().map(|it| it.plan).filter(|plan| plan.active);
        let plan = plan.ok_or_else(|| CheckoutError::NoSuchPlan(self.plan.clone()))?;
        let price = plan.price(self.interval, self.currency).ok_or_else(|| CheckoutError::NoSuchPrice {
            plan: self.plan.clone(),
            interval: self.interval,
            currency: self.currency,
        })?;
        let order = Order { plan, price, quantity: self.quantity };
        let known_as = found.wallet().and_then(|wallet| wallet.payer(self.gateway).map(str::to_owned));
        let payer = Payer { email: self.email.clone(), known_as };

        let current = found.subscription();
        let ordered = Subscription::ordering(current.as_ref(), &self.customer, order, now)?;
        let with = (payer, self.method, self.return_url.clone());
        let (subscription, payment) = ordered.checkout(self.gateway, with, now)?;
        let claim = Claim {
            customer: self.customer.clone(),
            key: self.key.clone(),
            fingerprint: self.fingerprint.clone(),
            payment: payment.id.clone(),
            expires_at: after(now, CLAIM_KEPT_FOR),
        };
        let past = current.filter(|current| current.id != subscription.id).map(Record::PastSubscription);
        let mut writes = vec![
            Write::Create(Record::Claim(claim)),
            Write::next(Record::Payment(payment.clone())),
            Write::Create(Record::Reference(Referred::to(&payment))),
            Write::next(Record::Subscription(subscription)),
        ];
        writes.extend(past.map(Write::Create));
        Ok((payment, writes))
    }
}
