//! `POST /admin/customers/{customer}/payments/{payment}/refunds`: the SaaS gives money back.

use billing::payment::{AskedBecause, Portion};
use billing::workflow::RefundRequest;
use lambda_http::{Error, Request, run, service_fn};
use platform::http::{Problem, Reply, body, fingerprint, idempotency_key, path, respond};
use platform::identity::Scope;
use platform::{App, view};
use serde::{Deserialize, Serialize};
use serde_json::json;

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct RefundPayment {
    amount: Portion,
    reason: AskedBecause,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let app = platform::app()?;
    run(service_fn(|request| respond(request, |request| handle(&app, request)))).await
}

async fn handle(app: &App, request: Request) -> Result<Reply, Problem> {
    app.caller(&request, Scope::Admin)?;
    let key = idempotency_key(&request)?;
    let wanted: RefundPayment = body(&request)?;
    let payment = path(&request, "payment")?;
    let fingerprint = fingerprint(&("refund-payment", &payment, &wanted))?;
    let refunded = app.billing.refund(RefundRequest {
        customer: path(&request, "customer")?,
        payment,
        portion: wanted.amount,
        because: wanted.reason,
        key,
        fingerprint,
    });
    Ok(Reply::created(json!({ "payment": view::payment(&refunded.await?) })))
}
