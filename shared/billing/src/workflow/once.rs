//! Changing what is bought, or subscribing, once for each idempotency key; and the charge for it, made while the
//! customer waits.

use super::advance::AnswerError;
use super::settle::Scene;
use super::{Billing, CouponRefusal, NotForSale, Opening, WakeError};
use crate::downgrade::Downgrade;
use crate::id::{AddonId, FamilyId, PlanId};
use crate::order::AddonRefusal;
use crate::payment::{Paid, Payment, PaymentStatus};
use crate::ports::{Clock, Found, GatewayError, Gateways, Key, Record, Store, StoreError, Write};
use crate::subscription::{Refusal, Subscription};
use crate::wallet::{Method, Wallet};
use jiff::Timestamp;

#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    #[error("there is no live subscription to change")]
    NoSubscription,
    #[error(transparent)]
    NotForSale(#[from] NotForSale),
    #[error("`{0}` is outside `{1}`: changes stay inside a family")]
    OtherFamily(PlanId, FamilyId),
    #[error("`{0}` is not sold in the currency of what you have")]
    OtherCurrency(PlanId),
    #[error("that plan is sold by the seat: say how many")]
    QuantityMissing,
    #[error(transparent)]
    Coupon(#[from] CouponRefusal),
    #[error(transparent)]
    Addon(#[from] AddonRefusal),
    #[error("there are not more of add-on `{0}` than are to be left")]
    NotThatMany(AddonId),
    #[error("more is in use than the plan allows")]
    Blocked(Box<Downgrade>),
    #[error("what allows less is made once its losses were shown: `confirm` is missing")]
    Unconfirmed(Box<Downgrade>),
    #[error("the payment was declined: what was asked for is not done")]
    Declined(Box<Payment>),
    #[error("what was paid for it goes back: it came too late, or was not what was asked for")]
    GivenBack,
    #[error("the subscription was changed by another request meanwhile")]
    Meanwhile,
    #[error("this Idempotency-Key was used for another request")]
    KeyReused,
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error(transparent)]
    Gateway(#[from] GatewayError),
    #[error(transparent)]
    Store(StoreError),
}

impl From<AnswerError> for ChangeError {
    fn from(error: AnswerError) -> Self {
        match error {
            AnswerError::Gateway(error) => error.into(),
            AnswerError::Store(error) => error.into(),
        }
    }
}

impl From<StoreError> for ChangeError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Conflict | StoreError::Duplicate => Self::Meanwhile,
            StoreError::Unavailable(_) => Self::Store(error),
        }
    }
}

/// The subscription now, and the payment for the change, if it costs something. While that
/// payment has no outcome the change is not made.
#[derive(Clone, Debug)]
pub struct Changed {
    pub subscription: Subscription,
    pub payment: Option<Payment>,
}

impl<S: Store, G: Gateways, C: Clock> Billing<S, G, C> {
    /// What `making` makes, unless it was made before under the same key. Whatever went wrong, and whoever else asks
    /// for the same just now: if the key is this request's, it was recorded, and the records say what became of it.
    pub(super) async fn once(
        &self,
        opening: Opening<'_>,
        making: impl Future<Output = Result<(), ChangeError>> + Send,
    ) -> Result<Changed, ChangeError> {
        if let Some(changed) = self.changed_before(opening).await? {
            return Ok(changed);
        }
        let made = making.await;
        match self.changed_before(opening).await? {
            Some(changed) => Ok(changed),
            None => Err(made.err().unwrap_or(ChangeError::Meanwhile)),
        }
    }

    /// Charges what `paying` makes to the first of the customer's methods that can pay it. The payment, what waits for
    /// it and `more` are recorded before the gateway hears of it. What became of it, its record says.
    pub(super) async fn pay_at_once(
        &self,
        opening: Opening<'_>,
        mut found: Found,
        paying: impl Fn(Method) -> Result<(Subscription, Payment), Refusal> + Send,
        mut more: Vec<Write>,
        now: Timestamp,
    ) -> Result<(), ChangeError> {
        let wallet = found.wallet().unwrap_or_else(|| Wallet::empty(opening.customer.clone()));
        let (waiting, payment) = self.payable_with(&wallet, paying).await?;
        more.push(Write::Create(Record::Claim(opening.claim(payment.id.clone(), now))));
        let account = found.account();
        let scene = Scene { subscription: Some(waiting), wallet, account, ..Scene::new(payment, found) };
        match self.collect_with(more, scene, now).await {
            Err(WakeError::Store(error)) => Err(error.into()),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// The payment that `paying` makes with the first of the customer's methods that can pay it.
    async fn payable_with(
        &self,
        wallet: &Wallet,
        paying: impl Fn(Method) -> Result<(Subscription, Payment), Refusal> + Send,
    ) -> Result<(Subscription, Payment), ChangeError> {
        let (first, methods) = self.accepted(wallet, &paying)?;
        Ok(paying(self.answering(&wallet.customer, first, &methods).await?)?)
    }

    /// Which of the customer's methods can pay what `paying` makes: the one that they prefer of them, and all.
    pub(super) fn accepted<'a>(
        &self,
        wallet: &'a Wallet,
        paying: &impl Fn(Method) -> Result<(Subscription, Payment), Refusal>,
    ) -> Result<(&'a Method, Vec<&'a Method>), ChangeError> {
        let (mut methods, mut refused) = (vec![], None);
        for method in wallet.by_preference() {
            match self.gateways.accepts(&paying(method.clone())?.1) {
                Ok(()) => methods.push(method),
                Err(error) => refused = refused.or(Some(error)),
            }
        }
        match methods.first() {
            Some(first) => Ok((*first, methods)),
            None => Err(refused.map_or(Refusal::NoMethod.into(), ChangeError::Gateway)),
        }
    }

    /// How the change stands that was asked for under this key before, if one was.
    async fn changed_before(&self, opening: Opening<'_>) -> Result<Option<Changed>, ChangeError> {
        let Some(claim) = self.claimed(opening).await? else { return Ok(None) };
        if claim.fingerprint != opening.fingerprint {
            return Err(ChangeError::KeyReused);
        }
        let customer = opening.customer.clone();
        let keys = vec![Key::Subscription(customer.clone()), Key::Payment(customer, claim.payment)];
        let mut found = self.store.get(keys).await?;
        let subscription = found.subscription().ok_or(ChangeError::NoSubscription)?;
        match found.payment() {
            Some(payment) if matches!(payment.status, PaymentStatus::Failed { .. } | PaymentStatus::Expired { .. }) => {
                Err(ChangeError::Declined(Box::new(payment)))
            }
            Some(payment) if payment.paid().is_some_and(Paid::is_owed_back) => Err(ChangeError::GivenBack),
            payment => Ok(Some(Changed { subscription, payment })),
        }
    }
}
