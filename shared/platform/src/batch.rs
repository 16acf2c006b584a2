//! Many requests in one: the body of an admin route that does the same for many customers, and its answer. Each row is
//! done and answered by itself: what is wrong with one keeps no other back.

use crate::http::{Problem, Reply, parse};
use futures::{StreamExt, stream};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;

/// As many as are done within the time of one request.
const MOST_ROWS: usize = 100;

/// How many are under way at once: a row may wait for a gateway.
const AT_ONCE: usize = 10;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Batch {
    rows: Vec<Value>,
    /// Says what would come of it, and changes nothing.
    #[serde(default)]
    pub dry_run: bool,
}

/// What became of a row, in a word, and the name of the subscription that it is about.
pub type Outcome = (&'static str, String);

impl Batch {
    /// Does `each` for every row, and answers for each in the order of the rows. Where we ourselves fail, all of it is to
    /// be sent again: what was done is not done twice. No row is left half-way for it: a charge may be under way.
    pub async fn answer<T, F>(self, each: impl Fn(T) -> F) -> Result<Reply, Problem>
    where
        T: DeserializeOwned,
        F: Future<Output = Result<Outcome, Problem>>,
    {
        self.check()?;
        let dry_run = self.dry_run;
        let each = &each;
        let answers = stream::iter(self.rows).map(|row| async move {
            let customer = row["customer"].clone();
            let outcome = match parse(row) {
                Ok(row) => each(row).await,
                Err(problem) => Err(problem),
            };
            match outcome {
                Ok((outcome, id)) => {
                    Ok((outcome, json!({ "customer": customer, "outcome": outcome, "subscription": id })))
                }
                Err(problem) if problem.status.is_server_error() => Err(problem),
                Err(problem) => {
                    let problem = problem.document(None);
                    Ok(("refused", json!({ "customer": customer, "outcome": "refused", "problem": problem })))
                }
            }
        });
        let answers: Vec<Result<(&str, Value), Problem>> = answers.buffered(AT_ONCE).collect().await;
        let answers = answers.into_iter().collect::<Result<Vec<_>, _>>()?;
        let mut counts = BTreeMap::new();
        for (outcome, _) in &answers {
            *counts.entry(*outcome).or_insert(0_u32) += 1;
        }
        let rows: Vec<Value> = answers.into_iter().map(|(_, row)| row).collect();
        Ok(Reply::ok(json!({ "rows": rows, "counts": counts, "dry_run": dry_run })))
    }

    /// Two rows of one customer would be done at once, and which one first is nobody's to say.
    fn check(&self) -> Result<(), Problem> {
        if !(1..=MOST_ROWS).contains(&self.rows.len()) {
            return Err(Problem::invalid("rows", format!("are 1 to {MOST_ROWS}")));
        }
        let mut seen = BTreeSet::new();
        for (n, row) in self.rows.iter().enumerate() {
            if let Some(customer) = row["customer"].as_str()
                && !seen.insert(customer)
            {
                return Err(Problem::invalid(format!("rows[{n}].customer"), "is in another row already"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::executor::block_on;
    use std::cell::RefCell;
    use std::future::poll_fn;
    use std::task::Poll;

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Row {
        customer: String,
        seats: u32,
    }

    /// What takes a while.
    async fn later() {
        let mut asked = false;
        let once = poll_fn(|context| {
            if asked {
                return Poll::Ready(());
            }
            asked = true;
            context.waker().wake_by_ref();
            Poll::Pending
        });
        once.await;
    }

    fn answered(rows: Value) -> Result<Value, (u16, Option<String>)> {
        answered_noting(rows, &RefCell::default())
    }

    /// With `done` noting for whom it came to its end.
    fn answered_noting(rows: Value, done: &RefCell<Vec<String>>) -> Result<Value, (u16, Option<String>)> {
        let batch: Batch = serde_json::from_value(json!({ "rows": rows })).unwrap_or_else(|error| panic!("{error}"));
        let each = async |row: Row| match row.seats {
            0 => Err(Problem::invalid("seats", "is at least 1")),
            13 => Err(Problem::unavailable("told to fail")),
            _ => {
                later().await;
                done.borrow_mut().push(row.customer.clone());
                Ok(("done", format!("sub_{}", row.customer)))
            }
        };
        let reply = block_on(batch.answer(each));
        reply.map(|reply| reply.into_body()).map_err(|problem| (problem.status.as_u16(), problem.field))
    }

    #[test]
    fn each_row_is_answered_by_itself_and_in_its_place() {
        let rows = json!([
            {"customer": "a", "seats": 1}, {"customer": "b", "seats": 0}, {"customer": "c", "seats": "two"},
            {"customer": "d", "seats": 4, "colour": "red"}, {"customer": "e", "seats": 5}, "f",
        ]);
        let answer = answered(rows).unwrap_or_else(|problem| panic!("{problem:?}"));
        assert_eq!((&answer["counts"], &answer["dry_run"]), (&json!({"done": 2, "refused": 4}), &json!(false)));
        assert_eq!(answer["rows"][0], json!({"customer": "a", "outcome": "done", "subscription": "sub_a"}));
        assert_eq!(answer["rows"][4]["subscription"], "sub_e");
        let fields = [1, 2, 3, 5]
            .map(|n| (answer["rows"][n]["problem"]["status"].clone(), answer["rows"][n]["problem"]["field"].clone()));
        assert_eq!(
            fields,
            [
                (json!(422), json!("seats")),
                (json!(400), json!("seats")),
                (json!(400), json!("colour")),
                (json!(400), Value::Null)
            ]
        );
    }

    #[test]
    fn where_we_fail_the_whole_is_to_be_sent_again() {
        assert_eq!(answered(json!([{"customer": "a", "seats": 1}, {"customer": "b", "seats": 13}])), Err((503, None)));
    }

    #[test]
    fn where_we_fail_for_one_what_is_under_way_for_the_others_comes_to_its_end() {
        let mut rows = vec![json!({"customer": "a", "seats": 13})];
        rows.extend((1..=15).map(|n| json!({"customer": format!("c{n}"), "seats": 1})));
        let done = RefCell::default();
        assert_eq!(answered_noting(json!(rows), &done), Err((503, None)));
        assert_eq!(done.borrow().len(), 15);
    }

    #[test]
    fn there_are_some_rows_and_not_too_many_and_one_a_customer() {
        assert_eq!(answered(json!([])), Err((422, Some("rows".to_owned()))));
        let rows = |n: usize| (0..n).map(|n| json!({"customer": format!("c{n}"), "seats": 1})).collect::<Value>();
        assert_eq!(answered(rows(101)), Err((422, Some("rows".to_owned()))));
        assert!(answered(rows(100)).is_ok());
        let twice =
            json!([{"customer": "a", "seats": 1}, {"customer": "b", "seats": 1}, {"customer": "a", "seats": 2}]);
        assert_eq!(answered(twice), Err((422, Some("rows[2].customer".to_owned()))));
    }
}
