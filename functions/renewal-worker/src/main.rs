//! The queue `renewals`: a period is over; begin the next, or end.

use lambda_runtime::{Error, run, service_fn};
use platform::sqs;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let app = platform::app()?;
    run(service_fn(|event| sqs::each(event, |wanted| app.billing.wake(wanted)))).await
}
