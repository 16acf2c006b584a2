//! `GET /plans/comparison?family=…`: the plans of a family side by side.

use lambda_http::{Error, Request, run, service_fn};
use platform::http::{Problem, Reply, query, respond};
use platform::{App, view};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let app = platform::app()?;
    run(service_fn(|request| respond(request, |request| handle(&app, request)))).await
}

async fn handle(app: &App, request: Request) -> Result<Reply, Problem> {
    let family = query(&request, "family")?.ok_or_else(|| Problem::unreadable("which family?").at("family"))?;
    let comparison = app.billing.comparison(&family).await?.ok_or_else(Problem::not_found)?;
    Ok(Reply::public(view::comparison(comparison)))
}
