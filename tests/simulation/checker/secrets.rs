//! Nothing that is a secret, or says who somebody is, is in what outlives a request: in an error, which is logged and may
//! be answered, and in a message, which may end among the dead letters (I-25). What the gateways' adapters and the HTTP
//! edge make of such things is held against their own tests.

use crate::jobs::Done;
use crate::world::State;
use billing::ports::Wanted;
use std::error::Error;

/// As short as any card's number.
const CARD_DIGITS: usize = 13;

/// What is in every address, in the tokens of this world's methods, and in what a page is paid with.
const SECRET: [&str; 3] = ["@", "AUTH_", "_secret_"];

fn has_secret(text: &str) -> bool {
    let digits = text.split(|it: char| !it.is_ascii_digit()).any(|run| run.len() >= CARD_DIGITS);
    digits || SECRET.iter().any(|secret| text.contains(secret))
}

/// As it is logged: with what caused it.
fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

impl State {
    pub(crate) fn says_no_secret(&mut self, done: &Done) {
        for error in done.errors() {
            let text = chain(error);
            if has_secret(&text) {
                return self.breach("I-25", format!("an error says {text:?}"));
            }
        }
    }

    pub(crate) fn sends_no_secret(&mut self, wanted: &Wanted) {
        let text = serde_json::to_string(wanted).unwrap_or_else(|error| panic!("{wanted:?}: {error}"));
        if has_secret(&text) {
            self.breach("I-25", format!("a message says {text}"));
        }
    }
}
