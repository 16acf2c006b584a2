//! A request to a gateway, and what was heard of it.

use billing::id::CustomerId;
use billing::outcome::{Aftermath, Outcome, Receipt, RefundOutcome, Sighting};
use billing::payment::{Gateway, Payment, Refund};
use billing::wallet::Method;

#[derive(Clone, Debug)]
pub(crate) enum Errand {
    Open(Payment),
    Charge(Payment),
    Find(Payment),
    Close(Payment),
    Refund(Payment, Refund),
    Forget(Method),
}

impl Errand {
    pub(crate) fn gateway(&self) -> Gateway {
        match self {
            Self::Open(it) | Self::Charge(it) | Self::Find(it) | Self::Close(it) | Self::Refund(it, _) => it.gateway,
            Self::Forget(it) => it.gateway,
        }
    }

    /// Whose it is. A method alone does not say.
    pub(crate) fn customer(&self) -> Option<&CustomerId> {
        match self {
            Self::Open(it) | Self::Charge(it) | Self::Find(it) | Self::Close(it) | Self::Refund(it, _) => {
                Some(&it.customer)
            }
            Self::Forget(_) => None,
        }
    }

    /// What an answer to it is about.
    pub(crate) fn about(&self) -> String {
        match self {
            Self::Open(it) | Self::Charge(it) | Self::Find(it) | Self::Close(it) => it.reference.to_string(),
            Self::Refund(payment, refund) => payment.refund_reference(refund),
            Self::Forget(it) => it.token.clone(),
        }
    }

    pub(crate) fn told(&self) -> String {
        match self {
            Self::Open(it) => format!("open {}", it.id),
            Self::Charge(it) => format!("charge {}", it.id),
            Self::Find(it) => format!("find {}", it.id),
            Self::Close(it) => format!("close {}", it.id),
            Self::Refund(it, refund) => format!("give back {} of {}: number {}", refund.amount, it.id, refund.number),
            Self::Forget(it) => format!("forget {}", it.token),
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Heard {
    Nothing,
    /// The gateway cannot be asked by our reference.
    CannotTell,
    Waiting,
    Paid(Receipt, Aftermath),
    Declined,
    Ended,
    /// Of a refund.
    Refunded,
    NotRefunded,
    /// Of a method.
    Forgotten,
}

impl Heard {
    pub(crate) fn of_outcome(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Pending(_) => Self::Waiting,
            Outcome::Succeeded { receipt, aftermath, .. } => Self::Paid(receipt.clone(), aftermath.clone()),
            Outcome::Declined(_) => Self::Declined,
            Outcome::Expired => Self::Ended,
        }
    }

    pub(crate) fn of_sighting(sighting: &Sighting) -> Self {
        match sighting {
            Sighting::Known(outcome) => Self::of_outcome(outcome),
            Sighting::NeverHeard => Self::Nothing,
            Sighting::CannotTell => Self::CannotTell,
        }
    }

    pub(crate) fn of_refund(refund: &RefundOutcome) -> Self {
        match refund {
            RefundOutcome::Done { .. } => Self::Refunded,
            RefundOutcome::Pending => Self::Waiting,
            RefundOutcome::Failed { .. } => Self::NotRefunded,
        }
    }
}
