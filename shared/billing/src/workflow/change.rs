//! Changing what is bought: shown first, then made as it was shown.

use super::advance::AnswerError;
use super::settle::Scene;
use super::{Billing, Live, NotForSale, Opening, WakeError, transition};
use crate::calendar::Interval;
use crate::catalog::Plan;
use crate::entitlement::{Downgrade, downgrade};
use crate::id::{AddonId, CustomerId, FamilyId, IdempotencyKey, PlanId};
use crate::order::AddonRefusal;
use crate::payment::{Paid, Payment, PaymentStatus};
use crate::ports::{Clock, Found, GatewayError, Gateways, Key, Record, Store, StoreError, Write};
use crate::subscription::{Action, Change, Effective, Order, Preview, PreviewId, Refusal, Subscription};
use crate::wallet::{Method, Wallet};
use jiff::Timestamp;
use std::num::NonZeroU32;

/// A request to change what is bought. What is not named stays as it is.
#[derive(Clone, Debug)]
pub struct Wish {
    pub customer: CustomerId,
    pub action: Action,
    pub plan: Option<PlanId>,
    pub interval: Option<Interval>,
    /// Of an add-on, if one is named; else seats.
    pub quantity: Option<u32>,
    pub addon: Option<AddonId>,
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
    #[error(transparent)]
    NotForSale(#[from] NotForSale),
    #[error("`{0}` is outside `{1}`: changes stay inside a family")]
    OtherFamily(PlanId, FamilyId),
    #[error("{0} is not sold so: by that interval and in that currency there is no price")]
    NoPrice(PlanId),
    #[error("{0} has several prices: say by which interval and in which currency")]
    SeveralPrices(PlanId),
    #[error("that plan is sold by the seat: say how many")]
    QuantityMissing,
    #[error(transparent)]
    Addon(#[from] AddonRefusal),
    #[error("there are not more of add-on `{0}` than are to be left")]
    NotThatMany(AddonId),
    #[error("more is in use than the plan allows")]
    Blocked(Box<Downgrade>),
    #[error("a downgrade is made once its losses were shown: `confirm` is missing")]
    Unconfirmed(Box<Downgrade>),
    #[error("the payment for the change was declined: nothing has changed")]
    Declined(Box<Payment>),
    #[error("what was paid for it goes back: it came too late, or was not what was asked for")]
    GivenBack,
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

impl From<AnswerError> for ChangeError {
    fn from(error: AnswerError) -> Self {
        match error {
            AnswerError::Gateway(error) => error.into(),
            AnswerError::Store(error) => error.into(),
        }
    }
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

impl Wish {
    /// What is then had, if the plan is `plan` and all else that is not named as it is `held`.
    fn order(&self, held: &Order, plan: Plan) -> Result<Order, ChangeError> {
        if let Some(addon) = &self.addon {
            return self.with_addon(held, addon);
        }
        let (interval, currency) = (self.interval.unwrap_or(held.price.interval), held.price.amount.currency);
        let same_price = plan == held.plan && interval == held.price.interval;
        let price = if same_price { Some(held.price.clone()) } else { plan.price(interval, currency) };
        let no_such_price = || NotForSale::Price { plan: plan.id.clone(), interval, currency };
        let price = price.filter(|price| price.recurring).ok_or_else(no_such_price)?;
        let quantity = match self.quantity {
            Some(quantity) => quantity,
            None if plan.pricing_model.is_by_quantity() == held.plan.pricing_model.is_by_quantity() => held.quantity,
            None if plan.pricing_model.is_by_quantity() => return Err(ChangeError::QuantityMissing),
            None => 1,
        };
        let order = Order { plan, price, quantity, addons: held.addons.clone() };
        // Bought at other terms, they cost what these terms say; else they stay as they were bought.
        Ok(if same_price { order } else { order.with_addons_of(held) })
    }

    /// With so many of the add-on as are named: of one to add, one; of one to remove, none.
    fn with_addon(&self, held: &Order, addon: &AddonId) -> Result<Order, ChangeError> {
        match self.action {
            Action::RemoveAddon => {
                let left = held.clone().keeping_of_addon(addon, self.quantity.unwrap_or(0));
                left.ok_or_else(|| ChangeError::NotThatMany(addon.clone()))
            }
            Action::AddAddon | Action::Upgrade | Action::Downgrade | Action::ChangeSeats | Action::ChangeInterval => {
                let quantity = self.quantity.and_then(NonZeroU32::new).unwrap_or(NonZeroU32::MIN);
                Ok(held.clone().with_addon(addon, quantity)?)
            }
        }
    }
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

    /// The order that is wished for, and what it means if it allows less.
    async fn wished(&self, wish: &Wish, live: &Live) -> Result<(Order, Option<Downgrade>), ChangeError> {
        let held = &live.subscription.order;
        let wanted = wish.plan.as_ref().filter(|plan| **plan != held.plan.id);
        let mut keys = vec![];
        if wish.action.allows_less() || wanted.is_some() {
            keys.push(Key::Family(held.plan.family.clone()));
        }
        keys.extend(wanted.cloned().map(Key::Plan));
        let mut found = self.store.get(keys).await?;
        let plan = match wanted {
            // Who has bought a version keeps it.
            None => held.plan.clone(),
            Some(id) => {
                let plan = found.plan().map(|it| it.plan).filter(|plan| plan.active);
                let plan = plan.ok_or_else(|| NotForSale::Plan(id.clone()))?;
                if plan.family != held.plan.family {
                    return Err(ChangeError::OtherFamily(id.clone(), held.plan.family.clone()));
                }
                plan
            }
        };
        let order = wish.order(held, plan)?;
        let family = found.family().filter(|_| wish.action.allows_less());
        let downgrade = family.map(|it| downgrade(held, &order, &it.family, &live.usage));
        Ok((order, downgrade))
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
        let paying = |method: Method| Ok(subscription.clone().paying_for_change(preview, method, now));
        let (waiting, payment) = self.payable_with(&wallet, paying).await?;
        let claim = Write::Create(Record::Claim(opening.claim(payment.id.clone(), now)));
        let found = Found::new(tokens.map(Record::Tokens).into_iter().collect());
        let scene = Scene { subscription: Some(waiting), wallet, account, ..Scene::new(payment, found) };
        match self.collect_with(vec![claim], scene, now).await {
            Err(WakeError::Store(error)) => Err(error.into()),
            // What became of the payment, its record says.
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// The payment that `paying` makes with the first of the customer's methods that can pay it.
    pub(super) async fn payable_with(
        &self,
        wallet: &Wallet,
        paying: impl Fn(Method) -> Result<(Subscription, Payment), Refusal> + Send,
    ) -> Result<(Subscription, Payment), ChangeError> {
        let (mut methods, mut refused) = (vec![], None);
        for method in wallet.by_preference() {
            match self.gateways.accepts(&paying(method.clone())?.1) {
                Ok(()) => methods.push(method),
                Err(error) => refused = refused.or(Some(error)),
            }
        }
        let Some(first) = methods.first() else {
            return Err(refused.map_or(Refusal::NoMethod.into(), ChangeError::Gateway));
        };
        Ok(paying(self.answering(&wallet.customer, first, &methods).await?)?)
    }

    /// How the change stands that was asked for under this key before, if one was.
    pub(super) async fn changed_before(&self, opening: Opening<'_>) -> Result<Option<Changed>, ChangeError> {
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
            Some(payment) if payment.paid().is_some_and(Paid::is_owed_back) => Err(ChangeError::GivenBack),
            payment => Ok(Some(Changed { subscription, payment })),
        }
    }
}
