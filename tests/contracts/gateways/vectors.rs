//! Deliveries and requests that were signed, and forged, by others (see
//! `vectors.json`), and that any other file of that form can be run.

use super::desk::{PAYPAL_CERTIFICATE, PAYPAL_CHAIN, PAYPAL_ROOT};
use super::signing;
use billing::payment::Gateway;
use data_encoding::{BASE64, HEXLOWER};
use serde_json::{Map, Value, json};
use sha1::{Digest, Sha1};
use tests::vectors::Vectors;

const OURS: &str = include_str!("../vectors.json");

fn ours() -> Value {
    serde_json::from_str(OURS).expect("JSON")
}

fn entries(file: &Value) -> &[Value] {
    file["entries"].as_array().expect("entries")
}

fn run(file: &Value) -> (usize, Vec<String>) {
    let report = Vectors::parse(&file.to_string()).unwrap_or_else(|error| panic!("{error}")).check();
    (report.passed, report.failed.iter().map(|it| format!("{}: {}", it.id, it.got)).collect())
}

#[test]
fn every_vector_is_answered_as_the_vendor_would() {
    assert_eq!(run(&ours()), (28, vec![]));
}

#[test]
fn a_wrong_expectation_is_reported_by_its_id() {
    let mut file = ours();
    for entry in file["entries"].as_array_mut().expect("entries") {
        match entry["expected"].as_str() {
            Some("equal") => entry["expected_signature"] = "00".repeat(20).into(),
            Some("reject") => entry["expected"] = "accept".into(),
            _ => entry["expected"] = "reject".into(),
        }
    }
    let report = Vectors::parse(&file.to_string()).unwrap_or_else(|error| panic!("{error}")).check();
    let ids: Vec<&str> = report.failed.iter().map(|it| it.id.as_str()).collect();
    assert_eq!(ids, entries(&file).iter().map(|it| it["id"].as_str().expect("an id")).collect::<Vec<_>>());
    let printed = report.to_string();
    for line in [
        "st-dev-05: expected accept, got reject (the delivery is too old, or from the future) [security] stale: ",
        "ps-dev-01: expected reject, got accept [security] plain charge.success",
        "fl-dev-02: expected equal 00000000",
        ", got f5a438fe6da2a31ff7f04ec6fbae76c24bc5ff04 [interop] Georgian description",
    ] {
        assert!(printed.contains(line), "{line}");
    }
    assert!(printed.ends_with("\n0 passed, 28 failed"), "{printed}");
}

#[test]
fn what_nobody_can_answer_fails_and_is_not_skipped() {
    let with = |field: &str, value: &str| {
        let mut file = ours();
        file["entries"][0][field] = value.into();
        run(&file)
    };
    for (field, value, got) in [
        ("gateway", "adyen", "st-dev-01: nothing: the gateway `adyen` is unknown"),
        ("kind", "ping", "st-dev-01: nothing: the kind `ping` is unknown"),
        ("expected", "maybe", "st-dev-01: accept, and the expectation is unknown: `maybe`"),
    ] {
        assert_eq!(with(field, value), (27, vec![got.to_owned()]));
    }
}

#[test]
fn a_file_of_another_form_is_refused_by_the_name_of_the_field() {
    let cases = [
        ("/entries", json!({}), "entries: invalid type: map, expected a sequence"),
        ("/entries/3/id", json!(3), "entries[3].id: invalid type: integer `3`, expected a string"),
        ("/entries/3/now", json!("soon"), "entries[3].now: invalid type: string \"soon\", expected i64"),
        ("/entries/3/now", Value::Null, "entries[3].now: missing"),
        ("/entries/3/body_b64", json!("***"), "entries[3].body_b64: not base64"),
        ("/entries/3/headers", json!([]), "entries[3].headers: invalid type: sequence, expected a map"),
        ("/entries/13/params", Value::Null, "entries[13].params: missing"),
        ("/entries/13/secrets", json!([]), "entries[13].secrets: missing"),
        (
            "/entries/21/context/trust",
            json!("verisign"),
            "entries[21].context.trust: the file has no trust of this name",
        ),
    ];
    for (place, value, expected) in cases {
        let mut file = ours();
        *file.pointer_mut(place).unwrap_or_else(|| panic!("{place}")) = value;
        let problem = Vectors::parse(&file.to_string()).map_or_else(|error| error.to_string(), |_| String::new());
        assert!(problem.starts_with(expected), "{problem}");
    }
    assert!(Vectors::parse("[]").is_err() && Vectors::parse("").is_err());
}

/// The bodies of the first file, under other secrets, at other times, for another
/// webhook, by a certificate of our own.
#[test]
fn any_other_file_of_that_form_can_be_run() {
    let ours = ours();
    let mut others = vec![];
    for entry in entries(&ours) {
        let Some(body) = entry["body"].as_str().filter(|_| entry["kind"] == "webhook") else { continue };
        let gateway = Gateway::ALL.into_iter().find(|it| entry["gateway"] == it.as_str()).expect("one of ours");
        match gateway {
            Gateway::Stripe => stripe(body, &mut others),
            Gateway::Paystack => paystack(body, &mut others),
            Gateway::Flitt => flitt(body, &mut others),
            Gateway::PayPal => paypal(body, &mut others),
        }
    }
    let certificates = json!({PAYPAL_CERTIFICATE: PAYPAL_CHAIN});
    let own = json!({"roots": [PAYPAL_ROOT]});
    let trust = json!({"own": own, "others": ours["paypal_trust"]["test"]});
    let count = others.len();
    assert_eq!(run(&json!({"paypal_certs": certificates, "paypal_trust": trust, "entries": others})), (count, vec![]));
    assert!(count > 100, "{count}");
}

const NOW: i64 = 1_900_000_000;
const SECRET: &str = "another secret";

fn entry(of: &str, headers: Value, body: &str, at: i64, expected: &str) -> Value {
    json!({"id": format!("{of} {expected}"), "gateway": of, "kind": "webhook", "secrets": ["unused", SECRET],
        "headers": headers, "body_b64": BASE64.encode(body.as_bytes()), "now": at, "expected": expected})
}

fn stripe(body: &str, entries: &mut Vec<Value>) {
    let header = |secret: &str| {
        let signature = signing::stripe(secret, NOW, body.as_bytes());
        json!({"STRIPE-signature": format!("t={NOW},v1={signature}")})
    };
    entries.extend([
        entry("stripe", header(SECRET), body, NOW + 300, "accept"),
        entry("stripe", header(SECRET), body, NOW + 301, "reject"),
        entry("stripe", header(SECRET), &format!("{body} "), NOW, "reject"),
        entry("stripe", header("a third secret"), body, NOW, "reject"),
    ]);
}

fn paystack(body: &str, entries: &mut Vec<Value>) {
    let header = |secret: &str| json!({"X-Paystack-Signature": signing::paystack(secret, body.as_bytes())});
    entries.extend([
        entry("paystack", header(SECRET), body, 0, "accept"),
        entry("paystack", header(SECRET), &body.replacen('1', "2", 1), NOW, "reject"),
        entry("paystack", header("a third secret"), body, NOW, "reject"),
    ]);
}

fn flitt(body: &str, entries: &mut Vec<Value>) {
    let of_data = |data: &str| HEXLOWER.encode(&Sha1::digest(format!("{SECRET}|{data}")));
    let mut fields: Map<String, Value> = serde_json::from_str(body).expect("JSON");
    fields.retain(|name, _| name != "signature" && name != "response_signature_string");
    let signature = signing::flitt(SECRET, &fields);
    let request = json!({"id": "request", "gateway": "flitt", "secrets": [SECRET], "expected": "equal"});
    let requests = [
        json!({"kind": "request_sign", "params": fields, "expected_signature": signature}),
        json!({"kind": "request_sign_v2", "data": "e30=", "expected_signature": of_data("e30=")}),
    ];
    for of_its_kind in requests {
        let mut request = request.clone();
        request.as_object_mut().expect("an object").extend(of_its_kind.as_object().cloned().expect("an object"));
        entries.push(request);
    }
    let merchant = fields["merchant_id"].clone();
    let data = BASE64.encode(json!({"order": fields}).to_string().as_bytes());
    let beside = json!({"version": "2.0", "data": data, "signature": of_data(&data), "order_status": "approved"});
    let beside = beside.to_string();
    fields.insert("signature".to_owned(), signature.into());
    let signed = Value::Object(fields).to_string();
    let json = json!({"Content-Type": "application/json"});
    entries.extend([
        entry("flitt", json.clone(), &signed, NOW, "accept"),
        entry("flitt", json.clone(), &format!(r#"{{"response": {signed}}}"#), NOW, "accept"),
        entry("flitt", json.clone(), &signed.replace("success", "failure"), NOW, "reject"),
        entry("flitt", json.clone(), &beside, NOW, "accept_data_only"),
        entry("flitt", json.clone(), &beside.replace("2.0", "1.0"), NOW, "reject"),
    ]);
    for (merchant, expected) in [(merchant, "accept"), (json!(7), "reject")] {
        let mut whose = entry("flitt", json.clone(), &signed, NOW, expected);
        whose["context"] = json!({"merchant_id": merchant});
        entries.push(whose);
    }
}

fn paypal(body: &str, entries: &mut Vec<Value>) {
    let headers = signing::signed(Gateway::PayPal, "OWN-1", body.as_bytes()).headers;
    let text = |value: &http::HeaderValue| value.to_str().expect("text").to_owned();
    let headers = headers.iter().map(|(name, value)| (name.as_str().to_uppercase(), text(value).into()));
    let headers = Value::Object(headers.collect());
    let cases = [
        ("accept", body, NOW, ("OWN-1", "own", "sandbox")),
        ("reject", body, NOW, ("OWN-2", "own", "sandbox")),
        ("reject", body, NOW, ("OWN-1", "others", "sandbox")),
        ("reject", body, NOW, ("OWN-1", "own", "live")),
        ("reject", body, 4_800_000_000, ("OWN-1", "own", "sandbox")),
        ("reject", "{}", NOW, ("OWN-1", "own", "sandbox")),
    ];
    for (expected, body, at, (webhook, trust, env)) in cases {
        let mut case = entry("paypal", headers.clone(), body, at, expected);
        case["context"] = json!({"webhook_id": webhook, "trust": trust, "env": env});
        entries.push(case);
    }
}
