//! A stand-in for Stripe's elements: the page of a client secret, on which a payment or a setup is confirmed.

use super::charges;
use super::hosted::{NAME, choice, no_such_page, said, wish};
use super::intents::{Intent, Status};
use super::methods;
use super::money;
use super::setups::{self, Setup};
use crate::gateway::{Answer, Call};
use crate::pages::{self, Checkout};
use crate::state::State;

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
        (Status::Succeeded, Some(address)) => {
            let fields = [
                ("payment_intent", intent.id.as_str()),
                ("payment_intent_client_secret", intent.client_secret.as_str()),
                ("redirect_status", "succeeded"),
            ];
            Some(Answer::see_other(pages::with_query(address, &fields)))
        }
        (Status::Succeeded, None) => {
            let text = format!("{} was paid.", money::shown(intent.amount, &intent.currency));
            Some(Answer::html(200, pages::outcome(NAME, "Paid", &text, &reference)))
        }
        (Status::Canceled, _) => {
            let text = "This payment was canceled. Nothing was charged.";
            Some(Answer::html(410, pages::outcome(NAME, "Canceled", text, &reference)))
        }
        (Status::RequiresPaymentMethod | Status::RequiresConfirmation | Status::RequiresAction, _) => None,
    }
}

pub(super) fn show(state: &State, secret: &str) -> Answer {
    if let Some(setup) = setup_by_secret(state, secret) {
        return setup_is_over(setup).unwrap_or_else(|| Answer::html(200, setup_page(setup, None)));
    }
    let Some(intent) = by_secret(state, secret) else { return no_such_page() };
    intent_is_over(intent).unwrap_or_else(|| Answer::html(200, intent_page(intent, None)))
}

pub(super) fn pay(state: &mut State, secret: &str, call: &Call) -> Answer {
    if let Some(setup) = setup_by_secret(state, secret).cloned() {
        return save(state, setup, call);
    }
    let Some(intent) = by_secret(state, secret).cloned() else { return no_such_page() };
    if let Some(answer) = intent_is_over(&intent) {
        return answer;
    }
    let (card, customer) = match wish(call) {
        Ok(wish) => wish,
        Err(notice) => return Answer::html(400, intent_page(&intent, Some(notice))),
    };
    let method = methods::new_method(state, card);
    let done = charges::attempt(state, &intent.id, &method, customer, false);
    let intent = state.stripe.intents.get(&intent.id).cloned().unwrap_or(intent);
    match done {
        Ok(()) => intent_is_over(&intent).unwrap_or_else(|| Answer::html(200, intent_page(&intent, None))),
        Err(refusal) => Answer::html(402, intent_page(&intent, Some(said(*refusal)))),
    }
}

fn setup_by_secret<'a>(state: &'a State, secret: &str) -> Option<&'a Setup> {
    let (id, _) = secret.split_once("_secret_")?;
    state.stripe.setups.get(id).filter(|setup| setup.client_secret == secret)
}

fn setup_page(setup: &Setup, notice: Option<String>) -> String {
    let page = Checkout {
        gateway: NAME,
        amount: None,
        about: setup.description.as_deref().unwrap_or("For later payments"),
        reference: &setup.reference(),
        cards: choice(),
        notice,
        back: setup.return_url.as_deref(),
    };
    page.html()
}

fn setup_is_over(setup: &Setup) -> Option<Answer> {
    let reference = setup.reference();
    match (setup.status, &setup.return_url) {
        (setups::Status::Succeeded, Some(address)) => {
            let fields = [
                ("setup_intent", setup.id.as_str()),
                ("setup_intent_client_secret", setup.client_secret.as_str()),
                ("redirect_status", "succeeded"),
            ];
            Some(Answer::see_other(pages::with_query(address, &fields)))
        }
        (setups::Status::Succeeded, None) => {
            let text = "The card was saved. Nothing was charged.";
            Some(Answer::html(200, pages::outcome(NAME, "Saved", text, &reference)))
        }
        (setups::Status::Canceled, _) => {
            let text = "This setup was canceled. No card was saved.";
            Some(Answer::html(410, pages::outcome(NAME, "Canceled", text, &reference)))
        }
        (
            setups::Status::RequiresPaymentMethod
            | setups::Status::RequiresConfirmation
            | setups::Status::RequiresAction,
            _,
        ) => None,
    }
}

fn save(state: &mut State, setup: Setup, call: &Call) -> Answer {
    if let Some(answer) = setup_is_over(&setup) {
        return answer;
    }
    let (card, customer) = match wish(call) {
        Ok(wish) => wish,
        Err(notice) => return Answer::html(400, setup_page(&setup, Some(notice))),
    };
    let method = methods::new_method(state, card);
    let done = setups::attempt(state, &setup.id, &method, customer);
    let setup = state.stripe.setups.get(&setup.id).cloned().unwrap_or(setup);
    match done {
        Ok(()) => setup_is_over(&setup).unwrap_or_else(|| Answer::html(200, setup_page(&setup, None))),
        Err(refusal) => Answer::html(402, setup_page(&setup, Some(said(*refusal)))),
    }
}
