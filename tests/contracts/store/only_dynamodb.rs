//! What DynamoDB does and a store in memory does not.

use super::{due, one, sorted};
use crate::samples::payments::payment;
use crate::samples::{active, claim, customer, delivery, everything, later, tokens, wallet};
use billing::ports::{Key, Lane, Record, Store, StoreError, Write};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use tests::embedded::{Embedded, Fault};

const CONTENTION: Fault = Fault::Canceled(&["TransactionConflict"]);

fn some_tokens() -> Record {
    Record::Tokens(tokens(&customer("acme"), 1))
}

fn asked(embedded: &Embedded, operation: &str) -> u32 {
    embedded.requests().remove(operation).unwrap_or_default()
}

#[tokio::test]
async fn f10_a_transaction_that_met_another_is_tried_again() {
    let embedded = Embedded::new();
    let table = embedded.table();
    embedded.inject("TransactWriteItems", &CONTENTION, 5);
    table.commit(vec![Write::Create(some_tokens())]).await.expect("written");
    assert_eq!(one(&table, some_tokens().key()).await, Some(some_tokens()));
    assert_eq!(asked(&embedded, "TransactWriteItems"), 6);
}

#[tokio::test]
async fn f10_contention_without_end_is_given_up_and_wrote_nothing() {
    let embedded = Embedded::new();
    let table = embedded.table();
    embedded.inject("TransactWriteItems", &CONTENTION, 6);
    let refused = table.commit(vec![Write::Create(some_tokens())]).await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    assert_eq!(asked(&embedded, "TransactWriteItems"), 6);
    assert_eq!(one(&table, some_tokens().key()).await, None);
}

/// Of a replacement that met another transaction it is not known whether it
/// would have been a conflict, which outranks a duplicate.
#[tokio::test]
async fn a_duplicate_beside_contention_is_not_yet_an_answer() {
    let embedded = Embedded::new();
    let table = embedded.table();
    let known = Record::Delivery(delivery("evt_1"));
    table.commit(vec![Write::Create(known.clone()), Write::Create(some_tokens())]).await.expect("written");
    embedded.inject("TransactWriteItems", &Fault::Canceled(&["ConditionalCheckFailed", "TransactionConflict"]), 1);
    let stale = Write::Replace { record: some_tokens(), seen: 7 };
    let refused = table.commit(vec![Write::Create(known), stale]).await;
    assert!(matches!(refused, Err(StoreError::Conflict)), "{refused:?}");
}

#[tokio::test]
async fn f11_a_write_whose_answer_was_lost_is_written_once() {
    let embedded = Embedded::new();
    let table = embedded.table();
    embedded.inject("TransactWriteItems", &Fault::LostAnswer, 1);
    table.commit(vec![Write::Create(some_tokens())]).await.expect("written");
    embedded.inject("TransactWriteItems", &Fault::LostAnswer, 1);
    table.commit(vec![Write::next(some_tokens())]).await.expect("written");
    assert!(one(&table, some_tokens().key()).await.is_some_and(|record| record.version() == Some(2)));
    assert_eq!(asked(&embedded, "TransactWriteItems"), 4);
}

#[tokio::test]
async fn f9_a_throttled_request_is_sent_again() {
    let embedded = Embedded::new();
    let table = embedded.table();
    for operation in ["TransactWriteItems", "GetItem", "Query"] {
        embedded.inject(operation, &Fault::Throttled, 1);
    }
    table.commit(vec![Write::Create(some_tokens())]).await.expect("written");
    assert_eq!(one(&table, some_tokens().key()).await, Some(some_tokens()));
    assert_eq!(table.live(&customer("acme")).await.expect("an answer").records(), [some_tokens()]);
}

#[tokio::test]
async fn f9_throttling_without_end_is_told() {
    let embedded = Embedded::new();
    embedded.inject("GetItem", &Fault::Throttled, 10);
    let refused = embedded.table().get(vec![some_tokens().key()]).await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
}

#[tokio::test]
async fn f9_what_a_throttled_batch_left_is_read_too() {
    let embedded = Embedded::new();
    let table = embedded.table();
    let of: Vec<_> = (0..5).map(|n| customer(&format!("customer-{n}"))).collect();
    let stored: Vec<Record> = of.iter().map(|of| Record::Tokens(tokens(of, 1))).collect();
    table.commit(stored.iter().cloned().map(Write::Create).collect()).await.expect("written");
    embedded.inject("BatchGetItem", &Fault::Unprocessed { read: 0 }, 1);
    embedded.inject("BatchGetItem", &Fault::Unprocessed { read: 1 }, 4);
    let found = table.get(of.iter().cloned().map(Key::Tokens).collect()).await.expect("an answer");
    assert_eq!(sorted(found.records()), sorted(&stored));
    assert_eq!(asked(&embedded, "BatchGetItem"), 6);

    // Half an answer would pass for "does not exist".
    embedded.inject("BatchGetItem", &Fault::Unprocessed { read: 0 }, 6);
    let refused = table.get(of.into_iter().map(Key::Tokens).collect()).await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
}

#[tokio::test]
async fn answers_of_several_pages_are_read_to_the_end() {
    let embedded = Embedded::new();
    let table = embedded.table();
    let acme = customer("acme");
    let payments: Vec<_> = (1..=9).rev().map(|attempt| payment(&acme, 1, 1, attempt)).collect();
    let all = everything(&acme).into_iter().filter(|record| !matches!(record, Record::Payment(_)));
    for record in all.chain(payments.iter().cloned().map(Record::Payment)) {
        table.commit(vec![Write::Create(record)]).await.expect("written");
    }
    embedded.page_by(2);
    assert_eq!(table.payments(&acme, None, 7).await.expect("an answer"), payments[..7]);
    assert_eq!(table.payments(&acme, Some(&payments[2].id), 100).await.expect("an answer"), payments[3..]);
    assert_eq!(table.live(&acme).await.expect("an answer").records().len(), 10);
    assert_eq!(table.catalogue().await.expect("an answer").records().len(), 8);
    assert_eq!(due(&table, Lane::PaymentRetries, 3_600).await.len(), 13, "payments, deliveries, wallet and account");
}

/// I-24: what a newer release wrote may mean what this one does not know.
#[tokio::test]
async fn a_record_of_a_newer_schema_is_refused_and_left_alone() {
    let acme = customer("acme");
    for record in everything(&acme) {
        let embedded = Embedded::new();
        let table = embedded.table();
        table.commit(vec![Write::Create(record.clone())]).await.expect("written");
        let item = embedded.items().pop().expect("an item");
        let (mut newer, mut unmarked) = (item.clone(), item);
        newer["schema"] = json!({"N": "11"});
        unmarked.as_object_mut().map(|item| item.remove("schema"));
        for item in [newer, unmarked] {
            embedded.put(&item);
            let refused = table.get(vec![record.key()]).await;
            assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{record:?}");
            assert_eq!(embedded.items(), [item]);
        }
    }
}

#[tokio::test]
async fn lists_with_a_record_of_a_newer_schema_are_refused() {
    let embedded = Embedded::new();
    let table = embedded.table();
    let acme = customer("acme");
    for record in [Record::Payment(payment(&acme, 1, 1, 1)), Record::Wallet(wallet(&acme))] {
        table.commit(vec![Write::Create(record)]).await.expect("written");
    }
    for mut item in embedded.items() {
        item["schema"] = json!({"N": "11"});
        embedded.put(&item);
    }
    assert!(matches!(table.live(&acme).await, Err(StoreError::Unavailable(_))));
    assert!(matches!(table.payments(&acme, None, 10).await, Err(StoreError::Unavailable(_))));
    // Its name is all that a sweep needs; the worker then refuses the record.
    assert_eq!(due(&table, Lane::PaymentRetries, 3_600).await.len(), 1);
}

/// F31: time to live is for what may be forgotten, and never for money.
#[tokio::test]
async fn only_claims_uses_their_days_and_finished_deliveries_and_mails_are_ever_forgotten() {
    let embedded = Embedded::new();
    let table = embedded.table();
    let acme = customer("acme");
    let all = everything(&acme);
    for record in all.clone() {
        table.commit(vec![Write::Create(record)]).await.expect("written");
    }
    let kind = |item: &Value| {
        let part = |name: &str| item[name]["S"].as_str().and_then(|text| text.split('#').next()).map(str::to_owned);
        (part("pk").unwrap_or_default(), part("sk").unwrap_or_default())
    };
    let forgotten = |item: &&Value| item.get(embedded.forgets_by()).is_some_and(|at| at["N"].is_string());
    let items = embedded.items();
    assert_eq!(items.len(), all.len());
    let kinds: BTreeSet<_> = items.iter().filter(forgotten).map(kind).collect();
    let pair = |pk: &str, sk: &str| (pk.to_owned(), sk.to_owned());
    let of_customer = [pair("CUST", "CLAIM"), pair("CUST", "COUNT"), pair("CUST", "DAY")];
    let of_all = [pair("HOOK", "HOOK"), pair("MAIL", "MAIL")];
    assert_eq!(kinds, BTreeSet::from_iter(of_customer.into_iter().chain(of_all)));
    let count = items.iter().filter(forgotten).count();
    assert_eq!(count, 12, "three claims, two uses, their three days, the delivery and the three mails that are done");

    let stored = embedded.items().into_iter().find(|item| kind(item) == pair("CUST", "CLAIM")).expect("a claim");
    let at = claim(&acme, "k").expires_at.as_second().to_string();
    assert_eq!(stored[embedded.forgets_by()]["N"], at, "in seconds, as DynamoDB counts");
}

/// What is still to be done must not be forgotten on the way.
#[tokio::test]
async fn a_delivery_that_waits_is_kept_and_one_that_is_done_is_not_due() {
    let embedded = Embedded::new();
    let table = embedded.table();
    let waiting = delivery("evt#1").waiting(later(0));
    table.commit(vec![Write::Create(Record::Delivery(waiting.clone()))]).await.expect("written");
    let item = embedded.item("HOOK#stripe#evt#1", "HOOK").expect("an item");
    assert!(item.get(embedded.forgets_by()).is_none() && item.get("due").is_some() && item.get("due_at").is_some());
    table.commit(vec![Write::next(Record::Delivery(waiting.finished()))]).await.expect("written");
    let item = embedded.item("HOOK#stripe#evt#1", "HOOK").expect("an item");
    assert!(item.get(embedded.forgets_by()).is_some() && item.get("due").is_none() && item.get("due_at").is_none());
}

#[tokio::test]
async fn only_records_with_something_left_to_do_are_in_the_index() {
    let embedded = Embedded::new();
    let table = embedded.table();
    let all = everything(&customer("acme"));
    for record in all.clone() {
        table.commit(vec![Write::Create(record)]).await.expect("written");
    }
    let indexed = embedded.items().iter().filter(|item| item.get("due").is_some()).count();
    assert_eq!(indexed, all.iter().filter(|record| record.due().is_some()).count());
    assert!(active(&customer("acme")).due_at().is_some() && indexed > 3);
}
