//! `GET /.well-known/jwks.json`: the public keys that signed entitlements are verified with.

use lambda_http::{Error, run, service_fn};
use platform::http::{Problem, Reply, respond};
use platform::signing::Signer;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let app = platform::app()?;
    let signer = Signer::from_env(&app)?;
    run(service_fn(|request| respond(request, |_| handle(&signer)))).await
}

async fn handle(signer: &Signer) -> Result<Reply, Problem> {
    Ok(Reply::public(signer.published().await?))
}
