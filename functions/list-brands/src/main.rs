//! `GET /admin/brands`: every brand, by its id.

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
    app.caller(&request, Scope::Admin)?;
    Ok(Reply::ok(view::brands(&app.billing.brands().await?)))
}
