//! Stories of prices that change: who has a plan is told before, and pays the new price from the first period after the
//! notice; who was not told goes on as before.

use crate::changes::{by_the_year, preview, try_change, upgrade};
use crate::living::{ends, trialing, with_card};
use crate::stage::{
    DAY, HOUR, Is, PLAN, attempt, command, declined_at_period_end, index, is, live, mails, money, pass, renewal,
    subscribed, to_period_end, wake,
};
use billing::calendar::Interval;
use billing::catalog::Price;
use billing::mail::{About, Dropped, Mail, MailStatus, PriceNotice};
use billing::outcome::Remedy;
use billing::ports::{Key, MailError, Record, Store};
use billing::subscription::{Command, Effective, Intervention, Refusal, Subscription};
use billing::testing::{MemoryMailer, Script, World, catalogue, customer, idempotency_key, instant};
use billing::workflow::{RequestError, SendError};
use futures::executor::block_on;
use std::num::NonZeroU16;

/// From now on a month of the plan costs so much.
fn priced(world: &World, minor: i64) {
    let mut estates = catalogue("estates");
    for offer in estates.plans.iter_mut().filter(|offer| offer.id.as_str() == PLAN) {
        for price in offer.prices.iter_mut().filter(|price| price.interval == Interval::Month) {
            price.amount.minor = minor;
        }
    }
    block_on(world.load(estates)).unwrap_or_else(|error| panic!("{error}"));
}

pub(crate) fn notice(days: u16, told: bool) -> Intervention {
    let notice_days = NonZeroU16::new(days).unwrap_or_else(|| panic!("{days}"));
    Intervention::ChangePrice { notice_days, told }
}

fn try_to(world: &World, intervention: &Intervention) -> Result<Subscription, RequestError> {
    let said = format!("{intervention:?}-{}", world.subscription().version).replace(' ', "");
    block_on(world.intervene(&customer(), intervention, &idempotency_key(&said), &said))
}

pub(crate) fn announced(world: &World, intervention: &Intervention) -> Subscription {
    try_to(world, intervention).unwrap_or_else(|error| panic!("{error}"))
}

/// A plan that has become dearer since it was bought.
pub(crate) fn dearer() -> World {
    let world = subscribed();
    priced(&world, 900_000);
    world
}

/// What a customer was told of a price.
fn told(inbox: &MemoryMailer) -> Vec<PriceNotice> {
    let about = |mail: Mail| match mail.about {
        About::PriceChange(about) => about,
        other @ (About::PaymentNeeded(_) | About::Suspended(_) | About::TrialEnding(_) | About::Overage(_)) => {
            panic!("{other:?}")
        }
    };
    inbox.take().into_iter().map(about).collect()
}

fn charged(world: &World) -> Vec<i64> {
    let payments = block_on(world.store.payments(&customer(), None, 99)).unwrap_or_else(|error| panic!("{error}"));
    payments.iter().rev().map(|it| it.amount.minor).collect()
}

#[test]
fn who_is_told_pays_the_new_price_from_the_first_period_after_the_notice() {
    let (world, inbox) = (dearer(), MemoryMailer::default());
    announced(&world, &notice(30, false));
    assert_eq!(world.subscription().price_to_come(), None, "nobody has been told yet");
    world.run_mailing(&inbox);
    world.run_mailing(&inbox);
    let [about] = &told(&inbox)[..] else { panic!("one mail") };
    // The month that begins on 28 February is within the 30 days.
    assert_eq!((about.until_then.minor, about.amount.minor), (700_000, 900_000));
    assert_eq!(about.changes_at, instant("2025-03-31T10:00:00Z"));
    let to_come = world.subscription().price_to_come().map(|it| (it.begins_at, it.amount.minor));
    assert_eq!(to_come, Some((about.changes_at, 900_000)));
    for (period, minor, version) in [(1, 700_000, 1), (2, 900_000, 2), (3, 900_000, 2)] {
        to_period_end(&world);
        world.run();
        let subscription = world.subscription();
        assert_eq!(attempt(&world, period, 1).amount.minor, minor);
        assert_eq!((index(&world), subscription.order.plan.version), (Some(period), version));
    }
    assert_eq!(world.subscription().price_change, None);
    assert_eq!(told(&inbox), []);
}

#[test]
fn who_cannot_be_told_goes_on_as_before() {
    let (world, inbox) = (dearer(), MemoryMailer::default());
    inbox.next(MailError::NotConfigured);
    announced(&world, &notice(1, false));
    world.run_mailing(&inbox);
    live(&world, DAY * 70);
    assert_eq!(charged(&world), [700_000; 3]);
    // Whom somebody has told otherwise is told no more.
    announced(&world, &notice(1, true));
    live(&world, DAY * 30);
    assert_eq!((charged(&world), told(&inbox)), (vec![700_000, 700_000, 700_000, 900_000], vec![]));
}

#[test]
fn what_was_told_holds_whenever_staff_make_a_period_end() {
    let (world, inbox) = (dearer(), MemoryMailer::default());
    announced(&world, &notice(5, false));
    world.run_mailing(&inbox);
    let [about] = &told(&inbox)[..] else { panic!("one mail") };
    assert_eq!(about.changes_at, instant("2025-02-28T10:00:00Z"));
    // The five days are over by then, and what was told is the 28th.
    announced(&world, &Intervention::ChangeDates { end: instant("2025-02-10T10:00:00Z") });
    live(&world, DAY * 11);
    assert_eq!(charged(&world), [700_000, 700_000]);
    live(&world, DAY * 28);
    assert_eq!(charged(&world), [700_000, 700_000, 900_000]);
}

/// Else they were told of what they may not take after all.
#[test]
fn who_asks_for_another_plan_before_they_are_told_is_not() {
    let (world, inbox) = (dearer(), MemoryMailer::default());
    announced(&world, &notice(1, false));
    try_change(&world, &by_the_year(Effective::PeriodEnd), "k").unwrap_or_else(|error| panic!("{error}"));
    world.run_mailing(&inbox);
    command(&world, Command::Resume);
    live(&world, DAY * 60);
    assert_eq!((told(&inbox), charged(&world)), (vec![], vec![700_000; 3]));
}

#[test]
fn the_notice_counts_from_when_the_mail_was_taken() {
    let (world, inbox) = (dearer(), MemoryMailer::default());
    announced(&world, &notice(25, false));
    // From 31 January the 28th of February would have been soon enough.
    while world.clock.time() < instant("2025-02-05T10:00:00Z") {
        inbox.next(MailError::NoAnswer("down".into()));
        world.run_mailing(&inbox);
        pass(&world, HOUR * 6);
    }
    assert_eq!(told(&inbox), []);
    pass(&world, DAY);
    let inbox = MemoryMailer::default();
    world.run_mailing(&inbox);
    let [about] = &told(&inbox)[..] else { panic!("one mail") };
    assert_eq!(about.changes_at, instant("2025-03-31T10:00:00Z"));
    live(&world, DAY * 60);
    assert_eq!(charged(&world), [700_000, 700_000, 900_000]);
}

#[test]
fn that_a_mail_was_sent_is_kept_whatever_was_done_to_the_subscription_meanwhile() {
    let (world, inbox) = (dearer(), MemoryMailer::default());
    let waiting = announced(&world, &notice(25, false));
    let [mail] = &world.store.mails()[..] else { panic!("one mail") };
    // Just before that is kept, somebody else writes the subscription.
    world.store.meanwhile(Record::Subscription(Subscription { version: waiting.version + 1, ..waiting }));
    block_on(world.send_mail(&mail.id, &inbox)).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((told(&inbox).len(), mails(&world)), (1, (1, 0)));
    live(&world, DAY * 60);
    assert_eq!(charged(&world), [700_000, 900_000, 900_000]);
}

#[test]
fn what_nobody_takes_for_two_weeks_is_told_to_us_and_changes_nothing() {
    let (world, inbox) = (dearer(), MemoryMailer::default());
    announced(&world, &notice(1, false));
    inbox.next(MailError::NoAnswer("down".into()));
    world.run_mailing(&inbox);
    pass(&world, DAY * 15);
    let [mail] = &world.store.mails()[..] else { panic!("one mail") };
    let late = block_on(world.send_mail(&mail.id, &inbox));
    assert!(matches!(late, Err(SendError::TooLate(_))), "{late:?}");
    to_period_end(&world);
    world.run();
    assert_eq!(charged(&world), [700_000; 2]);
    // Asked for again, they are told again.
    announced(&world, &notice(1, false));
    world.run_mailing(&inbox);
    assert_eq!(told(&inbox).len(), 1);
}

/// Found by the simulation: of a mail that was taken, nobody heard so; and announced again at shorter notice, the price came
/// before the day that the mail had said.
#[test]
fn what_may_have_been_told_is_not_made_sooner() {
    let (world, inbox) = (dearer(), MemoryMailer::default());
    announced(&world, &notice(30, false));
    inbox.next(MailError::NoAnswer("taken, and not a word".into()));
    world.run_mailing(&inbox);
    for told_by_staff in [false, true] {
        let announced = announced(&world, &notice(1, told_by_staff));
        let days = announced.price_change.map(|it| it.notice_days.get());
        assert_eq!(days, Some(30), "told by staff: {told_by_staff}");
    }
    live(&world, DAY * 60);
    assert_eq!(charged(&world), [700_000, 700_000, 900_000]);
}

#[test]
fn what_was_announced_can_be_taken_back_and_what_was_told_is_not_told_again() {
    let (world, inbox) = (dearer(), MemoryMailer::default());
    announced(&world, &notice(30, false));
    announced(&world, &Intervention::KeepPrice);
    world.run_mailing(&inbox);
    assert_eq!(told(&inbox), [], "it was taken back before the mail went out");
    let [Mail { status: MailStatus::Dropped { because: Dropped::Overtaken, .. }, .. }] = &world.store.mails()[..]
    else {
        panic!("{:?}", world.store.mails());
    };
    announced(&world, &notice(30, false));
    world.run_mailing(&inbox);
    assert_eq!(told(&inbox).len(), 1);
    let before = world.subscription();
    assert_eq!(announced(&world, &notice(90, false)), before, "the same again, however long the notice");
    announced(&world, &Intervention::KeepPrice);
    live(&world, DAY * 90);
    assert_eq!((charged(&world), told(&inbox)), (vec![700_000; 4], vec![]));
    assert_eq!(announced(&world, &Intervention::KeepPrice), world.subscription());
}

#[test]
fn a_newer_price_takes_the_place_of_what_was_announced_and_is_told_anew() {
    let (world, inbox) = (dearer(), MemoryMailer::default());
    announced(&world, &notice(1, false));
    world.run_mailing(&inbox);
    priced(&world, 800_000);
    pass(&world, DAY);
    announced(&world, &notice(20, false));
    world.run_mailing(&inbox);
    assert_eq!(told(&inbox).iter().map(|it| it.amount.minor).collect::<Vec<_>>(), [900_000, 800_000]);
    live(&world, DAY * 30);
    assert_eq!(charged(&world), [700_000, 800_000]);
    assert_eq!(announced(&world, &notice(20, false)), world.subscription(), "they have it");
}

#[test]
fn who_changes_meanwhile_is_shown_what_it_will_cost() {
    let (world, inbox) = (dearer(), MemoryMailer::default());
    announced(&world, &notice(20, false));
    world.run_mailing(&inbox);
    pass(&world, DAY);
    let year = preview(&world, &by_the_year(Effective::PeriodEnd));
    assert_eq!(year.next_amount.minor, 7_000_000, "a year costs what it did");
    // To another plan, and what was announced of this one is nothing to them.
    let other = preview(&world, &upgrade());
    assert_eq!(other.next_amount.minor, 1_500_000);
    try_change(&world, &upgrade(), "k").unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(world.subscription().price_change, None);
    // By the year at the end of the month: of the new version, as it was to be.
    let (world, inbox) = (dearer(), MemoryMailer::default());
    announced(&world, &notice(20, false));
    world.run_mailing(&inbox);
    pass(&world, DAY);
    try_change(&world, &by_the_year(Effective::PeriodEnd), "k").unwrap_or_else(|error| panic!("{error}"));
    to_period_end(&world);
    world.run();
    let order = world.subscription().order;
    assert_eq!((order.plan.version, order.price.interval, order.price.amount.minor), (2, Interval::Year, 7_000_000));
}

#[test]
fn a_period_that_is_owed_costs_what_it_did_however_late_it_is_paid() {
    let (world, inbox) = (dearer(), MemoryMailer::default());
    pass(&world, DAY * 27);
    announced(&world, &notice(1, false));
    to_period_end(&world);
    world.gateways.next(Script::Decline(Remedy::RetryLater));
    wake(&world, renewal());
    // The mail goes out while it is owed, by a clock that is a day late.
    pass(&world, -DAY);
    world.run_mailing(&inbox);
    assert_eq!((is(&world.subscription()), told(&inbox).len()), (Is::Retrying, 1));
    live(&world, DAY * 3);
    assert_eq!((is(&world.subscription()), attempt(&world, 1, 2).amount.minor), (Is::Active, 700_000));
    to_period_end(&world);
    world.run();
    assert_eq!(attempt(&world, 2, 1).amount.minor, 900_000);
}

#[test]
fn a_trial_is_followed_by_what_was_told_in_it() {
    let world = trialing();
    with_card(&world);
    let mut stored =
        world.key(Key::Plan(world.subscription().order.plan.id)).plan().unwrap_or_else(|| panic!("a plan"));
    stored.plan.version += 1;
    for price in &mut stored.plan.prices {
        price.amount.minor += 1;
    }
    world.store.put(Record::Plan(stored));
    announced(&world, &notice(14, true));
    let begins = ends(&world);
    let to_come = world.subscription().price_to_come().map(|it| (it.begins_at, it.before.minor, it.amount.minor));
    assert_eq!(to_come, Some((begins, 700_000, 700_001)));
    live(&world, DAY * 15);
    assert_eq!((charged(&world), is(&world.subscription())), (vec![700_001], Is::Active));
}

/// Who pays nothing for a while is to know what it costs then.
#[test]
fn what_is_told_is_the_price_whatever_is_taken_off() {
    let (world, inbox) = (dearer(), MemoryMailer::default());
    announced(&world, &Intervention::Comp { percent: 100, periods: Some(2) });
    announced(&world, &notice(1, false));
    world.run_mailing(&inbox);
    let [about] = &told(&inbox)[..] else { panic!("one mail") };
    assert_eq!((about.until_then.minor, about.amount.minor, about.is_discounted), (700_000, 900_000, true));
    live(&world, DAY * 90);
    assert_eq!(charged(&world), [700_000, 900_000]);
}

#[test]
fn a_price_is_changed_of_what_runs_is_sold_and_can_be_told() {
    let refused = |world: &World| match try_to(world, &notice(30, false)) {
        Err(RequestError::Refused(refusal)) => refusal,
        other => panic!("{other:?}"),
    };
    let world = dearer();
    world.store.put(Record::Subscription(Subscription { contact: None, ..world.subscription() }));
    assert_eq!(refused(&world), Refusal::NoContact);
    assert_eq!(announced(&world, &notice(30, true)).price_to_come().map(|it| it.amount.minor), Some(900_000));

    let world = dearer();
    let down = crate::changes::downgrade(Effective::PeriodEnd);
    try_change(&world, &down, "k").unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(refused(&world), Refusal::ChangeScheduled);

    // By the month no more, or for one month only, which would end what runs.
    for edit in [|price: &mut Price| price.interval = Interval::Days(9), |price: &mut Price| price.recurring = false] {
        let world = subscribed();
        let mut estates = catalogue("estates");
        for offer in estates.plans.iter_mut().filter(|offer| offer.id.as_str() == PLAN) {
            offer.prices.iter_mut().filter(|price| price.interval == Interval::Month).for_each(edit);
        }
        block_on(world.load(estates)).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(refused(&world), Refusal::NotSold);
    }

    let world = dearer();
    declined_at_period_end(&world, Remedy::RetryLater);
    assert_eq!(refused(&world), Refusal::PaymentOwed);
    let world = dearer();
    command(&world, Command::CancelAtPeriodEnd);
    assert_eq!(refused(&world), Refusal::Leaving);
    command(&world, Command::CancelNow);
    assert_eq!(refused(&world), Refusal::Ended);
    assert_eq!(money(&world).1, 0);
    let world = subscribed();
    assert_eq!(announced(&world, &notice(30, false)), world.subscription(), "it is what they have");
}
