//! What only Paystack does: accounts that people transfer money to, and fees that
//! they bear.

use super::customer::Card;
use super::desk::{Desk, clients, http};
use super::payments::{
    address, checkout, checkout_with, known, numbered, opened_as, owing, part, receipt, renewal, settled,
};
use super::webhooks::{listening, received, told_of};
use super::wire::{Reply, Server};
use crate::samples;
use billing::account::{Incoming, VirtualAccount};
use billing::id::Reference;
use billing::outcome::{Outcome, Receipt, Sighting, Stage};
use billing::payment::{Address, BankAccount, CheckoutMethod, Gateway, Payment};
use billing::ports::{GatewayError, Gateways};
use billing::testing::method_at;
use jiff::Timestamp;
use serde_json::json;

async fn opened(desk: &Desk, method: CheckoutMethod) -> Payment {
    let payment = checkout_with(Gateway::Paystack, method);
    desk.clients.accepts(&payment).expect("accepted");
    let opened = desk.clients.open(&payment).await.expect("opened");
    opened_as(payment, opened)
}

fn bank_account(payment: &Payment) -> BankAccount {
    let Address::BankAccount(account) = address(payment) else { panic!("{:?}", address(payment)) };
    account.clone()
}

fn transfer(desk: &Desk, account: &BankAccount, kobo: i64) {
    let order = json!({"account_number": account.account_number, "amount": kobo, "sender": "Ada Lovelace"});
    desk.admin("paystack/transfer", &order);
}

/// The account as it is kept once it was opened.
async fn account(desk: &Desk) -> VirtualAccount {
    let payment = opened(desk, CheckoutMethod::VirtualAccount).await;
    let payer = payment.opened().map(|opened| opened.id.clone()).unwrap_or_default();
    let (account, now) = (bank_account(&payment), Timestamp::now());
    VirtualAccount {
        customer: payment.customer,
        gateway: Gateway::Paystack,
        payer,
        currency: payment.amount.currency,
        account,
        received: 0,
        credit: 0,
        awaited: None,
        opened_at: now,
        check_at: now,
        version: 1,
    }
}

async fn transfers(desk: &Desk, account: &VirtualAccount) -> Vec<Incoming> {
    desk.clients.transfers(account).await.expect("an answer")
}

fn amounts(incoming: &[Incoming]) -> Vec<i64> {
    incoming.iter().map(|it| it.receipt.amount.minor).collect()
}

/// What went back is looked for before anything is sent back, and by no key: a list that is not found is no empty one.
#[tokio::test]
async fn nothing_is_given_back_where_the_list_of_what_was_is_not_found() {
    let charged = renewal(&method_at(Gateway::Paystack, "AUTH_1"), 1);
    let paid = settled(charged.clone(), Receipt { id: "5000000001".to_owned(), amount: charged.amount });
    let refund = part(&paid, 1, 100);
    let owed = owing(paid, std::slice::from_ref(&refund));
    for status in [400, 404] {
        let said = json!({"status": false, "message": "Transaction not found"});
        let server = Server::start(Reply::Text(status, said.to_string())).await;
        let answer = clients(&server.url, &http()).refund(&owed, &refund).await;
        assert!(matches!(answer, Err(GatewayError::NoAnswer(_))), "{status}: {answer:?}");
        let [asked] = &server.sent()[..] else { panic!("{:?}", server.sent()) };
        assert!(asked.method == "GET" && asked.path.contains("/refund?"), "{} {}", asked.method, asked.path);
    }
}

#[tokio::test]
async fn a_virtual_account_is_opened_once_for_a_customer() {
    let desk = Desk::open(Gateway::Paystack).await;
    let first = account(&desk).await;
    assert_eq!(first.account.account_number.len(), 10);
    assert!(first.payer.starts_with("CUS_") && !first.account.bank_name.is_empty(), "{first:?}");
    let again = numbered(checkout_with(Gateway::Paystack, CheckoutMethod::VirtualAccount), (1, 0, 2));
    let opened = desk.clients.open(&again).await.expect("opened");
    assert_eq!(opened.at, Address::BankAccount(first.account));
}

#[tokio::test]
async fn an_account_whose_opening_was_not_answered_is_opened_once() {
    let desk = Desk::open(Gateway::Paystack).await;
    let payment = checkout_with(Gateway::Paystack, CheckoutMethod::VirtualAccount);
    for kind in ["timeout_after", "timeout_before"] {
        desk.fault("any", &json!({"kind": kind, "ms": 10}));
        desk.clients.open(&payment).await.expect_err("no answer");
    }
    let first = desk.clients.open(&payment).await.expect("opened");
    assert_eq!(desk.clients.open(&payment).await.expect("opened"), first);
}

#[tokio::test]
async fn every_transfer_is_listed_with_its_own_reference_oldest_first() {
    let desk = Desk::open(Gateway::Paystack).await;
    let account = account(&desk).await;
    assert!(transfers(&desk, &account).await.is_empty());
    transfer(&desk, &account.account, 700_000);
    let exact = transfers(&desk, &account).await;
    assert_eq!((amounts(&exact), exact[0].sender.as_deref()), (vec![700_000], Some("Ada Lovelace")));

    for kobo in [100, 250_000, 700_000] {
        desk.admin("clock", &json!({"advance_seconds": 60}));
        transfer(&desk, &account.account, kobo);
    }
    let all = transfers(&desk, &account).await;
    assert_eq!(amounts(&all), [700_000, 100, 250_000, 700_000]);
    assert_eq!(all[0], exact[0], "the same whenever it is asked for");
    assert!(all.is_sorted_by_key(|it| it.at));
    let mut references: Vec<_> = all.iter().map(|it| it.reference.as_str()).collect();
    references.dedup();
    assert_eq!(references.len(), 4);
}

#[tokio::test]
async fn more_transfers_than_a_page_holds_are_all_listed() {
    let desk = Desk::open(Gateway::Paystack).await;
    let account = account(&desk).await;
    let all: Vec<i64> = (1..=130).map(|number| number * 100).collect();
    for kobo in &all {
        transfer(&desk, &account.account, *kobo);
    }
    assert_eq!(amounts(&transfers(&desk, &account).await), all);
}

/// What the customer paid by card is not money that came in by itself.
#[tokio::test]
async fn only_what_came_by_transfer_is_listed() {
    let desk = Desk::open(Gateway::Paystack).await;
    let account = account(&desk).await;
    let page = desk.open_page(numbered(checkout(Gateway::Paystack), (1, 0, 2))).await;
    desk.pay(&page, Card::Pays).await;
    transfer(&desk, &account.account, 5_000);
    assert_eq!(amounts(&transfers(&desk, &account).await), [5_000]);
}

/// A transfer that nobody ordered is told of all the same, and leads to its account.
#[tokio::test]
async fn what_is_delivered_of_a_transfer_leads_to_its_account() {
    let desk = Desk::open(Gateway::Paystack).await;
    let account = account(&desk).await;
    let merchant = listening(&desk).await;
    transfer(&desk, &account.account, 5_000);
    let notice = received(&desk, &told_of(&desk, &merchant, &["charge.success"]).await).await;
    let expected = Reference::of_account("paystack", &account.account.account_number);
    assert_eq!(notice.reference, Some(expected));
}

#[tokio::test]
async fn a_payment_by_transfer_is_paid_by_the_exact_amount_and_by_no_other() {
    let desk = Desk::open(Gateway::Paystack).await;
    let merchant = listening(&desk).await;
    let payment = opened(&desk, CheckoutMethod::BankTransfer).await;
    let (to, kobo) = (bank_account(&payment), payment.amount.minor);
    assert!(to.expires_at.is_some_and(|at| at > Timestamp::now()), "it is told how long the account is open");
    let waits = desk.found(&payment).await;
    assert!(matches!(waits, Outcome::Pending(_)), "{waits:?}");

    transfer(&desk, &to, kobo - 1);
    let rejected = received(&desk, &told_of(&desk, &merchant, &["bank.transfer.rejected"]).await).await;
    assert_eq!(rejected.id.gateway, Gateway::Paystack);
    assert!(matches!(desk.found(&payment).await, Outcome::Pending(_)));
    assert!(desk.charges(&payment).is_empty());

    transfer(&desk, &to, kobo);
    let Outcome::Succeeded { receipt, method, .. } = desk.found(&payment).await else { panic!("it was paid") };
    assert_eq!((receipt.amount, method), (payment.amount, None));
    let told = received(&desk, &told_of(&desk, &merchant, &["charge.success"]).await).await;
    assert_eq!(told.reference, Some(payment.reference));
}

#[tokio::test]
async fn a_payment_by_transfer_that_nobody_made_in_time_is_over() {
    let desk = Desk::open(Gateway::Paystack).await;
    let payment = opened(&desk, CheckoutMethod::BankTransfer).await;
    desk.admin("clock", &json!({"advance_seconds": 10 * 86_400}));
    let sighting = desk.clients.close(&payment).await.expect("an answer");
    let standing = known(sighting);
    assert!(matches!(standing, Outcome::Expired | Outcome::Pending(Stage::Pending)), "{standing:?}");
}

/// The customer pays the fees on top: what we asked for is what we were paid.
#[tokio::test]
async fn fees_that_the_customer_bears_are_not_a_wrong_amount() {
    let desk = Desk::open(Gateway::Paystack).await;
    desk.configure(&json!({"customer_bears_fees": true}));
    let payment = desk.paid().await;
    assert_eq!(receipt(desk.found(&payment).await).amount, payment.amount);
    let taken = desk.charges(&payment)[0]["amount"]["minor"].as_i64().expect("an amount");
    assert!(taken > payment.amount.minor, "more was taken of the customer: {taken}");
}

#[tokio::test]
async fn who_opens_no_accounts_lists_no_transfers() {
    for gateway in [Gateway::Stripe, Gateway::Flitt, Gateway::PayPal] {
        let desk = Desk::open(gateway).await;
        let account = samples::account(&samples::customer("acme"), 0);
        assert!(desk.clients.transfers(&VirtualAccount { gateway, ..account }).await.expect("an answer").is_empty());
    }
    let desk = Desk::open(Gateway::Paystack).await;
    let payment = checkout_with(Gateway::Paystack, CheckoutMethod::BankTransfer);
    assert_eq!(desk.clients.find(&payment, None).await.expect("an answer"), Sighting::NeverHeard);
}
