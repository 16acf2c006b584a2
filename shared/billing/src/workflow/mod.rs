//! The imperative shell: each workflow loads, decides, commits, calls, decides,
//! commits. Each may be interrupted anywhere and repeated.

mod accounts;
mod admin;
mod advance;
mod alerts;
mod brands;
mod catalogue;
mod change;
mod checkout;
mod clock;
mod closing;
mod collect;
mod consume;
mod downgrade;
mod import;
mod lookup;
mod mails;
mod methods;
mod once;
mod opening;
mod rebuild;
mod receive;
mod recover;
mod redeem;
mod refund;
mod report;
mod reserve;
mod settle;
mod subscribe;
mod sweep;
mod take_over;
mod usage;
mod verify;

use closing::{leaving, meters_of};
use opening::Opening;

use crate::id::{CustomerId, IdempotencyKey};
use crate::mail::Mail;
use crate::ports::{Clock, Found, Gateways, Key, Record, Store, StoreError, Write};
use crate::subscription::{Command, Event, Outlook, PreviewId, Refusal, Subscription};
use jiff::Timestamp;

pub use advance::WakeError;
pub use alerts::{Alerts, OpenAlert};
pub use catalogue::{Change, Comparison, LoadError, PlanChange};
pub use change::{Previewed, Wish};
pub use checkout::{Checkout, CheckoutError, NotForSale};
pub use clock::{AdvanceClockError, Goal, Step};
pub use consume::{Consume, ConsumeError};
pub use downgrade::{Advice, DowngradeError};
pub use import::{Import, ImportError};
pub use lookup::{Entitled, Live};
pub use mails::{FollowError, SendError};
pub use methods::{MethodError, Setup};
pub use once::{ChangeError, Changed};
pub use rebuild::{Rebuild, RebuildError, Rebuilt, Recount};
pub use recover::Recovery;
pub use redeem::CouponRefusal;
pub use refund::{RefundError, RefundRequest};
pub use report::{NotCounted, Use};
pub use reserve::{Reserve, ReserveError};
pub use subscribe::Subscribe;
pub use sweep::SweepError;
pub use take_over::{TakeOver, TakeOverError, TakenOver};
pub use usage::{MeterError, UsageError};
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
    #[error("this Idempotency-Key was used for another request")]
    KeyReused,
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl<S: Store, G: Gateways, C: Clock> Billing<S, G, C> {
    pub fn new(store: S, gateways: G, clock: C) -> Self {
        Self { store, gateways, clock }
    }

    /// Grants `command`, once for each key, if it does what was `shown`, or says why not. What ends by it is billed for what
    /// was used beyond limits in the same transaction: nobody comes back to what has ended.
    pub async fn request(
        &self,
        customer: &CustomerId,
        command: Command,
        shown: Option<&PreviewId>,
        key: &IdempotencyKey,
        fingerprint: &str,
    ) -> Result<Subscription, RequestError> {
        let opening = Opening { customer, key, fingerprint };
        let meters = |it: &Subscription, now| match it.decide(command, now) {
            Ok(events) if it.is_left_by(&events) => meters_of(it),
            Ok(_) | Err(_) => vec![],
        };
        let decide = |it: &Subscription, found: &mut Found, now| {
            PreviewId::still_holds(shown, now, |at| Ok(it.outlook_by(command, at)?.id))?;
            Ok(leaving(it, it.decide(command, now)?, found, now))
        };
        self.grant(opening, meters, decide).await
    }

    /// What would become of the customer's subscription by `command`. Changes nothing.
    pub async fn preview_request(&self, customer: &CustomerId, command: Command) -> Result<Outlook, RequestError> {
        let now = self.clock.now(Some(customer)).await?;
        let found = self.store.get(vec![Key::Subscription(customer.clone())]).await?.subscription();
        Ok(found.ok_or(RequestError::NoSubscription)?.outlook_by(command, PreviewId::moment(now))?)
    }

    /// Makes of the customer's subscription what `decide` makes of it, given what is at the keys that `more` says it needs,
    /// and writes what else it says: once for each key.
    async fn grant(
        &self,
        opening: Opening<'_>,
        more: impl Fn(&Subscription, Timestamp) -> Vec<Key> + Send,
        decide: impl Fn(&Subscription, &mut Found, Timestamp) -> Result<(Vec<Event>, Vec<Write>), Refusal> + Send,
    ) -> Result<Subscription, RequestError> {
        let Opening { customer, key, fingerprint } = opening;
        let now = self.clock.now(Some(customer)).await?;
        for _ in 0..MOST_RACES {
            let keys = vec![Key::Claim(customer.clone(), key.clone()), Key::Subscription(customer.clone())];
            let mut found = self.store.get(keys).await?;
            let subscription = found.subscription().ok_or(RequestError::NoSubscription)?;
            if let Some(claim) = found.claim() {
                let same = claim.fingerprint == fingerprint;
                return if same { Ok(subscription) } else { Err(RequestError::KeyReused) };
            }
            let claim = opening.claim(subscription.no_payment(), now);
            let mut found = self.read(more(&subscription, now)).await?;
            let (events, besides) = decide(&subscription, &mut found, now)?;
            let (subscription, mut writes) = transition(subscription, events, now);
            writes.extend(besides);
            writes.push(Write::Create(Record::Claim(claim)));
            match self.store.commit(writes).await {
                Err(StoreError::Duplicate | StoreError::Conflict) => {}
                done => return Ok(done.map(|()| subscription)?),
            }
        }
        Err(StoreError::Conflict.into())
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
