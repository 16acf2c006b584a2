//! What is given back: credit notes, never for more than was paid, and the
//! balance that they leave with the customer.

use crate::money::Money;
use crate::ratio::{Ratio, Rounding};
use crate::tax::{self, Prices, Taxed};

/// What of `wanted` may still be credited of an amount that was `paid` and of
/// which some is `credited` already. Never below zero (Flexprice: the cap on
/// credits). None: several currencies, or more than can be counted.
pub fn creditable(wanted: Money, paid: Money, credited: Money) -> Option<Money> {
    let (left, currency) = (paid.minus(credited)?, wanted.currency);
    (left.currency == currency).then_some(Money::new(wanted.minor.min(left.minor).max(0), currency))
}

/// The note for `part` of what was invoiced without tax, with the tax at `rate`.
///
/// The net amount is rounded half up, then the tax of the rounded net (Lago):
/// rounding their total instead can differ by one minor unit. Net and tax are
/// each no more than was paid and is not credited; the note that takes the last
/// of the net takes the last of the tax too, so that notes for all parts of an
/// invoice are together the invoice. None: several currencies, a rate below
/// zero, or more than can be counted.
pub fn credit_note(paid: Taxed, credited: Taxed, part: Ratio, rate: Ratio) -> Option<Taxed> {
    let net = creditable(paid.net.part(part, Rounding::HalfUp)?, paid.net, credited.net)?;
    let last = credited.net.plus(net)? == paid.net;
    let wanted = if last { paid.tax } else { tax::tax(net, rate, Prices::Exclusive)?.tax };
    Some(Taxed { net, tax: creditable(wanted, paid.tax, credited.tax)? })
}

/// How an invoice is paid by one who has a balance with us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settled {
    pub from_balance: Money,
    /// What is left to collect.
    pub due: Money,
    /// What is left of the balance.
    pub balance: Money,
}

/// `total` against a `balance` of credits, which are used first. A total below
/// zero is a credit itself and adds to the balance. None: several currencies,
/// or more than can be counted.
pub fn settle(total: Money, balance: Money) -> Option<Settled> {
    let nothing = Money::zero(total.currency);
    if total.minor < 0 {
        return Some(Settled { from_balance: nothing, due: nothing, balance: balance.minus(total)? });
    }
    let from_balance = creditable(total, balance, nothing)?;
    Some(Settled { from_balance, due: total.minus(from_balance)?, balance: balance.minus(from_balance)? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::money::Currency;

    fn usd(minor: i64) -> Money {
        Money::new(minor, Currency::from_code("USD").unwrap_or_else(|| panic!("USD")))
    }

    fn taxed(net: i64, tax: i64) -> Taxed {
        Taxed { net: usd(net), tax: usd(tax) }
    }

    fn ratio(text: &str) -> Ratio {
        text.parse().unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn nobody_is_credited_more_than_they_paid() {
        // Wanted, paid, credited already, credited now.
        let cases = [
            (100, 200, 50, 100),
            (300, 200, 50, 150),
            (100, 200, 180, 20),
            (100, 200, 200, 0),
            (100, 200, 250, 0),
            (-50, 200, 50, 0),
        ];
        for (wanted, paid, credited, expected) in cases {
            assert_eq!(creditable(usd(wanted), usd(paid), usd(credited)), Some(usd(expected)), "{wanted} {credited}");
        }
        let euro = Money::new(1, Currency::from_code("EUR").unwrap_or_else(|| panic!("EUR")));
        assert_eq!(creditable(euro, usd(1), usd(0)), None);
    }

    #[test]
    fn a_note_rounds_the_net_and_then_its_tax() {
        let nothing = taxed(0, 0);
        let note = |net, tax, part, rate| credit_note(taxed(net, tax), nothing, ratio(part), ratio(rate));
        assert_eq!(note(16_000, 4_000, "29/30", "0.25"), Some(taxed(15_467, 3_867)));
        assert_eq!(note(2_999, 700, "6/7", "0.2333"), Some(taxed(2_571, 600)));
        assert_eq!(note(20_000, 5_000, "29/30", "0.25"), Some(taxed(19_333, 4_833)));
        assert_eq!(note(1_000, 250, "1", "0.25"), Some(taxed(1_000, 250)));
        // A part of more than all is all.
        assert_eq!(note(1_000, 250, "7/5", "0.25"), Some(taxed(1_000, 250)));
    }

    #[test]
    fn notes_for_every_part_of_an_invoice_are_together_the_invoice() {
        for (net, parts) in (1..400_i64).map(|n| (n * 7, n % 9 + 1)) {
            let (rate, part) = (ratio("0.2333"), Ratio::new(1, parts.into()).unwrap_or(Ratio::ONE));
            let paid = tax::tax(usd(net), rate, Prices::Exclusive).unwrap_or(taxed(0, 0));
            let mut credited = taxed(0, 0);
            // A last note for all sweeps up what rounding left.
            for part in std::iter::repeat_n(part, parts.unsigned_abs() as usize).chain([Ratio::ONE]) {
                let note = credit_note(paid, credited, part, rate).unwrap_or_else(|| panic!("{net} in {parts}"));
                assert!(note.net.minor >= 0 && note.tax.minor >= 0);
                credited = taxed(credited.net.minor + note.net.minor, credited.tax.minor + note.tax.minor);
            }
            assert_eq!(credited, paid, "{net} in {parts}");
        }
    }

    #[test]
    fn a_balance_is_used_first_and_credits_add_to_it() {
        // Total, balance; from the balance, due, left.
        let cases = [
            (1_000, 300, 300, 700, 0),
            (1_000, 1_500, 1_000, 0, 500),
            (1_000, 0, 0, 1_000, 0),
            (-400, 100, 0, 0, 500),
            (0, 100, 0, 0, 100),
        ];
        for (total, balance, used, due, left) in cases {
            let settled = Settled { from_balance: usd(used), due: usd(due), balance: usd(left) };
            assert_eq!(settle(usd(total), usd(balance)), Some(settled), "{total} {balance}");
        }
    }
}
