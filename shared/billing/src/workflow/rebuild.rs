//! What a counter has counted is reckoned again from the records of its uses, for staff who doubt it.

use super::report::KEPT_FOR;
use super::usage::{MeterError, Metered, UsageError};
use super::{Billing, MOST_RACES, transition};
use crate::alert::raised;
use crate::catalog::MeterKind;
use crate::dunning::after;
use crate::id::{CustomerId, MeterId, PeriodId, UsageId};
use crate::ports::{Clock, Gateways, Key, Store, StoreError};
use crate::subscription::{Event, Subscription};
use crate::usage::MeterUsage;
use jiff::Timestamp;
use std::collections::BTreeMap;

/// Which counter is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rebuild {
    pub customer: CustomerId,
    /// By its id, or an alias.
    pub meter: MeterId,
    /// Says what it would be, and changes nothing.
    pub dry_run: bool,
}

/// What a counter says of a period, and what the records of its uses come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recount {
    pub period: PeriodId,
    pub counted: u64,
    pub recorded: u64,
}

#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    #[error("there is no subscription that is active, in whose periods it could be counted")]
    NoSubscription,
    #[error("the period began more than 400 days ago, and records are not kept for longer")]
    Forgotten,
    #[error(transparent)]
    Meter(#[from] MeterError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<UsageError> for RebuildError {
    fn from(error: UsageError) -> Self {
        match error {
            UsageError::Meter(error) => error.into(),
            UsageError::Store(error) => error.into(),
        }
    }
}

/// How many records are read at once.
const PAGE: u32 = 1_000;

impl<S: Store, G: Gateways, C: Clock> Billing<S, G, C> {
    /// Reckons what the counter has counted in the period at hand, and in the one before if that is on no invoice yet, from the
    /// records of the uses; and unless it is a dry run the counter says that from then on. It is as of one moment: if
    /// somebody counts meanwhile, it begins again.
    pub async fn rebuild(&self, wanted: &Rebuild) -> Result<(MeterId, Vec<Recount>), RebuildError> {
        let customer = &wanted.customer;
        let now = self.clock.now(Some(customer)).await?;
        for _ in 0..MOST_RACES {
            let Metered { subscription, meter, known } = self.metered(customer, &wanted.meter).await?;
            if meter.kind == MeterKind::Gauge {
                return Err(MeterError::NotACounter(meter.id).into());
            }
            let subscription = subscription.filter(Subscription::is_live).ok_or(RebuildError::NoSubscription)?;
            let known = known.unwrap_or_else(|| MeterUsage::none(customer.clone(), meter.id.clone(), now));
            let period = subscription.counting(now);
            let read = (known.version, known.value);
            let known = subscription.turned(&known, &period, now);
            // What is on an invoice stays as it is there.
            let open = |(it, _): &(&PeriodId, u64)| known.period.as_ref() == Some(*it) || subscription.is_unbilled(it);
            let counted: Vec<(&PeriodId, u64)> = known.periods().filter(open).collect();
            let begun = counted.first().and_then(|(period, _)| subscription.beginning(period));
            if begun.is_none_or(|begun| after(begun, KEPT_FOR) <= now) {
                return Err(RebuildError::Forgotten);
            }
            let recorded = self.summed(customer, &meter.id).await?;
            let recount = |(period, counted): (&PeriodId, u64)| {
                let recorded = recorded.get(period).copied().unwrap_or(0);
                Recount { period: period.clone(), counted, recorded }
            };
            let recounts: Vec<Recount> = counted.into_iter().map(recount).collect();
            let done = if wanted.dry_run || recounts.iter().all(|it| it.counted == it.recorded) {
                self.is_as_read(&known, read).await?
            } else {
                self.keep_recounted(subscription, known, &recounts, now).await?
            };
            if done {
                return Ok((meter.id, recounts));
            }
        }
        Err(StoreError::Conflict.into())
    }

    /// What the records of a meter's uses come to, by period.
    async fn summed(&self, customer: &CustomerId, meter: &MeterId) -> Result<BTreeMap<PeriodId, u64>, StoreError> {
        let mut sums: BTreeMap<PeriodId, u64> = BTreeMap::new();
        let mut last: Option<UsageId> = None;
        loop {
            let page = self.store.uses(customer, last.as_ref(), PAGE).await?;
            let is_last = page.len() < usize::try_from(PAGE).unwrap_or(usize::MAX);
            last = page.last().map(|it| it.id.clone());
            for it in page.into_iter().filter(|it| it.meter == *meter) {
                let sum = sums.entry(it.period).or_default();
                *sum = sum.saturating_add(it.value.get());
            }
            if is_last {
                return Ok(sums);
            }
        }
    }

    /// Whether nobody has counted since `known` was read, with that version and value: then the records were those that it
    /// counts.
    async fn is_as_read(&self, known: &MeterUsage, read: (u64, u64)) -> Result<bool, StoreError> {
        let key = Key::Usage(known.customer.clone(), known.meter.clone());
        let stored = self.read(vec![key]).await?.usage();
        Ok(stored.map_or((0, 0), |it| (it.version, it.value)) == read)
    }

    /// The counter says what is recorded, and the history what it said before. False: somebody has counted meanwhile.
    async fn keep_recounted(
        &self,
        subscription: Subscription,
        known: MeterUsage,
        recounts: &[Recount],
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let Some((last, before)) = recounts.split_last() else { return Ok(true) };
        let (meter, order) = (known.meter.clone(), &subscription.order);
        let usage = MeterUsage {
            value: last.recorded,
            period: Some(last.period.clone()),
            before: before.first().map(|it| (it.period.clone(), it.recorded)).or(known.before),
            alerts: raised(&known.alerts, order, &meter, last.recorded, &last.period, now),
            at: now,
            ..known
        };
        let differs = recounts.iter().filter(|it| it.counted != it.recorded);
        let rebuilt = |it: &Recount| Event::CounterRebuilt {
            meter: meter.clone(),
            period: it.period.clone(),
            from: it.counted,
            to: it.recorded,
        };
        let (_, mut writes) = transition(subscription, differs.map(rebuilt).collect(), now);
        writes.extend(usage.writes());
        match self.store.commit(writes).await {
            Ok(()) => Ok(true),
            Err(StoreError::Conflict | StoreError::Duplicate) => Ok(false),
            Err(error) => Err(error),
        }
    }
}
