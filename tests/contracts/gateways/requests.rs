//! What the adapters send, held against what the vendors say that they take:
//! see `specs`. The simulator may be wrong in the same way as an adapter.

use super::desk::{
    Card, Desk, STRIPE_KEY, STRIPE_VERSION, checkout_with, clients, http, opened_as, owed_back, receipt, renewal,
};
use super::wire::{Reply, Sent, Server};
use billing::payment::{CheckoutMethod, Gateway, Payment};
use billing::ports::Gateways;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

const STRIPE: &str = include_str!("../specs/stripe.json");
const PAYSTACK: &str = include_str!("../specs/paystack.json");

/// The desk, with someone who writes down what the adapters send.
async fn recorded(gateway: Gateway) -> (Desk, Server) {
    let mut desk = Desk::open(gateway).await;
    let to = desk.simulator.url().to_owned();
    let recorder = Server::start(Reply::Forwarded { to, with: http() }).await;
    let (stripe, paystack) = (format!("{}/stripe", recorder.url), format!("{}/paystack", recorder.url));
    desk.clients = clients(&stripe, &paystack, &http());
    (desk, recorder)
}

/// All that is ever asked of a gateway.
async fn everything(desk: &Desk) {
    let unpaid = desk.opened().await;
    desk.clients.close(&unpaid).await.expect("an answer");
    if desk.gateway == Gateway::Stripe {
        let payment = checkout_with(Gateway::Stripe, CheckoutMethod::ClientSecret);
        let payment = Payment { reference: other_reference(), ..payment };
        let opened = desk.clients.open(&payment).await.expect("opened");
        desk.clients.close(&opened_as(payment, opened)).await.expect("an answer");
    }
    desk.admin("reset", &json!({}));
    let payment = renewal(&desk.saved().await, 1);
    let receipt = receipt(Some(desk.clients.charge(&payment).await.expect("an answer")));
    desk.clients.find(&payment).await.expect("an answer");
    desk.clients.refund(&owed_back(payment, receipt)).await.expect("an answer");
}

fn other_reference() -> billing::id::Reference {
    billing::id::Reference::try_from(format!("r{}", "2".repeat(25))).expect("a reference")
}

/// `POST /v1/payment_intents/{id}/cancel`.
fn operation(sent: &Sent) -> String {
    let path = sent.path.split('?').next().unwrap_or_default();
    let path = path.trim_start_matches("/stripe").trim_start_matches("/paystack");
    let parts = path.split('/').map(|part| match part.starts_with("pi_") || part.starts_with("cs_") {
        true => "{id}",
        false => part,
    });
    format!("{} {}", sent.method, parts.collect::<Vec<_>>().join("/"))
}

/// Why a request is not what the specification of its operation allows.
fn problems(spec: &Value, operation: &str, body: &Value) -> Vec<String> {
    let schema = json!({"$defs": spec["$defs"], "$ref": spec["operations"][operation]["$ref"]});
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    validator.iter_errors(body).map(|error| format!("{operation} {}: {error}", error.instance_path())).collect()
}

#[tokio::test]
async fn every_request_to_stripe_is_one_that_stripe_documents() {
    let spec: Value = serde_json::from_str(STRIPE).expect("JSON");
    let (desk, recorder) = recorded(Gateway::Stripe).await;
    everything(&desk).await;
    let mut seen = BTreeSet::new();
    for sent in recorder.sent().iter().filter(|sent| !sent.body.is_empty()) {
        let operation = operation(sent);
        assert_eq!(sent.header("content-type"), "application/x-www-form-urlencoded");
        let body = typed(&form(sent), &spec["operations"][&operation], &spec["$defs"]);
        assert_eq!(problems(&spec, &operation, &body), Vec::<String>::new(), "{body}");
        seen.insert(operation);
    }
    let specified: BTreeSet<String> = spec["operations"].as_object().expect("operations").keys().cloned().collect();
    assert_eq!(seen, specified, "each is sent, and no other");
}

#[tokio::test]
async fn every_request_to_paystack_is_one_that_paystack_documents() {
    let spec: Value = serde_json::from_str(PAYSTACK).expect("JSON");
    let (desk, recorder) = recorded(Gateway::Paystack).await;
    everything(&desk).await;
    let mut seen = BTreeSet::new();
    for sent in recorder.sent().iter().filter(|sent| !sent.body.is_empty()) {
        let operation = operation(sent);
        assert_eq!(sent.header("content-type"), "application/json");
        let body: Value = serde_json::from_slice(&sent.body).expect("JSON");
        assert_eq!(problems(&spec, &operation, &body), Vec::<String>::new(), "{body}");
        seen.insert(operation);
    }
    let specified: BTreeSet<String> = spec["operations"].as_object().expect("operations").keys().cloned().collect();
    assert_eq!(seen, specified, "each is sent, and no other");
}

/// Else the tests above would find nothing.
#[test]
fn the_specifications_refuse_what_is_wrong() {
    let stripe: Value = serde_json::from_str(STRIPE).expect("JSON");
    let intent = "POST /v1/payment_intents";
    assert!(problems(&stripe, intent, &json!({"amount": 2000, "currency": "usd"})).is_empty());
    for wrong in [
        json!({"amount": "2000", "currency": "usd"}),
        json!({"amount": 2000}),
        json!({"amount": 2000, "currency": "usd", "refrence": "r"}),
        json!({"amount": 2000, "currency": "usd", "confirm": "yes"}),
    ] {
        assert!(!problems(&stripe, intent, &wrong).is_empty(), "{wrong}");
    }
    let paystack: Value = serde_json::from_str(PAYSTACK).expect("JSON");
    let wrong = json!({"email": "a@b.example", "amount": "2000"});
    assert!(!problems(&paystack, "POST /transaction/initialize", &wrong).is_empty());
}

#[tokio::test]
async fn every_request_to_stripe_names_its_version_and_every_change_its_key() {
    let (desk, recorder) = recorded(Gateway::Stripe).await;
    everything(&desk).await;
    for sent in recorder.sent() {
        assert_eq!(sent.header("authorization"), format!("Bearer {STRIPE_KEY}"));
        assert_eq!(sent.header("stripe-version"), STRIPE_VERSION);
        let ends = sent.path.ends_with("/expire") || sent.path.ends_with("/cancel");
        let keyed = !sent.header("idempotency-key").is_empty();
        assert_eq!(keyed, sent.method == "POST" && !ends, "{} {}", sent.method, sent.path);
    }
}

/// I-5: a retry that differs in a byte would be another charge, or an error.
#[tokio::test]
async fn an_attempt_that_is_sent_again_is_the_same_to_the_byte() {
    for gateway in Gateway::ALL {
        let (desk, recorder) = recorded(gateway).await;
        let payment = renewal(&desk.saved().await, 1);
        let before = recorder.sent().len();
        for _ in 0..2 {
            desk.fault("off_session", &json!({"kind": "timeout_before", "ms": 10}), 1);
            desk.clients.charge(&payment).await.expect_err("the connection closes");
        }
        let sent: Vec<Sent> = recorder.sent().split_off(before);
        assert_eq!((&sent[0].path, &sent[0].body), (&sent[1].path, &sent[1].body));
        assert_eq!(sent[0].header("idempotency-key"), sent[1].header("idempotency-key"));
        let text = String::from_utf8_lossy(&sent[0].body).into_owned();
        assert!(text.contains(payment.reference.as_str()), "{text}");
        assert!(desk.charges(&payment).is_empty());
    }
}

/// A second checkout of a customer whom Stripe knows is for the same customer there.
#[tokio::test]
async fn one_of_our_customers_is_one_of_stripes() {
    let (desk, recorder) = recorded(Gateway::Stripe).await;
    let first = desk.opened().await;
    assert!(desk.visit(&first, Card::Pays).await.is_ok());
    let payer = desk.saved_by(&first).await.payer;
    let again = Payment { reference: other_reference(), ..super::desk::checkout(Gateway::Stripe) };
    desk.clients.open(&again).await.expect("opened");
    let customers = desk.look("/v1/customers").await["data"].as_array().map_or(0, Vec::len);
    assert_eq!(customers, 1);

    let mut known = again;
    if let billing::payment::Collection::Checkout { payer: place, .. } = &mut known.collection {
        place.known_as = Some(payer);
    }
    let before = recorder.sent().len();
    desk.clients.open(&known).await.expect("the same page");
    assert_eq!(recorder.sent().len(), before + 1, "nobody is asked who they are");
}

/// `a[b][0]=c` as nested objects of text.
fn form(sent: &Sent) -> Value {
    let body = String::from_utf8(sent.body.to_vec()).expect("text");
    let url = reqwest::Url::parse(&format!("http://127.0.0.1/?{body}")).expect("a form");
    let mut all = Value::Object(Map::new());
    for (name, value) in url.query_pairs() {
        let place =
            name.split('[').map(|part| part.trim_end_matches(']')).fold(&mut all, |place, part| &mut place[part]);
        assert!(place.is_null(), "{name} is sent once");
        *place = Value::String(value.into_owned());
    }
    all
}

/// The form as the types that its schema says: on the wire all is text.
fn typed(value: &Value, schema: &Value, defs: &Value) -> Value {
    if let Some(name) = schema["$ref"].as_str() {
        return typed(value, &defs[name.trim_start_matches("#/$defs/")], defs);
    }
    if let Some(either) = schema["anyOf"].as_array() {
        let tried = either.iter().map(|schema| typed(value, schema, defs));
        return tried.into_iter().find(|it| it != value).unwrap_or_else(|| value.clone());
    }
    match (value, schema["type"].as_str()) {
        (Value::String(text), Some("integer")) => text.parse::<i64>().map_or_else(|_| value.clone(), Value::from),
        (Value::String(text), Some("boolean")) => text.parse::<bool>().map_or_else(|_| value.clone(), Value::from),
        (Value::Object(fields), Some("array")) => {
            fields.values().map(|item| typed(item, &schema["items"], defs)).collect()
        }
        (Value::Object(fields), _) => {
            let typed =
                |(name, value): (&String, &Value)| (name.clone(), typed(value, &schema["properties"][name], defs));
            Value::Object(fields.iter().map(typed).collect())
        }
        _ => value.clone(),
    }
}
