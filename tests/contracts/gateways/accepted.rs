//! What a gateway could take at all, said before anything is recorded.

use super::customer::Card;
use super::desk::Desk;
use super::payments::{checkout, checkout_with, numbered, receipt};
use billing::money::{Currency, Money};
use billing::payment::{CheckoutMethod, Collection, Gateway, Payer, Payment};
use billing::ports::{GatewayError, Gateways};
use platform::gateways::Clients;

promises![an_ordinary_checkout_is_accepted, a_currency_that_the_gateway_does_not_take_is_refused_by_name];

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
        Gateway::Flitt => (["NGN", "GBP", "JPY"], ["GEL", "USD", "EUR"]),
        Gateway::PayPal => (["GEL", "NGN", "KWD"], ["USD", "JPY", "HUF"]),
    };
    for currency in untaken {
        let payment = costing(100_000, currency, checkout(desk.gateway));
        assert_eq!(refused_field(desk.clients.accepts(&payment)), "currency", "{currency}");
    }
    for (attempt, currency) in (1..).zip(taken) {
        let payment = numbered(costing(100_000, currency, checkout(desk.gateway)), (1, 0, attempt));
        desk.clients.accepts(&payment).unwrap_or_else(|error| panic!("{currency}: {error}"));
        let payment = desk.open_page(payment).await;
        assert_eq!(receipt(desk.pay(&payment, Card::Pays).await).amount, payment.amount);
    }
}

fn nowhere(mut payment: Payment) -> Payment {
    if let Collection::Checkout { return_url, .. } = &mut payment.collection {
        *return_url = None;
    }
    payment
}

#[tokio::test]
async fn a_page_that_sends_customers_back_needs_to_know_where() {
    for (gateway, field) in [
        (Gateway::Stripe, Some("return_url")),
        (Gateway::Paystack, None),
        (Gateway::Flitt, None),
        (Gateway::PayPal, Some("return_url")),
    ] {
        let desk = Desk::open(gateway).await;
        let accepted = desk.clients.accepts(&nowhere(checkout(gateway)));
        assert_eq!(accepted.is_err().then(|| refused_field(accepted)), field, "{gateway:?}");
    }
    let desk = Desk::open(Gateway::Stripe).await;
    desk.clients.accepts(&nowhere(checkout_with(Gateway::Stripe, CheckoutMethod::ClientSecret))).expect("accepted");
}

#[tokio::test]
async fn a_way_to_pay_that_the_gateway_does_not_have_is_refused() {
    let all = [CheckoutMethod::ClientSecret, CheckoutMethod::BankTransfer, CheckoutMethod::VirtualAccount];
    for gateway in Gateway::ALL {
        let desk = Desk::open(gateway).await;
        for method in all {
            let accepted = desk.clients.accepts(&checkout_with(gateway, method));
            match (gateway, method) {
                (Gateway::Stripe, CheckoutMethod::ClientSecret)
                | (Gateway::Paystack, CheckoutMethod::BankTransfer | CheckoutMethod::VirtualAccount) => {
                    accepted.unwrap_or_else(|error| panic!("{gateway:?} {method:?}: {error}"));
                }
                _ => assert_eq!(refused_field(accepted), "method", "{gateway:?} {method:?}"),
            }
        }
    }
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
async fn paypal_refuses_parts_of_what_it_takes_whole() {
    let desk = Desk::open(Gateway::PayPal).await;
    assert_eq!(refused_field(desk.clients.accepts(&costing(150_050, "HUF", checkout(Gateway::PayPal)))), "plan");
}

#[tokio::test]
async fn paystack_needs_an_e_mail() {
    let desk = Desk::open(Gateway::Paystack).await;
    let mut unknown = checkout(Gateway::Paystack);
    if let Collection::Checkout { payer, .. } = &mut unknown.collection {
        *payer = Payer { email: None, known_as: None, holder: None };
    }
    assert_eq!(refused_field(desk.clients.accepts(&unknown)), "gateway");
}

#[tokio::test]
async fn a_gateway_without_keys_is_said_to_be_not_configured() {
    for gateway in Gateway::ALL {
        let (none, payment) = (Clients::default(), checkout(gateway));
        assert!(!none.is_configured(gateway) && !none.answers(gateway).await);
        assert!(matches!(none.accepts(&payment), Err(GatewayError::NotConfigured(it)) if it == gateway));
        assert!(matches!(none.open(&payment).await, Err(GatewayError::NotConfigured(_))));
        assert!(matches!(none.find(&payment, None).await, Err(GatewayError::NotConfigured(_))));
    }
}
