//! The table of a subscription's transitions, and what each needs.

use super::payments::is_disputed;
use super::suspension::runs;
use super::{Changes, Checked, check, granted};
use crate::faults::{DAY, MINUTE};
use crate::world::State;
use billing::dunning::Dunning;
use billing::outcome::{DisputeStanding, Remedy};
use billing::payment::{Payment, PaymentStatus};
use billing::ports::Record;
use billing::ratio::{Ratio, Rounding};
use billing::subscription::{CancelReason, Event, Status, Subscription, Worth};
use jiff::Timestamp;

/// PRODUCT 9: how long who owes is served after the last attempt failed.
const GRACE: i64 = 3 * DAY;

/// The least that is charged, in kobo: what the simulation's customers pay in.
pub(super) const LEAST: i64 = 80_000;

/// Whether a subscription may begin as `new`: as ordered, as a trial, taken over, or for nothing, if nothing is left to charge.
pub(super) fn begins(changes: &Changes, before: Option<&Subscription>, new: &Subscription) -> bool {
    let balance = before.map_or(0, |old| old.balance(new.order.price.amount.currency).minor);
    let free = || changes.granted().is_some() && new.order.amount().is_ok_and(|price| price.minor - balance < LEAST);
    matches!(new.status, Status::Incomplete) || new.is_trialing() || changes.taken_over() || free()
}

impl State {
    pub(super) fn moved(&self, changes: &Changes, old: &Subscription, new: &Subscription) -> Checked {
        use Status::{Active, Canceled, Expired, Incomplete, PastDue, Paused};
        let told = || format!("{} was {:?} and is {:?}", new.id, old.status, new.status);
        if old.id != new.id {
            let ended = matches!(old.status, Canceled { .. } | Expired { .. });
            check(ended && new.id == old.id.next() && begins(changes, Some(old), new), "I-13", told)?;
            self.goes_on(changes, old, new)?;
            return self.conserved(new);
        }
        let legal = match (&old.status, &new.status) {
            (Incomplete | Expired { term: None, .. }, Incomplete | Active { .. })
            | (Incomplete, Canceled { .. } | Expired { term: None, .. })
            | (Active { .. } | PastDue { .. }, Active { .. } | PastDue { .. } | Canceled { .. })
            | (Active { .. }, Expired { term: Some(_), .. } | Paused { .. })
            | (Paused { .. }, Active { .. } | Canceled { .. }) => true,
            (Canceled { .. } | Expired { .. } | Paused { .. }, _) => old.status == new.status,
            (Incomplete | Active { .. } | PastDue { .. }, _) => false,
        };
        let absorbing = if matches!(old.status, Canceled { .. }) { "I-11" } else { "I-13" };
        check(legal && (!matches!(old.status, Canceled { .. }) || old.status == new.status), absorbing, told)?;

        let (before, after) = (old.term(), new.term());
        let grants = changes.events().filter(|event| granted(event).is_some()).count();
        let expected = match (before, after) {
            (None, None) => 0,
            (None, Some(_)) => 1,
            (Some(before), Some(after)) => usize::from(before != after),
            (Some(_), None) => usize::MAX,
        };
        // A change of interval begins a period too.
        let moved = usize::from(
            changes
                .events()
                .any(|event| matches!(event, Event::Changed { becomes, .. } if Some(becomes.term) != before)),
        );
        // So does a trial; and one that was paused goes on.
        let tried = usize::from(changes.events().any(|event| matches!(event, Event::TrialStarted { .. })));
        let went_on = usize::from(changes.events().any(|event| matches!(event, Event::Unpaused { .. })));
        let otherwise = usize::from(changes.events().any(|event| matches!(event, Event::EndMoved { .. })));
        let taken_over = usize::from(changes.taken_over());
        check(grants + moved + tried + went_on + otherwise + taken_over == expected, "I-10", told)?;
        self.goes_on(changes, old, new)?;
        self.conserved(new)?;
        if let Some(payment) = changes.changed() {
            let paid = changes.payments().any(|it| it.id == *payment && it.is_settled());
            check(paid, "I-2", || format!("{payment} pays for a change and is not paid in the same commit"))?;
            // Who was told when it ends, and that nothing more is charged, is not held for longer.
            let leaves = matches!(old.status, Active { cancel_at_period_end: true, .. }) || !old.disputed.is_empty();
            check(!leaves, "P-8", || format!("{payment} changes {}, which is to end", old.id))?;
        }
        if let Some(payment) = changes.granted() {
            let next = before.map_or(0, |term| term.index + 1);
            let other_interval = old.next_order().price.interval != old.order.price.interval;
            let same_anchor = before.is_none_or(|before| after.is_some_and(|after| after.anchor == before.anchor));
            let restored = changes.events().any(|event| matches!(event, Event::Restored { .. }));
            let same_anchor = same_anchor || other_interval || restored;
            let same_anchor = same_anchor || before.is_some_and(|before| before.until.is_some());
            let by_one = after.is_some_and(|term| term.index == next) && payment.period == next && same_anchor;
            check(by_one, "I-10", || format!("{payment} leads from {before:?} to {after:?}"))?;
            let paid = changes.payments().any(|it| it.id == *payment && it.is_settled());
            let currency = new.order.price.amount.currency;
            let used = old.usage_charges.iter().filter(|line| line.amount.currency == currency);
            let used: i64 = used.map(|line| line.amount.minor).sum();
            let price = new.order.amount().map_or(i64::MAX, |price| price.minor);
            let (had, has) = (old.balance(currency).minor, new.balance(currency).minor);
            // All of it, but for what is too small to be charged. What was used before makes no gift one that has to be
            // paid for.
            let due = if before.is_none() { price } else { price + used };
            let from_balance = !paid && had > due - LEAST && has == had - price - used;
            check(paid || from_balance, "I-2", || format!("{payment} is granted and not paid in the same commit"))?;
            let included = new.order.plan.tokens_included.unwrap_or(0);
            let with_tokens = changes.list.iter().any(|(_, new)| matches!(new, Record::Tokens(_)));
            check(with_tokens || included == 0, "I-16", || format!("{payment} is granted without its tokens"))?;
        }
        if let (Active { cancel_at_period_end: true, .. }, Active { cancel_at_period_end: false, .. }) =
            (&old.status, &new.status)
        {
            let revoked = changes.events().any(|event| *event == Event::CancellationRevoked);
            check(revoked, "I-13", || format!("{} forgets that it is to end", new.id))?;
        }
        if runs(old) && !runs(new) {
            self.ended(changes, old, new)?;
        }
        self.is_suspended(changes, old, new)?;
        self.goes_down(changes, old, new)?;
        self.unpaid(new)
    }

    /// Who is paused for a time has that much more of the period, to the instant (P-8); and there is one trial (P-9).
    fn goes_on(&self, changes: &Changes, old: &Subscription, new: &Subscription) -> Checked {
        self.restored(changes, old, new)?;
        if let (Status::Paused { at: since, .. }, Status::Active { .. }) = (&old.status, &new.status) {
            let at = changes.events().find_map(|it| if let Event::Unpaused { at } = it { Some(*at) } else { None });
            let left = |it: &Subscription, at: Option<Timestamp>| {
                it.period().zip(at).map(|(it, at)| it.end.duration_since(at))
            };
            check(left(old, Some(*since)) == left(new, at), "P-8", || format!("{} lost time in a pause", new.id))?;
        }
        for event in changes.events() {
            if let Event::EndMoved { at, end } = event {
                self.ends_otherwise(old, new, *at, *end)?;
            }
        }
        let begins = changes.events().any(|event| matches!(event, Event::TrialStarted { .. }));
        check(!begins || !old.had_trial, "P-9", || format!("{} has a second trial", new.id))
    }

    /// The period is the same but for its end, and what is left of what was paid for it is what was left before: nothing
    /// is credited by that, then or later (P-8, I-6).
    fn ends_otherwise(&self, old: &Subscription, new: &Subscription, at: Timestamp, end: Timestamp) -> Checked {
        let told = || format!("{} was {:?} worth {:?} and is {:?}", new.id, old.status, old.worth, new.status);
        let (Some(before), Some(after)) = (old.period(), new.period()) else { return check(false, "P-8", told) };
        let number = |it: &Subscription| it.term().map(|term| term.index);
        let same = (before.start, number(old)) == (after.start, number(new)) && old.order == new.order;
        let runs = old.open.is_none() && at < before.end && at < end;
        check(same && after.end == end && runs, "P-8", told)?;
        let reminded =
            new.is_trialing() && (new.reminded || new.trial.map(|it| it.ends_at(&new.time_zone)) != Some(end));
        check(!reminded, "P-9", || format!("who is trying out {} is not told of its new end", new.id))?;

        let rest = left_at(old, at);
        let worth = new.worth.filter(|it| it.at == at).map(|it| it.amount.minor);
        check(worth == Some(rest) && old.balances == new.balances, "I-6", || {
            format!("{rest} is left of {}, and is worth {worth:?} with another end", new.id)
        })
    }

    /// All that we hold of a customer's money was paid for a period, and is neither credited nor given back, or is their
    /// balance (I-6).
    fn conserved(&self, new: &Subscription) -> Checked {
        let currency = new.order.price.amount.currency;
        let payments = self.records.values().filter_map(|record| match record {
            Record::Payment(it) if it.customer == new.customer && it.amount.currency == currency => it.paid(),
            _ => None,
        });
        let held: i64 = payments.filter_map(|it| it.counted_on).sum();
        // So it is with what somebody vouches for that was paid elsewhere.
        let vouched_for = self.records.values().filter_map(|record| match record {
            Record::History { customer, event: Event::TakenOver { paid, .. }, .. } if *customer == new.customer => {
                (paid.currency == currency).then_some(paid.minor)
            }
            _ => None,
        });
        let held = held + vouched_for.sum::<i64>();
        let funds = || new.funds.iter().filter(|it| it.left.currency == currency);
        let sound = funds().all(|it| it.left.minor >= 0 && it.short >= 0);
        let (paid_for, balance) = (funds().map(|it| it.left.minor).sum::<i64>(), new.balance(currency).minor);
        check(sound && held == paid_for + balance, "I-6", || {
            format!("of {} {held} is held, but {paid_for} paid for periods and {balance} is left", new.id)
        })
    }

    /// What runs does so until there is a reason to end it.
    fn ended(&self, changes: &Changes, old: &Subscription, new: &Subscription) -> Checked {
        let told = || format!("{} was {:?} and is {:?}", new.id, old.status, new.status);
        match (&old.status, &new.status) {
            (_, Status::Canceled { reason: CancelReason::Disputed, .. }) => {
                let disputed = self.payments_of(&new.customer, &new.id).any(|it| is_disputed(it) || is_lost(it));
                check(disputed, "P-18", told)
            }
            // Served until every attempt failed, and through grace; then waited for through suspension (I-12).
            (
                Status::PastDue { dunning: Dunning::Suspended { .. }, .. },
                Status::Canceled { reason: CancelReason::Unpaid, .. },
            ) => {
                let until = self.suspended(old).map(Timestamp::as_millisecond);
                let over = !self.faults.clocks_right || until.is_some_and(|until| self.now >= until);
                check(over, "I-12", told)?;
                self.tried_all(changes, new)
            }
            (_, Status::Canceled { reason: CancelReason::Unpaid, .. }) => check(false, "I-12", told),
            _ => Ok(()),
        }
    }

    /// Nothing is left that could have been charged (I-12).
    pub(super) fn tried_all(&self, changes: &Changes, new: &Subscription) -> Checked {
        let mut untried = self.untried(new, changes.task.began_at_step);
        let asked = new.failures.last().is_some_and(|last| last.remedy == Remedy::AskCustomer);
        let method = untried.next().filter(|_| new.failures.len() < 4 && !asked);
        check(method.is_none(), "I-12", || {
            format!("{} is {:?}, and {:?} was never charged", new.id, new.status, method.map(|it| &it.token))
        })
    }

    /// Four attempts and no more; then grace, which begins once, and whose end nothing puts off (I-12).
    fn unpaid(&self, new: &Subscription) -> Checked {
        let told = || format!("{} is {:?}, due {:?}", new.id, new.status, new.due_at());
        match &new.status {
            Status::PastDue { dunning: Dunning::Retry { .. }, .. } => {
                check(new.failures.len() < 4 || new.open.is_some(), "I-12", told)
            }
            Status::PastDue { term, dunning: Dunning::Grace { ends_at } } => {
                let due_at = new.held_until.map_or(*ends_at, |held_until| held_until.max(*ends_at));
                let first = self.grace.get(&(new.id.clone(), term.index));
                let whole = first.is_some_and(|(first, began)| {
                    let lasts = first.as_millisecond() - began;
                    let right = (GRACE - 2 * MINUTE..=GRACE).contains(&lasts) || !self.faults.clocks_right;
                    right && first == ends_at
                });
                check(whole && new.due_at() == Some(due_at), "I-12", told)
            }
            Status::PastDue { dunning: Dunning::Suspended { until }, .. } => {
                let due_at = new.held_until.map_or(*until, |held_until| held_until.max(*until));
                check(new.due_at() == Some(due_at), "I-12", told)
            }
            _ => Ok(()),
        }
    }
}

/// What is left at `at` of what was paid for the period at hand, and is held yet: in minor units.
pub(super) fn left_at(it: &Subscription, at: Timestamp) -> i64 {
    let (Some(period), Some(term)) = (it.period(), it.term()) else { return 0 };
    let price = it.order.amount().unwrap_or(it.order.price.amount);
    let whole = Worth { amount: price, at: period.start, by: it.order.plan.proration };
    let paid_with = it.worth.unwrap_or(whole);
    let left = |from| paid_with.by.left(period, from, &it.time_zone);
    // Nothing is left of the last second; and by a clock that is behind not more than there was.
    let part = left(at).over(left(paid_with.at)).map_or(Ratio::ZERO, |part| part.min(Ratio::ONE));
    let rest = Ratio::from(paid_with.amount.minor).times(part).map_or(0, |rest| rest.rounded(Rounding::HalfUp));
    let fund = it.funds.iter().find(|fund| fund.subscription == it.id.number && fund.period == term.index);
    // What was paid for what had been used is nobody's to have back.
    let held = fund.map_or(paid_with.amount.minor, |fund| (fund.left.minor - fund.used_up).max(0));
    i64::try_from(rest.min(held.into())).unwrap_or(i64::MAX)
}

fn is_lost(payment: &Payment) -> bool {
    match &payment.status {
        PaymentStatus::Paid(paid) => paid.dispute().is_some_and(|it| it.standing == DisputeStanding::Lost),
        _ => false,
    }
}
