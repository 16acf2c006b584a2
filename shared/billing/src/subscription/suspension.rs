//! Suspension: grace is over, and what is owed is not paid. Nothing is served, and nothing ends yet: the customer may
//! pay, and what was left of the period when they were served last is left then.

use super::{Event, Status, Subscription, Term};
use crate::calendar::Period;
use crate::dunning::after;
use crate::id::PaymentId;
use crate::money::Money;
use crate::subscription::Worth;
use jiff::{SignedDuration, Timestamp};

impl Subscription {
    /// Since when nothing is served for want of a payment: since grace was over, whether or not somebody has got round to
    /// it, and whatever is tried since then.
    pub(crate) fn unserved_since(&self, now: Timestamp) -> Option<Timestamp> {
        let owes = matches!(self.status, Status::PastDue { .. }) && !self.is_driven();
        self.grace_ends_at.filter(|ends_at| owes && (self.suspended_until.is_some() || *ends_at <= now))
    }

    /// Grace is over, and nobody has paid.
    pub(crate) fn suspending(&self, now: Timestamp) -> Event {
        let until = after(now, self.order.plan.dunning.suspension());
        Event::Suspended { at: self.grace_ends_at.unwrap_or(now), until }
    }

    /// The next period is paid for.
    pub(super) fn renewing(&self, payment: PaymentId, paid: Money, now: Timestamp) -> Event {
        match self.unserved_since(now) {
            Some(since) => Event::Restored { payment, paid, since, at: now.max(since) },
            None => Event::Renewed { payment, paid: Some(paid) },
        }
    }

    /// It goes on in `term`, of which is left what was left so long ago.
    pub(super) fn put_off(&mut self, term: Term, by: SignedDuration) {
        let Period { start, end } = self.period_of(term);
        let term = term.lasting(Period { start: after(start, by), end: after(end, by) });
        self.worth = self.worth.map(|worth| Worth { at: after(worth.at, by), ..worth });
        self.status = Status::Active { term, cancel_at_period_end: false };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calendar::Interval;
    use crate::dunning::{Dunning, days};
    use crate::id::{MethodId, PeriodId};
    use crate::outcome::{Decline, Remedy};
    use crate::payment::Gateway;
    use crate::subscription::{CancelReason, Command, Due, Fact, Refusal};
    use crate::testing::{active, customer, instant, method, order, page};

    /// The second period is owed from 28 February at ten on, and grace ends three days later.
    fn in_grace() -> Subscription {
        let owed = instant("2025-02-28T10:00:00Z");
        let charging = active().charging(method("AUTH_1"), owed);
        let (charged, payment) = charging.unwrap_or_else(|refusal| panic!("{refusal}"));
        let decline = Decline::new("declined", Remedy::NewMethod);
        let fact = Fact::Declined { payment: payment.id, method: Some(method("AUTH_1").id()), decline };
        after_all(&charged, &charged.record(fact, &methods(&["AUTH_1"]), owed))
    }

    const GRACE_ENDS: &str = "2025-03-03T10:00:00Z";

    fn suspended() -> Subscription {
        let now = instant(GRACE_ENDS);
        assert_eq!(in_grace().due(now), Some(Due::Suspension));
        in_grace().apply(&in_grace().suspending(now))
    }

    fn after_all(it: &Subscription, events: &[Event]) -> Subscription {
        events.iter().fold(it.clone(), |it, event| it.apply(event))
    }

    fn methods(tokens: &[&str]) -> Vec<MethodId> {
        tokens.iter().map(|token| method(token).id()).collect()
    }

    fn paid(of: &Subscription, now: Timestamp) -> (Vec<Event>, Subscription) {
        let (charged, payment) = of.clone().charging(method("AUTH_2"), now).unwrap_or_else(|it| panic!("{it}"));
        let fact = Fact::Paid { payment: payment.id, order: None, amount: payment.amount };
        let events = charged.record(fact, &[], now);
        let restored = after_all(&charged, &events);
        (events, restored)
    }

    fn dunning(it: &Subscription) -> Dunning {
        let Status::PastDue { dunning, .. } = it.status else { panic!("{:?}", it.status) };
        dunning
    }

    #[test]
    fn who_is_suspended_is_waited_for_for_as_long_as_the_plan_says() {
        let it = suspended();
        let until = instant("2025-04-02T10:00:00Z");
        assert_eq!((dunning(&it), it.is_live()), (Dunning::Suspended { until }, false));
        assert_eq!((it.due(until - days(1)), it.due_at()), (None, Some(until)));
        assert_eq!(it.due(until), Some(Due::Cancellation(CancelReason::Unpaid)));
        // A page that is open is no way to make it longer.
        let (open, _) =
            it.clone().recovery(page(Gateway::Paystack), instant(GRACE_ENDS)).unwrap_or_else(|it| panic!("{it}"));
        assert_eq!(open.due_at(), Some(until));
        for (suspension_days, due) in [(0, Due::Cancellation(CancelReason::Unpaid)), (1, Due::Suspension)] {
            let mut short = in_grace();
            short.order.plan.dunning.suspension_days = suspension_days;
            assert_eq!(short.due(instant(GRACE_ENDS)), Some(due), "{suspension_days}");
        }
    }

    #[test]
    fn what_was_left_when_grace_was_over_is_left_when_it_is_paid() {
        let (owed, ends) = (instant("2025-02-28T10:00:00Z"), instant("2025-03-31T10:00:00Z"));
        // The last of them pay in suspension that has begun by the clock only, or after the period would have been over.
        for (seconds, of) in
            [(-1, in_grace()), (0, in_grace()), (0, suspended()), (86_399, suspended()), (2_591_999, suspended())]
        {
            let now = instant(GRACE_ENDS) + SignedDuration::from_secs(seconds);
            let by = SignedDuration::from_secs(seconds.max(0));
            let (events, it) = paid(&of, now);
            let restored = matches!(events[..], [Event::Restored { .. }]);
            assert_eq!((events.len(), restored), (1, seconds >= 0), "{seconds}");
            assert_eq!(it.period(), Some(Period { start: owed + by, end: ends + by }), "{seconds}");
            assert_eq!((it.suspended_until, it.grace_ends_at, it.is_live()), (None, None, true), "{seconds}");
            // What follows is counted from its end.
            let (_, next) = paid(&it, ends + by);
            assert_eq!(next.period().map(|period| period.start), Some(ends + by), "{seconds}");
        }
    }

    /// Three days were served of periods of a day, and three days are paid for.
    #[test]
    fn who_was_served_for_longer_than_they_pay_for_owes_what_follows_at_once() {
        let now = instant("2025-03-10T10:00:00Z");
        let mut it = suspended();
        it.order.price.interval = Interval::Days(1);
        let owed_from = it.period().map(|period| period.end);
        assert_eq!(owed_from, Some(instant("2025-02-01T10:00:00Z")));
        it.grace_ends_at = owed_from.map(|from| from + days(3));
        for left in [2, 1, 0] {
            let (_, paid) = paid(&it, now);
            it = paid;
            assert_eq!(it.period().map(|period| period.end), Some(now - days(left)));
            assert_eq!(it.due(now), Some(Due::Payment));
        }
    }

    #[test]
    fn a_clock_that_is_behind_takes_nothing_from_what_is_left() {
        let (_, it) = paid(&suspended(), instant(GRACE_ENDS) - days(1));
        assert_eq!(it.period().map(|period| period.end), Some(instant("2025-03-31T10:00:00Z")));
    }

    #[test]
    fn a_retry_in_suspension_serves_nobody_and_leads_back_to_it() {
        let now = instant("2025-03-10T10:00:00Z");
        let added = Fact::MethodAdded { method: Some(method("AUTH_2").id()) };
        let it = suspended();
        let retried = after_all(&it, &it.record(added.clone(), &methods(&["AUTH_2", "AUTH_1"]), now));
        assert_eq!((dunning(&retried), retried.is_live()), (Dunning::Retry { at: now }, false));
        assert_eq!(retried.unserved_since(now), Some(instant(GRACE_ENDS)));
        let (charged, payment) = retried.charging(method("AUTH_2"), now).unwrap_or_else(|it| panic!("{it}"));
        assert!(charged.wants_payment(&payment.id), "it may be sent");
        let decline = Decline::new("declined", Remedy::NewMethod);
        let fact = Fact::Declined { payment: payment.id, method: Some(method("AUTH_2").id()), decline };
        let again = after_all(&charged, &charged.record(fact, &methods(&["AUTH_2", "AUTH_1"]), now));
        assert_eq!((dunning(&again), again.is_live()), (dunning(&suspended()), false));
        // Four attempts are four, however many methods are left.
        let failure = again.failures.last().cloned();
        let spent = Subscription { failures: failure.into_iter().cycle().take(4).collect(), ..again };
        assert_eq!(spent.record(added, &methods(&["AUTH_3"]), now), []);
    }

    /// Else it would not end when the mail says, and be charged by itself meanwhile.
    #[test]
    fn what_is_left_in_suspension_is_tried_at_once_or_not_by_itself() {
        let (until, now) = (instant("2025-04-02T10:00:00Z"), instant("2025-04-02T09:00:00Z"));
        let added = suspended().record(Fact::MethodAdded { method: None }, &methods(&["AUTH_2"]), now);
        let retried = after_all(&suspended(), &added);
        assert_eq!(dunning(&retried), Dunning::Retry { at: now });
        let (charged, payment) = retried.charging(method("AUTH_2"), now).unwrap_or_else(|refusal| panic!("{refusal}"));
        let decline = Decline::new("insufficient_funds", Remedy::RetryLater);
        let fact = Fact::Declined { payment: payment.id, method: Some(method("AUTH_2").id()), decline };
        let declined = after_all(&charged, &charged.record(fact, &methods(&["AUTH_2"]), now));
        assert_eq!(dunning(&declined), Dunning::Suspended { until });
        assert_eq!(declined.due(until), Some(Due::Cancellation(CancelReason::Unpaid)));
        assert_eq!(declined.record(Fact::MethodAdded { method: None }, &methods(&["AUTH_2"]), now), []);
    }

    #[test]
    fn what_was_paused_began_before_the_days_that_it_has() {
        let period = PeriodId { subscription: active().id, index: 0 };
        let began = active().beginning(&period);
        let paused = active().apply(&Event::Paused { at: instant("2025-02-10T10:00:00Z") });
        let later = paused.apply(&Event::Unpaused { at: instant("2025-04-10T10:00:00Z") });
        assert_eq!(later.beginning(&period), began);
        assert_ne!(later.period().map(|it| it.start), began);
    }

    #[test]
    fn who_is_suspended_owes_and_may_leave() {
        let (it, now) = (suspended(), instant("2025-03-10T10:00:00Z"));
        let again = Subscription::ordering(Some(&it), &customer(), order("estates-professional"), now);
        assert_eq!(again, Err(Refusal::AlreadySubscribed));
        for refused in [Command::Pause, Command::PauseAtPeriodEnd] {
            assert_eq!(it.decide(refused, now), Err(Refusal::PaymentOwed));
        }
        for leaves in [Command::CancelNow, Command::CancelAtPeriodEnd] {
            let canceled = Event::Canceled { at: now, reason: CancelReason::Requested };
            assert_eq!(it.decide(leaves, now), Ok(vec![canceled]));
        }
        let disputed = it.record(Fact::Disputed { payment: it.no_payment() }, &[], now);
        assert_eq!(disputed, [Event::Canceled { at: now, reason: CancelReason::Disputed }]);
    }
}
