//! Stripe's test cards, and what their issuers say when they are asked.

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

pub(super) const DEBIT: &str = "4000056655665556";
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
    card(DEBIT, Approves, true, "succeeds (debit)"),
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
