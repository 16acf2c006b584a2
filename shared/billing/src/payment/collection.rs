//! Who makes a payment happen, and where.

use crate::subscription::Order;
use crate::wallet::Method;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

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
    OffSession { method: Method },
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
    pub first_name: String,
    pub last_name: String,
    pub phone: String,
    /// The bank, by the gateway's name for it. None: the gateway's usual one.
    pub bank: Option<String>,
}

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
}
