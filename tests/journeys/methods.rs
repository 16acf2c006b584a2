//! Stories of what a gateway tells of a method: late, anew, and when there is another one by then.

use crate::changes::{change, half_way, upgrade};
use crate::collecting::{set_up, with_a_second_gateway};
use crate::stage::{
    DAY, HOUR, Is, PLAN, attempt, declined_at_period_end, index, is, live, methods, money, opened, pass, renewal,
    subscribed, to_period_end, told, wake,
};
use billing::outcome::Remedy;
use billing::payment::Gateway;
use billing::ports::{Key, Record};
use billing::testing::{Script, World, customer, method, method_at};
use billing::wallet::{Card, Instrument, Method, Wallet};
use futures::executor::block_on;

/// A card that a gateway knows whatever its token.
fn card(token: &str) -> Method {
    let plain = method(token);
    let known = plain.card().map(|card| Card { fingerprint: Some("4081".to_owned()), ..card.clone() });
    Method { instrument: known.map_or(plain.instrument.clone(), Instrument::Card), ..plain }
}

/// The customer has left that card, and nothing else.
fn with_known_card(world: &World) {
    let held = world.key(Key::Wallet(customer())).wallet().unwrap_or_else(|| panic!("a card was left"));
    world.store.put(Record::Wallet(Wallet { methods: vec![card("AUTH_1")], ..held }));
}

fn default_token(world: &World) -> Option<String> {
    let wallet = world.key(Key::Wallet(customer())).wallet();
    wallet.and_then(|wallet| wallet.default_method().map(|method| method.token.clone()))
}

#[test]
fn a_method_that_the_gateway_names_late_is_kept() {
    let world = billing::testing::world();
    let payment = opened(&world, PLAN, "k");
    world.gateways.visit(&payment, true);
    world.gateways.name_methods(false);
    told(&world, &payment, "evt_paid");
    assert_eq!((is(&world.subscription()), methods(&world)), (Is::Active, 0));
    world.gateways.name_methods(true);
    told(&world, &payment, "evt_named");
    assert_eq!(default_token(&world).as_deref(), Some("AUTH_1"));
    to_period_end(&world);
    world.run();
    assert_eq!((is(&world.subscription()), index(&world), money(&world)), (Is::Active, Some(1), (2, 0)));
}

#[test]
fn a_new_token_that_comes_with_a_charge_is_kept_whatever_was_charged_for() {
    let world = half_way();
    with_known_card(&world);
    world.gateways.renew_tokens("AUTH_8");
    change(&world, &upgrade(), "k");
    assert_eq!((methods(&world), default_token(&world).as_deref()), (1, Some("AUTH_8")));
    world.gateways.renew_tokens("AUTH_9");
    to_period_end(&world);
    world.run();
    assert_eq!((methods(&world), default_token(&world).as_deref()), (1, Some("AUTH_9")));
}

#[test]
fn a_method_that_rests_is_waited_for_when_the_one_whose_turn_it_was_is_gone() {
    let world = with_a_second_gateway();
    world.gateways.next(Script::Decline(Remedy::RetryLater));
    declined_at_period_end(&world, Remedy::RetryLater);
    assert_eq!((is(&world.subscription()), world.subscription().failures.len()), (Is::Retrying, 2));
    assert!(block_on(world.remove_method(&customer(), &method("AUTH_1").id())).is_ok());
    live(&world, DAY + HOUR);
    assert_eq!((is(&world.subscription()), money(&world)), (Is::Retrying, (1, 0)));
    live(&world, DAY * 2);
    assert_eq!((is(&world.subscription()), attempt(&world, 1, 3).gateway), (Is::Active, Gateway::Stripe));
}

/// Only what they have left just now is charged while nobody is served.
#[test]
fn in_suspension_no_method_that_rests_is_waited_for() {
    let world = subscribed();
    declined_at_period_end(&world, Remedy::NewMethod);
    live(&world, DAY * 3);
    assert_eq!(is(&world.subscription()), Is::Suspended);
    world.gateways.next(Script::Decline(Remedy::RetryLater));
    let setup = set_up(&world, Gateway::Stripe, "rests");
    world.gateways.visit(&setup, true);
    told(&world, &setup, "evt_rests");
    world.run();
    assert_eq!((is(&world.subscription()), world.subscription().failures.len()), (Is::Suspended, 2));
    let setup = set_up(&world, Gateway::Flitt, "gone");
    world.gateways.visit(&setup, true);
    told(&world, &setup, "evt_gone");
    assert_eq!(is(&world.subscription()), Is::Retrying);
    assert!(block_on(world.remove_method(&customer(), &method_at(Gateway::Flitt, "AUTH_2").id())).is_ok());
    pass(&world, HOUR);
    wake(&world, renewal());
    assert_eq!(is(&world.subscription()), Is::Suspended);
    live(&world, DAY * 10);
    assert_eq!((is(&world.subscription()), world.subscription().attempts), (Is::Suspended, 2));
}
