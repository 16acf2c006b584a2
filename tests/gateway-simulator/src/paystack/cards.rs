//! Paystack's test cards, what they do, the authorizations they leave, and how a decline is worded.

use crate::table::Row;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

#[derive(Debug)]
pub(super) struct Card {
    pub(super) number: &'static str,
    /// With the blank that Paystack's card types end in.
    kind: &'static str,
    bank: &'static str,
    pub(super) reusable: bool,
    /// Why it is declined, if it is.
    pub(super) declines: Option<&'static str>,
    pub(super) what: &'static str,
}

pub(super) const REFUND_FAILS: &str = "4084080000671803";
pub(super) const REFUND_NEEDS_ATTENTION: &str = "4084080000671902";

const fn card(number: &'static str, declines: Option<&'static str>, what: &'static str) -> Card {
    Card { number, kind: "visa ", bank: "TEST BANK", reusable: true, declines, what }
}

const fn verve(number: &'static str, declines: Option<&'static str>, what: &'static str) -> Card {
    Card { number, kind: "verve ", bank: "TEST BANK", reusable: false, declines, what }
}

pub(super) const CARDS: [Card; 10] = [
    card("4084084084084081", None, "succeeds; can be charged again"),
    Card {
        number: "5192602720584796",
        kind: "mastercard ",
        bank: "TEST BANK",
        reusable: true,
        declines: None,
        what: "succeeds after the bank's page; can be charged again",
    },
    verve("507850785078507812", None, "succeeds with PIN; only this once"),
    verve("5060666666666666666", None, "succeeds with PIN and OTP; only this once"),
    verve("507850785078507804", None, "succeeds with PIN, phone and OTP; only this once"),
    card("4084080000005408", Some("declined"), "declined"),
    card("4084080000670037", Some("insufficient_funds"), "declined: insufficient funds"),
    verve("507850785078507853", Some("token_not_generated"), "declined: token not generated"),
    card(REFUND_FAILS, None, "succeeds; refunds fail"),
    card(REFUND_NEEDS_ATTENTION, None, "succeeds; refunds need attention"),
];

pub(super) fn by_number(number: &str) -> Option<&'static Card> {
    CARDS.iter().find(|card| card.number == number)
}

/// A card that a customer paid with, and that may be charged again if it is reusable.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Authorization {
    pub(super) code: String,
    /// The address of the one customer it works for.
    pub(super) email: String,
    /// The test card's number.
    pub(super) card: String,
    /// The customer deactivated it. Paystack still shows it as reusable.
    pub(super) inactive: bool,
}

impl Row for Authorization {
    fn id(&self) -> &str {
        &self.code
    }
}

impl Authorization {
    pub(super) fn test_card(&self) -> Option<&'static Card> {
        by_number(&self.card)
    }

    pub(super) fn json(&self) -> Value {
        let Some(card) = self.test_card() else { return json!({}) };
        let last4 = card.number.get(card.number.len() - 4..).unwrap_or_default();
        // One card, one signature, whoever pays with it.
        let signature: String = card.number.chars().rev().collect();
        json!({
            "authorization_code": self.code, "bin": card.number.get(..6), "last4": last4, "exp_month": "12",
            "exp_year": "2040", "channel": "card", "card_type": card.kind, "bank": card.bank, "country_code": "NG",
            "brand": card.kind.trim_end(), "reusable": card.reusable, "signature": format!("SIG_{signature}"),
            "account_name": null,
        })
    }
}

/// What the gateway says of a decline: in words, by name, and by number if the network gave one.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Said {
    pub(super) text: String,
    pub(super) name: String,
    pub(super) number: Option<String>,
}

pub(super) fn approved() -> Said {
    Said { text: "Approved".to_owned(), name: "approved".to_owned(), number: Some("00".to_owned()) }
}

pub(super) fn decline(reason: &str) -> Said {
    let (text, name, number) = match reason {
        "insufficient_funds" => ("Insufficient Funds", "insufficient_funds", Some("51")),
        "declined" | "generic_decline" | "do_not_honor" | "card_declined" => ("Declined", "do_not_honor", Some("05")),
        "expired_card" => ("Expired card", "expired_card", Some("54")),
        "lost_card" => ("Lost card, pick up", "lost_card", Some("41")),
        "stolen_card" => ("Stolen card, pick up", "stolen_card", Some("43")),
        "pickup_card" => ("Pick up card", "pickup_card", Some("04")),
        "restricted_card" => ("Restricted card", "restricted_card", Some("62")),
        "processing_error" => ("Processing error", "processing_error", Some("06")),
        "issuer_not_available" => ("Issuer or switch inoperative", "issuer_not_available", Some("91")),
        "invalid_account_number" => ("Invalid account number", "invalid_account_number", Some("14")),
        "refer_to_card_issuer" => ("Refer to card issuer", "refer_to_card_issuer", Some("01")),
        "invalid_merchant" => ("Invalid merchant", "invalid_merchant", Some("03")),
        "invalid_transaction" => ("Invalid transaction", "invalid_transaction", Some("12")),
        "no_such_issuer" => ("No such issuer", "no_such_issuer", Some("15")),
        "reenter_transaction" => ("Re-enter transaction", "reenter_transaction", Some("19")),
        "suspected_malfunction" => ("System malfunction", "suspected_malfunction", Some("22")),
        // Numbers of ISO 8583 whose names Paystack does not publish.
        "suspected_fraud" => ("Suspected fraud", "unknown", Some("59")),
        "limit_exceeded" => ("Exceeds withdrawal limit", "unknown", Some("61")),
        "too_many_attempts" => ("Exceeds withdrawal frequency", "unknown", Some("65")),
        "incorrect_pin" => ("Incorrect PIN", "unknown", Some("55")),
        "timeout" => ("Response received too late: timeout", "unknown", Some("68")),
        "token_not_generated" => ("Token Not Generated. Customer Not Registered on Token Platform", "unknown", None),
        other => (other, "unknown", None),
    };
    Said { text: text.to_owned(), name: name.to_owned(), number: number.map(str::to_owned) }
}
