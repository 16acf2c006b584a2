//! The page on which a buyer logs in, chooses a funding, and agrees or goes back.

use super::funding::{BUYERS, FUNDINGS, Instrument};
use super::money;
use super::orders::{self, Order, Status};
use super::setups::{self, Setup, SetupStatus};
use crate::gateway::{Answer, Call};
use crate::pages::{self, escape};
use crate::state::State;

const NAME: &str = "PayPal";

/// What the page asks its buyer to agree to.
struct Question<'a> {
    title: String,
    about: &'a str,
    reference: &'a str,
    agree: &'a str,
    notice: Option<String>,
}

impl Question<'_> {
    fn html(&self) -> String {
        let notice = match &self.notice {
            Some(notice) => format!("<p class=\"notice\" role=\"alert\">{}</p>", escape(notice)),
            None => String::new(),
        };
        let choice = |name: &str, place: usize, value: &str, title: &str, what: &str| {
            let checked = if place == 0 { " checked" } else { "" };
            let (value, title, what) = (escape(value), escape(title), escape(what));
            format!(
                "<label><input type=\"radio\" name=\"{name}\" value=\"{value}\"{checked}> \
                 <span><b>{title}</b> {what}</span></label>"
            )
        };
        let buyers = BUYERS.iter().enumerate().map(|(place, buyer)| {
            choice("buyer", place, buyer.email, &format!("{} {}", buyer.given_name, buyer.surname), buyer.email)
        });
        let fundings = FUNDINGS.iter().enumerate();
        let fundings =
            fundings.map(|(place, funding)| choice("funding", place, funding.name, funding.title, funding.what));
        let body = format!(
            "<h1>{title}</h1><p>{about}<br><small>Reference <code>{reference}</code></small></p>{notice}\
             <form method=\"post\"><fieldset><legend>Log in as</legend>{buyers}</fieldset>\
             <fieldset><legend>Pay with</legend>{fundings}</fieldset>\
             <p class=\"buttons\"><button name=\"action\" value=\"pay\">{agree}</button> \
             <button class=\"quiet\" name=\"action\" value=\"cancel\">Cancel and return</button></p></form>",
            title = escape(&self.title),
            about = escape(self.about),
            reference = escape(self.reference),
            buyers = buyers.collect::<String>(),
            fundings = fundings.collect::<String>(),
            agree = escape(self.agree),
        );
        pages::layout(NAME, &self.title, &body)
    }
}

/// What the buyer did.
enum Wish {
    Agree(Instrument),
    Cancel,
}

fn wish(call: &Call) -> Result<Wish, String> {
    let form = pages::fields(&call.body).ok_or("The form could not be read.")?;
    let field = |name: &str| form.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str());
    match field("action") {
        Some("pay") => {}
        Some("cancel" | "decline") => return Ok(Wish::Cancel),
        _ => return Err("action must be pay or cancel.".to_owned()),
    }
    let buyer = field("buyer").unwrap_or(BUYERS[0].email);
    let funding = field("funding").unwrap_or(FUNDINGS[0].name);
    let buyer = BUYERS.iter().find(|known| known.email == buyer).ok_or("buyer must be one of the accounts.")?;
    let funding = FUNDINGS.iter().find(|known| known.name == funding).ok_or("funding must be one of the sources.")?;
    Ok(Wish::Agree(Instrument::Wallet { email: buyer.email.to_owned(), funding: funding.name.to_owned() }))
}

fn no_such_page() -> Answer {
    Answer::html(404, pages::outcome(NAME, "No such page", "This page does not exist, or has expired.", "none"))
}

/// Back to the merchant; a page that says so where the merchant gave no address.
fn leave(address: Option<&str>, fields: &[(&str, &str)], title: &str, text: &str, reference: &str) -> Answer {
    match address {
        Some(address) => Answer::see_other(pages::with_query(address, fields)),
        None => Answer::html(200, pages::outcome(NAME, title, text, reference)),
    }
}

/// The field of the page's own address.
fn named(call: &Call, name: &str) -> String {
    let fields = pages::fields(&call.query).unwrap_or_default();
    fields.into_iter().find(|(field, _)| field == name).map(|(_, value)| value).unwrap_or_default()
}

fn order_page(order: &Order, notice: Option<String>) -> String {
    let declined = order.declined.as_ref().map(|issue| {
        format!("The last payment was declined ({issue}). Nothing was charged. Choose another way to pay.")
    });
    let about = order.description.as_deref().or(order.brand.as_deref()).unwrap_or("Payment");
    let question = Question {
        title: format!("Pay {}", money::shown(order.amount, &order.currency)),
        about,
        reference: &order.reference(),
        agree: if order.vaulting.is_some() { "Agree, pay and save" } else { "Agree and pay" },
        notice: notice.or(declined),
    };
    question.html()
}

fn order_is_over(order: &Order) -> Option<Answer> {
    match order.status {
        Status::Created | Status::PayerActionRequired => None,
        Status::Approved if order.declined.is_some() => None,
        Status::Approved | Status::Completed => {
            let payer = order.instrument.as_ref().map_or("", Instrument::payer_id);
            let fields = [("token", order.id.as_str()), ("PayerID", payer)];
            let text = "The payment was approved.";
            Some(leave(order.return_url.as_deref(), &fields, "Approved", text, &order.reference()))
        }
        Status::Voided => Some(no_such_page()),
    }
}

/// `/checkoutnow?token=…`
pub(super) fn order(state: &mut State, call: &Call) -> Answer {
    let id = named(call, "token");
    let Ok(order) = orders::find(state, &id).cloned() else { return no_such_page() };
    if let Some(answer) = order_is_over(&order) {
        return answer;
    }
    orders::open(state, &id);
    if call.method != "POST" {
        return Answer::html(200, order_page(&order, None));
    }
    match wish(call) {
        Err(notice) => Answer::html(400, order_page(&order, Some(notice))),
        Ok(Wish::Cancel) => {
            let text = "You went back without paying.";
            let fields = [("token", id.as_str())];
            leave(order.cancel_url.as_deref(), &fields, "Cancelled", text, &order.reference())
        }
        Ok(Wish::Agree(instrument)) => {
            orders::approve(state, &id, instrument);
            let approved = state.paypal.orders.get(&id).and_then(order_is_over);
            approved.unwrap_or_else(no_such_page)
        }
    }
}

fn setup_page(setup: &Setup, notice: Option<String>) -> String {
    let question = Question {
        title: "Save PayPal".to_owned(),
        about: "The merchant may charge this account later.",
        reference: &setup.id,
        agree: "Agree and save",
        notice,
    };
    question.html()
}

fn setup_is_over(setup: &Setup) -> Option<Answer> {
    match setup.status {
        SetupStatus::PayerActionRequired => None,
        SetupStatus::Approved | SetupStatus::Vaulted => {
            let payer = setup.instrument.as_ref().map_or("", Instrument::payer_id);
            let id = setup.id.as_str();
            let fields = [("token", id), ("PayerID", payer), ("approval_token_id", id), ("approval_session_id", id)];
            Some(leave(setup.return_url.as_deref(), &fields, "Saved", "The account may be charged.", id))
        }
    }
}

/// `/agreements/approve?approval_session_id=…`
pub(super) fn setup(state: &mut State, call: &Call) -> Answer {
    let id = named(call, "approval_session_id");
    let Ok(setup) = setups::find(state, &id).cloned() else { return no_such_page() };
    if let Some(answer) = setup_is_over(&setup) {
        return answer;
    }
    if call.method != "POST" {
        return Answer::html(200, setup_page(&setup, None));
    }
    match wish(call) {
        Err(notice) => Answer::html(400, setup_page(&setup, Some(notice))),
        Ok(Wish::Cancel) => {
            let fields = [("token", id.as_str())];
            leave(setup.cancel_url.as_deref(), &fields, "Cancelled", "Nothing was saved.", &id)
        }
        Ok(Wish::Agree(instrument)) => {
            setups::approve(state, &id, instrument);
            let approved = state.paypal.setups.get(&id).and_then(setup_is_over);
            approved.unwrap_or_else(no_such_page)
        }
    }
}
