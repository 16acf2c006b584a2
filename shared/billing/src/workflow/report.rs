//! The SaaS reports what was used of what is counted, once for each id.

use super::usage::{MeterError, meant};
use super::{Billing, MOST_RACES, transition};
use crate::alert::{below_next_line, raised};
use crate::catalog::{Meter, MeterKind};
use crate::dunning::after;
use crate::entitlement::{Standing, standing_of, unserved};
use crate::id::{CustomerId, FamilyId, MailId, MeterId, PeriodId, UsageId};
use crate::mail::{About, Mail, OverageNotice, Passed};
use crate::ports::{Clock, Found, Gateways, Key, Record, Store, StoreError, Write};
use crate::reservation::Reservations;
use crate::shard::{Shards, keys};
use crate::statistics::DayUsage;
use crate::subscription::{CountedLate, Order, Sold, Subscription};
use crate::usage::{MeterUsage, UsageRecord};
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU64;

/// What was used at once, under an id of whoever reports it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Use {
    /// By its id, or an alias.
    pub meter: MeterId,
    pub value: NonZeroU64,
    pub id: UsageId,
    /// When it was. None: just now.
    pub at: Option<Timestamp>,
}

/// Why a use is not counted. Nothing of it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotCounted {
    #[error("there is no subscription that is active, whose plan could allow it")]
    NoSubscription,
    #[error(transparent)]
    Meter(#[from] MeterError),
    #[error("it is more than is left of what the plan allows, and was not counted")]
    LimitReached(Standing),
    #[error("this id was used for another use")]
    IdReused,
    #[error("it is not over yet: clocks may differ by five minutes")]
    InFuture,
}

/// How many are counted in one transaction, which takes a hundred writes: each, the meter it is of, and the day; a mail; and
/// the subscription with its history, where something is told late.
const AT_ONCE: usize = 32;

/// As many as a transaction has.
const MOST_WRITES: usize = 100;

/// By how much the clock of whoever reports may be ahead of ours.
const AHEAD: SignedDuration = SignedDuration::from_mins(5);

/// For how long a use is counted once: longer than a year, which is the longest that most periods are.
pub(super) const KEPT_FOR: SignedDuration = SignedDuration::from_hours(400 * 24);

impl<S: Store, G: Gateways, C: Clock> Billing<S, G, C> {
    /// Counts each of `uses` in the customer's period at hand, or says why not, in their order; in the one before it what is
    /// told late of that, where more was sold in it. Those that are counted are so with their ids, in one transaction of so
    /// many; and however many report at once, no limit is passed.
    pub async fn report(
        &self,
        customer: &CustomerId,
        uses: &[Use],
    ) -> Result<Vec<Result<Standing, NotCounted>>, StoreError> {
        let now = self.clock.now(Some(customer)).await?;
        let mut answers = Vec::with_capacity(uses.len());
        for some in uses.chunks(AT_ONCE) {
            answers.extend(self.count(customer, some, now).await?);
        }
        Ok(answers)
    }

    async fn count(
        &self,
        customer: &CustomerId,
        uses: &[Use],
        now: Timestamp,
    ) -> Result<Vec<Result<Standing, NotCounted>>, StoreError> {
        for race in 0..MOST_RACES {
            let Some(mut counters) = self.counters(customer, uses, now).await? else {
                return Ok(uses.iter().map(|_| Err(NotCounted::NoSubscription)).collect());
            };
            counters.race = race;
            let answers: Vec<_> = uses.iter().map(|it| counters.count(it)).collect();
            if self.counted_meanwhile(customer, uses, &answers).await? {
                continue;
            }
            match self.store.commit(counters.into_writes()).await {
                Ok(()) => return Ok(answers),
                // Others have counted the same, or have left too little, or it is the next period.
                Err(StoreError::Conflict | StoreError::Duplicate) => {}
                Err(error) => return Err(error),
            }
        }
        Err(StoreError::Conflict)
    }

    /// Whether what is refused was counted after all. Several records are not read as of one moment: the same report may
    /// have been taken in between them.
    async fn counted_meanwhile(
        &self,
        customer: &CustomerId,
        uses: &[Use],
        answers: &[Result<Standing, NotCounted>],
    ) -> Result<bool, StoreError> {
        let spent =
            |answer: &Result<_, _>| matches!(answer, Err(NotCounted::LimitReached(_) | NotCounted::NoSubscription));
        let refused = uses.iter().zip(answers).filter(|(_, answer)| spent(answer));
        let ids: BTreeSet<&UsageId> = refused.map(|(it, _)| &it.id).collect();
        let keys = ids.into_iter().map(|id| Key::UsageRecord(customer.clone(), id.clone())).collect();
        Ok(!self.store.get(keys).await?.records().is_empty())
    }

    /// All that `uses` are about, as of now. None: there is no subscription.
    async fn counters(
        &self,
        customer: &CustomerId,
        uses: &[Use],
        now: Timestamp,
    ) -> Result<Option<Counters>, StoreError> {
        let usage = |meter: &MeterId| Key::Usage(customer.clone(), meter.clone());
        let names: BTreeSet<&MeterId> = uses.iter().map(|it| &it.meter).collect();
        let ids: BTreeSet<&UsageId> = uses.iter().map(|it| &it.id).collect();
        let mut keys = vec![Key::Subscription(customer.clone())];
        keys.extend(names.iter().flat_map(|name| [Key::Meter((*name).clone()), usage(name)]));
        keys.extend(ids.into_iter().map(|id| Key::UsageRecord(customer.clone(), id.clone())));
        let mut found = self.read(keys).await?;
        let Some(subscription) = found.subscription() else { return Ok(None) };
        let mut counters = Counters::new(subscription, &mut found, now);
        // What another name stands for is known only now.
        let aliased: BTreeSet<MeterId> = names
            .into_iter()
            .filter_map(|name| counters.meant(name).ok().filter(|meter| meter.id != *name))
            .map(|meter| meter.id)
            .collect();
        if !aliased.is_empty() {
            let mut found = self.read(aliased.iter().map(usage).collect()).await?;
            counters.meters.extend(std::iter::from_fn(|| found.usage()).map(|it| (it.meter.clone(), it)));
        }
        self.read_shards(&mut counters).await?;
        Ok(Some(counters))
    }

    /// The shards that nothing is lent to yet, where something may be now.
    async fn read_shards(&self, counters: &mut Counters) -> Result<(), StoreError> {
        let unread = |it: &&MeterUsage| counters.lending(&it.meter).is_some_and(|all| it.shards.len() < all.into());
        let meters: Vec<MeterUsage> = counters.meters.values().filter(unread).cloned().collect();
        let keys = |it: &MeterUsage| counters.lending(&it.meter).map_or_else(Vec::new, |all| keys(it, all));
        let keys: Vec<Key> = meters.iter().flat_map(keys).collect();
        if keys.is_empty() {
            return Ok(());
        }
        let mut found = self.store.get(keys).await?;
        for shard in std::iter::from_fn(|| found.shard()) {
            if let Some(it) = counters.meters.get_mut(&shard.meter)
                && !it.shards.iter().any(|known| known.number == shard.number)
            {
                it.shards.push(shard);
            }
        }
        Ok(())
    }
}

/// What is counted of a customer, and more and more of it.
struct Counters {
    subscription: Subscription,
    now: Timestamp,
    period: PeriodId,
    names: BTreeMap<MeterId, BTreeMap<FamilyId, Meter>>,
    meters: BTreeMap<MeterId, MeterUsage>,
    records: BTreeMap<UsageId, UsageRecord>,
    /// What is new of these, and how much it is.
    counted: Vec<UsageRecord>,
    sums: BTreeMap<MeterId, NonZeroU64>,
    /// Of the period before.
    late: BTreeMap<MeterId, CountedLate>,
    /// How often others were faster.
    race: u32,
}

impl Counters {
    fn new(subscription: Subscription, found: &mut Found, now: Timestamp) -> Self {
        let period = subscription.counting(now);
        let names = std::iter::from_fn(|| found.meter()).map(|it| (it.name, it.families)).collect();
        let meters = std::iter::from_fn(|| found.usage()).map(|it| (it.meter.clone(), it)).collect();
        let records = std::iter::from_fn(|| found.usage_record()).map(|it| (it.id.clone(), it)).collect();
        let (counted, sums, late) = (vec![], BTreeMap::new(), BTreeMap::new());
        Self { subscription, now, period, names, meters, records, counted, sums, late, race: 0 }
    }

    fn meant(&self, name: &MeterId) -> Result<Meter, MeterError> {
        meant(self.names.get(name).cloned().unwrap_or_default(), Some(&self.subscription), name)
    }

    fn count(&mut self, it: &Use) -> Result<Standing, NotCounted> {
        let meter = self.meant(&it.meter)?;
        if meter.kind == MeterKind::Gauge {
            return Err(MeterError::NotACounter(meter.id).into());
        }
        if let Some(known) = self.records.get(&it.id) {
            let same = (&known.meter, known.value, known.at) == (&meter.id, it.value, it.at);
            return if same { Ok(self.standing_in(&known.period, &meter.id)) } else { Err(NotCounted::IdReused) };
        }
        if unserved(&self.subscription, self.now).is_some() {
            return Err(NotCounted::NoSubscription);
        }
        if it.at.is_some_and(|at| at > after(self.now, AHEAD)) {
            return Err(NotCounted::InFuture);
        }
        // What is held for it is held in the period at hand too.
        let held = self.reservations(&meter.id).get(&it.id).is_some();
        let fits = |late: &CountedLate, sold: &Sold| late.to.saturating_add(it.value.get()) <= sold.most;
        let late = it.at.and_then(|at| self.told_late(&meter.id, at));
        if let Some(late) = late.filter(|(late, sold)| !held || fits(late, sold)) {
            return self.count_late(it, late);
        }
        let standing = self.standing(&meter.id);
        let sum = self.sums.get(&meter.id).map_or(Some(it.value), |sum| sum.checked_add(it.value.get()));
        // What is held for it is its own to use.
        let others = self.reservations(&meter.id).without(&it.id).held();
        let taken = standing.used.checked_add(others).and_then(|taken| taken.checked_add(it.value.get()));
        let fits = taken.is_some_and(|taken| taken <= self.most(&meter.id));
        let Some(sum) = sum.filter(|_| fits) else { return Err(NotCounted::LimitReached(standing)) };
        self.sums.insert(meter.id.clone(), sum);
        let period = self.period_of(&meter.id).clone();
        self.record(it, &meter.id, period);
        Ok(self.standing(&meter.id))
    }

    fn record(&mut self, it: &Use, meter: &MeterId, period: PeriodId) {
        let record = UsageRecord {
            customer: self.subscription.customer.clone(),
            id: it.id.clone(),
            meter: meter.clone(),
            value: it.value,
            at: it.at,
            period,
            counted_at: self.now,
            expires_at: after(self.now, KEPT_FOR),
        };
        self.records.insert(it.id.clone(), record.clone());
        self.counted.push(record);
    }

    /// What `meter` has counted in the period before, with what is told late here, if that period was when `at` was.
    fn told_late(&self, meter: &MeterId, at: Timestamp) -> Option<(CountedLate, Sold)> {
        let turned = self.turned(meter);
        let (period, used, sold) = turned.told_late(at)?;
        let none = || CountedLate { meter: meter.clone(), period: period.clone(), from: used, to: used };
        Some((self.late.get(meter).cloned().unwrap_or_else(none), sold.clone()))
    }

    fn count_late(&mut self, it: &Use, (late, sold): (CountedLate, Sold)) -> Result<Standing, NotCounted> {
        let to = late.to.checked_add(it.value.get()).filter(|to| *to <= sold.most);
        let Some(to) = to else { return Err(NotCounted::LimitReached(sold.standing(&late.meter, late.to))) };
        self.record(it, &late.meter, late.period.clone());
        let standing = sold.standing(&late.meter, to);
        self.late.insert(late.meter.clone(), CountedLate { to, ..late });
        Ok(standing)
    }

    /// How the meter stands in `period`, if that is the one before; else in the one at hand.
    fn standing_in(&self, period: &PeriodId, meter: &MeterId) -> Standing {
        let turned = self.turned(meter);
        let late = self.late.get(meter).map(|it| it.to);
        match (turned.before, turned.sold) {
            (Some((before, used)), Some(sold)) if before == *period => sold.standing(meter, late.unwrap_or(used)),
            _ => self.standing(meter),
        }
    }

    /// The meter as it counts from now on.
    fn turned(&self, meter: &MeterId) -> MeterUsage {
        let none = || MeterUsage::none(self.subscription.customer.clone(), meter.clone(), self.now);
        let known = self.meters.get(meter).cloned().unwrap_or_else(none);
        self.subscription.turned(&known, &self.period, self.now)
    }

    fn standing(&self, meter: &MeterId) -> Standing {
        let before = self.stored(meter).map_or(0, |(_, value)| value);
        let more = self.sums.get(meter).map_or(0, |sum| sum.get());
        let reserved = self.reservations(meter).held();
        standing_of(&self.terms(meter), meter, before.saturating_add(more), reserved)
    }

    /// What is counted of `meter` here is of that one.
    fn period_of(&self, meter: &MeterId) -> &PeriodId {
        self.stored(meter).map_or(&self.period, |(period, _)| period)
    }

    fn terms(&self, meter: &MeterId) -> Cow<'_, Order> {
        self.subscription.terms(meter, self.period_of(meter))
    }

    fn most(&self, meter: &MeterId) -> u64 {
        self.subscription.most(meter, self.period_of(meter))
    }

    /// What was counted before in the same period.
    fn stored(&self, meter: &MeterId) -> Option<(&PeriodId, u64)> {
        self.meters.get(meter)?.counted_in(&self.period)
    }

    /// What is held of `meter` still: not for what is over, nor for what is counted here.
    fn reservations(&self, meter: &MeterId) -> Reservations {
        let open = self.meters.get(meter).map(|it| it.reservations.open(self.now)).unwrap_or_default();
        self.counted.iter().filter(|it| it.meter == *meter).fold(open, |open, it| open.without(&it.id))
    }

    fn into_writes(self) -> Vec<Write> {
        let writes = self.writes(true);
        if writes.len() > MOST_WRITES { self.writes(false) } else { writes }
    }

    /// All that is counted; where it `lends`, also to shards that had nothing.
    fn writes(&self, lends: bool) -> Vec<Write> {
        let meters: BTreeSet<&MeterId> = self.sums.keys().chain(self.late.keys()).collect();
        let mut writes: Vec<Write> = meters.into_iter().flat_map(|meter| self.more(meter, lends)).collect();
        let in_shard = |write: &Write| {
            let Write::CountInShard { meter, shard, .. } = write else { return None };
            Some((meter.clone(), *shard))
        };
        let shards: BTreeMap<MeterId, u8> = writes.iter().filter_map(in_shard).collect();
        writes.extend(self.adjusted());
        writes.extend(self.notice().map(|mail| Write::next(Record::Mail(mail))));
        let mut days: BTreeMap<(&MeterId, Date), u64> = BTreeMap::new();
        for it in &self.counted {
            let day = days.entry((&it.meter, it.date(&self.subscription.time_zone))).or_default();
            *day = day.saturating_add(it.value.get());
        }
        let customer = &self.subscription.customer;
        writes.extend(days.into_iter().map(|((meter, date), value)| {
            let shard = shards.get(meter).copied().unwrap_or(0);
            Write::Add(DayUsage { customer: customer.clone(), date, meter: Some(meter.clone()), shard, value })
        }));
        writes.extend(self.counted.iter().map(|it| Write::Create(Record::UsageRecord(it.clone()))));
        writes
    }

    /// That `by` more of `meter` is the first of what is charged for.
    fn passed(&self, meter: &MeterId, by: NonZeroU64) -> Option<Passed> {
        let before = self.stored(meter).map_or(0, |(_, value)| value);
        let family = &self.subscription.order.plan.family;
        let meter = self.names.values().filter_map(|families| families.get(family)).find(|it| it.id == *meter)?;
        Passed::by(&self.terms(&meter.id), meter, before, before.saturating_add(by.get()))
    }

    /// The mail that is due to what is charged for from now on, of however many meters. None: of none.
    fn notice(&self) -> Option<Mail> {
        let to = self.subscription.contact.clone()?;
        let passed: Vec<Passed> = self.sums.iter().filter_map(|(meter, by)| self.passed(meter, *by)).collect();
        let first = &passed.first()?.meter;
        let (period, version) = (self.period_of(first), self.version(first));
        let id = MailId::of_meter(&self.subscription.customer, first, version);
        let notice = OverageNotice::of(&self.subscription, period, passed, self.now)?;
        Some(Mail::due(id, &self.subscription, to, About::Overage(notice), self.now))
    }

    /// Of the meter as it was read.
    fn version(&self, meter: &MeterId) -> u64 {
        self.meters.get(meter).map_or(0, |it| it.version)
    }

    /// What is counted of `meter`. Whoever brings it to a line writes it whole, with the alert or the mail, and so does whoever
    /// finds that less is held of it, that its shards have nothing left, or tells of the period before; everybody else adds to
    /// it, or to a shard, and no more than leaves it below the next line and leaves what is held, whatever others have added
    /// meanwhile.
    fn more(&self, meter: &MeterId, lends: bool) -> Vec<Write> {
        let (by, late) = (self.sums.get(meter), self.late.get(meter));
        let (order, known) = (&*self.terms(meter), self.meters.get(meter));
        let turned = self.turned(meter);
        let period = turned.period.as_ref().unwrap_or(&self.period);
        let value = turned.value.saturating_add(by.map_or(0, |by| by.get()));
        let alerts = raised(&turned.alerts, order, meter, value, period, self.now);
        let reservations = self.reservations(meter);
        let held = reservations.held();
        let left = self.most(meter).saturating_sub(held);
        let at_most = below_next_line(order, meter, value).unwrap_or(u64::MAX).min(left);
        let lending = self.lending(meter).filter(|_| lends);
        let adds = by.zip(known).filter(|(by, known)| {
            let is_same =
                (&known.period, &known.reservations, &known.alerts) == (&turned.period, &reservations, &alerts);
            is_same && late.is_none() && self.passed(meter, **by).is_none()
        });
        let before = late.map(|it| (it.period.clone(), it.to)).or_else(|| turned.before.clone());
        let whole = MeterUsage { value, before, alerts, reservations, at: self.now, ..turned.clone() };
        let lent = by.zip(lending).and_then(|(by, shards)| Some((shards, whole.lends(shards, *by, at_most)?)));
        // What was lent to more or to fewer than the catalogue says now is taken back.
        let as_lent = |known: &MeterUsage| known.lease.as_ref().map(|it| it.shards) == self.lending(meter);
        let in_a_shard = adds
            .filter(|(_, known)| as_lent(known))
            .and_then(|(by, known)| known.counted_in_a_shard(*by, self.nth(meter), at_most, self.now));
        match (in_a_shard, lent, adds) {
            (Some(write), ..) => vec![write],
            (None, Some((shards, each)), _) => whole.lending(shards, each, at_most),
            (None, None, Some((by, known))) if known.lease.is_none() => {
                let (customer, meter, period) = (known.customer.clone(), meter.clone(), period.clone());
                vec![Write::Count { customer, meter, period, by: *by, at_most, held, at: self.now }]
            }
            (None, None, _) => whole.writes(),
        }
    }

    /// In how many places `meter` is kept, in the family of what was bought.
    fn lending(&self, meter: &MeterId) -> Option<Shards> {
        let family = &self.subscription.order.plan.family;
        self.names.values().filter_map(|families| families.get(family)).find(|it| it.id == *meter)?.shards
    }

    /// Which shard of `meter` is tried first: by the first of what is counted of it here, any as likely as any other. Whoever
    /// was in somebody's way goes to the next.
    fn nth(&self, meter: &MeterId) -> u64 {
        let nth = self.counted.iter().find(|it| it.meter == *meter).map_or(0, |it| it.id.nth());
        nth.wrapping_add(self.race.into())
    }

    /// What is told late is told with the subscription, whose periods are billed.
    fn adjusted(&self) -> Vec<Write> {
        let sold = |it: &CountedLate| Some((it.clone(), self.turned(&it.meter).sold?));
        let late: Vec<(CountedLate, Sold)> = self.late.values().filter_map(sold).collect();
        let event = self.subscription.told_late(late);
        transition(self.subscription.clone(), event.into_iter().collect(), self.now).1
    }
}
