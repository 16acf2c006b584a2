//! Gateways in memory. They remember every charge by its reference, forget
//! nothing, and can be told to decline, to be silent before or after acting,
//! or to take another amount than was asked for.

use super::{lock, method};
use crate::id::Reference;
use crate::money::Money;
use crate::outcome::{Decline, Outcome, Receipt, RefundOutcome, Remedy, Stage};
use crate::payment::{Address, Collection, Gateway, Opened, Payment, PaymentStatus};
use crate::ports::{GatewayError, Gateways};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;

#[derive(Debug, Default)]
pub struct FakeGateways(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    charges: BTreeMap<Reference, Charge>,
    script: VecDeque<Script>,
    calls: u32,
    fail_from: Option<u32>,
}

/// One charge, as the gateway's own books have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Charge {
    pub status: ChargeStatus,
    pub amount: Money,
    pub refunds: u32,
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

impl FakeGateways {
    pub fn next(&self, script: Script) {
        lock(&self.0).script.push_back(script);
    }

    /// From the `call`th call on (counted from 0, all kinds alike), nothing reaches the gateway.
    pub fn fail_from(&self, call: Option<u32>) {
        let mut state = lock(&self.0);
        (state.calls, state.fail_from) = (0, call);
    }

    pub fn charges(&self) -> BTreeMap<Reference, Charge> {
        lock(&self.0).charges.clone()
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
    fn reach(&mut self) -> Result<(), GatewayError> {
        self.calls += 1;
        match self.fail_from {
            Some(from) if self.calls > from => Err(silent()),
            Some(_) | None => Ok(()),
        }
    }

    fn outcome(&self, payment: &Payment) -> Option<Outcome> {
        let charge = self.charges.get(&payment.reference)?;
        Some(match charge.status {
            ChargeStatus::Open => Outcome::Pending(Stage::Pending),
            ChargeStatus::Closed => Outcome::Expired,
            ChargeStatus::Declined(remedy) => Outcome::Declined(Decline { code: "declined".to_owned(), remedy }),
            ChargeStatus::Succeeded => {
                let receipt = Receipt { id: format!("ch_{}", payment.reference), amount: charge.amount };
                let card = match payment.collection {
                    Collection::Checkout { .. } => Some(method("AUTH_1")),
                    Collection::OffSession { .. } => None,
                };
                Outcome::Succeeded { receipt, method: card }
            }
        })
    }
}

fn silent() -> GatewayError {
    GatewayError::NoAnswer("told to be silent".into())
}

impl Gateways for FakeGateways {
    fn accepts(&self, _: &Payment) -> Result<(), GatewayError> {
        Ok(())
    }

    async fn open(&self, payment: &Payment) -> Result<Opened, GatewayError> {
        let mut state = lock(&self.0);
        state.reach()?;
        let charge = Charge { status: ChargeStatus::Open, amount: payment.amount, refunds: 0 };
        state.charges.entry(payment.reference.clone()).or_insert(charge);
        let url = format!("https://pay.example/{}", payment.reference);
        Ok(Opened { id: payment.reference.to_string(), at: Address::CheckoutUrl(url) })
    }

    async fn charge(&self, payment: &Payment) -> Result<Outcome, GatewayError> {
        let mut state = lock(&self.0);
        state.reach()?;
        if !state.charges.contains_key(&payment.reference) {
            let script = state.script.pop_front();
            let (status, amount) = match script {
                Some(Script::SilentBefore) => return Err(silent()),
                Some(Script::Decline(remedy)) => (ChargeStatus::Declined(remedy), payment.amount),
                Some(Script::TakesInstead(minor)) => (ChargeStatus::Succeeded, Money { minor, ..payment.amount }),
                Some(Script::SilentAfter) | None => (ChargeStatus::Succeeded, payment.amount),
            };
            state.charges.insert(payment.reference.clone(), Charge { status, amount, refunds: 0 });
            if script == Some(Script::SilentAfter) {
                return Err(silent());
            }
        }
        state.outcome(payment).ok_or_else(silent)
    }

    async fn find(&self, payment: &Payment) -> Result<Option<Outcome>, GatewayError> {
        let mut state = lock(&self.0);
        state.reach()?;
        Ok(state.outcome(payment))
    }

    async fn close(&self, payment: &Payment) -> Result<Option<Outcome>, GatewayError> {
        let mut state = lock(&self.0);
        state.reach()?;
        // Paystack cannot close a page: it stays payable.
        if let Some(charge) = state.charges.get_mut(&payment.reference)
            && charge.status != ChargeStatus::Succeeded
            && payment.gateway != Gateway::Paystack
        {
            charge.status = ChargeStatus::Closed;
        }
        Ok(state.outcome(payment))
    }

    async fn refund(&self, payment: &Payment) -> Result<RefundOutcome, GatewayError> {
        let mut state = lock(&self.0);
        state.reach()?;
        assert!(matches!(payment.status, PaymentStatus::RefundDue { .. }), "only what is owed back is given back");
        if let Some(charge) = state.charges.get_mut(&payment.reference) {
            charge.refunds = 1; // however often it is asked
        }
        Ok(RefundOutcome::Done { id: format!("re_{}", payment.reference) })
    }
}
