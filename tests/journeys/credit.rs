//! Stories of what came in by transfer and waits: what it may pay for, what it must not, and what of it goes back.

use crate::changes::{change, downgrade};
use crate::collecting::come_back;
use crate::living::put;
use crate::stage::{
    DAY, Is, Paid, check, command, credit, index, is, live, naira, paid, recovery, renewal, to_period_end, wake,
};
use crate::transfers::{after, transfer};
use billing::delivery::{DeliveryId, Notice};
use billing::id::{PaymentId, Reference};
use billing::money::{Currency, Money};
use billing::payment::{AskedBecause, CheckoutMethod, Gateway, Payment, Portion};
use billing::ports::Record;
use billing::subscription::{Command, Effective, Subscription};
use billing::testing::{World, customer, idempotency_key, meter};
use billing::workflow::{Recovery, RefundError, RefundRequest, WakeError};
use futures::executor::block_on;

fn cedi() -> Currency {
    Currency::from_code("GHS").unwrap_or_else(|| panic!("GHS"))
}

/// The transfer of so many minor units.
fn came(world: &World, amount: Money) -> Payment {
    let payment = |record| if let Record::Payment(it) = record { Some(it) } else { None };
    let mut payments = world.store.records().into_iter().filter_map(payment);
    let it = payments.find(|it| it.transfer().is_some() && it.amount == amount);
    it.unwrap_or_else(|| panic!("{amount} did not come"))
}

/// The bank tells that something came in, and is asked what.
fn told_of_a_transfer(world: &World, event: &str) {
    let notice = Notice {
        id: DeliveryId { gateway: Gateway::Paystack, event: event.to_owned() },
        kind: "charge.success".to_owned(),
        reference: Some(Reference::of_account("paystack", "1230001644")),
        object: None,
        body: "{}".to_owned(),
    };
    block_on(world.receive(notice)).unwrap_or_else(|error| panic!("{error}"));
}

fn all_of(payment: PaymentId) -> RefundRequest {
    RefundRequest {
        customer: customer(),
        payment,
        portion: Portion::All,
        because: AskedBecause::RequestedByCustomer,
        key: idempotency_key("back"),
        fingerprint: "all".to_owned(),
    }
}

// What goes back.

#[test]
fn what_the_gateway_refuses_to_give_back_is_credit_again() {
    let (world, _) = after(&[naira().minor, 500]);
    live(&world, DAY);
    let odd = came(&world, Money { minor: 500, ..naira() });
    world.gateways.refuse_refunds(true);
    assert!(matches!(block_on(world.refund(all_of(odd.id.clone()))), Err(RefundError::Failed(_))));
    assert_eq!((paid(&world.payment_of(&odd)), credit(&world)), (Paid::Succeeded, Some(500)));
}

#[test]
fn what_is_of_another_currency_is_never_credit_whatever_becomes_of_it() {
    let (world, _) = after(&[]);
    world.gateways.refuse_refunds(true);
    world.gateways.transfer("T_cedi", Money::new(500, cedi()));
    told_of_a_transfer(&world, "evt");
    let odd = came(&world, Money::new(500, cedi()));
    assert_eq!((paid(&odd), credit(&world)), (Paid::RefundDue, Some(0)));
    let refused = block_on(world.wake(check(&odd)));
    assert!(matches!(refused, Err(WakeError::RefundFailed(..))), "{refused:?}");
    assert_eq!((paid(&world.payment_of(&odd)), credit(&world)), (Paid::Succeeded, Some(0)));
    // Somebody gives it back by hand.
    world.gateways.took_back("T_cedi", 500);
    assert!(block_on(world.verify(&customer(), &odd.id)).is_ok());
    assert_eq!((paid(&world.payment_of(&odd)), credit(&world)), (Paid::Refunded, Some(0)));
}

// What it pays for.

#[test]
fn what_comes_for_an_order_that_was_cancelled_is_credit_and_pays_nothing() {
    let (world, expected) = after(&[]);
    assert_eq!(command(&world, Command::CancelNow), Is::Canceled);
    transfer(&world, "T_late", naira().minor);
    told_of_a_transfer(&world, "evt");
    assert_eq!((paid(&world.payment_of(&expected)), credit(&world)), (Paid::Pending, Some(naira().minor)));
    live(&world, DAY * 6);
    assert_eq!((paid(&world.payment_of(&expected)), credit(&world)), (Paid::Expired, Some(naira().minor)));
}

#[test]
fn while_a_page_is_open_for_what_is_owed_credit_pays_nothing_and_afterwards_it_does() {
    let (world, _) = after(&[naira().minor]);
    to_period_end(&world);
    world.run();
    assert_eq!(is(&world.subscription()), Is::InGrace);
    let page = come_back(&world, "r");
    transfer(&world, "T_next", naira().minor);
    told_of_a_transfer(&world, "evt");
    assert_eq!((is(&world.subscription()), credit(&world)), (Is::InGrace, Some(naira().minor)));
    assert_eq!(paid(&world.payment_of(&page)), Paid::Pending);
    live(&world, DAY * 2);
    assert_eq!((paid(&world.payment_of(&page)), credit(&world)), (Paid::Expired, Some(0)));
    assert_eq!((is(&world.subscription()), index(&world)), (Is::Active, Some(1)));
}

#[test]
fn who_owes_less_than_when_a_transfer_was_asked_for_is_served_when_that_comes() {
    let (world, _) = after(&[naira().minor]);
    to_period_end(&world);
    world.run();
    assert_eq!(is(&world.subscription()), Is::InGrace);
    let asked = Recovery { method: CheckoutMethod::VirtualAccount, ..recovery("r") };
    let whole = block_on(world.recover(asked)).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((whole.amount, whole.is_paid_by_transfer()), (naira(), true));
    // As where a refund fails of what had been credited.
    let left = Money { minor: 1_000, ..naira() };
    put(&world, Record::Subscription(Subscription { balances: vec![left], ..world.subscription() }));
    transfer(&world, "T_less", naira().minor - left.minor);
    told_of_a_transfer(&world, "evt");
    assert_eq!((is(&world.subscription()), index(&world), credit(&world)), (Is::Active, Some(1), Some(0)));
    live(&world, DAY * 8);
    assert_eq!(paid(&world.payment_of(&whole)), Paid::Expired);
}

#[test]
fn credit_that_comes_before_the_renewal_pays_for_no_plan_that_what_is_in_use_does_not_fit() {
    let (world, _) = after(&[naira().minor]);
    change(&world, &downgrade(Effective::PeriodEnd), "down");
    block_on(world.set_usage(&customer(), &meter("estates"), 26)).unwrap_or_else(|error| panic!("{error}"));
    to_period_end(&world);
    transfer(&world, "T_next", naira().minor);
    told_of_a_transfer(&world, "evt");
    assert_eq!((index(&world), credit(&world)), (Some(0), Some(naira().minor)));
    world.run();
    assert_eq!((is(&world.subscription()), index(&world), credit(&world)), (Is::Active, Some(1), Some(0)));
    assert_eq!(world.subscription().order.plan.id.as_str(), "estates-professional");
}

#[test]
fn whoever_transferred_in_time_is_served_on_though_nobody_was_told_of_it() {
    let (world, _) = after(&[naira().minor]);
    to_period_end(&world);
    world.run();
    let ends_at = world.subscription().grace_ends_at.unwrap_or_else(|| panic!("grace has begun"));
    transfer(&world, "T_untold", naira().minor);
    world.clock.set(ends_at);
    wake(&world, renewal());
    assert_eq!((is(&world.subscription()), index(&world), credit(&world)), (Is::Active, Some(1), Some(0)));
}
