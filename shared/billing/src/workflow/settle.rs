//! The one path by which a payment's outcome becomes the truth.
//!
//! Webhooks, the verify endpoint, the renewal and retry workers and the
//! sweeper's reconciliation all end here, so an outcome means the same however
//! we learn of it, and learning of it twice changes nothing.

use super::{Billing, MOST_RACES, transition};
use crate::delivery::Delivery;
use crate::id::{CustomerId, PaymentId};
use crate::outcome::Outcome;
use crate::payment::Payment;
use crate::ports::{Clock, Gateways, Key, Record, Store, StoreError, Tokens, Write};
use crate::subscription::{Event, Fact, Subscription};
use crate::wallet::{Method, Wallet};
use jiff::Timestamp;

/// All that a payment's outcome can change, as of one read.
#[derive(Clone, Debug)]
pub(super) struct Scene {
    pub(super) payment: Payment,
    /// The customer's newest subscription, which may not be the payment's.
    pub(super) subscription: Subscription,
    pub(super) wallet: Wallet,
    tokens: Tokens,
}

impl<S: Store, G: Gateways, C: Clock> Billing<S, G, C> {
    pub(super) async fn scene(&self, customer: &CustomerId, id: &PaymentId) -> Result<Option<Scene>, StoreError> {
        let keys = vec![
            Key::Payment(customer.clone(), id.clone()),
            Key::Subscription(customer.clone()),
            Key::Wallet(customer.clone()),
            Key::Tokens(customer.clone()),
        ];
        let mut found = self.store.get(keys).await?;
        let (Some(payment), Some(subscription)) = (found.payment(), found.subscription()) else { return Ok(None) };
        Ok(Some(Scene::new(payment, subscription, found.wallet(), found.tokens())))
    }

    /// Commits what `outcome` means, together with the delivery that told us,
    /// if one did. Reads again and decides again when someone else was faster.
    pub(super) async fn settle(
        &self,
        mut scene: Scene,
        outcome: Outcome,
        delivery: Option<Delivery>,
        now: Timestamp,
    ) -> Result<Scene, StoreError> {
        for _ in 0..MOST_RACES {
            let (customer, id) = (scene.payment.customer.clone(), scene.payment.id.clone());
            let (settled, mut writes) = scene.settled(outcome.clone(), now);
            writes.extend(delivery.clone().map(|delivery| Write::next(Record::Delivery(delivery))));
            if writes.is_empty() {
                return Ok(settled);
            }
            match self.store.commit(writes).await {
                Ok(()) => return Ok(settled),
                // Someone moved on, or this delivery was handled before: what is stored is the truth.
                Err(StoreError::Conflict | StoreError::Duplicate) => {
                    scene = self.scene(&customer, &id).await?.ok_or(StoreError::Conflict)?;
                    if let Some(delivery) = &delivery
                        && self.is_done(&delivery.id).await?
                    {
                        return Ok(scene);
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Err(StoreError::Conflict)
    }
}

impl Scene {
    pub(super) fn new(
        payment: Payment,
        subscription: Subscription,
        wallet: Option<Wallet>,
        tokens: Option<Tokens>,
    ) -> Self {
        let customer = &payment.customer;
        let wallet = wallet.unwrap_or_else(|| Wallet::empty(customer.clone()));
        let tokens = tokens.unwrap_or_else(|| Tokens { customer: customer.clone(), balance: 0, version: 0 });
        Self { payment, subscription, wallet, tokens }
    }

    /// What `outcome` makes of all this, and the writes that make it so.
    fn settled(self, outcome: Outcome, now: Timestamp) -> (Self, Vec<Write>) {
        let method = match &outcome {
            Outcome::Succeeded { method, .. } => method.clone(),
            Outcome::Pending(_) | Outcome::Declined(_) | Outcome::Expired => None,
        };
        match self.payment.clone().settle(outcome, now) {
            None => (self, vec![]),
            Some((payment, fact)) => Self { payment, ..self }.told(fact, method, now),
        }
    }

    fn told(self, fact: Option<Fact>, method: Option<Method>, now: Timestamp) -> (Self, Vec<Write>) {
        let Self { mut payment, subscription, mut wallet, mut tokens } = self;
        let events = fact.map_or(vec![], |fact| subscription.record(fact, now));
        let granted = events.iter().any(|event| matches!(event, Event::Activated { .. } | Event::Renewed { .. }));
        if events.iter().any(|event| matches!(event, Event::RefundOwed { .. })) {
            payment = payment.owed_back(now);
        }

        let (subscription, mut writes) = transition(subscription, events);
        writes.push(Write::next(Record::Payment(payment.clone())));
        payment.version += 1;
        // A period that is paid brings its tokens in the same transaction, and no other way.
        if let (true, Some(included)) = (granted, subscription.order.plan.tokens_included) {
            tokens.balance = tokens.balance.saturating_add(included);
            writes.push(Write::next(Record::Tokens(tokens.clone())));
            tokens.version += 1;
        }
        if let (true, Some(remembered)) = (granted, method.and_then(|method| wallet.remembering(method))) {
            writes.push(Write::next(Record::Wallet(remembered.clone())));
            wallet = Wallet { version: remembered.version + 1, ..remembered };
        }
        (Self { payment, subscription, wallet, tokens }, writes)
    }
}
