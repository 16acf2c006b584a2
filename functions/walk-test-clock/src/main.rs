//! `POST /test-clock/walk`: takes a test stack, or one customer, to where something is due next, on the way to a goal.
//! Deployed only where `TestClock` is enabled.

use billing::id::CustomerId;
use billing::workflow::{AdvanceClockError, Goal};
use jiff::{Span, Timestamp};
use lambda_http::{Error, Request, run, service_fn};
use platform::http::{Problem, Reply, body, respond};
use platform::identity::Scope;
use platform::sqs::Queues;
use platform::{App, world_time};
use serde::Deserialize;
use serde_json::json;

/// `P5Y` from now, or an instant. Neither: on to where the walk was to end before.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WalkTestClock {
    by: Option<Span>,
    to: Option<Timestamp>,
    /// None: the whole stack.
    customer: Option<CustomerId>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let app = platform::app()?;
    let queues = Queues::from_env(&app)?;
    run(service_fn(|request| respond(request, |request| handle(&app, &queues, request)))).await
}

async fn handle(app: &App, queues: &Queues, request: Request) -> Result<Reply, Problem> {
    app.caller(&request, Scope::Admin)?;
    let WalkTestClock { by, to, customer } = body(&request)?;
    let goal = match (by, to) {
        (Some(_), Some(_)) => return Err(Problem::invalid("to", "either a span to walk by, or an instant to walk to")),
        (Some(by), None) => Goal::By(by),
        (None, Some(to)) => Goal::To(to),
        (None, None) => Goal::AsBefore,
    };
    let step = app.billing.walk_clock(customer.as_ref(), goal, world_time(), queues).await;
    let step = step.map_err(|error| match matches!(error, AdvanceClockError::NotForward) && to.is_some() {
        true => Problem::invalid("to", error),
        false => error.into(),
    })?;
    Ok(Reply::ok(json!({ "now": step.now, "goal": step.goal, "woken": step.woken, "done": step.is_last() })))
}
