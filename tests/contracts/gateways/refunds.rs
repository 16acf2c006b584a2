//! Giving back what was taken, in parts or whole: once, however often it is asked.

use super::customer::Card;
use super::desk::Desk;
use super::payments::{owing, part, receipt, renewal, settled};
use billing::outcome::RefundOutcome;
use billing::payment::{Gateway, Payment, Refund, RefundStatus};
use billing::ports::{GatewayError, Gateways};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::time::Duration;

promises![
    a_refund_is_made_once_however_often_it_is_asked,
    parts_that_differ_in_nothing_but_their_number_are_two,
    all_parts_together_are_never_more_than_was_taken,
    a_refund_is_of_the_money_that_was_taken,
    a_refund_under_way_becomes_a_refund_that_is_done,
    f34_a_refund_whose_answer_was_lost_is_not_made_again,
    a_refund_that_was_lost_is_made_when_asked_again,
    a_refund_is_not_made_again_when_keys_are_forgotten,
    a_refund_that_failed_is_told_and_another_is_made,
    what_was_given_back_by_hand_is_not_given_back_again,
    nothing_is_given_back_that_is_not_owed,
];

/// A renewal that was charged, with these parts of it to be given back.
async fn owed(desk: &Desk, parts: &[i64]) -> (Payment, Vec<Refund>) {
    let payment = renewal(&desk.saved().await, 1);
    let taken = receipt(desk.clients.charge(&payment).await.expect("an answer"));
    in_parts(settled(payment, taken), parts)
}

fn in_parts(payment: Payment, parts: &[i64]) -> (Payment, Vec<Refund>) {
    let refunds: Vec<Refund> = (1..).zip(parts).map(|(number, minor)| part(&payment, number, *minor)).collect();
    (owing(payment, &refunds), refunds)
}

/// All that a page of the gateway costs.
fn whole(desk: &Desk) -> i64 {
    super::payments::checkout(desk.gateway).amount.minor
}

/// A checkout that was paid with `card` and must go back.
async fn owed_by(desk: &Desk, card: Card) -> (Payment, Refund) {
    let payment = desk.opened().await;
    let taken = receipt(desk.pay(&payment, card).await);
    let (payment, mut refunds) = in_parts(settled(payment, taken), &[whole(desk)]);
    let fault = match card {
        Card::Pays | Card::Declines => None,
        Card::RefundsPend => Some(json!({"kind": "pending", "seconds": 5})),
        Card::RefundsFail => Some(json!({"kind": "pending", "seconds": 5, "code": "1000"})),
    };
    if let (Gateway::Flitt | Gateway::PayPal, Some(fault)) = (desk.gateway, fault) {
        desk.fault("refund", &fault);
    }
    (payment, refunds.remove(0))
}

/// What comes of a refund in the end, by the gateway's word.
async fn concluded(desk: &Desk, payment: &Payment, refund: &Refund) -> RefundOutcome {
    desk.admin("clock", &json!({"advance_seconds": 10}));
    for _ in 0..500 {
        match desk.clients.refund(payment, refund).await.expect("an answer") {
            RefundOutcome::Pending => tokio::time::sleep(Duration::from_millis(10)).await,
            ended @ (RefundOutcome::Done { .. } | RefundOutcome::Failed { .. }) => return ended,
        }
    }
    panic!("the refund stays pending");
}

/// The refund's id, once the gateway calls it done.
async fn done(desk: &Desk, payment: &Payment, refund: &Refund) -> String {
    let ended = concluded(desk, payment, refund).await;
    let RefundOutcome::Done { id } = ended else { panic!("{ended:?}") };
    id
}

fn given_back(desk: &Desk, payment: &Payment) -> Vec<i64> {
    let refunds = desk.refunds(payment);
    let minor = |refund: &Value| refund["amount"]["minor"].as_i64().expect("an amount");
    refunds.iter().filter(|refund| !refund["status"].as_str().is_some_and(is_failed)).map(minor).collect()
}

fn is_failed(status: &str) -> bool {
    status.eq_ignore_ascii_case("failed")
}

async fn a_refund_is_made_once_however_often_it_is_asked(desk: &Desk) {
    for (parts, given) in [(vec![whole(desk)], vec![whole(desk)]), (vec![1_000], vec![1_000])] {
        let (payment, refunds) = owed(desk, &parts).await;
        let id = done(desk, &payment, &refunds[0]).await;
        assert_eq!(done(desk, &payment, &refunds[0]).await, id);
        assert_eq!(given_back(desk, &payment), given);
        desk.admin("reset", &json!({}));
    }
}

async fn parts_that_differ_in_nothing_but_their_number_are_two(desk: &Desk) {
    let (payment, refunds) = owed(desk, &[1_000, 1_000]).await;
    let first = done(desk, &payment, &refunds[0]).await;
    let payment = told_done(payment, &first);
    let second = done(desk, &payment, &refunds[1]).await;
    assert_ne!(first, second);
    for _ in 0..2 {
        assert_eq!(done(desk, &payment, &refunds[0]).await, first);
        assert_eq!(done(desk, &payment, &refunds[1]).await, second);
    }
    assert_eq!(given_back(desk, &payment), [1_000, 1_000]);
}

/// `payment` when its first refund is known to be done.
fn told_done(payment: Payment, id: &str) -> Payment {
    let mut refunds = payment.paid().expect("paid").refunds.clone();
    refunds[0].status = RefundStatus::Done { id: id.to_owned(), at: Timestamp::now() };
    owing(payment, &refunds)
}

async fn all_parts_together_are_never_more_than_was_taken(desk: &Desk) {
    let most = whole(desk);
    let (payment, refunds) = owed(desk, &[most - 100, 101, 100]).await;
    let id = done(desk, &payment, &refunds[0]).await;
    let payment = told_done(payment, &id);
    let refused = concluded(desk, &payment, &refunds[1]).await;
    assert!(matches!(refused, RefundOutcome::Failed { .. }), "{refused:?}");
    done(desk, &payment, &refunds[2]).await;
    assert_eq!(given_back(desk, &payment), [most - 100, 100]);
}

async fn a_refund_is_of_the_money_that_was_taken(desk: &Desk) {
    let payment = renewal(&desk.saved().await, 1);
    let taken = whole(desk) + 1_700;
    desk.fault("off_session", &json!({"kind": "wrong_amount", "minor": taken}));
    let receipt = receipt(desk.clients.charge(&payment).await.expect("an answer"));
    let (payment, refunds) = in_parts(settled(payment, receipt), &[taken]);
    done(desk, &payment, &refunds[0]).await;
    assert_eq!(given_back(desk, &payment), [taken]);
    assert_eq!(desk.charges(&payment)[0]["refunded"], taken);
}

async fn a_refund_under_way_becomes_a_refund_that_is_done(desk: &Desk) {
    let (payment, refund) = owed_by(desk, Card::RefundsPend).await;
    for _ in 0..2 {
        assert_eq!(desk.clients.refund(&payment, &refund).await.expect("an answer"), RefundOutcome::Pending);
    }
    done(desk, &payment, &refund).await;
    assert_eq!(given_back(desk, &payment), [whole(desk)]);
}

async fn f34_a_refund_whose_answer_was_lost_is_not_made_again(desk: &Desk) {
    for fault in [json!({"kind": "timeout_after", "ms": 20}), json!({"kind": "error_500_after"})] {
        let (payment, refunds) = owed(desk, &[1_000]).await;
        desk.fault("refund", &fault);
        let answer = desk.clients.refund(&payment, &refunds[0]).await;
        assert!(matches!(answer, Err(GatewayError::NoAnswer(_))), "{answer:?}");
        assert_eq!(given_back(desk, &payment), [1_000]);
        done(desk, &payment, &refunds[0]).await;
        assert_eq!(given_back(desk, &payment), [1_000]);
        desk.admin("reset", &json!({}));
    }
}

async fn a_refund_that_was_lost_is_made_when_asked_again(desk: &Desk) {
    let (payment, refunds) = owed(desk, &[1_000]).await;
    desk.fault("refund", &json!({"kind": "timeout_before", "ms": 20}));
    let answer = desk.clients.refund(&payment, &refunds[0]).await;
    assert!(matches!(answer, Err(GatewayError::NoAnswer(_))), "{answer:?}");
    assert!(desk.refunds(&payment).is_empty());
    done(desk, &payment, &refunds[0]).await;
    assert_eq!(given_back(desk, &payment), [1_000]);
}

/// Months later, too.
async fn a_refund_is_not_made_again_when_keys_are_forgotten(desk: &Desk) {
    let (payment, refunds) = owed(desk, &[1_000, 1_000]).await;
    let first = done(desk, &payment, &refunds[0]).await;
    let payment = told_done(payment, &first);
    let second = done(desk, &payment, &refunds[1]).await;
    desk.admin("forget-keys", &json!({}));
    desk.admin("clock", &json!({"advance_seconds": 60 * 86_400}));
    assert_eq!(done(desk, &payment, &refunds[0]).await, first);
    assert_eq!(done(desk, &payment, &refunds[1]).await, second);
    assert_eq!(given_back(desk, &payment), [1_000, 1_000]);
}

/// A key's first answer is not the answer to a second refund.
async fn a_refund_that_failed_is_told_and_another_is_made(desk: &Desk) {
    let (payment, refund) = owed_by(desk, Card::RefundsFail).await;
    desk.clients.refund(&payment, &refund).await.expect("an answer");
    desk.admin("clock", &json!({"advance_seconds": 10}));
    for _ in 0..500 {
        if given_back(desk, &payment).is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    for _ in 0..2 {
        let failed = desk.clients.refund(&payment, &refund).await.expect("an answer");
        assert!(matches!(failed, RefundOutcome::Failed { .. }), "{failed:?}");
    }
    let next = part(&payment, 2, whole(desk));
    for _ in 0..2 {
        desk.clients.refund(&payment, &next).await.expect("an answer");
    }
    assert_eq!((desk.refunds(&payment).len(), given_back(desk, &payment)), (2, vec![whole(desk)]));
}

async fn what_was_given_back_by_hand_is_not_given_back_again(desk: &Desk) {
    let (payment, refunds) = owed(desk, &[whole(desk)]).await;
    let receipt = payment.paid().expect("paid").receipt.clone();
    desk.refund_by_hand(&payment, &receipt, whole(desk)).await;
    for _ in 0..2 {
        // Gone is gone: that it was not by us may be told as done, or as refused.
        let answer = concluded(desk, &payment, &refunds[0]).await;
        assert!(!matches!(answer, RefundOutcome::Pending), "{answer:?}");
    }
    assert_eq!(given_back(desk, &payment), [whole(desk)]);
}

/// Whoever calls a refund of what was never paid has a bug; nothing must move.
async fn nothing_is_given_back_that_is_not_owed(desk: &Desk) {
    let payment = desk.opened().await;
    let refused = desk.clients.refund(&payment, &part(&payment, 1, 100)).await;
    match desk.gateway {
        // Their receipt is what a refund names, and there is none.
        Gateway::Stripe | Gateway::Paystack | Gateway::PayPal => {
            assert!(matches!(refused, Err(GatewayError::Rejected(_))), "{refused:?}");
        }
        Gateway::Flitt => assert!(!matches!(refused, Ok(RefundOutcome::Done { .. })), "{refused:?}"),
    }
    assert!(desk.refunds(&payment).is_empty());
}
