//! Who makes a payment happen, and where.

use crate::id::{Invalid, text};
use crate::subscription::Order;
use crate::wallet::Method;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Who makes the payment happen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "collection", rename_all = "snake_case")]
pub enum Collection {
    /// The customer, on a page.
    Checkout {
        /// What is bought if it is paid. None: nothing; a payment method is to be left, and that is all.
        order: Option<Box<Order>>,
        payer: Payer,
        method: CheckoutMethod,
        return_url: Option<String>,
        /// Where the customer pays, once the gateway has said so.
        opened: Option<Opened>,
        expires_at: Timestamp,
    },
    /// We do, with a method the customer left for that.
    OffSession {
        method: Method,
        /// When the gateway was last asked for it again.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sent_again_at: Option<Timestamp>,
        /// What is bought, if this opens a subscription: something else may be ordered before it is paid.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        order: Option<Box<Order>>,
    },
    /// Whoever transfers money to the customer's virtual account, unasked and in any amount.
    Transfer(Transfer),
}

/// Money that came in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transfer {
    /// The gateway's own reference: it was there before we heard of it.
    pub reference: String,
    pub sender: Option<String>,
}

/// Who pays, as the gateway is to know them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payer {
    pub email: Option<String>,
    /// The gateway's own name for them, from an earlier payment.
    pub known_as: Option<String>,
    /// In whose name a virtual account is opened, where one is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holder: Option<Holder>,
}

/// What a bank wants to know before it opens an account in someone's name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    pub first_name: PersonName,
    pub last_name: PersonName,
    pub phone: Phone,
    /// None: the gateway's usual one.
    pub bank: Option<BankSlug>,
}

text!(
    /// A name as its bearer writes it.
    PersonName,
    "a name of 1 to 50 characters, at least one of them a letter",
    |text| (1..=50).contains(&text.chars().count())
        && text.chars().any(char::is_alphabetic)
        && !text.chars().any(char::is_control)
);
text!(
    /// A telephone number, with or without its country.
    Phone,
    "a phone number: 7 to 15 digits, with or without a + before them",
    |text| {
        let digits = text.strip_prefix('+').unwrap_or(text);
        (7..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit())
    }
);
text!(
    /// A bank by the gateway's name for it: `wema-bank`.
    BankSlug,
    "a bank's name at the gateway: 1 to 64 lower-case letters, digits and -",
    |text| (1..=64).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckoutMethod {
    /// The gateway's hosted page.
    Checkout,
    /// A secret that the SaaS's own page confirms with the gateway's script.
    ClientSecret,
    /// A bank account made for this one payment, to which the customer transfers the exact amount.
    BankTransfer,
    /// The customer's own virtual account, which stays, and to which any amount may come.
    VirtualAccount,
}

/// A checkout as the gateway opened it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opened {
    /// The gateway's name for it.
    pub id: String,
    pub at: Address,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Address {
    CheckoutUrl(String),
    ClientSecret(String),
    BankAccount(BankAccount),
}

/// Where a transfer goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BankAccount {
    pub account_number: String,
    pub account_name: String,
    pub bank_name: String,
    /// The gateway's id of the bank.
    pub bank_id: String,
    /// When it closes, where it was opened for one payment and the gateway has said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bank_is_not_told_what_is_no_name_or_no_number() {
        let name = |text: &str| PersonName::try_from(text.to_owned()).is_ok();
        assert!(name("Ada") && name("O'Neill-Obi") && name("\u{10d7}\u{10d0}\u{10db}\u{10d0}\u{10e0}"));
        assert!(!name("") && !name("  ") && !name("Ada\nObi") && !name(&"a".repeat(51)));
        let phone = |text: &str| Phone::try_from(text.to_owned()).is_ok();
        assert!(phone("+2348012345678") && phone("08012345678"));
        assert!(!phone("") && !phone("+") && !phone("call me") && !phone("123456") && !phone(&"1".repeat(16)));
        let bank = |text: &str| BankSlug::try_from(text.to_owned()).is_ok();
        assert!(bank("wema-bank") && !bank("") && !bank("Wema Bank") && !bank("../bank"));
    }
}
