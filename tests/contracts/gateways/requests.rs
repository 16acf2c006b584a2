//! What the adapters send, held against what the vendors say that they take:
//! see `specs`. The simulator may be wrong in the same way as an adapter.

use super::customer::Card;
use super::desk::{CALLBACK, Desk, FLITT_MERCHANT, STRIPE_KEY, STRIPE_VERSION, clients, http, secret};
use super::payments::{checkout, checkout_with, numbered, opened_as, owing, part, receipt, renewal, settled, setup};
use super::signing;
use super::wire::{Reply, Sent, Server};
use billing::payment::{CheckoutMethod, Collection, Gateway};
use billing::ports::Gateways;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

pub(super) const fn specification(gateway: Gateway) -> &'static str {
    match gateway {
        Gateway::Stripe => include_str!("../specs/stripe.json"),
        Gateway::Paystack => include_str!("../specs/paystack.json"),
        Gateway::Flitt => include_str!("../specs/flitt.json"),
        Gateway::PayPal => include_str!("../specs/paypal.json"),
    }
}

/// The desk, with someone who writes down what the adapters send.
pub(super) async fn recorded(gateway: Gateway) -> (Desk, Server) {
    let mut desk = Desk::open(gateway).await;
    let to = desk.simulator.url().to_owned();
    let recorder = Server::start(Reply::Forwarded { to, with: http() }).await;
    desk.clients = clients(&recorder.url, &http());
    (desk, recorder)
}

/// All that is ever asked of a gateway to take money or give it back.
async fn everything(desk: &Desk) {
    // By someone of whom the gateway never heard, and by someone whom it knows.
    let ways = other_ways(desk.gateway);
    for (attempt, method) in (1..).zip(ways.iter().chain([&CheckoutMethod::Checkout]).chain(ways)) {
        if attempt == ways.len() + 1 {
            desk.admin("reset", &json!({}));
        }
        let id = (1, 0, u32::try_from(attempt).expect("a small number"));
        let payment = desk.open_page(numbered(checkout_with(desk.gateway, *method), id)).await;
        desk.clients.close(&payment).await.expect("an answer");
    }
    desk.admin("reset", &json!({}));
    let left = desk.open_page(setup(&desk.clients, desk.gateway)).await;
    desk.pay(&left, Card::Pays).await;
    let method = desk.saved().await;
    let payment = renewal(&method, 1);
    let taken = receipt(desk.clients.charge(&payment).await.expect("an answer"));
    let paid = settled(payment, taken);
    desk.found(&paid).await;
    let refund = part(&paid, 1, 1_000);
    desk.clients.refund(&owing(paid, std::slice::from_ref(&refund)), &refund).await.expect("an answer");
    desk.clients.forget(&method).await.expect("forgotten");
}

const fn other_ways(gateway: Gateway) -> &'static [CheckoutMethod] {
    match gateway {
        Gateway::Stripe => &[CheckoutMethod::ClientSecret],
        Gateway::Paystack => &[CheckoutMethod::VirtualAccount, CheckoutMethod::BankTransfer],
        Gateway::Flitt | Gateway::PayPal => &[],
    }
}

/// Specified, and sent by nobody here.
const fn unsent(gateway: Gateway) -> &'static [&'static str] {
    match gateway {
        Gateway::Stripe => &[
            "POST /v1/customers/{id}",
            "POST /v1/products",
            "POST /v1/products/{id}",
            "POST /v1/prices",
            "POST /v1/prices/{id}",
        ],
        Gateway::Paystack => &["POST /dedicated_account/assign"],
        Gateway::Flitt | Gateway::PayPal => &[],
    }
}

/// The operation of `spec` that `sent` is: `POST /v1/payment_intents/{id}/cancel`. One that is not there is named as it was sent.
pub(super) fn operation(sent: &Sent, spec: &Value) -> String {
    let path = sent.path.split('?').next().unwrap_or_default();
    let (_, path) = path.trim_start_matches('/').split_once('/').unwrap_or_default();
    let asked: Vec<&str> = path.split('/').collect();
    let is_asked = |operation: &&String| {
        let Some((method, template)) = operation.split_once(" /") else { return false };
        let template: Vec<&str> = template.split('/').collect();
        let fits = |(part, is): (&&str, &&str)| *part == "{id}" || part == is;
        method == sent.method && template.len() == asked.len() && template.iter().zip(&asked).all(fits)
    };
    let operations = spec["operations"].as_object().expect("operations").keys();
    // A name is meant before an id: `/customer/authorization` is no customer.
    let named = operations.filter(is_asked).min_by_key(|operation| operation.matches("{id}").count());
    named.cloned().unwrap_or_else(|| format!("{} /{path}", sent.method))
}

/// Why a request is not what the specification of its operation allows.
pub(super) fn problems(spec: &Value, operation: &str, body: &Value) -> Vec<String> {
    let schema = json!({"$defs": spec["$defs"], "$ref": spec["operations"][operation]["$ref"]});
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    validator.iter_errors(body).map(|error| format!("{operation} {}: {error}", error.instance_path())).collect()
}

/// What was sent, in the types of the specification: of a form all is text.
pub(super) fn said(sent: &Sent, schema: &Value, defs: &Value) -> Value {
    match sent.header("content-type") {
        "application/x-www-form-urlencoded" => typed(&form(sent), schema, defs),
        "application/json" => serde_json::from_slice(&sent.body).expect("JSON"),
        other => panic!("{} is of the kind {other}", sent.path),
    }
}

#[tokio::test]
async fn every_request_is_one_that_the_vendor_documents() {
    for gateway in Gateway::ALL {
        let spec: Value = serde_json::from_str(specification(gateway)).expect("JSON");
        let (desk, recorder) = recorded(gateway).await;
        everything(&desk).await;
        let mut seen = BTreeSet::new();
        for sent in recorder.sent().iter().filter(|sent| sent.method != "GET") {
            let operation = operation(sent, &spec);
            if sent.body.is_empty() {
                seen.insert(operation); // there is nothing in it that could be wrong
                continue;
            }
            assert!(spec["operations"].get(&operation).is_some(), "{gateway:?} documents no {operation}");
            let body = said(sent, &spec["operations"][&operation], &spec["$defs"]);
            assert_eq!(problems(&spec, &operation, &body), Vec::<String>::new(), "{body}");
            seen.insert(operation);
        }
        let specified = spec["operations"].as_object().expect("operations").keys().map(String::as_str);
        let missing: Vec<&str> = specified.filter(|operation| !seen.contains(*operation)).collect();
        assert_eq!(BTreeSet::from_iter(missing), BTreeSet::from_iter(unsent(gateway).iter().copied()), "{gateway:?}");
    }
}

/// Else the tests above would find nothing.
#[test]
fn the_specifications_refuse_what_is_wrong() {
    let refused = |gateway, operation: &str, wrong: &Value| {
        let spec: Value = serde_json::from_str(specification(gateway)).expect("JSON");
        !problems(&spec, operation, wrong).is_empty()
    };
    let intent = "POST /v1/payment_intents";
    assert!(!refused(Gateway::Stripe, intent, &json!({"amount": 2000, "currency": "usd"})));
    for wrong in [
        json!({"amount": "2000", "currency": "usd"}),
        json!({"amount": 2000}),
        json!({"amount": 2000, "currency": "usd", "refrence": "r"}),
        json!({"amount": 2000, "currency": "usd", "confirm": "yes"}),
    ] {
        assert!(refused(Gateway::Stripe, intent, &wrong), "{wrong}");
    }
    let wrong = json!({"email": "a@b.example", "amount": "2000"});
    assert!(refused(Gateway::Paystack, "POST /transaction/initialize", &wrong));
    let unit = json!([{"amount": {"currency_code": "USD", "value": 13.99}}]);
    let order = json!({"intent": "CAPTURE", "purchase_units": unit});
    assert!(refused(Gateway::PayPal, "POST /v2/checkout/orders", &order));
    let unsigned = json!({"request": {"merchant_id": FLITT_MERCHANT, "order_id": "r1"}});
    assert!(refused(Gateway::Flitt, "POST /api/status/order_id", &unsigned));
}

#[tokio::test]
async fn every_request_to_stripe_names_its_version_and_every_change_its_key() {
    let (desk, recorder) = recorded(Gateway::Stripe).await;
    everything(&desk).await;
    for sent in recorder.sent() {
        assert_eq!(sent.header("authorization"), format!("Bearer {STRIPE_KEY}"));
        assert_eq!(sent.header("stripe-version"), STRIPE_VERSION);
        // What is over or gone is so however often it is said.
        let ends = ["/expire", "/cancel", "/detach"].iter().any(|end| sent.path.ends_with(end));
        let keyed = !sent.header("idempotency-key").is_empty();
        assert_eq!(keyed, sent.method == "POST" && !ends, "{} {}", sent.method, sent.path);
    }
}

#[tokio::test]
async fn every_change_at_paypal_has_an_id_of_its_own() {
    let (desk, recorder) = recorded(Gateway::PayPal).await;
    everything(&desk).await;
    let all = recorder.sent();
    let changes = all.iter().filter(|sent| sent.method == "POST" && !sent.path.ends_with("/oauth2/token"));
    for sent in changes {
        let id = sent.header("paypal-request-id");
        assert!((1..=108).contains(&id.len()), "{} {id}", sent.path);
        assert!(sent.header("authorization").starts_with("Bearer A21AA"));
    }
}

/// Every request to Flitt is signed over what it says, and has Flitt call us back.
#[tokio::test]
async fn every_request_to_flitt_is_signed() {
    let (desk, recorder) = recorded(Gateway::Flitt).await;
    everything(&desk).await;
    let sent = recorder.sent();
    assert!(sent.len() > 5);
    for sent in sent {
        let body: Value = serde_json::from_slice(&sent.body).expect("JSON");
        let fields = body["request"].as_object().expect("a request");
        assert_eq!(fields["signature"], signing::flitt(secret(Gateway::Flitt), fields), "{}", sent.path);
        let asks = sent.path.ends_with("/checkout/url") || sent.path.ends_with("/recurring");
        assert_eq!(fields.get("server_callback_url").and_then(Value::as_str), asks.then_some(CALLBACK));
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
            desk.fault("off_session", &json!({"kind": "timeout_before", "ms": 10}));
            desk.clients.charge(&payment).await.expect_err("the connection closes");
        }
        let sent: Vec<Sent> = recorder.sent().split_off(before);
        assert_eq!((&sent[0].path, &sent[0].body), (&sent[1].path, &sent[1].body));
        for key in ["idempotency-key", "paypal-request-id"] {
            assert_eq!(sent[0].header(key), sent[1].header(key));
        }
        let text = String::from_utf8_lossy(&sent[0].body).into_owned();
        assert!(text.contains(payment.reference.as_str()), "{text}");
        assert!(desk.charges(&payment).is_empty());
    }
}

/// A second checkout of a customer whom Stripe knows is for the same customer there.
#[tokio::test]
async fn one_of_our_customers_is_one_of_stripes() {
    let (desk, recorder) = recorded(Gateway::Stripe).await;
    let payer = desk.saved().await.payer;
    let again = numbered(checkout(Gateway::Stripe), (1, 0, 2));
    let opened = desk.clients.open(&again).await.expect("opened");
    let customers = desk.look("/v1/customers").await["data"].as_array().map_or(0, Vec::len);
    assert_eq!(customers, 1);

    let mut known = opened_as(again, opened);
    if let Collection::Checkout { payer: place, .. } = &mut known.collection {
        place.known_as = Some(payer);
    }
    let before = recorder.sent().len();
    desk.clients.open(&known).await.expect("the same page");
    assert_eq!(recorder.sent().len(), before + 1, "nobody is asked who they are");
}

/// And so is the customer whom PayPal knows: what they save is theirs.
#[tokio::test]
async fn one_of_our_customers_is_one_of_paypals() {
    let desk = Desk::open(Gateway::PayPal).await;
    let first = desk.saved().await;
    assert!(!first.payer.is_empty());
    let mut again = numbered(checkout(Gateway::PayPal), (1, 0, 2));
    if let Collection::Checkout { payer, .. } = &mut again.collection {
        payer.known_as = Some(first.payer.clone());
    }
    let again = desk.open_page(again).await;
    desk.pay(&again, Card::Pays).await;
    assert_eq!(desk.saved_by(&again).await.payer, first.payer);
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
