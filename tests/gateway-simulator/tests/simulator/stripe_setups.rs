//! Stripe's SetupIntents and saved methods: a card for later, and what becomes of it.

use crate::world::{World, read, world};
use serde_json::{Value, json};

fn text(value: &Value) -> String {
    value.as_str().expect("text").to_owned()
}

async fn setup(world: &World, more: &[(&str, &str)]) -> (String, Value) {
    let customer = world.stripe("customers", &[("email", "billing@acme.example")]).await.ok();
    let customer = text(&customer["id"]);
    let form = [("customer", customer.as_str()), ("usage", "off_session"), ("metadata[reference]", "m1")];
    let setup = world.stripe("setup_intents", &[form.as_slice(), more].concat()).await.ok();
    (customer, setup)
}

#[tokio::test]
async fn a_card_is_saved_on_the_page_of_its_client_secret_and_nothing_is_charged() {
    let world = world().await;
    let (customer, setup) = setup(&world, &[("return_url", "https://app.example/back")]).await;
    assert_eq!(
        (setup["object"].as_str(), setup["status"].as_str()),
        (Some("setup_intent"), Some("requires_payment_method"))
    );
    let url = json!(format!("{}/elements/{}", world.simulator.stripe(), text(&setup["client_secret"])));
    let page = read(world.client.get(url.as_str().expect("an address"))).await.expect("a page");
    assert!(page.text.contains("Save a card") && page.text.contains("m1"), "{}", page.text);
    let declined = world.page(&url, "pay", "4000000000009995").await;
    assert_eq!(declined.status, 402);
    let saved = world.page(&url, "pay", "4000002500003155").await;
    assert_eq!(saved.status, 303);
    assert!(saved.header("location").contains("redirect_status=succeeded"), "{}", saved.header("location"));

    let path = format!("setup_intents/{}?expand[]=payment_method", text(&setup["id"]));
    let setup = world.stripe_get(&path).await.ok();
    assert_eq!((setup["status"].as_str(), &setup["last_setup_error"]), (Some("succeeded"), &Value::Null));
    assert_eq!(setup["payment_method"]["card"]["last4"], "3155");
    assert_eq!(setup["payment_method"]["customer"], customer);
    let events = world.stripe_events().await;
    assert_eq!(events, ["setup_intent.setup_failed", "payment_method.attached", "setup_intent.succeeded"]);
    assert!(world.charges().is_empty());
    // The card was set up, so that it works without its customer.
    assert_eq!(world.renew(&(customer, text(&setup["payment_method"]["id"])), "r1").await.status, 200);
}

#[tokio::test]
async fn a_setup_is_confirmed_by_the_api_or_sends_its_customer_to_a_page() {
    let world = world().await;
    let (_, first) = setup(&world, &[]).await;
    let path = format!("setup_intents/{}/confirm", text(&first["id"]));
    let declined = world.stripe(&path, &[("payment_method", "pm_card_chargeDeclined")]).await;
    assert_eq!(declined.refused(), (402, "card_declined"));
    assert_eq!(declined.json["error"]["setup_intent"]["status"], "requires_payment_method");
    assert_eq!(world.stripe(&path, &[]).await.refused(), (400, "parameter_missing"));
    assert_eq!(world.stripe(&path, &[("payment_method", "pm_card_visa")]).await.ok()["status"], "succeeded");
    let twice = world.stripe(&path, &[("payment_method", "pm_card_visa")]).await;
    assert_eq!(twice.refused(), (400, "setup_intent_unexpected_state"));

    let form = [("payment_method", "pm_card_authenticationRequired"), ("confirm", "true")];
    let (_, waits) = setup(&world, &[form.as_slice(), &[("return_url", "https://app.example/back")]].concat()).await;
    assert_eq!(waits["status"], "requires_action");
    let page = &waits["next_action"]["redirect_to_url"]["url"];
    assert_eq!(world.page(page, "decline", "4000002760003184").await.status, 402);
    assert_eq!(world.page(page, "pay", "4000002760003184").await.status, 303);
}

#[tokio::test]
async fn a_canceled_setup_saves_nothing() {
    let world = world().await;
    let (customer, setup) = setup(&world, &[]).await;
    let path = format!("setup_intents/{}/cancel", text(&setup["id"]));
    assert_eq!(world.stripe(&path, &[]).await.ok()["status"], "canceled");
    assert_eq!(world.stripe(&path, &[]).await.refused(), (400, "setup_intent_unexpected_state"));
    let url = json!(format!("{}/elements/{}", world.simulator.stripe(), text(&setup["client_secret"])));
    assert_eq!(world.page(&url, "pay", "4242424242424242").await.status, 410);
    let methods = world.stripe_get(&format!("customers/{customer}/payment_methods?type=card")).await.ok();
    assert_eq!(methods["data"], json!([]));
}

#[tokio::test]
async fn the_old_list_of_method_types_is_refused_everywhere() {
    let world = world().await;
    let (_, setup) = setup(&world, &[]).await;
    let confirm = format!("setup_intents/{}/confirm", text(&setup["id"]));
    for path in ["payment_intents", "setup_intents", "checkout/sessions", confirm.as_str()] {
        let answer = world.stripe(path, &[("payment_method_types[]", "card")]).await;
        assert_eq!(answer.refused(), (400, "payment_method_types_no_longer_supported"), "{path}");
    }
}

#[tokio::test]
async fn a_page_that_only_saves_a_card_completes_without_payment() {
    let world = world().await;
    let (customer, _) = world.saved("pm_card_mastercard").await;
    let form = [
        ("mode", "setup"),
        ("currency", "usd"),
        ("customer", customer.as_str()),
        ("success_url", "https://app.example/saved"),
        ("metadata[reference]", "m1"),
        ("setup_intent_data[metadata][reference]", "m1"),
    ];
    let opened = world.stripe("checkout/sessions", &form).await.ok();
    assert_eq!(
        (opened["payment_status"].as_str(), &opened["payment_intent"]),
        (Some("no_payment_required"), &Value::Null)
    );
    assert_eq!(world.page(&opened["url"], "pay", "4242424242424242").await.status, 303);
    let query = "expand[]=setup_intent&expand[]=setup_intent.payment_method";
    let session = world.stripe_get(&format!("checkout/sessions/{}?{query}", text(&opened["id"]))).await.ok();
    assert_eq!((session["status"].as_str(), session["mode"].as_str()), (Some("complete"), Some("setup")));
    assert_eq!(session["setup_intent"]["metadata"]["reference"], "m1");
    assert_eq!(session["setup_intent"]["payment_method"]["card"]["brand"], "visa");
    let events = world.stripe_events().await;
    let told = ["payment_method.attached", "setup_intent.succeeded", "checkout.session.completed"];
    assert_eq!(events[1..], told);
    assert!(world.charges().is_empty());
}

#[tokio::test]
async fn one_card_has_one_fingerprint_whoever_saves_it() {
    let world = world().await;
    let fingerprint = async |token: &str| {
        let (_, method) = world.saved(token).await;
        text(&world.stripe_get(&format!("payment_methods/{method}")).await.ok()["card"]["fingerprint"])
    };
    let visa = fingerprint("pm_card_visa").await;
    assert_eq!(fingerprint("pm_card_visa").await, visa);
    assert_ne!(fingerprint("pm_card_mastercard").await, visa);
}

#[tokio::test]
async fn a_default_method_is_the_customers_own_and_goes_when_it_is_detached() {
    let world = world().await;
    let (customer, method) = world.saved("pm_card_visa").await;
    let (_, stranger) = world.saved("pm_card_mastercard").await;
    let path = format!("customers/{customer}");
    let set = async |method: &str| world.stripe(&path, &[("invoice_settings[default_payment_method]", method)]).await;
    assert_eq!(set(&stranger).await.refused(), (400, "resource_missing"));
    assert_eq!(set(&method).await.ok()["invoice_settings"]["default_payment_method"], method);
    world.stripe(&format!("payment_methods/{method}/detach"), &[]).await.ok();
    let customer = world.stripe_get(&path).await.ok();
    assert_eq!(customer["invoice_settings"]["default_payment_method"], Value::Null);
    assert_eq!(world.stripe_events().await.last().map(String::as_str), Some("payment_method.detached"));
}

#[tokio::test]
async fn a_deleted_customer_takes_their_cards_along() {
    let world = world().await;
    let saved = world.saved("pm_card_visa").await;
    let path = format!("customers/{}", saved.0);
    let gone = json!({"id": saved.0, "object": "customer", "deleted": true});
    assert_eq!(world.stripe_delete(&path).await.ok(), gone);
    assert_eq!(world.stripe_get(&path).await.ok(), gone);
    assert_eq!(world.stripe_delete(&path).await.refused(), (404, "resource_missing"));
    assert_eq!(world.renew(&saved, "r1").await.refused(), (400, "resource_missing"));
    assert_eq!(world.stripe_get("customers").await.ok()["data"], json!([]));
    assert_eq!(world.stripe_events().await.last().map(String::as_str), Some("customer.deleted"));
    assert!(world.charges().is_empty());
}
