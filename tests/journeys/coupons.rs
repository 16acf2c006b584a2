//! Stories of who pays less: by a coupon, for a time.

use crate::changes::{by_the_year, preview, try_change, upgrade};
use crate::living::{on_trial_offer, put, try_subscribing, wanted, with_card};
use crate::stage::{
    HOUR, Is, PLAN, ask, attempt, by_transfer, command, is, live, money, opened_as, to_period_end, told,
};
use crate::transfers::transfer;
use billing::catalog::Catalogue;
use billing::discount::{Coupon, NotRedeemed};
use billing::id::{CouponCode, CustomerId};
use billing::outcome::Remedy;
use billing::ports::{Key, Record};
use billing::subscription::{Action, Command, Effective, Event, Intervention, Refusal};
use billing::testing::{Script, World, catalogue, customer, instant, method, request, world};
use billing::wallet::Wallet;
use billing::workflow::{ChangeError, Changed, Checkout, CheckoutError, CouponRefusal, LoadError, Subscribe, Wish};
use futures::executor::block_on;
use serde_json::{Value, json};

fn code(text: &str) -> CouponCode {
    CouponCode::try_from(text.to_owned()).unwrap_or_else(|error| panic!("{error}"))
}

fn estates_with(coupons: &[Value]) -> Catalogue {
    let read = |it: &Value| serde_json::from_value::<Coupon>(it.clone()).unwrap_or_else(|error| panic!("{error}"));
    Catalogue { coupons: coupons.iter().map(read).collect(), ..catalogue("estates") }
}

fn load(world: &World, coupons: &[Value]) {
    block_on(world.load(estates_with(coupons))).unwrap_or_else(|error| panic!("{error}"));
}

/// A fifth off for two periods; half off the first; nothing to pay for the first.
pub(crate) fn sold_with_coupons() -> World {
    let world = world();
    load(
        &world,
        &[
            json!({"code": "FIFTH", "off": {"percent": "20"}, "lasts": {"periods": 2}}),
            json!({"code": "HALF", "off": {"percent": "50"}, "lasts": "once", "most_redemptions": 1}),
            json!({"code": "GIFT", "off": {"percent": "100"}, "lasts": "once", "most_per_customer": 1}),
        ],
    );
    world
}

pub(crate) fn with(text: &str, wanted: Checkout) -> Checkout {
    let fingerprint = format!("{} {text}", wanted.fingerprint);
    Checkout { coupon: Some(code(text)), fingerprint, ..wanted }
}

fn paid_with(text: &str) -> World {
    let world = sold_with_coupons();
    let payment = opened_as(&world, with(text, request(PLAN, "first")));
    world.gateways.visit(&payment, true);
    told(&world, &payment, "evt_first");
    world
}

fn redeemed(world: &World, text: &str) -> u32 {
    world.key(Key::Coupon(code(text))).coupon().unwrap_or_else(|| panic!("{text}")).redeemed
}

fn refused(world: &World, wanted: Checkout) -> CheckoutError {
    let before = world.store.records();
    let refused = ask(world, wanted).err().unwrap_or_else(|| panic!("it is granted"));
    assert_eq!(world.store.records(), before);
    refused
}

#[test]
fn a_coupon_takes_off_as_many_periods_as_it_says_and_then_the_price_is_whole() {
    let world = paid_with("fifth");
    let subscription = world.subscription();
    assert_eq!(attempt(&world, 0, 1).amount.minor, 560_000);
    assert_eq!(subscription.order.discounted().map(|off| off.minor), Some(140_000));
    for (period, charged) in [(1, 560_000), (2, 700_000), (3, 700_000)] {
        to_period_end(&world);
        world.run();
        assert_eq!(attempt(&world, period, 1).amount.minor, charged, "period {period}");
    }
    assert_eq!((world.subscription().order.discount, money(&world)), (None, (4, 0)));
    assert_eq!(redeemed(&world, "FIFTH"), 0, "of which there are as many as anyone wants, none is counted");
}

#[test]
fn who_has_nothing_to_pay_needs_neither_a_page_nor_a_method() {
    let world = sold_with_coupons();
    let refused = refused(&world, with("GIFT", request(PLAN, "page")));
    assert!(matches!(refused, CheckoutError::Refused(Refusal::NothingToPay)), "{refused}");
    let gift = Subscribe { coupon: Some(code("GIFT")), ..wanted(PLAN) };
    for key in ["k", "k"] {
        let begun = try_subscribing(&world, &gift, key).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!((is(&begun.subscription), begun.payment, money(&world)), (Is::Active, None, (0, 0)));
    }
    with_card(&world);
    to_period_end(&world);
    world.run();
    assert_eq!((attempt(&world, 1, 1).amount.minor, money(&world)), (700_000, (1, 0)));
    // And it is a gift once, for whatever they subscribe to later.
    block_on(world.request(&customer(), billing::subscription::Command::CancelNow, None, &key("gone"), "gone"))
        .unwrap_or_else(|error| panic!("{error}"));
    let again = try_subscribing(&world, &gift, "again").err();
    let used_up = CouponRefusal::NotRedeemed(NotRedeemed::UsedUpByCustomer);
    assert!(matches!(again, Some(ChangeError::Coupon(refusal)) if refusal == used_up));
}

fn key(text: &str) -> billing::id::IdempotencyKey {
    billing::testing::idempotency_key(text)
}

#[test]
fn a_trial_uses_up_none_of_a_discount() {
    let world = on_trial_offer();
    load_beside_trial(&world);
    let fifth = Subscribe { coupon: Some(code("FIFTH")), ..wanted(PLAN) };
    let begun = try_subscribing(&world, &fifth, "k").unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((is(&begun.subscription), begun.subscription.order.discounted()), (Is::Trialing, None));
    with_card(&world);
    for (period, charged) in [(1, 560_000), (2, 560_000), (3, 700_000)] {
        to_period_end(&world);
        world.run();
        assert_eq!(attempt(&world, period, 1).amount.minor, charged, "period {period}");
    }
}

/// The same coupons; the plan stays as it is.
fn load_beside_trial(world: &World) {
    let mut estates = estates_with(&[json!({"code": "FIFTH", "off": {"percent": "20"}, "lasts": {"periods": 2}})]);
    for plan in &mut estates.plans {
        let stored = world.key(Key::Plan(plan.id.clone())).plan().unwrap_or_else(|| panic!("{} is stored", plan.id));
        plan.trial = stored.plan.trial;
    }
    block_on(world.load(estates)).unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn a_change_within_a_discounted_period_credits_and_charges_at_the_discount() {
    let world = paid_with("FIFTH");
    world.clock.set(instant("2025-02-14T10:00:00Z"));
    let shown = preview(&world, &upgrade());
    // Half of 5,600.00 back, half of four fifths of 15,000.00.
    let lines: Vec<i64> = shown.lines.iter().map(|line| line.amount.minor).collect();
    assert_eq!((lines, shown.due_now.minor, shown.next_amount.minor), (vec![-280_000, 600_000], 320_000, 1_200_000));
    try_change(&world, &upgrade(), "k").unwrap_or_else(|error| panic!("{error}"));
    for (period, charged) in [(1, 1_200_000), (2, 1_500_000)] {
        to_period_end(&world);
        world.run();
        assert_eq!(attempt(&world, period, 1).amount.minor, charged);
    }
}

#[test]
fn a_period_that_a_change_begins_uses_up_one_of_the_discount() {
    let world = paid_with("HALF");
    world.clock.set(instant("2025-02-14T10:00:00Z"));
    let shown = preview(&world, &by_the_year(Effective::Now));
    let lines: Vec<i64> = shown.lines.iter().map(|line| line.amount.minor).collect();
    // Half of the 3,500.00 that were paid; a year at its price.
    assert_eq!(lines, [-175_000, 7_000_000]);
}

#[test]
fn a_coupon_of_which_there_is_one_is_counted_when_it_is_used_and_honoured_where_it_was_shown() {
    let world = sold_with_coupons();
    let globex = CustomerId::try_from("globex".to_owned()).unwrap_or_else(|error| panic!("{error}"));
    let of_globex = |key| Checkout { customer: globex.clone(), ..with("HALF", request(PLAN, key)) };
    let (page, other) = (opened_as(&world, with("HALF", request(PLAN, "first"))), opened_as(&world, of_globex("g")));
    assert_eq!(redeemed(&world, "HALF"), 0);
    world.gateways.visit(&page, true);
    told(&world, &page, "evt_1");
    told(&world, &page, "evt_2");
    assert_eq!((redeemed(&world, "HALF"), attempt(&world, 0, 1).amount.minor), (1, 350_000));
    let used_up = refused(&world, of_globex("later"));
    assert!(matches!(used_up, CheckoutError::Coupon(CouponRefusal::NotRedeemed(NotRedeemed::UsedUp))), "{used_up}");
    world.gateways.visit(&other, true);
    told(&world, &other, "evt_3");
    assert_eq!((redeemed(&world, "HALF"), world.payment_of(&other).amount.minor), (2, 350_000));
}

/// Subscribes with a card, at half price: of which coupon there is one.
fn for_half(world: &World, who: &str) -> Result<Changed, ChangeError> {
    let customer = CustomerId::try_from(who.to_owned()).unwrap_or_else(|error| panic!("{error}"));
    let wallet = Wallet::empty(customer.clone()).remembering(method(&format!("AUTH_{who}")));
    put(world, Record::Wallet(wallet.unwrap_or_else(|| panic!("a card"))));
    try_subscribing(world, &Subscribe { customer, coupon: Some(code("HALF")), ..wanted(PLAN) }, who)
}

fn is_used_up(asked: Result<Changed, ChangeError>) -> bool {
    matches!(asked, Err(ChangeError::Coupon(CouponRefusal::NotRedeemed(NotRedeemed::UsedUp))))
}

#[test]
fn of_a_coupon_of_which_there_is_one_a_charge_takes_it_when_it_is_asked_for() {
    let world = sold_with_coupons();
    world.gateways.next(Script::SilentAfter);
    assert!(for_half(&world, "first").is_ok());
    assert_eq!(redeemed(&world, "HALF"), 1, "while nobody knows what becomes of it");
    assert!(is_used_up(for_half(&world, "second")));
    live(&world, HOUR);
    assert_eq!((redeemed(&world, "HALF"), money(&world)), (1, (1, 0)), "and once it is paid");
    assert!(is_used_up(for_half(&world, "third")));
    assert_eq!(money(&world), (1, 0));
}

#[test]
fn a_charge_that_comes_to_nothing_gives_the_coupon_back() {
    for script in [Script::Decline(Remedy::RetryLater), Script::Decline(Remedy::NewMethod), Script::TakesInstead(1)] {
        let world = sold_with_coupons();
        world.gateways.next(script);
        drop(for_half(&world, "first"));
        assert_eq!(redeemed(&world, "HALF"), 0, "{script:?}");
        assert!(for_half(&world, "second").is_ok(), "{script:?}");
        assert_eq!(redeemed(&world, "HALF"), 1, "{script:?}");
        assert!(is_used_up(for_half(&world, "third")));
    }
}

#[test]
fn who_cancels_while_the_charge_is_on_its_way_has_the_money_back_and_the_coupon_is_there_again() {
    let world = sold_with_coupons();
    with_card(&world);
    world.gateways.next(Script::SilentAfter);
    let half = Subscribe { coupon: Some(code("HALF")), ..wanted(PLAN) };
    assert!(try_subscribing(&world, &half, "k").is_ok());
    command(&world, Command::CancelNow);
    assert_eq!(redeemed(&world, "HALF"), 1);
    live(&world, HOUR);
    assert_eq!((redeemed(&world, "HALF"), money(&world)), (0, (1, 1)));
}

#[test]
fn a_code_that_gives_nothing_here_is_refused_and_changes_nothing() {
    let world = sold_with_coupons();
    let unknown = |error: CheckoutError| matches!(error, CheckoutError::Coupon(CouponRefusal::Unknown(_)));
    assert!(unknown(refused(&world, with("NOTHING", request(PLAN, "a")))));
    // Of another family.
    let tokens = Checkout {
        interval: billing::calendar::Interval::Days(30),
        currency: billing::testing::order("tokens-basic").price.amount.currency,
        ..with("FIFTH", request("tokens-basic", "b"))
    };
    assert!(unknown(refused(&world, tokens)));
    // And withdrawn: who has it keeps it.
    let page = opened_as(&world, with("FIFTH", request(PLAN, "c")));
    load(&world, &[]);
    assert!(unknown(refused(&world, with("FIFTH", request(PLAN, "d")))));
    world.gateways.visit(&page, true);
    told(&world, &page, "evt_c");
    to_period_end(&world);
    world.run();
    assert_eq!(attempt(&world, 1, 1).amount.minor, 560_000);
}

#[test]
fn a_code_means_one_thing_whoever_sells() {
    let world = sold_with_coupons();
    let other = Catalogue {
        coupons: estates_with(&[json!({"code": "half", "off": {"percent": "5"}, "lasts": "once"})]).coupons,
        ..catalogue("crm")
    };
    let told = match block_on(world.load(other.clone())) {
        Err(LoadError::Problems(problems)) => problems.into_iter().map(|it| (it.field, it.problem)).collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    assert_eq!(told, [("coupons[0].code".to_owned(), "is used by the family `estates`".to_owned())]);
    // Nor is it another's once it is given up: there are those who redeemed it. One that comes back is counted on.
    load(&world, &[]);
    assert!(matches!(block_on(world.load(other)), Err(LoadError::Problems(_))));
    assert!(world.key(Key::Coupon(code("HALF"))).coupon().is_some_and(|it| it.withdrawn));
}

#[test]
fn who_has_a_page_open_and_nothing_to_pay_begins_without_it_and_has_back_what_they_pay_there_yet() {
    let world = sold_with_coupons();
    let page = opened_as(&world, request(PLAN, "page"));
    let gift = Subscribe { coupon: Some(code("GIFT")), ..wanted(PLAN) };
    let begun = try_subscribing(&world, &gift, "k").unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(is(&begun.subscription), Is::Active);
    world.gateways.visit(&page, true);
    told(&world, &page, "evt_page");
    world.run();
    assert_eq!((money(&world), is(&world.subscription())), ((1, 1), Is::Active));
}

#[test]
fn a_discount_does_not_go_along_to_a_plan_that_it_is_not_for() {
    for effective in [Effective::Now, Effective::PeriodEnd] {
        let world = world();
        load(
            &world,
            &[json!({"code": "PRO", "off": {"percent": "20"}, "lasts": "forever", "plans": ["estates-professional"]})],
        );
        let payment = opened_as(&world, with("PRO", request(PLAN, "first")));
        world.gateways.visit(&payment, true);
        told(&world, &payment, "evt_first");
        world.clock.set(instant("2025-02-14T10:00:00Z"));
        let shown = preview(&world, &Wish { effective, ..upgrade() });
        let lines: Vec<i64> = shown.lines.iter().map(|line| line.amount.minor).collect();
        let now = if effective == Effective::Now { vec![-280_000, 750_000] } else { vec![] };
        assert_eq!((lines, shown.next_amount.minor), (now, 1_500_000), "{effective:?}");
        try_change(&world, &Wish { effective, ..upgrade() }, "k").unwrap_or_else(|error| panic!("{error}"));
        to_period_end(&world);
        world.run();
        assert_eq!(attempt(&world, 1, 1).amount.minor, 1_500_000, "{effective:?}");
    }
}

#[test]
fn a_coupon_is_counted_when_a_transfer_pays() {
    let world = sold_with_coupons();
    let payment = opened_as(&world, with("HALF", by_transfer("first")));
    assert_eq!((payment.amount.minor, redeemed(&world, "HALF")), (350_000, 0));
    transfer(&world, "trf_1", 350_000);
    live(&world, HOUR * 7);
    assert_eq!((is(&world.subscription()), redeemed(&world, "HALF")), (Is::Active, 1));
    let globex = CustomerId::try_from("globex".to_owned()).unwrap_or_else(|error| panic!("{error}"));
    let used_up = refused(&world, Checkout { customer: globex, ..with("HALF", request(PLAN, "later")) });
    assert!(matches!(used_up, CheckoutError::Coupon(CouponRefusal::NotRedeemed(NotRedeemed::UsedUp))), "{used_up}");
}

#[test]
fn what_is_taken_off_the_next_period_changes_nothing_of_the_one_that_is_paid() {
    let world = paid_with("FIFTH");
    world.clock.set(instant("2025-02-14T10:00:00Z"));
    let lines =
        |shown: &billing::subscription::Preview| shown.lines.iter().map(|it| it.amount.minor).collect::<Vec<_>>();
    let before = preview(&world, &upgrade());
    let subscription = world.subscription();
    let gift = world.key(Key::Coupon(code("GIFT"))).coupon().unwrap_or_else(|| panic!("GIFT")).coupon;
    let (plan, currency) = (&subscription.order.plan.id, subscription.order.price.amount.currency);
    let discount = gift.redeem(plan, currency, 0, 0, world.clock.time()).unwrap_or_else(|error| panic!("{error}"));
    let discounted = subscription.apply(&Event::Discounted { discount: Box::new(discount) });
    world.store.put(Record::Subscription(discounted));
    let after = preview(&world, &upgrade());
    assert_eq!((lines(&before), lines(&after)), (vec![-280_000, 600_000], vec![-280_000, 600_000]));
    to_period_end(&world);
    world.run();
    let subscription = world.subscription();
    assert_eq!((money(&world), subscription.term().map(|term| term.index)), ((1, 0), Some(1)));
    // And the second of the two fifths is off after the gift.
    for (period, charged) in [(2, 560_000), (3, 700_000)] {
        to_period_end(&world);
        world.run();
        assert_eq!(attempt(&world, period, 1).amount.minor, charged);
    }
}

#[test]
fn a_month_that_staff_give_is_no_year_and_no_other_plan() {
    for wish in [by_the_year(Effective::Now), by_the_year(Effective::PeriodEnd), upgrade()] {
        let world = paid_with("HALF");
        let gift = Intervention::Comp { percent: 100, periods: Some(3) };
        let given = block_on(world.intervene(&customer(), &gift, &key("gift"), "gift"));
        assert_eq!(given.map(|it| it.amount_due().map(|it| it.minor)).ok(), Some(Ok(0)));
        world.clock.set(instant("2025-02-14T10:00:00Z"));
        let shown = preview(&world, &wish);
        let whole = if wish.action == Action::Upgrade { 1_500_000 } else { 7_000_000 };
        assert_eq!((shown.next_amount.minor, shown.due_now.minor > 0), (whole, wish.effective == Effective::Now));
        try_change(&world, &wish, "k").unwrap_or_else(|error| panic!("{error}"));
        to_period_end(&world);
        world.run();
        let charged = world.gateways.charges();
        assert!(charged.len() > 1, "{wish:?}: {charged:?}");
    }
}
