//! Stories of collecting what is owed: other methods, other gateways, and the
//! customer who comes back.

use crate::stage::{
    DAY, HOUR, Is, MINUTE, Paid, attempt, declined_at_period_end, index, is, live, methods, money, paid, pass,
    recovery, renewal, subscribed, to_period_end, told, verify, wake,
};
use billing::id::CustomerId;
use billing::outcome::Remedy;
use billing::payment::{Collection, Gateway, Payment};
use billing::ports::{GatewayError, Key, Record, Wanted};
use billing::subscription::Refusal;
use billing::testing::{MemoryQueue, Script, World, customer, method, method_at, request};
use billing::workflow::{CheckoutError, MethodError, Setup, WakeError};
use futures::executor::block_on;

/// A subscription whose customer pays with Paystack, and has left a card with Stripe too.
pub(crate) fn with_a_second_gateway() -> World {
    let world = subscribed();
    let wallet = world.key(Key::Wallet(customer())).wallet().unwrap_or_else(|| panic!("a card was left"));
    let preferred = method("AUTH_1").id();
    let both = wallet.remembering(method_at(Gateway::Stripe, "pm_2")).and_then(|it| it.preferring(&preferred));
    world.store.put(Record::Wallet(both.unwrap_or_else(|| panic!("two methods"))));
    world
}

fn charged_at(world: &World, period: u32, number: u32) -> Gateway {
    attempt(world, period, number).gateway
}

// Other gateways.

#[test]
fn a_soft_decline_is_followed_at_once_by_the_other_gateway() {
    let world = with_a_second_gateway();
    declined_at_period_end(&world, Remedy::RetryLater);
    assert_eq!((is(&world.subscription()), index(&world)), (Is::Active, Some(1)));
    assert_eq!([charged_at(&world, 1, 1), charged_at(&world, 1, 2)], [Gateway::Paystack, Gateway::Stripe]);
    assert_eq!(money(&world), (2, 0));
}

#[test]
fn both_gateways_declining_makes_four_attempts_and_no_more() {
    let world = with_a_second_gateway();
    for _ in 0..6 {
        world.gateways.next(Script::Decline(Remedy::RetryLater));
    }
    to_period_end(&world);
    live(&world, DAY * 4);
    assert_eq!((is(&world.subscription()), world.subscription().failures.len()), (Is::InGrace, 4));
    let order: Vec<Gateway> = (1..=4).map(|number| charged_at(&world, 1, number)).collect();
    assert_eq!(order, [Gateway::Paystack, Gateway::Stripe, Gateway::Paystack, Gateway::Stripe]);
}

#[test]
fn a_gateway_that_is_down_is_passed_over_before_it_hears_of_an_attempt() {
    let world = with_a_second_gateway();
    world.gateways.set_up(Gateway::Paystack, false);
    to_period_end(&world);
    world.run();
    assert_eq!((is(&world.subscription()), charged_at(&world, 1, 1)), (Is::Active, Gateway::Stripe));
    assert_eq!(money(&world), (2, 0));
}

#[test]
fn an_attempt_that_nobody_can_tell_of_is_never_left_for_another_gateway() {
    let world = with_a_second_gateway();
    to_period_end(&world);
    world.gateways.next(Script::SilentAfter);
    world.run();
    world.gateways.set_up(Gateway::Paystack, false);
    live(&world, DAY * 2);
    assert_eq!((paid(&attempt(&world, 1, 1)), money(&world)), (Paid::Pending, (2, 0)));
    world.gateways.set_up(Gateway::Paystack, true);
    live(&world, DAY);
    assert_eq!((is(&world.subscription()), money(&world)), (Is::Active, (2, 0)));
}

/// Time passes by the hour; what a worker could not do, a person hears of.
fn live_with_errors(world: &World, days: u32) {
    let queue = MemoryQueue::default();
    for _ in 0..days * 24 {
        pass(world, HOUR);
        block_on(world.sweep(&queue, || true)).unwrap_or_else(|error| panic!("{error}"));
        for wanted in queue.take() {
            drop(block_on(world.wake(wanted)));
        }
    }
}

/// A charge never arrived, and its gateway was silent for so long that a person knows.
pub(crate) fn unresolved() -> World {
    let world = subscribed();
    to_period_end(&world);
    world.gateways.next(Script::SilentBefore);
    world.run();
    world.gateways.set_up(Gateway::Paystack, false);
    live_with_errors(&world, 8);
    assert_eq!((paid(&attempt(&world, 1, 1)), money(&world)), (Paid::Unresolved, (1, 0)));
    world.gateways.set_up(Gateway::Paystack, true);
    world
}

#[test]
fn what_no_gateway_ever_heard_of_is_given_up_once_a_person_knows_and_charged_anew() {
    let world = unresolved();
    live_with_errors(&world, 9);
    assert_eq!(paid(&attempt(&world, 1, 1)), Paid::Expired);
    assert_eq!((is(&world.subscription()), index(&world), money(&world)), (Is::Active, Some(1), (2, 0)));
}

#[test]
fn that_a_charge_is_sent_again_is_recorded_before_the_gateway_hears_of_it() {
    let world = subscribed();
    to_period_end(&world);
    world.gateways.next(Script::SilentBefore);
    world.run();
    world.gateways.next(Script::SilentAfter);
    pass(&world, HOUR);
    let at = world.clock.time();
    world.run();
    let Collection::OffSession { sent_again_at, .. } = attempt(&world, 1, 1).collection else { panic!("a charge") };
    assert_eq!((sent_again_at, money(&world)), (Some(at), (2, 0)));
}

#[test]
fn where_there_is_no_other_gateway_one_that_is_down_is_waited_for() {
    let world = subscribed();
    world.gateways.set_up(Gateway::Paystack, false);
    to_period_end(&world);
    live(&world, DAY);
    world.gateways.set_up(Gateway::Paystack, true);
    live(&world, DAY);
    assert_eq!((index(&world), money(&world)), (Some(1), (2, 0)));
}

// Declines.

#[test]
fn a_method_that_cannot_work_again_is_not_tried_again_though_another_is() {
    let world = with_a_second_gateway();
    to_period_end(&world);
    world.gateways.next(Script::Decline(Remedy::NewMethod));
    world.gateways.next(Script::Decline(Remedy::RetryLater));
    world.gateways.next(Script::Decline(Remedy::RetryLater));
    live(&world, DAY * 3);
    let order: Vec<Gateway> = (1..=3).map(|number| charged_at(&world, 1, number)).collect();
    assert_eq!(order, [Gateway::Paystack, Gateway::Stripe, Gateway::Stripe]);
}

#[test]
fn an_issuer_that_gives_no_reason_is_asked_twice_and_then_the_customer() {
    let world = subscribed();
    declined_at_period_end(&world, Remedy::FewTries);
    world.gateways.next(Script::Decline(Remedy::FewTries));
    live(&world, DAY);
    assert_eq!((is(&world.subscription()), world.subscription().failures.len()), (Is::InGrace, 2));
}

#[test]
fn our_own_fault_is_told_to_us_and_tried_again() {
    let world = subscribed();
    to_period_end(&world);
    world.gateways.next(Script::Decline(Remedy::OurFault));
    let told = block_on(world.wake(Wanted::Subscription { customer: customer() }));
    assert!(told.is_err_and(|error| error.to_string().contains("our account")));
    live(&world, DAY);
    assert_eq!((is(&world.subscription()), index(&world)), (Is::Active, Some(1)));
}

// The customer comes back.

pub(crate) fn come_back(world: &World, key: &str) -> Payment {
    block_on(world.recover(recovery(key))).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn a_customer_who_comes_back_in_grace_pays_and_is_renewed() {
    let world = subscribed();
    declined_at_period_end(&world, Remedy::NewMethod);
    assert_eq!(is(&world.subscription()), Is::InGrace);
    let page = come_back(&world, "r");
    world.gateways.visit(&page, true);
    assert_eq!(verify(&world, &page), (Paid::Succeeded, Is::Active));
    assert_eq!((index(&world), money(&world)), (Some(1), (2, 0)));
    live(&world, DAY * 5);
    assert_eq!((is(&world.subscription()), money(&world)), (Is::Active, (2, 0)));
}

#[test]
fn while_the_page_is_open_no_charge_is_tried_and_afterwards_it_is() {
    let world = subscribed();
    declined_at_period_end(&world, Remedy::RetryLater);
    pass(&world, DAY - MINUTE);
    let page = come_back(&world, "r");
    live(&world, HOUR - MINUTE);
    assert_eq!((is(&world.subscription()), money(&world)), (Is::Retrying, (1, 0)));
    live(&world, HOUR);
    assert_eq!((paid(&world.payment_of(&page)), is(&world.subscription())), (Paid::Expired, Is::Active));
    assert_eq!(money(&world), (2, 0));
}

#[test]
fn what_is_paid_on_a_page_whose_time_was_over_goes_back_if_it_was_charged_meanwhile() {
    let world = subscribed();
    declined_at_period_end(&world, Remedy::RetryLater);
    let page = come_back(&world, "r");
    live(&world, DAY + HOUR * 2);
    assert_eq!((is(&world.subscription()), index(&world)), (Is::Active, Some(1)));
    world.gateways.visit(&page, true); // this gateway cannot close its pages
    told(&world, &page, "evt_late");
    live(&world, HOUR);
    assert_eq!((paid(&world.payment_of(&page)), money(&world)), (Paid::Refunded, (3, 1)));
}

#[test]
fn coming_back_twice_is_the_same_page() {
    let world = subscribed();
    declined_at_period_end(&world, Remedy::NewMethod);
    assert_eq!(come_back(&world, "r1").id, come_back(&world, "r2").id);
}

#[test]
fn opening_pages_does_not_make_grace_longer() {
    let world = subscribed();
    declined_at_period_end(&world, Remedy::NewMethod);
    for hour in 0..72 {
        drop(block_on(world.recover(recovery(&format!("r{hour}")))));
        live(&world, HOUR);
    }
    live(&world, HOUR);
    assert_eq!(is(&world.subscription()), Is::Suspended);
}

#[test]
fn who_owes_nothing_has_nothing_to_pay() {
    let world = subscribed();
    let refused = block_on(world.recover(recovery("r")));
    assert!(matches!(refused, Err(CheckoutError::Refused(Refusal::NothingOwed))));
}

// Methods.

pub(crate) fn setup(gateway: Gateway, key: &str) -> Setup {
    let wanted = request("estates-professional", key);
    Setup {
        customer: wanted.customer,
        email: wanted.email,
        gateway,
        currency: wanted.currency,
        return_url: None,
        key: wanted.key,
        fingerprint: "setup".to_owned(),
    }
}

pub(crate) fn set_up(world: &World, gateway: Gateway, key: &str) -> Payment {
    block_on(world.set_up(setup(gateway, key))).unwrap_or_else(|error| panic!("{error}"))
}

fn default_token(world: &World) -> Option<String> {
    let wallet = world.key(Key::Wallet(customer())).wallet();
    wallet.and_then(|wallet| wallet.default_method().map(|method| method.token.clone()))
}

#[test]
fn a_method_that_is_set_up_becomes_the_default_and_costs_nothing() {
    for (gateway, given_back) in [(Gateway::Stripe, 0), (Gateway::Paystack, 1)] {
        let world = subscribed();
        let setup = set_up(&world, gateway, "s");
        world.gateways.visit(&setup, true);
        told(&world, &setup, "evt_setup");
        live(&world, HOUR);
        assert_eq!(default_token(&world).as_deref(), Some("AUTH_2"), "{gateway:?}");
        assert_eq!((index(&world), money(&world).1), (Some(0), given_back), "{gateway:?}");
    }
}

#[test]
fn a_method_can_be_left_before_anything_is_bought() {
    let world = billing::testing::world();
    let setup = set_up(&world, Gateway::Stripe, "s");
    world.gateways.visit(&setup, true);
    live(&world, HOUR);
    assert_eq!((methods(&world), default_token(&world).as_deref()), (1, Some("AUTH_2")));
}

#[test]
fn a_page_for_a_method_that_nobody_uses_is_over_after_a_day() {
    let world = subscribed();
    let setup = set_up(&world, Gateway::Stripe, "s");
    live(&world, DAY + HOUR);
    assert_eq!((paid(&world.payment_of(&setup)), methods(&world)), (Paid::Expired, 1));
    assert_eq!(is(&world.subscription()), Is::Active);
}

#[test]
fn a_method_left_in_grace_is_charged_at_once() {
    let world = subscribed();
    declined_at_period_end(&world, Remedy::NewMethod);
    let setup = set_up(&world, Gateway::Stripe, "s");
    world.gateways.visit(&setup, true);
    told(&world, &setup, "evt_setup");
    world.run();
    assert_eq!((is(&world.subscription()), index(&world)), (Is::Active, Some(1)));
}

/// Found by the simulation: who had left a method in grace was cancelled as unpaid, because our keys were missing just then.
#[test]
fn nobody_is_suspended_while_our_keys_to_what_they_could_pay_with_are_missing() {
    let world = subscribed();
    declined_at_period_end(&world, Remedy::NewMethod);
    let setup = set_up(&world, Gateway::Stripe, "s");
    world.gateways.visit(&setup, true);
    world.gateways.set_keys(Gateway::Stripe, false);
    told(&world, &setup, "evt_setup");
    for _ in 0..10 {
        pass(&world, DAY);
        let woken = block_on(world.wake(renewal()));
        assert!(
            matches!(woken, Ok(()) | Err(WakeError::Gateway(GatewayError::NotConfigured(Gateway::Stripe)))),
            "{woken:?}"
        );
    }
    assert_eq!((is(&world.subscription()), methods(&world)), (Is::InGrace, 2));
    world.gateways.set_keys(Gateway::Stripe, true);
    live(&world, DAY);
    assert_eq!((is(&world.subscription()), index(&world)), (Is::Active, Some(1)));
}

#[test]
fn who_has_left_nothing_that_could_be_charged_is_suspended_whatever_keys_are_missing() {
    let world = subscribed();
    declined_at_period_end(&world, Remedy::NewMethod);
    let gateway = world.payment_of(&attempt(&world, 1, 1)).gateway;
    world.gateways.set_keys(gateway, false);
    live(&world, 10 * DAY);
    assert_eq!(is(&world.subscription()), Is::Suspended);
}

#[test]
fn a_removed_default_is_never_charged_again() {
    let world = with_a_second_gateway();
    assert!(block_on(world.remove_method(&customer(), &method("AUTH_1").id())).is_ok());
    world.run();
    assert_eq!(world.gateways.forgotten(), ["AUTH_1"]);
    to_period_end(&world);
    world.run();
    assert_eq!((charged_at(&world, 1, 1), index(&world)), (Gateway::Stripe, Some(1)));
}

#[test]
fn a_charge_that_never_arrived_is_not_sent_again_with_a_removed_method() {
    let world = with_a_second_gateway();
    to_period_end(&world);
    world.gateways.next(Script::SilentBefore);
    wake(&world, Wanted::Subscription { customer: customer() });
    assert!(block_on(world.remove_method(&customer(), &method("AUTH_1").id())).is_ok());
    live(&world, DAY * 4);
    assert_eq!(paid(&attempt(&world, 1, 1)), Paid::Expired);
    assert_eq!((charged_at(&world, 1, 2), index(&world), money(&world)), (Gateway::Stripe, Some(1), (2, 0)));
}

#[test]
fn a_removed_method_is_not_brought_back_by_its_own_success() {
    let world = subscribed();
    to_period_end(&world);
    world.gateways.next(Script::SilentAfter);
    world.run();
    assert!(block_on(world.remove_method(&customer(), &method("AUTH_1").id())).is_ok());
    live(&world, HOUR);
    assert_eq!((index(&world), methods(&world)), (Some(1), 0));
}

#[test]
fn the_other_gateway_s_turn_does_not_make_its_method_the_default() {
    let world = with_a_second_gateway();
    declined_at_period_end(&world, Remedy::RetryLater);
    assert_eq!((charged_at(&world, 1, 2), default_token(&world).as_deref()), (Gateway::Stripe, Some("AUTH_1")));
}

#[test]
fn who_is_asked_to_do_something_is_not_charged_elsewhere_meanwhile() {
    let world = with_a_second_gateway();
    declined_at_period_end(&world, Remedy::AskCustomer);
    live(&world, DAY);
    assert_eq!((is(&world.subscription()), world.subscription().failures.len()), (Is::InGrace, 1));
}

#[test]
fn leaving_and_removing_methods_does_not_make_grace_longer() {
    let world = subscribed();
    declined_at_period_end(&world, Remedy::NewMethod);
    for day in 0..4 {
        world.gateways.next(Script::Decline(Remedy::NewMethod));
        let setup = set_up(&world, Gateway::Stripe, &format!("s{day}"));
        world.gateways.visit(&setup, true);
        told(&world, &setup, &format!("evt_{day}"));
        drop(block_on(world.remove_method(&customer(), &method_at(Gateway::Stripe, "AUTH_2").id())));
        live(&world, DAY);
    }
    assert_eq!(is(&world.subscription()), Is::Suspended);
}

#[test]
fn what_cannot_be_done_for_want_of_gateways_does_not_come_up_every_minute() {
    let world = with_a_second_gateway();
    for gateway in [Gateway::Paystack, Gateway::Stripe] {
        world.gateways.set_up(gateway, false);
    }
    to_period_end(&world);
    assert!(block_on(world.wake(Wanted::Subscription { customer: customer() })).is_err());
    assert!(world.subscription().due_at() > Some(world.clock.time()));
}

#[test]
fn removing_goes_on_until_the_gateway_has_heard() {
    let world = subscribed();
    world.gateways.set_up(Gateway::Paystack, false);
    assert!(block_on(world.remove_method(&customer(), &method("AUTH_1").id())).is_ok());
    drop(block_on(world.wake(Wanted::Wallet { customer: customer() })));
    assert_eq!((methods(&world), world.gateways.forgotten().len()), (0, 0));
    world.gateways.set_up(Gateway::Paystack, true);
    live(&world, HOUR);
    assert_eq!(world.gateways.forgotten(), ["AUTH_1"]);
}

#[test]
fn nobody_changes_the_methods_of_others() {
    let world = subscribed();
    let stranger: CustomerId = "globex".to_owned().try_into().unwrap_or_else(|error| panic!("{error}"));
    let id = method("AUTH_1").id();
    assert!(matches!(block_on(world.remove_method(&stranger, &id)), Err(MethodError::NoMethod)));
    assert!(matches!(block_on(world.prefer_method(&stranger, &id)), Err(MethodError::NoMethod)));
    assert_eq!(methods(&world), 1);
}
