//! A customer's payment methods: one is added on the gateway's own page, made
//! the default, or removed.

use super::{Billing, CheckoutError, MOST_RACES, Opening, WakeError};
use crate::id::{CustomerId, IdempotencyKey, MethodId, PaymentId};
use crate::money::{Currency, Money};
use crate::payment::{CHECKOUT_STAYS_OPEN, CheckoutMethod, Gateway, Page, Payer, Payment};
use crate::ports::{Clock, Found, Gateways, Key, Record, Store, StoreError, Write};
use crate::wallet::Wallet;
use jiff::Timestamp;

/// A request to leave a method without buying.
#[derive(Clone, Debug)]
pub struct Setup {
    pub customer: CustomerId,
    pub email: Option<String>,
    pub gateway: Gateway,
    /// In which a gateway that must charge something to prove the method does so.
    pub currency: Currency,
    pub return_url: Option<String>,
    pub key: IdempotencyKey,
    pub fingerprint: String,
}

#[derive(Debug, thiserror::Error)]
pub enum MethodError {
    #[error("there is no such payment method")]
    NoMethod,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl<S: Store, G: Gateways, C: Clock> Billing<S, G, C> {
    /// Opens a page on which a method is left. It becomes the default; what was charged to prove it goes back.
    pub async fn set_up(&self, wanted: Setup) -> Result<Payment, CheckoutError> {
        let amount = self.gateways.setup_amount(wanted.gateway, wanted.currency)?;
        let opening = Opening { customer: &wanted.customer, key: &wanted.key, fingerprint: &wanted.fingerprint };
        self.open_once(opening, &[], |found, now| Ok(wanted.order(found, amount, now))).await
    }

    /// The customer's methods, the default one last.
    pub async fn wallet(&self, customer: &CustomerId) -> Result<Wallet, StoreError> {
        let wallet = self.store.get(vec![Key::Wallet(customer.clone())]).await?.wallet();
        Ok(wallet.unwrap_or_else(|| Wallet::empty(customer.clone())))
    }

    /// Has renewals charged to the method called `id`.
    pub async fn prefer_method(&self, customer: &CustomerId, id: &MethodId) -> Result<Wallet, MethodError> {
        self.change_wallet(customer, |wallet, _| wallet.preferring(id)).await
    }

    /// Removes a method: no charge is made with it from now on. Its gateway is told until it has heard.
    pub async fn remove_method(&self, customer: &CustomerId, id: &MethodId) -> Result<Wallet, MethodError> {
        self.change_wallet(customer, |wallet, now| wallet.without(id, now)).await
    }

    async fn change_wallet(
        &self,
        customer: &CustomerId,
        change: impl Fn(&Wallet, Timestamp) -> Option<Wallet> + Send,
    ) -> Result<Wallet, MethodError> {
        let now = self.clock.now(Some(customer)).await?;
        for _ in 0..MOST_RACES {
            let wallet = self.wallet(customer).await?;
            let next = change(&wallet, now).ok_or(MethodError::NoMethod)?;
            if next == wallet {
                return Ok(wallet);
            }
            match self.store.commit(vec![Write::next(Record::Wallet(next.clone()))]).await {
                Ok(()) => return Ok(Wallet { version: next.version + 1, ..next }),
                Err(StoreError::Duplicate | StoreError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(StoreError::Conflict.into())
    }

    /// Tells gateways what the customer has removed.
    pub(super) async fn forget_methods(&self, customer: &CustomerId) -> Result<(), WakeError> {
        let now = self.clock.now(Some(customer)).await?;
        let wallet = self.wallet(customer).await?;
        let Some(leaving) = wallet.leaving.iter().find(|it| it.check_at <= now) else { return Ok(()) };
        let method = leaving.method.clone();
        let told = self.gateways.forget(&method).await;
        let next = match &told {
            Ok(()) => wallet.forgotten(&method),
            Err(_) => wallet.forgetting_later(&method, now),
        };
        self.store.commit(vec![Write::next(Record::Wallet(next))]).await?;
        Ok(told?)
    }
}

impl Setup {
    fn order(&self, found: &mut Found, amount: Money, now: Timestamp) -> (Payment, Vec<Write>) {
        let wallet = found.wallet().unwrap_or_else(|| Wallet::empty(self.customer.clone()));
        let wallet = Wallet { setups: wallet.setups.saturating_add(1), ..wallet };
        let page = Page {
            gateway: self.gateway,
            payer: Payer {
                email: self.email.clone(),
                known_as: wallet.payer(self.gateway).map(str::to_owned),
                holder: None,
            },
            method: CheckoutMethod::Checkout,
            return_url: self.return_url.clone(),
            stays_open: CHECKOUT_STAYS_OPEN,
        };
        let id = PaymentId::setup(&self.customer, wallet.setups);
        let payment = Payment::checkout(id, self.customer.clone(), None, amount, page, now);
        (payment, vec![Write::next(Record::Wallet(wallet))])
    }
}
