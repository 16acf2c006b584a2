//! Tokens: what a customer has paid for before, and consumes.

mod brought;

use crate::catalog::Plan;
use crate::id::{ConsumptionId, CustomerId, IdempotencyKey, Invalid, text};
use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::num::NonZeroU32;

pub use brought::Brought;

/// A prepaid balance. Apart from the subscription, which using it leaves as it is: the two meet only where a period that is
/// paid brings more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tokens {
    pub customer: CustomerId,
    pub balance: u64,
    /// What the balance was made of when it was last granted or set. What was consumed since is taken from what ends
    /// first; what the balance has beyond them does not end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub grants: Vec<Grant>,
    /// How many periods have begun with which something changed: how old what came with one is, is known by it.
    #[serde(default)]
    pub periods: u32,
    pub version: u64,
}

/// Tokens that end together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    pub tokens: u64,
    /// How often more they are carried over into the next period. None: always.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollovers: Option<u16>,
}

impl Tokens {
    pub(crate) fn none(customer: CustomerId) -> Self {
        Self { customer, balance: 0, grants: vec![], periods: 0, version: 0 }
    }

    /// In the next period, which is one of `plan`: without those that end then, with those that come with it. None:
    /// nothing changes.
    pub(crate) fn granted(&self, plan: &Plan) -> Option<Self> {
        let kept = self.left().into_iter().filter_map(|it| match it.rollovers {
            Some(0) => None,
            rollovers => Some(Grant { rollovers: rollovers.map(|left| left - 1), ..it }),
        });
        let more = plan.tokens_included.map(|tokens| Grant { tokens, rollovers: plan.tokens_rollover });
        let next = self.made_of(kept.chain(more));
        let changes = more.is_some() || (&next.grants, next.balance) != (&self.grants, self.balance);
        changes.then(|| Self { periods: self.periods.saturating_add(1), ..next })
    }

    /// With `more` of the period at hand, which is one of `plan`.
    pub(crate) fn and(&self, more: u64, plan: &Plan) -> Self {
        self.with(Grant { tokens: more, rollovers: plan.tokens_rollover })
    }

    fn with(&self, more: Grant) -> Self {
        self.made_of(self.left().into_iter().chain([more]))
    }

    /// With `balance` of the period at hand, which is one of `plan`, and nothing else.
    pub(crate) fn set(&self, balance: u64, plan: &Plan) -> Self {
        let none = self.left().into_iter().filter(|it| it.rollovers.is_some()).map(|it| Grant { tokens: 0, ..it });
        self.made_of(none.chain([Grant { tokens: balance, rollovers: plan.tokens_rollover }]))
    }

    fn made_of(&self, all: impl IntoIterator<Item = Grant>) -> Self {
        let mut grants: Vec<Grant> = vec![];
        for more in all {
            match grants.iter_mut().find(|it| it.rollovers == more.rollovers) {
                Some(same) => same.tokens = same.tokens.saturating_add(more.tokens),
                None => grants.push(more),
            }
        }
        let balance = grants.iter().fold(0_u64, |sum, it| sum.saturating_add(it.tokens));
        // Where nothing ends, there is nothing to tell apart.
        if grants.iter().all(|it| it.rollovers.is_none()) {
            grants.clear();
        }
        Self { balance, grants, ..self.clone() }
    }

    /// What is left of each grant, what ends first at the head. Of one that has not ended that may be nothing: until then
    /// its periods are counted.
    fn left(&self) -> Vec<Grant> {
        let granted = self.grants.iter().fold(0_u64, |sum, it| sum.saturating_add(it.tokens));
        let beyond = Grant { tokens: self.balance.saturating_sub(granted), rollovers: None };
        let mut left: Vec<Grant> = self.grants.iter().copied().chain([beyond]).collect();
        left.sort_by_key(|it| (it.rollovers.is_none(), it.rollovers));
        let consumed = granted.saturating_sub(self.balance);
        take(&mut left, consumed);
        left.retain(|it| it.tokens > 0 || it.rollovers.is_some());
        left
    }
}

/// Takes so many, from one after the other.
fn take(from: &mut [Grant], mut tokens: u64) {
    for grant in from {
        let taken = grant.tokens.min(tokens);
        grant.tokens -= taken;
        tokens -= taken;
    }
}

text!(
    /// What tokens were consumed for, in the words of who reports it.
    Purpose,
    "a description of 1 to 200 characters on one line",
    |text| (1..=200).contains(&text.chars().count()) && !text.chars().any(char::is_control)
);

/// Tokens that were consumed at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Consumption {
    pub customer: CustomerId,
    pub id: ConsumptionId,
    pub tokens: NonZeroU32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<Purpose>,
    pub at: Timestamp,
    /// What was left then, without what others consumed at the same moment.
    pub balance: u64,
}

impl Consumption {
    /// Of `tokens` at `now`, as it was asked for under `key`. None: there are too few.
    pub(crate) fn of(held: &Tokens, tokens: NonZeroU32, key: &IdempotencyKey, now: Timestamp) -> Option<Self> {
        let balance = held.balance.checked_sub(tokens.get().into())?;
        let customer = held.customer.clone();
        let id = ConsumptionId::of(&customer, key, now);
        Some(Self { customer, id, tokens, description: None, at: now, balance })
    }
}

/// What is left of a bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bundle {
    /// Switched off by staff, or cancelled: then nothing of it can be used.
    pub is_active: bool,
    pub tokens_remaining: u64,
    /// The last day on which it can be used. None: it lasts until it is used up.
    pub end_date: Option<Date>,
}

impl Bundle {
    /// Whether it can be used on `today`, a date in the customer's time zone: PRODUCT 11.
    pub fn is_usable(self, today: Date) -> bool {
        self.is_active && self.tokens_remaining > 0 && self.end_date.is_none_or(|end| today <= end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{customer, idempotency_key, instant, plan};
    use jiff::civil::date;

    /// Of a plan with a thousand tokens a period, which are carried over so often.
    fn bundle(rollovers: Option<u16>) -> Plan {
        Plan { tokens_rollover: rollovers, ..plan("tokens-basic") }
    }

    fn granted(held: &Tokens, plan: &Plan) -> Tokens {
        held.granted(plan).unwrap_or_else(|| panic!("no tokens come with {}", plan.id))
    }

    fn after(held: &Tokens, consumed: u64) -> Tokens {
        Tokens { balance: held.balance - consumed, ..held.clone() }
    }

    #[test]
    fn tokens_are_carried_over_as_often_as_their_plan_says() {
        // A thousand a period, of which 300 are used: the oldest. Carried over once, the 400 that are left of the first
        // thousand end after the second period.
        let cases: [(Option<u16>, [u64; 4]); 4] = [
            (None, [1_700, 2_400, 3_100, 3_800]),
            (Some(0), [1_000, 1_000, 1_000, 1_000]),
            (Some(1), [1_700, 2_000, 2_000, 2_000]),
            (Some(2), [1_700, 2_400, 3_000, 3_000]),
        ];
        for (rollovers, expected) in cases {
            let mut held = granted(&Tokens::none(customer()), &bundle(rollovers));
            for balance in expected {
                held = granted(&after(&held, 300), &bundle(rollovers));
                assert_eq!(held.balance, balance, "{rollovers:?}");
            }
        }
    }

    #[test]
    fn what_ends_first_is_used_first() {
        let first = granted(&Tokens::none(customer()), &bundle(None));
        let held = first.and(200, &bundle(Some(1))).and(50, &bundle(Some(0)));
        assert_eq!(held.balance, 1_250);
        let next = |consumed| granted(&after(&held, consumed), &bundle(Some(0))).balance;
        // 50 end with the period; up to them, using some is using what would be gone.
        assert_eq!(
            [next(0), next(50), next(51), next(250), next(251), next(1_250)],
            [2_200, 2_200, 2_199, 2_000, 1_999, 1_000]
        );
        let after_two = |consumed| granted(&granted(&after(&held, consumed), &bundle(Some(0))), &bundle(None)).balance;
        assert_eq!([after_two(0), after_two(250), after_two(251)], [2_000, 2_000, 1_999]);
    }

    #[test]
    fn what_ends_does_so_whatever_plan_the_next_period_is_of() {
        let (flat, none) = (plan("estates-starter"), Tokens::none(customer()));
        assert_eq!(granted(&granted(&none, &bundle(Some(0))), &flat).balance, 0);
        let carried = granted(&granted(&none, &bundle(Some(1))), &flat);
        assert_eq!((carried.balance, granted(&carried, &flat).balance), (1_000, 0));
        // What does not end is left alone.
        assert_eq!(granted(&none, &bundle(None)).granted(&flat), None);
        assert_eq!(none.granted(&flat), None);
    }

    #[test]
    fn a_balance_that_was_stored_without_its_grants_does_not_end() {
        let stored = r#"{"customer": "acme", "balance": 700, "version": 3}"#;
        let held: Tokens = serde_json::from_str(stored).unwrap_or_else(|error| panic!("{error}"));
        let next = granted(&held, &bundle(Some(0)));
        assert_eq!(next.balance, 1_700);
        assert_eq!(granted(&next, &bundle(Some(0))).balance, 1_700);
    }

    #[test]
    fn what_staff_set_is_of_the_period_at_hand() {
        let held = granted(&Tokens::none(customer()), &bundle(None)).set(400, &bundle(Some(0)));
        assert_eq!((held.balance, granted(&held, &bundle(Some(0))).balance), (400, 1_000));
    }

    #[test]
    fn nothing_is_beyond_counting() {
        let held = Tokens { balance: u64::MAX, ..Tokens::none(customer()) };
        assert_eq!(granted(&held, &bundle(None)).balance, u64::MAX);
        assert_eq!(held.and(1, &bundle(None)).balance, u64::MAX);
    }

    #[test]
    fn a_consumption_takes_all_it_says_or_nothing() {
        let held = Tokens { balance: 25, ..Tokens::none(customer()) };
        let (key, now) = (idempotency_key("k"), instant("2025-01-31T10:00:00Z"));
        let left = |tokens| {
            let tokens = NonZeroU32::new(tokens).unwrap_or(NonZeroU32::MIN);
            Consumption::of(&held, tokens, &key, now).map(|it| it.balance)
        };
        assert_eq!([left(1), left(25), left(26), left(u32::MAX)], [Some(24), Some(0), None, None]);
    }

    #[test]
    fn consumptions_sort_by_time_and_are_told_apart_by_their_keys() {
        let id = |key, at| ConsumptionId::of(&customer(), &idempotency_key(key), instant(at)).to_string();
        let (first, later) = ("2025-01-31T10:00:00.001Z", "2025-01-31T10:00:00.002Z");
        assert!(id("a", first) < id("a", later) && id("b", first) < id("a", later));
        assert_ne!(id("a", first), id("b", first));
        assert_eq!(id("a", first), id("a", first));
        assert!(ConsumptionId::try_from(id("a", first)).is_ok());
    }

    #[test]
    fn a_bundle_is_used_while_something_is_left_and_through_its_last_day() {
        let cases = [
            (true, 1, Some(date(2025, 1, 31)), true),
            (true, 1, Some(date(2025, 1, 30)), false),
            (true, 1, None, true),
            (true, 0, None, false),
            (false, 1, None, false),
        ];
        for (is_active, tokens_remaining, end_date, expected) in cases {
            let bundle = Bundle { is_active, tokens_remaining, end_date };
            assert_eq!(bundle.is_usable(date(2025, 1, 31)), expected, "{bundle:?}");
        }
    }
}
