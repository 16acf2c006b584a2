//! The customer is back from the page: ask the gateway, never the browser.

use super::{Billing, WakeError};
use crate::id::{CustomerId, PaymentId};
use crate::outcome::Sighting;
use crate::payment::Payment;
use crate::ports::{Clock, GatewayError, Gateways, Store, StoreError};
use crate::subscription::Subscription;

#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    #[error("there is no such payment")]
    NoPayment,
    #[error(transparent)]
    Gateway(#[from] GatewayError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<WakeError> for VerifyError {
    fn from(error: WakeError) -> Self {
        match error {
            WakeError::Store(error) => error.into(),
            WakeError::Gateway(error) => error.into(),
            // Work that is due elsewhere has its own watchers; of this payment nothing is known.
            other @ (WakeError::Order(_)
            | WakeError::Unresolved(_)
            | WakeError::RefundStuck(_)
            | WakeError::RefundFailed(..)
            | WakeError::OurFault(..)
            | WakeError::ForMailer(_)
            | WakeError::Unread(_)
            | WakeError::UnknownPrice(..)
            | WakeError::Vanished(..)) => GatewayError::NoAnswer(Box::new(other)).into(),
        }
    }
}

impl<S: Store, G: Gateways, C: Clock> Billing<S, G, C> {
    /// Settled or not: money that was taken may have gone back since.
    pub async fn verify(
        &self,
        customer: &CustomerId,
        id: &PaymentId,
    ) -> Result<(Payment, Option<Subscription>), VerifyError> {
        if !id.belongs_to(customer) {
            return Err(VerifyError::NoPayment);
        }
        let scene = self.scene(customer, id).await?.ok_or(VerifyError::NoPayment)?;
        if scene.payment.is_paid_by_transfer() {
            let now = self.clock.now(Some(customer)).await?;
            self.look_for_transfers(customer, now).await?;
            let scene = self.scene(customer, id).await?.ok_or(VerifyError::NoPayment)?;
            return Ok((scene.payment, scene.subscription));
        }
        let scene = match self.gateways.find(&scene.payment, None).await {
            Ok(Sighting::Known(outcome)) => {
                let now = self.clock.now(Some(customer)).await?;
                self.settle(scene, outcome, None, now).await?
            }
            Ok(Sighting::NeverHeard | Sighting::CannotTell) => scene,
            // That it was paid is known: a gateway that is silent takes nothing of that back.
            Err(GatewayError::NoAnswer(_)) if scene.payment.is_settled() => scene,
            Err(error) => return Err(error.into()),
        };
        Ok((scene.payment, scene.subscription))
    }
}
