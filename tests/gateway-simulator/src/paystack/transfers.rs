//! Bank transfers: to dedicated accounts, which take any amount, and to accounts made for one payment, which take
//! exactly what is due and send everything else back.

use super::refusal::{Refusal, Result};
use super::transactions::{self, Channel, Customer, Status, Transaction};
use super::{Done, Fields, customers, done, money, text};
use crate::books::{self, Fate};
use crate::gateway::Gateway;
use crate::state::State;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Kobo. Less is not worth a transfer to Paystack.
const LEAST: i64 = 10_000;
const LARGEST: i64 = 100_000_000_000;
/// Seconds that an account waits if nobody says how long.
const LIFETIME: i64 = 30 * 60;
/// Where people send from.
pub(super) const BANK: &str = "Demo Bank";
pub(super) const SENDER: &str = "Ada Okonkwo";

/// An account made for one payment.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct OneOff {
    pub(super) number: String,
    expires_at: i64,
}

/// Money on its way, or there.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Wire {
    id: String,
    code: String,
    /// The account it goes to, and that account's bank.
    account: String,
    bank: String,
    amount: i64,
    sender: String,
    narration: String,
}

impl Wire {
    /// What a transaction shows where others show a card.
    pub(super) fn json(&self, channel: Channel) -> Value {
        json!({
            "authorization_code": self.code, "bin": "008XXX", "last4": "1644", "exp_month": "12", "exp_year": "2040",
            "channel": channel, "card_type": "transfer", "bank": BANK, "country_code": "NG",
            "brand": "Managed Account", "reusable": false, "signature": null, "account_name": null,
            "sender_country": "NG", "sender_bank": BANK, "sender_bank_account_number": "XXXXXX1644",
            "sender_name": self.sender, "narration": self.narration,
            "receiver_bank_account_number": self.account, "receiver_bank": self.bank,
        })
    }
}

/// `POST /admin/paystack/transfer`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Order {
    pub(super) account_number: String,
    /// Kobo.
    pub(super) amount: i64,
    pub(super) sender: Option<String>,
    pub(super) narration: Option<String>,
    /// Paystack learns of it only when it is asked to look: `GET /dedicated_account/requery`.
    #[serde(default)]
    pub(super) unnoticed: bool,
}

/// Ten digits that no other account has.
pub(super) fn new_number(state: &mut State) -> String {
    format!("99{:08}", state.serial() % 100_000_000)
}

/// Opens an account for one payment.
pub(super) fn ask(state: &mut State, fields: &Fields, terms: &Fields) -> Result<Done> {
    let now = state.now();
    let expires_at = match text(terms, "account_expires_at") {
        None => now + LIFETIME,
        Some(time) => time
            .parse()
            .map(Timestamp::as_second)
            .ok()
            .filter(|at| *at > now)
            .ok_or_else(|| Refusal::invalid("account_expires_at must be a date in the future", "invalid_params"))?,
    };
    let mut transaction = transactions::open(state, fields)?;
    if transaction.currency != "NGN" {
        return Err(Refusal::invalid("Currency not supported by merchant", "unsupported_currency"));
    }
    if transaction.requested < LEAST {
        let message = format!("Amount should be at least {}", money::shown(LEAST, "NGN"));
        return Err(Refusal::invalid(&message, "invalid_amount"));
    }
    let number = new_number(state);
    (transaction.channel, transaction.status) = (Channel::BankTransfer, Status::Ongoing);
    transaction.account = Some(OneOff { number: number.clone(), expires_at });
    let time = Timestamp::from_second(expires_at).unwrap_or_default().strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string();
    let data = json!({
        "status": "pending_bank_transfer", "display_text": "Please make a transfer to the account specified",
        "reference": transaction.reference, "amount": transaction.amount, "account_name": "PAYSTACK CHECKOUT",
        "account_number": number, "bank": {"slug": "test-bank", "name": "Test Bank", "id": 24},
        "account_expires_at": time,
    });
    state.paystack.transactions.add(transaction);
    Ok(done("Charge attempted", data))
}

/// Accounts whose payment did not come in time.
pub(super) fn expire_due(state: &mut State) {
    let now = state.now();
    let mut expired = false;
    for row in state.paystack.transactions.iter_mut().filter(|row| row.status == Status::Ongoing) {
        if row.account.as_ref().is_some_and(|account| account.expires_at <= now) {
            row.status = Status::Abandoned;
            expired = true;
        }
    }
    if expired {
        state.touch();
    }
}

fn one_off<'a>(state: &'a State, number: &str) -> Option<&'a Transaction> {
    let mut rows = state.paystack.transactions.iter();
    rows.find(|row| row.account.as_ref().is_some_and(|account| account.number == number))
}

pub(super) fn order(state: &mut State, order: Order) -> std::result::Result<Value, String> {
    send(state, order).map(|line| json!({"transfer": line}))
}

/// Refusals name the field.
pub(super) fn send(state: &mut State, order: Order) -> std::result::Result<books::Transfer, String> {
    let Order { account_number: account, amount, sender, narration, unnoticed } = order;
    if !(1..=LARGEST).contains(&amount) {
        return Err(format!("amount: must be 1 to {LARGEST}"));
    }
    let dedicated = state.paystack.accounts.get(&account);
    if unnoticed && dedicated.is_none() {
        return Err("unnoticed: only a dedicated account can be asked about later".to_owned());
    }
    let meant_for = one_off(state, &account);
    let (customer, reference, bank) = match (dedicated, meant_for) {
        (Some(row), _) => (row.email.clone(), String::new(), row.bank_name()),
        (None, Some(row)) => (row.email.clone(), row.reference.clone(), "Test Bank"),
        (None, None) => return Err(format!("account_number: there is no account {account}")),
    };
    let wire = Wire {
        id: state.id("", 24).bytes().map(|letter| char::from(b'0' + letter % 10)).collect(),
        code: state.id("AUTH_", 10).to_lowercase().replacen("auth_", "AUTH_", 1),
        account,
        bank: bank.to_owned(),
        amount,
        sender: sender.unwrap_or_else(|| SENDER.to_owned()),
        narration: narration.unwrap_or_else(|| "Transfer".to_owned()),
    };
    let line = books::Transfer {
        gateway: Gateway::Paystack,
        reference,
        id: wire.id.clone(),
        charge: None,
        account: wire.account.clone(),
        customer,
        amount: books::Amount::new(amount, "NGN"),
        fate: Fate::Unnoticed,
        at: state.stamp(),
    };
    if unnoticed {
        state.paystack.unnoticed.push(wire);
        state.books.transfers.add(line.clone());
        return Ok(line);
    }
    Ok(arrive(state, wire, line))
}

/// Paystack looks, and finds what had reached an account.
pub(super) fn notice(state: &mut State, account: &str) {
    let (found, rest) = std::mem::take(&mut state.paystack.unnoticed).into_iter().partition(|w| w.account == account);
    state.paystack.unnoticed = rest;
    let found: Vec<Wire> = found;
    for wire in found {
        let line = state.books.transfers.iter().find(|line| line.id == wire.id).cloned();
        if let Some(line) = line {
            arrive(state, wire, line);
        }
    }
}

/// The money becomes a charge, or goes back.
fn arrive(state: &mut State, wire: Wire, mut line: books::Transfer) -> books::Transfer {
    let reference = match state.paystack.accounts.get(&wire.account) {
        Some(account) if account.active => Some(credit(state, &wire, &line.customer)),
        Some(_) => None,
        None => fulfil(state, &wire),
    };
    line.fate = if reference.is_some() { Fate::Credited } else { Fate::Returned };
    if let Some(reference) = reference {
        let (amount, customer) = (wire.amount, Customer::Here);
        if let Some(transaction) = state.paystack.transactions.get_mut(&reference) {
            line.charge = Some(transaction.number.to_string());
            transaction.wire = Some(wire);
        }
        line.reference.clone_from(&reference);
        state.books.transfers.add(line.clone());
        transactions::finish(state, &reference, None, customer, amount, None);
    } else {
        state.books.transfers.add(line.clone());
    }
    line
}

/// A transaction that nobody opened: its reference is Paystack's own.
fn credit(state: &mut State, wire: &Wire, email: &str) -> String {
    let transaction = transactions::unasked(state, &format!("10000{}", wire.id), wire.amount, email);
    let reference = transaction.reference.clone();
    state.paystack.transactions.add(transaction);
    reference
}

/// The payment that the account was made for, if the money is what it waits for.
fn fulfil(state: &mut State, wire: &Wire) -> Option<String> {
    let now = state.now();
    let waiting = one_off(state, &wire.account).filter(|row| {
        row.status == Status::Ongoing && row.account.as_ref().is_some_and(|account| account.expires_at > now)
    });
    let transaction = waiting?;
    if transaction.amount == wire.amount {
        return Some(transaction.reference.clone());
    }
    let customer = state.paystack.customers.get(&transaction.email).map(customers::Customer::json);
    let body = json!({"event": "bank.transfer.rejected", "data": {
        "bank_transfer": {
            "amount": wire.amount, "message": "Amount sent is not the amount that was expected",
            "message_type": "INCORRECT_AMOUNT", "transaction_id": transaction.number,
        },
        "customer": customer,
    }});
    let reference = transaction.reference.clone();
    state.announce(Gateway::Paystack, "bank.transfer.rejected", &reference, &body.to_string());
    None
}
