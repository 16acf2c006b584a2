//! When nobody answers, nothing is known: not that it happened, not that it did not.

use super::desk::{Desk, receipt, renewal};
use billing::outcome::Outcome;
use billing::payment::{Gateway, Payment};
use billing::ports::{GatewayError, Gateways};
use serde_json::{Value, json};
use std::time::Duration;

promises![
    f4_a_charge_that_was_made_and_not_answered_is_found,
    f4_a_charge_that_was_lost_is_unknown_and_made_when_sent_again,
    f33_a_server_error_before_the_charge_never_leads_to_two,
    f33_a_server_error_after_the_charge_never_leads_to_two,
    f5_a_charge_that_lands_later_is_one_charge,
    f7_a_charge_is_found_when_its_key_is_forgotten,
    a_lookup_that_is_not_answered_says_nothing,
];

fn timeout(kind: &str) -> Value {
    json!({"kind": kind, "ms": 20})
}

async fn unanswered(desk: &Desk, payment: &Payment) {
    let answer = desk.clients.charge(payment).await;
    assert!(matches!(answer, Err(GatewayError::NoAnswer(_))), "{answer:?}");
}

async fn f4_a_charge_that_was_made_and_not_answered_is_found(desk: &Desk) {
    let payment = renewal(&desk.saved().await, 1);
    desk.fault("off_session", &timeout("timeout_after"), 1);
    unanswered(desk, &payment).await;
    assert_eq!(receipt(desk.clients.find(&payment).await.expect("an answer")).amount, payment.amount);
    // Also whoever does not look first takes nothing twice.
    assert_eq!(receipt(Some(desk.clients.charge(&payment).await.expect("an answer"))).amount, payment.amount);
    assert_eq!(desk.charges(&payment).len(), 1);
}

async fn f4_a_charge_that_was_lost_is_unknown_and_made_when_sent_again(desk: &Desk) {
    let payment = renewal(&desk.saved().await, 1);
    desk.fault("off_session", &timeout("timeout_before"), 1);
    unanswered(desk, &payment).await;
    assert_eq!(desk.clients.find(&payment).await.expect("an answer"), None);
    assert!(desk.charges(&payment).is_empty());
    assert_eq!(receipt(Some(desk.clients.charge(&payment).await.expect("an answer"))).amount, payment.amount);
    assert_eq!(desk.charges(&payment).len(), 1);
}

async fn f33_a_server_error_before_the_charge_never_leads_to_two(desk: &Desk) {
    let payment = renewal(&desk.saved().await, 1);
    desk.fault("off_session", &json!({"kind": "error_500"}), 1);
    unanswered(desk, &payment).await;
    assert_eq!(desk.clients.find(&payment).await.expect("an answer"), None);
    match desk.gateway {
        // Stripe answers a key's first 500 again, for a day; it stays unknown.
        Gateway::Stripe => {
            unanswered(desk, &payment).await;
            assert!(desk.charges(&payment).is_empty());
        }
        Gateway::Paystack => {
            assert_eq!(receipt(Some(desk.clients.charge(&payment).await.expect("an answer"))).amount, payment.amount);
            assert_eq!(desk.charges(&payment).len(), 1);
        }
    }
}

async fn f33_a_server_error_after_the_charge_never_leads_to_two(desk: &Desk) {
    let payment = renewal(&desk.saved().await, 1);
    desk.fault("off_session", &json!({"kind": "error_500_after"}), 1);
    unanswered(desk, &payment).await;
    assert_eq!(receipt(desk.clients.find(&payment).await.expect("an answer")).amount, payment.amount);
    match (desk.gateway, desk.clients.charge(&payment).await) {
        (Gateway::Stripe, Err(GatewayError::NoAnswer(_))) => {}
        (Gateway::Paystack, Ok(outcome)) => assert_eq!(receipt(Some(outcome)).amount, payment.amount),
        (_, other) => panic!("{other:?}"),
    }
    assert_eq!(desk.charges(&payment).len(), 1);
}

async fn f5_a_charge_that_lands_later_is_one_charge(desk: &Desk) {
    let payment = renewal(&desk.saved().await, 1);
    desk.fault("off_session", &json!({"kind": "delay", "ms": 150}), 1);
    let impatient = tokio::time::timeout(Duration::from_millis(50), desk.clients.charge(&payment)).await;
    assert!(impatient.is_err(), "it was given up");
    for _ in 0..500 {
        match desk.clients.find(&payment).await.expect("an answer") {
            Some(Outcome::Succeeded { .. }) => break,
            // Asked too early: nobody can know yet.
            None | Some(Outcome::Pending(_)) => tokio::time::sleep(Duration::from_millis(10)).await,
            Some(other) => panic!("{other:?}"),
        }
    }
    assert_eq!(receipt(Some(desk.clients.charge(&payment).await.expect("an answer"))).amount, payment.amount);
    assert_eq!(desk.charges(&payment).len(), 1);
}

/// Past that day only the lookup protects: it does not depend on the key.
async fn f7_a_charge_is_found_when_its_key_is_forgotten(desk: &Desk) {
    let payment = renewal(&desk.saved().await, 1);
    desk.fault("off_session", &timeout("timeout_after"), 1);
    unanswered(desk, &payment).await;
    desk.admin("forget-keys", &json!({}));
    desk.admin("clock", &json!({"advance_seconds": 3 * 86_400}));
    assert_eq!(receipt(desk.clients.find(&payment).await.expect("an answer")).amount, payment.amount);
}

async fn a_lookup_that_is_not_answered_says_nothing(desk: &Desk) {
    let payment = renewal(&desk.saved().await, 1);
    desk.clients.charge(&payment).await.expect("an answer");
    for fault in [timeout("timeout_before"), json!({"kind": "error_500"})] {
        desk.fault("find", &fault, 1);
        assert!(matches!(desk.clients.find(&payment).await, Err(GatewayError::NoAnswer(_))));
    }
}
