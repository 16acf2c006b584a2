//! What may be asked of a subscription, and is granted or refused: to be opened, paid, cancelled, paused.
//! (What it may become is in `change`.)

use super::{CancelReason, Command, Event, Order, Refusal, Status, Subscription, canceled};
use crate::calendar::zone::Zone;
use crate::id::{CustomerId, PaymentId, SubscriptionId};
use crate::mail::Contact;
use crate::payment::{Page, Payment};
use crate::trial::{Kind, Trial};
use crate::wallet::Method;
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

impl Subscription {
    /// `order` as the customer's next subscription, given what they have now.
    ///
    /// What was never paid for is ordered anew rather than left behind, so that
    /// whichever of its checkouts is paid first opens it. A live one must be
    /// changed, not bought again.
    pub fn ordering(
        current: Option<&Self>,
        customer: &CustomerId,
        order: Order,
        now: Timestamp,
    ) -> Result<Self, Refusal> {
        let first = |id| Self {
            id,
            customer: customer.clone(),
            order: order.clone(),
            open: None,
            attempts: 0,
            failures: vec![],
            grace_ends_at: None,
            suspended_until: None,
            held_until: None,
            // What is given back of an earlier subscription is missing in the balance that it left.
            funds: current.map_or(vec![], |current| current.funds.clone()),
            worth: None,
            balances: current.map_or(vec![], |current| current.balances.clone()),
            // What was used beyond limits and is not paid is on the first invoice.
            usage_charges: current.map_or(vec![], Self::unpaid_usage),
            late_charges: vec![],
            usage_billed: None,
            changes: 0,
            scheduled: None,
            price_change: None,
            pausing: false,
            trial: None,
            reminded: false,
            had_trial: current.is_some_and(|current| current.had_trial),
            redeemed: current.map_or(BTreeMap::new(), |current| current.redeemed.clone()),
            changing: None,
            disputed: BTreeSet::new(),
            contact: None,
            brand: current.and_then(|current| current.brand.clone()),
            time_zone: current.map_or(Zone::UTC, |current| current.time_zone.clone()),
            created_at: now,
            status: Status::Incomplete,
            taken_over: current.and_then(|current| current.taken_over.clone()),
            driven: None,
            version: 0,
        };
        let Some(current) = current else { return Ok(first(SubscriptionId::nth(customer, 1))) };
        match &current.status {
            Status::Active { .. } | Status::PastDue { .. } | Status::Paused { .. } => Err(Refusal::AlreadySubscribed),
            _ if current.is_driven() => Err(Refusal::DrivenElsewhere),
            Status::Incomplete | Status::Expired { term: None, .. } => {
                Ok(Self { order, status: Status::Incomplete, ..current.clone() })
            }
            Status::Canceled { .. } | Status::Expired { term: Some(_), .. } => {
                Ok(Self { version: current.version, ..first(current.id.next()) })
            }
        }
    }

    /// Counted on the clock of `zone`, if one is named. What has begun stays on the one that it began with.
    #[must_use]
    pub fn in_zone(self, zone: Option<&Zone>) -> Self {
        match zone.filter(|_| self.term().is_none()) {
            Some(zone) => Self { time_zone: zone.clone(), ..self },
            None => self,
        }
    }

    /// A checkout for the first period, and the subscription waiting for it.
    pub fn checkout(mut self, page: Page, now: Timestamp) -> Result<(Self, Payment), Refusal> {
        self.is_charged_here()?;
        let (order, due) = (self.next_order(), self.amount_due()?);
        let amount = match self.term() {
            // For nothing there is no page to pay at: who has the price in their balance keeps that for what follows.
            None if due.minor == 0 => order.amount()?.chargeable(),
            Some(_) | None => due,
        };
        if amount.minor == 0 {
            return Err(if self.term().is_none() { Refusal::NothingToPay } else { Refusal::NothingOwed });
        }
        let id = self.next_attempt();
        self.contact = Contact::of(&page).or(self.contact);
        let payment = Payment::checkout(id, self.customer.clone(), Some(order), amount, page, now);
        let payment = payment.with_usage(&self.usage_charges);
        self.open = Some(payment.id.clone());
        Ok((self, payment))
    }

    /// A page on which the customer pays what they owe. Until it ends no
    /// charge is tried, so that nobody pays twice; grace does not wait for it.
    pub fn recovery(self, page: Page, now: Timestamp) -> Result<(Self, Payment), Refusal> {
        self.is_charged_here()?;
        match &self.status {
            Status::Incomplete => Err(Refusal::NotActive),
            Status::Active { .. } | Status::Paused { .. } => Err(Refusal::NothingOwed),
            Status::Canceled { .. } | Status::Expired { .. } => Err(Refusal::Ended),
            Status::PastDue { .. } if self.open.is_some() || self.due(now).is_some() => Err(Refusal::ChargeRunning),
            Status::PastDue { .. } => self.checkout(page, now),
        }
    }

    /// A charge for the period that is owed, and the subscription waiting for it.
    pub fn charging(mut self, method: Method, now: Timestamp) -> Result<(Self, Payment), Refusal> {
        self.is_charged_here()?;
        let (order, amount) = (self.next_order(), self.amount_due()?);
        let id = self.next_attempt();
        let payment = Payment::off_session(id, self.customer.clone(), &order, amount, method, now);
        let payment = payment.with_usage(&self.usage_charges);
        self.open = Some(payment.id.clone());
        Ok((self, payment))
    }

    /// What follows from `command`, or why nothing may.
    ///
    /// No events means it was granted before: requests repeat.
    pub fn decide(&self, command: Command, now: Timestamp) -> Result<Vec<Event>, Refusal> {
        use Command::{CancelAtPeriodEnd, CancelNow, Pause, PauseAtPeriodEnd, Resume, Unpause};
        use Status::{Active, Canceled, Expired, Incomplete, PastDue, Paused};

        self.is_charged_here()?;
        match (&self.status, command) {
            (Incomplete, CancelAtPeriodEnd | CancelNow) => Ok(vec![canceled(CancelReason::Requested, now)]),
            (Incomplete, Resume | Pause | PauseAtPeriodEnd | Unpause) => Err(Refusal::NotActive),
            (Active { cancel_at_period_end: false, .. }, CancelAtPeriodEnd) => {
                Ok(self.unchanged_by(Event::CancellationScheduled))
            }
            (Active { cancel_at_period_end: true, .. }, Resume) if self.is_over(now) => Err(Refusal::Ended),
            (Active { cancel_at_period_end: true, .. }, Resume) => Ok(vec![Event::CancellationRevoked]),
            (Active { .. }, Resume) if self.pausing => Ok(vec![Event::PauseRevoked]),
            (Active { .. }, Resume) if self.scheduled.is_some() => match self.open.is_some() || self.is_over(now) {
                // What is being paid already is for what was scheduled.
                true => Err(Refusal::ChargeRunning),
                false => Ok(vec![Event::ChangeRevoked]),
            },
            (Active { .. }, CancelAtPeriodEnd | Resume | Unpause) => Ok(vec![]),
            (Active { cancel_at_period_end: true, .. }, Pause | PauseAtPeriodEnd) => Err(Refusal::Leaving),
            (Active { .. }, Pause | PauseAtPeriodEnd) if self.is_trialing() => Err(Refusal::Trialing),
            (Active { .. }, Pause | PauseAtPeriodEnd) if !self.order.price.recurring => Err(Refusal::NotWithinPeriod),
            (Active { .. }, Pause | PauseAtPeriodEnd) if self.open.is_some() || self.is_over(now) => {
                Err(Refusal::ChargeRunning)
            }
            (Active { .. }, Pause) => Ok(vec![Event::Paused { at: now }]),
            (Active { .. }, PauseAtPeriodEnd) if self.pausing => Ok(vec![]),
            (Active { .. }, PauseAtPeriodEnd) => Ok(vec![Event::PauseScheduled]),
            (Paused { .. }, Unpause) => Ok(vec![Event::Unpaused { at: now }]),
            (Paused { .. }, Pause | PauseAtPeriodEnd) => Ok(vec![]),
            (Paused { .. }, Resume) => Err(Refusal::Paused),
            (Paused { .. }, CancelAtPeriodEnd | CancelNow) => Ok(vec![canceled(CancelReason::Requested, now)]),
            (PastDue { .. }, Pause | PauseAtPeriodEnd) => Err(Refusal::PaymentOwed),
            // The period is over: its end is now. No further charge (PRODUCT 9).
            (PastDue { .. }, CancelAtPeriodEnd) | (Active { .. } | PastDue { .. }, CancelNow) => {
                Ok(vec![canceled(CancelReason::Requested, now)])
            }
            // What was scheduled is what is owed.
            (PastDue { .. }, Resume) if self.scheduled.is_some() => Err(Refusal::PaymentOwed),
            (PastDue { .. }, Resume | Unpause) => Ok(vec![]),
            (Canceled { .. } | Expired { .. }, CancelAtPeriodEnd | CancelNow) => Ok(vec![]),
            (Canceled { .. } | Expired { .. }, Resume | Pause | PauseAtPeriodEnd | Unpause) => Err(Refusal::Ended),
        }
    }

    /// How it begins if its plan has a trial, and its customer never had one.
    pub(crate) fn trial_on_offer(&self, now: Timestamp) -> Option<Event> {
        let offer = self.order.plan.trial.filter(|_| !self.had_trial)?;
        let trial = Trial { start: now, days: offer.days, kind: Kind::Free, until: None };
        Some(Event::TrialStarted { order: Box::new(self.order.clone()), trial })
    }

    pub(super) fn next_attempt(&mut self) -> PaymentId {
        self.attempts += 1;
        let period = self.term().map_or(0, |term| term.index + 1);
        PaymentId { subscription: self.id.clone(), period, attempt: self.attempts }
    }

    /// Who is charged by another system is never charged by us too.
    pub(super) fn is_charged_here(&self) -> Result<(), Refusal> {
        if self.is_driven() { Err(Refusal::DrivenElsewhere) } else { Ok(()) }
    }
}
