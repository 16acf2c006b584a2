//! Mails as Amazon SES sends them, and what its answers mean. Whether and when
//! a customer is written to, the domain decides.

mod letter;
mod mailbox;

use crate::config::{self, Missing};
use crate::links::Links;
use crate::sqs::chain;
use crate::{App, aws};
use aws_sdk_sesv2::Client;
use aws_sdk_sesv2::config::retry::RetryConfig;
use aws_sdk_sesv2::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sesv2::operation::send_email::SendEmailError;
use aws_sdk_sesv2::types::Destination;
use billing::brand::Brand;
use billing::mail::Mail;
use billing::ports::{MailError, Mailer};
use letter::letter;
use mailbox::mailbox;

/// Sends mails from one address. None: this deployment sends no mails.
#[derive(Clone, Debug)]
pub struct SesMailer(Option<Sender>);

#[derive(Clone, Debug)]
struct Sender {
    client: Client,
    from: String,
    links: Links,
    /// Where the world reaches our API.
    public_url: String,
}

impl SesMailer {
    pub fn from_env(app: &App) -> Result<Self, Missing> {
        let Some(from) = config::mail_from() else { return Ok(Self(None)) };
        let links = Links::from_env(app).ok_or(Missing("LINK_KEY_SECRET_ARN"))?;
        let public_url = app.config.public_url.clone().ok_or(Missing("PUBLIC_URL"))?;
        Ok(Self(Some(Sender { client: aws::ses(&app.config.aws, &app.sdk), from, links, public_url })))
    }
}

impl Mailer for SesMailer {
    async fn send(&self, mail: &Mail, brand: Option<&Brand>) -> Result<(), MailError> {
        let Some(sender) = &self.0 else { return Err(MailError::NotConfigured) };
        let sent = sender.send(mail, brand).await;
        if let Err(MailError::NoAnswer(cause)) = &sent {
            tracing::warn!(cause = chain(&**cause), "mail {} was not taken, and is sent later", mail.id);
        }
        sent
    }
}

impl Sender {
    async fn send(&self, mail: &Mail, brand: Option<&Brand>) -> Result<(), MailError> {
        let link = self.links.write(&mail.id, mail.about.holds_until()).await.map_err(no_answer)?;
        let content = letter(&mail.about, &mail.time_zone, &format!("{}/pay/{link}", self.public_url))
            .content(brand)
            .map_err(no_answer)?;
        let request = self
            .client
            .send_email()
            // The address is ours still: SES takes mails from one that was verified alone.
            .from_email_address(brand.map_or(self.from.clone(), |it| mailbox(it.sender.name.as_str(), &self.from)))
            .set_reply_to_addresses(brand.map(|it| vec![it.sender.reply_to.to_string()]))
            .destination(Destination::builder().to_addresses(&mail.to.email).build())
            .content(content)
            .customize()
            // SES does not know a repetition when it gets one; what was not taken is due again by itself.
            .config_override(aws_sdk_sesv2::Config::builder().retry_config(RetryConfig::disabled()));
        Box::pin(request.send()).await.map(drop).map_err(failed)
    }
}

fn no_answer(error: impl std::error::Error + Send + Sync + 'static) -> MailError {
    MailError::NoAnswer(Box::new(error))
}

fn failed(error: SdkError<SendEmailError>) -> MailError {
    match error.raw_response().map(|response| response.status().as_u16()) {
        Some(status) => verdict(status, error.code().unwrap_or("an error without a code")),
        None => no_answer(error),
    }
}

/// What an error of SES means for the mail. Only its code is kept: its message names the addresses.
fn verdict(status: u16, code: &str) -> MailError {
    match code {
        // Too much at once, or all sending is paused: nothing is wrong with this mail.
        "TooManyRequestsException" | "ThrottlingException" | "LimitExceededException" | "SendingPausedException" => {
            MailError::NoAnswer(code.into())
        }
        // The first says among others that the sender is not verified, or the account in SES's sandbox.
        "MessageRejected"
        | "MailFromDomainNotVerifiedException"
        | "AccountSuspendedException"
        | "NotFoundException" => MailError::OurFault(code.to_owned()),
        _ if status == 401 || status == 403 => MailError::OurFault(code.to_owned()),
        // The address, or what we wrote.
        _ if (400..500).contains(&status) && status != 408 && status != 429 => MailError::Refused(code.to_owned()),
        _ => MailError::NoAnswer(format!("status {status}, {code}").into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secrets::KeyStore;
    use aws_credential_types::Credentials;
    use aws_sdk_sesv2::config::{BehaviorVersion, Region};
    use aws_smithy_runtime_api::client::http::{
        HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
    };
    use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
    use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
    use aws_smithy_types::body::SdkBody;
    use billing::calendar::zone::Zone;
    use billing::mail::{Contact, MailStatus};
    use billing::outcome::Remedy;
    use billing::payment::Gateway;
    use billing::testing::{brand, customer, instant};
    use jiff::Timestamp;
    use serde_json::{Value, json};
    use std::sync::{Arc, Mutex};

    /// SES, as it always answers.
    #[derive(Clone, Debug)]
    struct Ses {
        status: u16,
        code: &'static str,
        asked: Arc<Mutex<Vec<Value>>>,
    }

    impl HttpClient for Ses {
        fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
            SharedHttpConnector::new(self.clone())
        }
    }

    impl HttpConnector for Ses {
        fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
            let body = serde_json::from_slice(request.body().bytes().unwrap_or_default());
            let body = body.unwrap_or_else(|error| panic!("{error}"));
            self.asked.lock().unwrap_or_else(|error| panic!("{error}")).push(body);
            let status = self.status.try_into().unwrap_or_else(|error| panic!("{error}"));
            let said = json!({ "MessageId": "1", "message": "billing@acme.example failed the check" }).to_string();
            let mut response = HttpResponse::new(status, SdkBody::from(said));
            if !self.code.is_empty() {
                response.headers_mut().insert("x-amzn-errortype", self.code);
            }
            HttpConnectorFuture::ready(Ok(response))
        }
    }

    fn links() -> Links {
        Links::new(KeyStore::given(json!({ "key": "k7".repeat(32) })))
    }

    fn mail() -> Mail {
        Mail {
            id: format!("mail_{}", "a".repeat(24)).try_into().unwrap_or_else(|error| panic!("{error}")),
            customer: customer(),
            to: Contact { email: "billing@acme.example".to_owned(), gateway: Gateway::Stripe, return_url: None },
            time_zone: Zone::UTC,
            about: letter::tests::about("Professional", Some(Remedy::AskCustomer)),
            created_at: Timestamp::UNIX_EPOCH,
            status: MailStatus::Due { check_at: Timestamp::UNIX_EPOCH, tries: 0 },
            version: 0,
        }
    }

    /// What comes of sending, and the requests that it took.
    async fn sent(status: u16, code: &'static str) -> (Result<(), MailError>, Vec<Value>) {
        sent_under(None, status, code).await
    }

    async fn sent_under(brand: Option<&Brand>, status: u16, code: &'static str) -> (Result<(), MailError>, Vec<Value>) {
        let ses = Ses { status, code, asked: Arc::default() };
        let config = aws_sdk_sesv2::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .credentials_provider(Credentials::new("id", "key", None, None, "test"))
            .http_client(ses.clone());
        let (from, public_url) = ("us@seller.example".to_owned(), "https://api.example.com".to_owned());
        let client = Client::from_conf(config.build());
        let result = SesMailer(Some(Sender { client, from, links: links(), public_url })).send(&mail(), brand).await;
        let asked = ses.asked.lock().unwrap_or_else(|error| panic!("{error}")).clone();
        (result, asked)
    }

    #[tokio::test]
    async fn a_mail_goes_to_its_customer_alone_with_a_link_until_grace_ends() {
        let (result, asked) = sent(200, "").await;
        result.unwrap_or_else(|error| panic!("{error}"));
        let [request] = &asked[..] else { panic!("{asked:?}") };
        assert_eq!(request["FromEmailAddress"], "us@seller.example");
        assert_eq!(request.get("ReplyToAddresses"), None);
        assert_eq!(request["Destination"], json!({ "ToAddresses": ["billing@acme.example"] }));
        let message = &request["Content"]["Simple"];
        assert_eq!(message["Subject"], json!({ "Data": "Please pay for Professional", "Charset": "UTF-8" }));
        let text = message["Body"]["Text"]["Data"].as_str().unwrap_or_default();
        let link = text.lines().find_map(|line| line.strip_prefix("https://api.example.com/pay/")).unwrap_or_default();
        let html = message["Body"]["Html"]["Data"].as_str().unwrap_or_default();
        assert!(html.contains(&format!("href=\"https://api.example.com/pay/{link}\"")), "{html}");
        let read = async |now| links().read(link, instant(now)).await;
        assert_eq!(read("2026-03-08T09:04:59Z").await.ok(), Some(mail().id));
        assert!(read("2026-03-08T09:05:00Z").await.is_err());
    }

    #[tokio::test]
    async fn a_mail_of_a_brand_comes_from_our_address_under_its_name_and_is_answered_to_its_own() {
        let (result, asked) = sent_under(Some(&brand("acme")), 200, "").await;
        result.unwrap_or_else(|error| panic!("{error}"));
        let [request] = &asked[..] else { panic!("{asked:?}") };
        assert_eq!(request["FromEmailAddress"], "\"Acme Billing\" <us@seller.example>");
        assert_eq!(request["ReplyToAddresses"], json!(["help@acme.example"]));
        assert_eq!(request["Destination"], json!({ "ToAddresses": ["billing@acme.example"] }));
        for part in ["Text", "Html"] {
            let said = request["Content"]["Simple"]["Body"][part]["Data"].as_str().unwrap_or_default();
            assert!(said.contains("Acme Telecom"), "{said}");
        }
    }

    #[tokio::test]
    async fn what_ses_refuses_is_refused_without_its_words_and_what_it_does_not_take_is_asked_once() {
        let (refused, _) = sent(400, "BadRequestException").await;
        assert!(matches!(&refused, Err(MailError::Refused(why)) if why == "BadRequestException"), "{refused:?}");
        let (silent, asked) = sent(503, "ServiceUnavailable").await;
        let Err(MailError::NoAnswer(cause)) = silent else { panic!("{silent:?}") };
        assert_eq!((cause.to_string().as_str(), asked.len()), ("status 503, ServiceUnavailable", 1));
    }

    #[tokio::test]
    async fn without_an_address_to_send_from_nothing_is_sent() {
        assert!(matches!(SesMailer(None).send(&mail(), None).await, Err(MailError::NotConfigured)));
    }

    #[test]
    fn what_we_may_not_do_is_ours_to_mend_and_the_mail_waits() {
        for (status, code) in [
            (400, "MessageRejected"),
            (400, "MailFromDomainNotVerifiedException"),
            (400, "AccountSuspendedException"),
            (404, "NotFoundException"),
            (403, "AccessDeniedException"),
            (403, "InvalidSignatureException"),
        ] {
            assert!(matches!(verdict(status, code), MailError::OurFault(why) if why == code), "{code}");
        }
    }

    #[test]
    fn an_error_is_final_only_if_waiting_does_not_mend_it() {
        for (status, code, is_final) in [
            (400, "BadRequestException", true),
            (400, "SendingPausedException", false),
            (400, "LimitExceededException", false),
            (400, "ThrottlingException", false),
            (429, "TooManyRequestsException", false),
            (429, "another", false),
            (408, "another", false),
            (500, "InternalFailure", false),
            (503, "ServiceUnavailable", false),
            (200, "an error without a code", false),
        ] {
            assert_eq!(matches!(verdict(status, code), MailError::Refused(_)), is_final, "{code}");
            assert_eq!(matches!(verdict(status, code), MailError::NoAnswer(_)), !is_final, "{code}");
        }
    }
}
