//! What our adapters answer to an entry. A delivery counts as accepted when its
//! signature is: whether its body then leads to anything is another question.

use super::{Entry, Vectors};
use billing::payment::Gateway;
use http::{HeaderMap, HeaderName, HeaderValue};
use platform::config::Secret;
use platform::gateways::{Received, WebhookError, verification};
use serde_json::{Map, Value, json};

impl Vectors {
    /// Ok, or what we answer instead.
    pub(super) fn agrees(&self, entry: &Entry) -> Result<(), String> {
        let known = Gateway::ALL.into_iter().find(|gateway| gateway.as_str() == entry.gateway);
        let gateway = known.ok_or_else(|| format!("nothing: the gateway `{}` is unknown", entry.gateway))?;
        match (entry.kind.as_str(), gateway) {
            ("webhook", _) => self.delivered(entry, gateway),
            ("request_sign" | "request_sign_v2", Gateway::Flitt) => signed(entry),
            ("request_sign" | "request_sign_v2", Gateway::Stripe | Gateway::Paystack | Gateway::PayPal) => {
                Err(format!("nothing: no request to {} is signed", entry.gateway))
            }
            (kind, _) => Err(format!("nothing: the kind `{kind}` is unknown")),
        }
    }

    fn delivered(&self, entry: &Entry, gateway: Gateway) -> Result<(), String> {
        let answer = self.verify(entry, gateway);
        let got = answer.as_ref().map_or_else(|error| format!("reject ({error})"), |()| "accept".to_owned());
        let agrees = match entry.expected.as_str() {
            // A notice holds no money: what may not be believed of a forged body cannot be read from it.
            "accept" | "accept_signature_only" => answer.is_ok(),
            "accept_data_only" if answer.is_ok() && !believes_data_only(entry) => {
                return Err("accept, and to believe what stands beside the data".to_owned());
            }
            "accept_data_only" => answer.is_ok(),
            "reject" => answer.is_err(),
            other => return Err(format!("{got}, and the expectation is unknown: `{other}`")),
        };
        if agrees { Ok(()) } else { Err(got) }
    }

    fn verify(&self, entry: &Entry, gateway: Gateway) -> Result<(), WebhookError> {
        // What HTTP cannot carry never arrives.
        let headers = headers(entry).ok_or(WebhookError::Unsigned)?;
        let delivery = delivery(entry, &headers);
        let keys = self.keys(entry, gateway);
        verification::verify(gateway, &keys, entry.is_live(), &delivery)?;
        match (gateway, merchant(entry)) {
            // Here the body alone says whom it is for.
            (Gateway::Flitt, Some(_)) => verification::notice_of_flitt(&keys, &delivery).map(|_| ()),
            (Gateway::Stripe | Gateway::Paystack | Gateway::Flitt | Gateway::PayPal, _) => Ok(()),
        }
    }

    /// The secret of the gateway, as it would be kept.
    fn keys(&self, entry: &Entry, gateway: Gateway) -> Secret {
        let keys = match gateway {
            Gateway::Stripe | Gateway::Paystack => {
                json!({"secret_key": "sk_test_vectors", "webhook_secrets": entry.secrets})
            }
            Gateway::Flitt => {
                let merchant = merchant(entry).cloned().unwrap_or_else(|| "vectors".into());
                json!({"merchant_id": merchant, "payment_keys": entry.secrets})
            }
            Gateway::PayPal => {
                let context = entry.context();
                let trust = context.and_then(|context| self.trust.get(context.trust.as_ref()?));
                // Who fetches a certificate gets those above it along with it.
                let above = trust.map(|trust| trust.intermediates.join("\n")).unwrap_or_default();
                let named = |(at, _): &(&String, &String)| entry.headers.values().any(|value| value == *at);
                let chain = |(at, leaf): (&String, &String)| (at.clone(), format!("{leaf}\n{above}").into());
                json!({
                    "client_id": "vectors", "client_secret": "vectors",
                    "webhook_ids": context.and_then(|context| context.webhook_id.as_ref()).as_slice(),
                    "certificates": self.certificates.iter().filter(named).map(chain).collect::<Map<_, _>>(),
                    "roots": trust.map(|trust| trust.roots.clone()).unwrap_or_default(),
                })
            }
        };
        Secret::new(keys.to_string())
    }
}

fn merchant(entry: &Entry) -> Option<&Value> {
    entry.context()?.merchant_id.as_ref()
}

fn secrets(entry: &Entry) -> Vec<Secret> {
    entry.secrets.iter().map(Secret::new).collect()
}

fn headers(entry: &Entry) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    for (name, value) in &entry.headers {
        headers.append(name.parse::<HeaderName>().ok()?, HeaderValue::from_str(value).ok()?);
    }
    Some(headers)
}

fn delivery<'a>(entry: &'a Entry, headers: &'a HeaderMap) -> Received<'a> {
    Received { headers, body: entry.bytes().unwrap_or_default(), at: entry.at().unwrap_or_default() }
}

/// Whether what stands beside signed data (protocol 2.0 of Flitt) changes nothing.
fn believes_data_only(entry: &Entry) -> bool {
    let body: Value = serde_json::from_slice(entry.bytes().unwrap_or_default()).unwrap_or_default();
    let mut alone = body.get("response").unwrap_or(&body).clone();
    if let Some(fields) = alone.as_object_mut() {
        fields.retain(|name, _| ["version", "data", "signature"].contains(&name.as_str()));
    }
    let alone = alone.to_string();
    let headers = headers(entry).unwrap_or_default();
    let whole = delivery(entry, &headers);
    let believed = |delivery| verification::believed_of_flitt(&secrets(entry), &delivery).ok();
    believed(whole).is_some_and(|whole_is| believed(Received { body: alone.as_bytes(), ..whole }) == Some(whole_is))
}

fn signed(entry: &Entry) -> Result<(), String> {
    let key = Secret::new(entry.secrets.first().cloned().unwrap_or_default());
    let signature = match &entry.params {
        Some(params) if entry.kind == "request_sign" => verification::signed_for_flitt(&key, params.get()),
        Some(_) | None => Ok(verification::data_signed_for_flitt(&key, &entry.data().unwrap_or_default())),
    };
    let signature = signature.map_err(|error| format!("nothing: {error}"))?;
    match (entry.expected.as_str(), entry.expected_signature.as_ref() == Some(&signature)) {
        ("equal", true) => Ok(()),
        ("equal", false) => Err(signature),
        (other, _) => Err(format!("{signature}, and the expectation is unknown: `{other}`")),
    }
}
