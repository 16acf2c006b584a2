//! The customer is back from the page: ask the gateway, never the browser.

use super::Billing;
use crate::id::{CustomerId, PaymentId};
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

impl<S: Store, G: Gateways, C: Clock> Billing<S, G, C> {
    pub async fn verify(&self, customer: &CustomerId, id: &PaymentId) -> Result<(Payment, Subscription), VerifyError> {
        if !id.belongs_to(customer) {
            return Err(VerifyError::NoPayment);
        }
        let scene = self.scene(customer, id).await?.ok_or(VerifyError::NoPayment)?;
        let answer = match scene.payment.is_settled() {
            true => None,
            false => self.gateways.find(&scene.payment).await?,
        };
        let scene = match answer {
            Some(outcome) => {
                let now = self.clock.now().await?;
                self.settle(scene, outcome, None, now).await?
            }
            None => scene,
        };
        Ok((scene.payment, scene.subscription))
    }
}
