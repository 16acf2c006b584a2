//! What Flitt says of a decline or a refusal, by its number.

/// Numbers that mean that the request was refused, rather than that the bank declined.
const REFUSALS: [u16; 31] = [
    1002, 1006, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 1016, 1017, 1018, 1021, 1023, 1026, 1027, 1028, 1034,
    1035, 1046, 1059, 1060, 1062, 1069, 1084, 1086, 1087, 1100, 1109, 1114,
];

/// The number, when a request with this outcome fails as a whole.
pub(super) fn refusal(code: &str) -> Option<u16> {
    code.parse().ok().filter(|code| REFUSALS.contains(code))
}

pub(super) fn text(code: &str) -> &'static str {
    match code {
        "1002" => "Application error",
        "1003" => "Invalid CVV2 code",
        "1004" => "Do not honor",
        "1015" => "Invalid card number",
        "1023" => "Invalid amount",
        "1024" => "3DSecure authentication failed",
        "1025" => "Invalid card expiry date",
        "1027" => "Preauth not allowed",
        "1035" => "Token not found",
        "1037" => "Decline, not sufficient funds",
        "1040" => "Transaction amount exceeds card internet limit",
        "1041" => "Card is in black list",
        "1042" => "Card is stolen",
        "1043" => "Card is restricted",
        "1044" => "Card is lost",
        "1045" => "Card is blocked by acquirer bank",
        "1049" => "Unknown payment system error",
        "1051" => "Declined by antifraud",
        "1059" => "Transaction with rectoken not allowed for merchant",
        "1060" => "Recurring transaction not allowed for merchant",
        "1066" => "System malfunction",
        "1069" => "Reverse not allowed. Turnover is not enough.",
        "1072" => "Recurring chain declined",
        "1073" => "3DSecure is mandatory for Maestro cards",
        "1075" => "3DSecure is mandatory",
        "1078" => "Token deactivated by bank",
        "1082" => "Token has expired",
        "1084" => "Only full refund allowed",
        "1086" => "Transaction already finished",
        "1089" => "Acquiring bank request timeout",
        "1097" => "Decline, refer to card issuer",
        "1100" => "Operation not allowed",
        "1105" => "Antifraud decline. Only full 3D-Secure allowed.",
        "1122" => "Connection closed unexpectedly",
        "1123" => "Acquiring bank request timeout. Transaction reversed.",
        _ => "General decline",
    }
}
