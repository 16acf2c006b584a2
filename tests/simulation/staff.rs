//! What somebody of the SaaS does to customers' subscriptions, at any time: periods end otherwise, tokens are filled up,
//! something is given, and what ran elsewhere goes on here.

use crate::faults::{DAY, HOUR, SECOND};
use crate::jobs::Job;
use crate::world::{Happening, State, instant};
use billing::calendar::{Interval, Period};
use billing::discount::Discount;
use billing::id::{CustomerId, PlanId};
use billing::mail::Contact;
use billing::money::Currency;
use billing::ports::Record;
use billing::subscription::{Command, Intervention};
use billing::testing::{idempotency_key, method};
use billing::wallet::Method;
use billing::workflow::{Subscribe, TakeOver};
use std::num::NonZeroU16;

impl State {
    /// Sometimes asked for twice, under one key or two.
    pub(crate) fn intervene(&mut self, customer: &CustomerId, number: usize, start: i64, end: i64) {
        let time = self.rng.within(start, end);
        let to = self.rng.one_of(&[-DAY, SECOND, 5 * HOUR, 3 * DAY, 12 * DAY, 40 * DAY]);
        let days = self.rng.one_of(&[1, 1, 6, 30]);
        let notice_days = NonZeroU16::MIN.saturating_add(self.rng.one_of(&[0, 4, 29]));
        let told = self.rng.chance(300);
        let intervention = self.rng.one_of(&[
            Intervention::Extend { days },
            Intervention::ChangeDates { end: instant(time + to) },
            Intervention::ResetTokens,
            Intervention::Comp { percent: 100, periods: Some(2) },
            Intervention::Comp { percent: 50, periods: None },
            Intervention::ChangePrice { notice_days, told },
            Intervention::ChangePrice { notice_days, told },
            Intervention::KeepPrice,
        ]);
        if let Intervention::Comp { percent, periods } = intervention {
            self.offered.insert((customer.clone(), percent, periods));
        }
        for n in 0..if self.rng.chance(self.faults.customers.impatience) { 2 } else { 1 } {
            let key = if self.rng.chance(500) { format!("staff.{number}") } else { format!("staff.{number}.{n}") };
            let (customer, key) = (customer.clone(), idempotency_key(&key));
            let (time, intervention) = (time + self.rng.within(0, 2 * SECOND), intervention.clone());
            self.at(time, Happening::Start(Job::Intervene { customer, intervention, key }));
        }
    }

    /// Some time the plans cost something else.
    pub(crate) fn price(&mut self, start: i64, end: i64) {
        for _ in 0..self.rng.one_of(&[0, 1, 2]) {
            let time = self.rng.within(start, end);
            self.at(time, Happening::PricesRise);
        }
    }

    pub(crate) fn raise_prices(&mut self) {
        for record in self.records.values_mut() {
            let Record::Plan(stored) = record else { continue };
            (stored.plan.version, stored.revision) = (stored.plan.version + 1, stored.revision + 1);
            for price in &mut stored.plan.prices {
                price.amount.minor += price.amount.minor / 10;
            }
        }
    }

    /// With a card or without, vouched for or not; the same row sometimes comes again, at once or much later.
    pub(crate) fn take_over(&mut self, customer: &CustomerId, start: i64, end: i64) {
        let time = self.rng.within(start, end);
        let plan = self.rng.one_of(&["estates-starter", "estates-professional"]);
        let (Ok(plan), Some(currency)) = (PlanId::try_from(plan.to_owned()), Currency::from_code("NGN")) else {
            return;
        };
        let began = time - self.rng.one_of(&[0, HOUR, 9 * DAY]);
        let ends = time + self.rng.one_of(&[HOUR, 2 * DAY, 20 * DAY]);
        let period = Period { start: instant(began), end: instant(ends) };
        let (paid, card) = (self.rng.one_of(&[0, 0, 90_000, 300_000]), self.rng.chance(600));
        let email = format!("billing@{customer}.example");
        let contact = Contact { email, gateway: self.some_gateway(), return_url: None };
        let wanted = TakeOver {
            customer: customer.clone(),
            contact: Some(contact),
            plan,
            interval: Interval::Month,
            currency,
            quantity: None,
            period,
            anchor: None,
            paid,
            tokens: None,
            method: card.then(|| Method {
                payer: format!("billing@{customer}.example"),
                ..method(&format!("AUTH_{customer}_elsewhere"))
            }),
            time_zone: self.named_home(customer),
            fingerprint: format!("{customer} {period:?} {paid} {card}"),
        };
        let later = self.rng.within(0, 30 * DAY);
        let again = self.rng.one_of(&[SECOND, later]);
        // Once more before the period is over: they may have left by then, and have ordered something else.
        let mut aside = self.rng.aside();
        let once_more = aside.chance(700).then(|| aside.within(0, (ends - time).max(0)));
        if let Some(later) = once_more.filter(|_| aside.chance(400)) {
            self.was_here_for_a_while(&wanted, time, later / 4);
        }
        for time in [Some(0), Some(again), once_more].into_iter().flatten().map(|later| time + later) {
            let wanted = Box::new(wanted.clone());
            self.at(time, Happening::Start(Job::TakeOver { wanted, tries: 0 }));
        }
    }

    /// Who was taken over at `time` leaves, is given something else, and leaves that too: a `step` between each.
    fn was_here_for_a_while(&mut self, wanted: &TakeOver, time: i64, step: i64) {
        let leaves = |number: i64| Job::Request {
            customer: wanted.customer.clone(),
            command: Command::CancelNow,
            shown: None,
            key: idempotency_key(&format!("elsewhere.{number}")),
        };
        self.offered.insert((wanted.customer.clone(), 100, None));
        let given = Subscribe {
            customer: wanted.customer.clone(),
            contact: wanted.contact.clone(),
            plan: wanted.plan.clone(),
            interval: Some(wanted.interval),
            currency: None,
            quantity: None,
            coupon: None,
            comp: Some(Discount::comp(100, None)),
            time_zone: wanted.time_zone.clone(),
            preview: None,
        };
        let begins = Job::Subscribe { wanted: Box::new(given), key: idempotency_key("elsewhere"), tries: 0 };
        for (nth, job) in (1..).zip([leaves(1), begins, leaves(2)]) {
            self.at(time + nth * step, Happening::Start(job));
        }
    }
}
