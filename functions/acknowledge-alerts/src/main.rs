//! `PUT /alerts/{meter}`: the customer has seen that it is near its limit, or at it.

use lambda_http::{Error, Request, run, service_fn};
use platform::http::{Problem, Reply, body, path, respond};
use platform::identity::Scope;
use platform::{App, view};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AcknowledgeAlerts {
    acknowledged: bool,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let app = platform::app()?;
    run(service_fn(|request| respond(request, |request| handle(&app, request)))).await
}

async fn handle(app: &App, request: Request) -> Result<Reply, Problem> {
    let caller = app.caller(&request, Scope::Write)?;
    let meter = path(&request, "meter")?;
    let AcknowledgeAlerts { acknowledged } = body(&request)?;
    let alerts = app.billing.acknowledge(&caller.customer, &meter, acknowledged).await?;
    Ok(Reply::ok(view::acknowledged(&alerts)))
}
