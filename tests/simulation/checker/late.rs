//! What must hold of what is told when its period is over: it is counted in that period, if that was the last one and more of
//! its meter was sold in it; and what it costs is on the next invoice that is not being paid already (P-24, P-26).

use super::allowed::{due, limit_of, most_of, prices};
use super::usage::period_of;
use super::{Checked, check};
use crate::faults::HOUR;
use crate::world::{State, instant};
use billing::calendar::Period;
use billing::id::{CustomerId, MeterId, PeriodId};
use billing::subscription::{CountedLate, Event, Order, Subscription, UsageLine};
use billing::usage::UsageRecord;
use jiff::Timestamp;

/// A period all of which was put on an invoice, as it was then.
#[derive(Debug)]
pub(super) struct Ended {
    order: Order,
    time: Period,
    /// Before its time.
    early: bool,
    /// Since when another period counts, if a change made it so that was paid for later.
    another: Option<Timestamp>,
    in_step: u64,
}

impl State {
    pub(super) fn ends(&mut self, old: &Subscription, period: PeriodId) {
        let Some(time) = old.period() else { return };
        let now = instant(self.now);
        let (early, order) = (now < time.end, old.order.clone());
        let time = Period { end: time.end.min(now), ..time };
        let waited = old.changing.as_ref().map(|it| it.becomes.term).filter(|term| term.index > period.index);
        let another = waited.map(|term| term.anchor);
        let ended = Ended { order, time, early, another, in_step: self.step };
        self.metered.ended.entry(period).or_insert(ended);
    }

    /// Whether the use says that it was in the period that it is counted in, though that is over.
    pub(super) fn is_told_late(&self, it: &UsageRecord) -> bool {
        let covers = |ended: &Ended, at| !self.faults.clocks_right || at < ended.time.end;
        let ended = self.metered.ended.get(&it.period).filter(|ended| prices(&ended.order, &it.meter));
        ended.is_some_and(|ended| it.at.is_some_and(|at| covers(ended, at)))
    }

    /// What was in the last period, as far as who reports it could know, does not count in this.
    pub(super) fn is_not_too_late(&self, began: u64, it: &UsageRecord) -> Checked {
        let Some(index) = it.period.index.checked_sub(1) else { return Ok(()) };
        let last = PeriodId { index, ..it.period.clone() };
        let ended = self.metered.ended.get(&last).filter(|ended| ended.in_step < began && self.faults.clocks_right);
        let Some(ended) = ended.filter(|ended| prices(&ended.order, &it.meter)) else { return Ok(()) };
        // When exactly it ended, who ended it knows.
        let off = if ended.early { HOUR } else { 0 };
        let end = ended.time.end.as_millisecond() - off;
        let another = ended.another.map_or(end, Timestamp::as_millisecond);
        let within = |at: &Timestamp| ended.time.start <= *at && at.as_millisecond() < end.min(another);
        check(!it.at.as_ref().is_some_and(within), "P-24", || format!("{it:?} was in {last}: {ended:?}"))
    }

    /// The most of `meter` that could be used in the period that `at` was in, which is over, and what is counted in it. After
    /// a pause it had begun before the days that it had at its end.
    pub(crate) fn room_then(&self, customer: &CustomerId, meter: &MeterId, at: Timestamp) -> Option<(u64, u64)> {
        let subscription = &self.subscription(customer)?.id;
        let covers = |time: &Period| !self.faults.clocks_right || at < time.end;
        let ended = self.metered.ended.iter().filter(|(period, ended)| {
            period.subscription == *subscription && covers(&ended.time) && prices(&ended.order, meter)
        });
        let rooms = ended.map(|(period, ended)| {
            let counted = self.metered.counted.get(&(meter.clone(), period.clone())).copied().unwrap_or(0);
            // Whether more was sold then depends on whose clock it was.
            (limit_of(&ended.order, meter), counted)
        });
        rooms.min_by_key(|(most, counted)| most.saturating_sub(*counted))
    }

    /// The lines that a late report adds.
    pub(super) fn adjusts(&mut self, old: &Subscription, counted: &[CountedLate], lines: &[UsageLine]) -> Checked {
        let told = || format!("{} has {lines:?} for {counted:?}, told late", old.id);
        check(!counted.is_empty(), "P-24", told)?;
        let mut left: Vec<&UsageLine> = lines.iter().collect();
        for it in counted {
            let of = (it.meter.clone(), it.period.clone());
            let now = self.metered.counted.get(&of).copied().unwrap_or(0);
            check(it.from < it.to && it.to == now, "P-24", || format!("{}, and {now} are counted", told()))?;
            let order = self.metered.ended.get(&it.period).map_or(&old.order, |ended| &ended.order);
            check(it.to <= most_of(order, &it.meter), "P-24", told)?;
            let line = left.iter().position(|line| line.meter == it.meter).map(|at| left.swap_remove(at));
            let Some(ended) = self.metered.ended.get(&it.period) else {
                // It is billed when the period is.
                let open = period_of(old).as_ref() == Some(&it.period) && line.is_none();
                check(open, "P-26", told)?;
                continue;
            };
            let billed = self.metered.billed.get(&of).copied().unwrap_or(0);
            let amount = due(&ended.order, &it.meter, it.to, billed);
            let included = limit_of(&ended.order, &it.meter).max(it.from);
            let right = line.map_or(amount == 0, |line| {
                let is = (line.amount.minor, line.used, line.included, &line.period);
                amount > 0 && is == (amount, it.to, included, &it.period)
            });
            check(right, "P-26", || format!("{}: {amount} are due beyond {billed}", told()))?;
            if line.is_some() {
                self.metered.billed.insert(of, it.to);
                self.happened.insert("overage told late");
            }
        }
        check(left.is_empty(), "P-26", told)
    }
}

/// What is owed for uses, on the next invoice and on the one after it.
#[derive(Default)]
pub(super) struct Owed {
    pub(super) next: Vec<UsageLine>,
    pub(super) later: Vec<UsageLine>,
}

impl Owed {
    /// As it goes over to `new`. Another subscription begins with all of it.
    pub(super) fn of(old: Option<&Subscription>, new: &Subscription) -> Self {
        let Some(old) = old else { return Self::default() };
        let (next, later) = (old.usage_charges.clone(), old.late_charges.clone());
        if old.id == new.id { Self { next, later } } else { Self { next: [next, later].concat(), later: vec![] } }
    }

    pub(super) fn told_late(&mut self, old: &Subscription, lines: &[UsageLine]) {
        let is_paid_for = old.attempts > 0 || old.open.is_some() && old.changing.is_none();
        let charges = if is_paid_for { &mut self.later } else { &mut self.next };
        for line in lines {
            // It goes on where an earlier one ends.
            let of = |it: &UsageLine| (it.meter.clone(), it.period.clone(), it.amount.currency);
            match charges.iter_mut().find(|it| of(it) == of(line) && it.used == line.included) {
                Some(it) => (it.used, it.amount.minor) = (line.used, it.amount.minor + line.amount.minor),
                None => charges.push(line.clone()),
            }
        }
    }
}

pub(super) fn late_of(event: &Event) -> Option<(&[CountedLate], &[UsageLine])> {
    if let Event::CountedLate { counted, lines } = event { Some((counted, lines)) } else { None }
}
