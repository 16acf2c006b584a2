//! A counter of one customer that is kept in several places, so that more of it is counted at once than one record takes.
//!
//! Each shard is lent a part of what is left below the next line, which is a limit or the least that raises an alert, and
//! counts by itself until that is used up. Whoever finds all of it used up, comes to a line, or writes the meter for any
//! other reason, takes back in the same transaction what is lent, and lends anew what is left then. So the shards never
//! pass a line together; and who reads the meter with its shards knows all that was counted.

use crate::id::{CustomerId, MeterId};
use crate::ports::{Key, Record, Write};
use crate::usage::MeterUsage;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::num::NonZeroU64;

/// All shards of all meters of a family. What takes them back is one transaction, which has a hundred writes.
pub(crate) const MOST_SHARDS: u8 = 8;

/// What is lent is worth it if each shard counts so many times without looking at the others.
const WORTH: u64 = 4;

/// In how many places a counter is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct Shards(u8);

impl TryFrom<u8> for Shards {
    type Error = &'static str;

    fn try_from(shards: u8) -> Result<Self, &'static str> {
        match shards {
            2..=MOST_SHARDS => Ok(Self(shards)),
            _ => Err("is 2 to 8: without it a meter is kept in one place"),
        }
    }
}

impl From<Shards> for usize {
    fn from(shards: Shards) -> Self {
        shards.0.into()
    }
}

impl From<Shards> for u8 {
    fn from(shards: Shards) -> Self {
        shards.0
    }
}

/// That a meter has lent to its shards.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// The version of the meter that lent it: a shard that says another was read at another moment.
    pub id: u64,
    pub shards: Shards,
    /// What the meter and its shards have counted together at most, until it is taken back.
    pub most: u64,
}

/// A part of a meter. The first has the number 1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shard {
    pub customer: CustomerId,
    pub meter: MeterId,
    pub number: u8,
    pub lease: u64,
    /// That was counted here since it was lent.
    pub value: u64,
    /// That is left of what was lent.
    pub left: u64,
    pub at: Timestamp,
    pub version: u64,
}

impl Shard {
    fn is_used(&self) -> bool {
        self.value > 0 || self.left > 0
    }
}

impl MeterUsage {
    /// Where all is counted that is not in the record itself.
    pub(crate) fn shard_keys(&self) -> Vec<Key> {
        self.lease.as_ref().map_or_else(Vec::new, |lease| keys(self, lease.shards))
    }

    /// With what its `shards` have counted, as its own. None: they were not read at one moment.
    pub(crate) fn with(mut self, mut shards: Vec<Shard>) -> Option<Self> {
        shards.sort_unstable_by_key(|it| it.number);
        if let Some(lease) = &self.lease {
            let lent = shards.iter().filter(|it| it.number <= lease.shards.0);
            if lent.clone().filter(|it| it.lease == lease.id).count() != usize::from(lease.shards.0) {
                return None;
            }
            let (value, at) = (self.value, self.at);
            self.value = lent.clone().fold(value, |sum, it| sum.saturating_add(it.value));
            self.at = lent.fold(at, |at, it| at.max(it.at));
        }
        Some(Self { shards, ..self })
    }

    /// Adds `by`, all of which is to be counted in one place: the shard `wanted`, or one after it that has room, where all that
    /// is lent is below `at_most`. None: nothing is lent, or not enough.
    pub(crate) fn counted_in_a_shard(&self, by: NonZeroU64, wanted: u64, at_most: u64, at: Timestamp) -> Option<Write> {
        let lease = self.lease.as_ref().filter(|lease| lease.most <= at_most)?;
        let count = u64::from(lease.shards.0);
        let numbers = (0..count).map(|n| (wanted % count + n) % count + 1);
        let mut shards = numbers.filter_map(|number| self.shards.iter().find(|it| u64::from(it.number) == number));
        let shard = shards.find(|it| it.left >= by.get())?;
        let (customer, meter) = (self.customer.clone(), self.meter.clone());
        Some(Write::CountInShard { customer, meter, shard: shard.number, lease: lease.id, by, at })
    }

    /// Writes all that it counts, with what its shards had counted, and lends them nothing.
    pub(crate) fn writes(self) -> Vec<Write> {
        let used = self.shards.iter().filter(|it| it.is_used());
        let empty = used.map(|it| Shard { value: 0, left: 0, ..it.clone() });
        let shards: Vec<Write> = empty.map(|it| Write::next(Record::Shard(it))).collect();
        let usage = Self { lease: None, shards: vec![], ..self };
        std::iter::once(Write::next(Record::Usage(usage))).chain(shards).collect()
    }

    /// Whether each of `shards` can be lent so much below `at_most` that uses of `by` are worth it: how much.
    pub(crate) fn lends(&self, shards: Shards, by: NonZeroU64, at_most: u64) -> Option<u64> {
        let each = at_most.checked_sub(self.value)? / u64::from(shards.0);
        (each / by.get() >= WORTH).then_some(each)
    }

    /// Writes all that it counts, and lends each of `shards` so much below `most`. Those that there are have been read with it.
    pub(crate) fn lending(self, shards: Shards, each: u64, most: u64) -> Vec<Write> {
        let lease = Lease { id: self.version + 1, shards, most };
        let none = |number| Shard {
            customer: self.customer.clone(),
            meter: self.meter.clone(),
            number,
            lease: lease.id,
            value: 0,
            left: 0,
            at: self.at,
            version: 0,
        };
        let stored = |number| self.shards.iter().find(|it| it.number == number).cloned();
        let lent = (1..=shards.0).map(|number| {
            let version = stored(number).map_or(0, |it| it.version);
            Shard { left: each, version, ..none(number) }
        });
        // Of a lease to more of them.
        let rest = self.shards.iter().filter(|it| it.number > shards.0 && it.is_used());
        let empty = rest.map(|it| Shard { value: 0, left: 0, ..it.clone() });
        let shards: Vec<Write> = lent.chain(empty).map(|it| Write::next(Record::Shard(it))).collect();
        let usage = Self { lease: Some(lease), shards: vec![], ..self };
        std::iter::once(Write::next(Record::Usage(usage))).chain(shards).collect()
    }
}

/// Where the shards of a meter are.
pub(crate) fn keys(of: &MeterUsage, shards: Shards) -> Vec<Key> {
    (1..=shards.0).map(|number| Key::Shard(of.customer.clone(), of.meter.clone(), number)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{customer, instant, meter};

    const AT_MOST: u64 = 1_000;

    fn shards(count: u8) -> Shards {
        Shards::try_from(count).unwrap_or_else(|error| panic!("{error}"))
    }

    fn by(value: u64) -> NonZeroU64 {
        NonZeroU64::new(value).unwrap_or_else(|| panic!("nothing"))
    }

    fn used(value: u64) -> MeterUsage {
        let none = MeterUsage::none(customer(), meter("minutes"), instant("2025-02-01T10:00:00Z"));
        MeterUsage { value, version: 6, ..none }
    }

    /// The meter and its shards as `writes` leave them, read at one moment.
    fn after(writes: Vec<Write>) -> (MeterUsage, Vec<Shard>) {
        let (mut usage, mut all) = (None, vec![]);
        for write in writes {
            let (Write::Create(record) | Write::Replace { record, .. }) = write else { panic!("{write:?}") };
            if let Record::Usage(it) = record {
                usage = Some(it);
            } else if let Record::Shard(it) = record {
                all.push(it);
            }
        }
        (usage.unwrap_or_else(|| panic!("no meter")), all)
    }

    #[test]
    fn a_meter_is_kept_in_two_to_eight_places() {
        let read = |count: u8| Shards::try_from(count).ok().map(u8::from);
        assert_eq!([0, 1, 2, 8, 9, u8::MAX].map(read), [None, None, Some(2), Some(8), None, None]);
    }

    #[test]
    fn what_is_left_is_lent_in_equal_parts_where_each_is_worth_it() {
        // Used, at most, by, in so many places: each.
        let cases = [
            (0, 1_000, 1, 8, Some(125)),
            (990, 1_000, 1, 2, Some(5)),
            (992, 1_000, 1, 2, Some(4)),
            (993, 1_000, 1, 2, None),
            (0, 1_000, 125, 2, Some(500)),
            (0, 1_000, 126, 2, None),
            (1_001, 1_000, 1, 2, None),
            (0, u64::MAX, 1, 8, Some(u64::MAX / 8)),
        ];
        for (value, at_most, each, count, expected) in cases {
            assert_eq!(used(value).lends(shards(count), by(each), at_most), expected, "{value} of {at_most}");
        }
    }

    #[test]
    fn what_was_counted_in_all_places_is_read_as_one_and_only_at_one_moment() {
        let (usage, all) = after(used(10).lending(shards(3), 200, AT_MOST));
        assert_eq!(
            (usage.version, usage.lease.as_ref().map(|it| it.id)),
            (7, Some(7)),
            "the lease is the version that lent"
        );
        assert!(all.iter().all(|it| (it.value, it.left, it.lease) == (0, 200, 7)));
        let counted: Vec<Shard> = all.into_iter().map(|it| Shard { value: it.number.into(), ..it }).collect();
        let whole = usage.clone().with(counted.clone());
        assert_eq!(whole.map(|it| it.value), Some(16));
        let of_another: Vec<Shard> =
            counted.iter().map(|it| Shard { lease: if it.number == 2 { 8 } else { 7 }, ..it.clone() }).collect();
        assert_eq!(usage.clone().with(of_another), None);
        assert_eq!(usage.with(counted[..2].to_vec()), None, "one was not there yet");
        // What is lent nothing has nothing in its shards, whatever they say of an earlier lease.
        assert_eq!(used(10).with(counted).map(|it| it.value), Some(10));
    }

    #[test]
    fn who_writes_it_whole_takes_back_what_was_lent_and_may_lend_to_another_number_of_shards() {
        let (usage, all) = after(used(10).lending(shards(3), 200, AT_MOST));
        let whole = usage.with(all).unwrap_or_else(|| panic!("of two moments"));
        let (usage, all) = after(whole.clone().writes());
        assert_eq!((usage.lease, usage.value, all.len()), (None, 10, 3));
        assert!(all.iter().all(|it| !it.is_used() && it.version == 2));
        let (usage, all) = after(whole.lending(shards(2), 100, AT_MOST));
        let left: Vec<u64> = all.iter().map(|it| it.left).collect();
        assert_eq!((usage.lease.map(|it| it.shards), left), (Some(shards(2)), vec![100, 100, 0]));
    }

    #[test]
    fn a_use_is_counted_where_there_is_room_for_all_of_it_and_where_the_limit_is_no_smaller() {
        let (usage, mut all) = after(used(10).lending(shards(3), 200, AT_MOST));
        all[0].left = 4;
        let whole = usage.with(all).unwrap_or_else(|| panic!("of two moments"));
        let counted = |value: u64, wanted: u64, at_most: u64| {
            let write = whole.counted_in_a_shard(by(value), wanted, at_most, whole.at)?;
            let Write::CountInShard { shard, lease: 7, .. } = write else { panic!("{write:?}") };
            Some(shard)
        };
        assert_eq!([0, 1, 2, 3].map(|n| counted(4, n, AT_MOST)), [Some(1), Some(2), Some(3), Some(1)]);
        assert_eq!(counted(5, 0, AT_MOST), Some(2), "the next has room");
        assert_eq!([counted(201, 0, AT_MOST), counted(1, 0, AT_MOST - 1)], [None, None]);
        assert_eq!(used(1).counted_in_a_shard(by(1), 0, AT_MOST, used(1).at), None);
    }
}
