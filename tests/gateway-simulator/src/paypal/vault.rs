//! The vault: payment tokens, made of what was saved during a purchase or by a setup token.

use super::captures;
use super::funding::Instrument;
use super::keys::Made;
use super::notifications::emit;
use super::orders::Order;
use super::refusal::{Refusal, Result};
use super::setups::{self, SetupStatus};
use crate::gateway::Call;
use crate::pages;
use crate::state::State;
use crate::table::Row;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Seconds after a purchase until a token exists, where it comes by webhook.
const LATER: i64 = 1;

/// What a purchase was asked to save, and what became of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Vaulting {
    pub(super) customer: Option<String>,
    merchant_customer: Option<String>,
    token: Option<String>,
    /// The token's id is told by webhook only.
    by_webhook: bool,
}

impl Vaulting {
    pub(super) fn read(attributes: &Value) -> Result<Option<Self>> {
        let (customer, merchant_customer) = customer(attributes, "/payment_source/paypal/attributes/customer")?;
        match attributes["vault"]["store_in_vault"].as_str() {
            Some("ON_SUCCESS") => Ok(Some(Self { customer, merchant_customer, token: None, by_webhook: false })),
            Some(other) => {
                let field = "/payment_source/paypal/attributes/vault/store_in_vault";
                Err(Refusal::invalid("INVALID_PARAMETER_VALUE", field).with_value(other))
            }
            None => Ok(None),
        }
    }

    /// None before the purchase.
    pub(super) fn json(&self, order: &Order, state: &State) -> Option<Value> {
        order.capture.as_ref().and_then(|id| state.paypal.captures.get(id)).filter(|capture| capture.took_money())?;
        match self.token.as_ref().and_then(|id| state.paypal.tokens.get(id)) {
            Some(token) if !self.by_webhook => Some(json!({
                "id": token.id, "status": "VAULTED", "customer": token.customer(), "links": token.links(state),
            })),
            Some(_) | None => {
                let mut vault = json!({"status": "APPROVED"});
                if let Some(customer) = &self.customer {
                    vault["customer"] = json!({ "id": customer });
                }
                Some(vault)
            }
        }
    }
}

/// A payment token: a method that can be charged without its owner.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Token {
    id: String,
    pub(super) customer: String,
    merchant_customer: Option<String>,
    pub(super) instrument: Instrument,
    /// The purchase that it was saved with.
    order: Option<String>,
    /// Until then nobody knows of it.
    arrives: Option<i64>,
    removed: bool,
}

impl Row for Token {
    fn id(&self) -> &str {
        &self.id
    }
}

impl Token {
    fn customer(&self) -> Value {
        shown_customer(&self.customer, self.merchant_customer.as_deref())
    }

    fn links(&self, state: &State) -> Value {
        let address = super::address(state, &format!("v3/vault/payment-tokens/{}", self.id));
        let link = |relation: &str, method: &str| json!({"href": address, "rel": relation, "method": method});
        json!([link("self", "GET"), link("delete", "DELETE")])
    }

    pub(super) fn json(&self, state: &State) -> Value {
        let mut source = self.instrument.json();
        if self.instrument.kind() == "paypal" {
            (source["usage_type"], source["customer_type"]) = (json!("MERCHANT"), json!("CONSUMER"));
        }
        json!({
            "id": self.id, "customer": self.customer(), "payment_source": {self.instrument.kind(): source},
            "links": self.links(state),
        })
    }
}

pub(super) fn shown_customer(id: &str, merchants: Option<&str>) -> Value {
    let mut customer = json!({ "id": id });
    if let Some(merchants) = merchants {
        customer["merchant_customer_id"] = json!(merchants);
    }
    customer
}

pub(super) fn new_customer(state: &mut State) -> String {
    state.id("", 10)
}

/// PayPal's id and the merchant's, where they were sent.
pub(super) fn customer(parent: &Value, field: &str) -> Result<(Option<String>, Option<String>)> {
    let id = |name: &str, longest: usize| match parent["customer"][name].as_str() {
        Some(id) if id.is_empty() || id.len() > longest => {
            Err(Refusal::invalid("INVALID_STRING_LENGTH", &format!("{field}/{name}")).with_value(id))
        }
        id => Ok(id.map(str::to_owned)),
    };
    Ok((id("id", 22)?, id("merchant_customer_id", 64)?))
}

/// A token that can be seen and charged.
pub(super) fn find<'a>(state: &'a State, id: &str) -> Option<&'a Token> {
    state.paypal.tokens.get(id).filter(|token| !token.removed && token.arrives.is_none())
}

/// Saves what an order was told to save, once its money is there.
pub(super) fn save(state: &mut State, order: &str, status: captures::Status) {
    let Some(order) = state.paypal.orders.get(order) else { return };
    let (Some(vaulting), Some(instrument), Some(customer)) = (&order.vaulting, &order.instrument, &order.customer)
    else {
        return;
    };
    let (mut vaulting, instrument, customer) = (vaulting.clone(), instrument.clone(), customer.clone());
    let (order, reference) = (order.id.clone(), order.reference());
    match status {
        captures::Status::Completed => {
            // What had to wait for its money is told by webhook in any case.
            let late = vaulting.by_webhook;
            vaulting.by_webhook |= state.settings.paypal.vault_by_webhook;
            let token = Token {
                id: state.id("", 8).to_lowercase(),
                customer,
                merchant_customer: vaulting.merchant_customer.clone(),
                instrument,
                order: Some(order.clone()),
                arrives: (vaulting.by_webhook && !late).then(|| state.now() + LATER),
                removed: false,
            };
            vaulting.token = Some(token.id.clone());
            state.paypal.tokens.add(token.clone());
            if token.arrives.is_none() {
                tell(state, &token, &reference);
            }
        }
        captures::Status::Pending => vaulting.by_webhook = true,
        captures::Status::Declined | captures::Status::PartiallyRefunded | captures::Status::Refunded => return,
    }
    if let Some(order) = state.paypal.orders.get_mut(&order) {
        order.vaulting = Some(vaulting);
    }
}

fn tell(state: &mut State, token: &Token, reference: &str) {
    let mut resource = token.json(state);
    if let Some(order) = &token.order {
        resource["metadata"] = json!({ "order_id": order });
    }
    emit(state, "VAULT.PAYMENT-TOKEN.CREATED", reference, resource);
}

/// Tokens that come to be known.
pub(super) fn arrive_due(state: &mut State) {
    let now = state.now();
    let mut arrived = Vec::new();
    for token in state.paypal.tokens.iter_mut() {
        if token.arrives.take_if(|at| *at <= now).is_some() && !token.removed {
            arrived.push(token.clone());
        }
    }
    for token in arrived {
        let order = token.order.as_ref().and_then(|id| state.paypal.orders.get(id));
        let reference = order.map_or_else(|| token.id.clone(), Order::reference);
        tell(state, &token, &reference);
    }
}

/// An approved setup token becomes a payment token.
pub(super) fn create(state: &mut State, call: &Call) -> Result<Made> {
    let body = super::body(call)?;
    let source = &body["payment_source"]["token"];
    let field = "/payment_source/token/id";
    let id = source["id"].as_str().ok_or_else(|| Refusal::invalid("MISSING_REQUIRED_PARAMETER", field))?;
    if source["type"] != "SETUP_TOKEN" {
        return Err(Refusal::invalid("INVALID_PARAMETER_VALUE", "/payment_source/token/type"));
    }
    let setup = setups::find(state, id)?.clone();
    let instrument = match (setup.status, setup.instrument) {
        (SetupStatus::Approved, Some(instrument)) => instrument,
        (SetupStatus::Vaulted, _) => return Err(Refusal::unprocessable("SETUP_TOKEN_ALREADY_TOKENIZED", field)),
        (SetupStatus::PayerActionRequired | SetupStatus::Approved, _) => {
            return Err(Refusal::unprocessable("PAYER_ACTION_REQUIRED", field));
        }
    };
    let token = Token {
        id: state.id("", 8).to_lowercase(),
        customer: setup.customer,
        merchant_customer: setup.merchant_customer,
        instrument,
        order: None,
        arrives: None,
        removed: false,
    };
    state.paypal.tokens.add(token.clone());
    setups::spend(state, id);
    tell(state, &token, &token.id);
    Ok(Made::Token(token.id))
}

pub(super) fn list(state: &State, query: &str) -> Result<Value> {
    let fields = pages::fields(query).unwrap_or_default();
    let field = |name: &str| fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str());
    let number = |name: &str, otherwise: usize, most: usize| match field(name).map(str::parse::<usize>) {
        None => Ok(otherwise),
        Some(Ok(number)) if (1..=most).contains(&number) => Ok(number),
        Some(_) => Err(Refusal::invalid("INVALID_PARAMETER_VALUE", name)),
    };
    let customer = field("customer_id").ok_or_else(|| Refusal::invalid("MISSING_REQUIRED_PARAMETER", "customer_id"))?;
    let (size, page) = (number("page_size", 5, 5)?, number("page", 1, 10)?);
    let theirs = state.paypal.tokens.iter().filter(|token| token.customer == customer);
    let theirs: Vec<&Token> = theirs.filter(|token| find(state, &token.id).is_some()).collect();
    let shown: Vec<Value> = theirs.iter().skip((page - 1) * size).take(size).map(|token| token.json(state)).collect();
    let address = super::address(state, "v3/vault/payment-tokens");
    let link = format!("{address}?customer_id={}&page={page}&page_size={size}", pages::encode(customer));
    let mut list = json!({
        "customer": {"id": customer}, "payment_tokens": shown,
        "links": [{"href": link, "rel": "self", "method": "GET"}],
    });
    if field("total_required") == Some("true") {
        (list["total_items"], list["total_pages"]) = (json!(theirs.len()), json!(theirs.len().div_ceil(size)));
    }
    Ok(list)
}

/// Whoever takes it away, merchant or buyer, and whether or not it was there. True if it was.
pub(super) fn remove(state: &mut State, id: &str) -> bool {
    if find(state, id).is_none() {
        return false;
    }
    if let Some(token) = state.paypal.tokens.get_mut(id) {
        token.removed = true;
    }
    emit(state, "VAULT.PAYMENT-TOKEN.DELETED", id, json!({ "id": id }));
    true
}
