//! `PUT /usage/{meter}`: how much of something there is now.

use billing::id::CustomerId;
use lambda_http::{Error, Request, run, service_fn};
use platform::http::{Problem, Reply, body, path, respond};
use platform::usage::level;
use platform::{App, view};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SetUsage {
    value: u64,
    /// Whose, said by a service; a customer sets their own.
    subject: Option<CustomerId>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let app = platform::app()?;
    run(service_fn(|request| respond(request, |request| handle(&app, request)))).await
}

async fn handle(app: &App, request: Request) -> Result<Reply, Problem> {
    let reporter = app.reporter(&request)?;
    let meter = path(&request, "meter")?;
    let SetUsage { value, subject } = body(&request)?;
    let (usage, standing) = app.billing.set_usage(&reporter.reports(subject)?, &meter, level(value)?).await?;
    Ok(Reply::ok(view::usage(&usage, standing)))
}
