//! When periods start and end, and how many days they have.

use super::interval::{interval, many, month};
use super::{Answer, Op};
use crate::cases::{Case, Refusal};
use crate::policy::Rules;
use billing::calendar::cycle::{BeforeAnchor, BillingDay, Cycle, whole_intervals};
use billing::calendar::dates::{Dates, DayCount};
use billing::calendar::{Interval, Period};
use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

pub(crate) const OPS: &[(&str, Op)] = &[
    ("advance_by_n", advance_by_n),
    ("advance_period", advance_period),
    ("arrear_period", arrear_period),
    ("billing_dates", billing_dates),
    ("billing_period_bounds", billing_period_bounds),
    ("billing_period_bounds_list", billing_period_bounds_list),
    ("billing_periods", billing_periods),
    ("cycle_end", cycle_end),
    ("days_in_duration", days_in_duration),
    ("elapsed_cycles", elapsed_cycles),
    ("first_bill_cycle_date", first_bill_cycle_date),
    ("next_billing_date", next_billing_date),
    ("period_containing", period_containing),
    ("recede_by_n", recede_by_n),
    ("whole_periods_between", whole_periods_between),
];

#[derive(Deserialize)]
struct Step {
    date: Date,
    #[serde(deserialize_with = "interval")]
    interval: Interval,
    n: i32,
}

fn advance_by_n(case: &Case) -> Answer {
    let Step { date, interval, n } = case.input()?;
    Ok(json!({ "date": Cycle::since(date, interval).boundary(n.into()) }))
}

fn recede_by_n(case: &Case) -> Answer {
    let Step { date, interval, n } = case.input()?;
    Ok(json!({ "date": Cycle::since(date, interval).boundary(-i64::from(n)) }))
}

fn whole_periods_between(case: &Case) -> Answer {
    #[derive(Deserialize)]
    struct Input {
        start: Date,
        end: Date,
        #[serde(deserialize_with = "interval")]
        interval: Interval,
    }
    let Input { start, end, interval } = case.input()?;
    Ok(json!({ "periods": whole_intervals(start, end, interval) }))
}

fn first_bill_cycle_date(case: &Case) -> Answer {
    #[derive(Deserialize)]
    struct Input {
        start: Date,
        bill_cycle_day: BillingDay,
        #[serde(deserialize_with = "interval")]
        interval: Interval,
    }
    let Input { start, bill_cycle_day, interval } = case.input()?;
    let cycle = Cycle::on_day(bill_cycle_day, start, interval);
    Ok(json!({ "date": cycle.boundary(cycle.index_from(start)) }))
}

fn advance_period(case: &Case) -> Answer {
    #[derive(Deserialize)]
    struct Input {
        invoice_date: Date,
        billing_day: BillingDay,
        #[serde(deserialize_with = "interval")]
        interval: Interval,
        is_first: bool,
    }
    let Input { invoice_date, billing_day, interval, is_first } = case.input()?;
    let cycle = Cycle::on_day(billing_day, invoice_date, interval);
    Ok(dates(if is_first { cycle.in_advance(invoice_date, invoice_date) } else { cycle.containing(invoice_date) }))
}

fn arrear_period(case: &Case) -> Answer {
    #[derive(Deserialize)]
    struct Input {
        invoice_date: Date,
        billing_start: Date,
        billing_day: BillingDay,
        #[serde(deserialize_with = "interval")]
        interval: Interval,
    }
    let Input { invoice_date, billing_start, billing_day, interval } = case.input()?;
    let period = Cycle::on_day(billing_day, billing_start, interval).in_arrears(billing_start, invoice_date);
    period.map(dates).ok_or_else(|| Refusal::of("invoice_date", "nothing has been served by then"))
}

#[derive(Deserialize)]
struct Served {
    billing_start: Date,
    target: Date,
    billing_day: BillingDay,
    #[serde(deserialize_with = "interval")]
    interval: Interval,
}

fn elapsed_cycles(case: &Case) -> Answer {
    let Served { billing_start, target, billing_day, interval } = case.input()?;
    let cycle = Cycle::on_day(billing_day, billing_start, interval);
    Ok(json!({ "cycles": cycle.elapsed(billing_start, target) }))
}

fn period_containing(case: &Case) -> Answer {
    let Served { billing_start, target, billing_day, interval } = case.input()?;
    Ok(dates(Cycle::on_day(billing_day, billing_start, interval).in_advance(billing_start, target)))
}

fn next_billing_date(case: &Case) -> Answer {
    #[derive(Deserialize)]
    struct Input {
        #[serde(deserialize_with = "interval")]
        interval: Interval,
        #[serde(default = "one")]
        interval_count: u16,
        current_period_start: DateTime,
        anchor: DateTime,
        #[serde(with = "jiff::fmt::serde::tz::required")]
        timezone: TimeZone,
        #[serde(default, with = "jiff::fmt::serde::tz::optional")]
        anchor_timezone: Option<TimeZone>,
    }
    let Input { interval, interval_count, current_period_start: start, anchor, timezone, anchor_timezone } =
        case.input()?;
    let interval = many(interval, interval_count)?;
    // What is written with another zone is the same instant on the customer's clock.
    let told_in = anchor_timezone.unwrap_or_else(|| timezone.clone());
    let beyond = |error: jiff::Error| Refusal::of("anchor", error);
    let anchor = told_in.to_zoned(anchor).map_err(beyond)?.with_time_zone(timezone.clone()).datetime();
    let by_calendar = case.rules() == Rules::FlexpriceCalendar;
    let before = if by_calendar { BeforeAnchor::UntilIt } else { BeforeAnchor::Whole };
    let next = Cycle::end_after(start, anchor, interval, before);
    let next = next.ok_or_else(|| Refusal::of("current_period_start", "too late for another period"))?;
    // An hour that the zone's clocks skip is a later one.
    let next = timezone.to_zoned(next).map_err(beyond)?.datetime();
    Ok(json!({ "next": next, "timezone": timezone.iana_name() }))
}

fn days_in_duration(case: &Case) -> Answer {
    #[derive(Deserialize)]
    struct Input {
        start_utc: DateTime,
        end_utc: DateTime,
        #[serde(with = "jiff::fmt::serde::tz::required")]
        timezone: TimeZone,
    }
    let Input { start_utc, end_utc, timezone } = case.input()?;
    let period = Period { start: utc("start_utc", start_utc)?, end: utc("end_utc", end_utc)? };
    // Flexprice takes the dates as they are given, in UTC, for those of the customer.
    let zone = if case.rules() == Rules::Flexprice { TimeZone::UTC } else { timezone };
    Ok(json!({ "days": Dates::of(period, &zone).days(DayCount::Actual) }))
}

fn billing_dates(case: &Case) -> Answer {
    #[derive(Deserialize)]
    struct Input {
        anchor: Date,
        #[serde(deserialize_with = "interval")]
        interval: Interval,
        count: u16,
    }
    let Input { anchor, interval, count } = case.input()?;
    let cycle = Cycle::since(anchor, interval);
    Ok(json!({ "dates": (0..count).map(|index| cycle.boundary(index.into())).collect::<Vec<_>>() }))
}

/// As Lago tells them: both bounds belong to the period, and the last is its last second.
fn billing_period_bounds(case: &Case) -> Answer {
    #[derive(Deserialize)]
    struct Input {
        billing: Billing,
        #[serde(default)]
        pay: Pay,
        billing_at: Moment,
        subscription_at: Option<Moment>,
        #[serde(default = "month", deserialize_with = "interval")]
        interval: Interval,
        #[serde(with = "jiff::fmt::serde::tz::required")]
        tz: TimeZone,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Billing {
        Calendar,
        Anniversary,
    }
    #[derive(Default, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Pay {
        #[default]
        Advance,
        Arrears,
    }
    let Input { billing, pay, billing_at, subscription_at, interval, tz } = case.input()?;
    let billing_at = billing_at.date_in(&tz);
    let subscription_at = subscription_at.map(|at| at.date_in(&tz));
    let since = subscription_at.unwrap_or(Date::MIN);
    let cycle = match (billing, subscription_at) {
        (Billing::Calendar, _) => Cycle::calendar(interval),
        (Billing::Anniversary, Some(anchor)) => Cycle::since(anchor, interval),
        (Billing::Anniversary, None) => return Err(Refusal::of("subscription_at", "missing")),
    };
    let current = cycle.in_advance(since, billing_at);
    let billed = match pay {
        Pay::Advance => Some(current),
        Pay::Arrears => cycle.in_arrears(since, billing_at),
    };
    let billed = billed.ok_or_else(|| Refusal::of("billing_at", "nothing has been served by then"))?.period(&tz);
    let told = |instant: Timestamp| instant.to_zoned(TimeZone::UTC).datetime();
    let last = |end: Timestamp| told(end.saturating_sub(jiff::SignedDuration::from_secs(1)).unwrap_or(Timestamp::MIN));
    Ok(json!({
        "from_utc": told(billed.start),
        "to_utc": last(billed.end),
        "next_end_utc": last(current.period(&tz).end),
    }))
}

/// As Lago tells them: both dates belong to the period.
fn billing_period_bounds_list(case: &Case) -> Answer {
    #[derive(Deserialize)]
    struct Input {
        subscription_at: Date,
        #[serde(deserialize_with = "interval")]
        interval: Interval,
        count: u16,
    }
    let Input { subscription_at, interval, count } = case.input()?;
    let cycle = Cycle::since(subscription_at, interval);
    let bounds = |index: u16| {
        let Dates { start, end } = cycle.numbered(index.into());
        [start, end.yesterday().unwrap_or(end)]
    };
    Ok(json!({ "periods": (0..count).map(bounds).collect::<Vec<_>>() }))
}

fn cycle_end(case: &Case) -> Answer {
    #[derive(Deserialize)]
    struct Input {
        anchor: Timestamp,
        #[serde(deserialize_with = "interval")]
        interval: Interval,
        #[serde(default = "one")]
        interval_count: u16,
        now: Timestamp,
        #[serde(default = "no_other_zone", with = "jiff::fmt::serde::tz::required")]
        timezone: TimeZone,
    }
    let Input { anchor, interval, interval_count, now, timezone } = case.input()?;
    let interval = many(interval, interval_count)?;
    Ok(json!({ "end": Period::containing(anchor, interval, now, &timezone).end }))
}

fn billing_periods(case: &Case) -> Answer {
    #[derive(Deserialize)]
    struct Input {
        start: Moment,
        anchor: Moment,
        #[serde(deserialize_with = "interval")]
        interval: Interval,
        count: u16,
        #[serde(default = "no_other_zone", with = "jiff::fmt::serde::tz::required")]
        timezone: TimeZone,
    }
    let Input { start, anchor, interval, count, timezone } = case.input()?;
    // Dates are the same in every zone.
    let timezone = if start.is_date { TimeZone::UTC } else { timezone };
    let mut from = start.instant;
    let mut periods = vec![];
    for _ in 0..count {
        let end = Period::containing(anchor.instant, interval, from, &timezone).end;
        periods.push([start.tell(from), start.tell(end)]);
        from = end;
    }
    Ok(json!({ "periods": periods }))
}

/// An instant, in UTC where it does not say, or a date that stands for its midnight; told as it was given.
struct Moment {
    instant: Timestamp,
    is_date: bool,
}

impl Moment {
    fn date_in(&self, zone: &TimeZone) -> Date {
        let zone = if self.is_date { &TimeZone::UTC } else { zone };
        self.instant.to_zoned(zone.clone()).date()
    }

    fn tell(&self, instant: Timestamp) -> Value {
        if self.is_date { json!(instant.to_zoned(TimeZone::UTC).date()) } else { json!(instant) }
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let is_date = !text.contains('T');
        let utc = |time: DateTime| TimeZone::UTC.to_timestamp(time);
        let instant = text.parse().or_else(|_| text.parse().and_then(utc));
        Ok(Self { instant: instant.map_err(serde::de::Error::custom)?, is_date })
    }
}

fn dates(period: Dates) -> Value {
    json!({ "start": period.start, "end": period.end })
}

fn utc(field: &str, time: DateTime) -> Result<Timestamp, Refusal> {
    TimeZone::UTC.to_timestamp(time).map_err(|error| Refusal::of(field, error))
}

fn no_other_zone() -> TimeZone {
    TimeZone::UTC
}

fn one() -> u16 {
    1
}
