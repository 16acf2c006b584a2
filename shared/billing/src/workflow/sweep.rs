//! What is due? Enqueue its name. Everything else the worker finds out.

use super::Billing;
use crate::ports::{Clock, Gateways, Lane, Queue, QueueError, Store, StoreError};

#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Queue(#[from] QueueError),
}

/// The most that one sweep wakes in a lane. What is left is due in the next.
const MOST_AT_ONCE: u32 = 2_000;

impl<S: Store, G: Gateways, C: Clock> Billing<S, G, C> {
    /// Wakes a worker for everything that is due, and says for how much.
    pub async fn sweep(&self, queue: &impl Queue) -> Result<usize, SweepError> {
        let now = self.clock.now().await?;
        let mut woken = 0;
        for lane in Lane::ALL {
            let wanted = self.store.due(lane, now, MOST_AT_ONCE).await?;
            queue.send(lane, &wanted).await?;
            woken += wanted.len();
        }
        Ok(woken)
    }
}
