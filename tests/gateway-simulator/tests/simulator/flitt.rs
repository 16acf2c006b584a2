//! Flitt's API: signed bodies in three shapes, refusals by number, and what the stories below share.

mod callbacks;
mod page;
mod reversals;
mod saved;

use crate::world::{Answer, World, read, world};
use data_encoding::{BASE64, HEXLOWER};
use serde_json::{Map, Value, json};
use sha1::{Digest, Sha1};
use std::time::Duration;

const KEY: &str = "key_simulator_flitt";
const MERCHANT: &str = "1549901";
const EMAIL: &str = "billing@acme.example";
const PAYS: &str = "4444555511116666";
const ASKS: &str = "4444555566661111";
const DECLINES: &str = "4444111155556666";

fn sha1(text: &str) -> String {
    HEXLOWER.encode(&Sha1::digest(text))
}

/// Over the values that are not empty, in the order of their names.
fn signature(fields: &Map<String, Value>) -> String {
    let mut names: Vec<&String> = fields.keys().collect();
    names.sort();
    let mut text = KEY.to_owned();
    for name in names {
        let value = fields[name].as_str().map_or_else(|| fields[name].to_string(), str::to_owned);
        let signed = !["signature", "response_signature_string"].contains(&name.as_str());
        if signed && !value.is_empty() && value != "null" {
            text = format!("{text}|{value}");
        }
    }
    sha1(&text)
}

fn object(value: Value) -> Map<String, Value> {
    value.as_object().cloned().expect("an object")
}

/// What a merchant sends, signed.
fn signed(more: Value) -> Map<String, Value> {
    let mut fields = object(json!({"merchant_id": MERCHANT}));
    fields.extend(object(more));
    fields.insert("signature".to_owned(), json!(signature(&fields)));
    fields
}

async fn send(world: &World, path: &str, request: &Value) -> Answer {
    let url = format!("{}/api/{path}", world.simulator.flitt());
    read(world.client.post(url).json(&json!({"request": request}))).await.expect("an answer")
}

/// The answer's fields, which must be a success.
async fn ask(world: &World, path: &str, more: Value) -> Value {
    let answer = send(world, path, &json!(signed(more))).await.ok()["response"].clone();
    assert_eq!(answer["response_status"], "success", "{path}: {answer}");
    answer
}

/// As [`ask`], where the answer must be signed.
async fn ask_signed(world: &World, path: &str, more: Value) -> Value {
    let answer = ask(world, path, more).await;
    assert_eq!(answer["signature"], signature(&object(answer.clone())), "{path}: {answer}");
    answer
}

/// The number of a failure.
fn refused(answer: &Answer) -> String {
    let response = &answer.json["response"];
    assert_eq!((answer.status, response["response_status"].as_str()), (200, Some("failure")), "{}", answer.text);
    assert!(response["signature"].is_null() && response["request_id"].is_string(), "{response}");
    response["error_code"].as_str().map_or_else(|| response["error_code"].to_string(), str::to_owned)
}

fn order(id: &str, more: Value) -> Value {
    let mut fields = object(json!({
        "order_id": id, "order_desc": "გამოწერა Pro", "amount": 4600, "currency": "GEL", "sender_email": EMAIL,
    }));
    fields.extend(object(more));
    json!(fields)
}

/// Opens a page: its address.
async fn open(world: &World, id: &str, more: Value) -> Value {
    ask(world, "checkout/url", order(id, more)).await["checkout_url"].clone()
}

async fn status(world: &World, id: &str) -> Value {
    ask_signed(world, "status/order_id", json!({"order_id": id})).await
}

async fn act(world: &World, url: &Value, action: &str) -> Answer {
    let request = world.client.post(url.as_str().expect("an address")).form(&[("action", action)]);
    read(request).await.expect("an answer")
}

/// An order that is paid with a card that the merchant may keep: its token.
async fn saved(world: &World, id: &str) -> String {
    let url = open(world, id, json!({"required_rectoken": "Y"})).await;
    assert_eq!(world.page(&url, "pay", PAYS).await.status, 200);
    status(world, id).await["rectoken"].as_str().expect("a token").to_owned()
}

async fn renew(world: &World, id: &str, rectoken: &str) -> Value {
    ask_signed(world, "recurring", order(id, json!({"rectoken": rectoken}))).await
}

async fn later(world: &World, seconds: i64) {
    world.admin("clock", json!({"advance_seconds": seconds}));
    tokio::time::sleep(Duration::from_millis(300)).await;
}

#[tokio::test]
async fn refusals_come_in_flitts_numbers() {
    let world = world().await;
    open(&world, "r1", json!({})).await;
    let other = object(json!({"merchant_id": "1", "order_id": "r1", "signature": "x"}));
    let mut spoilt = signed(json!({"order_id": "r1"}));
    spoilt.insert("order_id".to_owned(), json!("r2"));
    let nested = signed(json!({"order_id": "r1", "recurring_data": {"every": 1}}));
    let cases = [
        ("status/order_id", json!(other), "1016"),
        ("status/order_id", json!({"merchant_id": MERCHANT, "order_id": "r1"}), "1011"),
        ("status/order_id", json!(spoilt), "1014"),
        ("status/order_id", json!(nested), "1014"),
        ("status/order_id", json!(signed(json!({"order_id": "none"}))), "1018"),
        ("status/order_id", json!(signed(json!({"order_id": "a|b"}))), "1034"),
        ("status/order_id", json!(signed(json!({}))), "1011"),
        ("checkout/url", json!(signed(order("r1", json!({})))), "1013"),
        ("checkout/url", json!(signed(order("r2", json!({"amount": ""})))), "1011"),
        ("checkout/url", json!(signed(order("r2", json!({"amount": "46.00"})))), "1023"),
        ("checkout/url", json!(signed(order("r2", json!({"amount": 0})))), "1023"),
        ("checkout/url", json!(signed(order("r2", json!({"currency": "UAH"})))), "1012"),
        ("checkout/url", json!(signed(order("r2", json!({"lang": "xx"})))), "1007"),
        ("checkout/url", json!(signed(order("r2", json!({"lifetime": 0})))), "1007"),
        ("checkout/url", json!(signed(order("r2", json!({"delayed": "maybe"})))), "1007"),
        ("checkout/url", json!(signed(order("r2", json!({"response_url": "javascript:alert(1)"})))), "1007"),
        ("checkout/url", json!(signed(order("r2", json!({"preauth": "Y"})))), "1027"),
        ("recurring", json!(signed(order("r2", json!({})))), "1011"),
        ("recurring", json!(signed(order("r2", json!({"rectoken": "none"})))), "1035"),
        ("reverse/order_id", json!(signed(json!({"order_id": "none", "amount": 1, "currency": "GEL"}))), "1018"),
        ("reverse/order_id", json!(signed(json!({"order_id": "r1", "amount": 1, "currency": "GEL"}))), "1100"),
        ("nothing", json!(signed(json!({}))), "1100"),
    ];
    for (path, request, number) in cases {
        assert_eq!(refused(&send(&world, path, &request).await), number, "{path} {request}");
    }
    let missing = send(&world, "checkout/url", &json!(signed(json!({"order_id": "r2", "order_desc": "x"})))).await;
    assert_eq!(missing.json["response"]["error_message"], "Parameter `amount` is missing");
    let url = format!("{}/api/status/order_id", world.simulator.flitt());
    let empty = read(world.client.post(&url).json(&json!({}))).await.expect("an answer");
    assert_eq!(refused(&empty), "1010");
    assert_eq!(refused(&read(world.client.post(&url).body("x")).await.expect("an answer")), "1021");
    // None of these took the order's name.
    open(&world, "r2", json!({})).await;
    world.admin("configure", json!({"flitt": {"recurring": false}}));
    let rectoken = json!(signed(order("r3", json!({"rectoken": "none"}))));
    assert_eq!(refused(&send(&world, "recurring", &rectoken).await), "1060");
}

#[tokio::test]
async fn forms_are_answered_with_forms_and_protocol_2_with_an_encoded_order() {
    let world = world().await;
    let url = |path: &str| format!("{}/api/{path}/", world.simulator.flitt());
    let form = |more: Value| {
        let fields = signed(more).into_iter();
        fields.map(|(name, value)| (name, value.as_str().map_or_else(|| value.to_string(), str::to_owned))).collect()
    };
    let sent: Vec<(String, String)> = form(order("r1", json!({})));
    let opened = read(world.client.post(url("checkout/url")).form(&sent)).await.expect("an answer");
    assert!(opened.text.contains("response_status=success") && opened.text.contains("checkout_url=http%3A"));
    let sent: Vec<(String, String)> = form(json!({"order_id": "r1"}));
    let found = read(world.client.post(url("status/order_id")).form(&sent)).await.expect("an answer");
    assert_eq!(found.header("content-type"), "application/x-www-form-urlencoded");
    assert!(found.text.contains("order_status=created") && found.text.contains("signature="), "{}", found.text);
    let sent: Vec<(String, String)> = form(json!({"order_id": "r2"}));
    let missing = read(world.client.post(url("status/order_id")).form(&sent)).await.expect("an answer");
    assert!(missing.text.contains("error_code=1018"), "{}", missing.text);

    let encoded = |order: Value| {
        let data = BASE64.encode(json!({"order": order}).to_string().as_bytes());
        json!({"version": "2.0", "signature": sha1(&format!("{KEY}|{data}")), "data": data})
    };
    let request = encoded(json!({"merchant_id": MERCHANT, "order_id": "r1", "recurring_data": {"every": 1}}));
    let answer = send(&world, "status/order_id", &request).await.ok()["response"].clone();
    let data = answer["data"].as_str().expect("data");
    assert_eq!(
        (&answer["version"], answer["signature"].as_str()),
        (&json!("2.0"), Some(sha1(&format!("{KEY}|{data}")).as_str()))
    );
    let inside: Value = serde_json::from_slice(&BASE64.decode(data.as_bytes()).expect("base64")).expect("JSON");
    assert_eq!(inside["order"]["order_status"], "created");
    let mut wrong = request;
    wrong["signature"] = json!("0");
    assert_eq!(refused(&send(&world, "status/order_id", &wrong).await), "1014");
    let token = ask(&world, "checkout/token", order("r2", json!({}))).await["token"].clone();
    assert!(token.as_str().is_some_and(|token| token.len() == 40));
}
