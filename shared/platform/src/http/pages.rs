//! Pages: what a person sees who followed a link in a browser and was not taken
//! where it leads. Everyone else is told in problem documents.

use crate::brands::{ground, head};
use crate::links::LinkError;
use crate::sqs::chain;
use billing::brand::Brand;
use billing::ports::{GatewayError, StoreError};
use billing::subscription::Refusal;
use billing::workflow::{CheckoutError, FollowError};
use lambda_http::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION, REFERRER_POLICY, RETRY_AFTER,
    X_CONTENT_TYPE_OPTIONS,
};
use lambda_http::http::{Response, StatusCode};
use lambda_http::{Body, Error, Request};
use std::future::Future;

/// What the person is told. The cause is for the log and never leaves it.
#[derive(Debug)]
pub struct Page {
    status: StatusCode,
    title: &'static str,
    text: &'static str,
    retry_after_s: Option<u32>,
    cause: Option<Box<dyn std::error::Error + Send + Sync>>,
    /// Under whose name. Boxed: every result has room for a page, and few have this.
    brand: Option<Box<Brand>>,
}

impl Page {
    fn new(status: StatusCode, title: &'static str, text: &'static str) -> Self {
        Self { status, title, text, retry_after_s: None, cause: None, brand: None }
    }

    pub fn no_longer_valid() -> Self {
        // Says nothing of why: a link that never was is answered like one that is over.
        let text = "It may be over, or not be copied whole. If something is to be paid, sign in to pay it.";
        Self::new(StatusCode::NOT_FOUND, "This link is no longer valid", text)
    }

    fn nothing_to_pay() -> Self {
        Self::new(StatusCode::OK, "There is nothing to pay", "All is settled. You can close this page.")
    }

    fn under_way() -> Self {
        let text = "Please try again in some minutes, if there is still something to pay then.";
        Self::new(StatusCode::CONFLICT, "A payment is under way", text)
    }

    fn unavailable(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        let text = "Nothing was lost and nothing was charged. Please follow the link again in a minute.";
        let page = Self::new(StatusCode::SERVICE_UNAVAILABLE, "Please try again", text);
        Self { retry_after_s: Some(60), ..page.because(cause) }
    }

    /// Trying again does not help, and signing in may.
    pub fn refused(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        let text = "Nothing was charged. Please sign in and pay there, or write to whoever sent you the link.";
        Self::new(StatusCode::BAD_GATEWAY, "The payment page does not open", text).because(cause)
    }

    /// The same, under the name of `brand` if there is one. Where nobody could tell, the person is told all the same.
    #[must_use]
    pub fn in_brand(self, brand: Result<Option<Brand>, StoreError>) -> Self {
        let brand = brand.unwrap_or_else(|error| {
            tracing::warn!(cause = chain(&error), "a page is shown under no name");
            None
        });
        Self { brand: brand.map(Box::new), ..self }
    }

    fn because(self, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self { cause: Some(cause.into()), ..self }
    }

    fn html(&self) -> String {
        let Self { title, text, brand, .. } = self;
        let ground = brand.as_deref().map_or(String::new(), |brand| format!("html{{{}}}", ground(brand)));
        let head = brand.as_deref().map_or(String::new(), head);
        format!(
            "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width\"><title>{title}</title>\
             <style>{ground}body{{font:1.1rem/1.5 sans-serif;max-width:32rem;margin:20vh auto;padding:0 1rem}}</style>\
             {head}<h1>{title}</h1><p>{text}</p></html>"
        )
    }

    /// What a browser may fetch for it: a brand's logo, from where that is, and nothing else.
    fn policy(&self) -> String {
        let logo = self.brand.as_ref().and_then(|brand| brand.logo.as_ref());
        logo.map_or(POLICY.to_owned(), |logo| format!("{POLICY}; img-src {}", logo.origin()))
    }
}

const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";

/// Runs a handler; sends its person to the address that it answers, or shows the page, and logs a failure once.
pub async fn lead<F>(request: Request, handle: impl FnOnce(Request) -> F) -> Result<Response<Body>, Error>
where
    F: Future<Output = Result<String, Page>>,
{
    // No cache may keep the answer, and no site that is gone to may read the link.
    let response = Response::builder()
        .header(CACHE_CONTROL, "no-store")
        .header(REFERRER_POLICY, "no-referrer")
        .header(X_CONTENT_TYPE_OPTIONS, "nosniff");
    let page = match handle(request).await {
        Ok(address) => {
            let response = response.status(StatusCode::SEE_OTHER).header(LOCATION, address);
            return Ok(response.header(CONTENT_SECURITY_POLICY, POLICY).body(Body::Empty)?);
        }
        Err(page) => page,
    };
    let cause = page.cause.as_deref().map(|cause| chain(cause));
    if page.status.is_server_error() {
        tracing::error!(cause, "link failed: {}", page.title);
    } else {
        tracing::info!(cause, "link refused: {}", page.title);
    }
    let response = response.status(page.status).header(CONTENT_TYPE, "text/html; charset=utf-8");
    let response = response.header(CONTENT_SECURITY_POLICY, page.policy());
    let response = match page.retry_after_s {
        Some(seconds) => response.header(RETRY_AFTER, seconds),
        None => response,
    };
    Ok(response.body(page.html().into())?)
}

impl From<LinkError> for Page {
    fn from(error: LinkError) -> Self {
        match error {
            LinkError::Forged | LinkError::Expired(_) => Self::no_longer_valid().because(error),
            LinkError::NoKey(_) => Self::unavailable(error),
        }
    }
}

impl From<FollowError> for Page {
    fn from(error: FollowError) -> Self {
        match error {
            FollowError::NoSuchMail => Self::no_longer_valid().because(error),
            FollowError::Checkout(error) => error.into(),
        }
    }
}

impl From<CheckoutError> for Page {
    fn from(error: CheckoutError) -> Self {
        match error {
            CheckoutError::NoSubscription => Self::nothing_to_pay(),
            CheckoutError::Refused(refusal) => refusal.into(),
            CheckoutError::InProgress => Self::under_way(),
            CheckoutError::Gateway(error) => error.into(),
            CheckoutError::Store(error) => error.into(),
            CheckoutError::NotForSale(_) | CheckoutError::Coupon(_) | CheckoutError::KeyReused => Self::refused(error),
        }
    }
}

impl From<Refusal> for Page {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Ended
            | Refusal::NotActive
            | Refusal::NothingOwed
            | Refusal::NothingToPay
            | Refusal::DrivenElsewhere => Self::nothing_to_pay(),
            Refusal::ChargeRunning => Self::under_way(),
            Refusal::AlreadySubscribed
            | Refusal::QuantityNotOne
            | Refusal::TooExpensive
            | Refusal::NothingChanges
            | Refusal::OtherDirection
            | Refusal::Leaving
            | Refusal::PaymentOwed
            | Refusal::Disputed
            | Refusal::NotWithinPeriod
            | Refusal::NoMethod
            | Refusal::Paused
            | Refusal::ChangeScheduled
            | Refusal::Trialing
            | Refusal::NoTokens
            | Refusal::NotRenewed
            | Refusal::NotSold
            | Refusal::NoContact
            | Refusal::NoSuchBrand
            | Refusal::EndIsPast
            | Refusal::EndIsFar
            | Refusal::TooManyDays
            | Refusal::PreviewStale => Self::refused(refusal),
        }
    }
}

impl From<GatewayError> for Page {
    fn from(error: GatewayError) -> Self {
        match error {
            // Whoever follows the link again has the same page opened.
            GatewayError::NoAnswer(_) | GatewayError::OpenedBefore => Self::unavailable(error),
            GatewayError::Unacceptable { .. } | GatewayError::NotConfigured(_) | GatewayError::Rejected(_) => {
                Self::refused(error)
            }
        }
    }
}

impl From<StoreError> for Page {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Duplicate | StoreError::Conflict | StoreError::Unavailable(_) => Self::unavailable(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secrets::SecretError;
    use billing::id::MailId;
    use billing::payment::Gateway;
    use billing::testing::brand;
    use futures::executor::block_on;

    fn shown(said: Result<String, Page>) -> Response<Body> {
        let request = Request::new(Body::Empty);
        block_on(lead(request, |_| async { said })).unwrap_or_else(|error| panic!("{error}"))
    }

    fn header(response: &Response<Body>, name: &str) -> Option<String> {
        response.headers().get(name).map(|value| value.to_str().unwrap_or_default().to_owned())
    }

    fn mail() -> MailId {
        MailId::try_from(format!("mail_{}", "a".repeat(24))).unwrap_or_else(|error| panic!("{error}"))
    }

    fn refused(error: impl Into<CheckoutError>) -> Page {
        FollowError::from(error.into()).into()
    }

    #[test]
    fn each_refusal_is_a_page_that_says_what_to_do() {
        let silent = || GatewayError::NoAnswer("private".into());
        let cases: [(Page, u16, &str); 13] = [
            (LinkError::Forged.into(), 404, "This link is no longer valid"),
            (LinkError::Expired(mail()).into(), 404, "This link is no longer valid"),
            (FollowError::NoSuchMail.into(), 404, "This link is no longer valid"),
            (refused(CheckoutError::NoSubscription), 200, "There is nothing to pay"),
            (refused(Refusal::NothingOwed), 200, "There is nothing to pay"),
            (refused(Refusal::Ended), 200, "There is nothing to pay"),
            (refused(Refusal::ChargeRunning), 409, "A payment is under way"),
            (refused(CheckoutError::InProgress), 409, "A payment is under way"),
            (LinkError::NoKey(SecretError::Unavailable("private".into())).into(), 503, "Please try again"),
            (refused(silent()), 503, "Please try again"),
            (refused(StoreError::Conflict), 503, "Please try again"),
            (refused(GatewayError::NotConfigured(Gateway::Stripe)), 502, "The payment page does not open"),
            (refused(GatewayError::Rejected("private".to_owned())), 502, "The payment page does not open"),
        ];
        for (page, status, title) in cases {
            let response = shown(Err(page));
            assert_eq!(response.status().as_u16(), status, "{title}");
            let Body::Text(html) = response.body() else { panic!("{title}") };
            assert!(html.contains(&format!("<h1>{title}</h1>")), "{html}");
            assert!(!html.contains("private"), "{html}");
            assert_eq!(header(&response, "retry-after").is_some(), status == 503, "{title}");
            assert_eq!(header(&response, "content-type").as_deref(), Some("text/html; charset=utf-8"));
            is_nobodys_to_keep(&response, POLICY);
        }
    }

    #[test]
    fn a_page_of_a_brand_has_its_name_its_colours_and_its_logo_and_fetches_nothing_else() {
        let page = || refused(CheckoutError::NoSubscription);
        let plain = page().html();
        let name = "<script>alert(1)</script>".to_owned().try_into().unwrap_or_else(|error| panic!("{error}"));
        let logo = "https://cdn.acme.example:8443/a;b/logo.png?v=\u{26}2".to_owned();
        let logo = Some(logo.try_into().unwrap_or_else(|error| panic!("{error}")));
        let only = "default-src 'none'; style-src 'unsafe-inline'";
        let cases = [
            (brand("acme"), "Acme Telecom", format!("{only}; img-src https://cdn.acme.example")),
            (Brand { logo: None, ..brand("acme") }, "Acme Telecom", only.to_owned()),
            (
                Brand { name, logo, ..brand("acme") },
                "&lt;script&gt;alert(1)&lt;/script&gt;",
                format!("{only}; img-src https://cdn.acme.example:8443"),
            ),
        ];
        for (brand, name, policy) in cases {
            let html = page().in_brand(Ok(Some(brand.clone()))).html();
            let head = head(&brand);
            assert!(head.contains(&format!(
                "background:#ffcc00;color:#000000;padding:12px 16px;font-weight:bold\">{name}</p>"
            )));
            let style = "html{background:#fafafa;color:#000000}";
            assert_eq!(html.replacen(&head, "", 1).replacen(style, "", 1), plain, "the rest is as it was");
            assert_eq!(html.contains("<img "), brand.logo.is_some());
            assert!(!html.contains("<script"), "{html}");
            let response = shown(Err(page().in_brand(Ok(Some(brand)))));
            assert_eq!(response.status().as_u16(), 200);
            is_nobodys_to_keep(&response, &policy);
        }
        for none in [Ok(None), Err(StoreError::Unavailable("private".into()))] {
            assert_eq!(page().in_brand(none).html(), plain);
        }
    }

    #[test]
    fn who_may_pay_is_sent_to_the_page() {
        let response = shown(Ok("https://gateway.example/pay/1".to_owned()));
        assert_eq!(response.status().as_u16(), 303);
        assert_eq!(header(&response, "location").as_deref(), Some("https://gateway.example/pay/1"));
        is_nobodys_to_keep(&response, POLICY);
    }

    fn is_nobodys_to_keep(response: &Response<Body>, policy: &str) {
        assert_eq!(header(response, "cache-control").as_deref(), Some("no-store"));
        assert_eq!(header(response, "referrer-policy").as_deref(), Some("no-referrer"));
        assert_eq!(header(response, "x-content-type-options").as_deref(), Some("nosniff"));
        assert_eq!(header(response, "content-security-policy").as_deref(), Some(policy));
    }
}
