//! What the outside world must provide, and nothing more. What is stored is in
//! `records`.

mod records;
mod test_clock;

use crate::account::{Incoming, VirtualAccount};
use crate::brand::Brand;
use crate::delivery::DeliveryId;
use crate::driven::Seen;
use crate::id::{ConsumptionId, CustomerId, MailId, PaymentId, UsageId};
use crate::mail::Mail;
use crate::money::{Currency, Money};
use crate::outcome::{Outcome, RefundOutcome, Sighting};
use crate::payment::{Gateway, Opened, Payment, Refund};
use crate::statistics::DayUsage;
use crate::token::Consumption;
use crate::usage::UsageRecord;
use crate::wallet::Method;
use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::future::Future;

pub use records::{Claim, Found, Key, MeterName, Record, Referred, StoredCoupon, StoredFamily, StoredPlan, Write};
pub(crate) use test_clock::whole;
pub use test_clock::{TestClock, Walk};

/// Business time. On a test clock it is a record, so asking may fail; and a customer may be ahead of the others.
pub trait Clock: Send + Sync {
    /// What time it is for `customer`; for nobody in particular, where nobody is known.
    fn now(&self, customer: Option<&CustomerId>) -> impl Future<Output = Result<Timestamp, StoreError>> + Send;

    /// The customers whose time is ahead of the stack's, and what time it is for each: nobody but on a test clock.
    fn ahead(&self) -> impl Future<Output = Result<BTreeMap<CustomerId, Timestamp>, StoreError>> + Send {
        async { Ok(BTreeMap::new()) }
    }
}

pub trait Store: Send + Sync {
    /// The records at `keys`, each as of now, in one request. In no order;
    /// what does not exist is left out.
    fn get(&self, keys: Vec<Key>) -> impl Future<Output = Result<Found, StoreError>> + Send;

    /// All that is true of a customer now: subscription, wallet, usage, tokens.
    fn live(&self, customer: &CustomerId) -> impl Future<Output = Result<Found, StoreError>> + Send;

    /// A customer's payments, newest first, at most `limit`, from before `before`.
    fn payments(
        &self,
        customer: &CustomerId,
        before: Option<&PaymentId>,
        limit: u32,
    ) -> impl Future<Output = Result<Vec<Payment>, StoreError>> + Send;

    /// What a customer consumed, newest first, at most `limit`, from before `before`.
    fn consumptions(
        &self,
        customer: &CustomerId,
        before: Option<&ConsumptionId>,
        limit: u32,
    ) -> impl Future<Output = Result<Vec<Consumption>, StoreError>> + Send;

    /// What was counted of a customer's uses and is kept, in an order of the store's own, at most `limit`, from after `after`.
    /// All pages together have each that was there before the first and is still there after the last; a page of fewer is the last.
    fn uses(
        &self,
        customer: &CustomerId,
        after: Option<&UsageId>,
        limit: u32,
    ) -> impl Future<Output = Result<Vec<UsageRecord>, StoreError>> + Send;

    /// What a customer used on each day from `from` to `to`, both included.
    fn days(
        &self,
        customer: &CustomerId,
        from: Date,
        to: Date,
    ) -> impl Future<Output = Result<Vec<DayUsage>, StoreError>> + Send;

    /// The families and the current version of every plan, inactive ones too.
    fn catalogue(&self) -> impl Future<Output = Result<Found, StoreError>> + Send;

    /// Every brand, by their ids.
    fn brands(&self) -> impl Future<Output = Result<Vec<Brand>, StoreError>> + Send;

    /// What waits in `lane` and is due by `then`, with the second in which it
    /// is, at most `limit`; what is due first is among it. A hint: it may be
    /// late, and whoever acts on it reads the record first.
    fn due(
        &self,
        lane: Lane,
        then: Timestamp,
        limit: u32,
    ) -> impl Future<Output = Result<Vec<(Timestamp, Wanted)>, StoreError>> + Send;

    /// Applies every write or none: at most a hundred, each to another record.
    /// When both a conflict and a duplicate stand in the way, the answer is
    /// [`StoreError::Conflict`].
    fn commit(&self, writes: Vec<Write>) -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// The payment gateways. Which one is meant, the payment or the method says.
pub trait Gateways: Send + Sync {
    /// Whether the gateway could take `payment` at all: it is configured, knows
    /// the currency and can reach the payer. Asked before anything is recorded;
    /// calls nobody.
    fn accepts(&self, payment: &Payment) -> Result<(), GatewayError>;

    /// What a customer is charged to prove a method that is set up without
    /// buying: nothing where the gateway can do without, else the least it
    /// takes, which goes back. Calls nobody.
    fn setup_amount(&self, gateway: Gateway, currency: Currency) -> Result<Money, GatewayError>;

    /// Whether a charge could be asked for just now: the gateway answers, and
    /// takes our keys. Asked where there is a choice, before an attempt is
    /// recorded: an attempt that was recorded is never left for another gateway
    /// because of silence (I-4).
    fn answers(&self, gateway: Gateway) -> impl Future<Output = bool> + Send;

    /// Opens the page, or makes the secret, where the customer pays. Doing so
    /// twice for one payment opens one.
    fn open(&self, payment: &Payment) -> impl Future<Output = Result<Opened, GatewayError>> + Send;

    /// Charges the method of `payment`, under its reference as the key.
    fn charge(&self, payment: &Payment) -> impl Future<Output = Result<Outcome, GatewayError>> + Send;

    /// What became of `payment`: its outcome and, where money was taken, what
    /// became of that since. `object` is what a delivery called the thing it
    /// was about, for gateways that cannot be asked by our reference; it is
    /// a place to look, and what is found there must name this payment.
    fn find(
        &self,
        payment: &Payment,
        object: Option<&str>,
    ) -> impl Future<Output = Result<Sighting, GatewayError>> + Send;

    /// Ends a checkout that nobody is to pay any more, if the gateway can, and
    /// says how it stands.
    fn close(&self, payment: &Payment) -> impl Future<Output = Result<Sighting, GatewayError>> + Send;

    /// Gives back what `refund` promises of `payment`, once however often it is asked.
    fn refund(
        &self,
        payment: &Payment,
        refund: &Refund,
    ) -> impl Future<Output = Result<RefundOutcome, GatewayError>> + Send;

    /// What came in on a virtual account, of any age, oldest first.
    fn transfers(&self, account: &VirtualAccount) -> impl Future<Output = Result<Vec<Incoming>, GatewayError>> + Send;

    /// How the subscription stands that the gateway itself drives under that id. None: it knows none.
    fn driven(&self, gateway: Gateway, id: &str) -> impl Future<Output = Result<Option<Seen>, GatewayError>> + Send;

    /// Has the gateway forget a method, if it can. Doing so twice is doing it once.
    fn forget(&self, method: &Method) -> impl Future<Output = Result<(), GatewayError>> + Send;
}

/// Wakes workers. A message that is lost or doubled costs time, nothing else.
pub trait Queue: Send + Sync {
    fn send(&self, lane: Lane, wanted: &[Wanted]) -> impl Future<Output = Result<(), QueueError>> + Send;
}

/// Takes mails to customers.
pub trait Mailer: Send + Sync {
    /// Sends `mail`, with the link that leads its reader to where they pay, under the name of `brand` if there is one.
    fn send(&self, mail: &Mail, brand: Option<&Brand>) -> impl Future<Output = Result<(), MailError>> + Send;
}

/// The work queues.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Lane {
    Renewals,
    PaymentRetries,
    /// Apart, so that mails that are not taken hold up no payment.
    Mails,
}

impl Lane {
    pub const ALL: [Self; 3] = [Self::Renewals, Self::PaymentRetries, Self::Mails];
}

/// Names a record that is due, and nothing else: the worker reads the rest, so
/// a message that is late, repeated or out of order carries no stale fact.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Wanted {
    Subscription { customer: CustomerId },
    Payment { customer: CustomerId, payment: PaymentId },
    Delivery { delivery: DeliveryId },
    Wallet { customer: CustomerId },
    Account { customer: CustomerId },
    Mail { mail: MailId },
}

impl Wanted {
    /// Whose it is, where its name says so.
    pub fn customer(&self) -> Option<&CustomerId> {
        match self {
            Self::Subscription { customer }
            | Self::Payment { customer, .. }
            | Self::Wallet { customer }
            | Self::Account { customer } => Some(customer),
            Self::Delivery { .. } | Self::Mail { .. } => None,
        }
    }

    /// Of the record that it names.
    pub fn key(&self) -> Key {
        match self {
            Self::Subscription { customer } => Key::Subscription(customer.clone()),
            Self::Payment { customer, payment } => Key::Payment(customer.clone(), payment.clone()),
            Self::Delivery { delivery } => Key::Delivery(delivery.clone()),
            Self::Wallet { customer } => Key::Wallet(customer.clone()),
            Self::Account { customer } => Key::Account(customer.clone()),
            Self::Mail { mail } => Key::Mail(mail.clone()),
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("already recorded")]
    Duplicate,
    #[error("changed by someone else since it was read")]
    Conflict,
    #[error("the store is unavailable")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// No usable answer. What was asked for may or may not have happened.
    #[error("no answer from the gateway")]
    NoAnswer(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The payment is not one this gateway can take. `field` of the request says why.
    #[error("{problem}")]
    Unacceptable { field: &'static str, problem: String },
    /// Our request was wrong. Sending it again cannot help, and it did nothing.
    #[error("the gateway rejected the request: {0}")]
    Rejected(String),
    /// A checkout of that reference is open, and its address will not be told twice.
    #[error("the gateway has opened this checkout before")]
    OpenedBefore,
    /// This deployment has no keys for the gateway.
    #[error("{} is not configured in this deployment", .0.as_str())]
    NotConfigured(Gateway),
}

#[derive(Debug, thiserror::Error)]
pub enum MailError {
    /// No usable answer: it may have been sent or not.
    #[error("no answer from whoever sends mails")]
    NoAnswer(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It was not sent, and will not be however often it is tried.
    #[error("the mail was refused: {0}")]
    Refused(String),
    /// Nothing is wrong with the mail: what we send it with is not in order.
    #[error("we may not send mails: {0}")]
    OurFault(String),
    #[error("this deployment sends no mails")]
    NotConfigured,
}

#[derive(Debug, thiserror::Error)]
#[error("the queue is unavailable")]
pub struct QueueError(#[source] pub Box<dyn std::error::Error + Send + Sync>);
