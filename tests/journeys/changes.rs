//! Stories of changing what is bought: seen first, paid to the kobo, made once.
//!
//! The sample subscription was paid on 31 January and runs 28 days; on 14
//! February, at the hour it began, half of it is left.

use crate::stage::{
    DAY, HOUR, Is, Paid, attempt, command, command_refused, declined_at_period_end, index, is, live, methods, money,
    paid, pass, recovery, refund_of, requested, subscribed, subscribed_to, to_period_end, told,
};
use billing::calendar::Interval;
use billing::id::{IdempotencyKey, MeterId, PlanId};
use billing::money::Currency;
use billing::outcome::{DisputeStanding, Remedy};
use billing::payment::Payment;
use billing::ports::{Record, Store, Write};
use billing::subscription::{Action, Command, Effective, Preview, PreviewId, Refusal};
use billing::testing::{Script, World, catalogue, customer, instant, method, request};
use billing::workflow::{ChangeError, Changed, Checkout, RequestError, Wish};
use futures::executor::block_on;

const STARTER: &str = "estates-starter";
const ENTERPRISE: &str = "estates-enterprise";

fn to(action: Action, plan: &str, effective: Effective) -> Wish {
    let plan = PlanId::try_from(plan.to_owned()).unwrap_or_else(|error| panic!("{error}"));
    Wish {
        customer: customer(),
        action,
        plan: Some(plan),
        addon: None,
        interval: None,
        quantity: None,
        effective,
        confirm: true,
        preview: None,
    }
}

pub(crate) fn upgrade() -> Wish {
    to(Action::Upgrade, ENTERPRISE, Effective::Now)
}

pub(crate) fn downgrade(effective: Effective) -> Wish {
    to(Action::Downgrade, STARTER, effective)
}

pub(crate) fn by_the_year(effective: Effective) -> Wish {
    Wish {
        plan: None,
        interval: Some(Interval::Year),
        action: Action::ChangeInterval,
        ..to(Action::ChangeInterval, STARTER, effective)
    }
}

fn seats(quantity: u32, effective: Effective) -> Wish {
    Wish { plan: None, quantity: Some(quantity), ..to(Action::ChangeSeats, STARTER, effective) }
}

pub(crate) fn try_change(world: &World, wish: &Wish, key: &str) -> Result<Changed, ChangeError> {
    let key = IdempotencyKey::try_from(key.to_owned()).unwrap_or_else(|error| panic!("{error}"));
    block_on(world.change(wish, &key, &format!("{wish:?}")))
}

pub(crate) fn change(world: &World, wish: &Wish, key: &str) -> Changed {
    try_change(world, wish, key).unwrap_or_else(|error| panic!("{error}"))
}

pub(crate) fn preview(world: &World, wish: &Wish) -> Preview {
    block_on(world.preview_change(wish)).unwrap_or_else(|error| panic!("{error}")).preview
}

fn refused(world: &World, wish: &Wish) -> Refusal {
    let shown = block_on(world.preview_change(wish)).map(|it| it.preview);
    match (shown, try_change(world, wish, "refused")) {
        (Err(ChangeError::Refused(shown)), Err(ChangeError::Refused(made))) if shown == made => made,
        other => panic!("{other:?}"),
    }
}

fn plan(world: &World) -> String {
    world.subscription().order.plan.id.to_string()
}

fn balance(world: &World) -> i64 {
    let subscription = world.subscription();
    subscription.balance(subscription.order.price.amount.currency).minor
}

/// Half of the first period is left.
pub(crate) fn half_way() -> World {
    let world = subscribed();
    world.clock.set(instant("2025-02-14T10:00:00Z"));
    world
}

pub(crate) fn amounts(preview: &Preview) -> Vec<i64> {
    preview.lines.iter().map(|line| line.amount.minor).collect()
}

/// Two seats of a plan that is sold by the seat, paid with a card.
fn with_seats(quantity: u32) -> World {
    let plan = "crm-professional".to_owned();
    let gel = Currency::from_code("GEL").unwrap_or_else(|| panic!("GEL"));
    let plan = PlanId::try_from(plan).unwrap_or_else(|error| panic!("{error}"));
    subscribed_to(Checkout { plan, currency: gel, quantity, ..request(STARTER, "first") })
}

// Now.

#[test]
fn an_upgrade_charges_the_rest_of_the_new_less_the_rest_of_the_old_and_keeps_the_period() {
    let world = half_way();
    let shown = preview(&world, &upgrade());
    assert_eq!(amounts(&shown), [-350_000, 750_000]);
    assert_eq!((shown.total.minor, shown.due_now.minor, shown.next_amount.minor), (400_000, 400_000, 1_500_000));
    assert_eq!(shown.next_at, instant("2025-02-28T10:00:00Z"));
    assert_eq!((plan(&world).as_str(), money(&world)), ("estates-professional", (1, 0)), "a preview changes nothing");

    let changed = change(&world, &upgrade(), "k");
    let payment = changed.payment.unwrap_or_else(|| panic!("it costs something"));
    assert_eq!((paid(&payment), payment.amount.minor), (Paid::Succeeded, 400_000));
    assert_eq!((plan(&world).as_str(), index(&world), money(&world)), (ENTERPRISE, Some(0), (2, 0)));
    to_period_end(&world);
    world.run();
    assert_eq!((index(&world), attempt(&world, 1, 1).amount.minor), (Some(1), 1_500_000));
}

#[test]
fn a_downgrade_now_leaves_credit_that_is_used_before_anything_is_charged() {
    let world = half_way();
    let changed = change(&world, &downgrade(Effective::Now), "k");
    assert!(changed.payment.is_none());
    assert_eq!((plan(&world).as_str(), balance(&world), money(&world)), (STARTER, 200_000, (1, 0)));
    to_period_end(&world);
    world.run();
    assert_eq!((attempt(&world, 1, 1).amount.minor, balance(&world)), (100_000, 0));
    to_period_end(&world);
    world.run();
    assert_eq!(attempt(&world, 2, 1).amount.minor, 300_000);
}

#[test]
fn periods_that_the_balance_pays_for_are_renewed_without_a_payment() {
    let world = half_way();
    change(&world, &upgrade(), "up");
    // Of 700,000 and 400,000 that were paid, 750,000 are left, and 150,000 are used for the rest.
    change(&world, &downgrade(Effective::Now), "down");
    assert_eq!(balance(&world), 600_000);
    for (renewed, left) in [(1, 300_000), (2, 0)] {
        to_period_end(&world);
        world.run();
        assert_eq!((is(&world.subscription()), index(&world), balance(&world)), (Is::Active, Some(renewed), left));
        assert_eq!(money(&world), (2, 0));
    }
    to_period_end(&world);
    world.run();
    assert_eq!((index(&world), money(&world), balance(&world)), (Some(3), (3, 0), 0));
}

#[test]
fn a_change_and_its_opposite_in_the_same_moment_cost_nothing() {
    let world = half_way();
    change(&world, &upgrade(), "up");
    let back = to(Action::Downgrade, "estates-professional", Effective::Now);
    change(&world, &back, "down");
    assert_eq!((plan(&world).as_str(), balance(&world), money(&world)), ("estates-professional", 400_000, (2, 0)));
    // Again: the balance pays for all of it.
    let again = change(&world, &upgrade(), "again");
    assert!(again.payment.is_none());
    assert_eq!((plan(&world).as_str(), balance(&world), money(&world)), (ENTERPRISE, 0, (2, 0)));
}

#[test]
fn seats_are_added_for_the_rest_of_the_period_and_paid_whole_afterwards() {
    let world = with_seats(2);
    world.clock.set(instant("2025-02-14T10:00:00Z"));
    let shown = preview(&world, &seats(5, Effective::Now));
    assert_eq!((amounts(&shown), shown.due_now.minor), (vec![-1_500, 3_750], 2_250));
    change(&world, &seats(5, Effective::Now), "k");
    assert_eq!((world.subscription().order.quantity, attempt(&world, 0, 1_001).amount.minor), (5, 2_250));
    to_period_end(&world);
    world.run();
    assert_eq!(attempt(&world, 1, 1).amount.minor, 7_500);
}

#[test]
fn another_interval_begins_a_period_anew() {
    let world = half_way();
    let shown = preview(&world, &by_the_year(Effective::Now));
    assert_eq!((amounts(&shown), shown.due_now.minor), (vec![-350_000, 7_000_000], 6_650_000));
    change(&world, &by_the_year(Effective::Now), "k");
    let period = world.subscription().period().unwrap_or_else(|| panic!("a period"));
    assert_eq!((period.start, period.end), (instant("2025-02-14T10:00:00Z"), instant("2026-02-14T10:00:00Z")));
    to_period_end(&world);
    world.run();
    assert_eq!((index(&world), attempt(&world, 2, 1).amount.minor), (Some(2), 7_000_000));
}

#[test]
fn what_staff_gave_back_is_not_credited_again() {
    let world = half_way();
    let all = refund_of(&world, 700_000);
    block_on(world.refund(all)).unwrap_or_else(|error| panic!("{error}"));
    let shown = preview(&world, &downgrade(Effective::Now));
    assert_eq!((amounts(&shown), shown.due_now.minor), (vec![150_000], 150_000));
}

#[test]
fn what_is_given_back_after_it_was_credited_comes_out_of_the_balance() {
    // 700,000 and 400,000 were paid, 600,000 of it are credit, and 500,000 pay for the period.
    let world = half_way();
    change(&world, &upgrade(), "up");
    change(&world, &downgrade(Effective::Now), "down");
    assert_eq!(balance(&world), 600_000);
    block_on(world.refund(refund_of(&world, 700_000))).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(balance(&world), 400_000, "all that was paid and is not given back");
    assert_eq!(amounts(&preview(&world, &upgrade())), [750_000], "nothing of it is left to credit");
    // The bank takes the rest too: then the customer owes nothing, and has nothing.
    let of_change = attempt(&world, 0, 1_001);
    world.gateways.dispute(&of_change, DisputeStanding::Lost);
    told(&world, &of_change, "lost");
    assert_eq!((is(&world.subscription()), balance(&world)), (Is::Disputed, 0));
}

#[test]
fn a_refund_that_the_gateway_refuses_leaves_what_was_paid_for_as_it_was() {
    let world = half_way();
    change(&world, &downgrade(Effective::Now), "down");
    let before = (world.subscription().funds, balance(&world));
    world.gateways.refuse_refunds(true);
    let refused = block_on(world.refund(refund_of(&world, 700_000)));
    assert!(matches!(refused, Err(billing::workflow::RefundError::Failed(_))), "{refused:?}");
    assert_eq!((world.subscription().funds, balance(&world)), before);
}

#[test]
fn what_is_too_small_to_charge_comes_with_the_next_invoice() {
    let world = with_seats(2);
    // Half an hour of 28 days is left: another seat costs one tetri.
    world.clock.set(instant("2025-02-28T09:30:00Z"));
    let shown = preview(&world, &seats(3, Effective::Now));
    assert_eq!((shown.total.minor, shown.due_now.minor, shown.next_amount.minor), (1, 0, 4_501));
    assert!(change(&world, &seats(3, Effective::Now), "k").payment.is_none());
    assert_eq!((world.subscription().order.quantity, balance(&world)), (3, -1));
    to_period_end(&world);
    world.run();
    assert_eq!((attempt(&world, 1, 1).amount.minor, balance(&world)), (4_501, 0));
}

#[test]
fn who_orders_anew_uses_the_balance_they_left_with() {
    let world = half_way();
    change(&world, &downgrade(Effective::Now), "down");
    assert_eq!(command(&world, Command::CancelNow), Is::Canceled);
    let again = block_on(world.checkout(request(STARTER, "again"))).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(again.amount.minor, 100_000);
    world.gateways.visit(&again, true);
    told(&world, &again, "evt");
    assert_eq!((is(&world.subscription()), index(&world), balance(&world)), (Is::Active, Some(0), 0));
}

#[test]
fn who_leaves_before_the_invoice_that_a_change_is_collected_with_owes_it_with_their_next_order() {
    let world = half_way();
    let mut subscription = world.subscription();
    subscription.order.plan.proration = billing::proration::Proration::NextPeriod;
    let write = Write::next(Record::Subscription(subscription));
    block_on(world.store.commit(vec![write])).unwrap_or_else(|error| panic!("{error}"));
    assert!(change(&world, &upgrade(), "k").payment.is_none());
    assert_eq!(command(&world, Command::CancelAtPeriodEnd), Is::Leaving);
    to_period_end(&world);
    world.run();
    assert_eq!((is(&world.subscription()), money(&world), balance(&world)), (Is::Canceled, (1, 0), -400_000));
    let again = block_on(world.checkout(request(STARTER, "again"))).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(again.amount.minor, 700_000);
}

// At the end of the period.

#[test]
fn a_downgrade_at_the_end_of_the_period_cuts_nothing_before() {
    let world = half_way();
    let shown = preview(&world, &downgrade(Effective::PeriodEnd));
    assert_eq!((amounts(&shown), shown.due_now.minor, shown.next_amount.minor), (vec![], 0, 300_000));
    change(&world, &downgrade(Effective::PeriodEnd), "k");
    assert_eq!((plan(&world).as_str(), balance(&world)), ("estates-professional", 0));
    to_period_end(&world);
    world.run();
    assert_eq!((plan(&world).as_str(), index(&world), attempt(&world, 1, 1).amount.minor), (STARTER, Some(1), 300_000));
    assert_eq!(world.subscription().scheduled, None);
}

#[test]
fn what_is_scheduled_can_be_taken_back_or_overtaken() {
    let world = half_way();
    change(&world, &downgrade(Effective::PeriodEnd), "k");
    assert_eq!(command(&world, Command::Resume), Is::Active);
    assert_eq!(world.subscription().scheduled, None);
    change(&world, &downgrade(Effective::PeriodEnd), "l");
    change(&world, &upgrade(), "m");
    to_period_end(&world);
    world.run();
    assert_eq!(plan(&world), ENTERPRISE, "who went up meanwhile does not go down");
}

#[test]
fn who_uses_more_than_the_scheduled_plan_allows_when_it_begins_goes_on_as_before() {
    let world = half_way();
    change(&world, &downgrade(Effective::PeriodEnd), "k");
    let estates = MeterId::try_from("estates".to_owned()).unwrap_or_else(|error| panic!("{error}"));
    block_on(world.set_usage(&customer(), &estates, 26)).unwrap_or_else(|error| panic!("{error}"));
    to_period_end(&world);
    world.run();
    world.run();
    assert_eq!((plan(&world).as_str(), attempt(&world, 1, 1).amount.minor), ("estates-professional", 700_000));
    assert_eq!(world.subscription().scheduled, None);
}

#[test]
fn what_was_asked_for_under_a_key_is_done_once_whatever_comes_between() {
    let world = half_way();
    change(&world, &downgrade(Effective::PeriodEnd), "k");
    assert_eq!(command(&world, Command::CancelAtPeriodEnd), Is::Leaving);
    for _ in 0..2 {
        // Once it takes the end back; it is not heard of again, and does not take back the change too.
        let resumed = requested(&world, Command::Resume, "resume").unwrap_or_else(|error| panic!("{error}"));
        assert_eq!((is(&resumed), resumed.scheduled.is_some()), (Is::Active, true));
    }
    assert!(matches!(requested(&world, Command::CancelNow, "resume"), Err(RequestError::KeyReused)));
    requested(&world, Command::Resume, "another").unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(world.subscription().scheduled, None);
}

#[test]
fn nothing_is_taken_back_once_its_time_has_come() {
    let world = half_way();
    change(&world, &downgrade(Effective::PeriodEnd), "k");
    to_period_end(&world);
    assert_eq!(command_refused(&world, Command::Resume), Refusal::ChargeRunning);
    let world = half_way();
    command(&world, Command::CancelAtPeriodEnd);
    to_period_end(&world);
    assert_eq!(command_refused(&world, Command::Resume), Refusal::Ended);
}

#[test]
fn a_renewal_that_is_declined_and_paid_later_is_of_the_scheduled_plan_too() {
    let world = half_way();
    change(&world, &downgrade(Effective::PeriodEnd), "k");
    declined_at_period_end(&world, Remedy::NewMethod);
    assert_eq!((plan(&world).as_str(), is(&world.subscription())), ("estates-professional", Is::InGrace));
    let page = block_on(world.recover(recovery("r"))).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(page.amount.minor, 300_000);
    world.gateways.visit(&page, true);
    told(&world, &page, "evt");
    assert_eq!((plan(&world).as_str(), is(&world.subscription())), (STARTER, Is::Active));
}

#[test]
fn another_interval_from_the_next_period_on_is_counted_from_there() {
    let world = half_way();
    change(&world, &by_the_year(Effective::PeriodEnd), "k");
    to_period_end(&world);
    world.run();
    let period = world.subscription().period().unwrap_or_else(|| panic!("a period"));
    assert_eq!((period.start, period.end), (instant("2025-02-28T10:00:00Z"), instant("2026-02-28T10:00:00Z")));
    to_period_end(&world);
    world.run();
    assert_eq!((index(&world), money(&world)), (Some(2), (3, 0)));
}

#[test]
fn each_plan_prorates_in_its_own_way() {
    use billing::proration::Proration::{ByDay, BySecond, FullNow, NextPeriod, None};
    // An hour after the period's half: what is credited and charged, due now, and due next, and when that is.
    let (same, moved) = ("2025-02-28T10:00:00Z", "2025-03-14T11:00:00Z");
    let cases: [(_, &[i64], i64, i64, &str); 5] = [
        (None, &[], 0, 1_500_000, same),
        (ByDay, &[-350_000, 750_000], 400_000, 1_500_000, same),
        (BySecond, &[-348_958, 747_768], 398_810, 1_500_000, same),
        (FullNow, &[-348_958, 1_500_000], 1_151_042, 1_500_000, moved),
        (NextPeriod, &[-348_958, 747_768], 0, 1_898_810, same),
    ];
    for (policy, lines, due_now, next, at) in cases {
        let world = half_way();
        pass(&world, HOUR);
        let mut subscription = world.subscription();
        subscription.order.plan.proration = policy;
        let write = Write::next(Record::Subscription(subscription));
        block_on(world.store.commit(vec![write])).unwrap_or_else(|error| panic!("{error}"));
        let shown = preview(&world, &upgrade());
        assert_eq!((amounts(&shown).as_slice(), shown.due_now.minor), (lines, due_now), "{policy:?}");
        assert_eq!((shown.next_amount.minor, shown.next_at), (next, instant(at)), "{policy:?}");
        change(&world, &upgrade(), "k");
        assert_eq!(plan(&world), ENTERPRISE, "{policy:?}");
        to_period_end(&world);
        world.run();
        let renewed = index(&world).unwrap_or_else(|| panic!("a period"));
        assert_eq!((attempt(&world, renewed, 1).amount.minor, balance(&world)), (next, 0), "{policy:?}");
    }
}

// Exactly what was shown.

#[test]
fn a_preview_is_charged_to_the_minor_unit_or_refused() {
    let world = half_way();
    let shown = preview(&world, &upgrade());
    let as_shown = Wish { preview: Some(shown.id.clone()), ..upgrade() };
    pass(&world, HOUR / 6);
    assert_ne!(preview(&world, &upgrade()).due_now, shown.due_now, "it costs less by now");
    change(&world, &as_shown, "k");
    assert_eq!(attempt(&world, 0, 1_001).amount, shown.due_now);

    // Not for another change, not later, not when something came between, and not one that was made up.
    let world = half_way();
    let shown = preview(&world, &upgrade()).id;
    let other = to(Action::Downgrade, STARTER, Effective::Now);
    assert_eq!(refused(&world, &Wish { preview: Some(shown.clone()), ..other }), Refusal::PreviewStale);
    let made_up = shown.to_string().replace("prv_17", "prv_16");
    let made_up = PreviewId::try_from(made_up).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(refused(&world, &Wish { preview: Some(made_up), ..upgrade() }), Refusal::PreviewStale);
    change(&world, &downgrade(Effective::PeriodEnd), "between");
    assert_eq!(refused(&world, &Wish { preview: Some(shown), ..upgrade() }), Refusal::PreviewStale);
    let shown = preview(&world, &upgrade()).id;
    pass(&world, HOUR / 3);
    assert_eq!(refused(&world, &Wish { preview: Some(shown), ..upgrade() }), Refusal::PreviewStale);
}

#[test]
fn a_double_click_changes_once_and_is_answered_alike() {
    let world = half_way();
    let first = change(&world, &upgrade(), "k");
    let second = change(&world, &upgrade(), "k");
    assert_eq!(first.payment.map(|it| it.id), second.payment.map(|it| it.id));
    assert_eq!(money(&world), (2, 0));
    assert!(matches!(try_change(&world, &downgrade(Effective::Now), "k"), Err(ChangeError::KeyReused)));
    let free = half_way();
    for _ in 0..2 {
        assert!(change(&free, &downgrade(Effective::Now), "k").payment.is_none());
    }
    assert_eq!(balance(&free), 200_000);
}

// When it is not paid.

fn declined(result: Result<Changed, ChangeError>) -> Payment {
    match result {
        Err(ChangeError::Declined(payment)) => *payment,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_change_whose_payment_is_declined_is_not_made_and_nothing_is_owed() {
    let world = half_way();
    world.gateways.next(Script::Decline(Remedy::RetryLater));
    let payment = declined(try_change(&world, &upgrade(), "k"));
    assert_eq!(declined(try_change(&world, &upgrade(), "k")).id, payment.id, "and no second charge");
    let subscription = world.subscription();
    assert_eq!(
        (plan(&world).as_str(), is(&subscription), subscription.open),
        ("estates-professional", Is::Active, None)
    );
    assert_eq!((subscription.failures, subscription.changing), (vec![], None));
    change(&world, &upgrade(), "another");
    assert_eq!((plan(&world).as_str(), money(&world)), (ENTERPRISE, (2, 0)));
    to_period_end(&world);
    world.run();
    assert_eq!((is(&world.subscription()), index(&world)), (Is::Active, Some(1)));
}

#[test]
fn a_change_whose_payment_nobody_can_tell_of_is_made_when_it_is_known_and_the_renewal_waits() {
    let world = half_way();
    world.gateways.next(Script::SilentAfter);
    let pending = change(&world, &upgrade(), "k");
    assert_eq!(pending.payment.as_ref().map(paid), Some(Paid::Pending));
    assert_eq!(plan(&world), "estates-professional");
    assert_eq!(refused(&world, &upgrade()), Refusal::ChargeRunning);
    assert_eq!(world.subscription().due_at(), world.subscription().period().map(|period| period.end));
    live(&world, DAY);
    assert_eq!((plan(&world).as_str(), money(&world)), (ENTERPRISE, (2, 0)));
    to_period_end(&world);
    live(&world, HOUR);
    assert_eq!(index(&world), Some(1));
}

#[test]
fn a_change_that_nobody_can_tell_of_does_not_hold_up_the_renewal_and_its_money_goes_back() {
    let world = half_way();
    world.gateways.fail_from(Some(0));
    change(&world, &upgrade(), "k");
    to_period_end(&world);
    world.gateways.fail_from(None);
    live(&world, HOUR);
    assert_eq!((plan(&world).as_str(), index(&world)), ("estates-professional", Some(1)));
    assert_eq!((world.subscription().changing, attempt(&world, 1, 1).amount.minor), (None, 700_000));
    live(&world, DAY * 9);
    assert_eq!((plan(&world).as_str(), money(&world).0 - money(&world).1), ("estates-professional", 2));
}

#[test]
fn who_cancels_while_the_change_is_being_paid_gets_that_back() {
    let world = half_way();
    world.gateways.next(Script::SilentAfter);
    change(&world, &upgrade(), "k");
    assert_eq!(command(&world, Command::CancelNow), Is::Canceled);
    live(&world, DAY);
    assert_eq!((is(&world.subscription()), money(&world)), (Is::Canceled, (2, 1)));
    assert_eq!(plan(&world), "estates-professional");
}

#[test]
fn a_change_that_costs_something_needs_a_method_and_one_that_costs_nothing_does_not() {
    let world = half_way();
    block_on(world.remove_method(&customer(), &method("AUTH_1").id())).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(methods(&world), 0);
    let without = try_change(&world, &upgrade(), "k");
    assert!(matches!(without, Err(ChangeError::Refused(Refusal::NoMethod))));
    change(&world, &downgrade(Effective::Now), "l");
    assert_eq!(plan(&world), STARTER);
}

// What is refused.

#[test]
fn a_downgrade_is_blocked_by_what_is_in_use_and_wants_to_be_confirmed() {
    let world = half_way();
    let estates = MeterId::try_from("estates".to_owned()).unwrap_or_else(|error| panic!("{error}"));
    let unconfirmed = Wish { confirm: false, ..downgrade(Effective::PeriodEnd) };
    assert!(matches!(try_change(&world, &unconfirmed, "k"), Err(ChangeError::Unconfirmed(_))));
    let set = |value| block_on(world.set_usage(&customer(), &estates, value)).unwrap_or_else(|error| panic!("{error}"));
    set(26);
    let Err(ChangeError::Blocked(blocked)) = try_change(&world, &downgrade(Effective::PeriodEnd), "k") else {
        panic!("26 of 25");
    };
    assert_eq!(blocked.exceeds.len(), 1);
    set(25);
    change(&world, &downgrade(Effective::PeriodEnd), "k");
}

#[test]
fn what_cannot_be_changed_says_why() {
    let world = half_way();
    assert_eq!(refused(&world, &to(Action::Upgrade, STARTER, Effective::Now)), Refusal::OtherDirection);
    assert_eq!(refused(&world, &Wish { plan: None, ..upgrade() }), Refusal::NothingChanges);
    assert_eq!(refused(&world, &seats(2, Effective::Now)), Refusal::QuantityNotOne);
    let elsewhere = to(Action::Upgrade, "crm-professional", Effective::Now);
    assert!(matches!(block_on(world.preview_change(&elsewhere)), Err(ChangeError::OtherFamily(..))));
    let unknown = to(Action::Upgrade, "estates-galactic", Effective::Now);
    assert!(matches!(block_on(world.preview_change(&unknown)), Err(ChangeError::NotForSale(_))));
    let weekly = Wish { interval: Some(Interval::Days(7)), ..by_the_year(Effective::Now) };
    assert!(matches!(block_on(world.preview_change(&weekly)), Err(ChangeError::NotForSale(_))));

    let mut elsewhere = catalogue("estates");
    for offer in elsewhere.plans.iter_mut().filter(|offer| offer.id.as_str() == ENTERPRISE) {
        for price in &mut offer.prices {
            price.amount.currency = Currency::from_code("GHS").unwrap_or_else(|| panic!("GHS"));
        }
    }
    let abroad = half_way();
    block_on(abroad.load(elsewhere)).unwrap_or_else(|error| panic!("{error}"));
    let shown = block_on(abroad.preview_change(&upgrade()));
    assert!(matches!(shown, Err(ChangeError::OtherCurrency(ref plan)) if plan.as_str() == ENTERPRISE), "{shown:?}");

    assert_eq!(command(&world, Command::CancelAtPeriodEnd), Is::Leaving);
    assert_eq!(refused(&world, &upgrade()), Refusal::Leaving);
    assert_eq!(command(&world, Command::Resume), Is::Active);
    world.gateways.dispute(&attempt(&world, 0, 1), DisputeStanding::Open);
    told(&world, &attempt(&world, 0, 1), "dispute");
    assert_eq!(refused(&world, &upgrade()), Refusal::Disputed);

    let world = subscribed();
    declined_at_period_end(&world, Remedy::RetryLater);
    assert_eq!(refused(&world, &upgrade()), Refusal::PaymentOwed);
    assert_eq!(command(&world, Command::CancelNow), Is::Canceled);
    assert_eq!(refused(&world, &upgrade()), Refusal::Ended);
    assert_eq!(command_refused(&world, Command::Resume), Refusal::Ended);
    let nobody = billing::testing::world();
    assert!(matches!(block_on(nobody.preview_change(&upgrade())), Err(ChangeError::NoSubscription)));
}

#[test]
fn prepaid_bundles_change_at_the_end_of_their_period() {
    let usd = Currency::from_code("USD").unwrap_or_else(|| panic!("USD"));
    let world =
        subscribed_to(Checkout { interval: Interval::Days(30), currency: usd, ..request("tokens-basic", "first") });
    pass(&world, DAY);
    assert_eq!(refused(&world, &to(Action::Upgrade, "tokens-pro", Effective::Now)), Refusal::NotWithinPeriod);
    change(&world, &to(Action::Upgrade, "tokens-pro", Effective::PeriodEnd), "k");
    to_period_end(&world);
    world.run();
    assert_eq!((plan(&world).as_str(), crate::stage::tokens(&world)), ("tokens-pro", 6_000));
}

/// Else what they have twice would be theirs to use again.
#[test]
fn what_a_change_credits_and_was_given_back_before_it_was_paid_is_owed() {
    let world = half_way();
    world.gateways.next(Script::SilentAfter);
    let changed = try_change(&world, &upgrade(), "k").unwrap_or_else(|error| panic!("{error}"));
    assert!(changed.payment.is_some_and(|payment| payment.paid().is_none()));
    block_on(world.refund(refund_of(&world, 700_000))).unwrap_or_else(|error| panic!("{error}"));
    live(&world, HOUR * 2);
    let subscription = world.subscription();
    assert_eq!(subscription.order.plan.id.as_str(), "estates-enterprise");
    let left = subscription.funds.iter().map(|fund| (fund.left.minor, fund.short)).collect::<Vec<_>>();
    assert_eq!((left, balance(&world)), (vec![(750_000, 350_000)], -350_000));
    // Nor is it there to be used.
    let shown = preview(&world, &downgrade(Effective::Now));
    assert!(amounts(&shown).iter().sum::<i64>().abs() < 750_000, "{:?}", amounts(&shown));
    assert_eq!(subscription.worth.map(|it| it.amount.minor), Some(750_000));
}
