//! The page on which a customer pays, or approves the charge of a card that they saved.

use super::cards::{self, Authorization};
use super::money;
use super::transactions::{self, Customer, Status, Transaction};
use crate::gateway::{Answer, Call, Gateway, Operation};
use crate::pages::{self, Checkout, escape};
use crate::state::State;

const NAME: &str = "Paystack";

fn page(state: &State, transaction: &Transaction, notice: Option<String>) -> String {
    let saved = transaction.saved.as_ref().and_then(|code| state.paystack.authorizations.get(code));
    if let Some(saved) = saved {
        return approval(transaction, saved, notice);
    }
    let page = Checkout {
        gateway: NAME,
        amount: Some(money::shown(transaction.amount, &transaction.currency)),
        about: &transaction.email,
        reference: &transaction.reference,
        cards: cards::CARDS.iter().map(|card| (card.number, card.what)).collect(),
        notice,
        back: transaction.cancel_address(),
    };
    page.html()
}

/// A charge that was paused waits for a yes or a no. Its card is chosen already.
fn approval(transaction: &Transaction, saved: &Authorization, notice: Option<String>) -> String {
    let title = format!("Approve {}", money::shown(transaction.amount, &transaction.currency));
    let card = saved.json();
    let said = |name: &str| escape(card[name].as_str().unwrap_or_default());
    let notice =
        notice.map_or_else(String::new, |notice| format!("<p class=\"notice\" role=\"alert\">{}</p>", escape(&notice)));
    let body = format!(
        "<h1>{}</h1><p>{}<br>Saved {} card ending in <b>{}</b><br><small>Reference <code>{}</code></small></p>{notice}\
         <form method=\"post\"><p class=\"buttons\"><button name=\"action\" value=\"pay\">Approve</button> \
         <button class=\"quiet\" name=\"action\" value=\"decline\">Decline</button></p></form>",
        escape(&title),
        escape(&transaction.email),
        said("brand"),
        said("last4"),
        escape(&transaction.reference),
    );
    pages::layout(NAME, &title, &body)
}

fn by_code<'a>(state: &'a State, code: &str) -> Option<&'a Transaction> {
    state.paystack.transactions.iter().rev().find(|row| row.access_code == code)
}

fn no_such_page() -> Answer {
    Answer::html(404, pages::outcome(NAME, "No such page", "This payment page does not exist.", "none"))
}

/// Where a customer goes who has paid, now or before.
fn is_over(transaction: &Transaction) -> Option<Answer> {
    if !matches!(transaction.status, Status::Success | Status::Reversed) {
        return None;
    }
    let reference = transaction.reference.as_str();
    Some(match &transaction.callback {
        Some(address) => {
            Answer::see_other(pages::with_query(address, &[("trxref", reference), ("reference", reference)]))
        }
        None => {
            let text = format!("{} was paid.", money::shown(transaction.amount, &transaction.currency));
            Answer::html(200, pages::outcome(NAME, "Paid", &text, reference))
        }
    })
}

pub(super) fn show(state: &State, code: &str) -> Answer {
    let Some(transaction) = by_code(state, code) else { return no_such_page() };
    is_over(transaction).unwrap_or_else(|| Answer::html(200, page(state, transaction, None)))
}

pub(super) fn pay(state: &mut State, code: &str, call: &Call) -> Answer {
    let Some(transaction) = by_code(state, code).cloned() else { return no_such_page() };
    if let Some(answer) = is_over(&transaction) {
        return answer;
    }
    let form = pages::fields(&call.body).unwrap_or_default();
    let field = |name: &str| form.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str());
    let customer = match field("action") {
        Some("pay") => Customer::Here,
        Some("decline") => Customer::Refusing,
        _ => return Answer::html(400, page(state, &transaction, Some("action must be pay or decline.".to_owned()))),
    };
    // A charge that was paused goes on with the card it began with.
    let saved = transaction.saved.as_ref().and_then(|code| state.paystack.authorizations.get(code)).cloned();
    let authorization = match saved {
        Some(authorization) => authorization,
        None => {
            let number = field("card").unwrap_or("4084084084084081").replace(' ', "");
            let Some(card) = cards::by_number(&number) else {
                let notice = "card must be one of the test cards.".to_owned();
                return Answer::html(400, page(state, &transaction, Some(notice)));
            };
            let authorization = Authorization {
                code: state.id("AUTH_", 10).to_lowercase().replacen("auth_", "AUTH_", 1),
                email: transaction.email.clone(),
                card: card.number.to_owned(),
                inactive: false,
            };
            state.paystack.authorizations.add(authorization.clone());
            authorization
        }
    };
    let fault = match customer {
        Customer::Here => state.faults.on_charge(Gateway::Paystack, Operation::Hosted),
        Customer::Away | Customer::Refusing => None,
    };
    let succeeded = transactions::settle(state, &transaction.reference, &authorization, fault, customer);
    let transaction = state.paystack.transactions.get(&transaction.reference).cloned().unwrap_or(transaction);
    if succeeded {
        return is_over(&transaction).unwrap_or_else(no_such_page);
    }
    let said = transaction.json(state)["gateway_response"].as_str().unwrap_or("Declined").to_owned();
    let next = if transaction.saved.is_some() { "" } else { " Try another card." };
    Answer::html(402, page(state, &transaction, Some(format!("{said}. Nothing was charged.{next}"))))
}
