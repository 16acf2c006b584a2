//! `POST /usage/{meter}/increment`: so much more was used, once for each key.

use billing::id::{CustomerId, MeterId, UsageId};
use billing::workflow::Use;
use lambda_http::{Error, Request, run, service_fn};
use platform::App;
use platform::http::{Problem, Reply, body, idempotency_key, path, respond};
use platform::usage::{countable, one};
use serde::Deserialize;
use std::num::NonZeroU64;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Increment {
    value: NonZeroU64,
    /// Whose, said by a service; a customer reports their own.
    subject: Option<CustomerId>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let app = platform::app()?;
    run(service_fn(|request| respond(request, |request| handle(&app, request)))).await
}

async fn handle(app: &App, request: Request) -> Result<Reply, Problem> {
    let reporter = app.reporter(&request)?;
    let meter: MeterId = path(&request, "meter")?;
    let Increment { value, subject } = body(&request)?;
    // The key is the use's id: told of it the other way, it is the same.
    let key = String::from(idempotency_key(&request)?);
    let id = UsageId::try_from(key).map_err(|error| Problem::unreadable(error).at("Idempotency-Key"))?;
    one(app, &reporter, subject, Use { meter, value: countable(value)?, id, at: None }).await
}
