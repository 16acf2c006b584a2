//! `GET /health`: which release this is, which gateways it has keys for, what time it thinks it is.

use lambda_http::{Error, Request, run, service_fn};
use platform::http::{Problem, Reply, respond};
use platform::{App, view};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let app = platform::app()?;
    run(service_fn(|request| respond(request, |request| handle(&app, request)))).await
}

async fn handle(app: &App, _: Request) -> Result<Reply, Problem> {
    let now = app.billing.now(None).await?;
    Ok(Reply::ok(view::health(&app.billing.gateways, now, app.config.test_clock)))
}
