//! `POST /test-clock/advance`: moves a test stack's time at once, from where it ticks on. Deployed only where `TestClock` is enabled.

use jiff::Span;
use lambda_http::{Error, Request, run, service_fn};
use platform::http::{Problem, Reply, body, respond};
use platform::identity::Scope;
use platform::{App, world_time};
use serde::Deserialize;
use serde_json::json;

/// `P1M`, `P3D`, `PT5M`: a span of the calendar, ISO 8601.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AdvanceTestClock {
    by: Span,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let app = platform::app()?;
    run(service_fn(|request| respond(request, |request| handle(&app, request)))).await
}

async fn handle(app: &App, request: Request) -> Result<Reply, Problem> {
    app.caller(&request, Scope::Admin)?;
    let AdvanceTestClock { by } = body(&request)?;
    let now = app.billing.advance_clock(by, world_time()).await?;
    Ok(Reply::ok(json!({ "now": now })))
}
