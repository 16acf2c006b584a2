//! Five years on a test clock are the same five years however they are walked: in one step, in sixty of a month, in
//! steps of any length, and by each customer alone. What is stored then is compared record by record.
//!
//! What customers buy, what becomes of each charge, and what customers, their banks and staff do on the way is drawn from
//! a seed: by whose it is and when, never by what was drawn before. `life` says it; here it is walked.
//!
//! ```text
//! cargo test -p simulation --test years            the first hundreds of seeds
//! SEED=17 cargo test -p simulation --test years    one of them
//! ```

mod life;
#[path = "../rng.rs"]
#[expect(dead_code, reason = "the simulation draws what nothing else depends on")]
mod rng;

use crate::life::{NAMES, OPENED, Shop, named};
use crate::rng::Rng;
use billing::id::CustomerId;
use billing::ports::{Record, Wanted};
use billing::testing::{Charge, MemoryMailer, MemoryQueue, instant};
use billing::workflow::Goal;
use futures::executor::block_on;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, Timestamp};
use std::collections::BTreeSet;
use std::ops::Range;

const SEEDS: Range<u64> = 0..200;

/// Something that wakes more often is due for ever.
const MOST_STEPS: u32 = 20_000;

fn seeds() -> Range<u64> {
    match std::env::var("SEED") {
        Ok(text) => {
            let seed = text.parse().unwrap_or_else(|error| panic!("SEED={text}: {error}"));
            seed..seed + 1
        }
        Err(_) => SEEDS,
    }
}

/// Does all that is due on the way to `goal`; and whoever has to do with it does what they do then, once.
fn walk(seed: u64, shop: &Shop, whose: Option<&CustomerId>, goal: Timestamp) {
    let mut met = BTreeSet::new();
    for _ in 0..MOST_STEPS {
        let queue = MemoryQueue::default();
        let step = block_on(shop.walk_clock(whose, Goal::To(goal), shop.clock.world, &queue));
        let step = step.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        if step.is_last() {
            return;
        }
        for wanted in queue.take() {
            if let Some(customer) = wanted.customer()
                && met.insert((step.now, customer.clone()))
            {
                life::goes_on(seed, shop, customer, step.now);
            }
            work(seed, shop, wanted);
        }
    }
    panic!("seed {seed}: something stays due for ever");
}

fn work(seed: u64, shop: &Shop, wanted: Wanted) {
    if let Wanted::Mail { mail } = &wanted {
        block_on(shop.send_mail(mail, &MemoryMailer::default())).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    } else {
        block_on(shop.wake(wanted)).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    }
}

/// So many months after the opening.
fn months(count: i64) -> Timestamp {
    let opened = instant(OPENED).to_zoned(TimeZone::UTC);
    opened.checked_add(Span::new().months(count)).unwrap_or_else(|error| panic!("{error}")).timestamp()
}

/// All that is stored but the clock, and the gateways' books.
fn books(shop: &Shop) -> (Vec<Record>, Vec<Charge>) {
    let mut records = shop.store.records();
    records.retain(|record| !matches!(record, Record::TestClock(_)));
    (records, shop.gateways.charges().into_values().collect())
}

fn in_one_step(seed: u64) -> Shop {
    let shop = life::opened(seed);
    walk(seed, &shop, None, months(60));
    shop
}

fn assert_same(seed: u64, how: &str, (is, charges): (Vec<Record>, Vec<Charge>), expected: &Shop) {
    let (records, expected_charges) = books(expected);
    if let Some((is, expected)) = is.iter().zip(&records).find(|(is, expected)| is != expected) {
        panic!("seed {seed}: {how} leads to\n{is:?}\nand five years in one step to\n{expected:?}");
    }
    assert_eq!(is.len(), records.len(), "seed {seed}: {how} leads to more or fewer records");
    assert_eq!(charges, expected_charges, "seed {seed}: {how} leads to other charges");
}

#[test]
fn five_years_in_one_step_are_sixty_months() {
    for seed in seeds() {
        let at_once = in_one_step(seed);
        let in_months = life::opened(seed);
        (1..=60).for_each(|month| walk(seed, &in_months, None, months(month)));
        assert_same(seed, "a month at a time", books(&in_months), &at_once);
    }
}

#[test]
fn five_years_in_one_step_are_as_many_steps_as_somebody_likes() {
    for seed in seeds() {
        let (at_once, in_steps) = (in_one_step(seed), life::opened(seed));
        let mut rng = Rng::seeded(seed);
        let mut goal = instant(OPENED);
        while goal < months(60) {
            goal = further(&mut rng, goal);
            walk(seed, &in_steps, None, goal);
        }
        assert_same(seed, "in steps of any length", books(&in_steps), &at_once);
    }
}

#[test]
fn five_years_together_are_the_five_years_of_each_on_a_clock_of_their_own() {
    for seed in seeds() {
        let (together, alone) = (in_one_step(seed), life::opened(seed));
        let mut rng = Rng::seeded(seed);
        let mut goals = NAMES.map(|name| (named(name), instant(OPENED)));
        while goals.iter().any(|(_, goal)| *goal < months(60)) {
            let (customer, goal) = &mut goals[rng.below(NAMES.len())];
            *goal = further(&mut rng, *goal);
            walk(seed, &alone, Some(customer), *goal);
        }
        assert_same(seed, "each alone", books(&alone), &together);
        // Where the stack comes after them there is nothing left to do.
        let queue = MemoryQueue::default();
        let step = block_on(alone.walk_clock(None, Goal::To(months(60)), alone.clock.world, &queue));
        assert!(step.is_ok_and(|step| step.is_last()), "seed {seed}: {:?}", queue.take());
    }
}

/// Some seconds, days or years after `goal`, and no later than five years after the opening.
fn further(rng: &mut Rng, goal: Timestamp) -> Timestamp {
    let most = rng.one_of(&[90, 86_400, 40 * 86_400, 900 * 86_400]);
    let by = SignedDuration::from_secs(rng.within(1, most));
    goal.checked_add(by).unwrap_or(Timestamp::MAX).min(months(60))
}

/// Were nobody to do anything, any walk would be the same.
#[test]
fn in_five_years_much_happens() {
    let mut happened = BTreeSet::new();
    for seed in SEEDS {
        for record in in_one_step(seed).store.records() {
            if let Record::History { event, .. } = record {
                happened.insert(life::told(&event));
            }
        }
    }
    let missing: Vec<_> = life::TO_HAPPEN.iter().filter(|it| !happened.contains(**it)).collect();
    assert!(missing.is_empty(), "no customer has: {missing:?}; they have: {happened:?}");
}
