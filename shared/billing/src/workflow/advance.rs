//! Doing what is due: record the attempt, ask the gateway, record the answer.

use super::settle::Scene;
use super::{Billing, transition};
use crate::delivery::DeliveryId;
use crate::id::{CustomerId, PaymentId};
use crate::outcome::{Outcome, RefundOutcome};
use crate::payment::{Collection, Payment, PaymentStatus};
use crate::ports::{Clock, GatewayError, Gateways, Key, Record, Referred, Store, StoreError, Wanted, Write};
use crate::subscription::{Due, Event, Fact, Refusal, Subscription};
use crate::wallet::Wallet;
use jiff::Timestamp;

#[derive(Debug, thiserror::Error)]
pub enum WakeError {
    #[error(transparent)]
    Gateway(#[from] GatewayError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the order cannot be charged: {0}")]
    Order(#[from] Refusal),
    #[error("nobody could tell for days what became of payment {0}: look it up at the gateway")]
    Unresolved(PaymentId),
    #[error("the refund of payment {0} has been under way for days: look it up at the gateway")]
    RefundStuck(PaymentId),
    #[error("the payment that delivery {0:?} is about could not be read for a day")]
    Unread(DeliveryId),
}

impl<S: Store, G: Gateways, C: Clock> Billing<S, G, C> {
    /// Does whatever is due on the record that `wanted` names, if anything is.
    ///
    /// Losing a race is not an error: whoever won did it, and if not, the
    /// record is still due.
    pub async fn wake(&self, wanted: Wanted) -> Result<(), WakeError> {
        let done = match wanted {
            Wanted::Subscription { customer } => self.advance(&customer).await,
            Wanted::Payment { customer, payment } => self.check(&customer, &payment).await,
            Wanted::Delivery { delivery } => self.finish(delivery).await,
        };
        match done {
            Err(WakeError::Store(StoreError::Conflict | StoreError::Duplicate)) => Ok(()),
            done => done,
        }
    }

    async fn advance(&self, customer: &CustomerId) -> Result<(), WakeError> {
        let keys =
            vec![Key::Subscription(customer.clone()), Key::Wallet(customer.clone()), Key::Tokens(customer.clone())];
        let mut found = self.store.get(keys).await?;
        let now = self.clock.now().await?;
        let Some(subscription) = found.subscription() else { return Ok(()) };
        let events = match subscription.due(now) {
            None => return Ok(()),
            Some(Due::Cancellation(reason)) => vec![Event::Canceled { at: now, reason }],
            Some(Due::Expiry) => vec![Event::Expired { at: now }],
            Some(Due::Payment) => {
                let wallet = found.wallet().unwrap_or_else(|| Wallet::empty(customer.clone()));
                match self.attempt(&subscription, &wallet, now)? {
                    Some((subscription, payment)) => {
                        let scene = Scene::new(payment, subscription, Some(wallet), found.tokens());
                        return self.collect(scene, now).await;
                    }
                    None => subscription.record(Fact::NoMethod, now),
                }
            }
        };
        let (_, writes) = transition(subscription, events);
        Ok(self.store.commit(writes).await?)
    }

    /// The next attempt, with the newest method whose gateway takes it. None:
    /// the customer has left nothing that this could be charged to.
    fn attempt(
        &self,
        subscription: &Subscription,
        wallet: &Wallet,
        now: Timestamp,
    ) -> Result<Option<(Subscription, Payment)>, WakeError> {
        for method in wallet.newest_first() {
            let (subscription, payment) = subscription.clone().charging(method.clone(), now)?;
            match self.gateways.accepts(&payment) {
                Ok(()) => return Ok(Some((subscription, payment))),
                Err(GatewayError::Unacceptable { .. }) => {}
                // Keys that are missing are for us to put back: the period stays due.
                Err(error) => return Err(error.into()),
            }
        }
        Ok(None)
    }

    /// The attempt is recorded, and the subscription is waiting for it, before
    /// the gateway hears of it. From then on the payment is what is due: a
    /// crash below leaves it to [`check`](Self::check).
    async fn collect(&self, mut scene: Scene, now: Timestamp) -> Result<(), WakeError> {
        let writes = vec![
            Write::next(Record::Payment(scene.payment.clone())),
            Write::next(Record::Subscription(scene.subscription.clone())),
            Write::Create(Record::Reference(Referred::to(&scene.payment))),
        ];
        self.store.commit(writes).await?;
        scene.payment.version += 1;
        scene.subscription.version += 1;
        self.charge(scene, now).await
    }

    async fn charge(&self, scene: Scene, now: Timestamp) -> Result<(), WakeError> {
        match self.gateways.charge(&scene.payment).await {
            Ok(outcome) => {
                self.settle(scene, outcome, None, now).await?;
                Ok(())
            }
            Err(error) => self.ask_later(scene.payment.unanswered(now), now, error).await,
        }
    }

    /// Asks what became of a payment, sends it again if the gateway never heard
    /// of it and it is still wanted, or gives back what is owed.
    async fn check(&self, customer: &CustomerId, id: &PaymentId) -> Result<(), WakeError> {
        let Some(scene) = self.scene(customer, id).await? else { return Ok(()) };
        let now = self.clock.now().await?;
        if scene.payment.due_at().is_none_or(|due_at| now < due_at) {
            return Ok(());
        }
        if matches!(scene.payment.status, PaymentStatus::RefundDue { .. }) {
            return self.give_back(scene.payment, now).await;
        }
        let closing = scene.payment.is_closing(now) || is_overtaken(&scene);
        let answer = match closing {
            true => self.gateways.close(&scene.payment).await,
            false => self.gateways.find(&scene.payment).await,
        };
        let next = match answer {
            Ok(Some(outcome)) => {
                let outcome = if scene.payment.is_closing(now) { outcome.at_the_end() } else { outcome };
                let payment = self.settle(scene, outcome, None, now).await?.payment;
                // Nothing final: it is still due, and is looked at again later.
                match payment.is_settled() || payment.due_at().is_none_or(|due_at| now < due_at) {
                    true => return Ok(()),
                    false => payment.undecided(now),
                }
            }
            Err(error) => return self.ask_later(scene.payment.unanswered(now), now, error).await,
            Ok(None) => match &scene.payment.collection {
                // Nobody was ever given an address to pay at. Where somebody was, "never heard of" is no answer.
                Collection::Checkout { opened: None, .. } if closing => {
                    self.settle(scene, Outcome::Expired, None, now).await?;
                    return Ok(());
                }
                Collection::OffSession { .. } if scene.subscription.wants_payment(id) => {
                    if scene.payment.may_be_sent_again(now) {
                        return self.charge(scene, now).await;
                    }
                    scene.payment.unanswered(now)
                }
                Collection::OffSession { .. } => scene.payment.abandoned(now),
                Collection::Checkout { .. } => scene.payment.unanswered(now),
            },
        };
        self.replace(next).await
    }

    /// The next look is put off before the gateway is asked: of two workers on
    /// one payment only one goes on, because not every gateway knows a refund
    /// by a key, and two requests would be two refunds.
    async fn give_back(&self, payment: Payment, now: Timestamp) -> Result<(), WakeError> {
        let mut payment = payment.unanswered(now);
        self.replace(payment.clone()).await?;
        payment.version += 1;
        match self.gateways.refund(&payment).await? {
            RefundOutcome::Done { id } => self.replace(payment.refunded(id, now)).await,
            RefundOutcome::Pending if payment.is_refund_stuck() => Err(WakeError::RefundStuck(payment.id)),
            RefundOutcome::Pending => Ok(()),
        }
    }

    /// Not hearing back is expected, and asked about again. A request that the
    /// gateway calls wrong is asked about too, but someone must hear of it.
    async fn ask_later(&self, payment: Payment, now: Timestamp, error: GatewayError) -> Result<(), WakeError> {
        let silent_for_days = payment.due_at().is_some() && payment.was_asked_enough(now);
        let id = payment.id.clone();
        self.replace(payment).await?;
        match error {
            GatewayError::NoAnswer(_) if silent_for_days => Err(WakeError::Unresolved(id)),
            GatewayError::NoAnswer(_) => Ok(()),
            GatewayError::Unacceptable { .. }
            | GatewayError::Rejected(_)
            | GatewayError::OpenedBefore
            | GatewayError::NotConfigured(_) => Err(error.into()),
        }
    }

    async fn replace(&self, payment: Payment) -> Result<(), WakeError> {
        let unresolved = matches!(payment.status, PaymentStatus::Unresolved { .. }).then(|| payment.id.clone());
        self.store.commit(vec![Write::next(Record::Payment(payment))]).await?;
        unresolved.map_or(Ok(()), |id| Err(WakeError::Unresolved(id)))
    }
}

/// A checkout for what was bought another way, or is not wanted any more.
fn is_overtaken(scene: &Scene) -> bool {
    let is_checkout = matches!(scene.payment.collection, Collection::Checkout { .. });
    is_checkout && (scene.subscription.id != scene.payment.id.subscription || scene.subscription.term().is_some())
}
