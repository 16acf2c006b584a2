//! Disputes: a customer takes a payment to their bank, and the merchant has a day to answer.

use super::refusal::{Refusal, Result};
use super::transactions::Status;
use super::{Done, Fields, done, moment, text};
use crate::books::{self, Stage};
use crate::gateway::{DisputeOutcome, Gateway};
use crate::state::State;
use crate::table::Row;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Seconds until the merchant is reminded, and until silence counts as a yes.
const REMINDED: i64 = 12 * 3600;
const TO_ANSWER: i64 = 24 * 3600;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Resolution {
    MerchantAccepted,
    AutoAccepted,
    Declined,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Dispute {
    /// As text, for the table.
    id: String,
    number: u64,
    reference: String,
    amount: i64,
    currency: String,
    opened: i64,
    reminded: bool,
    resolution: Option<Resolution>,
    created_at: String,
    resolved_at: Option<String>,
}

impl Row for Dispute {
    fn id(&self) -> &str {
        &self.id
    }
}

impl Dispute {
    fn status(&self) -> &'static str {
        if self.resolution.is_some() { "resolved" } else { "awaiting-merchant-feedback" }
    }

    fn json(&self, state: &State) -> Value {
        let transaction = state.paystack.transactions.get(&self.reference).map(|row| row.json(state));
        let part = |name: &str| transaction.as_ref().map_or(Value::Null, |row| row[name].clone());
        let authorization = part("authorization");
        let due = Timestamp::from_second(self.opened + TO_ANSWER).unwrap_or_default();
        let opened = json!({"status": "awaiting-merchant-feedback", "by": part("customer")["email"],
            "createdAt": self.created_at});
        let resolved = self.resolved_at.as_ref().map(|at| json!({"status": "resolved", "by": "", "createdAt": at}));
        let history: Vec<Value> = std::iter::once(opened).chain(resolved).collect();
        let message = json!({"sender": part("customer")["email"], "body": "I did not order this",
            "createdAt": self.created_at});
        json!({
            "id": self.number, "refund_amount": self.amount, "currency": self.currency, "status": self.status(),
            "resolution": self.resolution, "domain": "test", "customer": part("customer"),
            "transaction": transaction, "transaction_reference": null,
            "merchant_transaction_reference": self.reference, "category": "chargeback",
            "bin": authorization["bin"], "last4": authorization["last4"],
            "dueAt": due.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string(), "resolvedAt": self.resolved_at,
            "evidence": null, "attachments": null, "note": null, "history": history, "messages": [message],
            "createdAt": self.created_at, "updatedAt": self.resolved_at.as_ref().unwrap_or(&self.created_at),
        })
    }
}

/// Keeps the dispute as it is now, in the books too, and tells the merchant.
fn note(state: &mut State, dispute: &Dispute, event: &str) -> Value {
    state.paystack.disputes.add(dispute.clone());
    let stage = match dispute.resolution {
        None => Stage::Open,
        Some(Resolution::Declined) => Stage::Won,
        Some(Resolution::MerchantAccepted | Resolution::AutoAccepted) => Stage::Lost,
    };
    let transaction = state.paystack.transactions.get_mut(&dispute.reference);
    let (charge, customer) = transaction.map_or_else(Default::default, |row| {
        if stage == Stage::Lost {
            row.status = Status::Reversed;
        }
        (row.number.to_string(), row.email.clone())
    });
    let line = books::Dispute {
        gateway: Gateway::Paystack,
        reference: dispute.reference.clone(),
        id: dispute.id.clone(),
        charge,
        customer,
        amount: books::Amount::new(dispute.amount, &dispute.currency),
        stage,
        at: state.stamp(),
    };
    state.books.disputes.add(line);
    let data = dispute.json(state);
    let body = json!({"event": event, "data": data}).to_string();
    state.announce(Gateway::Paystack, event, &dispute.reference, &body);
    data
}

fn resolve(state: &mut State, mut dispute: Dispute, resolution: Resolution) -> Value {
    (dispute.resolution, dispute.resolved_at) = (Some(resolution), Some(state.stamp()));
    note(state, &dispute, "charge.dispute.resolve")
}

/// `POST /admin/dispute`
pub(crate) fn order(state: &mut State, reference: &str, outcome: DisputeOutcome) -> std::result::Result<Value, String> {
    let open = {
        let mut open = state.paystack.disputes.iter().filter(|row| row.resolution.is_none());
        open.find(|row| row.reference == reference).cloned()
    };
    match (outcome, open) {
        (DisputeOutcome::Open, Some(_)) => Err(format!("reference: {reference} is disputed already")),
        (DisputeOutcome::Open, None) => {
            let transaction = state.paystack.transactions.get(reference);
            let transaction = transaction.filter(|row| row.status == Status::Success && row.amount > row.refunded);
            let transaction = transaction.cloned();
            let transaction =
                transaction.ok_or_else(|| format!("reference: {reference} has no payment left to dispute"))?;
            let number = state.serial() + 800_000;
            let dispute = Dispute {
                id: number.to_string(),
                number,
                reference: transaction.reference,
                amount: transaction.amount - transaction.refunded,
                currency: transaction.currency,
                opened: state.now(),
                reminded: false,
                resolution: None,
                created_at: state.stamp(),
                resolved_at: None,
            };
            Ok(note(state, &dispute, "charge.dispute.create"))
        }
        (DisputeOutcome::Won, Some(dispute)) => Ok(resolve(state, dispute, Resolution::Declined)),
        (DisputeOutcome::Lost, Some(dispute)) => Ok(resolve(state, dispute, Resolution::MerchantAccepted)),
        (DisputeOutcome::Won | DisputeOutcome::Lost, None) => {
            Err(format!("reference: {reference} has no open dispute"))
        }
    }
}

/// Reminders, and disputes that nobody answered.
pub(super) fn remind_due(state: &mut State) {
    let now = state.now();
    let open = state.paystack.disputes.iter().filter(|row| row.resolution.is_none());
    let due: Vec<Dispute> = open.filter(|row| row.opened + REMINDED <= now).cloned().collect();
    for mut dispute in due {
        if !dispute.reminded {
            dispute.reminded = true;
            note(state, &dispute, "charge.dispute.remind");
        }
        if dispute.opened + TO_ANSWER <= now {
            resolve(state, dispute, Resolution::AutoAccepted);
        }
    }
}

/// Is the transaction's money being argued about?
pub(super) fn is_open(state: &State, reference: &str) -> bool {
    state.paystack.disputes.iter().any(|row| row.reference == reference && row.resolution.is_none())
}

pub(super) fn list(state: &State, fields: &Fields) -> Result<Done> {
    let (status, transaction) = (text(fields, "status"), text(fields, "transaction"));
    let (from, to) = (moment(fields, "from")?, moment(fields, "to")?);
    let rows = state.paystack.disputes.iter().filter(|row| {
        let of = state.paystack.transactions.get(&row.reference).map(|of| of.number.to_string());
        status.is_none_or(|status| row.status() == status)
            && transaction.is_none_or(|wanted| of.as_deref() == Some(wanted))
            && super::within(&row.created_at, from, to)
    });
    super::page(fields, "Disputes retrieved", rows.map(|row| row.json(state)).collect())
}

pub(super) fn fetch(state: &State, id: &str) -> Result<Done> {
    let dispute = state.paystack.disputes.get(id);
    let dispute = dispute.ok_or_else(|| Refusal::not_found("Dispute", "dispute_not_found"))?;
    Ok(done("Dispute retrieved", dispute.json(state)))
}

/// Of a transaction, by its number.
pub(super) fn of_transaction(state: &State, id: &str) -> Result<Done> {
    let transaction = state.paystack.transactions.iter().find(|row| row.number.to_string() == id);
    let transaction = transaction.ok_or_else(|| Refusal::not_found("Transaction", "transaction_not_found"))?;
    let dispute = state.paystack.disputes.iter().rev().find(|row| row.reference == transaction.reference);
    let dispute = dispute.ok_or_else(|| Refusal::not_found("Dispute", "dispute_not_found"))?;
    Ok(done("Dispute retrieved successfully", dispute.json(state)))
}
