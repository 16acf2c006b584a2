//! May this customer go down to that plan, and if not, what must they reduce, and which plan would do?

use super::Billing;
use crate::catalog::Plan;
use crate::downgrade::{CheapestFit, Downgrade, cheapest_fit, downgrade};
use crate::id::{CustomerId, FamilyId, PlanId};
use crate::order::Order;
use crate::ports::{Clock, Gateways, Store, StoreError};
use crate::subscription::{Action, Refusal, Status};
use serde::Serialize;

/// What a customer should know before they go down to a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Advice {
    #[serde(flatten)]
    pub downgrade: Downgrade,
    /// Which may be the wanted plan, or the one that they have. None: no plan alone holds what is in use.
    pub cheapest_fit: Option<CheapestFit>,
}

#[derive(Debug, thiserror::Error)]
pub enum DowngradeError {
    #[error("there is no subscription to change")]
    NoSubscription,
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error("`{0}` is not for sale")]
    NoSuchPlan(PlanId),
    #[error("`{0}` is outside `{1}`: changes stay inside a family")]
    OtherFamily(PlanId, FamilyId),
    #[error("`{0}` is not below the present plan")]
    NotLower(PlanId),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl<S: Store, G: Gateways, C: Clock> Billing<S, G, C> {
    /// An answer, whether or not the downgrade is blocked. Changes nothing.
    pub async fn validate_downgrade(&self, customer: &CustomerId, wanted: &PlanId) -> Result<Advice, DowngradeError> {
        let now = self.clock.now(Some(customer)).await?;
        let live = self.lookup_at(customer, now).await?.ok_or(DowngradeError::NoSubscription)?;
        match &live.subscription.status {
            Status::Incomplete => return Err(Refusal::NotActive.into()),
            Status::Canceled { .. } | Status::Expired { .. } => return Err(Refusal::Ended.into()),
            // Also of who may not change anything just now: what is in use fits, or it does not.
            Status::Active { .. } | Status::PastDue { .. } | Status::Paused { .. } => {}
        }
        // What is owed in suspension is put off until it is paid: nobody knows when it ends.
        let ends = live.subscription.is_live() && live.subscription.is_followed();
        let next_period = live.subscription.next_period(now).filter(|_| ends);
        let order = &live.subscription.order;
        let present = &order.plan;
        // One request, as the wanted plan and the family alone would be.
        let mut found = self.store.catalogue().await?;
        let plans: Vec<Plan> = std::iter::from_fn(|| found.plan()).map(|it| it.plan).collect();
        let no_such_plan = || DowngradeError::NoSuchPlan(wanted.clone());
        let plan = plans.iter().find(|plan| plan.id == *wanted && plan.active).ok_or_else(no_such_plan)?;
        if plan.family != present.family {
            return Err(DowngradeError::OtherFamily(wanted.clone(), present.family.clone()));
        }
        // What it would allow, at whichever price: with the add-ons that it offers too.
        let quantity = order.quantity_of(plan).unwrap_or(order.quantity);
        let then = Order { plan: plan.clone(), quantity, ..order.clone() }.with_addons_of(order);
        if !is_lower(order, &then) {
            return Err(DowngradeError::NotLower(wanted.clone()));
        }
        let mut families = std::iter::from_fn(|| found.family()).map(|it| it.family);
        let family = families.find(|family| family.id == present.family).ok_or_else(no_such_plan)?;
        Ok(Advice {
            downgrade: downgrade(order, &then, &family, &live.usage, next_period.as_ref()),
            cheapest_fit: cheapest_fit(order, &plans, &family, &live.usage),
        })
    }
}

/// Whether a change to `then` is a downgrade, at its plan's own price for the same interval where it has one.
fn is_lower(held: &Order, then: &Order) -> bool {
    let own = then.plan.price(held.price.interval, held.price.amount.currency);
    let priced = own.map(|price| Order { price, ..then.clone() });
    then.plan.tier < held.plan.tier || priced.is_some_and(|it| Action::of(held, &it) == Some(Action::Downgrade))
}
