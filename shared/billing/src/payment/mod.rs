//! One attempt to collect one amount.
//!
//! ```text
//!            succeeded
//!  Pending ─────────────────────▶ Paid: kept, refunded in parts or whole, disputed
//!   │ │ └─ declined ─▶ Failed ─┐   ▲
//!   │ └── ended unpaid ▶ Expired ┼─┘ succeeded after all
//!   └──── no answer for days ▶ Unresolved
//! ```
//!
//! Success dominates: answers arrive late, twice and out of order, and whatever
//! the order, the payment ends the same. Silence is never failure: only the
//! gateway's own word about this very reference is. What becomes of the money
//! afterwards is [`Paid`]'s to say.

mod asking;
mod collection;
mod gateway;
mod paid;
mod refund;
mod settling;
#[cfg(test)]
mod tests;
mod tokens;

use crate::account::Incoming;
use crate::calendar::Interval;
use crate::dunning::{after, days};
use crate::id::{CouponCode, CustomerId, PaymentId, PlanId, Reference};
use crate::money::Money;
use crate::outcome::{Aftermath, Decline, Outcome, Receipt, Stage};
use crate::subscription::{Fact, Order, UsageLine};
use crate::wallet::Method;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

pub(crate) use asking::backoff;
pub use collection::{
    Address, BankAccount, BankSlug, CheckoutMethod, Collection, Holder, Opened, Payer, PersonName, Phone, Transfer,
};
pub use gateway::Gateway;
pub use paid::{Paid, Standing};
pub use refund::{AskedBecause, Portion, Refund, RefundReason, RefundRefusal, RefundStatus};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payment {
    pub id: PaymentId,
    pub customer: CustomerId,
    /// What the gateway knows it by.
    pub reference: Reference,
    /// None: nothing is bought; a payment method is set up.
    pub bought: Option<Bought>,
    pub amount: Money,
    pub gateway: Gateway,
    pub collection: Collection,
    pub created_at: Timestamp,
    pub status: PaymentStatus,
    /// The coupon that it redeems was counted when the charge was asked for, and is given back if nothing begins by it. Pages
    /// hold none: who only looks takes none from somebody who buys.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub holds_coupon: bool,
    /// Incremented by every commit; guards against lost updates.
    pub version: u64,
}

/// What a payment pays for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bought {
    pub plan: PlanId,
    pub interval: Interval,
    pub quantity: u32,
    /// What was used beyond limits before, and is paid with it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub usage_charges: Vec<UsageLine>,
}

impl Bought {
    fn of(order: &Order) -> Self {
        let (plan, interval) = (order.plan.id.clone(), order.price.interval);
        Self { plan, interval, quantity: order.quantity, usage_charges: vec![] }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum PaymentStatus {
    /// The outcome is not known yet; ask at `check_at`.
    Pending {
        stage: Stage,
        check_at: Timestamp,
        tries: u32,
    },
    /// Declined. On a page the customer may still try another card, so a
    /// checkout is asked about (`check_at`) until it ends.
    Failed {
        decline: Decline,
        check_at: Option<Timestamp>,
        tries: u32,
    },
    /// Ended without anyone having paid.
    Expired {
        at: Timestamp,
    },
    /// Nobody could tell us for days. A person must look; we ask on, ever more rarely, and a late answer still counts.
    Unresolved {
        since: Timestamp,
        /// Those of an earlier release have none: at once.
        #[serde(default)]
        check_at: Timestamp,
    },
    Paid(Paid),
}

/// How a customer is to pay.
#[derive(Clone, Debug)]
pub struct Page {
    pub gateway: Gateway,
    pub payer: Payer,
    pub method: CheckoutMethod,
    pub return_url: Option<String>,
    pub stays_open: SignedDuration,
}

/// The receipt of a payment that was paid with what had come in by transfer.
pub const BY_TRANSFER: &str = "by_transfer";

/// How long a customer may take to pay for something new.
pub const CHECKOUT_STAYS_OPEN: SignedDuration = SignedDuration::from_hours(24);

/// How long a transfer is waited for; one that comes later still counts.
pub const TRANSFER_AWAITED: SignedDuration = days(5);

/// How long a customer may take to pay what they owe. No charge is tried
/// meanwhile, so it is short.
pub const RECOVERY_STAYS_OPEN: SignedDuration = SignedDuration::from_hours(1);

impl Payment {
    /// A customer-paid attempt. Nothing has been said to the gateway yet.
    pub(crate) fn checkout(
        id: PaymentId,
        customer: CustomerId,
        order: Option<Order>,
        amount: Money,
        page: Page,
        now: Timestamp,
    ) -> Self {
        let Page { gateway, payer, method, return_url, stays_open } = page;
        let bought = order.as_ref().map(Bought::of);
        let expires_at = after(now, stays_open);
        let order = order.map(Box::new);
        let collection = Collection::Checkout { order, payer, method, return_url, opened: None, expires_at };
        Self::begin(id, customer, bought, amount, gateway, collection, now)
    }

    /// The same for what was used beyond limits besides.
    #[must_use]
    pub(crate) fn with_usage(self, lines: &[UsageLine]) -> Self {
        let currency = self.amount.currency;
        let usage_charges: Vec<_> = lines.iter().filter(|line| line.amount.currency == currency).cloned().collect();
        let bought = self.bought.map(|bought| Bought { usage_charges, ..bought });
        Self { bought, ..self }
    }

    /// An attempt that we make ourselves, with `method`.
    pub(crate) fn off_session(
        id: PaymentId,
        customer: CustomerId,
        order: &Order,
        amount: Money,
        method: Method,
        now: Timestamp,
    ) -> Self {
        let bought = Some(Bought::of(order));
        let opens = (id.period == 0 && !id.is_for_change()).then(|| Box::new(order.clone()));
        Self::begin(
            id,
            customer,
            bought,
            amount,
            method.gateway,
            Collection::OffSession { method, sent_again_at: None, order: opens },
            now,
        )
    }

    /// Money that came in: it is here, and nothing is waited for.
    pub(crate) fn received(
        id: PaymentId,
        customer: CustomerId,
        gateway: Gateway,
        incoming: Incoming,
        now: Timestamp,
    ) -> Self {
        let Incoming { reference, receipt, sender, .. } = incoming;
        let named = Reference::of_transfer(gateway.as_str(), &reference);
        let (amount, collection) = (receipt.amount, Collection::Transfer(Transfer { reference, sender }));
        let begun = Self::begin(id, customer, None, amount, gateway, collection, now);
        let status = PaymentStatus::Paid(Paid::now(receipt, Aftermath::default(), true, now));
        Self { reference: named, status, ..begun }
    }

    /// The payment settled with money that is here already. The gateway is not asked about it: it never heard of it.
    #[must_use]
    pub(crate) fn paid_by_transfer(self, now: Timestamp) -> Option<(Self, Vec<Fact>)> {
        let receipt = Receipt { id: BY_TRANSFER.to_owned(), amount: self.amount };
        let outcome = Outcome::Succeeded { receipt, aftermath: Aftermath::default(), method: None };
        let (paid, facts) = self.settle(outcome, now)?;
        Some((paid.with_paid(Paid::never_looked), facts))
    }

    fn begin(
        id: PaymentId,
        customer: CustomerId,
        bought: Option<Bought>,
        amount: Money,
        gateway: Gateway,
        collection: Collection,
        now: Timestamp,
    ) -> Self {
        let reference = id.reference(&customer);
        let stage = match collection {
            Collection::Checkout { .. } => Stage::Pending,
            Collection::OffSession { .. } | Collection::Transfer(_) => Stage::Processing,
        };
        let status = PaymentStatus::Pending { stage, check_at: after(now, backoff(0)), tries: 0 };
        let (created_at, holds_coupon, version) = (now, false, 0);
        Self { id, customer, reference, bought, amount, gateway, collection, created_at, status, holds_coupon, version }
    }

    /// What was taken must go back, all of it that is left.
    #[must_use]
    pub(crate) fn owed_back(self, now: Timestamp) -> Self {
        self.with_paid(|paid| paid.owed_back(now))
    }

    /// Someone of the SaaS gives `portion` back.
    pub(crate) fn refunding(
        self,
        portion: Portion,
        because: AskedBecause,
        now: Timestamp,
    ) -> Result<Self, RefundRefusal> {
        match self.status {
            PaymentStatus::Paid(paid) => {
                Ok(Self { status: PaymentStatus::Paid(paid.refunding(portion, because, now)?), ..self })
            }
            PaymentStatus::Pending { .. }
            | PaymentStatus::Failed { .. }
            | PaymentStatus::Expired { .. }
            | PaymentStatus::Unresolved { .. } => Err(RefundRefusal::NotPaid),
        }
    }

    /// Before the gateway is asked for refund `number`: the next time is later, whatever it says.
    #[must_use]
    pub(crate) fn asking_for_refund(self, number: u32, now: Timestamp) -> Self {
        self.with_paid(|paid| paid.asking_again(number, now))
    }

    #[must_use]
    pub(crate) fn refunded(self, number: u32, id: String, now: Timestamp) -> Self {
        self.with_paid(|paid| paid.refunded(number, id, now))
    }

    #[must_use]
    pub(crate) fn refund_failed(self, number: u32, code: String, now: Timestamp) -> Self {
        self.with_paid(|paid| paid.refund_failed(number, code, now))
    }

    fn with_paid(self, change: impl FnOnce(Paid) -> Paid) -> Self {
        match self.status {
            PaymentStatus::Paid(paid) => Self { status: PaymentStatus::Paid(change(paid)), ..self },
            PaymentStatus::Pending { .. }
            | PaymentStatus::Failed { .. }
            | PaymentStatus::Expired { .. }
            | PaymentStatus::Unresolved { .. } => self,
        }
    }

    /// When the gateway is to be asked, or told, something next.
    pub fn due_at(&self) -> Option<Timestamp> {
        match &self.status {
            PaymentStatus::Pending { check_at, .. } | PaymentStatus::Unresolved { check_at, .. } => Some(*check_at),
            PaymentStatus::Failed { check_at, .. } => *check_at,
            PaymentStatus::Paid(paid) => paid.due_at(),
            PaymentStatus::Expired { .. } => None,
        }
    }

    /// What is known of the money, once it was taken.
    pub fn paid(&self) -> Option<&Paid> {
        match &self.status {
            PaymentStatus::Paid(paid) => Some(paid),
            PaymentStatus::Pending { .. }
            | PaymentStatus::Failed { .. }
            | PaymentStatus::Expired { .. }
            | PaymentStatus::Unresolved { .. } => None,
        }
    }

    /// The payment once it has paid for something: its subscription counts on all of it.
    #[must_use]
    pub(crate) fn counted_on(self) -> Self {
        self.with_paid(|paid| Paid { counted_on: Some(paid.receipt.amount.minor), ..paid })
    }

    /// The payment when its subscription is told what of the money is not ours any more, and what that is, if it is news.
    #[must_use]
    pub(crate) fn telling_returned(self) -> (Self, Option<Fact>) {
        let counted_on = self.paid().and_then(|paid| Some((paid.counted_on?, paid.left())));
        let Some((counted_on, left)) = counted_on.filter(|(counted_on, left)| counted_on != left) else {
            return (self, None);
        };
        let amount = Money { minor: counted_on.saturating_sub(left), ..self.amount };
        let fact = Fact::Returned { payment: self.id.clone(), amount };
        (self.with_paid(|paid| Paid { counted_on: Some(left), ..paid }), Some(fact))
    }

    /// Whether money was taken: then nothing the gateway says changes that.
    pub fn is_settled(&self) -> bool {
        self.paid().is_some()
    }

    /// The coupon that is redeemed if this is paid: it opens a subscription with its discount.
    pub fn redeems(&self) -> Option<&CouponCode> {
        let order = match &self.collection {
            Collection::Checkout { order, .. } | Collection::OffSession { order, .. } => order.as_deref(),
            Collection::Transfer(_) => None,
        };
        let opens = self.id.period == 0 && !self.is_settled();
        order.filter(|_| opens)?.discount.as_ref()?.coupon.as_ref()
    }

    /// Whether nobody knows yet what becomes of it.
    pub(crate) fn is_in_flight(&self) -> bool {
        match self.status {
            PaymentStatus::Pending { .. } | PaymentStatus::Unresolved { .. } => true,
            PaymentStatus::Failed { .. } | PaymentStatus::Expired { .. } | PaymentStatus::Paid(_) => false,
        }
    }

    /// Whether a page is, or may be, open on which the customer could still pay.
    pub fn is_payable(&self) -> bool {
        match &self.status {
            PaymentStatus::Pending { .. } => true,
            PaymentStatus::Failed { check_at, .. } => check_at.is_some(),
            PaymentStatus::Expired { .. } | PaymentStatus::Unresolved { .. } | PaymentStatus::Paid(_) => false,
        }
    }

    /// Whether it only leaves a payment method with the gateway.
    pub fn is_setup(&self) -> bool {
        self.bought.is_none() && self.is_checkout()
    }

    /// Whether it is paid with what comes in on the customer's virtual account: the gateway never hears of it.
    pub fn is_paid_by_transfer(&self) -> bool {
        matches!(self.collection, Collection::Checkout { method: CheckoutMethod::VirtualAccount, .. })
    }

    pub fn transfer(&self) -> Option<&Transfer> {
        match &self.collection {
            Collection::Transfer(transfer) => Some(transfer),
            Collection::Checkout { .. } | Collection::OffSession { .. } => None,
        }
    }

    /// What the gateway knows a refund of it by.
    pub fn refund_reference(&self, refund: &Refund) -> String {
        format!("{}x{}", self.reference, refund.number)
    }

    /// Whether this is a checkout whose time is over.
    pub fn is_closing(&self, now: Timestamp) -> bool {
        match &self.collection {
            Collection::Checkout { expires_at, .. } => now >= *expires_at,
            Collection::OffSession { .. } | Collection::Transfer(_) => false,
        }
    }

    /// Whether this is a checkout whose address nobody was ever given.
    pub(crate) fn is_unopened(&self) -> bool {
        match &self.collection {
            Collection::Checkout { opened, .. } => opened.is_none(),
            Collection::OffSession { .. } | Collection::Transfer(_) => false,
        }
    }

    pub fn is_checkout(&self) -> bool {
        matches!(self.collection, Collection::Checkout { .. })
    }

    pub fn opened(&self) -> Option<&Opened> {
        match &self.collection {
            Collection::Checkout { opened, .. } => opened.as_ref(),
            Collection::OffSession { .. } | Collection::Transfer(_) => None,
        }
    }

    /// Where a transfer is to go, once the gateway has opened an account for it.
    pub fn bank_account(&self) -> Option<&BankAccount> {
        match &self.opened()?.at {
            Address::BankAccount(account) => Some(account),
            Address::CheckoutUrl(_) | Address::ClientSecret(_) => None,
        }
    }

    /// The method that is charged, where we charge one.
    pub fn charged_method(&self) -> Option<&Method> {
        match &self.collection {
            Collection::OffSession { method, .. } => Some(method),
            Collection::Checkout { .. } | Collection::Transfer(_) => None,
        }
    }

    #[must_use]
    pub(crate) fn opened_at(mut self, address: Opened) -> Self {
        if let Collection::Checkout { opened, .. } = &mut self.collection {
            *opened = Some(address);
        }
        self
    }
}
