//! Reading a catalogue document, so that an error names the plan and the field.

use billing::catalog::{Catalogue, CatalogueProblem};
use billing::id::PlanId;
use serde_json::Value;

/// The document as what it offers. Only its form is looked at here; what it
/// says is checked by [`Catalogue::problems`].
pub fn read(document: Value) -> Result<Catalogue, CatalogueProblem> {
    let plans = document.get("plans").and_then(Value::as_array);
    let ids: Vec<Option<PlanId>> = plans.into_iter().flatten().map(id).collect();
    serde_path_to_error::deserialize(document).map_err(|error| {
        let path = error.path().to_string();
        let problem = error.inner().to_string();
        // `plans[2].limits.estates`: the plan by its id, and the field within it.
        let within = path.strip_prefix("plans[").and_then(|rest| rest.split_once(']'));
        let plan = within.and_then(|(n, _)| ids.get(n.parse::<usize>().ok()?)?.clone());
        let field = match (&plan, within) {
            (Some(_), Some((_, field))) => field.trim_start_matches('.').to_owned(),
            (Some(_) | None, _) => path,
        };
        CatalogueProblem { plan, field, problem }
    })
}

fn id(plan: &Value) -> Option<PlanId> {
    PlanId::try_from(plan.get("id")?.as_str()?.to_owned()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(change: impl FnOnce(&mut Value)) -> (Option<String>, String) {
        let text = include_str!("../../../catalogue/estates.json");
        let mut document = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}"));
        change(&mut document);
        match read(document) {
            Ok(_) => panic!("accepted"),
            Err(problem) => (problem.plan.map(String::from), problem.field),
        }
    }

    #[test]
    fn what_cannot_be_read_is_named_by_plan_and_field() {
        let starter = || Some("estates-starter".to_owned());
        assert_eq!(
            problem(|it| it["plans"][0]["limits"]["clients"] = (-1).into()),
            (starter(), "limits.clients".into())
        );
        let code = problem(|it| it["plans"][0]["prices"][1]["amount"]["currency"] = "NAIRA".into());
        assert_eq!(code, (starter(), "prices[1].amount.currency".to_owned()));
        let tier = |it: &mut Value| it["plans"][0]["prices"][1]["tiers"] = serde_json::json!([{"up_to": "five"}]);
        assert_eq!(problem(tier), (starter(), "prices[1].tiers[0].up_to".to_owned()));
        assert_eq!(
            problem(|it| it["plans"][0]["dunning"] = serde_json::json!({"retry_after_days": [-1]})),
            (starter(), "dunning.retry_after_days[0]".into())
        );
        assert_eq!(
            problem(|it| it["family"]["meters"][0]["kind"] = "dial".into()),
            (None, "family.meters[0].kind".into())
        );
    }
}
