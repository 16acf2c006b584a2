//! The issuer's public keys, as a JWK set (RFC 7517, 8037). Those of other kinds are passed over.

use data_encoding::BASE64URL_NOPAD;
use ring::signature::{ED25519, UnparsedPublicKey};
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::collections::BTreeMap;

/// A set is longer by mistake only.
const MOST_BYTES: usize = 64 * 1024;

pub(crate) type Key = UnparsedPublicKey<[u8; 32]>;

/// By their `kid`.
#[derive(Debug)]
pub(crate) struct Keys(BTreeMap<String, Key>);

/// Why a set of keys is refused, whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeysError {
    #[error("the keys are not a JWK set")]
    Malformed,
    #[error("an Ed25519 key is not 32 bytes, or has no name of its own")]
    BadKey,
    #[error("a private key is among the keys: it must be rotated")]
    Private,
    #[error("there is no Ed25519 key for signatures")]
    None,
}

#[derive(Deserialize)]
struct Set {
    keys: Vec<Jwk>,
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    crv: Option<String>,
    x: Option<String>,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    d: Option<IgnoredAny>,
}

impl Keys {
    pub(crate) fn parse(jwks: &str) -> Result<Self, KeysError> {
        if jwks.len() > MOST_BYTES {
            return Err(KeysError::Malformed);
        }
        let Set { keys } = serde_json::from_str(jwks).map_err(|_| KeysError::Malformed)?;
        let mut found = BTreeMap::new();
        for key in keys.into_iter().filter(Jwk::is_for_us) {
            let (kid, key) = key.read()?;
            if found.insert(kid, key).is_some() {
                return Err(KeysError::BadKey);
            }
        }
        if found.is_empty() { Err(KeysError::None) } else { Ok(Self(found)) }
    }

    pub(crate) fn get(&self, kid: &str) -> Option<&Key> {
        self.0.get(kid)
    }
}

impl Jwk {
    fn is_for_us(&self) -> bool {
        let says = |field: &Option<String>, value| field.as_deref().is_none_or(|it| it == value);
        let ed25519 = self.kty == "OKP" && self.crv.as_deref() == Some("Ed25519");
        ed25519 && says(&self.alg, "EdDSA") && says(&self.purpose, "sig")
    }

    fn read(self) -> Result<(String, Key), KeysError> {
        if self.d.is_some() {
            return Err(KeysError::Private);
        }
        let kid = self.kid.filter(|kid| !kid.is_empty()).ok_or(KeysError::BadKey)?;
        let x = self.x.and_then(|x| BASE64URL_NOPAD.decode(x.as_bytes()).ok());
        let x: [u8; 32] = x.and_then(|x| x.try_into().ok()).ok_or(KeysError::BadKey)?;
        Ok((kid, UnparsedPublicKey::new(&ED25519, x)))
    }
}
