//! What was used: the level of a gauge, what a counter has counted, and each use that it counted.

use crate::alert::Alert;
use crate::calendar::zone::Zone;
use crate::catalog::MeterKind;
use crate::id::{CustomerId, MeterId, PeriodId, UsageId};
use crate::reservation::Reservations;
use crate::shard::{Lease, Shard};
use crate::statistics::date;
use crate::subscription::{Sold, Subscription};
use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use std::num::NonZeroU64;

/// The level of a gauge as last reported, or what a counter has counted in a period.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MeterUsage {
    pub customer: CustomerId,
    pub meter: MeterId,
    pub value: u64,
    /// When a counter counted that. In the next one it starts at zero.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub period: Option<PeriodId>,
    /// What it counted in the period before, where that may be on no invoice yet or more of it may be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<(PeriodId, u64)>,
    /// On what terms that is charged for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sold: Option<Sold>,
    /// That were raised of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alerts: Vec<Alert>,
    /// What of it is held for uses to come, in whichever period they are.
    #[serde(default, skip_serializing_if = "Reservations::is_empty")]
    pub reservations: Reservations,
    /// What it has lent to its shards. None: nothing, and it counts alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<Lease>,
    /// As they were read with it: `value` has what they have counted. They are records of their own.
    #[serde(skip)]
    pub shards: Vec<Shard>,
    pub at: Timestamp,
    pub version: u64,
}

impl MeterUsage {
    pub(crate) fn none(customer: CustomerId, meter: MeterId, at: Timestamp) -> Self {
        Self {
            customer,
            meter,
            value: 0,
            period: None,
            before: None,
            sold: None,
            alerts: vec![],
            reservations: Reservations::default(),
            lease: None,
            shards: vec![],
            at,
            version: 0,
        }
    }

    /// That it has counted in, and how much.
    pub(crate) fn periods(&self) -> impl Iterator<Item = (&PeriodId, u64)> {
        let last = self.period.as_ref().map(|period| (period, self.value));
        self.before.iter().map(|(period, value)| (period, *value)).chain(last)
    }

    /// What a counter has counted in `period`; or in the one after it, where somebody's clock is ahead of ours.
    pub(crate) fn counted_in(&self, period: &PeriodId) -> Option<(&PeriodId, u64)> {
        let counted = self.period.as_ref()?;
        let counts = counted.subscription == period.subscription && counted.index >= period.index;
        counts.then_some((counted, self.value))
    }

    /// The period that it counts in, while `period` is at hand.
    pub(crate) fn counting<'a>(&'a self, period: &'a PeriodId) -> &'a PeriodId {
        self.counted_in(period).map_or(period, |(counted, _)| counted)
    }

    /// What it counted in the last period, if that was when `at` was, and on what terms.
    pub(crate) fn told_late(&self, at: Timestamp) -> Option<(&PeriodId, u64, &Sold)> {
        let (period, used) = self.before.as_ref()?;
        self.sold.as_ref().filter(|sold| sold.covers(at)).map(|sold| (period, *used, sold))
    }

    /// How much of a meter of that kind is in use in `period`.
    pub(crate) fn used_in(&self, kind: MeterKind, period: &PeriodId) -> u64 {
        match kind {
            MeterKind::Gauge => self.value,
            MeterKind::Counter => self.counted_in(period).map_or(0, |(_, value)| value),
        }
    }

    /// How much of it is in use at `now`, in the period at hand, or in one that has begun and is not paid yet.
    pub fn in_period_of(&self, subscription: &Subscription, now: Timestamp) -> u64 {
        let kind = if self.period.is_some() { MeterKind::Counter } else { MeterKind::Gauge };
        self.used_in(kind, &subscription.counting(now))
    }
}

/// A use that was counted, under the id of whoever reported it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageRecord {
    pub customer: CustomerId,
    pub id: UsageId,
    pub meter: MeterId,
    pub value: NonZeroU64,
    /// When it was, if that was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// Where it is counted: in the one at hand when it was told, or in the one before, if it was then and more was sold then.
    pub period: PeriodId,
    pub counted_at: Timestamp,
    pub expires_at: Timestamp,
}

impl UsageRecord {
    /// The day that it is of, on the calendar of `zone`: when it was, or when it was counted.
    pub(crate) fn date(&self, zone: &Zone) -> Date {
        date(self.at.unwrap_or(self.counted_at), zone)
    }
}
