//! `GET /pay/{link}`: a customer follows the link of a mail, in a browser and without signing in, to where they pay.

use billing::id::{IdempotencyKey, MailId};
use billing::payment::Address;
use lambda_http::{Error, Request, RequestExt, run, service_fn};
use platform::App;
use platform::http::{Page, lead};
use platform::links::{LinkError, Links};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let app = platform::app()?;
    let links = Links::from_env(&app);
    run(service_fn(|request| lead(request, |request| handle(&app, links.as_ref(), request)))).await
}

/// Scanners and previews of mails follow links too, before their reader does. That opens a page and charges nobody, and
/// whoever follows the link after them is taken to the page that is open.
async fn handle(app: &App, links: Option<&Links>, request: Request) -> Result<String, Page> {
    let links = links.ok_or_else(Page::no_longer_valid)?;
    let parameters = request.path_parameters();
    let read = links.read(parameters.first("link").unwrap_or_default(), app.billing.now(None).await?).await;
    let (mail, page) = match read {
        Ok(mail) => match page(app, &mail, &request).await {
            Ok(address) => return Ok(address),
            Err(page) => (mail, page),
        },
        Err(LinkError::Expired(mail)) => (mail.clone(), LinkError::Expired(mail).into()),
        Err(error) => return Err(error.into()),
    };
    Err(page.in_brand(app.billing.brand_of_mail(&mail).await))
}

/// The address at which whoever got `mail` pays.
async fn page(app: &App, mail: &MailId, request: &Request) -> Result<String, Page> {
    let payment = app.billing.follow_mail(mail, key(request)?).await?;
    match payment.opened().map(|opened| &opened.at) {
        Some(Address::CheckoutUrl(url)) => Ok(url.clone()),
        Some(Address::ClientSecret(_) | Address::BankAccount(_)) | None => {
            Err(Page::refused("the payment has no address that a browser can go to"))
        }
    }
}

/// Each time it is followed is an intent of its own.
fn key(request: &Request) -> Result<IdempotencyKey, Page> {
    let id = request.lambda_context_ref().map(|context| &context.request_id);
    let id = id.ok_or_else(|| Page::refused("the request has no id"))?;
    IdempotencyKey::try_from(format!("pay-link-{id}")).map_err(Page::refused)
}
