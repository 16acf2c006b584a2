//! Stories of money that comes in by bank transfer: exact, too little, too
//! much, in parts, twice, late, early, for nothing. Every naira is on a
//! payment, is credit, or goes back.

use crate::stage::{
    DAY, HOUR, Is, Paid, ask, attempt, by_transfer, check, command, credit, index, is, live, naira, opened_as, paid,
    pass, recovery, to_period_end, verify,
};
use billing::delivery::{DeliveryId, DeliveryStatus, Notice};
use billing::id::{PaymentId, Reference};
use billing::money::{Currency, Money};
use billing::payment::{Address, AskedBecause, Collection, Gateway, Payment, Portion, RefundRefusal, RefundStatus};
use billing::ports::{GatewayError, Key, Record};
use billing::subscription::{Command, Refusal};
use billing::testing::{World, customer, request, world};
use billing::workflow::{Checkout, CheckoutError, RefundError, RefundRequest};
use futures::executor::block_on;

/// Someone transfers `minor` units, under the bank's own reference.
pub(crate) fn transfer(world: &World, reference: &str, minor: i64) {
    world.gateways.transfer(reference, Money { minor, ..naira() });
}

/// What the plan costs a month, in minor units.
fn price() -> i64 {
    naira().minor
}

fn payments(world: &World) -> Vec<Payment> {
    let listed = block_on(billing::ports::Store::payments(&world.store, &customer(), None, 100));
    listed.unwrap_or_else(|error| panic!("{error}"))
}

/// Every naira is accounted for: what came in is what was paid with it, what is left, and what went back.
fn balances(world: &World) {
    let gone = |payment: &Payment| {
        let refunds = payment.paid().map(|paid| paid.refunds.clone()).unwrap_or_default();
        let promised = |status: &RefundStatus| !matches!(status, RefundStatus::Failed { .. });
        refunds.iter().filter(|it| promised(&it.status)).map(|it| it.amount.minor).sum::<i64>()
    };
    let all = payments(world);
    let came_in = all.iter().filter(|it| it.transfer().is_some() && it.amount.currency == naira().currency);
    let came_in: i64 = came_in.map(|it| it.amount.minor - gone(it)).sum();
    let spent = all.iter().filter(|it| it.is_paid_by_transfer() && it.is_settled());
    let spent: i64 = spent.map(|it| it.amount.minor - gone(it)).sum();
    assert_eq!(came_in, spent + credit(world).unwrap_or_default());
}

/// The sample customer waits for a transfer, and lives for a day after `transfers` came.
pub(crate) fn after(transfers: &[i64]) -> (World, Payment) {
    let world = world();
    let expected = opened_as(&world, by_transfer("k"));
    for (number, minor) in transfers.iter().enumerate() {
        transfer(&world, &format!("T{number}"), *minor);
        live(&world, HOUR * 7);
    }
    balances(&world);
    (world, expected)
}

#[test]
fn the_account_is_opened_once_and_its_number_is_told() {
    let (world, expected) = after(&[]);
    let told = expected.opened().map(|opened| opened.at.clone());
    assert!(matches!(told, Some(Address::BankAccount(account)) if account.account_number == "1230001644"));
    assert_eq!((is(&world.subscription()), credit(&world)), (Is::Incomplete, Some(0)));
    assert_eq!(opened_as(&world, by_transfer("k")).id, expected.id);
}

#[test]
fn the_exact_amount_pays() {
    let (world, expected) = after(&[price()]);
    assert_eq!((paid(&world.payment_of(&expected)), is(&world.subscription())), (Paid::Succeeded, Is::Active));
    assert_eq!(credit(&world), Some(0));
}

#[test]
fn too_little_is_credit_until_the_rest_comes() {
    let (world, expected) = after(&[price() - 1]);
    assert_eq!((paid(&world.payment_of(&expected)), is(&world.subscription())), (Paid::Pending, Is::Incomplete));
    assert_eq!(credit(&world), Some(price() - 1));
    transfer(&world, "rest", 1);
    live(&world, HOUR * 7);
    assert_eq!((is(&world.subscription()), credit(&world)), (Is::Active, Some(0)));
    balances(&world);
}

#[test]
fn too_much_leaves_credit_that_pays_the_next_period() {
    let (world, _) = after(&[price() * 2 + 5]);
    assert_eq!((is(&world.subscription()), credit(&world)), (Is::Active, Some(price() + 5)));
    to_period_end(&world);
    world.run();
    assert_eq!((is(&world.subscription()), index(&world), credit(&world)), (Is::Active, Some(1), Some(5)));
    balances(&world);
}

#[test]
fn a_transfer_told_of_again_and_again_is_one_and_a_second_one_is_two() {
    let (world, expected) = after(&[price()]);
    for _ in 0..3 {
        assert_eq!(verify(&world, &expected), (Paid::Succeeded, Is::Active));
    }
    assert_eq!(credit(&world), Some(0));
    transfer(&world, "T_again", price());
    live(&world, DAY);
    assert_eq!(credit(&world), Some(price()));
    balances(&world);
}

#[test]
fn a_transfer_after_the_wait_is_over_still_opens_what_it_was_for() {
    let (world, expected) = after(&[]);
    live(&world, DAY * 8);
    assert_eq!((paid(&world.payment_of(&expected)), is(&world.subscription())), (Paid::Expired, Is::Expired));
    transfer(&world, "late", price());
    live(&world, DAY * 2);
    assert_eq!((paid(&world.payment_of(&expected)), is(&world.subscription())), (Paid::Succeeded, Is::Active));
    balances(&world);
}

#[test]
fn money_that_came_before_the_payment_was_created_pays_it_at_once() {
    let (world, _) = after(&[price()]);
    assert_eq!(command(&world, Command::CancelNow), Is::Canceled);
    transfer(&world, "early", price());
    live(&world, DAY * 2);
    assert_eq!(credit(&world), Some(price()));
    let again = opened_as(&world, by_transfer("k2"));
    assert_eq!((paid(&again), is(&world.subscription()), credit(&world)), (Paid::Succeeded, Is::Active, Some(0)));
    balances(&world);
}

#[test]
fn a_period_that_nobody_transferred_for_is_owed_until_somebody_does() {
    let (world, _) = after(&[price()]);
    to_period_end(&world);
    world.run();
    assert_eq!(is(&world.subscription()), Is::InGrace);
    transfer(&world, "T_next", price());
    live(&world, DAY * 2);
    assert_eq!((is(&world.subscription()), index(&world), credit(&world)), (Is::Active, Some(1), Some(0)));
    balances(&world);
}

#[test]
fn money_for_nothing_is_credit_and_can_go_back() {
    let (world, _) = after(&[price(), 500]);
    live(&world, DAY);
    let wanted = |minor, key: &str| RefundRequest {
        customer: customer(),
        payment: payments(&world).into_iter().find(|it| it.amount.minor == 500).map_or_else(first, |it| it.id),
        portion: Portion::Part(Money { minor, ..naira() }),
        because: AskedBecause::RequestedByCustomer,
        key: request("estates-starter", key).key,
        fingerprint: minor.to_string(),
    };
    let back = block_on(world.refund(wanted(500, "r1"))).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((paid(&back), credit(&world)), (Paid::Refunded, Some(0)));
    balances(&world);
    // What was spent is not there to go back.
    let first = payments(&world).into_iter().find(|it| it.transfer().is_some() && it.amount.minor == price());
    let spent = RefundRequest { payment: first.map_or_else(self::first, |it| it.id), ..wanted(1, "r2") };
    assert!(matches!(block_on(world.refund(spent)), Err(RefundError::Refused(RefundRefusal::Spent(0)))));
}

fn first() -> PaymentId {
    panic!("there is no such payment")
}

#[test]
fn what_was_paid_from_credit_goes_back_to_credit() {
    let (world, expected) = after(&[price()]);
    let refund = RefundRequest {
        customer: customer(),
        payment: expected.id.clone(),
        portion: Portion::All,
        because: AskedBecause::RequestedByCustomer,
        key: request("estates-starter", "r").key,
        fingerprint: "all".to_owned(),
    };
    assert!(block_on(world.refund(refund)).is_ok());
    assert_eq!((paid(&world.payment_of(&expected)), credit(&world)), (Paid::Refunded, Some(price())));
    balances(&world);
}

#[test]
fn another_currency_than_the_account_s_goes_back() {
    let (world, _) = after(&[]);
    let cedi = Currency::from_code("GHS").unwrap_or_else(|| panic!("GHS"));
    world.gateways.transfer("T_cedi", Money::new(price(), cedi));
    live(&world, DAY);
    assert_eq!((is(&world.subscription()), credit(&world)), (Is::Incomplete, Some(0)));
    let odd = payments(&world).into_iter().find(|it| it.amount.currency == cedi);
    assert_eq!(odd.as_ref().map(paid), Some(Paid::Refunded));
}

#[test]
fn a_live_subscription_is_not_bought_a_second_time_by_transfer_either() {
    let (world, _) = after(&[price()]);
    let again = ask(&world, by_transfer("again"));
    assert!(matches!(again, Err(CheckoutError::Refused(Refusal::AlreadySubscribed))));
    assert_eq!(paid(&attempt(&world, 0, 1)), Paid::Succeeded);
}

#[test]
fn a_transfer_pays_though_another_page_was_opened_since() {
    let (world, expected) = after(&[]);
    drop(ask(&world, request("estates-professional", "card")));
    transfer(&world, "T_late", price());
    live(&world, DAY * 2);
    assert_eq!((paid(&world.payment_of(&expected)), is(&world.subscription())), (Paid::Succeeded, Is::Active));
    balances(&world);
}

#[test]
fn so_does_one_to_the_account_that_was_there_before() {
    let (world, first) = after(&[]);
    live(&world, DAY * 6);
    assert_eq!((paid(&world.payment_of(&first)), is(&world.subscription())), (Paid::Expired, Is::Expired));
    // The bank has closed that account meanwhile, and opens another.
    let old = world.key(Key::Account(customer())).account().unwrap_or_else(|| panic!("it was opened"));
    let mut closed = old.clone();
    (closed.payer, closed.account.account_number) = ("CUS_0".to_owned(), "1230000000".to_owned());
    world.store.put(Record::Account(closed));
    let expected = opened_as(&world, by_transfer("again"));
    assert_ne!(expected.id, first.id);
    let new = world.key(Key::Account(customer())).account().unwrap_or_else(|| panic!("it is there"));
    assert_eq!((&new.payer, &new.account.account_number), (&old.payer, &old.account.account_number));
    drop(ask(&world, request("estates-professional", "card")));
    transfer(&world, "T_late", price());
    live(&world, DAY * 2);
    assert_eq!((paid(&world.payment_of(&expected)), is(&world.subscription())), (Paid::Succeeded, Is::Active));
    balances(&world);
}

#[test]
fn an_account_is_in_one_currency_and_keeps_the_name_that_its_owner_had() {
    let (world, first) = after(&[]);
    let plan = billing::testing::plan("crm-basic");
    let elsewhere = plan.prices[0].clone();
    assert_ne!(elsewhere.amount.currency, naira().currency);
    let wanted = Checkout {
        plan: plan.id,
        interval: elsewhere.interval,
        currency: elsewhere.amount.currency,
        fingerprint: "crm".to_owned(),
        ..by_transfer("crm")
    };
    let refused = ask(&world, wanted).err();
    assert!(
        matches!(refused, Some(CheckoutError::Gateway(GatewayError::Unacceptable { field: "currency", .. }))),
        "{refused:?}"
    );
    let again = opened_as(&world, Checkout { email: Some("ada@acme.example".to_owned()), ..by_transfer("again") });
    let known_as = |payment: &Payment| match &world.payment_of(payment).collection {
        Collection::Checkout { payer, .. } => payer.known_as.clone(),
        Collection::OffSession { .. } | Collection::Transfer(_) => None,
    };
    assert_eq!([known_as(&first), known_as(&again)], [None, Some("CUS_1".to_owned())]);
}

#[test]
fn nobody_whose_transfer_has_come_is_left_unserved_for_a_page_that_is_open() {
    let (world, _) = after(&[price()]);
    to_period_end(&world);
    world.run();
    assert_eq!(is(&world.subscription()), Is::InGrace);
    live(&world, DAY * 3 - HOUR);
    assert!(block_on(world.recover(recovery("r"))).is_ok());
    transfer(&world, "T_untold", price());
    live(&world, HOUR * 2);
    assert_eq!((is(&world.subscription()), credit(&world)), (Is::Active, Some(0)));
    balances(&world);
}

#[test]
fn what_staff_gave_back_by_hand_is_not_credit_because_our_own_refund_was_refused() {
    let (world, _) = after(&[price(), 500]);
    live(&world, DAY);
    let odd = payments(&world).into_iter().find(|it| it.amount.minor == 500).unwrap_or_else(|| panic!("500 came"));
    world.gateways.fail_from(Some(0));
    let wanted = RefundRequest {
        customer: customer(),
        payment: odd.id.clone(),
        portion: Portion::All,
        because: AskedBecause::RequestedByCustomer,
        key: request("estates-starter", "r").key,
        fingerprint: "all".to_owned(),
    };
    assert!(block_on(world.refund(wanted)).is_ok());
    world.gateways.fail_from(None);
    world.gateways.took_back("T1", 500);
    world.gateways.refuse_refunds(true);
    drop(block_on(world.verify(&customer(), &odd.id)));
    pass(&world, HOUR);
    drop(block_on(world.wake(check(&odd))));
    assert_eq!((paid(&world.payment_of(&odd)), credit(&world)), (Paid::Refunded, Some(0)));
}

#[test]
fn a_delivery_about_a_transfer_that_the_gateway_does_not_list_yet_is_not_done() {
    let (world, _) = after(&[]);
    let notice = Notice {
        id: DeliveryId { gateway: Gateway::Paystack, event: "evt".to_owned() },
        kind: "charge.success".to_owned(),
        reference: Some(Reference::of_account("paystack", "1230001644")),
        object: Some("T_slow".to_owned()),
        body: "{}".to_owned(),
    };
    assert!(block_on(world.receive(notice.clone())).is_ok());
    let status = |world: &World| world.key(Key::Delivery(notice.id.clone())).delivery().map(|it| it.status);
    assert!(matches!(status(&world), Some(DeliveryStatus::Waiting { .. })));
    transfer(&world, "T_slow", price());
    live(&world, HOUR);
    assert_eq!((status(&world), is(&world.subscription())), (Some(DeliveryStatus::Done), Is::Active));
}
