//! Money as PayPal writes it: a decimal string of major units. Inside it is an integer of minor units.

use super::refusal::{Refusal, Result};
use serde_json::{Value, json};

const CURRENCIES: [&str; 24] = [
    "AUD", "BRL", "CAD", "CHF", "CNY", "CZK", "DKK", "EUR", "GBP", "HKD", "HUF", "ILS", "JPY", "MXN", "MYR", "NOK",
    "NZD", "PHP", "PLN", "SEK", "SGD", "THB", "TWD", "USD",
];
const NO_DECIMALS: [&str; 3] = ["HUF", "JPY", "TWD"];
/// PayPal's own limit on the length of an amount.
const LONGEST: usize = 32;
/// Far beyond what an account may send, and far from where integers end.
const LARGEST: i64 = 99_999_999_999;

fn decimals(currency: &str) -> usize {
    if NO_DECIMALS.contains(&currency) { 0 } else { 2 }
}

/// `field` is where the money stands in the request.
pub(super) fn read(money: &Value, field: &str) -> Result<(i64, String)> {
    let part = |name: &str| {
        let field = format!("{field}/{name}");
        match &money[name] {
            Value::String(text) => Ok((text.as_str(), field)),
            Value::Null => Err(Refusal::invalid("MISSING_REQUIRED_PARAMETER", &field)),
            Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
                Err(Refusal::invalid("INVALID_PARAMETER_SYNTAX", &field))
            }
        }
    };
    let (currency, field) = part("currency_code")?;
    if currency.len() != 3 {
        return Err(Refusal::invalid("INVALID_STRING_LENGTH", &field));
    }
    if !CURRENCIES.contains(&currency) {
        return Err(Refusal::unprocessable("CURRENCY_NOT_SUPPORTED", &field).with_value(currency));
    }
    let (value, field) = part("value")?;
    Ok((minor(value, decimals(currency), &field)?, currency.to_owned()))
}

/// `13.99` with two decimals is 1399.
fn minor(value: &str, decimals: usize, field: &str) -> Result<i64> {
    let refused = |refusal: Refusal| Err(refusal.with_value(value));
    let (negative, digits) = value.strip_prefix('-').map_or((false, value), |digits| (true, digits));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let numeric = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let complete = if digits.contains('.') { !fraction.is_empty() } else { !whole.is_empty() };
    if value.len() > LONGEST || !complete || !numeric(whole) || !numeric(fraction) {
        return refused(Refusal::invalid("INVALID_PARAMETER_SYNTAX", field));
    }
    if fraction.len() > decimals {
        return refused(Refusal::unprocessable("DECIMAL_PRECISION", field));
    }
    match format!("{whole}{fraction:0<decimals$}").parse::<i64>() {
        Ok(minor) if minor > LARGEST => refused(Refusal::unprocessable("MAX_VALUE_EXCEEDED", field)),
        Ok(minor) if minor > 0 && !negative => Ok(minor),
        Ok(_) => refused(Refusal::unprocessable("CANNOT_BE_ZERO_OR_NEGATIVE", field)),
        Err(_) => refused(Refusal::unprocessable("MAX_VALUE_EXCEEDED", field)),
    }
}

pub(super) fn write(minor: i64, currency: &str) -> Value {
    let decimals = decimals(currency);
    let digits = format!("{:0>width$}", minor.unsigned_abs(), width = decimals + 1);
    let (whole, fraction) = digits.split_at(digits.len() - decimals);
    let sign = if minor < 0 { "-" } else { "" };
    let point = if decimals > 0 { "." } else { "" };
    json!({"currency_code": currency, "value": format!("{sign}{whole}{point}{fraction}")})
}

pub(super) fn shown(minor: i64, currency: &str) -> String {
    crate::pages::money(minor, currency, decimals(currency))
}

/// What PayPal keeps of a payment: 3.49 % and 49 minor units, never more than the whole.
pub(super) fn fee(amount: i64) -> i64 {
    (amount.saturating_mul(349) / 10_000 + 49).min(amount)
}

/// Refuses an amount that is not the total of its breakdown, where it has one.
pub(super) fn check_breakdown(amount: &Value, total: i64, currency: &str) -> Result<()> {
    let Some(parts) = amount["breakdown"].as_object() else { return Ok(()) };
    let mut sum = 0;
    for (name, part) in parts {
        let field = format!("/purchase_units/@reference_id=='default'/amount/breakdown/{name}");
        if part["currency_code"] != currency {
            return Err(Refusal::unprocessable("MULTI_CURRENCY_ORDER", &field));
        }
        let Some(value) = part["value"].as_str() else {
            return Err(Refusal::invalid("INVALID_PARAMETER_SYNTAX", &field));
        };
        // Here, unlike in the amount, nothing is allowed: free delivery is a breakdown's most common part.
        let zero = value.bytes().all(|byte| byte == b'0' || byte == b'.') && value.contains('0');
        let part = if zero { 0 } else { minor(value, decimals(currency), &field)? };
        sum += if matches!(name.as_str(), "discount" | "shipping_discount") { -part } else { part };
    }
    if sum == total {
        return Ok(());
    }
    Err(Refusal::unprocessable("AMOUNT_MISMATCH", "/purchase_units/@reference_id=='default'/amount/value"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimal_strings_become_minor_units_and_back() {
        for (currency, value, minor, written) in [
            ("USD", "13.99", 1_399, "13.99"),
            ("USD", "20", 2_000, "20.00"),
            ("EUR", "0.5", 50, "0.50"),
            ("EUR", ".05", 5, "0.05"),
            ("JPY", "1500", 1_500, "1500"),
            ("USD", "999999999.99", 99_999_999_999, "999999999.99"),
        ] {
            let money = json!({"currency_code": currency, "value": value});
            assert_eq!(read(&money, "/amount").ok(), Some((minor, currency.to_owned())), "{value}");
            assert_eq!(write(minor, currency), json!({"currency_code": currency, "value": written}));
        }
    }

    #[test]
    fn what_is_no_amount_is_refused_by_name() {
        for (currency, value, issue) in [
            ("USD", "13.990", "DECIMAL_PRECISION"),
            ("JPY", "1500.00", "DECIMAL_PRECISION"),
            ("USD", "0.00", "CANNOT_BE_ZERO_OR_NEGATIVE"),
            ("USD", "-1.00", "CANNOT_BE_ZERO_OR_NEGATIVE"),
            ("USD", "1,000.00", "INVALID_PARAMETER_SYNTAX"),
            ("USD", "1.", "INVALID_PARAMETER_SYNTAX"),
            ("USD", "", "INVALID_PARAMETER_SYNTAX"),
            ("USD", "1e3", "INVALID_PARAMETER_SYNTAX"),
            ("USD", "99999999999999999999.00", "MAX_VALUE_EXCEEDED"),
            ("NGN", "7000.00", "CURRENCY_NOT_SUPPORTED"),
            ("GEL", "20.00", "CURRENCY_NOT_SUPPORTED"),
        ] {
            let refusal = read(&json!({"currency_code": currency, "value": value}), "/amount").err();
            assert_eq!(refusal.map(|refusal| refusal.issue().to_owned()).as_deref(), Some(issue), "{currency} {value}");
        }
    }
}
