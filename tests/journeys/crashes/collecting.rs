//! What is owed and how it is collected; and what goes back.

use super::{Case, OURS, WITH_GATEWAY, holds, holds_cut_twice};
use crate::collecting::{set_up, setup, unresolved, with_a_second_gateway};
use crate::mails::{declined_for_good, only};
use crate::stage::{
    DAY, Is, Paid, attempt, check, command, declined_at_period_end, is, live, notice, paid, pass, recovery, refund_of,
    renewal, subscribed, subscribed_to, to_period_end, tokens, told, wake,
};
use crate::tokens::{consumed, tokens_plan};
use crate::tokens_back::{moved, whole};
use crate::transfers::after;
use billing::id::PaymentId;
use billing::outcome::{DisputeStanding, Remedy};
use billing::payment::Gateway;
use billing::ports::Wanted;
use billing::subscription::Command;
use billing::testing::{Script, World, customer, idempotency_key, method, method_at};
use billing::wallet::Method;
use futures::executor::block_on;
use futures::future::FutureExt;
use jiff::SignedDuration;

fn past_due() -> World {
    let world = subscribed();
    declined_at_period_end(&world, Remedy::RetryLater);
    pass(&world, DAY);
    world
}

#[test]
fn a_renewal_cut_anywhere_is_charged_once() {
    holds(&Case {
        ports: WITH_GATEWAY,
        begin: &|| {
            let world = subscribed();
            to_period_end(&world);
            world
        },
        run: &|_, billing| async { drop(billing.wake(renewal()).await) }.boxed(),
        again: &|world| wake(world, renewal()),
    });
}

#[test]
fn a_renewal_that_is_declined_may_be_cut_anywhere_and_is_one_attempt() {
    holds(&Case {
        ports: WITH_GATEWAY,
        begin: &|| {
            let world = subscribed();
            to_period_end(&world);
            world.gateways.next(Script::Decline(Remedy::NewMethod));
            world
        },
        run: &|_, billing| async { drop(billing.wake(renewal()).await) }.boxed(),
        again: &|world| wake(world, renewal()),
    });
}

#[test]
fn a_retry_cut_anywhere_is_charged_once() {
    holds(&Case {
        ports: WITH_GATEWAY,
        begin: &past_due,
        run: &|_, billing| async { drop(billing.wake(renewal()).await) }.boxed(),
        again: &|world| wake(world, renewal()),
    });
}

/// Grace is over, and nobody has got round to it.
fn unpaid() -> World {
    let world = subscribed();
    declined_at_period_end(&world, Remedy::NewMethod);
    pass(&world, DAY * 3);
    world
}

#[test]
fn a_suspension_cut_anywhere_is_one() {
    holds(&Case {
        ports: OURS,
        begin: &unpaid,
        run: &|_, billing| async { drop(billing.wake(renewal()).await) }.boxed(),
        again: &|world| {
            wake(world, renewal());
            assert_eq!(is(&world.subscription()), Is::Suspended);
        },
    });
}

#[test]
fn a_charge_in_suspension_cut_anywhere_restores_once() {
    holds(&Case {
        ports: WITH_GATEWAY,
        begin: &|| {
            let world = unpaid();
            wake(&world, renewal());
            let setup = set_up(&world, Gateway::Stripe, "s");
            world.gateways.visit(&setup, true);
            told(&world, &setup, "evt_setup");
            world
        },
        run: &|_, billing| async { drop(billing.wake(renewal()).await) }.boxed(),
        again: &|world| wake(world, renewal()),
    });
}

#[test]
fn a_charge_that_is_sent_again_may_be_cut_anywhere() {
    holds(&Case {
        ports: WITH_GATEWAY,
        begin: &|| {
            let world = subscribed();
            to_period_end(&world);
            world.gateways.next(Script::SilentBefore);
            wake(&world, renewal());
            pass(&world, SignedDuration::from_mins(11));
            world
        },
        run: &|world, billing| async { drop(billing.wake(check(&attempt(world, 1, 1))).await) }.boxed(),
        again: &|_| {},
    });
}

#[test]
fn a_refund_cut_anywhere_goes_back_once() {
    holds(&Case {
        ports: WITH_GATEWAY,
        begin: &|| {
            let world = subscribed();
            to_period_end(&world);
            world.gateways.next(Script::SilentAfter);
            wake(&world, renewal());
            assert_eq!(command(&world, Command::CancelNow), Is::Canceled);
            told(&world, &attempt(&world, 1, 1), "evt");
            assert_eq!(paid(&attempt(&world, 1, 1)), Paid::RefundDue);
            world
        },
        run: &|world, billing| async { drop(billing.wake(check(&attempt(world, 1, 1))).await) }.boxed(),
        again: &|_| {},
    });
}

#[test]
fn a_part_that_goes_back_is_cut_anywhere_and_goes_back_once() {
    holds(&Case {
        ports: WITH_GATEWAY,
        begin: &subscribed,
        run: &|world, billing| async { drop(billing.refund(refund_of(world, 100)).await) }.boxed(),
        again: &|world| drop(block_on(world.refund(refund_of(world, 100)))),
    });
}

#[test]
fn a_payment_that_is_given_back_and_cut_anywhere_takes_its_tokens_once() {
    let used = || {
        let world = subscribed_to(tokens_plan("k"));
        consumed(&world, 300, "use");
        world
    };
    let is_taken = |world: &World| {
        live(world, DAY);
        assert_eq!((tokens(world), moved(world)), (0, vec![-700]));
    };
    holds(&Case {
        ports: WITH_GATEWAY,
        begin: &used,
        run: &|world, billing| async { drop(billing.refund(whole(world, "refund")).await) }.boxed(),
        again: &|world| {
            drop(block_on(world.refund(whole(world, "refund"))));
            is_taken(world);
        },
    });
    for standing in [None, Some(DisputeStanding::Lost)] {
        holds(&Case {
            ports: WITH_GATEWAY,
            begin: &|| {
                let world = used();
                let payment = attempt(&world, 0, 1);
                match standing {
                    Some(standing) => world.gateways.dispute(&payment, standing),
                    None => world.gateways.refund_by_hand(&payment, payment.amount.minor),
                }
                world
            },
            run: &|world, billing| async { drop(billing.receive(notice(&attempt(world, 0, 1), "evt")).await) }.boxed(),
            again: &|world| {
                told(world, &attempt(world, 0, 1), "evt");
                is_taken(world);
            },
        });
    }
}

#[test]
fn a_method_that_is_removed_is_forgotten_wherever_that_is_cut() {
    holds(&Case {
        ports: WITH_GATEWAY,
        begin: &subscribed,
        run: &|_, billing| {
            async {
                drop(billing.remove_method(&customer(), &method("AUTH_1").id()).await);
                drop(billing.wake(Wanted::Wallet { customer: customer() }).await);
            }
            .boxed()
        },
        again: &|world| drop(block_on(world.remove_method(&customer(), &method("AUTH_1").id()))),
    });
}

#[test]
fn a_page_for_what_is_owed_may_be_cut_anywhere() {
    holds(&Case {
        ports: WITH_GATEWAY,
        begin: &|| {
            let world = subscribed();
            declined_at_period_end(&world, Remedy::NewMethod);
            world
        },
        run: &|_, billing| async { drop(billing.recover(recovery("r")).await) }.boxed(),
        again: &|world| {
            let page = block_on(world.recover(recovery("r"))).unwrap_or_else(|error| panic!("{error}"));
            world.gateways.visit(&page, true);
        },
    });
}

#[test]
fn where_one_of_two_gateways_is_down_the_other_is_charged_once() {
    holds(&Case {
        ports: WITH_GATEWAY,
        begin: &|| {
            let world = with_a_second_gateway();
            to_period_end(&world);
            world.gateways.set_up(Gateway::Paystack, false);
            world
        },
        run: &|_, billing| async { drop(billing.wake(renewal()).await) }.boxed(),
        again: &|world| {
            world.gateways.set_up(Gateway::Paystack, true);
            wake(world, renewal());
        },
    });
}

#[test]
fn what_nobody_could_tell_for_days_is_found_and_charged_anew_once() {
    holds(&Case {
        ports: WITH_GATEWAY,
        begin: &|| {
            let world = unresolved();
            let due_at = attempt(&world, 1, 1).due_at();
            world.clock.set(due_at.unwrap_or_else(|| panic!("nobody asks")));
            world
        },
        run: &|world, billing| async { drop(billing.wake(check(&attempt(world, 1, 1))).await) }.boxed(),
        again: &|_| {},
    });
}

#[test]
fn what_came_by_transfer_pays_for_the_next_period_once() {
    holds(&Case {
        ports: OURS,
        begin: &|| {
            let (world, _) = after(&[1_500_000]);
            to_period_end(&world);
            world
        },
        run: &|_, billing| async { drop(billing.wake(renewal()).await) }.boxed(),
        again: &|world| wake(world, renewal()),
    });
}

#[test]
fn a_page_for_a_method_is_one_and_the_method_is_left_once() {
    holds(&Case {
        ports: WITH_GATEWAY,
        begin: &subscribed,
        run: &|_, billing| async { drop(billing.set_up(setup(Gateway::Stripe, "s")).await) }.boxed(),
        again: &|world| {
            let page = set_up(world, Gateway::Stripe, "s");
            world.gateways.visit(&page, true);
            told(world, &page, "evt_setup");
        },
    });
}

#[test]
fn a_method_that_is_preferred_is_wherever_that_is_cut() {
    let other = method_at(Gateway::Stripe, "pm_2").id();
    holds(&Case {
        ports: OURS,
        begin: &with_a_second_gateway,
        run: &|_, billing| {
            let other = other.clone();
            async move { drop(billing.prefer_method(&customer(), &other).await) }.boxed()
        },
        again: &|world| {
            let wallet = block_on(world.prefer_method(&customer(), &other)).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(wallet.default_method().map(Method::id), Some(other.clone()));
        },
    });
}

#[test]
fn a_link_in_a_mail_leads_to_one_page_wherever_following_it_is_cut() {
    let follow = |world: &World| {
        let page = block_on(world.follow_mail(&only(world).id, idempotency_key("click")));
        page.unwrap_or_else(|error| panic!("{error}"))
    };
    holds(&Case {
        ports: WITH_GATEWAY,
        begin: &declined_for_good,
        run: &|world, billing| {
            async { drop(billing.follow_mail(&only(world).id, idempotency_key("click")).await) }.boxed()
        },
        again: &|world| world.gateways.visit(&follow(world), true),
    });
}

#[test]
fn a_renewal_cut_at_any_two_calls_is_charged_once() {
    holds_cut_twice(&Case {
        ports: WITH_GATEWAY,
        begin: &|| {
            let world = subscribed();
            to_period_end(&world);
            world
        },
        run: &|world, billing| {
            async {
                drop(billing.wake(renewal()).await);
                let sent = PaymentId { subscription: world.subscription().id, period: 1, attempt: 1 };
                drop(billing.wake(Wanted::Payment { customer: customer(), payment: sent }).await);
            }
            .boxed()
        },
        again: &|world| wake(world, renewal()),
    });
}

#[test]
fn a_refund_cut_at_any_two_calls_goes_back_once() {
    holds_cut_twice(&Case {
        ports: WITH_GATEWAY,
        begin: &subscribed,
        run: &|world, billing| {
            async {
                drop(billing.refund(refund_of(world, 100)).await);
                drop(billing.wake(check(&attempt(world, 0, 1))).await);
            }
            .boxed()
        },
        again: &|world| drop(block_on(world.refund(refund_of(world, 100)))),
    });
}

#[test]
fn a_payment_that_is_given_back_and_cut_at_any_two_calls_takes_its_tokens_once() {
    holds_cut_twice(&Case {
        ports: WITH_GATEWAY,
        begin: &|| subscribed_to(tokens_plan("k")),
        run: &|world, billing| {
            async {
                drop(billing.refund(whole(world, "refund")).await);
                drop(billing.wake(check(&attempt(world, 0, 1))).await);
            }
            .boxed()
        },
        again: &|world| {
            drop(block_on(world.refund(whole(world, "refund"))));
            live(world, DAY);
            assert_eq!((tokens(world), moved(world)), (0, vec![-1_000]));
        },
    });
}
