//! What becomes of money after it was taken: refunds that we ask for, refunds
//! made by hand on the gateway's pages, and disputes.

use crate::books::{Charge, Phase};
use crate::faults::{DAY, HOUR, MINUTE};
use crate::world::{Happening, State};
use billing::id::Reference;
use billing::outcome::{Aftermath, Dispute, DisputeStanding, RefundOutcome};
use billing::payment::{Gateway, Payment, Refund};

/// A refund that we asked for, as a gateway knows it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GivenBack {
    pub(crate) amount: i64,
    /// When it was, or failed to be, given back.
    ends_at: i64,
    fails: bool,
}

impl GivenBack {
    pub(crate) fn is_done(&self, now: i64) -> bool {
        !self.fails && now >= self.ends_at
    }

    fn is_pending(&self, now: i64) -> bool {
        now < self.ends_at
    }
}

/// What happens to money that was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Afterwards {
    Disputed,
    DisputeEnds,
    /// Somebody has appealed against what was decided for the customer.
    DisputeTurns,
    GivenBackByHand,
    /// Somebody of the SaaS asks us to give it back.
    AskedFor,
    /// A refund that was under way is over.
    RefundEnds,
}

impl Charge {
    pub(crate) fn is_lost(&self) -> bool {
        self.dispute == Some(DisputeStanding::Lost)
    }

    /// Minor units that went back by refunds of ours.
    pub(crate) fn refunded(&self, now: i64) -> i64 {
        self.refunds.values().filter(|it| it.is_done(now)).map(|it| it.amount).sum()
    }

    /// As the gateway counts it. Stripe counts what is still under way.
    fn returned(&self, now: i64) -> i64 {
        let under_way = self.refunds.values().filter(|it| it.is_pending(now)).map(|it| it.amount);
        let counted: i64 = if self.payment.gateway == Gateway::Stripe { under_way.sum() } else { 0 };
        self.by_hand + self.refunded(now) + counted
    }

    /// Minor units that are the customer's again.
    pub(crate) fn gone(&self, now: i64) -> i64 {
        if self.is_lost() { self.amount.minor } else { self.by_hand + self.refunded(now) }
    }

    /// A dispute is looked up only for a payment that is known to be paid.
    pub(crate) fn aftermath(&self, asked: &Payment, now: i64) -> Aftermath {
        let dispute = self.dispute.filter(|_| asked.is_settled()).map(|standing| {
            let (id, reason) = (format!("dp_{}", self.payment.reference), "fraudulent".to_owned());
            Dispute { id, reason, standing }
        });
        Aftermath { returned: self.returned(now), dispute }
    }
}

impl State {
    /// Decides what will become of what `payment` took.
    pub(crate) fn afterwards(&mut self, payment: &Payment) {
        if payment.is_setup() {
            return;
        }
        let faults = self.faults.aftermath.clone();
        for (chance, what) in [
            (faults.disputed, Afterwards::Disputed),
            (faults.by_hand, Afterwards::GivenBackByHand),
            (faults.asked_for, Afterwards::AskedFor),
            (faults.asked_for, Afterwards::AskedFor),
        ] {
            if self.rng.chance(chance) {
                let latest = self.rng.one_of(&[MINUTE, HOUR, 3 * DAY, 50 * DAY]);
                self.after(0, latest, Happening::Afterwards(payment.reference.clone(), what));
            }
        }
    }

    pub(crate) fn happen_afterwards(&mut self, reference: &Reference, what: Afterwards) {
        let (now, over) = (self.now, self.now > self.end + 5 * DAY);
        let Some(charge) = self.books.get_mut(reference) else { return };
        let promised = charge.refunds.values().filter(|it| !it.fails).map(|it| it.amount);
        let left = charge.amount.minor - charge.by_hand - promised.sum::<i64>();
        let untouched = charge.phase == Phase::Succeeded && left > 0 && !over;
        match what {
            Afterwards::Disputed if untouched && charge.dispute.is_none() => {
                charge.dispute = Some(DisputeStanding::Open);
                let latest = self.rng.one_of(&[HOUR, 10 * DAY, 60 * DAY]);
                self.after(MINUTE, latest, Happening::Afterwards(reference.clone(), Afterwards::DisputeEnds));
                self.changed(reference, "dispute.opened");
            }
            Afterwards::DisputeEnds if charge.dispute == Some(DisputeStanding::Open) && !over => {
                let standing = self.rng.one_of(&[DisputeStanding::Won, DisputeStanding::Lost]);
                charge.dispute = Some(standing);
                if standing == DisputeStanding::Lost {
                    charge.refunds.values_mut().filter(|it| it.is_pending(now)).for_each(|it| it.fails = true);
                    let mut aside = self.rng.aside();
                    if aside.chance(300) {
                        let turns_at = now + aside.within(HOUR, 20 * DAY);
                        self.at(turns_at, Happening::Afterwards(reference.clone(), Afterwards::DisputeTurns));
                    }
                }
                self.changed(reference, "dispute.closed");
            }
            Afterwards::DisputeTurns if charge.is_lost() && !over => {
                charge.dispute = Some(DisputeStanding::Won);
                self.changed(reference, "dispute.closed");
            }
            Afterwards::GivenBackByHand if untouched && charge.may_be_given_back() => {
                charge.by_hand += self.rng.one_of(&[1, left, left / 2 + 1]).min(left);
                self.changed(reference, "charge.refunded");
            }
            Afterwards::AskedFor if untouched => self.ask_for_refund(reference, left),
            Afterwards::RefundEnds => self.changed(reference, "refund.updated"),
            Afterwards::Disputed
            | Afterwards::DisputeEnds
            | Afterwards::DisputeTurns
            | Afterwards::GivenBackByHand
            | Afterwards::AskedFor => {}
        }
    }

    /// Something became of the money: told to us, or not.
    fn changed(&mut self, reference: &Reference, kind: &str) {
        let Some(charge) = self.books.get(reference) else { return };
        let known_paid = charge.record(&self.records).is_some_and(Payment::is_settled);
        let told = self.tell(reference, kind);
        let now = self.now;
        let Some(charge) = self.books.get_mut(reference) else { return };
        // Nobody looks for a dispute about what is not known to be paid.
        (charge.changed_at, charge.change_told) = (now, told && known_paid);
        let (id, dispute, gone) = (charge.payment.id.clone(), charge.dispute, charge.gone(now));
        self.note(|| format!("{kind} about {id}: {gone} gone, dispute {dispute:?}, told {told}"));
    }

    pub(crate) fn refund(&mut self, payment: &Payment, refund: &Refund) -> RefundOutcome {
        let now = self.now;
        let name = payment.refund_reference(refund);
        let Some(charge) = self.books.get(&payment.reference).filter(|charge| charge.taken > 0) else {
            self.breach("I-7", format!("{} took nothing that could go back", payment.id));
            return RefundOutcome::Pending;
        };
        let promised = charge
            .record(&self.records)
            .and_then(Payment::paid)
            .is_some_and(|paid| paid.refunds.iter().any(|it| (it.number, it.amount) == (refund.number, refund.amount)));
        if !promised {
            self.breach("I-7", format!("{name} is asked for and not promised"));
        } else if let Some(before) = charge.refunds.get(&name) {
            if before.amount != refund.amount.minor {
                self.breach("I-7", format!("{name} was {} and is {}", before.amount, refund.amount));
            }
        } else {
            self.begin_refund(payment, name.clone(), refund.amount.minor);
        }
        match self.books.get(&payment.reference).and_then(|charge| charge.refunds.get(&name)) {
            Some(it) if it.is_done(now) => RefundOutcome::Done { id: format!("re_{name}") },
            Some(it) if it.fails && !it.is_pending(now) => RefundOutcome::Failed { code: "refused".to_owned() },
            Some(_) | None => RefundOutcome::Pending,
        }
    }

    fn begin_refund(&mut self, payment: &Payment, name: String, amount: i64) {
        let faults = self.faults.of(payment.gateway);
        let (slow, fails) = (faults.slow_refund, faults.refund_fails);
        let (slow, fails) = (self.rng.chance(slow), self.rng.chance(fails));
        let now = self.now;
        let mut ends_at = now + if slow { self.rng.within(HOUR, 2 * DAY) } else { 0 };
        let Some(charge) = self.books.get_mut(&payment.reference) else { return };
        let (taken, others) = (charge.amount.minor, charge.by_hand);
        let ours: i64 = charge.refunds.values().filter(|it| !it.fails).map(|it| it.amount).sum();
        let refused = !charge.may_be_given_back() || ours + others + amount > taken;
        if refused {
            ends_at = now;
        }
        charge.refunds.insert(name.clone(), GivenBack { amount, ends_at, fails: fails || refused });
        if ours + amount > taken {
            self.breach("I-7", format!("{name} would make {} of {taken} that {} took", ours + amount, payment.id));
        }
        self.race_refund(payment);
        self.changed(&payment.reference, "refund.created");
        if slow {
            self.at(ends_at, Happening::Afterwards(payment.reference.clone(), Afterwards::RefundEnds));
        }
    }
}

impl Charge {
    /// What a bank decides about, or has decided about, is not given back besides.
    fn may_be_given_back(&self) -> bool {
        !matches!(self.dispute, Some(DisputeStanding::Open | DisputeStanding::Lost))
    }
}
