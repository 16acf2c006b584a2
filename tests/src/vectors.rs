//! Files of test vectors: deliveries and requests with the answer that the
//! vendor's own rules give, held against the answer of our adapters. The form is
//! explained by the `readme` of `contracts/vectors.json`.

mod answers;

use data_encoding::BASE64;
use jiff::Timestamp;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::fmt;

/// A file that was read and is of the form.
#[derive(Debug, Deserialize)]
pub struct Vectors {
    pub entries: Vec<Entry>,
    /// What is behind each address that a certificate may be fetched from, as PEM.
    #[serde(default, rename = "paypal_certs", alias = "certs")]
    certificates: BTreeMap<String, String>,
    /// Whom to believe instead of the public roots, by name.
    #[serde(default, rename = "paypal_trust", alias = "trust")]
    trust: BTreeMap<String, Trust>,
}

#[derive(Debug, Deserialize)]
pub struct Entry {
    pub id: String,
    pub gateway: String,
    kind: String,
    #[serde(default)]
    secrets: Vec<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// The very bytes. Where there are none, `body` has them.
    #[serde(default, deserialize_with = "base64")]
    body_b64: Option<Vec<u8>>,
    body: Option<String>,
    now: Option<i64>,
    expected: String,
    #[serde(default)]
    severity: String,
    #[serde(default)]
    note: String,
    context: Option<Context>,
    /// What a request says, in its very spelling; by protocol 2.0 of Flitt, what stands for all of that.
    params: Option<Box<RawValue>>,
    data: Option<String>,
    expected_signature: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Context {
    webhook_id: Option<String>,
    merchant_id: Option<Value>,
    trust: Option<String>,
    env: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
struct Trust {
    roots: Vec<String>,
    #[serde(default)]
    intermediates: Vec<String>,
}

impl Vectors {
    pub fn parse(text: &str) -> Result<Self, NotOfTheForm> {
        let vectors: Self = serde_path_to_error::deserialize(&mut serde_json::Deserializer::from_str(text))
            .map_err(|error| NotOfTheForm { at: error.path().to_string(), problem: error.inner().to_string() })?;
        for (number, entry) in vectors.entries.iter().enumerate() {
            if let Err((field, problem)) = vectors.is_of_the_form(entry) {
                return Err(NotOfTheForm { at: format!("entries[{number}].{field}"), problem: problem.to_owned() });
            }
        }
        Ok(vectors)
    }

    /// Whether `entry` has what its kind cannot do without. Of a kind that
    /// nobody knows nothing can be asked: it fails when it is run.
    fn is_of_the_form(&self, entry: &Entry) -> Result<(), (&'static str, &'static str)> {
        let there = |is: bool, field| if is { Ok(()) } else { Err((field, "missing")) };
        match entry.kind.as_str() {
            "webhook" => {
                there(entry.bytes().is_some(), "body_b64")?;
                // The signatures of the other two do not age.
                there(entry.at().is_some() || ["paystack", "flitt"].contains(&entry.gateway.as_str()), "now")?;
                let trust = entry.context().and_then(|context| context.trust.as_ref());
                let known = trust.is_none_or(|name| self.trust.contains_key(name));
                if known { Ok(()) } else { Err(("context.trust", "the file has no trust of this name")) }
            }
            "request_sign" | "request_sign_v2" => {
                there(!entry.secrets.is_empty(), "secrets")?;
                there(entry.expected_signature.is_some(), "expected_signature")?;
                match entry.kind == "request_sign" {
                    true => there(entry.params.is_some(), "params"),
                    false => there(entry.data().is_some(), "data"),
                }
            }
            _ => Ok(()),
        }
    }

    /// Runs every entry.
    pub fn check(&self) -> Report {
        let mut report = Report::default();
        for entry in &self.entries {
            match self.agrees(entry) {
                Ok(()) => report.passed += 1,
                Err(got) => report.failed.push(entry.disagrees(got)),
            }
        }
        report
    }
}

impl Entry {
    fn bytes(&self) -> Option<&[u8]> {
        self.body_b64.as_deref().or(self.body.as_deref().map(str::as_bytes))
    }

    fn at(&self) -> Option<Timestamp> {
        self.now.and_then(|seconds| Timestamp::from_second(seconds).ok())
    }

    fn context(&self) -> Option<&Context> {
        self.context.as_ref()
    }

    fn is_live(&self) -> bool {
        matches!(self.context().and_then(|context| context.env.as_deref()), Some("live" | "production"))
    }

    /// By itself, or among what the request says.
    fn data(&self) -> Option<String> {
        #[derive(Deserialize)]
        struct Encoded {
            data: String,
        }
        let among = || serde_json::from_str(self.params.as_ref()?.get()).ok().map(|params: Encoded| params.data);
        self.data.clone().or_else(among)
    }

    fn disagrees(&self, got: String) -> Disagreement {
        let [id, severity, note] = [&self.id, &self.severity, &self.note].map(String::clone);
        let expected = match &self.expected_signature {
            Some(signature) => format!("{} {signature}", self.expected),
            None => self.expected.clone(),
        };
        Disagreement { id, expected, got, severity, note }
    }
}

fn base64<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Vec<u8>>, D::Error> {
    let text: Option<String> = Option::deserialize(from)?;
    text.map(|text| BASE64.decode(text.as_bytes()).map_err(|_| serde::de::Error::custom("not base64"))).transpose()
}

/// Why a file cannot be run: where in it, and what is wrong there.
#[derive(Debug)]
pub struct NotOfTheForm {
    at: String,
    problem: String,
}

impl fmt::Display for NotOfTheForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.at, self.problem)
    }
}

/// What came of a file.
#[derive(Debug, Default)]
pub struct Report {
    pub passed: usize,
    pub failed: Vec<Disagreement>,
}

/// An entry to which our answer is another than it expects.
#[derive(Debug)]
pub struct Disagreement {
    pub id: String,
    pub got: String,
    expected: String,
    severity: String,
    note: String,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Disagreement { id, expected, got, severity, note } in &self.failed {
            writeln!(f, "{id}: expected {expected}, got {got} [{severity}] {note}")?;
        }
        write!(f, "{} passed, {} failed", self.passed, self.failed.len())
    }
}
