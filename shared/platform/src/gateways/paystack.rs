//! Paystack. <https://paystack.com/docs/api>
//!
//! There are no idempotency keys: the reference is unique for ever, and a
//! duplicate of it means "ask what became of it".

mod accounts;
mod declines;
mod outcome;
mod units;
pub(super) mod webhook;
mod wire;

use super::access::{Access, Answer};
use super::keys::ApiKeys;
use super::{Received, WebhookError, coming_back};
use billing::delivery::Notice;
use billing::money::{Currency, Money};
use billing::outcome::{Aftermath, Outcome, RefundOutcome, Sighting};
use billing::payment::{Address, CheckoutMethod, Collection, Opened, Payer, Payment, Refund};
use billing::ports::GatewayError;
use billing::wallet::Method;
use futures::future::try_join;
use http::StatusCode;
use reqwest::RequestBuilder;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use wire::{Disputes, Envelope, Refused, Transaction};

/// The most pages of a list that are looked through, and how long they are.
const MOST_PAGES: usize = 20;
const PAGE: usize = 100;

#[derive(Clone, Debug)]
pub(super) struct Paystack {
    access: Access<ApiKeys>,
}

impl Paystack {
    pub(super) fn new(access: Access<ApiKeys>) -> Self {
        Self { access }
    }

    pub(super) fn accepts(&self, payment: &Payment) -> Result<(), GatewayError> {
        let unacceptable =
            |field, problem: &str| Err(GatewayError::Unacceptable { field, problem: problem.to_owned() });
        let currency = payment.amount.currency.code();
        if let Collection::Checkout { payer, method, .. } = &payment.collection {
            if payer.email.is_none() {
                return unacceptable("gateway", "Paystack needs an e-mail, and the token names none");
            }
            match method {
                CheckoutMethod::Checkout => {}
                CheckoutMethod::ClientSecret => {
                    return unacceptable("method", "Paystack offers no `client_secret`");
                }
                CheckoutMethod::BankTransfer if currency != "NGN" => {
                    return unacceptable("currency", "a transfer is of NGN only");
                }
                CheckoutMethod::BankTransfer if payment.amount.minor < units::LEAST_TRANSFER => {
                    return unacceptable("method", "a transfer is of NGN 100 at least");
                }
                CheckoutMethod::VirtualAccount if !matches!(currency, "NGN" | "GHS") => {
                    return unacceptable("currency", "virtual accounts are for NGN and GHS only");
                }
                CheckoutMethod::VirtualAccount if payer.holder.is_none() => {
                    return unacceptable("method", "a virtual account is opened with POST /virtual-accounts");
                }
                CheckoutMethod::BankTransfer | CheckoutMethod::VirtualAccount => {}
            }
        }
        units::subunits(payment.amount).map(|_| ())
    }

    /// A card is proved by an ordinary charge, which goes back.
    pub(super) fn setup_amount(&self, currency: Currency) -> Result<Money, GatewayError> {
        units::least(currency)
    }

    pub(super) async fn answers(&self) -> Result<(), GatewayError> {
        let request = self.access.http.get(self.access.url("/transaction?per_page=1"));
        self.access.answers(self.authorized(request).await?).await
    }

    pub(super) async fn open(&self, payment: &Payment) -> Result<Opened, GatewayError> {
        let Collection::Checkout { payer, method, return_url, .. } = &payment.collection else {
            return Err(GatewayError::Rejected("an off-session charge has no page".to_owned()));
        };
        match method {
            CheckoutMethod::Checkout => self.open_page(payment, payer, return_url.as_deref()).await,
            CheckoutMethod::BankTransfer => self.open_transfer(payment, payer).await,
            CheckoutMethod::VirtualAccount => self.open_account(payer).await,
            CheckoutMethod::ClientSecret => Err(GatewayError::Rejected("there are no client secrets here".to_owned())),
        }
    }

    async fn open_page(
        &self,
        payment: &Payment,
        payer: &Payer,
        return_url: Option<&str>,
    ) -> Result<Opened, GatewayError> {
        let body = wire::Initialize {
            email: email(payer),
            amount: units::subunits(payment.amount)?,
            currency: payment.amount.currency,
            reference: payment.reference.as_str(),
            callback_url: return_url.map(|url| coming_back(url, payment)),
            // What is set up must be chargeable again: nothing but a card is.
            channels: payment.is_setup().then_some(["card"]),
            metadata: metadata(payment),
        };
        let answer = self.post("/transaction/initialize", &body).await?;
        match answer.status.is_success() {
            true => {
                let opened: wire::Authorization = data(&answer)?;
                Ok(Opened { id: opened.access_code, at: Address::CheckoutUrl(opened.authorization_url) })
            }
            false => Err(answer.read::<Refused>()?.of_opening()),
        }
    }

    /// An account for this payment alone, for as long as Paystack keeps one open.
    async fn open_transfer(&self, payment: &Payment, payer: &Payer) -> Result<Opened, GatewayError> {
        let body = wire::ChargeByTransfer {
            email: email(payer),
            amount: units::subunits(payment.amount)?,
            currency: payment.amount.currency,
            reference: payment.reference.as_str(),
            bank_transfer: json!({}),
            metadata: metadata(payment),
        };
        let answer = self.post("/charge", &body).await?;
        match answer.status.is_success() {
            true => {
                let account: wire::Account = data(&answer)?;
                Ok(Opened { id: payment.reference.to_string(), at: Address::BankAccount(account.shown()) })
            }
            false => Err(answer.read::<Refused>()?.of_opening()),
        }
    }

    pub(super) async fn charge(&self, payment: &Payment) -> Result<Outcome, GatewayError> {
        let Collection::OffSession { method, .. } = &payment.collection else {
            return Err(GatewayError::Rejected("a checkout is paid by the customer".to_owned()));
        };
        let body = wire::ChargeAuthorization {
            email: &method.payer,
            amount: units::subunits(payment.amount)?,
            currency: payment.amount.currency,
            authorization_code: &method.token,
            reference: payment.reference.as_str(),
            metadata: metadata(payment).to_string(),
        };
        let answer = self.post("/transaction/charge_authorization", &body).await?;
        if answer.status.is_success() {
            // A moment ago: nothing has become of the money yet.
            return Ok(data::<Transaction>(&answer)?.outcome(payment, Aftermath::default()));
        }
        let refused: Refused = answer.read()?;
        if refused.is_duplicate() {
            return match self.find(payment).await? {
                Sighting::Known(outcome) => Ok(outcome),
                Sighting::NeverHeard | Sighting::CannotTell => {
                    Err(GatewayError::NoAnswer("a duplicate that cannot be found".into()))
                }
            };
        }
        match declines::refusal(refused.message.as_deref().unwrap_or_default()) {
            Some(decline) => Ok(Outcome::Declined(decline)),
            None => Err(refused.rejected()),
        }
    }

    pub(super) async fn find(&self, payment: &Payment) -> Result<Sighting, GatewayError> {
        let path = format!("/transaction/verify/{}", known_as(payment));
        let Some(transaction) = self.get::<Transaction>(&path).await? else { return Ok(Sighting::NeverHeard) };
        let aftermath = match transaction.id {
            Some(id) if transaction.is_reversed() || (transaction.was_paid() && payment.is_settled()) => {
                self.aftermath(payment, id, transaction.is_reversed()).await?
            }
            Some(_) | None => Aftermath::default(),
        };
        Ok(Sighting::Known(transaction.outcome(payment, aftermath)))
    }

    /// A page cannot be closed here: how it stands is all there is to say.
    pub(super) async fn close(&self, payment: &Payment) -> Result<Sighting, GatewayError> {
        self.find(payment).await
    }

    async fn aftermath(&self, payment: &Payment, id: u64, reversed: bool) -> Result<Aftermath, GatewayError> {
        let path = format!("/dispute/transaction/{id}");
        let (refunds, disputes) = try_join(self.refunds(payment, &id.to_string()), self.get::<Disputes>(&path)).await?;
        let currency = payment.paid().map_or(payment.amount, |paid| paid.receipt.amount).currency;
        let returned: i64 = refunds.iter().map(wire::Refund::returned).sum();
        let dispute = disputes.and_then(|disputes| disputes.told(reversed));
        Ok(Aftermath { returned: units::from_subunits(returned, currency).minor, dispute })
    }

    /// Looks first: a second request would be a second refund.
    pub(super) async fn refund(&self, payment: &Payment, refund: &Refund) -> Result<RefundOutcome, GatewayError> {
        let Some(paid) = payment.paid() else {
            return Err(GatewayError::Rejected("nothing was taken".to_owned()));
        };
        let name = payment.refund_reference(refund);
        let made = self.refunds(payment, &paid.receipt.id).await?;
        if let Some(made) = made.into_iter().find(|made| made.is_called(&name)) {
            return made.outcome();
        }
        let body = wire::NewRefund {
            transaction: &paid.receipt.id,
            amount: units::subunits(refund.amount)?,
            merchant_note: format!("{name} for {}", payment.id),
        };
        let answer = self.post("/refund", &body).await?;
        if answer.status.is_success() {
            return data::<wire::Refund>(&answer)?.outcome();
        }
        let refused: Refused = answer.read()?;
        match answer.status {
            // Already given back, disputed, or more than is left: not by this request, and not later.
            StatusCode::BAD_REQUEST => Ok(RefundOutcome::Failed { code: refused.reason() }),
            _ => Err(refused.rejected()),
        }
    }

    async fn refunds(&self, payment: &Payment, transaction: &str) -> Result<Vec<wire::Refund>, GatewayError> {
        let mut refunds: Vec<wire::Refund> =
            self.all(&format!("/refund?transaction={transaction}&perPage={PAGE}")).await?;
        // Were the question not understood, others' refunds would be told as this payment's.
        refunds.retain(|refund| refund.is_of(known_as(payment)));
        Ok(refunds)
    }

    pub(super) async fn forget(&self, method: &Method) -> Result<(), GatewayError> {
        let body = json!({ "authorization_code": method.token });
        let answer = self.post("/customer/authorization/deactivate", &body).await?;
        let refused: Refused = answer.read()?;
        if answer.status.is_success() {
            // Nothing but a message says so.
            return refused.message.map(|_| ()).ok_or_else(|| GatewayError::NoAnswer("without a word".into()));
        }
        match answer.status == StatusCode::NOT_FOUND || refused.says_gone() {
            true => Ok(()),
            false => Err(refused.rejected()),
        }
    }

    pub(super) async fn receive(&self, delivery: &Received<'_>) -> Result<Notice, WebhookError> {
        let keys = self.access.keys.get().await?;
        webhook::verify(&keys.webhook_secrets, delivery)?;
        webhook::notice(delivery)
    }

    /// All of a list, newest first, whose address has a question in it.
    async fn all<T: DeserializeOwned>(&self, path: &str) -> Result<Vec<T>, GatewayError> {
        let mut all = vec![];
        for page in 1..=MOST_PAGES {
            // A list that is not found is no empty one: where nothing is known of what went back, it would be sent again.
            let rows: Option<Vec<T>> = self.get(&format!("{path}&page={page}")).await?;
            let rows = rows.ok_or_else(|| GatewayError::NoAnswer("a list that is not found".into()))?;
            let last = rows.len() < PAGE;
            all.extend(rows);
            if last {
                return Ok(all);
            }
        }
        Err(GatewayError::NoAnswer("a longer list than can be looked through".into()))
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
        self.access.send(self.authorized(request).await?).await
    }

    async fn authorized(&self, request: RequestBuilder) -> Result<RequestBuilder, GatewayError> {
        let keys = self.access.keys.get().await?;
        Ok(request.bearer_auth(keys.secret_key.expose()))
    }
}

/// The reference that Paystack knows a payment by: its own, of money that came in by itself.
fn known_as(payment: &Payment) -> &str {
    payment.transfer().map_or(payment.reference.as_str(), |transfer| &transfer.reference)
}

/// What their dashboard tells a person of it.
fn metadata(payment: &Payment) -> Value {
    json!({ "payment": payment.id, "plan": payment.bought.as_ref().map(|bought| &bought.plan) })
}

/// Their identity of a customer, and what a saved card is bound to: one spelling.
fn email(payer: &Payer) -> Option<String> {
    payer.email.as_deref().map(str::to_lowercase)
}

fn data<T: DeserializeOwned>(answer: &Answer) -> Result<T, GatewayError> {
    answer.read::<Envelope<T>>().map(|envelope| envelope.data)
}
