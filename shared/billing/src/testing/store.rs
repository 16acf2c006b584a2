//! A store in memory, whose writes can be made to fail.

use super::lock;
use crate::brand::Brand;
use crate::id::{ConsumptionId, CustomerId, PaymentId, UsageId};
use crate::mail::Mail;
use crate::payment::Payment;
use crate::ports::{Found, Key, Lane, Record, Store, StoreError, Wanted, Write};
use crate::shard::Shard;
use crate::statistics::DayUsage;
use crate::token::{Consumption, Tokens};
use crate::usage::{MeterUsage, UsageRecord};
use jiff::Timestamp;
use jiff::civil::Date;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

/// Its clones are one store.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore(Arc<Mutex<State>>);

/// As many as a transaction of DynamoDB has.
const MOST_WRITES: usize = 100;

#[derive(Debug, Default)]
struct State {
    records: BTreeMap<Key, Record>,
    due: BTreeSet<(Lane, Timestamp, Wanted)>,
    commits_left: Option<u32>,
    meanwhile: Option<Record>,
    torn: Option<Key>,
}

impl MemoryStore {
    /// The next `commits` commits succeed and later ones fail.
    pub fn fail_after(&self, commits: u32) {
        lock(&self.0).commits_left = Some(commits);
    }

    pub fn recover(&self) {
        lock(&self.0).commits_left = None;
    }

    /// Before the next commit somebody else writes `record`.
    pub fn meanwhile(&self, record: Record) {
        lock(&self.0).meanwhile = Some(record);
    }

    /// The next read is of two moments: the record at `key` is written between them, and read before.
    pub fn tear(&self, key: Key) {
        lock(&self.0).torn = Some(key);
    }

    /// Every record, in the order of their keys.
    pub fn records(&self) -> Vec<Record> {
        lock(&self.0).records.values().cloned().collect()
    }

    /// Every mail there is.
    pub fn mails(&self) -> Vec<Mail> {
        let mail = |record: &Record| if let Record::Mail(it) = record { Some(it.clone()) } else { None };
        lock(&self.0).records.values().filter_map(mail).collect()
    }

    /// Stores a record as it is, for tests that begin in the middle.
    pub fn put(&self, record: Record) {
        lock(&self.0).insert(record);
    }
}

impl State {
    fn insert(&mut self, record: Record) {
        let due = record.due();
        if let Some(old) = self.records.insert(record.key(), record)
            && let Some(old) = old.due()
        {
            self.due.remove(&old);
        }
        self.due.extend(due);
    }
}

/// What `write` makes of the record that is `stored` at its key. None: it is not there to be written so.
fn made(write: &Write, stored: Option<&Record>) -> Option<Record> {
    match (write, stored) {
        (Write::Create(record), None) => Some(record.clone()),
        (Write::Add(day), None) | (Write::Set(day), _) => Some(Record::Day(day.clone())),
        (Write::Add(more), Some(Record::Day(day))) => {
            Some(Record::Day(DayUsage { value: day.value.saturating_add(more.value), ..day.clone() }))
        }
        (Write::Replace { record, seen }, Some(stored)) if stored.version() == Some(*seen) => Some(record.clone()),
        (Write::Consume { tokens, .. }, Some(Record::Tokens(held))) => {
            let balance = held.balance.checked_sub(tokens.get().into())?;
            Some(Record::Tokens(Tokens { balance, version: held.version + 1, ..held.clone() }))
        }
        (Write::Count { period, by, at_most, held, at, .. }, Some(Record::Usage(usage)))
            if usage.period.as_ref() == Some(period) && usage.reservations.held() <= *held && usage.lease.is_none() =>
        {
            let value = usage.value.checked_add(by.get()).filter(|value| value <= at_most)?;
            Some(Record::Usage(MeterUsage { value, at: *at, version: usage.version + 1, ..usage.clone() }))
        }
        (Write::CountInShard { lease, by, at, .. }, Some(Record::Shard(it))) if it.lease == *lease => {
            let left = it.left.checked_sub(by.get())?;
            let value = it.value.checked_add(by.get())?;
            Some(Record::Shard(Shard { left, value, at: *at, version: it.version + 1, ..it.clone() }))
        }
        _ => None,
    }
}

/// What a transaction of `writes` makes of what is stored, or why none of them is applied. A conflict outranks a duplicate.
pub fn made_of_all<'a>(
    writes: &[Write],
    stored: impl Fn(&Key) -> Option<&'a Record>,
) -> Result<Vec<Record>, StoreError> {
    let made: Vec<_> = writes.iter().map(|write| made(write, stored(&write.key())).ok_or(write)).collect();
    let refused: Vec<&&Write> = made.iter().filter_map(|made| made.as_ref().err()).collect();
    match refused.iter().all(|write| matches!(write, Write::Create(_))) {
        _ if refused.is_empty() => Ok(made.into_iter().flatten().collect()),
        true => Err(StoreError::Duplicate),
        false => Err(StoreError::Conflict),
    }
}

impl Store for MemoryStore {
    async fn get(&self, keys: Vec<Key>) -> Result<Found, StoreError> {
        let mut state = lock(&self.0);
        let torn = state.torn.take();
        let read = keys.iter().filter(|key| torn.as_ref() != Some(*key));
        Ok(Found::new(read.filter_map(|key| state.records.get(key).cloned()).collect()))
    }

    async fn live(&self, customer: &CustomerId) -> Result<Found, StoreError> {
        let of_customer = |record: &&Record| match record {
            Record::Subscription(it) => it.customer == *customer,
            Record::Wallet(it) => it.customer == *customer,
            Record::Account(it) => it.customer == *customer,
            Record::Tokens(it) => it.customer == *customer,
            Record::Usage(it) => it.customer == *customer,
            Record::Shard(it) => it.customer == *customer,
            Record::PastSubscription(_)
            | Record::History { .. }
            | Record::Payment(_)
            | Record::Consumption(_)
            | Record::UsageRecord(_)
            | Record::Day(_)
            | Record::Claim(_)
            | Record::Reference(_)
            | Record::Delivery(_)
            | Record::Mail(_)
            | Record::Family(_)
            | Record::Plan(_)
            | Record::PlanVersion(_)
            | Record::Meter(_)
            | Record::Coupon(_)
            | Record::Brand(_)
            | Record::TestClock(_) => false,
        };
        Ok(Found::new(lock(&self.0).records.values().filter(of_customer).cloned().collect()))
    }

    async fn payments(
        &self,
        customer: &CustomerId,
        before: Option<&PaymentId>,
        limit: u32,
    ) -> Result<Vec<Payment>, StoreError> {
        let state = lock(&self.0);
        let payments = state.records.values().rev().filter_map(|record| {
            let Record::Payment(it) = record else { return None };
            (it.customer == *customer).then_some(it)
        });
        let older = payments.filter(|payment| before.is_none_or(|before| payment.id < *before));
        Ok(older.take(usize::try_from(limit).unwrap_or(usize::MAX)).cloned().collect())
    }

    async fn consumptions(
        &self,
        customer: &CustomerId,
        before: Option<&ConsumptionId>,
        limit: u32,
    ) -> Result<Vec<Consumption>, StoreError> {
        let state = lock(&self.0);
        let all = state.records.values().rev().filter_map(|record| {
            let Record::Consumption(it) = record else { return None };
            (it.customer == *customer).then_some(it)
        });
        let older = all.filter(|it| before.is_none_or(|before| it.id < *before));
        Ok(older.take(usize::try_from(limit).unwrap_or(usize::MAX)).cloned().collect())
    }

    async fn uses(
        &self,
        customer: &CustomerId,
        after: Option<&UsageId>,
        limit: u32,
    ) -> Result<Vec<UsageRecord>, StoreError> {
        let state = lock(&self.0);
        let all = state.records.values().filter_map(|record| {
            let Record::UsageRecord(it) = record else { return None };
            (it.customer == *customer).then_some(it)
        });
        let rest = all.filter(|it| after.is_none_or(|after| it.id > *after));
        Ok(rest.take(usize::try_from(limit).unwrap_or(usize::MAX)).cloned().collect())
    }

    async fn days(&self, customer: &CustomerId, from: Date, to: Date) -> Result<Vec<DayUsage>, StoreError> {
        let state = lock(&self.0);
        let days =
            state.records.values().filter_map(|record| if let Record::Day(it) = record { Some(it) } else { None });
        Ok(days.filter(|it| it.customer == *customer && (from..=to).contains(&it.date)).cloned().collect())
    }

    async fn catalogue(&self) -> Result<Found, StoreError> {
        let state = lock(&self.0);
        let shown = |record: &&Record| matches!(record, Record::Family(_) | Record::Plan(_));
        Ok(Found::new(state.records.values().filter(shown).cloned().collect()))
    }

    async fn brands(&self) -> Result<Vec<Brand>, StoreError> {
        let state = lock(&self.0);
        let brand = |record: &Record| if let Record::Brand(it) = record { Some(it.clone()) } else { None };
        Ok(state.records.values().filter_map(brand).collect())
    }

    async fn due(&self, lane: Lane, then: Timestamp, limit: u32) -> Result<Vec<(Timestamp, Wanted)>, StoreError> {
        let state = lock(&self.0);
        let due = state.due.iter().filter(|(of, at, _)| *of == lane && *at <= then);
        let due = due.map(|(_, at, wanted)| (*at, wanted.clone()));
        Ok(due.take(usize::try_from(limit).unwrap_or(usize::MAX)).collect())
    }

    async fn commit(&self, writes: Vec<Write>) -> Result<(), StoreError> {
        let keys: BTreeSet<Key> = writes.iter().map(Write::key).collect();
        if keys.len() < writes.len() || writes.len() > MOST_WRITES {
            return Err(StoreError::Unavailable("a commit that no store takes".into()));
        }
        let mut state = lock(&self.0);
        match &mut state.commits_left {
            Some(0) => return Err(StoreError::Unavailable("told to fail".into())),
            Some(left) => *left -= 1,
            None => {}
        }
        if let Some(record) = state.meanwhile.take() {
            state.insert(record);
        }
        let records = made_of_all(&writes, |key| state.records.get(key))?;
        records.into_iter().for_each(|record| state.insert(record));
        Ok(())
    }
}
