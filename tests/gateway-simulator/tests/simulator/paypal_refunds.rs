//! PayPal's money that comes slowly, and money that goes back.

use crate::paypal_world::{issue, link, order, paypal, text, usd};
use serde_json::{Value, json};

const DAY: i64 = 86_400;

#[tokio::test]
async fn slow_money_is_pending_first_and_in_no_book() {
    let mut paypal = paypal().await;
    let endings = [
        ("echeck", "ECHECK", "COMPLETED", "PAYMENT.CAPTURE.COMPLETED"),
        ("review", "PENDING_REVIEW", "COMPLETED", "PAYMENT.CAPTURE.COMPLETED"),
        ("echeck-returned", "ECHECK", "DECLINED", "PAYMENT.CAPTURE.DENIED"),
    ];
    let mut captures = Vec::new();
    for (funding, reason, ..) in endings {
        let (paid, capture) = paypal.paid(&order(funding), funding).await;
        assert_eq!((text(&paid["status"]), text(&capture["status"])), ("COMPLETED", "PENDING"));
        assert_eq!(capture["status_details"]["reason"], reason);
        let path = format!("v2/payments/captures/{}/refund", text(&capture["id"]));
        assert_eq!(issue(&paypal.post(&path, "f1", &json!({})).await), (422, "PENDING_CAPTURE"));
        captures.push(capture);
    }
    assert!(paypal.world.charges().is_empty());
    let before = paypal.events().len();
    paypal.wait(3 * DAY + 1).await;
    for ((funding, _, status, _), capture) in endings.iter().zip(&captures) {
        assert_eq!(paypal.show_capture(capture).await["status"], *status, "{funding}");
    }
    let mut wanted: Vec<_> = endings.iter().map(|(.., event)| (*event).to_owned()).collect();
    let mut came = paypal.events().split_off(before);
    wanted.sort();
    came.sort();
    assert_eq!(came, wanted);
    let failed = paypal.world.charges().into_iter().find(|charge| charge["status"] == "failed");
    assert_eq!(failed.expect("a failed charge")["reference"], "echeck-returned");
    let path = format!("v2/payments/captures/{}/refund", text(&captures[2]["id"]));
    assert_eq!(issue(&paypal.post(&path, "f2", &json!({})).await), (422, "REFUND_NOT_ALLOWED"));
}

#[tokio::test]
async fn captures_are_refunded_in_parts_and_whole() {
    let mut paypal = paypal().await;
    let (_, capture) = paypal.paid(&order("r1"), "balance").await;
    let path = format!("v2/payments/captures/{}/refund", text(&capture["id"]));
    for (body, wanted) in [
        (json!({"amount": usd("14.00")}), (422, "REFUND_AMOUNT_EXCEEDED")),
        (json!({"amount": {"currency_code": "EUR", "value": "1.00"}}), (422, "REFUND_CAPTURE_CURRENCY_MISMATCH")),
        (json!({"amount": usd("1.001")}), (422, "DECIMAL_PRECISION")),
    ] {
        assert_eq!(issue(&paypal.post(&path, "no", &body).await), wanted, "{body}");
    }
    let part = paypal.post(&path, "f1", &json!({"amount": usd("4.00"), "note_to_payer": "Sorry"})).await;
    assert_eq!((part.status, text(&part.json["status"])), (201, "COMPLETED"));
    assert_eq!(paypal.show_capture(&capture).await["status"], "PARTIALLY_REFUNDED");
    let again = paypal.post(&path, "f1", &json!({"amount": usd("4.00")})).await;
    assert_eq!((again.status, &again.json["id"]), (200, &part.json["id"]));
    let rest = paypal.post(&path, "f2", &json!({})).await;
    assert_eq!((rest.status, &rest.json["amount"]), (201, &usd("9.99")));
    assert_eq!(rest.json["seller_payable_breakdown"]["total_refunded_amount"], usd("13.99"));
    assert_eq!(text(&link(&rest.json, "up")).rsplit('/').next(), capture["id"].as_str());
    assert_eq!(paypal.show_capture(&capture).await["status"], "REFUNDED");
    assert_eq!(issue(&paypal.post(&path, "f3", &json!({})).await), (422, "CAPTURE_FULLY_REFUNDED"));
    let shown = paypal.get(&format!("v2/payments/refunds/{}", text(&part.json["id"]))).await.ok();
    assert_eq!((text(&shown["note_to_payer"]), &shown["amount"]), ("Sorry", &usd("4.00")));
    let books = paypal.world.simulator.books();
    assert_eq!(
        (&books["charges"][0]["refunded"], &books["refunds"][1]["amount"]["minor"]),
        (&json!(1_399), &json!(999))
    );
    assert_eq!(books["refunds"][0]["reference"], "r1");

    let (_, old) = paypal.paid(&order("r2"), "balance").await;
    paypal.wait(181 * DAY).await;
    let late = paypal.post(&format!("v2/payments/captures/{}/refund", text(&old["id"])), "f4", &json!({})).await;
    assert_eq!(issue(&late), (422, "REFUND_TIME_LIMIT_EXCEEDED"));
    assert_eq!(paypal.post("v2/payments/captures/NONE/refund", "f5", &json!({})).await.status, 404);
}

#[tokio::test]
async fn an_echeck_is_refunded_as_slowly_as_it_came() {
    let mut paypal = paypal().await;
    let (_, capture) = paypal.paid(&order("r1"), "echeck").await;
    paypal.wait(3 * DAY + 1).await;
    let refund = paypal.post(&format!("v2/payments/captures/{}/refund", text(&capture["id"])), "f1", &json!({})).await;
    assert_eq!((text(&refund.json["status"]), text(&refund.json["status_details"]["reason"])), ("PENDING", "ECHECK"));
    assert_eq!(paypal.show_capture(&capture).await["status"], "REFUNDED");
    paypal.wait(3 * DAY + 1).await;
    let path = format!("v2/payments/refunds/{}", text(&refund.json["id"]));
    assert_eq!(paypal.get(&path).await.ok()["status"], "COMPLETED");
    assert_eq!(paypal.events().last().map(String::as_str), Some("PAYMENT.CAPTURE.REFUNDED"));
    assert_eq!(paypal.world.simulator.books()["refunds"][0]["status"], "COMPLETED");
}

#[tokio::test]
async fn payments_and_refunds_hang_in_the_air_to_order() {
    let paypal = paypal().await;
    let pending = |code: Value| json!({"kind": "pending", "seconds": 60, "code": code});
    let settled = async || {
        paypal.world.admin("clock", json!({"advance_seconds": 61}));
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    };
    for (reference, code, status) in [("r1", Value::Null, "COMPLETED"), ("r2", json!("returned"), "DECLINED")] {
        paypal.world.fault("paypal", "charge", pending(code));
        let (_, capture) = paypal.paid(&order(reference), "balance").await;
        assert_eq!(text(&capture["status"]), "PENDING");
        settled().await;
        assert_eq!(paypal.show_capture(&capture).await["status"], status);
    }
    let (_, capture) = paypal.paid(&order("r3"), "balance").await;
    let path = format!("v2/payments/captures/{}/refund", text(&capture["id"]));
    paypal.world.fault("paypal", "refund", json!({"kind": "decline", "code": "REFUND_FAILED_INSUFFICIENT_FUNDS"}));
    assert_eq!(issue(&paypal.post(&path, "f1", &json!({})).await), (422, "REFUND_FAILED_INSUFFICIENT_FUNDS"));
    paypal.world.fault("paypal", "refund", pending(json!("failed")));
    let failing = paypal.post(&path, "f1", &json!({})).await;
    assert_eq!((failing.status, text(&failing.json["status"])), (201, "PENDING"));
    assert_eq!(paypal.show_capture(&capture).await["status"], "REFUNDED");
    settled().await;
    assert_eq!(paypal.show_capture(&capture).await["status"], "COMPLETED");
    assert_eq!(
        paypal.post(&path, "f1", &json!({})).await.json["status"],
        "FAILED",
        "the latest state of what was made"
    );
    let events = paypal.events();
    assert_eq!(events[events.len() - 2..], ["PAYMENT.REFUND.PENDING", "PAYMENT.REFUND.FAILED"]);
    let books = paypal.world.simulator.books();
    assert_eq!((&books["charges"][2]["refunded"], text(&books["refunds"][0]["status"])), (&json!(0), "FAILED"));
}
