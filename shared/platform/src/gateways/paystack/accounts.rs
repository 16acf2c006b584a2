//! Virtual accounts: opened in a customer's name, and what came in on them.
//! <https://paystack.com/docs/payments/dedicated-virtual-accounts>

use super::units::from_subunits;
use super::wire::{self, Customer, Dedicated, NumberOrText, Refused, Transaction};
use super::{PAGE, Paystack, data, email};
use billing::account::{Incoming, VirtualAccount};
use billing::outcome::Receipt;
use billing::payment::{Address, BankSlug, Opened, Payer};
use billing::ports::GatewayError;
use reqwest::Method as Verb;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

/// The bank that gives accounts for tests, and the one that gives real ones unless another is asked for.
const TEST_BANK: &str = "test-bank";
const USUAL_BANK: &str = "wema-bank";

/// How Paystack calls what comes in on a virtual account.
pub(super) const CHANNEL: &str = "dedicated_nuban";

impl Paystack {
    /// The customer's account: the one they have, or a new one in their name.
    pub(super) async fn open_account(&self, payer: &Payer) -> Result<Opened, GatewayError> {
        let Some(email) = email(payer) else {
            return Err(GatewayError::Rejected("an account needs an e-mail".to_owned()));
        };
        // By the code that was kept: whose e-mail has changed is still who has the account.
        let name = payer.known_as.as_ref().unwrap_or(&email);
        let known: Option<Customer> = self.get(&format!("/customer/{name}")).await?;
        let code = known.as_ref().and_then(|customer| customer.customer_code.clone());
        if let (Some(id), Some(Dedicated::Account(account))) =
            (code.clone(), known.and_then(|customer| customer.dedicated_account))
        {
            return Ok(Opened { id, at: Address::BankAccount(account.shown()) });
        }
        let Some(holder) = &payer.holder else {
            let problem = "a bank opens an account in somebody's name only".to_owned();
            return Err(GatewayError::Unacceptable { field: "holder", problem });
        };
        let mut names = json!({"first_name": holder.first_name, "last_name": holder.last_name, "phone": holder.phone});
        let customer: Customer = match &code {
            // Creating it again would not name it.
            Some(code) => self.change(Verb::PUT, &format!("/customer/{code}"), &names).await?,
            None => {
                names["email"] = json!(email);
                self.change(Verb::POST, "/customer", &names).await?
            }
        };
        let code = code.or(customer.customer_code);
        let code = code.ok_or_else(|| GatewayError::NoAnswer("a customer without a code".into()))?;
        let keys = self.access.keys.get().await?;
        let usual = if keys.secret_key.expose().contains("_live_") { USUAL_BANK } else { TEST_BANK };
        let preferred_bank = holder.bank.as_ref().map_or(usual, BankSlug::as_str);
        let body = wire::NewAccount { customer: &code, preferred_bank };
        let account: wire::Account = self.change(Verb::POST, "/dedicated_account", &body).await?;
        Ok(Opened { id: code, at: Address::BankAccount(account.shown()) })
    }

    pub(in crate::gateways) async fn transfers(&self, account: &VirtualAccount) -> Result<Vec<Incoming>, GatewayError> {
        let path =
            format!("/transaction?status=success&channel={CHANNEL}&customer_code={}&per_page={PAGE}", account.payer);
        let mut transactions: Vec<Transaction> = self.all(&path).await?;
        transactions.reverse();
        Ok(transactions
            .into_iter()
            .filter(|it| it.is_incoming(&account.payer))
            .filter_map(Transaction::incoming)
            .collect())
    }

    async fn change<T: DeserializeOwned>(
        &self,
        verb: Verb,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, GatewayError> {
        let answer = self.send(self.access.http.request(verb, self.access.url(path)).json(body)).await?;
        if answer.status.is_success() { data(&answer) } else { Err(answer.read::<Refused>()?.rejected()) }
    }
}

impl Transaction {
    /// Were the question not understood, others' transactions would be told as this customer's.
    fn is_incoming(&self, payer: &str) -> bool {
        let customer = self.customer.as_ref().and_then(|customer| customer.customer_code.as_deref());
        self.status.as_deref() == Some("success") && self.channel.as_deref() == Some(CHANNEL) && customer == Some(payer)
    }

    fn incoming(self) -> Option<Incoming> {
        let amount = self.amount.as_ref().and_then(NumberOrText::number)?;
        let receipt = Receipt { id: self.id?.to_string(), amount: from_subunits(amount, self.currency?) };
        Some(Incoming {
            reference: self.reference?,
            receipt,
            sender: self.authorization.and_then(|authorization| authorization.sender_name),
            at: self.paid_at.and_then(|at| at.parse().ok()).unwrap_or_default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn transaction(change: impl FnOnce(&mut Value)) -> Transaction {
        let mut transaction = json!({
            "id": 7, "reference": "1000099", "status": "success", "channel": CHANNEL, "amount": 700_000,
            "currency": "NGN", "paid_at": "2025-02-28T10:00:00.000Z", "customer": {"customer_code": "CUS_1"},
            "authorization": {"sender_name": "Ada Okonkwo", "receiver_bank_account_number": "9900000001"},
        });
        change(&mut transaction);
        serde_json::from_value(transaction).unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn only_what_came_in_on_the_customers_account_is_theirs() {
        assert!(transaction(|_| {}).is_incoming("CUS_1"));
        assert!(!transaction(|_| {}).is_incoming("CUS_2"));
        for (field, other) in [("channel", "card"), ("status", "failed"), ("status", "reversed")] {
            assert!(!transaction(|it| it[field] = other.into()).is_incoming("CUS_1"), "{field} {other}");
        }
    }

    #[test]
    fn a_transfer_is_told_with_its_sender_and_under_the_gateways_own_reference() {
        let Some(incoming) = transaction(|_| {}).incoming() else { panic!("a transfer") };
        assert_eq!((incoming.reference.as_str(), incoming.receipt.amount.minor), ("1000099", 700_000));
        assert_eq!(incoming.sender.as_deref(), Some("Ada Okonkwo"));
        assert_eq!(incoming.at.to_string(), "2025-02-28T10:00:00Z");
        assert_eq!(transaction(|it| it["reference"] = Value::Null).incoming(), None);
    }
}
