//! Subscriptions that Stripe drives: what is read of one at every turn of its
//! life, and that each delivery about it leads there.

use super::desk::Desk;
use super::webhooks::{listening, received};
use billing::driven::{Seen, Standing};
use billing::id::Reference;
use billing::outcome::Remedy;
use billing::payment::Gateway;
use billing::ports::Gateways;
use billing::subscription::CancelReason;
use billing::wallet::Card;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// The id of a price of that plan, as whoever made it by hand marked it.
async fn price(desk: &Desk, key: &str, minor: i64, interval: &str) -> String {
    let product = desk.post("/v1/products", &json!({"name": key})).await;
    let body = json!({"currency": "usd", "unit_amount": minor, "product": product["id"], "lookup_key": key,
        "recurring[interval]": interval});
    text(&desk.post("/v1/prices", &body).await["id"])
}

fn text(value: &Value) -> String {
    value.as_str().expect("text").to_owned()
}

fn order(desk: &Desk, body: &Value) -> Value {
    desk.simulator.admin("stripe/subscription", body).expect("an accepted order")
}

/// A subscription of two by the month, from 31 January 2026 on.
async fn begun(desk: &Desk) -> String {
    let price = price(desk, "crm-professional:usd:month", 1_500, "month").await;
    let body = json!({"action": "create", "email": "billing@acme.example", "price": price, "quantity": 2,
        "started": "2026-01-31T10:00:00Z"});
    text(&order(desk, &body)["subscription"]["id"])
}

async fn seen(desk: &Desk, id: &str) -> Seen {
    desk.clients.driven(Gateway::Stripe, id).await.expect("an answer").expect("it is there")
}

#[tokio::test]
async fn a_subscription_is_read_with_its_plan_price_period_and_card() {
    let desk = Desk::open(Gateway::Stripe).await;
    let id = begun(&desk).await;
    let seen = seen(&desk, &id).await;
    assert_eq!((seen.id.as_str(), seen.standing), (id.as_str(), Standing::Running { ends_with_period: false }));
    assert_eq!(seen.period.start.to_string(), "2026-01-31T10:00:00Z");
    assert_eq!(seen.period.end.to_string(), "2026-02-28T10:00:00Z");
    assert_eq!(seen.plan.as_ref().map(|plan| plan.as_str()), Some("crm-professional"));
    let price = seen.price.expect("a price");
    assert_eq!((price.amount.to_string().as_str(), price.recurring, seen.quantity), ("USD 15.00", true, 2));
    assert_eq!((seen.attempts, seen.decline), (0, None));
    let method = seen.method.expect("a card");
    assert_eq!(
        (method.payer.as_str(), method.card().map(|card: &Card| card.last4.as_str())),
        (seen.payer.as_str(), Some("4242"))
    );
    assert!(method.token.starts_with("pm_"));
}

#[tokio::test]
async fn a_renewal_moves_the_period_and_a_declined_one_is_counted_with_its_reason() {
    let desk = Desk::open(Gateway::Stripe).await;
    let id = begun(&desk).await;
    order(&desk, &json!({"action": "renew", "subscription": id}));
    let renewed = seen(&desk, &id).await;
    assert_eq!(renewed.period.end.to_string(), "2026-03-31T10:00:00Z");
    assert_eq!(renewed.standing, Standing::Running { ends_with_period: false });
    for attempt in 1..=2 {
        order(&desk, &json!({"action": "renew", "subscription": id, "declined": "insufficient_funds"}));
        let owing = seen(&desk, &id).await;
        assert!(matches!(owing.standing, Standing::Owing { again_at: Some(_) }), "{:?}", owing.standing);
        let decline = owing.decline.expect("a reason");
        assert_eq!(
            (owing.attempts, decline.code.as_str(), decline.remedy),
            (attempt, "insufficient_funds", Remedy::RetryLater)
        );
    }
    order(&desk, &json!({"action": "renew", "subscription": id}));
    let paid = seen(&desk, &id).await;
    assert_eq!((paid.standing, paid.attempts, paid.decline), (Standing::Running { ends_with_period: false }, 0, None));
}

#[tokio::test]
async fn another_price_is_another_plan_or_none_of_ours() {
    let desk = Desk::open(Gateway::Stripe).await;
    let id = begun(&desk).await;
    let yearly = price(&desk, "minutes-max:usd:year", 9_000, "year").await;
    order(&desk, &json!({"action": "change_price", "subscription": id, "price": yearly, "quantity": 1}));
    let changed = seen(&desk, &id).await;
    assert_eq!(changed.plan.as_ref().map(|plan| plan.as_str()), Some("minutes-max"));
    assert_eq!(changed.price.map(|price| price.interval.to_string()).as_deref(), Some("year"));
    let strange = price(&desk, "gold", 9_900, "year").await;
    order(&desk, &json!({"action": "change_price", "subscription": id, "price": strange}));
    let unknown = seen(&desk, &id).await;
    assert_eq!((unknown.price_id, unknown.plan), (strange, None));
}

#[tokio::test]
async fn it_leaves_with_its_period_or_at_once_and_says_when() {
    let desk = Desk::open(Gateway::Stripe).await;
    let id = begun(&desk).await;
    order(&desk, &json!({"action": "cancel", "subscription": id, "at_period_end": true}));
    assert_eq!(seen(&desk, &id).await.standing, Standing::Running { ends_with_period: true });
    let ended = order(&desk, &json!({"action": "cancel", "subscription": id}));
    let second = ended["subscription"]["ended_at"].as_i64();
    let standing = seen(&desk, &id).await.standing;
    let Standing::Over { at, reason: CancelReason::Requested } = standing else { panic!("{standing:?}") };
    assert_eq!(Some(at.as_second()), second);
}

#[tokio::test]
async fn what_is_not_there_is_none_and_what_is_no_id_is_not_asked_for() {
    let desk = Desk::open(Gateway::Stripe).await;
    let requests = || desk.simulator.books()["requests"]["stripe"].clone();
    let before = requests();
    for id in ["", "sub_1/../../customers", "cus_1", "sub_1?expand[]=customer"] {
        assert_eq!(desk.clients.driven(Gateway::Stripe, id).await.expect("an answer"), None, "{id}");
    }
    assert_eq!(requests(), before);
    assert_eq!(desk.clients.driven(Gateway::Stripe, "sub_1Unknown").await.expect("an answer"), None);
    for gateway in [Gateway::Paystack, Gateway::Flitt, Gateway::PayPal] {
        assert_eq!(desk.clients.driven(gateway, "sub_1Unknown").await.expect("an answer"), None);
    }
}

#[tokio::test]
async fn a_gateway_that_does_not_answer_says_nothing() {
    let desk = Desk::open(Gateway::Stripe).await;
    let id = begun(&desk).await;
    for kind in ["error_500", "timeout_before"] {
        desk.fault("find", &json!({"kind": kind}));
        desk.clients.driven(Gateway::Stripe, &id).await.expect_err("no answer");
    }
    seen(&desk, &id).await;
}

#[tokio::test]
async fn every_delivery_about_it_leads_to_it_or_to_who_pays_for_it() {
    let desk = Desk::open(Gateway::Stripe).await;
    let merchant = listening(&desk).await;
    let id = begun(&desk).await;
    order(&desk, &json!({"action": "renew", "subscription": id, "declined": "insufficient_funds"}));
    order(&desk, &json!({"action": "renew", "subscription": id}));
    order(&desk, &json!({"action": "cancel", "subscription": id}));
    let payer = Reference::of_payer("stripe", &seen(&desk, &id).await.payer);
    let it = Reference::of_driven("stripe", &id);
    let wanted = [
        ("customer.subscription.created", &it),
        ("customer.subscription.updated", &it),
        ("customer.subscription.deleted", &it),
        ("invoice.created", &it),
        ("invoice.payment_succeeded", &it),
        ("invoice.payment_failed", &it),
        ("payment_method.attached", &payer),
    ];
    let mut missing: BTreeSet<&str> = wanted.iter().map(|(kind, _)| *kind).collect();
    let mut read = 0;
    while !missing.is_empty() {
        let sent = merchant.sent_at_least(read + 1).await.remove(read);
        let notice = received(&desk, &sent).await;
        if let Some((kind, expected)) = wanted.iter().find(|(kind, _)| *kind == notice.kind) {
            assert_eq!(notice.reference.as_ref(), Some(*expected), "{kind}");
            missing.remove(kind);
        }
        read += 1;
    }
}
