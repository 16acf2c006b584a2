//! The problem document (RFC 9457): what a client is told when it does not get what it asked for.

use lambda_http::http::StatusCode;
use serde_json::{Map, Value, json};
use std::fmt::Display;

/// What the client is told. The cause is for the log and never leaves it.
#[derive(Debug)]
pub struct Problem {
    pub(crate) status: StatusCode,
    pub(super) slug: &'static str,
    pub(super) title: &'static str,
    detail: String,
    /// The part of the request that is wrong.
    pub(crate) field: Option<String>,
    /// What a program needs to know besides. Boxed: every result has room for a problem, and few have this.
    more: Box<Map<String, Value>>,
    pub(super) retry_after_s: Option<u32>,
    pub(super) cause: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Problem {
    pub(super) fn new(status: StatusCode, slug: &'static str, title: &'static str, detail: impl Display) -> Self {
        let (detail, more) = (detail.to_string(), Box::default());
        Self { status, slug, title, detail, field: None, more, retry_after_s: None, cause: None }
    }

    pub(crate) fn detail(&self) -> &str {
        &self.detail
    }

    pub fn not_found() -> Self {
        // Says nothing of what was asked for: another customer's is answered like nobody's.
        Self::new(StatusCode::NOT_FOUND, "not-found", "No such resource", "There is nothing here for you.")
    }

    pub fn unauthorized(detail: impl Display) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", "The token is not accepted", detail)
    }

    pub fn forbidden(detail: impl Display) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", "The token does not allow this", detail)
    }

    pub fn unreadable(detail: impl Display) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "unreadable", "The request cannot be read", detail)
    }

    /// Well said, and makes no sense here.
    pub fn invalid(field: impl Into<String>, detail: impl Display) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", "The request cannot be granted", detail).at(field)
    }

    pub(super) fn unsupported(detail: impl Display) -> Self {
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-type", "The body is of another type", detail)
    }

    pub fn too_large(most: usize) -> Self {
        let detail = format!("At most {most} bytes are read.");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", "The body is too large", detail)
    }

    pub fn no_subscription() -> Self {
        let detail = "This customer has never ordered a plan.";
        Self::new(StatusCode::NOT_FOUND, "no-subscription", "There is no subscription", detail)
    }

    pub(super) fn key_reused(detail: impl Display) -> Self {
        Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "idempotency-key-reused",
            "The Idempotency-Key was used for another request",
            detail,
        )
        .at("Idempotency-Key")
    }

    #[must_use]
    pub fn at(self, field: impl Into<String>) -> Self {
        let field = field.into();
        Self { field: Some(field).filter(|field| !field.is_empty()), ..self }
    }

    pub(super) fn conflict(slug: &'static str, title: &'static str, detail: impl Display) -> Self {
        Self::new(StatusCode::CONFLICT, slug, title, detail)
    }

    pub(crate) fn unavailable(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        let detail = "Nothing was lost; the same request may be sent again.";
        let problem = Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "Try again later", detail);
        problem.because(cause).after(5)
    }

    /// The same request may succeed after so many seconds.
    pub(super) fn after(self, seconds: u32) -> Self {
        Self { retry_after_s: Some(seconds), ..self }
    }

    pub(super) fn because(self, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self { cause: Some(cause.into()), ..self }
    }

    pub(super) fn with(mut self, name: &str, value: Value) -> Self {
        self.more.insert(name.to_owned(), value);
        self
    }

    pub(crate) fn document(&self, request_id: Option<String>) -> Value {
        let mut document = json!({
            "type": format!("https://perennial.example/problems/{}", self.slug),
            "title": self.title,
            "status": self.status.as_u16(),
            "detail": self.detail,
        });
        if let Some(field) = &self.field {
            document["field"] = json!(field);
        }
        for (name, value) in self.more.iter() {
            document[name] = value.clone();
        }
        if let Some(id) = request_id {
            document["request_id"] = json!(id);
        }
        document
    }
}
