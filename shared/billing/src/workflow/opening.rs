//! Opening a page, once for each idempotency key: what is bought, owed or set
//! up on it is the caller's to say.

use super::{Billing, CheckoutError, MOST_RACES, WakeError};
use crate::dunning::after;
use crate::id::{CustomerId, IdempotencyKey, PaymentId};
use crate::payment::{Payment, PaymentStatus};
use crate::ports::{Claim, Clock, Found, Gateways, Key, Record, Referred, Store, StoreError, Write};
use jiff::{SignedDuration, Timestamp};

/// Who asks, and under which key.
#[derive(Clone, Copy, Debug)]
pub(super) struct Opening<'a> {
    pub(super) customer: &'a CustomerId,
    pub(super) key: &'a IdempotencyKey,
    /// Of the request's body: the same key for another body is a mistake.
    pub(super) fingerprint: &'a str,
}

/// How long a key keeps its meaning: a Friday's mistake can be repeated on Monday.
const CLAIM_KEPT_FOR: SignedDuration = SignedDuration::from_hours(96);

impl<S: Store, G: Gateways, C: Clock> Billing<S, G, C> {
    /// Records what `order` makes of the customer's subscription and wallet, and
    /// whatever else is at `keys`, then opens the page. A key that was used
    /// before has the same answer for the same request.
    pub(super) async fn open_once(
        &self,
        opening: Opening<'_>,
        keys: &[Key],
        order: impl Fn(&mut Found, Timestamp) -> Result<(Payment, Vec<Write>), CheckoutError> + Send,
    ) -> Result<Payment, CheckoutError> {
        let now = self.clock.now(Some(opening.customer)).await?;
        for _ in 0..MOST_RACES {
            let mut found = self.store.get(opening.keys(keys)).await?;
            if let Some(claim) = found.claim() {
                return self.resume(opening, claim, now).await;
            }
            let (payment, mut writes) = order(&mut found, now)?;
            self.gateways.accepts(&payment)?;
            writes.push(Write::Create(Record::Claim(opening.claim(payment.id.clone(), now))));
            writes.push(Write::next(Record::Payment(payment.clone())));
            writes.push(Write::Create(Record::Reference(Referred::to(&payment))));
            match self.store.commit(writes).await {
                Ok(()) => return self.open(Payment { version: 1, ..payment }).await,
                // The same key at the same time, or another order: read again and see which.
                Err(StoreError::Duplicate | StoreError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(StoreError::Conflict.into())
    }

    /// What the key was used for before, if it was.
    pub(super) async fn claimed(&self, opening: Opening<'_>) -> Result<Option<Claim>, StoreError> {
        let key = Key::Claim(opening.customer.clone(), opening.key.clone());
        Ok(self.store.get(vec![key]).await?.claim())
    }

    /// The key was used before: the same answer for the same request. If the
    /// run that claimed it never got as far as an answer, this one goes on.
    async fn resume(&self, opening: Opening<'_>, claim: Claim, now: Timestamp) -> Result<Payment, CheckoutError> {
        if claim.fingerprint != opening.fingerprint {
            return Err(CheckoutError::KeyReused);
        }
        let key = Key::Payment(opening.customer.clone(), claim.payment);
        let payment = self.store.get(vec![key]).await?.payment().ok_or(StoreError::Conflict)?;
        self.opened(payment, now).await
    }

    /// `payment` with its page open, if that is still to come: whoever began to open it never got as far as an answer.
    pub(super) async fn opened(&self, payment: Payment, now: Timestamp) -> Result<Payment, CheckoutError> {
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
        let mut writes = vec![Write::next(Record::Payment(payment.clone()))];
        if payment.is_paid_by_transfer() {
            writes.extend(self.account_of(&payment).await?);
        }
        self.store.commit(writes).await?;
        let opened = Payment { version: payment.version + 1, ..payment };
        if opened.is_paid_by_transfer() { self.paid_already(opened).await } else { Ok(opened) }
    }

    /// The money may have come before the payment that it is for. That the
    /// gateway does not say so now changes nothing: it is asked again.
    async fn paid_already(&self, payment: Payment) -> Result<Payment, CheckoutError> {
        let now = self.clock.now(Some(&payment.customer)).await?;
        if let Err(WakeError::Store(error)) = self.look_for_transfers(&payment.customer, now).await {
            return Err(error.into());
        }
        let key = Key::Payment(payment.customer.clone(), payment.id.clone());
        Ok(self.store.get(vec![key]).await?.payment().unwrap_or(payment))
    }
}

impl Opening<'_> {
    fn keys(&self, more: &[Key]) -> Vec<Key> {
        let mut keys = vec![
            Key::Claim(self.customer.clone(), self.key.clone()),
            Key::Subscription(self.customer.clone()),
            Key::Wallet(self.customer.clone()),
        ];
        keys.extend_from_slice(more);
        keys
    }

    pub(super) fn claim(&self, payment: PaymentId, now: Timestamp) -> Claim {
        Claim {
            consumption: None,
            customer: self.customer.clone(),
            key: self.key.clone(),
            fingerprint: self.fingerprint.to_owned(),
            payment,
            expires_at: after(now, CLAIM_KEPT_FOR),
        }
    }
}
