//! What becomes of a subscription that runs: by its customer, by staff, and by itself.

use super::ports::Port;
use super::{Case, OURS, WITH_GATEWAY, holds};
use crate::brands::{kept, to};
use crate::changes::{downgrade, half_way, upgrade};
use crate::downgrades::{agents_are, schedule, using};
use crate::interventions::try_to;
use crate::living::{trialing, with_card};
use crate::overage::{minutes, starter};
use crate::prices::{announced, dearer, notice};
use crate::stage::{
    DAY, HOUR, Is, PLAN, command, pass, renewal, requested, subscribed, subscribed_to, to_period_end, tokens, wake,
};
use crate::tokens::{consumed, tokens_plan};
use billing::catalog::Price;
use billing::driven::{Seen, Standing};
use billing::order::Order;
use billing::payment::Gateway;
use billing::ports::Record;
use billing::subscription::{Command, Effective, Intervention, Subscription};
use billing::testing::{Script, World, brand, customer, idempotency_key, instant, request, seen, world};
use billing::workflow::{Import, Wish};
use futures::executor::block_on;
use futures::future::FutureExt;

#[test]
fn a_change_that_costs_something_is_cut_anywhere_and_paid_and_made_once() {
    holds(&Case {
        ports: WITH_GATEWAY,
        begin: &half_way,
        run: &|_, billing| {
            let key = request(PLAN, "change").key;
            async move { drop(billing.change(&upgrade(), &key, "up").await) }.boxed()
        },
        again: &|world| drop(block_on(world.change(&upgrade(), &request(PLAN, "change").key, "up"))),
    });
}

#[test]
fn a_change_that_costs_nothing_is_cut_anywhere_and_made_once() {
    holds(&Case {
        ports: OURS,
        begin: &half_way,
        run: &|_, billing| {
            let key = request(PLAN, "change").key;
            async move { drop(billing.change(&downgrade(Effective::PeriodEnd), &key, "down").await) }.boxed()
        },
        again: &|world| {
            drop(block_on(world.change(&downgrade(Effective::PeriodEnd), &request(PLAN, "change").key, "down")))
        },
    });
}

#[test]
fn a_cancellation_cut_anywhere_is_granted_when_it_is_asked_for_again() {
    holds(&Case {
        ports: OURS,
        begin: &subscribed,
        run: &|_, billing| {
            async {
                drop(billing.request(&customer(), Command::CancelNow, None, &idempotency_key("cancel"), "cancel").await)
            }
            .boxed()
        },
        again: &|world| assert_eq!(command(world, Command::CancelNow), Is::Canceled),
    });
}

#[test]
fn what_was_shown_is_made_once_wherever_looking_and_making_it_are_cut() {
    holds(&Case {
        ports: WITH_GATEWAY,
        begin: &half_way,
        run: &|_, billing| {
            async {
                let shown = billing.preview_change(&upgrade()).await.map(|it| it.preview.id);
                let wish = Wish { preview: shown.ok(), ..upgrade() };
                drop(billing.change(&wish, &idempotency_key("change"), "up").await);
            }
            .boxed()
        },
        again: &|world| drop(block_on(world.change(&upgrade(), &idempotency_key("change"), "up"))),
    });
}

/// One that leaves when its period is over, or waits, or is what `commands` made of it.
fn after(commands: &[Command]) -> World {
    let world = subscribed();
    pass(&world, DAY);
    for it in commands {
        command(&world, *it);
    }
    world
}

#[test]
fn what_a_customer_asks_for_is_done_once_as_it_was_shown_wherever_that_is_cut() {
    for (before, wanted) in [
        (&[][..], Command::CancelNow),
        (&[], Command::CancelAtPeriodEnd),
        (&[Command::CancelAtPeriodEnd], Command::Resume),
        (&[], Command::Pause),
        (&[], Command::PauseAtPeriodEnd),
        (&[Command::Pause], Command::Unpause),
    ] {
        holds(&Case {
            ports: OURS,
            begin: &|| after(before),
            run: &move |_, billing| {
                async move {
                    let shown = billing.preview_request(&customer(), wanted).await.map(|it| it.id).ok();
                    let key = idempotency_key("asked");
                    drop(billing.request(&customer(), wanted, shown.as_ref(), &key, &format!("{wanted:?}")).await);
                }
                .boxed()
            },
            again: &|world| drop(requested(world, wanted, "asked").unwrap_or_else(|error| panic!("{error}"))),
        });
    }
}

#[test]
fn what_staff_do_is_done_once_wherever_that_is_cut() {
    let told_before = || {
        let world = dearer();
        announced(&world, &notice(30, false));
        world
    };
    let with_few_tokens = || {
        let world = subscribed_to(tokens_plan("k"));
        consumed(&world, 900, "use");
        world
    };
    let end = instant("2025-03-20T10:00:00Z");
    let with_brand = || {
        let world = subscribed();
        kept(&world, &brand("acme"));
        world
    };
    let cases: [(&dyn Fn() -> World, Intervention); 8] = [
        (&subscribed, Intervention::Extend { days: 7 }),
        (&subscribed, Intervention::ChangeDates { end }),
        (&with_few_tokens, Intervention::ResetTokens),
        (&subscribed, Intervention::Comp { percent: 50, periods: Some(2) }),
        (&dearer, notice(30, false)),
        (&dearer, notice(30, true)),
        (&told_before, Intervention::KeepPrice),
        (&with_brand, to("acme")),
    ];
    for (begin, intervention) in cases {
        let asked = &intervention;
        holds(&Case {
            ports: OURS,
            begin,
            run: &move |_, billing| {
                let asked = asked.clone();
                async move {
                    let (key, said) = (idempotency_key("staff"), format!("{asked:?}"));
                    drop(billing.intervene(&customer(), &asked, &key, &said).await);
                }
                .boxed()
            },
            again: &|world| {
                let done = try_to(world, asked, "staff").unwrap_or_else(|error| panic!("{error}"));
                let ends = done.period().map(|period| period.end);
                match asked {
                    Intervention::Extend { .. } => assert_eq!(ends, Some(instant("2025-03-07T10:00:00Z"))),
                    Intervention::ChangeDates { end } => assert_eq!(ends, Some(*end)),
                    Intervention::ResetTokens => assert_eq!(tokens(world), 1_000),
                    Intervention::Brand { brand } => assert_eq!(&done.brand, brand),
                    Intervention::Comp { .. } | Intervention::ChangePrice { .. } | Intervention::KeepPrice => {}
                }
            },
        });
    }
}

/// What has become due of it.
fn is_due(ports: &[Port], begin: &dyn Fn() -> World) {
    holds(&Case {
        ports,
        begin: &|| {
            let world = begin();
            to_period_end(&world);
            world
        },
        run: &|_, billing| async { drop(billing.wake(renewal()).await) }.boxed(),
        again: &|world| wake(world, renewal()),
    });
}

#[test]
fn what_ends_or_rests_with_its_period_does_so_once() {
    is_due(OURS, &|| after(&[Command::CancelAtPeriodEnd]));
    is_due(OURS, &|| after(&[Command::PauseAtPeriodEnd]));
}

/// Bought once.
#[test]
fn a_bundle_that_is_over_expires_once() {
    is_due(OURS, &|| {
        let world = subscribed_to(tokens_plan("k"));
        let held = world.subscription();
        let price = Price { recurring: false, ..held.order.price.clone() };
        let order = Order { price, ..held.order.clone() };
        world.store.put(Record::Subscription(Subscription { order, ..held }));
        world
    });
}

#[test]
fn a_trial_s_end_is_told_of_once() {
    holds(&Case {
        ports: OURS,
        begin: &|| {
            let world = trialing();
            pass(&world, DAY * 11 + HOUR);
            world
        },
        run: &|_, billing| async { drop(billing.wake(renewal()).await) }.boxed(),
        again: &|world| {
            wake(world, renewal());
            assert_eq!(world.store.mails().len(), 1);
        },
    });
}

#[test]
fn a_trial_that_is_over_is_charged_for_once() {
    is_due(WITH_GATEWAY, &|| {
        let world = trialing();
        with_card(&world);
        world
    });
}

#[test]
fn a_period_that_is_given_begins_once_and_nothing_is_charged() {
    is_due(OURS, &|| {
        let world = subscribed();
        let given = try_to(&world, &Intervention::Comp { percent: 100, periods: Some(2) }, "gift");
        given.unwrap_or_else(|error| panic!("{error}"));
        world
    });
}

#[test]
fn what_was_used_beyond_limits_is_billed_and_paid_once() {
    is_due(WITH_GATEWAY, &|| {
        let world = starter();
        assert_eq!(minutes(&world, 1_100, "call"), Ok(1_100));
        world
    });
}

#[test]
fn a_smaller_plan_is_made_or_given_up_once_when_its_period_begins() {
    // With two agents it is too small: what they have is renewed when that was found.
    for (agents, ports) in [(1, WITH_GATEWAY), (2, OURS)] {
        is_due(ports, &|| {
            let world = using(500, 1);
            schedule(&world);
            agents_are(&world, agents);
            world
        });
    }
}

#[test]
fn a_price_that_was_told_is_charged_once() {
    is_due(WITH_GATEWAY, &|| {
        let world = dearer();
        announced(&world, &notice(1, true));
        world
    });
}

#[test]
fn a_change_whose_charge_never_came_back_is_made_or_given_up_once() {
    holds(&Case {
        ports: OURS,
        begin: &|| {
            let world = half_way();
            world.gateways.next(Script::SilentBefore);
            drop(block_on(world.change(&upgrade(), &idempotency_key("change"), "up")));
            to_period_end(&world);
            world
        },
        run: &|_, billing| async { drop(billing.wake(renewal()).await) }.boxed(),
        again: &|world| wake(world, renewal()),
    });
}

#[test]
fn what_stripe_drives_is_looked_at_and_followed_once() {
    holds(&Case {
        ports: WITH_GATEWAY,
        begin: &|| {
            let world = world();
            world.gateways.drive(seen("estates-professional"));
            let import = Import {
                customer: customer(),
                gateway: Gateway::Stripe,
                subscription: "sub_1".to_owned(),
                dry_run: false,
            };
            drop(block_on(world.import(&import)).unwrap_or_else(|error| panic!("{error}")));
            let standing = Standing::Owing { again_at: None };
            world.gateways.drive(Seen { standing, ..seen("estates-professional") });
            pass(&world, DAY + HOUR);
            world
        },
        run: &|_, billing| async { drop(billing.wake(renewal()).await) }.boxed(),
        again: &|world| wake(world, renewal()),
    });
}
