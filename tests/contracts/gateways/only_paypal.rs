//! What only PayPal does: it signs deliveries with a certificate that is fetched,
//! has money taken in a step of its own, and names a saved account when it likes.

use super::customer::Card;
use super::desk::{Desk, PAYPAL_CERTIFICATE, PAYPAL_CHAIN, PAYPAL_ROOT, clients, http, keys, secret};
use super::payments::{address, checkout, known, numbered, owing, part, receipt, renewal, settled};
use super::signing::{Delivery, event, signed};
use super::webhooks::{listening, receive, received, told_of};
use super::wire::{Reply, Server};
use billing::outcome::{Outcome, RefundOutcome, Sighting, Stage};
use billing::payment::{Address, Gateway, Paid, Payment, PaymentStatus};
use billing::ports::{GatewayError, Gateways};
use jiff::{SignedDuration, Timestamp};
use platform::gateways::{Clients, WebhookError};
use platform::secrets::KeyStore;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// An adapter whose every connection ends at `trap`, and who knows no certificate beforehand.
fn trapped(trap: &Server) -> Clients {
    let tls = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("a version of TLS")
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    let http = reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .redirect(reqwest::redirect::Policy::none())
        .proxy(reqwest::Proxy::all(&trap.url).expect("a proxy"));
    let mut keys = keys(Gateway::PayPal, &[secret(Gateway::PayPal)]);
    keys["certificates"] = json!({});
    let (api, store) = ("https://api-m.sandbox.paypal.com", KeyStore::given(keys));
    Clients::default().with(Gateway::PayPal, api, http.build().expect("a client"), store, None)
}

fn genuine() -> Delivery {
    signed(Gateway::PayPal, secret(Gateway::PayPal), &event(Gateway::PayPal, "something.new"))
}

fn with_header(name: &'static str, value: &str) -> Option<Delivery> {
    let mut delivery = genuine();
    delivery.headers.insert(name, value.parse().ok()?);
    Some(delivery)
}

/// S52: the address is the attacker's to choose, and nobody is called for it.
#[tokio::test]
async fn s52_no_address_but_paypals_own_is_ever_asked_for_a_certificate() {
    let trap = Server::start(Reply::Status(503)).await;
    let clients = trapped(&trap);
    let good = PAYPAL_CERTIFICATE;
    let hostile = [
        "http://169.254.169.254/latest/meta-data/iam/security-credentials/".to_owned(),
        "http://127.0.0.1:9001/2018-06-01/runtime/invocation/next".to_owned(),
        "http://localhost/v1/notifications/certs/CERT-1".to_owned(),
        good.replace("https://", "http://"),
        good.replace("https://", "file://"),
        good.replace("https://", "ftp://"),
        good.replace("https://", "https://user@"),
        good.replace("https://", "https://evil.example@"),
        good.replace(".com/", ".com@evil.example/"),
        good.replace(".com/", ".com.evil.example/"),
        good.replace(".com/", ".com./"),
        good.replace(".com/", ".com:8443/"),
        good.replace(".com/", ".com:443/"),
        good.replace("api.sandbox", "evil-api.sandbox"),
        good.replace("api.sandbox", "api.sandbox.evil"),
        good.replace("paypal.com", "evilpaypal.com"),
        good.replace("api.sandbox.paypal.com", "api.paypal.com"),
        good.replace("api.sandbox.paypal.com", "xn--pypal-4ve.com"),
        good.replace("/v1/notifications/certs/", "/v1/oauth2/"),
        good.replace("/certs/", "/certs/../"),
        good.replace("/certs/", "/certs/%2e%2e/"),
        format!("{good}?to=evil.example"),
        format!("{good}#evil"),
        format!("{good}/"),
        format!(" {good}"),
        good.replace("https://", "https:\\\\"),
        "data:text/plain,CERT".to_owned(),
        "//api.sandbox.paypal.com/v1/notifications/certs/CERT-1".to_owned(),
        String::new(),
    ];
    for address in &hostile {
        let Some(delivery) = with_header("paypal-cert-url", address) else { panic!("{address}: not a header") };
        let refused = receive(&clients, Gateway::PayPal, &delivery.headers, &delivery.body, Timestamp::now()).await;
        assert!(matches!(refused, Err(WebhookError::Forged | WebhookError::Unsigned)), "{address}: {refused:?}");
    }
    assert!(with_header("paypal-cert-url", "https://a.example\r\nhost: b").is_none(), "no header holds two lines");
    assert_eq!(trap.sent().len(), 0, "nobody was called");

    // Else the trap would prove nothing.
    let delivery = genuine();
    let answer = receive(&clients, Gateway::PayPal, &delivery.headers, &delivery.body, Timestamp::now()).await;
    assert!(matches!(answer, Err(WebhookError::NoKeys(GatewayError::NoAnswer(_)))), "{answer:?}");
    assert_eq!(trap.sent().len(), 1);
}

/// S53: whom the certificate comes from, and until when; the rest is in the vectors.
#[tokio::test]
async fn s53_a_certificate_must_be_good_now_and_come_from_a_trusted_root() {
    let desk = Desk::open(Gateway::PayPal).await;
    let delivery = genuine();
    let answer = async |changed: &Value, at: Timestamp| {
        let mut keys = keys(Gateway::PayPal, &[secret(Gateway::PayPal)]);
        for (name, value) in changed.as_object().into_iter().flatten() {
            keys[name] = value.clone();
        }
        let store = KeyStore::given(keys);
        let clients = Clients::default().with(Gateway::PayPal, &desk.simulator.paypal(), http(), store, None);
        receive(&clients, Gateway::PayPal, &delivery.headers, &delivery.body, at).await
    };
    let (now, as_it_is) = (Timestamp::now(), json!({}));
    answer(&as_it_is, now).await.expect("genuine");
    let there = |pem: &str| json!({"certificates": {PAYPAL_CERTIFICATE: pem}});
    let leaf = PAYPAL_CHAIN.split_inclusive("-----END CERTIFICATE-----").next().unwrap_or_default();
    let hundred_years = SignedDuration::from_hours(24 * 366 * 100);
    for (why, changed, at) in [
        ("public roots", json!({"roots": []}), now),
        ("the authority is missing", there(leaf), now),
        ("itself its root", there(PAYPAL_ROOT), now),
        ("not a certificate", there("PEM"), now),
        ("ended", as_it_is.clone(), now + hundred_years),
        ("not begun", as_it_is.clone(), Timestamp::UNIX_EPOCH),
    ] {
        let answer = answer(&changed, at).await;
        assert!(matches!(answer, Err(WebhookError::Forged)), "{why}: {answer:?}");
    }
    for (name, value) in [("paypal-auth-algo", "SHA1withRSA"), ("paypal-auth-version", "v1")] {
        let delivery = with_header(name, value).expect("a header");
        let answer = receive(&desk.clients, Gateway::PayPal, &delivery.headers, &delivery.body, now).await;
        assert!(matches!(answer, Err(WebhookError::Forged)), "{value}: {answer:?}");
    }
}

/// S54: whoever keeps us waiting, or sends us on, is asked no longer than that. PayPal sends again.
#[tokio::test]
async fn s54_a_certificate_that_does_not_come_proves_nothing() {
    for reply in [Reply::Never, Reply::Redirect(302, "https://evil.example/".to_owned()), Reply::Status(500)] {
        let (trap, began) = (Server::start(reply.clone()).await, Instant::now());
        let (clients, delivery) = (trapped(&trap), genuine());
        let answer = receive(&clients, Gateway::PayPal, &delivery.headers, &delivery.body, Timestamp::now()).await;
        assert!(matches!(answer, Err(WebhookError::NoKeys(GatewayError::NoAnswer(_)))), "{reply:?}: {answer:?}");
        assert!(began.elapsed() < Duration::from_secs(5), "{reply:?}");
        assert_eq!(trap.sent().len(), 1, "{reply:?}");
    }
}

/// A buyer who closes the tab has approved all the same: whoever looks next takes the money.
#[tokio::test]
async fn an_approved_order_is_captured_by_its_webhook_and_once() {
    let desk = Desk::open(Gateway::PayPal).await;
    let merchant = listening(&desk).await;
    let payment = desk.opened().await;
    desk.visit(&payment, Card::Pays).await.expect("approved");
    assert!(desk.charges(&payment).is_empty(), "an approval is no money");
    let told = received(&desk, &told_of(&desk, &merchant, &["CHECKOUT.ORDER.APPROVED"]).await).await;
    assert_eq!(told.object.as_ref(), payment.opened().map(|opened| &opened.id));
    for _ in 0..3 {
        let sighting = desk.clients.find(&payment, told.object.as_deref()).await.expect("an answer");
        assert_eq!(receipt(known(sighting)).amount, payment.amount);
    }
    assert_eq!(desk.charges(&payment).len(), 1);
}

/// Nobody asked in time: PayPal lets the approval go, and no money moved.
#[tokio::test]
async fn an_approval_that_nobody_captured_in_time_is_over() {
    let desk = Desk::open(Gateway::PayPal).await;
    let payment = desk.opened().await;
    desk.visit(&payment, Card::Pays).await.expect("approved");
    desk.admin("clock", &json!({"advance_seconds": 7 * 3_600}));
    assert_eq!(desk.found(&payment).await, Outcome::Expired);
    assert!(desk.charges(&payment).is_empty());
}

/// An e-cheque takes days: until then nothing was paid, and then it was, or was not.
#[tokio::test]
async fn money_that_takes_days_is_pending_until_it_is_there() {
    for (funding, comes) in [("echeck", true), ("review", true), ("echeck-returned", false)] {
        let desk = Desk::open(Gateway::PayPal).await;
        let payment = desk.opened().await;
        let Address::CheckoutUrl(url) = address(&payment) else { panic!("a page") };
        desk.http.post(url).form(&[("action", "pay"), ("funding", funding)]).send().await.expect("a page");
        assert_eq!(desk.found(&payment).await, Outcome::Pending(Stage::Processing), "{funding}");
        desk.admin("clock", &json!({"advance_seconds": 4 * 86_400}));
        for _ in 0..500 {
            if desk.found(&payment).await != Outcome::Pending(Stage::Processing) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let outcome = desk.found(&payment).await;
        assert_eq!(matches!(outcome, Outcome::Succeeded { .. }), comes, "{funding}: {outcome:?}");
        assert_eq!(desk.charges(&payment).len(), usize::from(comes));
    }
}

/// A saved account whose name comes after the money: a later look finds it.
#[tokio::test]
async fn an_account_that_is_named_later_is_found_by_a_later_look() {
    let desk = Desk::open(Gateway::PayPal).await;
    desk.configure(&json!({"vault_by_webhook": true}));
    let merchant = listening(&desk).await;
    let payment = desk.opened().await;
    let Outcome::Succeeded { receipt, method, .. } = desk.pay(&payment, Card::Pays).await else {
        panic!("it was paid")
    };
    assert_eq!(method, None, "PayPal has not named it yet");
    let payment = settled(payment, receipt);

    desk.admin("clock", &json!({"advance_seconds": 2}));
    let told = received(&desk, &told_of(&desk, &merchant, &["VAULT.PAYMENT-TOKEN.CREATED"]).await).await;
    assert_eq!(told.reference.as_ref(), Some(&payment.reference));
    let sighting = desk.clients.find(&payment, told.object.as_deref()).await.expect("an answer");
    let Outcome::Succeeded { method: Some(method), .. } = known(sighting) else { panic!("no method was named") };
    let renewal = renewal(&method, 1);
    let charged = desk.clients.charge(&renewal).await.expect("an answer");
    assert_eq!(super::payments::receipt(charged).amount, renewal.amount);
}

/// A body with the checksum of a genuine one could name any account: only the payer's own is taken.
#[tokio::test]
async fn an_account_of_someone_else_is_not_taken_for_the_payers() {
    let desk = Desk::open(Gateway::PayPal).await;
    let other = desk.open_page(numbered(checkout(Gateway::PayPal), (1, 0, 2))).await;
    let Address::CheckoutUrl(url) = address(&other) else { panic!("a page") };
    let bruno = [("action", "pay"), ("funding", "balance"), ("buyer", "bruno@personal.example")];
    desk.http.post(url).form(&bruno).send().await.expect("a page");
    let theirs = desk.saved_by(&other).await;

    desk.configure(&json!({"vault_by_webhook": true}));
    let payment = desk.opened().await;
    let Outcome::Succeeded { receipt, method: None, .. } = desk.pay(&payment, Card::Pays).await else {
        panic!("it was paid, and names no account yet")
    };
    for payment in [payment.clone(), settled(payment, receipt)] {
        let sighting = desk.clients.find(&payment, Some(&theirs.token)).await.expect("an answer");
        assert!(matches!(known(sighting), Outcome::Succeeded { method: None, .. }));
    }
}

/// After half a year PayPal gives nothing back.
#[tokio::test]
async fn a_refund_that_paypal_refuses_says_why() {
    let desk = Desk::open(Gateway::PayPal).await;
    let payment = renewal(&desk.saved().await, 1);
    let taken = receipt(desk.clients.charge(&payment).await.expect("an answer"));
    let refund = part(&payment, 1, 1_000);
    let owed = owing(settled(payment, taken), std::slice::from_ref(&refund));
    desk.dispute(&owed, "open");
    let refused = desk.clients.refund(&owed, &refund).await.expect("an answer");
    assert_eq!(refused, RefundOutcome::Failed { code: "TRANSACTION_DISPUTED".to_owned() });
    desk.dispute(&owed, "won");
    desk.admin("clock", &json!({"advance_seconds": 181 * 86_400}));
    let refused = desk.clients.refund(&owed, &refund).await.expect("an answer");
    assert_eq!(refused, RefundOutcome::Failed { code: "REFUND_TIME_LIMIT_EXCEEDED".to_owned() });
    assert!(desk.refunds(&owed).is_empty());
}

/// A look at what is known whole asks no more than it must.
#[tokio::test]
async fn a_look_at_a_known_payment_names_no_method_anew() {
    let desk = Desk::open(Gateway::PayPal).await;
    let payment = desk.settled().await;
    let PaymentStatus::Paid(paid) = payment.status.clone() else { panic!("paid") };
    let payment = Payment { status: PaymentStatus::Paid(Paid { method_known: true, ..paid }), ..payment };
    assert!(matches!(desk.found(&payment).await, Outcome::Succeeded { method: None, .. }));
}

fn tokens_asked_for(recorder: &Server) -> usize {
    recorder.sent().iter().filter(|sent| sent.path.ends_with("/v1/oauth2/token")).count()
}

#[tokio::test]
async fn one_token_serves_many_calls_and_one_that_ended_is_fetched_once() {
    let desk = Desk::open(Gateway::PayPal).await;
    let to = desk.simulator.url().to_owned();
    let recorder = Server::start(Reply::Forwarded { to, with: http() }).await;
    let clients = clients(&recorder.url, &http());
    let page = |attempt| numbered(checkout(Gateway::PayPal), (1, 0, attempt));
    for attempt in 1..=3 {
        clients.open(&page(attempt)).await.expect("opened");
    }
    assert_eq!(tokens_asked_for(&recorder), 1);

    desk.admin("paypal/expire-tokens", &json!({}));
    let several = futures::future::join_all((4..=8).map(|attempt| {
        let page = page(attempt);
        let clients = clients.clone();
        async move { clients.open(&page).await }
    }));
    for opened in several.await {
        opened.expect("opened");
    }
    assert_eq!(tokens_asked_for(&recorder), 2, "who asks while another fetches waits for that one's");

    desk.admin("paypal/expire-tokens", &json!({}));
    desk.configure(&json!({"client_secret": "other"}));
    let refused = clients.open(&page(9)).await;
    assert!(matches!(refused, Err(GatewayError::Rejected(_))), "{refused:?}");
    assert_eq!(tokens_asked_for(&recorder), 3, "a refusal stands");
}

/// A thing that a delivery names is believed only in its own words.
#[tokio::test]
async fn an_object_that_is_not_the_payments_says_nothing() {
    let desk = Desk::open(Gateway::PayPal).await;
    let method = desk.saved().await;
    let (first, second) = (renewal(&method, 1), renewal(&method, 2));
    desk.clients.charge(&first).await.expect("an answer");
    let line = desk.charges(&first).remove(0);
    for object in [&line["payment"], &line["id"]] {
        let object = object.as_str();
        let sighting = desk.clients.find(&first, object).await.expect("an answer");
        assert_eq!(receipt(known(sighting)).amount, first.amount, "by its order or its capture");
        assert_eq!(desk.clients.find(&second, object).await.expect("an answer"), Sighting::CannotTell);
    }
    for object in ["5O190127TN364715T", "../../v1/oauth2/token", "a b", ""] {
        let sighting = desk.clients.find(&second, Some(object)).await.expect("an answer");
        assert_eq!(sighting, Sighting::CannotTell, "{object}");
    }
}
