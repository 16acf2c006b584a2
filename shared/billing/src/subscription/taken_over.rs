//! A subscription that ran and was paid elsewhere until now, and goes on here: it is charged when the period that it is in
//! is over, and not before. What was paid for that period is not money of ours: it is never given back, and credited
//! only as far as somebody vouches for it.

use super::funds::Worth;
use super::interventions::LONGEST;
use super::{Event, Order, Refusal, Status, Subscription, Term};
use crate::calendar::Period;
use crate::calendar::zone::Zone;
use crate::dunning::after;
use crate::id::CustomerId;
use crate::money::Money;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

/// What is taken over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Running {
    pub order: Order,
    /// The one that is paid for.
    pub period: Period,
    /// What its periods are counted from, if that is not the start of this one.
    pub anchor: Option<Timestamp>,
    /// What was paid for the period elsewhere, and is to be credited like money of ours when it is left early.
    pub paid: Money,
    /// The balance, where the plan is prepaid.
    pub tokens: Option<u64>,
    /// On whose clock the periods are counted. None: the one they were counted on before, or UTC.
    pub time_zone: Option<Zone>,
}

/// How a subscription was taken over. No period that ends by then is taken over again: whoever has left here since is
/// not made a customer again by what is said anew.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Takeover {
    /// Tells what was said from anything else that is: the same again is nothing new.
    pub request: String,
    /// The end of the period that was taken over.
    pub until: Timestamp,
}

/// Why a subscription is not taken over as it was described.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    #[error("the period has not begun: what runs is taken over, and nothing else")]
    NotBegun,
    #[error("the period is over: what runs is taken over, and nothing else")]
    Over,
    #[error("the period may not end more than ten years from now")]
    Far,
    #[error("this period was taken over before, and has ended here since")]
    TakenBefore,
    #[error("counted from there no period is the one that was given")]
    Anchor,
    #[error("no more can have been paid than the period costs")]
    PaidMore,
    #[error("say how many tokens are left: the plan is prepaid")]
    TokensMissing,
    #[error("no tokens come with this plan")]
    NoTokens,
    #[error(transparent)]
    Refused(#[from] Refusal),
}

/// More periods than anyone counts from one anchor: a day each for more than a century.
const MOST_PERIODS: u32 = 40_000;

impl Running {
    /// The period as it is counted here. None: it is none of those that are counted from the anchor.
    fn term(&self, zone: &TimeZone) -> Option<Term> {
        let (interval, first) = (self.order.price.interval, Term::first(self.period.start));
        match self.anchor {
            None if first.period(interval, zone) == self.period => Some(first),
            None => Some(Term { until: Some(self.period.end), ..first }),
            Some(anchor) => {
                let nth = |index| Period::nth(anchor, interval, index, zone);
                let index = (0..MOST_PERIODS).find(|index| nth(*index).start >= self.period.start)?;
                (nth(index) == self.period).then_some(Term { index, ..Term::first(anchor) })
            }
        }
    }

    fn fits(&self, zone: &TimeZone, now: Timestamp) -> Result<Term, Unfit> {
        let price = self.order.amount()?;
        match (self.period, self.order.plan.tokens_included, self.tokens) {
            (period, _, _) if period.start > now => Err(Unfit::NotBegun),
            (period, _, _) if period.end <= now => Err(Unfit::Over),
            (period, _, _) if period.end > after(now, LONGEST) => Err(Unfit::Far),
            (_, Some(_), None) => Err(Unfit::TokensMissing),
            (_, None, Some(_)) => Err(Unfit::NoTokens),
            (_, Some(_), Some(_)) | (_, None, None) if !(0..=price.minor).contains(&self.paid.minor) => {
                Err(Unfit::PaidMore)
            }
            (_, Some(_), Some(_)) | (_, None, None) => self.term(zone).ok_or(Unfit::Anchor),
        }
    }
}

impl Subscription {
    /// The customer's next subscription, and what makes it the one that ran elsewhere, as somebody said by `request`.
    pub(crate) fn taking_over(
        current: Option<&Self>,
        customer: &CustomerId,
        running: &Running,
        request: &str,
        now: Timestamp,
    ) -> Result<(Self, Event), Unfit> {
        let ordered = Self::ordering(current, customer, running.order.clone(), now)?;
        let ordered = ordered.in_zone(running.time_zone.as_ref());
        let term = running.fits(&ordered.time_zone, now)?;
        let until = running.period.end;
        if ordered.taken_over.as_ref().is_some_and(|before| until <= before.until) {
            return Err(Unfit::TakenBefore);
        }
        let order = Box::new(running.order.clone());
        let event = Event::TakenOver { order, term, paid: running.paid, tokens: running.tokens, at: now };
        let taken_over = Takeover { request: request.to_owned(), until };
        Ok((Self { taken_over: Some(taken_over), ..ordered }, event))
    }

    pub(super) fn goes_on_here(&mut self, order: &Order, term: Term, paid: Money, at: Timestamp) {
        self.order = order.clone();
        self.status = Status::Active { term, cancel_at_period_end: false };
        let start = self.period_of(term).start;
        self.worth = Some(Worth { amount: paid, at: start, by: order.plan.proration });
        self.fund_elsewhere(term, paid, at);
        self.starts_afresh();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ratio::Ratio;
    use crate::testing::{active, customer, instant, order, zone};

    fn now() -> Timestamp {
        instant("2025-03-10T12:00:00Z")
    }

    fn running(start: &str, end: &str, anchor: Option<&str>) -> Running {
        let order = order("estates-professional");
        let period = Period { start: instant(start), end: instant(end) };
        Running {
            paid: Money::zero(order.price.amount.currency),
            order,
            period,
            anchor: anchor.map(instant),
            tokens: None,
            time_zone: None,
        }
    }

    fn taken(running: &Running) -> Result<Subscription, Unfit> {
        let taken = Subscription::taking_over(None, &customer(), running, "row", now());
        taken.map(|(subscription, event)| subscription.apply(&event))
    }

    /// When the period after it ends, and the one after that.
    fn next(taken: &Subscription) -> [Timestamp; 2] {
        let next = taken.term().map(|term| taken.next_term(term)).unwrap_or_else(|| panic!("a term"));
        [next, next.next()].map(|it| it.period(taken.order.price.interval, &taken.time_zone).end)
    }

    #[test]
    fn what_ran_elsewhere_is_charged_when_its_period_is_over_and_counted_as_before() {
        let cases = [
            // The start is what is counted from, if the period is as long as it would be then.
            (None, "2025-02-28T00:00:00Z", "2025-03-28T00:00:00Z", ["2025-04-28T00:00:00Z", "2025-05-28T00:00:00Z"]),
            // Else the end.
            (None, "2025-02-28T00:00:00Z", "2025-03-31T00:00:00Z", ["2025-04-30T00:00:00Z", "2025-05-31T00:00:00Z"]),
            (None, "2025-03-01T00:00:00Z", "2026-01-01T00:00:00Z", ["2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z"]),
            // The last day of each month.
            (
                Some("2024-08-31T00:00:00Z"),
                "2025-02-28T00:00:00Z",
                "2025-03-31T00:00:00Z",
                ["2025-04-30T00:00:00Z", "2025-05-31T00:00:00Z"],
            ),
        ];
        for (anchor, start, end, ends) in cases {
            let taken = taken(&running(start, end, anchor)).unwrap_or_else(|error| panic!("{start}: {error}"));
            let period = taken.period().unwrap_or_else(|| panic!("a period"));
            assert_eq!((period.start, period.end, taken.due_at()), (instant(start), instant(end), Some(instant(end))));
            assert_eq!(next(&taken), ends.map(instant), "{start} to {end}");
        }
        // From the last of January on it is the last of each, though April has no 31st.
        let mut quarter = running("2025-01-31T00:00:00Z", "2025-04-30T00:00:00Z", None);
        quarter.order.price.interval = crate::calendar::Interval::Months(3);
        let taken = taken(&quarter).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(next(&taken), ["2025-07-31T00:00:00Z", "2025-10-31T00:00:00Z"].map(instant));
    }

    #[test]
    fn a_month_of_who_lives_elsewhere_is_one_there() {
        let (start, end) = ("2025-02-28T23:30:00Z", "2025-03-31T23:30:00Z");
        let there = Running { time_zone: Some(zone("Africa/Lagos")), ..running(start, end, Some(start)) };
        let taken = taken(&there).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(next(&taken), ["2025-04-30T23:30:00Z", "2025-05-31T23:30:00Z"].map(instant));
        assert_eq!(super::Running { time_zone: None, ..there }.fits(&TimeZone::UTC, now()), Err(Unfit::Anchor));
    }

    #[test]
    fn what_does_not_run_now_or_cannot_be_is_not_taken_over() {
        let (start, end) = ("2025-03-01T00:00:00Z", "2025-04-01T00:00:00Z");
        let good = || running(start, end, None);
        let paid = |minor| Running { paid: Money { minor, ..good().paid }, ..good() };
        let cases = [
            (running("2025-03-10T12:00:01Z", end, None), Unfit::NotBegun),
            (running(start, "2025-03-10T12:00:00Z", None), Unfit::Over),
            (running(start, "2125-04-01T00:00:00Z", None), Unfit::Far),
            (running(start, end, Some("2024-08-02T00:00:00Z")), Unfit::Anchor),
            (running(start, end, Some("2025-04-01T00:00:00Z")), Unfit::Anchor),
            (running(start, "2025-05-01T00:00:00Z", Some("2025-01-01T00:00:00Z")), Unfit::Anchor),
            (paid(-1), Unfit::PaidMore),
            (paid(700_001), Unfit::PaidMore),
            (Running { tokens: Some(1), ..good() }, Unfit::NoTokens),
            (Running { order: order("tokens-basic"), ..good() }, Unfit::TokensMissing),
            (Running { order: Order { quantity: 2, ..good().order }, ..good() }, Refusal::QuantityNotOne.into()),
        ];
        for (running, unfit) in cases {
            assert_eq!(taken(&running), Err(unfit), "{running:?}");
        }
        // To the second, what runs now does.
        let ten_years = after(now(), LONGEST).to_string();
        for (start, end) in [("2025-03-10T12:00:00Z", end), (start, "2025-03-10T12:00:01Z"), (start, &ten_years)] {
            assert!(taken(&running(start, end, None)).is_ok(), "{start} to {end}");
        }
        let again = Subscription::taking_over(Some(&active()), &customer(), &good(), "row", now());
        assert_eq!(again.err(), Some(Unfit::Refused(Refusal::AlreadySubscribed)));
    }

    #[test]
    fn who_left_here_is_not_made_a_customer_again_by_a_row_that_is_written_anew() {
        let (start, end) = ("2025-03-01T00:00:00Z", "2025-04-01T00:00:00Z");
        let first = taken(&running(start, end, None)).unwrap_or_else(|error| panic!("{error}"));
        let gone = first.apply(&Event::Canceled { at: now(), reason: crate::subscription::CancelReason::Requested });
        let again = |end, row| {
            let running = running(start, end, None);
            Subscription::taking_over(Some(&gone), &customer(), &running, row, now()).map(|_| ()).err()
        };
        assert_eq!(again(end, "the row, with an e-mail"), Some(Unfit::TakenBefore));
        assert_eq!(again("2025-03-31T00:00:00Z", "mended"), Some(Unfit::TakenBefore));
        // They went back there, and paid for more.
        assert_eq!(again("2025-05-01T00:00:00Z", "later"), None);
    }

    #[test]
    fn nothing_that_was_paid_elsewhere_is_credited_but_what_somebody_vouches_for() {
        let credit = |minor| {
            let good = running("2025-03-01T00:00:00Z", "2025-04-01T00:00:00Z", None);
            let taken = taken(&Running { paid: Money { minor, ..good.paid }, ..good });
            let taken = taken.unwrap_or_else(|error| panic!("{error}"));
            let term = taken.term().unwrap_or_else(|| panic!("a term"));
            let half = taken.creditable(term, Ratio::ONE, instant("2025-03-16T12:00:00Z")).map(|it| it.minor);
            (half, taken.balances.clone(), taken.funds.iter().map(|it| it.left.minor).sum::<i64>())
        };
        assert_eq!(credit(0), (Ok(0), vec![], 0));
        assert_eq!(credit(620_000), (Ok(310_000), vec![], 620_000));
    }
}
