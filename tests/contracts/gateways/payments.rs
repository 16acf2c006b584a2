//! The payments that are tried: of one plan for each gateway, in a currency that it takes.

use crate::samples;
use crate::samples::payments::paid;
use billing::id::PaymentId;
use billing::money::Money;
use billing::outcome::{Decline, Outcome, Receipt, Sighting};
use billing::payment::{
    Address, CheckoutMethod, Collection, Gateway, Opened, Page, Paid, Payer, Payment, PaymentStatus, Refund,
};
use billing::ports::Gateways;
use billing::subscription::Subscription;
use billing::testing::{holder, order, page};
use billing::wallet::Method;
use jiff::Timestamp;
use platform::gateways::Clients;

/// What is bought: in naira, lari and dollars.
pub(crate) const fn plan(gateway: Gateway) -> &'static str {
    match gateway {
        Gateway::Stripe | Gateway::Paystack => "estates-professional",
        Gateway::Flitt => "crm-basic",
        Gateway::PayPal => "minutes-starter",
    }
}

/// By the simulator's clock, which is the world's.
fn now() -> Timestamp {
    Timestamp::from_second(Timestamp::now().as_second()).expect("a time")
}

/// A checkout on the gateway's page.
pub(crate) fn checkout(gateway: Gateway) -> Payment {
    checkout_with(gateway, CheckoutMethod::Checkout)
}

pub(crate) fn checkout_with(gateway: Gateway, method: CheckoutMethod) -> Payment {
    let of = samples::customer("acme");
    let waiting = Subscription::ordering(None, &of, order(plan(gateway)), now()).expect("an order");
    let holder = (method == CheckoutMethod::VirtualAccount).then(holder);
    let payer = Payer { email: Some("Billing@acme.example".to_owned()), known_as: None, holder };
    let return_url = Some("https://app.example/back?tab=billing".to_owned());
    waiting.checkout(Page { payer, method, return_url, ..page(gateway) }, now()).expect("a checkout").1
}

/// A page on which a method is left, and nothing bought.
pub(crate) fn setup(clients: &Clients, gateway: Gateway) -> Payment {
    let page = checkout(gateway);
    let amount = clients.setup_amount(gateway, page.amount.currency).expect("a currency that is taken");
    let mut setup = numbered(Payment { bought: None, amount, ..page }, (0, 0, 1));
    if let Collection::Checkout { order, .. } = &mut setup.collection {
        *order = None;
    }
    setup
}

/// The `attempt`th charge of `method` for a renewal.
pub(crate) fn renewal(method: &Method, attempt: u32) -> Payment {
    let page = checkout(method.gateway);
    let collection = Collection::OffSession { method: method.clone(), sent_again_at: None, order: None };
    numbered(Payment { collection, ..page }, (1, 1, attempt))
}

/// Under another reference.
pub(crate) fn numbered(payment: Payment, (number, period, attempt): (u32, u32, u32)) -> Payment {
    let id: PaymentId = samples::payments::payment_id(&payment.customer, number, period, attempt);
    Payment { reference: id.reference(&payment.customer), id, ..payment }
}

pub(crate) fn opened_as(mut payment: Payment, address: Opened) -> Payment {
    if let Collection::Checkout { opened, .. } = &mut payment.collection {
        *opened = Some(address);
    }
    payment
}

/// `payment` when it is known that it was paid.
pub(crate) fn settled(payment: Payment, receipt: Receipt) -> Payment {
    let method_known = payment.charged_method().is_some();
    Payment { status: PaymentStatus::Paid(Paid { receipt, method_known, ..paid() }), ..payment }
}

/// `payment` with these parts of it to be given back.
pub(crate) fn owing(mut payment: Payment, parts: &[Refund]) -> Payment {
    if let PaymentStatus::Paid(paid) = &mut payment.status {
        paid.refunds = parts.to_vec();
    }
    payment
}

/// The `number`th refund of `payment`, of so many minor units.
pub(crate) fn part(payment: &Payment, number: u32, minor: i64) -> Refund {
    Refund { amount: Money { minor, ..payment.amount }, ..samples::payments::refund(number, minor) }
}

pub(crate) fn known(sighting: Sighting) -> Outcome {
    match sighting {
        Sighting::Known(outcome) => outcome,
        Sighting::NeverHeard | Sighting::CannotTell => panic!("nothing is known: {sighting:?}"),
    }
}

/// The receipt of a success.
pub(crate) fn receipt(outcome: Outcome) -> Receipt {
    let Outcome::Succeeded { receipt, .. } = outcome else { panic!("not a success: {outcome:?}") };
    receipt
}

pub(crate) fn declined(outcome: Outcome) -> Decline {
    let Outcome::Declined(decline) = outcome else { panic!("not a decline: {outcome:?}") };
    decline
}

/// Where a customer goes to pay.
pub(crate) fn address(payment: &Payment) -> &Address {
    &payment.opened().unwrap_or_else(|| panic!("{} was not opened", payment.id)).at
}
