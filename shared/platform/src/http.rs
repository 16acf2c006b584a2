//! The HTTP edge: requests into types, replies, and refusals as RFC 9457
//! problem documents, or as pages where a person reads them. The only place
//! that knows status codes.

mod pages;
mod problem;
mod problems;
mod used;

use crate::sqs::chain;
use billing::id::IdempotencyKey;
use data_encoding::HEXLOWER;
use lambda_http::http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER};
use lambda_http::http::{Response, StatusCode};
use lambda_http::{Body, Error, Request, RequestExt};
use serde::de::{DeserializeOwned, Deserializer, IntoDeserializer, value::StringDeserializer};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::future::Future;

pub use pages::{Page, lead};
pub use problem::Problem;

/// The most that a request of our API may say.
const MOST_BYTES: usize = 32 * 1024;

/// The most that a gateway may say at once.
pub const MOST_WEBHOOK_BYTES: usize = 256 * 1024;

/// An answer.
#[derive(Debug)]
pub struct Reply {
    status: StatusCode,
    body: Value,
    /// What everyone may see, a proxy may keep for a minute. Everything else is nobody's to keep.
    public: bool,
}

impl Reply {
    pub fn ok(body: Value) -> Self {
        Self { status: StatusCode::OK, body, public: false }
    }

    pub fn created(body: Value) -> Self {
        Self { status: StatusCode::CREATED, body, public: false }
    }

    /// Begun, and not done yet.
    pub fn accepted(body: Value) -> Self {
        Self { status: StatusCode::ACCEPTED, body, public: false }
    }

    /// It is so now, and there is nothing to tell of it.
    pub fn nothing() -> Self {
        Self { status: StatusCode::NO_CONTENT, body: Value::Null, public: false }
    }

    #[cfg(test)]
    pub(crate) fn into_body(self) -> Value {
        self.body
    }

    pub fn public(body: Value) -> Self {
        Self { status: StatusCode::OK, body, public: true }
    }
}

/// Runs a handler; turns its answer into a response and logs a failure once.
pub async fn respond<F>(request: Request, handle: impl FnOnce(Request) -> F) -> Result<Response<Body>, Error>
where
    F: Future<Output = Result<Reply, Problem>>,
{
    let request_id = request.lambda_context_ref().map(|context| context.request_id.clone());
    match handle(request).await {
        Ok(Reply { status: status @ StatusCode::NO_CONTENT, .. }) => {
            Ok(Response::builder().status(status).header(CACHE_CONTROL, "no-store").body(Body::Empty)?)
        }
        Ok(reply) => {
            let cache = if reply.public { "public, max-age=60" } else { "no-store" };
            json_response(reply.status, "application/json", cache, &reply.body, None)
        }
        Err(problem) => {
            let cause = problem.cause.as_deref().map(|cause| chain(cause));
            if problem.status.is_server_error() {
                tracing::error!(problem.slug, cause, "request failed: {}", problem.title);
            } else {
                tracing::info!(problem.slug, cause, "request refused: {}", problem.title);
            }
            // Only a failure of ours is worth asking us about, and two refusals must not differ.
            let request_id = request_id.filter(|_| problem.status.is_server_error());
            let body = problem.document(request_id);
            json_response(problem.status, "application/problem+json", "no-store", &body, problem.retry_after_s)
        }
    }
}

fn json_response(
    status: StatusCode,
    content_type: &str,
    cache: &str,
    body: &Value,
    retry_after_s: Option<u32>,
) -> Result<Response<Body>, Error> {
    let response = Response::builder()
        .status(status)
        .header(CONTENT_TYPE, content_type)
        .header(CACHE_CONTROL, cache)
        .header("x-content-type-options", "nosniff");
    let response = match retry_after_s {
        Some(seconds) => response.header(RETRY_AFTER, seconds),
        None => response,
    };
    Ok(response.body(serde_json::to_string(body)?.into())?)
}

/// Reads a typed path parameter. What is not of its form does not exist.
pub fn path<T: DeserializeOwned>(request: &Request, name: &str) -> Result<T, Problem> {
    let value = request.path_parameters().first(name).unwrap_or_default().to_owned();
    let value: StringDeserializer<serde::de::value::Error> = value.into_deserializer();
    T::deserialize(value).map_err(|_| Problem::not_found())
}

/// Reads a typed query parameter, if it is there.
pub fn query<T: DeserializeOwned>(request: &Request, name: &'static str) -> Result<Option<T>, Problem> {
    let parameters = request.query_string_parameters();
    let mut values = parameters.all(name).unwrap_or_default().into_iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(_), Some(_)) => Err(Problem::unreadable("is given twice").at(name)),
        (Some(value), None) => {
            let value: StringDeserializer<serde::de::value::Error> = value.to_owned().into_deserializer();
            T::deserialize(value).map(Some).map_err(|error| Problem::unreadable(error).at(name))
        }
    }
}

/// A part of a list, newest first.
#[derive(Clone, Debug)]
pub struct List<I> {
    pub limit: u8,
    pub before: Option<I>,
}

/// Which part is asked for: `?limit=` 1 to 100 (20 if it is not said), `?before=` the id that the page before said is `next`.
pub fn list<I: DeserializeOwned>(request: &Request) -> Result<List<I>, Problem> {
    Ok(List { limit: page_size(request)?, before: query(request, "before")? })
}

impl<I: Serialize> List<I> {
    /// `found` under that `name`, and with `next` what the page after it is asked for by; `null` after the last.
    pub fn of<T>(&self, name: &str, found: &[T], view: impl Fn(&T) -> Value, id: impl Fn(&T) -> &I) -> Reply {
        let next = found.get(usize::from(self.limit).saturating_sub(1)).map(id);
        Reply::ok(json!({ name: found.iter().map(view).collect::<Vec<_>>(), "next": next }))
    }
}

fn page_size(request: &Request) -> Result<u8, Problem> {
    let limit: Option<String> = query(request, "limit")?;
    let limit = limit.map_or(Some(20), |text| text.parse().ok().filter(|limit| (1..=100).contains(limit)));
    limit.ok_or_else(|| Problem::invalid("limit", "must be 1 to 100"))
}

/// Reads the body as JSON that says exactly what `T` knows.
pub fn body<T: DeserializeOwned>(request: &Request) -> Result<T, Problem> {
    object(json_within(request, MOST_BYTES)?)
}

/// The body, which may be JSON and has at most so many bytes.
pub(crate) fn json_within(request: &Request, most: usize) -> Result<&str, Problem> {
    let bytes: &[u8] = request.body();
    if bytes.len() > most {
        return Err(Problem::too_large(most));
    }
    let header = |name| request.headers().get(name).map(|value| value.to_str().unwrap_or_default());
    let content_type = header(CONTENT_TYPE).unwrap_or_default().split(';').next().unwrap_or_default().trim();
    if !content_type.eq_ignore_ascii_case("application/json") {
        return Err(Problem::unsupported("the body must be application/json"));
    }
    if header(CONTENT_ENCODING).is_some_and(|encoding| !encoding.eq_ignore_ascii_case("identity")) {
        return Err(Problem::unsupported("the body must not be compressed"));
    }
    std::str::from_utf8(bytes).map_err(|_| Problem::unreadable("the body is not UTF-8"))
}

/// Reads a JSON object that says exactly what `T` knows, and no card's number.
pub(crate) fn object<T: DeserializeOwned>(text: &str) -> Result<T, Problem> {
    if has_card_number(text.as_bytes()) {
        return Err(Problem::unreadable("a card number has no place here; the gateway's own page takes it"));
    }
    only_object(text)
}

/// The same, where whoever reads on looks for those.
pub(crate) fn only_object<T: DeserializeOwned>(text: &str) -> Result<T, Problem> {
    // What is asked for is also read from a list of its fields, which nobody means.
    if !text.trim_start().starts_with('{') {
        return Err(Problem::unreadable("what is expected is a JSON object"));
    }
    let mut json = serde_json::Deserializer::from_str(text);
    let value = parse(&mut json)?;
    json.end().map_err(|_| Problem::unreadable("something follows the JSON"))?;
    Ok(value)
}

/// Reads what says exactly what `T` knows.
pub(crate) fn parse<'de, T: Deserialize<'de>>(
    from: impl Deserializer<'de, Error = serde_json::Error>,
) -> Result<T, Problem> {
    serde_path_to_error::deserialize(from).map_err(|error| {
        let path = error.path().to_string();
        let message = error.into_inner().to_string();
        // An unknown or missing field has no path of its own; the message names it. What is no JSON has none at all.
        let names =
            ["unknown field `", "missing field `", "duplicate field `"].iter().any(|it| message.starts_with(it));
        let named = || message.split('`').nth(1).filter(|_| names).map(str::to_owned).unwrap_or_default();
        let field = if matches!(path.as_str(), "." | "?") { named() } else { path };
        Problem::unreadable(in_terms_of_json(without_position(&message))).at(field)
    })
}

pub fn idempotency_key(request: &Request) -> Result<IdempotencyKey, Problem> {
    let mut values = request.headers().get_all("idempotency-key").iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return Err(
            Problem::unreadable("the header is needed, once: a text of your own for each intent").at("Idempotency-Key")
        );
    };
    let text = value.to_str().unwrap_or_default().to_owned();
    let key = IdempotencyKey::try_from(text).map_err(|error| Problem::unreadable(error).at("Idempotency-Key"))?;
    if key.is_apart() {
        return Err(Problem::unreadable("begins as those of others do").at("Idempotency-Key"));
    }
    Ok(key)
}

/// The key of a request of billing staff, apart from the customer's own: what the one asks for never meets what the other
/// does.
pub fn staff_key(request: &Request) -> Result<IdempotencyKey, Problem> {
    Ok(idempotency_key(request)?.of_staff())
}

/// What tells a request from another one under the same key, whatever its spelling.
pub fn fingerprint(body: &impl Serialize) -> Result<String, Problem> {
    let text = serde_json::to_vec(body).map_err(Problem::unreadable)?;
    Ok(HEXLOWER.encode(&Sha256::digest(text)))
}

/// ` at line 1 column 7` helps nobody who did not write the JSON by hand.
fn without_position(message: &str) -> &str {
    message.split(" at line ").next().unwrap_or(message)
}

/// `invalid type: integer `5`, expected struct Row`: what our code calls it is nobody's business.
fn in_terms_of_json(message: &str) -> String {
    let ours = [", expected struct ", ", expected internally tagged enum "];
    let told = ours.iter().find_map(|it| message.split_once(it)).map(|(told, _)| format!("{told}, expected an object"));
    told.unwrap_or_else(|| message.to_owned())
}

/// Whether digits that could be a card's stand anywhere: 13 to 19 of them, with
/// spaces or dashes between, and a right check digit (RELIABILITY S38).
pub(crate) fn has_card_number(bytes: &[u8]) -> bool {
    let mut digits: Vec<u32> = vec![];
    let mut ends = bytes.iter().copied().chain([b'.']).map(|byte| {
        match byte {
            b'0'..=b'9' => digits.push(u32::from(byte - b'0')),
            b' ' | b'-' if !digits.is_empty() => {}
            _ => {
                let found = (13..=19).contains(&digits.len()) && luhn(&digits);
                digits.clear();
                return found;
            }
        }
        false
    });
    ends.any(|found| found)
}

fn luhn(digits: &[u32]) -> bool {
    let doubled = |(n, digit): (usize, &u32)| match n % 2 {
        1 if *digit > 4 => 2 * digit - 9,
        1 => 2 * digit,
        _ => *digit,
    };
    digits.iter().rev().enumerate().map(doubled).sum::<u32>() % 10 == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use billing::id::PlanId;
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code, reason = "what is read is not looked at here")]
    struct Wanted {
        plan: PlanId,
        quantity: std::num::NonZeroU32,
    }

    fn request(content_type: &str, text: impl Into<Vec<u8>>) -> Request {
        let mut request = Request::new(Body::Binary(text.into()));
        let value = content_type.parse().unwrap_or_else(|error| panic!("{error}"));
        request.headers_mut().insert(CONTENT_TYPE, value);
        request
    }

    fn problem(content_type: &str, text: impl Into<Vec<u8>>) -> (u16, Option<String>) {
        match body::<Wanted>(&request(content_type, text)) {
            Ok(wanted) => panic!("accepted: {wanted:?}"),
            Err(problem) => (problem.status.as_u16(), problem.field),
        }
    }

    fn refused(text: &str) -> (u16, Option<String>) {
        problem("application/json", text)
    }

    #[test]
    fn a_body_is_json_and_says_what_is_asked() {
        let good = r#"{"plan":"crm-basic","quantity":1}"#;
        assert!(body::<Wanted>(&request("application/json; charset=utf-8", good)).is_ok());
    }

    #[test]
    fn s19_s26_s29_s30_bad_input_names_its_field() {
        let cases = [
            (r#"{"plan":"crm-basic","quantity":1,"amount":5}"#, "amount"),
            (r#"{"plan":"crm-basic","quantity":1,"customer":"globex"}"#, "customer"),
            (r#"{"plan":"crm-basic"}"#, "quantity"),
            (r#"{"plan":"CRM#","quantity":1}"#, "plan"),
            (r#"{"plan":"crm-basic","quantity":-1}"#, "quantity"),
            (r#"{"plan":"crm-basic","quantity":0}"#, "quantity"),
            (r#"{"plan":"crm-basic","quantity":1.5}"#, "quantity"),
            (r#"{"plan":"crm-basic","quantity":1e309}"#, "quantity"),
            (r#"{"plan":"crm-basic","quantity":"1"}"#, "quantity"),
            (r#"{"plan":"crm-basic","quantity":9223372036854775808}"#, "quantity"),
            (r#"{"plan":"crm-basic","plan":"crm-basic","quantity":1}"#, "plan"),
        ];
        for (text, field) in cases {
            assert_eq!(refused(text), (400, Some(field.to_owned())), "{text}");
        }
    }

    #[test]
    fn what_is_no_json_names_no_field_and_nothing_is_named_by_what_our_code_calls_it() {
        for text in ["{", r#"{"plan":"crm-basic",}"#, r#"{"plan":"crm-basic" "quantity":1}"#, "[]", "5", ""] {
            assert_eq!(refused(text), (400, None), "{text}");
        }
        #[derive(Debug, Deserialize)]
        #[allow(dead_code, reason = "what is read is not looked at here")]
        struct Rows {
            rows: Vec<Wanted>,
        }
        let told = object::<Rows>(r#"{"rows":[5]}"#).err().map(|it| (it.field.clone(), it.detail().to_owned()));
        let detail = "invalid type: integer `5`, expected an object".to_owned();
        assert_eq!(told, Some((Some("rows[0]".to_owned()), detail)));
        let row = serde_json::value::RawValue::from_string("5".to_owned()).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(parse::<Wanted>(&*row).err().and_then(|it| it.field), None);
    }

    #[test]
    fn s38_card_numbers_are_refused_wherever_they_stand() {
        for number in ["4242424242424242", "4242 4242 4242 4242", "4242-4242-4242-4242", "378282246310005"] {
            let text = format!(r#"{{"plan":"crm-basic","quantity":1,"note":"card {number}"}}"#);
            let problem =
                body::<Wanted>(&request("application/json", text)).map_or_else(|it| it, |it| panic!("{it:?}"));
            assert!(!format!("{problem:?}").contains(&number[..4]), "{problem:?}");
        }
        assert!(!has_card_number(b"1234567890123 4242424242424241 20260131"));
    }

    #[test]
    fn s61_s64_size_and_type_are_looked_at_first() {
        assert_eq!(problem("application/json", vec![b' '; MOST_BYTES + 1]).0, 413);
        for content_type in ["text/plain", "application/x-www-form-urlencoded", "application/jsonp"] {
            assert_eq!(problem(content_type, "{}").0, 415, "{content_type}");
        }
        let mut compressed = request("application/json", "{}");
        compressed.headers_mut().insert(CONTENT_ENCODING, "gzip".parse().unwrap_or_else(|error| panic!("{error}")));
        assert!(body::<Wanted>(&compressed).is_err_and(|problem| problem.status.as_u16() == 415));
    }

    #[test]
    fn s62_json_meant_to_hurt_is_refused() {
        let deep = "[".repeat(10_000);
        let surrogate = r#"{"plan":"\ud800","quantity":1}"#;
        for text in [deep.as_str(), surrogate, "", "null", "{}x", r#"{"plan":"crm-basic","quantity":1} {}"#] {
            assert_eq!(refused(text).0, 400, "{}", &text[..text.len().min(40)]);
        }
        assert_eq!(problem("application/json", b"{\"plan\":\"\xff\"}".to_vec()).0, 400);
    }

    fn keyed(values: &[&[u8]]) -> Request {
        let mut request = request("application/json", "{}");
        for value in values {
            let value = lambda_http::http::HeaderValue::from_bytes(value);
            request.headers_mut().append("idempotency-key", value.unwrap_or_else(|error| panic!("{error}")));
        }
        request
    }

    #[test]
    fn s36_s37_an_idempotency_key_is_needed_and_visible() {
        let with = |values: &[&[u8]]| idempotency_key(&keyed(values)).map_err(|problem| problem.status.as_u16());
        assert!(with(&[b"order-1"]).is_ok());
        let long = [b'a'; 256];
        let bad: [&[&[u8]]; 9] = [
            &[],
            &[b""],
            &[&long],
            &[b"a b"],
            &[b"a\tb"],
            &[b"\xff"],
            &[b"a", b"b"],
            // What staff's and services' keys become.
            &[b"staff:a"],
            &[b"service:a"],
        ];
        for bad in bad {
            assert!(with(bad).is_err_and(|status| status == 400), "{bad:?}");
            assert!(staff_key(&keyed(bad)).is_err_and(|problem| problem.status.as_u16() == 400), "{bad:?}");
        }
    }

    #[test]
    fn a_key_that_staff_a_service_and_a_customer_all_choose_is_three_keys() {
        let long = [b'a'; 255];
        for text in [b"k".as_slice(), b"l", &long] {
            let (of_staff, again) = (staff_key(&keyed(&[text])), staff_key(&keyed(&[text])));
            let of_staff = of_staff.unwrap_or_else(|problem| panic!("{problem:?}"));
            assert_eq!(again.ok().as_ref(), Some(&of_staff));
            assert_ne!(idempotency_key(&keyed(&[text])).ok().as_ref(), Some(&of_staff));
        }
        assert_ne!(staff_key(&keyed(&[b"k"])).ok(), staff_key(&keyed(&[b"l"])).ok());
        let key = idempotency_key(&keyed(&[b"k"])).unwrap_or_else(|problem| panic!("{problem:?}"));
        assert!(key.of_service() != key.of_staff() && key.of_service() != key);
        for theirs in [key.of_service(), key.of_staff()] {
            assert!(idempotency_key(&keyed(&[theirs.as_str().as_bytes()])).is_err(), "{theirs}");
        }
    }
}
