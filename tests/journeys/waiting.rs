//! Stories of what comes while a change waits for its payment: who asks for the end meanwhile, or has their bank take money
//! back, is held to what they were told, and what is paid for the change goes back.

use crate::changes::{by_the_year, change, preview, try_change, upgrade};
use crate::stage::{
    DAY, HOUR, Is, attempt, command, index, is, live, money, period_end, subscribed, to_period_end, told,
};
use billing::outcome::DisputeStanding;
use billing::subscription::{Command, Effective, PreviewId};
use billing::testing::{Script, World, customer, idempotency_key};
use billing::workflow::{ChangeError, Wish};
use futures::executor::block_on;

const YEAR: &str = "year";

/// By the month, and the gateway is silent about the charge for a year.
fn waiting(wish: &Wish, script: Script) -> World {
    let world = subscribed();
    world.gateways.next(script);
    let changed = change(&world, wish, YEAR);
    assert!(changed.payment.is_some_and(|payment| payment.paid().is_none()));
    assert!(world.subscription().changing.is_some());
    world
}

fn changes() -> [Wish; 2] {
    [by_the_year(Effective::Now), upgrade()]
}

fn asked_for_the_end(world: &World, shown: Option<&PreviewId>) -> Is {
    let key = idempotency_key("end");
    let done = block_on(world.request(&customer(), Command::CancelAtPeriodEnd, shown, &key, "end"));
    is(&done.unwrap_or_else(|error| panic!("{error}")))
}

#[test]
fn who_asks_for_the_end_meanwhile_leaves_at_the_end_that_they_were_shown() {
    for wish in changes() {
        let world = waiting(&wish, Script::SilentAfter);
        let end = period_end(&world);
        let shown = block_on(world.preview_request(&customer(), Command::CancelAtPeriodEnd));
        let shown = shown.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!((shown.takes_effect_at, shown.next), (end, None));
        assert_eq!(asked_for_the_end(&world, Some(&shown.id)), Is::Leaving);
        assert_eq!((world.subscription().changing, world.subscription().open), (None, None));

        // The gateway says that it was paid: it goes back.
        live(&world, DAY);
        assert_eq!((is(&world.subscription()), index(&world), period_end(&world)), (Is::Leaving, Some(0), end));
        assert_eq!(money(&world), (2, 1));
        assert!(matches!(try_change(&world, &wish, YEAR), Err(ChangeError::GivenBack)));
        to_period_end(&world);
        live(&world, DAY);
        assert_eq!((is(&world.subscription()), index(&world), money(&world)), (Is::Canceled, Some(0), (2, 1)));
    }
}

#[test]
fn a_charge_of_which_the_gateway_never_heard_is_not_sent_again_for_who_has_asked_for_the_end() {
    for wish in changes() {
        let world = waiting(&wish, Script::SilentBefore);
        assert_eq!(asked_for_the_end(&world, None), Is::Leaving);
        live(&world, DAY * 9);
        assert_eq!((is(&world.subscription()), money(&world)), (Is::Leaving, (1, 0)));
    }
}

#[test]
fn who_takes_the_end_back_goes_on_as_before_and_may_ask_for_the_change_again() {
    let wish = by_the_year(Effective::Now);
    let world = waiting(&wish, Script::SilentAfter);
    asked_for_the_end(&world, None);
    assert_eq!(command(&world, Command::Resume), Is::Active);
    live(&world, DAY);
    assert_eq!((is(&world.subscription()), index(&world), money(&world)), (Is::Active, Some(0), (2, 1)));
    let shown = preview(&world, &wish);
    change(&world, &wish, "again");
    assert_eq!((index(&world), attempt(&world, 1, 1_002).amount), (Some(1), shown.due_now));
}

#[test]
fn who_disputes_a_payment_meanwhile_has_the_period_that_they_have_and_is_charged_for_nothing_more() {
    for wish in changes() {
        let world = waiting(&wish, Script::SilentAfter);
        let (first, end) = (attempt(&world, 0, 1), period_end(&world));
        world.gateways.dispute(&first, DisputeStanding::Open);
        told(&world, &first, "dispute");
        assert_eq!(world.subscription().changing, None);
        live(&world, DAY);
        assert_eq!((index(&world), period_end(&world), money(&world)), (Some(0), end, (2, 1)));
        to_period_end(&world);
        live(&world, HOUR);
        assert_eq!((is(&world.subscription()), money(&world)), (Is::Disputed, (2, 1)));
    }
}
