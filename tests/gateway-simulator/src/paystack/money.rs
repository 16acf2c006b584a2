//! Which currencies Paystack takes, and how little of each. All amounts are times 100, XOF's too.

use super::refusal::{Refusal, Result};
use super::{Fields, integer, text};
use crate::state::State;

/// In hundredths.
const MINIMUMS: [(&str, i64); 6] =
    [("NGN", 5_000), ("GHS", 10), ("ZAR", 100), ("KES", 300), ("USD", 200), ("XOF", 100)];
const LARGEST: i64 = 10_000_000 * 100;

pub(super) fn currency(fields: &Fields) -> Result<&'static str> {
    let wanted = text(fields, "currency").unwrap_or("NGN");
    let known = MINIMUMS.iter().find(|(code, _)| *code == wanted).map(|(code, _)| *code);
    known.ok_or_else(|| {
        Refusal::new(400, "Currency not supported by merchant", "validation_error", "unsupported_currency")
    })
}

pub(super) fn amount(fields: &Fields, currency: &str) -> Result<i64> {
    let amount = integer(fields, "amount")?.ok_or_else(|| Refusal::missing("amount"))?;
    let least = MINIMUMS.iter().find(|(code, _)| *code == currency).map_or(1, |(_, least)| *least);
    if amount < least {
        let message = format!("Amount should be at least {}", shown(least, currency));
        return Err(Refusal::invalid(&message, "invalid_amount"));
    }
    if amount > LARGEST {
        let message = format!("Amount should be at most {}", shown(LARGEST, currency));
        return Err(Refusal::invalid(&message, "invalid_amount"));
    }
    Ok(amount)
}

pub(super) fn shown(minor: i64, currency: &str) -> String {
    crate::pages::money(minor, currency, 2)
}

/// What the customer pays for an amount.
pub(super) fn due(state: &State, amount: i64, currency: &str) -> i64 {
    let added = state.settings.paystack.customer_bears_fees.then(|| fees(amount, currency));
    amount + added.unwrap_or_default()
}

/// Paystack's own share of a Naira card payment: 1.5 %, and 100 from 2,500 on, 2,000 at most.
pub(super) fn fees(amount: i64, currency: &str) -> i64 {
    let share = amount / 1000 * 15;
    if currency != "NGN" {
        return share;
    }
    (share + if amount >= 250_000 { 10_000 } else { 0 }).min(200_000)
}
