//! What nobody asks for: sweeps, mails, clocks that are moved, catalogues; and whoever only looks.

use super::ports::{Calls, Fragile, Port, Workflows};
use super::{Case, cuts, holds};
use crate::brands::{kept, owing_under_acme};
use crate::changes::downgrade;
use crate::downgrades::using;
use crate::living::wanted;
use crate::mails::{declined_for_good, only};
use crate::prices::{announced, dearer, notice};
use crate::stage::{DAY, MINUTE, attempt, command, money, pass, refund_of, subscribed, to_period_end};
use crate::taken_over::row;
use billing::brand::Brand;
use billing::id::{FamilyId, FeatureId, MailId, PaymentId};
use billing::ports::{Key, TestClock, Walk};
use billing::subscription::{Command, Effective};
use billing::testing::{MemoryMailer, MemoryQueue, World, brand, catalogue, customer, meter, method, plan};
use billing::workflow::{Goal, Rebuild, Wish};
use futures::executor::block_on;
use futures::future::FutureExt;
use jiff::Span;
use std::collections::BTreeSet;

/// A mail is to be sent; and in another lane a method is to be forgotten, and a refund was not answered.
fn much_is_due() -> World {
    let world = declined_for_good();
    block_on(world.remove_method(&customer(), &method("AUTH_1").id())).unwrap_or_else(|error| panic!("{error}"));
    world.gateways.fail_from(Some(0));
    drop(block_on(world.refund(refund_of(&world, 100))));
    world.gateways.fail_from(None);
    pass(&world, DAY);
    world
}

#[test]
fn a_sweep_cut_anywhere_wakes_everybody_who_is_due_yet_and_nothing_is_done_twice() {
    let period_is_over = || {
        let world = subscribed();
        to_period_end(&world);
        world
    };
    let cases: [&dyn Fn() -> World; 2] = [&much_is_due, &period_is_over];
    for begin in cases {
        holds(&Case {
            ports: &[Port::Clock, Port::Read, Port::Queue],
            begin,
            run: &|_, billing| async { drop(billing.sweep(&billing.store, || true).await) }.boxed(),
            again: &|_| {},
        });
    }
}

#[test]
fn a_mail_cut_anywhere_is_taken_once_at_least_and_is_sent_once() {
    let told = || {
        let world = dearer();
        announced(&world, &notice(30, false));
        world
    };
    let refused = || {
        let world = declined_for_good();
        command(&world, Command::CancelNow);
        world
    };
    let every: &[Port] = &[Port::Clock, Port::Read, Port::Commit, Port::Mailer];
    let cases: [(&[Port], &dyn Fn() -> World); 4] = [
        (every, &declined_for_good),
        (every, &owing_under_acme),
        (every, &told),
        (&[Port::Clock, Port::Read, Port::Commit], &refused),
    ];
    for (ports, begin) in cases {
        holds(&Case {
            ports,
            begin,
            run: &|world, billing| async { drop(billing.send_mail(&only(world).id, &billing.store).await) }.boxed(),
            again: &|_| {},
        });
    }
}

/// With whoever gets mails under its name.
#[test]
fn a_brand_cut_anywhere_is_kept_once_and_whole() {
    let plain = || Brand { logo: None, ..brand("acme") };
    holds(&Case {
        ports: &[Port::Read, Port::Commit],
        begin: &owing_under_acme,
        run: &|_, billing| async move { drop(billing.keep_brand(&plain()).await) }.boxed(),
        again: &|world| assert_eq!(kept(world, &plain()), Brand { version: 2, ..plain() }),
    });
}

fn moved(world: &World) -> TestClock {
    world.key(Key::TestClock).test_clock().unwrap_or_default()
}

/// As whoever moves it sees: it is where it was, or where it was to go.
#[test]
fn a_clock_that_is_moved_and_cut_anywhere_was_moved_once_or_not_at_all() {
    holds(&Case {
        ports: &[Port::Read, Port::Commit],
        begin: &subscribed,
        run: &|world, billing| {
            let now = world.clock.time();
            async move { drop(billing.advance_clock(Span::new().days(3), now).await) }.boxed()
        },
        again: &|world| {
            let now = world.clock.time() - MINUTE;
            if moved(world) == TestClock::default() {
                block_on(world.advance_clock(Span::new().days(3), now)).unwrap_or_else(|error| panic!("{error}"));
            }
            assert_eq!((moved(world).ahead_s, moved(world).version), (3 * 86_400, 1));
        },
    });
}

#[test]
fn a_step_of_a_walk_that_is_cut_anywhere_is_the_same_when_it_is_taken_again() {
    holds(&Case {
        ports: &[Port::Read, Port::Commit, Port::Queue],
        begin: &subscribed,
        run: &|world, billing| {
            let now = world.clock.time();
            async move { drop(billing.walk_clock(None, Goal::By(Span::new().months(2)), now, &billing.store).await) }
                .boxed()
        },
        again: &|world| {
            let (now, queue) = (world.clock.time() - MINUTE, MemoryQueue::default());
            let goal = moved(world).walk.map_or(Goal::By(Span::new().months(2)), |_| Goal::AsBefore);
            let step = block_on(world.walk_clock(None, goal, now, &queue)).unwrap_or_else(|error| panic!("{error}"));
            // The payment is looked at a day after it was made: that comes first.
            let goal = now + DAY * 59;
            assert_eq!((step.now, step.goal, step.woken), (now + DAY, goal, 1));
            assert_eq!((moved(world).walk, moved(world).version), (Some(Walk { at: step.now, goal }), 1));
            assert_eq!(queue.take().len(), 1);
        },
    });
}

#[test]
fn a_catalogue_that_is_loaded_and_cut_anywhere_is_on_sale_whole_or_not_at_all_and_makes_one_version() {
    let dearer = || {
        let mut estates = catalogue("estates");
        estates.plans[1].prices[0].amount.minor += 100;
        estates.plans[2].prices[0].amount.minor += 100;
        estates
    };
    let versions = |world: &World| {
        let plans = block_on(world.all_plans()).unwrap_or_else(|error| panic!("{error}")).into_iter();
        plans.filter(|plan| plan.family.as_str() == "estates").map(|plan| plan.version).collect::<Vec<_>>()
    };
    holds(&Case {
        ports: &[Port::Read, Port::Commit],
        begin: &subscribed,
        run: &|_, billing| {
            let estates = dearer();
            async move { drop(billing.load(estates).await) }.boxed()
        },
        again: &|world| {
            let before = versions(world);
            assert!(before == [1; 3] || before == [1, 2, 2], "{before:?}");
            block_on(world.load(dearer())).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(versions(world), [1, 2, 2]);
        },
    });
}

/// All that answers a question and does nothing.
async fn looks(billing: &Workflows<'_>, payment: &PaymentId) {
    let (customer, starter) = (customer(), plan("minutes-starter"));
    let minutes = FeatureId::try_from("minutes".to_owned()).unwrap_or_else(|error| panic!("{error}"));
    let family = FamilyId::try_from("minutes".to_owned()).unwrap_or_else(|error| panic!("{error}"));
    let mail = MailId::try_from(format!("mail_{}", "a".repeat(24))).unwrap_or_else(|error| panic!("{error}"));
    drop(billing.now(Some(&customer)).await);
    drop(billing.payment(&customer, payment).await);
    drop(billing.payments(&customer, None, 10).await);
    drop(billing.lookup(&customer).await);
    drop(billing.entitlement(&customer, &minutes).await);
    drop(billing.entitlements(&customer).await);
    drop(billing.statistics(&customer).await);
    drop(billing.alerts(&customer).await);
    drop(billing.wallet(&customer).await);
    drop(billing.consumptions(&customer, None, 10).await);
    drop(billing.account(&customer).await);
    drop(billing.plans().await);
    drop(billing.brands().await);
    drop(billing.brand_of_mail(&mail).await);
    drop(billing.all_plans().await);
    drop(billing.plan(&starter.id).await);
    drop(billing.comparison(&family).await);
    drop(billing.validate_downgrade(&customer, &starter.id).await);
    drop(billing.preview_change(&Wish { plan: Some(starter.id), ..downgrade(Effective::Now) }).await);
    drop(billing.preview_request(&customer, Command::CancelNow).await);
    drop(billing.preview_subscription(&wanted("minutes-pro")).await);
    drop(billing.take_over(&row(), true).await);
    drop(billing.rebuild(&Rebuild { customer, meter: meter("minutes"), dry_run: true }).await);
}

/// Also not by checking a downgrade (I-14).
#[test]
fn who_only_looks_changes_nothing_wherever_that_is_cut() {
    let looked = |at| {
        let (world, queue, mailer, calls) =
            (using(1_500, 2), MemoryQueue::default(), MemoryMailer::default(), Calls::default());
        let (payment, before) = (attempt(&world, 0, 1).id, world.store.records());
        let fragile = Fragile { world: &world, queue: &queue, mailer: &mailer, calls: &calls, at, meanwhile: None };
        let _crashed = looks(&fragile.workflows(), &payment).now_or_never();
        assert_eq!((world.store.records() == before, money(&world)), (true, (1, 0)), "{at:?}");
        calls.take()
    };
    let calls = looked(None);
    assert_eq!(calls.iter().copied().collect::<BTreeSet<_>>(), [Port::Clock, Port::Read].into());
    for cut in cuts(&calls) {
        looked(Some(cut));
    }
}
