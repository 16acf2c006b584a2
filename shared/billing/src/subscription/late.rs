//! What is told late of a period that is over. It is counted in that period still, for as long as that is the last one and
//! more of its meter was sold in it; and what it adds to an invoice that is made already is on the next one.

use super::metering::UsageLine;
use super::{Event, Subscription, Term};
use crate::calendar::Period;
use crate::catalog::{Limit, OveragePrice};
use crate::entitlement::{Standing, per_mille};
use crate::id::{MeterId, PeriodId};
use crate::usage::MeterUsage;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// On what terms what was used in a period that is over is charged for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sold {
    /// When the period was.
    pub time: Period,
    pub included: u64,
    /// The most that could be used: no more than is included, where no more was sold then.
    pub most: u64,
    pub price: OveragePrice,
}

/// What one meter had counted in a period that is over, and has now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CountedLate {
    pub meter: MeterId,
    pub period: PeriodId,
    pub from: u64,
    pub to: u64,
}

impl Sold {
    pub(crate) fn covers(&self, at: Timestamp) -> bool {
        self.time.start <= at && at < self.time.end
    }

    pub(crate) fn standing(&self, meter: &MeterId, used: u64) -> Standing {
        Standing {
            meter: meter.clone(),
            used,
            reserved: 0,
            limit: Limit::AtMost(self.included),
            remaining: Some(self.included.saturating_sub(used)),
            per_mille: Some(per_mille(used, self.included)),
            overage: self.price.overage(used, self.included, 0),
        }
    }

    /// What is charged for what is beyond the limit of `counted`, if what was before is on an invoice.
    fn line(&self, counted: &CountedLate) -> Option<UsageLine> {
        let overage = self.price.overage(counted.to, self.included, counted.from)?;
        let CountedLate { meter, period, from, to } = counted.clone();
        let included = self.included.max(from);
        (overage.amount.minor > 0).then_some(UsageLine { meter, period, used: to, included, amount: overage.amount })
    }
}

impl Subscription {
    /// `usage` as it counts in `period`: from nothing, if it has counted in none that is as late.
    pub(crate) fn turned(&self, usage: &MeterUsage, period: &PeriodId, now: Timestamp) -> MeterUsage {
        if usage.counted_in(period).is_some() {
            return usage.clone();
        }
        let last = self.term().and_then(|term| self.leaves(usage, term, period, now));
        let (before, sold) = last.map_or((None, None), |(before, sold)| (Some(before), Some(sold)));
        MeterUsage { value: 0, period: Some(period.clone()), before, sold, ..usage.clone() }
    }

    /// What is left to be told, or billed, of the period of `term` when `period` is counted in. None: more was not sold.
    pub(super) fn leaves(
        &self,
        usage: &MeterUsage,
        term: Term,
        period: &PeriodId,
        now: Timestamp,
    ) -> Option<((PeriodId, u64), Sold)> {
        let over = PeriodId { subscription: self.id.clone(), index: term.index };
        let follows = period.subscription == over.subscription && period.index.checked_sub(1) == Some(over.index);
        let sells = follows && !self.is_tried() && !self.is_driven();
        let price = self.order.overage_price(&usage.meter).filter(|_| sells)?.clone();
        let Some(Limit::AtMost(included)) = self.order.limits().get(&usage.meter).copied() else { return None };
        let used = usage.periods().find(|(counted, _)| **counted == over).map_or(0, |(_, used)| used);
        let start = self.beginning(&over)?;
        let time = Period { start, end: self.period_of(term).end.min(now).max(start) };
        let most = self.most(&usage.meter, &over);
        Some(((over, used), Sold { time, included, most, price }))
    }

    /// That something was told late, and the lines that adds to the next invoice. None: it changes nothing. Of a period that is
    /// on no invoice yet, it is told with the subscription whatever it costs, so that whoever bills that period knows.
    pub(crate) fn told_late(&self, counted: Vec<(CountedLate, Sold)>) -> Option<Event> {
        let billed = counted.iter().filter(|(it, _)| !self.is_unbilled(&it.period));
        let lines: Vec<UsageLine> = billed.filter_map(|(it, sold)| sold.line(it)).collect();
        let tells = !lines.is_empty() || counted.iter().any(|(it, _)| self.is_unbilled(&it.period));
        let counted = counted.into_iter().map(|(it, _)| it).collect();
        tells.then_some(Event::CountedLate { counted, lines })
    }

    /// Those go on the next invoice, and on the one after it while that is being collected. However often something is told of
    /// a period, it is one line of it.
    pub(super) fn owes_for_late(&mut self, lines: &[UsageLine]) {
        let charges = if self.is_being_collected() { &mut self.late_charges } else { &mut self.usage_charges };
        for line in lines {
            let same = |it: &&mut UsageLine| {
                (&it.meter, &it.period, it.used) == (&line.meter, &line.period, line.included)
                    && it.amount.currency == line.amount.currency
            };
            match charges.iter_mut().find(same).map(|it| (it.amount.plus(line.amount), it)) {
                Some((Some(amount), it)) => (it.used, it.amount) = (line.used, amount),
                _ => charges.push(line.clone()),
            }
        }
    }

    /// What is owed for what was used, whichever invoice that is on.
    pub fn unpaid_usage(&self) -> Vec<UsageLine> {
        [&*self.usage_charges, &*self.late_charges].concat()
    }
}
