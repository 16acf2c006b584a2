//! `GET /tokens/history`: what the customer's tokens were used for, newest first.

use billing::id::ConsumptionId;
use lambda_http::{Error, Request, run, service_fn};
use platform::http::{Problem, Reply, page_size, query, respond};
use platform::identity::Scope;
use platform::{App, view};
use serde_json::{Value, json};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let app = platform::app()?;
    run(service_fn(|request| respond(request, |request| handle(&app, request)))).await
}

/// `?limit=` 1 to 100 (20 if it is not said), `?before=` the id that the page before said is `next`.
async fn handle(app: &App, request: Request) -> Result<Reply, Problem> {
    let caller = app.caller(&request, Scope::Read)?;
    let limit = page_size(&request)?;
    let before: Option<ConsumptionId> = query(&request, "before")?;
    let consumptions = app.billing.consumptions(&caller.customer, before.as_ref(), limit.into()).await?;
    let next = consumptions.get(usize::from(limit).saturating_sub(1)).map(|last| &last.id);
    let list: Vec<Value> = consumptions.iter().map(view::consumption).collect();
    Ok(Reply::ok(json!({ "consumptions": list, "next": next })))
}
