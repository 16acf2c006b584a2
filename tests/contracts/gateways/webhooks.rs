//! Deliveries: what a gateway really sends is taken in, and names the payment
//! that it is about.

use super::customer::Card;
use super::desk::Desk;
use super::payments::{owing, part, plan, receipt, renewal, settled, setup};
use super::wire::{Reply, Sent, Server};
use billing::delivery::Notice;
use billing::payment::{Gateway, Payment, Standing};
use billing::ports::{Gateways, StoreError};
use billing::testing::{FixedClock, catalogue, customer, instant, request};
use billing::workflow::{Billing, Checkout};
use http::HeaderMap;
use jiff::Timestamp;
use platform::gateways::{Clients, Received, WebhookError};
use serde_json::json;
use std::collections::BTreeSet;
use tests::embedded::{Embedded, Fault};

promises![
    what_is_delivered_of_a_page_names_its_payment,
    what_is_delivered_of_a_setup_names_its_payment,
    what_is_delivered_of_a_renewal_names_its_payment,
    what_is_delivered_of_a_refund_names_its_payment,
    what_is_delivered_of_a_dispute_names_its_payment,
    s46_a_delivery_that_comes_again_has_the_same_id,
    a_gateway_that_is_not_configured_receives_nothing,
    s60_a_delivery_that_cannot_be_stored_is_not_taken_in,
];

/// A receiver that the simulator delivers to.
pub(crate) async fn listening(desk: &Desk) -> Server {
    let merchant = Server::start(Reply::Status(200)).await;
    desk.configure(&json!({"webhook_url": format!("{}/webhooks", merchant.url)}));
    merchant
}

pub(crate) async fn received(desk: &Desk, sent: &Sent) -> Notice {
    receive(&desk.clients, desk.gateway, &sent.headers, &sent.body, Timestamp::now()).await.expect("genuine")
}

pub(crate) async fn receive(
    clients: &Clients,
    gateway: Gateway,
    headers: &HeaderMap,
    body: &[u8],
    at: Timestamp,
) -> Result<Notice, WebhookError> {
    clients.receive(gateway, &Received { headers, body, at }).await
}

/// The first delivery that is called one of `kinds`, once it came.
pub(crate) async fn told_of(desk: &Desk, merchant: &Server, kinds: &[&str]) -> Sent {
    let mut seen = 0;
    loop {
        let sent = merchant.sent_at_least(seen + 1).await.remove(seen);
        if kinds.contains(&received(desk, &sent).await.kind.as_str()) {
            return sent;
        }
        seen += 1;
    }
}

/// A page that was paid, and the delivery that tells of it: at PayPal before anybody looks.
pub(crate) async fn telling(desk: &Desk) -> (Payment, Sent) {
    let merchant = listening(desk).await;
    let payment = desk.opened().await;
    desk.visit(&payment, Card::Pays).await.expect("paid");
    let sent = told_of(desk, &merchant, &[of_paying(desk.gateway)]).await;
    (payment, sent)
}

const fn of_paying(gateway: Gateway) -> &'static str {
    match gateway {
        Gateway::Stripe => "payment_intent.succeeded",
        Gateway::Paystack => "charge.success",
        Gateway::Flitt => "purchase.approved",
        Gateway::PayPal => "CHECKOUT.ORDER.APPROVED",
    }
}

/// What was delivered, once all of `kinds` were: each of them is about `payment`.
async fn all_name(payment: &Payment, desk: &Desk, merchant: &Server, kinds: &[&str]) {
    let mut notices = vec![];
    while !kinds.iter().all(|kind| notices.iter().any(|notice: &Notice| notice.kind == *kind)) {
        let sent = merchant.sent_at_least(notices.len() + 1).await;
        notices.push(received(desk, &sent[notices.len()]).await);
    }
    let ids: BTreeSet<_> = notices.iter().map(|notice| notice.id.clone()).collect();
    assert_eq!(ids.len(), notices.len(), "each event once");
    for notice in notices.iter().filter(|notice| kinds.contains(&notice.kind.as_str())) {
        assert_eq!(notice.reference.as_ref(), Some(&payment.reference), "{}", notice.kind);
        assert_eq!(notice.id.gateway, payment.gateway);
        // Who cannot be asked by our reference says where to look instead.
        assert!(notice.object.is_some() || desk.gateway != Gateway::PayPal, "{}", notice.kind);
    }
}

async fn what_is_delivered_of_a_page_names_its_payment(desk: &Desk) {
    let merchant = listening(desk).await;
    let payment = desk.paid().await;
    let kinds: &[&str] = match desk.gateway {
        Gateway::Stripe => &["payment_intent.succeeded", "checkout.session.completed"],
        Gateway::Paystack => &["charge.success"],
        Gateway::Flitt => &["purchase.approved"],
        Gateway::PayPal => &[
            "CHECKOUT.ORDER.APPROVED",
            "PAYMENT.CAPTURE.COMPLETED",
            "CHECKOUT.ORDER.COMPLETED",
            "VAULT.PAYMENT-TOKEN.CREATED",
        ],
    };
    all_name(&payment, desk, &merchant, kinds).await;
}

async fn what_is_delivered_of_a_setup_names_its_payment(desk: &Desk) {
    let kinds: &[&str] = match desk.gateway {
        Gateway::Stripe => &["checkout.session.completed", "setup_intent.succeeded"],
        Gateway::Paystack => &["charge.success"],
        Gateway::Flitt => &["verification.approved"],
        // PayPal tells of no approval, and of the account only when we have asked for it.
        Gateway::PayPal => return,
    };
    let merchant = listening(desk).await;
    let payment = desk.open_page(setup(&desk.clients, desk.gateway)).await;
    desk.visit(&payment, Card::Pays).await.expect("left");
    all_name(&payment, desk, &merchant, kinds).await;
}

async fn what_is_delivered_of_a_renewal_names_its_payment(desk: &Desk) {
    let method = desk.saved().await;
    let merchant = listening(desk).await;
    let payment = renewal(&method, 1);
    desk.clients.charge(&payment).await.expect("an answer");
    let kinds: &[&str] = match desk.gateway {
        Gateway::Stripe => &["payment_intent.succeeded"],
        Gateway::Paystack => &["charge.success"],
        Gateway::Flitt => &["purchase.approved"],
        Gateway::PayPal => &["PAYMENT.CAPTURE.COMPLETED", "CHECKOUT.ORDER.COMPLETED"],
    };
    all_name(&payment, desk, &merchant, kinds).await;
}

async fn what_is_delivered_of_a_refund_names_its_payment(desk: &Desk) {
    let payment = renewal(&desk.saved().await, 1);
    let taken = receipt(desk.clients.charge(&payment).await.expect("an answer"));
    let refund = part(&payment, 1, 1_000);
    let owed = owing(settled(payment, taken.clone()), std::slice::from_ref(&refund));
    let merchant = listening(desk).await;
    if desk.gateway == Gateway::Flitt {
        desk.configure(&json!({"reversal_callbacks": true}));
    }
    desk.clients.refund(&owed, &refund).await.expect("an answer");
    desk.refund_by_hand(&owed, &taken, 500).await;
    let kinds: &[&str] = match desk.gateway {
        Gateway::Stripe => &["refund.created", "charge.refunded"],
        Gateway::Paystack => &["refund.pending", "refund.processed"],
        Gateway::Flitt => &["reverse.approved"],
        Gateway::PayPal => &["PAYMENT.CAPTURE.REFUNDED"],
    };
    all_name(&owed, desk, &merchant, kinds).await;
}

async fn what_is_delivered_of_a_dispute_names_its_payment(desk: &Desk) {
    let payment = renewal(&desk.saved().await, 1);
    desk.clients.charge(&payment).await.expect("an answer");
    let merchant = listening(desk).await;
    desk.dispute(&payment, "open");
    desk.dispute(&payment, "lost");
    let kinds: &[&str] = match desk.gateway {
        Gateway::Stripe => &["charge.dispute.created", "charge.dispute.closed"],
        Gateway::Paystack => &["charge.dispute.create", "charge.dispute.resolve"],
        // The order as it is then: there is no word for why.
        Gateway::Flitt => &["purchase.reversed"],
        Gateway::PayPal => &["CUSTOMER.DISPUTE.CREATED", "CUSTOMER.DISPUTE.RESOLVED", "PAYMENT.CAPTURE.REVERSED"],
    };
    all_name(&payment, desk, &merchant, kinds).await;
}

async fn s46_a_delivery_that_comes_again_has_the_same_id(desk: &Desk) {
    let merchant = listening(desk).await;
    desk.admin("webhooks", &json!({"gateway": desk.gateway.as_str(), "mode": "duplicate"}));
    desk.paid().await;
    let mut notices = vec![];
    for sent in merchant.sent_at_least(3).await {
        notices.push(received(desk, &sent).await);
    }
    let kinds: BTreeSet<_> = notices.iter().map(|notice| notice.kind.clone()).collect();
    let ids: BTreeSet<_> = notices.iter().map(|notice| notice.id.clone()).collect();
    assert_eq!(ids.len(), kinds.len());
}

async fn a_gateway_that_is_not_configured_receives_nothing(desk: &Desk) {
    let (_, sent) = telling(desk).await;
    let refused = receive(&Clients::default(), desk.gateway, &sent.headers, &sent.body, Timestamp::now()).await;
    assert!(matches!(refused, Err(WebhookError::NoKeys(_))), "{refused:?}");
}

/// I-17: through the real workflow, store and adapters. What was not stored is
/// delivered again, and then has its effect, once. At PayPal it is the delivery
/// that has the money taken: the customer's own browser never comes back.
async fn s60_a_delivery_that_cannot_be_stored_is_not_taken_in(desk: &Desk) {
    let embedded = Embedded::new();
    let clock = FixedClock::at(instant("2026-01-31T10:00:00Z"));
    let billing = Billing::new(embedded.table(), desk.clients.clone(), clock);
    let plan = plan(desk.gateway);
    let family = plan.split('-').next().unwrap_or_default();
    billing.load(catalogue(family)).await.expect("on sale");
    let wanted = Checkout {
        gateway: desk.gateway,
        currency: billing::testing::plan(plan).prices[0].amount.currency,
        return_url: Some("https://app.example/".to_owned()),
        ..request(plan, "key-1")
    };
    let merchant = listening(desk).await;
    let payment = billing.checkout(wanted).await.expect("a checkout");
    assert!(desk.visit(&payment, Card::Pays).await.is_ok());
    let sent = told_of(desk, &merchant, &[of_paying(desk.gateway)]).await;
    let told = received(desk, &sent).await;

    let before = embedded.items();
    embedded.inject("TransactWriteItems", &Fault::Canceled(&["TransactionConflict"]), 6);
    let refused = billing.receive(told.clone()).await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    assert_eq!(embedded.items(), before);

    for _ in 0..2 {
        billing.receive(told.clone()).await.expect("taken in");
        let payments = billing.payments(&customer(), None, 10).await.expect("an answer");
        assert_eq!(payments[0].paid().map(|paid| paid.standing()), Some(Standing::Succeeded));
    }
    assert_eq!(desk.charges(&payment).len(), 1);
    assert_eq!(billing.wallet(&customer()).await.expect("an answer").methods.len(), 1);
}
