//! The queue `payment-retries`: a retry is due, a payment was never answered, or money is owed back.

use lambda_runtime::{Error, run, service_fn};
use platform::sqs;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let app = platform::app()?;
    run(service_fn(|event| sqs::each(event, |wanted| app.billing.wake(wanted)))).await
}
