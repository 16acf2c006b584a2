//! A customer whose payment was declined comes back and pays what they owe.

use super::{Billing, CheckoutError, Opening};
use crate::id::{CustomerId, IdempotencyKey};
use crate::payment::{CheckoutMethod, Collection, Gateway, Page, Payer, Payment, RECOVERY_STAYS_OPEN};
use crate::ports::{Clock, Found, Gateways, Key, Record, Store, Write};
use crate::subscription::Refusal;
use jiff::Timestamp;

/// A request to pay what is owed. How much that is, the subscription says.
#[derive(Clone, Debug)]
pub struct Recovery {
    pub customer: CustomerId,
    pub email: Option<String>,
    pub gateway: Gateway,
    pub method: CheckoutMethod,
    pub return_url: Option<String>,
    pub key: IdempotencyKey,
    pub fingerprint: String,
}

impl<S: Store, G: Gateways, C: Clock> Billing<S, G, C> {
    /// Opens a page for the period that is owed; the one that is open already, if there is one of the kind.
    pub async fn recover(&self, wanted: Recovery) -> Result<Payment, CheckoutError> {
        let opening = Opening { customer: &wanted.customer, key: &wanted.key, fingerprint: &wanted.fingerprint };
        match self.open_once(opening, &[], |found, now| wanted.order(found, now)).await {
            Err(CheckoutError::Refused(refusal @ Refusal::ChargeRunning)) => {
                self.open_page(&wanted).await?.ok_or(CheckoutError::Refused(refusal))
            }
            opened => opened,
        }
    }

    /// The page that is open. One whose opening was not answered is opened now: the gateway opens one for one payment.
    async fn open_page(&self, wanted: &Recovery) -> Result<Option<Payment>, CheckoutError> {
        let subscription = self.store.get(vec![Key::Subscription(wanted.customer.clone())]).await?.subscription();
        let Some(open) = subscription.and_then(|it| it.open) else { return Ok(None) };
        let payment = self.store.get(vec![Key::Payment(wanted.customer.clone(), open)]).await?.payment();
        let now = self.clock.now(Some(&wanted.customer)).await?;
        match payment.filter(|it| wanted.is_like(it) && it.is_payable() && !it.is_closing(now)) {
            Some(payment) => Ok(Some(self.opened(payment, now).await?)),
            None => Ok(None),
        }
    }
}

impl Recovery {
    /// Whether `payment` is on a page such as is asked for.
    fn is_like(&self, payment: &Payment) -> bool {
        let same_kind = |collection: &Collection| match collection {
            Collection::Checkout { method, .. } => *method == self.method,
            Collection::OffSession { .. } | Collection::Transfer(_) => false,
        };
        payment.gateway == self.gateway && same_kind(&payment.collection)
    }

    fn order(&self, found: &mut Found, now: Timestamp) -> Result<(Payment, Vec<Write>), CheckoutError> {
        let subscription = found.subscription().ok_or(CheckoutError::NoSubscription)?;
        let known_as = found.wallet().and_then(|wallet| wallet.payer(self.gateway).map(str::to_owned));
        let page = Page {
            gateway: self.gateway,
            payer: Payer { email: self.email.clone(), known_as, holder: None },
            method: self.method,
            return_url: self.return_url.clone(),
            stays_open: RECOVERY_STAYS_OPEN,
        };
        let (subscription, payment) = subscription.recovery(page, now)?;
        Ok((payment, vec![Write::next(Record::Subscription(subscription))]))
    }
}
