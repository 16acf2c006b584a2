//! What PayPal's answers hold, as far as we read them.
//! <https://developer.paypal.com/docs/api/orders/v2/>,
//! <https://developer.paypal.com/docs/api/payments/v2/>,
//! <https://developer.paypal.com/docs/api/payment-tokens/v3/>,
//! <https://developer.paypal.com/docs/api/customer-disputes/v1/>

use super::amounts::Amount;
use billing::ports::GatewayError;
use serde::Deserialize;

#[derive(Debug, Default, Deserialize)]
pub(super) struct Order {
    pub(super) id: String,
    pub(super) status: Option<String>,
    pub(super) update_time: Option<String>,
    #[serde(default)]
    pub(super) purchase_units: Vec<Unit>,
    pub(super) payment_source: Option<Source>,
    #[serde(default)]
    pub(super) links: Vec<Link>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Unit {
    pub(super) custom_id: Option<String>,
    #[serde(default)]
    pub(super) payments: Payments,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Payments {
    #[serde(default)]
    pub(super) captures: Vec<Capture>,
    #[serde(default)]
    pub(super) refunds: Vec<Refund>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Capture {
    pub(super) id: String,
    pub(super) status: Option<String>,
    pub(super) amount: Option<Amount>,
    pub(super) custom_id: Option<String>,
    pub(super) status_details: Option<Details>,
    pub(super) processor_response: Option<Processor>,
    pub(super) supplementary_data: Option<Supplement>,
    #[serde(default)]
    pub(super) links: Vec<Link>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Refund {
    pub(super) id: String,
    pub(super) status: Option<String>,
    pub(super) amount: Option<Amount>,
    pub(super) invoice_id: Option<String>,
    pub(super) status_details: Option<Details>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Details {
    pub(super) reason: Option<String>,
}

/// What the bank behind a card said.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Processor {
    pub(super) response_code: Option<String>,
    pub(super) payment_advice_code: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Supplement {
    #[serde(default)]
    pub(super) related_ids: Related,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Related {
    pub(super) order_id: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Source {
    pub(super) paypal: Option<Account>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Account {
    pub(super) account_id: Option<String>,
    pub(super) email_address: Option<String>,
    pub(super) attributes: Option<Attributes>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Attributes {
    pub(super) vault: Option<Vault>,
}

/// `id` may come later than the rest, or by webhook alone.
#[derive(Debug, Deserialize)]
pub(super) struct Vault {
    pub(super) id: Option<String>,
    pub(super) customer: Option<Customer>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Customer {
    pub(super) id: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct SetupToken {
    pub(super) id: String,
    pub(super) status: Option<String>,
    #[serde(default)]
    pub(super) links: Vec<Link>,
}

#[derive(Debug, Deserialize)]
pub(super) struct PaymentToken {
    pub(super) id: String,
    pub(super) customer: Option<Customer>,
    pub(super) payment_source: Option<Source>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Disputes {
    /// The newest first.
    #[serde(default)]
    pub(super) items: Vec<Dispute>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Dispute {
    pub(super) dispute_id: String,
    pub(super) reason: Option<String>,
    pub(super) status: Option<String>,
    /// A list may leave it out.
    pub(super) dispute_outcome: Option<DisputeOutcome>,
}

#[derive(Debug, Deserialize)]
pub(super) struct DisputeOutcome {
    pub(super) outcome_code: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Link {
    #[serde(default)]
    pub(super) rel: String,
    #[serde(default)]
    pub(super) href: String,
}

/// The address among `links` that is called one of `relations`.
pub(super) fn address(links: &[Link], relations: &[&str]) -> Option<String> {
    links.iter().find(|link| relations.contains(&link.rel.as_str())).map(|link| link.href.clone())
}

/// What a link leads to, by the last part of its address.
pub(super) fn linked_id(href: &str) -> Option<String> {
    let path = href.split(['?', '#']).next().unwrap_or_default();
    path.rsplit('/').next().filter(|id| is_id(id)).map(str::to_owned)
}

/// Whether a text that came from outside may stand in the path of a request.
pub(super) fn is_id(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

/// A refusal; the token endpoint words its own as OAuth does.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Refused {
    name: Option<String>,
    error: Option<String>,
    debug_id: Option<String>,
    #[serde(default)]
    details: Vec<Issue>,
    #[serde(default)]
    links: Vec<Link>,
}

#[derive(Debug, Deserialize)]
struct Issue {
    issue: Option<String>,
}

impl Refused {
    /// The most exact word for why.
    pub(super) fn issue(&self) -> &str {
        let issue = self.details.iter().find_map(|detail| detail.issue.as_deref());
        issue.or(self.name.as_deref()).or(self.error.as_deref()).unwrap_or("without a reason")
    }

    /// In PayPal's own words: a 404 may also be somebody's on the way.
    pub(super) fn is_not_found(&self) -> bool {
        self.name.as_deref() == Some("RESOURCE_NOT_FOUND")
    }

    /// Where the customer can mend it.
    pub(super) fn way_out(&self) -> Option<String> {
        address(&self.links, &["payer-action", "redirect", "approve"])
    }

    /// With what PayPal's support asks for.
    pub(super) fn rejected(&self) -> GatewayError {
        GatewayError::Rejected(match &self.debug_id {
            Some(debug_id) => format!("{} (debug id {debug_id})", self.issue()),
            None => self.issue().to_owned(),
        })
    }
}
