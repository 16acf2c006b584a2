//! Flitt's page: cards, the bank's question, the way back, and how an order ends.

use super::{ASKS, DECLINES, KEY, PAYS, act, ask, later, open, order, refused, renew, send, signed, status};
use crate::world::{read, world};
use serde_json::json;

#[tokio::test]
async fn a_customer_pays_at_the_bank_and_is_carried_back_by_a_form() {
    let world = world().await;
    let more = json!({"response_url": "https://app.example/paid?x=1", "cancel_url": "https://app.example/plans",
        "merchant_data": "{\"payment\": \"pay_1\"}"});
    let opened = ask(&world, "checkout/url", order("r1", more)).await;
    assert!(opened["signature"].is_null() && opened["payment_id"].is_string(), "{opened}");
    let url = &opened["checkout_url"];
    let before = status(&world, "r1").await;
    assert_eq!((&before["order_status"], &before["response_code"]), (&json!("created"), &json!("")));
    assert_eq!((&before["actual_amount"], &before["card_bin"]), (&json!(""), &json!("")));

    let page = read(world.client.get(url.as_str().expect("an address"))).await.expect("a page");
    assert!(page.text.contains("GEL 46.00") && page.text.contains("https://app.example/plans"), "{}", page.text);
    let bank = world.page(url, "pay", ASKS).await;
    assert!(bank.status == 200 && bank.text.contains("Your bank asks"), "{}", bank.text);
    let at_bank = status(&world, "r1").await;
    assert_eq!((&at_bank["order_status"], &at_bank["response_code"]), (&json!("processing"), &json!("")));
    assert!(world.charges().is_empty());
    let paid = act(&world, url, "confirm").await;
    assert!(paid.text.contains("method=\"post\" action=\"https://app.example/paid?x=1\""), "{}", paid.text);
    assert!(paid.text.contains("name=\"order_status\" value=\"approved\""), "{}", paid.text);
    assert!(paid.text.contains("href=\"https://app.example/paid?x=1&amp;"), "{}", paid.text);
    assert!(paid.header("content-security-policy").contains("script-src 'sha256-"));
    let again = world.page(url, "pay", ASKS).await;
    assert_eq!((again.status, world.charges().len()), (200, 1));

    let after = status(&world, "r1").await;
    for (name, value) in [
        ("order_status", json!("approved")),
        ("tran_type", json!("purchase")),
        ("amount", json!("4600")),
        ("actual_amount", json!("4600")),
        ("actual_currency", json!("GEL")),
        ("reversal_amount", json!("0")),
        ("merchant_id", json!(1_549_901)),
        ("card_bin", json!(444_455)),
        ("masked_card", json!("444455XXXXXX1111")),
        ("card_type", json!("VISA")),
        ("eci", json!("5")),
        ("rectoken", json!("")),
        ("merchant_data", json!("{\"payment\": \"pay_1\"}")),
    ] {
        assert_eq!(after[name], value, "{name}");
    }
    assert!(after["payment_id"].is_u64());
    let additional = after["additional_info"].as_str().expect("text");
    assert!(additional.contains("\"is_test\": true") && additional.contains("\"client_fee\": 0.0,"), "{additional}");
    let told = after["response_signature_string"].as_str().expect("text");
    assert!(told.starts_with("**********|") && !told.contains(KEY), "{told}");
}

#[tokio::test]
async fn cards_do_as_in_the_table_and_the_page_waits() {
    let world = world().await;
    for (number, asks, ends) in [
        ("4444555566661111", true, "approved"),
        ("4444111166665555", true, "processing"),
        ("4444555511116666", false, "approved"),
        ("4444111155556666", false, "processing"),
        ("5555666644441111", false, "approved"),
        ("6666444455551111", false, "approved"),
        ("4444555566669999", false, "approved"),
        ("4444666655559999", true, "approved"),
        ("4444999966665555", false, "processing"),
        ("4444666699995555", true, "processing"),
        ("2222555566663333", true, "processing"),
        ("4444777799991111", false, "approved"),
    ] {
        let url = open(&world, number, json!({})).await;
        let mut answer = world.page(&url, "pay", number).await;
        assert_eq!(answer.text.contains("Your bank asks"), asks, "{number}");
        if asks {
            answer = act(&world, &url, "confirm").await;
        }
        assert_eq!(answer.status, if ends == "approved" { 200 } else { 402 }, "{number}");
        let now = status(&world, number).await;
        let code = if ends == "approved" { json!("") } else { json!(1000) };
        assert_eq!((&now["order_status"], &now["response_code"]), (&json!(ends), &code), "{number}");
        if ends == "processing" {
            assert_eq!(world.page(&url, "pay", PAYS).await.status, 200);
            assert_eq!(status(&world, number).await["order_status"], "approved");
        }
    }
    let url = open(&world, "at the bank", json!({})).await;
    world.page(&url, "pay", ASKS).await;
    assert_eq!(act(&world, &url, "fail").await.status, 402);
    assert_eq!(status(&world, "at the bank").await["response_code"], 1024);
    assert_eq!(world.page(&url, "decline", PAYS).await.status, 402);
}

#[tokio::test]
async fn without_delay_one_decline_ends_the_order() {
    let world = world().await;
    let url = open(&world, "r1", json!({"delayed": "N", "response_url": "https://app.example/paid"})).await;
    let declined = world.page(&url, "pay", DECLINES).await;
    assert!(declined.status == 402 && declined.text.contains("value=\"declined\""), "{}", declined.text);
    assert_eq!(world.page(&url, "pay", PAYS).await.status, 402);
    assert_eq!(status(&world, "r1").await["order_status"], "declined");
    assert_eq!(world.charges().len(), 1);
}

#[tokio::test]
async fn a_page_ends_with_its_lifetime() {
    let world = world().await;
    let untouched = open(&world, "untouched", json!({"lifetime": 600})).await;
    let tried = open(&world, "tried", json!({"lifetime": 600})).await;
    let left = open(&world, "left at the bank", json!({"lifetime": 600})).await;
    open(&world, "longer", json!({})).await;
    world.page(&tried, "pay", DECLINES).await;
    world.page(&left, "pay", ASKS).await;
    later(&world, 601).await;
    for (id, ends) in
        [("untouched", "expired"), ("tried", "declined"), ("left at the bank", "expired"), ("longer", "created")]
    {
        assert_eq!(status(&world, id).await["order_status"], ends, "{id}");
    }
    assert_eq!(world.page(&untouched, "pay", PAYS).await.status, 410);
    assert_eq!(act(&world, &left, "confirm").await.status, 410);
    assert!(world.charges().iter().all(|charge| charge["status"] == "failed"));
}

#[tokio::test]
async fn a_verification_saves_the_card_and_is_no_sale() {
    let world = world().await;
    let more = json!({"amount": 100, "verification": "Y", "required_rectoken": "Y"});
    let url = open(&world, "card", more).await;
    let page = read(world.client.get(url.as_str().expect("an address"))).await.expect("a page");
    assert!(page.text.contains("Save a card"), "{}", page.text);
    world.page(&url, "pay", PAYS).await;
    let checked = status(&world, "card").await;
    assert_eq!((&checked["order_status"], &checked["tran_type"]), (&json!("approved"), &json!("verification")));
    assert_eq!(checked["verification_status"], "verified");
    assert!(world.charges().is_empty());
    let back = json!(signed(json!({"order_id": "card", "amount": 100, "currency": "GEL"})));
    assert_eq!(refused(&send(&world, "reverse/order_id", &back).await), "1100");
    let rectoken = checked["rectoken"].as_str().expect("a token");
    assert_eq!(renew(&world, "r1", rectoken).await["order_status"], "approved");
}

#[tokio::test]
async fn a_payment_on_the_page_can_hang() {
    let world = world().await;
    world.fault("flitt", "hosted", json!({"kind": "pending", "seconds": 60, "code": "1037"}));
    let url = open(&world, "r1", json!({})).await;
    let hangs = world.page(&url, "pay", PAYS).await;
    assert!(hangs.status == 200 && hangs.text.contains("In process"), "{}", hangs.text);
    assert!(world.page(&url, "pay", PAYS).await.text.contains("In process"));
    later(&world, 61).await;
    let failed = status(&world, "r1").await;
    assert_eq!((&failed["order_status"], &failed["response_code"]), (&json!("processing"), &json!(1037)));
    assert_eq!(world.page(&url, "pay", PAYS).await.status, 200);
    assert_eq!(status(&world, "r1").await["order_status"], "approved");
}
