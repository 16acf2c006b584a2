//! Stripe's hosted page.

use crate::world::{Answer, World, read, world};
use serde_json::{Value, json};

const SESSION: [(&str, &str); 9] = [
    ("mode", "payment"),
    ("success_url", "https://app.example/paid?sid={CHECKOUT_SESSION_ID}"),
    ("cancel_url", "https://app.example/plans"),
    ("line_items[0][quantity]", "2"),
    ("line_items[0][price_data][currency]", "usd"),
    ("line_items[0][price_data][unit_amount]", "1050"),
    ("line_items[0][price_data][product_data][name]", "Estates <Professional>"),
    ("client_reference_id", "r7"),
    ("payment_intent_data[metadata][reference]", "r7"),
];

async fn open(world: &World, more: &[(&str, &str)]) -> Value {
    world.stripe("checkout/sessions", &[SESSION.as_slice(), more].concat()).await.ok()
}

async fn session(world: &World, id: &Value, query: &str) -> Value {
    world.stripe_get(&format!("checkout/sessions/{}{query}", id.as_str().expect("an id"))).await.ok()
}

#[tokio::test]
async fn a_customer_pays_on_the_page_and_is_sent_back() {
    let world = world().await;
    let more = [("customer_creation", "always"), ("payment_intent_data[setup_future_usage]", "off_session")];
    let opened = open(&world, &more).await;
    assert_eq!((opened["status"].as_str(), opened["payment_status"].as_str()), (Some("open"), Some("unpaid")));
    assert_eq!((opened["amount_total"].as_i64(), &opened["payment_intent"]), (Some(2100), &Value::Null));
    let page = read(world.client.get(opened["url"].as_str().expect("an address"))).await.expect("a page");
    assert_eq!(page.status, 200);
    assert!(page.text.contains("USD 21.00") && page.text.contains("Estates &lt;Professional&gt;"), "{}", page.text);

    let paid = world.page(&opened["url"], "pay", "4242424242424242").await;
    let back = format!("https://app.example/paid?sid={}", opened["id"].as_str().expect("an id"));
    assert_eq!((paid.status, paid.header("location")), (303, back.as_str()));

    let query = "?expand[]=payment_intent.latest_charge&expand[]=payment_intent.payment_method";
    let session = session(&world, &opened["id"], query).await;
    assert_eq!((session["status"].as_str(), session["payment_status"].as_str()), (Some("complete"), Some("paid")));
    assert_eq!(session["url"], Value::Null);
    let intent = &session["payment_intent"];
    assert_eq!(intent["latest_charge"]["payment_method_details"]["card"]["last4"], "4242");
    assert_eq!(intent["metadata"]["reference"], "r7");
    let saved = (
        session["customer"].as_str().expect("a customer").to_owned(),
        intent["payment_method"]["id"].as_str().expect("a method").to_owned(),
    );
    assert_eq!(world.renew(&saved, "r8").await.ok()["status"], "succeeded");
}

#[tokio::test]
async fn paying_twice_charges_once() {
    let world = world().await;
    let opened = open(&world, &[]).await;
    let first = world.page(&opened["url"], "pay", "4242424242424242").await;
    let again = world.page(&opened["url"], "pay", "4242424242424242").await;
    assert_eq!((first.status, first.header("location")), (again.status, again.header("location")));
    assert_eq!(world.charges().len(), 1);
}

#[tokio::test]
async fn after_a_decline_the_page_waits_for_another_card() {
    let world = world().await;
    let opened = open(&world, &[]).await;
    let declined = world.page(&opened["url"], "pay", "4000000000009995").await;
    assert_eq!(declined.status, 402);
    assert!(declined.text.contains("role=\"alert\"") && declined.text.contains("insufficient_funds"));
    let refused = world.page(&opened["url"], "decline", "4242424242424242").await;
    assert_eq!(refused.status, 402);
    let open = session(&world, &opened["id"], "?expand[]=payment_intent").await;
    assert_eq!((open["status"].as_str(), open["payment_status"].as_str()), (Some("open"), Some("unpaid")));
    assert_eq!(open["payment_intent"]["last_payment_error"]["decline_code"], "generic_decline");
    assert_eq!(world.page(&opened["url"], "pay", "4242424242424242").await.status, 303);
    let charges = world.charges();
    let statuses: Vec<_> = charges.iter().map(|charge| charge["status"].as_str().unwrap_or_default()).collect();
    assert_eq!(statuses, ["failed", "failed", "succeeded"]);
    assert!(charges.iter().all(|charge| charge["reference"] == "r7"));
}

#[tokio::test]
async fn a_card_set_up_with_3d_secure_works_without_its_customer() {
    let world = world().await;
    let customer = world.stripe("customers", &[]).await.ok();
    let form = [
        ("mode", "setup"),
        ("currency", "usd"),
        ("customer", customer["id"].as_str().expect("an id")),
        ("success_url", "https://app.example/saved"),
    ];
    for (number, status, works) in [
        ("4000002500003155", 303, 200),
        ("4000002760003184", 303, 402),
        ("4000008260003178", 303, 402),
        ("4000000000000341", 303, 402),
        ("4000000000009987", 402, 0),
    ] {
        let opened = world.stripe("checkout/sessions", &form).await.ok();
        assert_eq!(world.page(&opened["url"], "pay", number).await.status, status, "{number}");
        let session = session(&world, &opened["id"], "?expand[]=setup_intent").await;
        let setup = &session["setup_intent"];
        if status == 402 {
            assert_eq!(setup["status"], "requires_payment_method");
            continue;
        }
        assert_eq!((setup["status"].as_str(), session["status"].as_str()), (Some("succeeded"), Some("complete")));
        let text = |value: &Value| value.as_str().expect("an id").to_owned();
        let saved = (text(&setup["customer"]), text(&setup["payment_method"]));
        assert_eq!(world.renew(&saved, number).await.status, works, "{number}");
    }
}

#[tokio::test]
async fn an_expired_page_takes_no_money() {
    let world = world().await;
    let opened = open(&world, &[]).await;
    let path = format!("checkout/sessions/{}/expire", opened["id"].as_str().expect("an id"));
    assert_eq!(world.stripe(&path, &[]).await.ok()["status"], "expired");
    assert_eq!(world.stripe(&path, &[]).await.status, 400);
    assert_eq!(world.page(&opened["url"], "pay", "4242424242424242").await.status, 410);
    let other = open(&world, &[]).await;
    world.admin("clock", json!({"advance_seconds": 24 * 3600 + 1}));
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    assert_eq!(session(&world, &other["id"], "").await["status"], "expired");
    assert!(world.charges().is_empty());
}

#[tokio::test]
async fn sessions_are_checked_and_found() {
    let world = world().await;
    let refused = async |more: &[(&str, &str)]| -> Answer {
        world.stripe("checkout/sessions", &[SESSION.as_slice(), more].concat()).await
    };
    assert_eq!(refused(&[("ui_mode", "hosted")]).await.status, 400);
    assert_eq!(refused(&[("expires_at", "1")]).await.status, 400);
    assert_eq!(refused(&[("line_items[0][price]", "price_1")]).await.refused(), (400, "resource_missing"));
    assert_eq!(refused(&[("success_url", "javascript:alert(1)")]).await.refused(), (400, "url_invalid"));
    let (customer, _) = world.saved("pm_card_visa").await;
    let opened = open(&world, &[("customer", &customer)]).await;
    open(&world, &[]).await;
    let found = world.stripe_get(&format!("checkout/sessions?customer={customer}")).await.ok();
    assert_eq!(found["data"].as_array().map(Vec::len), Some(1));
    assert_eq!(found["data"][0]["id"], opened["id"]);
}

#[tokio::test]
async fn a_client_secret_has_a_page_too() {
    let world = world().await;
    let form = [("amount", "2000"), ("currency", "usd"), ("metadata[reference]", "r9")];
    let intent = world.stripe("payment_intents", &form).await.ok();
    let secret = intent["client_secret"].as_str().expect("a secret");
    let url = json!(format!("{}/elements/{secret}", world.simulator.stripe()));
    assert_eq!(world.page(&url, "pay", "4000000000000002").await.status, 402);
    let paid = world.page(&url, "pay", "4242424242424242").await;
    assert_eq!(paid.status, 200);
    assert!(paid.text.contains("USD 20.00 was paid") && paid.text.contains("r9"));
    assert_eq!(world.page(&url, "pay", "4242424242424242").await.status, 200);
    assert_eq!(world.charges().iter().filter(|charge| charge["status"] == "succeeded").count(), 1);
    let guessed = json!(format!("{}/elements/{}x", world.simulator.stripe(), secret));
    assert_eq!(world.page(&guessed, "pay", "4242424242424242").await.status, 404);
}

#[tokio::test]
async fn every_test_card_does_what_its_number_says() {
    let world = world().await;
    for (number, decline, advice) in [
        ("4000000000000341", "generic_decline", "try_again_later"),
        ("4000000000000002", "generic_decline", "try_again_later"),
        ("4000000000009995", "insufficient_funds", "try_again_later"),
        ("4000000000009987", "lost_card", "do_not_try_again"),
        ("4000000000009979", "stolen_card", "do_not_try_again"),
        ("4000000000000069", "expired_card", "confirm_card_data"),
        ("4000000000000127", "incorrect_cvc", "confirm_card_data"),
        ("4000000000000119", "processing_error", "try_again_later"),
        ("4000000000006975", "card_velocity_exceeded", "try_again_later"),
        ("4100000000000019", "fraudulent", ""),
        ("4000008260003178", "insufficient_funds", "try_again_later"),
    ] {
        let intent = world.stripe("payment_intents", &[("amount", "2000"), ("currency", "usd")]).await.ok();
        let url =
            format!("{}/elements/{}", world.simulator.stripe(), intent["client_secret"].as_str().expect("a secret"));
        assert_eq!(world.page(&json!(url), "pay", number).await.status, 402, "{number}");
        let path = format!("payment_intents/{}?expand[]=latest_charge", intent["id"].as_str().expect("an id"));
        let intent = world.stripe_get(&path).await.ok();
        let error = &intent["last_payment_error"];
        assert_eq!(
            (intent["status"].as_str(), error["decline_code"].as_str()),
            (Some("requires_payment_method"), Some(decline))
        );
        assert_eq!(error["advice_code"].as_str().unwrap_or_default(), advice, "{number}");
        assert_eq!(intent["latest_charge"]["status"], "failed");
    }
    for (number, refund, later) in [
        ("4242424242424242", "succeeded", "succeeded"),
        ("5555555555554444", "succeeded", "succeeded"),
        ("4000000000007726", "pending", "succeeded"),
        ("4000000000005126", "succeeded", "failed"),
    ] {
        let intent = world.stripe("payment_intents", &[("amount", "2000"), ("currency", "usd")]).await.ok();
        let url =
            format!("{}/elements/{}", world.simulator.stripe(), intent["client_secret"].as_str().expect("a secret"));
        assert_eq!(world.page(&json!(url), "pay", number).await.status, 200, "{number}");
        let refunded = world.stripe("refunds", &[("payment_intent", intent["id"].as_str().expect("an id"))]).await.ok();
        assert_eq!(refunded["status"], refund, "{number}");
        world.admin("clock", json!({"advance_seconds": 3}));
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        let path = format!("refunds/{}", refunded["id"].as_str().expect("an id"));
        assert_eq!(world.stripe_get(&path).await.ok()["status"], later, "{number}");
    }
}
