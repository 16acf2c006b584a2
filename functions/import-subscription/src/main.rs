//! `POST /admin/customers/{customer}/imports`: a subscription that a gateway drives becomes the customer's, and is followed.
//! What names it is the gateway's own id, so asking twice needs no key.

use billing::payment::Gateway;
use billing::workflow::Import;
use lambda_http::{Error, Request, run, service_fn};
use platform::http::{Problem, Reply, body, path, respond};
use platform::identity::Scope;
use platform::{App, view};
use serde::Deserialize;
use serde_json::json;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ImportSubscription {
    gateway: Gateway,
    /// The gateway's own id of it: `sub_…`.
    subscription: String,
    /// Says what it would be here, and changes nothing.
    #[serde(default)]
    dry_run: bool,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let app = platform::app()?;
    run(service_fn(|request| respond(request, |request| handle(&app, request)))).await
}

async fn handle(app: &App, request: Request) -> Result<Reply, Problem> {
    app.caller(&request, Scope::Admin)?;
    let ImportSubscription { gateway, subscription, dry_run } = body(&request)?;
    let wanted = Import { customer: path(&request, "customer")?, gateway, subscription, dry_run };
    let imported = app.billing.import(&wanted).await?;
    let shown = json!({ "subscription": view::subscription(&imported), "dry_run": dry_run });
    Ok(if dry_run { Reply::ok(shown) } else { Reply::created(shown) })
}
