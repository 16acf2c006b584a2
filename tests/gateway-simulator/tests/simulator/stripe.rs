//! Stripe's API: keys, versions, forms, idempotency, intents, saved cards, refunds.

use crate::world::{STRIPE_KEY, read, world};
use serde_json::{Value, json};

#[tokio::test]
async fn wrong_keys_and_missing_pins_are_refused() {
    let world = world().await;
    let url = format!("{}/v1/customers", world.simulator.stripe());
    let ask = |key: Option<&str>, version: Option<&str>| {
        let mut request = world.client.get(&url);
        if let Some(key) = key {
            request = request.bearer_auth(key);
        }
        if let Some(version) = version {
            request = request.header("stripe-version", version);
        }
        read(request)
    };
    assert_eq!(ask(None, None).await.expect("an answer").status, 401);
    assert_eq!(ask(Some("sk_test_other"), Some("2026-10-28.endive")).await.expect("an answer").status, 401);
    assert_eq!(ask(Some(STRIPE_KEY), None).await.expect("an answer").status, 400);
    assert_eq!(ask(Some(STRIPE_KEY), Some("2024-06-20")).await.expect("an answer").status, 400);
    assert_eq!(ask(Some(STRIPE_KEY), Some("2026-10-28.endive")).await.expect("an answer").status, 200);
}

#[tokio::test]
async fn parameters_are_checked_as_strictly_as_by_stripe() {
    let world = world().await;
    let refused = async |form: &[(&str, &str)]| {
        let answer = world.stripe("payment_intents", form).await;
        let (status, code) = answer.refused();
        (status, code.to_owned(), answer.json["error"]["param"].as_str().unwrap_or_default().to_owned())
    };
    let base = [("amount", "2000"), ("currency", "usd")];
    let with = |more: &[(&'static str, &'static str)]| [base.as_slice(), more].concat();
    let code = |code: &str, param: &str| (400, code.to_owned(), param.to_owned());
    assert_eq!(refused(&with(&[("colour", "red")])).await, code("parameter_unknown", "colour"));
    let old = "payment_method_types_no_longer_supported";
    assert_eq!(refused(&with(&[("payment_method_types[]", "card")])).await, code(old, "payment_method_types"));
    assert_eq!(refused(&[("currency", "usd")]).await, code("parameter_missing", "amount"));
    assert_eq!(refused(&[("amount", "20.00"), ("currency", "usd")]).await, code("parameter_invalid_integer", "amount"));
    assert_eq!(refused(&[("amount", "49"), ("currency", "usd")]).await, code("amount_too_small", "amount"));
    assert_eq!(refused(&[("amount", "100000000"), ("currency", "usd")]).await, code("amount_too_large", "amount"));
    assert_eq!(refused(&[("amount", "2000"), ("currency", "USD")]).await, code("", "currency"));
    assert_eq!(refused(&[("amount", "2000"), ("currency", "abc")]).await, code("", "currency"));
    assert_eq!(refused(&with(&[("customer", "cus_none")])).await, code("resource_missing", "customer"));
    assert!(world.charges().is_empty());
}

#[tokio::test]
async fn the_same_key_gets_the_first_answer_again() {
    let world = world().await;
    let saved = world.saved("pm_card_visa").await;
    let first = world.renew(&saved, "r1").await;
    let again = world.renew(&saved, "r1").await;
    assert_eq!((first.status, first.header("idempotent-replayed")), (200, ""));
    assert_eq!((again.status, again.header("idempotent-replayed")), (200, "true"));
    assert_eq!(first.json, again.json);
    assert_ne!(again.header("request-id"), first.header("request-id"));
    assert_eq!(world.charges().len(), 1);
}

#[tokio::test]
async fn a_declined_answer_is_kept_too() {
    let world = world().await;
    let saved = world.saved("pm_card_chargeCustomerFail").await;
    assert_eq!(world.renew(&saved, "r1").await.status, 402);
    let again = world.renew(&saved, "r1").await;
    assert_eq!((again.status, again.header("idempotent-replayed")), (402, "true"));
    assert_eq!(world.charges().len(), 1);
}

#[tokio::test]
async fn a_key_cannot_be_used_for_something_else() {
    let world = world().await;
    world.keyed("customers", "k", &[("email", "a@acme.example")]).await.ok();
    let other = world.keyed("customers", "k", &[("email", "b@acme.example")]).await;
    assert_eq!((other.status, &other.json["error"]["type"]), (400, &json!("idempotency_error")));
    let elsewhere = world.keyed("payment_intents", "k", &[("amount", "2000"), ("currency", "usd")]).await;
    assert_eq!(elsewhere.status, 400);
    let too_long = world.keyed("customers", &"k".repeat(256), &[]).await;
    assert_eq!(too_long.status, 400);
}

#[tokio::test]
async fn a_refused_request_leaves_its_key_free() {
    let world = world().await;
    assert_eq!(world.keyed("customers", "k", &[("nonsense", "1")]).await.status, 400);
    assert_eq!(world.keyed("customers", "k", &[("email", "a@acme.example")]).await.status, 200);
}

#[tokio::test]
async fn a_forgotten_key_charges_again() {
    let world = world().await;
    let saved = world.saved("pm_card_visa").await;
    world.renew(&saved, "r1").await.ok();
    assert_eq!(world.admin("forget-keys", json!({})), json!({"forgotten": 1}));
    world.renew(&saved, "r1").await.ok();
    assert_eq!(world.charges().len(), 2);
}

#[tokio::test]
async fn keys_are_forgotten_after_a_day() {
    let world = world().await;
    let saved = world.saved("pm_card_visa").await;
    world.renew(&saved, "r1").await.ok();
    world.admin("clock", json!({"advance_seconds": 24 * 3600 + 1}));
    world.renew(&saved, "r1").await.ok();
    assert_eq!(world.charges().len(), 2);
}

#[tokio::test]
async fn fifty_requests_with_one_key_charge_once() {
    let world = world().await;
    let saved = world.saved("pm_card_visa").await;
    let mut asked = tokio::task::JoinSet::new();
    for _ in 0..50 {
        asked.spawn(read(world.renewal(&saved, "r1")));
    }
    while let Some(answer) = asked.join_next().await {
        let answer = answer.expect("a task").expect("an answer");
        assert!(matches!(answer.status, 200 | 409), "{}", answer.text);
    }
    assert_eq!(world.charges().len(), 1);
}

#[tokio::test]
async fn cards_decline_with_the_codes_of_the_table() {
    let world = world().await;
    let table = [
        ("pm_card_chargeDeclined", "card_declined", "generic_decline", "try_again_later"),
        ("pm_card_chargeDeclinedInsufficientFunds", "card_declined", "insufficient_funds", "try_again_later"),
        ("pm_card_authenticationRequired", "authentication_required", "authentication_required", ""),
    ];
    for (token, code, decline, advice) in table {
        let form = [("amount", "2000"), ("currency", "usd"), ("payment_method", token), ("confirm", "true")];
        let answer = world.stripe("payment_intents", &[form.as_slice(), &[("off_session", "true")]].concat()).await;
        let error = &answer.json["error"];
        assert_eq!(answer.status, 402, "{token}: {}", answer.text);
        assert_eq!((error["type"].as_str(), error["code"].as_str()), (Some("card_error"), Some(code)));
        assert_eq!(error["decline_code"], decline);
        assert_eq!(error["advice_code"].as_str().unwrap_or_default(), advice);
        let intent = &error["payment_intent"];
        assert_eq!(intent["status"], "requires_payment_method");
        assert_eq!(intent["last_payment_error"]["decline_code"], decline);
        assert_eq!(intent["latest_charge"], error["charge"]);
        assert_eq!(error["payment_method"]["type"], "card");
    }
}

#[tokio::test]
async fn a_card_that_declines_cannot_be_saved_but_one_can() {
    let world = world().await;
    let customer = world.stripe("customers", &[]).await.ok();
    let customer = customer["id"].as_str().expect("an id");
    let declined = world.stripe("payment_methods/pm_card_chargeDeclined/attach", &[("customer", customer)]).await;
    assert_eq!(declined.refused(), (402, "card_declined"));
    let saved = world.saved("pm_card_chargeCustomerFail").await;
    let charged = world.renew(&saved, "r1").await;
    assert_eq!(charged.refused(), (402, "card_declined"));
}

#[tokio::test]
async fn a_detached_card_cannot_be_charged_or_attached_again() {
    let world = world().await;
    let saved = world.saved("pm_card_visa").await;
    world.renew(&saved, "r1").await.ok();
    let detached = world.stripe(&format!("payment_methods/{}/detach", saved.1), &[]).await.ok();
    assert_eq!(detached["customer"], Value::Null);
    assert_eq!(world.renew(&saved, "r2").await.status, 400);
    let attached = world.stripe(&format!("payment_methods/{}/attach", saved.1), &[("customer", &saved.0)]).await;
    assert_eq!(attached.status, 400);
    let listed = world.stripe_get(&format!("customers/{}/payment_methods?type=card", saved.0)).await.ok();
    assert_eq!(listed["data"], json!([]));
    assert_eq!(world.charges().len(), 1);
}

#[tokio::test]
async fn a_card_belongs_to_its_customer() {
    let world = world().await;
    let (_, method) = world.saved("pm_card_visa").await;
    let other = world.saved("pm_card_mastercard").await;
    assert_eq!(world.renew(&(other.0, method), "r1").await.refused(), (400, "resource_missing"));
    assert!(world.charges().is_empty());
}

#[tokio::test]
async fn intents_are_found_by_customer_and_time_a_page_at_a_time() {
    let world = world().await;
    let saved = world.saved("pm_card_visa").await;
    for key in ["r1", "r2", "r3"] {
        world.renew(&saved, key).await.ok();
    }
    let customer = &saved.0;
    let first = world.stripe_get(&format!("payment_intents?customer={customer}&limit=2&created[gte]=1")).await.ok();
    assert_eq!(first["has_more"], true);
    assert_eq!(first["data"][0]["metadata"]["reference"], "r3");
    let after = first["data"][1]["id"].as_str().expect("an id");
    let rest = world.stripe_get(&format!("payment_intents?customer={customer}&starting_after={after}")).await.ok();
    assert_eq!(
        (rest["data"][0]["metadata"]["reference"].as_str(), rest["has_more"].as_bool()),
        (Some("r1"), Some(false))
    );
    let later = world.stripe_get(&format!("payment_intents?customer={customer}&created[gte]=9999999999")).await.ok();
    assert_eq!(later["data"], json!([]));
    assert_eq!(world.stripe_get("payment_intents?limit=101").await.status, 400);
    let whole = world.stripe_get("payment_intents?limit=1&expand[]=data.latest_charge").await.ok();
    assert_eq!(whole["data"][0]["latest_charge"]["status"], "succeeded");
    assert_eq!(world.stripe_get("payment_intents?expand[]=data.nonsense").await.status, 400);
}

#[tokio::test]
async fn a_client_secret_payment_is_confirmed_by_the_api() {
    let world = world().await;
    let intent = world.stripe("payment_intents", &[("amount", "2000"), ("currency", "gel")]).await.ok();
    assert_eq!(intent["status"], "requires_payment_method");
    let id = intent["id"].as_str().expect("an id");
    assert!(intent["client_secret"].as_str().is_some_and(|secret| secret.starts_with(&format!("{id}_secret_"))));
    let path = format!("payment_intents/{id}/confirm");
    assert_eq!(world.stripe(&path, &[("payment_method", "pm_card_visa")]).await.ok()["status"], "succeeded");
    let twice = world.stripe(&path, &[("payment_method", "pm_card_visa")]).await;
    assert_eq!(twice.refused(), (400, "payment_intent_unexpected_state"));
    assert_eq!(world.stripe(&format!("payment_intents/{id}/cancel"), &[]).await.status, 400);
    assert_eq!(world.charges().len(), 1);
}

#[tokio::test]
async fn a_card_that_wants_its_customer_gets_them() {
    let world = world().await;
    let form = [("amount", "2000"), ("currency", "usd"), ("return_url", "https://app.example/back")];
    let intent = world.stripe("payment_intents", &form).await.ok();
    let path = format!("payment_intents/{}/confirm", intent["id"].as_str().expect("an id"));
    let waits = world.stripe(&path, &[("payment_method", "pm_card_authenticationRequired")]).await.ok();
    assert_eq!(waits["status"], "requires_action");
    assert_eq!(waits["next_action"]["type"], "redirect_to_url");
    let page = &waits["next_action"]["redirect_to_url"]["url"];
    let paid = world.page(page, "pay", "4000002760003184").await;
    assert_eq!(paid.status, 303);
    assert!(paid.header("location").contains("redirect_status=succeeded"), "{}", paid.header("location"));
}

#[tokio::test]
async fn a_canceled_payment_takes_no_money() {
    let world = world().await;
    let intent = world.stripe("payment_intents", &[("amount", "2000"), ("currency", "usd")]).await.ok();
    let id = intent["id"].as_str().expect("an id");
    let path = format!("payment_intents/{id}/cancel");
    let canceled = world.stripe(&path, &[("cancellation_reason", "abandoned")]).await.ok();
    assert_eq!(
        (canceled["status"].as_str(), canceled["cancellation_reason"].as_str()),
        (Some("canceled"), Some("abandoned"))
    );
    let late = world.stripe(&format!("payment_intents/{id}/confirm"), &[("payment_method", "pm_card_visa")]).await;
    assert_eq!(late.refused(), (400, "payment_intent_unexpected_state"));
    assert!(world.charges().is_empty());
}

#[tokio::test]
async fn refunds_end_where_the_charge_does() {
    let world = world().await;
    let saved = world.saved("pm_card_visa").await;
    let intent = world.renew(&saved, "r1").await.ok();
    let id = intent["id"].as_str().expect("an id");
    let part = world.keyed("refunds", "f1", &[("payment_intent", id), ("amount", "500")]).await.ok();
    assert_eq!((part["status"].as_str(), part["amount"].as_i64()), (Some("succeeded"), Some(500)));
    world.keyed("refunds", "f1", &[("payment_intent", id), ("amount", "500")]).await.ok();
    assert_eq!(world.stripe("refunds", &[("payment_intent", id), ("amount", "1501")]).await.status, 400);
    assert_eq!(world.stripe("refunds", &[("payment_intent", id)]).await.ok()["amount"], 1500);
    let again = world.stripe("refunds", &[("payment_intent", id)]).await;
    assert_eq!(again.refused(), (400, "charge_already_refunded"));
    let intent = world.stripe_get(&format!("payment_intents/{id}?expand[]=latest_charge")).await.ok();
    assert_eq!(intent["latest_charge"]["refunded"], true);
    let listed = world.stripe_get(&format!("refunds?payment_intent={id}")).await.ok();
    assert_eq!(listed["data"].as_array().map(Vec::len), Some(2));
    assert_eq!(world.charges()[0]["refunded"], 2000);
}

#[tokio::test]
async fn customers_are_changed_field_by_field() {
    let world = world().await;
    let form = [("email", "a@acme.example"), ("name", "Acme"), ("metadata[customer]", "acme"), ("metadata[x]", "1")];
    let customer = world.stripe("customers", &form).await.ok();
    let path = format!("customers/{}", customer["id"].as_str().expect("an id"));
    world.stripe(&path, &[("name", ""), ("metadata[x]", "")]).await.ok();
    let customer = world.stripe_get(&path).await.ok();
    assert_eq!(customer["email"], "a@acme.example");
    assert_eq!(customer["name"], Value::Null);
    assert_eq!(customer["metadata"], json!({"customer": "acme"}));
    assert_eq!(world.stripe_get("customers/cus_none").await.refused(), (404, "resource_missing"));
}
