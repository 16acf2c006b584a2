//! Webhooks: signed, repeated until acknowledged, and lost, multiplied, held or reordered to order.

use crate::world::{Merchant, World, world};
use axum::http::HeaderMap;
use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::{Sha256, Sha512};
use std::time::Duration;

const EMAIL: &str = "billing@acme.example";

async fn listening(answers: &[u16]) -> (World, Merchant) {
    let world = world().await;
    let (merchant, address) = Merchant::open(answers).await;
    world.admin("configure", json!({"stripe": {"webhook_url": address}, "paystack": {"webhook_url": address}}));
    (world, merchant)
}

async fn pay(world: &World, reference: &str) {
    let opened = json!({"email": EMAIL, "amount": 700_000, "reference": reference});
    let opened = world.paystack("transaction/initialize", opened).await.ok();
    world.page(&opened["data"]["authorization_url"], "pay", "4084084084084081").await;
}

fn deliveries(world: &World) -> Vec<Value> {
    world.simulator.books()["deliveries"].as_array().cloned().unwrap_or_default()
}

/// What the books say, once nothing is on its way.
async fn settled(world: &World) -> Vec<Value> {
    for _ in 0..2_000 {
        let deliveries = deliveries(world);
        if deliveries.iter().all(|delivery| delivery["fate"] != "waiting") {
            return deliveries;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    deliveries(world)
}

fn header(headers: &HeaderMap, name: &str) -> String {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
}

#[tokio::test]
async fn stripe_signs_time_and_body_with_the_whole_secret() {
    let (world, merchant) = listening(&[]).await;
    let card = world.saved("pm_card_visa").await;
    world.renew(&card, "r1").await.ok();
    assert_eq!(merchant.events(2).await.len(), 2);
    for (headers, body) in merchant.got() {
        let signature = header(&headers, "stripe-signature");
        let (t, v1) = signature.strip_prefix("t=").and_then(|rest| rest.split_once(",v1=")).expect("two parts");
        let mut mac = Hmac::<Sha256>::new_from_slice(b"whsec_simulator_stripe").expect("a key");
        mac.update(format!("{t}.{body}").as_bytes());
        assert_eq!(v1, HEXLOWER.encode(&mac.finalize().into_bytes()));
        let event: Value = serde_json::from_str(&body).expect("JSON");
        assert_eq!(
            (event["object"].as_str(), event["api_version"].as_str()),
            (Some("event"), Some("2026-10-28.endive"))
        );
        let read = world.stripe_get(&format!("events/{}", event["id"].as_str().expect("an id"))).await.ok();
        assert_eq!(read["data"], event["data"]);
    }
}

#[tokio::test]
async fn paystack_signs_the_body_with_the_api_key_and_says_nothing_of_failures() {
    let (world, merchant) = listening(&[]).await;
    let opened = json!({"email": EMAIL, "amount": 700_000, "reference": "r1"});
    let opened = world.paystack("transaction/initialize", opened).await.ok();
    world.page(&opened["data"]["authorization_url"], "pay", "4084080000005408").await;
    world.page(&opened["data"]["authorization_url"], "pay", "4084084084084081").await;
    world.paystack("refund", json!({"transaction": "r1"})).await.ok();
    world.admin("clock", json!({"advance_seconds": 2}));
    let mut events = merchant.events(3).await;
    events.sort();
    assert_eq!(events, ["charge.success", "refund.pending", "refund.processed"]);
    for (headers, body) in merchant.got() {
        let mut mac = Hmac::<Sha512>::new_from_slice(b"sk_test_simulator_paystack").expect("a key");
        mac.update(body.as_bytes());
        assert_eq!(header(&headers, "x-paystack-signature"), HEXLOWER.encode(&mac.finalize().into_bytes()));
        let event: Value = serde_json::from_str(&body).expect("JSON");
        if event["event"] == "refund.processed" {
            assert_eq!(event["data"]["amount"], "700000");
            assert_eq!(event["data"]["id"], Value::Null);
        }
    }
}

#[tokio::test]
async fn a_page_tells_of_the_session_and_the_intent() {
    let (world, merchant) = listening(&[]).await;
    let form = [
        ("mode", "payment"),
        ("success_url", "https://app.example/"),
        ("line_items[0][quantity]", "1"),
        ("line_items[0][price_data][currency]", "usd"),
        ("line_items[0][price_data][unit_amount]", "1000"),
        ("line_items[0][price_data][product_data][name]", "Plan"),
        ("metadata[reference]", "r1"),
        ("customer_creation", "always"),
        ("payment_intent_data[setup_future_usage]", "off_session"),
    ];
    let opened = world.stripe("checkout/sessions", &form).await.ok();
    world.page(&opened["url"], "pay", "4000000000000002").await;
    world.page(&opened["url"], "pay", "4242424242424242").await;
    let mut events = merchant.events(4).await;
    events.sort();
    let expected = [
        "checkout.session.completed",
        "payment_intent.payment_failed",
        "payment_intent.succeeded",
        "payment_method.attached",
    ];
    assert_eq!(events, expected);
    assert!(deliveries(&world).iter().all(|delivery| delivery["reference"] == "r1"), "{:?}", deliveries(&world));
}

#[tokio::test]
async fn what_is_not_acknowledged_comes_again() {
    let (world, merchant) = listening(&[500, 302]).await;
    pay(&world, "r1").await;
    let deliveries = settled(&world).await;
    let statuses: Vec<_> = deliveries[0]["attempts"]
        .as_array()
        .expect("attempts")
        .iter()
        .map(|attempt| attempt["status"].clone())
        .collect();
    assert_eq!(statuses, [500, 302, 200]);
    assert_eq!(deliveries[0]["fate"], "acknowledged");
    let bodies: Vec<_> = merchant.got().into_iter().map(|(_, body)| body).collect();
    assert!(bodies.iter().all(|body| *body == bodies[0]));
}

#[tokio::test]
async fn paystack_takes_only_200_for_a_yes_and_gives_up_in_the_end() {
    let (world, merchant) = listening(&[201, 202, 204, 299]).await;
    pay(&world, "r1").await;
    let deliveries = settled(&world).await;
    assert_eq!((deliveries[0]["fate"].as_str(), merchant.got().len()), (Some("given_up"), 4));
    let again = world.admin("webhooks/resend", json!({"gateway": "paystack", "reference": "r1"}));
    assert_eq!(again, json!({"resent": 1}));
    assert_eq!(settled(&world).await[0]["fate"], "acknowledged");
}

#[tokio::test]
async fn webhooks_can_be_lost_and_sent_again() {
    let (world, merchant) = listening(&[]).await;
    world.admin("webhooks", json!({"gateway": "paystack", "mode": "lose"}));
    pay(&world, "r1").await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(merchant.got().is_empty());
    assert_eq!(deliveries(&world)[0]["fate"], "lost");
    world.admin("webhooks/resend", json!({"gateway": "paystack", "reference": "r1"}));
    assert_eq!(merchant.events(1).await, ["charge.success"]);
}

#[tokio::test]
async fn webhooks_can_come_three_times() {
    let (world, merchant) = listening(&[]).await;
    world.admin("webhooks", json!({"gateway": "paystack", "mode": "duplicate"}));
    pay(&world, "r1").await;
    assert_eq!(merchant.events(3).await, ["charge.success"; 3]);
    let bodies: Vec<_> = merchant.got().into_iter().map(|(_, body)| body).collect();
    assert!(bodies.iter().all(|body| *body == bodies[0]));
}

#[tokio::test]
async fn webhooks_can_be_held_and_released_in_reverse() {
    let (world, merchant) = listening(&[]).await;
    world.admin("webhooks", json!({"gateway": "paystack", "mode": "hold"}));
    for reference in ["r1", "r2", "r3"] {
        pay(&world, reference).await;
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(merchant.got().is_empty());
    let released = world.admin("webhooks/release", json!({"gateway": "paystack", "order": "reverse"}));
    assert_eq!(released, json!({"released": 3}));
    merchant.events(3).await;
    let references: Vec<_> = merchant
        .got()
        .iter()
        .map(|(_, body)| serde_json::from_str::<Value>(body).expect("JSON")["data"]["reference"].clone())
        .collect();
    assert_eq!(references, ["r3", "r2", "r1"]);
}

#[tokio::test]
async fn without_an_address_a_webhook_is_only_noted() {
    let world = world().await;
    pay(&world, "r1").await;
    assert_eq!(deliveries(&world)[0]["fate"], "unaddressed");
}
