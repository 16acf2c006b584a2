//! `POST /subscription/preview`: what would a change do and cost? Nothing changes.

use lambda_http::{Error, Request, run, service_fn};
use platform::changes::{ChangeRequest, Wanted};
use platform::http::{Problem, Reply, body, respond};
use platform::identity::Scope;
use platform::{App, view};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let app = platform::app()?;
    run(service_fn(|request| respond(request, |request| handle(&app, request)))).await
}

async fn handle(app: &App, request: Request) -> Result<Reply, Problem> {
    let caller = app.caller(&request, Scope::Read)?;
    let customer = caller.customer.clone();
    let asked: ChangeRequest = body(&request)?;
    match asked.wanted(caller, &app.config.return_urls)? {
        Wanted::Change(wish) => Ok(Reply::ok(view::preview(&app.billing.preview_change(&wish).await?))),
        Wanted::Subscribe(wanted) => {
            Ok(Reply::ok(view::outlook("subscribe", &app.billing.preview_subscription(&wanted).await?)))
        }
        Wanted::Command(command, _) => {
            let shown = app.billing.preview_request(&customer, command).await?;
            Ok(Reply::ok(view::outlook(view::action(command), &shown)))
        }
    }
}
