//! Tokens: by what a balance came to be what it is, and where they follow the money that they came with (I-16).

use super::{check, granted};
use crate::consumers::Came;
use crate::world::State;
use billing::id::{ConsumptionId, PaymentId};
use billing::payment::Payment;
use billing::ports::{Key, Record};
use billing::subscription::Event;
use billing::token::Tokens;

impl State {
    /// By what else a commit did the balance came to be `new`, and what was claimed with it.
    pub(super) fn came(
        &self,
        new: &Tokens,
        old: Option<&Record>,
        changed: &[(Key, Option<Record>)],
        moved: bool,
    ) -> (Tokens, Came, Option<ConsumptionId>) {
        let before = if let Some(Record::Tokens(it)) = old { it.balance } else { 0 };
        let written: Vec<&Record> = changed.iter().filter_map(|(key, _)| self.records.get(key)).collect();
        let claimed =
            written.iter().find_map(|it| if let Record::Claim(it) = it { it.consumption.clone() } else { None });
        let mut came = if moved { Came::WithTheMoney } else { Came::OtherwiseOrNot };
        for record in written {
            match record {
                Record::Consumption(it) if it.customer == new.customer => {
                    came = Came::Consumed { tokens: it.tokens, id: it.id.clone() };
                }
                Record::History { event: Event::TokensReset { from, .. }, .. } if *from == before => {
                    came = Came::Reset;
                }
                Record::History { event, .. } => {
                    if let Some(payment) = granted(event) {
                        came = Came::Granted(payment.clone());
                    }
                }
                _ => {}
            }
        }
        (new.clone(), came, claimed)
    }

    /// What came with a payment is taken when all of its money is gone, and put back when it is not after all: in the commit
    /// that says so, once, and with a word in the history. Whether any of it is to move in this one.
    pub(super) fn follow_money(&mut self, changed: &[(Key, Option<Record>)]) -> Result<bool, (&'static str, String)> {
        let payment = |(key, _): &(Key, Option<Record>)| match self.records.get(key) {
            Some(Record::Payment(it)) => Some(it.clone()),
            _ => None,
        };
        let payments: Vec<Payment> = changed.iter().filter_map(payment).collect();
        let mut expected: Vec<(PaymentId, i64)> =
            payments.iter().filter_map(|it| Some((it.id.clone(), self.moves(it)?))).collect();
        expected.retain(|(_, tokens)| *tokens != 0);
        let told = |(key, _): &(Key, Option<Record>)| match self.records.get(key) {
            Some(Record::History { event: Event::TokensTakenBack { payment, tokens, .. }, .. }) => {
                Some((payment.clone(), -i64::try_from(*tokens).unwrap_or(i64::MAX)))
            }
            Some(Record::History { event: Event::TokensPutBack { payment, tokens }, .. }) => {
                Some((payment.clone(), i64::try_from(*tokens).unwrap_or(i64::MAX)))
            }
            _ => None,
        };
        let told: Vec<_> = changed.iter().filter_map(told).collect();
        check(told == expected, "I-16", || format!("with the money go {expected:?}, and it is told of {told:?}"))?;
        let written = changed.iter().any(|(key, _)| matches!(key, Key::Tokens(_)));
        check(written || expected.is_empty(), "I-16", || format!("{expected:?} are to move, and do not"))?;
        Ok(!expected.is_empty())
    }

    /// How many tokens move with what is known of the money of `payment` now: below zero, away.
    fn moves(&mut self, payment: &Payment) -> Option<i64> {
        let paid = payment.paid()?;
        let gone = paid.gone() > 0 && paid.gone() >= paid.receipt.amount.minor;
        let (tokens, taken) = self.brought.get_mut(&payment.id)?;
        let lots = self.boxes.get_mut(&payment.customer)?;
        // One that is not there any more has ended.
        let own = lots.iter().position(|it| it.with.as_ref() == Some(&payment.id));
        let mut moved = 0;
        match taken.take() {
            None if gone => {
                if let Some(left) = own.map(|own| lots[own].left) {
                    let mut missing = *tokens;
                    let is_own = |with: &Option<PaymentId>| with.as_ref() == Some(&payment.id);
                    lots.sort_by_key(|it| (!is_own(&it.with), it.left != left, it.left.map_or(u32::MAX, u32::from)));
                    for lot in lots {
                        let taken = missing.min(lot.held);
                        (lot.held, missing) = (lot.held - taken, missing - taken);
                    }
                    moved = *tokens - missing;
                }
                *taken = Some(moved);
                Some(-i64::try_from(moved).unwrap_or(i64::MAX))
            }
            Some(back) if !gone => {
                if let Some(own) = own {
                    lots[own].held += back;
                    moved = back;
                }
                i64::try_from(moved).ok()
            }
            as_it_was => {
                *taken = as_it_was;
                None
            }
        }
    }
}
