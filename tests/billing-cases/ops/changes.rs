//! What changes in the middle of a period cost.

use super::amounts::{Amount, counted, exact, exact_or_none, unnamed};
use super::interval::interval;
use super::shares::day_count;
use super::{Answer, Op};
use crate::cases::{Case, Refusal};
use crate::policy::Rules;
use billing::calendar::Interval;
use billing::calendar::cycle::Cycle;
use billing::calendar::dates::{Dates, DayCount};
use billing::calendar::share::{leading, share};
use billing::discount::Off;
use billing::money::{Currency, Money};
use billing::proration::{Anchor, Change, Held, Proration, Quote, days_bought, price_of};
use billing::ratio::{Ratio, Rounding};
use jiff::ToSpan;
use jiff::civil::Date;
use serde::{Deserialize, Deserializer};
use serde_json::json;

pub(crate) const OPS: &[(&str, Op)] = &[
    ("add_one_time", add_one_time),
    ("convert_credit_to_days", convert_credit_to_days),
    ("leading_proration_amount", leading_proration_amount),
    ("next_invoice_after_upgrade", next_invoice_after_upgrade),
    ("plan_change", plan_change),
    ("plan_change_cross_interval", plan_change_cross_interval),
    ("plan_change_discounted", plan_change_discounted),
    ("plan_change_inclusive_end", plan_change_inclusive_end),
    ("plan_change_multi", plan_change_multi),
    ("prorate", prorate),
    ("terminate_arrears", terminate_arrears),
];

/// How much of the period is left, as a case tells it.
#[derive(Deserialize)]
struct When {
    #[serde(default, deserialize_with = "exact_or_none")]
    remaining_fraction: Option<Ratio>,
    period: Option<[Date; 2]>,
    period_start: Option<Date>,
    #[serde(default, deserialize_with = "interval_or_none")]
    old_interval: Option<Interval>,
    #[serde(default, deserialize_with = "interval_or_none")]
    new_interval: Option<Interval>,
    change_on: Option<Date>,
}

impl When {
    /// Another interval is counted from the change.
    fn anchor(&self) -> Anchor {
        let another = self.old_interval.zip(self.new_interval).is_some_and(|(old, new)| old != new);
        if another { Anchor::Moved } else { Anchor::Kept }
    }

    fn left(&self, dates: fn(Date, Date) -> Dates) -> Result<Ratio, Refusal> {
        if let Some(left) = self.remaining_fraction {
            return Ok(left);
        }
        let period = match (self.period, self.period_start, self.old_interval) {
            (Some([start, end]), _, _) => dates(start, end),
            (None, Some(start), Some(interval)) => Cycle::since(start, interval).numbered(0),
            (None, _, _) => return Err(Refusal::of("period", "missing, and so is `remaining_fraction`")),
        };
        let at = self.change_on.ok_or_else(|| Refusal::of("change_on", "missing"))?;
        Ok(share(Dates { start: at, end: period.end }, period, DayCount::Actual))
    }
}

/// The period ends before the day that is told.
fn until(start: Date, end: Date) -> Dates {
    Dates { start, end }
}

fn interval_or_none<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Interval>, D::Error> {
    #[derive(Deserialize)]
    struct Named(#[serde(deserialize_with = "interval")] Interval);
    Ok(Option::<Named>::deserialize(from)?.map(|Named(interval)| interval))
}

/// What changes, as a case tells it.
#[derive(Deserialize)]
struct Changed {
    old: Amount,
    new: Amount,
    /// What was paid of the old, where it is not all of it.
    originally_paid: Option<Amount>,
    already_credited: Option<Amount>,
    proration: Option<Proration>,
    #[serde(default = "unnamed")]
    currency: Currency,
}

impl Changed {
    fn prices(&self) -> Result<(Money, Money), Refusal> {
        Ok((self.old.money("old", self.currency)?, self.new.money("new", self.currency)?))
    }

    fn quote(&self, left: Ratio, anchor: Anchor) -> Result<Quote, Refusal> {
        let (old, new) = self.prices()?;
        self.quote_at(old, new, left, anchor)
    }

    fn quote_at(&self, old: Money, new: Money, left: Ratio, anchor: Anchor) -> Result<Quote, Refusal> {
        let told = |it: &Option<Amount>, field| it.as_ref().map(|it| it.money(field, self.currency)).transpose();
        let paid = told(&self.originally_paid, "originally_paid")?.unwrap_or(old);
        let credited = told(&self.already_credited, "already_credited")?.unwrap_or(Money::zero(self.currency));
        let held = Held { paid: counted(paid.minus(credited), "originally_paid")?, ..Held::paid(old) };
        let change = Change { old: &[held], new: &[new], once: &[], anchor };
        counted(self.proration.unwrap_or_default().quote(&change, left, self.currency), "new")
    }

    fn tell(&self, quote: &Quote) -> Answer {
        let [credit, charge, net] = [quote.credit, quote.charge, quote.net].map(|money| self.new.tell(money));
        Ok(json!({ "credit": credit, "charge": charge, "net": net }))
    }
}

fn plan_change(case: &Case) -> Answer {
    let (changed, when): (Changed, When) = case.inputs()?;
    // Its periods are told with their last day.
    let dates = if case.rules() == Rules::Flexprice { Dates::through } else { until };
    changed.tell(&changed.quote(when.left(dates)?, when.anchor())?)
}

fn plan_change_inclusive_end(case: &Case) -> Answer {
    let (changed, when): (Changed, When) = case.inputs()?;
    changed.tell(&changed.quote(when.left(Dates::through)?, Anchor::Kept)?)
}

fn plan_change_cross_interval(case: &Case) -> Answer {
    let (changed, when): (Changed, When) = case.inputs()?;
    changed.tell(&changed.quote(when.left(until)?, Anchor::Moved)?)
}

fn plan_change_discounted(case: &Case) -> Answer {
    #[derive(Deserialize)]
    struct Discounts {
        old_discount: Option<String>,
        new_discount: Option<String>,
    }
    let discounts = case.input();
    let (changed, when): (Changed, When) = case.inputs()?;
    let discounts: Discounts = discounts?;
    let (old, new) = changed.prices()?;
    let old = discounted(old, discounts.old_discount, "old_discount")?;
    let new = discounted(new, discounts.new_discount, "new_discount")?;
    changed.tell(&changed.quote_at(old, new, when.left(until)?, when.anchor())?)
}

/// `50%`, or `25.00` in major units.
fn discounted(price: Money, discount: Option<String>, field: &str) -> Result<Money, Refusal> {
    let Some(text) = discount else { return Ok(price) };
    let off = match text.strip_suffix('%') {
        Some(percent) => {
            let percent = percent.parse::<Ratio>().map_err(|error| Refusal::of(field, error))?;
            Off::Percent(percent)
        }
        None => Off::Amount(Money::from_major(&text, price.currency).map_err(|error| Refusal::of(field, error))?),
    };
    Ok(counted(off.from(price), field)?.left)
}

fn plan_change_multi(case: &Case) -> Answer {
    #[derive(Deserialize)]
    struct Input {
        #[serde(default)]
        matched: Vec<[i64; 2]>,
        #[serde(default)]
        removed: Vec<i64>,
        #[serde(default)]
        added: Vec<i64>,
        #[serde(default)]
        proration: Proration,
        #[serde(default = "unnamed")]
        currency: Currency,
    }
    let (Input { matched, removed, added, proration, currency }, when): (Input, When) = case.inputs()?;
    let money = |minor| Money::new(minor, currency);
    let old: Vec<_> = matched.iter().map(|[old, _]| *old).chain(removed).map(|it| Held::paid(money(it))).collect();
    let new: Vec<_> = matched.iter().map(|[_, new]| *new).chain(added).map(money).collect();
    let change = Change { old: &old, new: &new, once: &[], anchor: Anchor::Kept };
    let quote = counted(proration.quote(&change, when.left(until)?, currency), "matched")?;
    let lines: Vec<_> = quote.lines.iter().map(|line| line.amount.minor).collect();
    Ok(json!({
        "lines": lines, "credit": quote.credit.minor, "charge": quote.charge.minor, "net": quote.net.minor,
    }))
}

fn next_invoice_after_upgrade(case: &Case) -> Answer {
    let (changed, when): (Changed, When) = case.inputs()?;
    if changed.proration.is_some_and(|told| told != Proration::NextPeriod) {
        return Err(Refusal::of("proration", "what the next invoice bills is `next_period`"));
    }
    let changed = Changed { proration: Some(Proration::NextPeriod), ..changed };
    let (_, renewal) = changed.prices()?;
    let quote = changed.quote(when.left(until)?, Anchor::Kept)?;
    let total = counted(renewal.plus(quote.net), "new")?;
    let [credit, charge, renewal, total] = [quote.credit, quote.charge, renewal, total].map(|it| changed.new.tell(it));
    Ok(json!({ "credit": credit, "proration": charge, "renewal": renewal, "next_invoice_total": total }))
}

fn add_one_time(case: &Case) -> Answer {
    #[derive(Deserialize)]
    struct Input {
        unit: Amount,
        quantity: u32,
        #[serde(default = "unnamed")]
        currency: Currency,
    }
    let (Input { unit, quantity, currency }, when): (Input, When) = case.inputs()?;
    let price = counted(unit.money("unit", currency)?.times(quantity), "quantity")?;
    let change = Change { old: &[], new: &[], once: &[price], anchor: Anchor::Kept };
    let quote = counted(Proration::default().quote(&change, when.left(until)?, currency), "unit")?;
    Ok(json!({ "charge": unit.tell(quote.charge) }))
}

fn prorate(case: &Case) -> Answer {
    #[derive(Deserialize)]
    struct Input {
        amount: Amount,
        #[serde(deserialize_with = "exact")]
        days: Ratio,
        #[serde(deserialize_with = "exact")]
        period_days: Ratio,
        #[serde(default = "unnamed")]
        currency: Currency,
    }
    let Input { amount, days, period_days, currency } = case.input()?;
    let part = counted(days.over(period_days), "period_days")?;
    let prorated = amount.money("amount", currency)?.part(part, Rounding::HalfUp);
    Ok(json!({ "amount": amount.tell(counted(prorated, "amount")?) }))
}

fn terminate_arrears(case: &Case) -> Answer {
    #[derive(Deserialize)]
    struct Input {
        amount: Amount,
        period: [Date; 2],
        active_from: Date,
        terminated: Date,
        /// Whether the day of the end was served.
        inclusive_end: bool,
        #[serde(default = "unnamed")]
        currency: Currency,
    }
    let Input { amount, period: [start, end], active_from, terminated, inclusive_end, currency } = case.input()?;
    let served = if inclusive_end { Dates::through(active_from, terminated) } else { until(active_from, terminated) };
    let fee = price_of(served, until(start, end), DayCount::Actual, amount.money("amount", currency)?);
    Ok(json!({ "fee": amount.tell(counted(fee, "amount")?) }))
}

fn leading_proration_amount(case: &Case) -> Answer {
    #[derive(Deserialize)]
    struct Input {
        amount: Amount,
        start: Date,
        next_bcd: Date,
        #[serde(default, deserialize_with = "interval_or_none")]
        interval: Option<Interval>,
        #[serde(deserialize_with = "day_count")]
        day_count: DayCount,
        #[serde(default = "unnamed")]
        currency: Currency,
    }
    let Input { amount, start, next_bcd, interval, day_count, currency } = case.input()?;
    // A day of the month is what monthly billing has.
    let part = leading(start, next_bcd, interval.unwrap_or(Interval::Month), day_count);
    let prorated = amount.money("amount", currency)?.part(part, Rounding::HalfUp);
    Ok(json!({ "amount": amount.tell(counted(prorated, "amount")?) }))
}

fn convert_credit_to_days(case: &Case) -> Answer {
    #[derive(Deserialize)]
    struct Input {
        remaining: Amount,
        new_price: Amount,
        period_days: u32,
        change_on: Option<Date>,
        #[serde(default = "unnamed")]
        currency: Currency,
    }
    let Input { remaining, new_price, period_days, change_on, currency } = case.input()?;
    let credit = remaining.money("remaining", currency)?;
    // A day begun is the customer's with everyone else.
    let rounding = if case.rules() == Rules::GooglePlay { Rounding::Down } else { Rounding::Up };
    let price = new_price.money("new_price", currency)?;
    let days = counted(days_bought(credit, price, period_days, rounding), "new_price")?;
    let Some(from) = change_on else {
        let reason = "the case does not say when the plan changes (`change_on`); the rest is as expected";
        return Err(Refusal::untold_beside(json!({ "days": days }), reason));
    };
    let span = 0.days().try_days(days).map_err(|_| Refusal::of("remaining", "more days than can be counted"))?;
    Ok(json!({ "days": days, "new_renewal": from.saturating_add(span) }))
}
