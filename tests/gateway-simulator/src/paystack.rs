//! Paystack, as its API speaks: an envelope around everything, references instead of idempotency keys.

mod accounts;
mod bank;
mod cards;
mod customers;
mod disputes;
mod hosted;
mod money;
mod refunds;
mod refusal;
mod saved;
mod transactions;
mod transfers;

use crate::admin;
use crate::gateway::{Answer, Begun, Call, Operation};
use crate::pages;
use crate::state::State;
use crate::table::Table;
use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use refusal::{Refusal, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sha2::Sha512;

pub(crate) use disputes::order as dispute;

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Store {
    customers: Table<customers::Customer>,
    authorizations: Table<cards::Authorization>,
    transactions: Table<transactions::Transaction>,
    refunds: Table<refunds::Refund>,
    disputes: Table<disputes::Dispute>,
    accounts: Table<accounts::Account>,
    assignments: Vec<accounts::Assignment>,
    /// Transfers that Paystack was not told of.
    unnoticed: Vec<transfers::Wire>,
}

impl Store {
    pub(crate) fn rows(&self) -> usize {
        self.customers.len()
            + self.authorizations.len()
            + self.transactions.len()
            + self.refunds.len()
            + self.disputes.len()
            + self.accounts.len()
            + self.assignments.len()
            + self.unnoticed.len()
    }
}

/// Lower-case hex over the raw body, keyed with the API key.
pub(crate) fn signature(key: &str, body: &str) -> String {
    // HMAC takes keys of any length, so there is always a MAC; the empty text would never verify.
    let Ok(mut mac) = Hmac::<Sha512>::new_from_slice(key.as_bytes()) else { return String::new() };
    mac.update(body.as_bytes());
    HEXLOWER.encode(&mac.finalize().into_bytes())
}

pub(crate) fn operation(call: &Call) -> Option<Operation> {
    Some(match (call.method.as_str(), call.segments().as_slice()) {
        ("POST", ["pay", _]) => Operation::Hosted,
        (_, ["pay" | "bank", ..]) => return None,
        ("POST", ["transaction", "initialize"]) => Operation::Checkout,
        ("POST", ["transaction", "charge_authorization" | "partial_debit"]) => Operation::OffSession,
        ("POST", ["charge"]) if call.body.contains("\"authorization_code\"") => Operation::OffSession,
        ("POST", ["charge"]) => Operation::Checkout,
        ("POST", ["refund", ..]) => Operation::Refund,
        ("POST", ["customer", "authorization", "deactivate"] | ["customer", "deactivate_authorization"]) => {
            Operation::Method
        }
        (_, ["customer" | "dedicated_account", ..]) => Operation::Customer,
        _ => Operation::Find,
    })
}

pub(crate) fn begin(state: &mut State, call: &Call) -> Begun {
    if matches!(call.segments().as_slice(), ["pay", ..] | ["bank"]) {
        return Begun::Proceed;
    }
    if call.bearer() != Some(state.settings.paystack.secret_key.as_str()) {
        return Begun::Refuse(Refusal::new(401, "Invalid key", "validation_error", "invalid_Key").answer());
    }
    if state.full() {
        let message = "The simulator's books are full: POST /admin/reset empties them.";
        return Begun::Refuse(Refusal::new(500, message, "api_error", "unknown").answer());
    }
    Begun::Proceed
}

pub(crate) fn broken() -> Answer {
    Refusal::new(500, "An error occurred on our side", "api_error", "unknown").answer()
}

pub(crate) fn tick(state: &mut State) {
    refunds::settle_due(state);
    accounts::assign_due(state);
    transfers::expire_due(state);
    disputes::remind_due(state);
}

/// `POST /admin/paystack/…`
pub(crate) fn order(state: &mut State, what: &str, body: &str) -> std::result::Result<Value, String> {
    match what {
        "transfer" => transfers::order(state, admin::read(body)?),
        _ => Err(format!("there is no /admin/paystack/{what}")),
    }
}

pub(crate) fn perform(state: &mut State, call: &Call) -> Answer {
    let segments = call.segments();
    match (call.method.as_str(), segments.as_slice()) {
        ("GET", ["pay", code]) => hosted::show(state, code),
        ("POST", ["pay", code]) => hosted::pay(state, code, call),
        ("GET", ["bank"]) => bank::show(state),
        ("POST", ["bank"]) => bank::pay(state, call),
        (method, segments) => match api(state, method, segments, call) {
            Ok(Done { message, data, meta }) => {
                let mut envelope = Map::new();
                envelope.insert("status".to_owned(), json!(true));
                envelope.insert("message".to_owned(), json!(message));
                if !data.is_null() {
                    envelope.insert("data".to_owned(), data);
                }
                if let Some(meta) = meta {
                    envelope.insert("meta".to_owned(), meta);
                }
                Answer::json(200, Value::Object(envelope))
            }
            Err(refusal) => refusal.answer(),
        },
    }
}

/// What goes into the envelope.
#[derive(Debug)]
struct Done {
    message: &'static str,
    data: Value,
    meta: Option<Value>,
}

fn done(message: &'static str, data: Value) -> Done {
    Done { message, data, meta: None }
}

fn api(state: &mut State, method: &str, segments: &[&str], call: &Call) -> Result<Done> {
    match (method, segments) {
        ("POST", ["transaction", "initialize"]) => transactions::initialize(state, &body(call)?),
        ("GET", ["transaction", "verify", reference]) => transactions::verify(state, reference),
        ("POST", ["transaction", "charge_authorization"]) => saved::charge(state, &body(call)?),
        ("POST", ["transaction", "partial_debit"]) => saved::charge_in_part(state, &body(call)?),
        ("POST", ["charge"]) => saved::charge_directly(state, &body(call)?),
        ("GET", ["charge", reference]) => transactions::verify(state, reference),
        ("GET", ["transaction"]) => transactions::list(state, &query(call)?),
        ("GET", ["transaction", id]) => transactions::fetch(state, id),
        ("POST", ["customer"]) => customers::create(state, &body(call)?),
        ("GET", ["customer"]) => customers::list(state, &query(call)?),
        ("GET", ["customer", name]) => customers::fetch(state, name),
        ("PUT", ["customer", name]) => customers::update(state, name, &body(call)?),
        ("POST", ["customer", "authorization", "deactivate"] | ["customer", "deactivate_authorization"]) => {
            customers::deactivate(state, &body(call)?)
        }
        ("POST", ["refund"]) => refunds::create(state, &body(call)?),
        ("GET", ["refund"]) => refunds::list(state, &query(call)?),
        ("GET", ["refund", id]) => refunds::fetch(state, id),
        ("POST", ["refund", "retry_with_customer_details", id]) => refunds::retry(state, id, &body(call)?),
        ("POST", ["dedicated_account"]) => accounts::create(state, &body(call)?),
        ("POST", ["dedicated_account", "assign"]) => accounts::assign(state, &body(call)?),
        ("GET", ["dedicated_account"]) => accounts::list(state, &query(call)?),
        ("GET", ["dedicated_account", "available_providers"]) => Ok(accounts::providers(state)),
        ("GET", ["dedicated_account", "requery"]) => accounts::requery(state, &query(call)?),
        ("GET", ["dedicated_account", id]) => accounts::fetch(state, id),
        ("DELETE", ["dedicated_account", id]) => accounts::deactivate(state, id),
        ("GET", ["dispute"]) => disputes::list(state, &query(call)?),
        ("GET", ["dispute", "transaction", id]) => disputes::of_transaction(state, id),
        ("GET", ["dispute", id]) => disputes::fetch(state, id),
        _ => Err(Refusal::new(404, "Endpoint not found", "validation_error", "not_found")),
    }
}

/// The fields of a request.
type Fields = Map<String, Value>;

fn body(call: &Call) -> Result<Fields> {
    // Paystack's own library for Node sends JSON without saying so.
    if call.header("content-type").is_some_and(|kind| !kind.starts_with("application/json")) {
        return Err(Refusal::invalid("The request must be application/json", "invalid_params"));
    }
    serde_json::from_str(&call.body)
        .map_err(|_| Refusal::invalid("The request body is not valid JSON", "invalid_params"))
}

fn query(call: &Call) -> Result<Fields> {
    let fields =
        pages::fields(&call.query).ok_or_else(|| Refusal::invalid("The query is not valid", "invalid_params"))?;
    Ok(fields.into_iter().map(|(name, value)| (name, Value::String(value))).collect())
}

fn text<'a>(fields: &'a Fields, name: &str) -> Option<&'a str> {
    fields.get(name).and_then(Value::as_str).filter(|text| !text.is_empty())
}

fn required<'a>(fields: &'a Fields, name: &str) -> Result<&'a str> {
    text(fields, name).ok_or_else(|| Refusal::missing(name))
}

/// A whole number, written as a number or as a string: Paystack takes both.
fn integer(fields: &Fields, name: &str) -> Result<Option<i64>> {
    let number = match fields.get(name) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(text)) => text.parse().ok(),
        Some(value) => value.as_i64(),
    };
    match number {
        Some(number) => Ok(Some(number)),
        None => Err(Refusal::invalid(&format!("{name} must be a whole number"), "invalid_params")),
    }
}

/// A time, or the first moment of a day.
fn moment(fields: &Fields, name: &str) -> Result<Option<Timestamp>> {
    let Some(text) = text(fields, name) else { return Ok(None) };
    let day =
        || text.parse::<jiff::civil::Date>().ok()?.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|day| day.timestamp());
    match text.parse().ok().or_else(day) {
        Some(moment) => Ok(Some(moment)),
        None => Err(Refusal::invalid(&format!("{name} must be a date"), "invalid_params")),
    }
}

fn within(stamp: &str, from: Option<Timestamp>, to: Option<Timestamp>) -> bool {
    stamp.parse::<Timestamp>().is_ok_and(|at| from.is_none_or(|from| at >= from) && to.is_none_or(|to| at <= to))
}

/// One page of rows that come oldest first.
fn page(fields: &Fields, message: &'static str, rows: Vec<Value>) -> Result<Done> {
    let size = integer(fields, "perPage")?.or(integer(fields, "per_page")?).unwrap_or(50).clamp(1, 100);
    let number = integer(fields, "page")?.unwrap_or(1).max(1);
    let total = rows.len();
    let (size, skipped) = (usize::try_from(size).unwrap_or(50), usize::try_from(number - 1).unwrap_or(0));
    let pages = total.div_ceil(size);
    let rows: Vec<Value> = rows.into_iter().rev().skip(skipped.saturating_mul(size)).take(size).collect();
    let meta = json!({
        "total": total, "skipped": skipped.saturating_mul(size), "perPage": size, "page": number, "pageCount": pages,
    });
    Ok(Done { message, data: json!(rows), meta: Some(meta) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::vectors;

    #[test]
    fn webhooks_are_signed_as_in_the_vectors() {
        let mut seen = 0;
        for vector in vectors("paystack") {
            let header = vector.header("x-paystack-signature");
            let matches = vector.secrets.iter().any(|secret| signature(secret, &vector.body) == header);
            assert_eq!(matches, vector.genuine, "{}", vector.id);
            seen += 1;
        }
        assert!(seen >= 4, "only {seen} vectors");
    }
}
