//! A price change: a subscription keeps the version of its plan that it was bought as, until billing staff move it to the
//! plan's newest one. Its customer is told before, and no period that begins within the notice is charged so. Who was not
//! told, because no mail can be sent or none was taken, goes on as before.

use super::{Event, Order, Refusal, Status, Subscription};
use crate::calendar::{Interval, Period};
use crate::catalog::Plan;
use crate::dunning::after;
use crate::money::Money;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::num::NonZeroU16;

/// The version that the periods to come are of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PriceChange {
    pub plan: Plan,
    /// On the customer's calendar, from when they are told.
    pub notice_days: NonZeroU16,
    /// No period that begins before then is of it. None: the customer has not been told yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Timestamp>,
}

/// What a price change comes to for its customer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repriced {
    /// When the first period begins that is charged so.
    pub begins_at: Timestamp,
    /// What that period would have cost.
    pub before: Money,
    pub amount: Money,
}

/// More periods than there are in the longest notice, a day each.
const MOST_PERIODS: u32 = 70_000;

impl Subscription {
    /// What tells of a move to `newest`, which is its plan now. No events: the customer has been told of it before.
    pub(super) fn announcing(
        &self,
        newest: Option<&Plan>,
        notice_days: NonZeroU16,
        told: bool,
        now: Timestamp,
    ) -> Result<Vec<Event>, Refusal> {
        let same_plan = |order: &Order| newest.is_some_and(|plan| plan.id == order.plan.id);
        let newest = newest.filter(|_| same_plan(&self.order)).ok_or(Refusal::NotSold)?;
        if !self.order.price.recurring && !self.is_trialing() {
            return Err(Refusal::NotRenewed);
        }
        // Of whoever leaves the plan when the period ends, nothing is to be changed.
        if self.scheduled.as_deref().is_some_and(|order| !same_plan(order)) {
            return Err(Refusal::ChangeScheduled);
        }
        let known = |change: &PriceChange| change.plan == *newest && change.from.is_some();
        if self.order.plan == *newest || self.price_change.as_deref().is_some_and(known) {
            return Ok(vec![]);
        }
        let next = self.scheduled.as_deref().unwrap_or(&self.order);
        next.clone().of_version(newest).ok_or(Refusal::NotSold)?.amount()?;
        let announced = Event::PriceChangeAnnounced { plan: Box::new(newest.clone()), notice_days };
        match (told, &self.contact) {
            (true, _) => Ok(vec![announced, Event::PriceChangeTold { from: self.noticed(notice_days, now) }]),
            (false, Some(_)) => Ok(vec![announced]),
            (false, None) => Err(Refusal::NoContact),
        }
    }

    /// What follows when the customer was told of the move to that `version`, if there is still something to tell.
    pub(crate) fn told_of_price(&self, version: u32, now: Timestamp) -> Option<Event> {
        let change = self.untold_price().filter(|change| change.plan.version == version)?;
        Some(Event::PriceChangeTold { from: self.noticed(change.notice_days, now) })
    }

    pub(crate) fn untold_price(&self) -> Option<&PriceChange> {
        match &self.status {
            Status::Active { .. } | Status::PastDue { .. } | Status::Paused { .. } => {
                self.price_change.as_deref().filter(|change| change.from.is_none())
            }
            Status::Incomplete | Status::Canceled { .. } | Status::Expired { .. } => None,
        }
    }

    /// So many days after `now`, and not before what is being paid, or owed, is over.
    fn noticed(&self, days: NonZeroU16, now: Timestamp) -> Timestamp {
        let noticed = Period::nth(now, Interval::Days(days.get()), 0, &self.time_zone).end;
        let due = self.open.is_some() || matches!(self.status, Status::PastDue { .. });
        let beyond = self.period().filter(|_| due).map(|period| after(period.end, SignedDuration::from_secs(1)));
        beyond.map_or(noticed, |beyond| beyond.max(noticed))
    }

    /// `order` as it is in a period that begins at `start`.
    pub(super) fn repriced(&self, order: Order, start: Option<Timestamp>) -> Order {
        let holds = |change: &&PriceChange| change.from.is_some_and(|from| start.is_some_and(|start| from <= start));
        let change = self.price_change.as_deref().filter(holds).filter(|change| change.plan.id == order.plan.id);
        change.and_then(|change| order.clone().of_version(&change.plan)).unwrap_or(order)
    }

    /// What the customer was told that is to come.
    pub fn price_to_come(&self) -> Option<Repriced> {
        self.price_from(self.price_change.as_deref()?.from?)
    }

    /// What the customer is to be told `now`.
    pub(crate) fn price_to_tell(&self, now: Timestamp) -> Option<Repriced> {
        self.price_from(self.noticed(self.untold_price()?.notice_days, now))
    }

    fn price_from(&self, from: Timestamp) -> Option<Repriced> {
        let change = self.price_change.as_deref()?;
        let told = PriceChange { from: Some(from), ..change.clone() };
        let mut then = Self { price_change: Some(Box::new(told)), ..self.clone() };
        for _ in 0..MOST_PERIODS {
            let begins_at = then.period()?.end;
            if begins_at >= from {
                let amount = then.next_order().amount().ok()?;
                let before = Self { price_change: None, ..then }.next_order().amount().ok()?;
                return Some(Repriced { begins_at, before, amount });
            }
            then.goes_on();
        }
        None
    }

    /// Nothing is announced of what is had already, or of another plan.
    pub(super) fn forgets_price(&mut self) {
        let order = &self.order;
        self.price_change = self.price_change.take().filter(|it| it.plan.id == order.plan.id && it.plan != order.plan);
    }
}
