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
//! A **request** ([`Command`]) may be refused; a **fact** ([`Fact`]) may not,
//! because money that has moved has moved. Both yield [`Event`]s, and
//! [`Subscription::apply`] is the only place that says what an event changes.

use crate::calendar::Period;
use crate::catalog::{Plan, Price, PricingModel};
use crate::dunning::Dunning;
use crate::id::{CustomerId, PaymentId, SubscriptionId};
use crate::money::Money;
use crate::outcome::Remedy;
use crate::payment::{CheckoutMethod, Gateway, Payer, Payment};
use crate::wallet::Method;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscription {
    pub id: SubscriptionId,
    pub customer: CustomerId,
    pub order: Order,
    /// The attempt whose outcome is not known. While there is one, no other is
    /// made for the same period.
    pub open: Option<PaymentId>,
    /// How many attempts were made to collect the period that is owed.
    pub attempts: u32,
    pub created_at: Timestamp,
    pub status: Status,
    /// Incremented by every commit; guards against lost updates.
    pub version: u64,
}

/// What was bought: one version of a plan, at one of its prices. It is kept
/// whole, so that a later change of the catalogue changes nobody's terms, and
/// so that a subscription is looked up in one request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    pub plan: Plan,
    pub price: Price,
    pub quantity: u32,
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
    Declined {
        payment: PaymentId,
        remedy: Remedy,
    },
    /// A checkout ended and nobody had paid.
    Abandoned {
        payment: PaymentId,
    },
    /// A payment is due and there is nothing to charge.
    NoMethod,
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
        payment: Option<PaymentId>,
        dunning: Dunning,
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
}

/// What time alone brings about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// The period after the current one is to be paid.
    Payment,
    Cancellation(CancelReason),
    Expiry,
}

impl Order {
    /// What one period costs.
    pub fn amount(&self) -> Result<Money, Refusal> {
        match (self.plan.pricing_model, self.quantity) {
            (PricingModel::PerSeat, quantity) => self.price.amount.times(quantity).ok_or(Refusal::TooExpensive),
            (PricingModel::Flat | PricingModel::Tokens, 1) => Ok(self.price.amount),
            (PricingModel::Flat | PricingModel::Tokens, _) => Err(Refusal::QuantityNotOne),
        }
    }
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
            created_at: now,
            status: Status::Incomplete,
            version: 0,
        };
        let Some(current) = current else { return Ok(first(SubscriptionId::nth(customer, 1))) };
        match &current.status {
            Status::Active { .. } | Status::PastDue { .. } => Err(Refusal::AlreadySubscribed),
            Status::Incomplete | Status::Expired { term: None, .. } => {
                Ok(Self { order, status: Status::Incomplete, ..current.clone() })
            }
            Status::Canceled { .. } | Status::Expired { term: Some(_), .. } => {
                Ok(Self { version: current.version, ..first(current.id.next()) })
            }
        }
    }

    /// A checkout for the first period, and the subscription waiting for it.
    pub fn checkout(
        mut self,
        gateway: Gateway,
        with: (Payer, CheckoutMethod, Option<String>),
        now: Timestamp,
    ) -> Result<(Self, Payment), Refusal> {
        let amount = self.order.amount()?;
        let id = self.next_attempt();
        let payment = Payment::checkout(id, self.customer.clone(), self.order.clone(), amount, gateway, with, now);
        self.open = Some(payment.id.clone());
        Ok((self, payment))
    }

    /// A charge for the period that is owed, and the subscription waiting for it.
    pub fn charging(mut self, method: Method, now: Timestamp) -> Result<(Self, Payment), Refusal> {
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

    /// What follows from `fact`, which reaches us once for each payment.
    pub fn record(&self, fact: Fact, now: Timestamp) -> Vec<Event> {
        use Fact::{Abandoned, Declined, NoMethod, Paid};
        use Status::{Active, Canceled, Expired, Incomplete, PastDue};

        match (&self.status, fact) {
            // For an earlier subscription: it ended, and this one owes nothing for it.
            (_, Paid { payment, .. }) if payment.subscription != self.id => vec![Event::RefundOwed { payment }],

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

            (Active { cancel_at_period_end, .. }, Declined { payment, remedy }) if self.waits_for(&payment) => {
                match cancel_at_period_end {
                    true => vec![canceled(CancelReason::Requested, now)],
                    false => vec![self.missed(Some(payment), remedy, now)],
                }
            }
            (PastDue { .. }, Declined { payment, remedy }) if self.waits_for(&payment) => {
                vec![self.missed(Some(payment), remedy, now)]
            }
            // On a page they may try another card; elsewhere it was settled otherwise.
            (Incomplete | Active { .. } | PastDue { .. } | Canceled { .. } | Expired { .. }, Declined { .. }) => vec![],

            (Incomplete, Abandoned { payment }) if self.waits_for(&payment) => vec![Event::Expired { at: now }],
            (Incomplete | Active { .. } | PastDue { .. } | Canceled { .. } | Expired { .. }, Abandoned { .. }) => {
                vec![]
            }

            (Active { .. } | PastDue { .. }, NoMethod) => vec![self.missed(None, Remedy::NewMethod, now)],
            (Incomplete | Canceled { .. } | Expired { .. }, NoMethod) => vec![],
        }
    }

    /// What is to be done now, whoever asks and however often.
    pub fn due(&self, now: Timestamp) -> Option<Due> {
        if now < self.due_at()? {
            return None;
        }
        match &self.status {
            Status::Active { cancel_at_period_end: true, .. } => Some(Due::Cancellation(CancelReason::Requested)),
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
    /// carries the alarm clock.
    pub fn due_at(&self) -> Option<Timestamp> {
        if self.open.is_some() {
            return None;
        }
        match &self.status {
            Status::Active { .. } => self.period().map(|period| period.end),
            Status::PastDue { dunning, .. } => Some(dunning.due_at()),
            Status::Incomplete | Status::Canceled { .. } | Status::Expired { .. } => None,
        }
    }

    /// The subscription after `event`. Total: what happened always applies.
    #[must_use]
    pub fn apply(mut self, event: &Event) -> Self {
        match event {
            Event::Activated { order, at, .. } => {
                self.order = Order::clone(order);
                let term = Term { anchor: *at, index: 0 };
                self.status = Status::Active { term, cancel_at_period_end: false };
                (self.open, self.attempts) = (None, 0);
            }
            Event::Renewed { .. } => {
                let leaving = matches!(self.status, Status::Active { cancel_at_period_end: true, .. });
                if let Some(term) = self.term() {
                    let term = Term { index: term.index + 1, ..term };
                    self.status = Status::Active { term, cancel_at_period_end: leaving };
                }
                (self.open, self.attempts) = (None, 0);
            }
            Event::PaymentMissed { dunning, .. } => {
                if let Some(term) = self.term() {
                    self.status = Status::PastDue { term, dunning: *dunning };
                }
                self.open = None;
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
            Event::RefundOwed { .. } => {}
        }
        self
    }

    /// The period that is paid for, if one ever was.
    pub fn period(&self) -> Option<Period> {
        let term = self.term()?;
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

    /// Whether another attempt to collect may be made or repeated at all.
    pub fn wants_payment(&self, payment: &PaymentId) -> bool {
        self.id == payment.subscription && self.is_live() && self.owes(payment)
    }

    fn owes(&self, payment: &PaymentId) -> bool {
        payment.subscription == self.id && self.term().is_some_and(|term| payment.period == term.index + 1)
    }

    fn waits_for(&self, payment: &PaymentId) -> bool {
        self.open.as_ref() == Some(payment)
    }

    fn next_attempt(&mut self) -> PaymentId {
        self.attempts += 1;
        let period = self.term().map_or(0, |term| term.index + 1);
        PaymentId { subscription: self.id.clone(), period, attempt: self.attempts }
    }

    fn missed(&self, payment: Option<PaymentId>, remedy: Remedy, now: Timestamp) -> Event {
        Event::PaymentMissed { payment, dunning: Dunning::after(self.attempts, remedy, now) }
    }
}

fn canceled(reason: CancelReason, at: Timestamp) -> Event {
    Event::Canceled { at, reason }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dunning::MOST_ATTEMPTS;
    use crate::testing::{active, customer, incomplete, instant, method, order};

    fn now() -> Timestamp {
        instant("2025-02-28T10:00:00Z")
    }

    /// The sample subscription after `failures` declined attempts.
    fn past_due(failures: u32) -> Subscription {
        (0..failures).fold(active(), |subscription, _| declined(subscription, Remedy::RetryLater))
    }

    fn charged(subscription: Subscription) -> Subscription {
        subscription.charging(method("AUTH_1"), now()).map_or_else(|it| panic!("{it}"), |(it, _)| it)
    }

    fn declined(subscription: Subscription, remedy: Remedy) -> Subscription {
        let waiting = charged(subscription);
        let Some(payment) = waiting.open.clone() else { panic!("no attempt is open") };
        told(waiting, Fact::Declined { payment, remedy })
    }

    fn told(subscription: Subscription, fact: Fact) -> Subscription {
        let events = subscription.record(fact, now());
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
        assert_eq!(late.record(paid(&attempt(1, 1)), now()), [Event::Renewed { payment: attempt(1, 1) }]);
    }

    #[test]
    fn a_second_payment_for_one_period_is_owed_back() {
        let renewed = told(charged(active()), paid(&attempt(1, 1)));
        assert_eq!(renewed.record(paid(&attempt(1, 2)), now()), [Event::RefundOwed { payment: attempt(1, 2) }]);
    }

    #[test]
    fn a_payment_after_cancellation_is_owed_back() {
        let gone = active().apply(&canceled(CancelReason::Unpaid, now()));
        assert_eq!(gone.record(paid(&attempt(1, 1)), now()), [Event::RefundOwed { payment: attempt(1, 1) }]);
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
        let missed = told(active(), Fact::NoMethod);
        assert!(matches!(missed.status, Status::PastDue { dunning: Dunning::Grace { .. }, .. }));
        assert_eq!(missed.attempts, 0);
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
        let left = told(leaving, Fact::Declined { payment: attempt(1, 1), remedy: Remedy::RetryLater });
        assert!(matches!(left.status, Status::Canceled { reason: CancelReason::Requested, .. }));
    }

    #[test]
    fn a_plan_that_does_not_recur_expires() {
        let mut once = active();
        once.order.price.recurring = false;
        assert_eq!(once.due(now()), Some(Due::Expiry));
        let over = once.apply(&Event::Expired { at: now() });
        assert_eq!(over.record(paid(&attempt(1, 1)), now()), [Event::RefundOwed { payment: attempt(1, 1) }]);
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
        assert_eq!(opened.record(paid(&attempt(0, 2)), now()), [Event::RefundOwed { payment: attempt(0, 2) }]);
    }

    fn checkout(subscription: Subscription) -> (Subscription, Payment) {
        let payer = Payer { email: None, known_as: None };
        let with = (payer, CheckoutMethod::Checkout, None);
        subscription.checkout(Gateway::Paystack, with, now()).unwrap_or_else(|refusal| panic!("{refusal}"))
    }

    #[test]
    fn only_the_newest_checkout_ends_the_order() {
        let (first, _) = checkout(incomplete());
        let (second, newest) = checkout(first);
        assert_eq!(second.record(Fact::Abandoned { payment: attempt(0, 1) }, now()), []);
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
        let events = next.map(|next| next.record(paid(&attempt(1, 1)), now()));
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
