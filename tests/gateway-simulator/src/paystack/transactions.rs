//! Transactions: opened, tried, and verified.

use super::cards::{self, Authorization, Said};
use super::refusal::{Refusal, Result};
use super::{Done, Fields, customers, done, moment, money, text, transfers};
use crate::books;
use crate::faults::Fault;
use crate::gateway::Gateway;
use crate::pages;
use crate::state::State;
use crate::table::Row;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Status {
    /// The customer has not paid, and still may.
    Abandoned,
    /// The customer must do something first.
    Ongoing,
    Failed,
    Success,
    Reversed,
}

/// How the money comes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Channel {
    #[default]
    Card,
    /// To an account that is the customer's for good; nobody asked for it.
    DedicatedNuban,
    /// To an account made for this one payment.
    BankTransfer,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Transaction {
    pub(super) number: u64,
    pub(super) reference: String,
    pub(super) access_code: String,
    pub(super) status: Status,
    pub(super) amount: i64,
    pub(super) requested: i64,
    pub(super) currency: String,
    pub(super) email: String,
    pub(super) callback: Option<String>,
    metadata: Value,
    said: Option<Said>,
    /// The code of the card it was last tried with.
    pub(super) authorization: Option<String>,
    /// The reusable card it was opened for, while that waits for its customer.
    pub(super) saved: Option<String>,
    created_at: String,
    paid_at: Option<String>,
    pub(super) refunded: i64,
    #[serde(default)]
    pub(super) channel: Channel,
    /// Where the money is to be sent, until when.
    #[serde(default)]
    pub(super) account: Option<transfers::OneOff>,
    /// Who sent it.
    #[serde(default)]
    pub(super) wire: Option<transfers::Wire>,
}

impl Row for Transaction {
    fn id(&self) -> &str {
        &self.reference
    }
}

impl Transaction {
    /// The page on which its customer pays.
    pub(super) fn address(&self, state: &State) -> String {
        format!("{}/paystack/pay/{}", state.base, self.access_code)
    }

    pub(super) fn cancel_address(&self) -> Option<&str> {
        self.metadata.get("cancel_action").and_then(Value::as_str).filter(|address| pages::is_web_address(address))
    }

    /// Paystack has several ways to say that there is no metadata.
    fn metadata(&self) -> Value {
        match self.number % 3 {
            _ if !self.metadata.is_null() => self.metadata.clone(),
            0 => Value::Null,
            1 => json!(""),
            _ => json!(0),
        }
    }

    pub(super) fn json(&self, state: &State) -> Value {
        let card = self.authorization.as_ref().and_then(|code| state.paystack.authorizations.get(code));
        let authorization = card.map(Authorization::json).or(self.wire.as_ref().map(|wire| wire.json(self.channel)));
        let customer = state.paystack.customers.get(&self.email).map(customers::Customer::json);
        let paid = matches!(self.status, Status::Success | Status::Reversed);
        let waits = "The transaction was not completed";
        json!({
            "id": self.number, "domain": "test", "status": self.status, "reference": self.reference,
            "receipt_number": null, "amount": self.amount, "requested_amount": self.requested,
            "message": null, "currency": self.currency, "channel": self.channel, "ip_address": "127.0.0.1",
            "gateway_response": self.said.as_ref().map_or(waits, |said| said.text.as_str()),
            "gateway_response_code": self.said.as_ref().map(|said| said.name.as_str()),
            "response_code": self.said.as_ref().and_then(|said| said.number.as_deref()),
            "paid_at": self.paid_at, "paidAt": self.paid_at, "created_at": self.created_at,
            "createdAt": self.created_at, "transaction_date": self.created_at, "metadata": self.metadata(),
            "log": null, "fees": paid.then(|| money::fees(self.amount, &self.currency)), "fees_split": null,
            "authorization": authorization.unwrap_or_else(|| json!({})),
            "customer": customer, "plan": null, "plan_object": {}, "subaccount": {}, "split": {}, "order_id": null,
            "pos_transaction_data": null, "source": null, "fees_breakdown": null, "connect": null,
        })
    }
}

/// A reference that is not taken; a new one if none was sent.
fn reference(state: &mut State, fields: &Fields) -> Result<String> {
    let Some(reference) = text(fields, "reference") else { return Ok(state.id("T", 15).to_lowercase()) };
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-.=_".contains(&byte);
    if reference.len() > 100 || !reference.bytes().all(fits) {
        let message = "Invalid transaction reference. Only -, ., = and alphanumeric characters allowed";
        return Err(Refusal::invalid(message, "invalid_reference"));
    }
    if state.paystack.transactions.get(reference).is_some() {
        return Err(Refusal::invalid("Duplicate Transaction Reference", "duplicate_reference"));
    }
    Ok(reference.to_owned())
}

/// An object, sent as such or as JSON text.
fn metadata(fields: &Fields) -> Result<Value> {
    match fields.get("metadata") {
        None | Some(Value::Null) => Ok(Value::Null),
        Some(Value::Object(object)) => Ok(Value::Object(object.clone())),
        Some(Value::String(text)) if text.is_empty() => Ok(Value::Null),
        Some(Value::String(text)) => {
            let parsed = serde_json::from_str::<Value>(text).ok().filter(Value::is_object);
            Ok(parsed.unwrap_or_else(|| json!(text)))
        }
        Some(Value::Bool(_) | Value::Number(_) | Value::Array(_)) => {
            Err(Refusal::invalid("metadata must be an object or a JSON string", "invalid_params"))
        }
    }
}

pub(super) fn open(state: &mut State, fields: &Fields) -> Result<Transaction> {
    let email = customers::email(fields)?.to_owned();
    let currency = money::currency(fields)?;
    let amount = money::amount(fields, currency)?;
    let metadata = metadata(fields)?;
    let callback = text(fields, "callback_url").map(str::to_owned);
    if callback.as_ref().is_some_and(|address| !pages::is_web_address(address)) {
        return Err(Refusal::invalid("callback_url must be a valid URL", "invalid_params"));
    }
    let reference = reference(state, fields)?;
    let customer = customers::find_or_create(state, &email);
    Ok(Transaction {
        // Beyond 32 bits, as Paystack's are.
        number: 5_000_000_000 + state.serial(),
        reference,
        access_code: state.id("", 15).to_lowercase(),
        status: Status::Abandoned,
        amount: money::due(state, amount, currency),
        requested: amount,
        currency: currency.to_owned(),
        email: customer.email,
        callback,
        metadata,
        said: None,
        authorization: None,
        saved: None,
        created_at: state.stamp(),
        paid_at: None,
        refunded: 0,
        channel: Channel::Card,
        account: None,
        wire: None,
    })
}

/// One that nobody opened, because money came by itself.
pub(super) fn unasked(state: &mut State, reference: &str, amount: i64, email: &str) -> Transaction {
    Transaction {
        number: 5_000_000_000 + state.serial(),
        reference: reference.to_owned(),
        access_code: state.id("", 15).to_lowercase(),
        status: Status::Ongoing,
        amount,
        requested: amount,
        currency: "NGN".to_owned(),
        email: email.to_owned(),
        callback: None,
        metadata: Value::Null,
        said: None,
        authorization: None,
        saved: None,
        created_at: state.stamp(),
        paid_at: None,
        refunded: 0,
        channel: Channel::DedicatedNuban,
        account: None,
        wire: None,
    }
}

pub(super) fn initialize(state: &mut State, fields: &Fields) -> Result<Done> {
    let transaction = open(state, fields)?;
    let data = json!({
        "authorization_url": transaction.address(state), "access_code": transaction.access_code,
        "reference": transaction.reference,
    });
    state.paystack.transactions.add(transaction);
    Ok(done("Authorization URL created", data))
}

pub(super) fn verify(state: &State, reference: &str) -> Result<Done> {
    let reference = pages::decode(reference).unwrap_or_default();
    match state.paystack.transactions.get(&reference) {
        Some(transaction) => Ok(done("Verification successful", transaction.json(state))),
        None => Err(Refusal::invalid("Transaction reference not found.", "transaction_not_found")),
    }
}

pub(super) fn fetch(state: &State, id: &str) -> Result<Done> {
    let number = id.parse::<u64>().ok();
    let found = state.paystack.transactions.iter().find(|row| Some(row.number) == number);
    let transaction = found.ok_or_else(|| Refusal::not_found("Transaction", "transaction_not_found"))?;
    Ok(done("Transaction retrieved", transaction.json(state)))
}

pub(super) fn list(state: &State, fields: &Fields) -> Result<Done> {
    let (status, customer) = (text(fields, "status"), text(fields, "customer"));
    let (from, to) = (moment(fields, "from")?, moment(fields, "to")?);
    let rows = state.paystack.transactions.iter().filter(|row| {
        let owner = state.paystack.customers.get(&row.email);
        status.is_none_or(|status| json!(row.status) == status)
            && customer.is_none_or(|wanted| owner.is_some_and(|owner| owner.is_called(wanted)))
            && super::within(&row.created_at, from, to)
    });
    super::page(fields, "Transactions retrieved", rows.map(|row| row.json(state)).collect())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Customer {
    Away,
    Here,
    Refusing,
}

/// Tries the card: the transaction succeeds or fails, and the books say so. True when it succeeded.
pub(super) fn settle(
    state: &mut State,
    reference: &str,
    authorization: &Authorization,
    fault: Option<Fault>,
    customer: Customer,
) -> bool {
    let Some(due) = state.paystack.transactions.get(reference).map(|row| row.amount) else { return false };
    let card = authorization.test_card();
    let declined = match (customer, fault) {
        (Customer::Refusing, _) => Some("declined".to_owned()),
        (_, Some(Fault::Decline { code })) => Some(code),
        (_, Some(Fault::WrongAmount { minor })) => {
            return finish(state, reference, Some(authorization), customer, minor, None);
        }
        // Charged again without the customer, no test card declines.
        (Customer::Away, _) => None,
        (Customer::Here, _) => card.and_then(|card| card.declines).map(str::to_owned),
    };
    finish(state, reference, Some(authorization), customer, due, declined)
}

/// How it ended: with this amount, or declined. Money that was sent has no authorization to keep.
pub(super) fn finish(
    state: &mut State,
    reference: &str,
    authorization: Option<&Authorization>,
    customer: Customer,
    amount: i64,
    declined: Option<String>,
) -> bool {
    let at = state.stamp();
    let Some(transaction) = state.paystack.transactions.get_mut(reference) else { return false };
    transaction.authorization = authorization.map(|row| row.code.clone());
    transaction.said = Some(declined.as_deref().map_or_else(cards::approved, cards::decline));
    let succeeded = declined.is_none();
    transaction.status = if succeeded { Status::Success } else { Status::Failed };
    if succeeded {
        (transaction.amount, transaction.paid_at) = (amount, Some(at.clone()));
    }
    let transaction = transaction.clone();
    // A transaction may be tried several times on its page: each attempt is a line of its own.
    let tries = state.books.charges.iter().filter(|row| row.reference == reference).count();
    let id = transaction.number.to_string();
    let line = books::Charge {
        gateway: Gateway::Paystack,
        reference: reference.to_owned(),
        id: if succeeded { id.clone() } else { format!("{id}-{}", tries + 1) },
        payment: id,
        customer: transaction.email.clone(),
        amount: books::Amount::new(amount, &transaction.currency),
        status: if succeeded { books::Status::Succeeded } else { books::Status::Failed },
        code: declined,
        refunded: 0,
        off_session: customer == Customer::Away,
        at,
    };
    state.books.charges.push(line);
    if succeeded {
        // Of a failed charge Paystack says nothing.
        let body = json!({"event": "charge.success", "data": transaction.json(state)}).to_string();
        state.announce(Gateway::Paystack, "charge.success", reference, &body);
    }
    succeeded
}
