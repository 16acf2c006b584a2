//! The time of a test stack, which is moved rather than awaited.
//!
//! It is set ahead of the world's and ticks on; or it *walks*: it stands still,
//! and goes from each instant at which something is due to the next, up to a
//! goal. Whoever makes the steps, and in however many goes, what is done on the
//! way is done at the same instants. A customer may walk alone, ahead of the
//! stack.

use crate::dunning::after;
use crate::id::CustomerId;
use jiff::{RoundMode, SignedDuration, Timestamp, TimestampRound, Unit};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestClock {
    /// How far ahead of the world's, where the stack does not walk.
    pub ahead_s: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub walk: Option<Walk>,
    /// Those who walk alone.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub customers: BTreeMap<CustomerId, Walk>,
    pub version: u64,
}

/// Where a walk has got to, and where it ends. It stands there until someone takes the next step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Walk {
    pub at: Timestamp,
    pub goal: Timestamp,
}

impl TestClock {
    /// What time it is for `customer`, who is never behind the stack; for nobody in particular, the stack's.
    pub fn now(&self, customer: Option<&CustomerId>, world: Timestamp) -> Timestamp {
        let stack = match self.walk {
            Some(walk) => walk.at,
            None => after(world, SignedDuration::from_secs(self.ahead_s)),
        };
        let own = customer.and_then(|customer| self.customers.get(customer));
        own.map_or(stack, |walk| walk.at.max(stack))
    }

    /// The customers who are ahead of the stack, and what time it is for each.
    pub fn ahead(&self, world: Timestamp) -> BTreeMap<CustomerId, Timestamp> {
        let stack = self.now(None, world);
        let ahead = self.customers.iter().filter(|(_, walk)| walk.at > stack);
        ahead.map(|(customer, walk)| (customer.clone(), walk.at)).collect()
    }

    /// The walk of `customer`, or of the stack.
    pub fn walk_of(&self, customer: Option<&CustomerId>) -> Option<Walk> {
        match customer {
            Some(customer) => self.customers.get(customer).copied(),
            None => self.walk,
        }
    }

    /// Set to `then`, from where it ticks on.
    #[must_use]
    pub(crate) fn set(self, then: Timestamp, world: Timestamp) -> Self {
        Self { ahead_s: whole(then).as_second() - world.as_second(), walk: None, ..self }.tidied(world)
    }

    /// With `walk` as the walk of `customer`, or of the stack.
    #[must_use]
    pub(crate) fn walking(mut self, customer: Option<&CustomerId>, walk: Walk, world: Timestamp) -> Self {
        match customer {
            Some(customer) => _ = self.customers.insert(customer.clone(), walk),
            None => self.walk = Some(walk),
        }
        self.tidied(world)
    }

    /// Without the walks that the stack has left behind.
    fn tidied(mut self, world: Timestamp) -> Self {
        let stack = self.now(None, world);
        self.customers.retain(|_, walk| walk.goal >= stack);
        self
    }
}

/// The whole second that `at` is in the past of, or at: what is due between two is due by then.
pub(crate) fn whole(at: Timestamp) -> Timestamp {
    at.round(TimestampRound::new().smallest(Unit::Second).mode(RoundMode::Ceil)).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{customer, instant};

    fn world() -> Timestamp {
        instant("2025-01-31T10:00:00.25Z")
    }

    fn walk(at: &str) -> Walk {
        Walk { at: instant(at), goal: instant("2030-01-31T10:00:00Z") }
    }

    #[test]
    fn a_clock_that_nobody_walks_ticks() {
        let clock = TestClock { ahead_s: 86_400, ..TestClock::default() };
        assert_eq!(clock.now(None, world()), instant("2025-02-01T10:00:00.25Z"));
        assert_eq!(clock.now(Some(&customer()), world()), clock.now(None, world()));
    }

    #[test]
    fn a_clock_that_walks_stands_still_and_ticks_on_when_it_is_set() {
        let walking = TestClock::default().walking(None, walk("2026-01-31T10:00:00Z"), world());
        for seconds in [0, 1, 86_400] {
            let world = after(world(), SignedDuration::from_secs(seconds));
            assert_eq!(walking.now(None, world), instant("2026-01-31T10:00:00Z"));
        }
        let set = walking.set(instant("2026-02-28T10:00:00Z"), world());
        assert_eq!(set.now(None, world()), instant("2026-02-28T10:00:00.25Z"));
    }

    #[test]
    fn a_customer_who_walks_alone_is_never_behind_the_stack() {
        let clock = TestClock::default().walking(Some(&customer()), walk("2025-03-31T10:00:00Z"), world());
        assert_eq!(clock.now(None, world()), world());
        assert_eq!(clock.now(Some(&customer()), world()), instant("2025-03-31T10:00:00Z"));
        assert_eq!(clock.ahead(world()), BTreeMap::from([(customer(), instant("2025-03-31T10:00:00Z"))]));

        let level = clock.clone().set(instant("2025-03-31T10:00:00Z"), instant("2025-01-31T10:00:00Z"));
        assert_eq!(level.ahead(instant("2025-01-31T10:00:00Z")), BTreeMap::new(), "they are where the stack is");
        let overtaken = clock.set(instant("2026-01-31T10:00:00Z"), world());
        assert_eq!(overtaken.now(Some(&customer()), world()), overtaken.now(None, world()));
        assert!(overtaken.ahead(world()).is_empty());
        assert_eq!(overtaken.walk_of(Some(&customer())), Some(walk("2025-03-31T10:00:00Z")), "it is not at its goal");
        assert_eq!(overtaken.set(instant("2031-01-31T10:00:00Z"), world()).walk_of(Some(&customer())), None);
    }

    #[test]
    fn what_an_earlier_release_wrote_is_read() {
        let clock: TestClock = serde_json::from_str(r#"{"ahead_s":60,"version":3}"#).unwrap_or_default();
        assert_eq!(clock, TestClock { ahead_s: 60, version: 3, ..TestClock::default() });
        assert_eq!(serde_json::to_string(&clock).unwrap_or_default(), r#"{"ahead_s":60,"version":3}"#);
    }

    #[test]
    fn between_two_seconds_is_the_later_one() {
        for (at, expected) in [
            ("2025-01-31T10:00:00Z", "2025-01-31T10:00:00Z"),
            ("2025-01-31T10:00:00.000000001Z", "2025-01-31T10:00:01Z"),
            ("2025-01-31T10:00:00.999Z", "2025-01-31T10:00:01Z"),
        ] {
            assert_eq!(whole(instant(at)), instant(expected), "{at}");
        }
    }
}
