//! Doing what is due: record the attempt, ask the gateway, record the answer.

use super::settle::Scene;
use super::{Billing, transition};
use crate::id::{CustomerId, PaymentId};
use crate::payment::{Collection, Outcome, Payment, PaymentStatus, RefundOutcome};
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
            Wanted::Delivery { delivery } => Ok(self.finish(delivery).await?),
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
            Some(Due::Payment) => match found.wallet() {
                Some(wallet) if wallet.default_method().is_some() => {
                    let tokens = found.tokens();
                    return self
                        .collect(subscription, wallet, now, |payment, subscription, wallet| {
                            Scene::new(payment, subscription, Some(wallet), tokens)
                        })
                        .await;
                }
                Some(_) | None => subscription.record(Fact::NoMethod, now),
            },
        };
        let (_, writes) = transition(subscription, events);
        Ok(self.store.commit(writes).await?)
    }

    /// The attempt is recorded, and the subscription is waiting for it, before
    /// the gateway hears of it. From then on the payment is what is due: a
    /// crash below leaves it to [`check`](Self::check).
    async fn collect(
        &self,
        subscription: Subscription,
        wallet: Wallet,
        now: Timestamp,
        scene: impl FnOnce(Payment, Subscription, Wallet) -> Scene,
    ) -> Result<(), WakeError> {
        let Some(method) = wallet.default_method().cloned() else { return Ok(()) };
        let (mut subscription, mut payment) = subscription.charging(method, now)?;
        let writes = vec![
            Write::next(Record::Payment(payment.clone())),
            Write::next(Record::Subscription(subscription.clone())),
            Write::Create(Record::Reference(Referred::to(&payment))),
        ];
        self.store.commit(writes).await?;
        payment.version += 1;
        subscription.version += 1;
        self.charge(scene(payment, subscription, wallet), now).await
    }

    async fn charge(&self, scene: Scene, now: Timestamp) -> Result<(), WakeError> {
        match self.gateways.charge(&scene.payment).await {
            Ok(outcome) => {
                self.settle(scene, outcome, None, now).await?;
                Ok(())
            }
            Err(error) => self.ask_later(scene.payment.unanswered(now), error).await,
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
                self.settle(scene, outcome, None, now).await?;
                return Ok(());
            }
            Err(error) => return self.ask_later(scene.payment.unanswered(now), error).await,
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
            RefundOutcome::Pending => Ok(()),
        }
    }

    /// Not hearing back is expected, and asked about again. A request that the
    /// gateway calls wrong is asked about too, but someone must hear of it.
    async fn ask_later(&self, payment: Payment, error: GatewayError) -> Result<(), WakeError> {
        self.replace(payment).await?;
        match error {
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
