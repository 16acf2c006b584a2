//! A simulator, the adapters that talk to it, and a customer with cards.

use crate::samples;
use billing::outcome::{Outcome, Receipt};
use billing::payment::{Address, CheckoutMethod, Collection, Gateway, Opened, Payer, Payment, PaymentStatus};
use billing::ports::Gateways;
use billing::subscription::Subscription;
use billing::testing::order;
use billing::wallet::Method;
use gateway_simulator::{Options, Simulator};
use platform::config::Secret;
use platform::gateways::{Clients, KeySource, Keys};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

pub(crate) const STRIPE_KEY: &str = "sk_test_simulator_stripe";
pub(crate) const STRIPE_WEBHOOK_SECRET: &str = "whsec_simulator_stripe";
pub(crate) const STRIPE_VERSION: &str = "2026-10-28.endive";
pub(crate) const PAYSTACK_KEY: &str = "sk_test_simulator_paystack";

#[derive(Debug)]
pub(crate) struct Desk {
    pub(crate) gateway: Gateway,
    pub(crate) simulator: Simulator,
    pub(crate) clients: Clients,
    http: reqwest::Client,
}

/// A test card, by what it does.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Card {
    Pays,
    Declines,
    /// A refund to it takes a while.
    RefundsPend,
    /// A refund to it fails after a while.
    RefundsFail,
}

/// The adapters, with each gateway's API at an address of its own.
pub(crate) fn clients(stripe: &str, paystack: &str, http: &reqwest::Client) -> Clients {
    let given = |secret_key, webhook_secret| {
        let webhook_secrets = vec![Secret::new(webhook_secret)];
        KeySource::Given(Arc::new(Keys { secret_key: Secret::new(secret_key), webhook_secrets }))
    };
    Clients::default().with(Gateway::Stripe, stripe, http.clone(), given(STRIPE_KEY, STRIPE_WEBHOOK_SECRET)).with(
        Gateway::Paystack,
        paystack,
        http.clone(),
        given(PAYSTACK_KEY, PAYSTACK_KEY),
    )
}

pub(crate) fn http() -> reqwest::Client {
    platform::http_client::client().expect("a client")
}

/// A checkout on the gateway's page.
pub(crate) fn checkout(gateway: Gateway) -> Payment {
    checkout_with(gateway, CheckoutMethod::Checkout)
}

pub(crate) fn checkout_with(gateway: Gateway, method: CheckoutMethod) -> Payment {
    let of = samples::customer("acme");
    let waiting = Subscription::ordering(None, &of, order("estates-professional"), samples::now()).expect("an order");
    let payer = Payer { email: Some("Billing@acme.example".to_owned()), known_as: None };
    let with = (payer, method, Some("https://app.example/back?tab=billing".to_owned()));
    waiting.checkout(gateway, with, samples::now()).expect("a checkout").1
}

/// The `attempt`th charge of `method` for a renewal.
pub(crate) fn renewal(method: &Method, attempt: u32) -> Payment {
    let payment = samples::payment(&samples::customer("acme"), 1, 1, attempt);
    Payment { gateway: method.gateway, collection: Collection::OffSession { method: method.clone() }, ..payment }
}

/// `payment` as it is when what was taken must go back.
pub(crate) fn owed_back(payment: Payment, receipt: Receipt) -> Payment {
    Payment { status: PaymentStatus::RefundDue { receipt, check_at: samples::now(), tries: 0 }, ..payment }
}

pub(crate) fn opened_as(mut payment: Payment, address: Opened) -> Payment {
    if let Collection::Checkout { opened, .. } = &mut payment.collection {
        *opened = Some(address);
    }
    payment
}

/// The receipt of a success.
pub(crate) fn receipt(outcome: Option<Outcome>) -> Receipt {
    match outcome {
        Some(Outcome::Succeeded { receipt, .. }) => receipt,
        other => panic!("not a success: {other:?}"),
    }
}

impl Desk {
    pub(crate) async fn open(gateway: Gateway) -> Self {
        let webhook_retries = [20, 40, 80].map(Duration::from_millis).to_vec();
        let options = Options { webhook_retries, ..Options::default() };
        let simulator = Simulator::start(options).await.expect("a simulator");
        let http = http();
        let clients = clients(&simulator.stripe(), &simulator.paystack(), &http);
        Self { gateway, simulator, clients, http }
    }

    pub(crate) fn admin(&self, command: &str, body: &Value) {
        self.simulator.admin(command, body).expect("an accepted order");
    }

    /// The next requests of that kind meet `fault`.
    pub(crate) fn fault(&self, on: &str, fault: &Value, times: u32) {
        let order = json!({"gateway": self.gateway.as_str(), "on": on, "fault": fault, "times": times});
        self.admin("faults", &order);
    }

    pub(crate) async fn opened(&self) -> Payment {
        let payment = checkout(self.gateway);
        let opened = self.clients.open(&payment).await.expect("opened");
        opened_as(payment, opened)
    }

    pub(crate) async fn paid(&self) -> Payment {
        let payment = self.opened().await;
        assert!(self.visit(&payment, Card::Pays).await.is_ok());
        payment
    }

    /// The customer fills in the page; where it sends them, or the status that says why not.
    pub(crate) async fn visit(&self, payment: &Payment, card: Card) -> Result<String, u16> {
        let address = match payment.opened().map(|opened| &opened.at) {
            Some(Address::CheckoutUrl(url)) => url.clone(),
            Some(Address::ClientSecret(secret)) => format!("{}/elements/{secret}", self.simulator.stripe()),
            None => panic!("nothing to visit"),
        };
        let form = [("action", "pay"), ("card", self.card(card))];
        let answer = self.http.post(address).form(&form).send().await.expect("a page");
        match answer.status().as_u16() {
            200 | 303 => {
                let location = answer.headers().get("location").and_then(|value| value.to_str().ok());
                Ok(location.unwrap_or_default().to_owned())
            }
            refused => Err(refused),
        }
    }

    fn card(&self, card: Card) -> &'static str {
        match (self.gateway, card) {
            (Gateway::Stripe, Card::Pays) => "4242424242424242",
            (Gateway::Stripe, Card::Declines) => "4000000000009995",
            (Gateway::Stripe, Card::RefundsPend) => "4000000000007726",
            (Gateway::Stripe, Card::RefundsFail) => "4000000000005126",
            (Gateway::Paystack, Card::Pays | Card::RefundsPend) => "4084084084084081",
            (Gateway::Paystack, Card::Declines) => "4084080000670037",
            (Gateway::Paystack, Card::RefundsFail) => "4084080000671803",
        }
    }

    /// The card that a customer left by paying.
    pub(crate) async fn saved(&self) -> Method {
        self.saved_by(&self.paid().await).await
    }

    pub(crate) async fn saved_by(&self, payment: &Payment) -> Method {
        match self.clients.find(payment).await.expect("an answer") {
            Some(Outcome::Succeeded { method: Some(method), .. }) => method,
            other => panic!("no method was left: {other:?}"),
        }
    }

    /// The customer takes their card back.
    pub(crate) async fn take_away(&self, method: &Method) {
        let request = match self.gateway {
            Gateway::Stripe => {
                let url = format!("{}/v1/payment_methods/{}/detach", self.simulator.stripe(), method.token);
                self.http.post(url).bearer_auth(STRIPE_KEY).header("stripe-version", STRIPE_VERSION)
            }
            Gateway::Paystack => {
                let url = format!("{}/customer/authorization/deactivate", self.simulator.paystack());
                let body = json!({"authorization_code": method.token});
                self.http.post(url).bearer_auth(PAYSTACK_KEY).json(&body)
            }
        };
        assert!(request.send().await.expect("an answer").status().is_success());
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

    fn books(&self, part: &str, payment: &Payment) -> Vec<Value> {
        let books = self.simulator.books();
        let lines = books[part].as_array().cloned().unwrap_or_default();
        lines.into_iter().filter(|line| line["reference"] == payment.reference.as_str()).collect()
    }

    /// What the gateway's own API answers.
    pub(crate) async fn look(&self, path: &str) -> Value {
        let (api, key) = match self.gateway {
            Gateway::Stripe => (self.simulator.stripe(), STRIPE_KEY),
            Gateway::Paystack => (self.simulator.paystack(), PAYSTACK_KEY),
        };
        let request = self.http.get(format!("{api}{path}")).bearer_auth(key);
        let answer = request.header("stripe-version", STRIPE_VERSION).send().await.expect("an answer");
        answer.json().await.expect("JSON")
    }
}
