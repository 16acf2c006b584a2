//! The gateways, and their own books of the money they took and gave back.
//!
//! Stripe forgets a key after a day: the same request is another charge then.
//! Paystack knows a reference for ever. Neither can be talked out of a charge
//! that was made.

use crate::faults::{DAY, GatewayFaults, HOUR, MINUTE, SECOND};
use crate::jobs::Job;
use crate::world::{Errand, Happening, State};
use billing::delivery::{DeliveryId, Notice};
use billing::id::Reference;
use billing::money::Money;
use billing::outcome::{Decline, Outcome, Receipt, RefundOutcome, Remedy, Stage};
use billing::payment::{Address, Collection, Gateway, Opened, Payment, PaymentStatus};
use billing::ports::{Key, Record};
use billing::wallet::{Card, Method};

/// One payment as a gateway knows it.
#[derive(Clone, Debug)]
pub(crate) struct Charge {
    /// As it was first asked for.
    pub(crate) payment: Payment,
    pub(crate) phase: Phase,
    /// How often money was taken, what, and when last.
    pub(crate) taken: u32,
    pub(crate) amount: Money,
    pub(crate) taken_at: i64,
    pub(crate) refunds: u32,
    refunded_at: i64,
    /// When the request arrived that the gateway remembers the key of.
    key_since: i64,
    listed_from: i64,
    answers_500: bool,
    /// The customer knows the page's address.
    pub(crate) told_where: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Open,
    Processing,
    Succeeded,
    Declined(Remedy),
    Closed,
}

const KEYS_LIVE: i64 = DAY;

impl State {
    pub(crate) fn gateway_faults(&self, gateway: Gateway) -> &GatewayFaults {
        match gateway {
            Gateway::Stripe => &self.faults.gateways[0],
            Gateway::Paystack => &self.faults.gateways[1],
        }
    }

    /// A request that was given up long ago arrives all the same.
    pub(crate) fn arrive(&mut self, errand: Errand, payment: &Payment) {
        self.note(|| format!("the request to {errand:?} {} arrives", payment.id));
        match errand {
            Errand::Open => drop(self.open(payment)),
            Errand::Charge => drop(self.charge(payment)),
            Errand::Close => drop(self.close(payment)),
            Errand::Refund => drop(self.refund(payment)),
            Errand::Find => {}
        }
    }

    fn known(&mut self, payment: &Payment, phase: Phase) -> &mut Charge {
        let listed_from = self.now + self.gateway_faults(payment.gateway).listing_lag;
        let now = self.now;
        self.books.entry(payment.reference.clone()).or_insert_with(|| Charge {
            payment: payment.clone(),
            phase,
            taken: 0,
            amount: payment.amount,
            taken_at: now,
            refunds: 0,
            refunded_at: 0,
            key_since: now,
            listed_from,
            answers_500: false,
            told_where: false,
        })
    }

    /// The page, or nothing where a gateway does not tell its address twice.
    pub(crate) fn open(&mut self, payment: &Payment) -> Option<Opened> {
        self.compare(payment);
        let before = self.books.contains_key(&payment.reference);
        self.known(payment, Phase::Open);
        if before && payment.gateway == Gateway::Paystack {
            return None;
        }
        let url = format!("https://pay.example/{}", payment.reference);
        Some(Opened { id: payment.reference.to_string(), at: Address::CheckoutUrl(url) })
    }

    /// The answer, or nothing if the gateway answers that it is broken.
    pub(crate) fn charge(&mut self, payment: &Payment) -> Option<Outcome> {
        self.compare(payment);
        let forgotten = match self.books.get(&payment.reference) {
            None => true,
            Some(charge) => payment.gateway == Gateway::Stripe && self.now - charge.key_since >= KEYS_LIVE,
        };
        if forgotten {
            let now = self.now;
            self.known(payment, Phase::Processing).key_since = now;
            if self.rng.chance(self.gateway_faults(payment.gateway).slow_to_end) {
                self.after(MINUTE, 3 * DAY, Happening::Conclude(payment.reference.clone()));
            } else {
                self.conclude(&payment.reference);
            }
            let broken =
                payment.gateway == Gateway::Stripe && self.rng.chance(self.gateway_faults(payment.gateway).stored_500);
            self.known(payment, Phase::Processing).answers_500 = broken;
            self.race(payment);
        }
        let charge = self.books.get(&payment.reference)?;
        if charge.answers_500 { None } else { Some(outcome(charge)) }
    }

    pub(crate) fn find(&mut self, payment: &Payment) -> Option<Outcome> {
        let now = self.now;
        let charge = self.books.get(&payment.reference)?;
        let by_id = matches!(payment.collection, Collection::Checkout { .. });
        (by_id || now >= charge.listed_from).then(|| outcome(charge))
    }

    pub(crate) fn close(&mut self, payment: &Payment) -> Option<Outcome> {
        let charge = self.books.get_mut(&payment.reference)?;
        match charge.phase {
            // Paystack cannot close a page: it stays payable.
            Phase::Open | Phase::Declined(_) if payment.gateway == Gateway::Paystack => {}
            Phase::Open | Phase::Declined(_) => {
                charge.phase = Phase::Closed;
                self.tell(&payment.reference, "checkout.expired");
            }
            Phase::Processing | Phase::Succeeded | Phase::Closed => {}
        }
        self.books.get(&payment.reference).map(outcome)
    }

    pub(crate) fn refund(&mut self, payment: &Payment) -> RefundOutcome {
        let key = Key::Payment(payment.customer.clone(), payment.id.clone());
        let owed = match self.records.get(&key) {
            Some(Record::Payment(it)) => {
                matches!(it.status, PaymentStatus::RefundDue { .. } | PaymentStatus::Refunded { .. })
            }
            _ => false,
        };
        let slow = self.rng.chance(self.gateway_faults(payment.gateway).slow_refund);
        let ready = self.now + if slow { self.rng.within(HOUR, 2 * DAY) } else { 0 };
        let now = self.now;
        let Some(charge) = self.books.get_mut(&payment.reference).filter(|charge| charge.taken > 0) else {
            self.breach("I-7", format!("{} took nothing that could go back", payment.id));
            return RefundOutcome::Pending;
        };
        if charge.refunds == 0 {
            (charge.refunds, charge.refunded_at) = (1, ready);
        }
        let done = now >= charge.refunded_at;
        if !owed {
            self.breach("I-2", format!("{} is given back and not owed back", payment.id));
        }
        if done { RefundOutcome::Done { id: format!("re_{}", payment.reference) } } else { RefundOutcome::Pending }
    }

    /// What was asked for becomes final, by the customer's card.
    pub(crate) fn conclude(&mut self, reference: &Reference) {
        let verdict = match (
            self.rng.chance(self.faults.customers.declined_hard),
            self.rng.chance(self.faults.customers.declined_soft),
        ) {
            (true, _) => Some(Remedy::NewMethod),
            (false, true) => Some(self.rng.one_of(&[Remedy::RetryLater, Remedy::RetryLater, Remedy::AskCustomer])),
            (false, false) => None,
        };
        let Some(charge) = self.books.get(reference) else { return };
        let (gateway, off_session) =
            (charge.payment.gateway, matches!(charge.payment.collection, Collection::OffSession { .. }));
        match verdict {
            None => self.take(reference),
            Some(remedy) => {
                if let Some(charge) = self.books.get_mut(reference) {
                    charge.phase = Phase::Declined(remedy);
                }
                self.tell(reference, "charge.failed");
                if off_session && self.rng.chance(self.gateway_faults(gateway).change_of_mind) {
                    self.after(SECOND, 4 * DAY, Happening::ChangeOfMind(reference.clone()));
                }
            }
        }
    }

    pub(crate) fn change_mind(&mut self, reference: &Reference) {
        if self.books.get(reference).is_some_and(|charge| charge.taken == 0) {
            self.take(reference);
        }
    }

    fn take(&mut self, reference: &Reference) {
        let now = self.now;
        let Some(charge) = self.books.get(reference) else { return };
        let (gateway, asked) = (charge.payment.gateway, charge.payment.amount);
        let amount = match self.rng.chance(self.gateway_faults(gateway).wrong_amount) {
            true => Money { minor: self.rng.one_of(&[1, asked.minor - 1, asked.minor * 100]), ..asked },
            false => asked,
        };
        let Some(charge) = self.books.get_mut(reference) else { return };
        charge.phase = Phase::Succeeded;
        charge.taken += 1;
        (charge.amount, charge.taken_at) = (amount, now);
        let (taken, payment) = (charge.taken, charge.payment.id.clone());
        self.note(|| format!("{payment} takes {amount}"));
        if taken > 1 {
            self.breach("I-1", format!("{payment} took money {taken} times"));
        }
        self.tell(reference, "charge.success");
    }

    /// The customer is at the page, if it can still be paid on.
    pub(crate) fn visit(&mut self, reference: &Reference, pays: bool) {
        let all_told = self.faults.webhooks.lost == 0;
        let Some(charge) = self.books.get(reference) else { return };
        let payment = charge.payment.clone();
        // Paystack's page outlives our interest in it. Only its webhook tells of that.
        let key = Key::Payment(payment.customer.clone(), payment.id.clone());
        let watched = self.records.get(&key).is_some_and(|record| record.due().is_some());
        let payable = match charge.phase {
            Phase::Open | Phase::Declined(_) => payment.gateway != Gateway::Paystack || watched || all_told,
            Phase::Closed | Phase::Processing | Phase::Succeeded => false,
        };
        if !payable {
            return;
        }
        self.note(|| format!("the customer is at the page of {}, pays: {pays}", payment.id));
        if !pays {
            if let Some(charge) = self.books.get_mut(reference).filter(|charge| charge.phase == Phase::Open) {
                charge.phase = Phase::Declined(Remedy::RetryLater);
                self.tell(reference, "charge.failed");
                self.come_back(&payment);
                // Another card, while the refusal of the first is still being told.
                if self.rng.chance(self.faults.races) {
                    self.after(0, 2 * SECOND, Happening::Visit { reference: reference.clone(), pays: true });
                }
            }
        } else if self.rng.chance(self.gateway_faults(payment.gateway).slow_to_end) {
            if let Some(charge) = self.books.get_mut(reference) {
                charge.phase = Phase::Processing;
            }
            self.after(MINUTE, 2 * DAY, Happening::Conclude(reference.clone()));
            self.come_back(&payment);
        } else {
            self.take(reference);
            self.come_back(&payment);
        }
    }

    /// Sends what happened to our webhook, as well as the seed lets it.
    fn tell(&mut self, reference: &Reference, kind: &str) {
        let Some(charge) = self.books.get(reference) else { return };
        let gateway = charge.payment.gateway;
        self.events += 1;
        let event = format!("evt_{}", self.events);
        let faults = self.faults.webhooks.clone();
        let notice = Notice {
            id: DeliveryId { gateway, event },
            kind: kind.to_owned(),
            reference: Some(reference.clone()),
            body: String::new(),
        };
        let latest = faults.latest.max(5 * SECOND);
        if self.rng.chance(faults.lost) {
            self.note(|| format!("{kind} {reference} is lost"));
            return;
        }
        let job = |notice: &Notice| Happening::Start(Job::Webhook { notice: notice.clone(), tries: 0 });
        self.after(0, latest, job(&notice));
        if self.rng.chance(faults.doubled) {
            self.after(0, latest, job(&notice));
        }
        if self.rng.chance(faults.replayed) {
            self.after(0, 10 * DAY, job(&notice));
        }
        if self.rng.chance(faults.unknown) {
            let unknown = Reference::try_from(format!("r{:025}", self.events)).ok();
            let id = DeliveryId { gateway, event: format!("evt_unknown_{}", self.events) };
            let notice = Notice { id, reference: unknown, ..notice };
            self.after(0, latest, job(&notice));
        }
    }
}

fn outcome(charge: &Charge) -> Outcome {
    let payment = &charge.payment;
    let checkout = matches!(payment.collection, Collection::Checkout { .. });
    match charge.phase {
        Phase::Open => Outcome::Pending(Stage::Pending),
        Phase::Processing => Outcome::Pending(Stage::Processing),
        Phase::Closed => Outcome::Expired,
        // Stripe's page does not tell of the cards that were refused on it.
        Phase::Declined(_) if checkout && payment.gateway == Gateway::Stripe => Outcome::Pending(Stage::Pending),
        Phase::Declined(remedy) => Outcome::Declined(Decline { code: "declined".to_owned(), remedy }),
        Phase::Succeeded => {
            let receipt = Receipt { id: format!("ch_{}", payment.reference), amount: charge.amount };
            Outcome::Succeeded { receipt, method: checkout.then(|| method(payment)) }
        }
    }
}

/// The card that a customer leaves on a page.
fn method(payment: &Payment) -> Method {
    let card =
        Card { brand: "visa".to_owned(), last4: "4081".to_owned(), exp_month: 4, exp_year: 2030, fingerprint: None };
    let token = format!("card_{}_{}", payment.customer, payment.id.attempt);
    Method { gateway: payment.gateway, token, payer: payment.customer.to_string(), card }
}
