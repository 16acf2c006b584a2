//! Disputes: a buyer's complaint about a capture, and who was right.

use super::captures::{Capture, Status};
use super::notifications::emit;
use super::refusal::{Refusal, Result};
use super::{money, refunds};
use crate::books::{self, Stage};
use crate::gateway::{DisputeOutcome, Gateway};
use crate::pages;
use crate::state::State;
use crate::table::Row;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Dispute {
    id: String,
    capture: String,
    amount: i64,
    currency: String,
    stage: Stage,
    created_at: String,
    updated_at: String,
}

impl Row for Dispute {
    fn id(&self) -> &str {
        &self.id
    }
}

impl Dispute {
    fn status(&self) -> &'static str {
        match self.stage {
            Stage::Inquiry | Stage::Open => "WAITING_FOR_SELLER_RESPONSE",
            Stage::Won | Stage::Lost => "RESOLVED",
        }
    }

    /// As lists show it.
    fn summary(&self, state: &State) -> Value {
        let address = super::address(state, &format!("v1/customer/disputes/{}", self.id));
        json!({
            "dispute_id": self.id, "create_time": self.created_at, "update_time": self.updated_at,
            "reason": "UNAUTHORISED", "status": self.status(),
            "dispute_state": if self.status() == "RESOLVED" { "RESOLVED" } else { "REQUIRED_ACTION" },
            "dispute_amount": money::write(self.amount, &self.currency), "dispute_life_cycle_stage": "CHARGEBACK",
            "dispute_channel": "INTERNAL", "links": [{"href": address, "rel": "self", "method": "GET"}],
        })
    }

    pub(super) fn json(&self, state: &State) -> Value {
        let mut dispute = self.summary(state);
        if let Some(capture) = state.paypal.captures.get(&self.capture) {
            let shown = capture.json(state);
            dispute["disputed_transactions"] = json!([{
                "seller_transaction_id": capture.id, "create_time": capture.created_at,
                "transaction_status": if self.stage == Stage::Lost { "REVERSED" } else { "COMPLETED" },
                "gross_amount": shown["amount"], "invoice_number": shown["invoice_id"], "custom": shown["custom_id"],
                "buyer": {"name": "Test Buyer"}, "seller": super::payee(), "seller_protection_eligible": true,
            }]);
        }
        let (code, returned) = match self.stage {
            Stage::Inquiry | Stage::Open => return dispute,
            Stage::Won => ("RESOLVED_SELLER_FAVOUR", 0),
            Stage::Lost => ("RESOLVED_BUYER_FAVOUR", self.amount),
        };
        dispute["dispute_outcome"] =
            json!({"outcome_code": code, "amount_refunded": money::write(returned, &self.currency)});
        dispute
    }
}

fn of<'a>(state: &'a State, capture: &str) -> Option<&'a Dispute> {
    state.paypal.disputes.iter().rev().find(|dispute| dispute.capture == capture)
}

pub(super) fn is_open(state: &State, capture: &str) -> bool {
    of(state, capture).is_some_and(|dispute| dispute.stage == Stage::Open)
}

pub(super) fn was_lost(state: &State, capture: &str) -> bool {
    of(state, capture).is_some_and(|dispute| dispute.stage == Stage::Lost)
}

pub(super) fn fetch(state: &State, id: &str) -> Result<Value> {
    state.paypal.disputes.get(id).map(|dispute| dispute.json(state)).ok_or_else(Refusal::not_found)
}

/// The newest first.
pub(super) fn list(state: &State, query: &str) -> Value {
    let fields = pages::fields(query).unwrap_or_default();
    let wanted = fields.iter().find(|(name, _)| name == "disputed_transaction_id").map(|(_, id)| id);
    let rows = state.paypal.disputes.iter().rev();
    let rows = rows.filter(|dispute| wanted.is_none_or(|wanted| dispute.capture == *wanted));
    let items: Vec<Value> = rows.map(|dispute| dispute.summary(state)).collect();
    let address = super::address(state, "v1/customer/disputes");
    json!({"items": items, "links": [{"href": address, "rel": "self", "method": "GET"}]})
}

/// `POST /admin/dispute`
pub(crate) fn order(state: &mut State, reference: &str, outcome: DisputeOutcome) -> std::result::Result<Value, String> {
    let named = |row: &&Capture| row.reference == reference || row.invoice_id.as_deref() == Some(reference);
    let paid = |row: &&Capture| matches!(row.status, Status::Completed | Status::PartiallyRefunded);
    let capture = state.paypal.captures.iter().rev().find(|row| named(row) && paid(row)).cloned();
    let capture = capture.ok_or_else(|| format!("reference: there is no capture of {reference} to dispute"))?;
    let dispute = match (of(state, &capture.id).filter(|dispute| dispute.stage == Stage::Open), outcome) {
        (Some(_), DisputeOutcome::Open) => return Err(format!("reference: {reference} is disputed already")),
        (Some(dispute), DisputeOutcome::Won | DisputeOutcome::Lost) => dispute.clone(),
        (None, DisputeOutcome::Open | DisputeOutcome::Won | DisputeOutcome::Lost) => open(state, &capture),
    };
    let id = dispute.id.clone();
    match outcome {
        DisputeOutcome::Open => {}
        DisputeOutcome::Won => resolve(state, dispute, &capture, Stage::Won),
        DisputeOutcome::Lost => {
            let returned = dispute.amount;
            resolve(state, dispute, &capture, Stage::Lost);
            reverse(state, &capture, returned);
        }
    }
    Ok(json!({"dispute": id, "charge": capture.id}))
}

fn open(state: &mut State, capture: &Capture) -> Dispute {
    let at = super::time(state);
    let dispute = Dispute {
        id: format!("PP-D-{}", state.serial() + 10_000),
        capture: capture.id.clone(),
        amount: capture.amount - capture.refunded,
        currency: capture.currency.clone(),
        stage: Stage::Open,
        created_at: at.clone(),
        updated_at: at,
    };
    write(state, dispute.clone(), capture, "CUSTOMER.DISPUTE.CREATED");
    dispute
}

fn resolve(state: &mut State, mut dispute: Dispute, capture: &Capture, stage: Stage) {
    (dispute.stage, dispute.updated_at) = (stage, super::time(state));
    write(state, dispute, capture, "CUSTOMER.DISPUTE.RESOLVED");
}

fn write(state: &mut State, dispute: Dispute, capture: &Capture, event: &str) {
    let line = books::Dispute {
        gateway: Gateway::Paypal,
        reference: capture.reference.clone(),
        id: dispute.id.clone(),
        charge: capture.id.clone(),
        customer: capture.customer.clone(),
        amount: books::Amount::new(dispute.amount, &dispute.currency),
        stage: dispute.stage,
        at: state.stamp(),
    };
    state.books.disputes.add(line);
    let resource = dispute.json(state);
    state.paypal.disputes.add(dispute);
    emit(state, event, &capture.reference, resource);
}

/// The money went back to the buyer, and no refund of the merchant's did it.
fn reverse(state: &mut State, capture: &Capture, amount: i64) {
    refunds::give_back(state, &capture.id, amount);
    let id = super::id(state);
    let at = super::time(state);
    let address = super::address(state, &format!("v2/payments/refunds/{id}"));
    let above = super::address(state, &format!("v2/payments/captures/{}", capture.id));
    let resource = json!({
        "id": id, "status": "COMPLETED", "amount": money::write(amount, &capture.currency),
        "invoice_id": capture.invoice_id, "custom_id": capture.json(state)["custom_id"],
        "create_time": at, "update_time": at,
        "links": [{"href": address, "rel": "self", "method": "GET"}, {"href": above, "rel": "up", "method": "GET"}],
    });
    emit(state, "PAYMENT.CAPTURE.REVERSED", &capture.reference, resource);
}
