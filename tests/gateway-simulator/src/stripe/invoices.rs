//! Invoices of the subscriptions that Stripe drives: drawn for a period, and paid by the customer's card.

use super::charges::{self, Customer};
use super::form::Params;
use super::intents::{self, Start};
use super::methods::Method;
use super::prices::Price;
use super::refusal::{Refusal, Result};
use super::subscriptions::Subscription;
use super::{emit, listing};
use crate::state::State;
use crate::table::Row;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// Seconds until Stripe tries a failed payment again by itself; here it waits for an order.
const NEXT_TRY: i64 = 3 * 86_400;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Reason {
    #[serde(rename = "subscription_create")]
    Create,
    #[serde(rename = "subscription_cycle")]
    Cycle,
    #[serde(rename = "subscription_update")]
    Update,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Status {
    Draft,
    Open,
    Paid,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Invoice {
    pub(super) id: String,
    line: String,
    created: i64,
    customer: String,
    subscription: String,
    item: String,
    metadata: Map<String, Value>,
    price: String,
    product: String,
    unit: i64,
    quantity: i64,
    currency: String,
    reason: Reason,
    /// The period that ended when this one began.
    since: i64,
    start: i64,
    end: i64,
    status: Status,
    attempts: i64,
    next_attempt: Option<i64>,
    finalized_at: Option<i64>,
    paid_at: Option<i64>,
    intent: Option<String>,
}

impl Row for Invoice {
    fn id(&self) -> &str {
        &self.id
    }
}

impl Invoice {
    fn amount(&self) -> i64 {
        self.unit.saturating_mul(self.quantity)
    }

    fn payments(&self) -> Value {
        let data: Vec<Value> = self.intent.iter().map(|intent| self.payment(intent)).collect();
        json!({"object": "list", "data": data, "has_more": false, "url": format!("/v1/invoice_payments?invoice={}", self.id)})
    }

    fn payment(&self, intent: &str) -> Value {
        let paid = (self.status == Status::Paid).then(|| self.amount());
        json!({
            "id": format!("inpay_{}", self.id.trim_start_matches("in_")), "object": "invoice_payment",
            "amount_paid": paid, "amount_requested": self.amount(), "created": self.created,
            "currency": self.currency, "invoice": self.id, "is_default": true, "livemode": false,
            "payment": {"payment_intent": intent, "type": "payment_intent"},
            "status": if paid.is_some() { "paid" } else { "open" },
            "status_transitions": {"canceled_at": null, "paid_at": self.paid_at},
        })
    }

    pub(super) fn json(&self) -> Value {
        let amount = self.amount();
        let paid = if self.status == Status::Paid { amount } else { 0 };
        let line = json!({
            "id": self.line, "object": "line_item", "amount": amount, "currency": self.currency, "description": null,
            "discount_amounts": [], "discountable": true, "discounts": [], "invoice": self.id, "livemode": false,
            "metadata": self.metadata, "parent": {
                "invoice_item_details": null, "subscription_item_details": {
                    "invoice_item": null, "proration": false, "proration_details": {"credited_items": null},
                    "subscription": self.subscription, "subscription_item": self.item,
                },
                "type": "subscription_item_details",
            },
            "period": {"end": self.end, "start": self.start}, "pretax_credit_amounts": [], "pricing": {
                "price_details": {"price": self.price, "product": self.product}, "type": "price_details",
                "unit_amount_decimal": self.unit.to_string(),
            },
            "quantity": self.quantity, "subtotal": amount, "taxes": [],
        });
        json!({
            "id": self.id, "object": "invoice",
            "amount_due": amount, "amount_overpaid": 0, "amount_paid": paid, "amount_remaining": amount - paid,
            "amount_shipping": 0, "application": null, "attempt_count": self.attempts,
            "attempted": self.attempts > 0, "auto_advance": self.status != Status::Paid,
            "automatically_finalizes_at": null, "billing_reason": self.reason,
            "collection_method": "charge_automatically", "created": self.created, "currency": self.currency,
            "customer": self.customer, "customer_account": null, "customer_email": null,
            "default_payment_method": null, "description": null, "due_date": null, "hosted_invoice_url": null,
            "lines": {
                "object": "list", "data": [line], "has_more": false, "total_count": 1,
                "url": format!("/v1/invoices/{}/lines", self.id),
            },
            "livemode": false, "metadata": {}, "next_payment_attempt": self.next_attempt, "number": null,
            "on_behalf_of": null, "parent": {
                "quote_details": null,
                "subscription_details": {"metadata": self.metadata, "subscription": self.subscription},
                "type": "subscription_details",
            },
            "period_end": self.start, "period_start": self.since, "starting_balance": 0, "status": self.status,
            "status_transitions": {
                "finalized_at": self.finalized_at, "marked_uncollectible_at": null, "paid_at": self.paid_at,
                "voided_at": null,
            },
            "subtotal": amount, "total": amount, "total_excluding_tax": amount, "total_taxes": [],
        })
    }
}

pub(super) fn retrieve(state: &State, id: &str, params: &Params) -> Result<Value> {
    params.allow(&["expand[*]"])?;
    let invoice = state.stripe.invoices.get(id).ok_or_else(|| Refusal::missing("invoice", id, "id"))?;
    let mut shown = invoice.json();
    // Its payments are there for whoever asks for them, and for nobody else.
    if params.list("expand").iter().any(|path| path.split('.').next() == Some("payments")) {
        shown["payments"] = invoice.payments();
    }
    Ok(shown)
}

pub(super) fn list(state: &State, params: &Params) -> Result<Value> {
    listing::allow(params, &["customer", "subscription", "status"])?;
    let (customer, subscription) = (params.text("customer"), params.text("subscription"));
    let status = params.one_of("status", &["draft", "open", "paid", "uncollectible", "void"])?;
    let rows = state.stripe.invoices.iter().filter(|row| {
        customer.is_none_or(|customer| row.customer == customer)
            && subscription.is_none_or(|subscription| row.subscription == subscription)
            && status.as_ref().is_none_or(|status| json!(row.status) == *status)
    });
    listing::page(params, "/v1/invoices", rows.map(|row| (row.id.as_str(), row.created, || row.json())))
}

pub(super) fn is_open(state: &State, id: &str) -> bool {
    state.stripe.invoices.get(id).is_some_and(|invoice| invoice.status != Status::Paid)
}

/// A draft for the subscription's current period. The one before it began at `since`.
pub(super) fn draw(
    state: &mut State,
    subscription: &Subscription,
    price: &Price,
    reason: Reason,
    since: i64,
) -> Invoice {
    let invoice = Invoice {
        id: state.id("in_1", 23),
        line: state.id("il_1", 23),
        created: state.now(),
        customer: subscription.customer.clone(),
        subscription: subscription.id.clone(),
        item: subscription.item.clone(),
        metadata: subscription.metadata.clone(),
        price: price.id.clone(),
        product: price.product.clone(),
        unit: price.amount,
        quantity: subscription.quantity,
        currency: price.currency.clone(),
        reason,
        since,
        start: subscription.start,
        end: subscription.end,
        status: Status::Draft,
        attempts: 0,
        next_attempt: None,
        finalized_at: None,
        paid_at: None,
        intent: None,
    };
    state.stripe.invoices.add(invoice.clone());
    invoice
}

pub(super) fn announce(state: &mut State, invoice: &Invoice) {
    emit(state, "invoice.created", &invoice.subscription, invoice.json());
}

/// Takes the invoice's money, or is declined. True when it is paid.
pub(super) fn collect(state: &mut State, id: &str, method: &Method, declined: Option<&str>) -> bool {
    let now = state.now();
    let Some(mut invoice) = state.stripe.invoices.get(id).cloned() else { return false };
    invoice.attempts += 1;
    invoice.finalized_at = invoice.finalized_at.or(Some(now));
    let amount = invoice.amount();
    // Nothing is asked for what is free.
    if amount > 0 {
        let start = Start {
            amount,
            currency: invoice.currency.clone(),
            customer: Some(invoice.customer.clone()),
            description: Some("Subscription".to_owned()),
            ..Start::default()
        };
        let intent = invoice.intent.clone().unwrap_or_else(|| intents::start(state, start).id);
        invoice.intent = Some(intent.clone());
        let tried = match declined {
            None => charges::take(state, &intent, method, Customer::Away, amount),
            Some(reason) => charges::decline(state, &intent, method, Customer::Away, reason),
        };
        invoice.status = if tried.is_ok() { Status::Paid } else { Status::Open };
    } else {
        invoice.status = Status::Paid;
    }
    let paid = invoice.status == Status::Paid;
    (invoice.paid_at, invoice.next_attempt) = if paid { (Some(now), None) } else { (None, Some(now + NEXT_TRY)) };
    let kind = if paid { "invoice.payment_succeeded" } else { "invoice.payment_failed" };
    emit(state, kind, &invoice.subscription, invoice.json());
    state.stripe.invoices.add(invoice);
    paid
}
