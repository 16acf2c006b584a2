//! What billing staff may do to a subscription that its customer may not: move the end of the running period, fill
//! up what is prepaid, and take something off what is to come. (What it may become is in `change`.)

use super::funds::Worth;
use super::{Event, Refusal, Status, Subscription};
use crate::calendar::{Interval, Period};
use crate::catalog::Plan;
use crate::discount::Discount;
use crate::dunning::{after, days};
use crate::id::BrandId;
use crate::money::Money;
use crate::ratio::Ratio;
use jiff::{SignedDuration, Timestamp};
use std::num::NonZeroU16;

/// What somebody of the SaaS asks for, on behalf of a customer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Intervention {
    /// The running period ends so many days later, on the customer's calendar.
    Extend { days: u16 },
    /// The running period ends then, later or earlier.
    ChangeDates { end: Timestamp },
    /// The customer has as many tokens as their plan includes, whatever they had.
    ResetTokens,
    /// So many hundredths are taken off the periods to come: off so many of them, or all.
    Comp { percent: u8, periods: Option<u32> },
    /// The periods to come are of the plan's newest version, from so many days after the customer was told. They have been
    /// `told` by now, or are told by mail.
    ChangePrice { notice_days: NonZeroU16, told: bool },
    /// What was announced is not done.
    KeepPrice,
    /// The customer is written to under that name from now on, whatever state the subscription is in. None: under none.
    Brand { brand: Option<BrandId> },
}

/// Further from now than this no period ends: it is a mistake in the year.
pub(super) const LONGEST: SignedDuration = days(3_653);

impl Subscription {
    /// What follows from `intervention` when the customer has so many `tokens` and the plan is now what `newest` says, or
    /// why nothing may.
    ///
    /// No events means that it is so already.
    pub fn intervene(
        &self,
        intervention: &Intervention,
        tokens: u64,
        newest: Option<&Plan>,
        now: Timestamp,
    ) -> Result<Vec<Event>, Refusal> {
        match intervention {
            Intervention::Extend { days } => {
                let running = self.running()?;
                let end = Period::nth(running.end, Interval::Days(*days), 0, &self.time_zone).end;
                let far = |refusal| if refusal == Refusal::EndIsFar { Refusal::TooManyDays } else { refusal };
                self.ending(running, end, now).map_err(far)
            }
            Intervention::ChangeDates { end } => self.ending(self.running()?, *end, now),
            Intervention::Comp { percent, periods } => {
                let plans = [self.order.plan.id.clone()].into();
                self.comped(self.running()?, Discount { plans, ..Discount::comp(*percent, *periods) }, now)
            }
            Intervention::ChangePrice { notice_days, told } => {
                self.is_at_rest(self.running()?, now)?;
                self.announcing(newest, *notice_days, *told, now)
            }
            Intervention::KeepPrice => {
                self.is_at_rest(self.running()?, now)?;
                Ok(self.price_change.iter().map(|_| Event::PriceChangeRevoked).collect())
            }
            Intervention::ResetTokens => match self.running().map(|_| self.order.plan.tokens_included)? {
                None => Err(Refusal::NoTokens),
                Some(included) if included == tokens => Ok(vec![]),
                Some(included) => Ok(vec![Event::TokensReset { from: tokens, to: included }]),
            },
            Intervention::Brand { brand } if *brand == self.brand => Ok(vec![]),
            Intervention::Brand { brand } => Ok(vec![Event::Branded { brand: brand.clone() }]),
        }
    }

    /// The period that runs, and is the customer's beyond doubt.
    fn running(&self) -> Result<Period, Refusal> {
        self.is_charged_here()?;
        match &self.status {
            Status::Incomplete => Err(Refusal::NotActive),
            Status::PastDue { .. } => Err(Refusal::PaymentOwed),
            // What was left when it was paused is left still: there is no end to be moved before it goes on.
            Status::Paused { .. } => Err(Refusal::Paused),
            Status::Canceled { .. } | Status::Expired { .. } => Err(Refusal::Ended),
            Status::Active { .. } if !self.disputed.is_empty() => Err(Refusal::Disputed),
            Status::Active { term, .. } => Ok(self.period_of(*term)),
        }
    }

    /// What is being paid is for the next period as it would begin and for what it was said to cost, or for the rest of
    /// this one as it is.
    fn is_at_rest(&self, running: Period, now: Timestamp) -> Result<(), Refusal> {
        if self.open.is_some() || now >= running.end {
            return Err(Refusal::ChargeRunning);
        }
        Ok(())
    }

    fn ending(&self, running: Period, end: Timestamp, now: Timestamp) -> Result<Vec<Event>, Refusal> {
        self.is_at_rest(running, now)?;
        match end {
            _ if end == running.end => Ok(vec![]),
            _ if end <= now => Err(Refusal::EndIsPast),
            _ if end > after(now, LONGEST) => Err(Refusal::EndIsFar),
            _ => Ok(vec![Event::EndMoved { at: now, end }]),
        }
    }

    fn comped(&self, running: Period, discount: Discount, now: Timestamp) -> Result<Vec<Event>, Refusal> {
        self.is_at_rest(running, now)?;
        // It is for what they have: whether for what they have asked for instead, nobody has said.
        if self.scheduled.is_some() {
            return Err(Refusal::ChangeScheduled);
        }
        if self.expires() {
            return Err(Refusal::NotRenewed);
        }
        let new = self.order.discount.as_ref().is_none_or(|held| !held.promises(&discount));
        Ok(if new { vec![Event::Discounted { discount: Box::new(discount) }] } else { vec![] })
    }

    /// The running period ends at `end`, which was decided `at` that time. What the rest of it was paid with is spread
    /// over the time that it has now: nothing is worth more, or less, by that alone.
    pub(super) fn end_moved(&mut self, at: Timestamp, end: Timestamp) {
        let Some(running) = self.term() else { return };
        let period = self.period_of(running);
        self.remember_fund();
        let nothing = Money::zero(self.order.price.amount.currency);
        let rest = self.creditable(running, Ratio::ONE, at).unwrap_or(nothing);
        self.worth = Some(Worth { amount: rest, at, by: self.worth_in(period).by });
        if let Status::Active { term, .. } = &mut self.status {
            *term = running.lasting(Period { end, ..period });
        }
        if self.is_trialing() {
            self.trial = self.trial.map(|trial| trial.until(end));
            // Who was told of the end was told of another.
            self.reminded = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calendar::Interval;
    use crate::order::Order;
    use crate::payment::Gateway;
    use crate::proration::Proration;
    use crate::subscription::{CancelReason, Fact, Term};
    use crate::testing::{active, brand, customer, incomplete, instant, method, order, seen, zone};
    use jiff::tz::TimeZone;

    /// Half of the sample's first period is over: it was paid on 31 January and ends on the 28th of February.
    fn half_way() -> Timestamp {
        instant("2025-02-14T10:00:00Z")
    }

    fn after_all(subscription: Subscription, events: &[Event]) -> Subscription {
        events.iter().fold(subscription, |it, event| it.apply(event))
    }

    fn missed() -> Subscription {
        let events = active().record(Fact::NoMethod, &[], instant("2025-02-28T10:00:00Z"));
        after_all(active(), &events)
    }

    fn charged() -> Subscription {
        active().charging(method("AUTH_1"), half_way()).map_or_else(|it| panic!("{it}"), |(it, _)| it)
    }

    fn ended(at: &str) -> Intervention {
        Intervention::ChangeDates { end: instant(at) }
    }

    #[test]
    fn what_may_be_done_in_each_state() {
        let at = half_way();
        let with = |event: Event| active().apply(&event);
        let disputed = with(Event::Disputed { payment: active().no_payment() });
        let canceled = with(Event::Canceled { at, reason: CancelReason::Requested });
        let changing = Event::ChangeScheduled { order: Box::new(order("estates-starter")) };
        let states = [
            ("incomplete", incomplete(), at, Some(Refusal::NotActive)),
            ("active", active(), at, None),
            ("about to leave", with(Event::CancellationScheduled), at, None),
            ("about to be paused", with(Event::PauseScheduled), at, None),
            ("about to be changed", with(changing), at, None),
            ("paused", with(Event::Paused { at }), at, Some(Refusal::Paused)),
            ("past due", missed(), instant("2025-02-28T11:00:00Z"), Some(Refusal::PaymentOwed)),
            ("in dispute", disputed, at, Some(Refusal::Disputed)),
            ("being charged", charged(), at, Some(Refusal::ChargeRunning)),
            ("over, and not charged yet", active(), instant("2025-02-28T10:00:00Z"), Some(Refusal::ChargeRunning)),
            ("canceled", canceled, at, Some(Refusal::Ended)),
            ("expired", with(Event::Expired { at }), at, Some(Refusal::Ended)),
        ];
        for (name, subscription, now, refusal) in states {
            for intervention in [Intervention::Extend { days: 7 }, ended("2025-03-31T00:00:00Z")] {
                let got = subscription.intervene(&intervention, 0, None, now);
                assert_eq!(got.err(), refusal, "{name}: {intervention:?}");
            }
        }
    }

    #[test]
    fn a_period_ends_after_now_and_within_ten_years() {
        let cases = [
            ("2025-02-14T10:00:00Z", Err(Refusal::EndIsPast)),
            ("2025-02-01T00:00:00Z", Err(Refusal::EndIsPast)),
            ("2025-02-14T10:00:01Z", Ok(1)),
            ("2025-02-28T10:00:00Z", Ok(0)),
            ("2035-02-01T00:00:00Z", Ok(1)),
            ("2035-03-01T00:00:00Z", Err(Refusal::EndIsFar)),
        ];
        for (end, expected) in cases {
            assert_eq!(active().intervene(&ended(end), 0, None, half_way()).map(|it| it.len()), expected, "{end}");
        }
        let days = Intervention::Extend { days: u16::MAX };
        assert_eq!(active().intervene(&days, 0, None, half_way()), Err(Refusal::TooManyDays));
    }

    #[test]
    fn days_are_added_on_the_customers_calendar() {
        let there = Subscription { time_zone: zone("America/New_York"), ..active() };
        let events = there.intervene(&Intervention::Extend { days: 14 }, 0, None, half_way());
        // The clocks are put forward on 9 March: the hour comes sooner.
        let end = instant("2025-03-14T09:00:00Z");
        assert_eq!(events, Ok(vec![Event::EndMoved { at: half_way(), end }]));
    }

    #[test]
    fn the_period_keeps_its_start_and_its_number_and_the_next_one_begins_at_its_end() {
        let end = instant("2025-03-31T00:00:00Z");
        let moved = active().apply(&Event::EndMoved { at: half_way(), end });
        let (Some(term), Some(period)) = (moved.term(), moved.period()) else { panic!("a period") };
        assert_eq!((period.start, period.end, term.index), (instant("2025-01-31T10:00:00Z"), end, 0));
        let (next, utc) = (moved.next_term(term), TimeZone::UTC);
        assert_eq!((next.index, next.period(Interval::Month, &utc).start, moved.due_at()), (1, end, Some(end)));
        // Counted from the 31st, whatever was counted from before.
        assert_eq!(next.period(Interval::Month, &utc).end, instant("2025-04-30T00:00:00Z"));
        assert_eq!(next.next().period(Interval::Month, &utc).end, instant("2025-05-31T00:00:00Z"));
    }

    /// 7,000.00 were paid, of which half is left: it is so after each move, and is used up at the end.
    #[test]
    fn what_was_paid_for_the_rest_is_neither_more_nor_less_however_often_the_end_is_moved() {
        let policies =
            [Proration::BySecond, Proration::ByDay, Proration::None, Proration::FullNow, Proration::NextPeriod];
        for policy in policies {
            let plan = crate::catalog::Plan { proration: policy, ..active().order.plan };
            let mut subscription = Subscription { order: Order { plan, ..active().order }, ..active() };
            let credit = |it: &Subscription, at| {
                let term = it.term().unwrap_or_else(|| panic!("{policy:?}: a term"));
                it.creditable(term, Ratio::ONE, at).map_or_else(|it| panic!("{it}"), |it| it.minor)
            };
            let before = credit(&subscription, half_way());
            for end in ["2025-03-31T00:00:00Z", "2025-02-16T10:00:00Z", "2026-02-14T10:00:00Z"] {
                subscription = subscription.apply(&Event::EndMoved { at: half_way(), end: instant(end) });
                assert_eq!(credit(&subscription, half_way()), before, "{policy:?} {end}");
            }
            let later = credit(&subscription, instant("2025-08-16T10:00:00Z"));
            assert!((before / 2 - before / 100..=before / 2 + before / 100).contains(&later), "{policy:?}: {later}");
            assert_eq!(credit(&subscription, instant("2026-02-14T10:00:00Z")), 0, "{policy:?}");
        }
    }

    #[test]
    fn tokens_are_filled_up_where_some_come_with_the_plan() {
        let with_tokens = Subscription { order: order("tokens-basic"), ..active() };
        let reset = |it: &Subscription, tokens| it.intervene(&Intervention::ResetTokens, tokens, None, half_way());
        assert_eq!(reset(&with_tokens, 12), Ok(vec![Event::TokensReset { from: 12, to: 1_000 }]));
        assert_eq!(reset(&with_tokens, 2_000), Ok(vec![Event::TokensReset { from: 2_000, to: 1_000 }]));
        assert_eq!(reset(&with_tokens, 1_000), Ok(vec![]));
        assert_eq!(reset(&active(), 0), Err(Refusal::NoTokens));
        let paused = with_tokens.apply(&Event::Paused { at: half_way() });
        assert_eq!(reset(&paused, 12), Err(Refusal::Paused));
    }

    #[test]
    fn what_is_given_is_off_the_periods_to_come_and_not_off_what_is_being_paid() {
        let comp = Intervention::Comp { percent: 100, periods: Some(2) };
        let given = |it: &Subscription, now| it.intervene(&comp, 0, None, now);
        let events = given(&active(), half_way()).unwrap_or_else(|refusal| panic!("{refusal}"));
        let comped = after_all(active(), &events);
        let due = |it: &Subscription| it.amount_due().map(|it| it.minor);
        assert_eq!((due(&active()), due(&comped)), (Ok(700_000), Ok(0)));
        assert_eq!(given(&comped, half_way()), Ok(vec![]), "the same again is no more of it");
        let another = active().apply(&Event::ChangeScheduled { order: Box::new(order("estates-starter")) });
        assert_eq!(given(&another, half_way()), Err(Refusal::ChangeScheduled));
        assert_eq!(given(&charged(), half_way()), Err(Refusal::ChargeRunning));
        assert_eq!(given(&active(), instant("2025-02-28T10:00:00Z")), Err(Refusal::ChargeRunning));
        assert_eq!(given(&missed(), instant("2025-02-28T11:00:00Z")), Err(Refusal::PaymentOwed));
        let mut once = active();
        once.order.price.recurring = false;
        assert_eq!(given(&once, half_way()), Err(Refusal::NotRenewed));
    }

    #[test]
    fn a_brand_is_given_whatever_state_it_is_in() {
        let at = half_way();
        let acme = Intervention::Brand { brand: Some(brand("acme").id) };
        let paused = active().apply(&Event::Paused { at });
        let canceled = active().apply(&Event::Canceled { at, reason: CancelReason::Requested });
        let disputed = active().apply(&Event::Disputed { payment: active().no_payment() });
        let seen = (Gateway::Stripe, &seen("estates-professional"));
        let imported = Subscription::importing(None, &customer(), seen, order("estates-professional"), at);
        let (elsewhere, events) = imported.unwrap_or_else(|refusal| panic!("{refusal}"));
        let elsewhere = after_all(elsewhere, &events);
        for it in [incomplete(), active(), charged(), missed(), paused, disputed, canceled, elsewhere] {
            let given = it.intervene(&acme, 0, None, at).unwrap_or_else(|refusal| panic!("{:?}: {refusal}", it.status));
            assert_eq!(given, [Event::Branded { brand: Some(brand("acme").id) }], "{:?}", it.status);
            let branded = after_all(it.clone(), &given);
            assert_eq!(branded, Subscription { brand: Some(brand("acme").id), ..it.clone() }, "and nothing else");
            assert_eq!(branded.intervene(&acme, 0, None, at), Ok(vec![]), "they have it");
            let off = branded.intervene(&Intervention::Brand { brand: None }, 0, None, at);
            assert_eq!(off.map(|events| after_all(branded, &events)), Ok(it));
        }
    }

    #[test]
    fn the_end_of_a_period_without_a_term_stays_where_it_is() {
        let at = half_way();
        assert_eq!(incomplete().apply(&Event::EndMoved { at, end: at }), incomplete());
        assert_eq!(active().term(), Some(Term::first(instant("2025-01-31T10:00:00Z"))));
    }
}
