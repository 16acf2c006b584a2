//! Runs a file of billing cases: make billing-cases FILE=…
//!
//! A case is an operation of billing (`op`), its `input`, and the answer that is
//! `expected`. Each operation is answered by a function of the domain: what is
//! here reads the input, calls it, and compares. The form is that of `cases.json`.

mod agree;
mod cases;
mod ops;

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
    if report.failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
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
        assert_eq!(report, format!("skipped divine (1): {}\n0 passed, 0 failed, 1 skipped", ops::UNKNOWN));
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
