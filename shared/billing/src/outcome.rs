//! What a gateway can answer: how a payment stands, and how it ends.
//!
//! An outcome is the gateway's word. That there was none is a
//! [`GatewayError`](crate::ports::GatewayError), and never an outcome.

use crate::money::Money;
use crate::wallet::Method;
use serde::{Deserialize, Serialize};

/// What a payment without an outcome waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// The customer has not paid yet.
    Pending,
    /// The customer must prove that they are themselves.
    RequiresAction,
    /// The bank is at work.
    Processing,
}

/// The gateway's word that money was taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// What the gateway calls the charge, and what a refund names.
    pub id: String,
    pub amount: Money,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decline {
    /// The gateway's code.
    pub code: String,
    pub remedy: Remedy,
}

/// What may help after a decline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Remedy {
    /// The same method may work later.
    RetryLater,
    /// The customer must authenticate or correct something.
    AskCustomer,
    /// This method will not work again.
    NewMethod,
}

/// How the gateway answered. `Declined` is an answer; not hearing back must be
/// asked about again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Pending(Stage),
    Succeeded {
        receipt: Receipt,
        /// What later payments may be charged to.
        method: Option<Method>,
    },
    Declined(Decline),
    /// It ended unpaid, and the gateway takes no money for it any more.
    Expired,
}

impl Outcome {
    /// The same when the time to pay is over: who has not paid by then has not
    /// paid, although a gateway that cannot close its page goes on waiting.
    #[must_use]
    pub(crate) fn at_the_end(self) -> Self {
        match self {
            Self::Pending(Stage::Pending) | Self::Declined(_) | Self::Expired => Self::Expired,
            Self::Pending(Stage::RequiresAction | Stage::Processing) | Self::Succeeded { .. } => self,
        }
    }
}

/// What became of a request to give money back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RefundOutcome {
    Done {
        /// What the gateway calls the refund.
        id: String,
    },
    Pending,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_not_paid_in_time_has_not_paid() {
        assert_eq!(Outcome::Pending(Stage::Pending).at_the_end(), Outcome::Expired);
        let declined = Decline { code: "insufficient_funds".to_owned(), remedy: Remedy::RetryLater };
        assert_eq!(Outcome::Declined(declined).at_the_end(), Outcome::Expired);
        let paying = Outcome::Pending(Stage::Processing);
        assert_eq!(paying.clone().at_the_end(), paying);
    }
}
