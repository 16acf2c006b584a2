//! What a decline by PayPal means.
//!
//! Of a wallet PayPal says one issue and no more: which card behind it said no
//! is the wallet's secret. Cards speak in the processor's numbers.
//! <https://developer.paypal.com/api/rest/reference/orders/v2/errors/>

use super::wire::{Processor, Refused};
use billing::outcome::{Decline, Outcome, Remedy};
use billing::payment::{Collection, Payment};
use billing::ports::GatewayError;
use http::StatusCode;

/// What a refusal to take money means. PayPal has looked at a request that is
/// unprocessable, and took nothing: a reason that nobody told us of is ours to
/// look into. A name that was paid under before is no decline: somebody was charged.
pub(super) fn refusal(payment: &Payment, status: StatusCode, refused: &Refused) -> Result<Outcome, GatewayError> {
    let issue = refused.issue();
    let unheard_of = (status == StatusCode::UNPROCESSABLE_ENTITY).then_some(Remedy::OurFault);
    let remedy = by_issue(issue, &payment.collection).or(unheard_of);
    match remedy.filter(|_| issue != "DUPLICATE_INVOICE_ID") {
        Some(remedy) => {
            let link = refused.way_out().filter(|_| remedy == Remedy::AskCustomer);
            Ok(Outcome::Declined(Decline { link, ..Decline::new(issue, remedy) }))
        }
        None => Err(refused.rejected()),
    }
}

/// What helps after a refusal for `issue`. None: it is not about the method or the account.
fn by_issue(issue: &str, collection: &Collection) -> Option<Remedy> {
    Some(match (issue, collection) {
        ("INSTRUMENT_DECLINED", Collection::Checkout { .. }) => Remedy::AskCustomer,
        // With nobody there the wallet picks another source the next time, if it has one.
        ("INSTRUMENT_DECLINED" | "TRANSACTION_REFUSED", _) => Remedy::FewTries,
        ("PAYER_ACTION_REQUIRED" | "REDIRECT_PAYER_FOR_ALTERNATE_FUNDING", _) => Remedy::AskCustomer,
        ("TRANSACTION_LIMIT_EXCEEDED", _) => Remedy::RetryLater,
        (
            "TOKEN_ID_NOT_FOUND"
            | "MISMATCHED_VAULT_ID_TO_PAYMENT_SOURCE"
            | "AGREEMENT_ALREADY_CANCELLED"
            | "BILLING_AGREEMENT_NOT_FOUND"
            | "PAYER_ACCOUNT_RESTRICTED"
            | "PAYER_ACCOUNT_LOCKED_OR_CLOSED"
            | "PAYER_CANNOT_PAY"
            | "REFERENCED_CARD_EXPIRED"
            | "COMPLIANCE_VIOLATION",
            _,
        ) => Remedy::NewMethod,
        ("PERMISSION_DENIED" | "NOT_AUTHORIZED" | "MAX_NUMBER_OF_PAYMENT_ATTEMPTS_EXCEEDED", _) => Remedy::OurFault,
        (issue, _) if OURS.iter().any(|start| issue.starts_with(start)) => Remedy::OurFault,
        _ => return None,
    })
}

const OURS: [&str; 4] = ["PAYEE_", "CURRENCY_NOT_SUPPORTED", "NOT_ENABLED_", "TRANSACTION_RECEIVING_LIMIT_EXCEEDED"];

/// A charge that was attempted, and that the bank behind the card declined.
pub(super) fn capture(processor: &Processor, reason: Option<&str>) -> Decline {
    let code = processor.response_code.as_deref().or(reason).unwrap_or("declined");
    let remedy = by_response(code);
    let advised = processor.payment_advice_code.as_deref().and_then(by_advice);
    let (remedy, wait_h) = match advised {
        Some((advised, wait_h)) if remedy != Remedy::NewMethod => (advised, wait_h),
        Some(_) | None => (remedy, None),
    };
    Decline { wait_h, ..Decline::new(code, remedy) }
}

fn by_response(code: &str) -> Remedy {
    match code {
        "5650" | "7700" | "7710" => Remedy::AskCustomer,
        "0390" | "1330" | "1352" | "5140" | "5150" | "5180" | "5400" | "5910" | "5950" | "9500" | "9510" | "9520"
        | "9540" => Remedy::NewMethod,
        "0500" | "5100" => Remedy::FewTries, // no reason given
        _ => Remedy::RetryLater,
    }
}

/// The card networks' advice, and the hours they want to pass. None: it says nothing of when.
fn by_advice(advice: &str) -> Option<(Remedy, Option<u16>)> {
    Some(match advice {
        "01" | "03" | "21" => (Remedy::NewMethod, None),
        // Of one network it means three days, of the other not this payment again: once more, and late.
        "02" => (Remedy::FewTries, Some(72)),
        "24" => (Remedy::RetryLater, Some(1)),
        "25" => (Remedy::RetryLater, Some(24)),
        "26" => (Remedy::RetryLater, Some(48)),
        "27" => (Remedy::RetryLater, Some(96)),
        "28" => (Remedy::RetryLater, Some(144)),
        "29" => (Remedy::RetryLater, Some(192)),
        "30" => (Remedy::RetryLater, Some(240)),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use billing::testing::{checkout_payment, off_session_payment};
    use serde_json::{Value, json};

    fn refused(body: Value) -> Refused {
        serde_json::from_value(body).unwrap_or_else(|error| panic!("{error}"))
    }

    fn declined(payment: &Payment, status: u16, body: Value) -> Option<Decline> {
        let status = StatusCode::from_u16(status).unwrap_or_default();
        match refusal(payment, status, &refused(body)) {
            Ok(Outcome::Declined(decline)) => Some(decline),
            Ok(Outcome::Pending(_) | Outcome::Succeeded { .. } | Outcome::Expired) | Err(_) => None,
        }
    }

    #[test]
    fn a_refusal_on_the_page_tells_the_way_back_to_it() {
        let body = json!({"name": "UNPROCESSABLE_ENTITY", "details": [{"issue": "INSTRUMENT_DECLINED"}], "links": [
            {"rel": "information_link", "href": "https://developer.paypal.com/"},
            {"rel": "redirect", "href": "https://www.sandbox.paypal.com/checkoutnow?token=5O1"}]});
        let on_page = declined(&checkout_payment(), 422, body.clone());
        let expected = Some("https://www.sandbox.paypal.com/checkoutnow?token=5O1".to_owned());
        assert!(on_page.is_some_and(|it| it.remedy == Remedy::AskCustomer && it.link == expected));
        let away = declined(&off_session_payment(), 422, body);
        assert!(away.is_some_and(|it| it.remedy == Remedy::FewTries && it.link.is_none()));
    }

    #[test]
    fn only_what_took_nothing_for_certain_is_a_decline() {
        let payment = off_session_payment();
        let with = |issue: &str| json!({"name": "SOME_NAME", "details": [{ "issue": issue }], "debug_id": "f1"});
        let remedy = |status, body| declined(&payment, status, body).map(|decline| decline.remedy);
        assert_eq!(remedy(422, with("SOMETHING_NEW")), Some(Remedy::OurFault));
        assert_eq!(remedy(403, json!({"name": "NOT_AUTHORIZED"})), Some(Remedy::OurFault));
        assert_eq!(remedy(422, with("DUPLICATE_INVOICE_ID")), None);
        assert_eq!(remedy(400, with("MISSING_REQUIRED_PARAMETER")), None);
        assert_eq!(remedy(401, json!({"error": "invalid_token"})), None);
        assert!(refused(with("X")).rejected().to_string().ends_with("X (debug id f1)"));
    }

    #[test]
    fn an_issue_is_the_customers_the_methods_or_ours_to_mend() {
        let cases = [
            ("INSTRUMENT_DECLINED", Some(Remedy::FewTries)),
            ("TRANSACTION_REFUSED", Some(Remedy::FewTries)),
            ("PAYER_ACTION_REQUIRED", Some(Remedy::AskCustomer)),
            ("TRANSACTION_LIMIT_EXCEEDED", Some(Remedy::RetryLater)),
            ("TOKEN_ID_NOT_FOUND", Some(Remedy::NewMethod)),
            ("PAYER_ACCOUNT_RESTRICTED", Some(Remedy::NewMethod)),
            ("PAYEE_ACCOUNT_RESTRICTED", Some(Remedy::OurFault)),
            ("CURRENCY_NOT_SUPPORTED_FOR_RECEIVER", Some(Remedy::OurFault)),
            ("PERMISSION_DENIED", Some(Remedy::OurFault)),
            ("DUPLICATE_INVOICE_ID", None),
            ("INVALID_REQUEST", None),
        ];
        for (issue, expected) in cases {
            assert_eq!(by_issue(issue, &off_session_payment().collection), expected, "{issue}");
        }
        let on_page = by_issue("INSTRUMENT_DECLINED", &checkout_payment().collection);
        assert_eq!(on_page, Some(Remedy::AskCustomer));
    }

    #[test]
    fn advice_counts_unless_the_method_is_dead_anyway() {
        let read = |code: &str, advice: Option<&str>| {
            let response_code = Some(code.to_owned());
            let decline = capture(&Processor { response_code, payment_advice_code: advice.map(str::to_owned) }, None);
            (decline.remedy, decline.wait_h)
        };
        let cases = [
            ("5120", None, (Remedy::RetryLater, None)),
            ("0500", None, (Remedy::FewTries, None)),
            ("5400", None, (Remedy::NewMethod, None)),
            ("5650", None, (Remedy::AskCustomer, None)),
            ("5120", Some("03"), (Remedy::NewMethod, None)),
            ("5120", Some("27"), (Remedy::RetryLater, Some(96))),
            ("5120", Some("02"), (Remedy::FewTries, Some(72))),
            ("5400", Some("24"), (Remedy::NewMethod, None)),
            ("5120", Some("40"), (Remedy::RetryLater, None)),
        ];
        for (code, advice, expected) in cases {
            assert_eq!(read(code, advice), expected, "{code} {advice:?}");
        }
    }
}
