//! One attempt to collect one amount.
//!
//! ```text
//!            succeeded                     not ours to keep        given back
//!  Pending ─────────────▶ Succeeded      ┌───────────────▶ RefundDue ───────▶ Refunded
//!   │ │ └─ declined ─▶ Failed ─┐         │
//!   │ └── ended unpaid ▶ Expired ┼─ succeeded after all ─┤
//!   └──── no answer for days ▶ Unresolved ─┘             └──▶ Succeeded
//! ```
//!
//! Success dominates: answers arrive late, twice and out of order, and whatever
//! the order, the payment ends the same. Silence is never failure: only the
//! gateway's own word about this very reference is.

use crate::calendar::Interval;
use crate::dunning::{after, days};
use crate::id::{CustomerId, PaymentId, PlanId, Reference};
use crate::money::Money;
use crate::outcome::{Decline, Outcome, Receipt, Remedy, Stage};
use crate::subscription::{Fact, Order};
use crate::wallet::Method;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Gateway {
    Stripe,
    Paystack,
}

impl Gateway {
    pub const ALL: [Self; 2] = [Self::Stripe, Self::Paystack];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stripe => "stripe",
            Self::Paystack => "paystack",
        }
    }

    /// How long after an attempt was first sent the gateway still knows that
    /// sending it again is the same attempt. Past it we only ask.
    const fn remembers_for(self) -> SignedDuration {
        match self {
            Self::Stripe => SignedDuration::from_hours(23), // keys live at least a day; an hour to spare
            Self::Paystack => SignedDuration::MAX,          // a reference is unique for ever
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payment {
    pub id: PaymentId,
    pub customer: CustomerId,
    /// What the gateway knows it by.
    pub reference: Reference,
    pub plan: PlanId,
    pub interval: Interval,
    pub quantity: u32,
    pub amount: Money,
    pub gateway: Gateway,
    pub collection: Collection,
    pub created_at: Timestamp,
    pub status: PaymentStatus,
    /// Incremented by every commit; guards against lost updates.
    pub version: u64,
}

/// Who makes the payment happen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "collection", rename_all = "snake_case")]
pub enum Collection {
    /// The customer, on a page.
    Checkout {
        /// What is bought if it is paid.
        order: Box<Order>,
        payer: Payer,
        method: CheckoutMethod,
        return_url: Option<String>,
        /// Where the customer pays, once the gateway has said so.
        opened: Option<Opened>,
        expires_at: Timestamp,
    },
    /// We do, with a method the customer left for that.
    OffSession { method: Method },
}

/// Who pays, as the gateway is to know them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payer {
    pub email: Option<String>,
    /// The gateway's own name for them, from an earlier payment.
    pub known_as: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckoutMethod {
    /// The gateway's hosted page.
    Checkout,
    /// A secret that the SaaS's own page confirms with the gateway's script.
    ClientSecret,
}

/// A checkout as the gateway opened it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opened {
    /// The gateway's name for it.
    pub id: String,
    pub at: Address,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Address {
    CheckoutUrl(String),
    ClientSecret(String),
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
    /// Nobody could tell us for days. A person must look; a late answer still counts.
    Unresolved {
        since: Timestamp,
    },
    Succeeded {
        receipt: Receipt,
        at: Timestamp,
    },
    /// Taken, and not ours to keep: to be given back.
    RefundDue {
        receipt: Receipt,
        check_at: Timestamp,
        tries: u32,
    },
    Refunded {
        receipt: Receipt,
        refund: String,
        at: Timestamp,
    },
}

/// How long a customer may take to pay.
const CHECKOUT_STAYS_OPEN: SignedDuration = SignedDuration::from_hours(24);

/// How long we keep asking before a person must look.
const ASKED_FOR_AT_MOST: SignedDuration = days(6);

/// How long a charge that nobody wants any more may still turn up at the gateway.
const ABANDONED_AFTER: SignedDuration = days(2);

/// And how often it must have been looked for: a clock that jumps by days must
/// not make the first look the last. Eight looks take most of a day.
const LOOKS_BEFORE_GIVING_UP: u32 = 8;

/// With the waits between them, some six days.
const LOOKS_BEFORE_A_REFUND_IS_STUCK: u32 = 28;

/// How long a request to the gateway may still be running in another process.
const A_REQUEST_RUNS_AT_MOST: SignedDuration = SignedDuration::from_secs(30);

/// 5 minutes, doubling, at most 6 hours.
pub(crate) fn backoff(tries: u32) -> SignedDuration {
    SignedDuration::from_mins((5 << tries.min(10)).min(360))
}

impl Payment {
    /// A customer-paid attempt. Nothing has been said to the gateway yet.
    pub(crate) fn checkout(
        id: PaymentId,
        customer: CustomerId,
        order: Order,
        amount: Money,
        gateway: Gateway,
        with: (Payer, CheckoutMethod, Option<String>),
        now: Timestamp,
    ) -> Self {
        let (payer, method, return_url) = with;
        let summary = (order.plan.id.clone(), order.price.interval, order.quantity);
        let expires_at = after(now, CHECKOUT_STAYS_OPEN);
        let order = Box::new(order);
        let collection = Collection::Checkout { order, payer, method, return_url, opened: None, expires_at };
        Self::begin(id, customer, summary, amount, gateway, collection, now)
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
        let summary = (order.plan.id.clone(), order.price.interval, order.quantity);
        Self::begin(id, customer, summary, amount, method.gateway, Collection::OffSession { method }, now)
    }

    fn begin(
        id: PaymentId,
        customer: CustomerId,
        (plan, interval, quantity): (PlanId, Interval, u32),
        amount: Money,
        gateway: Gateway,
        collection: Collection,
        now: Timestamp,
    ) -> Self {
        let reference = id.reference(&customer);
        let stage = match collection {
            Collection::Checkout { .. } => Stage::Pending,
            Collection::OffSession { .. } => Stage::Processing,
        };
        let status = PaymentStatus::Pending { stage, check_at: after(now, backoff(0)), tries: 0 };
        Self {
            id,
            customer,
            reference,
            plan,
            interval,
            quantity,
            amount,
            gateway,
            collection,
            created_at: now,
            status,
            version: 0,
        }
    }

    /// Takes in the gateway's answer: the payment and what it means for the
    /// subscription, or nothing if it tells us nothing new.
    #[must_use]
    pub fn settle(self, outcome: Outcome, now: Timestamp) -> Option<(Self, Option<Fact>)> {
        use PaymentStatus::{Expired, Failed, Pending, RefundDue, Refunded, Succeeded, Unresolved};

        match (&self.status, outcome) {
            (Succeeded { .. } | RefundDue { .. } | Refunded { .. }, _) => None,
            (
                Pending { .. } | Failed { .. } | Expired { .. } | Unresolved { .. },
                Outcome::Succeeded { receipt, .. },
            ) => Some(self.paid(receipt, now)),
            (Pending { .. } | Unresolved { .. }, Outcome::Declined(decline)) => Some(self.declined(decline, now)),
            (Pending { .. } | Unresolved { .. }, Outcome::Expired) => Some(self.ended(now)),
            // Another stage is news, and no reason to look later than was planned.
            (Pending { stage: known, check_at, tries }, Outcome::Pending(stage)) if *known != stage => {
                let status = Pending { stage, check_at: *check_at, tries: *tries };
                Some((Self { status, ..self }, None))
            }
            (Pending { .. }, Outcome::Pending(_)) => None,
            // A decline was news once; what is left to learn is whether it was paid after all.
            (Failed { check_at: Some(_), .. }, Outcome::Declined(_) | Outcome::Pending(_)) => None,
            (Failed { check_at: Some(_), .. }, Outcome::Expired) => Some(self.ended(now)),
            (Failed { check_at: None, .. } | Expired { .. }, _) | (Unresolved { .. }, Outcome::Pending(_)) => None,
        }
    }

    /// The payment when the gateway gave no usable answer: ask again later, and
    /// after some days tell a person.
    #[must_use]
    pub fn unanswered(self, now: Timestamp) -> Self {
        match self.status {
            PaymentStatus::Pending { .. } if self.was_asked_enough(now) => {
                Self { status: PaymentStatus::Unresolved { since: now }, ..self }
            }
            PaymentStatus::Pending { stage, .. } => self.waiting(stage, now),
            PaymentStatus::Failed { .. } | PaymentStatus::RefundDue { .. } => self.ask_again(now),
            PaymentStatus::Expired { .. }
            | PaymentStatus::Unresolved { .. }
            | PaymentStatus::Succeeded { .. }
            | PaymentStatus::Refunded { .. } => self,
        }
    }

    /// The payment when the gateway's answer was nothing final. That a decline
    /// still stands after some days is an answer; that nobody knows is none.
    #[must_use]
    pub(crate) fn undecided(self, now: Timestamp) -> Self {
        match self.status {
            PaymentStatus::Failed { ref decline, tries, .. } if self.was_asked_enough(now) => {
                let status = PaymentStatus::Failed { decline: decline.clone(), check_at: None, tries };
                Self { status, ..self }
            }
            PaymentStatus::Failed { .. }
            | PaymentStatus::Pending { .. }
            | PaymentStatus::Expired { .. }
            | PaymentStatus::Unresolved { .. }
            | PaymentStatus::Succeeded { .. }
            | PaymentStatus::RefundDue { .. }
            | PaymentStatus::Refunded { .. } => self.unanswered(now),
        }
    }

    /// Not by the clock alone, which may jump.
    pub(crate) fn was_asked_enough(&self, now: Timestamp) -> bool {
        now >= after(self.created_at, ASKED_FOR_AT_MOST) && self.tries() >= LOOKS_BEFORE_GIVING_UP
    }

    /// What was taken must go back.
    #[must_use]
    pub(crate) fn owed_back(self, now: Timestamp) -> Self {
        match self.status {
            PaymentStatus::Succeeded { receipt, .. } => {
                Self { status: PaymentStatus::RefundDue { receipt, check_at: now, tries: 0 }, ..self }
            }
            PaymentStatus::Pending { .. }
            | PaymentStatus::Failed { .. }
            | PaymentStatus::Expired { .. }
            | PaymentStatus::Unresolved { .. }
            | PaymentStatus::RefundDue { .. }
            | PaymentStatus::Refunded { .. } => self,
        }
    }

    /// Nobody wants this charge any more and the gateway never heard of it.
    #[must_use]
    pub(crate) fn abandoned(self, now: Timestamp) -> Self {
        match self.status {
            PaymentStatus::Pending { tries, .. }
                if now >= after(self.created_at, ABANDONED_AFTER) && tries >= LOOKS_BEFORE_GIVING_UP =>
            {
                Self { status: PaymentStatus::Expired { at: now }, ..self }
            }
            PaymentStatus::Pending { .. }
            | PaymentStatus::Failed { .. }
            | PaymentStatus::Expired { .. }
            | PaymentStatus::Unresolved { .. }
            | PaymentStatus::Succeeded { .. }
            | PaymentStatus::RefundDue { .. }
            | PaymentStatus::Refunded { .. } => self.unanswered(now),
        }
    }

    #[must_use]
    pub(crate) fn refunded(self, refund: String, now: Timestamp) -> Self {
        match self.status {
            PaymentStatus::RefundDue { receipt, .. } => {
                Self { status: PaymentStatus::Refunded { receipt, refund, at: now }, ..self }
            }
            PaymentStatus::Pending { .. }
            | PaymentStatus::Failed { .. }
            | PaymentStatus::Expired { .. }
            | PaymentStatus::Unresolved { .. }
            | PaymentStatus::Succeeded { .. }
            | PaymentStatus::Refunded { .. } => self,
        }
    }

    /// When the gateway is to be asked, or told, something next.
    pub fn due_at(&self) -> Option<Timestamp> {
        match self.status {
            PaymentStatus::Pending { check_at, .. } | PaymentStatus::RefundDue { check_at, .. } => Some(check_at),
            PaymentStatus::Failed { check_at, .. } => check_at,
            PaymentStatus::Expired { .. }
            | PaymentStatus::Unresolved { .. }
            | PaymentStatus::Succeeded { .. }
            | PaymentStatus::Refunded { .. } => None,
        }
    }

    /// Whether money was taken: then nothing the gateway says changes the outcome.
    pub fn is_settled(&self) -> bool {
        match self.status {
            PaymentStatus::Succeeded { .. } | PaymentStatus::RefundDue { .. } | PaymentStatus::Refunded { .. } => true,
            PaymentStatus::Pending { .. }
            | PaymentStatus::Failed { .. }
            | PaymentStatus::Expired { .. }
            | PaymentStatus::Unresolved { .. } => false,
        }
    }

    /// Whether sending the attempt again is still certain to be the same attempt.
    pub fn may_be_sent_again(&self, now: Timestamp) -> bool {
        now.duration_since(self.created_at) < self.gateway.remembers_for()
    }

    /// Whether another process may be talking to the gateway about it right now.
    pub fn may_be_in_flight(&self, now: Timestamp) -> bool {
        now.duration_since(self.created_at).abs() < A_REQUEST_RUNS_AT_MOST
    }

    /// Whether a refund has been under way for longer than any should take.
    pub(crate) fn is_refund_stuck(&self) -> bool {
        match self.status {
            PaymentStatus::RefundDue { tries, .. } => tries >= LOOKS_BEFORE_A_REFUND_IS_STUCK,
            PaymentStatus::Pending { .. }
            | PaymentStatus::Failed { .. }
            | PaymentStatus::Expired { .. }
            | PaymentStatus::Unresolved { .. }
            | PaymentStatus::Succeeded { .. }
            | PaymentStatus::Refunded { .. } => false,
        }
    }

    /// Whether this is a checkout whose time is over.
    pub fn is_closing(&self, now: Timestamp) -> bool {
        match &self.collection {
            Collection::Checkout { expires_at, .. } => now >= *expires_at,
            Collection::OffSession { .. } => false,
        }
    }

    /// Whether this is a checkout whose address nobody was ever given.
    pub(crate) fn is_unopened(&self) -> bool {
        match &self.collection {
            Collection::Checkout { opened, .. } => opened.is_none(),
            Collection::OffSession { .. } => false,
        }
    }

    pub fn opened(&self) -> Option<&Opened> {
        match &self.collection {
            Collection::Checkout { opened, .. } => opened.as_ref(),
            Collection::OffSession { .. } => None,
        }
    }

    #[must_use]
    pub(crate) fn opened_at(mut self, address: Opened) -> Self {
        if let Collection::Checkout { opened, .. } = &mut self.collection {
            *opened = Some(address);
        }
        self
    }

    /// Money taken counts as paid only if it is the money asked for (I-9).
    /// Another amount or currency grants nothing and goes back.
    fn paid(self, receipt: Receipt, now: Timestamp) -> (Self, Option<Fact>) {
        if receipt.amount == self.amount {
            let order = match &self.collection {
                Collection::Checkout { order, .. } => Some(order.clone()),
                Collection::OffSession { .. } => None,
            };
            let fact = Fact::Paid { payment: self.id.clone(), order };
            return (Self { status: PaymentStatus::Succeeded { receipt, at: now }, ..self }, Some(fact));
        }
        let fact = Fact::Declined { payment: self.id.clone(), remedy: Remedy::NewMethod };
        (Self { status: PaymentStatus::RefundDue { receipt, check_at: now, tries: 0 }, ..self }, Some(fact))
    }

    fn declined(self, decline: Decline, now: Timestamp) -> (Self, Option<Fact>) {
        let check_at = match self.collection {
            Collection::Checkout { .. } => Some(self.next_check(0, now)),
            // The bank waits for the customer, who may still say yes.
            Collection::OffSession { .. } if decline.remedy == Remedy::AskCustomer => Some(self.next_check(0, now)),
            Collection::OffSession { .. } => None,
        };
        let fact = Fact::Declined { payment: self.id.clone(), remedy: decline.remedy };
        (Self { status: PaymentStatus::Failed { decline, check_at, tries: 0 }, ..self }, Some(fact))
    }

    /// A page that nobody paid on is over. A charge that we asked for and the
    /// gateway gave up on is a decline like any other: the ladder goes on.
    fn ended(self, now: Timestamp) -> (Self, Option<Fact>) {
        match (&self.collection, self.status) {
            (Collection::OffSession { .. }, PaymentStatus::Failed { decline, tries, .. }) => {
                (Self { status: PaymentStatus::Failed { decline, check_at: None, tries }, ..self }, None)
            }
            (Collection::OffSession { .. }, _) => {
                let decline = Decline { code: "canceled".to_owned(), remedy: Remedy::RetryLater };
                let fact = Fact::Declined { payment: self.id.clone(), remedy: decline.remedy };
                (Self { status: PaymentStatus::Failed { decline, check_at: None, tries: 0 }, ..self }, Some(fact))
            }
            (Collection::Checkout { .. }, status) => {
                let status = match status {
                    PaymentStatus::Failed { decline, tries, .. } => {
                        PaymentStatus::Failed { decline, check_at: None, tries }
                    }
                    PaymentStatus::Pending { .. }
                    | PaymentStatus::Expired { .. }
                    | PaymentStatus::Unresolved { .. }
                    | PaymentStatus::Succeeded { .. }
                    | PaymentStatus::RefundDue { .. }
                    | PaymentStatus::Refunded { .. } => PaymentStatus::Expired { at: now },
                };
                let fact = Fact::Abandoned { payment: self.id.clone() };
                (Self { status, ..self }, Some(fact))
            }
        }
    }

    fn waiting(self, stage: Stage, now: Timestamp) -> Self {
        let tries = self.tries().saturating_add(1);
        let status = PaymentStatus::Pending { stage, check_at: self.next_check(tries, now), tries };
        Self { status, ..self }
    }

    fn ask_again(self, now: Timestamp) -> Self {
        let tries = self.tries().saturating_add(1);
        let next = self.next_check(tries, now);
        let status = match self.status {
            PaymentStatus::Failed { decline, .. } => PaymentStatus::Failed { decline, check_at: Some(next), tries },
            PaymentStatus::RefundDue { receipt, .. } => PaymentStatus::RefundDue { receipt, check_at: next, tries },
            other @ (PaymentStatus::Pending { .. }
            | PaymentStatus::Expired { .. }
            | PaymentStatus::Unresolved { .. }
            | PaymentStatus::Succeeded { .. }
            | PaymentStatus::Refunded { .. }) => other,
        };
        Self { status, ..self }
    }

    fn tries(&self) -> u32 {
        match self.status {
            PaymentStatus::Pending { tries, .. }
            | PaymentStatus::Failed { tries, .. }
            | PaymentStatus::RefundDue { tries, .. } => tries,
            PaymentStatus::Expired { .. }
            | PaymentStatus::Unresolved { .. }
            | PaymentStatus::Succeeded { .. }
            | PaymentStatus::Refunded { .. } => 0,
        }
    }

    /// A checkout is asked about when its time is over, however rarely before.
    fn next_check(&self, tries: u32, now: Timestamp) -> Timestamp {
        let next = after(now, backoff(tries));
        match &self.collection {
            Collection::Checkout { expires_at, .. } if now < *expires_at => next.min(*expires_at),
            Collection::Checkout { .. } | Collection::OffSession { .. } => next,
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
        let receipt = Receipt { id: "ch_1".to_owned(), amount: payment.amount };
        Outcome::Succeeded { receipt, method: None }
    }

    fn declined() -> Outcome {
        Outcome::Declined(Decline { code: "insufficient_funds".to_owned(), remedy: Remedy::RetryLater })
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
                assert!(matches!(settled.status, PaymentStatus::Succeeded { .. }), "{:?}", settled.status);
            }
        }
    }

    #[test]
    fn the_same_answer_twice_is_told_once() {
        for outcome in [succeeded(&off_session_payment()), declined(), Outcome::Expired] {
            let settled = off_session_payment().settle(outcome.clone(), now());
            assert!(settled.as_ref().is_some_and(|(_, fact)| fact.is_some()));
            assert!(settled.is_some_and(|(payment, _)| payment.settle(outcome, now()).is_none()));
        }
    }

    #[test]
    fn another_amount_or_currency_is_not_paid_and_goes_back() {
        let payment = off_session_payment();
        let usd = Currency::from_code("USD").unwrap_or(payment.amount.currency);
        for amount in [Money { minor: 1, ..payment.amount }, Money { currency: usd, ..payment.amount }] {
            let receipt = Receipt { id: "ch_1".to_owned(), amount };
            let settled = payment.clone().settle(Outcome::Succeeded { receipt, method: None }, now());
            assert!(settled.is_some_and(|(payment, fact)| {
                matches!(payment.status, PaymentStatus::RefundDue { .. }) && matches!(fact, Some(Fact::Declined { .. }))
            }));
        }
    }

    #[test]
    fn silence_is_never_failure() {
        let mut payment = off_session_payment();
        for hours in 0..(24 * 6) {
            let asked_at = after(payment.created_at, SignedDuration::from_hours(hours));
            payment = payment.unanswered(asked_at);
            assert!(matches!(payment.status, PaymentStatus::Pending { .. }));
        }
        payment = payment.clone().unanswered(after(payment.created_at, days(6)));
        assert!(matches!(payment.status, PaymentStatus::Unresolved { .. }));
    }

    #[test]
    fn a_clock_that_jumps_abandons_nothing_at_the_first_look() {
        let mut payment = off_session_payment();
        let jumped = after(payment.created_at, days(2));
        payment = payment.abandoned(jumped);
        assert!(payment.due_at().is_some_and(|next| next > jumped));
        let looks = std::iter::successors(Some(payment), |it| it.due_at().map(|next| it.clone().abandoned(next)));
        let Some(last) = looks.last() else { panic!("it is looked for") };
        let PaymentStatus::Expired { at } = last.status else { panic!("{:?}", last.status) };
        assert!(at.duration_since(jumped) > SignedDuration::from_hours(12));
    }

    #[test]
    fn what_stays_at_the_bank_for_days_is_someones_to_look_at() {
        let payment = off_session_payment();
        let look = |payment: Payment, day| payment.clone().undecided(after(payment.created_at, days(day)));
        let week = (0..8).fold(payment, |payment, _| look(payment, 5));
        assert!(matches!(week.status, PaymentStatus::Pending { .. }));
        assert!(matches!(look(week, 6).status, PaymentStatus::Unresolved { .. }));
    }

    #[test]
    fn a_jump_of_the_clock_alone_gives_nothing_up() {
        let payment = off_session_payment();
        let jumped = payment.clone().unanswered(after(payment.created_at, days(30)));
        assert!(matches!(jumped.status, PaymentStatus::Pending { .. }));
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
        let decline = |remedy| Outcome::Declined(Decline { code: "authentication_required".to_owned(), remedy });
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

    #[test]
    fn a_checkout_is_asked_about_when_its_time_is_over() {
        let payment = checkout_payment();
        let late = after(payment.created_at, SignedDuration::from_hours(23));
        let waiting = (0..10).fold(payment.clone(), |payment, _| payment.unanswered(late));
        assert_eq!(waiting.due_at(), Some(after(payment.created_at, SignedDuration::from_hours(24))));
    }

    #[test]
    fn waits_double_up_to_six_hours() {
        let minutes: Vec<i64> = [0, 1, 2, 6, 7, u32::MAX].map(|tries| backoff(tries).as_mins()).to_vec();
        assert_eq!(minutes, [5, 10, 20, 320, 360, 360]);
    }

    #[test]
    fn stripe_forgets_what_paystack_remembers() {
        let payment = off_session_payment();
        let tomorrow = after(payment.created_at, days(1));
        let at = |gateway| Payment { gateway, ..payment.clone() }.may_be_sent_again(tomorrow);
        assert_eq!((at(Gateway::Stripe), at(Gateway::Paystack)), (false, true));
    }
}
