//! Charges: an issuer is asked for an intent's money, and says yes, no, or that it wants the customer.

use super::cards::{DISPUTED, INQUIRY, Issuer};
use super::form::Params;
use super::intents::{Intent, Status};
use super::methods::{self, Method};
use super::refusal::{Refusal, Result};
use super::{declines, disputes, emit};
use crate::books;
use crate::faults::Fault;
use crate::gateway::{Gateway, Operation};
use crate::state::State;
use crate::table::Row;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Charge {
    pub(super) id: String,
    created: i64,
    pub(super) amount: i64,
    pub(super) refunded: i64,
    pub(super) currency: String,
    pub(super) customer: Option<String>,
    pub(super) intent: String,
    pub(super) reference: String,
    method: String,
    /// The test card's number.
    pub(super) card: String,
    card_json: Value,
    /// What Stripe says of the decline, if it was one.
    declined: Option<Map<String, Value>>,
    metadata: Map<String, Value>,
    description: Option<String>,
    #[serde(default)]
    pub(super) disputed: bool,
}

impl Row for Charge {
    fn id(&self) -> &str {
        &self.id
    }
}

impl Charge {
    pub(super) fn succeeded(&self) -> bool {
        self.declined.is_none()
    }

    pub(super) fn json(&self) -> Value {
        let said = |name: &str| self.declined.as_ref().and_then(|declined| declined.get(name)).cloned();
        let paid = self.succeeded();
        // What Stripe itself holds for fraud never reaches the network.
        let blocked =
            said("decline_code").is_some_and(|reason| reason == "fraudulent" || reason == "highest_risk_level");
        let (network_status, kind, message) = match (paid, blocked) {
            (true, _) => ("approved_by_network", "authorized", "Payment complete."),
            (false, true) => ("not_sent_to_network", "blocked", "Stripe blocked this payment as too risky."),
            (false, false) => ("declined_by_network", "issuer_declined", "The bank did not accept the payment."),
        };
        let reason = if blocked { Some(json!("highest_risk_level")) } else { said("decline_code") };
        let outcome = json!({
            "advice_code": said("advice_code"), "network_advice_code": said("network_advice_code"),
            "network_decline_code": said("network_decline_code"), "network_status": network_status, "reason": reason,
            "risk_level": if blocked { "highest" } else { "normal" }, "type": kind, "seller_message": message,
        });
        json!({
            "id": self.id, "object": "charge", "amount": self.amount,
            "amount_captured": if paid { self.amount } else { 0 }, "amount_refunded": self.refunded,
            "balance_transaction": null, "billing_details": {
                "address": null, "email": null, "name": null, "phone": null, "tax_id": null,
            },
            "captured": paid, "created": self.created, "currency": self.currency, "customer": self.customer,
            "description": self.description, "disputed": self.disputed,
            "failure_balance_transaction": null, "failure_code": said("code"), "failure_message": said("message"),
            "fraud_details": {}, "livemode": false, "metadata": self.metadata, "outcome": outcome, "paid": paid,
            "payment_intent": self.intent, "payment_method": self.method,
            "payment_method_details": {"card": self.card_json, "type": "card"}, "receipt_email": null,
            "receipt_url": null, "refunded": paid && self.refunded == self.amount, "review": null, "shipping": null,
            "statement_descriptor": null, "status": if paid { "succeeded" } else { "failed" },
            "transfer_data": null, "transfer_group": null,
        })
    }
}

pub(super) fn retrieve(state: &State, id: &str, params: &Params) -> Result<Value> {
    params.allow(&["expand[*]"])?;
    state.stripe.charges.get(id).map(Charge::json).ok_or_else(|| Refusal::missing("charge", id, "id"))
}

/// Where the customer is while their card is charged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Customer {
    Away,
    /// At the merchant's own page: can be sent to authenticate.
    Calling,
    /// At a page of the simulator: authenticates when asked.
    Here,
    /// At a page of the simulator, and refuses.
    Refusing,
}

enum Verdict {
    Take(i64),
    Decline(String),
    WantCustomer,
}

fn verdict(state: &mut State, amount: i64, method: &Method, customer: Customer) -> Verdict {
    let operation = if customer == Customer::Away { Operation::OffSession } else { Operation::Hosted };
    if customer == Customer::Refusing {
        return Verdict::Decline("generic_decline".to_owned());
    }
    match state.faults.on_charge(Gateway::Stripe, operation) {
        Some(Fault::Decline { code }) => return Verdict::Decline(code),
        Some(Fault::WrongAmount { minor }) => return Verdict::Take(minor),
        Some(Fault::RequireAction {}) if customer != Customer::Here => return Verdict::WantCustomer,
        _ => {}
    }
    let wants = match customer {
        Customer::Away => !method.set_up,
        Customer::Calling => true,
        Customer::Here | Customer::Refusing => false,
    };
    match method.test_card().map(|card| card.issuer) {
        None => Verdict::Decline("invalid_account".to_owned()),
        Some(Issuer::Approves) => Verdict::Take(amount),
        Some(Issuer::Declines(reason)) => Verdict::Decline(reason.to_owned()),
        Some(Issuer::WantsCustomerUntilSetUp | Issuer::WantsCustomerAndDeclines(_)) if wants => Verdict::WantCustomer,
        Some(Issuer::WantsCustomerAndDeclines(reason)) => Verdict::Decline(reason.to_owned()),
        Some(Issuer::WantsCustomerAlways) if wants || customer == Customer::Away => Verdict::WantCustomer,
        Some(Issuer::WantsCustomerUntilSetUp | Issuer::WantsCustomerAlways) => Verdict::Take(amount),
    }
}

/// Charges an intent once. `Ok` when it succeeded or waits for the customer; a decline is a refusal.
pub(super) fn attempt(
    state: &mut State,
    id: &str,
    method: &Method,
    customer: Customer,
    error_on_action: bool,
) -> Result<()> {
    let Some(amount) = state.stripe.intents.get(id).map(|intent| intent.amount) else { return Err(Refusal::broken()) };
    match verdict(state, amount, method, customer) {
        Verdict::Take(amount) => take(state, id, method, customer, amount),
        Verdict::Decline(reason) => decline(state, id, method, customer, &reason),
        Verdict::WantCustomer if customer == Customer::Away || error_on_action => {
            decline(state, id, method, customer, "authentication_required")
        }
        Verdict::WantCustomer => {
            let base = state.base.clone();
            let Some(intent) = state.stripe.intents.get_mut(id) else { return Err(Refusal::broken()) };
            intent.status = Status::RequiresAction;
            intent.method = Some(method.id.clone());
            let page = format!("{base}/stripe/elements/{}", intent.client_secret);
            intent.next_action = Some(match &intent.return_url {
                Some(back) => {
                    json!({"type": "redirect_to_url", "redirect_to_url": {"url": page, "return_url": back}})
                }
                None => json!({"type": "use_stripe_sdk", "use_stripe_sdk": {"type": "three_d_secure_redirect",
                    "stripe_js": page}}),
            });
            let (reference, object) = (intent.reference(), intent.json());
            emit(state, "payment_intent.requires_action", &reference, object);
            Ok(())
        }
    }
}

fn record(
    state: &mut State,
    intent: &Intent,
    method: &Method,
    customer: Customer,
    amount: i64,
    declined: Option<Map<String, Value>>,
) -> Charge {
    let status = if declined.is_none() { books::Status::Succeeded } else { books::Status::Failed };
    let code = declined.as_ref().and_then(|said| said.get("decline_code")?.as_str()).map(str::to_owned);
    let charge = Charge {
        id: state.id("ch_3", 23),
        created: state.now(),
        amount,
        refunded: 0,
        currency: intent.currency.clone(),
        customer: intent.customer.clone(),
        intent: intent.id.clone(),
        reference: intent.reference(),
        method: method.id.clone(),
        card: method.card.clone(),
        card_json: method.card_json(),
        declined,
        metadata: intent.metadata.clone(),
        description: intent.description.clone(),
        disputed: false,
    };
    state.stripe.charges.add(charge.clone());
    let line = books::Charge {
        gateway: Gateway::Stripe,
        reference: charge.reference.clone(),
        id: charge.id.clone(),
        payment: intent.id.clone(),
        customer: intent.customer.clone().unwrap_or_default(),
        amount: books::Amount::new(amount, &intent.currency),
        status,
        code,
        refunded: 0,
        off_session: customer == Customer::Away,
        at: state.stamp(),
    };
    state.books.charges.push(line);
    charge
}

pub(super) fn take(state: &mut State, id: &str, method: &Method, customer: Customer, amount: i64) -> Result<()> {
    let Some(intent) = state.stripe.intents.get(id).cloned() else { return Err(Refusal::broken()) };
    let charge = record(state, &intent, method, customer, amount, None);
    let reference = charge.reference.clone();
    match (&intent.save_for, &intent.customer) {
        (Some(usage), Some(owner)) => methods::give(state, method, owner, usage == "off_session", &reference),
        _ if method.customer.is_none() => {
            if let Some(method) = state.stripe.methods.get_mut(&method.id) {
                method.spent = true;
            }
        }
        _ => {}
    }
    let Some(intent) = state.stripe.intents.get_mut(id) else { return Err(Refusal::broken()) };
    intent.status = Status::Succeeded;
    (intent.amount, intent.received) = (amount, amount);
    (intent.method, intent.latest_charge) = (Some(method.id.clone()), Some(charge.id.clone()));
    (intent.last_error, intent.next_action) = (None, None);
    let object = intent.json();
    emit(state, "payment_intent.succeeded", &reference, object);
    if matches!(charge.card.as_str(), DISPUTED | INQUIRY) {
        disputes::open(state, &charge, charge.card == INQUIRY);
    }
    Ok(())
}

pub(super) fn decline(state: &mut State, id: &str, method: &Method, customer: Customer, reason: &str) -> Result<()> {
    let Some(intent) = state.stripe.intents.get(id).cloned() else { return Err(Refusal::broken()) };
    let mut error = declines::words(reason);
    let charge = record(state, &intent, method, customer, intent.amount, Some(error.clone()));
    error.insert("charge".to_owned(), json!(charge.id));
    error.insert("payment_method".to_owned(), method.json());
    let Some(intent) = state.stripe.intents.get_mut(id) else { return Err(Refusal::broken()) };
    intent.status = Status::RequiresPaymentMethod;
    (intent.method, intent.next_action) = (None, None);
    (intent.latest_charge, intent.last_error) = (Some(charge.id), Some(json!(error)));
    let object = intent.json();
    emit(state, "payment_intent.payment_failed", &charge.reference, object.clone());
    error.insert("payment_intent".to_owned(), object);
    Err(Refusal::card(error))
}
