//! What is due, and when: the alarm clock of the whole system.

use super::{create, due};
use crate::samples::payments::{paid, payment, refund};
use crate::samples::{account, active, customer, delivery, later, leaving, mail, now, of_all, past_due};
use billing::delivery::DeliveryStatus;
use billing::id::CustomerId;
use billing::outcome::{Aftermath, Dispute, DisputeStanding};
use billing::payment::{Paid, Payment, PaymentStatus};
use billing::ports::{Lane, Record, Store, Wanted, Write};
use billing::subscription::Subscription;
use jiff::Timestamp;
use std::collections::BTreeSet;

promises![
    a_record_is_due_in_its_lane_from_that_very_second,
    what_is_due_comes_with_when_and_what_is_due_first_is_among_it,
    a_record_that_wants_nothing_any_more_is_not_due,
    a_record_whose_time_moves_is_due_then,
    a_record_with_several_things_to_do_is_due_for_the_first,
    a_paid_payment_is_due_for_its_refunds_and_its_next_look,
    no_more_is_due_than_was_asked_for,
];

async fn a_record_is_due_in_its_lane_from_that_very_second(store: &impl Store) {
    let (acme, globex) = (customer("acme"), customer("auth0|globex"));
    let month = now().duration_until(active(&acme).due_at().expect("an end")).as_secs();
    let waiting = delivery("evt#1|#").waiting(later(3_300));
    let records = [
        (Record::Subscription(active(&acme)), Lane::Renewals, month),
        (Record::Subscription(past_due(&globex, later(60))), Lane::PaymentRetries, 60),
        (Record::Payment(payment(&globex, 12, 34, 5)), Lane::PaymentRetries, 3_600),
        (Record::Delivery(waiting), Lane::PaymentRetries, 3_600),
        (Record::Wallet(leaving(&acme, &[7_200, 61, 62])), Lane::PaymentRetries, 61),
        (Record::Account(account(&globex, 60)), Lane::PaymentRetries, 60),
        (Record::Mail(mail(&globex, 60)), Lane::Mails, 60),
    ];
    create(store, of_all().into_iter().filter(|record| record.due().is_none())).await;
    create(store, records.iter().map(|(record, ..)| record.clone())).await;
    for lane in Lane::ALL {
        for seconds in [-1, 0, 59, 60, 61, 3_599, 3_600, month - 1, month, month + 86_400 * 365] {
            let expected = records.iter().filter(|(_, of, at)| *of == lane && *at <= seconds);
            let expected = expected.filter_map(|(record, ..)| record.due()).map(|(.., wanted)| wanted).collect();
            assert_eq!(due(store, lane, seconds).await, expected, "{lane:?} {seconds}");
        }
    }
}

async fn what_is_due_comes_with_when_and_what_is_due_first_is_among_it(store: &impl Store) {
    let names: Vec<CustomerId> = (0..40).map(|n| customer(&format!("customer-{n}"))).collect();
    let owing = |(n, of): (usize, &CustomerId)| Record::Subscription(past_due(of, later(100 - n as i64)));
    create(store, names.iter().enumerate().map(owing)).await;
    let first = (later(61), Wanted::Subscription { customer: names[39].clone() });
    for limit in [1, 9, 40] {
        let due = store.due(Lane::PaymentRetries, Timestamp::MAX, limit).await.expect("an answer");
        assert_eq!(due.first(), Some(&first), "of {limit}");
        assert!(due.is_sorted());
    }
    let all = store.due(Lane::PaymentRetries, Timestamp::MAX, u32::MAX).await.expect("an answer");
    assert_eq!(all.len(), names.len());
}

async fn a_record_that_wants_nothing_any_more_is_not_due(store: &impl Store) {
    let acme = customer("acme");
    let (owed, waiting) = (payment(&acme, 1, 1, 1), delivery("evt_1").waiting(now()));
    let removing = leaving(&acme, &[60]);
    let all = [Record::Payment(owed.clone()), Record::Delivery(waiting.clone()), Record::Wallet(removing.clone())];
    create(store, all).await;
    assert_eq!(due(store, Lane::PaymentRetries, 3_600).await.len(), 3);
    let settled = Payment { status: PaymentStatus::Expired { at: now() }, ..owed };
    let finished = waiting.finished();
    assert_eq!(finished.status, DeliveryStatus::Done);
    let gone = removing.clone().forgotten(&removing.leaving[0].method);
    assert!(gone.leaving.is_empty());
    let next = [Record::Payment(settled), Record::Delivery(finished), Record::Wallet(gone)];
    store.commit(next.map(Write::next).to_vec()).await.expect("written");
    assert!(due(store, Lane::PaymentRetries, 86_400 * 365).await.is_empty());
}

async fn a_record_whose_time_moves_is_due_then(store: &impl Store) {
    let acme = customer("acme");
    create(store, [Record::Subscription(active(&acme))]).await;
    let mut owing = past_due(&acme, later(120));
    let wanted = BTreeSet::from([Wanted::Subscription { customer: acme.clone() }]);
    for seconds in [120, 60, 240] {
        let status = past_due(&acme, later(seconds)).status;
        owing = Subscription { status, ..owing };
        store.commit(vec![Write::next(Record::Subscription(owing.clone()))]).await.expect("written");
        owing.version += 1;
        assert!(due(store, Lane::PaymentRetries, seconds - 1).await.is_empty());
        assert_eq!(due(store, Lane::PaymentRetries, seconds).await, wanted);
        assert!(due(store, Lane::Renewals, 86_400 * 365).await.is_empty());
    }
}

async fn a_record_with_several_things_to_do_is_due_for_the_first(store: &impl Store) {
    let acme = customer("acme");
    let removing = leaving(&acme, &[240, 60, 120]);
    create(store, [Record::Wallet(removing.clone()), Record::Account(account(&acme, 180))]).await;
    let (wallet, account) = (Wanted::Wallet { customer: acme.clone() }, Wanted::Account { customer: acme });
    let first = removing.clone().forgotten(&removing.leaving[1].method);
    assert!(due(store, Lane::PaymentRetries, 59).await.is_empty());
    assert_eq!(due(store, Lane::PaymentRetries, 60).await, BTreeSet::from([wallet.clone()]));
    store.commit(vec![Write::next(Record::Wallet(first))]).await.expect("written");
    assert!(due(store, Lane::PaymentRetries, 119).await.is_empty());
    assert_eq!(due(store, Lane::PaymentRetries, 180).await, BTreeSet::from([wallet, account]));
    assert!(due(store, Lane::Renewals, 86_400).await.is_empty());
}

async fn a_paid_payment_is_due_for_its_refunds_and_its_next_look(store: &impl Store) {
    let acme = customer("acme");
    let known = |paid: Paid| Payment { status: PaymentStatus::Paid(paid), ..payment(&acme, 1, 1, 1) };
    let looked_at = Paid { look_at: Some(later(600)), ..paid() };
    create(store, [Record::Payment(known(looked_at.clone()))]).await;
    assert!(due(store, Lane::PaymentRetries, 599).await.is_empty());
    assert_eq!(due(store, Lane::PaymentRetries, 600).await.len(), 1);

    let owing = Paid { refunds: vec![refund(1, 1)], ..looked_at };
    store.commit(vec![Write::next(Record::Payment(known(owing)))]).await.expect("written");
    assert_eq!(due(store, Lane::PaymentRetries, 0).await.len(), 1);

    let dispute = Dispute { id: "dp_1".to_owned(), reason: "fraudulent".to_owned(), standing: DisputeStanding::Lost };
    let lost = known(Paid { aftermath: Aftermath { returned: 0, dispute: Some(dispute) }, ..paid() });
    store.commit(vec![Write::next(Record::Payment(Payment { version: 2, ..lost }))]).await.expect("written");
    assert!(due(store, Lane::PaymentRetries, 86_400 * 365).await.is_empty());
}

async fn no_more_is_due_than_was_asked_for(store: &impl Store) {
    let names: Vec<CustomerId> = (0..60).map(|n| customer(&format!("customer-{n}"))).collect();
    let payments = names.iter().map(|of| Write::Create(Record::Payment(payment(of, 1, 1, 1))));
    store.commit(payments.collect()).await.expect("written");
    for limit in [1, 7, 8, 20, 60, 1_000] {
        let due = store.due(Lane::PaymentRetries, later(3_600), limit).await.expect("an answer");
        assert!(!due.is_empty() && due.len() <= limit as usize, "{} of {limit}", due.len());
    }
    assert_eq!(due(store, Lane::PaymentRetries, 3_600).await.len(), names.len());
}
