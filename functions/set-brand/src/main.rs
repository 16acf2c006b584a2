//! `PUT /admin/brands/{brand}`: what customers who have that brand see on mails and pages from now on.

use lambda_http::{Error, Request, run, service_fn};
use platform::brands::BrandRequest;
use platform::http::{Problem, Reply, body, path, respond};
use platform::identity::Scope;
use platform::{App, view};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let app = platform::app()?;
    run(service_fn(|request| respond(request, |request| handle(&app, request)))).await
}

async fn handle(app: &App, request: Request) -> Result<Reply, Problem> {
    app.caller(&request, Scope::Admin)?;
    let id = path(&request, "brand")?;
    let brand = body::<BrandRequest>(&request)?.named(id);
    app.billing.keep_brand(&brand).await?;
    Ok(Reply::ok(view::brand(&brand)))
}
