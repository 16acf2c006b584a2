//! Customers use their tokens up, a few at a time and all at once; and what must hold of a balance, whatever happens
//! meanwhile (I-15, I-16).

use crate::checker::Checked;
use crate::faults::{DAY, HOUR, SECOND};
use crate::jobs::Job;
use crate::world::{Happening, State};
use billing::id::{ConsumptionId, CustomerId, IdempotencyKey, PaymentId};
use billing::ports::{Key, Record};
use billing::testing::idempotency_key;
use billing::token::{Consumption, Tokens};
use billing::workflow::Consume;
use std::num::NonZeroU32;

/// Tokens that came together: how many of them are left, into how many more periods they go, and with which payment they
/// came. One of which none are left stays until they would have ended.
#[derive(Clone, Debug)]
pub(crate) struct Lot {
    pub(crate) held: u64,
    pub(crate) left: Option<u16>,
    pub(crate) with: Option<PaymentId>,
}

/// What a customer has, as it would lie in boxes.
pub(crate) type Boxes = Vec<Lot>;

impl State {
    /// In the weeks after they ordered tokens: under keys that come again, and more at once than there are.
    pub(crate) fn consume(&mut self, customer: &CustomerId, ordered_at: i64) {
        let mut aside = self.rng.aside();
        for _ in 0..aside.within(0, 5) {
            let time = ordered_at + aside.within(HOUR, 75 * DAY);
            let tokens = aside.one_of(&[1, 7, 250, 600, 1_000, 4_999]);
            let key = format!("use.{}", aside.within(0, 6));
            for _ in 0..aside.one_of(&[1, 1, 2, 4]) {
                let key = if aside.chance(700) { key.clone() } else { format!("use.{}", aside.within(0, 6)) };
                let wanted = Consume {
                    customer: customer.clone(),
                    tokens: NonZeroU32::MIN.saturating_add(tokens - 1),
                    description: None,
                    key: idempotency_key(&key),
                    fingerprint: format!("{tokens}"),
                };
                let time = time + aside.within(0, SECOND);
                self.at(time, Happening::Start(Job::Consume { wanted: Box::new(wanted), tries: 0 }));
            }
        }
    }

    /// Whoever is told that tokens were consumed is told the same again, and what they asked for.
    pub(crate) fn consumed(&mut self, wanted: &Consume, told: &Consumption) {
        let asked = (wanted.customer.clone(), wanted.key.clone());
        let first = self.told_consumed.entry(asked).or_insert_with(|| told.clone()).clone();
        let stored = self.records.get(&Key::Consumption(told.customer.clone(), told.id.clone()));
        let right = told.customer == wanted.customer && told.tokens == wanted.tokens;
        if first != *told || !right || stored != Some(&Record::Consumption(told.clone())) {
            self.breach(
                "I-15",
                format!("{wanted:?} is told {told:?}, before that {first:?}, and stored is {stored:?}"),
            );
        }
    }

    /// Tokens come with a paid period, are consumed under a key or set by whoever may, end when the next period begins, and
    /// go and come back with the money; and no other way.
    pub(crate) fn rebalanced(&mut self, new: &Tokens, came: Came, claimed: Option<&ConsumptionId>) -> Checked {
        let customer = &new.customer;
        let mut boxes = self.boxes.get(customer).cloned().unwrap_or_default();
        let (included, rollover) = match self.subscription(customer).map(|it| &it.order.plan) {
            Some(plan) => (plan.tokens_included.unwrap_or(0), plan.tokens_rollover),
            None => (0, None),
        };
        let told = format!("{customer} had {boxes:?}, and {came:?} leaves {}", new.balance);
        match came {
            Came::Consumed { tokens, id } => {
                self.happened.insert("tokens consumed");
                if claimed != Some(&id) {
                    return Err(("I-15", format!("{told}: {id} without its claim")));
                }
                let mut missing = u64::from(tokens.get());
                boxes.sort_by_key(|it| it.left.map_or(u32::MAX, u32::from));
                for lot in &mut boxes {
                    let taken = missing.min(lot.held);
                    (lot.held, missing) = (lot.held - taken, missing - taken);
                }
                if missing > 0 {
                    return Err(("I-15", format!("{told}: {missing} are missing")));
                }
            }
            Came::Reset => {
                boxes.iter_mut().for_each(|it| it.held = 0);
                boxes.push(Lot { held: included, left: rollover, with: None });
            }
            Came::Granted(payment) => {
                if boxes.iter().any(|it| it.held > 0 && it.left == Some(0)) {
                    self.happened.insert("tokens ended");
                }
                boxes.retain(|it| it.left != Some(0));
                boxes.iter_mut().for_each(|it| it.left = it.left.map(|left| left - 1));
                if included > 0 {
                    self.brought.insert(payment.clone(), (included, None));
                    boxes.push(Lot { held: included, left: rollover, with: Some(payment) });
                }
            }
            Came::WithTheMoney => {}
            Came::OtherwiseOrNot => return Err(("I-16", told)),
        }
        let sum: u64 = boxes.iter().map(|it| it.held).sum();
        self.boxes.insert(customer.clone(), boxes);
        if sum == new.balance { Ok(()) } else { Err(("I-16", format!("{told}, and it should be {sum}"))) }
    }
}

/// By what a balance changed.
#[derive(Debug)]
pub(crate) enum Came {
    Granted(PaymentId),
    Reset,
    /// It went, or came back.
    WithTheMoney,
    Consumed {
        tokens: NonZeroU32,
        id: ConsumptionId,
    },
    OtherwiseOrNot,
}

/// Under which key each consumption was asked for, and what was told of it first.
pub(crate) type ToldConsumed = std::collections::BTreeMap<(CustomerId, IdempotencyKey), Consumption>;
