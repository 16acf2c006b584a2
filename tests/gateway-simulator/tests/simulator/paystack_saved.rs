//! Paystack's saved cards: in part, with fees on top, and paused until the customer approves.

use crate::world::{World, read, world};
use serde_json::{Value, json};

const EMAIL: &str = "billing@acme.example";

fn body(code: &str, reference: &str) -> Value {
    json!({"email": EMAIL, "amount": 700_000, "currency": "NGN", "authorization_code": code, "reference": reference})
}

async fn verify(world: &World, reference: &str) -> Value {
    world.paystack_get(&format!("transaction/verify/{reference}")).await.ok()["data"].clone()
}

#[tokio::test]
async fn a_saved_card_is_charged_by_the_charge_route_too() {
    let world = world().await;
    let code = world.subscribed(EMAIL).await;
    let charged = world.paystack("charge", body(&code, "r1")).await.ok();
    assert_eq!(
        (charged["data"]["status"].as_str(), charged["data"]["channel"].as_str()),
        (Some("success"), Some("card"))
    );
    let looked_up = world.paystack_get("charge/r1").await.ok();
    assert_eq!(looked_up["data"]["status"], "success");
    assert_eq!(world.charges()[1]["off_session"], true);
    assert_eq!(world.simulator.books()["requests"]["paystack"]["off_session"], 1);
    let neither = json!({"email": EMAIL, "amount": 700_000});
    assert_eq!(world.paystack("charge", neither).await.status, 400);
}

#[tokio::test]
async fn a_part_is_taken_if_it_is_enough() {
    let world = world().await;
    let code = world.subscribed(EMAIL).await;
    for (reference, holds, least, status, amount) in [
        ("r1", 900_000, 100_000, "success", 700_000),
        ("r2", 300_000, 100_000, "success", 300_000),
        ("r3", 300_000, 300_001, "failed", 700_000),
    ] {
        world.fault("paystack", "off_session", json!({"kind": "wrong_amount", "minor": holds}));
        let mut body = body(&code, reference);
        body["at_least"] = json!(least.to_string());
        let tried = world.paystack("transaction/partial_debit", body).await.ok()["data"].clone();
        assert_eq!((tried["status"].as_str(), tried["amount"].as_i64()), (Some(status), Some(amount)), "{reference}");
        assert_eq!(tried["requested_amount"], 700_000);
    }
    assert_eq!(verify(&world, "r3").await["gateway_response"], "Insufficient Funds");
    let mut too_much = body(&code, "r4");
    too_much["at_least"] = json!(700_001);
    assert_eq!(world.paystack("transaction/partial_debit", too_much).await.status, 400);
}

#[tokio::test]
async fn fees_come_on_top_where_the_customer_bears_them() {
    let world = world().await;
    let code = world.subscribed(EMAIL).await;
    world.admin("configure", json!({"paystack": {"customer_bears_fees": true}}));
    world.paystack("transaction/charge_authorization", body(&code, "r1")).await.ok();
    let charged = verify(&world, "r1").await;
    assert_eq!((charged["requested_amount"].as_i64(), charged["amount"].as_i64()), (Some(700_000), Some(720_500)));
    let asked = json!({"email": EMAIL, "amount": 700_000, "reference": "r2", "bank_transfer": {}});
    let asked = world.paystack("charge", asked).await.ok()["data"].clone();
    assert_eq!(asked["amount"], 720_500);
    let send = |amount: i64| {
        let order = json!({"account_number": asked["account_number"], "amount": amount});
        world.admin("paystack/transfer", order)["transfer"]["fate"].clone()
    };
    assert_eq!((send(700_000), send(720_500)), (json!("returned"), json!("credited")));
    assert_eq!(world.charges().iter().filter(|charge| charge["amount"]["minor"] == 720_500).count(), 2);
    world.admin("configure", json!({"paystack": {"customer_bears_fees": false}}));
    world.paystack("transaction/charge_authorization", body(&code, "r3")).await.ok();
    assert_eq!(verify(&world, "r3").await["amount"], 700_000);
}

#[tokio::test]
async fn with_two_factors_every_saved_card_waits_for_its_customer() {
    let world = world().await;
    let code = world.subscribed(EMAIL).await;
    world.admin("configure", json!({"paystack": {"two_factor": true}}));
    let mut asked = body(&code, "r1");
    asked["callback_url"] = json!("https://app.example/back");
    let paused = world.paystack("transaction/charge_authorization", asked).await.ok()["data"].clone();
    assert_eq!((paused["paused"].as_bool(), paused.get("status")), (Some(true), None));
    assert_eq!(verify(&world, "r1").await["status"], "ongoing");
    assert_eq!(world.charges().len(), 1);
    let page = read(world.client.get(paused["authorization_url"].as_str().expect("an address"))).await.expect("a page");
    assert!(page.text.contains("Approve NGN 7,000.00") && page.text.contains("4081"), "{}", page.text);
    assert!(!page.text.contains("5408"), "the card is chosen already: {}", page.text);
    let declined = read(
        world.client.post(paused["authorization_url"].as_str().expect("an address")).form(&[("action", "decline")]),
    );
    assert_eq!(declined.await.expect("a page").status, 402);
    assert_eq!(verify(&world, "r1").await["status"], "failed");
    let approved = world.page(&paused["authorization_url"], "pay", "").await;
    assert_eq!(
        (approved.status, approved.header("location")),
        (303, "https://app.example/back?trxref=r1&reference=r1")
    );
    assert_eq!(verify(&world, "r1").await["status"], "success");
}

#[tokio::test]
async fn saved_cards_decline_in_every_word_that_is_ordered() {
    let world = world().await;
    let code = world.subscribed(EMAIL).await;
    for (reason, text, name, number) in [
        ("insufficient_funds", "Insufficient Funds", "insufficient_funds", Some("51")),
        ("do_not_honor", "Declined", "do_not_honor", Some("05")),
        ("expired_card", "Expired card", "expired_card", Some("54")),
        ("pickup_card", "Pick up card", "pickup_card", Some("04")),
        ("reenter_transaction", "Re-enter transaction", "reenter_transaction", Some("19")),
        ("token_not_generated", "Token Not Generated. Customer Not Registered on Token Platform", "unknown", None),
        (
            "Charge attempt cannot be fulfilled until 60 minutes",
            "Charge attempt cannot be fulfilled until 60 minutes",
            "unknown",
            None,
        ),
    ] {
        world.fault("paystack", "off_session", json!({"kind": "decline", "code": reason}));
        let failed = world
            .paystack(
                "transaction/charge_authorization",
                json!({"email": EMAIL, "amount": 700_000,
            "authorization_code": code}),
            )
            .await
            .ok()["data"]
            .clone();
        assert_eq!((failed["status"].as_str(), failed["gateway_response"].as_str()), (Some("failed"), Some(text)));
        assert_eq!((failed["gateway_response_code"].as_str(), failed["response_code"].as_str()), (Some(name), number));
    }
}

#[tokio::test]
async fn customers_are_changed_and_listed() {
    let world = world().await;
    let made = world.paystack("customer", json!({"email": EMAIL, "first_name": "Ada"})).await.ok()["data"].clone();
    let path = format!("customer/{}", made["customer_code"].as_str().expect("a code"));
    let changed =
        world.paystack_put(&path, json!({"last_name": "Okonkwo", "phone": "+234"})).await.ok()["data"].clone();
    assert_eq!((changed["first_name"].as_str(), changed["last_name"].as_str()), (Some("Ada"), Some("Okonkwo")));
    world.paystack("customer", json!({"email": "bea@acme.example"})).await.ok();
    let listed = world.paystack_get("customer?perPage=1").await.ok();
    assert_eq!(
        (listed["data"][0]["email"].as_str(), listed["meta"]["total"].as_i64()),
        (Some("bea@acme.example"), Some(2))
    );
    assert_eq!(world.paystack_put("customer/CUS_none", json!({})).await.status, 404);
}
