//! Paystack's error answers.

use crate::gateway::Answer;
use serde_json::json;

pub(super) type Result<T> = std::result::Result<T, Refusal>;

#[derive(Debug)]
pub(super) struct Refusal {
    status: u16,
    message: String,
    kind: &'static str,
    code: &'static str,
}

impl Refusal {
    pub(super) fn new(status: u16, message: &str, kind: &'static str, code: &'static str) -> Self {
        Self { status, message: message.to_owned(), kind, code }
    }

    pub(super) fn invalid(message: &str, code: &'static str) -> Self {
        Self::new(400, message, "validation_error", code)
    }

    pub(super) fn missing(name: &str) -> Self {
        Self::invalid(&format!("{name} is required"), "missing_params")
    }

    pub(super) fn not_found(what: &str, code: &'static str) -> Self {
        Self::new(404, &format!("{what} not found"), "validation_error", code)
    }

    pub(super) fn answer(self) -> Answer {
        let next = "Ensure that the value(s) you're passing are correct.";
        Answer::json(
            self.status,
            json!({
                "status": false, "message": self.message, "meta": {"nextStep": next},
                "type": self.kind, "code": self.code,
            }),
        )
    }
}
