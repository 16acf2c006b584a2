//! Subscribing without a page: by a trial, or by a charge to a method that the customer has left before.

use super::checkout::for_sale;
use super::{Billing, ChangeError, Changed, Opening, transition};
use crate::calendar::Interval;
use crate::catalog::{Plan, Price};
use crate::id::{CustomerId, IdempotencyKey, PaymentId, PlanId};
use crate::mail::Contact;
use crate::money::Currency;
use crate::order::Order;
use crate::ports::{Clock, Gateways, Key, Record, Store, StoreError, Write};
use crate::subscription::{Refusal, Subscription};
use crate::wallet::Method;

/// More pages than are opened for one order in the day that they stay open.
const MOST_ATTEMPTS_LOOKED_AT: usize = 20;

/// A request to subscribe. Of the price, as much is named as tells it from the plan's others.
#[derive(Clone, Debug)]
pub struct Subscribe {
    pub customer: CustomerId,
    /// How the customer is told that they must act.
    pub contact: Option<Contact>,
    pub plan: PlanId,
    pub interval: Option<Interval>,
    pub currency: Option<Currency>,
    /// Named for what is sold by the number.
    pub quantity: Option<u32>,
}

impl Subscribe {
    fn order(&self, plan: Plan) -> Result<Order, ChangeError> {
        let meant = |price: &&Price| {
            self.interval.is_none_or(|it| it == price.interval)
                && self.currency.is_none_or(|it| it == price.amount.currency)
        };
        let mut prices = plan.prices.iter().filter(meant);
        let price = match (prices.next(), prices.next()) {
            (Some(price), None) => price.clone(),
            (None, _) => return Err(ChangeError::NoPrice(plan.id)),
            (Some(_), Some(_)) => return Err(ChangeError::SeveralPrices(plan.id)),
        };
        let quantity = match self.quantity {
            Some(quantity) => quantity,
            None if plan.pricing_model.is_by_quantity() => return Err(ChangeError::QuantityMissing),
            None => 1,
        };
        Ok(Order { plan, price, quantity, addons: vec![] })
    }
}

impl<S: Store, G: Gateways, C: Clock> Billing<S, G, C> {
    /// Subscribes, once for each key: with the plan's trial, if it has one and the customer never had any; else the
    /// first period is charged to the method that they prefer.
    pub async fn subscribe(
        &self,
        wanted: &Subscribe,
        key: &IdempotencyKey,
        fingerprint: &str,
    ) -> Result<Changed, ChangeError> {
        let opening = Opening { customer: &wanted.customer, key, fingerprint };
        self.once(opening, self.make_subscription(wanted, opening)).await
    }

    async fn make_subscription(&self, wanted: &Subscribe, opening: Opening<'_>) -> Result<(), ChangeError> {
        let now = self.clock.now(Some(&wanted.customer)).await?;
        let keys = vec![
            Key::Plan(wanted.plan.clone()),
            Key::Subscription(wanted.customer.clone()),
            Key::Wallet(wanted.customer.clone()),
            Key::Tokens(wanted.customer.clone()),
            Key::Account(wanted.customer.clone()),
        ];
        let mut found = self.store.get(keys).await?;
        let order = wanted.order(for_sale(&mut found, &wanted.plan)?)?;
        order.amount()?;
        let current = found.subscription();
        let ordered = Subscription::ordering(current.as_ref(), &wanted.customer, order, now)?;
        let ordered = Subscription { contact: wanted.contact.clone().or(ordered.contact), ..ordered };
        let past = current.filter(|current| current.id != ordered.id).map(Record::PastSubscription).map(Write::Create);
        match ordered.trial_on_offer(now) {
            Some(started) => {
                let claim = opening.claim(ordered.no_payment(), now);
                let (_, mut writes) = transition(ordered, vec![started], now);
                writes.push(Write::Create(Record::Claim(claim)));
                writes.extend(past);
                Ok(self.store.commit(writes).await?)
            }
            None => {
                if self.has_payment_open(&ordered).await? {
                    return Err(Refusal::ChargeRunning.into());
                }
                let paying = |method: Method| ordered.clone().charging(method, now);
                self.pay_at_once(opening, found, paying, past.into_iter().collect(), now).await
            }
        }
    }

    /// Whether a charge that was made for the order, or a page that is open, may still be paid: no other is made then (I-4).
    pub(super) async fn has_payment_open(&self, ordered: &Subscription) -> Result<bool, StoreError> {
        let attempts = (1..=ordered.attempts).rev().take(MOST_ATTEMPTS_LOOKED_AT);
        let id = |attempt| PaymentId { subscription: ordered.id.clone(), period: 0, attempt };
        let keys = attempts.map(|attempt| Key::Payment(ordered.customer.clone(), id(attempt))).collect();
        let mut found = self.store.get(keys).await?;
        while let Some(payment) = found.payment() {
            if !payment.is_settled() && payment.due_at().is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
