//! What is due? Enqueue its name. Everything else the worker finds out.

use super::Billing;
use crate::id::CustomerId;
use crate::ports::{Clock, Gateways, Lane, Queue, QueueError, Store, StoreError, Wanted};
use futures::future::join_all;
use jiff::Timestamp;
use std::collections::BTreeMap;

#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Queue(#[from] QueueError),
}

/// The most that one sweep wakes in a lane: more than its workers get done in
/// the minute until the next. What is left is due then.
const MOST_AT_ONCE: u32 = 2_000;

/// How many are sent before it is asked again whether there is time for more.
const A_TURN: usize = 100;

impl<S: Store, G: Gateways, C: Clock> Billing<S, G, C> {
    /// Wakes a worker for everything that is due, for as long as that is begun
    /// `in_time`, and says for how much. What is left is due in the next sweep.
    pub async fn sweep(&self, queue: &impl Queue, in_time: impl Fn() -> bool) -> Result<usize, SweepError> {
        let now = self.clock.now(None).await?;
        let ahead = self.clock.ahead().await?;
        let lanes =
            Lane::ALL.map(async |lane| send(queue, lane, &self.due_now(lane, now, &ahead).await?, &in_time).await);
        // Side by side, and each to its end: a lane that is long, or fails, holds up no other.
        join_all(lanes).await.into_iter().sum()
    }

    /// What is due in `lane` by the time of whoever it is for.
    async fn due_now(
        &self,
        lane: Lane,
        now: Timestamp,
        ahead: &BTreeMap<CustomerId, Timestamp>,
    ) -> Result<Vec<Wanted>, StoreError> {
        let Some(latest) = ahead.values().max() else {
            let due = self.store.due(lane, now, MOST_AT_ONCE).await?;
            return Ok(due.into_iter().map(|(_, wanted)| wanted).collect());
        };
        let is_due = |at: Timestamp, wanted: &Wanted| match wanted.customer() {
            Some(customer) => at <= ahead.get(customer).copied().unwrap_or(now).max(now),
            None => true, // its name does not say whose it is: whoever acts on it finds out
        };
        // What is due of those who are ahead may be behind all that is to be due of others.
        let due = self.store.due(lane, *latest.max(&now), u32::MAX).await?.into_iter();
        let due = due.filter(|(at, wanted)| is_due(*at, wanted)).map(|(_, wanted)| wanted);
        Ok(due.take(MOST_AT_ONCE as usize).collect())
    }
}

/// Wakes a worker for each of `due`, for as long as that is begun `in_time`.
pub(super) async fn send(
    queue: &impl Queue,
    lane: Lane,
    due: &[Wanted],
    in_time: impl Fn() -> bool,
) -> Result<usize, SweepError> {
    let mut woken = 0;
    for turn in due.chunks(A_TURN).take_while(|_| in_time()) {
        queue.send(lane, turn).await?;
        woken += turn.len();
    }
    Ok(woken)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::CustomerId;
    use crate::ports::Record;
    use crate::subscription::Subscription;
    use crate::testing::{World, active, instant, off_session_payment, world};
    use futures::executor::block_on;
    use futures::future::poll_fn;
    use std::cell::Cell;
    use std::collections::{BTreeMap, BTreeSet};
    use std::sync::Mutex;
    use std::task::Poll;

    /// Takes its time over each request, and refuses those of one lane.
    #[derive(Default)]
    struct SlowQueue {
        refuses: Option<Lane>,
        sent: Mutex<BTreeMap<Lane, Vec<Wanted>>>,
    }

    impl Queue for SlowQueue {
        async fn send(&self, lane: Lane, wanted: &[Wanted]) -> Result<(), QueueError> {
            let mut waited = false;
            poll_fn(|context| {
                if std::mem::replace(&mut waited, true) {
                    return Poll::Ready(());
                }
                context.waker().wake_by_ref();
                Poll::Pending
            })
            .await;
            if self.refuses == Some(lane) {
                return Err(QueueError("told to refuse".into()));
            }
            let mut sent = self.sent.lock().unwrap_or_else(|error| panic!("{error}"));
            sent.entry(lane).or_default().extend_from_slice(wanted);
            Ok(())
        }
    }

    impl SlowQueue {
        fn of(&self, lane: Lane) -> Vec<Wanted> {
            self.sent.lock().unwrap_or_else(|error| panic!("{error}")).get(&lane).cloned().unwrap_or_default()
        }
    }

    /// So many subscriptions to renew, and payments to ask about.
    fn owing(renewals: usize, payments: usize) -> World {
        let world = world();
        let customer = |n| CustomerId::try_from(format!("customer-{n}")).unwrap_or_else(|error| panic!("{error}"));
        for n in 0..renewals {
            world.store.put(Record::Subscription(Subscription { customer: customer(n), ..active() }));
        }
        for n in 0..payments {
            let mut payment = off_session_payment();
            payment.customer = customer(n);
            world.store.put(Record::Payment(payment));
        }
        world.clock.set(instant("2025-03-01T10:00:00Z"));
        world
    }

    /// Time for so many turns.
    fn turns(turns: usize) -> impl Fn() -> bool {
        let left = Cell::new(turns);
        move || left.replace(left.get().saturating_sub(1)) > 0
    }

    #[test]
    fn everything_is_woken_once_while_there_is_time() {
        let (world, queue) = (owing(2 * A_TURN + 1, 1), SlowQueue::default());
        let woken = block_on(world.sweep(&queue, || true)).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(woken, 2 * A_TURN + 2);
        let renewals = queue.of(Lane::Renewals);
        assert_eq!((renewals.len(), BTreeSet::from_iter(renewals).len()), (2 * A_TURN + 1, 2 * A_TURN + 1));
        assert_eq!(queue.of(Lane::PaymentRetries).len(), 1);
    }

    #[test]
    fn a_sweep_stops_in_time_and_the_next_wakes_what_is_left() {
        let world = owing(3 * A_TURN, 0);
        for (time, expected) in [(0, 0), (1, A_TURN), (2, 2 * A_TURN), (3, 3 * A_TURN), (9, 3 * A_TURN)] {
            let queue = SlowQueue::default();
            let woken = block_on(world.sweep(&queue, turns(time))).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!((woken, queue.of(Lane::Renewals).len()), (expected, expected), "time for {time} turns");
        }
    }

    #[test]
    fn a_long_lane_takes_no_time_from_another() {
        let (world, queue) = (owing(20 * A_TURN, A_TURN), SlowQueue::default());
        let woken = block_on(world.sweep(&queue, turns(3))).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!((woken, queue.of(Lane::PaymentRetries).len()), (3 * A_TURN, A_TURN));
    }

    #[test]
    fn no_more_is_woken_in_a_lane_than_its_workers_can_use() {
        let most = usize::try_from(MOST_AT_ONCE).unwrap_or_default();
        let (world, queue) = (owing(most + 1, 1), SlowQueue::default());
        let woken = block_on(world.sweep(&queue, || true)).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!((woken, queue.of(Lane::Renewals).len()), (most + 1, most));
    }

    #[test]
    fn a_queue_that_refuses_is_told_and_holds_up_no_other() {
        let (world, queue) = (owing(1, 1), SlowQueue { refuses: Some(Lane::Renewals), ..SlowQueue::default() });
        let swept = block_on(world.sweep(&queue, || true));
        assert!(matches!(swept, Err(SweepError::Queue(_))), "{swept:?}");
        assert_eq!(queue.of(Lane::PaymentRetries).len(), 1);
    }
}
