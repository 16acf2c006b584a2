//! What is asked of a subscription, what it is told, and what happened to it.

use super::{Becomes, CancelReason, CountedLate, Order, Status, Term, UsageLine};
use crate::catalog::Plan;
use crate::discount::Discount;
use crate::driven::Driven;
use crate::dunning::{Dunning, Failure};
use crate::id::{BrandId, MeterId, MethodId, PaymentId, PeriodId};
use crate::money::Money;
use crate::outcome::Decline;
use crate::payment::Standing;
use crate::statistics::DayRecount;
use crate::trial::Trial;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::num::NonZeroU16;

/// What someone asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    CancelAtPeriodEnd,
    CancelNow,
    /// Takes back what was to happen at the period's end.
    Resume,
    Pause,
    PauseAtPeriodEnd,
    Unpause,
}

/// What a gateway tells us, or time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// `order`: what was bought, if this payment opens a subscription. `amount`: what came in.
    Paid {
        payment: PaymentId,
        order: Option<Box<Order>>,
        amount: Money,
    },
    /// So much of what was paid goes back, or is gone; below zero: does not go back after all.
    Returned {
        payment: PaymentId,
        amount: Money,
    },
    /// A charge of ours was declined. What happens on a page before it ends is nobody's business.
    Declined {
        payment: PaymentId,
        method: Option<MethodId>,
        decline: Decline,
    },
    /// An attempt ended and nobody had paid.
    Abandoned {
        payment: PaymentId,
    },
    /// A payment is due and there is nothing to charge.
    NoMethod,
    /// There is something that could be charged. `method`: the customer has just left it, new or mended.
    MethodAdded {
        method: Option<MethodId>,
    },
    /// The customer's bank disputes a payment.
    Disputed {
        payment: PaymentId,
    },
    DisputeWon {
        payment: PaymentId,
    },
    /// The money is gone.
    DisputeLost {
        payment: PaymentId,
    },
}

/// What happened, in the past tense. Stored, so its meaning never changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event {
    /// `paid`: what came in; the balance has what is left to the price. None: the price, in what was stored before
    /// there were balances.
    Activated {
        payment: PaymentId,
        order: Box<Order>,
        at: Timestamp,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        paid: Option<Money>,
    },
    Renewed {
        payment: PaymentId,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        paid: Option<Money>,
    },
    /// Grace was over `at` that time, and nobody had paid: nothing is served from then on, and it can be paid for `until`
    /// then.
    Suspended {
        at: Timestamp,
        until: Timestamp,
    },
    /// The period that was owed is paid for, and was not served since grace was over: so much later it goes on.
    Restored {
        payment: PaymentId,
        paid: Money,
        since: Timestamp,
        at: Timestamp,
    },
    /// Of a payment for this subscription.
    Returned {
        payment: PaymentId,
        amount: Money,
    },
    PaymentMissed {
        /// None: there was no method to charge.
        failure: Option<Failure>,
        dunning: Dunning,
    },
    /// There is something to charge again.
    RetryScheduled {
        at: Timestamp,
        /// What the customer has just left: how it failed before says nothing of it now.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mended: Option<MethodId>,
    },
    /// Nobody paid, and nothing follows but that the subscription waits for it no more.
    AttemptEnded {
        payment: PaymentId,
    },
    Disputed {
        payment: PaymentId,
    },
    DisputeSettled {
        payment: PaymentId,
    },
    /// Paid twice, or for something we no longer serve. The money must go back.
    RefundOwed {
        payment: PaymentId,
    },
    /// What was used beyond limits is charged with the next period.
    UsageBilled {
        /// Which period that was all of. None: so far, of the one at hand.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        closed: Option<u32>,
        lines: Vec<UsageLine>,
    },
    /// By what was told of a period that was over.
    CountedLate {
        counted: Vec<CountedLate>,
        /// What that adds to an invoice that was made already.
        lines: Vec<UsageLine>,
    },
    CancellationScheduled,
    CancellationRevoked,
    /// From the next period on.
    ChangeScheduled {
        order: Box<Order>,
    },
    ChangeRevoked,
    /// More is in use than what was scheduled allows: it goes on as it is.
    ChangeBlocked,
    /// Now.
    Changed {
        /// None: there was nothing to charge.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        payment: Option<PaymentId>,
        paid: Money,
        becomes: Box<Becomes>,
    },
    /// What the change would have cost was not paid, or not before the customer asked for the end, or disputed a payment: it
    /// is not made.
    ChangeDeclined {
        payment: PaymentId,
    },
    /// Off the periods that begin from now on: the billing staff gave it.
    Discounted {
        discount: Box<Discount>,
    },
    /// The billing staff move it to another version of its plan.
    PriceChangeAnnounced {
        plan: Box<Plan>,
        notice_days: NonZeroU16,
    },
    /// The customer knows that it is so from the period on that begins then, and no period that begins before.
    PriceChangeTold {
        from: Timestamp,
    },
    PriceChangeRevoked,
    /// Nothing is paid for it.
    TrialStarted {
        order: Box<Order>,
        trial: Trial,
    },
    /// The customer is told so, some days before.
    TrialEnding {
        /// There is a payment method to charge.
        has_method: bool,
    },
    PauseScheduled,
    PauseRevoked,
    Paused {
        at: Timestamp,
    },
    Unpaused {
        at: Timestamp,
    },
    /// It ran elsewhere, and was paid there: `paid` says how much of that may be credited here.
    TakenOver {
        order: Box<Order>,
        term: Term,
        paid: Money,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tokens: Option<u64>,
        at: Timestamp,
    },
    /// Of the running period, by somebody of the SaaS.
    EndMoved {
        at: Timestamp,
        end: Timestamp,
    },
    /// By somebody of the SaaS.
    TokensReset {
        from: u64,
        to: u64,
    },
    /// That came with a payment, since all of its money went back or was charged back.
    TokensTakenBack {
        payment: PaymentId,
        tokens: u64,
        because: Standing,
    },
    /// Its money is not gone after all.
    TokensPutBack {
        payment: PaymentId,
        tokens: u64,
    },
    /// By somebody of the SaaS. None: it has none any more.
    Branded {
        brand: Option<BrandId>,
    },
    /// By somebody of the SaaS, to what the records of its uses come to.
    CounterRebuilt {
        meter: MeterId,
        period: PeriodId,
        from: u64,
        to: u64,
    },
    /// The same, of what is said of these days.
    DaysRebuilt {
        meter: MeterId,
        days: Vec<DayRecount>,
    },
    Canceled {
        at: Timestamp,
        reason: CancelReason,
    },
    Expired {
        at: Timestamp,
    },
    /// What it is where it is driven, as far as that has changed.
    Followed {
        driven: Box<Driven>,
        order: Box<Order>,
        became: Status,
        attempts: u32,
        failure: Option<Failure>,
    },
}

/// Why a request is not granted. An expected answer, not a malfunction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("the subscription has ended")]
    Ended,
    #[error("the subscription has not been paid for yet")]
    NotActive,
    #[error("there is a subscription already; change that one")]
    AlreadySubscribed,
    #[error("this plan is sold once a customer: quantity must be 1")]
    QuantityNotOne,
    #[error("that many would cost more than can be charged")]
    TooExpensive,
    #[error("the subscription is paused: let it go on first")]
    Paused,
    #[error("a trial is not paused")]
    Trialing,
    #[error("nothing is owed")]
    NothingOwed,
    #[error("there is nothing to pay: subscribe without a page")]
    NothingToPay,
    #[error("a charge is running: its outcome comes first")]
    ChargeRunning,
    #[error("that is what the customer has already")]
    NothingChanges,
    #[error("that is no such change: by its tier and price it is another")]
    OtherDirection,
    #[error("the subscription is to end: take that back first")]
    Leaving,
    #[error("another change is scheduled: take that back first")]
    ChangeScheduled,
    #[error("what is owed is to be paid first")]
    PaymentOwed,
    #[error("a bank is deciding about a payment: nothing is changed meanwhile")]
    Disputed,
    #[error("what is prepaid or does not renew is changed at the end of its period, or bought anew")]
    NotWithinPeriod,
    #[error("there is no payment method to charge: leave one first")]
    NoMethod,
    #[error("the preview is too old, or something has changed since: ask for another")]
    PreviewStale,
    #[error("that is not after now: to end a subscription is to cancel it")]
    EndIsPast,
    #[error("no period ends more than ten years from now")]
    EndIsFar,
    #[error("with so many days the period would end more than ten years from now")]
    TooManyDays,
    #[error("no tokens come with this plan")]
    NoTokens,
    #[error("it does not renew: no period is to come")]
    NotRenewed,
    #[error("the plan is not sold any more by that interval and in that currency")]
    NotSold,
    #[error("there is no such brand")]
    NoSuchBrand,
    #[error("nobody knows where to write to the customer")]
    NoContact,
    #[error("another system charges for the subscription: it is changed and canceled there")]
    DrivenElsewhere,
}

/// What time alone brings about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// The period after the current one is to be paid.
    Payment,
    /// Grace is over: nothing is served until somebody pays.
    Suspension,
    Cancellation(CancelReason),
    /// The period is over that a change was for, and nobody knows yet whether that is paid.
    ChangeOver,
    Pause,
    /// The trial is about to end, and the customer is to know.
    Reminder,
    Expiry,
    /// It is driven elsewhere: how does it stand there?
    Look,
}
