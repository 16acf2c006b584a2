//! The payment methods a customer has left with the gateways. No card data:
//! a gateway's token, and what a person recognises the card by.

use crate::dunning::after;
use crate::id::{CustomerId, MethodId};
use crate::payment::{Gateway, backoff};
use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

/// What a renewal is charged to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Method {
    pub gateway: Gateway,
    /// Stripe: `pm_…`. Paystack: the authorization code. Flitt: the rectoken. PayPal: the vault id.
    pub token: String,
    /// Whom the gateway knows the token to belong to, and without whom it is
    /// refused. Stripe: `cus_…`. Paystack: the e-mail of that very payment.
    /// PayPal: its customer's id. Flitt knows no customers: empty.
    pub payer: String,
    pub instrument: Instrument,
}

/// What the customer recognises a method by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Instrument {
    Card(Card),
    /// An account with a wallet service: PayPal.
    Account {
        /// Its e-mail as far as may be shown: `b…@acme.example`.
        label: Option<String>,
    },
}

/// A card as a person knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Card {
    pub brand: String,
    pub last4: String,
    /// None where the gateway does not tell.
    pub expires: Option<Expiry>,
    /// The same for the same card, where the gateway tells: a card paid with
    /// twice is shown once.
    pub fingerprint: Option<String>,
}

/// The last month in which a card is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Expiry {
    pub year: u16,
    pub month: u8,
}

impl Expiry {
    /// None: not a month.
    pub fn new(year: u16, month: u8) -> Option<Self> {
        (2000..=2999).contains(&year).then_some(())?;
        (1..=12).contains(&month).then_some(Self { year, month })
    }

    /// Whether the card is good on `day`.
    pub fn covers(self, day: Date) -> bool {
        (i32::from(day.year()), i32::from(day.month())) <= (i32::from(self.year), i32::from(self.month))
    }
}

impl Method {
    /// The same for the same card of the same payer, whatever token a gateway issues for it next.
    pub fn id(&self) -> MethodId {
        let lasting = match &self.instrument {
            Instrument::Card(Card { fingerprint: Some(fingerprint), .. }) => fingerprint,
            Instrument::Card(_) | Instrument::Account { .. } => &self.token,
        };
        MethodId::of(self.gateway.as_str(), &self.payer, lasting)
    }

    pub fn card(&self) -> Option<&Card> {
        match &self.instrument {
            Instrument::Card(card) => Some(card),
            Instrument::Account { .. } => None,
        }
    }

    /// Whether it stops working before `then`.
    pub fn expires_before(&self, then: Date) -> bool {
        self.card().and_then(|card| card.expires).is_some_and(|expiry| !expiry.covers(then))
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wallet {
    pub customer: CustomerId,
    /// The last is the default: the one paid with last, unless the customer chose another.
    pub methods: Vec<Method>,
    /// Removed here, and still to be forgotten by their gateways.
    pub leaving: Vec<Leaving>,
    /// How many times a method was set up without buying; their payments are numbered by it.
    pub setups: u32,
    pub version: u64,
}

/// A method that the customer removed. It is charged no more from that moment;
/// its gateway is told until it has heard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leaving {
    pub method: Method,
    pub check_at: Timestamp,
    pub tries: u32,
}

/// Older methods beyond these are forgotten: a wallet is read with every charge.
const MOST_METHODS: usize = 20;

impl Wallet {
    pub fn empty(customer: CustomerId) -> Self {
        Self { customer, methods: vec![], leaving: vec![], setups: 0, version: 0 }
    }

    /// The method that renewals are charged to.
    pub fn default_method(&self) -> Option<&Method> {
        self.methods.last()
    }

    /// The methods in the order in which a charge is tried on them.
    pub fn by_preference(&self) -> impl Iterator<Item = &Method> {
        self.methods.iter().rev()
    }

    pub fn method(&self, id: &MethodId) -> Option<&Method> {
        self.methods.iter().find(|method| method.id() == *id)
    }

    /// The name under which `gateway` knows the customer already.
    pub fn payer(&self, gateway: Gateway) -> Option<&str> {
        let left = self.leaving.iter().map(|it| &it.method);
        let known = self.methods.iter().rev().chain(left).find(|method| method.gateway == gateway);
        known.map(|method| method.payer.as_str()).filter(|payer| !payer.is_empty())
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
            known.id() == method.id() || (known.gateway == method.gateway && known.token == method.token)
        };
        let mut methods: Vec<Method> = self.methods.iter().filter(|known| !same(known)).cloned().collect();
        // Some gateways name a card that comes back as they did before: it is to be forgotten no more.
        let mut leaving = self.leaving.clone();
        leaving.retain(|it| (it.method.gateway, &it.method.token) != (method.gateway, &method.token));
        methods.push(method);
        methods.drain(..methods.len().saturating_sub(MOST_METHODS));
        Some(Self { methods, leaving, ..self.clone() })
    }

    /// The wallet with the newest token of a method that it holds, in its place. None: nothing is new, or the customer
    /// has removed the method.
    #[must_use]
    pub fn refreshing(&self, method: Method) -> Option<Self> {
        let at = self.methods.iter().position(|known| known.id() == method.id())?;
        let mut next = self.clone();
        let known = next.methods.get_mut(at).filter(|known| **known != method)?;
        *known = method;
        Some(next)
    }

    /// The wallet with a method of which a gateway tells by itself as its default, or nothing if the customer has it
    /// or has removed it: what they chose stands.
    #[must_use]
    pub fn meeting(&self, method: &Method) -> Option<Self> {
        let same = |known: &Method| {
            known.id() == method.id() || (known.gateway == method.gateway && known.token == method.token)
        };
        let met = self.methods.iter().chain(self.leaving.iter().map(|it| &it.method)).any(same);
        if met { None } else { self.remembering(method.clone()) }
    }

    /// The wallet with the method called `id` as its default. None: it holds no such method.
    #[must_use]
    pub fn preferring(&self, id: &MethodId) -> Option<Self> {
        let at = self.methods.iter().position(|method| method.id() == *id)?;
        let mut methods = self.methods.clone();
        let method = methods.remove(at);
        methods.push(method);
        Some(Self { methods, ..self.clone() })
    }

    /// The wallet without the method called `id`, whose gateway is to be told. None: it holds no such method.
    #[must_use]
    pub fn without(&self, id: &MethodId, now: Timestamp) -> Option<Self> {
        let method = self.method(id)?.clone();
        let mut next = self.clone();
        next.methods.retain(|known| known.id() != *id);
        next.leaving.push(Leaving { method, check_at: now, tries: 0 });
        Some(next)
    }

    /// When a gateway is next to be told that a method was removed.
    pub fn due_at(&self) -> Option<Timestamp> {
        self.leaving.iter().map(|it| it.check_at).min()
    }

    /// The wallet when the gateway of `method` has forgotten it.
    #[must_use]
    pub fn forgotten(mut self, method: &Method) -> Self {
        self.leaving.retain(|it| it.method != *method);
        self
    }

    /// The wallet when the gateway of `method` did not answer: it is told again later.
    #[must_use]
    pub fn forgetting_later(mut self, method: &Method, now: Timestamp) -> Self {
        for it in self.leaving.iter_mut().filter(|it| it.method == *method) {
            it.check_at = after(now, backoff(it.tries));
            it.tries = it.tries.saturating_add(1);
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{customer, instant, method};
    use jiff::civil::date;

    fn wallet(tokens: &[&str]) -> Wallet {
        let start = Wallet::empty(customer());
        tokens.iter().fold(start, |wallet, token| wallet.remembering(method(token)).unwrap_or(wallet))
    }

    fn default_token(wallet: &Wallet) -> Option<&str> {
        wallet.default_method().map(|it| it.token.as_str())
    }

    #[test]
    fn the_method_paid_with_last_is_the_default() {
        let wallet = wallet(&["AUTH_1", "AUTH_2"]);
        assert_eq!(default_token(&wallet), Some("AUTH_2"));
        assert_eq!(wallet.remembering(method("AUTH_2")), None);
    }

    #[test]
    fn another_default_can_be_chosen() {
        let wallet = wallet(&["AUTH_1", "AUTH_2", "AUTH_3"]);
        let chosen = wallet.preferring(&method("AUTH_1").id());
        assert_eq!(chosen.as_ref().and_then(default_token), Some("AUTH_1"));
        assert_eq!(wallet.preferring(&method("AUTH_9").id()), None);
    }

    #[test]
    fn a_removed_method_leaves_at_once_and_its_gateway_is_told_until_it_hears() {
        let now = instant("2026-01-31T12:00:00Z");
        let wallet = wallet(&["AUTH_1", "AUTH_2"]);
        let Some(without) = wallet.without(&method("AUTH_2").id(), now) else { panic!("it was there") };
        assert_eq!(default_token(&without), Some("AUTH_1"));
        assert_eq!(without.due_at(), Some(now));
        let later = without.forgetting_later(&method("AUTH_2"), now);
        assert!(later.due_at() > Some(now));
        assert_eq!(later.forgotten(&method("AUTH_2")).due_at(), None);
    }

    #[test]
    fn a_method_that_comes_back_is_not_forgotten_after_all() {
        let now = instant("2026-01-31T12:00:00Z");
        let back = wallet(&["AUTH_1"]).without(&method("AUTH_1").id(), now);
        let back = back.and_then(|it| it.remembering(method("AUTH_1")));
        assert_eq!(back.map(|it| (it.methods.len(), it.due_at())), Some((1, None)));
    }

    #[test]
    fn one_card_is_kept_once_whatever_its_token() {
        let wallet = wallet(&[]).remembering(card("AUTH_1")).and_then(|it| it.remembering(card("AUTH_2")));
        let tokens = wallet.map(|it| it.methods.into_iter().map(|it| it.token).collect::<Vec<_>>());
        assert_eq!(tokens, Some(vec!["AUTH_2".to_owned()]));
        assert_eq!(card("AUTH_1").id(), card("AUTH_2").id());
    }

    #[test]
    fn a_wallet_does_not_grow_for_ever() {
        let tokens: Vec<String> = (0..50).map(|n| format!("AUTH_{n}")).collect();
        let wallet = wallet(&tokens.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(wallet.methods.len(), MOST_METHODS);
        assert_eq!(default_token(&wallet), Some("AUTH_49"));
    }

    #[test]
    fn a_card_is_good_to_the_end_of_its_month() {
        let Some(expiry) = Expiry::new(2026, 2) else { panic!("a month") };
        assert!(expiry.covers(date(2026, 2, 28)) && expiry.covers(date(2025, 12, 31)));
        assert!(!expiry.covers(date(2026, 3, 1)) && !expiry.covers(date(2027, 1, 1)));
        assert_eq!(Expiry::new(2026, 13), None);
    }

    #[test]
    fn what_expires_is_told_before_it_does_and_what_never_does_is_not() {
        let (card, last_day) = (method("AUTH_1"), date(2030, 4, 30));
        assert_eq!(card.card().map(|card| card.last4.as_str()), Some("4081"));
        let next_day = date(2030, 5, 1);
        assert_eq!([last_day, next_day].map(|day| card.expires_before(day)), [false, true]);
        let account = Method { instrument: Instrument::Account { label: None }, ..card };
        assert_eq!((account.card(), account.expires_before(next_day)), (None, false));
    }

    #[test]
    fn a_gateway_knows_the_customer_by_the_name_of_the_newest_method_there() {
        let now = instant("2026-01-31T12:00:00Z");
        let named = |gateway, payer: &str, token: &str| Method {
            payer: payer.to_owned(),
            ..crate::testing::method_at(gateway, token)
        };
        let all = [
            named(Gateway::Stripe, "cus_1", "pm_1"),
            named(Gateway::Stripe, "cus_2", "pm_2"),
            named(Gateway::Flitt, "", "rectoken"),
        ];
        let wallet = all.iter().fold(Wallet::empty(customer()), |it, method| {
            it.remembering(method.clone()).unwrap_or_else(|| panic!("it is new"))
        });
        let known = |wallet: &Wallet| Gateway::ALL.map(|it| (it, wallet.payer(it).map(str::to_owned)));
        for (gateway, payer) in known(&wallet) {
            // Flitt knows no customers.
            assert_eq!(payer.as_deref(), (gateway == Gateway::Stripe).then_some("cus_2"), "{gateway:?}");
        }
        // Who has removed all of them is known there still.
        let without = all.iter().try_fold(wallet, |it, method| it.without(&method.id(), now));
        let without = without.unwrap_or_else(|| panic!("they were there"));
        assert_eq!((without.methods.len(), without.payer(Gateway::Stripe)), (0, Some("cus_1")));
    }

    #[test]
    fn one_token_is_kept_once_whoever_it_is_said_to_belong_to() {
        let other = Method { payer: "ada@acme.example".to_owned(), ..method("AUTH_1") };
        let elsewhere = crate::testing::method_at(Gateway::Stripe, "AUTH_1");
        let kept = |next: &Method| {
            let wallet = wallet(&["AUTH_1", "AUTH_2"]).remembering(next.clone());
            wallet.map(|it| it.methods.into_iter().map(|it| it.payer).collect::<Vec<_>>())
        };
        let payer = method("AUTH_2").payer;
        assert_eq!(kept(&other), Some(vec![payer.clone(), "ada@acme.example".to_owned()]));
        assert_eq!(kept(&elsewhere), Some(vec![payer.clone(), payer.clone(), payer]));
    }

    /// One card, whatever its token.
    fn card(token: &str) -> Method {
        let plain = method(token);
        let Instrument::Card(card) = plain.instrument.clone() else { panic!("a card") };
        Method { instrument: Instrument::Card(Card { fingerprint: Some("SIG_1".to_owned()), ..card }), ..plain }
    }

    #[test]
    fn a_new_token_of_a_card_takes_the_place_of_the_old_one() {
        let held = wallet(&[]).remembering(card("AUTH_1")).and_then(|it| it.remembering(method("AUTH_2")));
        let held = held.unwrap_or_else(|| panic!("both are new"));
        let tokens = |wallet: Wallet| wallet.methods.into_iter().map(|it| it.token).collect::<Vec<_>>();
        assert_eq!(held.refreshing(card("AUTH_9")).map(tokens), Some(vec!["AUTH_9".to_owned(), "AUTH_2".to_owned()]));
        assert_eq!([held.refreshing(card("AUTH_1")), held.refreshing(method("AUTH_3"))], [None, None]);
    }

    #[test]
    fn what_a_gateway_tells_of_by_itself_changes_nothing_that_was_chosen() {
        let now = instant("2026-01-31T12:00:00Z");
        let held = wallet(&[]).remembering(card("AUTH_1")).and_then(|it| it.remembering(method("AUTH_2")));
        let held = held.unwrap_or_else(|| panic!("both are new"));
        let removed = held.without(&card("AUTH_1").id(), now).unwrap_or_else(|| panic!("it was there"));
        let same_token = Method { payer: "ada@acme.example".to_owned(), ..method("AUTH_2") };
        for wallet in [&held, &removed] {
            for met in [card("AUTH_1"), card("AUTH_9"), method("AUTH_2"), same_token.clone()] {
                assert_eq!(wallet.meeting(&met), None, "{}", met.token);
            }
            let elsewhere = crate::testing::method_at(Gateway::Stripe, "AUTH_2");
            for new in [method("AUTH_3"), elsewhere] {
                assert_eq!(wallet.meeting(&new).and_then(|it| it.default_method().cloned()), Some(new));
            }
        }
    }
}
