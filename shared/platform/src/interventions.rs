//! What billing staff ask for on behalf of a customer: the body of `POST /admin/customers/{customer}/subscription/changes`,
//! and the intervention that it is. Whether that may be had is the domain's to say.

use crate::http::Problem;
use billing::subscription::Intervention;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct InterventionRequest {
    action: Asked,
    days: Option<u16>,
    end: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
enum Asked {
    Extend,
    ChangeDates,
    ResetTokens,
}

impl InterventionRequest {
    /// What is wanted, if the request says all that its action takes, and nothing else.
    pub fn wanted(self) -> Result<Intervention, Problem> {
        match (self.action, self.days, self.end) {
            (Asked::Extend, Some(0), None) => Err(Problem::invalid("days", "is at least 1")),
            (Asked::Extend, Some(days), None) => Ok(Intervention::Extend { days }),
            (Asked::Extend, None, None) => Err(Problem::invalid("days", "this action needs it")),
            (Asked::ChangeDates, None, Some(end)) => Ok(Intervention::ChangeDates { end }),
            (Asked::ChangeDates, None, None) => Err(Problem::invalid("end", "this action needs it")),
            (Asked::ResetTokens, None, None) => Ok(Intervention::ResetTokens),
            (Asked::ChangeDates | Asked::ResetTokens, Some(_), _) => Err(not_taken("days")),
            (Asked::Extend | Asked::ResetTokens, _, Some(_)) => Err(not_taken("end")),
        }
    }
}

fn not_taken(field: &str) -> Problem {
    Problem::invalid(field, "this action does not take it")
}

#[cfg(test)]
mod tests {
    use super::*;
    use billing::testing::instant;

    fn wanted(text: &str) -> Result<Intervention, Option<String>> {
        let request: InterventionRequest = serde_json::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        request.wanted().map_err(|problem| problem.field)
    }

    #[test]
    fn each_action_takes_its_own_fields_and_no_others() {
        let end = instant("2026-03-31T00:00:00Z");
        let cases = [
            (r#"{"action":"extend","days":14}"#, Ok(Intervention::Extend { days: 14 })),
            (r#"{"action":"extend","days":0}"#, Err("days")),
            (r#"{"action":"extend"}"#, Err("days")),
            (r#"{"action":"extend","days":14,"end":"2026-03-31T00:00:00Z"}"#, Err("end")),
            (r#"{"action":"extend","end":"2026-03-31T00:00:00Z"}"#, Err("end")),
            (r#"{"action":"change_dates","end":"2026-03-31T02:00:00+02:00"}"#, Ok(Intervention::ChangeDates { end })),
            (r#"{"action":"change_dates"}"#, Err("end")),
            (r#"{"action":"change_dates","days":1}"#, Err("days")),
            (r#"{"action":"change_dates","days":1,"end":"2026-03-31T00:00:00Z"}"#, Err("days")),
            (r#"{"action":"reset_tokens"}"#, Ok(Intervention::ResetTokens)),
            (r#"{"action":"reset_tokens","days":1}"#, Err("days")),
            (r#"{"action":"reset_tokens","end":"2026-03-31T00:00:00Z"}"#, Err("end")),
        ];
        for (text, expected) in cases {
            assert_eq!(wanted(text), expected.map_err(|field| Some(field.to_owned())), "{text}");
        }
    }
}
