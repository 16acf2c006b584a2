//! What Paystack is sent, and what it says with the fields that are read.
//! Lenient: numbers come as text, and objects are missing where nothing applies.

use billing::money::Currency;
use billing::payment::BankAccount;
use billing::ports::GatewayError;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// `status` of the envelope says only that the call worked.
#[derive(Deserialize)]
pub(super) struct Envelope<T> {
    pub(super) data: T,
}

#[derive(Deserialize)]
pub(super) struct Refused {
    pub(super) message: Option<String>,
    code: Option<String>,
}

impl Refused {
    pub(super) fn is_duplicate(&self) -> bool {
        self.code.as_deref() == Some("duplicate_reference") || self.says("duplicate transaction reference")
    }

    pub(super) fn is_not_found(&self) -> bool {
        self.code.as_deref() == Some("transaction_not_found") || self.says("not found")
    }

    /// Whether a saved card is no use to anyone any more.
    pub(super) fn says_gone(&self) -> bool {
        self.is_not_found() || self.says("inactive") || self.says("authorization code is invalid")
    }

    fn says(&self, text: &str) -> bool {
        self.message.as_deref().is_some_and(|message| message.to_lowercase().contains(text))
    }

    pub(super) fn of_opening(self) -> GatewayError {
        if self.is_duplicate() { GatewayError::OpenedBefore } else { self.rejected() }
    }

    pub(super) fn rejected(self) -> GatewayError {
        GatewayError::Rejected(self.reason())
    }

    pub(super) fn reason(self) -> String {
        self.code.or(self.message).unwrap_or_else(|| "without a reason".to_owned())
    }
}

#[derive(Serialize)]
pub(super) struct Initialize<'a> {
    pub(super) email: Option<String>,
    pub(super) amount: i64,
    pub(super) currency: Currency,
    pub(super) reference: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) callback_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) channels: Option<[&'static str; 1]>,
    pub(super) metadata: Value,
}

#[derive(Serialize)]
pub(super) struct ChargeByTransfer<'a> {
    pub(super) email: Option<String>,
    pub(super) amount: i64,
    pub(super) currency: Currency,
    pub(super) reference: &'a str,
    pub(super) bank_transfer: Value,
    pub(super) metadata: Value,
}

#[derive(Serialize)]
pub(super) struct ChargeAuthorization<'a> {
    pub(super) email: &'a str,
    pub(super) amount: i64,
    pub(super) currency: Currency,
    pub(super) authorization_code: &'a str,
    pub(super) reference: &'a str,
    /// Here a JSON text, though an object elsewhere.
    pub(super) metadata: String,
}

#[derive(Serialize)]
pub(super) struct NewRefund<'a> {
    pub(super) transaction: &'a str,
    pub(super) amount: i64,
    pub(super) merchant_note: String,
}

#[derive(Serialize)]
pub(super) struct NewAccount<'a> {
    pub(super) customer: &'a str,
    pub(super) preferred_bank: &'a str,
}

#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum NumberOrText {
    Number(i64),
    Text(String),
}

impl NumberOrText {
    pub(super) fn number(&self) -> Option<i64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Text(text) => text.trim().parse().ok(),
        }
    }

    fn text(self) -> String {
        match self {
            Self::Number(number) => number.to_string(),
            Self::Text(text) => text,
        }
    }
}

#[derive(Deserialize)]
pub(super) struct Authorization {
    pub(super) authorization_url: String,
    pub(super) access_code: String,
}

#[derive(Deserialize)]
pub(super) struct Account {
    account_number: String,
    account_name: Option<String>,
    bank: Option<Bank>,
    /// Of an account that is open for one payment.
    account_expires_at: Option<String>,
}

#[derive(Deserialize)]
struct Bank {
    name: Option<String>,
    id: Option<NumberOrText>,
}

impl Account {
    pub(super) fn shown(self) -> BankAccount {
        let (name, id) = self.bank.map_or((None, None), |bank| (bank.name, bank.id));
        BankAccount {
            account_number: self.account_number,
            account_name: self.account_name.unwrap_or_default(),
            bank_name: name.unwrap_or_default(),
            bank_id: id.map(NumberOrText::text).unwrap_or_default(),
            expires_at: self.account_expires_at.and_then(|at| at.parse().ok()),
        }
    }
}

#[derive(Deserialize)]
pub(super) struct Transaction {
    pub(super) id: Option<u64>,
    pub(super) reference: Option<String>,
    /// Absent when the charge is paused.
    pub(super) status: Option<String>,
    #[serde(default)]
    pub(super) paused: bool,
    /// Where a paused charge waits for the customer.
    pub(super) authorization_url: Option<String>,
    pub(super) amount: Option<NumberOrText>,
    /// What we asked for. `amount` is more where the customer bears the fees.
    pub(super) requested_amount: Option<NumberOrText>,
    pub(super) currency: Option<Currency>,
    pub(super) channel: Option<String>,
    pub(super) paid_at: Option<String>,
    pub(super) gateway_response: Option<String>,
    pub(super) gateway_response_code: Option<String>,
    pub(super) response_code: Option<String>,
    pub(super) authorization: Option<Saved>,
    pub(super) customer: Option<Customer>,
}

#[derive(Deserialize)]
pub(super) struct Saved {
    pub(super) authorization_code: Option<String>,
    pub(super) channel: Option<String>,
    pub(super) reusable: Option<bool>,
    pub(super) card_type: Option<String>,
    pub(super) brand: Option<String>,
    pub(super) last4: Option<String>,
    pub(super) exp_month: Option<NumberOrText>,
    pub(super) exp_year: Option<NumberOrText>,
    pub(super) signature: Option<String>,
    /// Of a transfer.
    pub(super) sender_name: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Customer {
    pub(super) email: Option<String>,
    pub(super) customer_code: Option<String>,
    /// Their virtual account, where it is shown.
    pub(super) dedicated_account: Option<Dedicated>,
}

/// A virtual account, or whatever stands where there is none.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Dedicated {
    Account(Account),
    None(IgnoredAny),
}

#[derive(Deserialize)]
pub(super) struct Refund {
    pub(super) id: u64,
    pub(super) status: String,
    pub(super) amount: Option<NumberOrText>,
    pub(super) merchant_note: Option<String>,
    pub(super) transaction_reference: Option<String>,
}

/// What is said of a transaction's disputes: one by the specification, which calls it a list.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Disputes {
    Many(Vec<Dispute>),
    One(Dispute),
    None(IgnoredAny),
}

#[derive(Deserialize)]
pub(super) struct Dispute {
    pub(super) id: u64,
    pub(super) status: Option<String>,
    pub(super) resolution: Option<String>,
    pub(super) category: Option<String>,
}
