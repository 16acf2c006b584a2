//! Subscriptions that another system drives: one is imported, and followed from
//! then on by whoever is told of it and by a look every day. Never charged.

use super::accounts::silence;
use super::{Billing, MOST_RACES, WakeError, transition};
use crate::driven::Seen;
use crate::id::CustomerId;
use crate::payment::Gateway;
use crate::ports::{Clock, Found, GatewayError, Gateways, Key, Record, Referred, Store, StoreError, Write};
use crate::subscription::{Due, Refusal, Subscription};
use crate::wallet::Wallet;
use jiff::Timestamp;

/// Whose subscription is imported, and which.
#[derive(Clone, Debug)]
pub struct Import {
    pub customer: CustomerId,
    pub gateway: Gateway,
    /// The gateway's own id of it.
    pub subscription: String,
    /// Only to see what would come of it.
    pub dry_run: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    #[error("the gateway drives no such subscription")]
    NotThere,
    #[error("it has ended where it was driven")]
    Over,
    #[error("what it pays is no price that a plan of ours can have: {0}")]
    UnknownPrice(String),
    #[error("it was imported before: for another customer, or as an earlier subscription")]
    ImportedBefore,
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error(transparent)]
    Gateway(#[from] GatewayError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl<S: Store, G: Gateways, C: Clock> Billing<S, G, C> {
    /// The customer's subscription as it is once it is imported. Doing so twice is doing it once.
    ///
    /// Only somebody who may decide it imports: that a subscription began at the gateway makes nobody a customer.
    pub async fn import(&self, wanted: &Import) -> Result<Subscription, ImportError> {
        let now = self.clock.now(Some(&wanted.customer)).await?;
        let seen = self.gateways.driven(wanted.gateway, &wanted.subscription).await?;
        let seen = seen.filter(|seen| seen.id == wanted.subscription).ok_or(ImportError::NotThere)?;
        for _ in 0..MOST_RACES {
            let mut keys = vec![Key::Subscription(wanted.customer.clone()), Key::Wallet(wanted.customer.clone())];
            let referred = Referred::to_driven(&wanted.customer, wanted.gateway, &seen);
            keys.extend(referred.iter().map(|it| Key::Reference(it.gateway, it.reference.clone())));
            keys.extend(seen.plan.clone().map(Key::Plan));
            let found = self.store.get(keys).await?;
            let (subscription, writes) = match wanted.writes(found, &seen, referred, now)? {
                Planned::Done(subscription) => return Ok(subscription),
                Planned::Writes(subscription, writes) => (subscription, writes),
            };
            if wanted.dry_run {
                return Ok(subscription);
            }
            match self.store.commit(writes).await {
                Ok(()) => return Ok(subscription),
                // Someone else imported it, or the customer did something: read again and see.
                Err(StoreError::Duplicate | StoreError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(StoreError::Conflict.into())
    }

    /// Reads the customer's driven subscription where it is driven, and follows it.
    pub(super) async fn look(&self, customer: &CustomerId, now: Timestamp) -> Result<(), WakeError> {
        for _ in 0..MOST_RACES {
            let keys = vec![Key::Subscription(customer.clone()), Key::Wallet(customer.clone())];
            let mut found = self.store.get(keys).await?;
            let Some(subscription) = found.subscription().filter(Subscription::is_driven) else { return Ok(()) };
            let Some(driven) = &subscription.driven else { return Ok(()) };
            // Read after the record: what is decided on it is never older than what it replaces.
            let seen = self.gateways.driven(driven.gateway, &driven.id).await?;
            let seen = seen.ok_or_else(|| WakeError::Vanished(subscription.id.clone(), driven.id.clone()))?;
            let plan = match &seen.plan {
                Some(id) if *id != subscription.order.plan.id => self.plan(id).await?,
                Some(_) | None => None,
            };
            let events = subscription.follow(&seen, plan.as_ref(), now);
            let (subscription, mut writes) = transition(subscription, events, now);
            let wallet = found.wallet().unwrap_or_else(|| Wallet::empty(customer.clone()));
            let met = seen.method.as_ref().and_then(|method| wallet.meeting(method));
            writes.extend(met.map(|wallet| Write::next(Record::Wallet(wallet))));
            if !writes.is_empty() {
                match self.store.commit(writes).await {
                    Ok(()) => {}
                    Err(StoreError::Duplicate | StoreError::Conflict) => continue,
                    Err(error) => return Err(error.into()),
                }
            }
            let unknown = subscription.driven.and_then(|driven| driven.unknown_price);
            return unknown.map_or(Ok(()), |price| Err(WakeError::UnknownPrice(subscription.id, price)));
        }
        Err(StoreError::Conflict.into())
    }

    /// The look that is due, for what no webhook told of. Whatever comes of it, the next one is not at once.
    pub(super) async fn watch_driven(&self, customer: &CustomerId, now: Timestamp) -> Result<(), WakeError> {
        let looked = self.look(customer, now).await;
        let found = self.store.get(vec![Key::Subscription(customer.clone())]).await?.subscription();
        if let Some(subscription) = found.filter(|it| it.due(now) == Some(Due::Look)) {
            self.store.commit(vec![Write::next(Record::Subscription(subscription.looked(now)))]).await?;
        }
        looked.or_else(silence)
    }
}

/// What is to be done about a request to import.
enum Planned {
    /// It was done before.
    Done(Subscription),
    Writes(Subscription, Vec<Write>),
}

impl Import {
    fn writes(
        &self,
        mut found: Found,
        seen: &Seen,
        referred: [Referred; 2],
        now: Timestamp,
    ) -> Result<Planned, ImportError> {
        let current = found.subscription();
        let known: Vec<Referred> = std::iter::from_fn(|| found.referred()).collect();
        let [to_it, _] = &referred;
        if let Some(known) = known.iter().find(|known| known.reference == to_it.reference) {
            let same = |it: &Subscription| it.driven.as_ref().is_some_and(|driven| driven.id == seen.id);
            let done = current.filter(|it| known.customer == self.customer && same(it));
            return done.map(Planned::Done).ok_or(ImportError::ImportedBefore);
        }
        if seen.is_over() {
            return Err(ImportError::Over);
        }
        let plan = found.plan().map(|it| it.plan);
        let order = seen.order(&plan).ok_or_else(|| ImportError::UnknownPrice(seen.price_id.clone()))?;
        let (next, events) =
            Subscription::importing(current.as_ref(), &self.customer, (self.gateway, seen), order, now)?;
        let (subscription, mut writes) = transition(next, events, now);
        let past = current.filter(|current| current.id != subscription.id).map(Record::PastSubscription);
        writes.extend(past.map(Write::Create));
        // Who pays may have paid for something before, here or of another customer of ours: that keeps leading there.
        let new = referred.into_iter().filter(|it| known.iter().all(|known| known.reference != it.reference));
        writes.extend(new.map(|it| Write::Create(Record::Reference(it))));
        let wallet = found.wallet().unwrap_or_else(|| Wallet::empty(self.customer.clone()));
        let met = seen.method.as_ref().and_then(|method| wallet.meeting(method));
        writes.extend(met.map(|wallet| Write::next(Record::Wallet(wallet))));
        Ok(Planned::Writes(subscription, writes))
    }
}
