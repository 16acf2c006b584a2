//! What a counter has counted, and what is said of its days, is reckoned again from the records of its uses, for staff who
//! doubt it.

use super::report::KEPT_FOR;
use super::usage::{MeterError, Metered, UsageError};
use super::{Billing, MOST_RACES, transition};
use crate::alert::raised;
use crate::calendar::zone::Zone;
use crate::catalog::MeterKind;
use crate::dunning::after;
use crate::id::{CustomerId, MeterId, PeriodId, SubscriptionId, UsageId};
use crate::ports::{Clock, Gateways, Key, Store, StoreError, Write};
use crate::statistics::{DayRecount, DayUsage, date, first_of};
use crate::subscription::{Event, Subscription};
use crate::usage::{MeterUsage, UsageRecord};
use jiff::Timestamp;
use jiff::civil::Date;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

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

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rebuilt {
    pub meter: MeterId,
    /// Each that is open.
    pub periods: Vec<Recount>,
    /// Of those that the statistics show, each that said something else.
    pub days: Vec<DayRecount>,
}

impl Rebuilt {
    fn is_right(&self) -> bool {
        self.days.is_empty() && self.periods.iter().all(|it| it.counted == it.recorded)
    }

    /// What was corrected in `before`, and then in this.
    fn after(self, before: Option<Self>) -> Self {
        match before {
            Some(before) => Self { days: [before.days, self.days].concat(), ..before },
            None => self,
        }
    }
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

/// How many of a transaction's hundred writes are of days: nine, each in nine places. The others are the meter with its
/// shards, and the subscription with its history.
const MOST_OF_DAYS: usize = 81;

/// What the records of a meter's uses come to.
#[derive(Default)]
struct Recorded {
    periods: BTreeMap<PeriodId, u64>,
    days: BTreeMap<Date, u64>,
}

impl<S: Store, G: Gateways, C: Clock> Billing<S, G, C> {
    /// Reckons what the counter has counted in the period at hand, and in the one before if that is on no invoice yet, and
    /// what it has on each day that is shown, from the records of the uses; and unless it is a dry run the counter and the
    /// days say that from then on. It is as of one moment: if somebody counts meanwhile, it begins again.
    pub async fn rebuild(&self, wanted: &Rebuild) -> Result<Rebuilt, RebuildError> {
        let customer = &wanted.customer;
        let now = self.clock.now(Some(customer)).await?;
        let mut corrected: Option<Rebuilt> = None;
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
            let today = date(now, &subscription.time_zone);
            let shown = first_of(today)..=today;
            let mut days = self.store.days(customer, *shown.start(), *shown.end()).await?;
            days.retain(|it| it.meter.as_ref() == Some(&meter.id));
            let recorded = self.summed(&subscription, &meter.id, &shown).await?;
            let recount = |(period, counted): (&PeriodId, u64)| {
                let recorded = recorded.periods.get(period).copied().unwrap_or(0);
                Recount { period: period.clone(), counted, recorded }
            };
            let periods = counted.into_iter().map(recount).collect();
            let mut found = Rebuilt { meter: meter.id, periods, days: DayRecount::all(&days, &recorded.days) };
            if wanted.dry_run || found.is_right() {
                if self.is_as_read(&known, read).await? {
                    return Ok(found.after(corrected));
                }
                continue;
            }
            let all = found.days.len();
            let of_days = take_fitting(&mut found.days, &known, &days);
            let is_all = found.days.len() == all;
            if self.keep_recounted(subscription, known, &found, of_days, now).await? {
                let found = found.after(corrected.take());
                if is_all {
                    return Ok(found);
                }
                corrected = Some(found);
            }
        }
        Err(StoreError::Conflict.into())
    }

    /// What the records of a meter's uses come to, by period, and by day of those `shown`.
    async fn summed(
        &self,
        subscription: &Subscription,
        meter: &MeterId,
        shown: &RangeInclusive<Date>,
    ) -> Result<Recorded, StoreError> {
        let customer = &subscription.customer;
        let mut sums = Recorded::default();
        let mut zones = BTreeMap::from([(subscription.id.clone(), subscription.time_zone.clone())]);
        let mut last: Option<UsageId> = None;
        loop {
            let page = self.store.uses(customer, last.as_ref(), PAGE).await?;
            let is_last = page.len() < usize::try_from(PAGE).unwrap_or(usize::MAX);
            last = page.last().map(|it| it.id.clone());
            let page: Vec<UsageRecord> = page.into_iter().filter(|it| it.meter == *meter).collect();
            self.learn_zones(&mut zones, customer, &page).await?;
            for it in page {
                let date = it.date(zones.get(&it.period.subscription).unwrap_or(&subscription.time_zone));
                let day = shown.contains(&date).then(|| sums.days.entry(date).or_default());
                for sum in day.into_iter().chain([sums.periods.entry(it.period).or_default()]) {
                    *sum = sum.saturating_add(it.value.get());
                }
            }
            if is_last {
                return Ok(sums);
            }
        }
    }

    /// On whose calendar each of `uses` was counted: of the subscription of then, which may have been in another zone.
    async fn learn_zones(
        &self,
        zones: &mut BTreeMap<SubscriptionId, Zone>,
        customer: &CustomerId,
        uses: &[UsageRecord],
    ) -> Result<(), StoreError> {
        let unknown = uses.iter().map(|it| &it.period.subscription).filter(|id| !zones.contains_key(id));
        let unknown: BTreeSet<&SubscriptionId> = unknown.collect();
        let keys = unknown.into_iter().map(|id| Key::PastSubscription(customer.clone(), id.clone())).collect();
        let mut found = self.store.get(keys).await?;
        zones.extend(std::iter::from_fn(|| found.past_subscription()).map(|it| (it.id, it.time_zone)));
        Ok(())
    }

    /// Whether nobody has counted since `known` was read, with that version and value: then the records were those that it
    /// counts.
    async fn is_as_read(&self, known: &MeterUsage, read: (u64, u64)) -> Result<bool, StoreError> {
        let key = Key::Usage(known.customer.clone(), known.meter.clone());
        let stored = self.read(vec![key]).await?.usage();
        Ok(stored.map_or((0, 0), |it| (it.version, it.value)) == read)
    }

    /// The counter says what is recorded, as its days do by `of_days`, and the history what they said before. False: somebody
    /// has counted meanwhile.
    async fn keep_recounted(
        &self,
        subscription: Subscription,
        known: MeterUsage,
        found: &Rebuilt,
        of_days: Vec<Write>,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let Some((last, before)) = found.periods.split_last() else { return Ok(true) };
        let (meter, order) = (known.meter.clone(), subscription.terms(&known.meter, &last.period).into_owned());
        let usage = MeterUsage {
            value: last.recorded,
            period: Some(last.period.clone()),
            before: before.first().map(|it| (it.period.clone(), it.recorded)).or(known.before),
            alerts: raised(&known.alerts, &order, &meter, last.recorded, &last.period, now),
            at: now,
            ..known
        };
        let differs = found.periods.iter().filter(|it| it.counted != it.recorded);
        let rebuilt = |it: &Recount| Event::CounterRebuilt {
            meter: meter.clone(),
            period: it.period.clone(),
            from: it.counted,
            to: it.recorded,
        };
        let days = Event::DaysRebuilt { meter: meter.clone(), days: found.days.clone() };
        let days = (!found.days.is_empty()).then_some(days);
        let (_, mut writes) = transition(subscription, differs.map(rebuilt).chain(days).collect(), now);
        // Whole, also where the counter was right: then nobody adds to a day that is set.
        writes.extend(usage.writes());
        writes.extend(of_days);
        match self.store.commit(writes).await {
            Ok(()) => Ok(true),
            Err(StoreError::Conflict | StoreError::Duplicate) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// As many of `days` as there is room for, and what puts those right; the others are left out. `stored` has all their parts.
fn take_fitting(days: &mut Vec<DayRecount>, of: &MeterUsage, stored: &[DayUsage]) -> Vec<Write> {
    let each = days.iter().map(|it| it.writes(&of.customer, &of.meter, stored));
    let mut writes: Vec<Write> = vec![];
    let mut fitting = 0;
    for more in each {
        if writes.len() + more.len() > MOST_OF_DAYS {
            break;
        }
        writes.extend(more);
        fitting += 1;
    }
    days.truncate(fitting);
    writes
}
