//! Amounts as Paystack counts: hundredths of every currency, XOF's too,
//! although XOF has none.

use billing::money::{Currency, Money};
use billing::ports::GatewayError;

/// The least that an account made for one payment takes: NGN 100.
pub(super) const LEAST_TRANSFER: i64 = 10_000;

pub(super) fn subunits(amount: Money) -> Result<i64, GatewayError> {
    match amount.currency.code() {
        "NGN" | "GHS" | "ZAR" | "KES" | "USD" => Ok(amount.minor),
        "XOF" => amount
            .minor
            .checked_mul(100)
            .ok_or_else(|| GatewayError::Unacceptable { field: "quantity", problem: "is too much".to_owned() }),
        _ => Err(unknown(amount.currency)),
    }
}

/// The other way. XOF's hundredths do not exist, and are dropped as Paystack drops them.
pub(super) fn from_subunits(subunits: i64, currency: Currency) -> Money {
    let minor = if currency.exponent() == 0 { subunits / 100 } else { subunits };
    Money::new(minor, currency)
}

/// The least that Paystack charges a card, and keeps the card for.
pub(super) fn least(currency: Currency) -> Result<Money, GatewayError> {
    let minor = match currency.code() {
        "NGN" => 5_000,
        "GHS" => 10,
        "ZAR" => 100,
        "KES" => 300,
        "USD" => 200,
        "XOF" => 1,
        _ => return Err(unknown(currency)),
    };
    Ok(Money::new(minor, currency))
}

fn unknown(currency: Currency) -> GatewayError {
    GatewayError::Unacceptable { field: "currency", problem: format!("Paystack does not take {currency}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn money(minor: i64, code: &str) -> Money {
        Money::new(minor, Currency::from_code(code).unwrap_or_else(|| panic!("{code}")))
    }

    #[test]
    fn francs_without_cents_are_sent_in_hundredths_all_the_same() {
        assert_eq!(subunits(money(5_000, "XOF")).ok(), Some(500_000));
        assert_eq!(from_subunits(500_050, money(0, "XOF").currency), money(5_000, "XOF"));
        assert_eq!(subunits(money(700_000, "NGN")).ok(), Some(700_000));
        assert!(subunits(money(1_500, "GEL")).is_err());
    }

    #[test]
    fn a_card_is_proved_with_the_least_that_is_charged() {
        for (code, minor) in [("NGN", 5_000), ("GHS", 10), ("ZAR", 100), ("KES", 300), ("USD", 200), ("XOF", 1)] {
            assert_eq!(least(money(0, code).currency).ok(), Some(money(minor, code)));
        }
        let refused = least(money(0, "GEL").currency);
        assert!(matches!(refused, Err(GatewayError::Unacceptable { field: "currency", .. })));
    }
}
