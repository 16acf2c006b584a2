//! `POST /payment-methods`: a customer wants to leave a method without buying; where?

use billing::money::Currency;
use billing::payment::Gateway;
use billing::workflow::Setup;
use lambda_http::{Error, Request, run, service_fn};
use platform::http::{Problem, Reply, body, fingerprint, idempotency_key, respond};
use platform::identity::Scope;
use platform::{App, return_url, view};
use serde::{Deserialize, Serialize};
use serde_json::json;

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct AddPaymentMethod {
    gateway: Gateway,
    /// In which a gateway that must charge something to prove a method does so; it goes back.
    currency: Currency,
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
    let wanted: AddPaymentMethod = body(&request)?;
    let fingerprint = fingerprint(&("add-payment-method", &wanted))?;
    let setup = app.billing.set_up(Setup {
        customer: caller.customer,
        email: caller.email,
        gateway: wanted.gateway,
        currency: wanted.currency,
        return_url: return_url::choose(&app.config.return_urls, wanted.return_url)?,
        key,
        fingerprint,
    });
    Ok(Reply::created(json!({ "payment": view::payment(&setup.await?) })))
}
