//! What happens to the customers of a seed: how they begin, what becomes of each charge, and what they, their banks and
//! staff do when something of theirs is due. Whether it may be done is for the workflows to say.

use crate::rng::Rng;
use billing::calendar::Interval;
use billing::calendar::zone::Zone;
use billing::catalog::{Catalogue, Price};
use billing::delivery::{DeliveryId, Notice};
use billing::id::{CouponCode, CustomerId, PaymentId, PlanId, UsageId};
use billing::mail::Contact;
use billing::money::{Currency, Money};
use billing::outcome::{DisputeStanding, Remedy};
use billing::payment::{AskedBecause, CheckoutMethod, Gateway, Payment, Portion};
use billing::ports::{Key, Store};
use billing::proration::Proration;
use billing::subscription::{Action, Command, Effective, Event, Intervention, Status};
use billing::testing::{
    FakeGateways, MemoryQueue, MemoryStore, RecordedClock, Script, idempotency_key, instant, meter, request, zone,
};
use billing::workflow::{Billing, Checkout, Goal, Recovery, RefundRequest, Setup, Subscribe, Use, Wish};
use futures::executor::block_on;
use jiff::{SignedDuration, Timestamp};
use std::fmt::Display;
use std::num::{NonZeroU16, NonZeroU64};

pub(crate) type Shop = Billing<MemoryStore, FakeGateways, RecordedClock>;

pub(crate) const OPENED: &str = "2025-01-31T10:00:00Z";

pub(crate) const NAMES: [&str; 2] = ["acme", "globex"];

/// What has to happen to some of the customers, in the words of the history.
pub(crate) const TO_HAPPEN: [&str; 29] = [
    "activated",
    "returned",
    "trial_started",
    "trial_ending",
    "renewed",
    "payment_missed",
    "retry_scheduled",
    "suspended",
    "restored",
    "cancellation_scheduled",
    "cancellation_revoked",
    "change_scheduled",
    "changed",
    "change_declined",
    "pause_scheduled",
    "pause_revoked",
    "paused",
    "unpaused",
    "discounted",
    "price_change_announced",
    "price_change_told",
    "price_change_revoked",
    "usage_billed",
    "end_moved",
    "tokens_reset",
    "disputed",
    "dispute_settled",
    "canceled",
    "expired",
];

pub(crate) fn told(event: &Event) -> String {
    let value = serde_json::to_value(event).unwrap_or_else(|error| panic!("{error}"));
    value["type"].as_str().unwrap_or_default().to_owned()
}

pub(crate) fn named(name: &str) -> CustomerId {
    CustomerId::try_from(name.to_owned()).unwrap_or_else(|error| panic!("{error}"))
}

/// Chance for one thing, which no other has a part in: FNV-1a.
fn chance_of(seed: u64, what: impl Display) -> Rng {
    let mixed = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
    Rng::seeded(what.to_string().bytes().fold(0xcbf2_9ce4_8422_2325 ^ seed, mixed))
}

/// By the payment: which period of whom, and which attempt.
fn fate(seed: u64, payment: &Payment) -> Option<Script> {
    let declined = Rng::seeded(seed).one_of(&[0, 30, 100, 400]);
    let mut rng = chance_of(seed, &payment.reference);
    let remedy = rng.one_of(&[Remedy::RetryLater, Remedy::RetryLater, Remedy::FewTries, Remedy::NewMethod]);
    rng.chance(declined).then_some(Script::Decline(remedy))
}

/// A shop on a test clock that stands at its opening, and its first customers.
pub(crate) fn opened(seed: u64) -> Shop {
    let (store, world) = (MemoryStore::default(), instant(OPENED));
    let shop = Billing::new(store.clone(), FakeGateways::default(), RecordedClock { store, world });
    sell(seed, &shop, |_| {});
    let step = block_on(shop.walk_clock(None, Goal::To(world), world, &MemoryQueue::default()));
    assert!(step.is_ok_and(|step| step.is_last()));
    shop.gateways.decide_by(fate, seed);
    for name in NAMES {
        begin(&shop, &named(name), &mut chance_of(seed, name));
    }
    // Whoever comes from now on pays a tenth more, and so may who is here.
    sell(seed, &shop, |price| price.amount.minor += price.amount.minor / 10);
    shop
}

/// At prices that are the catalogue's, or made of them.
fn sell(seed: u64, shop: &Shop, made: impl Fn(&mut Price)) {
    for text in [include_str!("../catalogue/estates.json"), include_str!("../catalogue/tokens.json")] {
        let mut catalogue: Catalogue = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}"));
        for plan in &mut catalogue.plans {
            plan.prices.iter_mut().for_each(&made);
            plan.proration =
                chance_of(seed, &plan.id).one_of(&[Proration::ByDay, Proration::BySecond, Proration::FullNow]);
        }
        block_on(shop.load(catalogue)).unwrap_or_else(|error| panic!("{error}"));
    }
}

fn begin(shop: &Shop, customer: &CustomerId, rng: &mut Rng) {
    let zone = zone(rng.one_of(&["UTC", "Africa/Lagos", "America/Santiago", "Australia/Lord_Howe"]));
    let coupon = rng.one_of(&["", "", "THIRD", "GIFT", "ALMOST"]);
    let coupon = CouponCode::try_from(coupon.to_owned()).ok();
    if rng.chance(700) {
        begins_with_a_page(shop, customer, "first", coupon, Some(zone), rng);
    } else {
        set_up(shop, customer, "card");
        begins_without_a_page(shop, customer, "first", coupon, Some(zone), rng);
    }
    // What is to come is said before anybody walks.
    if rng.chance(200) {
        let wanted = rng.one_of(&[Command::CancelAtPeriodEnd, Command::PauseAtPeriodEnd]);
        command(shop, customer, "command", wanted);
    }
    if rng.chance(300) {
        change(shop, customer, "change", Effective::PeriodEnd, rng);
    }
}

/// At `now`, when something of theirs is due, before that is done. Most who left come back, and most who owe pay.
pub(crate) fn goes_on(seed: u64, shop: &Shop, customer: &CustomerId, now: Timestamp) {
    use_some(shop, customer, now, &mut chance_of(seed, format!("{customer} uses {now}")));
    let mut rng = chance_of(seed, format!("{customer} {now}"));
    let key = format!("at.{}", now.as_second());
    let found = block_on(shop.store.get(vec![Key::Subscription(customer.clone())]));
    match found.unwrap_or_default().subscription().map(|it| it.status) {
        None | Some(Status::Incomplete | Status::Canceled { .. } | Status::Expired { .. }) if rng.chance(300) => {
            let wants = [begins_with_a_page, begins_without_a_page][rng.below(2)];
            return wants(shop, customer, &key, None, None, &mut rng);
        }
        Some(Status::Paused { .. }) if rng.chance(300) => return command(shop, customer, &key, Command::Unpause),
        Some(Status::PastDue { .. }) if rng.chance(300) => {
            return [recover, set_up][rng.below(2)](shop, customer, &key);
        }
        _ if rng.chance(Rng::seeded(seed.rotate_left(7)).one_of(&[0, 50, 200])) => {}
        _ => return,
    }
    match rng.below(8) {
        0 | 1 => {
            let wanted = rng.one_of(&[
                Command::CancelNow,
                Command::CancelAtPeriodEnd,
                Command::Resume,
                Command::Pause,
                Command::PauseAtPeriodEnd,
            ]);
            command(shop, customer, &key, wanted);
        }
        2 | 3 => {
            let effective = rng.one_of(&[Effective::Now, Effective::PeriodEnd]);
            change(shop, customer, &key, effective, &mut rng);
        }
        4 | 5 => intervene(shop, customer, &key, now, &mut rng),
        6 => set_up(shop, customer, &key),
        _ => see_to_the_last_payment(shop, customer, &key, &mut rng),
    }
}

/// Whether it may be done is not asked here.
fn command(shop: &Shop, customer: &CustomerId, key: &str, command: Command) {
    drop(block_on(shop.request(customer, command, None, &idempotency_key(key), "")));
}

/// On a page, which they pay on at once.
fn begins_with_a_page(
    shop: &Shop,
    customer: &CustomerId,
    key: &str,
    coupon: Option<CouponCode>,
    time_zone: Option<Zone>,
    rng: &mut Rng,
) {
    let (plan, interval, currency) = rng.one_of(&[
        ("estates-starter", Interval::Month, "NGN"),
        ("estates-professional", Interval::Month, "NGN"),
        ("estates-professional", Interval::Days(7), "NGN"),
        ("estates-professional", Interval::Years(1), "NGN"),
        ("tokens-basic", Interval::Days(30), "USD"),
        ("tokens-once", Interval::Days(10), "USD"),
    ]);
    let Some(currency) = Currency::from_code(currency) else { return };
    let wanted = request(plan, key);
    let opened = block_on(shop.checkout(Checkout {
        customer: customer.clone(),
        interval,
        currency,
        coupon,
        time_zone,
        gateway: some_gateway(rng),
        ..wanted
    }));
    if let Ok(payment) = opened {
        pay(shop, &payment, key);
    }
}

fn some_gateway(rng: &mut Rng) -> Gateway {
    rng.one_of(&[Gateway::Stripe, Gateway::Paystack])
}

fn pay(shop: &Shop, payment: &Payment, key: &str) {
    shop.gateways.visit(payment, true);
    tell(shop, payment, key);
}

fn tell(shop: &Shop, payment: &Payment, key: &str) {
    let told = shop.receive(Notice {
        id: DeliveryId { gateway: payment.gateway, event: format!("evt_{}_{key}", payment.customer) },
        kind: "charge.success".to_owned(),
        reference: Some(payment.reference.clone()),
        object: None,
        body: "{}".to_owned(),
    });
    block_on(told).unwrap_or_else(|error| panic!("{error}"));
}

fn set_up(shop: &Shop, customer: &CustomerId, key: &str) {
    let Some(currency) = Currency::from_code("NGN") else { return };
    let opened = block_on(shop.set_up(Setup {
        customer: customer.clone(),
        email: Some(format!("{customer}@example.com")),
        gateway: Gateway::Paystack,
        currency,
        return_url: None,
        key: idempotency_key(key),
        fingerprint: String::new(),
    }));
    if let Ok(payment) = opened {
        pay(shop, &payment, key);
    }
}

fn begins_without_a_page(
    shop: &Shop,
    customer: &CustomerId,
    key: &str,
    coupon: Option<CouponCode>,
    time_zone: Option<Zone>,
    rng: &mut Rng,
) {
    let email = format!("billing@{customer}.example");
    let wanted = Subscribe {
        customer: customer.clone(),
        contact: Some(Contact { email, gateway: Gateway::Paystack, return_url: None }),
        plan: plan(rng.one_of(&["estates-starter", "estates-professional"])),
        interval: Some(rng.one_of(&[Interval::Month, Interval::Days(7)])),
        currency: None,
        quantity: None,
        coupon,
        comp: None,
        preview: None,
        time_zone,
    };
    drop(block_on(shop.subscribe(&wanted, &idempotency_key(key), "")));
}

fn plan(id: &str) -> PlanId {
    PlanId::try_from(id.to_owned()).unwrap_or_else(|error| panic!("{error}"))
}

fn change(shop: &Shop, customer: &CustomerId, key: &str, effective: Effective, rng: &mut Rng) {
    let (action, to, interval) = rng.one_of(&[
        (Action::Upgrade, Some("estates-professional"), None),
        (Action::Downgrade, Some("estates-starter"), None),
        (Action::ChangeInterval, None, Some(Interval::Days(7))),
        (Action::ChangeInterval, None, Some(Interval::Month)),
        (Action::ChangeInterval, None, Some(Interval::Years(1))),
    ]);
    let wish = Wish {
        customer: customer.clone(),
        action,
        plan: to.map(plan),
        addon: None,
        interval,
        quantity: None,
        effective,
        confirm: true,
        preview: None,
    };
    drop(block_on(shop.change(&wish, &idempotency_key(key), "")));
}

fn intervene(shop: &Shop, customer: &CustomerId, key: &str, now: Timestamp, rng: &mut Rng) {
    let days = rng.within(-1, 40);
    let end = now.checked_add(SignedDuration::from_hours(days * 24 + 5)).unwrap_or(now);
    let intervention = rng.one_of(&[
        Intervention::Extend { days: 6 },
        Intervention::ChangeDates { end },
        Intervention::ResetTokens,
        Intervention::Comp { percent: 100, periods: Some(2) },
        Intervention::Comp { percent: 50, periods: None },
        Intervention::ChangePrice { notice_days: NonZeroU16::MIN.saturating_add(29), told: false },
        Intervention::ChangePrice { notice_days: NonZeroU16::MIN.saturating_add(29), told: false },
        Intervention::ChangePrice { notice_days: NonZeroU16::MIN, told: true },
        Intervention::KeepPrice,
    ]);
    drop(block_on(shop.intervene(customer, &intervention, &idempotency_key(key), "")));
}

/// What is reported of them then: more than their plan allows, at times, and some of it of days before.
fn use_some(shop: &Shop, customer: &CustomerId, now: Timestamp, rng: &mut Rng) {
    let uses = (0..rng.within(0, 3)).map(|n| Use {
        meter: meter(rng.one_of(&["calls", "calls", "minutes", "exports"])),
        value: NonZeroU64::MIN.saturating_add(rng.one_of(&[1, 30, 90, 140])),
        id: UsageId::try_from(format!("use.{}.{n}", now.as_millisecond())).unwrap_or_else(|error| panic!("{error}")),
        at: rng.chance(300).then(|| now.checked_sub(SignedDuration::from_hours(50)).unwrap_or(now)),
    });
    let uses: Vec<Use> = uses.collect();
    block_on(shop.report(customer, &uses)).unwrap_or_else(|error| panic!("{error}"));
}

/// On a page, which they pay on at once.
fn recover(shop: &Shop, customer: &CustomerId, key: &str) {
    let opened = block_on(shop.recover(Recovery {
        customer: customer.clone(),
        email: Some(format!("{customer}@example.com")),
        gateway: Gateway::Paystack,
        method: CheckoutMethod::Checkout,
        return_url: None,
        key: idempotency_key(key),
        fingerprint: String::new(),
    }));
    if let Ok(payment) = opened {
        pay(shop, &payment, key);
    }
}

/// It is given back in part, or the customer's bank opens or decides a dispute about it.
fn see_to_the_last_payment(shop: &Shop, customer: &CustomerId, key: &str, rng: &mut Rng) {
    let payments = block_on(shop.store.payments(customer, None, 5)).unwrap_or_else(|error| panic!("{error}"));
    let Some(payment) = payments.into_iter().find(|payment| payment.paid().is_some() && !payment.is_setup()) else {
        return;
    };
    let standing = match payment.paid().and_then(|paid| paid.dispute()) {
        _ if rng.chance(400) => return refund(shop, payment.id, payment.amount, customer, key),
        Some(_) => rng.one_of(&[DisputeStanding::Won, DisputeStanding::Lost]),
        None => DisputeStanding::Open,
    };
    shop.gateways.dispute(&payment, standing);
    tell(shop, &payment, key);
}

fn refund(shop: &Shop, payment: PaymentId, amount: Money, customer: &CustomerId, key: &str) {
    let portion = Portion::Part(Money { minor: amount.minor / 3 + 1, ..amount });
    let (customer, because) = (customer.clone(), AskedBecause::RequestedByCustomer);
    let (key, fingerprint) = (idempotency_key(key), String::new());
    drop(block_on(shop.refund(RefundRequest { customer, payment, portion, because, key, fingerprint })));
}
