//! Products: what prices are for.

use super::form::Params;
use super::refusal::{Refusal, Result};
use super::{Store, listing, prices};
use crate::state::State;
use crate::table::Row;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Product {
    id: String,
    created: i64,
    updated: i64,
    pub(super) name: String,
    active: bool,
    description: Option<String>,
    default_price: Option<String>,
    metadata: Map<String, Value>,
    deleted: bool,
}

impl Row for Product {
    fn id(&self) -> &str {
        &self.id
    }
}

impl Product {
    pub(super) fn json(&self) -> Value {
        json!({
            "id": self.id, "object": "product", "active": self.active, "created": self.created,
            "default_price": self.default_price, "description": self.description, "images": [], "livemode": false,
            "marketing_features": [], "metadata": self.metadata, "name": self.name, "package_dimensions": null,
            "shippable": null, "statement_descriptor": null, "tax_code": null, "type": "service", "unit_label": null,
            "updated": self.updated, "url": null,
        })
    }
}

pub(super) fn known<'a>(store: &'a Store, id: &str, param: &str) -> Result<&'a Product> {
    let product = store.products.get(id).filter(|product| !product.deleted);
    product.ok_or_else(|| Refusal::missing("product", id, param))
}

pub(super) fn create(state: &mut State, params: &Params) -> Result<Value> {
    params.allow(&[
        "name",
        "id",
        "active",
        "description",
        "metadata",
        "metadata[*]",
        "default_price_data[currency]",
        "default_price_data[unit_amount]",
        "default_price_data[recurring][interval]",
        "default_price_data[recurring][interval_count]",
        "expand[*]",
    ])?;
    let name = params.required("name")?.to_owned();
    let metadata = params.metadata("metadata", &Map::new())?;
    let active = params.text("active").is_none() || params.boolean("active")?;
    let default = match params.any("default_price_data") {
        true => Some(prices::Terms::read(params, "default_price_data")?),
        false => None,
    };
    let id = params.owned("id").unwrap_or_else(|| state.id("prod_", 14));
    if known(&state.stripe, &id, "id").is_ok() {
        let message = format!("Product with ID `{id}` already exists.");
        return Err(Refusal::invalid(&message, Some("id"), Some("resource_already_exists")));
    }
    let now = state.now();
    let default_price = default.map(|terms| prices::add(state, &id, terms));
    let description = params.owned("description");
    let (created, updated, deleted) = (now, now, false);
    let product = Product { id, created, updated, name, active, description, default_price, metadata, deleted };
    let object = product.json();
    state.stripe.products.add(product);
    Ok(object)
}

pub(super) fn retrieve(state: &State, id: &str, params: &Params) -> Result<Value> {
    params.allow(&["expand[*]"])?;
    known(&state.stripe, id, "id").map(Product::json)
}

pub(super) fn update(state: &mut State, id: &str, params: &Params) -> Result<Value> {
    params.allow(&["name", "active", "description", "default_price", "metadata", "metadata[*]", "expand[*]"])?;
    let mut product = known(&state.stripe, id, "id")?.clone();
    if params.sent("name").is_some() {
        product.name = params.required("name")?.to_owned();
    }
    if params.text("active").is_some() {
        product.active = params.boolean("active")?;
    }
    if params.sent("description").is_some() {
        product.description = params.owned("description");
    }
    if let Some(price) = params.text("default_price") {
        let theirs = state.stripe.prices.get(price).filter(|row| row.product == id);
        theirs.ok_or_else(|| Refusal::missing("price", price, "default_price"))?;
        product.default_price = Some(price.to_owned());
    }
    product.metadata = params.metadata("metadata", &product.metadata)?;
    product.updated = state.now();
    let object = product.json();
    state.stripe.products.add(product);
    Ok(object)
}

pub(super) fn list(state: &State, params: &Params) -> Result<Value> {
    listing::allow(params, &["active", "ids[*]"])?;
    let active = params.text("active").map(|_| params.boolean("active")).transpose()?;
    let ids = params.list("ids");
    let rows = state.stripe.products.iter().filter(|row| {
        !row.deleted
            && active.is_none_or(|active| row.active == active)
            && (ids.is_empty() || ids.contains(&row.id.as_str()))
    });
    listing::page(params, "/v1/products", rows.map(|row| (row.id.as_str(), row.created, || row.json())))
}

pub(super) fn delete(state: &mut State, id: &str, params: &Params) -> Result<Value> {
    params.allow(&[])?;
    known(&state.stripe, id, "id")?;
    if state.stripe.prices.iter().any(|price| price.product == id) {
        let message = "This product cannot be deleted because it has one or more user-created prices.";
        return Err(Refusal::invalid(message, None, None));
    }
    if let Some(product) = state.stripe.products.get_mut(id) {
        product.deleted = true;
    }
    Ok(json!({"id": id, "object": "product", "deleted": true}))
}
