//! `GET /payments/{payment}`: what we know of one payment, without asking the gateway.

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
    let caller = app.caller(&request, Scope::Read)?;
    let payment = app.billing.payment(&caller.customer, &path(&request, "payment")?).await?;
    Ok(Reply::ok(json!({ "payment": view::payment(&payment.ok_or_else(Problem::not_found)?) })))
}
