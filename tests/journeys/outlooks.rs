//! What subscribing costs, and what becomes of a subscription by what costs nothing: shown first, then done as it was
//! shown.

use crate::living::{on_trial_offer, try_subscribing, wanted, with_card};
use crate::stage::{
    DAY, Is, MINUTE, PLAN, attempt, command, index, is, money, pass, period_end, subscribed, to_period_end,
};
use billing::discount::Discount;
use billing::id::{CouponCode, PeriodId};
use billing::money::Money;
use billing::ports::{Key, Record, Store, Write};
use billing::subscription::{Command, Effective, Outlook, Refusal, Subscription, UsageLine};
use billing::testing::{World, customer, idempotency_key, meter, world};
use billing::workflow::{ChangeError, RequestError, Subscribe};
use futures::executor::block_on;

fn shown(world: &World, wanted: &Subscribe) -> Outlook {
    block_on(world.preview_subscription(wanted)).unwrap_or_else(|error| panic!("{error}"))
}

fn shown_by(world: &World, command: Command) -> Outlook {
    block_on(world.preview_request(&customer(), command)).unwrap_or_else(|error| panic!("{error}"))
}

fn done_as(world: &World, shown: &Outlook, command: Command) -> Result<Subscription, RequestError> {
    let key = idempotency_key(&shown.id.to_string());
    block_on(world.request(&customer(), command, Some(&shown.id), &key, &format!("{command:?}")))
}

fn put(world: &World, record: Record) {
    block_on(world.store.commit(vec![Write::next(record)])).unwrap_or_else(|error| panic!("{error}"));
}

/// What is paid, what of that by the balance, what now; and with the next invoice.
fn costs(it: &Outlook) -> (i64, i64, i64, Option<i64>) {
    (it.total.minor, it.from_balance.minor, it.due_now.minor, it.next.map(|(_, amount)| amount.minor))
}

#[test]
fn subscribing_costs_what_was_shown() {
    let world = world();
    with_card(&world);
    let it = shown(&world, &wanted(PLAN));
    assert_eq!(costs(&it), (700_000, 0, 700_000, Some(700_000)));
    assert_eq!(it.lines.iter().map(|line| (line.amount.minor, line.is_credit)).collect::<Vec<_>>(), [(700_000, false)]);
    assert_eq!((it.from.is_some(), it.to.is_some(), money(&world)), (false, true, (0, 0)));
    assert!(world.key(Key::Subscription(customer())).subscription().is_none(), "nothing was changed");
    pass(&world, MINUTE * 14);
    let begun = world.clock.time();
    let as_shown = Subscribe { preview: Some(it.id.clone()), ..wanted(PLAN) };
    try_subscribing(&world, &as_shown, "k").unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((is(&world.subscription()), attempt(&world, 0, 1).amount), (Is::Active, it.due_now));
    assert_eq!(it.next.map(|(at, _)| at + MINUTE * 14), Some(period_end(&world)), "from {begun} on");
}

#[test]
fn a_trial_is_shown_with_what_follows_it() {
    let world = on_trial_offer();
    let it = shown(&world, &wanted(PLAN));
    assert_eq!((costs(&it), it.lines.len()), ((0, 0, 0, Some(700_000)), 0));
    let as_shown = Subscribe { preview: Some(it.id.clone()), ..wanted(PLAN) };
    try_subscribing(&world, &as_shown, "k").unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((is(&world.subscription()), it.next.map(|(at, _)| at)), (Is::Trialing, Some(period_end(&world))));
}

#[test]
fn a_coupon_and_a_balance_are_shown_taken_off() {
    let world = subscribed();
    assert_eq!(command(&world, Command::CancelNow), Is::Canceled);
    let subscription = world.subscription();
    let left = Money { minor: 150_000, ..subscription.order.price.amount };
    let owed = Subscription { balances: vec![left], ..subscription };
    put(&world, Record::Subscription(owed));
    let it = shown(&world, &wanted(PLAN));
    assert_eq!(costs(&it), (700_000, 150_000, 550_000, Some(700_000)));
    let unknown = CouponCode::try_from("NOTHING".to_owned()).unwrap_or_else(|error| panic!("{error}"));
    let refused = block_on(world.preview_subscription(&Subscribe { coupon: Some(unknown), ..wanted(PLAN) }));
    assert!(matches!(refused, Err(ChangeError::Coupon(_))), "{refused:?}");
}

/// What is left to pay of what was used comes with the first payment there is, and makes none of what costs nothing.
#[test]
fn what_is_owed_for_uses_is_shown_where_it_is_charged() {
    for (comp, expected) in [
        (None, (700_000, -5_000, 705_000, Some(700_000))),
        (Some(Discount::comp(100, Some(1))), (0, 0, 0, Some(705_000))),
    ] {
        let world = subscribed();
        assert_eq!(command(&world, Command::CancelNow), Is::Canceled);
        let subscription = world.subscription();
        let period = PeriodId { subscription: subscription.id.clone(), index: 0 };
        let amount = Money { minor: 5_000, ..subscription.order.price.amount };
        let line = UsageLine { meter: meter("estates"), period, used: 105, included: 100, amount };
        put(&world, Record::Subscription(Subscription { usage_charges: vec![line], ..subscription }));
        let wanted = Subscribe { comp, ..wanted(PLAN) };
        let it = shown(&world, &wanted);
        assert_eq!(costs(&it), expected);
        let as_shown = Subscribe { preview: Some(it.id.clone()), ..wanted };
        try_subscribing(&world, &as_shown, "k").unwrap_or_else(|error| panic!("{error}"));
        let begun = world.subscription();
        assert_eq!((is(&begun), begun.amount_due().map(|due| due.minor).ok()), (Is::Active, expected.3));
    }
}

#[test]
fn what_was_shown_too_long_ago_or_is_otherwise_by_now_is_not_charged() {
    let world = world();
    with_card(&world);
    let it = shown(&world, &wanted(PLAN));
    let as_shown = Subscribe { preview: Some(it.id.clone()), ..wanted(PLAN) };
    let refused = |world: &World, wanted: &Subscribe| {
        let refused = try_subscribing(world, wanted, "k");
        assert!(matches!(refused, Err(ChangeError::Refused(Refusal::PreviewStale))), "{refused:?}");
        assert_eq!(money(world), (0, 0));
    };
    refused(&world, &Subscribe { preview: as_shown.preview.clone(), ..wanted("estates-starter") });
    let mut stored =
        world.key(Key::Plan(it.to.as_ref().map_or_else(|| panic!("a plan"), |it| it.plan.id.clone()))).plan();
    let dearer = stored.take().map(|mut it| {
        it.plan.prices.iter_mut().for_each(|price| price.amount.minor += 100);
        it
    });
    let before = world.key(Key::Plan(as_shown.plan.clone())).plan();
    let put = |plan| block_on(world.store.commit(vec![Write::next(Record::Plan(plan))]));
    put(dearer.unwrap_or_else(|| panic!("a plan"))).unwrap_or_else(|error| panic!("{error}"));
    refused(&world, &as_shown);
    let now = world.key(Key::Plan(as_shown.plan.clone())).plan();
    let as_before = before.zip(now).map(|(before, now)| billing::ports::StoredPlan { plan: before.plan, ..now });
    put(as_before.unwrap_or_else(|| panic!("a plan"))).unwrap_or_else(|error| panic!("{error}"));
    pass(&world, MINUTE * 16);
    refused(&world, &as_shown);
    try_subscribing(&world, &wanted(PLAN), "k").unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn leaving_and_pausing_are_shown_with_what_is_lost_and_when() {
    let world = subscribed();
    let (now, end) = (world.clock.time(), period_end(&world));
    for (command, effective, at, stays) in [
        (Command::CancelAtPeriodEnd, Effective::PeriodEnd, end, false),
        (Command::CancelNow, Effective::Now, now, false),
        (Command::PauseAtPeriodEnd, Effective::PeriodEnd, end, false),
        (Command::Pause, Effective::Now, now, false),
        (Command::Resume, Effective::Now, now, true),
    ] {
        let it = shown_by(&world, command);
        assert_eq!(
            (it.effective, it.takes_effect_at, it.from.is_some(), it.to.is_some()),
            (effective, at, true, stays)
        );
        assert_eq!(costs(&it), (0, 0, 0, stays.then_some(700_000)), "{command:?}");
    }
    assert_eq!(is(&world.subscription()), Is::Active);
}

#[test]
fn going_on_is_shown_with_what_is_had_again() {
    let world = subscribed();
    assert_eq!(command(&world, Command::Pause), Is::Paused);
    pass(&world, DAY * 3);
    let it = shown_by(&world, Command::Unpause);
    assert_eq!((it.from.is_some(), it.to.is_some(), costs(&it)), (false, true, (0, 0, 0, Some(700_000))));
    done_as(&world, &it, Command::Unpause).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((is(&world.subscription()), it.next.map(|(at, _)| at)), (Is::Active, Some(period_end(&world))));
}

#[test]
fn what_is_done_is_what_was_shown_or_nothing() {
    let world = subscribed();
    let it = shown_by(&world, Command::CancelAtPeriodEnd);
    to_period_end(&world);
    world.run();
    assert_eq!(index(&world), Some(1));
    let stale = |answer: Result<Subscription, RequestError>| {
        matches!(answer, Err(RequestError::Refused(Refusal::PreviewStale)))
    };
    assert!(stale(done_as(&world, &it, Command::CancelAtPeriodEnd)), "that was another period's end");
    let commands = [
        Command::CancelAtPeriodEnd,
        Command::CancelNow,
        Command::PauseAtPeriodEnd,
        Command::Pause,
        Command::Resume,
        Command::Unpause,
    ];
    for shown in commands {
        let it = shown_by(&world, shown);
        for other in commands.into_iter().filter(|other| *other != shown) {
            assert!(stale(done_as(&world, &it, other)), "{shown:?} was shown, and not {other:?}");
        }
    }
    assert_eq!(is(&world.subscription()), Is::Active);
    let it = shown_by(&world, Command::CancelAtPeriodEnd);
    done_as(&world, &it, Command::CancelAtPeriodEnd).unwrap_or_else(|error| panic!("{error}"));
    // Asked again under its key it is granted already.
    done_as(&world, &it, Command::CancelAtPeriodEnd).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(is(&world.subscription()), Is::Leaving);
}
