//! What a customer is allowed, and how much of it is used.

use crate::catalog::{Limit, Overage};
use crate::id::{FeatureId, MeterId};
use crate::order::Order;
use crate::subscription::{CancelReason, Status, Subscription};
use jiff::Timestamp;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// Levels and counts by meter. What was never reported is zero.
pub type Usage = BTreeMap<MeterId, u64>;

/// How one meter stands against its limit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Standing {
    pub meter: MeterId,
    pub used: u64,
    /// What of it is held for uses to come.
    #[serde(skip_serializing_if = "is_nothing")]
    pub reserved: u64,
    /// `null`: unlimited, and then nothing remains to be told either.
    pub limit: Limit,
    /// Neither used nor reserved.
    pub remaining: Option<u64>,
    /// Of what is used. Tenths of a per cent, rounded half up: 50 is 5.0 %.
    #[serde(skip)]
    pub per_mille: Option<u64>,
    /// What is beyond the limit and charged for, where that is so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overage: Option<Overage>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_nothing(reserved: &u64) -> bool {
    *reserved == 0
}

/// `used` and `reserved` against what `order` allows of `meter`: nothing, if it says nothing of it.
pub(crate) fn standing_of(order: &Order, meter: &MeterId, used: u64, reserved: u64) -> Standing {
    against(order, order.limits().get(meter).copied().unwrap_or(Limit::AtMost(0)), meter, used, reserved)
}

/// `used` and `reserved` against what `order` allows of `meter`, if it limits the meter at all.
pub fn standing(order: &Order, meter: &MeterId, used: u64, reserved: u64) -> Option<Standing> {
    order.limits().get(meter).map(|limit| against(order, *limit, meter, used, reserved))
}

/// The same of all that its plan limits, as it is at `now`.
pub fn standings(it: &Subscription, usage: &Usage, reserved: &Usage, now: Timestamp) -> Vec<Standing> {
    let period = it.counting(now);
    let of =
        |meter: MeterId| standing_of(&it.terms(&meter, &period), &meter, used(usage, &meter), used(reserved, &meter));
    it.order.limits().into_keys().map(of).collect()
}

fn against(order: &Order, limit: Limit, meter: &MeterId, used: u64, reserved: u64) -> Standing {
    let (remaining, per_mille) = match limit {
        Limit::Unlimited => (None, None),
        Limit::AtMost(most) => (Some(most.saturating_sub(used).saturating_sub(reserved)), Some(per_mille(used, most))),
    };
    let overage = order.overage(meter, used);
    Standing { meter: meter.clone(), used, reserved, limit, remaining, per_mille, overage }
}

/// Whether something may be used: a feature, what a meter counts, or both where they have one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entitlement {
    /// Why it may not. None: it may.
    pub reason: Option<Reason>,
    /// Where it is metered.
    pub standing: Option<Standing>,
}

/// Why something may not be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// There is none, it was never paid, or it has ended.
    NoSubscription,
    /// It is paused, what is owed was not paid within grace, or it has ended because nobody paid, or a payment was charged
    /// back.
    Suspended,
    NotInPlan,
    /// The plan brings tokens, and none are left.
    OutOfTokens,
    LimitReached,
}

/// Whether `name` may be used at `now`. What no plan has is in none: whoever asks is let through by nothing but an answer.
pub fn entitlement(
    subscription: Option<&Subscription>,
    name: &FeatureId,
    usage: &Usage,
    reserved: &Usage,
    tokens: u64,
    now: Timestamp,
) -> Entitlement {
    let Some(it) = subscription else {
        return Entitlement { reason: Some(Reason::NoSubscription), standing: None };
    };
    let meter = MeterId::from(name.clone());
    let period = it.counting(now);
    let most = || it.most(&meter, &period);
    let standing = it
        .order
        .limits()
        .contains_key(&meter)
        .then(|| standing_of(&it.terms(&meter, &period), &meter, used(usage, &meter), used(reserved, &meter)));
    let feature = it.order.features().get(name).copied();
    let reason = unserved(it, now).or(match (feature, &standing) {
        (Some(false), _) | (None, None) => Some(Reason::NotInPlan),
        (_, Some(Standing { limit: Limit::AtMost(0), .. })) if most() == 0 => Some(Reason::NotInPlan),
        _ if is_out_of_tokens(it, tokens) => Some(Reason::OutOfTokens),
        (_, Some(Standing { remaining: Some(0), used, reserved, .. })) if used.saturating_add(*reserved) >= most() => {
            Some(Reason::LimitReached)
        }
        (Some(true), None) | (Some(true) | None, Some(_)) => None,
    });
    Entitlement { reason, standing }
}

/// The same of every feature and meter of the family.
pub fn entitlements(
    subscription: &Subscription,
    usage: &Usage,
    reserved: &Usage,
    tokens: u64,
    now: Timestamp,
) -> BTreeMap<FeatureId, Entitlement> {
    let order = &subscription.order;
    let features = order.features().into_keys();
    let names: BTreeSet<FeatureId> = features.chain(order.limits().into_keys().map(FeatureId::from)).collect();
    let entitled = |name: FeatureId| {
        let entitlement = entitlement(Some(subscription), &name, usage, reserved, tokens, now);
        (name, entitlement)
    };
    names.into_iter().map(entitled).collect()
}

/// Why nothing of it may be used at `now`, if that is so. What is agreed to end ends then, and access ends when grace does
/// (PRODUCT 9), whether or not somebody has got round to it, until it is paid for. A renewal that is late is no fault of
/// the customer's.
pub fn unserved(it: &Subscription, now: Timestamp) -> Option<Reason> {
    match &it.status {
        Status::PastDue { .. } if it.unserved_since(now).is_some() => Some(Reason::Suspended),
        Status::Active { .. } if it.has_ended(now) => Some(Reason::NoSubscription),
        Status::Active { .. } if it.pausing && it.is_over(now) => Some(Reason::Suspended),
        Status::Active { .. } | Status::PastDue { .. } => None,
        Status::Paused { .. } | Status::Canceled { reason: CancelReason::Unpaid | CancelReason::Disputed, .. } => {
            Some(Reason::Suspended)
        }
        Status::Incomplete | Status::Canceled { reason: CancelReason::Requested, .. } | Status::Expired { .. } => {
            Some(Reason::NoSubscription)
        }
    }
}

/// Whether its plan brings tokens and none are left: then nothing of the plan may be used until more come (PRODUCT 11). In a
/// trial none have come yet, nor in the grace after it, and the rest of the plan is tried out.
pub fn is_out_of_tokens(it: &Subscription, tokens: u64) -> bool {
    it.order.plan.tokens_included.is_some() && tokens == 0 && !it.is_tried()
}

/// When the clock may next take something of it away: with the period that is paid for, or with grace. Not before then, as
/// long as nobody does anything; None: not by itself. What was over before `now` takes nothing away any more.
pub(crate) fn holds_until(it: &Subscription, now: Timestamp) -> Option<Timestamp> {
    let until = match &it.status {
        Status::Active { .. } => it.period().map(|period| period.end),
        Status::PastDue { .. } => it.grace_ends_at,
        Status::Incomplete | Status::Paused { .. } | Status::Canceled { .. } | Status::Expired { .. } => None,
    };
    until.filter(|until| *until > now)
}

pub(crate) fn used(usage: &Usage, meter: &MeterId) -> u64 {
    usage.get(meter).copied().unwrap_or(0)
}

/// A limit of nothing is used up by anything, and not by nothing.
pub(crate) fn per_mille(used: u64, limit: u64) -> u64 {
    match (used, u128::from(limit)) {
        (0, 0) => 0,
        (_, 0) => 1_000,
        (used, limit) => u64::try_from((u128::from(used) * 1_000 + limit / 2) / limit).unwrap_or(u64::MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::tests::documented;
    use crate::dunning::Dunning;
    use crate::subscription::Event;
    use crate::testing::{active, incomplete, instant, meter, order};
    use crate::trial::{Kind, Trial};
    use std::num::NonZeroU32;

    #[test]
    fn what_addons_bring_is_allowed_too() {
        let plan = documented();
        let held =
            Order { price: plan.prices[0].clone(), plan: plan.clone(), quantity: 1, addons: vec![], discount: None };
        let held = plan.addons.iter().try_fold(held, |held, addon| held.with_addon(&addon.id, Some(NonZeroU32::MIN)));
        let held = held.unwrap_or_else(|error| panic!("{error}"));
        // 50 gigabytes, and 50 more.
        let stored =
            |used| standing(&held, &meter("storage"), used, 0).map(|it| (it.limit, it.remaining, it.per_mille));
        assert_eq!(stored(80), Some((Limit::AtMost(100), Some(20), Some(800))));
        let usage: Usage = [(meter("storage"), 80)].into();
        let it = Subscription { order: held, ..active() };
        let all = standings(&it, &usage, &Usage::new(), instant("2025-02-01T10:00:00Z"));
        assert_eq!(all.first().and_then(|it| it.remaining), Some(20));
    }

    #[test]
    fn a_percentage_is_rounded_half_up_to_the_tenth_and_of_nothing_it_is_all() {
        let cases = [
            (0, 3_000, 0),
            (1, 3_000, 0),
            (2, 3_000, 1),
            (150, 3_000, 50),
            (3_001, 3_000, 1_000),
            (1, 2_000, 1),
            (1, 2_001, 0),
            (1, 3, 333),
            (2, 3, 667),
            (0, 0, 0),
            (1, 0, 1_000),
            (u64::MAX, 1, u64::MAX),
        ];
        for (used, limit, expected) in cases {
            assert_eq!(per_mille(used, limit), expected, "{used} of {limit}");
        }
    }

    fn named(name: &str) -> FeatureId {
        FeatureId::try_from(name.to_owned()).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Why the sample customer may not use `name` at ten o'clock on 1 March.
    fn reason(subscription: &Subscription, name: &str, used: u64) -> Option<Reason> {
        let usage: Usage = [(meter(name), used)].into();
        let now = instant("2025-03-01T10:00:00Z");
        entitlement(Some(subscription), &named(name), &usage, &Usage::new(), 0, now).reason
    }

    #[test]
    fn a_feature_is_on_if_the_plan_has_it_and_what_is_metered_until_it_is_used_up() {
        let pro = Subscription { order: order("minutes-pro"), ..active() };
        let cases = [
            ("analytics", 0, None),
            ("api_access", 0, Some(Reason::NotInPlan)),
            ("fax", 0, Some(Reason::NotInPlan)),
            ("minutes", 2_999, None),
            ("minutes", 3_000, Some(Reason::LimitReached)),
            ("minutes", 3_001, Some(Reason::LimitReached)),
        ];
        for (name, used, expected) in cases {
            assert_eq!(reason(&pro, name, used), expected, "{name} {used}");
        }
        let unlimited = Subscription { order: order("estates-enterprise"), ..active() };
        assert_eq!(reason(&unlimited, "estates", u64::MAX), None);
        let mut none = pro.clone();
        none.order.plan.limits.insert(meter("minutes"), Limit::AtMost(0));
        assert_eq!(reason(&none, "minutes", 0), Some(Reason::NotInPlan));
        // Where each is sold, that none is included keeps nobody from it.
        let price = r#"{"per": 1, "tiers": [{"up_to": null, "amount": {"minor": 5, "currency": "USD"}}]}"#;
        let price = serde_json::from_str(price).unwrap_or_else(|error| panic!("{error}"));
        none.order.plan.overage = [(meter("minutes"), vec![price])].into();
        assert_eq!([reason(&none, "minutes", 0), reason(&none, "minutes", 7)], [None, None]);
    }

    #[test]
    fn a_feature_and_a_meter_of_one_name_are_both_asked() {
        let mut both = Subscription { order: order("minutes-pro"), ..active() };
        both.order.plan.features.insert(named("minutes"), false);
        assert_eq!(reason(&both, "minutes", 0), Some(Reason::NotInPlan));
        both.order.plan.features.insert(named("minutes"), true);
        assert_eq!([reason(&both, "minutes", 0), reason(&both, "minutes", 3_000)], [None, Some(Reason::LimitReached)]);
    }

    #[test]
    fn who_is_not_served_is_told_why() {
        let paid = Subscription { order: order("minutes-pro"), ..active() };
        let (before, now) = (instant("2025-03-01T09:59:59Z"), instant("2025-03-01T10:00:00Z"));
        let after = |event: Event| paid.clone().apply(&event);
        let owing = |ends_at| after(Event::PaymentMissed { failure: None, dunning: Dunning::Grace { ends_at } });
        let canceled = |reason| after(Event::Canceled { at: before, reason });
        let cases = [
            (paid.clone(), None),
            // Whoever is late with the renewal, it is not the customer.
            (owing(instant("2025-03-01T10:00:01Z")), None),
            (owing(now), Some(Reason::Suspended)),
            // Nor while it is tried again afterwards, or by a clock that is behind whoever suspended it.
            (owing(now).apply(&Event::RetryScheduled { at: now, mended: None }), Some(Reason::Suspended)),
            (
                owing(instant("2025-03-01T10:00:01Z")).apply(&Event::Suspended { at: now, until: Timestamp::MAX }),
                Some(Reason::Suspended),
            ),
            (after(Event::Paused { at: before }), Some(Reason::Suspended)),
            (canceled(CancelReason::Unpaid), Some(Reason::Suspended)),
            (canceled(CancelReason::Disputed), Some(Reason::Suspended)),
            (canceled(CancelReason::Requested), Some(Reason::NoSubscription)),
            (after(Event::Expired { at: before }), Some(Reason::NoSubscription)),
            (incomplete(), Some(Reason::NoSubscription)),
        ];
        for (subscription, expected) in cases {
            assert_eq!(reason(&subscription, "analytics", 0), expected, "{:?}", subscription.status);
            let all = entitlements(&subscription, &Usage::new(), &Usage::new(), 0, now);
            assert!(all.values().all(|it| expected.is_none() || it.reason == expected), "{:?}", subscription.status);
        }
        // What is agreed to end at ten ends at ten, whoever is late.
        let leaving = after(Event::CancellationScheduled);
        let ends = paid.period().map_or(now, |period| period.end);
        let at = |subscription: &Subscription, seconds| {
            let then = Timestamp::from_second(ends.as_second() + seconds).unwrap_or(ends);
            unserved(subscription, then)
        };
        assert_eq!([at(&leaving, -1), at(&leaving, 0)], [None, Some(Reason::NoSubscription)]);
        let pausing = after(Event::PauseScheduled);
        assert_eq!([at(&pausing, -1), at(&pausing, 0)], [None, Some(Reason::Suspended)]);
        let mut once = paid.clone();
        once.order.price.recurring = false;
        assert_eq!([at(&once, -1), at(&once, 0)], [None, Some(Reason::NoSubscription)]);
        assert_eq!(at(&paid, 86_400), None);
        let nobody = entitlement(None, &named("analytics"), &Usage::new(), &Usage::new(), 0, now);
        assert_eq!(nobody, Entitlement { reason: Some(Reason::NoSubscription), standing: None });
    }

    #[test]
    fn a_plan_that_brings_tokens_gives_nothing_while_there_are_none() {
        let now = instant("2025-03-01T10:00:00Z");
        let flat = Subscription { order: order("minutes-pro"), ..active() };
        let mut prepaid = flat.clone();
        prepaid.order.plan.tokens_included = Some(1_000);
        let trial = Trial { start: now, days: 14, kind: Kind::Free, until: None };
        let tried = Subscription { trial: Some(trial), ..prepaid.clone() };
        let paused = prepaid.clone().apply(&Event::Paused { at: now });
        let dunning = Dunning::Grace { ends_at: instant("2025-03-04T10:00:00Z") };
        let owing = tried.clone().apply(&Event::PaymentMissed { failure: None, dunning });
        let out = Some(Reason::OutOfTokens);
        let not = Some(Reason::NotInPlan);
        let cases = [
            ("without tokens in the plan", &flat, 0, [None, not, None, Some(Reason::LimitReached)]),
            ("with one left", &prepaid, 1, [None, not, None, Some(Reason::LimitReached)]),
            // What the plan has not, more tokens would not bring.
            ("with none left", &prepaid, 0, [out, not, out, out]),
            ("in a trial none have come yet", &tried, 0, [None, not, None, Some(Reason::LimitReached)]),
            ("nor in the grace after it", &owing, 0, [None, not, None, Some(Reason::LimitReached)]),
            ("paused it is that first", &paused, 0, [Some(Reason::Suspended); 4]),
        ];
        let usage: Usage = [(meter("agents"), 5), (meter("minutes"), 2_999)].into();
        for (case, subscription, tokens, expected) in cases {
            let all = entitlements(subscription, &usage, &Usage::new(), tokens, now);
            let reasons = ["analytics", "api_access", "minutes", "agents"].map(|name| {
                let alone = entitlement(Some(subscription), &named(name), &usage, &Usage::new(), tokens, now);
                assert_eq!(all.get(&named(name)), Some(&alone), "{case}: {name}");
                alone.reason
            });
            assert_eq!(reasons, expected, "{case}");
        }
        let all = entitlements(&prepaid, &usage, &Usage::new(), 0, now);
        let minutes = all.get(&named("minutes")).and_then(|it| it.standing.as_ref());
        assert_eq!(minutes.and_then(|it| it.remaining), Some(1), "how much of it is used is told all the same");
    }

    #[test]
    fn until_then_the_clock_takes_nothing_away_and_then_it_does() {
        let now = instant("2025-02-10T10:00:00Z");
        let paid = Subscription { order: order("minutes-pro"), ..active() };
        let ends = paid.period().map(|period| period.end);
        let after = |event: Event| paid.clone().apply(&event);
        let in_grace = |ends_at| after(Event::PaymentMissed { failure: None, dunning: Dunning::Grace { ends_at } });
        let grace_ends = instant("2025-03-03T10:00:00Z");
        let mut once = paid.clone();
        once.order.price.recurring = false;
        let takes = [
            (after(Event::CancellationScheduled), ends),
            (after(Event::PauseScheduled), ends),
            (once, ends),
            (in_grace(grace_ends), Some(grace_ends)),
            (in_grace(grace_ends).apply(&Event::RetryScheduled { at: now, mended: None }), Some(grace_ends)),
        ];
        for (it, until) in takes {
            assert_eq!(holds_until(&it, now), until, "{:?}", it.status);
            let until = until.unwrap_or_else(|| panic!("{:?}", it.status));
            let before = Timestamp::from_second(until.as_second() - 1).unwrap_or(now);
            assert_eq!((unserved(&it, before), unserved(&it, until).is_some()), (None, true), "{:?}", it.status);
            assert_eq!(holds_until(&it, until), None);
        }
        // What renews may be of another plan then.
        assert_eq!(holds_until(&paid, now), ends);
        let retried = after(Event::PaymentMissed { failure: None, dunning: Dunning::Retry { at: grace_ends } });
        for it in [retried, after(Event::Paused { at: now }), incomplete()] {
            assert_eq!(holds_until(&it, now), None, "{:?}", it.status);
        }
    }

    #[test]
    fn every_feature_and_every_meter_is_told_of() {
        let pro = Subscription { order: order("minutes-pro"), ..active() };
        let usage: Usage = [(meter("minutes"), 150)].into();
        let all = entitlements(&pro, &usage, &Usage::new(), 0, instant("2025-03-01T10:00:00Z"));
        let told: Vec<(&str, bool, Option<u64>)> = all
            .iter()
            .map(|(name, it)| (name.as_str(), it.reason.is_none(), it.standing.as_ref().and_then(|it| it.remaining)))
            .collect();
        let expected = [
            ("agents", true, Some(5)),
            ("analytics", true, None),
            ("api_access", false, None),
            ("minutes", true, Some(2_850)),
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn what_is_held_is_told_of_where_something_is() {
        let starter = order("estates-starter");
        let told = |reserved| {
            let standing = standing(&starter, &meter("estates"), 20, reserved);
            serde_json::to_value(standing).unwrap_or_else(|error| panic!("{error}")).get("reserved").cloned()
        };
        assert_eq!([told(0), told(1)], [None, Some(1.into())]);
    }

    #[test]
    fn what_remains_is_never_below_zero() {
        let starter = order("estates-starter");
        let over = standing(&starter, &meter("estates"), 26, 0);
        assert_eq!(over.as_ref().map(|it| (it.remaining, it.per_mille)), Some((Some(0), Some(1_040))));
        assert_eq!(standing(&starter, &meter("minutes"), 1, 0), None);
        let held = |used, reserved| standing(&starter, &meter("estates"), used, reserved).map(|it| it.remaining);
        assert_eq!([held(20, 4), held(20, 5), held(20, 6)], [Some(Some(1)), Some(Some(0)), Some(Some(0))]);
    }
}
