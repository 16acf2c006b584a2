//! What a customer may use, as the API answers it and as it is signed (PRODUCT 27).

use super::{standing, status};
use billing::entitlement::{Entitlement, Standing};
use billing::workflow::Entitled;
use serde_json::{Map, Value, json};

/// What of a subscription may be used, by the names of features and meters.
pub fn entitlements(found: Option<&Entitled>) -> Value {
    let Some(it) = found else {
        return json!({ "plan": null, "status": null, "entitlements": {} });
    };
    let each = it.entitlements.iter().map(|(name, it)| (name.to_string(), entitlement(it)));
    let (plan, status) = (&it.subscription.order.plan.id, status(&it.subscription));
    json!({ "plan": plan, "status": status, "entitlements": each.collect::<Map<_, _>>() })
}

/// The same as a signed entitlement says it: of each whether it is on, and of what is metered how much of it is left.
pub fn claims(found: Option<&Entitled>) -> Value {
    let Some(it) = found else {
        return json!({ "plan": null, "status": null, "features": {}, "limits": {} });
    };
    let switch = |it: &Entitlement| match it.reason {
        None => json!({ "on": true }),
        Some(reason) => json!({ "on": false, "reason": reason }),
    };
    let limit = |it: &Standing| match it.reserved {
        0 => json!({ "limit": it.limit, "used": it.used, "remaining": it.remaining }),
        reserved => json!({ "limit": it.limit, "used": it.used, "reserved": reserved, "remaining": it.remaining }),
    };
    let features = it.entitlements.iter().map(|(name, it)| (name.to_string(), switch(it)));
    let metered = it.entitlements.values().filter_map(|it| it.standing.as_ref());
    let limits = metered.map(|it| (it.meter.to_string(), limit(it)));
    json!({
        "plan": it.subscription.order.plan.id, "status": status(&it.subscription),
        "features": features.collect::<Map<_, _>>(), "limits": limits.collect::<Map<_, _>>(),
    })
}

/// `{"on", "reason"}`, and where it is metered also how it stands.
pub fn entitlement(it: &Entitlement) -> Value {
    let mut view = it.standing.as_ref().map_or_else(|| json!({}), standing);
    view["on"] = json!(it.reason.is_none());
    view["reason"] = json!(it.reason);
    view
}
