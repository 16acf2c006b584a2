//! The subscription state machine.
//!
//! ```text
//!               paid                   declined
//!  Incomplete ────────▶ Active ───────────────────▶ PastDue ─┐ declined,
//!    │    ▲             │ ▲ └▶ paid: next period    │  ▲     │ attempts left
//!    │    │ paid late   │ └──────── paid ───────────┤  └─────┘
//!    ▼    │             │ period over, not renewing │ grace over
//!   Expired ◀───────────┴───────▶ Canceled ◀────────┘
//! ```
//!
//! A dispute cancels: at the period's end while the bank decides, at once when
//! it decides for the customer or when money is owed besides.
//!
//! What another system [drives](crate::driven) is whatever it is seen to be there.
//!
//! A **request** ([`Command`]) may be refused; a **fact** ([`Fact`]) may not,
//! because money that has moved has moved. Both yield [`Event`]s, and
//! [`Subscription::apply`] is the only place that says what an event changes.

use crate::calendar::Period;
use crate::driven::Driven;
use crate::dunning::{Dunning, Failure, after};
use crate::id::{CustomerId, MethodId, PaymentId, SubscriptionId};
use crate::outcome::{Decline, Remedy};
use crate::payment::{Page, Payment};
use crate::wallet::Method;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

pub use crate::order::Order;

/// How soon it is seen again whether what was missing is there.
const HELD_FOR: SignedDuration = SignedDuration::from_mins(15);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscription {
    pub id: SubscriptionId,
    pub customer: CustomerId,
    pub order: Order,
    /// The attempt whose outcome is not known. While there is one, no other is
    /// made for the same period.
    pub open: Option<PaymentId>,
    /// How many attempts there were to collect the period that is owed, pages included: their number names them.
    pub attempts: u32,
    /// The charges for that period that were declined, oldest first.
    pub failures: Vec<Failure>,
    /// When grace for that period ends, once it has begun: it begins once.
    pub grace_ends_at: Option<Timestamp>,
    /// Nothing can be done before: the gateways, or our keys, were not there.
    pub held_until: Option<Timestamp>,
    /// The payments of this subscription about which a bank is deciding.
    pub disputed: BTreeSet<PaymentId>,
    pub created_at: Timestamp,
    pub status: Status,
    /// Who charges for it, or did, if that is not us.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub driven: Option<Driven>,
    /// Incremented by every commit; guards against lost updates.
    pub version: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum Status {
    /// Ordered, not paid.
    Incomplete,
    Active {
        term: Term,
        cancel_at_period_end: bool,
    },
    /// The period after `term` is owed and was declined.
    PastDue {
        term: Term,
        dunning: Dunning,
    },
    Canceled {
        term: Option<Term>,
        at: Timestamp,
        reason: CancelReason,
    },
    /// Over because nobody asked for more: never paid (no `term`), or paid for
    /// a time that has passed.
    Expired {
        term: Option<Term>,
        at: Timestamp,
    },
}

/// The period that is paid for, counted from when the first one began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Term {
    pub anchor: Timestamp,
    pub index: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CancelReason {
    Requested,
    Unpaid,
    /// A payment for it was charged back.
    Disputed,
}

/// What someone asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    CancelAtPeriodEnd,
    CancelNow,
    Resume,
}

/// What a gateway tells us, or time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// `order`: what was bought, if this payment opens a subscription.
    Paid {
        payment: PaymentId,
        order: Option<Box<Order>>,
    },
    /// A charge of ours was declined. What happens on a page before it ends is nobody's business.
    Declined {
        payment: PaymentId,
        method: Option<MethodId>,
        decline: Decline,
    },
    /// An attempt ended and nobody had paid.
    Abandoned {
        payment: PaymentId,
    },
    /// A payment is due and there is nothing to charge.
    NoMethod,
    /// There is something that could be charged. `method`: the customer has just left it, new or mended.
    MethodAdded {
        method: Option<MethodId>,
    },
    /// The customer's bank disputes a payment.
    Disputed {
        payment: PaymentId,
    },
    DisputeWon {
        payment: PaymentId,
    },
    /// The money is gone.
    DisputeLost {
        payment: PaymentId,
    },
}

/// What happened, in the past tense. Stored, so its meaning never changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event {
    Activated {
        payment: PaymentId,
        order: Box<Order>,
        at: Timestamp,
    },
    Renewed {
        payment: PaymentId,
    },
    PaymentMissed {
        /// None: there was no method to charge.
        failure: Option<Failure>,
        dunning: Dunning,
    },
    /// There is something to charge again.
    RetryScheduled {
        at: Timestamp,
        /// What the customer has just left: how it failed before says nothing of it now.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mended: Option<MethodId>,
    },
    /// Nobody paid, and nothing follows but that the subscription waits for it no more.
    AttemptEnded {
        payment: PaymentId,
    },
    Disputed {
        payment: PaymentId,
    },
    DisputeSettled {
        payment: PaymentId,
    },
    /// Paid twice, or for something we no longer serve. The money must go back.
    RefundOwed {
        payment: PaymentId,
    },
    CancellationScheduled,
    CancellationRevoked,
    Canceled {
        at: Timestamp,
        reason: CancelReason,
    },
    Expired {
        at: Timestamp,
    },
    /// What it is where it is driven, as far as that has changed.
    Followed {
        driven: Box<Driven>,
        order: Box<Order>,
        became: Status,
        attempts: u32,
        failure: Option<Failure>,
    },
}

/// Why a request is not granted. An expected answer, not a malfunction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("the subscription has ended")]
    Ended,
    #[error("the subscription has not been paid for yet")]
    NotActive,
    #[error("there is a subscription already; change that one")]
    AlreadySubscribed,
    #[error("this plan is sold once a customer: quantity must be 1")]
    QuantityNotOne,
    #[error("that many would cost more than can be charged")]
    TooExpensive,
    #[error("nothing is owed")]
    NothingOwed,
    #[error("a charge for what is owed is running: its outcome comes first")]
    ChargeRunning,
    #[error("another system charges for the subscription: it is changed and canceled there")]
    DrivenElsewhere,
}

/// What time alone brings about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// The period after the current one is to be paid.
    Payment,
    Cancellation(CancelReason),
    Expiry,
    /// It is driven elsewhere: how does it stand there?
    Look,
}

impl Subscription {
    /// `order` as the customer's next subscription, given what they have now.
    ///
    /// What was never paid for is ordered anew rather than left behind, so that
    /// whichever of its checkouts is paid first opens it. A live one must be
    /// changed, not bought again.
    pub fn ordering(
        current: Option<&Self>,
        customer: &CustomerId,
        order: Order,
        now: Timestamp,
    ) -> Result<Self, Refusal> {
        let first = |id| Self {
            id,
            customer: customer.clone(),
            order: order.clone(),
            open: None,
            attempts: 0,
            failures: vec![],
            grace_ends_at: None,
            held_until: None,
            disputed: BTreeSet::new(),
            created_at: now,
            status: Status::Incomplete,
            driven: None,
            version: 0,
        };
        let Some(current) = current else { return Ok(first(SubscriptionId::nth(customer, 1))) };
        match &current.status {
            Status::Active { .. } | Status::PastDue { .. } => Err(Refusal::AlreadySubscribed),
            _ if current.is_driven() => Err(Refusal::DrivenElsewhere),
            Status::Incomplete | Status::Expired { term: None, .. } => {
                Ok(Self { order, status: Status::Incomplete, ..current.clone() })
            }
            Status::Canceled { .. } | Status::Expired { term: Some(_), .. } => {
                Ok(Self { version: current.version, ..first(current.id.next()) })
            }
        }
    }

    /// A checkout for the first period, and the subscription waiting for it.
    pub fn checkout(mut self, page: Page, now: Timestamp) -> Result<(Self, Payment), Refusal> {
        self.is_charged_here()?;
        let amount = self.order.amount()?;
        let id = self.next_attempt();
        let payment = Payment::checkout(id, self.customer.clone(), Some(self.order.clone()), amount, page, now);
        self.open = Some(payment.id.clone());
        Ok((self, payment))
    }

    /// A page on which the customer pays what they owe. Until it ends no
    /// charge is tried, so that nobody pays twice; grace does not wait for it.
    pub fn recovery(self, page: Page, now: Timestamp) -> Result<(Self, Payment), Refusal> {
        self.is_charged_here()?;
        match &self.status {
            Status::Incomplete => Err(Refusal::NotActive),
            Status::Active { .. } => Err(Refusal::NothingOwed),
            Status::Canceled { .. } | Status::Expired { .. } => Err(Refusal::Ended),
            Status::PastDue { .. } if self.open.is_some() || self.due(now).is_some() => Err(Refusal::ChargeRunning),
            Status::PastDue { .. } => self.checkout(page, now),
        }
    }

    /// A charge for the period that is owed, and the subscription waiting for it.
    pub fn charging(mut self, method: Method, now: Timestamp) -> Result<(Self, Payment), Refusal> {
        self.is_charged_here()?;
        let amount = self.order.amount()?;
        let id = self.next_attempt();
        let payment = Payment::off_session(id, self.customer.clone(), &self.order, amount, method, now);
        self.open = Some(payment.id.clone());
        Ok((self, payment))
    }

    /// What follows from `command`, or why nothing may.
    ///
    /// No events means it was granted before: requests repeat.
    pub fn decide(&self, command: Command, now: Timestamp) -> Result<Vec<Event>, Refusal> {
        use Command::{CancelAtPeriodEnd, CancelNow, Resume};
        use Status::{Active, Canceled, Expired, Incomplete, PastDue};

        self.is_charged_here()?;
        match (&self.status, command) {
            (Incomplete, CancelAtPeriodEnd | CancelNow) => Ok(vec![canceled(CancelReason::Requested, now)]),
            (Incomplete, Resume) => Err(Refusal::NotActive),
            (Active { cancel_at_period_end: false, .. }, CancelAtPeriodEnd) => Ok(vec![Event::CancellationScheduled]),
            (Active { cancel_at_period_end: true, .. }, Resume) => Ok(vec![Event::CancellationRevoked]),
            (Active { .. }, CancelAtPeriodEnd | Resume) => Ok(vec![]),
            // The period is over: its end is now. No further charge (PRODUCT 9).
            (PastDue { .. }, CancelAtPeriodEnd) | (Active { .. } | PastDue { .. }, CancelNow) => {
                Ok(vec![canceled(CancelReason::Requested, now)])
            }
            (PastDue { .. }, Resume) => Ok(vec![]),
            (Canceled { .. } | Expired { .. }, CancelAtPeriodEnd | CancelNow) => Ok(vec![]),
            (Canceled { .. } | Expired { .. }, Resume) => Err(Refusal::Ended),
        }
    }

    /// What follows from `fact`, given the `methods` that could be charged, the preferred one first.
    pub fn record(&self, fact: Fact, methods: &[MethodId], now: Timestamp) -> Vec<Event> {
        use Fact::{Abandoned, Declined, DisputeLost, DisputeWon, Disputed, MethodAdded, NoMethod, Paid};
        use Status::{Active, Canceled, Expired, Incomplete, PastDue};

        match (&self.status, fact) {
            // For an earlier subscription: it ended, and this one owes nothing for it.
            (_, Paid { payment, .. }) if payment.subscription != self.id || self.is_driven() => {
                vec![Event::RefundOwed { payment }]
            }
            // Whatever else there is to say of it is said where it is driven.
            _ if self.is_driven() => vec![],

            (Incomplete | Expired { term: None, .. }, Paid { payment, order }) => {
                let order = order.unwrap_or_else(|| Box::new(self.order.clone()));
                vec![Event::Activated { payment, order, at: now }]
            }
            (Active { .. } | PastDue { .. }, Paid { payment, .. }) if self.owes(&payment) => {
                vec![Event::Renewed { payment }]
            }
            (
                Active { .. } | PastDue { .. } | Canceled { .. } | Expired { term: Some(_), .. },
                Paid { payment, .. },
            ) => vec![Event::RefundOwed { payment }],

            (Active { cancel_at_period_end: true, .. }, Declined { payment, .. }) if self.waits_for(&payment) => {
                vec![canceled(CancelReason::Requested, now)]
            }
            // Who disputes a payment is not charged for another.
            (Active { .. }, Declined { payment, .. }) if self.waits_for(&payment) && !self.disputed.is_empty() => {
                vec![canceled(CancelReason::Disputed, now)]
            }
            (Active { .. } | PastDue { .. }, Declined { payment, method, decline }) if self.waits_for(&payment) => {
                let failure = Failure::new(payment, method, decline, self.failures.len(), now);
                vec![self.missed(Some(failure), methods, now)]
            }
            // It was settled otherwise.
            (Incomplete | Active { .. } | PastDue { .. } | Canceled { .. } | Expired { .. }, Declined { .. }) => vec![],

            (Incomplete, Abandoned { payment }) if self.waits_for(&payment) => vec![Event::Expired { at: now }],
            (Active { .. } | PastDue { .. }, Abandoned { payment }) if self.waits_for(&payment) => {
                vec![Event::AttemptEnded { payment }]
            }
            (Incomplete | Active { .. } | PastDue { .. } | Canceled { .. } | Expired { .. }, Abandoned { .. }) => {
                vec![]
            }

            (Active { .. } | PastDue { .. }, NoMethod) => vec![self.missed(None, methods, now)],
            (Incomplete | Canceled { .. } | Expired { .. }, NoMethod) => vec![],

            (PastDue { dunning, .. }, MethodAdded { method: mended }) => {
                let failures = mended.as_ref().map(|method| mended_by(&self.failures, method));
                match Dunning::after(failures.as_ref().unwrap_or(&self.failures), methods, now) {
                    Dunning::Retry { at } if matches!(dunning, Dunning::Grace { .. }) || at < dunning.due_at() => {
                        vec![Event::RetryScheduled { at, mended }]
                    }
                    Dunning::Retry { .. } | Dunning::Grace { .. } => vec![],
                }
            }
            (Incomplete | Active { .. } | Canceled { .. } | Expired { .. }, MethodAdded { .. }) => vec![],

            (_, Disputed { payment } | DisputeWon { payment } | DisputeLost { payment })
                if payment.subscription != self.id =>
            {
                vec![]
            }
            (Incomplete | Active { .. } | Expired { term: None, .. }, Disputed { payment }) => {
                vec![Event::Disputed { payment }]
            }
            (PastDue { .. }, Disputed { .. }) | (Active { .. } | PastDue { .. }, DisputeLost { .. }) => {
                vec![canceled(CancelReason::Disputed, now)]
            }
            // Money of an order that was never granted: it is what it was paid for that a dispute ends.
            (
                Incomplete | Active { .. } | Expired { term: None, .. },
                DisputeWon { payment } | DisputeLost { payment },
            ) if self.disputed.contains(&payment) => vec![Event::DisputeSettled { payment }],
            (
                Incomplete | Active { .. } | PastDue { .. } | Canceled { .. } | Expired { .. },
                Disputed { .. } | DisputeWon { .. } | DisputeLost { .. },
            ) => vec![],
        }
    }

    /// What is to be done now, whoever asks and however often.
    pub fn due(&self, now: Timestamp) -> Option<Due> {
        if now < self.due_at()? {
            return None;
        }
        match &self.status {
            _ if self.is_driven() => Some(Due::Look),
            Status::Active { cancel_at_period_end: true, .. } => Some(Due::Cancellation(CancelReason::Requested)),
            Status::Active { .. } if !self.disputed.is_empty() => Some(Due::Cancellation(CancelReason::Disputed)),
            Status::Active { cancel_at_period_end: false, .. } if self.order.price.recurring => Some(Due::Payment),
            Status::Active { cancel_at_period_end: false, .. } => Some(Due::Expiry),
            Status::PastDue { dunning: Dunning::Retry { .. }, .. } => Some(Due::Payment),
            Status::PastDue { dunning: Dunning::Grace { .. }, .. } => Some(Due::Cancellation(CancelReason::Unpaid)),
            Status::Incomplete | Status::Canceled { .. } | Status::Expired { .. } => None,
        }
    }

    /// When [`due`](Self::due) next has something to say, if ever.
    ///
    /// While an attempt is open the subscription waits for it, and the payment
    /// carries the alarm clock. Only grace ends whatever page is open: else
    /// opening one again and again would make it last for ever.
    pub fn due_at(&self) -> Option<Timestamp> {
        if let Some(driven) = &self.driven {
            return driven.look_at;
        }
        if self.open.is_some() && !matches!(self.status, Status::PastDue { dunning: Dunning::Grace { .. }, .. }) {
            return None;
        }
        let due_at = match &self.status {
            Status::Active { .. } => self.period().map(|period| period.end),
            Status::PastDue { dunning, .. } => Some(dunning.due_at()),
            Status::Incomplete | Status::Canceled { .. } | Status::Expired { .. } => None,
        };
        due_at.map(|due_at| self.held_until.map_or(due_at, |held_until| held_until.max(due_at)))
    }

    /// The same when nothing could be done for want of a gateway, or of our keys to it: later.
    #[must_use]
    pub(crate) fn held(self, now: Timestamp) -> Self {
        Self { held_until: Some(after(now, HELD_FOR)), ..self }
    }

    /// The subscription after `event`. Total: what happened always applies.
    #[must_use]
    pub fn apply(mut self, event: &Event) -> Self {
        match event {
            Event::Activated { order, at, .. } => {
                self.order = Order::clone(order);
                let term = Term { anchor: *at, index: 0 };
                self.status = Status::Active { term, cancel_at_period_end: false };
                self.starts_afresh();
            }
            Event::Renewed { .. } => {
                let leaving = matches!(self.status, Status::Active { cancel_at_period_end: true, .. });
                if let Some(term) = self.term() {
                    let term = Term { index: term.index + 1, ..term };
                    self.status = Status::Active { term, cancel_at_period_end: leaving };
                }
                self.starts_afresh();
            }
            Event::PaymentMissed { failure, dunning } => {
                if let Some(term) = self.term() {
                    self.status = Status::PastDue { term, dunning: *dunning };
                }
                if let Dunning::Grace { ends_at } = dunning {
                    self.grace_ends_at.get_or_insert(*ends_at);
                }
                self.failures.extend(failure.clone());
                self.open = None;
            }
            Event::RetryScheduled { at, mended } => {
                if let Some(method) = mended {
                    self.failures = mended_by(&self.failures, method);
                }
                if let Status::PastDue { dunning, .. } = &mut self.status {
                    *dunning = Dunning::Retry { at: *at };
                }
            }
            Event::AttemptEnded { .. } => self.open = None,
            Event::Disputed { payment } => {
                self.disputed.insert(payment.clone());
            }
            Event::DisputeSettled { payment } => {
                self.disputed.remove(payment);
            }
            Event::CancellationScheduled | Event::CancellationRevoked => {
                if let Status::Active { cancel_at_period_end, .. } = &mut self.status {
                    *cancel_at_period_end = matches!(event, Event::CancellationScheduled);
                }
            }
            Event::Canceled { at, reason } => {
                self.status = Status::Canceled { term: self.term(), at: *at, reason: *reason };
            }
            Event::Expired { at } => self.status = Status::Expired { term: self.term(), at: *at },
            Event::Followed { driven, order, became, attempts, failure } => {
                self.driven = Some(Driven::clone(driven));
                self.order = Order::clone(order);
                (self.status, self.attempts) = (became.clone(), *attempts);
                self.failures = failure.iter().cloned().collect();
            }
            Event::RefundOwed { .. } => {}
        }
        self
    }

    /// The period that is paid for, if one ever was.
    pub fn period(&self) -> Option<Period> {
        let term = self.term()?;
        if let Some(driven) = &self.driven {
            return Some(driven.period);
        }
        Some(Period::nth(term.anchor, self.order.price.interval, term.index))
    }

    pub fn term(&self) -> Option<Term> {
        match &self.status {
            Status::Active { term, .. } | Status::PastDue { term, .. } => Some(*term),
            Status::Canceled { term, .. } | Status::Expired { term, .. } => *term,
            Status::Incomplete => None,
        }
    }

    /// Whether the customer is served: until it ends, or grace does.
    pub fn is_live(&self) -> bool {
        match &self.status {
            Status::Active { .. } | Status::PastDue { .. } => true,
            Status::Incomplete | Status::Canceled { .. } | Status::Expired { .. } => false,
        }
    }

    /// Whether what is paid on the page of `payment` would open or renew this subscription.
    pub fn welcomes(&self, payment: &PaymentId) -> bool {
        match &self.status {
            _ if self.is_driven() => false,
            Status::Incomplete | Status::Expired { term: None, .. } => self.id == payment.subscription,
            Status::Active { .. } | Status::PastDue { .. } => self.owes(payment),
            Status::Canceled { .. } | Status::Expired { term: Some(_), .. } => false,
        }
    }

    /// Whether another attempt to collect may be made or repeated at all.
    pub fn wants_payment(&self, payment: &PaymentId) -> bool {
        self.id == payment.subscription && self.is_live() && self.owes(payment)
    }

    fn owes(&self, payment: &PaymentId) -> bool {
        payment.subscription == self.id
            && !self.is_driven()
            && self.term().is_some_and(|term| payment.period == term.index + 1)
    }

    /// Who is charged by another system is never charged by us too.
    fn is_charged_here(&self) -> Result<(), Refusal> {
        if self.is_driven() { Err(Refusal::DrivenElsewhere) } else { Ok(()) }
    }

    pub(crate) fn waits_for(&self, payment: &PaymentId) -> bool {
        self.open.as_ref() == Some(payment)
    }

    fn next_attempt(&mut self) -> PaymentId {
        self.attempts += 1;
        let period = self.term().map_or(0, |term| term.index + 1);
        PaymentId { subscription: self.id.clone(), period, attempt: self.attempts }
    }

    fn missed(&self, failure: Option<Failure>, methods: &[MethodId], now: Timestamp) -> Event {
        let failures: Vec<Failure> = self.failures.iter().cloned().chain(failure.clone()).collect();
        let dunning = match (Dunning::after(&failures, methods, now), self.grace_ends_at) {
            // It began before, and was only interrupted.
            (Dunning::Grace { .. }, Some(ends_at)) => Dunning::Grace { ends_at },
            (dunning, _) => dunning,
        };
        Event::PaymentMissed { dunning, failure }
    }

    fn starts_afresh(&mut self) {
        (self.open, self.attempts) = (None, 0);
        (self.grace_ends_at, self.held_until) = (None, None);
        self.failures.clear();
    }
}

/// The failures when the customer has left `method`: it is as good as new. Who was asked to do something about another
/// has done this instead: that one is asked for no more.
fn mended_by(failures: &[Failure], method: &MethodId) -> Vec<Failure> {
    let answered = |failure: &Failure| match &failure.method {
        Some(failed) if failed == method => Failure { method: None, ..failure.clone() },
        Some(_) if failure.remedy == Remedy::AskCustomer => Failure { remedy: Remedy::NewMethod, ..failure.clone() },
        Some(_) | None => failure.clone(),
    };
    failures.iter().map(answered).collect()
}

fn canceled(reason: CancelReason, at: Timestamp) -> Event {
    Event::Canceled { at, reason }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dunning::MOST_ATTEMPTS;
    use crate::outcome::Remedy;
    use crate::payment::Gateway;
    use crate::testing::{active, customer, incomplete, instant, method, order, page};

    fn now() -> Timestamp {
        instant("2025-02-28T10:00:00Z")
    }

    /// The sample subscription after `failures` declined attempts.
    fn past_due(failures: usize) -> Subscription {
        (0..failures).fold(active(), |subscription, _| declined(subscription, Remedy::RetryLater))
    }

    fn charged(subscription: Subscription) -> Subscription {
        subscription.charging(method("AUTH_1"), now()).map_or_else(|it| panic!("{it}"), |(it, _)| it)
    }

    fn declined(subscription: Subscription, remedy: Remedy) -> Subscription {
        let waiting = charged(subscription);
        let Some(payment) = waiting.open.clone() else { panic!("no attempt is open") };
        told(waiting, decline_of(payment, "AUTH_1", remedy))
    }

    fn decline_of(payment: PaymentId, token: &str, remedy: Remedy) -> Fact {
        Fact::Declined { payment, method: Some(method(token).id()), decline: Decline::new("declined", remedy) }
    }

    fn told(subscription: Subscription, fact: Fact) -> Subscription {
        told_with(subscription, fact, &["AUTH_1"])
    }

    /// What `fact` makes of it when the customer has left methods with these `tokens`.
    fn told_with(subscription: Subscription, fact: Fact, tokens: &[&str]) -> Subscription {
        let methods: Vec<MethodId> = tokens.iter().map(|token| method(token).id()).collect();
        let events = subscription.record(fact, &methods, now());
        events.iter().fold(subscription, |subscription, event| subscription.apply(event))
    }

    fn paid(payment: &PaymentId) -> Fact {
        Fact::Paid { payment: payment.clone(), order: None }
    }

    fn attempt(period: u32, attempt: u32) -> PaymentId {
        PaymentId { subscription: active().id, period, attempt }
    }

    #[test]
    fn nothing_is_due_before_the_period_ends() {
        let end = active().period().map(|period| period.end);
        assert_eq!(end, Some(instant("2025-02-28T10:00:00Z")));
        assert_eq!(active().due(instant("2025-02-28T09:59:59Z")), None);
        assert_eq!(active().due(now()), Some(Due::Payment));
    }

    #[test]
    fn an_open_attempt_is_waited_for() {
        assert_eq!(charged(active()).due(Timestamp::MAX), None);
    }

    #[test]
    fn paying_renews_by_exactly_one_period() {
        let renewed = told(charged(active()), paid(&attempt(1, 1)));
        assert_eq!(renewed.term().map(|term| term.index), Some(1));
        assert_eq!((renewed.open, renewed.attempts), (None, 0));
    }

    #[test]
    fn a_late_payment_renews() {
        let late = past_due(2);
        assert_eq!(late.record(paid(&attempt(1, 1)), &[], now()), [Event::Renewed { payment: attempt(1, 1) }]);
    }

    #[test]
    fn a_second_payment_for_one_period_is_owed_back() {
        let renewed = told(charged(active()), paid(&attempt(1, 1)));
        assert_eq!(renewed.record(paid(&attempt(1, 2)), &[], now()), [Event::RefundOwed { payment: attempt(1, 2) }]);
    }

    #[test]
    fn a_payment_after_cancellation_is_owed_back() {
        let gone = active().apply(&canceled(CancelReason::Unpaid, now()));
        assert_eq!(gone.record(paid(&attempt(1, 1)), &[], now()), [Event::RefundOwed { payment: attempt(1, 1) }]);
    }

    #[test]
    fn three_retries_then_grace_then_the_end() {
        let last = past_due(MOST_ATTEMPTS - 1);
        assert!(matches!(last.status, Status::PastDue { dunning: Dunning::Retry { .. }, .. }));
        let grace = past_due(MOST_ATTEMPTS);
        assert!(matches!(grace.status, Status::PastDue { dunning: Dunning::Grace { .. }, .. }));
        assert!(grace.is_live());
        assert_eq!(grace.due(Timestamp::MAX), Some(Due::Cancellation(CancelReason::Unpaid)));
    }

    #[test]
    fn a_hard_decline_is_not_retried() {
        let hard = declined(active(), Remedy::NewMethod);
        assert!(matches!(hard.status, Status::PastDue { dunning: Dunning::Grace { .. }, .. }));
    }

    #[test]
    fn without_a_method_nothing_is_charged_and_grace_begins() {
        let missed = told_with(active(), Fact::NoMethod, &[]);
        assert!(matches!(missed.status, Status::PastDue { dunning: Dunning::Grace { .. }, .. }));
        assert_eq!(missed.attempts, 0);
    }

    #[test]
    fn another_method_is_charged_at_once_and_the_declined_one_rests() {
        let waiting = charged(active());
        let Some(payment) = waiting.open.clone() else { panic!("no attempt is open") };
        let missed = told_with(waiting, decline_of(payment, "AUTH_1", Remedy::RetryLater), &["AUTH_1", "AUTH_2"]);
        assert_eq!(missed.due(now()), Some(Due::Payment));
        let paid = told(missed, paid(&attempt(1, 1)));
        assert_eq!((paid.failures.len(), paid.due(now())), (0, None));
    }

    #[test]
    fn a_method_left_in_grace_is_charged_at_once() {
        let grace = declined(active(), Remedy::NewMethod);
        assert_eq!(grace.due(now()), None);
        let back = told_with(grace, Fact::MethodAdded { method: None }, &["AUTH_2", "AUTH_1"]);
        assert_eq!(back.due(now()), Some(Due::Payment));
        let spent = told_with(past_due(MOST_ATTEMPTS), Fact::MethodAdded { method: None }, &["AUTH_2"]);
        assert!(matches!(spent.status, Status::PastDue { dunning: Dunning::Grace { .. }, .. }));
    }

    #[test]
    fn a_method_that_is_left_anew_is_as_good_as_new_but_attempts_stay_counted() {
        for remedy in [Remedy::NewMethod, Remedy::AskCustomer] {
            let grace = declined(active(), remedy);
            let mended = Fact::MethodAdded { method: Some(method("AUTH_1").id()) };
            let back = told(grace, mended);
            assert_eq!((back.due(now()), back.failures.len()), (Some(Due::Payment), 1), "{remedy:?}");
        }
    }

    #[test]
    fn who_left_another_method_is_not_charged_with_the_one_they_were_asked_about() {
        let asked = declined(active(), Remedy::AskCustomer);
        let mended = Fact::MethodAdded { method: Some(method("AUTH_2").id()) };
        let back = told_with(asked, mended, &["AUTH_2", "AUTH_1"]);
        assert_eq!(back.due(now()), Some(Due::Payment));
        let ready = |token| crate::dunning::ready_at(&method(token).id(), &back.failures, now());
        assert_eq!((ready("AUTH_1"), ready("AUTH_2")), (None, Some(now())));
    }

    #[test]
    fn grace_that_was_interrupted_goes_on_where_it_was() {
        let grace = declined(active(), Remedy::NewMethod);
        let ends_at = grace.due_at();
        let back = told_with(grace, Fact::MethodAdded { method: None }, &["AUTH_2", "AUTH_1"]);
        let events = back.record(Fact::NoMethod, &[], now() + crate::dunning::days(2));
        let again = events.iter().fold(back, |state, event| state.apply(event));
        assert_eq!(again.due_at(), ends_at);
    }

    #[test]
    fn a_page_for_what_is_owed_holds_back_charges_but_never_grace() {
        let open = |subscription: Subscription| subscription.recovery(page(Gateway::Paystack), now());
        let Ok((waiting, payment)) = open(past_due(1)) else { panic!("what is owed may be paid") };
        assert_eq!(waiting.due(Timestamp::MAX), None);
        assert!(waiting.welcomes(&payment.id) && !waiting.wants_payment(&attempt(2, 1)));
        let over = told(waiting.clone(), Fact::Abandoned { payment: payment.id.clone() });
        assert_eq!(over.due(Timestamp::MAX), Some(Due::Payment));
        assert!(matches!(told(waiting, paid(&payment.id)).status, Status::Active { .. }));

        let Ok((grace, _)) = open(past_due(4)) else { panic!("what is owed may be paid in grace") };
        assert_eq!(grace.due(Timestamp::MAX), Some(Due::Cancellation(CancelReason::Unpaid)));
    }

    #[test]
    fn what_is_owed_is_paid_on_one_page_at_a_time_and_not_while_it_is_charged() {
        let open = |subscription: Subscription| subscription.recovery(page(Gateway::Paystack), now()).map(|(it, _)| it);
        assert_eq!(open(active()), Err(Refusal::NothingOwed));
        assert_eq!(open(incomplete()), Err(Refusal::NotActive));
        assert_eq!(open(active().apply(&canceled(CancelReason::Unpaid, now()))), Err(Refusal::Ended));
        assert_eq!(open(charged(past_due(1))), Err(Refusal::ChargeRunning));
        assert_eq!(open(past_due(1)).and_then(open), Err(Refusal::ChargeRunning));
        let later = now() + crate::dunning::days(1);
        assert!(matches!(past_due(1).recovery(page(Gateway::Paystack), later), Err(Refusal::ChargeRunning)));
    }

    #[test]
    fn a_dispute_ends_it_with_the_period_unless_it_is_won() {
        let dispute = |payment| Fact::Disputed { payment };
        let disputed = told(active(), dispute(attempt(0, 1)));
        assert_eq!(disputed.due(now()), Some(Due::Cancellation(CancelReason::Disputed)));
        let won = told(disputed.clone(), Fact::DisputeWon { payment: attempt(0, 1) });
        assert_eq!(won.due(now()), Some(Due::Payment));
        let lost = told(disputed, Fact::DisputeLost { payment: attempt(0, 1) });
        assert!(matches!(lost.status, Status::Canceled { reason: CancelReason::Disputed, .. }));
        let owing = told(past_due(1), dispute(attempt(0, 1)));
        assert!(matches!(owing.status, Status::Canceled { reason: CancelReason::Disputed, .. }));
    }

    #[test]
    fn a_dispute_before_the_first_period_is_remembered() {
        let disputed = told(incomplete(), Fact::Disputed { payment: attempt(0, 1) });
        let opened = told(disputed.clone(), paid(&attempt(0, 2)));
        assert_eq!(opened.due(Timestamp::MAX), Some(Due::Cancellation(CancelReason::Disputed)));
        let over = told(disputed, Fact::DisputeLost { payment: attempt(0, 1) });
        assert_eq!(told(over, paid(&attempt(0, 2))).due(Timestamp::MAX), Some(Due::Payment));
    }

    #[test]
    fn one_dispute_of_two_that_is_won_leaves_the_other() {
        let both = [attempt(0, 1), attempt(0, 2)].map(|payment| Fact::Disputed { payment });
        let disputed = both.into_iter().fold(active(), told);
        let won = told(disputed, Fact::DisputeWon { payment: attempt(0, 2) });
        assert_eq!(won.due(now()), Some(Due::Cancellation(CancelReason::Disputed)));
    }

    #[test]
    fn a_charge_that_is_declined_while_a_payment_is_disputed_is_the_last() {
        let disputed = told(charged(active()), Fact::Disputed { payment: attempt(0, 1) });
        let left = told(disputed, decline_of(attempt(1, 1), "AUTH_1", Remedy::RetryLater));
        assert!(matches!(left.status, Status::Canceled { reason: CancelReason::Disputed, .. }));
    }

    #[test]
    fn a_dispute_about_an_earlier_subscription_leaves_this_one_alone() {
        let other = PaymentId { subscription: active().id.next(), period: 0, attempt: 1 };
        for fact in [Fact::Disputed { payment: other.clone() }, Fact::DisputeLost { payment: other }] {
            assert_eq!(active().record(fact, &[], now()), []);
        }
    }

    #[test]
    fn renewing_keeps_a_scheduled_cancellation() {
        let leaving = charged(active()).apply(&Event::CancellationScheduled);
        let renewed = told(leaving, paid(&attempt(1, 1)));
        assert!(matches!(renewed.status, Status::Active { cancel_at_period_end: true, .. }));
        assert_eq!(renewed.due(Timestamp::MAX), Some(Due::Cancellation(CancelReason::Requested)));
    }

    #[test]
    fn declined_while_leaving_is_left() {
        let leaving = charged(active()).apply(&Event::CancellationScheduled);
        let left = told(leaving, decline_of(attempt(1, 1), "AUTH_1", Remedy::RetryLater));
        assert!(matches!(left.status, Status::Canceled { reason: CancelReason::Requested, .. }));
    }

    #[test]
    fn a_plan_that_does_not_recur_expires() {
        let mut once = active();
        once.order.price.recurring = false;
        assert_eq!(once.due(now()), Some(Due::Expiry));
        let over = once.apply(&Event::Expired { at: now() });
        assert_eq!(over.record(paid(&attempt(1, 1)), &[], now()), [Event::RefundOwed { payment: attempt(1, 1) }]);
    }

    #[test]
    fn the_first_checkout_paid_opens_what_it_was_for() {
        let (first, _) = checkout(incomplete());
        let other = Order { quantity: 1, ..order("estates-enterprise") };
        let again = Subscription::ordering(Some(&first), &customer(), other, now());
        let Ok((second, _)) = again.map(checkout) else { panic!("an unpaid order may be replaced") };
        let order = Box::new(order("estates-professional"));
        let opened = told(second.clone(), Fact::Paid { payment: attempt(0, 1), order: Some(order) });
        assert_eq!(opened.order.plan.id.as_str(), "estates-professional");
        assert_eq!(opened.record(paid(&attempt(0, 2)), &[], now()), [Event::RefundOwed { payment: attempt(0, 2) }]);
    }

    fn checkout(subscription: Subscription) -> (Subscription, Payment) {
        subscription.checkout(page(Gateway::Paystack), now()).unwrap_or_else(|refusal| panic!("{refusal}"))
    }

    #[test]
    fn only_the_newest_checkout_ends_the_order() {
        let (first, _) = checkout(incomplete());
        let (second, newest) = checkout(first);
        assert_eq!(second.record(Fact::Abandoned { payment: attempt(0, 1) }, &[], now()), []);
        let gone = told(second, Fact::Abandoned { payment: newest.id.clone() });
        assert!(matches!(gone.status, Status::Expired { term: None, .. }));
        // Someone paid all the same: they get what they paid for.
        assert!(matches!(told(gone, paid(&newest.id)).status, Status::Active { .. }));
    }

    #[test]
    fn a_live_subscription_is_not_bought_twice_and_an_old_one_is_followed_by_the_next() {
        let order = order("estates-professional");
        for live in [active(), past_due(1)] {
            let again = Subscription::ordering(Some(&live), &customer(), order.clone(), now());
            assert_eq!(again, Err(Refusal::AlreadySubscribed));
        }
        let gone = active().apply(&canceled(CancelReason::Requested, now()));
        let next = Subscription::ordering(Some(&gone), &customer(), order, now());
        assert_eq!(next.map(|it| (it.id.number, it.attempts)), Ok((2, 0)));
    }

    #[test]
    fn a_payment_for_an_earlier_subscription_opens_no_other_one() {
        let gone = active().apply(&canceled(CancelReason::Requested, now()));
        let next = Subscription::ordering(Some(&gone), &customer(), order("estates-professional"), now());
        let events = next.map(|next| next.record(paid(&attempt(1, 1)), &[], now()));
        assert_eq!(events, Ok(vec![Event::RefundOwed { payment: attempt(1, 1) }]));
    }

    #[test]
    fn seats_are_paid_each_and_flat_plans_once() {
        let seats = Order { quantity: 4, ..order("crm-professional") };
        assert_eq!(seats.amount().map(|it| it.minor), Ok(6_000));
        let flat = Order { quantity: 4, ..order("crm-basic") };
        assert_eq!(flat.amount(), Err(Refusal::QuantityNotOne));
        let many = Order { quantity: u32::MAX, ..order("crm-professional") };
        assert!(many.amount().is_ok());
    }

    #[test]
    fn every_state_answers_every_command_and_repeating_one_changes_nothing() {
        let gone = active().apply(&canceled(CancelReason::Requested, now()));
        let over = active().apply(&Event::Expired { at: now() });
        for state in [incomplete(), active(), charged(active()), past_due(1), past_due(4), gone, over] {
            for command in [Command::CancelAtPeriodEnd, Command::CancelNow, Command::Resume] {
                let Ok(events) = state.decide(command, now()) else { continue };
                let next = events.iter().fold(state.clone(), |state, event| state.apply(event));
                assert_eq!(next.decide(command, now()), Ok(vec![]), "{:?} {command:?}", state.status);
            }
        }
    }
}
