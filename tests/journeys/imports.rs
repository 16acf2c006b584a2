//! Stories of subscriptions that Stripe drives: imported once, followed whatever
//! is delivered of them, and never charged from here.

use crate::overage::minutes;
use crate::stage::{
    DAY, HOUR, Is, PLAN, command_refused, is, live, money, opened, pass, subscribed, to_period_end, told, wake,
};
use billing::delivery::{DeliveryId, DeliveryStatus, Notice};
use billing::driven::{Seen, Standing};
use billing::id::Reference;
use billing::outcome::{Decline, Remedy};
use billing::payment::Gateway;
use billing::ports::{Key, Record, Wanted};
use billing::subscription::{CancelReason, Command, Event, Refusal, Subscription};
use billing::testing::{World, customer, instant, method_at, order, request, seen, world};
use billing::workflow::{CheckoutError, Import, ImportError, WakeError};
use futures::executor::block_on;

fn wanted(dry_run: bool) -> Import {
    Import { customer: customer(), gateway: Gateway::Stripe, subscription: "sub_1".to_owned(), dry_run }
}

fn import(world: &World) -> Result<Subscription, ImportError> {
    block_on(world.import(&wanted(false)))
}

fn imported() -> World {
    let world = world();
    world.gateways.drive(seen(PLAN));
    let subscription = import(&world).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((is(&subscription), &subscription), (Is::Active, &world.subscription()));
    world
}

/// The period after the first.
fn renewed() -> Seen {
    let mut next = seen(PLAN);
    (next.period.start, next.period.end) = (next.period.end, instant("2025-03-31T10:00:00Z"));
    next
}

fn declined() -> Seen {
    let standing = Standing::Owing { again_at: Some(instant("2025-03-03T10:00:00Z")) };
    Seen { standing, attempts: 1, decline: Some(Decline::new("insufficient_funds", Remedy::RetryLater)), ..renewed() }
}

fn notice(kind: &str, event: &str, reference: Reference) -> Notice {
    Notice {
        id: DeliveryId { gateway: Gateway::Stripe, event: event.to_owned() },
        kind: kind.to_owned(),
        reference: Some(reference),
        object: None,
        body: "{}".to_owned(),
    }
}

/// Stripe tells of its subscription.
fn tells(world: &World, kind: &str, event: &str) {
    let about = Reference::of_driven("stripe", "sub_1");
    block_on(world.receive(notice(kind, event, about))).unwrap_or_else(|error| panic!("{error}"));
}

fn followed(world: &World) -> usize {
    let is_one = |record: &&Record| matches!(record, Record::History { event: Event::Followed { .. }, .. });
    world.store.records().iter().filter(is_one).count()
}

fn methods(world: &World) -> Vec<String> {
    let wallet = world.key(Key::Wallet(customer())).wallet();
    wallet.map(|wallet| wallet.methods.into_iter().map(|method| method.token).collect()).unwrap_or_default()
}

#[test]
fn it_is_imported_once_with_its_method() {
    let world = imported();
    assert_eq!(methods(&world), ["pm_1"]);
    let before = world.store.records();
    assert_eq!(import(&world).ok(), Some(world.subscription()));
    assert_eq!(world.store.records(), before);
}

#[test]
fn a_dry_run_says_the_same_and_changes_nothing() {
    let world = world();
    world.gateways.drive(seen(PLAN));
    let before = world.store.records();
    let would_be = block_on(world.import(&wanted(true))).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(world.store.records(), before);
    assert_eq!(import(&world).ok(), Some(would_be));
}

#[test]
fn what_cannot_be_imported_is_refused_with_the_reason() {
    let of = |seen: Option<Seen>| {
        let world = world();
        seen.into_iter().for_each(|seen| world.gateways.drive(seen));
        import(&world).err().unwrap_or_else(|| panic!("imported")).to_string()
    };
    assert_eq!(of(None), ImportError::NotThere.to_string());
    let unknown = Seen { plan: None, ..seen(PLAN) };
    assert_eq!(of(Some(unknown)), ImportError::UnknownPrice("price_1".to_owned()).to_string());
    assert_eq!(of(Some(seen("tokens-basic"))), ImportError::UnknownPrice("price_1".to_owned()).to_string());
    let at = instant("2025-01-31T10:00:00Z");
    let over = Seen { standing: Standing::Over { at, reason: CancelReason::Requested }, ..seen(PLAN) };
    assert_eq!(of(Some(over)), ImportError::Over.to_string());
}

#[test]
fn one_of_two_customers_has_it() {
    let world = imported();
    let other = billing::id::CustomerId::try_from("globex".to_owned()).unwrap_or_else(|error| panic!("{error}"));
    let refused = block_on(world.import(&Import { customer: other, ..wanted(false) }));
    assert!(matches!(refused, Err(ImportError::ImportedBefore)));
}

#[test]
fn who_has_a_live_subscription_imports_none() {
    let world = subscribed();
    world.gateways.drive(seen(PLAN));
    assert!(matches!(import(&world), Err(ImportError::Refused(Refusal::AlreadySubscribed))));
}

#[test]
fn another_plan_there_is_another_plan_here() {
    let world = imported();
    world.gateways.drive(Seen { period: renewed().period, ..seen("estates-starter") });
    tells(&world, "customer.subscription.updated", "evt_1");
    let found = world.subscription();
    let unknown = found.driven.and_then(|driven| driven.unknown_price);
    assert_eq!((found.order.plan.id.as_str(), unknown), ("estates-starter", None));
}

/// One payer at Stripe, whose first subscription is over there.
#[test]
fn who_comes_back_at_stripe_is_imported_again_and_what_was_before_stays_what_it_was() {
    let world = imported();
    let at = instant("2025-02-09T10:00:00Z");
    world.gateways.drive(Seen { standing: Standing::Over { at, reason: CancelReason::Requested }, ..seen(PLAN) });
    tells(&world, "customer.subscription.deleted", "evt_1");
    let before = world.subscription();
    assert_eq!((is(&before), before.id.number), (Is::Canceled, 1));
    world.gateways.drive(Seen { id: "sub_2".to_owned(), ..renewed() });
    let second = Import { subscription: "sub_2".to_owned(), ..wanted(false) };
    let next = block_on(world.import(&second)).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((next.id.number, block_on(world.import(&second)).ok()), (2, Some(next)));
    let kept = world.store.records().into_iter().any(|it| it == Record::PastSubscription(before.clone()));
    assert!(kept, "what it was is kept");
    assert!(matches!(import(&world), Err(ImportError::ImportedBefore)), "the first is not theirs to have again");
    // Nor is it anyone else's, whatever of theirs is driven there.
    let globex = billing::id::CustomerId::try_from("globex".to_owned()).unwrap_or_else(|error| panic!("{error}"));
    let other = block_on(world.import(&Import { customer: globex, ..second }));
    assert!(matches!(other, Err(ImportError::ImportedBefore)));
}

/// They had a page open. It is closed, and what is paid there all the same goes back.
#[test]
fn what_was_ordered_and_not_paid_for_is_overtaken() {
    let world = world();
    let page = opened(&world, PLAN, "k");
    world.gateways.visit(&page, true);
    world.gateways.drive(seen(PLAN));
    let imported = import(&world).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(imported.open, None, "it is waited for no more");
    told(&world, &page, "evt_late");
    live(&world, DAY);
    assert_eq!((is(&world.subscription()), money(&world)), (Is::Active, (1, 1)));
}

#[test]
fn nobody_becomes_a_customer_because_stripe_says_so() {
    let world = world();
    world.gateways.drive(seen(PLAN));
    let before = world.store.records().len();
    tells(&world, "customer.subscription.created", "evt_1");
    assert_eq!(world.store.records().len(), before + 1, "the delivery, and nothing else");
    assert!(world.key(Key::Subscription(customer())).subscription().is_none());
}

#[test]
fn the_same_ends_the_same_whatever_is_delivered_in_whichever_order() {
    let kinds = [
        "customer.subscription.updated",
        "invoice.created",
        "invoice.payment_failed",
        "invoice.payment_succeeded",
        "customer.subscription.updated",
    ];
    let end = |order: &[usize], each_times: usize| {
        let world = imported();
        for seen in [declined(), renewed()] {
            world.gateways.drive(seen);
            for number in order {
                for _ in 0..each_times {
                    tells(&world, kinds[*number], &format!("evt_{number}"));
                }
            }
        }
        // Deliveries are told once: what a repeated one would have shown, the look of the day does.
        live(&world, DAY);
        let found = world.subscription();
        (is(&found), found.attempts, found.period(), found.order)
    };
    let first = end(&[0, 1, 2, 3, 4], 1);
    assert_eq!((first.0, first.1, first.2), (Is::Active, 0, Some(renewed().period)));
    for (order, times) in [(vec![4, 3, 2, 1, 0], 1), (vec![2, 0, 3], 3), (vec![], 1), (vec![3, 3, 1], 2)] {
        assert_eq!(end(&order, times), first, "{order:?}");
    }
}

#[test]
fn a_delivery_that_changes_nothing_makes_no_history() {
    let world = imported();
    world.gateways.drive(renewed());
    for event in ["evt_1", "evt_2", "evt_3"] {
        tells(&world, "invoice.payment_succeeded", event);
    }
    assert_eq!(followed(&world), 2, "the import, and the next period");
}

#[test]
fn declined_at_stripe_is_past_due_here_until_it_is_paid_there() {
    let world = imported();
    world.gateways.drive(declined());
    tells(&world, "invoice.payment_failed", "evt_1");
    let owing = world.subscription();
    assert_eq!((is(&owing), owing.attempts, owing.failures.len()), (Is::Retrying, 1, 1));
    world.gateways.drive(renewed());
    tells(&world, "invoice.payment_succeeded", "evt_2");
    let paid = world.subscription();
    assert_eq!((is(&paid), paid.attempts, paid.failures.len()), (Is::Active, 0, 0));
}

#[test]
fn without_any_webhook_it_is_found_within_a_day() {
    for (then, expected) in [
        (renewed(), Is::Active),
        (Seen { standing: Standing::Running { ends_with_period: true }, ..renewed() }, Is::Leaving),
        (declined(), Is::Retrying),
        (Seen { standing: Standing::Suspended, ..declined() }, Is::Unpaid),
        (
            Seen {
                standing: Standing::Over { at: renewed().period.start, reason: CancelReason::Requested },
                ..renewed()
            },
            Is::Canceled,
        ),
    ] {
        let world = imported();
        world.gateways.drive(then.clone());
        live(&world, DAY + HOUR);
        let found = world.subscription();
        assert_eq!((is(&found), found.period()), (expected, Some(then.period)));
    }
}

#[test]
fn what_is_counted_begins_at_zero_with_each_of_stripes_periods() {
    let of_minutes = |seen: Seen| {
        let plan = order("minutes-pro");
        Seen { plan: Some(plan.plan.id), price: Some(plan.price), ..seen }
    };
    let world = world();
    world.gateways.drive(of_minutes(seen(PLAN)));
    import(&world).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(minutes(&world, 3_000, "a"), Ok(3_000));
    to_period_end(&world);
    // Nobody has seen yet that there is another.
    assert!(minutes(&world, 1, "b").is_err());
    world.gateways.drive(of_minutes(renewed()));
    tells(&world, "invoice.payment_succeeded", "evt_2");
    assert_eq!(minutes(&world, 2_999, "b"), Ok(2_999));
    // The same again is the same period.
    world.gateways.drive(Seen { standing: Standing::Running { ends_with_period: true }, ..of_minutes(renewed()) });
    tells(&world, "customer.subscription.updated", "evt_3");
    assert_eq!((minutes(&world, 1, "c"), is(&world.subscription())), (Ok(3_000), Is::Leaving));
}

/// However long it goes on, whatever is owed, and although there is a card to charge.
#[test]
fn it_is_never_charged_from_here() {
    for then in [seen(PLAN), renewed(), declined(), Seen { standing: Standing::Suspended, ..declined() }] {
        let world = imported();
        world.gateways.drive(then);
        live(&world, DAY * 60);
        wake(&world, Wanted::Subscription { customer: customer() });
        assert_eq!((world.gateways.charges().len(), money(&world)), (0, (0, 0)));
    }
}

#[test]
fn it_is_not_cancelled_or_bought_again_from_here() {
    let world = imported();
    for command in [Command::CancelNow, Command::CancelAtPeriodEnd, Command::Resume] {
        assert_eq!(command_refused(&world, command), Refusal::DrivenElsewhere);
    }
    let again = block_on(world.checkout(request(PLAN, "k")));
    assert!(matches!(again, Err(CheckoutError::Refused(Refusal::AlreadySubscribed))));
    world.gateways.drive(Seen { standing: Standing::Suspended, ..declined() });
    tells(&world, "customer.subscription.updated", "evt_1");
    let again = block_on(world.checkout(request(PLAN, "k")));
    assert!(matches!(again, Err(CheckoutError::Refused(Refusal::DrivenElsewhere))), "Stripe may go on with it");
}

#[test]
fn when_it_is_over_there_another_is_bought_here() {
    let world = imported();
    let at = instant("2025-02-10T10:00:00Z");
    world.gateways.drive(Seen { standing: Standing::Over { at, reason: CancelReason::Requested }, ..seen(PLAN) });
    tells(&world, "customer.subscription.deleted", "evt_1");
    assert_eq!(is(&world.subscription()), Is::Canceled);
    let payment = opened(&world, PLAN, "k");
    world.gateways.visit(&payment, true);
    told(&world, &payment, "evt_2");
    let found = world.subscription();
    assert_eq!((is(&found), found.id.number, found.driven), (Is::Active, 2, None));
    tells(&world, "customer.subscription.updated", "evt_3");
    assert_eq!(is(&world.subscription()), Is::Active, "what is said of the old one is not about this one");
}

#[test]
fn another_card_at_stripe_is_kept_and_one_that_was_removed_here_stays_removed() {
    let world = imported();
    let payer = || Reference::of_payer("stripe", "cus_1");
    world.gateways.drive(Seen { method: Some(method_at(Gateway::Stripe, "pm_2")), ..seen(PLAN) });
    let attached = notice("payment_method.attached", "evt_1", payer());
    block_on(world.receive(attached)).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(methods(&world), ["pm_1", "pm_2"]);
    let removed = method_at(Gateway::Stripe, "pm_2").id();
    block_on(world.remove_method(&customer(), &removed)).unwrap_or_else(|error| panic!("{error}"));
    let again = notice("setup_intent.succeeded", "evt_2", payer());
    block_on(world.receive(again)).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(methods(&world), ["pm_1"]);
}

#[test]
fn an_unknown_price_keeps_the_plan_and_someone_hears_of_it_once_a_day() {
    let world = imported();
    world.gateways.drive(Seen { price_id: "price_9".to_owned(), plan: None, ..renewed() });
    tells(&world, "customer.subscription.updated", "evt_1");
    let due = Wanted::Subscription { customer: customer() };
    for _ in 0..2 {
        let heard = block_on(world.wake(due.clone()));
        assert!(matches!(heard, Err(WakeError::UnknownPrice(_, price)) if price == "price_9"));
        assert!(block_on(world.wake(due.clone())).is_ok(), "and not again today");
        pass(&world, DAY);
    }
    let found = world.subscription();
    assert_eq!((found.order.plan.id.as_str(), found.period()), (PLAN, Some(renewed().period)));
    world.gateways.drive(renewed());
    wake(&world, due);
    assert_eq!(world.subscription().driven.and_then(|driven| driven.unknown_price), None);
}

#[test]
fn while_stripe_is_silent_the_delivery_waits_and_the_subscription_stays_as_it_was() {
    let world = imported();
    world.gateways.drive(declined());
    world.gateways.set_up(Gateway::Stripe, false);
    tells(&world, "invoice.payment_failed", "evt_1");
    let id = DeliveryId { gateway: Gateway::Stripe, event: "evt_1".to_owned() };
    let status = |world: &World| world.key(Key::Delivery(id.clone())).delivery().map(|it| it.status);
    assert!(matches!(status(&world), Some(DeliveryStatus::Waiting { .. })));
    live(&world, DAY);
    assert_eq!(is(&world.subscription()), Is::Active);
    world.gateways.set_up(Gateway::Stripe, true);
    live(&world, DAY);
    assert_eq!((is(&world.subscription()), status(&world)), (Is::Retrying, Some(DeliveryStatus::Done)));
}
