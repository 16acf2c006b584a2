//! A simulator, the adapters that talk to it, and what may be done at the
//! gateways by others than us.

use super::payments::{checkout, known, opened_as, settled};
use super::signing;
use billing::outcome::{Outcome, Receipt, Sighting};
use billing::payment::{Gateway, Payment};
use billing::ports::{GatewayError, Gateways};
use billing::wallet::Method;
use gateway_simulator::{Options, Simulator};
use platform::gateways::Clients;
use platform::secrets::KeyStore;
use serde_json::{Value, json};
use std::time::Duration;

pub(crate) const STRIPE_KEY: &str = "sk_test_simulator_stripe";
pub(crate) const STRIPE_VERSION: &str = "2026-10-28.endive";
const PAYSTACK_KEY: &str = "sk_test_simulator_paystack";
pub(crate) const FLITT_MERCHANT: &str = "1549901";
pub(crate) const PAYPAL_CLIENT: &str = "client_simulator_paypal";
const PAYPAL_SECRET: &str = "secret_simulator_paypal";

/// Where PayPal keeps the certificate that its simulator signs with, and whom it comes from.
pub(crate) const PAYPAL_CERTIFICATE: &str =
    "https://api.sandbox.paypal.com/v1/notifications/certs/CERT-5117a7e0-70e57000-c0ffee01";
pub(crate) const PAYPAL_CHAIN: &str = include_str!("../../gateway-simulator/testdata/paypal/chain.pem");
pub(crate) const PAYPAL_ROOT: &str = include_str!("../../gateway-simulator/testdata/paypal/root.pem");

/// Not on this machine: the simulator takes its own setting instead.
pub(crate) const CALLBACK: &str = "https://billing.example/webhooks/flitt";

#[derive(Debug)]
pub(crate) struct Desk {
    pub(crate) gateway: Gateway,
    pub(crate) simulator: Simulator,
    pub(crate) clients: Clients,
    pub(crate) http: reqwest::Client,
}

/// What a gateway signs its deliveries with: of PayPal, the id of what they are sent to.
pub(crate) const fn secret(gateway: Gateway) -> &'static str {
    match gateway {
        Gateway::Stripe => "whsec_simulator_stripe",
        Gateway::Paystack => PAYSTACK_KEY,
        Gateway::Flitt => "key_simulator_flitt",
        Gateway::PayPal => "WH-SIMULATOR-PAYPAL",
    }
}

/// The keys of a gateway whose deliveries any of `secrets` may have signed, as a secret spells them.
pub(crate) fn keys(gateway: Gateway, secrets: &[&str]) -> Value {
    match gateway {
        Gateway::Stripe => json!({"secret_key": STRIPE_KEY, "webhook_secrets": secrets}),
        Gateway::Paystack => json!({"secret_key": PAYSTACK_KEY, "webhook_secrets": secrets}),
        Gateway::Flitt => json!({"merchant_id": FLITT_MERCHANT, "payment_keys": secrets}),
        Gateway::PayPal => json!({
            "client_id": PAYPAL_CLIENT, "client_secret": PAYPAL_SECRET, "webhook_ids": secrets,
            "certificates": {PAYPAL_CERTIFICATE: PAYPAL_CHAIN}, "roots": [PAYPAL_ROOT],
        }),
    }
}

/// The adapters: of each gateway the one whose API is at that path of `url`.
pub(crate) fn clients(url: &str, http: &reqwest::Client) -> Clients {
    let with = |clients: Clients, gateway: Gateway| {
        let (api, keys) = (format!("{url}/{}", gateway.as_str()), keys(gateway, &[secret(gateway)]));
        clients.with(gateway, &api, http.clone(), KeyStore::given(keys), Some(CALLBACK.to_owned()))
    };
    Gateway::ALL.into_iter().fold(Clients::default(), with)
}

pub(crate) fn http() -> reqwest::Client {
    platform::http_client::client().expect("a client")
}

impl Desk {
    pub(crate) async fn open(gateway: Gateway) -> Self {
        let webhook_retries = [20, 40, 80].map(Duration::from_millis).to_vec();
        let options = Options { webhook_retries, ..Options::default() };
        let simulator = Simulator::start(options).await.expect("a simulator");
        let http = http();
        let clients = clients(simulator.url(), &http);
        Self { gateway, simulator, clients, http }
    }

    pub(crate) fn admin(&self, command: &str, body: &Value) {
        self.simulator.admin(command, body).expect("an accepted order");
    }

    /// Changes the settings of the gateway.
    pub(crate) fn configure(&self, settings: &Value) {
        self.admin("configure", &json!({ self.gateway.as_str(): settings }));
    }

    /// The next request of that kind meets `fault`.
    pub(crate) fn fault(&self, on: &str, fault: &Value) {
        self.admin("faults", &json!({"gateway": self.gateway.as_str(), "on": on, "fault": fault}));
    }

    pub(crate) async fn opened(&self) -> Payment {
        self.open_page(checkout(self.gateway)).await
    }

    pub(crate) async fn open_page(&self, payment: Payment) -> Payment {
        let opened = self.clients.open(&payment).await.expect("opened");
        opened_as(payment, opened)
    }

    pub(crate) async fn found(&self, payment: &Payment) -> Outcome {
        known(self.clients.find(payment, None).await.expect("an answer"))
    }

    /// What became of a charge of ours, asked as the workflows ask: by looking,
    /// and of whom that cannot tell by sending the same request again.
    pub(crate) async fn became(&self, payment: &Payment) -> Result<Outcome, GatewayError> {
        match self.clients.find(payment, None).await? {
            Sighting::Known(outcome) => Ok(outcome),
            Sighting::CannotTell => self.clients.charge(payment).await,
            Sighting::NeverHeard => panic!("the gateway never heard of {}", payment.id),
        }
    }

    /// A page that was paid, and of which we know.
    pub(crate) async fn settled(&self) -> Payment {
        let payment = self.paid().await;
        let receipt = super::payments::receipt(self.found(&payment).await);
        settled(payment, receipt)
    }

    /// The method that a customer left by paying.
    pub(crate) async fn saved(&self) -> Method {
        self.saved_by(&self.paid().await).await
    }

    pub(crate) async fn saved_by(&self, payment: &Payment) -> Method {
        let outcome = self.found(payment).await;
        let Outcome::Succeeded { method: Some(method), .. } = outcome else { panic!("no method: {outcome:?}") };
        method
    }

    /// The customer, or the bank, takes a method away from us. Flitt's end after three years, and not before.
    pub(crate) async fn take_away(&self, method: &Method) {
        let token = &method.token;
        match self.gateway {
            Gateway::Stripe => _ = self.post(&format!("/v1/payment_methods/{token}/detach"), &json!({})).await,
            Gateway::Paystack => {
                let body = json!({ "authorization_code": token });
                self.post("/customer/authorization/deactivate", &body).await;
            }
            Gateway::Flitt => self.admin("clock", &json!({"advance_seconds": 3 * 366 * 86_400})),
            Gateway::PayPal => self.admin("paypal/remove-token", &json!({ "token": token })),
        }
    }

    /// Someone gives money back on the gateway's own pages.
    pub(crate) async fn refund_by_hand(&self, payment: &Payment, receipt: &Receipt, minor: i64) {
        let id = &receipt.id;
        match self.gateway {
            Gateway::Stripe => _ = self.post("/v1/refunds", &json!({"payment_intent": id, "amount": minor})).await,
            Gateway::Paystack => _ = self.post("/refund", &json!({"transaction": id, "amount": minor})).await,
            Gateway::Flitt => {
                let currency = payment.amount.currency;
                let body = json!({"order_id": payment.reference, "amount": minor.to_string(), "currency": currency});
                self.post("/api/reverse/order_id", &body).await;
            }
            Gateway::PayPal => {
                let value = format!("{}.{:02}", minor / 100, minor % 100);
                let amount = json!({"currency_code": payment.amount.currency, "value": value});
                self.post(&format!("/v2/payments/captures/{id}/refund"), &json!({ "amount": amount })).await;
            }
        }
        self.admin("clock", &json!({"advance_seconds": 10}));
    }

    /// The customer's bank takes a payment up, or decides: `open`, `won`, `lost`.
    pub(crate) fn dispute(&self, payment: &Payment, outcome: &str) {
        let order = json!({"gateway": self.gateway.as_str(), "reference": payment.reference, "outcome": outcome});
        self.admin("dispute", &order);
    }

    /// What the simulator's own books say was taken under the payment's reference.
    pub(crate) fn charges(&self, payment: &Payment) -> Vec<Value> {
        let mut charges = self.books("charges", payment);
        charges.retain(|charge| charge["status"] == "succeeded");
        charges
    }

    pub(crate) fn refunds(&self, payment: &Payment) -> Vec<Value> {
        self.books("refunds", payment)
    }

    pub(crate) fn books(&self, part: &str, payment: &Payment) -> Vec<Value> {
        let books = self.simulator.books();
        let lines = books[part].as_array().cloned().unwrap_or_default();
        lines.into_iter().filter(|line| line["reference"] == payment.reference.as_str()).collect()
    }

    /// Posts to the gateway's own API, with the merchant's keys and in its format.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Value {
        let request = self.http.post(self.url(path));
        let request = match self.gateway {
            Gateway::Stripe => {
                let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                let fields: Vec<_> =
                    body.as_object().into_iter().flatten().map(|(name, value)| (name, text(value))).collect();
                self.authorized(request).await.form(&fields)
            }
            Gateway::Flitt => request.json(&json!({ "request": signing::flitt_request(body) })),
            Gateway::Paystack | Gateway::PayPal => self.authorized(request).await.json(body),
        };
        let answer = request.send().await.expect("an answer");
        let status = answer.status();
        let said: Value = answer.json().await.unwrap_or_default();
        assert!(status.is_success(), "{path}: {status} {said}");
        assert_ne!(said["response"]["response_status"], "failure", "{path}: {said}");
        said
    }

    /// What the gateway's own API shows.
    pub(crate) async fn look(&self, path: &str) -> Value {
        let request = self.authorized(self.http.get(self.url(path))).await;
        request.send().await.expect("an answer").json().await.expect("JSON")
    }

    fn url(&self, path: &str) -> String {
        format!("{}/{}{path}", self.simulator.url(), self.gateway.as_str())
    }

    async fn authorized(&self, request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
        match self.gateway {
            Gateway::Stripe => request.bearer_auth(STRIPE_KEY).header("stripe-version", STRIPE_VERSION),
            Gateway::Paystack => request.bearer_auth(PAYSTACK_KEY),
            Gateway::Flitt => request,
            Gateway::PayPal => {
                let grant = self.http.post(self.url("/v1/oauth2/token")).basic_auth(PAYPAL_CLIENT, Some(PAYPAL_SECRET));
                let granted = grant.form(&[("grant_type", "client_credentials")]).send().await.expect("an answer");
                let granted: Value = granted.json().await.expect("JSON");
                request.bearer_auth(granted["access_token"].as_str().expect("a token"))
            }
        }
    }
}
