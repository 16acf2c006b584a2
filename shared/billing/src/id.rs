//! Typed identifiers: a payment's id can never be passed where a customer's is
//! meant, and ids that follow from something are derived from it, so that doing
//! a thing twice is doing it once.

mod numbered;

use data_encoding::BASE32_NOPAD;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt;

pub use numbered::{PaymentId, PeriodId, SubscriptionId};

macro_rules! text {
    ($(#[$doc:meta])* $name:ident, $what:literal, $accepts:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = Invalid;

            fn try_from(text: String) -> Result<Self, Invalid> {
                let accepts: fn(&str) -> bool = $accepts;
                if accepts(&text) { Ok(Self(text)) } else { Err(Invalid { expected: $what }) }
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

pub(crate) use text;

text!(
    /// The billed company or user, as the identity provider names it. Nothing
    /// that could end a key, match several or break a log line is accepted.
    CustomerId,
    "a customer: 1 to 128 letters, digits and any of - _ . : @ + |",
    |text| (1..=128).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:@+|".contains(&b))
);
text!(
    /// `family-name`: `estates-professional`.
    PlanId,
    "a plan: 1 to 64 lower-case letters, digits, - and _",
    slug
);
text!(
    /// A product line. Changes and comparisons stay inside it.
    FamilyId,
    "a family: 1 to 64 lower-case letters, digits, - and _",
    slug
);
text!(
    /// What usage is counted in.
    MeterId,
    "a meter: 1 to 64 lower-case letters, digits, - and _",
    slug
);
text!(
    /// A flag a plan switches on.
    FeatureId,
    "a feature: 1 to 64 lower-case letters, digits, - and _",
    slug
);
text!(
    /// Something that can be bought onto a plan: `extra-estates`.
    AddonId,
    "an add-on: 1 to 64 lower-case letters, digits, - and _",
    slug
);
text!(
    /// Under whose name a customer is written to: `acme-telecom`.
    BrandId,
    "a brand: 1 to 64 lower-case letters, digits, - and _, the first of them a letter or a digit",
    |text| slug(text) && text.starts_with(|first: char| first.is_ascii_alphanumeric())
);
/// A feature and a meter may have one name: whoever asks whether it can be used means both.
impl From<FeatureId> for MeterId {
    fn from(FeatureId(name): FeatureId) -> Self {
        Self(name)
    }
}

impl From<MeterId> for FeatureId {
    fn from(MeterId(name): MeterId) -> Self {
        Self(name)
    }
}

/// What a customer types to have a discount: `WELCOME-20`. Small letters are as good as capitals.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CouponCode(String);

impl CouponCode {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for CouponCode {
    type Error = Invalid;

    fn try_from(typed: String) -> Result<Self, Invalid> {
        let code = typed.trim().to_ascii_uppercase();
        let plain = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
        match (3..=40).contains(&code.len()) && code.bytes().all(plain) {
            true => Ok(Self(code)),
            false => Err(Invalid { expected: "a coupon's code: 3 to 40 letters, digits, - and _" }),
        }
    }
}

impl From<CouponCode> for String {
    fn from(code: CouponCode) -> String {
        code.0
    }
}

impl fmt::Display for CouponCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

text!(
    /// `Idempotency-Key`, per draft-ietf-httpapi-idempotency-key-header.
    IdempotencyKey,
    "an Idempotency-Key of 1 to 255 visible ASCII characters",
    |text| (1..=255).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
);
text!(
    /// What whoever reports a use calls it: the same is counted once.
    UsageId,
    "the id of a use: 1 to 255 visible ASCII characters",
    |text| (1..=255).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
);
text!(
    /// What a gateway knows a payment by: lower-case letters and digits, which
    /// all gateways accept. Never re-used for another amount.
    Reference,
    "a payment reference: `r` and 25 lower-case letters and digits",
    |text| {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        text.len() == 26 && text.starts_with('r') && text.bytes().all(plain)
    }
);

text!(
    /// A payment method, as our own API names it: `pm_k3f9x2m7ab…`. Derived from what the gateway knows the card by.
    MethodId,
    "a payment method id (`pm_…`)",
    |text| text.len() == 27 && text.starts_with("pm_") && text[3..].bytes().all(|b| b.is_ascii_alphanumeric())
);

text!(
    /// A mail to a customer: `mail_k3f9x2m7ab…`. What its link names.
    MailId,
    "a mail's id (`mail_…`)",
    |text| text.len() == 29 && text.starts_with("mail_") && text[5..].bytes().all(|b| b.is_ascii_alphanumeric())
);

text!(
    /// Tokens that were consumed at once: `use_1738317600000k3f9x2m7ab…`. The ids of one customer sort by time.
    ConsumptionId,
    "the id of what was consumed (`use_…`)",
    |text| {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        text.len() == 41 && text.starts_with("use_") && text[4..].bytes().all(plain)
    }
);

impl ConsumptionId {
    /// Of what `customer` consumed under `key` at `now`.
    pub(crate) fn of(customer: &CustomerId, key: &IdempotencyKey, now: Timestamp) -> Self {
        let digest = Sha256::digest(format!("consumption|{customer}|{key}"));
        Self(format!("use_{:013}{}", now.as_millisecond(), &base32(&digest)[..24]))
    }
}

impl MailId {
    /// Of the mail that is due to what brought a subscription to `version`.
    pub(crate) fn of(customer: &CustomerId, subscription: &SubscriptionId, version: u64) -> Self {
        let digest = Sha256::digest(format!("mail|{customer}|{subscription}|{version}"));
        Self(format!("mail_{}", &base32(&digest)[..24]))
    }

    /// Of the mail that is due to what is written of `meter` over `version`.
    pub(crate) fn of_meter(customer: &CustomerId, meter: &MeterId, version: u64) -> Self {
        let digest = Sha256::digest(format!("mail|{customer}|meter|{meter}|{version}"));
        Self(format!("mail_{}", &base32(&digest)[..24]))
    }
}

impl UsageId {
    /// A number that is as likely any as any other.
    pub(crate) fn nth(&self) -> u64 {
        let digest = Sha256::digest(format!("nth|{}", self.0));
        digest.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
    }
}

impl IdempotencyKey {
    /// The same key as staff of the SaaS use it, apart from the customer's own.
    #[must_use]
    pub fn of_staff(&self) -> Self {
        self.apart("staff")
    }

    /// The same key as a service of the SaaS uses it, apart from the others'.
    #[must_use]
    pub fn of_service(&self) -> Self {
        self.apart("service")
    }

    fn apart(&self, whose: &str) -> Self {
        Self(format!("{whose}:{}", base32(&Sha256::digest(&self.0))))
    }

    /// Whether it reads like one of those: nobody may choose such a key for themselves.
    pub fn is_apart(&self) -> bool {
        ["staff:", "service:"].iter().any(|whose| self.0.starts_with(whose))
    }
}

impl MethodId {
    pub(crate) fn of(gateway: &str, payer: &str, lasting: &str) -> Self {
        let digest = Sha256::digest(format!("method|{gateway}|{payer}|{lasting}"));
        Self(format!("pm_{}", &base32(&digest)[..24]))
    }
}

impl Reference {
    /// Of the virtual account with that number: whatever names the account leads to its customer.
    pub fn of_account(gateway: &str, number: &str) -> Self {
        Self::derived("account", gateway, number)
    }

    /// Of a transfer that the gateway has given a reference of its own.
    pub fn of_transfer(gateway: &str, reference: &str) -> Self {
        Self::derived("transfer", gateway, reference)
    }

    /// Of a subscription that the gateway drives, by the gateway's own id.
    pub fn of_driven(gateway: &str, id: &str) -> Self {
        Self::derived("subscription", gateway, id)
    }

    /// Of whom the gateway knows as the one who pays for it.
    pub fn of_payer(gateway: &str, payer: &str) -> Self {
        Self::derived("payer", gateway, payer)
    }

    fn derived(what: &str, gateway: &str, name: &str) -> Self {
        Self(format!("r{}", &base32(&Sha256::digest(format!("v1|{what}|{gateway}|{name}")))[..25]))
    }
}

fn slug(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_')
}

#[derive(Debug, thiserror::Error)]
#[error("expected {expected}")]
pub struct Invalid {
    pub expected: &'static str,
}

/// Letters and digits only, so that every gateway and every address takes them.
pub(crate) fn base32(bytes: &[u8]) -> String {
    BASE32_NOPAD.encode(bytes).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_customer_cannot_name_a_key() {
        for text in ["", "t1#SUB", "*", "a b", "a\0", "a/b", "%2f", "ü", "a\nb", &"x".repeat(301)] {
            assert!(CustomerId::try_from(text.to_owned()).is_err(), "{text:?}");
        }
        for text in ["acme", "auth0|5f7c8ec7", "billing@acme.example", "us-east-1:uuid-1"] {
            assert!(CustomerId::try_from(text.to_owned()).is_ok(), "{text}");
        }
    }

    #[test]
    fn what_a_catalogue_names_is_named_in_small_letters() {
        for text in ["", "Estates", "estates pro", "estates/pro", "é", &"x".repeat(65)] {
            assert!(PlanId::try_from(text.to_owned()).is_err(), "{text:?}");
        }
        for text in ["e", "estates-professional", "api_access", "365", &"x".repeat(64)] {
            assert_eq!(PlanId::try_from(text.to_owned()).ok().as_ref().map(PlanId::as_str), Some(text));
        }
    }

    #[test]
    fn a_brand_is_told_from_none() {
        for text in ["", "-", "_acme", "-acme", "Acme", "acme telecom", "acme/telecom", "é", &"x".repeat(65)] {
            assert!(BrandId::try_from(text.to_owned()).is_err(), "{text:?}");
        }
        for text in ["a", "acme-telecom", "acme_2", "3com", "none", &"x".repeat(64)] {
            assert!(BrandId::try_from(text.to_owned()).is_ok(), "{text}");
        }
    }

    #[test]
    fn a_coupon_is_written_in_capitals_however_it_is_typed() {
        for text in ["welcome-20", " WELCOME-20 ", "Welcome-20"] {
            let code = CouponCode::try_from(text.to_owned()).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!([code.as_str(), &code.to_string(), &String::from(code.clone())], ["WELCOME-20"; 3]);
        }
        for text in ["", "ab", "two words", "é20", "a%b", &"x".repeat(41)] {
            assert!(CouponCode::try_from(text.to_owned()).is_err(), "{text:?}");
        }
        for text in ["a-1", "a_b", &"x".repeat(40)] {
            assert!(CouponCode::try_from(text.to_owned()).is_ok(), "{text}");
        }
    }

    #[test]
    fn nobodys_own_key_is_one_of_staff_or_of_a_service() {
        let key = |text: &str| IdempotencyKey::try_from(text.to_owned()).unwrap_or_else(|error| panic!("{error}"));
        let own = key("order-1");
        assert_eq!([own.is_apart(), own.of_staff().is_apart(), own.of_service().is_apart()], [false, true, true]);
        assert_ne!(own.of_staff(), own.of_service());
        assert_eq!(["staff:1", "service:1", "my-staff:1"].map(|text| key(text).is_apart()), [true, true, false]);
    }
}
