//! Problem documents: what a client is told when it does not get what it asked
//! for, one stable `type` a reason.

use crate::gateways::WebhookError;
use billing::payment::RefundRefusal;
use billing::ports::{GatewayError, StoreError};
use billing::subscription::Refusal;
use billing::workflow::{
    AdvanceClockError, CheckoutError, DowngradeError, ImportError, MethodError, RefundError, UsageError, VerifyError,
};
use lambda_http::http::StatusCode;
use serde_json::{Value, json};
use std::fmt::Display;

/// What the client is told. The cause is for the log and never leaves it.
#[derive(Debug)]
pub struct Problem {
    pub(crate) status: StatusCode,
    pub(super) slug: &'static str,
    pub(super) title: &'static str,
    detail: String,
    /// The part of the request that is wrong.
    pub(super) field: Option<String>,
    pub(super) retry_after_s: Option<u32>,
    pub(super) cause: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Problem {
    fn new(status: StatusCode, slug: &'static str, title: &'static str, detail: impl Display) -> Self {
        Self { status, slug, title, detail: detail.to_string(), field: None, retry_after_s: None, cause: None }
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

    fn key_reused(detail: impl Display) -> Self {
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

    fn conflict(slug: &'static str, title: &'static str, detail: impl Display) -> Self {
        Self::new(StatusCode::CONFLICT, slug, title, detail)
    }

    fn unavailable(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        let detail = "Nothing was lost; the same request may be sent again.";
        let problem = Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "Try again later", detail);
        Self { retry_after_s: Some(5), cause: Some(cause.into()), ..problem }
    }

    fn because(self, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self { cause: Some(cause.into()), ..self }
    }

    pub(super) fn document(&self, request_id: Option<String>) -> Value {
        let mut document = json!({
            "type": format!("https://perennial.example/problems/{}", self.slug),
            "title": self.title,
            "status": self.status.as_u16(),
            "detail": self.detail,
        });
        if let Some(field) = &self.field {
            document["field"] = json!(field);
        }
        if let Some(id) = request_id {
            document["request_id"] = json!(id);
        }
        document
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Duplicate | StoreError::Conflict => {
                Self::conflict("conflict", "Changed concurrently", "Read again and decide again.")
            }
            StoreError::Unavailable(cause) => Self::unavailable(cause),
        }
    }
}

impl From<GatewayError> for Problem {
    fn from(error: GatewayError) -> Self {
        match error {
            GatewayError::NoAnswer(cause) => {
                let detail = "The gateway did not answer. The same request may be sent again.";
                let problem = Self::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "gateway-unavailable",
                    "No answer from the gateway",
                    detail,
                );
                Self { retry_after_s: Some(5), ..problem.because(cause) }
            }
            GatewayError::Unacceptable { field, problem } => Self::invalid(field, problem),
            GatewayError::NotConfigured(_) => Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "gateway-not-configured",
                "The gateway is not configured",
                &error,
            )
            .at("gateway"),
            GatewayError::OpenedBefore => Self::conflict(
                "checkout-lost",
                "The checkout's address was lost",
                "The gateway opened this checkout and will not tell its address again. Nobody can have paid it: \
                 start another one with a new Idempotency-Key.",
            ),
            GatewayError::Rejected(_) => {
                let detail = "The gateway refused what was sent to it. Nothing was charged.";
                Self::new(StatusCode::BAD_GATEWAY, "gateway-refused", "The gateway refused", detail).because(error)
            }
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let state = |slug| Self::conflict(slug, "The subscription does not allow this", refusal);
        match refusal {
            Refusal::Ended => state("ended"),
            Refusal::NotActive => state("not-active"),
            Refusal::AlreadySubscribed => state("already-subscribed"),
            Refusal::NothingOwed => state("nothing-owed"),
            Refusal::ChargeRunning => state("charge-running"),
            Refusal::DrivenElsewhere => state("driven-elsewhere"),
            Refusal::QuantityNotOne | Refusal::TooExpensive => Self::invalid("quantity", refusal),
        }
    }
}

impl From<CheckoutError> for Problem {
    fn from(error: CheckoutError) -> Self {
        match error {
            CheckoutError::NoSuchPlan(_) => Self::invalid("plan", error),
            CheckoutError::NoSuchPrice { .. } => Self::invalid("currency", error),
            CheckoutError::NoSubscription => Self::no_subscription(),
            CheckoutError::KeyReused => Self::key_reused(error),
            CheckoutError::InProgress => {
                let problem = Self::conflict("in-progress", "The same request is still running", error);
                Self { retry_after_s: Some(1), ..problem }
            }
            CheckoutError::Refused(refusal) => refusal.into(),
            CheckoutError::Gateway(error) => error.into(),
            CheckoutError::Store(error) => error.into(),
        }
    }
}

impl From<ImportError> for Problem {
    fn from(error: ImportError) -> Self {
        match error {
            ImportError::NotThere | ImportError::Over | ImportError::UnknownPrice(_) => {
                Self::invalid("subscription", error)
            }
            ImportError::ImportedBefore => Self::conflict("imported-before", "It was imported before", error),
            ImportError::Refused(refusal) => refusal.into(),
            ImportError::Gateway(error) => error.into(),
            ImportError::Store(error) => error.into(),
        }
    }
}

impl From<VerifyError> for Problem {
    fn from(error: VerifyError) -> Self {
        match error {
            VerifyError::NoPayment => Self::not_found(),
            VerifyError::Gateway(error) => error.into(),
            VerifyError::Store(error) => error.into(),
        }
    }
}

impl From<MethodError> for Problem {
    fn from(error: MethodError) -> Self {
        match error {
            MethodError::NoMethod => Self::not_found(),
            MethodError::Store(error) => error.into(),
        }
    }
}

impl From<RefundRefusal> for Problem {
    fn from(refusal: RefundRefusal) -> Self {
        let state = |slug| Self::conflict(slug, "The payment does not allow this", refusal);
        match refusal {
            RefundRefusal::NotPaid => state("not-paid"),
            RefundRefusal::Disputed => state("disputed"),
            RefundRefusal::MoreThanLeft(..=0) => state("nothing-left"),
            RefundRefusal::Spent(_) => state("spent"),
            RefundRefusal::MoreThanLeft(_) | RefundRefusal::OtherCurrency | RefundRefusal::Nothing => {
                Self::invalid("amount", refusal)
            }
        }
    }
}

impl From<RefundError> for Problem {
    fn from(error: RefundError) -> Self {
        match error {
            RefundError::NoPayment => Self::not_found(),
            RefundError::Refused(refusal) => refusal.into(),
            RefundError::KeyReused => Self::key_reused(error),
            RefundError::Failed(_) => Self::conflict("refund-failed", "The gateway gave nothing back", error),
            RefundError::Store(error) => error.into(),
        }
    }
}

impl From<UsageError> for Problem {
    fn from(error: UsageError) -> Self {
        match error {
            UsageError::NoSuchMeter(_) => Self::not_found(),
            UsageError::NotAGauge(_) | UsageError::Ambiguous(_) => Self::invalid("meter", error),
            UsageError::Store(error) => error.into(),
        }
    }
}

impl From<DowngradeError> for Problem {
    fn from(error: DowngradeError) -> Self {
        match error {
            DowngradeError::NoSubscription => Self::no_subscription(),
            DowngradeError::NoSuchPlan(_) | DowngradeError::OtherFamily(..) | DowngradeError::NotLower(_) => {
                Self::invalid("plan", error)
            }
            DowngradeError::Store(error) => error.into(),
        }
    }
}

impl From<AdvanceClockError> for Problem {
    fn from(error: AdvanceClockError) -> Self {
        match error {
            AdvanceClockError::NotForward => Self::invalid("by", error),
            AdvanceClockError::Store(error) => error.into(),
        }
    }
}

impl From<WebhookError> for Problem {
    fn from(error: WebhookError) -> Self {
        let (status, detail) = match error {
            WebhookError::Unsigned | WebhookError::Forged | WebhookError::Stale => {
                (StatusCode::UNAUTHORIZED, "The signature does not vouch for it.")
            }
            WebhookError::Malformed(_) => (StatusCode::BAD_REQUEST, "It is not what the gateway documents."),
            // The gateway is to come back: the keys may be there by then.
            WebhookError::NoKeys(_) => (StatusCode::SERVICE_UNAVAILABLE, "It cannot be verified at present."),
        };
        Self::new(status, "webhook-rejected", "The delivery was not accepted", detail).because(error)
    }
}
