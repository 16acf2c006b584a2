//! The admin routes, the books, and a restart.

use crate::world::{read, world, world_with};
use gateway_simulator::Options;
use serde_json::{Value, json};

const EMAIL: &str = "billing@acme.example";

#[tokio::test]
async fn it_says_that_it_is_well() {
    let world = world().await;
    let health = read(world.client.get(format!("{}/health", world.simulator.url()))).await.expect("an answer").ok();
    assert_eq!(health["status"], "ok");
}

#[tokio::test]
async fn the_books_can_be_searched() {
    let world = world().await;
    let card = world.saved("pm_card_visa").await;
    world.renew(&card, "r1").await.ok();
    world.subscribed(EMAIL).await;
    let books = async |query: &str| {
        let url = format!("{}/admin/books{query}", world.simulator.url());
        read(world.client.get(url)).await.expect("an answer")
    };
    let all = books("").await.ok();
    assert_eq!(all["charges"].as_array().map(Vec::len), Some(2));
    assert_eq!(all["requests"]["stripe"], json!({"customer": 1, "method": 1, "off_session": 1}));
    assert_eq!(all["requests"]["paystack"], json!({"checkout": 1, "hosted": 1, "find": 1}));
    let stripe = books("?gateway=stripe&reference=r1").await.ok();
    let charge = &stripe["charges"][0];
    assert_eq!(charge["amount"], json!({"minor": 2000, "currency": "USD"}));
    assert_eq!((charge["status"].as_str(), charge["off_session"].as_bool()), (Some("succeeded"), Some(true)));
    assert_eq!(charge["customer"], card.0);
    let theirs = books("?customer=billing%40acme.example").await.ok();
    assert_eq!(theirs["charges"].as_array().map(Vec::len), Some(1));
    assert_eq!(theirs["charges"][0]["gateway"], "paystack");
    let wrong = books("?colour=red").await;
    assert_eq!(wrong.status, 400);
    assert!(wrong.text.contains("colour"));
}

#[tokio::test]
async fn settings_are_checked_and_used() {
    let world = world().await;
    let refused = |body: Value| world.simulator.admin("configure", &body).expect_err("a refusal");
    assert!(refused(json!({"stripe": {"webhook_url": "http://example.com/"}})).starts_with("stripe.webhook_url"));
    assert!(refused(json!({"stripe": {"webhook_url": "https://127.0.0.1/"}})).starts_with("stripe.webhook_url"));
    assert!(refused(json!({"paystack": {"secret_key": ""}})).starts_with("paystack.secret_key"));
    assert!(refused(json!({"paystack": {"webhook_secret": "x"}})).contains("webhook_secret"));
    world.admin("configure", json!({"paystack": {"secret_key": "sk_test_new"}}));
    assert_eq!(world.paystack_get("transaction").await.status, 401);
    let url = format!("{}/transaction", world.simulator.paystack());
    assert_eq!(read(world.client.get(url).bearer_auth("sk_test_new")).await.expect("an answer").status, 200);
}

#[tokio::test]
async fn orders_over_http_must_be_json() {
    let world = world().await;
    let url = format!("{}/admin/reset", world.simulator.url());
    assert_eq!(read(world.client.post(&url).body("{}")).await.expect("an answer").status, 415);
    assert_eq!(read(world.client.post(&url).json(&json!({"x": 1}))).await.expect("an answer").status, 400);
    assert_eq!(read(world.client.post(&url)).await.expect("an answer").status, 200);
    let unknown = format!("{}/admin/nothing", world.simulator.url());
    assert_eq!(read(world.client.post(&unknown)).await.expect("an answer").status, 404);
}

#[tokio::test]
async fn a_reset_forgets_everything_but_the_settings() {
    let world = world().await;
    world.admin("configure", json!({"paystack": {"webhook_url": "http://127.0.0.1:9/"}}));
    world.subscribed(EMAIL).await;
    world.fault("stripe", "any", json!({"kind": "error_500"}));
    world.admin("reset", json!({}));
    let books = world.simulator.books();
    assert_eq!((&books["charges"], &books["deliveries"], &books["requests"]), (&json!([]), &json!([]), &json!({})));
    world.stripe_get("payment_intents").await.ok();
    assert_eq!(world.admin("configure", json!({}))["paystack"]["webhook_url"], "http://127.0.0.1:9/");
}

#[tokio::test]
async fn the_books_survive_a_restart() {
    let folder = std::env::temp_dir().join(format!("gateway-simulator-{}", std::process::id()));
    let options = Options { state: Some(folder.join("state.json")), ..Options::default() };
    let first = world_with(options.clone()).await;
    let card = first.saved("pm_card_visa").await;
    let charged = first.renew(&card, "r1").await.ok();
    let code = first.subscribed(EMAIL).await;
    first.fault("stripe", "find", json!({"kind": "error_500"}));
    let books = first.simulator.books();
    first.simulator.shutdown().await.expect("a saved state");

    let second = world_with(options).await;
    assert_eq!(second.simulator.books(), books);
    assert_eq!(second.stripe_get("payment_intents").await.status, 500);
    let again = second.renew(&card, "r1").await;
    assert_eq!((again.header("idempotent-replayed"), &again.json["id"]), ("true", &charged["id"]));
    let renewed = json!({"email": EMAIL, "amount": 700_000, "authorization_code": code});
    second.paystack("transaction/charge_authorization", renewed).await.ok();
    assert_eq!(second.charges().len(), 3);
    second.simulator.shutdown().await.expect("a saved state");
    std::fs::remove_dir_all(folder).expect("the folder is there");
}

#[tokio::test]
async fn a_spoilt_state_is_not_overwritten() {
    let file = std::env::temp_dir().join(format!("gateway-simulator-spoilt-{}.json", std::process::id()));
    std::fs::write(&file, "{").expect("a file");
    let options = Options { state: Some(file.clone()), ..Options::default() };
    assert!(gateway_simulator::Simulator::start(options).await.is_err());
    assert_eq!(std::fs::read_to_string(&file).expect("the file"), "{");
    std::fs::remove_file(file).expect("the file is there");
}

#[tokio::test]
async fn its_time_goes_forward_only() {
    let world = world().await;
    let clock = |body: Value| world.simulator.admin("clock", &body);
    let later = clock(json!({"now": "2040-01-31T00:00:00Z"})).expect("a later time");
    assert!(later["now"].as_str().is_some_and(|now| now.starts_with("2040-01-31T00:00:0")), "{later}");
    let still = clock(json!({"now": "2039-01-31T00:00:00Z"})).expect("a time that is over");
    assert!(still["now"].as_str().is_some_and(|now| now.starts_with("2040-01-31T00:00:")), "{still}");
    assert!(clock(json!({"advance_seconds": -1})).is_err());
    assert!(clock(json!({"now": "tomorrow"})).is_err_and(|error| error.starts_with("now")));
    assert!(clock(json!({})).is_err());
    let customer = world.stripe("customers", &[]).await.ok();
    assert!(customer["created"].as_i64().is_some_and(|created| created >= 2_211_494_400));
}
