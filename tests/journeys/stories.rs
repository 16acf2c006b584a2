//! Stories of one customer, told through the workflows.

use crate::stage::{
    DAY, HOUR, Is, MINUTE, PLAN, Paid, ask, attempt, command, declined_at_period_end, index, is, live, money, notice,
    on, opened, opened_as, paid, pass, renewal, subscribed, subscribed_to, to_period_end, tokens, told, verify, wake,
};
use billing::delivery::DeliveryStatus;
use billing::id::Reference;
use billing::outcome::Remedy;
use billing::payment::{Gateway, Payment, PaymentStatus};
use billing::ports::{Key, Record, StoreError};
use billing::subscription::{Command, Event, Refusal};
use billing::testing::{Script, World, request, world};
use billing::workflow::{CheckoutError, VerifyError};
use futures::executor::block_on;

fn delivered(world: &World, payment: &Payment, event: &str) -> Option<DeliveryStatus> {
    world.key(Key::Delivery(notice(payment, event).id)).delivery().map(|delivery| delivery.status)
}

// Subscribing.

#[test]
fn a_checkout_that_is_paid_opens_the_subscription() {
    let world = world();
    let payment = opened(&world, PLAN, "k");
    assert_eq!(is(&world.subscription()), Is::Incomplete);
    world.gateways.visit(&payment, true);
    told(&world, &payment, "evt");
    assert_eq!((is(&world.subscription()), index(&world), money(&world)), (Is::Active, Some(0), (1, 0)));
    assert_eq!(delivered(&world, &payment, "evt"), Some(DeliveryStatus::Done));
}

#[test]
fn whoever_comes_back_from_the_page_needs_no_webhook() {
    let world = world();
    let payment = opened(&world, PLAN, "k");
    assert_eq!(verify(&world, &payment), (Paid::Pending, Is::Incomplete));
    world.gateways.visit(&payment, true);
    assert_eq!(verify(&world, &payment), (Paid::Succeeded, Is::Active));
    assert_eq!(verify(&world, &payment), (Paid::Succeeded, Is::Active));
    assert_eq!(index(&world), Some(0));
}

#[test]
fn a_lost_webhook_is_found_by_asking() {
    let world = world();
    let payment = opened(&world, PLAN, "k");
    world.gateways.visit(&payment, true);
    live(&world, HOUR);
    assert_eq!((paid(&world.payment_of(&payment)), is(&world.subscription())), (Paid::Succeeded, Is::Active));
}

#[test]
fn an_abandoned_checkout_expires() {
    let world = world();
    let payment = opened(&world, PLAN, "k");
    live(&world, DAY + HOUR);
    assert_eq!((paid(&world.payment_of(&payment)), is(&world.subscription())), (Paid::Expired, Is::Expired));
    assert_eq!(money(&world), (0, 0));
}

#[test]
fn a_card_refused_on_the_page_may_be_followed_by_one_that_works() {
    let world = world();
    let payment = opened(&world, PLAN, "k");
    world.gateways.visit(&payment, false);
    assert_eq!(verify(&world, &payment), (Paid::Failed, Is::Incomplete));
    world.gateways.visit(&payment, true);
    live(&world, HOUR);
    assert_eq!((paid(&world.payment_of(&payment)), is(&world.subscription())), (Paid::Succeeded, Is::Active));
}

#[test]
fn what_is_paid_after_the_checkout_expired_still_opens_the_subscription() {
    let world = world();
    let payment = opened(&world, PLAN, "k");
    let at = world.clock.time();
    world.store.put(Record::Payment(Payment { status: PaymentStatus::Expired { at }, ..world.payment_of(&payment) }));
    world.store.put(Record::Subscription(world.subscription().apply(&Event::Expired { at })));
    world.gateways.visit(&payment, true);
    told(&world, &payment, "evt");
    assert_eq!((paid(&world.payment_of(&payment)), is(&world.subscription())), (Paid::Succeeded, Is::Active));
}

#[test]
fn of_two_checkouts_that_are_paid_one_opens_and_the_other_goes_back() {
    let world = world();
    let (first, second) = (opened(&world, PLAN, "k1"), opened(&world, "estates-starter", "k2"));
    for (payment, event) in [(&first, "evt_1"), (&second, "evt_2")] {
        world.gateways.visit(payment, true);
        told(&world, payment, event);
    }
    world.run();
    assert_eq!((paid(&world.payment_of(&first)), paid(&world.payment_of(&second))), (Paid::Succeeded, Paid::Refunded));
    assert_eq!((world.subscription().order.plan.id.as_str(), money(&world)), (PLAN, (2, 1)));
}

#[test]
fn the_page_that_was_not_used_is_closed_where_the_gateway_can() {
    let world = world();
    let order = |key| opened_as(&world, on(Gateway::Stripe, request(PLAN, key)));
    let (first, second) = (order("k1"), order("k2"));
    world.gateways.visit(&first, true);
    told(&world, &first, "evt");
    live(&world, HOUR);
    world.gateways.visit(&second, true);
    live(&world, DAY);
    assert_eq!((paid(&world.payment_of(&second)), money(&world)), (Paid::Expired, (1, 0)));
}

#[test]
fn a_page_that_stays_payable_is_asked_about_until_its_time_is_over() {
    let world = world();
    let (first, second) = (opened(&world, PLAN, "k1"), opened(&world, PLAN, "k2"));
    world.gateways.visit(&first, true);
    told(&world, &first, "evt");
    live(&world, HOUR);
    world.gateways.visit(&second, true); // and nobody tells us
    live(&world, DAY);
    assert_eq!((paid(&world.payment_of(&second)), money(&world)), (Paid::Refunded, (2, 1)));
}

#[test]
fn a_live_subscription_is_not_bought_a_second_time() {
    let world = subscribed();
    let again = ask(&world, request(PLAN, "again"));
    assert!(matches!(again, Err(CheckoutError::Refused(Refusal::AlreadySubscribed))));
}

#[test]
fn after_the_end_the_next_subscription_begins_and_the_old_one_is_kept() {
    let world = subscribed();
    let old = world.subscription().id;
    assert_eq!(command(&world, Command::CancelNow), Is::Canceled);
    let payment = opened(&world, PLAN, "again");
    world.gateways.visit(&payment, true);
    told(&world, &payment, "evt");
    assert_eq!((is(&world.subscription()), world.subscription().id), (Is::Active, old.next()));
    assert!(world.key(Key::PastSubscription(payment.customer, old)).past_subscription().is_some());
}

// Idempotency keys.

#[test]
fn the_same_key_for_the_same_request_is_the_same_payment() {
    let world = world();
    assert_eq!(opened(&world, PLAN, "k"), opened(&world, PLAN, "k"));
    assert_eq!(world.gateways.charges().len(), 1);
}

#[test]
fn the_same_key_for_another_request_is_refused() {
    let world = world();
    opened(&world, PLAN, "k");
    assert!(matches!(ask(&world, request("estates-starter", "k")), Err(CheckoutError::KeyReused)));
}

#[test]
fn a_key_whose_request_is_running_must_wait_and_then_goes_on_with_it() {
    let world = world();
    world.gateways.fail_from(Some(0));
    assert!(matches!(ask(&world, request(PLAN, "k")), Err(CheckoutError::Gateway(_))));
    world.gateways.fail_from(None);
    assert!(matches!(ask(&world, request(PLAN, "k")), Err(CheckoutError::InProgress)));
    pass(&world, MINUTE);
    opened(&world, PLAN, "k");
    assert_eq!(world.gateways.charges().len(), 1);
}

// Webhooks.

#[test]
fn a_webhook_told_twice_is_heard_once() {
    let world = world();
    let payment = opened(&world, PLAN, "k");
    world.gateways.visit(&payment, true);
    told(&world, &payment, "evt");
    let once = world.store.records();
    told(&world, &payment, "evt");
    assert_eq!(world.store.records(), once);
}

#[test]
fn another_webhook_about_the_same_success_changes_no_money() {
    let world = subscribed();
    let before = (world.subscription(), tokens(&world), money(&world));
    told(&world, &attempt(&world, 0, 1), "evt_other");
    assert_eq!((world.subscription(), tokens(&world), money(&world)), before);
}

#[test]
fn a_webhook_about_nothing_of_ours_is_kept_and_that_is_all() {
    let world = subscribed();
    let unknown = Reference::try_from(format!("r{:025}", 1)).ok();
    let notice = billing::delivery::Notice { reference: unknown, ..notice(&attempt(&world, 0, 1), "evt_unknown") };
    let before = world.subscription();
    assert!(block_on(world.receive(notice.clone())).is_ok());
    let kept = world.key(Key::Delivery(notice.id)).delivery().map(|delivery| delivery.status);
    assert_eq!((world.subscription(), kept), (before, Some(DeliveryStatus::Done)));
}

#[test]
fn a_webhook_is_a_hint_and_the_gateway_is_asked() {
    let world = world();
    let payment = opened(&world, PLAN, "k");
    told(&world, &payment, "evt"); // it says `charge.success`, and nobody paid
    assert_eq!((paid(&world.payment_of(&payment)), is(&world.subscription())), (Paid::Pending, Is::Incomplete));
}

#[test]
fn a_webhook_whose_gateway_is_silent_is_kept_and_finished_later() {
    let world = world();
    let payment = opened(&world, PLAN, "k");
    world.gateways.visit(&payment, true);
    world.gateways.fail_from(Some(0));
    told(&world, &payment, "evt");
    assert!(matches!(delivered(&world, &payment, "evt"), Some(DeliveryStatus::Waiting { .. })));
    assert_eq!(is(&world.subscription()), Is::Incomplete);
    world.gateways.fail_from(None);
    live(&world, HOUR);
    assert_eq!(delivered(&world, &payment, "evt"), Some(DeliveryStatus::Done));
    assert_eq!(is(&world.subscription()), Is::Active);
}

#[test]
fn a_webhook_is_refused_while_the_store_is_down_and_changes_nothing() {
    let world = world();
    let payment = opened(&world, PLAN, "k");
    world.gateways.visit(&payment, true);
    let before = world.store.records();
    world.store.fail_after(0);
    let refused = block_on(world.receive(notice(&payment, "evt")));
    world.store.recover();
    assert!(matches!(refused, Err(StoreError::Unavailable(_))));
    assert_eq!(world.store.records(), before);
    told(&world, &payment, "evt");
    assert_eq!(is(&world.subscription()), Is::Active);
}

#[test]
fn a_stranger_cannot_ask_about_a_payment() {
    let world = subscribed();
    let stranger = "globex".to_owned().try_into().unwrap_or_else(|error| panic!("{error}"));
    let asked = block_on(world.verify(&stranger, &attempt(&world, 0, 1).id));
    assert!(matches!(asked, Err(VerifyError::NoPayment)));
}

// Money that is not what was asked for.

#[test]
fn another_amount_than_was_asked_for_grants_nothing_and_goes_back() {
    let world = subscribed();
    to_period_end(&world);
    world.gateways.next(Script::TakesInstead(1));
    world.run();
    live(&world, HOUR);
    assert_eq!((paid(&attempt(&world, 1, 1)), index(&world), money(&world)), (Paid::Refunded, Some(0), (2, 1)));
    assert_eq!(is(&world.subscription()), Is::InGrace);
}

// Renewing.

#[test]
fn a_renewal_is_charged_once_however_often_it_is_told() {
    let world = subscribed();
    to_period_end(&world);
    for _ in 0..5 {
        wake(&world, renewal());
    }
    world.run();
    assert_eq!((is(&world.subscription()), index(&world), money(&world)), (Is::Active, Some(1), (2, 0)));
}

#[test]
fn nothing_is_charged_before_the_period_ends() {
    let world = subscribed();
    to_period_end(&world);
    pass(&world, -MINUTE);
    wake(&world, renewal());
    world.run();
    assert_eq!((index(&world), money(&world)), (Some(0), (1, 0)));
}

#[test]
fn a_year_of_months_is_twelve_charges_at_the_ends_of_months() {
    let world = subscribed();
    for _ in 0..12 {
        to_period_end(&world);
        world.run();
    }
    assert_eq!((index(&world), money(&world)), (Some(12), (13, 0)));
    let start = world.subscription().period().map(|period| period.start.to_string());
    assert_eq!(start.as_deref(), Some("2026-01-31T10:00:00Z"));
}

#[test]
fn a_charge_that_was_made_and_never_answered_is_found_by_asking() {
    let world = subscribed();
    to_period_end(&world);
    world.gateways.next(Script::SilentAfter);
    world.run();
    assert_eq!(paid(&attempt(&world, 1, 1)), Paid::Pending);
    live(&world, HOUR);
    assert_eq!((is(&world.subscription()), index(&world), money(&world)), (Is::Active, Some(1), (2, 0)));
}

#[test]
fn a_charge_that_never_arrived_is_sent_again_as_the_same() {
    let world = subscribed();
    to_period_end(&world);
    world.gateways.next(Script::SilentBefore);
    world.run();
    live(&world, HOUR);
    assert_eq!((index(&world), money(&world)), (Some(1), (2, 0)));
    assert!(world.gateways.charges().contains_key(&attempt(&world, 1, 1).reference));
}

#[test]
fn past_the_memory_of_a_key_a_charge_is_asked_about_and_not_sent() {
    let world = subscribed_to(on(Gateway::Stripe, request(PLAN, "k")));
    let mut wallet = world.key(Key::Wallet(world.subscription().customer)).wallet();
    if let Some(wallet) = &mut wallet {
        wallet.methods.iter_mut().for_each(|method| method.gateway = Gateway::Stripe);
        world.store.put(Record::Wallet(wallet.clone()));
    }
    to_period_end(&world);
    world.gateways.next(Script::SilentBefore);
    world.run();
    pass(&world, DAY);
    live(&world, DAY);
    assert_eq!((paid(&attempt(&world, 1, 1)), money(&world)), (Paid::Pending, (1, 0)));
}

#[test]
fn a_day_of_silence_is_neither_a_decline_nor_another_attempt() {
    let world = subscribed();
    to_period_end(&world);
    world.gateways.fail_from(Some(0));
    live(&world, DAY);
    assert_eq!((paid(&attempt(&world, 1, 1)), is(&world.subscription())), (Paid::Pending, Is::Active));
    world.gateways.fail_from(None);
    live(&world, DAY);
    assert_eq!((index(&world), money(&world)), (Some(1), (2, 0)));
}

// Dunning.

#[test]
fn a_declined_renewal_is_tried_on_days_1_3_and_5_then_comes_grace_then_suspension_then_the_end() {
    let world = subscribed();
    for _ in 0..4 {
        world.gateways.next(Script::Decline(Remedy::RetryLater));
    }
    to_period_end(&world);
    world.run();
    let mut ladder = vec![(0, is(&world.subscription()), world.subscription().attempts)];
    for day in 1..=9 {
        live(&world, DAY);
        ladder.push((day, is(&world.subscription()), world.subscription().attempts));
    }
    let expected = [
        (0, Is::Retrying, 1),
        (1, Is::Retrying, 2),
        (2, Is::Retrying, 2),
        (3, Is::Retrying, 3),
        (4, Is::Retrying, 3),
        (5, Is::InGrace, 4),
        (6, Is::InGrace, 4),
        (7, Is::InGrace, 4),
        (8, Is::Suspended, 4),
        (9, Is::Suspended, 4),
    ];
    assert_eq!(ladder, expected);
    live(&world, DAY * 29 - HOUR);
    assert_eq!(is(&world.subscription()), Is::Suspended);
    live(&world, HOUR);
    assert_eq!((is(&world.subscription()), world.subscription().attempts), (Is::Unpaid, 4));
    assert_eq!(money(&world), (1, 0));
}

#[test]
fn a_retry_that_is_paid_leaves_no_trace_of_the_decline() {
    let world = subscribed();
    declined_at_period_end(&world, Remedy::RetryLater);
    assert_eq!(is(&world.subscription()), Is::Retrying);
    live(&world, DAY);
    let now = world.subscription();
    assert_eq!((is(&now), now.attempts, index(&world), money(&world)), (Is::Active, 0, Some(1), (2, 0)));
}

#[test]
fn what_a_retry_cannot_mend_goes_straight_to_grace() {
    for remedy in [Remedy::NewMethod, Remedy::AskCustomer] {
        let world = subscribed();
        declined_at_period_end(&world, remedy);
        assert_eq!(is(&world.subscription()), Is::InGrace);
        live(&world, DAY * 3);
        assert_eq!((is(&world.subscription()), world.subscription().attempts), (Is::Suspended, 1));
    }
}

// Canceling.

#[test]
fn a_cancellation_at_the_period_s_end_charges_nothing_more() {
    let world = subscribed();
    assert_eq!(command(&world, Command::CancelAtPeriodEnd), Is::Leaving);
    to_period_end(&world);
    world.run();
    assert_eq!((is(&world.subscription()), money(&world)), (Is::Canceled, (1, 0)));
}

#[test]
fn a_cancellation_can_be_taken_back_until_the_period_ends() {
    let world = subscribed();
    assert_eq!(command(&world, Command::CancelAtPeriodEnd), Is::Leaving);
    assert_eq!(command(&world, Command::Resume), Is::Active);
    to_period_end(&world);
    world.run();
    assert_eq!((is(&world.subscription()), index(&world)), (Is::Active, Some(1)));
}

#[test]
fn canceling_while_a_charge_is_in_flight_gives_the_money_back() {
    let world = subscribed();
    to_period_end(&world);
    world.gateways.next(Script::SilentAfter);
    world.run();
    assert_eq!(command(&world, Command::CancelNow), Is::Canceled);
    live(&world, HOUR);
    assert_eq!((paid(&attempt(&world, 1, 1)), is(&world.subscription())), (Paid::Refunded, Is::Canceled));
    assert_eq!((index(&world), money(&world)), (Some(0), (2, 1)));
}

#[test]
fn canceling_before_a_charge_arrived_means_it_is_never_sent_again() {
    let world = subscribed();
    to_period_end(&world);
    world.gateways.next(Script::SilentBefore);
    world.run();
    assert_eq!(command(&world, Command::CancelNow), Is::Canceled);
    live(&world, DAY * 3);
    assert_eq!((paid(&attempt(&world, 1, 1)), money(&world)), (Paid::Expired, (1, 0)));
}
