//! What is used beyond a limit, and charged with the next invoice.
//!
//! A period's usage is held against what the plan allows when it is over, and
//! before that when the plan is changed or ended within it: what was used
//! beyond the old limit is paid for by the old price. Either way it becomes
//! lines on the invoice of the period that follows, once, whatever that costs.
//! It is sold only to whom an invoice will follow: a trial, or what is to end,
//! has its limits.

use super::{Becomes, Event, Order, Status, Subscription};
use crate::catalog::Limit;
use crate::id::{MeterId, PeriodId};
use crate::money::{Currency, Money};
use crate::ratio::Ratio;
use crate::usage::MeterUsage;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// What was used beyond the limit of one meter in one period.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageLine {
    pub meter: MeterId,
    pub period: PeriodId,
    pub used: u64,
    /// What the plan allowed, or what an earlier line has.
    pub included: u64,
    pub amount: Money,
}

/// Of what a plan says nothing, it allows nothing.
fn limit_of(order: &Order, meter: &MeterId) -> Limit {
    order.limits().get(meter).copied().unwrap_or(Limit::AtMost(0))
}

impl Subscription {
    /// By what `meter` is held in `period`: the one that is paid for, or the one after it. That one begins before it is paid
    /// for, and until then it is held by whichever allows less: by what is to come, which it will be billed by, or what is had.
    pub(crate) fn terms(&self, meter: &MeterId, period: &PeriodId) -> Cow<'_, Order> {
        let less = self.to_come(period).filter(|next| limit_of(next, meter) <= limit_of(&self.order, meter));
        less.map_or(Cow::Borrowed(&self.order), Cow::Owned)
    }

    /// The most that can be used of `meter` in `period`: in one that is not paid for, no more than is had, and no more than is
    /// to come. `u64::MAX`: there is no limit.
    pub(crate) fn most(&self, meter: &MeterId, period: &PeriodId) -> u64 {
        let had = self.most_by(&self.order, meter);
        self.to_come(period).map_or(had, |next| self.most_by(&next, meter).min(had))
    }

    /// What is agreed for `period`, if that is not the one that is paid for.
    fn to_come(&self, period: &PeriodId) -> Option<Order> {
        let is_to_come = self.term().is_some_and(|term| period.subscription == self.id && period.index > term.index);
        is_to_come.then(|| self.next_order())
    }

    fn most_by(&self, order: &Order, meter: &MeterId) -> u64 {
        match limit_of(order, meter) {
            Limit::Unlimited => u64::MAX,
            Limit::AtMost(limit) => {
                let price = order.overage_price(meter).filter(|_| self.sells_beyond());
                price.map_or(limit, |price| price.most(limit))
            }
        }
    }

    /// Whether what is used beyond a limit will be paid for: who owes, leaves, tries it or has it as a gift has no more than
    /// the plan allows.
    fn sells_beyond(&self) -> bool {
        let owes = !matches!(self.status, Status::Active { .. });
        let pays = || self.next_order().amount().is_ok_and(|amount| amount.minor > 0);
        self.is_followed() && !owes && !self.is_trialing() && pays()
    }

    /// What is on the next invoice in `currency` besides its price, in minor units.
    pub(super) fn usage_due(&self, currency: Currency) -> i64 {
        let lines = self.usage_charges.iter().filter(|line| line.amount.currency == currency);
        lines.fold(0_i64, |sum, line| sum.saturating_add(line.amount.minor))
    }

    /// The same, paid. What is owed in another currency is owed still, and what was told since then is on the next one.
    pub(super) fn settle_usage(&mut self, currency: Currency) -> i64 {
        let due = self.usage_due(currency);
        self.usage_charges.retain(|line| line.amount.currency != currency);
        self.usage_charges.append(&mut self.late_charges);
        due
    }

    /// What part of what it allows in the period at hand is not used yet, of the counter of which the least is left. What
    /// has no limit is never used up, and what is a level is not used up at all.
    pub(super) fn unused(&self, counted: &[MeterUsage]) -> Ratio {
        let (period, limits) = (self.period_id(), self.order.limits());
        let share = |it: &MeterUsage| {
            let Limit::AtMost(most @ 1..) = *limits.get(&it.meter)? else { return None };
            let (_, used) = it.periods().find(|(counted, _)| Some(*counted) == period.as_ref())?;
            Ratio::new(most.saturating_sub(used).into(), most.into())
        };
        counted.iter().filter_map(share).min().unwrap_or(Ratio::ONE)
    }

    /// The period that is paid for, over or not.
    fn period_id(&self) -> Option<PeriodId> {
        Some(PeriodId { subscription: self.id.clone(), index: self.term()?.index })
    }

    /// Whether what was used in `period` may be on no invoice yet. In the periods before it, it is, or was not sold.
    pub(crate) fn is_unbilled(&self, period: &PeriodId) -> bool {
        self.period_id().as_ref() == Some(period) && self.usage_billed != Some(period.index)
    }

    /// The meters whose usage is to be billed before the period that is owed is charged for, or the subscription ends.
    /// None: it is, or there are none.
    pub(crate) fn meters_to_bill(&self) -> Option<Vec<MeterId>> {
        let unbilled = self.is_unbilled(&self.period_id()?) && !self.is_tried() && !self.is_driven();
        let meters: Vec<MeterId> = self.order.plan.overage.keys().cloned().collect();
        (unbilled && !self.is_being_collected() && !meters.is_empty()).then_some(meters)
    }

    /// Whether the next invoice is made: what is owed from then on is on the one after it. What is being paid for a change is none.
    pub(super) fn is_being_collected(&self) -> bool {
        self.attempts > 0 || (self.open.is_some() && self.changing.is_none())
    }

    /// Whether the period at hand is over by `events`: nobody counts in it any more, or comes back to bill it.
    pub(crate) fn is_left_by(&self, events: &[Event]) -> bool {
        let running = self.term().map(|term| term.index);
        let another = |becomes: &Becomes| Some(becomes.term.index) != running;
        events.iter().any(|event| {
            matches!(event, Event::Canceled { .. })
                || matches!(event, Event::Changed { becomes, .. } if another(becomes))
        })
    }

    /// What was counted in the period that is over, and is on no invoice yet.
    pub(crate) fn bill(&self, counted: &[MeterUsage]) -> Option<Event> {
        let over = self.period_id()?;
        Some(Event::UsageBilled { closed: Some(over.index), lines: self.lines(counted, &over) })
    }

    /// What was used so far in the period at hand beyond what is allowed, and is in no line yet: before something else is
    /// allowed, or nothing.
    pub(crate) fn bill_so_far(&self, counted: &[MeterUsage], now: Timestamp) -> Option<Event> {
        self.meters_to_bill().filter(|_| !self.is_over(now))?;
        let lines = self.lines(counted, &self.period_id()?);
        (!lines.is_empty()).then_some(Event::UsageBilled { closed: None, lines })
    }

    /// For what was counted in `period`: by a clock that is ahead of ours, the next one may have begun.
    fn lines(&self, counted: &[MeterUsage], period: &PeriodId) -> Vec<UsageLine> {
        let used = |it: &MeterUsage| it.periods().find(|(counted, _)| *counted == period).map(|(_, used)| used);
        counted.iter().filter_map(|it| self.line(&it.meter, period, used(it)?)).collect()
    }

    fn line(&self, meter: &MeterId, period: &PeriodId, used: u64) -> Option<UsageLine> {
        let Some(Limit::AtMost(limit)) = self.order.limits().get(meter).copied() else { return None };
        let told = self.usage_charges.iter().filter(|line| line.meter == *meter && line.period == *period);
        let billed = told.map(|line| line.used).max().unwrap_or(0);
        let overage = self.order.overage_price(meter)?.overage(used, limit, billed);
        let (overage, included) = (overage.filter(|it| it.amount.minor > 0)?, limit.max(billed));
        Some(UsageLine { meter: meter.clone(), period: period.clone(), used, included, amount: overage.amount })
    }

    /// The same meter, which counts in the period after the one that is over: whoever has counted meanwhile finds it so.
    /// None: it does already.
    pub(crate) fn closed(&self, usage: &MeterUsage, now: Timestamp) -> Option<MeterUsage> {
        let next = PeriodId { subscription: self.id.clone(), index: self.term()?.index.saturating_add(1) };
        if usage.counted_in(&next).is_some() {
            // By whose clock it was over, and what was to be had then, is known better now.
            let (before, sold) = self.leaves(usage, self.term()?, &next, now)?;
            let turned = MeterUsage { before: Some(before), sold: Some(sold), ..usage.clone() };
            return (turned != *usage && usage.sold.is_some()).then_some(turned);
        }
        Some(MeterUsage { alerts: vec![], ..self.turned(usage, &next, now) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::Alert;
    use crate::testing::{active, customer, instant, meter};

    fn period(of: &Subscription, index: u32) -> PeriodId {
        PeriodId { subscription: of.id.clone(), index }
    }

    fn counted(period: Option<PeriodId>) -> MeterUsage {
        let none = MeterUsage::none(customer(), meter("minutes"), instant("2025-02-01T10:00:00Z"));
        let alert = |period: &PeriodId| Alert {
            percent: 80,
            limit: 3_000,
            period: period.clone(),
            raised_at: none.at,
            acknowledged_at: None,
        };
        let alerts = period.iter().map(alert).collect();
        let before = period.as_ref().map(|it| (it.clone(), 7));
        MeterUsage { value: 2_500, before, alerts, period, version: 3, ..none }
    }

    #[test]
    fn a_counter_that_is_closed_begins_the_next_period_with_nothing() {
        let it = active();
        let earlier = PeriodId { subscription: crate::id::SubscriptionId::nth(&customer(), 9), index: 4 };
        for counts_in in [None, Some(period(&it, 0)), Some(earlier)] {
            let usage = counted(counts_in);
            let expected =
                MeterUsage { value: 0, period: Some(period(&it, 1)), before: None, alerts: vec![], ..usage.clone() };
            assert_eq!(it.closed(&usage, usage.at), Some(expected), "{:?}", usage.period);
        }
        for counts_in in [period(&it, 1), period(&it, 2)] {
            let usage = counted(Some(counts_in.clone()));
            assert_eq!(it.closed(&usage, usage.at), None, "{counts_in}");
        }
    }

    #[test]
    fn what_is_unused_is_told_by_the_counter_of_which_the_least_is_left() {
        let mut it = active();
        let limits = [("minutes", Limit::AtMost(1_000)), ("exports", Limit::AtMost(10))];
        let none = [("calls", Limit::Unlimited), ("faxes", Limit::AtMost(0))];
        it.order.plan.limits = limits.into_iter().chain(none).map(|(name, limit)| (meter(name), limit)).collect();
        let of = |name, period, value| MeterUsage { meter: meter(name), value, before: None, ..counted(period) };
        let now = |name, value| of(name, Some(period(&it, 0)), value);
        let ahead = MeterUsage { before: Some((period(&it, 0), 400)), ..of("minutes", Some(period(&it, 1)), 900) };
        let earlier = PeriodId { subscription: crate::id::SubscriptionId::nth(&customer(), 9), index: 0 };
        let cases = [
            (vec![], (1, 1)),
            (vec![now("minutes", 250)], (3, 4)),
            (vec![now("minutes", 250), now("exports", 9)], (1, 10)),
            (vec![now("exports", 9), now("minutes", 1_000)], (0, 1)),
            (vec![now("minutes", 1_001)], (0, 1)),
            (vec![ahead], (3, 5)),
            // Nothing of these is used up: no limit, nothing to be used, a level, another period, another plan's meter.
            (vec![now("calls", u64::MAX), now("faxes", 3)], (1, 1)),
            (vec![of("minutes", None, 1_000)], (1, 1)),
            (vec![of("minutes", Some(period(&it, 1)), 900), of("exports", Some(earlier), 10)], (1, 1)),
            (vec![now("letters", 900)], (1, 1)),
        ];
        for (counted, (left, of)) in cases {
            assert_eq!(Some(it.unused(&counted)), Ratio::new(left, of), "{counted:?}");
        }
    }

    #[test]
    fn until_a_period_is_paid_for_there_is_no_more_of_it_than_is_had_and_than_is_to_come() {
        let selling = |(limit, minor): (u64, Option<i64>)| {
            let mut order = active().order;
            order.plan.limits.insert(meter("minutes"), Limit::AtMost(limit));
            let price = |minor| {
                let tiers = serde_json::json!([{"up_to": 500, "amount": {"minor": minor, "currency": "NGN"}}]);
                serde_json::from_value(serde_json::json!({"per": 1, "tiers": tiers}))
                    .unwrap_or_else(|it| panic!("{it}"))
            };
            order.plan.overage = minor.map(|minor| (meter("minutes"), vec![price(minor)])).into_iter().collect();
            order
        };
        // What is had and what is to come, each a limit and the price of the 500 beyond it; then the most, and which price is told.
        let cases = [
            ((3_000, None), (1_000, None), 1_000, None),
            ((1_000, None), (3_000, None), 1_000, None),
            ((100, Some(5)), (100, Some(8)), 600, Some(8)),
            ((1_000, Some(5)), (1_000, None), 1_000, None),
            ((3_000, None), (1_000, Some(5)), 1_500, Some(5)),
            ((1_200, None), (1_000, Some(5)), 1_200, Some(5)),
        ];
        for (had, next, most, told) in cases {
            let it = Subscription { order: selling(had), scheduled: Some(Box::new(selling(next))), ..active() };
            let own = Subscription { order: selling(had), ..active() };
            let minutes = meter("minutes");
            assert_eq!(it.most(&minutes, &period(&it, 0)), own.most(&minutes, &period(&it, 0)), "{had:?}");
            assert_eq!(it.most(&minutes, &period(&it, 1)), most, "{had:?} {next:?}");
            let terms = it.terms(&minutes, &period(&it, 1));
            let price = terms.overage_price(&minutes).map(|price| price.tiers[0].amount.minor);
            assert_eq!(price, told, "{had:?} {next:?}");
        }
    }

    #[test]
    fn what_costs_nothing_is_on_no_invoice() {
        let price = |minor: i64| {
            let tiers = serde_json::json!([{"up_to": null, "amount": {"minor": minor, "currency": "NGN"}}]);
            serde_json::from_value(serde_json::json!({"per": 1, "tiers": tiers})).unwrap_or_else(|it| panic!("{it}"))
        };
        let line = |minor, used| {
            let mut it = active();
            it.order.plan.limits.insert(meter("minutes"), Limit::AtMost(1_000));
            it.order.plan.overage = [(meter("minutes"), vec![price(minor)])].into();
            it.line(&meter("minutes"), &period(&it, 0), used).map(|line| (line.used, line.included, line.amount.minor))
        };
        assert_eq!([line(0, 1_001), line(5, 1_000), line(5, 1_001)], [None, None, Some((1_001, 1_000, 5))]);
    }
}
