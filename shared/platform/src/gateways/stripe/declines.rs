//! What a decline by Stripe means. <https://docs.stripe.com/declines/codes>

use super::WireError;
use billing::outcome::{Decline, Remedy};

/// Stripe's advice first, then the issuer's code. A code nobody told us of is
/// tried again, a few times.
pub(super) fn decline(error: &WireError) -> Decline {
    let code = error.decline_code.as_ref().or(error.code.as_ref());
    let code = code.map_or_else(|| "generic_decline".to_owned(), Clone::clone);
    let remedy = match (error.advice_code.as_deref(), code.as_str()) {
        (_, "authentication_required") => Remedy::AskCustomer,
        (Some("do_not_try_again"), _) => Remedy::NewMethod,
        (Some("confirm_card_data"), _) => Remedy::AskCustomer,
        (Some("try_again_later"), _) => Remedy::RetryLater,
        (_, "incorrect_zip") => Remedy::AskCustomer,
        (_, code) if NEVER_AGAIN.contains(&code) => Remedy::NewMethod,
        _ => Remedy::RetryLater,
    };
    Decline { code, remedy }
}

/// Stripe's own list of what is not to be retried without a new method, and
/// those where nothing but a new method can help.
const NEVER_AGAIN: [&str; 29] = [
    "incorrect_number",
    "lost_card",
    "pickup_card",
    "stolen_card",
    "revocation_of_authorization",
    "revocation_of_all_authorizations",
    "highest_risk_level",
    "transaction_not_allowed",
    "expired_card",
    "invalid_account",
    "invalid_cvc",
    "incorrect_cvc",
    "invalid_expiry_year",
    "invalid_expiry_month",
    "invalid_number",
    "card_not_supported",
    "currency_not_supported",
    "fraudulent",
    "merchant_blacklist",
    "restricted_card",
    "security_violation",
    "stop_payment_order",
    "not_permitted",
    "service_not_allowed",
    "new_account_information_available",
    "pin_try_exceeded",
    "testmode_decline",
    "live_mode_test_card",
    "previously_declined_do_not_retry",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn remedy(advice: Option<&str>, code: &str) -> Remedy {
        let advice_code = advice.map(str::to_owned);
        decline(&WireError { decline_code: Some(code.to_owned()), advice_code, ..WireError::default() }).remedy
    }

    #[test]
    fn codes_are_hard_soft_or_the_customers_to_mend() {
        let cases = [
            ("insufficient_funds", Remedy::RetryLater),
            ("do_not_honor", Remedy::RetryLater),
            ("processing_error", Remedy::RetryLater),
            ("something_new", Remedy::RetryLater),
            ("lost_card", Remedy::NewMethod),
            ("expired_card", Remedy::NewMethod),
            ("transaction_not_allowed", Remedy::NewMethod),
            ("authentication_required", Remedy::AskCustomer),
            ("incorrect_zip", Remedy::AskCustomer),
        ];
        for (code, expected) in cases {
            assert_eq!(remedy(None, code), expected, "{code}");
        }
    }

    #[test]
    fn advice_outranks_the_code() {
        assert_eq!(remedy(Some("do_not_try_again"), "insufficient_funds"), Remedy::NewMethod);
        assert_eq!(remedy(Some("try_again_later"), "expired_card"), Remedy::RetryLater);
        assert_eq!(remedy(Some("confirm_card_data"), "generic_decline"), Remedy::AskCustomer);
    }
}
