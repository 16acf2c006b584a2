//! What Flitt's codes mean. <https://docs.flitt.com/api/response-codes/>
//!
//! A bank's answer (`response_code`) and the refusal of a request (`error_code`)
//! are numbers of one list.

use billing::outcome::{Decline, Remedy};

/// A payment that was attempted and failed. A number that nobody told us of is
/// like the general decline, which it mostly is.
pub(super) fn decline(code: Option<&str>) -> Decline {
    let code = code.unwrap_or(GENERAL_DECLINE);
    Decline::new(code, remedy(code).unwrap_or(Remedy::FewTries))
}

const GENERAL_DECLINE: &str = "1000";

/// A charge that was refused before there was an order: what the card is no good
/// for. None: the refusal is about our request, or our account.
pub(super) fn refusal(code: &str) -> Option<Decline> {
    match remedy(code)? {
        Remedy::OurFault => None,
        remedy @ (Remedy::RetryLater | Remedy::FewTries | Remedy::AskCustomer | Remedy::NewMethod) => {
            Some(Decline::new(code, remedy))
        }
    }
}

/// Whether Flitt does not know itself what the bank did: an application error, a
/// request that timed out, a connection that was cut. Only a later look tells.
pub(super) fn is_unsure(code: &str) -> bool {
    matches!(code, "1002" | "1089" | "1122")
}

/// Whether an order of that id is known: it was sent before.
pub(super) fn is_known_order(code: &str) -> bool {
    matches!(code, "1013" | "1019" | "1052" | "1086")
}

pub(super) fn is_unknown_order(code: &str) -> bool {
    code == "1018"
}

/// Whether we are not who we say, or do not sign as they do.
pub(super) fn is_about_keys(code: &str) -> bool {
    matches!(code, "1014" | "1016")
}

/// Whether a request is wrong in itself, or not signed as ours.
pub(super) fn is_bad_request(code: &str) -> bool {
    matches!(
        code,
        "1007"
            | "1008"
            | "1009"
            | "1010"
            | "1011"
            | "1012"
            | "1014"
            | "1016"
            | "1017"
            | "1018"
            | "1021"
            | "1026"
            | "1027"
            | "1028"
            | "1034"
            | "1046"
    )
}

fn remedy(code: &str) -> Option<Remedy> {
    Some(match code {
        "1002" | "1037" | "1040" | "1047" | "1048" | "1049" | "1053" | "1066" | "1070" | "1089" | "1122" | "1123" => {
            Remedy::RetryLater
        }
        GENERAL_DECLINE | "1004" | "1005" | "1051" | "1064" | "1065" | "1097" => Remedy::FewTries,
        "1003" | "1015" | "1025" | "1035" | "1041" | "1042" | "1043" | "1044" | "1045" | "1057" | "1058" | "1061"
        | "1063" | "1072" | "1078" | "1079" | "1082" | "1102" | "1104" | "1111" | "1115" | "1116" | "1117" | "1125" => {
            Remedy::NewMethod
        }
        // 3-D Secure, a PIN, or a code that only the cardholder has.
        "1024" | "1067" | "1073" | "1075" | "1088" | "1091" | "1105" => Remedy::AskCustomer,
        "1006" | "1023" | "1059" | "1060" | "1062" | "1069" | "1084" | "1087" | "1100" | "1106" | "1107" | "1108"
        | "1109" | "1114" | "1120" => Remedy::OurFault,
        code if is_bad_request(code) => Remedy::OurFault,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_say_what_may_help() {
        let cases = [
            ("1037", Remedy::RetryLater),
            ("1089", Remedy::RetryLater),
            ("1123", Remedy::RetryLater),
            ("1000", Remedy::FewTries),
            ("1004", Remedy::FewTries),
            ("1051", Remedy::FewTries),
            ("1099", Remedy::FewTries),
            ("", Remedy::FewTries),
            ("1035", Remedy::NewMethod),
            ("1044", Remedy::NewMethod), // a lost card, whatever other lists say
            ("1072", Remedy::NewMethod),
            ("1078", Remedy::NewMethod),
            ("1082", Remedy::NewMethod),
            ("1024", Remedy::AskCustomer),
            ("1075", Remedy::AskCustomer),
            ("1105", Remedy::AskCustomer),
            ("1012", Remedy::OurFault),
            ("1059", Remedy::OurFault),
            ("1060", Remedy::OurFault),
            ("1120", Remedy::OurFault),
        ];
        for (code, expected) in cases {
            assert_eq!(decline(Some(code)), Decline::new(code, expected));
        }
        assert_eq!(decline(None), Decline::new("1000", Remedy::FewTries));
    }

    #[test]
    fn a_refusal_is_about_the_card_or_about_us() {
        let remedy = |code| refusal(code).map(|decline| decline.remedy);
        assert_eq!(remedy("1035"), Some(Remedy::NewMethod));
        assert_eq!(remedy("1037"), Some(Remedy::RetryLater));
        for ours in ["1059", "1060", "1014", "1016", "1011", "1023", "1100", "4711"] {
            assert_eq!(remedy(ours), None, "{ours}");
        }
    }
}
