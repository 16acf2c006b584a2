//! `POST /subscription/changes`: another plan, interval or number of seats, an end, or going on after all.

use billing::workflow::Changed;
use lambda_http::{Error, Request, run, service_fn};
use platform::changes::{ChangeRequest, Wanted};
use platform::http::{Problem, Reply, body, fingerprint, idempotency_key, respond};
use platform::identity::Scope;
use platform::{App, view};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let app = platform::app()?;
    run(service_fn(|request| respond(request, |request| handle(&app, request)))).await
}

async fn handle(app: &App, request: Request) -> Result<Reply, Problem> {
    let caller = app.caller(&request, Scope::Write)?;
    let key = idempotency_key(&request)?;
    let asked: ChangeRequest = body(&request)?;
    let fingerprint = fingerprint(&("change-subscription", &asked))?;
    let customer = caller.customer.clone();
    let changed = match asked.wanted(caller, &app.config.return_urls)? {
        Wanted::Subscribe(wanted) => app.billing.subscribe(&wanted, &key, &fingerprint).await?,
        Wanted::Change(wish) => app.billing.change(&wish, &key, &fingerprint).await?,
        Wanted::Command(command, shown) => {
            let subscription = app.billing.request(&customer, command, shown.as_ref(), &key, &fingerprint).await?;
            Changed { subscription, payment: None }
        }
    };
    let view = view::changed(&changed);
    let awaited = changed.payment.is_some_and(|payment| payment.paid().is_none());
    Ok(if awaited { Reply::accepted(view) } else { Reply::ok(view) })
}
