//! `PUT /entitlements/{feature}/reservations/{id}`: an amount is held for a use to come.

use lambda_http::{Error, Request, run, service_fn};
use platform::http::respond;
use platform::reservations;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let app = &platform::app()?;
    run(service_fn(|request: Request| respond(request, async |request| reservations::reserve(app, &request).await)))
        .await
}
