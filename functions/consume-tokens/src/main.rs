//! `POST /tokens/consume`: prepaid tokens are used up.

use billing::id::CustomerId;
use billing::token::Purpose;
use billing::workflow::Consume;
use lambda_http::{Error, Request, run, service_fn};
use platform::http::{Problem, Reply, body, fingerprint, respond};
use platform::{App, view};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::num::NonZeroU32;

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct ConsumeTokens {
    tokens: NonZeroU32,
    description: Option<Purpose>,
    /// Whose, said by a service; a customer consumes their own.
    customer: Option<CustomerId>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let app = platform::app()?;
    run(service_fn(|request| respond(request, |request| handle(&app, request)))).await
}

async fn handle(app: &App, request: Request) -> Result<Reply, Problem> {
    let asked: ConsumeTokens = body(&request)?;
    let fingerprint = fingerprint(&("consume-tokens", &asked))?;
    let (customer, key) = app.reported(&request, asked.customer)?;
    let (tokens, description) = (asked.tokens, asked.description);
    let consumption = app.billing.consume(&Consume { customer, tokens, description, key, fingerprint }).await?;
    Ok(Reply::ok(json!({ "balance": consumption.balance, "consumption": view::consumption(&consumption) })))
}
