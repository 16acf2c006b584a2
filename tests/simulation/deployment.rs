//! A release is brought out while the story lasts (I-24): at first every process is of the one before it, then some are
//! of each, and then all are new.
//!
//! What the new one writes is of a schema that the one before does not know, and leaves alone. What the one before
//! writes has nothing in it that came with that schema. Whoever asks the one before for what it does not have goes
//! without. Releases differ in that alone: both do the same with what they can read.

use crate::faults::{DAY, HOUR};
use crate::jobs::{Job, Looked, Page};
use crate::rng::Rng;
use crate::world::State;
use billing::ports::{Key, Record, StoreError, Wanted};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Error, Value};

/// What a record may have in it since the schema before, wherever in it that is.
const NEW: [&str; 9] = [
    "time_zone",
    "discount",
    "redeemed",
    "taken_over",
    "price_change",
    "grants",
    "tokens_rollover",
    "consumption",
    "suspension_days",
];

/// The same, where something else has long had the name: within what, and its name.
const NEW_WITHIN: [(&str, &str); 1] = [("trial", "until")];

#[derive(Clone, Debug)]
pub(crate) struct Deployment {
    begins: i64,
    ends: i64,
    /// How much of the work the new release does meanwhile, out of a thousand.
    share: u32,
}

impl Deployment {
    /// Most stories are of one release.
    pub(crate) fn drawn(rng: &mut Rng, start: i64, end: i64) -> Option<Self> {
        let begins = rng.within(start, end);
        let ends = begins + rng.one_of(&[HOUR, 2 * DAY, 20 * DAY]);
        let share = rng.one_of(&[100, 500, 900]);
        rng.chance(150).then(|| Self { begins, ends: ends.min(end), share })
    }
}

impl State {
    /// The job as whoever gets it understands it, and whether that is the release before. None: it knows nothing of the kind.
    pub(crate) fn assigned(&mut self, job: Job) -> Option<(Job, bool)> {
        let Some(Deployment { begins, ends, share }) = self.faults.deployment else { return Some((job, false)) };
        let is_old = self.now < begins || self.now < ends && !self.rng.chance(share);
        if is_old { Some((as_before(job)?, true)) } else { Some((job, false)) }
    }

    fn is_old(&self, task: u64) -> bool {
        self.tasks.get(&task).is_some_and(|notes| notes.is_old)
    }

    /// Whether `task` knows the schemas of what it reads: all of it, or it gets none.
    pub(crate) fn knows(&mut self, task: u64, keys: &[Key]) -> Result<(), StoreError> {
        if self.faults.deployment.is_none() {
            return Ok(());
        }
        if !self.is_old(task) {
            let is_older = |key: &Key| matches!(key, Key::Subscription(_)) && !self.newer.contains(key);
            if keys.iter().any(|key| is_older(key) && self.records.contains_key(key)) {
                self.happened.insert("read across releases");
            }
            return Ok(());
        }
        let Some(newer) = keys.iter().find(|key| self.newer.contains(*key)) else { return Ok(()) };
        self.note(|| format!("task {task} does not know the schema of {newer:?}"));
        self.happened.insert("left to the new release");
        if let Some(notes) = self.tasks.get_mut(&task) {
            notes.is_at_a_loss = true;
        }
        Err(StoreError::Unavailable("a record of a newer schema than is known".into()))
    }

    /// Nobody does anything about what they do not know.
    pub(crate) fn acts(&mut self, task: u64, what: impl FnOnce() -> String) {
        if self.tasks.get(&task).is_some_and(|notes| notes.is_at_a_loss) {
            self.breach("I-24", format!("task {task} met a record of a newer schema, and then {}", what()));
        }
    }

    /// Nor is a message about it done with, unless it was before.
    pub(crate) fn counts_as_done(&mut self, task: u64, wanted: &Wanted) {
        if self.tasks.get(&task).is_some_and(|notes| notes.commits == 0) {
            self.acts(task, || format!("counts {wanted:?} as done"));
        }
    }

    /// `record` as it is read once `task` has written it.
    pub(crate) fn written(&mut self, task: u64, record: Record) -> Record {
        if self.faults.deployment.is_none() {
            return record;
        }
        let key = record.key();
        if !self.is_old(task) {
            self.newer.insert(key);
            return record;
        }
        if self.newer.contains(&key) {
            self.breach("I-24", format!("task {task} writes over {key:?}, whose schema it does not know"));
        }
        match read_as_before(&record) {
            Ok(read) if read == record => {}
            Ok(read) => self.breach("I-24", format!("{record:?} of the release before is read as {read:?}")),
            Err(error) => self.breach("I-24", format!("{key:?} of the release before is not read: {error}")),
        }
        record
    }
}

/// The release before has no zones, no coupons, no takeovers, no use of tokens, no meters, and nothing that staff do to a
/// subscription.
fn as_before(job: Job) -> Option<Job> {
    match job {
        Job::Intervene { .. } | Job::TakeOver { .. } | Job::Consume { .. } => None,
        Job::Report { .. } | Job::SetUsage { .. } | Job::Acknowledge { .. } | Job::Rebuild { .. } => None,
        Job::Preview { of: Looked::Subscribe(_) | Looked::Request(..), .. } => None,
        Job::Open { mut page, tries } => {
            if let Page::Checkout(wanted) = &mut *page {
                (wanted.time_zone, wanted.coupon) = (None, None);
            }
            Some(Job::Open { page, tries })
        }
        Job::Subscribe { mut wanted, key, tries } => {
            (wanted.time_zone, wanted.coupon, wanted.comp) = (None, None, None);
            Some(Job::Subscribe { wanted, key, tries })
        }
        other => Some(other),
    }
}

/// What the new release reads where the one before has written `record`.
fn read_as_before(record: &Record) -> Result<Record, Error> {
    Ok(match record {
        Record::Subscription(it) => Record::Subscription(again(it)?),
        Record::PastSubscription(it) => Record::PastSubscription(again(it)?),
        Record::History { customer, subscription, version, index, event } => Record::History {
            customer: customer.clone(),
            subscription: subscription.clone(),
            version: *version,
            index: *index,
            event: again(event)?,
        },
        Record::Payment(it) => Record::Payment(again(it)?),
        Record::Mail(it) => Record::Mail(again(it)?),
        Record::Tokens(it) => Record::Tokens(again(it)?),
        Record::Claim(it) => Record::Claim(again(it)?),
        // The others have nothing in them that is new.
        other => other.clone(),
    })
}

fn again<T: Serialize + DeserializeOwned>(it: &T) -> Result<T, Error> {
    let mut value = serde_json::to_value(it)?;
    forget(&mut value, "");
    serde_json::from_value(value)
}

fn forget(value: &mut Value, within: &str) {
    match value {
        Value::Object(fields) => {
            fields.retain(|name, _| !NEW.contains(&name.as_str()) && !NEW_WITHIN.contains(&(within, name.as_str())));
            fields.iter_mut().for_each(|(name, value)| forget(value, name));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| forget(item, within)),
        _ => {}
    }
}
