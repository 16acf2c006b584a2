//! `POST /admin/customers/{customer}/subscription/changes`: billing staff do for a customer what the customer may not.

use billing::id::CustomerId;
use lambda_http::{Error, Request, run, service_fn};
use platform::http::{Problem, Reply, body, fingerprint, path, respond, staff_key};
use platform::identity::Scope;
use platform::interventions::InterventionRequest;
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
    let asked: InterventionRequest = body(&request)?;
    let fingerprint = fingerprint(&("administer-subscription", &asked))?;
    app.billing.intervene(&customer, &asked.of_path()?, &key, &fingerprint).await?;
    // With the tokens: what was done may show in nothing else.
    let live = app.billing.lookup(&customer).await?.ok_or_else(Problem::no_subscription)?;
    Ok(Reply::ok(view::live(&live)))
}
