//! Ranges of dates, and how many days they have.
//!
//! An invoice, a credit and a count of days speak of dates. Which instant a
//! date begins at is the customer's time zone's to say.

use super::Period;
use jiff::Timestamp;
use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;

/// `[start, end)` in dates: the customer is served on `start`, and no more on `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dates {
    pub start: Date,
    pub end: Date,
}

/// How days are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DayCount {
    /// As many as the calendar has.
    Actual,
    /// Every month has so many; a day after the last of them counts as that one. 30 is the 30E/360 of bonds.
    FixedMonth(u8),
}

impl Dates {
    /// From `first` to `last` and both of them: of 1 to 31 January these are thirty-one days (Flexprice of
    /// periods, Lago of the days that were served).
    pub fn through(first: Date, last: Date) -> Self {
        Self { start: first, end: last.tomorrow().unwrap_or(Date::MAX) }
    }

    /// How many days there are; none where the end is not after the start.
    pub fn days(self, count: DayCount) -> i64 {
        let days = match count {
            DayCount::Actual => days_from(self.start, self.end),
            DayCount::FixedMonth(length) => {
                let day = |date: Date| i64::from(date.day()).min(length.into());
                months_from(self.start, self.end) * i64::from(length) + day(self.end) - day(self.start)
            }
        };
        days.max(0)
    }

    /// What of it is within `other`, perhaps nothing: then it starts and ends with one of them.
    pub fn within(self, other: Self) -> Self {
        let start = self.start.max(other.start);
        Self { start, end: self.end.min(other.end).max(start) }
    }

    /// From the first instant of its first day in `zone` to the first of the day it ends on.
    pub fn period(self, zone: &TimeZone) -> Period {
        let midnight = |date: Date| {
            let end = if date < Date::ZERO { Timestamp::MIN } else { Timestamp::MAX };
            zone.to_timestamp(date.to_datetime(Time::midnight())).unwrap_or(end)
        };
        Period { start: midnight(self.start), end: midnight(self.end) }
    }

    /// From the date that it is in `zone` at the start to that at the end: a day of 23 or 25 hours is one day.
    pub fn of(period: Period, zone: &TimeZone) -> Self {
        let date = |instant: Timestamp| instant.to_zoned(zone.clone()).date();
        Self { start: date(period.start), end: date(period.end) }
    }
}

pub(super) fn days_from(start: Date, end: Date) -> i64 {
    (end - start).get_days().into()
}

pub(super) fn months_from(start: Date, end: Date) -> i64 {
    let number = |date: Date| 12 * i64::from(date.year()) + i64::from(date.month());
    number(end) - number(start)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn days(start: &str, end: &str) -> Dates {
        let date = |text: &str| text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
        Dates { start: date(start), end: date(end) }
    }

    #[test]
    fn days_are_counted_as_the_calendar_or_a_bond_has_them() {
        let cases = [
            ("2023-02-23", "2023-03-15", 20, 22),
            ("2024-02-23", "2024-03-15", 21, 22),
            ("2023-05-23", "2023-06-15", 23, 22),
            ("2023-05-31", "2023-06-30", 30, 30),
            ("2023-12-31", "2024-01-31", 31, 30),
            ("2023-05-23", "2023-05-15", 0, 0),
        ];
        for (start, end, actual, fixed) in cases {
            let counts = [DayCount::Actual, DayCount::FixedMonth(30)].map(|count| days(start, end).days(count));
            assert_eq!(counts, [actual, fixed], "{start} {end}");
        }
        assert_eq!(days("2023-05-23", "2023-06-15").days(DayCount::FixedMonth(28)), 20);
    }

    #[test]
    fn a_day_of_23_hours_is_a_day() {
        let new_york = TimeZone::get("America/New_York").unwrap_or_else(|error| panic!("{error}"));
        let (short, long) = (days("2024-03-10", "2024-03-11"), days("2024-11-03", "2024-11-04"));
        let hours = |dates: Dates| {
            let Period { start, end } = dates.period(&new_york);
            (end.as_second() - start.as_second()) / 3_600
        };
        assert_eq!((hours(short), hours(long)), (23, 25));
        for dates in [short, long] {
            assert_eq!(Dates::of(dates.period(&new_york), &new_york), dates);
        }
    }

    #[test]
    fn what_two_have_in_common_is_never_less_than_nothing() {
        let march = days("2025-03-01", "2025-04-01");
        assert_eq!(days("2025-02-20", "2025-03-05").within(march), days("2025-03-01", "2025-03-05"));
        for outside in
            [days("2025-01-01", "2025-02-01"), days("2025-05-01", "2025-06-01"), days("2025-03-20", "2025-03-10")]
        {
            assert_eq!(outside.within(march).days(DayCount::Actual), 0);
        }
    }

    #[test]
    fn days_beyond_what_an_instant_can_say_end_with_it() {
        let all = Dates { start: Date::MIN, end: Date::MAX }.period(&TimeZone::UTC);
        assert_eq!(all, Period { start: Timestamp::MIN, end: Timestamp::MAX });
    }
}
