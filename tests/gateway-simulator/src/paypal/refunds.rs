//! Refunds of captures: at once, or as slowly as the money came.

use super::captures::{self, Capture, Status};
use super::keys::Made;
use super::notifications::emit;
use super::refusal::{Refusal, Result};
use super::{disputes, money};
use crate::books;
use crate::faults::Fault;
use crate::gateway::{Call, Gateway};
use crate::state::State;
use crate::table::Row;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

const DAY: i64 = 86_400;
/// After so many seconds a capture is not refunded any more.
const TIME_LIMIT: i64 = 180 * DAY;
/// How long the refund of an eCheck takes.
const LATER: i64 = 3 * DAY;
const LONGEST_TEXT: usize = 127;
const LONGEST_NOTE: usize = 255;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Refund {
    id: String,
    pub(super) capture: String,
    amount: i64,
    currency: String,
    /// The capture's, this one's included.
    total: i64,
    status: String,
    invoice_id: Option<String>,
    custom_id: Option<String>,
    note: Option<String>,
    /// Why it waits, what it becomes, and when.
    becomes: Option<(String, String, i64)>,
    created_at: String,
    updated_at: String,
}

impl Row for Refund {
    fn id(&self) -> &str {
        &self.id
    }
}

impl Refund {
    fn links(&self, state: &State) -> Value {
        let address = super::address(state, &format!("v2/payments/refunds/{}", self.id));
        let above = super::address(state, &format!("v2/payments/captures/{}", self.capture));
        json!([{"href": address, "rel": "self", "method": "GET"}, {"href": above, "rel": "up", "method": "GET"}])
    }

    pub(super) fn minimal(&self, state: &State) -> Value {
        json!({"id": self.id, "status": self.status, "links": self.links(state)})
    }

    pub(super) fn json(&self, state: &State) -> Value {
        let written = |minor: i64| money::write(minor, &self.currency);
        let mut refund = json!({
            "id": self.id, "status": self.status, "amount": written(self.amount), "links": self.links(state),
            "seller_payable_breakdown": {
                "gross_amount": written(self.amount), "paypal_fee": written(0), "net_amount": written(self.amount),
                "total_refunded_amount": written(self.total),
            },
            "create_time": self.created_at, "update_time": self.updated_at,
        });
        if let Some((reason, ..)) = &self.becomes {
            refund["status_details"] = json!({ "reason": reason });
        }
        let texts = [("invoice_id", &self.invoice_id), ("custom_id", &self.custom_id), ("note_to_payer", &self.note)];
        for (name, text) in texts {
            if let Some(text) = text {
                refund[name] = json!(text);
            }
        }
        refund
    }
}

pub(super) fn find<'a>(state: &'a State, id: &str) -> Result<&'a Refund> {
    state.paypal.refunds.get(id).ok_or_else(Refusal::not_found)
}

fn text(body: &Value, name: &str, longest: usize) -> Result<Option<String>> {
    match body[name].as_str() {
        Some(text) if text.is_empty() || text.chars().count() > longest => {
            Err(Refusal::invalid("INVALID_STRING_LENGTH", &format!("/{name}")).with_value(text))
        }
        text => Ok(text.map(str::to_owned)),
    }
}

/// How much is to be returned, if PayPal would return it.
fn amount(state: &State, capture: &Capture, body: &Value) -> Result<i64> {
    let refused = |issue: &str| Err(Refusal::unprocessable(issue, ""));
    match capture.status {
        Status::Pending => return refused("PENDING_CAPTURE"),
        Status::Declined => return refused("REFUND_NOT_ALLOWED"),
        _ if disputes::was_lost(state, &capture.id) => return refused("REFUND_NOT_PERMITTED_DUE_TO_CHARGEBACK"),
        Status::Refunded => return refused("CAPTURE_FULLY_REFUNDED"),
        Status::Completed | Status::PartiallyRefunded => {}
    }
    if state.now() - capture.created > TIME_LIMIT {
        return refused("REFUND_TIME_LIMIT_EXCEEDED");
    }
    let left = capture.amount - capture.refunded;
    if body["amount"].is_null() {
        return Ok(left);
    }
    let (amount, currency) = money::read(&body["amount"], "/amount")?;
    if currency != capture.currency {
        return Err(Refusal::unprocessable("REFUND_CAPTURE_CURRENCY_MISMATCH", "/amount/currency_code"));
    }
    if amount > left {
        return Err(Refusal::unprocessable("REFUND_AMOUNT_EXCEEDED", "/amount/value"));
    }
    if amount < capture.amount && disputes::is_open(state, &capture.id) {
        return refused("TRANSACTION_DISPUTED");
    }
    Ok(amount)
}

pub(super) fn create(state: &mut State, capture: &str, call: &Call) -> Result<Made> {
    let body = super::body(call)?;
    let capture = captures::find(state, capture)?.clone();
    if let Some(code) = super::mock(call) {
        return Err(Refusal::named(&code));
    }
    let amount = amount(state, &capture, &body)?;
    let invoice_id = text(&body, "invoice_id", LONGEST_TEXT)?;
    let known = |row: &Refund| row.invoice_id.is_some() && row.invoice_id == invoice_id;
    if state.settings.paypal.block_duplicate_invoices && state.paypal.refunds.iter().any(known) {
        return Err(Refusal::unprocessable("DUPLICATE_INVOICE_ID", "/invoice_id"));
    }
    let (at, now) = (super::time(state), state.now());
    let later = |seconds: i64, becomes: &str| Some(("ECHECK".to_owned(), becomes.to_owned(), now + seconds));
    let becomes = match state.faults.on_refund(Gateway::Paypal) {
        Some(Fault::Decline { code }) => return Err(Refusal::named(&code)),
        Some(Fault::Pending { seconds, code }) => {
            later(i64::from(seconds), if code.is_some() { "FAILED" } else { "COMPLETED" })
        }
        _ if capture.slow => later(LATER, "COMPLETED"),
        _ => None,
    };
    let refund = Refund {
        id: super::id(state),
        capture: capture.id.clone(),
        amount,
        currency: capture.currency.clone(),
        total: capture.refunded + amount,
        status: if becomes.is_some() { "PENDING" } else { "COMPLETED" }.to_owned(),
        invoice_id,
        custom_id: text(&body, "custom_id", LONGEST_TEXT)?,
        note: text(&body, "note_to_payer", LONGEST_NOTE)?,
        becomes,
        created_at: at.clone(),
        updated_at: at,
    };
    state.paypal.refunds.add(refund.clone());
    let line = books::Refund {
        gateway: Gateway::Paypal,
        reference: capture.reference.clone(),
        id: refund.id.clone(),
        charge: capture.id.clone(),
        customer: capture.customer.clone(),
        amount: books::Amount::new(amount, &capture.currency),
        status: refund.status.clone(),
        at: state.stamp(),
    };
    state.books.refund(line);
    give_back(state, &capture.id, amount);
    tell(state, &refund, &capture.reference);
    Ok(Made::Refund(refund.id))
}

/// So much of a capture is its buyer's again, or, below nothing, its merchant's.
pub(super) fn give_back(state: &mut State, capture: &str, amount: i64) {
    let at = super::time(state);
    if let Some(capture) = state.paypal.captures.get_mut(capture) {
        capture.refunded += amount;
        capture.status = match capture.refunded {
            0 => Status::Completed,
            part if part < capture.amount => Status::PartiallyRefunded,
            _ => Status::Refunded,
        };
        capture.updated_at = at;
    }
}

fn tell(state: &mut State, refund: &Refund, reference: &str) {
    let kind = match refund.status.as_str() {
        "PENDING" => "PAYMENT.REFUND.PENDING",
        "FAILED" => "PAYMENT.REFUND.FAILED",
        _ => "PAYMENT.CAPTURE.REFUNDED",
    };
    let resource = refund.json(state);
    emit(state, kind, reference, resource);
}

/// Refunds that waited long enough.
pub(super) fn settle_due(state: &mut State) {
    let (now, at) = (state.now(), super::time(state));
    let mut settled = Vec::new();
    for refund in state.paypal.refunds.iter_mut() {
        if let Some((_, status, _)) = refund.becomes.take_if(|(_, _, at)| *at <= now) {
            refund.status = status;
            refund.updated_at.clone_from(&at);
            settled.push(refund.clone());
        }
    }
    for refund in settled {
        state.books.refund_is(Gateway::Paypal, &refund.id, &refund.status);
        if refund.status == "FAILED" {
            give_back(state, &refund.capture, -refund.amount);
        }
        let reference = state.paypal.captures.get(&refund.capture).map(|capture| capture.reference.clone());
        tell(state, &refund, &reference.unwrap_or_default());
    }
}
