//! What a decline by Paystack means.
//!
//! The number is ISO 8583's, the word is Paystack's name for it, and the text
//! is for people; they are read in that order, because not all are always there.

use billing::outcome::{Decline, Remedy};

/// A charge that was attempted and failed.
pub(super) fn decline(code: Option<String>, text: &str) -> Decline {
    let remedy = match code.as_deref().map(by_code) {
        Some(Some(remedy)) => remedy,
        Some(None) | None => by_text(text),
    };
    let code = code.unwrap_or_else(|| slug(text));
    Decline { code, remedy }
}

/// A charge that was refused before it was attempted: what the card is no good
/// for. None: the refusal is about our request.
pub(super) fn refusal(message: &str) -> Option<Decline> {
    let lower = message.to_lowercase();
    let about_card = ["authorization code is invalid", "email does not match authorization code"];
    let remedy = if about_card.iter().any(|text| lower.contains(text)) {
        Remedy::NewMethod
    } else if lower.contains("cannot be fulfilled until") {
        Remedy::RetryLater // the next step of the ladder is a day away, which is what is asked for
    } else {
        return None;
    };
    Some(Decline { code: slug(message), remedy })
}

fn by_code(code: &str) -> Option<Remedy> {
    Some(match code {
        "03" | "04" | "07" | "12" | "14" | "15" | "33" | "34" | "36" | "41" | "43" | "54" | "57" | "59" | "62"
        | "63" | "93" => Remedy::NewMethod,
        "invalid_merchant"
        | "pickup_card"
        | "pickup_card_special"
        | "invalid_transaction"
        | "invalid_account_number"
        | "no_such_issuer" => Remedy::NewMethod,
        "55" | "75" => Remedy::AskCustomer,
        "01" | "05" | "06" | "19" | "22" | "51" | "61" | "65" | "68" | "91" | "92" | "96" => Remedy::RetryLater,
        "refer_to_card_issuer"
        | "do_not_honor"
        | "processing_error"
        | "reenter_transaction"
        | "suspected_malfunction" => Remedy::RetryLater,
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
    fn codes_speak_before_texts() {
        let cases = [
            (Some("51"), "Insufficient Funds", Remedy::RetryLater),
            (Some("54"), "Declined", Remedy::NewMethod),
            (Some("55"), "Incorrect PIN", Remedy::AskCustomer),
            (Some("unknown"), "Expired card", Remedy::NewMethod),
            (None, "Insufficient Funds", Remedy::RetryLater),
            (None, "Declined", Remedy::RetryLater),
            (None, "Token Not Generated. Customer Not Registered on Token Platform", Remedy::AskCustomer),
            (None, "Stolen Card, Pick Up", Remedy::NewMethod),
        ];
        for (code, text, expected) in cases {
            assert_eq!(decline(code.map(str::to_owned), text).remedy, expected, "{code:?} {text}");
        }
    }

    #[test]
    fn a_refusal_is_about_the_card_or_about_us() {
        let remedy = |message| refusal(message).map(|decline| decline.remedy);
        assert_eq!(remedy("Authorization code is invalid"), Some(Remedy::NewMethod));
        let inactive = "Email does not match Authorization code. Authorization may be inactive or belong to a \
                        different email. Please confirm.";
        assert_eq!(remedy(inactive), Some(Remedy::NewMethod));
        assert_eq!(remedy("Charge attempt cannot be fulfilled until 30 minutes"), Some(Remedy::RetryLater));
        assert_eq!(remedy("Currency not supported by merchant"), None);
    }
}
