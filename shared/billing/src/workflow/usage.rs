//! The SaaS reports a level.

use super::{Billing, MOST_RACES};
use crate::alert::raised;
use crate::catalog::{Meter, MeterKind};
use crate::entitlement::{Standing, standing};
use crate::id::{CustomerId, FamilyId, MeterId};
use crate::ports::{Clock, Found, Gateways, Key, Store, StoreError};
use crate::subscription::Subscription;
use crate::usage::MeterUsage;
use std::collections::BTreeMap;

/// What is wrong with the name of a meter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MeterError {
    #[error("`{0}` is not a meter of any plan")]
    NoSuchMeter(MeterId),
    #[error("`{0}` is a meter of several families, and without a subscription none of them is meant")]
    Ambiguous(MeterId),
    #[error("`{0}` is a counter: it is added to, not set")]
    NotAGauge(MeterId),
    #[error("`{0}` is a gauge: it is set, not added to")]
    NotACounter(MeterId),
}

#[derive(Debug, thiserror::Error)]
pub enum UsageError {
    #[error(transparent)]
    Meter(#[from] MeterError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl<S: Store, G: Gateways, C: Clock> Billing<S, G, C> {
    /// Sets the gauge called `name` (or known by that alias) to `value`. It may
    /// exceed the plan's limit: a level is a fact. Answers how it stands.
    pub async fn set_usage(
        &self,
        customer: &CustomerId,
        name: &MeterId,
        value: u64,
    ) -> Result<(MeterUsage, Option<Standing>), UsageError> {
        let now = self.clock.now(Some(customer)).await?;
        for _ in 0..MOST_RACES {
            let Metered { subscription, meter, known } = self.metered(customer, name).await?;
            if meter.kind == MeterKind::Counter {
                return Err(MeterError::NotAGauge(meter.id).into());
            }
            let live = subscription.filter(Subscription::is_live);
            let told = known.as_ref().map_or(&[][..], |it| &it.alerts);
            let reservations = known.as_ref().map(|it| it.reservations.open(now)).unwrap_or_default();
            let reserved = reservations.held();
            let terms = |it: &'_ Subscription| it.terms(&meter.id, &it.counting(now)).into_owned();
            let raised = |it: &Subscription| raised(told, &terms(it), &meter.id, value, &it.counting(now), now);
            let usage = MeterUsage {
                customer: customer.clone(),
                meter: meter.id.clone(),
                value,
                period: None,
                before: None,
                sold: None,
                alerts: live.as_ref().map_or_else(Vec::new, raised),
                reservations,
                lease: None,
                // Of what was a counter once.
                shards: known.as_ref().map_or_else(Vec::new, |it| it.shards.clone()),
                at: now,
                version: known.as_ref().map_or(0, |it| it.version),
            };
            match self.store.commit(usage.clone().writes()).await {
                Ok(()) => {
                    let standing = live.and_then(|it| standing(&terms(&it), &meter.id, value, reserved));
                    return Ok((usage, standing));
                }
                Err(StoreError::Conflict | StoreError::Duplicate) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(StoreError::Conflict.into())
    }

    /// What is at `keys`: of each meter all that was counted, in its shards too.
    pub(super) async fn read(&self, keys: Vec<Key>) -> Result<Found, StoreError> {
        for _ in 0..MOST_RACES {
            let found = self.store.get(keys.clone()).await?;
            let shards = found.shard_keys();
            let shards = if shards.is_empty() { Found::default() } else { self.store.get(shards).await? };
            // Someone has taken back meanwhile what was lent.
            if let Some(whole) = found.whole(shards) {
                return Ok(whole);
            }
        }
        Err(StoreError::Conflict)
    }

    /// All that belongs to the customer's subscription, each meter with its shards.
    pub(super) async fn live(&self, customer: &CustomerId) -> Result<Found, StoreError> {
        for _ in 0..MOST_RACES {
            if let Some(whole) = self.store.live(customer).await?.whole(Found::default()) {
                return Ok(whole);
            }
        }
        Err(StoreError::Conflict)
    }

    /// What `name` means to the customer, and how much of it there is.
    pub(super) async fn metered(&self, customer: &CustomerId, name: &MeterId) -> Result<Metered, UsageError> {
        let usage = |meter: &MeterId| Key::Usage(customer.clone(), meter.clone());
        let keys = vec![Key::Meter(name.clone()), usage(name), Key::Subscription(customer.clone())];
        let mut found = self.read(keys).await?;
        let subscription = found.subscription();
        let families = found.meter().map(|it| it.families).unwrap_or_default();
        let meter = meant(families, subscription.as_ref(), name)?;
        let known = match meter.id == *name {
            true => found.usage(),
            false => self.read(vec![usage(&meter.id)]).await?.usage(),
        };
        Ok(Metered { subscription, meter, known })
    }
}

pub(super) struct Metered {
    pub(super) subscription: Option<Subscription>,
    pub(super) meter: Meter,
    pub(super) known: Option<MeterUsage>,
}

/// The meter called `name` in the family of the subscription; without one, in
/// the only family that knows the name.
pub(super) fn meant(
    mut families: BTreeMap<FamilyId, Meter>,
    subscription: Option<&Subscription>,
    name: &MeterId,
) -> Result<Meter, MeterError> {
    let of_plan = subscription.and_then(|it| families.remove(&it.order.plan.family));
    match (of_plan, families.len()) {
        (Some(meter), _) => Ok(meter),
        (None, 0 | 1) => families.into_values().next().ok_or_else(|| MeterError::NoSuchMeter(name.clone())),
        (None, _) => Err(MeterError::Ambiguous(name.clone())),
    }
}
