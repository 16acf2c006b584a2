//! The payment methods a customer has left with the gateways. No card data:
//! a gateway's token, and what a person recognises the card by.

use crate::id::CustomerId;
use crate::payment::Gateway;
use serde::{Deserialize, Serialize};

/// What a renewal is charged to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Method {
    pub gateway: Gateway,
    /// Stripe: `pm_…`. Paystack: the authorization code.
    pub token: String,
    /// Whom the gateway knows the token to belong to, and without whom it is
    /// refused. Stripe: `cus_…`. Paystack: the e-mail of that very payment.
    pub payer: String,
    pub card: Card,
}

/// A card as a person knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Card {
    pub brand: String,
    pub last4: String,
    pub exp_month: u8,
    pub exp_year: u16,
    /// The same for the same card, where the gateway tells: a card paid with
    /// twice is shown once.
    pub fingerprint: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wallet {
    pub customer: CustomerId,
    /// Newest last; the last is the default.
    pub methods: Vec<Method>,
    pub version: u64,
}

/// Older methods beyond these are forgotten: a wallet is read with every charge.
const MOST_METHODS: usize = 20;

impl Wallet {
    pub fn empty(customer: CustomerId) -> Self {
        Self { customer, methods: vec![], version: 0 }
    }

    /// The method that renewals are charged to.
    pub fn default_method(&self) -> Option<&Method> {
        self.methods.last()
    }

    /// The methods in the order in which a charge is tried on them.
    pub fn newest_first(&self) -> impl Iterator<Item = &Method> {
        self.methods.iter().rev()
    }

    /// The name under which `gateway` knows the customer already.
    pub fn payer(&self, gateway: Gateway) -> Option<&str> {
        self.methods.iter().rev().find(|method| method.gateway == gateway).map(|method| method.payer.as_str())
    }

    /// The wallet with `method` as its default, or nothing if it is that already.
    ///
    /// A gateway may issue a new token each time one card is used: the newest
    /// replaces the older of the same card and payer.
    #[must_use]
    pub fn remembering(&self, method: Method) -> Option<Self> {
        if self.methods.last() == Some(&method) {
            return None;
        }
        let same = |known: &Method| {
            let same_card = known.card.fingerprint.is_some() && known.card.fingerprint == method.card.fingerprint;
            known.gateway == method.gateway
                && (known.token == method.token || (same_card && known.payer == method.payer))
        };
        let mut methods: Vec<Method> = self.methods.iter().filter(|known| !same(known)).cloned().collect();
        methods.push(method);
        methods.drain(..methods.len().saturating_sub(MOST_METHODS));
        Some(Self { methods, ..self.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{customer, method};

    fn wallet(tokens: &[&str]) -> Wallet {
        let start = Wallet::empty(customer());
        tokens.iter().fold(start, |wallet, token| wallet.remembering(method(token)).unwrap_or(wallet))
    }

    #[test]
    fn the_method_paid_with_last_is_the_default() {
        let wallet = wallet(&["AUTH_1", "AUTH_2"]);
        assert_eq!(wallet.default_method().map(|it| it.token.as_str()), Some("AUTH_2"));
        assert_eq!(wallet.remembering(method("AUTH_2")), None);
    }

    #[test]
    fn one_card_is_kept_once_whatever_its_token() {
        let card = |token: &str| {
            let plain = method(token);
            Method { card: Card { fingerprint: Some("SIG_1".to_owned()), ..plain.card }, ..plain }
        };
        let wallet = wallet(&[]).remembering(card("AUTH_1")).and_then(|it| it.remembering(card("AUTH_2")));
        let tokens = wallet.map(|it| it.methods.into_iter().map(|it| it.token).collect::<Vec<_>>());
        assert_eq!(tokens, Some(vec!["AUTH_2".to_owned()]));
    }

    #[test]
    fn a_wallet_does_not_grow_for_ever() {
        let tokens: Vec<String> = (0..50).map(|n| format!("AUTH_{n}")).collect();
        let wallet = wallet(&tokens.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(wallet.methods.len(), MOST_METHODS);
        assert_eq!(wallet.default_method().map(|it| it.token.as_str()), Some("AUTH_49"));
    }
}
