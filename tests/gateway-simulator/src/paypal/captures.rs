//! Captures: an instrument is asked for an order's money, and gives it, lets wait, or declines.

use super::funding::{Decline, Instrument, Processor, Verdict};
use super::notifications::emit;
use super::orders::{self, Order};
use super::refusal::{Refusal, Result};
use super::{money, vault};
use crate::books;
use crate::faults::Fault;
use crate::gateway::{Gateway, Operation};
use crate::state::State;
use crate::table::Row;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(super) enum Status {
    Pending,
    Completed,
    Declined,
    PartiallyRefunded,
    Refunded,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Capture {
    pub(super) id: String,
    pub(super) order: String,
    pub(super) status: Status,
    /// Why it waits.
    reason: Option<String>,
    pub(super) amount: i64,
    pub(super) currency: String,
    custom_id: Option<String>,
    pub(super) invoice_id: Option<String>,
    pub(super) reference: String,
    pub(super) customer: String,
    pub(super) refunded: i64,
    processor: Option<Processor>,
    off_session: bool,
    pub(super) slow: bool,
    /// What it becomes, and when.
    becomes: Option<(Status, i64)>,
    /// Unix seconds.
    pub(super) created: i64,
    pub(super) created_at: String,
    pub(super) updated_at: String,
}

impl Row for Capture {
    fn id(&self) -> &str {
        &self.id
    }
}

impl Capture {
    /// Did it take money, or will it?
    pub(super) fn took_money(&self) -> bool {
        self.status != Status::Declined
    }

    /// As orders show it.
    pub(super) fn json(&self, state: &State) -> Value {
        let address = super::address(state, &format!("v2/payments/captures/{}", self.id));
        let above = super::address(state, &format!("v2/checkout/orders/{}", self.order));
        let amount = money::write(self.amount, &self.currency);
        let mut capture = json!({
            "id": self.id, "status": self.status, "amount": amount, "final_capture": true,
            "disbursement_mode": "INSTANT",
            "seller_protection": {
                "status": "ELIGIBLE", "dispute_categories": ["ITEM_NOT_RECEIVED", "UNAUTHORIZED_TRANSACTION"],
            },
            "links": [
                {"href": address, "rel": "self", "method": "GET"},
                {"href": format!("{address}/refund"), "rel": "refund", "method": "POST"},
                {"href": above, "rel": "up", "method": "GET"},
            ],
            "create_time": self.created_at, "update_time": self.updated_at,
        });
        if let Some(reason) = &self.reason {
            capture["status_details"] = json!({ "reason": reason });
        }
        match self.status {
            Status::Completed | Status::PartiallyRefunded | Status::Refunded => {
                let fee = money::fee(self.amount);
                capture["seller_receivable_breakdown"] = json!({
                    "gross_amount": amount, "paypal_fee": money::write(fee, &self.currency),
                    "net_amount": money::write(self.amount - fee, &self.currency),
                });
            }
            Status::Pending | Status::Declined => {}
        }
        for (name, text) in [("custom_id", &self.custom_id), ("invoice_id", &self.invoice_id)] {
            if let Some(text) = text {
                capture[name] = json!(text);
            }
        }
        if let Some(processor) = &self.processor {
            capture["processor_response"] = json!(processor);
        }
        capture
    }

    /// As it is shown by itself.
    pub(super) fn whole(&self, state: &State) -> Value {
        let mut capture = self.json(state);
        capture["supplementary_data"] = json!({"related_ids": {"order_id": self.order}});
        capture["payee"] = super::payee();
        capture
    }
}

pub(super) fn find<'a>(state: &'a State, id: &str) -> Result<&'a Capture> {
    state.paypal.captures.get(id).ok_or_else(Refusal::not_found)
}

/// Where the buyer is while they are charged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Buyer {
    /// They approved the order on its page.
    Here,
    Away,
}

/// Charges an order once. `Ok` when there is a capture, or the buyer is wanted; otherwise the issue.
pub(super) fn attempt(state: &mut State, mut order: Order, buyer: Buyer, mock: Option<String>) -> Result<()> {
    let Some(instrument) = order.instrument.clone() else { return Err(Refusal::broken()) };
    let operation = if buyer == Buyer::Away { Operation::OffSession } else { Operation::Hosted };
    let fault = if mock.is_none() { state.faults.on_charge(Gateway::Paypal, operation) } else { None };
    let (amount, verdict) = match (mock, fault) {
        (Some(code), _) | (None, Some(Fault::Decline { code })) => {
            (order.amount, Verdict::Decline(Decline::read(&code, &instrument)))
        }
        (None, Some(Fault::WrongAmount { minor })) => (minor, Verdict::Take),
        (None, Some(Fault::Pending { seconds, code })) => {
            let becomes = if code.is_some() { Status::Declined } else { Status::Completed };
            (order.amount, Verdict::Wait { reason: "PENDING_REVIEW", seconds: i64::from(seconds), becomes })
        }
        (None, Some(Fault::RequireAction {})) => return want_buyer(state, order, buyer),
        (None, _) => (order.amount, instrument.verdict()),
    };
    if order.vaulting.is_some() && order.customer.is_none() {
        let wanted = order.vaulting.as_ref().and_then(|vaulting| vaulting.customer.clone());
        order.customer = Some(wanted.unwrap_or_else(|| vault::new_customer(state)));
    }
    match verdict {
        Verdict::Decline(Decline::Issue(issue)) => Err(decline(state, order, buyer, &issue)),
        Verdict::Decline(Decline::Processor(processor)) => {
            let capture = start(state, &mut order, &instrument, buyer, amount, Status::Declined);
            let mut capture = capture;
            capture.processor = Some(processor);
            settle(state, order, capture);
            Ok(())
        }
        Verdict::Take => {
            let capture = start(state, &mut order, &instrument, buyer, amount, Status::Completed);
            settle(state, order, capture);
            Ok(())
        }
        Verdict::Wait { reason, seconds, becomes } => {
            let mut capture = start(state, &mut order, &instrument, buyer, amount, Status::Pending);
            capture.reason = Some(reason.to_owned());
            capture.becomes = Some((becomes, capture.created + seconds));
            settle(state, order, capture);
            Ok(())
        }
    }
}

fn want_buyer(state: &mut State, mut order: Order, buyer: Buyer) -> Result<()> {
    order.must_pay_again(state.now());
    let page = order.page(state);
    state.paypal.orders.add(order);
    match buyer {
        Buyer::Away => Ok(()),
        Buyer::Here => Err(Refusal::unprocessable("PAYER_ACTION_REQUIRED", "").with_link("payer-action", page)),
    }
}

fn decline(state: &mut State, mut order: Order, buyer: Buyer, issue: &str) -> Refusal {
    let id = super::id(state);
    let customer = order.customer.clone().or(order.instrument.as_ref().map(|payer| payer.payer_id().to_owned()));
    let line = books::Charge {
        gateway: Gateway::Paypal,
        reference: order.reference(),
        id,
        payment: order.id.clone(),
        customer: customer.unwrap_or_default(),
        amount: books::Amount::new(order.amount, &order.currency),
        status: books::Status::Failed,
        code: Some(issue.to_owned()),
        refunded: 0,
        off_session: buyer == Buyer::Away,
        at: state.stamp(),
    };
    state.books.charges.push(line);
    let refusal = Refusal::named(issue);
    match buyer {
        // There is no order of which the merchant could ask.
        Buyer::Away => refusal,
        Buyer::Here => {
            let page = order.page(state);
            order.declined = Some(issue.to_owned());
            state.paypal.orders.add(order);
            if Decline::is_the_buyers_to_mend(issue) { refusal.with_link("redirect", page) } else { refusal }
        }
    }
}

fn start(
    state: &mut State,
    order: &mut Order,
    instrument: &Instrument,
    buyer: Buyer,
    amount: i64,
    status: Status,
) -> Capture {
    let (id, at) = (super::id(state), super::time(state));
    (order.status, order.capture) = (orders::Status::Completed, Some(id.clone()));
    order.updated_at.clone_from(&at);
    Capture {
        id,
        order: order.id.clone(),
        status,
        reason: None,
        amount,
        currency: order.currency.clone(),
        custom_id: order.custom_id.clone(),
        invoice_id: order.invoice_id.clone(),
        reference: order.reference(),
        customer: order.customer.clone().unwrap_or_else(|| instrument.payer_id().to_owned()),
        refunded: 0,
        processor: None,
        off_session: buyer == Buyer::Away,
        slow: instrument.is_slow(),
        becomes: None,
        created: state.now(),
        created_at: at.clone(),
        updated_at: at,
    }
}

/// Writes the first state of a capture down, and tells of it.
fn settle(state: &mut State, order: Order, capture: Capture) {
    let id = order.id.clone();
    state.paypal.orders.add(order);
    state.paypal.captures.add(capture.clone());
    vault::save(state, &id, capture.status);
    book(state, &capture);
    tell(state, &capture);
    if capture.took_money()
        && let Some(order) = state.paypal.orders.get(&id)
    {
        let resource = order.json(state);
        emit(state, "CHECKOUT.ORDER.COMPLETED", &capture.reference, resource);
    }
}

/// Money that waits is not in the books.
fn book(state: &mut State, capture: &Capture) {
    let status = match capture.status {
        Status::Pending => return,
        Status::Declined => books::Status::Failed,
        Status::Completed | Status::PartiallyRefunded | Status::Refunded => books::Status::Succeeded,
    };
    let code = capture.processor.as_ref().map(|said| said.response_code.clone());
    let line = books::Charge {
        gateway: Gateway::Paypal,
        reference: capture.reference.clone(),
        id: capture.id.clone(),
        payment: capture.order.clone(),
        customer: capture.customer.clone(),
        amount: books::Amount::new(capture.amount, &capture.currency),
        status,
        code: code.or_else(|| (status == books::Status::Failed).then(|| "DENIED".to_owned())),
        refunded: 0,
        off_session: capture.off_session,
        at: state.stamp(),
    };
    state.books.charges.push(line);
}

fn tell(state: &mut State, capture: &Capture) {
    let kind = match (capture.status, &capture.processor) {
        (Status::Pending, _) => "PAYMENT.CAPTURE.PENDING",
        (Status::Declined, Some(_)) => "PAYMENT.CAPTURE.DECLINED",
        // It was pending, and came to nothing.
        (Status::Declined, None) => "PAYMENT.CAPTURE.DENIED",
        (Status::Completed | Status::PartiallyRefunded | Status::Refunded, _) => "PAYMENT.CAPTURE.COMPLETED",
    };
    let resource = capture.whole(state);
    emit(state, kind, &capture.reference, resource);
}

/// Captures that waited long enough.
pub(super) fn settle_due(state: &mut State) {
    let (now, at) = (state.now(), super::time(state));
    let mut settled = Vec::new();
    for capture in state.paypal.captures.iter_mut() {
        if let Some((status, _)) = capture.becomes.take_if(|(_, at)| *at <= now) {
            (capture.status, capture.reason) = (status, None);
            capture.updated_at.clone_from(&at);
            settled.push(capture.clone());
        }
    }
    for capture in settled {
        vault::save(state, &capture.order, capture.status);
        book(state, &capture);
        tell(state, &capture);
    }
}
