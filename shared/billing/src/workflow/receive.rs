//! A gateway tells us something. We keep it, then look for ourselves.

use super::{Billing, MOST_RACES, WakeError};
use crate::delivery::{Delivery, DeliveryId, DeliveryStatus, Notice};
use crate::id::Reference;
use crate::outcome::Sighting;
use crate::payment::Paid;
use crate::ports::{Clock, Gateways, Key, Record, Referred, Store, StoreError, Write};
use jiff::Timestamp;

impl<S: Store, G: Gateways, C: Clock> Billing<S, G, C> {
    /// Takes in a genuine delivery. When this returns `Ok`, the delivery is
    /// stored, and what it led to is stored with it or is due.
    pub async fn receive(&self, notice: Notice) -> Result<(), StoreError> {
        let mut keys = vec![Key::Delivery(notice.id.clone())];
        keys.extend(notice.reference.clone().map(|reference| Key::Reference(notice.id.gateway, reference)));
        let mut found = self.store.get(keys).await?;
        if found.delivery().is_some() {
            return Ok(()); // told before: it is done, or due
        }
        let referred = found.referred();
        let now = self.clock.now(referred.as_ref().map(|referred| &referred.customer)).await?;
        self.act(Delivery::done(notice, now), referred, now).await
    }

    /// Does what a delivery that could not be finished still wants.
    pub(super) async fn finish(&self, id: DeliveryId) -> Result<(), WakeError> {
        let Some(delivery) = self.store.get(vec![Key::Delivery(id)]).await?.delivery() else { return Ok(()) };
        let reference = delivery.reference.clone();
        let key = reference.map(|reference| Key::Reference(delivery.id.gateway, reference));
        let referred = self.store.get(key.into_iter().collect()).await?.referred();
        let now = self.clock.now(referred.as_ref().map(|referred| &referred.customer)).await?;
        if delivery.due_at().is_none_or(|due_at| now < due_at) {
            return Ok(());
        }
        let overdue = delivery.is_overdue(now).then(|| delivery.id.clone());
        self.act(delivery, referred, now).await?;
        match overdue {
            // It may be all that tells of a payment: it is not given up, but someone must hear of it.
            Some(id) if !self.is_done(&id).await? => Err(WakeError::Unread(id)),
            Some(_) | None => Ok(()),
        }
    }

    /// Reads the payment at the gateway, whatever the delivery said of it (I-18).
    async fn act(&self, delivery: Delivery, referred: Option<Referred>, now: Timestamp) -> Result<(), StoreError> {
        let about = referred.as_ref().map(|referred| (&referred.customer, &referred.payment));
        let of_account = about.is_some_and(|(_, payment)| payment.is_account());
        let looked = match about {
            Some((customer, payment)) if payment.is_account() => Some(self.look_for_transfers(customer, now).await),
            Some((customer, payment)) if payment.is_driven() => Some(self.look(customer, now).await),
            Some(_) | None => None,
        };
        if let Some(looked) = looked {
            return match looked {
                // Of an unknown price whoever does what is due tells: it is due at once.
                Ok(()) | Err(WakeError::UnknownPrice(..)) => match !of_account || self.has_come(&delivery).await? {
                    true => self.keep(delivery.finished()).await,
                    false => self.keep(delivery.waiting(now)).await,
                },
                Err(WakeError::Store(error)) => Err(error),
                Err(_) => self.keep(delivery.waiting(now)).await,
            };
        }
        let scene = match referred {
            Some(referred) => self.scene(&referred.customer, &referred.payment).await?,
            None => None, // not ours, or about nothing we sell: kept, and that is all
        };
        let Some(scene) = scene else { return self.keep(delivery.finished()).await };
        match self.gateways.find(&scene.payment, delivery.object.as_deref()).await {
            Ok(Sighting::Known(outcome)) => {
                let payment = self.settle(scene, outcome, Some(delivery.finished()), now).await?.payment;
                // It may tell of a refund that we asked for. Whether that is done is asked now; if not, it stays due.
                if let Some(number) = payment.paid().and_then(Paid::under_way) {
                    drop(self.give_back(payment, number, now).await);
                }
                Ok(())
            }
            // A page that nobody was told of has ended, as pages do: nothing was paid on it.
            Ok(_) if scene.payment.is_unopened() => self.keep(delivery.finished()).await,
            Ok(Sighting::NeverHeard | Sighting::CannotTell) | Err(_) => self.keep(delivery.waiting(now)).await,
        }
    }

    /// Whether the transfer that the delivery tells of was seen. A gateway's list may not have it yet.
    async fn has_come(&self, delivery: &Delivery) -> Result<bool, StoreError> {
        let Some(transfer) = &delivery.object else { return Ok(true) };
        let gateway = delivery.id.gateway;
        let key = Key::Reference(gateway, Reference::of_transfer(gateway.as_str(), transfer));
        Ok(self.store.get(vec![key]).await?.referred().is_some())
    }

    async fn keep(&self, delivery: Delivery) -> Result<(), StoreError> {
        for _ in 0..MOST_RACES {
            match self.store.commit(vec![Write::next(Record::Delivery(delivery.clone()))]).await {
                Err(StoreError::Duplicate) => return Ok(()), // another process kept it
                // A store may refuse for a moment what nobody else has written: that keeps nothing.
                Err(StoreError::Conflict) => {}
                kept => return kept,
            }
        }
        Err(StoreError::Conflict)
    }

    pub(super) async fn is_done(&self, id: &DeliveryId) -> Result<bool, StoreError> {
        let delivery = self.store.get(vec![Key::Delivery(id.clone())]).await?.delivery();
        Ok(delivery.is_some_and(|delivery| delivery.status == DeliveryStatus::Done))
    }
}
