//! Moving a test stack's time.

use super::Billing;
use crate::ports::{Clock, Gateways, Key, Record, Store, StoreError, TestClock, Write};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};

#[derive(Debug, thiserror::Error)]
pub enum AdvanceClockError {
    #[error("time goes forward only, and within what a calendar can hold")]
    NotForward,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl<S: Store, G: Gateways, C: Clock> Billing<S, G, C> {
    /// Moves the time of the whole stack forward `by` a span of the calendar.
    /// Only a stack that was deployed with a test clock looks at it.
    pub async fn advance_clock(&self, by: Span) -> Result<Timestamp, AdvanceClockError> {
        let now = self.clock.now().await?;
        let zoned = now.to_zoned(TimeZone::UTC);
        let then = zoned.checked_add(by).map_err(|_| AdvanceClockError::NotForward)?.timestamp();
        if then <= now {
            return Err(AdvanceClockError::NotForward);
        }
        let clock = self.store.get(vec![Key::TestClock]).await?.test_clock();
        let clock = clock.unwrap_or(TestClock { ahead_s: 0, version: 0 });
        let ahead_s = clock.ahead_s.saturating_add(then.duration_since(now).as_secs());
        self.store.commit(vec![Write::next(Record::TestClock(TestClock { ahead_s, ..clock }))]).await?;
        Ok(then)
    }
}
