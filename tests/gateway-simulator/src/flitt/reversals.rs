//! Money that goes back: by the merchant's wish, under a name that makes it go once; or by the customer's bank.

use super::callbacks::{self, About};
use super::codes;
use super::orders::{Order, Status};
use super::refusal::{Refusal, Result};
use super::wire::{Request, Success};
use crate::books::{self, Stage};
use crate::faults::Fault;
use crate::gateway::{DisputeOutcome, Gateway};
use crate::state::State;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Fate {
    Processing,
    Approved,
    Declined,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Reversal {
    /// `reverse_id`: the merchant's name for it.
    id: Option<String>,
    number: u64,
    amount: i64,
    fate: Fate,
    code: Option<String>,
    /// As for an order's charge.
    becomes: Option<(Option<String>, i64)>,
}

impl Order {
    /// What went back: the running total.
    pub(super) fn reversed(&self) -> i64 {
        if matches!(self.chargeback, Some(Stage::Open | Stage::Lost)) {
            return self.actual.unwrap_or_default();
        }
        self.refunded()
    }

    fn refunded(&self) -> i64 {
        self.reversals.iter().filter(|row| row.fate == Fate::Approved).map(|row| row.amount).sum()
    }

    /// What no reversal has asked for yet.
    fn left(&self) -> i64 {
        let asked: i64 = self.reversals.iter().filter(|row| row.fate != Fate::Declined).map(|row| row.amount).sum();
        self.actual.unwrap_or_default() - asked
    }

    fn is_reversed(&mut self) {
        let all = self.actual.is_some_and(|actual| self.reversed() >= actual);
        self.status = if all { Status::Reversed } else { Status::Approved };
    }
}

fn answer(order: &Order, reversal: &Reversal) -> Success {
    let fields = [
        ("order_id", json!(order.id)),
        ("response_status", json!("success")),
        ("reverse_status", json!(reversal.fate)),
        ("reversal_amount", json!(reversal.amount.to_string())),
        ("transaction_id", json!(reversal.number)),
        ("reverse_id", json!(reversal.id.clone().unwrap_or_default())),
        ("response_code", reversal.code.as_ref().map_or(json!(""), |code| json!(code))),
        ("response_description", json!(reversal.code.as_deref().map(codes::text).unwrap_or_default())),
    ];
    Success::Signed(Map::from_iter(fields.map(|(name, value)| (name.to_owned(), value))))
}

pub(super) fn reverse(state: &mut State, request: &Request) -> Result<Success> {
    let id = request.required("order_id")?;
    let (amount, currency) = (request.amount()?, request.currency(state)?);
    let name = request.limited("reverse_id", 50)?;
    let order = state.flitt.orders.get(&id).ok_or_else(|| Refusal::no_such_order(&id))?;
    if let Some(known) = order.reversals.iter().find(|row| name.is_some() && row.id == name) {
        return Ok(answer(order, known));
    }
    match order.status {
        Status::Approved if !order.verifies => {}
        Status::Reversed => return Err(Refusal::coded(1086)),
        Status::Approved | Status::Created | Status::Processing | Status::Declined | Status::Expired => {
            return Err(Refusal::coded(1100));
        }
    }
    if currency != order.currency {
        return Err(Refusal::incorrect("currency"));
    }
    if amount > order.left() {
        return Err(Refusal::coded(1023));
    }
    let fault = state.faults.on_refund(Gateway::Flitt);
    let (fate, code, becomes) = match fault {
        Some(Fault::Decline { code }) => {
            if let Some(refused) = codes::refusal(&code) {
                return Err(Refusal::coded(refused));
            }
            (Fate::Declined, Some(code), None)
        }
        Some(Fault::Pending { seconds, code }) => {
            (Fate::Processing, None, Some((code, state.now() + i64::from(seconds))))
        }
        _ => (Fate::Approved, None, None),
    };
    let reversal = Reversal { id: name, number: 1_500_000_000 + state.serial(), amount, fate, code, becomes };
    begin(state, &id, &reversal);
    let order = state.flitt.orders.get(&id).ok_or_else(|| Refusal::no_such_order(&id))?;
    Ok(answer(order, &reversal))
}

fn begin(state: &mut State, id: &str, reversal: &Reversal) {
    let at = state.stamp();
    let Some(order) = state.flitt.orders.get_mut(id) else { return };
    order.reversals.push(reversal.clone());
    let line = books::Refund {
        gateway: Gateway::Flitt,
        reference: id.to_owned(),
        id: reversal.number.to_string(),
        charge: order.charge().map(|row| row.number.to_string()).unwrap_or_default(),
        customer: order.email.clone().unwrap_or_default(),
        amount: books::Amount::new(reversal.amount, &order.currency),
        status: "processing".to_owned(),
        at,
    };
    state.books.refund(line);
    if reversal.fate != Fate::Processing {
        conclude(state, id, reversal.number);
    }
}

/// A reversal has reached its fate.
fn conclude(state: &mut State, id: &str, number: u64) {
    let Some(order) = state.flitt.orders.get_mut(id) else { return };
    let Some(reversal) = order.reversals.iter().find(|row| row.number == number).cloned() else { return };
    let approved = reversal.fate == Fate::Approved;
    order.note(number, "reverse", approved, reversal.amount);
    order.is_reversed();
    state.books.refund_is(Gateway::Flitt, &number.to_string(), if approved { "approved" } else { "failed" });
    if state.settings.flitt.reversal_callbacks {
        callbacks::tell(state, id, About::Reversal);
    }
}

/// Reversals that hung, and whose time has come.
pub(super) fn settle_due(state: &mut State) {
    let now = state.now();
    let mut due = Vec::new();
    for order in state.flitt.orders.iter_mut() {
        for reversal in &mut order.reversals {
            if let Some((declined, _)) = reversal.becomes.take_if(|(_, at)| *at <= now) {
                reversal.fate = if declined.is_none() { Fate::Approved } else { Fate::Declined };
                reversal.code = declined;
                due.push((order.id.clone(), reversal.number));
            }
        }
    }
    if !due.is_empty() {
        // Flitt may say nothing of it, but it is to be saved.
        state.touch();
    }
    for (id, number) in due {
        conclude(state, &id, number);
    }
}

/// `POST /admin/dispute`: the customer's bank takes all of the money that is left at once, and may give it back.
pub(crate) fn charge_back(state: &mut State, id: &str, outcome: DisputeOutcome) -> std::result::Result<Value, String> {
    let at = state.stamp();
    let order = state.flitt.orders.get_mut(id).ok_or_else(|| format!("reference: there is no order {id}"))?;
    let left = order.actual.unwrap_or_default() - order.refunded();
    let charge = order.charge().filter(|_| !order.verifies && left > 0).map(|row| row.number.to_string());
    let charge = charge.ok_or_else(|| format!("reference: {id} has no charge left to dispute"))?;
    let stage = match (outcome, order.chargeback) {
        (DisputeOutcome::Open, None | Some(Stage::Won)) => Stage::Open,
        (DisputeOutcome::Open, Some(Stage::Inquiry | Stage::Open | Stage::Lost)) => {
            return Err(format!("reference: {id} is disputed already"));
        }
        (DisputeOutcome::Won, Some(Stage::Open)) => Stage::Won,
        (DisputeOutcome::Lost, Some(Stage::Open)) => Stage::Lost,
        (DisputeOutcome::Won | DisputeOutcome::Lost, None | Some(Stage::Inquiry | Stage::Won | Stage::Lost)) => {
            return Err(format!("reference: {id} has no open dispute"));
        }
    };
    order.chargeback = Some(stage);
    order.is_reversed();
    let dispute = books::Dispute {
        gateway: Gateway::Flitt,
        reference: id.to_owned(),
        id: format!("chargeback-{}", order.number),
        charge,
        customer: order.email.clone().unwrap_or_default(),
        amount: books::Amount::new(left, &order.currency),
        stage,
        at,
    };
    let shown = json!({"dispute": dispute.id, "reference": id, "stage": stage});
    state.books.disputes.add(dispute);
    // That it is lost changes nothing more: the money went when the dispute began.
    if stage != Stage::Lost {
        callbacks::tell(state, id, About::Chargeback);
    }
    Ok(shown)
}
