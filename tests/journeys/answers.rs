//! Stories of what whoever asks is told: what is stored, of what is theirs, and what it is.

use crate::afterwards::give_back;
use crate::collecting::{come_back, set_up};
use crate::living::{ends, on_trial_offer, try_subscribing, wanted, with_card};
use crate::stage::{
    DAY, HOUR, Is, Paid, attempt, check, credit, declined_at_period_end, index, is, live, naira, paid, pass, recovery,
    refund_of, subscribed, to_period_end, verify,
};
use crate::transfers::{after, transfer};
use billing::id::CustomerId;
use billing::mail::{About, TrialEnding};
use billing::outcome::Remedy;
use billing::payment::{CheckoutMethod, Gateway};
use billing::ports::Key;
use billing::subscription::Refusal;
use billing::testing::{MemoryMailer, World, customer};
use billing::wallet::Wallet;
use billing::workflow::{CheckoutError, Recovery, RefundRequest, WakeError};
use futures::executor::block_on;

fn globex() -> CustomerId {
    "globex".to_owned().try_into().unwrap_or_else(|error| panic!("{error}"))
}

fn wallet(world: &World) -> Wallet {
    world.key(Key::Wallet(customer())).wallet().unwrap_or_else(|| panic!("nothing was left"))
}

#[test]
fn a_payment_is_shown_to_whose_it_is_and_to_nobody_else() {
    let world = subscribed();
    let payment = attempt(&world, 0, 1);
    let shown = |to: &CustomerId| block_on(world.payment(to, &payment.id)).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((shown(&customer()), shown(&globex())), (Some(payment.clone()), None));
}

#[test]
fn what_is_answered_is_what_is_stored() {
    let world = subscribed();
    let returned = give_back(&world, refund_of(&world, 100)).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(returned, world.payment_of(&returned));

    let setup = set_up(&world, Gateway::Paystack, "another");
    world.gateways.visit(&setup, true);
    verify(&world, &setup);
    assert_eq!(wallet(&world).methods.len(), 2);
    let first = wallet(&world).methods[0].id();
    let preferred = block_on(world.prefer_method(&customer(), &first)).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(preferred, wallet(&world));
    let removed = block_on(world.remove_method(&customer(), &first)).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((removed.methods.len(), &removed), (1, &wallet(&world)));
}

#[test]
fn whoever_comes_back_gets_the_open_page_only_if_it_is_such_as_they_ask_for() {
    let world = subscribed();
    declined_at_period_end(&world, Remedy::NewMethod);
    let open = come_back(&world, "r");
    let again = |key: &str, change: fn(Recovery) -> Recovery| block_on(world.recover(change(recovery(key))));
    assert_eq!(again("same", |it| it).map(|it| it.id).ok(), Some(open.id));
    let running = |answer| matches!(answer, Err(CheckoutError::Refused(Refusal::ChargeRunning)));
    assert!(running(again("elsewhere", |it| Recovery { gateway: Gateway::Stripe, ..it })));
    assert!(running(again("otherwise", |it| Recovery { method: CheckoutMethod::BankTransfer, ..it })));
    // It is over, and nobody has seen yet whether it was paid.
    pass(&world, HOUR);
    assert!(running(again("late", |it| it)));
}

#[test]
fn who_has_left_a_card_is_told_that_it_will_be_charged_when_the_trial_ends() {
    let (world, inbox) = (on_trial_offer(), MemoryMailer::default());
    with_card(&world);
    try_subscribing(&world, &wanted("estates-professional"), "k").unwrap_or_else(|error| panic!("{error}"));
    pass(&world, DAY * 11);
    world.run_mailing(&inbox);
    let [mail] = &inbox.take()[..] else { panic!("one mail") };
    let About::TrialEnding(TrialEnding { has_method, trial_ends_at, .. }) = &mail.about else { panic!("{mail:?}") };
    assert_eq!((*has_method, *trial_ends_at), (true, ends(&world)));
}

#[test]
fn what_came_in_by_transfer_is_used_before_a_card_is_charged() {
    let (world, _) = after(&[naira().minor]);
    let setup = set_up(&world, Gateway::Stripe, "card");
    world.gateways.visit(&setup, true);
    verify(&world, &setup);
    assert_eq!(wallet(&world).methods.len(), 1);
    transfer(&world, "T_next", naira().minor);
    live(&world, DAY * 8);
    assert_eq!(credit(&world), Some(naira().minor));
    let charged = world.gateways.taken();
    to_period_end(&world);
    world.run();
    assert_eq!((is(&world.subscription()), index(&world)), (Is::Active, Some(1)));
    assert_eq!((credit(&world), world.gateways.taken()), (Some(0), charged));
}

#[test]
fn that_it_was_paid_is_told_though_the_gateway_is_silent_and_that_it_was_not_is_never() {
    let world = subscribed();
    world.gateways.set_up(Gateway::Paystack, false);
    assert_eq!(verify(&world, &attempt(&world, 0, 1)), (Paid::Succeeded, Is::Active));
    world.gateways.set_up(Gateway::Paystack, true);
    declined_at_period_end(&world, Remedy::NewMethod);
    let open = come_back(&world, "r");
    world.gateways.set_up(Gateway::Paystack, false);
    assert!(block_on(world.verify(&customer(), &open.id)).is_err());
    assert_eq!(paid(&world.payment_of(&open)), Paid::Pending);
}

#[test]
fn a_refund_that_never_ends_is_told_to_somebody_after_days_and_asked_for_on() {
    let world = subscribed();
    world.gateways.delay_refunds(true);
    let promised = give_back(&world, refund_of(&world, 100)).unwrap_or_else(|error| panic!("{error}"));
    let asked_at = world.clock.time();
    let mut heard = vec![];
    for _ in 0..40 {
        let due = world.payment_of(&promised).due_at().unwrap_or_else(|| panic!("it is due"));
        world.clock.set(due);
        match block_on(world.wake(check(&promised))) {
            Ok(()) => {}
            Err(WakeError::RefundStuck(id)) if id == promised.id => heard.push(due.duration_since(asked_at)),
            Err(other) => panic!("{other}"),
        }
    }
    let first = heard.first().copied().unwrap_or_default();
    assert!(first > DAY * 5 && first < DAY * 7, "{first:?}");
    assert!(heard.len() > 10, "and they hear of it until it ends: {}", heard.len());
    world.gateways.delay_refunds(false);
    live(&world, DAY);
    assert_eq!(paid(&world.payment_of(&promised)), Paid::PartiallyRefunded);
}

#[test]
fn what_a_card_paid_goes_back_to_the_card_whatever_came_in_by_transfer() {
    let (world, _) = after(&[naira().minor]);
    let setup = set_up(&world, Gateway::Stripe, "card");
    world.gateways.visit(&setup, true);
    verify(&world, &setup);
    to_period_end(&world);
    world.run();
    let charged = attempt(&world, 1, 1);
    assert_eq!((charged.gateway, paid(&charged), credit(&world)), (Gateway::Stripe, Paid::Succeeded, Some(0)));
    let wanted = RefundRequest { payment: charged.id.clone(), ..refund_of(&world, 100) };
    let returned = give_back(&world, wanted).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((paid(&returned), credit(&world)), (Paid::PartiallyRefunded, Some(0)));
}
