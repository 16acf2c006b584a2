//! The contract: what must hold after every step, and what must hold at rest.
//!
//! Each check compares what the workflows stored with what the gateways' own
//! books say. Only what a step changed is looked at: the rest was right before.

use crate::books::Phase;
use crate::faults::DAY;
use crate::world::{Heard, Notes, State, instant};
use billing::delivery::DeliveryStatus;
use billing::dunning::{Dunning, MOST_ATTEMPTS};
use billing::id::{CustomerId, PaymentId};
use billing::payment::{Collection, Gateway, Payment, PaymentStatus};
use billing::ports::{Claim, Key, Record, Referred, Tokens};
use billing::subscription::{CancelReason, Event, Status, Subscription};
use jiff::Timestamp;

/// Which invariant is broken, how, and at which step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Breach {
    pub(crate) invariant: &'static str,
    pub(crate) what: String,
    pub(crate) step: u64,
}

type Checked = Result<(), (&'static str, String)>;

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

    /// The payment whose period was granted, if one was.
    fn granted(&self) -> Option<&'a PaymentId> {
        self.events().find_map(granted)
    }
}

fn granted(event: &Event) -> Option<&PaymentId> {
    match event {
        Event::Activated { payment, .. } | Event::Renewed { payment } => Some(payment),
        Event::PaymentMissed { .. }
        | Event::RefundOwed { .. }
        | Event::CancellationScheduled
        | Event::CancellationRevoked
        | Event::Canceled { .. }
        | Event::Expired { .. } => None,
    }
}

impl State {
    /// Checks what a commit did, and notes what later checks compare with.
    pub(crate) fn inspect(&mut self, task: u64, changed: &[(Key, Option<Record>)]) -> Checked {
        for (key, _) in changed {
            let (granted, ended) = match self.records.get(key) {
                Some(Record::History { event, .. }) => (granted(event).cloned(), None),
                Some(Record::Subscription(it)) => {
                    (None, matches!(it.status, Status::Canceled { .. }).then(|| it.id.clone()))
                }
                _ => (None, None),
            };
            if let Some(payment) = granted {
                self.grants.entry((payment.subscription.clone(), payment.period)).or_default().push(payment);
            }
            if let Some(id) = ended {
                self.canceled.entry(id).or_insert(self.step);
            }
        }
        let Some(task) = self.tasks.get(&task) else { return Ok(()) };
        let list = changed.iter().filter_map(|(key, old)| Some((old.as_ref(), self.records.get(key)?)));
        let changes = Changes { task, list: list.collect() };
        for (old, new) in &changes.list {
            match (old, new) {
                (None, Record::Payment(new)) => self.created(&changes, new)?,
                (Some(Record::Payment(old)), Record::Payment(new)) => self.settled(&changes, old, new)?,
                (None, Record::Subscription(new)) => {
                    let first = matches!(new.status, Status::Incomplete);
                    check(first, "I-13", || format!("{} begins as {:?}", new.id, new.status))?;
                }
                (Some(Record::Subscription(old)), Record::Subscription(new)) => moved(&changes, old, new)?,
                (old, Record::Tokens(new)) => tokens(&changes, *old, new, self)?,
                (_, Record::History { event, .. }) => self.granted_once(event)?,
                (Some(Record::Delivery(old)), Record::Delivery(new)) => {
                    let back = old.status == DeliveryStatus::Done && new.status != DeliveryStatus::Done;
                    check(!back, "I-13", || format!("{:?} was done and is not any more", new.id))?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn siblings(&self, payment: &Payment) -> impl Iterator<Item = &Payment> {
        let key = |attempt| Key::Payment(payment.customer.clone(), PaymentId { attempt, ..payment.id.clone() });
        self.records.range(key(0)..=key(u32::MAX)).filter_map(|(_, record)| match record {
            Record::Payment(it) => Some(it),
            _ => None,
        })
    }

    fn subscription(&self, customer: &CustomerId) -> Option<&Subscription> {
        match self.records.get(&Key::Subscription(customer.clone())) {
            Some(Record::Subscription(it)) => Some(it),
            _ => None,
        }
    }

    fn created(&self, changes: &Changes, new: &Payment) -> Checked {
        let id = &new.id;
        check(new.reference == id.reference(&new.customer), "I-5", || format!("{id} has a reference of its own"))?;
        let referred = |record: &Record| matches!(record, Record::Reference(Referred { payment, .. }) if payment == id);
        check(changes.list.iter().any(|(_, it)| referred(it)), "R1", || {
            format!("{id} is recorded without its reference")
        })?;
        let subscription = self.subscription(&new.customer).filter(|it| it.id == id.subscription);
        check(subscription.is_some_and(|it| it.open.as_ref() == Some(id)), "I-4", || {
            format!("{id} is made and its subscription does not wait for it")
        })?;
        match new.collection {
            Collection::Checkout { .. } => {
                let claimed = |record: &Record| matches!(record, Record::Claim(Claim { payment, .. }) if payment == id);
                check(changes.list.iter().any(|(_, it)| claimed(it)), "I-19", || {
                    format!("{id} is made and no key is claimed for it")
                })
            }
            Collection::OffSession { .. } => {
                let live = subscription.is_some_and(Subscription::is_live);
                check(live, "I-11", || format!("{id} is made for a subscription that ended"))?;
                let open = self.siblings(new).find(|it| it.id != *id && !is_terminal(it));
                check(open.is_none(), "I-4", || {
                    format!("{id} is made while {:?} is open", open.map(|it| it.id.to_string()))
                })?;
                let attempts = self.siblings(new).count();
                check(attempts <= usize::try_from(MOST_ATTEMPTS.min(4)).unwrap_or(4), "I-12", || {
                    format!("{id} is attempt {attempts} for its period")
                })
            }
        }
    }

    fn settled(&self, changes: &Changes, old: &Payment, new: &Payment) -> Checked {
        use PaymentStatus::{Expired, Failed, Pending, RefundDue, Refunded, Succeeded, Unresolved};
        let id = &new.id;
        let same = (&old.reference, old.amount, old.gateway, &old.customer, old.created_at)
            == (&new.reference, new.amount, new.gateway, &new.customer, new.created_at);
        check(same, "I-5", || format!("{id} was {old:?} and is {new:?}"))?;
        let legal = match (&old.status, &new.status) {
            (
                Pending { .. },
                Pending { .. } | Failed { .. } | Expired { .. } | Unresolved { .. } | Succeeded { .. },
            )
            | (Pending { .. } | Failed { .. } | Expired { .. } | Unresolved { .. }, RefundDue { .. })
            | (Failed { .. }, Failed { .. } | Succeeded { .. })
            | (Expired { .. }, Succeeded { .. })
            | (Unresolved { .. }, Failed { .. } | Expired { .. } | Succeeded { .. } | Unresolved { .. })
            | (RefundDue { .. }, RefundDue { .. } | Refunded { .. }) => true,
            (
                Pending { .. }
                | Failed { .. }
                | Expired { .. }
                | Unresolved { .. }
                | Succeeded { .. }
                | RefundDue { .. }
                | Refunded { .. },
                _,
            ) => false,
        };
        check(legal, "I-13", || format!("{id} was {:?} and is {:?}", old.status, new.status))?;
        if std::mem::discriminant(&old.status) == std::mem::discriminant(&new.status) {
            return Ok(());
        }
        let heard = |is: &dyn Fn(&Heard) -> bool| {
            changes.task.heard.iter().any(|(reference, heard)| *reference == new.reference && is(heard))
        };
        match &new.status {
            Succeeded { receipt, .. } => {
                check(heard(&|it| *it == Heard::Paid(receipt.clone())), "I-18", || {
                    format!("{id} is paid and no gateway was asked")
                })?;
                check(receipt.amount == new.amount, "I-9", || {
                    format!("{id} over {} counts as paid by {}", new.amount, receipt.amount)
                })?;
                let taken = self.books.get(&new.reference).map(|it| it.amount);
                check(taken == Some(new.amount), "I-9", || format!("{id} is paid and the books say {taken:?}"))?;
                check(changes.granted() == Some(id), "I-2", || format!("{id} is paid and nothing is granted for it"))
            }
            RefundDue { receipt, .. } => {
                check(heard(&|it| *it == Heard::Paid(receipt.clone())), "I-18", || {
                    format!("{id} is owed back and no gateway was asked")
                })?;
                check(changes.granted() != Some(id), "I-2", || format!("{id} is granted and owed back"))
            }
            Failed { .. } => check(heard(&|it| matches!(it, Heard::Declined | Heard::Ended)), "I-3", || {
                format!("{id} failed and no gateway said so")
            }),
            Expired { at } => {
                check(heard(&|it| ends_page(it, new, *at)), "I-3", || format!("{id} expired and no gateway said so"))
            }
            Refunded { .. } => {
                let refunds = self.books.get(&new.reference).map_or(0, |it| it.refunds);
                check(refunds == 1, "I-2", || format!("{id} counts as given back, and the books say {refunds} times"))
            }
            Pending { .. } | Unresolved { .. } => Ok(()),
        }
    }

    fn granted_once(&self, event: &Event) -> Checked {
        let Some(payment) = granted(event) else { return Ok(()) };
        let grants = self.grants.get(&(payment.subscription.clone(), payment.period)).map_or(0, Vec::len);
        check(grants <= 1, "I-20", || format!("the period of {payment} is granted {grants} times"))
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
    }

    /// A request is at a gateway: every one for a payment must be the same (I-5).
    pub(crate) fn compare(&mut self, payment: &Payment) {
        let Some(charge) = self.books.get(&payment.reference) else { return };
        let first = &charge.payment;
        let method = |payment: &Payment| match &payment.collection {
            Collection::Checkout { .. } => None,
            Collection::OffSession { method } => Some(method.clone()),
        };
        let same = (&first.id, first.amount, first.gateway, &first.customer, method(first))
            == (&payment.id, payment.amount, payment.gateway, &payment.customer, method(payment));
        if !same {
            self.breach("I-5", format!("{} was sent before, and otherwise", payment.reference));
        }
    }

    /// What must hold when nothing went wrong for 25 days.
    pub(crate) fn at_rest(&self) -> Option<Breach> {
        let broken = self.money_at_rest().and_then(|()| self.records_at_rest()).err();
        broken.map(|(invariant, what)| Breach { invariant, what, step: self.step })
    }

    fn money_at_rest(&self) -> Checked {
        for (reference, charge) in self.books.iter().filter(|(_, charge)| charge.taken > 0) {
            let key = Key::Payment(charge.payment.customer.clone(), charge.payment.id.clone());
            let Some(Record::Payment(payment)) = self.records.get(&key) else {
                return Err(("I-2", format!("{reference} took money that nobody asked for")));
            };
            let id = &payment.id;
            let grants = self.grants.get(&(id.subscription.clone(), id.period));
            let granted = grants.is_some_and(|grants| grants.contains(id));
            let kept = charge.refunds == 0;
            let fresh = self.now - charge.taken_at < DAY;
            check(fresh || granted == kept, "I-2", || {
                format!("{id} took money: granted {granted}, given back {}, {:?}", !kept, payment.status)
            })?;
        }
        for ((subscription, period), payments) in &self.grants {
            let taken = payments.iter().filter(|id| {
                let charge = self.books.values().find(|charge| charge.payment.id == **id);
                charge
                    .is_some_and(|charge| charge.taken == 1 && charge.refunds == 0 && charge.phase == Phase::Succeeded)
            });
            let taken = taken.count();
            check(taken == 1 && payments.len() == 1, "I-1", || {
                format!("period {period} of {subscription} is granted {} times and paid {taken} times", payments.len())
            })?;
        }
        Ok(())
    }

    fn records_at_rest(&self) -> Checked {
        for record in self.records.values() {
            match record {
                Record::Payment(it) => {
                    let age = self.now - it.created_at.as_millisecond();
                    let waits = matches!(it.status, PaymentStatus::Pending { .. } | PaymentStatus::RefundDue { .. });
                    check(!waits || age < 6 * DAY, "I-23", || {
                        format!("{} has been {:?} for days, due {:?}", it.id, it.status, it.due_at())
                    })?;
                }
                Record::Delivery(it) => {
                    let age = self.now - it.received_at.as_millisecond();
                    check(it.status == DeliveryStatus::Done || age < DAY, "I-23", || {
                        format!("{:?} has been undone for days: {:?}", it.id, it.status)
                    })?;
                }
                Record::Subscription(it) => self.served_at_rest(it)?,
                _ => {}
            }
        }
        let long_ago = instant(self.now - DAY);
        let overdue = self.due.iter().filter_map(|lane| lane.first()).find(|(at, _)| *at < long_ago);
        check(overdue.is_none(), "I-23", || format!("{overdue:?} is overdue"))
    }

    fn served_at_rest(&self, subscription: &Subscription) -> Checked {
        let Some(period) = subscription.period().filter(|_| subscription.is_live()) else { return Ok(()) };
        // What nobody can tell waits for a person, who was told so.
        let unresolved = subscription.open.as_ref().is_some_and(|open| {
            let key = Key::Payment(subscription.customer.clone(), open.clone());
            matches!(self.records.get(&key), Some(Record::Payment(it)) if matches!(it.status, PaymentStatus::Unresolved { .. }))
        });
        let over = self.now - period.end.as_millisecond();
        // Dunning and grace last eight days; a charge may be at the bank for three of them, four times.
        let most = match subscription.status {
            Status::PastDue { .. } => 21 * DAY,
            Status::Active { .. } if subscription.open.is_some() => 6 * DAY,
            Status::Active { .. } | Status::Incomplete | Status::Canceled { .. } | Status::Expired { .. } => DAY,
        };
        check(unresolved || over < most, "I-23", || {
            format!(
                "{} is served {} hours past its period: {:?}",
                subscription.id,
                over / 3_600_000,
                subscription.status
            )
        })
    }
}

/// Whether another attempt may follow.
fn is_terminal(payment: &Payment) -> bool {
    match payment.status {
        PaymentStatus::Pending { .. } | PaymentStatus::Unresolved { .. } => false,
        PaymentStatus::Failed { .. }
        | PaymentStatus::Expired { .. }
        | PaymentStatus::Succeeded { .. }
        | PaymentStatus::RefundDue { .. }
        | PaymentStatus::Refunded { .. } => true,
    }
}

/// The table of a subscription's transitions, and what each needs.
fn moved(changes: &Changes, old: &Subscription, new: &Subscription) -> Checked {
    use Status::{Active, Canceled, Expired, Incomplete, PastDue};
    let told = || format!("{} was {:?} and is {:?}", new.id, old.status, new.status);
    if old.id != new.id {
        let ended = matches!(old.status, Canceled { .. } | Expired { .. });
        let follows = ended && new.id == old.id.next() && matches!(new.status, Incomplete);
        return check(follows, "I-13", told);
    }
    let legal = match (&old.status, &new.status) {
        (Incomplete | Expired { term: None, .. }, Incomplete | Active { .. })
        | (Incomplete, Canceled { .. } | Expired { term: None, .. })
        | (Active { .. } | PastDue { .. }, Active { .. } | PastDue { .. } | Canceled { .. })
        | (Active { .. }, Expired { term: Some(_), .. }) => true,
        (Canceled { .. } | Expired { .. }, _) => old.status == new.status,
        (Incomplete | Active { .. } | PastDue { .. }, _) => false,
    };
    check(legal, "I-13", told)?;
    let absorbing = if matches!(old.status, Canceled { .. }) { "I-11" } else { "I-13" };
    check(!matches!(old.status, Canceled { .. }) || old.status == new.status, absorbing, told)?;

    let (before, after) = (old.term(), new.term());
    let grants = changes.events().filter(|event| granted(event).is_some()).count();
    let expected = match (before, after) {
        (None, None) => 0,
        (None, Some(_)) => 1,
        (Some(before), Some(after)) => usize::from(before != after),
        (Some(_), None) => usize::MAX,
    };
    check(grants == expected, "I-10", told)?;
    if let Some(payment) = changes.granted() {
        let next = before.map_or(0, |term| term.index + 1);
        let same_anchor = before.is_none_or(|before| after.is_some_and(|after| after.anchor == before.anchor));
        let by_one = after.is_some_and(|term| term.index == next) && payment.period == next && same_anchor;
        check(by_one, "I-10", || format!("{payment} leads from {before:?} to {after:?}"))?;
        let paid = |record: &Record| matches!(record, Record::Payment(it) if it.id == *payment && matches!(it.status, PaymentStatus::Succeeded { .. }));
        check(changes.list.iter().any(|(_, new)| paid(new)), "I-2", || {
            format!("{payment} is granted and not paid in the same commit")
        })?;
        let included = new.order.plan.tokens_included.unwrap_or(0);
        let with_tokens = changes.list.iter().any(|(_, new)| matches!(new, Record::Tokens(_)));
        check(with_tokens == (included > 0), "I-16", || format!("{payment} is granted without its tokens"))?;
    }
    if let (Active { cancel_at_period_end: true, .. }, Active { cancel_at_period_end: false, .. }) =
        (&old.status, &new.status)
    {
        let revoked = changes.events().any(|event| *event == Event::CancellationRevoked);
        check(revoked, "I-13", || format!("{} forgets that it is to end", new.id))?;
    }
    unpaid(old, new)
}

/// Served until every attempt failed, then through grace (I-12).
fn unpaid(old: &Subscription, new: &Subscription) -> Checked {
    match (&old.status, &new.status) {
        (old_status, Status::Canceled { reason: CancelReason::Unpaid, .. }) => {
            let after_grace = matches!(old_status, Status::PastDue { dunning: Dunning::Grace { .. }, .. });
            let repeated = old_status == &new.status;
            check(after_grace || repeated, "I-12", || format!("{} was {old_status:?} and is ended", new.id))
        }
        (_, Status::PastDue { dunning: Dunning::Retry { .. }, .. }) => {
            check(new.attempts < 4 || new.open.is_some(), "I-12", || {
                format!("{} is to be tried a {}th time", new.id, new.attempts + 1)
            })
        }
        _ => Ok(()),
    }
}

/// Tokens come with a paid period, and no other way (I-16).
fn tokens(changes: &Changes, old: Option<&Record>, new: &Tokens, state: &State) -> Checked {
    let before = match old {
        Some(Record::Tokens(it)) => it.balance,
        _ => 0,
    };
    let included = state.subscription(&new.customer).and_then(|it| it.order.plan.tokens_included).unwrap_or(0);
    let right = changes.granted().is_some() && new.balance == before + included;
    check(right, "I-16", || format!("{} had {before} tokens and has {}", new.customer, new.balance))
}

/// Whether a page is over by what was heard: a gateway that cannot close its
/// page may go on waiting, but only until the time to pay is over.
fn ends_page(heard: &Heard, payment: &Payment, at: Timestamp) -> bool {
    let unpaid_in_time = match &payment.collection {
        Collection::Checkout { expires_at, .. } => payment.gateway == Gateway::Paystack && at >= *expires_at,
        Collection::OffSession { .. } => false,
    };
    match heard {
        Heard::Ended | Heard::Nothing => true,
        Heard::Waiting | Heard::Declined => unpaid_in_time,
        Heard::Paid(_) => false,
    }
}
