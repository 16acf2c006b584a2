//! Stories of who is told by mail that what they use is charged for from now on: 1,000 minutes are included.

use crate::overage::{minutes, overage_price, renewed, starter, starter_with};
use crate::stage::{Is, command, declined_at_period_end, pass, subscribed_to, to_period_end};
use crate::usage::{minutes_plan, of_minutes};
use billing::catalog::{Limit, Meter, Unit};
use billing::mail::{About, Dropped, MailStatus, OverageNotice};
use billing::outcome::Remedy;
use billing::ports::{Key, Record};
use billing::subscription::{Command, Intervention};
use billing::testing::{MemoryMailer, World, catalogue, customer, idempotency_key, meter};
use billing::usage::MeterUsage;
use billing::workflow::{NotCounted, Use};
use futures::executor::block_on;

/// That are due or were sent, in no order.
fn notices(world: &World) -> Vec<OverageNotice> {
    let notice = |about| if let About::Overage(about) = about { Some(about) } else { None };
    world.store.mails().into_iter().filter_map(|mail| notice(mail.about)).collect()
}

/// How often, by the index of the period.
fn told(world: &World) -> Vec<u32> {
    let mut periods: Vec<u32> = notices(world).into_iter().map(|it| it.period.index).collect();
    periods.sort_unstable();
    periods
}

/// The only counter, as it is stored.
fn stored(world: &World) -> MeterUsage {
    world.key(Key::Usage(customer(), meter("minutes"))).usage().unwrap_or_else(|| panic!("nothing is counted"))
}

#[test]
fn the_first_unit_that_is_charged_for_is_told_once_a_period() {
    let (world, inbox) = (starter(), MemoryMailer::default());
    assert_eq!((minutes(&world, 1_000, "a"), told(&world)), (Ok(1_000), vec![]), "what is included costs nothing");
    assert_eq!((minutes(&world, 1, "b"), told(&world)), (Ok(1_001), vec![0]));
    assert_eq!((minutes(&world, 1, "b"), minutes(&world, 700, "c"), told(&world)), (Ok(1_001), Ok(1_701), vec![0]));
    world.run_mailing(&inbox);
    let [mail] = &inbox.take()[..] else { panic!("one mail") };
    let About::Overage(about) = &mail.about else { panic!("{mail:?}") };
    let subscription = world.subscription();
    assert_eq!((mail.to.email.as_str(), about.plan.as_str()), ("billing@acme.example", "Starter"));
    assert_eq!(Some(about.period_ends_at), subscription.period().map(|period| period.end));
    let [passed] = &about.meters[..] else { panic!("{about:?}") };
    assert_eq!((passed.name.as_str(), passed.included), ("Monthly Call Minutes", 1_000));
    assert_eq!(passed.price, overage_price());
    renewed(&world);
    assert_eq!((minutes(&world, 999, "d"), told(&world)), (Ok(999), vec![0]));
    // At once from within the limit to far beyond it.
    assert_eq!((minutes(&world, 600, "e"), told(&world)), (Ok(1_599), vec![0, 1]));
    assert_eq!((minutes(&world, 1, "f"), told(&world)), (Ok(1_600), vec![0, 1]));
}

#[test]
fn of_nothing_the_first_unit_is_told() {
    let world = starter_with(0, overage_price());
    assert_eq!((minutes(&world, 1, "a"), minutes(&world, 1, "b"), told(&world)), (Ok(1), Ok(2), vec![0]));
}

#[test]
fn who_is_sold_nothing_is_told_nothing() {
    // Pro has 3,000 minutes, and no price beyond them.
    let world = subscribed_to(minutes_plan("k"));
    assert_eq!(minutes(&world, 3_000, "a"), Ok(3_000));
    assert!(matches!(minutes(&world, 1, "b"), Err(NotCounted::LimitReached(_))));
    assert_eq!(notices(&world), []);
    // And who owes has what is included; it is told when they have paid, and go on.
    let world = starter();
    declined_at_period_end(&world, Remedy::RetryLater);
    assert_eq!(minutes(&world, 1_000, "a"), Ok(1_000));
    assert!(matches!(minutes(&world, 1, "b"), Err(NotCounted::LimitReached(_))));
    assert_eq!(notices(&world), []);
    pass(&world, crate::stage::DAY);
    world.run();
    assert_eq!((minutes(&world, 1, "b"), told(&world)), (Ok(1_001), vec![1]));
}

#[test]
fn who_has_said_nowhere_how_to_be_reached_is_charged_and_not_told() {
    let world = starter();
    let mut unreachable = world.subscription();
    unreachable.contact = None;
    world.store.put(Record::Subscription(unreachable));
    assert_eq!((minutes(&world, 1_500, "a"), notices(&world)), (Ok(1_500), vec![]));
}

/// Two who report at once have read the same: whoever comes second finds that the limit was passed.
#[test]
fn of_those_who_pass_the_limit_at_once_one_tells() {
    let world = starter();
    assert_eq!(minutes(&world, 990, "a"), Ok(990));
    // By what was read, nine more are included; meanwhile there are 995.
    let held = stored(&world);
    world.store.meanwhile(Record::Usage(MeterUsage { value: 995, version: held.version + 1, ..held }));
    assert_eq!((minutes(&world, 9, "b"), told(&world)), (Ok(1_004), vec![0]), "whoever passes it tells");
    let world = starter();
    assert_eq!(minutes(&world, 990, "a"), Ok(990));
    let held = stored(&world);
    // By what was read, twenty more pass the limit; meanwhile somebody else has, and has told.
    world.store.meanwhile(Record::Usage(MeterUsage { value: 1_001, version: held.version + 1, ..held }));
    assert_eq!((minutes(&world, 20, "b"), notices(&world)), (Ok(1_021), vec![]));
}

#[test]
fn what_is_killed_before_it_is_stored_has_told_nobody_and_tells_with_the_use() {
    let world = starter();
    assert_eq!(minutes(&world, 990, "a"), Ok(990));
    world.store.fail_after(0);
    let killed = block_on(world.report(&customer(), &[of_minutes(20, "b")]));
    assert!(killed.is_err());
    world.store.recover();
    assert_eq!((notices(&world), stored(&world).value), (vec![], 990));
    assert_eq!((minutes(&world, 20, "b"), told(&world)), (Ok(1_010), vec![0]));
    assert_eq!((minutes(&world, 20, "b"), told(&world)), (Ok(1_010), vec![0]));
}

#[test]
fn of_several_meters_that_pass_their_limits_at_once_one_mail_tells() {
    let world = billing::testing::world();
    let mut plans = catalogue("minutes");
    let names: Vec<String> = (1..=20).map(|n| format!("line-{n:02}")).collect();
    let kind = plans.family.meters.iter().find(|it| it.id == meter("minutes")).map(|it| it.kind);
    for name in &names {
        let unit = Unit { one: "call".to_owned(), many: "calls".to_owned() };
        let kind = kind.unwrap_or_else(|| panic!("no minutes"));
        let reduce = "make fewer:".to_owned();
        plans.family.meters.push(Meter {
            id: meter(name),
            name: name.clone(),
            kind,
            unit,
            reduce,
            aliases: vec![],
            shards: None,
        });
        for plan in &mut plans.plans {
            plan.limits.insert(meter(name), Limit::AtMost(3));
            plan.overage.insert(meter(name), vec![overage_price()]);
        }
    }
    block_on(world.load(plans)).unwrap_or_else(|error| panic!("{error}"));
    let payment = block_on(world.checkout(minutes_plan("k"))).unwrap_or_else(|error| panic!("{error}"));
    world.gateways.visit(&payment, true);
    crate::stage::told(&world, &payment, "evt");
    // In one transaction, each of another meter and beyond its limit.
    let uses: Vec<Use> = names.iter().map(|name| Use { meter: meter(name), ..of_minutes(4, name) }).collect();
    let answers = block_on(world.report(&customer(), &uses)).unwrap_or_else(|error| panic!("{error}"));
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    let [notice] = &notices(&world)[..] else { panic!("one mail") };
    assert_eq!(notice.meters.iter().map(|it| it.name.as_str()).collect::<Vec<_>>(), names);
}

#[test]
fn what_is_not_so_any_more_when_it_is_to_be_sent_is_not() {
    let dropped = |world: &World| {
        let inbox = MemoryMailer::default();
        world.run_mailing(&inbox);
        let pointless = |status: &MailStatus| matches!(status, MailStatus::Dropped { because: Dropped::Overtaken, .. });
        (inbox.take().len(), world.store.mails().iter().filter(|mail| pointless(&mail.status)).count())
    };
    let passed = || {
        let world = starter();
        assert_eq!(minutes(&world, 1_001, "a"), Ok(1_001));
        world
    };
    let world = passed();
    assert_eq!(command(&world, Command::CancelNow), Is::Canceled);
    assert_eq!(dropped(&world), (0, 1));
    // Nobody took it until the period was over.
    let world = passed();
    to_period_end(&world);
    assert_eq!(dropped(&world), (0, 1));
    // Who has longer is told of the end that it has now.
    let world = passed();
    let extended = Intervention::Extend { days: 7 };
    let done = block_on(world.intervene(&customer(), &extended, &idempotency_key("x"), "extend"));
    assert!(done.is_ok(), "{done:?}");
    assert_eq!(dropped(&world), (1, 0));
    let ends = world.subscription().period().map(|period| period.end);
    assert_eq!(notices(&world).first().map(|it| it.period_ends_at), ends);
}
