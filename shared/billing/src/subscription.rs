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

mod change;
mod funds;
mod words;

use crate::calendar::{Interval, Period};
use crate::driven::Driven;
use crate::dunning::{Dunning, Failure, after};
use crate::id::{CustomerId, MethodId, PaymentId, SubscriptionId};
use crate::mail::Contact;
use crate::money::Money;
use crate::outcome::Remedy;
use crate::payment::{Page, Payment};
use crate::trial::{Kind, Trial};
use crate::wallet::Method;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

pub use crate::order::Order;
pub use change::{Action, Becomes, Change, ChangeLine, Changing, Effective, Preview, PreviewId};
pub use funds::{Fund, Worth};
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
    /// What was paid for each of the last periods and can still be credited.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub funds: Vec<Fund>,
    /// None: its price, from the period's start on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worth: Option<Worth>,
    /// What the customer has in credit, or owes if it is below zero, with the next invoice: one amount a currency.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub balances: Vec<Money>,
    /// How many payments there were for changes: their number names them.
    #[serde(default)]
    pub changes: u32,
    /// What the next period is to be, if it is to be another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduled: Option<Box<Order>>,
    /// It is to be paused when the period ends.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pausing: bool,
    /// That it began with, if it did: period 0. The periods that are paid for are counted from its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trial: Option<Trial>,
    /// The customer knows that the trial is about to end.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reminded: bool,
    /// The customer has had a trial, now or with an earlier subscription: there is one a customer.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub had_trial: bool,
    /// The change that is made once its payment is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changing: Option<Box<Changing>>,
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
    /// Not served, and charged for nothing: what was left of the period then is left when it goes on.
    Paused {
        term: Term,
        at: Timestamp,
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
    /// The index of the period that begins at `anchor`: a change of interval begins to count anew, and no period's
    /// number is used twice.
    #[serde(default)]
    pub since: u32,
    /// When this period ends, if that is not for the interval to say: a trial, or one that was paused or extended. Then
    /// it begins at `anchor`, and what follows is counted from its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

impl Term {
    /// The first, from `anchor` on.
    pub fn first(anchor: Timestamp) -> Self {
        Self { anchor, index: 0, since: 0, until: None }
    }

    pub fn period(self, interval: Interval) -> Period {
        if let Some(end) = self.until {
            return Period { start: self.anchor, end };
        }
        Period::nth(self.anchor, interval, self.index.saturating_sub(self.since), &TimeZone::UTC)
    }

    /// The one after it, of the same interval.
    fn next(self) -> Self {
        Self { index: self.index + 1, ..self }
    }

    /// The one after it, which begins at `anchor`, as do all that follow.
    fn anew(self, anchor: Timestamp) -> Self {
        Self { anchor, index: self.index + 1, since: self.index + 1, until: None }
    }

    /// The same, lasting as `period` says.
    fn lasting(self, period: Period) -> Self {
        Self { anchor: period.start, since: self.index, until: Some(period.end), ..self }
    }
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
            // What is given back of an earlier subscription is missing in the balance that it left.
            funds: current.map_or(vec![], |current| current.funds.clone()),
            worth: None,
            balances: current.map_or(vec![], |current| current.balances.clone()),
            changes: 0,
            scheduled: None,
            pausing: false,
            trial: None,
            reminded: false,
            had_trial: current.is_some_and(|current| current.had_trial),
            changing: None,
            disputed: BTreeSet::new(),
            contact: None,
            created_at: now,
            status: Status::Incomplete,
            driven: None,
            version: 0,
        };
        let Some(current) = current else { return Ok(first(SubscriptionId::nth(customer, 1))) };
        match &current.status {
            Status::Active { .. } | Status::PastDue { .. } | Status::Paused { .. } => Err(Refusal::AlreadySubscribed),
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
        let (order, amount) = (self.next_order().clone(), self.amount_due()?);
        let id = self.next_attempt();
        self.contact = Contact::of(&page).or(self.contact);
        let payment = Payment::checkout(id, self.customer.clone(), Some(order), amount, page, now);
        self.open = Some(payment.id.clone());
        Ok((self, payment))
    }

    /// A page on which the customer pays what they owe. Until it ends no
    /// charge is tried, so that nobody pays twice; grace does not wait for it.
    pub fn recovery(self, page: Page, now: Timestamp) -> Result<(Self, Payment), Refusal> {
        self.is_charged_here()?;
        match &self.status {
            Status::Incomplete => Err(Refusal::NotActive),
            Status::Active { .. } | Status::Paused { .. } => Err(Refusal::NothingOwed),
            Status::Canceled { .. } | Status::Expired { .. } => Err(Refusal::Ended),
            Status::PastDue { .. } if self.open.is_some() || self.due(now).is_some() => Err(Refusal::ChargeRunning),
            Status::PastDue { .. } => self.checkout(page, now),
        }
    }

    /// A charge for the period that is owed, and the subscription waiting for it.
    pub fn charging(mut self, method: Method, now: Timestamp) -> Result<(Self, Payment), Refusal> {
        self.is_charged_here()?;
        let (order, amount) = (self.next_order().clone(), self.amount_due()?);
        let id = self.next_attempt();
        let payment = Payment::off_session(id, self.customer.clone(), &order, amount, method, now);
        self.open = Some(payment.id.clone());
        Ok((self, payment))
    }

    /// What follows from `command`, or why nothing may.
    ///
    /// No events means it was granted before: requests repeat.
    pub fn decide(&self, command: Command, now: Timestamp) -> Result<Vec<Event>, Refusal> {
        use Command::{CancelAtPeriodEnd, CancelNow, Pause, PauseAtPeriodEnd, Resume, Unpause};
        use Status::{Active, Canceled, Expired, Incomplete, PastDue, Paused};

        self.is_charged_here()?;
        match (&self.status, command) {
            (Incomplete, CancelAtPeriodEnd | CancelNow) => Ok(vec![canceled(CancelReason::Requested, now)]),
            (Incomplete, Resume | Pause | PauseAtPeriodEnd | Unpause) => Err(Refusal::NotActive),
            (Active { cancel_at_period_end: false, .. }, CancelAtPeriodEnd) => Ok(vec![Event::CancellationScheduled]),
            (Active { cancel_at_period_end: true, .. }, Resume) if self.is_over(now) => Err(Refusal::Ended),
            (Active { cancel_at_period_end: true, .. }, Resume) => Ok(vec![Event::CancellationRevoked]),
            (Active { .. }, Resume) if self.pausing => Ok(vec![Event::PauseRevoked]),
            (Active { .. }, Resume) if self.scheduled.is_some() => match self.open.is_some() || self.is_over(now) {
                // What is being paid already is for what was scheduled.
                true => Err(Refusal::ChargeRunning),
                false => Ok(vec![Event::ChangeRevoked]),
            },
            (Active { .. }, CancelAtPeriodEnd | Resume | Unpause) => Ok(vec![]),
            (Active { cancel_at_period_end: true, .. }, Pause | PauseAtPeriodEnd) => Err(Refusal::Leaving),
            (Active { .. }, Pause | PauseAtPeriodEnd) if self.is_trialing() => Err(Refusal::Trialing),
            (Active { .. }, Pause | PauseAtPeriodEnd) if !self.order.price.recurring => Err(Refusal::NotWithinPeriod),
            (Active { .. }, Pause | PauseAtPeriodEnd) if self.open.is_some() || self.is_over(now) => {
                Err(Refusal::ChargeRunning)
            }
            (Active { .. }, Pause) => Ok(vec![Event::Paused { at: now }]),
            (Active { .. }, PauseAtPeriodEnd) if self.pausing => Ok(vec![]),
            (Active { .. }, PauseAtPeriodEnd) => Ok(vec![Event::PauseScheduled]),
            (Paused { .. }, Unpause) => Ok(vec![Event::Unpaused { at: now }]),
            (Paused { .. }, Pause | PauseAtPeriodEnd) => Ok(vec![]),
            (Paused { .. }, Resume) => Err(Refusal::Paused),
            (Paused { .. }, CancelAtPeriodEnd | CancelNow) => Ok(vec![canceled(CancelReason::Requested, now)]),
            (PastDue { .. }, Pause | PauseAtPeriodEnd) => Err(Refusal::PaymentOwed),
            // The period is over: its end is now. No further charge (PRODUCT 9).
            (PastDue { .. }, CancelAtPeriodEnd) | (Active { .. } | PastDue { .. }, CancelNow) => {
                Ok(vec![canceled(CancelReason::Requested, now)])
            }
            // What was scheduled is what is owed.
            (PastDue { .. }, Resume) if self.scheduled.is_some() => Err(Refusal::PaymentOwed),
            (PastDue { .. }, Resume | Unpause) => Ok(vec![]),
            (Canceled { .. } | Expired { .. }, CancelAtPeriodEnd | CancelNow) => Ok(vec![]),
            (Canceled { .. } | Expired { .. }, Resume | Pause | PauseAtPeriodEnd | Unpause) => Err(Refusal::Ended),
        }
    }

    /// What follows from `fact`, given the `methods` that could be charged, the preferred one first.
    pub fn record(&self, fact: Fact, methods: &[MethodId], now: Timestamp) -> Vec<Event> {
        use Fact::{Abandoned, Declined, DisputeLost, DisputeWon, Disputed, MethodAdded, NoMethod, Paid, Returned};
        use Status::{Active, Canceled, Expired, Incomplete, PastDue, Paused};

        match (&self.status, fact) {
            // For an earlier subscription: it ended, and this one owes nothing for it.
            (_, Paid { payment, .. }) if payment.subscription != self.id || self.is_driven() => {
                vec![Event::RefundOwed { payment }]
            }
            // Whatever else there is to say of it is said where it is driven.
            _ if self.is_driven() => vec![],

            (Incomplete | Expired { term: None, .. }, Paid { payment, order, amount }) => {
                let order = order.unwrap_or_else(|| Box::new(self.order.clone()));
                vec![Event::Activated { payment, order, at: now, paid: Some(amount) }]
            }
            // The period that it was for is over: it would be for time that never was.
            (Active { .. }, Paid { payment, .. }) if self.is_changed_by(&payment) && self.is_over(now) => {
                vec![Event::ChangeDeclined { payment: payment.clone() }, Event::RefundOwed { payment }]
            }
            (Active { .. }, Paid { payment, amount, .. }) if self.is_changed_by(&payment) => {
                self.changed_by(payment, amount)
            }
            (Active { .. } | PastDue { .. }, Paid { payment, amount, .. }) if self.owes(&payment) => {
                vec![Event::Renewed { payment, paid: Some(amount) }]
            }
            (
                Active { .. } | PastDue { .. } | Paused { .. } | Canceled { .. } | Expired { term: Some(_), .. },
                Paid { payment, .. },
            ) => vec![Event::RefundOwed { payment }],

            // A charge for what was ordered and nobody has yet. What happens on a page is told when it ends.
            (Incomplete, Declined { payment, .. }) if self.waits_for(&payment) => vec![Event::Expired { at: now }],

            (Active { .. }, Declined { payment, .. }) if self.is_changed_by(&payment) => {
                vec![Event::ChangeDeclined { payment }]
            }
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
            (
                Incomplete | Active { .. } | PastDue { .. } | Paused { .. } | Canceled { .. } | Expired { .. },
                Declined { .. },
            ) => vec![],

            (Incomplete, Abandoned { payment }) if self.waits_for(&payment) => vec![Event::Expired { at: now }],
            (Active { .. } | PastDue { .. }, Abandoned { payment }) if self.waits_for(&payment) => {
                vec![Event::AttemptEnded { payment }]
            }
            (
                Incomplete | Active { .. } | PastDue { .. } | Paused { .. } | Canceled { .. } | Expired { .. },
                Abandoned { .. },
            ) => vec![],

            (Active { .. } | PastDue { .. }, NoMethod) => vec![self.missed(None, methods, now)],
            (Incomplete | Paused { .. } | Canceled { .. } | Expired { .. }, NoMethod) => vec![],

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
            (Incomplete | Active { .. } | Paused { .. } | Canceled { .. } | Expired { .. }, MethodAdded { .. }) => {
                vec![]
            }

            // What was credited of an earlier subscription's payments is in the balance now.
            (_, Returned { payment, amount }) => vec![Event::Returned { payment, amount }],
            (_, Disputed { payment } | DisputeWon { payment } | DisputeLost { payment })
                if payment.subscription != self.id =>
            {
                vec![]
            }
            (Incomplete | Active { .. } | Paused { .. } | Expired { term: None, .. }, Disputed { payment }) => {
                vec![Event::Disputed { payment }]
            }
            (PastDue { .. }, Disputed { .. })
            | (Active { .. } | PastDue { .. } | Paused { .. }, DisputeLost { .. }) => {
                vec![canceled(CancelReason::Disputed, now)]
            }
            // Money of an order that was never granted: it is what it was paid for that a dispute ends.
            (
                Incomplete | Active { .. } | Paused { .. } | Expired { term: None, .. },
                DisputeWon { payment } | DisputeLost { payment },
            ) if self.disputed.contains(&payment) => vec![Event::DisputeSettled { payment }],
            (
                Incomplete | Active { .. } | PastDue { .. } | Paused { .. } | Canceled { .. } | Expired { .. },
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
            Status::Active { .. } if self.changing.is_some() => Some(Due::ChangeOver),
            Status::Active { cancel_at_period_end: true, .. } => Some(Due::Cancellation(CancelReason::Requested)),
            Status::Active { .. } if !self.disputed.is_empty() => Some(Due::Cancellation(CancelReason::Disputed)),
            Status::Active { .. } if self.is_trialing() && !self.is_over(now) => Some(Due::Reminder),
            Status::Active { .. } if self.pausing => Some(Due::Pause),
            Status::Active { cancel_at_period_end: false, .. } if self.order.price.recurring || self.is_trialing() => {
                Some(Due::Payment)
            }
            Status::Active { cancel_at_period_end: false, .. } => Some(Due::Expiry),
            Status::PastDue { dunning: Dunning::Retry { .. }, .. } => Some(Due::Payment),
            Status::PastDue { dunning: Dunning::Grace { .. }, .. } => Some(Due::Cancellation(CancelReason::Unpaid)),
            Status::Incomplete | Status::Paused { .. } | Status::Canceled { .. } | Status::Expired { .. } => None,
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
        // Nor does a renewal wait for what would have changed the period before.
        let in_grace = matches!(self.status, Status::PastDue { dunning: Dunning::Grace { .. }, .. });
        if self.open.is_some() && self.changing.is_none() && !in_grace {
            return None;
        }
        let due_at = match &self.status {
            Status::Active { cancel_at_period_end: false, .. } if self.is_trialing() && !self.reminded => {
                self.trial.map(|trial| trial.reminder_at(&TimeZone::UTC))
            }
            Status::Active { .. } => self.period().map(|period| period.end),
            Status::PastDue { dunning, .. } => Some(dunning.due_at()),
            Status::Incomplete | Status::Paused { .. } | Status::Canceled { .. } | Status::Expired { .. } => None,
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
            Event::Activated { order, at, paid, .. } => {
                self.order = Order::clone(order);
                let term = Term::first(*at);
                self.status = Status::Active { term, cancel_at_period_end: false };
                self.begins(term, *paid);
            }
            Event::TrialStarted { order, trial } => {
                let ends_at = trial.ends_at(&TimeZone::UTC);
                let term = Term { until: Some(ends_at), ..Term::first(trial.start) };
                self.order = Order::clone(order);
                self.status = Status::Active { term, cancel_at_period_end: false };
                (self.trial, self.had_trial) = (Some(*trial), true);
                let nothing = Money::zero(self.order.price.amount.currency);
                self.worth = Some(Worth { amount: nothing, at: trial.start, by: self.order.plan.proration });
                self.settle_price(term, nothing, nothing, trial.start);
                self.starts_afresh();
            }
            Event::TrialEnding { .. } => self.reminded = true,
            Event::PauseScheduled | Event::PauseRevoked => self.pausing = matches!(event, Event::PauseScheduled),
            Event::Paused { at } => {
                self.pausing = false;
                if let Some(term) = self.term() {
                    self.status = Status::Paused { term, at: *at };
                }
            }
            Event::Unpaused { at } => {
                if let Status::Paused { term, at: since } = self.status {
                    let by = at.duration_since(since);
                    let term = term.lasting(later(term.period(self.order.price.interval), by));
                    self.worth = self.worth.map(|worth| Worth { at: after(worth.at, by), ..worth });
                    self.status = Status::Active { term, cancel_at_period_end: false };
                }
            }
            Event::Renewed { paid, .. } => {
                let leaving = matches!(self.status, Status::Active { cancel_at_period_end: true, .. });
                if let Some(term) = self.term() {
                    let term = self.next_term(term);
                    self.order = self.scheduled.take().map_or(self.order, |order| *order);
                    self.status = Status::Active { term, cancel_at_period_end: leaving };
                    self.begins(term, *paid);
                }
            }
            Event::Returned { payment, amount } => {
                self.return_from(payment.subscription.number, payment.period, *amount);
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
            Event::AttemptEnded { .. } | Event::ChangeDeclined { .. } => (self.open, self.changing) = (None, None),
            Event::ChangeScheduled { order } => self.scheduled = Some(order.clone()),
            Event::ChangeRevoked | Event::ChangeBlocked => self.scheduled = None,
            Event::Changed { becomes, paid, .. } => return self.changed(becomes, *paid),
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
                self.changing = None;
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
        Some(term.period(self.order.price.interval))
    }

    pub fn term(&self) -> Option<Term> {
        match &self.status {
            Status::Active { term, .. } | Status::PastDue { term, .. } | Status::Paused { term, .. } => Some(*term),
            Status::Canceled { term, .. } | Status::Expired { term, .. } => *term,
            Status::Incomplete => None,
        }
    }

    /// How it begins if its plan has a trial, and its customer never had one.
    pub(crate) fn trial_on_offer(&self, now: Timestamp) -> Option<Event> {
        let days = self.order.plan.trial_days.filter(|_| !self.had_trial)?;
        let trial = Trial { start: now, days, kind: Kind::Free };
        Some(Event::TrialStarted { order: Box::new(self.order.clone()), trial })
    }

    /// Whether the trial is running.
    pub fn is_trialing(&self) -> bool {
        self.trial.is_some() && matches!(self.status, Status::Active { term: Term { index: 0, .. }, .. })
    }

    /// Whether the customer is served: until it ends, or grace does.
    pub fn is_live(&self) -> bool {
        match &self.status {
            Status::Active { .. } | Status::PastDue { .. } => true,
            Status::Incomplete | Status::Paused { .. } | Status::Canceled { .. } | Status::Expired { .. } => false,
        }
    }

    /// Whether what is paid on the page of `payment` would open or renew this subscription.
    pub fn welcomes(&self, payment: &PaymentId) -> bool {
        match &self.status {
            _ if self.is_driven() => false,
            Status::Incomplete | Status::Expired { term: None, .. } => self.id == payment.subscription,
            Status::Active { .. } | Status::PastDue { .. } => self.owes(payment),
            Status::Paused { .. } | Status::Canceled { .. } | Status::Expired { term: Some(_), .. } => false,
        }
    }

    /// Whether another attempt to collect may be made or repeated at all.
    pub fn wants_payment(&self, payment: &PaymentId) -> bool {
        self.id == payment.subscription && self.is_live() && self.owes(payment)
    }

    fn owes(&self, payment: &PaymentId) -> bool {
        let for_next = |term: Term| payment.period == term.index + 1 && !payment.is_for_change();
        payment.subscription == self.id
            && !self.is_driven()
            && (self.term().is_some_and(for_next) || self.is_changed_by(payment))
    }

    /// Whether the period that is paid for is over.
    fn is_over(&self, now: Timestamp) -> bool {
        self.period().is_some_and(|period| period.end <= now)
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

    /// The period of `term` begins, and is paid for: with so much, where that was not the price.
    fn begins(&mut self, term: Term, paid: Option<Money>) {
        let (price, at) = (self.order.price_sold(), term.period(self.order.price.interval).start);
        self.worth = None;
        self.settle_price(term, price, paid.unwrap_or(price), at);
        self.starts_afresh();
    }

    fn starts_afresh(&mut self) {
        (self.open, self.changing, self.attempts) = (None, None, 0);
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

/// What is left of `period` is left still, so much later.
fn later(period: Period, by: SignedDuration) -> Period {
    Period { start: after(period.start, by), end: after(period.end, by) }
}

fn canceled(reason: CancelReason, at: Timestamp) -> Event {
    Event::Canceled { at, reason }
}

#[cfg(test)]
mod tests;
