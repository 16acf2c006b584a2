//! Stories of mails: who must act is told so, and led to where they can.

use crate::stage::{
    DAY, HOUR, Is, PLAN, declined_at_period_end, is, live, mails, money, recovery, subscribed, to_period_end, told,
    wake,
};
use billing::id::{IdempotencyKey, MailId};
use billing::mail::{About, Dropped, Mail, MailStatus, PaymentNeeded};
use billing::outcome::Remedy;
use billing::payment::Payment;
use billing::ports::{MailError, Wanted};
use billing::subscription::{Command, Refusal};
use billing::testing::{MemoryMailer, Script, World, customer, method, request};
use billing::workflow::{CheckoutError, FollowError, SendError, WakeError};
use futures::executor::block_on;

/// The period is over, and the card will not work again. The one mail that is due is not sent yet.
pub(crate) fn declined_for_good() -> World {
    let world = subscribed();
    to_period_end(&world);
    world.gateways.next(Script::Decline(Remedy::NewMethod));
    wake(&world, crate::stage::renewal());
    assert_eq!(is(&world.subscription()), Is::InGrace);
    world
}

pub(crate) fn only(world: &World) -> Mail {
    let mut all = world.store.mails();
    assert_eq!(all.len(), 1);
    all.remove(0)
}

fn send(world: &World, mailer: &MemoryMailer) -> Result<(), SendError> {
    block_on(world.send_mail(&only(world).id, mailer))
}

fn follow(world: &World, mail: &MailId, key: &str) -> Result<Payment, FollowError> {
    let key = IdempotencyKey::try_from(key.to_owned()).unwrap_or_else(|error| panic!("{error}"));
    block_on(world.follow_mail(mail, key))
}

fn needed(mail: &Mail) -> &PaymentNeeded {
    match &mail.about {
        About::PaymentNeeded(about) => about,
        About::Suspended(_) | About::TrialEnding(_) | About::PriceChange(_) | About::Overage(_) => panic!("{mail:?}"),
    }
}

#[test]
fn who_must_act_gets_one_mail_that_says_what_is_owed_and_until_when() {
    let (world, inbox) = (declined_for_good(), MemoryMailer::default());
    world.run_mailing(&inbox);
    let [mail] = &inbox.take()[..] else { panic!("one mail") };
    let subscription = world.subscription();
    assert_eq!((mail.to.email.as_str(), mail.to.gateway), ("billing@acme.example", request(PLAN, "k").gateway));
    let about = needed(mail);
    assert_eq!((about.amount, about.remedy), (crate::stage::naira(), Some(Remedy::NewMethod)));
    assert_eq!((&about.subscription, about.period), (&subscription.id, 1));
    assert_eq!(Some(about.grace_ends_at), subscription.grace_ends_at);
    assert_eq!(about.plan, subscription.order.plan.display_name);
    live(&world, DAY * 2);
    assert_eq!((is(&world.subscription()), mails(&world)), (Is::InGrace, (1, 0)));
}

#[test]
fn the_link_leads_to_a_page_and_once_that_is_paid_nothing_is_owed() {
    let world = declined_for_good();
    world.run();
    let mail = only(&world).id;
    let page = follow(&world, &mail, "click").unwrap_or_else(|error| panic!("{error}"));
    // Impatience, or a scanner that looks where links lead: the page is the same.
    assert_eq!(follow(&world, &mail, "again").map(|it| it.id).ok(), Some(page.id.clone()));
    world.gateways.visit(&page, true);
    told(&world, &page, "evt");
    assert_eq!((is(&world.subscription()), money(&world)), (Is::Active, (2, 0)));
    let refused = follow(&world, &mail, "later");
    assert!(matches!(refused, Err(FollowError::Checkout(CheckoutError::Refused(Refusal::NothingOwed)))));
    assert!(follow(&declined_for_good(), &mail, "k").is_ok(), "ids are derived");
    assert!(matches!(follow(&subscribed(), &mail, "k"), Err(FollowError::NoSuchMail)));
}

#[test]
fn a_page_whose_opening_was_not_answered_is_opened_by_whoever_follows_next() {
    let world = declined_for_good();
    world.run();
    let mail = only(&world).id;
    world.gateways.fail_from(Some(0));
    assert!(matches!(follow(&world, &mail, "scanner"), Err(FollowError::Checkout(CheckoutError::Gateway(_)))));
    world.gateways.fail_from(None);
    assert!(matches!(follow(&world, &mail, "at-once"), Err(FollowError::Checkout(CheckoutError::InProgress))));
    crate::stage::pass(&world, crate::stage::MINUTE);
    let page = follow(&world, &mail, "reader").unwrap_or_else(|error| panic!("{error}"));
    assert!(page.opened().is_some());
    world.gateways.visit(&page, true);
    told(&world, &page, "evt");
    assert_eq!((is(&world.subscription()), money(&world)), (Is::Active, (2, 0)));
}

#[test]
fn the_link_of_an_old_mail_is_not_for_what_is_owed_since() {
    let world = declined_for_good();
    world.run();
    let mail = only(&world).id;
    let page = follow(&world, &mail, "k").unwrap_or_else(|error| panic!("{error}"));
    world.gateways.visit(&page, true);
    told(&world, &page, "evt");
    declined_at_period_end(&world, Remedy::NewMethod);
    assert_eq!((is(&world.subscription()), mails(&world)), (Is::InGrace, (2, 0)));
    let refused = follow(&world, &mail, "old");
    assert!(matches!(refused, Err(FollowError::Checkout(CheckoutError::Refused(Refusal::NothingOwed)))));
}

#[test]
fn while_there_is_something_left_to_try_nobody_is_bothered() {
    let world = subscribed();
    for _ in 0..4 {
        world.gateways.next(Script::Decline(Remedy::RetryLater));
    }
    to_period_end(&world);
    live(&world, DAY * 4);
    assert_eq!((is(&world.subscription()), mails(&world)), (Is::Retrying, (0, 0)));
    live(&world, DAY * 2);
    assert_eq!((is(&world.subscription()), mails(&world)), (Is::InGrace, (1, 0)));
}

#[test]
fn nobody_is_asked_to_mend_what_is_our_own_fault() {
    let world = subscribed();
    to_period_end(&world);
    for _ in 0..4 {
        world.gateways.next(Script::Decline(Remedy::OurFault));
        let told = block_on(world.wake(crate::stage::renewal()));
        assert!(matches!(told, Err(WakeError::OurFault(..))));
        crate::stage::pass(&world, DAY * 2);
    }
    assert_eq!((is(&world.subscription()), world.store.mails()), (Is::InGrace, vec![]));
}

#[test]
fn who_has_no_method_left_is_told_so() {
    let world = subscribed();
    block_on(world.remove_method(&customer(), &method("AUTH_1").id())).unwrap_or_else(|error| panic!("{error}"));
    to_period_end(&world);
    world.run();
    assert_eq!((needed(&only(&world)).remedy, mails(&world)), (None, (1, 0)));
}

#[test]
fn a_mail_that_has_become_pointless_is_not_sent() {
    let paid = |world: &World| {
        let page = block_on(world.recover(recovery("r"))).unwrap_or_else(|error| panic!("{error}"));
        world.gateways.visit(&page, true);
        told(world, &page, "evt");
    };
    let left = |world: &World| {
        _ = crate::stage::command(world, Command::CancelNow);
    };
    let late = |world: &World| crate::stage::pass(world, DAY * 4);
    for overtaken in [paid as fn(&World), left, late] {
        let (world, inbox) = (declined_for_good(), MemoryMailer::default());
        overtaken(&world);
        assert!(send(&world, &inbox).is_ok());
        assert_eq!((mails(&world), inbox.take()), ((0, 1), vec![]));
    }
}

#[test]
fn a_mail_that_nobody_took_is_sent_later_and_one_that_was_refused_is_not() {
    let (world, inbox) = (declined_for_good(), MemoryMailer::default());
    inbox.next(MailError::NoAnswer("down".into()));
    assert!(send(&world, &inbox).is_ok() && inbox.take().is_empty());
    assert!(send(&world, &inbox).is_ok() && inbox.take().is_empty(), "not before its time");
    crate::stage::pass(&world, DAY);
    assert!(send(&world, &inbox).is_ok());
    assert_eq!((inbox.take().len(), mails(&world)), (1, (1, 0)));

    let (world, inbox) = (declined_for_good(), MemoryMailer::default());
    inbox.next(MailError::Refused("no such address".to_owned()));
    assert!(matches!(send(&world, &inbox), Err(SendError::Refused(..))), "someone hears of it");
    let (world, inbox) = (declined_for_good(), inbox);
    inbox.next(MailError::OurFault("the sender is not verified".to_owned()));
    assert!(matches!(send(&world, &inbox), Err(SendError::OurFault(..))), "someone mends it");
    crate::stage::pass(&world, HOUR);
    assert!(send(&world, &inbox).is_ok());
    assert_eq!(inbox.take().len(), 1, "and it is sent");

    let (world, inbox) = (declined_for_good(), inbox);
    inbox.next(MailError::NotConfigured);
    assert!(send(&world, &inbox).is_ok(), "and of this nobody");
    let dropped = only(&world).status;
    assert!(matches!(dropped, MailStatus::Dropped { because: Dropped::NotConfigured, .. }));
}

#[test]
fn that_nobody_took_a_mail_while_it_was_of_use_is_heard_of() {
    let (world, inbox) = (declined_for_good(), MemoryMailer::default());
    inbox.next(MailError::NoAnswer("down".into()));
    assert!(send(&world, &inbox).is_ok());
    crate::stage::pass(&world, DAY * 4);
    assert!(matches!(send(&world, &inbox), Err(SendError::TooLate(_))));
    assert_eq!((mails(&world), inbox.take()), ((0, 1), vec![]));
}

#[test]
fn a_mail_is_not_for_those_who_charge() {
    let world = declined_for_good();
    let mail = only(&world).id;
    assert!(matches!(block_on(world.wake(Wanted::Mail { mail })), Err(WakeError::ForMailer(_))));
}

#[test]
fn declines_one_after_the_other_are_one_mail_for_each_time_grace_begins() {
    let world = subscribed();
    declined_at_period_end(&world, Remedy::AskCustomer);
    assert_eq!(mails(&world), (1, 0));
    live(&world, DAY);
    assert_eq!(mails(&world), (1, 0));
}
