//! What it costs to consume tokens and to report what is counted, and how many a second one core takes: make bench-usage

#![allow(clippy::expect_used, reason = "a benchmark that cannot go on has nothing to tell")]

use billing::id::{IdempotencyKey, UsageId};
use billing::ports::{Key, Record, Store, Write};
use billing::testing::{FakeGateways, FixedClock, catalogue, customer, instant, meter, plan, request};
use billing::token::Tokens;
use billing::workflow::{Billing, Checkout, Consume, Use};
use platform::dynamodb::Table;
use std::num::{NonZeroU32, NonZeroU64};
use std::time::{Duration, Instant};
use tests::embedded::Embedded;
use tests::spent::Spent;

const CALLS: u32 = 2_000;

/// The most that one request reports.
const BATCH: u32 = 500;

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
