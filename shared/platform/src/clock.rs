//! Business time: the world's, or on a test stack the world's and a bit.

use crate::dynamodb::Table;
use billing::ports::{Clock, Key, Store, StoreError};
use jiff::Timestamp;

#[derive(Clone, Debug)]
pub enum StackClock {
    World,
    /// How far ahead is a record, so that all functions agree on it.
    Test(Table),
}

impl Clock for StackClock {
    async fn now(&self) -> Result<Timestamp, StoreError> {
        let world = Timestamp::now();
        match self {
            Self::World => Ok(world),
            Self::Test(table) => {
                let clock = table.get(vec![Key::TestClock]).await?.test_clock();
                Ok(clock.map_or(world, |clock| clock.now(world)))
            }
        }
    }
}
