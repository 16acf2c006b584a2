//! The gateways that are simulated, and what the server needs each to say.
//! A new gateway is one module and one arm in each `match` below.

use crate::state::State;
use crate::{paystack, stripe};
use serde::{Deserialize, Serialize};
use serde_json::Value;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Gateway {
    Stripe,
    Paystack,
}

impl Gateway {
    pub(crate) const ALL: [Self; 2] = [Self::Stripe, Self::Paystack];
}

/// What a request wants: the handle that faults and counts take it by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Operation {
    /// A hosted page or a client-secret payment is opened.
    Checkout,
    /// Money is asked for with the customer present.
    Hosted,
    /// Money is asked for from a saved method.
    OffSession,
    /// A payment, refund or event is looked up.
    Find,
    Refund,
    /// A payment or page is called off.
    Cancel,
    Customer,
    Method,
}

/// A request, as it came.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) method: String,
    /// Behind the gateway's name, without the first slash.
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
    /// Drawn for the request, as the gateways draw one.
    pub(crate) id: String,
}

impl Call {
    pub(crate) fn segments(&self) -> Vec<&str> {
        self.path.trim_end_matches('/').split('/').collect()
    }

    /// Names come in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn bearer(&self) -> Option<&str> {
        self.header("authorization").and_then(|value| value.strip_prefix("Bearer "))
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Body,
}

#[derive(Debug, Clone)]
pub(crate) enum Body {
    Json(Value),
    Html(String),
    Empty,
}

impl Answer {
    pub(crate) fn json(status: u16, value: Value) -> Self {
        Self { status, headers: Vec::new(), body: Body::Json(value) }
    }

    pub(crate) fn html(status: u16, page: String) -> Self {
        Self { status, headers: Vec::new(), body: Body::Html(page) }
    }

    pub(crate) fn see_other(address: String) -> Self {
        Self { status: 303, headers: vec![("location", address)], body: Body::Empty }
    }

    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

/// Whether a request is carried out.
#[derive(Debug)]
pub(crate) enum Begun {
    Proceed,
    /// It was carried out before: the same answer again.
    Replay(Answer),
    Refuse(Answer),
}

impl Gateway {
    /// What the request wants; none for the pages a person only looks at.
    pub(crate) fn operation(self, call: &Call) -> Option<Operation> {
        match self {
            Self::Stripe => stripe::operation(call),
            Self::Paystack => paystack::operation(call),
        }
    }

    /// Who is asking, and was it asked before?
    pub(crate) fn begin(self, state: &mut State, call: &Call) -> Begun {
        match self {
            Self::Stripe => stripe::begin(state, call),
            Self::Paystack => paystack::begin(state, call),
        }
    }

    pub(crate) fn perform(self, state: &mut State, call: &Call) -> Answer {
        match self {
            Self::Stripe => stripe::perform(state, call),
            Self::Paystack => paystack::perform(state, call),
        }
    }

    /// What the gateway says when something broke on its side.
    pub(crate) fn broken(self, call: &Call) -> Answer {
        match self {
            Self::Stripe => stripe::broken(call),
            Self::Paystack => paystack::broken(),
        }
    }

    /// The request is over: with this answer, or without having been carried out.
    pub(crate) fn finish(self, state: &mut State, call: &Call, answer: Option<&Answer>) {
        match self {
            Self::Stripe => stripe::finish(state, call, answer),
            Self::Paystack => {}
        }
    }

    /// What time alone brings about.
    pub(crate) fn tick(self, state: &mut State) {
        match self {
            Self::Stripe => stripe::tick(state),
            Self::Paystack => paystack::tick(state),
        }
    }

    /// The header that proves to the merchant where a webhook comes from.
    pub(crate) fn sign(self, state: &State, body: &str) -> (&'static str, String) {
        match self {
            Self::Stripe => {
                ("stripe-signature", stripe::signature(&state.settings.stripe.webhook_secret, state.now(), body))
            }
            Self::Paystack => ("x-paystack-signature", paystack::signature(&state.settings.paystack.secret_key, body)),
        }
    }

    /// Does the gateway take this answer to a webhook as received?
    pub(crate) fn acknowledged(self, status: u16) -> bool {
        match self {
            Self::Stripe => (200..300).contains(&status),
            Self::Paystack => status == 200,
        }
    }
}
