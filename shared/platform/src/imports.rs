//! A subscription that ran elsewhere, as a row of `POST /admin/imports` says it: what is to be taken over, and what each
//! gateway needs so that the next period can be charged to a method that was left with it before.

use crate::http::{Problem, fingerprint};
use crate::return_url;
use billing::calendar::zone::Zone;
use billing::calendar::{Interval, Period};
use billing::id::{CustomerId, PlanId};
use billing::mail::Contact;
use billing::money::Currency;
use billing::payment::Gateway;
use billing::wallet::{Card, Expiry, Instrument, Method};
use billing::workflow::TakeOver;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ImportRow {
    customer: CustomerId,
    plan: PlanId,
    interval: Interval,
    currency: Currency,
    #[serde(skip_serializing_if = "Option::is_none")]
    quantity: Option<u32>,
    period_start: Timestamp,
    period_end: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    anchor: Option<Timestamp>,
    /// What of the running period's price was paid elsewhere and may be credited here, in minor units.
    #[serde(skip_serializing_if = "Option::is_none")]
    paid_minor: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time_zone: Option<Zone>,
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gateway: Option<Gateway>,
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<ImportedMethod>,
}

/// A payment method of `gateway`, by the gateway's own names.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct ImportedMethod {
    /// Stripe: `pm_…`. Paystack: the authorization code. Flitt: the rectoken. PayPal: the vault id.
    token: String,
    /// Stripe: `cus_…`. Paystack: the e-mail that the authorization was given with. PayPal: its customer's id. Flitt: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    payer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    card: Option<ImportedCard>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct ImportedCard {
    brand: String,
    last4: String,
    /// `2027-04`
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<String>,
}

impl ImportRow {
    /// What is to be taken over, if the row says all that it takes.
    pub fn wanted(self, return_urls: &[String]) -> Result<TakeOver, Problem> {
        let fingerprint = fingerprint(&("import", &self))?;
        if self.quantity == Some(0) {
            return Err(Problem::invalid("quantity", "is at least 1"));
        }
        if self.period_start >= self.period_end {
            return Err(Problem::invalid("period_end", "is after `period_start`"));
        }
        let contact = contact(self.email, self.gateway, return_urls)?;
        let method = match (self.method, self.gateway) {
            (Some(method), Some(gateway)) => Some(method.of(gateway)?),
            (Some(_), None) => return Err(Problem::invalid("gateway", "is needed with `method`: whose it is")),
            (None, Some(_)) if contact.is_none() => {
                return Err(Problem::invalid("gateway", "is only of use with `method` or `email`"));
            }
            (None, _) => None,
        };
        Ok(TakeOver {
            customer: self.customer,
            contact,
            plan: self.plan,
            interval: self.interval,
            currency: self.currency,
            quantity: self.quantity,
            period: Period { start: self.period_start, end: self.period_end },
            anchor: self.anchor,
            paid: self.paid_minor.unwrap_or(0),
            tokens: self.tokens,
            method,
            fingerprint,
            time_zone: self.time_zone,
        })
    }
}

impl ImportedMethod {
    fn of(self, gateway: Gateway) -> Result<Method, Problem> {
        let wrong = |field: &str, detail: &str| Err(Problem::invalid(format!("method.{field}"), detail));
        let payer = self.payer.unwrap_or_default();
        match gateway {
            Gateway::Stripe if !self.token.starts_with("pm_") => return wrong("token", "is `pm_…` at Stripe"),
            Gateway::Stripe if !payer.starts_with("cus_") => return wrong("payer", "is needed: `cus_…` at Stripe"),
            Gateway::Paystack if !self.token.starts_with("AUTH_") => return wrong("token", "is `AUTH_…` at Paystack"),
            Gateway::Paystack if !is_email(&payer) => {
                return wrong("payer", "is needed: at Paystack the e-mail that the authorization was given with");
            }
            Gateway::PayPal if payer.is_empty() => return wrong("payer", "is needed: the customer's id at PayPal"),
            Gateway::Flitt if !payer.is_empty() => return wrong("payer", "is not taken: Flitt knows no customers"),
            Gateway::Flitt | Gateway::PayPal if self.token.is_empty() => return wrong("token", "is needed"),
            Gateway::Stripe | Gateway::Paystack | Gateway::Flitt | Gateway::PayPal => {}
        }
        let instrument = match (gateway, self.card) {
            (Gateway::PayPal, None) => Instrument::Account { label: None },
            (Gateway::PayPal, Some(_)) => return wrong("card", "is not taken: at PayPal it is an account"),
            (Gateway::Stripe | Gateway::Paystack | Gateway::Flitt, Some(card)) => Instrument::Card(card.known()?),
            (Gateway::Stripe | Gateway::Paystack | Gateway::Flitt, None) => {
                return wrong("card", "is needed: by what else would the customer know it?");
            }
        };
        Ok(Method { gateway, token: self.token, payer, instrument })
    }
}

impl ImportedCard {
    fn known(self) -> Result<Card, Problem> {
        if self.last4.len() != 4 || !self.last4.bytes().all(|it| it.is_ascii_digit()) {
            return Err(Problem::invalid("method.card.last4", "is four digits"));
        }
        let month = |text: &str| {
            let (year, month) = text.split_once('-').filter(|_| text.len() == 7)?;
            Expiry::new(year.parse().ok()?, month.parse().ok()?)
        };
        let expires = match self.expires.as_deref() {
            None => None,
            Some(text) => {
                Some(month(text).ok_or_else(|| Problem::invalid("method.card.expires", "is a month: `2027-04`"))?)
            }
        };
        Ok(Card { brand: self.brand, last4: self.last4, expires, fingerprint: None })
    }
}

/// How a customer is written to, if an address is known, and where they pay when they are asked to by mail.
pub(crate) fn contact(
    email: Option<String>,
    gateway: Option<Gateway>,
    return_urls: &[String],
) -> Result<Option<Contact>, Problem> {
    let Some(email) = email else { return Ok(None) };
    if !is_email(&email) {
        return Err(Problem::invalid("email", "is no e-mail address"));
    }
    let needed =
        || Problem::invalid("gateway", "is needed with `email`: where the customer pays when they are asked to");
    let gateway = gateway.ok_or_else(needed)?;
    Ok(Some(Contact { email, gateway, return_url: return_url::choose(return_urls, None)? }))
}

/// Enough to tell a name from an address: whether there is anybody, a mail will tell.
fn is_email(text: &str) -> bool {
    let parts = text.split_once('@').filter(|(name, host)| !name.is_empty() && host.contains('.'));
    parts.is_some() && text.len() <= 254 && !text.chars().any(|it| it.is_whitespace() || it.is_control())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn row(more: Value) -> Value {
        let mut row = json!({
            "customer": "acme", "plan": "estates-professional", "interval": "month", "currency": "NGN",
            "period_start": "2026-03-01T00:00:00Z", "period_end": "2026-04-01T00:00:00Z",
        });
        if let (Some(row), Some(more)) = (row.as_object_mut(), more.as_object()) {
            row.extend(more.clone());
        }
        row
    }

    fn wanted(more: Value) -> Result<TakeOver, String> {
        let read: ImportRow = serde_json::from_value(row(more)).unwrap_or_else(|error| panic!("{error}"));
        read.wanted(&[]).map_err(|problem| problem.field.unwrap_or_default())
    }

    fn field(more: &Value) -> String {
        wanted(more.clone()).map_or_else(|field| field, |wanted| format!("none: {wanted:?}"))
    }

    #[test]
    fn what_a_gateway_needs_to_charge_a_method_is_in_the_row_or_the_row_is_refused() {
        let card = json!({"brand": "visa", "last4": "4242", "expires": "2027-04"});
        let method = |gateway: &str, method: Value| json!({"gateway": gateway, "method": method});
        let cases = [
            (method("stripe", json!({"token": "card_1", "payer": "cus_1", "card": card})), "method.token"),
            (method("stripe", json!({"token": "pm_1", "card": card})), "method.payer"),
            (method("stripe", json!({"token": "pm_1", "payer": "cus_1"})), "method.card"),
            (method("paystack", json!({"token": "AUTH_1", "card": card})), "method.payer"),
            (method("paystack", json!({"token": "1", "payer": "a@acme.example", "card": card})), "method.token"),
            (method("flitt", json!({"token": "r1", "payer": "acme", "card": card})), "method.payer"),
            (method("flitt", json!({"token": "", "card": card})), "method.token"),
            (method("paypal", json!({"token": "v1"})), "method.payer"),
            (method("paypal", json!({"token": "v1", "payer": "p1", "card": card})), "method.card"),
            (method("flitt", json!({"token": "r1", "card": {"brand": "visa", "last4": "42"}})), "method.card.last4"),
            (
                method("flitt", json!({"token": "r1", "card": {"brand": "visa", "last4": "4242", "expires": "04/27"}})),
                "method.card.expires",
            ),
            (json!({"method": {"token": "pm_1"}}), "gateway"),
            (json!({"email": "billing@acme.example"}), "gateway"),
            (json!({"gateway": "stripe"}), "gateway"),
            (json!({"gateway": "stripe", "email": "acme"}), "email"),
            (json!({"quantity": 0}), "quantity"),
            (json!({"period_end": "2026-03-01T00:00:00Z"}), "period_end"),
        ];
        for (more, expected) in cases {
            assert_eq!(field(&more), expected, "{more}");
        }
        let good = [
            (method("stripe", json!({"token": "pm_1", "payer": "cus_1", "card": card})), "cus_1"),
            (method("paystack", json!({"token": "AUTH_1", "payer": "a@acme.example", "card": card})), "a@acme.example"),
            (method("flitt", json!({"token": "r1", "card": card})), ""),
            (method("paypal", json!({"token": "v1", "payer": "p1"})), "p1"),
        ];
        for (more, payer) in good {
            let wanted = wanted(more.clone()).unwrap_or_else(|field| panic!("{more}: {field}"));
            assert_eq!(wanted.method.map(|it| it.payer).as_deref(), Some(payer), "{more}");
        }
    }

    #[test]
    fn the_same_row_is_told_from_any_other_however_it_is_spelled() {
        let of = |more| wanted(more).map(|it| it.fingerprint).unwrap_or_else(|field| panic!("{field}"));
        assert_eq!(of(json!({})), of(json!({"period_start": "2026-03-01T01:00:00+01:00", "quantity": null})));
        assert_ne!(of(json!({})), of(json!({"quantity": 1})));
    }
}
