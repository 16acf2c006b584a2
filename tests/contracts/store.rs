//! What a store promises, whichever it is: the same tests over the store in
//! memory, which all other tests trust, and the table on the embedded DynamoDB.

/// Runs each test against either store.
macro_rules! promises {
    ($($name:ident),* $(,)?) => {
        mod memory {
            $(#[tokio::test]
            async fn $name() {
                super::$name(&billing::testing::MemoryStore::default()).await;
            })*
        }
        mod dynamodb {
            $(#[tokio::test]
            async fn $name() {
                super::$name(&tests::embedded::Embedded::new().table()).await;
            })*
        }
    };
}

mod due;
mod only_dynamodb;
mod sequences;

use crate::samples::payments::{payment, payment_id};
use crate::samples::{
    account, active, claim, consumption, customer, delivery, everything, later, lease, leaving, of_all, of_customer,
    over_limit, period_id, plan_id, reservations, shard, stored_plan, tokens, usage, usage_record, wallet,
};
use billing::brand::Brand;
use billing::id::{ConsumptionId, CustomerId};
use billing::payment::Payment;
use billing::ports::{Key, Lane, Record, Store, StoreError, Wanted, Write};
use billing::reservation::Reservations;
use billing::shard::Shard;
use billing::statistics::DayUsage;
use billing::testing::{brand, meter};
use billing::token::Tokens;
use billing::usage::MeterUsage;
use futures::future::join_all;
use jiff::civil::date;
use std::collections::BTreeSet;
use std::num::{NonZeroU32, NonZeroU64};

promises![
    every_record_is_read_back_as_it_was_written,
    every_record_is_replaced_by_its_next_version,
    what_exists_is_not_created_again,
    what_changed_since_it_was_read_is_not_replaced,
    what_does_not_exist_is_not_replaced,
    a_conflict_outranks_a_duplicate,
    all_of_a_commit_is_written_or_nothing,
    of_many_replacements_of_one_version_one_succeeds,
    of_many_creations_one_succeeds,
    a_commit_takes_a_hundred_writes_and_no_more,
    a_commit_does_not_write_a_record_twice,
    nothing_to_write_and_nothing_to_read_is_done,
    what_does_not_exist_is_left_out,
    more_than_a_hundred_records_are_read_at_once,
    live_is_what_is_true_of_a_customer_now,
    payments_are_listed_newest_first,
    payments_are_listed_page_by_page,
    what_is_consumed_is_there_to_be_taken,
    of_many_who_consume_as_many_succeed_as_there_are_tokens,
    nothing_is_consumed_by_a_commit_that_is_refused,
    consumptions_are_listed_newest_first_page_by_page,
    uses_are_listed_each_once_page_by_page,
    a_counter_counts_in_its_period_up_to_its_limit,
    who_counts_knows_of_all_that_is_held,
    a_shard_counts_what_is_lent_to_it_and_its_meter_nothing_meanwhile,
    of_many_who_count_as_many_succeed_as_the_limit_allows,
    a_day_has_what_was_added_to_it_whoever_adds_at_the_same_moment,
    a_day_that_is_set_is_that_whatever_it_was_and_is_added_to_from_there,
    the_days_of_a_customer_are_those_between_two_dates,
    customers_do_not_see_each_other,
    another_customers_payment_is_not_found_under_ones_own_name,
    the_catalogue_is_the_families_and_the_current_plans,
    the_brands_are_listed_by_their_ids,
];

async fn create(store: &impl Store, records: impl IntoIterator<Item = Record>) {
    for record in records {
        let key = record.key();
        store.commit(vec![Write::Create(record)]).await.unwrap_or_else(|error| panic!("{key:?}: {error:?}"));
    }
}

async fn one(store: &impl Store, key: Key) -> Option<Record> {
    let found = store.get(vec![key]).await.expect("an answer");
    assert!(found.records().len() <= 1);
    found.records().first().cloned()
}

fn sorted(records: &[Record]) -> Vec<Record> {
    let mut records = records.to_vec();
    records.sort_by_key(Record::key);
    records
}

async fn due(store: &impl Store, lane: Lane, seconds: i64) -> BTreeSet<Wanted> {
    let due = store.due(lane, later(seconds), 1_000).await.expect("an answer");
    let count = due.len();
    let due = BTreeSet::from_iter(due.into_iter().map(|(_, wanted)| wanted));
    assert_eq!(due.len(), count, "each once");
    due
}

/// The same record with the version that follows.
fn next(record: &Record) -> Option<Record> {
    match Write::next(record.clone()) {
        Write::Replace { record, .. } => Some(record),
        Write::Create(_)
        | Write::Consume { .. }
        | Write::Count { .. }
        | Write::CountInShard { .. }
        | Write::Add(_)
        | Write::Set(_) => None,
    }
}

async fn every_record_is_read_back_as_it_was_written(store: &impl Store) {
    let all = everything(&customer("acme"));
    create(store, all.clone()).await;
    for record in &all {
        assert_eq!(one(store, record.key()).await.as_ref(), Some(record));
    }
    let found = store.get(all.iter().map(Record::key).collect()).await.expect("an answer");
    assert_eq!(sorted(found.records()), sorted(&all));
}

async fn every_record_is_replaced_by_its_next_version(store: &impl Store) {
    let all = everything(&customer("acme"));
    create(store, all.clone()).await;
    for record in all.iter().filter(|record| record.version().is_some()) {
        store.commit(vec![Write::next(record.clone())]).await.unwrap_or_else(|error| panic!("{record:?}: {error:?}"));
        assert_eq!(one(store, record.key()).await, next(record));
    }
}

async fn what_exists_is_not_created_again(store: &impl Store) {
    let all = everything(&customer("acme"));
    create(store, all.clone()).await;
    for record in &all {
        let other = next(record).unwrap_or_else(|| record.clone());
        let again = store.commit(vec![Write::Create(other)]).await;
        assert!(matches!(again, Err(StoreError::Duplicate)), "{again:?}: {record:?}");
        assert_eq!(one(store, record.key()).await.as_ref(), Some(record));
    }
}

async fn what_changed_since_it_was_read_is_not_replaced(store: &impl Store) {
    let all = everything(&customer("acme"));
    create(store, all.clone()).await;
    for record in all.iter().filter_map(next) {
        let Some(version) = record.version() else { continue };
        for seen in [0, version, version + 7, u64::MAX] {
            let replaced = store.commit(vec![Write::Replace { record: record.clone(), seen }]).await;
            assert!(matches!(replaced, Err(StoreError::Conflict)), "{replaced:?}: {record:?} {seen}");
        }
        assert!(one(store, record.key()).await.is_some_and(|stored| stored.version() == Some(version - 1)));
    }
}

async fn what_does_not_exist_is_not_replaced(store: &impl Store) {
    for record in everything(&customer("acme")) {
        for seen in [0, 1] {
            let replaced = store.commit(vec![Write::Replace { record: record.clone(), seen }]).await;
            assert!(matches!(replaced, Err(StoreError::Conflict)), "{replaced:?}: {record:?}");
        }
        assert_eq!(one(store, record.key()).await, None);
    }
}

async fn a_conflict_outranks_a_duplicate(store: &impl Store) {
    let acme = customer("acme");
    let (seen, known) = (Record::Wallet(wallet(&acme)), Record::Delivery(delivery("evt_1")));
    create(store, [seen.clone(), known.clone()]).await;
    let conflict = Write::Replace { record: seen, seen: 7 };
    let (duplicate, fresh) = (Write::Create(known), Write::Create(Record::Claim(claim(&acme, "k"))));
    for writes in [
        vec![conflict.clone(), duplicate.clone(), fresh.clone()],
        vec![duplicate.clone(), fresh.clone(), conflict.clone()],
        vec![fresh.clone(), duplicate.clone(), conflict],
    ] {
        assert!(matches!(store.commit(writes).await, Err(StoreError::Conflict)));
    }
    assert!(matches!(store.commit(vec![fresh, duplicate]).await, Err(StoreError::Duplicate)));
}

async fn all_of_a_commit_is_written_or_nothing(store: &impl Store) {
    let acme = customer("acme");
    let (stored, fresh) = (Record::Tokens(tokens(&acme, 1)), Record::Claim(claim(&acme, "k")));
    create(store, [stored.clone()]).await;
    let more = Record::Tokens(tokens(&acme, 2));
    let stale = Write::Replace { record: more.clone(), seen: 0 };
    for refused in [Write::Create(more), stale] {
        let first = vec![Write::Create(fresh.clone()), refused.clone()];
        let last = vec![refused, Write::Create(fresh.clone())];
        for writes in [first, last] {
            assert!(store.commit(writes).await.is_err());
            assert_eq!(one(store, fresh.key()).await, None);
            assert_eq!(one(store, stored.key()).await, Some(stored.clone()));
        }
    }
    store.commit(vec![Write::Create(fresh.clone()), Write::next(stored.clone())]).await.expect("written");
    assert_eq!(one(store, fresh.key()).await, Some(fresh));
    assert_eq!(one(store, stored.key()).await, next(&stored));
}

async fn of_many_replacements_of_one_version_one_succeeds(store: &impl Store) {
    let acme = customer("acme");
    create(store, [Record::Tokens(tokens(&acme, 0))]).await;
    let replacing = (1..=20).map(|balance| store.commit(vec![Write::next(Record::Tokens(tokens(&acme, balance)))]));
    let answers = join_all(replacing).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
    assert_eq!(answers.iter().filter(|answer| matches!(answer, Err(StoreError::Conflict))).count(), 19);
}

async fn of_many_creations_one_succeeds(store: &impl Store) {
    let record = Record::Claim(claim(&customer("acme"), "k"));
    let answers = join_all((0..20).map(|_| store.commit(vec![Write::Create(record.clone())]))).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
    assert_eq!(answers.iter().filter(|answer| matches!(answer, Err(StoreError::Duplicate))).count(), 19);
}

async fn a_commit_takes_a_hundred_writes_and_no_more(store: &impl Store) {
    let acme = customer("acme");
    let claims = |count: u32| (0..count).map(|n| Write::Create(Record::Claim(claim(&acme, &n.to_string())))).collect();
    assert!(matches!(store.commit(claims(101)).await, Err(StoreError::Unavailable(_))));
    assert_eq!(one(store, claim_key(&acme, "0")).await, None);
    store.commit(claims(100)).await.expect("written");
    assert!(one(store, claim_key(&acme, "99")).await.is_some());
}

fn claim_key(of: &CustomerId, key: &str) -> Key {
    Record::Claim(claim(of, key)).key()
}

async fn a_commit_does_not_write_a_record_twice(store: &impl Store) {
    let acme = customer("acme");
    let twice = [1, 2].map(|balance| Write::Create(Record::Tokens(tokens(&acme, balance))));
    assert!(matches!(store.commit(twice.to_vec()).await, Err(StoreError::Unavailable(_))));
    assert_eq!(one(store, Key::Tokens(acme)).await, None);
}

async fn nothing_to_write_and_nothing_to_read_is_done(store: &impl Store) {
    store.commit(vec![]).await.expect("nothing to do");
    assert!(store.get(vec![]).await.expect("an answer").records().is_empty());
    create(store, [Record::Payment(payment(&customer("acme"), 1, 0, 1))]).await;
    assert!(store.payments(&customer("acme"), None, 0).await.expect("an answer").is_empty());
    assert!(store.due(Lane::PaymentRetries, later(9_999), 0).await.expect("an answer").is_empty());
}

async fn what_does_not_exist_is_left_out(store: &impl Store) {
    let (acme, globex) = (customer("acme"), customer("globex"));
    for record in everything(&acme) {
        assert_eq!(one(store, record.key()).await, None);
    }
    create(store, of_customer(&acme)).await;
    let keys = vec![Key::Wallet(globex.clone()), Key::Wallet(acme.clone()), Key::Tokens(globex), Key::TestClock];
    let found = store.get(keys).await.expect("an answer");
    assert_eq!(found.records(), [Record::Wallet(leaving(&acme, &[7_200, 3_600]))]);
}

async fn more_than_a_hundred_records_are_read_at_once(store: &impl Store) {
    let names: Vec<CustomerId> = (0..230).map(|n| customer(&format!("customer-{n}"))).collect();
    let stored: Vec<Record> = names.iter().step_by(2).map(|of| Record::Tokens(tokens(of, 7))).collect();
    for some in stored.chunks(100) {
        store.commit(some.iter().cloned().map(Write::Create).collect()).await.expect("written");
    }
    let found = store.get(names.into_iter().map(Key::Tokens).collect()).await.expect("an answer");
    assert_eq!(sorted(found.records()), sorted(&stored));
}

async fn live_is_what_is_true_of_a_customer_now(store: &impl Store) {
    let acme = customer("acme");
    assert!(store.live(&acme).await.expect("an answer").records().is_empty());
    create(store, everything(&acme)).await;
    let live = [
        Record::Subscription(active(&acme)),
        Record::Wallet(leaving(&acme, &[7_200, 3_600])),
        Record::Account(account(&acme, 3_600)),
        Record::Tokens(tokens(&acme, u64::MAX)),
        Record::Usage(usage(&acme, "estates", 0)),
        Record::Usage(usage(&acme, "clients", u64::MAX)),
        Record::Usage(over_limit(&acme)),
        Record::Usage(MeterUsage { lease: Some(lease(7)), ..usage(&acme, "calls", 12) }),
        Record::Shard(shard(&acme, 1)),
        Record::Shard(shard(&acme, 8)),
    ];
    assert_eq!(sorted(store.live(&acme).await.expect("an answer").records()), sorted(&live));
}

/// Of every magnitude at which digits are added, newest last.
const AGES: [(u32, u32, u32); 17] = [
    // Of no subscription: a method that was set up, and transfers that came in.
    (0, 0, 1),
    (0, 1, 1),
    (0, 1, 2),
    (1, 0, 1),
    (1, 0, 2),
    (1, 0, 9),
    (1, 0, 10),
    (1, 1, 1),
    (1, 9, 4),
    (1, 10, 1),
    (1, 99, 1),
    (1, 100, 1),
    (2, 0, 1),
    (9, 0, 1),
    (10, 0, 1),
    (10, 20, 30),
    (100, 0, 1),
];

fn newest_first(of: &CustomerId) -> Vec<Payment> {
    AGES.into_iter().rev().map(|(number, period, attempt)| payment(of, number, period, attempt)).collect()
}

async fn payments_are_listed_newest_first(store: &impl Store) {
    let acme = customer("acme");
    assert!(store.payments(&acme, None, 10).await.expect("an answer").is_empty());
    create(store, newest_first(&acme).into_iter().map(Record::Payment)).await;
    create(store, [Record::Subscription(active(&acme)), Record::Claim(claim(&acme, "k"))]).await;
    assert_eq!(store.payments(&acme, None, 100).await.expect("an answer"), newest_first(&acme));
    assert_eq!(store.payments(&acme, None, 3).await.expect("an answer"), newest_first(&acme)[..3]);
}

async fn payments_are_listed_page_by_page(store: &impl Store) {
    let acme = customer("acme");
    let all = newest_first(&acme);
    create(store, all.iter().cloned().map(Record::Payment)).await;
    for limit in 1..=4 {
        let (mut listed, mut before) = (vec![], None);
        while listed.len() < all.len() {
            let page = store.payments(&acme, before.as_ref(), limit).await.expect("an answer");
            assert!(!page.is_empty());
            before = page.last().map(|payment| payment.id.clone());
            listed.extend(page);
        }
        assert_eq!(listed, all);
        assert!(store.payments(&acme, before.as_ref(), limit).await.expect("an answer").is_empty());
    }
    // The end of a page need not exist.
    for (number, period, attempt, older) in
        [(0, 0, 9, 1), (1, 0, 3, 5), (1, 10, 9, 10), (1, 11, 1, 10), (3, 0, 1, 13), (200, 0, 1, 17)]
    {
        let before = payment_id(&acme, number, period, attempt);
        let page = store.payments(&acme, Some(&before), 100).await.expect("an answer");
        assert_eq!(page, all[all.len() - older..], "{before}");
    }
}

fn consume(of: &CustomerId, tokens: u32) -> Write {
    Write::Consume { customer: of.clone(), tokens: NonZeroU32::new(tokens).expect("some") }
}

async fn balance(store: &impl Store, of: &CustomerId) -> Option<(u64, u64)> {
    match one(store, Key::Tokens(of.clone())).await {
        Some(Record::Tokens(held)) => Some((held.balance, held.version)),
        _ => None,
    }
}

async fn what_is_consumed_is_there_to_be_taken(store: &impl Store) {
    let acme = customer("acme");
    let none = store.commit(vec![consume(&acme, 1)]).await;
    assert!(matches!(none, Err(StoreError::Conflict)), "{none:?}");
    assert_eq!(balance(store, &acme).await, None);
    create(store, [Record::Tokens(tokens(&acme, 25))]).await;
    let more = store.commit(vec![consume(&acme, 26)]).await;
    assert!(matches!(more, Err(StoreError::Conflict)), "{more:?}");
    store.commit(vec![consume(&acme, 24)]).await.expect("taken");
    store.commit(vec![consume(&acme, 1)]).await.expect("taken");
    assert_eq!(balance(store, &acme).await, Some((0, 3)));
    assert!(matches!(store.commit(vec![consume(&acme, 1)]).await, Err(StoreError::Conflict)));
    // Nothing else of the record is touched, and whoever read it before is told that it has changed.
    let left = one(store, Key::Tokens(acme.clone())).await;
    assert_eq!(left, Some(Record::Tokens(Tokens { version: 3, ..tokens(&acme, 0) })));
    let granted = Record::Tokens(Tokens { version: 2, ..tokens(&acme, 1_025) });
    assert!(matches!(store.commit(vec![Write::Replace { record: granted, seen: 1 }]).await, Err(StoreError::Conflict)));
}

async fn of_many_who_consume_as_many_succeed_as_there_are_tokens(store: &impl Store) {
    let acme = customer("acme");
    create(store, [Record::Tokens(tokens(&acme, 50))]).await;
    let consuming = (0..100).map(|n| {
        let commit = vec![consume(&acme, 1), Write::Create(Record::Consumption(consumption(&acme, n)))];
        store.commit(commit)
    });
    let taken = join_all(consuming).await.into_iter().filter(Result::is_ok).count();
    assert_eq!((taken, balance(store, &acme).await), (50, Some((0, 51))));
    assert_eq!(store.consumptions(&acme, None, 100).await.expect("an answer").len(), 50);
}

async fn nothing_is_consumed_by_a_commit_that_is_refused(store: &impl Store) {
    let acme = customer("acme");
    create(store, [Record::Tokens(tokens(&acme, 50)), Record::Claim(claim(&acme, "k"))]).await;
    let again = || Write::Create(Record::Claim(claim(&acme, "k")));
    let twice = store.commit(vec![consume(&acme, 1), again()]).await;
    assert!(matches!(twice, Err(StoreError::Duplicate)), "{twice:?}");
    // Too little is a conflict, and outranks the duplicate.
    let too_many = store.commit(vec![again(), consume(&acme, 51)]).await;
    assert!(matches!(too_many, Err(StoreError::Conflict)), "{too_many:?}");
    // One transaction touches a record once.
    let both = store.commit(vec![consume(&acme, 1), consume(&acme, 1)]).await;
    assert!(matches!(both, Err(StoreError::Unavailable(_))), "{both:?}");
    assert_eq!(balance(store, &acme).await, Some((50, 1)));
}

async fn uses_are_listed_each_once_page_by_page(store: &impl Store) {
    let (acme, globex) = (customer("acme"), customer("globex"));
    let all: Vec<_> = (0..11).map(|number| usage_record(&acme, number)).collect();
    create(store, all.iter().cloned().map(Record::UsageRecord)).await;
    create(store, everything(&globex)).await;
    let whole = store.uses(&acme, None, 100).await.expect("an answer");
    for limit in 1..=4 {
        let (mut listed, mut after) = (vec![], None);
        while listed.len() < all.len() {
            let page = store.uses(&acme, after.as_ref(), limit).await.expect("an answer");
            let left = all.len() - listed.len();
            assert_eq!(page.len(), left.min(limit as usize), "a page of fewer is the last");
            after = page.last().map(|it| it.id.clone());
            listed.extend(page);
        }
        assert_eq!(listed, whole);
        assert!(store.uses(&acme, after.as_ref(), limit).await.expect("an answer").is_empty());
    }
    let mut sorted = whole;
    sorted.sort_by_key(|it| all.iter().position(|other| other.id == it.id));
    assert_eq!(sorted, all);
}

async fn consumptions_are_listed_newest_first_page_by_page(store: &impl Store) {
    let (acme, globex) = (customer("acme"), customer("globex"));
    let all: Vec<_> = (0..11).rev().map(|number| consumption(&acme, number)).collect();
    create(store, all.iter().cloned().map(Record::Consumption)).await;
    create(store, everything(&globex)).await;
    assert_eq!(store.consumptions(&acme, None, 100).await.expect("an answer"), all);
    for limit in 1..=4 {
        let (mut listed, mut before) = (vec![], None);
        while listed.len() < all.len() {
            let page = store.consumptions(&acme, before.as_ref(), limit).await.expect("an answer");
            assert!(!page.is_empty());
            before = page.last().map(|it| it.id.clone());
            listed.extend(page);
        }
        assert_eq!(listed, all);
        assert!(store.consumptions(&acme, before.as_ref(), limit).await.expect("an answer").is_empty());
    }
    // The end of a page need not exist, nor be one's own.
    let between = ConsumptionId::try_from(consumption(&acme, 4).id.as_str().replace("a2a2", "a2a3")).expect("an id");
    let older = store.consumptions(&acme, Some(&between), 100).await.expect("an answer");
    assert_eq!(older, all[6..]);
}

fn count(of: &CustomerId, index: u32, by: u64, at_most: u64) -> Write {
    count_knowing(of, index, by, at_most, 0)
}

/// By who has read that so much is held.
fn count_knowing(of: &CustomerId, index: u32, by: u64, at_most: u64, held: u64) -> Write {
    let (customer, meter, period) = (of.clone(), meter("minutes"), period_id(of, index));
    Write::Count { customer, meter, period, by: NonZeroU64::new(by).expect("some"), at_most, held, at: later(9) }
}

async fn a_counter_counts_in_its_period_up_to_its_limit(store: &impl Store) {
    let acme = customer("acme");
    let counter = MeterUsage { period: Some(period_id(&acme, 3)), ..usage(&acme, "minutes", 10) };
    let refused = async |write: Write| matches!(store.commit(vec![write]).await, Err(StoreError::Conflict));
    assert!(refused(count(&acme, 3, 1, 100)).await, "there is none");
    create(store, [Record::Usage(counter.clone())]).await;
    for wrong in [count(&acme, 2, 1, 100), count(&acme, 4, 1, 100), count(&acme, 3, 91, 100), count(&acme, 3, 1, 0)] {
        assert!(refused(wrong.clone()).await, "{wrong:?}");
    }
    store.commit(vec![count(&acme, 3, 90, 100)]).await.expect("counted");
    assert!(refused(count(&acme, 3, 1, 100)).await);
    // Who has no limit counts to the end of what can be counted.
    store.commit(vec![count(&acme, 3, u64::MAX - 100, u64::MAX)]).await.expect("counted");
    assert!(refused(count(&acme, 3, 1, u64::MAX)).await);
    let counted = MeterUsage { value: u64::MAX, at: later(9), version: 3, ..counter };
    assert_eq!(one(store, Key::Usage(acme.clone(), meter("minutes"))).await, Some(Record::Usage(counted)));
    // What is set is not added to.
    create(store, [Record::Usage(MeterUsage { meter: meter("agents"), ..usage(&acme, "agents", 1) })]).await;
    let Write::Count { customer, period, by, at_most, held, at, .. } = count(&acme, 3, 1, 9) else { return };
    assert!(refused(Write::Count { customer, meter: meter("agents"), period, by, at_most, held, at }).await);
}

async fn who_counts_knows_of_all_that_is_held(store: &impl Store) {
    let acme = customer("acme");
    let counter = MeterUsage { period: Some(period_id(&acme, 3)), ..usage(&acme, "minutes", 10) };
    create(store, [Record::Usage(counter.clone())]).await;
    let knowing = |known| count_knowing(&acme, 3, 1, 100, known);
    store.commit(vec![knowing(0)]).await.expect("nothing is held");
    let reservations = reservations();
    let sum = reservations.held();
    let held = MeterUsage { value: 11, version: 2, reservations, ..counter };
    store.commit(vec![Write::next(Record::Usage(held.clone()))]).await.expect("reserved");
    for known in [0, sum - 1] {
        assert!(matches!(store.commit(vec![knowing(known)]).await, Err(StoreError::Conflict)), "{known}");
    }
    for known in [sum, u64::MAX] {
        store.commit(vec![knowing(known)]).await.expect("all that is held is known");
    }
    let counted = MeterUsage { value: 13, at: later(9), version: 5, ..held };
    assert_eq!(one(store, Key::Usage(acme.clone(), meter("minutes"))).await, Some(Record::Usage(counted.clone())));
    // What was let go since it was read is in nobody's way.
    let released = MeterUsage { reservations: Reservations::default(), ..counted };
    store.commit(vec![Write::next(Record::Usage(released))]).await.expect("released");
    store.commit(vec![knowing(sum)]).await.expect("nothing is held");
}

fn count_in_shard(of: &CustomerId, shard: u8, lease: u64, by: u64) -> Write {
    let (customer, meter, by) = (of.clone(), meter("calls"), NonZeroU64::new(by).expect("some"));
    Write::CountInShard { customer, meter, shard, lease, by, at: later(9) }
}

async fn a_shard_counts_what_is_lent_to_it_and_its_meter_nothing_meanwhile(store: &impl Store) {
    let acme = customer("acme");
    let refused = async |write: Write| matches!(store.commit(vec![write]).await, Err(StoreError::Conflict));
    assert!(refused(count_in_shard(&acme, 1, 7, 1)).await, "there is none");
    let lent = Shard { value: 0, left: 10, ..shard(&acme, 1) };
    create(store, [Record::Shard(lent.clone())]).await;
    for wrong in [count_in_shard(&acme, 1, 6, 1), count_in_shard(&acme, 1, 8, 1), count_in_shard(&acme, 1, 7, 11)] {
        assert!(refused(wrong.clone()).await, "{wrong:?}");
    }
    assert!(refused(count_in_shard(&acme, 2, 7, 1)).await, "of another nothing is known");
    store.commit(vec![count_in_shard(&acme, 1, 7, 4)]).await.expect("counted");
    assert!(refused(count_in_shard(&acme, 1, 7, 7)).await, "less is left");
    store.commit(vec![count_in_shard(&acme, 1, 7, 6)]).await.expect("counted");
    let counted = Shard { value: 10, left: 0, at: later(9), version: 3, ..lent };
    assert_eq!(one(store, Key::Shard(acme.clone(), meter("calls"), 1)).await, Some(Record::Shard(counted)));
    // What is lent is not counted twice.
    let meter = MeterUsage { period: Some(period_id(&acme, 3)), ..usage(&acme, "minutes", 10) };
    create(store, [Record::Usage(MeterUsage { lease: Some(lease(1)), ..meter.clone() })]).await;
    assert!(refused(count(&acme, 3, 1, 100)).await);
    store.commit(vec![Write::next(Record::Usage(meter))]).await.expect("taken back");
    store.commit(vec![count(&acme, 3, 1, 100)]).await.expect("counted");
}

fn used(of: &CustomerId, day: i8, of_what: Option<&str>, value: u64) -> DayUsage {
    DayUsage { customer: of.clone(), date: date(2026, 1, day), meter: of_what.map(meter), shard: 0, value }
}

async fn a_day_has_what_was_added_to_it_whoever_adds_at_the_same_moment(store: &impl Store) {
    let acme = customer("acme");
    let adding = (1..=50).map(|value| store.commit(vec![Write::Add(used(&acme, 31, Some("minutes"), value))]));
    assert!(join_all(adding).await.into_iter().all(|added| added.is_ok()));
    let days = store.days(&acme, date(2026, 1, 1), date(2026, 1, 31)).await.expect("an answer");
    assert_eq!(days, [used(&acme, 31, Some("minutes"), 50 * 51 / 2)]);
    let again = Write::Create(Record::Day(used(&acme, 31, Some("minutes"), 1)));
    assert!(matches!(store.commit(vec![again]).await, Err(StoreError::Duplicate)));
    // A commit that is refused adds nothing.
    create(store, [Record::Claim(claim(&acme, "k"))]).await;
    let twice = vec![Write::Add(used(&acme, 31, None, 1)), Write::Create(Record::Claim(claim(&acme, "k")))];
    assert!(matches!(store.commit(twice).await, Err(StoreError::Duplicate)));
    assert_eq!(store.days(&acme, date(2026, 1, 1), date(2026, 1, 31)).await.expect("an answer").len(), 1);
}

async fn a_day_that_is_set_is_that_whatever_it_was_and_is_added_to_from_there(store: &impl Store) {
    let acme = customer("acme");
    let days = || async { store.days(&acme, date(2026, 1, 1), date(2026, 1, 31)).await.expect("an answer") };
    let of = |day, value| used(&acme, day, Some("minutes"), value);
    create(store, [Record::Day(of(30, 70))]).await;
    // What is there, and what is not; a part of a day is one by itself.
    let in_shard = DayUsage { shard: 2, ..of(30, 0) };
    let set = [of(30, u64::MAX), of(31, 5), in_shard.clone()];
    store.commit(set.iter().cloned().map(Write::Set).collect()).await.expect("set");
    let mut found = days().await;
    found.sort_by_key(|it| (it.date, it.shard));
    assert_eq!(found, [of(30, u64::MAX), in_shard, of(31, 5)]);
    store.commit(vec![Write::Set(of(30, 0)), Write::Add(of(31, 2))]).await.expect("set again");
    store.commit(vec![Write::Add(of(30, 9)), Write::Add(DayUsage { shard: 2, ..of(30, 4) })]).await.expect("added");
    let mut found: Vec<u64> = days().await.into_iter().map(|it| it.value).collect();
    found.sort_unstable();
    assert_eq!(found, [4, 7, 9]);
    // It is part of its commit like every other write.
    create(store, [Record::Claim(claim(&acme, "k"))]).await;
    let refused = vec![Write::Set(of(31, 1)), Write::Create(Record::Claim(claim(&acme, "k")))];
    assert!(matches!(store.commit(refused).await, Err(StoreError::Duplicate)));
    let stale = Record::Usage(MeterUsage { version: 4, ..usage(&acme, "minutes", 0) });
    let refused = vec![Write::Set(of(31, 1)), Write::next(stale)];
    assert!(matches!(store.commit(refused).await, Err(StoreError::Conflict)));
    assert!(days().await.contains(&of(31, 7)));
}

async fn the_days_of_a_customer_are_those_between_two_dates(store: &impl Store) {
    let (acme, globex) = (customer("acme"), customer("globex"));
    let mut all = vec![];
    for day in [1, 9, 10, 31] {
        let in_shard = DayUsage { shard: 8, ..used(&acme, day, Some("zeta"), 3) };
        let alone = [used(&acme, day, None, 7), used(&acme, day, Some("agents"), 1), used(&acme, day, Some("zeta"), 2)];
        all.extend(alone.into_iter().chain([in_shard]));
    }
    create(store, all.iter().cloned().map(Record::Day)).await;
    create(store, [Record::Day(used(&globex, 10, None, 9))]).await;
    for (from, to, expected) in [(1, 31, 0..16), (9, 10, 4..12), (10, 10, 8..12), (11, 30, 0..0)] {
        let mut found = store.days(&acme, date(2026, 1, from), date(2026, 1, to)).await.expect("an answer");
        found.sort_by_key(|it| (it.date, it.meter.clone(), it.shard));
        assert_eq!(found, all[expected], "{from} to {to}");
    }
}

async fn of_many_who_count_as_many_succeed_as_the_limit_allows(store: &impl Store) {
    let acme = customer("acme");
    create(store, [Record::Usage(MeterUsage { period: Some(period_id(&acme, 3)), ..usage(&acme, "minutes", 0) })])
        .await;
    let counting = (0..100).map(|n| {
        store.commit(vec![count(&acme, 3, 1, 50), Write::Create(Record::UsageRecord(usage_record(&acme, n)))])
    });
    assert_eq!(join_all(counting).await.into_iter().filter(Result::is_ok).count(), 50);
    let counted = one(store, Key::Usage(acme.clone(), meter("minutes"))).await;
    assert!(matches!(counted, Some(Record::Usage(MeterUsage { value: 50, version: 51, .. }))), "{counted:?}");
    let keys = (0..100).map(|n| Record::UsageRecord(usage_record(&acme, n)).key()).collect();
    assert_eq!(store.get(keys).await.expect("an answer").records().len(), 50);
}

async fn customers_do_not_see_each_other(store: &impl Store) {
    let longest = "x".repeat(128);
    let names = ["acme", "acme2", "acm", "ACME", "auth0|5f7c", "auth0|", "us-east-1:a@b.c+d", "-", &longest];
    let own = |of: &CustomerId| {
        [
            Record::Subscription(active(of)),
            Record::Wallet(wallet(of)),
            Record::Payment(payment(of, 1, 1, 1)),
            Record::Claim(claim(of, "k")),
            Record::Usage(usage(of, "estates", 1)),
        ]
    };
    for name in names {
        create(store, own(&customer(name))).await;
    }
    for name in names {
        let of = customer(name);
        let live = [Record::Subscription(active(&of)), Record::Wallet(wallet(&of)), own(&of)[4].clone()];
        assert_eq!(sorted(store.live(&of).await.expect("an answer").records()), sorted(&live));
        assert_eq!(store.payments(&of, None, 100).await.expect("an answer"), [payment(&of, 1, 1, 1)]);
        for record in own(&of) {
            assert_eq!(one(store, record.key()).await, Some(record));
        }
    }
    assert_eq!(due(store, Lane::PaymentRetries, 3_600).await.len(), names.len());
}

async fn another_customers_payment_is_not_found_under_ones_own_name(store: &impl Store) {
    let (acme, globex) = (customer("acme"), customer("globex"));
    create(store, [&acme, &globex].map(|of| Record::Payment(payment(of, 1, 0, 1)))).await;
    assert_eq!(one(store, Key::Payment(acme.clone(), payment_id(&globex, 1, 0, 1))).await, None);
    let keys = vec![Key::Payment(acme.clone(), payment_id(&globex, 1, 0, 1)), Key::Wallet(acme)];
    assert!(store.get(keys).await.expect("an answer").records().is_empty());
}

async fn the_catalogue_is_the_families_and_the_current_plans(store: &impl Store) {
    assert!(store.catalogue().await.expect("an answer").records().is_empty());
    create(store, everything(&customer("acme"))).await;
    let mut changed = stored_plan("crm-professional", 1);
    changed.plan.active = false;
    store.commit(vec![Write::next(Record::Plan(changed.clone()))]).await.expect("written");
    changed.revision += 1;
    let is_shown = |record: &Record| matches!(record, Record::Family(_) | Record::Plan(_));
    let mut expected: Vec<Record> = of_all().into_iter().filter(is_shown).collect();
    expected.retain(|record| record.key() != Key::Plan(plan_id("crm-professional")));
    expected.push(Record::Plan(changed));
    let found = store.catalogue().await.expect("an answer");
    assert_eq!(sorted(found.records()), sorted(&expected));
}

async fn the_brands_are_listed_by_their_ids(store: &impl Store) {
    assert_eq!(store.brands().await.expect("an answer"), []);
    create(store, everything(&customer("acme"))).await;
    let of = |id: &str, version| Brand { version, ..brand(id) };
    create(store, ["b", "a_1", "a-1", "a"].map(|id| Record::Brand(of(id, 1)))).await;
    let telecom = Brand { logo: None, ..of("acme-telecom", 1) };
    store.commit(vec![Write::next(Record::Brand(telecom.clone()))]).await.expect("written");
    let found = store.brands().await.expect("an answer");
    let ids: Vec<&str> = found.iter().map(|it| it.id.as_str()).collect();
    assert_eq!(ids, ["3-m_obile", "a", "a-1", "a_1", "acme-telecom", "b"]);
    assert_eq!(found[4], Brand { version: 2, ..telecom });
}
