//! Invoked by whoever looks after the gateways: how a gateway's products and prices differ from our plans and, if that is
//! asked, puts them right.

use billing::ports::GatewayError;
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use platform::gateways::sync::{SyncError, SyncRequest};
use platform::{App, world_time};
use serde_json::{Value, json};
use std::time::{Duration, SystemTime};

/// Nothing is begun with less time than a gateway may take to answer.
const LEAST_TIME: Duration = Duration::from_secs(12);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let app = platform::app()?;
    run(service_fn(|event| handle(&app, event))).await
}

async fn handle(app: &App, event: LambdaEvent<SyncRequest>) -> Result<Value, Error> {
    let left = event.context.deadline().duration_since(SystemTime::now()).unwrap_or_default();
    let plans = app.billing.all_plans().await?;
    let patience = left.saturating_sub(LEAST_TIME);
    match app.billing.gateways.sync(&event.payload, &plans, world_time(), patience).await {
        Ok(report) => Ok(serde_json::to_value(report)?),
        Err(refusal @ SyncError::NothingKept(_)) => Ok(json!({ "problem": refusal.to_string() })),
        Err(SyncError::Gateway(refusal @ GatewayError::NotConfigured(_))) => {
            Ok(json!({ "problem": refusal.to_string() }))
        }
        Err(error) => Err(error.into()),
    }
}
