//! Stories of money after it was taken: given back in parts, taken back, disputed.

use crate::stage::{
    DAY, HOUR, Is, Paid, attempt, command, declined_at_period_end, index, is, live, money, paid, pass, refund_of,
    renewal, subscribed, to_period_end, told, verify, wake,
};
use billing::outcome::{DisputeStanding, Remedy};
use billing::payment::{Payment, Portion, RefundRefusal};
use billing::subscription::Command;
use billing::testing::{Script, World, request};
use billing::workflow::{Checkout, RefundError, RefundRequest};
use futures::executor::block_on;

pub(crate) fn give_back(world: &World, wanted: RefundRequest) -> Result<Payment, RefundError> {
    block_on(world.refund(wanted))
}

/// What went back of the first payment, by the gateway's own books.
fn returned(world: &World) -> Vec<i64> {
    let charge = world.gateways.charges().remove(&attempt(world, 0, 1).reference);
    charge.map(|charge| charge.refunds.into_values().collect()).unwrap_or_default()
}

fn key(name: &str) -> billing::id::IdempotencyKey {
    billing::testing::request("estates-professional", name).key
}

#[test]
fn a_part_goes_back_and_the_customer_is_served_on() {
    let world = subscribed();
    let payment = give_back(&world, refund_of(&world, 100)).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((paid(&payment), returned(&world)), (Paid::PartiallyRefunded, vec![100]));
    assert_eq!((is(&world.subscription()), index(&world)), (Is::Active, Some(0)));
}

#[test]
fn parts_add_up_to_the_whole_and_to_no_more() {
    let world = subscribed();
    let whole = attempt(&world, 0, 1).amount.minor;
    for (name, minor) in [("a", 100), ("b", whole - 100)] {
        let wanted = RefundRequest { key: key(name), ..refund_of(&world, minor) };
        assert!(give_back(&world, wanted).is_ok());
    }
    let more = give_back(&world, RefundRequest { key: key("c"), ..refund_of(&world, 1) });
    assert!(matches!(more, Err(RefundError::Refused(RefundRefusal::MoreThanLeft(0)))));
    assert_eq!((paid(&attempt(&world, 0, 1)), returned(&world)), (Paid::Refunded, vec![100, whole - 100]));
}

#[test]
fn one_key_gives_back_once_and_never_another_amount() {
    let world = subscribed();
    for _ in 0..3 {
        assert!(give_back(&world, refund_of(&world, 100)).is_ok());
    }
    assert_eq!(returned(&world), [100]);
    assert!(matches!(give_back(&world, refund_of(&world, 200)), Err(RefundError::KeyReused)));
}

#[test]
fn a_refund_that_the_gateway_is_silent_about_stands_and_is_asked_for_again() {
    let world = subscribed();
    world.gateways.fail_from(Some(0));
    let promised = give_back(&world, refund_of(&world, 100)).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((paid(&promised), returned(&world)), (Paid::RefundDue, vec![]));
    world.gateways.fail_from(None);
    live(&world, HOUR);
    assert_eq!((paid(&attempt(&world, 0, 1)), returned(&world)), (Paid::PartiallyRefunded, vec![100]));
}

#[test]
fn a_refund_that_the_gateway_refuses_is_said_to_be_refused_and_can_be_asked_for_again() {
    let world = subscribed();
    world.gateways.refuse_refunds(true);
    assert!(matches!(give_back(&world, refund_of(&world, 100)), Err(RefundError::Failed(_))));
    world.gateways.refuse_refunds(false);
    assert_eq!(paid(&attempt(&world, 0, 1)), Paid::Succeeded);
    assert!(give_back(&world, RefundRequest { key: key("again"), ..refund_of(&world, 100) }).is_ok());
    assert_eq!(returned(&world), [100]);
}

#[test]
fn what_someone_gave_back_on_the_gateway_s_pages_counts_whether_or_not_we_are_told() {
    for tells in [true, false] {
        let world = subscribed();
        let payment = attempt(&world, 0, 1);
        world.gateways.refund_by_hand(&payment, 100);
        match tells {
            true => told(&world, &payment, "evt_refund"),
            false => live(&world, DAY + HOUR),
        }
        assert_eq!(paid(&attempt(&world, 0, 1)), Paid::PartiallyRefunded, "told: {tells}");
        let rest = RefundRequest { portion: Portion::All, ..refund_of(&world, 0) };
        assert!(give_back(&world, rest).is_ok());
        assert_eq!(returned(&world).iter().sum::<i64>(), payment.amount.minor);
    }
}

#[test]
fn a_dispute_is_noticed_whether_or_not_we_are_told_and_nothing_more_is_charged() {
    for tells in [true, false] {
        let world = subscribed();
        let payment = attempt(&world, 0, 1);
        world.gateways.dispute(&payment, DisputeStanding::Open);
        match tells {
            true => told(&world, &payment, "evt_dispute"),
            false => live(&world, DAY + HOUR),
        }
        assert_eq!((paid(&attempt(&world, 0, 1)), is(&world.subscription())), (Paid::Disputed, Is::Active));
        to_period_end(&world);
        world.run();
        assert_eq!((is(&world.subscription()), money(&world)), (Is::Disputed, (1, 0)), "told: {tells}");
    }
}

#[test]
fn a_dispute_that_is_won_leaves_no_trace_and_one_that_is_lost_ends_it() {
    for (standing, ends_as, payment_is) in
        [(DisputeStanding::Won, Is::Active, Paid::Succeeded), (DisputeStanding::Lost, Is::Disputed, Paid::Disputed)]
    {
        let world = subscribed();
        let payment = attempt(&world, 0, 1);
        world.gateways.dispute(&payment, DisputeStanding::Open);
        told(&world, &payment, "evt_1");
        world.gateways.dispute(&payment, standing);
        told(&world, &payment, "evt_2");
        assert_eq!((is(&world.subscription()), paid(&attempt(&world, 0, 1))), (ends_as, payment_is));
    }
}

#[test]
fn disputes_told_in_any_order_end_the_same() {
    let world = subscribed();
    let payment = attempt(&world, 0, 1);
    world.gateways.dispute(&payment, DisputeStanding::Lost);
    for event in ["evt_closed", "evt_created", "evt_closed", "evt_created"] {
        told(&world, &payment, event);
    }
    assert_eq!((is(&world.subscription()), paid(&attempt(&world, 0, 1))), (Is::Disputed, Paid::Disputed));
}

#[test]
fn disputed_money_is_not_given_back_besides() {
    let world = subscribed();
    let payment = attempt(&world, 0, 1);
    world.gateways.dispute(&payment, DisputeStanding::Open);
    assert_eq!(verify(&world, &payment), (Paid::Disputed, Is::Active));
    let refused = give_back(&world, refund_of(&world, 100));
    assert!(matches!(refused, Err(RefundError::Refused(RefundRefusal::Disputed))));
}

#[test]
fn a_dispute_while_money_is_owed_ends_every_charge_at_once() {
    let world = subscribed();
    declined_at_period_end(&world, Remedy::RetryLater);
    let payment = attempt(&world, 0, 1);
    world.gateways.dispute(&payment, DisputeStanding::Open);
    told(&world, &payment, "evt");
    live(&world, DAY * 3);
    assert_eq!((is(&world.subscription()), money(&world)), (Is::Disputed, (1, 0)));
}

#[test]
fn a_dispute_about_a_subscription_that_has_ended_leaves_the_next_one_alone() {
    let world = subscribed();
    let payment = attempt(&world, 0, 1);
    assert_eq!(command(&world, Command::CancelNow), Is::Canceled);
    pass(&world, DAY);
    world.gateways.dispute(&payment, DisputeStanding::Lost);
    told(&world, &payment, "evt");
    assert_eq!((is(&world.subscription()), paid(&attempt(&world, 0, 1))), (Is::Canceled, Paid::Disputed));
}

#[test]
fn money_that_a_bank_took_back_is_not_given_back_on_top() {
    let world = subscribed();
    let payment = attempt(&world, 0, 1);
    world.gateways.fail_from(Some(0));
    let promised = give_back(&world, refund_of(&world, 100)).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(paid(&promised), Paid::RefundDue);
    world.gateways.fail_from(None);
    world.gateways.dispute(&payment, DisputeStanding::Lost);
    told(&world, &payment, "evt");
    live(&world, DAY);
    assert_eq!((paid(&attempt(&world, 0, 1)), returned(&world)), (Paid::Disputed, vec![]));
}

#[test]
fn a_dispute_about_what_was_never_ours_to_keep_ends_nothing() {
    let world = subscribed();
    to_period_end(&world);
    world.gateways.next(Script::TakesInstead(1));
    world.gateways.refuse_refunds(true);
    wake(&world, renewal());
    let wrong = attempt(&world, 1, 1);
    assert_eq!((paid(&wrong), is(&world.subscription())), (Paid::RefundDue, Is::InGrace));
    world.gateways.dispute(&wrong, DisputeStanding::Open);
    told(&world, &wrong, "evt");
    assert_eq!(is(&world.subscription()), Is::InGrace);
}

#[test]
fn a_key_of_the_customer_s_does_not_stand_in_the_way_of_staff() {
    let world = subscribed();
    let wanted = refund_of(&world, 100);
    let same_key = Checkout { key: wanted.key.clone(), ..request("estates-professional", "unused") };
    drop(block_on(world.checkout(same_key)));
    assert!(give_back(&world, wanted).is_ok());
}
