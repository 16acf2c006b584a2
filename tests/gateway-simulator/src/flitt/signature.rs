//! The signature that every body carries.

use serde_json::{Map, Value};
use sha1::{Digest, Sha1};

/// Neither is signed: the signature itself, and what test mode says about it.
const UNSIGNED: [&str; 2] = ["signature", "response_signature_string"];

pub(super) const SEPARATOR: char = '|';

/// The key and every value that is not empty, sorted by name. None when a value has no text that could be signed.
pub(super) fn source(key: &str, fields: &Map<String, Value>) -> Option<String> {
    let mut signed: Vec<(&str, String)> = Vec::new();
    for (name, value) in fields.iter().filter(|(name, _)| !UNSIGNED.contains(&name.as_str())) {
        match value {
            Value::Null => {}
            Value::String(text) => signed.push((name, text.clone())),
            Value::Number(number) => signed.push((name, number.to_string())),
            Value::Bool(_) | Value::Array(_) | Value::Object(_) => return None,
        }
    }
    signed.sort();
    let mut source = key.to_owned();
    for (_, value) in signed.iter().filter(|(_, value)| !value.is_empty()) {
        source.push(SEPARATOR);
        source.push_str(value);
    }
    Some(source)
}

/// Lower-case hex.
pub(super) fn of(source: &str) -> String {
    data_encoding::HEXLOWER.encode(&Sha1::digest(source))
}

/// Protocol 2.0 signs the encoded order as one text.
pub(super) fn of_data(key: &str, data: &str) -> String {
    of(&format!("{key}{SEPARATOR}{data}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Signatures that Flitt's servers and several of its client libraries agree on.
    #[test]
    fn bodies_are_signed_as_in_the_vectors() {
        let vectors: Vec<Value> = serde_json::from_str(include_str!("../../testdata/flitt.json")).expect("JSON");
        let mut genuine = 0;
        for vector in &vectors {
            let key = vector["key"].as_str().expect("a key");
            let fields = vector["fields"].as_object().expect("fields");
            let source = source(key, fields).expect("a text");
            if let Some(expected) = vector["source"].as_str() {
                assert_eq!(source, expected, "{}", vector["id"]);
            }
            let matches = vector["signature"] == of(&source);
            assert_eq!(matches, vector["genuine"] == true, "{}", vector["id"]);
            genuine += usize::from(matches);
        }
        assert_eq!((vectors.len(), genuine), (7, 5));
    }

    #[test]
    fn what_has_no_text_cannot_be_signed() {
        for value in [serde_json::json!({}), serde_json::json!([]), serde_json::json!(true)] {
            let fields = Map::from_iter([("recurring_data".to_owned(), value)]);
            assert_eq!(source("key", &fields), None);
        }
    }
}
