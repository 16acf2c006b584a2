//! Flitt's callbacks: where they go, how they are written, and who takes them for received.

use super::{KEY, signature, signed};
use crate::world::{Merchant, World, read, world};
use data_encoding::{BASE64, HEXLOWER};
use serde_json::{Map, Value, json};
use sha1::{Digest, Sha1};
use std::time::Duration;

async fn open(world: &World, id: &str, more: Value) -> Value {
    let mut order = json!({"order_id": id, "order_desc": "გამოწერა", "amount": 4600, "currency": "GEL"});
    if let (Some(order), Value::Object(more)) = (order.as_object_mut(), more) {
        order.extend(more);
    }
    let url = format!("{}/api/checkout/url", world.simulator.flitt());
    let answer = read(world.client.post(url).json(&json!({"request": signed(order)}))).await.expect("an answer");
    answer.ok()["response"]["checkout_url"].clone()
}

/// The callbacks that came, once there are so many.
async fn got(merchant: &Merchant, count: usize) -> Vec<Map<String, Value>> {
    for _ in 0..500 {
        if merchant.got().len() >= count {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let bodies = merchant.got();
    bodies.iter().map(|(_, body)| serde_json::from_str(body).expect("an object")).collect()
}

fn said(callbacks: &[Map<String, Value>]) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    callbacks.iter().map(|fields| (text(&fields["order_status"]), text(&fields["response_code"]))).collect()
}

#[tokio::test]
async fn each_try_is_told_of_and_signed_inside_the_body() {
    let world = world().await;
    let (merchant, address) = Merchant::open(&[]).await;
    world.admin("configure", json!({"flitt": {"webhook_url": address}}));
    let url = open(&world, "r1", json!({"required_rectoken": "Y"})).await;
    world.page(&url, "pay", "4444111155556666").await;
    got(&merchant, 1).await;
    world.page(&url, "pay", "4444555511116666").await;
    let callbacks = got(&merchant, 2).await;
    let expected = [("processing", "1000"), ("approved", "")];
    assert_eq!(said(&callbacks), expected.map(|(status, code)| (status.to_owned(), code.to_owned())));
    for fields in &callbacks {
        assert_eq!(fields["signature"], signature(fields));
    }
    assert_eq!(callbacks[1]["rectoken"].as_str().map(str::len), Some(46));
    let (headers, body) = merchant.got().remove(1);
    assert_eq!(headers["content-type"], "application/json; charset=UTF-8");
    assert!(body.is_ascii() && body.contains("\"order_id\": \"r1\""), "{body}");
}

#[tokio::test]
async fn an_order_names_its_own_addresses() {
    let world = world().await;
    let (default, by_default) = Merchant::open(&[]).await;
    let (merchant, own) = Merchant::open(&[]).await;
    let (bank, chargebacks) = Merchant::open(&[]).await;
    world.admin("configure", json!({"flitt": {"webhook_url": by_default}}));
    let pays = "4444555511116666";
    let mine = json!({"server_callback_url": own, "chargeback_callback_url": chargebacks});
    let url = open(&world, "r1", mine).await;
    world.page(&url, "pay", pays).await;
    // An address on another machine is never called.
    let url = open(&world, "r2", json!({"server_callback_url": "https://app.example/flitt"})).await;
    world.page(&url, "pay", pays).await;
    world.admin("dispute", json!({"gateway": "flitt", "reference": "r1", "outcome": "open"}));
    world.admin("dispute", json!({"gateway": "flitt", "reference": "r2", "outcome": "open"}));
    assert_eq!(got(&merchant, 1).await[0]["order_id"], "r1");
    let charged_back = got(&bank, 1).await;
    assert_eq!(
        (&charged_back[0]["order_status"], &charged_back[0]["reversal_amount"]),
        (&json!("reversed"), &json!("4600"))
    );
    assert_eq!(charged_back[0]["signature"], signature(&charged_back[0]));
    let others = got(&default, 2).await;
    assert!(others.iter().all(|fields| fields["order_id"] == "r2"), "{others:?}");
    assert_eq!((merchant.got().len(), bank.got().len()), (1, 1));
}

#[tokio::test]
async fn callbacks_can_be_written_in_other_ways() {
    let world = world().await;
    let (merchant, address) = Merchant::open(&[]).await;
    world.admin("configure", json!({"flitt": {"webhook_url": address}}));
    for (count, form) in ["wrapped", "form", "encoded"].into_iter().enumerate() {
        world.admin("configure", json!({"flitt": {"callbacks": form}}));
        let url = open(&world, form, json!({})).await;
        world.page(&url, "pay", "4444555511116666").await;
        for _ in 0..300 {
            if merchant.got().len() > count {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    let bodies = merchant.got();
    let wrapped: Value = serde_json::from_str(&bodies[0].1).expect("JSON");
    let fields = wrapped["response"].as_object().expect("fields");
    assert_eq!((&fields["order_status"], &fields["signature"]), (&json!("approved"), &json!(signature(fields))));
    let (headers, form) = &bodies[1];
    assert_eq!(headers["content-type"], "application/x-www-form-urlencoded");
    assert!(form.contains("order_status=approved") && form.contains("&signature="), "{form}");
    let encoded: Value = serde_json::from_str(&bodies[2].1).expect("JSON");
    let data = encoded["response"]["data"].as_str().expect("data");
    let expected = HEXLOWER.encode(&Sha1::digest(format!("{KEY}|{data}")));
    assert_eq!(encoded["response"]["signature"], expected);
    let inside: Value = serde_json::from_slice(&BASE64.decode(data.as_bytes()).expect("base64")).expect("JSON");
    assert_eq!(inside["order"]["order_id"], "encoded");
}

#[tokio::test]
async fn only_200_counts_and_every_control_of_webhooks_works() {
    let world = world().await;
    let (merchant, address) = Merchant::open(&[201, 500]).await;
    world.admin("configure", json!({"flitt": {"webhook_url": address}}));
    let pay = async |id: &str| {
        let url = open(&world, id, json!({})).await;
        world.page(&url, "pay", "4444555511116666").await;
    };
    pay("r1").await;
    assert_eq!(got(&merchant, 3).await.len(), 3);
    world.admin("webhooks", json!({"gateway": "flitt", "mode": "hold"}));
    pay("r2").await;
    pay("r3").await;
    world.admin("webhooks", json!({"gateway": "flitt", "mode": "lose"}));
    pay("r4").await;
    assert_eq!(
        world.admin("webhooks/release", json!({"gateway": "flitt", "order": "reverse"})),
        json!({"released": 2})
    );
    let callbacks = got(&merchant, 5).await;
    assert_eq!((&callbacks[3]["order_id"], &callbacks[4]["order_id"]), (&json!("r3"), &json!("r2")));
    world.admin("webhooks/resend", json!({"gateway": "flitt", "reference": "r4"}));
    assert_eq!(got(&merchant, 6).await[5]["order_id"], "r4");
    world.admin("webhooks", json!({"gateway": "flitt", "mode": "duplicate"}));
    pay("r5").await;
    let callbacks = got(&merchant, 9).await;
    assert!(callbacks[6..].iter().all(|fields| *fields == callbacks[6]), "{callbacks:?}");
}

#[tokio::test]
async fn reversals_are_told_of_only_to_order() {
    let world = world().await;
    let (merchant, address) = Merchant::open(&[]).await;
    world.admin("configure", json!({"flitt": {"webhook_url": address}}));
    let url = open(&world, "r1", json!({})).await;
    world.page(&url, "pay", "4444555511116666").await;
    got(&merchant, 1).await;
    let reverse = async |amount: i64| {
        let request = json!({"request": signed(json!({"order_id": "r1", "amount": amount, "currency": "GEL"}))});
        let url = format!("{}/api/reverse/order_id", world.simulator.flitt());
        read(world.client.post(url).json(&request)).await.expect("an answer").ok();
    };
    reverse(600).await;
    world.admin("configure", json!({"flitt": {"reversal_callbacks": true}}));
    reverse(1000).await;
    let callbacks = got(&merchant, 2).await;
    assert_eq!(callbacks.len(), 2);
    assert_eq!((&callbacks[1]["tran_type"], &callbacks[1]["reversal_amount"]), (&json!("reverse"), &json!("1600")));
}
