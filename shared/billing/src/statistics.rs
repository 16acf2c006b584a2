//! What was used on each day, so that it can be shown without counting the uses again.
//!
//! A day is one of the customer's own calendar. What it counts is added in the transaction that counts the use, or
//! consumes the tokens: so the days are what their records say, whoever reports at the same moment.

use crate::calendar::zone::Zone;
use crate::id::{CustomerId, MeterId};
use crate::ports::Write;
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

/// What is said of a day that the records of its uses come to something else of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DayRecount {
    pub date: Date,
    pub counted: u64,
    pub recorded: u64,
}

impl DayRecount {
    /// Those of the `days` of one meter, and of what is `recorded` of it by day, that differ.
    pub(crate) fn all(days: &[DayUsage], recorded: &BTreeMap<Date, u64>) -> Vec<Self> {
        let mut both: BTreeMap<Date, (u64, u64)> =
            recorded.iter().map(|(date, recorded)| (*date, (0, *recorded))).collect();
        for day in days {
            let (counted, _) = both.entry(day.date).or_default();
            *counted = counted.saturating_add(day.value);
        }
        let all = both.into_iter().map(|(date, (counted, recorded))| Self { date, counted, recorded });
        all.filter(|it| it.counted != it.recorded).collect()
    }

    /// Has the day say what is recorded, outside of all shards; of those among `days`, the meter's, none has any of it then.
    /// Whoever counts in one adds to that.
    pub(crate) fn writes(&self, customer: &CustomerId, meter: &MeterId, days: &[DayUsage]) -> Vec<Write> {
        let parts = days.iter().filter(|it| it.date == self.date && it.shard > 0 && it.value > 0);
        let shards = parts.map(|it| (it.shard, 0));
        let set = |(shard, value)| {
            let (customer, meter) = (customer.clone(), Some(meter.clone()));
            Write::Set(DayUsage { customer, date: self.date, meter, shard, value })
        };
        std::iter::once((0, self.recorded)).chain(shards).map(set).collect()
    }
}

/// What was used of one thing lately.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Statistics {
    pub today: u64,
    pub this_month: u64,
    /// Today is far above the customer's own habit.
    pub unusual: bool,
    /// The last thirty days, the oldest first and today last.
    pub by_day: Vec<Day>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Day {
    pub date: Date,
    pub used: u64,
}

/// A day on which the customer used far more of one thing than is their habit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unusual {
    /// None: prepaid tokens.
    pub meter: Option<MeterId>,
    pub date: Date,
    pub used: u64,
    /// On an average day of those before it on which something was used, rounded down.
    pub usual: u64,
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

/// What is usual, where the last of `by_day` is far above it: more than three times an average one of the days before on
/// which something was used, of which there are at least seven.
fn exceeded(by_day: &[Day]) -> Option<u64> {
    let (last, before) = by_day.split_last()?;
    let before = before.iter().filter(|day| day.used > 0);
    let (count, total) = before.fold((0_u128, 0_u128), |(n, sum), day| (n + 1, sum + u128::from(day.used)));
    let is_far_above = u128::from(last.used).saturating_mul(count) > UNUSUAL * total;
    if count < HABIT_DAYS || !is_far_above {
        return None;
    }
    u64::try_from(total / count).ok()
}

impl Statistics {
    /// Of what was used on `days`, by date, as it is shown `today`.
    fn of(days: &BTreeMap<Date, u64>, today: Date) -> Self {
        let sum = |from: Date| days.range(from..=today).fold(0_u64, |sum, (_, used)| sum.saturating_add(*used));
        let first = shown(today);
        let dates = first.series(1.day()).take_while(|date| *date <= today);
        let by_day: Vec<Day> = dates.map(|date| Day { date, used: days.get(&date).copied().unwrap_or(0) }).collect();
        let used_today = days.get(&today).copied().unwrap_or(0);
        let unusual = exceeded(&by_day).is_some();
        Self { today: used_today, this_month: sum(today.first_of_month()), unusual, by_day }
    }

    /// Of each thing that was used on any of `days`.
    pub(crate) fn all(days: &[DayUsage], today: Date) -> BTreeMap<Option<MeterId>, Self> {
        let mut by_meter: BTreeMap<&Option<MeterId>, BTreeMap<Date, u64>> = BTreeMap::new();
        for day in days.iter().filter(|day| day.value > 0) {
            let used = by_meter.entry(&day.meter).or_default().entry(day.date).or_default();
            *used = used.saturating_add(day.value);
        }
        by_meter.into_iter().map(|(meter, days)| (meter.clone(), Self::of(&days, today))).collect()
    }
}

impl Unusual {
    /// Of each thing of which `today` is far above the customer's habit.
    pub(crate) fn all(statistics: BTreeMap<Option<MeterId>, Statistics>, today: Date) -> Vec<Self> {
        let of = |(meter, it): (_, Statistics)| {
            Some(Self { meter, date: today, used: it.today, usual: exceeded(&it.by_day)? })
        };
        statistics.into_iter().filter_map(of).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{customer, instant, meter, zone};
    use jiff::civil::date as day;

    fn used(days: &[(Date, u64)], today: Date) -> Statistics {
        Statistics::of(&days.iter().copied().collect(), today)
    }

    /// So many days before `today`.
    fn usage(meter: &Option<MeterId>, before: i32, value: u64, today: Date) -> DayUsage {
        let date = today.checked_sub(before.days()).unwrap_or(today);
        DayUsage { customer: customer(), date, meter: meter.clone(), shard: 0, value }
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
    fn who_is_told_of_an_unusual_day_is_told_what_is_usual() {
        let today = day(2026, 3, 31);
        // What was used yesterday, on the day before, and so on; and today; and what is said of it.
        let cases: [(&[u64], u64, Option<u64>); 9] = [
            (&[10; 7], 30, None),
            (&[10; 7], 31, Some(10)),
            (&[10; 6], 1_000, None),
            // 76 in seven days: three times an average one is 32.6.
            (&[10, 10, 10, 10, 10, 10, 16], 32, None),
            (&[10, 10, 10, 10, 10, 10, 16], 33, Some(10)),
            // 16 on the eight days with some use.
            (&[1, 1, 1, 0, 1, 1, 1, 1, 9], 6, None),
            (&[1, 1, 1, 0, 1, 1, 1, 1, 9], 7, Some(2)),
            (&[0, 1, 1, 1, 0, 1, 1, 1], 1_000, None),
            (&[u64::MAX / 4; 29], u64::MAX, Some(u64::MAX / 4)),
        ];
        for (before, used, usual) in cases {
            for meter in [Some(meter("minutes")), None] {
                let days = (0..).zip([&[used], before].concat());
                let days: Vec<DayUsage> = days.map(|(n, used)| usage(&meter, n, used, today)).collect();
                let found = Unusual::all(Statistics::all(&days, today), today);
                let expected = usual.map(|usual| Unusual { meter, date: today, used, usual });
                assert_eq!(found, Vec::from_iter(expected), "{used} after {before:?}");
            }
        }
    }

    #[test]
    fn of_each_thing_its_own_habit_counts_and_no_day_older_than_thirty() {
        let today = day(2026, 3, 31);
        let (calls, minutes) = (Some(meter("calls")), Some(meter("minutes")));
        let mut days = vec![];
        for n in 0..7 {
            days.extend([usage(&calls, n + 23, 10, today), usage(&minutes, n + 24, 10, today)]);
            days.extend([usage(&None, n + 1, 1_000, today), usage(&calls, n + 30, 1_000, today)]);
        }
        days.extend([&calls, &minutes, &None].map(|meter| usage(meter, 0, 31, today)));
        let found = Unusual::all(Statistics::all(&days, today), today);
        assert_eq!(found, [Unusual { meter: calls, date: today, used: 31, usual: 10 }]);
    }

    #[test]
    fn what_is_counted_of_a_day_in_parts_is_summed() {
        let today = day(2026, 3, 31);
        let minutes = Some(meter("minutes"));
        let mut days = vec![usage(&minutes, 0, 15, today), usage(&minutes, 0, 16, today), usage(&None, 0, 4, today)];
        for n in 1..=7 {
            days.extend([usage(&minutes, n, 4, today), usage(&minutes, n, 6, today)]);
        }
        let all = Statistics::all(&days, today);
        let found = &all[&minutes];
        assert_eq!((found.today, found.by_day[28].used, found.this_month, found.unusual), (31, 10, 101, true));
        assert_eq!(all[&None].today, 4);
        let most = [usage(&minutes, 0, u64::MAX, today), usage(&minutes, 0, 1, today)];
        assert_eq!(Statistics::all(&most, today)[&minutes].today, u64::MAX);
    }

    #[test]
    fn a_day_of_which_something_else_is_recorded_is_set_to_that_in_one_place() {
        let minutes = Some(meter("minutes"));
        let (first, second, third) = (day(2026, 3, 29), day(2026, 3, 30), day(2026, 3, 31));
        let part = |date, shard, value| DayUsage { customer: customer(), date, meter: minutes.clone(), shard, value };
        let days = [part(first, 0, 4), part(first, 1, 3), part(second, 8, 0), part(second, 2, 5), part(second, 0, 1)];
        let recorded = BTreeMap::from([(first, 7), (second, 2), (third, u64::MAX)]);
        let found = DayRecount::all(&days, &recorded);
        let of_second = DayRecount { date: second, counted: 6, recorded: 2 };
        let of_third = DayRecount { date: third, counted: 0, recorded: u64::MAX };
        assert_eq!(found, [of_second, of_third]);
        let sets = |it: DayRecount| it.writes(&customer(), &meter("minutes"), &days);
        assert_eq!(sets(of_second), [part(second, 0, 2), part(second, 2, 0)].map(Write::Set));
        assert_eq!(sets(of_third), [Write::Set(part(third, 0, u64::MAX))]);
        let nothing = DayRecount { date: second, counted: 6, recorded: 0 };
        assert_eq!(DayRecount::all(&days[2..], &BTreeMap::new()), [nothing]);
        assert_eq!(DayRecount::all(&days[..2], &BTreeMap::from([(first, 7)])), []);
    }

    #[test]
    fn what_was_used_on_no_day_is_not_shown() {
        let today = day(2026, 3, 31);
        let days = [usage(&Some(meter("calls")), 0, 0, today), usage(&Some(meter("minutes")), 3, 1, today)];
        assert_eq!(Statistics::all(&days, today).into_keys().collect::<Vec<_>>(), [Some(meter("minutes"))]);
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
