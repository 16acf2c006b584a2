//! What a decline by Stripe means. <https://docs.stripe.com/declines/codes>

use super::wire::WireError;
use billing::outcome::{Decline, Remedy};

/// Stripe's advice first, then the network's, then the issuer's code.
pub(super) fn decline(error: &WireError) -> Decline {
    let code = error.decline_code.as_ref().or(error.code.as_ref());
    let code = code.map_or_else(|| "generic_decline".to_owned(), Clone::clone);
    let network = error.network_advice_code.as_deref();
    let remedy = match (error.advice_code.as_deref(), code.as_str()) {
        (_, "authentication_required") => Remedy::AskCustomer,
        (Some("do_not_try_again"), _) => Remedy::NewMethod,
        (Some("confirm_card_data"), _) => Remedy::AskCustomer,
        // That it may work later is not how often it may be tried.
        (Some("try_again_later"), code) if VAGUE.contains(&code) => Remedy::FewTries,
        (Some("try_again_later"), _) => Remedy::RetryLater,
        (_, code) => network.and_then(by_network).unwrap_or_else(|| by_code(code)),
    };
    let wait_h = match remedy {
        Remedy::RetryLater | Remedy::FewTries => network.and_then(wait_h),
        Remedy::AskCustomer | Remedy::NewMethod | Remedy::OurFault => None,
    };
    Decline { wait_h, ..Decline::new(code, remedy) }
}

/// Mastercard's advice: new data, never again, or the customer ended it; otherwise a wait.
fn by_network(advice: &str) -> Option<Remedy> {
    match advice {
        "01" | "03" | "21" => Some(Remedy::NewMethod),
        advice => wait_h(advice).map(|_| Remedy::RetryLater),
    }
}

fn wait_h(advice: &str) -> Option<u16> {
    Some(match advice {
        "02" | "25" => 24,
        "24" => 1,
        "26" => 48,
        "27" => 96,
        "28" => 144,
        "29" => 192,
        "30" => 240,
        _ => return None,
    })
}

/// A code nobody told us of is tried again.
fn by_code(code: &str) -> Remedy {
    match code {
        "incorrect_zip" => Remedy::AskCustomer,
        "invalid_amount" => Remedy::OurFault,
        code if VAGUE.contains(&code) => Remedy::FewTries,
        code if NEVER_AGAIN.contains(&code) => Remedy::NewMethod,
        _ => Remedy::RetryLater,
    }
}

/// The issuer gives no reason.
const VAGUE: [&str; 3] = ["do_not_honor", "generic_decline", "card_declined"];

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

    fn told(advice: Option<&str>, network: Option<&str>, code: &str) -> Decline {
        let (advice_code, network_advice_code) = (advice.map(str::to_owned), network.map(str::to_owned));
        let decline_code = Some(code.to_owned());
        decline(&WireError { decline_code, advice_code, network_advice_code, ..WireError::default() })
    }

    #[test]
    fn codes_fall_into_five_classes() {
        let cases = [
            ("insufficient_funds", Remedy::RetryLater),
            ("processing_error", Remedy::RetryLater),
            ("call_issuer", Remedy::RetryLater),
            ("something_new", Remedy::RetryLater),
            ("do_not_honor", Remedy::FewTries),
            ("generic_decline", Remedy::FewTries),
            ("lost_card", Remedy::NewMethod),
            ("expired_card", Remedy::NewMethod),
            ("transaction_not_allowed", Remedy::NewMethod),
            ("authentication_required", Remedy::AskCustomer),
            ("incorrect_zip", Remedy::AskCustomer),
            ("invalid_amount", Remedy::OurFault),
        ];
        for (code, expected) in cases {
            assert_eq!(told(None, None, code).remedy, expected, "{code}");
        }
    }

    #[test]
    fn advice_outranks_the_code() {
        let remedy = |advice, code| told(Some(advice), None, code).remedy;
        assert_eq!(remedy("do_not_try_again", "insufficient_funds"), Remedy::NewMethod);
        assert_eq!(remedy("try_again_later", "expired_card"), Remedy::RetryLater);
        assert_eq!(remedy("try_again_later", "do_not_honor"), Remedy::FewTries);
        assert_eq!(remedy("confirm_card_data", "generic_decline"), Remedy::AskCustomer);
    }

    #[test]
    fn the_networks_advice_outranks_the_code_and_stripes_outranks_it() {
        for stop in ["01", "03", "21"] {
            assert_eq!(told(None, Some(stop), "insufficient_funds").remedy, Remedy::NewMethod, "{stop}");
        }
        assert_eq!(told(None, Some("02"), "lost_card").remedy, Remedy::RetryLater);
        assert_eq!(told(Some("try_again_later"), Some("03"), "insufficient_funds").remedy, Remedy::RetryLater);
    }

    #[test]
    fn the_network_says_how_long_to_wait() {
        let waits = ["24", "25", "26", "27", "28", "29", "30", "02", "99"]
            .map(|advice| told(Some("try_again_later"), Some(advice), "insufficient_funds").wait_h);
        assert_eq!(waits, [Some(1), Some(24), Some(48), Some(96), Some(144), Some(192), Some(240), Some(24), None]);
        assert_eq!(told(Some("do_not_try_again"), Some("30"), "lost_card").wait_h, None);
    }
}
