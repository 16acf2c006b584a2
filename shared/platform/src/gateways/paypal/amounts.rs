//! PayPal's amounts: decimal texts in major units.
//! <https://developer.paypal.com/reference/currency-codes/>

use billing::money::{Currency, Money};
use billing::ports::GatewayError;
use serde::{Deserialize, Serialize};

const TAKEN: [&str; 24] = [
    "AUD", "BRL", "CAD", "CHF", "CNY", "CZK", "DKK", "EUR", "GBP", "HKD", "HUF", "ILS", "JPY", "MXN", "MYR", "NOK",
    "NZD", "PHP", "PLN", "SEK", "SGD", "THB", "TWD", "USD",
];

/// Of these PayPal takes whole units only, two of them though ISO 4217 divides them.
const WHOLE: [&str; 3] = ["HUF", "JPY", "TWD"];

/// More digits than any amount of ours has.
const MOST_DIGITS: usize = 18;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Amount {
    currency_code: String,
    value: String,
}

impl Amount {
    pub(super) fn of(money: Money) -> Result<Self, GatewayError> {
        takes(money.currency)?;
        let currency = money.currency;
        let exponent = currency.exponent();
        let decimals = if WHOLE.contains(&currency.code()) { 0 } else { exponent };
        let (unit, least) = (10_i64.pow(exponent), 10_i64.pow(exponent - decimals));
        if money.minor < 0 || money.minor % least != 0 {
            let problem = format!("PayPal takes {currency} only in whole units");
            return Err(GatewayError::Unacceptable { field: "plan", problem });
        }
        let (whole, rest) = (money.minor / unit, money.minor % unit);
        let value = match decimals {
            0 => whole.to_string(),
            _ => format!("{whole}.{rest:0width$}", width = decimals as usize),
        };
        Ok(Self { currency_code: currency.code().to_owned(), value })
    }

    /// Exactly what the text says. None: it is no amount, or not a whole number of minor units.
    pub(super) fn money(&self) -> Option<Money> {
        let currency = Currency::from_code(&self.currency_code)?;
        let (whole, fraction) = match self.value.split_once('.') {
            Some((_, "")) => return None,
            Some((whole, fraction)) => (whole, fraction),
            None => (self.value.as_str(), ""),
        };
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let padded = whole.len() > 1 && whole.starts_with('0');
        if whole.is_empty() || padded || !digits(whole) || !digits(fraction) || self.value.len() > MOST_DIGITS {
            return None;
        }
        // `1500.00` of a currency without decimals is 1500 all the same.
        let fraction = fraction.trim_end_matches('0');
        let width = currency.exponent() as usize;
        if fraction.len() > width {
            return None;
        }
        let minor = format!("{whole}{fraction:0<width$}").parse().ok()?;
        Some(Money::new(minor, currency))
    }
}

/// Whether PayPal takes the currency at all.
pub(super) fn takes(currency: Currency) -> Result<(), GatewayError> {
    match TAKEN.contains(&currency.code()) {
        true => Ok(()),
        false => {
            let problem = format!("PayPal does not take {currency}");
            Err(GatewayError::Unacceptable { field: "currency", problem })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn money(minor: i64, code: &str) -> Money {
        Money::new(minor, Currency::from_code(code).unwrap_or_else(|| panic!("{code}")))
    }

    fn read(value: &str, code: &str) -> Option<Money> {
        Amount { currency_code: code.to_owned(), value: value.to_owned() }.money()
    }

    #[test]
    fn amounts_are_written_in_major_units_and_read_back() {
        let cases = [
            (money(1_399, "USD"), "13.99"),
            (money(5, "EUR"), "0.05"),
            (money(200_000, "GBP"), "2000.00"),
            (money(1_500, "JPY"), "1500"),
            (money(150_000, "HUF"), "1500"),
            (money(30_000, "TWD"), "300"),
        ];
        for (amount, value) in cases {
            let written = Amount::of(amount).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!((written.value.as_str(), written.money()), (value, Some(amount)));
        }
    }

    #[test]
    fn what_paypal_does_not_take_is_refused_before_anyone_is_asked() {
        let field = |amount| match Amount::of(amount) {
            Err(GatewayError::Unacceptable { field, .. }) => Some(field),
            Ok(_) | Err(_) => None,
        };
        for code in ["GEL", "NGN", "KWD", "ISK", "RUB"] {
            assert_eq!(field(money(2_000, code)), Some("currency"), "{code}");
        }
        assert_eq!(field(money(150_050, "HUF")), Some("plan"));
        assert!(
            TAKEN
                .iter()
                .all(|code| Currency::from_code(code).is_some_and(|it| Amount::of(money(100, it.code())).is_ok()))
        );
    }

    #[test]
    fn a_text_is_an_amount_to_the_last_digit_or_none() {
        for (value, minor) in [("13.99", 1_399), ("20", 2_000), ("0.5", 50), ("20.0", 2_000), ("1500.000", 150_000)] {
            assert_eq!(read(value, "USD"), Some(money(minor, "USD")), "{value}");
        }
        assert_eq!(read("1500.00", "JPY"), Some(money(1_500, "JPY")));
        for value in [
            "",
            ".",
            "1.",
            ".5",
            "-1.00",
            "+1.00",
            "1e3",
            "1,000.00",
            " 1",
            "01.00",
            "13.995",
            "1.2.3",
            "１",
            "99999999999999999.99",
        ] {
            assert_eq!(read(value, "USD"), None, "{value}");
        }
        assert_eq!((read("1.5", "JPY"), read("1.00", "XXX"), read("1.00", "usd")), (None, None, None));
    }
}
