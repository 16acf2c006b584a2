//! The gateways' pages: opened, visited, closed where a gateway can.

use crate::books::{Charge, Phase, object};
use crate::faults::{DAY, MINUTE};
use crate::world::{Happening, State};
use billing::id::Reference;
use billing::outcome::{Remedy, Sighting};
use billing::payment::{Address, Collection, Gateway, Opened, Payment};
use billing::ports::Key;

/// Whether a page can be closed, so that nobody pays on it any more.
pub(crate) const fn closes_pages(gateway: Gateway) -> bool {
    match gateway {
        Gateway::Stripe => true,
        Gateway::Paystack | Gateway::Flitt | Gateway::PayPal => false,
    }
}

impl State {
    /// The page, or nothing where a gateway does not tell its address twice.
    pub(crate) fn open(&mut self, payment: &Payment) -> Option<Opened> {
        self.compare(payment);
        let before = self.books.contains_key(&payment.reference);
        self.known(payment, Phase::Open);
        match payment.gateway {
            Gateway::Paystack | Gateway::Flitt if before => None,
            Gateway::Stripe | Gateway::Paystack | Gateway::Flitt | Gateway::PayPal => {
                let url = format!("https://pay.example/{}", payment.reference);
                Some(Opened { id: object(&payment.reference), at: Address::CheckoutUrl(url) })
            }
        }
    }

    pub(crate) fn close(&mut self, payment: &Payment) -> Sighting {
        let closes = closes_pages(payment.gateway);
        if let Some(charge) = self.books.get_mut(&payment.reference).filter(|_| closes) {
            match charge.phase {
                Phase::Open | Phase::Declined(_) => {
                    charge.phase = Phase::Closed;
                    self.tell(&payment.reference, "checkout.expired");
                }
                Phase::Processing | Phase::Succeeded | Phase::Closed => {}
            }
        }
        self.find(payment, None)
    }

    /// The customer is at the page, if it can still be paid on.
    pub(crate) fn visit(&mut self, reference: &Reference, pays: bool) {
        let all_told = self.faults.webhooks.lost == 0;
        let Some(charge) = self.books.get(reference) else { return };
        let payment = charge.payment.clone();
        // A page that cannot be closed outlives our interest in it, which may end with the last question that was
        // asked. Only its webhook tells of that.
        let key = Key::Payment(payment.customer.clone(), payment.id.clone());
        let asked = self.now - charge.asked_at < MINUTE;
        let watched = !asked && self.records.get(&key).is_some_and(|record| record.due().is_some());
        let payable = match charge.phase {
            Phase::Open | Phase::Declined(_) => closes_pages(payment.gateway) || watched || all_told,
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
                    self.after(0, MINUTE / 30, Happening::Visit { reference: reference.clone(), pays: true });
                }
            }
        } else if self.rng.chance(self.faults.of(payment.gateway).slow_to_end) {
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
}

impl Charge {
    /// Whether somebody may still pay on it.
    pub(crate) fn is_payable_page(&self) -> bool {
        let page = self.payment.is_checkout() && self.told_where;
        page && matches!(self.phase, Phase::Open | Phase::Declined(_) | Phase::Processing)
    }

    /// When the time to pay on the page is over.
    pub(crate) fn page_ends_at(&self) -> i64 {
        match &self.payment.collection {
            Collection::Checkout { expires_at, .. } => expires_at.as_millisecond(),
            Collection::OffSession { .. } | Collection::Transfer(_) => 0,
        }
    }
}
