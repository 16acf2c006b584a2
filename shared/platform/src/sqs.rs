//! The SQS edge: names of due records go out in batches, and come in one at a
//! time, reporting only the failed ones back.

use crate::config::{Missing, queue_url};
use crate::{App, aws, metrics};
use aws_lambda_events::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent};
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::SendMessageBatchRequestEntry;
use billing::ports::{Lane, Queue, QueueError, Wanted};
use futures::future::try_join_all;
use lambda_runtime::{Error, LambdaEvent};
use serde::{Deserialize, Serialize};
use std::future::Future;
use std::time::{Duration, SystemTime};
use tracing::Instrument;

/// The messages that this code writes. It reads this version and those before it.
const VERSION: u32 = 1;

/// The most messages that one `SendMessageBatch` takes.
const MOST_MESSAGES: usize = 10;

/// Nothing is begun with less time than a gateway, or a queue, may take to answer (RELIABILITY F26).
const LEAST_TIME: Duration = Duration::from_secs(12);

#[derive(Serialize, Deserialize)]
struct Message {
    v: u32,
    #[serde(flatten)]
    wanted: Wanted,
}

/// The work queues, for the sweeper.
#[derive(Clone, Debug)]
pub struct Queues {
    pub client: Client,
    pub renewals: String,
    pub payment_retries: String,
    pub mails: String,
}

impl Queues {
    pub fn from_env(app: &App) -> Result<Self, Missing> {
        Ok(Self {
            client: aws::sqs(&app.config.aws, &app.sdk),
            renewals: queue_url("RENEWALS_QUEUE_URL")?,
            payment_retries: queue_url("PAYMENT_RETRIES_QUEUE_URL")?,
            mails: queue_url("MAILS_QUEUE_URL")?,
        })
    }
}

impl Queue for Queues {
    async fn send(&self, lane: Lane, wanted: &[Wanted]) -> Result<(), QueueError> {
        let url = match lane {
            Lane::Renewals => &self.renewals,
            Lane::PaymentRetries => &self.payment_retries,
            Lane::Mails => &self.mails,
        };
        try_join_all(wanted.chunks(MOST_MESSAGES).map(|batch| self.send_batch(url, batch))).await.map(|_| ())
    }
}

impl Queues {
    async fn send_batch(&self, url: &str, batch: &[Wanted]) -> Result<(), QueueError> {
        let mut request = self.client.send_message_batch().queue_url(url);
        for (n, wanted) in batch.iter().enumerate() {
            let body = serde_json::to_string(&Message { v: VERSION, wanted: wanted.clone() }).map_err(failed)?;
            let entry = SendMessageBatchRequestEntry::builder().id(n.to_string()).message_body(body);
            request = request.entries(entry.build().map_err(failed)?);
        }
        // What is not accepted is still due, and is sent by the next sweep.
        let sent = Box::pin(request.send()).await.map_err(failed)?;
        if !sent.failed().is_empty() {
            tracing::warn!("{} of {} messages were not accepted", sent.failed().len(), batch.len());
        }
        Ok(())
    }
}

fn failed(error: impl std::error::Error + Send + Sync + 'static) -> QueueError {
    QueueError(Box::new(error))
}

/// Runs `handle` on each message. Failed ones return to the queue, and after
/// `maxReceiveCount` attempts to the dead-letter queue.
pub async fn each<E, F>(event: LambdaEvent<SqsEvent>, handle: impl Fn(Wanted) -> F) -> Result<SqsBatchResponse, Error>
where
    F: Future<Output = Result<(), E>>,
    E: Into<Error>,
{
    let deadline = event.context.deadline();
    let mut response = SqsBatchResponse::default();
    for message in event.payload.records {
        let id = message.message_id.unwrap_or_default();
        let span = tracing::info_span!("message", message.id = %id);
        let work = async {
            if !in_time(deadline) {
                return Err("too little time is left to begin".into());
            }
            handle(read(message.body.as_deref().unwrap_or_default())?).await.map_err(Into::into)
        };
        let result: Result<(), Error> = work.instrument(span.clone()).await;
        if let Err(error) = result {
            tracing::error!(parent: &span, error = %chain(&*error), "message {id} failed and will be retried");
            metrics::count(metrics::FAILED_MESSAGES);
            let mut failure = BatchItemFailure::default();
            failure.item_identifier = id;
            response.batch_item_failures.push(failure);
        }
    }
    Ok(response)
}

/// Whether what is begun now can end before `deadline`.
pub fn in_time(deadline: SystemTime) -> bool {
    deadline.duration_since(SystemTime::now()).unwrap_or_default() >= LEAST_TIME
}

fn read(body: &str) -> Result<Wanted, Error> {
    let message: Message = serde_json::from_str(body)?;
    match message.v {
        1..=VERSION => Ok(message.wanted),
        newer => Err(format!("a message of version {newer}, and {VERSION} is known").into()),
    }
}

/// An error with what caused it, for the log.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_credential_types::Credentials;
    use aws_lambda_events::sqs::SqsMessage;
    use aws_sdk_sqs::config::{BehaviorVersion, Region};
    use aws_smithy_runtime_api::client::http::{
        HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
    };
    use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
    use aws_smithy_runtime_api::http::StatusCode;
    use aws_smithy_types::body::SdkBody;
    use lambda_runtime::Context;
    use serde_json::Value;
    use std::sync::{Arc, Mutex};

    /// Keeps how many messages each request has, and takes them all.
    #[derive(Clone, Debug, Default)]
    struct Taking(Arc<Mutex<Vec<usize>>>);

    impl HttpConnector for Taking {
        fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
            let body: Value = serde_json::from_slice(request.body().bytes().unwrap_or_default()).unwrap_or_default();
            let bodies =
                body["Entries"].as_array().into_iter().flatten().filter_map(|entry| entry["MessageBody"].as_str());
            let messages = bodies.filter(|body| read(body).is_ok()).count();
            self.0.lock().unwrap_or_else(|error| panic!("{error}")).push(messages);
            let ok = StatusCode::try_from(200).unwrap_or_else(|error| panic!("{error}"));
            let taken = SdkBody::from(r#"{"Successful":[],"Failed":[]}"#);
            HttpConnectorFuture::ready(Ok(HttpResponse::new(ok, taken)))
        }
    }

    #[test]
    fn what_is_due_goes_out_ten_at_a_time() {
        let taking = Taking::default();
        let connector = SharedHttpConnector::new(taking.clone());
        let config = aws_sdk_sqs::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("eu-west-1"))
            .credentials_provider(Credentials::new("id", "key", None, None, "tests"))
            .http_client(http_client_fn(move |_, _| connector.clone()));
        let (renewals, payment_retries, mails) = ("https://sqs/r".to_owned(), String::new(), String::new());
        let queues = Queues { client: Client::from_conf(config.build()), renewals, payment_retries, mails };
        let wanted = vec![read(GOOD).unwrap_or_else(|error| panic!("{error}")); 27];
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        let sent = runtime.unwrap_or_else(|error| panic!("{error}")).block_on(queues.send(Lane::Renewals, &wanted));
        sent.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(*taking.0.lock().unwrap_or_else(|error| panic!("{error}")), [10, 10, 7]);
    }

    fn event(bodies: &[&str]) -> LambdaEvent<SqsEvent> {
        let records = bodies.iter().enumerate().map(|(n, body)| {
            let mut message = SqsMessage::default();
            (message.message_id, message.body) = (Some(format!("m{n}")), Some((*body).to_owned()));
            message
        });
        let mut event = SqsEvent::default();
        event.records = records.collect();
        let mut context = Context::default();
        context.deadline = u64::MAX / 2_000_000;
        LambdaEvent::new(event, context)
    }

    fn failures(bodies: &[&str]) -> Vec<String> {
        let handle = |wanted| async move {
            match wanted {
                Wanted::Subscription { .. } => Ok(()),
                Wanted::Payment { .. }
                | Wanted::Delivery { .. }
                | Wanted::Wallet { .. }
                | Wanted::Account { .. }
                | Wanted::Mail { .. } => Err("told to fail"),
            }
        };
        let response = futures::executor::block_on(each(event(bodies), handle));
        let failures = response.unwrap_or_else(|error| panic!("{error}")).batch_item_failures;
        failures.into_iter().map(|failure| failure.item_identifier).collect()
    }

    const GOOD: &str = r#"{"v":1,"kind":"subscription","customer":"acme"}"#;
    const BAD: &str = r#"{"v":1,"kind":"delivery","delivery":{"gateway":"stripe","event":"evt_1"}}"#;

    #[test]
    fn only_the_failed_message_returns_to_the_queue() {
        assert_eq!(failures(&[GOOD, BAD, GOOD]), ["m1"]);
    }

    #[test]
    fn a_message_that_cannot_be_read_fails_alone() {
        for poison in ["", "{}", "[]", r#"{"v":1,"kind":"subscription","customer":"a#b"}"#, "\u{0}"] {
            assert_eq!(failures(&[poison, GOOD]), ["m0"], "{poison:?}");
        }
    }

    #[test]
    fn a_message_of_a_newer_release_is_left_to_it() {
        assert_eq!(failures(&[&GOOD.replace("\"v\":1", "\"v\":2")]), ["m0"]);
    }

    #[test]
    fn nothing_is_begun_with_less_time_than_an_answer_may_take() {
        let from_now = |seconds| SystemTime::now() + Duration::from_secs(seconds);
        assert!(in_time(from_now(25)) && in_time(from_now(13)));
        assert!(!in_time(from_now(11)) && !in_time(SystemTime::UNIX_EPOCH));
    }

    #[test]
    fn what_is_sent_is_what_is_read() {
        let wanted = read(GOOD).unwrap_or_else(|error| panic!("{error}"));
        let sent = serde_json::to_string(&Message { v: VERSION, wanted }).unwrap_or_default();
        assert_eq!(sent, GOOD);
    }
}
