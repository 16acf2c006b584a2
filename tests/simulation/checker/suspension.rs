//! Suspension, as a checker of its own knows it: by what was told of it, and by the calendar.

use super::clocks::on_the_wall;
use super::{Changes, Checked, check, granted};
use crate::faults::{DAY, MINUTE};
use crate::world::State;
use billing::calendar::Period;
use billing::dunning::Dunning;
use billing::ports::Record;
use billing::subscription::{Event, Status, Subscription};
use jiff::{SignedDuration, Timestamp};

/// How long who is suspended may still pay.
const SUSPENSION: i64 = 30 * DAY;

/// Whether it is not over, and not paused: served, or waited for.
pub(super) fn runs(it: &Subscription) -> bool {
    matches!(it.status, Status::Active { .. } | Status::PastDue { .. })
}

impl State {
    /// Until when what is owed is waited for, if it was ever told that it is suspended.
    pub(super) fn suspended(&self, it: &Subscription) -> Option<Timestamp> {
        let period = it.term().filter(|_| matches!(it.status, Status::PastDue { .. }))?.index;
        self.suspended.get(&(it.id.clone(), period)).map(|(until, _)| *until)
    }

    pub(super) fn is_served(&self, it: &Subscription) -> bool {
        runs(it) && self.suspended(it).is_none()
    }

    /// Suspended is who is in grace, once that is over, and once for a period; they are told so, and are waited for for as
    /// long as was promised (I-12).
    pub(super) fn is_suspended(&self, changes: &Changes, old: &Subscription, new: &Subscription) -> Checked {
        let told = || format!("{} was {:?} and is {:?}", new.id, old.status, new.status);
        let events = || {
            changes
                .events()
                .filter_map(|it| if let Event::Suspended { at, until } = it { Some((at, until)) } else { None })
        };
        for (at, until) in events() {
            let Status::PastDue { term, dunning: Dunning::Grace { ends_at } } = old.status else {
                return check(false, "I-12", told);
            };
            let became = new.status == Status::PastDue { term, dunning: Dunning::Suspended { until: *until } };
            check(became && *at == ends_at, "I-12", told)?;
            let lasts = until.as_millisecond() - self.now;
            let over = self.now >= at.as_millisecond() && (SUSPENSION - 2 * MINUTE..=SUSPENSION).contains(&lasts);
            check(over || !self.faults.clocks_right, "I-12", told)?;
            let times = self.suspended.get(&(new.id.clone(), term.index)).map_or(0, |(_, times)| *times);
            check(times == 1, "I-12", || format!("{} is suspended {times} times", new.id))?;
            let mailed = changes.list.iter().any(|change| matches!(change, (None, Record::Mail(_))));
            check(mailed, "P-29", || format!("{} is suspended, and its customer is not told so", new.id))?;
            self.tried_all(changes, new)?;
        }
        // Nothing but a payment or the end takes it back.
        let Status::PastDue { dunning, .. } = &new.status else { return Ok(()) };
        let right = match (self.suspended(new), dunning) {
            (Some(until), Dunning::Suspended { until: told }) => until == *told,
            (Some(_), Dunning::Retry { .. }) | (None, Dunning::Retry { .. } | Dunning::Grace { .. }) => true,
            (Some(_), Dunning::Grace { .. }) | (None, Dunning::Suspended { .. }) => false,
        };
        check(right, "I-12", told)
    }

    /// What was left of the period when grace was over is left when it is paid for, to the instant, and what is paid for in
    /// time is not put off (P-9).
    pub(super) fn restored(&self, changes: &Changes, old: &Subscription, new: &Subscription) -> Checked {
        let owed = matches!(old.status, Status::PastDue { .. });
        let grace = old.term().filter(|_| owed).and_then(|term| self.grace.get(&(old.id.clone(), term.index)));
        let ends_at = grace.map(|(ends_at, _)| *ends_at);
        let Some(event) = changes.events().find(|event| granted(event).is_some()) else { return Ok(()) };
        let told = || {
            format!("{} was {:?}, is {:?}, and grace ends at {ends_at:?}: {event:?}", new.id, old.status, new.status)
        };
        let Event::Restored { since, at, .. } = event else {
            let late = ends_at.is_some_and(|ends_at| ends_at.as_millisecond() <= changes.task.began_at);
            let late = late && self.faults.clocks_right;
            return check(!late && self.suspended(old).is_none(), "P-9", told);
        };
        let now = changes.task.began_at..=self.now;
        let right = now.contains(&at.as_millisecond()) || !self.faults.clocks_right;
        check(ends_at == Some(*since) && since <= at && right, "P-9", told)?;
        let put_off = self.next_by_the_calendar(old, new).map(|period| later(period, at.duration_since(*since)));
        check(put_off.is_some() && put_off == new.period(), "P-9", || {
            format!("{} is restored as {:?}, and should be {put_off:?}", new.id, new.period())
        })
    }

    /// The period that followed on `old`, of what is had now, had nobody been late.
    fn next_by_the_calendar(&self, old: &Subscription, new: &Subscription) -> Option<Period> {
        let (term, start) = (old.term()?, old.period()?.end);
        let (interval, zone) = (new.order.price.interval, &old.time_zone);
        let anew = term.until.is_some() || interval != old.order.price.interval;
        let end = match anew {
            true => on_the_wall(zone, start, interval, 1),
            false => on_the_wall(zone, term.anchor, interval, term.index + 2 - term.since),
        };
        end.map(|end| Period { start, end })
    }
}

fn later(period: Period, by: SignedDuration) -> Period {
    let later = |at: Timestamp| at.saturating_add(by).unwrap_or(Timestamp::MAX);
    Period { start: later(period.start), end: later(period.end) }
}
