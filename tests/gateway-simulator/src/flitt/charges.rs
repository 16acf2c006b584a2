//! Charges: what the try of a card comes to, on the page or without its owner.

use super::callbacks::{self, About};
use super::cards::{self, Card};
use super::codes;
use super::orders::{self, Status};
use super::refusal::{Refusal, Result};
use super::wire::{Request, Success};
use crate::books;
use crate::faults::Fault;
use crate::gateway::{Gateway, Operation};
use crate::state::State;

/// A saved card, charged without its owner. The answer tells how it ended.
pub(super) fn recurring(state: &mut State, request: &Request) -> Result<Success> {
    let order = orders::open(state, request)?;
    let rectoken = request.required("rectoken")?;
    if !state.settings.flitt.recurring {
        return Err(Refusal::coded(1060));
    }
    let token = state.flitt.tokens.get(&rectoken).cloned();
    let token = token.ok_or_else(|| Refusal::coded(1035))?;
    let card = cards::by_number(&token.card).ok_or_else(|| Refusal::coded(1035))?;
    let fault = state.faults.on_charge(Gateway::Flitt, Operation::OffSession);
    if let Some(Fault::Decline { code }) = &fault
        && let Some(refused) = codes::refusal(code)
    {
        return Err(Refusal::coded(refused));
    }
    let id = order.id.clone();
    state.flitt.orders.add(order);
    // Charged again without its owner, no test card declines.
    let expired = (token.until <= state.now()).then(|| "1082".to_owned());
    let presence = (fault == Some(Fault::RequireAction {})).then(|| "1073".to_owned());
    attempt(state, &id, card, fault, expired.or(presence));
    let order = state.flitt.orders.get(&id).ok_or_else(|| Refusal::no_such_order(&id))?;
    Ok(Success::Signed(order.fields(state)))
}

/// Tries a card: declined for a reason of its own, or as the fault has it.
pub(super) fn attempt(state: &mut State, id: &str, card: &Card, fault: Option<Fault>, declined: Option<String>) {
    let now = state.now();
    let Some(order) = state.flitt.orders.get_mut(id) else { return };
    order.card = Some(card.number.to_owned());
    (order.status, order.asked, order.code) = (Status::Processing, false, None);
    let requested = order.amount;
    match fault {
        Some(Fault::Pending { seconds, code }) => order.becomes = Some((code, now + i64::from(seconds))),
        Some(Fault::Decline { code }) => finish(state, id, requested, Some(code)),
        Some(Fault::WrongAmount { minor }) => finish(state, id, minor, declined),
        _ => finish(state, id, requested, declined),
    }
}

/// Tries that hung, and whose time has come.
pub(super) fn settle_due(state: &mut State) {
    let now = state.now();
    let mut due = Vec::new();
    for order in state.flitt.orders.iter_mut() {
        if let Some((declined, _)) = order.becomes.take_if(|(_, at)| *at <= now) {
            due.push((order.id.clone(), order.amount, declined));
        }
    }
    for (id, amount, declined) in due {
        finish(state, &id, amount, declined);
    }
}

/// The bank has answered: the order and the books say so, and the merchant hears of it.
fn finish(state: &mut State, id: &str, amount: i64, declined: Option<String>) {
    let (number, at) = (1_500_000_000 + state.serial(), state.stamp());
    let Some(order) = state.flitt.orders.get_mut(id) else { return };
    let Some(card) = order.test_card() else { return };
    let approved = declined.is_none();
    order.note(number, order.kind(), approved, amount);
    order.status = match (approved, order.patient) {
        (true, _) => Status::Approved,
        (false, true) => Status::Processing,
        (false, false) => Status::Declined,
    };
    order.actual = approved.then_some(amount);
    order.code.clone_from(&declined);
    let line = books::Charge {
        gateway: Gateway::Flitt,
        reference: id.to_owned(),
        id: number.to_string(),
        payment: order.number.to_string(),
        customer: order.email.clone().unwrap_or_default(),
        amount: books::Amount::new(amount, &order.currency),
        status: if approved { books::Status::Succeeded } else { books::Status::Failed },
        code: declined,
        refunded: 0,
        off_session: order.off_session,
        at,
    };
    // What a verification holds goes back by itself: no money moved.
    let (sale, keeps_card) = (!order.verifies, order.keeps_card);
    if sale {
        state.books.charges.push(line);
    }
    if approved && keeps_card {
        let rectoken = cards::keep(state, card);
        if let Some(order) = state.flitt.orders.get_mut(id) {
            order.rectoken = Some(rectoken);
        }
    }
    callbacks::tell(state, id, About::Payment);
}
