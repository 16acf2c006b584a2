//! Answers that no gateway should give: every one is no answer, and none leads
//! our keys or our requests anywhere else.

use super::desk::{clients, http};
use super::payments::{checkout, opened_as, owing, part, renewal, settled, setup};
use super::wire::{Reply, Server, nobody};
use crate::samples;
use billing::outcome::Receipt;
use billing::payment::{Address, Gateway, Opened};
use billing::ports::{GatewayError, Gateways};
use billing::testing::method_at;
use futures::future::join_all;
use platform::http_client::client_with;
use std::time::{Duration, Instant};

/// What every call says of a gateway that answers everything with the same.
async fn answers(gateway: Gateway, url: &str, http: &reqwest::Client) -> Vec<(&'static str, GatewayError)> {
    let clients = clients(url, http);
    let saved = method_at(gateway, "AUTH_1");
    let page = |id: &str| Opened { id: id.to_owned(), at: Address::CheckoutUrl("https://pay.example/1".to_owned()) };
    let (charged, opened) = (renewal(&saved, 1), opened_as(checkout(gateway), page("cs_test_1")));
    let left = opened_as(setup(&clients, gateway), page("cs_test_2"));
    let paid = settled(charged.clone(), Receipt { id: "5000000001".to_owned(), amount: charged.amount });
    let refund = part(&paid, 1, 100);
    let owed = owing(paid.clone(), std::slice::from_ref(&refund));
    let object = Some("5O190127TN364715T");
    let mut errors = vec![];
    let mut failed = |call, error: Option<GatewayError>| {
        errors.push((call, error.unwrap_or_else(|| panic!("{gateway:?} {call} took it for an answer"))));
    };
    failed("open", clients.open(&checkout(gateway)).await.err());
    failed("open a setup", clients.open(&setup(&clients, gateway)).await.err());
    failed("charge", clients.charge(&charged).await.err());
    failed("find a charge", clients.find(&charged, object).await.err());
    failed("find a page", clients.find(&opened, None).await.err());
    failed("find a setup", clients.find(&left, None).await.err());
    failed("find what was paid", clients.find(&paid, None).await.err());
    failed("close", clients.close(&opened).await.err());
    failed("refund", clients.refund(&owed, &refund).await.err());
    // Flitt is told of no forgetting, and of the four Paystack alone opens accounts.
    if gateway != Gateway::Flitt {
        failed("forget", clients.forget(&saved).await.err());
    }
    if gateway == Gateway::Paystack {
        let account = samples::account(&samples::customer("acme"), 0);
        failed("transfers", clients.transfers(&account).await.err());
    }
    errors
}

/// Also behind PayPal's token, which its other calls wait for.
async fn is_no_answer(reply: Reply, http: &reqwest::Client) {
    let plain = Gateway::ALL.map(|gateway| (gateway, reply.clone()));
    let granted = (Gateway::PayPal, Reply::Granting(Box::new(reply.clone())));
    join_all(plain.into_iter().chain([granted]).map(async |(gateway, reply)| {
        let server = Server::start(reply.clone()).await;
        for (call, error) in answers(gateway, &server.url, http).await {
            assert!(matches!(error, GatewayError::NoAnswer(_)), "{gateway:?} {call} {reply:?}: {error:?}");
        }
    }))
    .await;
}

#[tokio::test]
async fn s69_a_redirect_is_not_followed_and_no_key_goes_there() {
    for status in [301, 302, 303, 307, 308] {
        let trap = Server::start(Reply::Text(200, "{}".to_owned())).await;
        is_no_answer(Reply::Redirect(status, format!("{}/latest/meta-data", trap.url)), &http()).await;
        assert!(trap.sent().is_empty());
    }
    let began = Instant::now();
    is_no_answer(Reply::Redirect(302, "http://169.254.169.254/latest/meta-data/".to_owned()), &http()).await;
    assert!(began.elapsed() < Duration::from_secs(2), "nobody waits for an address that is not asked");
}

#[tokio::test]
async fn s68_an_answer_without_end_is_cut() {
    let began = Instant::now();
    is_no_answer(Reply::Endless, &http()).await;
    assert!(began.elapsed() < Duration::from_secs(9), "by its size, and not by its time");
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
    let (_held, url) = nobody();
    for gateway in Gateway::ALL {
        for (call, error) in answers(gateway, &url, &http()).await {
            assert!(matches!(error, GatewayError::NoAnswer(_)), "{gateway:?} {call}: {error:?}");
        }
    }
}

/// I-3: also with a body that reads like a refusal, of any of them.
#[tokio::test]
async fn what_is_broken_or_busy_has_not_refused_anything() {
    let refusal = r#"{"status":false,"message":"Declined","error":{"type":"card_error","code":"card_declined"},
        "response":{"response_status":"failure","error_code":1035},
        "name":"UNPROCESSABLE_ENTITY","details":[{"issue":"TOKEN_ID_NOT_FOUND"}]}"#;
    for status in [409, 429, 500, 502, 503, 504] {
        is_no_answer(Reply::Text(status, refusal.to_owned()), &http()).await;
        is_no_answer(Reply::Status(status), &http()).await;
    }
}

#[tokio::test]
async fn what_cannot_be_read_is_no_answer() {
    let page = "<html>Sign in to the hotel's network</html>";
    for text in ["", page, "null", "[]", "7", r#"{"data":"#, "\u{feff}{}", "response_status=success"] {
        for status in [200, 400, 402, 403, 404] {
            is_no_answer(Reply::Text(status, text.to_owned()), &http()).await;
        }
    }
    is_no_answer(Reply::Page(200, page.to_owned()), &http()).await;
    is_no_answer(Reply::Page(404, page.to_owned()), &http()).await;
    is_no_answer(Reply::Text(200, "{}".to_owned()), &http()).await;
}
