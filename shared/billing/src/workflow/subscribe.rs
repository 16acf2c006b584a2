//! Subscribing without a page: by a trial, or by a charge to a method that the customer has left before.

use super::checkout::{for_sale, price};
use super::redeem::{counted, held, redeem};
use super::{Billing, ChangeError, Changed, MOST_RACES, Opening, transition};
use crate::calendar::Interval;
use crate::calendar::zone::Zone;
use crate::catalog::Plan;
use crate::discount::Discount;
use crate::id::{CouponCode, CustomerId, IdempotencyKey, PaymentId, PlanId};
use crate::mail::Contact;
use crate::money::Currency;
use crate::order::Order;
use crate::payment::Payment;
use crate::ports::{Clock, Found, Gateways, Key, Record, Store, StoreError, StoredCoupon, Write};
use crate::subscription::{Event, Outlook, PreviewId, Refusal, Subscription};
use crate::token::Tokens;
use crate::wallet::{Method, Wallet};
use jiff::Timestamp;

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
    pub coupon: Option<CouponCode>,
    /// What the billing staff take off, if no coupon does.
    pub comp: Option<Discount>,
    /// On whose clock the periods are counted. None: the one they were counted on before, or UTC.
    pub time_zone: Option<Zone>,
    /// It is to cost what this said, to the minor unit.
    pub preview: Option<PreviewId>,
}

impl Subscribe {
    /// What is ordered, as far as the plan says.
    fn order(&self, plan: Plan) -> Result<Order, ChangeError> {
        let price = price(&plan, self.interval, self.currency)?;
        let quantity = match self.quantity {
            Some(quantity) => quantity,
            None if plan.pricing_model.is_by_quantity() => return Err(ChangeError::QuantityMissing),
            None => 1,
        };
        Ok(Order { plan, price, quantity, addons: vec![], discount: None })
    }
}

struct Ordered {
    /// Not begun.
    ordered: Subscription,
    /// What keeps the one before it, if there was one.
    past: Option<Write>,
    found: Found,
}

impl<S: Store, G: Gateways, C: Clock> Billing<S, G, C> {
    /// What subscribing would cost. Changes nothing.
    pub async fn preview_subscription(&self, wanted: &Subscribe) -> Result<Outlook, ChangeError> {
        let now = self.clock.now(Some(&wanted.customer)).await?;
        Ok(self.ordered(wanted, now).await?.ordered.outlook(PreviewId::moment(now))?)
    }

    /// Subscribes, once for each key: with the plan's trial, if it has one and the customer never had any, and has a method
    /// where it asks for one; else the first period is charged to the method that they prefer.
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
        for _ in 1..MOST_RACES {
            match self.try_to_subscribe(wanted, opening).await {
                // Others redeem the same coupon, or the customer did something: read again and decide again.
                Err(ChangeError::Meanwhile) => {}
                done => return done,
            }
        }
        self.try_to_subscribe(wanted, opening).await
    }

    async fn try_to_subscribe(&self, wanted: &Subscribe, opening: Opening<'_>) -> Result<(), ChangeError> {
        let now = self.clock.now(Some(&wanted.customer)).await?;
        let Ordered { ordered, past, mut found } = self.ordered(wanted, now).await?;
        PreviewId::still_holds(wanted.preview.as_ref(), now, |at| Ok(ordered.outlook(at)?.id))?;
        let free = ordered.costs_nothing()?;
        if let Some(started) = ordered.trial_on_offer(now) {
            if !free && ordered.order.plan.trial.is_some_and(|offer| offer.method_required) {
                let wallet = found.wallet().unwrap_or_else(|| Wallet::empty(wanted.customer.clone()));
                self.accepted(&wallet, &|method| ordered.clone().charging(method, now))?;
            }
            return self.begin_for_nothing(opening, ordered, started, found, past, now).await;
        }
        let open = self.payments_open(&ordered).await?;
        // No charge is made while another, or a page that is open, may still be paid (I-4). What costs nothing waits for no
        // page: who pays there yet gets that back.
        if open.iter().any(|payment| !free || payment.charged_method().is_some()) {
            return Err(Refusal::ChargeRunning.into());
        }
        if free {
            let (ordered, begun) = ordered.beginning_for_nothing(now)?;
            return self.begin_for_nothing(opening, ordered, begun, found, past, now).await;
        }
        let mut more: Vec<Write> = past.into_iter().collect();
        let coupon = held(found.coupon(), &ordered.order);
        let holds_coupon = coupon.is_some();
        if let Some(coupon) = coupon {
            more.push(Write::next(Record::Coupon(coupon.clone())));
            found.put(Record::Coupon(StoredCoupon { version: coupon.version + 1, ..coupon }));
        }
        let paying = |method: Method| {
            let (waiting, payment) = ordered.clone().charging(method, now)?;
            Ok((waiting, Payment { holds_coupon, ..payment }))
        };
        self.pay_at_once(opening, found, paying, more, now).await
    }

    /// What is ordered by `wanted`, as all stands now.
    async fn ordered(&self, wanted: &Subscribe, now: Timestamp) -> Result<Ordered, ChangeError> {
        let mut keys = vec![
            Key::Plan(wanted.plan.clone()),
            Key::Subscription(wanted.customer.clone()),
            Key::Wallet(wanted.customer.clone()),
            Key::Tokens(wanted.customer.clone()),
            Key::Account(wanted.customer.clone()),
        ];
        keys.extend(wanted.coupon.clone().map(Key::Coupon));
        let mut found = self.store.get(keys).await?;
        let order = wanted.order(for_sale(&mut found, &wanted.plan)?)?;
        let current = found.subscription();
        let discount = redeem(&found, wanted.coupon.as_ref(), &order.plan, &order.price, current.as_ref(), now)?;
        let given = || Some(Discount { plans: [order.plan.id.clone()].into(), ..wanted.comp.clone()? });
        let order = Order { discount: discount.or_else(given), ..order };
        order.amount()?;
        let ordered = Subscription::ordering(current.as_ref(), &wanted.customer, order, now)?;
        let ordered = ordered.in_zone(wanted.time_zone.as_ref());
        let ordered = Subscription { contact: wanted.contact.clone().or(ordered.contact), ..ordered };
        let past = current.filter(|current| current.id != ordered.id).map(Record::PastSubscription).map(Write::Create);
        Ok(Ordered { ordered, past, found })
    }

    /// The subscription begins by `event`, and there is nothing to charge.
    async fn begin_for_nothing(
        &self,
        opening: Opening<'_>,
        ordered: Subscription,
        event: Event,
        mut found: Found,
        past: Option<Write>,
        now: Timestamp,
    ) -> Result<(), ChangeError> {
        let claim = opening.claim(ordered.no_payment(), now);
        let paid = matches!(event, Event::Activated { .. });
        let mut writes = vec![Write::Create(Record::Claim(claim))];
        writes.extend(counted(found.coupon(), std::slice::from_ref(&event)));
        let (begun, more) = transition(ordered, vec![event], now);
        let tokens = found.tokens().unwrap_or_else(|| Tokens::none(begun.customer.clone()));
        writes.extend(tokens.granted(&begun.order.plan).filter(|_| paid).map(|it| Write::next(Record::Tokens(it))));
        writes.extend(more);
        writes.extend(past);
        Ok(self.store.commit(writes).await?)
    }

    /// The charges that were made for the order, and the pages that are open, which may still be paid.
    pub(super) async fn payments_open(&self, ordered: &Subscription) -> Result<Vec<Payment>, StoreError> {
        let attempts = (1..=ordered.attempts).rev().take(MOST_ATTEMPTS_LOOKED_AT);
        let id = |attempt| PaymentId { subscription: ordered.id.clone(), period: 0, attempt };
        let keys = attempts.map(|attempt| Key::Payment(ordered.customer.clone(), id(attempt))).collect();
        let mut found = self.store.get(keys).await?;
        let payments = std::iter::from_fn(|| found.payment());
        Ok(payments.filter(|payment| !payment.is_settled() && payment.due_at().is_some()).collect())
    }
}
