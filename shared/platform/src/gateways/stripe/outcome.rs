//! What Stripe's words mean for us.

use super::declines;
use super::wire::{Charge, Dispute, Expandable, Intent, Refund, Session, Setup, WireCard};
use billing::money::{Currency, Money};
use billing::outcome::{self, Aftermath, DisputeStanding, Outcome, Receipt, RefundOutcome, Stage};
use billing::payment::{Gateway, Payment};
use billing::wallet::{Card, Expiry, Instrument, Method};

impl Session {
    /// The intent whose charge is disputed, if it is.
    pub(super) fn disputed(&self) -> Option<&str> {
        self.payment_intent.as_ref().and_then(Expandable::object).and_then(Intent::disputed)
    }

    pub(super) fn outcome(self, payment: &Payment, dispute: Option<outcome::Dispute>) -> Outcome {
        if self.status == "expired" {
            return Outcome::Expired;
        }
        let intent = self.payment_intent.and_then(Expandable::into_object);
        let setup = self.setup_intent.and_then(Expandable::into_object);
        match (self.payment_status.as_str(), intent, setup) {
            (_, None, Some(setup)) => setup.outcome(payment.amount),
            ("unpaid", Some(intent), _) => intent.outcome(dispute),
            ("paid", Some(intent), _) if intent.status == "succeeded" => intent.outcome(dispute),
            _ if self.status == "complete" => Outcome::Pending(Stage::Processing),
            _ => Outcome::Pending(Stage::Pending),
        }
    }
}

impl Intent {
    pub(super) fn disputed(&self) -> Option<&str> {
        let charge = self.latest_charge.as_ref().and_then(Expandable::object);
        charge.filter(|charge| charge.disputed).map(|_| self.id.as_str())
    }

    pub(super) fn outcome(self, dispute: Option<outcome::Dispute>) -> Outcome {
        match (self.status.as_str(), &self.last_payment_error) {
            ("succeeded", _) => self.succeeded(dispute),
            ("canceled", _) => Outcome::Expired,
            ("requires_payment_method", Some(error)) => Outcome::Declined(declines::decline(error)),
            ("requires_action", _) => Outcome::Pending(Stage::RequiresAction),
            ("processing" | "requires_capture", _) => Outcome::Pending(Stage::Processing),
            _ => Outcome::Pending(Stage::Pending),
        }
    }

    fn succeeded(self, dispute: Option<outcome::Dispute>) -> Outcome {
        let Some(currency) = Currency::from_code(&self.currency.to_ascii_uppercase()) else {
            return Outcome::Pending(Stage::Processing); // nothing we ever asked for
        };
        let receipt = Receipt { id: self.id, amount: Money::new(self.amount_received, currency) };
        let charge = self.latest_charge.and_then(Expandable::into_object);
        let returned = charge.as_ref().map_or(0, |charge| charge.amount_refunded);
        let method = method(self.customer, self.payment_method, charge.and_then(Charge::card));
        Outcome::Succeeded { receipt, aftermath: Aftermath { returned, dispute }, method }
    }
}

impl Setup {
    /// `nothing`: what was asked for, in the currency it was asked in.
    fn outcome(self, nothing: Money) -> Outcome {
        match (self.status.as_str(), &self.last_setup_error) {
            ("succeeded", _) => {
                let receipt = Receipt { id: self.id, amount: nothing };
                let left = self.payment_method.and_then(Expandable::into_object);
                let (token, card) = left.map_or((None, None), |left| (Some(left.id), left.card));
                let method = method(self.customer, token, card);
                Outcome::Succeeded { receipt, aftermath: Aftermath::default(), method }
            }
            ("canceled", _) => Outcome::Expired,
            ("requires_payment_method", Some(error)) => Outcome::Declined(declines::decline(error)),
            ("requires_action", _) => Outcome::Pending(Stage::RequiresAction),
            ("processing", _) => Outcome::Pending(Stage::Processing),
            _ => Outcome::Pending(Stage::Pending),
        }
    }
}

/// What may be charged again: a card of a customer.
pub(super) fn method(payer: Option<String>, token: Option<String>, card: Option<WireCard>) -> Option<Method> {
    let (payer, token, card) = (payer?, token?, card?);
    let card = Card {
        brand: card.brand.unwrap_or_else(|| "card".to_owned()),
        last4: card.last4.unwrap_or_default(),
        expires: card.exp_year.zip(card.exp_month).and_then(|(year, month)| Expiry::new(year, month)),
        fingerprint: card.fingerprint,
    };
    Some(Method { gateway: Gateway::Stripe, token, payer, instrument: Instrument::Card(card) })
}

impl Charge {
    fn card(self) -> Option<WireCard> {
        self.payment_method_details.and_then(|details| details.card)
    }
}

impl Refund {
    pub(super) fn outcome(self) -> RefundOutcome {
        match self.status.as_deref() {
            Some("succeeded") => RefundOutcome::Done { id: self.id },
            Some(status @ ("failed" | "canceled")) => {
                RefundOutcome::Failed { code: self.failure_reason.unwrap_or_else(|| status.to_owned()) }
            }
            Some(_) | None => RefundOutcome::Pending,
        }
    }
}

impl Dispute {
    /// None: nobody disputes anything. A bank only asked, or a dispute was stopped before it took money.
    pub(super) fn standing(&self) -> Option<DisputeStanding> {
        let card = self.payment_method_details.as_ref().and_then(|details| details.card.as_ref());
        let case = card.and_then(|card| card.case_type.as_deref());
        match self.status.as_str() {
            status if status.starts_with("warning_") => None,
            "prevented" if case == Some("block") => None,
            "won" => Some(DisputeStanding::Won),
            // Prevented otherwise: the money was given back at once, so that nobody had to ask the bank.
            "lost" | "prevented" => Some(DisputeStanding::Lost),
            _ => Some(DisputeStanding::Open),
        }
    }

    pub(super) fn told(self) -> Option<outcome::Dispute> {
        let standing = self.standing()?;
        Some(outcome::Dispute { id: self.id, reason: self.reason.unwrap_or_else(|| "general".to_owned()), standing })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use billing::testing::checkout_payment;
    use serde::de::DeserializeOwned;
    use serde_json::{Value, json};

    fn read<T: DeserializeOwned>(value: Value) -> T {
        serde_json::from_value(value).unwrap_or_else(|error| panic!("{error}"))
    }

    fn intent(change: impl FnOnce(&mut Value)) -> Intent {
        let mut intent = json!({
            "id": "pi_1", "status": "succeeded", "amount_received": 1_500, "currency": "gel", "customer": "cus_1",
            "payment_method": "pm_1",
            "latest_charge": {"id": "ch_1", "amount_refunded": 0, "disputed": false, "payment_method_details": {
                "card": {"brand": "visa", "last4": "4242", "exp_month": 4, "exp_year": 2030, "fingerprint": "f1"},
            }},
        });
        change(&mut intent);
        read(intent)
    }

    #[test]
    fn what_went_back_is_told_and_is_no_decline() {
        for returned in [500, 1_500] {
            let outcome = intent(|it| it["latest_charge"]["amount_refunded"] = returned.into()).outcome(None);
            let Outcome::Succeeded { receipt, aftermath, .. } = outcome else { panic!("{outcome:?}") };
            assert_eq!((receipt.amount.minor, aftermath.returned), (1_500, returned));
        }
    }

    #[test]
    fn a_card_is_kept_with_its_last_month_or_without_one() {
        let card = |intent: Intent| {
            let Outcome::Succeeded { method: Some(method), .. } = intent.outcome(None) else {
                panic!("a card is left")
            };
            method.card().cloned()
        };
        assert_eq!(card(intent(|_| {})).and_then(|card| card.expires), Expiry::new(2030, 4));
        let unknown = intent(|it| {
            it["latest_charge"]["payment_method_details"]["card"] = json!({"exp_month": 13, "exp_year": 2030})
        });
        assert_eq!(card(unknown).map(|card| (card.brand, card.expires)), Some(("card".to_owned(), None)));
    }

    #[test]
    fn every_status_of_an_intent_has_a_meaning() {
        let cases = [
            ("requires_payment_method", Outcome::Pending(Stage::Pending)),
            ("requires_confirmation", Outcome::Pending(Stage::Pending)),
            ("requires_action", Outcome::Pending(Stage::RequiresAction)),
            ("processing", Outcome::Pending(Stage::Processing)),
            ("requires_capture", Outcome::Pending(Stage::Processing)),
            ("canceled", Outcome::Expired),
            ("something_new", Outcome::Pending(Stage::Pending)),
        ];
        for (status, expected) in cases {
            assert_eq!(intent(|it| it["status"] = status.into()).outcome(None), expected, "{status}");
        }
    }

    fn setup(session: &str, status: &str, error: Value) -> Outcome {
        let card = json!({"brand": "visa", "last4": "4242", "exp_month": 4, "exp_year": 2030, "fingerprint": "f1"});
        let session: Session = read(json!({
            "id": "cs_1", "url": null, "status": session, "payment_status": "no_payment_required",
            "payment_intent": null,
            "setup_intent": {"id": "seti_1", "status": status, "customer": "cus_1",
                "payment_method": {"id": "pm_1", "card": card}, "last_setup_error": error},
        }));
        let amount = Money { minor: 0, ..checkout_payment().amount };
        session.outcome(&Payment { bought: None, amount, ..checkout_payment() }, None)
    }

    #[test]
    fn a_card_that_was_set_up_costs_nothing_and_is_kept() {
        let outcome = setup("complete", "succeeded", Value::Null);
        let Outcome::Succeeded { receipt, aftermath, method: Some(method) } = outcome else { panic!("{outcome:?}") };
        assert_eq!((receipt.id.as_str(), receipt.amount.minor, aftermath), ("seti_1", 0, Aftermath::default()));
        assert_eq!((method.token.as_str(), method.payer.as_str()), ("pm_1", "cus_1"));
    }

    #[test]
    fn a_setup_waits_is_declined_and_ends_as_a_payment_does() {
        let open = |status| setup("open", status, Value::Null);
        assert_eq!(open("requires_payment_method"), Outcome::Pending(Stage::Pending));
        assert_eq!(open("requires_action"), Outcome::Pending(Stage::RequiresAction));
        assert_eq!(setup("expired", "requires_payment_method", Value::Null), Outcome::Expired);
        let error = json!({"type": "card_error", "code": "card_declined", "decline_code": "lost_card"});
        assert!(matches!(setup("open", "requires_payment_method", error), Outcome::Declined(_)));
    }

    #[test]
    fn a_refund_is_done_under_way_or_failed_with_the_banks_word() {
        let refund = |status: &str| {
            let reason = if status == "failed" { json!("expired_or_canceled_card") } else { Value::Null };
            read::<Refund>(json!({"id": "re_1", "status": status, "failure_reason": reason})).outcome()
        };
        let failed = |code: &str| RefundOutcome::Failed { code: code.to_owned() };
        assert_eq!(refund("succeeded"), RefundOutcome::Done { id: "re_1".to_owned() });
        assert_eq!([refund("pending"), refund("requires_action")], [RefundOutcome::Pending, RefundOutcome::Pending]);
        assert_eq!([refund("failed"), refund("canceled")], [failed("expired_or_canceled_card"), failed("canceled")]);
    }

    #[test]
    fn a_bank_that_only_asks_disputes_nothing() {
        let standing = |status: &str, case: &str| {
            let details = json!({"card": {"case_type": case}});
            read::<Dispute>(json!({"id": "du_1", "status": status, "payment_method_details": details})).standing()
        };
        let cases = [
            ("warning_needs_response", "inquiry", None),
            ("warning_under_review", "inquiry", None),
            ("warning_closed", "inquiry", None),
            ("needs_response", "chargeback", Some(DisputeStanding::Open)),
            ("under_review", "chargeback", Some(DisputeStanding::Open)),
            ("appeal_needs_response", "chargeback", Some(DisputeStanding::Open)),
            ("won", "chargeback", Some(DisputeStanding::Won)),
            ("lost", "chargeback", Some(DisputeStanding::Lost)),
            ("prevented", "resolution", Some(DisputeStanding::Lost)),
            ("prevented", "block", None),
        ];
        for (status, case, expected) in cases {
            assert_eq!(standing(status, case), expected, "{status} {case}");
        }
    }
}
