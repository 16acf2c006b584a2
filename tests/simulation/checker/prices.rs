//! What must hold of prices: who has a version of a plan keeps it until they were told otherwise, long enough before; and
//! then it is as they were told (P-1).

use super::discounts::whole;
use super::{Checked, check};
use crate::faults::{DAY, HOUR};
use crate::world::State;
use billing::calendar::Interval;
use billing::id::{AddonId, CustomerId, PlanId};
use billing::mail::{About, Mail};
use billing::subscription::{Event, Order, Status, Subscription};
use jiff::Timestamp;
use std::collections::BTreeMap;

/// What the customer of a subscription was told of the versions of its plan.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// The shortest notice of each that was asked for, in days.
    notice: BTreeMap<(PlanId, u32), i64>,
    /// When they heard of each first.
    heard: BTreeMap<(PlanId, u32), i64>,
    /// From when on a mail said, and what a period costs then: by the interval, the seats and the add-ons that they had.
    said: BTreeMap<(PlanId, u32), (Timestamp, Terms, i64)>,
    /// What the periods are to be of that begin from then on.
    promised: Option<(u32, Timestamp)>,
}

/// How long a period is, for how many seats, and with how many of each add-on.
type Terms = (Interval, u32, Vec<(AddonId, u32)>);

fn terms(order: &Order) -> Terms {
    let addons = order.addons.iter().map(|it| (it.addon.id.clone(), it.quantity));
    (order.price.interval, order.quantity, addons.collect())
}

impl State {
    /// A mail was taken.
    pub(crate) fn heard_of_price(&mut self, mail: &Mail) {
        let About::PriceChange(about) = &mail.about else { return };
        let Some(it) = self.subscription(&mail.customer) else { return };
        let (of, terms) = ((it.order.plan.id.clone(), about.plan_version), terms(&it.order));
        let told = self.told.entry(about.subscription.clone()).or_default();
        told.heard.entry(of.clone()).or_insert(self.now);
        told.said.entry(of).or_insert((about.changes_at, terms, about.amount.minor));
    }

    /// `by_staff`: they have told the customer themselves.
    pub(super) fn announced(&mut self, customer: &CustomerId, event: &Event, by_staff: bool) {
        let Some(it) = self.subscription(customer) else { return };
        let (plan, id) = (it.order.plan.id.clone(), it.id.clone());
        let version = it.price_change.as_ref().map(|change| change.plan.version);
        let now = self.now;
        match (event, version) {
            (Event::PriceChangeAnnounced { notice_days, .. }, Some(version)) => {
                let told = self.told.entry(id).or_default();
                let days = i64::from(notice_days.get());
                let shortest = told.notice.entry((plan, version)).or_insert(days);
                (*shortest, told.promised) = (days.min(*shortest), None);
            }
            (Event::PriceChangeTold { from }, Some(version)) => {
                let told = self.told.entry(id).or_default();
                told.promised = Some((version, *from));
                if by_staff {
                    // Whatever a mail said before that we do not know to be taken, they have told the customer since.
                    told.said.remove(&(plan.clone(), version));
                    told.heard.entry((plan, version)).or_insert(now);
                }
            }
            (Event::PriceChangeRevoked, _) => self.told.entry(id).or_default().promised = None,
            (_, _) => {}
        }
    }

    pub(super) fn priced(&mut self, old: Option<&Subscription>, new: &Subscription) -> Checked {
        let Some(old) = old.filter(|old| old.id == new.id && old.term().is_some()) else { return Ok(()) };
        let (Some(term), Some(period), plan) = (new.term(), new.period(), &new.order.plan) else { return Ok(()) };
        // What was owed is what it was when it began, however much later its days are had.
        let owed = old.period().filter(|_| matches!(old.status, Status::PastDue { .. }));
        let start = owed.map_or(period.start, |before| before.end);
        let told = self.told.entry(new.id.clone()).or_default();
        if plan.id != old.order.plan.id {
            told.promised = None;
            return Ok(());
        }
        if plan.version != old.order.plan.version {
            let of = (plan.id.clone(), plan.version);
            // The clocks may be put forward meanwhile, and those of two workers may be two days off each.
            let off = if self.faults.clocks_right { HOUR } else { 4 * DAY };
            let known = told.heard.get(&of).zip(told.notice.get(&of)).map(|(heard, days)| heard + days * DAY - off);
            let noticed = known.is_some_and(|known| known <= start.as_millisecond());
            let promised = |(version, from): (u32, Timestamp)| version == plan.version && from <= start;
            let right = noticed && told.promised.is_some_and(promised);
            check(right, "P-1", || format!("{} is of {of:?} from {} on: {told:?}", new.id, start))?;
            if let Some((at, said_of, minor)) = told.said.get(&of) {
                let cost = whole(&new.order);
                let as_said = *at <= start && (*said_of != terms(&new.order) || i128::from(*minor) == cost);
                check(as_said, "P-1", || format!("{} costs {cost} from {}: {told:?}", new.id, start))?;
            }
        }
        let begins = old.term().is_some_and(|old| old.index != term.index);
        let due = told.promised.filter(|(_, from)| begins && *from <= start);
        let kept = due.is_none_or(|(version, _)| version == plan.version);
        check(kept, "P-1", || format!("{} is of version {} from {} on: {told:?}", new.id, plan.version, start))
    }
}
