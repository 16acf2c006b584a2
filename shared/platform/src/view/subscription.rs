//! A subscription, and the whole lookup around it (PRODUCT 7).

use super::standing;
use super::wallet::{method, month};
use billing::account::VirtualAccount;
use billing::driven::Driven;
use billing::dunning::{Dunning, Failure};
use billing::entitlement::{is_out_of_tokens, standings, unserved};
use billing::money::Money;
use billing::order::BoughtAddon;
use billing::subscription::{Action, CancelReason, Changing, Order, PriceChange, Status, Subscription, UsageLine};
use billing::wallet::Method;
use billing::workflow::Live;
use jiff::Timestamp;
use jiff::civil::Date;
use serde_json::{Map, Value, json};

/// Where the customer pays what they owe, besides where a gateway wants them.
const PAY_AT: &str = "/subscription/payments";

/// What a subscription says of itself, without what is counted beside it.
pub fn subscription(it: &Subscription) -> Value {
    let period = it.period();
    let plan = &it.order.plan;
    // Of what was ordered and begins when it is paid, what is to be paid is said.
    let order = if matches!(it.status, Status::Incomplete) { it.next_order() } else { it.order.clone() };
    // Who is not served has no feature, whatever the plan says.
    let features: Map<String, Value> =
        it.order.features().into_iter().map(|(id, on)| (id.to_string(), json!(on && it.is_live()))).collect();
    json!({
        "id": it.id, "status": status(it),
        "plan": {
            "id": plan.id, "family": plan.family, "version": plan.version, "name": plan.name,
            "display_name": plan.display_name, "tier": plan.tier, "pricing_model": plan.pricing_model,
        },
        "interval": it.order.price.interval, "price": it.order.price.amount, "quantity": it.order.quantity,
        "addons": addons(&it.order), "discount": order.discount.as_ref().map(|discount| json!({
            "coupon": discount.coupon, "off": discount.off, "amount": order.discounted(), "periods_left": discount.left,
        })),
        "amount": order.amount().ok(), "next_amount": next_amount(it),
        "current_period": period,
        "end_date": it.end_date(), "paused_at": paused_at(it), "ended": ended(it),
        "time_zone": it.time_zone, "brand": it.brand,
        "trial": it.trial.map(|trial| json!({ "started_at": trial.start, "ends_at": trial.ends_at(&it.time_zone) })),
        "features": features,
        "price_change": price_change(it), "scheduled_change": scheduled(it),
        "pending_change": it.changing.as_deref().map(pending),
        "balance": it.balances, "usage_charges": usage_charges(&it.unpaid_usage()), "dunning": dunning(it),
        "disputed_payment": it.disputed.first(),
        "driven": it.driven.as_ref().map(driven),
    })
}

/// On the customer's calendar.
fn date(it: &Subscription, at: Timestamp) -> Date {
    it.time_zone.clocks(at).date()
}

/// What the next period costs, the balance and discounts used; of who owes, what is owed.
fn next_amount(it: &Subscription) -> Option<Money> {
    let renews = match &it.status {
        Status::Active { cancel_at_period_end, .. } => {
            !cancel_at_period_end && (it.order.price.recurring || it.is_trialing())
        }
        Status::PastDue { .. } | Status::Paused { .. } => true,
        Status::Incomplete | Status::Canceled { .. } | Status::Expired { .. } => false,
    };
    if renews && !it.is_driven() { it.amount_due().ok() } else { None }
}

/// Another price of the same. Until the customer was told there is no day from which it holds.
fn price_change(it: &Subscription) -> Value {
    let view = |change: &PriceChange| {
        let to_come = it.price_to_come();
        json!({
            "plan_version": change.plan.version, "notice_days": change.notice_days, "told": change.from.is_some(),
            "at": to_come.map(|it| it.begins_at), "amount": to_come.map(|it| it.amount),
        })
    };
    match &it.status {
        Status::Active { .. } | Status::PastDue { .. } | Status::Paused { .. } => {
            it.price_change.as_deref().map_or(Value::Null, view)
        }
        Status::Incomplete | Status::Canceled { .. } | Status::Expired { .. } => Value::Null,
    }
}

/// What the end of the period brings. Who has asked to leave leaves, whatever was scheduled before.
fn scheduled(it: &Subscription) -> Value {
    let at = it.period().map(|period| period.end);
    let change = |order: &Order| {
        json!({
            "action": Action::of(&it.order, order), "plan": order.plan.id, "quantity": order.quantity,
            "interval": order.price.interval, "addons": addons(order),
        })
    };
    let mut scheduled = match (&it.status, &it.scheduled) {
        (Status::Active { cancel_at_period_end: true, .. }, _) => json!({ "action": "cancel" }),
        (Status::Active { .. }, None) if it.pausing => json!({ "action": "pause" }),
        // The period after the pause begins with it.
        (Status::Active { .. }, Some(order)) if it.pausing => json!({ "action": "pause", "then": change(order) }),
        (Status::Active { .. } | Status::PastDue { .. } | Status::Paused { .. }, Some(order)) => change(order),
        (Status::Active { .. } | Status::PastDue { .. } | Status::Paused { .. }, None)
        | (Status::Incomplete | Status::Canceled { .. } | Status::Expired { .. }, _) => return Value::Null,
    };
    scheduled["at"] = json!(at);
    scheduled
}

/// A change whose payment has no outcome: it is not made yet.
fn pending(it: &Changing) -> Value {
    let order = &it.becomes.order;
    json!({
        "payment": it.payment, "plan": order.plan.id, "quantity": order.quantity, "interval": order.price.interval,
        "addons": addons(order),
    })
}

fn addons(order: &Order) -> Vec<Value> {
    order.addons.iter().map(addon).collect()
}

/// Its price is for one.
fn addon(it: &BoughtAddon) -> Value {
    json!({ "id": it.addon.id, "name": it.addon.name, "price": it.price, "quantity": it.quantity })
}

/// What was used beyond limits and is on the next invoice, or on this one.
pub(super) fn usage_charges(lines: &[UsageLine]) -> Value {
    if lines.is_empty() { Value::Null } else { json!(lines) }
}

pub(crate) fn status(it: &Subscription) -> &'static str {
    match &it.status {
        Status::Incomplete => "incomplete",
        Status::Active { .. } if it.is_trialing() => "trialing",
        Status::Active { .. } => "active",
        Status::Paused { .. } => "paused",
        Status::PastDue { .. } => "past_due",
        Status::Canceled { .. } => "canceled",
        Status::Expired { .. } => "expired",
    }
}

fn paused_at(it: &Subscription) -> Option<Timestamp> {
    if let Status::Paused { at, .. } = it.status { Some(at) } else { None }
}

/// When, and by what: whoever asked for it, a payment that was never made or was charged back, or the end of its time.
fn ended(it: &Subscription) -> Option<Value> {
    let (at, reason) = match &it.status {
        Status::Canceled { at, reason, .. } => (at, json!(reason)),
        Status::Expired { at, term: None } => (at, json!(CancelReason::Unpaid)),
        Status::Expired { at, term: Some(_) } => (at, json!("expired")),
        Status::Incomplete | Status::Active { .. } | Status::PastDue { .. } | Status::Paused { .. } => return None,
    };
    Some(json!({ "at": at, "reason": reason }))
}

/// What does not apply is null.
pub fn live(live: &Live) -> Value {
    let mut view = subscription(&live.subscription);
    let default = live.wallet.as_ref().and_then(|wallet| wallet.default_method());
    let standings = standings(&live.subscription, &live.usage, &live.reserved(), live.now);
    view["usage"] = standings.iter().map(standing).collect();
    view["tokens"] = tokens(live);
    // Who is not served has no feature, whether or not anybody has got round to it.
    if unserved(&live.subscription, live.now).is_some() || is_out_of_tokens(&live.subscription, live.balance()) {
        view["features"] = live.subscription.order.features().keys().map(|id| (id.to_string(), json!(false))).collect();
    }
    let expiring = default.filter(|it| expires_too_soon(&live.subscription, it)).map(card_expiring);
    let usage = live.alerts.iter().filter(|it| it.alert.acknowledged_at.is_none()).map(super::alert);
    let alerts: Vec<Value> = expiring.into_iter().chain(usage).collect();
    view["alerts"] = if alerts.is_empty() { Value::Null } else { alerts.into() };
    view["payment_method"] = default.map_or(Value::Null, |it| method(it, true));
    view["account"] = live.account.as_ref().map_or(Value::Null, account);
    view
}

fn pay(last: Option<&Failure>) -> Value {
    json!({ "href": PAY_AT, "link": last.and_then(|failure| failure.link.as_ref()) })
}

fn dunning(it: &Subscription) -> Value {
    match &it.status {
        Status::PastDue { dunning, .. } => {
            let (stage, next_retry_at, grace_ends_at) = match dunning {
                // In grace too something may be tried again, which does not make it longer.
                Dunning::Retry { at } => ("retry", Some(at), it.grace_ends_at.filter(|_| it.suspended_until.is_none())),
                Dunning::Grace { ends_at } => ("grace", None, Some(*ends_at)),
                Dunning::Suspended { .. } => ("suspended", None, None),
            };
            // While something is tried again too.
            let suspended_at = it.suspended_until.and(it.grace_ends_at);
            let last = it.failures.last();
            json!({
                "stage": stage, "attempts": it.attempts,
                "next_retry_at": next_retry_at, "grace_ends_at": grace_ends_at,
                "suspended_at": suspended_at, "suspended_until": it.suspended_until,
                "failure": last.map(|failure| json!({ "code": failure.code, "remedy": failure.remedy })),
                "pay": (!it.is_driven()).then(|| pay(last)),
            })
        }
        Status::Incomplete
        | Status::Active { .. }
        | Status::Paused { .. }
        | Status::Canceled { .. }
        | Status::Expired { .. } => Value::Null,
    }
}

/// Where it is charged, changed and canceled instead of here.
fn driven(it: &Driven) -> Value {
    json!({ "gateway": it.gateway, "subscription": it.id, "unknown_price": it.unknown_price })
}

/// They are `active` while one can be consumed.
fn tokens(live: &Live) -> Value {
    let (balance, active) = (live.balance(), live.has_tokens());
    match live.subscription.order.plan.tokens_included {
        Some(included) => json!({ "balance": balance, "included": included, "active": active }),
        // Left from a plan that brought some.
        None if balance > 0 => json!({ "balance": balance, "included": 0, "active": active }),
        None => Value::Null,
    }
}

/// Where the customer may transfer money at any time, and what of it is on no payment.
fn account(it: &VirtualAccount) -> Value {
    json!({ "gateway": it.gateway, "bank_account": it.account, "credit": it.credit() })
}

fn card_expiring(it: &Method) -> Value {
    let expires = it.card().and_then(|card| card.expires).map(month);
    json!({ "kind": "card_expiring", "payment_method": it.id(), "expires": expires })
}

/// Whether `method` stops working before it is to pay for the next period.
fn expires_too_soon(subscription: &Subscription, method: &Method) -> bool {
    let renews = match &subscription.status {
        Status::Active { cancel_at_period_end, .. } => !cancel_at_period_end && subscription.disputed.is_empty(),
        Status::PastDue { .. } => true,
        Status::Incomplete | Status::Paused { .. } | Status::Canceled { .. } | Status::Expired { .. } => false,
    };
    let price = &subscription.order.price;
    let charged_at = subscription.period().filter(|_| renews && price.recurring).map(|period| period.end);
    charged_at.is_some_and(|at| method.expires_before(date(subscription, at)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use billing::outcome::{Decline, Remedy};
    use billing::subscription::{Becomes, Event, Fact};
    use billing::testing::{
        active, customer, incomplete, instant, meter, method as card, off_session_payment, order, plan, zone,
    };
    use billing::token::Tokens;
    use billing::trial::{Kind, Trial};
    use billing::wallet::{Card, Expiry, Instrument, Wallet};

    fn found(subscription: Subscription, wallet: Option<Wallet>, tokens: Option<Tokens>) -> Live {
        let usage = [(meter("estates"), 5)].into();
        let (meters, alerts, now) = (vec![], vec![], instant("2025-02-10T10:00:00Z"));
        Live { now, subscription, usage, meters, alerts, wallet, tokens, account: None }
    }

    fn shown(subscription: Subscription, wallet: Option<Wallet>) -> Value {
        live(&found(subscription, wallet, None))
    }

    #[test]
    fn the_lookup_has_every_part_and_null_for_what_does_not_apply() {
        let view = shown(active(), None);
        for part in [
            "tokens",
            "scheduled_change",
            "dunning",
            "alerts",
            "payment_method",
            "disputed_payment",
            "account",
            "driven",
            "pending_change",
        ] {
            assert_eq!(view.get(part), Some(&Value::Null), "{part}");
        }
        assert_eq!((&view["status"], &view["balance"]), (&json!("active"), &json!([])));
        assert_eq!(view["plan"]["id"], "estates-professional");
        assert_eq!(view["current_period"]["end"], "2025-02-28T10:00:00Z");
        assert_eq!((&view["end_date"], &view["time_zone"]), (&json!("2025-02-28"), &json!("UTC")));
        let estates = &view["usage"].as_array().and_then(|usage| usage.iter().find(|it| it["meter"] == "estates"));
        assert_eq!(
            estates.map(|it| it.to_string()).as_deref(),
            Some(r#"{"meter":"estates","used":5,"limit":100,"remaining":95,"percentage":5.0}"#)
        );
    }

    #[test]
    fn when_it_rests_or_has_ended_and_why_is_said() {
        let at = instant("2025-02-10T10:00:00Z");
        let late = instant("2025-04-04T10:00:00Z");
        let canceled = |at, reason| Event::Canceled { at, reason };
        let cases = [
            (active(), Value::Null, Value::Null, "2025-02-28"),
            (active().apply(&Event::Paused { at }), json!(at), Value::Null, "2025-02-28"),
            (active().apply(&canceled(at, CancelReason::Requested)), Value::Null, json!("requested"), "2025-02-10"),
            (active().apply(&canceled(at, CancelReason::Disputed)), Value::Null, json!("disputed"), "2025-02-10"),
            // Who has not paid has had the days until then, and no day of the next period is theirs.
            (active().apply(&canceled(late, CancelReason::Unpaid)), Value::Null, json!("unpaid"), "2025-02-28"),
            (active().apply(&Event::Expired { at: late }), Value::Null, json!("expired"), "2025-02-28"),
        ];
        for (it, paused_at, reason, end_date) in cases {
            let view = subscription(&it);
            assert_eq!((&view["paused_at"], &view["ended"]["reason"]), (&paused_at, &reason), "{:?}", it.status);
            assert_eq!((&view["ended"]["at"], &view["end_date"]), (&json!(it.ended_at()), &json!(end_date)));
        }
        let never_paid = subscription(&incomplete().apply(&Event::Expired { at }));
        assert_eq!((&never_paid["ended"]["reason"], &never_paid["end_date"]), (&json!("unpaid"), &Value::Null));
    }

    #[test]
    fn a_plan_that_brings_tokens_is_inactive_while_there_are_none_whatever_its_status() {
        let mut prepaid = Subscription { order: order("minutes-pro"), ..active() };
        prepaid.order.plan.tokens_included = Some(1_000);
        let flat = Subscription { order: order("minutes-pro"), ..active() };
        let over = prepaid.clone().apply(&Event::Paused { at: instant("2025-02-10T10:00:00Z") });
        let tokens = |included: u64, balance: u64, active: bool| json!({ "balance": balance, "included": included, "active": active });
        let cases = [
            (prepaid.clone(), 1, "active", tokens(1_000, 1, true), true),
            (prepaid, 0, "active", tokens(1_000, 0, false), false),
            (over, 7, "paused", tokens(1_000, 7, false), false),
            (flat.clone(), 7, "active", tokens(0, 7, true), true),
            (flat, 0, "active", Value::Null, true),
        ];
        for (subscription, balance, status, expected, on) in cases {
            let held: Tokens = serde_json::from_value(json!({ "customer": "acme", "balance": balance, "version": 1 }))
                .unwrap_or_else(|error| panic!("{error}"));
            let view = live(&found(subscription, None, Some(held)));
            assert_eq!((&view["status"], &view["tokens"]), (&json!(status), &expected));
            assert_eq!(view["features"], json!({ "analytics": on, "api_access": false }), "{expected}");
        }
    }

    #[test]
    fn dates_are_the_customers_and_times_are_everyones() {
        // Paid at ten in UTC, which is midnight there: their month begins on 1 February.
        let there = |name| Subscription { time_zone: zone(name), ..active() };
        let view = subscription(&there("Pacific/Kiritimati"));
        assert_eq!((&view["time_zone"], &view["end_date"]), (&json!("Pacific/Kiritimati"), &json!("2025-03-01")));
        assert_eq!(view["current_period"]["end"], "2025-02-28T10:00:00Z");
        let trial = Trial { start: instant("2025-03-01T12:00:00Z"), days: 14, kind: Kind::Free, until: None };
        let ends =
            |it: Subscription| subscription(&Subscription { trial: Some(trial), ..it })["trial"]["ends_at"].clone();
        assert_eq!([ends(active()), ends(there("America/New_York"))], ["2025-03-15T12:00:00Z", "2025-03-15T11:00:00Z"]);
    }

    #[test]
    fn addons_are_shown_with_what_they_bring_and_cost() {
        let bought = json!([{"price": {"minor": 50_000, "currency": "NGN"}, "quantity": 2, "addon": {
            "id": "more", "name": "More", "prices": [], "per_unit": true, "features": ["phone"], "limits": {"estates": 10}}}]);
        let mut subscription = active();
        subscription.order.addons = serde_json::from_value(bought).unwrap_or_else(|error| panic!("{error}"));
        let view = shown(subscription, None);
        let price = json!({"minor": 50_000, "currency": "NGN"});
        assert_eq!(view["addons"], json!([{"id": "more", "name": "More", "price": price, "quantity": 2}]));
        assert_eq!(view["amount"], json!({"minor": 800_000, "currency": "NGN"}));
        assert_eq!(view["features"]["phone"], true);
        let estates = view["usage"].as_array().and_then(|usage| usage.iter().find(|it| it["meter"] == "estates"));
        assert_eq!(estates.map(|it| (&it["limit"], &it["remaining"])), Some((&json!(120), &json!(115))));

        let plain = shown(active(), None);
        assert_eq!((&plain["addons"], &plain["amount"]), (&json!([]), &plain["price"]));
    }

    fn expiring(year: u16, month: u8) -> Method {
        let plain = card("AUTH_1");
        let Instrument::Card(known) = plain.instrument.clone() else { panic!("a card") };
        Method { instrument: Instrument::Card(Card { expires: Expiry::new(year, month), ..known }), ..plain }
    }

    #[test]
    fn a_card_that_ends_before_it_is_charged_next_is_an_alert() {
        // Paid until 28 February, when it is charged next.
        let soon = |year, month| expires_too_soon(&active(), &expiring(year, month));
        assert_eq!([soon(2025, 1), soon(2025, 2), soon(2025, 3), soon(2026, 1)], [true, false, false, false]);
        let wallet = Wallet::empty(customer()).remembering(expiring(2025, 1));
        let alerts = &shown(active(), wallet)["alerts"];
        assert_eq!((&alerts[0]["kind"], &alerts[0]["expires"]), (&json!("card_expiring"), &json!("2025-01")));
        assert_eq!(shown(active(), Wallet::empty(customer()).remembering(card("AUTH_1")))["alerts"], Value::Null);
    }

    #[test]
    fn nobody_is_warned_of_a_card_that_is_not_to_be_charged_again() {
        let leaving = active().apply(&Event::CancellationScheduled);
        let mut once = active();
        once.order.price.recurring = false;
        assert!(!expires_too_soon(&leaving, &expiring(2025, 1)) && !expires_too_soon(&once, &expiring(2025, 1)));
    }

    #[test]
    fn a_change_is_shown_before_it_is_made_and_who_leaves_is_said_to_leave() {
        let order = Order { plan: plan("estates-starter"), ..active().order };
        let to_come = active().apply(&Event::ChangeScheduled { order: Box::new(order.clone()) });
        let at = "2025-02-28T10:00:00Z";
        let scheduled = |it: &Subscription| subscription(it)["scheduled_change"].clone();
        let expected = json!({
            "action": "downgrade", "plan": "estates-starter", "quantity": 1, "interval": "month", "addons": [],
            "at": at,
        });
        assert_eq!(scheduled(&to_come), expected);
        let pausing = to_come.clone().apply(&Event::PauseScheduled);
        let mut then = expected;
        drop(then.as_object_mut().and_then(|it| it.remove("at")));
        assert_eq!(scheduled(&pausing), json!({"action": "pause", "at": at, "then": then}));
        let leaving = to_come.apply(&Event::CancellationScheduled);
        assert_eq!(scheduled(&leaving), json!({"action": "cancel", "at": at}));
        let ended = leaving.apply(&Event::Canceled { at: instant(at), reason: CancelReason::Requested });
        assert_eq!(scheduled(&ended), Value::Null);

        let term = active().term().unwrap_or_else(|| panic!("a term"));
        let balance = order.price.amount;
        let becomes = Becomes { order, term, at: instant(at), credit: balance, charge: balance };
        let payment = off_session_payment().id;
        let waiting = Subscription {
            changing: Some(Box::new(Changing { payment: payment.clone(), becomes })),
            balances: vec![balance],
            ..active()
        };
        let view = subscription(&waiting);
        let expected =
            json!({"payment": payment, "plan": "estates-starter", "quantity": 1, "interval": "month", "addons": []});
        assert_eq!((&view["pending_change"], &view["plan"]["id"]), (&expected, &json!("estates-professional")));
        assert_eq!(view["balance"], json!([balance]));
    }

    #[test]
    fn dunning_says_what_went_wrong_when_it_is_tried_again_and_where_to_pay() {
        let now = instant("2025-02-28T10:00:00Z");
        let (charged, payment) = active().charging(card("AUTH_1"), now).unwrap_or_else(|refusal| panic!("{refusal}"));
        let link = Some("https://checkout.paystack.com/1".to_owned());
        let decline = Decline { link, ..Decline::new("paused", Remedy::AskCustomer) };
        let method = Some(card("AUTH_1").id());
        let events = charged.record(Fact::Declined { payment: payment.id, method, decline }, &[], now);
        let past_due = events.iter().fold(charged, |state, event| state.apply(event));
        let view = &subscription(&past_due)["dunning"];
        assert_eq!((&view["stage"], &view["grace_ends_at"]), (&json!("grace"), &json!("2025-03-03T10:00:00Z")));
        assert_eq!(view["failure"], json!({"code": "paused", "remedy": "ask_customer"}));
        assert_eq!(view["pay"], json!({"href": PAY_AT, "link": "https://checkout.paystack.com/1"}));
        assert_eq!((&view["suspended_at"], &view["suspended_until"]), (&Value::Null, &Value::Null));

        let (at, until) = (instant("2025-03-03T10:00:00Z"), instant("2025-04-02T10:00:00Z"));
        let tried_again = past_due.clone().apply(&Event::RetryScheduled { at: until, mended: None });
        let view = &subscription(&tried_again)["dunning"];
        assert_eq!((&view["stage"], &view["grace_ends_at"]), (&json!("retry"), &json!("2025-03-03T10:00:00Z")));
        let suspended = past_due.apply(&Event::Suspended { at, until });
        let retried = suspended.clone().apply(&Event::RetryScheduled { at, mended: None });
        for (it, stage) in [(suspended, "suspended"), (retried, "retry")] {
            let view = subscription(&it);
            assert_eq!((&view["status"], &view["dunning"]["stage"]), (&json!("past_due"), &json!(stage)));
            assert_eq!(view["dunning"]["grace_ends_at"], Value::Null);
            assert_eq!(view["dunning"]["suspended_at"], "2025-03-03T10:00:00Z");
            assert_eq!(view["dunning"]["suspended_until"], "2025-04-02T10:00:00Z");
        }
    }

    #[test]
    fn who_is_not_served_has_no_feature_whether_or_not_anybody_has_got_round_to_it() {
        let ends_at = instant("2025-03-03T10:00:00Z");
        let missed = Event::PaymentMissed { failure: None, dunning: Dunning::Grace { ends_at } };
        let in_grace = Subscription { order: order("minutes-pro"), ..active() }.apply(&missed);
        let retried = in_grace.clone().apply(&Event::RetryScheduled { at: ends_at, mended: None });
        let suspended = in_grace.clone().apply(&Event::Suspended { at: ends_at, until: Timestamp::MAX });
        let on = |view: &Value| view["features"]["analytics"].clone();
        for it in [&in_grace, &retried] {
            let at = |now: &str| on(&live(&Live { now: instant(now), ..found(it.clone(), None, None) }));
            assert_eq!([at("2025-03-03T09:59:59Z"), at("2025-03-03T10:00:00Z")], [json!(true), json!(false)]);
        }
        assert_eq!([on(&subscription(&in_grace)), on(&subscription(&suspended))], [json!(true), json!(false)]);
    }
}
