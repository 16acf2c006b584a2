//! Faults to order: what goes wrong, where, and how often.

use crate::gateway::{Gateway, Operation};
use serde::{Deserialize, Serialize};

const MOST_ORDERS: usize = 200;
const MOST_TIMES: u32 = 100_000;
const LONGEST_MS: u64 = 3_600_000;

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Order {
    gateway: Gateway,
    on: Scope,
    fault: Fault,
    #[serde(default = "once")]
    times: u32,
}

fn once() -> u32 {
    1
}

fn a_long_wait() -> u64 {
    15_000
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Scope {
    /// Money asked for, with the customer present or not.
    Charge,
    OffSession,
    Hosted,
    Checkout,
    Find,
    Refund,
    Any,
}

impl Scope {
    fn covers(self, operation: Operation) -> bool {
        match self {
            Self::Any => true,
            Self::Charge => matches!(operation, Operation::OffSession | Operation::Hosted),
            Self::OffSession => operation == Operation::OffSession,
            Self::Hosted => operation == Operation::Hosted,
            Self::Checkout => operation == Operation::Checkout,
            Self::Find => operation == Operation::Find,
            Self::Refund => operation == Operation::Refund,
        }
    }

    fn charges(self) -> bool {
        matches!(self, Self::Charge | Self::OffSession | Self::Hosted | Self::Any)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Fault {
    /// The card is refused with this code.
    Decline { code: String },
    /// Nothing is done, and the connection closes without an answer.
    TimeoutBefore {
        #[serde(default = "a_long_wait")]
        ms: u64,
    },
    /// It is done, and the connection closes without an answer.
    TimeoutAfter {
        #[serde(default = "a_long_wait")]
        ms: u64,
    },
    /// Nothing is done.
    #[serde(rename = "error_500")]
    Error500 {},
    /// It is done, and answered with 500.
    #[serde(rename = "error_500_after")]
    Error500After {},
    /// It is done, that much later, even if the caller has gone.
    Delay { ms: u64 },
    /// This much is taken instead.
    WrongAmount { minor: i64 },
    /// Paystack waits for the customer (2FA).
    Paused {},
    /// The issuer wants the customer: 3-D Secure, or Paystack's pause.
    RequireAction {},
    /// It hangs in the air; so much later it succeeds, or is declined with this code.
    Pending {
        #[serde(default = "once")]
        seconds: u32,
        code: Option<String>,
    },
}

impl Fault {
    /// Does it change what a charge comes to, rather than how a request is answered?
    fn decides(&self) -> bool {
        match self {
            Self::Decline { .. }
            | Self::WrongAmount { .. }
            | Self::Paused {}
            | Self::RequireAction {}
            | Self::Pending { .. } => true,
            Self::TimeoutBefore { .. }
            | Self::TimeoutAfter { .. }
            | Self::Error500 {}
            | Self::Error500After {}
            | Self::Delay { .. } => false,
        }
    }

    /// Can it change what a refund comes to?
    fn refunds(&self) -> bool {
        matches!(self, Self::Decline { .. } | Self::Pending { .. })
    }
}

#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Faults {
    orders: Vec<Order>,
}

impl Faults {
    /// Refusals name the field.
    pub(crate) fn order(&mut self, order: Order) -> Result<(), String> {
        if self.orders.len() >= MOST_ORDERS {
            return Err(format!("at most {MOST_ORDERS} faults can be waiting: DELETE /admin/faults clears them"));
        }
        if !(1..=MOST_TIMES).contains(&order.times) {
            return Err(format!("times: must be 1 to {MOST_TIMES}"));
        }
        match &order.fault {
            Fault::TimeoutBefore { ms } | Fault::TimeoutAfter { ms } | Fault::Delay { ms } if *ms > LONGEST_MS => {
                return Err(format!("fault.ms: must be at most {LONGEST_MS}"));
            }
            Fault::WrongAmount { minor } if *minor < 1 => return Err("fault.minor: must be at least 1".to_owned()),
            Fault::Decline { code } | Fault::Pending { code: Some(code), .. } if code.is_empty() || code.len() > 64 => {
                return Err("fault.code: must be 1 to 64 characters".to_owned());
            }
            Fault::Paused {} if order.gateway != Gateway::Paystack => {
                return Err("fault.kind: only paystack pauses; use require_action".to_owned());
            }
            Fault::Decline { code } | Fault::Pending { code: Some(code), .. }
                if order.gateway == Gateway::Flitt && code.parse::<u16>().is_err() =>
            {
                return Err("fault.code: flitt's are numbers".to_owned());
            }
            Fault::Pending { .. } if !matches!(order.gateway, Gateway::Flitt | Gateway::Paypal) => {
                return Err("fault.kind: only flitt and paypal leave a payment pending".to_owned());
            }
            Fault::Paused {} | Fault::RequireAction {}
                if order.gateway == Gateway::Paystack && order.on == Scope::Hosted =>
            {
                return Err("on: a paystack page already has its customer; use off_session".to_owned());
            }
            Fault::Decline { .. }
            | Fault::TimeoutBefore { .. }
            | Fault::TimeoutAfter { .. }
            | Fault::Error500 {}
            | Fault::Error500After {}
            | Fault::Delay { .. }
            | Fault::WrongAmount { .. }
            | Fault::Paused {}
            | Fault::RequireAction {}
            | Fault::Pending { .. } => {}
        }
        let tells = matches!(order.gateway, Gateway::Flitt | Gateway::Paypal);
        let refunds = tells && order.on == Scope::Refund && order.fault.refunds();
        if order.fault.decides() && !order.on.charges() && !refunds {
            return Err("on: this fault belongs to charges: charge, off_session, hosted or any".to_owned());
        }
        self.orders.push(order);
        Ok(())
    }

    pub(crate) fn clear(&mut self) {
        self.orders.clear();
    }

    pub(crate) fn waiting(&self) -> &[Order] {
        &self.orders
    }

    /// The fault that meets this request, if one is due: how it is answered.
    pub(crate) fn on_request(&mut self, gateway: Gateway, operation: Operation) -> Option<Fault> {
        self.take(gateway, operation, |fault| !fault.decides())
    }

    /// The fault that meets this charge, if one is due: what it comes to.
    pub(crate) fn on_charge(&mut self, gateway: Gateway, operation: Operation) -> Option<Fault> {
        // A page's customer is there already: a wish for their presence waits for an off-session charge.
        let present = gateway == Gateway::Paystack && operation == Operation::Hosted;
        self.take(gateway, operation, |fault| {
            fault.decides() && !(present && matches!(fault, Fault::Paused {} | Fault::RequireAction {}))
        })
    }

    /// The fault that meets this refund, if one is due: what it comes to.
    pub(crate) fn on_refund(&mut self, gateway: Gateway) -> Option<Fault> {
        self.take(gateway, Operation::Refund, Fault::refunds)
    }

    fn take(&mut self, gateway: Gateway, operation: Operation, fits: impl Fn(&Fault) -> bool) -> Option<Fault> {
        let place = self
            .orders
            .iter()
            .position(|order| order.gateway == gateway && order.on.covers(operation) && fits(&order.fault))?;
        let order = &mut self.orders[place];
        order.times -= 1;
        let fault = order.fault.clone();
        if order.times == 0 {
            self.orders.remove(place);
        }
        Some(fault)
    }
}
