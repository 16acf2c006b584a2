//! Shares: what part of an interval some days are, and how many intervals are
//! to be charged for a service by a date.

use super::Interval;
use super::cycle::{BillingDay, Cycle};
use super::dates::{Dates, DayCount};
use crate::ratio::{Ratio, Rounding};
use jiff::civil::Date;

/// `days` as a part of `whole`. Zero where they share no day; never more than one.
pub fn share(days: Dates, whole: Dates, count: DayCount) -> Ratio {
    let parts = days.within(whole).days(count);
    let of = whole.days(count);
    Ratio::new(parts.min(of).into(), of.into()).unwrap_or(Ratio::ZERO)
}

/// The days from `start` until the first boundary of a cycle, as a part of the interval that ends there.
pub fn leading(start: Date, boundary: Date, interval: Interval, count: DayCount) -> Ratio {
    share(Dates { start, end: boundary }, Cycle::since(boundary, interval).numbered(-1), count)
}

/// The days from the last boundary of a cycle until `end`, as a part of the interval that begins there.
pub fn trailing(boundary: Date, end: Date, interval: Interval, count: DayCount) -> Ratio {
    share(Dates { start: boundary, end }, Cycle::since(boundary, interval).numbered(0), count)
}

/// What is charged for by the interval, with boundaries on a day of the month.
#[derive(Clone, Copy, Debug)]
pub struct Service {
    pub start: Date,
    /// None: it goes on.
    pub end: Option<Date>,
    pub day: BillingDay,
    pub interval: Interval,
    pub paid: Paid,
    pub count: DayCount,
    pub before_first: BeforeFirst,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paid {
    InAdvance,
    InArrears,
}

/// Of what the days before the first boundary are a part, where that boundary is the last day of a short month.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BeforeFirst {
    /// Of the interval between two boundaries: before 28 February, for the 31st, from 31 January. It is what the
    /// customer would have paid for.
    AnchorKept,
    /// Of the interval counted back from the day itself: from 28 January. So does Kill Bill.
    ClampedDay,
}

/// How many intervals are charged for: parts and whole ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Charged {
    pub leading: Ratio,
    pub whole: u64,
    pub trailing: Ratio,
}

impl Charged {
    /// In one number of so many decimals. Each part is rounded by itself, as it is on the invoice; half up.
    pub fn total(self, decimals: u32) -> Option<Ratio> {
        let rounded = |part: Ratio| part.to_decimals(decimals, Rounding::HalfUp);
        rounded(self.leading)?.plus(Ratio::from(self.whole))?.plus(rounded(self.trailing)?)
    }
}

impl Service {
    /// How much has to have been charged by the end of `date` (Kill Bill: in advance, an invoice reaches to the next
    /// boundary; in arrears, to the last).
    pub fn charged_by(&self, date: Date) -> Charged {
        let cycle = Cycle::on_day(self.day, self.start, self.interval);
        let first = cycle.index_from(self.start);
        let until = self.charged_until(cycle, first, date);
        let last = cycle.index_at(until).max(first);
        let before = match self.before_first {
            BeforeFirst::AnchorKept => cycle.numbered(first.saturating_sub(1)),
            BeforeFirst::ClampedDay => Cycle::since(cycle.boundary(first), self.interval).numbered(-1),
        };
        let days = |start: Date, end: Date| Dates { start, end: end.max(start) };
        Charged {
            leading: share(days(self.start, until.min(cycle.boundary(first))), before, self.count),
            whole: last.abs_diff(first),
            trailing: share(days(cycle.boundary(last), until), cycle.numbered(last), self.count),
        }
    }

    /// The day up to which an invoice of `date` reaches; its own where that is no later than the start.
    fn charged_until(&self, cycle: Cycle, first: i64, date: Date) -> Date {
        let end = self.end.unwrap_or(Date::MAX);
        let reached = match self.paid {
            Paid::InAdvance if date < self.start => self.start,
            Paid::InAdvance => cycle.boundary(cycle.index_at(date).saturating_add(1).max(first)),
            Paid::InArrears if end <= date => end,
            Paid::InArrears => cycle.boundary(cycle.index_at(date)),
        };
        reached.min(end).max(self.start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(text: &str) -> Date {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn ratio(text: &str) -> Ratio {
        text.parse().unwrap_or_else(|error| panic!("{error}"))
    }

    fn service(start: &str, end: Option<&str>, day: i8, interval: Interval) -> Service {
        let day = BillingDay::try_from(day).unwrap_or_else(|error| panic!("{error}"));
        let (start, end) = (date(start), end.map(date));
        let (paid, count, before_first) = (Paid::InAdvance, DayCount::Actual, BeforeFirst::AnchorKept);
        Service { start, end, day, interval, paid, count, before_first }
    }

    fn charged(service: &Service, on: &str) -> (Ratio, u64, Ratio) {
        let Charged { leading, whole, trailing } = service.charged_by(date(on));
        (leading, whole, trailing)
    }

    #[test]
    fn parts_and_whole_intervals_add_up_to_what_was_served() {
        let it = service("2011-01-01", Some("2011-02-27"), 15, Interval::Month);
        let (nothing, lead, trail) = (Ratio::ZERO, ratio("14/31"), ratio("12/28"));
        let cases = [
            ("2010-12-31", (nothing, 0, nothing)),
            ("2011-01-01", (lead, 0, nothing)),
            ("2011-01-14", (lead, 0, nothing)),
            ("2011-01-15", (lead, 1, nothing)),
            ("2011-02-15", (lead, 1, trail)),
            ("2030-01-01", (lead, 1, trail)),
        ];
        for (on, expected) in cases {
            assert_eq!(charged(&it, on), expected, "{on}");
        }
        let total = it.charged_by(date("2011-03-07")).total(9);
        assert_eq!(total, Some(ratio("1.880184332")));
    }

    #[test]
    fn in_arrears_nothing_is_charged_before_it_was_served() {
        let it = Service { paid: Paid::InArrears, ..service("2011-01-01", Some("2011-03-27"), 15, Interval::Month) };
        let (nothing, lead, trail) = (Ratio::ZERO, ratio("14/31"), ratio("12/31"));
        let cases = [
            ("2011-01-14", (nothing, 0, nothing)),
            ("2011-01-15", (lead, 0, nothing)),
            ("2011-02-15", (lead, 1, nothing)),
            ("2011-03-26", (lead, 2, nothing)),
            ("2011-03-27", (lead, 2, trail)),
        ];
        for (on, expected) in cases {
            assert_eq!(charged(&it, on), expected, "{on}");
        }
    }

    #[test]
    fn a_service_that_ends_before_the_first_boundary_is_a_part() {
        let it = service("2011-01-05", Some("2011-01-10"), 15, Interval::Month);
        assert_eq!(charged(&it, "2011-03-01"), (ratio("5/31"), 0, Ratio::ZERO));
        let never = service("2011-01-05", Some("2011-01-05"), 5, Interval::Month);
        assert_eq!(charged(&never, "2011-03-01"), (Ratio::ZERO, 0, Ratio::ZERO));
    }

    #[test]
    fn before_a_clamped_day_the_peers_divide_by_another_interval() {
        let kept = service("2011-02-14", None, 31, Interval::Month);
        let clamped = Service { before_first: BeforeFirst::ClampedDay, ..kept };
        assert_eq!(charged(&kept, "2011-02-14").0, ratio("14/28"));
        assert_eq!(charged(&clamped, "2011-02-14").0, ratio("14/31"));
    }

    #[test]
    fn a_share_is_a_part_of_the_whole_and_no_more() {
        let april = Dates { start: date("2025-04-01"), end: date("2025-05-01") };
        let of = |start: &str, end: &str| share(Dates { start: date(start), end: date(end) }, april, DayCount::Actual);
        assert_eq!(of("2025-04-16", "2025-05-01"), ratio("0.5"));
        assert_eq!((of("2025-01-01", "2026-01-01"), of("2025-06-01", "2025-06-02")), (Ratio::ONE, Ratio::ZERO));
        let nothing = Dates { start: april.start, end: april.start };
        assert_eq!(share(april, nothing, DayCount::Actual), Ratio::ZERO);
    }

    #[test]
    fn a_month_of_thirty_days_has_the_same_share_all_year() {
        for (start, boundary) in
            [("2023-05-23", "2023-06-15"), ("2023-02-23", "2023-03-15"), ("2024-02-23", "2024-03-15")]
        {
            let fixed = leading(date(start), date(boundary), Interval::Month, DayCount::FixedMonth(30));
            assert_eq!(fixed, ratio("22/30"), "{start}");
        }
        assert_eq!(leading(date("2024-02-23"), date("2024-03-15"), Interval::Month, DayCount::Actual), ratio("21/29"));
        assert_eq!(trailing(date("2023-02-23"), date("2023-03-15"), Interval::Month, DayCount::Actual), ratio("20/28"));
    }

    #[test]
    fn the_end_of_the_calendar_is_charged_up_to() {
        let open = Service { start: Date::MIN, ..service("2011-01-01", None, 31, Interval::Days(1)) };
        assert_eq!(charged(&open, "9999-12-31").2, Ratio::ZERO);
        let late = Service { start: Date::MAX, ..open };
        assert_eq!(late.charged_by(Date::MAX).total(9).map(|it| it >= Ratio::ZERO), Some(true));
    }
}
