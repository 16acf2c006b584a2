//! What a change in the middle of a period costs: the rest of the old is
//! credited, the rest of the new is charged.
//!
//! How much is left of a period is counted in seconds or in days. Peers differ
//! in whether a last day belongs to it: which is meant is said where its
//! [`Dates`] are made.

use crate::calendar::Period;
use crate::calendar::dates::{Dates, DayCount};
use crate::calendar::share::share;
use crate::credit::creditable;
use crate::money::{Currency, Money};
use crate::ratio::{Ratio, Rounding};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

/// How a plan charges for a change that takes effect within a period.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Proration {
    /// Nothing is credited, and within the period nothing charged.
    None,
    /// By the calendar days that are left, the day of the change among them (Lago, Meteroid).
    ByDay,
    /// By the seconds that are left (Stripe, Polar).
    #[default]
    BySecond,
    /// The new price is charged whole, the old is credited by the second, and a
    /// new period begins with the change (Google Play: charge full price).
    FullNow,
    /// By the second, and collected with the next invoice (Stripe: create prorations). Who leaves before that owes it.
    NextPeriod,
}

impl Proration {
    /// What part of `period` is left at `at`, from 0 to 1. Days are those of the
    /// customer's time zone. Before a period all of it is left, after it nothing.
    pub fn left(self, period: Period, at: Timestamp, zone: &TimeZone) -> Ratio {
        match self {
            Self::ByDay => {
                let days = Dates::of(period, zone);
                let today = at.to_zoned(zone.clone()).date();
                share(Dates { start: today, end: days.end }, days, DayCount::Actual)
            }
            Self::None | Self::BySecond | Self::FullNow | Self::NextPeriod => {
                let seconds = |it: Timestamp| i128::from(it.as_second());
                let whole = seconds(period.end) - seconds(period.start);
                let left = (seconds(period.end) - seconds(at)).clamp(0, whole.max(0));
                Ratio::new(left, whole).unwrap_or(Ratio::ZERO)
            }
        }
    }
}

/// Something that is paid for by the period and ends with the change: a plan
/// with its seats, an add-on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// For a whole period, discounts taken off.
    pub price: Money,
    /// What was paid for the running period and is not credited yet: never is more than this credited.
    pub paid: Money,
    /// What part of what it allows is not used yet, where the counters start
    /// at zero with the change: what is used up is not paid back. Else 1.
    pub unspent: Ratio,
}

impl Held {
    /// What was paid in full, and of which nothing is used up.
    pub fn paid(price: Money) -> Self {
        Self { price, paid: price, unspent: Ratio::ONE }
    }
}

/// What ends and what begins.
#[derive(Clone, Copy, Debug)]
pub struct Change<'a> {
    pub old: &'a [Held],
    /// For a whole period each, discounts taken off.
    pub new: &'a [Money],
    /// Charged whole, whenever it is bought.
    pub once: &'a [Money],
    pub anchor: Anchor,
}

/// Where periods are counted from after the change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anchor {
    /// As before it: the running period goes on.
    Kept,
    /// The change, as another interval has it: a new period begins and is charged whole, at once (Polar, Stripe).
    Moved,
}

/// What a change would cost: the old's credits, then what is charged for the new.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quote {
    pub lines: Vec<Line>,
    pub collected: Collected,
    pub anchor: Anchor,
    pub credit: Money,
    pub charge: Money,
    /// Below zero: what the customer gets.
    pub net: Money,
}

/// A line of nothing is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    pub of: Of,
    /// Credits are below zero.
    pub amount: Money,
}

/// What a line is for, by its place among what ends or begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    Old(usize),
    New(usize),
    Once(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Collected {
    Now,
    NextInvoice,
}

impl Proration {
    /// What `change` costs in `currency` when `left` of the period is left.
    ///
    /// Every line is rounded half up by itself (Meteroid, Lago), so that a
    /// change and its opposite at the same moment are nothing. None: several
    /// currencies, or more than can be counted.
    pub fn quote(self, change: &Change<'_>, left: Ratio, currency: Currency) -> Option<Quote> {
        let anchor = if self == Self::FullNow { Anchor::Moved } else { change.anchor };
        let left = left.clamp(Ratio::ZERO, Ratio::ONE);
        let credited = if self == Self::None { Ratio::ZERO } else { left };
        let charged = match (anchor, self) {
            (Anchor::Moved, _) => Ratio::ONE,
            (Anchor::Kept, Self::None) => Ratio::ZERO,
            (Anchor::Kept, Self::ByDay | Self::BySecond | Self::FullNow | Self::NextPeriod) => left,
        };
        let collected = match (anchor, self) {
            (Anchor::Kept, Self::NextPeriod) => Collected::NextInvoice,
            (Anchor::Kept | Anchor::Moved, _) => Collected::Now,
        };
        let old = change.old.iter().map(|held| held.credited(credited)?.negated());
        let new = change.new.iter().map(|price| price.part(charged, Rounding::HalfUp));
        let (old, new) = (old.collect::<Option<Vec<_>>>()?, new.collect::<Option<Vec<_>>>()?);
        let line = |of: fn(usize) -> Of| move |(at, amount): (usize, &Money)| Line { of: of(at), amount: *amount };
        let mut lines: Vec<Line> = old.iter().enumerate().map(line(Of::Old)).collect();
        lines.extend(new.iter().enumerate().map(line(Of::New)));
        lines.extend(change.once.iter().enumerate().map(line(Of::Once)));
        lines.retain(|line| line.amount.minor != 0);
        let credit = Money::sum(currency, old)?;
        let charge = Money::sum(currency, new.into_iter().chain(change.once.iter().copied()))?;
        Some(Quote { lines, collected, anchor, credit, charge, net: charge.plus(credit)? })
    }
}

impl Held {
    /// What is given back when `left` of the period is left: no more than was
    /// paid, and no more than is unspent.
    pub(crate) fn credited(self, left: Ratio) -> Option<Money> {
        let wanted = self.price.part(left.min(self.unspent.clamp(Ratio::ZERO, Ratio::ONE)), Rounding::HalfUp)?;
        creditable(wanted, self.paid, Money::zero(self.price.currency))
    }
}

/// What some `days` of a `whole` period cost that costs `price`, half up to the
/// minor unit: those served before an end, those not served in a pause. Days
/// outside the period cost nothing. None: more than can be counted.
pub fn price_of(days: Dates, whole: Dates, count: DayCount, price: Money) -> Option<Money> {
    price.part(share(days, whole, count), Rounding::HalfUp)
}

/// How many days `credit` buys of a plan that costs `price` for `days`. A day
/// begun is given or not, as the rounding says: up (Samsung: instant prorated
/// date) or down (Google Play: with time proration). None: a plan that costs
/// nothing, a credit below zero, two currencies, or more than can be counted.
pub fn days_bought(credit: Money, price: Money, days: u32, rounding: Rounding) -> Option<u32> {
    if credit.currency != price.currency || credit.minor < 0 || price.minor <= 0 {
        return None;
    }
    let bought = Ratio::new(credit.minor.into(), price.minor.into())?.times(Ratio::from(days))?;
    u32::try_from(bought.rounded(rounding)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usd(minor: i64) -> Money {
        Money::new(minor, Currency::from_code("USD").unwrap_or_else(|| panic!("USD")))
    }

    fn ratio(text: &str) -> Ratio {
        text.parse().unwrap_or_else(|error| panic!("{error}"))
    }

    fn time(text: &str) -> Timestamp {
        text.parse().unwrap_or_else(|_| panic!("{text}"))
    }

    fn change<'a>(old: &'a [Held], new: &'a [Money]) -> Change<'a> {
        Change { old, new, once: &[], anchor: Anchor::Kept }
    }

    fn amounts(quote: &Quote) -> Vec<i64> {
        quote.lines.iter().map(|line| line.amount.minor).collect()
    }

    fn quote(policy: Proration, change: &Change<'_>, left: &str) -> Quote {
        policy.quote(change, ratio(left), usd(0).currency).unwrap_or_else(|| panic!("{policy:?}"))
    }

    #[test]
    fn each_policy_charges_its_way() {
        use Collected::{NextInvoice, Now};
        let (old, new) = ([Held::paid(usd(1_200))], [usd(2_400)]);
        let cases: [(Proration, &[i64], Collected, Anchor); 5] = [
            (Proration::None, &[], Now, Anchor::Kept),
            (Proration::ByDay, &[-900, 1_800], Now, Anchor::Kept),
            (Proration::BySecond, &[-900, 1_800], Now, Anchor::Kept),
            (Proration::FullNow, &[-900, 2_400], Now, Anchor::Moved),
            (Proration::NextPeriod, &[-900, 1_800], NextInvoice, Anchor::Kept),
        ];
        for (policy, lines, collected, anchor) in cases {
            let quote = quote(policy, &change(&old, &new), "0.75");
            assert_eq!((amounts(&quote).as_slice(), quote.collected, quote.anchor), (lines, collected, anchor));
            assert_eq!(quote.net.minor, lines.iter().sum::<i64>(), "{policy:?}");
        }
    }

    #[test]
    fn policies_are_told_by_their_names() {
        use Proration::{ByDay, BySecond, FullNow, NextPeriod, None};
        let names = ["none", "by_day", "by_second", "full_now", "next_period"];
        for (policy, name) in [None, ByDay, BySecond, FullNow, NextPeriod].into_iter().zip(names) {
            assert_eq!(serde_json::to_value(policy).ok(), Some(name.into()));
        }
        assert_eq!(Proration::default(), BySecond);
    }

    #[test]
    fn another_interval_moves_the_anchor_and_is_paid_whole_at_once() {
        let (old, new) = ([Held::paid(usd(10_000))], [usd(100_000)]);
        let change = Change { anchor: Anchor::Moved, ..change(&old, &new) };
        for (policy, lines) in [
            (Proration::BySecond, &[-6_667, 100_000][..]),
            (Proration::NextPeriod, &[-6_667, 100_000]),
            (Proration::None, &[100_000]),
        ] {
            let quote = quote(policy, &change, "2/3");
            assert_eq!((amounts(&quote).as_slice(), quote.collected), (lines, Collected::Now), "{policy:?}");
        }
    }

    #[test]
    fn a_change_and_its_opposite_are_nothing() {
        let prices = [[2_900, 9_900], [1_000, 2_500]].map(|pair| pair.map(usd));
        let held = |at: usize| prices.map(|pair| Held::paid(pair[at]));
        let up = quote(Proration::ByDay, &change(&held(0), &prices.map(|pair| pair[1])), "16/31");
        let down = quote(Proration::ByDay, &change(&held(1), &prices.map(|pair| pair[0])), "16/31");
        assert_eq!(amounts(&up), [-1_497, -516, 5_110, 1_290]);
        assert_eq!(up.net.negated(), Some(down.net));
    }

    #[test]
    fn credits_are_no_more_than_was_paid_nor_than_is_unspent() {
        // Price, paid, unspent, left, credited.
        let cases = [
            (10_000, 10_000, "1", "0.5", 5_000),
            (10_000, 3_000, "1", "0.5", 3_000),
            (10_000, 0, "1", "0.5", 0),
            (10_000, 10_000, "0.1", "0.5", 1_000),
            (10_000, 10_000, "0", "0.5", 0),
            (10_000, 10_000, "0.9", "0.5", 5_000),
            (10_000, 10_000, "7", "7", 10_000),
        ];
        for (price, paid, unspent, left, credited) in cases {
            let held = Held { price: usd(price), paid: usd(paid), unspent: ratio(unspent) };
            let quote = quote(Proration::BySecond, &change(&[held], &[]), left);
            assert_eq!(quote.credit, usd(-credited), "{price} {paid} {unspent} {left}");
        }
    }

    #[test]
    fn however_often_a_plan_is_changed_in_a_period_the_parts_are_what_was_served() {
        let prices = [1_000_i64, 3_333, 700, 9_999, 1, 2_500];
        let days = 31_i64;
        for step in 1..=7_i64 {
            let mut held = Held::paid(usd(prices[0]));
            let (mut collected, mut exact) = (held.paid.minor, Ratio::ZERO);
            let mut changes = 0;
            for (at, price) in (step..days).step_by(step as usize).zip(prices.iter().cycle().skip(1)) {
                let left = Ratio::new((days - at).into(), days.into()).unwrap_or(Ratio::ZERO);
                let quote = quote(Proration::ByDay, &change(&[held], &[usd(*price)]), &left.to_string());
                let served = Ratio::from(held.price.minor).times(Ratio::new(step.into(), days.into()).unwrap_or(left));
                exact = served.and_then(|served| exact.plus(served)).unwrap_or(exact);
                assert!(-quote.credit.minor <= held.paid.minor);
                collected += quote.net.minor;
                held = Held { price: usd(*price), paid: quote.charge, unspent: Ratio::ONE };
                changes += 1;
            }
            // The last plan is served to the end of the period, and is all that of it was charged.
            let owed = i64::try_from(exact.rounded(Rounding::HalfUp)).unwrap_or(i64::MAX) + held.paid.minor;
            assert!((collected - owed).abs() <= changes, "{step}: {collected} {owed}");
        }
    }

    #[test]
    fn once_is_charged_whole() {
        let change = Change { old: &[], new: &[usd(3_000)], once: &[usd(50_000)], anchor: Anchor::Kept };
        let quote = quote(Proration::ByDay, &change, "9/30");
        assert_eq!(quote.lines.iter().map(|it| it.of).collect::<Vec<_>>(), [Of::New(0), Of::Once(0)]);
        assert_eq!(amounts(&quote), [900, 50_000]);
    }

    #[test]
    fn what_is_left_is_counted_in_seconds_or_in_the_customers_days() {
        let zone = TimeZone::get("America/New_York").unwrap_or_else(|error| panic!("{error}"));
        // March in New York: 31 days, one of them of 23 hours.
        let period = Period { start: time("2024-03-01T05:00:00Z"), end: time("2024-04-01T04:00:00Z") };
        let left = |policy: Proration, at: &str| policy.left(period, time(at), &zone).to_string();
        assert_eq!(left(Proration::ByDay, "2024-03-16T03:59:59Z"), "17/31"); // still the 15th there
        assert_eq!(left(Proration::ByDay, "2024-03-16T04:00:00Z"), "16/31");
        assert_eq!(left(Proration::BySecond, "2024-03-16T04:00:00Z"), "384/743"); // hours
        for policy in [Proration::ByDay, Proration::BySecond] {
            assert_eq!(left(policy, "2024-02-01T00:00:00Z"), "1", "{policy:?}");
            assert_eq!(left(policy, "2024-03-01T05:00:00Z"), "1", "{policy:?}");
            assert_eq!(left(policy, "2024-04-01T04:00:00Z"), "0", "{policy:?}");
            assert_eq!(left(policy, "2025-01-01T00:00:00Z"), "0", "{policy:?}");
        }
    }

    #[test]
    fn a_period_of_no_length_does_not_panic() {
        let noon = time("2024-03-01T12:00:00Z");
        for (end, at) in [(noon, noon), (time("2024-02-01T12:00:00Z"), noon)] {
            let period = Period { start: noon, end };
            for policy in [Proration::ByDay, Proration::BySecond] {
                assert_eq!(policy.left(period, at, &TimeZone::UTC), Ratio::ZERO, "{policy:?}");
            }
        }
    }

    #[test]
    fn days_cost_their_part_of_the_period_in_which_a_last_day_is_or_is_not() {
        let date = |text: &str| text.parse().unwrap_or_else(|_| panic!("{text}"));
        let until = |start, end| Dates { start: date(start), end: date(end) };
        let through = |first, last| Dates::through(date(first), date(last));
        let quarter = until("2024-04-15", "2024-07-15");
        let cases = [
            (through("2024-05-20", "2024-06-20"), quarter, DayCount::Actual, 91_000, 32_000),
            (until("2024-05-20", "2024-06-20"), quarter, DayCount::Actual, 91_000, 31_000),
            (until("2012-07-10", "2012-07-20"), until("2012-06-30", "2012-07-31"), DayCount::Actual, 24_995, 8_063),
            (
                until("2023-05-15", "2023-05-23"),
                until("2023-04-23", "2023-05-23"),
                DayCount::FixedMonth(30),
                1_995,
                532,
            ),
            (through("2024-03-15", "2024-03-31"), through("2024-03-01", "2024-03-31"), DayCount::Actual, 1_000, 548),
            (until("2020-01-01", "2030-01-01"), quarter, DayCount::Actual, 91_000, 91_000),
            (until("2025-01-01", "2025-02-01"), quarter, DayCount::Actual, 91_000, 0),
            (quarter, until("2024-07-15", "2024-04-15"), DayCount::Actual, 91_000, 0),
        ];
        for (days, whole, count, price, expected) in cases {
            assert_eq!(price_of(days, whole, count, usd(price)), Some(usd(expected)), "{days:?} {whole:?}");
        }
    }

    #[test]
    fn a_credit_buys_days_and_one_begun_is_given_or_not() {
        // Credit, price, days it is for; days bought if one begun is given, if not.
        let cases = [
            (1_500, 6_000, 30, Some((8, 7))),
            (1_400, 6_000, 30, Some((7, 7))),
            (100, 3_600, 365, Some((11, 10))),
            (0, 6_000, 30, Some((0, 0))),
            (1, 0, 30, None),
            (-1, 6_000, 30, None),
            (-1, -1, 30, None),
            (i64::MAX, 1, 30, None),
        ];
        for (credit, price, days, expected) in cases {
            let bought = |rounding| days_bought(usd(credit), usd(price), days, rounding);
            let both = [Rounding::Up, Rounding::Down].map(bought);
            assert_eq!(both, expected.map_or([None, None], |(up, down)| [Some(up), Some(down)]), "{credit} {price}");
        }
        let euro = Money::new(1_500, Currency::from_code("EUR").unwrap_or_else(|| panic!("EUR")));
        assert_eq!(days_bought(euro, usd(6_000), 30, Rounding::Up), None);
    }
}
