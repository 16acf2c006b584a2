//! PayPal's webhooks: signed so that its certificate proves them, listed, sent again; and its disputes.

use crate::paypal_world::{Paypal, issue, order, paypal, text, usd, with};
use crate::world::{Merchant, read};
use axum::http::HeaderMap;
use data_encoding::BASE64;
use reqwest::header::CONTENT_TYPE;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use serde_json::{Value, json};
use std::time::Duration;

async fn listening() -> (Paypal, Merchant) {
    let (merchant, address) = Merchant::open(&[]).await;
    (with(json!({"webhook_url": address, "webhook_id": "4JH86294D6294924G"})).await, merchant)
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// By polynomial division of the bits themselves, most significant first: not as the simulator does it.
fn crc32(body: &str) -> u32 {
    let mut bits: Vec<u8> = body.bytes().flat_map(|byte| (0..8).map(move |bit| byte >> bit & 1)).collect();
    bits.extend([0; 32]);
    bits.iter_mut().take(32).for_each(|bit| *bit ^= 1);
    for place in 0..bits.len() - 32 {
        if bits[place] == 1 {
            bits[place] = 0;
            (0..32).for_each(|bit| bits[place + 1 + bit] ^= u8::from(0x04C1_1DB7_u32 >> (31 - bit) & 1 == 1));
        }
    }
    !bits[bits.len() - 32..].iter().enumerate().fold(0, |crc, (place, bit)| crc | u32::from(*bit) << place)
}

/// What a careful merchant checks: the chain to the root, the name, and the signature over what came.
fn proves(headers: &HeaderMap, body: &str, chain: &str, root: &str) -> bool {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(chain.as_bytes()).collect::<Result<_, _>>().expect("a chain");
    let root = CertificateDer::from_pem_slice(root.as_bytes()).expect("a root");
    let leaf = webpki::EndEntityCert::try_from(&chain[0]).expect("a certificate");
    let anchors = [webpki::anchor_from_trusted_cert(&root).expect("an anchor")];
    let algorithms = webpki::ring::RSA_PKCS1_2048_8192_SHA256;
    let now = UnixTime::now();
    let usage = webpki::KeyUsage::server_auth();
    leaf.verify_for_usage(&[algorithms], &anchors, &chain[1..], now, usage, None, None).expect("a chain to the root");
    let name = ServerName::try_from("messageverificationcerts.sandbox.paypal.com").expect("a name");
    leaf.verify_is_valid_for_subject_name(&name).expect("PayPal's name");
    let (id, time) = (header(headers, "paypal-transmission-id"), header(headers, "paypal-transmission-time"));
    let message = format!("{id}|{time}|4JH86294D6294924G|{}", crc32(body));
    let signature = BASE64.decode(header(headers, "paypal-transmission-sig").as_bytes()).expect("base64");
    leaf.verify_signature(algorithms, message.as_bytes(), &signature).is_ok()
}

#[tokio::test]
async fn a_webhook_is_proved_by_the_certificate_it_names() {
    assert_eq!(crc32("123456789"), 3_421_780_262);
    let (paypal, merchant) = listening().await;
    paypal.paid(&order("r1"), "balance").await;
    merchant.events(3).await;
    let url = format!("{}/admin/paypal/certificates", paypal.world.simulator.url());
    let trusted = read(paypal.world.client.get(url)).await.expect("an answer").ok();
    let path = text(&trusted["url"]).strip_prefix("https://api.sandbox.paypal.com/").expect("PayPal's address");
    let url = format!("{}/{path}", paypal.world.simulator.paypal());
    let served = read(paypal.world.client.get(url)).await.expect("a certificate");
    assert_eq!((served.status, served.text.as_str()), (200, text(&trusted["chain"])));
    assert_eq!(served.headers.get(CONTENT_TYPE).map(|kind| kind.as_bytes()), Some(&b"application/x-pem-file"[..]));
    assert_eq!(served.header("cache-control"), "public,max-age=86400");
    for (headers, body) in merchant.got() {
        assert_eq!(header(&headers, "paypal-cert-url"), trusted["url"]);
        assert_eq!(
            (header(&headers, "paypal-auth-algo"), header(&headers, "paypal-auth-version")),
            ("SHA256withRSA", "v2")
        );
        assert!(proves(&headers, &body, &served.text, text(&trusted["root"])));
        assert!(!proves(&headers, &body.replace("13.99", "13.98"), &served.text, text(&trusted["root"])));
    }
}

#[tokio::test]
async fn an_event_has_paypals_shape() {
    let (paypal, merchant) = listening().await;
    let (order, capture) = paypal.paid(&order("r1"), "balance").await;
    let path = format!("v2/payments/captures/{}/refund", text(&capture["id"]));
    let refund = paypal.post(&path, "f1", &json!({"amount": usd("1.00")})).await.json;
    merchant.events(4).await;
    let event = |kind: &str| {
        let bodies = merchant.got().into_iter().map(|(_, body)| serde_json::from_str::<Value>(&body).expect("JSON"));
        bodies.into_iter().find(|event| event["event_type"] == kind).expect("an event")
    };
    let completed = event("PAYMENT.CAPTURE.COMPLETED");
    assert!(text(&completed["id"]).starts_with("WH-"));
    assert_eq!(
        (text(&completed["event_version"]), text(&completed["resource_type"]), text(&completed["resource_version"])),
        ("1.0", "capture", "2.0")
    );
    assert_eq!((&completed["resource"]["id"], text(&completed["resource"]["custom_id"])), (&capture["id"], "r1"));
    assert_eq!(completed["resource"]["supplementary_data"]["related_ids"]["order_id"], order["id"]);
    let refunded = event("PAYMENT.CAPTURE.REFUNDED");
    assert_eq!((&refunded["resource"]["id"], text(&refunded["resource_type"])), (&refund["id"], "refund"));
    let up = crate::paypal_world::link(&refunded["resource"], "up");
    assert!(text(&up).ends_with(text(&capture["id"])));
    assert_eq!(event("CHECKOUT.ORDER.APPROVED")["resource"]["id"], order["id"]);
}

#[tokio::test]
async fn paypal_says_itself_whether_a_webhook_is_its_own() {
    let (paypal, merchant) = listening().await;
    paypal.approved(&order("r1"), "balance").await;
    merchant.events(1).await;
    let (headers, body) = merchant.got().remove(0);
    let ask = async |webhook_id: &str, signature: &str, event: &str| {
        let question = json!({
            "auth_algo": header(&headers, "paypal-auth-algo"), "cert_url": header(&headers, "paypal-cert-url"),
            "transmission_id": header(&headers, "paypal-transmission-id"),
            "transmission_sig": signature, "webhook_id": webhook_id,
            "transmission_time": header(&headers, "paypal-transmission-time"),
        });
        // Spliced in as it came, after a text that mentions it.
        let mut question = question.to_string();
        question.pop();
        question.push_str(&format!(",\"note\":\"\\\"webhook_event\\\":1\",\"webhook_event\": {event}}}"));
        let url = format!("{}/v1/notifications/verify-webhook-signature", paypal.world.simulator.paypal());
        let request =
            paypal.world.client.post(url).bearer_auth(&paypal.token).header("content-type", "application/json");
        text(&read(request.body(question)).await.expect("an answer").ok()["verification_status"]).to_owned()
    };
    let signature = header(&headers, "paypal-transmission-sig");
    assert_eq!(ask("4JH86294D6294924G", signature, &body).await, "SUCCESS");
    assert_eq!(ask("WEBHOOK_ID", signature, &body).await, "FAILURE");
    assert_eq!(ask("4JH86294D6294924G", &BASE64.encode(&[0; 256]), &body).await, "FAILURE");
    let spaced = body.replacen(':', ": ", 1);
    assert_eq!(ask("4JH86294D6294924G", signature, &spaced).await, "FAILURE", "the same event, written anew");
}

#[tokio::test]
async fn missed_events_are_listed_and_sent_again() {
    let (paypal, merchant) = listening().await;
    paypal.world.admin("webhooks", json!({"gateway": "paypal", "mode": "lose"}));
    let (_, capture) = paypal.paid(&order("r1"), "balance").await;
    assert!(merchant.got().is_empty());
    paypal.world.admin("webhooks", json!({"gateway": "paypal", "mode": "deliver"}));
    let all = paypal.get("v1/notifications/webhooks-events?start_time=2020-01-01T00:00:00Z").await.ok();
    assert_eq!(all["count"], 3);
    let none = paypal.get("v1/notifications/webhooks-events?end_time=2020-01-01T00:00:00Z").await.ok();
    assert_eq!(none["events"], json!([]));
    assert_eq!(paypal.get("v1/notifications/webhooks-events?start_time=yesterday").await.status, 400);
    let path = format!("v1/notifications/webhooks-events?transaction_id={}", text(&capture["id"]));
    let event = paypal.get(&path).await.ok()["events"][0].clone();
    assert_eq!(event["event_type"], "PAYMENT.CAPTURE.COMPLETED");
    let path = format!("v1/notifications/webhooks-events/{}", text(&event["id"]));
    assert_eq!(paypal.get(&path).await.ok(), event);
    let resent = paypal.post(&format!("{path}/resend"), "again", &json!({})).await;
    assert_eq!((resent.status, &resent.json["id"]), (202, &event["id"]));
    merchant.events(1).await;
    let (_, body) = merchant.got().remove(0);
    assert_eq!(serde_json::from_str::<Value>(&body).expect("JSON"), event);
}

#[tokio::test]
async fn what_comes_again_is_the_same_transmission() {
    let (merchant, address) = Merchant::open(&[500, 404]).await;
    let paypal = with(json!({ "webhook_url": address })).await;
    paypal.approved(&order("r1"), "balance").await;
    merchant.events(3).await;
    let got = merchant.got();
    assert_eq!(got.len(), 3);
    let ids: Vec<_> = got.iter().map(|(headers, _)| header(headers, "paypal-transmission-id")).collect();
    assert!(ids.iter().all(|id| *id == ids[0] && id.len() == 36), "{ids:?}");
}

async fn disputes(paypal: &Paypal, capture: &Value) -> Vec<Value> {
    let path = format!("v1/customer/disputes?disputed_transaction_id={}", text(&capture["id"]));
    paypal.get(&path).await.ok()["items"].as_array().cloned().unwrap_or_default()
}

#[tokio::test]
async fn a_dispute_is_opened_and_decided() {
    let paypal = paypal().await;
    for (reference, outcome, code, status, last) in [
        ("r1", "won", "RESOLVED_SELLER_FAVOUR", "COMPLETED", "CUSTOMER.DISPUTE.RESOLVED"),
        ("r2", "lost", "RESOLVED_BUYER_FAVOUR", "REFUNDED", "PAYMENT.CAPTURE.REVERSED"),
    ] {
        let (_, capture) = paypal.paid(&order(reference), "balance").await;
        assert!(disputes(&paypal, &capture).await.is_empty());
        let of = |outcome: &str| json!({"gateway": "paypal", "reference": reference, "outcome": outcome});
        paypal.world.admin("dispute", of("open"));
        assert!(paypal.world.simulator.admin("dispute", &of("open")).is_err());
        let listed = disputes(&paypal, &capture).await;
        assert_eq!((listed.len(), text(&listed[0]["status"])), (1, "WAITING_FOR_SELLER_RESPONSE"));
        let path = format!("v2/payments/captures/{}/refund", text(&capture["id"]));
        let part = paypal.post(&path, "f1", &json!({"amount": usd("1.00")})).await;
        assert_eq!(issue(&part), (422, "TRANSACTION_DISPUTED"));

        paypal.world.admin("dispute", of(outcome));
        let whole = paypal.get(&format!("v1/customer/disputes/{}", text(&listed[0]["dispute_id"]))).await.ok();
        assert_eq!((text(&whole["status"]), text(&whole["dispute_outcome"]["outcome_code"])), ("RESOLVED", code));
        let disputed = &whole["disputed_transactions"][0];
        assert_eq!((&disputed["seller_transaction_id"], text(&disputed["custom"])), (&capture["id"], reference));
        assert_eq!(whole["dispute_amount"], usd("13.99"));
        assert_eq!(paypal.show_capture(&capture).await["status"], status);
        assert_eq!(paypal.events().last().map(String::as_str), Some(last));
        let refund = paypal.post(&path, "f2", &json!({})).await;
        let wanted = if outcome == "won" { (201, "") } else { (422, "REFUND_NOT_PERMITTED_DUE_TO_CHARGEBACK") };
        assert_eq!(issue(&refund), wanted);
    }
    let books = paypal.world.simulator.books();
    assert_eq!((text(&books["disputes"][0]["stage"]), text(&books["disputes"][1]["stage"])), ("won", "lost"));
    assert_eq!(paypal.get("v1/customer/disputes/PP-D-0").await.status, 404);
    let none = json!({"gateway": "paypal", "reference": "r3", "outcome": "open"});
    assert!(paypal.world.simulator.admin("dispute", &none).is_err_and(|error| error.starts_with("reference")));
}

#[tokio::test]
async fn what_paypal_knows_survives_a_restart() {
    let folder = std::env::temp_dir().join(format!("gateway-simulator-paypal-{}", std::process::id()));
    let options = gateway_simulator::Options { state: Some(folder.join("state.json")), ..Default::default() };
    let mut first = Paypal { world: crate::world::world_with(options.clone()).await, token: String::new() };
    first.log_in().await;
    let (paid, _) = first.paid(&order("r1"), "balance").await;
    let (books, token) = (first.world.simulator.books(), first.token.clone());
    tokio::time::sleep(Duration::from_millis(10)).await;
    first.world.simulator.shutdown().await.expect("a saved state");
    let second = Paypal { world: crate::world::world_with(options).await, token };
    assert_eq!(second.world.simulator.books(), books);
    let again = second.capture(text(&paid["id"]), text(&paid["id"])).await;
    assert_eq!((again.status, &again.json["id"]), (200, &paid["id"]));
    std::fs::remove_dir_all(folder).expect("the folder is there");
}
