//! What was paid for, and what is the customer's still.
//!
//! Of the money of a customer that we hold, each minor unit was paid for one
//! period, or is their balance: `funds` says the first, `balances` the second,
//! and every event that moves money moves it between these two, the payments
//! and what was sold. So nothing is credited that was not paid, that was given
//! back, or that was used up: `worth` says what the rest of the period was paid
//! with, whatever it would cost now.

use super::{Order, Refusal, Subscription, Term};
use crate::calendar::Period;
use crate::dunning::{after, days};
use crate::money::{Currency, Money};
use crate::proration::Proration;
use crate::ratio::{Ratio, Rounding};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// What there is of what was paid for a period.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fund {
    /// Which of the customer's subscriptions, and which of its periods.
    pub subscription: u32,
    pub period: u32,
    /// What was paid for it, the balance that was used included, and is neither credited nor given back. Never below
    /// zero.
    pub left: Money,
    /// Minor units that were given back though they had been credited: they came out of the balance.
    pub short: i64,
    /// Whether a payment was made for it, which may go back.
    pub paid: bool,
    /// Minor units that were paid for what had been used before: they may go back, and are credited to nobody.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub used_up: i64,
    /// When it was paid for last.
    pub at: Timestamp,
}

fn is_nothing(minor: &i64) -> bool {
    *minor == 0
}

/// What the rest of the running period, from `at` on, was paid with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Worth {
    pub amount: Money,
    pub at: Timestamp,
    /// By what it was reckoned then, and is until the next change, whatever the plan's own policy.
    pub by: Proration,
}

/// How long it is known what is left of a period: payments are looked at for four months, and may come back a little later.
const REMEMBERED: SignedDuration = days(200);

impl Subscription {
    /// The customer's credit in `currency`; below zero: what they owe with the next invoice.
    pub fn balance(&self, currency: Currency) -> Money {
        let found = self.balances.iter().find(|balance| balance.currency == currency);
        found.copied().unwrap_or(Money::zero(currency))
    }

    /// What is to be paid for the next period, the balance used.
    pub fn amount_due(&self) -> Result<Money, Refusal> {
        let order = self.next_order();
        let price = order.amount()?;
        let balance = self.balance(price.currency);
        // What a plan costs, whoever sells it has seen to it that it can be charged.
        if balance.minor == 0 && self.usage_charges.is_empty() && order.discounted().is_none() {
            return Ok(price);
        }
        Ok(price.with_more(self.usage_due(price.currency)).minus(balance).ok_or(Refusal::TooExpensive)?.chargeable())
    }

    /// What can be credited at `at`: of what the rest of the period was paid with as much as is left of its time, and no
    /// more than is left of the money, or than the `unspent` part of that.
    pub(super) fn creditable(&self, term: Term, unspent: Ratio, at: Timestamp) -> Result<Money, Refusal> {
        let (price, period) = (self.order.amount()?, self.period_of(term));
        let worth = self.worth_in(period);
        let left = |at| worth.by.left(period, at, &self.time_zone);
        let part = left(at).over(left(worth.at)).map_or(Ratio::ZERO, |part| part.min(Ratio::ONE));
        let rest = worth.amount.part(part, Rounding::HalfUp).ok_or(Refusal::TooExpensive)?;
        let fund = self.funds.iter().find(|fund| self.is_of(fund, term.index));
        let left = fund.map_or(price.minor, |fund| fund.left.minor.saturating_sub(fund.used_up).max(0));
        let left = Money { minor: left, ..rest }.part(unspent, Rounding::HalfUp).ok_or(Refusal::TooExpensive)?;
        Ok(Money { minor: rest.minor.min(left.minor), ..rest })
    }

    pub(super) fn worth_in(&self, period: Period) -> Worth {
        let whole = || Worth { amount: self.order.price_sold(), at: period.start, by: self.order.plan.proration };
        self.worth.unwrap_or_else(whole)
    }

    /// What the rest of the period of `term` is worth once so much of it is credited, and so much paid, at `at`. Where
    /// neither is, nothing is reckoned anew: else each change would round it.
    pub(super) fn worth_after(&self, term: Term, credit: Money, charge: Money, at: Timestamp) -> Worth {
        if credit.minor == 0 && charge.minor == 0 {
            return self.worth_in(self.period_of(term));
        }
        let rest =
            self.creditable(term, Ratio::ONE, at).map_or(0, |rest| rest.minor.saturating_sub(credit.minor).max(0));
        Worth { amount: charge.with_more(rest), at, by: self.order.plan.proration }
    }

    /// When a period began that was paid for, whenever its days are by now.
    pub(super) fn began(&self, period: u32) -> Option<Timestamp> {
        self.funds.iter().find(|fund| self.is_of(fund, period)).map(|fund| fund.at)
    }

    fn is_of(&self, fund: &Fund, period: u32) -> bool {
        fund.subscription == self.id.number && fund.period == period
    }

    /// `price` for the period of `term` was settled at `at`, of which `paid` came in and the balance has the rest.
    pub(super) fn settle_price(&mut self, term: Term, price: Money, paid: Money, at: Timestamp) {
        self.fund(term.index, price, at, paid.minor > 0);
        self.move_balance(Money { minor: paid.minor.saturating_sub(price.minor), ..price });
    }

    /// So much of what was paid for the running period is balance again, as it was when that was decided. What of it was
    /// given back since the customer has already.
    pub(super) fn credit(&mut self, credit: Money, at: Timestamp) {
        let Some(term) = self.term() else { return };
        self.fund(term.index, Money { minor: 0, ..credit }, at, false);
        let number = self.id.number;
        let running = self.funds.iter_mut().find(|fund| fund.subscription == number && fund.period == term.index);
        let moved = running.map_or(0, |fund| {
            let moved = credit.minor.min(fund.left.minor);
            fund.left = fund.left.with_more(moved.saturating_neg());
            fund.short = fund.short.saturating_add(credit.minor.saturating_sub(moved));
            moved
        });
        self.move_balance(Money { minor: moved, ..credit });
    }

    fn fund(&mut self, period: u32, more: Money, at: Timestamp, paid: bool) {
        let number = self.id.number;
        match self.funds.iter_mut().find(|fund| fund.subscription == number && fund.period == period) {
            Some(fund) => *fund = Fund { left: fund.left.with_more(more.minor), paid: fund.paid || paid, at, ..*fund },
            None => {
                // What no payment was made for does not come back, and what is long ago does not either.
                self.funds.retain(|it| (it.paid || it.left.minor > 0) && at <= after(it.at, REMEMBERED));
                self.funds.push(Fund { subscription: number, period, left: more, short: 0, paid, used_up: 0, at });
            }
        }
    }

    /// So much of what was paid with the period of `term` is for what had been used before.
    pub(super) fn use_up(&mut self, term: Term, minor: i64) {
        let number = self.id.number;
        if let Some(fund) = self.funds.iter_mut().find(|fund| fund.subscription == number && fund.period == term.index)
        {
            fund.used_up = fund.used_up.saturating_add(minor);
        }
    }

    /// So much was paid for the period of `term` to somebody else: no payment of ours is behind it.
    pub(super) fn fund_elsewhere(&mut self, term: Term, paid: Money, at: Timestamp) {
        self.fund(term.index, paid, at, false);
    }

    /// What was paid for the running period before that was kept account of: its price.
    pub(super) fn remember_fund(&mut self) {
        let unknown = |term: &Term| !self.funds.iter().any(|fund| self.is_of(fund, term.index));
        if let (Some(term), Ok(price)) = (self.term().filter(unknown), self.order.amount()) {
            self.fund(term.index, price, self.period_of(term).start, true);
        }
    }

    /// So much of a payment for a period went back, or, below zero, does not after all. What of it had been credited the
    /// customer has twice: that comes out of the balance.
    pub(super) fn return_from(&mut self, subscription: u32, period: u32, amount: Money) {
        self.remember_fund();
        let is_it = |fund: &&mut Fund| {
            fund.subscription == subscription && fund.period == period && fund.left.currency == amount.currency
        };
        let Some(fund) = self.funds.iter_mut().find(is_it) else { return };
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

    fn move_balance(&mut self, by: Money) {
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
