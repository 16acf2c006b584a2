//! `GET /entitlements/{feature}`: may the customer use it, and how much of it?

use billing::id::FeatureId;
use lambda_http::{Error, Request, run, service_fn};
use platform::http::{Problem, Reply, path, respond};
use platform::identity::Scope;
use platform::{App, view};
use serde_json::json;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let app = platform::app()?;
    run(service_fn(|request| respond(request, |request| handle(&app, request)))).await
}

/// The id of a feature, or of a meter.
async fn handle(app: &App, request: Request) -> Result<Reply, Problem> {
    let caller = app.caller(&request, Scope::Read)?;
    let name: FeatureId = path(&request, "feature")?;
    let entitlement = app.billing.entitlement(&caller.customer, &name).await?;
    let mut answer = view::entitlement(&entitlement);
    answer["feature"] = json!(name);
    Ok(Reply::ok(answer))
}
