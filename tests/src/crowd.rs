//! A *crowd*: many subscribers on the embedded DynamoDB, of whom some owe a new
//! period and any number do not yet, and what a month of those who do costs.

use crate::embedded::Embedded;
use crate::spent::Spent;
use billing::delivery::{DeliveryId, Notice};
use billing::id::{CustomerId, PaymentId, SubscriptionId};
use billing::payment::Gateway;
use billing::ports::{Record, Store, Wanted};
use billing::subscription::{Event, Order, Subscription};
use billing::testing::{FakeGateways, FixedClock, MemoryQueue, instant, method, order};
use billing::wallet::Wallet;
use billing::workflow::Billing;
use jiff::{SignedDuration, Timestamp};
use platform::dynamodb::Table;
use std::time::{Duration, Instant};

const PLAN: &str = "estates-professional";

/// How many records are imported at once.
const AT_ONCE: u32 = 1_000;

#[derive(Debug)]
pub struct Crowd {
    embedded: Embedded,
    billing: Billing<Table, FakeGateways, FixedClock>,
    order: Order,
}

/// What a month of those who owed one cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Costs {
    /// A sweep that finds nothing.
    pub idle: Spent,
    /// The sweep that finds all of them.
    pub sweep: Spent,
    pub renewals: Spent,
    /// That the gateway tells of the charges.
    pub webhooks: Spent,
    /// The sweep that finds their payments, a day later.
    pub sweep_for_looks: Spent,
    /// That it is looked what became of each payment, once.
    pub looks: Spent,
}

#[derive(Clone, Copy, Debug)]
pub struct Month {
    pub spent: Costs,
    /// The time that one worker took for the renewals.
    pub took: Duration,
}

impl Crowd {
    /// So many who paid in the last three weeks, and owe nothing yet.
    pub async fn gather(others: u32) -> Self {
        let embedded = Embedded::new();
        let billing = Billing::new(embedded.table(), FakeGateways::default(), FixedClock::at(now()));
        let crowd = Self { embedded, billing, order: order(PLAN) };
        let member = |n| {
            let ago = SignedDuration::from_secs(i64::from(n) * 7_919 % (21 * 86_400));
            Record::Subscription(crowd.subscribed(&named("other", n), now() - ago))
        };
        for first in (0..others).step_by(AT_ONCE as usize) {
            let last = others.min(first + AT_ONCE);
            crowd.embedded.import((first..last).map(member).collect()).await;
        }
        crowd
    }

    /// So many more owe a new period; they are charged, and everything that follows happens.
    ///
    /// Once for each crowd: the engine remembers every transaction of ten
    /// minutes, as DynamoDB does, and grows slower by it, as DynamoDB does not.
    pub async fn month(self, renewals: u32) -> Month {
        let names: Vec<CustomerId> = (0..renewals).map(|n| named("owing", n)).collect();
        let (idle, _) = self.sweep().await;

        let a_month_ago = instant("2025-01-31T10:00:00Z");
        let records = names.iter().flat_map(|of| {
            let wallet = Wallet { version: 1, ..Wallet::empty(of.clone()) }.remembering(method("AUTH_1"));
            [Record::Subscription(self.subscribed(of, a_month_ago)), Record::Wallet(wallet.expect("a wallet"))]
        });
        self.embedded.import(records.collect()).await;

        let (sweep, wanted) = self.sweep().await;
        let before = Instant::now();
        let spent = self.wake(wanted, names.len()).await;
        let took = before.elapsed();

        let webhooks = self.hear(&names).await;
        self.billing.clock.set(now() + SignedDuration::from_hours(24));
        let (sweep_for_looks, wanted) = self.sweep().await;
        let looks = self.wake(wanted, names.len()).await;
        assert_eq!(self.billing.gateways.taken(), names.len(), "each was charged once");
        Month { spent: Costs { idle, sweep, renewals: spent, webhooks, sweep_for_looks, looks }, took }
    }

    /// Whoever paid for their first month then.
    fn subscribed(&self, of: &CustomerId, at: Timestamp) -> Subscription {
        let payment = PaymentId { subscription: SubscriptionId::nth(of, 1), period: 0, attempt: 1 };
        let ordered = Subscription::ordering(None, of, self.order.clone(), at).expect("an order");
        let event = Event::Activated { payment, order: Box::new(self.order.clone()), at, paid: None };
        Subscription { version: 1, ..ordered }.apply(&event)
    }

    async fn sweep(&self) -> (Spent, Vec<Wanted>) {
        let queue = MemoryQueue::default();
        self.billing.sweep(&queue, || true).await.expect("swept");
        (self.embedded.spent(), queue.take())
    }

    async fn wake(&self, wanted: Vec<Wanted>, expected: usize) -> Spent {
        assert_eq!(wanted.len(), expected, "those who owe something, and no other");
        for wanted in wanted {
            self.billing.wake(wanted).await.expect("done");
        }
        self.embedded.spent()
    }

    async fn hear(&self, of: &[CustomerId]) -> Spent {
        let mut references = vec![];
        for customer in of {
            let payments = self.billing.store.payments(customer, None, 1).await.expect("an answer");
            references.extend(payments.into_iter().map(|payment| payment.reference));
        }
        self.embedded.spent();
        for reference in references {
            let notice = Notice {
                id: DeliveryId { gateway: Gateway::Paystack, event: format!("charge.success {reference}") },
                kind: "charge.success".to_owned(),
                reference: Some(reference),
                object: None,
                body: "{}".to_owned(),
            };
            self.billing.receive(notice).await.expect("taken in");
        }
        self.embedded.spent()
    }
}

fn now() -> Timestamp {
    instant("2025-02-28T10:00:00Z")
}

/// All names are of one length, so that records of one kind are of one size.
fn named(kind: &str, n: u32) -> CustomerId {
    CustomerId::try_from(format!("{kind}-{n:08}")).expect("a name")
}
