//! In-memory adapters and sample data. The store keeps the same promises as the
//! real one (all or nothing, duplicates and conflicts refused), because it is
//! held to the same contract tests.

mod gateways;
mod store;

use crate::brand::Brand;
use crate::calendar::zone::Zone;
use crate::calendar::{Interval, Period};
use crate::catalog::{Catalogue, Family, Plan};
use crate::driven::{Seen, Standing};
use crate::id::{CustomerId, IdempotencyKey, Invalid, MeterId};
use crate::mail::Mail;
use crate::payment::{CHECKOUT_STAYS_OPEN, CheckoutMethod, Gateway, Holder, Page, Payer, Payment};
use crate::ports::{Clock, Key, MailError, Mailer, Queue, QueueError, Store, StoreError, TestClock, Wanted};
use crate::subscription::{Event, Order, Subscription};
use crate::wallet::{Card, Expiry, Instrument, Method};
use crate::workflow::{Billing, Checkout};
use crate::{money::Currency, ports::Lane};
use futures::executor::block_on;
use jiff::Timestamp;
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

pub use gateways::{Charge, ChargeStatus, FakeGateways, Fate, Script};
pub use store::{MemoryStore, made_of_all};

pub type World = Billing<MemoryStore, FakeGateways, FixedClock>;

/// The catalogues that ship, and nobody subscribed yet, on 31 January 2025.
pub fn world() -> World {
    let clock = FixedClock::at(instant("2025-01-31T10:00:00Z"));
    let world = Billing::new(MemoryStore::default(), FakeGateways::default(), clock);
    for name in ["estates", "minutes", "tokens", "crm"] {
        if let Err(error) = block_on(world.load(catalogue(name))) {
            panic!("{name}: {error}");
        }
    }
    world
}

impl World {
    pub fn key(&self, key: Key) -> crate::ports::Found {
        block_on(self.store.get(vec![key])).unwrap_or_else(|error| panic!("{error}"))
    }

    pub fn subscription(&self) -> Subscription {
        let found = self.key(Key::Subscription(customer())).subscription();
        found.unwrap_or_else(|| panic!("nobody subscribed"))
    }

    pub fn payment_of(&self, payment: &Payment) -> Payment {
        let found = self.key(Key::Payment(payment.customer.clone(), payment.id.clone())).payment();
        found.unwrap_or_else(|| panic!("{} is not stored", payment.id))
    }

    /// Sweeps, and works off what the sweep enqueued, until nothing is due.
    pub fn run(&self) {
        self.run_mailing(&MemoryMailer::default());
    }

    pub fn run_mailing(&self, mailer: &MemoryMailer) {
        let queue = MemoryQueue::default();
        for _ in 0..100 {
            block_on(self.sweep(&queue, || true)).unwrap_or_else(|error| panic!("{error}"));
            let wanted = queue.take();
            if wanted.is_empty() {
                return;
            }
            for wanted in wanted {
                if let Wanted::Mail { mail } = wanted {
                    drop(block_on(self.send_mail(&mail, mailer)));
                } else {
                    block_on(self.wake(wanted)).unwrap_or_else(|error| panic!("{error}"));
                }
            }
        }
        panic!("something stays due for ever");
    }
}

pub fn instant(text: &str) -> Timestamp {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

pub fn zone(name: &str) -> Zone {
    Zone::try_from(name.to_owned()).unwrap_or_else(|error| panic!("{error}"))
}

pub fn customer() -> CustomerId {
    CustomerId::try_from("acme".to_owned()).unwrap_or_else(|error| panic!("{error}"))
}

pub fn meter(name: &str) -> MeterId {
    MeterId::try_from(name.to_owned()).unwrap_or_else(|error| panic!("{error}"))
}

pub fn catalogue(family: &str) -> Catalogue {
    let text = match family {
        "estates" => include_str!("../../../catalogue/estates.json"),
        "minutes" => include_str!("../../../catalogue/minutes.json"),
        "tokens" => include_str!("../../../catalogue/tokens.json"),
        "crm" => include_str!("../../../catalogue/crm.json"),
        other => panic!("no catalogue {other}"),
    };
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{family}: {error}"))
}

pub fn family(name: &str) -> Family {
    catalogue(name).family
}

pub fn plan(id: &str) -> Plan {
    let family = id.split_once('-').map_or(id, |(family, _)| family);
    let plan = catalogue(family).into_plans().1.into_iter().find(|plan| plan.id.as_str() == id);
    plan.unwrap_or_else(|| panic!("no plan {id}"))
}

/// One of a plan, at its first price.
pub fn order(id: &str) -> Order {
    let plan = plan(id);
    Order { price: plan.prices[0].clone(), plan, quantity: 1, addons: vec![], discount: None }
}

pub fn method(token: &str) -> Method {
    method_at(Gateway::Paystack, token)
}

pub fn method_at(gateway: Gateway, token: &str) -> Method {
    let expires = Expiry::new(2030, 4);
    let card = Card { brand: "visa".to_owned(), last4: "4081".to_owned(), expires, fingerprint: None };
    let payer = "billing@acme.example".to_owned();
    Method { gateway, token: token.to_owned(), payer, instrument: Instrument::Card(card) }
}

/// A subscription to `plan` that Stripe drives, in the period that began on 31 January 2025.
pub fn seen(plan: &str) -> Seen {
    let order = order(plan);
    Seen {
        id: "sub_1".to_owned(),
        payer: "cus_1".to_owned(),
        standing: Standing::Running { ends_with_period: false },
        period: Period { start: instant("2025-01-31T10:00:00Z"), end: instant("2025-02-28T10:00:00Z") },
        price_id: "price_1".to_owned(),
        plan: Some(order.plan.id),
        price: Some(order.price),
        quantity: 1,
        attempts: 0,
        decline: None,
        method: Some(method_at(Gateway::Stripe, "pm_1")),
    }
}

pub fn incomplete() -> Subscription {
    let now = instant("2025-01-31T10:00:00Z");
    let ordered = Subscription::ordering(None, &customer(), order("estates-professional"), now);
    ordered.unwrap_or_else(|refusal| panic!("{refusal}"))
}

/// A monthly subscription that was paid on 31 January 2025.
pub fn active() -> Subscription {
    let (waiting, payment) = checkout_of(incomplete());
    let order = Box::new(waiting.order.clone());
    waiting.apply(&Event::Activated { payment: payment.id, order, at: instant("2025-01-31T10:00:00Z"), paid: None })
}

pub fn checkout_payment() -> Payment {
    checkout_of(incomplete()).1
}

pub fn off_session_payment() -> Payment {
    let now = instant("2025-02-28T10:00:00Z");
    active().charging(method("AUTH_1"), now).unwrap_or_else(|refusal| panic!("{refusal}")).1
}

fn checkout_of(subscription: Subscription) -> (Subscription, Payment) {
    let now = instant("2025-01-31T10:00:00Z");
    subscription.checkout(page(Gateway::Paystack), now).unwrap_or_else(|refusal| panic!("{refusal}"))
}

/// In whose name a virtual account is opened.
pub fn holder() -> Holder {
    fn text<T: TryFrom<String, Error = Invalid>>(text: &str) -> T {
        T::try_from(text.to_owned()).unwrap_or_else(|error| panic!("{text}: {error}"))
    }
    Holder { first_name: text("Ada"), last_name: text("Lovelace"), phone: text("+2348012345678"), bank: None }
}

pub fn page(gateway: Gateway) -> Page {
    let payer = Payer { email: Some("billing@acme.example".to_owned()), known_as: None, holder: None };
    let (method, return_url) = (CheckoutMethod::Checkout, None);
    Page { gateway, payer, method, return_url, stays_open: CHECKOUT_STAYS_OPEN }
}

pub fn idempotency_key(text: &str) -> IdempotencyKey {
    IdempotencyKey::try_from(text.to_owned()).unwrap_or_else(|error| panic!("{error}"))
}

/// A request of the sample customer to buy `plan` by the month in NGN.
pub fn request(plan: &str, key: &str) -> Checkout {
    Checkout {
        customer: customer(),
        email: Some("billing@acme.example".to_owned()),
        plan: plan.to_owned().try_into().unwrap_or_else(|error| panic!("{plan}: {error}")),
        interval: Interval::Month,
        currency: Currency::from_code("NGN").unwrap_or_else(|| panic!("NGN")),
        quantity: 1,
        coupon: None,
        time_zone: None,
        gateway: Gateway::Paystack,
        method: CheckoutMethod::Checkout,
        return_url: None,
        holder: None,
        key: idempotency_key(key),
        fingerprint: format!("{plan} 1"),
    }
}

/// Stands still until it is moved.
#[derive(Debug)]
pub struct FixedClock(AtomicI64);

impl FixedClock {
    pub fn at(now: Timestamp) -> Self {
        Self(AtomicI64::new(now.as_second()))
    }

    pub fn set(&self, now: Timestamp) {
        self.0.store(now.as_second(), Ordering::Relaxed);
    }

    pub fn time(&self) -> Timestamp {
        Timestamp::from_second(self.0.load(Ordering::Relaxed)).unwrap_or(Timestamp::MAX)
    }
}

impl Clock for FixedClock {
    async fn now(&self, _: Option<&CustomerId>) -> Result<Timestamp, StoreError> {
        Ok(self.time())
    }
}

/// What a record says, as on a test stack, while the world stands still.
#[derive(Clone, Debug)]
pub struct RecordedClock {
    pub store: MemoryStore,
    pub world: Timestamp,
}

impl RecordedClock {
    async fn read(&self) -> Result<TestClock, StoreError> {
        Ok(self.store.get(vec![Key::TestClock]).await?.test_clock().unwrap_or_default())
    }
}

impl Clock for RecordedClock {
    async fn now(&self, customer: Option<&CustomerId>) -> Result<Timestamp, StoreError> {
        Ok(self.read().await?.now(customer, self.world))
    }

    async fn ahead(&self) -> Result<BTreeMap<CustomerId, Timestamp>, StoreError> {
        Ok(self.read().await?.ahead(self.world))
    }
}

/// Keeps what was sent until it is taken.
#[derive(Debug, Default)]
pub struct MemoryQueue(Mutex<Vec<Wanted>>);

impl MemoryQueue {
    pub fn take(&self) -> Vec<Wanted> {
        std::mem::take(&mut *lock(&self.0))
    }
}

impl Queue for MemoryQueue {
    async fn send(&self, _: Lane, wanted: &[Wanted]) -> Result<(), QueueError> {
        lock(&self.0).extend_from_slice(wanted);
        Ok(())
    }
}

/// `id`, with a logo, black on yellow, that has never been kept.
pub fn brand(id: &str) -> Brand {
    let text = format!(
        r##"{{"id": "{id}", "name": "Acme Telecom", "logo": "https://cdn.acme.example/logo.png",
            "colours": {{"primary": "#ffcc00", "background": "#fafafa"}},
            "sender": {{"name": "Acme Billing", "reply_to": "help@acme.example"}}, "version": 0}}"##
    );
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{id}: {error}"))
}

/// An inbox that can be told not to take the next mails.
#[derive(Debug, Default)]
pub struct MemoryMailer {
    taken: Mutex<Vec<(Mail, Option<Brand>)>>,
    errors: Mutex<VecDeque<MailError>>,
}

impl MemoryMailer {
    pub fn next(&self, error: MailError) {
        lock(&self.errors).push_back(error);
    }

    pub fn take(&self) -> Vec<Mail> {
        self.take_branded().into_iter().map(|(mail, _)| mail).collect()
    }

    /// Each with the brand under whose name it came.
    pub fn take_branded(&self) -> Vec<(Mail, Option<Brand>)> {
        std::mem::take(&mut *lock(&self.taken))
    }
}

impl Mailer for MemoryMailer {
    async fn send(&self, mail: &Mail, brand: Option<&Brand>) -> Result<(), MailError> {
        if let Some(error) = lock(&self.errors).pop_front() {
            return Err(error);
        }
        lock(&self.taken).push((mail.clone(), brand.cloned()));
        Ok(())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
