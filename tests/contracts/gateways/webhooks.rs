//! Deliveries: what a gateway really sends is taken in, and nothing else is.

use super::desk::{Desk, PAYSTACK_KEY, STRIPE_WEBHOOK_SECRET, checkout, http, renewal};
use super::wire::{Reply, Sent, Server};
use billing::delivery::Notice;
use billing::payment::{Gateway, Payment, PaymentStatus};
use billing::ports::{Gateways, StoreError};
use billing::testing::{FixedClock, catalogue, customer, instant, request};
use billing::workflow::{Billing, Checkout};
use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit, Mac};
use http::HeaderMap;
use jiff::{SignedDuration, Timestamp};
use platform::config::Secret;
use platform::gateways::{Clients, KeySource, Keys, Received, WebhookError};
use serde_json::{Value, json};
use sha2::{Sha256, Sha512};
use std::collections::BTreeSet;
use std::sync::Arc;
use tests::embedded::{Embedded, Fault};

promises![
    what_is_delivered_of_a_page_names_its_payment,
    what_is_delivered_of_a_renewal_names_its_payment,
    what_is_delivered_of_a_refund_names_its_payment,
    s46_a_delivery_that_comes_again_has_the_same_id,
    s41_a_delivery_without_one_signature_is_refused,
    s43_a_delivery_with_another_byte_is_refused,
    s58_a_delivery_signed_for_another_gateway_is_refused,
    a_delivery_signed_with_another_secret_is_refused,
    f35_while_a_secret_is_rotated_both_count,
    s57_an_event_of_an_unknown_kind_is_taken_in_and_names_nobody,
    a_signed_delivery_that_is_not_an_event_is_malformed,
    a_gateway_that_is_not_configured_receives_nothing,
    s60_a_delivery_that_cannot_be_stored_is_not_taken_in,
];

/// A receiver that the simulator delivers to.
async fn listening(desk: &Desk) -> Server {
    let merchant = Server::start(Reply::Status(200)).await;
    let address = json!({"webhook_url": format!("{}/webhooks", merchant.url)});
    desk.admin("configure", &json!({desk.gateway.as_str(): address}));
    merchant
}

async fn received(desk: &Desk, sent: &Sent) -> Notice {
    receive(&desk.clients, desk.gateway, &sent.headers, &sent.body, Timestamp::now()).await.expect("genuine")
}

async fn receive(
    clients: &Clients,
    gateway: Gateway,
    headers: &HeaderMap,
    body: &[u8],
    at: Timestamp,
) -> Result<Notice, WebhookError> {
    clients.receive(gateway, &Received { headers, body, at }).await
}

/// A paid checkout, and the delivery that tells of it.
async fn telling(desk: &Desk) -> (Payment, Sent) {
    let merchant = listening(desk).await;
    let payment = desk.paid().await;
    (payment, taken(desk, &merchant).await)
}

/// The delivery that tells that money was taken, once it came.
async fn taken(desk: &Desk, merchant: &Server) -> Sent {
    let kind = match desk.gateway {
        Gateway::Stripe => "payment_intent.succeeded",
        Gateway::Paystack => "charge.success",
    };
    let mut seen = 0;
    loop {
        let sent = merchant.sent_at_least(seen + 1).await.remove(seen);
        if received(desk, &sent).await.kind == kind {
            return sent;
        }
        seen += 1;
    }
}

/// What was delivered, once all of `kinds` were.
async fn notices(desk: &Desk, merchant: &Server, kinds: &[&str]) -> Vec<Notice> {
    let mut notices = vec![];
    while !kinds.iter().all(|kind| notices.iter().any(|notice: &Notice| notice.kind == *kind)) {
        let sent = merchant.sent_at_least(notices.len() + 1).await;
        notices.push(received(desk, &sent[notices.len()]).await);
    }
    let ids: BTreeSet<_> = notices.iter().map(|notice| notice.id.clone()).collect();
    assert_eq!(ids.len(), notices.len(), "each event once");
    notices
}

fn all_name(payment: &Payment, notices: &[Notice], kinds: &[&str]) {
    for notice in notices.iter().filter(|notice| kinds.contains(&notice.kind.as_str())) {
        assert_eq!(notice.reference.as_ref(), Some(&payment.reference), "{}", notice.kind);
        assert_eq!(notice.id.gateway, payment.gateway);
    }
}

async fn what_is_delivered_of_a_page_names_its_payment(desk: &Desk) {
    let merchant = listening(desk).await;
    let payment = desk.paid().await;
    let kinds: &[&str] = match desk.gateway {
        Gateway::Stripe => &["payment_intent.succeeded", "checkout.session.completed"],
        Gateway::Paystack => &["charge.success"],
    };
    all_name(&payment, &notices(desk, &merchant, kinds).await, kinds);
}

async fn what_is_delivered_of_a_renewal_names_its_payment(desk: &Desk) {
    let method = desk.saved().await;
    let merchant = listening(desk).await;
    let payment = renewal(&method, 1);
    desk.clients.charge(&payment).await.expect("an answer");
    let kinds: &[&str] = match desk.gateway {
        Gateway::Stripe => &["payment_intent.succeeded"],
        Gateway::Paystack => &["charge.success"],
    };
    all_name(&payment, &notices(desk, &merchant, kinds).await, kinds);
}

async fn what_is_delivered_of_a_refund_names_its_payment(desk: &Desk) {
    let payment = renewal(&desk.saved().await, 1);
    let receipt = super::desk::receipt(Some(desk.clients.charge(&payment).await.expect("an answer")));
    let merchant = listening(desk).await;
    desk.clients.refund(&super::desk::owed_back(payment.clone(), receipt)).await.expect("an answer");
    desk.admin("clock", &json!({"advance_seconds": 10}));
    let kinds: &[&str] = match desk.gateway {
        Gateway::Stripe => &["refund.created", "charge.refunded"],
        Gateway::Paystack => &["refund.pending", "refund.processed"],
    };
    all_name(&payment, &notices(desk, &merchant, kinds).await, kinds);
}

async fn s46_a_delivery_that_comes_again_has_the_same_id(desk: &Desk) {
    let merchant = listening(desk).await;
    desk.admin("webhooks", &json!({"gateway": desk.gateway.as_str(), "mode": "duplicate"}));
    desk.paid().await;
    let mut notices = vec![];
    for sent in merchant.sent_at_least(3).await {
        notices.push(received(desk, &sent).await);
    }
    let kinds: BTreeSet<_> = notices.iter().map(|notice| notice.kind.clone()).collect();
    let ids: BTreeSet<_> = notices.iter().map(|notice| notice.id.clone()).collect();
    assert_eq!(ids.len(), kinds.len());
}

const fn signature_header(gateway: Gateway) -> &'static str {
    match gateway {
        Gateway::Stripe => "stripe-signature",
        Gateway::Paystack => "x-paystack-signature",
    }
}

async fn s41_a_delivery_without_one_signature_is_refused(desk: &Desk) {
    let (_, sent) = telling(desk).await;
    let name = signature_header(desk.gateway);
    let genuine = sent.headers[name].clone();
    let mut unsigned = sent.headers.clone();
    unsigned.remove(name);
    let mut empty = sent.headers.clone();
    empty.insert(name, "".parse().expect("a value"));
    let mut twice = sent.headers.clone();
    twice.append(name, genuine);
    for headers in [unsigned, empty, twice] {
        let refused = receive(&desk.clients, desk.gateway, &headers, &sent.body, Timestamp::now()).await;
        assert!(matches!(refused, Err(WebhookError::Unsigned)), "{refused:?}");
    }
}

async fn s43_a_delivery_with_another_byte_is_refused(desk: &Desk) {
    let (_, sent) = telling(desk).await;
    let (first, last) = ([b"\xef\xbb\xbf", &sent.body[..]].concat(), [&sent.body[..], b"\n"].concat());
    let json: Value = serde_json::from_slice(&sent.body).expect("JSON");
    // The one of the two that the gateway does not write itself.
    let respelled = [format!("{json}"), format!("{json:#}")].map(String::into_bytes);
    let respelled = respelled.into_iter().find(|body| *body != sent.body);
    let mut flipped = sent.body.to_vec();
    flipped[20] ^= 1;
    for body in [first, last, flipped, respelled.expect("another spelling"), vec![]] {
        let refused = receive(&desk.clients, desk.gateway, &sent.headers, &body, Timestamp::now()).await;
        assert!(matches!(refused, Err(WebhookError::Forged)), "{refused:?}");
    }
}

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

/// No time is signed: what it says is never believed, so nothing is lost by it.
#[tokio::test]
async fn s47_paystacks_deliveries_are_genuine_for_ever_and_the_same_event() {
    let desk = Desk::open(Gateway::Paystack).await;
    let (_, sent) = telling(&desk).await;
    let later = Timestamp::now() + SignedDuration::from_hours(24 * 200);
    let notice = receive(&desk.clients, Gateway::Paystack, &sent.headers, &sent.body, later).await.expect("genuine");
    assert_eq!(notice, received(&desk, &sent).await);
}

#[tokio::test]
async fn s45_of_stripes_signatures_one_v1_must_fit_and_there_may_not_be_too_many() {
    let desk = Desk::open(Gateway::Stripe).await;
    let body = event(Gateway::Stripe, "something.new");
    let (time, bad) = (Timestamp::now().as_second(), "00".repeat(32));
    let good = stripe_digest(STRIPE_WEBHOOK_SECRET, time, &body);
    let many = format!(",v1={bad}").repeat(999);
    for (header, accepted) in [
        (format!("t={time},v1={bad},v1={good}"), true),
        (format!("t={time},v1={good},v0={bad}"), true),
        (format!("t={time},v0={good}"), false),
        (format!("t={time},v1={bad}"), false),
        (format!("t={time},v1={}", good.to_uppercase()), false),
        (format!("t={time}{many},v1={good}"), false),
    ] {
        let headers = one_header("stripe-signature", &header);
        let answer = receive(&desk.clients, Gateway::Stripe, &headers, &body, Timestamp::now()).await;
        assert_eq!(answer.is_ok(), accepted, "{answer:?}");
    }
}

#[tokio::test]
async fn s48_paystacks_signature_is_the_whole_sha_512_in_lower_case() {
    let desk = Desk::open(Gateway::Paystack).await;
    let body = event(Gateway::Paystack, "something.new");
    let good = paystack_digest(PAYSTACK_KEY, &body);
    let mut shorter = Hmac::<Sha256>::new_from_slice(PAYSTACK_KEY.as_bytes()).expect("a key");
    shorter.update(&body);
    let shorter = HEXLOWER.encode(&shorter.finalize().into_bytes());
    for (header, accepted) in
        [(good.clone(), true), (good.to_uppercase(), false), (good[..64].to_owned(), false), (shorter, false)]
    {
        let headers = one_header("x-paystack-signature", &header);
        let answer = receive(&desk.clients, Gateway::Paystack, &headers, &body, Timestamp::now()).await;
        assert_eq!(answer.is_ok(), accepted, "{answer:?}");
    }
}

fn one_header(name: &'static str, value: &str) -> HeaderMap {
    HeaderMap::from_iter([(http::HeaderName::from_static(name), value.parse().expect("a value"))])
}

fn event(gateway: Gateway, kind: &str) -> Vec<u8> {
    let event = match gateway {
        Gateway::Stripe => json!({"id": "evt_1", "type": kind, "livemode": false, "data": {"object": {"id": "x_1"}}}),
        Gateway::Paystack => json!({"event": kind, "data": {"id": 7}}),
    };
    event.to_string().into_bytes()
}

fn stripe_digest(secret: &str, time: i64, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("a key");
    mac.update(format!("{time}.").as_bytes());
    mac.update(body);
    HEXLOWER.encode(&mac.finalize().into_bytes())
}

fn paystack_digest(secret: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha512>::new_from_slice(secret.as_bytes()).expect("a key");
    mac.update(body);
    HEXLOWER.encode(&mac.finalize().into_bytes())
}

/// The header with which the gateway would send `body`, had it `secret`.
fn signed(gateway: Gateway, secret: &str, body: &[u8]) -> HeaderMap {
    let time = Timestamp::now().as_second();
    let value = match gateway {
        Gateway::Stripe => format!("t={time},v1={}", stripe_digest(secret, time, body)),
        Gateway::Paystack => paystack_digest(secret, body),
    };
    one_header(signature_header(gateway), &value)
}

const fn secret_of(gateway: Gateway) -> &'static str {
    match gateway {
        Gateway::Stripe => STRIPE_WEBHOOK_SECRET,
        Gateway::Paystack => PAYSTACK_KEY,
    }
}

async fn s58_a_delivery_signed_for_another_gateway_is_refused(desk: &Desk) {
    for other in Gateway::ALL.into_iter().filter(|other| *other != desk.gateway) {
        let body = event(desk.gateway, "something.new");
        let its_secret = signed(desk.gateway, secret_of(other), &body);
        let refused = receive(&desk.clients, desk.gateway, &its_secret, &body, Timestamp::now()).await;
        assert!(matches!(refused, Err(WebhookError::Forged)), "{refused:?}");
        let its_header = signed(other, secret_of(other), &body);
        let refused = receive(&desk.clients, desk.gateway, &its_header, &body, Timestamp::now()).await;
        assert!(matches!(refused, Err(WebhookError::Unsigned)), "{refused:?}");
    }
}

async fn a_delivery_signed_with_another_secret_is_refused(desk: &Desk) {
    let body = event(desk.gateway, "something.new");
    for secret in ["", "whsec_other", "sk_test_other", &secret_of(desk.gateway)[..8]] {
        let headers = signed(desk.gateway, secret, &body);
        let refused = receive(&desk.clients, desk.gateway, &headers, &body, Timestamp::now()).await;
        assert!(matches!(refused, Err(WebhookError::Forged)), "{secret}: {refused:?}");
    }
}

async fn f35_while_a_secret_is_rotated_both_count(desk: &Desk) {
    let webhook_secrets = ["new", "old"].map(Secret::new).to_vec();
    let keys = KeySource::Given(Arc::new(Keys { secret_key: Secret::new("sk_test_1"), webhook_secrets }));
    let rotating = Clients::default().with(desk.gateway, "http://127.0.0.1:9", http(), keys);
    let body = event(desk.gateway, "something.new");
    for (secret, accepted) in [("new", true), ("old", true), ("older", false)] {
        let headers = signed(desk.gateway, secret, &body);
        let answer = receive(&rotating, desk.gateway, &headers, &body, Timestamp::now()).await;
        assert_eq!(answer.is_ok(), accepted, "{secret}");
    }
}

async fn s57_an_event_of_an_unknown_kind_is_taken_in_and_names_nobody(desk: &Desk) {
    let body = event(desk.gateway, "something.new");
    let headers = signed(desk.gateway, secret_of(desk.gateway), &body);
    let notice = receive(&desk.clients, desk.gateway, &headers, &body, Timestamp::now()).await.expect("genuine");
    assert_eq!((notice.kind.as_str(), notice.reference), ("something.new", None));
    assert_eq!(notice.body.as_bytes(), body);
}

async fn a_signed_delivery_that_is_not_an_event_is_malformed(desk: &Desk) {
    let deep = "[".repeat(100_000);
    for body in ["", "null", "[]", "{}", r#"{"event":7,"type":7,"data":{}}"#, "\u{feff}{}", &deep] {
        let headers = signed(desk.gateway, secret_of(desk.gateway), body.as_bytes());
        let refused = receive(&desk.clients, desk.gateway, &headers, body.as_bytes(), Timestamp::now()).await;
        assert!(matches!(refused, Err(WebhookError::Malformed(_))), "{refused:?}");
    }
}

async fn a_gateway_that_is_not_configured_receives_nothing(desk: &Desk) {
    let body = event(desk.gateway, "something.new");
    let headers = signed(desk.gateway, secret_of(desk.gateway), &body);
    let refused = receive(&Clients::default(), desk.gateway, &headers, &body, Timestamp::now()).await;
    assert!(matches!(refused, Err(WebhookError::NoKeys(_))), "{refused:?}");
}

/// I-17: through the real workflow, store and adapters. What was not stored is
/// delivered again, and then has its effect, once.
async fn s60_a_delivery_that_cannot_be_stored_is_not_taken_in(desk: &Desk) {
    let embedded = Embedded::new();
    let clock = FixedClock::at(instant("2026-01-31T10:00:00Z"));
    let billing = Billing::new(embedded.table(), desk.clients.clone(), clock);
    billing.load(catalogue("estates")).await.expect("on sale");
    let wanted = Checkout {
        gateway: desk.gateway,
        return_url: Some("https://app.example/".to_owned()),
        ..request("estates-professional", "key-1")
    };
    let merchant = listening(desk).await;
    let payment = billing.checkout(wanted).await.expect("a checkout");
    assert!(desk.visit(&payment, super::desk::Card::Pays).await.is_ok());
    let told = received(desk, &taken(desk, &merchant).await).await;

    let before = embedded.items();
    embedded.inject("TransactWriteItems", &Fault::Canceled(&["TransactionConflict"]), 6);
    let refused = billing.receive(told.clone()).await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    assert_eq!(embedded.items(), before);

    for _ in 0..2 {
        billing.receive(told.clone()).await.expect("taken in");
        let payments = billing.payments(&customer(), None, 10).await.expect("an answer");
        assert!(matches!(payments[0].status, PaymentStatus::Succeeded { .. }));
    }
    assert_eq!(desk.charges(&payment).len(), 1);
    assert!(billing.gateways.accepts(&checkout(desk.gateway)).is_ok());
}
