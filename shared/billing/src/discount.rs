//! Discounts: how much they take off, and for how long; and the coupons that give one, which may be redeemed so often.

use crate::id::{CouponCode, PlanId};
use crate::money::{Currency, Money};
use crate::ratio::{Ratio, Rounding};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Coupon {
    pub code: CouponCode,
    pub off: Off,
    pub lasts: Lasts,
    /// What it is for. Empty: every plan of its family.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub plans: BTreeSet<PlanId>,
    /// How often it may be redeemed by all customers together. None: without end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub most_redemptions: Option<u32>,
    /// How often by one customer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub most_per_customer: Option<u32>,
    /// From then on it is redeemed no more. Who has redeemed it keeps it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redeem_by: Option<Timestamp>,
}

/// What is taken off the price of what somebody has bought, and for how long still. It is kept whole with what was
/// bought: what becomes of its coupon changes nothing for them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Discount {
    /// None: the billing staff gave it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coupon: Option<CouponCode>,
    pub off: Off,
    /// What it is for. Empty: whatever is bought.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub plans: BTreeSet<PlanId>,
    /// It is taken off the period at hand.
    pub is_on: bool,
    /// Off how many periods after that. None: every one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left: Option<u32>,
    /// What follows on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub then: Option<Box<Discount>>,
}

/// What a coupon takes off the price of a period.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Off {
    /// So many hundredths of it: `15.5`.
    Percent(Ratio),
    Amount(Money),
}

/// For which periods, counted from the first that begins after it was redeemed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lasts {
    Once,
    Periods(u32),
    Forever,
}

/// Why a coupon is not redeemed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotRedeemed {
    #[error("the coupon has run out")]
    Expired,
    #[error("the coupon has been redeemed as often as it may be")]
    UsedUp,
    #[error("you have redeemed this coupon as often as one customer may")]
    UsedUpByCustomer,
    #[error("the coupon is for prices in another currency")]
    OtherCurrency,
    #[error("the coupon is not for this plan")]
    OtherPlan,
}

/// A price and what is taken off it. Together with what is left they are the price.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Discounted {
    pub discount: Money,
    pub left: Money,
}

impl Off {
    /// What is taken off `price`: a part is rounded half up to the minor unit,
    /// and never is it more than the price. None: another currency, a part below
    /// zero, an amount below zero, or more than can be counted.
    pub fn from(self, price: Money) -> Option<Discounted> {
        let wanted = match self {
            Self::Percent(percent) if percent.is_negative() => return None,
            Self::Percent(percent) => price.part(percent.percent()?.min(Ratio::ONE), Rounding::HalfUp)?,
            Self::Amount(amount) if amount.minor < 0 || amount.currency != price.currency => return None,
            Self::Amount(amount) => amount,
        };
        let discount = Money::new(wanted.minor.min(price.minor).max(0), price.currency);
        Some(Discounted { discount, left: price.minus(discount)? })
    }

    /// What is taken off each of `lines`, all in `currency` and none below zero:
    /// the discount of their sum, divided by largest remainder.
    pub fn from_lines(self, lines: &[Money], currency: Currency) -> Option<Vec<Discounted>> {
        let all = Money::sum(currency, lines.iter().copied())?;
        let weights = lines.iter().map(|line| Ratio::from(line.minor)).collect::<Vec<_>>();
        let shares = self.from(all)?.discount.split(&weights)?;
        let discounted = |(line, discount): (&Money, Money)| Some(Discounted { discount, left: line.minus(discount)? });
        lines.iter().zip(shares).map(discounted).collect()
    }
}

impl Discount {
    /// Off the periods that begin from now on.
    pub fn to_come(off: Off, lasts: Lasts) -> Self {
        let left = match lasts {
            Lasts::Once => Some(1),
            Lasts::Periods(periods) => Some(periods),
            Lasts::Forever => None,
        };
        Self { coupon: None, off, plans: BTreeSet::new(), is_on: false, left, then: None }
    }

    /// So many hundredths off the periods to come: off so many of them, or all. Given for what somebody has: it does not
    /// go along to another plan or interval.
    pub fn comp(percent: u8, periods: Option<u32>) -> Self {
        let lasts = periods.map_or(Lasts::Forever, Lasts::Periods);
        Self::to_come(Off::Percent(Ratio::from(i64::from(percent))), lasts)
    }

    /// What is left of it when another period begins.
    #[must_use]
    pub fn in_next_period(self) -> Option<Self> {
        match self.left {
            Some(0) => self.then.and_then(|then| then.in_next_period()),
            left => Some(Self { is_on: true, left: left.map(|left| left - 1), ..self }),
        }
    }

    /// With `given` off the periods to come, instead of what the staff gave before. What a coupon still takes off it takes
    /// off after that.
    #[must_use]
    pub fn followed_by(self, given: Self) -> Self {
        let given = Self { then: self.clone().redeemed().map(Box::new), ..given };
        if self.is_on { Self { left: Some(0), then: Some(Box::new(given)), ..self } } else { given }
    }

    /// What is to come of it by coupon.
    #[must_use]
    pub fn redeemed(self) -> Option<Self> {
        let then = self.then.and_then(|then| then.redeemed()).map(Box::new);
        match (&self.coupon, self.left) {
            (None, _) | (Some(_), Some(0)) => then.map(|then| *then),
            (Some(_), _) => Some(Self { is_on: false, then, ..self }),
        }
    }

    /// Whether just what is `given` is to come next.
    pub fn promises(&self, given: &Self) -> bool {
        let next = if self.is_on && self.left == Some(0) { self.then.as_deref() } else { Some(self) };
        next.is_some_and(|next| Self { then: None, ..next.clone() } == *given)
    }

    /// It as far as it is for `plan`.
    #[must_use]
    pub fn of(self, plan: &PlanId) -> Option<Self> {
        let then = self.then.and_then(|then| then.of(plan));
        match is_for(&self.plans, plan) {
            true => Some(Self { then: then.map(Box::new), ..self }),
            false => then,
        }
    }
}

fn is_for(plans: &BTreeSet<PlanId>, plan: &PlanId) -> bool {
    plans.is_empty() || plans.contains(plan)
}

impl Coupon {
    /// The discount that it gives, from the next period to begin, if it may be redeemed once more, for `plan` in
    /// `currency`, after `redemptions` in all of which `by_customer` are this customer's.
    pub fn redeem(
        &self,
        plan: &PlanId,
        currency: Currency,
        redemptions: u32,
        by_customer: u32,
        now: Timestamp,
    ) -> Result<Discount, NotRedeemed> {
        let used_up = |most: Option<u32>, times| most.is_some_and(|most| times >= most);
        match self.off {
            Off::Amount(amount) if amount.currency != currency => Err(NotRedeemed::OtherCurrency),
            _ if !is_for(&self.plans, plan) => Err(NotRedeemed::OtherPlan),
            _ if self.redeem_by.is_some_and(|until| now >= until) => Err(NotRedeemed::Expired),
            _ if used_up(self.most_redemptions, redemptions) => Err(NotRedeemed::UsedUp),
            _ if used_up(self.most_per_customer, by_customer) => Err(NotRedeemed::UsedUpByCustomer),
            Off::Percent(_) | Off::Amount(_) => Ok(Discount {
                coupon: Some(self.code.clone()),
                plans: self.plans.clone(),
                ..Discount::to_come(self.off, self.lasts)
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn money(minor: i64, code: &str) -> Money {
        Money::new(minor, Currency::from_code(code).unwrap_or_else(|| panic!("{code}")))
    }

    fn part(percent: &str) -> Off {
        Off::Percent(percent.parse().unwrap_or_else(|error| panic!("{percent}: {error}")))
    }

    fn read(text: &str) -> Coupon {
        serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}"))
    }

    fn plan(id: &str) -> PlanId {
        PlanId::try_from(id.to_owned()).unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn a_discount_promises_what_comes_next_of_it() {
        let (gift, half) = (Discount::comp(100, Some(2)), Discount::comp(50, None));
        let followed = |left, is_on| Discount { is_on, left, then: Some(Box::new(half.clone())), ..gift.clone() };
        // While some of it is to come, that is next; in its last period, what follows it is.
        let next = |it: Discount| (it.promises(&Discount { then: None, ..it.clone() }), it.promises(&half));
        assert_eq!(next(followed(Some(1), true)), (true, false));
        assert_eq!(next(followed(Some(0), true)), (false, true));
        assert_eq!(next(followed(Some(0), false)), (true, false));
        assert!(!Discount { is_on: true, left: Some(0), then: None, ..gift.clone() }.promises(&gift));
    }

    #[test]
    fn what_is_to_come_by_coupon_is_off_nothing_until_it_comes() {
        let code = CouponCode::try_from("WELCOME".to_owned()).ok();
        let on = Discount { coupon: code, is_on: true, ..Discount::comp(20, Some(3)) };
        assert_eq!(on.clone().redeemed(), Some(Discount { is_on: false, ..on.clone() }));
        assert_eq!(Discount { left: Some(0), ..on.clone() }.redeemed(), None);
        let given = Discount { then: Some(Box::new(on.clone())), ..Discount::comp(100, Some(1)) };
        assert_eq!(given.redeemed(), Some(Discount { is_on: false, ..on }));
    }

    #[test]
    fn nothing_off_is_nothing_off() {
        let price = money(1_000, "USD");
        let nothing = Some(Discounted { discount: money(0, "USD"), left: price });
        assert_eq!([Off::Amount(money(0, "USD")).from(price), part("0").from(price)], [nothing, nothing]);
    }

    #[test]
    fn a_discount_is_rounded_and_never_more_than_the_price() {
        let cases = [
            (money(1_000, "USD"), part("15.5"), Some(155)),
            (money(1_000, "USD"), part("33.333"), Some(333)),
            (money(1_000, "JPY"), part("15.55"), Some(156)),
            (money(100, "USD"), part("0.1"), Some(0)),
            (money(1_000, "USD"), part("150"), Some(1_000)),
            (money(1_000, "USD"), Off::Amount(money(2_500, "USD")), Some(1_000)),
            (money(1_000, "USD"), Off::Amount(money(250, "USD")), Some(250)),
            (money(0, "USD"), part("50"), Some(0)),
            (money(-500, "USD"), part("50"), Some(0)),
            (money(1_000, "USD"), Off::Amount(money(250, "EUR")), None),
            (money(1_000, "USD"), Off::Amount(money(-250, "USD")), None),
            (money(1_000, "USD"), part("-5"), None),
        ];
        for (price, off, expected) in cases {
            let discounted = off.from(price);
            assert_eq!(discounted.map(|it| it.discount.minor), expected, "{price} {off:?}");
            assert!(discounted.is_none_or(|it| it.discount.plus(it.left) == Some(price)));
        }
    }

    #[test]
    fn lines_share_a_discount_to_the_minor_unit() {
        let lines = [money(1_000, "USD"), money(1_000, "USD"), money(1_000, "USD")];
        let usd = lines[0].currency;
        let off = |off: Off| {
            let shares = off.from_lines(&lines, usd).unwrap_or_default();
            shares.iter().map(|it| (it.discount.minor, it.left.minor)).collect::<Vec<_>>()
        };
        assert_eq!(off(Off::Amount(money(500, "USD"))), [(167, 833), (167, 833), (166, 834)]);
        assert_eq!(off(part("100")), [(1_000, 0); 3]);
        assert_eq!(off(part("0")), [(0, 1_000); 3]);
        assert_eq!(part("10").from_lines(&[], usd), Some(vec![]));
    }

    #[test]
    fn a_discount_is_off_as_many_periods_as_it_says() {
        for (lasts, discounted) in
            [(Lasts::Once, 1), (Lasts::Periods(3), 3), (Lasts::Periods(0), 0), (Lasts::Forever, 9)]
        {
            let mut discount = Some(Discount::to_come(part("10"), lasts));
            assert!(discount.as_ref().is_some_and(|it| !it.is_on), "{lasts:?}: it is for what begins");
            let mut periods = 0;
            for _ in 0..9 {
                discount = discount.and_then(Discount::in_next_period);
                periods += u32::from(discount.as_ref().is_some_and(|it| it.is_on));
            }
            assert_eq!(periods, discounted, "{lasts:?}");
        }
    }

    #[test]
    fn what_staff_give_comes_next_and_a_coupon_goes_on_after_it() {
        let coupon = read(r#"{"code": "FIFTH", "off": {"percent": "20"}, "lasts": {"periods": 3}}"#);
        let usd = money(0, "USD").currency;
        let redeemed = coupon.redeem(&plan("desk-small"), usd, 0, 0, Timestamp::MIN).ok();
        let off = |discount: &Option<Discount>| {
            let on = discount.as_ref().filter(|it| it.is_on)?;
            on.off.from(money(100, "USD")).map(|it| it.discount.minor)
        };
        let (gift, half) = (Discount::comp(100, Some(2)), Discount::comp(50, Some(1)));
        let running = redeemed.and_then(Discount::in_next_period);
        let given = running.map(|it| it.followed_by(gift.clone()));
        assert!(given.as_ref().is_some_and(|it| it.promises(&gift) && !it.promises(&half)));
        let mut months = vec![];
        let mut discount = given.clone();
        for _ in 0..6 {
            months.push(off(&discount));
            discount = discount.and_then(Discount::in_next_period);
        }
        assert_eq!(months, [Some(20), Some(100), Some(100), Some(20), Some(20), None]);
        // Given otherwise, it is instead.
        let mut discount = given.map(|it| it.followed_by(half));
        let mut months = vec![];
        for _ in 0..5 {
            months.push(off(&discount));
            discount = discount.and_then(Discount::in_next_period);
        }
        assert_eq!(months, [Some(20), Some(50), Some(20), Some(20), None]);
    }

    #[test]
    fn a_coupon_is_redeemed_for_its_plans_as_often_and_as_long_as_it_may_be() {
        let coupon = read(
            r#"{"code": "WELCOME", "off": {"amount": {"minor": 100, "currency": "USD"}}, "lasts": {"periods": 3},
                "plans": ["desk-small"], "most_redemptions": 3, "most_per_customer": 1,
                "redeem_by": "2026-01-01T00:00:00Z"}"#,
        );
        let until = coupon.redeem_by.unwrap_or_default();
        let (before, usd) = (Timestamp::MIN, money(0, "USD").currency);
        let redeem = |times, by_customer, now| coupon.redeem(&plan("desk-small"), usd, times, by_customer, now);
        let discount = redeem(2, 0, before).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!((discount.coupon.as_ref(), discount.is_on, discount.left), (Some(&coupon.code), false, Some(3)));
        assert_eq!(discount.clone().of(&plan("desk-small")), Some(discount.clone()));
        assert_eq!(discount.of(&plan("desk-large")), None);
        assert_eq!(redeem(2, 1, before), Err(NotRedeemed::UsedUpByCustomer));
        assert_eq!(redeem(3, 0, before), Err(NotRedeemed::UsedUp));
        assert_eq!(redeem(2, 0, until), Err(NotRedeemed::Expired));
        let elsewhere = |plan: &PlanId, currency| coupon.redeem(plan, currency, 0, 0, before);
        assert_eq!(elsewhere(&plan("desk-small"), money(0, "EUR").currency), Err(NotRedeemed::OtherCurrency));
        assert_eq!(elsewhere(&plan("desk-large"), usd), Err(NotRedeemed::OtherPlan));
    }

    #[test]
    fn a_coupon_is_written_in_a_few_words() {
        let coupon =
            read(r#"{"code": "SUMMER", "off": {"percent": "15.5"}, "lasts": "once", "most_redemptions": 100}"#);
        assert_eq!(coupon.off.from(money(1_000, "USD")).map(|it| it.discount.minor), Some(155));
        assert_eq!((coupon.most_redemptions, coupon.most_per_customer), (Some(100), None));
        for wrong in [
            r#"{"code": "SUMMER", "off": {"percent": "15"}, "lasts": "once", "until": 3}"#,
            r#"{"code": "SUMMER", "off": {"percent": "15"}}"#,
            r#"{"code": "summer sale", "off": {"percent": "15"}, "lasts": "once"}"#,
        ] {
            assert!(serde_json::from_str::<Coupon>(wrong).is_err(), "{wrong}");
        }
    }
}
