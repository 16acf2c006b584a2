//! Charges of a saved method, without the customer.

use super::desk::{Desk, receipt, renewal};
use billing::money::Money;
use billing::outcome::{Decline, Outcome, Remedy};
use billing::payment::{Gateway, Payment};
use billing::ports::{GatewayError, Gateways};
use billing::wallet::Method;
use futures::future::join_all;
use serde_json::json;

promises![
    a_saved_method_is_charged_without_the_customer,
    a_charge_that_was_never_made_is_unknown,
    one_payment_is_charged_once_however_often_it_is_sent,
    one_payment_sent_by_several_at_once_is_charged_once,
    a_decline_says_what_may_help,
    a_charge_that_wants_the_customer_is_theirs_to_mend,
    a_declined_payment_sent_again_is_still_declined,
    looking_a_charge_up_says_what_charging_said,
    a_method_that_the_gateway_does_not_know_is_of_no_use,
    a_method_that_its_owner_took_away_is_of_no_use,
    a_method_of_someone_else_is_of_no_use,
    another_amount_than_asked_for_is_told_as_it_is,
    a_payment_is_found_among_many_of_its_customer,
    keys_that_are_refused_are_not_a_decline,
];

fn declined(outcome: Outcome) -> Decline {
    let Outcome::Declined(decline) = outcome else { panic!("not a decline: {outcome:?}") };
    decline
}

async fn a_saved_method_is_charged_without_the_customer(desk: &Desk) {
    let payment = renewal(&desk.saved().await, 1);
    let taken = receipt(Some(desk.clients.charge(&payment).await.expect("an answer")));
    assert_eq!(taken.amount, payment.amount);
    let charges = desk.charges(&payment);
    assert_eq!((charges.len(), &charges[0]["off_session"]), (1, &json!(true)));
    assert_eq!(charges[0]["amount"]["minor"], payment.amount.minor);
}

async fn a_charge_that_was_never_made_is_unknown(desk: &Desk) {
    let payment = renewal(&desk.saved().await, 1);
    assert_eq!(desk.clients.find(&payment).await.expect("an answer"), None);
}

async fn one_payment_is_charged_once_however_often_it_is_sent(desk: &Desk) {
    let payment = renewal(&desk.saved().await, 1);
    let first = receipt(Some(desk.clients.charge(&payment).await.expect("an answer")));
    for _ in 0..3 {
        assert_eq!(receipt(Some(desk.clients.charge(&payment).await.expect("an answer"))), first);
    }
    assert_eq!(desk.charges(&payment).len(), 1);
}

async fn one_payment_sent_by_several_at_once_is_charged_once(desk: &Desk) {
    let payment = renewal(&desk.saved().await, 1);
    desk.fault("off_session", &json!({"kind": "delay", "ms": 50}), 1);
    for answer in join_all((0..5).map(|_| desk.clients.charge(&payment))).await {
        match answer {
            Ok(outcome) => assert_eq!(receipt(Some(outcome)).amount, payment.amount),
            // One is under way: whether it succeeds is not known yet.
            Err(GatewayError::NoAnswer(_)) => {}
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!(desk.charges(&payment).len(), 1);
    assert_eq!(receipt(desk.clients.find(&payment).await.expect("an answer")).amount, payment.amount);
}

async fn a_decline_says_what_may_help(desk: &Desk) {
    let method = desk.saved().await;
    let cases = [
        ("insufficient_funds", Remedy::RetryLater),
        ("do_not_honor", Remedy::RetryLater),
        ("processing_error", Remedy::RetryLater),
        ("lost_card", Remedy::NewMethod),
        ("stolen_card", Remedy::NewMethod),
        ("restricted_card", Remedy::NewMethod),
    ];
    // Stripe advises to ask for the new date, which is as good: the same card is not tried again.
    let expired = match desk.gateway {
        Gateway::Stripe => Remedy::AskCustomer,
        Gateway::Paystack => Remedy::NewMethod,
    };
    for (attempt, (code, remedy)) in (1..).zip(cases.into_iter().chain([("expired_card", expired)])) {
        desk.fault("off_session", &json!({"kind": "decline", "code": code}), 1);
        let decline = declined(desk.clients.charge(&renewal(&method, attempt)).await.expect("an answer"));
        assert_eq!(decline.remedy, remedy, "{code}");
        assert!(desk.charges(&renewal(&method, attempt)).is_empty());
    }
}

async fn a_charge_that_wants_the_customer_is_theirs_to_mend(desk: &Desk) {
    let payment = renewal(&desk.saved().await, 1);
    desk.fault("off_session", &json!({"kind": "require_action"}), 1);
    assert_eq!(declined(desk.clients.charge(&payment).await.expect("an answer")).remedy, Remedy::AskCustomer);
    assert!(desk.charges(&payment).is_empty());
}

async fn a_declined_payment_sent_again_is_still_declined(desk: &Desk) {
    let payment = renewal(&desk.saved().await, 1);
    desk.fault("off_session", &json!({"kind": "decline", "code": "insufficient_funds"}), 1);
    let first = declined(desk.clients.charge(&payment).await.expect("an answer"));
    assert_eq!(declined(desk.clients.charge(&payment).await.expect("an answer")), first);
    assert!(desk.charges(&payment).is_empty());
}

/// Whoever lost the answer to a charge looks it up, and must conclude the same.
async fn looking_a_charge_up_says_what_charging_said(desk: &Desk) {
    let method = desk.saved().await;
    let faults = [
        None,
        Some(json!({"kind": "decline", "code": "insufficient_funds"})),
        Some(json!({"kind": "decline", "code": "stolen_card"})),
        Some(json!({"kind": "require_action"})),
    ];
    for (attempt, fault) in (1..).zip(faults) {
        let payment = renewal(&method, attempt);
        if let Some(fault) = &fault {
            desk.fault("off_session", fault, 1);
        }
        let said = desk.clients.charge(&payment).await.expect("an answer");
        let found = desk.clients.find(&payment).await.expect("an answer").expect("known");
        match (&said, &found) {
            (Outcome::Succeeded { receipt, .. }, Outcome::Succeeded { receipt: same, .. }) => assert_eq!(receipt, same),
            _ => assert_eq!(said, found, "{fault:?}"),
        }
    }
}

async fn a_method_that_the_gateway_does_not_know_is_of_no_use(desk: &Desk) {
    let known = desk.saved().await;
    let token = match desk.gateway {
        Gateway::Stripe => "pm_1NoSuchMethod",
        Gateway::Paystack => "AUTH_nosuchcode",
    };
    let payment = renewal(&Method { token: token.to_owned(), ..known }, 1);
    assert_eq!(declined(desk.clients.charge(&payment).await.expect("an answer")).remedy, Remedy::NewMethod);
    assert_eq!(desk.clients.find(&payment).await.expect("an answer"), None);
}

async fn a_method_that_its_owner_took_away_is_of_no_use(desk: &Desk) {
    let method = desk.saved().await;
    desk.clients.charge(&renewal(&method, 1)).await.expect("an answer");
    desk.take_away(&method).await;
    let payment = renewal(&method, 2);
    assert_eq!(declined(desk.clients.charge(&payment).await.expect("an answer")).remedy, Remedy::NewMethod);
    assert!(desk.charges(&payment).is_empty());
}

async fn a_method_of_someone_else_is_of_no_use(desk: &Desk) {
    let known = desk.saved().await;
    let payer = match desk.gateway {
        Gateway::Stripe => {
            let other = super::desk::checkout_with(Gateway::Stripe, billing::payment::CheckoutMethod::ClientSecret);
            let mut other = Payment { reference: renewal(&known, 9).reference, ..other };
            if let billing::payment::Collection::Checkout { payer, .. } = &mut other.collection {
                payer.email = Some("else@globex.example".to_owned());
            }
            let opened = desk.clients.open(&other).await.expect("opened");
            desk.look(&format!("/v1/payment_intents/{}", opened.id)).await["customer"].as_str().map(str::to_owned)
        }
        Gateway::Paystack => Some("else@globex.example".to_owned()),
    };
    let payment = renewal(&Method { payer: payer.expect("another payer"), ..known }, 1);
    assert_eq!(declined(desk.clients.charge(&payment).await.expect("an answer")).remedy, Remedy::NewMethod);
    assert!(desk.charges(&payment).is_empty());
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
    desk.fault("off_session", &json!({"kind": "wrong_amount", "minor": 1_234}), 1);
    let taken = Money { minor: 1_234, ..payment.amount };
    assert_eq!(receipt(Some(desk.clients.charge(&payment).await.expect("an answer"))).amount, taken);
    assert_eq!(receipt(desk.clients.find(&payment).await.expect("an answer")).amount, taken);
}

async fn a_payment_is_found_among_many_of_its_customer(desk: &Desk) {
    let method = desk.saved().await;
    let first = receipt(Some(desk.clients.charge(&renewal(&method, 1)).await.expect("an answer")));
    for attempt in 2..=120 {
        desk.clients.charge(&renewal(&method, attempt)).await.expect("an answer");
    }
    assert_eq!(receipt(desk.clients.find(&renewal(&method, 1)).await.expect("an answer")), first);
    assert_eq!(desk.clients.find(&renewal(&method, 121)).await.expect("an answer"), None);
}

/// I-3: a key that was revoked says nothing about a card.
async fn keys_that_are_refused_are_not_a_decline(desk: &Desk) {
    let method = desk.saved().await;
    let changed = json!({"stripe": {"secret_key": "sk_test_other"}, "paystack": {"secret_key": "sk_test_other"}});
    desk.admin("configure", &changed);
    let payment = renewal(&method, 1);
    assert!(matches!(desk.clients.charge(&payment).await, Err(GatewayError::Rejected(_))));
    assert!(matches!(desk.clients.find(&payment).await, Err(GatewayError::Rejected(_))));
    let refused = desk.clients.find(&payment).await.map_or_else(|error| error.to_string(), |_| String::new());
    assert!(!refused.contains("sk_"), "{refused}");
}
