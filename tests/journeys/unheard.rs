//! Stories of what a gateway does not say, or says of what nobody wants any more: which pages are closed, which charges are
//! looked for, and when a person hears of it.

use crate::changes::{half_way, try_change, upgrade};
use crate::stage::{
    DAY, HOUR, Is, MINUTE, PLAN, Paid, ask, attempt, check, command, is, live, money, notice, on, opened_as, paid,
    pass, refund_of, renewal, subscribed, subscribed_to, to_period_end, told, verify, wake,
};
use billing::delivery::{DeliveryId, DeliveryStatus};
use billing::id::Reference;
use billing::outcome::Remedy;
use billing::payment::{Gateway, Payment};
use billing::ports::{Key, Record, Wanted};
use billing::subscription::Command;
use billing::testing::{Script, World, request, world};
use billing::workflow::{ChangeError, WakeError};
use futures::executor::block_on;
use jiff::SignedDuration;

fn delivery(payment: &Payment, event: &str) -> DeliveryId {
    notice(payment, event).id
}

fn status(world: &World, id: &DeliveryId) -> Option<DeliveryStatus> {
    world.key(Key::Delivery(id.clone())).delivery().map(|it| it.status)
}

/// A page at a gateway that can close it.
fn page(world: &World, key: &str) -> Payment {
    opened_as(world, on(Gateway::Stripe, request(PLAN, key)))
}

// Pages.

#[test]
fn a_page_that_is_open_is_left_open_and_so_is_one_that_was_paid() {
    let world = world();
    let open = page(&world, "k");
    live(&world, DAY - HOUR);
    world.gateways.visit(&open, true);
    assert_eq!(verify(&world, &open), (Paid::Succeeded, Is::Active));
    live(&world, DAY * 8);
    assert_eq!(world.gateways.closed(), []);
}

#[test]
fn what_was_paid_in_time_is_taken_without_closing_the_page() {
    let world = world();
    let open = page(&world, "k");
    world.gateways.visit(&open, true); // and nobody tells us
    pass(&world, DAY);
    wake(&world, check(&open));
    assert_eq!((is(&world.subscription()), world.gateways.closed()), (Is::Active, vec![]));
}

#[test]
fn a_page_that_is_overtaken_is_closed_though_its_time_is_not_over() {
    let world = world();
    let (first, second) = (page(&world, "k1"), page(&world, "k2"));
    world.gateways.visit(&first, true);
    told(&world, &first, "evt");
    live(&world, HOUR);
    assert_eq!((paid(&world.payment_of(&second)), world.gateways.closed()), (Paid::Expired, vec![second.reference]));
}

#[test]
fn a_page_that_was_never_opened_can_be_opened_until_its_time_is_over_and_is_over_then() {
    let world = world();
    world.gateways.fail_from(Some(0));
    assert!(ask(&world, on(Gateway::Stripe, request(PLAN, "k"))).is_err());
    world.gateways.fail_from(None);
    let begun = attempt(&world, 0, 1);
    assert!(begun.opened().is_none());
    live(&world, DAY - MINUTE);
    assert_eq!(paid(&world.payment_of(&begun)), Paid::Pending);
    live(&world, HOUR);
    assert_eq!((paid(&world.payment_of(&begun)), is(&world.subscription())), (Paid::Expired, Is::Expired));
}

// Deliveries.

#[test]
fn a_delivery_about_a_page_that_nobody_was_told_of_is_done_and_one_about_a_charge_that_may_be_under_way_waits() {
    let world = world();
    world.gateways.fail_from(Some(0));
    assert!(ask(&world, request(PLAN, "k")).is_err());
    world.gateways.fail_from(None);
    let begun = attempt(&world, 0, 1);
    told(&world, &begun, "evt_page");
    assert_eq!(status(&world, &delivery(&begun, "evt_page")), Some(DeliveryStatus::Done));

    let world = subscribed();
    to_period_end(&world);
    world.gateways.next(Script::SilentBefore);
    wake(&world, renewal());
    let charge = attempt(&world, 1, 1);
    told(&world, &charge, "evt_charge");
    let waits = status(&world, &delivery(&charge, "evt_charge"));
    assert!(matches!(waits, Some(DeliveryStatus::Waiting { .. })), "{waits:?}");
}

#[test]
fn somebody_hears_of_a_delivery_that_could_not_be_read_for_a_day_until_it_is() {
    let world = world();
    let open = page(&world, "k");
    world.gateways.visit(&open, true);
    world.gateways.set_up(Gateway::Stripe, false);
    told(&world, &open, "evt");
    let (id, told_at) = (delivery(&open, "evt"), world.clock.time());
    let mut heard: Vec<SignedDuration> = vec![];
    for _ in 0..20 {
        let due = world.key(Key::Delivery(id.clone())).delivery().and_then(|it| it.due_at());
        world.clock.set(due.unwrap_or_else(|| panic!("it is due")));
        match block_on(world.wake(Wanted::Delivery { delivery: id.clone() })) {
            Ok(()) => assert!(heard.is_empty(), "they hear of it every time"),
            Err(WakeError::Unread(unread)) if unread == id => heard.push(world.clock.time().duration_since(told_at)),
            Err(other) => panic!("{other}"),
        }
    }
    assert!(heard.first().is_some_and(|first| *first >= DAY && *first < DAY * 2), "{heard:?}");
    world.gateways.set_up(Gateway::Stripe, true);
    pass(&world, DAY);
    wake(&world, Wanted::Delivery { delivery: id.clone() });
    assert_eq!((status(&world, &id), is(&world.subscription())), (Some(DeliveryStatus::Done), Is::Active));
}

#[test]
fn what_a_delivery_tells_of_a_refund_that_is_under_way_is_asked_for_at_once() {
    let world = subscribed();
    world.gateways.delay_refunds(true);
    let promised = block_on(world.refund(refund_of(&world, 100))).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(paid(&promised), Paid::RefundDue);
    world.gateways.delay_refunds(false);
    world.gateways.refund_by_hand(&promised, 30);
    told(&world, &promised, "evt_refund");
    assert_eq!(paid(&world.payment_of(&promised)), Paid::PartiallyRefunded);
}

// Charges.

#[test]
fn what_was_sent_again_and_not_heard_of_is_looked_for_later() {
    let world = subscribed();
    to_period_end(&world);
    world.gateways.next(Script::SilentBefore);
    wake(&world, renewal());
    let charge = attempt(&world, 1, 1);
    pass(&world, HOUR);
    world.gateways.next(Script::SilentBefore);
    wake(&world, check(&charge));
    assert!(world.payment_of(&charge).due_at().is_some_and(|due| due > world.clock.time()));
    pass(&world, HOUR);
    wake(&world, check(&charge));
    assert_eq!((paid(&world.payment_of(&charge)), money(&world)), (Paid::Succeeded, (2, 0)));
}

#[test]
fn money_that_was_taken_and_that_the_gateway_finds_no_more_is_looked_at_as_rarely_as_if_it_did() {
    let world = subscribed();
    to_period_end(&world);
    world.run();
    let charge = attempt(&world, 1, 1);
    let lost = Payment { reference: Reference::of_transfer("paystack", "lost"), ..charge.clone() };
    world.store.put(Record::Payment(lost));
    pass(&world, DAY);
    wake(&world, check(&charge));
    let looked = attempt(&world, 1, 1);
    assert_eq!((paid(&looked), looked.due_at()), (Paid::Succeeded, Some(charge.created_at + DAY * 7)));
}

#[test]
fn a_charge_that_is_wanted_and_may_be_on_its_way_is_not_given_up_after_two_days() {
    let world = subscribed_to(on(Gateway::Stripe, request(PLAN, "first")));
    to_period_end(&world);
    for _ in 0..100 {
        world.gateways.next(Script::SilentBefore);
    }
    world.run();
    live(&world, DAY * 5);
    assert_eq!((paid(&attempt(&world, 1, 1)), world.subscription().attempts), (Paid::Pending, 1));
}

#[test]
fn somebody_hears_of_a_declined_charge_of_which_the_gateway_says_nothing_more_for_days() {
    let world = subscribed();
    to_period_end(&world);
    world.gateways.next(Script::Decline(Remedy::AskCustomer));
    wake(&world, renewal());
    let charge = attempt(&world, 1, 1);
    world.gateways.set_up(Gateway::Paystack, false);
    let mut heard: Vec<SignedDuration> = vec![];
    for _ in 0..40 {
        let due = world.payment_of(&charge).due_at().unwrap_or_else(|| panic!("it is asked about"));
        world.clock.set(due);
        match block_on(world.wake(check(&charge))) {
            Ok(()) => assert!(heard.is_empty(), "they hear of it every time"),
            Err(WakeError::Unresolved(id)) if id == charge.id => heard.push(due.duration_since(charge.created_at)),
            Err(other) => panic!("{other}"),
        }
    }
    assert!(heard.first().is_some_and(|first| *first >= DAY * 6 && *first < DAY * 7), "{heard:?}");
}

#[test]
fn who_asks_again_for_a_change_that_came_too_late_is_told_that_its_money_goes_back() {
    let world = half_way();
    world.gateways.next(Script::SilentAfter);
    assert!(try_change(&world, &upgrade(), "k").is_ok());
    assert_eq!(command(&world, Command::CancelNow), Is::Canceled);
    live(&world, DAY);
    assert_eq!(money(&world), (2, 1));
    let again = try_change(&world, &upgrade(), "k");
    assert!(matches!(again, Err(ChangeError::GivenBack)), "{again:?}");
}
