//! `GET /.well-known/jwks.json`: the public keys that signed entitlements are verified with.

use lambda_http::{Error, run, service_fn};
use platform::http::{Problem, Reply, respond};
use platform::signing::KeyRings;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let app = platform::app()?;
    let keys = KeyRings::from_env(&app)?;
    run(service_fn(|request| respond(request, |_| handle(&keys)))).await
}

async fn handle(keys: &KeyRings) -> Result<Reply, Problem> {
    Ok(Reply::public(keys.published().await?))
}
