//! Stories of suspension: who has not paid when grace is over is served no more, and has what was left as soon as they pay.

use crate::changes::{change, downgrade};
use crate::collecting::{come_back, set_up};
use crate::stage::{
    DAY, HOUR, Is, MINUTE, Paid, command, declined_at_period_end, index, is, live, mails, methods, money, naira, paid,
    pass, subscribed, subscribed_to, to_period_end, told, wake,
};
use crate::tokens::tokens_plan;
use crate::transfers::{after, transfer};
use billing::calendar::Period;
use billing::entitlement::Reason;
use billing::id::FeatureId;
use billing::mail::{About, Mail, MailStatus, Suspended};
use billing::outcome::Remedy;
use billing::payment::{Gateway, Payment};
use billing::ports::{Record, Wanted};
use billing::subscription::{Command, Effective, Event};
use billing::testing::{MemoryMailer, Script, World, customer, idempotency_key, instant};
use futures::executor::block_on;
use jiff::{SignedDuration, Timestamp};

/// Of the period that is owed from 28 February at ten on, three days were served.
fn suspended() -> World {
    let world = subscribed();
    suspend(&world);
    world
}

fn suspend(world: &World) {
    declined_at_period_end(world, Remedy::NewMethod);
    live(world, DAY * 3);
    assert_eq!((is(&world.subscription()), reason(world)), (Is::Suspended, Some(Reason::Suspended)));
}

fn reason(world: &World) -> Option<Reason> {
    let name = FeatureId::try_from("estates".to_owned()).unwrap_or_else(|error| panic!("{error}"));
    block_on(world.entitlement(&customer(), &name)).unwrap_or_else(|error| panic!("{error}")).reason
}

/// What happened to the subscription, in the order in which it did.
fn history(world: &World) -> Vec<Event> {
    let records = world.store.records().into_iter();
    records.filter_map(|it| if let Record::History { event, .. } = it { Some(event) } else { None }).collect()
}

fn suspensions(world: &World) -> usize {
    history(world).iter().filter(|event| matches!(event, Event::Suspended { .. })).count()
}

/// The period that was owed, so much later.
fn later(by: SignedDuration) -> Option<Period> {
    Some(Period { start: instant("2025-02-28T10:00:00Z") + by, end: instant("2025-03-31T10:00:00Z") + by })
}

fn pay(world: &World, page: &Payment) {
    world.gateways.visit(page, true);
    told(world, page, &format!("evt_{}", page.id));
}

#[test]
fn who_pays_on_a_page_has_the_same_subscription_back_with_all_that_was_left() {
    // The last of them pays when the period would long have been over.
    for days in [0, 1, 10, 29] {
        let world = suspended();
        let (before, balance) = (world.subscription(), money(&world));
        live(&world, DAY * days + HOUR);
        assert_eq!((reason(&world), money(&world)), (Some(Reason::Suspended), balance));
        pay(&world, &come_back(&world, "r"));
        let after = world.subscription();
        assert_eq!((is(&after), &after.id, index(&world)), (Is::Active, &before.id, Some(1)));
        assert_eq!((reason(&world), money(&world)), (None, (2, 0)));
        assert_eq!(after.period(), later(DAY * days + HOUR), "{days}");
        let told = history(&world);
        let at = instant("2025-03-03T10:00:00Z");
        assert!(
            matches!(&told[..], [.., Event::Suspended { at: suspended, .. }, Event::Restored { since, at: restored, .. }]
                if (*suspended, *since, *restored) == (at, at, world.clock.time())),
            "{told:?}"
        );
        // The next is paid for when this one is over, and not before.
        let ends = after.period().map_or(Timestamp::MIN, |period| period.end);
        world.clock.set(ends - HOUR);
        world.run();
        assert_eq!(index(&world), Some(1));
        to_period_end(&world);
        world.run();
        assert_eq!((index(&world), money(&world)), (Some(2), (3, 0)));
        assert_eq!(world.subscription().period().map(|period| period.start), Some(ends));
    }
}

#[test]
fn tokens_come_with_what_is_restored_and_no_sooner() {
    let world = subscribed_to(tokens_plan("first"));
    suspend(&world);
    let had = crate::stage::tokens(&world);
    live(&world, DAY * 5);
    assert_eq!(crate::stage::tokens(&world), had);
    pay(&world, &come_back(&world, "r"));
    assert!(crate::stage::tokens(&world) > had);
}

#[test]
fn what_was_ordered_for_the_next_period_is_what_is_restored() {
    let world = subscribed();
    change(&world, &downgrade(Effective::PeriodEnd), "down");
    suspend(&world);
    live(&world, DAY);
    pay(&world, &come_back(&world, "r"));
    assert_eq!(world.subscription().order.plan.id.as_str(), "estates-starter");
    assert_eq!(world.subscription().period(), later(DAY));
}

#[test]
fn a_new_method_is_charged_at_once_and_serves_nobody_before_it_has_paid() {
    let world = suspended();
    live(&world, DAY * 2);
    let setup = set_up(&world, Gateway::Stripe, "s");
    world.gateways.visit(&setup, true);
    block_on(world.receive(crate::stage::notice(&setup, "evt_setup"))).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((is(&world.subscription()), reason(&world)), (Is::Retrying, Some(Reason::Suspended)));
    // Whether it took the money nobody knows for a while.
    world.gateways.next(Script::SilentAfter);
    wake(&world, Wanted::Subscription { customer: customer() });
    assert_eq!((is(&world.subscription()), reason(&world)), (Is::Retrying, Some(Reason::Suspended)));
    live(&world, HOUR);
    assert_eq!((is(&world.subscription()), reason(&world), methods(&world)), (Is::Active, None, 2));
    assert_eq!(
        (world.subscription().period(), money(&world)),
        (later(DAY * 2 + HOUR), (3, 0)),
        "of which one is of leaving the method"
    );
}

#[test]
fn methods_that_are_declined_do_not_make_it_longer_and_are_four_at_most() {
    let world = suspended();
    for day in 0..6 {
        world.gateways.next(Script::Decline(Remedy::NewMethod));
        let setup = set_up(&world, Gateway::Stripe, &format!("s{day}"));
        world.gateways.visit(&setup, true);
        told(&world, &setup, &format!("evt_{day}"));
        live(&world, DAY);
        assert_eq!((is(&world.subscription()), reason(&world)), (Is::Suspended, Some(Reason::Suspended)));
    }
    assert_eq!((world.subscription().failures.len(), suspensions(&world)), (4, 1));
    live(&world, DAY * 24);
    assert_eq!(is(&world.subscription()), Is::Unpaid);
    assert_eq!(index(&world), Some(0));
}

#[test]
fn a_transfer_restores_it_when_it_comes() {
    let (world, _) = after(&[naira().minor]);
    to_period_end(&world);
    world.run();
    let owed = world.clock.time();
    live(&world, DAY * 4);
    assert_eq!((is(&world.subscription()), reason(&world)), (Is::Suspended, Some(Reason::Suspended)));
    transfer(&world, "T_late", naira().minor);
    live(&world, DAY * 2);
    assert_eq!((is(&world.subscription()), reason(&world), index(&world)), (Is::Active, None, Some(1)));
    // The bank is asked once a day where no webhook tells.
    let came = history(&world).iter().find_map(|it| if let Event::Restored { at, .. } = it { Some(*at) } else { None });
    let by = came.map(|came| came.duration_since(owed + DAY * 3));
    assert_eq!(world.subscription().period().map(|it| it.start.duration_since(owed)), by);
}

#[test]
fn who_leaves_while_suspended_is_charged_no_more() {
    for leaves in [Command::CancelNow, Command::CancelAtPeriodEnd] {
        let world = suspended();
        live(&world, DAY);
        assert_eq!(command(&world, leaves), Is::Canceled);
        let setup = set_up(&world, Gateway::Stripe, "s");
        pay(&world, &setup);
        let before = money(&world);
        live(&world, DAY * 60);
        assert_eq!((is(&world.subscription()), money(&world)), (Is::Canceled, before));
        assert_eq!(world.subscription().attempts, 1);
    }
}

#[test]
fn after_thirty_days_it_is_over_and_what_is_paid_then_goes_back() {
    let world = suspended();
    live(&world, DAY * 30 - HOUR);
    let page = come_back(&world, "r");
    live(&world, HOUR);
    assert_eq!((is(&world.subscription()), reason(&world)), (Is::Unpaid, Some(Reason::Suspended)));
    pay(&world, &page);
    live(&world, DAY);
    assert_eq!((is(&world.subscription()), paid(&world.payment_of(&page))), (Is::Unpaid, Paid::Refunded));
    assert_eq!((money(&world), suspensions(&world)), ((2, 1), 1));
}

#[test]
fn a_plan_without_suspension_ends_when_grace_does() {
    let world = subscribed();
    let mut subscription = world.subscription();
    subscription.order.plan.dunning.suspension_days = 0;
    crate::living::put(&world, Record::Subscription(subscription));
    declined_at_period_end(&world, Remedy::NewMethod);
    live(&world, DAY * 3 - HOUR);
    assert_eq!(is(&world.subscription()), Is::InGrace);
    live(&world, HOUR);
    assert_eq!((is(&world.subscription()), suspensions(&world)), (Is::Unpaid, 0));
}

/// Nobody has suspended it yet, but its time was over, and they were not served.
#[test]
fn whoever_pays_between_grace_and_the_worker_has_what_was_left_too() {
    let world = subscribed();
    declined_at_period_end(&world, Remedy::NewMethod);
    pass(&world, DAY * 3 - MINUTE);
    let page = come_back(&world, "r");
    pass(&world, HOUR);
    assert_eq!((is(&world.subscription()), reason(&world)), (Is::InGrace, Some(Reason::Suspended)));
    pay(&world, &page);
    assert_eq!((is(&world.subscription()), reason(&world), suspensions(&world)), (Is::Active, None, 0));
    assert_eq!(world.subscription().period(), later(HOUR - MINUTE));
}

#[test]
fn who_is_suspended_gets_one_mail_whose_link_restores_it_until_it_ends() {
    let (world, inbox) = (subscribed(), MemoryMailer::default());
    to_period_end(&world);
    world.gateways.next(Script::Decline(Remedy::NewMethod));
    world.run_mailing(&inbox);
    assert_eq!(inbox.take().len(), 1, "grace begins");
    crate::stage::pass(&world, DAY * 3);
    world.run_mailing(&inbox);
    world.run_mailing(&inbox);
    let [mail] = &inbox.take()[..] else { panic!("one mail") };
    let About::Suspended(about) = &mail.about else { panic!("{mail:?}") };
    assert_eq!((about.amount, about.period), (naira(), 1));
    assert_eq!(Some(about.suspended_until), world.subscription().suspended_until);
    assert_eq!(about.suspended_until, instant("2025-04-02T10:00:00Z"));
    // However long that is, the mail is kept for as long as its link leads somewhere.
    let far = instant("2026-03-03T10:00:00Z");
    let (status, told) =
        (MailStatus::Sent { at: world.clock.time() }, Suspended { suspended_until: far, ..about.clone() });
    let kept = Mail { status, about: About::Suspended(told), ..mail.clone() };
    assert_eq!(kept.expires_at(), Some(far));
    // A method that is declined does not make it another one.
    world.gateways.next(Script::Decline(Remedy::NewMethod));
    let setup = set_up(&world, Gateway::Stripe, "s");
    pay(&world, &setup);
    live(&world, DAY * 29);
    assert_eq!((is(&world.subscription()), mails(&world)), (Is::Suspended, (2, 0)));
    let follow = |key| block_on(world.follow_mail(&mail.id, idempotency_key(key)));
    pay(&world, &follow("click").unwrap_or_else(|error| panic!("{error}")));
    assert_eq!((is(&world.subscription()), reason(&world)), (Is::Active, None));
    assert!(follow("again").is_err(), "nothing is owed any more");
}
