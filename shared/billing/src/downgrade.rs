//! Whether a customer may go down to a smaller plan, and if not, what stands in the way. What is allowed and used of a plan is
//! [`crate::entitlement`]'s; what the change costs, [`crate::proration`]'s.
//!
//! A level that is above the new limit is in the way until the customer reduces it. What is counted is in the way of a change
//! within the period only: when the next one begins it is zero, and nothing is to be reduced.

mod cheapest;

use crate::catalog::{Family, Limit, MeterKind};
use crate::entitlement::{Usage, used};
use crate::id::{FeatureId, MeterId};
use crate::order::Order;
use crate::subscription::Effective;
use jiff::{Timestamp, Zoned};
use serde::Serialize;
use std::collections::BTreeMap;

pub use cheapest::{CheapestFit, cheapest_fit};

/// What a change that may allow less finds in its way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Downgrade {
    /// Whether it can be made now.
    pub can_downgrade: bool,
    /// Whether it can be made when the period ends, as far as can be told now: whether every level fits.
    pub can_downgrade_at_period_end: bool,
    /// From when on it is possible, once what `steps` say is reduced: when the next period begins, if that is what is to be
    /// waited for. None: there is nothing to wait for.
    pub possible_from: Option<Timestamp>,
    pub usage_comparison: Vec<Comparison>,
    pub exceeds: Vec<Excess>,
    /// What to do, or to wait for, one sentence a meter, and the way out.
    pub steps: Vec<String>,
    pub features_lost: Vec<FeatureId>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Comparison {
    pub resource: MeterId,
    pub name: String,
    pub current: u64,
    pub current_limit: Limit,
    pub limit: Limit,
    pub fits: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Excess {
    pub resource: MeterId,
    pub current: u64,
    pub limit: u64,
    /// The smallest reduction that is enough, of a level.
    pub overage: u64,
    /// When a counter starts at zero. None: it is a gauge, which the customer reduces.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resets_at: Option<Timestamp>,
}

impl Downgrade {
    pub fn is_possible(&self, effective: Effective) -> bool {
        match effective {
            Effective::Now => self.can_downgrade,
            Effective::PeriodEnd => self.can_downgrade_at_period_end,
        }
    }
}

/// Holds `usage` against what `wanted` allows. Blocked only above a limit: 25 of 25 fits. The order is the family's, so
/// that the same question has the same answer. What is counted starts at zero at `next_period`, if one follows, as the customer's clocks
/// have it.
///
/// Now, a counter is in the way even if a new period were to begin with the change: what is credited of the old one would
/// have been used up in it.
pub fn downgrade(
    from: &Order,
    wanted: &Order,
    family: &Family,
    usage: &Usage,
    next_period: Option<&Zoned>,
) -> Downgrade {
    let (present, then) = (from.limits(), wanted.limits());
    let (mut usage_comparison, mut exceeds, mut steps) = (vec![], vec![], vec![]);
    for meter in &family.meters {
        let current = used(usage, &meter.id);
        let new_limit = limit(&then, &meter.id);
        let excess = excess(new_limit, current);
        usage_comparison.push(Comparison {
            resource: meter.id.clone(),
            name: meter.name.clone(),
            current,
            current_limit: limit(&present, &meter.id),
            limit: new_limit,
            fits: excess.is_none(),
        });
        if let Some((most, overage)) = excess {
            let (resets_at, step) = match meter.kind {
                MeterKind::Gauge => (None, format!("{} {overage} (reduce from {current} to {most} max)", meter.reduce)),
                MeterKind::Counter => {
                    let above = format!("{overage} above the limit ({current} used, {most} max)");
                    match next_period {
                        Some(then) => {
                            (Some(then.timestamp()), format!("{above}: possible from the next period, {}", then.date()))
                        }
                        None => (None, format!("{above}: no period follows that starts at zero")),
                    }
                }
            };
            exceeds.push(Excess { resource: meter.id.clone(), current, limit: most, overage, resets_at });
            steps.push(format!("{}: {step}", meter.name));
        }
    }
    if !exceeds.is_empty() {
        steps.push(match from.plan.id == wanted.plan.id {
            true => "Or keep what you have".to_owned(),
            false => format!("Or stay on {}", from.plan.display_name),
        });
    }
    Downgrade {
        can_downgrade: exceeds.is_empty(),
        can_downgrade_at_period_end: next_period.is_some() && exceeds.iter().all(|it| it.resets_at.is_some()),
        possible_from: exceeds.iter().find_map(|it| it.resets_at),
        usage_comparison,
        exceeds,
        steps,
        features_lost: features_lost(from, wanted),
    }
}

/// Whether any limit is lower in `wanted`, or any feature missing.
pub(crate) fn allows_less(from: &Order, wanted: &Order) -> bool {
    let then = wanted.limits();
    from.limits().iter().any(|(meter, present)| limit(&then, meter) < *present)
        || !features_lost(from, wanted).is_empty()
}

/// What is not said to be allowed is not.
fn limit(limits: &BTreeMap<MeterId, Limit>, meter: &MeterId) -> Limit {
    limits.get(meter).copied().unwrap_or(Limit::AtMost(0))
}

/// The most that is allowed, and by how much `used` is above it, if it is.
fn excess(limit: Limit, used: u64) -> Option<(u64, u64)> {
    match limit {
        Limit::AtMost(most) if used > most => Some((most, used - most)),
        Limit::AtMost(_) | Limit::Unlimited => None,
    }
}

fn features_lost(from: &Order, wanted: &Order) -> Vec<FeatureId> {
    let then = wanted.features();
    let kept = |feature: &FeatureId| then.get(feature).copied().unwrap_or(false);
    from.features().into_iter().filter(|(feature, on)| *on && !kept(feature)).map(|(feature, _)| feature).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::tests::{documented, documented_family};
    use crate::testing::{family, instant, meter, order, zone};
    use std::num::NonZeroU32;

    /// Half an hour before March in UTC, and half an hour into it in Lagos.
    fn next_period() -> Zoned {
        zone("Africa/Lagos").clocks(instant("2025-02-28T23:30:00Z"))
    }

    fn usage(levels: [(&str, u64); 4]) -> Usage {
        levels.into_iter().map(|(name, level)| (meter(name), level)).collect()
    }

    fn to_starter(levels: [(&str, u64); 4]) -> Downgrade {
        let (from, wanted) = (order("estates-enterprise"), order("estates-starter"));
        downgrade(&from, &wanted, &family("estates"), &usage(levels), Some(&next_period()))
    }

    /// From Enterprise to Starter: 1,000 minutes and one agent.
    fn of_minutes(minutes: u64, agents: u64) -> Downgrade {
        let (from, wanted) = (order("minutes-enterprise"), order("minutes-starter"));
        let usage: Usage = [(meter("minutes"), minutes), (meter("agents"), agents)].into();
        downgrade(&from, &wanted, &family("minutes"), &usage, Some(&next_period()))
    }

    #[test]
    fn the_reference_case_says_exactly_what_to_reduce() {
        let answer = to_starter([("estates", 150), ("allocations", 300), ("clients", 600), ("marketers", 50)]);
        assert!(!answer.can_downgrade);
        let overages: Vec<(&str, u64)> = answer.exceeds.iter().map(|it| (it.resource.as_str(), it.overage)).collect();
        assert_eq!(overages, [("estates", 125), ("allocations", 250), ("clients", 500), ("marketers", 45)]);
        assert_eq!(
            answer.steps,
            [
                "Estates: delete or archive 125 (reduce from 150 to 25 max)",
                "Allocations: delete or archive 250 (reduce from 300 to 50 max)",
                "Clients: delete or archive 500 (reduce from 600 to 100 max)",
                "Marketers: remove 45 (reduce from 50 to 5 max)",
                "Or stay on Enterprise",
            ]
        );
    }

    #[test]
    fn only_more_than_the_limit_blocks() {
        let fits = to_starter([("estates", 25), ("allocations", 50), ("clients", 100), ("marketers", 5)]);
        assert!(fits.can_downgrade && fits.exceeds.is_empty() && fits.steps.is_empty());
        let blocked = to_starter([("estates", 26), ("allocations", 0), ("clients", 0), ("marketers", 0)]);
        let estates = Excess { resource: meter("estates"), current: 26, limit: 25, overage: 1, resets_at: None };
        assert_eq!(blocked.exceeds, [estates]);
    }

    #[test]
    fn where_no_period_follows_nothing_is_possible_from_then_on() {
        let (from, wanted) = (order("minutes-pro"), order("minutes-starter"));
        let used: Usage = [(meter("minutes"), 1_500)].into();
        let answer = |usage: &Usage| downgrade(&from, &wanted, &family("minutes"), usage, None);
        let blocked = answer(&used);
        assert_eq!((blocked.can_downgrade_at_period_end, blocked.possible_from), (false, None));
        assert_eq!(
            blocked.steps[0],
            "Monthly Call Minutes: 500 above the limit (1500 used, 1000 max): no period follows that starts at zero"
        );
        let fits = answer(&Usage::new());
        assert_eq!((fits.can_downgrade, fits.can_downgrade_at_period_end), (true, false));
    }

    #[test]
    fn a_level_is_in_the_way_until_it_is_reduced_and_what_is_counted_until_the_next_period() {
        let then = Some(next_period().timestamp());
        // Minutes, agents; whether it can be made now, at the period's end, and what is to be waited for.
        let cases = [
            (1_000, 1, true, true, None),
            (1_000, 2, false, false, None),
            (1_001, 1, false, true, then),
            (1_001, 2, false, false, then),
        ];
        for (minutes, agents, now, at_end, possible_from) in cases {
            let answer = of_minutes(minutes, agents);
            let possible = [Effective::Now, Effective::PeriodEnd].map(|effective| answer.is_possible(effective));
            assert_eq!((possible, answer.possible_from), ([now, at_end], possible_from), "{minutes} {agents}");
            let resets = |it: &Excess| (it.resource.as_str() == "minutes") == (it.resets_at == then);
            assert!(answer.exceeds.iter().all(resets), "{:?}", answer.exceeds);
        }
    }

    #[test]
    fn of_what_is_counted_nothing_is_to_be_reduced() {
        let answer = of_minutes(1_500, 3);
        assert_eq!(
            answer.steps,
            [
                "Monthly Call Minutes: 500 above the limit (1500 used, 1000 max): possible from the next period, 2025-03-01",
                "Number of Agents: remove 2 (reduce from 3 to 1 max)",
                "Or stay on Enterprise",
            ]
        );
        let told = serde_json::to_value(&answer).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(
            told["exceeds"],
            serde_json::json!([
                {"resource": "minutes", "current": 1500, "limit": 1000, "overage": 500, "resets_at": "2025-02-28T23:30:00Z"},
                {"resource": "agents", "current": 3, "limit": 1, "overage": 2},
            ])
        );
        assert_eq!(told["possible_from"], "2025-02-28T23:30:00Z");
    }

    #[test]
    fn nothing_is_too_much_for_unlimited() {
        let enterprise = order("estates-enterprise");
        let levels = usage([("estates", u64::MAX), ("allocations", 0), ("clients", 0), ("marketers", 0)]);
        assert!(downgrade(&enterprise, &enterprise, &family("estates"), &levels, Some(&next_period())).can_downgrade);
    }

    #[test]
    fn the_features_that_would_be_lost_are_named() {
        let answer = of_minutes(0, 0);
        assert_eq!(answer.features_lost.iter().map(FeatureId::as_str).collect::<Vec<_>>(), ["analytics", "api_access"]);
        assert!(answer.can_downgrade);
    }

    #[test]
    fn what_addons_bring_is_had_now_and_not_after_the_change() {
        let plan = documented();
        let held =
            Order { price: plan.prices[0].clone(), plan: plan.clone(), quantity: 1, addons: vec![], discount: None };
        let held = plan.addons.iter().try_fold(held, |held, addon| held.with_addon(&addon.id, Some(NonZeroU32::MIN)));
        let held = held.unwrap_or_else(|error| panic!("{error}"));
        let usage: Usage = [(meter("storage"), 80)].into();
        let bare = Order { addons: vec![], ..held.clone() };
        let answer = downgrade(&held, &bare, &documented_family(), &usage, Some(&next_period()));
        assert_eq!(answer.features_lost.iter().map(FeatureId::as_str).collect::<Vec<_>>(), ["phone"]);
        let compared = &answer.usage_comparison[0];
        assert_eq!(
            (compared.current_limit, compared.limit, compared.fits),
            (Limit::AtMost(100), Limit::AtMost(50), false)
        );
        assert_eq!(answer.steps, ["Storage: delete 30 (reduce from 80 to 50 max)", "Or keep what you have"]);
    }
}
