//! Prepaid tokens are consumed.

use super::{Billing, MOST_RACES, Opening};
use crate::id::{ConsumptionId, CustomerId, IdempotencyKey};
use crate::ports::{Claim, Clock, Gateways, Key, Record, Store, StoreError, Write};
use crate::subscription::Subscription;
use crate::token::{Consumption, Purpose, Tokens};
use std::num::NonZeroU32;

/// What is to be taken from a balance, once for each key.
#[derive(Clone, Debug)]
pub struct Consume {
    pub customer: CustomerId,
    pub tokens: NonZeroU32,
    pub description: Option<Purpose>,
    pub key: IdempotencyKey,
    pub fingerprint: String,
}

#[derive(Debug, thiserror::Error)]
pub enum ConsumeError {
    #[error("there is no subscription")]
    NoSubscription,
    #[error("the subscription is not active: its tokens are kept, and cannot be used")]
    NotActive,
    #[error("{wanted} tokens are more than the {balance} that are left: nothing was taken")]
    TooFew { wanted: NonZeroU32, balance: u64 },
    #[error("this Idempotency-Key was used for another request")]
    KeyReused,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl<S: Store, G: Gateways, C: Clock> Billing<S, G, C> {
    /// Takes the tokens from the customer's balance, with a record of it, in one transaction; all of them or none. A key
    /// that was used before has the same answer for the same request. However many ask at the same moment, nobody has to
    /// read again because of the others while there is enough for all, and the balance is never below zero (I-15).
    pub async fn consume(&self, wanted: &Consume) -> Result<Consumption, ConsumeError> {
        let Consume { customer, tokens, description, key, fingerprint } = wanted;
        let opening = Opening { customer, key, fingerprint };
        let now = self.clock.now(Some(customer)).await?;
        for _ in 0..MOST_RACES {
            let keys = vec![
                Key::Claim(customer.clone(), key.clone()),
                Key::Subscription(customer.clone()),
                Key::Tokens(customer.clone()),
            ];
            let mut found = self.store.get(keys).await?;
            if let Some(claim) = found.claim() {
                return self.consumed_before(opening, claim).await;
            }
            let subscription = found.subscription().ok_or(ConsumeError::NoSubscription)?;
            if !subscription.is_live() {
                return Err(ConsumeError::NotActive);
            }
            let held = found.tokens().unwrap_or_else(|| Tokens::none(customer.clone()));
            let too_few = ConsumeError::TooFew { wanted: *tokens, balance: held.balance };
            let consumption = Consumption::of(&held, *tokens, key, now).ok_or(too_few)?;
            let consumption = Consumption { description: description.clone(), ..consumption };
            match self.store.commit(self.consuming(opening, &subscription, consumption.clone())).await {
                Ok(()) => return Ok(consumption),
                // The same request elsewhere was faster, or others have left too little.
                Err(StoreError::Duplicate | StoreError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(StoreError::Conflict.into())
    }

    fn consuming(&self, opening: Opening<'_>, subscription: &Subscription, consumption: Consumption) -> Vec<Write> {
        let claim = opening.claim(subscription.no_payment(), consumption.at);
        let claim = Claim { consumption: Some(consumption.id.clone()), ..claim };
        vec![
            Write::Consume { customer: consumption.customer.clone(), tokens: consumption.tokens },
            Write::Create(Record::Consumption(consumption)),
            Write::Create(Record::Claim(claim)),
        ]
    }

    async fn consumed_before(&self, opening: Opening<'_>, claim: Claim) -> Result<Consumption, ConsumeError> {
        let same = claim.fingerprint == opening.fingerprint;
        let id = claim.consumption.filter(|_| same).ok_or(ConsumeError::KeyReused)?;
        let found = self.store.get(vec![Key::Consumption(opening.customer.clone(), id)]).await?.consumption();
        Ok(found.ok_or(StoreError::Conflict)?)
    }

    /// What was consumed, newest first, at most `limit`, from before `before`.
    pub async fn consumptions(
        &self,
        customer: &CustomerId,
        before: Option<&ConsumptionId>,
        limit: u32,
    ) -> Result<Vec<Consumption>, StoreError> {
        self.store.consumptions(customer, before, limit).await
    }
}
