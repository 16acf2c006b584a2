//! Checkouts, which the customer pays.

use super::desk::{Card, Desk, checkout, checkout_with, opened_as, receipt};
use billing::money::{Currency, Money};
use billing::outcome::{Outcome, Remedy, Stage};
use billing::payment::{Address, CheckoutMethod, Collection, Gateway, Payer, Payment};
use billing::ports::{GatewayError, Gateways};
use platform::gateways::Clients;
use serde_json::json;

promises![
    an_ordinary_checkout_is_accepted,
    a_currency_that_the_gateway_does_not_take_is_refused_by_name,
    a_page_that_was_never_opened_is_unknown,
    opening_twice_opens_one,
    an_open_page_waits_for_the_customer,
    a_customer_who_paid_comes_back_with_the_payment,
    a_paid_page_leaves_a_receipt_and_a_method,
    a_card_declined_on_the_page_leaves_it_payable,
    another_amount_than_asked_for_is_told_as_it_is,
    closing_an_unpaid_page_ends_it_where_the_gateway_can,
    closing_a_page_on_which_a_card_was_declined_ends_it_where_the_gateway_can,
    closing_a_paid_page_finds_the_money,
    closing_what_was_never_opened_finds_nothing,
    a_page_whose_opening_was_not_answered_is_opened_once,
];

async fn an_ordinary_checkout_is_accepted(desk: &Desk) {
    desk.clients.accepts(&checkout(desk.gateway)).expect("accepted");
}

fn refused_field(accepted: Result<(), GatewayError>) -> &'static str {
    match accepted {
        Err(GatewayError::Unacceptable { field, .. }) => field,
        other => panic!("{other:?}"),
    }
}

fn costing(minor: i64, currency: &str, payment: Payment) -> Payment {
    let currency = Currency::from_code(currency).expect(currency);
    Payment { amount: Money::new(minor, currency), ..payment }
}

async fn a_currency_that_the_gateway_does_not_take_is_refused_by_name(desk: &Desk) {
    let (untaken, taken) = match desk.gateway {
        Gateway::Stripe => (["UGX", "ISK", "MGA"], ["USD", "JPY", "KWD"]),
        Gateway::Paystack => (["GEL", "EUR", "JPY"], ["USD", "XOF", "KES"]),
    };
    for currency in untaken {
        let payment = costing(100_000, currency, checkout(desk.gateway));
        assert_eq!(refused_field(desk.clients.accepts(&payment)), "currency", "{currency}");
    }
    for currency in taken {
        let payment = costing(100_000, currency, checkout(desk.gateway));
        desk.clients.accepts(&payment).unwrap_or_else(|error| panic!("{currency}: {error}"));
        let opened = desk.clients.open(&Payment { reference: reference(currency), ..payment }).await;
        opened.unwrap_or_else(|error| panic!("{currency}: {error}"));
    }
}

fn reference(of: &str) -> billing::id::Reference {
    billing::id::Reference::try_from(format!("r{:0>25}", of.to_lowercase())).expect(of)
}

#[tokio::test]
async fn stripe_needs_an_address_to_come_back_to_unless_the_page_is_ours() {
    let desk = Desk::open(Gateway::Stripe).await;
    let nowhere = |mut payment: Payment| {
        if let Collection::Checkout { return_url, .. } = &mut payment.collection {
            *return_url = None;
        }
        payment
    };
    let hosted = nowhere(checkout(Gateway::Stripe));
    assert_eq!(refused_field(desk.clients.accepts(&hosted)), "return_url");
    desk.clients.accepts(&nowhere(checkout_with(Gateway::Stripe, CheckoutMethod::ClientSecret))).expect("accepted");
}

#[tokio::test]
async fn stripe_refuses_amounts_that_it_would_not_charge() {
    let desk = Desk::open(Gateway::Stripe).await;
    let page = || checkout(Gateway::Stripe);
    assert_eq!(refused_field(desk.clients.accepts(&costing(1_001, "KWD", page()))), "plan");
    assert_eq!(refused_field(desk.clients.accepts(&costing(100_000_000, "USD", page()))), "quantity");
    desk.clients.accepts(&costing(99_999_999, "USD", page())).expect("accepted");
}

#[tokio::test]
async fn paystack_needs_an_e_mail_and_has_no_secrets_for_pages_of_ours() {
    let desk = Desk::open(Gateway::Paystack).await;
    let secret = checkout_with(Gateway::Paystack, CheckoutMethod::ClientSecret);
    assert_eq!(refused_field(desk.clients.accepts(&secret)), "method");
    let mut unknown = checkout(Gateway::Paystack);
    if let Collection::Checkout { payer, .. } = &mut unknown.collection {
        *payer = Payer { email: None, known_as: None };
    }
    assert_eq!(refused_field(desk.clients.accepts(&unknown)), "gateway");
}

#[tokio::test]
async fn a_gateway_without_keys_is_said_to_be_not_configured() {
    for gateway in Gateway::ALL {
        let (none, payment) = (Clients::default(), checkout(gateway));
        assert!(!none.is_configured(gateway));
        assert!(matches!(none.accepts(&payment), Err(GatewayError::NotConfigured(it)) if it == gateway));
        assert!(matches!(none.open(&payment).await, Err(GatewayError::NotConfigured(_))));
        assert!(matches!(none.find(&payment).await, Err(GatewayError::NotConfigured(_))));
    }
}

async fn a_page_that_was_never_opened_is_unknown(desk: &Desk) {
    assert_eq!(desk.clients.find(&checkout(desk.gateway)).await.expect("an answer"), None);
}

async fn pages(desk: &Desk) -> usize {
    let path = match desk.gateway {
        Gateway::Stripe => "/v1/checkout/sessions",
        Gateway::Paystack => "/transaction",
    };
    desk.look(path).await["data"].as_array().map_or(0, Vec::len)
}

async fn opening_twice_opens_one(desk: &Desk) {
    let payment = checkout(desk.gateway);
    let first = desk.clients.open(&payment).await.expect("opened");
    match (desk.gateway, desk.clients.open(&payment).await) {
        (Gateway::Stripe, Ok(second)) => assert_eq!(second, first),
        (Gateway::Paystack, Err(GatewayError::OpenedBefore)) => {}
        (_, other) => panic!("{other:?}"),
    }
    assert_eq!(pages(desk).await, 1);
    assert!(desk.visit(&opened_as(payment, first), Card::Pays).await.is_ok());
}

async fn an_open_page_waits_for_the_customer(desk: &Desk) {
    let payment = desk.opened().await;
    assert_eq!(desk.clients.find(&payment).await.expect("an answer"), Some(Outcome::Pending(Stage::Pending)));
}

async fn a_customer_who_paid_comes_back_with_the_payment(desk: &Desk) {
    let payment = desk.opened().await;
    let back = desk.visit(&payment, Card::Pays).await.expect("paid");
    let begins = format!("https://app.example/back?tab=billing&payment={}", payment.id);
    assert!(back.starts_with(&begins), "{back}");
}

async fn a_paid_page_leaves_a_receipt_and_a_method(desk: &Desk) {
    let payment = desk.paid().await;
    assert_eq!(receipt(desk.clients.find(&payment).await.expect("an answer")).amount, payment.amount);
    let method = desk.saved_by(&payment).await;
    let last4 = match desk.gateway {
        Gateway::Stripe => "4242",
        Gateway::Paystack => "4081",
    };
    assert_eq!((method.gateway, method.card.last4.as_str()), (desk.gateway, last4));
    assert_eq!(desk.charges(&payment).len(), 1);
}

async fn a_card_declined_on_the_page_leaves_it_payable(desk: &Desk) {
    let payment = desk.opened().await;
    assert_eq!(desk.visit(&payment, Card::Declines).await, Err(402));
    match desk.clients.find(&payment).await.expect("an answer") {
        Some(Outcome::Declined(decline)) => assert_eq!(decline.remedy, Remedy::RetryLater),
        other => panic!("{other:?}"),
    }
    assert!(desk.visit(&payment, Card::Pays).await.is_ok());
    assert_eq!(receipt(desk.clients.find(&payment).await.expect("an answer")).amount, payment.amount);
}

async fn another_amount_than_asked_for_is_told_as_it_is(desk: &Desk) {
    let payment = desk.opened().await;
    desk.fault("hosted", &json!({"kind": "wrong_amount", "minor": 1_234}), 1);
    assert!(desk.visit(&payment, Card::Pays).await.is_ok());
    let taken = Money { minor: 1_234, ..payment.amount };
    assert_eq!(receipt(desk.clients.find(&payment).await.expect("an answer")).amount, taken);
}

/// What a page on which nobody paid is once it was to be closed. Paystack's stays open, and says how it stands.
fn closed(gateway: Gateway, standing: Outcome) -> Outcome {
    match gateway {
        Gateway::Stripe => Outcome::Expired,
        Gateway::Paystack => standing,
    }
}

async fn closing_an_unpaid_page_ends_it_where_the_gateway_can(desk: &Desk) {
    let payment = desk.opened().await;
    let expected = closed(desk.gateway, Outcome::Pending(Stage::Pending));
    assert_eq!(desk.clients.close(&payment).await.expect("an answer"), Some(expected.clone()));
    assert_eq!(desk.clients.close(&payment).await.expect("an answer"), Some(expected), "twice is once");
    match desk.gateway {
        Gateway::Stripe => {
            assert!(desk.visit(&payment, Card::Pays).await.is_err());
            assert!(desk.charges(&payment).is_empty());
        }
        Gateway::Paystack => {
            assert!(desk.visit(&payment, Card::Pays).await.is_ok());
            receipt(desk.clients.find(&payment).await.expect("an answer"));
        }
    }
}

async fn closing_a_page_on_which_a_card_was_declined_ends_it_where_the_gateway_can(desk: &Desk) {
    let payment = desk.opened().await;
    assert_eq!(desk.visit(&payment, Card::Declines).await, Err(402));
    let standing = desk.clients.find(&payment).await.expect("an answer").expect("known");
    assert!(matches!(standing, Outcome::Declined(_)) || desk.gateway == Gateway::Stripe);
    let expected = closed(desk.gateway, standing);
    assert_eq!(desk.clients.close(&payment).await.expect("an answer"), Some(expected));
}

async fn closing_a_paid_page_finds_the_money(desk: &Desk) {
    let payment = desk.paid().await;
    assert_eq!(receipt(desk.clients.close(&payment).await.expect("an answer")).amount, payment.amount);
}

async fn closing_what_was_never_opened_finds_nothing(desk: &Desk) {
    assert_eq!(desk.clients.close(&checkout(desk.gateway)).await.expect("an answer"), None);
}

async fn a_page_whose_opening_was_not_answered_is_opened_once(desk: &Desk) {
    let payment = checkout(desk.gateway);
    desk.fault("checkout", &json!({"kind": "timeout_after", "ms": 20}), 1);
    assert!(matches!(desk.clients.open(&payment).await, Err(GatewayError::NoAnswer(_))));
    match (desk.gateway, desk.clients.open(&payment).await) {
        (Gateway::Stripe, Ok(_)) | (Gateway::Paystack, Err(GatewayError::OpenedBefore)) => {}
        (_, other) => panic!("{other:?}"),
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
    assert_eq!(desk.clients.find(&payment).await.expect("an answer"), Some(Outcome::Pending(Stage::Pending)));
    assert!(desk.visit(&payment, Card::Pays).await.is_ok());
    assert_eq!(receipt(desk.clients.find(&payment).await.expect("an answer")).amount, payment.amount);
    desk.saved_by(&payment).await;
    assert_eq!(receipt(desk.clients.close(&payment).await.expect("an answer")).amount, payment.amount);
}

#[tokio::test]
async fn a_client_secret_that_was_closed_pays_nothing_any_more() {
    let (desk, payment) = secret().await;
    assert_eq!(desk.clients.close(&payment).await.expect("an answer"), Some(Outcome::Expired));
    assert!(desk.visit(&payment, Card::Pays).await.is_err());
    assert!(desk.charges(&payment).is_empty());
}
