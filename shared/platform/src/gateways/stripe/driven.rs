//! Subscriptions that Stripe itself drives. <https://docs.stripe.com/api/subscriptions>

use super::outcome::method;
use super::wire::{Expandable, Intent, List, PaymentMethod};
use super::{Stripe, declines};
use crate::gateways::access::no_answer;
use billing::calendar::{Interval, Period};
use billing::catalog;
use billing::driven::{Seen, Standing};
use billing::id::PlanId;
use billing::money::{Currency, Money};
use billing::outcome::Decline;
use billing::ports::GatewayError;
use billing::subscription::CancelReason;
use billing::wallet::Method;
use jiff::Timestamp;
use serde::Deserialize;

/// What is read with a subscription.
const EXPANDED: &str = "expand[]=customer.invoice_settings.default_payment_method&expand[]=default_payment_method\
                        &expand[]=latest_invoice";

impl Stripe {
    pub(in crate::gateways) async fn driven(&self, id: &str) -> Result<Option<Seen>, GatewayError> {
        // What a person typed becomes part of an address.
        let is_one = id.starts_with("sub_") && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if !is_one {
            return Ok(None);
        }
        let path = format!("/v1/subscriptions/{id}?{EXPANDED}");
        let Some(subscription) = self.get::<Subscription>(&path).await? else { return Ok(None) };
        let decline = match subscription.unpaid() {
            Some(invoice) => self.decline(&invoice.id).await?,
            None => None,
        };
        subscription.seen(decline).map(Some)
    }

    /// Why the invoice was not paid when it was last tried. It names its payments only where it is asked for by itself.
    async fn decline(&self, invoice: &str) -> Result<Option<Decline>, GatewayError> {
        let path = format!("/v1/invoices/{invoice}?expand[]=payments.data.payment.payment_intent");
        let invoice: Option<Invoice> = self.get(&path).await?;
        let payments = invoice.and_then(|invoice| invoice.payments).unwrap_or_default().data;
        let intents = payments.into_iter().filter_map(|it| it.payment?.payment_intent?.into_object());
        let error = intents.filter_map(|intent: Intent| intent.last_payment_error).next();
        Ok(error.map(|error| declines::decline(&error)))
    }
}

#[derive(Deserialize)]
struct Subscription {
    id: String,
    status: String,
    customer: Expandable<Payer>,
    items: List<Item>,
    #[serde(default)]
    cancel_at_period_end: bool,
    cancel_at: Option<i64>,
    canceled_at: Option<i64>,
    ended_at: Option<i64>,
    cancellation_details: Option<Cancellation>,
    default_payment_method: Option<Expandable<PaymentMethod>>,
    latest_invoice: Option<Expandable<Invoice>>,
}

#[derive(Deserialize)]
struct Payer {
    id: String,
    invoice_settings: Option<InvoiceSettings>,
}

#[derive(Deserialize)]
struct InvoiceSettings {
    default_payment_method: Option<Expandable<PaymentMethod>>,
}

#[derive(Deserialize)]
struct Item {
    current_period_start: i64,
    current_period_end: i64,
    quantity: Option<u32>,
    price: Price,
}

#[derive(Deserialize)]
struct Price {
    id: String,
    currency: String,
    unit_amount: Option<i64>,
    recurring: Option<Recurring>,
    lookup_key: Option<String>,
    #[serde(default)]
    metadata: Marks,
}

#[derive(Deserialize)]
struct Recurring {
    interval: String,
    interval_count: u16,
    usage_type: Option<String>,
}

#[derive(Default, Deserialize)]
struct Marks {
    plan: Option<String>,
}

#[derive(Deserialize)]
struct Cancellation {
    reason: Option<String>,
}

#[derive(Deserialize)]
struct Invoice {
    id: String,
    status: Option<String>,
    #[serde(default)]
    attempt_count: u32,
    next_payment_attempt: Option<i64>,
    payments: Option<List<InvoicePayment>>,
}

#[derive(Deserialize)]
struct InvoicePayment {
    payment: Option<PaidBy>,
}

#[derive(Deserialize)]
struct PaidBy {
    payment_intent: Option<Expandable<Intent>>,
}

impl Subscription {
    /// The invoice that was tried and is not paid.
    fn unpaid(&self) -> Option<&Invoice> {
        let invoice = self.latest_invoice.as_ref().and_then(Expandable::object)?;
        (invoice.status.as_deref() != Some("paid") && invoice.attempt_count > 0).then_some(invoice)
    }

    fn seen(self, decline: Option<Decline>) -> Result<Seen, GatewayError> {
        let odd = |what: &str| GatewayError::NoAnswer(format!("a subscription {what}").into());
        let item = self.items.data.first().ok_or_else(|| odd("to nothing"))?;
        let period = Period { start: instant(item.current_period_start)?, end: instant(item.current_period_end)? };
        let again_at = self.unpaid().and_then(|invoice| invoice.next_payment_attempt).map(instant).transpose()?;
        let ended_at = self.ended_at.or(self.canceled_at).map_or(Ok(period.end), instant)?;
        let ends_with_period =
            self.cancel_at_period_end || self.cancel_at.is_some_and(|at| at <= item.current_period_end);
        let standing = match self.status.as_str() {
            "incomplete" => Standing::Incomplete,
            "active" | "trialing" => Standing::Running { ends_with_period },
            "past_due" => Standing::Owing { again_at },
            "unpaid" | "paused" => Standing::Suspended,
            "incomplete_expired" => Standing::Over { at: ended_at, reason: CancelReason::Unpaid },
            "canceled" => Standing::Over { at: ended_at, reason: self.reason() },
            _ => return Err(odd("in a status that nobody told us of")),
        };
        // Of several things at once no plan of ours is made.
        let only = self.items.data.len() == 1 && !self.items.has_more;
        Ok(Seen {
            standing,
            period,
            price_id: item.price.id.clone(),
            plan: item.price.plan().filter(|_| only),
            price: item.price.price().filter(|_| only),
            quantity: item.quantity.unwrap_or(1),
            attempts: self.unpaid().map_or(0, |invoice| invoice.attempt_count),
            decline,
            payer: self.customer.id(),
            id: self.id.clone(),
            method: self.method(),
        })
    }

    fn reason(&self) -> CancelReason {
        match self.cancellation_details.as_ref().and_then(|details| details.reason.as_deref()) {
            Some("payment_failed") => CancelReason::Unpaid,
            Some("payment_disputed") => CancelReason::Disputed,
            Some(_) | None => CancelReason::Requested,
        }
    }

    /// What is charged: the subscription's own method, or else the one of who pays.
    fn method(self) -> Option<Method> {
        let payer = self.customer.id();
        let settings = self.customer.into_object().and_then(|payer| payer.invoice_settings);
        let of_payer = settings.and_then(|settings| settings.default_payment_method);
        let left = self.default_payment_method.or(of_payer)?.into_object()?;
        method(Some(payer), Some(left.id), left.card)
    }
}

impl Expandable<Payer> {
    fn id(&self) -> String {
        match self {
            Self::Object(payer) => payer.id.clone(),
            Self::Id(id) => id.clone(),
        }
    }
}

impl Price {
    /// As the prices are marked that follow our plans; or, for one that was made by hand, by its key:
    /// `estates-starter:ngn:month`.
    fn plan(&self) -> Option<PlanId> {
        let key = || self.lookup_key.as_deref()?.split_once(':').map(|(plan, _)| plan.to_owned());
        self.metadata.plan.clone().or_else(key).and_then(|plan| PlanId::try_from(plan).ok())
    }

    /// None: not so much for so long.
    fn price(&self) -> Option<catalog::Price> {
        let currency = Currency::from_code(&self.currency.to_ascii_uppercase())?;
        let Recurring { interval, interval_count, usage_type } = self.recurring.as_ref()?;
        if usage_type.as_deref().is_some_and(|usage| usage != "licensed") {
            return None;
        }
        let interval = match (interval.as_str(), *interval_count) {
            ("day", days) => Interval::Days(days),
            ("week", weeks) => Interval::Weeks(weeks),
            ("month", 12) => Interval::Year,
            ("month", months) => Interval::Months(months),
            ("year", years) => Interval::Years(years),
            _ => return None,
        };
        Some(catalog::Price::plain(interval, Money::new(self.unit_amount?, currency), true))
    }
}

fn instant(second: i64) -> Result<Timestamp, GatewayError> {
    Timestamp::from_second(second).map_err(no_answer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use billing::outcome::Remedy;
    use serde_json::{Value, json};

    fn seen(change: impl FnOnce(&mut Value)) -> Result<Seen, GatewayError> {
        let mut subscription = json!({
            "id": "sub_1", "object": "subscription", "status": "active", "customer": {"id": "cus_1",
                "invoice_settings": {"default_payment_method": {"id": "pm_2", "card": {"last4": "1881"}}}},
            "cancel_at_period_end": false, "cancel_at": null, "canceled_at": null, "ended_at": null,
            "cancellation_details": {"reason": null}, "default_payment_method": {"id": "pm_1", "card": {"last4": "4242"}},
            "latest_invoice": {"id": "in_1", "status": "paid", "attempt_count": 1, "next_payment_attempt": null},
            "items": {"has_more": false, "data": [{"current_period_start": 1_000, "current_period_end": 2_000,
                "quantity": 3, "price": {"id": "price_1", "currency": "usd", "unit_amount": 1_500,
                    "recurring": {"interval": "month", "interval_count": 1, "usage_type": "licensed"},
                    "lookup_key": "minutes-pro:usd:month", "metadata": {}}}]},
        });
        change(&mut subscription);
        let subscription: Subscription = serde_json::from_value(subscription).unwrap_or_else(|error| panic!("{error}"));
        subscription.seen(Some(Decline::new("insufficient_funds", Remedy::RetryLater)))
    }

    fn told(change: impl FnOnce(&mut Value)) -> Seen {
        seen(change).unwrap_or_else(|error| panic!("{error}"))
    }

    fn at(second: i64) -> Timestamp {
        instant(second).unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn every_status_has_a_meaning_and_a_new_word_is_no_answer() {
        let over = |at, reason| Standing::Over { at, reason };
        let cases = [
            ("incomplete", Standing::Incomplete),
            ("trialing", Standing::Running { ends_with_period: false }),
            ("active", Standing::Running { ends_with_period: false }),
            ("past_due", Standing::Owing { again_at: None }),
            ("unpaid", Standing::Suspended),
            ("paused", Standing::Suspended),
            ("incomplete_expired", over(at(2_000), CancelReason::Unpaid)),
            ("canceled", over(at(2_000), CancelReason::Requested)),
        ];
        for (status, expected) in cases {
            assert_eq!(told(|it| it["status"] = status.into()).standing, expected, "{status}");
        }
        assert!(matches!(seen(|it| it["status"] = "something_new".into()), Err(GatewayError::NoAnswer(_))));
    }

    #[test]
    fn it_ends_with_its_period_or_on_its_date_for_its_reason() {
        for cancel in [json!({"cancel_at_period_end": true}), json!({"cancel_at": 2_000})] {
            let leaving = told(|it| {
                it.as_object_mut().into_iter().for_each(|it| it.extend(cancel.as_object().cloned().unwrap_or_default()))
            });
            assert_eq!(leaving.standing, Standing::Running { ends_with_period: true }, "{cancel}");
        }
        let later = told(|it| it["cancel_at"] = 2_001.into());
        assert_eq!(later.standing, Standing::Running { ends_with_period: false });
        let reasons = [("payment_failed", CancelReason::Unpaid), ("payment_disputed", CancelReason::Disputed)];
        for (reason, expected) in reasons {
            let ended = told(|it| {
                (it["status"], it["ended_at"], it["canceled_at"]) = ("canceled".into(), 1_500.into(), 1_100.into());
                it["cancellation_details"]["reason"] = reason.into();
            });
            assert_eq!(ended.standing, Standing::Over { at: at(1_500), reason: expected });
        }
    }

    #[test]
    fn what_is_owed_says_how_often_it_was_tried_and_when_it_is_again() {
        let owing = told(|it| {
            it["status"] = "past_due".into();
            it["latest_invoice"] =
                json!({"id": "in_2", "status": "open", "attempt_count": 2, "next_payment_attempt": 1_700});
        });
        assert_eq!((owing.standing, owing.attempts), (Standing::Owing { again_at: Some(at(1_700)) }, 2));
        assert_eq!(told(|_| {}).attempts, 0, "what was paid is owed no more");
    }

    #[test]
    fn a_price_is_of_a_plan_by_its_mark_or_its_key() {
        let plan =
            |change: fn(&mut Value)| told(|it| change(&mut it["items"]["data"][0]["price"])).plan.map(String::from);
        assert_eq!(plan(|_| {}).as_deref(), Some("minutes-pro"));
        assert_eq!(plan(|it| it["metadata"]["plan"] = "minutes-max".into()).as_deref(), Some("minutes-max"));
        assert_eq!(plan(|it| it["lookup_key"] = "gold".into()), None);
        assert_eq!(plan(|it| it["lookup_key"] = Value::Null), None);
    }

    #[test]
    fn a_price_is_so_much_for_so_long_or_none() {
        let interval = |interval: &str, count: u16| {
            let price = told(|it| {
                let recurring = json!({"interval": interval, "interval_count": count, "usage_type": "licensed"});
                it["items"]["data"][0]["price"]["recurring"] = recurring;
            });
            price.price.map(|price| price.interval.to_string())
        };
        let cases = [
            ("month", 1, Some("month")),
            ("month", 12, Some("year")),
            ("year", 1, Some("year")),
            ("day", 30, Some("30_days")),
            ("week", 2, Some("2_weeks")),
            ("month", 3, Some("3_months")),
            ("century", 1, None),
        ];
        for (unit, count, expected) in cases {
            assert_eq!(interval(unit, count).as_deref(), expected, "{count} {unit}");
        }
        let whole = told(|_| {});
        assert_eq!((whole.price.map(|price| price.amount.minor), whole.quantity), (Some(1_500), 3));
        let metered = told(|it| it["items"]["data"][0]["price"]["recurring"]["usage_type"] = "metered".into());
        let tiered = told(|it| it["items"]["data"][0]["price"]["unit_amount"] = Value::Null);
        let two = told(|it| {
            let item = it["items"]["data"][0].clone();
            it["items"]["data"] = json!([item, item]);
        });
        assert_eq!([metered.price, tiered.price, two.price], [None, None, None]);
    }

    #[test]
    fn what_is_charged_is_its_own_method_or_the_one_of_who_pays() {
        let token = |seen: Seen| seen.method.map(|method| (method.token, method.payer));
        assert_eq!(token(told(|_| {})), Some(("pm_1".to_owned(), "cus_1".to_owned())));
        let of_payer = told(|it| it["default_payment_method"] = Value::Null);
        assert_eq!(token(of_payer), Some(("pm_2".to_owned(), "cus_1".to_owned())));
        let gone = told(|it| (it["default_payment_method"], it["customer"]) = (Value::Null, "cus_1".into()));
        assert_eq!(gone.method, None);
    }
}
