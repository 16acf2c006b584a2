//! The payment gateways there are. A closed set: whatever has to know them all
//! is a `match`, so that the next one is asked for by the compiler.

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Gateway {
    Stripe,
    Paystack,
    Flitt,
    #[serde(rename = "paypal")]
    PayPal,
}

impl Gateway {
    pub const ALL: [Self; 4] = [Self::Stripe, Self::Paystack, Self::Flitt, Self::PayPal];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stripe => "stripe",
            Self::Paystack => "paystack",
            Self::Flitt => "flitt",
            Self::PayPal => "paypal",
        }
    }

    /// How long after an attempt was first sent the gateway still knows that
    /// sending it again is the same attempt. Past it we only ask.
    pub(super) const fn remembers_for(self) -> SignedDuration {
        match self {
            Self::Stripe => SignedDuration::from_hours(23), // keys live at least a day; an hour to spare
            Self::PayPal => SignedDuration::from_hours(5),  // six hours for orders; an hour to spare
            Self::Paystack | Self::Flitt => SignedDuration::MAX, // a reference is unique for ever
        }
    }
}
