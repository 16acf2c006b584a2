//! Prepaid tokens are consumed.

use super::{Billing, MOST_RACES, Opening};
use crate::entitlement::unserved;
use crate::id::{ConsumptionId, CustomerId, IdempotencyKey};
use crate::ports::{Claim, Clock, Found, Gateways, Key, Record, Store, StoreError, Write};
use crate::statistics::{DayUsage, date};
use crate::token::{Consumption, Purpose, Tokens};
use jiff::Timestamp;
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
    #[error("of the {wanted} that are asked for there are {balance}: nothing was taken")]
    TooFew { wanted: NonZeroU32, balance: u64 },
    #[error("this Idempotency-Key was used for another request")]
    KeyReused,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl<S: Store, G: Gateways, C: Clock> Billing<S, G, C> {
    /// Takes the tokens from the customer's balance, with a record of it, in one transaction; all of them or none. A key
    /// that was used before has the same answer for the same request. However many ask at the same moment, nobody has to
    /// read again because of the others while there is enough for all, and the balance is never below zero (I-15). What
    /// ends the subscription at that very moment does not take it back.
    pub async fn consume(&self, wanted: &Consume) -> Result<Consumption, ConsumeError> {
        let opening = Opening { customer: &wanted.customer, key: &wanted.key, fingerprint: &wanted.fingerprint };
        let now = self.clock.now(Some(&wanted.customer)).await?;
        let keys = [
            Key::Claim(wanted.customer.clone(), wanted.key.clone()),
            Key::Subscription(wanted.customer.clone()),
            Key::Tokens(wanted.customer.clone()),
        ];
        for _ in 0..MOST_RACES {
            let mut found = self.store.get(keys.to_vec()).await?;
            if let Some(claim) = found.claim() {
                return self.consumed_before(opening, claim).await;
            }
            let (consumption, claim, day) = match decide(wanted, opening, &mut found, now) {
                Ok(decided) => decided,
                // Several records are not read as of one moment: the same request may have been granted between them.
                Err(refusal) => match self.claimed(opening).await? {
                    Some(claim) => return self.consumed_before(opening, claim).await,
                    None => return Err(refusal),
                },
            };
            let writes = vec![
                Write::Consume { customer: consumption.customer.clone(), tokens: consumption.tokens },
                Write::Create(Record::Consumption(consumption.clone())),
                Write::Create(Record::Claim(claim)),
                Write::Add(day),
            ];
            match self.store.commit(writes).await {
                Ok(()) => return Ok(consumption),
                // The same request elsewhere was faster, or others have left too little.
                Err(StoreError::Duplicate | StoreError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(StoreError::Conflict.into())
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

/// What is consumed, the claim that it is granted under, and what its day has more of.
fn decide(
    wanted: &Consume,
    opening: Opening<'_>,
    found: &mut Found,
    now: Timestamp,
) -> Result<(Consumption, Claim, DayUsage), ConsumeError> {
    let Consume { customer, tokens, description, key, .. } = wanted;
    let subscription = found.subscription().ok_or(ConsumeError::NoSubscription)?;
    if unserved(&subscription, now).is_some() {
        return Err(ConsumeError::NotActive);
    }
    let held = found.tokens().unwrap_or_else(|| Tokens::none(customer.clone()));
    let too_few = ConsumeError::TooFew { wanted: *tokens, balance: held.balance };
    let consumption = Consumption::of(&held, *tokens, key, now).ok_or(too_few)?;
    let claim = opening.claim(subscription.no_payment(), now);
    let claim = Claim { consumption: Some(consumption.id.clone()), ..claim };
    let date = date(now, &subscription.time_zone);
    let day = DayUsage { customer: customer.clone(), date, meter: None, shard: 0, value: tokens.get().into() };
    Ok((Consumption { description: description.clone(), ..consumption }, claim, day))
}
