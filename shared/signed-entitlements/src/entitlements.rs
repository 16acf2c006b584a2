//! What a customer may use, as a token says it.

use crate::{Error, LEEWAY};
use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What one customer may use, until it expires.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entitlements {
    customer: String,
    plan: Option<String>,
    status: Option<String>,
    issued_at: SystemTime,
    expires_at: SystemTime,
    features: BTreeMap<String, Feature>,
    limits: BTreeMap<String, Limit>,
}

/// How a meter stood against its limit when the token was issued. None: unlimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct Limit {
    #[serde(deserialize_with = "present")]
    pub limit: Option<u64>,
    pub used: u64,
    /// Held for uses to come; what is held of nothing is not said.
    #[serde(default)]
    pub reserved: u64,
    #[serde(deserialize_with = "present")]
    pub remaining: Option<u64>,
}

impl Entitlements {
    pub fn customer(&self) -> &str {
        &self.customer
    }

    /// None: the customer never had a subscription.
    pub fn plan(&self) -> Option<&str> {
        self.plan.as_deref()
    }

    pub fn status(&self) -> Option<&str> {
        self.status.as_deref()
    }

    pub fn issued_at(&self) -> SystemTime {
        self.issued_at
    }

    pub fn expires_at(&self) -> SystemTime {
        self.expires_at
    }

    /// Whether `name`, a feature or a meter, may be used: of a meter, one more.
    pub fn allows(&self, name: &str, now: SystemTime) -> bool {
        self.refusal(name, now).is_none()
    }

    /// Why it may not: `expired`, or a reason of the API's. None: it may. What is not known is off.
    pub fn refusal(&self, name: &str, now: SystemTime) -> Option<&str> {
        // Also for a clock that was put back since.
        if self.held(now).is_err() {
            return Some("expired");
        }
        match (self.features.get(name), &self.plan) {
            (Some(Feature::On), _) => None,
            (Some(Feature::Off { reason }), _) => Some(reason),
            (None, None) => Some("no_subscription"),
            (None, Some(_)) => Some("not_in_plan"),
        }
    }

    /// None: it is no meter of the plan.
    pub fn limit(&self, meter: &str) -> Option<&Limit> {
        self.limits.get(meter)
    }

    /// Whether they are those of `customer`, and hold.
    pub(crate) fn check(&self, customer: &str, now: SystemTime) -> Result<(), Error> {
        if self.customer != customer {
            return Err(Error::OtherCustomer);
        }
        self.held(now)
    }

    fn held(&self, now: SystemTime) -> Result<(), Error> {
        if now >= self.expires_at {
            return Err(Error::Expired);
        }
        match now.checked_add(LEEWAY).is_none_or(|latest| latest < self.issued_at) {
            true => Err(Error::NotYetValid),
            false => Ok(()),
        }
    }
}

/// All that a token must say; what else it says is for later releases.
#[derive(Deserialize)]
pub(crate) struct Claims {
    pub(crate) iss: String,
    pub(crate) aud: String,
    sub: String,
    iat: u64,
    exp: u64,
    #[serde(deserialize_with = "present")]
    plan: Option<String>,
    #[serde(deserialize_with = "present")]
    status: Option<String>,
    features: BTreeMap<String, Feature>,
    limits: BTreeMap<String, Limit>,
}

impl TryFrom<Claims> for Entitlements {
    type Error = Error;

    fn try_from(claims: Claims) -> Result<Self, Error> {
        let instant = |seconds| UNIX_EPOCH.checked_add(Duration::from_secs(seconds)).ok_or(Error::Malformed);
        Ok(Self {
            customer: claims.sub,
            plan: claims.plan,
            status: claims.status,
            issued_at: instant(claims.iat)?,
            expires_at: instant(claims.exp)?,
            features: claims.features,
            limits: claims.limits,
        })
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Switch")]
enum Feature {
    On,
    Off { reason: String },
}

#[derive(Deserialize)]
struct Switch {
    on: bool,
    reason: Option<String>,
}

impl TryFrom<Switch> for Feature {
    type Error = &'static str;

    fn try_from(switch: Switch) -> Result<Self, &'static str> {
        match switch {
            Switch { on: true, reason: None } => Ok(Self::On),
            Switch { on: false, reason: Some(reason) } => Ok(Self::Off { reason }),
            Switch { on: true, reason: Some(_) } | Switch { on: false, reason: None } => {
                Err("what is off has a reason, and what is on has none")
            }
        }
    }
}

/// May be null, and may not be left out: a limit that is not there is not one that is unlimited.
fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(from: D) -> Result<Option<T>, D::Error> {
    Option::deserialize(from)
}
