//! Every minute: what is due? Its name goes onto a queue.

use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use platform::App;
use platform::sqs::{Queues, in_time};
use serde_json::{Value, json};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let app = platform::app()?;
    let queues = Queues::from_env(&app)?;
    run(service_fn(|event| handle(&app, &queues, event))).await
}

/// What the event says does not matter: late, twice or by hand, a sweep is a question to the table.
async fn handle(app: &App, queues: &Queues, event: LambdaEvent<Value>) -> Result<Value, Error> {
    let deadline = event.context.deadline();
    let woken = app.billing.sweep(queues, || in_time(deadline)).await?;
    Ok(json!({ "woken": woken }))
}
