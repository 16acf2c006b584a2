//! A smaller plan, or fewer of an add-on: asking what stands in the way changes nothing; what is used beyond what it allows
//! stands in the way; and within a period it is made with a credit for what is left (I-14). Of what is used up nothing is
//! credited by a change that begins another period, where the counters start at zero (I-6).

use super::allowed::limit_of;
use super::shards::whole;
use super::subscriptions::left_at;
use super::usage::period_of;
use super::{Changes, Checked, check};
use crate::jobs::{Done, Job};
use crate::world::State;
use billing::catalog::MeterKind;
use billing::downgrade::Downgrade;
use billing::id::{AddonId, CustomerId, FamilyId, MeterId, PeriodId, PlanId};
use billing::payment::Payment;
use billing::ports::{Key, Record, Wanted};
use billing::proration::Proration;
use billing::ratio::{Ratio, Rounding};
use billing::subscription::{Becomes, Effective, Event, Order, Status, Subscription};
use billing::usage::MeterUsage;
use billing::workflow::{ChangeError, Wish};
use std::collections::BTreeSet;

/// A plan of a lower tier, or fewer of an add-on and all else the same.
fn is_down(from: &Order, to: &Order) -> bool {
    let same = from.price.interval == to.price.interval && from.quantity == to.quantity;
    let left = |id: &AddonId| to.addons.iter().filter(|it| it.addon.id == *id).map(|it| it.quantity).sum::<u32>();
    let fewer = || from.addons.iter().any(|it| left(&it.addon.id) < it.quantity);
    match from.plan.id == to.plan.id {
        true => same && fewer(),
        false => to.plan.tier < from.plan.tier,
    }
}

/// That, or less of anything, as where an add-on does not go along.
fn has_less(from: &Order, to: &Order) -> bool {
    is_down(from, to) || from.limits().keys().any(|meter| limit_of(to, meter) < limit_of(from, meter))
}

/// What is used of a meter in the period at hand; of a level, whenever.
fn used_in(it: &MeterUsage, period: &PeriodId) -> u64 {
    match (&it.period, &it.before) {
        (None, _) => it.value,
        (Some(of), _) if of == period => it.value,
        (_, Some((of, value))) if of == period => *value,
        _ => 0,
    }
}

impl State {
    /// What whoever may make something smaller has read of what is used.
    pub(crate) fn reads_levels(&mut self, task: u64, keys: &[Key]) {
        let Some(notes) = self.tasks.get_mut(&task).filter(|notes| notes.may_make_smaller) else { return };
        for key in keys {
            let (Key::Usage(customer, meter) | Key::Shard(customer, meter, _)) = key else { continue };
            notes.levels.push((meter.clone(), whole(&self.records, customer, meter)));
        }
    }

    /// How much of `meter` the task has read to be in use: what it read last may not be what it decided by.
    fn level(&self, changes: &Changes, meter: &MeterId, period: &PeriodId) -> Option<u64> {
        let read = changes.task.levels.iter().filter(|(of, _)| of == meter);
        read.map(|(_, it)| it.as_ref().map_or(0, |it| used_in(it, period))).min()
    }

    /// Whoever decides that something becomes smaller has seen that there is room for what is used, and gives credit.
    pub(super) fn goes_down(&self, changes: &Changes, old: &Subscription, new: &Subscription) -> Checked {
        if old.id != new.id {
            return Ok(());
        }
        let decided = new.changing.as_deref().filter(|it| old.changing.as_deref() != Some(it)).map(|it| &it.becomes);
        let made = changes.events().find_map(|event| match event {
            Event::Changed { payment: None, becomes, .. } => Some(&**becomes),
            _ => None,
        });
        let becomes = decided.or(made);
        if let Some(becomes) = becomes {
            let most = self.most_credited(changes, old, becomes);
            check(becomes.credit.minor <= most, "I-6", || {
                format!("{} is credited of {}, of which {most} is not used up", becomes.credit, old.id)
            })?;
        }
        if let Some(becomes) = becomes.filter(|it| has_less(&old.order, &it.order)) {
            self.is_room(changes, old, &becomes.order, Effective::Now)?;
        }
        if let Some(becomes) = becomes.filter(|it| is_down(&old.order, &it.order)) {
            self.is_credited(changes, old, becomes)?;
        }
        let scheduled = changes.events().any(|event| matches!(event, Event::ChangeScheduled { .. }));
        if let Some(order) = new.scheduled.as_deref().filter(|it| scheduled && has_less(&old.order, it)) {
            self.is_room(changes, old, order, Effective::PeriodEnd)?;
        }
        // It is asked for again when the next period begins, or is charged for.
        let begins = changes.granted().is_some() && old.open.is_none();
        let charged = |it: &Payment| Some(&it.id) == new.open.as_ref() && it.charged_method().is_some();
        let charges = old.open.is_none() && new.changing.is_none() && changes.payments().any(charged);
        let first = old.attempts == 0 && (begins || charges);
        if let Some(order) = old.scheduled.as_deref().filter(|it| first && has_less(&old.order, it)) {
            self.is_room(changes, old, order, Effective::PeriodEnd)?;
        }
        Ok(())
    }

    /// Nothing that whoever made it smaller has read is above what it allows. What is counted starts at zero with a period.
    fn is_room(&self, changes: &Changes, old: &Subscription, to: &Order, effective: Effective) -> Checked {
        let Some(period) = period_of(old) else { return Ok(()) };
        for (meter, kind) in self.meters_of(&old.order.plan.family) {
            if kind == MeterKind::Counter && effective == Effective::PeriodEnd {
                continue;
            }
            let (used, most) = (self.level(changes, &meter, &period), limit_of(to, &meter));
            check(used.is_some_and(|used| used <= most), "I-14", || {
                format!("{} goes down to {} of {meter}, and {used:?} are in use", old.id, most)
            })?;
        }
        Ok(())
    }

    /// What can be credited at most, whenever that is: of each part's price, and of what was paid, as much as is left of the
    /// counter that was used up most, as far as whoever decided has read. Where the period goes on, its counters do too.
    fn most_credited(&self, changes: &Changes, old: &Subscription, becomes: &Becomes) -> i64 {
        let (Some(period), Ok(lines)) = (period_of(old), old.order.lines()) else { return i64::MAX };
        if period.index == becomes.term.index {
            return i64::MAX;
        }
        let unused = |(meter, kind): (MeterId, MeterKind)| {
            let most = limit_of(&old.order, &meter);
            let used = self.level(changes, &meter, &period).unwrap_or(most);
            let is_used_up = kind == MeterKind::Counter && (1..u64::MAX).contains(&most);
            is_used_up.then(|| (i128::from(most.saturating_sub(used)), i128::from(most)))
        };
        let shares = self.meters_of(&old.order.plan.family).into_iter().filter_map(unused);
        let Some((left, of)) = shares.min_by_key(|(left, of)| Ratio::new(*left, *of)) else { return i64::MAX };
        // Half up.
        let part = |minor: i64| (2 * i128::from(minor) * left + of) / (2 * of);
        let price: i64 = lines.iter().map(|(_, price)| price.minor).sum();
        let fund = old.funds.iter().find(|it| it.subscription == old.id.number && it.period == period.index);
        let paid = fund.map_or(price, |it| (it.left.minor - it.used_up).max(0));
        let of_parts: i128 = lines.iter().map(|(_, price)| part(price.minor)).sum();
        i64::try_from(of_parts.min(part(paid))).unwrap_or(i64::MAX)
    }

    fn meters_of(&self, family: &FamilyId) -> Vec<(MeterId, MeterKind)> {
        match self.records.get(&Key::Family(family.clone())) {
            Some(Record::Family(it)) => it.family.meters.iter().map(|it| (it.id.clone(), it.kind)).collect(),
            _ => vec![],
        }
    }

    /// What is left of what was paid for the period is the customer's again, as far as what they had ends.
    fn is_credited(&self, changes: &Changes, old: &Subscription, becomes: &Becomes) -> Checked {
        let Some(period) = old.period().filter(|_| !old.is_trialing()) else { return Ok(()) };
        let policy = old.order.plan.proration;
        let (all, other_plan) = (left_at(old, becomes.at), old.order.plan.id != becomes.order.plan.id);
        // What was changed before may have been reckoned by another policy: no more is credited than by this one.
        let price = Ratio::from(old.order.amount().map_or(0, |price| price.minor));
        let quoted =
            price.times(policy.left(period, becomes.at, &old.time_zone)).map_or(0, |it| it.rounded(Rounding::Down));
        let quoted = i64::try_from(quoted).unwrap_or(i64::MAX);
        let told = || format!("{} of {all} is credited of {} when it becomes {becomes:?}", becomes.credit, old.id);
        if policy == Proration::None {
            // Who sells it so credits nothing, and charges nothing either.
            return check(becomes.credit.minor == 0 && becomes.charge.minor == 0, "I-14", told);
        }
        // Rounding may take a minor unit of each line; of fewer of an add-on only its own ends.
        let lines = i64::try_from(1 + old.order.addons.len()).unwrap_or(i64::MAX);
        let most = all.min(quoted).min(self.most_credited(changes, old, becomes));
        let least = if other_plan { most - lines } else { 0 };
        check((least.max(0)..=all).contains(&becomes.credit.minor), "I-14", told)
    }

    /// Who asks whether they may go down to another plan is told what the figures say, and nothing is another by it.
    pub(crate) fn is_advised(&mut self, wish: &Wish) {
        let Some(subscription) = self.subscription(&wish.customer).filter(|it| it.is_live()).cloned() else { return };
        let (family, tier) = (&subscription.order.plan.family, subscription.order.plan.tier);
        let lower = self.records.values().filter_map(|record| match record {
            Record::Plan(it) if it.plan.family == *family && it.plan.tier < tier => Some(it.plan.id.clone()),
            _ => None,
        });
        for plan in lower.collect::<Vec<_>>() {
            let (advice, wrong) =
                self.ask_as(&wish.customer, async |billing| billing.validate_downgrade(&wish.customer, &plan).await);
            if let Some(wrong) = wrong {
                self.breach("I-14", format!("whether {} may go down to {plan}: {wrong}", wish.customer));
            }
            match advice {
                Ok(advice) if self.says(&subscription, &wish.customer, &plan, &advice.downgrade) => {
                    let blocked = !advice.downgrade.can_downgrade;
                    self.happened.insert(if blocked { "told what is in the way" } else { "told that nothing is" });
                }
                told => self.breach("I-14", format!("whether {} may go down to {plan}: {told:?}", wish.customer)),
            }
        }
    }

    /// Whether what is told to stand in the way is what is above the limits of `plan`.
    fn says(&self, held: &Subscription, customer: &CustomerId, plan: &PlanId, told: &Downgrade) -> bool {
        let (Some(paid), Some(Record::Plan(to))) = (period_of(held), self.records.get(&Key::Plan(plan.clone()))) else {
            return false;
        };
        // Who is served on has nothing used in the period that comes.
        let is_over = held.period().is_some_and(|it| it.end.as_millisecond() <= self.now);
        let period = PeriodId { index: paid.index + u32::from(is_over && goes_on(held)), ..paid };
        let meters = self.meters_of(&held.order.plan.family);
        let usage = |meter: &MeterId| whole(&self.records, customer, meter);
        // What of the add-ons goes along is another story; and so is what was counted in the period that comes, by whoever
        // found this one over.
        let comes = |it: &MeterUsage| it.period.as_ref().is_some_and(|of| *of > period);
        if !held.order.addons.is_empty() || meters.iter().any(|(meter, _)| usage(meter).is_some_and(|it| comes(&it))) {
            return true;
        }
        let to = Order { plan: to.plan.clone(), ..held.order.clone() };
        let above = meters.into_iter().filter(|(meter, _)| {
            let used = usage(meter).map_or(0, |it| used_in(&it, &period));
            used > limit_of(&to, meter)
        });
        let above: Vec<(MeterId, MeterKind)> = above.collect();
        let named: BTreeSet<&MeterId> = told.exceeds.iter().map(|it| &it.resource).collect();
        let gauges = above.iter().any(|(_, kind)| *kind == MeterKind::Gauge);
        let same = named == above.iter().map(|(meter, _)| meter).collect();
        same && told.can_downgrade == above.is_empty() && !(gauges && told.can_downgrade_at_period_end)
    }

    /// Who is told that something stands in the way has changed nothing.
    pub(crate) fn is_refused_unchanged(&mut self, task: u64, done: &Done) {
        let Done::Changed(Err(error @ (ChangeError::Blocked(_) | ChangeError::Unconfirmed(_)))) = done else { return };
        self.happened.insert("downgrade refused");
        if self.tasks.get(&task).is_some_and(|notes| notes.commits > 0) {
            self.breach("I-14", format!("task {task} changed something: {error}"));
        }
    }
}

/// Whether another period begins when the one at hand is over, whoever pays for it.
fn goes_on(it: &Subscription) -> bool {
    let ends = it.is_driven() || it.order.price.recurring || it.is_trialing();
    match &it.status {
        Status::Active { cancel_at_period_end, .. } => (it.is_driven() || !cancel_at_period_end) && !it.pausing && ends,
        Status::PastDue { .. } => true,
        Status::Incomplete | Status::Paused { .. } | Status::Canceled { .. } | Status::Expired { .. } => false,
    }
}

/// Whether it may make something smaller.
pub(crate) fn may_make_smaller(job: &Job) -> bool {
    matches!(job, Job::Change { .. } | Job::Wake { wanted: Wanted::Subscription { .. }, .. })
}
