//! Someone wants to buy: record the order, then open a page to pay at.

use super::redeem::redeem;
use super::{Billing, CouponRefusal, Opening};
use crate::calendar::Interval;
use crate::calendar::zone::Zone;
use crate::catalog::{Plan, Price};
use crate::id::{CouponCode, CustomerId, IdempotencyKey, PlanId};
use crate::money::Currency;
use crate::payment::{CHECKOUT_STAYS_OPEN, CheckoutMethod, Gateway, Holder, Page, Payer, Payment, TRANSFER_AWAITED};
use crate::ports::{Clock, Found, GatewayError, Gateways, Key, Record, Store, StoreError, Write};
use crate::subscription::{Order, Refusal, Subscription};
use jiff::Timestamp;

/// A request to buy, as understood.
#[derive(Clone, Debug)]
pub struct Checkout {
    pub customer: CustomerId,
    pub email: Option<String>,
    pub plan: PlanId,
    pub interval: Interval,
    pub currency: Currency,
    pub quantity: u32,
    pub coupon: Option<CouponCode>,
    /// On whose clock the periods are counted. None: the one they were counted on before, or UTC.
    pub time_zone: Option<Zone>,
    pub gateway: Gateway,
    pub method: CheckoutMethod,
    pub return_url: Option<String>,
    /// In whose name a virtual account is opened, if it is paid into one.
    pub holder: Option<Holder>,
    pub key: IdempotencyKey,
    /// Of the request's body: the same key for another body is a mistake.
    pub fingerprint: String,
}

/// What is asked for is in no catalogue.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotForSale {
    #[error("`{0}` is not for sale")]
    Plan(PlanId),
    #[error("`{0}` is not sold in that currency")]
    Currency(PlanId),
    #[error("`{0}` is not sold by that interval in that currency")]
    Interval(PlanId),
    #[error("`{0}` has several prices: say by which interval and in which currency")]
    SeveralPrices(PlanId),
}

#[derive(Debug, thiserror::Error)]
pub enum CheckoutError {
    #[error(transparent)]
    NotForSale(#[from] NotForSale),
    #[error(transparent)]
    Coupon(#[from] CouponRefusal),
    #[error("there is no subscription")]
    NoSubscription,
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error("this Idempotency-Key was used for another request")]
    KeyReused,
    #[error("a request with this Idempotency-Key is still running")]
    InProgress,
    #[error(transparent)]
    Gateway(#[from] GatewayError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl<S: Store, G: Gateways, C: Clock> Billing<S, G, C> {
    /// Opens a checkout, once for each idempotency key.
    pub async fn checkout(&self, wanted: Checkout) -> Result<Payment, CheckoutError> {
        let opening = Opening { customer: &wanted.customer, key: &wanted.key, fingerprint: &wanted.fingerprint };
        let mut keys = vec![Key::Plan(wanted.plan.clone()), Key::Account(wanted.customer.clone())];
        keys.extend(wanted.coupon.clone().map(Key::Coupon));
        self.open_once(opening, &keys, |found, now| wanted.order(found, now)).await
    }
}

impl Checkout {
    /// The payment to open and everything else that is to be recorded before.
    fn order(&self, found: &mut Found, now: Timestamp) -> Result<(Payment, Vec<Write>), CheckoutError> {
        let (plan, interval, currency) = (for_sale(found, &self.plan)?, self.interval, self.currency);
        let price = price(&plan, Some(interval), Some(currency))?;
        let current = found.subscription();
        let discount = redeem(found, self.coupon.as_ref(), &plan, &price, current.as_ref(), now)?;
        let order = Order { plan, price, quantity: self.quantity, addons: vec![], discount };
        let known_as = self.known_as(found)?;
        let page = Page {
            gateway: self.gateway,
            payer: Payer { email: self.email.clone(), known_as, holder: self.holder.clone() },
            method: self.method,
            return_url: self.return_url.clone(),
            stays_open: match self.method {
                CheckoutMethod::VirtualAccount => TRANSFER_AWAITED,
                CheckoutMethod::Checkout | CheckoutMethod::ClientSecret | CheckoutMethod::BankTransfer => {
                    CHECKOUT_STAYS_OPEN
                }
            },
        };
        let ordered = Subscription::ordering(current.as_ref(), &self.customer, order, now)?;
        let (subscription, payment) = ordered.in_zone(self.time_zone.as_ref()).checkout(page, now)?;
        let past = current.filter(|current| current.id != subscription.id).map(Record::PastSubscription);
        let mut writes = vec![Write::next(Record::Subscription(subscription))];
        writes.extend(past.map(Write::Create));
        Ok((payment, writes))
    }

    /// The gateway's own name for the customer. Who has a virtual account keeps it, whatever their e-mail is now.
    fn known_as(&self, found: &mut Found) -> Result<Option<String>, CheckoutError> {
        match (self.method, found.account()) {
            (CheckoutMethod::VirtualAccount, Some(account)) if account.currency != self.currency => {
                let problem = format!("the customer's account is in {}", account.currency);
                Err(GatewayError::Unacceptable { field: "currency", problem }.into())
            }
            (CheckoutMethod::VirtualAccount, account) => Ok(account.map(|account| account.payer)),
            (CheckoutMethod::Checkout | CheckoutMethod::ClientSecret | CheckoutMethod::BankTransfer, _) => {
                Ok(found.wallet().and_then(|wallet| wallet.payer(self.gateway).map(str::to_owned)))
            }
        }
    }
}

/// The plan that was `found`, if it is sold now.
pub(super) fn for_sale(found: &mut Found, plan: &PlanId) -> Result<Plan, NotForSale> {
    found.plan().map(|it| it.plan).filter(|plan| plan.active).ok_or_else(|| NotForSale::Plan(plan.clone()))
}

/// The one price of `plan` that is meant by what is named of it.
pub(super) fn price(plan: &Plan, interval: Option<Interval>, currency: Option<Currency>) -> Result<Price, NotForSale> {
    let in_currency = |price: &&Price| currency.is_none_or(|it| it == price.amount.currency);
    let by_interval = |price: &&Price| interval.is_none_or(|it| it == price.interval);
    let mut meant = plan.prices.iter().filter(in_currency).filter(by_interval);
    match (meant.next(), meant.next()) {
        (Some(price), None) => Ok(price.clone()),
        (Some(_), Some(_)) => Err(NotForSale::SeveralPrices(plan.id.clone())),
        (None, _) if plan.prices.iter().any(|it| in_currency(&it)) => Err(NotForSale::Interval(plan.id.clone())),
        (None, _) => Err(NotForSale::Currency(plan.id.clone())),
    }
}
