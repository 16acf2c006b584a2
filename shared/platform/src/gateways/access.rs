//! How to reach a gateway, and as whom; and what counts as an answer.

use super::keys::{KeySource, Keys};
use billing::ports::GatewayError;
use http::StatusCode;
use reqwest::RequestBuilder;
use serde::de::DeserializeOwned;

#[derive(Clone, Debug)]
pub(super) struct Access<K> {
    /// The address of the API, without a slash at its end.
    pub(super) api: String,
    pub(super) http: reqwest::Client,
    pub(super) keys: KeySource<K>,
    /// Where the gateway is to call us back, for those that ask with each payment.
    pub(super) callback: Option<String>,
}

/// The most that is read of an answer (RELIABILITY S68).
const MOST_BYTES: usize = 1024 * 1024;

/// An answer that means something: not a redirect, not "try again", not "we are broken".
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: Vec<u8>,
}

impl<K: Keys> Access<K> {
    pub(super) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.api)
    }

    pub(super) async fn send(&self, request: RequestBuilder) -> Result<Answer, GatewayError> {
        let mut response = request.send().await.map_err(no_answer)?;
        let status = response.status();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(no_answer)? {
            if body.len() + chunk.len() > MOST_BYTES {
                return Err(GatewayError::NoAnswer("an answer of more than 1 MiB".into()));
            }
            body.extend_from_slice(&chunk);
        }
        match status {
            // Another request with this key is running, or there were too many: nothing was refused.
            StatusCode::CONFLICT | StatusCode::TOO_MANY_REQUESTS => {
                Err(GatewayError::NoAnswer(format!("status {status}").into()))
            }
            _ if status.is_server_error() || status.is_redirection() || status.is_informational() => {
                Err(GatewayError::NoAnswer(format!("status {status}").into()))
            }
            _ => Ok(Answer { status, body }),
        }
    }

    /// Whether anyone is there: they may say to `request` whatever they like, but that they are broken.
    pub(super) async fn answers(&self, request: RequestBuilder) -> bool {
        request.send().await.is_ok_and(|response| !response.status().is_server_error())
    }
}

impl Answer {
    /// An answer that cannot be read is no answer.
    pub(super) fn read<T: DeserializeOwned>(&self) -> Result<T, GatewayError> {
        serde_json::from_slice(&self.body).map_err(no_answer)
    }
}

pub(super) fn no_answer(error: impl std::error::Error + Send + Sync + 'static) -> GatewayError {
    GatewayError::NoAnswer(Box::new(error))
}
