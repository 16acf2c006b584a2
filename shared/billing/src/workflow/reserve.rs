//! The SaaS holds an amount of a meter for a use to come, or lets it go.

use super::usage::{MeterError, Metered, UsageError};
use super::{Billing, MOST_RACES};
use crate::dunning::after;
use crate::entitlement::{Standing, standing_of, unserved};
use crate::id::{CustomerId, MeterId, UsageId};
use crate::ports::{Clock, Gateways, Key, Store, StoreError};
use crate::reservation::{MOST_OPEN, Minutes, Reservation};
use crate::usage::MeterUsage;
use std::num::NonZeroU64;

/// What is to be held, under the id of the use that it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reserve {
    pub customer: CustomerId,
    /// By its id, or an alias.
    pub meter: MeterId,
    pub id: UsageId,
    pub value: NonZeroU64,
    pub minutes: Minutes,
}

/// Why nothing is held.
#[derive(Debug, thiserror::Error)]
pub enum ReserveError {
    #[error("there is no subscription that is active, whose plan could allow it")]
    NoSubscription,
    #[error(transparent)]
    Meter(#[from] MeterError),
    #[error("it is more than is left of what the plan allows, and nothing is held")]
    LimitReached(Standing),
    #[error("this id holds something else, or was used")]
    IdReused,
    #[error("{MOST_OPEN} are open of this meter: use or release some first")]
    TooMany,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<UsageError> for ReserveError {
    fn from(error: UsageError) -> Self {
        match error {
            UsageError::Meter(error) => error.into(),
            UsageError::Store(error) => error.into(),
        }
    }
}

impl<S: Store, G: Gateways, C: Clock> Billing<S, G, C> {
    /// Holds what is `wanted`, once for each id, and answers how the meter stands. However many reserve and report at
    /// once, what is used and what is held never pass what the plan allows.
    pub async fn reserve(&self, wanted: &Reserve) -> Result<(Reservation, Standing), ReserveError> {
        let Reserve { customer, id, value, minutes, .. } = wanted;
        let now = self.clock.now(Some(customer)).await?;
        for _ in 0..MOST_RACES {
            let Metered { subscription, meter, known } = self.metered(customer, &wanted.meter).await?;
            let subscription = subscription.ok_or(ReserveError::NoSubscription)?;
            let mut usage = known.unwrap_or_else(|| MeterUsage::none(customer.clone(), meter.id.clone(), now));
            let period = usage.counting(&subscription.counting(now)).clone();
            let used = usage.used_in(meter.kind, &period);
            let standing = |reserved| standing_of(&subscription.terms(&meter.id, &period), &meter.id, used, reserved);
            let open = usage.reservations.open(now);
            if let Some(held) = open.get(id) {
                let same = (held.value, held.minutes) == (*value, *minutes);
                return if same { Ok((held.clone(), standing(open.held()))) } else { Err(ReserveError::IdReused) };
            }
            if unserved(&subscription, now).is_some() {
                return Err(ReserveError::NoSubscription);
            }
            // Read after the meter, which is another as soon as the use is counted: none is overlooked.
            let record = Key::UsageRecord(customer.clone(), id.clone());
            if !self.store.get(vec![record]).await?.records().is_empty() {
                return Err(ReserveError::IdReused);
            }
            if open.len() >= MOST_OPEN {
                return Err(ReserveError::TooMany);
            }
            let taken = used.checked_add(open.held()).and_then(|taken| taken.checked_add(value.get()));
            if taken.is_none_or(|taken| taken > subscription.most(&meter.id, &period)) {
                return Err(ReserveError::LimitReached(standing(open.held())));
            }
            let expires_at = after(now, (*minutes).into());
            let reservation = Reservation { value: *value, minutes: *minutes, expires_at };
            usage.reservations = open.with(id.clone(), reservation.clone());
            let reserved = usage.reservations.held();
            match self.store.commit(usage.writes()).await {
                Ok(()) => return Ok((reservation, standing(reserved))),
                // Others have used or reserved of the same.
                Err(StoreError::Conflict | StoreError::Duplicate) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(StoreError::Conflict.into())
    }

    /// Holds nothing more of the meter called `name` under `id`. Where nothing is held, that is so already.
    pub async fn release(&self, customer: &CustomerId, name: &MeterId, id: &UsageId) -> Result<(), UsageError> {
        let now = self.clock.now(Some(customer)).await?;
        for _ in 0..MOST_RACES {
            let Metered { known, .. } = self.metered(customer, name).await?;
            let Some(mut usage) = known.filter(|it| it.reservations.get(id).is_some()) else { return Ok(()) };
            usage.reservations = usage.reservations.open(now).without(id);
            match self.store.commit(usage.writes()).await {
                Err(StoreError::Conflict | StoreError::Duplicate) => {}
                done => return Ok(done?),
            }
        }
        Err(StoreError::Conflict.into())
    }
}
