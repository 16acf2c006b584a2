//! `POST /webhooks/…`: a payment gateway tells us that something happened. Deployed once for each gateway, which its
//! environment names: what one of them says can bring about nothing that needs another's keys.

use billing::payment::Gateway;
use lambda_http::{Error, Request, run, service_fn};
use platform::gateways::Received;
use platform::http::{MOST_WEBHOOK_BYTES, Problem, Reply, respond};
use platform::{App, config, world_time};
use serde_json::json;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let app = platform::app()?;
    let gateway = config::gateway()?;
    run(service_fn(|request| respond(request, |request| handle(&app, gateway, request)))).await
}

async fn handle(app: &App, gateway: Gateway, request: Request) -> Result<Reply, Problem> {
    if request.body().len() > MOST_WEBHOOK_BYTES {
        return Err(Problem::too_large(MOST_WEBHOOK_BYTES));
    }
    let received = Received { headers: request.headers(), body: request.body(), at: world_time() };
    let notice = app.billing.gateways.receive(gateway, &received).await?;
    app.billing.receive(notice).await?;
    Ok(Reply::ok(json!({ "received": true })))
}
