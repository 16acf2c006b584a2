//! Paystack. <https://paystack.com/docs/api>
//!
//! There are no idempotency keys: the reference is unique for ever, and a
//! duplicate of it means "ask what became of it".

mod declines;
mod webhook;

use super::{Access, Answer, Received, WebhookError, coming_back};
use billing::delivery::Notice;
use billing::money::{Currency, Money};
use billing::outcome::{Decline, Outcome, Receipt, RefundOutcome, Remedy, Stage};
use billing::payment::{Address, CheckoutMethod, Collection, Gateway, Opened, Payment, PaymentStatus};
use billing::ports::GatewayError;
use billing::wallet::{Card, Method};
use http::StatusCode;
use reqwest::RequestBuilder;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

#[derive(Clone, Debug)]
pub(super) struct Paystack {
    access: Access,
}

impl Paystack {
    pub(super) fn new(access: Access) -> Self {
        Self { access }
    }

    pub(super) fn accepts(&self, payment: &Payment) -> Result<(), GatewayError> {
        let unacceptable =
            |field, problem: &str| Err(GatewayError::Unacceptable { field, problem: problem.to_owned() });
        if let Collection::Checkout { payer, method, .. } = &payment.collection {
            if *method != CheckoutMethod::Checkout {
                return unacceptable("method", "Paystack offers `checkout` only");
            }
            if payer.email.is_none() {
                return unacceptable("gateway", "Paystack needs an e-mail, and the token names none");
            }
        }
        subunits(payment.amount).map(|_| ())
    }

    pub(super) async fn open(&self, payment: &Payment) -> Result<Opened, GatewayError> {
        let Collection::Checkout { payer, return_url, .. } = &payment.collection else {
            return Err(GatewayError::Rejected("an off-session charge has no page".to_owned()));
        };
        let body = Initialize {
            // Their identity of a customer, and what a saved card is bound to: one spelling.
            email: payer.email.as_deref().map(str::to_lowercase),
            amount: subunits(payment.amount)?,
            currency: payment.amount.currency,
            reference: payment.reference.as_str(),
            callback_url: return_url.as_ref().map(|url| coming_back(url, payment)),
            metadata: json!({ "payment": payment.id, "plan": payment.plan }),
        };
        let answer = self.post("/transaction/initialize", &body).await?;
        match answer.status.is_success() {
            true => {
                let opened: Authorization = data(&answer)?;
                Ok(Opened { id: opened.access_code, at: Address::CheckoutUrl(opened.authorization_url) })
            }
            false => {
                let refused: Refused = answer.read()?;
                Err(if refused.is_duplicate() { GatewayError::OpenedBefore } else { refused.rejected() })
            }
        }
    }

    pub(super) async fn charge(&self, payment: &Payment) -> Result<Outcome, GatewayError> {
        let Collection::OffSession { method } = &payment.collection else {
            return Err(GatewayError::Rejected("a checkout is paid by the customer".to_owned()));
        };
        let metadata = json!({ "payment": payment.id, "plan": payment.plan }).to_string();
        let body = ChargeAuthorization {
            email: &method.payer,
            amount: subunits(payment.amount)?,
            currency: payment.amount.currency,
            authorization_code: &method.token,
            reference: payment.reference.as_str(),
            metadata,
        };
        let answer = self.post("/transaction/charge_authorization", &body).await?;
        if answer.status.is_success() {
            return Ok(data::<Transaction>(&answer)?.outcome(payment));
        }
        let refused: Refused = answer.read()?;
        if refused.is_duplicate() {
            let known = self.find(payment).await?;
            return known.ok_or_else(|| GatewayError::NoAnswer("a duplicate that cannot be found".into()));
        }
        match declines::refusal(refused.message.as_deref().unwrap_or_default()) {
            Some(decline) => Ok(Outcome::Declined(decline)),
            None => Err(refused.rejected()),
        }
    }

    pub(super) async fn find(&self, payment: &Payment) -> Result<Option<Outcome>, GatewayError> {
        let path = format!("/transaction/verify/{}", payment.reference);
        Ok(self.get::<Transaction>(&path).await?.map(|transaction| transaction.outcome(payment)))
    }

    /// A page cannot be closed here: how it stands is all there is to say.
    pub(super) async fn close(&self, payment: &Payment) -> Result<Option<Outcome>, GatewayError> {
        self.find(payment).await
    }

    /// Looks first: a second request would be a second refund.
    pub(super) async fn refund(&self, payment: &Payment) -> Result<RefundOutcome, GatewayError> {
        let PaymentStatus::RefundDue { receipt, .. } = &payment.status else {
            return Err(GatewayError::Rejected("nothing is owed back".to_owned()));
        };
        let made: Vec<Refund> = self.get(&format!("/refund?transaction={}", receipt.id)).await?.unwrap_or_default();
        if let Some(refund) = made.into_iter().find(|refund| refund.status != "failed") {
            if refund.needs_attention() {
                return Err(GatewayError::Rejected(format!("refund {} needs attention", refund.id)));
            }
            return Ok(refund.outcome());
        }
        let note = format!("not owed for {}", payment.id);
        let answer = self.post("/refund", &NewRefund { transaction: &receipt.id, merchant_note: note }).await?;
        match answer.status.is_success() {
            true => Ok(data::<Refund>(&answer)?.outcome()),
            false => Err(answer.read::<Refused>()?.rejected()),
        }
    }

    pub(super) async fn receive(&self, delivery: &Received<'_>) -> Result<Notice, WebhookError> {
        let keys = self.access.keys.get().await?;
        webhook::verify(&keys.webhook_secrets, delivery)?;
        webhook::notice(delivery)
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<Option<T>, GatewayError> {
        let answer = self.send(self.access.http.get(self.access.url(path))).await?;
        if answer.status.is_success() {
            return data(&answer).map(Some);
        }
        let refused: Refused = answer.read()?;
        // An unknown reference is a 400 in practice, and a 404 by the book.
        match answer.status == StatusCode::NOT_FOUND || refused.is_not_found() {
            true => Ok(None),
            false => Err(refused.rejected()),
        }
    }

    async fn post(&self, path: &str, body: &impl Serialize) -> Result<Answer, GatewayError> {
        self.send(self.access.http.post(self.access.url(path)).json(body)).await
    }

    async fn send(&self, request: RequestBuilder) -> Result<Answer, GatewayError> {
        let keys = self.access.keys.get().await?;
        self.access.send(request.bearer_auth(keys.secret_key.expose())).await
    }
}

/// The amount as Paystack counts: hundredths of every currency, XOF's too,
/// although XOF has none.
fn subunits(amount: Money) -> Result<i64, GatewayError> {
    let unacceptable = |field, problem: String| GatewayError::Unacceptable { field, problem };
    let currency = amount.currency;
    match currency.code() {
        "NGN" | "GHS" | "ZAR" | "KES" | "USD" => Ok(amount.minor),
        "XOF" => amount.minor.checked_mul(100).ok_or_else(|| unacceptable("quantity", "is too much".to_owned())),
        _ => Err(unacceptable("currency", format!("Paystack does not take {currency}"))),
    }
}

/// The other way. XOF's hundredths do not exist, and are dropped as Paystack drops them.
fn from_subunits(subunits: i64, currency: Currency) -> Money {
    let minor = if currency.exponent() == 0 { subunits / 100 } else { subunits };
    Money::new(minor, currency)
}

fn data<T: DeserializeOwned>(answer: &Answer) -> Result<T, GatewayError> {
    answer.read::<Envelope<T>>().map(|envelope| envelope.data)
}

/// `status` of the envelope says only that the call worked.
#[derive(Deserialize)]
struct Envelope<T> {
    data: T,
}

#[derive(Deserialize)]
struct Refused {
    message: Option<String>,
    code: Option<String>,
}

impl Refused {
    fn is_duplicate(&self) -> bool {
        self.code.as_deref() == Some("duplicate_reference") || self.says("duplicate transaction reference")
    }

    fn is_not_found(&self) -> bool {
        self.code.as_deref() == Some("transaction_not_found") || self.says("not found")
    }

    fn says(&self, text: &str) -> bool {
        self.message.as_deref().is_some_and(|message| message.to_lowercase().contains(text))
    }

    fn rejected(self) -> GatewayError {
        GatewayError::Rejected(self.code.or(self.message).unwrap_or_else(|| "without a reason".to_owned()))
    }
}

#[derive(Serialize)]
struct Initialize<'a> {
    email: Option<String>,
    amount: i64,
    currency: Currency,
    reference: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    callback_url: Option<String>,
    metadata: Value,
}

#[derive(Serialize)]
struct ChargeAuthorization<'a> {
    email: &'a str,
    amount: i64,
    currency: Currency,
    authorization_code: &'a str,
    reference: &'a str,
    /// Here a JSON text, though an object at `initialize`.
    metadata: String,
}

#[derive(Serialize)]
struct NewRefund<'a> {
    transaction: &'a str,
    merchant_note: String,
}

#[derive(Deserialize)]
struct Authorization {
    authorization_url: String,
    access_code: String,
}

#[derive(Deserialize)]
struct Transaction {
    id: Option<u64>,
    /// Absent when the charge is paused.
    status: Option<String>,
    #[serde(default)]
    paused: bool,
    amount: Option<i64>,
    /// What we asked for. `amount` is more where the customer bears the fees.
    requested_amount: Option<i64>,
    currency: Option<Currency>,
    gateway_response: Option<String>,
    gateway_response_code: Option<String>,
    response_code: Option<String>,
    authorization: Option<Saved>,
    customer: Option<Customer>,
}

#[derive(Deserialize)]
struct Saved {
    authorization_code: Option<String>,
    channel: Option<String>,
    reusable: Option<bool>,
    card_type: Option<String>,
    brand: Option<String>,
    last4: Option<String>,
    exp_month: Option<String>,
    exp_year: Option<String>,
    signature: Option<String>,
}

#[derive(Deserialize)]
struct Customer {
    email: Option<String>,
}

#[derive(Deserialize)]
struct Refund {
    id: u64,
    status: String,
}

impl Refund {
    fn outcome(self) -> RefundOutcome {
        match self.status.as_str() {
            "processed" => RefundOutcome::Done { id: self.id.to_string() },
            _ => RefundOutcome::Pending,
        }
    }

    /// Paystack wants to be told a bank account, which only a person can.
    fn needs_attention(&self) -> bool {
        self.status == "needs-attention"
    }
}

impl Transaction {
    fn outcome(self, payment: &Payment) -> Outcome {
        if self.paused || self.status.as_deref() == Some("ongoing") {
            return match payment.collection {
                // Nobody is there to do what is waited for. Charging says `paused`, and looking it up later `ongoing`.
                Collection::OffSession { .. } => {
                    Outcome::Declined(Decline { code: "paused".to_owned(), remedy: Remedy::AskCustomer })
                }
                Collection::Checkout { .. } => Outcome::Pending(Stage::RequiresAction),
            };
        }
        match self.status.as_deref() {
            Some("success") => self.succeeded(payment),
            Some("failed") => {
                let code = self.gateway_response_code.or(self.response_code);
                Outcome::Declined(declines::decline(code, self.gateway_response.as_deref().unwrap_or_default()))
            }
            // Taken and given back: nothing was paid.
            Some("reversed") => Outcome::Declined(Decline { code: "reversed".to_owned(), remedy: Remedy::NewMethod }),
            Some("abandoned") => Outcome::Pending(Stage::Pending),
            Some(_) | None => Outcome::Pending(Stage::Processing),
        }
    }

    fn succeeded(self, payment: &Payment) -> Outcome {
        let (Some(id), Some(amount), Some(currency)) = (self.id, self.amount, self.currency) else {
            return Outcome::Pending(Stage::Processing); // a success that does not say of what
        };
        let asked = subunits(payment.amount).ok();
        // Who bears the fees pays more than was asked; what we asked for is what we were paid.
        let counted = match self.requested_amount {
            Some(requested) if Some(requested) == asked && amount >= requested => requested,
            Some(_) | None => amount,
        };
        let receipt = Receipt { id: id.to_string(), amount: from_subunits(counted, currency) };
        let payer = self.customer.and_then(|customer| customer.email);
        let method = self.authorization.zip(payer).and_then(|(saved, payer)| saved.method(payer));
        Outcome::Succeeded { receipt, method }
    }
}

impl Saved {
    /// Only what may be charged again, with the e-mail it is bound to.
    fn method(self, payer: String) -> Option<Method> {
        let token = self.authorization_code?;
        if self.reusable != Some(true) || !matches!(self.channel.as_deref(), Some("card" | "direct_debit")) {
            return None;
        }
        let number = |text: Option<String>| text.and_then(|text| text.trim().parse::<u16>().ok()).unwrap_or_default();
        let brand = self.brand.or(self.card_type).map(|brand| brand.trim().to_owned());
        let card = Card {
            brand: brand.unwrap_or_else(|| "card".to_owned()),
            last4: self.last4.unwrap_or_default(),
            exp_month: u8::try_from(number(self.exp_month)).unwrap_or_default(),
            exp_year: number(self.exp_year),
            fingerprint: self.signature,
        };
        Some(Method { gateway: Gateway::Paystack, token, payer, card })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use billing::testing::{checkout_payment, off_session_payment};

    fn money(minor: i64, code: &str) -> Money {
        Money::new(minor, Currency::from_code(code).unwrap_or_else(|| panic!("{code}")))
    }

    fn outcome(change: impl FnOnce(&mut Value)) -> Outcome {
        let mut transaction = json!({
            "id": 7, "status": "success", "amount": 700_000, "requested_amount": 700_000, "currency": "NGN",
            "metadata": "", "customer": {"email": "billing@acme.example"},
            "authorization": {"authorization_code": "AUTH_1", "channel": "card", "reusable": true,
                "card_type": "visa ", "last4": "4081", "exp_month": "04", "exp_year": "2030", "signature": "SIG_1"},
        });
        change(&mut transaction);
        let transaction: Transaction = serde_json::from_value(transaction).unwrap_or_else(|error| panic!("{error}"));
        transaction.outcome(&off_session_payment())
    }

    fn taken(outcome: &Outcome) -> Option<i64> {
        match outcome {
            Outcome::Succeeded { receipt, .. } => Some(receipt.amount.minor),
            Outcome::Pending(_) | Outcome::Declined(_) | Outcome::Expired => None,
        }
    }

    #[test]
    fn francs_without_cents_are_sent_in_hundredths_all_the_same() {
        assert_eq!(subunits(money(5_000, "XOF")).ok(), Some(500_000));
        assert_eq!(from_subunits(500_050, money(0, "XOF").currency), money(5_000, "XOF"));
        assert_eq!(subunits(money(700_000, "NGN")).ok(), Some(700_000));
        assert!(subunits(money(1_500, "GEL")).is_err());
    }

    #[test]
    fn fees_that_the_customer_bears_are_not_a_wrong_amount() {
        assert_eq!(taken(&outcome(|it| it["amount"] = 710_500.into())), Some(700_000));
    }

    #[test]
    fn another_amount_than_asked_for_is_told_as_it_is() {
        assert_eq!(taken(&outcome(|it| it["amount"] = 1.into())), Some(1));
        let other = |it: &mut Value| (it["amount"], it["requested_amount"]) = (100.into(), 100.into());
        assert_eq!(taken(&outcome(other)), Some(100));
    }

    #[test]
    fn a_card_is_kept_only_if_it_may_be_charged_again() {
        let kept = |outcome| matches!(outcome, Outcome::Succeeded { method: Some(_), .. });
        assert!(kept(outcome(|_| {})));
        assert!(!kept(outcome(|it| it["authorization"]["reusable"] = false.into())));
        assert!(!kept(outcome(|it| it["authorization"]["channel"] = "bank_transfer".into())));
        assert!(!kept(outcome(|it| it["customer"]["email"] = Value::Null)));
    }

    #[test]
    fn a_card_is_shown_as_a_person_knows_it() {
        let Outcome::Succeeded { method: Some(method), .. } = outcome(|_| {}) else { panic!("kept") };
        assert_eq!((method.card.brand.as_str(), method.card.exp_month, method.card.exp_year), ("visa", 4, 2030));
        assert_eq!(method.payer, "billing@acme.example");
    }

    #[test]
    fn every_status_has_a_meaning() {
        let cases = [
            ("abandoned", Outcome::Pending(Stage::Pending)),
            ("pending", Outcome::Pending(Stage::Processing)),
            ("processing", Outcome::Pending(Stage::Processing)),
            ("queued", Outcome::Pending(Stage::Processing)),
            ("something new", Outcome::Pending(Stage::Processing)),
        ];
        for (status, expected) in cases {
            assert_eq!(outcome(|it| it["status"] = status.into()), expected, "{status}");
        }
        assert!(matches!(outcome(|it| it["status"] = "failed".into()), Outcome::Declined(_)));
    }

    #[test]
    fn a_charge_that_waits_for_a_customer_who_is_not_there_is_declined() {
        let paused = Outcome::Declined(Decline { code: "paused".to_owned(), remedy: Remedy::AskCustomer });
        assert_eq!(outcome(|it| it["paused"] = true.into()), paused);
        assert_eq!(outcome(|it| it["status"] = "ongoing".into()), paused);
        let at_page: Result<Transaction, _> = serde_json::from_value(json!({"status": "ongoing"}));
        let at_page = at_page.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(at_page.outcome(&checkout_payment()), Outcome::Pending(Stage::RequiresAction));
    }
}
