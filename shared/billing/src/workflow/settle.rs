//! The one path by which a payment's outcome becomes the truth.
//!
//! Webhooks, the verify endpoint, the renewal and retry workers and the
//! sweeper's reconciliation all end here, so an outcome means the same however
//! we learn of it, and learning of it twice changes nothing.

use super::closing::{leaving, meters_of};
use super::{Billing, MOST_RACES, WakeError, redeem, transition};
use crate::account::VirtualAccount;
use crate::delivery::Delivery;
use crate::id::{CustomerId, MethodId, PaymentId};
use crate::money::Money;
use crate::outcome::Outcome;
use crate::payment::{Paid, Payment};
use crate::ports::{Clock, Found, GatewayError, Gateways, Key, Record, Store, StoreError, StoredCoupon, Write};
use crate::subscription::{Event, Fact, Subscription};
use crate::token::Tokens;
use crate::wallet::{Method, Wallet};
use jiff::Timestamp;

/// All that a payment's outcome can change, as of one read.
#[derive(Clone, Debug)]
pub(super) struct Scene {
    pub(super) payment: Payment,
    /// The customer's newest subscription, which may not be the payment's. None:
    /// they have only left a payment method.
    pub(super) subscription: Option<Subscription>,
    pub(super) wallet: Wallet,
    pub(super) tokens: Tokens,
    /// Where money came in by transfer, and whether what is left of it has changed.
    pub(super) account: Option<VirtualAccount>,
    pub(super) account_changed: bool,
    /// That is redeemed if the payment is made.
    pub(super) coupon: Option<StoredCoupon>,
    /// The customer's meters, as far as they were read: if the period ends by it, they are billed.
    pub(super) meters: Found,
}

impl<S: Store, G: Gateways, C: Clock> Billing<S, G, C> {
    pub(super) async fn scene(&self, customer: &CustomerId, id: &PaymentId) -> Result<Option<Scene>, StoreError> {
        let keys = vec![
            Key::Payment(customer.clone(), id.clone()),
            Key::Subscription(customer.clone()),
            Key::Wallet(customer.clone()),
            Key::Tokens(customer.clone()),
            Key::Account(customer.clone()),
        ];
        let mut found = self.store.get(keys).await?;
        let Some(payment) = found.payment() else { return Ok(None) };
        let coupon = self.coupon(payment.redeems()).await?;
        let scene = Scene::new(payment, found);
        let meters = self.read(scene.subscription.as_ref().map_or(vec![], meters_of)).await?;
        Ok(Some(Scene { coupon, meters, ..scene }))
    }

    /// Commits what `outcome` means, together with the delivery that told us,
    /// if one did. Reads again and decides again when someone else was faster.
    pub(super) async fn settle(
        &self,
        mut scene: Scene,
        outcome: Outcome,
        delivery: Option<Delivery>,
        now: Timestamp,
    ) -> Result<Scene, StoreError> {
        for _ in 0..MOST_RACES {
            let (customer, id) = (scene.payment.customer.clone(), scene.payment.id.clone());
            let (settled, mut writes) = self.settled(scene, outcome.clone(), now);
            writes.extend(delivery.clone().map(|delivery| Write::next(Record::Delivery(delivery))));
            if writes.is_empty() {
                return Ok(settled);
            }
            match self.store.commit(writes).await {
                Ok(()) => return Ok(settled),
                // Someone moved on, or this delivery was handled before: what is stored is the truth.
                Err(StoreError::Conflict | StoreError::Duplicate) => {
                    scene = self.scene(&customer, &id).await?.ok_or(StoreError::Conflict)?;
                    if let Some(delivery) = &delivery
                        && self.is_done(&delivery.id).await?
                    {
                        return Ok(scene);
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Err(StoreError::Conflict)
    }

    /// What `outcome` makes of all this, and the writes that make it so.
    pub(super) fn settled(&self, scene: Scene, outcome: Outcome, now: Timestamp) -> (Scene, Vec<Write>) {
        let method = match &outcome {
            Outcome::Succeeded { method, .. } => method.clone(),
            Outcome::Pending(_) | Outcome::Declined(_) | Outcome::Expired => None,
        };
        let knew_method = scene.payment.paid().is_some_and(|paid| paid.method_known);
        match scene.payment.clone().settle(outcome, now) {
            None => (scene, vec![]),
            Some((payment, facts)) => {
                let method = method.filter(|_| !knew_method);
                let more = credit_by(&scene.payment, &payment);
                self.told(Scene { payment, ..scene }.credited(more), facts, method, now)
            }
        }
    }

    /// What `facts` about the payment mean for all else, and the writes that make it so.
    pub(super) fn told(
        &self,
        scene: Scene,
        facts: Vec<Fact>,
        method: Option<Method>,
        now: Timestamp,
    ) -> (Scene, Vec<Write>) {
        let Scene {
            mut payment,
            mut subscription,
            mut wallet,
            mut tokens,
            mut account,
            account_changed,
            coupon,
            mut meters,
        } = scene;
        let says_paid = facts.iter().any(|fact| matches!(fact, Fact::Paid { .. }));
        let mut events = vec![];
        let mut next = subscription.clone();
        if let Some(next) = &mut next {
            events = self.recorded(next, facts, &wallet, now);
        }
        let grants =
            |event: &Event| matches!(event, Event::Activated { .. } | Event::Renewed { .. } | Event::Restored { .. });
        let granted = events.iter().any(grants);
        if events.iter().any(|event| matches!(event, Event::RefundOwed { .. })) {
            payment = payment.owed_back(now);
        } else if says_paid && next.is_some() {
            payment = payment.counted_on();
        }
        let returned;
        (payment, returned) = payment.telling_returned();
        if let (Some(next), Some(returned)) = (&mut next, returned) {
            events.extend(self.recorded(next, vec![returned], &wallet, now));
        }

        let mut writes = vec![];
        let moved;
        (payment, moved) = payment.moving_tokens(&tokens);
        if let Some((held, event)) = moved {
            writes.push(Write::next(Record::Tokens(held.clone())));
            tokens = Tokens { version: held.version + 1, ..held };
            events.push(event);
        }
        // A payment that nobody wanted does not choose what is charged next. One that was wanted may name its method late.
        let kept = !says_paid && payment.paid().is_some_and(|paid| paid.refunds.is_empty() && paid.left() > 0);
        let changed = events.iter().any(|event| matches!(event, Event::Changed { .. }));
        let method = method.filter(|_| granted || changed || kept || payment.is_setup());
        let id = method.as_ref().map(Method::id);
        let remembered = method.and_then(|method| match payment.is_checkout() {
            true => wallet.remembering(method),
            // What we charged ourselves the customer has not chosen: it stays where it is, and gone if they removed it.
            false => wallet.refreshing(method),
        });
        if let Some(remembered) = remembered {
            writes.push(Write::next(Record::Wallet(remembered.clone())));
            wallet = Wallet { version: remembered.version + 1, ..remembered };
        }
        if let (Some(next), Some(method)) = (&mut next, id.filter(|_| payment.is_setup())) {
            events.extend(self.recorded(next, vec![Fact::MethodAdded { method: Some(method) }], &wallet, now));
        }

        let more;
        (payment, more) = redeem::settled(coupon, payment, &events);
        writes.extend(more);
        if let Some(before) = subscription.take() {
            // Whoever has counted since they were read is in the way: it is all read again.
            let (events, closed) = leaving(&before, events, &mut meters, now);
            writes.extend(closed);
            let (after, more) = transition(before, events, now);
            writes.extend(more);
            // A period that is paid brings its tokens in the same transaction, and no other way.
            if granted && let Some(more) = tokens.granted(&after.order.plan) {
                payment = payment.bringing(&more, &after.order.plan);
                writes.push(Write::next(Record::Tokens(more.clone())));
                tokens = Tokens { version: more.version + 1, ..more };
            }
            subscription = Some(after);
        }
        if let Some(account) = account.as_mut().filter(|_| account_changed) {
            writes.push(Write::next(Record::Account(account.clone())));
            account.version += 1;
        }
        writes.push(Write::next(Record::Payment(payment.clone())));
        payment.version += 1;
        let scene =
            Scene { payment, subscription, wallet, tokens, account, account_changed: false, coupon: None, meters };
        (scene, writes)
    }

    /// What follows from `facts`, one after the other; `subscription` becomes what they make of it.
    fn recorded(
        &self,
        subscription: &mut Subscription,
        facts: Vec<Fact>,
        wallet: &Wallet,
        now: Timestamp,
    ) -> Vec<Event> {
        let methods: Vec<MethodId> = self.chargeable(subscription, wallet, now).iter().map(Method::id).collect();
        let mut events = vec![];
        for fact in facts {
            let more = subscription.record(fact, &methods, now);
            *subscription = more.iter().fold(subscription.clone(), |state, event| state.apply(event));
            events.extend(more);
        }
        events
    }

    /// The customer's methods that what they owe could be charged to, the preferred one first.
    pub(super) fn chargeable(&self, subscription: &Subscription, wallet: &Wallet, now: Timestamp) -> Vec<Method> {
        let takes = |method: &&Method| matches!(self.takes(subscription, method, now), Ok(true));
        wallet.by_preference().filter(takes).cloned().collect()
    }

    /// Whether what is owed could be charged to `method`. An error says that nobody can tell before we have mended
    /// something of ours: keys that are missing.
    pub(super) fn takes(
        &self,
        subscription: &Subscription,
        method: &Method,
        now: Timestamp,
    ) -> Result<bool, WakeError> {
        let (_, payment) = subscription.clone().charging(method.clone(), now)?;
        match self.gateways.accepts(&payment) {
            Ok(()) => Ok(true),
            Err(GatewayError::Unacceptable { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

/// By how much a transfer that was `before`, and is `after`, leaves the customer more: what of it is neither gone nor
/// promised is their credit, or was spent. What is paid from credit changes it elsewhere.
pub(super) fn credit_by(before: &Payment, after: &Payment) -> Money {
    let left = |payment: &Payment| payment.paid().map_or(0, Paid::left);
    let minor = if after.transfer().is_some() { left(after) - left(before) } else { 0 };
    Money { minor, ..after.amount }
}

impl Scene {
    /// Of `payment`, with what was `found` of the rest.
    pub(super) fn new(payment: Payment, mut found: Found) -> Self {
        let customer = &payment.customer;
        let wallet = found.wallet().unwrap_or_else(|| Wallet::empty(customer.clone()));
        let tokens = found.tokens().unwrap_or_else(|| Tokens::none(customer.clone()));
        let (subscription, account) = (found.subscription(), found.account());
        let coupon = found.coupon();
        Self { payment, subscription, wallet, tokens, account, account_changed: false, coupon, meters: found }
    }

    /// With `more` on the customer's account, if it is in that currency.
    #[must_use]
    pub(super) fn credited(self, more: Money) -> Self {
        let changes = |account: &VirtualAccount| account.currency == more.currency && more.minor != 0;
        match self.account {
            Some(account) if changes(&account) => {
                Self { account: Some(account.credited(more.minor)), account_changed: true, ..self }
            }
            account => Self { account, ..self },
        }
    }

    /// Whether the attempt may be made or repeated: what it is for is still owed, and its method still the customer's.
    pub(super) fn wants_charge(&self) -> bool {
        let held = self.payment.charged_method().is_some_and(|method| self.wallet.method(&method.id()).is_some());
        let wanted = |it: &Subscription| it.wants_payment(&self.payment.id) && it.waits_for(&self.payment.id);
        held && self.subscription.as_ref().is_some_and(wanted)
    }

    /// Whether this is a page for what was bought another way, or is not wanted any more.
    pub(super) fn is_overtaken(&self) -> bool {
        let welcome = self.subscription.as_ref().is_some_and(|it| it.welcomes(&self.payment.id));
        self.payment.is_checkout() && !self.payment.is_setup() && !welcome
    }
}
