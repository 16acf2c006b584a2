//! Money that goes back: how much, why, and how far it has come.
//!
//! A refund is an obligation: recorded first, asked for until the gateway has
//! said what became of it.

use crate::money::Money;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Money that we give back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refund {
    /// Counted from 1 within its payment.
    pub number: u32,
    pub amount: Money,
    pub reason: RefundReason,
    pub asked_at: Timestamp,
    pub status: RefundStatus,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefundReason {
    /// Paid twice, late, or not in the amount that was asked: not ours to keep.
    NotOwed,
    RequestedByCustomer,
    Duplicate,
    Fraudulent,
    Other,
}

/// Why someone asks to give money back. That it was never owed, only the money itself can say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AskedBecause {
    RequestedByCustomer,
    Duplicate,
    Fraudulent,
    Other,
}

impl From<AskedBecause> for RefundReason {
    fn from(because: AskedBecause) -> Self {
        match because {
            AskedBecause::RequestedByCustomer => Self::RequestedByCustomer,
            AskedBecause::Duplicate => Self::Duplicate,
            AskedBecause::Fraudulent => Self::Fraudulent,
            AskedBecause::Other => Self::Other,
        }
    }
}

/// How much of a payment: `"all"` that is left of it, or so much: `{"minor": 1500, "currency": "USD"}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Portion {
    All,
    #[serde(untagged)]
    Part(Money),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum RefundStatus {
    Due { check_at: Timestamp, tries: u32 },
    Done { id: String, at: Timestamp },
    Failed { code: String, at: Timestamp },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RefundRefusal {
    #[error("no money was taken with this payment")]
    NotPaid,
    #[error("no more than {0} minor units of it are left to give back")]
    MoreThanLeft(i64),
    #[error("it was paid in another currency")]
    OtherCurrency,
    #[error("an amount to give back is more than nothing")]
    Nothing,
    #[error("the bank is deciding about it: a refund would be paid twice")]
    Disputed,
    #[error("it was spent on what the customer bought: only {0} minor units are still theirs")]
    Spent(i64),
}

/// With the waits between them, some six days.
pub(super) const LOOKS_BEFORE_A_REFUND_IS_STUCK: u32 = 28;

impl Refund {
    pub fn is_due(&self) -> bool {
        self.due_at().is_some()
    }

    /// Whether it has been under way for longer than any should take.
    pub fn is_stuck(&self) -> bool {
        match self.status {
            RefundStatus::Due { tries, .. } => tries >= LOOKS_BEFORE_A_REFUND_IS_STUCK,
            RefundStatus::Done { .. } | RefundStatus::Failed { .. } => false,
        }
    }

    pub(super) fn due_at(&self) -> Option<Timestamp> {
        match self.status {
            RefundStatus::Due { check_at, .. } => Some(check_at),
            RefundStatus::Done { .. } | RefundStatus::Failed { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{instant, off_session_payment};

    #[test]
    fn a_refund_is_stuck_once_it_was_asked_for_often_enough() {
        let now = instant("2026-01-31T12:00:00Z");
        let refund = |status| {
            let amount = off_session_payment().amount;
            Refund { number: 1, amount, reason: RefundReason::NotOwed, asked_at: now, status }
        };
        let due = |tries| refund(RefundStatus::Due { check_at: now, tries }).is_stuck();
        let most = LOOKS_BEFORE_A_REFUND_IS_STUCK;
        assert_eq!([0, most - 1, most, most + 1].map(due), [false, false, true, true]);
        let done = refund(RefundStatus::Done { id: "re_1".to_owned(), at: now });
        let failed = refund(RefundStatus::Failed { code: "refused".to_owned(), at: now });
        assert!(!done.is_stuck() && !failed.is_stuck());
    }
}
