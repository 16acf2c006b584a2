//! A simulator and someone who talks to it.

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use gateway_simulator::{Options, Simulator};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

pub(crate) const STRIPE_KEY: &str = "sk_test_simulator_stripe";
pub(crate) const PAYSTACK_KEY: &str = "sk_test_simulator_paystack";
const PIN: &str = "2026-10-28.endive";

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) text: String,
    pub(crate) json: Value,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The answer, which must be a good one.
    pub(crate) fn ok(self) -> Value {
        assert_eq!(self.status, 200, "{}", self.text);
        self.json
    }

    /// Status and Stripe's code.
    pub(crate) fn refused(&self) -> (u16, &str) {
        (self.status, self.json["error"]["code"].as_str().unwrap_or_default())
    }
}

#[derive(Debug)]
pub(crate) struct World {
    pub(crate) simulator: Simulator,
    pub(crate) client: reqwest::Client,
}

pub(crate) fn client() -> reqwest::Client {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("a TLS version")
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(Duration::from_secs(10))
        .build()
        .expect("a client")
}

pub(crate) async fn world() -> World {
    let webhook_retries = [20, 40, 60].map(Duration::from_millis).to_vec();
    world_with(Options { webhook_retries, ..Options::default() }).await
}

pub(crate) async fn world_with(options: Options) -> World {
    World { simulator: Simulator::start(options).await.expect("a simulator"), client: client() }
}

pub(crate) async fn read(request: reqwest::RequestBuilder) -> Result<Answer, reqwest::Error> {
    let response = request.send().await?;
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let text = response.text().await?;
    let json = serde_json::from_str(&text).unwrap_or_default();
    Ok(Answer { status, headers, text, json })
}

impl World {
    pub(crate) fn stripe_post(&self, path: &str, form: &[(&str, &str)]) -> reqwest::RequestBuilder {
        let request = self.client.post(format!("{}/v1/{path}", self.simulator.stripe()));
        request.bearer_auth(STRIPE_KEY).header("stripe-version", PIN).form(form)
    }

    pub(crate) async fn stripe(&self, path: &str, form: &[(&str, &str)]) -> Answer {
        read(self.stripe_post(path, form)).await.expect("an answer")
    }

    pub(crate) async fn keyed(&self, path: &str, key: &str, form: &[(&str, &str)]) -> Answer {
        read(self.stripe_post(path, form).header("idempotency-key", key)).await.expect("an answer")
    }

    pub(crate) async fn stripe_get(&self, path: &str) -> Answer {
        let request = self.client.get(format!("{}/v1/{path}", self.simulator.stripe()));
        read(request.bearer_auth(STRIPE_KEY).header("stripe-version", PIN)).await.expect("an answer")
    }

    pub(crate) fn paystack_post(&self, path: &str, body: &Value) -> reqwest::RequestBuilder {
        let request = self.client.post(format!("{}/{path}", self.simulator.paystack()));
        request.bearer_auth(PAYSTACK_KEY).json(body)
    }

    pub(crate) async fn paystack(&self, path: &str, body: Value) -> Answer {
        read(self.paystack_post(path, &body)).await.expect("an answer")
    }

    pub(crate) async fn paystack_get(&self, path: &str) -> Answer {
        let request = self.client.get(format!("{}/{path}", self.simulator.paystack()));
        read(request.bearer_auth(PAYSTACK_KEY)).await.expect("an answer")
    }

    pub(crate) async fn stripe_delete(&self, path: &str) -> Answer {
        let request = self.client.delete(format!("{}/v1/{path}", self.simulator.stripe()));
        read(request.bearer_auth(STRIPE_KEY).header("stripe-version", PIN)).await.expect("an answer")
    }

    /// The types of Stripe's events so far, oldest first.
    pub(crate) async fn stripe_events(&self) -> Vec<String> {
        let listed = self.stripe_get("events?limit=100").await.ok();
        let kinds = listed["data"].as_array().expect("rows").iter().rev();
        kinds.map(|event| event["type"].as_str().unwrap_or_default().to_owned()).collect()
    }

    pub(crate) async fn paystack_put(&self, path: &str, body: Value) -> Answer {
        let request = self.client.put(format!("{}/{path}", self.simulator.paystack()));
        read(request.bearer_auth(PAYSTACK_KEY).json(&body)).await.expect("an answer")
    }

    pub(crate) async fn paystack_delete(&self, path: &str) -> Answer {
        let request = self.client.delete(format!("{}/{path}", self.simulator.paystack()));
        read(request.bearer_auth(PAYSTACK_KEY)).await.expect("an answer")
    }

    /// Lets time pass, and do its work.
    pub(crate) async fn wait(&self, seconds: i64) {
        self.admin("clock", json!({"advance_seconds": seconds}));
        tokio::time::sleep(Duration::from_millis(300)).await;
    }

    /// What a person does on a payment page.
    pub(crate) async fn page(&self, url: &Value, action: &str, card: &str) -> Answer {
        let request = self.client.post(url.as_str().expect("an address")).form(&[("action", action), ("card", card)]);
        read(request).await.expect("an answer")
    }

    pub(crate) fn admin(&self, command: &str, body: Value) -> Value {
        self.simulator.admin(command, &body).expect("an accepted order")
    }

    pub(crate) fn fault(&self, gateway: &str, on: &str, fault: Value) {
        self.admin("faults", json!({"gateway": gateway, "on": on, "fault": fault}));
    }

    pub(crate) fn charges(&self) -> Vec<Value> {
        self.simulator.books()["charges"].as_array().cloned().unwrap_or_default()
    }

    /// A customer with a saved card.
    pub(crate) async fn saved(&self, token: &str) -> (String, String) {
        let customer = self.stripe("customers", &[("email", "billing@acme.example")]).await.ok();
        let customer = customer["id"].as_str().expect("an id").to_owned();
        let path = format!("payment_methods/{token}/attach");
        let method = self.stripe(&path, &[("customer", &customer)]).await.ok();
        (customer, method["id"].as_str().expect("an id").to_owned())
    }

    /// An off-session charge of USD 20.
    pub(crate) async fn renew(&self, saved: &(String, String), key: &str) -> Answer {
        read(self.renewal(saved, key)).await.expect("an answer")
    }

    pub(crate) fn renewal(&self, (customer, method): &(String, String), key: &str) -> reqwest::RequestBuilder {
        let form = [
            ("amount", "2000"),
            ("currency", "usd"),
            ("customer", customer.as_str()),
            ("payment_method", method.as_str()),
            ("off_session", "true"),
            ("confirm", "true"),
            ("metadata[reference]", key),
        ];
        self.stripe_post("payment_intents", &form).header("idempotency-key", key)
    }

    /// A Paystack transaction, paid with a card that can be charged again: its authorization code.
    pub(crate) async fn subscribed(&self, email: &str) -> String {
        let opened = json!({"email": email, "amount": 700_000, "currency": "NGN"});
        let opened = self.paystack("transaction/initialize", opened).await.ok();
        let paid = self.page(&opened["data"]["authorization_url"], "pay", "4084084084084081").await;
        assert_eq!(paid.status, 200);
        let path = format!("transaction/verify/{}", opened["data"]["reference"].as_str().expect("a reference"));
        let verified = self.paystack_get(&path).await.ok();
        verified["data"]["authorization"]["authorization_code"].as_str().expect("a code").to_owned()
    }
}

/// A merchant's webhook: keeps what it got and answers what it is told to, then 200.
#[derive(Debug, Clone, Default)]
pub(crate) struct Merchant {
    pub(crate) got: Arc<Mutex<Vec<(HeaderMap, String)>>>,
    answers: Arc<Mutex<Vec<u16>>>,
}

impl Merchant {
    /// Its address, too.
    pub(crate) async fn open(answers: &[u16]) -> (Self, String) {
        let merchant = Self { got: Arc::default(), answers: Arc::new(Mutex::new(answers.to_vec())) };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let app = Router::new().fallback(receive).with_state(merchant.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        (merchant, format!("http://{address}/webhooks"))
    }

    pub(crate) fn got(&self) -> Vec<(HeaderMap, String)> {
        self.got.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The types of the events that came, once there are so many.
    pub(crate) async fn events(&self, count: usize) -> Vec<String> {
        for _ in 0..2_000 {
            if self.got().len() >= count {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let events = self.got().into_iter().map(|(_, body)| {
            let body: Value = serde_json::from_str(&body).expect("JSON");
            body["type"].as_str().or(body["event"].as_str()).unwrap_or_default().to_owned()
        });
        events.collect()
    }
}

async fn receive(State(merchant): State<Merchant>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let body = String::from_utf8(body.to_vec()).expect("UTF-8");
    merchant.got.lock().unwrap_or_else(PoisonError::into_inner).push((headers, body));
    let mut answers = merchant.answers.lock().unwrap_or_else(PoisonError::into_inner);
    let answer = if answers.is_empty() { 200 } else { answers.remove(0) };
    StatusCode::from_u16(answer).expect("a status")
}
