//! The shapes of our own API: what the domain knows, as a client reads it.
//! Amounts are `{"minor", "currency"}`, times RFC 3339 in UTC, unlimited is null.

use crate::gateways::Clients;
use billing::catalog::Plan;
use billing::dunning::Dunning;
use billing::entitlement::{Standing, standings};
use billing::payment::{Address, Collection, Gateway, Payment, PaymentStatus};
use billing::ports::{MeterUsage, Tokens};
use billing::subscription::{Status, Subscription};
use billing::wallet::Method;
use billing::workflow::{Comparison, Live};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Map, Number, Value, json};

pub fn plan(plan: &Plan) -> Value {
    json!({
        "id": plan.id, "family": plan.family, "version": plan.version,
        "name": plan.name, "display_name": plan.display_name, "description": plan.description,
        "tier": plan.tier, "pricing_model": plan.pricing_model, "prices": plan.prices,
        "features": plan.features, "limits": plan.limits, "tokens_included": plan.tokens_included,
        "recommended": plan.recommended, "popular": plan.popular,
    })
}

pub fn plans(plans: &[Plan]) -> Value {
    json!({ "plans": plans.iter().map(plan).collect::<Vec<_>>() })
}

/// `{"groups": {"flat": […], "per_seat": […]}}`
pub fn by_pricing_model(plans: &[Plan]) -> Value {
    let mut groups = Map::new();
    for it in plans {
        let group = json!(it.pricing_model);
        let group = groups.entry(group.as_str().unwrap_or_default()).or_insert_with(|| json!([]));
        if let Some(group) = group.as_array_mut() {
            group.push(plan(it));
        }
    }
    json!({ "groups": groups })
}

/// `{"features": […], "packages": {"Starter": […], …}}`
pub fn comparison(comparison: Comparison) -> Value {
    let packages: Map<String, Value> = comparison.packages.into_iter().map(|(name, row)| (name, json!(row))).collect();
    json!({ "features": comparison.features, "packages": packages })
}

pub fn features(plan: &Plan) -> Value {
    json!({ "plan": plan.id, "features": plan.features, "limits": plan.limits })
}

pub fn payment(payment: &Payment) -> Value {
    let (method, url, secret) = match &payment.collection {
        Collection::OffSession { .. } => (json!("saved"), None, None),
        Collection::Checkout { method, opened, .. } => match opened.as_ref().map(|opened| &opened.at) {
            Some(Address::CheckoutUrl(url)) => (json!(method), Some(url), None),
            Some(Address::ClientSecret(secret)) => (json!(method), None, Some(secret)),
            None => (json!(method), None, None),
        },
    };
    let (status, paid_at, decline) = match &payment.status {
        PaymentStatus::Pending { stage, .. } => (json!(stage), None, None),
        PaymentStatus::Failed { decline, .. } => (json!("failed"), None, Some(decline)),
        PaymentStatus::Expired { .. } => (json!("expired"), None, None),
        PaymentStatus::Unresolved { .. } => (json!("unresolved"), None, None),
        PaymentStatus::Succeeded { at, .. } => (json!("succeeded"), Some(at), None),
        PaymentStatus::RefundDue { .. } => (json!("refund_due"), None, None),
        PaymentStatus::Refunded { .. } => (json!("refunded"), None, None),
    };
    json!({
        "id": payment.id, "status": status, "amount": payment.amount, "gateway": payment.gateway,
        "method": method, "plan": payment.plan, "interval": payment.interval, "quantity": payment.quantity,
        "reference": payment.reference, "checkout_url": url, "client_secret": secret,
        "decline": decline, "created_at": payment.created_at, "paid_at": paid_at,
    })
}

/// What a subscription says of itself, without what is counted beside it.
pub fn subscription(it: &Subscription) -> Value {
    let period = it.period();
    let plan = &it.order.plan;
    let status = match &it.status {
        Status::Incomplete => "incomplete",
        Status::Active { .. } => "active",
        Status::PastDue { .. } => "past_due",
        Status::Canceled { .. } => "canceled",
        Status::Expired { .. } => "expired",
    };
    let scheduled = match &it.status {
        Status::Active { cancel_at_period_end: true, .. } => {
            json!({ "action": "cancel", "at": period.map(|period| period.end) })
        }
        Status::Incomplete
        | Status::Active { .. }
        | Status::PastDue { .. }
        | Status::Canceled { .. }
        | Status::Expired { .. } => Value::Null,
    };
    // Who is not served has no feature, whatever the plan says.
    let features: Map<String, Value> =
        plan.features.iter().map(|(id, on)| (id.to_string(), json!(*on && it.is_live()))).collect();
    json!({
        "id": it.id, "status": status,
        "plan": {
            "id": plan.id, "family": plan.family, "version": plan.version, "name": plan.name,
            "display_name": plan.display_name, "tier": plan.tier, "pricing_model": plan.pricing_model,
        },
        "interval": it.order.price.interval, "price": it.order.price.amount, "quantity": it.order.quantity,
        "current_period": period,
        "end_date": period.map(|period| period.end.to_zoned(TimeZone::UTC).date()),
        "features": features, "scheduled_change": scheduled, "dunning": dunning(it),
    })
}

/// The whole lookup (PRODUCT 7). What does not apply is null.
pub fn live(live: &Live) -> Value {
    let mut view = subscription(&live.subscription);
    let plan = &live.subscription.order.plan;
    view["usage"] = standings(plan, &live.usage).iter().map(standing).collect();
    view["tokens"] = tokens(plan, live.tokens.as_ref());
    view["alerts"] = Value::Null;
    view["payment_method"] = match live.wallet.as_ref().and_then(|wallet| wallet.default_method()) {
        Some(it) => method(it),
        None => Value::Null,
    };
    view
}

fn dunning(it: &Subscription) -> Value {
    match &it.status {
        Status::PastDue { dunning, .. } => {
            let (next_retry_at, grace_ends_at) = match dunning {
                Dunning::Retry { at } => (Some(at), None),
                Dunning::Grace { ends_at } => (None, Some(ends_at)),
            };
            json!({ "attempts": it.attempts, "next_retry_at": next_retry_at, "grace_ends_at": grace_ends_at })
        }
        Status::Incomplete | Status::Active { .. } | Status::Canceled { .. } | Status::Expired { .. } => Value::Null,
    }
}

fn tokens(plan: &Plan, tokens: Option<&Tokens>) -> Value {
    match plan.tokens_included {
        Some(included) => json!({ "balance": tokens.map_or(0, |it| it.balance), "included": included }),
        None => Value::Null,
    }
}

fn method(method: &Method) -> Value {
    let card = &method.card;
    json!({
        "gateway": method.gateway, "brand": card.brand, "last4": card.last4,
        "exp_month": card.exp_month, "exp_year": card.exp_year,
    })
}

/// What this deployment is: no secrets, and nobody is called to find out.
pub fn health(gateways: &Clients, now: Timestamp, test_clock: bool) -> Value {
    let configured = |it: Gateway| (it.as_str().to_owned(), json!({ "configured": gateways.is_configured(it) }));
    let gateways: Map<String, Value> = Gateway::ALL.into_iter().map(configured).collect();
    let clock = json!({ "now": now, "kind": if test_clock { "test" } else { "world" } });
    json!({ "status": "ok", "version": env!("CARGO_PKG_VERSION"), "clock": clock, "gateways": gateways })
}

/// How a meter that was just set stands, against the plan's limit if there is one.
pub fn usage(usage: &MeterUsage, against: Option<Standing>) -> Value {
    match against {
        Some(against) => standing(&against),
        // No plan, no limit: which is not the same as an unlimited one.
        None => json!({ "meter": usage.meter, "used": usage.value }),
    }
}

fn standing(it: &Standing) -> Value {
    let mut view = json!(it);
    view["percentage"] = it.per_mille.map_or(Value::Null, percentage);
    view
}

/// `50` tenths as `5.0`, without a float ever being computed with.
fn percentage(per_mille: u64) -> Value {
    let text = format!("{}.{}", per_mille / 10, per_mille % 10);
    text.parse::<Number>().map_or(Value::Null, Value::Number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use billing::testing::{active, meter};

    #[test]
    fn the_lookup_has_every_part_and_null_for_what_does_not_apply() {
        let usage = [(meter("estates"), 5)].into();
        let view = live(&Live { subscription: active(), usage, wallet: None, tokens: None });
        for part in ["tokens", "scheduled_change", "dunning", "alerts", "payment_method"] {
            assert_eq!(view.get(part), Some(&Value::Null), "{part}");
        }
        assert_eq!(view["status"], "active");
        assert_eq!(view["plan"]["id"], "estates-professional");
        assert_eq!(view["current_period"]["end"], "2025-02-28T10:00:00Z");
        assert_eq!(view["end_date"], "2025-02-28");
        let estates = &view["usage"].as_array().and_then(|usage| usage.iter().find(|it| it["meter"] == "estates"));
        assert_eq!(
            estates.map(|it| it.to_string()).as_deref(),
            Some(r#"{"meter":"estates","used":5,"limit":100,"remaining":95,"percentage":5.0}"#)
        );
    }

    #[test]
    fn percentages_are_printed_to_a_tenth() {
        for (per_mille, text) in [(50, "5.0"), (0, "0.0"), (333, "33.3"), (1_040, "104.0")] {
            assert_eq!(percentage(per_mille).to_string(), text);
        }
    }
}
