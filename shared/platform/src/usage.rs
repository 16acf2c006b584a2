//! What was used of what is counted, as our API is told it, to uses; of many in one request each is answered by itself.

use crate::http::{Problem, Reply, has_card_number, json_within, object, only_object};
use crate::identity::Reporter;
use crate::{App, view};
use billing::entitlement::Standing;
use billing::id::{CustomerId, MeterId, UsageId};
use billing::ports::StoreError;
use billing::workflow::{NotCounted, Use};
use futures::{StreamExt, stream};
use jiff::Timestamp;
use lambda_http::Request;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::num::NonZeroU64;

/// As many as are counted within the time of one request, and what they may be in bytes.
const MOST_RECORDS: usize = 500;
const MOST_BYTES: usize = 256 * 1024;

/// How many customers' are under way at once.
const AT_ONCE: usize = 10;

/// The most that may be told at once: what every reader of JSON takes for the number that it is.
const MOST_AT_ONCE: u64 = (1 << 53) - 1;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Batch {
    records: Vec<Box<RawValue>>,
}

/// What tells a batch from a record.
#[derive(Deserialize)]
struct Glance {
    records: Option<IgnoredAny>,
    subject: Option<IgnoredAny>,
    #[serde(default)]
    id: Value,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UsageRequest {
    meter: MeterId,
    value: NonZeroU64,
    id: UsageId,
    at: Option<Timestamp>,
    /// Whose, said by a service; a customer reports their own.
    subject: Option<CustomerId>,
}

/// Whose it is, where that is said, and what was used.
type Asked = (Option<CustomerId>, Use);

/// Answers a report of one use, or of up to 500.
pub async fn report(app: &App, request: &Request) -> Result<Reply, Problem> {
    let reporter = app.reporter(request)?;
    let text = json_within(request, MOST_BYTES)?;
    if glance(text).is_none_or(|it| it.records.is_none()) {
        let (subject, used) = read(text)?;
        return one(app, &reporter, subject, used).await;
    }
    // Digits that could be a card's are looked for in each by itself: by chance, some id among hundreds has them.
    let Batch { records } = only_object(text)?;
    if !(1..=MOST_RECORDS).contains(&records.len()) {
        return Err(Problem::invalid("records", format!("are 1 to {MOST_RECORDS}")));
    }
    let records: Vec<&str> = records.iter().map(|record| record.get()).collect();
    let by_service = records.iter().any(|it| glance(it).is_some_and(|it| it.subject.is_some()));
    let ids: Vec<Value> = records.iter().map(|it| called(it)).collect();
    let asked: Vec<Result<Asked, Problem>> = records.into_iter().map(read).collect();
    let outcomes = each(app, &reporter, by_service, asked).await?;
    let refused = outcomes.iter().filter(|outcome| outcome.is_err()).count();
    let counts = json!({ "counted": outcomes.len() - refused, "refused": refused });
    let answer = |(id, outcome): (Value, Result<Standing, Problem>)| match outcome {
        Ok(standing) => json!({ "id": id, "outcome": "counted", "usage": view::standing(&standing) }),
        Err(problem) => json!({ "id": id, "outcome": "refused", "problem": problem.document(None) }),
    };
    let records: Vec<Value> = ids.into_iter().zip(outcomes).map(answer).collect();
    Ok(Reply::ok(json!({ "records": records, "counts": counts })))
}

/// Answers a report of one use.
pub async fn one(app: &App, by: &Reporter, subject: Option<CustomerId>, used: Use) -> Result<Reply, Problem> {
    let mut answers = told(app, &by.reports(subject)?, &[used]).await?;
    let standing = answers.pop().unwrap_or(Err(NotCounted::NoSubscription))?;
    Ok(Reply::ok(view::standing(&standing)))
}

/// That `value` may be counted at once.
pub fn countable(value: NonZeroU64) -> Result<NonZeroU64, Problem> {
    level(value.get()).map(|_| value)
}

/// That there may be `value` of something.
pub fn level(value: u64) -> Result<u64, Problem> {
    match value {
        ..=MOST_AT_ONCE => Ok(value),
        _ => Err(Problem::unreadable(format!("is at most {MOST_AT_ONCE}")).at("value")),
    }
}

/// What it speaks of, whatever else is wrong with it.
fn glance(record: &str) -> Option<Glance> {
    serde_json::from_str(record).ok()
}

/// What its reporter calls it, whatever else is wrong with it; what could be a card's number is not said again.
fn called(record: &str) -> Value {
    glance(record).filter(|_| !has_card_number(record.as_bytes())).map_or(Value::Null, |it| it.id)
}

fn read(record: &str) -> Result<Asked, Problem> {
    let UsageRequest { meter, value, id, at, subject } = object(record)?;
    Ok((subject, Use { meter, value: countable(value)?, id, at }))
}

async fn told(app: &App, customer: &CustomerId, uses: &[Use]) -> Result<Vec<Result<Standing, NotCounted>>, Problem> {
    app.billing.report(customer, uses).await.map_err(|error| match error {
        // Others were faster each time. The same again is what helps.
        StoreError::Conflict | StoreError::Duplicate => Problem::unavailable(error),
        StoreError::Unavailable(_) => error.into(),
    })
}

/// What becomes of each, in their order. One that names a customer makes it the report of a service, which names each.
async fn each(
    app: &App,
    by: &Reporter,
    by_service: bool,
    asked: Vec<Result<Asked, Problem>>,
) -> Result<Vec<Result<Standing, Problem>>, Problem> {
    let named = asked.iter().flatten().find_map(|(subject, _)| subject.clone());
    // Nobody's use that could be read is nobody's to allow.
    let caller = match asked.iter().any(Result::is_ok) {
        true if by_service && named.is_none() => None,
        true => Some(by.reports(named)?),
        false => None,
    };
    let mut uses: BTreeMap<CustomerId, (Vec<usize>, Vec<Use>)> = BTreeMap::new();
    let mut outcomes: BTreeMap<usize, Result<Standing, Problem>> = BTreeMap::new();
    for (n, asked) in asked.into_iter().enumerate() {
        let whose = |subject: Option<CustomerId>| match subject {
            Some(subject) => Ok(subject),
            None => {
                let own = caller.clone().filter(|_| !by_service);
                own.ok_or_else(|| Problem::unreadable("is missing: whose use is it?").at("subject"))
            }
        };
        match asked.and_then(|(subject, used)| Ok((whose(subject)?, used))) {
            Ok((customer, used)) => {
                let (places, theirs) = uses.entry(customer).or_default();
                places.push(n);
                theirs.push(used);
            }
            Err(problem) => drop(outcomes.insert(n, Err(problem))),
        }
    }
    let reports = stream::iter(uses).map(|(customer, (places, uses))| async move {
        let answers = told(app, &customer, &uses).await?.into_iter();
        Ok::<_, Problem>(places.into_iter().zip(answers.map(|it| it.map_err(Problem::from))).collect::<Vec<_>>())
    });
    let answers: Vec<_> = reports.buffer_unordered(AT_ONCE).collect().await;
    for answers in answers {
        outcomes.extend(answers?);
    }
    Ok(outcomes.into_values().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(record: &Value) -> Option<String> {
        match read(&record.to_string()) {
            Ok(read) => panic!("read: {read:?}"),
            Err(problem) => problem.field,
        }
    }

    #[test]
    fn s32_what_is_no_use_names_its_field() {
        let good = json!({"meter": "minutes", "value": 1, "id": "call-1"});
        assert!(read(&good.to_string()).is_ok());
        let with = |name: &str, value: Value| {
            let mut record = good.clone();
            record[name] = value;
            field(&record)
        };
        for value in [json!(0), json!(-1), json!(1.5), json!(1_u64 << 53), json!(1_u64 << 63), json!("1"), Value::Null]
        {
            assert_eq!(with("value", value.clone()).as_deref(), Some("value"), "{value}");
        }
        let cases = [
            ("meter", json!("Minutes")),
            ("id", json!("")),
            ("id", json!("a b")),
            ("id", json!("x".repeat(256))),
            ("at", json!("yesterday")),
            ("subject", json!("a#b")),
            ("amount", json!(5)),
        ];
        for (name, value) in cases {
            assert_eq!(with(name, value.clone()).as_deref(), Some(name), "{value}");
        }
        for name in ["meter", "value", "id"] {
            let mut record = good.clone();
            record.as_object_mut().map(|it| it.remove(name));
            assert_eq!(field(&record).as_deref(), Some(name));
        }
    }

    #[test]
    fn s62_a_use_is_an_object_that_says_each_thing_once() {
        let twice = r#"{"meter": "minutes", "value": 2, "id": "a", "value": 1}"#;
        assert_eq!(read(twice).map_err(|problem| problem.field).err(), Some(Some("value".to_owned())));
        for text in [r#"["minutes", 1, "a", null, null]"#, "null", "5", "", r#"{"meter": "minutes"} {}"#] {
            assert!(read(text).is_err_and(|problem| problem.status.as_u16() == 400), "{text}");
        }
    }

    #[test]
    fn s38_a_card_number_is_refused_in_the_record_that_has_it() {
        let card = r#"{"meter": "minutes", "value": 1, "id": "4242424242424242"}"#;
        assert!(read(card).is_err_and(|problem| problem.status.as_u16() == 400));
        let batch: Result<Batch, _> = only_object(&format!(r#"{{"records": [{card}, {{"value": 1}}]}}"#));
        assert_eq!(batch.map(|it| it.records.len()).ok(), Some(2));
    }
}
