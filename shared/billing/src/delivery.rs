//! A delivery: what a gateway told us, kept for audit.
//!
//! A delivery never says what became of money; it says where to look. Whoever
//! acts on one reads the payment at the gateway with our own credentials.

use crate::dunning::after;
use crate::id::Reference;
use crate::payment::{Gateway, backoff};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct DeliveryId {
    pub gateway: Gateway,
    /// The gateway's own id of the event, or what makes it the same event.
    pub event: String,
}

/// A delivery whose signature was found genuine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    pub id: DeliveryId,
    /// The gateway's name for what happened: `charge.success`.
    pub kind: String,
    /// The payment it is about, if it is about one of ours.
    pub reference: Option<Reference>,
    /// What the gateway calls the thing it is about, where the payment alone does not lead there.
    pub object: Option<String>,
    /// The delivery as it came, for audit.
    pub body: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    pub id: DeliveryId,
    pub kind: String,
    pub reference: Option<Reference>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<String>,
    pub body: String,
    pub received_at: Timestamp,
    pub status: DeliveryStatus,
    pub version: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum DeliveryStatus {
    /// The gateway could not be asked yet.
    Waiting {
        check_at: Timestamp,
        tries: u32,
    },
    Done,
}

/// A delivery that could not be acted on for longer is someone's to look at.
const ACTED_ON_WITHIN: SignedDuration = SignedDuration::from_hours(24);

/// How long a delivery is kept once it is done.
pub const KEPT_FOR: SignedDuration = SignedDuration::from_hours(24 * 400);

impl Delivery {
    pub fn done(notice: Notice, now: Timestamp) -> Self {
        let Notice { id, kind, reference, object, body } = notice;
        Self { id, kind, reference, object, body, received_at: now, status: DeliveryStatus::Done, version: 0 }
    }

    /// Received, and to be finished when the gateway answers.
    #[must_use]
    pub fn waiting(self, now: Timestamp) -> Self {
        let tries = match self.status {
            DeliveryStatus::Waiting { tries, .. } => tries,
            DeliveryStatus::Done => 0,
        };
        let check_at = after(now, backoff(tries));
        Self { status: DeliveryStatus::Waiting { check_at, tries: tries.saturating_add(1) }, ..self }
    }

    /// Whether it has waited for longer than any outage should last.
    pub fn is_overdue(&self, now: Timestamp) -> bool {
        match self.status {
            DeliveryStatus::Waiting { .. } => now >= after(self.received_at, ACTED_ON_WITHIN),
            DeliveryStatus::Done => false,
        }
    }

    #[must_use]
    pub fn finished(self) -> Self {
        Self { status: DeliveryStatus::Done, ..self }
    }

    pub fn due_at(&self) -> Option<Timestamp> {
        match self.status {
            DeliveryStatus::Waiting { check_at, .. } => Some(check_at),
            DeliveryStatus::Done => None,
        }
    }

    /// When the store may forget it: never while something is left to do.
    pub fn expires_at(&self) -> Option<Timestamp> {
        match self.status {
            DeliveryStatus::Waiting { .. } => None,
            DeliveryStatus::Done => Some(after(self.received_at, KEPT_FOR)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::instant;

    fn done() -> Delivery {
        let id = DeliveryId { gateway: Gateway::Stripe, event: "evt_1".to_owned() };
        let notice =
            Notice { id, kind: "charge.succeeded".to_owned(), reference: None, object: None, body: "{}".to_owned() };
        Delivery::done(notice, instant("2025-01-31T10:00:00Z"))
    }

    #[test]
    fn a_delivery_that_waits_for_a_day_is_someones_to_look_at() {
        let waiting = done().waiting(instant("2025-01-31T10:00:00Z"));
        let overdue = |at| waiting.is_overdue(instant(at));
        assert_eq!([overdue("2025-02-01T09:59:59Z"), overdue("2025-02-01T10:00:00Z")], [false, true]);
        assert!(!done().is_overdue(instant("2035-01-31T10:00:00Z")), "what is done waits for nothing");
    }

    #[test]
    fn a_delivery_is_kept_for_four_hundred_days_and_while_something_is_left_to_do() {
        assert_eq!(done().expires_at(), Some(instant("2026-03-07T10:00:00Z")));
        assert_eq!(done().waiting(instant("2025-01-31T10:00:00Z")).expires_at(), None);
    }
}
