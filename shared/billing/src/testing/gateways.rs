//! Gateways in memory. They remember every charge by its reference, forget
//! nothing, and can be told to decline, to be silent before or after acting,
//! or to take another amount than was asked for.

use super::{lock, method_at};
use crate::account::{Incoming, VirtualAccount};
use crate::driven::Seen;
use crate::id::Reference;
use crate::money::{Currency, Money};
use crate::outcome::{
    Aftermath, Decline, Dispute, DisputeStanding, Outcome, Receipt, RefundOutcome, Remedy, Sighting, Stage,
};
use crate::payment::{Address, BankAccount, Collection, Gateway, Opened, Payment, Refund};
use crate::ports::{GatewayError, Gateways};
use crate::wallet::Method;
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Mutex;

#[derive(Debug, Default)]
pub struct FakeGateways(Mutex<State>);

impl Clone for FakeGateways {
    fn clone(&self) -> Self {
        Self(Mutex::new(lock(&self.0).clone()))
    }
}

#[derive(Clone, Debug, Default)]
struct State {
    charges: BTreeMap<Reference, Charge>,
    forgotten: Vec<String>,
    closed: Vec<Reference>,
    nameless: bool,
    renewed: Option<String>,
    transfers: Vec<Incoming>,
    taken_back: BTreeMap<String, i64>,
    driven: BTreeMap<String, Seen>,
    down: BTreeSet<Gateway>,
    without_keys: BTreeSet<Gateway>,
    refusing: bool,
    refusing_refunds: bool,
    delaying_refunds: bool,
    script: VecDeque<Script>,
    fate: Option<(u64, Fate)>,
    calls: u32,
    fail_from: Option<u32>,
}

/// One charge, as the gateway's own books have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Charge {
    pub gateway: Gateway,
    pub status: ChargeStatus,
    pub amount: Money,
    /// By the name each goes by: minor units that went back.
    pub refunds: BTreeMap<String, i64>,
    pub dispute: Option<DisputeStanding>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChargeStatus {
    Open,
    Succeeded,
    Declined(Remedy),
    Closed,
}

/// What the next charge is to meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Script {
    Decline(Remedy),
    /// Charged, and never answered.
    SilentAfter,
    /// Not charged, and never answered.
    SilentBefore,
    TakesInstead(i64),
}

/// What a charge is to meet, by the payment and a seed: the same in whatever order charges are made.
pub type Fate = fn(u64, &Payment) -> Option<Script>;

impl FakeGateways {
    /// Whatever is not scripted goes by `fate`.
    pub fn decide_by(&self, fate: Fate, seed: u64) {
        lock(&self.0).fate = Some((seed, fate));
    }

    pub fn next(&self, script: Script) {
        lock(&self.0).script.push_back(script);
    }

    /// From the `call`th call on (counted from 0, all kinds alike), nothing reaches the gateway.
    pub fn fail_from(&self, call: Option<u32>) {
        let mut state = lock(&self.0);
        (state.calls, state.fail_from) = (0, call);
    }

    /// Nothing reaches `gateway` until it is `up` again.
    pub fn set_up(&self, gateway: Gateway, up: bool) {
        let down = &mut lock(&self.0).down;
        _ = if up { down.remove(&gateway) } else { down.insert(gateway) };
    }

    /// This deployment has no keys for `gateway` until they are put back.
    pub fn set_keys(&self, gateway: Gateway, kept: bool) {
        let without = &mut lock(&self.0).without_keys;
        _ = if kept { without.remove(&gateway) } else { without.insert(gateway) };
    }

    /// Whatever they are asked to charge, they say that they would not.
    pub fn refuse(&self, refusing: bool) {
        lock(&self.0).refusing = refusing;
    }

    pub fn refuse_refunds(&self, refusing: bool) {
        lock(&self.0).refusing_refunds = refusing;
    }

    /// Refunds are under way, and stay so.
    pub fn delay_refunds(&self, delaying: bool) {
        lock(&self.0).delaying_refunds = delaying;
    }

    /// The customer's bank opens or decides a dispute about `payment`.
    pub fn dispute(&self, payment: &Payment, standing: DisputeStanding) {
        if let Some(charge) = lock(&self.0).charges.get_mut(&payment.reference) {
            charge.dispute = Some(standing);
        }
    }

    /// Someone gives money back on the gateway's own pages.
    pub fn refund_by_hand(&self, payment: &Payment, minor: i64) {
        if let Some(charge) = lock(&self.0).charges.get_mut(&payment.reference) {
            charge.refunds.insert(format!("by hand {}", charge.refunds.len()), minor);
        }
    }

    /// Someone transfers money to the customer's account; the gateway says so whenever it is asked.
    pub fn transfer(&self, reference: &str, amount: Money) {
        let receipt = Receipt { id: reference.to_owned(), amount };
        let at = Timestamp::UNIX_EPOCH;
        lock(&self.0).transfers.push(Incoming { reference: reference.to_owned(), receipt, sender: None, at });
    }

    /// A subscription that the gateway drives is, or has become, what `seen` says. Stripe drives them all.
    pub fn drive(&self, seen: Seen) {
        lock(&self.0).driven.insert(seen.id.clone(), seen);
    }

    /// Of the transfer with that reference, `minor` units went back on the gateway's own pages.
    pub fn took_back(&self, reference: &str, minor: i64) {
        lock(&self.0).taken_back.insert(reference.to_owned(), minor);
    }

    pub fn charges(&self) -> BTreeMap<Reference, Charge> {
        lock(&self.0).charges.clone()
    }

    /// The tokens that gateways were told to forget.
    pub fn forgotten(&self) -> Vec<String> {
        lock(&self.0).forgotten.clone()
    }

    /// The pages that gateways were told to close, whether they can or not.
    pub fn closed(&self) -> Vec<Reference> {
        lock(&self.0).closed.clone()
    }

    /// What was paid with, they say whenever they are asked, or not yet.
    pub fn name_methods(&self, naming: bool) {
        lock(&self.0).nameless = !naming;
    }

    /// What is charged from now on has this token afterwards.
    pub fn renew_tokens(&self, token: &str) {
        lock(&self.0).renewed = Some(token.to_owned());
    }

    /// How many charges took money.
    pub fn taken(&self) -> usize {
        lock(&self.0).charges.values().filter(|charge| charge.status == ChargeStatus::Succeeded).count()
    }

    /// The customer pays on the page, or the bank declines them there.
    pub fn visit(&self, payment: &Payment, paying: bool) {
        let mut state = lock(&self.0);
        if let Some(charge) = state.charges.get_mut(&payment.reference)
            && charge.status != ChargeStatus::Closed
            && charge.status != ChargeStatus::Succeeded
        {
            charge.status = match paying {
                true => ChargeStatus::Succeeded,
                false => ChargeStatus::Declined(Remedy::RetryLater),
            };
        }
    }
}

impl State {
    fn reach(&mut self, gateway: Gateway) -> Result<(), GatewayError> {
        self.calls += 1;
        match self.fail_from {
            Some(from) if self.calls > from => Err(silent()),
            Some(_) | None if self.down.contains(&gateway) => Err(silent()),
            Some(_) | None => Ok(()),
        }
    }

    fn sighting(&self, payment: &Payment) -> Sighting {
        self.outcome(payment).map_or(Sighting::NeverHeard, Sighting::Known)
    }

    fn outcome(&self, payment: &Payment) -> Option<Outcome> {
        if let Some(transfer) = payment.transfer() {
            let receipt = Receipt { id: transfer.reference.clone(), amount: payment.amount };
            let returned = self.taken_back.get(&transfer.reference).copied().unwrap_or_default();
            return Some(Outcome::Succeeded {
                receipt,
                aftermath: Aftermath { returned, dispute: None },
                method: None,
            });
        }
        let charge = self.charges.get(&payment.reference)?;
        Some(match charge.status {
            ChargeStatus::Open => Outcome::Pending(Stage::Pending),
            ChargeStatus::Closed => Outcome::Expired,
            ChargeStatus::Declined(remedy) => Outcome::Declined(Decline::new("declined", remedy)),
            ChargeStatus::Succeeded => {
                let receipt = Receipt { id: format!("ch_{}", payment.reference), amount: charge.amount };
                let dispute = charge.dispute.map(|standing| {
                    let (id, reason) = (format!("dp_{}", payment.reference), "fraudulent".to_owned());
                    Dispute { id, reason, standing }
                });
                let aftermath = Aftermath { returned: charge.refunds.values().sum(), dispute };
                let method = match (&payment.collection, payment.is_setup()) {
                    (Collection::Checkout { .. }, true) => Some(method_at(payment.gateway, "AUTH_2")),
                    (Collection::Checkout { .. }, false) => Some(method_at(payment.gateway, "AUTH_1")),
                    (Collection::OffSession { method, .. }, _) => {
                        let token = self.renewed.clone().unwrap_or_else(|| method.token.clone());
                        Some(Method { token, ..method.clone() })
                    }
                    (Collection::Transfer(_), _) => None,
                };
                let method = method.filter(|_| !self.nameless);
                Outcome::Succeeded { receipt, aftermath, method }
            }
        })
    }

    fn begin(&mut self, payment: &Payment, status: ChargeStatus, amount: Money) {
        let gateway = payment.gateway;
        let charge = Charge { gateway, status, amount, refunds: BTreeMap::new(), dispute: None };
        self.charges.entry(payment.reference.clone()).or_insert(charge);
    }
}

fn silent() -> GatewayError {
    GatewayError::NoAnswer("told to be silent".into())
}

impl Gateways for FakeGateways {
    fn accepts(&self, payment: &Payment) -> Result<(), GatewayError> {
        let state = lock(&self.0);
        if state.without_keys.contains(&payment.gateway) {
            return Err(GatewayError::NotConfigured(payment.gateway));
        }
        match state.refusing {
            true => Err(GatewayError::Unacceptable { field: "currency", problem: payment.amount.to_string() }),
            false => Ok(()),
        }
    }

    /// Paystack must charge something to prove a card.
    fn setup_amount(&self, gateway: Gateway, currency: Currency) -> Result<Money, GatewayError> {
        Ok(Money::new(if gateway == Gateway::Paystack { 5_000 } else { 0 }, currency))
    }

    async fn answers(&self, gateway: Gateway) -> bool {
        lock(&self.0).reach(gateway).is_ok()
    }

    async fn open(&self, payment: &Payment) -> Result<Opened, GatewayError> {
        let mut state = lock(&self.0);
        state.reach(payment.gateway)?;
        if payment.is_paid_by_transfer() {
            let account = BankAccount {
                account_number: "1230001644".to_owned(),
                account_name: "ACME / PERENNIAL".to_owned(),
                bank_name: "Demo Bank".to_owned(),
                bank_id: "1".to_owned(),
                expires_at: None,
            };
            return Ok(Opened { id: "CUS_1".to_owned(), at: Address::BankAccount(account) });
        }
        state.begin(payment, ChargeStatus::Open, payment.amount);
        let url = format!("https://pay.example/{}", payment.reference);
        Ok(Opened { id: payment.reference.to_string(), at: Address::CheckoutUrl(url) })
    }

    async fn charge(&self, payment: &Payment) -> Result<Outcome, GatewayError> {
        let mut state = lock(&self.0);
        state.reach(payment.gateway)?;
        if !state.charges.contains_key(&payment.reference) {
            let fated = state.fate.and_then(|(seed, fate)| fate(seed, payment));
            let script = state.script.pop_front().or(fated);
            let (status, amount) = match script {
                Some(Script::SilentBefore) => return Err(silent()),
                Some(Script::Decline(remedy)) => (ChargeStatus::Declined(remedy), payment.amount),
                Some(Script::TakesInstead(minor)) => (ChargeStatus::Succeeded, Money { minor, ..payment.amount }),
                Some(Script::SilentAfter) | None => (ChargeStatus::Succeeded, payment.amount),
            };
            state.begin(payment, status, amount);
            if script == Some(Script::SilentAfter) {
                return Err(silent());
            }
        }
        state.outcome(payment).ok_or_else(silent)
    }

    async fn find(&self, payment: &Payment, _: Option<&str>) -> Result<Sighting, GatewayError> {
        let mut state = lock(&self.0);
        state.reach(payment.gateway)?;
        Ok(state.sighting(payment))
    }

    async fn close(&self, payment: &Payment) -> Result<Sighting, GatewayError> {
        let mut state = lock(&self.0);
        state.reach(payment.gateway)?;
        state.closed.push(payment.reference.clone());
        // Paystack cannot close a page: it stays payable.
        if let Some(charge) = state.charges.get_mut(&payment.reference)
            && charge.status != ChargeStatus::Succeeded
            && payment.gateway != Gateway::Paystack
        {
            charge.status = ChargeStatus::Closed;
        }
        Ok(state.sighting(payment))
    }

    async fn refund(&self, payment: &Payment, refund: &Refund) -> Result<RefundOutcome, GatewayError> {
        let mut state = lock(&self.0);
        state.reach(payment.gateway)?;
        assert!(refund.is_due(), "only what was promised is given back");
        if state.delaying_refunds {
            return Ok(RefundOutcome::Pending);
        }
        if state.refusing_refunds {
            return Ok(RefundOutcome::Failed { code: "refused".to_owned() });
        }
        let name = payment.refund_reference(refund);
        if let Some(charge) = state.charges.get_mut(&payment.reference) {
            charge.refunds.insert(name.clone(), refund.amount.minor); // however often it is asked
            assert!(charge.refunds.values().sum::<i64>() <= charge.amount.minor, "more went back than was taken");
        }
        Ok(RefundOutcome::Done { id: format!("re_{name}") })
    }

    async fn transfers(&self, account: &VirtualAccount) -> Result<Vec<Incoming>, GatewayError> {
        let mut state = lock(&self.0);
        state.reach(account.gateway)?;
        Ok(state.transfers.clone())
    }

    async fn driven(&self, gateway: Gateway, id: &str) -> Result<Option<Seen>, GatewayError> {
        let mut state = lock(&self.0);
        state.reach(gateway)?;
        Ok(state.driven.get(id).filter(|_| gateway == Gateway::Stripe).cloned())
    }

    async fn forget(&self, method: &Method) -> Result<(), GatewayError> {
        let mut state = lock(&self.0);
        state.reach(method.gateway)?;
        state.forgotten.push(method.token.clone());
        Ok(())
    }
}
