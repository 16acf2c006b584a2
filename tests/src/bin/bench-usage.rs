//! What it costs to consume tokens and to report what is counted, and how many a second one core takes: make bench-usage

#![allow(clippy::expect_used, reason = "a benchmark that cannot go on has nothing to tell")]

use billing::brand::Brand;
use billing::id::{ConsumptionId, CustomerId, IdempotencyKey, PaymentId, UsageId};
use billing::payment::Payment;
use billing::ports::{Found, Key, Lane, Record, Store, StoreError, Wanted, Write};
use billing::statistics::DayUsage;
use billing::testing::{FakeGateways, FixedClock, catalogue, customer, instant, meter, plan, request};
use billing::token::{Consumption, Tokens};
use billing::usage::UsageRecord;
use billing::workflow::{Billing, Checkout, Consume, Use};
use futures::future::join_all;
use jiff::Timestamp;
use jiff::civil::Date;
use platform::dynamodb::Table;
use std::collections::BTreeSet;
use std::num::{NonZeroU32, NonZeroU64};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use tests::embedded::Embedded;
use tests::spent::Spent;

const CALLS: u32 = 2_000;

/// The most that one request reports.
const BATCH: u32 = 500;

/// How many report of one meter at the same time, how much each, and how often one of them asks again.
const TOGETHER: u32 = 16;
const EACH: u32 = 100;
const MOST_TRIES: u32 = 1_000;

/// How long a transaction takes: about as long as one of DynamoDB's.
const IN_FLIGHT: Duration = Duration::from_millis(10);

type Shop = Billing<Table, FakeGateways, FixedClock>;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    println!("{CALLS} of each, of one customer, one after the other. Units of capacity and requests for each:\n");
    println!("                          |  reads  writes   r. u.    w. u.  | a second");
    let embedded = Embedded::new();
    let shop = subscribed(&embedded, "tokens-pro").await;
    fill_up(&shop).await;
    embedded.spent();
    let begun = Instant::now();
    for n in 0..CALLS {
        shop.consume(&one_token(n)).await.expect("consumed");
    }
    tell("consume tokens", &embedded.spent(), begun.elapsed());

    let embedded = Embedded::new();
    let shop = subscribed(&embedded, "minutes-enterprise").await;
    embedded.spent();
    let begun = Instant::now();
    for n in 0..CALLS {
        let answers = shop.report(&customer(), &[one_minute(n)]).await.expect("an answer");
        assert!(answers.iter().all(Result::is_ok));
    }
    tell("report a use", &embedded.spent(), begun.elapsed());
    let begun = Instant::now();
    for batch in 1..=CALLS / BATCH {
        let uses: Vec<Use> = (0..BATCH).map(|n| one_minute(batch * CALLS + n)).collect();
        let answers = shop.report(&customer(), &uses).await.expect("an answer");
        assert!(answers.iter().all(Result::is_ok));
    }
    tell("a use of five hundred", &embedded.spent(), begun.elapsed());
    println!(
        "\n{TOGETHER} report uses of one customer's minutes, {EACH} each, one after the other, where a transaction takes"
    );
    println!("{IN_FLIGHT:?} and DynamoDB refuses what touches an item that is in another transaction just then:\n");
    println!("     kept in |  uses a second  refused  asked again");
    for shards in [None, Some(2), Some(4), Some(8)] {
        together(shards).await;
    }
}

/// Many report of one meter at once: how many a second are counted where it is kept in so many places.
async fn together(shards: Option<u8>) {
    let embedded = Embedded::new();
    let clock = FixedClock::at(instant("2025-01-31T10:00:00Z"));
    let shop = subscribed(&embedded, "minutes-enterprise").await;
    let mut plans = catalogue("minutes");
    for it in plans.family.meters.iter_mut().filter(|it| it.id == meter("minutes")) {
        it.shards = shards.map(|count| count.try_into().expect("shards"));
    }
    shop.load(plans).await.expect("loaded");
    let contended = Contended { table: embedded.table(), in_flight: Mutex::default(), refused: AtomicU32::new(0) };
    let shop = Billing::new(&contended, FakeGateways::default(), clock);
    let asked_again = AtomicU32::new(0);
    let begun = Instant::now();
    let reporting = (0..TOGETHER).map(|who| {
        let (shop, asked_again) = (&shop, &asked_again);
        async move {
            for n in 0..EACH {
                let wanted = [one_minute(who * EACH + n)];
                // Whoever hears that others were faster asks again, a little later each time.
                for tries in 1..=MOST_TRIES {
                    match shop.report(&customer(), &wanted).await {
                        Ok(answers) if answers.iter().all(Result::is_ok) => break,
                        Ok(answers) => panic!("{answers:?}"),
                        Err(error) => assert!(tries < MOST_TRIES, "{error}"),
                    }
                    asked_again.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(IN_FLIGHT * (tries + who % 7)).await;
                }
            }
        }
    });
    join_all(reporting).await;
    let took = begun.elapsed();
    let live = shop.lookup(&customer()).await.expect("an answer").expect("a subscription");
    assert_eq!(live.usage.get(&meter("minutes")), Some(&u64::from(TOGETHER * EACH)), "each is counted once");
    println!(
        "{:>12} | {:>14} {:>8} {:>12}",
        shards.map_or("one place".to_owned(), |count| format!("{count} places")),
        u128::from(TOGETHER * EACH) * 1_000 / took.as_millis().max(1),
        contended.refused.load(Ordering::Relaxed),
        asked_again.load(Ordering::Relaxed),
    );
}

/// A table whose transactions take a while, and refuse one another as DynamoDB's do: `TransactionConflict`.
struct Contended {
    table: Table,
    in_flight: Mutex<BTreeSet<Key>>,
    refused: AtomicU32,
}

impl Contended {
    fn keys(&self) -> std::sync::MutexGuard<'_, BTreeSet<Key>> {
        self.in_flight.lock().expect("nobody panics with it")
    }
}

impl Store for &Contended {
    async fn get(&self, keys: Vec<Key>) -> Result<Found, StoreError> {
        self.table.get(keys).await
    }

    async fn live(&self, of: &CustomerId) -> Result<Found, StoreError> {
        self.table.live(of).await
    }

    async fn payments(
        &self,
        of: &CustomerId,
        before: Option<&PaymentId>,
        most: u32,
    ) -> Result<Vec<Payment>, StoreError> {
        self.table.payments(of, before, most).await
    }

    async fn consumptions(
        &self,
        of: &CustomerId,
        before: Option<&ConsumptionId>,
        most: u32,
    ) -> Result<Vec<Consumption>, StoreError> {
        self.table.consumptions(of, before, most).await
    }

    async fn uses(&self, of: &CustomerId, after: Option<&UsageId>, most: u32) -> Result<Vec<UsageRecord>, StoreError> {
        self.table.uses(of, after, most).await
    }

    async fn days(&self, of: &CustomerId, from: Date, to: Date) -> Result<Vec<DayUsage>, StoreError> {
        self.table.days(of, from, to).await
    }

    async fn catalogue(&self) -> Result<Found, StoreError> {
        self.table.catalogue().await
    }

    async fn brands(&self) -> Result<Vec<Brand>, StoreError> {
        self.table.brands().await
    }

    async fn due(&self, lane: Lane, then: Timestamp, most: u32) -> Result<Vec<(Timestamp, Wanted)>, StoreError> {
        self.table.due(lane, then, most).await
    }

    async fn commit(&self, writes: Vec<Write>) -> Result<(), StoreError> {
        let keys: Vec<Key> = writes.iter().map(Write::key).collect();
        if keys.iter().any(|key| self.keys().contains(key)) {
            self.refused.fetch_add(1, Ordering::Relaxed);
            // It is heard as late as any answer.
            tokio::time::sleep(IN_FLIGHT).await;
            return Err(StoreError::Conflict);
        }
        self.keys().extend(keys.iter().cloned());
        tokio::time::sleep(IN_FLIGHT).await;
        let done = self.table.commit(writes).await;
        self.keys().retain(|key| !keys.contains(key));
        if done.is_err() {
            self.refused.fetch_add(1, Ordering::Relaxed);
        }
        done
    }
}

fn tell(what: &str, spent: &Spent, took: Duration) {
    let each = |total: u64, one: u64| {
        let thousandths = total * 1_000 / (one * u64::from(CALLS));
        format!("{}.{:03}", thousandths / 1_000, thousandths % 1_000)
    };
    println!(
        "{what:>25} | {:>6} {:>7} {:>7} {:>8}  | {}",
        each(spent.reads.into(), 1),
        each(spent.writes.into(), 1),
        each(spent.read_halves, 2),
        each(spent.write_halves, 2),
        u128::from(CALLS) * 1_000 / took.as_millis().max(1),
    );
}

/// The sample customer, who has paid for `bought`.
async fn subscribed(embedded: &Embedded, bought: &str) -> Shop {
    let clock = FixedClock::at(instant("2025-01-31T10:00:00Z"));
    let shop = Billing::new(embedded.table(), FakeGateways::default(), clock);
    for family in ["tokens", "minutes"] {
        shop.load(catalogue(family)).await.expect(family);
    }
    let price = plan(bought).prices.remove(0);
    let order =
        Checkout { interval: price.interval, currency: price.amount.currency, ..request(bought, "a-subscription") };
    let payment = shop.checkout(order).await.expect("a checkout");
    shop.gateways.visit(&payment, true);
    shop.verify(&customer(), &payment.id).await.expect("paid");
    shop
}

/// With as many tokens as are needed.
async fn fill_up(shop: &Shop) {
    let held = shop.store.get(vec![Key::Tokens(customer())]).await.expect("an answer").tokens().expect("tokens");
    let held = Tokens { balance: CALLS.into(), ..held };
    shop.store.commit(vec![Write::next(Record::Tokens(held))]).await.expect("filled up");
}

fn one_token(n: u32) -> Consume {
    Consume {
        customer: customer(),
        tokens: NonZeroU32::MIN,
        description: None,
        key: IdempotencyKey::try_from(format!("use-{n}")).expect("a key"),
        fingerprint: "1".to_owned(),
    }
}

fn one_minute(n: u32) -> Use {
    let id = UsageId::try_from(format!("call-{n}")).expect("an id");
    Use { meter: meter("minutes"), value: NonZeroU64::MIN, id, at: None }
}
