//! Stories of tokens that follow the money they came with: taken back when all of it is gone, put back when it is not.

use crate::afterwards::give_back;
use crate::stage::{
    DAY, HOUR, Is, Paid, attempt, by_transfer, command, is, live, opened_as, paid, pass, period_end, refund_of,
    subscribed, subscribed_to, to_period_end, tokens, told,
};
use crate::tokens::{consumed, of_tokens, tokens_plan};
use crate::transfers::transfer;
use billing::catalog::Price;
use billing::id::PaymentId;
use billing::outcome::DisputeStanding;
use billing::payment::{Portion, RefundRefusal, Standing};
use billing::ports::{Key, Record};
use billing::subscription::{Command, Event, Intervention};
use billing::testing::{World, catalogue, customer, idempotency_key, world};
use billing::token::Tokens;
use billing::workflow::{Checkout, ConsumeError, RefundError, RefundRequest};
use futures::executor::block_on;

/// A request to give the whole first payment back, or what is left of it.
pub(crate) fn whole(world: &World, key: &str) -> RefundRequest {
    RefundRequest { portion: Portion::All, key: idempotency_key(key), ..refund_of(world, 0) }
}

fn refunded(world: &World, wanted: RefundRequest) -> Paid {
    paid(&give_back(world, wanted).unwrap_or_else(|error| panic!("{error}")))
}

fn history(world: &World) -> Vec<Event> {
    let event = |record| if let Record::History { event, .. } = record { Some(event) } else { None };
    world.store.records().into_iter().filter_map(event).collect()
}

/// What it says of tokens that went and came: so many below zero, and above.
pub(crate) fn moved(world: &World) -> Vec<i64> {
    let signed = |tokens: u64| i64::try_from(tokens).unwrap_or_else(|error| panic!("{error}"));
    let told = |event| {
        if let Event::TokensTakenBack { tokens, .. } = event {
            return Some(-signed(tokens));
        }
        if let Event::TokensPutBack { tokens, .. } = event { Some(signed(tokens)) } else { None }
    };
    history(world).into_iter().filter_map(told).collect()
}

/// With which payment they went, and why.
fn because(world: &World) -> Vec<(PaymentId, Standing)> {
    let told = |event| {
        if let Event::TokensTakenBack { payment, because, .. } = event { Some((payment, because)) } else { None }
    };
    history(world).into_iter().filter_map(told).collect()
}

/// Of the plan of a thousand tokens, which are carried over so often.
fn carried_over(rollovers: Option<u16>) -> World {
    let world = world();
    let mut plans = catalogue("tokens");
    plans.plans.iter_mut().for_each(|plan| plan.tokens_rollover = rollovers);
    block_on(world.load(plans)).unwrap_or_else(|error| panic!("{error}"));
    let payment = opened_as(&world, tokens_plan("first"));
    world.gateways.visit(&payment, true);
    told(&world, &payment, "evt_first");
    world
}

fn disputed(world: &World, standing: DisputeStanding, event: &str) {
    let payment = attempt(world, 0, 1);
    world.gateways.dispute(&payment, standing);
    told(world, &payment, event);
}

#[test]
fn a_payment_that_is_given_back_takes_its_tokens_along_once() {
    // Of those that were used as many as are left.
    for (used, taken) in [(0, 1_000), (300, 700), (999, 1)] {
        let world = subscribed_to(tokens_plan("first"));
        drop((used > 0).then(|| consumed(&world, used, "a")));
        for _ in 0..2 {
            assert_eq!(refunded(&world, whole(&world, "refund")), Paid::Refunded);
        }
        let payment = attempt(&world, 0, 1);
        for event in ["evt_refund", "evt_refund", "evt_again"] {
            told(&world, &payment, event);
        }
        assert_eq!((tokens(&world), moved(&world)), (0, vec![-taken]), "{used}");
        assert_eq!(because(&world), [(payment.id, Standing::Refunded)]);
        assert_eq!(is(&world.subscription()), Is::Active, "a refund is a kindness, not a cancellation");
        let refused = block_on(world.consume(&of_tokens(1, "b")));
        assert!(matches!(refused, Err(ConsumeError::TooFew { balance: 0, .. })), "{refused:?}");
    }
}

#[test]
fn where_all_were_used_nothing_is_taken_and_nothing_told() {
    let world = subscribed_to(tokens_plan("first"));
    consumed(&world, 1_000, "a");
    assert_eq!(refunded(&world, whole(&world, "refund")), Paid::Refunded);
    assert_eq!((tokens(&world), moved(&world)), (0, vec![]));
    // The next period's are its own.
    to_period_end(&world);
    world.run();
    told(&world, &attempt(&world, 0, 1), "evt_late");
    assert_eq!((tokens(&world), moved(&world)), (1_000, vec![]));
}

#[test]
fn a_part_takes_none_until_the_rest_goes_back_too() {
    let world = subscribed_to(tokens_plan("first"));
    let amount = attempt(&world, 0, 1).amount.minor;
    assert_eq!(refunded(&world, refund_of(&world, amount - 1)), Paid::PartiallyRefunded);
    assert_eq!((tokens(&world), moved(&world)), (1_000, vec![]));
    assert_eq!(refunded(&world, whole(&world, "rest")), Paid::Refunded);
    assert_eq!((tokens(&world), moved(&world)), (0, vec![-1_000]));
}

#[test]
fn what_is_given_back_on_the_gateways_pages_takes_them_whether_or_not_we_are_told() {
    for tells in [true, false] {
        let world = subscribed_to(tokens_plan("first"));
        let payment = attempt(&world, 0, 1);
        world.gateways.refund_by_hand(&payment, payment.amount.minor);
        match tells {
            true => told(&world, &payment, "evt_refund"),
            false => live(&world, DAY + HOUR),
        }
        assert_eq!((tokens(&world), moved(&world)), (0, vec![-1_000]), "told: {tells}");
        live(&world, DAY * 8);
        assert_eq!((tokens(&world), moved(&world)), (0, vec![-1_000]), "told: {tells}");
        let more = give_back(&world, whole(&world, "more"));
        assert!(matches!(more, Err(RefundError::Refused(RefundRefusal::MoreThanLeft(0)))), "{more:?}");
    }
}

#[test]
fn they_stay_until_the_money_has_gone() {
    let world = subscribed_to(tokens_plan("first"));
    world.gateways.delay_refunds(true);
    assert_eq!(refunded(&world, whole(&world, "refund")), Paid::RefundDue);
    assert_eq!(consumed(&world, 100, "a").balance, 900);
    world.gateways.delay_refunds(false);
    live(&world, HOUR);
    assert_eq!((paid(&attempt(&world, 0, 1)), tokens(&world)), (Paid::Refunded, 0));
    assert_eq!(moved(&world), [-900]);
}

#[test]
fn a_refund_that_the_gateway_refuses_takes_none() {
    let world = subscribed_to(tokens_plan("first"));
    world.gateways.refuse_refunds(true);
    assert!(matches!(give_back(&world, whole(&world, "refund")), Err(RefundError::Failed(_))));
    assert_eq!((tokens(&world), moved(&world)), (1_000, vec![]));
}

/// A gateway counts a refund, and the customer's bank does not take it.
#[test]
fn money_that_does_not_go_back_after_all_brings_them_back_once() {
    let world = subscribed_to(tokens_plan("first"));
    let payment = attempt(&world, 0, 1);
    consumed(&world, 100, "a");
    world.gateways.refund_by_hand(&payment, payment.amount.minor);
    told(&world, &payment, "evt_refund");
    assert_eq!(tokens(&world), 0);
    world.gateways.refund_by_hand(&payment, -1);
    for event in ["evt_failed", "evt_failed", "evt_again"] {
        told(&world, &payment, event);
    }
    assert_eq!((tokens(&world), moved(&world)), (900, vec![-900, 900]));
    world.gateways.refund_by_hand(&payment, 1);
    told(&world, &payment, "evt_refund_2");
    assert_eq!((tokens(&world), moved(&world)), (0, vec![-900, 900, -900]));
}

#[test]
fn while_a_bank_decides_they_stay_and_when_it_takes_the_money_they_go() {
    for (standing, left, events) in [(DisputeStanding::Won, 1_000, vec![]), (DisputeStanding::Lost, 0, vec![-1_000])] {
        let world = subscribed_to(tokens_plan("first"));
        disputed(&world, DisputeStanding::Open, "evt_1");
        assert_eq!((tokens(&world), moved(&world)), (1_000, vec![]));
        for event in ["evt_2", "evt_2", "evt_3"] {
            disputed(&world, standing, event);
        }
        assert_eq!((tokens(&world), moved(&world)), (left, events), "{standing:?}");
        assert!(because(&world).iter().all(|(_, because)| *because == Standing::Disputed));
    }
}

#[test]
fn a_dispute_that_is_won_after_it_was_lost_brings_them_back_once() {
    let world = subscribed_to(tokens_plan("first"));
    consumed(&world, 400, "a");
    disputed(&world, DisputeStanding::Lost, "evt_1");
    assert_eq!((tokens(&world), is(&world.subscription())), (0, Is::Disputed));
    for event in ["evt_2", "evt_2", "evt_3"] {
        disputed(&world, DisputeStanding::Won, event);
    }
    assert_eq!((tokens(&world), moved(&world)), (600, vec![-600, 600]));
}

/// Those that are left are the next period's, which other money has paid for.
#[test]
fn what_has_ended_is_neither_taken_nor_put_back() {
    for (rollovers, left) in [(Some(0), 1_000), (Some(1), 1_000), (None, 1_000)] {
        let world = carried_over(rollovers);
        to_period_end(&world);
        world.run();
        assert_eq!(refunded(&world, whole(&world, "refund")), Paid::Refunded);
        assert_eq!(tokens(&world), left, "{rollovers:?}");
        assert_eq!(moved(&world).is_empty(), rollovers == Some(0), "{rollovers:?}");
    }
    let world = carried_over(Some(0));
    let payment = attempt(&world, 0, 1);
    world.gateways.refund_by_hand(&payment, payment.amount.minor);
    told(&world, &payment, "evt_refund");
    to_period_end(&world);
    world.run();
    world.gateways.refund_by_hand(&payment, -payment.amount.minor);
    told(&world, &payment, "evt_failed");
    assert_eq!((tokens(&world), moved(&world)), (1_000, vec![-1_000]));
}

/// A bundle that was bought by mistake, and the one that was bought instead.
#[test]
fn of_two_bundles_the_one_that_is_given_back_takes_its_own_tokens() {
    let world = subscribed_to(tokens_plan("first"));
    let first = whole(&world, "refund");
    command(&world, Command::CancelNow);
    pass(&world, DAY);
    let payment = opened_as(&world, tokens_plan("second"));
    world.gateways.visit(&payment, true);
    told(&world, &payment, "evt_second");
    assert_eq!((tokens(&world), consumed(&world, 1_200, "a").balance), (2_000, 800));
    assert_eq!(refunded(&world, first), Paid::Refunded);
    // A thousand were paid for, and more were used.
    assert_eq!((tokens(&world), moved(&world)), (0, vec![-800]));
    assert!(period_end(&world) > world.clock.time());
}

#[test]
fn a_payment_that_brought_none_takes_none() {
    let world = subscribed();
    assert_eq!(refunded(&world, whole(&world, "refund")), Paid::Refunded);
    disputed(&world, DisputeStanding::Lost, "evt");
    assert_eq!((tokens(&world), moved(&world)), (0, vec![]));
    // Nor does one that a gift made unnecessary: there is none of the period that is running.
    let world = subscribed_to(tokens_plan("first"));
    let comp = Intervention::Comp { percent: 100, periods: Some(1) };
    let given = block_on(world.intervene(&customer(), &comp, &idempotency_key("comp"), "comp"));
    assert!(given.is_ok(), "{given:?}");
    to_period_end(&world);
    world.run();
    assert_eq!(tokens(&world), 2_000);
    assert_eq!(refunded(&world, whole(&world, "refund")), Paid::Refunded);
    assert_eq!((tokens(&world), moved(&world)), (1_000, vec![-1_000]));
}

/// Of one that was made before payments said what they brought nobody knows.
#[test]
fn a_payment_of_an_earlier_release_takes_none() {
    let world = subscribed_to(tokens_plan("first"));
    let mut stored = serde_json::to_value(attempt(&world, 0, 1)).unwrap_or_else(|error| panic!("{error}"));
    let brought = stored["status"].as_object_mut().and_then(|paid| paid.remove("brought"));
    assert!(brought.is_some(), "{stored}");
    let earlier = serde_json::from_value(stored).unwrap_or_else(|error| panic!("{error}"));
    world.store.put(Record::Payment(earlier));
    assert_eq!(refunded(&world, whole(&world, "refund")), Paid::Refunded);
    assert_eq!((tokens(&world), moved(&world)), (1_000, vec![]));
}

/// It is credit at once, and so are the tokens gone at once.
#[test]
fn what_was_paid_with_a_transfer_takes_them_when_it_is_credit_again() {
    let world = world();
    let mut plans = catalogue("tokens");
    let naira = crate::stage::naira();
    let in_naira = |price: &mut Price| price.amount = naira;
    plans.plans.iter_mut().for_each(|plan| plan.prices.iter_mut().for_each(in_naira));
    block_on(world.load(plans)).unwrap_or_else(|error| panic!("{error}"));
    let wanted = tokens_plan("first");
    let Checkout { plan, interval, .. } = wanted;
    let expected = opened_as(&world, Checkout { plan, interval, ..by_transfer("first") });
    transfer(&world, "T0", naira.minor);
    live(&world, HOUR * 7);
    assert_eq!((paid(&world.payment_of(&expected)), tokens(&world)), (Paid::Succeeded, 1_000));
    consumed(&world, 1, "a");
    assert_eq!(refunded(&world, whole(&world, "refund")), Paid::Refunded);
    assert_eq!((tokens(&world), moved(&world), crate::stage::credit(&world)), (0, vec![-999], Some(naira.minor)));
}

/// Between what is read and what is written others use some.
#[test]
fn what_is_used_at_the_same_moment_is_used_and_not_taken() {
    let world = subscribed_to(tokens_plan("first"));
    let payment = attempt(&world, 0, 1);
    world.gateways.refund_by_hand(&payment, payment.amount.minor);
    let held = world.key(Key::Tokens(customer())).tokens().unwrap_or_else(|| panic!("no tokens"));
    world.store.meanwhile(Record::Tokens(Tokens { balance: 250, version: held.version + 1, ..held }));
    told(&world, &payment, "evt_refund");
    assert_eq!((tokens(&world), moved(&world)), (0, vec![-250]));
}
