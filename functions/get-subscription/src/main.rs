//! `GET /subscription`: all that a page or a service needs to know of the customer in the token.

use lambda_http::{Error, Request, run, service_fn};
use platform::http::{Problem, Reply, respond};
use platform::identity::Scope;
use platform::{App, view};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let app = platform::app()?;
    run(service_fn(|request| respond(request, |request| handle(&app, request)))).await
}

async fn handle(app: &App, request: Request) -> Result<Reply, Problem> {
    let caller = app.caller(&request, Scope::Read)?;
    let live = app.billing.lookup(&caller.customer).await?.ok_or_else(Problem::no_subscription)?;
    Ok(Reply::ok(view::live(&live)))
}
