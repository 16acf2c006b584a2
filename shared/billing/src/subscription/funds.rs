//! What was paid for, and what is the customer's still.
//!
//! Of the money of a customer that we hold, each minor unit was paid for one
//! period, or is their balance: `funds` says the first, `balances` the second,
//! and every event that moves money moves it between these two, the payments
//! and what was sold. So nothing is credited that was not paid, or that was
//! given back.

use super::{Order, Refusal, Subscription};
use crate::money::{Currency, Money};
use serde::{Deserialize, Serialize};

/// What there is of what was paid for a period.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fund {
    pub period: u32,
    /// What was paid for it, the balance that was used included, and is neither credited nor given back. Never below zero.
    pub left: Money,
    /// Minor units that were given back though they had been credited: they came out of the balance.
    pub short: i64,
}

/// Of how many periods it is known what is left: cards are disputed, and payments given back, for some months.
const REMEMBERED: usize = 24;

impl Subscription {
    /// The customer's credit in `currency`; below zero: what they owe with the next invoice.
    pub fn balance(&self, currency: Currency) -> Money {
        let found = self.balances.iter().find(|balance| balance.currency == currency);
        found.copied().unwrap_or(Money::zero(currency))
    }

    /// What is to be paid for the next period, the balance used.
    pub fn amount_due(&self) -> Result<Money, Refusal> {
        let price = self.next_order().amount()?;
        let balance = self.balance(price.currency);
        let is_first = self.term().is_none();
        // Whoever buys anew is shown the price, or less: what they owe from before comes with the next.
        if balance.minor == 0 || (is_first && balance.minor < 0) {
            return Ok(price);
        }
        let due = price.minus(balance).ok_or(Refusal::TooExpensive)?.chargeable();
        // For nothing there is no page to pay at.
        Ok(if is_first && due.minor == 0 { price } else { due })
    }

    /// What of the running period's price was paid and can be credited.
    pub(super) fn creditable(&self) -> Result<Money, Refusal> {
        let price = self.order.amount()?;
        Ok(self.term().and_then(|term| self.fund(term.index)).map_or(price, |fund| fund.left))
    }

    fn fund(&self, period: u32) -> Option<&Fund> {
        self.funds.iter().find(|fund| fund.period == period)
    }

    /// `price` for `period` was settled, of which `paid` came in and the balance has the rest.
    pub(super) fn settle_price(&mut self, period: u32, price: Money, paid: Money) {
        self.charge_for(period, price);
        self.move_balance(Money { minor: paid.minor.saturating_sub(price.minor), ..price });
    }

    /// More is paid for `period`; or less, as it is credited.
    pub(super) fn charge_for(&mut self, period: u32, more: Money) {
        match self.funds.iter_mut().find(|fund| fund.period == period) {
            Some(fund) => fund.left = fund.left.with_more(more.minor),
            None => self.funds.push(Fund { period, left: more, short: 0 }),
        }
        let forgotten = self.funds.len().saturating_sub(REMEMBERED);
        self.funds.drain(..forgotten);
    }

    /// What was paid for the running period before that was kept account of: its price.
    pub(super) fn remember_fund(&mut self) {
        let running = self.term().map(|term| term.index).filter(|period| self.fund(*period).is_none());
        if let (Some(period), Ok(price)) = (running, self.order.amount()) {
            self.charge_for(period, price);
        }
    }

    /// So much of a payment for `period` went back, or, below zero, does not after all. What of it had been credited the
    /// customer has twice: that comes out of the balance.
    pub(super) fn return_from(&mut self, period: u32, amount: Money) {
        if self.term().is_some_and(|term| term.index == period) {
            self.remember_fund();
        }
        let Some(fund) = self.funds.iter_mut().find(|fund| fund.period == period) else { return };
        // Of what comes back, first what the balance was short of; of what goes, first what is left.
        let from_fund = match amount.minor > 0 {
            true => amount.minor.min(fund.left.minor),
            false => amount.minor.saturating_add(fund.short).min(0),
        };
        let from_balance = amount.minor.saturating_sub(from_fund);
        fund.left = fund.left.with_more(from_fund.saturating_neg());
        fund.short = fund.short.saturating_add(from_balance);
        self.move_balance(Money { minor: from_balance.saturating_neg(), ..amount });
    }

    pub(super) fn move_balance(&mut self, by: Money) {
        let balance = self.balance(by.currency).with_more(by.minor);
        self.balances.retain(|it| it.currency != by.currency);
        if balance.minor != 0 {
            self.balances.push(balance);
        }
    }
}

impl Order {
    /// The price, for bookkeeping of what was sold: what could not be counted was never sold.
    pub(super) fn price_sold(&self) -> Money {
        self.amount().unwrap_or(Money::zero(self.price.amount.currency))
    }
}
