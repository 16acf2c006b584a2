//! The ports as the workflows see them: every call takes its turn, and may fail
//! in every way that the real one can.

use crate::faults::{MINUTE, SECOND, is_out};
use crate::jobs::Job;
use crate::world::{Errand, Happening, Heard, Shared, State, instant, lock};
use billing::id::{CustomerId, PaymentId};
use billing::outcome::{Outcome, RefundOutcome};
use billing::payment::{Gateway, Opened, Payment};
use billing::ports::{
    Clock, Found, GatewayError, Gateways, Key, Lane, Queue, QueueError, Record, Store, StoreError, Wanted, Write,
};
use jiff::Timestamp;
use std::collections::BTreeSet;
use std::future::poll_fn;
use std::task::Poll;

/// What one task sees of the world.
#[derive(Clone, Debug)]
pub(crate) struct Port {
    shared: Shared,
    task: u64,
}

impl Port {
    pub(crate) fn new(shared: Shared, task: u64) -> Self {
        Self { shared, task }
    }

    /// Lets others go first: the call is made some time later, if the task lives to make it.
    async fn turn(&self, slowest: i64) {
        let mut waited = false;
        poll_fn(|_| {
            if std::mem::replace(&mut waited, true) {
                return Poll::Ready(());
            }
            lock(&self.shared).after(1, slowest, Happening::Poll(self.task));
            Poll::Pending
        })
        .await;
    }

    async fn ask<T>(
        &self,
        errand: Errand,
        payment: &Payment,
        act: fn(&mut State, &Payment) -> Option<T>,
        heard: fn(&T) -> Heard,
    ) -> Result<T, GatewayError> {
        let stalled = lock(&self.shared).gateway_stalls(payment.gateway);
        self.turn(if stalled { 50 * SECOND } else { 3 * SECOND }).await;
        let answer = lock(&self.shared).request(errand, payment, act);
        // What the gateway said is as old as its way back is long.
        self.turn(if stalled { 20 * SECOND } else { SECOND }).await;
        let mut state = lock(&self.shared);
        state.note(|| {
            let told = answer.as_ref().map(heard);
            format!("task {} asked to {errand:?} {}: {told:?}", self.task, payment.id)
        });
        if let (Ok(answer), Some(notes)) = (&answer, state.tasks.get_mut(&self.task)) {
            notes.heard.push((payment.reference.clone(), heard(answer)));
        }
        answer
    }
}

fn of_outcome(outcome: &Outcome) -> Heard {
    match outcome {
        Outcome::Pending(_) => Heard::Waiting,
        Outcome::Succeeded { receipt, .. } => Heard::Paid(receipt.clone()),
        Outcome::Declined(_) => Heard::Declined,
        Outcome::Expired => Heard::Ended,
    }
}

#[expect(clippy::ref_option, reason = "it stands where any answer's reader stands")]
fn of_lookup(found: &Option<Outcome>) -> Heard {
    found.as_ref().map_or(Heard::Nothing, of_outcome)
}

impl Gateways for Port {
    fn accepts(&self, _: &Payment) -> Result<(), GatewayError> {
        Ok(())
    }

    async fn open(&self, payment: &Payment) -> Result<Opened, GatewayError> {
        let opened = self.ask(Errand::Open, payment, |state, payment| Some(state.open(payment)), |_| Heard::Waiting);
        opened.await?.ok_or(GatewayError::OpenedBefore)
    }

    async fn charge(&self, payment: &Payment) -> Result<Outcome, GatewayError> {
        lock(&self.shared).sends(self.task, payment);
        self.ask(Errand::Charge, payment, State::charge, of_outcome).await
    }

    async fn find(&self, payment: &Payment) -> Result<Option<Outcome>, GatewayError> {
        self.ask(Errand::Find, payment, |state, payment| Some(state.find(payment)), of_lookup).await
    }

    async fn close(&self, payment: &Payment) -> Result<Option<Outcome>, GatewayError> {
        self.ask(Errand::Close, payment, |state, payment| Some(state.close(payment)), of_lookup).await
    }

    async fn refund(&self, payment: &Payment) -> Result<RefundOutcome, GatewayError> {
        self.ask(Errand::Refund, payment, |state, payment| Some(state.refund(payment)), |_| Heard::Nothing).await
    }
}

impl Clock for Port {
    async fn now(&self) -> Result<Timestamp, StoreError> {
        let state = lock(&self.shared);
        let worker = state.tasks.get(&self.task).map_or(0, |notes| notes.worker);
        Ok(instant(state.now + state.faults.off(worker, state.now)))
    }
}

impl Queue for Port {
    async fn send(&self, lane: Lane, wanted: &[Wanted]) -> Result<(), QueueError> {
        self.turn(100).await;
        let mut state = lock(&self.shared);
        let state = &mut *state;
        if state.rng.chance(state.faults.queue.unavailable) {
            return Err(QueueError("told to fail".into()));
        }
        for wanted in wanted {
            if state.rng.chance(state.faults.queue.dropped) {
                state.note(|| format!("{lane:?} loses {wanted:?}"));
                continue;
            }
            let times = if state.rng.chance(state.faults.queue.doubled) { 2 } else { 1 };
            for _ in 0..times {
                let latest = SECOND.max(state.faults.queue.latest);
                let job = Job::Wake { wanted: wanted.clone(), received: 1 };
                state.after(0, latest, Happening::Start(job));
            }
        }
        Ok(())
    }
}

impl Store for Port {
    async fn get(&self, keys: Vec<Key>) -> Result<Found, StoreError> {
        self.turn(30).await;
        let mut state = lock(&self.shared);
        state.reads()?;
        Ok(Found::new(keys.iter().filter_map(|key| state.records.get(key).cloned()).collect()))
    }

    async fn live(&self, customer: &CustomerId) -> Result<Found, StoreError> {
        self.get(vec![Key::Subscription(customer.clone())]).await
    }

    async fn payments(&self, _: &CustomerId, _: Option<&PaymentId>, _: u32) -> Result<Vec<Payment>, StoreError> {
        Err(StoreError::Unavailable("no workflow that is simulated lists payments".into()))
    }

    async fn catalogue(&self) -> Result<Found, StoreError> {
        Err(StoreError::Unavailable("no workflow that is simulated lists plans".into()))
    }

    async fn due(&self, lane: Lane, now: Timestamp, limit: u32) -> Result<Vec<Wanted>, StoreError> {
        self.turn(30).await;
        let mut state = lock(&self.shared);
        state.reads()?;
        Ok(state.due_by(lane, now, usize::try_from(limit).unwrap_or(usize::MAX)))
    }

    async fn commit(&self, writes: Vec<Write>) -> Result<(), StoreError> {
        self.turn(60).await;
        lock(&self.shared).commit(self.task, writes)
    }
}

fn down() -> StoreError {
    StoreError::Unavailable("told to fail".into())
}

fn silent() -> GatewayError {
    GatewayError::NoAnswer("told to be silent".into())
}

pub(crate) const fn slot(lane: Lane) -> usize {
    match lane {
        Lane::Renewals => 0,
        Lane::PaymentRetries => 1,
    }
}

impl State {
    fn reads(&mut self) -> Result<(), StoreError> {
        let failing = self.rng.chance(self.faults.store.read_fails) || is_out(&self.faults.store.outages, self.now);
        if failing { Err(down()) } else { Ok(()) }
    }

    fn due_by(&mut self, lane: Lane, now: Timestamp, limit: usize) -> Vec<Wanted> {
        let stale = self.faults.store.stale_index;
        let index = self.due[slot(lane)].iter().take_while(|(at, _)| *at <= now).take(limit);
        let rng = &mut self.rng;
        let mut wanted: Vec<Wanted> = index.filter(|_| !rng.chance(stale)).map(|(_, wanted)| wanted.clone()).collect();
        wanted.extend(self.no_longer_due[slot(lane)].iter().filter(|_| rng.chance(stale)).cloned());
        wanted
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
        if let Some(refusal) = self.refusal(&writes) {
            self.note(|| format!("task {task} commits in vain: {refusal}"));
            return Err(refusal);
        }
        if let Some(notes) = self.tasks.get_mut(&task) {
            notes.commits += 1;
            notes.misled |= lost;
        }
        let keys: BTreeSet<Key> =
            writes.iter().map(|(Write::Create(it) | Write::Replace { record: it, .. })| it.key()).collect();
        if keys.len() < writes.len() || writes.len() > 100 {
            self.breach("R1", format!("task {task} commits what no transaction takes: {keys:?}"));
        }
        let records = writes.into_iter().map(|(Write::Create(record) | Write::Replace { record, .. })| record);
        let changes: Vec<(Key, Option<Record>)> = records.map(|record| self.insert(task, record)).collect();
        if let Err((invariant, what)) = self.inspect(task, &changes) {
            self.breach(invariant, what);
        }
        if lost { Err(down()) } else { Ok(()) }
    }

    fn insert(&mut self, task: u64, record: Record) -> (Key, Option<Record>) {
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
            if past.len() > 8 {
                past.pop_front();
            }
        }
        if let Some((lane, at, wanted)) = due {
            self.sweep_by(at.as_millisecond());
            self.due[slot(lane)].insert((at, wanted));
        }
        (key, old)
    }

    /// Why `writes` cannot all be applied, if they cannot. A conflict outranks a duplicate.
    fn refusal(&self, writes: &[Write]) -> Option<StoreError> {
        let stored = |record: &Record| self.records.get(&record.key());
        let conflict = |write: &Write| match write {
            Write::Create(_) => false,
            Write::Replace { record, seen } => stored(record).and_then(Record::version) != Some(*seen),
        };
        let duplicate = |write: &Write| match write {
            Write::Create(record) => stored(record).is_some(),
            Write::Replace { .. } => false,
        };
        match (writes.iter().any(conflict), writes.iter().any(duplicate)) {
            (true, _) => Some(StoreError::Conflict),
            (false, true) => Some(StoreError::Duplicate),
            (false, false) => None,
        }
    }

    fn gateway_stalls(&mut self, gateway: Gateway) -> bool {
        self.rng.chance(self.gateway_faults(gateway).stalled)
    }

    /// Takes a request to its gateway, and the answer back, if both arrive.
    fn request<T>(
        &mut self,
        errand: Errand,
        payment: &Payment,
        act: fn(&mut Self, &Payment) -> Option<T>,
    ) -> Result<T, GatewayError> {
        let faults = self.gateway_faults(payment.gateway).clone();
        if is_out(&faults.outages, self.now) || self.rng.chance(faults.request_lost) {
            return Err(silent());
        }
        if errand != Errand::Find {
            if self.rng.chance(faults.rejected) {
                return Err(GatewayError::Rejected("told to refuse".to_owned()));
            }
            if self.rng.chance(faults.late_effect) {
                self.after(SECOND, 40 * MINUTE, Happening::Arrive(errand, Box::new(payment.clone())));
                self.race_on_the_way(errand, payment);
                return Err(silent());
            }
        }
        let answer = act(self, payment).ok_or_else(silent)?;
        if self.rng.chance(faults.answer_lost) { Err(silent()) } else { Ok(answer) }
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
            billing::subscription::Event::Activated { payment, at, .. } => format!("Activated by {payment} at {at}"),
            other => format!("{other:?}"),
        },
        Record::Delivery(it) => format!("{:?} {} {:?}", it.id, it.kind, it.status),
        other => format!("{:?}", other.key()),
    }
}
