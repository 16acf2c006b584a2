//! Stripe's error answers.

use crate::gateway::Answer;
use serde_json::{Map, Value, json};

pub(super) type Result<T> = std::result::Result<T, Box<Refusal>>;

#[derive(Debug)]
pub(super) struct Refusal {
    status: u16,
    error: Map<String, Value>,
}

impl Refusal {
    fn new(status: u16, kind: &str, message: &str) -> Self {
        let mut error = Map::new();
        error.insert("type".to_owned(), json!(kind));
        error.insert("message".to_owned(), json!(message));
        Self { status, error }
    }

    fn with(mut self, name: &str, value: Value) -> Self {
        self.error.insert(name.to_owned(), value);
        self
    }

    pub(super) fn invalid(message: &str, param: Option<&str>, code: Option<&str>) -> Box<Self> {
        let mut refusal = Self::new(400, "invalid_request_error", message);
        if let Some(param) = param {
            refusal = refusal.with("param", json!(param));
        }
        if let Some(code) = code {
            let page = format!("https://stripe.com/docs/error-codes/{}", code.replace('_', "-"));
            refusal = refusal.with("code", json!(code)).with("doc_url", json!(page));
        }
        Box::new(refusal)
    }

    pub(super) fn missing(what: &str, id: &str, param: &str) -> Box<Self> {
        let mut refusal = Self::invalid(&format!("No such {what}: '{id}'"), Some(param), Some("resource_missing"));
        refusal.status = if param == "id" || param == "intent" || param == "session" { 404 } else { 400 };
        refusal
    }

    pub(super) fn unauthorized(message: &str) -> Box<Self> {
        Box::new(Self::new(401, "invalid_request_error", message))
    }

    pub(super) fn no_such_route(method: &str, path: &str) -> Box<Self> {
        let message = format!("Unrecognized request URL ({method}: /{path}).");
        Box::new(Self::new(404, "invalid_request_error", &message))
    }

    pub(super) fn idempotency(status: u16, message: &str, code: Option<&str>) -> Box<Self> {
        let refusal = Self::new(status, "idempotency_error", message);
        Box::new(if let Some(code) = code { refusal.with("code", json!(code)) } else { refusal })
    }

    pub(super) fn broken() -> Box<Self> {
        Box::new(Self::new(500, "api_error", "An unknown error occurred."))
    }

    pub(super) fn full() -> Box<Self> {
        Box::new(Self::new(500, "api_error", "The simulator's books are full: POST /admin/reset empties them."))
    }

    /// The object's state does not allow it.
    pub(super) fn unexpected_state(message: &str, intent: Value) -> Box<Self> {
        let mut refusal = Self::invalid(message, None, Some("payment_intent_unexpected_state"));
        refusal.error.insert("payment_intent".to_owned(), intent);
        refusal
    }

    pub(super) fn unexpected_setup(message: &str, setup: Value) -> Box<Self> {
        let mut refusal = Self::invalid(message, None, Some("setup_intent_unexpected_state"));
        refusal.error.insert("setup_intent".to_owned(), setup);
        refusal
    }

    /// HTTP 402, with everything Stripe says about a declined card.
    pub(super) fn card(error: Map<String, Value>) -> Box<Self> {
        Box::new(Self { status: 402, error })
    }

    pub(super) fn answer(self) -> Answer {
        Answer::json(self.status, json!({"error": self.error}))
    }
}
