//! A mail that a customer must get. What makes it necessary and that it is to
//! be sent are recorded in one transaction; it is sent until it was taken.
//!
//! A crash between the two may send it twice: it says the same, and leads to
//! the same place.

use crate::dunning::{Dunning, after};
use crate::id::{CustomerId, MailId, SubscriptionId};
use crate::money::Money;
use crate::outcome::Remedy;
use crate::payment::{Gateway, Page, backoff};
use crate::subscription::{Event, Status, Subscription};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

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
    pub about: PaymentNeeded,
    pub created_at: Timestamp,
    pub status: MailStatus,
    pub version: u64,
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

impl Mail {
    /// The mail that `events` make necessary, which brought the subscription to what it is now.
    ///
    /// Grace begins where nothing is left to try: then only the customer can
    /// mend it. What is our own fault they cannot.
    pub fn due_to(subscription: &Subscription, events: &[Event], now: Timestamp) -> Option<Self> {
        let missed = |event: &Event| {
            if let Event::PaymentMissed { failure, .. } = event { Some(failure.clone()) } else { None }
        };
        let remedy = events.iter().rev().find_map(missed)?.map(|failure| failure.remedy);
        let Status::PastDue { term, dunning: Dunning::Grace { ends_at } } = &subscription.status else { return None };
        let to = subscription.contact.clone()?;
        if remedy == Some(Remedy::OurFault) {
            return None;
        }
        let about = PaymentNeeded {
            subscription: subscription.id.clone(),
            period: term.index + 1,
            plan: subscription.next_order().plan.display_name.clone(),
            amount: subscription.amount_due().ok()?,
            remedy,
            grace_ends_at: *ends_at,
        };
        let id = MailId::of(&subscription.customer, &subscription.id, subscription.version);
        let status = MailStatus::Due { check_at: now, tries: 0 };
        Some(Self { id, customer: subscription.customer.clone(), to, about, created_at: now, status, version: 0 })
    }

    /// Whether `subscription`, the customer's one now, still owes what this asks for.
    pub(crate) fn is_wanted(&self, subscription: Option<&Subscription>, now: Timestamp) -> bool {
        let owes = |it: &Subscription| match &it.status {
            Status::PastDue { term, dunning: Dunning::Grace { .. } } => {
                it.id == self.about.subscription && term.index + 1 == self.about.period
            }
            Status::PastDue { .. }
            | Status::Incomplete
            | Status::Active { .. }
            | Status::Canceled { .. }
            | Status::Expired { .. } => false,
        };
        now < self.about.grace_ends_at && subscription.is_some_and(owes)
    }

    /// Whether nobody took it, however often it was tried, while it was of use.
    pub(crate) fn is_too_late(&self, now: Timestamp) -> bool {
        matches!(self.status, MailStatus::Due { tries: 1.., .. }) && now >= self.about.grace_ends_at
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
            MailStatus::Sent { at } | MailStatus::Dropped { at, .. } => Some(after(*at, KEPT_FOR)),
        }
    }
}
