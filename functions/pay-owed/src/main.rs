//! `POST /subscription/payments`: a customer whose payment was declined pays what they owe; where?

use billing::payment::{CheckoutMethod, Gateway};
use billing::workflow::Recovery;
use lambda_http::{Error, Request, run, service_fn};
use platform::http::{Problem, Reply, body, fingerprint, idempotency_key, respond};
use platform::identity::Scope;
use platform::{App, return_url, view};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// How it is paid. How much it is, the subscription says.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct PayOwed {
    gateway: Gateway,
    method: Option<CheckoutMethod>,
    return_url: Option<String>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let app = platform::app()?;
    run(service_fn(|request| respond(request, |request| handle(&app, request)))).await
}

async fn handle(app: &App, request: Request) -> Result<Reply, Problem> {
    let caller = app.caller(&request, Scope::Write)?;
    let key = idempotency_key(&request)?;
    let wanted: PayOwed = body(&request)?;
    let fingerprint = fingerprint(&("pay-owed", &wanted))?;
    let payment = app.billing.recover(Recovery {
        customer: caller.customer,
        email: caller.email,
        gateway: wanted.gateway,
        method: wanted.method.unwrap_or(CheckoutMethod::Checkout),
        return_url: return_url::choose(&app.config.return_urls, wanted.return_url)?,
        key,
        fingerprint,
    });
    Ok(Reply::created(json!({ "payment": view::payment(&payment.await?) })))
}
