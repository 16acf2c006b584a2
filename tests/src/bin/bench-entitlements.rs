//! How many signed entitlements a second one core verifies, at first and again: make bench-entitlements

#![allow(clippy::expect_used, reason = "a benchmark that cannot go on has nothing to tell")]

use billing::entitlement::{Usage, entitlements};
use billing::id::CustomerId;
use billing::subscription::Subscription;
use billing::testing::{active, instant, order};
use billing::workflow::Entitled;
use jiff::Timestamp;
use platform::secrets::KeyStore;
use platform::signing::{KeyRings, Signer};
use serde_json::json;
use signed_entitlements::{Cache, Verifier};
use std::fs;
use std::hint::black_box;
use std::time::{Duration, Instant, SystemTime};

const CUSTOMERS: usize = 1_000;

/// How long each is measured for, of the processor's time.
const FOR: Duration = Duration::from_secs(2);

const ISSUER: &str = "perennial-bench";

/// Whom a token is for, and its text, as it comes with each request.
struct Request {
    customer: String,
    token: String,
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let keys = KeyRings::new(KeyStore::given(json!({ "key": "k".repeat(64) })));
    let signer = Signer::new(ISSUER.to_owned(), keys.clone());
    let keys = keys.published().await.expect("keys").to_string();
    let verifier = || Verifier::new(ISSUER, &keys).expect("keys");
    let mut requests = vec![];
    for n in 0..CUSTOMERS {
        requests.push(issued(&signer, format!("customer-{n}")).await);
    }
    let now = SystemTime::now();
    println!("Tokens of {CUSTOMERS} customers, {} bytes each. Checks a second of a core:\n", requests[0].token.len());

    let pure = verifier();
    tell("verified for the first time", CUSTOMERS, || {
        for it in &requests {
            assert!(pure.verify(&it.token, &it.customer, now).expect("verified").allows("analytics", now));
        }
    });
    let cache = Cache::new(verifier(), 2 * CUSTOMERS);
    let again = |it: &Request| cache.verify(&it.token, &it.customer, now).expect("verified").allows("analytics", now);
    assert!(requests.iter().all(again));
    tell("again, from the token's text", CUSTOMERS, || assert!(requests.iter().all(again)));
    tell("the same, by two threads at once", 200 * CUSTOMERS, || {
        std::thread::scope(|threads| {
            for _ in 0..2 {
                threads.spawn(|| assert!((0..100).all(|_| requests.iter().all(again))));
            }
        });
    });
    let held = pure.verify(&requests[0].token, &requests[0].customer, now).expect("verified");
    tell("of what was verified before", CUSTOMERS, || {
        for _ in 0..CUSTOMERS {
            assert!(black_box(&held).allows(black_box("analytics"), black_box(now)));
        }
    });
}

/// `round` is so many checks.
fn tell(what: &str, checks_a_round: usize, mut round: impl FnMut()) {
    let (begun, had, mut checks, mut spent) = (Instant::now(), processor_time(), 0, Duration::ZERO);
    while spent < FOR {
        round();
        checks += checks_a_round as u128;
        spent = processor_time().zip(had).map_or_else(|| begun.elapsed(), |(has, had)| has.saturating_sub(had));
    }
    println!("{what:>34} | {:>11}", checks * 1_000_000 / spent.as_micros());
}

/// What this process has had of it, by all its threads, whoever else is busy. None: the system does not tell, and the
/// world's time is as good on a machine that does nothing else.
fn processor_time() -> Option<Duration> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let fields: Vec<&str> = stat.rsplit(')').next()?.split(' ').collect();
    let hundredths = |field: usize| fields.get(field)?.parse::<u64>().ok();
    Some(Duration::from_millis(10 * (hundredths(12)? + hundredths(13)?)))
}

/// As the API signs it.
async fn issued(signer: &Signer, customer: String) -> Request {
    let subscription = Subscription { order: order("minutes-pro"), ..active() };
    let entitlements = entitlements(&subscription, &Usage::new(), &Usage::new(), 0, instant("2025-02-10T10:00:00Z"));
    let entitled = Entitled { subscription, entitlements, holds_for: None };
    let id = CustomerId::try_from(customer.clone()).expect("a customer");
    let answer = signer.sign(&id, Some(&entitled), Timestamp::now()).await.expect("signed");
    Request { customer, token: answer["token"].as_str().expect("a token").to_owned() }
}
