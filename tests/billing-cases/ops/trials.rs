//! What trials cost, and when.

use super::amounts::unnamed;
use super::interval::{interval, midnight, month};
use super::{Answer, Op};
use crate::cases::{Case, Refusal};
use billing::calendar::cycle::Cycle;
use billing::calendar::dates::DayCount;
use billing::calendar::share::share;
use billing::calendar::{Interval, Period};
use billing::money::{Currency, Money};
use billing::ratio::Rounding;
use billing::testing::method;
use billing::trial::{Activation, DEFAULT_DAYS, Ended, Kind, Trial};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::Deserialize;
use serde_json::{Map, json};

pub(crate) const OPS: &[(&str, Op)] = &[
    ("free_trial_end", free_trial_end),
    ("paid_trial", paid_trial),
    ("paid_trial_invoices", paid_trial_invoices),
    ("trial_upgrade", trial_upgrade),
];

/// Another plan has a trial of another length; billed by the calendar when it is over.
fn trial_upgrade(case: &Case) -> Answer {
    #[derive(Deserialize)]
    struct Input {
        start: Timestamp,
        trial_days: u16,
        upgrade_at: Timestamp,
        new_trial_days: u16,
        new_amount: i64,
        #[serde(default = "unnamed")]
        currency: Currency,
        #[serde(default = "month", deserialize_with = "interval")]
        interval: Interval,
    }
    let Input { start, trial_days, upgrade_at, new_trial_days, new_amount, currency, interval } = case.input()?;
    let trial = Trial { start, days: trial_days, kind: Kind::Free, until: None };
    let charged = trial.lasting(new_trial_days).anchor(upgrade_at, &TimeZone::UTC).to_zoned(TimeZone::UTC).date();
    let cycle = Cycle::calendar(interval);
    let first = cycle.in_advance(charged, charged);
    let fee = Money::new(new_amount, currency);
    let part = fee.part(share(first, cycle.containing(charged), DayCount::Actual), Rounding::HalfUp);
    let part = part.ok_or_else(|| Refusal::of("new_amount", "beyond counting"))?;
    Ok(json!({
        "charge_at": charged,
        "first_invoice": part.minor,
        "next_invoice_at": first.end,
        "next_subscription_fee": fee.minor,
    }))
}

/// The invoices until the first after the trial has ended, and how it stands at both its ends.
fn paid_trial(case: &Case) -> Answer {
    #[derive(Deserialize)]
    struct Input {
        start: Date,
        trial_days: u16,
        #[serde(default = "month", deserialize_with = "interval")]
        interval: Interval,
    }
    let Input { start, trial_days, interval } = case.input()?;
    let utc = TimeZone::UTC;
    let trial = Trial { start: midnight("start", start)?, days: trial_days, kind: Kind::Paid, until: None };
    let until = Period::containing(trial.start, interval, trial.ends_at(&utc), &utc).end;
    let date = |instant: Timestamp| instant.to_zoned(utc.clone()).date();
    let status = |at| (date(at).to_string(), json!(if trial.is_running(at, &utc) { "trialing" } else { "active" }));
    let invoices: Vec<Date> = trial.invoices(interval, until, &utc).map(date).collect();
    let statuses: Map<_, _> = [trial.start, trial.ends_at(&utc)].map(status).into_iter().collect();
    Ok(json!({ "invoices": invoices, "status": statuses }))
}

fn paid_trial_invoices(case: &Case) -> Answer {
    #[derive(Deserialize)]
    struct Input {
        trial_days: u16,
        /// Renewals.
        cycles: u16,
        #[serde(default = "month", deserialize_with = "interval")]
        interval: Interval,
    }
    let Input { trial_days, cycles, interval } = case.input()?;
    // Whenever it starts: the number of invoices does not depend on it.
    let (utc, trial) =
        (TimeZone::UTC, Trial { start: Timestamp::UNIX_EPOCH, days: trial_days, kind: Kind::Paid, until: None });
    let until = Period::nth(trial.start, interval, cycles.into(), &utc).start;
    Ok(json!({ "invoices": trial.invoices(interval, until, &utc).count() }))
}

fn free_trial_end(case: &Case) -> Answer {
    #[derive(Deserialize)]
    struct Input {
        activation: Activation,
        payment_method: bool,
    }
    let Input { activation, payment_method } = case.input()?;
    let method = method("pm_1").id();
    let trial = Trial { start: Timestamp::UNIX_EPOCH, days: DEFAULT_DAYS, kind: Kind::Free, until: None };
    Ok(match trial.ended(activation, payment_method.then_some(&method)) {
        Ended::Active => json!({ "status": "active", "invoices": 1 }),
        Ended::Expired => json!({ "status": "trial_expired", "invoices": 0 }),
    })
}
