//! Words of time that several operations read.

use crate::cases::Refusal;
use billing::calendar::Interval;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::{Deserialize, Deserializer};

/// How long a period is, by any of its names: `monthly`, `quarter`, `thirty_days`, `3_months`.
pub(crate) fn interval<'de, D: Deserializer<'de>>(from: D) -> Result<Interval, D::Error> {
    let name = String::deserialize(from)?.to_lowercase();
    let known = match name.as_str() {
        "daily" | "day" => Interval::Days(1),
        "weekly" | "week" => Interval::Weeks(1),
        "biweekly" => Interval::Weeks(2),
        "thirty_days" => Interval::Days(30),
        "thirty_one_days" => Interval::Days(31),
        "sixty_days" => Interval::Days(60),
        "ninety_days" => Interval::Days(90),
        "monthly" | "month" => Interval::Month,
        "bimestrial" => Interval::Months(2),
        "quarterly" | "quarter" => Interval::Months(3),
        "triannual" => Interval::Months(4),
        "half_year" | "half_yearly" | "semiannual" | "biannual" => Interval::Months(6),
        "yearly" | "year" | "annual" => Interval::Year,
        "biennial" => Interval::Years(2),
        "triennial" => Interval::Years(3),
        _ => return Interval::try_from(name).map_err(serde::de::Error::custom),
    };
    Ok(known)
}

/// `count` intervals as one.
pub(crate) fn many(interval: Interval, count: u16) -> Result<Interval, Refusal> {
    let longer = match interval {
        Interval::Days(days) => days.checked_mul(count).map(Interval::Days),
        Interval::Weeks(weeks) => weeks.checked_mul(count).map(Interval::Weeks),
        Interval::Months(months) => months.checked_mul(count).map(Interval::Months),
        Interval::Years(years) => years.checked_mul(count).map(Interval::Years),
    };
    longer.filter(|_| count > 0).ok_or_else(|| Refusal::of("interval_count", "no such number of intervals"))
}

/// What is meant where a case names no interval.
pub(crate) fn month() -> Interval {
    Interval::Month
}

/// The instant that a date stands for where no zone is named.
pub(crate) fn midnight(field: &str, date: Date) -> Result<Timestamp, Refusal> {
    date.to_zoned(TimeZone::UTC).map(|zoned| zoned.timestamp()).map_err(|error| Refusal::of(field, error))
}
