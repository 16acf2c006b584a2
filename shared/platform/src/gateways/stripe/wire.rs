//! What Stripe says, with the fields that are read. Lenient: fields and words
//! come without notice.

use serde::Deserialize;
use serde::de::DeserializeOwned;

#[derive(Deserialize)]
pub(super) struct Named {
    pub(super) id: String,
}

#[derive(Deserialize)]
pub(super) struct List<T> {
    pub(super) data: Vec<T>,
    pub(super) has_more: bool,
}

impl<T> Default for List<T> {
    fn default() -> Self {
        Self { data: vec![], has_more: false }
    }
}

/// What comes in lists, whose next page begins after an id.
pub(super) trait Listed: DeserializeOwned + Send {
    fn id(&self) -> &str;
}

impl Listed for Intent {
    fn id(&self) -> &str {
        &self.id
    }
}

impl Listed for Refund {
    fn id(&self) -> &str {
        &self.id
    }
}

impl Listed for Dispute {
    fn id(&self) -> &str {
        &self.id
    }
}

/// An object, or only its id where it was not asked for.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Expandable<T> {
    Object(Box<T>),
    Id(String),
}

impl<T> Expandable<T> {
    pub(super) fn object(&self) -> Option<&T> {
        match self {
            Self::Object(object) => Some(object),
            Self::Id(_) => None,
        }
    }

    pub(super) fn into_object(self) -> Option<T> {
        match self {
            Self::Object(object) => Some(*object),
            Self::Id(_) => None,
        }
    }
}

#[derive(Deserialize)]
pub(super) struct Session {
    pub(super) id: String,
    pub(super) url: Option<String>,
    pub(super) status: String,
    pub(super) payment_status: String,
    pub(super) payment_intent: Option<Expandable<Intent>>,
    pub(super) setup_intent: Option<Expandable<Setup>>,
}

#[derive(Deserialize)]
pub(super) struct Intent {
    pub(super) id: String,
    pub(super) status: String,
    /// What was taken, and nothing else, counts as paid.
    pub(super) amount_received: i64,
    pub(super) currency: String,
    pub(super) client_secret: Option<String>,
    pub(super) customer: Option<String>,
    pub(super) payment_method: Option<String>,
    pub(super) latest_charge: Option<Expandable<Charge>>,
    pub(super) last_payment_error: Option<WireError>,
    #[serde(default)]
    pub(super) metadata: Metadata,
}

/// A card being left without buying.
#[derive(Deserialize)]
pub(super) struct Setup {
    pub(super) id: String,
    pub(super) status: String,
    pub(super) customer: Option<String>,
    pub(super) payment_method: Option<Expandable<PaymentMethod>>,
    pub(super) last_setup_error: Option<WireError>,
}

#[derive(Deserialize)]
pub(super) struct PaymentMethod {
    pub(super) id: String,
    pub(super) card: Option<WireCard>,
}

#[derive(Default, Deserialize)]
pub(super) struct Metadata {
    /// Of the payment.
    pub(super) reference: Option<String>,
    /// What a refund of ours goes by.
    pub(super) refund: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Charge {
    #[serde(default)]
    pub(super) amount_refunded: i64,
    #[serde(default)]
    pub(super) disputed: bool,
    pub(super) payment_method_details: Option<MethodDetails>,
}

#[derive(Deserialize)]
pub(super) struct MethodDetails {
    pub(super) card: Option<WireCard>,
}

#[derive(Deserialize)]
pub(super) struct WireCard {
    pub(super) brand: Option<String>,
    pub(super) last4: Option<String>,
    pub(super) exp_month: Option<u8>,
    pub(super) exp_year: Option<u16>,
    pub(super) fingerprint: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Refund {
    pub(super) id: String,
    pub(super) status: Option<String>,
    pub(super) failure_reason: Option<String>,
    #[serde(default)]
    pub(super) metadata: Metadata,
}

#[derive(Deserialize)]
pub(super) struct Dispute {
    pub(super) id: String,
    pub(super) status: String,
    pub(super) reason: Option<String>,
    pub(super) payment_method_details: Option<DisputeDetails>,
}

#[derive(Deserialize)]
pub(super) struct DisputeDetails {
    pub(super) card: Option<DisputedCard>,
}

#[derive(Deserialize)]
pub(super) struct DisputedCard {
    pub(super) case_type: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Refused {
    pub(super) error: WireError,
}

#[derive(Default, Deserialize)]
pub(super) struct WireError {
    #[serde(rename = "type", default)]
    pub(super) kind: String,
    pub(super) code: Option<String>,
    pub(super) decline_code: Option<String>,
    pub(super) advice_code: Option<String>,
    pub(super) network_advice_code: Option<String>,
    pub(super) param: Option<String>,
    pub(super) message: Option<String>,
}

impl WireError {
    /// Whether the method is unknown, taken away or another customer's, or the customer is gone. Of a method that was
    /// detached Stripe says so only in words.
    pub(super) fn is_about_method(&self) -> bool {
        match self.param.as_deref() {
            Some("payment_method") => true,
            Some("customer") if self.is_missing() => true,
            Some(_) | None => self.says("may not be used again"),
        }
    }

    /// Whether it is too little or too much.
    pub(super) fn is_about_amount(&self) -> bool {
        matches!(self.code.as_deref(), Some("amount_too_small" | "amount_too_large" | "invalid_charge_amount"))
    }

    /// Whether the method belongs to nobody any more.
    pub(super) fn says_detached(&self) -> bool {
        self.is_missing() || self.says("not attached to a customer") || self.says("may not be used again")
    }

    fn is_missing(&self) -> bool {
        self.code.as_deref() == Some("resource_missing")
    }

    fn says(&self, words: &str) -> bool {
        self.message.as_deref().is_some_and(|text| text.contains(words))
    }
}
