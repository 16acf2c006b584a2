//! How to reach a gateway, and as whom; and what counts as an answer.

use crate::secrets::{KeySource, Keys};
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

/// What was said, and what it is worth.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: Vec<u8>,
}

impl<K: Keys> Access<K> {
    pub(super) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.api)
    }

    /// Sends `request`, and accepts an answer that means something.
    pub(super) async fn send(&self, request: RequestBuilder) -> Result<Answer, GatewayError> {
        self.hear(request).await?.meant()
    }

    /// Whether a charge could be asked for; `request` is any that needs our keys.
    pub(super) async fn answers(&self, request: RequestBuilder) -> Result<(), GatewayError> {
        self.hear(request).await?.ready()
    }

    /// Sends `request`, whatever is said to it.
    pub(super) async fn hear(&self, request: RequestBuilder) -> Result<Answer, GatewayError> {
        let mut response = request.send().await.map_err(no_answer)?;
        let status = response.status();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(no_answer)? {
            if body.len() + chunk.len() > MOST_BYTES {
                return Err(GatewayError::NoAnswer("an answer of more than 1 MiB".into()));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer { status, body })
    }
}

impl Answer {
    /// Itself, if it means something: not a redirect, not "try again", not "we are broken".
    pub(super) fn meant(self) -> Result<Self, GatewayError> {
        match self.status {
            // Another request with this key is running, or there were too many: nothing was refused.
            StatusCode::CONFLICT | StatusCode::TOO_MANY_REQUESTS => Err(self.unusable()),
            status if status.is_server_error() || status.is_redirection() || status.is_informational() => {
                Err(self.unusable())
            }
            _ => Ok(self),
        }
    }

    /// Whether who gave it is there and takes our keys: what they say besides does not matter.
    pub(super) fn ready(&self) -> Result<(), GatewayError> {
        match self.status {
            StatusCode::UNAUTHORIZED => Err(keys_refused()),
            status if status.is_server_error() => Err(self.unusable()),
            _ => Ok(()),
        }
    }

    fn unusable(&self) -> GatewayError {
        GatewayError::NoAnswer(format!("status {}", self.status).into())
    }

    /// An answer that cannot be read is no answer.
    pub(super) fn read<T: DeserializeOwned>(&self) -> Result<T, GatewayError> {
        serde_json::from_slice(&self.body).map_err(no_answer)
    }
}

/// No charge can be asked for with a wrong key, and it is ours to put right.
pub(super) fn keys_refused() -> GatewayError {
    GatewayError::Rejected("our keys are refused".to_owned())
}

pub(super) fn no_answer(error: impl std::error::Error + Send + Sync + 'static) -> GatewayError {
    GatewayError::NoAnswer(Box::new(error))
}
