//! Somebody who asks a question in the middle of a story, and is answered as all stands then: nothing fails for them, no
//! time passes, and nobody's story is another by it. Whoever answers them writes nothing and asks no gateway.

use crate::usage::meter_keys;
use crate::world::{State, instant};
use billing::account::{Incoming, VirtualAccount};
use billing::brand::Brand;
use billing::driven::Seen;
use billing::id::{ConsumptionId, CustomerId, PaymentId, UsageId};
use billing::money::{Currency, Money};
use billing::outcome::{Outcome, RefundOutcome, Sighting};
use billing::payment::{Gateway, Opened, Payment, Refund};
use billing::ports::{Clock, Found, GatewayError, Gateways, Key, Lane, Record, Store, StoreError, Wanted, Write};
use billing::statistics::DayUsage;
use billing::token::Consumption;
use billing::usage::UsageRecord;
use billing::wallet::Method;
use billing::workflow::Billing;
use jiff::Timestamp;
use jiff::civil::Date;
use std::sync::{Mutex, PoisonError};

#[derive(Clone, Copy, Debug)]
pub(crate) struct Onlooker<'a> {
    state: &'a State,
    customer: &'a CustomerId,
    /// What was done that is not to be.
    wrongs: &'a Mutex<Vec<String>>,
}

type Workflows<'a> = Billing<Onlooker<'a>, Onlooker<'a>, Onlooker<'a>>;

impl State {
    /// What `ask` is answered as `customer`, and what was done for it that is not to be.
    pub(crate) fn ask_as<T>(
        &self,
        customer: &CustomerId,
        ask: impl AsyncFnOnce(&Workflows) -> T,
    ) -> (T, Option<String>) {
        let wrongs = Mutex::new(vec![]);
        let onlooker = Onlooker { state: self, customer, wrongs: &wrongs };
        let answer = futures::executor::block_on(ask(&Billing::new(onlooker, onlooker, onlooker)));
        (answer, wrongs.into_inner().unwrap_or_else(PoisonError::into_inner).pop())
    }
}

impl Onlooker<'_> {
    fn wrong(&self, what: String) {
        self.wrongs.lock().unwrap_or_else(PoisonError::into_inner).push(what);
    }

    fn asks<T>(&self, what: &str) -> Result<T, GatewayError> {
        self.wrong(format!("a gateway is asked to {what}"));
        Err(GatewayError::NoAnswer("nobody asks".into()))
    }
}

fn lists<T>() -> Result<T, StoreError> {
    Err(StoreError::Unavailable("no question of an onlooker's lists these".into()))
}

impl Store for Onlooker<'_> {
    async fn get(&self, keys: Vec<Key>) -> Result<Found, StoreError> {
        if let Some(stray) = keys.iter().find(|key| self.state.owner(key).is_some_and(|it| it != self.customer)) {
            self.wrong(format!("{stray:?} is read for {}", self.customer));
        }
        Ok(Found::new(keys.iter().filter_map(|key| self.state.records.get(key).cloned()).collect()))
    }

    async fn live(&self, customer: &CustomerId) -> Result<Found, StoreError> {
        let live = [Key::Subscription, Key::Wallet, Key::Tokens, Key::Account].map(|key| key(customer.clone()));
        self.get(live.into_iter().chain(meter_keys(customer)).collect()).await
    }

    async fn payments(&self, _: &CustomerId, _: Option<&PaymentId>, _: u32) -> Result<Vec<Payment>, StoreError> {
        lists()
    }

    async fn consumptions(
        &self,
        _: &CustomerId,
        _: Option<&ConsumptionId>,
        _: u32,
    ) -> Result<Vec<Consumption>, StoreError> {
        lists()
    }

    async fn uses(&self, _: &CustomerId, _: Option<&UsageId>, _: u32) -> Result<Vec<UsageRecord>, StoreError> {
        lists()
    }

    async fn days(&self, _: &CustomerId, _: Date, _: Date) -> Result<Vec<DayUsage>, StoreError> {
        lists()
    }

    async fn catalogue(&self) -> Result<Found, StoreError> {
        let sold = self.state.records.values().filter(|it| matches!(it, Record::Family(_) | Record::Plan(_)));
        Ok(Found::new(sold.cloned().collect()))
    }

    async fn brands(&self) -> Result<Vec<Brand>, StoreError> {
        lists()
    }

    async fn due(&self, _: Lane, _: Timestamp, _: u32) -> Result<Vec<(Timestamp, Wanted)>, StoreError> {
        lists()
    }

    async fn commit(&self, writes: Vec<Write>) -> Result<(), StoreError> {
        self.wrong(format!("who only asks writes {writes:?}"));
        Ok(())
    }
}

impl Clock for Onlooker<'_> {
    async fn now(&self, _: Option<&CustomerId>) -> Result<Timestamp, StoreError> {
        Ok(instant(self.state.now))
    }
}

impl Gateways for Onlooker<'_> {
    fn accepts(&self, _: &Payment) -> Result<(), GatewayError> {
        Ok(())
    }

    fn setup_amount(&self, _: Gateway, currency: Currency) -> Result<Money, GatewayError> {
        Ok(Money::zero(currency))
    }

    async fn answers(&self, _: Gateway) -> bool {
        self.asks::<()>("answer").is_ok()
    }

    async fn open(&self, _: &Payment) -> Result<Opened, GatewayError> {
        self.asks("open")
    }

    async fn charge(&self, _: &Payment) -> Result<Outcome, GatewayError> {
        self.asks("charge")
    }

    async fn find(&self, _: &Payment, _: Option<&str>) -> Result<Sighting, GatewayError> {
        self.asks("find")
    }

    async fn close(&self, _: &Payment) -> Result<Sighting, GatewayError> {
        self.asks("close")
    }

    async fn refund(&self, _: &Payment, _: &Refund) -> Result<RefundOutcome, GatewayError> {
        self.asks("refund")
    }

    async fn transfers(&self, _: &VirtualAccount) -> Result<Vec<Incoming>, GatewayError> {
        self.asks("list transfers")
    }

    async fn driven(&self, _: Gateway, _: &str) -> Result<Option<Seen>, GatewayError> {
        self.asks("look at what it drives")
    }

    async fn forget(&self, _: &Method) -> Result<(), GatewayError> {
        self.asks("forget")
    }
}
