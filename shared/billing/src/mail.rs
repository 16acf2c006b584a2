//! A mail that a customer must get. What makes it necessary and that it is to
//! be sent are recorded in one transaction; it is sent until it was taken.
//!
//! A crash between the two may send it twice: it says the same, and leads to
//! the same place. Only the day from which a price holds may be a later one in
//! the second, and it is the later one that counts.

mod overage;

use crate::calendar::zone::Zone;
use crate::dunning::{Dunning, after, days};
use crate::id::{CustomerId, MailId, SubscriptionId};
use crate::money::Money;
use crate::outcome::Remedy;
use crate::payment::{Gateway, Page, backoff};
use crate::subscription::{Event, Status, Subscription};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

pub use overage::{OverageNotice, Passed};

/// How a customer is reached, and where they pay: as they said when they last opened a page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contact {
    pub email: String,
    pub gateway: Gateway,
    pub return_url: Option<String>,
}

impl Contact {
    /// None: the customer's token names no e-mail address.
    pub(crate) fn of(page: &Page) -> Option<Self> {
        let email = page.payer.email.clone()?;
        Some(Self { email, gateway: page.gateway, return_url: page.return_url.clone() })
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mail {
    pub id: MailId,
    pub customer: CustomerId,
    pub to: Contact,
    /// On whose clock it tells the time.
    #[serde(default, skip_serializing_if = "Zone::is_utc")]
    pub time_zone: Zone,
    pub about: About,
    pub created_at: Timestamp,
    pub status: MailStatus,
    pub version: u64,
}

/// What it is about, told by what is said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum About {
    PaymentNeeded(PaymentNeeded),
    Suspended(Suspended),
    TrialEnding(TrialEnding),
    PriceChange(PriceNotice),
    Overage(OverageNotice),
}

/// A trial is about to end, and what follows is to be paid.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrialEnding {
    pub subscription: SubscriptionId,
    /// As customers know it.
    pub plan: String,
    /// For the first period after it.
    pub amount: Money,
    pub trial_ends_at: Timestamp,
    /// Whether there is a payment method to charge. Where there is none, the customer is to leave one.
    pub has_method: bool,
}

/// What the customer has will cost something else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PriceNotice {
    pub subscription: SubscriptionId,
    /// As customers know it.
    pub plan: String,
    pub plan_version: u32,
    /// A period, as it stands when this is sent, whatever is taken off.
    pub until_then: Money,
    pub amount: Money,
    /// Something is taken off the first one.
    pub is_discounted: bool,
    /// When the first period begins that costs so much.
    pub changes_at: Timestamp,
    /// Whoever could not be told by then is not: the price stays.
    pub told_by: Timestamp,
}

/// A renewal was not paid, and nothing is left that we could try: the customer is to pay by hand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentNeeded {
    pub subscription: SubscriptionId,
    /// Counted from 0: the one that is owed.
    pub period: u32,
    /// As customers know it.
    pub plan: String,
    pub amount: Money,
    /// What may help, by the last decline. None: no payment method is left.
    pub remedy: Option<Remedy>,
    /// The customer is served until then.
    pub grace_ends_at: Timestamp,
}

/// Grace is over: the customer is served no more, and is again once they pay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suspended {
    pub subscription: SubscriptionId,
    /// Counted from 0: the one that is owed.
    pub period: u32,
    /// As customers know it.
    pub plan: String,
    pub amount: Money,
    /// Then it ends.
    pub suspended_until: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum MailStatus {
    Due { check_at: Timestamp, tries: u32 },
    Sent { at: Timestamp },
    Dropped { at: Timestamp, because: Dropped },
}

/// Why a mail is sent no more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dropped {
    /// What it asks for was done, or has become pointless.
    Overtaken,
    /// This deployment sends no mails.
    NotConfigured,
    /// The address, or what we wrote, will not be taken.
    Refused(String),
}

/// How long a mail is kept once nothing is left to do, so that its link leads somewhere.
const KEPT_FOR: SignedDuration = SignedDuration::from_hours(24 * 60);

/// How long we try to tell of a price.
const PRICE_TOLD_WITHIN: SignedDuration = days(14);

impl Mail {
    /// The mail that `events` make necessary, which brought the subscription to what it is now.
    pub fn due_to(subscription: &Subscription, events: &[Event], now: Timestamp) -> Option<Self> {
        let to = subscription.contact.clone()?;
        let about = PaymentNeeded::after(subscription, events).map(About::PaymentNeeded);
        let about = about.or_else(|| Suspended::after(subscription, events).map(About::Suspended));
        let about = about.or_else(|| TrialEnding::after(subscription, events).map(About::TrialEnding));
        let about = about.or_else(|| PriceNotice::after(subscription, events, now).map(About::PriceChange))?;
        let id = MailId::of(&subscription.customer, &subscription.id, subscription.version);
        Some(Self::due(id, subscription, to, about, now))
    }

    pub(crate) fn due(id: MailId, subscription: &Subscription, to: Contact, about: About, now: Timestamp) -> Self {
        let status = MailStatus::Due { check_at: now, tries: 0 };
        let (customer, time_zone) = (subscription.customer.clone(), subscription.time_zone.clone());
        Self { id, customer, to, time_zone, about, created_at: now, status, version: 0 }
    }

    /// Whether it is of use still, given the customer's subscription now.
    pub(crate) fn is_wanted(&self, subscription: Option<&Subscription>, now: Timestamp) -> bool {
        let holds = |it: &Subscription| match &self.about {
            About::PaymentNeeded(about) => match &it.status {
                Status::PastDue { term, dunning: Dunning::Grace { .. } } => {
                    it.id == about.subscription && term.index + 1 == about.period
                }
                Status::PastDue { .. }
                | Status::Incomplete
                | Status::Active { .. }
                | Status::Paused { .. }
                | Status::Canceled { .. }
                | Status::Expired { .. } => false,
            },
            About::Suspended(about) => {
                let owed = it.term().map(|term| term.index + 1) == Some(about.period);
                let suspended = matches!(it.status, Status::PastDue { .. }) && it.suspended_until.is_some();
                it.id == about.subscription && owed && suspended
            }
            About::TrialEnding(about) => {
                let leaving = matches!(it.status, Status::Active { cancel_at_period_end: true, .. });
                // Whose end was moved is told of the new one.
                let ends = it.period().map(|period| period.end) == Some(about.trial_ends_at);
                it.id == about.subscription && it.is_trialing() && ends && !leaving
            }
            About::PriceChange(about) => {
                let untold = it.untold_price().is_some_and(|change| change.plan.version == about.plan_version);
                it.id == about.subscription && untold && it.price_to_tell(now).is_some()
            }
            About::Overage(about) => about.is_wanted(it, now),
        };
        now < self.about.holds_until() && subscription.is_some_and(holds)
    }

    /// Whether nobody took it, however often it was tried, while it was of use.
    pub(crate) fn is_too_late(&self, now: Timestamp) -> bool {
        matches!(self.status, MailStatus::Due { tries: 1.., .. }) && now >= self.about.holds_until()
    }

    #[must_use]
    pub(crate) fn sent(self, now: Timestamp) -> Self {
        Self { status: MailStatus::Sent { at: now }, ..self }
    }

    #[must_use]
    pub(crate) fn dropped(self, because: Dropped, now: Timestamp) -> Self {
        Self { status: MailStatus::Dropped { at: now, because }, ..self }
    }

    /// Nobody took it: again later.
    #[must_use]
    pub(crate) fn delayed(self, now: Timestamp) -> Self {
        match self.status {
            MailStatus::Due { tries, .. } => {
                let tries = tries.saturating_add(1);
                Self { status: MailStatus::Due { check_at: after(now, backoff(tries)), tries }, ..self }
            }
            MailStatus::Sent { .. } | MailStatus::Dropped { .. } => self,
        }
    }

    pub fn due_at(&self) -> Option<Timestamp> {
        match &self.status {
            MailStatus::Due { check_at, .. } => Some(*check_at),
            MailStatus::Sent { .. } | MailStatus::Dropped { .. } => None,
        }
    }

    pub fn expires_at(&self) -> Option<Timestamp> {
        match &self.status {
            MailStatus::Due { .. } => None,
            MailStatus::Sent { at } | MailStatus::Dropped { at, .. } => {
                Some(after(*at, KEPT_FOR).max(self.about.holds_until()))
            }
        }
    }
}

impl About {
    /// Afterwards it says nothing of use, and its link leads nowhere.
    pub fn holds_until(&self) -> Timestamp {
        match self {
            Self::PaymentNeeded(about) => about.grace_ends_at,
            Self::Suspended(about) => about.suspended_until,
            Self::TrialEnding(about) => about.trial_ends_at,
            Self::PriceChange(about) => about.told_by,
            Self::Overage(about) => about.period_ends_at,
        }
    }

    /// As it stands when it is told.
    #[must_use]
    pub(crate) fn at(self, subscription: &Subscription, now: Timestamp) -> Self {
        match self {
            Self::PriceChange(about) => {
                let told_by = about.told_by;
                let fresh = PriceNotice::of(subscription, now).map(|fresh| PriceNotice { told_by, ..fresh });
                fresh.map_or(Self::PriceChange(about), Self::PriceChange)
            }
            Self::Overage(about) => Self::Overage(about.at(subscription, now)),
            Self::PaymentNeeded(_) | Self::Suspended(_) | Self::TrialEnding(_) => self,
        }
    }
}

impl PriceNotice {
    fn after(subscription: &Subscription, events: &[Event], now: Timestamp) -> Option<Self> {
        let announced = events.iter().any(|event| matches!(event, Event::PriceChangeAnnounced { .. }));
        if announced { Self::of(subscription, now) } else { None }
    }

    fn of(subscription: &Subscription, now: Timestamp) -> Option<Self> {
        let change = subscription.untold_price()?;
        let repriced = subscription.price_to_tell(now)?;
        Some(Self {
            subscription: subscription.id.clone(),
            plan: change.plan.display_name.clone(),
            plan_version: change.plan.version,
            until_then: repriced.before,
            amount: repriced.amount,
            is_discounted: repriced.is_discounted,
            changes_at: repriced.begins_at,
            told_by: after(now, PRICE_TOLD_WITHIN),
        })
    }
}

impl PaymentNeeded {
    /// Grace begins where nothing is left to try: then only the customer can
    /// mend it. What is our own fault they cannot.
    fn after(subscription: &Subscription, events: &[Event]) -> Option<Self> {
        let missed = |event: &Event| {
            if let Event::PaymentMissed { failure, .. } = event { Some(failure.clone()) } else { None }
        };
        let remedy = events.iter().rev().find_map(missed)?.map(|failure| failure.remedy);
        let Status::PastDue { term, dunning: Dunning::Grace { ends_at } } = &subscription.status else { return None };
        if remedy == Some(Remedy::OurFault) {
            return None;
        }
        Some(Self {
            subscription: subscription.id.clone(),
            period: term.index + 1,
            plan: subscription.next_order().plan.display_name.clone(),
            amount: subscription.amount_due().ok()?,
            remedy,
            grace_ends_at: *ends_at,
        })
    }
}

impl Suspended {
    fn after(subscription: &Subscription, events: &[Event]) -> Option<Self> {
        let until = |event: &Event| if let Event::Suspended { until, .. } = event { Some(*until) } else { None };
        let suspended_until = events.iter().find_map(until)?;
        Some(Self {
            subscription: subscription.id.clone(),
            period: subscription.term()?.index + 1,
            plan: subscription.next_order().plan.display_name.clone(),
            amount: subscription.amount_due().ok()?,
            suspended_until,
        })
    }
}

impl TrialEnding {
    fn after(subscription: &Subscription, events: &[Event]) -> Option<Self> {
        let told = |event: &Event| if let Event::TrialEnding { has_method } = event { Some(*has_method) } else { None };
        let has_method = events.iter().find_map(told)?;
        Some(Self {
            subscription: subscription.id.clone(),
            plan: subscription.next_order().plan.display_name.clone(),
            amount: subscription.amount_due().ok()?,
            trial_ends_at: subscription.period()?.end,
            has_method,
        })
    }
}

#[cfg(test)]
mod tests;
