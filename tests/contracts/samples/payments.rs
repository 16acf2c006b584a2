//! Payments in every status, collected in every way.

use super::{later, now};
use billing::id::{CustomerId, PaymentId, SubscriptionId};
use billing::money::Money;
use billing::outcome::{Aftermath, Decline, Dispute, DisputeStanding, Receipt, Remedy, Stage};
use billing::payment::{
    Address, BY_TRANSFER, BankAccount, CheckoutMethod, Collection, Gateway, Opened, Page, Paid, Payer, Payment,
    PaymentStatus, Refund, RefundReason, RefundStatus, Transfer,
};
use billing::subscription::Subscription;
use billing::testing::{holder, off_session_payment, order, page};
use billing::token::Brought;

pub(crate) fn payment_id(of: &CustomerId, number: u32, period: u32, attempt: u32) -> PaymentId {
    PaymentId { subscription: SubscriptionId::nth(of, number), period, attempt }
}

/// An off-session payment that is due an hour after [`now`].
pub(crate) fn payment(of: &CustomerId, number: u32, period: u32, attempt: u32) -> Payment {
    let status = PaymentStatus::Pending { stage: Stage::Processing, check_at: later(3_600), tries: 0 };
    let like = Payment { status, customer: of.clone(), version: 1, ..off_session_payment() };
    called(like, payment_id(of, number, period, attempt))
}

fn called(payment: Payment, id: PaymentId) -> Payment {
    Payment { reference: id.reference(&payment.customer), id, ..payment }
}

fn receipt() -> Receipt {
    Receipt { id: "ch_1".to_owned(), amount: off_session_payment().amount }
}

/// Money that was taken, and that nothing has become of.
pub(crate) fn paid() -> Paid {
    let (aftermath, refunds) = (Aftermath::default(), vec![]);
    let (counted_on, brought, look_at) = (None, None, None);
    Paid { receipt: receipt(), at: now(), aftermath, refunds, method_known: true, counted_on, brought, look_at }
}

/// The `number`th refund of a payment, of `minor` units.
pub(crate) fn refund(number: u32, minor: i64) -> Refund {
    let status = RefundStatus::Due { check_at: now(), tries: 0 };
    let amount = Money { minor, ..receipt().amount };
    Refund { number, amount, reason: RefundReason::RequestedByCustomer, asked_at: now(), status }
}

/// Of everything that can become of money.
fn kept_given_back_and_disputed() -> Vec<Paid> {
    let done = RefundStatus::Done { id: "re_1".to_owned(), at: now() };
    let failed = RefundStatus::Failed { code: "insufficient_balance".to_owned(), at: now() };
    let refunds = vec![
        Refund { status: done, reason: RefundReason::Duplicate, ..refund(1, 1) },
        Refund { status: failed, reason: RefundReason::Fraudulent, ..refund(2, i64::MAX) },
        Refund { reason: RefundReason::NotOwed, ..refund(3, 2) },
    ];
    let disputed = [DisputeStanding::Open, DisputeStanding::Won, DisputeStanding::Lost].map(|standing| {
        let dispute = Dispute { id: "dp_1".to_owned(), reason: "fraudulent é".to_owned(), standing };
        Paid { aftermath: Aftermath { returned: 1, dispute: Some(dispute) }, ..paid() }
    });
    let kept = Brought { tokens: u64::MAX, rollovers: None, period: 1, taken: None };
    let taken = Brought { rollovers: Some(24), period: u32::MAX, taken: Some(0), ..kept };
    let own = [
        paid(),
        Paid { brought: Some(kept), ..paid() },
        Paid { brought: Some(taken), ..paid() },
        Paid { look_at: Some(later(86_400)), method_known: false, ..paid() },
        Paid { refunds, ..paid() },
        Paid { receipt: Receipt { id: BY_TRANSFER.to_owned(), ..receipt() }, ..paid() },
    ];
    own.into_iter().chain(disputed).collect()
}

fn statuses() -> Vec<PaymentStatus> {
    let (at, decline) = (now(), Decline::new("insufficient_funds", Remedy::RetryLater));
    let asked = Decline { link: Some("https://pay.example/3ds".to_owned()), ..decline.clone() };
    let late = Decline { wait_h: Some(72), remedy: Remedy::FewTries, ..decline.clone() };
    let ours = Decline { remedy: Remedy::OurFault, ..decline };
    let unpaid = [
        PaymentStatus::Pending { stage: Stage::RequiresAction, check_at: at, tries: u32::MAX },
        PaymentStatus::Failed { decline: asked, check_at: Some(at), tries: 1 },
        PaymentStatus::Failed { decline: late, check_at: None, tries: 0 },
        PaymentStatus::Failed { decline: ours, check_at: None, tries: 0 },
        PaymentStatus::Expired { at },
        PaymentStatus::Unresolved { since: at, check_at: later(86_400) },
    ];
    unpaid.into_iter().chain(kept_given_back_and_disputed().into_iter().map(PaymentStatus::Paid)).collect()
}

fn checkout(of: &CustomerId, method: CheckoutMethod, at: Option<Address>) -> Payment {
    let waiting = Subscription::ordering(None, of, order("tokens-pro"), now()).expect("an order");
    let (email, known_as) = (Some("billing@acme.example".to_owned()), Some("cus_1".to_owned()));
    let return_url = Some("https://app.example/back?a=b".to_owned());
    let payer = Payer { email, known_as, holder: matches!(method, CheckoutMethod::VirtualAccount).then(holder) };
    let page = Page { payer, method, return_url, ..page(Gateway::Stripe) };
    let (_, mut payment) = waiting.checkout(page, now()).expect("a checkout");
    if let Collection::Checkout { opened, .. } = &mut payment.collection {
        *opened = at.map(|at| Opened { id: "cs_1".to_owned(), at });
    }
    Payment { version: 1, ..payment }
}

pub(crate) fn bank_account() -> BankAccount {
    let [account_number, account_name] = ["0123456789", "PERENNIAL/ADA"].map(str::to_owned);
    let [bank_name, bank_id] = ["Test Bank", "24"].map(str::to_owned);
    BankAccount { account_number, account_name, bank_name, bank_id, expires_at: Some(later(900)) }
}

/// A page on which nothing is bought: a payment of no subscription.
fn setup(of: &CustomerId) -> Payment {
    let page = checkout(of, CheckoutMethod::Checkout, None);
    let mut setup = Payment { bought: None, amount: Money { minor: 0, ..page.amount }, ..page };
    if let Collection::Checkout { order, .. } = &mut setup.collection {
        *order = None;
    }
    called(setup, payment_id(of, 0, 0, 1))
}

/// Money that came in by itself: a payment of no subscription, and of no plan.
fn transfer(of: &CustomerId) -> Payment {
    let sender = Some("Ada Lovelace".to_owned());
    let collection = Collection::Transfer(Transfer { reference: "100004260131".to_owned(), sender });
    let like = Payment { bought: None, collection, status: PaymentStatus::Paid(paid()), ..payment(of, 1, 1, 1) };
    called(like, payment_id(of, 0, 1, 1))
}

/// Payments of `of` in every status, made in every way.
pub(crate) fn payments(of: &CustomerId) -> Vec<Payment> {
    let charged = (1..).zip(statuses()).map(|(attempt, status)| Payment { status, ..payment(of, 1, 1, attempt) });
    let opened = [
        (CheckoutMethod::Checkout, None),
        (CheckoutMethod::Checkout, Some(Address::CheckoutUrl("https://pay.example/1".to_owned()))),
        (CheckoutMethod::ClientSecret, Some(Address::ClientSecret("pi_1_secret_2".to_owned()))),
        (CheckoutMethod::BankTransfer, Some(Address::BankAccount(bank_account()))),
        (CheckoutMethod::VirtualAccount, Some(Address::BankAccount(bank_account()))),
    ];
    let checkouts = (1..)
        .zip(opened)
        .map(|(attempt, (method, at))| called(checkout(of, method, at), payment_id(of, 1, 0, attempt)));
    charged.chain(checkouts).chain([setup(of), transfer(of)]).collect()
}
