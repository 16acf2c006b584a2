//! `POST /admin/customers/{customer}/subscription`: billing staff give a customer a plan, as if they had subscribed.

use billing::id::CustomerId;
use lambda_http::{Error, Request, run, service_fn};
use platform::assignments::{Assignment, is_awaited};
use platform::http::{Problem, Reply, body, fingerprint, path, respond, staff_key};
use platform::identity::Scope;
use platform::{App, view};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let app = platform::app()?;
    run(service_fn(|request| respond(request, |request| handle(&app, request)))).await
}

async fn handle(app: &App, request: Request) -> Result<Reply, Problem> {
    app.caller(&request, Scope::Admin)?;
    let key = staff_key(&request)?;
    let customer: CustomerId = path(&request, "customer")?;
    let asked: Assignment = body(&request)?;
    let fingerprint = fingerprint(&("assign-subscription", &asked))?;
    let wanted = asked.of(customer, &app.config.return_urls)?;
    let assigned = app.billing.subscribe(&wanted, &key, &fingerprint).await?;
    let view = view::changed(&assigned);
    Ok(if is_awaited(&assigned) { Reply::accepted(view) } else { Reply::created(view) })
}
