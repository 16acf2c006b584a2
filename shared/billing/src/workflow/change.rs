//! Changing what is bought: shown first, then made as it was shown.

use super::settle::Scene;
use super::{Billing, Live, Opening, WakeError, transition};
use crate::calendar::Interval;
use crate::catalog::PricingModel;
use crate::entitlement::{Downgrade, downgrade};
use crate::id::{CustomerId, FamilyId, IdempotencyKey, PlanId};
use crate::money::Currency;
use crate::payment::{Payment, PaymentStatus};
use crate::ports::{Clock, Found, GatewayError, Gateways, Key, Record, Store, StoreError, Write};
use crate::subscription::{Action, Change, Effective, Order, Preview, PreviewId, Refusal, Subscription};
use crate::wallet::Wallet;
use jiff::Timestamp;

/// A request to change what is bought. What is not named stays as it is.
#[derive(Clone, Debug)]
pub struct Wish {
    pub customer: CustomerId,
    pub action: Action,
    pub plan: Option<PlanId>,
    pub interval: Option<Interval>,
    pub quantity: Option<u32>,
    pub effective: Effective,
    /// The customer has seen what they lose by a downgrade.
    pub confirm: bool,
    /// The change is to cost what this preview said, to the minor unit.
    pub preview: Option<PreviewId>,
}

#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    #[error("there is no live subscription to change")]
    NoSubscription,
    #[error("`{0}` is not for sale")]
    NoSuchPlan(PlanId),
    #[error("{plan} is not sold by {interval} in {currency}")]
    NoSuchPrice { plan: PlanId, interval: Interval, currency: Currency },
    #[error("`{0}` is outside `{1}`: changes stay inside a family")]
    OtherFamily(PlanId, FamilyId),
    #[error("that plan is sold by the seat: say how many")]
    QuantityMissing,
    #[error("more is in use than the plan allows")]
    Blocked(Box<Downgrade>),
    #[error("a downgrade is made once its losses were shown: `confirm` is missing")]
    Unconfirmed(Box<Downgrade>),
    #[error("the payment for the change was declined: nothing has changed")]
    Declined(Box<Payment>),
    #[error("the subscription was changed by another request meanwhile")]
    Meanwhile,
    #[error("this Idempotency-Key was used for another request")]
    KeyReused,
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error(transparent)]
    Gateway(#[from] GatewayError),
    #[error(transparent)]
    Store(StoreError),
}

impl From<StoreError> for ChangeError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Conflict | StoreError::Duplicate => Self::Meanwhile,
            StoreError::Unavailable(_) => Self::Store(error),
        }
    }
}

/// What a change would do.
#[derive(Clone, Debug)]
pub struct Previewed {
    pub from: Order,
    pub preview: Preview,
    /// What stands in the way and what is lost, of a downgrade.
    pub downgrade: Option<Downgrade>,
}

/// The subscription now, and the payment for the change, if it costs something. While that
/// payment has no outcome the change is not made.
#[derive(Clone, Debug)]
pub struct Changed {
    pub subscription: Subscription,
    pub payment: Option<Payment>,
}

impl<S: Store, G: Gateways, C: Clock> Billing<S, G, C> {
    /// Changes nothing.
    pub async fn preview_change(&self, wish: &Wish) -> Result<Previewed, ChangeError> {
        let now = self.clock.now(Some(&wish.customer)).await?;
        let live = self.lookup(&wish.customer).await?.ok_or(ChangeError::NoSubscription)?;
        self.previewed(wish, &live, now).await
    }

    /// Makes the change, once for each idempotency key: at once if it costs nothing, else when its payment is made.
    pub async fn change(&self, wish: &Wish, key: &IdempotencyKey, fingerprint: &str) -> Result<Changed, ChangeError> {
        let opening = Opening { customer: &wish.customer, key, fingerprint };
        if let Some(changed) = self.changed_before(opening).await? {
            return Ok(changed);
        }
        let now = self.clock.now(Some(&wish.customer)).await?;
        let live = self.lookup(&wish.customer).await?.ok_or(ChangeError::NoSubscription)?;
        let Previewed { preview, downgrade, .. } = self.previewed(wish, &live, now).await?;
        match downgrade {
            Some(downgrade) if !downgrade.can_downgrade => return Err(ChangeError::Blocked(Box::new(downgrade))),
            Some(downgrade) if !wish.confirm => return Err(ChangeError::Unconfirmed(Box::new(downgrade))),
            Some(_) | None => {}
        }
        let made = match preview.due_now.minor > 0 {
            true => self.pay_for_change(opening, live, &preview, now).await,
            false => self.change_for_nothing(opening, live.subscription, &preview, now).await,
        };
        // Whatever went wrong, and whoever else changes it just now: if the key is ours, this was recorded, and the
        // records say what became of it.
        match self.changed_before(opening).await? {
            Some(changed) => Ok(changed),
            None => Err(made.err().unwrap_or(ChangeError::Meanwhile)),
        }
    }

    async fn previewed(&self, wish: &Wish, live: &Live, now: Timestamp) -> Result<Previewed, ChangeError> {
        let at = match &wish.preview {
            Some(id) if !id.holds(now) => return Err(Refusal::PreviewStale.into()),
            Some(id) => id.at,
            // A preview's id says when it was made, in seconds.
            None => Timestamp::from_second(now.as_second()).unwrap_or(now),
        };
        let subscription = &live.subscription;
        let from = subscription.order.clone();
        let (order, downgrade) = self.wished(wish, live).await?;
        let change = Change { action: wish.action, order, effective: wish.effective };
        let preview = subscription.preview(&change, at, now)?;
        match &wish.preview {
            Some(id) if *id != preview.id => Err(Refusal::PreviewStale.into()),
            Some(_) | None => Ok(Previewed { from, preview, downgrade }),
        }
    }

    /// The order that is wished for, and what going down to it means.
    async fn wished(&self, wish: &Wish, live: &Live) -> Result<(Order, Option<Downgrade>), ChangeError> {
        let held = &live.subscription.order;
        let currency = held.price.amount.currency;
        let interval = wish.interval.unwrap_or(held.price.interval);
        let wanted = wish.plan.as_ref().filter(|plan| **plan != held.plan.id);
        let (plan, downgrade) = match wanted {
            // Who has bought a version keeps it.
            None => (held.plan.clone(), None),
            Some(id) => {
                let keys = vec![Key::Plan(id.clone()), Key::Family(held.plan.family.clone())];
                let mut found = self.store.get(keys).await?;
                let no_such_plan = || ChangeError::NoSuchPlan(id.clone());
                let plan = found.plan().map(|it| it.plan).filter(|plan| plan.active).ok_or_else(no_such_plan)?;
                if plan.family != held.plan.family {
                    return Err(ChangeError::OtherFamily(id.clone(), held.plan.family.clone()));
                }
                let family = found.family().ok_or_else(no_such_plan)?.family;
                let down = wish.action == Action::Downgrade;
                let downgrade = down.then(|| downgrade(&held.plan, &plan, &family, &live.usage));
                (plan, downgrade)
            }
        };
        let same_price = wanted.is_none() && interval == held.price.interval;
        let price = if same_price { Some(held.price) } else { plan.price(interval, currency) };
        let price = price.filter(|price| price.recurring);
        let no_such_price = || ChangeError::NoSuchPrice { plan: plan.id.clone(), interval, currency };
        let price = price.ok_or_else(no_such_price)?;
        let quantity = match (wish.quantity, plan.pricing_model) {
            (Some(quantity), _) => quantity,
            (None, model) if model == held.plan.pricing_model => held.quantity,
            (None, PricingModel::PerSeat) => return Err(ChangeError::QuantityMissing),
            (None, PricingModel::Flat | PricingModel::Tokens) => 1,
        };
        Ok((Order { plan, price, quantity }, downgrade))
    }

    async fn change_for_nothing(
        &self,
        opening: Opening<'_>,
        subscription: Subscription,
        preview: &Preview,
        now: Timestamp,
    ) -> Result<(), ChangeError> {
        let claim = opening.claim(subscription.no_payment(), now);
        let events = subscription.change(preview);
        let (_, mut writes) = transition(subscription, events, now);
        writes.push(Write::Create(Record::Claim(claim)));
        Ok(self.store.commit(writes).await?)
    }

    /// The change is recorded as waiting for its payment before the gateway hears of that.
    async fn pay_for_change(
        &self,
        opening: Opening<'_>,
        live: Live,
        preview: &Preview,
        now: Timestamp,
    ) -> Result<(), ChangeError> {
        let Live { subscription, wallet, tokens, account, .. } = live;
        let wallet = wallet.unwrap_or_else(|| Wallet::empty(subscription.customer.clone()));
        let paid_with = |method: &crate::wallet::Method| {
            let (subscription, payment) = subscription.clone().paying_for_change(preview, method.clone(), now);
            self.gateways.accepts(&payment).is_ok().then_some((subscription, payment))
        };
        let (waiting, payment) = wallet.by_preference().find_map(paid_with).ok_or(Refusal::NoMethod)?;
        let claim = Write::Create(Record::Claim(opening.claim(payment.id.clone(), now)));
        let found = Found::new(tokens.map(Record::Tokens).into_iter().collect());
        let scene = Scene { subscription: Some(waiting), wallet, account, ..Scene::new(payment, found) };
        match self.collect_with(vec![claim], scene, now).await {
            Err(WakeError::Store(error)) => Err(error.into()),
            // What became of the payment, its record says.
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// How the change stands that was asked for under this key before, if one was.
    async fn changed_before(&self, opening: Opening<'_>) -> Result<Option<Changed>, ChangeError> {
        let Some(claim) = self.claimed(opening).await? else { return Ok(None) };
        if claim.fingerprint != opening.fingerprint {
            return Err(ChangeError::KeyReused);
        }
        let customer = opening.customer.clone();
        let keys = vec![Key::Subscription(customer.clone()), Key::Payment(customer, claim.payment)];
        let mut found = self.store.get(keys).await?;
        let subscription = found.subscription().ok_or(ChangeError::NoSubscription)?;
        match found.payment() {
            Some(payment) if matches!(payment.status, PaymentStatus::Failed { .. } | PaymentStatus::Expired { .. }) => {
                Err(ChangeError::Declined(Box::new(payment)))
            }
            payment => Ok(Some(Changed { subscription, payment })),
        }
    }
}
