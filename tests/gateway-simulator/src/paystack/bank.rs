//! The Demo Bank's page, on which a person sends money to any account that is open.

use super::money;
use super::transactions::Status;
use super::transfers::{BANK, Order, SENDER, send};
use crate::books::Fate;
use crate::gateway::{Answer, Call};
use crate::pages::{self, escape};
use crate::state::State;

/// `7000`, `7,000.5` → kobo.
fn kobo(text: &str) -> Option<i64> {
    let text = text.replace(',', "");
    let (whole, fraction) = text.trim().split_once('.').unwrap_or((text.trim(), ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || fraction.len() > 2 || !digits(whole) || !digits(fraction) {
        return None;
    }
    format!("{whole}{fraction:0<2}").parse().ok()
}

/// The bank's page, on which a person sends money.
pub(super) fn show(state: &State) -> Answer {
    Answer::html(200, page(state, "", "", None))
}

fn page(state: &State, account: &str, amount: &str, notice: Option<(&str, String)>) -> String {
    let store = &state.paystack;
    let dedicated = store.accounts.iter().rev().filter(|row| row.active);
    let dedicated = dedicated.map(|row| (row.account_number.clone(), row.name(store), "any amount".to_owned()));
    let waiting = store.transactions.iter().rev().filter(|row| row.status == Status::Ongoing);
    let waiting = waiting.filter_map(|row| {
        let number = row.account.as_ref()?.number.clone();
        Some((number, row.email.clone(), format!("exactly {}", money::shown(row.amount, &row.currency))))
    });
    let mut chosen = account.to_owned();
    let mut accounts = String::new();
    for (number, owner, takes) in waiting.chain(dedicated) {
        if chosen.is_empty() {
            chosen.clone_from(&number);
        }
        let checked = if chosen == number { " checked" } else { "" };
        accounts.push_str(&format!(
            "<label><input type=\"radio\" name=\"account_number\" value=\"{0}\"{checked}> <span><b>{0}</b> {1}<br>\
             <small>takes {2}</small></span></label>",
            escape(&number),
            escape(&owner),
            escape(&takes),
        ));
    }
    if accounts.is_empty() {
        accounts = "<p>No account is open. Ask for one first.</p>".to_owned();
    }
    let notice = notice.map_or_else(String::new, |(role, text)| {
        let class = if role == "alert" { " class=\"notice\"" } else { "" };
        format!("<p{class} role=\"{role}\">{}</p>", escape(&text))
    });
    let body = format!(
        "<h1>Send money</h1>{notice}<form method=\"post\">\
         <fieldset><legend>To account</legend>{accounts}</fieldset>\
         <fieldset><legend>Transfer</legend>\
         <label>Amount in naira <input name=\"amount\" inputmode=\"decimal\" required value=\"{}\"></label>\
         <label>From <input name=\"sender\" value=\"{SENDER}\"></label></fieldset>\
         <p class=\"buttons\"><button>Send</button></p></form>",
        escape(amount),
    );
    pages::layout(BANK, "Send money", &body)
}

pub(super) fn pay(state: &mut State, call: &Call) -> Answer {
    let form = pages::fields(&call.body).unwrap_or_default();
    let field = |name: &str| form.iter().find(|(field, _)| field == name).map_or("", |(_, value)| value.as_str());
    let (account, amount) = (field("account_number"), field("amount"));
    let sender = Some(field("sender").trim().to_owned()).filter(|sender| !sender.is_empty());
    let sent = match kobo(amount) {
        Some(amount) => {
            let account_number = account.to_owned();
            send(state, Order { account_number, amount, sender, ..Order::default() })
        }
        None => Err("amount: must be naira, as in 7000 or 7000.50".to_owned()),
    };
    match sent {
        Ok(line) => {
            let amount = money::shown(line.amount.minor, &line.amount.currency);
            let text = match line.fate {
                Fate::Credited => format!("{amount} arrived at {}.", line.account),
                Fate::Returned | Fate::Unnoticed => format!("{amount} came back from {}: not taken.", line.account),
            };
            let role = if line.fate == Fate::Credited { "status" } else { "alert" };
            Answer::html(200, page(state, account, "", Some((role, text))))
        }
        Err(error) => Answer::html(400, page(state, account, amount, Some(("alert", error)))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn naira_are_read_as_people_write_them() {
        for (text, amount) in [("7000", 700_000), ("7,000.5", 700_050), (" 0.05 ", 5), ("1.25", 125)] {
            assert_eq!(kobo(text), Some(amount), "{text}");
        }
        for text in ["", ".5", "1.234", "-1", "+1", "1e3", "one"] {
            assert_eq!(kobo(text), None, "{text}");
        }
    }
}
