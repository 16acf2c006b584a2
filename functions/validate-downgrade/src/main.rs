//! `POST /subscription/validate-downgrade`: would a smaller plan fit, and if not, what is to be reduced or waited for, and
//! which plan would do?

use billing::id::PlanId;
use lambda_http::{Error, Request, run, service_fn};
use platform::App;
use platform::http::{Problem, Reply, body, respond};
use platform::identity::Scope;
use serde::Deserialize;
use serde_json::json;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ValidateDowngrade {
    plan: PlanId,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let app = platform::app()?;
    run(service_fn(|request| respond(request, |request| handle(&app, request)))).await
}

async fn handle(app: &App, request: Request) -> Result<Reply, Problem> {
    let caller = app.caller(&request, Scope::Read)?;
    let wanted: ValidateDowngrade = body(&request)?;
    let answer = app.billing.validate_downgrade(&caller.customer, &wanted.plan).await?;
    Ok(Reply::ok(json!(answer)))
}
