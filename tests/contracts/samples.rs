//! Records of every kind, in every state that is stored differently.

use billing::delivery::{Delivery, DeliveryId, Notice};
use billing::dunning::Dunning;
use billing::id::{CustomerId, IdempotencyKey, PaymentId, PlanId, SubscriptionId};
use billing::outcome::{Decline, Receipt, Remedy, Stage};
use billing::payment::{Address, CheckoutMethod, Collection, Gateway, Opened, Payer, Payment, PaymentStatus};
use billing::ports::{Claim, MeterName, MeterUsage, Record, Referred, StoredFamily, StoredPlan, TestClock, Tokens};
use billing::subscription::{CancelReason, Event, Subscription};
use billing::testing::{family, instant, meter, method, off_session_payment, order, plan};
use billing::wallet::Wallet;
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;

pub(crate) fn now() -> Timestamp {
    instant("2026-01-31T12:00:00Z")
}

pub(crate) fn later(seconds: i64) -> Timestamp {
    now() + SignedDuration::from_secs(seconds)
}

pub(crate) fn customer(name: &str) -> CustomerId {
    CustomerId::try_from(name.to_owned()).expect(name)
}

pub(crate) fn payment_id(of: &CustomerId, number: u32, period: u32, attempt: u32) -> PaymentId {
    PaymentId { subscription: SubscriptionId::nth(of, number), period, attempt }
}

/// An off-session payment that is due an hour after [`now`].
pub(crate) fn payment(of: &CustomerId, number: u32, period: u32, attempt: u32) -> Payment {
    let id = payment_id(of, number, period, attempt);
    let status = PaymentStatus::Pending { stage: Stage::Processing, check_at: later(3_600), tries: 0 };
    let reference = id.reference(of);
    Payment { id, customer: of.clone(), reference, status, version: 1, ..off_session_payment() }
}

fn checkout(of: &CustomerId, method: CheckoutMethod, opened: Option<Opened>) -> Payment {
    let waiting = Subscription::ordering(None, of, order("tokens-pro"), now()).expect("an order");
    let payer = Payer { email: Some("billing@acme.example".to_owned()), known_as: Some("cus_1".to_owned()) };
    let url = Some("https://app.example/back?a=b".to_owned());
    let (_, mut payment) = waiting.checkout(Gateway::Stripe, (payer, method, url), now()).expect("a checkout");
    if let Collection::Checkout { opened: place, .. } = &mut payment.collection {
        *place = opened;
    }
    Payment { version: 1, ..payment }
}

/// Payments of `of` in every status, made in every way.
pub(crate) fn payments(of: &CustomerId) -> Vec<Payment> {
    let receipt = Receipt { id: "ch_1".to_owned(), amount: off_session_payment().amount };
    let decline = Decline { code: "insufficient_funds".to_owned(), remedy: Remedy::RetryLater };
    let at = now();
    let statuses = [
        PaymentStatus::Pending { stage: Stage::RequiresAction, check_at: at, tries: u32::MAX },
        PaymentStatus::Failed { decline: decline.clone(), check_at: Some(at), tries: 1 },
        PaymentStatus::Failed { decline, check_at: None, tries: 0 },
        PaymentStatus::Expired { at },
        PaymentStatus::Unresolved { since: at },
        PaymentStatus::Succeeded { receipt: receipt.clone(), at },
        PaymentStatus::RefundDue { receipt: receipt.clone(), check_at: at, tries: 2 },
        PaymentStatus::Refunded { receipt, refund: "re_1".to_owned(), at },
    ];
    let charged = (1..).zip(statuses).map(|(attempt, status)| Payment { status, ..payment(of, 1, 1, attempt) });
    let page = Opened { id: "cs_1".to_owned(), at: Address::CheckoutUrl("https://pay.example/1".to_owned()) };
    let secret = Opened { id: "pi_1".to_owned(), at: Address::ClientSecret("pi_1_secret_2".to_owned()) };
    let opened = [
        checkout(of, CheckoutMethod::Checkout, None),
        checkout(of, CheckoutMethod::Checkout, Some(page)),
        checkout(of, CheckoutMethod::ClientSecret, Some(secret)),
    ];
    let checkouts = (1..).zip(opened).map(|(attempt, payment)| {
        let id = payment_id(of, 1, 0, attempt);
        Payment { reference: id.reference(of), id, ..payment }
    });
    charged.chain(checkouts).collect()
}

pub(crate) fn incomplete(of: &CustomerId) -> Subscription {
    let ordered = Subscription::ordering(None, of, order("estates-professional"), now()).expect("an order");
    Subscription { version: 1, ..ordered }
}

/// Paid for on 31 January 2026, and due a month later.
pub(crate) fn active(of: &CustomerId) -> Subscription {
    let order = Box::new(order("estates-professional"));
    incomplete(of).apply(&Event::Activated { payment: payment_id(of, 1, 0, 1), order, at: now() })
}

pub(crate) fn past_due(of: &CustomerId, at: Timestamp) -> Subscription {
    active(of).apply(&Event::PaymentMissed { payment: None, dunning: Dunning::Retry { at } })
}

pub(crate) fn subscriptions(of: &CustomerId) -> Vec<Subscription> {
    let at = now();
    let active = active(of);
    let after = |event: &Event| active.clone().apply(event);
    let waiting = Subscription { open: Some(payment_id(of, 1, 1, 1)), attempts: 1, ..active.clone() };
    vec![
        incomplete(of),
        incomplete(of).apply(&Event::Expired { at }),
        after(&Event::CancellationScheduled),
        after(&Event::PaymentMissed { payment: None, dunning: Dunning::Grace { ends_at: at } }),
        after(&Event::Canceled { at, reason: CancelReason::Unpaid }),
        after(&Event::Expired { at }),
        past_due(of, at),
        waiting,
        active,
    ]
}

pub(crate) fn events(of: &CustomerId) -> Vec<Event> {
    let (payment, at) = (payment_id(of, 1, 0, 1), now());
    vec![
        Event::Activated { payment: payment.clone(), order: Box::new(order("minutes-starter")), at },
        Event::Renewed { payment: payment.clone() },
        Event::PaymentMissed { payment: Some(payment.clone()), dunning: Dunning::Grace { ends_at: at } },
        Event::PaymentMissed { payment: None, dunning: Dunning::Retry { at } },
        Event::RefundOwed { payment },
        Event::CancellationScheduled,
        Event::CancellationRevoked,
        Event::Canceled { at, reason: CancelReason::Requested },
        Event::Expired { at },
    ]
}

pub(crate) fn wallet(of: &CustomerId) -> Wallet {
    let wallet = Wallet::empty(of.clone()).remembering(method("AUTH_1")).and_then(|it| it.remembering(method("é2")));
    Wallet { version: 1, ..wallet.expect("a new card") }
}

pub(crate) fn tokens(of: &CustomerId, balance: u64) -> Tokens {
    Tokens { customer: of.clone(), balance, version: 1 }
}

pub(crate) fn usage(of: &CustomerId, name: &str, value: u64) -> MeterUsage {
    MeterUsage { customer: of.clone(), meter: meter(name), value, at: now(), version: 1 }
}

pub(crate) fn claim(of: &CustomerId, key: &str) -> Claim {
    Claim {
        customer: of.clone(),
        key: IdempotencyKey::try_from(key.to_owned()).expect(key),
        fingerprint: "estates 1".to_owned(),
        payment: payment_id(of, 1, 0, 1),
        expires_at: later(96 * 3_600),
    }
}

pub(crate) fn delivery(event: &str) -> Delivery {
    let notice = Notice {
        id: DeliveryId { gateway: Gateway::Stripe, event: event.to_owned() },
        kind: "payment_intent.succeeded".to_owned(),
        reference: Some(off_session_payment().reference),
        body: r#"{"id":"evt","ü":"\u0000 #"}"#.to_owned(),
    };
    Delivery { version: 1, ..Delivery::done(notice, now()) }
}

pub(crate) fn plan_id(name: &str) -> PlanId {
    PlanId::try_from(name.to_owned()).expect(name)
}

pub(crate) fn stored_plan(name: &str, revision: u64) -> StoredPlan {
    StoredPlan { plan: plan(name), revision }
}

pub(crate) fn meter_name(name: &str) -> MeterName {
    let families = ["estates", "minutes"].map(family).map(|family| (family.id, family.meters[0].clone()));
    MeterName { name: meter(name), families: BTreeMap::from(families), version: 1 }
}

/// What `of` has, of every kind and with different keys.
pub(crate) fn of_customer(of: &CustomerId) -> Vec<Record> {
    let history = (0..).zip(events(of)).map(|(index, event)| Record::History {
        customer: of.clone(),
        subscription: SubscriptionId::nth(of, 1),
        version: 12,
        index,
        event,
    });
    let past = (1..)
        .zip(subscriptions(of))
        .map(|(number, past)| Record::PastSubscription(Subscription { id: SubscriptionId::nth(of, number), ..past }));
    let own = [
        Record::Subscription(active(of)),
        Record::Wallet(wallet(of)),
        Record::Tokens(tokens(of, u64::MAX)),
        Record::Usage(usage(of, "estates", 0)),
        Record::Usage(usage(of, "clients", u64::MAX)),
        Record::Claim(claim(of, "key#1")),
        Record::Claim(claim(of, &"~".repeat(255))),
    ];
    own.into_iter().chain(history).chain(past).chain(payments(of).into_iter().map(Record::Payment)).collect()
}

/// What belongs to nobody in particular.
pub(crate) fn of_all() -> Vec<Record> {
    let families = ["estates", "minutes", "tokens", "crm"];
    let plans = ["estates-professional", "minutes-starter", "tokens-pro", "crm-professional"];
    let families = families.map(|name| Record::Family(StoredFamily { family: family(name), version: 1 }));
    let own = [
        Record::Reference(Referred::to(&off_session_payment())),
        Record::Delivery(delivery("evt_1")),
        Record::Delivery(delivery("evt#2#").waiting(now())),
        Record::Meter(meter_name("estates")),
        Record::TestClock(TestClock { ahead_s: 86_400 * 365, version: 1 }),
    ];
    let plans =
        plans.into_iter().flat_map(|name| [Record::Plan(stored_plan(name, 1)), Record::PlanVersion(plan(name))]);
    own.into_iter().chain(families).chain(plans).collect()
}

pub(crate) fn everything(of: &CustomerId) -> Vec<Record> {
    of_customer(of).into_iter().chain(of_all()).collect()
}
