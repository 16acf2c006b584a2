//! Line items of a checkout session: prices of the catalogue, or amounts named on the spot.

use super::form::Params;
use super::money;
use super::refusal::{Refusal, Result};
use crate::state::State;

const MOST_ITEMS: usize = 100;

/// The sum of the line items, their currency, and what they are.
pub(super) fn read(state: &State, params: &Params) -> Result<(i64, String, String)> {
    if !params.any("line_items") {
        let message = "You must provide at least one of `line_items` in `payment` mode.";
        return Err(Refusal::invalid(message, Some("line_items"), Some("parameter_missing")));
    }
    let mut whole: Option<(i64, String)> = None;
    let mut names = Vec::new();
    for place in 0..MOST_ITEMS {
        let item = format!("line_items[{place}]");
        if !params.any(&item) {
            break;
        }
        let quantity_name = format!("{item}[quantity]");
        params.required(&quantity_name)?;
        let quantity = params.integer(&quantity_name)?.unwrap_or_default();
        if quantity < 1 {
            let message = "This value must be greater than or equal to 1.";
            return Err(Refusal::invalid(message, Some(&quantity_name), Some("parameter_invalid_integer")));
        }
        let (unit, currency, name) = match params.text(&format!("{item}[price]")) {
            Some(price) => priced(state, price, &format!("{item}[price]"))?,
            None => described(params, &item)?,
        };
        names.push(name);
        let amount = unit.checked_mul(quantity).filter(|_| unit >= 0);
        let Some(amount) = amount else {
            return Err(Refusal::invalid("Invalid amount.", Some(&item), Some("parameter_invalid_integer")));
        };
        whole = Some(match whole {
            None => (amount, currency),
            Some((sum, same)) if same == currency => (sum.saturating_add(amount), currency),
            Some(_) => {
                let message = "All line items must have the same currency.";
                return Err(Refusal::invalid(message, Some(&item), None));
            }
        });
    }
    let Some((amount, currency)) = whole else {
        let message = "`line_items` must be numbered from 0.";
        return Err(Refusal::invalid(message, Some("line_items"), None));
    };
    money::check(amount, &currency, "line_items")?;
    Ok((amount, currency, names.join(", ")))
}

/// A price of the catalogue: amount, currency, and what it is for.
fn priced(state: &State, id: &str, param: &str) -> Result<(i64, String, String)> {
    let price = state.stripe.prices.get(id).ok_or_else(|| Refusal::missing("price", id, param))?;
    if !price.active {
        let message = format!("The price specified is inactive. This field only accepts active prices: {id}.");
        return Err(Refusal::invalid(&message, Some(param), None));
    }
    if price.recurring.is_some() {
        let message = "You specified `payment` mode but passed a recurring price. Either switch to `subscription` mode \
                       or use only one-time prices.";
        return Err(Refusal::invalid(message, Some(param), None));
    }
    let name = state.stripe.products.get(&price.product).map(|product| product.name.clone()).unwrap_or_default();
    Ok((price.amount, price.currency.clone(), name))
}

fn described(params: &Params, item: &str) -> Result<(i64, String, String)> {
    let currency = money::currency(params, &format!("{item}[price_data][currency]"))?;
    let amount = format!("{item}[price_data][unit_amount]");
    params.required(&amount)?;
    let unit = params.integer(&amount)?.unwrap_or_default();
    let name = params.required(&format!("{item}[price_data][product_data][name]"))?;
    Ok((unit, currency, name.to_owned()))
}
