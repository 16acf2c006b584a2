//! What is used, and what is counted of it.

use super::{Case, OURS, holds, holds_cut_twice};
use crate::downgrades::{agents_are, using};
use crate::overage::{minutes, starter};
use crate::rebuilding::tamper;
use crate::rebuilding_days::tamper_with_day;
use crate::reserving::{of_held_minutes, release};
use crate::stage::subscribed_to;
use crate::tokens::{consumed, of_tokens, tokens_plan};
use crate::usage::{minutes_plan, of_minutes};
use billing::testing::{World, customer, meter};
use billing::usage::MeterUsage;
use billing::workflow::{Rebuild, Use};
use futures::executor::block_on;
use futures::future::FutureExt;

#[test]
fn tokens_whose_consumption_is_cut_anywhere_are_taken_once() {
    holds(&Case {
        ports: OURS,
        begin: &|| subscribed_to(tokens_plan("k")),
        run: &|_, billing| async { drop(billing.consume(&of_tokens(7, "use")).await) }.boxed(),
        again: &|world| assert_eq!(consumed(world, 7, "use").balance, 993),
    });
}

#[test]
fn uses_whose_report_is_cut_anywhere_are_counted_once() {
    fn batch() -> Vec<Use> {
        (0..100).map(|n| of_minutes(1, &format!("call-{n}"))).collect()
    }
    holds(&Case {
        ports: OURS,
        begin: &|| subscribed_to(minutes_plan("k")),
        run: &|_, billing| async { drop(billing.report(&customer(), &batch()).await) }.boxed(),
        again: &|world| {
            let answers = block_on(world.report(&customer(), &batch())).unwrap_or_else(|error| panic!("{error}"));
            assert!(answers.iter().all(|it| it.as_ref().is_ok_and(|standing| standing.used <= 100)));
            let live = block_on(world.lookup(&customer())).unwrap_or_else(|error| panic!("{error}"));
            let counted = live.and_then(|live| live.usage.get(&billing::testing::meter("minutes")).copied());
            assert_eq!(counted, Some(100));
        },
    });
}

#[test]
fn what_is_reserved_and_used_or_released_and_cut_anywhere_is_held_and_counted_once() {
    fn left(world: &World) -> (Option<u64>, Option<u64>) {
        let live = block_on(world.lookup(&customer())).unwrap_or_else(|error| panic!("{error}"));
        let live = live.unwrap_or_else(|| panic!("no subscription"));
        let minutes = |usage: billing::entitlement::Usage| usage.get(&billing::testing::meter("minutes")).copied();
        (minutes(live.usage.clone()), minutes(live.reserved()))
    }
    holds(&Case {
        ports: OURS,
        begin: &|| subscribed_to(minutes_plan("k")),
        run: &|_, billing| {
            async {
                drop(billing.reserve(&of_held_minutes(7, "call")).await);
                drop(billing.report(&customer(), &[of_minutes(5, "call")]).await);
                drop(billing.reserve(&of_held_minutes(9, "other")).await);
                drop(
                    billing
                        .release(&customer(), &billing::testing::meter("minutes"), &of_held_minutes(9, "other").id)
                        .await,
                );
            }
            .boxed()
        },
        again: &|world| {
            // Held, or used already.
            drop(block_on(world.reserve(&of_held_minutes(7, "call"))));
            assert!(block_on(world.report(&customer(), &[of_minutes(5, "call")])).is_ok_and(|it| it[0].is_ok()));
            release(world, "minutes", "other");
            assert_eq!(left(world), (Some(5), Some(0)));
        },
    });
}

#[test]
fn tokens_whose_consumption_is_cut_at_any_two_calls_are_taken_once() {
    holds_cut_twice(&Case {
        ports: OURS,
        begin: &|| subscribed_to(tokens_plan("k")),
        run: &|_, billing| async { drop(billing.consume(&of_tokens(7, "use")).await) }.boxed(),
        again: &|world| assert_eq!(consumed(world, 7, "use").balance, 993),
    });
}

#[test]
fn a_level_that_is_set_and_cut_anywhere_is_what_was_said() {
    holds(&Case {
        ports: OURS,
        begin: &|| using(10, 1),
        run: &|_, billing| async { drop(billing.set_usage(&customer(), &meter("agents"), 4).await) }.boxed(),
        again: &|world| agents_are(world, 4),
    });
}

#[test]
fn alerts_that_are_acknowledged_are_wherever_that_is_cut() {
    holds(&Case {
        ports: OURS,
        begin: &|| using(2_900, 1),
        run: &|_, billing| async { drop(billing.acknowledge(&customer(), &meter("minutes"), true).await) }.boxed(),
        again: &|world| {
            let open = block_on(world.acknowledge(&customer(), &meter("minutes"), true));
            let open = open.unwrap_or_else(|error| panic!("{error}"));
            assert!(!open.is_empty() && open.iter().all(|it| it.alert.acknowledged_at.is_some()), "{open:?}");
        },
    });
}

#[test]
fn what_is_counted_again_is_set_right_once_wherever_that_is_cut() {
    fn wanted() -> Rebuild {
        Rebuild { customer: customer(), meter: meter("minutes"), dry_run: false }
    }
    holds(&Case {
        ports: OURS,
        begin: &|| {
            let world = using(900, 1);
            tamper(&world, |held| MeterUsage { value: 20, ..held });
            tamper_with_day(&world, 0, 7);
            world
        },
        run: &|_, billing| async { drop(billing.rebuild(&wanted()).await) }.boxed(),
        again: &|world| {
            let found = block_on(world.rebuild(&wanted())).unwrap_or_else(|error| panic!("{error}"));
            assert!(found.periods.iter().all(|it| it.recorded == 900), "{found:?}");
            let again = block_on(world.rebuild(&wanted())).unwrap_or_else(|error| panic!("{error}"));
            assert!(again.periods.iter().all(|it| it.counted == 900) && again.days.is_empty(), "{again:?}");
        },
    });
}

#[test]
fn a_use_that_begins_to_cost_is_told_once() {
    holds(&Case {
        ports: OURS,
        begin: &starter,
        run: &|_, billing| async { drop(billing.report(&customer(), &[of_minutes(1_100, "call")]).await) }.boxed(),
        again: &|world| assert_eq!(minutes(world, 1_100, "call"), Ok(1_100)),
    });
}
