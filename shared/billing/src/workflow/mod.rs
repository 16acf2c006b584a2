//! The imperative shell: each workflow loads, decides, commits, calls, decides,
//! commits. Each may be interrupted anywhere and repeated.

mod accounts;
mod advance;
mod catalogue;
mod checkout;
mod clock;
mod downgrade;
mod import;
mod lookup;
mod mails;
mod methods;
mod opening;
mod receive;
mod recover;
mod refund;
mod settle;
mod sweep;
mod usage;
mod verify;

use opening::Opening;

use crate::mail::Mail;
use crate::ports::{Clock, Gateways, Record, Store, StoreError, Write};
use crate::subscription::{Command, Event, Refusal, Subscription};
use jiff::Timestamp;

pub use advance::WakeError;
pub use catalogue::{Change, Comparison, LoadError, PlanChange};
pub use checkout::{Checkout, CheckoutError};
pub use clock::AdvanceClockError;
pub use downgrade::DowngradeError;
pub use import::{Import, ImportError};
pub use lookup::Live;
pub use mails::{FollowError, SendError};
pub use methods::{MethodError, Setup};
pub use recover::Recovery;
pub use refund::{RefundError, RefundRequest};
pub use sweep::SweepError;
pub use usage::UsageError;
pub use verify::VerifyError;

/// The workflows, over whichever adapters they are given.
#[derive(Clone, Debug)]
pub struct Billing<S, G, C> {
    pub store: S,
    pub gateways: G,
    pub clock: C,
}

/// How often a step is taken again after someone else was faster.
const MOST_RACES: u32 = 6;

#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    #[error("there is no subscription")]
    NoSubscription,
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl<S: Store, G: Gateways, C: Clock> Billing<S, G, C> {
    pub fn new(store: S, gateways: G, clock: C) -> Self {
        Self { store, gateways, clock }
    }

    /// Grants `command` or says why not.
    pub async fn request(
        &self,
        customer: &crate::id::CustomerId,
        command: Command,
    ) -> Result<Subscription, RequestError> {
        let now = self.clock.now().await?;
        let mut found = self.store.get(vec![crate::ports::Key::Subscription(customer.clone())]).await?;
        let subscription = found.subscription().ok_or(RequestError::NoSubscription)?;
        let events = subscription.decide(command, now)?;
        if events.is_empty() {
            return Ok(subscription);
        }
        let (subscription, writes) = transition(subscription, events, now);
        self.store.commit(writes).await?;
        Ok(subscription)
    }
}

/// The subscription after `events`, as it is to be stored, and the writes that
/// store it with its history and what its customer must be told.
fn transition(subscription: Subscription, events: Vec<Event>, now: Timestamp) -> (Subscription, Vec<Write>) {
    if events.is_empty() {
        return (subscription, vec![]);
    }
    let mut next = events.iter().fold(subscription, |state, event| state.apply(event));
    let write = Write::next(Record::Subscription(next.clone()));
    next.version += 1;
    let mail = Mail::due_to(&next, &events, now);
    let history = |(index, event)| {
        let (customer, subscription) = (next.customer.clone(), next.id.clone());
        Write::Create(Record::History { customer, subscription, version: next.version, index, event })
    };
    let mut writes: Vec<Write> = (0..).zip(events).map(history).collect();
    writes.push(write);
    writes.extend(mail.map(|mail| Write::next(Record::Mail(mail))));
    (next, writes)
}
