//! A meter is what it and its shards have counted together, and never lends more than is left below its next line (P-24).

use super::{Checked, check};
use crate::world::State;
use billing::id::{CustomerId, MeterId};
use billing::ports::{Key, Record};
use billing::shard::Shard;
use billing::usage::MeterUsage;
use std::collections::BTreeMap;

/// The meter as it is at one moment, with what its shards have counted of what it lent.
pub(super) fn whole(records: &BTreeMap<Key, Record>, customer: &CustomerId, meter: &MeterId) -> Option<MeterUsage> {
    sum(|key| records.get(key).cloned(), customer, meter)
}

/// The same, of what is at each key.
pub(super) fn sum(at: impl Fn(&Key) -> Option<Record>, customer: &CustomerId, meter: &MeterId) -> Option<MeterUsage> {
    let Some(Record::Usage(usage)) = at(&Key::Usage(customer.clone(), meter.clone())) else { return None };
    let shards = lent(at, &usage);
    Some(MeterUsage { value: usage.value + shards.iter().map(|it| it.value).sum::<u64>(), shards, ..usage })
}

fn lent(at: impl Fn(&Key) -> Option<Record>, usage: &MeterUsage) -> Vec<Shard> {
    let Some(lease) = &usage.lease else { return vec![] };
    let shard = |number| match at(&Key::Shard(usage.customer.clone(), usage.meter.clone(), number)) {
        Some(Record::Shard(it)) if it.lease == lease.id => Some(it),
        _ => None,
    };
    (1..=u8::from(lease.shards)).filter_map(shard).collect()
}

impl State {
    pub(super) fn lends_what_is_left(&mut self, old: Option<&MeterUsage>, usage: &MeterUsage) -> Checked {
        let is_new = old.is_some_and(|old| old.lease != usage.lease);
        if is_new && old.is_some_and(|old| old.shards.iter().any(|it| it.value > 0)) {
            self.happened.insert("taken back from shards");
        }
        let Some(lease) = &usage.lease else { return Ok(()) };
        let all = usage.shards.len() == usize::from(lease.shards);
        check(all, "P-24", || format!("not all shards have what {usage:?} lent"))?;
        let left = usage.shards.iter().fold(usage.value, |sum, it| sum.saturating_add(it.left));
        check(left <= lease.most, "P-24", || format!("{usage:?} lends more than there is"))?;
        let counted = usage.shards.iter().any(|it| it.value > 0);
        self.happened.insert(if counted { "counted in a shard" } else { "lent to shards" });
        Ok(())
    }
}
