use super::*;

fn catalogue(change: impl FnOnce(&mut serde_json::Value)) -> Result<Vec<CatalogueProblem>, serde_json::Error> {
    let mut document = serde_json::json!({
        "family": {
            "id": "estates", "name": "Estates",
            "meters": [{"id": "estates", "name": "Estates", "kind": "gauge", "reduce": "delete or archive",
                        "unit": {"one": "estate", "many": "estates"}, "aliases": ["plots"]}],
            "features": [{"id": "analytics", "name": "Analytics"}],
        },
        "plans": [{
            "id": "estates-starter", "name": "Starter", "display_name": "Starter", "description": "To begin with",
            "tier": 1, "pricing_model": "flat", "active": true,
            "prices": [{"interval": "month", "amount": {"minor": 300_000, "currency": "NGN"}, "recurring": true}],
            "features": ["analytics"], "limits": {"estates": 25},
        }],
    });
    change(&mut document);
    serde_json::from_value::<Catalogue>(document).map(|catalogue| catalogue.problems())
}

#[test]
fn a_good_catalogue_has_no_problems() {
    assert_eq!(catalogue(|_| {}).ok(), Some(vec![]));
}

#[test]
fn a_problem_names_the_plan_and_the_field() {
    type Change = fn(&mut serde_json::Value);
    let cases: [(&str, Change, &str); 9] = [
        ("a plan outside its family", |it| it["plans"][0]["id"] = "crm-basic".into(), "id"),
        ("tier zero", |it| it["plans"][0]["tier"] = 0.into(), "tier"),
        ("an unknown feature", |it| it["plans"][0]["features"] = serde_json::json!(["telepathy"]), "features"),
        ("a forgotten limit", |it| it["plans"][0]["limits"] = serde_json::json!({}), "limits"),
        ("an unknown meter", |it| it["plans"][0]["limits"]["dogs"] = 1.into(), "limits"),
        ("a free price", |it| it["plans"][0]["prices"][0]["amount"]["minor"] = 0.into(), "prices[0].amount.minor"),
        ("no price", |it| it["plans"][0]["prices"] = serde_json::json!([]), "prices"),
        ("a blank name", |it| it["plans"][0]["name"] = " ".into(), "name"),
        ("tokens in a flat plan", |it| it["plans"][0]["tokens_included"] = 5.into(), "tokens_included"),
    ];
    for (what, change, field) in cases {
        let problems = catalogue(change).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(problems.iter().map(|it| it.field.as_str()).collect::<Vec<_>>(), [field], "{what}");
        assert!(problems.iter().all(|it| it.plan.is_some()), "{what}");
    }
}

#[test]
fn a_price_twice_and_a_plan_twice_are_told() {
    let twice = |it: &mut serde_json::Value, list: &str| {
        let first = it["plans"][0][list][0].clone();
        if let Some(prices) = it["plans"][0][list].as_array_mut() {
            prices.push(first);
        }
    };
    assert!(catalogue(|it| twice(it, "prices")).is_ok_and(|problems| problems[0].field == "prices[1]"));
    let plan_twice =
        |it: &mut serde_json::Value| it["plans"] = [it["plans"][0].clone(), it["plans"][0].clone()].into();
    assert!(catalogue(plan_twice).is_ok_and(|problems| problems[0].field == "id"));
}

#[test]
fn what_has_no_meaning_is_refused_when_read() {
    let cases: [fn(&mut serde_json::Value); 5] = [
        |it| it["plans"][0]["prise"] = 1.into(),
        |it| it["plans"][0]["limits"]["estates"] = (-1).into(),
        |it| it["plans"][0]["limits"]["estates"] = "lots".into(),
        |it| it["plans"][0]["prices"][0]["amount"]["currency"] = "NGX".into(),
        |it| it["plans"][0]["pricing_model"] = "free".into(),
    ];
    for change in cases {
        assert!(catalogue(change).is_err());
    }
}

#[test]
fn unlimited_is_null_or_a_word_and_never_minus_one() {
    let read = |text| serde_json::from_str::<Limit>(text).ok();
    assert_eq!(read("null"), Some(Limit::Unlimited));
    assert_eq!(read("\"unlimited\""), Some(Limit::Unlimited));
    assert_eq!(read("0"), Some(Limit::AtMost(0)));
    assert_eq!(read("-1"), None);
    assert_eq!(serde_json::to_string(&Limit::Unlimited).ok().as_deref(), Some("null"));
}

#[test]
fn a_change_makes_a_new_version_and_no_change_makes_none() {
    let plan = crate::testing::plan("estates-starter");
    assert_eq!(plan.clone().succeeding(&plan), None);
    let dearer = Plan { tier: 2, ..plan.clone() };
    assert_eq!(dearer.succeeding(&plan).map(|it| it.version), Some(plan.version + 1));
}
