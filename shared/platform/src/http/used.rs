//! Which problem it is when usage is not taken: of a meter, or of tokens.

use super::Problem;
use billing::entitlement::Standing;
use billing::ports::StoreError;
use billing::workflow::{ConsumeError, MeterError, NotCounted, RebuildError, ReserveError, UsageError};
use lambda_http::http::StatusCode;
use serde_json::json;

impl From<UsageError> for Problem {
    fn from(error: UsageError) -> Self {
        match error {
            UsageError::Meter(error) => error.into(),
            UsageError::Store(error) => error.into(),
        }
    }
}

impl From<MeterError> for Problem {
    fn from(error: MeterError) -> Self {
        match error {
            MeterError::NoSuchMeter(_) => Self::not_found().at("meter"),
            MeterError::NotAGauge(_) | MeterError::NotACounter(_) | MeterError::Ambiguous(_) => {
                Self::invalid("meter", error)
            }
        }
    }
}

impl From<NotCounted> for Problem {
    fn from(refusal: NotCounted) -> Self {
        let detail = refusal.to_string();
        match refusal {
            NotCounted::NoSubscription => unserved(&detail),
            NotCounted::Meter(error) => error.into(),
            NotCounted::LimitReached(standing) => limit_reached(&standing, &detail),
            NotCounted::IdReused => id_reused(&detail),
            NotCounted::InFuture => Self::invalid("at", detail),
        }
    }
}

impl From<ReserveError> for Problem {
    fn from(error: ReserveError) -> Self {
        let detail = error.to_string();
        match error {
            ReserveError::NoSubscription => unserved(&detail),
            ReserveError::Meter(error) => error.into(),
            ReserveError::LimitReached(standing) => limit_reached(&standing, &detail),
            ReserveError::IdReused => id_reused(&detail),
            ReserveError::TooMany => {
                Self::conflict("too-many-reservations", "There are too many reservations", detail).at("id")
            }
            // Others were faster each time. The same again is what helps.
            ReserveError::Store(error @ (StoreError::Conflict | StoreError::Duplicate)) => Self::unavailable(error),
            ReserveError::Store(error) => error.into(),
        }
    }
}

impl From<RebuildError> for Problem {
    fn from(error: RebuildError) -> Self {
        let detail = error.to_string();
        match error {
            RebuildError::NoSubscription => unserved(&detail),
            RebuildError::Forgotten => Self::conflict("records-forgotten", "Not all of its records are kept", detail),
            RebuildError::Meter(error) => error.into(),
            // Others count each time. The same again, when they count less, is what helps.
            RebuildError::Store(error @ (StoreError::Conflict | StoreError::Duplicate)) => Self::unavailable(error),
            RebuildError::Store(error) => error.into(),
        }
    }
}

fn unserved(detail: &str) -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "no-subscription", "There is no subscription", detail)
}

fn limit_reached(standing: &Standing, detail: &str) -> Problem {
    let problem = Problem::new(StatusCode::FORBIDDEN, "limit-reached", "The limit is reached", detail).at("value");
    let problem = problem.with("used", json!(standing.used));
    let problem = match standing.reserved {
        0 => problem,
        reserved => problem.with("reserved", json!(reserved)),
    };
    problem.with("limit", json!(standing.limit)).with("remaining", json!(standing.remaining))
}

fn id_reused(detail: &str) -> Problem {
    Problem::conflict("usage-id-reused", "The id was used before", detail).at("id")
}

impl From<ConsumeError> for Problem {
    fn from(error: ConsumeError) -> Self {
        let detail = error.to_string();
        match error {
            ConsumeError::NoSubscription => Self::no_subscription(),
            ConsumeError::NotActive => {
                Self::new(StatusCode::BAD_REQUEST, "subscription-inactive", "The subscription is not active", detail)
            }
            ConsumeError::TooFew { balance, .. } => {
                let title = "There are not that many tokens";
                let problem = Self::new(StatusCode::PAYMENT_REQUIRED, "insufficient-tokens", title, detail);
                problem.at("tokens").with("balance", json!(balance))
            }
            ConsumeError::KeyReused => Self::key_reused(detail),
            // Others were faster each time. The same under the same key is what helps.
            ConsumeError::Store(error @ (StoreError::Conflict | StoreError::Duplicate)) => Self::unavailable(error),
            ConsumeError::Store(error) => error.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[test]
    fn tokens_that_cannot_be_consumed_say_why() {
        let told = |error: ConsumeError| {
            let said = Problem::from(error).document(None);
            (said["status"].clone(), said["type"].clone(), said["field"].clone(), said["balance"].clone())
        };
        let (wanted, null) = (std::num::NonZeroU32::MIN, Value::Null);
        let kind = |slug: &str| {
            Problem::from(StoreError::Conflict).document(None)["type"]
                .as_str()
                .map_or(Value::Null, |it| json!(it.replace("conflict", slug)))
        };
        assert_eq!(
            told(ConsumeError::TooFew { wanted, balance: 0 }),
            (json!(402), kind("insufficient-tokens"), json!("tokens"), json!(0))
        );
        let inactive = (json!(400), kind("subscription-inactive"), null.clone(), null.clone());
        assert_eq!(told(ConsumeError::NotActive), inactive);
        assert_eq!(told(ConsumeError::NoSubscription).0, json!(404));
        assert_eq!(told(ConsumeError::KeyReused).0, json!(422));
    }
}
