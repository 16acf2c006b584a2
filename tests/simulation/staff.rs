//! What somebody of the SaaS does to customers' subscriptions, at any time: periods end otherwise, tokens are filled up.

use crate::faults::{DAY, HOUR, SECOND};
use crate::jobs::Job;
use crate::world::{Happening, State, instant};
use billing::id::CustomerId;
use billing::subscription::Intervention;
use billing::testing::idempotency_key;

impl State {
    /// Sometimes asked for twice, under one key or two.
    pub(crate) fn intervene(&mut self, customer: &CustomerId, number: usize, start: i64, end: i64) {
        let time = self.rng.within(start, end);
        let to = self.rng.one_of(&[-DAY, SECOND, 5 * HOUR, 3 * DAY, 12 * DAY, 40 * DAY]);
        let days = self.rng.one_of(&[1, 1, 6, 30]);
        let intervention = self.rng.one_of(&[
            Intervention::Extend { days },
            Intervention::ChangeDates { end: instant(time + to) },
            Intervention::ResetTokens,
        ]);
        for n in 0..if self.rng.chance(self.faults.customers.impatience) { 2 } else { 1 } {
            let key = if self.rng.chance(500) { format!("staff.{number}") } else { format!("staff.{number}.{n}") };
            let (customer, key) = (customer.clone(), idempotency_key(&key));
            let time = time + self.rng.within(0, 2 * SECOND);
            self.at(time, Happening::Start(Job::Intervene { customer, intervention, key }));
        }
    }
}
