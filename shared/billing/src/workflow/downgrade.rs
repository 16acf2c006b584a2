//! May this customer go down to that plan, and if not, what must they reduce?

use super::Billing;
use crate::downgrade::{Downgrade, downgrade};
use crate::id::{CustomerId, FamilyId, PlanId};
use crate::order::Order;
use crate::ports::{Clock, Gateways, Key, Store, StoreError};

#[derive(Debug, thiserror::Error)]
pub enum DowngradeError {
    #[error("there is no live subscription to change")]
    NoSubscription,
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
    pub async fn validate_downgrade(
        &self,
        customer: &CustomerId,
        wanted: &PlanId,
    ) -> Result<Downgrade, DowngradeError> {
        let live = self.lookup(customer).await?.filter(|live| live.subscription.is_live());
        let live = live.ok_or(DowngradeError::NoSubscription)?;
        let order = &live.subscription.order;
        let present = &order.plan;
        let mut found = self.store.get(vec![Key::Plan(wanted.clone()), Key::Family(present.family.clone())]).await?;
        let no_such_plan = || DowngradeError::NoSuchPlan(wanted.clone());
        let plan = found.plan().map(|it| it.plan).filter(|plan| plan.active).ok_or_else(no_such_plan)?;
        if plan.family != present.family {
            return Err(DowngradeError::OtherFamily(wanted.clone(), present.family.clone()));
        }
        if plan.tier >= present.tier {
            return Err(DowngradeError::NotLower(wanted.clone()));
        }
        let family = found.family().ok_or_else(no_such_plan)?.family;
        // What it would allow, at whichever price: with the add-ons that it offers too.
        let then = Order { plan, ..order.clone() }.with_addons_of(order);
        Ok(downgrade(order, &then, &family, &live.usage))
    }
}
