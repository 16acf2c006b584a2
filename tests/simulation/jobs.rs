//! What processes are started for: one invocation of one of the functions.

use crate::faults::{DAY, HOUR, MINUTE, SECOND};
use crate::ports::Port;
use crate::world::{Errand, Happening, State};
use billing::calendar::Interval;
use billing::delivery::Notice;
use billing::id::{CustomerId, IdempotencyKey, PaymentId, PlanId};
use billing::money::Currency;
use billing::payment::{CheckoutMethod, Gateway, Payment, PaymentStatus};
use billing::ports::{Record, StoreError, Wanted};
use billing::subscription::{Command, Subscription};
use billing::workflow::{Billing, Checkout, CheckoutError, RequestError, SweepError, VerifyError, WakeError};
use std::future::Future;
use std::pin::Pin;

#[derive(Clone, Debug)]
pub(crate) enum Job {
    Sweep,
    Wake { wanted: Wanted, received: u32 },
    Webhook { notice: Notice, tries: u32 },
    Checkout { request: Box<Checkout>, tries: u32 },
    Verify { customer: CustomerId, payment: PaymentId },
    Request { customer: CustomerId, command: Command },
}

#[derive(Debug)]
pub(crate) enum Done {
    Swept(Result<usize, SweepError>),
    Woken(Result<(), WakeError>),
    Received(Result<(), StoreError>),
    Ordered(Result<Box<Payment>, CheckoutError>),
    Verified(Result<Box<(Payment, Subscription)>, VerifyError>),
    Requested(Result<Box<Subscription>, RequestError>),
}

impl Done {
    pub(crate) fn told(&self) -> String {
        match self {
            Self::Swept(it) => format!("{it:?}"),
            Self::Woken(it) => format!("{it:?}"),
            Self::Received(it) => format!("{it:?}"),
            Self::Ordered(it) => format!("{:?}", it.as_ref().map(|it| (&it.id, &it.status))),
            Self::Verified(it) => format!("{:?}", it.as_ref().map(|it| (&it.0.id, &it.0.status, &it.1.status))),
            Self::Requested(it) => format!("{:?}", it.as_ref().map(|it| &it.status)),
        }
    }
}

impl Job {
    pub(crate) fn future(self, port: Port) -> Pin<Box<dyn Future<Output = Done>>> {
        let billing = Billing::new(port.clone(), port.clone(), port.clone());
        match self {
            Self::Sweep => Box::pin(async move { Done::Swept(billing.sweep(&port).await) }),
            Self::Wake { wanted, .. } => Box::pin(async move { Done::Woken(billing.wake(wanted).await) }),
            Self::Webhook { notice, .. } => Box::pin(async move { Done::Received(billing.receive(notice).await) }),
            Self::Checkout { request, .. } => {
                Box::pin(async move { Done::Ordered(billing.checkout(*request).await.map(Box::new)) })
            }
            Self::Verify { customer, payment } => {
                Box::pin(async move { Done::Verified(billing.verify(&customer, &payment).await.map(Box::new)) })
            }
            Self::Request { customer, command } => {
                Box::pin(async move { Done::Requested(billing.request(&customer, command).await.map(Box::new)) })
            }
        }
    }

    /// Whether asking once more, under the same key, may be answered otherwise.
    pub(crate) fn may_help(error: &CheckoutError) -> bool {
        match error {
            CheckoutError::InProgress | CheckoutError::Gateway(_) | CheckoutError::Store(_) => true,
            CheckoutError::NoSuchPlan(_)
            | CheckoutError::NoSuchPrice { .. }
            | CheckoutError::Refused(_)
            | CheckoutError::KeyReused => false,
        }
    }
}

impl State {
    /// Gives each customer something to do between `start` and `end`.
    pub(crate) fn cast(&mut self, start: i64, end: i64) {
        let names = ["acme", "globex", "initech"];
        for name in &names[..usize::try_from(self.rng.within(1, 3)).unwrap_or(1)] {
            let Ok(customer) = CustomerId::try_from((*name).to_owned()) else { continue };
            let mut time = start + self.rng.within(0, 2 * HOUR);
            for order in 0..self.rng.within(1, 4) {
                self.order(&customer, order, time);
                let any_time = self.rng.within(time, end.max(time));
                time = self.rng.one_of(&[time + MINUTE, time + 5 * HOUR, time + 2 * DAY, any_time]);
            }
            for _ in 0..self.faults.customers.commands {
                let command = self.rng.one_of(&[Command::CancelNow, Command::CancelAtPeriodEnd, Command::Resume]);
                let time = self.rng.within(start, end);
                self.at(time, Happening::Start(Job::Request { customer: customer.clone(), command }));
            }
        }
    }

    fn order(&mut self, customer: &CustomerId, number: i64, time: i64) {
        let (plan, interval, currency) = self.rng.one_of(&[
            ("estates-starter", Interval::Month, "NGN"),
            ("estates-professional", Interval::Month, "NGN"),
            ("estates-professional", Interval::Days(7), "NGN"),
            ("tokens-basic", Interval::Days(30), "USD"),
            ("tokens-once", Interval::Days(10), "USD"),
        ]);
        let gateway = self.rng.one_of(&Gateway::ALL);
        let request = |key: String, plan: &str, quantity| -> Option<Checkout> {
            Some(Checkout {
                customer: customer.clone(),
                email: None,
                plan: PlanId::try_from(plan.to_owned()).ok()?,
                interval,
                currency: Currency::from_code(currency)?,
                quantity,
                gateway,
                method: CheckoutMethod::Checkout,
                return_url: None,
                key: IdempotencyKey::try_from(key).ok()?,
                fingerprint: format!("{plan} {interval} {gateway:?}"),
            })
        };
        let times = if self.rng.chance(self.faults.customers.impatience) { 3 } else { 1 };
        for n in 0..times {
            let key = if self.rng.chance(500) { format!("{number}") } else { format!("{number}.{n}") };
            let Some(request) = request(key, plan, 1) else { continue };
            let time = time + self.rng.within(0, 2 * SECOND);
            self.at(time, Happening::Start(Job::Checkout { request: Box::new(request), tries: 0 }));
        }
    }

    /// A page was opened for the customer: they pay, or not.
    pub(crate) fn ordered(&mut self, request: &Checkout, payment: Payment) {
        let asked = (request.customer.clone(), request.key.clone());
        let first = self.ordered.entry(asked).or_insert_with(|| payment.id.clone()).clone();
        if first != payment.id {
            self.breach("I-19", format!("{} made {first} and {}", request.key.as_str(), payment.id));
        }
        let Some(charge) = self.books.get_mut(&payment.reference) else { return };
        let known = std::mem::replace(&mut charge.told_where, true);
        if known || payment.opened().is_none() || !matches!(payment.status, PaymentStatus::Pending { .. }) {
            return;
        }
        let reference = payment.reference.clone();
        let paying = self.rng.one_of(&[MINUTE, 20 * MINUTE, 23 * HOUR, 30 * HOUR]);
        let paying = self.rng.within(MINUTE / 2, paying);
        if self.rng.chance(200) {
            let visit = Happening::Visit { reference: reference.clone(), pays: false };
            self.after(MINUTE / 4, paying, visit);
        }
        if !self.rng.chance(self.faults.customers.walks_away) {
            self.after(paying, paying, Happening::Visit { reference, pays: true });
        }
    }

    /// The moments in which paths cross: what else happens as a charge is made.
    pub(crate) fn race(&mut self, payment: &Payment) {
        if !self.rng.chance(self.faults.races) {
            return;
        }
        let (customer, id) = (payment.customer.clone(), payment.id.clone());
        let job = match self.rng.below(4) {
            0 => {
                // Gone, and perhaps back before the last charge is told of.
                if self.rng.chance(500) {
                    let wait = self.rng.one_of(&[MINUTE, HOUR]);
                    self.order(&customer, 100 + i64::from(payment.id.period), self.now + wait);
                }
                Job::Request { customer, command: Command::CancelNow }
            }
            1 => Job::Request { customer, command: Command::CancelAtPeriodEnd },
            2 => Job::Verify { customer, payment: id },
            _ => Job::Wake { wanted: Wanted::Payment { customer, payment: id }, received: 0 },
        };
        self.after(0, 2 * SECOND, Happening::Start(job));
    }

    /// While a charge is on its way the customer leaves, and where clocks jump, they jump now.
    pub(crate) fn race_on_the_way(&mut self, errand: Errand, payment: &Payment) {
        if errand != Errand::Charge || !self.rng.chance(self.faults.races) {
            return;
        }
        let job = Job::Request { customer: payment.customer.clone(), command: Command::CancelNow };
        self.after(0, 2 * MINUTE, Happening::Start(job));
        if let Some((_, _, by)) = self.faults.jumps.first().copied() {
            self.faults.jumps.push((self.now + MINUTE, self.now + 3 * HOUR, by));
        }
    }

    /// Back from the page, the browser asks, once or twice at once.
    pub(crate) fn come_back(&mut self, payment: &Payment) {
        for _ in 0..self.rng.below(3) {
            let job = Job::Verify { customer: payment.customer.clone(), payment: payment.id.clone() };
            self.after(0, 2 * SECOND, Happening::Start(job));
        }
    }
}

/// What is for sale, as records.
pub(crate) fn catalogue() -> Vec<Record> {
    use billing::catalog::Catalogue;
    use billing::ports::{StoredFamily, StoredPlan};
    let mut records = Vec::new();
    for text in [include_str!("catalogue/estates.json"), include_str!("catalogue/tokens.json")] {
        let catalogue: Catalogue = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(catalogue.problems(), []);
        let (family, plans) = catalogue.into_plans();
        records.push(Record::Family(StoredFamily { family, version: 1 }));
        records.extend(plans.into_iter().map(|plan| Record::Plan(StoredPlan { plan, revision: 1 })));
    }
    records
}
