//! `GET /payments`: the customer's payments, newest first.

use billing::id::PaymentId;
use lambda_http::{Error, Request, run, service_fn};
use platform::http::{List, Problem, Reply, list, respond};
use platform::identity::Scope;
use platform::{App, view};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let app = platform::app()?;
    run(service_fn(|request| respond(request, |request| handle(&app, request)))).await
}

async fn handle(app: &App, request: Request) -> Result<Reply, Problem> {
    let caller = app.caller(&request, Scope::Read)?;
    let asked: List<PaymentId> = list(&request)?;
    if asked.before.as_ref().is_some_and(|id| !id.belongs_to(&caller.customer)) {
        return Err(Problem::unreadable("is not the end of one of your pages").at("before"));
    }
    let payments = app.billing.payments(&caller.customer, asked.before.as_ref(), asked.limit.into()).await?;
    Ok(asked.of("payments", &payments, view::payment, |it| &it.id))
}
