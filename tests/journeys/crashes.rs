//! The crash matrix: every workflow, cut short at every commit and every call
//! of a gateway, in each of five ways; then repeated until all is at rest.
//! Money is taken exactly once, and the subscription is what it would have been.

use crate::changes::{downgrade, half_way, upgrade};
use crate::collecting::set_up;
use crate::reserving::{of_held_minutes, release};
use crate::stage::{
    DAY, Is, MINUTE, PLAN, Paid, attempt, by_transfer, check, command, credit, declined_at_period_end, index, is, live,
    mails, methods, money, naira, notice, opened, opened_as, paid, pass, recovery, refund_of, renewal, subscribed,
    subscribed_to, to_period_end, tokens, told, wake,
};
use crate::tokens::{consumed, of_tokens, tokens_plan};
use crate::usage::{minutes_plan, of_minutes};
use billing::account::{Incoming, VirtualAccount};
use billing::delivery::{DeliveryId, Notice};
use billing::driven::{Seen, Standing};
use billing::id::{ConsumptionId, CustomerId, PaymentId, Reference, UsageId};
use billing::money::{Currency, Money};
use billing::outcome::{Outcome, RefundOutcome, Remedy, Sighting};
use billing::payment::{Gateway, Opened, Payment, Refund};
use billing::ports::{Clock, Found, GatewayError, Gateways, Key, Lane, Store, StoreError, Wanted, Write};
use billing::statistics::DayUsage;
use billing::subscription::{Command, Effective};
use billing::testing::{Script, World, customer, idempotency_key, method, request, seen, world};
use billing::token::Consumption;
use billing::usage::UsageRecord;
use billing::wallet::Method;
use billing::workflow::{Billing, Import, Use};
use futures::executor::block_on;
use futures::future::{BoxFuture, FutureExt, pending};
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use std::future::Future;
use std::sync::atomic::{AtomicU32, Ordering};

/// How a step goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cut {
    /// The process ends before the step has any effect.
    CrashBefore,
    /// The process ends when the step has had its effect.
    CrashAfter,
    /// The step fails, and the process is told.
    Refused,
    /// The step has its effect, and the process is told that it failed.
    AnswerLost,
    /// The store calls it a conflict, and nobody else wrote anything: its
    /// transactions get in each other's way. A gateway is silent instead.
    Contended,
}

const CUTS: [Cut; 5] = [Cut::CrashBefore, Cut::CrashAfter, Cut::Refused, Cut::AnswerLost, Cut::Contended];

/// The ports of a world, one of whose steps goes wrong.
#[derive(Clone, Copy, Debug)]
struct Fragile<'a> {
    world: &'a World,
    steps: &'a AtomicU32,
    at: Option<(u32, Cut)>,
    /// What others do while the answer to the closing of a page is on its way.
    meanwhile: Option<fn(&World)>,
}

impl Fragile<'_> {
    async fn step<T, E>(
        &self,
        step: impl Future<Output = Result<T, E>>,
        failed: fn() -> E,
        contended: fn() -> E,
    ) -> Result<T, E> {
        let number = self.steps.fetch_add(1, Ordering::Relaxed);
        match self.at.filter(|(at, _)| *at == number).map(|(_, cut)| cut) {
            None => step.await,
            Some(Cut::CrashBefore) => pending().await,
            Some(Cut::Refused) => Err(failed()),
            Some(Cut::Contended) => Err(contended()),
            Some(Cut::AnswerLost) => step.await.and_then(|_| Err(failed())),
            Some(Cut::CrashAfter) => {
                drop(step.await);
                pending().await
            }
        }
    }
}

fn silent() -> GatewayError {
    GatewayError::NoAnswer("cut short".into())
}

fn down() -> StoreError {
    StoreError::Unavailable("cut short".into())
}

impl Gateways for Fragile<'_> {
    fn accepts(&self, payment: &Payment) -> Result<(), GatewayError> {
        self.world.gateways.accepts(payment)
    }

    async fn driven(&self, gateway: Gateway, id: &str) -> Result<Option<Seen>, GatewayError> {
        self.step(self.world.gateways.driven(gateway, id), silent, silent).await
    }

    async fn open(&self, payment: &Payment) -> Result<Opened, GatewayError> {
        self.step(self.world.gateways.open(payment), silent, silent).await
    }

    async fn charge(&self, payment: &Payment) -> Result<Outcome, GatewayError> {
        self.step(self.world.gateways.charge(payment), silent, silent).await
    }

    async fn find(&self, payment: &Payment, object: Option<&str>) -> Result<Sighting, GatewayError> {
        self.step(self.world.gateways.find(payment, object), silent, silent).await
    }

    async fn close(&self, payment: &Payment) -> Result<Sighting, GatewayError> {
        let answer = self.step(self.world.gateways.close(payment), silent, silent).await;
        if let Some(meanwhile) = self.meanwhile {
            meanwhile(self.world);
        }
        answer
    }

    async fn refund(&self, payment: &Payment, refund: &Refund) -> Result<RefundOutcome, GatewayError> {
        self.step(self.world.gateways.refund(payment, refund), silent, silent).await
    }

    fn setup_amount(&self, gateway: Gateway, currency: Currency) -> Result<Money, GatewayError> {
        self.world.gateways.setup_amount(gateway, currency)
    }

    async fn answers(&self, gateway: Gateway) -> bool {
        let answers = async { Ok(self.world.gateways.answers(gateway).await) };
        self.step(answers, silent, silent).await.unwrap_or(false)
    }

    async fn transfers(&self, account: &VirtualAccount) -> Result<Vec<Incoming>, GatewayError> {
        self.step(self.world.gateways.transfers(account), silent, silent).await
    }

    async fn forget(&self, method: &Method) -> Result<(), GatewayError> {
        self.step(self.world.gateways.forget(method), silent, silent).await
    }
}

impl Store for Fragile<'_> {
    async fn get(&self, keys: Vec<Key>) -> Result<Found, StoreError> {
        self.world.store.get(keys).await
    }

    async fn live(&self, customer: &CustomerId) -> Result<Found, StoreError> {
        self.world.store.live(customer).await
    }

    async fn payments(
        &self,
        customer: &CustomerId,
        before: Option<&PaymentId>,
        limit: u32,
    ) -> Result<Vec<Payment>, StoreError> {
        self.world.store.payments(customer, before, limit).await
    }

    async fn consumptions(
        &self,
        customer: &CustomerId,
        before: Option<&ConsumptionId>,
        limit: u32,
    ) -> Result<Vec<Consumption>, StoreError> {
        self.world.store.consumptions(customer, before, limit).await
    }

    async fn uses(
        &self,
        customer: &CustomerId,
        after: Option<&UsageId>,
        limit: u32,
    ) -> Result<Vec<UsageRecord>, StoreError> {
        self.world.store.uses(customer, after, limit).await
    }

    async fn days(&self, customer: &CustomerId, from: Date, to: Date) -> Result<Vec<DayUsage>, StoreError> {
        self.world.store.days(customer, from, to).await
    }

    async fn catalogue(&self) -> Result<Found, StoreError> {
        self.world.store.catalogue().await
    }

    async fn due(&self, lane: Lane, now: Timestamp, limit: u32) -> Result<Vec<(Timestamp, Wanted)>, StoreError> {
        self.world.store.due(lane, now, limit).await
    }

    async fn commit(&self, writes: Vec<Write>) -> Result<(), StoreError> {
        self.step(self.world.store.commit(writes), down, || StoreError::Conflict).await
    }
}

impl Clock for Fragile<'_> {
    async fn now(&self, _: Option<&CustomerId>) -> Result<Timestamp, StoreError> {
        Ok(self.world.clock.time())
    }
}

type Workflows<'a> = Billing<Fragile<'a>, Fragile<'a>, Fragile<'a>>;

/// A workflow with what leads up to it and what follows if it is cut short.
struct Case {
    begin: fn() -> World,
    run: for<'a> fn(&'a World, &'a Workflows<'a>) -> BoxFuture<'a, ()>,
    /// What others do afterwards, whether or not it went well: the customer
    /// asks again, the gateway tells again.
    again: fn(&World),
}

/// What is left when all is at rest, whatever happened on the way.
#[derive(Debug, PartialEq, Eq)]
struct Rest {
    subscription: Is,
    plan: String,
    scheduled: bool,
    balances: Vec<Money>,
    period: Option<u32>,
    attempts: u32,
    /// Taken, and given back.
    money: (usize, usize),
    tokens: u64,
    credit: Option<i64>,
    methods: usize,
    payments: Vec<Paid>,
    /// Mails that were sent, and those that became pointless.
    mails: (usize, usize),
    due_today: bool,
}

fn rest(world: &World) -> Rest {
    let subscription = world.subscription();
    let payments = block_on(world.store.payments(&customer(), None, 100)).unwrap_or_default();
    Rest {
        subscription: is(&subscription),
        plan: subscription.order.plan.id.to_string(),
        scheduled: subscription.scheduled.is_some(),
        balances: subscription.balances.clone(),
        period: index(world),
        attempts: subscription.attempts,
        money: money(world),
        tokens: tokens(world),
        credit: credit(world),
        methods: methods(world),
        payments: payments.iter().map(paid).collect(),
        mails: mails(world),
        due_today: subscription.due_at().is_some_and(|due| due <= world.clock.time()),
    }
}

/// Runs `case` with one step cut; says how many steps it took, and what is left.
fn run(case: &Case, at: Option<(u32, Cut)>) -> (u32, Rest) {
    let world = (case.begin)();
    let steps = AtomicU32::new(0);
    let fragile = Fragile { world: &world, steps: &steps, at, meanwhile: None };
    let billing = Billing::new(fragile, fragile, fragile);
    // Nothing here waits for anything but a crash: what is not done now never will be.
    let _crashed = (case.run)(&world, &billing).now_or_never().is_none();
    pass(&world, MINUTE);
    (case.again)(&world);
    live(&world, DAY + DAY);
    (steps.load(Ordering::Relaxed), rest(&world))
}

fn holds(case: &Case) {
    let (steps, undisturbed) = run(case, None);
    assert!(steps > 0, "it has steps to be cut at");
    for step in 0..steps {
        for cut in CUTS {
            let (_, left) = run(case, Some((step, cut)));
            assert_eq!(left, undisturbed, "cut at step {step} of {steps}: {cut:?}");
        }
    }
}

fn ordered(world: &World) -> Payment {
    block_on(world.checkout(tokens_plan("k"))).unwrap_or_else(|error| panic!("{error}"))
}

/// The customer is at the page and has paid; nobody has told us.
fn paid_on_the_page() -> World {
    let world = world();
    let payment = ordered(&world);
    world.gateways.visit(&payment, true);
    world
}

fn past_due() -> World {
    let world = subscribed();
    crate::stage::declined_at_period_end(&world, Remedy::RetryLater);
    pass(&world, DAY);
    world
}

#[test]
fn a_checkout_cut_anywhere_is_paid_once() {
    let again = |world: &World| {
        let payment = ordered(world);
        world.gateways.visit(&payment, true);
        told(world, &payment, "evt");
    };
    holds(&Case {
        begin: world,
        run: |_, billing| async { drop(billing.checkout(tokens_plan("k")).await) }.boxed(),
        again,
    });
}

#[test]
fn a_webhook_cut_anywhere_grants_once() {
    holds(&Case {
        begin: paid_on_the_page,
        run: |world, billing| async { drop(billing.receive(notice(&attempt(world, 0, 1), "evt")).await) }.boxed(),
        again: |world| told(world, &attempt(world, 0, 1), "evt"),
    });
}

#[test]
fn a_webhook_whose_gateway_is_silent_may_be_cut_when_it_is_finished() {
    holds(&Case {
        begin: || {
            let world = paid_on_the_page();
            world.gateways.fail_from(Some(0));
            told(&world, &attempt(&world, 0, 1), "evt");
            world.gateways.fail_from(None);
            pass(&world, SignedDuration::from_mins(6));
            world
        },
        run: |world, billing| {
            let delivery = notice(&attempt(world, 0, 1), "evt").id;
            async { drop(billing.wake(Wanted::Delivery { delivery }).await) }.boxed()
        },
        again: |_| {},
    });
}

/// One that Stripe drives, as it is to be followed from now on.
fn import() -> Import {
    Import { customer: customer(), gateway: Gateway::Stripe, subscription: "sub_1".to_owned(), dry_run: false }
}

#[test]
fn an_import_cut_anywhere_is_made_once() {
    holds(&Case {
        begin: || {
            let world = world();
            world.gateways.drive(seen("estates-professional"));
            world
        },
        run: |_, billing| async { drop(billing.import(&import()).await) }.boxed(),
        again: |world| drop(block_on(world.import(&import())).unwrap_or_else(|error| panic!("{error}"))),
    });
}

#[test]
fn a_webhook_about_a_driven_subscription_may_be_cut_anywhere_and_it_is_followed() {
    fn told() -> Notice {
        let reference = Some(Reference::of_driven("stripe", "sub_1"));
        let id = DeliveryId { gateway: Gateway::Stripe, event: "evt".to_owned() };
        Notice { id, kind: "customer.subscription.updated".to_owned(), reference, object: None, body: "{}".to_owned() }
    }
    holds(&Case {
        begin: || {
            let world = world();
            world.gateways.drive(seen("estates-professional"));
            drop(block_on(world.import(&import())).unwrap_or_else(|error| panic!("{error}")));
            let standing = Standing::Owing { again_at: None };
            world.gateways.drive(Seen { standing, ..seen("estates-professional") });
            world
        },
        run: |_, billing| async { drop(billing.receive(told()).await) }.boxed(),
        again: |world| block_on(world.receive(told())).unwrap_or_else(|error| panic!("{error}")),
    });
}

#[test]
fn asking_cut_anywhere_grants_once() {
    holds(&Case {
        begin: paid_on_the_page,
        run: |world, billing| async { drop(billing.verify(&customer(), &attempt(world, 0, 1).id).await) }.boxed(),
        again: |_| {},
    });
}

#[test]
fn a_renewal_cut_anywhere_is_charged_once() {
    holds(&Case {
        begin: || {
            let world = subscribed();
            to_period_end(&world);
            world
        },
        run: |_, billing| async { drop(billing.wake(renewal()).await) }.boxed(),
        again: |world| wake(world, renewal()),
    });
}

#[test]
fn a_renewal_that_is_declined_may_be_cut_anywhere_and_is_one_attempt() {
    holds(&Case {
        begin: || {
            let world = subscribed();
            to_period_end(&world);
            world.gateways.next(Script::Decline(Remedy::NewMethod));
            world
        },
        run: |_, billing| async { drop(billing.wake(renewal()).await) }.boxed(),
        again: |world| wake(world, renewal()),
    });
}

#[test]
fn a_retry_cut_anywhere_is_charged_once() {
    holds(&Case {
        begin: past_due,
        run: |_, billing| async { drop(billing.wake(renewal()).await) }.boxed(),
        again: |world| wake(world, renewal()),
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
        begin: unpaid,
        run: |_, billing| async { drop(billing.wake(renewal()).await) }.boxed(),
        again: |world| {
            wake(world, renewal());
            assert_eq!(is(&world.subscription()), Is::Suspended);
        },
    });
}

#[test]
fn a_charge_in_suspension_cut_anywhere_restores_once() {
    holds(&Case {
        begin: || {
            let world = unpaid();
            wake(&world, renewal());
            let setup = set_up(&world, Gateway::Stripe, "s");
            world.gateways.visit(&setup, true);
            told(&world, &setup, "evt_setup");
            world
        },
        run: |_, billing| async { drop(billing.wake(renewal()).await) }.boxed(),
        again: |world| wake(world, renewal()),
    });
}

#[test]
fn a_charge_that_is_sent_again_may_be_cut_anywhere() {
    holds(&Case {
        begin: || {
            let world = subscribed();
            to_period_end(&world);
            world.gateways.next(Script::SilentBefore);
            wake(&world, renewal());
            pass(&world, SignedDuration::from_mins(11));
            world
        },
        run: |world, billing| async { drop(billing.wake(check(&attempt(world, 1, 1))).await) }.boxed(),
        again: |_| {},
    });
}

#[test]
fn tokens_whose_consumption_is_cut_anywhere_are_taken_once() {
    holds(&Case {
        begin: || subscribed_to(tokens_plan("k")),
        run: |_, billing| async { drop(billing.consume(&of_tokens(7, "use")).await) }.boxed(),
        again: |world| assert_eq!(consumed(world, 7, "use").balance, 993),
    });
}

#[test]
fn uses_whose_report_is_cut_anywhere_are_counted_once() {
    fn batch() -> Vec<Use> {
        (0..100).map(|n| of_minutes(1, &format!("call-{n}"))).collect()
    }
    holds(&Case {
        begin: || subscribed_to(minutes_plan("k")),
        run: |_, billing| async { drop(billing.report(&customer(), &batch()).await) }.boxed(),
        again: |world| {
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
        (minutes(live.usage.clone()), minutes(live.reserved(world.clock.time())))
    }
    holds(&Case {
        begin: || subscribed_to(minutes_plan("k")),
        run: |_, billing| {
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
        again: |world| {
            // Held, or used already.
            drop(block_on(world.reserve(&of_held_minutes(7, "call"))));
            assert!(block_on(world.report(&customer(), &[of_minutes(5, "call")])).is_ok_and(|it| it[0].is_ok()));
            release(world, "minutes", "other");
            assert_eq!(left(world), (Some(5), Some(0)));
        },
    });
}

#[test]
fn a_refund_cut_anywhere_goes_back_once() {
    holds(&Case {
        begin: || {
            let world = subscribed();
            to_period_end(&world);
            world.gateways.next(Script::SilentAfter);
            wake(&world, renewal());
            assert_eq!(command(&world, Command::CancelNow), Is::Canceled);
            told(&world, &attempt(&world, 1, 1), "evt");
            assert_eq!(paid(&attempt(&world, 1, 1)), Paid::RefundDue);
            world
        },
        run: |world, billing| async { drop(billing.wake(check(&attempt(world, 1, 1))).await) }.boxed(),
        again: |_| {},
    });
}

#[test]
fn a_part_that_goes_back_is_cut_anywhere_and_goes_back_once() {
    holds(&Case {
        begin: subscribed,
        run: |world, billing| async { drop(billing.refund(refund_of(world, 100)).await) }.boxed(),
        again: |world| drop(block_on(world.refund(refund_of(world, 100)))),
    });
}

#[test]
fn a_method_that_is_removed_is_forgotten_wherever_that_is_cut() {
    holds(&Case {
        begin: subscribed,
        run: |_, billing| {
            async {
                drop(billing.remove_method(&customer(), &method("AUTH_1").id()).await);
                drop(billing.wake(Wanted::Wallet { customer: customer() }).await);
            }
            .boxed()
        },
        again: |world| drop(block_on(world.remove_method(&customer(), &method("AUTH_1").id()))),
    });
}

#[test]
fn a_page_for_what_is_owed_may_be_cut_anywhere() {
    holds(&Case {
        begin: || {
            let world = subscribed();
            declined_at_period_end(&world, Remedy::NewMethod);
            world
        },
        run: |_, billing| async { drop(billing.recover(recovery("r")).await) }.boxed(),
        again: |world| {
            let page = block_on(world.recover(recovery("r"))).unwrap_or_else(|error| panic!("{error}"));
            world.gateways.visit(&page, true);
        },
    });
}

#[test]
fn a_transfer_that_comes_in_is_cut_anywhere_and_counted_once() {
    holds(&Case {
        begin: || {
            let world = world();
            opened_as(&world, by_transfer("k"));
            world.gateways.transfer("T1", Money { minor: 900_000, ..naira() });
            world
        },
        run: |_, billing| async { drop(billing.wake(Wanted::Account { customer: customer() }).await) }.boxed(),
        again: |_| {},
    });
}

#[test]
fn a_change_that_costs_something_is_cut_anywhere_and_paid_and_made_once() {
    holds(&Case {
        begin: half_way,
        run: |_, billing| {
            let key = request(PLAN, "change").key;
            async move { drop(billing.change(&upgrade(), &key, "up").await) }.boxed()
        },
        again: |world| drop(block_on(world.change(&upgrade(), &request(PLAN, "change").key, "up"))),
    });
}

#[test]
fn a_change_that_costs_nothing_is_cut_anywhere_and_made_once() {
    holds(&Case {
        begin: half_way,
        run: |_, billing| {
            let key = request(PLAN, "change").key;
            async move { drop(billing.change(&downgrade(Effective::PeriodEnd), &key, "down").await) }.boxed()
        },
        again: |world| {
            drop(block_on(world.change(&downgrade(Effective::PeriodEnd), &request(PLAN, "change").key, "down")))
        },
    });
}

#[test]
fn a_page_that_is_closed_may_be_cut_anywhere() {
    holds(&Case {
        begin: || {
            let world = world();
            opened(&world, PLAN, "k");
            pass(&world, DAY);
            world
        },
        run: |world, billing| async { drop(billing.wake(check(&attempt(world, 0, 1))).await) }.boxed(),
        again: |_| {},
    });
}

#[test]
fn a_cancellation_cut_anywhere_is_granted_when_it_is_asked_for_again() {
    holds(&Case {
        begin: subscribed,
        run: |_, billing| {
            async {
                drop(billing.request(&customer(), Command::CancelNow, None, &idempotency_key("cancel"), "cancel").await)
            }
            .boxed()
        },
        again: |world| assert_eq!(command(world, Command::CancelNow), Is::Canceled),
    });
}

#[test]
fn a_webhook_that_is_acknowledged_is_stored_whatever_went_wrong() {
    for begin in [paid_on_the_page, subscribed] {
        for at in (0..4).flat_map(|step| CUTS.map(|cut| (step, cut))) {
            let (world, steps) = (begin(), AtomicU32::new(0));
            let fragile = Fragile { world: &world, steps: &steps, at: Some(at), meanwhile: None };
            let notice = notice(&attempt(&world, 0, 1), "evt");
            let answer = Billing::new(fragile, fragile, fragile).receive(notice.clone()).now_or_never();
            let stored = world.key(Key::Delivery(notice.id)).delivery().is_some();
            assert!(stored || !matches!(answer, Some(Ok(()))), "{at:?}: {answer:?}");
        }
    }
}

#[test]
fn a_page_whose_address_is_just_being_told_is_not_given_up() {
    let (world, steps) = (world(), AtomicU32::new(0));
    world.gateways.fail_from(Some(0));
    assert!(block_on(world.checkout(request(PLAN, "k"))).is_err());
    world.gateways.fail_from(None);
    pass(&world, DAY);
    let payment = attempt(&world, 0, 1);
    let meanwhile: fn(&World) = |world| drop(world.checkout(request(PLAN, "k")).now_or_never());
    let fragile = Fragile { world: &world, steps: &steps, at: None, meanwhile: Some(meanwhile) };
    assert!(block_on(Billing::new(fragile, fragile, fragile).wake(check(&payment))).is_ok());
    let told = world.payment_of(&payment);
    assert_eq!((told.opened().is_some(), paid(&told)), (true, Paid::Pending));
}
