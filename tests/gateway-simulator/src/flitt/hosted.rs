//! The page on which a customer pays, the bank's question, and the way back to the merchant: by a form that is posted.

use super::cards::{self, Card};
use super::orders::{Order, Status};
use super::{charges, codes, wire};
use crate::faults::Fault;
use crate::gateway::{Answer, Call, Gateway, Operation};
use crate::pages::{self, Checkout};
use crate::state::State;

const NAME: &str = "Flitt";

fn money(order: &Order) -> String {
    pages::money(order.amount, &order.currency, 2)
}

fn page(order: &Order, notice: Option<String>) -> String {
    let page = Checkout {
        gateway: NAME,
        amount: (!order.verifies).then(|| money(order)),
        about: &order.about,
        reference: &order.id,
        cards: cards::CARDS.iter().map(|card| (card.number, card.what)).collect(),
        notice,
        back: order.cancel_url.as_deref(),
    };
    page.html()
}

fn by_token<'a>(state: &'a State, call: &Call) -> Option<&'a Order> {
    let fields = pages::fields(&call.query)?;
    let (_, token) = fields.iter().find(|(name, _)| name == "token")?;
    state.flitt.orders.iter().rev().find(|row| !row.off_session && row.token == *token)
}

fn no_such_page() -> Answer {
    Answer::html(404, pages::outcome(NAME, "No such page", "This payment page does not exist.", "none"))
}

/// The page as it is now, and where it ends.
fn current(state: &State, order: &Order) -> Answer {
    if order.is_open() {
        let bank = order.asked.then(|| pages::bank(NAME, &money(order), &order.id));
        return Answer::html(200, bank.unwrap_or_else(|| page(order, None)));
    }
    let (status, title) = match order.status {
        Status::Approved | Status::Reversed if order.verifies => (200, "Card saved"),
        Status::Approved | Status::Reversed => (200, "Paid"),
        Status::Created | Status::Processing => (200, "In process"),
        Status::Declined => (402, "Declined"),
        Status::Expired => {
            let text = "This payment page has expired. Nothing was charged.";
            return Answer::html(410, pages::outcome(NAME, "Expired", text, &order.id));
        }
    };
    let text = match status {
        402 => format!("{}. Nothing was charged.", order.code.as_deref().map_or("Declined", codes::text)),
        _ if order.verifies => order.about.clone(),
        _ => format!("{}: {}", order.about, money(order)),
    };
    let Some(address) = &order.response_url else {
        return Answer::html(status, pages::outcome(NAME, title, &text, &order.id));
    };
    let fields = wire::signed(&state.settings.flitt.payment_key, order.fields(state));
    let fields: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), wire::plain(value))).collect();
    let carried = pages::Carried { gateway: NAME, title, text: &text, reference: &order.id, address, fields: &fields };
    Answer::html(status, carried.html()).with("content-security-policy", pages::Carried::policy())
}

pub(super) fn show(state: &State, call: &Call) -> Answer {
    by_token(state, call).map_or_else(no_such_page, |order| current(state, order))
}

/// What the customer did.
enum Step {
    Pay(&'static Card),
    /// The customer, or the bank in their stead, wants none of it.
    Decline(&'static Card),
    /// What the bank asked was answered.
    Confirm(&'static Card),
    Fail(&'static Card),
}

fn step(order: &Order, call: &Call) -> Result<Step, String> {
    let form = pages::fields(&call.body).ok_or("The form could not be read.")?;
    let field = |name: &str| form.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str());
    let action = field("action");
    if let Some(card) = order.test_card().filter(|_| order.asked) {
        match action {
            Some("confirm") => return Ok(Step::Confirm(card)),
            Some("fail") => return Ok(Step::Fail(card)),
            _ => {}
        }
    }
    let number = field("card").unwrap_or("4444555511116666").replace(' ', "");
    let card = cards::by_number(&number).ok_or("card must be one of the test cards.")?;
    match action {
        Some("pay") => Ok(Step::Pay(card)),
        Some("decline") => Ok(Step::Decline(card)),
        _ => Err("action must be pay or decline, or at the bank confirm or fail.".to_owned()),
    }
}

pub(super) fn pay(state: &mut State, call: &Call) -> Answer {
    let Some(order) = by_token(state, call).cloned() else { return no_such_page() };
    if !order.is_open() {
        return current(state, &order);
    }
    let step = match step(&order, call) {
        Ok(step) => step,
        Err(notice) => return Answer::html(400, page(&order, Some(notice))),
    };
    let own = |card: &Card| card.declines.map(str::to_owned);
    match step {
        Step::Pay(card) => match state.faults.on_charge(Gateway::Flitt, Operation::Hosted) {
            Some(Fault::RequireAction {}) => ask(state, &order.id, card),
            None if card.asks => ask(state, &order.id, card),
            fault => charges::attempt(state, &order.id, card, fault, own(card)),
        },
        Step::Decline(card) => charges::attempt(state, &order.id, card, None, Some("1000".to_owned())),
        Step::Confirm(card) => charges::attempt(state, &order.id, card, None, own(card)),
        Step::Fail(card) => charges::attempt(state, &order.id, card, None, Some("1024".to_owned())),
    }
    let Some(order) = state.flitt.orders.get(&order.id) else { return no_such_page() };
    match order.code.as_deref().filter(|_| order.is_open()) {
        Some(code) => {
            let notice = format!("{}. Nothing was charged. Try another card.", codes::text(code));
            Answer::html(402, page(order, Some(notice)))
        }
        None => current(state, order),
    }
}

/// Sends the customer to their bank.
fn ask(state: &mut State, id: &str, card: &Card) {
    if let Some(order) = state.flitt.orders.get_mut(id) {
        order.card = Some(card.number.to_owned());
        (order.status, order.asked, order.code) = (Status::Processing, true, None);
    }
}
