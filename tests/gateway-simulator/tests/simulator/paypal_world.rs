//! Someone who talks to the simulated PayPal with an access token of their own.

use crate::world::{Answer, World, read, world};
use serde_json::{Value, json};

pub(crate) const CLIENT: (&str, &str) = ("client_simulator_paypal", "secret_simulator_paypal");

#[derive(Debug)]
pub(crate) struct Paypal {
    pub(crate) world: World,
    pub(crate) token: String,
}

pub(crate) async fn paypal() -> Paypal {
    with(json!({})).await
}

/// With settings for `/admin/configure`.
pub(crate) async fn with(settings: Value) -> Paypal {
    let world = world().await;
    world.admin("configure", json!({ "paypal": settings }));
    let mut paypal = Paypal { world, token: String::new() };
    paypal.log_in().await;
    paypal
}

/// The address of the link with this relation.
pub(crate) fn link(value: &Value, relation: &str) -> Value {
    let links = value["links"].as_array().map(Vec::as_slice).unwrap_or_default();
    links.iter().find(|link| link["rel"] == relation).map(|link| link["href"].clone()).unwrap_or_default()
}

pub(crate) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

pub(crate) fn issue(answer: &Answer) -> (u16, &str) {
    (answer.status, text(&answer.json["details"][0]["issue"]))
}

pub(crate) fn usd(value: &str) -> Value {
    json!({"currency_code": "USD", "value": value})
}

/// An order of USD 13.99 with PayPal as its source.
pub(crate) fn order(reference: &str) -> Value {
    json!({
        "intent": "CAPTURE",
        "purchase_units": [{"custom_id": reference, "description": "Team, monthly", "amount": usd("13.99")}],
        "payment_source": {"paypal": {"experience_context": {
            "return_url": "https://app.example/paid?x=1", "cancel_url": "https://app.example/cancelled",
            "user_action": "PAY_NOW", "shipping_preference": "NO_SHIPPING",
        }}},
    })
}

/// The same, saving the wallet.
pub(crate) fn saving(reference: &str) -> Value {
    let mut order = order(reference);
    order["payment_source"]["paypal"]["attributes"]["vault"] =
        json!({"store_in_vault": "ON_SUCCESS", "usage_type": "MERCHANT", "usage_pattern": "SUBSCRIPTION_PREPAID"});
    order
}

/// A charge of a saved method by the merchant.
pub(crate) fn renewal(reference: &str, kind: &str, vault_id: &str) -> Value {
    json!({
        "intent": "CAPTURE", "purchase_units": [{"custom_id": reference, "amount": usd("13.99")}],
        "payment_source": {kind: {"vault_id": vault_id, "stored_credential": {
            "payment_initiator": "MERCHANT", "usage_pattern": "RECURRING_PREPAID", "usage": "SUBSEQUENT",
        }}},
    })
}

impl Paypal {
    fn url(&self, path: &str) -> String {
        format!("{}/{path}", self.world.simulator.paypal())
    }

    pub(crate) async fn ask_token(&self, client: (&str, &str), form: &[(&str, &str)]) -> Answer {
        let request = self.world.client.post(self.url("v1/oauth2/token")).form(form);
        read(request.basic_auth(client.0, Some(client.1))).await.expect("an answer")
    }

    pub(crate) async fn log_in(&mut self) {
        let granted = self.ask_token(CLIENT, &[("grant_type", "client_credentials")]).await.ok();
        text(&granted["access_token"]).clone_into(&mut self.token);
    }

    /// Time passes, and access tokens with it.
    pub(crate) async fn wait(&mut self, seconds: i64) {
        self.world.admin("clock", json!({"advance_seconds": seconds}));
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        self.log_in().await;
    }

    pub(crate) fn request(&self, path: &str, id: &str, body: &Value) -> reqwest::RequestBuilder {
        let request = self.world.client.post(self.url(path)).bearer_auth(&self.token).json(body);
        request.header("paypal-request-id", id).header("prefer", "return=representation")
    }

    pub(crate) async fn post(&self, path: &str, id: &str, body: &Value) -> Answer {
        read(self.request(path, id, body)).await.expect("an answer")
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        read(self.world.client.get(self.url(path)).bearer_auth(&self.token)).await.expect("an answer")
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        read(self.world.client.delete(self.url(path)).bearer_auth(&self.token)).await.expect("an answer")
    }

    /// What a buyer does on the approval page.
    pub(crate) async fn page(&self, url: &Value, action: &str, funding: &str) -> Answer {
        let form = [("action", action), ("buyer", "ada@personal.example"), ("funding", funding)];
        read(self.world.client.post(text(url)).form(&form)).await.expect("an answer")
    }

    /// An order that its buyer approved: its id.
    pub(crate) async fn approved(&self, body: &Value, funding: &str) -> String {
        let reference = text(&body["purchase_units"][0]["custom_id"]);
        let created = self.post("v2/checkout/orders", reference, body).await;
        assert_eq!(created.status, 200, "{}", created.text);
        assert_eq!(self.page(&link(&created.json, "payer-action"), "pay", funding).await.status, 303);
        text(&created.json["id"]).to_owned()
    }

    pub(crate) async fn capture(&self, order: &str, id: &str) -> Answer {
        self.post(&format!("v2/checkout/orders/{order}/capture"), id, &json!({})).await
    }

    /// An order that was paid: itself and its capture.
    pub(crate) async fn paid(&self, body: &Value, funding: &str) -> (Value, Value) {
        let order = self.approved(body, funding).await;
        let captured = self.capture(&order, &order).await;
        assert_eq!(captured.status, 201, "{}", captured.text);
        let capture = captured.json["purchase_units"][0]["payments"]["captures"][0].clone();
        (captured.json, capture)
    }

    pub(crate) async fn show_capture(&self, capture: &Value) -> Value {
        self.get(&format!("v2/payments/captures/{}", text(&capture["id"]))).await.ok()
    }

    /// The types of the events that were announced, in their order.
    pub(crate) fn events(&self) -> Vec<String> {
        let books = self.world.simulator.books();
        let deliveries = books["deliveries"].as_array().cloned().unwrap_or_default();
        deliveries.iter().map(|delivery| text(&delivery["event"]).to_owned()).collect()
    }
}
