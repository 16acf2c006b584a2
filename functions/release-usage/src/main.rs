//! `DELETE /entitlements/{feature}/reservations/{id}`: nothing is held under that id any more.

use lambda_http::{Error, Request, run, service_fn};
use platform::http::respond;
use platform::reservations;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let app = &platform::app()?;
    run(service_fn(|request: Request| respond(request, async |request| reservations::release(app, &request).await)))
        .await
}
