//! Many reserve, use and release at once, or use what is taken back meanwhile, in two hundred orders.

use crate::reserving::{id, of_held_minutes};
use crate::shards::in_shards;
use crate::stage::{DAY, MINUTE, Paid, attempt, live, notice, paid, pass, subscribed_to, tokens};
use crate::tokens::{of_tokens, tokens_plan};
use crate::tokens_back::{moved, whole};
use crate::usage::{minutes_plan, of_minutes};
use billing::brand::Brand;
use billing::catalog::Catalogue;
use billing::id::{ConsumptionId, CustomerId, MeterId, PaymentId, UsageId};
use billing::payment::Payment;
use billing::ports::{Found, Key, Lane, Record, Store, StoreError, Wanted, Write};
use billing::statistics::DayUsage;
use billing::testing::{FakeGateways, FixedClock, MemoryStore, catalogue, customer, meter};
use billing::token::Consumption;
use billing::usage::{MeterUsage, UsageRecord};
use billing::workflow::{Billing, ConsumeError, Rebuild, RebuildError, Reserve, ReserveError};
use futures::executor::block_on;
use futures::future::{BoxFuture, FutureExt, join, join_all, poll_fn};
use jiff::Timestamp;
use jiff::civil::Date;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;

/// Everybody at once, in an order that a number chooses; of several records that one asks for, each is read at another
/// moment. After each commit it is looked at what is used and held.
struct Crowd<'a> {
    store: &'a MemoryStore,
    clock: &'a FixedClock,
    dice: AtomicU64,
    /// The most that was ever used and held.
    peak: AtomicU64,
}

impl Crowd<'_> {
    fn roll(&self, sides: u64) -> u64 {
        let roll = |it: u64| Some(it.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407));
        let rolled = self.dice.fetch_update(Ordering::Relaxed, Ordering::Relaxed, roll).unwrap_or(0);
        (rolled >> 33) % sides
    }

    /// Others are first, or not.
    async fn turn(&self) {
        let mut left = self.roll(6);
        poll_fn(move |context| {
            if left == 0 {
                return Poll::Ready(());
            }
            left -= 1;
            context.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }

    fn look(&self) {
        let counted = of_all(&self.store.records());
        if let Some((MeterUsage { reservations, .. }, value)) = counted {
            let taken = value + reservations.open(self.clock.time()).held();
            self.peak.fetch_max(taken, Ordering::Relaxed);
        }
    }
}

impl Store for &Crowd<'_> {
    async fn get(&self, keys: Vec<Key>) -> Result<Found, StoreError> {
        let mut records = vec![];
        for key in keys {
            self.turn().await;
            records.extend(self.store.get(vec![key]).await?.records().iter().cloned());
        }
        Ok(Found::new(records))
    }

    async fn commit(&self, writes: Vec<Write>) -> Result<(), StoreError> {
        self.turn().await;
        let done = self.store.commit(writes).await;
        self.look();
        done
    }

    async fn live(&self, customer: &CustomerId) -> Result<Found, StoreError> {
        self.store.live(customer).await
    }

    async fn payments(
        &self,
        of: &CustomerId,
        before: Option<&PaymentId>,
        limit: u32,
    ) -> Result<Vec<Payment>, StoreError> {
        self.store.payments(of, before, limit).await
    }

    async fn consumptions(
        &self,
        of: &CustomerId,
        before: Option<&ConsumptionId>,
        limit: u32,
    ) -> Result<Vec<Consumption>, StoreError> {
        self.store.consumptions(of, before, limit).await
    }

    async fn uses(&self, of: &CustomerId, after: Option<&UsageId>, limit: u32) -> Result<Vec<UsageRecord>, StoreError> {
        self.turn().await;
        self.store.uses(of, after, limit).await
    }

    async fn days(&self, of: &CustomerId, from: Date, to: Date) -> Result<Vec<DayUsage>, StoreError> {
        self.turn().await;
        self.store.days(of, from, to).await
    }

    async fn catalogue(&self) -> Result<Found, StoreError> {
        self.store.catalogue().await
    }

    async fn brands(&self) -> Result<Vec<Brand>, StoreError> {
        self.store.brands().await
    }

    async fn due(&self, lane: Lane, then: Timestamp, limit: u32) -> Result<Vec<(Timestamp, Wanted)>, StoreError> {
        self.store.due(lane, then, limit).await
    }
}

type Shared<'a> = Billing<&'a Crowd<'a>, FakeGateways, FixedClock>;

/// The meter, and what it has counted with its shards.
fn of_all(records: &[Record]) -> Option<(MeterUsage, u64)> {
    let usage = records.iter().find_map(|it| if let Record::Usage(it) = it { Some(it.clone()) } else { None })?;
    let lent = usage.lease.as_ref().map_or(0, |it| it.id);
    let shards = records.iter().filter_map(|it| if let Record::Shard(it) = it { Some(it) } else { None });
    let in_shards: u64 = shards.filter(|it| it.lease == lent).map(|it| it.value).sum();
    let value = usage.value + in_shards;
    Some((usage, value))
}

/// What one of them does, and again while others are faster.
async fn one(billing: &Shared<'_>, crowd: &Crowd<'_>, n: u64) {
    let (of, name): (MeterId, String) = (meter("minutes"), format!("call-{}", n % 30));
    let value = n % 30 * 17 % 300 + 1;
    let counts = async |value: u64, name: &str| {
        for _ in 0..20 {
            match billing.report(&customer(), &[of_minutes(value, name)]).await {
                Ok(answers) => return answers.into_iter().all(|it| it.is_ok()),
                Err(StoreError::Conflict) => {}
                Err(error) => panic!("{error}"),
            }
        }
        false
    };
    let holds = async |wanted: &Reserve| {
        for _ in 0..20 {
            match billing.reserve(wanted).await {
                Err(ReserveError::Store(StoreError::Conflict)) => {}
                Err(ReserveError::Store(error)) => panic!("{error}"),
                answer => return answer.is_ok(),
            }
        }
        false
    };
    let wanted = of_held_minutes(value, &name);
    match n / 30 {
        // Held, and then used: as much, less or more of it.
        0 => {
            if holds(&wanted).await {
                crowd.turn().await;
                counts(value + n % 3 - u64::from(value > 1), &name).await;
            }
        }
        // The same asked again by somebody who heard nothing.
        1 => drop(holds(&wanted).await),
        // Not held before it is used.
        2 => drop(counts(value, &format!("use-{n}")).await),
        // Held and let go, or forgotten.
        3 => {
            if holds(&of_held_minutes(value, &format!("held-{n}"))).await && n.is_multiple_of(2) {
                crowd.turn().await;
                drop(billing.release(&customer(), &of, &id(&format!("held-{n}"))).await);
            }
        }
        _ => {
            crowd.turn().await;
            billing.clock.set(billing.clock.time() + MINUTE);
            crowd.clock.set(billing.clock.time());
        }
    }
}

#[test]
fn however_many_reserve_use_and_release_at_once_what_is_used_and_held_never_passes_the_limit() {
    never_passes(catalogue("minutes"));
}

#[test]
fn nor_does_it_where_a_meter_is_kept_in_several_places() {
    never_passes(in_shards(4));
}

fn never_passes(plans: Catalogue) {
    let (mut full, mut used_all) = (0, 0);
    for seed in 0..200 {
        let world = subscribed_to(minutes_plan("k"));
        block_on(world.load(plans.clone())).unwrap_or_else(|error| panic!("{error}"));
        let crowd = Crowd {
            store: &world.store,
            clock: &world.clock,
            dice: AtomicU64::new(seed * 7_919),
            peak: AtomicU64::new(0),
        };
        let clock = FixedClock::at(world.clock.time());
        let billing = Billing::new(&crowd, FakeGateways::default(), clock);
        let everybody: Vec<BoxFuture<'_, ()>> = (0..125).map(|n| one(&billing, &crowd, n).boxed()).collect();
        block_on(join_all(everybody));
        let peak = crowd.peak.load(Ordering::Relaxed);
        assert!(peak <= 3_000, "{peak} with {seed}");
        full += u32::from(peak > 2_900);
        let records = world.store.records();
        let uses = records.iter().filter_map(|it| if let Record::UsageRecord(it) = it { Some(it) } else { None });
        let of_records: u64 = uses.map(|it| it.value.get()).sum();
        let (counted, value) = of_all(&records).unwrap_or_else(|| panic!("nothing is counted"));
        assert_eq!(value, of_records, "each is counted once: {seed}");
        let again = Rebuild { customer: customer(), meter: meter("minutes"), dry_run: true };
        let again = block_on(world.rebuild(&again)).unwrap_or_else(|error| panic!("{error}"));
        let [period] = &again.periods[..] else { panic!("one period") };
        assert_eq!((period.counted, period.recorded, again.days), (of_records, of_records, vec![]));
        let ids = (0..30).map(|n| id(&format!("call-{n}")));
        let used = |it: &UsageId| !world.key(Key::UsageRecord(customer(), it.clone())).records().is_empty();
        let both: Vec<UsageId> = ids.filter(|it| used(it) && counted.reservations.get(it).is_some()).collect();
        assert_eq!(both, [], "what is used is not held: {seed}");
        used_all += value;
        pass(&world, DAY);
        let live = block_on(world.lookup(&customer())).unwrap_or_else(|error| panic!("{error}"));
        let held = live.map(|it| it.reserved()).unwrap_or_default();
        assert!(held.values().all(|held| *held == 0), "nothing is held for ever: {held:?}");
    }
    println!("the limit was nearly reached in {full} of 200, and {used_all} were used");
    assert!(full > 100, "there was room for all, which tells nothing");
}

/// Somebody has written to the table what nobody used, and staff put that right while everybody counts.
#[test]
fn days_that_are_put_right_while_others_count_have_each_use_once() {
    let (mut meanwhile, wanted) = (0, Rebuild { customer: customer(), meter: meter("minutes"), dry_run: false });
    for seed in 0..200 {
        let world = subscribed_to(minutes_plan("k"));
        block_on(world.load(in_shards(4))).unwrap_or_else(|error| panic!("{error}"));
        let (of, clock) = (Some(meter("minutes")), FixedClock::at(world.clock.time()));
        for (day, shard) in [(30, 0), (31, 0), (31, 2)] {
            let date = jiff::civil::date(2025, 1, day);
            world.store.put(Record::Day(DayUsage {
                customer: customer(),
                date,
                meter: of.clone(),
                shard,
                value: 1_000,
            }));
        }
        let (dice, peak) = (AtomicU64::new(seed * 7_919), AtomicU64::new(0));
        let crowd = Crowd { store: &world.store, clock: &world.clock, dice, peak };
        let billing = Billing::new(&crowd, FakeGateways::default(), clock);
        let staff = async || {
            for _ in 0..20 + crowd.roll(20) {
                crowd.turn().await;
            }
            for _ in 0..10 {
                match billing.rebuild(&wanted).await {
                    Err(RebuildError::Store(StoreError::Conflict)) => {}
                    Err(error) => panic!("{error}"),
                    Ok(found) => return found.days.len(),
                }
            }
            0
        };
        // One after another, of each many: it is counted all the time.
        let uses = async |n: u64| {
            for k in 0..30 {
                crowd.turn().await;
                let told = [of_minutes(n % 4 + 1, &format!("call-{n}-{k}"))];
                let mut tries = 0;
                while billing.report(&customer(), &told).await.is_err() {
                    tries += 1;
                    assert!(tries < 100, "nobody gets to it: {seed}");
                }
            }
        };
        let everybody: Vec<BoxFuture<'_, ()>> = (0..6).map(|n| uses(n).boxed()).collect();
        let (found, _) = block_on(join(staff(), join_all(everybody)));
        let left = block_on(world.rebuild(&wanted)).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(found + left.days.len(), 2, "once: {seed}");
        let days = world
            .store
            .records()
            .into_iter()
            .filter_map(|it| if let Record::Day(it) = it { Some(it.value) } else { None });
        let of_all = of_all(&world.store.records()).map(|(_, value)| value);
        assert_eq!(Some(days.sum()), of_all, "{seed}");
        meanwhile += u32::from(found > 0);
    }
    assert!(meanwhile > 100, "they were put right afterwards, which tells nothing: {meanwhile}");
}

/// The gateway tells of it besides.
#[test]
fn what_is_used_while_its_payment_is_given_back_is_used_and_the_rest_is_taken() {
    let (mut used_all, mut none_left, mut given_back) = (0, 0, 0);
    for seed in 0..200 {
        let world = subscribed_to(tokens_plan("k"));
        let (dice, peak) = (AtomicU64::new(seed * 7_919), AtomicU64::new(0));
        let crowd = Crowd { store: &world.store, clock: &world.clock, dice, peak };
        let clock = FixedClock::at(world.clock.time());
        let billing = Billing::new(&crowd, world.gateways.clone(), clock);
        let (payment, wanted) = (attempt(&world, 0, 1), whole(&world, "refund"));
        let uses = async |n: u64| {
            for k in 0..10 {
                crowd.turn().await;
                if let Err(ConsumeError::TooFew { .. }) = billing.consume(&of_tokens(7, &format!("use-{n}-{k}"))).await
                {
                    return;
                }
            }
        };
        let staff = async || {
            for _ in 0..crowd.roll(20) {
                crowd.turn().await;
            }
            let promised = billing.refund(wanted.clone()).await.unwrap_or_else(|error| panic!("{error}"));
            usize::from(paid(&promised) == Paid::Refunded)
        };
        let tells = async || {
            for event in 0..10 {
                crowd.turn().await;
                drop(billing.receive(notice(&payment, &format!("evt-{event}"))).await);
            }
        };
        let everybody: Vec<BoxFuture<'_, ()>> = (0..6).map(|n| uses(n).boxed()).collect();
        let ((at_once, ()), _) = block_on(join(join(staff(), tells()), join_all(everybody)));
        given_back += at_once;
        live(&world, DAY);
        let consumed = |it| if let Record::Consumption(it) = it { Some(i64::from(it.tokens.get())) } else { None };
        let consumed: i64 = world.store.records().into_iter().filter_map(consumed).sum();
        let [taken] = moved(&world)[..] else { panic!("taken once: {:?} with {seed}", moved(&world)) };
        assert_eq!((consumed - taken, tokens(&world)), (1_000, 0), "{seed}");
        used_all += consumed;
        none_left += u32::from(consumed < 420);
    }
    println!(
        "{used_all} were used, {none_left} of 200 times others were too late, and {given_back} it was kept at once"
    );
    assert!(given_back > 150, "the gateway is asked a second time though it has answered");
    assert!(used_all > 0 && none_left > 100, "they were taken before or afterwards, which tells nothing");
}
