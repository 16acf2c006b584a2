//! Asking what became of a payment that has no outcome: when next, how often,
//! and when a person must.
//!
//! Silence is never failure. What is counted is how often it was asked, not only
//! how much time has passed: a clock may jump.

use super::{Collection, Fact, Payment, PaymentStatus};
use crate::dunning::{after, days};
use crate::outcome::Stage;
use jiff::{SignedDuration, Timestamp};

/// How long we keep asking before a person must look.
const ASKED_FOR_AT_MOST: SignedDuration = days(6);

/// How long a charge that nobody wants any more may still turn up at the gateway.
const ABANDONED_AFTER: SignedDuration = days(2);

/// And how often it must have been looked for: a clock that jumps by days must
/// not make the first look the last. Eight looks take most of a day.
const LOOKS_BEFORE_GIVING_UP: u32 = 8;

/// How long a request to the gateway may still be running in another process.
const A_REQUEST_RUNS_AT_MOST: SignedDuration = SignedDuration::from_secs(30);

/// 5 minutes, doubling, at most 6 hours.
pub(crate) fn backoff(tries: u32) -> SignedDuration {
    SignedDuration::from_mins((5 << tries.min(10)).min(360))
}

/// How soon what nobody can tell is asked about again: a day later, then two and four, then every week. Each time a
/// person hears of it.
fn unresolved(since: Timestamp, now: Timestamp) -> PaymentStatus {
    PaymentStatus::Unresolved { since, check_at: after(now, now.duration_since(since).clamp(days(1), days(7))) }
}

impl Payment {
    /// The payment when the gateway gave no usable answer: ask again later, and
    /// after some days tell a person.
    #[must_use]
    pub fn unanswered(self, now: Timestamp) -> Self {
        match self.status {
            PaymentStatus::Pending { .. } if self.was_asked_enough(now) => {
                Self { status: unresolved(now, now), ..self }
            }
            PaymentStatus::Unresolved { since, .. } => Self { status: unresolved(since, now), ..self },
            PaymentStatus::Pending { stage, .. } => self.waiting(stage, now),
            PaymentStatus::Failed { .. } => self.ask_again(now),
            PaymentStatus::Paid(paid) => Self { status: PaymentStatus::Paid(paid.looking_later(now)), ..self },
            PaymentStatus::Expired { .. } => self,
        }
    }

    /// The payment when the gateway's answer was nothing final. That a decline
    /// still stands after some days is an answer; that nobody knows is none.
    #[must_use]
    pub(crate) fn undecided(self, now: Timestamp) -> Self {
        match self.status {
            PaymentStatus::Failed { ref decline, tries, .. } if self.was_asked_enough(now) => {
                let status = PaymentStatus::Failed { decline: decline.clone(), check_at: None, tries };
                Self { status, ..self }
            }
            PaymentStatus::Paid(paid) => Self { status: PaymentStatus::Paid(paid.looked(now)), ..self },
            PaymentStatus::Failed { .. }
            | PaymentStatus::Pending { .. }
            | PaymentStatus::Expired { .. }
            | PaymentStatus::Unresolved { .. } => self.unanswered(now),
        }
    }

    /// Not by the clock alone, which may jump.
    pub(crate) fn was_asked_enough(&self, now: Timestamp) -> bool {
        now >= after(self.created_at, ASKED_FOR_AT_MOST) && self.tries() >= LOOKS_BEFORE_GIVING_UP
    }

    /// Nobody wants this charge any more and the gateway never heard of it.
    /// The fact is for a subscription that may still be waiting for it.
    #[must_use]
    pub(crate) fn abandoned(self, now: Timestamp) -> (Self, Option<Fact>) {
        match self.status {
            PaymentStatus::Pending { tries, .. } if self.stayed_away(now) && tries >= LOOKS_BEFORE_GIVING_UP => {
                self.given_up(now)
            }
            PaymentStatus::Unresolved { .. } if self.stayed_away(now) => self.given_up(now),
            PaymentStatus::Pending { .. }
            | PaymentStatus::Failed { .. }
            | PaymentStatus::Expired { .. }
            | PaymentStatus::Unresolved { .. }
            | PaymentStatus::Paid(_) => (self.unanswered(now), None),
        }
    }

    fn given_up(self, now: Timestamp) -> (Self, Option<Fact>) {
        let fact = Fact::Abandoned { payment: self.id.clone() };
        (Self { status: PaymentStatus::Expired { at: now }, ..self }, Some(fact))
    }

    /// Whether a charge that has not turned up by now will not.
    fn stayed_away(&self, now: Timestamp) -> bool {
        let sent_at = match &self.collection {
            Collection::OffSession { sent_again_at, .. } => sent_again_at.unwrap_or(self.created_at),
            Collection::Checkout { .. } | Collection::Transfer(_) => self.created_at,
        };
        now >= after(sent_at, ABANDONED_AFTER)
    }

    /// The attempt before the gateway is asked for it again.
    #[must_use]
    pub(crate) fn sending_again(mut self, now: Timestamp) -> Self {
        if let Collection::OffSession { sent_again_at, .. } = &mut self.collection {
            *sent_again_at = Some(now);
        }
        self
    }

    /// Whether sending the attempt again is still certain to be the same attempt. What nobody could tell for days is
    /// a person's to decide about, not ours to charge for after all.
    pub fn may_be_sent_again(&self, now: Timestamp) -> bool {
        !self.is_unresolved() && now.duration_since(self.created_at) < self.gateway.remembers_for()
    }

    /// Whether nobody could tell for days what became of it.
    pub(crate) fn is_unresolved(&self) -> bool {
        matches!(self.status, PaymentStatus::Unresolved { .. })
    }

    /// Whether another process may be talking to the gateway about it right now.
    pub fn may_be_in_flight(&self, now: Timestamp) -> bool {
        now.duration_since(self.created_at).abs() < A_REQUEST_RUNS_AT_MOST
    }

    fn waiting(self, stage: Stage, now: Timestamp) -> Self {
        let tries = self.tries().saturating_add(1);
        let status = PaymentStatus::Pending { stage, check_at: self.next_check(tries, now), tries };
        Self { status, ..self }
    }

    fn ask_again(self, now: Timestamp) -> Self {
        let tries = self.tries().saturating_add(1);
        let next = self.next_check(tries, now);
        let status = match self.status {
            PaymentStatus::Failed { decline, .. } => PaymentStatus::Failed { decline, check_at: Some(next), tries },
            other @ (PaymentStatus::Pending { .. }
            | PaymentStatus::Expired { .. }
            | PaymentStatus::Unresolved { .. }
            | PaymentStatus::Paid(_)) => other,
        };
        Self { status, ..self }
    }

    fn tries(&self) -> u32 {
        match self.status {
            PaymentStatus::Pending { tries, .. } | PaymentStatus::Failed { tries, .. } => tries,
            PaymentStatus::Expired { .. } | PaymentStatus::Unresolved { .. } | PaymentStatus::Paid(_) => 0,
        }
    }

    /// A checkout is asked about when its time is over, however rarely before.
    pub(super) fn next_check(&self, tries: u32, now: Timestamp) -> Timestamp {
        let next = after(now, backoff(tries));
        match &self.collection {
            Collection::Checkout { expires_at, .. } if now < *expires_at => next.min(*expires_at),
            Collection::Checkout { .. } | Collection::OffSession { .. } | Collection::Transfer(_) => next,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::{Decline, Outcome, Remedy};
    use crate::payment::Gateway;
    use crate::testing::{checkout_payment, off_session_payment};

    #[test]
    fn silence_is_never_failure() {
        let mut payment = off_session_payment();
        for hours in 0..(24 * 6) {
            let asked_at = after(payment.created_at, SignedDuration::from_hours(hours));
            payment = payment.unanswered(asked_at);
            assert!(matches!(payment.status, PaymentStatus::Pending { .. }));
        }
        payment = payment.clone().unanswered(after(payment.created_at, days(6)));
        assert!(matches!(payment.status, PaymentStatus::Unresolved { .. }));
    }

    #[test]
    fn a_clock_that_jumps_abandons_nothing_at_the_first_look() {
        let mut payment = off_session_payment();
        let jumped = after(payment.created_at, days(2));
        payment = payment.abandoned(jumped).0;
        assert!(payment.due_at().is_some_and(|next| next > jumped));
        let looks = std::iter::successors(Some(payment), |it| it.due_at().map(|next| it.clone().abandoned(next).0));
        let Some(last) = looks.last() else { panic!("it is looked for") };
        let PaymentStatus::Expired { at } = last.status else { panic!("{:?}", last.status) };
        assert!(at.duration_since(jumped) > SignedDuration::from_hours(12));
    }

    #[test]
    fn what_stays_at_the_bank_for_days_is_someones_to_look_at() {
        let payment = off_session_payment();
        let look = |payment: Payment, day| payment.clone().undecided(after(payment.created_at, days(day)));
        let week = (0..8).fold(payment, |payment, _| look(payment, 5));
        assert!(matches!(week.status, PaymentStatus::Pending { .. }));
        assert!(matches!(look(week, 6).status, PaymentStatus::Unresolved { .. }));
    }

    #[test]
    fn what_nobody_can_tell_is_asked_about_ever_more_rarely_and_sent_no_more() {
        let payment = off_session_payment();
        let last = after(payment.created_at, days(6));
        let payment = (0..8).fold(payment, |payment, _| payment.unanswered(last)).unanswered(last);
        let PaymentStatus::Unresolved { since, check_at } = payment.status else { panic!("{:?}", payment.status) };
        assert_eq!((since, check_at), (last, after(last, days(1))));
        let looks =
            std::iter::successors(Some(payment.clone()), |it| it.due_at().map(|due| it.clone().unanswered(due)));
        let waits: Vec<i64> =
            looks.filter_map(|it| it.due_at()).map(|due| due.duration_since(last).as_hours() / 24).take(6).collect();
        assert_eq!(waits, [1, 2, 4, 8, 15, 22]);
        assert!(!Payment { gateway: Gateway::Paystack, ..payment }.may_be_sent_again(last));
    }

    #[test]
    fn a_charge_is_late_from_when_it_was_sent_last() {
        let payment = off_session_payment();
        let on = |day| after(payment.created_at, days(day));
        let looked_for = (0..8).fold(payment.clone(), |payment, _| payment.unanswered(on(1)));
        assert!(looked_for.clone().abandoned(on(2)).1.is_some());
        let again = looked_for.sending_again(on(1));
        assert!(again.clone().abandoned(on(2)).1.is_none());
        assert!(again.abandoned(on(3)).1.is_some());
    }

    #[test]
    fn a_jump_of_the_clock_alone_gives_nothing_up() {
        let payment = off_session_payment();
        let jumped = payment.clone().unanswered(after(payment.created_at, days(30)));
        assert!(matches!(jumped.status, PaymentStatus::Pending { .. }));
    }

    #[test]
    fn a_checkout_is_asked_about_when_its_time_is_over() {
        let payment = checkout_payment();
        let late = after(payment.created_at, SignedDuration::from_hours(23));
        let waiting = (0..10).fold(payment.clone(), |payment, _| payment.unanswered(late));
        assert_eq!(waiting.due_at(), Some(after(payment.created_at, SignedDuration::from_hours(24))));
    }

    #[test]
    fn waits_double_up_to_six_hours() {
        let minutes: Vec<i64> = [0, 1, 2, 6, 7, u32::MAX].map(|tries| backoff(tries).as_mins()).to_vec();
        assert_eq!(minutes, [5, 10, 20, 320, 360, 360]);
    }

    #[test]
    fn stripe_forgets_what_paystack_remembers() {
        let payment = off_session_payment();
        let tomorrow = after(payment.created_at, days(1));
        let at = |gateway| Payment { gateway, ..payment.clone() }.may_be_sent_again(tomorrow);
        assert_eq!(Gateway::ALL.map(at), [false, true, true, false]);
    }

    #[test]
    fn a_decline_that_still_stands_after_days_is_the_answer() {
        let declined = off_session_payment().settle(
            Outcome::Declined(Decline::new("authentication_required", Remedy::AskCustomer)),
            off_session_payment().created_at,
        );
        let (declined, _) = declined.unwrap_or_else(|| panic!("it is news"));
        let look = |payment: Payment, day| payment.clone().undecided(after(payment.created_at, days(day)));
        // Neither long enough nor often enough alone.
        let often = (0..8).fold(declined.clone(), |payment, _| look(payment, 5));
        for asked in [often.clone(), (0..7).fold(declined, |payment, _| look(payment, 6))] {
            assert!(matches!(asked.status, PaymentStatus::Failed { check_at: Some(_), .. }), "{:?}", asked.status);
        }
        let enough = look(often, 6);
        assert!(matches!(enough.status, PaymentStatus::Failed { check_at: None, tries: 8, .. }), "{:?}", enough.status);
    }

    #[test]
    fn what_nobody_could_tell_is_given_up_only_when_it_can_come_no_more() {
        let payment = off_session_payment();
        let unresolved = Payment { status: unresolved(payment.created_at, payment.created_at), ..payment };
        let on = |day| after(unresolved.created_at, days(day));
        let again = unresolved.clone().sending_again(on(1));
        assert!(again.clone().abandoned(on(2)).1.is_none());
        let (given_up, fact) = again.abandoned(on(3));
        assert_eq!((given_up.status, fact.is_some()), (PaymentStatus::Expired { at: on(3) }, true));
    }

    #[test]
    fn a_request_may_run_for_half_a_minute_whichever_clock_is_ahead() {
        let payment = off_session_payment();
        let at = |seconds| payment.may_be_in_flight(after(payment.created_at, SignedDuration::from_secs(seconds)));
        assert_eq!([-30, -29, 0, 29, 30].map(at), [false, true, true, true, false]);
        let stripe = Payment { gateway: Gateway::Stripe, ..payment };
        let forgotten_at = after(stripe.created_at, Gateway::Stripe.remembers_for());
        let sent = |seconds| stripe.may_be_sent_again(after(forgotten_at, SignedDuration::from_secs(seconds)));
        assert_eq!([-1, 0].map(sent), [true, false]);
    }

    #[test]
    fn once_its_time_is_over_a_checkout_is_asked_about_ever_more_rarely() {
        let payment = checkout_payment();
        let over = after(payment.created_at, SignedDuration::from_hours(24));
        for late in [over, after(over, SignedDuration::from_mins(1))] {
            assert_eq!(payment.next_check(0, late), after(late, backoff(0)));
        }
        assert_eq!(payment.next_check(0, after(over, SignedDuration::from_mins(-1))), over);
    }
}
