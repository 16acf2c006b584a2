//! The parts of receiving a delivery by themselves, and the signatures of what we
//! send, for those who check or fuzz them. A deployment takes deliveries in through
//! [`Clients::receive`](super::Clients::receive) alone.

use super::flitt::params::Params;
use super::keys::{ApiKeys, FlittKeys, PayPalKeys};
use super::paypal::certificates::Roots;
use super::paypal::webhook::Transmission;
use super::{Received, WebhookError, flitt, paypal, paystack, stripe};
use crate::config::Secret;
use crate::secrets::read;
use billing::delivery::Notice;
use billing::payment::Gateway;
use std::collections::BTreeMap;

/// Whether `gateway` signed a delivery, by `keys`, the secret of the gateway as it
/// is kept, with every certificate in it. `live`: whether they are of its live mode.
pub fn verify(gateway: Gateway, keys: &Secret, live: bool, delivery: &Received<'_>) -> Result<(), WebhookError> {
    match gateway {
        Gateway::Stripe => {
            let keys: ApiKeys = read(keys)?;
            stripe::webhook::verify(&keys.webhook_secrets, delivery)
        }
        Gateway::Paystack => {
            let keys: ApiKeys = read(keys)?;
            paystack::webhook::verify(&keys.webhook_secrets, delivery)
        }
        Gateway::Flitt => {
            let keys: FlittKeys = read(keys)?;
            flitt::webhook::verify(&keys.payment_keys, delivery).map(|_| ())
        }
        Gateway::PayPal => {
            let keys: PayPalKeys = read(keys)?;
            let transmission = Transmission::of(delivery, live)?;
            let certificate = keys.certificates.get(transmission.certificate.as_str()).ok_or(WebhookError::Forged)?;
            transmission.verify(&keys.webhook_ids, live, delivery, certificate, &Roots::of(&keys.roots)?)
        }
    }
}

/// What a delivery is about, whoever signed it, and what at Stripe it leads to if
/// it does not say of which payment it is. `live`: whether our keys are of the live mode.
pub fn notice(gateway: Gateway, live: bool, delivery: &Received<'_>) -> Result<(Notice, Option<String>), WebhookError> {
    match gateway {
        Gateway::Stripe => stripe::webhook::notice(delivery, live).map(|notice| (notice.clone(), notice.object)),
        Gateway::Paystack => paystack::webhook::notice(delivery).map(|notice| (notice, None)),
        Gateway::Flitt => {
            let params = message(delivery.body)?;
            let merchant = params.text("merchant_id").unwrap_or_default().to_owned();
            flitt::webhook::notice(&params, &merchant, delivery).map(|notice| (notice, None))
        }
        Gateway::PayPal => paypal::webhook::notice(delivery, live).map(|(notice, _)| (notice, None)),
    }
}

/// What a delivery by Flitt is about that is signed, and for the merchant of `keys`.
pub fn notice_of_flitt(keys: &Secret, delivery: &Received<'_>) -> Result<Notice, WebhookError> {
    let keys: FlittKeys = read(keys)?;
    let params = flitt::webhook::verify(&keys.payment_keys, delivery)?;
    flitt::webhook::notice(&params, &keys.merchant_id, delivery)
}

/// What of a delivery by Flitt any of `keys` vouches for.
pub fn believed_of_flitt(keys: &[Secret], delivery: &Received<'_>) -> Result<BTreeMap<String, String>, WebhookError> {
    let believed = flitt::webhook::verify(keys, delivery)?;
    Ok(believed.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
}

/// How a request to Flitt is signed that says `params`, a JSON object.
pub fn signed_for_flitt(key: &Secret, params: &str) -> Result<String, WebhookError> {
    Ok(flitt::signature::sign(key, &message(params.as_bytes())?))
}

/// The same by protocol 2.0, where `data` stands for all that is said.
pub fn data_signed_for_flitt(key: &Secret, data: &str) -> String {
    flitt::signature::sign_data(key, data)
}

fn message(json: &[u8]) -> Result<Params, WebhookError> {
    Params::from_json(json).map_err(|error| WebhookError::Malformed(error.into()))
}
