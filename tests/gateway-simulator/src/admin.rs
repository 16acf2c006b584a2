//! The admin routes: settings, faults, webhooks, and the books for checkers.

use crate::books::Filter;
use crate::faults::Order;
use crate::flitt::CallbackForm;
use crate::gateway::{Answer, Call, DisputeOutcome, Gateway};
use crate::state::{Shared, State};
use crate::webhooks::{Mode, ReleaseOrder};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

const COMMANDS: [&str; 9] = [
    "configure",
    "faults",
    "webhooks",
    "webhooks/release",
    "webhooks/resend",
    "clock",
    "forget-keys",
    "reset",
    "dispute",
];
const MOST_SECONDS: i64 = 20 * 366 * 86_400;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Configure {
    stripe: Option<ConfigureStripe>,
    paystack: Option<ConfigurePaystack>,
    flitt: Option<ConfigureFlitt>,
    paypal: Option<ConfigurePaypal>,
}

/// What is absent stays as it is; an address of null takes the address away.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ConfigureStripe {
    secret_key: Option<String>,
    webhook_secret: Option<String>,
    #[serde(default, deserialize_with = "present")]
    webhook_url: Option<Option<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ConfigurePaystack {
    secret_key: Option<String>,
    #[serde(default, deserialize_with = "present")]
    webhook_url: Option<Option<String>>,
    customer_bears_fees: Option<bool>,
    two_factor: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ConfigureFlitt {
    merchant_id: Option<String>,
    payment_key: Option<String>,
    #[serde(default, deserialize_with = "present")]
    webhook_url: Option<Option<String>>,
    recurring: Option<bool>,
    currencies: Option<Vec<String>>,
    callbacks: Option<CallbackForm>,
    reversal_callbacks: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ConfigurePaypal {
    client_id: Option<String>,
    client_secret: Option<String>,
    webhook_id: Option<String>,
    #[serde(default, deserialize_with = "present")]
    webhook_url: Option<Option<String>>,
    vault_by_webhook: Option<bool>,
    block_duplicate_invoices: Option<bool>,
}

fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SetMode {
    gateway: Gateway,
    mode: Mode,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Release {
    gateway: Gateway,
    #[serde(default)]
    order: ReleaseOrder,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Resend {
    gateway: Gateway,
    reference: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Advance {
    advance_seconds: Option<i64>,
    now: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Dispute {
    gateway: Gateway,
    reference: String,
    outcome: DisputeOutcome,
}

/// What an order says that needs no words.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Nothing {}

/// `stripe/subscription`: an order that only one gateway takes.
fn own(command: &str) -> Option<(Gateway, &str)> {
    let (name, what) = command.split_once('/')?;
    Some((Gateway::named(name)?, what))
}

pub(crate) fn answer(shared: &Shared, part: &str, call: &Call) -> Answer {
    if part == "health" {
        let version = env!("CARGO_PKG_VERSION");
        let now = shared.look(State::stamp);
        return Answer::json(200, json!({"status": "ok", "version": version, "now": now}));
    }
    let json = call.header("content-type").is_some_and(|kind| kind.starts_with("application/json"));
    if call.method == "POST" && !call.body.is_empty() && !json {
        // Also what keeps other sites' forms, in a browser on this machine, from ordering faults.
        return Answer::json(415, json!({"error": "content-type: must be application/json"}));
    }
    match (call.method.as_str(), call.path.trim_end_matches('/')) {
        ("GET", "books") => outcome(filter(&call.query).map(|filter| shared.look(|state| books(state, &filter)))),
        ("GET", "faults") => Answer::json(200, shared.look(|state| json!({"faults": state.faults.waiting()}))),
        ("GET", "paypal/certificates") => Answer::json(200, crate::paypal::certificates()),
        ("DELETE", "faults") => {
            shared.change(|state| state.faults.clear());
            Answer::json(200, json!({"faults": []}))
        }
        ("POST", command) if COMMANDS.contains(&command) || own(command).is_some() => {
            outcome(shared.change(|state| order(state, command, &call.body)))
        }
        _ => Answer::json(404, json!({"error": "no such admin route"})),
    }
}

fn outcome(result: Result<Value, String>) -> Answer {
    match result {
        Ok(value) => Answer::json(200, value),
        Err(error) => Answer::json(400, json!({"error": error})),
    }
}

/// Carries out `POST /admin/<command>`. Refusals name the field.
pub(crate) fn order(state: &mut State, command: &str, body: &str) -> Result<Value, String> {
    match command {
        "configure" => configure(state, read(body)?),
        "faults" => {
            state.faults.order(read::<Order>(body)?)?;
            Ok(json!({"faults": state.faults.waiting()}))
        }
        "webhooks" => {
            let SetMode { gateway, mode } = read(body)?;
            state.webhooks.set_mode(gateway, mode);
            Ok(json!({"webhooks": state.webhooks.modes()}))
        }
        "webhooks/release" => {
            let Release { gateway, order } = read(body)?;
            Ok(json!({"released": state.webhooks.release(gateway, order)}))
        }
        "webhooks/resend" => {
            let Resend { gateway, reference } = read(body)?;
            Ok(json!({"resent": state.webhooks.resend(gateway, &reference)}))
        }
        "clock" => {
            advance(state, read(body)?)?;
            Ok(json!({"now": state.stamp()}))
        }
        "forget-keys" => {
            read::<Nothing>(body)?;
            Ok(json!({"forgotten": state.stripe.forget_keys()}))
        }
        "reset" => {
            read::<Nothing>(body)?;
            state.reset();
            Ok(json!({"status": "reset"}))
        }
        "dispute" => {
            let Dispute { gateway, reference, outcome } = read(body)?;
            gateway.dispute(state, &reference, outcome)
        }
        _ => match own(command) {
            Some((gateway, what)) => gateway.order(state, what, body),
            None => Err(format!("there is no /admin/{command}")),
        },
    }
}

/// By so much, or to a time; never back.
fn advance(state: &mut State, wanted: Advance) -> Result<(), String> {
    let seconds = match (wanted.advance_seconds, wanted.now) {
        (Some(seconds), None) if seconds >= 0 => seconds,
        (Some(_), None) => return Err("advance_seconds: time goes forward only".to_owned()),
        (None, Some(now)) => {
            let now: jiff::Timestamp = now.parse().map_err(|error| format!("now: {error}"))?;
            now.as_second().saturating_sub(state.now()).max(0)
        }
        (Some(_), Some(_)) | (None, None) => return Err("either advance_seconds or now must be sent".to_owned()),
    };
    let ahead = state.ahead.saturating_add(seconds);
    if ahead > MOST_SECONDS {
        return Err("time goes forward by twenty years at most".to_owned());
    }
    state.ahead = ahead;
    Ok(())
}

fn configure(state: &mut State, wanted: Configure) -> Result<Value, String> {
    let mut settings = state.settings.clone();
    if let Some(stripe) = wanted.stripe {
        set(&mut settings.stripe.secret_key, stripe.secret_key, "stripe.secret_key")?;
        set(&mut settings.stripe.webhook_secret, stripe.webhook_secret, "stripe.webhook_secret")?;
        set_address(&mut settings.stripe.webhook_url, stripe.webhook_url, "stripe.webhook_url")?;
    }
    if let Some(paystack) = wanted.paystack {
        set(&mut settings.paystack.secret_key, paystack.secret_key, "paystack.secret_key")?;
        set_address(&mut settings.paystack.webhook_url, paystack.webhook_url, "paystack.webhook_url")?;
        let now = &mut settings.paystack;
        now.customer_bears_fees = paystack.customer_bears_fees.unwrap_or(now.customer_bears_fees);
        now.two_factor = paystack.two_factor.unwrap_or(now.two_factor);
    }
    if let Some(flitt) = wanted.flitt {
        let now = &mut settings.flitt;
        set(&mut now.merchant_id, flitt.merchant_id, "flitt.merchant_id")?;
        set(&mut now.payment_key, flitt.payment_key, "flitt.payment_key")?;
        set_address(&mut now.webhook_url, flitt.webhook_url, "flitt.webhook_url")?;
        now.recurring = flitt.recurring.unwrap_or(now.recurring);
        now.currencies = flitt.currencies.unwrap_or_else(|| now.currencies.clone());
        now.callbacks = flitt.callbacks.unwrap_or(now.callbacks);
        now.reversal_callbacks = flitt.reversal_callbacks.unwrap_or(now.reversal_callbacks);
        if now.merchant_id.parse::<u64>().is_err() {
            return Err("flitt.merchant_id: must be a whole number".to_owned());
        }
    }
    if let Some(paypal) = wanted.paypal {
        let now = &mut settings.paypal;
        set(&mut now.client_id, paypal.client_id, "paypal.client_id")?;
        set(&mut now.client_secret, paypal.client_secret, "paypal.client_secret")?;
        set(&mut now.webhook_id, paypal.webhook_id, "paypal.webhook_id")?;
        set_address(&mut now.webhook_url, paypal.webhook_url, "paypal.webhook_url")?;
        now.vault_by_webhook = paypal.vault_by_webhook.unwrap_or(now.vault_by_webhook);
        now.block_duplicate_invoices = paypal.block_duplicate_invoices.unwrap_or(now.block_duplicate_invoices);
    }
    state.settings = settings;
    Ok(json!({
        "stripe": {"webhook_url": state.settings.stripe.webhook_url},
        "paystack": {"webhook_url": state.settings.paystack.webhook_url},
        "flitt": {"webhook_url": state.settings.flitt.webhook_url},
        "paypal": {"webhook_url": state.settings.paypal.webhook_url},
    }))
}

fn set(place: &mut String, value: Option<String>, field: &str) -> Result<(), String> {
    match value {
        Some(value) if value.is_empty() || !value.bytes().all(|b| b.is_ascii_graphic()) => {
            Err(format!("{field}: must be visible ASCII characters"))
        }
        Some(value) => {
            *place = value;
            Ok(())
        }
        None => Ok(()),
    }
}

fn set_address(place: &mut Option<String>, value: Option<Option<String>>, field: &str) -> Result<(), String> {
    match value {
        Some(Some(url)) => {
            *place = Some(loopback(&url).ok_or_else(|| format!("{field}: must be an http address on this machine"))?);
        }
        Some(None) => *place = None,
        None => {}
    }
    Ok(())
}

/// The simulator speaks to nobody but this machine.
pub(crate) fn loopback(text: &str) -> Option<String> {
    let url = reqwest::Url::parse(text).ok()?;
    let host = url.host_str()?;
    let local = host == "localhost" || host.ends_with(".localhost") || host == "[::1]";
    let local = local || host.parse::<std::net::Ipv4Addr>().is_ok_and(|address| address.is_loopback());
    (url.scheme() == "http" && local).then(|| text.to_owned())
}

pub(crate) fn books(state: &State, filter: &Filter) -> Value {
    let mut shown = state.books.show(filter);
    shown["deliveries"] = state.webhooks.show(filter);
    shown["requests"] = json!(state.requests);
    shown
}

fn filter(query: &str) -> Result<Filter, String> {
    let mut fields = serde_json::Map::new();
    for (name, value) in crate::pages::fields(query).ok_or("the query cannot be decoded")? {
        fields.insert(name, Value::String(value));
    }
    serde_path_to_error::deserialize(Value::Object(fields)).map_err(|error| describe(&error))
}

/// An empty body is an empty object.
pub(crate) fn read<T: DeserializeOwned>(body: &str) -> Result<T, String> {
    let body = if body.trim().is_empty() { "{}" } else { body };
    let mut reader = serde_json::Deserializer::from_str(body);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| describe(&error))?;
    reader.end().map_err(|error| error.to_string())?;
    Ok(value)
}

fn describe(error: &serde_path_to_error::Error<serde_json::Error>) -> String {
    let path = error.path().to_string();
    if path == "." { error.inner().to_string() } else { format!("{path}: {}", error.inner()) }
}
