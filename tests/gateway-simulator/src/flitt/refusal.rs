//! Flitt's failures: the request was not accepted. They carry no signature.

use super::codes;
use super::wire::{self, Shape};
use crate::gateway::{Answer, Call};
use serde_json::{Map, json};

pub(super) type Result<T> = std::result::Result<T, Refusal>;

#[derive(Debug)]
pub(super) struct Refusal {
    code: u16,
    message: String,
}

impl Refusal {
    pub(super) fn new(code: u16, message: &str) -> Self {
        Self { code, message: message.to_owned() }
    }

    /// In the words that always go with the number.
    pub(super) fn coded(code: u16) -> Self {
        Self::new(code, codes::text(&code.to_string()))
    }

    pub(super) fn missing(name: &str) -> Self {
        Self::new(1011, &format!("Parameter `{name}` is missing"))
    }

    pub(super) fn incorrect(name: &str) -> Self {
        Self::new(1007, &format!("Parameter `{name}` is incorrect"))
    }

    pub(super) fn no_such_order(order: &str) -> Self {
        Self::new(1018, &format!("Order `{order}` not found"))
    }

    pub(super) fn answer(self, shape: Shape, call: &Call) -> Answer {
        // Flitt writes the code as a number or as text.
        let code = if self.code.is_multiple_of(2) { json!(self.code.to_string()) } else { json!(self.code) };
        let request = call.id.strip_prefix("req_").unwrap_or(&call.id);
        let fields = [
            ("response_status", json!("failure")),
            ("error_code", code),
            ("error_message", json!(self.message)),
            ("request_id", json!(request)),
        ];
        wire::unsigned(shape, &Map::from_iter(fields.map(|(name, value)| (name.to_owned(), value))))
    }
}
