//! The ports as the workflows see them: every call takes its turn, and may fail
//! in every way that the real one can. What is stored is `store`'s.

use crate::errand::{Errand, Heard};
use crate::faults::{MINUTE, SECOND, is_out};
use crate::jobs::Job;
use crate::world::{Happening, Shared, State, instant, lock};
use billing::account::{Incoming, VirtualAccount};
use billing::brand::Brand;
use billing::driven::Seen;
use billing::id::CustomerId;
use billing::mail::Mail;
use billing::money::{Currency, Money};
use billing::outcome::{Outcome, RefundOutcome, Sighting};
use billing::payment::{Gateway, Opened, Payment, Refund};
use billing::ports::{Clock, GatewayError, Gateways, Lane, MailError, Mailer, Queue, QueueError, StoreError, Wanted};
use billing::wallet::Method;
use jiff::Timestamp;
use std::future::poll_fn;
use std::task::Poll;

/// What one task sees of the world.
#[derive(Clone, Debug)]
pub(crate) struct Port {
    pub(crate) shared: Shared,
    pub(crate) task: u64,
}

impl Port {
    pub(crate) fn new(shared: Shared, task: u64) -> Self {
        Self { shared, task }
    }

    /// Lets others go first: the call is made some time later, if the task lives to make it.
    pub(crate) async fn turn(&self, slowest: i64) {
        let mut waited = false;
        poll_fn(|_| {
            if std::mem::replace(&mut waited, true) {
                return Poll::Ready(());
            }
            lock(&self.shared).after(1, slowest, Happening::Poll(self.task));
            Poll::Pending
        })
        .await;
    }

    /// Takes `errand` to its gateway, where `act` is what it does, and the answer back.
    async fn ask<T>(
        &self,
        errand: Errand,
        act: impl FnOnce(&mut State) -> Option<T> + Send,
        heard: fn(&T) -> Heard,
    ) -> Result<T, GatewayError> {
        let stalled = lock(&self.shared).gateway_stalls(errand.gateway());
        self.turn(if stalled { 50 * SECOND } else { 3 * SECOND }).await;
        lock(&self.shared).acts(self.task, || format!("asks to {}", errand.told()));
        lock(&self.shared).is_about(self.task, errand.customer(), || format!("it asks to {}", errand.told()));
        let answer = lock(&self.shared).request(&errand, act);
        // What the gateway said is as old as its way back is long.
        self.turn(if stalled { 20 * SECOND } else { SECOND }).await;
        let mut state = lock(&self.shared);
        state.note(|| {
            let told = answer.as_ref().map(heard);
            format!("task {} asked to {}: {told:?}", self.task, errand.told())
        });
        if let (Ok(answer), Some(notes)) = (&answer, state.tasks.get_mut(&self.task)) {
            notes.heard.push((errand.about(), heard(answer)));
        }
        answer
    }
}

impl Gateways for Port {
    /// Flitt takes no naira.
    fn accepts(&self, payment: &Payment) -> Result<(), GatewayError> {
        lock(&self.shared).has_keys(payment.gateway)?;
        match payment.gateway {
            Gateway::Flitt if payment.amount.currency.code() == "NGN" => {
                Err(GatewayError::Unacceptable { field: "currency", problem: "told to refuse".to_owned() })
            }
            Gateway::Stripe | Gateway::Paystack | Gateway::Flitt | Gateway::PayPal => Ok(()),
        }
    }

    fn setup_amount(&self, gateway: Gateway, currency: Currency) -> Result<Money, GatewayError> {
        lock(&self.shared).has_keys(gateway)?;
        Ok(Money::new(
            match gateway {
                Gateway::Stripe | Gateway::PayPal => 0,
                Gateway::Paystack => 5_000,
                Gateway::Flitt => 100,
            },
            currency,
        ))
    }

    async fn answers(&self, gateway: Gateway) -> bool {
        self.turn(2 * SECOND).await;
        let mut state = lock(&self.shared);
        let answers = state.reaches(gateway);
        state.note(|| format!("task {} asked whether {gateway:?} answers: {answers}", self.task));
        answers
    }

    async fn open(&self, payment: &Payment) -> Result<Opened, GatewayError> {
        let opened = self.ask(Errand::Open(payment.clone()), |state| Some(state.open(payment)), |_| Heard::Waiting);
        opened.await?.ok_or(GatewayError::OpenedBefore)
    }

    async fn charge(&self, payment: &Payment) -> Result<Outcome, GatewayError> {
        lock(&self.shared).sends(self.task, payment);
        self.ask(Errand::Charge(payment.clone()), |state| state.charge(payment), Heard::of_outcome).await
    }

    async fn find(&self, payment: &Payment, object: Option<&str>) -> Result<Sighting, GatewayError> {
        let errand = Errand::Find(payment.clone());
        self.ask(errand, |state| Some(state.find(payment, object)), Heard::of_sighting).await
    }

    async fn close(&self, payment: &Payment) -> Result<Sighting, GatewayError> {
        self.ask(Errand::Close(payment.clone()), |state| Some(state.close(payment)), Heard::of_sighting).await
    }

    async fn refund(&self, payment: &Payment, refund: &Refund) -> Result<RefundOutcome, GatewayError> {
        let errand = Errand::Refund(payment.clone(), refund.clone());
        self.ask(errand, |state| Some(state.refund(payment, refund)), Heard::of_refund).await
    }

    /// No customer of the simulation pays by transfer.
    async fn transfers(&self, _: &VirtualAccount) -> Result<Vec<Incoming>, GatewayError> {
        Ok(vec![])
    }

    /// Nor has any a subscription that a gateway drives.
    async fn driven(&self, _: Gateway, _: &str) -> Result<Option<Seen>, GatewayError> {
        Ok(None)
    }

    async fn forget(&self, method: &Method) -> Result<(), GatewayError> {
        lock(&self.shared).forgets(self.task, method);
        let forget = |state: &mut State| {
            state.forget(method);
            Some(())
        };
        self.ask(Errand::Forget(method.clone()), forget, |()| Heard::Forgotten).await
    }
}

impl Mailer for Port {
    async fn send(&self, mail: &Mail, _: Option<&Brand>) -> Result<(), MailError> {
        self.turn(3 * SECOND).await;
        lock(&self.shared).is_about(self.task, Some(&mail.customer), || format!("it sends {mail:?}"));
        let answer = lock(&self.shared).mailed(mail);
        self.turn(SECOND).await;
        answer
    }
}

impl Clock for Port {
    async fn now(&self, customer: Option<&CustomerId>) -> Result<Timestamp, StoreError> {
        let mut state = lock(&self.shared);
        state.is_about(self.task, customer, || format!("it looks at the clock of {customer:?}"));
        let worker = state.tasks.get(&self.task).map_or(0, |notes| notes.worker);
        Ok(instant(state.now + state.faults.off(worker, state.now)))
    }
}

impl Queue for Port {
    async fn send(&self, lane: Lane, wanted: &[Wanted]) -> Result<(), QueueError> {
        self.turn(100).await;
        let mut state = lock(&self.shared);
        let state = &mut *state;
        if state.rng.chance(state.faults.queue.unavailable) {
            return Err(QueueError("told to fail".into()));
        }
        for wanted in wanted {
            state.sends_no_secret(wanted);
            if state.rng.chance(state.faults.queue.dropped) {
                state.note(|| format!("{lane:?} loses {wanted:?}"));
                continue;
            }
            let times = if state.rng.chance(state.faults.queue.doubled) { 2 } else { 1 };
            for _ in 0..times {
                let latest = SECOND.max(state.faults.queue.latest);
                let job = Job::Wake { wanted: wanted.clone(), received: 1 };
                state.after(0, latest, Happening::Start(job));
            }
        }
        Ok(())
    }
}

fn silent() -> GatewayError {
    GatewayError::NoAnswer("told to be silent".into())
}

impl State {
    fn has_keys(&self, gateway: Gateway) -> Result<(), GatewayError> {
        let missing = is_out(&self.faults.of(gateway).keys_missing, self.now);
        if missing { Err(GatewayError::NotConfigured(gateway)) } else { Ok(()) }
    }

    /// Whether a request arrives.
    fn reaches(&mut self, gateway: Gateway) -> bool {
        let faults = self.faults.of(gateway);
        let (out, lost) = (is_out(&faults.outages, self.now), faults.request_lost);
        !out && !self.rng.chance(lost)
    }

    fn gateway_stalls(&mut self, gateway: Gateway) -> bool {
        self.rng.chance(self.faults.of(gateway).stalled)
    }

    /// Takes a request to its gateway, and the answer back, if both arrive.
    fn request<T>(&mut self, errand: &Errand, act: impl FnOnce(&mut Self) -> Option<T>) -> Result<T, GatewayError> {
        let gateway = errand.gateway();
        self.has_keys(gateway)?;
        let faults = self.faults.of(gateway);
        let (rejected, late_effect, answer_lost) = (faults.rejected, faults.late_effect, faults.answer_lost);
        if !self.reaches(gateway) {
            self.race_on_the_way(errand);
            return Err(silent());
        }
        if !matches!(errand, Errand::Find(_)) {
            if self.rng.chance(rejected) {
                return Err(GatewayError::Rejected("told to refuse".to_owned()));
            }
            if self.rng.chance(late_effect) {
                self.after(SECOND, 40 * MINUTE, Happening::Arrive(Box::new(errand.clone())));
                self.race_on_the_way(errand);
                return Err(silent());
            }
        }
        let answer = act(self).ok_or_else(silent)?;
        if self.rng.chance(answer_lost) { Err(silent()) } else { Ok(answer) }
    }
}
