//! Cycles: the days on which a customer is billed.

use super::dates::{Dates, days_from, months_from};
use super::{Interval, Length};
use jiff::ToSpan;
use jiff::civil::{Date, DateTime};
use serde::{Deserialize, Serialize};

/// A day of the month that invoices are written on, 1 to 31; in a shorter month, on its last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "i8", into = "i8")]
pub struct BillingDay(i8);

impl TryFrom<i8> for BillingDay {
    type Error = NoSuchDay;

    fn try_from(day: i8) -> Result<Self, NoSuchDay> {
        if (1..=31).contains(&day) { Ok(Self(day)) } else { Err(NoSuchDay(day)) }
    }
}

impl From<BillingDay> for i8 {
    fn from(day: BillingDay) -> i8 {
        day.0
    }
}

#[derive(Debug, thiserror::Error)]
#[error("{0} is not a day of the month: expected 1 to 31")]
pub struct NoSuchDay(i8);

/// Boundaries between periods: every interval, to both sides of an anchor.
///
/// Each is counted from the anchor, never from its neighbour: after a short
/// month the 31st is the 31st again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cycle {
    /// Boundary 0, but for the day of the month.
    anchor: Date,
    /// Kept apart: 31 may not exist in the anchor's month.
    day: i8,
    interval: Interval,
}

impl Cycle {
    /// On the anniversaries of `anchor`.
    pub fn since(anchor: Date, interval: Interval) -> Self {
        Self { anchor, day: anchor.day(), interval }
    }

    /// On a day of the month, from the month of `start` on, where that day may be before the start: a quarter billed
    /// on the 1st that starts on 10 January ends on 1 April (Kill Bill, Meteroid). Weeks and days have no day of the
    /// month, and are counted from `start`.
    pub fn on_day(day: BillingDay, start: Date, interval: Interval) -> Self {
        match interval.length() {
            Length::Months(_) => Self { anchor: start, day: day.0, interval },
            Length::Days(_) => Self::since(start, interval),
        }
    }

    /// With the calendar: months, quarters and years as everyone counts them, weeks from Monday. Multiples of them
    /// are counted from 2001, which began on a Monday.
    pub fn calendar(interval: Interval) -> Self {
        Self::since(jiff::civil::date(2001, 1, 1), interval)
    }

    /// The `index`th, before the anchor where it is negative; beyond the calendar, its end.
    pub fn boundary(self, index: i64) -> Date {
        let after = |date: Date| date.checked_add(self.interval.times(index)?).ok();
        let boundary = match self.interval.length() {
            Length::Days(_) => after(self.anchor),
            Length::Months(_) => after(self.anchor.first_of_month()).map(|month| on(self.day, month)),
        };
        boundary.unwrap_or(if index < 0 { Date::MIN } else { Date::MAX })
    }

    /// The number of the last boundary that is not after `date`.
    pub fn index_at(self, date: Date) -> i64 {
        let index = match self.interval.length() {
            Length::Days(days) => days_from(self.anchor, date).div_euclid(days.max(1)),
            Length::Months(months) => months_from(self.anchor, date).div_euclid(months.max(1)),
        };
        if self.boundary(index) > date { index - 1 } else { index }
    }

    /// The number of the first boundary that is not before `date`.
    pub fn index_from(self, date: Date) -> i64 {
        let index = self.index_at(date);
        if self.boundary(index) == date { index } else { index + 1 }
    }

    /// The days from one boundary to the next.
    pub fn numbered(self, index: i64) -> Dates {
        Dates { start: self.boundary(index), end: self.boundary(index.saturating_add(1)) }
    }

    /// The whole interval that `date` falls into.
    pub fn containing(self, date: Date) -> Dates {
        self.numbered(self.index_at(date))
    }

    /// What an invoice of `date` is for that is paid in advance, by a customer who is served `from` a day: the
    /// interval that `date` falls into, or what of it is left. Before that day it is for the first.
    pub fn in_advance(self, from: Date, date: Date) -> Dates {
        let interval = self.containing(date.max(from));
        Dates { start: interval.start.max(from), ..interval }
    }

    /// What an invoice of `date` is for that is paid in arrears: the last interval that has ended, as far as the
    /// customer was served. None: not yet.
    pub fn in_arrears(self, from: Date, date: Date) -> Option<Dates> {
        let ended = self.numbered(self.index_at(date).saturating_sub(1));
        (ended.end > from).then(|| Dates { start: ended.start.max(from), ..ended })
    }

    /// How many boundaries have been reached since `from`, which is itself none of them. What begins later: none.
    pub fn elapsed(self, from: Date, date: Date) -> u64 {
        u64::try_from(self.index_at(date).saturating_sub(self.index_at(from))).unwrap_or(0)
    }

    /// When the period ends that starts at `start`, of a cycle of which only an anchor is known: so it is with a
    /// subscription that another system billed before. The anchor says on which day of the week, of the month or of
    /// the year and at what time; which of these days, the start (Flexprice). Both are on the customer's clock.
    ///
    /// None: beyond the calendar.
    pub fn end_after(start: DateTime, anchor: DateTime, interval: Interval, before: BeforeAnchor) -> Option<DateTime> {
        if before == BeforeAnchor::UntilIt && start < anchor {
            return Some(anchor);
        }
        let date = match interval {
            Interval::Days(days) => start.date().checked_add(i64::from(days).days()).ok()?,
            Interval::Weeks(weeks) => {
                let ahead = days_from(start.date(), anchor.date()).rem_euclid(7);
                let ahead = if ahead == 0 { 7 } else { ahead };
                start.date().checked_add((ahead + 7 * i64::from(weeks.saturating_sub(1))).days()).ok()?
            }
            Interval::Months(months) => {
                on(anchor.day(), start.date().first_of_month().checked_add(i64::from(months).months()).ok()?)
            }
            Interval::Years(years) => {
                let year = start.year().checked_add(i16::try_from(years).ok()?)?;
                on(anchor.day(), Date::new(year, anchor.month(), 1).ok()?)
            }
        };
        Some(date.to_datetime(anchor.time()))
    }
}

/// How long a period is that starts before the anchor of its cycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BeforeAnchor {
    /// As long as any: the anchor only names a day.
    Whole,
    /// What is left until the anchor, with which the first whole one begins: as quarters of the calendar have it.
    UntilIt,
}

/// How many whole intervals there are from `start` to `end`.
pub fn whole_intervals(start: Date, end: Date, interval: Interval) -> u64 {
    Cycle::since(start, interval).elapsed(start, end)
}

/// The day of `date`'s month, or the last that it has.
fn on(day: i8, date: Date) -> Date {
    date.with().day(day.min(date.days_in_month())).build().unwrap_or(date)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(text: &str) -> Date {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn time(text: &str) -> DateTime {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn day(day: i8) -> BillingDay {
        BillingDay::try_from(day).unwrap_or_else(|error| panic!("{error}"))
    }

    fn told(dates: Dates) -> (String, String) {
        (dates.start.to_string(), dates.end.to_string())
    }

    fn pair(start: &str, end: &str) -> (String, String) {
        (start.to_owned(), end.to_owned())
    }

    #[test]
    fn the_day_after_a_short_month_is_the_anchors_again() {
        let month_ends = Cycle::since(date("2024-01-31"), Interval::Month);
        let boundaries: Vec<String> = (-2..4).map(|index| month_ends.boundary(index).to_string()).collect();
        assert_eq!(boundaries, ["2023-11-30", "2023-12-31", "2024-01-31", "2024-02-29", "2024-03-31", "2024-04-30"]);
        // The 31st is kept where the cycle starts in a month that has none.
        let from_february = Cycle::on_day(day(31), date("2025-02-10"), Interval::Months(2));
        let boundaries: Vec<String> = (0..3).map(|index| from_february.boundary(index).to_string()).collect();
        assert_eq!(boundaries, ["2025-02-28", "2025-04-30", "2025-06-30"]);
    }

    #[test]
    fn every_date_has_its_number_and_its_interval() {
        let intervals =
            [Interval::Days(10), Interval::Weeks(3), Interval::Month, Interval::Months(5), Interval::Years(2)];
        for cycle in intervals.map(|interval| Cycle::on_day(day(30), date("2024-02-11"), interval)) {
            for offset in -1_500..1_500 {
                let today = date("2024-02-11").saturating_add(offset.days());
                let interval = cycle.containing(today);
                assert!(interval.start <= today && today < interval.end, "{cycle:?} {today}");
                let next = cycle.boundary(cycle.index_from(today));
                assert_eq!(next, if interval.start == today { today } else { interval.end }, "{cycle:?} {today}");
            }
        }
    }

    #[test]
    fn an_invoice_in_advance_is_for_what_comes_and_one_in_arrears_for_what_was() {
        let quarters = Cycle::on_day(day(1), date("2021-01-10"), Interval::Months(3));
        let from = date("2021-01-10");
        let cases = [
            ("2021-01-10", pair("2021-01-10", "2021-04-01"), None),
            ("2021-03-31", pair("2021-01-10", "2021-04-01"), None),
            ("2021-04-01", pair("2021-04-01", "2021-07-01"), Some(pair("2021-01-10", "2021-04-01"))),
            ("2021-07-15", pair("2021-07-01", "2021-10-01"), Some(pair("2021-04-01", "2021-07-01"))),
            // Who is invoiced before being served is invoiced for the first.
            ("2020-12-31", pair("2021-01-10", "2021-04-01"), None),
        ];
        for (on, advance, arrears) in cases {
            assert_eq!(told(quarters.in_advance(from, date(on))), advance, "{on}");
            assert_eq!(quarters.in_arrears(from, date(on)).map(told), arrears, "{on}");
        }
        // Who is served from the very day on which one begins was served nothing of the one before.
        let from = date("2021-04-01");
        assert_eq!(["2021-04-01", "2021-06-30"].map(|on| quarters.in_arrears(from, date(on))), [None, None]);
    }

    #[test]
    fn boundaries_that_were_reached_are_counted_once() {
        let tenths = Cycle::on_day(day(10), date("2024-01-01"), Interval::Month);
        let elapsed = ["2023-05-05", "2024-01-01", "2024-01-09", "2024-01-10", "2024-02-10", "2025-01-10"]
            .map(|on| tenths.elapsed(date("2024-01-01"), date(on)));
        assert_eq!(elapsed, [0, 0, 0, 1, 2, 13]);
        // A cycle that begins on its own day has reached it already.
        assert_eq!(tenths.elapsed(date("2024-01-10"), date("2024-02-09")), 0);
        let whole = |end| whole_intervals(date("2024-01-31"), date(end), Interval::Month);
        assert_eq!([whole("2024-02-28"), whole("2024-02-29"), whole("2024-03-30"), whole("2023-01-01")], [0, 1, 1, 0]);
    }

    #[test]
    fn the_calendars_intervals_begin_where_everyone_begins_them() {
        let on = date("2026-11-21"); // a Saturday
        let cases = [
            (Interval::Weeks(1), pair("2026-11-16", "2026-11-23")),
            (Interval::Month, pair("2026-11-01", "2026-12-01")),
            (Interval::Months(3), pair("2026-10-01", "2027-01-01")),
            (Interval::Year, pair("2026-01-01", "2027-01-01")),
        ];
        for (interval, expected) in cases {
            assert_eq!(told(Cycle::calendar(interval).containing(on)), expected);
        }
    }

    #[test]
    fn a_period_of_another_system_ends_on_its_anchors_day() {
        let cases = [
            // By the month: its day, at its hour, and the last where there is none.
            ("2023-12-31T10:37:00", "2023-12-31T00:00:00", Interval::Months(2), "2024-02-29T00:00:00"),
            ("2024-04-29T10:37:00", "2024-02-29T10:37:00", Interval::Months(2), "2024-06-29T10:37:00"),
            // By the year: its month as well.
            ("2024-01-15T00:00:00", "2024-02-29T00:00:00", Interval::Year, "2025-02-28T00:00:00"),
            // By the week: its day of the week, the first after the start and then so many weeks.
            ("2024-03-06T00:00:00", "2023-01-02T09:15:30", Interval::Weeks(1), "2024-03-11T09:15:30"),
            ("2024-03-08T18:00:00", "2023-01-06T18:00:00", Interval::Weeks(2), "2024-03-22T18:00:00"),
            ("2024-12-29T00:00:00", "2024-01-04T15:30:00", Interval::Weeks(3), "2025-01-16T15:30:00"),
            ("2024-02-27T01:00:00", "2024-01-01T08:00:00", Interval::Days(3), "2024-03-01T08:00:00"),
        ];
        for (start, anchor, interval, expected) in cases {
            let end = Cycle::end_after(time(start), time(anchor), interval, BeforeAnchor::Whole);
            assert_eq!(end, Some(time(expected)), "{start} {interval}");
        }
        let (start, anchor) = (time("2026-02-10T00:00:00"), time("2026-04-01T00:00:00"));
        let end = |before| Cycle::end_after(start, anchor, Interval::Months(3), before);
        assert_eq!(end(BeforeAnchor::UntilIt), Some(anchor));
        assert_eq!(end(BeforeAnchor::Whole), Some(time("2026-05-01T00:00:00")));
        // It is the first alone that is cut short.
        let second = Cycle::end_after(anchor, anchor, Interval::Months(3), BeforeAnchor::UntilIt);
        assert_eq!(second, Some(time("2026-07-01T00:00:00")));
        assert_eq!(Cycle::end_after(DateTime::MAX, DateTime::MAX, Interval::Year, BeforeAnchor::Whole), None);
    }

    #[test]
    fn only_days_that_months_have_are_billing_days() {
        for number in [-1, 0, 32, i8::MAX] {
            assert!(BillingDay::try_from(number).is_err(), "{number}");
        }
        assert_eq!(i8::from(day(31)), 31);
    }

    #[test]
    fn the_ends_of_the_calendar_end_a_cycle() {
        for interval in [Interval::Days(1), Interval::Weeks(522), Interval::Month, Interval::Years(10)] {
            let cycle = Cycle::since(date("2024-01-31"), interval);
            assert_eq!(cycle.boundary(i64::MAX), Date::MAX);
            assert_eq!(cycle.boundary(i64::MIN), Date::MIN);
            for edge in [Date::MIN, Date::MAX] {
                let all = cycle.containing(edge);
                assert!(all.start <= edge && edge <= all.end, "{interval} {edge}");
                assert!(Cycle::since(edge, interval).elapsed(edge, edge) == 0);
            }
        }
    }
}
