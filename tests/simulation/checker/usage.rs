//! What must hold of what is counted: each use once, in one period, and no more than may be used (P-24); and of what that
//! costs: it is on one invoice, once, in however many parts, and who comes to a line is told (P-26). Reckoned here from the
//! records of the uses and the catalogue's own figures, not by the domain.

use super::allowed::{Allowed, due, limit_of};
use super::late::{Ended, Owed, late_of};
use super::shards;
use super::suspension::runs;
use super::{Checked, check};
use crate::world::State;
use billing::alert::Alert;
use billing::id::{CustomerId, MeterId, PaymentId, PeriodId, UsageId};
use billing::mail::{About, Mail};
use billing::payment::Payment;
use billing::ports::{Key, Record};
use billing::subscription::{Event, Fund, Order, Status, Subscription, UsageLine};
use billing::usage::{MeterUsage, UsageRecord};
use std::collections::{BTreeMap, BTreeSet};

/// What was counted, as the records of the uses have it, and what became of that.
#[derive(Debug, Default)]
pub(crate) struct Metered {
    pub(super) counted: BTreeMap<(MeterId, PeriodId), u64>,
    /// In which step each use was.
    pub(crate) uses: BTreeMap<(CustomerId, UsageId), u64>,
    /// Up to where it is on an invoice.
    pub(super) billed: BTreeMap<(MeterId, PeriodId), u64>,
    /// All of which is.
    closed: BTreeSet<(MeterId, PeriodId)>,
    pub(super) ended: BTreeMap<PeriodId, Ended>,
    /// Those that are over, however that came.
    over: BTreeMap<PeriodId, Over>,
    /// What each customer might use, and since which step.
    allowed: BTreeMap<CustomerId, Vec<(u64, Terms)>>,
}

/// What a customer might use in the period that was paid for, and in the one after it.
#[derive(Debug, PartialEq, Eq)]
struct Terms {
    period: Option<PeriodId>,
    had: Allowed,
    to_come: Allowed,
}

/// No clock is so far ahead of what time it is, in milliseconds.
const MOST_AHEAD: i64 = 4 * 24 * 3_600 * 1_000;

impl Terms {
    /// Of the meter that counts in `period`. A level is in none, and may be held against either.
    fn of(&self, period: Option<&PeriodId>) -> impl Iterator<Item = &Allowed> {
        let is_to_come = period.map(|period| Some(period) > self.period.as_ref());
        let had = (is_to_come != Some(true)).then_some(&self.had);
        had.into_iter().chain((is_to_come != Some(false)).then_some(&self.to_come))
    }
}

/// A period as it was when it was left for the next, or ended.
#[derive(Debug)]
struct Over {
    order: Order,
    counted: BTreeMap<MeterId, u64>,
    in_step: u64,
}

fn sum(lines: &[UsageLine]) -> i64 {
    lines.iter().map(|line| line.amount.minor).sum()
}

/// Of which something was written.
fn meters_of(changed: &[(Key, Option<Record>)]) -> BTreeSet<(CustomerId, MeterId)> {
    let of = |(key, _): &(Key, Option<Record>)| match key {
        Key::Usage(customer, meter) | Key::Shard(customer, meter, _) => Some((customer.clone(), meter.clone())),
        _ => None,
    };
    changed.iter().filter_map(of).collect()
}

/// The trial, running or over.
pub(super) fn is_tried(it: &Subscription) -> bool {
    it.trial.is_some() && it.term().is_some_and(|term| term.index == 0)
}

pub(super) fn period_of(it: &Subscription) -> Option<PeriodId> {
    Some(PeriodId { subscription: it.id.clone(), index: it.term()?.index })
}

impl State {
    /// What a commit counted, billed, settled and left behind.
    pub(super) fn metered(&mut self, task: u64, changed: &[(Key, Option<Record>)]) -> Checked {
        let began = self.tasks.get(&task).map_or(0, |notes| notes.began_at_step);
        let written: Vec<(Option<&Record>, Record)> =
            changed.iter().filter_map(|(key, old)| Some((old.as_ref(), self.records.get(key)?.clone()))).collect();
        let mut more: BTreeMap<&MeterId, u64> = BTreeMap::new();
        for (old, new) in &written {
            if let Record::UsageRecord(it) = new {
                *more.entry(&it.meter).or_default() += it.value.get();
                self.counts(began, *old, it)?;
            }
        }
        for (customer, meter) in meters_of(changed) {
            let before = |key: &Key| match changed.iter().find(|(of, _)| of == key) {
                Some((_, old)) => old.clone(),
                None => self.records.get(key).cloned(),
            };
            let old = shards::sum(before, &customer, &meter);
            let Some(new) = shards::whole(&self.records, &customer, &meter) else { continue };
            self.lends_what_is_left(old.as_ref(), &new)?;
            self.adds_up(began, old.as_ref(), &new)?;
            self.tells_of_overage(began, old.as_ref(), &new, &written)?;
        }
        for (old, new) in &written {
            let Record::Day(it) = new else { continue };
            let before = if let Some(Record::Day(old)) = old { old.value } else { 0 };
            let left = it.meter.as_ref().and_then(|meter| more.get_mut(meter));
            if let Some(left) = left {
                *left = left.saturating_sub(it.value - before);
            }
        }
        check(more.values().all(|left| *left == 0), "P-26", || format!("of no day are {more:?}"))?;
        for (old, new) in &written {
            if let Record::Subscription(new) = new {
                let old = if let Some(Record::Subscription(old)) = old { Some(old) } else { None };
                let events = written.iter().filter_map(|(_, it)| match it {
                    Record::History { event, .. } => Some(event),
                    _ => None,
                });
                self.invoiced(began, old, new, &events.collect::<Vec<_>>(), &written)?;
            }
        }
        Ok(())
    }

    /// A use is counted once, for whom somebody serves, and in a period that is not on an invoice or over, unless it is told late.
    fn counts(&mut self, began: u64, old: Option<&Record>, new: &UsageRecord) -> Checked {
        check(old.is_none(), "P-24", || format!("{} was {old:?} and is {new:?}", new.id))?;
        let is_closed = self.metered.closed.contains(&(new.meter.clone(), new.period.clone()));
        let late = self.is_told_late(new);
        check(late || !is_closed, "P-24", || {
            format!("{} counts in {}, all of which is on an invoice", new.id, new.period)
        })?;
        let is_over = self.metered.over.get(&new.period).is_some_and(|over| over.in_step < began);
        check(late || !is_over, "P-24", || format!("{} counts in {}, which is over", new.id, new.period))?;
        let served = self.allowed(&new.customer, began, None).any(|it| it.is_live);
        check(served, "P-24", || format!("{} counts though nobody is served", new.id))?;
        self.is_not_too_late(began, new)?;
        self.metered.uses.insert((new.customer.clone(), new.id.clone()), self.step);
        *self.metered.counted.entry((new.meter.clone(), new.period.clone())).or_default() += new.value.get();
        if let Some(over) = self.metered.over.get_mut(&new.period).filter(|_| late) {
            *over.counted.entry(new.meter.clone()).or_default() += new.value.get();
        }
        self.happened.insert(if late { "use counted late" } else { "use counted" });
        Ok(())
    }

    /// What was allowed to the customer in `period` at some time since step `began`.
    fn allowed(&self, customer: &CustomerId, began: u64, period: Option<&PeriodId>) -> impl Iterator<Item = &Allowed> {
        let all = self.metered.allowed.get(customer).map_or(&[][..], |it| it);
        let first = all.iter().rposition(|(step, _)| *step <= began).unwrap_or(0);
        all[first..].iter().flat_map(move |(_, terms)| terms.of(period))
    }

    fn counted(&self, meter: &MeterId, period: &PeriodId) -> u64 {
        self.metered.counted.get(&(meter.clone(), period.clone())).copied().unwrap_or(0)
    }

    fn billed(&self, meter: &MeterId, period: &PeriodId) -> u64 {
        self.metered.billed.get(&(meter.clone(), period.clone())).copied().unwrap_or(0)
    }

    /// A meter says what was counted, and who comes to a line with it is told so in the same commit.
    fn adds_up(&mut self, began: u64, old: Option<&MeterUsage>, new: &MeterUsage) -> Checked {
        let meter = &new.meter;
        let last = new.period.as_ref().map(|period| (period, new.value));
        for (period, value) in new.before.iter().map(|(period, value)| (period, *value)).chain(last) {
            let counted = self.counted(meter, period);
            check(counted == value, "P-24", || format!("{counted} of {meter} are counted in {period}: {new:?}"))?;
        }
        let back = old.is_some_and(|old| old.period > new.period);
        check(!back, "P-24", || format!("{meter} counts in a period before: {old:?}, {new:?}"))?;
        for alert in &new.alerts {
            let same = |it: &&Alert| (it.percent, it.limit, &it.period) == (alert.percent, alert.limit, &alert.period);
            let before = old.and_then(|old| old.alerts.iter().find(same));
            let once = before.is_none_or(|it| it.raised_at == alert.raised_at);
            let level = (alert.limit * u64::from(alert.percent)).div_ceil(100);
            let right = once && (before.is_some() || new.value >= level);
            check(right, "P-26", || format!("{alert:?} is raised of {} of {meter}, before: {before:?}", new.value))?;
        }
        if old.is_some_and(|old| (old.value, &old.period) == (new.value, &new.period)) && new.period.is_some() {
            if new.alerts.iter().any(|it| it.acknowledged_at.is_some()) {
                self.happened.insert("alert acknowledged");
            }
            return Ok(());
        }
        let (more, period) = (new.value > 0 && new.period.is_some(), new.period.as_ref());
        let fits = |it: &Allowed| !more || it.most.get(meter).is_some_and(|most| new.value <= *most);
        let any_fits = !more || self.allowed(&new.customer, began, period).any(fits);
        check(any_fits, "P-24", || format!("{new:?} is more than there may be"))?;
        let told = |it: &Allowed| !it.is_live || it.has_told(meter, new.value, new.period.as_ref(), &new.alerts);
        let never_served = self.allowed(&new.customer, began, None).next().is_none();
        let told = never_served || self.allowed(&new.customer, began, period).any(|it| fits(it) && told(it));
        check(told, "P-26", || format!("nobody is told of {new:?}"))?;
        if !new.alerts.is_empty() {
            self.happened.insert("alert raised");
        }
        Ok(())
    }

    /// Whoever counts the first unit that is charged for leaves a mail that says so, and nobody else does.
    fn tells_of_overage(
        &mut self,
        began: u64,
        old: Option<&MeterUsage>,
        new: &MeterUsage,
        written: &[(Option<&Record>, Record)],
    ) -> Checked {
        let before = old.filter(|old| old.period == new.period).map_or(0, |old| old.value);
        let told = written.iter().any(|(old, it)| match it {
            Record::Mail(Mail { about: About::Overage(about), .. }) if old.is_none() => {
                about.meters.iter().any(|it| it.meter == new.meter)
            }
            _ => false,
        });
        let right = |it: &Allowed| it.begins_to_cost(&new.meter, before, new.value) == told;
        // A level is on no invoice.
        let counts = new.period.is_some() && new.value > before;
        let right = !counts || self.allowed(&new.customer, began, new.period.as_ref()).any(right);
        check(right, "P-29", || format!("{before} of {} become {}, and a mail says so: {told}", new.meter, new.value))?;
        if told {
            self.happened.insert("overage told");
        }
        Ok(())
    }

    /// What is billed is what was used beyond the limits and is on no invoice yet; and it stays there until it is paid.
    fn invoiced(
        &mut self,
        began: u64,
        old: Option<&Subscription>,
        new: &Subscription,
        events: &[&Event],
        written: &[(Option<&Record>, Record)],
    ) -> Checked {
        let mut owed = Owed::of(old, new);
        for event in events {
            if let (Event::UsageBilled { closed, lines: more }, Some(old)) = (event, old) {
                self.bills(old, *closed, more)?;
                owed.next.extend(more.iter().cloned());
            }
            if let (Some((counted, lines)), Some(old)) = (late_of(event), old) {
                self.adjusts(old, counted, lines)?;
                owed.told_late(old, lines);
            }
        }
        let granted = events.iter().find_map(|event| super::granted(event));
        let currency = new.order.price.amount.currency;
        let (settled, left): (Vec<UsageLine>, Vec<UsageLine>) =
            owed.next.into_iter().partition(|line| granted.is_some() && line.amount.currency == currency);
        let (left, later) = if granted.is_some() { ([left, owed.later].concat(), vec![]) } else { (left, owed.later) };
        check(new.usage_charges == left && new.late_charges == later, "P-26", || {
            let (next, after) = (&new.usage_charges, &new.late_charges);
            format!(
                "{} has {next:?} and {after:?} on its next invoices, and {left:?} and {later:?} are not paid",
                new.id
            )
        })?;
        if let (Some(granted), Some(old)) = (granted, old) {
            let returned = events.iter().any(|event| matches!(event, Event::Returned { .. }));
            self.pays_for(granted, old, new, &settled, returned, written)?;
        }
        self.changes(began, old, new, events)?;
        self.leaves(old, new);
        let is_served = self.is_served(new);
        let (had, to_come) = (Allowed::by(new, is_served), Allowed::to_come(new, is_served));
        let allowed = Terms { period: period_of(new), had, to_come };
        let all = self.metered.allowed.entry(new.customer.clone()).or_default();
        if all.last().is_none_or(|(_, last)| *last != allowed) {
            all.push((self.step, allowed));
        }
        Ok(())
    }

    fn bills(&mut self, old: &Subscription, closed: Option<u32>, lines: &[UsageLine]) -> Checked {
        let Some(period) = period_of(old) else { return check(false, "P-26", || format!("{} bills nothing", old.id)) };
        let told = || format!("{} bills {lines:?} of {period}, closed: {closed:?}", old.id);
        check(closed.is_none_or(|closed| closed == period.index), "P-26", told)?;
        check(!is_tried(old), "P-26", told)?;
        let mut left: Vec<&UsageLine> = lines.iter().collect();
        for meter in old.order.plan.overage.keys() {
            let line = left.iter().position(|line| line.meter == *meter).map(|at| left.swap_remove(at));
            let (counted, billed) = (self.counted(meter, &period), self.billed(meter, &period));
            let of = (meter.clone(), period.clone());
            check(!self.metered.closed.contains(&of), "P-26", told)?;
            if closed.is_some() {
                self.metered.closed.insert(of.clone());
                self.ends(old, period.clone());
            }
            // So far, more may have been counted since that was read: that is billed later.
            let used = if closed.is_some() { counted } else { line.map_or(billed, |line| line.used) };
            let amount = due(&old.order, meter, used, billed);
            let right = line.map_or(amount == 0, |line| {
                let included = limit_of(&old.order, meter).max(billed);
                let is = (line.amount.minor, line.used, line.included, &line.period);
                amount > 0 && is == (amount, used, included, &period)
            });
            check(right && used <= counted, "P-26", || {
                format!("{}: {amount} for {used} of {counted} {meter}", told())
            })?;
            if line.is_some() {
                self.metered.billed.insert(of, used);
                self.happened.insert(if closed.is_some() { "overage billed" } else { "overage billed in parts" });
            }
            let counts_on = |it: &MeterUsage| it.period.as_ref().is_none_or(|counted| *counted <= period);
            let key = Key::Usage(old.customer.clone(), meter.clone());
            let meter = self.records.get(&key);
            let goes_on = closed.is_some() && !matches!(meter, Some(Record::Usage(it)) if !counts_on(it));
            check(!goes_on, "P-24", || format!("{}, and {meter:?}", told()))?;
        }
        check(left.is_empty(), "P-26", told)
    }

    /// What is on an invoice is paid by what pays for the period, and by nothing else.
    fn pays_for(
        &self,
        granted: &PaymentId,
        old: &Subscription,
        new: &Subscription,
        settled: &[UsageLine],
        returned: bool,
        written: &[(Option<&Record>, Record)],
    ) -> Checked {
        let payment = written.iter().find_map(|(_, it)| match it {
            Record::Payment(it) if it.id == *granted => Some(it),
            _ => None,
        });
        let charged = payment.and_then(|it| it.bought.as_ref()).map(|it| it.usage_charges.as_slice());
        check(charged.is_none_or(|lines| lines == settled), "P-26", || {
            format!("{granted} is for {charged:?}, and settles {settled:?}")
        })?;
        if settled.is_empty() || returned {
            return Ok(());
        }
        let currency = new.order.price.amount.currency;
        let (had, has) = (old.balance(currency).minor, new.balance(currency).minor);
        let price = new.order.amount().map_or(i64::MAX, |price| price.minor);
        let (paid, used) = (payment.map_or(0, |it| it.amount.minor), sum(settled));
        check(has == had + paid - price - used, "P-26", || {
            format!("{granted} pays {paid} for {price} and {used} used before; the balance was {had} and is {has}")
        })?;
        let of_period =
            |fund: &&Fund| (fund.subscription, Some(fund.period)) == (new.id.number, new.term().map(|it| it.index));
        let used_up = new.funds.iter().find(of_period).map(|fund| fund.used_up);
        check(used_up == Some(used), "P-26", || format!("{used_up:?} of {granted} is for the {used} used before"))
    }

    /// What was used of one plan is paid for at its price before there is another: all of it that had been counted when the
    /// change was asked for.
    fn changes(&self, began: u64, old: Option<&Subscription>, new: &Subscription, events: &[&Event]) -> Checked {
        let Some((old, period)) = old.and_then(|old| Some((old, period_of(old)?))) else { return Ok(()) };
        let at_once = events.iter().any(|event| matches!(event, Event::Changed { payment: None, .. }));
        let asked = at_once || (old.changing.is_none() && new.changing.is_some());
        for meter in old.order.plan.overage.keys().filter(|_| asked && !is_tried(old)) {
            let before = self.records.values().filter_map(|record| match record {
                Record::UsageRecord(it) if (&it.meter, &it.period) == (meter, &period) => Some(it),
                _ => None,
            });
            let step = |it: &UsageRecord| self.metered.uses.get(&(it.customer.clone(), it.id.clone())).copied();
            let counted = before.filter(|it| step(it).is_some_and(|step| step <= began)).map(|it| it.value.get()).sum();
            let due = due(&old.order, meter, counted, self.billed(meter, &period));
            check(due == 0, "P-26", || {
                format!("{due} for {counted} {meter} are on no invoice when {} changes", old.id)
            })?;
        }
        Ok(())
    }

    /// A period is over: of what was counted until then, nothing may be lost.
    fn leaves(&mut self, old: Option<&Subscription>, new: &Subscription) {
        let Some((old, period)) = old.and_then(|old| Some((old, period_of(old)?))) else { return };
        let ended = runs(old) && !runs(new) && !matches!(new.status, Status::Paused { .. });
        let ended =
            ended || matches!(old.status, Status::Paused { .. }) && matches!(new.status, Status::Canceled { .. });
        if period_of(new).as_ref() == Some(&period) && !ended {
            return;
        }
        // Of what is tried out no more is sold.
        let meters = old.order.plan.overage.keys().filter(|_| !is_tried(old));
        let counted = meters.map(|meter| (meter.clone(), self.counted(meter, &period))).collect();
        let over = Over { order: old.order.clone(), counted, in_step: self.step };
        self.metered.over.entry(period).or_insert(over);
    }

    /// A charge or a page is for all that is to be paid.
    pub(super) fn charges_for_usage(&self, subscription: &Subscription, new: &Payment) -> Checked {
        if new.id.is_for_change() {
            return Ok(());
        }
        let currency = new.amount.currency;
        let lines = subscription.usage_charges.iter().filter(|line| line.amount.currency == currency);
        let lines: Vec<UsageLine> = lines.cloned().collect();
        let charged = new.bought.as_ref().map_or(&[][..], |it| &it.usage_charges);
        check(charged == lines, "P-26", || format!("{} is for {charged:?}, and due are {lines:?}", new.id))?;
        let price = subscription.next_order().amount().map_or(0, |price| price.minor);
        let due = price + sum(&lines) - subscription.balance(currency).minor;
        let is_first = subscription.term().is_none() && new.amount.minor == price;
        check(lines.is_empty() || new.amount.minor == due || is_first, "P-26", || {
            format!("{} is over {}, and due are {due}", new.id, new.amount)
        })
    }

    /// Nothing that was used beyond a limit until its period was over is on no invoice.
    pub(super) fn billed_at_rest(&self) -> Checked {
        for (period, over) in &self.metered.over {
            for (meter, counted) in &over.counted {
                let due = due(&over.order, meter, *counted, self.billed(meter, period));
                check(due == 0, "P-26", || format!("{due} for {counted} {meter} in {period} are on no invoice"))?;
            }
        }
        Ok(())
    }

    /// The least and the most of `meter` that the customer might use since step `began`, and the most that is counted now.
    pub(crate) fn room(&self, customer: &CustomerId, meter: &MeterId, began: u64) -> Option<(u64, u64)> {
        let subscription = self.subscription(customer)?;
        let at_hand = period_of(subscription)?;
        // By some clock the next period may have begun.
        let end = subscription.period().map(|period| period.end.as_millisecond());
        let sure = end.filter(|end| self.now < end - MOST_AHEAD).map(|_| &at_hand);
        let most = self
            .allowed(customer, began, sure)
            .map(|it| if it.is_live { *it.most.get(meter).unwrap_or(&0) } else { 0 });
        let least = most.min()?;
        let runs = |period: &PeriodId| {
            let over = self.metered.over.get(period);
            let ran = over.is_some_and(|over| over.in_step >= began);
            ran || period.subscription == at_hand.subscription && period.index >= at_hand.index
        };
        let of = self.metered.counted.iter().filter(|((it, period), _)| it == meter && runs(period));
        Some((least, of.map(|(_, counted)| *counted).max().unwrap_or(0)))
    }
}
