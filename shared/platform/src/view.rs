//! The shapes of our own API: what the domain knows, as a client reads it.
//! Amounts are `{"minor", "currency"}`, times RFC 3339 in UTC, unlimited is null.

mod change;
mod entitlement;
mod payment;
mod subscription;
mod wallet;

use crate::gateways::Clients;
use billing::brand::Brand;
use billing::catalog::{Addon, Plan};
use billing::dunning::ladder::DunningPolicy;
use billing::entitlement::Standing;
use billing::id::{MeterId, UsageId};
use billing::payment::Gateway;
use billing::reservation::Reservation;
use billing::statistics::{Statistics, Unusual};
use billing::token::Consumption;
use billing::usage::MeterUsage;
use billing::workflow::{Alerts, Comparison, OpenAlert, Rebuilt, Recount};
use jiff::Timestamp;
use jiff::civil::Date;
use serde_json::{Map, Number, Value, json};
use std::collections::BTreeMap;

pub use change::{action, changed, outlook, preview};
pub use entitlement::{claims, entitlement, entitlements};
pub use payment::payment;
pub(crate) use subscription::status;
pub use subscription::{live, subscription};
pub use wallet::payment_methods;

pub fn plan(plan: &Plan) -> Value {
    json!({
        "id": plan.id, "family": plan.family, "version": plan.version,
        "name": plan.name, "display_name": plan.display_name, "description": plan.description,
        "tier": plan.tier, "pricing_model": plan.pricing_model, "prices": plan.prices,
        "features": plan.features, "limits": plan.limits, "tokens_included": plan.tokens_included,
        "tokens_rollover": plan.tokens_rollover, "alerts": plan.alerts, "overage": plan.overage,
        "recommended": plan.recommended, "popular": plan.popular,
        "trial": plan.trial.map(|trial| json!({"days": trial.days, "method_required": trial.method_required})), "dunning": dunning(&plan.dunning), "addons": plan.addons,
    })
}

/// Null: as every plan has it that says nothing.
fn dunning(policy: &DunningPolicy) -> Value {
    if *policy == DunningPolicy::default() { Value::Null } else { json!(policy) }
}

/// What a counter says of each period, and what the records of its uses come to; and the days of which it says something else.
pub fn rebuilt(it: &Rebuilt, dry_run: bool) -> Value {
    let period = |it: &Recount| json!({ "period": it.period, "counted": it.counted, "recorded": it.recorded });
    let periods: Vec<Value> = it.periods.iter().map(period).collect();
    json!({ "meter": it.meter, "periods": periods, "days": it.days, "dry_run": dry_run })
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
    let addon = |it: &Addon| json!({ "id": it.id, "name": it.name, "features": it.features, "limits": it.limits });
    let addons: Vec<Value> = plan.addons.iter().map(addon).collect();
    json!({ "plan": plan.id, "features": plan.features, "limits": plan.limits, "addons": addons })
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

pub fn brand(it: &Brand) -> Value {
    let Brand { id, name, logo, colours, sender, .. } = it;
    json!({ "id": id, "name": name, "logo": logo, "colours": colours, "sender": sender })
}

pub fn brands(brands: &[Brand]) -> Value {
    json!({ "brands": brands.iter().map(brand).collect::<Vec<_>>() })
}

pub fn consumption(it: &Consumption) -> Value {
    json!({ "id": it.id, "tokens": it.tokens, "description": it.description, "at": it.at, "balance": it.balance })
}

/// What was used of each meter lately, and of tokens: `null`, if none were.
pub fn statistics((date, statistics): &(Date, BTreeMap<Option<MeterId>, Statistics>)) -> Value {
    let of = |(meter, it): (&Option<MeterId>, &Statistics)| {
        let (meter, Statistics { today, this_month, unusual, by_day }) = (meter.as_ref()?, it);
        Some(json!({
            "meter": meter, "today": today, "this_month": this_month, "unusual": unusual, "by_day": by_day,
        }))
    };
    let meters: Vec<Value> = statistics.iter().filter_map(of).collect();
    json!({ "date": date, "meters": meters, "tokens": statistics.get(&None) })
}

/// The alerts that are open, and what is unusual today.
pub fn alerts(Alerts { open, unusual: notices }: &Alerts) -> Value {
    let mut view = acknowledged(open);
    view["unusual"] = notices.iter().map(unusual).collect();
    view
}

/// The alerts of a meter, as they are acknowledged or not.
pub fn acknowledged(alerts: &[OpenAlert]) -> Value {
    json!({ "alerts": alerts.iter().map(alert).collect::<Vec<_>>() })
}

/// Its kind tells tokens from a meter, whatever that is called.
fn unusual(Unusual { meter, date, used, usual }: &Unusual) -> Value {
    let kind = if meter.is_some() { "usage_unusual" } else { "tokens_unusual" };
    json!({ "kind": kind, "meter": meter, "date": date, "used": used, "usual": usual })
}

fn alert(it: &OpenAlert) -> Value {
    let OpenAlert { meter, used, overage, is_sold, alert } = it;
    let kind = match (alert.is_warning(), is_sold) {
        (true, _) => "usage_warning",
        (false, true) => "usage_overage",
        (false, false) => "usage_limit",
    };
    json!({
        "kind": kind,
        "meter": meter, "percent": alert.percent, "limit": alert.limit, "used": used, "overage": overage,
        "raised_at": alert.raised_at, "acknowledged_at": alert.acknowledged_at,
    })
}

/// How a meter stands against its limit.
pub fn standing(it: &Standing) -> Value {
    let mut view = json!(it);
    view["percentage"] = it.per_mille.map_or(Value::Null, percentage);
    view
}

/// What is held, and how its meter stands.
pub fn reservation(id: &UsageId, it: &Reservation, of: &Standing) -> Value {
    let mut view = standing(of);
    view["reservation"] = json!({ "id": id, "value": it.value, "minutes": it.minutes, "expires_at": it.expires_at });
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
    use billing::id::{PeriodId, SubscriptionId};
    use billing::statistics::DayRecount;
    use billing::trial::TrialOffer;

    #[test]
    fn a_plan_says_what_it_has_and_null_or_nothing_for_the_rest() {
        let shown = plan(&billing::testing::plan("estates-starter"));
        assert_eq!([&shown["trial"], &shown["dunning"], &shown["addons"]], [&Value::Null, &Value::Null, &json!([])]);
        let price = json!({"interval": "month", "amount": {"minor": 300_000, "currency": "NGN"}, "recurring": true});
        assert_eq!(shown["prices"][0], price, "as before there was more to a price");

        let mut more = billing::testing::plan("estates-starter");
        let addon = json!({"id": "more", "name": "More", "prices": [], "per_unit": true, "features": [], "limits": {"estates": 5}});
        more.addons = serde_json::from_value(json!([addon])).unwrap_or_else(|error| panic!("{error}"));
        (more.trial, more.dunning.grace_days) = (Some(TrialOffer { days: 14, method_required: true }), 7);
        let shown = plan(&more);
        assert_eq!((&shown["trial"], &shown["addons"][0]), (&json!({"days": 14, "method_required": true}), &addon));
        assert_eq!(shown["dunning"], json!({"retry_after_days": [1, 3, 5], "grace_days": 7, "suspension_days": 30}));
        let brings = json!([{"id": "more", "name": "More", "features": [], "limits": {"estates": 5}}]);
        assert_eq!(features(&more)["addons"], brings);
    }

    #[test]
    fn what_is_unusual_is_told_beside_the_alerts_and_tokens_by_their_kind() {
        let date = jiff::civil::date(2026, 3, 31);
        let of = |meter| Unusual { meter, date, used: 310, usual: 100 };
        let unusual = vec![of(None), of(Some(billing::testing::meter("tokens")))];
        let shown = alerts(&Alerts { open: vec![], unusual });
        let of = |kind, meter| json!({"kind": kind, "meter": meter, "date": "2026-03-31", "used": 310, "usual": 100});
        let unusual = [of("tokens_unusual", Value::Null), of("usage_unusual", json!("tokens"))];
        assert_eq!(shown, json!({"alerts": [], "unusual": unusual}));
        assert_eq!(alerts(&Alerts::default()), json!({"alerts": [], "unusual": []}));
    }

    #[test]
    fn what_was_reckoned_again_is_told_of_each_period_and_of_the_days_that_differ() {
        let date = jiff::civil::date(2026, 3, 31);
        let period = PeriodId { subscription: SubscriptionId::nth(&billing::testing::customer(), 1), index: 4 };
        let periods = vec![Recount { period: period.clone(), counted: 9_000, recorded: u64::MAX }];
        let of = |days| Rebuilt { meter: billing::testing::meter("minutes"), periods: periods.clone(), days };
        let shown = json!([{"period": period.to_string(), "counted": 9_000, "recorded": u64::MAX}]);
        let days = json!([{"date": "2026-03-31", "counted": 0, "recorded": 7}]);
        for (dry_run, found, days) in
            [(true, of(vec![DayRecount { date, counted: 0, recorded: 7 }]), days), (false, of(vec![]), json!([]))]
        {
            let expected = json!({"meter": "minutes", "periods": shown, "days": days, "dry_run": dry_run});
            assert_eq!(rebuilt(&found, dry_run), expected);
        }
    }

    #[test]
    fn percentages_are_printed_to_a_tenth() {
        for (per_mille, text) in [(50, "5.0"), (0, "0.0"), (333, "33.3"), (1_040, "104.0")] {
            assert_eq!(percentage(per_mille).to_string(), text);
        }
    }
}
