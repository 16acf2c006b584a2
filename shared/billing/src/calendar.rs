//! Billing periods: half-open ranges of time, counted from an anchor.

use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};
use serde::{Deserialize, Serialize};
use std::fmt;

/// How long a period is. On the wire `month`, `year` or `30_days`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Interval {
    Month,
    Year,
    /// A fixed number of days, whatever the month.
    Days(u16),
}

impl Interval {
    fn times(self, count: u32) -> Span {
        let count = i64::from(count);
        // jiff's units end far beyond the calendar; past them a boundary saturates at the end of time.
        let span = match self {
            Self::Month => Span::new().try_months(count),
            Self::Year => Span::new().try_years(count),
            Self::Days(days) => Span::new().try_days(count.saturating_mul(i64::from(days))),
        };
        span.unwrap_or_else(|_| Span::new().years(19_998))
    }
}

impl TryFrom<String> for Interval {
    type Error = UnknownInterval;

    fn try_from(text: String) -> Result<Self, UnknownInterval> {
        match text.as_str() {
            "month" => Ok(Self::Month),
            "year" => Ok(Self::Year),
            _ => match text.strip_suffix("_days").map(str::parse) {
                // One spelling for each: `+30_days` and `030_days` are refused.
                Some(Ok(days @ 1..=3_660)) if text == Self::Days(days).to_string() => Ok(Self::Days(days)),
                Some(_) | None => Err(UnknownInterval(text)),
            },
        }
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
            Self::Month => f.write_str("month"),
            Self::Year => f.write_str("year"),
            Self::Days(days) => write!(f, "{days}_days"),
        }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not an interval: expected `month`, `year` or a number of days such as `30_days`")]
pub struct UnknownInterval(String);

/// `[start, end)`: the customer is served at `start` and not at `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Period {
    pub start: Timestamp,
    pub end: Timestamp,
}

impl Period {
    /// The `index`th period after `anchor`, with days and months as UTC counts them.
    ///
    /// Every boundary is counted from the anchor, never from the previous
    /// boundary. Otherwise a subscription opened on 31 January would slip to
    /// 28 February and then stay on the 28th forever.
    pub fn nth(anchor: Timestamp, interval: Interval, index: u32) -> Self {
        let boundary = |count| {
            let anchor = anchor.to_zoned(TimeZone::UTC);
            anchor.checked_add(interval.times(count)).map_or(Timestamp::MAX, |boundary| boundary.timestamp())
        };
        Self { start: boundary(index), end: boundary(index.saturating_add(1)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(anchor: &str, interval: Interval, indices: &[u32]) -> Vec<String> {
        let anchor = anchor.parse().unwrap_or_else(|_| panic!("{anchor}"));
        indices.iter().map(|n| Period::nth(anchor, interval, *n).end.to_string()).collect()
    }

    #[test]
    fn month_ends_follow_the_anchor() {
        assert_eq!(
            ends("2025-01-31T10:15:30Z", Interval::Month, &[0, 1, 2, 3]),
            ["2025-02-28T10:15:30Z", "2025-03-31T10:15:30Z", "2025-04-30T10:15:30Z", "2025-05-31T10:15:30Z"]
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
    }

    #[test]
    fn one_period_ends_where_the_next_begins() {
        let anchor = "2024-01-31T23:59:59Z".parse().unwrap_or(Timestamp::UNIX_EPOCH);
        for interval in [Interval::Month, Interval::Year, Interval::Days(30)] {
            for index in 0..60 {
                assert_eq!(Period::nth(anchor, interval, index).end, Period::nth(anchor, interval, index + 1).start);
            }
        }
    }

    #[test]
    fn intervals_have_one_spelling() {
        for text in ["month", "year", "30_days", "1_days"] {
            assert_eq!(Interval::try_from(text.to_owned()).map(String::from).ok().as_deref(), Some(text));
        }
        for text in ["", "Month", "0_days", "030_days", "+30_days", "-1_days", "99999_days", "days", "_days"] {
            assert!(Interval::try_from(text.to_owned()).is_err(), "{text}");
        }
    }

    #[test]
    fn the_end_of_the_calendar_does_not_panic() {
        assert_eq!(Period::nth(Timestamp::MAX, Interval::Year, u32::MAX).end, Timestamp::MAX);
    }
}
