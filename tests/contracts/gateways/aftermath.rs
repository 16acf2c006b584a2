//! What became of money after it was taken: refunds, also by hand, and disputes.

use super::customer::Card;
use super::desk::Desk;
use super::payments::{address, checkout, numbered, owing, part, receipt, renewal, settled};
use billing::outcome::{Aftermath, DisputeStanding, Outcome};
use billing::payment::{Address, Gateway, Payment};
use billing::ports::Gateways;
use serde_json::json;
use std::time::Duration;

promises![
    nothing_has_become_of_money_at_first,
    what_went_back_by_us_is_seen,
    what_went_back_by_hand_is_seen,
    all_that_went_back_by_hand_is_seen_and_is_no_decline,
    a_page_that_was_given_back_is_still_one_that_was_paid,
    a_dispute_is_seen_when_it_is_opened_and_when_it_is_won,
    a_dispute_that_is_lost_is_seen,
];

async fn aftermath(desk: &Desk, payment: &Payment) -> Aftermath {
    let outcome = desk.found(payment).await;
    let Outcome::Succeeded { receipt, aftermath, .. } = outcome else { panic!("{outcome:?}") };
    assert_eq!(receipt.amount, payment.amount, "what was taken stays what it was");
    aftermath
}

/// What went back, once the gateway has said so.
pub(crate) async fn returned_at_last(desk: &Desk, payment: &Payment) -> i64 {
    for _ in 0..500 {
        match aftermath(desk, payment).await.returned {
            0 => tokio::time::sleep(Duration::from_millis(10)).await,
            returned => return returned,
        }
    }
    0
}

async fn charged(desk: &Desk) -> Payment {
    let payment = renewal(&desk.saved().await, 1);
    let taken = receipt(desk.clients.charge(&payment).await.expect("an answer"));
    settled(payment, taken)
}

async fn by_hand(desk: &Desk, payment: &Payment, minor: i64) {
    let receipt = payment.paid().expect("paid").receipt.clone();
    desk.refund_by_hand(payment, &receipt, minor).await;
}

async fn nothing_has_become_of_money_at_first(desk: &Desk) {
    assert_eq!(aftermath(desk, &charged(desk).await).await, Aftermath::default());
    desk.admin("reset", &json!({}));
    assert_eq!(aftermath(desk, &desk.settled().await).await, Aftermath::default());
}

async fn what_went_back_by_us_is_seen(desk: &Desk) {
    let payment = charged(desk).await;
    let refund = part(&payment, 1, 1_000);
    let payment = owing(payment, std::slice::from_ref(&refund));
    desk.clients.refund(&payment, &refund).await.expect("an answer");
    desk.admin("clock", &json!({"advance_seconds": 10}));
    assert_eq!(returned_at_last(desk, &payment).await, 1_000);
}

async fn what_went_back_by_hand_is_seen(desk: &Desk) {
    let payment = charged(desk).await;
    by_hand(desk, &payment, 1_000).await;
    assert_eq!(returned_at_last(desk, &payment).await, 1_000);
    by_hand(desk, &payment, 500).await;
    for _ in 0..500 {
        if aftermath(desk, &payment).await.returned == 1_500 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(aftermath(desk, &payment).await, Aftermath { returned: 1_500, dispute: None });
}

async fn all_that_went_back_by_hand_is_seen_and_is_no_decline(desk: &Desk) {
    let payment = charged(desk).await;
    by_hand(desk, &payment, payment.amount.minor).await;
    assert_eq!(returned_at_last(desk, &payment).await, payment.amount.minor);
}

/// Also for who did not know yet that it was paid.
async fn a_page_that_was_given_back_is_still_one_that_was_paid(desk: &Desk) {
    let page = desk.paid().await;
    let taken = receipt(desk.found(&page).await);
    desk.refund_by_hand(&page, &taken, page.amount.minor).await;
    for page in [page.clone(), settled(page, taken)] {
        assert_eq!(returned_at_last(desk, &page).await, page.amount.minor);
    }
}

/// How a payment's dispute stands. Flitt tells of none: the money is away, or is back.
async fn standing(desk: &Desk, payment: &Payment) -> Option<DisputeStanding> {
    let Aftermath { returned, dispute } = aftermath(desk, payment).await;
    if desk.gateway == Gateway::Flitt {
        assert_eq!(dispute, None);
        return (returned == payment.amount.minor).then_some(DisputeStanding::Open);
    }
    dispute.map(|dispute| {
        assert!(!dispute.id.is_empty() && !dispute.reason.is_empty());
        dispute.standing
    })
}

async fn a_dispute_is_seen_when_it_is_opened_and_when_it_is_won(desk: &Desk) {
    for payment in [charged(desk).await, another_page(desk).await] {
        desk.dispute(&payment, "open");
        assert_eq!(standing(desk, &payment).await, Some(DisputeStanding::Open));
        desk.dispute(&payment, "won");
        let won = (desk.gateway != Gateway::Flitt).then_some(DisputeStanding::Won);
        assert_eq!(standing(desk, &payment).await, won);
    }
}

/// A page that was paid, beside the one before.
async fn another_page(desk: &Desk) -> Payment {
    let page = numbered(checkout(desk.gateway), (1, 0, 2));
    let page = desk.open_page(page).await;
    let taken = receipt(desk.pay(&page, Card::Pays).await);
    settled(page, taken)
}

async fn a_dispute_that_is_lost_is_seen(desk: &Desk) {
    let payment = charged(desk).await;
    desk.dispute(&payment, "open");
    desk.dispute(&payment, "lost");
    let lost = match desk.gateway {
        Gateway::Stripe | Gateway::Paystack | Gateway::PayPal => DisputeStanding::Lost,
        Gateway::Flitt => DisputeStanding::Open, // gone, as when it began
    };
    assert_eq!(standing(desk, &payment).await, Some(lost));
}

/// A bank that only asks has taken nothing.
#[tokio::test]
async fn an_inquiry_is_no_dispute() {
    let desk = Desk::open(Gateway::Stripe).await;
    let payment = desk.opened().await;
    let Address::CheckoutUrl(url) = address(&payment) else { panic!("a page") };
    desk.http.post(url).form(&[("action", "pay"), ("card", "4000000000001976")]).send().await.expect("a page");
    let taken = receipt(desk.found(&payment).await);
    assert_eq!(desk.books("disputes", &payment)[0]["stage"], "inquiry");
    assert_eq!(aftermath(&desk, &settled(payment, taken)).await, Aftermath::default());
}
