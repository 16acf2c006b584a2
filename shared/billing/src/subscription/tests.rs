//! Given, when, then: what follows from each fact and request in each state.

mod answers;

use super::*;
use crate::dunning::MOST_ATTEMPTS;
use crate::id::MethodId;
use crate::outcome::{Decline, Remedy};
use crate::payment::{Gateway, Payment};
use crate::testing::{active, customer, incomplete, instant, method, order, page, zone};
use crate::trial::{Kind, Trial};
use jiff::civil::date;

fn now() -> Timestamp {
    instant("2025-02-28T10:00:00Z")
}

/// The sample subscription after `failures` declined attempts.
fn past_due(failures: usize) -> Subscription {
    (0..failures).fold(active(), |subscription, _| declined(subscription, Remedy::RetryLater))
}

fn charged(subscription: Subscription) -> Subscription {
    subscription.charging(method("AUTH_1"), now()).map_or_else(|it| panic!("{it}"), |(it, _)| it)
}

fn declined(subscription: Subscription, remedy: Remedy) -> Subscription {
    let waiting = charged(subscription);
    let Some(payment) = waiting.open.clone() else { panic!("no attempt is open") };
    told(waiting, decline_of(payment, "AUTH_1", remedy))
}

fn decline_of(payment: PaymentId, token: &str, remedy: Remedy) -> Fact {
    Fact::Declined { payment, method: Some(method(token).id()), decline: Decline::new("declined", remedy) }
}

fn told(subscription: Subscription, fact: Fact) -> Subscription {
    told_with(subscription, fact, &["AUTH_1"])
}

/// What `fact` makes of it when the customer has left methods with these `tokens`.
fn told_with(subscription: Subscription, fact: Fact, tokens: &[&str]) -> Subscription {
    let methods: Vec<MethodId> = tokens.iter().map(|token| method(token).id()).collect();
    let events = subscription.record(fact, &methods, now());
    events.iter().fold(subscription, |subscription, event| subscription.apply(event))
}

fn paid(payment: &PaymentId) -> Fact {
    Fact::Paid { payment: payment.clone(), order: None, amount: order("estates-professional").price.amount }
}

fn attempt(period: u32, attempt: u32) -> PaymentId {
    PaymentId { subscription: active().id, period, attempt }
}

/// Where the period is over and not paid, uses are counted in the one that has begun.
#[test]
fn what_is_counted_starts_at_zero_when_the_period_ends_that_it_is_counted_in() {
    let lagos = Subscription { time_zone: zone("Africa/Lagos"), ..active() };
    let next = |now| lagos.next_period(instant(now)).map(|it| it.to_string());
    let told = |date: &str| Some(format!("{date}T11:00:00+01:00[Africa/Lagos]"));
    assert_eq!(next("2025-02-28T09:59:59Z"), told("2025-02-28"));
    assert_eq!(next("2025-02-28T10:00:00Z"), told("2025-03-31"));
    assert_eq!(incomplete().next_period(now()), None);
}

#[test]
fn nothing_is_due_before_the_period_ends() {
    let end = active().period().map(|period| period.end);
    assert_eq!(end, Some(instant("2025-02-28T10:00:00Z")));
    assert_eq!(active().due(instant("2025-02-28T09:59:59Z")), None);
    assert_eq!(active().due(now()), Some(Due::Payment));
}

#[test]
fn an_open_attempt_is_waited_for() {
    assert_eq!(charged(active()).due(Timestamp::MAX), None);
}

#[test]
fn paying_renews_by_exactly_one_period() {
    let renewed = told(charged(active()), paid(&attempt(1, 1)));
    assert_eq!(renewed.term().map(|term| term.index), Some(1));
    assert_eq!((renewed.open, renewed.attempts), (None, 0));
}

#[test]
fn a_late_payment_renews() {
    let (late, price) = (past_due(2), active().order.price.amount);
    assert_eq!(
        late.record(paid(&attempt(1, 1)), &[], now()),
        [Event::Renewed { payment: attempt(1, 1), paid: Some(price) }]
    );
}

#[test]
fn a_second_payment_for_one_period_is_owed_back() {
    let renewed = told(charged(active()), paid(&attempt(1, 1)));
    assert_eq!(renewed.record(paid(&attempt(1, 2)), &[], now()), [Event::RefundOwed { payment: attempt(1, 2) }]);
}

#[test]
fn a_payment_after_cancellation_is_owed_back() {
    let gone = active().apply(&canceled(CancelReason::Unpaid, now()));
    assert_eq!(gone.record(paid(&attempt(1, 1)), &[], now()), [Event::RefundOwed { payment: attempt(1, 1) }]);
}

#[test]
fn three_retries_then_grace_then_suspension() {
    let last = past_due(MOST_ATTEMPTS - 1);
    assert!(matches!(last.status, Status::PastDue { dunning: Dunning::Retry { .. }, .. }));
    let grace = past_due(MOST_ATTEMPTS);
    assert!(matches!(grace.status, Status::PastDue { dunning: Dunning::Grace { .. }, .. }));
    assert!(grace.is_live());
    assert_eq!(grace.due(Timestamp::MAX), Some(Due::Suspension));
}

#[test]
fn a_hard_decline_is_not_retried() {
    let hard = declined(active(), Remedy::NewMethod);
    assert!(matches!(hard.status, Status::PastDue { dunning: Dunning::Grace { .. }, .. }));
}

#[test]
fn without_a_method_nothing_is_charged_and_grace_begins() {
    let missed = told_with(active(), Fact::NoMethod, &[]);
    assert!(matches!(missed.status, Status::PastDue { dunning: Dunning::Grace { .. }, .. }));
    assert_eq!(missed.attempts, 0);
}

#[test]
fn another_method_is_charged_at_once_and_the_declined_one_rests() {
    let waiting = charged(active());
    let Some(payment) = waiting.open.clone() else { panic!("no attempt is open") };
    let missed = told_with(waiting, decline_of(payment, "AUTH_1", Remedy::RetryLater), &["AUTH_1", "AUTH_2"]);
    assert_eq!(missed.due(now()), Some(Due::Payment));
    let paid = told(missed, paid(&attempt(1, 1)));
    assert_eq!((paid.failures.len(), paid.due(now())), (0, None));
}

#[test]
fn a_method_left_in_grace_is_charged_at_once() {
    let grace = declined(active(), Remedy::NewMethod);
    assert_eq!(grace.due(now()), None);
    let back = told_with(grace, Fact::MethodAdded { method: None }, &["AUTH_2", "AUTH_1"]);
    assert_eq!(back.due(now()), Some(Due::Payment));
    let spent = told_with(past_due(MOST_ATTEMPTS), Fact::MethodAdded { method: None }, &["AUTH_2"]);
    assert!(matches!(spent.status, Status::PastDue { dunning: Dunning::Grace { .. }, .. }));
}

#[test]
fn a_method_that_is_left_anew_is_as_good_as_new_but_attempts_stay_counted() {
    for remedy in [Remedy::NewMethod, Remedy::AskCustomer] {
        let grace = declined(active(), remedy);
        let mended = Fact::MethodAdded { method: Some(method("AUTH_1").id()) };
        let back = told(grace, mended);
        assert_eq!((back.due(now()), back.failures.len()), (Some(Due::Payment), 1), "{remedy:?}");
    }
}

#[test]
fn who_left_another_method_is_not_charged_with_the_one_they_were_asked_about() {
    let asked = declined(active(), Remedy::AskCustomer);
    let mended = Fact::MethodAdded { method: Some(method("AUTH_2").id()) };
    let back = told_with(asked, mended, &["AUTH_2", "AUTH_1"]);
    assert_eq!(back.due(now()), Some(Due::Payment));
    let ready = |token| crate::dunning::ready_at(&method(token).id(), &back.failures, now());
    assert_eq!((ready("AUTH_1"), ready("AUTH_2")), (None, Some(now())));
}

#[test]
fn grace_that_was_interrupted_goes_on_where_it_was() {
    let grace = declined(active(), Remedy::NewMethod);
    let ends_at = grace.due_at();
    let back = told_with(grace, Fact::MethodAdded { method: None }, &["AUTH_2", "AUTH_1"]);
    let events = back.record(Fact::NoMethod, &[], now() + crate::dunning::days(2));
    let again = events.iter().fold(back, |state, event| state.apply(event));
    assert_eq!(again.due_at(), ends_at);
}

#[test]
fn a_page_for_what_is_owed_holds_back_charges_but_never_grace() {
    let open = |subscription: Subscription| subscription.recovery(page(Gateway::Paystack), now());
    let Ok((waiting, payment)) = open(past_due(1)) else { panic!("what is owed may be paid") };
    assert_eq!(waiting.due(Timestamp::MAX), None);
    assert!(waiting.welcomes(&payment.id) && !waiting.wants_payment(&attempt(2, 1)));
    let over = told(waiting.clone(), Fact::Abandoned { payment: payment.id.clone() });
    assert_eq!(over.due(Timestamp::MAX), Some(Due::Payment));
    assert!(matches!(told(waiting, paid(&payment.id)).status, Status::Active { .. }));

    let Ok((grace, _)) = open(past_due(4)) else { panic!("what is owed may be paid in grace") };
    assert_eq!(grace.due(Timestamp::MAX), Some(Due::Suspension));
}

#[test]
fn what_is_owed_is_paid_on_one_page_at_a_time_and_not_while_it_is_charged() {
    let open = |subscription: Subscription| subscription.recovery(page(Gateway::Paystack), now()).map(|(it, _)| it);
    assert_eq!(open(active()), Err(Refusal::NothingOwed));
    assert_eq!(open(incomplete()), Err(Refusal::NotActive));
    assert_eq!(open(active().apply(&canceled(CancelReason::Unpaid, now()))), Err(Refusal::Ended));
    assert_eq!(open(charged(past_due(1))), Err(Refusal::ChargeRunning));
    assert_eq!(open(past_due(1)).and_then(open), Err(Refusal::ChargeRunning));
    let later = now() + crate::dunning::days(1);
    assert!(matches!(past_due(1).recovery(page(Gateway::Paystack), later), Err(Refusal::ChargeRunning)));
}

#[test]
fn a_dispute_ends_it_with_the_period_unless_it_is_won() {
    let dispute = |payment| Fact::Disputed { payment };
    let disputed = told(active(), dispute(attempt(0, 1)));
    assert_eq!(disputed.due(now()), Some(Due::Cancellation(CancelReason::Disputed)));
    let won = told(disputed.clone(), Fact::DisputeWon { payment: attempt(0, 1) });
    assert_eq!(won.due(now()), Some(Due::Payment));
    let lost = told(disputed, Fact::DisputeLost { payment: attempt(0, 1) });
    assert!(matches!(lost.status, Status::Canceled { reason: CancelReason::Disputed, .. }));
    let owing = told(past_due(1), dispute(attempt(0, 1)));
    assert!(matches!(owing.status, Status::Canceled { reason: CancelReason::Disputed, .. }));
}

#[test]
fn a_dispute_before_the_first_period_is_remembered() {
    let disputed = told(incomplete(), Fact::Disputed { payment: attempt(0, 1) });
    let opened = told(disputed.clone(), paid(&attempt(0, 2)));
    assert_eq!(opened.due(Timestamp::MAX), Some(Due::Cancellation(CancelReason::Disputed)));
    let over = told(disputed, Fact::DisputeLost { payment: attempt(0, 1) });
    assert_eq!(told(over, paid(&attempt(0, 2))).due(Timestamp::MAX), Some(Due::Payment));
}

#[test]
fn one_dispute_of_two_that_is_won_leaves_the_other() {
    let both = [attempt(0, 1), attempt(0, 2)].map(|payment| Fact::Disputed { payment });
    let disputed = both.into_iter().fold(active(), told);
    let won = told(disputed, Fact::DisputeWon { payment: attempt(0, 2) });
    assert_eq!(won.due(now()), Some(Due::Cancellation(CancelReason::Disputed)));
}

#[test]
fn a_charge_that_is_declined_while_a_payment_is_disputed_is_the_last() {
    let disputed = told(charged(active()), Fact::Disputed { payment: attempt(0, 1) });
    let left = told(disputed, decline_of(attempt(1, 1), "AUTH_1", Remedy::RetryLater));
    assert!(matches!(left.status, Status::Canceled { reason: CancelReason::Disputed, .. }));
}

#[test]
fn a_dispute_about_an_earlier_subscription_leaves_this_one_alone() {
    let other = PaymentId { subscription: active().id.next(), period: 0, attempt: 1 };
    for fact in [Fact::Disputed { payment: other.clone() }, Fact::DisputeLost { payment: other }] {
        assert_eq!(active().record(fact, &[], now()), []);
    }
}

#[test]
fn renewing_keeps_a_scheduled_cancellation() {
    let leaving = charged(active()).apply(&Event::CancellationScheduled);
    let renewed = told(leaving, paid(&attempt(1, 1)));
    assert!(matches!(renewed.status, Status::Active { cancel_at_period_end: true, .. }));
    assert_eq!(renewed.due(Timestamp::MAX), Some(Due::Cancellation(CancelReason::Requested)));
}

#[test]
fn declined_while_leaving_is_left() {
    let leaving = charged(active()).apply(&Event::CancellationScheduled);
    let left = told(leaving, decline_of(attempt(1, 1), "AUTH_1", Remedy::RetryLater));
    assert!(matches!(left.status, Status::Canceled { reason: CancelReason::Requested, .. }));
}

#[test]
fn a_plan_that_does_not_recur_expires() {
    let mut once = active();
    once.order.price.recurring = false;
    assert_eq!(once.due(now()), Some(Due::Expiry));
    let over = once.apply(&Event::Expired { at: now() });
    assert_eq!(over.record(paid(&attempt(1, 1)), &[], now()), [Event::RefundOwed { payment: attempt(1, 1) }]);
}

#[test]
fn a_trial_ends_at_its_hour_and_what_follows_and_does_not_renew_with_its_day() {
    let mut order = order("estates-professional");
    order.price.recurring = false;
    let trial = Trial { start: now(), days: 14, kind: Kind::Free, until: None };
    let tried = incomplete().apply(&Event::TrialStarted { order: Box::new(order), trial });
    let ends = |it: &Subscription| it.period().map(|period| period.end.to_string()).unwrap_or_default();
    assert_eq!((ends(&tried), tried.end_date()), ("2025-03-14T10:00:00Z".into(), Some(date(2025, 3, 14))));
    let paid = told(charged(tried), paid(&attempt(1, 1)));
    assert_eq!((ends(&paid), paid.end_date()), ("2025-04-15T00:00:00Z".into(), Some(date(2025, 4, 14))));
    assert_eq!(paid.due(instant("2025-04-14T23:59:59Z")), None);
    assert_eq!(paid.due(instant("2025-04-15T00:00:00Z")), Some(Due::Expiry));
}

#[test]
fn who_leaves_within_a_period_has_left_that_day_and_who_leaves_after_it_with_its_end() {
    let left = |day: &str| {
        let at = instant(&format!("{day}T10:00:00Z"));
        let left = active().apply(&Event::Canceled { at, reason: CancelReason::Requested });
        (left.ended_at() == Some(at)).then(|| left.end_date()).flatten()
    };
    assert_eq!((active().ended_at(), active().end_date()), (None, Some(date(2025, 2, 28))));
    assert_eq!([left("2025-02-14"), left("2025-03-03")], [Some(date(2025, 2, 14)), Some(date(2025, 2, 28))]);
}

#[test]
fn the_first_checkout_paid_opens_what_it_was_for() {
    let (first, _) = checkout(incomplete());
    let other = Order { quantity: 1, ..order("estates-enterprise") };
    let again = Subscription::ordering(Some(&first), &customer(), other, now());
    let Ok((second, _)) = again.map(checkout) else { panic!("an unpaid order may be replaced") };
    let order = Box::new(order("estates-professional"));
    let opened =
        told(second.clone(), Fact::Paid { payment: attempt(0, 1), amount: order.price.amount, order: Some(order) });
    assert_eq!(opened.order.plan.id.as_str(), "estates-professional");
    assert_eq!(opened.record(paid(&attempt(0, 2)), &[], now()), [Event::RefundOwed { payment: attempt(0, 2) }]);
}

fn checkout(subscription: Subscription) -> (Subscription, Payment) {
    subscription.checkout(page(Gateway::Paystack), now()).unwrap_or_else(|refusal| panic!("{refusal}"))
}

#[test]
fn only_the_newest_checkout_ends_the_order() {
    let (first, _) = checkout(incomplete());
    let (second, newest) = checkout(first);
    assert_eq!(second.record(Fact::Abandoned { payment: attempt(0, 1) }, &[], now()), []);
    let gone = told(second, Fact::Abandoned { payment: newest.id.clone() });
    assert!(matches!(gone.status, Status::Expired { term: None, .. }));
    // Someone paid all the same: they get what they paid for.
    assert!(matches!(told(gone, paid(&newest.id)).status, Status::Active { .. }));
}

#[test]
fn a_live_subscription_is_not_bought_twice_and_an_old_one_is_followed_by_the_next() {
    let order = order("estates-professional");
    for live in [active(), past_due(1)] {
        let again = Subscription::ordering(Some(&live), &customer(), order.clone(), now());
        assert_eq!(again, Err(Refusal::AlreadySubscribed));
    }
    let gone = active().apply(&canceled(CancelReason::Requested, now()));
    let next = Subscription::ordering(Some(&gone), &customer(), order, now());
    assert_eq!(next.map(|it| (it.id.number, it.attempts)), Ok((2, 0)));
}

#[test]
fn a_customers_clock_is_named_before_they_begin_and_goes_with_them_to_the_next() {
    let (lagos, tbilisi) = (zone("Africa/Lagos"), zone("Asia/Tbilisi"));
    let ordered = incomplete().in_zone(Some(&tbilisi)).in_zone(Some(&lagos)).in_zone(None);
    assert_eq!((&ordered.time_zone, &incomplete().in_zone(None).time_zone), (&lagos, &Zone::UTC));
    let again = Subscription::ordering(Some(&ordered), &customer(), order("estates-starter"), now());
    assert_eq!(again.map(|it| it.time_zone), Ok(lagos.clone()));

    let live = Subscription { time_zone: lagos.clone(), ..active() };
    assert_eq!(live.clone().in_zone(Some(&tbilisi)), live, "what runs is counted as it was");
    let gone = live.apply(&canceled(CancelReason::Requested, now()));
    let next = Subscription::ordering(Some(&gone), &customer(), order("estates-starter"), now());
    let Ok(next) = next else { panic!("who has left may come again") };
    assert_eq!((&next.time_zone, &next.clone().in_zone(Some(&tbilisi)).time_zone), (&lagos, &tbilisi));
}

#[test]
fn a_subscription_in_utc_is_stored_as_it_was_before_there_were_zones() {
    let written = |it: &Subscription| serde_json::to_value(it).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(written(&active()).get("time_zone"), None);
    let read = serde_json::from_value::<Subscription>(written(&active()));
    assert_eq!(read.ok(), Some(active()));
    let there = Subscription { time_zone: zone("Pacific/Apia"), ..active() };
    assert_eq!(written(&there)["time_zone"], "Pacific/Apia");
    assert_eq!(serde_json::from_value::<Subscription>(written(&there)).ok(), Some(there));
}

#[test]
fn a_payment_for_an_earlier_subscription_opens_no_other_one() {
    let gone = active().apply(&canceled(CancelReason::Requested, now()));
    let next = Subscription::ordering(Some(&gone), &customer(), order("estates-professional"), now());
    let events = next.map(|next| next.record(paid(&attempt(1, 1)), &[], now()));
    assert_eq!(events, Ok(vec![Event::RefundOwed { payment: attempt(1, 1) }]));
}

#[test]
fn seats_are_paid_each_and_flat_plans_once() {
    let seats = Order { quantity: 4, ..order("crm-professional") };
    assert_eq!(seats.amount().map(|it| it.minor), Ok(6_000));
    let flat = Order { quantity: 4, ..order("crm-basic") };
    assert_eq!(flat.amount(), Err(Refusal::QuantityNotOne));
    let many = Order { quantity: u32::MAX, ..order("crm-professional") };
    assert!(many.amount().is_ok());
}

#[test]
fn every_state_answers_every_command_and_repeating_one_changes_nothing() {
    let gone = active().apply(&canceled(CancelReason::Requested, now()));
    let over = active().apply(&Event::Expired { at: now() });
    for state in [incomplete(), active(), charged(active()), past_due(1), past_due(4), gone, over] {
        for command in [Command::CancelAtPeriodEnd, Command::CancelNow, Command::Resume] {
            let Ok(events) = state.decide(command, now()) else { continue };
            let next = events.iter().fold(state.clone(), |state, event| state.apply(event));
            assert_eq!(next.decide(command, now()), Ok(vec![]), "{:?} {command:?}", state.status);
        }
    }
}
