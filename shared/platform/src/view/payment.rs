//! A payment: how it is paid, how it ended, and what became of the money since.

use billing::outcome::{Decline, Dispute};
use billing::payment::{Address, Collection, Paid, Payment, PaymentStatus, Refund, RefundStatus};
use serde_json::{Value, json};

pub fn payment(payment: &Payment) -> Value {
    let (method, at) = match &payment.collection {
        Collection::OffSession { .. } => (json!("saved"), None),
        Collection::Transfer(_) => (json!("transfer"), None),
        Collection::Checkout { method, opened, .. } => (json!(method), opened.as_ref().map(|opened| &opened.at)),
    };
    let (url, secret, account) = match at {
        Some(Address::CheckoutUrl(url)) => (Some(url), None, None),
        Some(Address::ClientSecret(secret)) => (None, Some(secret), None),
        Some(Address::BankAccount(account)) => (None, None, Some(account)),
        None => (None, None, None),
    };
    let (status, declined) = match &payment.status {
        PaymentStatus::Pending { stage, .. } => (json!(stage), None),
        PaymentStatus::Failed { decline, .. } => (json!("failed"), Some(decline)),
        PaymentStatus::Expired { .. } => (json!("expired"), None),
        PaymentStatus::Unresolved { .. } => (json!("unresolved"), None),
        PaymentStatus::Paid(paid) => (json!(paid.standing()), None),
    };
    let (bought, paid) = (payment.bought.as_ref(), payment.paid());
    json!({
        "id": payment.id, "kind": kind(payment), "status": status, "amount": payment.amount, "gateway": payment.gateway,
        "method": method,
        "plan": bought.map(|it| &it.plan), "interval": bought.map(|it| it.interval),
        "quantity": bought.map(|it| it.quantity),
        "usage_charges": bought.map_or(Value::Null, |it| super::subscription::usage_charges(&it.usage_charges)),
        "reference": payment.reference, "checkout_url": url, "client_secret": secret, "bank_account": account,
        "decline": declined.map(decline), "refunded": paid.and_then(refunded),
        "refunds": paid.map(|paid| &*paid.refunds).unwrap_or_default().iter().map(refund).collect::<Vec<_>>(),
        "dispute": paid.and_then(Paid::dispute).map(dispute),
        "created_at": payment.created_at, "paid_at": paid.map(|paid| paid.at),
    })
}

/// What the payment is for.
fn kind(payment: &Payment) -> &'static str {
    match (&payment.collection, &payment.bought) {
        (Collection::Transfer(_), _) => "transfer",
        (Collection::Checkout { .. } | Collection::OffSession { .. }, Some(_)) => "subscription",
        (Collection::Checkout { .. } | Collection::OffSession { .. }, None) => "payment_method",
    }
}

fn decline(it: &Decline) -> Value {
    json!({ "code": it.code, "remedy": it.remedy, "link": it.link })
}

/// What went back, whoever sent it.
fn refunded(paid: &Paid) -> Option<Value> {
    let amount = paid.receipt.amount;
    (paid.gone() > 0).then(|| json!({ "minor": paid.gone(), "currency": amount.currency }))
}

fn refund(it: &Refund) -> Value {
    let (status, code, ended_at) = match &it.status {
        RefundStatus::Due { .. } => ("due", None, None),
        RefundStatus::Done { at, .. } => ("done", None, Some(at)),
        RefundStatus::Failed { code, at } => ("failed", Some(code), Some(at)),
    };
    json!({
        "number": it.number, "amount": it.amount, "reason": it.reason, "status": status, "code": code,
        "asked_at": it.asked_at, "ended_at": ended_at,
    })
}

fn dispute(it: &Dispute) -> Value {
    json!({ "status": it.standing, "reason": it.reason })
}

#[cfg(test)]
mod tests {
    use super::*;
    use billing::outcome::{Aftermath, DisputeStanding, Outcome, Receipt, Remedy};
    use billing::payment::{BankAccount, Opened, RefundReason};
    use billing::testing::{checkout_payment, instant, off_session_payment};

    fn settled(payment: Payment, outcome: Outcome) -> Payment {
        let settled = payment.settle(outcome, instant("2025-02-28T10:00:00Z"));
        settled.map_or_else(|| panic!("nothing new"), |(payment, _)| payment)
    }

    fn paid(aftermath: Aftermath) -> Payment {
        let payment = off_session_payment();
        let receipt = Receipt { id: "7".to_owned(), amount: payment.amount };
        settled(payment, Outcome::Succeeded { receipt, aftermath, method: None })
    }

    #[test]
    fn what_does_not_apply_is_null() {
        let view = payment(&checkout_payment());
        for part in ["checkout_url", "client_secret", "bank_account", "decline", "refunded", "dispute", "paid_at"] {
            assert_eq!(view.get(part), Some(&Value::Null), "{part}");
        }
        assert_eq!((&view["status"], &view["plan"]), (&json!("pending"), &json!("estates-professional")));
        let setup = payment(&Payment { bought: None, ..checkout_payment() });
        assert_eq!(
            (&setup["plan"], &setup["interval"], &setup["quantity"]),
            (&Value::Null, &Value::Null, &Value::Null)
        );
    }

    #[test]
    fn a_decline_says_what_helps_and_where() {
        let link = Some("https://checkout.paystack.com/1".to_owned());
        let declined = Decline { link, ..Decline::new("paused", Remedy::AskCustomer) };
        let view = payment(&settled(off_session_payment(), Outcome::Declined(declined)));
        let expected = json!({"code": "paused", "remedy": "ask_customer", "link": "https://checkout.paystack.com/1"});
        assert_eq!((&view["status"], &view["decline"]), (&json!("failed"), &expected));
    }

    #[test]
    fn what_went_back_and_what_is_promised_are_told_apart() {
        let part = Aftermath { returned: 100, dispute: None };
        let mut partly = paid(part);
        let view = payment(&partly);
        assert_eq!((&view["status"], &view["refunded"]["minor"]), (&json!("partially_refunded"), &json!(100)));
        let PaymentStatus::Paid(paid) = &mut partly.status else { panic!("paid") };
        let at = instant("2025-03-01T10:00:00Z");
        let (amount, status) = (paid.receipt.amount, RefundStatus::Due { check_at: at, tries: 0 });
        let reason = RefundReason::RequestedByCustomer;
        paid.refunds.push(Refund { number: 1, amount, reason, asked_at: at, status });
        let view = payment(&partly);
        assert_eq!((&view["status"], &view["refunded"]["minor"]), (&json!("refund_due"), &json!(100)));
        let refund = &view["refunds"][0];
        assert_eq!(
            (&refund["number"], &refund["status"], &refund["ended_at"]),
            (&json!(1), &json!("due"), &Value::Null)
        );
    }

    #[test]
    fn a_dispute_is_shown_with_its_reason() {
        let (id, reason) = ("dp_1".to_owned(), "fraudulent".to_owned());
        let dispute = Some(Dispute { id, reason, standing: DisputeStanding::Open });
        let view = payment(&paid(Aftermath { returned: 0, dispute }));
        assert_eq!(view["status"], "disputed");
        assert_eq!(view["dispute"], json!({"status": "open", "reason": "fraudulent"}));
    }

    #[test]
    fn a_transfer_says_which_account_to_pay_into() {
        let mut transfer = checkout_payment();
        let Collection::Checkout { opened, .. } = &mut transfer.collection else { panic!("a checkout") };
        let account = BankAccount {
            account_number: "1230001644".to_owned(),
            account_name: "PAYSTACK CHECKOUT".to_owned(),
            bank_name: "Demo Bank".to_owned(),
            bank_id: "1".to_owned(),
            expires_at: None,
        };
        *opened = Some(Opened { id: "r1".to_owned(), at: Address::BankAccount(account) });
        assert_eq!(payment(&transfer)["bank_account"]["account_number"], "1230001644");
    }
}
