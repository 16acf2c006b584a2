//! The crash matrix (RELIABILITY, section 3): every workflow × every call of a port that it makes × every way in which
//! such a call is cut short ([`Port::cuts`]), one at a time; for renewals, refunds and the use of tokens two, the second
//! as what was cut is done again.
//!
//! What was cut is asked for again, and what was sent to queues arrives, twice; then two days pass. What is left must be
//! what would have been left: money was taken exactly once, the subscription has the same history, and each mail was
//! taken at least once and is recorded as sent once.
//!
//! Each case says which ports it is to call: one that does not call one of them cuts nothing there, and fails. And no
//! workflow is without a case (`no_workflow_is_left_out`).

mod behind;
mod buying;
mod collecting;
mod lives;
mod ports;
mod using;

use self::ports::{Calls, Cut, Fragile, Port, Workflows};
use crate::stage::{HOUR, Is, MINUTE, Paid, credit, index, is, mails, methods, money, paid, pass, tokens};
use billing::money::Money;
use billing::ports::{Key, Record, Store, Wanted};
use billing::testing::{MemoryMailer, MemoryQueue, World, customer};
use futures::executor::block_on;
use futures::future::{BoxFuture, FutureExt};
use std::collections::BTreeSet;
use std::path::Path;

/// What only reads and writes.
const OURS: &[Port] = &[Port::Clock, Port::Read, Port::Commit];

const WITH_GATEWAY: &[Port] = &[Port::Clock, Port::Read, Port::Commit, Port::Gateway];

type Run<'c> = &'c dyn for<'a> Fn(&'a World, &'a Workflows<'a>) -> BoxFuture<'a, ()>;

/// A workflow with what leads up to it and what follows if it is cut short.
struct Case<'c> {
    /// Every one that it calls.
    ports: &'c [Port],
    begin: &'c dyn Fn() -> World,
    run: Run<'c>,
    /// What others do afterwards, whether or not it went well: the customer
    /// asks again, the gateway tells again.
    again: &'c dyn Fn(&World),
}

/// What is left when all is at rest, whatever happened on the way.
#[derive(Debug, PartialEq, Eq)]
struct Rest {
    subscription: Option<Is>,
    /// The plan and its version, how many, of which add-on how many, and whether something is taken off.
    order: Option<String>,
    scheduled: bool,
    balances: Vec<Money>,
    period: Option<u32>,
    attempts: u32,
    /// What happened to it, each as often as it did.
    history: Vec<String>,
    /// Taken, and given back.
    money: (usize, usize),
    tokens: u64,
    /// Of each meter.
    usage: Vec<(String, u64, u64)>,
    credit: Option<i64>,
    methods: usize,
    payments: Vec<Paid>,
    /// How often all coupons were redeemed of which there are so many.
    redeemed: u32,
    /// Mails that were sent, and those that became pointless.
    mails: (usize, usize),
    /// How many of them came to their readers, once or more often.
    read: usize,
    due_today: bool,
}

fn rest(world: &World, read: usize) -> Rest {
    let subscription = world.key(Key::Subscription(customer())).subscription();
    let payments = block_on(world.store.payments(&customer(), None, 100)).unwrap_or_default();
    let order = subscription.as_ref().map(|it| {
        let addons: Vec<_> = it.order.addons.iter().map(|it| (it.addon.id.as_str(), it.quantity)).collect();
        let (plan, discounted) = (&it.order.plan, it.order.discount.is_some());
        format!("{} of {} version {}, {addons:?}, {discounted}", it.order.quantity, plan.id, plan.version)
    });
    let (mut history, mut usage, mut redeemed) = (vec![], vec![], 0);
    for record in world.store.records() {
        if let Record::History { event, .. } = &record {
            let told = format!("{event:?}");
            history.push(told.split([' ', '{']).next().unwrap_or_default().to_owned());
        }
        if let Record::Usage(it) = &record {
            usage.push((it.meter.to_string(), it.value, it.reservations.open(world.clock.time()).held()));
        }
        if let Record::Coupon(it) = &record {
            redeemed += it.redeemed;
        }
    }
    history.sort();
    Rest {
        order,
        scheduled: subscription.as_ref().is_some_and(|it| it.scheduled.is_some()),
        balances: subscription.as_ref().map_or(vec![], |it| it.balances.clone()),
        period: subscription.as_ref().and_then(|_| index(world)),
        attempts: subscription.as_ref().map_or(0, |it| it.attempts),
        due_today: subscription.as_ref().and_then(|it| it.due_at()).is_some_and(|due| due <= world.clock.time()),
        subscription: subscription.as_ref().map(is),
        history,
        money: money(world),
        tokens: tokens(world),
        usage,
        credit: credit(world),
        methods: methods(world),
        payments: payments.iter().map(paid).collect(),
        redeemed,
        mails: mails(world),
        read,
    }
}

/// Where a case was begun, with what came to queues and mailboxes so far.
struct Scene {
    world: World,
    queue: MemoryQueue,
    mailer: MemoryMailer,
}

impl Scene {
    fn of(case: &Case) -> Self {
        Self { world: (case.begin)(), queue: MemoryQueue::default(), mailer: MemoryMailer::default() }
    }

    /// Runs `case` with one of its calls cut; says which ports it called.
    fn run(&self, case: &Case, at: Option<(usize, Cut)>) -> Vec<Port> {
        let calls = Calls::default();
        let (world, queue, mailer) = (&self.world, &self.queue, &self.mailer);
        let billing = Fragile { world, queue, mailer, calls: &calls, at, meanwhile: None }.workflows();
        // Nothing here waits for anything but a crash: what is not done now never will be.
        let _crashed = (case.run)(world, &billing).now_or_never().is_none();
        calls.take()
    }

    /// What is left when it was asked for again and all is at rest.
    fn rest(&self, case: &Case) -> Rest {
        for wanted in self.queue.take() {
            self.deliver(&wanted);
            self.deliver(&wanted);
        }
        pass(&self.world, MINUTE);
        (case.again)(&self.world);
        for _ in 0..48 {
            pass(&self.world, HOUR);
            self.world.run_mailing(&self.mailer);
        }
        // Under two names it would be two mails.
        let mails = self.mailer.take_branded().into_iter();
        let read: BTreeSet<_> = mails.map(|(mail, brand)| (mail.id, brand.map(|it| it.id))).collect();
        rest(&self.world, read.len())
    }

    /// A worker gets the message. If it fails, the record is still due.
    fn deliver(&self, wanted: &Wanted) {
        if let Wanted::Mail { mail } = wanted {
            drop(block_on(self.world.send_mail(mail, &self.mailer)));
        } else {
            drop(block_on(self.world.wake(wanted.clone())));
        }
    }
}

/// Every call with every way in which it can be cut.
fn cuts(calls: &[Port]) -> impl Iterator<Item = (usize, Cut)> {
    calls.iter().enumerate().flat_map(|(call, port)| port.cuts().iter().map(move |cut| (call, *cut)))
}

fn holds(case: &Case) {
    let undisturbed = Scene::of(case);
    let calls = undisturbed.run(case, None);
    let left = undisturbed.rest(case);
    counted(case, &calls);
    for (call, cut) in cuts(&calls) {
        let scene = Scene::of(case);
        scene.run(case, Some((call, cut)));
        assert_eq!(scene.rest(case), left, "{cut:?} at call {call} of {calls:?}");
    }
}

/// Every port that the case is to call it calls, and no other; `--nocapture` shows how often.
fn counted(case: &Case, calls: &[Port]) {
    let called: BTreeSet<Port> = calls.iter().copied().collect();
    assert_eq!(called, case.ports.iter().copied().collect(), "every port is cut that is to be, and no other is there");
    let each: Vec<String> = called.iter().map(|it| told(*it, calls)).collect();
    let name = std::thread::current().name().unwrap_or_default().to_owned();
    println!("{name}: {}, {} cuts", each.join(", "), cuts(calls).count());
}

fn told(port: Port, calls: &[Port]) -> String {
    format!("{port:?} {}", calls.iter().filter(|it| **it == port).count())
}

/// The same, and what is done again is cut as well.
fn holds_cut_twice(case: &Case) {
    let undisturbed = Scene::of(case);
    let calls = undisturbed.run(case, None);
    let left = undisturbed.rest(case);
    let mut pairs = 0;
    for first in cuts(&calls) {
        let scene_after = || {
            let scene = Scene::of(case);
            scene.run(case, Some(first));
            // By then what was sent and not answered is asked about.
            pass(&scene.world, MINUTE * 6);
            scene
        };
        let again = scene_after().run(case, None);
        for second in cuts(&again) {
            let scene = scene_after();
            scene.run(case, Some(second));
            assert_eq!(scene.rest(case), left, "{first:?} of {calls:?}, then {second:?} of {again:?}");
            pairs += 1;
        }
    }
    println!("{}: {pairs} pairs", std::thread::current().name().unwrap_or_default());
}

/// What the workflows are is read where they are written: whoever adds one adds a case.
#[test]
fn no_workflow_is_left_out() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let workflows = read_all(&here.join("../../shared/billing/src/workflow"));
    let (workflows, cases) = (workflows.join("\n"), read_all(&here.join("crashes")).concat());
    let cases: String = cases.split_whitespace().collect();
    let names = workflows.split("pub async fn ").skip(1).filter_map(|it| it.split(['(', '<']).next());
    let names: BTreeSet<&str> = names.collect();
    assert!(names.contains("checkout") && names.len() > 40, "{names:?}");
    let left_out = names.into_iter().filter(|name| !cases.contains(&format!("billing.{name}(")));
    assert_eq!(left_out.collect::<Vec<_>>(), Vec::<&str>::new());
}

fn read_all(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let read =
        |path: &Path| std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    entries.map(|entry| read(&entry.unwrap_or_else(|error| panic!("{error}")).path())).collect()
}
