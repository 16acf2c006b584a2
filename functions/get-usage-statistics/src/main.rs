//! `GET /usage/statistics`: what the customer used today, this month, and day by day.

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
    let statistics = app.billing.statistics(&caller.customer).await?.ok_or_else(Problem::no_subscription)?;
    Ok(Reply::ok(view::statistics(&statistics)))
}
