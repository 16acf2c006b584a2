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

mod words;

use crate::calendar::Period;
use crate::driven::Driven;
use crate::dunning::{Dunning, Failure, after};
use crate::id::{CustomerId, MethodId, PaymentId, SubscriptionId};
use crate::mail::Contact;
use crate::outcome::Remedy;
use crate::payment::{Page, Payment};
use crate::wallet::Method;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

pub use crate::order::Order;
pub use words::{Command, Due, Event, Fact, Refusal};

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
    /// How the customer is told that they must act. None: nobody knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contact: Option<Contact>,
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
            contact: None,
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
        self.contact = Contact::of(&page).or(self.contact);
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
                let failure =
                    Failure::new(payment, method, decline, self.failures.len(), &self.order.plan.dunning, now);
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
                match Dunning::after(
                    failures.as_ref().unwrap_or(&self.failures),
                    methods,
                    &self.order.plan.dunning,
                    now,
                ) {
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
        Some(Period::nth(term.anchor, self.order.price.interval, term.index, &TimeZone::UTC))
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
        let dunning = match (Dunning::after(&failures, methods, &self.order.plan.dunning, now), self.grace_ends_at) {
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
mod tests;
