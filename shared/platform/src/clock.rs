//! Business time: the world's, or what a test stack's record says.

use crate::dynamodb::Table;
use billing::id::CustomerId;
use billing::ports::{Clock, Key, Store, StoreError, TestClock};
use jiff::Timestamp;
use std::collections::BTreeMap;

#[derive(Clone, Debug)]
pub enum StackClock {
    World,
    /// A record says, so that all functions agree on it.
    Test(Table),
}

impl Clock for StackClock {
    async fn now(&self, customer: Option<&CustomerId>) -> Result<Timestamp, StoreError> {
        let world = Timestamp::now();
        match self {
            Self::World => Ok(world),
            Self::Test(table) => Ok(test_clock(table).await?.now(customer, world)),
        }
    }

    async fn ahead(&self) -> Result<BTreeMap<CustomerId, Timestamp>, StoreError> {
        match self {
            Self::World => Ok(BTreeMap::new()),
            Self::Test(table) => Ok(test_clock(table).await?.ahead(Timestamp::now())),
        }
    }
}

async fn test_clock(table: &Table) -> Result<TestClock, StoreError> {
    Ok(table.get(vec![Key::TestClock]).await?.test_clock().unwrap_or_default())
}
