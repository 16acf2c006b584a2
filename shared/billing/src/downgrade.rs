//! Whether a customer may go down to a smaller plan, and if not, what stands in the way. What is allowed and used of a plan is
//! [`crate::entitlement`]'s; what the change costs, [`crate::proration`]'s.

use crate::catalog::{Family, Limit};
use crate::entitlement::{Usage, used};
use crate::id::{FeatureId, MeterId};
use crate::order::Order;
use serde::Serialize;
use std::collections::BTreeMap;

/// Whether a customer may go down to a plan, and if not, exactly what to reduce.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Downgrade {
    pub can_downgrade: bool,
    pub usage_comparison: Vec<Comparison>,
    pub exceeds: Vec<Excess>,
    /// What to do, one sentence a meter, and the way out.
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
    pub overage: u64,
}

/// Holds `usage` against what `wanted` allows. Blocked only above a limit: 25 of 25 fits. The order is the family's, so
/// that the same question has the same answer.
pub fn downgrade(from: &Order, wanted: &Order, family: &Family, usage: &Usage) -> Downgrade {
    let (present, then) = (from.limits(), wanted.limits());
    let limit = |limits: &BTreeMap<MeterId, Limit>, meter| limits.get(meter).copied().unwrap_or(Limit::AtMost(0));
    let mut answer = Downgrade {
        can_downgrade: true,
        usage_comparison: vec![],
        exceeds: vec![],
        steps: vec![],
        features_lost: features_lost(from, wanted),
    };
    for meter in &family.meters {
        let current = used(usage, &meter.id);
        let new_limit = limit(&then, &meter.id);
        let excess = match new_limit {
            Limit::AtMost(most) if current > most => Some((most, current - most)),
            Limit::AtMost(_) | Limit::Unlimited => None,
        };
        answer.usage_comparison.push(Comparison {
            resource: meter.id.clone(),
            name: meter.name.clone(),
            current,
            current_limit: limit(&present, &meter.id),
            limit: new_limit,
            fits: excess.is_none(),
        });
        if let Some((most, overage)) = excess {
            answer.exceeds.push(Excess { resource: meter.id.clone(), current, limit: most, overage });
            answer
                .steps
                .push(format!("{}: {} {overage} (reduce from {current} to {most} max)", meter.name, meter.reduce));
        }
    }
    if !answer.exceeds.is_empty() {
        answer.can_downgrade = false;
        answer.steps.push(match from.plan.id == wanted.plan.id {
            true => "Or keep what you have".to_owned(),
            false => format!("Or stay on {}", from.plan.display_name),
        });
    }
    answer
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
    use crate::testing::{family, meter, order};
    use std::num::NonZeroU32;

    fn usage(levels: [(&str, u64); 4]) -> Usage {
        levels.into_iter().map(|(name, level)| (meter(name), level)).collect()
    }

    fn to_starter(levels: [(&str, u64); 4]) -> Downgrade {
        let (from, wanted) = (order("estates-enterprise"), order("estates-starter"));
        downgrade(&from, &wanted, &family("estates"), &usage(levels))
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
        assert_eq!(blocked.exceeds, [Excess { resource: meter("estates"), current: 26, limit: 25, overage: 1 }]);
    }

    #[test]
    fn nothing_is_too_much_for_unlimited() {
        let enterprise = order("estates-enterprise");
        let levels = usage([("estates", u64::MAX), ("allocations", 0), ("clients", 0), ("marketers", 0)]);
        assert!(downgrade(&enterprise, &enterprise, &family("estates"), &levels).can_downgrade);
    }

    #[test]
    fn the_features_that_would_be_lost_are_named() {
        let (from, wanted) = (order("minutes-enterprise"), order("minutes-starter"));
        let answer = downgrade(&from, &wanted, &family("minutes"), &Usage::new());
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
        let answer = downgrade(&held, &bare, &documented_family(), &usage);
        assert_eq!(answer.features_lost.iter().map(FeatureId::as_str).collect::<Vec<_>>(), ["phone"]);
        let compared = &answer.usage_comparison[0];
        assert_eq!(
            (compared.current_limit, compared.limit, compared.fits),
            (Limit::AtMost(100), Limit::AtMost(50), false)
        );
        assert_eq!(answer.steps, ["Storage: delete 30 (reduce from 80 to 50 max)", "Or keep what you have"]);
    }
}
