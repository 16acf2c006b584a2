//! PayPal's error answers: a name for the status, and an issue for what is wrong.

use crate::gateway::Answer;
use serde_json::{Value, json};

pub(super) type Result<T> = std::result::Result<T, Refusal>;

#[derive(Debug)]
pub(super) struct Refusal {
    status: u16,
    issue: String,
    field: String,
    value: String,
    /// Where the caller goes from here: relation and address.
    link: Option<Box<(&'static str, String)>>,
}

impl Refusal {
    fn new(status: u16, issue: &str, field: &str) -> Self {
        Self { status, issue: issue.to_owned(), field: field.to_owned(), value: String::new(), link: None }
    }

    pub(super) fn invalid(issue: &str, field: &str) -> Self {
        Self::new(400, issue, field)
    }

    pub(super) fn unprocessable(issue: &str, field: &str) -> Self {
        Self::new(422, issue, field)
    }

    pub(super) fn not_found() -> Self {
        Self::new(404, "INVALID_RESOURCE_ID", "")
    }

    pub(super) fn no_token() -> Self {
        Self::new(401, "", "")
    }

    pub(super) fn in_progress() -> Self {
        Self::new(409, "PREVIOUS_REQUEST_IN_PROGRESS", "")
    }

    pub(super) fn not_json() -> Self {
        Self::new(415, "", "")
    }

    pub(super) fn broken() -> Self {
        Self::new(500, "", "")
    }

    /// By an application code, as a mock response or a fault names it.
    pub(super) fn named(code: &str) -> Self {
        let status = match code {
            "INTERNAL_SERVER_ERROR" | "INTERNAL_SERVICE_ERROR" => 500,
            "SERVICE_UNAVAILABLE" => 503,
            "RATE_LIMIT_REACHED" => 429,
            "PERMISSION_DENIED" | "NOT_AUTHORIZED" => 403,
            "RESOURCE_NOT_FOUND" | "INVALID_RESOURCE_ID" => 404,
            "PREVIOUS_REQUEST_IN_PROGRESS" | "RESOURCE_CONFLICT" => 409,
            "INVALID_PARAMETER_VALUE"
            | "INVALID_PARAMETER_SYNTAX"
            | "INVALID_STRING_LENGTH"
            | "MISSING_REQUIRED_PARAMETER"
            | "MALFORMED_REQUEST_JSON"
            | "PAYPAL_REQUEST_ID_REQUIRED" => 400,
            _ => 422,
        };
        Self::new(status, code, "")
    }

    pub(super) fn with_value(mut self, value: &str) -> Self {
        value.clone_into(&mut self.value);
        self
    }

    pub(super) fn with_link(mut self, relation: &'static str, address: String) -> Self {
        self.link = Some(Box::new((relation, address)));
        self
    }

    /// Would the same request hear the same again?
    pub(super) fn is_final(&self) -> bool {
        self.status == 422
    }

    pub(super) fn issue(&self) -> &str {
        &self.issue
    }

    pub(super) fn answer(&self, debug_id: &str) -> Answer {
        let (name, message) = match self.status {
            400 => ("INVALID_REQUEST", "Request is not well-formed, syntactically incorrect, or violates schema."),
            401 => (
                "AUTHENTICATION_FAILURE",
                "Authentication failed due to missing authorization header, or invalid authentication credentials.",
            ),
            403 => ("NOT_AUTHORIZED", "Authorization failed due to insufficient permissions."),
            404 => ("RESOURCE_NOT_FOUND", "The specified resource does not exist."),
            409 => ("RESOURCE_CONFLICT", "The server has detected a conflict while processing this request."),
            415 => ("UNSUPPORTED_MEDIA_TYPE", "The server does not support the request payload's media type."),
            429 => ("RATE_LIMIT_REACHED", "Too many requests. Blocked due to rate limiting."),
            500 => ("INTERNAL_SERVER_ERROR", "An internal server error occurred."),
            503 => ("SERVICE_UNAVAILABLE", "Service Unavailable."),
            _ => (
                "UNPROCESSABLE_ENTITY",
                "The requested action could not be performed, semantically incorrect, or failed business validation.",
            ),
        };
        let mut body = json!({"name": name, "message": message, "debug_id": debug_id});
        if !self.issue.is_empty() && self.status < 429 || self.status == 422 {
            let mut detail = json!({"issue": self.issue, "description": describe(&self.issue)});
            if !self.field.is_empty() {
                (detail["field"], detail["location"]) = (json!(self.field), json!("body"));
            }
            if !self.value.is_empty() {
                detail["value"] = json!(self.value);
            }
            body["details"] = json!([detail]);
        }
        let page = format!("https://developer.paypal.com/api/rest/reference/orders/v2/errors/#{}", self.issue);
        let mut links = vec![json!({"href": page, "rel": "information_link", "method": "GET"})];
        if let Some(link) = &self.link {
            links.push(json!({"href": link.1, "rel": link.0, "method": "GET"}));
        }
        body["links"] = Value::Array(links);
        Answer::json(self.status, body)
    }
}

/// PayPal's words for its issues.
fn describe(issue: &str) -> &'static str {
    let known = DESCRIPTIONS.iter().find(|(name, _)| *name == issue);
    known.map_or("The requested action could not be performed.", |(_, words)| words)
}

const DESCRIPTIONS: [(&str, &str); 45] = [
    ("AGREEMENT_ALREADY_CANCELLED", "The requested agreement is already canceled."),
    (
        "AMOUNT_MISMATCH",
        "Should equal item_total + tax_total + shipping + handling + insurance - shipping_discount - discount.",
    ),
    ("BILLING_AGREEMENT_NOT_FOUND", "The requested Billing Agreement token was not found."),
    (
        "CANNOT_BE_ZERO_OR_NEGATIVE",
        "Must be greater than zero. If the currency supports decimals, only two decimal place precision is \
         supported.",
    ),
    ("CAPTURE_FULLY_REFUNDED", "The capture has already been fully refunded"),
    ("COMPLIANCE_VIOLATION", "Transaction is declined due to compliance violation."),
    ("CURRENCY_NOT_SUPPORTED", "Currency code is not currently supported."),
    ("DECIMAL_PRECISION", "If the currency supports decimals, only two decimal place precision is supported."),
    (
        "DUPLICATE_INVOICE_ID",
        "Duplicate Invoice ID detected. To avoid a potential duplicate transaction your account setting requires \
         that Invoice Id be unique for each transaction.",
    ),
    (
        "INSTRUMENT_DECLINED",
        "The instrument presented  was either declined by the processor or bank, or it can't be used for this \
         payment.",
    ),
    ("INVALID_ARRAY_MAX_ITEMS", "The number of items in an array parameter is too large."),
    ("INVALID_ARRAY_MIN_ITEMS", "The number of items in an array parameter is too small."),
    ("INVALID_PARAMETER_SYNTAX", "The value of a field does not conform to the expected format."),
    ("INVALID_PARAMETER_VALUE", "The value of a field is invalid."),
    ("INVALID_RESOURCE_ID", "Specified resource ID does not exist. Please check the resource ID and try again."),
    ("INVALID_STRING_LENGTH", "The value of a field is either too short or too long."),
    ("MALFORMED_REQUEST_JSON", "The request JSON is not well formed."),
    ("MAX_NUMBER_OF_PAYMENT_ATTEMPTS_EXCEEDED", "You have exceeded the maximum number of payment attempts."),
    ("MAX_VALUE_EXCEEDED", "Should be less than or equal to 999999999999999.99."),
    (
        "MISMATCHED_VAULT_ID_TO_PAYMENT_SOURCE",
        "The vault_id does not match the payment_source provided. Please verify that the vault_id token used \
         refers to the matching payment_source and try again.",
    ),
    ("MISSING_REQUIRED_PARAMETER", "A required field / parameter is missing."),
    (
        "MULTI_CURRENCY_ORDER",
        "Multiple differing values of currency_code are not supported. Entire Order request must have the same \
         currency_code.",
    ),
    ("ORDER_ALREADY_CAPTURED", "Order already captured.If 'intent=CAPTURE' only one capture per order is allowed."),
    (
        "ORDER_NOT_APPROVED",
        "Payer has not yet approved the Order for payment. Please redirect the payer to the 'rel':'approve' url \
         returned as part of the HATEOAS links within the Create Order call or provide a valid `payment_source` \
         in the request.",
    ),
    ("PAYEE_NOT_ENABLED_FOR_CARD_PROCESSING", "Payee account is not setup to be able to process card payments."),
    ("PAYER_ACCOUNT_LOCKED_OR_CLOSED", "The payer account cannot be used for this transaction."),
    ("PAYER_ACTION_REQUIRED", "Transaction cannot complete successfully, instruct the buyer to return to PayPal."),
    (
        "PAYER_CANNOT_PAY",
        "Payer cannot pay for this transaction. Please contact the payer to find other ways to pay for this \
         transaction.",
    ),
    ("PAYPAL_REQUEST_ID_PREVIOUSLY_USED", "The PayPal-Request-ID has already been used for another request."),
    (
        "PAYPAL_REQUEST_ID_REQUIRED",
        "A PayPal-Request-Id is required if you are trying to process payment for an Order. Please specify a \
         PayPal-Request-Id or Create the Order without a 'payment_source' specified.",
    ),
    (
        "PENDING_CAPTURE",
        "Cannot initiate a refund as the capture is pending. Capture is typically pending when the payer has \
         funded the transaction using e-check/bank funded.",
    ),
    ("PERMISSION_DENIED", "You do not have permission to access or perform operations on this resource."),
    (
        "PREVIOUS_REQUEST_IN_PROGRESS",
        "A previous request on this resource is currently in progress. Please wait for sometime and try again. It \
         is best to space out the initial and the subsequent request(s) to avoid receiving this error.",
    ),
    (
        "REDIRECT_PAYER_FOR_ALTERNATE_FUNDING",
        "Transaction failed. Redirect the payer to select another funding source.",
    ),
    (
        "REFERENCED_CARD_EXPIRED",
        "The card underlying the token has expired and hence cannot be used to process a payment.",
    ),
    (
        "REFUND_AMOUNT_EXCEEDED",
        "The refund amount must be less than or equal to the capture amount that has not yet been refunded.",
    ),
    ("REFUND_CAPTURE_CURRENCY_MISMATCH", "Refund must be in the same currency as the capture"),
    ("REFUND_NOT_ALLOWED", "Capture cannot be refunded."),
    (
        "REFUND_NOT_PERMITTED_DUE_TO_CHARGEBACK",
        "Refunds are not allowed on this capture due to a chargeback on the card or bank. Please contact the \
         payee to resolve the chargeback.",
    ),
    ("REFUND_TIME_LIMIT_EXCEEDED", "You are over the time limit to perform a refund on this capture"),
    ("SETUP_TOKEN_ALREADY_TOKENIZED", "The setup token has been used previously to generate a payment token."),
    ("TOKEN_ID_NOT_FOUND", "Specified token was not found. Verify the token and try the request again."),
    (
        "TRANSACTION_DISPUTED",
        "Partial refunds cannot be offered at this time because there is an open case on this transaction. Visit \
         the PayPal Resolution Center to review this case.",
    ),
    ("TRANSACTION_REFUSED", "The request was refused."),
    ("UNSUPPORTED_INTENT", "`intent=AUTHORIZE` is not supported. Only `intent=CAPTURE` is supported."),
];
