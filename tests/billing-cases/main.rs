//! Runs a file of billing cases: make billing-cases FILE=…
//!
//! A case is an operation of billing (`op`), its `input`, and the answer that is
//! `expected`. Each operation is answered by a function of the domain: what is
//! here reads the input, calls it, and compares. The form is that of `cases.json`.

mod agree;
mod cases;
mod fields;
mod ops;
mod policy;

use cases::Cases;
use std::path::PathBuf;
use std::process::ExitCode;

const OURS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/cases.json");

fn main() -> ExitCode {
    let file = std::env::args_os().nth(1).filter(|file| !file.is_empty()).map_or_else(|| OURS.into(), PathBuf::from);
    let read = std::fs::read_to_string(&file).map_err(|error| error.to_string());
    let cases = match read.and_then(|text| Cases::parse(&text).map_err(|error| error.to_string())) {
        Ok(cases) => cases,
        Err(error) => {
            eprintln!("{}: {error}", file.display());
            return ExitCode::from(2);
        }
    };
    let report = cases.run();
    println!("{report}");
    if report.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cases::Report;
    use serde_json::{Value, json};

    fn run(text: &str) -> Report {
        Cases::parse(text).unwrap_or_else(|error| panic!("{error}")).run()
    }

    /// A file of one case.
    fn of(input: &str, expected: &str) -> String {
        run(&format!(r#"{{ "cases": [{{ "id": "ONE", "input": {input}, "expected": {expected} }}] }}"#)).to_string()
    }

    /// The same by a policy.
    fn by(policy: &str, input: &str, expected: &str) -> Report {
        let case = format!(r#""id": "ONE", "policy": "{policy}", "input": {input}, "expected": {expected}"#);
        run(&format!(r#"{{ "cases": [{{ {case} }}] }}"#))
    }

    #[test]
    fn every_case_that_ships_is_answered_as_expected() {
        let report = run(include_str!("cases.json"));
        assert!(report.failed.is_empty(), "{report}");
        for (op, reason) in report.skipped.keys() {
            assert_ne!(*reason, ops::UNKNOWN, "{op}");
        }
        let skipped: usize = report.skipped.values().sum();
        assert_eq!((report.passed, skipped), (350, 8), "{report}");
    }

    #[test]
    fn every_case_beside_those_is_answered_as_expected() {
        for (more, at_least) in [(include_str!("money.json"), 40), (include_str!("time.json"), 18)] {
            let report = run(more);
            assert!(report.failed.is_empty() && report.skipped.is_empty() && report.passed >= at_least, "{report}");
        }
    }

    #[test]
    fn an_operation_that_nobody_knows_is_skipped_by_name() {
        let report = of(r#"{ "op": "divine" }"#, r#"{ "answer": 42 }"#);
        assert!(report.starts_with(&format!("skipped divine (1): {}\n0 passed, 0 failed, 1 skipped", ops::UNKNOWN)));
    }

    #[test]
    fn a_file_of_which_nothing_was_run_is_no_success_and_says_so() {
        let good = r#"{ "id": "GOOD", "input": { "op": "defaults" }, "expected": { "GRACE_PERIOD_DAYS": 3 } }"#;
        let wrong = r#"{ "id": "WRONG", "input": { "op": "defaults" }, "expected": { "GRACE_PERIOD_DAYS": 4 } }"#;
        let skipped = r#"{ "id": "SKIPPED", "input": { "op": "divine" }, "expected": { "answer": 42 } }"#;
        let files = [
            (vec![], false, true),
            (vec![skipped], false, true),
            (vec![good], true, false),
            (vec![good, skipped], true, false),
            (vec![wrong, skipped], false, false),
            (vec![good, wrong], false, false),
        ];
        for (cases, is_good, is_nothing) in files {
            let report = run(&format!(r#"{{ "cases": [{}] }}"#, cases.join(",")));
            let says_so = report.to_string().ends_with(": nothing was held against the domain");
            assert_eq!((report.is_good(), says_so), (is_good, is_nothing), "{report}");
        }
    }

    /// Each operation that is answered otherwise by other rules: of the same input, what by whose.
    #[test]
    fn a_case_is_answered_by_the_rules_that_its_policy_names() {
        let retries = r#"{ "op": "retry_schedule", "failed_at": "2025-01-01", "ladder_days": [3] }"#;
        let beyond =
            r#"{ "op": "price", "model": "graduated", "tiers": [{ "up_to": 10, "unit": "500" }], "quantity": 15 }"#;
        let days = r#"{ "op": "days_in_duration", "start_utc": "2024-08-01T23:00:00",
            "end_utc": "2024-08-03T01:00:00", "timezone": "America/Los_Angeles" }"#;
        let cycles = r#"{ "op": "billing_cycles_to_charge", "interval": "monthly", "mode": "in_advance",
            "start": "2011-02-14", "target": "2011-02-14", "bill_cycle_day": 31, "day_count": "actual" }"#;
        let quarter = r#"{ "op": "next_billing_date", "interval": "quarter", "timezone": "UTC",
            "current_period_start": "2026-02-09T00:00:00", "anchor": "2026-04-01T00:00:00" }"#;
        let change = r#"{ "op": "plan_change", "old": "10", "new": "20", "period": ["2024-03-01", "2024-03-31"],
            "change_on": "2024-03-15" }"#;
        let credit = r#"{ "op": "convert_credit_to_days", "remaining": 100, "new_price": 3600, "period_days": 365 }"#;
        let cases = [
            (retries, "perennial-like", r#"{ "then": "grace" }"#),
            (retries, "stripe-like", r#"{ "then": "stop" }"#),
            (retries, "lago-like", r#"{ "then": "stop" }"#),
            (retries, "meteroid-like", r#"{ "then": "stop" }"#),
            (retries, "polar-like", r#"{ "then": "revoke" }"#),
            (beyond, "stripe-like", r#"{ "error": "invalid_quantity" }"#),
            (beyond, "polar-like", r#"{ "amount": "5000" }"#),
            (days, "universal", r#"{ "days": 1 }"#),
            (days, "flexprice-like", r#"{ "days": 2 }"#),
            (cycles, "meteroid-like", r#"{ "cycles": "0.5" }"#),
            (cycles, "killbill-like", r#"{ "cycles": "0.451612903" }"#),
            (quarter, "flexprice-like", r#"{ "next": "2026-05-01T00:00:00" }"#),
            (quarter, "calendar-billing policy", r#"{ "next": "2026-04-01T00:00:00" }"#),
            (change, "polar-like", r#"{ "credit": "-5.33" }"#),
            (change, "flexprice-like", r#"{ "credit": "-5.48" }"#),
            (change, "period end INCLUSIVE (17/31)", r#"{ "credit": "-5.48" }"#),
            (credit, "INSTANT_PRORATED_DATE", r#"{ "days": 11 }"#),
            (credit, "WITH_TIME_PRORATION", r#"{ "days": 10 }"#),
            (credit, "google-play-like", r#"{ "days": 10 }"#),
        ];
        for (input, policy, expected) in cases {
            let report = by(policy, input, expected);
            assert_eq!((report.passed, report.failed.len()), (1, 0), "{policy}: {report}");
        }
    }

    #[test]
    fn a_case_by_a_policy_that_nobody_knows_is_skipped_by_its_name_whatever_it_expects() {
        let input = r#"{ "op": "retry_schedule", "failed_at": "2025-01-01", "ladder_days": [3] }"#;
        for (policy, then) in [("bogus-like", "grace"), ("strpe-like", "stop"), ("calendar-billing policy", "grace")] {
            let report = by(policy, input, &format!(r#"{{ "then": "{then}" }}"#));
            let said = report.to_string();
            assert!(said.starts_with(&format!("skipped retry_schedule by `{policy}` (1): no rules of this")), "{said}");
            assert!(said.contains("stripe-like") && !report.is_good(), "{said}");
        }
    }

    #[test]
    fn what_a_case_leaves_untold_is_skipped_and_the_rest_of_it_has_to_be_right() {
        let credit = r#"{ "op": "convert_credit_to_days", "remaining": 1500, "new_price": 6000, "period_days": 30 }"#;
        let retries = r#"{ "op": "retry_schedule", "failed_at": "2025-01-01", "ladder_days": [3] }"#;
        let cases = [
            (credit, r#"{ "days": 8 }"#, "1 passed, 0 failed, 0 skipped"),
            (credit, r#"{ "days": 8, "new_renewal": "2023-09-23" }"#, "0 passed, 0 failed, 1 skipped"),
            (credit, r#"{ "days": 7, "new_renewal": "2023-09-22" }"#, "0 passed, 1 failed, 0 skipped"),
            (retries, r#"{ "attempts": ["2025-01-04"] }"#, "1 passed, 0 failed, 0 skipped"),
            (retries, r#"{ "attempts": ["2025-01-04"], "then": "stop" }"#, "0 passed, 0 failed, 1 skipped"),
            (retries, r#"{ "attempts": ["2025-01-05"], "then": "stop" }"#, "0 passed, 1 failed, 0 skipped"),
        ];
        for (input, expected, counted) in cases {
            let report = by("samsung-like", input, expected).to_string();
            assert!(report.lines().last().unwrap_or_default().starts_with(counted), "{expected}: {report}");
        }
    }

    /// A misspelt field is not the default of the one that was meant, nor the error that is expected.
    #[test]
    fn an_input_with_a_field_that_nobody_reads_names_its_case_and_that_field() {
        let change = r#""op": "plan_change", "old": 10000, "new": 20000, "remaining_fraction": "0.5""#;
        let ladder = r#""op": "retry_schedule", "failed_at": "2025-01-01", "ladder_days": [3]"#;
        let price = r#""op": "price", "model": "per_unit", "unit": "1", "quantity": 1"#;
        let dunning = r#""op": "dunning_campaign", "max_attempts": 1, "days_between": 1, "threshold": 1,
            "net_term_days": 1, "run_days": []"#;
        let bundle = r#""op": "is_active", "is_active": true, "tokens_remaining": 1, "end_date": null"#;
        let cases = [
            (format!(r#"{{ {change}, "prorration": "none" }}"#), r#"{ "net": 5000 }"#, "input.prorration: "),
            (format!(r#"{{ {change}, "prorration": "none" }}"#), r#"{ "error": true }"#, "input.prorration: "),
            (format!(r#"{{ {change}, "quantity": 2 }}"#), r#"{ "net": 5000 }"#, "input.quantity: "),
            (
                r#"{ "op": "plan_change", "olds": 1, "new": 2, "remaining_fraction": 1 }"#.to_owned(),
                r#"{ "error": true }"#,
                "input.olds: ",
            ),
            (format!(r#"{{ {ladder}, "then": "stop" }}"#), r#"{ "then": "grace" }"#, "input.then: "),
            (format!(r#"{{ {ladder}, "want": "then" }}"#), r#"{ "then": "grace" }"#, "input.want: "),
            (format!(r#"{{ {price}, "discount": "50%" }}"#), r#"{ "amount": "1" }"#, "input.discount: "),
            (
                format!(r#"{{ {price}, "tiers": [{{ "up_to": null, "fiat": "1" }}] }}"#),
                r#"{ "amount": "1" }"#,
                "input.tiers[0].fiat: ",
            ),
            (
                format!(r#"{{ {dunning}, "invoices": [{{ "at": "2025-01-01", "amount": 1, "due": "2025-01-01" }}] }}"#),
                r#"{ "requested_each": null }"#,
                "input.invoices[0].due: ",
            ),
            (format!(r#"{{ {bundle}, "todya": "2025-01-01" }}"#), r#"{ "active": true }"#, "input.todya: "),
            (
                r#"{ "op": "defaults", "provider": "stripe" }"#.to_owned(),
                r#"{ "GRACE_PERIOD_DAYS": 3 }"#,
                "input.provider: ",
            ),
        ];
        for (input, expected, named) in cases {
            let report = of(&input, expected);
            assert!(report.starts_with("ONE ") && report.contains(named), "{named}{report}");
            assert!(report.contains("unknown field") && report.ends_with("0 passed, 1 failed, 0 skipped"), "{report}");
        }
        let told = of(&format!(r#"{{ {ladder}, "then": "stop" }}"#), r#"{ "then": "grace" }"#);
        assert!(told.contains("unknown field, expected `failed_at`, `ladder_days`"), "{told}");
    }

    #[test]
    fn the_next_invoice_is_prorated_by_no_other_policy() {
        let asked = r#""op": "next_invoice_after_upgrade", "old": 1200, "new": 2400, "remaining_fraction": "0.75""#;
        let expected = r#"{ "next_invoice_total": 3300 }"#;
        assert!(of(&format!(r#"{{ {asked}, "proration": "next_period" }}"#), expected).starts_with("1 passed"));
        let refused = of(&format!(r#"{{ {asked}, "proration": "none" }}"#), expected);
        assert!(refused.contains("input.proration: "), "{refused}");
    }

    #[test]
    fn a_wrong_answer_is_told_with_the_right_one() {
        let input = r#"{ "op": "advance_by_n", "date": "2024-01-31", "interval": "monthly", "n": 1 }"#;
        assert_eq!(of(input, r#"{ "date": "2024-02-29" }"#), "1 passed, 0 failed, 0 skipped");
        let report = of(input, r#"{ "date": "2024-03-02" }"#);
        assert!(report.starts_with(r#"ONE advance_by_n: date: expected "2024-03-02", got "2024-02-29""#), "{report}");
        assert!(report.ends_with("0 passed, 1 failed, 0 skipped"), "{report}");
    }

    #[test]
    fn an_input_that_cannot_be_read_names_its_case_and_its_field() {
        let bounds = r#""op": "billing_period_bounds", "billing": "calendar", "billing_at": "2022-03-01""#;
        let cases = [
            (
                r#"{ "op": "advance_by_n", "date": "2023-02-29", "interval": "monthly", "n": 1 }"#.to_owned(),
                "input.date: ",
            ),
            (
                r#"{ "op": "advance_by_n", "date": "2023-02-28", "interval": "fortnight", "n": 1 }"#.to_owned(),
                "input.interval: ",
            ),
            (
                r#"{ "op": "advance_by_n", "date": "2023-02-28", "interval": "monthly" }"#.to_owned(),
                "missing field `n`",
            ),
            (
                r#"{ "op": "retry_schedule", "failed_at": "2025-01-01", "ladder_days": [1, -1] }"#.to_owned(),
                "input.ladder_days[1]: ",
            ),
            (format!(r#"{{ {bounds}, "tz": "Europe/Atlantis" }}"#), "input.tz: "),
        ];
        for (input, named) in cases {
            let report = of(&input, r#"{ "date": "2023-03-01" }"#);
            assert!(report.starts_with("ONE ") && report.contains(named), "{report}");
        }
    }

    #[test]
    fn a_case_that_is_none_fails_and_the_others_are_run() {
        let report = run(r#"{ "cases": [
                { "id": "A", "input": { "op": 7 }, "expected": { "x": 1 } },
                { "id": "B", "input": { "op": "defaults" }, "expected": {} },
                { "input": { "op": "defaults" } },
                "C",
                { "id": "D", "input": { "op": "defaults" }, "expected": { "GRACE_PERIOD_DAYS": 3 }, "policy": null, "source": 1 }
            ] }"#);
        assert_eq!(
            report.to_string().lines().map(|line| line.split(' ').next().unwrap_or_default()).collect::<Vec<_>>(),
            ["A", "B", "cases[2]", "cases[3]", "1"]
        );
        for text in ["", "[]", "{}", r#"{ "cases": {} }"#, r#"{ "cases": [1e999] }"#] {
            assert!(Cases::parse(text).is_err(), "{text}");
        }
    }

    /// Every field of every case that ships, and each of these in its place.
    #[test]
    fn nothing_that_a_case_says_is_a_panic() {
        let absurd = [
            "null",
            "0",
            "-1",
            "1",
            "31",
            "65535",
            "4294967295",
            "9223372036854775807",
            "-9223372036854775808",
            "1e30",
            "true",
            r#""""#,
            r#""1e30""#,
            r#""0""#,
            r#""-1""#,
            r#""170141183460469231731687303715884105727""#,
            r#""0.00000000000000000000000000000000000001""#,
            r#""9999-12-31""#,
            r#""-009999-01-01""#,
            r#""2011-12-30""#,
            r#""9999-12-31T23:59:59""#,
            r#""9999-12-30T22:00:00Z""#,
            r#""Europe/Atlantis""#,
            r#""Pacific/Apia""#,
            r#""KWD""#,
            r#""10_years""#,
            r#""fixed_28""#,
            "[]",
            "{}",
        ];
        let absurd = absurd.map(|text| serde_json::from_str::<Value>(text).unwrap_or_else(|error| panic!("{error}")));
        let ours: Value = serde_json::from_str(include_str!("cases.json")).unwrap_or_else(|error| panic!("{error}"));
        let mut cases = vec![];
        for case in ours["cases"].as_array().into_iter().flatten() {
            for field in
                case["input"].as_object().into_iter().flatten().map(|(field, _)| field).filter(|it| *it != "op")
            {
                cases.extend(absurd.iter().map(|instead| {
                    let mut case = case.clone();
                    case["input"][field] = instead.clone();
                    case
                }));
            }
        }
        let report = run(&json!({ "cases": cases }).to_string());
        let skipped: usize = report.skipped.values().sum();
        assert_eq!(report.passed + report.failed.len() + skipped, cases.len());
        assert!(cases.len() > 10_000, "{}", cases.len());
    }
}
