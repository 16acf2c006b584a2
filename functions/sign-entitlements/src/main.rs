//! `GET /entitlements/token`: all that the customer may use, signed, for whoever serves them.

use lambda_http::{Error, Request, run, service_fn};
use platform::http::{Problem, Reply, respond};
use platform::identity::Scope;
use platform::signing::Signer;
use platform::{App, world_time};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let app = platform::app()?;
    let signer = Signer::from_env(&app)?;
    run(service_fn(|request| respond(request, |request| handle(&app, &signer, request)))).await
}

async fn handle(app: &App, signer: &Signer, request: Request) -> Result<Reply, Problem> {
    let caller = app.caller(&request, Scope::Read)?;
    // Before they are read: a token says nothing that was not so when it was issued, or later.
    let now = world_time();
    let entitled = app.billing.entitlements(&caller.customer).await?;
    Ok(Reply::ok(signer.sign(&caller.customer, entitled.as_ref(), now).await?))
}
