//! What somebody buys, and what a gateway tells of it.

use super::ports::{Calls, Fragile, Port};
use super::{Case, OURS, WITH_GATEWAY, cuts, holds};
use crate::coupons::{sold_with_coupons, with};
use crate::living::{on_trial_offer, try_subscribing, wanted, with_card};
use crate::stage::{
    DAY, PLAN, Paid, attempt, by_transfer, check, naira, notice, opened, opened_as, paid, pass, subscribed, told,
};
use crate::taken_over::row;
use crate::tokens::tokens_plan;
use billing::delivery::{DeliveryId, Notice};
use billing::discount::Discount;
use billing::driven::{Seen, Standing};
use billing::id::{CouponCode, Reference};
use billing::money::Money;
use billing::payment::{Gateway, Payment};
use billing::ports::{Key, Wanted};
use billing::testing::{MemoryMailer, MemoryQueue, World, customer, idempotency_key, request, seen, world};
use billing::workflow::{Import, Subscribe};
use futures::executor::block_on;
use futures::future::FutureExt;
use jiff::SignedDuration;

fn ordered(world: &World) -> Payment {
    block_on(world.checkout(tokens_plan("k"))).unwrap_or_else(|error| panic!("{error}"))
}

/// The customer is at the page and has paid; nobody has told us.
fn paid_on_the_page() -> World {
    let world = world();
    let payment = ordered(&world);
    world.gateways.visit(&payment, true);
    world
}

#[test]
fn a_checkout_cut_anywhere_is_paid_once() {
    let again = |world: &World| {
        let payment = ordered(world);
        world.gateways.visit(&payment, true);
        told(world, &payment, "evt");
    };
    holds(&Case {
        ports: WITH_GATEWAY,
        begin: &world,
        run: &|_, billing| async { drop(billing.checkout(tokens_plan("k")).await) }.boxed(),
        again: &again,
    });
}

#[test]
fn a_webhook_cut_anywhere_grants_once() {
    holds(&Case {
        ports: WITH_GATEWAY,
        begin: &paid_on_the_page,
        run: &|world, billing| async { drop(billing.receive(notice(&attempt(world, 0, 1), "evt")).await) }.boxed(),
        again: &|world| told(world, &attempt(world, 0, 1), "evt"),
    });
}

#[test]
fn a_webhook_whose_gateway_is_silent_may_be_cut_when_it_is_finished() {
    holds(&Case {
        ports: WITH_GATEWAY,
        begin: &|| {
            let world = paid_on_the_page();
            world.gateways.fail_from(Some(0));
            told(&world, &attempt(&world, 0, 1), "evt");
            world.gateways.fail_from(None);
            pass(&world, SignedDuration::from_mins(6));
            world
        },
        run: &|world, billing| {
            let delivery = notice(&attempt(world, 0, 1), "evt").id;
            async { drop(billing.wake(Wanted::Delivery { delivery }).await) }.boxed()
        },
        again: &|_| {},
    });
}

#[test]
fn asking_cut_anywhere_grants_once() {
    holds(&Case {
        ports: WITH_GATEWAY,
        begin: &paid_on_the_page,
        run: &|world, billing| async { drop(billing.verify(&customer(), &attempt(world, 0, 1).id).await) }.boxed(),
        again: &|_| {},
    });
}

#[test]
fn a_transfer_that_comes_in_is_cut_anywhere_and_counted_once() {
    holds(&Case {
        ports: WITH_GATEWAY,
        begin: &|| {
            let world = world();
            opened_as(&world, by_transfer("k"));
            world.gateways.transfer("T1", Money { minor: 900_000, ..naira() });
            world
        },
        run: &|_, billing| async { drop(billing.wake(Wanted::Account { customer: customer() }).await) }.boxed(),
        again: &|_| {},
    });
}

#[test]
fn a_page_that_is_closed_may_be_cut_anywhere() {
    holds(&Case {
        ports: WITH_GATEWAY,
        begin: &|| {
            let world = world();
            opened(&world, PLAN, "k");
            pass(&world, DAY);
            world
        },
        run: &|world, billing| async { drop(billing.wake(check(&attempt(world, 0, 1))).await) }.boxed(),
        again: &|_| {},
    });
}

#[test]
fn a_webhook_that_is_acknowledged_is_stored_whatever_went_wrong() {
    for begin in [paid_on_the_page, subscribed] {
        let received = |at| {
            let (world, queue, mailer, calls) =
                (begin(), MemoryQueue::default(), MemoryMailer::default(), Calls::default());
            let notice = notice(&attempt(&world, 0, 1), "evt");
            let fragile = Fragile { world: &world, queue: &queue, mailer: &mailer, calls: &calls, at, meanwhile: None };
            let answer = fragile.workflows().receive(notice.clone()).now_or_never();
            let stored = world.key(Key::Delivery(notice.id)).delivery().is_some();
            assert!(stored || !matches!(answer, Some(Ok(()))), "{at:?}: {answer:?}");
            calls.take()
        };
        for cut in cuts(&received(None)) {
            received(Some(cut));
        }
    }
}

#[test]
fn a_page_whose_address_is_just_being_told_is_not_given_up() {
    let (world, queue, mailer, calls) = (world(), MemoryQueue::default(), MemoryMailer::default(), Calls::default());
    world.gateways.fail_from(Some(0));
    assert!(block_on(world.checkout(request(PLAN, "k"))).is_err());
    world.gateways.fail_from(None);
    pass(&world, DAY);
    let payment = attempt(&world, 0, 1);
    let meanwhile: fn(&World) = |world| drop(world.checkout(request(PLAN, "k")).now_or_never());
    let (at, meanwhile) = (None, Some(meanwhile));
    let fragile = Fragile { world: &world, queue: &queue, mailer: &mailer, calls: &calls, at, meanwhile };
    assert!(block_on(fragile.workflows().wake(check(&payment))).is_ok());
    let told = world.payment_of(&payment);
    assert_eq!((told.opened().is_some(), paid(&told)), (true, Paid::Pending));
}

/// One that Stripe drives, as it is to be followed from now on.
fn import() -> Import {
    Import { customer: customer(), gateway: Gateway::Stripe, subscription: "sub_1".to_owned(), dry_run: false }
}

#[test]
fn an_import_cut_anywhere_is_made_once() {
    holds(&Case {
        ports: WITH_GATEWAY,
        begin: &|| {
            let world = world();
            world.gateways.drive(seen("estates-professional"));
            world
        },
        run: &|_, billing| async { drop(billing.import(&import()).await) }.boxed(),
        again: &|world| drop(block_on(world.import(&import())).unwrap_or_else(|error| panic!("{error}"))),
    });
}

#[test]
fn a_webhook_about_a_driven_subscription_may_be_cut_anywhere_and_it_is_followed() {
    fn told() -> Notice {
        let reference = Some(Reference::of_driven("stripe", "sub_1"));
        let id = DeliveryId { gateway: Gateway::Stripe, event: "evt".to_owned() };
        Notice { id, kind: "customer.subscription.updated".to_owned(), reference, object: None, body: "{}".to_owned() }
    }
    holds(&Case {
        ports: WITH_GATEWAY,
        begin: &|| {
            let world = world();
            world.gateways.drive(seen("estates-professional"));
            drop(block_on(world.import(&import())).unwrap_or_else(|error| panic!("{error}")));
            let standing = Standing::Owing { again_at: None };
            world.gateways.drive(Seen { standing, ..seen("estates-professional") });
            world
        },
        run: &|_, billing| async { drop(billing.receive(told()).await) }.boxed(),
        again: &|world| block_on(world.receive(told())).unwrap_or_else(|error| panic!("{error}")),
    });
}

#[test]
fn a_coupon_of_which_there_is_one_is_redeemed_once() {
    holds(&Case {
        ports: WITH_GATEWAY,
        begin: &|| {
            let world = sold_with_coupons();
            let payment = opened_as(&world, with("HALF", request(PLAN, "first")));
            world.gateways.visit(&payment, true);
            world
        },
        run: &|world, billing| async { drop(billing.receive(notice(&attempt(world, 0, 1), "evt")).await) }.boxed(),
        again: &|world| told(world, &attempt(world, 0, 1), "evt"),
    });
}

#[test]
fn an_account_for_transfers_whose_opening_is_cut_anywhere_is_one_and_what_came_there_is_counted_once() {
    holds(&Case {
        ports: WITH_GATEWAY,
        begin: &|| {
            let world = world();
            world.gateways.transfer("T1", Money { minor: 900_000, ..naira() });
            world
        },
        run: &|_, billing| async { drop(billing.checkout(by_transfer("k")).await) }.boxed(),
        again: &|world| drop(opened_as(world, by_transfer("k"))),
    });
}

/// As somebody asks for it who has left a card.
fn begins(begin: &dyn Fn() -> World, wanted: &Subscribe, ports: &[Port]) {
    holds(&Case {
        ports,
        begin,
        run: &|_, billing| {
            let wanted = wanted.clone();
            async move {
                let shown = billing.preview_subscription(&wanted).await.map(|it| it.id);
                let as_shown = Subscribe { preview: shown.ok(), ..wanted.clone() };
                drop(billing.subscribe(&as_shown, &idempotency_key("k"), &format!("{wanted:?}")).await);
            }
            .boxed()
        },
        again: &|world| drop(try_subscribing(world, wanted, "k").unwrap_or_else(|error| panic!("{error}"))),
    });
}

fn with_a_card() -> World {
    let world = sold_with_coupons();
    with_card(&world);
    world
}

#[test]
fn a_subscription_that_is_charged_for_at_once_is_cut_anywhere_and_begins_and_is_paid_once() {
    begins(&with_a_card, &wanted(PLAN), WITH_GATEWAY);
}

#[test]
fn a_trial_is_cut_anywhere_and_begins_once() {
    begins(&on_trial_offer, &wanted(PLAN), OURS);
}

#[test]
fn what_is_given_for_nothing_is_cut_anywhere_and_begins_once() {
    begins(&with_a_card, &Subscribe { comp: Some(Discount::comp(100, Some(1))), ..wanted(PLAN) }, OURS);
}

#[test]
fn what_costs_nothing_by_a_coupon_is_cut_anywhere_and_begins_and_is_redeemed_once() {
    let gift = CouponCode::try_from("gift".to_owned()).ok();
    begins(&with_a_card, &Subscribe { coupon: gift, ..wanted(PLAN) }, OURS);
}

#[test]
fn what_a_coupon_of_which_there_is_one_makes_cheaper_is_cut_anywhere_and_charged_and_redeemed_once() {
    let half = CouponCode::try_from("half".to_owned()).ok();
    begins(&with_a_card, &Subscribe { coupon: half, ..wanted(PLAN) }, WITH_GATEWAY);
}

#[test]
fn what_ran_elsewhere_is_taken_over_once_wherever_that_is_cut() {
    holds(&Case {
        ports: OURS,
        begin: &world,
        run: &|_, billing| async { drop(billing.take_over(&row(), false).await) }.boxed(),
        again: &|world| drop(block_on(world.take_over(&row(), false)).unwrap_or_else(|error| panic!("{error}"))),
    });
}
