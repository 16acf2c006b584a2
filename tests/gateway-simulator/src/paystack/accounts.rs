//! Dedicated virtual accounts: a bank account number that is one customer's for good.

use super::refusal::{Refusal, Result};
use super::{Done, Fields, Store, customers, done, required, text, transfers};
use crate::gateway::Gateway;
use crate::state::State;
use crate::table::Row;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Seconds until an account that was asked for in one step is there.
const LATER: i64 = 1;

/// Slug, name, number. Test keys get the first only; live keys the others.
const BANKS: [(&str, &str, u64); 3] =
    [("test-bank", "Test Bank", 24), ("wema-bank", "Wema Bank", 20), ("titan-paystack", "Paystack-Titan", 629)];

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Account {
    pub(super) account_number: String,
    number: u64,
    bank: String,
    pub(super) email: String,
    pub(super) active: bool,
    created_at: String,
    updated_at: String,
}

impl Row for Account {
    fn id(&self) -> &str {
        &self.account_number
    }
}

/// An account on its way to a customer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Assignment {
    email: String,
    bank: String,
    /// The bank could not identify the customer.
    unknown: bool,
    at: i64,
}

fn bank_json(slug: &str) -> Value {
    let known = BANKS.iter().find(|(known, _, _)| *known == slug);
    known.map_or(Value::Null, |(slug, name, id)| json!({"name": name, "id": id, "slug": slug}))
}

impl Account {
    pub(super) fn bank_name(&self) -> &'static str {
        BANKS.iter().find(|(slug, _, _)| *slug == self.bank).map_or("", |(_, name, _)| name)
    }

    pub(super) fn name(&self, store: &Store) -> String {
        let customer = store.customers.get(&self.email);
        let names = customer.map(|row| [row.first_name.as_deref(), row.last_name.as_deref()]).unwrap_or_default();
        let names: Vec<&str> = names.into_iter().flatten().collect();
        format!("SIMULATOR/{}", names.join(" ").to_uppercase())
    }

    pub(super) fn json(&self, store: &Store) -> Value {
        let customer = store.customers.get(&self.email);
        // Paystack is of several minds about how to say that nothing is split.
        let split = match self.number % 3 {
            0 => Value::Null,
            1 => json!({}),
            _ => json!("{}"),
        };
        json!({
            "id": self.number, "bank": bank_json(&self.bank), "account_name": self.name(store),
            "account_number": self.account_number, "assigned": self.active, "active": self.active, "currency": "NGN",
            "metadata": null, "split_config": split, "created_at": self.created_at, "updated_at": self.updated_at,
            "assignment": {
                "integration": 100_000, "assignee_id": customer.map(|row| row.number), "assignee_type": "Customer",
                "expired": false, "expired_at": null, "account_type": "PAY-WITH-TRANSFER-RECURRING",
                "assigned_at": self.created_at,
            },
            "customer": customer.map(customers::Customer::json),
        })
    }
}

/// The customer's accounts that take money.
pub(super) fn of<'a>(store: &'a Store, email: &str) -> impl Iterator<Item = &'a Account> {
    store.accounts.iter().filter(move |row| row.active && row.email == email)
}

fn is_live(state: &State) -> bool {
    state.settings.paystack.secret_key.starts_with("sk_live_")
}

fn banks(state: &State) -> impl Iterator<Item = &'static (&'static str, &'static str, u64)> {
    let live = is_live(state);
    BANKS.iter().filter(move |(slug, _, _)| (*slug != "test-bank") == live)
}

/// The bank that is asked for, if the key may have it.
fn preferred(state: &State, fields: &Fields) -> Result<&'static str> {
    let wanted = text(fields, "preferred_bank");
    let bank = banks(state).find(|(slug, _, _)| wanted.is_none_or(|wanted| wanted == *slug));
    bank.map(|(slug, _, _)| *slug)
        .ok_or_else(|| Refusal::invalid("Invalid value provided for Preferred bank", "invalid_params"))
}

/// The customer's account at the bank, new if need be.
fn provide(state: &mut State, email: &str, bank: &str) -> Account {
    if let Some(account) = of(&state.paystack, email).find(|row| row.bank == bank) {
        return account.clone();
    }
    let (number, at) = (state.serial() + 900_000, state.stamp());
    let account = Account {
        account_number: transfers::new_number(state),
        number,
        bank: bank.to_owned(),
        email: email.to_owned(),
        active: true,
        created_at: at.clone(),
        updated_at: at,
    };
    state.paystack.accounts.add(account.clone());
    account
}

pub(super) fn create(state: &mut State, fields: &Fields) -> Result<Done> {
    let name = required(fields, "customer")?;
    let bank = preferred(state, fields)?;
    let customer = customers::find(state, name)?.clone();
    let complete = [&customer.first_name, &customer.last_name, &customer.phone];
    if complete.iter().any(|field| field.is_none()) {
        let message = "Customer first name, last name and phone number are required";
        return Err(Refusal::invalid(message, "missing_params"));
    }
    let account = provide(state, &customer.email, bank);
    Ok(done("NUBAN successfully created", account.json(&state.paystack)))
}

/// In one step: the customer is made, and hears of the account later.
pub(super) fn assign(state: &mut State, fields: &Fields) -> Result<Done> {
    for name in ["first_name", "last_name", "phone", "preferred_bank"] {
        required(fields, name)?;
    }
    let email = customers::email(fields)?.to_lowercase();
    match required(fields, "country")? {
        "NG" => {}
        "GH" => return Err(Refusal::invalid("The simulator has accounts in Nigeria only", "invalid_params")),
        _ => return Err(Refusal::invalid("country must be NG or GH", "invalid_params")),
    }
    let bank = preferred(state, fields)?.to_owned();
    customers::find_or_create(state, &email);
    customers::update(state, &email, fields)?;
    let unknown = text(fields, "bvn").is_some_and(|bvn| bvn.len() != 11 || !bvn.bytes().all(|b| b.is_ascii_digit()));
    let at = state.now() + LATER;
    state.paystack.assignments.push(Assignment { email, bank, unknown, at });
    Ok(done("Assign dedicated account in progress", Value::Null))
}

/// Accounts whose time has come.
pub(super) fn assign_due(state: &mut State) {
    let now = state.now();
    let (due, waiting) = std::mem::take(&mut state.paystack.assignments).into_iter().partition(|row| row.at <= now);
    state.paystack.assignments = waiting;
    let due: Vec<Assignment> = due;
    for assignment in due {
        let account = (!assignment.unknown).then(|| provide(state, &assignment.email, &assignment.bank));
        let outcome = if assignment.unknown { "failed" } else { "success" };
        let event = format!("dedicatedaccount.assign.{outcome}");
        let customer = state.paystack.customers.get(&assignment.email).map(customers::Customer::json);
        let account = account.map(|account| account.json(&state.paystack));
        let body = json!({"event": event, "data": {
            "customer": customer, "dedicated_account": account, "identification": {"status": outcome},
        }});
        state.announce(Gateway::Paystack, &event, &assignment.email, &body.to_string());
    }
}

pub(super) fn list(state: &State, fields: &Fields) -> Result<Done> {
    let (customer, active) = (text(fields, "customer"), text(fields, "active"));
    let (bank, currency) = (text(fields, "provider_slug"), text(fields, "currency"));
    let store = &state.paystack;
    let rows = store.accounts.iter().filter(|row| {
        let owner = store.customers.get(&row.email);
        customer.is_none_or(|wanted| owner.is_some_and(|owner| owner.is_called(wanted)))
            && active.is_none_or(|active| (active == "true") == row.active)
            && bank.is_none_or(|bank| row.bank == bank)
            && currency.is_none_or(|currency| currency == "NGN")
    });
    super::page(fields, "Managed accounts successfully retrieved", rows.map(|row| row.json(store)).collect())
}

fn find<'a>(state: &'a State, id: &str) -> Result<&'a Account> {
    let found = state.paystack.accounts.iter().find(|row| row.number.to_string() == id);
    found.ok_or_else(|| Refusal::not_found("Dedicated account", "dedicated_account_not_found"))
}

pub(super) fn fetch(state: &State, id: &str) -> Result<Done> {
    Ok(done("Customer retrieved", find(state, id)?.json(&state.paystack)))
}

pub(super) fn deactivate(state: &mut State, id: &str) -> Result<Done> {
    let mut account = find(state, id)?.clone();
    (account.active, account.updated_at) = (false, state.stamp());
    let data = account.json(&state.paystack);
    state.paystack.accounts.add(account);
    Ok(done("Managed Account Successfully Unassigned", data))
}

pub(super) fn providers(state: &State) -> Done {
    let rows: Vec<Value> = banks(state)
        .map(|(slug, name, id)| json!({"provider_slug": slug, "bank_id": id, "bank_name": name, "id": id}))
        .collect();
    done("Dedicated account providers retrieved", json!(rows))
}

/// Asks the bank what Paystack may have missed.
pub(super) fn requery(state: &mut State, fields: &Fields) -> Result<Done> {
    let number = required(fields, "account_number")?.to_owned();
    let slug = required(fields, "provider_slug")?;
    let known = state.paystack.accounts.get(&number).filter(|row| row.bank == slug);
    known.ok_or_else(|| Refusal::not_found("Dedicated account", "dedicated_account_not_found"))?;
    transfers::notice(state, &number);
    let message = "We are checking the status of your transfer. We will send you a notification once it is confirmed";
    Ok(done(message, Value::Null))
}
