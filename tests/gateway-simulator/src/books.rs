//! The simulator's own record of the money that moved: written where it moves,
//! beside the gateways' objects, so that a checker can hold the two (and the
//! system under test) against each other.

use crate::gateway::Gateway;
use crate::table::{Row, Table};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Amount {
    pub(crate) minor: i64,
    pub(crate) currency: String,
}

impl Amount {
    pub(crate) fn new(minor: i64, currency: &str) -> Self {
        Self { minor, currency: currency.to_ascii_uppercase() }
    }
}

/// One attempt to take money, successful or not.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Charge {
    pub(crate) gateway: Gateway,
    /// What the merchant calls the payment.
    pub(crate) reference: String,
    /// What the gateway calls the attempt.
    pub(crate) id: String,
    /// What the gateway calls the payment that the attempt belongs to.
    pub(crate) payment: String,
    pub(crate) customer: String,
    pub(crate) amount: Amount,
    pub(crate) status: Status,
    /// Why it was declined.
    pub(crate) code: Option<String>,
    pub(crate) refunded: i64,
    pub(crate) off_session: bool,
    pub(crate) at: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Status {
    Succeeded,
    Failed,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Refund {
    pub(crate) gateway: Gateway,
    pub(crate) reference: String,
    pub(crate) id: String,
    pub(crate) charge: String,
    pub(crate) customer: String,
    pub(crate) amount: Amount,
    /// The gateway's own word.
    pub(crate) status: String,
    pub(crate) at: String,
}

/// A charge that its customer took to their bank.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Dispute {
    pub(crate) gateway: Gateway,
    pub(crate) reference: String,
    pub(crate) id: String,
    pub(crate) charge: String,
    pub(crate) customer: String,
    pub(crate) amount: Amount,
    pub(crate) stage: Stage,
    pub(crate) at: String,
}

impl Row for Dispute {
    fn id(&self) -> &str {
        &self.id
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Stage {
    /// The bank asks; no money moved.
    Inquiry,
    /// The bank took the money back for the time being.
    Open,
    Won,
    /// The money is gone.
    Lost,
}

/// Money that someone sent to an account by bank transfer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Transfer {
    pub(crate) gateway: Gateway,
    /// The payment's, which is the gateway's own where money came unasked.
    pub(crate) reference: String,
    pub(crate) id: String,
    /// The charge that it became.
    pub(crate) charge: Option<String>,
    pub(crate) account: String,
    pub(crate) customer: String,
    pub(crate) amount: Amount,
    pub(crate) fate: Fate,
    pub(crate) at: String,
}

impl Row for Transfer {
    fn id(&self) -> &str {
        &self.id
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Fate {
    /// It became a charge.
    Credited,
    /// It went back to its sender.
    Returned,
    /// It is at the bank, and the gateway does not know yet.
    Unnoticed,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Books {
    pub(crate) charges: Vec<Charge>,
    pub(crate) refunds: Vec<Refund>,
    /// These, unlike a movement of money, reach further stages: a line is replaced by what became of it.
    pub(crate) disputes: Table<Dispute>,
    pub(crate) transfers: Table<Transfer>,
}

/// Which lines of the books are asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Filter {
    pub(crate) gateway: Option<Gateway>,
    pub(crate) reference: Option<String>,
    pub(crate) customer: Option<String>,
}

impl Filter {
    pub(crate) fn accepts(&self, gateway: Gateway, reference: &str, customer: Option<&str>) -> bool {
        self.gateway.is_none_or(|wanted| wanted == gateway)
            && self.reference.as_deref().is_none_or(|wanted| wanted == reference)
            && self.customer.as_deref().is_none_or(|wanted| Some(wanted) == customer)
    }
}

impl Books {
    pub(crate) fn rows(&self) -> usize {
        self.charges.len() + self.refunds.len() + self.disputes.len() + self.transfers.len()
    }

    /// Notes a refund against the charge it returns.
    pub(crate) fn refund(&mut self, refund: Refund) {
        self.shift(refund.gateway, &refund.charge, refund.amount.minor);
        self.refunds.push(refund);
    }

    /// A refund changed its state; one that failed gives the money back to the merchant.
    pub(crate) fn refund_is(&mut self, gateway: Gateway, id: &str, status: &str) {
        let Some(refund) = self.refunds.iter_mut().rev().find(|r| r.gateway == gateway && r.id == id) else { return };
        refund.status = status.to_owned();
        if status.eq_ignore_ascii_case("failed") {
            let (charge, minor) = (refund.charge.clone(), refund.amount.minor);
            self.shift(gateway, &charge, -minor);
        }
    }

    fn shift(&mut self, gateway: Gateway, id: &str, minor: i64) {
        if let Some(charge) = self.charges.iter_mut().rev().find(|c| c.gateway == gateway && c.id == id) {
            charge.refunded += minor;
        }
    }

    pub(crate) fn show(&self, filter: &Filter) -> Value {
        let charges: Vec<_> =
            self.charges.iter().filter(|c| filter.accepts(c.gateway, &c.reference, Some(&c.customer))).collect();
        let refunds: Vec<_> =
            self.refunds.iter().filter(|r| filter.accepts(r.gateway, &r.reference, Some(&r.customer))).collect();
        let disputes: Vec<_> =
            self.disputes.iter().filter(|d| filter.accepts(d.gateway, &d.reference, Some(&d.customer))).collect();
        let transfers: Vec<_> =
            self.transfers.iter().filter(|t| filter.accepts(t.gateway, &t.reference, Some(&t.customer))).collect();
        json!({"charges": charges, "refunds": refunds, "disputes": disputes, "transfers": transfers})
    }
}
