//! Methods that are left without buying, and methods that are to be forgotten.

use super::customer::Card;
use super::desk::Desk;
use super::payments::{declined, opened_as, owing, part, receipt, renewal, settled, setup};
use billing::money::{Currency, Money};
use billing::outcome::{Outcome, RefundOutcome, Remedy, Stage};
use billing::payment::{Gateway, Payment};
use billing::ports::{GatewayError, Gateways};
use billing::wallet::Method;
use serde_json::json;

promises![
    a_setup_leaves_a_method_and_takes_no_money_for_good,
    a_setup_waits_for_the_customer_and_can_be_closed,
    a_setup_is_made_once_however_often_it_is_opened_and_looked_at,
    a_card_that_is_declined_leaves_no_method,
    what_proves_a_method_is_named_by_currency,
    a_method_is_forgotten_once_and_for_all,
    a_forgetting_that_is_not_answered_is_told_as_such,
];

async fn opened(desk: &Desk) -> Payment {
    let payment = setup(&desk.clients, desk.gateway);
    desk.clients.accepts(&payment).expect("accepted");
    let opened = desk.clients.open(&payment).await.expect("opened");
    opened_as(payment, opened)
}

fn left(outcome: Outcome) -> Method {
    let Outcome::Succeeded { method: Some(method), .. } = outcome else { panic!("no method was left: {outcome:?}") };
    method
}

/// Minor units of `payment` that went back.
async fn returned(desk: &Desk, payment: &Payment) -> i64 {
    let outcome = desk.found(payment).await;
    let Outcome::Succeeded { aftermath, .. } = outcome else { panic!("{outcome:?}") };
    aftermath.returned
}

async fn a_setup_leaves_a_method_and_takes_no_money_for_good(desk: &Desk) {
    let payment = opened(desk).await;
    let outcome = desk.pay(&payment, Card::Pays).await;
    let method = left(outcome.clone());
    let receipt = receipt(outcome);
    assert_eq!(receipt.amount, payment.amount);
    match desk.gateway {
        Gateway::Stripe | Gateway::PayPal => assert_eq!((payment.amount.minor, desk.charges(&payment).len()), (0, 0)),
        // Held, and let go by Flitt itself.
        Gateway::Flitt => assert_eq!(returned(desk, &payment).await, payment.amount.minor),
        // An ordinary charge, that we give back.
        Gateway::Paystack => {
            let payment = settled(payment, receipt);
            let whole = part(&payment, 1, payment.amount.minor);
            let owed = owing(payment, std::slice::from_ref(&whole));
            let answer = desk.clients.refund(&owed, &whole).await.expect("an answer");
            assert!(matches!(answer, RefundOutcome::Pending | RefundOutcome::Done { .. }), "{answer:?}");
            desk.admin("clock", &json!({"advance_seconds": 10}));
            assert_eq!(super::aftermath::returned_at_last(desk, &owed).await, owed.amount.minor);
        }
    }
    let renewal = renewal(&method, 1);
    let charged = desk.clients.charge(&renewal).await.expect("an answer");
    assert_eq!(super::payments::receipt(charged).amount, renewal.amount);
}

async fn a_setup_waits_for_the_customer_and_can_be_closed(desk: &Desk) {
    let payment = opened(desk).await;
    assert_eq!(desk.found(&payment).await, Outcome::Pending(Stage::Pending));
    let closed = super::payments::known(desk.clients.close(&payment).await.expect("an answer"));
    match desk.gateway {
        Gateway::Stripe | Gateway::PayPal => assert_eq!(closed, Outcome::Expired),
        Gateway::Paystack | Gateway::Flitt => assert_eq!(closed, Outcome::Pending(Stage::Pending)),
    }
    assert!(desk.charges(&payment).is_empty());
}

async fn a_setup_is_made_once_however_often_it_is_opened_and_looked_at(desk: &Desk) {
    let payment = opened(desk).await;
    match desk.clients.open(&payment).await {
        Ok(again) => assert_eq!(Some(&again), payment.opened()),
        Err(error) => assert!(matches!(error, GatewayError::OpenedBefore), "{error:?}"),
    }
    let method = left(desk.pay(&payment, Card::Pays).await);
    for _ in 0..2 {
        assert_eq!(left(desk.found(&payment).await), method);
    }
}

/// PayPal only saves: that a source in the wallet declines shows when it is charged.
async fn a_card_that_is_declined_leaves_no_method(desk: &Desk) {
    if desk.gateway == Gateway::PayPal {
        return;
    }
    let payment = opened(desk).await;
    declined(desk.fail_to_pay(&payment).await);
    left(desk.pay(&payment, Card::Pays).await);
}

async fn what_proves_a_method_is_named_by_currency(desk: &Desk) {
    let amount = |code: &str| {
        let currency = Currency::from_code(code).expect(code);
        desk.clients.setup_amount(desk.gateway, currency).map(|Money { minor, .. }| minor)
    };
    let (taken, untaken): (&[(&str, i64)], _) = match desk.gateway {
        Gateway::Stripe => (&[("USD", 0), ("NGN", 0)], "UGX"),
        Gateway::Paystack => (&[("NGN", 5_000), ("GHS", 10)], "GEL"),
        Gateway::Flitt => (&[("GEL", 100), ("USD", 100)], "NGN"),
        Gateway::PayPal => (&[("USD", 0), ("JPY", 0)], "GEL"),
    };
    for (code, minor) in taken {
        assert_eq!(amount(code).ok(), Some(*minor), "{code}");
    }
    assert!(matches!(amount(untaken), Err(GatewayError::Unacceptable { field: "currency", .. })));
}

async fn a_method_is_forgotten_once_and_for_all(desk: &Desk) {
    let method = desk.saved().await;
    for _ in 0..2 {
        desk.clients.forget(&method).await.expect("forgotten");
    }
    // Flitt keeps no list of methods: what nobody holds is charged by nobody.
    if desk.gateway != Gateway::Flitt {
        let payment = renewal(&method, 1);
        let decline = declined(desk.clients.charge(&payment).await.expect("an answer"));
        assert_eq!(decline.remedy, Remedy::NewMethod);
        assert!(desk.charges(&payment).is_empty());
    }
}

async fn a_forgetting_that_is_not_answered_is_told_as_such(desk: &Desk) {
    if desk.gateway == Gateway::Flitt {
        return;
    }
    let method = desk.saved().await;
    desk.fault("any", &json!({"kind": "error_500"}));
    let told = desk.clients.forget(&method).await;
    assert!(matches!(told, Err(GatewayError::NoAnswer(_))), "{told:?}");
    match desk.clients.forget(&method).await {
        Ok(()) => {}
        // Stripe answers a key's first 500 again; a method is detached without a key.
        Err(error) => panic!("{error}"),
    }
}
