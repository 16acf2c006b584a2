//! What is answered where it is easily taken for something else.

use super::*;
use crate::calendar::Interval;
use crate::catalog::tests::documented;
use crate::catalog::{Limit, Price};
use crate::dunning::{after, days};
use crate::id::PeriodId;
use crate::order::Item;
use crate::testing::{meter, plan};
use crate::trial::Kind;
use crate::usage::MeterUsage;
use jiff::SignedDuration;

fn on_trial() -> Subscription {
    let trial = Trial { start: active().created_at, days: 14, kind: Kind::Free, until: None };
    active().apply(&Event::TrialStarted { order: Box::new(active().order), trial })
}

/// Two weeks before the period ends.
fn half_way() -> Timestamp {
    instant("2025-02-14T10:00:00Z")
}

fn scheduled(it: Subscription) -> Subscription {
    it.apply(&Event::ChangeScheduled { order: Box::new(order("estates-starter")) })
}

/// A payment is open for a change to `plan`, within the running period.
fn changing(plan: &str) -> (Subscription, PaymentId) {
    let payment = PaymentId::change(active().id, 0, 1);
    let nothing = Money::zero(active().order.price.amount.currency);
    let term = active().term().unwrap_or_else(|| panic!("it runs"));
    let becomes = Becomes { order: order(plan), term, at: half_way(), credit: nothing, charge: nothing };
    let waits = Changing { payment: payment.clone(), becomes };
    (Subscription { open: Some(payment.clone()), changing: Some(Box::new(waits)), ..active() }, payment)
}

#[test]
fn what_is_told_of_an_attempt_that_nobody_waits_for_changes_nothing() {
    let ordered = incomplete().checkout(page(Gateway::Paystack), now()).map(|(it, _)| it);
    let ordered = ordered.unwrap_or_else(|refusal| panic!("{refusal}"));
    let leaving = charged(active()).apply(&Event::CancellationScheduled);
    let disputed = charged(active()).apply(&Event::Disputed { payment: attempt(0, 1) });
    let other = attempt(1, 9);
    for state in [ordered, charged(active()), leaving, disputed, charged(past_due(1))] {
        for fact in
            [decline_of(other.clone(), "AUTH_1", Remedy::RetryLater), Fact::Abandoned { payment: other.clone() }]
        {
            assert_eq!(state.record(fact.clone(), &[], now()), [], "{:?} {fact:?}", state.status);
        }
    }
    for fact in [Fact::DisputeWon { payment: attempt(0, 1) }, Fact::DisputeLost { payment: attempt(0, 1) }] {
        assert_eq!(incomplete().record(fact, &[], now()), [], "nobody has disputed it");
    }
    assert_eq!(active().record(Fact::DisputeWon { payment: attempt(0, 1) }, &[], now()), []);
}

#[test]
fn a_change_that_is_paid_for_when_its_period_is_over_is_not_made() {
    let (waiting, payment) = changing("estates-enterprise");
    let at = |now| waiting.record(paid(&payment), &[], instant(now));
    assert!(matches!(at("2025-02-28T09:59:59Z")[..], [Event::Changed { .. }]));
    let late = [Event::ChangeDeclined { payment: payment.clone() }, Event::RefundOwed { payment: payment.clone() }];
    assert_eq!(at("2025-02-28T10:00:00Z"), late);
}

#[test]
fn who_asks_for_the_end_or_disputes_takes_back_the_change_that_waits() {
    let (waiting, payment) = changing("estates-enterprise");
    let taken_back = Event::ChangeDeclined { payment: payment.clone() };
    let disputed = Fact::Disputed { payment: attempt(0, 1) };
    let asked = waiting.decide(Command::CancelAtPeriodEnd, half_way());
    let asked = asked.unwrap_or_else(|refusal| panic!("{refusal}"));
    assert_eq!(asked, [taken_back.clone(), Event::CancellationScheduled]);
    let told = waiting.record(disputed.clone(), &[], half_way());
    assert_eq!(told, [taken_back, Event::Disputed { payment: attempt(0, 1) }]);
    assert_eq!(active().record(disputed, &[], half_way()), told[1..]);
    for events in [asked, told] {
        let it = events.iter().fold(waiting.clone(), |it, event| it.apply(event));
        assert_eq!(it.record(decline_of(payment.clone(), "AUTH_1", Remedy::RetryLater), &[], half_way()), []);
        let given_back = [Event::RefundOwed { payment: payment.clone() }];
        assert_eq!(it.record(paid(&payment), &[], half_way()), given_back);
    }
}

#[test]
fn a_method_that_was_left_is_tried_once_at_once_and_others_as_they_would_have_been() {
    let methods = ["AUTH_2", "AUTH_1"].map(|token| method(token).id());
    let left = Fact::MethodAdded { method: Some(methods[0].clone()) };
    let events = past_due(1).record(left.clone(), &methods, now());
    let mended = Some(methods[0].clone());
    assert_eq!(events, [Event::RetryScheduled { at: now(), mended }]);
    let tried = events.iter().fold(past_due(1), |it, event| it.apply(event));
    assert_eq!(tried.record(left, &methods, now()), [], "it is tried already");
    assert_eq!(tried.failures, past_due(1).failures, "what is said of another is said still");
}

#[test]
fn a_pause_is_refused_for_what_it_would_undo_and_granted_once() {
    let mut once = active();
    once.order.price.recurring = false;
    let pausing = active().apply(&Event::PauseScheduled);
    let paused = Event::Paused { at: half_way() };
    let cases = [
        (active(), half_way(), Ok(vec![paused.clone()]), Ok(vec![Event::PauseScheduled])),
        (pausing, half_way(), Ok(vec![paused]), Ok(vec![])),
        (once, half_way(), Err(Refusal::NotWithinPeriod), Err(Refusal::NotWithinPeriod)),
        (charged(active()), half_way(), Err(Refusal::ChargeRunning), Err(Refusal::ChargeRunning)),
        (active(), now(), Err(Refusal::ChargeRunning), Err(Refusal::ChargeRunning)),
        (on_trial(), half_way(), Err(Refusal::Trialing), Err(Refusal::Trialing)),
    ];
    for (state, at, now, later) in cases {
        assert_eq!([state.decide(Command::Pause, at), state.decide(Command::PauseAtPeriodEnd, at)], [now, later]);
    }
}

#[test]
fn only_what_was_asked_for_and_is_not_being_paid_can_be_taken_back() {
    let resume = |it: Subscription, at| it.decide(Command::Resume, at);
    assert_eq!(resume(active(), half_way()), Ok(vec![]));
    assert_eq!(resume(scheduled(active()), half_way()), Ok(vec![Event::ChangeRevoked]));
    assert_eq!(resume(scheduled(active()), now()), Err(Refusal::ChargeRunning));
    assert_eq!(resume(charged(scheduled(active())), half_way()), Err(Refusal::ChargeRunning));
    assert_eq!(resume(past_due(1), now()), Ok(vec![]));
    assert_eq!(resume(scheduled(past_due(1)), now()), Err(Refusal::PaymentOwed));
}

#[test]
fn what_never_renews_is_changed_in_its_trial_alone_and_no_part_undoes_what_was_scheduled() {
    let preview = |it: &Subscription, action, order, effective| {
        it.preview(&Change { action, order, effective }, &[], half_way(), half_way()).err()
    };
    let bigger = |it: &Subscription| preview(it, Action::Upgrade, order("estates-enterprise"), Effective::PeriodEnd);
    let never_renewing = |mut it: Subscription| {
        it.order.price.recurring = false;
        it
    };
    let tried = |it: &Subscription| {
        let at = instant("2025-02-03T10:00:00Z");
        let order = order("estates-enterprise");
        it.preview(&Change { action: Action::Upgrade, order, effective: Effective::PeriodEnd }, &[], at, at).err()
    };
    assert_eq!([bigger(&active()), bigger(&never_renewing(active()))], [None, Some(Refusal::NotWithinPeriod)]);
    assert_eq!([tried(&on_trial()), tried(&never_renewing(on_trial()))], [None, None]);

    let seats = |quantity| Order { quantity, ..order("crm-professional") };
    let seated = Subscription { order: seats(3), ..active() };
    let four = |it: &Subscription| preview(it, Action::ChangeSeats, seats(4), Effective::PeriodEnd);
    assert_eq!([four(&seated), four(&scheduled(seated))], [None, Some(Refusal::ChangeScheduled)]);
}

#[test]
fn of_money_that_was_paid_it_is_known_whether_a_payment_is_behind_it_and_for_how_long() {
    let (term, at) = (active().term().unwrap_or_else(|| panic!("it runs")), half_way());
    let naira = |minor| Money { minor, ..active().order.price.amount };
    let fund =
        |minor: i64, paid, at| Fund { subscription: 1, period: 0, left: naira(minor), short: 0, paid, used_up: 0, at };
    for (paid, behind) in [(0, false), (1, true), (700_000, true)] {
        let mut it = Subscription { funds: vec![], ..active() };
        it.settle_price(term, naira(700_000), naira(paid), at);
        assert_eq!(it.funds.iter().map(|fund| (fund.paid, fund.at)).collect::<Vec<_>>(), [(behind, at)]);
        // What is credited or added later hides no payment, and is of that time.
        it.settle_price(term, naira(5), naira(0), now());
        assert_eq!(it.funds, [fund(700_005, behind, now())]);
        it.settle_price(term, naira(5), naira(5), now());
        assert_eq!(it.funds, [fund(700_010, true, now())]);
    }
    let long_ago = instant("2024-07-01T10:00:00Z");
    let next = Term { index: 1, ..term };
    let kept = |known: Fund| {
        let mut it = Subscription { funds: vec![known], ..active() };
        it.settle_price(next, naira(700_000), naira(700_000), at);
        it.funds.iter().any(|fund| fund.period == 0)
    };
    let known = [
        (fund(0, true, active().created_at), true),
        (fund(1, false, active().created_at), true),
        (fund(0, false, active().created_at), false),
        (fund(1, true, long_ago), false),
    ];
    for (known, expected) in known {
        assert_eq!(kept(known), expected, "{known:?}");
    }
}

#[test]
fn what_was_used_up_of_a_fund_is_told_where_something_was() {
    let told = |used_up| {
        let mut it = active();
        it.funds.truncate(1);
        let term = it.term().unwrap_or_else(|| panic!("it runs"));
        it.remember_fund();
        it.use_up(term, used_up);
        let stored = serde_json::to_value(&it).unwrap_or_else(|error| panic!("{error}"));
        stored["funds"][0].get("used_up").cloned()
    };
    assert_eq!([told(0), told(5)], [None, Some(5.into())]);
}

#[test]
fn what_came_back_of_a_period_from_before_there_were_accounts_is_of_its_price() {
    let mut old = Subscription { funds: vec![], worth: None, ..active() };
    let price = old.order.price.amount;
    old.return_from(old.id.number, 0, Money { minor: 100_000, ..price });
    let fund = old.funds.first().unwrap_or_else(|| panic!("it is kept account of"));
    assert_eq!((fund.left.minor, fund.paid, old.balances.is_empty()), (600_000, true, true));
}

#[test]
fn an_end_may_be_ten_years_away_and_no_more() {
    let end = |seconds| {
        let ten_years = after(half_way(), days(3_653));
        let end = after(ten_years, SignedDuration::from_secs(seconds));
        active().intervene(&Intervention::ChangeDates { end }, 0, None, half_way()).err()
    };
    assert_eq!([end(0), end(1)], [None, Some(Refusal::EndIsFar)]);
}

#[test]
fn a_period_begins_when_the_one_before_it_ends() {
    let of = |index| PeriodId { subscription: active().id, index };
    let began = [0, 1].map(|index| active().beginning(&of(index)));
    assert_eq!(began, ["2025-01-31T10:00:00Z", "2025-02-28T10:00:00Z"].map(|at| Some(instant(at))));
}

#[test]
fn a_price_is_announced_on_trial_whether_or_not_the_plan_renews_and_afterwards_only_if_it_does() {
    let mut newest = plan("estates-professional");
    newest.version += 1;
    newest.prices.iter_mut().for_each(|price| (price.amount.minor, price.recurring) = (900_000, false));
    let announced = |mut it: Subscription| {
        it.order.price.recurring = false;
        it.order.plan.prices.iter_mut().for_each(|price| price.recurring = false);
        let day = std::num::NonZeroU16::MIN;
        it.announcing(Some(&newest), day, true, instant("2025-02-03T10:00:00Z")).map(|events| events.len())
    };
    assert_eq!([announced(on_trial()), announced(active())], [Ok(2), Err(Refusal::NotRenewed)]);
}

#[test]
fn what_is_cancelled_at_the_periods_end_is_so_at_once_where_none_runs() {
    let effective = |it: &Subscription, at| {
        let outlook = it.outlook_by(Command::CancelAtPeriodEnd, at);
        outlook.map(|it| (it.effective, it.takes_effect_at)).unwrap_or_else(|refusal| panic!("{refusal}"))
    };
    assert_eq!(effective(&active(), half_way()), (Effective::PeriodEnd, now()));
    assert_eq!(effective(&past_due(1), now()), (Effective::Now, now()));
    let paused = active().apply(&Event::Paused { at: half_way() });
    assert_eq!(effective(&paused, half_way()), (Effective::Now, half_way()));
}

#[test]
fn what_is_owed_for_usage_makes_no_gift_one_that_is_paid_for() {
    let mut gift = incomplete();
    gift.order.price.amount.minor = 0;
    let period = PeriodId { subscription: gift.id.clone(), index: 0 };
    let amount = Money { minor: 900_000, ..gift.order.price.amount };
    gift.usage_charges = vec![UsageLine { meter: meter("minutes"), period, used: 9, included: 0, amount }];
    assert_eq!((gift.costs_nothing(), gift.amount_due()), (Ok(true), Ok(amount)));
    assert_eq!(incomplete().costs_nothing(), Ok(false));
}

#[test]
fn what_the_balance_pays_for_is_opened_by_a_page_for_the_whole_price() {
    let price = incomplete().order.price.amount;
    let ordered = Subscription { balances: vec![price], ..incomplete() };
    let opened = ordered.checkout(page(Gateway::Paystack), now()).map(|(_, payment)| payment.amount);
    assert_eq!(opened, Ok(price));
    let owing = Subscription { balances: vec![price], ..past_due(4) };
    assert_eq!(owing.checkout(page(Gateway::Paystack), now()).err(), Some(Refusal::NothingOwed));
}

#[test]
fn usage_is_billed_before_the_first_attempt_and_whatever_is_paid_for_a_change() {
    let sold = |mut it: Subscription| {
        it.order.plan.limits.insert(meter("minutes"), Limit::AtMost(0));
        it.order.plan.overage = [(meter("minutes"), vec![])].into();
        it.meters_to_bill().is_some()
    };
    let tried = Subscription { attempts: 1, ..active() };
    let opened = Subscription { open: Some(attempt(1, 1)), ..active() };
    let billed = Subscription { usage_billed: Some(0), ..active() };
    let changing = changing("estates-enterprise").0;
    assert_eq!(
        [active(), changing, tried, opened, billed, on_trial()].map(sold),
        [true, true, false, false, false, false]
    );
}

#[test]
fn who_owes_nothing_is_served_whatever_grace_there_was() {
    let before = Some(half_way());
    let paid = Subscription { grace_ends_at: before, ..active() };
    assert_eq!((paid.unserved_since(now()), past_due(4).unserved_since(now())), (None, None));
    let owing = Subscription { grace_ends_at: before, ..past_due(4) };
    assert_eq!(owing.unserved_since(now()), before);
}

#[test]
fn what_the_rest_was_paid_with_moves_along_with_a_pause() {
    let by = active().order.plan.proration;
    let worth = Worth { amount: active().order.price.amount, at: active().created_at, by };
    let paused = Subscription { worth: Some(worth), ..active() }.apply(&Event::Paused { at: half_way() });
    let on = paused.apply(&Event::Unpaused { at: after(half_way(), days(10)) });
    assert_eq!(on.worth, Some(Worth { at: after(worth.at, days(10)), ..worth }));
}

#[test]
fn what_comes_with_tokens_is_changed_at_the_periods_end_alone() {
    let upgraded = |tokens_before, tokens_after| {
        let mut it = active();
        it.order.plan.tokens_included = tokens_before;
        let mut order = order("estates-enterprise");
        order.plan.tokens_included = tokens_after;
        it.preview(&Change { action: Action::Upgrade, order, effective: Effective::Now }, &[], half_way(), half_way())
            .err()
    };
    let refused = Some(Refusal::NotWithinPeriod);
    assert_eq!(
        [upgraded(None, None), upgraded(Some(9), None), upgraded(None, Some(9)), upgraded(Some(9), Some(9))],
        [None, refused, refused, refused]
    );
}

#[test]
fn a_change_within_a_period_is_worth_what_is_left_and_one_that_begins_another_what_was_paid() {
    let (running, price) = (active().term().unwrap_or_else(|| panic!("it runs")), active().order.price.amount);
    let becomes = |term, minor| Becomes {
        order: order("estates-enterprise"),
        term,
        at: half_way(),
        credit: Money { minor: 0, ..price },
        charge: Money { minor, ..price },
    };
    let worth = |becomes: &Becomes| active().changed(becomes, becomes.charge).worth.map(|it| (it.amount.minor, it.at));
    assert_eq!(worth(&becomes(running, 0)), Some((price.minor, active().created_at)), "nothing is reckoned anew");
    assert_eq!(worth(&becomes(running, 5)), Some((price.minor / 2 + 5, half_way())));
    assert_eq!(worth(&becomes(running.anew(half_way()), 5)), Some((5, half_way())));
}

#[test]
fn an_addon_is_charged_for_and_what_stays_as_it_is_is_not() {
    let plan = documented();
    let held = Order { price: plan.prices[0].clone(), plan, quantity: 12, addons: vec![], discount: None };
    let phone = held.plan.addons.iter().find(|addon| !addon.per_unit).map(|addon| addon.id.clone());
    let phone = phone.unwrap_or_else(|| panic!("one is sold once"));
    let order = held.clone().with_addon(&phone, None).unwrap_or_else(|error| panic!("{error}"));
    let it = Subscription { order: held, funds: vec![], worth: None, ..active() };
    let change = Change { action: Action::AddAddon, order, effective: Effective::Now };
    let lines = it.preview(&change, &[], half_way(), half_way()).map(|preview| preview.lines);
    let lines = lines.unwrap_or_else(|refusal| panic!("{refusal}"));
    let told: Vec<(&Item, bool, i64)> = lines.iter().map(|it| (&it.item, it.is_credit, it.amount.minor)).collect();
    // Half of 15.00.
    assert_eq!(told, [(&Item::Addon(phone), false, 750)]);
}

#[test]
fn where_another_period_begins_every_part_is_credited_by_as_much_as_is_unused() {
    let plan = documented();
    let held = Order { price: plan.prices[0].clone(), plan, quantity: 12, addons: vec![], discount: None };
    let phone = held.plan.addons.iter().find(|addon| !addon.per_unit).map(|addon| addon.id.clone());
    let order = held.with_addon(&phone.unwrap_or_else(|| panic!("one is sold once")), None);
    let mut order = order.unwrap_or_else(|error| panic!("{error}"));
    order.plan.limits.insert(meter("minutes"), Limit::AtMost(1_000));
    let it = Subscription { order: order.clone(), funds: vec![], worth: None, ..active() };
    let (at, period) = (it.created_at, Some(PeriodId { subscription: it.id.clone(), index: 0 }));
    let used = MeterUsage { value: 500, period, ..MeterUsage::none(it.customer.clone(), meter("minutes"), at) };
    let credited = |change: Change| {
        let shown = it.preview(&change, std::slice::from_ref(&used), at, at);
        let lines = shown.unwrap_or_else(|refusal| panic!("{refusal}")).lines.into_iter().filter(|it| it.is_credit);
        lines.map(|it| it.amount.minor).collect::<Vec<_>>()
    };
    let effective = Effective::Now;
    let price = Price { interval: Interval::Year, ..order.price.clone() };
    let yearly = Change { action: Action::ChangeInterval, order: Order { price, ..order.clone() }, effective };
    let seats = Change { action: Action::ChangeSeats, order: Order { quantity: 13, ..order }, effective };
    assert_eq!((credited(yearly), credited(seats)), (vec![-4_975, -750], vec![-9_950]));
}

#[test]
fn what_is_credited_is_credited_of_the_running_period_alone() {
    let price = active().order.price.amount;
    let mut it = active().apply(&Event::Renewed { payment: attempt(1, 1), paid: Some(price) });
    it.credit(Money { minor: 100_000, ..price }, instant("2025-03-14T10:00:00Z"));
    let left: Vec<(u32, i64)> = it.funds.iter().map(|fund| (fund.period, fund.left.minor)).collect();
    assert_eq!(left, [(0, 700_000), (1, 600_000)]);
}
