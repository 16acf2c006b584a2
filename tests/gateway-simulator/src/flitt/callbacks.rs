//! Callbacks: an order as it is now, signed inside its body. They have no event names; those in the books are ours.

use super::{python, wire};
use crate::admin;
use crate::gateway::{Gateway, Signed};
use crate::state::State;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// How callbacks are written: merchants must read them all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum CallbackForm {
    #[default]
    Flat,
    /// In an envelope, as answers are.
    Wrapped,
    Form,
    /// Protocol 2.0.
    Encoded,
}

/// What the merchant hears about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum About {
    Payment,
    Reversal,
    Chargeback,
}

pub(super) fn tell(state: &mut State, id: &str, about: About) {
    let Some(order) = state.flitt.orders.get(id) else { return };
    let mut fields = order.fields(state);
    let kind = match about {
        About::Payment => order.kind(),
        About::Reversal => "reverse",
        About::Chargeback => "chargeback",
    };
    if about == About::Reversal {
        fields.insert("tran_type".to_owned(), json!(kind));
    }
    let event = format!("{kind}.{}", wire::plain(&json!(order.status)));
    let own = order.callback_url.as_deref();
    let wanted = if about == About::Chargeback { order.chargeback_url.as_deref().or(own) } else { own };
    // An address elsewhere is never called: the one of the settings stands in for it.
    let address = wanted.and_then(admin::loopback);
    let body = Value::Object(fields).to_string();
    state.announce_at(address.as_deref(), Gateway::Flitt, &event, id, &body);
}

/// The order that was announced, with its signature, as the settings have it written.
pub(crate) fn sign(state: &State, body: &str) -> Signed {
    let settings = &state.settings.flitt;
    let key = settings.payment_key.as_str();
    let fields: Map<String, Value> = serde_json::from_str(body).unwrap_or_default();
    let json = "application/json; charset=UTF-8";
    let (kind, body) = match settings.callbacks {
        CallbackForm::Flat => (json, python::dumps(&Value::Object(wire::signed(key, fields)))),
        CallbackForm::Wrapped => (json, python::dumps(&json!({"response": wire::signed(key, fields)}))),
        CallbackForm::Form => ("application/x-www-form-urlencoded", wire::form(&wire::signed(key, fields))),
        CallbackForm::Encoded => (json, python::dumps(&json!({"response": wire::encoded(key, &fields)}))),
    };
    Signed { headers: vec![("content-type", kind.to_owned())], body }
}
