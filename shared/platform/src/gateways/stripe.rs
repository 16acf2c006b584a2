//! Stripe. <https://docs.stripe.com/api>, version 2026-10-28.endive.

mod declines;
mod webhook;

use super::{Access, Answer, Received, WebhookError, coming_back};
use billing::delivery::Notice;
use billing::money::{Currency, Money};
use billing::outcome::{Decline, Outcome, Receipt, RefundOutcome, Remedy, Stage};
use billing::payment::{Address, CheckoutMethod, Collection, Gateway, Opened, Payer, Payment, PaymentStatus};
use billing::ports::GatewayError;
use billing::wallet::{Card, Method};
use data_encoding::HEXLOWER;
use reqwest::{Method as Verb, RequestBuilder};
use serde::Deserialize;
use sha2::{Digest, Sha256};

/// Always sent: without it the account's own version would apply.
const VERSION: &str = "2026-10-28.endive";

/// The most pages of a customer's payment intents that are looked through.
const MOST_PAGES: u32 = 20;

/// Form fields, as `a[b]=c`.
type Form = Vec<(&'static str, String)>;

#[derive(Clone, Debug)]
pub(super) struct Stripe {
    access: Access,
}

impl Stripe {
    pub(super) fn new(access: Access) -> Self {
        Self { access }
    }

    pub(super) fn accepts(&self, payment: &Payment) -> Result<(), GatewayError> {
        if let Collection::Checkout { method: CheckoutMethod::Checkout, return_url: None, .. } = payment.collection {
            let problem = "Stripe's page needs somewhere to send the customer back to".to_owned();
            return Err(GatewayError::Unacceptable { field: "return_url", problem });
        }
        chargeable(payment.amount)
    }

    pub(super) async fn open(&self, payment: &Payment) -> Result<Opened, GatewayError> {
        let Collection::Checkout { order, payer, method, return_url, .. } = &payment.collection else {
            return Err(GatewayError::Rejected("an off-session charge has no page".to_owned()));
        };
        let customer = self.customer(payment, payer).await?;
        let key = payment.reference.as_str();
        match method {
            CheckoutMethod::Checkout => {
                let Some(url) = return_url else {
                    return Err(GatewayError::Rejected("a page needs a return_url".to_owned()));
                };
                let form = session(payment, &order.plan.display_name, customer, &coming_back(url, payment));
                let session: Session = self.post("/v1/checkout/sessions", Some(key), form).await?.read()?;
                let url = session.url.ok_or_else(|| GatewayError::NoAnswer("a session without an address".into()))?;
                Ok(Opened { id: session.id, at: Address::CheckoutUrl(url) })
            }
            CheckoutMethod::ClientSecret => {
                let mut form = intent(payment, customer);
                form.push(("setup_future_usage", "off_session".to_owned()));
                form.push(("allowed_payment_method_types[0]", "card".to_owned()));
                let intent: Intent = self.post("/v1/payment_intents", Some(key), form).await?.read()?;
                let secret = intent.client_secret.clone();
                let secret = secret.ok_or_else(|| GatewayError::NoAnswer("an intent without a secret".into()))?;
                Ok(Opened { id: intent.id, at: Address::ClientSecret(secret) })
            }
        }
    }

    pub(super) async fn charge(&self, payment: &Payment) -> Result<Outcome, GatewayError> {
        let Collection::OffSession { method } = &payment.collection else {
            return Err(GatewayError::Rejected("a checkout is paid by the customer".to_owned()));
        };
        let mut form = intent(payment, method.payer.clone());
        form.push(("payment_method", method.token.clone()));
        form.push(("off_session", "true".to_owned()));
        form.push(("confirm", "true".to_owned()));
        let answer = self.send(Verb::POST, "/v1/payment_intents", Some(payment.reference.as_str()), &form).await?;
        if answer.status.is_success() {
            return Ok(answer.read::<Intent>()?.outcome());
        }
        let Refused { error } = answer.read()?;
        match error.kind.as_str() {
            "card_error" => Ok(Outcome::Declined(declines::decline(&error))),
            // The method is gone, or not this customer's: nothing was charged, and with it nothing will be.
            "invalid_request_error" if error.is_about_method() => {
                let code = error.code.unwrap_or_else(|| "payment_method_unusable".to_owned());
                Ok(Outcome::Declined(Decline { code, remedy: Remedy::NewMethod }))
            }
            _ => Err(rejected(error)),
        }
    }

    pub(super) async fn find(&self, payment: &Payment) -> Result<Option<Outcome>, GatewayError> {
        match (&payment.collection, payment.opened()) {
            (Collection::Checkout { .. }, Some(opened)) if opened.id.starts_with("cs_") => {
                let path = format!("/v1/checkout/sessions/{}?expand[]=payment_intent.latest_charge", opened.id);
                Ok(self.get::<Session>(&path).await?.map(Session::outcome))
            }
            (Collection::Checkout { .. }, Some(opened)) => {
                let path = format!("/v1/payment_intents/{}?expand[]=latest_charge", opened.id);
                Ok(self.get::<Intent>(&path).await?.map(Intent::outcome))
            }
            // Whatever was opened, nobody was told where: it cannot have been paid.
            (Collection::Checkout { .. }, None) => Ok(None),
            (Collection::OffSession { method }, _) => self.find_intent(payment, &method.payer).await,
        }
    }

    pub(super) async fn close(&self, payment: &Payment) -> Result<Option<Outcome>, GatewayError> {
        let Some(opened) = payment.opened() else { return self.find(payment).await };
        let (path, form) = match opened.id.starts_with("cs_") {
            true => (format!("/v1/checkout/sessions/{}/expire", opened.id), vec![]),
            false => {
                let form = vec![("cancellation_reason", "abandoned".to_owned())];
                (format!("/v1/payment_intents/{}/cancel", opened.id), form)
            }
        };
        // Refused if it is over already: what it ended as is read either way.
        self.send(Verb::POST, &path, None, &form).await?;
        self.find(payment).await
    }

    /// Looks first: Stripe forgets keys, and a refund must not be made again.
    pub(super) async fn refund(&self, payment: &Payment) -> Result<RefundOutcome, GatewayError> {
        let PaymentStatus::RefundDue { receipt, .. } = &payment.status else {
            return Err(GatewayError::Rejected("nothing is owed back".to_owned()));
        };
        let path = format!("/v1/refunds?payment_intent={}&limit=100", receipt.id);
        let made: List<Refund> = self.get(&path).await?.unwrap_or_default();
        let failed = made.data.iter().filter(|refund| refund.is_off()).count();
        match made.data.into_iter().find(|refund| !refund.is_off()) {
            Some(refund) => Ok(refund.outcome()),
            None => {
                // After one that failed another is made: under its key Stripe would answer with the failed one.
                let key = format!("{}-refund-{failed}", payment.reference);
                let form = vec![
                    ("payment_intent", receipt.id.clone()),
                    ("metadata[reference]", payment.reference.to_string()),
                ];
                Ok(self.post("/v1/refunds", Some(&key), form).await?.read::<Refund>()?.outcome())
            }
        }
    }

    pub(super) async fn receive(&self, delivery: &Received<'_>) -> Result<Notice, WebhookError> {
        let keys = self.access.keys.get().await?;
        webhook::verify(&keys.webhook_secrets, delivery)?;
        webhook::notice(delivery, keys.secret_key.expose().contains("_live_"))
    }

    /// The payer as Stripe knows them: one of its customers for one of ours.
    async fn customer(&self, payment: &Payment, payer: &Payer) -> Result<String, GatewayError> {
        if let Some(known) = &payer.known_as {
            return Ok(known.clone());
        }
        let mut form = vec![("metadata[customer]", payment.customer.to_string())];
        form.extend(payer.email.clone().map(|email| ("email", email)));
        // Another e-mail is another request, and may not come under the same key.
        let digest = Sha256::digest(form.iter().map(|(_, value)| value.as_str()).collect::<Vec<_>>().join("|"));
        let key = format!("customer-{}", HEXLOWER.encode(&digest));
        Ok(self.post("/v1/customers", Some(&key), form).await?.read::<Named>()?.id)
    }

    /// The payment's intent among the customer's, newest first. Not by Stripe's
    /// search, which may not know yet what was written a moment ago.
    async fn find_intent(&self, payment: &Payment, customer: &str) -> Result<Option<Outcome>, GatewayError> {
        let mut after = String::new();
        for _ in 0..MOST_PAGES {
            let path = format!("/v1/payment_intents?customer={customer}&limit=100{after}");
            let page: List<Intent> = self.get(&path).await?.unwrap_or_default();
            let last = page.data.last().map(|intent| intent.id.clone());
            let ours = |intent: &Intent| intent.metadata.reference.as_deref() == Some(payment.reference.as_str());
            if let Some(intent) = page.data.into_iter().find(ours) {
                return Ok(Some(intent.outcome()));
            }
            match last.filter(|_| page.has_more) {
                Some(last) => after = format!("&starting_after={last}"),
                None => return Ok(None),
            }
        }
        Err(GatewayError::NoAnswer("more payment intents than can be looked through".into()))
    }

    async fn get<T: serde::de::DeserializeOwned>(&self, path: &str) -> Result<Option<T>, GatewayError> {
        let answer = self.send(Verb::GET, path, None, &[]).await?;
        if answer.status.is_success() {
            return answer.read().map(Some);
        }
        let Refused { error } = answer.read()?;
        // Only in Stripe's own words: a 404 may also be somebody's on the way.
        match error.code.as_deref() {
            Some("resource_missing") => Ok(None),
            Some(_) | None => Err(rejected(error)),
        }
    }

    async fn post(&self, path: &str, key: Option<&str>, form: Form) -> Result<Answer, GatewayError> {
        let answer = self.send(Verb::POST, path, key, &form).await?;
        if answer.status.is_success() { Ok(answer) } else { Err(rejected(answer.read::<Refused>()?.error)) }
    }

    async fn send(
        &self,
        verb: Verb,
        path: &str,
        key: Option<&str>,
        form: &[(&'static str, String)],
    ) -> Result<Answer, GatewayError> {
        let keys = self.access.keys.get().await?;
        let request: RequestBuilder = self
            .access
            .http
            .request(verb.clone(), self.access.url(path))
            .bearer_auth(keys.secret_key.expose())
            .header("stripe-version", VERSION);
        let request = match key {
            Some(key) => request.header("idempotency-key", key),
            None => request,
        };
        let request = if verb == Verb::POST { request.form(form) } else { request };
        self.access.send(request).await
    }
}

fn intent(payment: &Payment, customer: String) -> Form {
    vec![
        ("amount", payment.amount.minor.to_string()),
        ("currency", payment.amount.currency.code().to_ascii_lowercase()),
        ("customer", customer),
        ("metadata[reference]", payment.reference.to_string()),
    ]
}

fn session(payment: &Payment, name: &str, customer: String, back: &str) -> Form {
    vec![
        ("mode", "payment".to_owned()),
        ("customer", customer),
        ("client_reference_id", payment.reference.to_string()),
        ("metadata[reference]", payment.reference.to_string()),
        ("line_items[0][quantity]", "1".to_owned()),
        ("line_items[0][price_data][currency]", payment.amount.currency.code().to_ascii_lowercase()),
        ("line_items[0][price_data][unit_amount]", payment.amount.minor.to_string()),
        ("line_items[0][price_data][product_data][name]", name.to_owned()),
        // Cards only: what cannot be charged again off-session would end with its first period.
        ("allowed_payment_method_types[0]", "card".to_owned()),
        ("payment_intent_data[setup_future_usage]", "off_session".to_owned()),
        // Stripe does not copy a session's metadata to its intent.
        ("payment_intent_data[metadata][reference]", payment.reference.to_string()),
        ("success_url", back.to_owned()),
        ("cancel_url", back.to_owned()),
    ]
}

/// Stripe counts some currencies in other units than ISO 4217 does; those are
/// refused rather than guessed. Three-decimal amounts must end in 0.
fn chargeable(amount: Money) -> Result<(), GatewayError> {
    let unacceptable = |field, problem: String| Err(GatewayError::Unacceptable { field, problem });
    let currency: Currency = amount.currency;
    match (currency.code(), currency.exponent()) {
        ("UGX" | "ISK" | "MGA", _) => unacceptable("currency", format!("{currency} cannot be charged through Stripe")),
        (_, 3) if amount.minor % 10 != 0 => {
            unacceptable("plan", format!("Stripe takes {currency} only to two decimals"))
        }
        _ if amount.minor > 99_999_999 => unacceptable("quantity", "is more than Stripe charges at once".to_owned()),
        _ => Ok(()),
    }
}

fn rejected(error: WireError) -> GatewayError {
    // The message may repeat what we sent; code and field say enough.
    let part = |part: Option<String>| part.unwrap_or_default();
    GatewayError::Rejected(format!("{} {} {}", error.kind, part(error.code), part(error.param)).trim().to_owned())
}

#[derive(Deserialize)]
struct Named {
    id: String,
}

#[derive(Deserialize)]
struct List<T> {
    data: Vec<T>,
    has_more: bool,
}

impl<T> Default for List<T> {
    fn default() -> Self {
        Self { data: vec![], has_more: false }
    }
}

#[derive(Deserialize)]
struct Session {
    id: String,
    url: Option<String>,
    status: String,
    payment_status: String,
    payment_intent: Option<Expandable<Intent>>,
}

/// An object, or only its id where it was not asked for.
#[derive(Deserialize)]
#[serde(untagged)]
enum Expandable<T> {
    Object(Box<T>),
    Id(#[allow(dead_code, reason = "that it is an id is all that matters")] String),
}

#[derive(Deserialize)]
struct Intent {
    id: String,
    status: String,
    /// What was taken, and nothing else, counts as paid.
    amount_received: i64,
    currency: String,
    client_secret: Option<String>,
    customer: Option<String>,
    payment_method: Option<String>,
    latest_charge: Option<Expandable<Charge>>,
    last_payment_error: Option<WireError>,
    #[serde(default)]
    metadata: Metadata,
}

#[derive(Default, Deserialize)]
struct Metadata {
    reference: Option<String>,
}

#[derive(Deserialize)]
struct Charge {
    /// Given back in full.
    #[serde(default)]
    refunded: bool,
    payment_method_details: Option<MethodDetails>,
}

#[derive(Deserialize)]
struct MethodDetails {
    card: Option<WireCard>,
}

#[derive(Deserialize)]
struct WireCard {
    brand: Option<String>,
    last4: Option<String>,
    exp_month: Option<u8>,
    exp_year: Option<u16>,
    fingerprint: Option<String>,
}

#[derive(Deserialize)]
struct Refused {
    error: WireError,
}

#[derive(Default, Deserialize)]
struct WireError {
    #[serde(rename = "type", default)]
    kind: String,
    code: Option<String>,
    decline_code: Option<String>,
    advice_code: Option<String>,
    param: Option<String>,
    message: Option<String>,
}

impl WireError {
    /// Whether the method is unknown, taken away or another customer's, or the customer is gone. Of a method that was
    /// detached Stripe says so only in words.
    fn is_about_method(&self) -> bool {
        let missing = self.code.as_deref() == Some("resource_missing");
        match self.param.as_deref() {
            Some("payment_method") => true,
            Some("customer") if missing => true,
            Some(_) | None => self.message.as_deref().is_some_and(|text| text.contains("may not be used again")),
        }
    }
}

#[derive(Deserialize)]
struct Refund {
    id: String,
    status: Option<String>,
}

impl Refund {
    fn is_off(&self) -> bool {
        matches!(self.status.as_deref(), Some("failed" | "canceled"))
    }

    fn outcome(self) -> RefundOutcome {
        match self.status.as_deref() {
            Some("succeeded") => RefundOutcome::Done { id: self.id },
            Some(_) | None => RefundOutcome::Pending,
        }
    }
}

impl Session {
    fn outcome(self) -> Outcome {
        let intent = match self.payment_intent {
            Some(Expandable::Object(intent)) => Some(*intent),
            Some(Expandable::Id(_)) | None => None,
        };
        match (self.status.as_str(), self.payment_status.as_str(), intent) {
            ("expired", ..) => Outcome::Expired,
            (_, "unpaid", Some(intent)) => intent.outcome(),
            (_, "paid", Some(intent)) if intent.status == "succeeded" => intent.outcome(),
            ("complete", ..) => Outcome::Pending(Stage::Processing),
            _ => Outcome::Pending(Stage::Pending),
        }
    }
}

impl Intent {
    fn outcome(self) -> Outcome {
        match (self.status.as_str(), &self.last_payment_error) {
            ("succeeded", _) => self.succeeded(),
            ("canceled", _) => Outcome::Expired,
            ("requires_payment_method", Some(error)) => Outcome::Declined(declines::decline(error)),
            ("requires_action", _) => Outcome::Pending(Stage::RequiresAction),
            ("processing" | "requires_capture", _) => Outcome::Pending(Stage::Processing),
            _ => Outcome::Pending(Stage::Pending),
        }
    }

    fn succeeded(self) -> Outcome {
        let Some(currency) = Currency::from_code(&self.currency.to_ascii_uppercase()) else {
            return Outcome::Pending(Stage::Processing); // nothing we ever asked for
        };
        let receipt = Receipt { id: self.id, amount: Money::new(self.amount_received, currency) };
        let card = match self.latest_charge {
            // Taken and given back: nothing was paid.
            Some(Expandable::Object(charge)) if charge.refunded => {
                return Outcome::Declined(Decline { code: "refunded".to_owned(), remedy: Remedy::NewMethod });
            }
            Some(Expandable::Object(charge)) => charge.payment_method_details.and_then(|details| details.card),
            Some(Expandable::Id(_)) | None => None,
        };
        let method = match (self.customer, self.payment_method, card) {
            (Some(payer), Some(token), Some(card)) => {
                Some(Method { gateway: Gateway::Stripe, token, payer, card: card.shown() })
            }
            _ => None,
        };
        Outcome::Succeeded { receipt, method }
    }
}

impl WireCard {
    fn shown(self) -> Card {
        Card {
            brand: self.brand.unwrap_or_else(|| "card".to_owned()),
            last4: self.last4.unwrap_or_default(),
            exp_month: self.exp_month.unwrap_or_default(),
            exp_year: self.exp_year.unwrap_or_default(),
            fingerprint: self.fingerprint,
        }
    }
}
