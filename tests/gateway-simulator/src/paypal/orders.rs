//! Orders: created, approved by their buyer, captured; or charged to a saved method in one step.

use super::funding::Instrument;
use super::keys::Made;
use super::refusal::{Refusal, Result};
use super::{captures, keys, money, vault};
use crate::gateway::Call;
use crate::pages;
use crate::state::State;
use crate::table::Row;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Seconds from creation until the buyer must be on the page, and from there until the order is captured.
const PATIENCE: i64 = 3 * 3_600;
const LONGEST_TEXT: usize = 127;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(super) enum Status {
    Created,
    PayerActionRequired,
    Approved,
    Completed,
    Voided,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Order {
    pub(super) id: String,
    pub(super) status: Status,
    created_at: String,
    pub(super) updated_at: String,
    /// Until when its buyer, or its merchant, must have taken the next step.
    deadline: i64,
    opened: bool,
    unit: String,
    pub(super) custom_id: Option<String>,
    pub(super) invoice_id: Option<String>,
    pub(super) description: Option<String>,
    pub(super) amount: i64,
    pub(super) currency: String,
    /// Was PayPal named as the source? Then its links are called otherwise.
    names_source: bool,
    pub(super) brand: Option<String>,
    pub(super) return_url: Option<String>,
    pub(super) cancel_url: Option<String>,
    pub(super) instrument: Option<Instrument>,
    /// The owner of the payment token that is made, or was charged.
    pub(super) customer: Option<String>,
    pub(super) vaulting: Option<vault::Vaulting>,
    pub(super) capture: Option<String>,
    /// Why the last attempt failed, while the buyer may choose another funding.
    pub(super) declined: Option<String>,
}

impl Row for Order {
    fn id(&self) -> &str {
        &self.id
    }
}

impl Order {
    /// What the merchant calls the payment.
    pub(super) fn reference(&self) -> String {
        self.custom_id.as_ref().or(self.invoice_id.as_ref()).unwrap_or(&self.id).clone()
    }

    /// Where its buyer approves it.
    pub(super) fn page(&self, state: &State) -> String {
        format!("{}/paypal/checkoutnow?token={}", state.base, self.id)
    }

    pub(super) fn must_pay_again(&mut self, now: i64) {
        (self.status, self.names_source, self.instrument) = (Status::PayerActionRequired, true, None);
        (self.deadline, self.opened) = (now + PATIENCE, false);
    }

    fn links(&self, state: &State) -> Value {
        let address = super::address(state, &format!("v2/checkout/orders/{}", self.id));
        let mut links = vec![json!({"href": address, "rel": "self", "method": "GET"})];
        match self.status {
            Status::Created | Status::PayerActionRequired => {
                let relation = if self.names_source { "payer-action" } else { "approve" };
                links.push(json!({"href": self.page(state), "rel": relation, "method": "GET"}));
            }
            Status::Approved | Status::Completed | Status::Voided => {}
        }
        if matches!(self.status, Status::Created | Status::Approved) {
            links.push(json!({"href": format!("{address}/capture"), "rel": "capture", "method": "POST"}));
        }
        json!(links)
    }

    /// Without a wish for the representation.
    pub(super) fn minimal(&self, state: &State) -> Value {
        json!({"id": self.id, "status": self.status, "links": self.links(state)})
    }

    pub(super) fn json(&self, state: &State) -> Value {
        let mut unit = json!({
            "reference_id": self.unit, "amount": money::write(self.amount, &self.currency), "payee": super::payee(),
        });
        let texts =
            [("description", &self.description), ("custom_id", &self.custom_id), ("invoice_id", &self.invoice_id)];
        for (name, text) in texts {
            if let Some(text) = text {
                unit[name] = json!(text);
            }
        }
        if let Some(capture) = self.capture.as_ref().and_then(|id| state.paypal.captures.get(id)) {
            unit["payments"]["captures"] = json!([capture.json(state)]);
            let refunds = state.paypal.refunds.iter().filter(|refund| refund.capture == capture.id);
            let refunds: Vec<Value> = refunds.map(|refund| refund.json(state)).collect();
            if !refunds.is_empty() {
                unit["payments"]["refunds"] = json!(refunds);
            }
        }
        let mut order = json!({
            "id": self.id, "intent": "CAPTURE", "status": self.status, "purchase_units": [unit],
            "create_time": self.created_at, "update_time": self.updated_at, "links": self.links(state),
        });
        match &self.instrument {
            Some(instrument) => {
                order["payment_source"][instrument.kind()] = instrument.json();
                if let Some(vault) = self.vaulting.as_ref().and_then(|vaulting| vaulting.json(self, state)) {
                    order["payment_source"][instrument.kind()]["attributes"]["vault"] = vault;
                }
                if !instrument.payer().is_null() {
                    order["payer"] = instrument.payer();
                }
            }
            None if self.names_source => order["payment_source"] = json!({"paypal": {}}),
            None => {}
        }
        order
    }
}

/// Is the order charged at once, to what `payment_source` names?
pub(super) fn is_single_step(call: &Call) -> bool {
    let body: Value = serde_json::from_str(&call.body).unwrap_or_default();
    let source = &body["payment_source"];
    let wallet = &source["paypal"];
    let named = [&source["card"], &source["token"], &wallet["vault_id"], &wallet["billing_agreement_id"]];
    named.iter().any(|part| !part.is_null())
}

/// A text that fits, if it was sent.
fn text(unit: &Value, name: &str) -> Result<Option<String>> {
    let field = format!("/purchase_units/@reference_id=='default'/{name}");
    match &unit[name] {
        Value::Null => Ok(None),
        Value::String(text) if text.is_empty() || text.chars().count() > LONGEST_TEXT => {
            Err(Refusal::invalid("INVALID_STRING_LENGTH", &field).with_value(text))
        }
        Value::String(text) => Ok(Some(text.clone())),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            Err(Refusal::invalid("INVALID_PARAMETER_SYNTAX", &field))
        }
    }
}

/// The addresses of an experience context.
pub(super) fn addresses(source: &Value, field: &str) -> Result<(Option<String>, Option<String>)> {
    let address = |name: &str| {
        let field = format!("{field}/experience_context/{name}");
        match source["experience_context"][name].as_str() {
            Some(address) if !pages::is_web_address(address) => {
                Err(Refusal::invalid("INVALID_PARAMETER_SYNTAX", &field).with_value(address))
            }
            address => Ok(address.map(str::to_owned)),
        }
    };
    Ok((address("return_url")?, address("cancel_url")?))
}

fn read(state: &mut State, body: &Value) -> Result<Order> {
    match body["intent"].as_str() {
        Some("CAPTURE") => {}
        Some("AUTHORIZE") => return Err(Refusal::unprocessable("UNSUPPORTED_INTENT", "/intent")),
        Some(other) => return Err(Refusal::invalid("INVALID_PARAMETER_VALUE", "/intent").with_value(other)),
        None => return Err(Refusal::invalid("MISSING_REQUIRED_PARAMETER", "/intent")),
    }
    let unit = match body["purchase_units"].as_array().map(Vec::as_slice) {
        None => return Err(Refusal::invalid("MISSING_REQUIRED_PARAMETER", "/purchase_units")),
        Some([]) => return Err(Refusal::invalid("INVALID_ARRAY_MIN_ITEMS", "/purchase_units")),
        // PayPal takes ten; the simulator keeps one payment an order.
        Some([_, _, ..]) => return Err(Refusal::invalid("INVALID_ARRAY_MAX_ITEMS", "/purchase_units")),
        Some([unit]) => unit,
    };
    let (amount, currency) = money::read(&unit["amount"], "/purchase_units/@reference_id=='default'/amount")?;
    money::check_breakdown(&unit["amount"], amount, &currency)?;
    let (custom_id, invoice_id) = (text(unit, "custom_id")?, text(unit, "invoice_id")?);
    let description = text(unit, "description")?;
    refuse_duplicate(state, invoice_id.as_deref())?;
    let wallet = &body["payment_source"]["paypal"];
    let (return_url, cancel_url) = addresses(wallet, "/payment_source/paypal")?;
    let vaulting = vault::Vaulting::read(&wallet["attributes"])?;
    let (now, at) = (state.now(), super::time(state));
    Ok(Order {
        id: super::id(state),
        status: if wallet.is_object() { Status::PayerActionRequired } else { Status::Created },
        created_at: at.clone(),
        updated_at: at,
        deadline: now + PATIENCE,
        opened: false,
        unit: text(unit, "reference_id")?.unwrap_or_else(|| "default".to_owned()),
        custom_id,
        invoice_id,
        description,
        amount,
        currency,
        names_source: wallet.is_object(),
        brand: wallet["experience_context"]["brand_name"].as_str().map(str::to_owned),
        return_url,
        cancel_url,
        instrument: None,
        customer: None,
        vaulting,
        capture: None,
        declined: None,
    })
}

/// The account's own setting: no two captures for one invoice.
fn refuse_duplicate(state: &State, invoice: Option<&str>) -> Result<()> {
    let Some(invoice) = invoice.filter(|_| state.settings.paypal.block_duplicate_invoices) else { return Ok(()) };
    let paid = |row: &captures::Capture| row.invoice_id.as_deref() == Some(invoice) && row.took_money();
    if state.paypal.captures.iter().any(paid) {
        let field = "/purchase_units/@reference_id=='default'/invoice_id";
        return Err(Refusal::unprocessable("DUPLICATE_INVOICE_ID", field).with_value(invoice));
    }
    Ok(())
}

pub(super) fn create(state: &mut State, call: &Call) -> Result<Made> {
    let body = super::body(call)?;
    let mut order = read(state, &body)?;
    let source = &body["payment_source"];
    let mock = super::mock(call);
    if !is_single_step(call) {
        if let Some(code) = mock {
            return Err(Refusal::named(&code));
        }
        let id = order.id.clone();
        state.paypal.orders.add(order);
        return Ok(Made::Order(id));
    }
    if !source["token"].is_null() || !source["paypal"]["billing_agreement_id"].is_null() {
        // Billing agreements are of an older API: there are none here.
        return Err(Refusal::unprocessable("BILLING_AGREEMENT_NOT_FOUND", "/payment_source/token/id"));
    }
    let kind = if source["card"].is_null() { "paypal" } else { "card" };
    let field = format!("/payment_source/{kind}/vault_id");
    let Some(vault_id) = source[kind]["vault_id"].as_str() else {
        // Card numbers do not pass through merchants here, unless they are to be saved.
        return Err(Refusal::unprocessable("PAYEE_NOT_ENABLED_FOR_CARD_PROCESSING", "/payment_source/card"));
    };
    let Some(token) = vault::find(state, vault_id) else {
        return Err(Refusal::unprocessable("TOKEN_ID_NOT_FOUND", &field).with_value(vault_id));
    };
    if token.instrument.kind() != kind {
        return Err(Refusal::unprocessable("MISMATCHED_VAULT_ID_TO_PAYMENT_SOURCE", &field).with_value(vault_id));
    }
    (order.customer, order.instrument) = (Some(token.customer.clone()), Some(token.instrument.clone()));
    order.vaulting = None;
    let id = order.id.clone();
    match captures::attempt(state, order, captures::Buyer::Away, mock) {
        Ok(()) => Ok(Made::Order(id)),
        Err(refusal) => {
            // Refused for what the method said: the same request would hear the same again.
            if refusal.is_final() {
                keys::keep_decline(state, call, refusal.issue());
            }
            Err(refusal)
        }
    }
}

/// An order that PayPal still shows.
pub(super) fn find<'a>(state: &'a State, id: &str) -> Result<&'a Order> {
    let live = |order: &&Order| match order.status {
        Status::Completed => true,
        Status::Voided => false,
        Status::Created | Status::PayerActionRequired | Status::Approved => order.deadline > state.now(),
    };
    state.paypal.orders.get(id).filter(live).ok_or_else(Refusal::not_found)
}

pub(super) fn capture(state: &mut State, id: &str, call: &Call) -> Result<Made> {
    super::body(call)?;
    let order = find(state, id)?.clone();
    match order.status {
        Status::Approved => {}
        Status::Completed => return Err(Refusal::unprocessable("ORDER_ALREADY_CAPTURED", "")),
        Status::Created | Status::PayerActionRequired | Status::Voided => {
            return Err(Refusal::unprocessable("ORDER_NOT_APPROVED", "").with_link("payer-action", order.page(state)));
        }
    }
    refuse_duplicate(state, order.invoice_id.as_deref())?;
    captures::attempt(state, order, captures::Buyer::Here, super::mock(call))?;
    Ok(Made::Order(id.to_owned()))
}

/// Its buyer is on the page: the second stretch of time begins.
pub(super) fn open(state: &mut State, id: &str) {
    let now = state.now();
    if let Some(order) = state.paypal.orders.get_mut(id).filter(|order| !order.opened) {
        (order.opened, order.deadline) = (true, now + PATIENCE);
    }
}

pub(super) fn approve(state: &mut State, id: &str, instrument: Instrument) {
    let at = super::time(state);
    let Some(order) = state.paypal.orders.get_mut(id) else { return };
    (order.status, order.instrument, order.declined) = (Status::Approved, Some(instrument), None);
    order.updated_at = at;
    let order = order.clone();
    super::notifications::emit(state, "CHECKOUT.ORDER.APPROVED", &order.reference(), order.json(state));
}

/// Orders whose time is over.
pub(super) fn expire_due(state: &mut State) {
    let now = state.now();
    let mut reversed = Vec::new();
    let mut changed = false;
    for order in state.paypal.orders.iter_mut() {
        let waits = matches!(order.status, Status::Created | Status::PayerActionRequired | Status::Approved);
        if waits && order.deadline <= now {
            if order.status == Status::Approved {
                reversed.push(order.clone());
            }
            (order.status, changed) = (Status::Voided, true);
        }
    }
    if changed {
        state.touch();
    }
    for order in reversed {
        let mut resource = json!({"order_id": order.id, "purchase_units": order.json(state)["purchase_units"]});
        if let Some(instrument) = &order.instrument {
            resource["payment_source"][instrument.kind()] = instrument.json();
        }
        super::notifications::emit(state, "CHECKOUT.PAYMENT-APPROVAL.REVERSED", &order.reference(), resource);
    }
}
