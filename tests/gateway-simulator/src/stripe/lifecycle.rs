//! `POST /admin/stripe/subscription`: the life of a subscription that Stripe drives. Each step takes its money and tells
//! the merchant, as Stripe would.

use super::invoices::{self, Invoice, Reason};
use super::prices::{Price, Recurring};
use super::subscriptions::{Status, Subscription, after, change, end};
use super::{cards, customers, emit, methods};
use crate::state::State;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value, json};

type Result<T> = std::result::Result<T, String>;

/// What people order. Errors name the field.
#[derive(Debug, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Order {
    /// With a new customer unless one is named, and with `card` unless the customer has a default method.
    Create {
        customer: Option<String>,
        email: Option<String>,
        card: Option<String>,
        price: String,
        #[serde(default = "one")]
        quantity: i64,
        #[serde(default)]
        metadata: Map<String, Value>,
        started: Option<Timestamp>,
    },
    /// The next period, or another try at the invoice that is still open. `declined` is why it cannot be paid.
    Renew {
        subscription: String,
        declined: Option<String>,
    },
    ChangePrice {
        subscription: String,
        price: String,
        quantity: Option<i64>,
    },
    Cancel {
        subscription: String,
        #[serde(default)]
        at_period_end: bool,
    },
}

fn one() -> i64 {
    1
}

/// An amount and how often it falls due.
fn terms(state: &State, price: &str) -> Result<(Price, Recurring)> {
    let price = state.stripe.prices.get(price).ok_or_else(|| format!("price: no such price: {price}"))?;
    let recurring = price.recurring.clone().ok_or_else(|| format!("price: {} does not recur", price.id))?;
    Ok((price.clone(), recurring))
}

fn running(state: &State, id: &str) -> Result<Subscription> {
    let subscription = state.stripe.subscriptions.get(id);
    let subscription = subscription.ok_or_else(|| format!("subscription: no such subscription: {id}"))?;
    match subscription.status {
        Status::Active | Status::PastDue => Ok(subscription.clone()),
        Status::Canceled => Err(format!("subscription: {id} is canceled")),
    }
}

/// Bills the current period, and remembers the invoice.
fn bill(state: &mut State, subscription: &mut Subscription, price: &Price, reason: Reason, since: i64) -> Invoice {
    let invoice = invoices::draw(state, subscription, price, reason, since);
    subscription.latest_invoice = Some(invoice.id.clone());
    invoice
}

/// Asks the card for the invoice's money; the subscription's status follows.
fn collect(state: &mut State, subscription: &mut Subscription, invoice: &str, declined: Option<&str>) {
    let before = subscription.clone();
    let Some(method) = state.stripe.methods.get(&subscription.method).cloned() else { return };
    let paid = invoices::collect(state, invoice, &method, declined);
    subscription.status = if paid { Status::Active } else { Status::PastDue };
    if subscription.status != before.status {
        change(state, subscription, &before);
    }
}

pub(super) fn order(state: &mut State, order: Order) -> Result<Value> {
    let subscription = match order {
        Order::Create { customer, email, card, price, quantity, metadata, started } => {
            let (price, recurring) = terms(state, &price)?;
            if !(1..=1_000_000).contains(&quantity) {
                return Err("quantity: must be 1 to 1000000".to_owned());
            }
            let number = card.as_deref().unwrap_or("4242424242424242");
            let card = cards::by_number(number).ok_or("card: must be one of the test cards")?;
            let customer = match customer {
                Some(id) => {
                    customers::known(&state.stripe, &id, "customer")
                        .map_err(|_| format!("customer: no such customer: {id}"))?;
                    id
                }
                None => customers::new_customer(state, email),
            };
            let default = state.stripe.customers.get(&customer).and_then(|row| row.default_method.clone());
            let method = default.unwrap_or_else(|| {
                let method = methods::new_method(state, card);
                methods::give(state, &method, &customer, true, &customer);
                method.id
            });
            let at = started.map_or_else(|| state.now(), Timestamp::as_second);
            let mut subscription = Subscription {
                id: state.id("sub_1", 23),
                created: at,
                customer,
                method,
                status: Status::Active,
                item: state.id("si_", 14),
                price: price.id.clone(),
                quantity,
                anchor: at,
                periods: 1,
                start: at,
                end: after(at, &recurring, 1),
                cancel_at_period_end: false,
                canceled_at: None,
                ended_at: None,
                latest_invoice: None,
                metadata,
            };
            let invoice = bill(state, &mut subscription, &price, Reason::Create, at);
            state.stripe.subscriptions.add(subscription.clone());
            let object = subscription.json(&state.stripe);
            emit(state, "customer.subscription.created", &subscription.id, object);
            invoices::announce(state, &invoice);
            collect(state, &mut subscription, &invoice.id, None);
            subscription
        }
        Order::Renew { subscription, declined } => {
            let mut subscription = running(state, &subscription)?;
            let open = subscription.latest_invoice.clone().filter(|id| invoices::is_open(state, id));
            match open {
                Some(invoice) => collect(state, &mut subscription, &invoice, declined.as_deref()),
                None if subscription.cancel_at_period_end => subscription = end(state, subscription),
                None => {
                    let before = subscription.clone();
                    let (price, recurring) = terms(state, &subscription.price)?;
                    subscription.advance(&recurring);
                    let invoice = bill(state, &mut subscription, &price, Reason::Cycle, before.start);
                    change(state, &subscription, &before);
                    invoices::announce(state, &invoice);
                    collect(state, &mut subscription, &invoice.id, declined.as_deref());
                }
            }
            subscription
        }
        Order::ChangePrice { subscription, price, quantity } => {
            let mut subscription = running(state, &subscription)?;
            let before = subscription.clone();
            let (_, recurs) = terms(state, &subscription.price)?;
            let (price, recurring) = terms(state, &price)?;
            subscription.price.clone_from(&price.id);
            subscription.quantity = quantity.unwrap_or(subscription.quantity);
            if recurring == recurs {
                change(state, &subscription, &before);
            } else {
                // Another interval begins a period of its own, and is billed at once.
                subscription.begin(state.now(), &recurring);
                let invoice = bill(state, &mut subscription, &price, Reason::Update, before.start);
                change(state, &subscription, &before);
                invoices::announce(state, &invoice);
                collect(state, &mut subscription, &invoice.id, None);
            }
            subscription
        }
        Order::Cancel { subscription, at_period_end } => {
            let mut subscription = running(state, &subscription)?;
            if at_period_end {
                let before = subscription.clone();
                (subscription.cancel_at_period_end, subscription.canceled_at) = (true, Some(state.now()));
                change(state, &subscription, &before);
                subscription
            } else {
                end(state, subscription)
            }
        }
    };
    let invoice = subscription.latest_invoice.as_ref().and_then(|id| state.stripe.invoices.get(id)).map(Invoice::json);
    Ok(json!({"subscription": subscription.json(&state.stripe), "invoice": invoice}))
}
