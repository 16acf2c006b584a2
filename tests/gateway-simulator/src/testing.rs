//! The vectors of real signatures.

use data_encoding::BASE64;
use serde_json::Value;

pub(crate) struct Vector {
    pub(crate) id: String,
    pub(crate) secrets: Vec<String>,
    pub(crate) body: String,
    /// Whether the signature belongs to the body and one of the secrets, whatever its age.
    pub(crate) genuine: bool,
    headers: Value,
}

impl Vector {
    pub(crate) fn header(&self, name: &str) -> String {
        self.headers[name].as_str().unwrap_or_default().to_owned()
    }
}

/// Those with a signature, of one gateway.
pub(crate) fn vectors(gateway: &str) -> Vec<Vector> {
    let file: Vec<Value> = serde_json::from_str(include_str!("../testdata/webhooks.json")).expect("JSON");
    let signed = file
        .into_iter()
        .filter(|entry| entry["gateway"] == gateway && entry["headers"] != Value::Object(serde_json::Map::new()));
    signed
        .map(|entry| {
            let body = BASE64.decode(entry["body_b64"].as_str().expect("a body").as_bytes()).expect("base64");
            Vector {
                id: entry["id"].as_str().expect("an id").to_owned(),
                secrets: serde_json::from_value(entry["secrets"].clone()).expect("secrets"),
                body: String::from_utf8(body).expect("UTF-8"),
                genuine: entry["signature_is_genuine"].as_bool().expect("an answer"),
                headers: entry["headers"].clone(),
            }
        })
        .collect()
}
