//! What may be used, and what more of it costs: by the catalogue's own figures, and not by the domain.

use billing::alert::Alert;
use billing::catalog::{Limit, OveragePrice};
use billing::id::{MeterId, PeriodId};
use billing::subscription::{Order, Status, Subscription};
use std::collections::BTreeMap;

/// What may be used of each meter, and the lines at which its customer is told: per cent, of what, and from where on.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Allowed {
    pub(super) is_live: bool,
    pub(super) most: BTreeMap<MeterId, u64>,
    lines: BTreeMap<MeterId, Vec<(u16, u64, u64)>>,
    /// Beyond which more is sold.
    sold: BTreeMap<MeterId, u64>,
    /// Somebody can be written to.
    has_contact: bool,
}

impl Allowed {
    /// In the period that is paid for.
    pub(super) fn by(it: &Subscription, is_live: bool) -> Self {
        Self::by_each(it, is_live, &[&it.order])
    }

    /// In the one after it, before that is paid for too: no more than any allows, and by that which allows less.
    pub(super) fn to_come(it: &Subscription, is_live: bool) -> Self {
        Self::by_each(it, is_live, &[&it.next_order(), &it.order])
    }

    fn by_each(it: &Subscription, is_live: bool, orders: &[&Order]) -> Self {
        let mut allowed = Self { is_live, has_contact: it.contact.is_some(), ..Self::default() };
        for meter in it.order.plan.limits.keys() {
            let most_by = |order: &&Order| match (limit_of(order, meter), price(order, meter)) {
                (limit, Some(price)) if limit < u64::MAX && is_sold_more(it) => limit + most(price),
                (limit, _) => limit,
            };
            let cap = orders.iter().map(most_by).min().unwrap_or(0);
            let Some(order) = orders.iter().min_by_key(|order| limit_of(order, meter)) else { continue };
            let (plan, limit) = (&order.plan, limit_of(order, meter));
            if limit == u64::MAX {
                allowed.most.insert(meter.clone(), u64::MAX);
                continue;
            }
            let price = price(order, meter);
            let sold = price.filter(|_| is_sold_more(it)).map_or(0, most);
            allowed.most.insert(meter.clone(), cap);
            allowed.sold.extend((sold > 0).then(|| (meter.clone(), limit)));
            let mut percents = plan.alerts.get(meter).cloned().unwrap_or(vec![80, 100]);
            percents.extend((price.is_some() && !percents.contains(&100)).then_some(100));
            let level = |percent: u16| (limit * u64::from(percent)).div_ceil(100).max(1);
            let lines = percents.into_iter().map(|percent| (percent, limit, level(percent)));
            allowed.lines.insert(meter.clone(), lines.collect());
        }
        allowed
    }

    /// Whether a mail is due when what is used of `meter` in a period grows from `before` to `value`.
    pub(super) fn begins_to_cost(&self, meter: &MeterId, before: u64, value: u64) -> bool {
        self.has_contact && self.sold.get(meter).is_some_and(|limit| before <= *limit && value > *limit)
    }

    /// Whether so much of `meter` may be in use, and was told of.
    pub(super) fn has_told(&self, meter: &MeterId, used: u64, period: Option<&PeriodId>, alerts: &[Alert]) -> bool {
        let told = |(percent, limit, level): &(u16, u64, u64)| {
            let is_it = |it: &Alert| {
                (it.percent, it.limit) == (*percent, *limit) && period.is_none_or(|period| it.period == *period)
            };
            used < *level || alerts.iter().any(is_it)
        };
        self.lines.get(meter).is_none_or(|lines| lines.iter().all(told))
    }
}

/// What allows the least of `meter`: what is had, or what is to come.
pub(super) fn least(it: &Subscription, meter: &MeterId) -> Order {
    let next = it.next_order();
    if limit_of(&next, meter) <= limit_of(&it.order, meter) { next } else { it.order.clone() }
}

/// Whether more than the limits is sold: an invoice follows that is paid.
fn is_sold_more(it: &Subscription) -> bool {
    let stays = matches!(it.status, Status::Active { cancel_at_period_end: false, .. }) && !it.pausing;
    let pays = || it.next_order().amount().is_ok_and(|amount| amount.minor > 0);
    stays && it.order.price.recurring && !it.is_trialing() && it.disputed.is_empty() && pays()
}

fn price<'a>(order: &'a Order, meter: &MeterId) -> Option<&'a OveragePrice> {
    let currency = order.price.amount.currency;
    order.plan.overage.get(meter)?.iter().find(|it| it.tiers[0].amount.currency == currency)
}

/// Whether more of `meter` than its limit has a price.
pub(super) fn prices(order: &Order, meter: &MeterId) -> bool {
    price(order, meter).is_some() && limit_of(order, meter) < u64::MAX
}

/// The most of `meter` that can be used where more of it is sold.
pub(super) fn most_of(order: &Order, meter: &MeterId) -> u64 {
    limit_of(order, meter).saturating_add(price(order, meter).map_or(0, most))
}

/// How many units are sold: up to the end of the last tier.
fn most(price: &OveragePrice) -> u64 {
    price.tiers.last().and_then(|tier| tier.up_to).map_or(1_000_000_000, u64::from)
}

/// What the first `units` beyond a limit cost, in minor units: each tier's own, and its fee; rounded once, half up.
fn cost(price: &OveragePrice, units: u64) -> i64 {
    let (per, units) = (i128::from(price.per.get()), i128::from(units.min(most(price))));
    let (mut parts, mut from) = (0, 0);
    for tier in &price.tiers {
        let to = tier.up_to.map_or(units, |end| units.min(end.into()));
        if to > from {
            let fee = tier.flat.map_or(0, |flat| flat.minor);
            parts += (to - from) * i128::from(tier.amount.minor) + per * i128::from(fee);
            from = to;
        }
    }
    i64::try_from((2 * parts + per).div_euclid(2 * per)).unwrap_or(i64::MAX)
}

/// With what each add-on allows more. Of what is unlimited nothing is beyond.
pub(super) fn limit_of(order: &Order, meter: &MeterId) -> u64 {
    let more = order.addons.iter().filter_map(|it| Some(it.addon.limits.get(meter)? * u64::from(it.quantity)));
    match order.plan.limits.get(meter) {
        Some(Limit::AtMost(limit)) => limit + more.sum::<u64>(),
        Some(Limit::Unlimited) => u64::MAX,
        None => 0,
    }
}

/// What is still to be paid of what was used, if up to `billed` is on an invoice.
pub(super) fn due(order: &Order, meter: &MeterId, used: u64, billed: u64) -> i64 {
    let Some(price) = price(order, meter) else { return 0 };
    let beyond = |used: u64| cost(price, used.saturating_sub(limit_of(order, meter)));
    (beyond(used.max(billed)) - beyond(billed)).max(0)
}
