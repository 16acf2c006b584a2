//! Campaigns: dunning by what a customer owes in all, rather than by payment.
//!
//! For invoices that the customer pays themselves: small ones are left to add
//! up until they are worth a letter (Lago: dunning campaigns).

use crate::money::{Currency, Money};
use jiff::ToSpan;
use jiff::civil::Date;

/// When a customer is asked for what is overdue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Campaign {
    /// How often, for each currency.
    pub most_attempts: u32,
    /// Whole days that have to pass between two.
    pub days_between: u16,
    /// From how much on, one for each currency that is dunned for at all.
    pub thresholds: Vec<Money>,
}

/// What an unpaid invoice asks for, and by when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owed {
    pub due: Date,
    pub amount: Money,
}

/// One request, for all that is overdue in its currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    pub on: Date,
    pub amount: Money,
}

impl Owed {
    /// The day after it was due: on that day it could still be paid in time.
    pub fn overdue_from(self) -> Date {
        self.due.saturating_add(1.day())
    }
}

/// By when an invoice of `date` is due that leaves `days` to pay.
pub fn due(date: Date, days: u16) -> Date {
    date.saturating_add(i64::from(days).days())
}

impl Campaign {
    /// What is asked for on `today`, after `made`: each currency whose overdue sum has reached its threshold, that
    /// was not asked for too often nor too lately. Nothing is asked for twice on a day.
    ///
    /// None: more is owed than can be counted.
    pub fn attempts(&self, owed: &[Owed], made: &[Attempt], today: Date) -> Option<Vec<Attempt>> {
        let mut attempts = vec![];
        for threshold in &self.thresholds {
            let amount = overdue(owed, threshold.currency, today)?;
            if amount.minor >= threshold.minor && self.is_open(made, threshold.currency, today) {
                attempts.push(Attempt { on: today, amount });
            }
        }
        Some(attempts)
    }

    /// Whether nothing more will be asked for: what is overdue was asked for as often as it may be.
    pub fn is_finished(&self, owed: &[Owed], made: &[Attempt], today: Date) -> Option<bool> {
        let mut reached = vec![];
        for threshold in &self.thresholds {
            if overdue(owed, threshold.currency, today)?.minor >= threshold.minor {
                reached.push(threshold.currency);
            }
        }
        Some(!reached.is_empty() && reached.iter().all(|currency| self.is_exhausted(made, *currency)))
    }

    fn is_open(&self, made: &[Attempt], currency: Currency, today: Date) -> bool {
        let last = made.iter().filter(|attempt| attempt.amount.currency == currency).map(|attempt| attempt.on).max();
        let rested = last.is_none_or(|last| last.saturating_add(i64::from(self.days_between).days()) < today);
        rested && !self.is_exhausted(made, currency)
    }

    fn is_exhausted(&self, made: &[Attempt], currency: Currency) -> bool {
        let most = usize::try_from(self.most_attempts).unwrap_or(usize::MAX);
        made.iter().filter(|attempt| attempt.amount.currency == currency).count() >= most
    }
}

fn overdue(owed: &[Owed], currency: Currency, today: Date) -> Option<Money> {
    let late = owed.iter().filter(|owed| owed.amount.currency == currency && owed.overdue_from() <= today);
    Money::sum(currency, late.map(|owed| owed.amount))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn money(minor: i64, code: &str) -> Money {
        Money::new(minor, Currency::from_code(code).unwrap_or_else(|| panic!("{code}")))
    }

    fn day(day: i8) -> Date {
        jiff::civil::date(2025, 1, day)
    }

    /// Two attempts, three days apart, from 150 euros or 100 dollars on.
    fn campaign() -> Campaign {
        Campaign { most_attempts: 2, days_between: 2, thresholds: vec![money(15_000, "EUR"), money(10_000, "USD")] }
    }

    fn asked(owed: &[Owed], days: &[i8]) -> Vec<(i8, i64)> {
        let mut made = vec![];
        for today in days {
            let now = campaign().attempts(owed, &made, day(*today)).unwrap_or_else(|| panic!("beyond counting"));
            made.extend(now);
        }
        made.iter().map(|attempt| (attempt.on.day(), attempt.amount.minor)).collect()
    }

    #[test]
    fn little_is_left_to_add_up_and_nobody_is_asked_without_end() {
        let owed =
            [Owed { due: day(3), amount: money(14_900, "EUR") }, Owed { due: day(6), amount: money(100, "EUR") }];
        assert_eq!(asked(&owed, &[4, 5, 6]), []);
        assert_eq!(asked(&owed, &[4, 7, 8, 9, 10, 13, 20]), [(7, 15_000), (10, 15_000)]);
    }

    #[test]
    fn currencies_are_counted_apart_and_the_campaign_ends_when_all_are_exhausted() {
        let owed =
            [Owed { due: day(1), amount: money(15_000, "EUR") }, Owed { due: day(5), amount: money(10_000, "USD") }];
        assert_eq!(asked(&owed, &[2, 6, 9]), [(2, 15_000), (6, 15_000), (6, 10_000), (9, 10_000)]);
        let of = |on: i8, code: &str| Attempt { on: day(on), amount: money(1, code) };
        let (euros, all) = ([of(2, "EUR"), of(5, "EUR")], [of(2, "EUR"), of(5, "EUR"), of(6, "USD"), of(9, "USD")]);
        let finished = |made: &[Attempt], today| campaign().is_finished(&owed, made, day(today));
        assert_eq!((finished(&[], 1), finished(&euros, 5)), (Some(false), Some(true)));
        assert_eq!((finished(&euros, 6), finished(&all, 9)), (Some(false), Some(true)));
    }

    #[test]
    fn what_is_beyond_counting_or_the_calendar_does_not_panic() {
        let all = [Owed { due: Date::MAX, amount: money(i64::MAX, "EUR") }; 2];
        assert_eq!(campaign().attempts(&all, &[], Date::MAX), None);
        assert_eq!(due(Date::MAX, u16::MAX), Date::MAX);
    }
}
