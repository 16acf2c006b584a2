//! The contract: what must hold after every step, and what must hold at rest.
//!
//! Each check compares what the workflows stored with what the gateways' own
//! books say. Only what a step changed is looked at: the rest was right before.
//! `I-n` is an invariant of RELIABILITY; `P-n` is an item of PRODUCT.

mod allowed;
mod clocks;
mod discounts;
mod downgrades;
mod late;
mod payments;
mod prices;
mod rest;
mod secrets;
mod shards;
mod subscriptions;
mod suspension;
mod tenancy;
mod tokens;
mod usage;

pub(crate) use self::discounts::Given;
pub(crate) use self::downgrades::may_make_smaller;
pub(crate) use self::prices::Told;
pub(crate) use self::tenancy::{EVERY, For};
pub(crate) use self::usage::Metered;
use crate::errand::Heard;
use crate::world::{Notes, State};
use billing::calendar::zone::Zone;
use billing::delivery::DeliveryStatus;
use billing::dunning::{Dunning, Failure};
use billing::id::{CustomerId, PaymentId, SubscriptionId};
use billing::mail::{About, Dropped, Mail, MailStatus, Passed};
use billing::money::Money;
use billing::outcome::Remedy;
use billing::payment::{Gateway, Payment, PaymentStatus};
use billing::ports::{Claim, Key, Record, Wanted};
use billing::subscription::{CancelReason, Event, Status, Subscription};
use billing::wallet::{Method, Wallet};
use std::cmp::Ordering;
use std::collections::BTreeSet;

/// Which invariant is broken, how, and at which step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Breach {
    pub(crate) invariant: &'static str,
    pub(crate) what: String,
    pub(crate) step: u64,
}

pub(crate) type Checked = Result<(), (&'static str, String)>;

fn check(holds: bool, invariant: &'static str, what: impl FnOnce() -> String) -> Checked {
    if holds { Ok(()) } else { Err((invariant, what())) }
}

/// What one commit changed: each record as it was, and as it is.
struct Changes<'a> {
    task: &'a Notes,
    list: Vec<(Option<&'a Record>, &'a Record)>,
}

impl<'a> Changes<'a> {
    fn events(&self) -> impl Iterator<Item = &'a Event> {
        self.list.iter().filter_map(|(_, new)| match new {
            Record::History { event, .. } => Some(event),
            _ => None,
        })
    }

    fn payments(&self) -> impl Iterator<Item = &'a Payment> {
        self.list.iter().filter_map(|(_, new)| match new {
            Record::Payment(it) => Some(it),
            _ => None,
        })
    }

    fn claims(&self, id: &PaymentId) -> bool {
        self.list.iter().any(|(_, new)| matches!(new, Record::Claim(Claim { payment, .. }) if payment == id))
    }

    /// The payment whose period was granted, if one was.
    fn granted(&self) -> Option<&'a PaymentId> {
        self.events().find_map(granted)
    }

    /// The payment that paid for a change, if one did.
    fn changed(&self) -> Option<&'a PaymentId> {
        self.events().find_map(|event| if let Event::Changed { payment, .. } = event { payment.as_ref() } else { None })
    }

    fn taken_over(&self) -> bool {
        self.events().any(|event| matches!(event, Event::TakenOver { .. }))
    }

    fn heard(&self, about: &str, is: impl Fn(&Heard) -> bool) -> bool {
        self.task.heard.iter().any(|(of, heard)| of == about && is(heard))
    }
}

/// What became of subscriptions in the stories that were told: what no story has, no check has looked at.
pub(crate) type Happened = BTreeSet<&'static str>;

/// All that is to happen in some story. What another system drives is followed by none.
pub(crate) const TO_HAPPEN: [&str; 69] = [
    "lent to shards",
    "counted in a shard",
    "taken back from shards",
    "activated",
    "begun for nothing",
    "begun at a discount",
    "renewed",
    "renewed elsewhere",
    "suspended",
    "restored",
    "given up",
    "returned",
    "payment missed",
    "retry scheduled",
    "attempt ended",
    "disputed",
    "dispute settled",
    "refund owed",
    "cancellation scheduled",
    "cancellation revoked",
    "change scheduled",
    "change revoked",
    "changed for nothing",
    "changed and paid",
    "change declined",
    "seats added",
    "seats taken away",
    "add-on bought",
    "add-on given back",
    "add-on left behind",
    "done as it was shown",
    "requested as it was shown",
    "counted again",
    "asked for what is another's",
    "downgrade refused",
    "told what is in the way",
    "told that nothing is",
    "begun at a gift",
    "trial started",
    "trial ending",
    "pause scheduled",
    "pause revoked",
    "paused",
    "unpaused",
    "taken over",
    "discounted",
    "price change announced",
    "price change told",
    "price change revoked",
    "end moved",
    "tokens reset",
    "tokens taken back",
    "tokens put back",
    "tokens consumed",
    "tokens ended",
    "use counted",
    "use counted late",
    "use refused",
    "id of a use reused",
    "alert raised",
    "overage told",
    "alert acknowledged",
    "overage billed",
    "overage billed in parts",
    "overage told late",
    "canceled",
    "expired",
    "read across releases",
    "left to the new release",
];

fn kind(event: &Event) -> &'static str {
    match event {
        Event::Activated { paid: Some(Money { minor: 0, .. }), .. } => "begun for nothing",
        Event::Activated { order, .. } if order.discount.as_ref().is_some_and(|it| it.coupon.is_none()) => {
            "begun at a gift"
        }
        Event::Activated { order, .. } if order.discount.is_some() => "begun at a discount",
        Event::Activated { .. } => "activated",
        Event::Renewed { .. } => "renewed",
        Event::Suspended { .. } => "suspended",
        Event::Restored { .. } => "restored",
        Event::Returned { .. } => "returned",
        Event::PaymentMissed { .. } => "payment missed",
        Event::RetryScheduled { .. } => "retry scheduled",
        Event::AttemptEnded { .. } => "attempt ended",
        Event::Followed { .. } => "followed",
        Event::Disputed { .. } => "disputed",
        Event::DisputeSettled { .. } => "dispute settled",
        Event::RefundOwed { .. } => "refund owed",
        Event::CancellationScheduled => "cancellation scheduled",
        Event::CancellationRevoked => "cancellation revoked",
        Event::ChangeScheduled { .. } => "change scheduled",
        Event::ChangeRevoked => "change revoked",
        Event::ChangeBlocked => "change blocked",
        Event::Changed { payment: None, .. } => "changed for nothing",
        Event::Changed { payment: Some(_), .. } => "changed and paid",
        Event::ChangeDeclined { .. } => "change declined",
        Event::TrialStarted { .. } => "trial started",
        Event::Discounted { .. } => "discounted",
        Event::PriceChangeAnnounced { .. } => "price change announced",
        Event::PriceChangeTold { .. } => "price change told",
        Event::PriceChangeRevoked => "price change revoked",
        Event::TrialEnding { .. } => "trial ending",
        Event::PauseScheduled => "pause scheduled",
        Event::PauseRevoked => "pause revoked",
        Event::Paused { .. } => "paused",
        Event::Unpaused { .. } => "unpaused",
        Event::TakenOver { .. } => "taken over",
        Event::EndMoved { .. } => "end moved",
        Event::TokensReset { .. } => "tokens reset",
        Event::TokensTakenBack { .. } => "tokens taken back",
        Event::TokensPutBack { .. } => "tokens put back",
        Event::Branded { .. } => "branded",
        Event::CounterRebuilt { .. } => "counter rebuilt",
        Event::DaysRebuilt { .. } => "days rebuilt",
        Event::UsageBilled { .. } => "usage billed",
        Event::CountedLate { .. } => "counted late",
        Event::Canceled { reason: CancelReason::Unpaid, .. } => "given up",
        Event::Canceled { .. } => "canceled",
        Event::Expired { .. } => "expired",
    }
}

/// More or fewer of the same, while it runs.
fn seats_changed(old: &Subscription, new: &Subscription) -> Option<&'static str> {
    let same = (&old.id, &old.order.plan.id) == (&new.id, &new.order.plan.id) && suspension::runs(old);
    match old.order.quantity.cmp(&new.order.quantity) {
        Ordering::Less if same => Some("seats added"),
        Ordering::Greater if same => Some("seats taken away"),
        Ordering::Less | Ordering::Equal | Ordering::Greater => None,
    }
}

/// More or fewer of an add-on: of the same plan by the same interval, or of what offers other ones.
fn addons_changed(old: &Subscription, new: &Subscription) -> Option<&'static str> {
    let number = |it: &Subscription| it.order.addons.iter().map(|it| it.quantity).sum::<u32>();
    let terms = |it: &Subscription| (it.id.clone(), it.order.plan.id.clone(), it.order.price.interval);
    match number(old).cmp(&number(new)) {
        _ if old.id != new.id => None,
        Ordering::Less => Some("add-on bought"),
        Ordering::Greater if terms(old) == terms(new) => Some("add-on given back"),
        Ordering::Greater => Some("add-on left behind"),
        Ordering::Equal => None,
    }
}

/// Whether another period than the first is counted on another clock than everyone's.
fn is_renewed_elsewhere(it: &Subscription) -> bool {
    it.time_zone != Zone::UTC && it.term().is_some_and(|term| term.index > 0)
}

fn granted(event: &Event) -> Option<&PaymentId> {
    match event {
        Event::Activated { payment, .. } | Event::Renewed { payment, .. } | Event::Restored { payment, .. } => {
            Some(payment)
        }
        Event::PaymentMissed { .. }
        | Event::Suspended { .. }
        | Event::RetryScheduled { .. }
        | Event::AttemptEnded { .. }
        | Event::Followed { .. }
        | Event::Disputed { .. }
        | Event::DisputeSettled { .. }
        | Event::RefundOwed { .. }
        | Event::CancellationScheduled
        | Event::CancellationRevoked
        | Event::ChangeScheduled { .. }
        | Event::ChangeRevoked
        | Event::ChangeBlocked
        | Event::TrialStarted { .. }
        | Event::Discounted { .. }
        | Event::PriceChangeAnnounced { .. }
        | Event::PriceChangeTold { .. }
        | Event::PriceChangeRevoked
        | Event::TrialEnding { .. }
        | Event::PauseScheduled
        | Event::PauseRevoked
        | Event::Paused { .. }
        | Event::Unpaused { .. }
        | Event::TakenOver { .. }
        | Event::EndMoved { .. }
        | Event::TokensReset { .. }
        | Event::TokensTakenBack { .. }
        | Event::TokensPutBack { .. }
        | Event::Branded { .. }
        | Event::CounterRebuilt { .. }
        | Event::DaysRebuilt { .. }
        | Event::UsageBilled { .. }
        | Event::CountedLate { .. }
        | Event::Returned { .. }
        | Event::Changed { .. }
        | Event::ChangeDeclined { .. }
        | Event::Canceled { .. }
        | Event::Expired { .. } => None,
    }
}

impl State {
    /// Checks what a commit did, and notes what later checks compare with.
    pub(crate) fn inspect(&mut self, task: u64, changed: &[(Key, Option<Record>)]) -> Checked {
        let by_staff = changed.iter().any(|(key, _)| {
            matches!(self.records.get(key), Some(Record::History { event: Event::PriceChangeAnnounced { .. }, .. }))
        });
        let moved = self.follow_money(changed)?;
        for (key, old) in changed {
            self.remember(key, old.as_ref());
            if let Some(Record::History { event, customer, .. }) = self.records.get(key) {
                let (customer, event) = (customer.clone(), event.clone());
                self.announced(&customer, &event, by_staff);
            }
            if let Some(Record::History { event, customer, subscription, .. }) = self.records.get(key) {
                let (customer, subscription, event) = (customer.clone(), subscription.clone(), event.clone());
                self.gives(&customer, &subscription, &event)?;
                self.happened.insert(kind(&event));
                if let Event::ChangeScheduled { .. } = &event {
                    self.grows_meanwhile(&customer);
                }
                if let Some(code) = discounts::redeemed(&event) {
                    *self.redeemed.entry((code.clone(), customer.clone())).or_default() += 1;
                }
            }
            if let Some(Record::Subscription(new)) = self.records.get(key) {
                let new = new.clone();
                self.discounted(&new)?;
                self.priced(if let Some(Record::Subscription(old)) = old { Some(old) } else { None }, &new)?;
            }
            if let Some(Record::Subscription(new)) = self.records.get(key) {
                let (old, new) =
                    (if let Some(Record::Subscription(old)) = old { Some(old) } else { None }, new.clone());
                self.happened.extend(old.and_then(|old| seats_changed(old, &new)));
                self.happened.extend(old.and_then(|old| addons_changed(old, &new)));
                if suspension::runs(&new) && old.and_then(Subscription::period) != new.period() {
                    self.is_used_until(&new);
                }
            }
            if let Some(Record::Tokens(new)) = self.records.get(key) {
                let (new, came, claimed) = self.came(new, old.as_ref(), changed, moved);
                self.rebalanced(&new, came, claimed.as_ref())?;
            }
            if matches!(self.records.get(key), Some(Record::Subscription(it)) if is_renewed_elsewhere(it)) {
                self.happened.insert("renewed elsewhere");
            }
        }
        self.metered(task, changed)?;
        let Some(task) = self.tasks.get(&task) else { return Ok(()) };
        let list = changed.iter().filter_map(|(key, old)| Some((old.as_ref(), self.records.get(key)?)));
        let changes = Changes { task, list: list.collect() };
        self.redemptions(&changes)?;
        for (old, new) in &changes.list {
            if let Record::Subscription(new) = new {
                let old = if let Some(Record::Subscription(old)) = old { Some(old) } else { None };
                self.lived(&changes, old, new)?;
            }
            match (old, new) {
                (None, Record::Payment(new)) => self.created(&changes, new)?,
                (Some(Record::Payment(old)), Record::Payment(new)) => self.settled(&changes, old, new)?,
                (None, Record::Subscription(new)) => {
                    let first = subscriptions::begins(&changes, None, new);
                    check(first, "I-13", || format!("{} begins as {:?}", new.id, new.status))?;
                }
                (Some(Record::Subscription(old)), Record::Subscription(new)) => self.moved(&changes, old, new)?,
                (old, Record::Wallet(new)) => self.rearranged(&changes, *old, new)?,
                (_, Record::History { event, .. }) => self.happened(&changes, event)?,
                (Some(Record::Mail(old)), Record::Mail(new)) => self.mail_handled(old, new)?,
                (Some(Record::Delivery(old)), Record::Delivery(new)) => {
                    let back = old.status == DeliveryStatus::Done && new.status != DeliveryStatus::Done;
                    check(!back, "I-13", || format!("{:?} was done and is not any more", new.id))?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn remember(&mut self, key: &Key, old: Option<&Record>) {
        match self.records.get(key) {
            Some(Record::History { event, customer, .. }) => match event {
                Event::PaymentMissed { .. } => {
                    let customer = customer.clone();
                    self.owes(&customer);
                }
                Event::Changed { payment: Some(payment), .. } => {
                    self.changes.insert(payment.clone());
                }
                Event::Suspended { until, .. } => {
                    if let Some((id, term)) =
                        self.subscription(customer).and_then(|it| Some((it.id.clone(), it.term()?)))
                    {
                        self.suspended.entry((id, term.index)).or_insert((*until, 0)).1 += 1;
                    }
                }
                Event::RetryScheduled { mended: Some(method), .. } => {
                    self.mended.insert((customer.clone(), method.clone()), self.now);
                }
                other => {
                    if let Some(payment) = granted(other).cloned() {
                        self.moved_at.insert(payment.subscription.clone(), self.now);
                        let period = (payment.subscription.clone(), payment.period);
                        self.grants.entry(period).or_default().push(payment);
                    }
                }
            },
            Some(Record::Subscription(it)) => match &it.status {
                Status::Canceled { .. } => {
                    self.canceled.entry(it.id.clone()).or_insert(self.step);
                }
                Status::PastDue { term, dunning: Dunning::Grace { ends_at } } => {
                    self.grace.entry((it.id.clone(), term.index)).or_insert((*ends_at, self.now));
                }
                _ => {}
            },
            Some(Record::Payment(it)) if old.is_some_and(is_unresolved) => {
                self.moved_at.insert(it.id.subscription.clone(), self.now);
            }
            Some(Record::Payment(it)) if matches!(it.status, PaymentStatus::Failed { .. }) => {
                self.declined_at.entry(it.id.clone()).or_insert(self.now);
            }
            Some(Record::Wallet(new)) => {
                let before = match old {
                    Some(Record::Wallet(old)) => old.methods.as_slice(),
                    _ => &[],
                };
                let gone = before.iter().filter(|method| new.method(&method.id()).is_none());
                self.removed.extend(gone.map(|method| ((new.customer.clone(), method.id()), self.step)));
                for method in &new.methods {
                    self.removed.remove(&(new.customer.clone(), method.id()));
                }
                let token = |method: &Method| (method.gateway, method.token.clone());
                let kept: Vec<_> = new.methods.iter().map(token).collect();
                for it in before.iter().map(token).filter(|it| !kept.contains(it)) {
                    self.held.remove(&it);
                }
                for it in kept {
                    self.held.entry(it).or_insert(self.step);
                }
            }
            _ => {}
        }
    }

    fn siblings(&self, payment: &PaymentId, customer: &CustomerId) -> impl Iterator<Item = &Payment> {
        let key = |attempt| Key::Payment(customer.clone(), PaymentId { attempt, ..payment.clone() });
        let for_change = payment.is_for_change();
        self.records.range(key(0)..=key(u32::MAX)).filter_map(move |(_, record)| match record {
            Record::Payment(it) if it.id.is_for_change() == for_change => Some(it),
            _ => None,
        })
    }

    fn payments_of(&self, customer: &CustomerId, id: &SubscriptionId) -> impl Iterator<Item = &Payment> {
        let key = |n| Key::Payment(customer.clone(), PaymentId { subscription: id.clone(), period: n, attempt: n });
        self.records.range(key(0)..=key(u32::MAX)).filter_map(|(_, record)| match record {
            Record::Payment(it) => Some(it),
            _ => None,
        })
    }

    pub(crate) fn subscription(&self, customer: &CustomerId) -> Option<&Subscription> {
        match self.records.get(&Key::Subscription(customer.clone())) {
            Some(Record::Subscription(it)) => Some(it),
            _ => None,
        }
    }

    fn wallet(&self, customer: &CustomerId) -> Option<&Wallet> {
        match self.records.get(&Key::Wallet(customer.clone())) {
            Some(Record::Wallet(it)) => Some(it),
            _ => None,
        }
    }

    fn is_granted(&self, id: &PaymentId) -> bool {
        let granted = self.grants.get(&(id.subscription.clone(), id.period)).is_some_and(|grants| grants.contains(id));
        granted || self.changes.contains(id)
    }

    /// A mail ends as sent when it was taken, and as pointless when it is.
    fn mail_handled(&self, old: &Mail, new: &Mail) -> Checked {
        check(old.due_at().is_some(), "I-13", || format!("{} was {:?} and is {:?}", new.id, old.status, new.status))?;
        let owes = self.subscription(&new.customer).is_some_and(|it| match &new.about {
            About::PaymentNeeded(about) => {
                let grace = matches!(it.status, Status::PastDue { dunning: Dunning::Grace { .. }, .. });
                grace && it.id == about.subscription && it.term().map(|term| term.index + 1) == Some(about.period)
            }
            About::Suspended(about) => {
                let of_period = it.term().map(|term| term.index + 1) == Some(about.period);
                self.suspended(it).is_some() && it.id == about.subscription && of_period
            }
            About::TrialEnding(about) => {
                let stays = matches!(it.status, Status::Active { cancel_at_period_end: false, .. });
                let ends = it.period().is_some_and(|period| period.end == about.trial_ends_at);
                stays && ends && it.id == about.subscription && it.term().is_some_and(|term| term.index == 0)
            }
            About::PriceChange(about) => {
                let change = it.price_change.as_ref().filter(|change| change.plan.version == about.plan_version);
                let stays = match &it.status {
                    Status::Active { cancel_at_period_end, .. } => !cancel_at_period_end,
                    Status::PastDue { .. } | Status::Paused { .. } => true,
                    Status::Incomplete | Status::Canceled { .. } | Status::Expired { .. } => false,
                };
                let untold = it.scheduled.is_none() && change.is_some_and(|change| change.from.is_none());
                stays && untold && it.id == about.subscription
            }
            About::Overage(about) => {
                let holds = |passed: &Passed| {
                    let to_come = it.term().is_some_and(|term| term.index < about.period.index);
                    let order = if to_come { allowed::least(it, &passed.meter) } else { it.order.clone() };
                    let price = order.plan.overage.get(&passed.meter).is_some_and(|all| all.contains(&passed.price));
                    price && allowed::limit_of(&order, &passed.meter) == passed.included
                };
                // Staff may have moved its end since the mail was written.
                let runs = it.period().is_some_and(|period| self.now < period.end.as_millisecond());
                let to_come = it.term().is_some_and(|term| term.index < about.period.index);
                let goes_on = to_come || (runs && it.term().is_some_and(|term| term.index == about.period.index));
                it.id == about.subscription && it.is_live() && goes_on && about.meters.iter().any(holds)
            }
        });
        let over = self.now >= new.about.holds_until().as_millisecond();
        let right = match &new.status {
            MailStatus::Due { .. } => true,
            MailStatus::Sent { .. } => {
                // Whoever was told of a price has it from then on.
                self.mailed.contains_key(&new.id) && !(owes && matches!(new.about, About::PriceChange(_)))
            }
            MailStatus::Dropped { because: Dropped::Overtaken, .. } => !owes || over || !self.faults.clocks_right,
            MailStatus::Dropped { because: Dropped::Refused(_), .. } => self.faults.mails.refused > 0,
            MailStatus::Dropped { because: Dropped::NotConfigured, .. } => false,
        };
        check(right, "P-29", || format!("{} is {:?}, and the customer owes: {owes}", new.id, new.status))
    }

    /// Who is in grace is told so, in the transaction that begins it, unless they cannot mend it.
    fn told_of_grace(&self, changes: &Changes, failure: Option<&Failure>) -> Checked {
        let graced = changes.list.iter().any(|(_, new)| {
            matches!(new, Record::Subscription(it) if matches!(it.status, Status::PastDue { dunning: Dunning::Grace { .. }, .. }))
        });
        let ours = failure.is_some_and(|failure| failure.remedy == Remedy::OurFault);
        let mailed = changes.list.iter().any(|change| matches!(change, (None, Record::Mail(_))));
        check(mailed == (graced && !ours), "P-29", || {
            format!("grace begins: {graced}, for what is our fault: {ours}, a mail is due: {mailed}")
        })
    }

    fn happened(&self, changes: &Changes, event: &Event) -> Checked {
        if let Event::PaymentMissed { failure, .. } = event {
            self.told_of_grace(changes, failure.as_ref())?;
        }
        if let Event::RetryScheduled { mended: Some(method), .. } = event {
            let left = changes.payments().any(|it| it.is_setup() && it.is_settled());
            check(left, "P-17", || format!("{method} counts as left anew, and nobody left it"))?;
        }
        if let Event::TakenOver { .. } = event {
            self.taken_over_once(changes)?;
            let waits = changes.list.iter().all(|(_, new)| match new {
                Record::Payment(_) => false,
                Record::Subscription(it) => it.due_at() == it.period().map(|period| period.end),
                _ => true,
            });
            check(waits, "I-1", || "what is taken over is charged for before its period is over".to_owned())?;
        }
        let Some(payment) = granted(event) else { return Ok(()) };
        let grants = self.grants.get(&(payment.subscription.clone(), payment.period)).map_or(0, Vec::len);
        check(grants <= 1, "I-20", || format!("the period of {payment} is granted {grants} times"))
    }

    /// A row that comes again, however much later, is nothing new: each customer has one.
    fn taken_over_once(&self, changes: &Changes) -> Checked {
        let whose = changes.list.iter().find_map(|(_, new)| match new {
            Record::Subscription(it) => Some(&it.customer),
            _ => None,
        });
        let taken_over = self.records.values().filter(|record| match record {
            Record::History { customer, event: Event::TakenOver { .. }, .. } => Some(customer) == whose,
            _ => false,
        });
        let times = taken_over.count();
        check(times == 1, "I-19", || format!("what {whose:?} had elsewhere is taken over {times} times"))
    }

    /// A method comes with a payment that was wanted, and goes when its gateway was told.
    fn rearranged(&self, changes: &Changes, old: Option<&Record>, new: &Wallet) -> Checked {
        let (before, leaving) = match old {
            Some(Record::Wallet(old)) => (old.methods.as_slice(), old.leaving.as_slice()),
            _ => (&[][..], &[][..]),
        };
        for method in new.methods.iter().filter(|method| !before.iter().any(|it| it.id() == method.id())) {
            let wanted = changes.payments().any(|it| it.is_settled() && (it.is_setup() || self.is_granted(&it.id)));
            let wanted = wanted || changes.taken_over();
            check(wanted, "P-17", || format!("{} comes with nothing that was wanted", method.token))?;
        }
        for method in leaving.iter().map(|it| &it.method) {
            let still = new.leaving.iter().any(|it| it.method == *method);
            let back = new.methods.iter().any(|it| it.token == method.token);
            let told = changes.heard(&method.token, |heard| *heard == Heard::Forgotten);
            check(still || back || told, "P-17", || {
                format!("{} counts as forgotten, and its gateway was not told", method.token)
            })?;
        }
        Ok(())
    }

    /// A workflow is about to ask a gateway for money.
    pub(crate) fn sends(&mut self, task: u64, payment: &Payment) {
        let stored = self.records.get(&Key::Payment(payment.customer.clone(), payment.id.clone()));
        let recorded = matches!(stored, Some(Record::Payment(it)) if it.reference == payment.reference);
        if !recorded {
            self.breach("I-5", format!("{} is sent as {}, and that is not recorded", payment.id, payment.reference));
        }
        let began = self.tasks.get(&task).map_or(0, |notes| notes.began_at_step);
        if self.canceled.get(&payment.id.subscription).is_some_and(|step| *step < began) {
            self.breach("I-11", format!("{} is sent and its subscription was canceled before", payment.id));
        }
        if let Some(method) = payment.charged_method().map(Method::id) {
            let removed = self.removed.get(&(payment.customer.clone(), method.clone()));
            if removed.is_some_and(|step| *step < began) {
                self.breach("P-17", format!("{} is sent and {method} was removed before", payment.id));
            }
        }
        self.sent.entry(payment.reference.clone()).or_insert(self.now);
    }

    /// A worker asked a gateway about a payment: whatever the answer was, it is not asked again at once.
    pub(crate) fn asked_about(&mut self, task: u64, wanted: &Wanted) {
        let (Some(notes), Wanted::Payment { customer, payment }) = (self.tasks.get(&task), wanted) else { return };
        let Some(Record::Payment(it)) = self.records.get(&Key::Payment(customer.clone(), payment.clone())) else {
            return;
        };
        let asked = notes.heard.iter().any(|(about, _)| about == it.reference.as_str()) && !notes.refused;
        let due = it.due_at().is_some_and(|at| at.as_millisecond() <= notes.began_at) && !it.is_settled();
        if asked && due && self.faults.clocks_right {
            self.breach("I-23", format!("{payment} was asked about and is still due: {:?}", it.status));
        }
    }

    /// A workflow is about to have a gateway forget a method.
    pub(crate) fn forgets(&mut self, task: u64, method: &Method) {
        let began = self.tasks.get(&task).map_or(0, |notes| notes.began_at_step);
        let held = self.held.get(&(method.gateway, method.token.clone()));
        if held.is_some_and(|step| *step < began) {
            self.breach("P-17", format!("{} is to be forgotten and is in use", method.token));
        }
    }

    /// A request is at a gateway: every one for a payment must be the same (I-5).
    pub(crate) fn compare(&mut self, payment: &Payment) {
        let Some(charge) = self.books.get(&payment.reference) else { return };
        let first = &charge.payment;
        let same = (&first.id, first.amount, first.gateway, &first.customer, first.charged_method())
            == (&payment.id, payment.amount, payment.gateway, &payment.customer, payment.charged_method());
        if !same {
            self.breach("I-5", format!("{} was sent before, and otherwise", payment.reference));
        }
    }

    /// Methods that were the customer's before step `since`, that could be charged, and were not for this period.
    fn untried<'a>(&'a self, subscription: &'a Subscription, since: u64) -> impl Iterator<Item = &'a Method> {
        let period = subscription.term().map_or(0, |term| term.index + 1);
        let next = PaymentId { subscription: subscription.id.clone(), period, attempt: 0 };
        let naira = subscription.order.price.amount.currency.code() == "NGN";
        let methods = self.wallet(&subscription.customer).map_or(&[][..], |wallet| &wallet.methods);
        methods.iter().filter(move |method| {
            let held = self.held.get(&(method.gateway, method.token.clone())).is_some_and(|step| *step < since);
            let mut tried = self.siblings(&next, &subscription.customer).filter_map(Payment::charged_method);
            let taken = method.gateway != Gateway::Flitt || !naira;
            held && taken && !tried.any(|it| it.id() == method.id())
        })
    }
}

fn is_unresolved(record: &Record) -> bool {
    matches!(record, Record::Payment(it) if matches!(it.status, PaymentStatus::Unresolved { .. }))
}
