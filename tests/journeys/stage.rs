//! What the stories have in common: a customer, a page to pay on, time that
//! passes, and a gateway that tells.

use billing::delivery::{DeliveryId, Notice};
use billing::dunning::Dunning;
use billing::id::PaymentId;
use billing::mail::{Dropped, MailStatus};
use billing::money::Money;
use billing::outcome::Remedy;
use billing::payment::{AskedBecause, CheckoutMethod, Gateway, Payment, PaymentStatus, Portion, Standing};
use billing::ports::{Key, Wanted};
use billing::subscription::{CancelReason, Command, Refusal, Status, Subscription};
use billing::testing::{Script, World, customer, holder, idempotency_key, request, world};
use billing::workflow::{Checkout, CheckoutError, Recovery, RefundRequest, RequestError};
use futures::executor::block_on;
use jiff::{SignedDuration, Timestamp};

pub(crate) const PLAN: &str = "estates-professional";

pub(crate) const MINUTE: SignedDuration = SignedDuration::from_mins(1);
pub(crate) const HOUR: SignedDuration = SignedDuration::from_hours(1);
pub(crate) const DAY: SignedDuration = SignedDuration::from_hours(24);

/// What a subscription is, in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Is {
    Incomplete,
    Trialing,
    Active,
    Leaving,
    Paused,
    Retrying,
    InGrace,
    Suspended,
    Canceled,
    Unpaid,
    Disputed,
    Expired,
}

pub(crate) fn is(subscription: &Subscription) -> Is {
    match &subscription.status {
        Status::Incomplete => Is::Incomplete,
        Status::Active { cancel_at_period_end: false, .. } if subscription.is_trialing() => Is::Trialing,
        Status::Active { cancel_at_period_end: false, .. } => Is::Active,
        Status::Paused { .. } => Is::Paused,
        Status::Active { cancel_at_period_end: true, .. } => Is::Leaving,
        Status::PastDue { dunning: Dunning::Retry { .. }, .. } => Is::Retrying,
        Status::PastDue { dunning: Dunning::Grace { .. }, .. } => Is::InGrace,
        Status::PastDue { dunning: Dunning::Suspended { .. }, .. } => Is::Suspended,
        Status::Canceled { reason: CancelReason::Requested, .. } => Is::Canceled,
        Status::Canceled { reason: CancelReason::Unpaid, .. } => Is::Unpaid,
        Status::Canceled { reason: CancelReason::Disputed, .. } => Is::Disputed,
        Status::Expired { .. } => Is::Expired,
    }
}

/// What a payment is, in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Paid {
    Pending,
    Failed,
    Expired,
    Unresolved,
    Succeeded,
    RefundDue,
    PartiallyRefunded,
    Refunded,
    Disputed,
}

pub(crate) fn paid(payment: &Payment) -> Paid {
    match &payment.status {
        PaymentStatus::Pending { .. } => Paid::Pending,
        PaymentStatus::Failed { .. } => Paid::Failed,
        PaymentStatus::Expired { .. } => Paid::Expired,
        PaymentStatus::Unresolved { .. } => Paid::Unresolved,
        PaymentStatus::Paid(paid) => match paid.standing() {
            Standing::Succeeded => Paid::Succeeded,
            Standing::RefundDue => Paid::RefundDue,
            Standing::PartiallyRefunded => Paid::PartiallyRefunded,
            Standing::Refunded => Paid::Refunded,
            Standing::Disputed => Paid::Disputed,
        },
    }
}

pub(crate) fn ask(world: &World, wanted: Checkout) -> Result<Payment, CheckoutError> {
    block_on(world.checkout(wanted))
}

/// A checkout of the sample customer, opened.
pub(crate) fn opened(world: &World, plan: &str, key: &str) -> Payment {
    opened_as(world, request(plan, key))
}

pub(crate) fn opened_as(world: &World, wanted: Checkout) -> Payment {
    let payment = ask(world, wanted).unwrap_or_else(|error| panic!("{error}"));
    assert!(payment.opened().is_some(), "there is an address to pay at");
    payment
}

/// A subscription that was paid for a moment ago, with a card on file.
pub(crate) fn subscribed() -> World {
    subscribed_to(request(PLAN, "first"))
}

pub(crate) fn subscribed_to(wanted: Checkout) -> World {
    let world = world();
    let payment = opened_as(&world, wanted);
    world.gateways.visit(&payment, true);
    told(&world, &payment, "evt_first");
    assert_eq!(is(&world.subscription()), Is::Active);
    world
}

/// The gateway tells us that something became of `payment`.
pub(crate) fn told(world: &World, payment: &Payment, event: &str) {
    block_on(world.receive(notice(payment, event))).unwrap_or_else(|error| panic!("{error}"));
}

pub(crate) fn notice(payment: &Payment, event: &str) -> Notice {
    Notice {
        id: DeliveryId { gateway: payment.gateway, event: event.to_owned() },
        kind: "charge.success".to_owned(),
        reference: Some(payment.reference.clone()),
        object: None,
        body: "{}".to_owned(),
    }
}

pub(crate) fn verify(world: &World, payment: &Payment) -> (Paid, Is) {
    let (payment, subscription) =
        block_on(world.verify(&payment.customer, &payment.id)).unwrap_or_else(|error| panic!("{error}"));
    (paid(&payment), subscription.map_or(Is::Incomplete, |subscription| is(&subscription)))
}

pub(crate) fn command(world: &World, command: Command) -> Is {
    is(&try_command(world, command).unwrap_or_else(|error| panic!("{error}")))
}

/// Under a key of its own while it says something new.
fn try_command(world: &World, command: Command) -> Result<Subscription, RequestError> {
    let key = format!("{command:?}-{}", world.subscription().version);
    requested(world, command, &key)
}

pub(crate) fn requested(world: &World, command: Command, key: &str) -> Result<Subscription, RequestError> {
    block_on(world.request(&customer(), command, None, &idempotency_key(key), &format!("{command:?}")))
}

pub(crate) fn command_refused(world: &World, command: Command) -> Refusal {
    match try_command(world, command) {
        Err(RequestError::Refused(refusal)) => refusal,
        other => panic!("{other:?}"),
    }
}

pub(crate) fn pass(world: &World, time: SignedDuration) {
    world.clock.set(world.clock.time() + time);
}

/// Time passes by the hour, and what becomes due is done.
pub(crate) fn live(world: &World, time: SignedDuration) {
    let until = world.clock.time() + time;
    while world.clock.time() < until {
        pass(world, HOUR.min(until.duration_since(world.clock.time())));
        world.run();
    }
}

pub(crate) fn period_end(world: &World) -> Timestamp {
    world.subscription().period().map_or_else(|| panic!("nothing was ever paid"), |period| period.end)
}

/// To the moment in which the period that is paid for ends, and no further.
pub(crate) fn to_period_end(world: &World) {
    world.clock.set(period_end(world));
}

/// The next charge is declined, and the subscription's period is over.
pub(crate) fn declined_at_period_end(world: &World, remedy: Remedy) {
    to_period_end(world);
    world.gateways.next(Script::Decline(remedy));
    world.run();
}

pub(crate) fn index(world: &World) -> Option<u32> {
    world.subscription().term().map(|term| term.index)
}

pub(crate) fn renewal() -> Wanted {
    Wanted::Subscription { customer: customer() }
}

pub(crate) fn check(payment: &Payment) -> Wanted {
    Wanted::Payment { customer: payment.customer.clone(), payment: payment.id.clone() }
}

pub(crate) fn wake(world: &World, wanted: Wanted) {
    block_on(world.wake(wanted)).unwrap_or_else(|error| panic!("{error}"));
}

/// The `attempt`th attempt to collect the `period`th period, as it is stored.
pub(crate) fn attempt(world: &World, period: u32, attempt: u32) -> Payment {
    let id = PaymentId { subscription: world.subscription().id, period, attempt };
    let found = world.key(Key::Payment(customer(), id)).payment();
    found.unwrap_or_else(|| panic!("there is no attempt {attempt} for period {period}"))
}

pub(crate) fn tokens(world: &World) -> u64 {
    world.key(Key::Tokens(customer())).tokens().map_or(0, |tokens| tokens.balance)
}

/// How many charges took money, and how many of them were given back.
pub(crate) fn money(world: &World) -> (usize, usize) {
    (world.gateways.taken(), world.gateways.charges().values().filter(|charge| !charge.refunds.is_empty()).count())
}

pub(crate) fn on(gateway: Gateway, wanted: Checkout) -> Checkout {
    Checkout { gateway, ..wanted }
}

/// Minor units that came in by transfer and are on no payment.
pub(crate) fn credit(world: &World) -> Option<i64> {
    world.key(Key::Account(customer())).account().map(|account| account.credit)
}

pub(crate) fn methods(world: &World) -> usize {
    world.key(Key::Wallet(customer())).wallet().map_or(0, |wallet| wallet.methods.len())
}

/// How many mails were sent, and how many became pointless before.
pub(crate) fn mails(world: &World) -> (usize, usize) {
    let mails = world.store.mails();
    let count = |is: fn(&MailStatus) -> bool| mails.iter().filter(|mail| is(&mail.status)).count();
    let pointless = |status: &MailStatus| matches!(status, MailStatus::Dropped { because: Dropped::Overtaken, .. });
    (count(|status| matches!(status, MailStatus::Sent { .. })), count(pointless))
}

/// What the sample plan costs a month.
pub(crate) fn naira() -> Money {
    billing::testing::order(PLAN).price.amount
}

/// A request of the sample customer to buy, and to pay by bank transfer.
pub(crate) fn by_transfer(key: &str) -> Checkout {
    Checkout { method: CheckoutMethod::VirtualAccount, holder: Some(holder()), ..request(PLAN, key) }
}

/// A request of the sample customer to pay what they owe.
pub(crate) fn recovery(key: &str) -> Recovery {
    let wanted = request(PLAN, key);
    Recovery {
        customer: wanted.customer,
        email: wanted.email,
        gateway: Gateway::Paystack,
        method: CheckoutMethod::Checkout,
        return_url: None,
        key: wanted.key,
        fingerprint: "recovery".to_owned(),
    }
}

/// A request to give `minor` units of the first payment back.
pub(crate) fn refund_of(world: &World, minor: i64) -> RefundRequest {
    let payment = attempt(world, 0, 1);
    RefundRequest {
        customer: customer(),
        payment: payment.id,
        portion: Portion::Part(Money { minor, ..payment.amount }),
        because: AskedBecause::RequestedByCustomer,
        key: request(PLAN, "refund").key,
        fingerprint: minor.to_string(),
    }
}
