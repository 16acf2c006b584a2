//! Someone of the SaaS gives money back: recorded first, then asked for.

use super::settle::credit_by;
use super::{Billing, MOST_RACES, Opening, WakeError, transition};
use crate::account::VirtualAccount;
use crate::id::{CustomerId, IdempotencyKey, PaymentId};
use crate::payment::{AskedBecause, BY_TRANSFER, Payment, Portion, RefundRefusal};
use crate::ports::{Clock, GatewayError, Gateways, Key, Record, Store, StoreError, Write};
use crate::subscription::Subscription;
use crate::token::Tokens;
use jiff::Timestamp;

/// A request to give money back.
#[derive(Clone, Debug)]
pub struct RefundRequest {
    pub customer: CustomerId,
    pub payment: PaymentId,
    pub portion: Portion,
    pub because: AskedBecause,
    pub key: IdempotencyKey,
    pub fingerprint: String,
}

#[derive(Debug, thiserror::Error)]
pub enum RefundError {
    #[error("there is no such payment")]
    NoPayment,
    #[error(transparent)]
    Refused(#[from] RefundRefusal),
    #[error("this Idempotency-Key was used for another request")]
    KeyReused,
    #[error("the gateway refused it: {0}")]
    Failed(String),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl<S: Store, G: Gateways, C: Clock> Billing<S, G, C> {
    /// Promises a refund, once for each key, and asks the gateway for it. One
    /// that the gateway does not settle at once is asked about until it does.
    pub async fn refund(&self, wanted: RefundRequest) -> Result<Payment, RefundError> {
        if !wanted.payment.belongs_to(&wanted.customer) {
            return Err(RefundError::NoPayment);
        }
        // The customer's own keys are theirs: what staff ask for never meets them.
        let key = wanted.key.of_staff();
        let opening = Opening { customer: &wanted.customer, key: &key, fingerprint: &wanted.fingerprint };
        let now = self.clock.now(Some(&wanted.customer)).await?;
        for _ in 0..MOST_RACES {
            let keys = vec![
                Key::Payment(wanted.customer.clone(), wanted.payment.clone()),
                Key::Claim(wanted.customer.clone(), key.clone()),
                Key::Account(wanted.customer.clone()),
                Key::Subscription(wanted.customer.clone()),
            ];
            let mut found = self.store.get(keys).await?;
            let (account, subscription) = (found.account(), found.subscription());
            let payment = found.payment().ok_or(RefundError::NoPayment)?;
            if let Some(claim) = found.claim() {
                let same = claim.fingerprint == wanted.fingerprint && claim.payment == payment.id;
                return if same { Ok(payment) } else { Err(RefundError::KeyReused) };
            }
            let (promised, account) = promise(payment, account, &wanted, now)?;
            let tokens = match promised.moves_tokens() {
                true => self.store.get(vec![Key::Tokens(wanted.customer.clone())]).await?.tokens(),
                false => None,
            };
            let (promised, told) = returned(promised, subscription, tokens, now);
            let claim = opening.claim(promised.id.clone(), now);
            let mut writes = vec![Write::Create(Record::Claim(claim)), Write::next(Record::Payment(promised.clone()))];
            writes.extend(account.map(|account| Write::next(Record::Account(account))));
            writes.extend(told);
            match self.store.commit(writes).await {
                Ok(()) => return self.ask(Payment { version: promised.version + 1, ..promised }, now).await,
                Err(StoreError::Duplicate | StoreError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(StoreError::Conflict.into())
    }

    /// The promise stands whatever the gateway says now, unless it says no.
    async fn ask(&self, payment: Payment, now: Timestamp) -> Result<Payment, RefundError> {
        let newest = payment.paid().and_then(|paid| paid.refunds.last()).map(|refund| refund.number);
        let Some(number) = newest else { return Ok(payment) };
        match self.give_back(payment.clone(), number, now).await {
            Ok(payment) => Ok(payment),
            Err(WakeError::RefundFailed(_, code)) => Err(RefundError::Failed(code)),
            Err(WakeError::Store(error @ StoreError::Unavailable(_))) => Err(error.into()),
            Err(
                WakeError::Store(StoreError::Conflict | StoreError::Duplicate)
                | WakeError::Gateway(
                    GatewayError::NoAnswer(_)
                    | GatewayError::Rejected(_)
                    | GatewayError::OpenedBefore
                    | GatewayError::Unacceptable { .. }
                    | GatewayError::NotConfigured(_),
                )
                | WakeError::ForMailer(_)
                | WakeError::Order(_)
                | WakeError::Unresolved(_)
                | WakeError::RefundStuck(_)
                | WakeError::OurFault(..)
                | WakeError::Unread(_)
                | WakeError::UnknownPrice(..)
                | WakeError::Vanished(..),
            ) => Ok(payment),
        }
    }
}

/// The payment when its subscription is told what of it is not ours any more, or is ours after all, and its tokens are where
/// its money is; and the writes that tell. `tokens`: what the customer has, if any of them move.
pub(super) fn returned(
    payment: Payment,
    subscription: Option<Subscription>,
    tokens: Option<Tokens>,
    now: Timestamp,
) -> (Payment, Vec<Write>) {
    let (payment, fact) = payment.telling_returned();
    let (payment, moved) = match tokens {
        Some(held) => payment.moving_tokens(&held),
        None => (payment, None),
    };
    let (held, event) = moved.unzip();
    let mut writes: Vec<Write> = held.map(Record::Tokens).map(Write::next).into_iter().collect();
    if let Some(subscription) = subscription {
        let events = fact.map_or(vec![], |fact| subscription.record(fact, &[], now));
        writes.extend(transition(subscription, events.into_iter().chain(event).collect(), now).1);
    }
    (payment, writes)
}

/// The payment with the refund promised, and the customer's account where that changes. What was paid from credit is
/// credit again, at once; what goes back of a transfer is credit no more, and must not have been spent.
fn promise(
    payment: Payment,
    account: Option<VirtualAccount>,
    wanted: &RefundRequest,
    now: Timestamp,
) -> Result<(Payment, Option<VirtualAccount>), RefundRefusal> {
    let by_transfer = payment.is_paid_by_transfer();
    let promised = payment.clone().refunding(wanted.portion, wanted.because, now)?;
    let newest = promised.paid().and_then(|paid| paid.refunds.last());
    let Some((number, amount)) = newest.map(|refund| (refund.number, refund.amount)) else {
        return Ok((promised, None));
    };
    let account = account.filter(|account| account.currency == amount.currency);
    match account {
        Some(account) if by_transfer => {
            Ok((promised.refunded(number, BY_TRANSFER.to_owned(), now), Some(account.credited(amount.minor))))
        }
        Some(account) if promised.transfer().is_some() => match account.credit >= amount.minor {
            true => {
                let more = credit_by(&payment, &promised);
                Ok((promised, Some(account.credited(more.minor))))
            }
            false => Err(RefundRefusal::Spent(account.credit().minor)),
        },
        Some(_) | None => Ok((promised, None)),
    }
}
