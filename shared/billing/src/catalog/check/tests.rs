use super::*;
use crate::catalog::tests::{forget, usd, written};
use serde_json::{Value, json};

/// What is wrong with the README's plan once it is changed; the field, and what.
fn told(change: impl FnOnce(&mut Value)) -> Vec<(String, String)> {
    let mut document = written();
    change(&mut document["plans"][0]);
    let catalogue: Catalogue = serde_json::from_value(document).unwrap_or_else(|error| panic!("{error}"));
    catalogue.problems().into_iter().map(|it| (it.field, it.problem)).collect()
}

#[test]
fn the_readmes_example_can_be_sold() {
    assert_eq!(told(|_| {}), []);
}

#[test]
fn a_price_that_makes_no_sense_is_told_by_its_field() {
    type Change = fn(&mut Value);
    let euros = || json!({"minor": 700, "currency": "EUR"});
    let in_euros: Change = |it| it["tiers"][1]["amount"]["currency"] = "EUR".into();
    let cases: [(&str, Change, &str, &str); 14] = [
        ("tiers that descend", |it| it["tiers"][1]["up_to"] = 4.into(), "tiers[1].up_to", "more than the 5 below"),
        ("an empty tier", |it| it["tiers"][1]["up_to"] = 5.into(), "tiers[1].up_to", "more than the 5 below"),
        ("a first tier of none", |it| it["tiers"][0]["up_to"] = 0.into(), "tiers[0].up_to", "more than the 0 below"),
        ("an end that is missing", |it| it["tiers"][1]["up_to"] = Value::Null, "tiers[1].up_to", "only the last tier"),
        ("an end of the last", |it| it["tiers"][2]["up_to"] = 50.into(), "tiers[2].up_to", "`null`"),
        ("no tiers", |it| it["tiers"] = json!([]), "tiers", "at least one tier"),
        ("a tier below zero", |it| it["tiers"][0]["amount"] = usd(-1), "tiers[0].amount.minor", "at least 0"),
        ("a fee below zero", |it| it["tiers"][1]["flat"] = usd(-1), "tiers[1].flat.minor", "at least 0"),
        ("a tier of another currency", in_euros, "tiers[1].amount.currency", "the price is in USD"),
        ("an amount below zero", |it| it["amount"]["minor"] = (-1).into(), "amount.minor", "at least 0"),
        ("a minimum of nothing", |it| it["minimum"] = usd(0), "minimum.minor", "at least 1"),
        ("a package size", |it| it["package_size"] = 5.into(), "package_size", "only a `package` plan"),
        (
            "a tier beyond counting",
            |it| it["tiers"][2]["amount"] = usd(i64::MAX),
            "tiers[2]",
            "more than can be charged",
        ),
        ("too many tiers", |it| it["tiers"] = (1..=21).map(tier_up_to).collect(), "tiers", "at most 20"),
    ];
    for (what, change, field, problem) in cases {
        let told = told(|plan| change(&mut plan["prices"][0]));
        assert_eq!(told.len(), 1, "{what}: {told:?}");
        assert_eq!(told[0].0, format!("prices[0].{field}"), "{what}");
        assert!(told[0].1.contains(problem), "{what}: {}", told[0].1);
    }
    let minimum = told(|plan| plan["prices"][0]["minimum"] = euros());
    assert_eq!(minimum, [("prices[0].minimum.currency".to_owned(), "the price is in USD".to_owned())]);
}

/// Of twenty-one, the last has no end.
fn tier_up_to(number: u32) -> Value {
    json!({"up_to": (number < 21).then_some(number), "amount": usd(100)})
}

#[test]
fn nobody_can_buy_what_costs_nothing() {
    let free = |model: &str, tiers: Value| {
        told(|plan| {
            plan["pricing_model"] = model.into();
            plan["prices"] = json!([{"interval": "month", "recurring": true, "amount": usd(0), "tiers": tiers}]);
        })
    };
    let tiers = json!([{"up_to": 5, "amount": usd(0)}, {"up_to": null, "amount": usd(600)}]);
    let nothing = |tier: u32, first: u32| {
        vec![(format!("prices[0].tiers[{tier}]"), format!("a period for {first} would cost nothing"))]
    };
    assert_eq!(free("graduated", tiers), nothing(0, 1));
    let tiers = json!([{"up_to": 5, "amount": usd(700)}, {"up_to": null, "amount": usd(0)}]);
    // Five are paid for before a sixth is free; or all six are free.
    assert_eq!((free("graduated", tiers.clone()), free("volume", tiers)), (vec![], nothing(1, 6)));
    let paid = json!([{"up_to": 5, "amount": usd(0), "flat": usd(1)}, {"up_to": null, "amount": usd(600)}]);
    assert_eq!((free("graduated", paid.clone()), free("volume", paid)), (vec![], vec![]));
}

#[test]
fn a_plan_of_one_model_has_no_price_of_another() {
    let of = |model: &str, price: Value| {
        let fields = told(|plan| {
            plan["pricing_model"] = model.into();
            plan["prices"][0] = price;
            plan["prices"][0]["interval"] = "month".into();
            plan["prices"][0]["recurring"] = true.into();
        });
        fields.into_iter().map(|(field, _)| field).collect::<Vec<_>>()
    };
    let tiers = json!([{"up_to": null, "amount": usd(600)}]);
    for model in ["flat", "per_seat", "package"] {
        let priced = json!({"amount": usd(700), "tiers": tiers, "package_size": (model == "package").then_some(5)});
        assert_eq!(of(model, priced), ["prices[0].tiers"], "{model}");
    }
    for model in ["flat", "per_seat"] {
        assert_eq!(of(model, json!({"amount": usd(700)})), [""; 0], "{model}");
        assert_eq!(of(model, json!({"amount": usd(700), "package_size": 5})), ["prices[0].package_size"], "{model}");
    }
    for model in ["graduated", "volume"] {
        assert_eq!(of(model, json!({"amount": usd(700)})), ["prices[0].tiers"], "{model}");
        assert_eq!(of(model, json!({"amount": usd(0), "tiers": tiers})), [""; 0], "{model}");
    }
    assert_eq!(of("package", json!({"amount": usd(700), "package_size": 5})), [""; 0]);
    assert_eq!(
        of("package", json!({"amount": usd(0), "package_size": 0})),
        ["amount.minor", "package_size"].map(|it| format!("prices[0].{it}"))
    );
    assert_eq!(of("package", json!({"amount": usd(700)})), ["prices[0].package_size"]);
    assert_eq!(of("per_seat", json!({"amount": usd(0)})), ["prices[0].amount.minor"]);
    let bundle = of("tokens", json!({"amount": usd(700)}));
    assert_eq!(bundle, ["tokens_included"], "and a plan that is by quantity includes none");
    assert_eq!(told(|plan| plan["tokens_included"] = 5.into())[0].0, "tokens_included");
}

#[test]
fn trials_and_dunning_have_bounds() {
    let days = |days: &[u16], grace: u16| json!({"retry_after_days": days, "grace_days": grace});
    let dunning = |wanted: Value| {
        let told = told(|plan| plan["dunning"] = wanted);
        told.into_iter().map(|(field, _)| field).collect::<Vec<_>>()
    };
    assert_eq!(dunning(days(&[], 0)), [""; 0]);
    assert_eq!(dunning(days(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 60], 60)), [""; 0]);
    assert_eq!(dunning(days(&[0, 3], 3)), ["dunning.retry_after_days[0]"]);
    assert_eq!(dunning(days(&[1, 3, 3], 3)), ["dunning.retry_after_days[2]"]);
    assert_eq!(dunning(days(&[5, 3, 4], 3)), ["dunning.retry_after_days[1]"]);
    assert_eq!(dunning(days(&[1, 61], 61)), ["dunning.retry_after_days[1]", "dunning.grace_days"]);
    assert_eq!(dunning(days(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11], 3)), ["dunning.retry_after_days"]);
    for (days, wrong) in [(0, None), (365, None), (366, Some("dunning.suspension_days"))] {
        let suspended = json!({"retry_after_days": [], "grace_days": 0, "suspension_days": days});
        assert_eq!(dunning(suspended).first().map(String::as_str), wrong, "{days}");
    }
    for (days, wrong) in [(0, true), (1, false), (730, false), (731, true)] {
        let told = told(|plan| plan["trial"] = json!({"days": days, "method_required": true}));
        assert_eq!(told.first().map(|(field, _)| field == "trial.days"), wrong.then_some(true), "{days}");
    }
    assert_eq!(told(|plan| plan["trial"] = json!({})), [], "14 days without a method");
    let written = |trial: Value| serde_json::from_value::<crate::trial::TrialOffer>(trial).ok();
    let fourteen = crate::trial::TrialOffer { days: 14, method_required: false };
    let misspelled = json!({"days": 14, "method": true});
    assert_eq!([json!({}), json!(14), misspelled].map(written), [Some(fourteen), None, None]);
}

#[test]
fn an_addon_that_makes_no_sense_is_told_by_its_field() {
    type Change = fn(&mut Value);
    let twice: Change = |it| it["prices"] = json!([it["prices"][0], it["prices"][0]]);
    let cases: [(&str, Change, &str); 9] = [
        ("a blank name", |it| it["name"] = " ".into(), "name"),
        ("a blank description", |it| it["description"] = "".into(), "description"),
        ("an unknown feature", |it| it["features"] = json!(["telepathy"]), "features"),
        ("an unknown meter", |it| it["limits"] = json!({"dogs": 1}), "limits"),
        ("a raise by nothing", |it| it["limits"] = json!({"storage": 0}), "limits.storage"),
        ("no price", |it| it["prices"] = json!([]), "prices"),
        ("a price of nothing", |it| it["prices"][0]["amount"]["minor"] = 0.into(), "prices[0].amount.minor"),
        ("an interval that the plan has not", |it| it["prices"][0]["interval"] = "week".into(), "prices[0]"),
        ("two prices", twice, "prices[1]"),
    ];
    for (what, change, field) in cases {
        let fields: Vec<String> = told(|plan| change(&mut plan["addons"][0])).into_iter().map(|it| it.0).collect();
        assert_eq!(fields, [format!("addons[0].{field}")], "{what}");
    }
    let other = told(|plan| plan["addons"][0]["prices"][0]["amount"]["currency"] = "EUR".into());
    assert_eq!(other, [("addons[0].prices[0]".to_owned(), "the plan is not sold by month in EUR".to_owned())]);
    let named_twice = told(|plan| plan["addons"][1]["id"] = plan["addons"][0]["id"].clone());
    assert_eq!(named_twice[0].0, "addons[1].id");
    let addon = |it: &Value, n: u32| {
        let mut addon = it["addons"][0].clone();
        addon["id"] = format!("storage-{n}").into();
        addon
    };
    let many = told(|plan| plan["addons"] = (0..21).map(|n| addon(plan, n)).collect());
    assert_eq!(many, [("addons".to_owned(), "a plan has at most 20 add-ons".to_owned())]);
}

#[test]
fn a_coupon_that_makes_no_sense_is_told_by_its_field() {
    type Change = fn(&mut Value);
    let cases: [(&str, Change, &str); 9] = [
        ("nothing off", |it| it["off"] = json!({"percent": "0"}), "off.percent"),
        ("more than all off", |it| it["off"] = json!({"percent": "100.01"}), "off.percent"),
        ("more than nothing on top", |it| it["off"] = json!({"percent": "-5"}), "off.percent"),
        ("an amount of nothing", |it| it["off"] = json!({"amount": usd(0)}), "off.amount"),
        ("for no period", |it| it["lasts"] = json!({"periods": 0}), "lasts.periods"),
        ("for nobody", |it| it["most_redemptions"] = 0.into(), "most_redemptions"),
        ("for no customer", |it| it["most_per_customer"] = 0.into(), "most_per_customer"),
        ("for a plan of nobody", |it| it["plans"] = json!(["desk-none"]), "plans"),
        ("a code that is taken, in small letters", |it| it["code"] = "loyal".into(), ""),
    ];
    for (what, change, field) in cases {
        let mut document = written();
        change(&mut document["coupons"][0]);
        let catalogue: Catalogue = serde_json::from_value(document).unwrap_or_else(|error| panic!("{error}"));
        let fields: Vec<String> = catalogue.problems().into_iter().map(|it| it.field).collect();
        let expected = if field.is_empty() { "coupons[1].code".to_owned() } else { format!("coupons[0].{field}") };
        assert_eq!(fields, [expected], "{what}");
    }
    for forgotten in ["code", "off", "lasts"] {
        let mut document = written();
        forget(&mut document["coupons"][0], forgotten);
        let told = serde_json::from_value::<Catalogue>(document).map_err(|error| error.to_string());
        assert!(told.is_err_and(|told| told.contains(&format!("`{forgotten}`"))), "{forgotten}");
    }
    let mut many = written();
    let coupon = |n: u32| json!({"code": format!("CODE-{n}"), "off": {"percent": "1"}, "lasts": "once"});
    many["coupons"] = (0..21).map(coupon).collect();
    let many: Catalogue = serde_json::from_value(many).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(many.problems().into_iter().map(|it| it.field).collect::<Vec<_>>(), ["coupons"]);
}

fn catalogue(change: impl FnOnce(&mut Value)) -> Result<Vec<CatalogueProblem>, serde_json::Error> {
    let mut document = json!({
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
    type Change = fn(&mut Value);
    let cases: [(&str, Change, &str); 10] = [
        ("a plan outside its family", |it| it["plans"][0]["id"] = "crm-basic".into(), "id"),
        ("tier zero", |it| it["plans"][0]["tier"] = 0.into(), "tier"),
        ("an unknown feature", |it| it["plans"][0]["features"] = json!(["telepathy"]), "features"),
        ("a forgotten limit", |it| it["plans"][0]["limits"] = json!({}), "limits"),
        ("an unknown meter", |it| it["plans"][0]["limits"]["dogs"] = 1.into(), "limits"),
        ("a free price", |it| it["plans"][0]["prices"][0]["amount"]["minor"] = 0.into(), "prices[0].amount.minor"),
        ("no price", |it| it["plans"][0]["prices"] = json!([]), "prices"),
        ("a blank name", |it| it["plans"][0]["name"] = " ".into(), "name"),
        ("tokens in a flat plan", |it| it["plans"][0]["tokens_included"] = 5.into(), "tokens_included"),
        ("what a flat plan carries over", |it| it["plans"][0]["tokens_rollover"] = 0.into(), "tokens_rollover"),
    ];
    for (what, change, field) in cases {
        let problems = catalogue(change).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(problems.iter().map(|it| it.field.as_str()).collect::<Vec<_>>(), [field], "{what}");
        assert!(problems.iter().all(|it| it.plan.is_some()), "{what}");
    }
}

/// How many times more a part of the document may be there: just so many, and not one more.
#[test]
fn a_catalogue_has_so_many_parts_and_no_more() {
    type Change = fn(&mut Value, usize);
    let cases: [(&str, usize, Change); 6] = [
        ("plans", 20, |it, n| {
            let plan = it["plans"][0].clone();
            let named = |n| {
                let mut plan = plan.clone();
                plan["id"] = format!("estates-{n}").into();
                plan
            };
            it["plans"] = (0..n).map(named).collect();
        }),
        ("family.meters", 25, |it, n| {
            it["family"]["meters"][0]["aliases"] = (1..n).map(|n| json!(format!("alias-{n}"))).collect();
        }),
        ("coupons", 20, |it, n| {
            let coupon = |n| json!({"code": format!("CODE-{n}"), "off": {"percent": "5"}, "lasts": "once"});
            it["coupons"] = (0..n).map(coupon).collect();
        }),
        ("addons", 20, |it, n| {
            let price = json!([{"interval": "month", "amount": {"minor": 1, "currency": "NGN"}}]);
            let addon = |n| {
                json!({"id": format!("more-{n}"), "name": "More", "prices": price, "per_unit": true,
                    "limits": {"estates": 1}})
            };
            it["plans"][0]["addons"] = (0..n).map(addon).collect();
        }),
        ("name", 500, |it, n| it["plans"][0]["name"] = "é".repeat(n / 2).into()),
        ("family.name", 500, |it, n| it["family"]["name"] = "n".repeat(n).into()),
    ];
    for (field, most, change) in cases {
        let fields = |n: usize| {
            let problems = catalogue(|it| change(it, n)).unwrap_or_else(|error| panic!("{field}: {error}"));
            problems.into_iter().map(|it| it.field).collect::<Vec<_>>()
        };
        assert_eq!(fields(most), Vec::<String>::new(), "{most} of {field}");
        let more = if field == "name" { most + 2 } else { most + 1 };
        assert_eq!(fields(more), [field], "{more} of {field}");
    }
}

#[test]
fn what_is_wrong_with_a_family_is_said_of_it_and_of_no_plan() {
    type Change = fn(&mut Value);
    let cases: [(&str, Change); 6] = [
        ("family.name", |it| it["family"]["name"] = "".into()),
        ("family.meters.estates.shards", |it| it["family"]["meters"][0]["shards"] = 2.into()),
        ("plans", |it| it["plans"] = json!([])),
        ("family.meters.estates", |it| it["family"]["meters"][0]["aliases"] = json!(["estates"])),
        ("family.meters.estates", |it| it["family"]["meters"][0]["unit"]["one"] = " ".into()),
        ("family.features.analytics", |it| {
            let feature = it["family"]["features"][0].clone();
            it["family"]["features"] = json!([feature, feature]);
        }),
    ];
    for (field, change) in cases {
        let problems = catalogue(change).unwrap_or_else(|error| panic!("{field}: {error}"));
        assert_eq!(problems.iter().map(|it| it.field.as_str()).collect::<Vec<_>>(), [field]);
        assert!(problems.iter().all(|it| it.plan.is_none()));
    }
}

/// A family with counters that are kept in so many places each.
fn with_shards(all: &[u8]) -> Result<Vec<String>, serde_json::Error> {
    let problems = catalogue(|it| {
        for (n, shards) in all.iter().enumerate() {
            let id = format!("calls-{n}");
            let unit = json!({"one": "call", "many": "calls"});
            let calls = json!({"id": id, "name": "Calls", "kind": "counter", "reduce": "make fewer:", "unit": unit,
                "shards": shards});
            it["family"]["meters"].as_array_mut().unwrap_or_else(|| panic!("no meters")).push(calls);
            it["plans"][0]["limits"][id] = 100.into();
        }
    });
    problems.map(|problems| problems.into_iter().map(|it| it.field).collect())
}

#[test]
fn the_counters_of_a_family_are_kept_in_eight_shards_at_most() {
    for few in [&[8][..], &[4, 4], &[2; 4]] {
        assert_eq!(with_shards(few).ok(), Some(vec![]), "{few:?}");
    }
    for many in [&[8, 2][..], &[4, 5], &[2; 5]] {
        assert_eq!(with_shards(many).ok(), Some(vec!["family.meters".to_owned()]), "{many:?}");
    }
    for count in [0, 1, 9] {
        let told = with_shards(&[count]).map_err(|error| error.to_string());
        assert!(told.is_err_and(|told| told.contains("is 2 to 8")), "{count}");
    }
}

/// The fields that are wrong where a counter of 100 calls is sold beyond its limit as `overage` says, and alerts are raised
/// at `alerts`.
fn wrong(overage: Value, alerts: Value) -> Vec<String> {
    let counted = |it: &mut Value| {
        let calls = json!({"id": "calls", "name": "Calls", "kind": "counter", "reduce": "make fewer:",
            "unit": {"one": "call", "many": "calls"}});
        let meters = it["family"]["meters"].as_array_mut();
        meters.unwrap_or_else(|| panic!("no meters")).push(calls);
        it["plans"][0]["limits"]["calls"] = 100.into();
        it["plans"][0]["overage"] = overage;
        it["plans"][0]["alerts"] = alerts;
    };
    let problems = catalogue(counted).unwrap_or_else(|error| panic!("{error}"));
    problems.into_iter().map(|it| it.field).collect()
}

#[test]
fn what_is_sold_beyond_a_limit_has_one_price_in_each_currency_that_the_plan_is_sold_in() {
    let tier = |up_to, minor: i64, currency| json!({"up_to": up_to, "amount": {"minor": minor, "currency": currency}});
    let price = |tiers: &[Value]| json!({"per": 1, "tiers": tiers});
    let plain = |currency| price(&[tier(None::<u32>, 5, currency)]);
    let ending = |tiers: u32| (1..=tiers).map(|number| tier(Some(number), 5, "NGN")).collect::<Vec<_>>();
    let cases = [
        (json!({"calls": [plain("NGN")]}), vec![]),
        (json!({"calls": [price(&[tier(Some(5), 5, "NGN"), tier(Some(9), 4, "NGN")])]}), vec![]),
        (json!({"calls": [price(&ending(20))]}), vec![]),
        (json!({"calls": [price(&ending(21))]}), vec!["overage.calls[0].tiers"]),
        (json!({"calls": [price(&ending(22))]}), vec!["overage.calls[0].tiers"]),
        (json!({"calls": []}), vec!["overage.calls"]),
        (json!({"calls": [plain("USD")]}), vec!["overage.calls[0]", "overage.calls"]),
        (json!({"calls": [plain("NGN"), plain("NGN")]}), vec!["overage.calls[1]"]),
        (json!({"calls": [price(&[])]}), vec!["overage.calls[0].tiers", "overage.calls"]),
        (
            json!({"calls": [price(&[tier(Some(5), 5, "NGN"), tier(None, 4, "USD")])]}),
            vec!["overage.calls[0].tiers[1].amount.currency"],
        ),
        (
            json!({"calls": [price(&[tier(Some(5), 5, "NGN"), tier(Some(5), 4, "NGN")])]}),
            vec!["overage.calls[0].tiers"],
        ),
        (json!({"calls": [price(&[tier(None, -1, "NGN")])]}), vec!["overage.calls[0].tiers[0].amount.minor"]),
        (json!({"calls": [price(&[tier(None, i64::MAX, "NGN")])]}), vec!["overage.calls[0].tiers"]),
        (json!({"estates": [plain("NGN")]}), vec!["overage.estates"]),
        (json!({"dogs": [plain("NGN")]}), vec!["overage.dogs", "overage.dogs"]),
    ];
    for (overage, expected) in cases {
        assert_eq!(wrong(overage.clone(), json!({})), expected, "{overage}");
    }
    for (alerts, expected) in [
        (json!({"calls": [1, 50, 1_000], "estates": []}), vec![]),
        (json!({"calls": [1, 2, 3, 4, 5]}), vec![]),
        (json!({"calls": [80, 80]}), vec!["alerts.calls"]),
        (json!({"calls": [0, 80]}), vec!["alerts.calls"]),
        (json!({"calls": [80, 1_001]}), vec!["alerts.calls"]),
        (json!({"calls": [1, 2, 3, 4, 5, 6]}), vec!["alerts.calls"]),
        (json!({"dogs": [80]}), vec!["alerts.dogs"]),
    ] {
        assert_eq!(wrong(json!({}), alerts.clone()), expected, "{alerts}");
    }
}

#[test]
fn tokens_are_carried_over_at_most_twenty_four_times() {
    let carried = |times: u32| {
        let bundle = |it: &mut Value| {
            it["plans"][0]["pricing_model"] = "tokens".into();
            it["plans"][0]["tokens_included"] = 1.into();
            it["plans"][0]["tokens_rollover"] = times.into();
        };
        catalogue(bundle).map(|problems| problems.iter().map(|it| it.field.clone()).collect::<Vec<_>>()).ok()
    };
    assert_eq!([carried(0), carried(24)], [Some(vec![]), Some(vec![])]);
    assert_eq!(carried(25), Some(vec!["tokens_rollover".to_owned()]));
}

#[test]
fn a_price_twice_and_a_plan_twice_are_told() {
    let twice = |it: &mut Value, list: &str| {
        let first = it["plans"][0][list][0].clone();
        if let Some(prices) = it["plans"][0][list].as_array_mut() {
            prices.push(first);
        }
    };
    assert!(catalogue(|it| twice(it, "prices")).is_ok_and(|problems| problems[0].field == "prices[1]"));
    let plan_twice = |it: &mut Value| it["plans"] = [it["plans"][0].clone(), it["plans"][0].clone()].into();
    assert!(catalogue(plan_twice).is_ok_and(|problems| problems[0].field == "id"));
}
