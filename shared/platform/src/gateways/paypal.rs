//! PayPal. <https://developer.paypal.com/docs/api/orders/v2/>
//!
//! An order is created, approved by the customer on PayPal's pages, and captured
//! by us: before that no money moves. `PayPal-Request-Id` makes a repeated
//! request the same request, for some hours. Nothing can be looked up by our
//! reference, only by PayPal's own ids.

mod amounts;
pub(super) mod certificates;
mod declines;
mod lookup;
mod outcome;
mod requests;
mod token;
pub(super) mod webhook;
mod wire;

use super::access::{Access, Answer};
use super::keys::PayPalKeys;
use super::{Received, WebhookError, within};
use billing::delivery::Notice;
use billing::id::Reference;
use billing::money::{Currency, Money};
use billing::outcome::{Outcome, RefundOutcome, Sighting, Stage};
use billing::payment::{Address, CheckoutMethod, Collection, Opened, Payment, PaymentStatus, Refund as Promised};
use billing::ports::GatewayError;
use billing::wallet::Method;
use certificates::{Certificates, Roots};
use http::StatusCode;
use reqwest::{RequestBuilder, Url};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use token::Tokens;
use webhook::{Lead, Transmission};
use wire::{Capture, Order, Refund, Refused, SetupToken, address, is_id};

#[derive(Clone, Debug)]
pub(super) struct PayPal {
    access: Access<PayPalKeys>,
    tokens: Tokens,
    certificates: Certificates,
    /// Whether real money moves: anything but PayPal's own live address is a sandbox.
    live: bool,
}

impl PayPal {
    pub(super) fn new(access: Access<PayPalKeys>) -> Self {
        let host = Url::parse(&access.api).ok().and_then(|url| url.host_str().map(str::to_owned));
        let live = matches!(host.as_deref(), Some("api-m.paypal.com" | "api.paypal.com"));
        Self { access, tokens: Tokens::default(), certificates: Certificates::default(), live }
    }

    pub(super) fn accepts(&self, payment: &Payment) -> Result<(), GatewayError> {
        let unacceptable =
            |field, problem: &str| Err(GatewayError::Unacceptable { field, problem: problem.to_owned() });
        if let Collection::Checkout { method, return_url, .. } = &payment.collection {
            if *method != CheckoutMethod::Checkout {
                return unacceptable("method", "PayPal offers `checkout` only");
            }
            if return_url.is_none() {
                return unacceptable("return_url", "PayPal's page needs somewhere to send the customer back to");
            }
        }
        amounts::Amount::of(payment.amount).map(|_| ())
    }

    /// An account is saved without a charge.
    pub(super) fn setup_amount(&self, currency: Currency) -> Result<Money, GatewayError> {
        amounts::takes(currency).map(|()| Money::new(0, currency))
    }

    /// Asks for an order that there is not.
    pub(super) async fn answers(&self) -> Result<(), GatewayError> {
        self.hear(self.access.http.get(self.access.url("/v2/checkout/orders/none"))).await?.ready()
    }

    pub(super) async fn open(&self, payment: &Payment) -> Result<Opened, GatewayError> {
        let Collection::Checkout { order, payer, return_url: Some(url), .. } = &payment.collection else {
            return Err(GatewayError::Rejected("only a page with a return_url can be opened".to_owned()));
        };
        let key = payment.reference.as_str();
        let (id, page) = match order {
            Some(order) => {
                let body = requests::order(payment, &order.plan.display_name, payer, url)?;
                let order: Order = self.made("/v2/checkout/orders", key, &body).await?;
                (order.id.clone(), order.page())
            }
            None => {
                let body = requests::setup(payment, payer, url);
                let setup: SetupToken = self.made("/v3/vault/setup-tokens", key, &body).await?;
                let page = address(&setup.links, &["approve", "payer-action"]);
                (setup.id, page)
            }
        };
        let page = page.ok_or_else(|| GatewayError::NoAnswer("nowhere to send the customer to".into()))?;
        Ok(Opened { id, at: Address::CheckoutUrl(page) })
    }

    pub(super) async fn charge(&self, payment: &Payment) -> Result<Outcome, GatewayError> {
        let Collection::OffSession { method, .. } = &payment.collection else {
            return Err(GatewayError::Rejected("a checkout is paid by the customer".to_owned()));
        };
        let body = requests::charge(payment, method)?;
        let answer = self.post("/v2/checkout/orders", payment.reference.as_str(), &body).await?;
        if !answer.status.is_success() {
            return declines::refusal(payment, answer.status, &answer.read()?);
        }
        let order: Order = answer.read()?;
        let unfinished = order.capture().is_none() && matches!(order.status.as_deref(), Some("CREATED" | "APPROVED"));
        if unfinished { self.capture(payment, &order).await } else { Ok(order.outcome(payment)) }
    }

    /// PayPal's page stays open, and matters no more: what nobody captures nobody pays.
    pub(super) async fn close(&self, payment: &Payment) -> Result<Sighting, GatewayError> {
        let Some(opened) = payment.opened().filter(|_| !payment.is_settled()) else {
            return self.find(payment, None).await;
        };
        if payment.is_setup() {
            return Ok(Sighting::Known(Outcome::Expired));
        }
        let order: Option<Order> = self.get(&format!("/v2/checkout/orders/{}", opened.id)).await?;
        let captured = order.filter(|order| order.capture().is_some());
        Ok(Sighting::Known(captured.map_or(Outcome::Expired, |order| order.outcome(payment))))
    }

    /// Looks first: PayPal forgets keys after some weeks, and a refund must not be made again.
    pub(super) async fn refund(&self, payment: &Payment, refund: &Promised) -> Result<RefundOutcome, GatewayError> {
        let Some(paid) = payment.paid() else {
            return Err(GatewayError::Rejected("nothing was paid".to_owned()));
        };
        let (id, name) = (&paid.receipt.id, payment.refund_reference(refund));
        let path = format!("/v2/payments/captures/{id}");
        let capture: Option<Capture> = self.get(&path).await?;
        let capture = capture.ok_or_else(|| GatewayError::Rejected(format!("capture {id} is not known")))?;
        let order = self.order_of(&capture).await?;
        let ours = |refund: &&Refund| refund.invoice_id.as_deref() == Some(name.as_str());
        if let Some(made) = order.as_ref().and_then(|order| order.refunds().find(ours)) {
            return Ok(made.outcome());
        }
        if order.is_none() && capture.gave_back_a_part() {
            return Err(GatewayError::NoAnswer("which refunds there were cannot be read".into()));
        }
        let answer = self.post(&format!("{path}/refund"), &name, &requests::refund(payment, refund)?).await?;
        if answer.status.is_success() {
            return Ok(answer.read::<Refund>()?.outcome());
        }
        let refusal: Refused = answer.read()?;
        match (answer.status, refusal.issue()) {
            // All of it went back already, whoever sent it: that is what was wanted.
            (StatusCode::UNPROCESSABLE_ENTITY, "CAPTURE_FULLY_REFUNDED") => Ok(RefundOutcome::Done { id: id.clone() }),
            // The money is still on its way to us, or a refund of that name was made and is not shown yet.
            (StatusCode::UNPROCESSABLE_ENTITY, "PENDING_CAPTURE" | "DUPLICATE_INVOICE_ID") => {
                Ok(RefundOutcome::Pending)
            }
            (StatusCode::UNPROCESSABLE_ENTITY, issue) => Ok(RefundOutcome::Failed { code: issue.to_owned() }),
            _ => Err(refusal.rejected()),
        }
    }

    pub(super) async fn forget(&self, method: &Method) -> Result<(), GatewayError> {
        let path = self.access.url(&format!("/v3/vault/payment-tokens/{}", method.token));
        let answer = self.send(self.access.http.delete(path)).await?;
        if answer.status == StatusCode::NO_CONTENT {
            return Ok(());
        }
        if answer.status.is_success() {
            return Err(GatewayError::NoAnswer("something else than nothing".into()));
        }
        let refusal: Refused = answer.read()?;
        if refusal.is_not_found() { Ok(()) } else { Err(refusal.rejected()) }
    }

    pub(super) async fn receive(&self, delivery: &Received<'_>) -> Result<Notice, WebhookError> {
        let keys = self.access.keys.get().await?;
        let transmission = Transmission::of(delivery, self.live)?;
        let url = &transmission.certificate;
        let roots = Roots::of(&keys.roots)?;
        match keys.certificates.get(url.as_str()) {
            Some(pem) => transmission.verify(&keys.webhook_ids, self.live, delivery, pem, &roots)?,
            None => {
                let pem = self.certificates.get(&self.access.http, url, delivery.at).await?;
                transmission.verify(&keys.webhook_ids, self.live, delivery, &pem, &roots)?;
                self.certificates.keep(url.clone(), pem, delivery.at);
            }
        }
        let (notice, lead) = webhook::notice(delivery, self.live)?;
        match lead {
            Some(lead) => Ok(Notice { reference: within(self.reference(&lead)).await?, ..notice }),
            None => Ok(notice),
        }
    }

    /// Of which payment a thing is, by its own word.
    async fn reference(&self, lead: &Lead) -> Result<Option<Reference>, GatewayError> {
        match lead {
            Lead::Order(id) => {
                let order: Option<Order> = self.get(&format!("/v2/checkout/orders/{id}")).await?;
                Ok(order.and_then(|order| order.names().find_map(webhook::reference)))
            }
            Lead::Capture(id) => {
                let capture: Option<Capture> = self.get(&format!("/v2/payments/captures/{id}")).await?;
                Ok(capture.and_then(|capture| webhook::reference(&capture.custom_id?)))
            }
        }
    }

    async fn order_of(&self, capture: &Capture) -> Result<Option<Order>, GatewayError> {
        match capture.order_id().filter(|id| is_id(id)) {
            Some(id) => self.get(&format!("/v2/checkout/orders/{id}")).await,
            None => Ok(None),
        }
    }

    /// Takes the money of an order that is approved. However often it is asked, an order is captured once.
    async fn capture(&self, payment: &Payment, order: &Order) -> Result<Outcome, GatewayError> {
        let path = format!("/v2/checkout/orders/{}", order.id);
        let answer = self.post(&format!("{path}/capture"), &capture_key(payment, order), &json!({})).await?;
        if answer.status.is_success() {
            return Ok(answer.read::<Order>()?.outcome(payment));
        }
        let refusal: Refused = answer.read()?;
        match refusal.issue() {
            "ORDER_ALREADY_CAPTURED" => {
                let order: Option<Order> = self.get(&path).await?;
                Ok(order.map_or(Outcome::Pending(Stage::Processing), |order| order.outcome(payment)))
            }
            "ORDER_COMPLETION_IN_PROGRESS" => Ok(Outcome::Pending(Stage::Processing)),
            "ORDER_NOT_APPROVED" => Ok(Outcome::Pending(Stage::Pending)),
            _ if refusal.is_not_found() => Ok(Outcome::Expired),
            _ => declines::refusal(payment, answer.status, &refusal),
        }
    }

    /// None: PayPal knows no such thing.
    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<Option<T>, GatewayError> {
        let answer = self.send(self.access.http.get(self.access.url(path))).await?;
        if answer.status.is_success() {
            return answer.read().map(Some);
        }
        let refusal: Refused = answer.read()?;
        if refusal.is_not_found() { Ok(None) } else { Err(refusal.rejected()) }
    }

    async fn made<T: DeserializeOwned>(&self, path: &str, key: &str, body: &Value) -> Result<T, GatewayError> {
        let answer = self.post(path, key, body).await?;
        if answer.status.is_success() { answer.read() } else { Err(answer.read::<Refused>()?.rejected()) }
    }

    async fn post(&self, path: &str, key: &str, body: &Value) -> Result<Answer, GatewayError> {
        let request = self.access.http.post(self.access.url(path)).header("paypal-request-id", key);
        self.send(request.header("prefer", "return=representation").json(body)).await
    }

    async fn send(&self, request: RequestBuilder) -> Result<Answer, GatewayError> {
        self.hear(request).await?.meant()
    }

    /// A token may end before its time: it is fetched anew once, and then the refusal stands.
    async fn hear(&self, request: RequestBuilder) -> Result<Answer, GatewayError> {
        let again = request.try_clone();
        let token = self.tokens.get(&self.access, None).await?;
        let answer = self.access.hear(request.bearer_auth(token.expose())).await?;
        match again {
            Some(again) if answer.status == StatusCode::UNAUTHORIZED => {
                let token = self.tokens.get(&self.access, Some(&token)).await?;
                self.access.hear(again.bearer_auth(token.expose())).await
            }
            Some(_) | None => Ok(answer),
        }
    }
}

/// A refusal under one key may be repeated under it for hours: once the
/// customer has approved anew, after a decline, they are asked for under another.
fn capture_key(payment: &Payment, order: &Order) -> String {
    let approved = match &payment.status {
        PaymentStatus::Failed { tries, .. } => order.update_time.clone().unwrap_or_else(|| tries.to_string()),
        PaymentStatus::Pending { .. }
        | PaymentStatus::Expired { .. }
        | PaymentStatus::Unresolved { .. }
        | PaymentStatus::Paid(_) => String::new(),
    };
    let digits: String = approved.chars().filter(char::is_ascii_digit).collect();
    format!("{}c{digits}", payment.reference)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secrets::{KeySource, KeyStore};
    use billing::outcome::{Decline, Remedy};
    use billing::testing::checkout_payment;

    fn paypal(api: &str) -> PayPal {
        let http = crate::http_client::client().unwrap_or_else(|error| panic!("{error}"));
        let keys = KeySource::new(KeyStore::given("{}"));
        PayPal::new(Access { api: api.to_owned(), http, keys, callback: None })
    }

    fn priced(code: &str, url: Option<&str>) -> Payment {
        let currency = Currency::from_code(code).unwrap_or_else(|| panic!("{code}"));
        let mut payment = Payment { amount: Money::new(2_000, currency), ..checkout_payment() };
        if let Collection::Checkout { return_url, .. } = &mut payment.collection {
            *return_url = url.map(str::to_owned);
        }
        payment
    }

    #[test]
    fn only_paypals_own_live_address_is_live() {
        for (api, live) in [
            ("https://api-m.paypal.com", true),
            ("https://api-m.sandbox.paypal.com", false),
            ("https://api-m.paypal.com.evil.example", false),
            ("http://127.0.0.1:4010/paypal", false),
        ] {
            assert_eq!(paypal(api).live, live, "{api}");
        }
    }

    #[test]
    fn what_cannot_be_paid_is_refused_before_it_is_recorded() {
        let paypal = paypal("https://api-m.sandbox.paypal.com");
        let field = |payment: &Payment| match paypal.accepts(payment) {
            Err(GatewayError::Unacceptable { field, .. }) => Some(field),
            Ok(()) | Err(_) => None,
        };
        let url = Some("https://app.example.com/billing");
        assert_eq!(field(&priced("USD", url)), None);
        assert_eq!(field(&priced("USD", None)), Some("return_url"));
        assert_eq!(field(&priced("GEL", url)), Some("currency"));
        let mut by_transfer = priced("USD", url);
        if let Collection::Checkout { method, .. } = &mut by_transfer.collection {
            *method = CheckoutMethod::BankTransfer;
        }
        assert_eq!(field(&by_transfer), Some("method"));
        assert!(paypal.setup_amount(priced("EUR", url).amount.currency).is_ok_and(|amount| amount.minor == 0));
        assert!(paypal.setup_amount(priced("NGN", url).amount.currency).is_err());
    }

    #[test]
    fn an_approval_after_a_decline_is_captured_under_another_key() {
        let order = |updated: Option<&str>| Order { update_time: updated.map(str::to_owned), ..Order::default() };
        let first = checkout_payment();
        let decline = Decline::new("INSTRUMENT_DECLINED", Remedy::AskCustomer);
        let status = PaymentStatus::Failed { decline, check_at: None, tries: 3 };
        let failed = Payment { status, ..first.clone() };
        let key = |payment: &Payment, updated| {
            capture_key(payment, &order(updated)).split_off(payment.reference.as_str().len())
        };
        assert_eq!(key(&first, Some("2026-11-06T21:19:56Z")), "c");
        assert_eq!(key(&failed, Some("2026-11-06T21:19:56Z")), "c20261106211956");
        assert_eq!(key(&failed, None), "c3");
    }
}
