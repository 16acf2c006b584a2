//! The queue `mails`: a customer is to be told something.

use billing::ports::Wanted;
use lambda_runtime::{Error, run, service_fn};
use platform::App;
use platform::mails::SesMailer;
use platform::sqs;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let app = platform::app()?;
    let mailer = SesMailer::from_env(&app)?;
    run(service_fn(|event| sqs::each(event, |wanted| handle(&app, &mailer, wanted)))).await
}

/// Nothing else is done here: this function may speak to no gateway.
async fn handle(app: &App, mailer: &SesMailer, wanted: Wanted) -> Result<(), Error> {
    match wanted {
        Wanted::Mail { mail } => Ok(app.billing.send_mail(&mail, mailer).await?),
        Wanted::Subscription { .. }
        | Wanted::Payment { .. }
        | Wanted::Delivery { .. }
        | Wanted::Wallet { .. }
        | Wanted::Account { .. } => Err("this is no mail: another queue's".into()),
    }
}
