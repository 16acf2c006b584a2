//! The contract, as far as it is about one renewal: what must hold of every
//! call, and what must hold when all that is due was done. `I-n` is an
//! invariant of RELIABILITY; `P-n` is an item of PRODUCT.

use crate::process::{Job, Process, Stage, delivery};
use crate::world::{Answer, Call, Course, World};
use billing::delivery::DeliveryStatus;
use billing::dunning::Dunning;
use billing::id::PaymentId;
use billing::payment::{Payment, PaymentStatus};
use billing::ports::{Key, Record, Referred, Write};
use billing::subscription::{Event, Status, Subscription};
use billing::testing::{Charge, ChargeStatus, customer};
use jiff::Timestamp;

/// Which invariant is broken, and how.
#[derive(Clone, Debug)]
pub(crate) struct Breach {
    pub(crate) invariant: &'static str,
    pub(crate) what: String,
}

pub(crate) type Checked = Result<(), Breach>;

pub(crate) fn check(holds: bool, invariant: &'static str, what: impl FnOnce() -> String) -> Checked {
    if holds { Ok(()) } else { Err(Breach { invariant, what: what() }) }
}

/// Makes `call`, and holds it against the contract. `knows_canceled`: whoever makes it has read that the subscription is.
pub(crate) fn make(world: &World, call: &Call, course: Course, knows_canceled: bool) -> Result<Answer, Breach> {
    match call {
        Call::Get(_) | Call::Find(_) => Ok(world.make(call, course)),
        Call::Charge(payment) => {
            asks_for_money(world, payment, knows_canceled)?;
            let answer = world.make(call, course);
            money(world).map(|()| answer)
        }
        Call::Refund(payment, _) => {
            let promised = stored(world, &payment.id).and_then(|it| it.paid().map(|paid| paid.is_owed_back()));
            check(promised == Some(true), "I-7", || format!("{} is given back, and that is not recorded", payment.id))?;
            let answer = world.make(call, course);
            money(world).map(|()| answer)
        }
        Call::Commit(writes) => {
            let old: Vec<Option<Record>> = writes.iter().map(|write| at(world, write.key())).collect();
            let answer = world.make(call, course);
            let reached = matches!(course, Course::Answered | Course::Unheard);
            if reached && writes.iter().zip(&old).all(|(write, old)| is_taken(write, old.as_ref())) {
                let list = old.iter().map(Option::as_ref).zip(writes.iter().map(record)).collect();
                Changes { world, list }.hold()?;
            }
            Ok(answer)
        }
    }
}

/// What was acknowledged is so: a delivery is stored, and who canceled is let go.
pub(crate) fn answered(world: &World, process: &Process) -> Checked {
    let Stage::Ended(Ok(())) = &process.stage else { return Ok(()) };
    match &process.job {
        Job::Webhook(number) => {
            let stored = world.get(Key::Delivery(delivery(*number))).delivery().is_some();
            check(stored, "I-17", || "a delivery was taken and is not stored".to_owned())
        }
        Job::Request(_) => {
            let status = world.subscription().status;
            let leaves = matches!(status, Status::Canceled { .. } | Status::Active { cancel_at_period_end: true, .. });
            check(leaves, "P-8", || format!("it was canceled, and is {status:?}"))
        }
        Job::Wake(_) | Job::Verify => Ok(()),
    }
}

/// A request for money is on its way.
fn asks_for_money(world: &World, payment: &Payment, knows_canceled: bool) -> Checked {
    let sent = |it: &Payment| (it.reference.clone(), it.amount, it.charged_method().cloned());
    let recorded = stored(world, &payment.id).is_some_and(|it| sent(&it) == sent(payment));
    check(recorded, "I-5", || format!("{} is sent as {}, and that is not recorded", payment.id, payment.reference))?;
    check(!knows_canceled, "I-11", || format!("{} is sent by one who knows that it is not wanted", payment.id))
}

/// No period is paid for twice, and no more goes back than was taken.
fn money(world: &World) -> Checked {
    let mut taken: Vec<PaymentId> = vec![];
    for (payment, charge) in books(world) {
        let returned: i64 = charge.refunds.values().sum();
        let right = returned <= charge.amount.minor && charge.refunds.len() <= 1;
        check(right, "I-7", || format!("{} was given back as {:?}", payment.id, charge.refunds))?;
        if charge.status == ChargeStatus::Succeeded {
            let twice = taken.iter().find(|it| it.period == payment.id.period);
            check(twice.is_none(), "I-1", || format!("{} took money after {twice:?} did", payment.id))?;
            taken.push(payment.id);
        }
    }
    Ok(())
}

/// What one commit changed: each record as it was, and as it is.
struct Changes<'a> {
    world: &'a World,
    list: Vec<(Option<&'a Record>, &'a Record)>,
}

impl Changes<'_> {
    fn hold(&self) -> Checked {
        for (old, new) in &self.list {
            match (old, new) {
                (None, Record::Payment(new)) => self.begun(new)?,
                (Some(Record::Payment(old)), Record::Payment(new)) => self.settled(old, new)?,
                (Some(Record::Subscription(old)), Record::Subscription(new)) => self.moved(old, new)?,
                (Some(Record::Delivery(old)), Record::Delivery(new)) => {
                    let undone = old.status == DeliveryStatus::Done && new.status != DeliveryStatus::Done;
                    check(!undone, "I-13", || format!("{:?} was done and is not any more", new.id))?;
                }
                _ => {}
            }
        }
        granted_once(self.world)
    }

    fn granted(&self) -> Option<&PaymentId> {
        self.list.iter().find_map(|(_, new)| renewed(new))
    }

    fn suspends(&self) -> usize {
        let suspends = |it: &Record| matches!(it, Record::History { event: Event::Suspended { .. }, .. });
        self.list.iter().filter(|(_, new)| suspends(new)).count()
    }

    fn begun(&self, new: &Payment) -> Checked {
        let id = &new.id;
        check(new.reference == id.reference(&new.customer), "I-5", || format!("{id} has a reference of its own"))?;
        let referred = |it: &Record| matches!(it, Record::Reference(Referred { payment, .. }) if payment == id);
        check(self.list.iter().any(|(_, it)| referred(it)), "R1", || {
            format!("{id} is recorded without its reference")
        })?;
        let subscription = self.world.subscription();
        check(matches!(subscription.status, Status::Active { .. } | Status::PastDue { .. }), "I-11", || {
            format!("{id} is made and {:?}", subscription.status)
        })?;
        check(subscription.open.as_ref() == Some(id), "I-4", || format!("{id} is made and is not waited for"))?;
        let sibling = |it: &Payment| it.id.period == id.period && it.id != *id;
        let open = self.world.payments().into_iter().find(|it| sibling(it) && is_open(it));
        check(open.is_none(), "I-4", || format!("{id} is made while {:?} is open", open.map(|it| it.id)))
    }

    fn settled(&self, old: &Payment, new: &Payment) -> Checked {
        use PaymentStatus::{Expired, Failed, Paid, Pending, Unresolved};
        let id = &new.id;
        let same = (&old.reference, old.amount, old.created_at, old.charged_method())
            == (&new.reference, new.amount, new.created_at, new.charged_method());
        check(same, "I-5", || format!("{id} was {old:?} and is {new:?}"))?;
        // Success dominates: what is paid stays so.
        let legal = match (&old.status, &new.status) {
            (Pending { .. } | Failed { .. } | Expired { .. } | Unresolved { .. }, Paid(_))
            | (Pending { .. }, Pending { .. } | Failed { .. } | Expired { .. } | Unresolved { .. })
            | (Failed { .. }, Failed { .. })
            | (Unresolved { .. }, Failed { .. } | Expired { .. } | Unresolved { .. }) => true,
            (Paid(old), Paid(new)) => old.receipt == new.receipt && old.refunds.len() <= new.refunds.len(),
            (Failed { .. } | Expired { .. } | Unresolved { .. } | Paid(_), _) => false,
        };
        check(legal, "I-13", || format!("{id} was {:?} and is {:?}", old.status, new.status))?;
        let charge = self.world.charge_of(new);
        let known = charge.as_ref().map(|charge| (charge.status, charge.amount));
        match &new.status {
            Paid(paid) => {
                let taken = known == Some((ChargeStatus::Succeeded, paid.receipt.amount));
                check(taken, "I-18", || format!("{id} counts as paid and the books say {known:?}"))?;
                let kept = granted(self.world, id) && paid.refunds.is_empty();
                check(kept || paid.left() == 0, "I-2", || format!("{id} is paid, not granted, and not owed back"))
            }
            Failed { .. } => {
                let declined = matches!(known, Some((ChargeStatus::Declined(_), _)));
                check(declined, "I-3", || format!("{id} counts as declined and the books say {known:?}"))
            }
            Expired { .. } => check(known.is_none(), "I-3", || format!("{id} is given up and the books say {known:?}")),
            Pending { .. } | Unresolved { .. } => Ok(()),
        }
    }

    fn moved(&self, old: &Subscription, new: &Subscription) -> Checked {
        use Status::{Active, Canceled, Expired, Incomplete, PastDue, Paused};
        let told = || format!("it was {:?} and is {:?}", old.status, new.status);
        let legal = match (&old.status, &new.status) {
            (Canceled { .. }, _) => return check(old.status == new.status, "I-11", told),
            (Active { cancel_at_period_end: true, .. }, Active { cancel_at_period_end, .. }) => *cancel_at_period_end,
            (Active { cancel_at_period_end: true, .. }, PastDue { .. }) => false,
            (Active { .. } | PastDue { .. }, Active { .. } | PastDue { .. } | Canceled { .. }) => true,
            (Incomplete | Active { .. } | PastDue { .. } | Paused { .. } | Expired { .. }, _) => false,
        };
        check(legal, "I-13", told)?;
        let graced = matches!(old.status, PastDue { dunning: Dunning::Grace { .. }, .. });
        let suspended = matches!(new.status, PastDue { dunning: Dunning::Suspended { .. }, .. });
        check(self.suspends() == usize::from(suspended && old.status != new.status), "I-12", told)?;
        check(self.suspends() == 0 || graced, "I-12", told)?;
        let (before, after) = (old.term(), new.term());
        let Some(payment) = self.granted() else { return check(before == after, "I-10", told) };
        let next = before.map(|term| term.index + 1);
        check(after.map(|term| term.index) == next && next == Some(payment.period), "I-10", told)?;
        let paid = |it: &Record| matches!(it, Record::Payment(it) if it.id == *payment && it.is_settled());
        check(self.list.iter().any(|(_, new)| paid(new)), "I-2", || format!("{payment} is granted and was not paid"))
    }
}

/// Each period that was paid for, once, with its tokens.
fn granted_once(world: &World) -> Checked {
    let records = world.records();
    let mut periods: Vec<u32> = records.iter().filter_map(renewed).map(|it| it.period).collect();
    periods.sort_unstable();
    check(periods.windows(2).all(|pair| pair[0] != pair[1]), "I-20", || format!("granted were {periods:?}"))?;
    let subscription = world.subscription();
    let included = subscription.order.plan.tokens_included.unwrap_or(0);
    let owned = (1 + u64::try_from(periods.len()).unwrap_or(u64::MAX)) * included;
    let balance = world.get(Key::Tokens(customer())).tokens().map(|tokens| tokens.balance);
    check(balance == Some(owned), "I-16", || format!("{periods:?} were granted, and there are {balance:?} tokens"))
}

/// What must hold when nothing is due before `until`, and nothing went wrong for a while.
pub(crate) fn at_rest(world: &World, until: Timestamp) -> Checked {
    let mut kept = 0;
    for (payment, charge) in books(world).into_iter().filter(|(_, charge)| charge.status == ChargeStatus::Succeeded) {
        let granted = granted(world, &payment.id);
        let returned: i64 = charge.refunds.values().sum();
        let right = payment.is_settled() && returned == if granted { 0 } else { charge.amount.minor };
        check(right, "I-2", || {
            format!("{} took money: granted {granted}, {returned} went back, {:?}", payment.id, payment.status)
        })?;
        kept += u32::from(granted);
    }
    for record in world.records() {
        match record {
            Record::Payment(it) => {
                check(!is_open(&it), "I-23", || format!("{} is {:?} for ever", it.id, it.status))?;
            }
            Record::Delivery(it) => {
                check(it.status == DeliveryStatus::Done, "I-23", || format!("{:?} is {:?}", it.id, it.status))?;
            }
            _ => {}
        }
    }
    let subscription = world.subscription();
    let told = || format!("{kept} renewals were paid for, and it is {:?}", subscription.status);
    check(subscription.term().map(|term| term.index) == Some(kept), "I-2", told)?;
    let is_served = match &subscription.status {
        Status::Active { .. } | Status::PastDue { dunning: Dunning::Retry { .. } | Dunning::Grace { .. }, .. } => true,
        Status::PastDue { dunning: Dunning::Suspended { .. }, .. } => false,
        Status::Incomplete | Status::Paused { .. } | Status::Canceled { .. } | Status::Expired { .. } => false,
    };
    let served_until = subscription.period().filter(|_| is_served).map(|period| period.end);
    check(served_until.is_none_or(|end| end > until), "I-23", told)
}

fn at(world: &World, key: Key) -> Option<Record> {
    world.get(key).records().first().cloned()
}

fn record(write: &Write) -> &Record {
    match write {
        Write::Create(record) | Write::Replace { record, .. } => record,
        Write::Consume { .. } | Write::Count { .. } | Write::CountInShard { .. } | Write::Add(_) | Write::Set(_) => {
            panic!("nobody who is explored uses anything")
        }
    }
}

/// Whether a store takes a write over what it has: nobody's update is lost.
fn is_taken(write: &Write, old: Option<&Record>) -> bool {
    match write {
        Write::Create(_) => old.is_none(),
        Write::Replace { seen, .. } => old.and_then(Record::version) == Some(*seen),
        Write::Consume { .. } | Write::Count { .. } | Write::CountInShard { .. } | Write::Add(_) | Write::Set(_) => {
            panic!("nobody who is explored uses anything")
        }
    }
}

fn stored(world: &World, id: &PaymentId) -> Option<Payment> {
    world.get(Key::Payment(customer(), id.clone())).payment()
}

/// The renewals that the gateway knows, each with what is recorded of it.
fn books(world: &World) -> Vec<(Payment, Charge)> {
    let renewals = world.payments().into_iter().filter(|it| it.id.period > 0);
    renewals.filter_map(|it| world.charge_of(&it).map(|charge| (it, charge))).collect()
}

fn renewed(record: &Record) -> Option<&PaymentId> {
    match record {
        Record::History { event: Event::Renewed { payment, .. } | Event::Restored { payment, .. }, .. } => {
            Some(payment)
        }
        _ => None,
    }
}

fn granted(world: &World, id: &PaymentId) -> bool {
    world.records().iter().any(|record| renewed(record) == Some(id))
}

fn is_open(payment: &Payment) -> bool {
    match &payment.status {
        PaymentStatus::Pending { .. } | PaymentStatus::Unresolved { .. } => true,
        PaymentStatus::Failed { check_at, .. } => check_at.is_some(),
        PaymentStatus::Paid(paid) => paid.refunds.iter().any(|refund| refund.is_due()),
        PaymentStatus::Expired { .. } => false,
    }
}
