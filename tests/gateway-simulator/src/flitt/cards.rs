//! Flitt's test cards, what they do, and the tokens under which they can be charged again.

use crate::state::State;
use crate::table::Row;
use serde::{Deserialize, Serialize};

/// Seconds for which a token can be charged: three years.
const TOKEN_LIFE: i64 = 3 * 365 * 86_400;

#[derive(Debug)]
pub(super) struct Card {
    pub(super) number: &'static str,
    pub(super) kind: &'static str,
    /// Whether its bank asks the customer first.
    pub(super) asks: bool,
    /// 5 after full 3-D Secure, 7 without.
    pub(super) eci: &'static str,
    /// Why it is declined, if it is.
    pub(super) declines: Option<&'static str>,
    pub(super) what: &'static str,
}

const fn card(
    number: &'static str,
    kind: &'static str,
    asks: bool,
    declines: Option<&'static str>,
    what: &'static str,
) -> Card {
    Card { number, kind, asks, eci: if asks { "5" } else { "7" }, declines, what }
}

/// Authenticated without a question.
const fn frictionless(number: &'static str, declines: Option<&'static str>, what: &'static str) -> Card {
    Card { number, kind: "VISA", asks: false, eci: "5", declines, what }
}

pub(super) const CARDS: [Card; 12] = [
    card("4444555511116666", "VISA", false, None, "succeeds"),
    card("4444555566661111", "VISA", true, None, "succeeds after the bank's question"),
    card("4444111166665555", "VISA", true, Some("1000"), "declined after the bank's question"),
    card("4444111155556666", "VISA", false, Some("1000"), "declined"),
    card("5555666644441111", "MasterCard", false, None, "succeeds"),
    card("6666444455551111", "MasterCard", false, None, "succeeds"),
    frictionless("4444555566669999", None, "succeeds, authenticated without a question"),
    card("4444666655559999", "VISA", true, None, "succeeds after the bank's challenge"),
    frictionless("4444999966665555", Some("1000"), "declined, authenticated without a question"),
    card("4444666699995555", "VISA", true, Some("1000"), "declined after the bank's challenge"),
    card("2222555566663333", "MasterCard", true, Some("1000"), "declined after the bank's question"),
    card("4444777799991111", "VISA", false, None, "succeeds; reservation_data is not read"),
];

pub(super) fn by_number(number: &str) -> Option<&'static Card> {
    CARDS.iter().find(|card| card.number == number)
}

impl Card {
    pub(super) fn bin(&self) -> &'static str {
        self.number.get(..6).unwrap_or_default()
    }

    pub(super) fn masked(&self) -> String {
        format!("{}XXXXXX{}", self.bin(), self.number.get(12..).unwrap_or_default())
    }
}

/// `rectoken`: a card that its owner let the merchant keep.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Token {
    pub(super) rectoken: String,
    /// The test card's number.
    pub(super) card: String,
    /// Unix seconds.
    pub(super) until: i64,
}

impl Row for Token {
    fn id(&self) -> &str {
        &self.rectoken
    }
}

pub(super) fn keep(state: &mut State, card: &Card) -> String {
    let rectoken = state.id("", 46);
    let until = state.now() + TOKEN_LIFE;
    state.flitt.tokens.add(Token { rectoken: rectoken.clone(), card: card.number.to_owned(), until });
    rectoken
}
