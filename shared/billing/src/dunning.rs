//! Dunning: when a declined renewal is tried again, with what, and when we give up.
//!
//! So many retries after the first failure, then grace, then suspension: as the
//! plan has it ([`ladder`]), by default as PRODUCT 9 does. A method that cannot work again
//! is not tried again; another that the customer has left is, at once. That
//! small debts may add up first ([`campaign`]) is beside this.

pub mod campaign;
pub mod ladder;

use crate::id::{MethodId, PaymentId};
use crate::outcome::{Decline, Remedy};
use jiff::{SignedDuration, Timestamp};
use ladder::DunningPolicy;
use serde::{Deserialize, Serialize};

/// Issuers advise to wait for up to ten days; nobody is served unpaid for as long as three such waits take.
const LONGEST_WAIT: SignedDuration = days(6);

/// The most attempts one period can see where a plan says nothing.
#[cfg(test)]
pub(crate) const MOST_ATTEMPTS: usize = 4;

/// How often a method is charged whose issuer gives no reason (Visa and
/// Mastercard fine merchants who go on).
const FEW: usize = 2;

/// One failed attempt to collect the period that is owed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    pub payment: PaymentId,
    /// None: the customer has mended it since, or left another in its place.
    pub method: Option<MethodId>,
    pub code: String,
    pub remedy: Remedy,
    /// Where the customer may mend it, if the gateway said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
    /// Not before this is the same method charged again.
    pub again_at: Timestamp,
}

impl Failure {
    /// The failure that comes after `earlier` ones for the same period.
    pub fn new(
        payment: PaymentId,
        method: Option<MethodId>,
        decline: Decline,
        earlier: usize,
        policy: &DunningPolicy,
        now: Timestamp,
    ) -> Self {
        let ladder = policy.wait_after(earlier);
        let advised = SignedDuration::from_hours(decline.wait_h.unwrap_or_default().into()).min(LONGEST_WAIT);
        let Decline { code, remedy, link, .. } = decline;
        Self { payment, method, code, remedy, link, again_at: after(now, ladder.max(advised)) }
    }
}

/// When `method` may be charged for what is owed. None: no more.
pub fn ready_at(method: &MethodId, failures: &[Failure], now: Timestamp) -> Option<Timestamp> {
    let of_method = || failures.iter().filter(|failure| failure.method.as_ref() == Some(method));
    match of_method().next_back() {
        None => Some(now),
        Some(last) => match last.remedy {
            Remedy::RetryLater | Remedy::OurFault => Some(last.again_at),
            Remedy::FewTries => (of_method().count() < FEW).then_some(last.again_at),
            Remedy::AskCustomer | Remedy::NewMethod => None,
        },
    }
}

/// What a subscription that owes money waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "stage", rename_all = "snake_case")]
pub enum Dunning {
    Retry {
        at: Timestamp,
    },
    Grace {
        ends_at: Timestamp,
    },
    /// For the customer alone: nothing is served meanwhile.
    Suspended {
        until: Timestamp,
    },
}

impl Dunning {
    /// What follows `failures`, given the methods that could be charged.
    ///
    /// While the customer is asked to do something nothing else is charged: they may be doing it.
    pub fn after(failures: &[Failure], methods: &[MethodId], policy: &DunningPolicy, now: Timestamp) -> Self {
        let ready = methods.iter().filter_map(|method| ready_at(method, failures, now)).min();
        let asked = failures.last().is_some_and(|last| last.remedy == Remedy::AskCustomer && last.method.is_some());
        match ready.filter(|_| failures.len() < policy.most_attempts() && !asked) {
            Some(at) => Self::Retry { at },
            None => Self::Grace { ends_at: after(now, policy.grace()) },
        }
    }

    pub fn due_at(self) -> Timestamp {
        match self {
            Self::Retry { at } => at,
            Self::Grace { ends_at } => ends_at,
            Self::Suspended { until } => until,
        }
    }
}

/// `now` and a while, or the end of time.
pub(crate) fn after(now: Timestamp, wait: SignedDuration) -> Timestamp {
    now.saturating_add(wait).unwrap_or(Timestamp::MAX)
}

pub(crate) const fn days(days: i64) -> SignedDuration {
    SignedDuration::from_hours(24 * days)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::subscription::{Fact, Status};
    use crate::testing::{active, instant, method, off_session_payment};

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn methods(tokens: &[&str]) -> Vec<MethodId> {
        tokens.iter().map(|token| method(token).id()).collect()
    }

    /// Attempts that failed one after the other, each at once after the one before.
    fn failed(attempts: &[(&str, Remedy)]) -> Vec<Failure> {
        let failure = |(earlier, (token, remedy)): (usize, &(&str, Remedy))| {
            let decline = Decline::new("declined", *remedy);
            Failure::new(
                off_session_payment().id,
                Some(method(token).id()),
                decline,
                earlier,
                &DunningPolicy::default(),
                NOW,
            )
        };
        attempts.iter().enumerate().map(failure).collect()
    }

    fn retried_after_days(attempts: &[(&str, Remedy)], tokens: &[&str]) -> Option<i64> {
        match Dunning::after(&failed(attempts), &methods(tokens), &DunningPolicy::default(), NOW) {
            Dunning::Retry { at } => Some(at.as_second() / 86_400),
            Dunning::Grace { .. } | Dunning::Suspended { .. } => None,
        }
    }

    #[test]
    fn three_retries_means_exactly_three() {
        let soft = [("A", Remedy::RetryLater); 5];
        let waits: Vec<_> = (1..=5).map(|failures| retried_after_days(&soft[..failures], &["A"])).collect();
        assert_eq!(waits, [Some(1), Some(2), Some(2), None, None]);
    }

    #[test]
    fn a_plan_has_a_ladder_of_its_own() {
        let soft = failed(&[("A", Remedy::RetryLater); 4]);
        let policy =
            |days: &[u16]| DunningPolicy { retry_after_days: days.to_vec(), grace_days: 7, ..DunningPolicy::default() };
        let after = |failures: usize, days: &[u16]| {
            let failed = soft[..failures].iter().cloned().enumerate().map(|(earlier, failure)| {
                let decline = Decline::new("declined", Remedy::RetryLater);
                Failure::new(failure.payment, failure.method, decline, earlier, &policy(days), NOW)
            });
            match Dunning::after(&failed.collect::<Vec<_>>(), &methods(&["A"]), &policy(days), NOW) {
                Dunning::Retry { at } => at.as_second() / 86_400,
                Dunning::Grace { ends_at } => -(ends_at.as_second() / 86_400),
                Dunning::Suspended { .. } => 0,
            }
        };
        // A retry on days 2 and 9, each counted from the failure before; then a week of grace.
        assert_eq!([1, 2, 3].map(|failures| after(failures, &[2, 9])), [2, 7, -7]);
        assert_eq!([after(1, &[]), after(1, &[60])], [-7, 60]);
    }

    #[test]
    fn a_subscription_is_dunned_by_the_plan_that_it_was_sold() {
        let mut patient = active();
        patient.order.plan.dunning =
            DunningPolicy { retry_after_days: vec![2], grace_days: 7, ..DunningPolicy::default() };
        let missed = |failures: usize| {
            let mut now = instant("2025-02-28T10:00:00Z");
            let mut subscription = patient.clone();
            for _ in 0..failures {
                let charging = subscription.charging(method("A"), now).unwrap_or_else(|refusal| panic!("{refusal}"));
                let (charged, payment) = charging;
                let decline = Decline::new("declined", Remedy::RetryLater);
                let fact = Fact::Declined { payment: payment.id, method: Some(method("A").id()), decline };
                let events = charged.record(fact, &methods(&["A"]), now);
                subscription = events.iter().fold(charged, |state, event| state.apply(event));
                now = subscription.due_at().unwrap_or(now);
            }
            subscription.status
        };
        let stage = |status| if let Status::PastDue { dunning, .. } = status { Some(dunning) } else { None };
        assert_eq!(stage(missed(1)), Some(Dunning::Retry { at: instant("2025-03-02T10:00:00Z") }));
        assert_eq!(stage(missed(2)), Some(Dunning::Grace { ends_at: instant("2025-03-09T10:00:00Z") }));
    }

    #[test]
    fn what_a_retry_cannot_mend_is_not_retried() {
        assert_eq!(retried_after_days(&[("A", Remedy::NewMethod)], &["A"]), None);
        assert_eq!(retried_after_days(&[("A", Remedy::AskCustomer)], &["A"]), None);
    }

    #[test]
    fn an_issuer_without_a_reason_is_asked_twice() {
        let vague = [("A", Remedy::FewTries); 2];
        assert_eq!(retried_after_days(&vague[..1], &["A"]), Some(1));
        assert_eq!(retried_after_days(&vague, &["A"]), None);
    }

    #[test]
    fn our_own_fault_is_tried_as_long_as_any() {
        let ours = [("A", Remedy::OurFault); 4];
        assert_eq!(retried_after_days(&ours[..3], &["A"]), Some(2));
        assert_eq!(retried_after_days(&ours, &["A"]), None);
    }

    #[test]
    fn another_method_is_tried_at_once() {
        for remedy in [Remedy::RetryLater, Remedy::FewTries, Remedy::NewMethod, Remedy::OurFault] {
            assert_eq!(retried_after_days(&[("A", remedy)], &["A", "B"]), Some(0), "{remedy:?}");
        }
        // Who is asked to do something may be doing it.
        assert_eq!(retried_after_days(&[("A", Remedy::AskCustomer)], &["A", "B"]), None);
        // Both said no: the first waits its day, whatever the second waits.
        assert_eq!(retried_after_days(&[("A", Remedy::RetryLater), ("B", Remedy::RetryLater)], &["A", "B"]), Some(1));
        assert_eq!(retried_after_days(&[("A", Remedy::NewMethod), ("B", Remedy::RetryLater)], &["A", "B"]), Some(2));
    }

    #[test]
    fn an_issuers_advice_to_wait_longer_is_taken_and_to_wait_less_is_not() {
        let again_after_h = |wait_h| {
            let decline = Decline { wait_h, ..Decline::new("51", Remedy::RetryLater) };
            Failure::new(off_session_payment().id, None, decline, 0, &DunningPolicy::default(), NOW)
                .again_at
                .as_second()
                / 3_600
        };
        assert_eq!([None, Some(1), Some(96), Some(240)].map(again_after_h), [24, 24, 96, 144]);
    }

    #[test]
    fn grace_lasts_three_days() {
        let grace =
            Dunning::after(&failed(&[("A", Remedy::NewMethod)]), &methods(&["A"]), &DunningPolicy::default(), NOW);
        assert_eq!(grace.due_at().to_string(), "1970-01-04T00:00:00Z");
    }
}
