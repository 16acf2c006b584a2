//! What there is outside the processes: the records and the gateway's books, as
//! the in-memory adapters keep them, and what a call does to them.

use billing::id::{PaymentId, SubscriptionId};
use billing::money::Currency;
use billing::outcome::{Outcome, RefundOutcome, Remedy, Sighting};
use billing::payment::{Gateway, Payment, Refund};
use billing::ports::{Found, Gateways, Key, Record, Store, StoreError, Wanted, Write};
use billing::subscription::Subscription;
use billing::testing::{self, Charge, ChargeStatus, FakeGateways, MemoryStore, Script, customer, request};
use billing::workflow::Checkout;
use futures::executor::block_on;
use jiff::Timestamp;
use std::fmt::{self, Debug, Write as _};
use std::hash::{DefaultHasher, Hasher};

pub(crate) const GATEWAY: Gateway = Gateway::Stripe;

#[derive(Debug)]
pub(crate) struct World {
    store: MemoryStore,
    gateways: FakeGateways,
}

/// What a process waits for.
#[derive(Clone, Debug)]
pub(crate) enum Call {
    Get(Vec<Key>),
    Commit(Vec<Write>),
    Charge(Payment),
    Find(Payment),
    Refund(Payment, Refund),
}

/// How a call goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Course {
    Answered,
    /// It has its effect, and the process does not hear of it.
    Unheard,
    /// It has none, and the process hears nothing.
    Lost,
    /// The bank says no to a new charge.
    Declined,
    DeclinedUnheard,
    /// The store calls it a conflict, and nobody wrote anything.
    Contended,
    /// The process ends before it makes the call.
    Crash,
}

#[derive(Clone, Debug)]
pub(crate) enum Answer {
    Found(Found),
    Committed,
    Duplicate,
    Conflict,
    Charged(Outcome),
    Seen(Sighting),
    Refunded(RefundOutcome),
    Silence,
}

impl World {
    /// A customer whose first period is over just now, and who has left a card.
    pub(crate) fn new() -> (Self, Timestamp) {
        let world = testing::world();
        let usd = Currency::from_code("USD").unwrap_or_else(|| panic!("USD"));
        let interval = testing::order("tokens-basic").price.interval;
        let wanted = Checkout { interval, currency: usd, gateway: GATEWAY, ..request("tokens-basic", "first") };
        let payment = block_on(world.checkout(wanted)).unwrap_or_else(|error| panic!("{error}"));
        world.gateways.visit(&payment, true);
        block_on(world.verify(&customer(), &payment.id)).unwrap_or_else(|error| panic!("{error}"));
        let over_at = world.subscription().period().map(|period| period.end);
        let over_at = over_at.unwrap_or_else(|| panic!("a period was paid for"));
        world.clock.set(over_at);
        // What is looked at by now has nothing to do with what is explored.
        let looked = block_on(world.wake(Wanted::Payment { customer: customer(), payment: payment.id }));
        looked.unwrap_or_else(|error| panic!("{error}"));
        let of_customer = |record: &Record| !matches!(record, Record::Family(_) | Record::Plan(_) | Record::Meter(_));
        let records = world.store.records().into_iter().filter(of_customer);
        (Self { store: stored(records), gateways: world.gateways }, over_at)
    }

    pub(crate) fn copy(&self) -> Self {
        Self { store: stored(self.records().into_iter()), gateways: self.gateways.clone() }
    }

    /// Equal for worlds in which the same will happen.
    pub(crate) fn digest(&self) -> u64 {
        digest(&(self.records(), self.gateways.charges()))
    }

    pub(crate) fn records(&self) -> Vec<Record> {
        self.store.records()
    }

    pub(crate) fn get(&self, key: Key) -> Found {
        block_on(self.store.get(vec![key])).unwrap_or_else(|error| panic!("{error}"))
    }

    pub(crate) fn subscription(&self) -> Subscription {
        let found = self.get(Key::Subscription(customer())).subscription();
        found.unwrap_or_else(|| panic!("the subscription is gone"))
    }

    pub(crate) fn payments(&self) -> Vec<Payment> {
        let payment = |record| if let Record::Payment(it) = record { Some(it) } else { None };
        self.records().into_iter().filter_map(payment).collect()
    }

    /// What the gateway knows of `payment`.
    pub(crate) fn charge_of(&self, payment: &Payment) -> Option<Charge> {
        self.gateways.charges().remove(&payment.reference)
    }

    /// From now on the bank says no to every new charge.
    pub(crate) fn decline_all(&self) {
        (0..20).for_each(|_| self.gateways.next(Script::Decline(Remedy::RetryLater)));
    }

    /// The ways in which `call` may go while nothing is wrong with us.
    pub(crate) fn courses(&self, call: &Call) -> &'static [Course] {
        use Course::{Answered, Declined, DeclinedUnheard, Lost, Unheard};
        match call {
            Call::Get(_) | Call::Commit(_) => &[Answered],
            Call::Charge(payment) if self.charge_of(payment).is_none() => {
                &[Answered, Unheard, Lost, Declined, DeclinedUnheard]
            }
            Call::Charge(_) | Call::Find(_) => &[Answered, Lost],
            Call::Refund(..) => &[Answered, Unheard, Lost],
        }
    }

    /// Whether it changes nothing when `call` is made, and nobody can change the answer: versions never come back, and
    /// a decline stands.
    pub(crate) fn has_settled(&self, call: &Call) -> bool {
        match call {
            Call::Commit(writes) => writes.iter().any(|write| match write {
                Write::Create(_)
                | Write::Consume { .. }
                | Write::Count { .. }
                | Write::CountInShard { .. }
                | Write::Add(_)
                | Write::Set(_) => false,
                Write::Replace { record, seen } => {
                    self.get(record.key()).records().first().and_then(Record::version) > Some(*seen)
                }
            }),
            Call::Charge(payment) | Call::Find(payment) => {
                let status = self.charge_of(payment).map(|charge| charge.status);
                matches!(status, Some(ChargeStatus::Declined(_)))
            }
            Call::Get(_) | Call::Refund(..) => false,
        }
    }

    /// Makes `call`, and says what the process hears.
    pub(crate) fn make(&self, call: &Call, course: Course) -> Answer {
        match course {
            Course::Lost | Course::Crash => return Answer::Silence,
            Course::Contended => return Answer::Conflict,
            Course::Declined | Course::DeclinedUnheard => self.gateways.next(Script::Decline(Remedy::RetryLater)),
            Course::Answered | Course::Unheard => {}
        }
        let answer = match call {
            Call::Get(keys) => block_on(self.store.get(keys.clone())).map_or(Answer::Silence, Answer::Found),
            Call::Commit(writes) => match block_on(self.store.commit(writes.clone())) {
                Ok(()) => Answer::Committed,
                Err(StoreError::Duplicate) => Answer::Duplicate,
                Err(StoreError::Conflict) => Answer::Conflict,
                Err(StoreError::Unavailable(error)) => panic!("{error}"),
            },
            Call::Charge(payment) => match block_on(self.gateways.charge(payment)) {
                Ok(outcome) => Answer::Charged(unnamed(outcome)),
                Err(_) => Answer::Silence,
            },
            Call::Find(payment) => match block_on(self.gateways.find(payment, None)) {
                Ok(Sighting::Known(outcome)) => Answer::Seen(Sighting::Known(unnamed(outcome))),
                Ok(unknown @ (Sighting::NeverHeard | Sighting::CannotTell)) => Answer::Seen(unknown),
                Err(_) => Answer::Silence,
            },
            Call::Refund(payment, refund) => {
                block_on(self.gateways.refund(payment, refund)).map_or(Answer::Silence, Answer::Refunded)
            }
        };
        let heard = matches!(course, Course::Answered | Course::Declined);
        if heard { answer } else { Answer::Silence }
    }
}

/// Stripe does not name the method of a charge that we made.
fn unnamed(outcome: Outcome) -> Outcome {
    match outcome {
        Outcome::Succeeded { receipt, aftermath, .. } => Outcome::Succeeded { receipt, aftermath, method: None },
        Outcome::Pending(_) | Outcome::Declined(_) | Outcome::Expired => outcome,
    }
}

fn stored(records: impl Iterator<Item = Record>) -> MemoryStore {
    let store = MemoryStore::default();
    records.for_each(|record| store.put(record));
    store
}

/// The charge that everybody is about.
pub(crate) fn renewal() -> PaymentId {
    PaymentId { subscription: SubscriptionId::nth(&customer(), 1), period: 1, attempt: 1 }
}

/// Of all that is to be seen of `it`.
pub(crate) fn digest(it: &impl Debug) -> u64 {
    struct Digest(DefaultHasher);
    impl fmt::Write for Digest {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            self.0.write(text.as_bytes());
            Ok(())
        }
    }
    let mut digest = Digest(DefaultHasher::new());
    write!(digest, "{it:?}").unwrap_or_else(|error| panic!("{error}"));
    digest.0.finish()
}

impl Call {
    pub(crate) fn may_change(&self, course: Course) -> bool {
        let reaches = !matches!(course, Course::Lost | Course::Contended | Course::Crash);
        reaches && !matches!(self, Self::Get(_) | Self::Find(_))
    }

    pub(crate) fn told(&self) -> String {
        match self {
            Self::Get(keys) => format!("reads {} records", keys.len()),
            Self::Commit(writes) => {
                let told = |write: &Write| match write {
                    Write::Create(record) | Write::Replace { record, .. } => match record {
                        Record::Subscription(it) => format!("{} {:?}", it.id, it.status),
                        Record::Payment(it) => format!("{} {:?}", it.id, it.status),
                        Record::History { event, .. } => format!("{event:?}"),
                        other => format!("{:?}", other.key()),
                    },
                    Write::Consume { tokens, .. } => format!("consumes {tokens} tokens"),
                    Write::Count { meter, by, .. } | Write::CountInShard { meter, by, .. } => {
                        format!("counts {by} of {meter}")
                    }
                    Write::Add(day) => format!("adds {} to {}", day.value, day.date),
                    Write::Set(day) => format!("sets {} to {}", day.date, day.value),
                };
                format!("commits {}", writes.iter().map(told).collect::<Vec<_>>().join("; "))
            }
            Self::Charge(it) => format!("charges {}", it.id),
            Self::Find(it) => format!("looks for {}", it.id),
            Self::Refund(it, refund) => format!("gives back {} of {}", refund.amount, it.id),
        }
    }
}
