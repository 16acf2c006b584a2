//! Years that pass on a test clock. What a walk writes is the same whoever walks, and in however many steps.

use crate::stage::{PLAN, notice};
use billing::calendar::Interval;
use billing::id::CustomerId;
use billing::outcome::Remedy;
use billing::payment::{Payment, PaymentStatus};
use billing::ports::{Key, Record, Store, Wanted};
use billing::testing::{
    Charge, FakeGateways, MemoryMailer, MemoryQueue, MemoryStore, RecordedClock, Script, customer, instant, request,
    world,
};
use billing::workflow::{AdvanceClockError, Billing, Checkout, Goal, Step};
use futures::executor::block_on;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};
use std::cell::RefCell;
use std::collections::BTreeSet;

/// Who they are, and how often they pay.
type Customers = &'static [(&'static str, Interval)];

type Shop = Billing<MemoryStore, FakeGateways, RecordedClock>;

const OPENED: &str = "2025-01-31T10:00:00Z";

/// A shop on a test clock that stands at its opening.
fn shop() -> Shop {
    let world = world();
    let clock = RecordedClock { store: world.store.clone(), world: instant(OPENED) };
    let shop = Billing::new(world.store, world.gateways, clock);
    assert!(step(&shop, None, Goal::To(instant(OPENED))).is_last());
    shop
}

fn named(name: &str) -> CustomerId {
    CustomerId::try_from(name.to_owned()).unwrap_or_else(|error| panic!("{error}"))
}

/// Someone buys, pays, and has a card on file.
fn buys(shop: &Shop, name: &str, interval: Interval) {
    let wanted = Checkout { customer: named(name), interval, ..request(PLAN, "first") };
    let payment = block_on(shop.checkout(wanted)).unwrap_or_else(|error| panic!("{error}"));
    shop.gateways.visit(&payment, true);
    block_on(shop.receive(notice(&payment, &format!("evt_{name}")))).unwrap_or_else(|error| panic!("{error}"));
}

fn step(shop: &Shop, whose: Option<&CustomerId>, goal: Goal) -> Step {
    let (step, _) = step_waking(shop, whose, goal);
    step
}

fn step_waking(shop: &Shop, whose: Option<&CustomerId>, goal: Goal) -> (Step, Vec<Wanted>) {
    let queue = MemoryQueue::default();
    let step = block_on(shop.walk_clock(whose, goal, shop.clock.world, &queue));
    (step.unwrap_or_else(|error| panic!("{error}")), queue.take())
}

fn work(shop: &Shop, wanted: Vec<Wanted>) {
    for wanted in wanted {
        if let Wanted::Mail { mail } = &wanted {
            block_on(shop.send_mail(mail, &MemoryMailer::default())).unwrap_or_else(|error| panic!("{error}"));
        } else {
            block_on(shop.wake(wanted)).unwrap_or_else(|error| panic!("{error}"));
        }
    }
}

/// Walks there. Gives the instants at which it stood, and was about to do something.
fn walk(
    shop: &Shop,
    whose: Option<&CustomerId>,
    goal: Goal,
    meets: impl Fn(Timestamp, &[Wanted]),
) -> BTreeSet<Timestamp> {
    let mut stood = BTreeSet::new();
    let mut goal = goal;
    for _ in 0..10_000 {
        let (step, wanted) = step_waking(shop, whose, goal);
        assert_eq!(step.woken, wanted.len());
        if step.is_last() {
            return stood;
        }
        if step.woken > 0 && stood.insert(step.now) {
            meets(step.now, &wanted);
        }
        work(shop, wanted);
        goal = Goal::AsBefore;
    }
    panic!("something stays due for ever");
}

/// A month at a time, each counted from the opening.
fn in_months(months: i64) -> Vec<Timestamp> {
    let opened = instant(OPENED).to_zoned(TimeZone::UTC);
    let after = |n| opened.checked_add(Span::new().months(n)).unwrap_or_else(|error| panic!("{error}"));
    (1..=months).map(|n| after(n).timestamp()).collect()
}

/// All that is stored but the clock, and the gateways' books.
fn books(shop: &Shop) -> (Vec<Record>, Vec<Charge>) {
    let mut records = shop.store.records();
    records.retain(|record| !matches!(record, Record::TestClock(_)));
    (records, shop.gateways.charges().into_values().collect())
}

/// Some of the renewals' charges are declined: once, twice, and until the customer is lost.
fn declining(shop: &Shop) -> impl Fn(Timestamp, &[Wanted]) + '_ {
    |now, wanted| {
        if !wanted.iter().any(|it| matches!(it, Wanted::Subscription { .. })) {
            return;
        }
        let day = now.to_zoned(TimeZone::UTC).date().to_string();
        let declines = match day.as_str() {
            "2025-05-31" | "2026-02-28" | "2027-01-31" => 1,
            "2026-08-31" => 2,
            "2029-07-31" => 4,
            _ => 0,
        };
        for _ in 0..declines {
            shop.gateways.next(Script::Decline(Remedy::RetryLater));
        }
    }
}

fn payments_of(shop: &Shop, name: &str) -> Vec<Payment> {
    block_on(shop.store.payments(&named(name), None, 1_000)).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn five_years_in_one_go_are_sixty_months() {
    // By the month: the first, and 53 renewals until June 2029, when the last retry is declined.
    let worlds: [(&str, Customers, (usize, usize)); 3] = [
        ("by the month", &[("acme", Interval::Month)], (54, 9)),
        ("by the year", &[("acme", Interval::Year)], (6, 1)),
        ("two customers", &[("acme", Interval::Month), ("globex", Interval::Year)], (60, 9)),
    ];
    for (name, customers, expected) in worlds {
        let (at_once, in_steps) = (shop(), shop());
        for shop in [&at_once, &in_steps] {
            for (customer, interval) in customers {
                buys(shop, customer, *interval);
            }
        }
        let months = in_months(60);
        let stood = walk(&at_once, None, Goal::To(months[59]), declining(&at_once));
        let mut stood_in_steps = BTreeSet::new();
        for month in months {
            stood_in_steps.extend(walk(&in_steps, None, Goal::To(month), declining(&in_steps)));
        }
        assert_eq!(stood, stood_in_steps, "{name}");
        assert_eq!(books(&at_once), books(&in_steps), "{name}");

        let failed = |it: &&Payment| matches!(it.status, PaymentStatus::Failed { .. });
        let failed = |(name, _): &(&str, Interval)| payments_of(&at_once, name).iter().filter(failed).count();
        let told = (at_once.gateways.taken(), customers.iter().map(failed).sum::<usize>());
        assert_eq!(told, expected, "{name}");
    }
}

#[test]
fn whatever_is_due_on_the_way_is_done_at_its_very_instant() {
    let shop = shop();
    buys(&shop, "acme", Interval::Month);
    let stood = walk(&shop, None, Goal::By(Span::new().years(1)), |_, _| {});
    let months = in_months(12);
    assert!(months.iter().all(|month| stood.contains(month)), "{stood:?}");
    let mut renewed: Vec<Timestamp> = payments_of(&shop, "acme").iter().map(|it| it.created_at).collect();
    renewed.reverse();
    assert_eq!(renewed[1..], months);

    // All at once, they are late, and of one instant.
    let late = self::shop();
    buys(&late, "acme", Interval::Month);
    let now = block_on(late.advance_clock(Span::new().years(1), late.clock.world));
    let now = now.unwrap_or_else(|error| panic!("{error}"));
    for _ in 0..20 {
        work(&late, vec![Wanted::Subscription { customer: customer() }]);
    }
    let renewed = payments_of(&late, "acme");
    assert_eq!(renewed.len(), 13);
    assert!(renewed[..12].iter().all(|it| it.created_at == now));
}

#[test]
fn who_walks_alone_lives_through_what_they_would_with_the_others() {
    let (alone, together) = (shop(), shop());
    for shop in [&alone, &together] {
        buys(shop, "acme", Interval::Month);
        buys(shop, "globex", Interval::Year);
    }
    // In the end acme cannot pay, and gets two mails: when grace begins, and when it is over.
    let broke = |shop: &Shop, now: Timestamp| {
        let declines = if now == instant("2029-07-31T10:00:00Z") { 4 } else { 0 };
        (0..declines).for_each(|_| shop.gateways.next(Script::Decline(Remedy::RetryLater)));
    };
    let years = in_months(60)[59];
    walk(&together, None, Goal::To(years), |now, _| broke(&together, now));
    walk(&alone, Some(&named("globex")), Goal::To(years), |now, _| broke(&alone, now));
    walk(&alone, Some(&named("acme")), Goal::To(years), |now, _| broke(&alone, now));
    assert_eq!(alone.store.mails().len(), 2);
    assert_eq!(books(&alone), books(&together));

    // Where the stack comes after them there is nothing left to do.
    assert!(walk(&alone, None, Goal::To(years), |_, _| {}).is_empty());
    assert_eq!(books(&alone), books(&together));
}

#[test]
fn one_customer_is_in_the_future_and_the_rest_now() {
    let shop = shop();
    buys(&shop, "acme", Interval::Month);
    buys(&shop, "globex", Interval::Month);
    let of_globex = |shop: &Shop| {
        let key = vec![Key::Subscription(named("globex"))];
        (block_on(shop.store.get(key)).unwrap_or_default().subscription(), payments_of(shop, "globex"))
    };
    let before = of_globex(&shop);
    walk(&shop, Some(&customer()), Goal::By(Span::new().months(6)), |_, _| {});
    assert_eq!(of_globex(&shop), before);
    assert_eq!(payments_of(&shop, "acme").len(), 7);
    assert_eq!(block_on(shop.now(None)).unwrap_or_default(), instant(OPENED));

    // Theirs is what time it is for whatever they do.
    let found = block_on(shop.set_usage(&customer(), &billing::testing::meter("estates"), 3));
    let (usage, _) = found.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(usage.at, instant("2025-07-31T10:00:00Z"));
}

#[test]
fn what_a_gateway_told_waits_by_the_time_of_whom_it_is_about() {
    let shop = shop();
    buys(&shop, "acme", Interval::Month);
    buys(&shop, "globex", Interval::Month);
    let payment = payments_of(&shop, "acme").remove(0);
    shop.gateways.set_up(payment.gateway, false);
    let told = notice(&payment, "evt_again");
    block_on(shop.receive(told.clone())).unwrap_or_else(|error| panic!("{error}"));
    shop.gateways.set_up(payment.gateway, true);
    let wakes_it = |whose: &str| {
        let met = RefCell::new(vec![]);
        walk(&shop, Some(&named(whose)), Goal::By(Span::new().months(1)), |_, wanted| {
            met.borrow_mut().extend_from_slice(wanted)
        });
        met.into_inner().contains(&Wanted::Delivery { delivery: told.id.clone() })
    };
    assert!(!wakes_it("globex"));
    assert!(wakes_it("acme"));
}

#[test]
fn a_sweep_wakes_each_by_their_own_time() {
    let shop = shop();
    buys(&shop, "acme", Interval::Month);
    buys(&shop, "globex", Interval::Month);
    let woken = || {
        let queue = MemoryQueue::default();
        block_on(shop.sweep(&queue, || true)).unwrap_or_else(|error| panic!("{error}"));
        queue.take()
    };
    assert_eq!(woken(), []);
    // To where a period is over, and no further: nobody does what is due there.
    let month = in_months(1)[0];
    step(&shop, Some(&customer()), Goal::To(month));
    while step(&shop, Some(&customer()), Goal::AsBefore).now != month {
        work(&shop, step_waking(&shop, Some(&customer()), Goal::AsBefore).1);
    }
    assert_eq!(woken(), [Wanted::Subscription { customer: customer() }]);
    work(&shop, woken());
    assert_eq!(woken(), []);
    // Now all are there.
    block_on(shop.advance_clock(Span::new().months(1), shop.clock.world)).unwrap_or_else(|error| panic!("{error}"));
    assert!(woken().contains(&Wanted::Subscription { customer: named("globex") }));
    assert!(!woken().contains(&Wanted::Subscription { customer: customer() }));
}

#[test]
fn nobody_goes_on_while_something_is_due() {
    let shop = shop();
    buys(&shop, "acme", Interval::Month);
    let year = in_months(12)[11];
    let mut at = step_waking(&shop, None, Goal::To(year));
    while !at.1.contains(&Wanted::Subscription { customer: customer() }) {
        work(&shop, at.1);
        at = step_waking(&shop, None, Goal::AsBefore);
    }
    for _ in 0..3 {
        assert_eq!(step_waking(&shop, None, Goal::AsBefore), at, "it is not done yet");
    }
    work(&shop, at.1);
    assert!(step(&shop, None, Goal::AsBefore).now > at.0.now);
}

#[test]
fn whoever_is_interrupted_on_the_way_goes_on_to_the_goal() {
    let (shop, whole) = (shop(), self::shop());
    for shop in [&shop, &whole] {
        buys(shop, "acme", Interval::Month);
    }
    let year = Goal::By(Span::new().years(1));
    for _ in 0..5 {
        let goal = if block_on(shop.now(None)).unwrap_or_default() == instant(OPENED) { year } else { Goal::AsBefore };
        work(&shop, step_waking(&shop, None, goal).1);
    }
    let on_the_way = block_on(shop.walk_clock(None, year, shop.clock.world, &MemoryQueue::default()));
    assert!(
        matches!(on_the_way, Err(AdvanceClockError::UnderWay(goal)) if goal == in_months(12)[11]),
        "{on_the_way:?}"
    );
    walk(&shop, None, Goal::AsBefore, |_, _| {});
    walk(&whole, None, year, |_, _| {});
    assert_eq!(books(&shop), books(&whole));

    // It stands at its goal for good, and a walk from there is a new one.
    assert!(step(&shop, None, Goal::AsBefore).is_last());
    walk(&shop, None, year, |_, _| {});
    assert_eq!(block_on(shop.now(None)).unwrap_or_default(), in_months(24)[23]);
}

#[test]
fn nobody_walks_back_or_nowhere() {
    let shop = shop();
    let walks = |whose: Option<&CustomerId>, goal| {
        block_on(shop.walk_clock(whose, goal, shop.clock.world, &MemoryQueue::default()))
    };
    for goal in [Goal::To(instant("2025-01-31T09:59:59Z")), Goal::By(Span::new().days(-1))] {
        assert!(matches!(walks(None, goal), Err(AdvanceClockError::NotForward)), "{goal:?}");
    }
    assert!(matches!(walks(Some(&customer()), Goal::AsBefore), Err(AdvanceClockError::NoGoal)));
    // A customer may not stay behind the others either.
    block_on(shop.advance_clock(Span::new().months(1), shop.clock.world)).unwrap_or_else(|error| panic!("{error}"));
    let past = Goal::To(instant("2025-02-27T10:00:00Z"));
    assert!(matches!(walks(Some(&customer()), past), Err(AdvanceClockError::NotForward)));
}

#[test]
fn what_is_due_in_one_second_is_woken_at_once() {
    let shop = shop();
    for name in ["acme", "globex", "initech"] {
        buys(&shop, name, Interval::Month);
    }
    let (step, wanted) = step_waking(&shop, None, Goal::By(Span::new().months(1)));
    let woken: BTreeSet<_> = wanted.iter().filter_map(Wanted::customer).map(CustomerId::as_str).collect();
    assert_eq!((step.woken, Vec::from_iter(woken)), (3, vec!["acme", "globex", "initech"]));
}
