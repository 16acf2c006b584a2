//! What must hold of a payment as it is made, settled, and given back.

use super::subscriptions::LEAST;
use super::suspension::runs;
use super::{Changes, Checked, check};
use crate::errand::Heard;
use crate::faults::{DAY, HOUR, MINUTE};
use crate::pages::closes_pages;
use crate::world::State;
use billing::outcome::{DisputeStanding, Remedy};
use billing::payment::{Collection, Paid, Payment, PaymentStatus, Refund, RefundReason, RefundStatus};
use billing::ports::{Record, Referred};
use billing::subscription::{Status, Subscription};
use billing::wallet::Method;
use jiff::Timestamp;

/// PRODUCT 9: the first attempt and three retries.
const MOST_ATTEMPTS: usize = 4;

/// Days that a declined card rests, after the first, second and third failure.
const RESTS: [i64; 3] = [1, 2, 2];

/// How long a request may be on its way that was answered by silence.
const ON_ITS_WAY: i64 = 40 * MINUTE;

/// More refunds of one payment are a refund that fails for ever.
const MOST_REFUNDS: usize = 60;

impl State {
    pub(super) fn created(&self, changes: &Changes, new: &Payment) -> Checked {
        let id = &new.id;
        check(new.reference == id.reference(&new.customer), "I-5", || format!("{id} has a reference of its own"))?;
        let referred = |record: &Record| matches!(record, Record::Reference(Referred { payment, .. }) if payment == id);
        check(changes.list.iter().any(|(_, it)| referred(it)), "R1", || {
            format!("{id} is recorded without its reference")
        })?;
        let claimed = new.charged_method().is_some() || changes.claims(id);
        check(claimed, "I-19", || format!("{id} is made and no key is claimed for it"))?;
        if new.is_setup() {
            let numbered = |it: &Record| matches!(it, Record::Wallet(it) if it.customer == new.customer && it.setups == id.attempt);
            return check(changes.list.iter().any(|(_, it)| numbered(it)), "R1", || {
                format!("{id} is made and its number may be used again")
            });
        }
        let chargeable = new.amount.currency.code() != "NGN" || new.amount.minor >= LEAST;
        check(chargeable, "I-8", || format!("{id} is made for {}, which is less than can be charged", new.amount))?;
        let subscription = self.subscription(&new.customer).filter(|it| it.id == id.subscription);
        check(subscription.is_some_and(|it| it.open.as_ref() == Some(id)), "I-4", || {
            format!("{id} is made and its subscription does not wait for it")
        })?;
        subscription.map_or(Ok(()), |subscription| self.charges_for_usage(subscription, new))?;
        let Some(subscription) = subscription.filter(|_| id.period > 0 || new.charged_method().is_some()) else {
            return Ok(());
        };
        if subscription.changing.as_ref().is_some_and(|changing| changing.payment == *id) {
            return self.pays_for_change(changes, subscription, new);
        }
        let open = self.siblings(id, &new.customer).find(|it| it.id != *id && !is_terminal(it));
        check(open.is_none(), "I-4", || format!("{id} is made while {:?} is open", open.map(|it| it.id.to_string())))?;
        match new.charged_method() {
            Some(_) if id.period == 0 => {
                let ordered = matches!(subscription.status, Status::Incomplete);
                check(ordered, "I-11", || format!("{id} is made for what is {:?}", subscription.status))?;
                self.holds_method(changes, new)
            }
            Some(method) => self.charged(changes, subscription, new, method),
            None => {
                let owed = matches!(subscription.status, Status::PastDue { .. });
                check(owed, "P-9", || format!("{id} is made and {:?} owes nothing", subscription.status))
            }
        }
    }

    /// One attempt, while the period runs, with a method that is the customer's, and while no bank decides.
    fn pays_for_change(&self, changes: &Changes, subscription: &Subscription, new: &Payment) -> Checked {
        let (id, active) = (&new.id, matches!(subscription.status, Status::Active { .. }));
        let of_period = subscription.changing.as_ref().is_some_and(|it| it.becomes.term.index == id.period);
        check(active && of_period, "P-8", || format!("{id} is made for a change while {:?}", subscription.status))?;
        check(subscription.disputed.is_empty(), "P-18", || format!("{id} is made while the bank decides"))?;
        self.holds_method(changes, new)
    }

    /// Whether what is charged is the customer's still.
    fn holds_method(&self, changes: &Changes, new: &Payment) -> Checked {
        let id = &new.id;
        let removed = new.charged_method().and_then(|it| self.removed.get(&(new.customer.clone(), it.id())));
        check(removed.is_none_or(|step| *step >= changes.task.began_at_step), "P-17", || {
            format!("{id} is made and its method was removed before")
        })
    }

    /// A charge that we make ourselves.
    fn charged(&self, changes: &Changes, subscription: &Subscription, new: &Payment, method: &Method) -> Checked {
        let id = &new.id;
        check(runs(subscription), "I-11", || format!("{id} is made for a subscription that ended"))?;
        let siblings = || self.siblings(id, &new.customer).filter(|it| it.id != *id);
        for page in siblings().filter_map(|it| self.books.get(&it.reference)).filter(|it| it.is_payable_page()) {
            let over = !self.faults.clocks_right || self.now >= page.page_ends_at();
            check(over && !closes_pages(page.payment.gateway), "I-4", || {
                format!("{id} is made while {} may be paid", page.payment.id)
            })?;
        }
        let attempts = siblings().filter(|it| was_charged(it)).count() + 1;
        check(attempts <= MOST_ATTEMPTS, "I-12", || format!("{id} is attempt {attempts} for its period"))?;

        self.holds_method(changes, new)?;
        let mut disputed = self.payments_of(&new.customer, &id.subscription).filter(|it| is_disputed(it));
        let disputed = disputed.find(|it| it.paid().is_some_and(|paid| !paid.is_owed_back()));
        check(disputed.is_none(), "P-18", || {
            format!("{id} is made while the bank decides about {:?}", disputed.map(|it| it.id.to_string()))
        })?;
        self.waits_for_customer(new)?;
        let mended = self.mended.get(&(new.customer.clone(), method.id()));
        let since = |it: &&Payment| mended.is_none_or(|at| self.declined_at.get(&it.id).is_some_and(|it| it > at));
        let of_method = siblings().filter(|it| it.charged_method().is_some_and(|it| it.id() == method.id()));
        self.rested(new, &of_method.filter(since).collect::<Vec<_>>())
    }

    /// Whom the bank asked to do something may be doing it: nothing else is charged until they have left a method.
    fn waits_for_customer(&self, new: &Payment) -> Checked {
        let last = self.siblings(&new.id, &new.customer).filter(|it| it.id != new.id && was_charged(it)).last();
        let asked = last.filter(|it| match &it.status {
            PaymentStatus::Failed { decline, .. } => decline.remedy == Remedy::AskCustomer,
            _ => false,
        });
        let Some(at) = asked.and_then(|it| self.declined_at.get(&it.id)) else { return Ok(()) };
        let left = self.mended.iter().any(|((customer, _), left)| *customer == new.customer && left >= at);
        check(left, "P-9", || format!("{} is made while the customer is asked to do something", new.id))
    }

    /// A declined method is charged again only if that can help, and only after a rest.
    fn rested(&self, new: &Payment, of_method: &[&Payment]) -> Checked {
        let declines = of_method.iter().filter_map(|it| match &it.status {
            PaymentStatus::Failed { decline, .. } => Some((&it.id, decline)),
            _ => None,
        });
        let declines: Vec<_> = declines.collect();
        let Some((last, decline)) = declines.last() else { return Ok(()) };
        let may_help = match decline.remedy {
            Remedy::RetryLater | Remedy::OurFault => true,
            Remedy::FewTries => declines.len() < 2,
            Remedy::NewMethod | Remedy::AskCustomer => false,
        };
        check(may_help, "P-9", || format!("{} is made after {} said {:?}", new.id, last, decline.remedy))?;
        let before = self.siblings(last, &new.customer).filter(|it| it.id.attempt < last.attempt && was_charged(it));
        let rest = RESTS.get(before.count()).copied().unwrap_or(2) * DAY;
        let rest = rest.max(i64::from(decline.wait_h.unwrap_or_default()) * HOUR);
        let rested = self.declined_at.get(last).is_none_or(|at| self.now >= at + rest - 2 * MINUTE);
        check(rested || !self.faults.clocks_right, "P-9", || {
            format!("{} is made sooner than {} hours after {last} was declined", new.id, rest / HOUR)
        })
    }

    pub(super) fn settled(&self, changes: &Changes, old: &Payment, new: &Payment) -> Checked {
        use PaymentStatus::{Expired, Failed, Paid, Pending, Unresolved};
        let id = &new.id;
        let same = (&old.reference, old.amount, old.gateway, &old.customer, old.created_at, &old.bought)
            == (&new.reference, new.amount, new.gateway, &new.customer, new.created_at, &new.bought);
        check(same, "I-5", || format!("{id} was {old:?} and is {new:?}"))?;
        let legal = match (&old.status, &new.status) {
            (Pending { .. } | Failed { .. } | Expired { .. } | Unresolved { .. } | Paid(_), Paid(_))
            | (Pending { .. }, Pending { .. } | Failed { .. } | Expired { .. } | Unresolved { .. })
            | (Failed { .. }, Failed { .. })
            | (Unresolved { .. }, Failed { .. } | Expired { .. } | Unresolved { .. }) => true,
            (Failed { .. } | Expired { .. } | Unresolved { .. } | Paid(_), _) => false,
        };
        check(legal, "I-13", || format!("{id} was {:?} and is {:?}", old.status, new.status))?;
        if let Paid(paid) = &new.status {
            let before = match &old.status {
                Paid(before) => Some(before),
                Pending { .. } | Failed { .. } | Expired { .. } | Unresolved { .. } => None,
            };
            self.kept_or_given_back(changes, before, new, paid)?;
            return self.given_back(changes, before, new, paid);
        }
        if std::mem::discriminant(&old.status) == std::mem::discriminant(&new.status) {
            return Ok(());
        }
        let heard = |is: &dyn Fn(&Heard) -> bool| changes.heard(new.reference.as_str(), is);
        match &new.status {
            Failed { .. } => check(heard(&|it| matches!(it, Heard::Declined | Heard::Ended)), "I-3", || {
                format!("{id} failed and no gateway said so")
            }),
            Expired { at } => {
                check(heard(&|it| ends(it, new, *at)), "I-3", || format!("{id} expired and no gateway said so"))?;
                let sent = self.sent.get(&new.reference).filter(|_| !new.is_checkout());
                let on_its_way = sent.is_some_and(|at| self.now < at + ON_ITS_WAY);
                check(!on_its_way, "I-22", || format!("{id} is given up, and its request may still arrive"))
            }
            Pending { .. } | Unresolved { .. } | Paid(_) => Ok(()),
        }
    }

    /// Money that was taken is granted for, or goes back.
    fn kept_or_given_back(&self, changes: &Changes, old: Option<&Paid>, new: &Payment, paid: &Paid) -> Checked {
        let id = &new.id;
        if old.is_none_or(|old| old.aftermath != paid.aftermath) {
            let told = Heard::Paid(paid.receipt.clone(), paid.aftermath.clone());
            check(changes.heard(new.reference.as_str(), |it| *it == told), "I-18", || {
                format!("{id} is paid, with {:?}, and no gateway said so", paid.aftermath)
            })?;
        }
        if let Some(old) = old {
            check(old.receipt == paid.receipt && old.at == paid.at, "I-13", || format!("{id} is paid anew"))?;
        } else if changes.granted() == Some(id) || changes.changed() == Some(id) {
            let (asked, told) = (new.amount, paid.receipt.amount);
            check(told == asked, "I-9", || format!("{id} over {asked} counts as paid by {told}"))?;
            let taken = self.books.get(&new.reference).map(|it| it.amount);
            check(taken == Some(asked), "I-9", || format!("{id} is paid and the books say {taken:?}"))?;
            check(paid.refunds.is_empty(), "I-2", || format!("{id} is granted and owed back"))?;
        } else {
            check(paid.left() <= 0, "I-2", || format!("{id} is paid, not granted, and not owed back"))?;
        }
        self.disputed(old, new, paid)
    }

    /// A dispute that is heard of is the subscription's concern at once.
    fn disputed(&self, old: Option<&Paid>, new: &Payment, paid: &Paid) -> Checked {
        let standing = |paid: &Paid| paid.dispute().map(|it| it.standing);
        let now = standing(paid);
        let Some(subscription) = self.subscription(&new.customer).filter(|it| it.id == new.id.subscription) else {
            return Ok(());
        };
        let heeded = match now.filter(|_| old.and_then(standing) != now) {
            // What is not ours to keep pays for nothing.
            _ if paid.is_owed_back() => true,
            Some(DisputeStanding::Open) => !runs(subscription) || !subscription.disputed.is_empty(),
            Some(DisputeStanding::Lost) => !runs(subscription) || !self.is_granted(&new.id),
            Some(DisputeStanding::Won) | None => true,
        };
        check(heeded, "P-18", || {
            format!("{} is disputed ({now:?}) and {} is {:?}", new.id, subscription.id, subscription.status)
        })
    }

    /// What is promised is given back, once, and never more than was taken (I-7).
    fn given_back(&self, changes: &Changes, old: Option<&Paid>, new: &Payment, paid: &Paid) -> Checked {
        let id = &new.id;
        let before = old.map_or(&[][..], |old| &old.refunds);
        let told = || format!("{id} had refunds {before:?} and has {:?}", paid.refunds);
        check(before.len() <= paid.refunds.len() && paid.refunds.len() <= MOST_REFUNDS, "I-7", told)?;
        for (number, refund) in (1..).zip(&paid.refunds) {
            check(refund.number == number, "I-7", told)?;
        }
        for (was, is) in before.iter().zip(&paid.refunds) {
            let same = (was.amount, was.reason, was.asked_at) == (is.amount, is.reason, is.asked_at);
            check(same && (was.is_due() || was.status == is.status), "I-7", told)?;
            if was.is_due() && was.status != is.status {
                check(answered(changes, new, is), "I-18", || format!("{is:?} of {id}, and no gateway said so"))?;
            }
        }
        for refund in paid.refunds.iter().skip(before.len()) {
            check(refund.is_due(), "I-7", told)?;
            let asked = refund.reason == RefundReason::NotOwed || changes.claims(id);
            check(asked, "I-19", || format!("{refund:?} of {id} is promised and no key is claimed for it"))?;
            let again = refund.reason == RefundReason::NotOwed || !paid.is_disputed();
            check(again, "P-18", || format!("{refund:?} of {id} is promised while the bank decides"))?;
        }
        let ours = |it: &&Refund| !matches!(it.status, RefundStatus::Failed { .. });
        let promised: i64 = paid.refunds.iter().filter(ours).map(|it| it.amount.minor).sum();
        let taken = paid.receipt.amount.minor;
        check(promised <= taken, "I-7", || format!("{promised} of {taken} that {id} took are promised"))
    }
}

/// Whether the gateway said what became of `refund`.
fn answered(changes: &Changes, payment: &Payment, refund: &Refund) -> bool {
    let name = payment.refund_reference(refund);
    changes.heard(&name, |it| match refund.status {
        RefundStatus::Due { .. } => true,
        RefundStatus::Done { .. } => *it == Heard::Refunded,
        RefundStatus::Failed { .. } => *it == Heard::NotRefunded,
    }) || refund.is_due()
}

/// Whether another attempt may follow: a page that was declined on may still be paid.
fn is_terminal(payment: &Payment) -> bool {
    match payment.status {
        PaymentStatus::Pending { .. } | PaymentStatus::Unresolved { .. } => false,
        PaymentStatus::Failed { check_at, .. } => check_at.is_none() || !payment.is_checkout(),
        PaymentStatus::Expired { .. } | PaymentStatus::Paid(_) => true,
    }
}

/// Whether it is an attempt of ours that a gateway heard of.
fn was_charged(payment: &Payment) -> bool {
    payment.charged_method().is_some() && !matches!(payment.status, PaymentStatus::Expired { .. })
}

pub(super) fn is_disputed(payment: &Payment) -> bool {
    payment.paid().is_some_and(Paid::is_disputed)
}

/// Whether an attempt is over by what was heard: a gateway that cannot close its
/// page may go on waiting, but only until the time to pay is over; and a charge
/// is over only where the gateway can say that it never heard of it.
fn ends(heard: &Heard, payment: &Payment, at: Timestamp) -> bool {
    let (page, unopened, over) = match &payment.collection {
        Collection::Checkout { opened, expires_at, .. } => (true, opened.is_none(), at >= *expires_at),
        Collection::OffSession { .. } | Collection::Transfer(_) => (false, false, false),
    };
    match heard {
        Heard::Ended | Heard::Nothing => true,
        Heard::CannotTell => page && unopened,
        Heard::Waiting | Heard::Declined => page && over && !closes_pages(payment.gateway),
        Heard::Paid(..) | Heard::Refunded | Heard::NotRefunded | Heard::Forgotten => false,
    }
}
