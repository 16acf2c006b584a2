use super::*;
use crate::catalog::{Limit, Plan};
use crate::subscription::CancelReason;
use crate::testing::{active, family, instant, meter, order, plan, zone};
use crate::trial::{Kind, Trial};

fn paid_until() -> Timestamp {
    instant("2025-02-28T10:00:00Z")
}

/// The sample customer can be written to.
fn reached() -> Subscription {
    let contact = Contact { email: "ada@acme.example".to_owned(), gateway: Gateway::Paystack, return_url: None };
    Subscription { contact: Some(contact), ..active() }
}

/// What `events` make of it, and the mail that they make necessary.
fn mailed(subscription: Subscription, events: &[Event], now: Timestamp) -> (Subscription, Mail) {
    let after = events.iter().fold(subscription, |it, event| it.apply(event));
    let mail = Mail::due_to(&after, events, now).unwrap_or_else(|| panic!("{events:?} needs a mail"));
    (after, mail)
}

fn in_grace() -> (Subscription, Mail) {
    let dunning = Dunning::Grace { ends_at: after(paid_until(), days(3)) };
    mailed(reached(), &[Event::PaymentMissed { failure: None, dunning }], paid_until())
}

fn suspended() -> (Subscription, Mail) {
    let (at, until) = (after(paid_until(), days(3)), after(paid_until(), days(33)));
    mailed(in_grace().0, &[Event::Suspended { at, until }], at)
}

fn on_trial() -> (Subscription, Mail) {
    let start = instant("2025-01-31T10:00:00Z");
    let trial = Trial { start, days: 14, kind: Kind::Free, until: None };
    let started = Event::TrialStarted { order: Box::new(reached().order), trial };
    let tried = reached().apply(&started);
    mailed(tried, &[Event::TrialEnding { has_method: true }], after(start, days(11)))
}

fn announced(version: u32) -> Event {
    let mut dearer = plan("estates-professional");
    dearer.version = version;
    dearer.prices.iter_mut().for_each(|price| price.amount.minor *= 2);
    let notice_days = 30.try_into().unwrap_or_else(|_| panic!("thirty days"));
    Event::PriceChangeAnnounced { plan: Box::new(Plan { tier: 9, ..dearer }), notice_days }
}

fn repriced() -> (Subscription, Mail) {
    mailed(reached(), &[announced(2)], instant("2025-02-01T10:00:00Z"))
}

/// The same customer's next one, which is like it in all else.
fn next(it: &Subscription) -> Subscription {
    Subscription { id: it.id.next(), ..it.clone() }
}

/// The same in its second period.
fn renewed(it: &Subscription) -> Subscription {
    let mut renewed = it.clone();
    if let Status::PastDue { term, .. } | Status::Active { term, .. } = &mut renewed.status {
        term.index += 1;
    }
    renewed
}

/// Whether `mail` is of use to whoever has `it`, a second after it became necessary.
fn wanted(mail: &Mail, it: &Subscription) -> bool {
    mail.is_wanted(Some(it), after(mail.created_at, SignedDuration::from_secs(1)))
}

#[test]
fn what_a_mail_says_is_said_until_it_holds_no_more() {
    for (it, mail) in [in_grace(), suspended(), on_trial(), repriced()] {
        let ends = mail.about.holds_until();
        let before = after(ends, SignedDuration::from_secs(-1));
        assert!(mail.is_wanted(Some(&it), mail.created_at), "{:?}", mail.about);
        assert_eq!([before, ends].map(|at| mail.is_wanted(Some(&it), at)), [true, false], "{:?}", mail.about);
        assert!(!mail.is_wanted(None, mail.created_at), "{:?}", mail.about);
        assert!(!wanted(&mail, &next(&it)), "of another subscription: {:?}", mail.about);
        let ended = it.apply(&Event::Canceled { at: mail.created_at, reason: CancelReason::Unpaid });
        assert!(!wanted(&mail, &ended), "{:?}", mail.about);
    }
}

#[test]
fn who_is_told_that_they_must_pay_owes_that_period_still() {
    let (it, mail) = in_grace();
    assert!(!wanted(&mail, &renewed(&it)), "that was paid, and another is owed");
    assert!(!wanted(&mail, &it.clone().apply(&Event::RetryScheduled { at: paid_until(), mended: None })));
    assert!(!wanted(&mail, &suspended().0), "by then they are told that");
    let (suspended, mail) = suspended();
    assert!(!wanted(&mail, &renewed(&suspended)), "that was paid, and another is owed");
    assert!(!wanted(&mail, &it), "nobody has suspended it");
    let active = Subscription { status: reached().status, ..suspended.clone() };
    assert!(!wanted(&mail, &active), "it is paid");
    let moved = Subscription { suspended_until: None, ..suspended };
    assert!(!wanted(&mail, &moved), "it is served");
}

#[test]
fn who_is_told_of_a_trials_end_is_on_it_until_that_very_end() {
    let (it, mail) = on_trial();
    assert!(!wanted(&mail, &it.clone().apply(&Event::CancellationScheduled)));
    let end = after(mail.about.holds_until(), days(1));
    let at = mail.created_at;
    assert!(!wanted(&mail, &it.clone().apply(&Event::EndMoved { at, end })), "they are told of the new one");
    assert!(!wanted(&mail, &Subscription { trial: None, ..it }), "it is paid for, to that same end");
}

#[test]
fn who_is_told_of_a_price_is_to_be_told_of_that_one() {
    let (it, mail) = repriced();
    let from = instant("2025-03-31T10:00:00Z");
    for other in [announced(3), Event::PriceChangeRevoked, Event::PriceChangeTold { from }] {
        assert!(!wanted(&mail, &it.clone().apply(&other)), "{other:?}");
    }
}

#[test]
fn a_price_that_is_told_late_is_told_as_it_stands_and_tried_for_no_longer() {
    let (it, mail) = repriced();
    let told = |about: &About| {
        let About::PriceChange(about) = about else { panic!("{about:?}") };
        (about.changes_at, about.told_by)
    };
    let at = |date: &str| instant(&format!("2025-{date}T10:00:00Z"));
    assert_eq!(told(&mail.about), (at("03-31"), at("02-15")));
    assert_eq!(told(&mail.about.clone().at(&it, at("02-14"))), (at("03-31"), at("02-15")));
    let there = Subscription { time_zone: zone("Asia/Tbilisi"), ..it.clone() };
    assert_eq!(told(&mail.about.clone().at(&there, at("02-01"))).1, at("02-15"));
    // Whoever has nothing more to be told of it is told what was written.
    assert_eq!(mail.about.clone().at(&it.apply(&Event::PriceChangeRevoked), at("02-14")), mail.about);
}

#[test]
fn a_mail_is_kept_for_sixty_days_and_as_long_as_what_it_says_holds() {
    let (_, mail) = in_grace();
    let (_, suspended) = suspended();
    let now = mail.created_at;
    assert_eq!(mail.expires_at(), None, "it is to be sent");
    for done in [mail.clone().sent(now), mail.dropped(Dropped::Overtaken, now)] {
        assert_eq!(done.expires_at(), Some(after(now, days(60))));
    }
    let long_before = after(suspended.about.holds_until(), -days(90));
    assert_eq!(suspended.clone().sent(long_before).expires_at(), Some(suspended.about.holds_until()));
}

#[test]
fn a_mail_that_nobody_takes_is_too_late_when_it_says_nothing_of_use_any_more() {
    let (_, mail) = in_grace();
    let ends = mail.about.holds_until();
    let tried = mail.clone().delayed(mail.created_at);
    let before = after(ends, SignedDuration::from_secs(-1));
    assert_eq!([before, ends].map(|at| tried.is_too_late(at)), [false, true]);
    assert!(!mail.is_too_late(ends), "nobody has tried");
    assert!(!tried.sent(before).is_too_late(ends));
}

/// Three thousand minutes are included, and more than that is sold.
fn beyond() -> (Subscription, Mail) {
    let mut it = Subscription { order: order("minutes-pro"), ..reached() };
    let currency = it.order.price.amount.currency;
    let price =
        format!(r#"{{"per": 1, "tiers": [{{"up_to": null, "amount": {{"minor": 5, "currency": "{currency}"}}}}]}}"#);
    let price = serde_json::from_str(&price).unwrap_or_else(|error| panic!("{error}"));
    it.order.plan.overage = [(meter("minutes"), vec![price])].into();
    let now = instant("2025-02-10T10:00:00Z");
    let minutes = family("minutes").meters.into_iter().find(|it| it.id == meter("minutes"));
    let minutes = minutes.unwrap_or_else(|| panic!("there is such a meter"));
    let passed = Passed::by(&it.order, &minutes, 3_000, 3_001).unwrap_or_else(|| panic!("it is passed"));
    assert_eq!(Passed::by(&it.order, &minutes, 3_001, 3_002), None, "it was passed before");
    let notice = OverageNotice::of(&it, &it.counting(now), vec![passed], now).unwrap_or_else(|| panic!("it goes on"));
    let id = MailId::of_meter(&it.customer, &minutes.id, 1);
    let to = it.contact.clone().unwrap_or_else(|| panic!("they can be written to"));
    let mail = Mail::due(id, &it, to, About::Overage(notice), now);
    (it, mail)
}

#[test]
fn who_is_told_that_more_is_charged_for_is_told_while_it_is_and_at_that_price() {
    let (it, mail) = beyond();
    assert!(wanted(&mail, &it));
    let with = |change: fn(&mut Subscription)| {
        let mut other = it.clone();
        change(&mut other);
        other
    };
    let others = [
        with(|it| _ = it.order.plan.limits.insert(meter("minutes"), Limit::AtMost(3_001))),
        with(|it| _ = it.order.plan.limits.insert(meter("minutes"), Limit::Unlimited)),
        with(|it| it.order.plan.overage.clear()),
        with(|it| it.order.price.recurring = false),
        renewed(&it),
        next(&it),
        it.clone().apply(&Event::Paused { at: mail.created_at }),
    ];
    for (number, other) in others.iter().enumerate() {
        assert!(!wanted(&mail, other), "{number}");
    }
}
