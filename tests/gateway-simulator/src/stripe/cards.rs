//! Stripe's test cards, what they do, and how Stripe words a decline.

use serde_json::{Map, Value, json};

/// What the issuer says when it is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Issuer {
    Approves,
    Declines(&'static str),
    /// Wants the customer unless the card was set up for use without them.
    WantsCustomerUntilSetUp,
    WantsCustomerAlways,
    /// Wants the customer, and declines even so.
    WantsCustomerAndDeclines(&'static str),
}

#[derive(Debug)]
pub(super) struct Card {
    pub(super) number: &'static str,
    pub(super) brand: &'static str,
    pub(super) issuer: Issuer,
    /// Can it be saved with a customer?
    pub(super) saves: bool,
    pub(super) what: &'static str,
}

impl Card {
    pub(super) fn last4(&self) -> &'static str {
        self.number.get(self.number.len().saturating_sub(4)..).unwrap_or_default()
    }
}

const fn card(number: &'static str, issuer: Issuer, saves: bool, what: &'static str) -> Card {
    Card { number, brand: "visa", issuer, saves, what }
}

use Issuer::{Approves, Declines, WantsCustomerAlways, WantsCustomerAndDeclines, WantsCustomerUntilSetUp};

pub(super) const DISPUTED: &str = "4000000000000259";
pub(super) const INQUIRY: &str = "4000000000001976";
pub(super) const REFUND_LATER: &str = "4000000000007726";
pub(super) const REFUND_FAILS: &str = "4000000000005126";

pub(super) const CARDS: [Card; 20] = [
    card("4242424242424242", Approves, true, "succeeds"),
    Card {
        number: "5555555555554444",
        brand: "mastercard",
        issuer: Approves,
        saves: true,
        what: "succeeds (Mastercard)",
    },
    card("4000002500003155", WantsCustomerUntilSetUp, true, "asks for 3-D Secure once, then works when saved"),
    card("4000002760003184", WantsCustomerAlways, true, "asks for 3-D Secure at every payment"),
    card(
        "4000008260003178",
        WantsCustomerAndDeclines("insufficient_funds"),
        true,
        "asks for 3-D Secure, then declined: insufficient funds",
    ),
    card("4000000000000341", Declines("generic_decline"), true, "can be saved, but every charge is declined"),
    card("4000000000000002", Declines("generic_decline"), false, "declined"),
    card("4000000000009995", Declines("insufficient_funds"), false, "declined: insufficient funds"),
    card("4000000000009987", Declines("lost_card"), false, "declined: lost card"),
    card("4000000000009979", Declines("stolen_card"), false, "declined: stolen card"),
    card("4000000000000069", Declines("expired_card"), false, "declined: expired card"),
    card("4000000000000127", Declines("incorrect_cvc"), false, "declined: incorrect CVC"),
    card("4000000000000119", Declines("processing_error"), false, "declined: processing error"),
    card("4000000000006975", Declines("card_velocity_exceeded"), false, "declined: too many charges"),
    card("4100000000000019", Declines("fraudulent"), false, "always blocked as fraudulent"),
    card(DISPUTED, Approves, true, "succeeds, then disputed as fraudulent"),
    card(INQUIRY, Approves, true, "succeeds, then an inquiry"),
    card(REFUND_LATER, Approves, true, "succeeds; refunds are pending at first"),
    card(REFUND_FAILS, Approves, true, "succeeds; refunds fail later"),
    card("4000056655665556", Approves, true, "succeeds (debit)"),
];

const TOKENS: [(&str, &str); 8] = [
    ("pm_card_visa", "4242424242424242"),
    ("pm_card_mastercard", "5555555555554444"),
    ("pm_card_authenticationRequired", "4000002760003184"),
    ("pm_card_authenticationRequiredOnSetup", "4000002500003155"),
    ("pm_card_chargeDeclined", "4000000000000002"),
    ("pm_card_chargeDeclinedInsufficientFunds", "4000000000009995"),
    ("pm_card_chargeCustomerFail", "4000000000000341"),
    ("pm_card_createDispute", DISPUTED),
];

pub(super) fn by_number(number: &str) -> Option<&'static Card> {
    CARDS.iter().find(|card| card.number == number)
}

/// The card behind a `pm_card_…` token.
pub(super) fn by_token(token: &str) -> Option<&'static Card> {
    TOKENS.iter().find(|(name, _)| *name == token).and_then(|(_, number)| by_number(number))
}

/// The words for a decline: `code` is what the issuer gave as its reason.
pub(super) fn decline(reason: &str) -> Map<String, Value> {
    let code = match reason {
        "expired_card" | "incorrect_cvc" | "processing_error" | "authentication_required" => reason,
        _ => "card_declined",
    };
    let message = match reason {
        "insufficient_funds" => "Your card has insufficient funds.",
        "expired_card" => "Your card has expired.",
        "incorrect_cvc" => "Your card's security code is incorrect.",
        "processing_error" => "An error occurred while processing your card. Try again in a little bit.",
        "authentication_required" => "Your card was declined. This transaction requires authentication.",
        _ => "Your card was declined.",
    };
    // The network's own number, and the advice that Stripe draws from the reason.
    let (network, advice) = match reason {
        "insufficient_funds" => (Some("51"), Some("try_again_later")),
        "lost_card" => (Some("41"), Some("do_not_try_again")),
        "stolen_card" => (Some("43"), Some("do_not_try_again")),
        "pickup_card" => (Some("04"), Some("do_not_try_again")),
        "expired_card" => (Some("54"), Some("confirm_card_data")),
        "incorrect_cvc" => (Some("N7"), Some("confirm_card_data")),
        "incorrect_number" | "invalid_account" => (Some("14"), Some("confirm_card_data")),
        "card_velocity_exceeded" => (Some("65"), Some("try_again_later")),
        "do_not_honor" | "generic_decline" => (Some("05"), Some("try_again_later")),
        "processing_error" | "issuer_not_available" | "try_again_later" | "reenter_transaction" => {
            (None, Some("try_again_later"))
        }
        "revocation_of_authorization" | "revocation_of_all_authorizations" | "transaction_not_allowed" => {
            (None, Some("do_not_try_again"))
        }
        _ => (None, None),
    };
    let mut error = Map::new();
    error.insert("type".to_owned(), json!("card_error"));
    error.insert("code".to_owned(), json!(code));
    error.insert("decline_code".to_owned(), json!(reason));
    error.insert("message".to_owned(), json!(message));
    error
        .insert("doc_url".to_owned(), json!(format!("https://stripe.com/docs/error-codes/{}", code.replace('_', "-"))));
    if let Some(network) = network {
        error.insert("network_decline_code".to_owned(), json!(network));
    }
    if let Some(advice) = advice {
        error.insert("advice_code".to_owned(), json!(advice));
    }
    error
}
