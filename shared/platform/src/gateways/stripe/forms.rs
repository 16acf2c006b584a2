//! What Stripe is sent: form fields, in its units.

use billing::money::Money;
use billing::outcome::Receipt;
use billing::payment::{Payer, Payment, Refund, RefundReason};
use billing::ports::GatewayError;
use billing::wallet::Method;
use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

/// Form fields, as `a[b]=c`.
pub(super) type Form = Vec<(&'static str, String)>;

/// Stripe counts some currencies in other units than ISO 4217 does; those are
/// refused rather than guessed. Three-decimal amounts must end in 0.
pub(super) fn chargeable(amount: Money) -> Result<(), GatewayError> {
    let unacceptable = |field, problem: String| Err(GatewayError::Unacceptable { field, problem });
    let currency = amount.currency;
    match (currency.code(), currency.exponent()) {
        ("UGX" | "ISK" | "MGA", _) => unacceptable("currency", format!("{currency} cannot be charged through Stripe")),
        (_, 3) if amount.minor % 10 != 0 => {
            unacceptable("plan", format!("Stripe takes {currency} only to two decimals"))
        }
        _ if amount.minor > 99_999_999 => unacceptable("quantity", "is more than Stripe charges at once".to_owned()),
        _ => Ok(()),
    }
}

/// A customer, and the key to make one of them only.
pub(super) fn customer(payment: &Payment, payer: &Payer) -> (String, Form) {
    let mut form = vec![("metadata[customer]", payment.customer.to_string())];
    form.extend(payer.email.clone().map(|email| ("email", email)));
    // Another e-mail is another request, and may not come under the same key.
    let digest = Sha256::digest(form.iter().map(|(_, value)| value.as_str()).collect::<Vec<_>>().join("|"));
    (format!("customer-{}", HEXLOWER.encode(&digest)), form)
}

fn intent(payment: &Payment, customer: String) -> Form {
    vec![
        ("amount", payment.amount.minor.to_string()),
        ("currency", payment.amount.currency.code().to_ascii_lowercase()),
        ("customer", customer),
        ("metadata[reference]", payment.reference.to_string()),
    ]
}

/// An intent that the SaaS's own page confirms.
pub(super) fn paid_by_script(payment: &Payment, customer: String) -> Form {
    let mut form = intent(payment, customer);
    form.push(("setup_future_usage", "off_session".to_owned()));
    form.push(("allowed_payment_method_types[0]", "card".to_owned()));
    form
}

/// An intent that is paid at once, with nobody there.
pub(super) fn off_session(payment: &Payment, method: &Method) -> Form {
    let mut form = intent(payment, method.payer.clone());
    form.push(("payment_method", method.token.clone()));
    form.push(("off_session", "true".to_owned()));
    form.push(("confirm", "true".to_owned()));
    form
}

/// A page to pay on.
pub(super) fn session(payment: &Payment, name: &str, customer: String, back: &str) -> Form {
    let mut form = page("payment", payment, customer, back);
    form.extend([
        ("line_items[0][quantity]", "1".to_owned()),
        ("line_items[0][price_data][currency]", payment.amount.currency.code().to_ascii_lowercase()),
        ("line_items[0][price_data][unit_amount]", payment.amount.minor.to_string()),
        ("line_items[0][price_data][product_data][name]", name.to_owned()),
        ("payment_intent_data[setup_future_usage]", "off_session".to_owned()),
        // Stripe does not copy a session's metadata to its intent.
        ("payment_intent_data[metadata][reference]", payment.reference.to_string()),
    ]);
    form
}

/// A page to leave a card on.
pub(super) fn setup_session(payment: &Payment, customer: String, back: &str) -> Form {
    let mut form = page("setup", payment, customer, back);
    form.push(("setup_intent_data[metadata][reference]", payment.reference.to_string()));
    form
}

fn page(mode: &str, payment: &Payment, customer: String, back: &str) -> Form {
    vec![
        ("mode", mode.to_owned()),
        ("customer", customer),
        ("client_reference_id", payment.reference.to_string()),
        ("metadata[reference]", payment.reference.to_string()),
        // Cards only: what cannot be charged again off-session would end with its first period.
        ("allowed_payment_method_types[0]", "card".to_owned()),
        ("success_url", back.to_owned()),
        ("cancel_url", back.to_owned()),
    ]
}

/// `name`: what the refund goes by, and is found by when its key is forgotten.
pub(super) fn refund(payment: &Payment, receipt: &Receipt, refund: &Refund, name: &str) -> Form {
    let mut form = vec![
        ("payment_intent", receipt.id.clone()),
        ("amount", refund.amount.minor.to_string()),
        ("metadata[reference]", payment.reference.to_string()),
        ("metadata[refund]", name.to_owned()),
    ];
    let reason = match refund.reason {
        RefundReason::RequestedByCustomer => Some("requested_by_customer"),
        RefundReason::Duplicate => Some("duplicate"),
        RefundReason::Fraudulent => Some("fraudulent"),
        RefundReason::NotOwed | RefundReason::Other => None,
    };
    form.extend(reason.map(|reason| ("reason", reason.to_owned())));
    form
}
