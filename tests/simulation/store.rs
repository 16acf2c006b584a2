//! The store in memory: all or nothing, and told to fail. Every commit is held
//! against the contract.

use crate::faults::{SECOND, is_out};
use crate::ports::Port;
use crate::usage::meter_keys;
use crate::world::{State, lock};
use billing::brand::Brand;
use billing::id::{ConsumptionId, CustomerId, PaymentId, UsageId};
use billing::payment::Payment;
use billing::ports::{Found, Key, Lane, Record, Store, StoreError, Wanted, Write};
use billing::statistics::DayUsage;
use billing::subscription::Event;
use billing::testing::made_of_all;
use billing::token::Consumption;
use billing::usage::UsageRecord;
use billing::wallet::Method;
use jiff::Timestamp;
use jiff::civil::Date;
use std::collections::BTreeSet;

impl Store for Port {
    async fn get(&self, keys: Vec<Key>) -> Result<Found, StoreError> {
        if keys.is_empty() {
            return Ok(Found::default());
        }
        self.turn(30).await;
        let (first, second) = lock(&self.shared).torn(keys);
        let mut records = lock(&self.shared).read(self.task, &first)?;
        if !second.is_empty() {
            self.turn(2 * SECOND).await;
            records.extend(lock(&self.shared).read(self.task, &second)?);
        }
        Ok(Found::new(records))
    }

    async fn live(&self, customer: &CustomerId) -> Result<Found, StoreError> {
        let live = [Key::Subscription, Key::Wallet, Key::Tokens, Key::Account].map(|key| key(customer.clone()));
        self.get(live.into_iter().chain(meter_keys(customer)).collect()).await
    }

    async fn payments(&self, _: &CustomerId, _: Option<&PaymentId>, _: u32) -> Result<Vec<Payment>, StoreError> {
        Err(StoreError::Unavailable("no workflow that is simulated lists payments".into()))
    }

    async fn consumptions(
        &self,
        _: &CustomerId,
        _: Option<&ConsumptionId>,
        _: u32,
    ) -> Result<Vec<Consumption>, StoreError> {
        Err(StoreError::Unavailable("no workflow that is simulated lists what was consumed".into()))
    }

    async fn uses(
        &self,
        customer: &CustomerId,
        after: Option<&UsageId>,
        limit: u32,
    ) -> Result<Vec<UsageRecord>, StoreError> {
        self.turn(30).await;
        let mut state = lock(&self.shared);
        state.reads()?;
        state.is_about(self.task, Some(customer), || "it lists uses".to_owned());
        Ok(state.uses_of(customer, after).take(usize::try_from(limit).unwrap_or(usize::MAX)).cloned().collect())
    }

    /// In the turn that its caller has: whoever counts again reads the uses after it, in turns of their own.
    async fn days(&self, customer: &CustomerId, from: Date, to: Date) -> Result<Vec<DayUsage>, StoreError> {
        let mut state = lock(&self.shared);
        state.is_about(self.task, Some(customer), || "it lists days".to_owned());
        let days = state.records.values().filter_map(|it| if let Record::Day(it) = it { Some(it) } else { None });
        Ok(days.filter(|it| it.customer == *customer && (from..=to).contains(&it.date)).cloned().collect())
    }

    async fn catalogue(&self) -> Result<Found, StoreError> {
        Err(StoreError::Unavailable("no workflow that is simulated lists plans".into()))
    }

    async fn brands(&self) -> Result<Vec<Brand>, StoreError> {
        Err(StoreError::Unavailable("no workflow that is simulated lists brands".into()))
    }

    async fn due(&self, lane: Lane, now: Timestamp, limit: u32) -> Result<Vec<(Timestamp, Wanted)>, StoreError> {
        self.turn(30).await;
        let mut state = lock(&self.shared);
        state.reads()?;
        state.looks_at_all(self.task);
        Ok(state.due_by(lane, now, usize::try_from(limit).unwrap_or(usize::MAX)))
    }

    async fn commit(&self, writes: Vec<Write>) -> Result<(), StoreError> {
        self.turn(60).await;
        let mut state = lock(&self.shared);
        let done = state.commit(self.task, writes);
        if let (Err(_), Some(notes)) = (&done, state.tasks.get_mut(&self.task)) {
            notes.refused = true;
        }
        done
    }
}

fn down() -> StoreError {
    StoreError::Unavailable("told to fail".into())
}

const fn slot(lane: Lane) -> usize {
    match lane {
        Lane::Renewals => 0,
        Lane::PaymentRetries => 1,
        Lane::Mails => 2,
    }
}

impl State {
    fn reads(&mut self) -> Result<(), StoreError> {
        let failing = self.rng.chance(self.faults.store.read_fails) || is_out(&self.faults.store.outages, self.now);
        if failing { Err(down()) } else { Ok(()) }
    }

    /// Several records are each as of some moment, not all as of one: others may write between them.
    fn torn(&mut self, keys: Vec<Key>) -> (Vec<Key>, Vec<Key>) {
        let torn = self.faults.store.torn;
        if keys.len() < 2 || !self.rng.chance(torn) {
            return (keys, vec![]);
        }
        keys.into_iter().partition(|_| self.rng.chance(500))
    }

    fn read(&mut self, task: u64, keys: &[Key]) -> Result<Vec<Record>, StoreError> {
        self.reads()?;
        self.knows(task, keys)?;
        self.asks_for(task, keys);
        self.reads_usage(task, keys);
        self.reads_levels(task, keys);
        Ok(keys.iter().filter_map(|key| self.records.get(key).cloned()).collect())
    }

    fn reads_usage(&mut self, task: u64, keys: &[Key]) {
        let step = self.step;
        if keys.iter().any(|key| matches!(key, Key::Usage(..) | Key::Shard(..) | Key::Subscription(_)))
            && let Some(notes) = self.tasks.get_mut(&task)
        {
            notes.read_usage_at = step;
        }
    }

    fn due_by(&mut self, lane: Lane, now: Timestamp, limit: usize) -> Vec<(Timestamp, Wanted)> {
        let stale = self.faults.store.stale_index;
        let index = self.due[slot(lane)].iter().take_while(|(at, _)| *at <= now).take(limit);
        let rng = &mut self.rng;
        let mut due: Vec<(Timestamp, Wanted)> = index.filter(|_| !rng.chance(stale)).cloned().collect();
        let past = self.no_longer_due[slot(lane)].iter().filter(|_| rng.chance(stale));
        due.extend(past.map(|wanted| (now, wanted.clone())));
        due
    }

    fn commit(&mut self, task: u64, writes: Vec<Write>) -> Result<(), StoreError> {
        let faults = &self.faults.store;
        if self.rng.chance(faults.commit_refused) || is_out(&faults.outages, self.now) {
            return Err(down());
        }
        if self.rng.chance(faults.spurious_conflict) {
            return Err(StoreError::Conflict);
        }
        let lost = self.rng.chance(faults.answer_lost);
        let records = match made_of_all(&writes, |key| self.records.get(key)) {
            Ok(records) => records,
            Err(refusal) => {
                self.note(|| format!("task {task} commits in vain: {refusal}"));
                return Err(refusal);
            }
        };
        self.acts(task, || "commits".to_owned());
        self.writes_own(task, &records);
        if let Some(notes) = self.tasks.get_mut(&task) {
            notes.commits += 1;
            notes.misled |= lost;
        }
        let keys: BTreeSet<Key> = writes.iter().map(Write::key).collect();
        if keys.len() < writes.len() || writes.len() > 100 {
            self.breach("R1", format!("task {task} commits what no transaction takes: {keys:?}"));
        }
        let changes: Vec<(Key, Option<Record>)> = records.into_iter().map(|record| self.insert(task, record)).collect();
        if let Err((invariant, what)) = self.inspect(task, &changes) {
            self.breach(invariant, what);
        }
        if lost { Err(down()) } else { Ok(()) }
    }

    fn insert(&mut self, task: u64, record: Record) -> (Key, Option<Record>) {
        let record = self.written(task, record);
        if self.trace.is_some() {
            let told = told(&record);
            self.note(|| format!("task {task} commits {told}"));
        }
        let key = record.key();
        let due = record.due();
        let old = self.records.insert(key.clone(), record);
        if let Some((lane, at, wanted)) = old.as_ref().and_then(Record::due) {
            let named = (at, wanted);
            self.due[slot(lane)].remove(&named);
            let past = &mut self.no_longer_due[slot(lane)];
            past.push_back(named.1);
            if past.len() > 4 {
                past.pop_front();
            }
        }
        if let Some((lane, at, wanted)) = due {
            self.sweep_by(at.as_millisecond());
            self.due[slot(lane)].insert((at, wanted));
        }
        (key, old)
    }
}

/// A record in a line, for the trace.
fn told(record: &Record) -> String {
    match record {
        Record::Subscription(it) => {
            let open = it.open.as_ref().map(ToString::to_string);
            format!("{} v{} {:?} open {open:?} attempts {}", it.id, it.version, it.status, it.attempts)
        }
        Record::Payment(it) => format!("{} v{} {:?} {:?}", it.id, it.version, it.gateway, it.status),
        Record::History { event, .. } => match event {
            Event::Activated { payment, at, .. } => format!("Activated by {payment} at {at}"),
            other => format!("{other:?}"),
        },
        Record::Mail(it) => format!("{} {:?}", it.id, it.status),
        Record::Usage(it) => format!("{it:?}"),
        Record::Shard(it) => format!("{it:?}"),
        Record::UsageRecord(it) => format!("{} of {} {}, counted in {}", it.id, it.value, it.meter, it.period),
        Record::Delivery(it) => format!("{:?} {} {:?}", it.id, it.kind, it.status),
        Record::Wallet(it) => {
            let tokens = |it: &[Method]| it.iter().map(|it| it.token.clone()).collect::<Vec<_>>();
            let leaving: Vec<Method> = it.leaving.iter().map(|it| it.method.clone()).collect();
            format!("wallet of {}: {:?}, leaving {:?}", it.customer, tokens(&it.methods), tokens(&leaving))
        }
        other => format!("{:?}", other.key()),
    }
}
