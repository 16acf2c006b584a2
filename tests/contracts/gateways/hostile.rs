//! Answers that no gateway should give: every one is no answer, and none leads
//! our keys or our requests anywhere else.

use super::desk::{checkout, clients, http, opened_as, owed_back, renewal};
use super::wire::{Reply, Server};
use billing::outcome::Receipt;
use billing::payment::{Address, Gateway, Opened};
use billing::ports::{GatewayError, Gateways};
use billing::testing::method;
use billing::wallet::Method;
use platform::http_client::client_with;
use std::time::{Duration, Instant};

/// What every call says of a gateway that answers everything with `reply`.
async fn answers(gateway: Gateway, url: &str, http: &reqwest::Client) -> Vec<(&'static str, GatewayError)> {
    let clients = clients(url, url, http);
    let saved = Method { gateway, ..method("AUTH_1") };
    let page = Opened { id: "cs_test_1".to_owned(), at: Address::CheckoutUrl("https://pay.example/1".to_owned()) };
    let (charged, opened) = (renewal(&saved, 1), opened_as(checkout(gateway), page));
    let owed = owed_back(charged.clone(), Receipt { id: "5000000001".to_owned(), amount: charged.amount });
    let mut errors = vec![];
    let mut failed = |call, error: Option<GatewayError>| {
        errors.push((call, error.unwrap_or_else(|| panic!("{gateway:?} {call} took it for an answer"))));
    };
    failed("open", clients.open(&checkout(gateway)).await.err());
    failed("charge", clients.charge(&charged).await.err());
    failed("find a charge", clients.find(&charged).await.err());
    failed("find a page", clients.find(&opened).await.err());
    failed("close", clients.close(&opened).await.err());
    failed("refund", clients.refund(&owed).await.err());
    errors
}

async fn is_no_answer(reply: Reply, http: &reqwest::Client) {
    for gateway in Gateway::ALL {
        let server = Server::start(reply.clone()).await;
        for (call, error) in answers(gateway, &server.url, http).await {
            assert!(matches!(error, GatewayError::NoAnswer(_)), "{gateway:?} {call} {reply:?}: {error:?}");
        }
    }
}

#[tokio::test]
async fn s69_a_redirect_is_not_followed_and_no_key_goes_there() {
    for status in [301, 302, 303, 307, 308] {
        let trap = Server::start(Reply::Text(200, "{}".to_owned())).await;
        is_no_answer(Reply::Redirect(status, format!("{}/latest/meta-data", trap.url)), &http()).await;
        assert!(trap.sent().is_empty());
    }
}

#[tokio::test]
async fn s68_an_answer_without_end_is_cut() {
    let began = Instant::now();
    is_no_answer(Reply::Endless, &http()).await;
    assert!(began.elapsed() < Duration::from_secs(8), "by its size, and not by its time");
}

#[tokio::test]
async fn s68_an_answer_of_more_than_a_mebibyte_is_not_read() {
    let blank = " ".repeat(1024 * 1024);
    is_no_answer(Reply::Text(200, format!("{{}}{blank}")), &http()).await;
}

#[tokio::test]
async fn s68_an_answer_that_takes_too_long_is_given_up() {
    let impatient = client_with(Duration::from_millis(60)).expect("a client");
    is_no_answer(Reply::Never, &impatient).await;
    is_no_answer(Reply::Drip, &impatient).await;
}

#[tokio::test]
async fn half_an_answer_is_none() {
    is_no_answer(Reply::Broken, &http()).await;
}

#[tokio::test]
async fn nobody_at_home_is_no_answer() {
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", free.local_addr().expect("an address"));
    drop(free);
    for gateway in Gateway::ALL {
        for (call, error) in answers(gateway, &url, &http()).await {
            assert!(matches!(error, GatewayError::NoAnswer(_)), "{gateway:?} {call}: {error:?}");
        }
    }
}

/// I-3: also with a body that reads like a refusal.
#[tokio::test]
async fn what_is_broken_or_busy_has_not_refused_anything() {
    let refusal = r#"{"status":false,"message":"Declined","error":{"type":"card_error","code":"card_declined"}}"#;
    for status in [409, 429, 500, 502, 503, 504] {
        is_no_answer(Reply::Text(status, refusal.to_owned()), &http()).await;
        is_no_answer(Reply::Status(status), &http()).await;
    }
}

#[tokio::test]
async fn what_cannot_be_read_is_no_answer() {
    for text in ["", "<html>Sign in to the hotel's network</html>", "null", "[]", "7", r#"{"data":"#] {
        for status in [200, 400, 402, 403, 404] {
            is_no_answer(Reply::Text(status, text.to_owned()), &http()).await;
        }
    }
    is_no_answer(Reply::Text(200, "{}".to_owned()), &http()).await;
}
