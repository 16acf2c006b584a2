//! A file of cases: read, run, and what came of it.

use crate::agree::{disagreement, is_compared};
use crate::ops;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fmt;

/// A file that was read and is of the form. What a case says is read when it is run, so that one that cannot be
/// read fails alone.
#[derive(Debug, Deserialize)]
pub(crate) struct Cases {
    cases: Vec<Value>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Case {
    id: String,
    /// The operation is among it, as `op`.
    input: Map<String, Value>,
    expected: Map<String, Value>,
    /// Which of the rules is meant where peers differ.
    #[serde(default)]
    policy: Option<String>,
    /// Where it comes from.
    #[serde(default)]
    source: Value,
}

impl Cases {
    pub(crate) fn parse(text: &str) -> Result<Self, Unreadable> {
        read(&mut serde_json::Deserializer::from_str(text))
    }

    pub(crate) fn run(&self) -> Report {
        let mut report = Report::default();
        for (number, value) in self.cases.iter().enumerate() {
            match Case::read(value) {
                Ok(case) => case.run(&mut report),
                Err(unreadable) => {
                    let named = value.get("id").and_then(Value::as_str).map(str::to_owned);
                    let id = named.unwrap_or_else(|| format!("cases[{number}]"));
                    report.failed.push(Failure { id, problem: unreadable.to_string() });
                }
            }
        }
        report
    }
}

impl Case {
    fn read(value: &Value) -> Result<Self, Unreadable> {
        let case: Self = read(value)?;
        let needs = |at: &str, problem: &str| Unreadable { at: at.to_owned(), problem: problem.to_owned() };
        if !case.input.get("op").is_some_and(Value::is_string) {
            return Err(needs("input.op", "an operation is named by a text"));
        }
        if !case.expected.keys().any(|field| is_compared(field)) {
            return Err(needs("expected", "a case that expects nothing cannot fail"));
        }
        Ok(case)
    }

    fn run(&self, report: &mut Report) {
        match ops::find(self.op()).map(|op| op(self)) {
            Err(reason) | Ok(Err(Refusal { why: Why::Untold(reason), .. })) => {
                *report.skipped.entry((self.op().to_owned(), reason)).or_default() += 1;
            }
            Ok(answer) => match disagreement(&self.expected, &answer) {
                None => report.passed += 1,
                Some(problem) => {
                    report.failed.push(Failure { id: self.id.clone(), problem: format!("{}: {problem}", self.op()) });
                }
            },
        }
    }

    fn op(&self) -> &str {
        self.input.get("op").and_then(Value::as_str).unwrap_or_default()
    }

    /// The input as the operation reads it. Refused with the name of the field that cannot be read.
    pub(crate) fn input<T: DeserializeOwned>(&self) -> Result<T, Refusal> {
        read(Value::Object(self.input.clone()))
            .map_err(|Unreadable { at, problem }| Refusal { why: Why::Unreadable, ..Refusal::of(&at, problem) })
    }

    /// Whether the rule that is meant is told with these words.
    pub(crate) fn policy_says(&self, words: &str) -> bool {
        self.policy.as_ref().is_some_and(|policy| policy.to_lowercase().contains(&words.to_lowercase()))
    }

    /// Whether the answer is to tell this; what it is expected to be is for no operation to see.
    pub(crate) fn asks_for(&self, field: &str) -> bool {
        self.expected.contains_key(field)
    }

    /// Whether the ways of this system are meant: by its name, or because the case was taken from it.
    pub(crate) fn is_from(&self, peer: &str) -> bool {
        let named = |told: &Value| told.as_str().is_some_and(|told| told.to_lowercase().contains(peer));
        self.policy_says(&format!("{peer}-like"))
            || ["repo", "url"].iter().filter_map(|at| self.source.get(at)).any(named)
    }
}

/// Why an operation has no answer: the field of the input, and what is wrong with it.
#[derive(Debug)]
pub(crate) struct Refusal {
    field: String,
    problem: String,
    why: Why,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    /// The input is not of the form: never what a case expects.
    Unreadable,
    /// The domain has no answer, and says so by this name if by any.
    Refused(Option<&'static str>),
    /// The case does not say what its expected answer follows from: it is skipped for it.
    Untold(&'static str),
}

impl Refusal {
    pub(crate) fn of(field: &str, problem: impl fmt::Display) -> Self {
        Self { field: field.to_owned(), problem: problem.to_string(), why: Why::Refused(None) }
    }

    /// As the domain's error is called.
    pub(crate) fn named(field: &str, name: &'static str, problem: impl fmt::Display) -> Self {
        Self { why: Why::Refused(Some(name)), ..Self::of(field, problem) }
    }

    pub(crate) fn untold(reason: &'static str) -> Self {
        Self { why: Why::Untold(reason), ..Self::of("", reason) }
    }

    /// Whether it is the error that a case expects by `name`.
    pub(crate) fn is_called(&self, name: &str) -> bool {
        match self.why {
            Why::Refused(called) => called.is_none_or(|called| called == name),
            Why::Unreadable | Why::Untold(_) => false,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.field.as_str() {
            "" => write!(f, "input: {}", self.problem),
            field => write!(f, "input.{field}: {}", self.problem),
        }
    }
}

/// Why something cannot be read: where in it, and what is wrong there.
#[derive(Debug)]
pub(crate) struct Unreadable {
    at: String,
    problem: String,
}

fn read<'de, T: Deserialize<'de>>(from: impl Deserializer<'de, Error = serde_json::Error>) -> Result<T, Unreadable> {
    serde_path_to_error::deserialize(from).map_err(|error| {
        let at = error.path().to_string();
        Unreadable { at: if at == "." { String::new() } else { at }, problem: error.inner().to_string() }
    })
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.at.as_str() {
            "" => f.write_str(&self.problem),
            at => write!(f, "{at}: {}", self.problem),
        }
    }
}

/// What came of a file.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) passed: usize,
    pub(crate) failed: Vec<Failure>,
    /// By operation and reason: how many cases.
    pub(crate) skipped: BTreeMap<(String, &'static str), usize>,
}

#[derive(Debug)]
pub(crate) struct Failure {
    id: String,
    problem: String,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Failure { id, problem } in &self.failed {
            writeln!(f, "{id} {problem}")?;
        }
        for ((op, reason), count) in &self.skipped {
            writeln!(f, "skipped {op} ({count}): {reason}")?;
        }
        let skipped: usize = self.skipped.values().sum();
        write!(f, "{} passed, {} failed, {skipped} skipped", self.passed, self.failed.len())
    }
}
