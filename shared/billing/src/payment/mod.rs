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

use crate::account::Incoming;
use crate::calendar::Interval;
use crate::dunning::{after, days};
use crate::id::{CustomerId, PaymentId, PlanId, Reference};
use crate::money::Money;
use crate::outcome::{Aftermath, Decline, DisputeStanding, Outcome, Receipt, Remedy, Stage};
use crate::subscription::{Fact, Order};
use crate::wallet::Method;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

pub(crate) use asking::backoff;
pub use collection::{
    Address, BankAccount, BankSlug, CheckoutMethod, Collection, Holder, Opened, Payer, PersonName, Phone, Transfer,
};
pub use gateway::Gateway;
pub use paid::{AskedBecause, Paid, Portion, Refund, RefundReason, RefundRefusal, RefundStatus, Standing};

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
    /// Incremented by every commit; guards against lost updates.
    pub version: u64,
}

/// What a payment pays for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bought {
    pub plan: PlanId,
    pub interval: Interval,
    pub quantity: u32,
}

impl Bought {
    fn of(order: &Order) -> Self {
        Self { plan: order.plan.id.clone(), interval: order.price.interval, quantity: order.quantity }
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
        Self::begin(
            id,
            customer,
            bought,
            amount,
            method.gateway,
            Collection::OffSession { method, sent_again_at: None },
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
        Self { id, customer, reference, bought, amount, gateway, collection, created_at: now, status, version: 0 }
    }

    /// Takes in the gateway's answer: the payment and what it means for the
    /// subscription, or nothing if it tells us nothing new.
    #[must_use]
    pub fn settle(self, outcome: Outcome, now: Timestamp) -> Option<(Self, Vec<Fact>)> {
        use PaymentStatus::{Expired, Failed, Paid, Pending, Unresolved};

        match (&self.status, outcome) {
            (Paid(paid), Outcome::Succeeded { aftermath, method, .. }) => {
                let names_method = !paid.method_known && method.is_some();
                let heard = paid.heard(aftermath).or_else(|| names_method.then(|| paid.clone()))?;
                // What is not ours to keep pays for nothing: that it is disputed changes nothing either.
                let facts = match paid.is_owed_back() {
                    true => vec![],
                    false => self.disputed_facts(paid.dispute().map(|it| it.standing), &heard.aftermath),
                };
                let heard = self::Paid { method_known: heard.method_known || method.is_some(), ..heard };
                Some((Self { status: Paid(heard), ..self }, facts))
            }
            (Paid(_), Outcome::Pending(_) | Outcome::Declined(_) | Outcome::Expired) => None,
            (
                Pending { .. } | Failed { .. } | Expired { .. } | Unresolved { .. },
                Outcome::Succeeded { receipt, aftermath, method },
            ) => self.succeeded(receipt, aftermath, method.is_some(), now),
            (Pending { .. } | Unresolved { .. }, Outcome::Declined(decline)) => Some(self.declined(decline, now)),
            (Pending { .. } | Unresolved { .. }, Outcome::Expired) => Some(self.ended(now)),
            // Another stage is news, and no reason to look later than was planned.
            (Pending { stage: known, check_at, tries }, Outcome::Pending(stage)) if *known != stage => {
                let status = Pending { stage, check_at: *check_at, tries: *tries };
                Some((Self { status, ..self }, vec![]))
            }
            (Pending { .. }, Outcome::Pending(_)) => None,
            // A decline was news once; what is left to learn is whether it was paid after all.
            (Failed { check_at: Some(_), .. }, Outcome::Declined(_) | Outcome::Pending(_)) => None,
            (Failed { check_at: Some(_), .. }, Outcome::Expired) => Some(self.ended(now)),
            (Failed { check_at: None, .. } | Expired { .. }, _) | (Unresolved { .. }, Outcome::Pending(_)) => None,
        }
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

    /// Whether money was taken: then nothing the gateway says changes that.
    pub fn is_settled(&self) -> bool {
        self.paid().is_some()
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

    /// Money taken counts as paid only if it is the money asked for (I-9) and
    /// was not given back before we heard of it. Anything else grants nothing,
    /// and what is left of it goes back.
    fn succeeded(
        self,
        receipt: Receipt,
        aftermath: Aftermath,
        names_method: bool,
        now: Timestamp,
    ) -> Option<(Self, Vec<Fact>)> {
        let asked_for = receipt.amount == self.amount;
        let gone = receipt.amount.minor > 0 && aftermath.returned >= receipt.amount.minor;
        let lost = aftermath.dispute.as_ref().is_some_and(|dispute| dispute.standing == DisputeStanding::Lost);
        let paid = Paid::now(receipt, aftermath, names_method, now);
        if self.is_setup() {
            // A charge that only proved the card is given back.
            return Some((Self { status: PaymentStatus::Paid(paid.owed_back(now)), ..self }, vec![]));
        }
        if asked_for && !gone && !lost {
            let order = match &self.collection {
                Collection::Checkout { order, .. } => order.clone(),
                Collection::OffSession { .. } | Collection::Transfer(_) => None,
            };
            let mut facts = vec![Fact::Paid { payment: self.id.clone(), order }];
            facts.extend(self.disputed_facts(None, &paid.aftermath));
            return Some((Self { status: PaymentStatus::Paid(paid), ..self }, facts));
        }
        let fact = match (&self.collection, &self.status) {
            (Collection::Checkout { .. }, _) => Some(Fact::Abandoned { payment: self.id.clone() }),
            // That it was declined was told before.
            (
                Collection::OffSession { .. } | Collection::Transfer(_),
                PaymentStatus::Failed { .. } | PaymentStatus::Expired { .. },
            ) => None,
            (Collection::OffSession { .. } | Collection::Transfer(_), _) => {
                Some(self.declined_fact(&Decline::new("not_what_was_asked", Remedy::NewMethod)))
            }
        };
        Some((Self { status: PaymentStatus::Paid(paid.owed_back(now)), ..self }, fact.into_iter().collect()))
    }

    /// What a change of a dispute means, given what was known of it.
    fn disputed_facts(&self, known: Option<DisputeStanding>, aftermath: &Aftermath) -> Vec<Fact> {
        let told = aftermath.dispute.as_ref().map(|dispute| dispute.standing);
        if known == told {
            return vec![];
        }
        let payment = self.id.clone();
        match told {
            Some(DisputeStanding::Open) => vec![Fact::Disputed { payment }],
            Some(DisputeStanding::Lost) => vec![Fact::DisputeLost { payment }],
            Some(DisputeStanding::Won) | None => vec![Fact::DisputeWon { payment }],
        }
    }

    /// On a page the customer may try another card: nothing has happened yet that anyone must know of.
    fn declined(self, decline: Decline, now: Timestamp) -> (Self, Vec<Fact>) {
        let facts = match self.collection {
            Collection::Checkout { .. } | Collection::Transfer(_) => vec![],
            Collection::OffSession { .. } => vec![self.declined_fact(&decline)],
        };
        let check_at = match self.collection {
            Collection::Checkout { .. } => Some(self.next_check(0, now)),
            // The bank waits for the customer, who may still say yes.
            Collection::OffSession { .. } if decline.remedy == Remedy::AskCustomer => Some(self.next_check(0, now)),
            Collection::OffSession { .. } | Collection::Transfer(_) => None,
        };
        (Self { status: PaymentStatus::Failed { decline, check_at, tries: 0 }, ..self }, facts)
    }

    fn declined_fact(&self, decline: &Decline) -> Fact {
        let method = self.charged_method().map(Method::id);
        Fact::Declined { payment: self.id.clone(), method, decline: decline.clone() }
    }

    /// A page that nobody paid on is over. A charge that we asked for and the
    /// gateway gave up on is a decline like any other: the ladder goes on.
    fn ended(self, now: Timestamp) -> (Self, Vec<Fact>) {
        match (&self.collection, self.status.clone()) {
            (Collection::OffSession { .. } | Collection::Transfer(_), PaymentStatus::Failed { decline, tries, .. }) => {
                (Self { status: PaymentStatus::Failed { decline, check_at: None, tries }, ..self }, vec![])
            }
            (Collection::OffSession { .. } | Collection::Transfer(_), _) => {
                let decline = Decline::new("canceled", Remedy::RetryLater);
                let fact = self.declined_fact(&decline);
                (Self { status: PaymentStatus::Failed { decline, check_at: None, tries: 0 }, ..self }, vec![fact])
            }
            (Collection::Checkout { .. }, status) => {
                let status = match status {
                    PaymentStatus::Failed { decline, tries, .. } => {
                        PaymentStatus::Failed { decline, check_at: None, tries }
                    }
                    PaymentStatus::Pending { .. }
                    | PaymentStatus::Expired { .. }
                    | PaymentStatus::Unresolved { .. }
                    | PaymentStatus::Paid(_) => PaymentStatus::Expired { at: now },
                };
                let fact = Fact::Abandoned { payment: self.id.clone() };
                (Self { status, ..self }, vec![fact])
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::money::Currency;
    use crate::testing::{checkout_payment, instant, off_session_payment};

    fn now() -> Timestamp {
        instant("2026-01-31T12:00:00Z")
    }

    fn succeeded(payment: &Payment) -> Outcome {
        taken(payment.amount, Aftermath::default())
    }

    fn taken(amount: Money, aftermath: Aftermath) -> Outcome {
        Outcome::Succeeded { receipt: Receipt { id: "ch_1".to_owned(), amount }, aftermath, method: None }
    }

    fn declined() -> Outcome {
        Outcome::Declined(Decline::new("insufficient_funds", Remedy::RetryLater))
    }

    fn standing(payment: &Payment) -> Option<Standing> {
        payment.paid().map(Paid::standing)
    }

    fn after_outcomes(payment: Payment, outcomes: impl IntoIterator<Item = Outcome>) -> Payment {
        outcomes
            .into_iter()
            .fold(payment, |payment, outcome| payment.clone().settle(outcome, now()).map_or(payment, |(next, _)| next))
    }

    #[test]
    fn success_ends_the_same_whatever_came_before_and_after() {
        for payment in [checkout_payment(), off_session_payment()] {
            let others = [Outcome::Pending(Stage::Processing), declined(), Outcome::Expired, declined()];
            for at in 0..=others.len() {
                let mut outcomes = others.to_vec();
                outcomes.insert(at, succeeded(&payment));
                let settled = after_outcomes(payment.clone(), outcomes);
                assert_eq!(standing(&settled), Some(Standing::Succeeded), "{:?}", settled.status);
            }
        }
    }

    #[test]
    fn the_same_answer_twice_is_told_once() {
        for outcome in [succeeded(&off_session_payment()), declined(), Outcome::Expired] {
            let settled = off_session_payment().settle(outcome.clone(), now());
            assert!(settled.as_ref().is_some_and(|(_, facts)| facts.len() == 1));
            assert!(settled.is_some_and(|(payment, _)| payment.settle(outcome, now()).is_none()));
        }
    }

    #[test]
    fn another_amount_or_currency_is_not_paid_and_goes_back() {
        let payment = off_session_payment();
        let usd = Currency::from_code("USD").unwrap_or(payment.amount.currency);
        for amount in [Money { minor: 1, ..payment.amount }, Money { currency: usd, ..payment.amount }] {
            let settled = payment.clone().settle(taken(amount, Aftermath::default()), now());
            assert!(settled.is_some_and(|(payment, facts)| {
                standing(&payment) == Some(Standing::RefundDue) && matches!(facts[..], [Fact::Declined { .. }])
            }));
        }
    }

    #[test]
    fn money_that_went_back_before_we_heard_of_it_grants_nothing() {
        let payment = off_session_payment();
        let returned = Aftermath { returned: payment.amount.minor, dispute: None };
        let settled = payment.clone().settle(taken(payment.amount, returned), now());
        assert!(settled.is_some_and(|(payment, facts)| {
            standing(&payment) == Some(Standing::Refunded) && matches!(facts[..], [Fact::Declined { .. }])
        }));
    }

    #[test]
    fn hearing_the_same_again_does_not_put_off_the_next_look() {
        let payment = off_session_payment();
        assert_eq!(payment.clone().settle(Outcome::Pending(Stage::Processing), now()), None);
        let asked = payment.clone().settle(Outcome::Pending(Stage::RequiresAction), now());
        assert_eq!(asked.map(|(next, _)| next.due_at()), Some(payment.due_at()));
    }

    #[test]
    fn a_charge_that_waits_for_the_customer_is_asked_about() {
        let decline = |remedy| Outcome::Declined(Decline::new("authentication_required", remedy));
        let watched = |remedy| after_outcomes(off_session_payment(), [decline(remedy)]).due_at().is_some();
        assert!(watched(Remedy::AskCustomer));
        assert!(!watched(Remedy::RetryLater) && !watched(Remedy::NewMethod));
    }

    #[test]
    fn a_declined_checkout_may_still_be_paid_until_it_ends() {
        let failed = after_outcomes(checkout_payment(), [declined()]);
        assert!(failed.due_at().is_some());
        let ended = after_outcomes(failed, [Outcome::Expired]);
        assert!(matches!(ended.status, PaymentStatus::Failed { check_at: None, .. }));
    }
}
