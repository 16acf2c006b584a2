//! `POST /admin/assignments`: billing staff give many customers a plan, each as if they had subscribed.

use lambda_http::{Error, Request, run, service_fn};
use platform::App;
use platform::assignments::{Assignment, is_awaited};
use platform::batch::Batch;
use platform::http::{Problem, Reply, body, fingerprint, respond, staff_key};
use platform::identity::Scope;

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
        return Err(Problem::invalid("dry_run", "is not taken: whether a charge succeeds, only the charge tells"));
    }
    let assign = async |row: Assignment| {
        let fingerprint = fingerprint(&("assign-subscription", &row))?;
        let wanted = row.of_row(&app.config.return_urls)?;
        let assigned = app.billing.subscribe(&wanted, key, &fingerprint).await?;
        let outcome = if is_awaited(&assigned) { "awaited" } else { "assigned" };
        Ok((outcome, assigned.subscription.id.to_string()))
    };
    batch.answer(assign).await
}
