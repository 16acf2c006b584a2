//! A change of what is bought: as it would be, and as it was made.

use super::{payment, subscription};
use billing::id::FeatureId;
use billing::order::Item;
use billing::subscription::{ChangeLine, Command, Order, Outlook};
use billing::workflow::{Changed, Previewed};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// `{"preview": {…}, "downgrade": {…} | null}`
pub fn preview(previewed: &Previewed) -> Value {
    let (it, from) = (&previewed.preview, features(&previewed.from));
    let to = features(&it.becomes.order);
    json!({
        "preview": {
            "id": it.id, "action": it.action, "effective": it.effective, "takes_effect_at": it.takes_effect_at,
            "lines": it.lines.iter().map(line).collect::<Vec<_>>(),
            "total": it.total, "from_balance": it.from_balance, "due_now": it.due_now,
            "next_invoice": { "at": it.next_at, "amount": it.next_amount },
            "features_gained": &to - &from, "features_lost": &from - &to,
        },
        "downgrade": previewed.downgrade,
    })
}

/// The same of what changes no order: of subscribing, and of what costs nothing. `next_invoice` is null where none follows.
pub fn outlook(action: &str, it: &Outlook) -> Value {
    let of = |order: &Option<Order>| order.as_ref().map(features).unwrap_or_default();
    let (from, to) = (of(&it.from), of(&it.to));
    json!({
        "preview": {
            "id": it.id, "action": action, "effective": it.effective, "takes_effect_at": it.takes_effect_at,
            "lines": it.lines.iter().map(line).collect::<Vec<_>>(),
            "total": it.total, "from_balance": it.from_balance, "due_now": it.due_now,
            "next_invoice": it.next.map(|(at, amount)| json!({ "at": at, "amount": amount })),
            "features_gained": &to - &from, "features_lost": &from - &to,
        },
        "downgrade": Value::Null,
    })
}

/// As a request names it.
pub fn action(command: Command) -> &'static str {
    match command {
        Command::CancelNow | Command::CancelAtPeriodEnd => "cancel",
        Command::Resume => "resume",
        Command::Pause | Command::PauseAtPeriodEnd => "pause",
        Command::Unpause => "unpause",
    }
}

/// `{"subscription": {…}, "payment": {…} | null}`
pub fn changed(changed: &Changed) -> Value {
    json!({ "subscription": subscription(&changed.subscription), "payment": changed.payment.as_ref().map(payment) })
}

fn line(it: &ChangeLine) -> Value {
    let (addon, name, quantity) = match &it.item {
        Item::Plan => (None, it.of.plan.display_name.as_str(), it.of.quantity),
        Item::Addon(id) => {
            let bought = it.of.addons.iter().find(|bought| bought.addon.id == *id);
            (Some(id), bought.map_or(id.as_str(), |it| &it.addon.name), it.of.addon_quantity(id))
        }
    };
    // `Professional`, `Professional × 3`
    let name = if quantity == 1 { name.to_owned() } else { format!("{name} × {quantity}") };
    let (kind, description) = match it.is_credit {
        true => ("credit", format!("Unused: {name}")),
        false => ("charge", name),
    };
    json!({
        "description": description, "kind": kind, "plan": it.of.plan.id, "addon": addon, "quantity": quantity,
        "period": it.period, "amount": it.amount,
    })
}

fn features(order: &Order) -> BTreeSet<FeatureId> {
    order.features().into_iter().filter(|(_, on)| *on).map(|(id, _)| id).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use billing::calendar::Interval;
    use billing::subscription::{Action, Change, Effective};
    use billing::testing::{active, instant, plan};

    #[test]
    fn a_preview_shows_what_is_credited_charged_gained_and_lost() {
        let held = active();
        let currency = held.order.price.amount.currency;
        let to = plan("estates-enterprise");
        let price = to.price(Interval::Month, currency).unwrap_or_else(|| panic!("a price"));
        let order = Order { plan: to, price, quantity: 1, addons: vec![], discount: None };
        let change = Change { action: Action::Upgrade, order, effective: Effective::Now };
        let at = instant("2025-02-14T10:00:00Z");
        let shown = held.preview(&change, &[], at, at);
        let shown = shown.unwrap_or_else(|refusal| panic!("{refusal}"));
        // The families that ship differ in features or in a price within the period, and none in both.
        let mut from = held.order.clone();
        from.plan.features = plan("minutes-pro").features;
        let mut preview_of = Previewed { from, preview: shown, downgrade: None };
        preview_of.preview.becomes.order.plan.features = plan("minutes-enterprise").features;
        let view = preview(&preview_of);
        let it = &view["preview"];
        let rest = json!({"start": "2025-02-14T10:00:00Z", "end": "2025-02-28T10:00:00Z"});
        let lines = json!([
            {"description": "Unused: Professional", "kind": "credit", "plan": "estates-professional",
             "addon": null, "quantity": 1,
             "period": rest, "amount": {"minor": -350_000, "currency": "NGN"}},
            {"description": "Enterprise", "kind": "charge", "plan": "estates-enterprise", "addon": null, "quantity": 1,
             "period": rest, "amount": {"minor": 750_000, "currency": "NGN"}},
        ]);
        assert_eq!(it["lines"], lines);
        assert_eq!((&it["action"], &it["effective"]), (&json!("upgrade"), &json!("now")));
        assert_eq!((&it["due_now"]["minor"], &it["total"]["minor"]), (&json!(400_000), &json!(400_000)));
        let next = json!({"at": "2025-02-28T10:00:00Z", "amount": {"minor": 1_500_000, "currency": "NGN"}});
        assert_eq!(it["next_invoice"], next);
        assert_eq!((&it["features_gained"], &it["features_lost"]), (&json!(["api_access"]), &json!([])));
        assert!(it["id"].as_str().is_some_and(|id| id.starts_with("prv_1739527200_")), "{it}");
        assert_eq!(view["downgrade"], Value::Null);
    }
}
