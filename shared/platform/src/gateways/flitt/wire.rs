//! What Flitt answers: only the fields that are read. All are texts that may be
//! missing. <https://docs.flitt.com/api/order-parameters/>

use super::declines;
use super::params::Params;
use crate::gateways::access::no_answer;
use billing::ports::GatewayError;
use serde::Deserialize;

/// What came of a request that was signed as it must be: yes, or no.
pub(super) type Said = Result<Params, Refused>;

/// An order, as status, charges and callbacks tell of it.
#[derive(Deserialize)]
pub(super) struct Order {
    pub(super) order_status: String,
    pub(super) tran_type: Option<String>,
    /// Why the last try failed.
    pub(super) response_code: Option<String>,
    pub(super) payment_id: Option<String>,
    pub(super) amount: Option<String>,
    pub(super) currency: Option<String>,
    /// What the customer paid, with what they pay for paying.
    pub(super) actual_amount: Option<String>,
    pub(super) actual_currency: Option<String>,
    /// The running total of what went back.
    pub(super) reversal_amount: Option<String>,
    pub(super) rectoken: Option<String>,
    /// `31.12.2029 23:59:59`
    pub(super) rectoken_lifetime: Option<String>,
    /// `444455XXXXXX1111`
    pub(super) masked_card: Option<String>,
    pub(super) card_type: Option<String>,
}

/// Money going back.
#[derive(Deserialize)]
pub(super) struct Reversal {
    pub(super) reverse_status: String,
    pub(super) reverse_id: Option<String>,
    pub(super) transaction_id: Option<String>,
    pub(super) response_code: Option<String>,
}

/// A page where the customer pays.
#[derive(Deserialize)]
pub(super) struct Page {
    pub(super) checkout_url: String,
    pub(super) payment_id: Option<String>,
}

/// A request that was not accepted. Flitt does not sign that.
#[derive(Deserialize)]
pub(super) struct Refused {
    #[serde(default)]
    error_code: String,
    request_id: Option<String>,
}

impl Refused {
    pub(super) fn code(&self) -> &str {
        &self.error_code
    }

    pub(super) fn error(self) -> GatewayError {
        // The message may repeat what we sent; the code says enough, and Flitt's people ask for the request.
        let text = format!("error {}, request {}", self.error_code, self.request_id.unwrap_or_default());
        match declines::is_unsure(&self.error_code) {
            true => GatewayError::NoAnswer(text.into()),
            false => GatewayError::Rejected(text),
        }
    }
}

/// An answer that cannot be read is no answer.
pub(super) fn said(body: &[u8]) -> Result<Said, GatewayError> {
    let params = Params::from_answer(body).map_err(no_answer)?;
    match params.text("response_status") {
        Some("success") => Ok(Ok(params)),
        Some("failure") => Ok(Err(params.read().map_err(no_answer)?)),
        Some(_) | None => Err(GatewayError::NoAnswer("an answer that says neither yes nor no".into())),
    }
}
