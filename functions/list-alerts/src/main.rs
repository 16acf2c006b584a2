//! `GET /alerts`: which of the customer's meters are near their limits, or at them, and what is unusual today.

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
    let alerts = app.billing.alerts(&caller.customer).await?;
    Ok(Reply::ok(view::alerts(&alerts)))
}
