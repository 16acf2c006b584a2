//! Money that comes in by itself: every transfer is recorded, becomes the
//! customer's credit, and pays what they wait for or owe.

use super::settle::Scene;
use super::{Billing, CheckoutError, MOST_RACES, WakeError};
use crate::account::{Incoming, VirtualAccount};
use crate::id::{CustomerId, PaymentId, Reference};
use crate::money::Money;
use crate::outcome::Outcome;
use crate::payment::{CheckoutMethod, Gateway, Page, Payer, Payment, PaymentStatus, RECOVERY_STAYS_OPEN};
use crate::ports::{Clock, GatewayError, Gateways, Key, Record, Referred, Store, StoreError, Write};
use crate::subscription::{Due, Status, Subscription};
use jiff::Timestamp;
use std::collections::BTreeSet;

impl<S: Store, G: Gateways, C: Clock> Billing<S, G, C> {
    /// What is to be stored of the virtual account that the gateway has opened for `payment`.
    pub(super) async fn account_of(&self, payment: &Payment) -> Result<Vec<Write>, CheckoutError> {
        let (Some(opened), Some(account)) = (payment.opened(), payment.bank_account()) else { return Ok(vec![]) };
        let (payer, account) = (opened.id.clone(), account.clone());
        let now = self.clock.now(Some(&payment.customer)).await?;
        let named = Reference::of_account(payment.gateway.as_str(), &account.account_number);
        let keys = vec![Key::Account(payment.customer.clone()), Key::Reference(payment.gateway, named)];
        let mut found = self.store.get(keys).await?;
        let awaited = Some(payment.id.clone());
        let next = match found.account() {
            // The old number keeps its reference: what still comes there is theirs too.
            Some(known) => VirtualAccount { payer, account, awaited, ..known },
            None => VirtualAccount {
                customer: payment.customer.clone(),
                gateway: payment.gateway,
                payer,
                currency: payment.amount.currency,
                account,
                received: 0,
                credit: 0,
                awaited,
                opened_at: now,
                check_at: now,
                version: 0,
            },
        };
        let mut writes = vec![];
        if found.referred().is_none() {
            writes.push(Write::Create(Record::Reference(Referred::to_account(&next))));
        }
        writes.push(Write::next(Record::Account(next)));
        Ok(writes)
    }

    /// Asks the gateway what came in, takes it in, and pays with it what it pays for.
    pub(super) async fn look_for_transfers(&self, customer: &CustomerId, now: Timestamp) -> Result<(), WakeError> {
        let Some(account) = self.account(customer).await? else { return Ok(()) };
        for incoming in self.gateways.transfers(&account).await? {
            self.take_in(customer, account.gateway, incoming, now).await?;
        }
        self.spend_credit(customer, now).await
    }

    /// Records a transfer and credits the customer with it, once.
    async fn take_in(
        &self,
        customer: &CustomerId,
        gateway: Gateway,
        incoming: Incoming,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let reference = Reference::of_transfer(gateway.as_str(), &incoming.reference);
        for _ in 0..MOST_RACES {
            let keys = vec![Key::Account(customer.clone()), Key::Reference(gateway, reference.clone())];
            let mut found = self.store.get(keys).await?;
            let Some(account) = found.account().filter(|_| found.referred().is_none()) else { return Ok(()) };
            let account = VirtualAccount { received: account.received.saturating_add(1), ..account };
            let id = PaymentId::transfer(customer, account.received);
            let payment = Payment::received(id, customer.clone(), gateway, incoming.clone(), now);
            let (payment, account) = match incoming.receipt.amount.currency == account.currency {
                true => (payment, account.credited(incoming.receipt.amount.minor)),
                // Nothing of ours is sold for it: it goes back.
                false => (payment.owed_back(now), account),
            };
            let writes = vec![
                Write::Create(Record::Reference(Referred::to(&payment))),
                Write::next(Record::Payment(payment)),
                Write::next(Record::Account(account)),
            ];
            match self.store.commit(writes).await {
                Err(StoreError::Duplicate | StoreError::Conflict) => {}
                done => return done,
            }
        }
        Err(StoreError::Conflict)
    }

    /// Pays what the customer waits for or owes, if what came in covers it.
    pub(super) async fn spend_credit(&self, customer: &CustomerId, now: Timestamp) -> Result<(), WakeError> {
        for _ in 0..MOST_RACES {
            let keys = vec![
                Key::Account(customer.clone()),
                Key::Subscription(customer.clone()),
                Key::Wallet(customer.clone()),
                Key::Tokens(customer.clone()),
            ];
            let mut found = self.store.get(keys).await?;
            let (Some(account), Some(subscription)) = (found.account(), found.subscription()) else { return Ok(()) };
            let Some((subscription, payment)) = self.payable(&account, subscription, now).await? else {
                return Ok(());
            };
            let redeems = payment.redeems().cloned();
            let Some((payment, facts)) = payment.paid_by_transfer(now) else { return Ok(()) };
            let spent = Money { minor: -payment.amount.minor, ..payment.amount };
            let coupon = self.coupon(redeems.as_ref()).await?;
            let (subscription, account) = (Some(subscription), Some(account));
            let scene = Scene { subscription, account, coupon, ..Scene::new(payment, found) };
            let (_, writes) = self.told(scene.credited(spent), facts, None, now);
            match self.store.commit(writes).await {
                Err(StoreError::Duplicate | StoreError::Conflict) => {}
                done => return Ok(done?),
            }
        }
        Err(StoreError::Conflict.into())
    }

    /// The payment that the credit of `account` makes, and the subscription waiting for it.
    async fn payable(
        &self,
        account: &VirtualAccount,
        subscription: Subscription,
        now: Timestamp,
    ) -> Result<Option<(Subscription, Payment)>, WakeError> {
        if subscription.is_driven() {
            return Ok(None);
        }
        let customer = &account.customer;
        let waiting: Vec<Key> = subscription
            .open
            .iter()
            .chain(&account.awaited)
            .cloned()
            .collect::<BTreeSet<_>>()
            .into_iter()
            .map(|id| Key::Payment(customer.clone(), id))
            .collect();
        let mut found = self.store.get(waiting).await?;
        let mut page_open = false;
        while let Some(payment) = found.payment() {
            let welcome = subscription.welcomes(&payment.id) && !payment.is_settled();
            if welcome && payment.is_paid_by_transfer() && account.covers(payment.amount) {
                return Ok(Some((subscription, payment)));
            }
            page_open |= subscription.waits_for(&payment.id) && !payment.is_paid_by_transfer();
        }
        // Another attempt for the same period has its say first; grace does not wait for it.
        if page_open && subscription.due(now).is_none() {
            return Ok(None);
        }
        let owed = match &subscription.status {
            Status::Active { .. } => subscription.due(now) == Some(Due::Payment),
            Status::PastDue { .. } => true,
            Status::Incomplete | Status::Paused { .. } | Status::Canceled { .. } | Status::Expired { .. } => false,
        };
        // What was used is on the invoice before anything pays for it: whoever renews has seen to that.
        let unbilled = owed && subscription.meters_to_bill().is_some();
        if unbilled || self.is_blocked(&subscription, now).await? {
            return Ok(None);
        }
        let due = subscription.amount_due()?;
        // What the balance pays for needs no payment.
        if !owed || due.minor == 0 || !account.covers(due) {
            return Ok(None);
        }
        let page = Page {
            gateway: account.gateway,
            payer: Payer { email: None, known_as: Some(account.payer.clone()), holder: None },
            method: CheckoutMethod::VirtualAccount,
            return_url: None,
            stays_open: RECOVERY_STAYS_OPEN,
        };
        Ok(Some(subscription.checkout(page, now)?))
    }

    /// A payment that waits for a transfer: has it come, or is its time over?
    pub(super) async fn await_transfer(&self, scene: Scene, now: Timestamp) -> Result<(), WakeError> {
        let (customer, id) = (scene.payment.customer.clone(), scene.payment.id.clone());
        let looked = self.look_for_transfers(&customer, now).await;
        let Some(scene) = self.scene(&customer, &id).await? else { return Ok(()) };
        if scene.payment.due_at().is_none_or(|due_at| now < due_at) {
            return looked;
        }
        match (&scene.payment.status, looked) {
            (PaymentStatus::Pending { .. } | PaymentStatus::Unresolved { .. }, Ok(()))
                if scene.payment.is_closing(now) || scene.is_overtaken() =>
            {
                self.settle(scene, Outcome::Expired, None, now).await?;
                Ok(())
            }
            (_, looked) => {
                self.store.commit(vec![Write::next(Record::Payment(scene.payment.unanswered(now)))]).await?;
                looked.or_else(silence)
            }
        }
    }

    /// The daily look for what no webhook told of.
    pub(super) async fn watch_account(&self, customer: &CustomerId) -> Result<(), WakeError> {
        let now = self.clock.now(Some(customer)).await?;
        if self.account(customer).await?.is_none_or(|account| now < account.check_at) {
            return Ok(());
        }
        let looked = self.look_for_transfers(customer, now).await;
        if let Some(account) = self.account(customer).await?.filter(|account| account.check_at <= now) {
            self.store.commit(vec![Write::next(Record::Account(account.looked(now)))]).await?;
        }
        looked.or_else(silence)
    }

    pub async fn account(&self, customer: &CustomerId) -> Result<Option<VirtualAccount>, StoreError> {
        Ok(self.store.get(vec![Key::Account(customer.clone())]).await?.account())
    }
}

/// Not hearing back is expected: it is asked again.
pub(super) fn silence(error: WakeError) -> Result<(), WakeError> {
    if matches!(error, WakeError::Gateway(GatewayError::NoAnswer(_))) { Ok(()) } else { Err(error) }
}
