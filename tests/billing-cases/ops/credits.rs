//! Discounts, taxes, credit notes, divided amounts and currencies.

use super::amounts::{Amount, counted, exact, percent, unnamed};
use super::{Answer, Op};
use crate::cases::{Case, Refusal};
use billing::calendar::dates::{Dates, DayCount};
use billing::credit::{credit_note, creditable};
use billing::discount::Off;
use billing::money::{Currency, Money};
use billing::payment::Gateway;
use billing::proration::price_of;
use billing::ratio::Ratio;
use billing::tax::{Prices, Taxed, tax};
use jiff::civil::Date;
use serde::Deserialize;
use serde_json::{Number, json};
use std::collections::BTreeMap;

pub(crate) const OPS: &[(&str, Op)] = &[
    ("allocate", allocate),
    ("blocked_days_credit", blocked_days_credit),
    ("cap_credit", cap_credit),
    ("credit_with_tax", credit_with_tax),
    ("display", display),
    ("percent_discount", percent_discount),
    ("percent_tax", percent_tax),
    ("terminate_in_advance_credit", terminate_in_advance_credit),
    ("to_gateway_minor", to_gateway_minor),
];

fn percent_discount(case: &Case) -> Answer {
    #[derive(Deserialize)]
    struct Input {
        amount: Amount,
        #[serde(deserialize_with = "percent")]
        percent: Ratio,
        #[serde(default = "unnamed")]
        currency: Currency,
    }
    let Input { amount, percent, currency } = case.input()?;
    let discounted = counted(
        Off::Percent(counted(percent.times(100_u32.into()), "percent")?).from(amount.money("amount", currency)?),
        "percent",
    )?;
    Ok(json!({ "discount": amount.tell(discounted.discount), "final": amount.tell(discounted.left) }))
}

fn percent_tax(case: &Case) -> Answer {
    #[derive(Deserialize)]
    struct Input {
        amount: Amount,
        #[serde(deserialize_with = "percent")]
        percent: Ratio,
        #[serde(default = "unnamed")]
        currency: Currency,
        #[serde(default)]
        inclusive: bool,
    }
    let Input { amount, percent, currency, inclusive } = case.input()?;
    let prices = if inclusive { Prices::Inclusive } else { Prices::Exclusive };
    let taxed = counted(tax(amount.money("amount", currency)?, percent, prices), "percent")?;
    let total = amount.tell(counted(taxed.total(), "amount")?);
    Ok(json!({ "tax": amount.tell(taxed.tax), "net": amount.tell(taxed.net), "total": total }))
}

fn cap_credit(case: &Case) -> Answer {
    #[derive(Deserialize)]
    struct Input {
        potential: Amount,
        originally_paid: Amount,
        already_credited: Amount,
        #[serde(default = "unnamed")]
        currency: Currency,
    }
    let Input { potential, originally_paid, already_credited, currency } = case.input()?;
    let wanted = potential.money("potential", currency)?;
    let paid = originally_paid.money("originally_paid", currency)?;
    let credited = already_credited.money("already_credited", currency)?;
    Ok(json!({ "credit": potential.tell(counted(creditable(wanted, paid, credited), "potential")?) }))
}

/// What of an invoice is credited, of which a part is not used.
#[derive(Deserialize)]
struct Unused {
    amount: Amount,
    #[serde(deserialize_with = "percent")]
    tax_percent: Ratio,
    /// Days that are credited, or else those that were used.
    days: Option<u32>,
    used_days: Option<u32>,
    period_days: u32,
    #[serde(default = "unnamed")]
    currency: Currency,
}

impl Unused {
    /// The invoice, and the note on it.
    fn note(&self) -> Result<(Taxed, Taxed), Refusal> {
        let days = match (self.days, self.used_days) {
            (Some(days), _) => i128::from(days),
            (None, Some(used)) => i128::from(self.period_days) - i128::from(used),
            (None, None) => return Err(Refusal::of("days", "missing")),
        };
        let part = counted(Ratio::new(days.max(0), self.period_days.into()), "period_days")?;
        let net = self.amount.money("amount", self.currency)?;
        let invoice = counted(tax(net, self.tax_percent, Prices::Exclusive), "tax_percent")?;
        let nothing = Taxed { net: Money::zero(self.currency), tax: Money::zero(self.currency) };
        let note = counted(credit_note(invoice, nothing, part, self.tax_percent), "amount")?;
        Ok((invoice, note))
    }
}

fn credit_with_tax(case: &Case) -> Answer {
    let unused: Unused = case.input()?;
    let (_, note) = unused.note()?;
    Ok(json!({ "credit": unused.amount.tell(counted(note.total(), "amount")?) }))
}

fn terminate_in_advance_credit(case: &Case) -> Answer {
    let unused: Unused = case.input()?;
    let (invoice, note) = unused.note()?;
    let tell = |money| unused.amount.tell(money);
    let total = tell(counted(note.total(), "amount")?);
    Ok(json!({ "net": tell(note.net), "tax": tell(note.tax), "total": total, "invoice_tax": tell(invoice.tax) }))
}

fn blocked_days_credit(case: &Case) -> Answer {
    #[derive(Deserialize)]
    struct Input {
        amount: Amount,
        period: [Date; 2],
        blocked: [Date; 2],
        #[serde(default = "unnamed")]
        currency: Currency,
    }
    let Input { amount, period, blocked, currency } = case.input()?;
    let [period, blocked] = [period, blocked].map(|[start, end]| Dates { start, end });
    let unserved = price_of(blocked, period, DayCount::Actual, amount.money("amount", currency)?);
    Ok(json!({ "credit": amount.tell(counted(unserved.and_then(Money::negated), "amount")?) }))
}

fn allocate(case: &Case) -> Answer {
    #[derive(Deserialize)]
    struct Weight(#[serde(deserialize_with = "exact")] Ratio);
    #[derive(Deserialize)]
    struct Input {
        amount: Amount,
        /// In the order of their keys, by which equal remainders are told apart.
        weights: BTreeMap<String, Weight>,
        #[serde(default = "unnamed")]
        currency: Currency,
    }
    let Input { amount, weights, currency } = case.input()?;
    let (keys, weights): (Vec<_>, Vec<_>) = weights.into_iter().map(|(key, Weight(weight))| (key, weight)).unzip();
    let shares = counted(amount.money("amount", currency)?.split(&weights), "weights")?;
    let parts = keys.into_iter().zip(shares).filter(|(_, share)| share.minor != 0);
    Ok(json!({ "parts": parts.map(|(key, share)| (key, amount.tell(share))).collect::<serde_json::Map<_, _>>() }))
}

fn to_gateway_minor(case: &Case) -> Answer {
    #[derive(Deserialize)]
    struct Input {
        amount: Written,
        currency: Currency,
        gateway: Gateway,
    }
    /// In major units, as a text or as a number.
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "an amount in major units")]
    enum Written {
        Text(String),
        Number(Number),
    }
    let Input { amount, currency, gateway } = case.input()?;
    let text = match amount {
        Written::Text(text) => text,
        Written::Number(number) => number.to_string(),
    };
    let minor = Amount::Major(text).money("amount", currency)?.minor;
    let decimals = currency.exponent();
    let sent = match (gateway, &*currency.to_string(), decimals) {
        (Gateway::PayPal, ..) => {
            return Err(Refusal::untold("PayPal is sent decimals, which are tested with its adapter"));
        }
        (Gateway::Stripe, "ISK" | "MGA" | "UGX", _) => {
            return Err(Refusal::untold("the adapter for Stripe sends nothing in this currency"));
        }
        (Gateway::Stripe, _, 3) if minor % 10 != 0 => {
            return Err(Refusal::of("amount", "Stripe takes this currency only to two decimals"));
        }
        (Gateway::Paystack, "XOF", _) => {
            minor.checked_mul(100).ok_or_else(|| Refusal::of("amount", "beyond counting"))?
        }
        (Gateway::Paystack, "GHS" | "KES" | "NGN" | "USD" | "ZAR", _) => minor,
        (Gateway::Paystack, ..) => return Err(Refusal::of("currency", "Paystack takes none of this currency")),
        (Gateway::Stripe | Gateway::Flitt, ..) => minor,
    };
    Ok(json!({ "minor": sent }))
}

fn display(case: &Case) -> Answer {
    #[derive(Deserialize)]
    struct Input {
        minor_stored: i64,
        currency: Currency,
    }
    let Input { minor_stored, currency } = case.input()?;
    Ok(json!({ "text": Money::new(minor_stored, currency).major() }))
}
