//! Who is calling, and what they may do.
//!
//! The API's authorizer has checked the token's signature. What it says is read
//! again here, by type, because an authorizer hands claims on as text: an array
//! that contains our issuer, a missing expiry or a claim given twice would look
//! right there (RELIABILITY S1–S16). Before a route of the SaaS nobody has
//! looked yet: there the signature is verified too, by the [`issuer`]'s keys.

mod issuer;

use crate::config::TokenRules;
use crate::http::Problem;
use billing::calendar::zone::Zone;
use billing::id::CustomerId;
use data_encoding::BASE64URL_NOPAD;
use http::header::AUTHORIZATION;
use jiff::Timestamp;
use lambda_http::Request;
use serde::de::{DeserializeOwned, Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;

pub use issuer::{IssuerKeys, NoKeys};

#[derive(Clone, Debug)]
pub struct Caller {
    pub customer: CustomerId,
    pub email: Option<String>,
    /// Where they are, as their profile says.
    pub time_zone: Option<Zone>,
}

/// What a token must allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    Read,
    Write,
    /// For a service of the SaaS, which reports what any customer uses.
    Usage,
    Admin,
}

impl Scope {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "billing:read",
            Self::Write => "billing:write",
            Self::Usage => "billing:usage",
            Self::Admin => "billing:admin",
        }
    }
}

/// No token is longer, and none is parsed that is.
const MOST_BYTES: usize = 8 * 1024;

/// The caller of `request`, if their token says all it must at `now` (by the
/// world's clock: a token knows no test clock) and allows `scope`.
pub fn caller(rules: &TokenRules, request: &Request, scope: Scope, now: Timestamp) -> Result<Caller, Problem> {
    let claims = claims(rules, request, now)?;
    claims.allow(scope)?;
    claims.caller(rules)
}

/// Why a caller whom nobody else has verified is not known.
#[derive(Debug)]
pub enum Unverified {
    Refused(Problem),
    /// Whether the signature is right cannot be told.
    NoKeys(NoKeys),
}

/// The caller whose token `authorization` is, the whole of that header, if the issuer has signed it and it says all it must
/// at `now`. What it allows is for whoever asks to decide.
pub async fn verified(
    rules: &TokenRules,
    keys: &IssuerKeys,
    authorization: &str,
    now: Timestamp,
) -> Result<Caller, Unverified> {
    let refused = |detail| Unverified::Refused(unauthorized(detail));
    let token = Token::read(rules, bearer(authorization), now).map_err(Unverified::Refused)?;
    let signature = BASE64URL_NOPAD.decode(token.signature.as_bytes()).map_err(|_| refused("its signature is none"))?;
    match keys.signed(&token.key, token.signed.as_bytes(), &signature, now).await.map_err(Unverified::NoKeys)? {
        true => token.claims.caller(rules).map_err(Unverified::Refused),
        false => Err(refused("the issuer has not signed the token")),
    }
}

/// Who reports what is used: a customer their own, and a service of the SaaS, which is none, any customer's.
pub struct Reporter {
    claims: Claims,
    customer_claim: String,
}

/// Who reports in `request`, if their token allows one or the other.
pub fn reporter(rules: &TokenRules, request: &Request, now: Timestamp) -> Result<Reporter, Problem> {
    let claims = claims(rules, request, now)?;
    claims.allow(Scope::Usage).or_else(|_| claims.allow(Scope::Write))?;
    Ok(Reporter { claims, customer_claim: rules.customer_claim.clone() })
}

impl Reporter {
    /// Whose use they report who name `subject`, or nobody.
    pub fn reports(&self, subject: Option<CustomerId>) -> Result<CustomerId, Problem> {
        match subject {
            None => self.claims.allow(Scope::Write).and_then(|()| self.claims.customer(&self.customer_claim)),
            Some(subject) => self.claims.allow(Scope::Usage).map(|()| subject),
        }
    }
}

impl fmt::Debug for Reporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reporter").finish_non_exhaustive() // what a token says is nobody's to log
    }
}

fn claims(rules: &TokenRules, request: &Request, now: Timestamp) -> Result<Claims, Problem> {
    let mut values = request.headers().get_all(AUTHORIZATION).iter();
    let value = values.next().filter(|_| values.next().is_none()).and_then(|value| value.to_str().ok());
    Ok(Token::read(rules, value.and_then(bearer), now)?.claims)
}

/// Of the value of an `Authorization` header. Several that were joined are none.
fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    (scheme.eq_ignore_ascii_case("bearer") && token.len() <= MOST_BYTES && token.bytes().all(plain)).then_some(token)
}

/// A token that says all it must. What it says is true if the key of that name has signed it.
struct Token<'a> {
    claims: Claims,
    /// The name of the issuer's key.
    key: String,
    signed: &'a str,
    signature: &'a str,
}

impl<'a> Token<'a> {
    fn read(rules: &TokenRules, token: Option<&'a str>, now: Timestamp) -> Result<Self, Problem> {
        let token = token.ok_or_else(|| unauthorized("a bearer token is needed"))?;
        let none = || unauthorized("the token is not a signed JWT");
        let (signed, signature) = token.rsplit_once('.').ok_or_else(none)?;
        let (header, claims) = signed.split_once('.').filter(|(_, claims)| !claims.contains('.')).ok_or_else(none)?;
        let key = key_of(&part(header)?)?;
        let claims: Claims = match part(claims) {
            Ok(claims) => claims,
            Err(_) if has_twice(claims) => return Err(Problem::forbidden("the token says something twice")),
            Err(problem) => return Err(problem),
        };
        claims.check(rules, now)?;
        Ok(Self { claims, key, signed, signature })
    }
}

fn part<T: DeserializeOwned>(text: &str) -> Result<T, Problem> {
    let unreadable = || unauthorized("the token cannot be read");
    let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).map_err(|_| unreadable())?;
    serde_json::from_slice(&bytes).map_err(|_| unreadable())
}

/// Only RS256, by a key that the issuer names; never by one that the token brings along.
fn key_of(header: &Claims) -> Result<String, Problem> {
    let brings_key = ["jku", "x5u", "x5c", "jwk", "crit"].iter().any(|name| header.0.contains_key(*name));
    let named = header.text("kid").filter(|key| !key.is_empty() && !brings_key && header.text("alg") == Some("RS256"));
    named.map(str::to_owned).ok_or_else(|| unauthorized("the token is not signed as it must be"))
}

fn unauthorized(detail: &str) -> Problem {
    Problem::unauthorized(detail)
}

/// A JSON object in which no name stands twice.
struct Claims(BTreeMap<String, Value>);

const TWICE: &str = "a claim stands twice";

impl<'de> Deserialize<'de> for Claims {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Once;
        impl<'de> Visitor<'de> for Once {
            type Value = Claims;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Claims, A::Error> {
                let mut claims = BTreeMap::new();
                while let Some((name, value)) = map.next_entry::<String, Value>()? {
                    if claims.insert(name, value).is_some() {
                        return Err(A::Error::custom(TWICE));
                    }
                }
                Ok(Claims(claims))
            }
        }
        deserializer.deserialize_map(Once)
    }
}

fn has_twice(text: &str) -> bool {
    let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).unwrap_or_default();
    serde_json::from_slice::<Claims>(&bytes).is_err_and(|error| error.to_string().starts_with(TWICE))
}

impl Claims {
    fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(Value::as_str)
    }

    fn check(&self, rules: &TokenRules, now: Timestamp) -> Result<(), Problem> {
        if self.text("iss") != Some(rules.issuer.as_str()) {
            return Err(unauthorized("the token is from another issuer"));
        }
        let for_us = match self.0.get("aud") {
            Some(Value::String(audience)) => *audience == rules.audience,
            Some(Value::Array(audiences)) => audiences.iter().any(|it| it.as_str() == Some(&rules.audience)),
            _ => false,
        };
        if !for_us {
            return Err(unauthorized("the token is for another audience"));
        }
        if self.is_id_token() {
            return Err(unauthorized("an ID token says who has logged in, and not what may be called"));
        }
        let seconds = |name| self.0.get(name).and_then(Value::as_i64);
        if seconds("exp").is_none_or(|exp| exp <= now.as_second()) {
            return Err(unauthorized("the token has expired"));
        }
        match self.0.contains_key("nbf") && seconds("nbf").is_none_or(|nbf| nbf > now.as_second()) {
            true => Err(unauthorized("the token is not valid yet")),
            false => Ok(()),
        }
    }

    /// Some issuers say which it is, Cognito by `token_use` and Keycloak by `typ`; of all others ID tokens have what access
    /// tokens have not (OpenID Connect Core 2, 3.1.3.6 and 3.3.2.11). Keycloak before 25 writes `nonce` into both.
    fn is_id_token(&self) -> bool {
        match (self.text("token_use"), self.text("typ")) {
            (Some("id"), _) | (_, Some("ID")) => true,
            (Some("access"), _) | (_, Some("Bearer")) => false,
            _ => ["nonce", "at_hash", "c_hash"].iter().any(|claim| self.0.contains_key(*claim)),
        }
    }

    fn allow(&self, scope: Scope) -> Result<(), Problem> {
        let scopes = self.text("scope").unwrap_or_default();
        match scopes.split(' ').any(|it| it == scope.as_str()) {
            true => Ok(()),
            false => Err(Problem::forbidden(format!("the token lacks the scope {}", scope.as_str()))),
        }
    }

    fn caller(&self, rules: &TokenRules) -> Result<Caller, Problem> {
        let (customer, email) = (self.customer(&rules.customer_claim)?, self.email(&rules.email_claim));
        Ok(Caller { customer, email, time_zone: self.time_zone() })
    }

    fn customer(&self, claim: &str) -> Result<CustomerId, Problem> {
        let customer = self.text(claim).and_then(|text| CustomerId::try_from(text.to_owned()).ok());
        customer.ok_or_else(|| Problem::forbidden("the token names no customer"))
    }

    fn email(&self, claim: &str) -> Option<String> {
        let plausible = |it: &&str| it.len() <= 254 && it.contains('@') && it.bytes().all(|b| b.is_ascii_graphic());
        self.text(claim).filter(plausible).map(str::to_owned)
    }

    /// OpenID Connect Core 5.1. What is not the name of one is as good as none: whoever wrote the profile is not the
    /// caller, who can name another.
    fn time_zone(&self) -> Option<Zone> {
        Zone::try_from(self.text("zoneinfo")?.to_owned()).ok()
    }
}

#[cfg(test)]
mod tests;
