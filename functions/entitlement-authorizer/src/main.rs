//! Asked by API Gateway before a route of the SaaS: may whoever calls use what the route is for?

use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use platform::App;
use platform::authorizer::{Closed, Route, answer};
use platform::identity::IssuerKeys;
use serde_json::Value;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let app = platform::app()?;
    let keys = app.issuer_keys();
    run(service_fn(|event| handle(&app, &keys, event))).await
}

async fn handle(app: &App, keys: &IssuerKeys, event: LambdaEvent<Route>) -> Result<Value, Error> {
    let route = event.payload;
    answer(&route, opened(app, keys, &route).await)
}

/// What the code behind the route is told.
async fn opened(app: &App, keys: &IssuerKeys, route: &Route) -> Result<Value, Closed> {
    let asked = route.asked()?;
    let caller = app.verified(keys, route.authorization()?).await?;
    let found = app.billing.entitlements(&caller.customer).await?;
    asked.context(&caller, found)
}
