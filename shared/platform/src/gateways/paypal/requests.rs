//! What PayPal is asked for: payments and setups in its words.

use super::amounts::Amount;
use crate::gateways::coming_back;
use billing::payment::{Payer, Payment, Refund};
use billing::ports::GatewayError;
use billing::wallet::Method;
use serde_json::{Value, json};

/// PayPal's longest description.
const LONGEST_TEXT: usize = 127;

/// What the saved method is for, at its making and with each charge.
const USAGE: &str = "RECURRING_PREPAID";

/// An order that the customer approves, and with which they leave their account for later charges.
pub(super) fn order(payment: &Payment, name: &str, payer: &Payer, url: &str) -> Result<Value, GatewayError> {
    let mut experience = experience(payment, url);
    experience["user_action"] = json!("PAY_NOW");
    experience["payment_method_preference"] = json!("IMMEDIATE_PAYMENT_REQUIRED");
    let mut attributes =
        json!({"vault": {"store_in_vault": "ON_SUCCESS", "usage_type": "MERCHANT", "usage_pattern": USAGE}});
    if let Some(known) = &payer.known_as {
        attributes["customer"] = json!({ "id": known });
    }
    let mut unit = unit(payment)?;
    unit["description"] = name.chars().take(LONGEST_TEXT).collect::<String>().into();
    Ok(json!({
        "intent": "CAPTURE",
        "purchase_units": [unit],
        "payment_source": {"paypal": {"attributes": attributes, "experience_context": experience}},
    }))
}

/// An order that is created, approved and captured in one step, with nobody there.
pub(super) fn charge(payment: &Payment, method: &Method) -> Result<Value, GatewayError> {
    let stored = json!({"payment_initiator": "MERCHANT", "usage": "SUBSEQUENT", "usage_pattern": USAGE});
    Ok(json!({
        "intent": "CAPTURE",
        "purchase_units": [unit(payment)?],
        "payment_source": {"paypal": {"vault_id": method.token, "stored_credential": stored}},
    }))
}

/// An account that the customer leaves without buying.
pub(super) fn setup(payment: &Payment, payer: &Payer, url: &str) -> Value {
    let experience = experience(payment, url);
    let mut body = json!({"payment_source": {"paypal": {"usage_type": "MERCHANT", "experience_context": experience}}});
    if let Some(known) = &payer.known_as {
        body["customer"] = json!({ "id": known });
    }
    body
}

/// A payment token for what the customer approved.
pub(super) fn saved(setup_token: &str) -> Value {
    json!({"payment_source": {"token": {"id": setup_token, "type": "SETUP_TOKEN"}}})
}

/// Named twice: by its own name, and by the payment's, to which its webhook is to lead.
pub(super) fn refund(payment: &Payment, refund: &Refund) -> Result<Value, GatewayError> {
    Ok(json!({
        "amount": Amount::of(refund.amount)?,
        "invoice_id": payment.refund_reference(refund),
        "custom_id": payment.reference,
    }))
}

fn unit(payment: &Payment) -> Result<Value, GatewayError> {
    let (amount, reference) = (Amount::of(payment.amount)?, &payment.reference);
    Ok(json!({"amount": amount, "custom_id": reference, "invoice_id": reference}))
}

fn experience(payment: &Payment, url: &str) -> Value {
    let back = coming_back(url, payment);
    json!({"return_url": back, "cancel_url": back, "shipping_preference": "NO_SHIPPING"})
}

#[cfg(test)]
mod tests {
    use super::*;
    use billing::money::{Currency, Money};
    use billing::testing::{checkout_payment, method_at, off_session_payment};

    fn payer(known_as: Option<&str>) -> Payer {
        Payer { email: None, known_as: known_as.map(str::to_owned), holder: None }
    }

    fn in_dollars(payment: Payment) -> Payment {
        let usd = Currency::from_code("USD").unwrap_or(payment.amount.currency);
        Payment { amount: Money::new(1_399, usd), ..payment }
    }

    fn made<T>(request: Result<T, GatewayError>) -> T {
        request.unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn an_order_names_the_payment_and_asks_for_the_account_to_be_kept() {
        let payment = in_dollars(checkout_payment());
        let body = made(order(&payment, &"é".repeat(200), &payer(Some("XsSH")), "https://app.example.com/?a=1"));
        let (unit, paypal) = (&body["purchase_units"][0], &body["payment_source"]["paypal"]);
        assert_eq!((&unit["custom_id"], &unit["invoice_id"]), (&json!(payment.reference), &json!(payment.reference)));
        assert_eq!(unit["amount"], json!({"currency_code": "USD", "value": "13.99"}));
        assert_eq!(unit["description"], json!("é".repeat(127)));
        assert_eq!(paypal["attributes"]["customer"]["id"], "XsSH");
        assert_eq!(paypal["attributes"]["vault"]["usage_type"], "MERCHANT");
        let back = format!("https://app.example.com/?a=1&payment={}", payment.id);
        let urls = &paypal["experience_context"];
        assert_eq!((&urls["return_url"], &urls["cancel_url"]), (&json!(back), &json!(back)));
    }

    #[test]
    fn a_charge_says_that_nobody_is_there() {
        let payment = in_dollars(off_session_payment());
        let body = made(charge(&payment, &method_at(payment.gateway, "8kk8451t")));
        let paypal = &body["payment_source"]["paypal"];
        assert_eq!((&paypal["vault_id"], &paypal["experience_context"]), (&json!("8kk8451t"), &Value::Null));
        assert_eq!(paypal["stored_credential"]["payment_initiator"], "MERCHANT");
    }

    #[test]
    fn a_setup_asks_for_no_money_and_names_a_payer_only_if_known() {
        let (new, known) = (payer(None), payer(Some("XsSH")));
        let body = |payer| setup(&checkout_payment(), payer, "https://app.example.com/");
        assert_eq!((&body(&new)["customer"], &body(&new)["purchase_units"]), (&Value::Null, &Value::Null));
        assert_eq!(body(&known)["customer"]["id"], "XsSH");
    }
}
