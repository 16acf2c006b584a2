//! Deliveries that were signed, and forged, by others: see `vectors.json`.

use billing::payment::Gateway;
use data_encoding::BASE64;
use http::{HeaderMap, HeaderName};
use jiff::Timestamp;
use platform::config::Secret;
use platform::gateways::{Clients, KeySource, Keys, Received, WebhookError};
use serde_json::Value;
use std::sync::Arc;

fn texts(value: &Value) -> Vec<String> {
    let texts = value.as_array().expect("a list").iter().map(|text| text.as_str().expect("text").to_owned());
    texts.collect()
}

#[tokio::test]
async fn every_vector_is_accepted_or_refused_as_the_vendor_would() {
    let vectors: Value = serde_json::from_str(include_str!("../vectors.json")).expect("JSON");
    let entries = vectors["entries"].as_array().expect("entries");
    for entry in entries {
        let named = |it: &Gateway| entry["gateway"] == it.as_str();
        let gateway = Gateway::ALL.into_iter().find(named).expect("one of ours");
        let webhook_secrets = texts(&entry["secrets"]).into_iter().map(Secret::new).collect();
        let keys = Keys { secret_key: Secret::new("sk_test_1"), webhook_secrets };
        let clients = Clients::default().with(gateway, "http://127.0.0.1:9", super::desk::http(), given(keys));
        let mut headers = HeaderMap::new();
        for (name, value) in entry["headers"].as_object().expect("headers") {
            let name: HeaderName = name.parse().expect("a name");
            headers.insert(name, value.as_str().and_then(|value| value.parse().ok()).expect("a value"));
        }
        let body = BASE64.decode(entry["body_b64"].as_str().expect("text").as_bytes()).expect("base64");
        let at = Timestamp::from_second(entry["now"].as_i64().expect("seconds")).expect("a time");
        let answer = clients.receive(gateway, &Received { headers: &headers, body: &body, at }).await;
        let id = &entry["id"];
        match (entry["expected"].as_str(), answer) {
            (Some("accept"), Ok(notice)) => assert_eq!(notice.id.gateway, gateway),
            (Some("reject"), Err(WebhookError::Unsigned | WebhookError::Forged | WebhookError::Stale)) => {}
            (_, answer) => panic!("{id}: {answer:?}"),
        }
    }
    assert_eq!(entries.len(), 13);
}

fn given(keys: Keys) -> KeySource {
    KeySource::Given(Arc::new(keys))
}
