//! Invoked by whoever deploys: puts one family of plans on sale, or says what is wrong with it.

use billing::workflow::LoadError;
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use platform::{App, catalogue};
use serde_json::{Value, json};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let app = platform::app()?;
    run(service_fn(|event| handle(&app, event))).await
}

async fn handle(app: &App, event: LambdaEvent<Value>) -> Result<Value, Error> {
    let loaded = match catalogue::read(event.payload) {
        Ok(catalogue) => app.billing.load(catalogue).await,
        Err(problem) => Err(LoadError::Problems(vec![problem])),
    };
    match loaded {
        Ok(plans) => Ok(json!({ "plans": plans })),
        Err(LoadError::Problems(problems)) => Ok(json!({ "problems": problems })),
        Err(LoadError::Store(error)) => Err(error.into()),
    }
}
