//! Customers use their tokens up, a few at a time and all at once; and what must hold of a balance, whatever happens
//! meanwhile (I-15, I-16).

use crate::checker::Checked;
use crate::faults::{DAY, HOUR, SECOND};
use crate::jobs::Job;
use crate::world::{Happening, State};
use billing::id::{ConsumptionId, CustomerId, IdempotencyKey};
use billing::ports::{Key, Record};
use billing::testing::idempotency_key;
use billing::token::{Consumption, Tokens};
use billing::workflow::Consume;
use std::num::NonZeroU32;

/// What a customer has, as it would lie in boxes: how many tokens, and into how many more periods they go.
pub(crate) type Boxes = Vec<(u64, Option<u16>)>;

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

    /// Tokens come with a paid period, are consumed under a key or set by whoever may, and end when the next period begins;
    /// and no other way.
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
                boxes.sort_by_key(|(_, left)| left.map_or(u32::MAX, u32::from));
                for (held, _) in &mut boxes {
                    let taken = missing.min(*held);
                    (*held, missing) = (*held - taken, missing - taken);
                }
                if missing > 0 {
                    return Err(("I-15", format!("{told}: {missing} are missing")));
                }
            }
            Came::Reset => boxes = vec![(included, rollover)],
            Came::Granted => {
                if boxes.iter().any(|(held, left)| *held > 0 && *left == Some(0)) {
                    self.happened.insert("tokens ended");
                }
                boxes.retain(|(_, left)| *left != Some(0));
                boxes.iter_mut().for_each(|(_, left)| *left = left.map(|left| left - 1));
                boxes.extend((included > 0).then_some((included, rollover)));
            }
            Came::OtherwiseOrNot => return Err(("I-16", told)),
        }
        let sum: u64 = boxes.iter().map(|(held, _)| held).sum();
        self.boxes.insert(customer.clone(), boxes);
        if sum == new.balance { Ok(()) } else { Err(("I-16", format!("{told}, and it should be {sum}"))) }
    }
}

/// By what a balance changed.
#[derive(Debug)]
pub(crate) enum Came {
    Granted,
    Reset,
    Consumed { tokens: NonZeroU32, id: ConsumptionId },
    OtherwiseOrNot,
}

/// Under which key each consumption was asked for, and what was told of it first.
pub(crate) type ToldConsumed = std::collections::BTreeMap<(CustomerId, IdempotencyKey), Consumption>;
