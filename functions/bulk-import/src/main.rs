//! `POST /admin/imports`: subscriptions that ran elsewhere go on here, each when it is due. Each row names itself, so asking
//! twice needs no key.

use billing::workflow::TakenOver;
use lambda_http::{Error, Request, run, service_fn};
use platform::App;
use platform::batch::Batch;
use platform::http::{Problem, Reply, body, respond};
use platform::identity::Scope;
use platform::imports::ImportRow;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let app = platform::app()?;
    run(service_fn(|request| respond(request, |request| handle(&app, request)))).await
}

async fn handle(app: &App, request: Request) -> Result<Reply, Problem> {
    app.caller(&request, Scope::Admin)?;
    let batch: Batch = body(&request)?;
    let dry_run = batch.dry_run;
    let import = async |row: ImportRow| {
        let wanted = row.wanted(&app.config.return_urls)?;
        Ok(match app.billing.take_over(&wanted, dry_run).await? {
            TakenOver::Now(subscription) => ("imported", subscription.id.to_string()),
            TakenOver::Before(subscription) => ("unchanged", subscription.id.to_string()),
        })
    };
    batch.answer(import).await
}
