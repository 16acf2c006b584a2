//! That what a customer uses of a meter is charged for from now on. It is recorded in the transaction that counts the first
//! unit beyond the limit, so once a period.

use crate::catalog::{Limit, Meter, OveragePrice, Unit};
use crate::id::{MeterId, PeriodId, SubscriptionId};
use crate::subscription::{Order, Subscription};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OverageNotice {
    pub subscription: SubscriptionId,
    /// As customers know it.
    pub plan: String,
    pub period: PeriodId,
    /// Then all of them begin at zero again.
    pub period_ends_at: Timestamp,
    /// Whose limits were passed at once.
    pub meters: Vec<Passed>,
}

/// A meter, and what more of it costs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Passed {
    pub meter: MeterId,
    /// As customers know it.
    pub name: String,
    pub unit: Unit,
    /// In a period.
    pub included: u64,
    pub price: OveragePrice,
}

impl Passed {
    /// If `value` of `meter` is more than `order` includes, and `before` was not: to whom no more is sold, none is counted.
    pub(crate) fn by(order: &Order, meter: &Meter, before: u64, value: u64) -> Option<Self> {
        let Some(Limit::AtMost(included)) = order.limits().get(&meter.id).copied() else { return None };
        let price = order.overage_price(&meter.id).filter(|_| before <= included && value > included)?.clone();
        let (name, unit) = (meter.name.clone(), meter.unit.clone());
        Some(Self { meter: meter.id.clone(), name, unit, included, price })
    }

    /// For what is used in `period`.
    fn holds(&self, subscription: &Subscription, period: &PeriodId) -> bool {
        let order = subscription.terms(&self.meter, period);
        let included = order.limits().get(&self.meter) == Some(&Limit::AtMost(self.included));
        included && order.overage_price(&self.meter) == Some(&self.price)
    }
}

impl OverageNotice {
    /// Of the `meters` whose limits were passed in `period`. None: of none.
    pub(crate) fn of(
        subscription: &Subscription,
        period: &PeriodId,
        meters: Vec<Passed>,
        now: Timestamp,
    ) -> Option<Self> {
        let period_ends_at = end_of(period, subscription, now)?;
        let plan = subscription.order.plan.display_name.clone();
        let notice =
            Self { subscription: subscription.id.clone(), plan, period: period.clone(), period_ends_at, meters };
        (!notice.meters.is_empty()).then_some(notice)
    }

    /// Whether some of it holds still: the period goes on, and so does what they have.
    pub(super) fn is_wanted(&self, subscription: &Subscription, now: Timestamp) -> bool {
        let counts = self.subscription == subscription.id && subscription.counting(now).index <= self.period.index;
        // Of what rests, or has ended, no other period has begun.
        let is_last = subscription.term().is_some_and(|term| term.index >= self.period.index);
        counts
            && !(is_last && subscription.is_over(now))
            && subscription.is_live()
            && self.meters.iter().any(|it| it.holds(subscription, &self.period))
    }

    /// What of it holds still, and until when.
    pub(super) fn at(self, subscription: &Subscription, now: Timestamp) -> Self {
        let meters = self.meters.into_iter().filter(|it| it.holds(subscription, &self.period)).collect();
        let period_ends_at = end_of(&self.period, subscription, now).unwrap_or(self.period_ends_at);
        Self { meters, period_ends_at, ..self }
    }
}

/// Of the period that is counted in, or of the one after it where somebody's clock is ahead of ours.
fn end_of(period: &PeriodId, subscription: &Subscription, now: Timestamp) -> Option<Timestamp> {
    let within = if *period == subscription.counting(now) { now } else { subscription.period()?.end };
    Some(subscription.next_period(within)?.timestamp())
}
