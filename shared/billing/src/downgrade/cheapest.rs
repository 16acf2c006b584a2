//! Which plan would do: the cheapest that holds what is in use.
//!
//! Plans are held against each other alone: without add-ons, which raise limits for money of their own, and without
//! discounts, which pass.

use super::{excess, limit};
use crate::catalog::{Family, Plan};
use crate::entitlement::{Usage, used};
use crate::id::PlanId;
use crate::money::Money;
use crate::order::Order;
use serde::Serialize;

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CheapestFit {
    pub plan: PlanId,
    pub display_name: String,
    /// What a period costs of as many as the customer has.
    pub amount: Money,
}

/// Of `plans`, those of the family that are on sale, for the interval and in the currency of what is `held`, and of the plan
/// that is held as it was bought: the cheapest that allows all of `usage`, levels and counters. Of two that cost the same, the
/// lower. None: no plan does.
pub fn cheapest_fit(held: &Order, plans: &[Plan], family: &Family, usage: &Usage) -> Option<CheapestFit> {
    let others = plans.iter().filter(|plan| plan.active && plan.family == family.id && plan.id != held.plan.id);
    let kept = Order { addons: vec![], discount: None, ..held.clone() };
    let fits = |order: &Order| {
        let limits = order.limits();
        family.meters.iter().all(|meter| excess(limit(&limits, &meter.id), used(usage, &meter.id)).is_none())
    };
    let orders = others.filter_map(|plan| instead(held, plan)).chain([kept]).filter(fits);
    let priced = orders.filter_map(|order| Some((order.amount().ok()?, order.plan)));
    let (amount, plan) = priced.min_by_key(|(amount, plan)| (amount.minor, plan.tier, plan.id.clone()))?;
    Some(CheapestFit { plan: plan.id, display_name: plan.display_name, amount })
}

/// As many of `plan` as are held of another. None: it is not sold like that, or it is not said how many that would be.
fn instead(held: &Order, plan: &Plan) -> Option<Order> {
    let price = plan.price(held.price.interval, held.price.amount.currency)?;
    let quantity = held.quantity_of(plan)?;
    let renews_alike = price.recurring == held.price.recurring;
    renews_alike.then(|| Order { plan: plan.clone(), price, quantity, addons: vec![], discount: None })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Limit;
    use crate::catalog::tests::{documented, documented_catalogue, documented_family};
    use crate::money::Currency;
    use crate::testing::{catalogue, family, meter, order};
    use jiff::Timestamp;
    use std::num::NonZeroU32;

    /// The plans of call minutes, of which a customer has Enterprise by the month and uses what `change` leaves.
    fn fit(minutes: u64, agents: u64, change: impl FnOnce(&mut Order, &mut Vec<Plan>)) -> Option<(String, i64)> {
        let (mut held, mut plans) = (order("minutes-enterprise"), catalogue("minutes").into_plans().1);
        change(&mut held, &mut plans);
        // Others' plans, and what is used of another family, make no difference.
        plans.extend(catalogue("tokens").into_plans().1);
        let usage = [(meter("minutes"), minutes), (meter("agents"), agents), (meter("estates"), u64::MAX)].into();
        let fit = cheapest_fit(&held, &plans, &family("minutes"), &usage)?;
        Some((fit.plan.to_string(), fit.amount.minor))
    }

    fn told(name: &str, minor: i64) -> Option<(String, i64)> {
        Some((format!("minutes-{name}"), minor))
    }

    #[test]
    fn the_cheapest_that_holds_all_that_is_used_may_be_the_one_that_is_had() {
        let cases = [
            (0, 0, told("starter", 2_900)),
            (1_000, 1, told("starter", 2_900)),
            (1_001, 1, told("pro", 9_900)),
            (1_000, 2, told("pro", 9_900)),
            (3_000, 6, told("enterprise", 29_900)),
            (10_000, 25, told("enterprise", 29_900)),
            (10_001, 25, None),
        ];
        for (minutes, agents, expected) in cases {
            assert_eq!(fit(minutes, agents, |_, _| ()), expected, "{minutes} minutes, {agents} agents");
        }
    }

    #[test]
    fn only_what_is_on_sale_for_the_interval_and_in_the_currency_counts() {
        let withdrawn = |_: &mut Order, plans: &mut Vec<Plan>| plans[0].active = false;
        assert_eq!(fit(0, 0, withdrawn), told("pro", 9_900));
        let yearly = |held: &mut Order, plans: &mut Vec<Plan>| {
            held.price = held.plan.prices[1].clone();
            plans[0].prices.truncate(1);
        };
        assert_eq!(fit(0, 0, yearly), told("pro", 99_000));
        let elsewhere = |_: &mut Order, plans: &mut Vec<Plan>| {
            let euros = Currency::from_code("EUR").unwrap_or_else(|| panic!("EUR"));
            plans[0].prices.iter_mut().for_each(|price| price.amount.currency = euros);
        };
        assert_eq!(fit(0, 0, elsewhere), told("pro", 9_900));
        let expires = |_: &mut Order, plans: &mut Vec<Plan>| plans[0].prices[0].recurring = false;
        assert_eq!(fit(0, 0, expires), told("pro", 9_900));
    }

    #[test]
    fn what_a_customer_has_is_had_as_it_was_bought() {
        // Withdrawn, and dearer and smaller for whoever would come to it now.
        let kept = |held: &mut Order, plans: &mut Vec<Plan>| {
            held.price.amount.minor = 100;
            plans[2].active = false;
            plans[2].limits.insert(meter("minutes"), Limit::AtMost(0));
        };
        assert_eq!(fit(10_000, 25, kept), told("enterprise", 100));
    }

    #[test]
    fn the_lower_of_two_that_cost_the_same_is_meant() {
        let even = |_: &mut Order, plans: &mut Vec<Plan>| {
            plans.iter_mut().for_each(|plan| plan.prices[0].amount.minor = 29_900);
            plans.reverse();
        };
        assert_eq!(fit(0, 0, even), told("starter", 29_900));
        let of_one_tier = |_: &mut Order, plans: &mut Vec<Plan>| {
            plans.iter_mut().for_each(|plan| (plan.tier, plan.prices[0].amount.minor) = (3, 29_900));
        };
        assert_eq!(fit(0, 0, of_one_tier), told("enterprise", 29_900));
    }

    /// Professional is sold by the seat, Basic is not.
    #[test]
    fn seats_count_where_they_are_sold_and_are_guessed_nowhere() {
        let plans = catalogue("crm").into_plans().1;
        let cases = [
            ("crm-professional", 3, 0, Some(("crm-professional", 4_500))),
            ("crm-professional", 4, 0, Some(("crm-basic", 5_000))),
            ("crm-professional", 4, 11, Some(("crm-professional", 6_000))),
            // A seat costs 15.00, and nobody has said that one is enough.
            ("crm-basic", 1, 0, Some(("crm-basic", 5_000))),
            ("crm-basic", 1, 11, None),
        ];
        for (plan, quantity, users, expected) in cases {
            let usage = [(meter("users"), users)].into();
            let fit = cheapest_fit(&Order { quantity, ..order(plan) }, &plans, &family("crm"), &usage);
            let told = fit.as_ref().map(|it| (it.plan.as_str(), it.amount.minor));
            assert_eq!(told, expected, "{quantity} of {plan}, {users} users");
        }
    }

    #[test]
    fn neither_addons_nor_discounts_are_weighed() {
        let plan = documented();
        let bare = Order { price: plan.prices[0].clone(), plan, quantity: 12, addons: vec![], discount: None };
        let held = bare.clone().with_addon(&bare.plan.addons[0].id, NonZeroU32::new(2));
        let mut held = held.unwrap_or_else(|error| panic!("{error}"));
        let currency = held.price.amount.currency;
        let discount = documented_catalogue().coupons[0].redeem(&held.plan.id, currency, 0, 0, Timestamp::UNIX_EPOCH);
        held.discount = discount.map(Some).unwrap_or_else(|error| panic!("{error}"));
        let held = held.in_next_period();
        let fit = |stored| cheapest_fit(&held, &[], &documented_family(), &[(meter("storage"), stored)].into());
        // It has 50 gigabytes itself, and 100 more by its add-on.
        assert_eq!(fit(50).map(|it| it.amount), bare.amount().ok());
        assert_eq!((fit(51), held.amount() == bare.amount()), (None, false));
    }
}
