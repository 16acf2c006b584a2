use super::*;
use lambda_http::Body;
use serde_json::json;

const NOW: i64 = 1_800_000_000;

fn rules() -> TokenRules {
    TokenRules {
        issuer: "https://issuer.example".to_owned(),
        audience: "billing".to_owned(),
        customer_claim: "sub".to_owned(),
        email_claim: "email".to_owned(),
    }
}

fn token(header: &Value, claims: &str) -> String {
    let encode = |text: &str| BASE64URL_NOPAD.encode(text.as_bytes());
    format!("{}.{}.c2ln", encode(&header.to_string()), encode(claims))
}

fn status(authorization: &[&str], scope: Scope) -> u16 {
    called(authorization, scope).map_or_else(|problem| problem.status.as_u16(), |_| 200)
}

fn called(authorization: &[&str], scope: Scope) -> Result<Caller, Problem> {
    let mut request = Request::new(Body::Empty);
    for value in authorization {
        let value = value.parse().unwrap_or_else(|error| panic!("{error}"));
        request.headers_mut().append(AUTHORIZATION, value);
    }
    let now = Timestamp::from_second(NOW).unwrap_or_default();
    caller(&rules(), &request, scope, now)
}

fn good_header() -> Value {
    json!({"alg": "RS256", "kid": "k1", "typ": "JWT"})
}

fn good_claims() -> Value {
    json!({"iss": "https://issuer.example", "aud": "billing", "sub": "acme", "exp": NOW + 60,
        "scope": "billing:read billing:write"})
}

fn with_header(change: impl FnOnce(&mut Value)) -> u16 {
    let mut header = good_header();
    change(&mut header);
    status(&[&format!("Bearer {}", token(&header, &good_claims().to_string()))], Scope::Read)
}

fn with_claims(change: impl FnOnce(&mut Value)) -> u16 {
    let mut claims = good_claims();
    change(&mut claims);
    status(&[&format!("Bearer {}", token(&good_header(), &claims.to_string()))], Scope::Write)
}

fn without(claim: &str) -> u16 {
    with_claims(|it| {
        it.as_object_mut().and_then(|it| it.remove(claim));
    })
}

#[test]
fn a_good_token_names_its_caller() {
    assert_eq!(with_claims(|_| {}), 200);
    assert_eq!(with_claims(|it| it["aud"] = json!(["other", "billing"])), 200);
}

#[test]
fn s1_s16_one_token_is_needed_and_exactly_one() {
    let good = format!("Bearer {}", token(&good_header(), &good_claims().to_string()));
    assert_eq!(status(&[], Scope::Read), 401);
    assert_eq!(status(&[&good, &good], Scope::Read), 401);
    for bad in ["", "Bearer", "Bearer ", "Basic YTpi", "Bearer a.b", "Bearer a.b.c", "Bearer a.b.c.d"] {
        assert_eq!(status(&[bad], Scope::Read), 401, "{bad}");
    }
    assert_eq!(status(&[&format!("{good}, {good}")], Scope::Read), 401);
}

#[test]
fn s2_s3_s4_only_rs256_is_accepted() {
    for alg in ["none", "nOnE", "HS256", "PS256", "ES256", "rs256", ""] {
        assert_eq!(with_header(|it| it["alg"] = alg.into()), 401, "{alg}");
    }
}

#[test]
fn s5_s6_the_key_is_the_issuers_and_never_the_tokens() {
    assert_eq!(with_header(|it| it["kid"] = Value::Null), 401);
    for name in ["jku", "x5u", "jwk", "x5c", "crit"] {
        assert_eq!(with_header(|it| it[name] = "https://evil.example".into()), 401, "{name}");
    }
}

#[test]
fn s7_s8_s9_a_token_has_a_time() {
    assert_eq!(without("exp"), 401);
    for exp in [json!(NOW), json!(NOW - 1), json!("never"), json!(i128::from(NOW + 60).to_string()), json!(null)] {
        assert_eq!(with_claims(|it| it["exp"] = exp.clone()), 401, "{exp}");
    }
    assert_eq!(with_claims(|it| it["nbf"] = (NOW + 1).into()), 401);
    assert_eq!(with_claims(|it| it["nbf"] = "now".into()), 401);
    assert_eq!(with_claims(|it| it["nbf"] = NOW.into()), 200);
}

#[test]
fn s10_s11_a_token_is_from_our_issuer_and_for_us() {
    for claim in ["aud", "iss"] {
        assert_eq!(without(claim), 401, "{claim}");
        assert_eq!(with_claims(|it| it[claim] = "other".into()), 401, "{claim}");
        assert_eq!(with_claims(|it| it[claim] = json!({"billing": "billing"})), 401, "{claim}");
    }
    assert_eq!(with_claims(|it| it["iss"] = json!(["https://issuer.example"])), 401);
}

/// It goes to who signed the customer in, and to whomever they hand it on: what it names is no permission to call anybody.
#[test]
fn a_token_that_says_who_logged_in_calls_nothing() {
    for (claim, value, status) in [
        ("token_use", json!("id"), 401), // Cognito
        ("typ", json!("ID"), 401),       // Keycloak
        ("nonce", json!("n-0S6_WzA2Mj"), 401),
        ("nonce", Value::Null, 401),
        ("at_hash", json!("77QmUPtjPfzWtF2AnpK9RQ"), 401),
        ("c_hash", json!("LDktKdoQak3Pk0cnXxCltA"), 401),
        ("token_use", json!("access"), 200),
        ("typ", json!("Bearer"), 200),
        ("auth_time", json!(NOW - 60), 200),
        ("azp", json!("app"), 200),
    ] {
        assert_eq!(with_claims(|it| it[claim] = value.clone()), status, "{claim} {value}");
    }
    // What says which it is, is that.
    for (claim, value, status) in [("typ", "Bearer", 200), ("token_use", "access", 200), ("typ", "ID", 401)] {
        let said = |it: &mut Value| (it[claim], it["nonce"]) = (value.into(), "n-0S6_WzA2Mj".into());
        assert_eq!(with_claims(said), status, "{claim} {value}");
    }
    assert_eq!(with_claims(|it| (it["typ"], it["token_use"]) = ("Bearer".into(), "id".into())), 401);
}

#[test]
fn s12_s13_a_scope_allows_what_it_says_and_nothing_else() {
    assert_eq!(without("scope"), 403);
    assert_eq!(with_claims(|it| it["scope"] = "billing:read".into()), 403);
    assert_eq!(with_claims(|it| it["scope"] = "billing:writer openid".into()), 403);
    assert_eq!(with_claims(|it| it["scope"] = json!(["billing:write"])), 403);
}

#[test]
fn s14_a_customer_is_a_name_and_not_a_pattern() {
    assert_eq!(without("sub"), 403);
    let hostile = [json!(["acme"]), json!("t1#SUB"), json!("*"), json!("a\u{0}"), json!("x".repeat(301)), json!(7)];
    for sub in hostile {
        assert_eq!(with_claims(|it| it["sub"] = sub.clone()), 403, "{sub}");
    }
}

#[test]
fn a_profile_says_where_its_caller_is_and_one_that_does_not_is_no_reason_to_refuse_them() {
    let zone = |zoneinfo: Value| {
        let mut claims = good_claims();
        claims["zoneinfo"] = zoneinfo;
        let token = format!("Bearer {}", token(&good_header(), &claims.to_string()));
        let caller = called(&[&token], Scope::Read).unwrap_or_else(|problem| panic!("{problem:?}"));
        caller.time_zone.map(|zone| zone.to_string())
    };
    assert_eq!(zone(json!("Africa/Lagos")).as_deref(), Some("Africa/Lagos"));
    for unusable in [json!("W. Europe Standard Time"), json!(""), json!(["Africa/Lagos"]), json!(null), json!(1)] {
        assert_eq!(zone(unusable.clone()), None, "{unusable}");
    }
}

#[test]
fn s15_a_claim_given_twice_is_refused() {
    let claims = good_claims().to_string().replacen('{', "{\"sub\":\"globex\",", 1);
    assert_eq!(status(&[&format!("Bearer {}", token(&good_header(), &claims))], Scope::Read), 403);
}

#[test]
fn who_reports_is_a_customer_or_a_service_and_a_service_names_whom() {
    let with = |scope: &str, customer: Value| {
        let header = json!({"alg": "RS256", "kid": "k"});
        let claims = json!({"iss": "https://issuer.example", "aud": "billing", "sub": customer, "exp": NOW + 1,
            "scope": scope});
        let mut request = Request::new(Body::Empty);
        let value = format!("Bearer {}", token(&header, &claims.to_string()));
        request.headers_mut().append(AUTHORIZATION, value.parse().unwrap_or_else(|error| panic!("{error}")));
        reporter(&rules(), &request, Timestamp::from_second(NOW).unwrap_or_default())
    };
    let customer = |name: &str| CustomerId::try_from(name.to_owned()).ok();
    let reports = |scope: &str, sub: Value, subject: Option<&str>| {
        let reports = with(scope, sub).and_then(|it| it.reports(subject.and_then(customer)));
        reports.map_or_else(|problem| problem.status.to_string(), |customer| customer.to_string())
    };
    let (write, usage, both) = ("billing:write", "billing:usage", "billing:write billing:usage");
    assert_eq!(reports(write, json!("acme"), None), "acme");
    assert_eq!(reports(write, json!("acme"), Some("globex")), "403 Forbidden");
    assert_eq!(reports(usage, json!("acme"), Some("globex")), "globex");
    assert_eq!(reports(usage, json!("acme"), None), "403 Forbidden");
    assert_eq!(reports(usage, Value::Null, Some("globex")), "globex", "a service need not be a customer");
    assert_eq!([reports(both, json!("acme"), None), reports(both, json!("acme"), Some("globex"))], ["acme", "globex"]);
    assert!(with("billing:read billing:admin", json!("acme")).is_err_and(|it| it.status.as_u16() == 403));
}
