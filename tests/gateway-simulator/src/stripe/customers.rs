//! Customers.

use super::form::Params;
use super::refusal::{Refusal, Result};
use super::{Store, emit, listing, methods, subscriptions};
use crate::state::State;
use crate::table::Row;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Customer {
    id: String,
    created: i64,
    pub(super) email: Option<String>,
    name: Option<String>,
    phone: Option<String>,
    description: Option<String>,
    pub(super) default_method: Option<String>,
    metadata: Map<String, Value>,
    #[serde(default)]
    deleted: bool,
}

impl Row for Customer {
    fn id(&self) -> &str {
        &self.id
    }
}

impl Customer {
    pub(super) fn json(&self) -> Value {
        if self.deleted {
            return json!({"id": self.id, "object": "customer", "deleted": true});
        }
        json!({
            "id": self.id, "object": "customer", "address": null, "balance": 0, "created": self.created,
            "currency": null, "default_source": null, "delinquent": false, "description": self.description,
            "discount": null, "email": self.email, "invoice_settings": {
                "custom_fields": null, "default_payment_method": self.default_method, "footer": null,
                "rendering_options": null,
            },
            "livemode": false, "metadata": self.metadata, "name": self.name, "phone": self.phone,
            "preferred_locales": [], "shipping": null, "tax_exempt": "none", "test_clock": null,
        })
    }
}

pub(super) fn known(store: &Store, id: &str, param: &str) -> Result<()> {
    let customer = store.customers.get(id).filter(|customer| !customer.deleted);
    customer.map(|_| ()).ok_or_else(|| Refusal::missing("customer", id, param))
}

const FIELDS: [&str; 8] = [
    "email",
    "name",
    "phone",
    "description",
    "metadata",
    "metadata[*]",
    "invoice_settings[default_payment_method]",
    "expand[*]",
];

pub(super) fn create(state: &mut State, params: &Params) -> Result<Value> {
    params.allow(&[FIELDS.as_slice(), &["payment_method"]].concat())?;
    let metadata = params.metadata("metadata", &Map::new())?;
    let method = match params.text("payment_method") {
        Some(id) => Some(methods::attachable(state, id, "payment_method")?),
        None => None,
    };
    let id = new_customer(state, params.owned("email"));
    if let Some(method) = method {
        methods::give(state, &method, &id, false, &id);
    }
    let default = default_method(state, &id, params)?;
    let Some(customer) = state.stripe.customers.get_mut(&id) else { return Err(Refusal::broken()) };
    (customer.name, customer.phone) = (params.owned("name"), params.owned("phone"));
    customer.description = params.owned("description");
    customer.metadata = metadata;
    customer.default_method = default.flatten();
    Ok(customer.json())
}

pub(super) fn new_customer(state: &mut State, email: Option<String>) -> String {
    let id = state.id("cus_", 14);
    let created = state.now();
    let (name, phone, description, default_method) = (None, None, None, None);
    let metadata = Map::new();
    state.stripe.customers.add(Customer {
        id: id.clone(),
        created,
        email,
        name,
        phone,
        description,
        default_method,
        metadata,
        deleted: false,
    });
    id
}

/// None: it is not to be changed.
fn default_method(state: &State, customer: &str, params: &Params) -> Result<Option<Option<String>>> {
    let param = "invoice_settings[default_payment_method]";
    match params.sent(param) {
        None => Ok(None),
        Some("") => Ok(Some(None)),
        Some(id) => match state.stripe.methods.get(id) {
            Some(method) if method.customer.as_deref() == Some(customer) => Ok(Some(Some(id.to_owned()))),
            _ => Err(methods::not_theirs(id, param)),
        },
    }
}

pub(super) fn update(state: &mut State, id: &str, params: &Params) -> Result<Value> {
    params.allow(&FIELDS)?;
    known(&state.stripe, id, "id")?;
    let default = default_method(state, id, params)?;
    let Some(customer) = state.stripe.customers.get_mut(id) else { return Err(Refusal::broken()) };
    customer.metadata = params.metadata("metadata", &customer.metadata)?;
    let fields = [
        ("email", &mut customer.email),
        ("name", &mut customer.name),
        ("phone", &mut customer.phone),
        ("description", &mut customer.description),
    ];
    for (name, field) in fields {
        if params.sent(name).is_some() {
            *field = params.owned(name);
        }
    }
    if let Some(default) = default {
        customer.default_method = default;
    }
    Ok(customer.json())
}

pub(super) fn retrieve(state: &State, id: &str, params: &Params) -> Result<Value> {
    params.allow(&["expand[*]"])?;
    state.stripe.customers.get(id).map(Customer::json).ok_or_else(|| Refusal::missing("customer", id, "id"))
}

pub(super) fn list(state: &State, params: &Params) -> Result<Value> {
    listing::allow(params, &["email"])?;
    let email = params.text("email");
    let rows = state.stripe.customers.iter().filter(|row| !row.deleted);
    let rows = rows.filter(|row| email.is_none() || row.email.as_deref() == email);
    listing::page(params, "/v1/customers", rows.map(|row| (row.id.as_str(), row.created, || row.json())))
}

/// Cards go with their customer.
pub(super) fn delete(state: &mut State, id: &str, params: &Params) -> Result<Value> {
    params.allow(&[])?;
    known(&state.stripe, id, "id")?;
    let before = state.stripe.customers.get(id).map(Customer::json);
    for method in state.stripe.methods.iter_mut().filter(|row| row.customer.as_deref() == Some(id)) {
        (method.customer, method.spent) = (None, true);
    }
    subscriptions::end_all(state, id);
    emit(state, "customer.deleted", id, before.unwrap_or_default());
    let Some(customer) = state.stripe.customers.get_mut(id) else { return Err(Refusal::broken()) };
    customer.deleted = true;
    Ok(customer.json())
}
