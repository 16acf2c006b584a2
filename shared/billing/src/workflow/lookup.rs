//! All that a page or a service needs to know of a customer, in one request.

use super::Billing;
use super::alerts::OpenAlert;
use crate::account::VirtualAccount;
use crate::entitlement::{Entitlement, Usage, entitlement, entitlements, holds_until, unserved};
use crate::id::{CustomerId, FeatureId, MeterId, PaymentId};
use crate::payment::Payment;
use crate::ports::{Clock, Gateways, Key, Store, StoreError};
use crate::statistics::{Statistics, date, first_of};
use crate::subscription::Subscription;
use crate::token::Tokens;
use crate::usage::MeterUsage;
use crate::wallet::Wallet;
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;

#[derive(Clone, Debug)]
pub struct Live {
    /// When it is so.
    pub now: Timestamp,
    pub subscription: Subscription,
    pub usage: Usage,
    /// As they are stored: what each has counted, in whichever period, and what is held of it.
    pub meters: Vec<MeterUsage>,
    /// Those that are open.
    pub alerts: Vec<OpenAlert>,
    pub wallet: Option<Wallet>,
    pub tokens: Option<Tokens>,
    pub account: Option<VirtualAccount>,
}

impl Live {
    /// How much of each meter is held.
    pub fn reserved(&self) -> Usage {
        self.meters.iter().map(|it| (it.meter.clone(), it.reservations.open(self.now).held())).collect()
    }

    /// How many tokens are left.
    pub fn balance(&self) -> u64 {
        self.tokens.as_ref().map_or(0, |it| it.balance)
    }

    /// Whether any of them can be consumed.
    pub fn has_tokens(&self) -> bool {
        self.balance() > 0 && unserved(&self.subscription, self.now).is_none()
    }
}

/// What of a subscription may be used.
#[derive(Clone, Debug)]
pub struct Entitled {
    pub subscription: Subscription,
    pub entitlements: BTreeMap<FeatureId, Entitlement>,
    /// How long it is until the clock may take some of it away. None: it does not by itself.
    pub holds_for: Option<SignedDuration>,
}

impl<S: Store, G: Gateways, C: Clock> Billing<S, G, C> {
    /// What time it is for that customer, or for nobody in particular.
    pub async fn now(&self, customer: Option<&CustomerId>) -> Result<Timestamp, StoreError> {
        self.clock.now(customer).await
    }

    pub async fn payment(&self, customer: &CustomerId, id: &PaymentId) -> Result<Option<Payment>, StoreError> {
        if !id.belongs_to(customer) {
            return Ok(None);
        }
        Ok(self.store.get(vec![Key::Payment(customer.clone(), id.clone())]).await?.payment())
    }

    /// Newest first, at most `limit`, from before `before`.
    pub async fn payments(
        &self,
        customer: &CustomerId,
        before: Option<&PaymentId>,
        limit: u32,
    ) -> Result<Vec<Payment>, StoreError> {
        self.store.payments(customer, before, limit).await
    }

    /// The customer's subscription, live or last, with what belongs to it.
    pub async fn lookup(&self, customer: &CustomerId) -> Result<Option<Live>, StoreError> {
        let now = self.clock.now(Some(customer)).await?;
        self.lookup_at(customer, now).await
    }

    pub(super) async fn lookup_at(&self, customer: &CustomerId, now: Timestamp) -> Result<Option<Live>, StoreError> {
        let mut found = self.live(customer).await?;
        let Some(subscription) = found.subscription() else { return Ok(None) };
        let meters: Vec<MeterUsage> = std::iter::from_fn(|| found.usage()).collect();
        let usage = meters.iter().map(|it| (it.meter.clone(), it.in_period_of(&subscription, now))).collect();
        let alerts = meters.iter().flat_map(|it| OpenAlert::all(it, &subscription, now)).collect();
        let (wallet, tokens, account) = (found.wallet(), found.tokens(), found.account());
        Ok(Some(Live { now, subscription, usage, meters, alerts, wallet, tokens, account }))
    }

    /// Whether the customer may use `name` now.
    pub async fn entitlement(&self, customer: &CustomerId, name: &FeatureId) -> Result<Entitlement, StoreError> {
        let now = self.clock.now(Some(customer)).await?;
        Ok(match self.lookup_at(customer, now).await? {
            Some(live) => {
                let reserved = live.reserved();
                entitlement(Some(&live.subscription), name, &live.usage, &reserved, live.balance(), now)
            }
            None => entitlement(None, name, &Usage::new(), &Usage::new(), 0, now),
        })
    }

    /// What the customer may use now, of all that their plan's family has. None: they never had a subscription.
    pub async fn entitlements(&self, customer: &CustomerId) -> Result<Option<Entitled>, StoreError> {
        let now = self.clock.now(Some(customer)).await?;
        let live = self.lookup_at(customer, now).await?;
        Ok(live.map(|live| Entitled {
            entitlements: entitlements(&live.subscription, &live.usage, &live.reserved(), live.balance(), now),
            holds_for: holds_until(&live.subscription, now).map(|until| until.duration_since(now)),
            subscription: live.subscription,
        }))
    }

    /// What the customer has used lately, by meter, and of tokens; and what day it is for them. None: they never had a
    /// subscription. What was not used is not listed.
    pub async fn statistics(
        &self,
        customer: &CustomerId,
    ) -> Result<Option<(Date, BTreeMap<Option<MeterId>, Statistics>)>, StoreError> {
        let now = self.clock.now(Some(customer)).await?;
        let found = self.store.get(vec![Key::Subscription(customer.clone())]).await?.subscription();
        let Some(subscription) = found else { return Ok(None) };
        Ok(Some(self.used_lately(&subscription, now).await?))
    }

    pub(super) async fn used_lately(
        &self,
        subscription: &Subscription,
        now: Timestamp,
    ) -> Result<(Date, BTreeMap<Option<MeterId>, Statistics>), StoreError> {
        let today = date(now, &subscription.time_zone);
        let days = self.store.days(&subscription.customer, first_of(today), today).await?;
        Ok((today, Statistics::all(&days, today)))
    }
}
