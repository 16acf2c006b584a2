//! A message to Flitt or from it: named values, each as the text that is signed.
//!
//! A number is kept as it was printed (`1.0` is not `1`), a string as it was
//! meant (`\u10d0` is `ა`). What is null is as good as empty, and what is empty
//! is as good as absent.

use data_encoding::BASE64;
use serde::de::{DeserializeOwned, Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::{RawValue, Value};
use std::collections::BTreeMap;
use std::fmt;

#[derive(Clone, Serialize)]
#[serde(transparent)]
pub(in crate::gateways) struct Params(BTreeMap<String, String>);

#[derive(Debug, thiserror::Error)]
pub(in crate::gateways) enum BadMessage {
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    #[error(transparent)]
    Encoding(#[from] data_encoding::DecodeError),
    /// Flitt does not say how true, false, a list or an object is signed.
    #[error("a value is neither a string nor a number")]
    NoText,
    #[error("a name stands there twice")]
    Repeated,
}

impl Params {
    /// The members of an object, which may be in an envelope: `{"response": {…}}`.
    pub(in crate::gateways) fn from_json(json: &[u8]) -> Result<Self, BadMessage> {
        let Members(members) = Members::of(json)?;
        let texts = members.into_iter().map(|(name, value)| Ok((name, text(value)?)));
        texts.collect::<Result<_, _>>().map(Self)
    }

    /// The same of what we asked for ourselves: what is no text is not read, and should it be signed, the signature tells.
    pub(super) fn from_answer(json: &[u8]) -> Result<Self, BadMessage> {
        Members::of(json).map(Members::texts)
    }

    pub(in crate::gateways) fn from_form(form: &[u8]) -> Result<Self, BadMessage> {
        let mut params = BTreeMap::new();
        for (name, value) in form_urlencoded::parse(form) {
            if params.insert(name.into_owned(), value.into_owned()).is_some() {
                return Err(BadMessage::Repeated);
            }
        }
        Ok(Self(params))
    }

    /// What protocol 2.0 encodes. Signed as one text, it may hold more than texts: those are not read.
    pub(super) fn from_data(data: &str) -> Result<Self, BadMessage> {
        #[derive(Deserialize)]
        struct Encoded<'a> {
            #[serde(borrow)]
            order: Members<'a>,
        }
        let json = BASE64.decode(data.as_bytes())?;
        let Encoded { order } = serde_json::from_slice(&json)?;
        Ok(order.texts())
    }

    /// None: absent, or empty.
    pub(in crate::gateways) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// In the order of the names, byte by byte.
    pub(in crate::gateways) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    #[must_use]
    pub(super) fn with(mut self, name: &str, value: String) -> Self {
        self.0.insert(name.to_owned(), value);
        self
    }

    /// As the fields of `T`.
    pub(super) fn read<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        let texts = self.iter().filter(|(_, value)| !value.is_empty());
        serde_json::from_value(texts.map(|(name, value)| (name, Value::from(value))).collect())
    }
}

impl FromIterator<(&'static str, String)> for Params {
    fn from_iter<I: IntoIterator<Item = (&'static str, String)>>(params: I) -> Self {
        Self(params.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    }
}

fn text(value: &RawValue) -> Result<String, BadMessage> {
    let printed = value.get();
    match printed.as_bytes() {
        [b'"', ..] => Ok(serde_json::from_str(printed)?),
        [b'-' | b'0'..=b'9', ..] => Ok(printed.to_owned()),
        b"null" => Ok(String::new()),
        _ => Err(BadMessage::NoText),
    }
}

/// The members of a JSON object as they were printed. A name that stands there
/// twice would be signed as one thing and read as another: it is refused.
struct Members<'a>(BTreeMap<String, &'a RawValue>);

impl<'a> Members<'a> {
    fn of(json: &'a [u8]) -> Result<Self, BadMessage> {
        let Self(members) = serde_json::from_slice(json)?;
        match (members.get("response"), members.len()) {
            (Some(inner), 1) if inner.get().starts_with('{') => Ok(serde_json::from_str(inner.get())?),
            _ => Ok(Self(members)),
        }
    }

    fn texts(self) -> Params {
        Params(self.0.into_iter().filter_map(|(name, value)| Some((name, text(value).ok()?))).collect())
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Reader;

        impl<'de> Visitor<'de> for Reader {
            type Value = BTreeMap<String, &'de RawValue>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = BTreeMap::new();
                while let Some((name, value)) = map.next_entry::<String, &RawValue>()? {
                    if members.insert(name, value).is_some() {
                        return Err(A::Error::custom(BadMessage::Repeated));
                    }
                }
                Ok(members)
            }
        }

        from.deserialize_map(Reader).map(Members)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(json: &str) -> Result<Vec<(String, String)>, BadMessage> {
        let params = Params::from_json(json.as_bytes())?;
        Ok(params.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }

    #[test]
    fn numbers_stay_as_they_were_printed_and_strings_as_they_were_meant() {
        let cases = [
            ("1000", "1000"),
            ("1.0", "1.0"),
            ("1e3", "1e3"),
            ("-0", "-0"),
            ("123456789012345678901234567890", "123456789012345678901234567890"),
            (r#""1.0""#, "1.0"),
            (r#""\u10d0\n\ud83d\ude00""#, "ა\n😀"),
            (r#""{\"settlement_fee\": 0.0}""#, r#"{"settlement_fee": 0.0}"#),
            ("null", ""),
        ];
        for (printed, expected) in cases {
            let read = texts(&format!(r#"{{"a": {printed} }}"#)).unwrap_or_else(|error| panic!("{printed}: {error}"));
            assert_eq!(read, [("a".to_owned(), expected.to_owned())]);
        }
    }

    #[test]
    fn what_has_no_text_or_two_is_refused() {
        let deep = format!(r#"{{"a":{}{}}}"#, "[".repeat(10_000), "]".repeat(10_000));
        for json in [
            r#"{"a":true}"#,
            r#"{"a":{}}"#,
            r#"{"a":[1]}"#,
            r#"{"a":1,"a":1}"#,
            r#"{"a":null,"\u0061":1}"#,
            r#"{"response":{"a":1,"a":2}}"#,
            r#"{"response":{"a":1},"a":2}"#,
            r#"{"response":{"response":{"a":1}}}"#,
            r#"{"a":"\ud800"}"#,
            r#"{"a":01}"#,
            r#"[{"a":1}]"#,
            "\u{feff}{}",
            "",
            &deep,
        ] {
            assert!(texts(json).is_err(), "{}", &json[..json.len().min(40)]);
        }
        assert!(Params::from_json(b"{\"a\":\"\xff\"}").is_err());
        assert!(Params::from_form(b"a=1&a=1").is_err());
    }

    #[test]
    fn an_envelope_and_a_form_hold_the_same() {
        let flat = texts(r#"{"b":"x y","a":1}"#).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(texts(r#" {"response": {"a": 1, "b": "x y"}} "#).ok(), Some(flat.clone()));
        let form = Params::from_form(b"b=x+y&a=1").unwrap_or_else(|error| panic!("{error}"));
        assert!(form.iter().eq(flat.iter().map(|(name, value)| (name.as_str(), value.as_str()))));
    }
}
