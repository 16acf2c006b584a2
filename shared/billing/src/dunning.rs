//! Dunning: when a declined renewal is tried again, and when we give up.
//!
//! PRODUCT 9: at most three retries after the first failure, then grace.

use crate::outcome::Remedy;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// Waits before the first, second and third retry: days 1, 3 and 5 after the
/// first failure. Counted from the failure before, so that a late sweep never
/// puts two attempts on one card close together.
const WAITS: [SignedDuration; 3] = [days(1), days(2), days(2)];

/// How long a customer is still served after the last failed attempt.
const GRACE: SignedDuration = days(3);

/// The most attempts one period can see: the first and every retry.
pub const MOST_ATTEMPTS: u32 = 4;

/// What a subscription that owes money waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "stage", rename_all = "snake_case")]
pub enum Dunning {
    Retry { at: Timestamp },
    Grace { ends_at: Timestamp },
}

impl Dunning {
    /// What follows the `failures`th failed attempt.
    ///
    /// The same payment method is tried again only if that may help.
    pub fn after(failures: u32, remedy: Remedy, now: Timestamp) -> Self {
        let wait = usize::try_from(failures).ok().and_then(|failures| WAITS.get(failures.checked_sub(1)?));
        match (remedy, wait) {
            (Remedy::RetryLater, Some(wait)) => Self::Retry { at: after(now, *wait) },
            (Remedy::RetryLater, None) | (Remedy::AskCustomer | Remedy::NewMethod, _) => {
                Self::Grace { ends_at: after(now, GRACE) }
            }
        }
    }

    pub fn due_at(self) -> Timestamp {
        match self {
            Self::Retry { at } => at,
            Self::Grace { ends_at } => ends_at,
        }
    }
}

/// `now` and a while, or the end of time.
pub(crate) fn after(now: Timestamp, wait: SignedDuration) -> Timestamp {
    now.saturating_add(wait).unwrap_or(Timestamp::MAX)
}

pub(crate) const fn days(days: i64) -> SignedDuration {
    SignedDuration::from_hours(24 * days)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn retried_after_days(failures: u32, remedy: Remedy) -> Option<i64> {
        match Dunning::after(failures, remedy, Timestamp::UNIX_EPOCH) {
            Dunning::Retry { at } => Some(at.as_second() / 86_400),
            Dunning::Grace { .. } => None,
        }
    }

    #[test]
    fn three_retries_means_exactly_three() {
        let waits: Vec<_> = (1..=5).map(|failures| retried_after_days(failures, Remedy::RetryLater)).collect();
        assert_eq!(waits, [Some(1), Some(2), Some(2), None, None]);
    }

    #[test]
    fn what_a_retry_cannot_mend_is_not_retried() {
        assert_eq!(retried_after_days(1, Remedy::NewMethod), None);
        assert_eq!(retried_after_days(1, Remedy::AskCustomer), None);
    }

    #[test]
    fn grace_lasts_three_days() {
        let grace = Dunning::after(4, Remedy::RetryLater, Timestamp::UNIX_EPOCH);
        assert_eq!(grace.due_at().to_string(), "1970-01-04T00:00:00Z");
    }
}
