//! Charges of a saved method, without the customer.

use super::desk::Desk;
use super::payments::{checkout, checkout_with, declined, numbered, receipt, renewal};
use billing::money::Money;
use billing::outcome::{Outcome, Remedy, Sighting};
use billing::payment::{CheckoutMethod, Collection, Gateway, Payment};
use billing::ports::{GatewayError, Gateways};
use billing::wallet::Method;
use futures::future::join_all;
use serde_json::json;

promises![
    a_saved_method_is_charged_without_the_customer,
    a_charge_that_was_never_made_is_unknown,
    one_payment_is_charged_once_however_often_it_is_sent,
    one_payment_sent_by_several_at_once_is_charged_once,
    looking_a_charge_up_says_what_charging_said,
    a_method_that_the_gateway_does_not_know_is_of_no_use,
    a_method_that_its_owner_took_away_is_of_no_use,
    another_amount_than_asked_for_is_told_as_it_is,
    keys_that_are_refused_are_not_a_decline,
    the_least_that_we_charge_is_taken,
];

/// Whatever is left of a price once a balance was used: less than this is left to the next invoice.
async fn the_least_that_we_charge_is_taken(desk: &Desk) {
    let payment = renewal(&desk.saved().await, 1);
    let of = |minor| Money { minor, ..payment.amount };
    let least = (1..).map(of).find(|amount| amount.chargeable() == *amount).expect("an amount");
    let small = Payment { amount: least, ..payment.clone() };
    assert_eq!(receipt(desk.clients.charge(&small).await.expect("an answer")).amount, least);
    // What Stripe takes nothing of is declined, and ours to mend: it is not asked about for days.
    if desk.gateway == Gateway::Stripe {
        let smaller = Payment { amount: of(1), ..renewal(&desk.saved().await, 2) };
        let Ok(Outcome::Declined(decline)) = desk.clients.charge(&smaller).await else { panic!("it is declined") };
        assert_eq!((decline.code.as_str(), decline.remedy), ("amount_too_small", Remedy::OurFault));
    }
}

async fn a_saved_method_is_charged_without_the_customer(desk: &Desk) {
    let payment = renewal(&desk.saved().await, 1);
    let taken = receipt(desk.clients.charge(&payment).await.expect("an answer"));
    assert_eq!(taken.amount, payment.amount);
    let charges = desk.charges(&payment);
    assert_eq!((charges.len(), &charges[0]["off_session"]), (1, &json!(true)));
    assert_eq!(charges[0]["amount"]["minor"], payment.amount.minor);
}

/// PayPal cannot be asked by our name for it.
async fn a_charge_that_was_never_made_is_unknown(desk: &Desk) {
    let payment = renewal(&desk.saved().await, 1);
    let unknown = match desk.gateway {
        Gateway::Stripe | Gateway::Paystack | Gateway::Flitt => Sighting::NeverHeard,
        Gateway::PayPal => Sighting::CannotTell,
    };
    assert_eq!(desk.clients.find(&payment, None).await.expect("an answer"), unknown);
    assert!(desk.charges(&payment).is_empty());
}

async fn one_payment_is_charged_once_however_often_it_is_sent(desk: &Desk) {
    let payment = renewal(&desk.saved().await, 1);
    let first = receipt(desk.clients.charge(&payment).await.expect("an answer"));
    for _ in 0..3 {
        assert_eq!(receipt(desk.clients.charge(&payment).await.expect("an answer")), first);
    }
    assert_eq!(desk.charges(&payment).len(), 1);
}

async fn one_payment_sent_by_several_at_once_is_charged_once(desk: &Desk) {
    let payment = renewal(&desk.saved().await, 1);
    desk.fault("off_session", &json!({"kind": "delay", "ms": 50}));
    for answer in join_all((0..5).map(|_| desk.clients.charge(&payment))).await {
        match answer {
            Ok(outcome) => assert_eq!(receipt(outcome).amount, payment.amount),
            // One is under way: whether it succeeds is not known yet.
            Err(GatewayError::NoAnswer(_)) => {}
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!(desk.charges(&payment).len(), 1);
    assert_eq!(receipt(desk.became(&payment).await.expect("an answer")).amount, payment.amount);
}

/// Whoever lost the answer to a charge asks what became of it, and must conclude the same.
async fn looking_a_charge_up_says_what_charging_said(desk: &Desk) {
    let method = desk.saved().await;
    let [later, never] = match desk.gateway {
        Gateway::Stripe | Gateway::Paystack => ["insufficient_funds", "stolen_card"],
        Gateway::Flitt => ["1037", "1042"],
        Gateway::PayPal => ["TRANSACTION_LIMIT_EXCEEDED", "PAYER_ACCOUNT_RESTRICTED"],
    };
    let faults = [
        None,
        Some(json!({"kind": "decline", "code": later})),
        Some(json!({"kind": "decline", "code": never})),
        Some(json!({"kind": "require_action"})),
    ];
    for (attempt, fault) in (1..).zip(faults) {
        let payment = renewal(&method, attempt);
        if let Some(fault) = &fault {
            desk.fault("off_session", fault);
        }
        let said = desk.clients.charge(&payment).await.expect("an answer");
        let found = desk.became(&payment).await.expect("an answer");
        match (&said, &found) {
            (Outcome::Succeeded { receipt, .. }, Outcome::Succeeded { receipt: same, .. }) => assert_eq!(receipt, same),
            (Outcome::Declined(said), Outcome::Declined(found)) => {
                assert_eq!((&said.code, said.remedy), (&found.code, found.remedy), "{fault:?}");
            }
            _ => panic!("{said:?} and {found:?}"),
        }
    }
}

async fn a_method_that_the_gateway_does_not_know_is_of_no_use(desk: &Desk) {
    let known = desk.saved().await;
    let token = match desk.gateway {
        Gateway::Stripe => "pm_1NoSuchMethod",
        Gateway::Paystack => "AUTH_nosuchcode",
        Gateway::Flitt => "NoSuchRectoken00000000000000000000000000000000",
        Gateway::PayPal => "nosuch99",
    };
    let payment = renewal(&Method { token: token.to_owned(), ..known }, 1);
    assert_eq!(declined(desk.clients.charge(&payment).await.expect("an answer")).remedy, Remedy::NewMethod);
    let sighting = desk.clients.find(&payment, None).await.expect("an answer");
    assert!(matches!(sighting, Sighting::NeverHeard | Sighting::CannotTell), "{sighting:?}");
}

async fn a_method_that_its_owner_took_away_is_of_no_use(desk: &Desk) {
    let method = desk.saved().await;
    desk.clients.charge(&renewal(&method, 1)).await.expect("an answer");
    desk.take_away(&method).await;
    let payment = renewal(&method, 2);
    assert_eq!(declined(desk.clients.charge(&payment).await.expect("an answer")).remedy, Remedy::NewMethod);
    assert!(desk.charges(&payment).is_empty());
}

/// Flitt and PayPal know a method by its token alone.
#[tokio::test]
async fn a_method_of_someone_else_is_of_no_use() {
    for gateway in [Gateway::Stripe, Gateway::Paystack] {
        let desk = Desk::open(gateway).await;
        let known = desk.saved().await;
        let payer = match gateway {
            Gateway::Stripe => {
                let mut other = numbered(checkout_with(gateway, CheckoutMethod::ClientSecret), (1, 1, 9));
                if let Collection::Checkout { payer, .. } = &mut other.collection {
                    payer.email = Some("else@globex.example".to_owned());
                }
                let opened = desk.clients.open(&other).await.expect("opened");
                desk.look(&format!("/v1/payment_intents/{}", opened.id)).await["customer"].as_str().map(str::to_owned)
            }
            Gateway::Paystack | Gateway::Flitt | Gateway::PayPal => Some("else@globex.example".to_owned()),
        };
        let payment = renewal(&Method { payer: payer.expect("another payer"), ..known }, 1);
        assert_eq!(declined(desk.clients.charge(&payment).await.expect("an answer")).remedy, Remedy::NewMethod);
        assert!(desk.charges(&payment).is_empty());
    }
}

#[tokio::test]
async fn a_method_of_a_customer_whom_stripe_does_not_know_is_of_no_use() {
    let desk = Desk::open(Gateway::Stripe).await;
    let gone = Method { payer: "cus_NoSuchCustomer".to_owned(), ..desk.saved().await };
    let payment = renewal(&gone, 1);
    assert_eq!(declined(desk.clients.charge(&payment).await.expect("an answer")).remedy, Remedy::NewMethod);
}

async fn another_amount_than_asked_for_is_told_as_it_is(desk: &Desk) {
    let payment = renewal(&desk.saved().await, 1);
    desk.fault("off_session", &json!({"kind": "wrong_amount", "minor": 1_234}));
    let taken = Money { minor: 1_234, ..payment.amount };
    assert_eq!(receipt(desk.clients.charge(&payment).await.expect("an answer")).amount, taken);
    assert_eq!(receipt(desk.became(&payment).await.expect("an answer")).amount, taken);
}

#[tokio::test]
async fn a_payment_is_found_among_many_of_its_customer() {
    for gateway in [Gateway::Stripe, Gateway::Paystack, Gateway::Flitt] {
        let desk = Desk::open(gateway).await;
        let method = desk.saved().await;
        let first = receipt(desk.clients.charge(&renewal(&method, 1)).await.expect("an answer"));
        for attempt in 2..=120 {
            desk.clients.charge(&renewal(&method, attempt)).await.expect("an answer");
        }
        assert_eq!(receipt(desk.found(&renewal(&method, 1)).await), first);
        let unknown = desk.clients.find(&renewal(&method, 121), None).await.expect("an answer");
        assert_eq!(unknown, Sighting::NeverHeard);
    }
}

/// I-3: a key that was revoked says nothing about a card.
async fn keys_that_are_refused_are_not_a_decline(desk: &Desk) {
    let payment = renewal(&desk.saved().await, 1);
    let page = desk.open_page(numbered(checkout(desk.gateway), (1, 0, 2))).await;
    match desk.gateway {
        Gateway::Stripe | Gateway::Paystack => desk.configure(&json!({"secret_key": "sk_test_other"})),
        Gateway::Flitt => desk.configure(&json!({"payment_key": "other"})),
        Gateway::PayPal => {
            desk.configure(&json!({"client_secret": "other"}));
            desk.admin("paypal/expire-tokens", &json!({}));
        }
    }
    let refused = [desk.clients.charge(&payment).await.err(), desk.clients.find(&page, None).await.err()];
    for refused in refused {
        let Some(GatewayError::Rejected(why)) = refused else { panic!("{refused:?}") };
        assert!(!["sk_", "simulator", "other"].iter().any(|part| why.contains(part)), "{why}");
    }
}
