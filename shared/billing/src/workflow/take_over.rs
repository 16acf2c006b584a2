//! Subscriptions that ran elsewhere, taken over with what they were paid for: one after the other, each once, and none
//! charged by it.

use super::checkout::price;
use super::{Billing, MOST_RACES, NotForSale, transition};
use crate::calendar::zone::Zone;
use crate::calendar::{Interval, Period};
use crate::catalog::Plan;
use crate::id::{CustomerId, PlanId};
use crate::mail::Contact;
use crate::money::{Currency, Money};
use crate::order::Order;
use crate::ports::{Clock, Found, GatewayError, Gateways, Key, Record, Store, StoreError, Write};
use crate::subscription::{Refusal, Running, Subscription, Unfit};
use crate::token::Tokens;
use crate::wallet::{Method, Wallet};
use jiff::Timestamp;

/// Whose subscription is taken over, and how it stands where it ran.
#[derive(Clone, Debug)]
pub struct TakeOver {
    pub customer: CustomerId,
    /// How the customer is told that they must act.
    pub contact: Option<Contact>,
    pub plan: PlanId,
    pub interval: Interval,
    pub currency: Currency,
    /// Named for what is sold by the number.
    pub quantity: Option<u32>,
    pub period: Period,
    pub anchor: Option<Timestamp>,
    /// Minor units.
    pub paid: i64,
    pub tokens: Option<u64>,
    /// What the next period is charged to.
    pub method: Option<Method>,
    /// Tells this request from any other: the same one again is nothing new, however much later.
    pub fingerprint: String,
    /// On whose clock the periods are counted. None: the one they were counted on before, or UTC.
    pub time_zone: Option<Zone>,
}

/// How the customer's subscription came to be what it is.
#[derive(Clone, Debug)]
pub enum TakenOver {
    Now(Subscription),
    Before(Subscription),
}

#[derive(Debug, thiserror::Error)]
pub enum TakeOverError {
    #[error(transparent)]
    NotForSale(#[from] NotForSale),
    #[error("that plan is sold by the seat: say how many")]
    QuantityMissing,
    #[error(transparent)]
    Unfit(#[from] Unfit),
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Of the method.
    #[error(transparent)]
    Gateway(#[from] GatewayError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl<S: Store, G: Gateways, C: Clock> Billing<S, G, C> {
    /// The customer's subscription as it goes on here; on a `dry_run` as it would. Doing so twice is doing it once.
    pub async fn take_over(&self, wanted: &TakeOver, dry_run: bool) -> Result<TakenOver, TakeOverError> {
        let now = self.clock.now(Some(&wanted.customer)).await?;
        for _ in 0..MOST_RACES {
            let keys = vec![
                Key::Plan(wanted.plan.clone()),
                Key::Subscription(wanted.customer.clone()),
                Key::Wallet(wanted.customer.clone()),
                Key::Tokens(wanted.customer.clone()),
            ];
            let mut found = self.store.get(keys).await?;
            let current = found.subscription();
            let is_so =
                |known: &Subscription| known.taken_over.as_ref().is_some_and(|it| it.request == wanted.fingerprint);
            if let Some(known) = current.clone().filter(is_so) {
                return Ok(TakenOver::Before(known));
            }
            let order = wanted.order(&mut found)?;
            let paid = Money { minor: wanted.paid, ..order.price.amount };
            let running = Running {
                order,
                period: wanted.period,
                anchor: wanted.anchor,
                paid,
                tokens: wanted.tokens,
                time_zone: wanted.time_zone.clone(),
            };
            let (next, event) =
                Subscription::taking_over(current.as_ref(), &wanted.customer, &running, &wanted.fingerprint, now)?;
            let next = Subscription { contact: wanted.contact.clone().or(next.contact), ..next };
            // Whoever is about to buy the same here would pay for nothing.
            if !self.payments_open(&next).await?.is_empty() {
                return Err(Refusal::ChargeRunning.into());
            }
            let (subscription, mut writes) = transition(next, vec![event], now);
            if let Some(method) = &wanted.method {
                let (_, renewal) = subscription.clone().charging(method.clone(), now)?;
                self.gateways.accepts(&renewal)?;
            }
            if dry_run {
                return Ok(TakenOver::Now(subscription));
            }
            let past = current.filter(|current| current.id != subscription.id).map(Record::PastSubscription);
            writes.extend(past.map(Write::Create));
            writes.extend(wanted.besides(&subscription.order.plan, &mut found));
            match self.store.commit(writes).await {
                Ok(()) => return Ok(TakenOver::Now(subscription)),
                // The customer did something meanwhile, or somebody else this: read again and see.
                Err(StoreError::Duplicate | StoreError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(StoreError::Conflict.into())
    }
}

impl TakeOver {
    /// Whether it is on sale or not: who has a plan keeps it.
    fn order(&self, found: &mut Found) -> Result<Order, TakeOverError> {
        let plan = found.plan().map(|it| it.plan).ok_or_else(|| NotForSale::Plan(self.plan.clone()))?;
        let price = price(&plan, Some(self.interval), Some(self.currency))?;
        let quantity = match self.quantity {
            Some(quantity) => quantity,
            None if plan.pricing_model.is_by_quantity() => return Err(TakeOverError::QuantityMissing),
            None => 1,
        };
        Ok(Order { plan, price, quantity, addons: vec![], discount: None })
    }

    /// The method and the tokens that come with it.
    fn besides(&self, plan: &Plan, found: &mut Found) -> Vec<Write> {
        let wallet = found.wallet().unwrap_or_else(|| Wallet::empty(self.customer.clone()));
        let wallet = self.method.as_ref().and_then(|method| wallet.meeting(method));
        let held = found.tokens().unwrap_or_else(|| Tokens::none(self.customer.clone()));
        let tokens = self.tokens.map(|more| held.and(more, plan));
        let records = [wallet.map(Record::Wallet), tokens.map(Record::Tokens)];
        records.into_iter().flatten().map(Write::next).collect()
    }
}
