//! Checkout's page, on which a customer pays or saves a card.

use super::cards::{self, Card};
use super::charges::{self, Customer};
use super::checkout::{Session, Status};
use super::form::Params;
use super::intents::{self, Start};
use super::methods::{self, Method};
use super::refusal::Refusal;
use super::{customers, emit, money, setups};
use crate::gateway::{Answer, Call};
use crate::pages::{self, Checkout};
use crate::state::State;

pub(super) const NAME: &str = "Stripe";

pub(super) fn choice() -> Vec<(&'static str, &'static str)> {
    cards::CARDS.iter().map(|card| (card.number, card.what)).collect()
}

/// What the customer did: which card, and whether they paid or declined.
pub(super) fn wish(call: &Call) -> Result<(&'static Card, Customer), String> {
    let form = Params::parse(&call.body).map_err(|_| "The form could not be read.".to_owned())?;
    let customer = match form.text("action") {
        Some("pay") => Customer::Here,
        Some("decline") => Customer::Refusing,
        _ => return Err("action must be pay or decline.".to_owned()),
    };
    let number = form.text("card").unwrap_or("4242424242424242").replace(' ', "");
    let card = cards::by_number(&number).ok_or("card must be one of the test cards.")?;
    Ok((card, customer))
}

fn session_page(session: &Session, notice: Option<String>) -> String {
    let currency = session.currency.as_deref().unwrap_or_default();
    let page = Checkout {
        gateway: NAME,
        amount: (!session.saves_only).then(|| money::shown(session.amount, currency)),
        about: &session.about,
        reference: &session.reference(),
        cards: choice(),
        notice,
        back: session.cancel_url.as_deref(),
    };
    page.html()
}

pub(super) fn no_such_page() -> Answer {
    Answer::html(404, pages::outcome(NAME, "No such page", "This payment page does not exist.", "none"))
}

fn is_over(session: &Session) -> Option<Answer> {
    match session.status {
        Status::Open => None,
        // Paying twice leads where paying once leads.
        Status::Complete => Some(Answer::see_other(session.success_address())),
        Status::Expired => {
            let text = "This payment page has expired. Nothing was charged.";
            Some(Answer::html(410, pages::outcome(NAME, "Expired", text, &session.reference())))
        }
    }
}

pub(super) fn show_session(state: &State, id: &str) -> Answer {
    let Some(session) = state.stripe.sessions.get(id) else { return no_such_page() };
    is_over(session).unwrap_or_else(|| Answer::html(200, session_page(session, None)))
}

pub(super) fn pay_session(state: &mut State, id: &str, call: &Call) -> Answer {
    let Some(session) = state.stripe.sessions.get(id).cloned() else { return no_such_page() };
    if let Some(answer) = is_over(&session) {
        return answer;
    }
    let (card, customer) = match wish(call) {
        Ok(wish) => wish,
        Err(notice) => return Answer::html(400, session_page(&session, Some(notice))),
    };
    let method = methods::new_method(state, card);
    let done = if session.saves_only {
        save(state, &session, &method, customer)
    } else {
        pay(state, &session, &method, customer)
    };
    match done {
        Ok(()) => complete(state, id),
        Err(notice) => {
            let session = state.stripe.sessions.get(id).cloned().unwrap_or(session);
            Answer::html(402, session_page(&session, Some(notice)))
        }
    }
}

/// The customer whom the session names, or whom it makes now.
fn owner(state: &mut State, session: &Session) -> Option<String> {
    match &session.customer {
        None if session.creates_customer => {
            let customer = customers::new_customer(state, session.customer_email.clone());
            if let Some(session) = state.stripe.sessions.get_mut(&session.id) {
                session.customer = Some(customer.clone());
            }
            Some(customer)
        }
        customer => customer.clone(),
    }
}

fn pay(state: &mut State, session: &Session, method: &Method, customer: Customer) -> Result<(), String> {
    let intent = match &session.intent {
        Some(intent) => intent.clone(),
        None => {
            // Stripe, too, creates the intent only when the customer first tries to pay.
            let owner = owner(state, session);
            let start = Start {
                amount: session.amount,
                currency: session.currency.clone().unwrap_or_default(),
                customer: owner,
                save_for: session.save_for.clone(),
                description: session.payment_description.clone(),
                metadata: session.payment_metadata.clone(),
                client_reference: session.client_reference().or_else(|| Some(session.reference())),
                ..Start::default()
            };
            let intent = intents::start(state, start).id;
            if let Some(session) = state.stripe.sessions.get_mut(&session.id) {
                session.intent = Some(intent.clone());
            }
            intent
        }
    };
    charges::attempt(state, &intent, method, customer, false).map_err(|refusal| said(*refusal))
}

pub(super) fn said(refusal: Refusal) -> String {
    let why = match refusal.answer().body {
        crate::gateway::Body::Json(body) => {
            let (message, code) = (body["error"]["message"].clone(), body["error"]["decline_code"].clone());
            format!("{} ({})", message.as_str().unwrap_or_default(), code.as_str().unwrap_or("no code"))
        }
        crate::gateway::Body::Html(_) | crate::gateway::Body::Form(_) | crate::gateway::Body::Empty => String::new(),
    };
    format!("{why} Nothing was charged. Try another card.")
}

fn save(state: &mut State, session: &Session, method: &Method, customer: Customer) -> Result<(), String> {
    let Some(setup) = session.setup.clone() else { return Err("There is nothing to set up.".to_owned()) };
    if customer == Customer::Here {
        let owner = owner(state, session);
        if let Some(setup) = state.stripe.setups.get_mut(&setup) {
            setup.customer = owner;
        }
    }
    setups::attempt(state, &setup, method, customer).map_err(|refusal| said(*refusal))
}

fn complete(state: &mut State, id: &str) -> Answer {
    let taken = state.stripe.sessions.get(id).and_then(|session| session.intent.clone());
    let taken = taken.and_then(|intent| state.stripe.intents.get(&intent)).map(|intent| intent.amount);
    let Some(session) = state.stripe.sessions.get_mut(id) else { return no_such_page() };
    session.status = Status::Complete;
    session.amount = taken.unwrap_or(session.amount);
    let session = session.clone();
    emit(state, "checkout.session.completed", &session.reference(), session.json());
    Answer::see_other(session.success_address())
}
