//! Checkouts, which the customer pays.

use super::customer::Card;
use super::desk::Desk;
use super::payments::{address, checkout, checkout_with, declined, known, opened_as, receipt};
use billing::money::Money;
use billing::outcome::{Outcome, Remedy, Sighting, Stage};
use billing::payment::{Address, CheckoutMethod, Gateway, Payment, PaymentStatus};
use billing::ports::{GatewayError, Gateways};
use billing::wallet::Instrument;
use jiff::Timestamp;
use serde_json::json;
use std::time::Duration;

promises![
    a_page_that_was_never_opened_is_unknown,
    opening_twice_opens_one,
    an_open_page_waits_for_the_customer,
    a_customer_who_paid_comes_back_with_the_payment,
    a_paid_page_leaves_a_receipt_and_a_method,
    a_page_is_paid_once_however_often_it_is_looked_at,
    a_card_declined_on_the_page_leaves_it_payable,
    another_amount_than_asked_for_is_told_as_it_is,
    closing_an_unpaid_page_ends_it_where_the_gateway_can,
    closing_a_page_on_which_a_card_was_declined_ends_it_where_the_gateway_can,
    closing_a_paid_page_finds_the_money,
    closing_what_was_never_opened_finds_nothing,
    a_page_that_nobody_paid_in_time_is_over_where_the_gateway_says_so,
    a_page_whose_opening_was_not_answered_is_opened_once,
];

async fn a_page_that_was_never_opened_is_unknown(desk: &Desk) {
    let sighting = desk.clients.find(&checkout(desk.gateway), None).await.expect("an answer");
    assert_eq!(sighting, Sighting::NeverHeard);
}

/// How often a page of that reference was opened, where the gateway lists them.
async fn pages(desk: &Desk) -> usize {
    let path = match desk.gateway {
        Gateway::Stripe => "/v1/checkout/sessions",
        Gateway::Paystack => "/transaction",
        Gateway::Flitt | Gateway::PayPal => return 1,
    };
    desk.look(path).await["data"].as_array().map_or(0, Vec::len)
}

/// Who remembers the request opens the same page again; who remembers its reference refuses another.
fn opens_again(gateway: Gateway) -> bool {
    matches!(gateway, Gateway::Stripe | Gateway::PayPal)
}

async fn opening_twice_opens_one(desk: &Desk) {
    let payment = checkout(desk.gateway);
    let first = desk.clients.open(&payment).await.expect("opened");
    match desk.clients.open(&payment).await {
        Ok(second) if opens_again(desk.gateway) => assert_eq!(second, first),
        Err(GatewayError::OpenedBefore) if !opens_again(desk.gateway) => {}
        other => panic!("{other:?}"),
    }
    assert_eq!(pages(desk).await, 1);
    assert!(desk.visit(&opened_as(payment, first), Card::Pays).await.is_ok());
}

async fn an_open_page_waits_for_the_customer(desk: &Desk) {
    let payment = desk.opened().await;
    assert_eq!(desk.found(&payment).await, Outcome::Pending(Stage::Pending));
}

async fn a_customer_who_paid_comes_back_with_the_payment(desk: &Desk) {
    let payment = desk.opened().await;
    let back = desk.visit(&payment, Card::Pays).await.expect("paid");
    let begins = format!("https://app.example/back?tab=billing&payment={}", payment.id);
    assert!(back.starts_with(&begins), "{back}");
}

async fn a_paid_page_leaves_a_receipt_and_a_method(desk: &Desk) {
    let payment = desk.paid().await;
    assert_eq!(receipt(desk.found(&payment).await).amount, payment.amount);
    let method = desk.saved_by(&payment).await;
    let shown = match &method.instrument {
        Instrument::Card(card) => card.last4.clone(),
        Instrument::Account { label } => label.clone().unwrap_or_default(),
    };
    let expected = match desk.gateway {
        Gateway::Stripe => "4242",
        Gateway::Paystack => "4081",
        Gateway::Flitt => "6666",
        Gateway::PayPal => "a…@personal.example",
    };
    assert_eq!((method.gateway, shown.as_str()), (desk.gateway, expected));
    assert_eq!(desk.charges(&payment).len(), 1);
}

/// Looking at PayPal's is what takes the money.
async fn a_page_is_paid_once_however_often_it_is_looked_at(desk: &Desk) {
    let payment = desk.opened().await;
    desk.visit(&payment, Card::Pays).await.expect("paid");
    let looks = futures::future::join_all((0..4).map(|_| desk.clients.find(&payment, None))).await;
    for look in looks {
        match look {
            Ok(sighting) => assert_eq!(receipt(known(sighting)).amount, payment.amount),
            Err(GatewayError::NoAnswer(_)) => {}
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!(receipt(desk.found(&payment).await).amount, payment.amount);
    assert_eq!(desk.charges(&payment).len(), 1);
}

async fn a_card_declined_on_the_page_leaves_it_payable(desk: &Desk) {
    let payment = desk.opened().await;
    let decline = declined(desk.fail_to_pay(&payment).await);
    let helps = match desk.gateway {
        Gateway::Stripe | Gateway::Paystack => Remedy::RetryLater,
        Gateway::Flitt => Remedy::FewTries,
        Gateway::PayPal => Remedy::AskCustomer,
    };
    assert_eq!(decline.remedy, helps);
    let status = PaymentStatus::Failed { decline, check_at: Some(Timestamp::now()), tries: 0 };
    let payment = Payment { status, ..payment };
    assert_eq!(receipt(desk.pay(&payment, Card::Pays).await).amount, payment.amount);
    assert_eq!(desk.charges(&payment).len(), 1);
}

async fn another_amount_than_asked_for_is_told_as_it_is(desk: &Desk) {
    let payment = desk.opened().await;
    desk.fault("hosted", &json!({"kind": "wrong_amount", "minor": 1_234}));
    let taken = Money { minor: 1_234, ..payment.amount };
    assert_eq!(receipt(desk.pay(&payment, Card::Pays).await).amount, taken);
}

/// What a page on which nobody paid is once it was to be closed. Where it stays open, it is as it stands.
fn closed(gateway: Gateway, standing: Outcome) -> Outcome {
    match gateway {
        Gateway::Stripe | Gateway::PayPal => Outcome::Expired,
        Gateway::Paystack | Gateway::Flitt => standing,
    }
}

async fn close(desk: &Desk, payment: &Payment) -> Outcome {
    known(desk.clients.close(payment).await.expect("an answer"))
}

async fn closing_an_unpaid_page_ends_it_where_the_gateway_can(desk: &Desk) {
    let payment = desk.opened().await;
    let expected = closed(desk.gateway, Outcome::Pending(Stage::Pending));
    for _ in 0..2 {
        assert_eq!(close(desk, &payment).await, expected, "twice is once");
    }
    match desk.gateway {
        Gateway::Stripe => assert!(desk.visit(&payment, Card::Pays).await.is_err()),
        Gateway::Paystack | Gateway::Flitt => {
            receipt(desk.pay(&payment, Card::Pays).await);
            return;
        }
        // What is approved then is captured by nobody.
        Gateway::PayPal => {
            assert!(desk.visit(&payment, Card::Pays).await.is_ok());
            let over = Payment { status: PaymentStatus::Expired { at: Timestamp::now() }, ..payment.clone() };
            let found = desk.found(&over).await;
            assert!(matches!(found, Outcome::Pending(_) | Outcome::Expired), "{found:?}");
        }
    }
    assert!(desk.charges(&payment).is_empty());
}

async fn closing_a_page_on_which_a_card_was_declined_ends_it_where_the_gateway_can(desk: &Desk) {
    let payment = desk.opened().await;
    let standing = desk.fail_to_pay(&payment).await;
    assert_eq!(close(desk, &payment).await, closed(desk.gateway, standing));
    assert!(desk.charges(&payment).is_empty());
}

async fn closing_a_paid_page_finds_the_money(desk: &Desk) {
    let payment = desk.paid().await;
    assert_eq!(receipt(close(desk, &payment).await).amount, payment.amount);
}

async fn closing_what_was_never_opened_finds_nothing(desk: &Desk) {
    let sighting = desk.clients.close(&checkout(desk.gateway)).await.expect("an answer");
    assert_eq!(sighting, Sighting::NeverHeard);
}

/// Paystack's is abandoned for ever, and may still be paid.
async fn a_page_that_nobody_paid_in_time_is_over_where_the_gateway_says_so(desk: &Desk) {
    let payment = desk.opened().await;
    desk.admin("clock", &json!({"advance_seconds": 2 * 86_400}));
    let ended = match desk.gateway {
        Gateway::Stripe | Gateway::Flitt | Gateway::PayPal => Outcome::Expired,
        Gateway::Paystack => Outcome::Pending(Stage::Pending),
    };
    for _ in 0..500 {
        if desk.found(&payment).await == ended {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(desk.found(&payment).await, ended);
    assert_eq!(desk.visit(&payment, Card::Pays).await.is_ok(), desk.gateway == Gateway::Paystack);
}

async fn a_page_whose_opening_was_not_answered_is_opened_once(desk: &Desk) {
    let payment = checkout(desk.gateway);
    desk.fault("checkout", &json!({"kind": "timeout_after", "ms": 20}));
    assert!(matches!(desk.clients.open(&payment).await, Err(GatewayError::NoAnswer(_))));
    match desk.clients.open(&payment).await {
        Ok(_) if opens_again(desk.gateway) => {}
        Err(GatewayError::OpenedBefore) if !opens_again(desk.gateway) => {}
        other => panic!("{other:?}"),
    }
    assert_eq!(pages(desk).await, 1);
}

async fn secret() -> (Desk, Payment) {
    let desk = Desk::open(Gateway::Stripe).await;
    let payment = checkout_with(Gateway::Stripe, CheckoutMethod::ClientSecret);
    let opened = desk.clients.open(&payment).await.expect("opened");
    assert!(matches!(&opened.at, Address::ClientSecret(secret) if secret.starts_with(&opened.id)));
    assert_eq!(desk.clients.open(&payment).await.expect("opened"), opened);
    (desk, opened_as(payment, opened))
}

#[tokio::test]
async fn a_client_secret_is_paid_on_a_page_of_ours_and_leaves_a_method() {
    let (desk, payment) = secret().await;
    assert!(matches!(address(&payment), Address::ClientSecret(_)));
    assert_eq!(desk.found(&payment).await, Outcome::Pending(Stage::Pending));
    assert_eq!(receipt(desk.pay(&payment, Card::Pays).await).amount, payment.amount);
    desk.saved_by(&payment).await;
    assert_eq!(receipt(close(&desk, &payment).await).amount, payment.amount);
}

#[tokio::test]
async fn a_client_secret_that_was_closed_pays_nothing_any_more() {
    let (desk, payment) = secret().await;
    assert_eq!(close(&desk, &payment).await, Outcome::Expired);
    assert!(desk.visit(&payment, Card::Pays).await.is_err());
    assert!(desk.charges(&payment).is_empty());
}
