//! `POST /virtual-accounts`: someone wants to buy and pay by bank transfer; to which account?

use lambda_http::{Error, Request, run, service_fn};
use platform::http::{Problem, Reply, body, idempotency_key, respond};
use platform::identity::Scope;
use platform::purchases::PurchaseByTransfer;
use platform::{App, view};
use serde_json::json;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let app = platform::app()?;
    run(service_fn(|request| respond(request, |request| handle(&app, request)))).await
}

async fn handle(app: &App, request: Request) -> Result<Reply, Problem> {
    let caller = app.caller(&request, Scope::Write)?;
    let key = idempotency_key(&request)?;
    let wanted = body::<PurchaseByTransfer>(&request)?.checkout(caller, key)?;
    let payment = app.billing.checkout(wanted).await?;
    Ok(Reply::created(json!({
        "account": payment.bank_account(), "reference": payment.reference, "payment": view::payment(&payment),
    })))
}
