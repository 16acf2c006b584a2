//! Which period a subscription is in, when it is over, and whether another follows.

use super::{Status, Subscription, Term};
use crate::calendar::Period;
use crate::dunning::after;
use crate::id::PeriodId;
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp, Zoned};

impl Subscription {
    /// The period that is paid for, if one ever was.
    pub fn period(&self) -> Option<Period> {
        let term = self.term()?;
        if let Some(driven) = &self.driven {
            return Some(driven.period);
        }
        Some(self.period_of(term))
    }

    /// The one that is bought for `term`, on the customer's clock.
    pub(super) fn period_of(&self, term: Term) -> Period {
        term.period(self.order.price.interval, &self.time_zone)
    }

    /// Whether the period that is paid for is the trial, running or over.
    pub(crate) fn is_tried(&self) -> bool {
        self.trial.is_some() && self.term().is_some_and(|term| term.index == 0)
    }

    /// The period that `now` is in, for which it has been paid or is owed. Of what has ended, or rests, it is the last.
    pub(crate) fn counting(&self, now: Timestamp) -> PeriodId {
        let index = self.term().map_or(0, |term| term.index);
        let goes_on = match &self.status {
            Status::Active { .. } => !self.pausing && !self.has_ended(now),
            Status::PastDue { .. } => true,
            Status::Incomplete | Status::Paused { .. } | Status::Canceled { .. } | Status::Expired { .. } => false,
        };
        // Where it is driven, the next one begins when it is seen there.
        let is_next = goes_on && !self.is_driven() && self.is_over(now);
        PeriodId { subscription: self.id.clone(), index: if is_next { index + 1 } else { index } }
    }

    /// When `period` began: the one that is paid for, or the one after it. One that was paused, or restored, began before
    /// the days that it has now.
    pub(crate) fn beginning(&self, period: &PeriodId) -> Option<Timestamp> {
        let (paid, index) = (self.period()?, self.term()?.index);
        let began = self.began(index).map_or(paid.start, |began| began.min(paid.start));
        Some(if period.index > index { paid.end } else { began })
    }

    /// Whether another period follows the one at hand by itself: nobody has asked for its end, or disputes what it was paid with.
    pub(crate) fn is_followed(&self) -> bool {
        let goes_on = match &self.status {
            Status::Active { cancel_at_period_end, .. } => !cancel_at_period_end && !self.pausing,
            Status::PastDue { .. } => true,
            Status::Incomplete | Status::Paused { .. } | Status::Canceled { .. } | Status::Expired { .. } => false,
        };
        goes_on && !self.expires() && self.disputed.is_empty() && !self.is_driven()
    }

    /// On the customer's calendar the day on which the period ends that is paid for, if one ever was, or on which it was
    /// ended; of what does not renew, the last on which it can be used.
    pub fn end_date(&self) -> Option<Date> {
        let end = self.period()?.end;
        let last = if self.expires() { after(end, -SignedDuration::from_nanos(1)) } else { end };
        let last = self.ended_at().map_or(last, |ended| ended.min(last));
        Some(self.time_zone.clocks(last).date())
    }

    /// When it ended, if it has.
    pub fn ended_at(&self) -> Option<Timestamp> {
        match &self.status {
            Status::Canceled { at, .. } | Status::Expired { at, .. } => Some(*at),
            Status::Incomplete | Status::Active { .. } | Status::PastDue { .. } | Status::Paused { .. } => None,
        }
    }

    /// Whether what is paid for ends without being renewed, unless somebody asks for an end before.
    pub(crate) fn expires(&self) -> bool {
        !self.order.price.recurring && !self.is_trialing()
    }

    /// When what is counted at `now` starts at zero, if it goes on: the period is over then that it is counted in.
    pub(crate) fn next_period(&self, now: Timestamp) -> Option<Zoned> {
        let (term, mut period) = (self.term()?, self.period()?);
        if self.is_over(now) {
            period = self.next_term(term).period(self.next_order().price.interval, &self.time_zone);
        }
        Some(self.time_zone.clocks(period.end))
    }

    pub fn term(&self) -> Option<Term> {
        match &self.status {
            Status::Active { term, .. } | Status::PastDue { term, .. } | Status::Paused { term, .. } => Some(*term),
            Status::Canceled { term, .. } | Status::Expired { term, .. } => *term,
            Status::Incomplete => None,
        }
    }

    /// Whether the period that is paid for is over, and none is to follow.
    pub(crate) fn has_ended(&self, now: Timestamp) -> bool {
        let leaves = matches!(self.status, Status::Active { cancel_at_period_end: true, .. });
        (leaves || self.expires()) && !self.is_driven() && self.is_over(now)
    }

    /// Whether the period that is paid for is over.
    pub(crate) fn is_over(&self, now: Timestamp) -> bool {
        self.period().is_some_and(|period| period.end <= now)
    }
}
