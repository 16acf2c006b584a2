//! Which problem each of the domain's errors is: one stable `type` a reason.

use super::problem::Problem;
use crate::gateways::WebhookError;
use crate::signing::SigningError;
use crate::view;
use billing::order::AddonRefusal;
use billing::payment::RefundRefusal;
use billing::ports::{GatewayError, StoreError};
use billing::subscription::{Refusal, Unfit};
use billing::workflow::{
    AdvanceClockError, ChangeError, CheckoutError, DowngradeError, ImportError, MethodError, NotForSale, RefundError,
    RequestError, TakeOverError, VerifyError,
};
use lambda_http::http::StatusCode;
use serde_json::{Value, json};

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
                problem.because(cause).after(5)
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

impl From<SigningError> for Problem {
    fn from(error: SigningError) -> Self {
        Self::unavailable(error)
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
            Refusal::NothingToPay => state("nothing-to-pay"),
            Refusal::ChangeScheduled => state("change-scheduled"),
            Refusal::Paused => state("paused"),
            Refusal::Trialing => state("trialing"),
            Refusal::ChargeRunning => state("charge-running"),
            Refusal::DrivenElsewhere => state("driven-elsewhere"),
            Refusal::Leaving => state("leaving"),
            Refusal::PaymentOwed => state("payment-owed"),
            Refusal::Disputed => state("disputed"),
            Refusal::NoMethod => state("no-payment-method"),
            Refusal::PreviewStale => Self::conflict("preview-stale", "The preview no longer holds", refusal),
            Refusal::NoTokens => state("no-tokens"),
            Refusal::NotRenewed => state("not-renewed"),
            Refusal::NotSold => state("not-sold"),
            Refusal::NoContact => state("no-contact"),
            Refusal::NoSuchBrand => Self::invalid("brand", refusal),
            Refusal::EndIsPast | Refusal::EndIsFar => Self::invalid("end", refusal),
            Refusal::TooManyDays => Self::invalid("days", refusal),
            Refusal::QuantityNotOne | Refusal::TooExpensive => Self::invalid("quantity", refusal),
            Refusal::NothingChanges | Refusal::OtherDirection => Self::invalid("action", refusal),
            Refusal::NotWithinPeriod => Self::invalid("effective", refusal),
        }
    }
}

impl From<NotForSale> for Problem {
    fn from(error: NotForSale) -> Self {
        match error {
            NotForSale::Plan(_) => Self::invalid("plan", error),
            NotForSale::Currency(_) => Self::invalid("currency", error),
            NotForSale::Interval(_) | NotForSale::SeveralPrices(_) => Self::invalid("interval", error),
        }
    }
}

impl From<RequestError> for Problem {
    fn from(error: RequestError) -> Self {
        let detail = error.to_string();
        match error {
            RequestError::NoSubscription => Self::no_subscription(),
            RequestError::KeyReused => Self::key_reused(detail),
            RequestError::Refused(refusal) => refusal.into(),
            RequestError::Store(error) => error.into(),
        }
    }
}

impl From<ChangeError> for Problem {
    fn from(error: ChangeError) -> Self {
        let detail = error.to_string();
        match error {
            ChangeError::NoSubscription => Self::no_subscription(),
            ChangeError::NotForSale(not_for_sale) => not_for_sale.into(),
            // A change keeps the currency: only the plan can be another.
            ChangeError::OtherFamily(..) | ChangeError::OtherCurrency(_) => Self::invalid("plan", detail),
            ChangeError::Addon(AddonRefusal::QuantityNotOne(_) | AddonRefusal::QuantityMissing(_))
            | ChangeError::QuantityMissing => Self::invalid("quantity", detail),
            ChangeError::Addon(AddonRefusal::NotOffered(_)) | ChangeError::NotThatMany(_) => {
                Self::invalid("addon", detail)
            }
            ChangeError::Coupon(refusal) => Self::invalid("coupon", refusal),
            ChangeError::Blocked(downgrade) => {
                let problem = Self::conflict("downgrade-blocked", "More is in use than the plan allows", detail);
                problem.with("exceeds", json!(downgrade.exceeds)).with("steps", json!(downgrade.steps))
            }
            ChangeError::Unconfirmed(downgrade) => {
                let problem = Self::conflict("confirmation-required", "The customer must confirm this", detail);
                problem.at("confirm").with("features_lost", json!(downgrade.features_lost))
            }
            ChangeError::Declined(payment) => {
                let status = StatusCode::PAYMENT_REQUIRED;
                let problem = Self::new(status, "payment-declined", "The payment was declined", detail);
                let for_change = payment.id.is_for_change();
                let mut payment = view::payment(&payment);
                if for_change {
                    // Whoever followed it would pay for a change that is made no more, and get that back.
                    payment["decline"]["link"] = Value::Null;
                }
                problem.with("payment", payment["id"].take()).with("decline", payment["decline"].take())
            }
            ChangeError::GivenBack => Self::conflict("payment-given-back", "The change was not made", detail),
            ChangeError::Meanwhile => StoreError::Conflict.into(),
            ChangeError::KeyReused => Self::key_reused(detail),
            ChangeError::Refused(refusal) => refusal.into(),
            ChangeError::Gateway(error) => error.into(),
            ChangeError::Store(error) => error.into(),
        }
    }
}

impl From<CheckoutError> for Problem {
    fn from(error: CheckoutError) -> Self {
        match error {
            CheckoutError::NotForSale(not_for_sale) => not_for_sale.into(),
            CheckoutError::Coupon(refusal) => Self::invalid("coupon", refusal),
            CheckoutError::NoSubscription => Self::no_subscription(),
            CheckoutError::KeyReused => Self::key_reused(error),
            CheckoutError::InProgress => {
                Self::conflict("in-progress", "The same request is still running", error).after(1)
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

impl From<TakeOverError> for Problem {
    fn from(error: TakeOverError) -> Self {
        match error {
            TakeOverError::NotForSale(not_for_sale) => not_for_sale.into(),
            TakeOverError::QuantityMissing => Self::invalid("quantity", error),
            TakeOverError::Unfit(Unfit::Refused(refusal)) | TakeOverError::Refused(refusal) => refusal.into(),
            TakeOverError::Unfit(Unfit::NotBegun) => Self::invalid("period_start", error),
            TakeOverError::Unfit(Unfit::Over | Unfit::Far) => Self::invalid("period_end", error),
            TakeOverError::Unfit(Unfit::TakenBefore) => {
                Self::conflict("imported-before", "It was imported before", error).at("period_end")
            }
            TakeOverError::Unfit(Unfit::Anchor) => Self::invalid("anchor", error),
            TakeOverError::Unfit(Unfit::PaidMore) => Self::invalid("paid_minor", error),
            TakeOverError::Unfit(Unfit::TokensMissing | Unfit::NoTokens) => Self::invalid("tokens", error),
            TakeOverError::Gateway(error) => error.into(),
            TakeOverError::Store(error) => error.into(),
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

impl From<DowngradeError> for Problem {
    fn from(error: DowngradeError) -> Self {
        match error {
            DowngradeError::NoSubscription => Self::no_subscription(),
            DowngradeError::Refused(refusal) => refusal.into(),
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
            AdvanceClockError::NotForward | AdvanceClockError::NoGoal => Self::invalid("by", error),
            AdvanceClockError::UnderWay(_) => Self::conflict("walk-under-way", "A walk is under way", error),
            AdvanceClockError::Store(error) => error.into(),
            AdvanceClockError::Queue(error) => Self::unavailable(error),
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

#[cfg(test)]
mod tests {
    use super::*;
    use billing::downgrade::downgrade;
    use billing::outcome::{Decline, Outcome, Remedy};
    use billing::testing::{family, instant, meter, off_session_payment, order, zone};

    fn document(error: ChangeError) -> Value {
        Problem::from(error).document(None)
    }

    fn slug(document: &Value) -> (u64, &str) {
        let kind = document["type"].as_str().unwrap_or_default();
        (document["status"].as_u64().unwrap_or_default(), kind.rsplit('/').next().unwrap_or_default())
    }

    #[test]
    fn a_change_that_is_refused_says_why_and_where() {
        let cases = [
            (Refusal::NothingChanges, 422, "invalid", json!("action")),
            (Refusal::ChangeScheduled, 409, "change-scheduled", Value::Null),
            (Refusal::OtherDirection, 422, "invalid", json!("action")),
            (Refusal::NotWithinPeriod, 422, "invalid", json!("effective")),
            (Refusal::Leaving, 409, "leaving", Value::Null),
            (Refusal::PaymentOwed, 409, "payment-owed", Value::Null),
            (Refusal::Disputed, 409, "disputed", Value::Null),
            (Refusal::ChargeRunning, 409, "charge-running", Value::Null),
            (Refusal::NoMethod, 409, "no-payment-method", Value::Null),
            (Refusal::PreviewStale, 409, "preview-stale", Value::Null),
            (Refusal::DrivenElsewhere, 409, "driven-elsewhere", Value::Null),
            (Refusal::Paused, 409, "paused", Value::Null),
            (Refusal::Trialing, 409, "trialing", Value::Null),
            (Refusal::NoTokens, 409, "no-tokens", Value::Null),
            (Refusal::NotRenewed, 409, "not-renewed", Value::Null),
            (Refusal::EndIsPast, 422, "invalid", json!("end")),
            (Refusal::EndIsFar, 422, "invalid", json!("end")),
            (Refusal::NoSuchBrand, 422, "invalid", json!("brand")),
            (Refusal::TooManyDays, 422, "invalid", json!("days")),
        ];
        for (refusal, status, kind, field) in cases {
            let said = document(refusal.into());
            assert_eq!((slug(&said), &said["field"]), ((status, kind), &field), "{refusal}");
            assert_eq!(said["detail"], refusal.to_string());
        }
        assert_eq!(slug(&document(ChangeError::Meanwhile)), (409, "conflict"));
        assert_eq!(slug(&document(ChangeError::KeyReused)), (422, "idempotency-key-reused"));
    }

    #[test]
    fn a_downgrade_that_is_not_made_says_what_to_reduce_or_what_is_lost() {
        let then = zone("UTC").clocks(instant("2025-02-28T10:00:00Z"));
        let (from, wanted) = (order("minutes-enterprise"), order("minutes-starter"));
        let lost = downgrade(&from, &wanted, &family("minutes"), &[].into(), Some(&then));
        let said = document(ChangeError::Unconfirmed(Box::new(lost)));
        assert_eq!(slug(&said), (409, "confirmation-required"));
        assert_eq!((&said["field"], &said["features_lost"]), (&json!("confirm"), &json!(["analytics", "api_access"])));

        let (from, wanted) = (order("estates-professional"), order("estates-starter"));
        let blocked = downgrade(&from, &wanted, &family("estates"), &[(meter("estates"), 26)].into(), Some(&then));
        let said = document(ChangeError::Blocked(Box::new(blocked)));
        assert_eq!(slug(&said), (409, "downgrade-blocked"));
        assert_eq!(said["exceeds"], json!([{"resource": "estates", "current": 26, "limit": 25, "overage": 1}]));
        assert_eq!(said["steps"][1], "Or stay on Professional");
    }

    #[test]
    fn a_decline_is_told_with_what_helps() {
        let declined = Outcome::Declined(Decline::new("insufficient_funds", Remedy::RetryLater));
        let settled = off_session_payment().settle(declined, instant("2025-02-14T10:00:00Z"));
        let (payment, _) = settled.unwrap_or_else(|| panic!("nothing new"));
        let id = json!(payment.id);
        let said = document(ChangeError::Declined(Box::new(payment)));
        assert_eq!((slug(&said), &said["payment"]), ((402, "payment-declined"), &id));
        let decline = json!({"code": "insufficient_funds", "remedy": "retry_later", "link": null});
        assert_eq!(said["decline"], decline);
    }
}
