//! Disputes: a customer takes a charge to their bank, which only asks, or takes the money back until it decides.

use super::charges::Charge;
use super::form::Params;
use super::refusal::{Refusal, Result};
use super::{emit, emit_change, listing};
use crate::books::{self, Stage};
use crate::gateway::{DisputeOutcome, Gateway};
use crate::state::State;
use crate::table::Row;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Seconds that the merchant has for an answer.
const TO_ANSWER: i64 = 9 * 86_400;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Status {
    WarningNeedsResponse,
    WarningClosed,
    NeedsResponse,
    Won,
    Lost,
}

impl Status {
    fn stage(self) -> Stage {
        match self {
            Self::WarningNeedsResponse => Stage::Inquiry,
            Self::NeedsResponse => Stage::Open,
            Self::WarningClosed | Self::Won => Stage::Won,
            Self::Lost => Stage::Lost,
        }
    }

    fn is_inquiry(self) -> bool {
        matches!(self, Self::WarningNeedsResponse | Self::WarningClosed)
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Dispute {
    id: String,
    created: i64,
    amount: i64,
    currency: String,
    charge: String,
    intent: String,
    customer: String,
    reference: String,
    brand: Value,
    status: Status,
}

impl Row for Dispute {
    fn id(&self) -> &str {
        &self.id
    }
}

impl Dispute {
    pub(super) fn json(&self) -> Value {
        let inquiry = self.status.is_inquiry();
        json!({
            "id": self.id, "object": "dispute", "amount": self.amount, "balance_transactions": [],
            "charge": self.charge, "created": self.created, "currency": self.currency, "evidence": {},
            "evidence_details": {
                "due_by": self.created + TO_ANSWER, "enhanced_eligibility": {}, "has_evidence": false,
                "past_due": false, "submission_count": 0,
            },
            "is_charge_refundable": inquiry, "livemode": false, "metadata": {}, "payment_intent": self.intent,
            "payment_method_details": {
                "card": {
                    "brand": self.brand, "case_type": if inquiry { "inquiry" } else { "chargeback" },
                    "network_reason_code": "10.4",
                },
                "type": "card",
            },
            "reason": "fraudulent", "status": self.status,
        })
    }

    /// The money is with the customer's bank.
    fn holds(&self) -> bool {
        matches!(self.status.stage(), Stage::Open | Stage::Lost)
    }
}

/// Is the charge's money with the customer's bank?
pub(super) fn holds(state: &State, charge: &str) -> bool {
    state.stripe.disputes.iter().any(|dispute| dispute.charge == charge && dispute.holds())
}

pub(super) fn retrieve(state: &State, id: &str, params: &Params) -> Result<Value> {
    params.allow(&["expand[*]"])?;
    state.stripe.disputes.get(id).map(Dispute::json).ok_or_else(|| Refusal::missing("dispute", id, "id"))
}

pub(super) fn list(state: &State, params: &Params) -> Result<Value> {
    listing::allow(params, &["payment_intent", "charge"])?;
    let (intent, charge) = (params.text("payment_intent"), params.text("charge"));
    let rows = state.stripe.disputes.iter().filter(|row| {
        intent.is_none_or(|intent| row.intent == intent) && charge.is_none_or(|charge| row.charge == charge)
    });
    listing::page(params, "/v1/disputes", rows.map(|row| (row.id.as_str(), row.created, || row.json())))
}

pub(super) fn open(state: &mut State, charge: &Charge, inquiry: bool) -> Value {
    let dispute = Dispute {
        id: state.id("du_1", 23),
        created: state.now(),
        amount: charge.amount - charge.refunded,
        currency: charge.currency.clone(),
        charge: charge.id.clone(),
        intent: charge.intent.clone(),
        customer: charge.customer.clone().unwrap_or_default(),
        reference: charge.reference.clone(),
        brand: charge.json()["payment_method_details"]["card"]["brand"].clone(),
        status: if inquiry { Status::WarningNeedsResponse } else { Status::NeedsResponse },
    };
    let object = note(state, &dispute);
    emit(state, "charge.dispute.created", &dispute.reference, object.clone());
    if !inquiry {
        emit(state, "charge.dispute.funds_withdrawn", &dispute.reference, object.clone());
    }
    object
}

/// Keeps the dispute as it is now, here and in the books.
fn note(state: &mut State, dispute: &Dispute) -> Value {
    state.stripe.disputes.add(dispute.clone());
    if let Some(charge) = state.stripe.charges.get_mut(&dispute.charge) {
        charge.disputed |= !dispute.status.is_inquiry();
    }
    let line = books::Dispute {
        gateway: Gateway::Stripe,
        reference: dispute.reference.clone(),
        id: dispute.id.clone(),
        charge: dispute.charge.clone(),
        customer: dispute.customer.clone(),
        amount: books::Amount::new(dispute.amount, &dispute.currency),
        stage: dispute.status.stage(),
        at: state.stamp(),
    };
    state.books.disputes.add(line);
    dispute.json()
}

/// The dispute reaches another status; `kinds` are the events that tell of it.
fn reach(state: &mut State, dispute: &mut Dispute, status: Status, kinds: &[&str]) -> Value {
    let before = json!({"status": dispute.status});
    dispute.status = status;
    let object = note(state, dispute);
    for kind in kinds {
        emit_change(state, kind, &dispute.reference, object.clone(), before.clone());
    }
    object
}

/// `POST /admin/dispute`
pub(crate) fn order(state: &mut State, reference: &str, outcome: DisputeOutcome) -> std::result::Result<Value, String> {
    const WITHDRAWN: [&str; 2] = ["charge.dispute.updated", "charge.dispute.funds_withdrawn"];
    let under_way = state.stripe.disputes.iter().rev().find(|dispute| {
        dispute.reference == reference && matches!(dispute.status.stage(), Stage::Inquiry | Stage::Open)
    });
    let Some(mut dispute) = under_way.cloned() else {
        if outcome != DisputeOutcome::Open {
            return Err(format!("reference: {reference} has no open dispute"));
        }
        let charge = state.stripe.charges.iter().rev().find(|row| row.reference == reference && row.succeeded());
        let charge = charge.filter(|row| row.amount > row.refunded && !holds(state, &row.id)).cloned();
        let charge = charge.ok_or_else(|| format!("reference: {reference} has no charge left to dispute"))?;
        return Ok(open(state, &charge, false));
    };
    let inquiry = dispute.status.is_inquiry();
    Ok(match outcome {
        DisputeOutcome::Open if inquiry => reach(state, &mut dispute, Status::NeedsResponse, &WITHDRAWN),
        DisputeOutcome::Open => return Err(format!("reference: {reference} is disputed already")),
        DisputeOutcome::Won if inquiry => reach(state, &mut dispute, Status::WarningClosed, &["charge.dispute.closed"]),
        DisputeOutcome::Won => {
            let kinds = ["charge.dispute.closed", "charge.dispute.funds_reinstated"];
            reach(state, &mut dispute, Status::Won, &kinds)
        }
        DisputeOutcome::Lost => {
            if inquiry {
                // An inquiry takes no money before it has become a dispute.
                reach(state, &mut dispute, Status::NeedsResponse, &WITHDRAWN);
            }
            reach(state, &mut dispute, Status::Lost, &["charge.dispute.closed"])
        }
    })
}
