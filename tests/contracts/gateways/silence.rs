//! When nobody answers, nothing is known: not that it happened, not that it did not.

use super::desk::{Desk, clients, http, keys, secret};
use super::payments::{known, receipt, renewal};
use super::wire::{Reply, Server, nobody};
use billing::outcome::{Outcome, Sighting};
use billing::payment::{Gateway, Payment};
use billing::ports::{GatewayError, Gateways};
use platform::gateways::Clients;
use platform::secrets::KeyStore;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

promises![
    f4_a_charge_that_was_made_and_not_answered_is_found,
    f4_a_charge_that_was_lost_is_unknown_and_made_when_sent_again,
    f33_a_server_error_before_the_charge_never_leads_to_two,
    f33_a_server_error_after_the_charge_never_leads_to_two,
    f5_a_charge_that_lands_later_is_one_charge,
    f7_a_charge_is_found_when_its_key_is_forgotten,
    a_lookup_that_is_not_answered_says_nothing,
    whoever_is_there_answers,
    who_refuses_our_keys_is_passed_over,
];

fn timeout(kind: &str) -> Value {
    json!({"kind": kind, "ms": 20})
}

async fn unanswered(desk: &Desk, payment: &Payment) {
    let answer = desk.clients.charge(payment).await;
    assert!(matches!(answer, Err(GatewayError::NoAnswer(_))), "{answer:?}");
}

async fn is_unknown(desk: &Desk, payment: &Payment) {
    let sighting = desk.clients.find(payment, None).await.expect("an answer");
    assert!(matches!(sighting, Sighting::NeverHeard | Sighting::CannotTell), "{sighting:?}");
    assert!(desk.charges(payment).is_empty());
}

/// What a delivery would call it: PayPal's order.
fn object(desk: &Desk, payment: &Payment) -> Option<String> {
    let charge = desk.charges(payment).pop()?;
    (desk.gateway == Gateway::PayPal).then(|| charge["payment"].as_str().map(str::to_owned))?
}

async fn f4_a_charge_that_was_made_and_not_answered_is_found(desk: &Desk) {
    let payment = renewal(&desk.saved().await, 1);
    desk.fault("off_session", &timeout("timeout_after"));
    unanswered(desk, &payment).await;
    assert_eq!(receipt(desk.became(&payment).await.expect("an answer")).amount, payment.amount);
    // Also whoever does not look first takes nothing twice.
    assert_eq!(receipt(desk.clients.charge(&payment).await.expect("an answer")).amount, payment.amount);
    assert_eq!(desk.charges(&payment).len(), 1);
}

async fn f4_a_charge_that_was_lost_is_unknown_and_made_when_sent_again(desk: &Desk) {
    let payment = renewal(&desk.saved().await, 1);
    desk.fault("off_session", &timeout("timeout_before"));
    unanswered(desk, &payment).await;
    is_unknown(desk, &payment).await;
    assert_eq!(receipt(desk.clients.charge(&payment).await.expect("an answer")).amount, payment.amount);
    assert_eq!(desk.charges(&payment).len(), 1);
}

async fn f33_a_server_error_before_the_charge_never_leads_to_two(desk: &Desk) {
    let payment = renewal(&desk.saved().await, 1);
    desk.fault("off_session", &json!({"kind": "error_500"}));
    unanswered(desk, &payment).await;
    is_unknown(desk, &payment).await;
    if desk.gateway == Gateway::Stripe {
        // Stripe answers a key's first 500 again, for a day; it stays unknown.
        unanswered(desk, &payment).await;
        assert!(desk.charges(&payment).is_empty());
        return;
    }
    assert_eq!(receipt(desk.clients.charge(&payment).await.expect("an answer")).amount, payment.amount);
    assert_eq!(desk.charges(&payment).len(), 1);
}

async fn f33_a_server_error_after_the_charge_never_leads_to_two(desk: &Desk) {
    let payment = renewal(&desk.saved().await, 1);
    desk.fault("off_session", &json!({"kind": "error_500_after"}));
    unanswered(desk, &payment).await;
    assert_eq!(receipt(desk.became(&payment).await.expect("an answer")).amount, payment.amount);
    match (desk.gateway, desk.clients.charge(&payment).await) {
        (Gateway::Stripe, Err(GatewayError::NoAnswer(_))) => {}
        (Gateway::Paystack | Gateway::Flitt | Gateway::PayPal, Ok(outcome)) => {
            assert_eq!(receipt(outcome).amount, payment.amount);
        }
        (_, other) => panic!("{other:?}"),
    }
    assert_eq!(desk.charges(&payment).len(), 1);
}

async fn f5_a_charge_that_lands_later_is_one_charge(desk: &Desk) {
    let payment = renewal(&desk.saved().await, 1);
    desk.fault("off_session", &json!({"kind": "delay", "ms": 150}));
    let impatient = tokio::time::timeout(Duration::from_millis(50), desk.clients.charge(&payment)).await;
    assert!(impatient.is_err(), "it was given up");
    for _ in 0..500 {
        match desk.clients.find(&payment, None).await.expect("an answer") {
            Sighting::Known(Outcome::Succeeded { .. }) | Sighting::CannotTell => break,
            // Asked too early: nobody can know yet.
            Sighting::NeverHeard | Sighting::Known(Outcome::Pending(_)) => {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            other @ Sighting::Known(Outcome::Declined(_) | Outcome::Expired) => panic!("{other:?}"),
        }
    }
    // One under that name is under way: PayPal says so until it is done.
    for _ in 0..500 {
        match desk.clients.charge(&payment).await {
            Ok(outcome) => {
                assert_eq!(receipt(outcome).amount, payment.amount);
                break;
            }
            Err(GatewayError::NoAnswer(_)) => tokio::time::sleep(Duration::from_millis(10)).await,
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!(desk.charges(&payment).len(), 1);
}

/// Past that day only the lookup protects: it does not depend on the key. PayPal's depends on a delivery.
async fn f7_a_charge_is_found_when_its_key_is_forgotten(desk: &Desk) {
    let payment = renewal(&desk.saved().await, 1);
    desk.fault("off_session", &timeout("timeout_after"));
    unanswered(desk, &payment).await;
    let object = object(desk, &payment);
    desk.admin("forget-keys", &json!({}));
    desk.admin("clock", &json!({"advance_seconds": 3 * 86_400}));
    let sighting = desk.clients.find(&payment, object.as_deref()).await.expect("an answer");
    assert_eq!(receipt(known(sighting)).amount, payment.amount);
}

async fn a_lookup_that_is_not_answered_says_nothing(desk: &Desk) {
    let payment = renewal(&desk.saved().await, 1);
    desk.clients.charge(&payment).await.expect("an answer");
    let object = object(desk, &payment);
    for fault in [timeout("timeout_before"), json!({"kind": "error_500"})] {
        desk.fault("find", &fault);
        let answer = desk.clients.find(&payment, object.as_deref()).await;
        assert!(matches!(answer, Err(GatewayError::NoAnswer(_))), "{answer:?}");
    }
}

async fn whoever_is_there_answers(desk: &Desk) {
    assert!(desk.clients.answers(desk.gateway).await);
    for (reply, there) in [
        (Reply::Text(200, "{}".to_owned()), true),
        (Reply::Status(401), false),
        (Reply::Status(404), true),
        (Reply::Status(429), true),
        (Reply::Status(500), false),
        (Reply::Status(503), false),
    ] {
        // PayPal is asked with a token, which is one question more; one that it refuses may only have ended.
        let (behind, asked) = match (desk.gateway, &reply) {
            (Gateway::PayPal, Reply::Status(401)) => (Reply::Granting(Box::new(reply.clone())), 4),
            (Gateway::PayPal, _) => (Reply::Granting(Box::new(reply.clone())), 2),
            (Gateway::Stripe | Gateway::Paystack | Gateway::Flitt, _) => (reply.clone(), 1),
        };
        let server = Server::start(behind).await;
        assert_eq!(clients(&server.url, &http()).answers(desk.gateway).await, there, "{reply:?}");
        assert_eq!(server.sent().len(), asked, "{reply:?}");
    }
    let (_held, url) = nobody();
    assert!(!clients(&url, &http()).answers(desk.gateway).await);
    let (mute, began) = (Server::start(Reply::Never).await, Instant::now());
    assert!(!clients(&mute.url, &http()).answers(desk.gateway).await);
    assert!(began.elapsed() < Duration::from_secs(8), "whoever waits for a choice does not wait long");
}

async fn who_refuses_our_keys_is_passed_over(desk: &Desk) {
    let (gateway, api) = (desk.gateway, format!("{}/{}", desk.simulator.url(), desk.gateway.as_str()));
    let with = |keys: Value| Clients::default().with(gateway, &api, http(), KeyStore::given(keys), None);
    let right = keys(gateway, &[secret(gateway)]);
    assert!(with(right.clone()).answers(gateway).await);
    let names: &[&str] = match gateway {
        Gateway::Stripe | Gateway::Paystack => &["secret_key"],
        Gateway::Flitt => &["merchant_id", "payment_keys"],
        Gateway::PayPal => &["client_id", "client_secret"],
    };
    for name in names {
        let mut wrong = right.clone();
        wrong[name] = if wrong[name].is_array() { json!(["1000001"]) } else { json!("1000001") };
        assert!(!with(wrong).answers(gateway).await, "{name}");
    }
}
