//! A file of cases: read, run, and what came of it.

use crate::agree::{disagreement, is_compared};
use crate::fields::Fields;
use crate::ops::{self, Answer};
use crate::policy::{self, Rules};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::fmt;

/// A file that was read and is of the form. What a case says is read when it is run, so that one that cannot be
/// read fails alone.
#[derive(Debug, Deserialize)]
pub(crate) struct Cases {
    cases: Vec<Value>,
}

/// A case as it is written.
#[derive(Debug, Deserialize)]
struct Written {
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

/// What an operation is told of a case; what is expected of it is for none to see.
#[derive(Debug)]
pub(crate) struct Case<'a> {
    input: &'a Map<String, Value>,
    rules: Rules,
    read: Fields,
}

impl Cases {
    pub(crate) fn parse(text: &str) -> Result<Self, Unreadable> {
        read(&mut serde_json::Deserializer::from_str(text))
    }

    pub(crate) fn run(&self) -> Report {
        let mut report = Report::default();
        for (number, value) in self.cases.iter().enumerate() {
            match Written::read(value) {
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

impl Written {
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
        let name = self.input.get("op").and_then(Value::as_str).unwrap_or_default();
        let mut skip = |what: String, reason| *report.skipped.entry((what, reason)).or_default() += 1;
        let op = match ops::find(name) {
            Ok(op) => op,
            Err(reason) => return skip(name.to_owned(), reason),
        };
        let Some(rules) = policy::meant(self.policy.as_deref(), &self.source, name) else {
            return skip(format!("{name} by `{}`", self.policy.as_deref().unwrap_or_default()), policy::UNKNOWN);
        };
        let case = Case { input: &self.input, rules, read: Fields::default() };
        let answer = op(&case);
        match self.judge(name, &case, &answer) {
            Verdict::Passed => report.passed += 1,
            Verdict::Untold(reason) => skip(name.to_owned(), reason),
            Verdict::Failed(problem) => {
                report.failed.push(Failure { id: self.id.clone(), problem: format!("{name}: {problem}") });
            }
        }
    }

    fn judge(&self, op: &str, case: &Case, answer: &Answer) -> Verdict {
        if let Some(unknown) = case.unknown_field(op) {
            return Verdict::Failed(unknown.to_string());
        }
        let verdict = |problem: Option<String>| problem.map_or(Verdict::Passed, Verdict::Failed);
        let Err(Refusal { why: Why::Untold { reason, rest }, .. }) = answer else {
            return verdict(disagreement(&self.expected, answer));
        };
        let compared = self.expected.clone().into_iter().filter(|(field, _)| is_compared(field));
        let (told, untold): (Map<_, _>, Map<_, _>) = compared.partition(|(field, _)| rest.get(field).is_some());
        match disagreement(&told, &Ok(Value::clone(rest))) {
            None if !untold.is_empty() => Verdict::Untold(reason),
            problem => verdict(problem),
        }
    }
}

enum Verdict {
    Passed,
    Failed(String),
    /// What is expected does not follow from what the case says, or not all of it; what does is as expected.
    Untold(&'static str),
}

impl Case<'_> {
    /// The input as the operation reads it. Refused with the name of the field that cannot be read.
    pub(crate) fn input<T: DeserializeOwned>(&self) -> Result<T, Refusal> {
        read(self.read.noted(Value::Object(self.input.clone())))
            .map_err(|Unreadable { at, problem }| Refusal { why: Why::Unreadable, ..Refusal::of(&at, problem) })
    }

    /// Two parts of it. Both are read before either is refused: what neither has a place for is known then.
    pub(crate) fn inputs<T: DeserializeOwned, U: DeserializeOwned>(&self) -> Result<(T, U), Refusal> {
        let (one, other) = (self.input(), self.input());
        Ok((one?, other?))
    }

    /// Whose rules it is to be answered by.
    pub(crate) fn rules(&self) -> Rules {
        self.rules
    }

    /// What the input says and the operation `op` has not read: it would have been answered as if it were not there.
    fn unknown_field(&self, op: &str) -> Option<Refusal> {
        let is_known = |field: &str| field == "op" || self.read.has(field) || ops::is_information(op, field);
        let field = self.input.keys().find(|field| !is_known(field))?;
        let known: Vec<String> = self.read.names().iter().map(|name| format!("`{name}`")).collect();
        let expected = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        Some(Refusal::of(field, format!("unknown field, expected {expected}")))
    }
}

/// Why an operation has no answer: the field of the input, and what is wrong with it.
#[derive(Debug)]
pub(crate) struct Refusal {
    field: String,
    problem: String,
    why: Why,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Why {
    /// The input is not of the form: never what a case expects.
    Unreadable,
    /// The domain has no answer, and says so by this name if by any.
    Refused(Option<&'static str>),
    /// The case does not say what its expected answer follows from, but for the rest of it.
    Untold { reason: &'static str, rest: Box<Value> },
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
        Self::untold_beside(json!({}), reason)
    }

    /// Untold but for `rest`, which has to be as expected all the same.
    pub(crate) fn untold_beside(rest: Value, reason: &'static str) -> Self {
        Self { why: Why::Untold { reason, rest: rest.into() }, ..Self::of("", reason) }
    }

    /// Whether it is the error that a case expects by `name`.
    pub(crate) fn is_called(&self, name: &str) -> bool {
        match self.why {
            Why::Refused(called) => called.is_none_or(|called| called == name),
            Why::Unreadable | Why::Untold { .. } => false,
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

impl Report {
    /// Whether something was held against the domain, and all of it was as expected.
    pub(crate) fn is_good(&self) -> bool {
        self.passed > 0 && self.failed.is_empty()
    }
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
        write!(f, "{} passed, {} failed, {skipped} skipped", self.passed, self.failed.len())?;
        if self.passed == 0 && self.failed.is_empty() {
            write!(f, ": nothing was held against the domain")?;
        }
        Ok(())
    }
}
