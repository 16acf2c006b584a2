//! PayPal's access tokens, orders and captures.

use crate::paypal_world::{CLIENT, issue, link, order, paypal, text, usd, with};
use crate::world::read;
use serde_json::{Value, json};

const ORDERS: &str = "v2/checkout/orders";
const DAY: i64 = 86_400;

#[tokio::test]
async fn calls_need_a_token_and_tokens_end() {
    let mut paypal = paypal().await;
    let stranger = paypal.ask_token((CLIENT.0, "other"), &[("grant_type", "client_credentials")]).await;
    assert_eq!((stranger.status, text(&stranger.json["error"])), (401, "invalid_client"));
    let odd = paypal.ask_token(CLIENT, &[("grant_type", "password")]).await;
    assert_eq!((odd.status, text(&odd.json["error"])), (400, "unsupported_grant_type"));
    let granted = paypal.ask_token(CLIENT, &[("grant_type", "client_credentials")]).await.ok();
    assert_eq!((text(&granted["token_type"]), granted["expires_in"].as_i64()), ("Bearer", Some(32_400)));

    assert_eq!(issue(&paypal.get("v2/checkout/orders/NONE").await), (404, "INVALID_RESOURCE_ID"));
    assert_eq!(paypal.world.admin("paypal/expire-tokens", json!({})), json!({"expired": 2}));
    let expired = paypal.get("v2/checkout/orders/NONE").await;
    assert_eq!((expired.status, text(&expired.json["error"])), (401, "invalid_token"));
    paypal.log_in().await;
    assert_eq!(paypal.get("v2/checkout/orders/NONE").await.status, 404);
    paypal.world.admin("clock", json!({"advance_seconds": 32_401}));
    assert_eq!(paypal.get("v2/checkout/orders/NONE").await.status, 401);
    let url = format!("{}/v2/checkout/orders/NONE", paypal.world.simulator.paypal());
    let nobody = read(paypal.world.client.get(url)).await.expect("an answer");
    assert_eq!((nobody.status, text(&nobody.json["name"])), (401, "AUTHENTICATION_FAILURE"));
}

#[tokio::test]
async fn a_buyer_approves_and_the_merchant_captures() {
    let paypal = paypal().await;
    let created = paypal.post(ORDERS, "r1", &order("r1")).await;
    assert_eq!((created.status, text(&created.json["status"])), (200, "PAYER_ACTION_REQUIRED"));
    assert_eq!(created.header("paypal-debug-id").len(), 13);
    let id = text(&created.json["id"]).to_owned();
    let url = link(&created.json, "payer-action");
    let page = read(paypal.world.client.get(text(&url))).await.expect("a page");
    assert!(page.text.contains("Pay USD 13.99") && page.text.contains("ada@personal.example"), "{}", page.text);
    let early = paypal.capture(&id, "early").await;
    assert_eq!(issue(&early), (422, "ORDER_NOT_APPROVED"));
    assert_eq!(early.json["debug_id"], early.header("paypal-debug-id"));

    let cancelled = paypal.page(&url, "cancel", "balance").await;
    assert_eq!(
        (cancelled.status, cancelled.header("location")),
        (303, &*format!("https://app.example/cancelled?token={id}"))
    );
    let back = format!("https://app.example/paid?x=1&token={id}&PayerID=QYR5Z8XDVJNXQ");
    for _ in 0..2 {
        let agreed = paypal.page(&url, "pay", "balance").await;
        assert_eq!((agreed.status, agreed.header("location")), (303, &*back));
    }
    assert_eq!(paypal.get(&format!("{ORDERS}/{id}")).await.ok()["status"], "APPROVED");
    assert!(paypal.world.charges().is_empty(), "an approval is no payment");

    let captured = paypal.capture(&id, "c1").await;
    assert_eq!((captured.status, text(&captured.json["status"])), (201, "COMPLETED"));
    let capture = &captured.json["purchase_units"][0]["payments"]["captures"][0];
    assert_eq!(
        (text(&capture["status"]), &capture["amount"], text(&capture["custom_id"])),
        ("COMPLETED", &usd("13.99"), "r1")
    );
    assert_eq!(capture["seller_receivable_breakdown"]["net_amount"], usd("13.02"));
    assert_eq!(captured.json["payer"]["payer_id"], "QYR5Z8XDVJNXQ");
    let alone = paypal.show_capture(capture).await;
    assert_eq!(alone["supplementary_data"]["related_ids"]["order_id"], id.as_str());
    assert_eq!(issue(&paypal.capture(&id, "c2").await), (422, "ORDER_ALREADY_CAPTURED"));

    let charges = paypal.world.charges();
    assert_eq!((charges.len(), &charges[0]["reference"], &charges[0]["id"]), (1, &json!("r1"), &capture["id"]));
    assert_eq!(charges[0]["amount"], json!({"minor": 1_399, "currency": "USD"}));
    assert_eq!((charges[0]["status"].as_str(), charges[0]["off_session"].as_bool()), (Some("succeeded"), Some(false)));
    assert_eq!(paypal.events(), ["CHECKOUT.ORDER.APPROVED", "PAYMENT.CAPTURE.COMPLETED", "CHECKOUT.ORDER.COMPLETED"]);
}

#[tokio::test]
async fn without_a_source_the_link_is_called_approve_and_little_is_shown_unless_preferred() {
    let paypal = paypal().await;
    let mut body = order("r1");
    body.as_object_mut().expect("an object").remove("payment_source");
    let url = format!("{}/{ORDERS}", paypal.world.simulator.paypal());
    let request = paypal.world.client.post(url).bearer_auth(&paypal.token).json(&body);
    let created = read(request).await.expect("an answer");
    assert_eq!((created.status, text(&created.json["status"])), (201, "CREATED"));
    let names: Vec<_> = created.json.as_object().expect("an object").keys().cloned().collect();
    assert_eq!(names, ["id", "status", "links"]);
    let agreed = paypal.page(&link(&created.json, "approve"), "pay", "balance").await;
    assert_eq!((agreed.status, agreed.text.contains("was approved")), (200, true));
    let captured = paypal.capture(text(&created.json["id"]), "c1").await;
    assert_eq!(captured.json["purchase_units"][0]["custom_id"], "r1");
}

#[tokio::test]
async fn orders_are_refused_in_paypals_words() {
    let paypal = paypal().await;
    let changed = |pointer: &str, value: Value| {
        let mut body = order("r1");
        *body.pointer_mut(pointer).expect("a place") = value;
        body
    };
    let amount = "/purchase_units/0/amount";
    for (body, wanted) in [
        (changed(amount, json!({"currency_code": "NGN", "value": "7000.00"})), (422, "CURRENCY_NOT_SUPPORTED")),
        (changed(amount, json!({"currency_code": "GEL", "value": "20.00"})), (422, "CURRENCY_NOT_SUPPORTED")),
        (changed(amount, json!({"currency_code": "JPY", "value": "1500.00"})), (422, "DECIMAL_PRECISION")),
        (changed(amount, usd("13.999")), (422, "DECIMAL_PRECISION")),
        (changed(amount, usd("0.00")), (422, "CANNOT_BE_ZERO_OR_NEGATIVE")),
        (changed(amount, json!({"currency_code": "USD", "value": 13.99})), (400, "INVALID_PARAMETER_SYNTAX")),
        (changed(amount, json!({"currency_code": "USD"})), (400, "MISSING_REQUIRED_PARAMETER")),
        (changed("/intent", json!("AUTHORIZE")), (422, "UNSUPPORTED_INTENT")),
        (changed("/intent", json!("TAKE")), (400, "INVALID_PARAMETER_VALUE")),
        (changed("/purchase_units", json!([])), (400, "INVALID_ARRAY_MIN_ITEMS")),
        (changed("/purchase_units/0/custom_id", json!("x".repeat(128))), (400, "INVALID_STRING_LENGTH")),
        (
            changed("/payment_source/paypal/experience_context/return_url", json!("javascript:alert(1)")),
            (400, "INVALID_PARAMETER_SYNTAX"),
        ),
    ] {
        assert_eq!(issue(&paypal.post(ORDERS, "refused", &body).await), wanted, "{body}");
    }
    let long = "x".repeat(109);
    assert_eq!(issue(&paypal.post(ORDERS, &long, &order("r1")).await), (400, "INVALID_STRING_LENGTH"));
    let mut parts = order("r1");
    parts["purchase_units"][0]["amount"]["breakdown"] =
        json!({"item_total": usd("14.99"), "discount": usd("1.00"), "shipping": usd("0.00")});
    assert_eq!(paypal.post(ORDERS, "whole", &parts).await.status, 200);
    parts["purchase_units"][0]["amount"]["breakdown"]["discount"] = usd("0.99");
    assert_eq!(issue(&paypal.post(ORDERS, "parts", &parts).await), (422, "AMOUNT_MISMATCH"));
    let url = format!("{}/{ORDERS}", paypal.world.simulator.paypal());
    let spoilt = paypal.world.client.post(&url).bearer_auth(&paypal.token).header("content-type", "application/json");
    assert_eq!(issue(&read(spoilt.body("{")).await.expect("an answer")), (400, "MALFORMED_REQUEST_JSON"));
    let form = paypal.world.client.post(&url).bearer_auth(&paypal.token).form(&[("intent", "CAPTURE")]);
    assert_eq!(read(form).await.expect("an answer").status, 415);
}

#[tokio::test]
async fn a_request_id_shows_what_it_made_and_is_forgotten_in_the_end() {
    let mut paypal = paypal().await;
    let first = paypal.post(ORDERS, "r1", &order("r1")).await;
    let again = paypal.post(ORDERS, "r1", &order("r1")).await;
    assert_eq!((again.status, &again.json["id"]), (200, &first.json["id"]));
    let id = paypal.approved(&order("r2"), "balance").await;
    let captured = paypal.capture(&id, "r2").await;
    let repeated = paypal.capture(&id, "r2").await;
    assert_eq!((captured.status, repeated.status), (201, 200));
    assert_eq!(captured.json["purchase_units"], repeated.json["purchase_units"]);
    // The same id, six hours later, is a new one; for payments it is not.
    let capture = text(&captured.json["purchase_units"][0]["payments"]["captures"][0]["id"]).to_owned();
    let path = format!("v2/payments/captures/{capture}/refund");
    let refund = paypal.post(&path, "f1", &json!({"amount": usd("1.00")})).await;
    paypal.wait(44 * DAY).await;
    let same = paypal.post(&path, "f1", &json!({"amount": usd("1.00")})).await;
    assert_eq!((refund.status, same.status, &same.json["id"]), (201, 200, &refund.json["id"]));
    assert_ne!(paypal.post(ORDERS, "r1", &order("r1")).await.json["id"], first.json["id"]);
    paypal.wait(2 * DAY).await;
    assert_ne!(paypal.post(&path, "f1", &json!({"amount": usd("1.00")})).await.json["id"], refund.json["id"]);
    assert_eq!(paypal.world.charges().len(), 1);
}

#[tokio::test]
async fn a_request_without_an_answer_was_carried_out_once() {
    let paypal = paypal().await;
    for (reference, kind, done) in [("r1", "error_500", false), ("r2", "error_500_after", true)] {
        let id = paypal.approved(&order(reference), "balance").await;
        paypal.world.fault("paypal", "charge", json!({ "kind": kind }));
        let broken = paypal.capture(&id, reference).await;
        assert_eq!((broken.status, text(&broken.json["name"])), (500, "INTERNAL_SERVER_ERROR"));
        assert_eq!(paypal.world.charges().iter().any(|charge| charge["reference"] == reference), done, "{kind}");
        let again = paypal.capture(&id, reference).await;
        assert_eq!((again.status, text(&again.json["status"])), (if done { 200 } else { 201 }, "COMPLETED"));
    }
    let id = paypal.approved(&order("r3"), "balance").await;
    paypal.world.fault("paypal", "charge", json!({"kind": "delay", "ms": 1_500}));
    let path = format!("{ORDERS}/{id}/capture");
    let slow = tokio::spawn(read(paypal.request(&path, "r3", &json!({}))));
    tokio::time::sleep(std::time::Duration::from_millis(150)).await;
    assert_eq!(issue(&paypal.capture(&id, "r3").await), (409, "PREVIOUS_REQUEST_IN_PROGRESS"));
    assert_eq!(slow.await.expect("no panic").expect("an answer").status, 201);
    assert_eq!(paypal.world.charges().len(), 3);
}

#[tokio::test]
async fn a_declined_funding_sends_the_buyer_back_to_choose_another() {
    let paypal = paypal().await;
    let id = paypal.approved(&order("r1"), "declined").await;
    let declined = paypal.capture(&id, "c1").await;
    assert_eq!(issue(&declined), (422, "INSTRUMENT_DECLINED"));
    let url = link(&declined.json, "redirect");
    let page = read(paypal.world.client.get(text(&url))).await.expect("a page");
    assert!(page.text.contains("INSTRUMENT_DECLINED"), "{}", page.text);
    assert_eq!(paypal.page(&url, "pay", "balance").await.status, 303);
    // The same id asks again: a refused capture made nothing.
    assert_eq!(paypal.capture(&id, "c1").await.status, 201);
    let charges = paypal.world.charges();
    assert_eq!((text(&charges[0]["status"]), text(&charges[0]["code"])), ("failed", "INSTRUMENT_DECLINED"));
    assert_eq!((text(&charges[1]["status"]), text(&charges[1]["reference"])), ("succeeded", "r1"));
}

#[tokio::test]
async fn declines_are_ordered_by_fault_and_by_mock_response() {
    let paypal = paypal().await;
    let id = paypal.approved(&order("r1"), "balance").await;
    for code in ["PAYER_CANNOT_PAY", "TRANSACTION_REFUSED", "PAYER_ACCOUNT_RESTRICTED"] {
        paypal.world.fault("paypal", "hosted", json!({"kind": "decline", "code": code}));
        assert_eq!(issue(&paypal.capture(&id, code).await), (422, code));
    }
    paypal.world.fault("paypal", "hosted", json!({"kind": "decline", "code": "insufficient_funds"}));
    assert_eq!(issue(&paypal.capture(&id, "c2").await), (422, "INSTRUMENT_DECLINED"));
    let mock = async |path: &str, code: &str, body: Value| {
        let wish = json!({"mock_application_codes": code}).to_string();
        read(paypal.request(path, code, &body).header("paypal-mock-response", wish)).await.expect("an answer")
    };
    let capture = format!("{ORDERS}/{id}/capture");
    assert_eq!(issue(&mock(&capture, "COMPLIANCE_VIOLATION", json!({})).await), (422, "COMPLIANCE_VIOLATION"));
    assert_eq!(mock(ORDERS, "INTERNAL_SERVER_ERROR", order("r2")).await.status, 500);
    assert_eq!(issue(&mock(ORDERS, "PERMISSION_DENIED", order("r2")).await), (403, "PERMISSION_DENIED"));
    paypal.world.fault("paypal", "hosted", json!({"kind": "wrong_amount", "minor": 1}));
    let paid = paypal.capture(&id, "c3").await;
    assert_eq!(paid.json["purchase_units"][0]["payments"]["captures"][0]["amount"], usd("0.01"));
    let refund = format!(
        "v2/payments/captures/{}/refund",
        text(&paid.json["purchase_units"][0]["payments"]["captures"][0]["id"])
    );
    let refused = mock(&refund, "REFUND_FAILED_INSUFFICIENT_FUNDS", json!({})).await;
    assert_eq!(issue(&refused), (422, "REFUND_FAILED_INSUFFICIENT_FUNDS"));
    assert_eq!(paypal.post(&refund, "f1", &json!({})).await.status, 201);
}

#[tokio::test]
async fn orders_are_gone_when_nobody_goes_on_with_them() {
    let mut paypal = paypal().await;
    let unseen = paypal.post(ORDERS, "r1", &order("r1")).await.json;
    let approved = paypal.approved(&order("r2"), "balance").await;
    let (paid, _) = paypal.paid(&order("r3"), "balance").await;
    paypal.wait(3 * 3_600 - 60).await;
    let page = link(&unseen, "payer-action");
    assert_eq!(read(paypal.world.client.get(text(&page))).await.expect("a page").status, 200);
    paypal.wait(120).await;
    // The first was looked at in time, which gives its buyer three hours more.
    assert_eq!(paypal.get(&format!("{ORDERS}/{}", text(&unseen["id"]))).await.status, 200);
    assert_eq!(issue(&paypal.get(&format!("{ORDERS}/{approved}")).await), (404, "INVALID_RESOURCE_ID"));
    assert_eq!(paypal.capture(&approved, "late").await.status, 404);
    paypal.wait(3 * 3_600).await;
    assert_eq!(paypal.get(&format!("{ORDERS}/{}", text(&unseen["id"]))).await.status, 404);
    assert_eq!(read(paypal.world.client.get(text(&page))).await.expect("a page").status, 404);
    assert_eq!(paypal.get(&format!("{ORDERS}/{}", text(&paid["id"]))).await.status, 200);
    assert_eq!(paypal.events().iter().filter(|event| *event == "CHECKOUT.PAYMENT-APPROVAL.REVERSED").count(), 1);
}

#[tokio::test]
async fn an_account_may_refuse_a_second_capture_for_an_invoice() {
    for blocks in [false, true] {
        let paypal = with(json!({ "block_duplicate_invoices": blocks })).await;
        let mut body = order("r1");
        body["purchase_units"][0]["invoice_id"] = json!("inv-1");
        let both = [paypal.approved(&body, "balance").await, {
            body["purchase_units"][0]["custom_id"] = json!("r2");
            paypal.approved(&body, "balance").await
        }];
        assert_eq!(paypal.capture(&both[0], "c1").await.status, 201);
        let second = paypal.capture(&both[1], "c2").await;
        let wanted = if blocks { (422, "DUPLICATE_INVOICE_ID") } else { (201, "") };
        assert_eq!(issue(&second), wanted);
        body["purchase_units"][0]["custom_id"] = json!("r3");
        assert_eq!(paypal.post(ORDERS, "r3", &body).await.status, if blocks { 422 } else { 200 });
    }
}
