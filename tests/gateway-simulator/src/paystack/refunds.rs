//! Refunds: pending at first, told of by webhooks without an id.

use super::cards::{REFUND_FAILS, REFUND_NEEDS_ATTENTION};
use super::refusal::{Refusal, Result};
use super::transactions::{Status, Transaction};
use super::{Done, Fields, disputes, done, integer, money, text};
use crate::books;
use crate::gateway::Gateway;
use crate::state::State;
use crate::table::Row;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Seconds until a refund is through.
const LATER: i64 = 1;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Refund {
    /// As text, for the table.
    id: String,
    number: u64,
    reference: String,
    amount: i64,
    currency: String,
    status: String,
    customer_note: Option<String>,
    merchant_note: Option<String>,
    /// What it becomes, and when.
    becomes: Option<(String, i64)>,
    created_at: String,
}

impl Row for Refund {
    fn id(&self) -> &str {
        &self.id
    }
}

impl Refund {
    fn json(&self, state: &State) -> Value {
        let transaction = state.paystack.transactions.get(&self.reference).map(|row| row.json(state));
        let processed = self.status == "processed";
        json!({
            "id": self.number, "integration": 100_000, "domain": "test", "status": self.status,
            "transaction": transaction, "transaction_reference": self.reference, "dispute": null, "settlement": null,
            "amount": self.amount, "currency": self.currency,
            "channel": transaction.as_ref().map(|row| row["channel"].clone()),
            "deducted_amount": if processed { self.amount } else { 0 }, "fully_deducted": processed,
            "refunded_by": "simulator@example.com", "refunded_at": self.created_at, "expected_at": self.created_at,
            "customer_note": self.customer_note, "merchant_note": self.merchant_note,
            "createdAt": self.created_at, "updatedAt": self.created_at,
        })
    }
}

/// Paystack's word for it in events: the amount is a number at first, later text.
fn tell(state: &mut State, refund: &Refund) {
    let event = format!("refund.{}", refund.status);
    let amount = if refund.status == "pending" { json!(refund.amount) } else { json!(refund.amount.to_string()) };
    let owner = state.paystack.transactions.get(&refund.reference).map(|row| row.email.clone()).unwrap_or_default();
    let customer = state.paystack.customers.get(&owner).map(super::customers::Customer::json);
    let body = json!({"event": event, "data": {
        "status": refund.status, "transaction_reference": refund.reference, "refund_reference": null,
        "amount": amount, "currency": refund.currency, "processor": "instant-transfer", "customer": customer,
        "integration": 100_000, "domain": "test",
    }});
    state.announce(Gateway::Paystack, &event, &refund.reference, &body.to_string());
}

/// The transaction that is named by its reference or its number.
fn find<'a>(state: &'a State, name: &Value) -> Option<&'a Transaction> {
    let name = name.as_str().map_or_else(|| name.to_string(), str::to_owned);
    let rows = &state.paystack.transactions;
    rows.get(&name).or_else(|| rows.iter().find(|row| row.number.to_string() == name))
}

pub(super) fn create(state: &mut State, fields: &Fields) -> Result<Done> {
    let name =
        fields.get("transaction").filter(|name| !name.is_null()).ok_or_else(|| Refusal::missing("transaction"))?;
    let Some(transaction) = find(state, name).cloned() else {
        return Err(Refusal::not_found("Transaction", "transaction_not_found"));
    };
    if disputes::is_open(state, &transaction.reference) {
        return Err(Refusal::invalid("Transaction is being disputed and cannot be refunded", "transaction_disputed"));
    }
    let left = transaction.amount - transaction.refunded;
    match transaction.status {
        Status::Success if left > 0 => {}
        Status::Success | Status::Reversed => {
            return Err(Refusal::invalid("Transaction has been fully reversed", "transaction_reversed"));
        }
        Status::Abandoned | Status::Ongoing | Status::Failed => {
            return Err(Refusal::invalid(
                "Transaction was not successful and cannot be refunded",
                "invalid_transaction",
            ));
        }
    }
    if text(fields, "currency").is_some_and(|currency| currency != transaction.currency) {
        return Err(Refusal::invalid("Currency does not match the transaction's", "invalid_params"));
    }
    let amount = integer(fields, "amount")?.unwrap_or(left);
    if !(1..=left).contains(&amount) {
        let left = money::shown(left, &transaction.currency);
        let message = format!("Refund amount cannot be greater than the {left} left of the transaction");
        return Err(Refusal::invalid(&message, "invalid_amount"));
    }
    let card = transaction.authorization.as_ref().and_then(|code| state.paystack.authorizations.get(code));
    let becomes = match card.map(|row| row.card.as_str()) {
        Some(REFUND_FAILS) => "failed",
        Some(REFUND_NEEDS_ATTENTION) => "needs-attention",
        _ => "processed",
    };
    let number = state.serial() + 3_000_000;
    let refund = Refund {
        id: number.to_string(),
        number,
        reference: transaction.reference.clone(),
        amount,
        currency: transaction.currency.clone(),
        status: "pending".to_owned(),
        customer_note: text(fields, "customer_note").map(str::to_owned),
        merchant_note: text(fields, "merchant_note").map(str::to_owned),
        becomes: Some((becomes.to_owned(), state.now() + LATER)),
        created_at: state.stamp(),
    };
    if let Some(transaction) = state.paystack.transactions.get_mut(&refund.reference) {
        transaction.refunded += amount;
    }
    let line = books::Refund {
        gateway: Gateway::Paystack,
        reference: refund.reference.clone(),
        id: refund.id.clone(),
        charge: transaction.number.to_string(),
        customer: transaction.email,
        amount: books::Amount::new(amount, &refund.currency),
        status: refund.status.clone(),
        at: refund.created_at.clone(),
    };
    state.books.refund(line);
    state.paystack.refunds.add(refund.clone());
    tell(state, &refund);
    Ok(done("Refund has been queued for processing", refund.json(state)))
}

pub(super) fn list(state: &State, fields: &Fields) -> Result<Done> {
    let name = fields.get("transaction").or(fields.get("reference"));
    let reference = name.map(|name| find(state, name).map(|row| row.reference.clone()).unwrap_or_default());
    let rows = state.paystack.refunds.iter();
    let rows = rows.filter(|row| reference.as_ref().is_none_or(|reference| row.reference == *reference));
    super::page(fields, "Refunds retrieved", rows.map(|row| row.json(state)).collect())
}

pub(super) fn fetch(state: &State, id: &str) -> Result<Done> {
    let refund = state.paystack.refunds.get(id).ok_or_else(|| Refusal::not_found("Refund", "refund_not_found"))?;
    Ok(done("Refund retrieved", refund.json(state)))
}

/// The customer's own account, for a refund that their card would not take.
pub(super) fn retry(state: &mut State, id: &str, fields: &Fields) -> Result<Done> {
    let at = state.now() + LATER;
    let details = fields.get("refund_account_details").and_then(Value::as_object);
    let details = details.ok_or_else(|| Refusal::missing("refund_account_details"))?;
    for name in ["currency", "account_number", "bank_id"] {
        super::required(details, name)?;
    }
    let found = state.paystack.refunds.get_mut(id);
    let refund = found.ok_or_else(|| Refusal::not_found("Refund", "refund_not_found"))?;
    if refund.status != "needs-attention" {
        return Err(Refusal::invalid("Only a refund that needs attention can be retried", "invalid_refund"));
    }
    (refund.status, refund.becomes) = ("processing".to_owned(), Some(("processed".to_owned(), at)));
    let refund = refund.clone();
    state.books.refund_is(Gateway::Paystack, &refund.id, &refund.status);
    tell(state, &refund);
    Ok(done("Refund retried and has been queued for processing", refund.json(state)))
}

/// Refunds whose time has come.
pub(super) fn settle_due(state: &mut State) {
    let now = state.now();
    let mut settled = Vec::new();
    for refund in state.paystack.refunds.iter_mut() {
        if let Some((status, _)) = refund.becomes.take_if(|(_, at)| *at <= now) {
            refund.status = status;
            settled.push(refund.clone());
        }
    }
    for refund in settled {
        state.books.refund_is(Gateway::Paystack, &refund.id, &refund.status);
        let processed: i64 = {
            let same = state.paystack.refunds.iter().filter(|row| row.reference == refund.reference);
            same.filter(|row| row.status == "processed").map(|row| row.amount).sum()
        };
        if let Some(transaction) = state.paystack.transactions.get_mut(&refund.reference) {
            if refund.status == "failed" {
                transaction.refunded -= refund.amount;
            } else if processed == transaction.amount {
                transaction.status = Status::Reversed;
            }
        }
        tell(state, &refund);
    }
}
