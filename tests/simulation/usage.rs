//! Services report what customers used: late, twice, in batches, under an id of another use, just as a period ends or a plan
//! is changed; set levels; and customers acknowledge what they are told.

use crate::faults::{DAY, HOUR, MINUTE, SECOND};
use crate::jobs::{Done, Job};
use crate::world::{Happening, State, instant};
use billing::entitlement::Standing;
use billing::id::{CustomerId, MeterId, UsageId};
use billing::ports::{Key, Record};
use billing::subscription::Subscription;
use billing::testing::meter;
use billing::usage::UsageRecord;
use billing::workflow::{NotCounted, Rebuild, Use};
use std::num::NonZeroU64;

/// A counter of which more is sold, by both its names; one of which no more is; and a level, which cannot be reported.
const NAMES: [&str; 8] = ["calls", "calls", "calls", "calls", "calls", "minutes", "exports", "users"];

/// Those that a customer has something of.
pub(crate) const METERS: [&str; 3] = ["calls", "exports", "users"];

/// What of a customer's meters is read at once, in shards or not.
pub(crate) fn meter_keys(customer: &CustomerId) -> Vec<Key> {
    let usage = METERS.map(|name| Key::Usage(customer.clone(), meter(name)));
    let shards = [1, 2].map(|number| Key::Shard(customer.clone(), meter("calls"), number));
    usage.into_iter().chain(shards).collect()
}

/// A batch of more is counted in several transactions.
const AT_ONCE: usize = 32;

impl State {
    /// All that is reported of a customer, at any time.
    pub(crate) fn is_used(&mut self, customer: &CustomerId, start: i64, end: i64) {
        for _ in 0..self.faults.customers.reports {
            let time = self.rng.within(start, end);
            // Several services at the same moment.
            for _ in 0..self.rng.one_of(&[1, 1, 4]) {
                self.report_at(customer, time);
            }
        }
        for _ in 0..self.rng.within(0, 2) {
            let time = self.rng.within(start, end);
            let value = self.rng.one_of(&[0, 1, 4, 5, 6, 30]);
            let (customer, meter) = (customer.clone(), meter("users"));
            self.at(time, Happening::Start(Job::SetUsage { customer, meter, value, tries: 0 }));
        }
        for _ in 0..self.rng.within(0, 2) {
            let time = self.rng.within(start, end);
            let (customer, meter) = (customer.clone(), meter("calls"));
            self.at(time, Happening::Start(Job::Acknowledge { customer, meter }));
        }
        let mut aside = self.rng.aside();
        for _ in 0..aside.within(0, 2) {
            let (time, dry_run) = (aside.within(start, end), aside.chance(300));
            let wanted = Rebuild { customer: customer.clone(), meter: meter("calls"), dry_run };
            self.at(time, Happening::Start(Job::Rebuild { wanted }));
        }
    }

    /// Nobody tampers with a counter here: whatever else is done meanwhile, it says what is recorded.
    pub(crate) fn rebuilt(&mut self, task: u64, wanted: &Rebuild, done: Option<Done>) {
        if self.tasks.get(&task).is_some_and(|it| it.commits > 0) {
            self.breach("P-24", format!("{wanted:?} changed a counter that was right: {done:?}"));
        }
        let Some(Done::Rebuilt(Ok(found))) = done else { return };
        self.happened.insert("counted again");
        if !found.days.is_empty() || found.periods.iter().any(|it| it.counted != it.recorded) {
            self.breach("P-24", format!("{wanted:?} finds {found:?}"));
        }
    }

    /// Of a customer, in the order of their ids.
    pub(crate) fn uses_of(&self, customer: &CustomerId, after: Option<&UsageId>) -> impl Iterator<Item = &UsageRecord> {
        let of = |record: &&UsageRecord| record.customer == *customer;
        let uses =
            self.records.values().filter_map(|it| if let Record::UsageRecord(it) = it { Some(it) } else { None });
        uses.filter(of).filter(move |it| after.is_none_or(|after| it.id > *after))
    }

    /// A period begins: there is use as it ends, and a little after that.
    pub(crate) fn is_used_until(&mut self, it: &Subscription) {
        let Some(end) = it.period().map(|period| period.end.as_millisecond()) else { return };
        if self.rng.chance(self.faults.customers.uses) && end < self.end {
            for _ in 0..self.rng.within(1, 3) {
                let around = self.rng.one_of(&[-DAY, -MINUTE, -SECOND, SECOND, MINUTE, HOUR]);
                let time = (end + around + self.rng.within(0, MINUTE)).max(self.now);
                self.report_at(&it.customer, time);
            }
        }
    }

    /// Who is to have less from the next period on goes on as if nothing was to come.
    pub(crate) fn grows_meanwhile(&mut self, customer: &CustomerId) {
        let end = self.subscription(customer).and_then(Subscription::period).map(|it| it.end.as_millisecond());
        let mut aside = self.rng.aside();
        if let Some(end) = end.filter(|_| self.faults.customers.reports > 0 && aside.chance(500)) {
            let (time, value) = (aside.within(self.now, end.max(self.now)), aside.one_of(&[5, 6, 30]));
            let (customer, meter) = (customer.clone(), meter("users"));
            self.at(time, Happening::Start(Job::SetUsage { customer, meter, value, tries: 0 }));
        }
    }

    /// Just now, as something else is done.
    pub(crate) fn is_used_meanwhile(&mut self, customer: &CustomerId) {
        let now = self.now;
        if self.rng.chance(self.faults.customers.uses) {
            let time = now + self.rng.within(0, 2 * SECOND);
            self.report_at(customer, time);
        }
    }

    /// There is use before and while something else is done.
    pub(crate) fn is_used_by(&mut self, customer: &CustomerId, time: i64) {
        if self.rng.chance(self.faults.customers.uses) {
            for before in [self.rng.within(MINUTE, DAY), self.rng.within(-SECOND, SECOND)] {
                self.report_at(customer, (time - before).max(self.now));
            }
        }
    }

    fn report_at(&mut self, customer: &CustomerId, time: i64) {
        let most = self.rng.one_of(&[1, 1, 1, 3, 3, 40]);
        let uses: Vec<Use> = (0..self.rng.within(1, most)).map(|_| self.some_use(time)).collect();
        let times = if self.rng.chance(self.faults.customers.impatience) { 3 } else { 1 };
        let within = self.rng.one_of(&[SECOND / 20, SECOND]);
        for _ in 0..times {
            let (uses, time) = (uses.clone(), time + self.rng.within(0, within));
            self.at(time, Happening::Start(Job::Report { customer: customer.clone(), uses, tries: 0 }));
        }
        // Told again long after, as it was or otherwise.
        if self.rng.chance(200) {
            let mut uses = uses;
            if self.rng.chance(300) {
                uses.truncate(1);
                uses.iter_mut().for_each(|it| it.value = it.value.saturating_add(1));
            }
            let time = time + self.rng.within(HOUR, 40 * DAY);
            self.at(time, Happening::Start(Job::Report { customer: customer.clone(), uses, tries: 0 }));
        }
    }

    fn some_use(&mut self, time: i64) -> Use {
        self.events += 1;
        // Some ids come twice.
        let number = if self.rng.chance(30) { self.rng.within(0, 9) } else { i64::try_from(self.events).unwrap_or(0) };
        let id = UsageId::try_from(format!("use.{number}")).unwrap_or_else(|error| panic!("{error}"));
        let value = self.rng.one_of(&[1, 1, 7, 20, 40, 60, 99, 130]);
        let late = self.rng.one_of(&[None, None, Some(0), Some(HOUR), Some(9 * DAY), Some(-DAY)]);
        Use {
            meter: meter(self.rng.one_of(&NAMES)),
            value: NonZeroU64::MIN.saturating_add(value - 1),
            id,
            at: late.map(|late| instant(time - late)),
        }
    }

    /// Whoever is told that a use was counted finds it among those that were, as they told it; and whoever is told that it
    /// was not, does not.
    pub(crate) fn reported(
        &mut self,
        task: u64,
        customer: &CustomerId,
        uses: &[Use],
        answers: &[Result<Standing, NotCounted>],
    ) {
        let (began, read_at) = self.tasks.get(&task).map_or((0, 0), |notes| (notes.began_at_step, notes.read_usage_at));
        if uses.len() != answers.len() {
            self.breach("P-24", format!("{uses:?} are answered by {answers:?}"));
        }
        for (it, answer) in uses.iter().zip(answers) {
            let key = Key::UsageRecord(customer.clone(), it.id.clone());
            let stored =
                if let Some(Record::UsageRecord(stored)) = self.records.get(&key) { Some(stored) } else { None };
            let name = canonical(&it.meter);
            let same =
                stored.is_some_and(|stored| (&stored.meter, stored.value, stored.at) == (&name, it.value, it.at));
            let counted_in = self.metered.uses.get(&(customer.clone(), it.id.clone())).copied();
            let right = match answer {
                Ok(_) => same,
                Err(NotCounted::IdReused) => stored.is_some() && !same,
                // What it was refused by was read before it was counted.
                Err(NotCounted::LimitReached(_)) => {
                    let refused = uses.len() > AT_ONCE || counted_in.is_none_or(|step| step > read_at);
                    refused && !(uses.len() == 1 && self.fits(customer, &name, it, began))
                }
                Err(NotCounted::NoSubscription) => uses.len() > AT_ONCE || counted_in.is_none_or(|step| step > read_at),
                Err(NotCounted::InFuture | NotCounted::Meter(_)) => !same || counted_in.is_none_or(|step| step > began),
            };
            if !right {
                let what = format!("{it:?} is answered by {answer:?}, and stored in step {counted_in:?} is {stored:?}");
                return self.breach("P-24", what);
            }
            self.happened.insert(match answer {
                Err(NotCounted::LimitReached(_)) => "use refused",
                Err(NotCounted::IdReused) => "id of a use reused",
                Ok(_) | Err(_) => "use answered",
            });
        }
    }

    /// Whether it would be allowed by all that was allowed since step `began`.
    fn fits(&self, customer: &CustomerId, meter: &MeterId, it: &Use, began: u64) -> bool {
        let value = it.value.get();
        let late = it.at.and_then(|at| self.room_then(customer, meter, at));
        self.room(customer, meter, began).is_some_and(|(least, counted)| counted + value <= least)
            && late.is_none_or(|(most, counted)| counted + value <= most)
    }
}

fn canonical(name: &MeterId) -> MeterId {
    if name.as_str() == "minutes" { meter("calls") } else { name.clone() }
}
