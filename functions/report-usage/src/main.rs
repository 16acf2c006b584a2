//! `POST /usage`: what was used of what is counted, once or up to 500 times.

use lambda_http::{Error, Request, run, service_fn};
use platform::http::respond;
use platform::usage;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let app = &platform::app()?;
    run(service_fn(|request: Request| respond(request, async |request| usage::report(app, &request).await))).await
}
