//! The ports of one process. Every call leaves the process waiting, and the
//! search decides when the call is made and how it goes.
//!
//! A future cannot be copied, but a workflow is determined by the answers it
//! got. So a process is kept as those answers: given them again, a new future
//! stands where the old one stood.

use crate::world::{Answer, Call};
use billing::account::{Incoming, VirtualAccount};
use billing::brand::Brand;
use billing::driven::Seen;
use billing::id::{ConsumptionId, CustomerId, PaymentId, UsageId};
use billing::mail::Mail;
use billing::money::{Currency, Money};
use billing::outcome::{Outcome, RefundOutcome, Sighting};
use billing::payment::{Gateway, Opened, Payment, Refund};
use billing::ports::{
    Clock, Found, GatewayError, Gateways, Key, Lane, MailError, Mailer, Store, StoreError, Wanted, Write,
};
use billing::statistics::DayUsage;
use billing::token::Consumption;
use billing::usage::UsageRecord;
use billing::wallet::Method;
use jiff::Timestamp;
use jiff::civil::Date;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

#[derive(Clone, Debug)]
pub(crate) struct Port {
    tape: Arc<Mutex<Tape>>,
    now: Timestamp,
}

#[derive(Debug)]
struct Tape {
    answers: VecDeque<Arc<Answer>>,
    /// What the process waits for, once it has used up the answers.
    call: Option<Call>,
}

impl Port {
    /// Of a process whose clock stands at `now` and that got those `answers` so far.
    pub(crate) fn new(answers: &[Arc<Answer>], now: Timestamp) -> Self {
        let tape = Tape { answers: answers.iter().cloned().collect(), call: None };
        Self { tape: Arc::new(Mutex::new(tape)), now }
    }

    pub(crate) fn call(&self) -> Option<Call> {
        self.tape().call.take()
    }

    fn tape(&self) -> MutexGuard<'_, Tape> {
        self.tape.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn ask(&self, call: impl FnOnce() -> Call) -> Arc<Answer> {
        let mut call = Some(call);
        poll_fn(|_| {
            let mut tape = self.tape();
            match tape.answers.pop_front() {
                Some(answer) => Poll::Ready(answer),
                None => {
                    tape.call = call.take().map(|call| call());
                    Poll::Pending
                }
            }
        })
        .await
    }
}

/// A process that is not given the answers it was given before is another process.
fn another(answer: &Answer) -> ! {
    panic!("not determined by its answers: {answer:?}")
}

fn silent() -> GatewayError {
    GatewayError::NoAnswer("told to be silent".into())
}

impl Store for Port {
    async fn get(&self, keys: Vec<Key>) -> Result<Found, StoreError> {
        if keys.is_empty() {
            return Ok(Found::default());
        }
        match &*self.ask(|| Call::Get(keys)).await {
            Answer::Found(found) => Ok(found.clone()),
            other => another(other),
        }
    }

    async fn live(&self, _: &CustomerId) -> Result<Found, StoreError> {
        panic!("nobody who is explored looks at what is live")
    }

    async fn payments(&self, _: &CustomerId, _: Option<&PaymentId>, _: u32) -> Result<Vec<Payment>, StoreError> {
        panic!("nobody who is explored lists payments")
    }

    async fn consumptions(
        &self,
        _: &CustomerId,
        _: Option<&ConsumptionId>,
        _: u32,
    ) -> Result<Vec<Consumption>, StoreError> {
        panic!("nobody who is explored lists what was consumed")
    }

    async fn uses(&self, _: &CustomerId, _: Option<&UsageId>, _: u32) -> Result<Vec<UsageRecord>, StoreError> {
        panic!("nobody who is explored counts again")
    }

    async fn days(&self, _: &CustomerId, _: Date, _: Date) -> Result<Vec<DayUsage>, StoreError> {
        panic!("nobody who is explored shows statistics")
    }

    async fn catalogue(&self) -> Result<Found, StoreError> {
        panic!("nobody who is explored lists plans")
    }

    async fn brands(&self) -> Result<Vec<Brand>, StoreError> {
        panic!("nobody who is explored lists brands")
    }

    async fn due(&self, _: Lane, _: Timestamp, _: u32) -> Result<Vec<(Timestamp, Wanted)>, StoreError> {
        panic!("nobody who is explored sweeps: whom a sweep would wake is awake")
    }

    async fn commit(&self, writes: Vec<Write>) -> Result<(), StoreError> {
        match &*self.ask(|| Call::Commit(writes)).await {
            Answer::Committed => Ok(()),
            Answer::Duplicate => Err(StoreError::Duplicate),
            Answer::Conflict => Err(StoreError::Conflict),
            Answer::Silence => Err(StoreError::Unavailable("told to be silent".into())),
            other => another(other),
        }
    }
}

impl Gateways for Port {
    fn accepts(&self, _: &Payment) -> Result<(), GatewayError> {
        Ok(())
    }

    fn setup_amount(&self, _: Gateway, currency: Currency) -> Result<Money, GatewayError> {
        Ok(Money::new(0, currency))
    }

    async fn answers(&self, _: Gateway) -> bool {
        panic!("there is one gateway, and no choice")
    }

    async fn open(&self, _: &Payment) -> Result<Opened, GatewayError> {
        panic!("nobody opens a page")
    }

    async fn charge(&self, payment: &Payment) -> Result<Outcome, GatewayError> {
        match &*self.ask(|| Call::Charge(payment.clone())).await {
            Answer::Charged(outcome) => Ok(outcome.clone()),
            Answer::Silence => Err(silent()),
            other => another(other),
        }
    }

    async fn find(&self, payment: &Payment, _: Option<&str>) -> Result<Sighting, GatewayError> {
        match &*self.ask(|| Call::Find(payment.clone())).await {
            Answer::Seen(sighting) => Ok(sighting.clone()),
            Answer::Silence => Err(silent()),
            other => another(other),
        }
    }

    async fn close(&self, _: &Payment) -> Result<Sighting, GatewayError> {
        panic!("there is no page to close")
    }

    async fn refund(&self, payment: &Payment, refund: &Refund) -> Result<RefundOutcome, GatewayError> {
        match &*self.ask(|| Call::Refund(payment.clone(), refund.clone())).await {
            Answer::Refunded(outcome) => Ok(outcome.clone()),
            Answer::Silence => Err(silent()),
            other => another(other),
        }
    }

    async fn transfers(&self, _: &VirtualAccount) -> Result<Vec<Incoming>, GatewayError> {
        panic!("nobody pays by transfer")
    }

    async fn driven(&self, _: Gateway, _: &str) -> Result<Option<Seen>, GatewayError> {
        panic!("no gateway drives the subscription")
    }

    async fn forget(&self, _: &Method) -> Result<(), GatewayError> {
        panic!("nobody removes a method")
    }
}

impl Mailer for Port {
    async fn send(&self, _: &Mail, _: Option<&Brand>) -> Result<(), MailError> {
        Ok(())
    }
}

impl Clock for Port {
    async fn now(&self, _: Option<&CustomerId>) -> Result<Timestamp, StoreError> {
        Ok(self.now)
    }
}
