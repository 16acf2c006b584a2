//! `GET /plans/{plan}`: one plan.

use lambda_http::{Error, Request, run, service_fn};
use platform::http::{Problem, Reply, path, respond};
use platform::{App, view};
use serde_json::json;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let app = platform::app()?;
    run(service_fn(|request| respond(request, |request| handle(&app, request)))).await
}

async fn handle(app: &App, request: Request) -> Result<Reply, Problem> {
    let plan = app.billing.plan(&path(&request, "plan")?).await?.ok_or_else(Problem::not_found)?;
    Ok(Reply::public(json!({ "plan": view::plan(&plan) })))
}
