//! Doing what is due: record the attempt, ask the gateway, record the answer.

use super::closing::{closing, meters_of};
use super::settle::Scene;
use super::{Billing, transition};
use crate::account::VirtualAccount;
use crate::delivery::DeliveryId;
use crate::downgrade::downgrade;
use crate::dunning::ready_at;
use crate::id::{CustomerId, MailId, MethodId, PaymentId, SubscriptionId};
use crate::ports::{Clock, Found, GatewayError, Gateways, Key, Record, Store, StoreError, Wanted, Write};
use crate::subscription::{Action, CancelReason, Due, Effective, Event, Fact, Refusal, Subscription};
use crate::token::Tokens;
use crate::wallet::{Method, Wallet};
use jiff::Timestamp;

#[derive(Debug, thiserror::Error)]
pub enum WakeError {
    #[error(transparent)]
    Gateway(#[from] GatewayError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the order cannot be charged: {0}")]
    Order(#[from] Refusal),
    #[error("nobody could tell for days what became of payment {0}: look it up at the gateway")]
    Unresolved(PaymentId),
    #[error("a refund of payment {0} has been under way for days: look it up at the gateway")]
    RefundStuck(PaymentId),
    #[error("a refund of payment {0} was refused by the gateway: {1}")]
    RefundFailed(PaymentId, String),
    #[error("payment {0} was declined because of our account at the gateway: {1}")]
    OurFault(PaymentId, String),
    #[error("the payment that delivery {0:?} is about could not be read for a day")]
    Unread(DeliveryId),
    #[error("subscription {0} follows one whose price is none of ours: {1}")]
    UnknownPrice(SubscriptionId, String),
    #[error("mail {0} is for whoever sends mails: another queue's")]
    ForMailer(MailId),
    #[error("subscription {0} follows one that its gateway knows no more: {1}")]
    Vanished(SubscriptionId, String),
}

/// Why nothing can be charged just now.
#[derive(Debug, thiserror::Error)]
pub(super) enum AnswerError {
    #[error(transparent)]
    Gateway(#[from] GatewayError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<AnswerError> for WakeError {
    fn from(error: AnswerError) -> Self {
        match error {
            AnswerError::Gateway(error) => error.into(),
            AnswerError::Store(error) => error.into(),
        }
    }
}

impl<S: Store, G: Gateways, C: Clock> Billing<S, G, C> {
    /// Does whatever is due on the record that `wanted` names, if anything is.
    ///
    /// Losing a race is not an error: whoever won did it, and if not, the
    /// record is still due.
    pub async fn wake(&self, wanted: Wanted) -> Result<(), WakeError> {
        let done = match wanted {
            Wanted::Subscription { customer } => self.advance(&customer, false).await,
            Wanted::Payment { customer, payment } => self.check(&customer, &payment).await,
            Wanted::Delivery { delivery } => self.finish(delivery).await,
            Wanted::Wallet { customer } => self.forget_methods(&customer).await,
            Wanted::Account { customer } => self.watch_account(&customer).await,
            Wanted::Mail { mail } => Err(WakeError::ForMailer(mail)),
        };
        match done {
            Err(WakeError::Store(StoreError::Conflict | StoreError::Duplicate)) => Ok(()),
            done => done,
        }
    }

    async fn advance(&self, customer: &CustomerId, looked: bool) -> Result<(), WakeError> {
        let keys = vec![
            Key::Subscription(customer.clone()),
            Key::Wallet(customer.clone()),
            Key::Tokens(customer.clone()),
            Key::Account(customer.clone()),
        ];
        let mut found = self.store.get(keys).await?;
        let now = self.clock.now(Some(customer)).await?;
        let Some(subscription) = found.subscription() else { return Ok(()) };
        let account = found.account();
        let events = match subscription.due(now) {
            None => return Ok(()),
            // What was used is known when the period is over, and is on an invoice before anything is charged or ended.
            Some(Due::Payment | Due::Cancellation(_)) if subscription.meters_to_bill().is_some() => {
                self.bill_usage(subscription, now).await?;
                return Box::pin(self.advance(customer, looked)).await;
            }
            Some(Due::Suspension | Due::Cancellation(CancelReason::Unpaid)) if account.is_some() && !looked => {
                return self.ask_the_bank(customer, now).await;
            }
            Some(Due::Cancellation(reason @ (CancelReason::Requested | CancelReason::Disputed))) => {
                vec![Event::Canceled { at: now, reason }]
            }
            Some(due @ (Due::Suspension | Due::Cancellation(CancelReason::Unpaid))) => {
                match self.untried(&subscription, found.wallet(), now) {
                    Ok(events) if !events.is_empty() => events,
                    Ok(_) if due == Due::Suspension => vec![subscription.suspending(now)],
                    Ok(_) => vec![Event::Canceled { at: now, reason: CancelReason::Unpaid }],
                    Err(error) => return self.hold(subscription, error, now).await,
                }
            }
            Some(Due::Expiry) => vec![Event::Expired { at: now }],
            Some(Due::ChangeOver) => {
                subscription.open.iter().map(|open| Event::ChangeDeclined { payment: open.clone() }).collect()
            }
            Some(Due::Reminder) => {
                let has_method = found.wallet().is_some_and(|it| !self.chargeable(&subscription, &it, now).is_empty());
                vec![Event::TrialEnding { has_method }]
            }
            Some(Due::Pause) => vec![Event::Paused { at: subscription.period().map_or(now, |period| period.end) }],
            Some(Due::Look) => return self.watch_driven(customer, now).await,
            Some(Due::Payment) if self.is_blocked(&subscription, now).await? => vec![Event::ChangeBlocked],
            Some(Due::Payment) if subscription.amount_due()?.minor == 0 => {
                return self.renew_for_nothing(subscription, found, now).await;
            }
            // What came in by transfer is the customer's money already: it is used before any other.
            Some(Due::Payment) if covers(account.as_ref(), &subscription) => {
                return self.spend_credit(customer, now).await;
            }
            Some(Due::Payment) => {
                let wallet = found.wallet().unwrap_or_else(|| Wallet::empty(customer.clone()));
                let next = match self.attempt(&subscription, &wallet, now).await {
                    Ok(next) => next,
                    Err(error) => return self.hold(subscription, error, now).await,
                };
                match next {
                    Next::Charge(method) => {
                        let (subscription, payment) = subscription.charging(method, now)?;
                        let subscription = Some(subscription);
                        let scene = Scene { subscription, wallet, account, ..Scene::new(payment, found) };
                        return self.collect(scene, now).await;
                    }
                    Next::Wait(at) if subscription.suspended_until.is_none() => {
                        vec![Event::RetryScheduled { at, mended: None }]
                    }
                    Next::Wait(_) | Next::Nothing => subscription.record(Fact::NoMethod, &[], now),
                }
            }
        };
        let (_, writes) = transition(subscription, events, now);
        Ok(self.store.commit(writes).await?)
    }

    async fn bill_usage(&self, subscription: Subscription, now: Timestamp) -> Result<(), WakeError> {
        let mut found = self.read(meters_of(&subscription)).await?;
        let (billed, closed) = closing(&subscription, &mut found, now);
        let (_, mut writes) = transition(subscription, billed.into_iter().collect(), now);
        writes.extend(closed);
        Ok(self.store.commit(writes).await?)
    }

    /// The balance, or a discount, leaves nothing to charge: there is no payment.
    async fn renew_for_nothing(
        &self,
        subscription: Subscription,
        mut found: Found,
        now: Timestamp,
    ) -> Result<(), WakeError> {
        let (subscription, event) = subscription.beginning_for_nothing(now)?;
        let (after, mut writes) = transition(subscription, vec![event], now);
        let tokens = found.tokens().unwrap_or_else(|| Tokens::none(after.customer.clone()));
        writes.extend(tokens.granted(&after.order.plan).map(|it| Write::next(Record::Tokens(it))));
        Ok(self.store.commit(writes).await?)
    }

    /// Whether more is in use than the plan allows that the next period is to be of: it is asked for again then
    /// (PRODUCT 12). Who was charged for it already has it.
    pub(super) async fn is_blocked(&self, subscription: &Subscription, now: Timestamp) -> Result<bool, StoreError> {
        let Some(to) = subscription.scheduled.as_deref().filter(|_| subscription.attempts == 0) else {
            return Ok(false);
        };
        let from = &subscription.order;
        if !Action::of(from, to).is_some_and(|action| action.allows_less(from, to)) {
            return Ok(false);
        }
        let Some(then) = subscription.next_period(now) else { return Ok(false) };
        let family = self.store.get(vec![Key::Family(from.plan.family.clone())]).await?.family_of(&from.plan)?;
        let meters = family.meters.iter().map(|meter| Key::Usage(subscription.customer.clone(), meter.id.clone()));
        let mut found = self.read(meters.collect()).await?;
        let usage = std::iter::from_fn(|| found.usage()).map(|it| (it.meter, it.value)).collect();
        Ok(!downgrade(from, to, &family, &usage, Some(&then)).is_possible(Effective::PeriodEnd))
    }

    /// Nobody is left unserved whose transfer has come and was not told of.
    async fn ask_the_bank(&self, customer: &CustomerId, now: Timestamp) -> Result<(), WakeError> {
        // A bank that is silent keeps nobody served for ever.
        if let Err(error @ WakeError::Store(_)) = self.look_for_transfers(customer, now).await {
            return Err(error);
        }
        Box::pin(self.advance(customer, true)).await
    }

    /// Grace is over, or suspension. A method may have come while nobody looked, or a gateway's keys be back: nobody is
    /// left unserved for want of a charge that was never tried. No events: there is none to be tried.
    fn untried(
        &self,
        subscription: &Subscription,
        wallet: Option<Wallet>,
        now: Timestamp,
    ) -> Result<Vec<Event>, WakeError> {
        let again = |methods: &[MethodId]| subscription.record(Fact::MethodAdded { method: None }, methods, now);
        let Some(wallet) = wallet else { return Ok(vec![]) };
        let methods: Vec<MethodId> = self.chargeable(subscription, &wallet, now).iter().map(Method::id).collect();
        let events = again(&methods);
        if !events.is_empty() {
            return Ok(events);
        }
        // Nobody loses what they have because we have lost our keys.
        for method in wallet.by_preference().filter(|method| !again(&[method.id()]).is_empty()) {
            self.takes(subscription, method, now)?;
        }
        Ok(vec![])
    }

    /// What the period that is owed is charged to next.
    async fn attempt(&self, subscription: &Subscription, wallet: &Wallet, now: Timestamp) -> Result<Next, WakeError> {
        let methods = self.chargeable(subscription, wallet, now);
        let ready = |method: &Method| ready_at(&method.id(), &subscription.failures, now);
        let charged: Vec<&Method> = methods.iter().filter(|method| ready(method).is_some_and(|at| at <= now)).collect();
        let Some(first) = charged.first() else {
            return match methods.iter().filter_map(ready).min() {
                Some(at) => Ok(Next::Wait(at)),
                None => self.nothing(subscription, wallet, now),
            };
        };
        Ok(Next::Charge(self.answering(&subscription.customer, first, &charged).await?))
    }

    /// Where there is a choice, a gateway that is down is passed over before it hears of an attempt.
    pub(super) async fn answering(
        &self,
        customer: &CustomerId,
        first: &Method,
        methods: &[&Method],
    ) -> Result<Method, AnswerError> {
        if methods.iter().all(|method| method.gateway == first.gateway) {
            return Ok(first.clone());
        }
        for method in methods {
            if self.gateways.answers(method.gateway).await {
                // Asking took a while: what was removed meanwhile is not charged.
                let held = self.wallet(customer).await?.method(&method.id()).is_some();
                return if held { Ok((*method).clone()) } else { Err(StoreError::Conflict.into()) };
            }
        }
        Err(GatewayError::NoAnswer("none of the customer's gateways answers".into()).into())
    }

    /// The customer has left nothing that this could be charged to. Keys that
    /// are missing are for us to put back: then the period stays due.
    fn nothing(&self, subscription: &Subscription, wallet: &Wallet, now: Timestamp) -> Result<Next, WakeError> {
        for method in wallet.by_preference() {
            self.takes(subscription, method, now)?;
        }
        Ok(Next::Nothing)
    }

    /// What could not be done now is put off: others are not to be kept waiting by it meanwhile.
    async fn hold(&self, subscription: Subscription, error: WakeError, now: Timestamp) -> Result<(), WakeError> {
        self.store.commit(vec![Write::next(Record::Subscription(subscription.held(now)))]).await?;
        Err(error)
    }
}

/// Whether what came in by transfer pays for the next period.
fn covers(account: Option<&VirtualAccount>, subscription: &Subscription) -> bool {
    account.zip(subscription.amount_due().ok()).is_some_and(|(account, amount)| account.covers(amount))
}

/// What is to be done about a period that is owed.
enum Next {
    Charge(Method),
    /// What could be charged must rest until then.
    Wait(Timestamp),
    Nothing,
}
