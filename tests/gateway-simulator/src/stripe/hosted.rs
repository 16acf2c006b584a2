//! The pages on which a customer pays: Checkout, and a stand-in for Stripe's elements.

use super::cards::{self, Card, Issuer};
use super::charges::{self, Customer};
use super::checkout::{Session, Status};
use super::customers::{self, Method};
use super::form::Params;
use super::intents::{self, Intent, Start};
use super::refusal::Refusal;
use super::{emit, money};
use crate::gateway::{Answer, Call};
use crate::pages::{self, Checkout};
use crate::state::State;
use serde_json::json;

const NAME: &str = "Stripe";

fn choice() -> Vec<(&'static str, &'static str)> {
    cards::CARDS.iter().map(|card| (card.number, card.what)).collect()
}

/// What the customer did: which card, and whether they paid or declined.
fn wish(call: &Call) -> Result<(&'static Card, Customer), String> {
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

fn no_such_page() -> Answer {
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
    let method = customers::new_method(state, card);
    let done = if session.saves_only {
        save(state, &session, card, &method, customer)
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

fn said(refusal: Refusal) -> String {
    let why = match refusal.answer().body {
        crate::gateway::Body::Json(body) => {
            let (message, code) = (body["error"]["message"].clone(), body["error"]["decline_code"].clone());
            format!("{} ({})", message.as_str().unwrap_or_default(), code.as_str().unwrap_or("no code"))
        }
        crate::gateway::Body::Html(_) | crate::gateway::Body::Empty => String::new(),
    };
    format!("{why} Nothing was charged. Try another card.")
}

fn save(state: &mut State, session: &Session, card: &Card, method: &Method, customer: Customer) -> Result<(), String> {
    let refused = match (customer, card.issuer) {
        (Customer::Refusing, _) => Some("generic_decline"),
        (_, Issuer::Declines(reason)) if !card.saves => Some(reason),
        _ => None,
    };
    let Some(id) = session.setup.clone() else { return Err("There is nothing to set up.".to_owned()) };
    if let Some(reason) = refused {
        let error = cards::decline(reason);
        if let Some(setup) = state.stripe.setups.get_mut(&id) {
            setup.last_error = Some(json!(error));
            let object = setup.json();
            emit(state, "setup_intent.setup_failed", &session.reference(), object);
        }
        return Err(said(*Refusal::card(error)));
    }
    let owner = owner(state, session);
    if let Some(owner) = &owner {
        customers::give(state, method, owner, true, &session.reference());
    }
    if let Some(setup) = state.stripe.setups.get_mut(&id) {
        setup.succeeded = true;
        (setup.customer, setup.method, setup.last_error) = (owner, Some(method.id.clone()), None);
        let object = setup.json();
        emit(state, "setup_intent.succeeded", &session.reference(), object);
    }
    Ok(())
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

fn by_secret<'a>(state: &'a State, secret: &str) -> Option<&'a Intent> {
    let (id, _) = secret.split_once("_secret_")?;
    state.stripe.intents.get(id).filter(|intent| intent.client_secret == secret)
}

fn intent_page(intent: &Intent, notice: Option<String>) -> String {
    let page = Checkout {
        gateway: NAME,
        amount: Some(money::shown(intent.amount, &intent.currency)),
        about: intent.description.as_deref().unwrap_or("Payment"),
        reference: &intent.reference(),
        cards: choice(),
        notice,
        back: intent.return_url.as_deref(),
    };
    page.html()
}

fn intent_is_over(intent: &Intent) -> Option<Answer> {
    let reference = intent.reference();
    match (intent.status, &intent.return_url) {
        (intents::Status::Succeeded, Some(address)) => {
            let fields = [
                ("payment_intent", intent.id.as_str()),
                ("payment_intent_client_secret", intent.client_secret.as_str()),
                ("redirect_status", "succeeded"),
            ];
            Some(Answer::see_other(pages::with_query(address, &fields)))
        }
        (intents::Status::Succeeded, None) => {
            let text = format!("{} was paid.", money::shown(intent.amount, &intent.currency));
            Some(Answer::html(200, pages::outcome(NAME, "Paid", &text, &reference)))
        }
        (intents::Status::Canceled, _) => {
            let text = "This payment was canceled. Nothing was charged.";
            Some(Answer::html(410, pages::outcome(NAME, "Canceled", text, &reference)))
        }
        (
            intents::Status::RequiresPaymentMethod
            | intents::Status::RequiresConfirmation
            | intents::Status::RequiresAction,
            _,
        ) => None,
    }
}

pub(super) fn show_intent(state: &State, secret: &str) -> Answer {
    let Some(intent) = by_secret(state, secret) else { return no_such_page() };
    intent_is_over(intent).unwrap_or_else(|| Answer::html(200, intent_page(intent, None)))
}

pub(super) fn pay_intent(state: &mut State, secret: &str, call: &Call) -> Answer {
    let Some(intent) = by_secret(state, secret).cloned() else { return no_such_page() };
    if let Some(answer) = intent_is_over(&intent) {
        return answer;
    }
    let (card, customer) = match wish(call) {
        Ok(wish) => wish,
        Err(notice) => return Answer::html(400, intent_page(&intent, Some(notice))),
    };
    let method = customers::new_method(state, card);
    let done = charges::attempt(state, &intent.id, &method, customer, false);
    let intent = state.stripe.intents.get(&intent.id).cloned().unwrap_or(intent);
    match done {
        Ok(()) => intent_is_over(&intent).unwrap_or_else(|| Answer::html(200, intent_page(&intent, None))),
        Err(refusal) => Answer::html(402, intent_page(&intent, Some(said(*refusal)))),
    }
}
