//! `DELETE /payment-methods/{method}`: nothing is charged to it from now on.

use lambda_http::{Error, Request, run, service_fn};
use platform::http::{Problem, Reply, path, respond};
use platform::identity::Scope;
use platform::{App, view};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let app = platform::app()?;
    run(service_fn(|request| respond(request, |request| handle(&app, request)))).await
}

async fn handle(app: &App, request: Request) -> Result<Reply, Problem> {
    let caller = app.caller(&request, Scope::Write)?;
    let wallet = app.billing.remove_method(&caller.customer, &path(&request, "method")?).await?;
    Ok(Reply::ok(view::payment_methods(&wallet)))
}
