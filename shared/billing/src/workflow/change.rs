//! Changing what is bought: shown first, then made as it was shown.

use super::checkout::price;
use super::closing::{leaving, meters_of};
use super::{Billing, ChangeError, Changed, Live, NotForSale, Opening, transition};
use crate::calendar::Interval;
use crate::catalog::Plan;
use crate::discount::Discount;
use crate::downgrade::{Downgrade, downgrade};
use crate::id::{AddonId, CustomerId, IdempotencyKey, PlanId};
use crate::ports::{Clock, Found, Gateways, Key, Record, Store, Write};
use crate::subscription::{Action, Change, Effective, Order, Preview, PreviewId, Refusal, Subscription};
use crate::wallet::Method;
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
    /// The customer has seen what they lose by it.
    pub confirm: bool,
    /// The change is to cost what this preview said, to the minor unit.
    pub preview: Option<PreviewId>,
}

/// What a change would do.
#[derive(Clone, Debug)]
pub struct Previewed {
    pub from: Order,
    pub preview: Preview,
    /// What stands in the way and what is lost, where it may allow less.
    pub downgrade: Option<Downgrade>,
}

impl Wish {
    /// What is then had, if the plan is `plan` and all else that is not named as it is `held`.
    fn order(&self, held: &Order, plan: Plan) -> Result<Order, ChangeError> {
        if let Some(addon) = &self.addon {
            return self.with_addon(held, addon);
        }
        let (interval, currency) = (self.interval.unwrap_or(held.price.interval), held.price.amount.currency);
        let same_price = plan == held.plan && interval == held.price.interval;
        let price = match price(&plan, Some(interval), Some(currency)) {
            _ if same_price => held.price.clone(),
            Err(NotForSale::Currency(plan)) => return Err(ChangeError::OtherCurrency(plan)),
            price => price?,
        };
        if !price.recurring {
            return Err(NotForSale::Interval(plan.id).into());
        }
        let quantity = match self.quantity {
            Some(quantity) => quantity,
            None => held.quantity_of(&plan).ok_or(ChangeError::QuantityMissing)?,
        };
        let discount = held.discount.clone().and_then(|discount| discount.of(&plan.id));
        // A month that staff give is no year.
        let discount = if interval == held.price.interval { discount } else { discount.and_then(Discount::redeemed) };
        let order = Order { plan, price, quantity, addons: held.addons.clone(), discount };
        // Bought at other terms, they cost what these terms say; else they stay as they were bought.
        Ok(if same_price { order } else { order.with_addons_of(held) })
    }

    /// With so many of the add-on as are named: of one to remove, none.
    fn with_addon(&self, held: &Order, addon: &AddonId) -> Result<Order, ChangeError> {
        match self.action {
            Action::RemoveAddon => {
                let left = held.clone().keeping_of_addon(addon, self.quantity.unwrap_or(0));
                left.ok_or_else(|| ChangeError::NotThatMany(addon.clone()))
            }
            Action::AddAddon | Action::Upgrade | Action::Downgrade | Action::ChangeSeats | Action::ChangeInterval => {
                Ok(held.clone().with_addon(addon, self.quantity.and_then(NonZeroU32::new))?)
            }
        }
    }
}

impl<S: Store, G: Gateways, C: Clock> Billing<S, G, C> {
    /// Changes nothing.
    pub async fn preview_change(&self, wish: &Wish) -> Result<Previewed, ChangeError> {
        let now = self.clock.now(Some(&wish.customer)).await?;
        let live = self.lookup_at(&wish.customer, now).await?.ok_or(ChangeError::NoSubscription)?;
        let (live, _) = billed_so_far(live, wish.effective, now);
        self.previewed(wish, &live, now).await
    }

    /// Makes the change, once for each idempotency key: at once if it costs nothing, else when its payment is made.
    pub async fn change(&self, wish: &Wish, key: &IdempotencyKey, fingerprint: &str) -> Result<Changed, ChangeError> {
        let opening = Opening { customer: &wish.customer, key, fingerprint };
        self.once(opening, self.make_change(wish, opening)).await
    }

    async fn make_change(&self, wish: &Wish, opening: Opening<'_>) -> Result<(), ChangeError> {
        let now = self.clock.now(Some(&wish.customer)).await?;
        let live = self.lookup_at(&wish.customer, now).await?.ok_or(ChangeError::NoSubscription)?;
        let (live, billed) = billed_so_far(live, wish.effective, now);
        let Previewed { preview, downgrade, .. } = self.previewed(wish, &live, now).await?;
        match downgrade {
            Some(blocked) if !blocked.is_possible(wish.effective) => {
                return Err(ChangeError::Blocked(Box::new(blocked)));
            }
            Some(downgrade) if !wish.confirm => return Err(ChangeError::Unconfirmed(Box::new(downgrade))),
            Some(_) | None => {}
        }
        if !billed.is_empty() {
            self.store.commit(billed).await?;
        }
        match preview.due_now.minor > 0 {
            true => self.pay_for_change(opening, live, &preview, now).await,
            false => self.change_for_nothing(opening, live.subscription, &preview, now).await,
        }
    }

    async fn previewed(&self, wish: &Wish, live: &Live, now: Timestamp) -> Result<Previewed, ChangeError> {
        let at = match &wish.preview {
            Some(id) if !id.holds(now) => return Err(Refusal::PreviewStale.into()),
            Some(id) => id.at,
            None => PreviewId::moment(now),
        };
        let subscription = &live.subscription;
        let from = subscription.order.clone();
        let (order, downgrade) = self.wished(wish, live, now).await?;
        let change = Change { action: wish.action, order, effective: wish.effective };
        let preview = subscription.preview(&change, &live.meters, at, now)?;
        match &wish.preview {
            Some(id) if *id != preview.id => Err(Refusal::PreviewStale.into()),
            Some(_) | None => Ok(Previewed { from, preview, downgrade }),
        }
    }

    /// The order that is wished for, and what it means if it allows less.
    async fn wished(
        &self,
        wish: &Wish,
        live: &Live,
        now: Timestamp,
    ) -> Result<(Order, Option<Downgrade>), ChangeError> {
        let held = &live.subscription.order;
        let wanted = wish.plan.as_ref().filter(|plan| **plan != held.plan.id);
        let family = Key::Family(held.plan.family.clone());
        let mut found = Found::default();
        let plan = match wanted {
            // Who has bought a version keeps it.
            None => held.plan.clone(),
            Some(id) => {
                found = self.store.get(vec![family.clone(), Key::Plan(id.clone())]).await?;
                let plan = found.plan().map(|it| it.plan).filter(|plan| plan.active);
                let plan = plan.ok_or_else(|| NotForSale::Plan(id.clone()))?;
                if plan.family != held.plan.family {
                    return Err(ChangeError::OtherFamily(id.clone(), held.plan.family.clone()));
                }
                plan
            }
        };
        let order = wish.order(held, plan)?;
        // What has no period has begun with none, and is not changed.
        let then = live.subscription.next_period(now).filter(|_| wish.action.allows_less(held, &order));
        let Some(then) = then else { return Ok((order, None)) };
        if wanted.is_none() {
            found = self.store.get(vec![family]).await?;
        }
        let family = found.family_of(&held.plan)?;
        let downgrade = downgrade(held, &order, &family, &live.usage, Some(&then));
        Ok((order, Some(downgrade)))
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
        let meters = if subscription.is_left_by(&events) { meters_of(&subscription) } else { vec![] };
        let mut found = self.read(meters).await?;
        let (events, mut writes) = leaving(&subscription, events, &mut found, now);
        writes.extend(transition(subscription, events, now).1);
        writes.push(Write::Create(Record::Claim(claim)));
        Ok(self.store.commit(writes).await?)
    }

    /// The change waits for its payment.
    async fn pay_for_change(
        &self,
        opening: Opening<'_>,
        live: Live,
        preview: &Preview,
        now: Timestamp,
    ) -> Result<(), ChangeError> {
        let Live { subscription, meters, wallet, tokens, account, .. } = live;
        let records = [wallet.map(Record::Wallet), tokens.map(Record::Tokens), account.map(Record::Account)];
        let meters = meters.into_iter().map(Record::Usage);
        let found = Found::new(records.into_iter().flatten().chain(meters).collect());
        let paying = |method: Method| Ok(subscription.clone().paying_for_change(preview, method, now));
        self.pay_at_once(opening, found, paying, vec![], now).await
    }
}

/// With what was used beyond limits so far on the next invoice, and the writes that put it there: a change at once is not
/// to allow what the old plan had a price for.
fn billed_so_far(live: Live, effective: Effective, now: Timestamp) -> (Live, Vec<Write>) {
    let event = match effective {
        Effective::Now => live.subscription.bill_so_far(&live.meters, now),
        Effective::PeriodEnd => None,
    };
    let (subscription, writes) = transition(live.subscription, event.into_iter().collect(), now);
    (Live { subscription, ..live }, writes)
}
