//! Changes of what is bought: another plan, interval or number of seats.
//!
//! A change takes effect at the end of the period, and costs nothing before; or
//! now, and then the rest of the old is credited and the rest of the new is
//! charged, by the policy of the plan that is left. What that comes to is shown
//! first ([`Preview`]), and exactly that is charged. Credit goes to the
//! customer's balance, which is used before anything is charged. A change that
//! costs something is made once that is paid.

use super::funds::Worth;
use super::outlook::PreviewId;
use super::{Event, Order, Refusal, Status, Subscription, Term};
use crate::calendar::Period;
use crate::downgrade::allows_less;
use crate::id::PaymentId;
use crate::money::Money;
use crate::order::{BoughtAddon, Item};
use crate::payment::Payment;
use crate::proration::{self, Anchor, Collected, Held, Of, Proration};
use crate::ratio::Ratio;
use crate::usage::MeterUsage;
use crate::wallet::Method;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;

/// A part of an order, and what it costs.
type Priced = (Item, Money);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    Upgrade,
    Downgrade,
    ChangeSeats,
    ChangeInterval,
    AddAddon,
    RemoveAddon,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effective {
    Now,
    PeriodEnd,
}

/// What is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub action: Action,
    pub order: Order,
    pub effective: Effective,
}

/// What a change would do and cost at a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preview {
    pub id: PreviewId,
    pub action: Action,
    pub effective: Effective,
    /// When the order is another.
    pub takes_effect_at: Timestamp,
    pub lines: Vec<ChangeLine>,
    /// The lines together. Below zero: the customer gets so much credit.
    pub total: Money,
    /// What of that the balance pays, or takes up.
    pub from_balance: Money,
    /// What is charged now.
    pub due_now: Money,
    /// When the next invoice is written, and what is charged for it.
    pub next_at: Timestamp,
    pub next_amount: Money,
    pub becomes: Becomes,
}

/// Credits are below zero.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangeLine {
    /// What part of which order.
    pub item: Item,
    pub of: Order,
    pub is_credit: bool,
    pub period: Period,
    pub amount: Money,
}

/// What a change makes of the subscription.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Becomes {
    pub order: Order,
    pub term: Term,
    /// When, as it was shown.
    pub at: Timestamp,
    /// What of the running period's price the customer gets back as balance, and what the new order costs until the
    /// end of its period.
    pub credit: Money,
    pub charge: Money,
}

/// A change that waits for its payment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changing {
    pub payment: PaymentId,
    pub becomes: Becomes,
}

impl Action {
    /// What a change from one order to another is. None: nothing changes.
    ///
    /// Another plan is an upgrade or a downgrade by its tier, and where the tiers are equal by what a year of it costs
    /// (PRODUCT 12).
    pub fn of(from: &Order, to: &Order) -> Option<Self> {
        if from.plan.id != to.plan.id {
            return match to.plan.tier.cmp(&from.plan.tier).then_with(|| to.yearly().cmp(&from.yearly())) {
                Ordering::Less => Some(Self::Downgrade),
                Ordering::Equal | Ordering::Greater => Some(Self::Upgrade),
            };
        }
        let fewer = |held: &BoughtAddon| to.addon_quantity(&held.addon.id) < held.quantity;
        match (from.price.interval == to.price.interval, from.quantity == to.quantity) {
            (false, _) => Some(Self::ChangeInterval),
            (true, false) => Some(Self::ChangeSeats),
            (true, true) if from.addons.iter().any(fewer) => Some(Self::RemoveAddon),
            (true, true) => (from.addons != to.addons).then_some(Self::AddAddon),
        }
    }

    /// Whether `to` may allow less than `from`: then it is held against what is in use, and must be confirmed. Add-ons do not
    /// always go along.
    pub fn allows_less(self, from: &Order, to: &Order) -> bool {
        match self {
            Self::Downgrade | Self::RemoveAddon => true,
            Self::Upgrade | Self::ChangeSeats | Self::ChangeInterval | Self::AddAddon => allows_less(from, to),
        }
    }
}

impl Subscription {
    /// What the next period is to be of; the first, if there was none.
    pub fn next_order(&self) -> Order {
        let order = self.scheduled.as_deref().unwrap_or(&self.order).clone();
        self.repriced(order, self.period().map(|period| period.end)).in_next_period()
    }

    /// What `change` would do and cost at `at`, if it is asked for at `now`, when so much is `counted`.
    pub fn preview(
        &self,
        change: &Change,
        counted: &[MeterUsage],
        at: Timestamp,
        now: Timestamp,
    ) -> Result<Preview, Refusal> {
        let (term, period) = self.changeable(at, now)?;
        match Action::of(&self.order, &change.order) {
            // What is scheduled is taken back by going on as before, not by changing to it.
            None => return Err(Refusal::NothingChanges),
            Some(action) if action != change.action => return Err(Refusal::OtherDirection),
            // Another plan or interval replaces what was scheduled; what is only a part of it is not to undo it unseen.
            Some(Action::ChangeSeats | Action::AddAddon | Action::RemoveAddon) if self.scheduled.is_some() => {
                return Err(Refusal::ChangeScheduled);
            }
            Some(_) => {}
        }
        change.order.amount()?;
        let order = change.order.clone();
        let nothing = Money::zero(order.price.amount.currency);
        let mut preview = Preview {
            id: PreviewId::unsaid(at),
            action: change.action,
            effective: change.effective,
            takes_effect_at: period.end,
            lines: vec![],
            total: nothing,
            from_balance: nothing,
            due_now: nothing,
            next_at: period.end,
            next_amount: Self { scheduled: Some(Box::new(order.clone())), ..self.clone() }.amount_due()?,
            becomes: Becomes { order, term, at, credit: nothing, charge: nothing },
        };
        if change.effective == Effective::Now && self.is_trialing() {
            // What is tried out costs nothing yet.
            preview.takes_effect_at = at;
        } else if change.effective == Effective::Now {
            self.price_now(&mut preview, counted, period)?;
        }
        preview.id = preview.id.saying(self, &preview);
        Ok(preview)
    }

    /// Adds to `preview` what the change costs when it is made now.
    fn price_now(&self, preview: &mut Preview, counted: &[MeterUsage], period: Period) -> Result<(), Refusal> {
        let order = preview.becomes.order.clone();
        let currency = order.price.amount.currency;
        if self.order.plan.tokens_included.is_some() || order.plan.tokens_included.is_some() {
            return Err(Refusal::NotWithinPeriod);
        }
        let policy = self.order.plan.proration;
        let anchor = match order.price.interval == self.order.price.interval && policy != Proration::FullNow {
            true => Anchor::Kept,
            false => Anchor::Moved,
        };
        // A preview is of a whole second; the period may have begun within it.
        let at = preview.id.at.max(period.start);
        // Where a period begins by it, that is one of those that a discount is for.
        let order = match anchor {
            Anchor::Moved => self.repriced(order, Some(at)).in_next_period(),
            Anchor::Kept => order,
        };
        let (old, new) = differing(self.order.lines()?, order.lines()?, anchor);
        let prices: Vec<Money> = new.iter().map(|(_, price)| *price).collect();
        let left = policy.left(period, at, &self.time_zone);
        let quote = |held: &[Held]| {
            let change = proration::Change { old: held, new: &prices, once: &[], anchor };
            policy.quote(&change, left, currency).ok_or(Refusal::TooExpensive)
        };
        // Counters start at zero with a period: what they have counted in this one is not had back. Else they go on.
        let unspent = if anchor == Anchor::Moved { self.unused(counted) } else { Ratio::ONE };
        let uncapped: Vec<Held> = old.iter().map(|(_, price)| Held { unspent, ..Held::paid(*price) }).collect();
        let creditable = self.creditable(preview.becomes.term, unspent, at)?;
        let quote = quote(&capped(&uncapped, left, creditable).ok_or(Refusal::TooExpensive)?)?;
        let term = match quote.anchor {
            Anchor::Kept => preview.becomes.term,
            Anchor::Moved => preview.becomes.term.anew(at),
        };
        let then = term.period(order.price.interval, &self.time_zone);
        let lines = quote.lines.iter().filter_map(|line| {
            let (is_credit, (item, _), of, end) = match line.of {
                Of::Old(n) => (true, old.get(n)?, &self.order, period.end),
                Of::New(n) | Of::Once(n) => (false, new.get(n)?, &order, then.end),
            };
            let period = Period { start: at, end };
            Some(ChangeLine { item: item.clone(), of: of.clone(), is_credit, period, amount: line.amount })
        });
        preview.lines = lines.collect();
        preview.total = quote.net;
        preview.due_now = match quote.collected {
            Collected::Now => quote.net.minus(self.balance(currency)).ok_or(Refusal::TooExpensive)?.chargeable(),
            Collected::NextInvoice => Money::zero(currency),
        };
        preview.from_balance = quote.net.minus(preview.due_now).ok_or(Refusal::TooExpensive)?;
        preview.takes_effect_at = at;
        preview.next_at = then.end;
        let credit = quote.credit.negated().ok_or(Refusal::TooExpensive)?;
        preview.becomes = Becomes { order, term, at, credit, charge: quote.charge };
        preview.next_amount = self.clone().changed(&preview.becomes, preview.due_now).amount_due()?;
        Ok(())
    }

    /// Whether anything may be changed just now as it was shown `at`, and in which period.
    fn changeable(&self, at: Timestamp, now: Timestamp) -> Result<(Term, Period), Refusal> {
        self.is_charged_here()?;
        let term = match &self.status {
            Status::Incomplete => return Err(Refusal::NotActive),
            Status::PastDue { .. } => return Err(Refusal::PaymentOwed),
            Status::Paused { .. } => return Err(Refusal::Paused),
            Status::Canceled { .. } | Status::Expired { .. } => return Err(Refusal::Ended),
            Status::Active { cancel_at_period_end: true, .. } => return Err(Refusal::Leaving),
            Status::Active { .. } if !self.disputed.is_empty() => return Err(Refusal::Disputed),
            Status::Active { .. } if self.expires() => {
                return Err(Refusal::NotWithinPeriod);
            }
            Status::Active { term, .. } => *term,
        };
        let period = self.period_of(term);
        if self.open.is_some() || now >= period.end {
            return Err(Refusal::ChargeRunning);
        }
        // Nor as it was before the last change: what that was for is not credited twice.
        let since = self.worth.map_or(period.start, |worth| worth.at.max(period.start));
        if at.as_second() < since.as_second() {
            return Err(Refusal::PreviewStale);
        }
        Ok((term, period))
    }

    /// The events of a change that costs nothing now.
    pub(crate) fn change(&self, preview: &Preview) -> Vec<Event> {
        let becomes = Box::new(preview.becomes.clone());
        match preview.effective {
            Effective::PeriodEnd => vec![Event::ChangeScheduled { order: Box::new(becomes.order) }],
            Effective::Now => vec![Event::Changed { payment: None, paid: preview.due_now, becomes }],
        }
    }

    /// The payment for a change, and the subscription waiting for it.
    pub(crate) fn paying_for_change(mut self, preview: &Preview, method: Method, now: Timestamp) -> (Self, Payment) {
        self.changes += 1;
        let id = PaymentId::change(self.id.clone(), preview.becomes.term.index, self.changes);
        let (order, due) = (&preview.becomes.order, preview.due_now);
        let payment = Payment::off_session(id.clone(), self.customer.clone(), order, due, method, now);
        self.open = Some(id.clone());
        self.changing = Some(Box::new(Changing { payment: id, becomes: preview.becomes.clone() }));
        (self, payment)
    }

    /// What stands for the payment of a request that costs nothing.
    pub(crate) fn no_payment(&self) -> PaymentId {
        PaymentId::change(self.id.clone(), self.term().map_or(0, |term| term.index), 0)
    }

    /// The next period, or the first, and what made it so, when there is nothing to charge for it: a discount takes all of
    /// it off, or the balance has it.
    pub(crate) fn beginning_for_nothing(mut self, now: Timestamp) -> Result<(Self, Event), Refusal> {
        let paid = Money { minor: 0, ..self.amount_due()? };
        let payment = self.next_attempt();
        let event = match self.term() {
            Some(_) => self.renewing(payment, paid, now),
            None => Event::Activated { payment, order: Box::new(self.next_order()), at: now, paid: Some(paid) },
        };
        Ok((self, event))
    }

    /// `event`, which says when this ends, or that it may: no change that is still to be paid for puts that off, and what is
    /// paid for it yet goes back.
    pub(super) fn unchanged_by(&self, event: Event) -> Vec<Event> {
        let waiting = self.changing.iter().map(|it| Event::ChangeDeclined { payment: it.payment.clone() });
        waiting.chain([event]).collect()
    }

    pub(super) fn is_changed_by(&self, payment: &PaymentId) -> bool {
        self.changing.as_ref().is_some_and(|changing| changing.payment == *payment)
    }

    pub(super) fn changed_by(&self, payment: PaymentId, paid: Money) -> Vec<Event> {
        let becomes = self.changing.iter().map(|changing| Box::new(changing.becomes.clone()));
        becomes.map(|becomes| Event::Changed { payment: Some(payment.clone()), paid, becomes }).collect()
    }

    #[must_use]
    pub(super) fn changed(mut self, becomes: &Becomes, paid: Money) -> Self {
        let Becomes { order, term, at, credit, charge } = becomes.clone();
        self.remember_fund();
        self.worth = match self.term() {
            Some(running) if running.index == term.index => Some(self.worth_after(running, credit, charge, at)),
            Some(_) | None => Some(Worth { amount: charge, at, by: self.order.plan.proration }),
        };
        self.credit(credit, at);
        self.settle_price(term, charge, paid, at);
        if let Status::Active { term: running, .. } = &mut self.status {
            *running = term;
        }
        self.order = order;
        self.forgets_price();
        (self.open, self.changing, self.scheduled) = (None, None, None);
        self
    }

    /// The period after `term`, as it will be.
    pub(super) fn next_term(&self, term: Term) -> Term {
        let (now, then) = (self.order.price.interval, &self.next_order().price);
        let next = now == then.interval && term.until.is_none();
        let next = if next { term.next() } else { term.anew(self.period_of(term).end) };
        next.bought(then, &self.time_zone)
    }
}

/// What ends and what begins. What stays as it is and goes on is neither.
fn differing(old: Vec<Priced>, new: Vec<Priced>, anchor: Anchor) -> (Vec<Priced>, Vec<Priced>) {
    let stays = |line: &Priced| anchor == Anchor::Kept && old.contains(line) && new.contains(line);
    let differ = |lines: &[Priced]| lines.iter().filter(|line| !stays(line)).cloned().collect();
    (differ(&old), differ(&new))
}

/// What is held, so that no more of it all is credited than is `creditable`, by what would be credited of each.
/// `None` where that cannot be counted.
fn capped(held: &[Held], left: Ratio, creditable: Money) -> Option<Vec<Held>> {
    let credited = held.iter().map(|it| it.credited(left).map(|it| it.minor.into()));
    let wanted = credited.collect::<Option<Vec<Ratio>>>()?;
    let shares = creditable.split(&wanted).filter(|shares| shares.len() == held.len());
    let share = |(n, it): (usize, &Held)| {
        let paid =
            shares.as_ref().and_then(|shares| shares.get(n)).copied().unwrap_or(Money::zero(creditable.currency));
        Held { paid, ..*it }
    };
    Some(held.iter().enumerate().map(share).collect())
}
