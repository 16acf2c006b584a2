//! What is to be done for a subscription by itself, and when.

use super::{CancelReason, Due, Status, Subscription};
use crate::dunning::{Dunning, after};
use jiff::{SignedDuration, Timestamp};

/// How soon it is seen again whether what was missing is there.
const HELD_FOR: SignedDuration = SignedDuration::from_mins(15);

impl Subscription {
    /// What is to be done now, whoever asks and however often.
    pub fn due(&self, now: Timestamp) -> Option<Due> {
        if now < self.due_at()? {
            return None;
        }
        match &self.status {
            _ if self.is_driven() => Some(Due::Look),
            Status::Active { .. } if self.changing.is_some() => Some(Due::ChangeOver),
            Status::Active { cancel_at_period_end: true, .. } => Some(Due::Cancellation(CancelReason::Requested)),
            Status::Active { .. } if !self.disputed.is_empty() => Some(Due::Cancellation(CancelReason::Disputed)),
            Status::Active { .. } if self.is_trialing() && !self.is_over(now) => Some(Due::Reminder),
            Status::Active { .. } if self.pausing => Some(Due::Pause),
            Status::Active { cancel_at_period_end: false, .. } if !self.expires() => Some(Due::Payment),
            Status::Active { cancel_at_period_end: false, .. } => Some(Due::Expiry),
            Status::PastDue { dunning: Dunning::Retry { .. }, .. } => Some(Due::Payment),
            Status::PastDue { dunning: Dunning::Grace { .. }, .. } if self.order.plan.dunning.suspends() => {
                Some(Due::Suspension)
            }
            Status::PastDue { dunning: Dunning::Grace { .. } | Dunning::Suspended { .. }, .. } => {
                Some(Due::Cancellation(CancelReason::Unpaid))
            }
            Status::Incomplete | Status::Paused { .. } | Status::Canceled { .. } | Status::Expired { .. } => None,
        }
    }

    /// When [`due`](Self::due) next has something to say, if ever.
    ///
    /// While an attempt is open the subscription waits for it, and the payment
    /// carries the alarm clock. Only grace and suspension end whatever page is
    /// open: else opening one again and again would make them last for ever.
    pub fn due_at(&self) -> Option<Timestamp> {
        if let Some(driven) = &self.driven {
            return driven.look_at;
        }
        // Nor does a renewal wait for what would have changed the period before.
        let nothing_tried =
            matches!(self.status, Status::PastDue { dunning: Dunning::Grace { .. } | Dunning::Suspended { .. }, .. });
        if self.open.is_some() && self.changing.is_none() && !nothing_tried {
            return None;
        }
        let due_at = match &self.status {
            Status::Active { cancel_at_period_end: false, .. } if self.is_trialing() && !self.reminded => {
                self.trial.map(|trial| trial.reminder_at(&self.time_zone))
            }
            Status::Active { .. } => self.period().map(|period| period.end),
            Status::PastDue { dunning, .. } => Some(dunning.due_at()),
            Status::Incomplete | Status::Paused { .. } | Status::Canceled { .. } | Status::Expired { .. } => None,
        };
        due_at.map(|due_at| self.held_until.map_or(due_at, |held_until| held_until.max(due_at)))
    }

    /// The same when nothing could be done for want of a gateway, or of our keys to it: later.
    #[must_use]
    pub(crate) fn held(self, now: Timestamp) -> Self {
        Self { held_until: Some(after(now, HELD_FOR)), ..self }
    }
}
