//! Ladders: after how long each retry follows, and what comes after the last.

use super::{after, days};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// How a plan's renewals are tried again when nothing but time can help.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ladder {
    /// Hours before each retry, from the failure before: so that a late one never puts two on one card close together.
    pub waits_h: Vec<u16>,
    pub then: AfterLast,
}

/// What becomes of a subscription whose last retry has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AfterLast {
    /// The customer is served so many hours more, and may pay meanwhile.
    Grace { hours: u16 },
    /// Nothing more is tried; the subscription waits for the customer, as long as it takes (Meteroid).
    Stop,
    /// What was bought is taken away at once (Polar).
    Revoke,
}

/// A ladder as a plan has it: the one that its subscriptions are dunned by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DunningPolicy {
    /// Whole days after the first failure, ascending, a retry on each. None: it is not tried again.
    pub retry_after_days: Vec<u16>,
    /// For how many days a customer is still served after the last failed attempt.
    pub grace_days: u16,
    /// For how many days after that they may still pay, and have back what they had. 0: it ends when grace does.
    #[serde(default = "month")]
    pub suspension_days: u16,
}

fn month() -> u16 {
    30
}

const MOST_RETRIES: usize = 10;
const LATEST_RETRY: u16 = 60;
const LONGEST_GRACE: u16 = 60;
const LONGEST_SUSPENSION: u16 = 365;

impl Default for DunningPolicy {
    /// PRODUCT 9.
    fn default() -> Self {
        Self { retry_after_days: vec![1, 3, 5], grace_days: 3, suspension_days: month() }
    }
}

impl DunningPolicy {
    /// The most attempts one period can see: the first and every retry.
    pub fn most_attempts(&self) -> usize {
        1 + self.retry_after_days.len()
    }

    pub(super) fn grace(&self) -> SignedDuration {
        days(self.grace_days.into())
    }

    pub(crate) fn suspends(&self) -> bool {
        self.suspension_days > 0
    }

    pub(crate) fn suspension(&self) -> SignedDuration {
        days(self.suspension_days.into())
    }

    /// How long a method rests whose charge failed after `earlier` ones. Counted from this failure, so that a late
    /// sweep never puts two attempts on one card close together. After the last retry as long as before it.
    pub(super) fn wait_after(&self, earlier: usize) -> SignedDuration {
        let waits = self.waits();
        waits.get(earlier).or(waits.last()).copied().unwrap_or(self.grace())
    }

    /// Before each retry, from the failure before.
    fn waits(&self) -> Vec<SignedDuration> {
        let before = std::iter::once(&0).chain(&self.retry_after_days);
        self.retry_after_days
            .iter()
            .zip(before)
            .map(|(day, before)| days(i64::from(*day) - i64::from(*before)))
            .collect()
    }

    /// Tells of everything that is wrong: the field, and what.
    pub(crate) fn check(&self, mut found: impl FnMut(&str, String)) {
        if self.retry_after_days.len() > MOST_RETRIES {
            found("retry_after_days", format!("there are at most {MOST_RETRIES} retries"));
        }
        let mut before = 0;
        for (n, day) in self.retry_after_days.iter().enumerate() {
            if *day <= before || *day > LATEST_RETRY {
                let problem = format!("each is a later day than the one before, from 1 to {LATEST_RETRY}");
                found(&format!("retry_after_days[{n}]"), problem);
            }
            before = *day;
        }
        if self.grace_days > LONGEST_GRACE {
            found("grace_days", format!("grace is at most {LONGEST_GRACE} days"));
        }
        if self.suspension_days > LONGEST_SUSPENSION {
            found("suspension_days", format!("a suspension is at most {LONGEST_SUSPENSION} days"));
        }
    }
}

impl From<&DunningPolicy> for Ladder {
    fn from(policy: &DunningPolicy) -> Self {
        let hours = |wait: SignedDuration| u16::try_from(wait.as_hours()).unwrap_or(u16::MAX);
        let then = AfterLast::Grace { hours: hours(policy.grace()) };
        Self { waits_h: policy.waits().into_iter().map(hours).collect(), then }
    }
}

impl Default for Ladder {
    fn default() -> Self {
        Self::from(&DunningPolicy::default())
    }
}

impl Ladder {
    /// As many retries in as many days as Stripe recommends by default, evenly spread: Stripe itself chooses the
    /// hours by what it knows of the card (docs.stripe.com/billing/revenue-recovery/smart-retries).
    pub fn stripe_like() -> Self {
        Self { waits_h: vec![14 * 24 / 8; 8], then: AfterLast::Stop }
    }

    /// So many days before each retry.
    pub fn of_days(days: &[u8], then: AfterLast) -> Self {
        Self { waits_h: days.iter().map(|days| 24 * u16::from(*days)).collect(), then }
    }

    pub fn retries(&self) -> usize {
        self.waits_h.len()
    }

    /// From the first failure to the last retry, if each is made when it is due.
    pub fn window(&self) -> SignedDuration {
        SignedDuration::from_hours(self.waits_h.iter().map(|wait| i64::from(*wait)).sum())
    }

    /// When each retry is made after a first failure at `failed_at`, if all before it fail at once.
    pub fn times(&self, failed_at: Timestamp) -> Vec<Timestamp> {
        let next = |at: &mut Timestamp, wait: &u16| {
            *at = after(*at, SignedDuration::from_hours(i64::from(*wait)));
            Some(*at)
        };
        self.waits_h.iter().scan(failed_at, next).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dunning::MOST_ATTEMPTS;

    fn dates(ladder: &Ladder) -> Vec<String> {
        let failed_at = "2025-01-01T00:00:00Z".parse().unwrap_or_else(|error| panic!("{error}"));
        ladder.times(failed_at).iter().map(|at| at.to_string()[..10].to_owned()).collect()
    }

    #[test]
    fn ours_retries_on_days_1_3_and_5_and_grants_three_days() {
        let ours = Ladder::default();
        assert_eq!(dates(&ours), ["2025-01-02", "2025-01-04", "2025-01-06"]);
        assert_eq!(ours.then, AfterLast::Grace { hours: 72 });
        assert_eq!((ours.retries() + 1, DunningPolicy::default().most_attempts()), (MOST_ATTEMPTS, MOST_ATTEMPTS));
    }

    #[test]
    fn each_wait_is_counted_from_the_failure_before() {
        let polar = Ladder::of_days(&[2, 5, 7, 7], AfterLast::Revoke);
        assert_eq!(dates(&polar), ["2025-01-03", "2025-01-08", "2025-01-15", "2025-01-22"]);
        assert_eq!(polar.window(), SignedDuration::from_hours(21 * 24));
        assert_eq!(dates(&Ladder::of_days(&[], AfterLast::Stop)), Vec::<String>::new());
    }

    #[test]
    fn stripes_default_is_eight_within_two_weeks() {
        assert_eq!((Ladder::stripe_like().retries(), Ladder::stripe_like().window().as_hours()), (8, 14 * 24));
    }

    #[test]
    fn the_end_of_time_is_the_last_retry() {
        assert_eq!(Ladder::default().times(Timestamp::MAX), [Timestamp::MAX; 3]);
    }
}
