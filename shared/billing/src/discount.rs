//! Coupons: how much they take off, for how long, and how often they may be redeemed.

use crate::money::{Currency, Money};
use crate::ratio::{Ratio, Rounding};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Coupon {
    pub off: Off,
    pub lasts: Lasts,
    /// How often it may be redeemed by all customers together. None: without end.
    #[serde(default)]
    pub most_redemptions: Option<u32>,
    /// How often by one customer.
    #[serde(default)]
    pub most_per_customer: Option<u32>,
    /// From then on it is redeemed no more. Who has redeemed it keeps it.
    #[serde(default)]
    pub redeem_by: Option<Timestamp>,
}

/// What a coupon takes off the price of a period.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Off {
    /// A part of it: 15.5 % is 0.155.
    Part(Ratio),
    Amount(Money),
}

/// For which periods, counted from the first after it was redeemed.
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
            Self::Part(part) if part.is_negative() => return None,
            Self::Part(part) => price.part(part.min(Ratio::ONE), Rounding::HalfUp)?,
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

impl Lasts {
    /// Whether the `index`th period after redeeming, counted from 0, is discounted.
    pub fn covers(self, index: u32) -> bool {
        match self {
            Self::Once => index == 0,
            Self::Periods(periods) => index < periods,
            Self::Forever => true,
        }
    }
}

impl Coupon {
    /// Whether it may be redeemed once more, for prices in `currency`, after
    /// `redemptions` in all of which `by_customer` are this customer's.
    pub fn redeem(
        &self,
        currency: Currency,
        redemptions: u32,
        by_customer: u32,
        now: Timestamp,
    ) -> Result<(), NotRedeemed> {
        let used_up = |most: Option<u32>, times| most.is_some_and(|most| times >= most);
        match self.off {
            Off::Amount(amount) if amount.currency != currency => Err(NotRedeemed::OtherCurrency),
            _ if self.redeem_by.is_some_and(|until| now >= until) => Err(NotRedeemed::Expired),
            _ if used_up(self.most_redemptions, redemptions) => Err(NotRedeemed::UsedUp),
            _ if used_up(self.most_per_customer, by_customer) => Err(NotRedeemed::UsedUpByCustomer),
            Off::Part(_) | Off::Amount(_) => Ok(()),
        }
    }

    /// What it takes off the price of the `index`th period after redeeming. None: as of [`Off::from`].
    pub fn discount(&self, price: Money, index: u32) -> Option<Discounted> {
        match self.lasts.covers(index) {
            true => self.off.from(price),
            false => Some(Discounted { discount: Money::zero(price.currency), left: price }),
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
        Off::Part(percent.parse::<Ratio>().ok().and_then(Ratio::percent).unwrap_or_else(|| panic!("{percent}")))
    }

    fn coupon(off: Off, lasts: Lasts) -> Coupon {
        Coupon { off, lasts, most_redemptions: None, most_per_customer: None, redeem_by: None }
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
    fn a_coupon_lasts_as_many_periods_as_it_says() {
        let price = money(1_000, "USD");
        for (lasts, discounted) in
            [(Lasts::Once, 1), (Lasts::Periods(3), 3), (Lasts::Periods(0), 0), (Lasts::Forever, 9)]
        {
            let coupon = coupon(part("10"), lasts);
            let periods = (0..9).filter_map(|index| coupon.discount(price, index));
            assert_eq!(periods.filter(|it| it.discount.minor == 100).count(), discounted, "{lasts:?}");
        }
    }

    #[test]
    fn coupons_are_written_in_a_few_words() {
        let text = r#"{"off": {"part": "0.155"}, "lasts": {"periods": 3}, "most_redemptions": 100}"#;
        let coupon: Coupon = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(coupon.discount(money(1_000, "USD"), 2).map(|it| it.discount.minor), Some(155));
        assert_eq!((coupon.most_redemptions, coupon.most_per_customer), (Some(100), None));
        assert!(serde_json::from_str::<Coupon>(r#"{"off": {"part": "0.1"}, "lasts": "once", "until": 3}"#).is_err());
        assert!(serde_json::from_str::<Coupon>(r#"{"off": {"part": "0.1"}}"#).is_err());
    }

    #[test]
    fn a_coupon_is_redeemed_as_often_and_as_long_as_it_may_be() {
        let until = Timestamp::UNIX_EPOCH;
        let (before, euro) = (Timestamp::MIN, money(0, "EUR").currency);
        let coupon = Coupon {
            most_redemptions: Some(3),
            most_per_customer: Some(1),
            redeem_by: Some(until),
            ..coupon(Off::Amount(money(100, "USD")), Lasts::Once)
        };
        let redeem = |times, by_customer, now| coupon.redeem(money(0, "USD").currency, times, by_customer, now);
        assert_eq!(redeem(2, 0, before), Ok(()));
        assert_eq!(redeem(2, 1, before), Err(NotRedeemed::UsedUpByCustomer));
        assert_eq!(redeem(3, 0, before), Err(NotRedeemed::UsedUp));
        assert_eq!(redeem(2, 0, until), Err(NotRedeemed::Expired));
        assert_eq!(coupon.redeem(euro, 0, 0, before), Err(NotRedeemed::OtherCurrency));
    }
}
