//! `POST /admin/customers/{customer}/usage/{meter}/rebuild`: staff have a counter and its days reckoned again from the records
//! of its uses. Done again it finds what it has left, so asking twice needs no key.

use billing::workflow::Rebuild;
use lambda_http::{Error, Request, run, service_fn};
use platform::http::{Problem, Reply, body, path, respond};
use platform::identity::Scope;
use platform::{App, view};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RebuildUsage {
    /// Says what it would be, and changes nothing.
    dry_run: bool,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let app = platform::app()?;
    run(service_fn(|request| respond(request, |request| handle(&app, request)))).await
}

async fn handle(app: &App, request: Request) -> Result<Reply, Problem> {
    app.caller(&request, Scope::Admin)?;
    let (customer, meter) = (path(&request, "customer")?, path(&request, "meter")?);
    let RebuildUsage { dry_run } = body(&request)?;
    let rebuilt = app.billing.rebuild(&Rebuild { customer, meter, dry_run }).await?;
    Ok(Reply::ok(view::rebuilt(&rebuilt, dry_run)))
}
