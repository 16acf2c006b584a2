//! Lists, newest first, and expanded fields.

use super::form::Params;
use super::refusal::{Refusal, Result};
use super::{charges, customers, disputes, intents, invoices, methods, prices, products, refunds, setups};
use crate::state::State;
use serde_json::{Value, json};

const DEEPEST: usize = 4;

/// The parameters of every list, and `more`.
pub(super) fn allow(params: &Params, more: &[&str]) -> Result<()> {
    let mut allowed = vec!["limit", "starting_after", "ending_before", "expand[*]", "created"];
    allowed.extend(["created[gte]", "created[gt]", "created[lte]", "created[lt]"]);
    allowed.extend(more);
    params.allow(&allowed)
}

/// A page of rows that come oldest first: id, time of creation, and how to show it.
pub(super) fn page<'a, F: FnOnce() -> Value>(
    params: &Params,
    url: &str,
    rows: impl DoubleEndedIterator<Item = (&'a str, i64, F)>,
) -> Result<Value> {
    let limit = params.integer("limit")?.unwrap_or(10);
    let limit = usize::try_from(limit).ok().filter(|limit| (1..=100).contains(limit)).ok_or_else(|| {
        Refusal::invalid("Invalid limit: must be between 1 and 100.", Some("limit"), Some("parameter_invalid_integer"))
    })?;
    let (exact, gte, gt) =
        (params.integer("created")?, params.integer("created[gte]")?, params.integer("created[gt]")?);
    let (lte, lt) = (params.integer("created[lte]")?, params.integer("created[lt]")?);
    let mut rows: Vec<_> = rows
        .rev()
        .filter(|(_, created, _)| {
            exact.is_none_or(|t| *created == t)
                && gte.is_none_or(|t| *created >= t)
                && gt.is_none_or(|t| *created > t)
                && lte.is_none_or(|t| *created <= t)
                && lt.is_none_or(|t| *created < t)
        })
        .collect();
    let place = |rows: &[(&str, i64, F)], name: &str| match params.text(name) {
        None => Ok(None),
        Some(id) => match rows.iter().position(|(row, _, _)| *row == id) {
            Some(place) => Ok(Some(place)),
            None => Err(Refusal::missing("object", id, name)),
        },
    };
    match (place(&rows, "starting_after")?, place(&rows, "ending_before")?) {
        (Some(_), Some(_)) => {
            let message = "You may only specify one of these parameters: starting_after, ending_before.";
            return Err(Refusal::invalid(message, Some("starting_after"), None));
        }
        (Some(after), None) => drop(rows.drain(..=after)),
        (None, Some(before)) => {
            rows.truncate(before);
            // The page that ends there, not the one that starts the list.
            let excess = rows.len().saturating_sub(limit);
            let more = excess > 0;
            rows.drain(..excess);
            let data: Vec<Value> = rows.into_iter().map(|(_, _, show)| show()).collect();
            return Ok(json!({"object": "list", "data": data, "has_more": more, "url": url}));
        }
        (None, None) => {}
    }
    let more = rows.len() > limit;
    let data: Vec<Value> = rows.into_iter().take(limit).map(|(_, _, show)| show()).collect();
    Ok(json!({"object": "list", "data": data, "has_more": more, "url": url}))
}

/// Puts objects where `expand[]` asks for more than their ids.
pub(super) fn expand(state: &State, mut value: Value, params: &Params) -> Result<Value> {
    for path in params.list("expand") {
        let steps: Vec<&str> = path.split('.').collect();
        if steps.len() > DEEPEST {
            let message = format!("You cannot expand more than {DEEPEST} levels of a property. Property: {path}");
            return Err(Refusal::invalid(&message, Some("expand"), None));
        }
        if !follow(state, &mut value, &steps) {
            let message = format!("This property cannot be expanded ({path}).");
            return Err(Refusal::invalid(&message, Some("expand"), None));
        }
    }
    Ok(value)
}

fn follow(state: &State, value: &mut Value, steps: &[&str]) -> bool {
    let Some((step, rest)) = steps.split_first() else { return true };
    if let Some(rows) = value.as_array_mut() {
        return rows.iter_mut().all(|row| follow(state, row, steps));
    }
    let Some(field) = value.get_mut(*step) else { return false };
    if let Some(id) = field.as_str() {
        match object(state, id) {
            Some(object) => *field = object,
            None => return false,
        }
    }
    field.is_null() || follow(state, field, rest)
}

fn object(state: &State, id: &str) -> Option<Value> {
    let store = &state.stripe;
    // A product's id may be any word.
    let kind = id.split_once('_').map_or("", |(kind, _)| kind);
    match kind {
        "cus" => store.customers.get(id).map(customers::Customer::json),
        "pm" => store.methods.get(id).map(methods::Method::json),
        "pi" => store.intents.get(id).map(intents::Intent::json),
        "ch" => store.charges.get(id).map(charges::Charge::json),
        "seti" => store.setups.get(id).map(setups::Setup::json),
        "re" => store.refunds.get(id).map(refunds::Refund::json),
        "du" => store.disputes.get(id).map(disputes::Dispute::json),
        "price" => store.prices.get(id).map(prices::Price::json),
        "sub" => store.subscriptions.get(id).map(|subscription| subscription.json(store)),
        "in" => store.invoices.get(id).map(invoices::Invoice::json),
        _ => store.products.get(id).map(products::Product::json),
    }
}
