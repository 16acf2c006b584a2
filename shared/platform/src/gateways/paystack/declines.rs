//! What a decline by Paystack means.
//!
//! The number is ISO 8583's, the name is Paystack's word for it, and the text
//! is for people; they are read in that order, because not all are always there.

use billing::outcome::{Decline, Remedy};

/// A charge that was attempted and failed.
pub(super) fn decline(number: Option<String>, name: Option<String>, text: &str) -> Decline {
    let name = name.filter(|name| name != "unknown");
    let remedy = number.as_deref().and_then(by_number).or_else(|| name.as_deref().and_then(by_name));
    let code = name.or(number).unwrap_or_else(|| slug(text));
    Decline::new(code, remedy.unwrap_or_else(|| by_text(text)))
}

/// A charge that was refused before it was attempted: what the card, or our
/// account, is no good for. None: the refusal is about our request.
pub(super) fn refusal(message: &str) -> Option<Decline> {
    let lower = message.to_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    if says(&["authorization code is invalid", "email does not match authorization code"]) {
        Some(Decline::new(slug(message), Remedy::NewMethod))
    } else if says(&["cannot be fulfilled until"]) {
        // A card that failed too often anywhere is tried once a day at most.
        let minutes = lower.split_whitespace().find_map(|word| word.parse::<u32>().ok()).unwrap_or_default();
        let hours = u16::try_from(minutes.div_ceil(60)).unwrap_or(u16::MAX);
        Some(Decline { wait_h: Some(hours.max(24)), ..Decline::new("attempt_cannot_be_fulfilled", Remedy::RetryLater) })
    } else if says(&["currency not supported by merchant"]) {
        Some(Decline::new(slug(message), Remedy::OurFault))
    } else {
        None
    }
}

fn by_number(number: &str) -> Option<Remedy> {
    Some(match number {
        "04" | "07" | "12" | "14" | "15" | "33" | "34" | "36" | "41" | "43" | "54" | "57" | "59" | "62" | "63"
        | "93" => Remedy::NewMethod,
        "55" | "75" => Remedy::AskCustomer,
        // The issuer gives no reason.
        "01" | "02" | "05" => Remedy::FewTries,
        // Of our account or our request, the cardholder's bank says.
        "03" | "13" | "58" => Remedy::OurFault,
        "06" | "19" | "22" | "51" | "61" | "65" | "68" | "91" | "92" | "96" => Remedy::RetryLater,
        _ => return None,
    })
}

fn by_name(name: &str) -> Option<Remedy> {
    Some(match name {
        "pickup_card" | "pickup_card_special" | "invalid_transaction" | "invalid_account_number" | "no_such_issuer" => {
            Remedy::NewMethod
        }
        "do_not_honor" | "refer_to_card_issuer" | "refer_to_card_issuer_special" => Remedy::FewTries,
        "invalid_merchant" | "invalid_amount" => Remedy::OurFault,
        "processing_error" | "reenter_transaction" | "suspected_malfunction" => Remedy::RetryLater,
        _ => return None,
    })
}

fn by_text(text: &str) -> Remedy {
    let lower = text.to_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    if says(&["pick", "lost", "stolen", "expired", "restricted", "invalid card", "invalid account", "fraud"]) {
        Remedy::NewMethod
    } else if says(&["token not generated", "otp", "pin"]) {
        Remedy::AskCustomer
    } else if says(&["not supported by merchant", "invalid merchant"]) {
        Remedy::OurFault
    } else if lower.trim() == "declined" || says(&["do not hono"]) {
        Remedy::FewTries
    } else {
        Remedy::RetryLater
    }
}

fn slug(text: &str) -> String {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let slug = words.take(6).collect::<Vec<_>>().join("_").to_lowercase();
    if slug.is_empty() { "declined".to_owned() } else { slug }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_speak_before_names_and_names_before_texts() {
        let cases = [
            (Some("51"), Some("insufficient_funds"), "Insufficient Funds", Remedy::RetryLater),
            (Some("54"), None, "Declined", Remedy::NewMethod),
            (Some("55"), Some("unknown"), "Incorrect PIN", Remedy::AskCustomer),
            (Some("05"), Some("do_not_honor"), "Declined", Remedy::FewTries),
            (Some("01"), None, "", Remedy::FewTries),
            (Some("03"), Some("invalid_merchant"), "Invalid merchant", Remedy::OurFault),
            (None, Some("invalid_merchant"), "Expired card", Remedy::OurFault),
            (None, Some("pickup_card"), "", Remedy::NewMethod),
            (None, Some("unknown"), "Expired card", Remedy::NewMethod),
            (None, None, "Insufficient Funds", Remedy::RetryLater),
            (None, None, "Declined", Remedy::FewTries),
            (None, None, "Token Not Generated. Customer Not Registered on Token Platform", Remedy::AskCustomer),
            (None, None, "Stolen Card, Pick Up", Remedy::NewMethod),
            (None, None, "", Remedy::RetryLater),
        ];
        for (number, name, text, expected) in cases {
            let decline = decline(number.map(str::to_owned), name.map(str::to_owned), text);
            assert_eq!(decline.remedy, expected, "{number:?} {name:?} {text}");
        }
    }

    #[test]
    fn a_decline_goes_by_its_name_its_number_or_its_text() {
        let code = |number: Option<&str>, name: Option<&str>| {
            decline(number.map(str::to_owned), name.map(str::to_owned), "Suspected fraud").code
        };
        assert_eq!(code(Some("05"), Some("do_not_honor")), "do_not_honor");
        assert_eq!(code(Some("59"), Some("unknown")), "59");
        assert_eq!(code(None, None), "suspected_fraud");
    }

    #[test]
    fn a_refusal_is_about_the_card_or_about_us() {
        let remedy = |message| refusal(message).map(|decline| decline.remedy);
        assert_eq!(remedy("Authorization code is invalid"), Some(Remedy::NewMethod));
        let inactive = "Email does not match Authorization code. Authorization may be inactive or belong to a \
                        different email. Please confirm.";
        assert_eq!(remedy(inactive), Some(Remedy::NewMethod));
        assert_eq!(remedy("Currency not supported by merchant"), Some(Remedy::OurFault));
        assert_eq!(remedy("Invalid amount"), None);
    }

    #[test]
    fn a_card_that_failed_too_often_rests_for_a_day_at_least() {
        let wait_h = |minutes: u32| {
            let decline = refusal(&format!("Charge attempt cannot be fulfilled until {minutes} minutes"));
            decline.map(|decline| (decline.remedy, decline.wait_h))
        };
        assert_eq!(wait_h(30), Some((Remedy::RetryLater, Some(24))));
        assert_eq!(wait_h(2_881), Some((Remedy::RetryLater, Some(49))));
    }
}
