//! What Paystack's words mean for us.

use super::declines;
use super::units::{from_subunits, subunits};
use super::wire::{Dispute, Disputes, NumberOrText, Refund, Saved, Transaction};
use billing::outcome::{self, Aftermath, Decline, DisputeStanding, Outcome, Receipt, RefundOutcome, Remedy, Stage};
use billing::payment::{CheckoutMethod, Collection, Gateway, Payment};
use billing::ports::GatewayError;
use billing::wallet::{Card, Expiry, Instrument, Method};

impl Transaction {
    pub(super) fn was_paid(&self) -> bool {
        self.status.as_deref() == Some("success") || self.is_reversed()
    }

    /// All of it went back: given back, or charged back.
    pub(super) fn is_reversed(&self) -> bool {
        self.status.as_deref() == Some("reversed")
    }

    pub(super) fn outcome(self, payment: &Payment, aftermath: Aftermath) -> Outcome {
        if self.paused || self.status.as_deref() == Some("ongoing") {
            return self.waiting(payment);
        }
        match self.status.as_deref() {
            Some("success" | "reversed") => self.paid(payment, aftermath),
            Some("failed") => {
                let text = self.gateway_response.as_deref().unwrap_or_default();
                Outcome::Declined(declines::decline(self.response_code, self.gateway_response_code, text))
            }
            Some("abandoned" | "pending_bank_transfer") => Outcome::Pending(Stage::Pending),
            Some(_) | None => Outcome::Pending(Stage::Processing),
        }
    }

    /// Charging says `paused`, and looking it up later `ongoing`.
    fn waiting(self, payment: &Payment) -> Outcome {
        match payment.collection {
            // Nobody is there to do what is waited for.
            Collection::OffSession { .. } => Outcome::Declined(Decline {
                link: self.authorization_url,
                ..Decline::new("paused", Remedy::AskCustomer)
            }),
            Collection::Checkout { method: CheckoutMethod::BankTransfer, .. } => Outcome::Pending(Stage::Pending),
            Collection::Checkout { .. } => Outcome::Pending(Stage::RequiresAction),
            Collection::Transfer(_) => Outcome::Pending(Stage::Processing),
        }
    }

    fn paid(self, payment: &Payment, aftermath: Aftermath) -> Outcome {
        let number = |amount: &Option<NumberOrText>| amount.as_ref().and_then(NumberOrText::number);
        let (Some(id), Some(amount), Some(currency)) = (self.id, number(&self.amount), self.currency) else {
            return Outcome::Pending(Stage::Processing); // a success that does not say of what
        };
        let asked = subunits(payment.amount).ok();
        // Who bears the fees pays more than was asked; what we asked for is what we were paid.
        let counted = match number(&self.requested_amount) {
            Some(requested) if Some(requested) == asked && amount >= requested => requested,
            Some(_) | None => amount,
        };
        let receipt = Receipt { id: id.to_string(), amount: from_subunits(counted, currency) };
        let whole = if self.is_reversed() { receipt.amount.minor } else { 0 };
        let aftermath = Aftermath { returned: aftermath.returned.max(whole), ..aftermath };
        let payer = self.customer.and_then(|customer| customer.email);
        let method = self.authorization.zip(payer).and_then(|(saved, payer)| saved.method(payer));
        Outcome::Succeeded { receipt, aftermath, method }
    }
}

impl Saved {
    /// Only what may be charged again, with the e-mail it is bound to.
    fn method(self, payer: String) -> Option<Method> {
        let token = self.authorization_code?;
        if self.reusable != Some(true) || !matches!(self.channel.as_deref(), Some("card" | "direct_debit")) {
            return None;
        }
        let number = |text: Option<NumberOrText>| text.and_then(|text| text.number());
        let year = number(self.exp_year).and_then(|year| u16::try_from(year).ok());
        let month = number(self.exp_month).and_then(|month| u8::try_from(month).ok());
        let brand = self.brand.or(self.card_type).map(|brand| brand.trim().to_owned());
        let card = Card {
            brand: brand.unwrap_or_else(|| "card".to_owned()),
            last4: self.last4.unwrap_or_default(),
            expires: year.zip(month).and_then(|(year, month)| Expiry::new(year, month)),
            fingerprint: self.signature,
        };
        Some(Method { gateway: Gateway::Paystack, token, payer, instrument: Instrument::Card(card) })
    }
}

impl Refund {
    /// Whether it is of that transaction, as far as it says.
    pub(super) fn is_of(&self, reference: &str) -> bool {
        self.transaction_reference.as_deref().is_none_or(|it| it == reference)
    }

    /// Whether it is the one that we made under that name.
    pub(super) fn is_called(&self, name: &str) -> bool {
        self.merchant_note.as_deref().is_some_and(|note| note.split_whitespace().any(|word| word == name))
    }

    /// What of it is with the customer already.
    pub(super) fn returned(&self) -> i64 {
        match self.status.as_str() {
            "processed" => self.amount.as_ref().and_then(NumberOrText::number).unwrap_or_default(),
            _ => 0,
        }
    }

    pub(super) fn outcome(self) -> Result<RefundOutcome, GatewayError> {
        match self.status.as_str() {
            "processed" => Ok(RefundOutcome::Done { id: self.id.to_string() }),
            "failed" => Ok(RefundOutcome::Failed { code: "failed".to_owned() }),
            // Paystack wants to be told a bank account, which only a person can.
            "needs-attention" => Err(GatewayError::Rejected(format!("refund {} needs attention", self.id))),
            _ => Ok(RefundOutcome::Pending),
        }
    }
}

impl Disputes {
    /// The one that matters: what is open or lost before what was won. `reversed`: whether the money is gone.
    pub(super) fn told(self, reversed: bool) -> Option<outcome::Dispute> {
        let told: Vec<outcome::Dispute> = match self {
            Self::Many(disputes) => disputes.into_iter().map(|dispute| dispute.told(reversed)).collect(),
            Self::One(dispute) => vec![dispute.told(reversed)],
            Self::None(_) => vec![],
        };
        let matters = told.iter().position(|dispute| dispute.standing != DisputeStanding::Won).unwrap_or_default();
        told.into_iter().nth(matters)
    }
}

impl Dispute {
    fn told(self, reversed: bool) -> outcome::Dispute {
        let standing = match (self.status.as_deref(), self.resolution.as_deref()) {
            (_, Some("declined")) => DisputeStanding::Won,
            (_, Some("merchant-accepted" | "auto-accepted")) => DisputeStanding::Lost,
            // Over, and nobody says how: the money does.
            (Some("resolved" | "archived"), _) if reversed => DisputeStanding::Lost,
            (Some("resolved" | "archived"), _) => DisputeStanding::Won,
            _ => DisputeStanding::Open,
        };
        let reason = self.category.unwrap_or_else(|| "chargeback".to_owned());
        outcome::Dispute { id: self.id.to_string(), reason, standing }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use billing::testing::{checkout_payment, off_session_payment};
    use serde::de::DeserializeOwned;
    use serde_json::{Value, json};

    fn read<T: DeserializeOwned>(value: Value) -> T {
        serde_json::from_value(value).unwrap_or_else(|error| panic!("{error}"))
    }

    fn outcome(change: impl FnOnce(&mut Value)) -> Outcome {
        let mut transaction = json!({
            "id": 7, "status": "success", "amount": 700_000, "requested_amount": 700_000, "currency": "NGN",
            "metadata": "", "customer": {"email": "billing@acme.example"},
            "authorization": {"authorization_code": "AUTH_1", "channel": "card", "reusable": true,
                "card_type": "visa ", "last4": "4081", "exp_month": "04", "exp_year": "2030", "signature": "SIG_1"},
        });
        change(&mut transaction);
        read::<Transaction>(transaction).outcome(&off_session_payment(), Aftermath::default())
    }

    fn taken(outcome: &Outcome) -> Option<(i64, i64)> {
        match outcome {
            Outcome::Succeeded { receipt, aftermath, .. } => Some((receipt.amount.minor, aftermath.returned)),
            Outcome::Pending(_) | Outcome::Declined(_) | Outcome::Expired => None,
        }
    }

    #[test]
    fn fees_that_the_customer_bears_are_not_a_wrong_amount() {
        assert_eq!(taken(&outcome(|it| it["amount"] = 710_500.into())), Some((700_000, 0)));
    }

    #[test]
    fn another_amount_than_asked_for_is_told_as_it_is() {
        assert_eq!(taken(&outcome(|it| it["amount"] = 1.into())), Some((1, 0)));
        let other = |it: &mut Value| (it["amount"], it["requested_amount"]) = (100.into(), "100".into());
        assert_eq!(taken(&outcome(other)), Some((100, 0)));
    }

    #[test]
    fn what_was_taken_and_went_back_whole_is_told_as_both() {
        assert_eq!(taken(&outcome(|it| it["status"] = "reversed".into())), Some((700_000, 700_000)));
    }

    #[test]
    fn a_card_is_kept_only_if_it_may_be_charged_again() {
        let kept = |outcome| matches!(outcome, Outcome::Succeeded { method: Some(_), .. });
        assert!(kept(outcome(|_| {})));
        assert!(!kept(outcome(|it| it["authorization"]["reusable"] = false.into())));
        assert!(!kept(outcome(|it| it["authorization"]["channel"] = "bank_transfer".into())));
        assert!(!kept(outcome(|it| it["customer"]["email"] = Value::Null)));
    }

    #[test]
    fn a_card_is_shown_as_a_person_knows_it() {
        let Outcome::Succeeded { method: Some(method), .. } = outcome(|_| {}) else { panic!("kept") };
        let Some(card) = method.card() else { panic!("a card") };
        assert_eq!((card.brand.as_str(), card.expires), ("visa", Expiry::new(2030, 4)));
        assert_eq!(method.payer, "billing@acme.example");
    }

    #[test]
    fn every_status_has_a_meaning() {
        let cases = [
            ("abandoned", Outcome::Pending(Stage::Pending)),
            ("pending_bank_transfer", Outcome::Pending(Stage::Pending)),
            ("pending", Outcome::Pending(Stage::Processing)),
            ("processing", Outcome::Pending(Stage::Processing)),
            ("queued", Outcome::Pending(Stage::Processing)),
            ("something new", Outcome::Pending(Stage::Processing)),
        ];
        for (status, expected) in cases {
            assert_eq!(outcome(|it| it["status"] = status.into()), expected, "{status}");
        }
        assert!(matches!(outcome(|it| it["status"] = "failed".into()), Outcome::Declined(_)));
    }

    #[test]
    fn a_charge_that_waits_for_a_customer_who_is_not_there_says_where_they_are_to_go() {
        let link = "https://checkout.paystack.com/1";
        let paused = |link: Option<&str>| {
            Outcome::Declined(Decline { link: link.map(str::to_owned), ..Decline::new("paused", Remedy::AskCustomer) })
        };
        let with_link = |it: &mut Value| *it = json!({"paused": true, "authorization_url": link, "reference": "r1"});
        assert_eq!(outcome(with_link), paused(Some(link)));
        assert_eq!(outcome(|it| it["status"] = "ongoing".into()), paused(None));
    }

    #[test]
    fn on_a_page_the_customer_is_there_and_a_transfer_is_only_waited_for() {
        let ongoing = |payment: &Payment| {
            read::<Transaction>(json!({"status": "ongoing"})).outcome(payment, Aftermath::default())
        };
        let mut payment = checkout_payment();
        assert_eq!(ongoing(&payment), Outcome::Pending(Stage::RequiresAction));
        let Collection::Checkout { method, .. } = &mut payment.collection else { panic!("a checkout") };
        *method = CheckoutMethod::BankTransfer;
        assert_eq!(ongoing(&payment), Outcome::Pending(Stage::Pending));
    }

    #[test]
    fn one_of_several_refunds_is_told_by_the_name_in_its_note() {
        let refund = |note: Value| read::<Refund>(json!({"id": 1, "status": "processed", "merchant_note": note}));
        let tenth = refund("rabcx10 for pay_1-1-0-1".into());
        assert!(tenth.is_called("rabcx10") && !tenth.is_called("rabcx1"));
        assert!(!refund(Value::Null).is_called("rabcx1") && !refund("Refund by hand".into()).is_called("rabcx1"));
    }

    #[test]
    fn only_a_refund_that_is_through_has_gone_back() {
        let refund = |status: &str, amount: Value| read::<Refund>(json!({"id": 1, "status": status, "amount": amount}));
        assert_eq!(refund("processed", json!("2500")).returned(), 2_500, "as text");
        for (status, expected) in [
            ("pending", RefundOutcome::Pending),
            ("processing", RefundOutcome::Pending),
            ("failed", RefundOutcome::Failed { code: "failed".to_owned() }),
        ] {
            assert_eq!(refund(status, json!(2_500)).returned(), 0, "{status}");
            assert_eq!(refund(status, json!(2_500)).outcome().ok(), Some(expected));
        }
        assert_eq!(refund("processed", json!(1)).outcome().ok(), Some(RefundOutcome::Done { id: "1".to_owned() }));
        assert!(matches!(refund("needs-attention", json!(1)).outcome(), Err(GatewayError::Rejected(_))));
    }

    #[test]
    fn a_dispute_is_open_won_or_lost_by_its_resolution() {
        let standing = |status: &str, resolution: Value, reversed| {
            let dispute = json!({"id": 2, "status": status, "resolution": resolution, "category": "chargeback"});
            read::<Disputes>(dispute).told(reversed).map(|dispute| dispute.standing)
        };
        for status in ["awaiting-merchant-feedback", "awaiting-bank-feedback", "pending"] {
            assert_eq!(standing(status, Value::Null, false), Some(DisputeStanding::Open), "{status}");
        }
        assert_eq!(standing("resolved", "declined".into(), false), Some(DisputeStanding::Won));
        assert_eq!(standing("resolved", "merchant-accepted".into(), true), Some(DisputeStanding::Lost));
        assert_eq!(standing("resolved", "auto-accepted".into(), true), Some(DisputeStanding::Lost));
        assert_eq!(standing("archived", Value::Null, false), Some(DisputeStanding::Won));
        assert_eq!(standing("archived", Value::Null, true), Some(DisputeStanding::Lost));
    }

    #[test]
    fn of_several_disputes_the_undecided_matters_and_no_dispute_is_none() {
        let many = json!([{"id": 1, "status": "resolved", "resolution": "declined"}, {"id": 2, "status": "pending"}]);
        assert_eq!(read::<Disputes>(many).told(false).map(|dispute| dispute.id).as_deref(), Some("2"));
        for nothing in [json!([]), json!({}), Value::Null] {
            assert_eq!(read::<Disputes>(nothing).told(false), None);
        }
    }
}
