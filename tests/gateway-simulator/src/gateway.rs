//! The gateways that are simulated, and what the server needs each to say.
//! A new gateway is one module and one arm in each `match` below.

use crate::state::State;
use crate::{flitt, paypal, paystack, stripe};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Gateway {
    Stripe,
    Paystack,
    Flitt,
    Paypal,
}

impl Gateway {
    pub(crate) const ALL: [Self; 4] = [Self::Stripe, Self::Paystack, Self::Flitt, Self::Paypal];

    /// The one that addresses call so.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|gateway| json!(gateway) == name)
    }
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
    /// A product or a price is kept.
    Catalogue,
}

/// What `POST /admin/dispute` makes of a payment: the customer's bank takes it up, or decides it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum DisputeOutcome {
    Open,
    /// The merchant keeps the money.
    Won,
    Lost,
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
    /// `application/x-www-form-urlencoded`
    Form(String),
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

/// A webhook as it goes over the line.
#[derive(Debug)]
pub(crate) struct Signed {
    /// The content type among them.
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: String,
}

impl Gateway {
    /// What the request wants; none for the pages a person only looks at.
    pub(crate) fn operation(self, call: &Call) -> Option<Operation> {
        match self {
            Self::Stripe => stripe::operation(call),
            Self::Paystack => paystack::operation(call),
            Self::Flitt => flitt::operation(call),
            Self::Paypal => paypal::operation(call),
        }
    }

    /// Who is asking, and was it asked before?
    pub(crate) fn begin(self, state: &mut State, call: &Call) -> Begun {
        match self {
            Self::Stripe => stripe::begin(state, call),
            Self::Paystack => paystack::begin(state, call),
            Self::Flitt => flitt::begin(state, call),
            Self::Paypal => paypal::begin(state, call),
        }
    }

    pub(crate) fn perform(self, state: &mut State, call: &Call) -> Answer {
        match self {
            Self::Stripe => stripe::perform(state, call),
            Self::Paystack => paystack::perform(state, call),
            Self::Flitt => flitt::perform(state, call),
            Self::Paypal => paypal::perform(state, call),
        }
    }

    /// What the gateway says when something broke on its side.
    pub(crate) fn broken(self, call: &Call) -> Answer {
        match self {
            Self::Stripe => stripe::broken(call),
            Self::Paystack => paystack::broken(),
            Self::Flitt => flitt::broken(call),
            Self::Paypal => paypal::broken(call),
        }
    }

    /// The request is over: with this answer, or without having been carried out.
    pub(crate) fn finish(self, state: &mut State, call: &Call, answer: Option<&Answer>) {
        match self {
            Self::Stripe => stripe::finish(state, call, answer),
            Self::Paystack | Self::Flitt => {}
            Self::Paypal => paypal::finish(state, call, answer),
        }
    }

    /// What time alone brings about.
    pub(crate) fn tick(self, state: &mut State) {
        match self {
            Self::Stripe => stripe::tick(state),
            Self::Paystack => paystack::tick(state),
            Self::Flitt => flitt::tick(state),
            Self::Paypal => paypal::tick(state),
        }
    }

    /// A customer takes a payment to their bank. Refusals name the field.
    pub(crate) fn dispute(self, state: &mut State, reference: &str, outcome: DisputeOutcome) -> Result<Value, String> {
        match self {
            Self::Stripe => stripe::dispute(state, reference, outcome),
            Self::Paystack => paystack::dispute(state, reference, outcome),
            Self::Flitt => flitt::dispute(state, reference, outcome),
            Self::Paypal => paypal::dispute(state, reference, outcome),
        }
    }

    /// `POST /admin/<gateway>/<what>`: what people do at this gateway and its API cannot. Refusals name the field.
    pub(crate) fn order(self, state: &mut State, what: &str, body: &str) -> Result<Value, String> {
        match self {
            Self::Stripe => stripe::order(state, what, body),
            Self::Paystack => paystack::order(state, what, body),
            Self::Flitt => flitt::order(state, what, body),
            Self::Paypal => paypal::order(state, what, body),
        }
    }

    /// What is sent of a webhook that was announced with this body, with what proves where it comes from.
    pub(crate) fn sign(self, state: &State, body: &str) -> Signed {
        let json = |mut headers: Vec<(&'static str, String)>| {
            headers.push(("content-type", "application/json".to_owned()));
            Signed { headers, body: body.to_owned() }
        };
        match self {
            Self::Stripe => {
                let signature = stripe::signature(&state.settings.stripe.webhook_secret, state.now(), body);
                json(vec![("stripe-signature", signature)])
            }
            Self::Paystack => {
                let signature = paystack::signature(&state.settings.paystack.secret_key, body);
                json(vec![("x-paystack-signature", signature)])
            }
            Self::Flitt => flitt::sign(state, body),
            Self::Paypal => json(paypal::sign(state, body)),
        }
    }

    /// Does the gateway take this answer to a webhook as received?
    pub(crate) fn acknowledged(self, status: u16) -> bool {
        match self {
            Self::Stripe | Self::Paypal => (200..300).contains(&status),
            Self::Paystack | Self::Flitt => status == 200,
        }
    }
}
