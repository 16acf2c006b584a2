//! What only Flitt does: it signs by what is said, not by how, and its answers too.

use super::customer::Card;
use super::desk::{Desk, clients, http, keys, secret};
use super::payments::{checkout, known, numbered, owing, part, receipt, renewal, settled};
use super::signing::{Delivery, event, flitt, header, signed};
use super::webhooks::{listening, receive, received, told_of};
use super::wire::{Reply, Server};
use billing::outcome::{Outcome, RefundOutcome, Stage};
use billing::payment::Gateway;
use billing::ports::{GatewayError, Gateways};
use jiff::Timestamp;
use platform::gateways::{Clients, WebhookError};
use platform::secrets::KeyStore;
use serde_json::{Map, Value, json};

async fn taken_in(desk: &Desk, delivery: &Delivery) -> Result<billing::delivery::Notice, WebhookError> {
    receive(&desk.clients, Gateway::Flitt, &delivery.headers, &delivery.body, Timestamp::now()).await
}

#[tokio::test]
async fn a_callback_is_the_same_event_in_every_form_that_flitt_writes() {
    let desk = Desk::open(Gateway::Flitt).await;
    for (attempt, form) in (1..).zip(["flat", "wrapped", "form", "encoded"]) {
        desk.configure(&json!({ "callbacks": form }));
        let merchant = listening(&desk).await;
        let payment = numbered(checkout(Gateway::Flitt), (1, 0, attempt));
        let payment = desk.open_page(payment).await;
        desk.visit(&payment, Card::Pays).await.expect("paid");
        let notice = received(&desk, &told_of(&desk, &merchant, &["purchase.approved"]).await).await;
        assert_eq!(notice.reference.as_ref(), Some(&payment.reference), "{form}");
    }
}

/// Any value that is another is refused; what only spells them otherwise is not.
#[tokio::test]
async fn s43_a_callback_in_which_a_value_was_changed_is_refused() {
    let desk = Desk::open(Gateway::Flitt).await;
    let merchant = listening(&desk).await;
    let payment = desk.paid().await;
    let sent = told_of(&desk, &merchant, &["purchase.approved"]).await;
    let fields: Map<String, Value> = serde_json::from_slice(&sent.body).expect("an object");
    let changeable =
        fields.iter().filter(|(name, _)| !["signature", "response_signature_string"].contains(&name.as_str()));
    for (name, value) in changeable {
        let mut changed = fields.clone();
        let value = match value.as_str() {
            Some("") => continue,
            Some(text) => json!(format!("{text}1")),
            None => json!(17),
        };
        changed.insert(name.clone(), value);
        let body = Value::Object(changed).to_string().into_bytes();
        let refused = taken_in(&desk, &Delivery { headers: sent.headers.clone(), body }).await;
        assert!(matches!(refused, Err(WebhookError::Forged)), "{name}: {refused:?}");
    }
    let respelled = format!("{:#}\n", Value::Object(fields)).into_bytes();
    let notice = taken_in(&desk, &Delivery { headers: sent.headers.clone(), body: respelled }).await.expect("genuine");
    assert_eq!(notice.reference, Some(payment.reference));
}

/// S49: values that were signed stand under other names. That it verifies gives nothing: the order is read.
#[tokio::test]
async fn s49_a_relabelled_callback_changes_no_amount() {
    let desk = Desk::open(Gateway::Flitt).await;
    let payment = desk.opened().await;
    let key = secret(Gateway::Flitt);
    let genuine = json!({"merchant_id": 1_549_901, "order_id": payment.reference, "order_status": "created"});
    let mut fields = genuine.as_object().cloned().expect("an object");
    fields.insert("signature".to_owned(), flitt(key, &fields).into());
    let body = Value::Object(fields).to_string().replace("order_status", "order_statut");
    let headers = header("content-type", "application/json");
    let notice = taken_in(&desk, &Delivery { headers, body: body.into_bytes() }).await.expect("it verifies");
    assert_eq!(notice.reference.as_ref(), Some(&payment.reference));
    assert_eq!(desk.found(&payment).await, Outcome::Pending(Stage::Pending));
}

#[tokio::test]
async fn s50_a_callback_for_another_merchant_is_not_for_us() {
    let desk = Desk::open(Gateway::Flitt).await;
    let body = event(Gateway::Flitt, "purchase.approved");
    let key = secret(Gateway::Flitt);
    taken_in(&desk, &signed(Gateway::Flitt, key, &body)).await.expect("ours");
    for other in ["1549902", r#""1549902""#, r#""""#, "null"] {
        let body = String::from_utf8(body.clone()).expect("text").replace("1549901", other);
        let refused = taken_in(&desk, &signed(Gateway::Flitt, key, body.as_bytes())).await;
        assert!(matches!(refused, Err(WebhookError::Malformed(_))), "{other}: {refused:?}");
    }
}

/// One who can change an answer on its way could call an unpaid order paid.
#[tokio::test]
async fn a_signed_answer_with_a_changed_field_is_no_answer() {
    let desk = Desk::open(Gateway::Flitt).await;
    let method = desk.saved().await;
    let charged = renewal(&method, 1);
    let taken = receipt(desk.clients.charge(&charged).await.expect("an answer"));
    let unpaid = desk.open_page(numbered(checkout(Gateway::Flitt), (1, 0, 2))).await;
    let refund = part(&charged, 1, 100);
    let owed = owing(settled(charged.clone(), taken), std::slice::from_ref(&refund));
    let altering = async |from: &str, into: &str| {
        let (to, with) = (desk.simulator.url().to_owned(), http());
        Server::start(Reply::Altered { to, with, from: from.to_owned(), into: into.to_owned() }).await
    };

    let server = altering(r#""order_status":"created""#, r#""order_status":"approved""#).await;
    let answer = clients(&server.url, &http()).find(&unpaid, None).await;
    assert!(matches!(answer, Err(GatewayError::NoAnswer(_))), "{answer:?}");

    for (from, into) in [
        (r#""amount":"5000""#, r#""amount":"1""#),
        (r#""currency":"GEL""#, r#""currency":"USD""#),
        (r#""reversal_amount":"0""#, r#""reversal_amount":"5000""#),
        (r#""order_id":"r"#, r#""order_id":"s"#),
        (r#""signature":""#, r#""signature":"0"#),
    ] {
        let server = altering(from, into).await;
        let answer = clients(&server.url, &http()).find(&charged, None).await;
        assert!(matches!(answer, Err(GatewayError::NoAnswer(_))), "{into}: {answer:?}");
    }

    let server = altering(r#""reverse_status":"approved""#, r#""reverse_status":"declined""#).await;
    let answer = clients(&server.url, &http()).refund(&owed, &refund).await;
    assert!(matches!(answer, Err(GatewayError::NoAnswer(_))), "{answer:?}");
}

/// An answer that is about another order is signed all the same.
#[tokio::test]
async fn an_answer_about_another_order_is_no_answer() {
    let desk = Desk::open(Gateway::Flitt).await;
    let method = desk.saved().await;
    let (first, second) = (renewal(&method, 1), renewal(&method, 2));
    desk.clients.charge(&first).await.expect("an answer");
    let status = json!({ "order_id": first.reference });
    let genuine = desk.post("/api/status/order_id", &status).await;
    let server = Server::start(Reply::Text(200, genuine.to_string())).await;
    let clients = clients(&server.url, &http());
    assert_eq!(receipt(known(clients.find(&first, None).await.expect("an answer"))).amount, first.amount);
    let answer = clients.find(&second, None).await;
    assert!(matches!(answer, Err(GatewayError::NoAnswer(_))), "{answer:?}");
}

/// The newest key signs what we ask; what the old one signed is believed until it is taken out.
#[tokio::test]
async fn f35_while_a_key_is_rotated_answers_signed_with_either_are_believed() {
    let desk = Desk::open(Gateway::Flitt).await;
    let payment = renewal(&desk.saved().await, 1);
    desk.clients.charge(&payment).await.expect("an answer");
    let old = secret(Gateway::Flitt);
    let with = |secrets: &[&str]| {
        let store = KeyStore::given(keys(Gateway::Flitt, secrets));
        Clients::default().with(Gateway::Flitt, &desk.simulator.flitt(), http(), store, None)
    };
    assert!(with(&[old, "next"]).find(&payment, None).await.is_ok());
    desk.configure(&json!({"payment_key": "next"}));
    assert!(with(&["next", old]).find(&payment, None).await.is_ok());
    assert!(with(&[old]).find(&payment, None).await.is_err());
}

/// What was sold is what Flitt pays refunds from: there will be enough later. That it takes no parts back stays so.
#[tokio::test]
async fn a_reversal_waits_for_turnover_and_a_refused_one_is_refused() {
    let desk = Desk::open(Gateway::Flitt).await;
    let payment = renewal(&desk.saved().await, 1);
    let taken = receipt(desk.clients.charge(&payment).await.expect("an answer"));
    let refund = part(&payment, 1, 1_000);
    let owed = owing(settled(payment, taken), std::slice::from_ref(&refund));
    desk.fault("refund", &json!({"kind": "decline", "code": "1069"}));
    assert_eq!(desk.clients.refund(&owed, &refund).await.expect("an answer"), RefundOutcome::Pending);
    desk.fault("refund", &json!({"kind": "decline", "code": "1084"}));
    let refused = desk.clients.refund(&owed, &refund).await.expect("an answer");
    assert_eq!(refused, RefundOutcome::Failed { code: "1084".to_owned() });
    assert!(desk.refunds(&owed).is_empty());
    let done = desk.clients.refund(&owed, &refund).await.expect("an answer");
    assert!(matches!(done, RefundOutcome::Done { .. }), "{done:?}");
}

/// Flitt enables it by merchant: that it has not is nobody's card.
#[tokio::test]
async fn a_merchant_who_may_not_charge_again_is_told_and_no_card_is_blamed() {
    let desk = Desk::open(Gateway::Flitt).await;
    let payment = renewal(&desk.saved().await, 1);
    desk.configure(&json!({"recurring": false}));
    let answer = desk.clients.charge(&payment).await;
    assert!(matches!(answer, Err(GatewayError::Rejected(_))), "{answer:?}");
}
