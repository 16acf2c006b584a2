//! Billing periods: half-open ranges of time, counted from an anchor.
//!
//! An instant is a [`Timestamp`]; on which day it falls depends on the
//! customer's time zone ([`zone`]), which is always an argument. What is said in
//! dates ([`dates`]), the days that are billed on ([`cycle`]) and what a part of
//! an interval is ([`share`]) are beside this.

pub mod cycle;
pub mod dates;
pub mod share;
pub mod zone;

use cycle::Cycle;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};
use serde::{Deserialize, Serialize};
use std::fmt;

/// How long a period is. On the wire `week`, `month`, `year`, or a number of them: `30_days`, `2_weeks`, `3_months`.
///
/// At most ten years, however they are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Interval {
    /// A fixed number of days, whatever the month.
    Days(u16),
    Weeks(u16),
    /// Months of the calendar, on the anchor's day of the month or, where there is none, the last.
    Months(u16),
    Years(u16),
}

/// The two that most plans are sold by are named as everyone names them.
#[allow(non_upper_case_globals, reason = "they read as the variants of an interval that they are")]
impl Interval {
    pub const Month: Self = Self::Months(1);
    pub const Year: Self = Self::Years(1);
}

/// What an interval comes down to: months have no fixed number of days.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Length {
    Days(i64),
    Months(i64),
}

impl Interval {
    fn length(self) -> Length {
        match self {
            Self::Days(days) => Length::Days(days.into()),
            Self::Weeks(weeks) => Length::Days(7 * i64::from(weeks)),
            Self::Months(months) => Length::Months(months.into()),
            Self::Years(years) => Length::Months(12 * i64::from(years)),
        }
    }

    /// `count` of them, backwards where it is negative. None: beyond the calendar.
    fn times(self, count: i64) -> Option<Span> {
        match self.length() {
            Length::Days(days) => Span::new().try_days(days.checked_mul(count)?).ok(),
            Length::Months(months) => Span::new().try_months(months.checked_mul(count)?).ok(),
        }
    }
}

impl TryFrom<String> for Interval {
    type Error = UnknownInterval;

    fn try_from(text: String) -> Result<Self, UnknownInterval> {
        let interval = match text.as_str() {
            "day" => Some(Self::Days(1)), // written `1_days`, as it always was
            "week" => Some(Self::Weeks(1)),
            "month" => Some(Self::Month),
            "year" => Some(Self::Year),
            _ => several(&text).filter(|interval| interval.to_string() == text),
        };
        interval.ok_or(UnknownInterval(text))
    }
}

/// One spelling for each: `+30_days`, `030_days` and `1_months` are not what they would be written as.
fn several(text: &str) -> Option<Interval> {
    let (count, unit) = text.split_once('_')?;
    let count: u16 = count.parse().ok()?;
    match (unit, count) {
        ("days", 1..=3_660) => Some(Interval::Days(count)),
        ("weeks", 1..=522) => Some(Interval::Weeks(count)),
        ("months", 1..=120) => Some(Interval::Months(count)),
        ("years", 1..=10) => Some(Interval::Years(count)),
        _ => None,
    }
}

impl From<Interval> for String {
    fn from(interval: Interval) -> String {
        interval.to_string()
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Days(days) => write!(f, "{days}_days"),
            Self::Weeks(1) => f.write_str("week"),
            Self::Weeks(weeks) => write!(f, "{weeks}_weeks"),
            Self::Months(1) => f.write_str("month"),
            Self::Months(months) => write!(f, "{months}_months"),
            Self::Years(1) => f.write_str("year"),
            Self::Years(years) => write!(f, "{years}_years"),
        }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not an interval: expected `week`, `month`, `year`, or a number such as `30_days` or `3_months`")]
pub struct UnknownInterval(String);

/// `[start, end)`: the customer is served at `start` and not at `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Period {
    pub start: Timestamp,
    pub end: Timestamp,
}

impl Period {
    /// The `index`th period after `anchor`, with days and months as they are counted in `zone`.
    ///
    /// Every boundary is counted from the anchor, never from the previous
    /// boundary. Otherwise a subscription opened on 31 January would slip to
    /// 28 February and then stay on the 28th forever.
    pub fn nth(anchor: Timestamp, interval: Interval, index: u32, zone: &TimeZone) -> Self {
        Self::numbered(anchor, interval, index.into(), zone)
    }

    /// The period that `at` falls into. One that lies before the anchor is counted backwards from it.
    pub fn containing(anchor: Timestamp, interval: Interval, at: Timestamp, zone: &TimeZone) -> Self {
        let date = |instant: Timestamp| instant.to_zoned(zone.clone()).date();
        let index = Cycle::since(date(anchor), interval).index_at(date(at));
        let numbered = |index| Self::numbered(anchor, interval, index, zone);
        // By the day it is this one; by the hour perhaps the one before, or, where a clock skipped a day, that before.
        let later = [index, index.saturating_sub(1)].map(numbered).into_iter().find(|period| period.start <= at);
        later.unwrap_or_else(|| numbered(index.saturating_sub(2)))
    }

    fn numbered(anchor: Timestamp, interval: Interval, index: i64, zone: &TimeZone) -> Self {
        Self {
            start: boundary(anchor, interval, index, zone),
            end: boundary(anchor, interval, index.saturating_add(1), zone),
        }
    }
}

/// `count` intervals from `anchor`, at its time of the day in `zone`; past the calendar's end, that end.
///
/// Where a clock that is put forward skips that time, as much later; where one
/// that is put back shows it twice, the first: RFC 5545 3.3.5.
fn boundary(anchor: Timestamp, interval: Interval, count: i64, zone: &TimeZone) -> Timestamp {
    let end = if count < 0 { Timestamp::MIN } else { Timestamp::MAX };
    let anchor = anchor.to_zoned(zone.clone());
    let counted = interval.times(count).and_then(|span| anchor.checked_add(span).ok());
    counted.map_or(end, |boundary| boundary.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVALS: [Interval; 6] = [
        Interval::Days(1),
        Interval::Days(30),
        Interval::Weeks(2),
        Interval::Month,
        Interval::Months(3),
        Interval::Year,
    ];

    fn at(instant: &str) -> Timestamp {
        instant.parse().unwrap_or_else(|error| panic!("{error}"))
    }

    fn zone(name: &str) -> TimeZone {
        TimeZone::get(name).unwrap_or_else(|error| panic!("{error}"))
    }

    fn ends(anchor: &str, interval: Interval, indices: &[u32]) -> Vec<String> {
        let end = |n: &u32| Period::nth(at(anchor), interval, *n, &TimeZone::UTC).end.to_string();
        indices.iter().map(end).collect()
    }

    #[test]
    fn month_ends_follow_the_anchor() {
        assert_eq!(
            ends("2025-01-31T10:15:30Z", Interval::Month, &[0, 1, 2, 3]),
            ["2025-02-28T10:15:30Z", "2025-03-31T10:15:30Z", "2025-04-30T10:15:30Z", "2025-05-31T10:15:30Z"]
        );
        assert_eq!(
            ends("2024-11-30T00:00:00Z", Interval::Months(3), &[0, 1, 4]),
            ["2025-02-28T00:00:00Z", "2025-05-30T00:00:00Z", "2026-02-28T00:00:00Z"]
        );
    }

    #[test]
    fn leap_day_anniversaries_fall_back_then_return() {
        assert_eq!(
            ends("2024-02-29T00:00:00Z", Interval::Year, &[0, 3]),
            ["2025-02-28T00:00:00Z", "2028-02-29T00:00:00Z"]
        );
    }

    #[test]
    fn a_number_of_days_ignores_months() {
        assert_eq!(
            ends("2025-01-31T00:00:00Z", Interval::Days(30), &[0, 1]),
            ["2025-03-02T00:00:00Z", "2025-04-01T00:00:00Z"]
        );
        assert_eq!(ends("2025-02-20T00:00:00Z", Interval::Weeks(2), &[0]), ["2025-03-06T00:00:00Z"]);
    }

    #[test]
    fn one_period_ends_where_the_next_begins_and_contains_what_lies_between() {
        let anchor = at("2024-01-31T23:59:59Z");
        for zone in [TimeZone::UTC, zone("America/New_York"), zone("Asia/Kolkata"), zone("Pacific/Auckland")] {
            for interval in INTERVALS {
                for index in 0..60 {
                    let period = Period::nth(anchor, interval, index, &zone);
                    assert!(period.start < period.end, "{interval} {index}");
                    assert_eq!(period.end, Period::nth(anchor, interval, index + 1, &zone).start);
                    let last = Timestamp::from_second(period.end.as_second() - 1).unwrap_or(Timestamp::MIN);
                    for inside in [period.start, last] {
                        assert_eq!(Period::containing(anchor, interval, inside, &zone), period, "{interval} {index}");
                    }
                }
            }
        }
    }

    #[test]
    fn what_lies_before_the_anchor_is_counted_backwards() {
        let period =
            Period::containing(at("2025-03-31T08:00:00Z"), Interval::Month, at("2025-03-31T07:59:59Z"), &TimeZone::UTC);
        assert_eq!((period.start, period.end), (at("2025-02-28T08:00:00Z"), at("2025-03-31T08:00:00Z")));
    }

    #[test]
    fn a_day_that_a_zone_left_out_belongs_to_one_period() {
        // Samoa had no 30 December 2011: it went from the 29th to the 31st.
        let (anchor, apia) = (at("2011-12-01T20:00:00Z"), zone("Pacific/Apia"));
        for instant in ["2011-12-30T09:00:00Z", "2011-12-30T19:59:59Z", "2011-12-30T20:00:00Z"].map(at) {
            let period = Period::containing(anchor, Interval::Days(1), instant, &apia);
            assert!(period.start <= instant && instant < period.end, "{instant}");
        }
    }

    #[test]
    fn the_hour_on_the_customers_clock_is_kept() {
        // Noon before and after the clocks of New York are put forward on 9 March 2025.
        let period = Period::nth(at("2025-02-28T17:00:00Z"), Interval::Month, 0, &zone("America/New_York"));
        assert_eq!(period.end, at("2025-03-28T16:00:00Z"));
        // The 1st in Auckland is the last of the month in UTC: whose month it is decides.
        let anchor = at("2025-01-31T11:00:00Z");
        assert_eq!(Period::nth(anchor, Interval::Month, 0, &zone("Pacific/Auckland")).end, at("2025-02-28T11:00:00Z"));
        assert_eq!(Period::nth(anchor, Interval::Month, 1, &zone("Pacific/Auckland")).end, at("2025-03-31T11:00:00Z"));
    }

    #[test]
    fn an_hour_that_is_skipped_comes_later_and_one_that_comes_twice_is_the_first() {
        let berlin = zone("Europe/Berlin");
        // 02:30 of 30 March 2025 does not exist, that of 26 October does twice.
        let skipped = Period::nth(at("2025-02-28T01:30:00Z"), Interval::Days(30), 0, &berlin);
        assert_eq!(skipped.end, at("2025-03-30T01:30:00Z"));
        let twice = Period::nth(at("2025-09-26T00:30:00Z"), Interval::Month, 0, &berlin);
        assert_eq!(twice.end, at("2025-10-26T00:30:00Z"));
        // Whoever came at the second keeps their start, and is back at the hour the day after.
        let second = Period::nth(at("2025-10-26T01:30:00Z"), Interval::Days(1), 0, &berlin);
        assert_eq!((second.start, second.end), (at("2025-10-26T01:30:00Z"), at("2025-10-27T01:30:00Z")));
    }

    #[test]
    fn intervals_have_one_spelling() {
        for text in
            ["week", "month", "year", "30_days", "1_days", "7_days", "2_weeks", "3_months", "12_months", "2_years"]
        {
            assert_eq!(Interval::try_from(text.to_owned()).map(String::from).ok().as_deref(), Some(text));
        }
        // What stored records hold stays what it is.
        assert_eq!(Interval::try_from("month".to_owned()).ok(), Some(Interval::Month));
        assert_eq!(Interval::try_from("day".to_owned()).ok(), Some(Interval::Days(1)));
        let refused = [
            "",
            "Month",
            "0_days",
            "030_days",
            "+30_days",
            "-1_days",
            "99999_days",
            "days",
            "_days",
            "1_weeks",
            "1_months",
            "1_years",
            "0_months",
            "3_month",
            "121_months",
            "523_weeks",
            "11_years",
            "3_quarters",
        ];
        for text in refused {
            assert!(Interval::try_from(text.to_owned()).is_err(), "{text}");
        }
    }

    #[test]
    fn the_ends_of_the_calendar_do_not_panic() {
        for interval in INTERVALS.into_iter().chain([Interval::Days(u16::MAX), Interval::Years(u16::MAX)]) {
            assert_eq!(Period::nth(Timestamp::MAX, interval, u32::MAX, &TimeZone::UTC).end, Timestamp::MAX);
            for (anchor, at) in [(Timestamp::MIN, Timestamp::MAX), (Timestamp::MAX, Timestamp::MIN)] {
                let period = Period::containing(anchor, interval, at, &zone("Pacific/Apia"));
                assert!(period.start <= at && at <= period.end, "{interval}");
            }
        }
    }
}
