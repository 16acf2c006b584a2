//! What part of an interval some days are.

use super::interval::interval;
use super::{Answer, Op};
use crate::cases::{Case, Refusal};
use crate::policy::Rules;
use billing::calendar::Interval;
use billing::calendar::cycle::BillingDay;
use billing::calendar::dates::{Dates, DayCount};
use billing::calendar::share::{BeforeFirst, Paid, Service, leading, trailing};
use billing::ratio::{Ratio, Rounding};
use jiff::civil::Date;
use serde::{Deserialize, Deserializer};
use serde_json::json;

pub(crate) const OPS: &[(&str, Op)] = &[
    ("billing_cycles_to_charge", billing_cycles_to_charge),
    ("days_between_fixed_month", days_between_fixed_month),
    ("leading_proration_factor", leading_proration_factor),
    ("trailing_proration_factor", trailing_proration_factor),
];

/// To so many decimals are factors told.
const DECIMALS: u32 = 9;

fn billing_cycles_to_charge(case: &Case) -> Answer {
    #[derive(Deserialize)]
    struct Input {
        start: Date,
        end: Option<Date>,
        target: Date,
        bill_cycle_day: BillingDay,
        #[serde(deserialize_with = "interval")]
        interval: Interval,
        mode: Mode,
        #[serde(deserialize_with = "day_count")]
        day_count: DayCount,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Mode {
        InAdvance,
        #[serde(alias = "in_arrear")]
        InArrears,
    }
    let Input { start, end, target, bill_cycle_day, interval, mode, day_count } = case.input()?;
    if end.is_some_and(|end| end < start) {
        return Err(Refusal::of("end", "before the start"));
    }
    let paid = match mode {
        Mode::InAdvance => Paid::InAdvance,
        Mode::InArrears => Paid::InArrears,
    };
    // A bill cycle day is Kill Bill's word, and so is what it does where a month has no such day.
    let before_first = if case.rules() == Rules::KillBill { BeforeFirst::ClampedDay } else { BeforeFirst::AnchorKept };
    let service = Service { start, end, day: bill_cycle_day, interval, paid, count: day_count, before_first };
    let total = service.charged_by(target).total(DECIMALS);
    Ok(json!({ "cycles": total.ok_or_else(|| Refusal::of("target", "too many cycles to be counted"))? }))
}

fn days_between_fixed_month(case: &Case) -> Answer {
    #[derive(Deserialize)]
    struct Input {
        start: Date,
        end: Date,
        days_in_month: u8,
    }
    let Input { start, end, days_in_month } = case.input()?;
    Ok(json!({ "days": Dates { start, end }.days(DayCount::FixedMonth(days_in_month)) }))
}

fn leading_proration_factor(case: &Case) -> Answer {
    #[derive(Deserialize)]
    struct Input {
        start: Date,
        next_bcd: Date,
        #[serde(deserialize_with = "interval")]
        interval: Interval,
        #[serde(deserialize_with = "day_count")]
        day_count: DayCount,
    }
    let Input { start, next_bcd, interval, day_count } = case.input()?;
    factor(leading(start, next_bcd, interval, day_count))
}

fn trailing_proration_factor(case: &Case) -> Answer {
    #[derive(Deserialize)]
    struct Input {
        last_bcd: Date,
        end: Date,
        #[serde(deserialize_with = "interval")]
        interval: Interval,
        #[serde(deserialize_with = "day_count")]
        day_count: DayCount,
    }
    let Input { last_bcd, end, interval, day_count } = case.input()?;
    factor(trailing(last_bcd, end, interval, day_count))
}

fn factor(share: Ratio) -> Answer {
    let factor = share.to_decimals(DECIMALS, Rounding::HalfUp);
    Ok(json!({ "factor": factor.ok_or_else(|| Refusal::of("start", "too fine to be told"))? }))
}

/// `actual`, or the days that every month is taken to have: `fixed_30`.
pub(crate) fn day_count<'de, D: Deserializer<'de>>(from: D) -> Result<DayCount, D::Error> {
    let name = String::deserialize(from)?;
    let fixed =
        |length: &str| length.parse().ok().filter(|length| (28..=31).contains(length)).map(DayCount::FixedMonth);
    let count = if name == "actual" { Some(DayCount::Actual) } else { name.strip_prefix("fixed_").and_then(fixed) };
    count.ok_or_else(|| {
        serde::de::Error::custom(format!("`{name}` is not a count of days: expected `actual` or `fixed_30`"))
    })
}
