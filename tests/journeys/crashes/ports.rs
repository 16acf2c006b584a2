//! The ports of a world, one of whose calls goes wrong.

use billing::account::{Incoming, VirtualAccount};
use billing::brand::Brand;
use billing::driven::Seen;
use billing::id::{ConsumptionId, CustomerId, PaymentId, UsageId};
use billing::mail::Mail;
use billing::money::{Currency, Money};
use billing::outcome::{Outcome, RefundOutcome, Sighting};
use billing::payment::{Gateway, Opened, Payment, Refund};
use billing::ports::{
    Clock, Found, GatewayError, Gateways, Key, Lane, MailError, Mailer, Queue, QueueError, Store, StoreError, Wanted,
    Write,
};
use billing::statistics::DayUsage;
use billing::testing::{MemoryMailer, MemoryQueue, World};
use billing::token::Consumption;
use billing::usage::UsageRecord;
use billing::wallet::Method;
use billing::workflow::Billing;
use futures::future::pending;
use jiff::Timestamp;
use jiff::civil::Date;
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What a workflow calls. A store is two: what is only read goes wrong in fewer ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Port {
    Clock,
    Read,
    Commit,
    Gateway,
    Queue,
    Mailer,
}

/// How a call goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// The process ends before the call has any effect.
    CrashBefore,
    /// The process ends when the call has had its effect.
    CrashAfter,
    /// The call fails, and the process is told.
    Refused,
    /// The call has its effect, and the process is told that it failed.
    AnswerLost,
    /// The store calls it a conflict, and nobody else wrote anything: its
    /// transactions get in each other's way.
    Contended,
    /// Half of the messages are taken, and the process is told that it failed.
    Halved,
}

impl Port {
    /// Every way in which a call of it can go wrong. What changes nothing is the same before and after.
    pub(super) const fn cuts(self) -> &'static [Cut] {
        use Cut::{AnswerLost, Contended, CrashAfter, CrashBefore, Halved, Refused};
        match self {
            Self::Clock | Self::Read => &[CrashBefore, Refused],
            Self::Commit => &[CrashBefore, CrashAfter, Refused, AnswerLost, Contended],
            Self::Gateway | Self::Mailer => &[CrashBefore, CrashAfter, Refused, AnswerLost],
            Self::Queue => &[CrashBefore, CrashAfter, Refused, AnswerLost, Halved],
        }
    }
}

/// The ports that were called, one after the other.
#[derive(Debug, Default)]
pub(super) struct Calls(Mutex<Vec<Port>>);

impl Calls {
    fn list(&self) -> MutexGuard<'_, Vec<Port>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn take(&self) -> Vec<Port> {
        std::mem::take(&mut *self.list())
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Fragile<'a> {
    pub(super) world: &'a World,
    pub(super) queue: &'a MemoryQueue,
    pub(super) mailer: &'a MemoryMailer,
    pub(super) calls: &'a Calls,
    /// Which call goes wrong, and how.
    pub(super) at: Option<(usize, Cut)>,
    /// What others do while the answer to the closing of a page is on its way.
    pub(super) meanwhile: Option<fn(&World)>,
}

pub(super) type Workflows<'a> = Billing<Fragile<'a>, Fragile<'a>, Fragile<'a>>;

impl<'a> Fragile<'a> {
    pub(super) fn workflows(self) -> Workflows<'a> {
        Billing::new(self, self, self)
    }

    /// How the call that is about to be made goes wrong, if it does.
    fn cut(&self, port: Port) -> Option<Cut> {
        let mut calls = self.calls.list();
        calls.push(port);
        self.at.filter(|(at, _)| at + 1 == calls.len()).map(|(_, cut)| cut)
    }

    async fn call<T, E>(
        &self,
        port: Port,
        call: impl Future<Output = Result<T, E>>,
        failed: fn() -> E,
    ) -> Result<T, E> {
        Self::made(self.cut(port), call, failed).await
    }

    async fn made<T, E>(cut: Option<Cut>, call: impl Future<Output = Result<T, E>>, failed: fn() -> E) -> Result<T, E> {
        match cut {
            None => call.await,
            Some(Cut::CrashBefore) => pending().await,
            Some(Cut::Refused | Cut::Contended) => Err(failed()),
            Some(Cut::AnswerLost | Cut::Halved) => call.await.and_then(|_| Err(failed())),
            Some(Cut::CrashAfter) => {
                drop(call.await);
                pending().await
            }
        }
    }
}

fn silent() -> GatewayError {
    GatewayError::NoAnswer("cut short".into())
}

fn down() -> StoreError {
    StoreError::Unavailable("cut short".into())
}

impl Gateways for Fragile<'_> {
    fn accepts(&self, payment: &Payment) -> Result<(), GatewayError> {
        self.world.gateways.accepts(payment)
    }

    async fn driven(&self, gateway: Gateway, id: &str) -> Result<Option<Seen>, GatewayError> {
        self.call(Port::Gateway, self.world.gateways.driven(gateway, id), silent).await
    }

    async fn open(&self, payment: &Payment) -> Result<Opened, GatewayError> {
        self.call(Port::Gateway, self.world.gateways.open(payment), silent).await
    }

    async fn charge(&self, payment: &Payment) -> Result<Outcome, GatewayError> {
        self.call(Port::Gateway, self.world.gateways.charge(payment), silent).await
    }

    async fn find(&self, payment: &Payment, object: Option<&str>) -> Result<Sighting, GatewayError> {
        self.call(Port::Gateway, self.world.gateways.find(payment, object), silent).await
    }

    async fn close(&self, payment: &Payment) -> Result<Sighting, GatewayError> {
        let answer = self.call(Port::Gateway, self.world.gateways.close(payment), silent).await;
        if let Some(meanwhile) = self.meanwhile {
            meanwhile(self.world);
        }
        answer
    }

    async fn refund(&self, payment: &Payment, refund: &Refund) -> Result<RefundOutcome, GatewayError> {
        self.call(Port::Gateway, self.world.gateways.refund(payment, refund), silent).await
    }

    fn setup_amount(&self, gateway: Gateway, currency: Currency) -> Result<Money, GatewayError> {
        self.world.gateways.setup_amount(gateway, currency)
    }

    async fn answers(&self, gateway: Gateway) -> bool {
        let answers = async { Ok(self.world.gateways.answers(gateway).await) };
        self.call(Port::Gateway, answers, silent).await.unwrap_or(false)
    }

    async fn transfers(&self, account: &VirtualAccount) -> Result<Vec<Incoming>, GatewayError> {
        self.call(Port::Gateway, self.world.gateways.transfers(account), silent).await
    }

    async fn forget(&self, method: &Method) -> Result<(), GatewayError> {
        self.call(Port::Gateway, self.world.gateways.forget(method), silent).await
    }
}

impl Store for Fragile<'_> {
    async fn get(&self, keys: Vec<Key>) -> Result<Found, StoreError> {
        // Of nothing nobody is asked.
        if keys.is_empty() {
            return Ok(Found::default());
        }
        self.call(Port::Read, self.world.store.get(keys), down).await
    }

    async fn live(&self, customer: &CustomerId) -> Result<Found, StoreError> {
        self.call(Port::Read, self.world.store.live(customer), down).await
    }

    async fn payments(
        &self,
        customer: &CustomerId,
        before: Option<&PaymentId>,
        limit: u32,
    ) -> Result<Vec<Payment>, StoreError> {
        self.call(Port::Read, self.world.store.payments(customer, before, limit), down).await
    }

    async fn consumptions(
        &self,
        customer: &CustomerId,
        before: Option<&ConsumptionId>,
        limit: u32,
    ) -> Result<Vec<Consumption>, StoreError> {
        self.call(Port::Read, self.world.store.consumptions(customer, before, limit), down).await
    }

    async fn uses(
        &self,
        customer: &CustomerId,
        after: Option<&UsageId>,
        limit: u32,
    ) -> Result<Vec<UsageRecord>, StoreError> {
        self.call(Port::Read, self.world.store.uses(customer, after, limit), down).await
    }

    async fn days(&self, customer: &CustomerId, from: Date, to: Date) -> Result<Vec<DayUsage>, StoreError> {
        self.call(Port::Read, self.world.store.days(customer, from, to), down).await
    }

    async fn catalogue(&self) -> Result<Found, StoreError> {
        self.call(Port::Read, self.world.store.catalogue(), down).await
    }

    async fn brands(&self) -> Result<Vec<Brand>, StoreError> {
        self.call(Port::Read, self.world.store.brands(), down).await
    }

    async fn due(&self, lane: Lane, now: Timestamp, limit: u32) -> Result<Vec<(Timestamp, Wanted)>, StoreError> {
        self.call(Port::Read, self.world.store.due(lane, now, limit), down).await
    }

    async fn commit(&self, writes: Vec<Write>) -> Result<(), StoreError> {
        let cut = self.cut(Port::Commit);
        let failed: fn() -> StoreError = if cut == Some(Cut::Contended) { || StoreError::Conflict } else { down };
        Self::made(cut, self.world.store.commit(writes), failed).await
    }
}

/// On a test stack what time it is is read.
impl Clock for Fragile<'_> {
    async fn now(&self, _: Option<&CustomerId>) -> Result<Timestamp, StoreError> {
        self.call(Port::Clock, async { Ok(self.world.clock.time()) }, down).await
    }

    async fn ahead(&self) -> Result<BTreeMap<CustomerId, Timestamp>, StoreError> {
        self.call(Port::Clock, async { Ok(BTreeMap::new()) }, down).await
    }
}

impl Queue for Fragile<'_> {
    async fn send(&self, lane: Lane, wanted: &[Wanted]) -> Result<(), QueueError> {
        let cut = self.cut(Port::Queue);
        let taken = if cut == Some(Cut::Halved) { &wanted[..wanted.len() / 2] } else { wanted };
        Self::made(cut, self.queue.send(lane, taken), || QueueError("cut short".into())).await
    }
}

impl Mailer for Fragile<'_> {
    async fn send(&self, mail: &Mail, brand: Option<&Brand>) -> Result<(), MailError> {
        self.call(Port::Mailer, self.mailer.send(mail, brand), || MailError::NoAnswer("cut short".into())).await
    }
}
