//! Subscriptions that Stripe itself drives. The API only reads them; `lifecycle` moves them.

use super::form::Params;
use super::prices::{Price, Recurring};
use super::refusal::{Refusal, Result};
use super::{Store, emit, emit_change, listing};
use crate::state::State;
use crate::table::Row;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Status {
    Active,
    PastDue,
    Canceled,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Subscription {
    pub(super) id: String,
    pub(super) created: i64,
    pub(super) customer: String,
    pub(super) method: String,
    pub(super) status: Status,
    pub(super) item: String,
    pub(super) price: String,
    pub(super) quantity: i64,
    /// Periods are counted from here, so that month ends stay month ends.
    pub(super) anchor: i64,
    pub(super) periods: i64,
    pub(super) start: i64,
    pub(super) end: i64,
    pub(super) cancel_at_period_end: bool,
    pub(super) canceled_at: Option<i64>,
    pub(super) ended_at: Option<i64>,
    pub(super) latest_invoice: Option<String>,
    pub(super) metadata: Map<String, Value>,
}

impl Row for Subscription {
    fn id(&self) -> &str {
        &self.id
    }
}

impl Subscription {
    fn items(&self, store: &Store) -> Value {
        json!({
            "object": "list",
            "data": [{
                "id": self.item, "object": "subscription_item", "billing_thresholds": null, "created": self.created,
                "current_period_end": self.end, "current_period_start": self.start, "discounts": [], "metadata": {},
                "price": store.prices.get(&self.price).map(Price::json), "quantity": self.quantity,
                "subscription": self.id, "tax_rates": [],
            }],
            "has_more": false, "total_count": 1, "url": format!("/v1/subscription_items?subscription={}", self.id),
        })
    }

    pub(super) fn json(&self, store: &Store) -> Value {
        let currency = store.prices.get(&self.price).map(|price| price.currency.clone());
        json!({
            "id": self.id, "object": "subscription", "billing_cycle_anchor": self.anchor,
            "billing_mode": {"type": "flexible"}, "cancel_at": self.cancel_at_period_end.then_some(self.end),
            "cancel_at_period_end": self.cancel_at_period_end, "canceled_at": self.canceled_at,
            "cancellation_details": {
                "comment": null, "feedback": null,
                "reason": self.canceled_at.map(|_| "cancellation_requested"),
            },
            "collection_method": "charge_automatically", "created": self.created, "currency": currency,
            "customer": self.customer, "customer_account": null, "days_until_due": null,
            "default_payment_method": self.method, "description": null, "discounts": [], "ended_at": self.ended_at,
            "items": self.items(store),
            "latest_invoice": self.latest_invoice, "livemode": false, "metadata": self.metadata,
            "pause_collection": null, "pending_setup_intent": null, "pending_update": null, "schedule": null,
            "start_date": self.created, "status": self.status, "test_clock": null, "trial_end": null,
            "trial_start": null,
        })
    }

    /// On to the period that follows.
    pub(super) fn advance(&mut self, recurring: &Recurring) {
        self.periods += 1;
        (self.start, self.end) = (self.end, after(self.anchor, recurring, self.periods));
    }

    /// A first period that begins then.
    pub(super) fn begin(&mut self, at: i64, recurring: &Recurring) {
        (self.anchor, self.periods) = (at, 1);
        (self.start, self.end) = (at, after(at, recurring, 1));
    }
}

/// So many intervals later, by the calendar.
pub(super) fn after(anchor: i64, recurring: &Recurring, times: i64) -> i64 {
    let count = recurring.count * times;
    let span = match recurring.interval.as_str() {
        "day" => Span::new().days(count),
        "week" => Span::new().weeks(count),
        "month" => Span::new().months(count),
        _ => Span::new().years(count),
    };
    let start = Timestamp::from_second(anchor).unwrap_or_default().to_zoned(TimeZone::UTC);
    start.checked_add(span).map_or(anchor, |end| end.timestamp().as_second())
}

pub(super) fn retrieve(state: &State, id: &str, params: &Params) -> Result<Value> {
    params.allow(&["expand[*]"])?;
    let subscription = state.stripe.subscriptions.get(id);
    subscription.map(|row| row.json(&state.stripe)).ok_or_else(|| Refusal::missing("subscription", id, "id"))
}

pub(super) fn list(state: &State, params: &Params) -> Result<Value> {
    listing::allow(params, &["customer", "price", "status"])?;
    let (customer, price) = (params.text("customer"), params.text("price"));
    let words = ["active", "past_due", "canceled", "all", "ended", "trialing", "unpaid", "incomplete", "paused"];
    let status = params.one_of("status", &words)?;
    let rows = state.stripe.subscriptions.iter().filter(|row| {
        let wanted = match status.as_deref() {
            // Those that ended are shown only when they are asked for.
            None => row.status != Status::Canceled,
            Some("all") => true,
            Some("ended") => row.status == Status::Canceled,
            Some(status) => json!(row.status) == status,
        };
        wanted
            && customer.is_none_or(|customer| row.customer == customer)
            && price.is_none_or(|price| row.price == price)
    });
    let rows = rows.map(|row| (row.id.as_str(), row.created, || row.json(&state.stripe)));
    listing::page(params, "/v1/subscriptions", rows)
}

/// A customer who goes ends what they subscribed to.
pub(super) fn end_all(state: &mut State, customer: &str) {
    let theirs = state.stripe.subscriptions.iter();
    let theirs: Vec<_> = theirs.filter(|row| row.customer == customer && row.status != Status::Canceled).collect();
    for subscription in theirs.into_iter().cloned().collect::<Vec<_>>() {
        end(state, subscription);
    }
}

pub(super) fn end(state: &mut State, mut subscription: Subscription) -> Subscription {
    let now = state.now();
    subscription.status = Status::Canceled;
    (subscription.canceled_at, subscription.ended_at) = (subscription.canceled_at.or(Some(now)), Some(now));
    state.stripe.subscriptions.add(subscription.clone());
    let object = subscription.json(&state.stripe);
    emit(state, "customer.subscription.deleted", &subscription.id, object);
    subscription
}

/// Keeps the subscription as it is now, and tells what it was before.
pub(super) fn change(state: &mut State, subscription: &Subscription, before: &Subscription) {
    state.stripe.subscriptions.add(subscription.clone());
    let (now, then) = (subscription.json(&state.stripe), before.json(&state.stripe));
    let mut previous = Map::new();
    for (name, value) in then.as_object().into_iter().flatten() {
        if now.get(name) != Some(value) {
            previous.insert(name.clone(), value.clone());
        }
    }
    emit_change(state, "customer.subscription.updated", &subscription.id, now, Value::Object(previous));
}
