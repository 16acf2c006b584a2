//! What a gateway can answer: how a payment stands, how it ends, and what
//! became of the money afterwards.
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

/// What became of money after it was taken, by the gateway's latest word.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Aftermath {
    /// Minor units that went back, whoever sent them: by us, or by hand on the gateway's own pages.
    pub returned: i64,
    pub dispute: Option<Dispute>,
}

/// A chargeback: the customer's bank, or the gateway, takes the money back or tries to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dispute {
    /// What the gateway calls it.
    pub id: String,
    /// The gateway's word for why.
    pub reason: String,
    pub standing: DisputeStanding,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DisputeStanding {
    Open,
    /// Decided for the merchant.
    Won,
    /// Decided for the customer: the money is gone.
    Lost,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decline {
    /// The gateway's code.
    pub code: String,
    pub remedy: Remedy,
    /// The issuer's own advice: not before so many hours have passed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_h: Option<u16>,
    /// Where the customer may do what is asked of them, if the gateway said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
}

impl Decline {
    pub fn new(code: impl Into<String>, remedy: Remedy) -> Self {
        Self { code: code.into(), remedy, wait_h: None, link: None }
    }
}

/// What may help after a decline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Remedy {
    /// The same method may work later.
    RetryLater,
    /// The same method may work later, but issuers who say so mostly mean no: one more try, and that is all.
    FewTries,
    /// The customer must authenticate or correct something.
    AskCustomer,
    /// This method will not work again.
    NewMethod,
    /// Nothing is wrong with the customer: our account at the gateway does not allow it.
    OurFault,
}

/// How the gateway answered. `Declined` is an answer; not hearing back must be
/// asked about again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Pending(Stage),
    Succeeded {
        receipt: Receipt,
        aftermath: Aftermath,
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

/// What looking a payment up at the gateway shows.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "made, matched and gone: there is never more than one")]
pub enum Sighting {
    Known(Outcome),
    /// The gateway says that it never heard of the payment.
    NeverHeard,
    /// The gateway cannot be asked by our reference. Only sending the same
    /// request again, while it remembers the key, tells what became of it.
    CannotTell,
}

/// What became of a request to give money back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RefundOutcome {
    Done {
        /// What the gateway calls the refund.
        id: String,
    },
    Pending,
    /// It was not, and will not be, given back by this request.
    Failed {
        /// The gateway's code.
        code: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_not_paid_in_time_has_not_paid() {
        assert_eq!(Outcome::Pending(Stage::Pending).at_the_end(), Outcome::Expired);
        let declined = Decline::new("insufficient_funds", Remedy::RetryLater);
        assert_eq!(Outcome::Declined(declined).at_the_end(), Outcome::Expired);
        let paying = Outcome::Pending(Stage::Processing);
        assert_eq!(paying.clone().at_the_end(), paying);
    }
}
