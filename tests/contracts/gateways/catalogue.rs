//! Stripe's products and prices follow the plans.

use super::desk::{Desk, STRIPE_KEY, clients, http};
use super::requests::{operation, problems, recorded, said, specification};
use super::wire::{Sent, forward};
use axum::Router;
use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use billing::catalog::Plan;
use billing::money::{Currency, Money};
use billing::payment::Gateway;
use billing::ports::GatewayError;
use billing::testing::{instant, plan};
use jiff::{SignedDuration, Timestamp};
use platform::gateways::Clients;
use platform::gateways::sync::{Change, Kind, Report, SyncError, SyncRequest};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::net::TcpListener;

const LOOK: SyncRequest = SyncRequest { gateway: Gateway::Stripe, apply: false, force_update: false };
const APPLY: SyncRequest = SyncRequest { apply: true, ..LOOK };
const FORCE: SyncRequest = SyncRequest { force_update: true, ..APPLY };
const PATIENCE: Duration = Duration::from_secs(10);

fn now() -> Timestamp {
    instant("2026-01-31T12:00:00Z")
}

async fn sync(clients: &Clients, asked: &SyncRequest, plans: &[Plan]) -> Report {
    clients.sync(asked, plans, now(), PATIENCE).await.expect("a report")
}

fn plans() -> Vec<Plan> {
    ["estates-starter", "crm-professional", "tokens-basic"].map(plan).to_vec()
}

/// What it says, and of what: all that is not in sync.
fn told(report: &Report) -> Vec<(Kind, &str, bool)> {
    let differs = report.changes.iter().filter(|it| it.change != Kind::InSync);
    differs.map(|it| (it.change, it.price.as_deref().unwrap_or(it.plan.as_str()), it.applied)).collect()
}

fn dearer(plan: &Plan) -> Plan {
    let mut next = Plan { version: plan.version + 1, ..plan.clone() };
    next.prices[0].amount.minor += 50_000;
    next
}

/// The prices of a product that can be bought: amount, key.
async fn on_sale(desk: &Desk, product: &str) -> Vec<(i64, String)> {
    let page = desk.look(&format!("/v1/prices?limit=100&active=true&product={product}")).await;
    let rows = page["data"].as_array().cloned().unwrap_or_default();
    let shown = |row: &Value| (row["unit_amount"].as_i64().expect("an amount"), text(&row["lookup_key"]));
    let mut prices: Vec<_> = rows.iter().map(shown).collect();
    prices.sort();
    prices
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

async fn price_id(desk: &Desk, key: &str) -> String {
    text(&desk.look(&format!("/v1/prices?lookup_keys[]={key}")).await["data"][0]["id"])
}

#[tokio::test]
async fn a_catalogue_that_stripe_has_never_heard_of_is_made_once() {
    let desk = Desk::open(Gateway::Stripe).await;
    let first = sync(&desk.clients, &APPLY, &plans()).await;
    assert!(first.changes.iter().all(|change| change.applied), "{first:?}");
    assert_eq!((first.summary.changes, first.summary.applied), (7, 7), "three products, and two, one and one price");
    let again = sync(&desk.clients, &APPLY, &plans()).await;
    assert_eq!((told(&again), again.summary.in_sync), (vec![], 7));

    let product = desk.look("/v1/products/tokens-basic").await;
    assert_eq!((text(&product["name"]), &product["active"]), ("Basic".to_owned(), &json!(true)));
    assert_eq!(product["metadata"], json!({"plan": "tokens-basic", "version": "1"}));
    let price = desk.look("/v1/prices?lookup_keys[]=tokens-basic:usd:30_days").await["data"][0].clone();
    assert_eq!((&price["unit_amount"], &price["currency"]), (&json!(1_500), &json!("usd")));
    assert_eq!((&price["recurring"]["interval"], &price["recurring"]["interval_count"]), (&json!("day"), &json!(30)));
}

#[tokio::test]
async fn a_report_changes_nothing() {
    let (desk, recorder) = recorded(Gateway::Stripe).await;
    let report = sync(&desk.clients, &LOOK, &plans()).await;
    assert_eq!((report.summary.changes, report.summary.applied), (7, 0));
    sync(&desk.clients, &SyncRequest { force_update: true, ..LOOK }, &plans()).await;
    assert!(recorder.sent().iter().all(|sent| sent.method == "GET"));
}

#[tokio::test]
async fn a_new_amount_is_a_new_price_under_the_same_key() {
    let desk = Desk::open(Gateway::Stripe).await;
    let before = plan("estates-starter");
    sync(&desk.clients, &APPLY, std::slice::from_ref(&before)).await;
    let (monthly, yearly) = ("estates-starter:ngn:month", "estates-starter:ngn:year");
    let old = price_id(&desk, monthly).await;
    let report = sync(&desk.clients, &APPLY, &[dearer(&before)]).await;
    let done = [
        (Kind::UpdateProduct, "estates-starter", true),
        (Kind::ReplacePrice, monthly, true),
        (Kind::UpdatePrice, yearly, true),
    ];
    assert_eq!(told(&report), done);
    let both = [(350_000, monthly.to_owned()), (3_000_000, yearly.to_owned())];
    assert_eq!(on_sale(&desk, "estates-starter").await, both);
    let archived = desk.look(&format!("/v1/prices/{old}")).await;
    assert_eq!((&archived["active"], &archived["lookup_key"]), (&json!(false), &Value::Null));
    assert_ne!(price_id(&desk, monthly).await, old);
}

#[tokio::test]
async fn what_was_edited_by_hand_stays_until_it_is_forced() {
    let desk = Desk::open(Gateway::Stripe).await;
    let plans = [plan("estates-starter")];
    sync(&desk.clients, &APPLY, &plans).await;
    let monthly = price_id(&desk, "estates-starter:ngn:month").await;
    desk.post("/v1/products/estates-starter", &json!({"name": "Special"})).await;
    desk.post(&format!("/v1/prices/{monthly}"), &json!({"active": false})).await;
    let special = json!({"product": "estates-starter", "currency": "ngn", "unit_amount": 99,
        "lookup_key": "estates-starter:ngn:year", "transfer_lookup_key": true});
    desk.post("/v1/prices", &special).await;

    let kept = sync(&desk.clients, &APPLY, &plans).await;
    assert_eq!((kept.summary.drift, kept.summary.changes), (4, 0));
    assert_eq!(desk.look("/v1/products/estates-starter").await["name"], "Special");
    let forced = sync(&desk.clients, &FORCE, &plans).await;
    assert_eq!((forced.summary.changes, forced.summary.applied), (4, 4));
    assert_eq!(sync(&desk.clients, &LOOK, &plans).await.summary.in_sync, 3);
    let both = [(300_000, "estates-starter:ngn:month".to_owned()), (3_000_000, "estates-starter:ngn:year".to_owned())];
    assert_eq!(on_sale(&desk, "estates-starter").await, both);
    assert_eq!(price_id(&desk, "estates-starter:ngn:month").await, monthly, "it is put back on sale, not made again");
}

/// Within Stripe's memory of keys: what is made a second time must not be answered as the first was.
#[tokio::test]
async fn what_is_undone_by_hand_at_once_is_made_again_at_once() {
    let desk = Desk::open(Gateway::Stripe).await;
    let plans = [plan("tokens-basic")];
    let key = "tokens-basic:usd:30_days";
    sync(&desk.clients, &APPLY, &plans).await;
    for amount in [99, 98, 97] {
        let made = price_id(&desk, key).await;
        let special = json!({"product": "tokens-basic", "currency": "usd", "unit_amount": amount,
            "lookup_key": key, "transfer_lookup_key": true});
        desk.post("/v1/prices", &special).await;
        desk.post(&format!("/v1/prices/{made}"), &json!({"active": false})).await;
        sync(&desk.clients, &FORCE, &plans).await;
        assert_eq!(on_sale(&desk, "tokens-basic").await, [(1_500, key.to_owned())]);
    }
}

#[tokio::test]
async fn a_plan_that_is_withdrawn_is_archived_and_comes_back() {
    let desk = Desk::open(Gateway::Stripe).await;
    let first = plan("tokens-basic");
    let withdrawn = Plan { version: 2, active: false, ..first.clone() };
    let back = Plan { version: 3, ..first.clone() };
    let active = async || desk.look("/v1/products/tokens-basic").await["active"].clone();
    sync(&desk.clients, &APPLY, &[first]).await;
    let report = sync(&desk.clients, &APPLY, std::slice::from_ref(&withdrawn)).await;
    assert_eq!(told(&report), [(Kind::ArchiveProduct, "tokens-basic", true)]);
    assert_eq!((told(&sync(&desk.clients, &LOOK, &[withdrawn]).await), active().await), (vec![], json!(false)));
    sync(&desk.clients, &APPLY, std::slice::from_ref(&back)).await;
    assert_eq!((told(&sync(&desk.clients, &LOOK, &[back]).await), active().await), (vec![], json!(true)));
}

#[tokio::test]
async fn what_stripe_refuses_is_told_and_holds_up_nothing_else() {
    let desk = Desk::open(Gateway::Stripe).await;
    let mut plans = plans();
    let money = |minor, code| Money::new(minor, Currency::from_code(code).unwrap_or_else(|| panic!("{code}")));
    plans[0].prices[0].amount = money(500_000, "IRR"); // Stripe trades in no rials
    plans[0].prices[1].amount = money(500_000, "UGX"); // and in shillings not as others do
    let report = sync(&desk.clients, &APPLY, &plans).await;
    let left: Vec<&Change> = report.changes.iter().filter(|change| !change.applied).collect();
    let why: Vec<(Kind, &str)> = left.iter().map(|it| (it.change, it.reason.as_deref().unwrap_or_default())).collect();
    let refused = "Invalid currency: irr. Stripe takes three-letter ISO codes in lower case.";
    let skipped = "UGX 500000: UGX cannot be charged through Stripe";
    assert_eq!(why, [(Kind::Skipped, skipped), (Kind::CreatePrice, refused)]);
    assert_eq!(report.summary.applied, 5);
}

#[tokio::test]
async fn without_an_answer_nothing_is_known_and_nothing_changed() {
    let desk = Desk::open(Gateway::Stripe).await;
    desk.fault("any", &json!({"kind": "error_500"}));
    let silent = desk.clients.sync(&APPLY, &plans(), now(), PATIENCE).await;
    assert!(matches!(silent, Err(SyncError::Gateway(GatewayError::NoAnswer(_)))), "{silent:?}");
    assert_eq!(sync(&desk.clients, &LOOK, &plans()).await.summary.changes, 7);
}

#[tokio::test]
async fn what_cannot_be_begun_in_time_is_left_to_the_next_call() {
    let desk = Desk::open(Gateway::Stripe).await;
    let hurried = desk.clients.sync(&APPLY, &plans(), now(), Duration::ZERO).await.expect("a report");
    assert_eq!((hurried.summary.changes, hurried.summary.applied), (7, 0));
    assert!(hurried.changes[0].reason.as_deref().is_some_and(|why| why.contains("time")));
}

#[tokio::test]
async fn the_other_gateways_keep_no_products() {
    for gateway in [Gateway::Paystack, Gateway::Flitt, Gateway::PayPal] {
        let desk = Desk::open(gateway).await;
        let refused = desk.clients.sync(&SyncRequest { gateway, ..APPLY }, &plans(), now(), PATIENCE).await;
        let words = refused.err().map(|error| error.to_string()).unwrap_or_default();
        assert_eq!(words, format!("{} has nothing to sync: amounts are sent with each payment", gateway.as_str()));
    }
}

/// More than a page of them.
#[tokio::test]
async fn every_price_is_looked_at() {
    let desk = Desk::open(Gateway::Stripe).await;
    let plans = [plan("tokens-basic")];
    sync(&desk.clients, &APPLY, &plans).await;
    for amount in 1..=120 {
        let special = json!({"product": "tokens-basic", "currency": "usd", "unit_amount": amount});
        desk.post("/v1/prices", &special).await;
    }
    let report = sync(&desk.clients, &LOOK, &plans).await;
    assert_eq!((report.summary.drift, report.summary.in_sync), (120, 2));
}

// -- What is sent

#[tokio::test]
async fn every_request_is_one_that_stripe_documents() {
    let spec: Value = serde_json::from_str(specification(Gateway::Stripe)).expect("JSON");
    let (desk, recorder) = recorded(Gateway::Stripe).await;
    let first = plan("estates-starter");
    sync(&desk.clients, &APPLY, std::slice::from_ref(&first)).await;
    sync(&desk.clients, &APPLY, &[dearer(&first)]).await;
    let mut seen = BTreeSet::new();
    for sent in recorder.sent().iter().filter(|sent| sent.method == "POST") {
        let operation = operation(sent, &spec);
        let body = said(sent, &spec["operations"][&operation], &spec["$defs"]);
        assert_eq!(problems(&spec, &operation, &body), Vec::<String>::new(), "{body}");
        assert_eq!(sent.header("authorization"), format!("Bearer {STRIPE_KEY}"));
        // What is made once for each time it is asked for needs a key. A product has its own id, and a change is one however
        // often it is made; with a key, the second of two different ones could be answered as the first.
        assert_eq!(!sent.header("idempotency-key").is_empty(), operation == "POST /v1/prices");
        seen.insert(operation);
    }
    let all = ["POST /v1/products", "POST /v1/products/{id}", "POST /v1/prices", "POST /v1/prices/{id}"];
    assert_eq!(seen, all.map(str::to_owned).into());
}

/// One that never heard the answer may come while its first request is still under way; and Stripe, which keeps an error of
/// its own for a day, must not be asked in the same words for as long.
#[tokio::test]
async fn a_price_is_asked_for_under_the_same_key_for_a_while() {
    let keys = async |at: Timestamp| {
        let (desk, recorder) = recorded(Gateway::Stripe).await;
        desk.clients.sync(&APPLY, &plans(), at, PATIENCE).await.expect("a report");
        let keys = recorder.sent().iter().map(|sent| sent.header("idempotency-key").to_owned()).collect::<Vec<_>>();
        keys.into_iter().filter(|key| !key.is_empty()).collect::<BTreeSet<_>>()
    };
    let first = keys(now()).await;
    assert_eq!(first.len(), 4);
    assert_eq!(first, keys(now() + SignedDuration::from_secs(5)).await);
    assert!(first.is_disjoint(&keys(now() + SignedDuration::from_mins(11)).await));
}

// -- Breaking off

/// Someone on the way to Stripe who loses the `left`th change, or the answer to it.
#[derive(Clone)]
struct Losing {
    to: String,
    with: reqwest::Client,
    left: Arc<AtomicUsize>,
    answer_only: bool,
}

async fn losing(desk: &Desk, nth: usize, answer_only: bool) -> Clients {
    let (to, left) = (desk.simulator.url().to_owned(), Arc::new(AtomicUsize::new(nth)));
    let losing = Losing { to, with: http(), left, answer_only };
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let app = Router::new().fallback(pass_on).with_state(losing);
    tokio::spawn(async move { axum::serve(listener, app).await });
    clients(&url, &http())
}

async fn pass_on(State(losing): State<Losing>, request: Request) -> Response {
    let lost = request.method() == "POST" && losing.left.fetch_sub(1, Ordering::SeqCst) == 0;
    if lost && !losing.answer_only {
        return StatusCode::BAD_GATEWAY.into_response();
    }
    let (head, body) = request.into_parts();
    let path = head.uri.path_and_query().map(ToString::to_string).unwrap_or_default();
    let body = to_bytes(body, 1 << 20).await.expect("a body");
    let sent = Sent { method: head.method, path, headers: head.headers, body };
    let answer = forward(&losing.to, &losing.with, sent).await;
    if lost { StatusCode::BAD_GATEWAY.into_response() } else { answer.into_response() }
}

#[tokio::test]
async fn a_sync_that_breaks_off_anywhere_is_finished_by_the_next() {
    let first = [plan("estates-starter")];
    let second = [dearer(&first[0])];
    for nth in 0..5 {
        for answer_only in [false, true] {
            let desk = Desk::open(Gateway::Stripe).await;
            for plans in [&first, &second] {
                let broken = sync(&losing(&desk, nth, answer_only).await, &APPLY, plans).await;
                let rest = sync(&desk.clients, &APPLY, plans).await;
                assert_eq!(rest.summary.applied, rest.summary.changes, "{nth} {broken:?} {rest:?}");
                let after = sync(&desk.clients, &LOOK, plans).await;
                assert_eq!((told(&after), after.summary.in_sync), (vec![], 3), "{nth} {answer_only}");
                assert_eq!(on_sale(&desk, "estates-starter").await.len(), 2, "{nth} {answer_only}");
            }
        }
    }
}
