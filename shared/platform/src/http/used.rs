//! Which problem it is when usage is not taken: of a meter, or of tokens.

use super::Problem;
use billing::ports::StoreError;
use billing::workflow::{ConsumeError, MeterError, NotCounted, UsageError};
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
            MeterError::NoSuchMeter(_) => Self::not_found(),
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
            NotCounted::NoSubscription => {
                Self::new(StatusCode::NOT_FOUND, "no-subscription", "There is no subscription", detail)
            }
            NotCounted::Meter(error) => error.into(),
            NotCounted::LimitReached(standing) => {
                let problem = Self::new(StatusCode::FORBIDDEN, "limit-reached", "The limit is reached", detail);
                let limit = [("used", json!(standing.used)), ("limit", json!(standing.limit))];
                let problem = limit.into_iter().fold(problem.at("value"), |it, (name, value)| it.with(name, value));
                problem.with("remaining", json!(standing.remaining))
            }
            NotCounted::IdReused => Self::conflict("usage-id-reused", "The id was used before", detail).at("id"),
            NotCounted::InFuture => Self::invalid("at", detail),
        }
    }
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
