//! Subscriptions that Stripe drives: read through the API, moved by order.

use crate::world::{World, world};
use serde_json::{Value, json};

async fn price(world: &World, amount: &str, interval: &str) -> String {
    let form = [("currency", "usd"), ("unit_amount", amount), ("product", "pro"), ("recurring[interval]", interval)];
    if world.stripe_get("products/pro").await.status != 200 {
        world.stripe("products", &[("id", "pro"), ("name", "Professional")]).await.ok();
    }
    text(&world.stripe("prices", &form).await.ok()["id"])
}

fn text(value: &Value) -> String {
    value.as_str().expect("text").to_owned()
}

fn order(world: &World, body: Value) -> Value {
    world.admin("stripe/subscription", body)
}

fn begun(world: &World, price: &str) -> String {
    let body = json!({"action": "create", "email": "billing@acme.example", "price": price, "quantity": 2,
        "metadata": {"customer": "acme"}, "started": "2026-01-31T10:00:00Z"});
    text(&order(world, body)["subscription"]["id"])
}

async fn subscription(world: &World, id: &str) -> Value {
    world.stripe_get(&format!("subscriptions/{id}")).await.ok()
}

/// The events since the last look, but for those of the payments behind the invoices.
async fn told(world: &World, seen: &mut usize) -> Vec<String> {
    let events = world.stripe_events().await;
    let new = events[*seen..].iter().filter(|kind| kind.starts_with("customer.") || kind.starts_with("invoice."));
    let new = new.cloned().collect();
    *seen = events.len();
    new
}

fn unix(time: &str) -> i64 {
    time.parse::<jiff::Timestamp>().expect("a time").as_second()
}

#[tokio::test]
async fn the_period_stands_on_the_item_and_the_invoice_names_its_subscription() {
    let world = world().await;
    let price = price(&world, "1000", "month").await;
    let id = begun(&world, &price);
    let subscription = subscription(&world, &id).await;
    assert_eq!(
        (subscription["status"].as_str(), subscription["cancel_at_period_end"].as_bool()),
        (Some("active"), Some(false))
    );
    assert_eq!(subscription.get("current_period_end"), None);
    let item = &subscription["items"]["data"][0];
    let period = (item["current_period_start"].as_i64(), item["current_period_end"].as_i64());
    assert_eq!(period, (Some(unix("2026-01-31T10:00:00Z")), Some(unix("2026-02-28T10:00:00Z"))));
    assert_eq!((item["price"]["id"].as_str(), item["quantity"].as_i64()), (Some(price.as_str()), Some(2)));

    let invoice = world.stripe_get(&format!("invoices/{}", text(&subscription["latest_invoice"]))).await.ok();
    assert_eq!(invoice["parent"]["subscription_details"]["subscription"], id);
    assert_eq!(invoice["parent"]["subscription_details"]["metadata"], json!({"customer": "acme"}));
    assert_eq!((invoice.get("subscription"), invoice.get("payment_intent")), (None, None));
    assert_eq!(
        (invoice["status"].as_str(), invoice["billing_reason"].as_str()),
        (Some("paid"), Some("subscription_create"))
    );
    assert_eq!((invoice["amount_due"].as_i64(), invoice["amount_paid"].as_i64()), (Some(2000), Some(2000)));
    assert_eq!(invoice["lines"]["data"][0]["pricing"]["price_details"]["price"], price);
    let events = told(&world, &mut 0).await;
    assert_eq!(events, ["customer.subscription.created", "invoice.created", "invoice.payment_succeeded"]);
    let charges = world.charges();
    assert_eq!((charges.len(), charges[0]["amount"]["minor"].as_i64()), (1, Some(2000)));
}

#[tokio::test]
async fn renewals_move_the_period_and_month_ends_stay_month_ends() {
    let world = world().await;
    let id = begun(&world, &price(&world, "1000", "month").await);
    let mut seen = 0;
    told(&world, &mut seen).await;
    for end in ["2026-03-31T10:00:00Z", "2026-04-30T10:00:00Z"] {
        let renewed = order(&world, json!({"action": "renew", "subscription": id}));
        let invoice = &renewed["invoice"];
        assert_eq!(invoice["billing_reason"], "subscription_cycle");
        assert!(invoice["period_start"].as_i64() < invoice["period_end"].as_i64(), "{invoice}");
        let line = &invoice["lines"]["data"][0]["period"];
        assert_eq!((&line["start"], line["end"].as_i64()), (&invoice["period_end"], Some(unix(end))));
        let item = &subscription(&world, &id).await["items"]["data"][0];
        assert_eq!(item["current_period_end"], unix(end));
        let events = told(&world, &mut seen).await;
        assert_eq!(events, ["customer.subscription.updated", "invoice.created", "invoice.payment_succeeded"]);
    }
    assert_eq!(world.charges().len(), 3);
}

#[tokio::test]
async fn a_renewal_that_fails_is_past_due_until_it_is_paid() {
    let world = world().await;
    let id = begun(&world, &price(&world, "1000", "month").await);
    let mut seen = 0;
    told(&world, &mut seen).await;
    let failing = json!({"action": "renew", "subscription": id, "declined": "insufficient_funds"});
    let failed = order(&world, failing.clone());
    assert_eq!(
        (failed["subscription"]["status"].as_str(), failed["invoice"]["status"].as_str()),
        (Some("past_due"), Some("open"))
    );
    assert!(failed["invoice"]["next_payment_attempt"].is_i64());
    // Why it failed is told by its payment, for whoever asks for that.
    let invoice = format!("invoices/{}", text(&failed["invoice"]["id"]));
    assert_eq!(world.stripe_get(&invoice).await.ok().get("payments"), None);
    let expanded = format!("{invoice}?expand[]=payments.data.payment.payment_intent");
    let payments = world.stripe_get(&expanded).await.ok()["payments"]["data"].clone();
    let error = &payments[0]["payment"]["payment_intent"]["last_payment_error"];
    assert_eq!((&payments[0]["status"], &error["decline_code"]), (&json!("open"), &json!("insufficient_funds")));
    let events = told(&world, &mut seen).await;
    let (changed, drawn, refused) = ("customer.subscription.updated", "invoice.created", "invoice.payment_failed");
    assert_eq!(events, [changed, drawn, refused, changed]);
    let last = world.stripe_get("events?limit=1").await.ok();
    assert_eq!(last["data"][0]["data"]["previous_attributes"], json!({"status": "active"}));

    assert_eq!(order(&world, failing)["invoice"]["attempt_count"], 2);
    assert_eq!(told(&world, &mut seen).await, [refused]);
    let paid = order(&world, json!({"action": "renew", "subscription": id}));
    assert_eq!(paid["invoice"]["id"], failed["invoice"]["id"]);
    assert_eq!(told(&world, &mut seen).await, ["invoice.payment_succeeded", changed]);
    assert_eq!(subscription(&world, &id).await["status"], "active");
    let statuses: Vec<_> = world.charges().iter().map(|charge| charge["status"].clone()).collect();
    assert_eq!(statuses, ["succeeded", "failed", "failed", "succeeded"]);
}

#[tokio::test]
async fn another_price_changes_the_item_and_another_interval_the_period() {
    let world = world().await;
    let id = begun(&world, &price(&world, "1000", "month").await);
    let mut seen = 0;
    told(&world, &mut seen).await;
    let dearer = price(&world, "3000", "month").await;
    let change = |price: &str| json!({"action": "change_price", "subscription": id, "price": price, "quantity": 1});
    let changed = order(&world, change(&dearer));
    let item = &changed["subscription"]["items"]["data"][0];
    assert_eq!(
        (&item["price"]["id"], item["current_period_end"].as_i64()),
        (&json!(dearer), Some(unix("2026-02-28T10:00:00Z")))
    );
    assert_eq!(told(&world, &mut seen).await, ["customer.subscription.updated"]);
    let yearly = price(&world, "30000", "year").await;
    let changed = order(&world, change(&yearly));
    assert_eq!(changed["invoice"]["billing_reason"], "subscription_update");
    assert_eq!(changed["invoice"]["amount_paid"], 30_000);
    let events = told(&world, &mut seen).await;
    assert_eq!(events, ["customer.subscription.updated", "invoice.created", "invoice.payment_succeeded"]);
}

#[tokio::test]
async fn a_cancellation_is_now_or_at_the_end() {
    let world = world().await;
    let price = price(&world, "1000", "month").await;
    let now = begun(&world, &price);
    order(&world, json!({"action": "cancel", "subscription": now}));
    let ended = subscription(&world, &now).await;
    assert_eq!((ended["status"].as_str(), ended["ended_at"].is_i64()), (Some("canceled"), true));
    let last = world.stripe_events().await.pop();
    assert_eq!(last.as_deref(), Some("customer.subscription.deleted"));

    let later = begun(&world, &price);
    let set = order(&world, json!({"action": "cancel", "subscription": later, "at_period_end": true}));
    let set = &set["subscription"];
    assert_eq!((set["status"].as_str(), set["cancel_at_period_end"].as_bool()), (Some("active"), Some(true)));
    assert_eq!(set["cancel_at"], unix("2026-02-28T10:00:00Z"));
    let before = world.charges().len();
    let ended = order(&world, json!({"action": "renew", "subscription": later}));
    assert_eq!((ended["subscription"]["status"].as_str(), world.charges().len()), (Some("canceled"), before));
    let refused = world.simulator.admin("stripe/subscription", &json!({"action": "renew", "subscription": later}));
    assert!(refused.is_err_and(|error| error.starts_with("subscription")));
    assert_eq!(world.stripe_get("subscriptions").await.ok()["data"], json!([]));
    assert_eq!(world.stripe_get("subscriptions?status=all").await.ok()["data"].as_array().map(Vec::len), Some(2));
}

#[tokio::test]
async fn orders_that_make_no_sense_name_the_field() {
    let world = world().await;
    let once = [("currency", "usd"), ("unit_amount", "1000"), ("product", "pro")];
    let monthly = price(&world, "1000", "month").await;
    let once = text(&world.stripe("prices", &once).await.ok()["id"]);
    for (body, field) in [
        (json!({"action": "create", "price": "price_none"}), "price"),
        (json!({"action": "create", "price": once}), "price"),
        (json!({"action": "create", "price": monthly, "quantity": 0}), "quantity"),
        (json!({"action": "create", "price": monthly, "card": "1"}), "card"),
        (json!({"action": "create", "price": monthly, "customer": "cus_none"}), "customer"),
        (json!({"action": "renew", "subscription": "sub_none"}), "subscription"),
        (json!({"action": "sing"}), "sing"),
    ] {
        let error = world.simulator.admin("stripe/subscription", &body).expect_err("a refusal");
        assert!(error.contains(field), "{body}: {error}");
    }
    assert!(world.simulator.admin("stripe/nonsense", &json!({})).is_err());
}
