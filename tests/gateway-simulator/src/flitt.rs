//! Flitt, as its API speaks: orders named by the merchant, a signature inside every body, HTTP 200 for almost everything,
//! and a failed try that leaves its order open.

mod callbacks;
mod cards;
mod charges;
mod codes;
mod hosted;
mod orders;
mod python;
mod refusal;
mod reversals;
mod signature;
mod wire;

use crate::gateway::{Answer, Begun, Call, Operation};
use crate::state::State;
use crate::table::Table;
use refusal::Refusal;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use wire::{Request, Shape, Success};

pub(crate) use callbacks::{CallbackForm, sign};
pub(crate) use reversals::charge_back as dispute;

#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Store {
    orders: Table<orders::Order>,
    tokens: Table<cards::Token>,
}

impl Store {
    pub(crate) fn rows(&self) -> usize {
        self.orders.len() + self.tokens.len()
    }
}

pub(crate) fn operation(call: &Call) -> Option<Operation> {
    Some(match (call.method.as_str(), call.segments().as_slice()) {
        ("POST", ["merchants", ..]) => Operation::Hosted,
        (_, ["merchants", ..]) => return None,
        ("POST", ["api", "checkout", "url" | "token"]) => Operation::Checkout,
        ("POST", ["api", "recurring"]) => Operation::OffSession,
        ("POST", ["api", "reverse", "order_id"]) => Operation::Refund,
        _ => Operation::Find,
    })
}

pub(crate) fn begin(state: &mut State, call: &Call) -> Begun {
    if call.path.starts_with("merchants/") {
        return Begun::Proceed;
    }
    let refused = match wire::read(state, call) {
        Ok(_) if state.full() => Refusal::new(1002, "The simulator's books are full: POST /admin/reset empties them."),
        Ok(_) => return Begun::Proceed,
        Err(refusal) => refusal,
    };
    Begun::Refuse(refused.answer(Shape::of(call), call))
}

pub(crate) fn broken(call: &Call) -> Answer {
    let answer = Refusal::coded(1002).answer(Shape::of(call), call);
    Answer { status: 500, ..answer }
}

pub(crate) fn tick(state: &mut State) {
    charges::settle_due(state);
    reversals::settle_due(state);
    orders::expire_due(state);
}

/// `POST /admin/flitt/…`
pub(crate) fn order(_state: &mut State, what: &str, _body: &str) -> Result<Value, String> {
    Err(format!("there is no /admin/flitt/{what}"))
}

pub(crate) fn perform(state: &mut State, call: &Call) -> Answer {
    match (call.method.as_str(), call.segments().as_slice()) {
        ("GET", ["merchants", ..]) => hosted::show(state, call),
        ("POST", ["merchants", ..]) => hosted::pay(state, call),
        (_, segments) => {
            let done = wire::read(state, call).and_then(|request| api(state, segments, &request));
            match done {
                Ok(success) => wire::answer(&state.settings.flitt.payment_key, Shape::of(call), success),
                Err(refusal) => refusal.answer(Shape::of(call), call),
            }
        }
    }
}

fn api(state: &mut State, segments: &[&str], request: &Request) -> refusal::Result<Success> {
    match segments {
        ["api", "checkout", "url"] => orders::checkout(state, request, orders::Opens::Page),
        ["api", "checkout", "token"] => orders::checkout(state, request, orders::Opens::Embedded),
        ["api", "status", "order_id"] => orders::status(state, request),
        ["api", "transaction_list"] => orders::transactions(state, request),
        ["api", "recurring"] => charges::recurring(state, request),
        ["api", "reverse", "order_id"] => reversals::reverse(state, request),
        _ => Err(Refusal::coded(1100)),
    }
}
