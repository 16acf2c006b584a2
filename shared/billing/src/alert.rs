//! Alerts: what a customer is told of as a limit comes near, and when it is reached.
//!
//! An alert is raised in the transaction with which a meter comes to its line, once a period, and is open while so much
//! is in use: a plan that allows more ends it, a counter's next period, or a level that falls. Meanwhile it may be acknowledged.

use crate::catalog::Limit;
use crate::id::{MeterId, PeriodId};
use crate::order::Order;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Per cent of a limit at which alerts are raised, where a plan says nothing else: PRODUCT 26.
pub const DEFAULT_LINES: [u16; 2] = [80, 100];

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    /// Of the limit.
    pub percent: u16,
    /// As it was when the alert was raised.
    pub limit: u64,
    pub period: PeriodId,
    pub raised_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acknowledged_at: Option<Timestamp>,
}

impl Alert {
    /// Whether it is a warning only: something is left.
    pub fn is_warning(&self) -> bool {
        self.percent < 100
    }
}

/// The least of which `percent` of `limit` is in use. Of nothing, that is the first unit. None: nobody gets there.
fn level(percent: u16, limit: u64) -> Option<u64> {
    let level = (u128::from(limit) * u128::from(percent)).div_ceil(100);
    u64::try_from(level).ok().map(|level| level.max(1))
}

/// The lines of `meter` by what `order` allows of it, each with the least that reaches it.
fn lines(order: &Order, meter: &MeterId) -> Vec<(u16, u64, u64)> {
    let Some(Limit::AtMost(limit)) = order.limits().get(meter).copied() else { return vec![] };
    let mut percents = order.plan.alerts.get(meter).cloned().unwrap_or(DEFAULT_LINES.to_vec());
    // Where more begins to cost, the customer is told, whatever else they are.
    if order.overage_price(meter).is_some() && !percents.contains(&100) {
        percents.push(100);
        percents.sort_unstable();
    }
    percents.iter().filter_map(|percent| Some((*percent, limit, level(*percent, limit)?))).collect()
}

/// The alerts of a meter of which `used` is in use now, given those that were raised before. A line is told again in
/// another period, and where the limit is another.
pub(crate) fn raised(
    known: &[Alert],
    order: &Order,
    meter: &MeterId,
    used: u64,
    period: &PeriodId,
    now: Timestamp,
) -> Vec<Alert> {
    let reached = lines(order, meter).into_iter().filter(|(_, _, level)| *level <= used);
    let alert = |(percent, limit, _): (u16, u64, u64)| {
        let same = |it: &&Alert| (it.percent, it.limit, &it.period) == (percent, limit, period);
        let new = || Alert { percent, limit, period: period.clone(), raised_at: now, acknowledged_at: None };
        known.iter().find(same).cloned().unwrap_or_else(new)
    };
    let mut alerts: Vec<Alert> = reached.map(alert).collect();
    // What falls below its line is not told of again in the same period.
    let below = |it: &&Alert| it.period == *period && !alerts.iter().any(|other| other.percent == it.percent);
    let kept: Vec<Alert> = known.iter().filter(below).cloned().collect();
    alerts.extend(kept);
    alerts
}

/// The most of `meter` that can be in use without one more alert than at `used`. None: there is no line above.
pub(crate) fn below_next_line(order: &Order, meter: &MeterId, used: u64) -> Option<u64> {
    let levels = lines(order, meter).into_iter().map(|(_, _, level)| level);
    levels.filter(|level| *level > used).min().map(|level| level - 1)
}

/// Those of a meter that are open: at what `order` allows now, so much is in use still.
pub fn open<'a>(alerts: &'a [Alert], order: &Order, meter: &MeterId, used: u64) -> impl Iterator<Item = &'a Alert> {
    let reached: Vec<u16> =
        lines(order, meter).into_iter().filter(|(_, _, level)| *level <= used).map(|(percent, ..)| percent).collect();
    alerts.iter().filter(move |it| reached.contains(&it.percent))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::SubscriptionId;
    use crate::testing::{customer, instant, meter, order};

    fn period(index: u32) -> PeriodId {
        PeriodId { subscription: SubscriptionId::nth(&customer(), 1), index }
    }

    /// Of 3,000 minutes, in that period.
    fn raised_by(known: &[Alert], used: u64, index: u32) -> Vec<Alert> {
        let now = instant("2025-03-01T10:00:00Z");
        raised(known, &order("minutes-pro"), &meter("minutes"), used, &period(index), now)
    }

    fn percents(alerts: &[Alert]) -> Vec<u16> {
        alerts.iter().map(|it| it.percent).collect()
    }

    #[test]
    fn a_line_is_reached_by_what_it_says_and_not_by_less() {
        let cases: [(u64, &[u16]); 7] = [
            (0, &[]),
            (2_399, &[]),
            (2_400, &[80]),
            (2_999, &[80]),
            (3_000, &[80, 100]),
            (9_000, &[80, 100]),
            (1, &[]),
        ];
        for (used, expected) in cases {
            assert_eq!(percents(&raised_by(&[], used, 0)), expected, "{used}");
        }
        // A part of a unit is not used: the next whole one reaches the line.
        let levels = [
            (80, 5, Some(4)),
            (80, 4, Some(4)),
            (80, 1, Some(1)),
            (1, 3, Some(1)),
            (100, 0, Some(1)),
            (1_000, 7, Some(70)),
        ];
        for (percent, limit, expected) in levels {
            assert_eq!(level(percent, limit), expected, "{percent} per cent of {limit}");
        }
        assert_eq!(level(1_000, u64::MAX), None, "nobody gets there");
    }

    #[test]
    fn while_something_is_left_it_is_a_warning() {
        let mut order = order("minutes-pro");
        order.plan.alerts = [(meter("minutes"), vec![80, 99, 100, 150])].into();
        let all = raised(&[], &order, &meter("minutes"), 9_000, &period(0), instant("2025-03-01T10:00:00Z"));
        let warns: Vec<(u16, bool)> = all.iter().map(|it| (it.percent, it.is_warning())).collect();
        assert_eq!(warns, [(80, true), (99, true), (100, false), (150, false)]);
    }

    #[test]
    fn an_alert_is_raised_once_a_period_and_as_it_was_told_first() {
        let mut first = raised_by(&[], 2_400, 0);
        first[0].acknowledged_at = Some(instant("2025-03-02T10:00:00Z"));
        assert_eq!(raised_by(&first, 2_500, 0), first);
        assert_eq!(percents(&raised_by(&first, 3_000, 0)), [80, 100]);
        // A level that falls and rises again in the same period says nothing new; in the next one it does.
        let fallen = raised_by(&first, 10, 0);
        assert_eq!((raised_by(&fallen, 2_400, 0), raised_by(&first, 10, 1)), (first.clone(), vec![]));
        assert_eq!(raised_by(&first, 2_400, 1)[0].acknowledged_at, None);
    }

    #[test]
    fn another_limit_has_lines_of_its_own_and_ends_the_alerts_that_it_is_far_from() {
        let (pro, enterprise) = (order("minutes-pro"), order("minutes-enterprise"));
        let (minutes, now) = (meter("minutes"), instant("2025-03-01T10:00:00Z"));
        let before = raised(&[], &pro, &minutes, 2_500, &period(0), now);
        let shown = |alerts: &[Alert], order: &Order, used| open(alerts, order, &minutes, used).count();
        assert_eq!(
            [shown(&before, &pro, 2_500), shown(&before, &enterprise, 2_500), shown(&before, &pro, 0)],
            [1, 0, 0]
        );
        let after = raised(&before, &enterprise, &minutes, 8_000, &period(0), now);
        assert_eq!(after.iter().map(|it| (it.percent, it.limit)).collect::<Vec<_>>(), [(80, 10_000)]);
        let down = raised(&after, &pro, &minutes, 8_000, &period(0), now);
        assert_eq!(down.iter().map(|it| (it.percent, it.limit)).collect::<Vec<_>>(), [(80, 3_000), (100, 3_000)]);
    }

    #[test]
    fn a_plan_says_where_its_lines_are() {
        let mut order = order("minutes-pro");
        order.plan.alerts = [(meter("minutes"), vec![50, 150]), (meter("agents"), vec![])].into();
        let now = instant("2025-03-01T10:00:00Z");
        let percents = |name, used| percents(&raised(&[], &order, &meter(name), used, &period(0), now));
        assert_eq!([percents("minutes", 1_500), percents("minutes", 4_500)], [vec![50], vec![50, 150]]);
        assert_eq!(percents("agents", 5), Vec::<u16>::new());
        let next = |used| below_next_line(&order, &meter("minutes"), used);
        assert_eq!(
            [next(0), next(1_499), next(1_500), next(4_499), next(4_500)],
            [Some(1_499), Some(1_499), Some(4_499), Some(4_499), None]
        );
    }

    #[test]
    fn what_is_unlimited_has_no_lines() {
        let enterprise = order("estates-enterprise");
        let now = instant("2025-03-01T10:00:00Z");
        assert_eq!(raised(&[], &enterprise, &meter("estates"), u64::MAX, &period(0), now), []);
    }

    #[test]
    fn where_more_is_sold_the_customer_is_told_when_that_begins_whatever_the_plans_lines() {
        let price = r#"{"per": 1, "tiers": [{"up_to": null, "amount": {"minor": 5, "currency": "USD"}}]}"#;
        let price = serde_json::from_str(price).unwrap_or_else(|error| panic!("{error}"));
        let (minutes, now) = (meter("minutes"), instant("2025-03-01T10:00:00Z"));
        let mut sold = order("minutes-pro");
        sold.plan.overage = [(minutes.clone(), vec![price])].into();
        for (lines, expected) in [(vec![], vec![100]), (vec![50, 200], vec![50, 100])] {
            sold.plan.alerts = [(minutes.clone(), lines)].into();
            assert_eq!(percents(&raised(&[], &sold, &minutes, 3_000, &period(0), now)), expected);
        }
        sold.plan.limits.insert(minutes.clone(), Limit::AtMost(0));
        let first = |used| raised(&[], &sold, &minutes, used, &period(0), now).is_empty();
        assert_eq!([first(0), first(1)], [true, false], "of nothing, the first unit is beyond");
    }
}
