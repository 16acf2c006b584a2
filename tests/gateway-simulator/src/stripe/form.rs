//! Stripe's request bodies: forms with bracketed names, checked as strictly as Stripe checks them.

use super::refusal::{Refusal, Result};
use crate::pages;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

const MOST_FIELDS: usize = 500;

/// `line_items[0][price_data][currency]` → its value. `a[]` is counted into `a[0]`, `a[1]`, …
#[derive(Debug, Default)]
pub(super) struct Params(BTreeMap<String, String>);

impl Params {
    pub(super) fn parse(text: &str) -> Result<Self> {
        let fields = pages::fields(text).filter(|fields| fields.len() <= MOST_FIELDS);
        let Some(fields) = fields else {
            return Err(Refusal::invalid("Invalid request: the form could not be decoded.", None, None));
        };
        let mut params = BTreeMap::new();
        for (name, value) in fields {
            let name = match name.strip_suffix("[]") {
                Some(list) => {
                    let next = (0..=MOST_FIELDS).find(|n| !params.contains_key(&format!("{list}[{n}]")));
                    format!("{list}[{}]", next.unwrap_or_default())
                }
                None => name,
            };
            params.insert(name, value);
        }
        Ok(Self(params))
    }

    /// Refuses every parameter that is not named here. `*` stands for any name between brackets.
    pub(super) fn allow(&self, allowed: &[&str]) -> Result<()> {
        for name in self.0.keys() {
            if segments(name).first() == Some(&"payment_method_types") {
                return Err(Refusal::invalid(
                    "The `payment_method_types` parameter is no longer supported. Use `allowed_payment_method_types`, \
                     `excluded_payment_method_types` or dynamic payment methods.",
                    Some("payment_method_types"),
                    Some("payment_method_types_no_longer_supported"),
                ));
            }
            if !allowed.iter().any(|pattern| fits(name, pattern)) {
                let message = format!("Received unknown parameter: {name}");
                return Err(Refusal::invalid(&message, Some(name), Some("parameter_unknown")));
            }
        }
        Ok(())
    }

    /// The parameter, if it was sent and is not empty.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Also when it is empty, which takes a value away.
    pub(super) fn sent(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    pub(super) fn owned(&self, name: &str) -> Option<String> {
        self.text(name).map(str::to_owned)
    }

    pub(super) fn any(&self, prefix: &str) -> bool {
        self.0.keys().any(|name| name == prefix || name.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('[')))
    }

    pub(super) fn required(&self, name: &str) -> Result<&str> {
        match self.0.get(name).map(String::as_str) {
            Some("") => {
                let message = format!(
                    "You passed an empty string for '{name}'. We assume empty values are an attempt to unset a \
                     parameter; however '{name}' cannot be unset. You should remove '{name}' from your request or \
                     supply a non-empty value."
                );
                Err(Refusal::invalid(&message, Some(name), Some("parameter_invalid_empty")))
            }
            Some(value) => Ok(value),
            None => {
                let message = format!("Missing required param: {name}.");
                Err(Refusal::invalid(&message, Some(name), Some("parameter_missing")))
            }
        }
    }

    pub(super) fn integer(&self, name: &str) -> Result<Option<i64>> {
        let Some(value) = self.text(name) else { return Ok(None) };
        let digits = value.strip_prefix('-').unwrap_or(value);
        match value.parse() {
            Ok(number) if digits.bytes().all(|byte| byte.is_ascii_digit()) => Ok(Some(number)),
            _ => {
                let message = format!("Invalid integer: {value}");
                Err(Refusal::invalid(&message, Some(name), Some("parameter_invalid_integer")))
            }
        }
    }

    pub(super) fn boolean(&self, name: &str) -> Result<bool> {
        match self.text(name) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(value) => Err(Refusal::invalid(&format!("Invalid boolean: {value}"), Some(name), None)),
        }
    }

    pub(super) fn one_of(&self, name: &str, words: &[&str]) -> Result<Option<String>> {
        let Some(value) = self.text(name) else { return Ok(None) };
        if words.contains(&value) {
            return Ok(Some(value.to_owned()));
        }
        Err(Refusal::invalid(&format!("Invalid {name}: must be one of {}", words.join(", ")), Some(name), None))
    }

    pub(super) fn web_address(&self, name: &str) -> Result<Option<String>> {
        let Some(value) = self.text(name) else { return Ok(None) };
        if pages::is_web_address(value) {
            return Ok(Some(value.to_owned()));
        }
        Err(Refusal::invalid("Not a valid URL", Some(name), Some("url_invalid")))
    }

    /// `name[0]`, `name[1]`, … in order.
    pub(super) fn list(&self, name: &str) -> Vec<&str> {
        (0..MOST_FIELDS).map_while(|n| self.sent(&format!("{name}[{n}]"))).collect()
    }

    /// `name[key]=value`, within Stripe's limits, merged into what was there: an empty value removes a key.
    pub(super) fn metadata(&self, name: &str, before: &Map<String, Value>) -> Result<Map<String, Value>> {
        let mut metadata = before.clone();
        if self.sent(name) == Some("") {
            metadata.clear();
        }
        for (full, value) in &self.0 {
            let Some(key) = full.strip_prefix(name).and_then(|rest| rest.strip_prefix('[')?.strip_suffix(']')) else {
                continue;
            };
            if key.chars().count() > 40 {
                let message = format!("Invalid metadata key: '{key}'. Keys can be at most 40 characters.");
                return Err(Refusal::invalid(&message, Some(full), None));
            }
            if value.chars().count() > 500 {
                let message = format!("Metadata values can have up to 500 characters, but '{key}' has more.");
                return Err(Refusal::invalid(&message, Some(full), None));
            }
            if value.is_empty() {
                metadata.remove(key);
            } else {
                metadata.insert(key.to_owned(), Value::String(value.clone()));
            }
        }
        if metadata.len() > 50 {
            return Err(Refusal::invalid("Metadata can have up to 50 keys.", Some(name), None));
        }
        Ok(metadata)
    }

    /// The same for the same parameters, in whatever order they were sent.
    pub(super) fn canonical(&self) -> String {
        self.0.iter().map(|(name, value)| format!("{}={}&", pages::encode(name), pages::encode(value))).collect()
    }
}

fn segments(name: &str) -> Vec<&str> {
    name.split('[').map(|part| part.strip_suffix(']').unwrap_or(part)).collect()
}

fn fits(name: &str, pattern: &str) -> bool {
    let (name, pattern) = (segments(name), segments(pattern));
    name.len() == pattern.len() && name.iter().zip(pattern).all(|(part, wanted)| wanted == "*" || *part == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_parameters_are_refused_at_every_depth() {
        let params = Params::parse("a%5B0%5D%5Bb%5D=1&metadata[x]=2&expand[]=y&expand[]=z").expect("a form");
        assert!(params.allow(&["a[*][b]", "metadata[*]", "expand[*]"]).is_ok());
        assert!(params.allow(&["a[*][c]", "metadata[*]", "expand[*]"]).is_err());
        assert_eq!(params.list("expand"), ["y", "z"]);
    }

    #[test]
    fn integers_have_no_signs_points_or_spaces() {
        let params = Params::parse("a=%2B5&b=5.0&c=5+&d=50").expect("a form");
        assert!(params.integer("a").is_err() && params.integer("b").is_err() && params.integer("c").is_err());
        assert_eq!(params.integer("d").ok().flatten(), Some(50));
    }
}
