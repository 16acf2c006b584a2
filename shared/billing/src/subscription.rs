//! The subscription state machine.
//!
//! ```text
//!               paid                   declined
//!  Incomplete ────────▶ Active ───────────────────▶ PastDue ─┐ declined,
//!    │    ▲             │ ▲ └▶ paid: next period    │  ▲     │ attempts left,
//!    │    │ paid late   │ └──────── paid ───────────┤  └─────┘ or grace over: suspended
//!    ▼    │             │ period over, not renewing │ suspension over
//!   Expired ◀───────────┴───────▶ Canceled ◀────────┘
//! ```
//!
//! Who is suspended is past due still, and not served: what they pay then restores what was left of the period
//! ([`suspension`]).
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
mod due;
mod facts;
mod funds;
mod interventions;
mod late;
mod metering;
mod outlook;
mod periods;
mod repricing;
mod requests;
mod suspension;
mod taken_over;
mod term;
mod words;

use crate::calendar::zone::Zone;
use crate::catalog::Plan;
use crate::discount::Discount;
use crate::driven::Driven;
use crate::dunning::{Dunning, Failure};
use crate::id::{BrandId, CouponCode, CustomerId, PaymentId, SubscriptionId};
use crate::mail::Contact;
use crate::money::Money;
use crate::trial::Trial;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

pub use crate::order::Order;
pub use change::{Action, Becomes, Change, ChangeLine, Changing, Effective, Preview};
pub use funds::{Fund, Worth};
pub use interventions::Intervention;
pub use late::{CountedLate, Sold};
pub use metering::UsageLine;
pub use outlook::{Outlook, PreviewId};
pub use repricing::{PriceChange, Repriced};
pub use taken_over::{Running, Takeover, Unfit};
pub use term::Term;
pub use words::{Command, Due, Event, Fact, Refusal};

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
    /// Until when that period is waited for, once it is suspended: it is once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspended_until: Option<Timestamp>,
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
    /// What was used beyond limits and is on the next invoice.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub usage_charges: Vec<UsageLine>,
    /// The same of what was told late, when that invoice was made: it is on the one after it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub late_charges: Vec<UsageLine>,
    /// The last period of which all that was used is on an invoice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage_billed: Option<u32>,
    /// How many payments there were for changes: their number names them.
    #[serde(default)]
    pub changes: u32,
    /// What the next period is to be, if it is to be another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduled: Option<Box<Order>>,
    /// What is to become of the price of the plan that it is of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price_change: Option<Box<PriceChange>>,
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
    /// How often the customer has redeemed each coupon, for this subscription and all before it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub redeemed: BTreeMap<CouponCode, u32>,
    /// The change that is made once its payment is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changing: Option<Box<Changing>>,
    /// The payments of this subscription about which a bank is deciding.
    pub disputed: BTreeSet<PaymentId>,
    /// How the customer is told that they must act. None: nobody knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contact: Option<Contact>,
    /// Under whose name that is. None: the deployment's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub brand: Option<BrandId>,
    /// On whose clock its periods are counted: the one that was named when it was ordered, and kept once it has begun.
    #[serde(default, skip_serializing_if = "Zone::is_utc")]
    pub time_zone: Zone,
    pub created_at: Timestamp,
    pub status: Status,
    /// How it was taken over from elsewhere last, it or one before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken_over: Option<Takeover>,
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

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CancelReason {
    Requested,
    Unpaid,
    /// A payment for it was charged back.
    Disputed,
}

impl Subscription {
    /// The subscription after `event`. Total: what happened always applies.
    #[must_use]
    pub fn apply(mut self, event: &Event) -> Self {
        match event {
            Event::Activated { order, at, paid, .. } => {
                self.order = Order::clone(order);
                self.redeems();
                let term = Term::first(*at).bought(&self.order.price, &self.time_zone);
                self.status = Status::Active { term, cancel_at_period_end: false };
                self.begins(term, *paid);
            }
            Event::TrialStarted { order, trial } => {
                let ends_at = trial.ends_at(&self.time_zone);
                let term = Term { until: Some(ends_at), ..Term::first(trial.start) };
                self.order = Order::clone(order);
                self.redeems();
                self.status = Status::Active { term, cancel_at_period_end: false };
                (self.trial, self.had_trial) = (Some(*trial), true);
                let nothing = Money::zero(self.order.price.amount.currency);
                self.worth = Some(Worth { amount: nothing, at: trial.start, by: self.order.plan.proration });
                self.settle_price(term, nothing, nothing, trial.start);
                self.starts_afresh();
            }
            Event::TrialEnding { .. } => self.reminded = true,
            Event::Discounted { discount } => {
                let given = Discount::clone(discount);
                self.order.discount = Some(match self.order.discount.take() {
                    Some(held) => held.followed_by(given),
                    None => given,
                });
            }
            Event::PauseScheduled | Event::PauseRevoked => self.pausing = matches!(event, Event::PauseScheduled),
            Event::Paused { at } => {
                self.pausing = false;
                if let Some(term) = self.term() {
                    self.status = Status::Paused { term, at: *at };
                }
            }
            Event::Unpaused { at } => {
                if let Status::Paused { term, at: since } = self.status {
                    self.put_off(term, at.duration_since(since));
                }
            }
            Event::Renewed { paid, .. } => {
                if let Some(term) = self.goes_on() {
                    self.begins(term, *paid);
                }
            }
            Event::Restored { paid, since, at, .. } => {
                if let Some(term) = self.goes_on() {
                    self.begins(term, Some(*paid));
                    self.put_off(term, at.duration_since(*since));
                }
            }
            Event::Suspended { at, until } => {
                self.grace_ends_at.get_or_insert(*at);
                self.suspended_until = Some(*until);
                if let Status::PastDue { dunning, .. } = &mut self.status {
                    *dunning = Dunning::Suspended { until: *until };
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
                    self.failures = facts::mended_by(&self.failures, method);
                }
                if let Status::PastDue { dunning, .. } = &mut self.status {
                    *dunning = Dunning::Retry { at: *at };
                }
            }
            Event::AttemptEnded { .. } | Event::ChangeDeclined { .. } => (self.open, self.changing) = (None, None),
            Event::ChangeScheduled { order } => self.scheduled = Some(order.clone()),
            Event::ChangeRevoked | Event::ChangeBlocked => self.scheduled = None,
            Event::Changed { becomes, paid, .. } => return self.changed(becomes, *paid),
            Event::PriceChangeAnnounced { plan, notice_days } => {
                let plan = Plan::clone(plan);
                self.price_change = Some(Box::new(PriceChange { plan, notice_days: *notice_days, from: None }));
            }
            Event::PriceChangeTold { from } => {
                self.price_change = self.price_change.map(|it| Box::new(PriceChange { from: Some(*from), ..*it }));
            }
            Event::PriceChangeRevoked => self.price_change = None,
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
            Event::TakenOver { order, term, paid, at, .. } => self.goes_on_here(order, *term, *paid, *at),
            Event::EndMoved { at, end } => self.end_moved(*at, *end),
            Event::Branded { brand } => self.brand.clone_from(brand),
            Event::UsageBilled { closed, lines } => {
                self.usage_billed = closed.or(self.usage_billed);
                self.usage_charges.extend(lines.iter().cloned());
            }
            Event::CountedLate { lines, .. } => self.owes_for_late(lines),
            // The balance and the counter are records of their own.
            Event::TokensReset { .. }
            | Event::TokensTakenBack { .. }
            | Event::TokensPutBack { .. }
            | Event::CounterRebuilt { .. }
            | Event::DaysRebuilt { .. }
            | Event::RefundOwed { .. } => {}
        }
        self
    }

    /// The next period begins, of what was to be had then.
    fn goes_on(&mut self) -> Option<Term> {
        let term = self.term().map(|term| self.next_term(term))?;
        let leaving = matches!(self.status, Status::Active { cancel_at_period_end: true, .. });
        self.order = self.next_order();
        self.scheduled = None;
        self.status = Status::Active { term, cancel_at_period_end: leaving };
        self.forgets_price();
        Some(term)
    }

    /// Whether the trial is running.
    pub fn is_trialing(&self) -> bool {
        self.trial.is_some() && matches!(self.status, Status::Active { term: Term { index: 0, .. }, .. })
    }

    /// Whether the customer is served: until it ends, or is suspended.
    pub fn is_live(&self) -> bool {
        match &self.status {
            Status::Active { .. } => true,
            Status::PastDue { .. } => self.suspended_until.is_none(),
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

    /// Whether another attempt to collect may be made or repeated at all: of what has not begun yet, the one that it waits for.
    pub fn wants_payment(&self, payment: &PaymentId) -> bool {
        match &self.status {
            Status::Incomplete => self.waits_for(payment),
            Status::Active { .. } | Status::PastDue { .. } => self.owes(payment),
            Status::Paused { .. } | Status::Canceled { .. } | Status::Expired { .. } => false,
        }
    }

    fn owes(&self, payment: &PaymentId) -> bool {
        let for_next = |term: Term| payment.period == term.index + 1 && !payment.is_for_change();
        payment.subscription == self.id
            && !self.is_driven()
            && (self.term().is_some_and(for_next) || self.is_changed_by(payment))
    }

    pub(crate) fn waits_for(&self, payment: &PaymentId) -> bool {
        self.open.as_ref() == Some(payment)
    }

    /// The period of `term` begins, and is paid for: with so much, where that was not the price.
    fn begins(&mut self, term: Term, paid: Option<Money>) {
        let (price, at) = (self.order.price_sold(), self.period_of(term).start);
        let used_up = self.settle_usage(price.currency);
        self.worth = None;
        let due = price.with_more(used_up);
        self.settle_price(term, due, paid.unwrap_or(due), at);
        self.use_up(term, used_up);
        self.starts_afresh();
    }

    fn redeems(&mut self) {
        if let Some(code) = self.order.discount.as_ref().and_then(|discount| discount.coupon.clone()) {
            *self.redeemed.entry(code).or_default() += 1;
        }
    }

    fn starts_afresh(&mut self) {
        (self.open, self.changing, self.attempts) = (None, None, 0);
        (self.grace_ends_at, self.suspended_until, self.held_until) = (None, None, None);
        self.failures.clear();
    }
}

fn canceled(reason: CancelReason, at: Timestamp) -> Event {
    Event::Canceled { at, reason }
}

#[cfg(test)]
mod tests;
