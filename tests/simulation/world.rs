//! One seed's world: its records, the gateways' books, what is going to happen,
//! and the tasks that are under way.
//!
//! Time is virtual and skips to whatever happens next. Every call of a port is
//! one entry in the agenda, so that tasks interleave at each of their awaits,
//! and a task that is dropped there is a process that crashed there.

use crate::aftermath::Afterwards;
use crate::books::Charge;
use crate::checker::{Breach, For, Given, Happened, Metered, Told, may_make_smaller};
use crate::consumers::{Boxes, ToldConsumed};
use crate::errand::{Errand, Heard};
use crate::faults::{DAY, Faults, HOUR, MINUTE, SECOND};
use crate::jobs::{Done, Job, Looked, Shown, fingerprint};
use crate::ports::Port;
use crate::rng::Rng;
use billing::calendar::zone::Zone;
use billing::catalog::PricingModel;
use billing::delivery::Notice;
use billing::id::{
    CouponCode, CustomerId, IdempotencyKey, MailId, MeterId, MethodId, PaymentId, Reference, SubscriptionId,
};
use billing::payment::{Gateway, PaymentStatus};
use billing::ports::{Key, Record, Wanted};
use billing::proration::Proration;
use billing::usage::MeterUsage;
use billing::workflow::{
    ChangeError, Changed, ConsumeError, RefundError, RequestError, TakeOverError, UsageError, Wish,
};
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// 31 January 2025, 10:00 UTC: a day that most months do not have.
const START: i64 = 1_738_317_600 * SECOND;

/// How long everything has to come to rest once nothing goes wrong any more.
pub(crate) const REST: i64 = 25 * DAY;

/// A process that runs longer is ended.
const LONGEST_RUN: i64 = 30 * SECOND;

/// A story that takes more steps than this does not end by itself.
const MOST_STEPS: u64 = 300_000;

pub(crate) type Shared = Arc<Mutex<State>>;

pub(crate) fn lock(shared: &Shared) -> MutexGuard<'_, State> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) rng: Rng,
    pub(crate) faults: Faults,
    pub(crate) now: i64,
    /// When nothing new goes wrong any more.
    pub(crate) end: i64,
    pub(crate) step: u64,
    pub(crate) records: BTreeMap<Key, Record>,
    /// Those that are of the new release's schema, where one comes out.
    pub(crate) newer: BTreeSet<Key>,
    /// Where each customer lives.
    pub(crate) homes: BTreeMap<CustomerId, Zone>,
    /// The due index, a set for each lane.
    pub(crate) due: [BTreeSet<(Timestamp, Wanted)>; 3],
    /// What the index named a moment ago.
    pub(crate) no_longer_due: [VecDeque<Wanted>; 3],
    pub(crate) books: BTreeMap<Reference, Charge>,
    /// The tokens that gateways were told to forget.
    pub(crate) forgotten: BTreeSet<(Gateway, String)>,
    pub(crate) tasks: BTreeMap<u64, Notes>,
    pub(crate) grants: BTreeMap<(SubscriptionId, u32), Vec<PaymentId>>,
    /// When each subscription was canceled, in steps.
    pub(crate) canceled: BTreeMap<SubscriptionId, u64>,
    /// When each method was removed, and since when each token is in a wallet, in steps.
    pub(crate) removed: BTreeMap<(CustomerId, MethodId), u64>,
    pub(crate) held: BTreeMap<(Gateway, String), u64>,
    /// When we heard that a charge was declined, and when a customer last left a method anew.
    pub(crate) declined_at: BTreeMap<PaymentId, i64>,
    pub(crate) mended: BTreeMap<(CustomerId, MethodId), i64>,
    /// When grace ends for what is owed, and when it began: it begins once.
    pub(crate) grace: BTreeMap<(SubscriptionId, u32), (Timestamp, i64)>,
    /// Until when what is owed is waited for that was told to be suspended, and how often it was.
    pub(crate) suspended: BTreeMap<(SubscriptionId, u32), (Timestamp, u32)>,
    /// When what a subscription waited for came last: a period was granted, or what nobody could tell was known.
    pub(crate) moved_at: BTreeMap<SubscriptionId, i64>,
    pub(crate) happened: Happened,
    /// The payments that paid for a change.
    pub(crate) changes: BTreeSet<PaymentId>,
    /// How often each coupon was redeemed, and which periods of a subscription each took something off.
    pub(crate) redeemed: BTreeMap<(CouponCode, CustomerId), u32>,
    pub(crate) discounts: BTreeMap<(SubscriptionId, CouponCode), BTreeSet<u32>>,
    /// What staff gave last: in which period, how many hundredths, and off how many periods after that.
    pub(crate) given: BTreeMap<SubscriptionId, Vec<Given>>,
    pub(crate) told: BTreeMap<SubscriptionId, Told>,
    /// Each customer's tokens, by what ends when; and what was told of each use.
    pub(crate) boxes: BTreeMap<CustomerId, Boxes>,
    /// How many came with each payment, and how many of them were taken when its money was gone.
    pub(crate) brought: BTreeMap<PaymentId, (u64, Option<u64>)>,
    pub(crate) told_consumed: ToldConsumed,
    pub(crate) metered: Metered,
    /// How often each mail was taken.
    pub(crate) mailed: BTreeMap<MailId, u32>,
    /// When each attempt was first sent.
    pub(crate) sent: BTreeMap<Reference, i64>,
    pub(crate) ordered: BTreeMap<(CustomerId, IdempotencyKey), PaymentId>,
    /// What was looked at.
    pub(crate) shown: BTreeMap<String, Shown>,
    /// What staff wanted to give: to whom, how many per cent, and off how many periods.
    pub(crate) offered: BTreeSet<(CustomerId, u8, Option<u32>)>,
    pub(crate) events: u64,
    pub(crate) breach: Option<Breach>,
    /// What happened, when somebody wants to know.
    pub(crate) trace: Option<Vec<String>>,
    agenda: BTreeMap<(i64, u64), Happening>,
    scheduled: u64,
    sweeps_in_vain: u32,
    next_sweep: i64,
}

/// What is known of a task that is under way.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    pub(crate) began_at_step: u64,
    pub(crate) began_at: i64,
    pub(crate) worker: usize,
    /// It is of the release before.
    pub(crate) is_old: bool,
    /// It met a record of a schema that it does not know.
    pub(crate) is_at_a_loss: bool,
    /// What the gateways answered it, and about what: a reference, a refund's name, a token.
    pub(crate) heard: Vec<(String, Heard)>,
    pub(crate) commits: u32,
    pub(crate) works_for: For,
    pub(crate) may_make_smaller: bool,
    /// If so, what it read to be in use, one after the other.
    pub(crate) levels: Vec<(MeterId, Option<MeterUsage>)>,
    /// In which step it read what is counted of a customer last, or what they may use.
    pub(crate) read_usage_at: u64,
    /// A commit of it was not made.
    pub(crate) refused: bool,
    /// A commit of it was made and it was told otherwise.
    pub(crate) misled: bool,
}

#[derive(Debug)]
pub(crate) enum Happening {
    Poll(u64),
    Start(Job),
    Sweep,
    /// A request arrives at the gateway long after its sender gave up.
    Arrive(Box<Errand>),
    /// What was processing becomes final.
    Conclude(Reference),
    /// A declined charge turns out to have been made.
    ChangeOfMind(Reference),
    /// Something becomes of money that was taken.
    Afterwards(Reference, Afterwards),
    /// The customer sees to their payment methods.
    Rearrange(CustomerId),
    /// The customer is at the page.
    Visit {
        reference: Reference,
        pays: bool,
    },
    /// There is a newer version of each plan, at another price.
    PricesRise,
    /// Nothing goes wrong from here on.
    Calm,
    /// Somebody looks at what nobody could tell for days.
    Operator,
    End,
}

struct Task {
    job: Job,
    future: Pin<Box<dyn Future<Output = Done>>>,
    began_at: i64,
    polls: u32,
    crashes_at: Option<u32>,
}

/// How a seed's story went.
#[derive(Debug)]
pub(crate) struct Story {
    pub(crate) steps: u64,
    pub(crate) breach: Option<Breach>,
    pub(crate) trace: Vec<String>,
    pub(crate) happened: Happened,
}

/// What is in the catalogue, each plan with a policy of its own, and without what the release before does not know.
fn drawn(record: &Record, faults: &Faults, rng: &mut Rng) -> Record {
    match record.clone() {
        Record::Plan(mut plan) => {
            plan.plan.proration = rng.one_of(&[
                Proration::None,
                Proration::ByDay,
                Proration::BySecond,
                Proration::FullNow,
                Proration::NextPeriod,
            ]);
            plan.plan.tokens_rollover = plan.plan.tokens_rollover.filter(|_| faults.deployment.is_none());
            if faults.customers.by_the_seat && plan.plan.id.as_str() == "estates-professional" {
                plan.plan.pricing_model = PricingModel::PerSeat;
            }
            if faults.customers.reports == 0 {
                plan.plan.limits.clear();
                plan.plan.addons.iter_mut().for_each(|addon| addon.limits.clear());
            }
            if faults.customers.reports == 0 || faults.deployment.is_some() {
                plan.plan.overage.clear();
                plan.plan.alerts.clear();
            }
            Record::Plan(plan)
        }
        other => other,
    }
}

/// Tells the story of `seed` until it is at rest or the contract is broken.
pub(crate) fn tell(seed: u64, catalogue: &[Record], traced: bool) -> Story {
    let mut rng = Rng::seeded(seed);
    let end = START + rng.within(20, 130) * DAY;
    let faults = Faults::drawn(&mut rng, START, end);
    let trace = traced.then(|| vec![format!("seed {seed}: {faults:?}")]);
    let mut state = State {
        records: catalogue.iter().map(|record| (record.key(), drawn(record, &faults, &mut rng))).collect(),
        rng,
        faults,
        now: START,
        end,
        step: 0,
        newer: BTreeSet::new(),
        homes: BTreeMap::new(),
        due: Default::default(),
        no_longer_due: Default::default(),
        books: BTreeMap::new(),
        forgotten: BTreeSet::new(),
        tasks: BTreeMap::new(),
        grants: BTreeMap::new(),
        redeemed: BTreeMap::new(),
        discounts: BTreeMap::new(),
        given: BTreeMap::new(),
        told: BTreeMap::new(),
        boxes: BTreeMap::new(),
        brought: BTreeMap::new(),
        told_consumed: BTreeMap::new(),
        metered: Metered::default(),
        canceled: BTreeMap::new(),
        removed: BTreeMap::new(),
        held: BTreeMap::new(),
        declined_at: BTreeMap::new(),
        mended: BTreeMap::new(),
        grace: BTreeMap::new(),
        suspended: BTreeMap::new(),
        moved_at: BTreeMap::new(),
        happened: Happened::new(),
        changes: BTreeSet::new(),
        mailed: BTreeMap::new(),
        sent: BTreeMap::new(),
        ordered: BTreeMap::new(),
        shown: BTreeMap::new(),
        offered: BTreeSet::new(),
        events: 0,
        breach: None,
        trace,
        agenda: BTreeMap::new(),
        scheduled: 0,
        sweeps_in_vain: 0,
        next_sweep: i64::MAX,
    };
    state.cast(START, end);
    state.sweep_by(START + MINUTE);
    state.at(end, Happening::Calm);
    state.at(end + DAY, Happening::Operator);
    state.at(end + 12 * DAY, Happening::Operator);
    state.at(end + REST, Happening::End);
    run(Arc::new(Mutex::new(state)))
}

fn run(shared: Shared) -> Story {
    let mut tasks: BTreeMap<u64, Task> = BTreeMap::new();
    loop {
        let mut state = lock(&shared);
        let ready = if state.breach.is_some() { None } else { state.next() };
        let Some(happening) = ready else { break };
        match happening {
            Happening::Start(job) => {
                let Some((job, is_old)) = state.assigned(job) else { continue };
                let (id, task) = begin(&shared, &mut state, job, is_old);
                state.after(0, 0, Happening::Poll(id));
                tasks.insert(id, task);
            }
            Happening::Poll(id) => {
                drop(state);
                let Some(mut task) = tasks.remove(&id) else { continue };
                if let Some(done) = poll(&shared, &mut task) {
                    let mut state = lock(&shared);
                    state.finished(id, task.job, done);
                    state.tasks.remove(&id);
                } else {
                    tasks.insert(id, task);
                }
            }
            Happening::End => {
                // What is under way may finish; nothing else begins.
                state.agenda.retain(|_, happening| matches!(happening, Happening::Poll(_)));
                state.breach = state.breach.take().or_else(|| if tasks.is_empty() { state.at_rest() } else { None });
                if !tasks.is_empty() {
                    let in_a_minute = state.now + MINUTE;
                    state.at(in_a_minute, Happening::End);
                }
            }
            other => state.happen(other),
        }
    }
    let mut state = lock(&shared);
    let (happened, trace) = (std::mem::take(&mut state.happened), state.trace.take().unwrap_or_default());
    Story { steps: state.step, breach: state.breach.take(), trace, happened }
}

fn begin(shared: &Shared, state: &mut State, job: Job, is_old: bool) -> (u64, Task) {
    state.scheduled += 1;
    let id = state.scheduled;
    let worker = state.rng.below(4);
    let crashes_at = state.rng.chance(state.faults.crash);
    let crashes_at = crashes_at.then(|| u32::try_from(state.rng.within(1, 10)).unwrap_or(1));
    let release = if is_old { " of the release before" } else { "" };
    state.note(|| format!("task {id} begins on worker {worker}{release}: {job:?}"));
    let (works_for, may_make_smaller) = (state.works_for(&job), may_make_smaller(&job));
    let (began_at_step, began_at) = (state.step, state.now);
    let notes = Notes { began_at_step, began_at, worker, is_old, works_for, may_make_smaller, ..Notes::default() };
    state.tasks.insert(id, notes);
    let port = Port::new(Arc::clone(shared), id);
    let task = Task { future: job.clone().future(port), job, began_at: state.now, polls: 0, crashes_at };
    (id, task)
}

/// How the task ended, if it did: by itself, by a crash, or by being killed.
fn poll(shared: &Shared, task: &mut Task) -> Option<Option<Done>> {
    task.polls += 1;
    let too_long = lock(shared).now - task.began_at > LONGEST_RUN;
    if too_long || task.crashes_at.is_some_and(|at| task.polls > at) {
        return Some(None);
    }
    match task.future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(done) => Some(Some(done)),
        Poll::Pending => None,
    }
}

impl State {
    pub(crate) fn at(&mut self, time: i64, happening: Happening) {
        self.scheduled += 1;
        self.agenda.insert((time, self.scheduled), happening);
    }

    pub(crate) fn after(&mut self, from: i64, to: i64, happening: Happening) {
        let time = self.now + self.rng.within(from, to);
        self.at(time, happening);
    }

    pub(crate) fn note(&mut self, what: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{:>6} {} {}", self.step, instant(self.now), what()));
        }
    }

    fn next(&mut self) -> Option<Happening> {
        let ((time, _), happening) = self.agenda.pop_first()?;
        self.now = self.now.max(time);
        self.step += 1;
        if self.step > MOST_STEPS {
            self.breach("I-23", "the story does not end".to_owned());
        }
        Some(happening)
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Arrive(errand) => self.arrive(&errand),
            Happening::Conclude(reference) => self.conclude(&reference),
            Happening::ChangeOfMind(reference) => self.change_mind(&reference),
            Happening::Afterwards(reference, what) => self.happen_afterwards(&reference, what),
            Happening::Rearrange(customer) => self.rearrange(&customer),
            Happening::Visit { reference, pays } => self.visit(&reference, pays),
            Happening::PricesRise => self.raise_prices(),
            Happening::Calm => {
                self.note(|| "nothing goes wrong any more".to_owned());
                self.faults.end();
            }
            Happening::Operator => self.resolve(),
            Happening::Sweep => {
                if self.next_sweep <= self.now {
                    self.next_sweep = i64::MAX;
                    self.after(0, 0, Happening::Start(Job::Sweep));
                }
            }
            Happening::Poll(_) | Happening::Start(_) | Happening::End => {}
        }
    }

    /// A person looks for what nobody could tell: asks once more, and has PayPal tell once more.
    fn resolve(&mut self) {
        let payments = self.records.values().filter_map(|record| match record {
            Record::Payment(it) if matches!(it.status, PaymentStatus::Unresolved { .. }) => Some(it.clone()),
            _ => None,
        });
        for payment in payments.collect::<Vec<_>>() {
            if payment.gateway == Gateway::PayPal {
                self.tell(&payment.reference, "told again");
            }
            let job = Job::Verify { customer: payment.customer, payment: payment.id };
            self.at(self.now, Happening::Start(job));
        }
    }

    /// What follows from how a task ended; nothing was heard from it if it crashed.
    fn finished(&mut self, id: u64, job: Job, done: Option<Done>) {
        self.note(|| format!("task {id} ends: {}", done.as_ref().map_or("crashed".to_owned(), Done::told)));
        if let Some(done) = &done {
            self.says_no_secret(done);
            self.is_told(id, done);
            self.is_refused_unchanged(id, done);
        }
        match (job, done) {
            (Job::Sweep, _) => self.sweep_again(),
            (Job::Wake { wanted, received }, done) => {
                let handled = matches!(done, Some(Done::Woken(Ok(())) | Done::Mailed(Ok(()))));
                if handled {
                    self.counts_as_done(id, &wanted);
                    self.asked_about(id, &wanted);
                }
                if !handled && received < 5 {
                    let job = Job::Wake { wanted, received: received + 1 };
                    self.after(3 * MINUTE, 4 * MINUTE, Happening::Start(job));
                }
            }
            (Job::Webhook { notice, tries }, done) => self.received(id, notice, tries, done),
            (Job::Open { page, tries }, done) => match done {
                Some(Done::Opened(Ok(payment))) => self.opened(&page, *payment),
                Some(Done::Opened(Err(error))) if !Job::may_help(&error) => {}
                _ if tries < 4 => {
                    let wait = self.rng.one_of(&[SECOND, 40 * SECOND, HOUR, 26 * HOUR]);
                    self.after(SECOND, wait + SECOND, Happening::Start(Job::Open { page, tries: tries + 1 }));
                }
                _ => {}
            },
            (Job::Refund { request, tries }, done) => {
                let unheard = matches!(done, None | Some(Done::Refunded(Err(RefundError::Store(_)))));
                if unheard && tries < 3 {
                    self.after(SECOND, HOUR, Happening::Start(Job::Refund { request, tries: tries + 1 }));
                }
            }
            (Job::Preview { of, key }, done) => {
                if self.tasks.get(&id).is_some_and(|it| it.commits > 0) {
                    self.breach("P-8", format!("{of:?} was looked at, and changed something"));
                }
                if let Looked::Change(wish) = &of {
                    self.is_advised(wish);
                }
                if let Some(Done::Previewed(Ok(shown))) = done {
                    self.saw(of, key, *shown);
                }
            }
            (Job::Rebuild { wanted }, done) => self.rebuilt(id, &wanted, done),
            (Job::Change { wish, key, tries }, done) => {
                if let Some(Done::Changed(Ok(changed))) = &done {
                    self.answers_for_itself(&wish, &key, changed);
                }
                let unheard = matches!(done, None | Some(Done::Changed(Err(ChangeError::Store(_)))));
                if unheard && tries < 3 {
                    self.after(SECOND, HOUR, Happening::Start(Job::Change { wish, key, tries: tries + 1 }));
                }
            }
            (Job::Subscribe { wanted, key, tries }, done) => {
                if let Some(Done::Changed(Ok(changed))) = &done {
                    self.costs_what_was_shown(wanted.preview.as_ref(), changed);
                }
                let unheard = matches!(done, None | Some(Done::Changed(Err(ChangeError::Store(_)))));
                if unheard && tries < 3 {
                    self.after(SECOND, HOUR, Happening::Start(Job::Subscribe { wanted, key, tries: tries + 1 }));
                }
            }
            (Job::Consume { wanted, tries }, done) => {
                if let Some(Done::Consumed(Ok(told))) = &done {
                    self.consumed(&wanted, told);
                }
                let unheard = matches!(done, None | Some(Done::Consumed(Err(ConsumeError::Store(_)))));
                if unheard && tries < 3 {
                    self.after(SECOND, HOUR, Happening::Start(Job::Consume { wanted, tries: tries + 1 }));
                }
            }
            (Job::Report { customer, uses, tries }, done) => {
                if let Some(Done::Reported(Ok(answers))) = &done {
                    self.reported(id, &customer, &uses, answers);
                } else if tries < 3 {
                    self.after(SECOND, HOUR, Happening::Start(Job::Report { customer, uses, tries: tries + 1 }));
                }
            }
            (Job::SetUsage { customer, meter, value, tries }, done) => {
                let unheard = matches!(done, None | Some(Done::Set(Err(UsageError::Store(_)))));
                if unheard && tries < 3 {
                    self.after(
                        SECOND,
                        HOUR,
                        Happening::Start(Job::SetUsage { customer, meter, value, tries: tries + 1 }),
                    );
                }
            }
            (Job::Request { customer, command, shown, key }, done) => {
                if let (Some(Done::Requested(Ok(it))), Some(shown)) = (&done, &shown) {
                    self.is_done_as_shown(id, command, shown, it);
                }
                if matches!(done, None | Some(Done::Requested(Err(RequestError::Store(_))))) {
                    self.after(SECOND, HOUR, Happening::Start(Job::Request { customer, command, shown, key }));
                }
            }
            (Job::TakeOver { wanted, tries }, done) => {
                let unheard = matches!(done, None | Some(Done::TakenOver(Err(TakeOverError::Store(_)))));
                if unheard && tries < 3 {
                    self.after(SECOND, HOUR, Happening::Start(Job::TakeOver { wanted, tries: tries + 1 }));
                }
            }
            (Job::Intervene { customer, intervention, key }, done) => {
                if matches!(done, None | Some(Done::Requested(Err(RequestError::Store(_))))) {
                    self.after(SECOND, HOUR, Happening::Start(Job::Intervene { customer, intervention, key }));
                }
            }
            (Job::Verify { .. }, Some(Done::Verified(Ok(seen)))) => self.is_asked_for_by_others(&seen.0),
            (Job::Verify { .. } | Job::Prefer { .. } | Job::Remove { .. } | Job::Acknowledge { .. }, _) => {}
        }
    }

    /// Whoever is told that what they asked for is done, or paid for, is told of nobody else's.
    fn answers_for_itself(&mut self, wish: &Wish, key: &IdempotencyKey, changed: &Changed) {
        let claimed = match self.records.get(&Key::Claim(wish.customer.clone(), key.clone())) {
            Some(Record::Claim(claim)) if claim.fingerprint == fingerprint(wish) => Some(&claim.payment),
            _ => None,
        };
        let payment = changed.payment.as_ref().map(|it| &it.id);
        if claimed.is_none() || payment.is_some_and(|it| Some(it) != claimed) {
            self.breach("I-19", format!("{wish:?} under {key} is answered by {payment:?}, and claimed {claimed:?}"));
        }
        self.costs_what_was_shown(wish.preview.as_ref(), changed);
    }

    /// A gateway is satisfied by an answer of 2xx, and tells again until it gets one.
    fn received(&mut self, id: u64, notice: Notice, tries: u32, done: Option<Done>) {
        let stored = self.records.contains_key(&Key::Delivery(notice.id.clone()));
        let answer = done.map(|done| matches!(done, Done::Received(Ok(()))));
        let quiet = self.tasks.get(&id).is_none_or(|it| it.commits == 0 || it.misled);
        match answer {
            Some(true) if !stored => self.breach("I-17", format!("{notice:?} was taken and is not stored")),
            Some(true) => {}
            Some(false) if !quiet => self.breach("I-17", format!("{notice:?} was refused and changed something")),
            Some(false) | None => {
                let wait = if tries < 4 { 3 * MINUTE } else { HOUR };
                self.after(wait, wait + MINUTE, Happening::Start(Job::Webhook { notice, tries: tries + 1 }));
            }
        }
    }

    /// Every minute in life; here, when something is due, and now and then.
    fn sweep_again(&mut self) {
        let first = self.due.iter().filter_map(|lane| lane.first()).map(|(at, _)| at.as_millisecond()).min();
        let overdue = first.is_some_and(|due| due <= self.now);
        self.sweeps_in_vain = if overdue { (self.sweeps_in_vain + 1).min(5) } else { 0 };
        let soon = self.now + (MINUTE << (2 * self.sweeps_in_vain.saturating_sub(1))).min(HOUR);
        let now_and_then = self.now + 3 * DAY;
        self.sweep_by(first.unwrap_or(now_and_then).clamp(soon, now_and_then));
    }

    /// Sees to it that a sweep begins within a minute of `time`.
    pub(crate) fn sweep_by(&mut self, time: i64) {
        let time = time.max(self.now) + self.rng.within(0, MINUTE);
        if time < self.next_sweep {
            self.next_sweep = time;
            self.at(time, Happening::Sweep);
        }
    }

    pub(crate) fn breach(&mut self, invariant: &'static str, what: String) {
        self.note(|| format!("{invariant} IS BROKEN: {what}"));
        if self.breach.is_none() {
            self.breach = Some(Breach { invariant, what, step: self.step });
        }
    }
}

pub(crate) fn instant(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(ms).unwrap_or(Timestamp::MAX)
}
