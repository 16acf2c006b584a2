//! Refunds: at once for most cards, later for two.

use super::cards::{REFUND_FAILS, REFUND_LATER};
use super::form::Params;
use super::refusal::{Refusal, Result};
use super::{disputes, emit, emit_change, listing, money};
use crate::books;
use crate::gateway::Gateway;
use crate::state::State;
use crate::table::Row;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// Seconds until the refund of such a card changes its state.
const LATER: i64 = 2;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Refund {
    id: String,
    created: i64,
    amount: i64,
    currency: String,
    charge: String,
    intent: String,
    reference: String,
    reason: Option<String>,
    status: String,
    /// What it becomes, and when.
    becomes: Option<(String, i64)>,
    metadata: Map<String, Value>,
}

impl Row for Refund {
    fn id(&self) -> &str {
        &self.id
    }
}

impl Refund {
    pub(super) fn json(&self) -> Value {
        let failed = self.status == "failed";
        json!({
            "id": self.id, "object": "refund", "amount": self.amount, "balance_transaction": null,
            "charge": self.charge, "created": self.created, "currency": self.currency,
            "destination_details": {"card": {"type": "refund"}, "type": "card"},
            "failure_reason": failed.then_some("expired_or_canceled_card"), "metadata": self.metadata,
            "pending_reason": (self.status == "pending").then_some("processing"),
            "payment_intent": self.intent, "reason": self.reason, "receipt_number": null,
            "source_transfer_reversal": null, "status": self.status, "transfer_reversal": null,
        })
    }
}

pub(super) fn create(state: &mut State, params: &Params) -> Result<Value> {
    params.allow(&["payment_intent", "charge", "amount", "reason", "metadata", "metadata[*]", "expand[*]"])?;
    let reason = params.one_of("reason", &["duplicate", "fraudulent", "requested_by_customer"])?;
    let metadata = params.metadata("metadata", &Map::new())?;
    let charge = match (params.text("payment_intent"), params.text("charge")) {
        (Some(id), None) => {
            let found = state.stripe.intents.get(id);
            let intent = found.ok_or_else(|| Refusal::missing("payment_intent", id, "payment_intent"))?;
            let charge = intent.latest_charge.as_deref().and_then(|id| state.stripe.charges.get(id));
            charge.filter(|charge| charge.succeeded()).ok_or_else(|| {
                let message = "This PaymentIntent does not have a successful charge to refund.";
                Refusal::invalid(message, Some("payment_intent"), None)
            })?
        }
        (None, Some(id)) => {
            let charge = state.stripe.charges.get(id).ok_or_else(|| Refusal::missing("charge", id, "charge"))?;
            if !charge.succeeded() {
                let message = format!("Charge {id} has not succeeded and cannot be refunded.");
                return Err(Refusal::invalid(&message, Some("charge"), None));
            }
            charge
        }
        (Some(_), Some(_)) | (None, None) => {
            let message = "One of these parameters, and only one, must be sent: payment_intent, charge.";
            return Err(Refusal::invalid(message, Some("payment_intent"), Some("parameter_missing")));
        }
    };
    if disputes::holds(state, &charge.id) {
        let message = format!("Charge {} has been charged back; cannot issue a refund.", charge.id);
        return Err(Refusal::invalid(&message, None, Some("charge_disputed")));
    }
    let left = charge.amount - charge.refunded;
    if left == 0 {
        let message = format!("Charge {} has already been refunded.", charge.id);
        return Err(Refusal::invalid(&message, None, Some("charge_already_refunded")));
    }
    let amount = params.integer("amount")?.unwrap_or(left);
    if amount < 1 {
        let message = "This value must be greater than or equal to 1.";
        return Err(Refusal::invalid(message, Some("amount"), Some("parameter_invalid_integer")));
    }
    if amount > left {
        let message = format!(
            "Refund amount ({}) is greater than unrefunded amount on charge ({})",
            money::shown(amount, &charge.currency),
            money::shown(left, &charge.currency)
        );
        return Err(Refusal::invalid(&message, Some("amount"), None));
    }
    let charge = charge.clone();
    let now = state.now();
    let (status, becomes) = match charge.card.as_str() {
        REFUND_LATER => ("pending", Some(("succeeded".to_owned(), now + LATER))),
        REFUND_FAILS => ("succeeded", Some(("failed".to_owned(), now + LATER))),
        _ => ("succeeded", None),
    };
    let refund = Refund {
        id: state.id("re_3", 23),
        created: now,
        amount,
        currency: charge.currency.clone(),
        charge: charge.id.clone(),
        intent: charge.intent,
        reference: charge.reference,
        reason,
        status: status.to_owned(),
        becomes,
        metadata,
    };
    state.stripe.refunds.add(refund.clone());
    let line = books::Refund {
        gateway: Gateway::Stripe,
        reference: refund.reference.clone(),
        id: refund.id.clone(),
        charge: refund.charge.clone(),
        customer: charge.customer.unwrap_or_default(),
        amount: books::Amount::new(amount, &refund.currency),
        status: refund.status.clone(),
        at: state.stamp(),
    };
    state.books.refund(line);
    emit(state, "refund.created", &refund.reference, refund.json());
    if let Some(charge) = state.stripe.charges.get_mut(&charge.id) {
        charge.refunded += amount;
        let object = charge.json();
        emit(state, "charge.refunded", &refund.reference, object);
    }
    Ok(refund.json())
}

pub(super) fn retrieve(state: &State, id: &str, params: &Params) -> Result<Value> {
    params.allow(&["expand[*]"])?;
    state.stripe.refunds.get(id).map(Refund::json).ok_or_else(|| Refusal::missing("refund", id, "id"))
}

pub(super) fn list(state: &State, params: &Params) -> Result<Value> {
    listing::allow(params, &["payment_intent", "charge"])?;
    let (intent, charge) = (params.text("payment_intent"), params.text("charge"));
    let rows = state.stripe.refunds.iter().filter(|row| {
        intent.is_none_or(|intent| row.intent == intent) && charge.is_none_or(|charge| row.charge == charge)
    });
    listing::page(params, "/v1/refunds", rows.map(|row| (row.id.as_str(), row.created, || row.json())))
}

/// Refunds whose bank answers late.
pub(super) fn settle_due(state: &mut State) {
    let now = state.now();
    let mut settled = Vec::new();
    for refund in state.stripe.refunds.iter_mut() {
        if let Some((status, _)) = refund.becomes.take_if(|(_, at)| *at <= now) {
            let before = json!({"status": std::mem::replace(&mut refund.status, status)});
            settled.push((refund.clone(), before));
        }
    }
    for (refund, before) in settled {
        state.books.refund_is(Gateway::Stripe, &refund.id, &refund.status);
        if refund.status == "failed"
            && let Some(charge) = state.stripe.charges.get_mut(&refund.charge)
        {
            charge.refunded -= refund.amount;
        }
        emit_change(state, "refund.updated", &refund.reference, refund.json(), before);
        if refund.status == "failed" {
            emit(state, "refund.failed", &refund.reference, refund.json());
        }
    }
}
