//! `POST /tokens/consume`: prepaid tokens are used up.

use billing::id::CustomerId;
use billing::token::Purpose;
use billing::workflow::Consume;
use lambda_http::{Error, Request, run, service_fn};
use platform::http::{Problem, Reply, body, fingerprint, idempotency_key, respond};
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
    subject: Option<CustomerId>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let app = platform::app()?;
    run(service_fn(|request| respond(request, |request| handle(&app, request)))).await
}

async fn handle(app: &App, request: Request) -> Result<Reply, Problem> {
    let reporter = app.reporter(&request)?;
    let asked: ConsumeTokens = body(&request)?;
    let fingerprint = fingerprint(&("consume-tokens", &asked))?;
    // A service's keys and the customer's own never meet.
    let key = idempotency_key(&request)?;
    let key = if asked.subject.is_some() { key.of_service() } else { key };
    let customer = reporter.reports(asked.subject)?;
    let (tokens, description) = (asked.tokens, asked.description);
    let consumption = app.billing.consume(&Consume { customer, tokens, description, key, fingerprint }).await?;
    Ok(Reply::ok(json!({ "balance": consumption.balance, "consumption": view::consumption(&consumption) })))
}
