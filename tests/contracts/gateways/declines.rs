//! Why a charge is declined, and what may help: of every class, at every gateway.

use super::customer::Card;
use super::desk::Desk;
use super::payments::{address, declined, known, receipt, renewal};
use billing::outcome::{Outcome, Remedy, Sighting};
use billing::payment::{Address, Gateway, Payment, PaymentStatus};
use billing::ports::Gateways;
use billing::wallet::Method;
use jiff::Timestamp;
use serde_json::json;

promises![
    a_decline_says_what_may_help,
    a_declined_payment_sent_again_is_still_declined,
    a_charge_that_wants_the_customer_is_theirs_to_mend,
];

/// What the bank is ordered to say, and what helps.
const fn said(gateway: Gateway) -> &'static [(&'static str, Remedy)] {
    match gateway {
        Gateway::Stripe => &[
            ("insufficient_funds", Remedy::RetryLater),
            ("processing_error", Remedy::RetryLater),
            ("do_not_honor", Remedy::FewTries),
            ("lost_card", Remedy::NewMethod),
            ("stolen_card", Remedy::NewMethod),
            ("restricted_card", Remedy::NewMethod),
            // Stripe advises to ask for the new date, which is as good: the same card is not tried again.
            ("expired_card", Remedy::AskCustomer),
            ("invalid_amount", Remedy::OurFault),
        ],
        Gateway::Paystack => &[
            ("insufficient_funds", Remedy::RetryLater),
            ("processing_error", Remedy::RetryLater),
            ("timeout", Remedy::RetryLater),
            ("do_not_honor", Remedy::FewTries),
            ("lost_card", Remedy::NewMethod),
            ("restricted_card", Remedy::NewMethod),
            ("expired_card", Remedy::NewMethod),
            ("incorrect_pin", Remedy::AskCustomer),
            ("token_not_generated", Remedy::AskCustomer),
        ],
        Gateway::Flitt => &[
            ("1037", Remedy::RetryLater),
            ("1066", Remedy::RetryLater),
            ("1000", Remedy::FewTries),
            ("1004", Remedy::FewTries),
            ("1042", Remedy::NewMethod),
            ("1044", Remedy::NewMethod),
            ("1082", Remedy::NewMethod),
            ("1105", Remedy::AskCustomer),
            ("1120", Remedy::OurFault),
        ],
        Gateway::PayPal => &[
            ("TRANSACTION_LIMIT_EXCEEDED", Remedy::RetryLater),
            ("INSTRUMENT_DECLINED", Remedy::FewTries),
            ("TRANSACTION_REFUSED", Remedy::FewTries),
            ("PAYER_ACCOUNT_RESTRICTED", Remedy::NewMethod),
            ("PAYER_ACCOUNT_LOCKED_OR_CLOSED", Remedy::NewMethod),
            ("PAYER_ACTION_REQUIRED", Remedy::AskCustomer),
            ("PAYEE_ACCOUNT_RESTRICTED", Remedy::OurFault),
        ],
    }
}

async fn a_decline_says_what_may_help(desk: &Desk) {
    let method = desk.saved().await;
    for (attempt, (code, remedy)) in (1..).zip(said(desk.gateway)) {
        desk.fault("off_session", &json!({"kind": "decline", "code": code}));
        let decline = declined(desk.clients.charge(&renewal(&method, attempt)).await.expect("an answer"));
        assert_eq!(decline.remedy, *remedy, "{code}: {decline:?}");
        assert!(desk.charges(&renewal(&method, attempt)).is_empty());
    }
    let payment = renewal(&method, 99);
    assert_eq!(receipt(desk.clients.charge(&payment).await.expect("an answer")).amount, payment.amount);
}

async fn a_declined_payment_sent_again_is_still_declined(desk: &Desk) {
    let (code, _) = said(desk.gateway)[0];
    let payment = renewal(&desk.saved().await, 1);
    desk.fault("off_session", &json!({"kind": "decline", "code": code}));
    let first = declined(desk.clients.charge(&payment).await.expect("an answer"));
    assert_eq!(declined(desk.clients.charge(&payment).await.expect("an answer")), first);
    assert!(desk.charges(&payment).is_empty());
}

/// The networks' advice comes with Stripe's declines.
#[tokio::test]
async fn a_wait_that_the_network_advises_is_told() {
    let desk = Desk::open(Gateway::Stripe).await;
    let method = desk.saved().await;
    for (attempt, (code, wait_h)) in (1..).zip([("insufficient_funds", Some(24)), ("processing_error", None)]) {
        desk.fault("off_session", &json!({"kind": "decline", "code": code}));
        let decline = declined(desk.clients.charge(&renewal(&method, attempt)).await.expect("an answer"));
        assert_eq!((decline.wait_h, decline.link), (wait_h, None), "{code}");
    }
}

/// A method whose bank wants to see the customer is saved, and declines for want of them.
#[tokio::test]
async fn cards_that_always_want_their_owner_are_declined_without_them() {
    let desk = Desk::open(Gateway::Stripe).await;
    let payment = desk.opened().await;
    let Address::CheckoutUrl(url) = address(&payment) else { panic!("a page") };
    desk.http.post(url).form(&[("action", "pay"), ("card", "4000002760003184")]).send().await.expect("a page");
    let renewal = renewal(&desk.saved_by(&payment).await, 1);
    let decline = declined(desk.clients.charge(&renewal).await.expect("an answer"));
    assert_eq!((decline.code.as_str(), decline.remedy), ("authentication_required", Remedy::AskCustomer));
    assert!(desk.charges(&renewal).is_empty());
}

async fn a_charge_that_wants_the_customer_is_theirs_to_mend(desk: &Desk) {
    let payment = renewal(&desk.saved().await, 1);
    desk.fault("off_session", &json!({"kind": "require_action"}));
    let decline = declined(desk.clients.charge(&payment).await.expect("an answer"));
    assert_eq!(decline.remedy, Remedy::AskCustomer);
    // Where the gateway has a page for it, it says where.
    let has_page = matches!(desk.gateway, Gateway::Paystack | Gateway::PayPal);
    assert_eq!(decline.link.is_some(), has_page, "{decline:?}");
    assert!(desk.charges(&payment).is_empty());
}

/// `payment` when its decline is known, and the customer may still mend it.
fn theirs_to_mend(payment: &Payment, outcome: Outcome) -> (Payment, String) {
    let decline = declined(outcome);
    let link = decline.link.clone().expect("a page");
    let status = PaymentStatus::Failed { decline, check_at: Some(Timestamp::now()), tries: 0 };
    (Payment { status, ..payment.clone() }, link)
}

#[tokio::test]
async fn a_customer_who_follows_paystacks_link_has_paid() {
    let desk = Desk::open(Gateway::Paystack).await;
    let method: Method = desk.saved().await;
    desk.configure(&json!({"two_factor": true}));
    let payment = renewal(&method, 1);
    let paused = desk.clients.charge(&payment).await.expect("an answer");
    let (payment, link) = theirs_to_mend(&payment, paused);
    assert_eq!(declined(desk.found(&payment).await).remedy, Remedy::AskCustomer, "and waits for them");
    desk.fill_in(&link, Card::Pays).await.expect("approved");
    assert_eq!(receipt(desk.found(&payment).await).amount, payment.amount);
    assert_eq!(desk.charges(&payment).len(), 1);
}

/// PayPal tells of the approval by webhook, and takes the money when we ask for it.
#[tokio::test]
async fn a_customer_who_follows_paypals_link_has_paid_once_the_order_is_captured() {
    let desk = Desk::open(Gateway::PayPal).await;
    let payment = renewal(&desk.saved().await, 1);
    desk.fault("off_session", &json!({"kind": "require_action"}));
    let wanted = desk.clients.charge(&payment).await.expect("an answer");
    let (payment, link) = theirs_to_mend(&payment, wanted);
    desk.fill_in(&link, Card::Pays).await.expect("approved");
    let (_, order) = link.split_once("token=").expect("an order");
    for _ in 0..2 {
        let sighting = desk.clients.find(&payment, Some(order)).await.expect("an answer");
        assert_eq!(receipt(known(sighting)).amount, payment.amount);
    }
    assert_eq!(desk.charges(&payment).len(), 1);
    // What is about another payment is not believed to be about this one.
    let other = renewal(payment.charged_method().expect("a method"), 2);
    assert_eq!(desk.clients.find(&other, Some(order)).await.expect("an answer"), Sighting::CannotTell);
}
