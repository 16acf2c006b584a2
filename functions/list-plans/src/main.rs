//! `GET /plans`, `GET /plans?group_by=pricing_model`: what is for sale.

use lambda_http::{Error, Request, run, service_fn};
use platform::http::{Problem, Reply, query, respond};
use platform::{App, view};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum GroupBy {
    PricingModel,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let app = platform::app()?;
    run(service_fn(|request| respond(request, |request| handle(&app, request)))).await
}

async fn handle(app: &App, request: Request) -> Result<Reply, Problem> {
    let group_by = query::<GroupBy>(&request, "group_by")?;
    let plans = app.billing.plans().await?;
    Ok(Reply::public(match group_by {
        Some(GroupBy::PricingModel) => view::by_pricing_model(&plans),
        None => view::plans(&plans),
    }))
}
