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
    /// When the first period begins that is of it, as the customer was told. None: they have not been yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Timestamp>,
}

/// What a price change comes to for its customer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repriced {
    /// When the first period begins that is charged so.
    pub begins_at: Timestamp,
    /// What such a period would have cost, and what it costs, whatever is taken off.
    pub before: Money,
    pub amount: Money,
    /// Something is taken off that first one.
    pub is_discounted: bool,
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
        let newest = newest.filter(|plan| plan.id == self.order.plan.id).ok_or(Refusal::NotSold)?;
        if self.expires() {
            return Err(Refusal::NotRenewed);
        }
        if matches!(self.status, Status::Active { cancel_at_period_end: true, .. }) {
            return Err(Refusal::Leaving);
        }
        // What they were told would be of what they have asked for, and that may be taken back.
        if self.scheduled.is_some() {
            return Err(Refusal::ChangeScheduled);
        }
        let known = |change: &PriceChange| change.plan == *newest && change.from.is_some();
        if self.order.plan == *newest || self.price_change.as_deref().is_some_and(known) {
            return Ok(vec![]);
        }
        // The mail that tells of it may have been taken, and nobody heard so: what it gave is not made shorter.
        let untold = self.price_change.as_deref().filter(|change| change.plan == *newest);
        let notice_days = untold.map_or(notice_days, |change| change.notice_days.max(notice_days));
        let moved = self.order.clone().of_version(newest).ok_or(Refusal::NotSold)?;
        moved.amount().map_err(|_| Refusal::NotSold)?;
        let announced = Event::PriceChangeAnnounced { plan: Box::new(newest.clone()), notice_days };
        let to_tell = self.clone().apply(&announced).price_to_tell(now).ok_or(Refusal::NotRenewed)?;
        match (told, &self.contact) {
            (true, _) => Ok(vec![announced, Event::PriceChangeTold { from: to_tell.begins_at }]),
            (false, Some(_)) => Ok(vec![announced]),
            (false, None) => Err(Refusal::NoContact),
        }
    }

    /// What follows when the customer was told of the move to that `version`, if there is still something to tell.
    pub(crate) fn told_of_price(&self, version: u32, now: Timestamp) -> Option<Event> {
        self.untold_price().filter(|change| change.plan.version == version)?;
        Some(Event::PriceChangeTold { from: self.price_to_tell(now)?.begins_at })
    }

    /// What the customer is still to be told, if it is of what they have, and they keep that.
    pub(crate) fn untold_price(&self) -> Option<&PriceChange> {
        match &self.status {
            Status::Active { cancel_at_period_end: false, .. } | Status::PastDue { .. } | Status::Paused { .. } => {
                self.price_change.as_deref().filter(|change| change.from.is_none() && self.scheduled.is_none())
            }
            Status::Active { .. } | Status::Incomplete | Status::Canceled { .. } | Status::Expired { .. } => None,
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
            if then.expires() {
                return None;
            }
            let begins_at = then.period()?.end;
            if begins_at >= from {
                let whole = |order: Order| Order { discount: None, ..order }.amount().ok();
                let order = then.next_order();
                let is_discounted = order.discounted().is_some();
                let before = whole(Self { price_change: None, ..then }.next_order())?;
                return Some(Repriced { begins_at, before, amount: whole(order)?, is_discounted });
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
