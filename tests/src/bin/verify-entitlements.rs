//! Each line of the input is a token, and each of the output what the crate says of it: what the end-to-end tests ask.

#![allow(clippy::expect_used, reason = "whoever asks wrongly has made a mistake in a test")]

use serde::Deserialize;
use serde_json::{Map, Value, json};
use signed_entitlements::{Cache, Entitlements, Verifier};
use std::io::stdin;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The first line.
#[derive(Deserialize)]
struct Given {
    issuer: String,
    keys: Value,
}

#[derive(Deserialize)]
struct Asked {
    token: String,
    customer: String,
    now: u64,
    names: Vec<String>,
}

fn main() {
    let mut lines = stdin().lines().map(|line| line.expect("a line"));
    let given: Given = serde_json::from_str(&lines.next().expect("the keys")).expect("the keys");
    let verifier = Verifier::new(given.issuer, &given.keys.to_string()).expect("keys to verify with");
    let cache = Cache::new(verifier, 1_000);
    for line in lines {
        let asked: Asked = serde_json::from_str(&line).expect("a token");
        let now = UNIX_EPOCH + Duration::from_secs(asked.now);
        println!(
            "{}",
            match cache.verify(&asked.token, &asked.customer, now) {
                Ok(it) => told(&it, &asked.names, now),
                Err(refused) => json!({ "refused": snake_case(&format!("{refused:?}")) }),
            }
        );
    }
}

fn told(it: &Entitlements, names: &[String], now: SystemTime) -> Value {
    let seconds = |time: SystemTime| time.duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    let limit = |name: &String| {
        let limit = it.limit(name);
        limit.map(|it| json!({ "limit": it.limit, "used": it.used, "remaining": it.remaining }))
    };
    let each = |tell: &dyn Fn(&String) -> Value| names.iter().map(|name| (name.clone(), tell(name))).collect();
    let refusals: Map<String, Value> = each(&|name| json!(it.refusal(name, now)));
    let limits: Map<String, Value> = each(&|name| json!(limit(name)));
    json!({
        "plan": it.plan(), "status": it.status(),
        "issued_at": seconds(it.issued_at()), "expires_at": seconds(it.expires_at()),
        "refusals": refusals, "limits": limits,
    })
}

/// `OtherCustomer` as programs of other languages have it: `other_customer`.
fn snake_case(name: &str) -> String {
    let spelled = |letter: char| match letter.is_uppercase() {
        true => format!("_{}", letter.to_lowercase()),
        false => letter.to_string(),
    };
    name.chars().map(spelled).collect::<String>().trim_start_matches('_').to_owned()
}
