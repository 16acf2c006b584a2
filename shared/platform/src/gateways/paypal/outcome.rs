//! What PayPal's orders, captures and disputes mean to us.
//!
//! An order that is COMPLETED is no money: how its capture stands is.

use super::amounts::Amount;
use super::declines;
use super::wire::{Account, Capture, Customer, Dispute, Order, PaymentToken, Processor, Refund, address};
use billing::money::Money;
use billing::outcome::{Aftermath, Decline, DisputeStanding, Outcome, Receipt, RefundOutcome, Remedy, Stage};
use billing::payment::{Collection, Gateway, Payment};
use billing::wallet::{Instrument, Method};

impl Order {
    /// Whether it says itself that it is `payment`'s.
    pub(super) fn is_of(&self, payment: &Payment) -> bool {
        self.names().any(|name| name == payment.reference.as_str())
    }

    /// What we called it, if it was us.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        let of_captures = self.captures().filter_map(|capture| capture.custom_id.as_deref());
        self.purchase_units.iter().filter_map(|unit| unit.custom_id.as_deref()).chain(of_captures)
    }

    /// Where the customer approves it.
    pub(super) fn page(&self) -> Option<String> {
        address(&self.links, &["payer-action", "approve"])
    }

    /// Whether it is approved, and ours to capture.
    pub(super) fn is_capturable(&self) -> bool {
        self.capture().is_none() && self.status.as_deref() == Some("APPROVED")
    }

    /// The capture that took money, else the one that may, else whichever there is.
    pub(super) fn capture(&self) -> Option<&Capture> {
        let pending = |capture: &&Capture| capture.status.as_deref() == Some("PENDING");
        self.captures()
            .find(|capture| capture.took_money())
            .or_else(|| self.captures().find(pending))
            .or_else(|| self.captures().next())
    }

    fn captures(&self) -> impl Iterator<Item = &Capture> {
        self.purchase_units.iter().flat_map(|unit| &unit.payments.captures)
    }

    pub(super) fn refunds(&self) -> impl Iterator<Item = &Refund> {
        self.purchase_units.iter().flat_map(|unit| &unit.payments.refunds)
    }

    pub(super) fn outcome(&self, payment: &Payment) -> Outcome {
        if let Some(capture) = self.capture() {
            let method = self.method().or_else(|| payment.charged_method().cloned());
            return capture.outcome(capture.returned(Some(self)), method);
        }
        match (self.status.as_deref(), &payment.collection) {
            (Some("VOIDED"), _) => Outcome::Expired,
            // Nobody is there to do what is waited for.
            (Some("PAYER_ACTION_REQUIRED"), Collection::OffSession { .. }) => {
                let decline = Decline::new("PAYER_ACTION_REQUIRED", Remedy::AskCustomer);
                Outcome::Declined(Decline { link: self.page(), ..decline })
            }
            (Some("CREATED" | "SAVED" | "PAYER_ACTION_REQUIRED" | "APPROVED"), _) => Outcome::Pending(Stage::Pending),
            (Some(_) | None, _) => Outcome::Pending(Stage::Processing),
        }
    }

    /// Whether `token` stands for the account that paid it.
    pub(super) fn was_paid_from(&self, token: &PaymentToken) -> bool {
        let Some(payer) = self.payment_source.as_ref().and_then(|source| source.paypal.as_ref()) else { return false };
        let saved = token.payment_source.as_ref().and_then(|source| source.paypal.as_ref());
        let vault = payer.attributes.as_ref().and_then(|attributes| attributes.vault.as_ref());
        let customers = (vault.and_then(|vault| vault.customer.as_ref()), token.customer.as_ref());
        let same = |one: Option<&String>, other: Option<&String>| one.is_some() && one == other;
        same(customers.0.and_then(|it| it.id.as_ref()), customers.1.and_then(|it| it.id.as_ref()))
            || same(payer.account_id.as_ref(), saved.and_then(|saved| saved.account_id.as_ref()))
            || same(payer.email_address.as_ref(), saved.and_then(|saved| saved.email_address.as_ref()))
    }

    /// The account that was left with it for later charges.
    pub(super) fn method(&self) -> Option<Method> {
        let account = self.payment_source.as_ref()?.paypal.as_ref()?;
        let vault = account.attributes.as_ref()?.vault.as_ref()?;
        Some(method(vault.id.clone()?, vault.customer.as_ref(), account))
    }
}

impl Capture {
    fn took_money(&self) -> bool {
        matches!(self.status.as_deref(), Some("COMPLETED" | "PARTIALLY_REFUNDED" | "REFUNDED"))
    }

    pub(super) fn gave_back_a_part(&self) -> bool {
        self.status.as_deref() == Some("PARTIALLY_REFUNDED")
    }

    /// Minor units that went back. None: a part of which only `order` can tell, and it was not to be had, or does not say.
    pub(super) fn returned(&self, order: Option<&Order>) -> Option<i64> {
        let amount = self.money()?;
        match self.status.as_deref() {
            Some("REFUNDED") => Some(amount.minor),
            Some("PARTIALLY_REFUNDED") => {
                let done = order?.refunds().filter(|refund| refund.status.as_deref() == Some("COMPLETED"));
                done.map(|refund| Some(refund.amount.as_ref()?.money()?.minor)).sum()
            }
            Some(_) | None => Some(0),
        }
    }

    /// What became of it, of which so much went `returned`.
    pub(super) fn outcome(&self, returned: Option<i64>, method: Option<Method>) -> Outcome {
        match (self.status.as_deref(), self.money().zip(returned)) {
            (Some("COMPLETED" | "PARTIALLY_REFUNDED" | "REFUNDED"), Some((amount, returned))) => {
                let receipt = Receipt { id: self.id.clone(), amount };
                Outcome::Succeeded { receipt, aftermath: Aftermath { returned, dispute: None }, method }
            }
            (Some("DECLINED" | "FAILED"), _) => {
                let reason = self.status_details.as_ref().and_then(|details| details.reason.as_deref());
                let silent = Processor::default();
                Outcome::Declined(declines::capture(self.processor_response.as_ref().unwrap_or(&silent), reason))
            }
            // Pending for days, or a success that does not say of what, or what of it went back.
            (Some(_) | None, _) => Outcome::Pending(Stage::Processing),
        }
    }

    /// The order that it is of.
    pub(super) fn order_id(&self) -> Option<String> {
        let told = self.supplementary_data.as_ref().and_then(|data| data.related_ids.order_id.clone());
        told.or_else(|| {
            address(&self.links, &["up"])
                .filter(|href| href.contains("/orders/"))
                .and_then(|href| super::wire::linked_id(&href))
        })
    }

    fn money(&self) -> Option<Money> {
        self.amount.as_ref().and_then(Amount::money)
    }
}

impl Refund {
    pub(super) fn outcome(&self) -> RefundOutcome {
        match self.status.as_deref() {
            Some("COMPLETED") => RefundOutcome::Done { id: self.id.clone() },
            Some(status @ ("FAILED" | "CANCELLED")) => {
                let reason = self.status_details.as_ref().and_then(|details| details.reason.as_deref());
                RefundOutcome::Failed { code: reason.unwrap_or(status).to_owned() }
            }
            Some(_) | None => RefundOutcome::Pending,
        }
    }
}

impl PaymentToken {
    pub(super) fn method(self) -> Method {
        let unknown = Account { account_id: None, email_address: None, attributes: None };
        let account = self.payment_source.and_then(|source| source.paypal).unwrap_or(unknown);
        method(self.id, self.customer.as_ref(), &account)
    }
}

fn method(token: String, customer: Option<&Customer>, account: &Account) -> Method {
    let payer = customer.and_then(|customer| customer.id.clone()).unwrap_or_default();
    let label = account.email_address.as_deref().and_then(masked);
    Method { gateway: Gateway::PayPal, token, payer, instrument: Instrument::Account { label } }
}

/// As much of an e-mail as may be shown: `b…@acme.example`.
fn masked(email: &str) -> Option<String> {
    let (name, domain) = email.rsplit_once('@')?;
    let first = name.chars().next()?;
    (!domain.is_empty()).then(|| format!("{first}…@{domain}"))
}

impl Dispute {
    pub(super) fn is_resolved(&self) -> bool {
        self.status.as_deref() == Some("RESOLVED")
    }

    pub(super) fn standing(&self) -> DisputeStanding {
        let outcome = self.dispute_outcome.as_ref().and_then(|outcome| outcome.outcome_code.as_deref());
        match outcome.filter(|_| self.is_resolved()) {
            Some("RESOLVED_BUYER_FAVOUR" | "ACCEPTED") => DisputeStanding::Lost,
            // PayPal paid out of its own pocket, the customer withdrew, or another dispute took its place.
            Some("RESOLVED_SELLER_FAVOUR" | "RESOLVED_WITH_PAYOUT" | "CANCELED_BY_BUYER" | "DENIED" | "NONE") => {
                DisputeStanding::Won
            }
            Some(_) | None => DisputeStanding::Open,
        }
    }

    pub(super) fn told(self) -> billing::outcome::Dispute {
        let standing = self.standing();
        let reason = self.reason.unwrap_or_else(|| "OTHER".to_owned());
        billing::outcome::Dispute { id: self.dispute_id, reason, standing }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use billing::testing::{checkout_payment, method_at, off_session_payment};
    use serde::de::DeserializeOwned;
    use serde_json::{Value, json};

    fn read<T: DeserializeOwned>(value: Value) -> T {
        serde_json::from_value(value).unwrap_or_else(|error| panic!("{error}"))
    }

    fn usd(value: &str) -> Value {
        json!({"currency_code": "USD", "value": value})
    }

    /// A captured order, its capture changed.
    fn captured(change: impl FnOnce(&mut Value)) -> Order {
        let mut capture = json!({"id": "3C679366HH908993F", "status": "COMPLETED", "amount": usd("13.99")});
        change(&mut capture);
        read(json!({
            "id": "5O190127TN364715T", "status": "COMPLETED",
            "purchase_units": [{"custom_id": "r1", "payments": {
                "captures": [capture],
                "refunds": [
                    {"id": "R1", "status": "COMPLETED", "amount": usd("3.00")},
                    {"id": "R2", "status": "FAILED", "amount": usd("4.00")},
                    {"id": "R3", "status": "COMPLETED", "amount": usd("0.50")},
                ],
            }}],
            "payment_source": {"paypal": {"email_address": "billing@acme.example", "attributes": {"vault": {
                "id": "8kk8451t", "status": "VAULTED", "customer": {"id": "XsSHkkqHcb"}}}}},
        }))
    }

    #[test]
    fn an_orders_money_is_its_captures() {
        let Outcome::Succeeded { receipt, aftermath, method } = captured(|_| {}).outcome(&checkout_payment()) else {
            panic!("paid")
        };
        assert_eq!((receipt.id.as_str(), receipt.amount.minor, aftermath.returned), ("3C679366HH908993F", 1_399, 0));
        let Some(Method { token, payer, instrument, .. }) = method else { panic!("kept") };
        assert_eq!((token.as_str(), payer.as_str()), ("8kk8451t", "XsSHkkqHcb"));
        assert_eq!(instrument, Instrument::Account { label: Some("b…@acme.example".to_owned()) });
    }

    #[test]
    fn every_state_of_a_capture_has_a_meaning() {
        let outcome = |status: &str| captured(|it| it["status"] = status.into()).outcome(&checkout_payment());
        let returned = |status: &str| match outcome(status) {
            Outcome::Succeeded { aftermath, .. } => Some(aftermath.returned),
            Outcome::Pending(_) | Outcome::Declined(_) | Outcome::Expired => None,
        };
        assert_eq!(["COMPLETED", "PARTIALLY_REFUNDED", "REFUNDED"].map(returned), [Some(0), Some(350), Some(1_399)]);
        for status in ["PENDING", "something new"] {
            assert_eq!(outcome(status), Outcome::Pending(Stage::Processing), "{status}");
        }
        for status in ["DECLINED", "FAILED"] {
            assert!(matches!(outcome(status), Outcome::Declined(_)), "{status}");
        }
        let unreadable = captured(|it| it["amount"] = usd("13.995")).outcome(&checkout_payment());
        assert_eq!(unreadable, Outcome::Pending(Stage::Processing));
        let mut order = captured(|it| it["status"] = "PARTIALLY_REFUNDED".into());
        order.purchase_units[0].payments.refunds[2].amount = None;
        assert_eq!(order.outcome(&checkout_payment()), Outcome::Pending(Stage::Processing), "a part is not told");
        // What failed went nowhere, whatever it would have been.
        order.purchase_units[0].payments.refunds.remove(2);
        order.purchase_units[0].payments.refunds[1].amount = None;
        let Outcome::Succeeded { aftermath, .. } = order.outcome(&checkout_payment()) else { panic!("paid") };
        assert_eq!(aftermath.returned, 300);
    }

    #[test]
    fn an_order_without_a_capture_waits_for_somebody_or_is_over() {
        let order = |status: &str| {
            let links =
                json!([{"rel": "payer-action", "href": "https://www.sandbox.paypal.com/checkoutnow?token=5O1"}]);
            read::<Order>(json!({"id": "5O1", "status": status, "links": links}))
        };
        for status in ["CREATED", "SAVED", "PAYER_ACTION_REQUIRED", "APPROVED"] {
            assert_eq!(order(status).outcome(&checkout_payment()), Outcome::Pending(Stage::Pending), "{status}");
        }
        assert_eq!(order("VOIDED").outcome(&checkout_payment()), Outcome::Expired);
        assert!(order("APPROVED").is_capturable() && !order("CREATED").is_capturable());
        let Outcome::Declined(decline) = order("PAYER_ACTION_REQUIRED").outcome(&off_session_payment()) else {
            panic!("nobody is there")
        };
        assert_eq!(decline.remedy, Remedy::AskCustomer);
        assert!(decline.link.is_some_and(|link| link.ends_with("token=5O1")));
    }

    #[test]
    fn a_charge_of_ours_keeps_the_method_that_it_was_made_with() {
        let order: Order =
            read(json!({"id": "5O1", "status": "COMPLETED", "purchase_units": [{"payments": {"captures":
            [{"id": "3C6", "status": "COMPLETED", "amount": usd("13.99")}]}}]}));
        let payment = off_session_payment();
        let Outcome::Succeeded { method, .. } = order.outcome(&payment) else { panic!("paid") };
        assert_eq!(method, Some(method_at(Gateway::Paystack, "AUTH_1")));
    }

    #[test]
    fn a_token_that_is_still_to_come_is_no_method() {
        let order: Order = read(json!({"id": "5O1", "payment_source": {"paypal": {"attributes": {"vault":
            {"status": "APPROVED", "customer": {"id": "XsSHkkqHcb"}}}}}}));
        assert_eq!(order.method(), None);
    }

    #[test]
    fn a_token_is_an_orders_only_if_the_same_account_paid_it() {
        let order = |paypal: Value| read::<Order>(json!({"id": "5O1", "payment_source": { "paypal": paypal }}));
        let token: PaymentToken = read(json!({"id": "8kk8451t", "customer": {"id": "XsSH"}, "payment_source":
            {"paypal": {"account_id": "QYR5", "email_address": "billing@acme.example"}}}));
        for ours in [
            json!({"attributes": {"vault": {"customer": {"id": "XsSH"}}}}),
            json!({"account_id": "QYR5"}),
            json!({"email_address": "billing@acme.example"}),
        ] {
            assert!(order(ours.clone()).was_paid_from(&token), "{ours}");
        }
        for other in [json!({}), json!({"account_id": "OTHER", "email_address": "eve@evil.example"})] {
            assert!(!order(other.clone()).was_paid_from(&token), "{other}");
        }
        let nameless: PaymentToken = read(json!({"id": "8kk8451t"}));
        assert!(!order(json!({})).was_paid_from(&nameless));
    }

    #[test]
    fn a_declined_capture_beside_one_that_took_money_is_forgotten() {
        let order: Order =
            read(json!({"id": "5O1", "status": "COMPLETED", "purchase_units": [{"payments": {"captures": [
            {"id": "3C6", "status": "DECLINED", "amount": usd("13.99")},
            {"id": "3C7", "status": "COMPLETED", "amount": usd("13.99")}]}}]}));
        assert_eq!(order.capture().map(|capture| capture.id.as_str()), Some("3C7"));
    }

    #[test]
    fn a_dispute_is_open_until_it_says_for_whom_it_was_decided() {
        let standing = |status: &str, code: Option<&str>| {
            let outcome = code.map(|code| json!({ "outcome_code": code }));
            read::<Dispute>(json!({"dispute_id": "PP-D-1", "status": status, "dispute_outcome": outcome})).standing()
        };
        for status in ["OPEN", "WAITING_FOR_SELLER_RESPONSE", "UNDER_REVIEW", "OTHER", "RESOLVED"] {
            assert_eq!(standing(status, None), DisputeStanding::Open, "{status}");
        }
        let cases = [
            ("RESOLVED_BUYER_FAVOUR", DisputeStanding::Lost),
            ("RESOLVED_SELLER_FAVOUR", DisputeStanding::Won),
            ("RESOLVED_WITH_PAYOUT", DisputeStanding::Won),
            ("CANCELED_BY_BUYER", DisputeStanding::Won),
            ("something new", DisputeStanding::Open),
        ];
        for (code, expected) in cases {
            assert_eq!(standing("RESOLVED", Some(code)), expected, "{code}");
            assert_eq!(standing("UNDER_REVIEW", Some(code)), DisputeStanding::Open, "{code}");
        }
    }

    #[test]
    fn an_account_is_shown_by_as_little_as_its_owner_needs() {
        assert_eq!(masked("billing@acme.example").as_deref(), Some("b…@acme.example"));
        assert_eq!(
            [masked(""), masked("@acme.example"), masked("billing"), masked("billing@")],
            [None, None, None, None]
        );
    }
}
