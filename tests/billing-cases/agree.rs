//! Whether an answer is what was expected.

use crate::cases::Refusal;
use crate::ops::Answer;
use billing::ratio::Ratio;
use serde_json::{Map, Value};

/// What is told of the way to the answer, for people: no part of it.
const EXPLANATIONS: [&str; 1] = ["formula"];

/// How `answer` differs from `expected`, field by field. None: not at all.
///
/// All that is expected has to be answered; an answer may tell more. A case
/// that expects an `error` is answered by a refusal: of that name if it has one, or any where none is told (`true`).
pub(crate) fn disagreement(expected: &Map<String, Value>, answer: &Answer) -> Option<String> {
    let answer = match (answer, expected.get("error")) {
        (Err(_), Some(Value::Bool(true))) => return None,
        (Err(refusal), Some(Value::String(name))) if refusal.is_called(name) => return None,
        (Err(refusal), _) => return Some(refused(expected, refusal)),
        (Ok(answer), _) => answer,
    };
    let problems: Vec<String> = expected
        .iter()
        .filter(|(field, _)| is_compared(field))
        .filter_map(|(field, expected)| match answer.get(field) {
            None => Some(format!("{field}: expected {expected}, got nothing")),
            Some(got) if field_agrees(field, expected, got) => None,
            Some(got) => Some(format!("{field}: expected {expected}, got {got}")),
        })
        .collect();
    (!problems.is_empty()).then(|| problems.join("; "))
}

pub(crate) fn is_compared(field: &str) -> bool {
    !EXPLANATIONS.contains(&field)
}

fn refused(expected: &Map<String, Value>, refusal: &Refusal) -> String {
    format!("expected {}, got a refusal: {refusal}", Value::Object(expected.clone()))
}

/// What is exceeded agrees in any order: it is told by name, and a file's own order of names is not kept when it is read.
fn field_agrees(field: &str, expected: &Value, got: &Value) -> bool {
    match (field, expected, got) {
        ("exceeds", Value::Array(expected), Value::Array(got)) => agree_in_any_order(expected, got),
        _ => agree(expected, got),
    }
}

/// Numbers agree by value, however they are written; the rest by what it says.
fn agree(expected: &Value, got: &Value) -> bool {
    match (expected, got) {
        (Value::Object(expected), Value::Object(got)) => {
            let agreed = |field: &String, expected| got.get(field).is_some_and(|got| agree(expected, got));
            expected.len() == got.len() && expected.iter().all(|(field, expected)| agreed(field, expected))
        }
        (Value::Array(expected), Value::Array(got)) => {
            expected.len() == got.len() && expected.iter().zip(got).all(|(expected, got)| agree(expected, got))
        }
        (
            Value::Object(_) | Value::Array(_) | Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_),
            _,
        ) => expected == got || number(expected).is_some_and(|expected| number(got) == Some(expected)),
    }
}

fn agree_in_any_order(expected: &[Value], got: &[Value]) -> bool {
    let mut left: Vec<&Value> = got.iter().collect();
    expected.len() == got.len()
        && expected.iter().all(|expected| {
            let found = left.iter().position(|got| agree(expected, got));
            found.map(|found| left.swap_remove(found)).is_some()
        })
}

fn number(value: &Value) -> Option<Ratio> {
    match value {
        Value::String(text) => text.parse().ok(),
        Value::Number(number) => number.to_string().parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn disagrees(expected: &Value, answer: Value) -> Option<String> {
        let expected = expected.as_object().cloned().unwrap_or_default();
        disagreement(&expected, &Ok(answer))
    }

    #[test]
    fn numbers_agree_by_value_and_words_by_letter() {
        let agree = [
            (json!({ "a": "0.50" }), json!({ "a": "0.5", "more": 1 })),
            (json!({ "a": 5 }), json!({ "a": "5.00" })),
            (json!({ "a": ["x", { "b": null }] }), json!({ "a": ["x", { "b": null }] })),
            (json!({ "a": 1, "formula": "1/1" }), json!({ "a": 1 })),
            (json!({ "exceeds": [{ "b": 1 }, { "b": 2 }] }), json!({ "exceeds": [{ "b": 2 }, { "b": 1 }] })),
        ];
        for (expected, answer) in agree {
            assert_eq!(disagrees(&expected, answer), None, "{expected}");
        }
        let differ = [
            (json!({ "a": "0.5" }), json!({ "a": "0.500000001" })),
            (json!({ "a": 0 }), json!({ "a": null })),
            (json!({ "a": 0 }), json!({ "b": 0 })),
            (json!({ "a": "x" }), json!({ "a": "X" })),
            (json!({ "a": ["x"] }), json!({ "a": ["x", "y"] })),
            (json!({ "a": ["x", "y"] }), json!({ "a": ["y", "x"] })),
            (json!({ "a": [{ "b": 1 }, { "b": 2 }] }), json!({ "a": [{ "b": 2 }, { "b": 1 }] })),
            (json!({ "exceeds": [{ "b": 1 }, { "b": 1 }] }), json!({ "exceeds": [{ "b": 1 }, { "b": 2 }] })),
            (json!({ "exceeds": [{ "b": 1 }] }), json!({ "exceeds": [{ "b": 1 }, { "b": 1 }] })),
            (json!({ "a": { "b": 1 } }), json!({ "a": { "b": 1, "c": 1 } })),
            (json!({ "a": true }), json!({ "a": "true" })),
        ];
        for (expected, answer) in differ {
            assert!(disagrees(&expected, answer).is_some(), "{expected}");
        }
    }

    #[test]
    fn an_error_is_answered_by_a_refusal_alone() {
        let expected = json!({ "error": "no such day" }).as_object().cloned().unwrap_or_default();
        assert_eq!(disagreement(&expected, &Err(Refusal::of("day", "32 is not a day"))), None);
        assert!(disagreement(&expected, &Ok(json!({ "date": "2025-01-31" }))).is_some());
        let named = Refusal::named("day", "not_a_day", "32 is not a day");
        assert!(disagreement(&expected, &Err(named)).is_some());
        let any = json!({ "error": true }).as_object().cloned().unwrap_or_default();
        assert_eq!(disagreement(&any, &Err(Refusal::of("day", "32 is not a day"))), None);
        let date = json!({ "date": "2025-01-31" }).as_object().cloned().unwrap_or_default();
        let told = disagreement(&date, &Err(Refusal::of("day", "32 is not a day"))).unwrap_or_default();
        assert!(told.contains("input.day: 32 is not a day"), "{told}");
    }
}
