//! `POST /payments/{payment}/verify`: the customer is back; ask the gateway and settle.

use lambda_http::{Error, Request, run, service_fn};
use platform::http::{Problem, Reply, path, respond};
use platform::identity::Scope;
use platform::{App, view};
use serde_json::json;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let app = platform::app()?;
    run(service_fn(|request| respond(request, |request| handle(&app, request)))).await
}

async fn handle(app: &App, request: Request) -> Result<Reply, Problem> {
    let caller = app.caller(&request, Scope::Write)?;
    let (payment, subscription) = app.billing.verify(&caller.customer, &path(&request, "payment")?).await?;
    let subscription = subscription.as_ref().map(view::subscription);
    Ok(Reply::ok(json!({ "payment": view::payment(&payment), "subscription": subscription })))
}
