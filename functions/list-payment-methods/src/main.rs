//! `GET /payment-methods`: what the customer's renewals can be charged to.

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
    Ok(Reply::ok(view::payment_methods(&app.billing.wallet(&caller.customer).await?)))
}
