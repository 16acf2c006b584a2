//! `POST /admin/interventions`: what billing staff do for one customer, for many.

use lambda_http::{Error, Request, run, service_fn};
use platform::App;
use platform::batch::Batch;
use platform::http::{Problem, Reply, body, fingerprint, respond, staff_key};
use platform::identity::Scope;
use platform::interventions::InterventionRequest;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let app = platform::app()?;
    run(service_fn(|request| respond(request, |request| handle(&app, request)))).await
}

async fn handle(app: &App, request: Request) -> Result<Reply, Problem> {
    app.caller(&request, Scope::Admin)?;
    // One for all rows: a customer is in one of them, and a key is each customer's own.
    let key = &staff_key(&request)?;
    let batch: Batch = body(&request)?;
    if batch.dry_run {
        return Err(Problem::invalid("dry_run", "is not taken: what a customer has is seen when it is done"));
    }
    let intervene = async |row: InterventionRequest| {
        let fingerprint = fingerprint(&("administer-subscription", &row))?;
        let (customer, intervention) = row.of_row()?;
        let subscription = app.billing.intervene(&customer, &intervention, key, &fingerprint).await?;
        Ok(("done", subscription.id.to_string()))
    };
    batch.answer(intervene).await
}
