//! Moving a test stack's time: all at once, or as a walk.

use super::sweep::{SweepError, send};
use super::{Billing, MOST_RACES};
use crate::id::CustomerId;
use crate::ports::{Clock, Gateways, Key, Lane, Queue, QueueError, Record, Store, StoreError, TestClock, Walk, Wanted};
use crate::ports::{Write, whole};
use futures::future::try_join_all;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};

#[derive(Debug, thiserror::Error)]
pub enum AdvanceClockError {
    #[error("time goes forward only, and within what a calendar can hold")]
    NotForward,
    #[error("a walk to {0} is under way: end it first, or say where to")]
    UnderWay(Timestamp),
    #[error("no walk is under way: say where to")]
    NoGoal,
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Queue(#[from] QueueError),
}

impl From<SweepError> for AdvanceClockError {
    fn from(error: SweepError) -> Self {
        match error {
            SweepError::Store(error) => error.into(),
            SweepError::Queue(error) => error.into(),
        }
    }
}

/// Where a walk is to end.
#[derive(Clone, Copy, Debug)]
pub enum Goal {
    /// That far from where it is now.
    By(Span),
    To(Timestamp),
    /// Where it was to end when someone began it.
    AsBefore,
}

/// Where a walk has got to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    pub now: Timestamp,
    pub goal: Timestamp,
    /// How much is due now, and was woken: it has to be done before the next step.
    pub woken: usize,
}

impl Step {
    /// Whether the goal is reached, and all is done that was due by then.
    pub fn is_last(&self) -> bool {
        self.now == self.goal && self.woken == 0
    }
}

/// The most that one step of the whole stack wakes in a lane. What is left is due in the next.
const MOST_AT_ONCE: u32 = 2_000;

impl<S: Store, G: Gateways, C: Clock> Billing<S, G, C> {
    /// Moves the time of the whole stack forward `by` a span of the calendar, at once: what was due on the way is late.
    /// Only a stack that was deployed with a test clock looks at it.
    pub async fn advance_clock(&self, by: Span, world: Timestamp) -> Result<Timestamp, AdvanceClockError> {
        for _ in 0..MOST_RACES {
            let clock = self.test_clock().await?;
            let now = clock.now(None, world);
            let then = later(now, by)?;
            if then <= now {
                return Err(AdvanceClockError::NotForward);
            }
            if self.keep_clock(clock.set(then, world)).await? {
                return Ok(then);
            }
        }
        Err(StoreError::Conflict.into())
    }

    /// Takes the next step of the walk of `customer`, or of the whole stack: to the instant at which something is due,
    /// or to the goal; and wakes what is due there. Nobody moves while something is due. Whoever walks on has seen to
    /// it that what was woken is done.
    ///
    /// Where a step is cut short, the next one is the same again.
    pub async fn walk_clock(
        &self,
        customer: Option<&CustomerId>,
        goal: Goal,
        world: Timestamp,
        queue: &impl Queue,
    ) -> Result<Step, AdvanceClockError> {
        for _ in 0..MOST_RACES {
            let clock = self.test_clock().await?;
            let before = clock.walk_of(customer);
            let now = whole(clock.now(customer, world));
            let goal = reachable(goal, before, now)?;
            let (at, due) = self.first_due(customer, now, goal).await?;
            let walk = Walk { at, goal };
            if before != Some(walk) && !self.keep_clock(clock.walking(customer, walk, world)).await? {
                continue;
            }
            for lane in Lane::ALL {
                let due: Vec<Wanted> = due.iter().filter(|(of, _)| *of == lane).map(|(_, it)| it.clone()).collect();
                send(queue, lane, &due, || true).await?;
            }
            return Ok(Step { now: at, goal, woken: due.len() });
        }
        Err(StoreError::Conflict.into())
    }

    /// What is due first, from `now` on and by `goal`, and when that is; nothing at the goal, if nothing is due before.
    async fn first_due(
        &self,
        customer: Option<&CustomerId>,
        now: Timestamp,
        goal: Timestamp,
    ) -> Result<(Timestamp, Vec<(Lane, Wanted)>), StoreError> {
        // What is due first of one customer's may be behind all that is due of others.
        let most = if customer.is_some() { u32::MAX } else { MOST_AT_ONCE };
        let lanes = try_join_all(Lane::ALL.map(|lane| self.store.due(lane, goal, most))).await?;
        let mut waiting: Vec<(Timestamp, Lane, Wanted)> = vec![];
        for (lane, due) in Lane::ALL.into_iter().zip(lanes) {
            waiting.extend(due.into_iter().map(|(at, wanted)| (at.max(now), lane, wanted)));
        }
        waiting.sort();
        for second in waiting.chunk_by(|(one, ..), (other, ..)| one == other) {
            let records = try_join_all(second.iter().map(|(_, _, wanted)| self.is_due_at(wanted, customer))).await?;
            let due = records.into_iter().zip(second).filter_map(|(at, (_, lane, wanted))| {
                let at = whole(at?).max(now);
                (at <= goal).then(|| (at, *lane, wanted.clone()))
            });
            let due = Vec::from_iter(due);
            if let Some(first) = due.iter().map(|(at, ..)| *at).min() {
                let first_of_all = due.into_iter().filter(|(at, ..)| *at == first);
                return Ok((first, first_of_all.map(|(_, lane, wanted)| (lane, wanted)).collect()));
            }
        }
        Ok((goal, vec![]))
    }

    /// When the record itself says that it is due. None: it wants nothing any more, or is none of `customer`'s.
    async fn is_due_at(&self, wanted: &Wanted, customer: Option<&CustomerId>) -> Result<Option<Timestamp>, StoreError> {
        if customer.is_some() && wanted.customer().is_some_and(|owner| Some(owner) != customer) {
            return Ok(None);
        }
        let mut found = self.store.get(vec![wanted.key()]).await?;
        let at = found.records().first().and_then(Record::due).map(|(_, at, _)| at);
        let of_them = match (customer, wanted) {
            (None, _) => true,
            (_, Wanted::Mail { .. }) => found.mail().is_some_and(|mail| Some(&mail.customer) == customer),
            (_, Wanted::Delivery { .. }) => {
                let key = found.delivery().and_then(|it| Some(Key::Reference(it.id.gateway, it.reference?)));
                let referred = self.store.get(key.into_iter().collect()).await?.referred();
                referred.is_some_and(|referred| Some(&referred.customer) == customer)
            }
            (
                _,
                Wanted::Subscription { .. } | Wanted::Payment { .. } | Wanted::Wallet { .. } | Wanted::Account { .. },
            ) => true,
        };
        Ok(at.filter(|_| of_them))
    }

    async fn test_clock(&self) -> Result<TestClock, StoreError> {
        Ok(self.store.get(vec![Key::TestClock]).await?.test_clock().unwrap_or_default())
    }

    /// Whether nobody else was faster.
    async fn keep_clock(&self, clock: TestClock) -> Result<bool, StoreError> {
        match self.store.commit(vec![Write::next(Record::TestClock(clock))]).await {
            Ok(()) => Ok(true),
            Err(StoreError::Conflict | StoreError::Duplicate) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// In UTC: a walk is of everyone, wherever they are.
fn later(now: Timestamp, by: Span) -> Result<Timestamp, AdvanceClockError> {
    let then = now.to_zoned(TimeZone::UTC).checked_add(by);
    then.map(|then| then.timestamp()).map_err(|_| AdvanceClockError::NotForward)
}

/// The instant at which a walk ends that is `now` there, and went `before` to where it was to go then.
fn reachable(goal: Goal, before: Option<Walk>, now: Timestamp) -> Result<Timestamp, AdvanceClockError> {
    let under_way = before.map(|walk| walk.goal).filter(|goal| *goal > now);
    let goal = match (goal, under_way) {
        // Counted from wherever it happens to be, it would end who knows where.
        (Goal::By(_), Some(goal)) => return Err(AdvanceClockError::UnderWay(goal)),
        (Goal::By(by), None) => later(now, by)?,
        (Goal::To(goal), _) => goal,
        (Goal::AsBefore, Some(goal)) => goal,
        (Goal::AsBefore, None) => before.map(|_| now).ok_or(AdvanceClockError::NoGoal)?,
    };
    let goal = whole(goal);
    if goal < now { Err(AdvanceClockError::NotForward) } else { Ok(goal) }
}
