//! What is asked of a subscription, what it is told, and what happened to it.

use super::{CancelReason, Order, Status};
use crate::driven::Driven;
use crate::dunning::{Dunning, Failure};
use crate::id::{MethodId, PaymentId};
use crate::outcome::Decline;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What someone asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    CancelAtPeriodEnd,
    CancelNow,
    Resume,
}

/// What a gateway tells us, or time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// `order`: what was bought, if this payment opens a subscription.
    Paid {
        payment: PaymentId,
        order: Option<Box<Order>>,
    },
    /// A charge of ours was declined. What happens on a page before it ends is nobody's business.
    Declined {
        payment: PaymentId,
        method: Option<MethodId>,
        decline: Decline,
    },
    /// An attempt ended and nobody had paid.
    Abandoned {
        payment: PaymentId,
    },
    /// A payment is due and there is nothing to charge.
    NoMethod,
    /// There is something that could be charged. `method`: the customer has just left it, new or mended.
    MethodAdded {
        method: Option<MethodId>,
    },
    /// The customer's bank disputes a payment.
    Disputed {
        payment: PaymentId,
    },
    DisputeWon {
        payment: PaymentId,
    },
    /// The money is gone.
    DisputeLost {
        payment: PaymentId,
    },
}

/// What happened, in the past tense. Stored, so its meaning never changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event {
    Activated {
        payment: PaymentId,
        order: Box<Order>,
        at: Timestamp,
    },
    Renewed {
        payment: PaymentId,
    },
    PaymentMissed {
        /// None: there was no method to charge.
        failure: Option<Failure>,
        dunning: Dunning,
    },
    /// There is something to charge again.
    RetryScheduled {
        at: Timestamp,
        /// What the customer has just left: how it failed before says nothing of it now.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mended: Option<MethodId>,
    },
    /// Nobody paid, and nothing follows but that the subscription waits for it no more.
    AttemptEnded {
        payment: PaymentId,
    },
    Disputed {
        payment: PaymentId,
    },
    DisputeSettled {
        payment: PaymentId,
    },
    /// Paid twice, or for something we no longer serve. The money must go back.
    RefundOwed {
        payment: PaymentId,
    },
    CancellationScheduled,
    CancellationRevoked,
    Canceled {
        at: Timestamp,
        reason: CancelReason,
    },
    Expired {
        at: Timestamp,
    },
    /// What it is where it is driven, as far as that has changed.
    Followed {
        driven: Box<Driven>,
        order: Box<Order>,
        became: Status,
        attempts: u32,
        failure: Option<Failure>,
    },
}

/// Why a request is not granted. An expected answer, not a malfunction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("the subscription has ended")]
    Ended,
    #[error("the subscription has not been paid for yet")]
    NotActive,
    #[error("there is a subscription already; change that one")]
    AlreadySubscribed,
    #[error("this plan is sold once a customer: quantity must be 1")]
    QuantityNotOne,
    #[error("that many would cost more than can be charged")]
    TooExpensive,
    #[error("nothing is owed")]
    NothingOwed,
    #[error("a charge for what is owed is running: its outcome comes first")]
    ChargeRunning,
    #[error("another system charges for the subscription: it is changed and canceled there")]
    DrivenElsewhere,
}

/// What time alone brings about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// The period after the current one is to be paid.
    Payment,
    Cancellation(CancelReason),
    Expiry,
    /// It is driven elsewhere: how does it stand there?
    Look,
}
