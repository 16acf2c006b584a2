//! Each fault, and where it strikes.

use crate::world::{World, read, world};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const EMAIL: &str = "billing@acme.example";

fn saved(code: &str, reference: &str) -> Value {
    json!({"email": EMAIL, "amount": 700_000, "authorization_code": code, "reference": reference})
}

async fn verify(world: &World, reference: &str) -> (u16, String) {
    let answer = world.paystack_get(&format!("transaction/verify/{reference}")).await;
    (answer.status, answer.json["data"]["status"].as_str().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn a_decline_strikes_once_and_says_why() {
    let world = world().await;
    let card = world.saved("pm_card_visa").await;
    world.fault("stripe", "charge", json!({"kind": "decline", "code": "insufficient_funds"}));
    let declined = world.renew(&card, "r1").await;
    assert_eq!((declined.status, &declined.json["error"]["decline_code"]), (402, &json!("insufficient_funds")));
    assert_eq!(world.renew(&card, "r2").await.status, 200);

    let code = world.subscribed(EMAIL).await;
    let order = json!({"gateway": "paystack", "on": "off_session", "times": 2,
        "fault": {"kind": "decline", "code": "expired_card"}});
    world.admin("faults", order);
    for reference in ["r1", "r2"] {
        let failed = world.paystack("transaction/charge_authorization", saved(&code, reference)).await.ok();
        assert_eq!(failed["status"], true);
        assert_eq!(
            (failed["data"]["status"].as_str(), failed["data"]["response_code"].as_str()),
            (Some("failed"), Some("54"))
        );
        assert_eq!(failed["data"]["gateway_response"], "Expired card");
    }
    let charged = world.paystack("transaction/charge_authorization", saved(&code, "r3")).await.ok();
    assert_eq!(charged["data"]["status"], "success");
}

#[tokio::test]
async fn off_session_faults_leave_pages_alone_and_hosted_ones_the_rest() {
    let world = world().await;
    let card = world.saved("pm_card_visa").await;
    world.fault("stripe", "hosted", json!({"kind": "decline", "code": "lost_card"}));
    assert_eq!(world.renew(&card, "r1").await.status, 200);
    let form = [("amount", "2000"), ("currency", "usd")];
    let intent = world.stripe("payment_intents", &form).await.ok();
    let path = format!("payment_intents/{}/confirm", intent["id"].as_str().expect("an id"));
    assert_eq!(world.stripe(&path, &[("payment_method", "pm_card_visa")]).await.status, 402);

    world.fault("paystack", "off_session", json!({"kind": "decline", "code": "lost_card"}));
    let code = world.subscribed(EMAIL).await;
    let failed = world.paystack("transaction/charge_authorization", saved(&code, "r2")).await.ok();
    assert_eq!(failed["data"]["status"], "failed");
}

#[tokio::test]
async fn a_timeout_after_charging_has_charged() {
    let world = world().await;
    let card = world.saved("pm_card_visa").await;
    world.fault("stripe", "off_session", json!({"kind": "timeout_after", "ms": 50}));
    assert!(read(world.renewal(&card, "r1")).await.is_err());
    assert_eq!(world.charges().len(), 1);
    let again = world.renew(&card, "r1").await;
    assert_eq!((again.status, again.header("idempotent-replayed")), (200, "true"));

    let code = world.subscribed(EMAIL).await;
    world.fault("paystack", "charge", json!({"kind": "timeout_after", "ms": 50}));
    let body = saved(&code, "r1");
    assert!(read(world.paystack_post("transaction/charge_authorization", &body)).await.is_err());
    assert_eq!(verify(&world, "r1").await, (200, "success".to_owned()));
    assert_eq!(world.paystack("transaction/charge_authorization", body).await.status, 400);
    assert_eq!(world.charges().len(), 3);
}

#[tokio::test]
async fn a_timeout_before_charging_has_not_charged() {
    let world = world().await;
    let card = world.saved("pm_card_visa").await;
    world.fault("stripe", "off_session", json!({"kind": "timeout_before", "ms": 50}));
    assert!(read(world.renewal(&card, "r1")).await.is_err());
    assert!(world.charges().is_empty());
    let again = world.renew(&card, "r1").await;
    assert_eq!((again.status, again.header("idempotent-replayed")), (200, ""));

    let code = world.subscribed(EMAIL).await;
    world.fault("paystack", "charge", json!({"kind": "timeout_before", "ms": 50}));
    assert!(read(world.paystack_post("transaction/charge_authorization", &saved(&code, "r1"))).await.is_err());
    assert_eq!(verify(&world, "r1").await.0, 400);
}

#[tokio::test]
async fn a_server_error_is_kept_under_its_key() {
    let world = world().await;
    let card = world.saved("pm_card_visa").await;
    for (key, kind, charged) in [("r1", "error_500", 0), ("r2", "error_500_after", 1)] {
        world.fault("stripe", "charge", json!({"kind": kind}));
        let failed = world.renew(&card, key).await;
        assert_eq!((failed.status, &failed.json["error"]["type"]), (500, &json!("api_error")));
        let again = world.renew(&card, key).await;
        assert_eq!((again.status, again.header("idempotent-replayed")), (500, "true"));
        let reference = json!(key);
        assert_eq!(world.charges().iter().filter(|charge| charge["reference"] == reference).count(), charged);
    }
}

#[tokio::test]
async fn server_errors_strike_before_or_after() {
    let world = world().await;
    let code = world.subscribed(EMAIL).await;
    world.fault("paystack", "charge", json!({"kind": "error_500"}));
    assert_eq!(world.paystack("transaction/charge_authorization", saved(&code, "r1")).await.status, 500);
    assert_eq!(verify(&world, "r1").await.0, 400);
    world.fault("paystack", "charge", json!({"kind": "error_500_after"}));
    assert_eq!(world.paystack("transaction/charge_authorization", saved(&code, "r1")).await.status, 500);
    assert_eq!(verify(&world, "r1").await, (200, "success".to_owned()));
}

#[tokio::test]
async fn a_delayed_charge_happens_even_if_the_caller_has_gone_and_holds_its_key() {
    let world = world().await;
    let card = world.saved("pm_card_visa").await;
    world.fault("stripe", "charge", json!({"kind": "delay", "ms": 2_000}));
    let first = world.renewal(&card, "r1").timeout(Duration::from_millis(500));
    assert!(read(first).await.is_err());
    assert_eq!(world.renew(&card, "r1").await.refused(), (409, "idempotency_key_in_use"));
    assert!(world.charges().is_empty());
    tokio::time::sleep(Duration::from_millis(2_200)).await;
    assert_eq!(world.charges().len(), 1);
    assert_eq!(world.renew(&card, "r1").await.header("idempotent-replayed"), "true");
}

#[tokio::test]
async fn a_wrong_amount_is_what_was_taken() {
    let world = world().await;
    let card = world.saved("pm_card_visa").await;
    world.fault("stripe", "charge", json!({"kind": "wrong_amount", "minor": 1}));
    let intent = world.renew(&card, "r1").await.ok();
    assert_eq!((intent["amount"].as_i64(), intent["amount_received"].as_i64()), (Some(1), Some(1)));
    world.fault("paystack", "charge", json!({"kind": "wrong_amount", "minor": 100}));
    let opened = json!({"email": EMAIL, "amount": 700_000, "reference": "r2"});
    let opened = world.paystack("transaction/initialize", opened).await.ok();
    world.page(&opened["data"]["authorization_url"], "pay", "4084084084084081").await;
    let verified = world.paystack_get("transaction/verify/r2").await.ok();
    let data = &verified["data"];
    assert_eq!((data["amount"].as_i64(), data["requested_amount"].as_i64()), (Some(100), Some(700_000)));
    let taken: Vec<_> = world.charges().iter().map(|charge| charge["amount"]["minor"].clone()).collect();
    assert_eq!(taken, [1, 100]);
}

#[tokio::test]
async fn a_paused_charge_waits_for_its_customer() {
    let world = world().await;
    let code = world.subscribed(EMAIL).await;
    world.fault("paystack", "off_session", json!({"kind": "paused"}));
    let paused = world.paystack("transaction/charge_authorization", saved(&code, "r2")).await.ok();
    let data = &paused["data"];
    assert_eq!((data["paused"].as_bool(), &data["status"]), (Some(true), &Value::Null));
    assert_eq!(verify(&world, "r2").await, (200, "ongoing".to_owned()));
    world.page(&data["authorization_url"], "pay", "4084084084084081").await;
    assert_eq!(verify(&world, "r2").await, (200, "success".to_owned()));
}

#[tokio::test]
async fn an_issuer_can_want_the_customer() {
    let world = world().await;
    let card = world.saved("pm_card_visa").await;
    world.fault("stripe", "off_session", json!({"kind": "require_action"}));
    let refused = world.renew(&card, "r1").await;
    assert_eq!(refused.refused(), (402, "authentication_required"));
    let path =
        format!("payment_intents/{}/confirm", refused.json["error"]["payment_intent"]["id"].as_str().expect("an id"));
    world.fault("stripe", "hosted", json!({"kind": "require_action"}));
    let form = [("payment_method", card.1.as_str()), ("return_url", "https://app.example/back")];
    let waits = world.stripe(&path, &form).await.ok();
    assert_eq!(waits["status"], "requires_action");
    let page = &waits["next_action"]["redirect_to_url"]["url"];
    assert_eq!(world.page(page, "pay", "4242424242424242").await.status, 303);
}

#[tokio::test]
async fn lookups_checkouts_and_refunds_have_faults_of_their_own() {
    let world = world().await;
    world.subscribed(EMAIL).await;
    let opened = json!({"email": EMAIL, "amount": 700_000, "reference": "r2"});
    for (on, find, open, refund) in [("find", 500, 200, 400), ("checkout", 200, 500, 400), ("refund", 200, 200, 500)] {
        world.admin("reset", json!({}));
        world
            .paystack("transaction/initialize", json!({"email": EMAIL, "amount": 700_000, "reference": "r1"}))
            .await
            .ok();
        world.fault("paystack", on, json!({"kind": "error_500"}));
        assert_eq!(verify(&world, "r1").await.0, find, "{on}");
        assert_eq!(world.paystack("transaction/initialize", opened.clone()).await.status, open, "{on}");
        assert_eq!(world.paystack("refund", json!({"transaction": "r1"})).await.status, refund, "{on}");
    }
    world.fault("paystack", "any", json!({"kind": "error_500"}));
    world.simulator.clear_faults();
    assert_eq!(verify(&world, "r1").await.0, 200);
}

#[tokio::test]
async fn a_lookup_can_be_slow() {
    let world = world().await;
    world.fault("stripe", "find", json!({"kind": "delay", "ms": 150}));
    let before = Instant::now();
    world.stripe_get("payment_intents").await.ok();
    assert!(before.elapsed() >= Duration::from_millis(150));
}

#[tokio::test]
async fn orders_that_make_no_sense_name_the_field() {
    let world = world().await;
    for (order, field) in [
        (json!({"gateway": "flutter", "on": "charge", "fault": {"kind": "error_500"}}), "gateway"),
        (json!({"gateway": "stripe", "on": "lunch", "fault": {"kind": "error_500"}}), "on"),
        (json!({"gateway": "stripe", "on": "charge", "fault": {"kind": "nonsense"}}), "fault"),
        (json!({"gateway": "stripe", "on": "charge", "fault": {"kind": "decline"}}), "fault"),
        (json!({"gateway": "stripe", "on": "charge", "fault": {"kind": "delay", "ms": 1, "x": 1}}), "fault"),
        (json!({"gateway": "stripe", "on": "find", "fault": {"kind": "decline", "code": "x"}}), "on"),
        (json!({"gateway": "stripe", "on": "charge", "fault": {"kind": "paused"}}), "fault.kind"),
        (json!({"gateway": "stripe", "on": "charge", "fault": {"kind": "error_500"}, "times": 0}), "times"),
        (json!({"gateway": "stripe", "on": "charge", "fault": {"kind": "error_500"}, "colour": 1}), "colour"),
    ] {
        let error = world.simulator.admin("faults", &order).expect_err("a refusal");
        assert!(error.contains(field), "{order}: {error}");
    }
}
