//! Deliveries that nobody sent, or that were changed on their way: none is taken
//! in. What is right of a signature, and no more, is accepted.

use super::desk::{Desk, http, keys, secret};
use super::payments::known;
use super::signing::{self, Delivery, event, header, signed};
use super::webhooks::{receive, received, telling};
use billing::delivery::Notice;
use billing::outcome::{Outcome, Stage};
use billing::payment::Gateway;
use billing::ports::Gateways;
use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit, Mac};
use http::HeaderName;
use jiff::{SignedDuration, Timestamp};
use platform::gateways::{Clients, WebhookError};
use platform::secrets::KeyStore;
use serde_json::{Value, json};
use sha2::Sha256;

promises![
    s41_a_delivery_without_one_signature_is_refused,
    s58_a_delivery_signed_for_another_gateway_is_refused,
    a_delivery_signed_with_another_secret_is_refused,
    f35_while_a_secret_is_rotated_both_count,
    s51_s56_what_a_delivery_says_of_money_is_not_believed,
    s57_an_event_of_an_unknown_kind_is_taken_in_and_names_nobody,
    a_signed_delivery_that_is_not_an_event_is_malformed,
];

/// Those that sign a header, over the body's very bytes. Flitt's signature is in the body, over what it says.
const BY_HEADER: [Gateway; 3] = [Gateway::Stripe, Gateway::Paystack, Gateway::PayPal];

async fn taken_in(desk: &Desk, delivery: &Delivery) -> Result<Notice, WebhookError> {
    receive(&desk.clients, desk.gateway, &delivery.headers, &delivery.body, Timestamp::now()).await
}

/// The headers without which nothing is signed.
fn of_signature(gateway: Gateway) -> &'static [&'static str] {
    match gateway {
        Gateway::Stripe => &["stripe-signature"],
        Gateway::Paystack => &["x-paystack-signature"],
        Gateway::Flitt => &[],
        Gateway::PayPal => &[
            "paypal-transmission-id",
            "paypal-transmission-time",
            "paypal-transmission-sig",
            "paypal-cert-url",
            "paypal-auth-algo",
            "paypal-auth-version",
        ],
    }
}

async fn s41_a_delivery_without_one_signature_is_refused(desk: &Desk) {
    let body = event(desk.gateway, "something.new");
    let genuine = signed(desk.gateway, secret(desk.gateway), &body);
    taken_in(desk, &genuine).await.expect("genuine");
    let mut unsigned = vec![];
    for name in of_signature(desk.gateway) {
        let [mut without, mut twice, mut empty] = [(); 3].map(|()| genuine.clone());
        without.headers.remove(*name);
        twice.headers.append(HeaderName::from_static(name), genuine.headers[*name].clone());
        empty.headers.insert(HeaderName::from_static(name), "".parse().expect("a value"));
        unsigned.extend([without, twice]);
        // That PayPal signs in some other way, or that its certificate is nowhere, is a forgery by name.
        let names = ["paypal-cert-url", "paypal-auth-algo", "paypal-auth-version"];
        unsigned.extend((!names.contains(name)).then_some(empty));
    }
    if desk.gateway == Gateway::Flitt {
        let empty = String::from_utf8(body.clone()).expect("text").replacen('{', r#"{"signature":"","#, 1);
        let bodies = [body, empty.into_bytes()];
        unsigned.extend(bodies.map(|body| Delivery { headers: genuine.headers.clone(), body }));
    }
    for delivery in unsigned {
        let refused = taken_in(desk, &delivery).await;
        assert!(matches!(refused, Err(WebhookError::Unsigned)), "{refused:?}: {delivery:?}");
    }
}

#[tokio::test]
async fn s43_a_delivery_with_another_byte_is_refused() {
    for gateway in BY_HEADER {
        let desk = Desk::open(gateway).await;
        let (_, sent) = telling(&desk).await;
        let (first, last) = ([b"\xef\xbb\xbf", &sent.body[..]].concat(), [&sent.body[..], b"\n"].concat());
        let json: Value = serde_json::from_slice(&sent.body).expect("JSON");
        // The one of the two that the gateway does not write itself.
        let respelled = [format!("{json}"), format!("{json:#}")].map(String::into_bytes);
        let respelled = respelled.into_iter().find(|body| *body != sent.body);
        let mut flipped = sent.body.to_vec();
        flipped[20] ^= 1;
        for body in [first, last, flipped, respelled.expect("another spelling"), vec![]] {
            let refused = taken_in(&desk, &Delivery { headers: sent.headers.clone(), body }).await;
            assert!(matches!(refused, Err(WebhookError::Forged)), "{gateway:?}: {refused:?}");
        }
    }
}

/// For how long a delivery is genuine: where a time is signed and the vendor says so, for five minutes.
#[tokio::test]
async fn s44_stripes_deliveries_are_refused_five_minutes_later_and_before() {
    let desk = Desk::open(Gateway::Stripe).await;
    let (_, sent) = telling(&desk).await;
    let signature = sent.header("stripe-signature");
    let signed_at = signature.strip_prefix("t=").and_then(|it| it.split(',').next()).and_then(|it| it.parse().ok());
    let signed_at = Timestamp::from_second(signed_at.expect("seconds")).expect("a time");
    for (seconds, accepted) in [(-301, false), (-300, true), (0, true), (300, true), (301, false)] {
        let at = signed_at + SignedDuration::from_secs(seconds);
        match receive(&desk.clients, Gateway::Stripe, &sent.headers, &sent.body, at).await {
            Ok(_) => assert!(accepted, "{seconds}"),
            Err(WebhookError::Stale) => assert!(!accepted, "{seconds}"),
            Err(error) => panic!("{seconds}: {error}"),
        }
    }
}

/// What it says is never believed, so nothing is lost by it. PayPal's is sent again for three days.
#[tokio::test]
async fn s47_deliveries_without_a_time_limit_are_the_same_event_whenever_they_come() {
    for (gateway, days) in [(Gateway::Paystack, 200), (Gateway::Flitt, 200), (Gateway::PayPal, 4)] {
        let desk = Desk::open(gateway).await;
        let (_, sent) = telling(&desk).await;
        let later = Timestamp::now() + SignedDuration::from_hours(24 * days);
        let notice = receive(&desk.clients, gateway, &sent.headers, &sent.body, later).await.expect("genuine");
        assert_eq!(notice, received(&desk, &sent).await);
    }
}

#[tokio::test]
async fn s45_of_stripes_signatures_one_v1_must_fit_and_there_may_not_be_too_many() {
    let desk = Desk::open(Gateway::Stripe).await;
    let body = event(Gateway::Stripe, "something.new");
    let (time, bad) = (Timestamp::now().as_second(), "00".repeat(32));
    let good = signing::stripe(secret(Gateway::Stripe), time, &body);
    let many = format!(",v1={bad}").repeat(999);
    for (value, accepted) in [
        (format!("t={time},v1={bad},v1={good}"), true),
        (format!("t={time},v1={good},v0={bad}"), true),
        (format!("t={time},v0={good}"), false),
        (format!("t={time},v1={bad}"), false),
        (format!("t={time},v1={}", good.to_uppercase()), false),
        (format!("t={time}{many},v1={good}"), false),
    ] {
        let headers = header("stripe-signature", &value);
        let answer = taken_in(&desk, &Delivery { headers, body: body.clone() }).await;
        assert_eq!(answer.is_ok(), accepted, "{answer:?}");
    }
}

#[tokio::test]
async fn s48_paystacks_signature_is_the_whole_sha_512_in_lower_case() {
    let desk = Desk::open(Gateway::Paystack).await;
    let (body, key) = (event(Gateway::Paystack, "something.new"), secret(Gateway::Paystack));
    let good = signing::paystack(key, &body);
    let mut shorter = Hmac::<Sha256>::new_from_slice(key.as_bytes()).expect("a key");
    shorter.update(&body);
    let shorter = HEXLOWER.encode(&shorter.finalize().into_bytes());
    for (value, accepted) in
        [(good.clone(), true), (good.to_uppercase(), false), (good[..64].to_owned(), false), (shorter, false)]
    {
        let headers = header("x-paystack-signature", &value);
        let answer = taken_in(&desk, &Delivery { headers, body: body.clone() }).await;
        assert_eq!(answer.is_ok(), accepted, "{answer:?}");
    }
}

async fn s58_a_delivery_signed_for_another_gateway_is_refused(desk: &Desk) {
    let body = event(desk.gateway, "something.new");
    for other in Gateway::ALL.into_iter().filter(|other| *other != desk.gateway) {
        let refused = taken_in(desk, &signed(desk.gateway, secret(other), &body)).await;
        assert!(matches!(refused, Err(WebhookError::Forged)), "{other:?}: {refused:?}");
        let refused = taken_in(desk, &signed(other, secret(other), &body)).await;
        assert!(matches!(refused, Err(WebhookError::Unsigned)), "{other:?}: {refused:?}");
    }
}

/// Also with PayPal's id for everyone's test events.
async fn a_delivery_signed_with_another_secret_is_refused(desk: &Desk) {
    let body = event(desk.gateway, "something.new");
    for other in ["", "whsec_other", "WEBHOOK_ID", &secret(desk.gateway)[..8]] {
        let refused = taken_in(desk, &signed(desk.gateway, other, &body)).await;
        assert!(matches!(refused, Err(WebhookError::Forged)), "{other}: {refused:?}");
    }
}

async fn f35_while_a_secret_is_rotated_both_count(desk: &Desk) {
    let store = KeyStore::given(keys(desk.gateway, &["new", "old"]));
    let rotating = Clients::default().with(desk.gateway, "http://127.0.0.1:9", http(), store, None);
    let body = event(desk.gateway, "something.new");
    for (secret, accepted) in [("new", true), ("old", true), ("older", false)] {
        let Delivery { headers, body } = signed(desk.gateway, secret, &body);
        let answer = receive(&rotating, desk.gateway, &headers, &body, Timestamp::now()).await;
        assert_eq!(answer.is_ok(), accepted, "{secret}: {answer:?}");
    }
}

/// Genuine by its signature, and false: somebody holds the secret, or another body with PayPal's checksum.
async fn s51_s56_what_a_delivery_says_of_money_is_not_believed(desk: &Desk) {
    let payment = desk.opened().await;
    let (reference, minor) = (&payment.reference, payment.amount.minor);
    let said = match desk.gateway {
        Gateway::Stripe => {
            json!({"id": "evt_1", "type": "payment_intent.succeeded", "livemode": false, "data": {"object":
            {"id": "pi_1", "status": "succeeded", "amount_received": minor, "metadata": {"reference": reference}}}})
        }
        Gateway::Paystack => json!({"event": "charge.success", "data":
            {"id": 7, "status": "success", "amount": minor, "reference": reference}}),
        Gateway::Flitt => json!({"order_id": reference, "merchant_id": 1_549_901, "order_status": "approved",
            "tran_type": "purchase", "amount": minor.to_string(), "actual_amount": minor.to_string()}),
        Gateway::PayPal => json!({"id": "WH-1", "event_type": "PAYMENT.CAPTURE.COMPLETED", "resource":
            {"id": "3C679366HH908993F", "status": "COMPLETED", "custom_id": reference}}),
    };
    let delivery = signed(desk.gateway, secret(desk.gateway), said.to_string().as_bytes());
    let notice = taken_in(desk, &delivery).await.expect("it verifies");
    assert_eq!(notice.reference.as_ref(), Some(reference));
    let sighting = desk.clients.find(&payment, notice.object.as_deref()).await.expect("an answer");
    assert_eq!(known(sighting), Outcome::Pending(Stage::Pending));
}

async fn s57_an_event_of_an_unknown_kind_is_taken_in_and_names_nobody(desk: &Desk) {
    let delivery = signed(desk.gateway, secret(desk.gateway), &event(desk.gateway, "something.new"));
    let notice = taken_in(desk, &delivery).await.expect("genuine");
    assert_eq!((notice.kind.as_str(), notice.reference, notice.object), ("something.new", None, None));
    assert_eq!(notice.body.as_bytes(), delivery.body);
}

async fn a_signed_delivery_that_is_not_an_event_is_malformed(desk: &Desk) {
    let deep = "[".repeat(100_000);
    for body in ["", "null", "[]", "{}", r#"{"event":7,"type":7,"data":{}}"#, "\u{feff}{}", &deep] {
        let refused = taken_in(desk, &signed(desk.gateway, secret(desk.gateway), body.as_bytes())).await;
        assert!(matches!(refused, Err(WebhookError::Malformed(_))), "{}: {refused:?}", &body[..body.len().min(40)]);
    }
}
