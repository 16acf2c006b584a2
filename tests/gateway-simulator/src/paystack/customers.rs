//! Customers, known by their e-mail address, and the authorizations that are bound to it.

use super::refusal::{Refusal, Result};
use super::{Done, Fields, Store, accounts, done, required, text};
use crate::state::State;
use crate::table::Row;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Customer {
    pub(super) number: u64,
    pub(super) code: String,
    /// In lower case: Paystack keeps it so.
    pub(super) email: String,
    pub(super) first_name: Option<String>,
    pub(super) last_name: Option<String>,
    pub(super) phone: Option<String>,
    metadata: Value,
    created_at: String,
}

impl Row for Customer {
    fn id(&self) -> &str {
        &self.email
    }
}

impl Customer {
    /// By its number or its code.
    pub(super) fn is_called(&self, name: &str) -> bool {
        self.code == name || self.number.to_string() == name
    }

    /// As transactions show it.
    pub(super) fn json(&self) -> Value {
        json!({
            "id": self.number, "first_name": self.first_name, "last_name": self.last_name, "email": self.email,
            "customer_code": self.code, "phone": self.phone, "metadata": self.metadata, "risk_action": "default",
            "international_format_phone": null,
        })
    }

    fn whole(&self, store: &Store) -> Value {
        let theirs = store.authorizations.iter().filter(|row| row.email == self.email && !row.inactive);
        let authorizations: Vec<Value> = theirs.map(super::cards::Authorization::json).collect();
        let accounts: Vec<Value> = accounts::of(store, &self.email).map(|account| account.json(store)).collect();
        json!({
            "id": self.number, "integration": 100_000, "domain": "test", "email": self.email,
            "customer_code": self.code, "first_name": self.first_name, "last_name": self.last_name,
            "phone": self.phone, "metadata": self.metadata, "risk_action": "default", "identified": false,
            "identifications": null, "transactions": [], "subscriptions": [], "authorizations": authorizations,
            "dedicated_account": accounts.first(), "dedicated_accounts": accounts, "createdAt": self.created_at, "updatedAt": self.created_at,
        })
    }
}

/// An address that Paystack takes.
pub(super) fn email(fields: &Fields) -> Result<&str> {
    let email = required(fields, "email")?;
    let valid = email.split_once('@').is_some_and(|(name, host)| {
        !name.is_empty() && host.contains('.') && !host.starts_with('.') && !host.ends_with('.')
    });
    if valid && email.len() <= 254 && email.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(email);
    }
    Err(Refusal::invalid("Invalid Email Address Passed", "invalid_email_address"))
}

/// The customer with this address, new if need be.
pub(super) fn find_or_create(state: &mut State, email: &str) -> Customer {
    let email = email.to_lowercase();
    if let Some(customer) = state.paystack.customers.get(&email) {
        return customer.clone();
    }
    let customer = Customer {
        number: state.serial() + 100_000,
        code: state.id("CUS_", 15).to_lowercase().replacen("cus_", "CUS_", 1),
        email,
        first_name: None,
        last_name: None,
        phone: None,
        metadata: Value::Null,
        created_at: state.stamp(),
    };
    state.paystack.customers.add(customer.clone());
    customer
}

pub(super) fn create(state: &mut State, fields: &Fields) -> Result<Done> {
    let mut customer = find_or_create(state, email(fields)?);
    let names = [
        ("first_name", &mut customer.first_name),
        ("last_name", &mut customer.last_name),
        ("phone", &mut customer.phone),
    ];
    for (name, place) in names {
        // An address that is known already keeps its customer as it was.
        if place.is_none() {
            *place = text(fields, name).map(str::to_owned);
        }
    }
    if customer.metadata.is_null() {
        customer.metadata = fields.get("metadata").cloned().unwrap_or_default();
    }
    state.paystack.customers.add(customer.clone());
    Ok(done("Customer created", customer.whole(&state.paystack)))
}

/// By code, number or address, as it stands in a path.
pub(super) fn find<'a>(state: &'a State, name: &str) -> Result<&'a Customer> {
    let name = crate::pages::decode(&name.replace('+', "%2B")).unwrap_or_default();
    let customer = state.paystack.customers.iter().find(|row| row.is_called(&name) || row.email == name.to_lowercase());
    customer.ok_or_else(|| Refusal::not_found("Customer", "customer_not_found"))
}

pub(super) fn fetch(state: &State, name: &str) -> Result<Done> {
    Ok(done("Customer retrieved", find(state, name)?.whole(&state.paystack)))
}

pub(super) fn update(state: &mut State, name: &str, fields: &Fields) -> Result<Done> {
    let mut customer = find(state, name)?.clone();
    let names = [
        ("first_name", &mut customer.first_name),
        ("last_name", &mut customer.last_name),
        ("phone", &mut customer.phone),
    ];
    for (name, place) in names {
        if fields.contains_key(name) {
            *place = text(fields, name).map(str::to_owned);
        }
    }
    if let Some(metadata) = fields.get("metadata") {
        customer.metadata = metadata.clone();
    }
    let data = customer.whole(&state.paystack);
    state.paystack.customers.add(customer);
    Ok(done("Customer updated", data))
}

pub(super) fn list(state: &State, fields: &Fields) -> Result<Done> {
    let rows = state.paystack.customers.iter();
    super::page(fields, "Customers retrieved", rows.map(Customer::json).collect())
}

pub(super) fn deactivate(state: &mut State, fields: &Fields) -> Result<Done> {
    let code = required(fields, "authorization_code")?;
    match state.paystack.authorizations.get_mut(code).filter(|row| !row.inactive) {
        Some(authorization) => {
            authorization.inactive = true;
            Ok(done("Authorization has been deactivated", Value::Null))
        }
        None => Err(Refusal::new(404, "Authorization code not found", "validation_error", "authorization_not_found")),
    }
}
