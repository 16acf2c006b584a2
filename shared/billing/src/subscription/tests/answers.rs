//! What is answered where it is easily taken for something else.

use super::*;
use crate::trial::Kind;

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
        it.preview(&Change { action, order, effective }, half_way(), half_way()).err()
    };
    let bigger = |it: &Subscription| preview(it, Action::Upgrade, order("estates-enterprise"), Effective::PeriodEnd);
    let never_renewing = |mut it: Subscription| {
        it.order.price.recurring = false;
        it
    };
    let tried = |it: &Subscription| {
        let at = instant("2025-02-03T10:00:00Z");
        let order = order("estates-enterprise");
        it.preview(&Change { action: Action::Upgrade, order, effective: Effective::PeriodEnd }, at, at).err()
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
        let ten_years = crate::dunning::after(half_way(), crate::dunning::days(3_653));
        let end = crate::dunning::after(ten_years, jiff::SignedDuration::from_secs(seconds));
        active().intervene(&Intervention::ChangeDates { end }, 0, None, half_way()).err()
    };
    assert_eq!([end(0), end(1)], [None, Some(Refusal::EndIsFar)]);
}
