//! What was used on each day, so that it can be shown without counting the uses again.
//!
//! A day is one of the customer's own calendar. What it counts is added in the transaction that counts the use, or
//! consumes the tokens: so the days are what their records say, whoever reports at the same moment.

use crate::calendar::zone::Zone;
use crate::id::{CustomerId, MeterId};
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp, ToSpan};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How many days are shown, today included.
pub const DAYS: i32 = 30;

/// For how long a day is kept: longer than whoever compares it with the same one of the year before needs it.
const KEPT_FOR: SignedDuration = SignedDuration::from_hours(400 * 24);

/// How many days with some use make a habit, and how many times as much as on such a day is unusual.
const HABIT_DAYS: u128 = 7;
const UNUSUAL: u128 = 3;

/// What was used of one thing on one day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DayUsage {
    pub customer: CustomerId,
    pub date: Date,
    /// None: prepaid tokens.
    pub meter: Option<MeterId>,
    /// Where the meter counted it: 0 is in none of its shards. A day is all of them.
    #[serde(default, skip_serializing_if = "is_none")]
    pub shard: u8,
    pub value: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde wants it")]
fn is_none(shard: &u8) -> bool {
    *shard == 0
}

impl DayUsage {
    pub(crate) fn expires_at(&self) -> Option<Timestamp> {
        self.date.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().checked_add(KEPT_FOR).ok()
    }
}

/// What was used of one thing lately.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Statistics {
    pub today: u64,
    pub this_month: u64,
    /// Today is more than three times an average day of those before it on which something was used, of which there are
    /// at least seven.
    pub unusual: bool,
    /// The last thirty days, the oldest first and today last.
    pub by_day: Vec<Day>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Day {
    pub date: Date,
    pub used: u64,
}

/// The date at `at` on the calendar of `zone`.
pub(crate) fn date(at: Timestamp, zone: &Zone) -> Date {
    at.to_zoned((**zone).clone()).date()
}

/// The first day that the statistics of `today` need: of the month, or of the thirty days.
pub(crate) fn first_of(today: Date) -> Date {
    shown(today).min(today.first_of_month())
}

fn shown(today: Date) -> Date {
    today.checked_sub((DAYS - 1).days()).unwrap_or(Date::MIN)
}

impl Statistics {
    /// Of what was used on `days`, by date, as it is shown `today`.
    fn of(days: &BTreeMap<Date, u64>, today: Date) -> Self {
        let sum = |from: Date| days.range(from..=today).fold(0_u64, |sum, (_, used)| sum.saturating_add(*used));
        let first = shown(today);
        let dates = first.series(1.day()).take_while(|date| *date <= today);
        let by_day: Vec<Day> = dates.map(|date| Day { date, used: days.get(&date).copied().unwrap_or(0) }).collect();
        let used_today = days.get(&today).copied().unwrap_or(0);
        let before = by_day.iter().filter(|day| day.date < today && day.used > 0);
        let (count, total) = before.fold((0_u128, 0_u128), |(n, sum), day| (n + 1, sum + u128::from(day.used)));
        let unusual = count >= HABIT_DAYS && u128::from(used_today).saturating_mul(count) > UNUSUAL * total;
        Self { today: used_today, this_month: sum(today.first_of_month()), unusual, by_day }
    }

    /// Of each thing that was used on any of `days`.
    pub(crate) fn all(days: &[DayUsage], today: Date) -> BTreeMap<Option<MeterId>, Self> {
        let mut by_meter: BTreeMap<&Option<MeterId>, BTreeMap<Date, u64>> = BTreeMap::new();
        for day in days {
            by_meter.entry(&day.meter).or_default().insert(day.date, day.value);
        }
        by_meter.into_iter().map(|(meter, days)| (meter.clone(), Self::of(&days, today))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{instant, zone};
    use jiff::civil::date as day;

    fn used(days: &[(Date, u64)], today: Date) -> Statistics {
        Statistics::of(&days.iter().copied().collect(), today)
    }

    #[test]
    fn today_this_month_and_thirty_days_are_told_apart() {
        let today = day(2026, 3, 31);
        let days = [(day(2026, 3, 1), 1), (day(2026, 3, 2), 20), (day(2026, 3, 31), 300), (day(2026, 2, 28), 4_000)];
        let found = used(&days, today);
        assert_eq!((found.today, found.this_month, found.by_day.len()), (300, 321, 30));
        // The first of March is in the month, and thirty-one days ago.
        assert_eq!(found.by_day.iter().map(|day| day.used).sum::<u64>(), 320);
        assert_eq!((found.by_day[0].date, found.by_day[29]), (day(2026, 3, 2), Day { date: today, used: 300 }));
        assert_eq!([first_of(today), first_of(day(2026, 3, 5))], [day(2026, 3, 1), day(2026, 2, 4)]);
        let early = used(&days, day(2026, 3, 1));
        assert_eq!((early.today, early.this_month), (1, 1));
    }

    #[test]
    fn a_day_is_unusual_beside_seven_that_were_used_and_at_more_than_three_times_as_much() {
        let today = day(2026, 3, 31);
        let habit = |days: i32, of_today: u64| {
            let before = (1..=days).map(|n| (today.checked_sub((2 * n).days()).unwrap_or(today), 10));
            let days: Vec<_> = before.chain([(today, of_today)]).collect();
            used(&days, today).unusual
        };
        assert_eq!([habit(7, 30), habit(7, 31), habit(6, 1_000), habit(14, 31)], [false, true, false, true]);
        assert!(!used(&[(today, u64::MAX)], today).unusual, "who has no habit does nothing unusual");
    }

    #[test]
    fn a_day_is_one_of_the_customers_own() {
        let at = instant("2026-03-31T23:30:00Z");
        assert_eq!([date(at, &zone("Asia/Tbilisi")), date(at, &Zone::UTC)], [day(2026, 4, 1), day(2026, 3, 31)]);
    }

    #[test]
    fn a_day_is_kept_until_the_same_one_of_the_next_year_was_compared_with_it() {
        let date = jiff::civil::date(2025, 2, 28);
        let day = DayUsage { customer: crate::testing::customer(), date, meter: None, shard: 0, value: 1 };
        assert_eq!(day.expires_at(), Some(crate::testing::instant("2026-04-04T00:00:00Z")));
    }
}
