use super::*;
use crate::outcome::Remedy;
use crate::testing::{active, checkout_payment, customer, instant, method, off_session_payment, page, plan};

/// Every status that a payment can have, the first of them its own.
fn standings(payment: &Payment) -> Vec<Payment> {
    let now = payment.created_at;
    let decline = Decline::new("insufficient_funds", Remedy::RetryLater);
    let receipt = Receipt { id: "ch_1".to_owned(), amount: payment.amount };
    let others = [
        PaymentStatus::Failed { decline: decline.clone(), check_at: Some(now), tries: 0 },
        PaymentStatus::Failed { decline, check_at: None, tries: 0 },
        PaymentStatus::Expired { at: now },
        PaymentStatus::Unresolved { since: now, check_at: now },
        PaymentStatus::Paid(Paid::now(receipt, Aftermath::default(), true, now)),
    ];
    let other = |status| Payment { status, ..payment.clone() };
    std::iter::once(payment.clone()).chain(others.map(other)).collect()
}

#[test]
fn it_can_be_paid_while_its_page_may_be_open() {
    let payable: Vec<bool> = standings(&checkout_payment()).iter().map(Payment::is_payable).collect();
    assert_eq!(payable, [true, true, false, false, false, false]);
}

#[test]
fn a_page_is_unopened_until_its_address_is_known() {
    let (page, charge) = (checkout_payment(), off_session_payment());
    let opened = Opened { id: "cs_1".to_owned(), at: Address::CheckoutUrl("https://pay.example/1".to_owned()) };
    assert_eq!([page.is_unopened(), page.opened_at(opened).is_unopened(), charge.is_unopened()], [true, false, false]);
}

#[test]
fn only_a_charge_that_opens_a_subscription_says_of_what() {
    let order = active().order;
    let charged = |id: PaymentId| {
        let now = instant("2025-01-31T10:00:00Z");
        let charge = Payment::off_session(id, customer(), &order, order.price.amount, method("AUTH_1"), now);
        let Collection::OffSession { order, .. } = charge.collection else { panic!("a charge") };
        order.map(|order| order.plan.id)
    };
    let subscription = active().id;
    let attempt = |period| PaymentId { subscription: subscription.clone(), period, attempt: 1 };
    let change = |period| PaymentId::change(subscription.clone(), period, 1);
    assert_eq!(charged(attempt(0)), Some(plan("estates-professional").id));
    assert_eq!([attempt(1), change(0), change(1)].map(charged), [None, None, None]);
}

#[test]
fn a_coupon_is_redeemed_by_what_opens_a_subscription_until_that_is_paid() {
    let coupon = crate::catalog::tests::documented_catalogue().coupons.swap_remove(0);
    let plan = crate::catalog::tests::documented();
    let mut order = Order { price: plan.prices[0].clone(), plan, ..active().order };
    let redeemed = coupon.redeem(&order.plan.id, order.price.amount.currency, 0, 0, Timestamp::UNIX_EPOCH);
    order.discount = Some(redeemed.unwrap_or_else(|error| panic!("{error}")));
    let opened = |period| {
        let id = PaymentId { subscription: active().id, period, attempt: 1 };
        let now = instant("2025-01-31T10:00:00Z");
        Payment::checkout(id, customer(), Some(order.clone()), order.price.amount, page(Gateway::Paystack), now)
    };
    let redeems = |payment: &Payment| payment.redeems().is_some();
    assert_eq!(standings(&opened(0)).iter().map(redeems).collect::<Vec<_>>(), [true, true, true, true, true, false]);
    assert!(!standings(&opened(1)).iter().any(redeems));
}

#[test]
fn what_was_paid_with_money_that_is_here_is_never_looked_at() {
    let now = instant("2025-02-01T10:00:00Z");
    let Some((paid, _)) = checkout_payment().paid_by_transfer(now) else { panic!("it is paid") };
    assert_eq!((paid.is_settled(), paid.due_at()), (true, None));
}
