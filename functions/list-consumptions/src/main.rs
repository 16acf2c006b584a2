//! `GET /tokens/history`: what the customer's tokens were used for, newest first.

use billing::id::ConsumptionId;
use lambda_http::{Error, Request, run, service_fn};
use platform::http::{List, Problem, Reply, list, respond};
use platform::identity::Scope;
use platform::{App, view};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let app = platform::app()?;
    run(service_fn(|request| respond(request, |request| handle(&app, request)))).await
}

async fn handle(app: &App, request: Request) -> Result<Reply, Problem> {
    let caller = app.caller(&request, Scope::Read)?;
    let asked: List<ConsumptionId> = list(&request)?;
    let consumptions = app.billing.consumptions(&caller.customer, asked.before.as_ref(), asked.limit.into()).await?;
    Ok(asked.of("consumptions", &consumptions, view::consumption, |it| &it.id))
}
