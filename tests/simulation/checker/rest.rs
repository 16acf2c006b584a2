//! What must hold when nothing went wrong for 25 days. The looks at payments of
//! long ago remain due, by design.

use super::suspension::runs;
use super::{Breach, Checked, check};
use crate::books::Charge;
use crate::faults::DAY;
use crate::world::{State, instant};
use billing::delivery::DeliveryStatus;
use billing::id::PaymentId;
use billing::outcome::DisputeStanding;
use billing::payment::{Gateway, Paid, Payment, PaymentStatus, RefundReason, RefundStatus};
use billing::ports::{Key, Record};
use billing::subscription::{Status, Subscription};

/// Days after a payment on which the gateway is asked what became of the money.
const LOOKS: [i64; 5] = [1, 7, 30, 60, 120];

/// How long a look may take: clocks are off, and gateways are out for days.
const LOOK_TAKES: i64 = 9 * DAY;

impl State {
    pub(crate) fn at_rest(&self) -> Option<Breach> {
        let broken =
            self.money_at_rest().and_then(|()| self.records_at_rest()).and_then(|()| self.billed_at_rest()).err();
        broken.map(|(invariant, what)| Breach { invariant, what, step: self.step })
    }

    fn money_at_rest(&self) -> Checked {
        for (reference, charge) in self.books.iter().filter(|(_, charge)| charge.taken > 0) {
            let Some(payment) = charge.record(&self.records) else {
                return Err(("I-2", format!("{reference} took money that nobody asked for")));
            };
            if self.now - charge.taken_at < DAY || self.now - charge.changed_at < DAY {
                continue;
            }
            let Some(paid) = payment.paid() else {
                return Err(("I-2", format!("{} took money and is {:?}", payment.id, payment.status)));
            };
            self.kept_at_rest(charge, payment, paid)?;
            self.known_at_rest(charge, payment, paid)?;
        }
        for ((subscription, period), payments) in &self.grants {
            let taken = payments.iter().filter(|id| {
                let charge = self.books.values().find(|charge| charge.payment.id == **id);
                charge.is_some_and(|charge| charge.taken == 1)
            });
            let from_balance = payments.iter().filter(|id| self.is_from_balance(id)).count();
            let taken = taken.count() + from_balance;
            check(taken == 1 && payments.len() == 1, "I-1", || {
                format!("period {period} of {subscription} is granted {} times and paid {taken} times", payments.len())
            })?;
        }
        Ok(())
    }

    /// Whether the period was paid for from the balance: then there is no payment of that name.
    fn is_from_balance(&self, id: &PaymentId) -> bool {
        let recorded = |record: &Record| matches!(record, Record::Payment(it) if it.id == *id);
        !self.records.values().any(recorded)
    }

    /// Granted and ours to keep, unless somebody chose otherwise; or gone.
    fn kept_at_rest(&self, charge: &Charge, payment: &Payment, paid: &Paid) -> Checked {
        let (gone, taken) = (charge.gone(self.now), charge.amount.minor);
        let granted = self.is_granted(&payment.id);
        let not_owed = paid.refunds.iter().any(|it| it.reason == RefundReason::NotOwed);
        // What the bank decides about stays where it is, until we hear that it decided.
        let decided = !paid.is_disputed() && charge.dispute != Some(DisputeStanding::Open);
        let right = if granted { !not_owed } else { gone == taken || !decided };
        check(right && gone <= taken, "I-2", || {
            format!("{} took {taken}: granted {granted}, gone {gone}, {:?}", payment.id, payment.status)
        })?;
        let counted = granted.then(|| paid.left());
        check(paid.counted_on == counted, "I-6", || {
            format!("{} is counted on for {:?}, and is worth {counted:?}", payment.id, paid.counted_on)
        })?;
        let ours: i64 = paid
            .refunds
            .iter()
            .filter(|it| matches!(it.status, RefundStatus::Done { .. }))
            .map(|it| it.amount.minor)
            .sum();
        let theirs = charge.refunded(self.now);
        let waits = paid.dispute().is_some_and(|it| it.standing != DisputeStanding::Won);
        check(ours == theirs || waits, "I-7", || {
            format!("{} was given back {ours} by our books and {theirs} by the gateway's", payment.id)
        })
    }

    /// What became of the money is known if it was told, or was looked for since.
    fn known_at_rest(&self, charge: &Charge, payment: &Payment, paid: &Paid) -> Checked {
        let looks = LOOKS.map(|day| paid.at.as_millisecond() + day * DAY);
        let looked = looks.iter().any(|look| charge.changed_at + LOOK_TAKES < *look && look + LOOK_TAKES < self.now);
        let coming = looks.iter().copied().find(|look| *look > self.now + LOOK_TAKES);
        check(coming.is_none_or(|look| paid.look_at.is_some_and(|at| at.as_millisecond() <= look)), "I-23", || {
            format!("{} is looked at no more, or not before {:?}", payment.id, paid.look_at)
        })?;
        let asked = charge.record(&self.records).filter(|it| it.is_settled()).unwrap_or(payment);
        let known = paid.aftermath == charge.aftermath(asked, self.now);
        check(known || !(looked || charge.change_told), "P-18", || {
            format!("{} is believed {:?}, and is {:?}", payment.id, paid.aftermath, charge.aftermath(asked, self.now))
        })
    }

    fn records_at_rest(&self) -> Checked {
        for record in self.records.values() {
            match record {
                Record::Payment(it) => self.payment_at_rest(it)?,
                Record::Delivery(it) => {
                    let age = self.now - it.received_at.as_millisecond();
                    check(it.status == DeliveryStatus::Done || age < DAY, "I-23", || {
                        format!("{:?} has been undone for days: {:?}", it.id, it.status)
                    })?;
                }
                Record::Subscription(it) => self.served_at_rest(it)?,
                Record::Wallet(it) => check(it.leaving.is_empty(), "P-17", || {
                    format!("the gateways were not told what {} removed: {:?}", it.customer, it.leaving)
                })?,
                _ => {}
            }
        }
        let long_ago = instant(self.now - DAY);
        let overdue = self.due.iter().filter_map(|lane| lane.first()).find(|(at, _)| *at < long_ago);
        check(overdue.is_none(), "I-23", || format!("{overdue:?} is overdue"))
    }

    fn payment_at_rest(&self, payment: &Payment) -> Checked {
        let since = match &payment.status {
            PaymentStatus::Pending { .. } | PaymentStatus::Failed { check_at: Some(_), .. } => Some(payment.created_at),
            // Disputed money is not asked for; lost, it is the customer's already.
            PaymentStatus::Paid(paid) if paid.dispute().is_none_or(|it| it.standing == DisputeStanding::Won) => {
                paid.refunds.iter().filter(|it| it.is_due()).map(|it| it.asked_at).min()
            }
            PaymentStatus::Failed { check_at: None, .. }
            | PaymentStatus::Expired { .. }
            | PaymentStatus::Unresolved { .. }
            | PaymentStatus::Paid(_) => None,
        };
        let given_to_a_person = matches!(payment.status, PaymentStatus::Unresolved { .. });
        check(!given_to_a_person || payment.due_at().is_some(), "I-23", || {
            format!("nobody can tell what became of {}, and nobody asks", payment.id)
        })?;
        check(since.is_none_or(|at| self.now - at.as_millisecond() < 8 * DAY), "I-23", || {
            format!("{} has been {:?} for days, due {:?}", payment.id, payment.status, payment.due_at())
        })
    }

    fn served_at_rest(&self, subscription: &Subscription) -> Checked {
        let Some(period) = subscription.period().filter(|_| runs(subscription)) else { return Ok(()) };
        // What nobody can tell waits for a person, who was told so. All gateways but PayPal can tell, in time.
        let unresolved = subscription.open.as_ref().is_some_and(|open| {
            let key = Key::Payment(subscription.customer.clone(), open.clone());
            let Some(Record::Payment(it)) = self.records.get(&key) else { return false };
            let nobody_can_tell = matches!(it.status, PaymentStatus::Unresolved { .. });
            nobody_can_tell && it.gateway == Gateway::PayPal && it.due_at().is_some()
        });
        // Periods that passed meanwhile are paid one after the other.
        let moved_at = self.moved_at.get(&subscription.id).copied().unwrap_or_default();
        let until = self.suspended(subscription).unwrap_or(period.end);
        let over = self.now - until.as_millisecond().max(moved_at);
        // Four attempts, at the bank for days, with days between them, and then grace: that ends within the rest.
        let most = match subscription.status {
            Status::PastDue { .. } => 24 * DAY,
            Status::Active { .. } if subscription.open.is_some() => 6 * DAY,
            Status::Active { .. }
            | Status::Incomplete
            | Status::Paused { .. }
            | Status::Canceled { .. }
            | Status::Expired { .. } => DAY,
        };
        check(unresolved || over < most, "I-23", || {
            format!("{} is served {} days past its period: {:?}", subscription.id, over / DAY, subscription.status)
        })
    }
}
