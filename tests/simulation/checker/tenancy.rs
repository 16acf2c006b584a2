//! What is done for one customer reads and writes what is theirs, or everybody's, and nothing of another's (I-21).
//!
//! For whom something is done the world knows: who asks is told by their token, and whom a gateway's message or a mail is
//! about by the gateway's own books, or the mail. So the store looks at each key and record, each clock, each request to a
//! gateway and each answer, and not at what the workflows think that they do.

use super::{Checked, check};
use crate::jobs::{Done, Job, Looked, Page};
use crate::world::State;
use billing::delivery::{Delivery, DeliveryId};
use billing::id::{CustomerId, MailId, Reference, SubscriptionId};
use billing::ports::{Key, Record, Wanted};

/// For whom a task is at work.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum For {
    /// The sweeper, who reads names.
    Everybody,
    One(CustomerId),
    /// What tells of nothing that we know.
    #[default]
    Nobody,
}

/// Where there are two customers, every how many steps what is written and answered is read for what is in it.
pub(crate) const EVERY: u64 = 16;

impl State {
    pub(crate) fn works_for(&self, job: &Job) -> For {
        let customer = match job {
            Job::Sweep => return For::Everybody,
            Job::Wake { wanted, .. } => self.wanted_of(wanted),
            Job::Webhook { notice, .. } => notice.reference.as_ref().and_then(|it| self.told_of(it)),
            Job::Open { page, .. } => match &**page {
                Page::Checkout(it) => Some(&it.customer),
                Page::Setup(it) => Some(&it.customer),
                Page::Recovery(it) => Some(&it.customer),
                Page::Mail(mail, _) => self.reader(mail),
            },
            Job::Preview { of, .. } => Some(match of {
                Looked::Change(it) => &it.customer,
                Looked::Subscribe(it) => &it.customer,
                Looked::Request(customer, _) => customer,
            }),
            Job::Verify { customer, .. }
            | Job::Request { customer, .. }
            | Job::Intervene { customer, .. }
            | Job::Prefer { customer, .. }
            | Job::Remove { customer, .. }
            | Job::Report { customer, .. }
            | Job::SetUsage { customer, .. }
            | Job::Acknowledge { customer, .. } => Some(customer),
            Job::TakeOver { wanted, .. } => Some(&wanted.customer),
            Job::Change { wish, .. } => Some(&wish.customer),
            Job::Subscribe { wanted, .. } => Some(&wanted.customer),
            Job::Refund { request, .. } => Some(&request.customer),
            Job::Consume { wanted, .. } => Some(&wanted.customer),
            Job::Rebuild { wanted } => Some(&wanted.customer),
        };
        customer.map_or(For::Nobody, |it| For::One(it.clone()))
    }

    fn wanted_of<'a>(&'a self, wanted: &'a Wanted) -> Option<&'a CustomerId> {
        match wanted {
            Wanted::Subscription { customer }
            | Wanted::Payment { customer, .. }
            | Wanted::Wallet { customer }
            | Wanted::Account { customer } => Some(customer),
            Wanted::Delivery { delivery } => self.delivered_to(delivery),
            Wanted::Mail { mail } => self.reader(mail),
        }
    }

    /// Whom the gateway would name.
    fn told_of(&self, reference: &Reference) -> Option<&CustomerId> {
        self.books.get(reference).map(|charge| &charge.payment.customer)
    }

    fn reader(&self, mail: &MailId) -> Option<&CustomerId> {
        self.records.get(&Key::Mail(mail.clone())).and_then(named)
    }

    fn delivered_to(&self, id: &DeliveryId) -> Option<&CustomerId> {
        match self.records.get(&Key::Delivery(id.clone())) {
            Some(Record::Delivery(Delivery { reference: Some(reference), .. })) => self.told_of(reference),
            _ => None,
        }
    }

    /// Whose the record at `key` is. None: nobody's, or everybody's.
    pub(crate) fn owner<'a>(&'a self, key: &'a Key) -> Option<&'a CustomerId> {
        match key {
            Key::Subscription(customer)
            | Key::PastSubscription(customer, _)
            | Key::History(customer, ..)
            | Key::Payment(customer, _)
            | Key::Wallet(customer)
            | Key::Account(customer)
            | Key::Tokens(customer)
            | Key::Consumption(customer, _)
            | Key::Usage(customer, _)
            | Key::Shard(customer, ..)
            | Key::UsageRecord(customer, _)
            | Key::Day(customer, ..)
            | Key::Claim(customer, _) => Some(customer),
            Key::Reference(..) | Key::Mail(_) => self.records.get(key).and_then(named),
            Key::Delivery(id) => self.delivered_to(id),
            Key::Family(_)
            | Key::Plan(_)
            | Key::PlanVersion(..)
            | Key::Meter(_)
            | Key::Coupon(_)
            | Key::Brand(_)
            | Key::TestClock => None,
        }
    }

    /// Whoever works for a customer asks for nothing of another's.
    pub(crate) fn asks_for(&mut self, task: u64, keys: &[Key]) {
        let stray = keys.iter().find(|key| !self.is_theirs(task, self.owner(key)));
        if let Some(key) = stray {
            let what = format!("task {task} reads {key:?} and works for {:?}", self.for_whom(task));
            self.breach("I-21", what);
        }
    }

    /// The same of a clock, a request to a gateway, a mail.
    pub(crate) fn is_about(&mut self, task: u64, customer: Option<&CustomerId>, what: impl FnOnce() -> String) {
        if !self.is_theirs(task, customer) {
            let what = format!("task {task} works for {:?}: {}", self.for_whom(task), what());
            self.breach("I-21", what);
        }
    }

    /// What is due is the sweeper's to know.
    pub(crate) fn looks_at_all(&mut self, task: u64) {
        if self.for_whom(task) != Some(&For::Everybody) {
            self.breach("I-21", format!("task {task} lists what is due of all"));
        }
    }

    fn for_whom(&self, task: u64) -> Option<&For> {
        self.tasks.get(&task).map(|notes| &notes.works_for)
    }

    fn is_theirs(&self, task: u64, customer: Option<&CustomerId>) -> bool {
        match (customer, self.for_whom(task)) {
            (None, _) => true,
            (Some(customer), Some(For::One(one))) => customer == one,
            (Some(_), Some(For::Everybody | For::Nobody) | None) => false,
        }
    }

    /// What is committed is theirs, by its key and by what is in it.
    pub(crate) fn writes_own(&mut self, task: u64, records: &[Record]) {
        let broken = records.iter().find_map(|record| self.is_own(task, record).err());
        if let Some((invariant, what)) = broken {
            self.breach(invariant, what);
        }
    }

    fn is_own(&self, task: u64, record: &Record) -> Checked {
        let told = || format!("task {task} works for {:?} and writes {record:?}", self.for_whom(task));
        let owner = match record {
            Record::Delivery(it) => it.reference.as_ref().and_then(|it| self.told_of(it)),
            other => named(other),
        };
        check(self.is_theirs(task, owner), "I-21", told)?;
        // What is sold is changed by whoever sells it. That a coupon was redeemed is counted.
        let is_sellers = matches!(
            record,
            Record::Family(_)
                | Record::Plan(_)
                | Record::PlanVersion(_)
                | Record::Meter(_)
                | Record::Brand(_)
                | Record::TestClock(_)
        );
        check(!is_sellers, "I-21", told)?;
        let Some(owner) = owner.filter(|_| self.step.is_multiple_of(EVERY)) else { return Ok(()) };
        check(self.names_no_other(owner, || format!("{record:?}")), "I-21", told)
    }

    /// Whether `text` has neither the name nor an id of a customer but `owner`.
    fn names_no_other(&self, owner: &CustomerId, text: impl FnOnce() -> String) -> bool {
        if self.homes.len() < 2 {
            return true;
        }
        let text = text();
        self.homes.keys().filter(|other| *other != owner).all(|other| {
            let id = SubscriptionId::nth(other, 1).to_string();
            let tag = id.split(['_', '-']).nth(1).unwrap_or(other.as_str());
            !text.contains(other.as_str()) && !text.contains(tag)
        })
    }

    /// Who asks is told of nobody else.
    pub(crate) fn is_told(&mut self, task: u64, done: &Done) {
        if self.homes.len() < 2 || !self.step.is_multiple_of(EVERY) {
            return;
        }
        let Some(For::One(owner)) = self.for_whom(task) else { return };
        if !self.names_no_other(owner, || format!("{done:?}")) {
            self.breach("I-21", format!("{owner} is answered {done:?}"));
        }
    }
}

/// Whom `record` names as its customer.
fn named(record: &Record) -> Option<&CustomerId> {
    match record {
        Record::Subscription(it) | Record::PastSubscription(it) => Some(&it.customer),
        Record::History { customer, .. } => Some(customer),
        Record::Payment(it) => Some(&it.customer),
        Record::Wallet(it) => Some(&it.customer),
        Record::Account(it) => Some(&it.customer),
        Record::Tokens(it) => Some(&it.customer),
        Record::Consumption(it) => Some(&it.customer),
        Record::Usage(it) => Some(&it.customer),
        Record::Shard(it) => Some(&it.customer),
        Record::UsageRecord(it) => Some(&it.customer),
        Record::Day(it) => Some(&it.customer),
        Record::Claim(it) => Some(&it.customer),
        Record::Reference(it) => Some(&it.customer),
        Record::Mail(it) => Some(&it.customer),
        Record::Delivery(_)
        | Record::Family(_)
        | Record::Plan(_)
        | Record::PlanVersion(_)
        | Record::Meter(_)
        | Record::Coupon(_)
        | Record::Brand(_)
        | Record::TestClock(_) => None,
    }
}
