//! The gateways, and their own books of the money they took.
//!
//! Stripe forgets a key after a day: the same request is another charge then.
//! PayPal forgets it after six hours, and cannot be asked by our reference at
//! all. Paystack and Flitt know a reference for ever, and cannot close a page.
//! None can be talked out of a charge that was made. What becomes of the money
//! afterwards is `aftermath`'s to tell.

use crate::aftermath::GivenBack;
use crate::errand::Errand;
use crate::faults::{DAY, HOUR, MINUTE, SECOND};
use crate::jobs::Job;
use crate::world::{Happening, State};
use billing::delivery::{DeliveryId, Notice};
use billing::id::Reference;
use billing::money::Money;
use billing::outcome::{Decline, DisputeStanding, Outcome, Receipt, Remedy, Sighting, Stage};
use billing::payment::{Gateway, Payment};
use billing::ports::{Key, Record};
use billing::wallet::{Card, Expiry, Instrument, Method};
use std::collections::BTreeMap;

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
    /// By the name each goes by.
    pub(crate) refunds: BTreeMap<String, GivenBack>,
    /// Minor units that somebody gave back on the gateway's own pages.
    pub(crate) by_hand: i64,
    pub(crate) dispute: Option<DisputeStanding>,
    /// When something last became of the money, and whether we were told of it and could tell what it is about.
    pub(crate) changed_at: i64,
    pub(crate) change_told: bool,
    /// The issuer's advice with a decline.
    wait_h: Option<u16>,
    /// Which of the customer's cards paid on the page.
    card: usize,
    method_named_from: i64,
    /// When the gateway was last asked how it stands.
    pub(crate) asked_at: i64,
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

/// How long a gateway knows that a request is one it had before. None: for ever.
const fn key_lives(gateway: Gateway) -> Option<i64> {
    match gateway {
        Gateway::Stripe => Some(DAY),
        Gateway::PayPal => Some(6 * HOUR),
        Gateway::Paystack | Gateway::Flitt => None,
    }
}

impl State {
    /// A request that was given up long ago arrives all the same.
    pub(crate) fn arrive(&mut self, errand: &Errand) {
        self.note(|| format!("the request to {} arrives", errand.told()));
        match errand {
            Errand::Open(payment) => drop(self.open(payment)),
            Errand::Charge(payment) => drop(self.charge(payment)),
            Errand::Close(payment) => drop(self.close(payment)),
            Errand::Refund(payment, refund) => drop(self.refund(payment, refund)),
            Errand::Forget(method) => self.forget(method),
            Errand::Find(_) => {}
        }
    }

    pub(crate) fn known(&mut self, payment: &Payment, phase: Phase) -> &mut Charge {
        let listed_from = self.now + self.faults.of(payment.gateway).listing_lag;
        let now = self.now;
        self.books.entry(payment.reference.clone()).or_insert_with(|| Charge {
            payment: payment.clone(),
            phase,
            taken: 0,
            amount: payment.amount,
            taken_at: now,
            refunds: BTreeMap::new(),
            by_hand: 0,
            dispute: None,
            changed_at: now,
            change_told: false,
            wait_h: None,
            card: 0,
            method_named_from: 0,
            asked_at: now,
            key_since: now,
            listed_from,
            answers_500: false,
            told_where: false,
        })
    }

    /// The answer, or nothing if the gateway answers that it is broken.
    pub(crate) fn charge(&mut self, payment: &Payment) -> Option<Outcome> {
        self.compare(payment);
        let forgotten = match (self.books.get(&payment.reference), key_lives(payment.gateway)) {
            (None, _) => true,
            // Where nothing can be looked up, only a clock tells that the key is forgotten.
            (Some(_), Some(_)) if payment.gateway == Gateway::PayPal && !self.faults.clocks_right => false,
            (Some(charge), Some(lives)) => self.now - charge.key_since >= lives,
            (Some(_), None) => false,
        };
        if forgotten {
            let now = self.now;
            self.known(payment, Phase::Processing).key_since = now;
            if self.rng.chance(self.faults.of(payment.gateway).slow_to_end) {
                self.after(MINUTE, 3 * DAY, Happening::Conclude(payment.reference.clone()));
            } else {
                self.conclude(&payment.reference);
            }
            let broken =
                payment.gateway == Gateway::Stripe && self.rng.chance(self.faults.of(payment.gateway).stored_500);
            self.known(payment, Phase::Processing).answers_500 = broken;
            self.race(payment);
        }
        let charge = self.books.get(&payment.reference)?;
        if charge.answers_500 { None } else { Some(charge.outcome(payment, self.now)) }
    }

    pub(crate) fn find(&mut self, payment: &Payment, object: Option<&str>) -> Sighting {
        let checkout = payment.is_checkout();
        let named = payment.is_settled() || payment.opened().is_some() || object.is_some();
        if payment.gateway == Gateway::PayPal && !named {
            return Sighting::CannotTell;
        }
        let now = self.now;
        match self.books.get_mut(&payment.reference) {
            Some(charge) if checkout || named || now >= charge.listed_from => {
                charge.asked_at = now;
                Sighting::Known(charge.outcome(payment, now))
            }
            Some(_) | None => Sighting::NeverHeard,
        }
    }

    pub(crate) fn forget(&mut self, method: &Method) {
        self.forgotten.insert((method.gateway, method.token.clone()));
    }

    /// What was asked for becomes final, by the customer's card.
    pub(crate) fn conclude(&mut self, reference: &Reference) {
        let Some(charge) = self.books.get(reference) else { return };
        let payment = charge.payment.clone();
        let token = payment.charged_method().map(|method| (method.gateway, method.token.clone()));
        let off_session = token.is_some();
        let gone = token.is_some_and(|token| self.forgotten.contains(&token));
        let customers = &self.faults.customers;
        let soft = [Remedy::RetryLater, Remedy::RetryLater, Remedy::FewTries, Remedy::AskCustomer, Remedy::OurFault];
        let verdict = match (self.rng.chance(customers.declined_hard), self.rng.chance(customers.declined_soft)) {
            _ if gone => Some(Remedy::NewMethod),
            (true, _) => Some(Remedy::NewMethod),
            (false, true) => Some(self.rng.one_of(&soft)),
            (false, false) => None,
        };
        let Some(remedy) = verdict else { return self.take(reference) };
        let wait_h = self.rng.one_of(&[None, None, None, Some(1), Some(24), Some(72)]);
        if let Some(charge) = self.books.get_mut(reference) {
            (charge.phase, charge.wait_h) = (Phase::Declined(remedy), wait_h);
        }
        self.note(|| format!("{} is declined: {remedy:?}", payment.id));
        self.tell(reference, "charge.failed");
        if off_session && self.rng.chance(self.faults.of(payment.gateway).change_of_mind) {
            // Soon enough for the word that it was declined to be still on its way.
            let latest = self.rng.one_of(&[5 * SECOND, 5 * SECOND, MINUTE, 4 * DAY]);
            self.after(SECOND, latest, Happening::ChangeOfMind(reference.clone()));
        } else if off_session && remedy == Remedy::AskCustomer {
            self.may_authenticate(&payment);
        }
    }

    /// The customer does what the bank asked of them, while somebody still asks what became of it.
    fn may_authenticate(&mut self, payment: &Payment) {
        let asked = payment.gateway != Gateway::PayPal || self.faults.webhooks.lost == 0;
        if asked && self.rng.chance(self.faults.customers.authenticates) {
            let until = payment.created_at.as_millisecond() + if self.faults.clocks_right { 5 * DAY } else { DAY };
            let time = self.rng.within(self.now, until);
            self.at(time, Happening::ChangeOfMind(payment.reference.clone()));
        }
    }

    pub(crate) fn change_mind(&mut self, reference: &Reference) {
        if self.books.get(reference).is_some_and(|charge| charge.taken == 0) {
            self.take(reference);
        }
    }

    pub(crate) fn take(&mut self, reference: &Reference) {
        let (now, card) = (self.now, self.rng.below(3));
        let Some(charge) = self.books.get(reference) else { return };
        let (gateway, asked) = (charge.payment.gateway, charge.payment.amount);
        let amount = match asked.minor > 0 && self.rng.chance(self.faults.of(gateway).wrong_amount) {
            true => Money { minor: self.rng.one_of(&[1, asked.minor - 1, asked.minor * 100]), ..asked },
            false => asked,
        };
        let lag = self.faults.of(gateway).method_lag;
        let Some(charge) = self.books.get_mut(reference) else { return };
        charge.phase = Phase::Succeeded;
        charge.taken += 1;
        (charge.amount, charge.taken_at, charge.card, charge.method_named_from) = (amount, now, card, now + lag);
        // Flitt gives back at once what only proved a card.
        if gateway == Gateway::Flitt && charge.payment.is_setup() {
            charge.by_hand = amount.minor;
        }
        let (taken, payment) = (charge.taken, charge.payment.clone());
        if payment.is_checkout() {
            self.forgotten.remove(&(gateway, method(&payment, card).token));
        }
        self.note(|| format!("{} takes {amount}", payment.id));
        if taken > 1 {
            self.breach("I-1", format!("{} took money {taken} times", payment.id));
        }
        self.tell(reference, "charge.success");
        self.afterwards(&payment);
    }

    /// Sends what happened to our webhook, as well as the seed lets it, and says whether it was sent.
    pub(crate) fn tell(&mut self, reference: &Reference, kind: &str) -> bool {
        let Some(charge) = self.books.get(reference) else { return false };
        let gateway = charge.payment.gateway;
        self.events += 1;
        let event = format!("evt_{}", self.events);
        let faults = self.faults.webhooks.clone();
        let notice = Notice {
            id: DeliveryId { gateway, event },
            kind: kind.to_owned(),
            reference: Some(reference.clone()),
            object: (gateway == Gateway::PayPal).then(|| object(reference)),
            body: String::new(),
        };
        let latest = faults.latest.max(MINUTE / 12);
        if self.rng.chance(faults.lost) {
            self.note(|| format!("{kind} {reference} is lost"));
            return false;
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
        true
    }
}

impl Charge {
    /// How it stands, as one who knows no more of it than `asked` does is told.
    fn outcome(&self, asked: &Payment, now: i64) -> Outcome {
        let payment = &self.payment;
        match self.phase {
            Phase::Open => Outcome::Pending(Stage::Pending),
            Phase::Processing => Outcome::Pending(Stage::Processing),
            Phase::Closed => Outcome::Expired,
            // Stripe's page does not tell of the cards that were refused on it.
            Phase::Declined(_) if payment.is_checkout() && payment.gateway == Gateway::Stripe => {
                Outcome::Pending(Stage::Pending)
            }
            Phase::Declined(remedy) => {
                let link = format!("https://pay.example/{}", payment.reference);
                let link = (remedy == Remedy::AskCustomer).then_some(link);
                Outcome::Declined(Decline { wait_h: self.wait_h, link, ..Decline::new("declined", remedy) })
            }
            Phase::Succeeded => {
                let receipt = Receipt { id: format!("ch_{}", payment.reference), amount: self.amount };
                let method = match (payment.charged_method(), payment.gateway) {
                    (None, _) => (now >= self.method_named_from).then(|| method(payment, self.card)),
                    (Some(charged), Gateway::Paystack | Gateway::Flitt) => Some(charged.clone()),
                    (Some(_), Gateway::Stripe | Gateway::PayPal) => None,
                };
                Outcome::Succeeded { receipt, aftermath: self.aftermath(asked, now), method }
            }
        }
    }

    pub(crate) fn record<'a>(&self, records: &'a BTreeMap<Key, Record>) -> Option<&'a Payment> {
        match records.get(&Key::Payment(self.payment.customer.clone(), self.payment.id.clone())) {
            Some(Record::Payment(it)) => Some(it),
            _ => None,
        }
    }
}

/// What a gateway calls the thing that a payment is.
pub(crate) fn object(reference: &Reference) -> String {
    format!("obj_{reference}")
}

/// What a customer leaves on a page. Stripe and Paystack say that a card is
/// the same as before; Paystack names it the same, too.
fn method(payment: &Payment, card: usize) -> Method {
    let (customer, reference) = (&payment.customer, &payment.reference);
    let plain = |fingerprint| {
        let expires = Expiry::new(2030, 4);
        Instrument::Card(Card { brand: "visa".to_owned(), last4: "4081".to_owned(), expires, fingerprint })
    };
    let (token, payer, instrument) = match payment.gateway {
        Gateway::Stripe => (
            format!("pm_{customer}_{reference}"),
            format!("cus_{customer}"),
            plain(Some(format!("fingerprint_{customer}_{card}"))),
        ),
        Gateway::Paystack => (
            format!("AUTH_{customer}_{card}"),
            format!("billing@{customer}.example"),
            plain(Some(format!("SIG_{customer}_{card}"))),
        ),
        Gateway::Flitt => (format!("rectoken_{customer}_{reference}"), String::new(), plain(None)),
        Gateway::PayPal => {
            (format!("vault_{customer}"), format!("payer_{customer}"), Instrument::Account { label: None })
        }
    };
    Method { gateway: payment.gateway, token, payer, instrument }
}
