//! A customer reads what they were alerted of, and acknowledges it.

use super::usage::Metered;
use super::{Billing, MOST_RACES, UsageError};
use crate::alert::{Alert, open};
use crate::catalog::Overage;
use crate::entitlement::unserved;
use crate::id::{CustomerId, MeterId};
use crate::ports::{Clock, Gateways, Store, StoreError};
use crate::statistics::Unusual;
use crate::subscription::Subscription;
use crate::usage::MeterUsage;
use jiff::Timestamp;

/// What a customer is told of their use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Alerts {
    /// By meter; of one, the lowest first.
    pub open: Vec<OpenAlert>,
    /// What today is far above their habit. It is seen as it is read, and not kept.
    pub unusual: Vec<Unusual>,
}

/// An alert of a meter that is at its line still.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenAlert {
    pub meter: MeterId,
    /// Now.
    pub used: u64,
    /// What is beyond the limit now, and will be charged for.
    pub overage: Option<Overage>,
    /// More than the limit is sold.
    pub is_sold: bool,
    pub alert: Alert,
}

impl OpenAlert {
    /// Those of one meter, for whoever is served.
    pub(super) fn all(usage: &MeterUsage, subscription: &Subscription, now: Timestamp) -> Vec<Self> {
        let used = usage.in_period_of(subscription, now);
        let at_hand = subscription.counting(now);
        let order = subscription.terms(&usage.meter, usage.counting(&at_hand));
        let alerts = open(&usage.alerts, &order, &usage.meter, used).filter(|_| subscription.is_live());
        let listed = |alert: &Alert| Self {
            meter: usage.meter.clone(),
            used,
            overage: order.overage(&usage.meter, used),
            is_sold: order.overage_price(&usage.meter).is_some(),
            alert: alert.clone(),
        };
        alerts.map(listed).collect()
    }
}

impl<S: Store, G: Gateways, C: Clock> Billing<S, G, C> {
    /// The alerts that are open, and what is unusual today, for whoever is served.
    pub async fn alerts(&self, customer: &CustomerId) -> Result<Alerts, StoreError> {
        let now = self.clock.now(Some(customer)).await?;
        let Some(live) = self.lookup_at(customer, now).await? else { return Ok(Alerts::default()) };
        if unserved(&live.subscription, now).is_some() {
            return Ok(Alerts { open: live.alerts, unusual: vec![] });
        }
        let (today, statistics) = self.used_lately(&live.subscription, now).await?;
        Ok(Alerts { open: live.alerts, unusual: Unusual::all(statistics, today) })
    }

    /// Acknowledges the open alerts of the meter called `name`, or takes that back, and answers them.
    pub async fn acknowledge(
        &self,
        customer: &CustomerId,
        name: &MeterId,
        acknowledged: bool,
    ) -> Result<Vec<OpenAlert>, UsageError> {
        let now = self.clock.now(Some(customer)).await?;
        for _ in 0..MOST_RACES {
            let Metered { subscription, known, .. } = self.metered(customer, name).await?;
            let Some((subscription, known)) = subscription.zip(known) else { return Ok(vec![]) };
            let listed = OpenAlert::all(&known, &subscription, now);
            let mut usage = known.clone();
            for alert in usage.alerts.iter_mut().filter(|it| listed.iter().any(|open| open.alert == **it)) {
                alert.acknowledged_at = acknowledged.then(|| alert.acknowledged_at.unwrap_or(now));
            }
            if usage == known {
                return Ok(listed);
            }
            let answer = OpenAlert::all(&usage, &subscription, now);
            match self.store.commit(usage.writes()).await {
                Ok(()) => return Ok(answer),
                Err(StoreError::Conflict | StoreError::Duplicate) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(StoreError::Conflict.into())
    }
}
