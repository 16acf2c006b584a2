//! What became of a payment. By our reference nothing can be looked up: there is
//! what was opened, what was captured, or what a delivery named; and whatever is
//! found must say itself that it is this payment's.

use super::wire::{Capture, Disputes, Order, PaymentToken, SetupToken, is_id};
use super::{PayPal, declines, requests};
use billing::money::Money;
use billing::outcome::{Aftermath, Dispute, Outcome, Receipt, Sighting, Stage};
use billing::payment::{Collection, Paid, Payment};
use billing::ports::GatewayError;
use billing::wallet::Method;

impl PayPal {
    pub(in crate::gateways) async fn find(
        &self,
        payment: &Payment,
        object: Option<&str>,
    ) -> Result<Sighting, GatewayError> {
        let object = object.filter(|id| is_id(id));
        if let Some(paid) = payment.paid() {
            return self.look_back(payment, paid, object).await;
        }
        match (&payment.collection, payment.opened(), object) {
            (Collection::Checkout { .. }, Some(opened), _) if payment.is_setup() => {
                self.find_setup(payment, &opened.id).await
            }
            (Collection::Checkout { .. }, Some(opened), _) => self.find_order(payment, &opened.id, object).await,
            // Whatever was opened, nobody was told where: it cannot have been paid.
            (Collection::Checkout { .. }, None, _) => Ok(Sighting::NeverHeard),
            (Collection::OffSession { .. }, _, Some(object)) => self.find_object(payment, object).await,
            (Collection::OffSession { .. }, _, None) | (Collection::Transfer(_), ..) => Ok(Sighting::CannotTell),
        }
    }

    async fn find_order(&self, payment: &Payment, id: &str, object: Option<&str>) -> Result<Sighting, GatewayError> {
        let order: Option<Order> = self.get(&format!("/v2/checkout/orders/{id}")).await?;
        Ok(Sighting::Known(match order {
            // PayPal shows no order that was not captured in time.
            None => Outcome::Expired,
            Some(order) if order.is_capturable() && payment.is_payable() => self.capture(payment, &order).await?,
            Some(order) => match order.outcome(payment) {
                Outcome::Succeeded { receipt, aftermath, method: None } => {
                    let method = self.saved(&order, object).await?;
                    Outcome::Succeeded { receipt, aftermath, method }
                }
                other @ (Outcome::Succeeded { .. } | Outcome::Pending(_) | Outcome::Declined(_) | Outcome::Expired) => {
                    other
                }
            },
        }))
    }

    /// The account that was left with `order`: as the order tells, or as the token does that a delivery named.
    async fn saved(&self, order: &Order, object: Option<&str>) -> Result<Option<Method>, GatewayError> {
        let known = [Some(order.id.as_str()), order.capture().map(|capture| capture.id.as_str())];
        match (order.method(), object.filter(|object| !known.contains(&Some(object)))) {
            (None, Some(object)) => {
                let token: Option<PaymentToken> = self.get(&format!("/v3/vault/payment-tokens/{object}")).await?;
                Ok(token.filter(|token| order.was_paid_from(token)).map(PaymentToken::method))
            }
            (method, _) => Ok(method),
        }
    }

    /// Whatever a delivery was about, if it is this payment's.
    async fn find_object(&self, payment: &Payment, id: &str) -> Result<Sighting, GatewayError> {
        let order: Option<Order> = self.get(&format!("/v2/checkout/orders/{id}")).await?;
        if let Some(order) = order {
            return Ok(match order.is_of(payment) {
                true if order.is_capturable() && payment.is_payable() => {
                    Sighting::Known(self.capture(payment, &order).await?)
                }
                true => Sighting::Known(order.outcome(payment)),
                false => Sighting::CannotTell,
            });
        }
        let capture: Option<Capture> = self.get(&format!("/v2/payments/captures/{id}")).await?;
        let ours = |capture: &Capture| capture.custom_id.as_deref() == Some(payment.reference.as_str());
        let Some(capture) = capture.filter(ours) else { return Ok(Sighting::CannotTell) };
        let order = if capture.gave_back_a_part() { self.order_of(&capture).await? } else { None };
        let returned = capture.returned(order.as_ref());
        Ok(Sighting::Known(capture.outcome(returned, payment.charged_method().cloned())))
    }

    /// The account that the customer approved becomes a method when we ask for it, and not before.
    async fn find_setup(&self, payment: &Payment, id: &str) -> Result<Sighting, GatewayError> {
        let setup: Option<SetupToken> = self.get(&format!("/v3/vault/setup-tokens/{id}")).await?;
        let Some(setup) = setup else { return Ok(Sighting::Known(Outcome::Expired)) };
        // Anything after APPROVED: we asked before, and did not hear.
        let approved = matches!(setup.status.as_deref(), Some("APPROVED" | "VAULTED" | "TOKENIZED"));
        if !approved || !payment.is_payable() {
            return Ok(Sighting::Known(Outcome::Pending(Stage::Pending)));
        }
        let key = format!("{}t", payment.reference);
        let answer = self.post("/v3/vault/payment-tokens", &key, &requests::saved(&setup.id)).await?;
        if !answer.status.is_success() {
            return Ok(Sighting::Known(declines::refusal(payment, answer.status, &answer.read()?)?));
        }
        let receipt = Receipt { id: setup.id, amount: Money { minor: 0, ..payment.amount } };
        let method = Some(answer.read::<PaymentToken>()?.method());
        Ok(Sighting::Known(Outcome::Succeeded { receipt, aftermath: Aftermath::default(), method }))
    }

    /// What became of money that was taken.
    async fn look_back(&self, payment: &Payment, paid: &Paid, object: Option<&str>) -> Result<Sighting, GatewayError> {
        if payment.is_setup() {
            let (receipt, aftermath) = (paid.receipt.clone(), paid.aftermath.clone());
            return Ok(Sighting::Known(Outcome::Succeeded { receipt, aftermath, method: None }));
        }
        let capture: Option<Capture> = self.get(&format!("/v2/payments/captures/{}", paid.receipt.id)).await?;
        let Some(capture) = capture else { return Ok(Sighting::CannotTell) };
        // The order knows the parts that went back, and the account that was left, which PayPal may save days later.
        let order = match capture.gave_back_a_part() || !paid.method_known {
            true => self.order_of(&capture).await?,
            false => None,
        };
        let returned = capture.returned(order.as_ref()).or(Some(paid.aftermath.returned));
        let method = match &order {
            Some(order) if !paid.method_known => self.saved(order, object).await?,
            Some(_) | None => None,
        };
        Ok(Sighting::Known(match capture.outcome(returned, method) {
            Outcome::Succeeded { receipt, aftermath, method } => {
                let aftermath = Aftermath { dispute: self.dispute(&capture.id, paid).await?, ..aftermath };
                Outcome::Succeeded { receipt, aftermath, method }
            }
            other @ (Outcome::Pending(_) | Outcome::Declined(_) | Outcome::Expired) => other,
        }))
    }

    /// The dispute that still is open, else the newest.
    async fn dispute(&self, capture: &str, paid: &Paid) -> Result<Option<Dispute>, GatewayError> {
        let path = format!("/v1/customer/disputes?disputed_transaction_id={capture}");
        let mut items = match self.get::<Disputes>(&path).await {
            Ok(disputes) => disputes.map(|disputes| disputes.items).unwrap_or_default(),
            // An app may see payments and not disputes: then what a delivery led to stands.
            Err(GatewayError::Rejected(reason)) => {
                tracing::warn!("PayPal shows no disputes: {reason}");
                return Ok(paid.aftermath.dispute.clone());
            }
            Err(error) => return Err(error),
        };
        let at = items.iter().position(|dispute| !dispute.is_resolved()).unwrap_or_default();
        if items.is_empty() {
            return Ok(None);
        }
        let found = items.swap_remove(at);
        if found.is_resolved() && found.dispute_outcome.is_none() {
            let whole = self.get(&format!("/v1/customer/disputes/{}", found.dispute_id)).await?;
            return Ok(Some(whole.unwrap_or(found).told()));
        }
        Ok(Some(found.told()))
    }
}
