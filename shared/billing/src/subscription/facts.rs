//! What follows from what has happened to a subscription's payments: it may not be refused.

use super::{CancelReason, Event, Fact, Status, Subscription, canceled};
use crate::dunning::{Dunning, Failure};
use crate::id::MethodId;
use crate::outcome::Remedy;
use jiff::Timestamp;

impl Subscription {
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
                let order = order.unwrap_or_else(|| Box::new(self.next_order()));
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
                vec![self.renewing(payment, amount, now)]
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
                match self.dunning_after(failures.as_ref().unwrap_or(&self.failures), methods, now) {
                    Dunning::Retry { at } if !matches!(dunning, Dunning::Retry { .. }) || at < dunning.due_at() => {
                        vec![Event::RetryScheduled { at, mended }]
                    }
                    Dunning::Retry { .. } | Dunning::Grace { .. } | Dunning::Suspended { .. } => vec![],
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
                self.unchanged_by(Event::Disputed { payment })
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

    fn missed(&self, failure: Option<Failure>, methods: &[MethodId], now: Timestamp) -> Event {
        let failures: Vec<Failure> = self.failures.iter().cloned().chain(failure.clone()).collect();
        Event::PaymentMissed { dunning: self.dunning_after(&failures, methods, now), failure }
    }

    /// What follows `failures`, given the `methods` that could be charged. Grace begins once, and so does suspension, in
    /// which nothing is charged by itself but what the customer has left just now.
    fn dunning_after(&self, failures: &[Failure], methods: &[MethodId], now: Timestamp) -> Dunning {
        let begun = (self.suspended_until, self.grace_ends_at);
        match (Dunning::after(failures, methods, &self.order.plan.dunning, now), begun) {
            (Dunning::Retry { at }, (Some(until), _)) if at > now => Dunning::Suspended { until },
            (Dunning::Grace { .. }, (Some(until), _)) => Dunning::Suspended { until },
            (Dunning::Grace { .. }, (None, Some(ends_at))) => Dunning::Grace { ends_at },
            (dunning, _) => dunning,
        }
    }
}

/// The failures when the customer has left `method`: it is as good as new. Who was asked to do something about another
/// has done this instead: that one is asked for no more.
pub(super) fn mended_by(failures: &[Failure], method: &MethodId) -> Vec<Failure> {
    let answered = |failure: &Failure| match &failure.method {
        Some(failed) if failed == method => Failure { method: None, ..failure.clone() },
        Some(_) if failure.remedy == Remedy::AskCustomer => Failure { remedy: Remedy::NewMethod, ..failure.clone() },
        Some(_) | None => failure.clone(),
    };
    failures.iter().map(answered).collect()
}
