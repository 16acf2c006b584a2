//! Paystack's disputes, and refunds that a card does not take.

use crate::world::{World, world};
use serde_json::{Value, json};

const EMAIL: &str = "billing@acme.example";

async fn paid(world: &World, number: &str, reference: &str) -> Value {
    let body = json!({"email": EMAIL, "amount": 700_000, "currency": "NGN", "reference": reference});
    let opened = world.paystack("transaction/initialize", body).await.ok();
    world.page(&opened["data"]["authorization_url"], "pay", number).await;
    verify(world, reference).await
}

async fn verify(world: &World, reference: &str) -> Value {
    world.paystack_get(&format!("transaction/verify/{reference}")).await.ok()["data"].clone()
}

fn order(world: &World, reference: &str, outcome: &str) -> Result<Value, String> {
    world.simulator.admin("dispute", &json!({"gateway": "paystack", "reference": reference, "outcome": outcome}))
}

fn events(world: &World) -> Vec<String> {
    let books = world.simulator.books();
    let rows = books["deliveries"].as_array().expect("rows").iter().skip(1);
    rows.map(|row| row["event"].as_str().unwrap_or_default().to_owned()).collect()
}

#[tokio::test]
async fn a_dispute_is_found_by_its_transaction_and_holds_the_money() {
    let world = world().await;
    let transaction = paid(&world, "4084084084084081", "r1").await;
    let opened = order(&world, "r1", "open").expect("an accepted order");
    assert_eq!((opened["status"].as_str(), &opened["resolution"]), (Some("awaiting-merchant-feedback"), &Value::Null));
    assert_eq!(
        (opened["transaction"]["reference"].as_str(), &opened["transaction_reference"]),
        (Some("r1"), &Value::Null)
    );
    assert_eq!((opened["refund_amount"].as_i64(), opened["category"].as_str()), (Some(700_000), Some("chargeback")));
    for path in [format!("dispute/{}", opened["id"]), format!("dispute/transaction/{}", transaction["id"])] {
        assert_eq!(world.paystack_get(&path).await.ok()["data"]["id"], opened["id"], "{path}");
    }
    let listed = world.paystack_get("dispute?status=awaiting-merchant-feedback").await.ok();
    assert_eq!(listed["data"][0]["id"], opened["id"]);
    assert_eq!(world.paystack_get("dispute?status=resolved").await.ok()["data"], json!([]));
    assert_eq!(world.paystack_get("dispute/1").await.status, 404);
    assert_eq!(world.paystack("refund", json!({"transaction": "r1"})).await.status, 400);
    assert!(order(&world, "r1", "open").is_err_and(|error| error.contains("already")));
    assert_eq!(events(&world), ["charge.dispute.create"]);
}

#[tokio::test]
async fn disputes_end_to_order_or_by_silence() {
    let world = world().await;
    for (end, resolution, status, stage) in [
        ("won", "declined", "success", "won"),
        ("lost", "merchant-accepted", "reversed", "lost"),
        ("silence", "auto-accepted", "reversed", "lost"),
    ] {
        world.admin("reset", json!({}));
        paid(&world, "4084084084084081", "r1").await;
        assert!(order(&world, "r1", "won").is_err_and(|error| error.starts_with("reference")));
        order(&world, "r1", "open").expect("an accepted order");
        if end == "silence" {
            world.wait(13 * 3600).await;
            assert_eq!(events(&world), ["charge.dispute.create", "charge.dispute.remind"]);
            world.wait(12 * 3600).await;
        } else {
            order(&world, "r1", end).expect("an accepted order");
        }
        assert_eq!(events(&world).last().map(String::as_str), Some("charge.dispute.resolve"), "{end}");
        let dispute = world.paystack_get("dispute").await.ok()["data"][0].clone();
        assert_eq!((dispute["status"].as_str(), dispute["resolution"].as_str()), (Some("resolved"), Some(resolution)));
        assert_eq!(verify(&world, "r1").await["status"], status, "{end}");
        let line = world.simulator.books()["disputes"][0].clone();
        assert_eq!((line["stage"].as_str(), line["amount"]["minor"].as_i64()), (Some(stage), Some(700_000)));
        assert_eq!(line["charge"], world.charges()[0]["id"]);
    }
}

#[tokio::test]
async fn a_refund_that_needs_attention_goes_to_another_account() {
    let world = world().await;
    paid(&world, "4084080000671902", "r1").await;
    let refund = world.paystack("refund", json!({"transaction": "r1", "amount": 200_000})).await.ok()["data"].clone();
    let path = format!("refund/retry_with_customer_details/{}", refund["id"]);
    let details =
        json!({"refund_account_details": {"currency": "NGN", "account_number": "1234567890", "bank_id": "9"}});
    assert_eq!(world.paystack(&path, details.clone()).await.status, 400);
    world.wait(2).await;
    assert_eq!(world.paystack(&path, json!({"refund_account_details": {}})).await.status, 400);
    assert_eq!(world.paystack(&path, details).await.ok()["data"]["status"], "processing");
    world.wait(2).await;
    assert_eq!(events(&world), ["refund.pending", "refund.needs-attention", "refund.processing", "refund.processed"]);
    // In part: the transaction stays a success.
    assert_eq!(verify(&world, "r1").await["status"], "success");
    let refunds = world.simulator.books()["refunds"].clone();
    assert_eq!(
        (refunds[0]["status"].as_str(), world.charges()[0]["refunded"].as_i64()),
        (Some("processed"), Some(200_000))
    );
}

#[tokio::test]
async fn money_that_was_sent_is_given_back_like_any_other() {
    let world = world().await;
    let asked = json!({"email": EMAIL, "amount": 700_000, "reference": "r1", "bank_transfer": {}});
    let asked = world.paystack("charge", asked).await.ok();
    world.admin("paystack/transfer", json!({"account_number": asked["data"]["account_number"], "amount": 700_000}));
    let id = verify(&world, "r1").await["id"].clone();
    let refund = world.paystack("refund", json!({"transaction": id})).await.ok();
    assert_eq!(refund["data"]["channel"], "bank_transfer");
    world.wait(2).await;
    let listed = world.paystack_get(&format!("refund?transaction={id}")).await.ok();
    assert_eq!(listed["data"][0]["status"], "processed");
    assert_eq!(
        (verify(&world, "r1").await["status"].as_str(), world.charges()[0]["refunded"].as_i64()),
        (Some("reversed"), Some(700_000))
    );
}
