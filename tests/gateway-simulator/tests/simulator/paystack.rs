//! Paystack's API and page: references, envelopes, saved cards, refunds.

use crate::world::{World, read, world};
use serde_json::{Value, json};
use std::time::Duration;

const EMAIL: &str = "billing@acme.example";

async fn open(world: &World, reference: &str, more: Value) -> Value {
    let mut body = json!({"email": EMAIL, "amount": 700_000, "currency": "NGN", "reference": reference});
    if let (Some(body), Value::Object(more)) = (body.as_object_mut(), more) {
        body.extend(more);
    }
    world.paystack("transaction/initialize", body).await.ok()["data"].clone()
}

async fn verify(world: &World, reference: &str) -> Value {
    world.paystack_get(&format!("transaction/verify/{reference}")).await.ok()["data"].clone()
}

fn saved(code: &str, email: &str, reference: &str) -> Value {
    json!({"email": email, "amount": 700_000, "currency": "NGN", "authorization_code": code, "reference": reference})
}

#[tokio::test]
async fn refusals_come_in_paystacks_words() {
    let world = world().await;
    let unknown = world.paystack_get("transaction/verify/nothing").await;
    assert_eq!((unknown.status, &unknown.json["status"]), (400, &json!(false)));
    assert_eq!(unknown.json["message"], "Transaction reference not found.");
    assert!(unknown.json["meta"]["nextStep"].is_string() && unknown.json["code"].is_string());
    open(&world, "r1", json!({})).await;
    let again = json!({"email": EMAIL, "amount": 700_000, "reference": "r1"});
    let again = world.paystack("transaction/initialize", again).await;
    assert_eq!((again.status, &again.json["message"]), (400, &json!("Duplicate Transaction Reference")));
    let url = format!("{}/transaction/verify/r1", world.simulator.paystack());
    let stranger = read(world.client.get(url).bearer_auth("sk_test_other")).await.expect("an answer");
    assert_eq!((stranger.status, &stranger.json["message"]), (401, &json!("Invalid key")));
    for wrong in [
        json!({"email": EMAIL}),
        json!({"amount": 700_000}),
        json!({"email": "acme", "amount": 700_000}),
        json!({"email": EMAIL, "amount": 4_999}),
        json!({"email": EMAIL, "amount": "7000.00"}),
        json!({"email": EMAIL, "amount": 700_000, "currency": "GEL"}),
        json!({"email": EMAIL, "amount": 700_000, "reference": "a b"}),
        json!({"email": EMAIL, "amount": 700_000, "callback_url": "javascript:alert(1)"}),
    ] {
        assert_eq!(world.paystack("transaction/initialize", wrong.clone()).await.status, 400, "{wrong}");
    }
}

#[tokio::test]
async fn a_customer_pays_on_the_page_and_is_sent_back() {
    let world = world().await;
    let callback = json!({"callback_url": "https://app.example/paid?x=1", "metadata": {"payment": "pay_1"}});
    let opened = open(&world, "r1", callback).await;
    assert_eq!(opened["reference"], "r1");
    let before = verify(&world, "r1").await;
    assert_eq!((before["status"].as_str(), &before["paid_at"]), (Some("abandoned"), &Value::Null));
    let page = read(world.client.get(opened["authorization_url"].as_str().expect("an address"))).await.expect("a page");
    assert!(page.text.contains("NGN 7,000.00") && page.text.contains("4084 0840 8408 4081"), "{}", page.text);

    let paid = world.page(&opened["authorization_url"], "pay", "4084084084084081").await;
    let back = "https://app.example/paid?x=1&trxref=r1&reference=r1";
    assert_eq!((paid.status, paid.header("location")), (303, back));
    let again = world.page(&opened["authorization_url"], "pay", "4084084084084081").await;
    assert_eq!((again.status, again.header("location")), (303, back));

    let after = verify(&world, "r1").await;
    assert_eq!(after["status"], "success");
    assert_eq!((after["amount"].as_i64(), after["requested_amount"].as_i64()), (Some(700_000), Some(700_000)));
    assert_eq!(after["metadata"], json!({"payment": "pay_1"}));
    assert_eq!(after["customer"]["email"], EMAIL);
    let authorization = &after["authorization"];
    assert_eq!((authorization["reusable"].as_bool(), authorization["card_type"].as_str()), (Some(true), Some("visa ")));
    let by_id = world.paystack_get(&format!("transaction/{}", after["id"])).await.ok();
    assert_eq!(by_id["data"]["reference"], "r1");
    assert!(after["id"].as_u64().is_some_and(|id| id > u64::from(u32::MAX)));
    assert_eq!(world.charges().len(), 1);
}

#[tokio::test]
async fn without_a_callback_the_page_says_how_it_ended() {
    let world = world().await;
    let opened = open(&world, "r1", json!({})).await;
    let paid = world.page(&opened["authorization_url"], "pay", "4084084084084081").await;
    assert_eq!(paid.status, 200);
    assert!(paid.text.contains("NGN 7,000.00 was paid") && paid.text.contains("r1"));
    let nowhere = json!(format!("{}/pay/none", world.simulator.paystack()));
    assert_eq!(world.page(&nowhere, "pay", "4084084084084081").await.status, 404);
}

#[tokio::test]
async fn cards_decline_as_in_the_table_and_the_page_waits() {
    let world = world().await;
    for (number, words) in [
        ("4084080000005408", "Declined"),
        ("4084080000670037", "Insufficient Funds"),
        ("507850785078507853", "Token Not Generated. Customer Not Registered on Token Platform"),
    ] {
        let opened = open(&world, number, json!({})).await;
        let declined = world.page(&opened["authorization_url"], "pay", number).await;
        assert_eq!(declined.status, 402, "{number}");
        let failed = verify(&world, number).await;
        assert_eq!((failed["status"].as_str(), failed["gateway_response"].as_str()), (Some("failed"), Some(words)));
        world.page(&opened["authorization_url"], "pay", "4084084084084081").await;
        assert_eq!(verify(&world, number).await["status"], "success");
    }
    let opened = open(&world, "refused", json!({})).await;
    assert_eq!(world.page(&opened["authorization_url"], "decline", "4084084084084081").await.status, 402);
    assert_eq!(verify(&world, "refused").await["status"], "failed");
}

#[tokio::test]
async fn a_saved_card_is_charged_again() {
    let world = world().await;
    let code = world.subscribed(EMAIL).await;
    let mut body = saved(&code, EMAIL, "r2");
    body["metadata"] = json!("{\"payment\":\"pay_2\"}");
    let charged = world.paystack("transaction/charge_authorization", body).await.ok();
    assert_eq!(charged["message"], "Charge attempted");
    assert_eq!(
        (charged["data"]["status"].as_str(), charged["data"]["reference"].as_str()),
        (Some("success"), Some("r2"))
    );
    assert!(charged["data"]["metadata"].is_string());
    assert_eq!(verify(&world, "r2").await["metadata"], json!({"payment": "pay_2"}));
    let again = world.paystack("transaction/charge_authorization", saved(&code, EMAIL, "r2")).await;
    assert_eq!((again.status, &again.json["message"]), (400, &json!("Duplicate Transaction Reference")));
    let charges = world.charges();
    assert_eq!((charges.len(), charges[1]["off_session"].as_bool()), (2, Some(true)));
}

#[tokio::test]
async fn an_authorization_works_only_for_the_exact_address_and_only_if_reusable() {
    let world = world().await;
    let code = world.subscribed(EMAIL).await;
    let refused = async |code: &str, email: &str| {
        let answer = world.paystack("transaction/charge_authorization", saved(code, email, "r2")).await;
        (answer.status, answer.json["message"].as_str().unwrap_or_default().to_owned())
    };
    let mismatch =
        |answer: (u16, String)| answer.0 == 400 && answer.1.starts_with("Email does not match Authorization code");
    assert_eq!(refused("AUTH_none", EMAIL).await, (400, "Authorization code is invalid".to_owned()));
    assert!(mismatch(refused(&code, "other@acme.example").await));
    assert!(mismatch(refused(&code, "Billing@acme.example").await));
    let once = open(&world, "once", json!({})).await;
    world.page(&once["authorization_url"], "pay", "5060666666666666666").await;
    let once = verify(&world, "once").await["authorization"].clone();
    assert_eq!(once["reusable"], false);
    assert!(mismatch(refused(once["authorization_code"].as_str().expect("a code"), EMAIL).await));
    // None of these took the reference.
    assert_eq!(refused(&code, EMAIL).await.0, 200);
}

#[tokio::test]
async fn a_deactivated_card_cannot_be_charged_though_it_still_looks_reusable() {
    let world = world().await;
    let opened = open(&world, "r1", json!({})).await;
    world.page(&opened["authorization_url"], "pay", "4084084084084081").await;
    let code = verify(&world, "r1").await["authorization"]["authorization_code"].clone();
    let customer = world.paystack_get(&format!("customer/{EMAIL}")).await.ok();
    assert_eq!(customer["data"]["authorizations"][0]["authorization_code"], code);
    let deactivate = json!({"authorization_code": code});
    assert_eq!(world.paystack("customer/authorization/deactivate", deactivate.clone()).await.status, 200);
    assert_eq!(world.paystack("customer/authorization/deactivate", deactivate).await.status, 404);
    let code = code.as_str().expect("a code");
    assert_eq!(world.paystack("transaction/charge_authorization", saved(code, EMAIL, "r2")).await.status, 400);
    assert_eq!(verify(&world, "r1").await["authorization"]["reusable"], true);
    let customer = world.paystack_get(&format!("customer/{EMAIL}")).await.ok();
    assert_eq!(customer["data"]["authorizations"], json!([]));
}

#[tokio::test]
async fn the_same_address_is_the_same_customer() {
    let world = world().await;
    let first = world.paystack("customer", json!({"email": "Billing@Acme.example", "first_name": "Ada"})).await.ok();
    let again = world.paystack("customer", json!({"email": EMAIL, "first_name": "Bea"})).await.ok();
    assert_eq!(first["data"]["customer_code"], again["data"]["customer_code"]);
    assert_eq!((again["data"]["email"].as_str(), again["data"]["first_name"].as_str()), (Some(EMAIL), Some("Ada")));
    let code = first["data"]["customer_code"].as_str().expect("a code");
    assert_eq!(world.paystack_get(&format!("customer/{code}")).await.status, 200);
    assert_eq!(world.paystack_get("customer/CUS_none").await.status, 404);
}

#[tokio::test]
async fn no_metadata_is_said_in_three_ways() {
    let world = world().await;
    let mut seen = Vec::new();
    for n in 0..12 {
        let reference = format!("r{n}");
        open(&world, &reference, json!({})).await;
        let metadata = verify(&world, &reference).await["metadata"].clone();
        if !seen.contains(&metadata) {
            seen.push(metadata);
        }
    }
    assert!(seen.iter().all(|value| [Value::Null, json!(""), json!(0)].contains(value)), "{seen:?}");
    assert!(seen.len() > 1, "{seen:?}");
}

#[tokio::test]
async fn transactions_are_listed_by_status() {
    let world = world().await;
    world.subscribed(EMAIL).await;
    open(&world, "r2", json!({})).await;
    let paid = world.paystack_get("transaction?status=success&perPage=1&page=1").await.ok();
    assert_eq!((paid["data"].as_array().map(Vec::len), paid["meta"]["total"].as_i64()), (Some(1), Some(1)));
    let open = world.paystack_get("transaction?status=abandoned").await.ok();
    assert_eq!(open["data"][0]["reference"], "r2");
}

#[tokio::test]
async fn refunds_are_pending_then_processed() {
    let world = world().await;
    for (number, end, transaction_end, refunded) in [
        ("4084084084084081", "processed", "reversed", 700_000),
        ("4084080000671803", "failed", "success", 0),
        ("4084080000671902", "needs-attention", "success", 700_000),
    ] {
        let opened = open(&world, number, json!({})).await;
        world.page(&opened["authorization_url"], "pay", number).await;
        let part = json!({"transaction": number, "amount": 200_000});
        let part = world.paystack("refund", part).await.ok();
        assert_eq!(part["data"]["status"], "pending");
        assert_eq!(world.paystack("refund", json!({"transaction": number, "amount": 500_001})).await.status, 400);
        let id = verify(&world, number).await["id"].clone();
        world.paystack("refund", json!({"transaction": id})).await.ok();
        assert_eq!(world.paystack("refund", json!({"transaction": number})).await.status, 400);
        world.admin("clock", json!({"advance_seconds": 2}));
        tokio::time::sleep(Duration::from_millis(300)).await;
        let listed = world.paystack_get(&format!("refund?transaction={id}")).await.ok();
        let statuses: Vec<_> =
            listed["data"].as_array().expect("rows").iter().map(|row| row["status"].clone()).collect();
        assert_eq!(statuses, [end, end]);
        let fetched = world.paystack_get(&format!("refund/{}", part["data"]["id"])).await.ok();
        assert_eq!(fetched["data"]["status"], end);
        assert_eq!(verify(&world, number).await["status"], transaction_end, "{number}");
        let charge = world.charges().into_iter().find(|charge| charge["reference"] == number);
        assert_eq!(charge.expect("a charge")["refunded"], refunded);
    }
    assert_eq!(world.paystack("refund", json!({"transaction": "none"})).await.status, 404);
}
