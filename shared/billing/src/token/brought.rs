//! What came with a payment follows its money: it is taken back when all of that is gone, and comes back with it.

use super::{Grant, Tokens};
use crate::catalog::Plan;
use serde::{Deserialize, Serialize};

/// The tokens that came with a payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Brought {
    pub tokens: u64,
    /// How often they are carried over. None: always.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollovers: Option<u16>,
    /// The period that they came with, as the balance counts them.
    pub period: u32,
    /// How many were taken back, since the money is gone. None: it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken: Option<u64>,
}

impl Tokens {
    /// What came with the period of `plan` that has just begun.
    pub(crate) fn brought(&self, plan: &Plan) -> Option<Brought> {
        let tokens = plan.tokens_included?;
        Some(Brought { tokens, rollovers: plan.tokens_rollover, period: self.periods, taken: None })
    }

    /// The balance when the money that `brought` came with is `gone`, or is there after all; and what is to be known of it
    /// then. None: that is known.
    ///
    /// Those that were used are taken from the others, since nobody has paid for them: as many as came, and never more than
    /// there are. Those that have ended are neither taken nor put back: what there is instead, other money has paid for.
    pub(crate) fn following(&self, brought: Brought, gone: bool) -> Option<(Self, Brought)> {
        match brought.taken {
            None if gone => {
                let next = self.left_of(brought, brought.tokens).map_or_else(|| self.clone(), |it| self.without(it));
                let taken = Some(self.balance.saturating_sub(next.balance));
                Some((next, Brought { taken, ..brought }))
            }
            Some(taken) if !gone => {
                let next = self.left_of(brought, taken).map_or_else(|| self.clone(), |it| self.with(it));
                Some((next, Brought { taken: None, ..brought }))
            }
            None | Some(_) => None,
        }
    }

    /// So many of what was `brought`, as they are carried over from the period at hand. None: they have ended.
    fn left_of(&self, brought: Brought, tokens: u64) -> Option<Grant> {
        let Some(rollovers) = brought.rollovers else { return Some(Grant { tokens, rollovers: None }) };
        let since = self.periods.saturating_sub(brought.period);
        let rollovers = rollovers.checked_sub(u16::try_from(since).ok()?)?;
        Some(Grant { tokens, rollovers: Some(rollovers) })
    }

    /// Without as many: of what ends with them, then of what ends first.
    fn without(&self, gone: Grant) -> Self {
        let mut left = self.left();
        left.sort_by_key(|it| it.rollovers != gone.rollovers);
        super::take(&mut left, gone.tokens);
        self.made_of(left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{customer, plan};

    /// Of a plan with a thousand tokens a period, which are carried over so often.
    fn bundle(rollovers: Option<u16>) -> Plan {
        Plan { tokens_rollover: rollovers, ..plan("tokens-basic") }
    }

    /// The balance after so many periods of bundles, and what came with each.
    fn periods(number: usize, rollovers: Option<u16>) -> (Tokens, Vec<Brought>) {
        let (mut held, mut all) = (Tokens::none(customer()), vec![]);
        for _ in 0..number {
            held = next(&held, &bundle(rollovers));
            all.extend(held.brought(&bundle(rollovers)));
        }
        (held, all)
    }

    fn next(held: &Tokens, plan: &Plan) -> Tokens {
        held.granted(plan).unwrap_or_else(|| panic!("nothing changes with a period of {}", plan.id))
    }

    fn after(held: &Tokens, consumed: u64) -> Tokens {
        Tokens { balance: held.balance - consumed, ..held.clone() }
    }

    fn gone(held: &Tokens, brought: Brought) -> (Tokens, Brought) {
        held.following(brought, true).unwrap_or_else(|| panic!("{brought:?} was gone"))
    }

    fn back(held: &Tokens, brought: Brought) -> (Tokens, Brought) {
        held.following(brought, false).unwrap_or_else(|| panic!("{brought:?} was there"))
    }

    #[test]
    fn as_many_are_taken_as_came_and_no_more_than_there_are_and_once() {
        for (consumed, left) in [(0, 1_000), (600, 400), (1_000, 0), (1_500, 0), (2_000, 0)] {
            for first in [true, false] {
                let (held, all) = periods(2, None);
                let brought = if first { all[0] } else { all[1] };
                let held = after(&held, consumed);
                let (taken, known) = gone(&held, brought);
                assert_eq!((taken.balance, known.taken), (left, Some(held.balance - left)), "{consumed}");
                assert_eq!(taken.following(known, true), None);
                let (again, known) = back(&taken, known);
                assert_eq!((again.balance, known), (held.balance, brought), "{consumed}");
                assert_eq!(again.following(known, false), None);
            }
        }
    }

    #[test]
    fn what_has_ended_is_neither_taken_nor_put_back() {
        for (rollovers, ended_after) in [(Some(0), 1), (Some(1), 2), (Some(2), 3), (None, usize::MAX)] {
            for since in 0..5 {
                let (held, all) = periods(1 + since, rollovers);
                let (taken, known) = gone(&held, all[0]);
                let left = if since < ended_after { held.balance - 1_000 } else { held.balance };
                assert_eq!(taken.balance, left, "{rollovers:?}, {since}");
                assert_eq!(back(&taken, known).0, held, "{rollovers:?}, {since}");
                // What is taken at once, and comes back only then.
                let (mut later, known) = gone(&periods(1, rollovers).0, all[0]);
                for _ in 0..since {
                    later = next(&later, &bundle(rollovers));
                }
                let expected = if since < ended_after { later.balance + 1_000 } else { later.balance };
                assert_eq!(back(&later, known).0.balance, expected, "{rollovers:?}, {since}");
            }
        }
    }

    #[test]
    fn its_own_are_taken_before_those_that_end_sooner() {
        // 400 of the first thousand end with this period, and the second thousand with the next.
        let (held, all) = periods(2, Some(1));
        let held = after(&held, 600);
        let balances = |(taken, _): (Tokens, Brought)| (taken.balance, next(&taken, &plan("estates-starter")).balance);
        assert_eq!(balances(gone(&held, all[1])), (400, 0));
        // Of the first there are 400 left: the 600 that were used are taken from the second.
        assert_eq!(balances(gone(&held, all[0])), (400, 400));
    }

    #[test]
    fn what_comes_back_ends_when_it_would_have_ended() {
        let (held, all) = periods(1, Some(1));
        let (taken, known) = gone(&held, all[0]);
        let flat = plan("estates-starter");
        let again = back(&next(&taken, &flat), known).0;
        assert_eq!((again.balance, next(&again, &flat).balance), (1_000, 0));
    }

    /// Whatever there is of them: all used, or set to something else by staff.
    #[test]
    fn periods_are_counted_until_what_came_has_ended() {
        let flat = plan("estates-starter");
        let (held, all) = periods(1, Some(1));
        for held in [after(&held, 1_000), after(&held, 1_000).set(0, &flat), held.set(500, &bundle(Some(0)))] {
            let last = next(&held, &flat);
            let later = next(&next(&last, &flat), &bundle(None));
            assert_eq!(gone(&later, all[0]).0.balance, 1_000, "{held:?}");
            // From then on there is nothing to count.
            assert_eq!(next(&last, &flat).granted(&flat), None, "{held:?}");
        }
    }

    #[test]
    fn nothing_is_beyond_counting() {
        let (held, all) = periods(1, None);
        let full = Tokens { balance: u64::MAX, ..held };
        let (taken, known) = gone(&full, all[0]);
        assert_eq!(taken.balance, u64::MAX - 1_000);
        assert_eq!(back(&Tokens { balance: u64::MAX, ..taken }, known).0.balance, u64::MAX);
    }
}
