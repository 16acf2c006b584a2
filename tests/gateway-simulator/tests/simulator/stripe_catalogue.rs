//! Stripe's products and prices.

use crate::world::{World, world};
use serde_json::{Value, json};

async fn product(world: &World, id: &str) -> Value {
    world.stripe("products", &[("id", id), ("name", "Professional"), ("metadata[plan]", "pro")]).await.ok()
}

async fn price(world: &World, product: &str, amount: &str, more: &[(&str, &str)]) -> Value {
    let form = [("product", product), ("currency", "usd"), ("unit_amount", amount), ("recurring[interval]", "month")];
    world.stripe("prices", &[form.as_slice(), more].concat()).await.ok()
}

fn id(value: &Value) -> &str {
    value["id"].as_str().expect("an id")
}

async fn listed(world: &World, query: &str) -> Vec<Value> {
    let rows = world.stripe_get(query).await.ok()["data"].as_array().cloned().expect("rows");
    rows.into_iter().map(|row| row["id"].clone()).collect()
}

#[tokio::test]
async fn a_products_own_id_makes_it_once() {
    let world = world().await;
    let made = product(&world, "estates_pro").await;
    assert_eq!(
        (id(&made), made["active"].as_bool(), &made["metadata"]),
        ("estates_pro", Some(true), &json!({"plan": "pro"}))
    );
    let again = world.stripe("products", &[("id", "estates_pro"), ("name", "Other")]).await;
    assert_eq!(again.refused(), (400, "resource_already_exists"));
    assert_eq!(world.stripe("products", &[]).await.refused(), (400, "parameter_missing"));
    let form = [("name", "Professional Plus"), ("active", "false"), ("metadata[plan]", "")];
    let changed = world.stripe("products/estates_pro", &form).await.ok();
    assert_eq!((changed["name"].as_str(), changed["active"].as_bool()), (Some("Professional Plus"), Some(false)));
    assert_eq!(changed["metadata"], json!({}));
    assert_eq!(world.stripe("products/estates_pro", &[("name", "")]).await.refused(), (400, "parameter_invalid_empty"));
    product(&world, "estates_start").await;
    assert_eq!(listed(&world, "products?active=true").await, ["estates_start"]);
    assert_eq!(listed(&world, "products?active=false").await, ["estates_pro"]);
    assert_eq!(listed(&world, "products?ids[]=estates_pro").await, ["estates_pro"]);
}

#[tokio::test]
async fn a_products_amount_is_never_edited_but_its_key_moves() {
    let world = world().await;
    product(&world, "pro").await;
    let old = price(&world, "pro", "2000", &[("lookup_key", "pro_monthly"), ("nickname", "2026")]).await;
    assert_eq!((old["type"].as_str(), old["recurring"]["interval"].as_str()), (Some("recurring"), Some("month")));
    let path = format!("prices/{}", id(&old));
    for change in ["unit_amount", "currency", "recurring[interval]", "product"] {
        assert_eq!(world.stripe(&path, &[(change, "1")]).await.refused(), (400, "parameter_unknown"), "{change}");
    }
    let taken = [("product", "pro"), ("currency", "usd"), ("unit_amount", "2500"), ("lookup_key", "pro_monthly")];
    assert_eq!(world.stripe("prices", &taken).await.status, 400);
    let new = price(&world, "pro", "2500", &[("lookup_key", "pro_monthly"), ("transfer_lookup_key", "true")]).await;
    assert_eq!(world.stripe_get(&path).await.ok()["lookup_key"], Value::Null);
    assert_eq!(listed(&world, "prices?lookup_keys[]=pro_monthly").await, [id(&new)]);
    assert_eq!(world.stripe(&path, &[("active", "false")]).await.ok()["active"], false);
    assert_eq!(listed(&world, "prices?product=pro&active=true").await, [id(&new)]);
    assert_eq!(listed(&world, "prices?product=other").await, Vec::<Value>::new());
    // To keep its own key is not to take it.
    let path = format!("prices/{}", id(&new));
    assert_eq!(world.stripe(&path, &[("lookup_key", "pro_monthly")]).await.ok()["lookup_key"], "pro_monthly");
}

#[tokio::test]
async fn prices_are_checked() {
    let world = world().await;
    product(&world, "pro").await;
    let base = [("product", "pro"), ("currency", "usd"), ("unit_amount", "2000")];
    let refused = async |more: &[(&str, &str)]| world.stripe("prices", &[base.as_slice(), more].concat()).await.status;
    assert_eq!(refused(&[("unit_amount", "-1")]).await, 400);
    assert_eq!(refused(&[("unit_amount", "20.00")]).await, 400);
    assert_eq!(refused(&[("currency", "USD")]).await, 400);
    assert_eq!(refused(&[("product", "none")]).await, 400);
    assert_eq!(refused(&[("recurring[interval]", "fortnight")]).await, 400);
    assert_eq!(refused(&[("recurring[interval]", "year"), ("recurring[interval_count]", "4")]).await, 400);
    assert_eq!(refused(&[("recurring[interval_count]", "2")]).await, 400);
    assert_eq!(refused(&[("recurring[interval]", "month"), ("recurring[interval_count]", "3")]).await, 200);
}

#[tokio::test]
async fn a_product_with_prices_can_only_be_archived() {
    let world = world().await;
    product(&world, "pro").await;
    price(&world, "pro", "2000", &[]).await;
    assert_eq!(world.stripe_delete("products/pro").await.status, 400);
    product(&world, "start").await;
    assert_eq!(world.stripe_delete("products/start").await.ok()["deleted"], true);
    assert_eq!(world.stripe_get("products/start").await.refused(), (404, "resource_missing"));
    product(&world, "start").await;
}

#[tokio::test]
async fn a_page_takes_a_price_that_does_not_recur() {
    let world = world().await;
    product(&world, "tokens").await;
    let form = [("product", "tokens"), ("currency", "usd"), ("unit_amount", "1050")];
    let once = world.stripe("prices", &form).await.ok();
    let monthly = price(&world, "tokens", "2000", &[]).await;
    let open = async |price: &Value| {
        let form = [
            ("mode", "payment"),
            ("success_url", "https://app.example/paid"),
            ("line_items[0][price]", id(price)),
            ("line_items[0][quantity]", "2"),
        ];
        world.stripe("checkout/sessions", &form).await
    };
    assert_eq!(open(&monthly).await.status, 400);
    let opened = open(&once).await.ok();
    assert_eq!(opened["amount_total"], 2100);
    assert_eq!(world.page(&opened["url"], "pay", "4242424242424242").await.status, 303);
    world.stripe(&format!("prices/{}", id(&once)), &[("active", "false")]).await.ok();
    assert_eq!(open(&once).await.status, 400);
}
