//! Records of every kind, in every state that is stored differently.

pub(crate) mod payments;

use billing::account::VirtualAccount;
use billing::alert::Alert;
use billing::brand::Brand;
use billing::calendar::Period;
use billing::catalog::{Plan, Unit};
use billing::delivery::{Delivery, DeliveryId, Notice};
use billing::discount::Discount;
use billing::driven::{Seen, Standing};
use billing::dunning::ladder::DunningPolicy;
use billing::dunning::{Dunning, Failure};
use billing::id::{ConsumptionId, CustomerId, IdempotencyKey, PaymentId, PeriodId, PlanId, SubscriptionId, UsageId};
use billing::mail::{About, Contact, Dropped, Mail, MailStatus, OverageNotice, Passed};
use billing::money::Money;
use billing::outcome::{Decline, Remedy};
use billing::payment::{Gateway, Standing as HowPaid};
use billing::ports::{Claim, MeterName, Record, Referred, StoredCoupon, StoredFamily, StoredPlan, TestClock, Walk};
use billing::reservation::{Minutes, Reservation, Reservations};
use billing::shard::{Lease, Shard, Shards};
use billing::statistics::{DayRecount, DayUsage};
use billing::subscription::{
    Becomes, CancelReason, Changing, CountedLate, Event, Order, Sold, Subscription, Takeover, Term, UsageLine,
};
use billing::testing::{
    brand, family, instant, meter, method, method_at, off_session_payment, order, plan, seen, zone,
};
use billing::token::{Consumption, Grant, Purpose, Tokens};
use billing::trial::{Kind, Trial};
use billing::usage::{MeterUsage, UsageRecord};
use billing::wallet::{Card, Expiry, Instrument, Leaving, Method, Wallet};
use jiff::civil::date;
use jiff::{SignedDuration, Timestamp};
use payments::{bank_account, payment_id, payments};
use std::collections::BTreeMap;
use std::num::{NonZeroU16, NonZeroU32, NonZeroU64};

pub(crate) fn now() -> Timestamp {
    instant("2026-01-31T12:00:00Z")
}

pub(crate) fn later(seconds: i64) -> Timestamp {
    now() + SignedDuration::from_secs(seconds)
}

pub(crate) fn customer(name: &str) -> CustomerId {
    CustomerId::try_from(name.to_owned()).expect(name)
}

pub(crate) fn incomplete(of: &CustomerId) -> Subscription {
    let ordered = Subscription::ordering(None, of, order("estates-professional"), now()).expect("an order");
    Subscription { version: 1, ..ordered }
}

/// Paid for on 31 January 2026, and due a month later.
pub(crate) fn active(of: &CustomerId) -> Subscription {
    let order = Box::new(order("estates-professional"));
    incomplete(of).apply(&Event::Activated { payment: payment_id(of, 1, 0, 1), order, at: now(), paid: None })
}

pub(crate) fn past_due(of: &CustomerId, at: Timestamp) -> Subscription {
    let elsewhere = active(of).apply(&Event::PaymentMissed { failure: None, dunning: Dunning::Retry { at } });
    Subscription { time_zone: zone("Asia/Tbilisi"), brand: Some(brand("acme-telecom").id), ..elsewhere }
}

fn failures(of: &CustomerId) -> Vec<Failure> {
    let (first, second) = (payment_id(of, 1, 1, 1), payment_id(of, 1, 1, 2));
    let asked = Decline { link: Some("https://pay.example/3ds".to_owned()), ..Decline::new("c", Remedy::AskCustomer) };
    let policy = DunningPolicy::default();
    let few = Decline { wait_h: Some(72), ..Decline::new("do_not_honor", Remedy::FewTries) };
    vec![
        Failure::new(first, Some(method("AUTH_1").id()), few, 0, &policy, now()),
        Failure::new(second, None, asked, 1, &policy, now()),
    ]
}

/// Charged for by someone else, and at a price that is none of ours.
fn imported(of: &CustomerId) -> (Subscription, Event) {
    let seen =
        Seen { attempts: 2, decline: Some(Decline::new("c", Remedy::RetryLater)), ..seen("estates-professional") };
    let standing = Standing::Owing { again_at: Some(later(60)) };
    let (seen, unheard) =
        (Seen { standing, ..seen.clone() }, Seen { price_id: "price_é".to_owned(), plan: None, ..seen });
    let bought = seen.order([&plan("estates-professional")]).expect("a plan of ours");
    let importing = Subscription::importing(None, of, (Gateway::Stripe, &seen), bought, now());
    let (subscription, events) = importing.expect("imported");
    let subscription = events.iter().fold(subscription, |state, event| state.apply(event));
    let followed = subscription.follow(&unheard, None, now()).remove(0);
    (Subscription { version: 1, ..subscription.apply(&followed) }, followed)
}

/// To a dearer plan, half-way through the period.
fn becomes(of: &CustomerId) -> Becomes {
    let (order, term) = (order("estates-enterprise"), active(of).term().expect("a term"));
    let half = |minor: i64| Money { minor: minor / 2, ..order.price.amount };
    Becomes { credit: half(700_000), charge: half(1_500_000), order: order.clone(), term, at: now() }
}

fn changed(of: &CustomerId, payment: Option<PaymentId>) -> Event {
    let becomes = becomes(of);
    Event::Changed { payment, paid: Money { minor: 400_000, ..becomes.charge }, becomes: Box::new(becomes) }
}

pub(crate) fn subscriptions(of: &CustomerId) -> Vec<Subscription> {
    let at = now();
    let active = active(of);
    let after = |event: &Event| active.clone().apply(event);
    let waiting = Subscription { open: Some(payment_id(of, 1, 1, 1)), attempts: 1, ..active.clone() };
    let owing = Subscription { failures: failures(of), disputed: [payment_id(of, 1, 0, 1)].into(), ..past_due(of, at) };
    let changing = Changing { payment: payment_id(of, 1, 0, 1_001), becomes: becomes(of) };
    let scheduled = Event::ChangeScheduled { order: Box::new(order("estates-starter")) };
    vec![
        after(&scheduled),
        redeemed(of),
        after(&discounted()),
        after(&Event::EndMoved { at, end: later(60) }),
        after(&announced()),
        after(&announced()).apply(&Event::PriceChangeTold { from: later(30) }),
        taken_over(of).0,
        after(&changed(of, None)),
        after(&Event::UsageBilled { closed: Some(3), lines: vec![usage_line()] }),
        waiting.clone().apply(&counted_late(of)),
        Subscription { changes: 1, changing: Some(Box::new(changing)), ..active.clone() },
        incomplete(of),
        incomplete(of).apply(&Event::Expired { at }),
        after(&Event::CancellationScheduled),
        after(&Event::PaymentMissed { failure: None, dunning: Dunning::Grace { ends_at: at } }),
        past_due(of, at).apply(&Event::Suspended { at, until: later(60) }),
        after(&Event::Canceled { at, reason: CancelReason::Unpaid }),
        after(&Event::Canceled { at, reason: CancelReason::Disputed }),
        after(&Event::Expired { at }),
        past_due(of, at),
        owing,
        waiting,
        imported(of).0,
        active,
    ]
}

/// As it was ordered with a coupon, and began.
fn redeemed(of: &CustomerId) -> Subscription {
    let discount = Some(discount());
    let order = Box::new(Order { discount, ..order("estates-starter") }.in_next_period());
    incomplete(of).apply(&Event::Activated { payment: payment_id(of, 1, 0, 1), order, at: now(), paid: None })
}

fn discounted() -> Event {
    Event::Discounted { discount: Box::new(Discount { coupon: None, left: None, ..discount() }) }
}

/// Another version of the plan that it is of.
fn announced() -> Event {
    let plan = Box::new(Plan { version: 2, ..plan("estates-professional") });
    Event::PriceChangeAnnounced { plan, notice_days: NonZeroU16::MIN }
}

/// It ran elsewhere, and was tried out before: with everything that is there only then.
fn taken_over(of: &CustomerId) -> (Subscription, Event) {
    let (order, at) = (order("tokens-basic"), now());
    let term = Term { until: Some(later(60)), ..Term::first(at) };
    let event = Event::TakenOver { paid: order.price.amount, order: Box::new(order), term, tokens: Some(1_000), at };
    let trial = Trial { start: at, days: 14, kind: Kind::Free, until: Some(later(30)) };
    let taken_over = Takeover { request: "row".to_owned(), until: instant("2025-02-28T10:00:00Z") };
    let before = Subscription { taken_over: Some(taken_over), trial: Some(trial), ..incomplete(of) };
    (before.apply(&event), event)
}

fn discount() -> Discount {
    let (coupon, plan) = (coupon().coupon, plan("estates-starter").id);
    Discount { coupon: Some(coupon.code), plans: [plan].into(), ..Discount::to_come(coupon.off, coupon.lasts) }
}

pub(crate) fn events(of: &CustomerId) -> Vec<Event> {
    let (payment, at) = (payment_id(of, 1, 0, 1), now());
    let paid = Some(active(of).order.price.amount);
    vec![
        Event::Activated { payment: payment.clone(), order: Box::new(order("minutes-starter")), at, paid },
        Event::Activated { payment: payment.clone(), order: Box::new(order("minutes-starter")), at, paid: None },
        Event::Renewed { payment: payment.clone(), paid },
        Event::Suspended { at, until: later(60) },
        Event::Restored { payment: payment.clone(), paid: order("minutes-pro").price.amount, since: at, at: later(60) },
        Event::Returned { payment: payment.clone(), amount: active(of).order.price.amount },
        Event::ChangeScheduled { order: Box::new(order("minutes-pro")) },
        discounted(),
        announced(),
        Event::PriceChangeTold { from: later(30) },
        Event::PriceChangeRevoked,
        taken_over(of).1,
        Event::EndMoved { at, end: later(60) },
        Event::TokensReset { from: 2_000, to: 1_000 },
        Event::TokensTakenBack { payment: payment_id(of, 1, 0, 1), tokens: 1, because: HowPaid::Disputed },
        Event::TokensPutBack { payment: payment_id(of, 1, 0, 1), tokens: u64::MAX },
        Event::Branded { brand: Some(brand("acme-telecom").id) },
        Event::Branded { brand: None },
        Event::CounterRebuilt { meter: meter("minutes"), period: period_id(of, 3), from: u64::MAX, to: 0 },
        Event::DaysRebuilt {
            meter: meter("minutes"),
            days: vec![DayRecount { date: date(2026, 1, 31), counted: u64::MAX, recorded: 0 }],
        },
        Event::UsageBilled { closed: Some(3), lines: vec![usage_line()] },
        counted_late(of),
        Event::ChangeRevoked,
        Event::ChangeBlocked,
        changed(of, Some(payment.clone())),
        changed(of, None),
        Event::ChangeDeclined { payment: payment.clone() },
        Event::PaymentMissed { failure: failures(of).pop(), dunning: Dunning::Grace { ends_at: at } },
        Event::PaymentMissed { failure: None, dunning: Dunning::Retry { at } },
        Event::RetryScheduled { at, mended: None },
        Event::RetryScheduled { at, mended: Some(method("AUTH_1").id()) },
        imported(of).1,
        Event::AttemptEnded { payment: payment.clone() },
        Event::Disputed { payment: payment.clone() },
        Event::DisputeSettled { payment: payment.clone() },
        Event::RefundOwed { payment },
        Event::CancellationScheduled,
        Event::CancellationRevoked,
        Event::Canceled { at, reason: CancelReason::Requested },
        Event::Expired { at },
    ]
}

/// With methods of every kind, and none that a gateway is still to forget.
pub(crate) fn wallet(of: &CustomerId) -> Wallet {
    let account = Method {
        instrument: Instrument::Account { label: Some("b…@acme.example".to_owned()) },
        ..method_at(Gateway::PayPal, "vault-1")
    };
    let unknown = Method { instrument: Instrument::Account { label: None }, ..method_at(Gateway::PayPal, "vault-2") };
    let stripe = Method { instrument: card("F1", None), ..method_at(Gateway::Stripe, "pm_1") };
    let all = [method("AUTH_1"), account, unknown, stripe, method("é2")];
    let empty = Wallet { setups: 3, version: 1, ..Wallet::empty(of.clone()) };
    all.into_iter().fold(empty, |wallet, method| wallet.remembering(method).expect("a new method"))
}

fn card(fingerprint: &str, expires: Option<Expiry>) -> Instrument {
    let (brand, last4) = ("visa".to_owned(), "4242".to_owned());
    Instrument::Card(Card { brand, last4, expires, fingerprint: Some(fingerprint.to_owned()) })
}

/// The same, with methods that gateways are to be told of at those seconds.
pub(crate) fn leaving(of: &CustomerId, at: &[i64]) -> Wallet {
    let leaving = (0..).zip(at).map(|(tries, at)| {
        let method = method_at(Gateway::ALL[tries as usize % 4], &format!("gone-{tries}"));
        Leaving { method, check_at: later(*at), tries }
    });
    Wallet { leaving: leaving.collect(), ..wallet(of) }
}

/// A virtual account on which something came in, to be looked at after so many seconds.
pub(crate) fn account(of: &CustomerId, seconds: i64) -> VirtualAccount {
    VirtualAccount {
        customer: of.clone(),
        gateway: Gateway::Paystack,
        payer: "CUS_1".to_owned(),
        currency: off_session_payment().amount.currency,
        account: bank_account(),
        received: 7,
        credit: -1,
        awaited: Some(payment_id(of, 1, 0, 1)),
        opened_at: now(),
        check_at: later(seconds),
        version: 1,
    }
}

pub(crate) fn tokens(of: &CustomerId, balance: u64) -> Tokens {
    let grants = vec![Grant { tokens: 7, rollovers: Some(1) }, Grant { tokens: u64::MAX, rollovers: None }];
    Tokens { customer: of.clone(), balance, grants, periods: 3, version: 1 }
}

/// The `number`th second's; not all say what for.
pub(crate) fn consumption(of: &CustomerId, number: i64) -> Consumption {
    let at = later(number);
    let id = format!("use_{:013}{}", at.as_millisecond(), "a2".repeat(12));
    let id = ConsumptionId::try_from(id).expect("an id");
    let description = (number % 2 == 0).then(|| Purpose::try_from("a reply, é".to_owned()).expect("a purpose"));
    Consumption { customer: of.clone(), id, tokens: NonZeroU32::MAX, description, at, balance: u64::MAX }
}

fn usage_line() -> UsageLine {
    UsageLine {
        meter: meter("minutes"),
        period: period_id(&customer("acme"), 3),
        used: 1_500,
        included: 1_000,
        amount: Money::new(2_500, plan("minutes-pro").prices[0].amount.currency),
    }
}

/// Of one that is open, and one that is over.
pub(crate) fn reservations() -> Reservations {
    let reservation = |value, expires_at| Reservation {
        value: NonZeroU64::new(value).expect("some"),
        minutes: Minutes::try_from(1_440).expect("a day"),
        expires_at,
    };
    let id = |name: &str| UsageId::try_from(name.to_owned()).expect(name);
    let held = Reservations::default().with(id("call#1.a"), reservation(5, later(3_600)));
    held.with(id(&"~".repeat(255)), reservation((1 << 53) - 1, later(-1)))
}

/// Above its limit, as was the period before.
pub(crate) fn over_limit(of: &CustomerId) -> MeterUsage {
    let alert = |percent, acknowledged_at| Alert {
        percent,
        limit: 1_000,
        period: period_id(of, 3),
        raised_at: now(),
        acknowledged_at,
    };
    MeterUsage {
        period: Some(period_id(of, 3)),
        before: Some((period_id(of, 2), u64::MAX)),
        sold: Some(sold()),
        alerts: vec![alert(80, Some(now())), alert(100, None)],
        reservations: reservations(),
        ..usage(of, "minutes", 1_500)
    }
}

pub(crate) fn usage(of: &CustomerId, name: &str, value: u64) -> MeterUsage {
    MeterUsage {
        customer: of.clone(),
        meter: meter(name),
        value,
        period: None,
        before: None,
        sold: None,
        alerts: vec![],
        reservations: Reservations::default(),
        lease: None,
        shards: vec![],
        at: now(),
        version: 1,
    }
}

pub(crate) fn lease(id: u64) -> Lease {
    Lease { id, shards: Shards::try_from(8).expect("shards"), most: u64::MAX }
}

/// Of the lease with the number 7, where it has counted one and may count as many more as there are.
pub(crate) fn shard(of: &CustomerId, number: u8) -> Shard {
    let (customer, meter) = (of.clone(), meter("calls"));
    Shard { customer, meter, number, lease: 7, value: 1, left: u64::MAX - 1, at: now(), version: 1 }
}

fn sold() -> Sold {
    let price = r#"{"per": 1, "tiers": [{"up_to": null, "amount": {"minor": 3, "currency": "USD"}}]}"#;
    let time = Period { start: now(), end: later(30) };
    Sold { time, included: 1_000, most: u64::MAX, price: serde_json::from_str(price).expect("a price") }
}

fn counted_late(of: &CustomerId) -> Event {
    let counted = CountedLate { meter: meter("minutes"), period: period_id(of, 2), from: 0, to: u64::MAX };
    Event::CountedLate { counted: vec![counted], lines: vec![usage_line()] }
}

pub(crate) fn period_id(of: &CustomerId, index: u32) -> PeriodId {
    PeriodId { subscription: SubscriptionId::nth(of, 1), index }
}

/// The `number`th minute of a call; not all say when that was.
pub(crate) fn usage_record(of: &CustomerId, number: i64) -> UsageRecord {
    UsageRecord {
        customer: of.clone(),
        id: UsageId::try_from(format!("call#{number}")).expect("an id"),
        meter: meter("minutes"),
        value: NonZeroU64::MIN,
        at: (number % 2 == 0).then(|| later(-number)),
        period: period_id(of, 3),
        counted_at: now(),
        expires_at: later(400 * 24 * 3_600),
    }
}

pub(crate) fn claim(of: &CustomerId, key: &str) -> Claim {
    Claim {
        customer: of.clone(),
        key: IdempotencyKey::try_from(key.to_owned()).expect(key),
        fingerprint: "estates 1".to_owned(),
        payment: payment_id(of, 1, 0, 1),
        consumption: None,
        expires_at: later(96 * 3_600),
    }
}

pub(crate) fn delivery(event: &str) -> Delivery {
    let notice = Notice {
        id: DeliveryId { gateway: Gateway::Stripe, event: event.to_owned() },
        kind: "payment_intent.succeeded".to_owned(),
        reference: Some(off_session_payment().reference),
        object: None,
        body: r#"{"id":"evt","ü":"\u0000 #"}"#.to_owned(),
    };
    Delivery { version: 1, ..Delivery::done(notice, now()) }
}

/// Of a gateway whose thing is found by its own name only.
fn delivery_of_object() -> Delivery {
    let object = Some("5O190127TN364715T".to_owned());
    let id = DeliveryId { gateway: Gateway::PayPal, event: "WH-1".to_owned() };
    Delivery { id, object, reference: None, ..delivery("") }.waiting(now())
}

/// A mail that is due after so many seconds.
pub(crate) fn mail(of: &CustomerId, seconds: i64) -> Mail {
    let contact = Contact {
        email: "billing@acme.example".to_owned(),
        gateway: Gateway::Stripe,
        return_url: Some("https://app.example.com/é".to_owned()),
    };
    let failure = failures(of).pop();
    let missed = Event::PaymentMissed { failure, dunning: Dunning::Grace { ends_at: later(86_400 * 3) } };
    mail_about(of, missed, contact, seconds)
}

fn mail_about(of: &CustomerId, event: Event, contact: Contact, seconds: i64) -> Mail {
    let before = Subscription { contact: Some(contact), version: 7, ..active(of) };
    let mail = Mail::due_to(&before.apply(&event), &[event], later(seconds)).expect("a mail");
    Mail { version: 1, ..mail }
}

fn overage(of: &CustomerId) -> About {
    let subscription = SubscriptionId::nth(of, 1);
    let price = r#"{"per": 7, "tiers": [{"up_to": 50, "amount": {"minor": 20, "currency": "USD"}},
        {"up_to": null, "amount": {"minor": 15, "currency": "USD"}, "flat": {"minor": 300, "currency": "USD"}}]}"#;
    About::Overage(OverageNotice {
        subscription: subscription.clone(),
        plan: "Basic".to_owned(),
        period: PeriodId { subscription, index: 3 },
        period_ends_at: later(86_400),
        meters: vec![Passed {
            meter: billing::testing::meter("calls"),
            name: "Calls \"é\"".to_owned(),
            unit: Unit { one: "call".to_owned(), many: "calls".to_owned() },
            included: u64::MAX,
            price: serde_json::from_str(price).expect("a price"),
        }],
    })
}

/// Mails in every state and about everything, of several customers.
fn mails() -> [Mail; 8] {
    let at = now();
    let with = |name: &str, status| Mail { status, ..mail(&customer(name), 0) };
    let about = |name: &str, event| mail_about(&customer(name), event, mail(&customer(name), 0).to, 60);
    [
        mail(&customer("acme"), 60),
        about("hooli", Event::TrialEnding { has_method: true }),
        about("initrode", announced()),
        Mail { about: overage(&customer("vandelay")), ..mail(&customer("vandelay"), 90) },
        about("soylent", Event::Suspended { at, until: later(60) }),
        with("globex", MailStatus::Sent { at }),
        with("initech", MailStatus::Dropped { at, because: Dropped::Overtaken }),
        with("umbrella", MailStatus::Dropped { at, because: Dropped::Refused("no such \"address\"".to_owned()) }),
    ]
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
        Record::Wallet(leaving(of, &[7_200, 3_600])),
        Record::Account(account(of, 3_600)),
        Record::Tokens(tokens(of, u64::MAX)),
        Record::Consumption(consumption(of, 0)),
        Record::Consumption(consumption(of, 1)),
        Record::UsageRecord(usage_record(of, 0)),
        Record::Day(DayUsage { customer: of.clone(), date: date(2026, 1, 31), meter: None, shard: 0, value: u64::MAX }),
        Record::Day(DayUsage {
            customer: of.clone(),
            date: date(2026, 1, 31),
            meter: Some(meter("minutes")),
            shard: 0,
            value: 1,
        }),
        Record::UsageRecord(usage_record(of, 1)),
        Record::Usage(usage(of, "estates", 0)),
        Record::Usage(usage(of, "clients", u64::MAX)),
        Record::Usage(over_limit(of)),
        Record::Usage(MeterUsage { lease: Some(lease(7)), ..usage(of, "calls", 12) }),
        Record::Shard(shard(of, 1)),
        Record::Shard(shard(of, 8)),
        Record::Day(DayUsage {
            customer: of.clone(),
            date: date(2026, 1, 31),
            meter: Some(meter("minutes")),
            shard: 8,
            value: 2,
        }),
        Record::Claim(Claim { consumption: Some(consumption(of, 1).id), ..claim(of, "key#2") }),
        Record::Claim(claim(of, "key#1")),
        Record::Claim(claim(of, &"~".repeat(255))),
    ];
    own.into_iter().chain(history).chain(past).chain(payments(of).into_iter().map(Record::Payment)).collect()
}

/// What belongs to nobody in particular.
pub(crate) fn of_all() -> Vec<Record> {
    let families = ["estates", "minutes", "tokens", "crm"];
    let plans = ["estates-professional", "minutes-starter", "tokens-pro", "crm-professional"];
    let families = families.map(|name| {
        Record::Family(StoredFamily { family: family(name), coupons: [coupon().coupon.code].into(), version: 1 })
    });
    let own = [
        Record::Reference(Referred::to(&off_session_payment())),
        Record::Delivery(delivery("evt_1")),
        Record::Delivery(delivery("evt#2#").waiting(now())),
        Record::Delivery(delivery_of_object()),
        Record::Meter(meter_name("estates")),
        Record::Coupon(coupon()),
        Record::Brand(Brand { version: 1, ..brand("acme-telecom") }),
        Record::Brand(Brand { logo: None, version: 1, ..brand("3-m_obile") }),
        Record::TestClock(test_clock()),
    ];
    let plans =
        plans.into_iter().flat_map(|name| [Record::Plan(stored_plan(name, 1)), Record::PlanVersion(plan(name))]);
    own.into_iter().chain(mails().map(Record::Mail)).chain(families).chain(plans).collect()
}

pub(crate) fn everything(of: &CustomerId) -> Vec<Record> {
    of_customer(of).into_iter().chain(of_all()).collect()
}

fn coupon() -> StoredCoupon {
    let coupon = serde_json::json!({
        "code": "WELCOME-20", "off": {"percent": "15.5"}, "lasts": {"periods": 3}, "plans": ["estates-starter"],
        "most_redemptions": 100, "most_per_customer": 1, "redeem_by": "2030-01-01T00:00:00Z",
    });
    let coupon = serde_json::from_value(coupon).unwrap_or_else(|error| panic!("{error}"));
    StoredCoupon { coupon, family: family("estates").id, withdrawn: true, redeemed: 7, version: 1 }
}

/// The stack walks, and a customer does alone.
fn test_clock() -> TestClock {
    let walk = Walk { at: now(), goal: later(86_400) };
    let customers = BTreeMap::from([(customer("auth0|globex"), walk)]);
    TestClock { ahead_s: 86_400 * 365, walk: Some(walk), customers, version: 1 }
}
