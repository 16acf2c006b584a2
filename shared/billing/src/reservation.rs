//! What is held of a meter for a while, so that nobody else takes it before it is used.
//!
//! A reservation ends when it is used, released, or over. Nobody has to come by for the last: whoever reads it knows the
//! time.

use crate::id::UsageId;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::num::NonZeroU64;

/// As many may be open of one meter: they are stored with it, and each count is of a record of that size.
pub const MOST_OPEN: usize = 100;

const MOST_MINUTES: u16 = 24 * 60;

/// For how long something is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub struct Minutes(u16);

impl TryFrom<u16> for Minutes {
    type Error = &'static str;

    fn try_from(minutes: u16) -> Result<Self, &'static str> {
        match minutes {
            1..=MOST_MINUTES => Ok(Self(minutes)),
            _ => Err("is 1 to 1440: at most a day"),
        }
    }
}

impl From<Minutes> for u16 {
    fn from(minutes: Minutes) -> Self {
        minutes.0
    }
}

impl From<Minutes> for SignedDuration {
    fn from(minutes: Minutes) -> Self {
        Self::from_mins(minutes.0.into())
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reservation {
    pub value: NonZeroU64,
    /// That were asked for.
    pub minutes: Minutes,
    /// From then on it holds nothing.
    pub expires_at: Timestamp,
}

/// Those of one meter, by the id of the use that each is for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reservations {
    /// The sum of all that are stored: a store compares it, and knows no time.
    held: u64,
    by_id: BTreeMap<UsageId, Reservation>,
}

impl Reservations {
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    pub fn held(&self) -> u64 {
        self.held
    }

    pub fn get(&self, id: &UsageId) -> Option<&Reservation> {
        self.by_id.get(id)
    }

    /// Those that hold something at `now`.
    #[must_use]
    pub fn open(&self, now: Timestamp) -> Self {
        let open = self.by_id.iter().filter(|(_, it)| it.expires_at > now);
        Self::of(open.map(|(id, it)| (id.clone(), it.clone())).collect())
    }

    #[must_use]
    pub fn with(mut self, id: UsageId, reservation: Reservation) -> Self {
        self.by_id.insert(id, reservation);
        Self::of(self.by_id)
    }

    #[must_use]
    pub fn without(mut self, id: &UsageId) -> Self {
        match self.by_id.remove(id) {
            Some(_) => Self::of(self.by_id),
            None => self,
        }
    }

    fn of(by_id: BTreeMap<UsageId, Reservation>) -> Self {
        let held = by_id.values().fold(0_u64, |sum, it| sum.saturating_add(it.value.get()));
        Self { held, by_id }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::instant;

    fn id(name: &str) -> UsageId {
        UsageId::try_from(name.to_owned()).unwrap_or_else(|error| panic!("{error}"))
    }

    fn reservation(value: u64, expires_at: &str) -> Reservation {
        let value = NonZeroU64::new(value).unwrap_or_else(|| panic!("nothing"));
        Reservation { value, minutes: Minutes(10), expires_at: instant(expires_at) }
    }

    #[test]
    fn minutes_are_one_to_a_day() {
        let read = |minutes: u16| Minutes::try_from(minutes).map(u16::from).ok();
        assert_eq!([0, 1, 1_440, 1_441, u16::MAX].map(read), [None, Some(1), Some(1_440), None, None]);
        let hour = Minutes(60);
        assert_eq!(SignedDuration::from(hour), SignedDuration::from_hours(1));
    }

    #[test]
    fn what_is_held_is_the_sum_of_those_that_are_not_over() {
        let all = Reservations::default()
            .with(id("a"), reservation(5, "2025-03-01T10:00:00Z"))
            .with(id("b"), reservation(7, "2025-03-01T10:00:01Z"));
        assert_eq!((all.held(), all.len()), (12, 2));
        let cases = [("09:59:59", 12), ("10:00:00", 7), ("10:00:01", 0)];
        for (time, held) in cases {
            let open = all.open(instant(&format!("2025-03-01T{time}Z")));
            assert_eq!(open.held(), held, "{time}");
            assert_eq!(open.is_empty(), held == 0);
        }
        assert_eq!(all.clone().without(&id("a")).held(), 7);
        assert_eq!(all.clone().without(&id("c")), all);
        let most = all.with(id("c"), reservation(u64::MAX, "2025-03-01T10:00:00Z"));
        assert_eq!(most.held(), u64::MAX);
    }
}
