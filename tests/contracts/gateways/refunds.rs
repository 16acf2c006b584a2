//! Giving back what was taken: once, however often it is asked.

use super::desk::{Card, Desk, owed_back, receipt, renewal};
use billing::outcome::RefundOutcome;
use billing::payment::Payment;
use billing::ports::{GatewayError, Gateways};
use serde_json::json;
use std::time::Duration;

promises![
    a_refund_is_made_once_however_often_it_is_asked,
    a_refund_is_of_everything_that_was_taken,
    a_refund_under_way_becomes_a_refund_that_is_done,
    f34_a_refund_whose_answer_was_lost_is_not_made_again,
    a_refund_that_was_lost_is_made_when_asked_again,
    a_refund_is_not_made_again_when_keys_are_forgotten,
    a_refund_that_failed_is_made_anew,
    nothing_is_given_back_that_is_not_owed,
];

/// A renewal that was charged and must go back.
async fn owed(desk: &Desk) -> Payment {
    let payment = renewal(&desk.saved().await, 1);
    let receipt = receipt(Some(desk.clients.charge(&payment).await.expect("an answer")));
    owed_back(payment, receipt)
}

/// A checkout that was paid with `card` and must go back.
async fn owed_by(desk: &Desk, card: Card) -> Payment {
    let payment = desk.opened().await;
    assert!(desk.visit(&payment, card).await.is_ok());
    let receipt = receipt(desk.clients.find(&payment).await.expect("an answer"));
    owed_back(payment, receipt)
}

/// The refund's id, once the gateway calls it done.
async fn done(desk: &Desk, payment: &Payment) -> String {
    desk.admin("clock", &json!({"advance_seconds": 10}));
    for _ in 0..500 {
        if let RefundOutcome::Done { id } = desk.clients.refund(payment).await.expect("an answer") {
            return id;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the refund stays pending");
}

async fn a_refund_is_made_once_however_often_it_is_asked(desk: &Desk) {
    let payment = owed(desk).await;
    let id = done(desk, &payment).await;
    assert_eq!(done(desk, &payment).await, id);
    assert_eq!(desk.refunds(&payment).len(), 1);
}

async fn a_refund_is_of_everything_that_was_taken(desk: &Desk) {
    let payment = renewal(&desk.saved().await, 1);
    desk.fault("off_session", &json!({"kind": "wrong_amount", "minor": 999_900}), 1);
    let receipt = receipt(Some(desk.clients.charge(&payment).await.expect("an answer")));
    let payment = owed_back(payment, receipt);
    done(desk, &payment).await;
    assert_eq!(desk.refunds(&payment)[0]["amount"]["minor"], 999_900);
    assert_eq!(desk.charges(&payment)[0]["refunded"], 999_900);
}

async fn a_refund_under_way_becomes_a_refund_that_is_done(desk: &Desk) {
    let payment = owed_by(desk, Card::RefundsPend).await;
    assert_eq!(desk.clients.refund(&payment).await.expect("an answer"), RefundOutcome::Pending);
    assert_eq!(desk.clients.refund(&payment).await.expect("an answer"), RefundOutcome::Pending);
    done(desk, &payment).await;
    assert_eq!(desk.refunds(&payment).len(), 1);
}

async fn f34_a_refund_whose_answer_was_lost_is_not_made_again(desk: &Desk) {
    for fault in [json!({"kind": "timeout_after", "ms": 20}), json!({"kind": "error_500_after"})] {
        let payment = owed(desk).await;
        desk.fault("refund", &fault, 1);
        assert!(matches!(desk.clients.refund(&payment).await, Err(GatewayError::NoAnswer(_))));
        assert_eq!(desk.refunds(&payment).len(), 1);
        done(desk, &payment).await;
        assert_eq!(desk.refunds(&payment).len(), 1);
        desk.admin("reset", &json!({}));
    }
}

async fn a_refund_that_was_lost_is_made_when_asked_again(desk: &Desk) {
    let payment = owed(desk).await;
    desk.fault("refund", &json!({"kind": "timeout_before", "ms": 20}), 1);
    assert!(matches!(desk.clients.refund(&payment).await, Err(GatewayError::NoAnswer(_))));
    assert!(desk.refunds(&payment).is_empty());
    done(desk, &payment).await;
    assert_eq!(desk.refunds(&payment).len(), 1);
}

async fn a_refund_is_not_made_again_when_keys_are_forgotten(desk: &Desk) {
    let payment = owed(desk).await;
    let id = done(desk, &payment).await;
    desk.admin("forget-keys", &json!({}));
    assert_eq!(done(desk, &payment).await, id);
    assert_eq!(desk.refunds(&payment).len(), 1);
}

/// A key's first answer is not the answer to a second refund.
async fn a_refund_that_failed_is_made_anew(desk: &Desk) {
    let payment = owed_by(desk, Card::RefundsFail).await;
    desk.clients.refund(&payment).await.expect("an answer");
    desk.admin("clock", &json!({"advance_seconds": 10}));
    for _ in 0..500 {
        if desk.refunds(&payment)[0]["status"] == "failed" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(desk.refunds(&payment)[0]["status"], "failed");
    desk.clients.refund(&payment).await.expect("an answer");
    desk.clients.refund(&payment).await.expect("an answer");
    let statuses: Vec<_> = desk.refunds(&payment).iter().map(|refund| refund["status"] != "failed").collect();
    assert_eq!(statuses, [false, true]);
}

async fn nothing_is_given_back_that_is_not_owed(desk: &Desk) {
    let payment = renewal(&desk.saved().await, 1);
    desk.clients.charge(&payment).await.expect("an answer");
    assert!(matches!(desk.clients.refund(&payment).await, Err(GatewayError::Rejected(_))));
    assert!(desk.refunds(&payment).is_empty());
}
