//! What was verified before need not be again: an Ed25519 signature takes tens
//! of microseconds, and the same token comes with every request of its customer.

use crate::{Entitlements, Error, Verifier};
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::SystemTime;

/// A verifier that remembers what it has verified, by the token's whole text. Whose it is and whether it has expired is
/// asked each time. A new one, with fresh keys, remembers nothing that was signed with those before.
#[derive(Debug)]
pub struct Cache {
    verifier: Verifier,
    /// Of each generation.
    most: usize,
    known: RwLock<Generations>,
}

/// When the young are many they become the old, and the old are forgotten: no token is looked for to make room.
#[derive(Debug, Default)]
struct Generations {
    young: Known,
    old: Known,
}

/// By the signature, which is a fraction of the text to hash. Only what was verified is here, so nobody chooses the keys.
type Known = HashMap<Box<str>, Verified>;

#[derive(Debug)]
struct Verified {
    /// What the signature is of.
    signed: Box<str>,
    entitlements: Arc<Entitlements>,
}

impl Cache {
    /// Remembers at most `most` tokens, of some kilobytes each, and two at least.
    pub fn new(verifier: Verifier, most: usize) -> Self {
        Self { verifier, most: most / 2, known: RwLock::default() }
    }

    /// The same as [`Verifier::verify`].
    pub fn verify(&self, token: &str, customer: &str, now: SystemTime) -> Result<Arc<Entitlements>, Error> {
        let (signed, signature) = token.rsplit_once('.').ok_or(Error::Malformed)?;
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner).find(signed, signature);
        if let Some(entitlements) = known {
            entitlements.check(customer, now)?;
            return Ok(entitlements);
        }
        let entitlements = Arc::new(self.verifier.verify(token, customer, now)?);
        let verified = Verified { signed: signed.into(), entitlements: entitlements.clone() };
        self.known.write().unwrap_or_else(PoisonError::into_inner).insert(signature, verified, self.most);
        Ok(entitlements)
    }
}

#[cfg(test)]
impl Cache {
    pub(crate) fn remembered(&self) -> usize {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.young.len() + known.old.len()
    }
}

impl Generations {
    fn find(&self, signed: &str, signature: &str) -> Option<Arc<Entitlements>> {
        let found = self.young.get(signature).or_else(|| self.old.get(signature))?;
        (*found.signed == *signed).then(|| found.entitlements.clone())
    }

    fn insert(&mut self, signature: &str, verified: Verified, most: usize) {
        if self.young.len() >= most {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(signature.into(), verified);
    }
}
