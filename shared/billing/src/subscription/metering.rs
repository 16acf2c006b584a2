//! What is used beyond a limit, and charged with the next invoice.
//!
//! A period's usage is held against what the plan allows when it is over, and
//! is on the invoice of the period that follows: once, whatever that costs. It
//! is sold only to whom an invoice will follow: a trial, or what is to end,
//! has its limits.

use super::{Event, Status, Subscription};
use crate::catalog::Limit;
use crate::id::{MeterId, PeriodId};
use crate::money::Money;
use crate::usage::MeterUsage;
use serde::{Deserialize, Serialize};

/// What was used beyond the limit of one meter in one period.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageLine {
    pub meter: MeterId,
    /// Of the subscription, counted from 0.
    pub period: u32,
    pub used: u64,
    /// What the plan allowed.
    pub included: u64,
    pub amount: Money,
}

impl Subscription {
    /// The most that can be used of `meter` in a period. `u64::MAX`: there is no limit.
    pub(crate) fn most(&self, meter: &MeterId) -> u64 {
        match self.order.limits().get(meter) {
            // Of what a plan says nothing, it allows nothing.
            None => 0,
            Some(Limit::Unlimited) => u64::MAX,
            Some(Limit::AtMost(limit)) => {
                let price = self.order.overage_price(meter).filter(|_| self.sells_beyond());
                price.map_or(*limit, |price| price.most(*limit))
            }
        }
    }

    /// Whether what is used beyond a limit will be paid for: who owes, leaves, or tries it has no more than the plan allows.
    fn sells_beyond(&self) -> bool {
        let goes_on = matches!(self.status, Status::Active { cancel_at_period_end: false, .. });
        goes_on && !self.pausing && !self.is_trialing() && !self.is_driven() && self.disputed.is_empty()
    }

    /// What is on the next invoice besides its price, in minor units.
    pub(super) fn usage_due(&self) -> i64 {
        self.usage.iter().fold(0_i64, |sum, line| sum.saturating_add(line.amount.minor))
    }

    /// The meters whose usage is to be billed before the period that is owed is charged for. None: it is, or there are none.
    pub(crate) fn meters_to_bill(&self) -> Option<Vec<MeterId>> {
        let over = self.term()?.index;
        let billed = self.usage_billed.is_some_and(|billed| billed >= over);
        let meters: Vec<MeterId> = self.order.plan.overage.keys().cloned().collect();
        let begun = self.attempts > 0 || self.open.is_some();
        (!billed && !begun && !self.is_driven() && !meters.is_empty()).then_some(meters)
    }

    /// What a meter has counted and may be on no invoice yet, once it counts in `period`.
    pub(crate) fn unbilled(&self, usage: &MeterUsage, period: &PeriodId) -> Vec<(PeriodId, u64)> {
        let is_over = |counted: &PeriodId| counted.index < period.index && self.is_unbilled(counted);
        let over = usage.periods().filter(|(counted, _)| is_over(counted) && !self.order.plan.overage.is_empty());
        over.map(|(counted, value)| (counted.clone(), value)).collect()
    }

    fn is_unbilled(&self, period: &PeriodId) -> bool {
        period.subscription == self.id && self.usage_billed.is_none_or(|billed| period.index > billed)
    }

    /// What was counted in the periods that are over, and is on no invoice yet.
    pub(crate) fn bill(&self, counted: &[MeterUsage]) -> Option<Event> {
        let over = self.term()?.index;
        let unbilled = |period: &PeriodId| period.index <= over && self.is_unbilled(period);
        let tried = |period: u32| self.trial.is_some() && period == 0;
        let line = |(meter, period, used): (&MeterId, u32, u64)| {
            let overage = self.order.overage(meter, used).filter(|it| it.amount.minor > 0 && !tried(period))?;
            let included = used - overage.units;
            Some(UsageLine { meter: meter.clone(), period, used, included, amount: overage.amount })
        };
        let periods = counted.iter().flat_map(|it| it.periods().map(move |(period, used)| (&it.meter, period, used)));
        let periods = periods.filter(|(_, period, _)| unbilled(period));
        let lines = periods.filter_map(|(meter, period, used)| line((meter, period.index, used))).collect();
        Some(Event::UsageBilled { period: over, lines })
    }

    /// The same meter, which counts in the period after the one that is over: whoever comes late with a use of that finds
    /// it closed, and counts in this. None: it does already.
    pub(crate) fn closed(&self, usage: MeterUsage) -> Option<MeterUsage> {
        let next = PeriodId { subscription: self.id.clone(), index: self.term()?.index.saturating_add(1) };
        let counts = |period: &PeriodId| period.subscription == self.id && period.index >= next.index;
        if usage.period.as_ref().is_some_and(counts) {
            return None;
        }
        Some(MeterUsage { value: 0, period: Some(next), before: vec![], alerts: vec![], ..usage })
    }
}
