//! Stripe's disputes, and refunds that end otherwise than they begin.

use crate::world::{World, world};
use serde_json::{Value, json};

/// A payment with this card, under this reference: its intent.
async fn paid(world: &World, number: &str, reference: &str) -> String {
    let form = [("amount", "2000"), ("currency", "usd"), ("metadata[reference]", reference)];
    let intent = world.stripe("payment_intents", &form).await.ok();
    let url = format!("{}/elements/{}", world.simulator.stripe(), intent["client_secret"].as_str().expect("a secret"));
    assert_eq!(world.page(&json!(url), "pay", number).await.status, 200);
    intent["id"].as_str().expect("an id").to_owned()
}

async fn charge(world: &World, intent: &str) -> Value {
    let path = format!("payment_intents/{intent}?expand[]=latest_charge");
    world.stripe_get(&path).await.ok()["latest_charge"].clone()
}

async fn dispute(world: &World, intent: &str) -> Value {
    let listed = world.stripe_get(&format!("disputes?payment_intent={intent}&limit=1")).await.ok();
    listed["data"][0].clone()
}

fn order(world: &World, reference: &str, outcome: &str) -> Result<Value, String> {
    world.simulator.admin("dispute", &json!({"gateway": "stripe", "reference": reference, "outcome": outcome}))
}

fn stage(world: &World) -> Value {
    world.simulator.books()["disputes"][0]["stage"].clone()
}

#[tokio::test]
async fn a_fraudulent_card_disputes_by_itself_and_holds_the_money() {
    let world = world().await;
    let intent = paid(&world, "4000000000000259", "r1").await;
    let events = world.stripe_events().await;
    let told = ["payment_intent.succeeded", "charge.dispute.created", "charge.dispute.funds_withdrawn"];
    assert_eq!(events, told);
    let charge = charge(&world, &intent).await;
    assert_eq!(charge["disputed"], true);
    let dispute = dispute(&world, &intent).await;
    assert_eq!((dispute["status"].as_str(), dispute["reason"].as_str()), (Some("needs_response"), Some("fraudulent")));
    assert_eq!((dispute["amount"].as_i64(), &dispute["charge"]), (Some(2000), &charge["id"]));
    let read = world.stripe_get(&format!("disputes/{}?expand[]=charge", dispute["id"].as_str().expect("an id"))).await;
    assert_eq!(read.ok()["charge"]["id"], charge["id"]);
    let by_charge = world.stripe_get(&format!("disputes?charge={}", charge["id"].as_str().expect("an id"))).await.ok();
    assert_eq!(by_charge["data"][0]["id"], dispute["id"]);
    let refused = world.stripe("refunds", &[("payment_intent", &intent)]).await;
    assert_eq!(refused.refused(), (400, "charge_disputed"));
    let line = world.simulator.books()["disputes"][0].clone();
    assert_eq!((line["reference"].as_str(), line["stage"].as_str()), (Some("r1"), Some("open")));
    assert_eq!((&line["charge"], line["amount"]["minor"].as_i64()), (&world.charges()[0]["id"], Some(2000)));
}

#[tokio::test]
async fn an_inquiry_moves_no_money_until_it_becomes_a_dispute() {
    let world = world().await;
    let intent = paid(&world, "4000000000001976", "r1").await;
    assert_eq!(dispute(&world, &intent).await["status"], "warning_needs_response");
    assert_eq!((charge(&world, &intent).await["disputed"].as_bool(), stage(&world)), (Some(false), json!("inquiry")));
    let opened = order(&world, "r1", "open").expect("an accepted order");
    assert_eq!((opened["status"].as_str(), stage(&world)), (Some("needs_response"), json!("open")));
    let events = world.stripe_events().await;
    assert_eq!(events[2..], ["charge.dispute.updated", "charge.dispute.funds_withdrawn"]);
    let other = paid(&world, "4000000000001976", "r2").await;
    order(&world, "r2", "won").expect("an accepted order");
    assert_eq!(dispute(&world, &other).await["status"], "warning_closed");
}

#[tokio::test]
async fn disputes_are_opened_won_and_lost_to_order() {
    let world = world().await;
    for (outcome, events, refund) in [
        ("won", ["charge.dispute.closed", "charge.dispute.funds_reinstated"].as_slice(), 200),
        ("lost", ["charge.dispute.closed"].as_slice(), 400),
    ] {
        world.admin("reset", json!({}));
        let intent = paid(&world, "4242424242424242", "r1").await;
        assert!(order(&world, "r1", outcome).is_err_and(|error| error.starts_with("reference")));
        order(&world, "r1", "open").expect("an accepted order");
        assert!(order(&world, "r1", "open").is_err_and(|error| error.contains("already")));
        order(&world, "r1", outcome).expect("an accepted order");
        assert_eq!(dispute(&world, &intent).await["status"], outcome);
        assert_eq!(stage(&world), outcome);
        assert_eq!(world.stripe_events().await[3..], *events, "{outcome}");
        let last = world.stripe_get("events?limit=1").await.ok();
        assert_eq!(last["data"][0]["data"]["previous_attributes"], json!({"status": "needs_response"}));
        assert_eq!(world.stripe("refunds", &[("payment_intent", &intent)]).await.status, refund, "{outcome}");
    }
    assert!(order(&world, "nothing", "open").is_err_and(|error| error.starts_with("reference")));
    assert!(order(&world, "r1", "sideways").is_err_and(|error| error.starts_with("outcome")));
}

#[tokio::test]
async fn only_what_was_not_refunded_can_be_disputed() {
    let world = world().await;
    let intent = paid(&world, "4242424242424242", "r1").await;
    world.stripe("refunds", &[("payment_intent", intent.as_str()), ("amount", "500")]).await.ok();
    assert_eq!(order(&world, "r1", "open").expect("an accepted order")["amount"], 1500);
    let other = paid(&world, "4242424242424242", "r2").await;
    world.stripe("refunds", &[("payment_intent", &other)]).await.ok();
    assert!(order(&world, "r2", "open").is_err());
}

#[tokio::test]
async fn a_refund_in_part_leaves_a_charge_that_is_not_refunded() {
    let world = world().await;
    let intent = paid(&world, "4242424242424242", "r1").await;
    for (amount, refunded, whole) in [("500", 500, false), ("1500", 2000, true)] {
        world.stripe("refunds", &[("payment_intent", intent.as_str()), ("amount", amount)]).await.ok();
        let charge = charge(&world, &intent).await;
        assert_eq!((charge["amount_refunded"].as_i64(), charge["refunded"].as_bool()), (Some(refunded), Some(whole)));
    }
    let events = world.stripe_events().await;
    assert_eq!(events[1..], ["refund.created", "charge.refunded", "refund.created", "charge.refunded"]);
}

#[tokio::test]
async fn a_refund_can_end_otherwise_than_it_began() {
    let world = world().await;
    for (number, begins, ends, left, told) in [
        ("4000000000007726", "pending", "succeeded", 2000, ["refund.updated"].as_slice()),
        ("4000000000005126", "succeeded", "failed", 0, ["refund.updated", "refund.failed"].as_slice()),
    ] {
        world.admin("reset", json!({}));
        let intent = paid(&world, number, "r1").await;
        let refund = world.stripe("refunds", &[("payment_intent", &intent)]).await.ok();
        assert_eq!(
            (refund["status"].as_str(), charge(&world, &intent).await["amount_refunded"].as_i64()),
            (Some(begins), Some(2000))
        );
        world.wait(3).await;
        let refund = world.stripe_get(&format!("refunds/{}", refund["id"].as_str().expect("an id"))).await.ok();
        assert_eq!((refund["status"].as_str(), refund["failure_reason"].is_null()), (Some(ends), ends != "failed"));
        assert_eq!(charge(&world, &intent).await["amount_refunded"], left);
        assert_eq!(world.charges()[0]["refunded"], left);
        assert_eq!(world.stripe_events().await[3..], *told, "{number}");
    }
}

#[tokio::test]
async fn declines_carry_the_networks_advice_and_stripes_own() {
    let world = world().await;
    let card = world.saved("pm_card_visa").await;
    for (reason, code, advice, number, then) in [
        ("insufficient_funds", "card_declined", "try_again_later", "51", "02"),
        ("card_velocity_exceeded", "card_declined", "try_again_later", "65", "25"),
        ("lost_card", "card_declined", "do_not_try_again", "41", "03"),
        ("revocation_of_authorization", "card_declined", "do_not_try_again", "R1", "21"),
        ("expired_card", "expired_card", "confirm_card_data", "54", "01"),
        ("incorrect_number", "incorrect_number", "confirm_card_data", "14", ""),
        ("some_new_reason", "card_declined", "", "", ""),
    ] {
        world.fault("stripe", "charge", json!({"kind": "decline", "code": reason}));
        let declined = world.renew(&card, reason).await;
        assert_eq!(declined.refused(), (402, code));
        let error = &declined.json["error"];
        let said = |name: &str| error[name].as_str().unwrap_or_default().to_owned();
        assert_eq!(
            (said("decline_code"), said("advice_code"), said("network_decline_code"), said("network_advice_code")),
            (reason.to_owned(), advice.to_owned(), number.to_owned(), then.to_owned())
        );
        let charge = world.stripe_get(&format!("charges/{}", said("charge"))).await.ok();
        assert_eq!(charge["outcome"]["network_advice_code"].as_str().unwrap_or_default(), then);
    }
}
