//! PayPal's vault: saved with a purchase or without one, charged without their owner, taken away.

use crate::paypal_world::{Paypal, issue, link, order, paypal, renewal, saving, text, usd, with};
use crate::world::read;
use serde_json::{Value, json};

const ORDERS: &str = "v2/checkout/orders";
const TOKENS: &str = "v3/vault/payment-tokens";

/// A wallet saved with a purchase: what the order says of it.
async fn saved(paypal: &Paypal, funding: &str) -> Value {
    let (order, _) = paypal.paid(&saving("first"), funding).await;
    order["payment_source"]["paypal"]["attributes"]["vault"].clone()
}

/// A method saved by a setup token.
async fn set_up(paypal: &Paypal, funding: &str) -> Value {
    let source = json!({"payment_source": {"paypal": {"usage_type": "MERCHANT", "experience_context": {
        "return_url": "https://app.example/saved", "cancel_url": "https://app.example/cancelled",
    }}}, "customer": {"merchant_customer_id": "acme"}});
    let setup = paypal.post("v3/vault/setup-tokens", funding, &source).await;
    assert_eq!((setup.status, text(&setup.json["status"])), (201, "PAYER_ACTION_REQUIRED"));
    let token = json!({"payment_source": {"token": {"id": setup.json["id"], "type": "SETUP_TOKEN"}}});
    assert_eq!(issue(&paypal.post(TOKENS, "early", &token).await), (422, "PAYER_ACTION_REQUIRED"));
    let url = link(&setup.json, "approve");
    let cancelled = paypal.page(&url, "cancel", funding).await;
    assert!(cancelled.header("location").starts_with("https://app.example/cancelled?token="));
    let agreed = paypal.page(&url, "pay", funding).await;
    assert!(agreed.header("location").contains(&format!("?token={}&PayerID=", text(&setup.json["id"]))));
    let path = format!("v3/vault/setup-tokens/{}", text(&setup.json["id"]));
    assert_eq!(paypal.get(&path).await.ok()["status"], "APPROVED");
    let vaulted = paypal.post(TOKENS, text(&setup.json["id"]), &token).await;
    assert_eq!((vaulted.status, &vaulted.json["customer"]), (201, &setup.json["customer"]));
    assert_eq!(issue(&paypal.post(TOKENS, "twice", &token).await), (422, "SETUP_TOKEN_ALREADY_TOKENIZED"));
    vaulted.json
}

#[tokio::test]
async fn a_wallet_is_saved_with_a_purchase_and_charged_without_its_owner() {
    let paypal = paypal().await;
    let vault = saved(&paypal, "balance").await;
    assert_eq!(vault["status"], "VAULTED");
    let id = text(&vault["id"]);
    let charged = paypal.post(ORDERS, "r2", &renewal("r2", "paypal", id)).await;
    assert_eq!((charged.status, text(&charged.json["status"])), (201, "COMPLETED"), "{}", charged.text);
    let capture = &charged.json["purchase_units"][0]["payments"]["captures"][0];
    assert_eq!((text(&capture["status"]), &capture["amount"]), ("COMPLETED", &usd("13.99")));
    let again = paypal.post(ORDERS, "r2", &renewal("r2", "paypal", id)).await;
    assert_eq!((again.status, &again.json["id"]), (200, &charged.json["id"]));
    let charges = paypal.world.charges();
    assert_eq!((charges.len(), charges[1]["off_session"].as_bool()), (2, Some(true)));
    assert_eq!((&charges[1]["customer"], text(&charges[1]["reference"])), (&vault["customer"]["id"], "r2"));
    let books = paypal.world.simulator.books();
    assert_eq!(
        (&books["requests"]["paypal"]["off_session"], &books["requests"]["paypal"]["hosted"]),
        (&json!(2), &json!(1))
    );
}

#[tokio::test]
async fn a_charge_without_its_buyer_needs_a_request_id_and_a_token_that_is_there() {
    let paypal = paypal().await;
    let id = text(&saved(&paypal, "balance").await["id"]).to_owned();
    let url = format!("{}/{ORDERS}", paypal.world.simulator.paypal());
    let bare = paypal.world.client.post(url).bearer_auth(&paypal.token).json(&renewal("r2", "paypal", &id));
    assert_eq!(issue(&read(bare).await.expect("an answer")), (400, "PAYPAL_REQUEST_ID_REQUIRED"));
    let sourced = |source: Value| {
        let mut body = renewal("r2", "paypal", &id);
        body["payment_source"] = source;
        body
    };
    for (body, wanted) in [
        (renewal("r2", "paypal", "none"), "TOKEN_ID_NOT_FOUND"),
        (renewal("r2", "card", &id), "MISMATCHED_VAULT_ID_TO_PAYMENT_SOURCE"),
        (sourced(json!({"card": {"number": "4012888888881881"}})), "PAYEE_NOT_ENABLED_FOR_CARD_PROCESSING"),
        (sourced(json!({"token": {"id": "B-1", "type": "BILLING_AGREEMENT"}})), "BILLING_AGREEMENT_NOT_FOUND"),
        (sourced(json!({"paypal": {"billing_agreement_id": "B-1"}})), "BILLING_AGREEMENT_NOT_FOUND"),
    ] {
        assert_eq!(issue(&paypal.post(ORDERS, wanted, &body).await), (422, wanted), "{body}");
    }
    assert_eq!(paypal.world.charges().len(), 1);
}

#[tokio::test]
async fn a_wallet_may_be_told_of_by_webhook_alone() {
    let paypal = with(json!({"vault_by_webhook": true})).await;
    let (order, _) = paypal.paid(&saving("first"), "balance").await;
    assert_eq!(order["payment_source"]["paypal"]["attributes"]["vault"], json!({"status": "APPROVED"}));
    paypal.world.admin("clock", json!({"advance_seconds": 2}));
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    let listed = paypal.get("v1/notifications/webhooks-events?event_type=VAULT.PAYMENT-TOKEN.CREATED").await.ok();
    let resource = &listed["events"][0]["resource"];
    assert_eq!(resource["metadata"]["order_id"], order["id"]);
    let charged = paypal.post(ORDERS, "r2", &renewal("r2", "paypal", text(&resource["id"]))).await;
    assert_eq!(charged.status, 201, "{}", charged.text);
}

#[tokio::test]
async fn a_wallet_that_pays_slowly_is_saved_once_the_money_came() {
    let mut paypal = paypal().await;
    assert_eq!(saved(&paypal, "echeck").await, json!({"status": "APPROVED"}));
    assert!(!paypal.events().contains(&"VAULT.PAYMENT-TOKEN.CREATED".to_owned()));
    paypal.wait(3 * 86_400 + 1).await;
    let listed = paypal.get("v1/notifications/webhooks-events?event_type=VAULT.PAYMENT-TOKEN.CREATED").await.ok();
    let id = text(&listed["events"][0]["resource"]["id"]).to_owned();
    let charged = paypal.post(ORDERS, "r2", &renewal("r2", "paypal", &id)).await;
    assert_eq!(charged.json["purchase_units"][0]["payments"]["captures"][0]["status"], "PENDING");
}

#[tokio::test]
async fn a_wallet_is_saved_without_a_purchase_and_listed_for_its_customer() {
    let paypal = paypal().await;
    let token = set_up(&paypal, "balance").await;
    let (id, customer) = (text(&token["id"]), text(&token["customer"]["id"]));
    assert_eq!(
        (text(&token["customer"]["merchant_customer_id"]), text(&token["payment_source"]["paypal"]["usage_type"])),
        ("acme", "MERCHANT")
    );
    let mut body = saving("second");
    body["payment_source"]["paypal"]["attributes"]["customer"] = json!({ "id": customer });
    paypal.paid(&body, "balance").await;
    let listed = paypal.get(&format!("{TOKENS}?customer_id={customer}&page_size=1&total_required=true")).await.ok();
    assert_eq!((&listed["total_items"], &listed["total_pages"]), (&json!(2), &json!(2)));
    assert_eq!(listed["payment_tokens"][0]["id"], id);
    assert_eq!(paypal.get(TOKENS).await.status, 400);
    assert_eq!(paypal.post(ORDERS, "r3", &renewal("r3", "paypal", id)).await.status, 201);
}

#[tokio::test]
async fn the_vault_insists_on_request_ids() {
    let paypal = paypal().await;
    let source = json!({"payment_source": {"paypal": {"usage_type": "MERCHANT"}}});
    let url = format!("{}/v3/vault/setup-tokens", paypal.world.simulator.paypal());
    let bare = paypal.world.client.post(url).bearer_auth(&paypal.token).json(&source);
    assert_eq!(issue(&read(bare).await.expect("an answer")), (400, "MISSING_REQUIRED_PARAMETER"));
    let first = paypal.post("v3/vault/setup-tokens", "s1", &source).await;
    let again = paypal.post("v3/vault/setup-tokens", "s1", &source).await;
    assert_eq!(first.json["id"], again.json["id"]);
    let other = json!({"payment_source": {"paypal": {"usage_type": "PLATFORM"}}});
    let other = paypal.post("v3/vault/setup-tokens", "s1", &other).await;
    assert_eq!(issue(&other), (422, "PAYPAL_REQUEST_ID_PREVIOUSLY_USED"));
}

#[tokio::test]
async fn a_token_that_merchant_or_buyer_took_away_is_unknown() {
    let paypal = paypal().await;
    let ids = [set_up(&paypal, "balance").await["id"].clone(), set_up(&paypal, "review").await["id"].clone()];
    assert_eq!(paypal.delete(&format!("{TOKENS}/{}", text(&ids[0]))).await.status, 204);
    paypal.world.admin("paypal/remove-token", json!({"token": ids[1]}));
    assert!(paypal.world.simulator.admin("paypal/remove-token", &json!({"token": ids[1]})).is_err());
    for id in &ids {
        assert_eq!(paypal.get(&format!("{TOKENS}/{}", text(id))).await.status, 404);
        let charged = paypal.post(ORDERS, text(id), &renewal("r2", "paypal", text(id))).await;
        assert_eq!(issue(&charged), (422, "TOKEN_ID_NOT_FOUND"));
    }
    let listed = paypal.get("v1/notifications/webhooks-events?event_type=VAULT.PAYMENT-TOKEN.DELETED").await.ok();
    let gone: Vec<_> =
        listed["events"].as_array().expect("rows").iter().map(|event| event["resource"]["id"].clone()).collect();
    assert_eq!(gone, [ids[1].clone(), ids[0].clone()]);
    assert_eq!(paypal.delete(&format!("{TOKENS}/{}", text(&ids[0]))).await.status, 204);
}

#[tokio::test]
async fn a_saved_wallet_is_declined_to_order_and_one_decline_stays_one() {
    let paypal = paypal().await;
    let id = text(&saved(&paypal, "balance").await["id"]).to_owned();
    for (n, code) in
        ["TRANSACTION_REFUSED", "PAYER_ACCOUNT_RESTRICTED", "AGREEMENT_ALREADY_CANCELLED"].iter().enumerate()
    {
        paypal.world.fault("paypal", "off_session", json!({"kind": "decline", "code": code}));
        let reference = format!("r{n}");
        for _ in 0..2 {
            let declined = paypal.post(ORDERS, &reference, &renewal(&reference, "paypal", &id)).await;
            assert_eq!(issue(&declined), (422, *code));
        }
    }
    paypal.world.fault("paypal", "off_session", json!({"kind": "decline", "code": "5120"}));
    let declined = paypal.post(ORDERS, "card", &renewal("card", "paypal", &id)).await;
    assert_eq!(issue(&declined), (422, "INSTRUMENT_DECLINED"), "of a wallet's card nothing is told");
    let failed = paypal.world.charges().iter().filter(|charge| charge["status"] == "failed").count();
    assert_eq!(failed, 4);
    assert_eq!(paypal.post(ORDERS, "fresh", &renewal("r0", "paypal", &id)).await.status, 201);
    let never = set_up(&paypal, "declined").await;
    let declined = paypal.post(ORDERS, "never", &renewal("r9", "paypal", text(&never["id"]))).await;
    assert_eq!(issue(&declined), (422, "INSTRUMENT_DECLINED"));
}

#[tokio::test]
async fn a_saved_wallet_may_want_its_owner() {
    let paypal = paypal().await;
    let id = text(&saved(&paypal, "balance").await["id"]).to_owned();
    paypal.world.fault("paypal", "off_session", json!({"kind": "require_action"}));
    let waits = paypal.post(ORDERS, "r2", &renewal("r2", "paypal", &id)).await;
    assert_eq!((waits.status, text(&waits.json["status"])), (200, "PAYER_ACTION_REQUIRED"));
    assert_eq!(paypal.world.charges().len(), 1);
    assert_eq!(paypal.page(&link(&waits.json, "payer-action"), "pay", "balance").await.status, 200);
    assert_eq!(paypal.capture(text(&waits.json["id"]), "c2").await.status, 201);
    assert_eq!(paypal.world.charges()[1]["off_session"], false);
}

#[tokio::test]
async fn a_cards_bank_declines_with_a_code_and_advice() {
    let paypal = paypal().await;
    let card = async |name: &str| {
        let card = json!({"number": "4012888888881881", "expiry": "2040-12", "name": name});
        let source = json!({"payment_source": {"card": card}});
        let setup = paypal.post("v3/vault/setup-tokens", name, &source).await;
        assert_eq!((setup.status, text(&setup.json["status"])), (201, "APPROVED"));
        let token = json!({"payment_source": {"token": {"id": setup.json["id"], "type": "SETUP_TOKEN"}}});
        let vaulted = paypal.post(TOKENS, name, &token).await.json;
        assert_eq!(vaulted["payment_source"]["card"]["last_digits"], "1881");
        text(&vaulted["id"]).to_owned()
    };
    let charge = async |id: &str, reference: &str| {
        let answer = paypal.post(ORDERS, reference, &renewal(reference, "card", id)).await;
        assert_eq!((answer.status, text(&answer.json["status"])), (201, "COMPLETED"), "{}", answer.text);
        answer.json["purchase_units"][0]["payments"]["captures"][0].clone()
    };
    let good = card("Ada Buyer").await;
    assert_eq!(charge(&good, "r1").await["status"], "COMPLETED");
    let expired = charge(&card("CCREJECT-EC").await, "r2").await;
    assert_eq!(text(&expired["status"]), "DECLINED");
    assert_eq!(expired["processor_response"], json!({"response_code": "5400", "payment_advice_code": "01"}));
    for (code, wanted) in [
        ("insufficient_funds", json!({"response_code": "5120"})),
        ("5120/25", json!({"response_code": "5120", "payment_advice_code": "25"})),
    ] {
        paypal.world.fault("paypal", "off_session", json!({"kind": "decline", "code": code}));
        assert_eq!(charge(&good, code).await["processor_response"], wanted);
    }
    assert!(paypal.events().contains(&"PAYMENT.CAPTURE.DECLINED".to_owned()));
    let codes: Vec<_> =
        paypal.world.charges().into_iter().filter_map(|charge| charge["code"].as_str().map(str::to_owned)).collect();
    assert_eq!(codes, ["5400", "5120", "5120"]);
    let wrong = json!({"payment_source": {"card": {"number": "4012888888881882", "expiry": "2040-12"}}});
    assert_eq!(paypal.post("v3/vault/setup-tokens", "wrong", &wrong).await.status, 422);
}

#[tokio::test]
async fn nothing_is_saved_unless_it_was_asked_for() {
    let paypal = paypal().await;
    let (paid, _) = paypal.paid(&order("r1"), "balance").await;
    assert_eq!(paid["payment_source"]["paypal"]["attributes"], Value::Null);
    assert!(!paypal.events().contains(&"VAULT.PAYMENT-TOKEN.CREATED".to_owned()));
}
