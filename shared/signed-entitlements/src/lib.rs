//! What a customer of Perennial may use, read from a *signed entitlement*: the
//! token of `GET /entitlements/token`. It is checked here without calling
//! anybody, against the keys of `GET /.well-known/jwks.json`.
//!
//! ```no_run
//! use signed_entitlements::{Cache, Verifier};
//! use std::time::SystemTime;
//!
//! # fn fetched() -> String { String::new() }
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let (token, signed_in) = ("", "");
//! let keys = fetched(); // from /.well-known/jwks.json, again every five minutes
//! let cache = Cache::new(Verifier::new("perennial-dev", &keys)?, 10_000);
//!
//! let now = SystemTime::now();
//! let entitlements = cache.verify(token, signed_in, now)?;
//! if entitlements.allows("analytics", now) { /* … */ }
//! # Ok(())
//! # }
//! ```
//!
//! Nothing here has a clock, calls anyone or keeps a key secret: what time it is,
//! who is signed in and how the keys are fetched, whoever uses it says. A token
//! is good until it expires, to the second; it may have been issued up to
//! [`LEEWAY`] after `now`, for clocks that are behind.

mod cache;
mod entitlements;
mod keys;
#[cfg(test)]
mod tests;

pub use cache::Cache;
pub use entitlements::{Entitlements, Limit};
pub use keys::KeysError;

use data_encoding::BASE64URL_NOPAD;
use keys::Keys;
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use std::time::{Duration, SystemTime};

/// No token is longer, and none is read that is.
pub const MOST_BYTES: usize = 64 * 1024;

/// How far the clock here may be behind the issuer's.
pub const LEEWAY: Duration = Duration::from_secs(60);

/// What `typ` of a token says: no other that the same issuer might sign is taken for one.
const TYPE: &str = "entitlements+jwt";

/// What `aud` of a token says: it is for whoever asks what a customer may use, and lets nobody in.
const AUDIENCE: &str = "entitlements";

/// Why a token is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("the token is too long")]
    TooLong,
    #[error("the token cannot be read")]
    Malformed,
    #[error("the token is not signed as it must be: EdDSA, of type entitlements+jwt, and nothing critical")]
    OtherKind,
    /// If its keys are not fresh: they may have been rotated.
    #[error("the token is signed with a key that is not known")]
    UnknownKey,
    #[error("the token's signature is wrong")]
    Forged,
    #[error("the token is from another issuer")]
    OtherIssuer,
    #[error("the token is for another audience")]
    OtherAudience,
    #[error("the token is another customer's")]
    OtherCustomer,
    #[error("the token is not valid yet")]
    NotYetValid,
    #[error("the token has expired")]
    Expired,
}

/// The keys of one issuer, and its name.
#[derive(Debug)]
pub struct Verifier {
    issuer: String,
    keys: Keys,
}

impl Verifier {
    /// `jwks`: the text of `/.well-known/jwks.json`. A rotated key is known to a new verifier.
    pub fn new(issuer: impl Into<String>, jwks: &str) -> Result<Self, KeysError> {
        Ok(Self { issuer: issuer.into(), keys: Keys::parse(jwks)? })
    }

    /// What `customer` may use, whom the caller knows from elsewhere: the token does not say who is asking.
    pub fn verify(&self, token: &str, customer: &str, now: SystemTime) -> Result<Entitlements, Error> {
        let entitlements = self.read(token)?;
        entitlements.check(customer, now)?;
        Ok(entitlements)
    }

    /// What a token of ours says, whosever it is and whenever.
    fn read(&self, token: &str) -> Result<Entitlements, Error> {
        if token.len() > MOST_BYTES {
            return Err(Error::TooLong);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(Error::Malformed)?;
        let (header, claims) = signed.split_once('.').filter(|(_, it)| !it.contains('.')).ok_or(Error::Malformed)?;
        let header: Header = part(header)?;
        if header.alg != "EdDSA" || header.typ.as_deref() != Some(TYPE) || header.crit.is_some() {
            return Err(Error::OtherKind);
        }
        let key = header.kid.as_deref().and_then(|kid| self.keys.get(kid)).ok_or(Error::UnknownKey)?;
        key.verify(signed.as_bytes(), &decode(signature)?).map_err(|_| Error::Forged)?;
        let claims: entitlements::Claims = part(claims)?;
        match (claims.iss == self.issuer, claims.aud == AUDIENCE) {
            (false, _) => Err(Error::OtherIssuer),
            (true, false) => Err(Error::OtherAudience),
            (true, true) => Entitlements::try_from(claims),
        }
    }
}

/// What a key that it brings along says is never looked at.
#[derive(Deserialize)]
struct Header {
    alg: String,
    typ: Option<String>,
    kid: Option<String>,
    crit: Option<IgnoredAny>,
}

fn part<T: DeserializeOwned>(text: &str) -> Result<T, Error> {
    serde_json::from_slice(&decode(text)?).map_err(|_| Error::Malformed)
}

fn decode(text: &str) -> Result<Vec<u8>, Error> {
    BASE64URL_NOPAD.decode(text.as_bytes()).map_err(|_| Error::Malformed)
}
