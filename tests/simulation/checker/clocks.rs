//! Customers live by the clocks of many places: each period is the one that a
//! calendar on their wall shows (P-10).

use super::{Changes, Checked, check};
use crate::world::State;
use billing::calendar::Interval;
use billing::calendar::zone::Zone;
use billing::subscription::{Event, Subscription};
use jiff::{Span, Timestamp};

impl State {
    /// A customer is where they said they are, and their periods follow each other on the clock that they began with.
    pub(super) fn lived(&self, changes: &Changes, old: Option<&Subscription>, new: &Subscription) -> Checked {
        let Some(home) = self.homes.get(&new.customer) else { return Ok(()) };
        let begun = old.filter(|old| old.id == new.id && old.term().is_some());
        let right = match old {
            _ if begun.is_none() && new.time_zone == *home => true,
            Some(old) => new.time_zone == old.time_zone,
            None => new.time_zone == Zone::UTC,
        };
        check(right, "P-10", || format!("{} is in {}, and {} in {home}", new.id, new.time_zone, new.customer))?;
        let (Some(term), Some(period)) = (new.term(), new.period()) else { return Ok(()) };
        let counted = |index: u32| match term.until {
            Some(end) if index > term.index => Some(end),
            Some(_) => Some(term.anchor),
            None => on_the_wall(&new.time_zone, term.anchor, new.order.price.interval, index - term.since),
        };
        let shown = [counted(term.index), counted(term.index + 1)];
        check(shown == [Some(period.start), Some(period.end)], "P-10", || {
            format!("{} runs {period:?}, and on the wall in {} {shown:?}", new.id, new.time_zone)
        })?;
        if let Some(trial) = new.trial.filter(|_| new.is_trialing()) {
            let by_days = || on_the_wall(&new.time_zone, trial.start, Interval::Days(trial.days), 1);
            let ends_at = trial.until.or_else(by_days);
            check(ends_at == Some(period.end), "P-10", || {
                format!("the trial of {} ends at {}, and on the wall at {ends_at:?}", new.id, period.end)
            })?;
        }
        let before = begun.and_then(|begun| begun.term().zip(begun.period()));
        let touch = before.is_none_or(|(before, of)| before.index == term.index || of.end == period.start);
        let moved = new.worth.is_some_and(|worth| worth.at == period.start);
        // How much later it is restored is held against grace.
        let restored = changes.events().any(|event| matches!(event, Event::Restored { .. }));
        check(touch || moved || restored, "P-10", || format!("{} had {before:?}, and has {period:?}", new.id))
    }
}

/// So many intervals after `anchor`, counted without a thought of UTC: by the calendar, then looked up on the clock.
pub(super) fn on_the_wall(zone: &Zone, anchor: Timestamp, interval: Interval, count: u32) -> Option<Timestamp> {
    let times = |length: u16| i64::from(length) * i64::from(count);
    let span = match interval {
        _ if count == 0 => return Some(anchor),
        Interval::Days(days) => Span::new().days(times(days)),
        Interval::Weeks(weeks) => Span::new().weeks(times(weeks)),
        Interval::Months(months) => Span::new().months(times(months)),
        Interval::Years(years) => Span::new().years(times(years)),
    };
    let then = zone.clocks(anchor).datetime().checked_add(span).ok()?;
    zone.to_ambiguous_timestamp(then).compatible().ok()
}
