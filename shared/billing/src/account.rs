//! A virtual account: a bank account in the customer's name, to which money may
//! come at any time and in any amount (PRODUCT 16).
//!
//! What came in and is on no payment is the customer's credit:
//!
//! ```text
//! credit = transfers in - what of them went back or is promised to - payments made from it + refunds of those
//! ```

use crate::dunning::{after, days};
use crate::id::{CustomerId, PaymentId};
use crate::money::{Currency, Money};
use crate::outcome::Receipt;
use crate::payment::{BankAccount, Gateway};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VirtualAccount {
    pub customer: CustomerId,
    pub gateway: Gateway,
    /// The gateway's name for the customer, kept: it has one account for each.
    pub payer: String,
    pub currency: Currency,
    pub account: BankAccount,
    /// How many transfers came in; their payments are numbered by it.
    pub received: u32,
    /// Minor units that came in and are on no payment. Less than nothing: the
    /// gateway took back what had been spent.
    pub credit: i64,
    /// The payment that was last to be made from it. It may be paid although another page was opened since.
    pub awaited: Option<PaymentId>,
    pub opened_at: Timestamp,
    /// When the gateway is next asked what came in; webhooks are lost.
    pub check_at: Timestamp,
    /// Incremented by every commit; guards against lost updates.
    pub version: u64,
}

/// A transfer, as the gateway tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incoming {
    /// The gateway's own, unique for ever.
    pub reference: String,
    pub receipt: Receipt,
    pub sender: Option<String>,
    pub at: Timestamp,
}

impl VirtualAccount {
    /// What can be paid with it now.
    pub fn credit(&self) -> Money {
        Money::new(self.credit.max(0), self.currency)
    }

    pub fn covers(&self, amount: Money) -> bool {
        amount.currency == self.currency && amount.minor <= self.credit
    }

    #[must_use]
    pub(crate) fn credited(self, minor: i64) -> Self {
        Self { credit: self.credit.saturating_add(minor), ..self }
    }

    #[must_use]
    pub(crate) fn looked(self, now: Timestamp) -> Self {
        Self { check_at: after(now, days(1)), ..self }
    }
}
