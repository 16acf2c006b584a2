//! What is stored: every record with its key, its version and its alarm clock.

use super::{Lane, StoreError, TestClock, Wanted};
use crate::account::VirtualAccount;
use crate::brand::Brand;
use crate::catalog::{Family, Meter, Plan};
use crate::delivery::{Delivery, DeliveryId};
use crate::discount::Coupon;
use crate::driven::Seen;
use crate::id::{
    BrandId, ConsumptionId, CouponCode, CustomerId, FamilyId, IdempotencyKey, MailId, MeterId, PaymentId, PeriodId,
    PlanId, Reference, SubscriptionId, UsageId,
};
use crate::mail::Mail;
use crate::payment::{Gateway, Payment};
use crate::shard::Shard;
use crate::statistics::DayUsage;
use crate::subscription::{Event, Status, Subscription};
use crate::token::{Consumption, Tokens};
use crate::usage::{MeterUsage, UsageRecord};
use crate::wallet::Wallet;
use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::num::{NonZeroU32, NonZeroU64};

#[derive(Clone, Debug, PartialEq)]
pub enum Write {
    /// Refused as [`StoreError::Duplicate`](super::StoreError::Duplicate) if the record exists.
    Create(Record),
    /// Refused as [`StoreError::Conflict`](super::StoreError::Conflict) unless the stored version is `seen`.
    Replace { record: Record, seen: u64 },
    /// Takes `tokens` from the customer's balance, whatever else is done to it at the same moment. Refused as
    /// [`StoreError::Conflict`](super::StoreError::Conflict) if it has fewer.
    Consume { customer: CustomerId, tokens: NonZeroU32 },
    /// Adds `by` to what the meter has counted in `period`, whatever else is counted at the same moment. Refused as
    /// [`StoreError::Conflict`](super::StoreError::Conflict) if it counts in another period, would then be more than
    /// `at_most`, has reservations of more than `held`, or has lent anything to shards.
    Count {
        customer: CustomerId,
        meter: MeterId,
        period: PeriodId,
        by: NonZeroU64,
        at_most: u64,
        held: u64,
        at: Timestamp,
    },
    /// Adds `by` to what a shard has counted, and takes it from what is lent to it, whatever else is counted at the same moment.
    /// Refused as [`StoreError::Conflict`](super::StoreError::Conflict) if that was lent by another lease, or less is left.
    CountInShard { customer: CustomerId, meter: MeterId, shard: u8, lease: u64, by: NonZeroU64, at: Timestamp },
    /// Adds the day's value to what the same day has, if there is any. Never refused.
    Add(DayUsage),
    /// The same day has that value and no other. Never refused: that nobody has added to it meanwhile, the meter says, which
    /// is written whole with it.
    Set(DayUsage),
}

impl Write {
    /// Writes the version after the one that `record` was read as; the first
    /// one if it was never stored.
    pub fn next(mut record: Record) -> Self {
        let seen = match record.version_mut() {
            Some(version) => std::mem::replace(version, *version + 1),
            None => 0,
        };
        if seen == 0 { Self::Create(record) } else { Self::Replace { record, seen } }
    }

    pub fn key(&self) -> Key {
        match self {
            Self::Create(record) | Self::Replace { record, .. } => record.key(),
            Self::Consume { customer, .. } => Key::Tokens(customer.clone()),
            Self::Count { customer, meter, .. } => Key::Usage(customer.clone(), meter.clone()),
            Self::CountInShard { customer, meter, shard, .. } => Key::Shard(customer.clone(), meter.clone(), *shard),
            Self::Add(day) | Self::Set(day) => Key::Day(day.customer.clone(), day.date, day.meter.clone(), day.shard),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Key {
    /// The customer's one subscription that is live, or was last.
    Subscription(CustomerId),
    /// An earlier one, kept for ever.
    PastSubscription(CustomerId, SubscriptionId),
    /// The `index`th event that brought a subscription to `version`.
    History(CustomerId, SubscriptionId, u64, u16),
    Payment(CustomerId, PaymentId),
    Wallet(CustomerId),
    Account(CustomerId),
    Tokens(CustomerId),
    Consumption(CustomerId, ConsumptionId),
    Usage(CustomerId, MeterId),
    /// A part of a meter, by its number.
    Shard(CustomerId, MeterId, u8),
    UsageRecord(CustomerId, UsageId),
    /// What a meter, or one of its shards, has counted of a day. None: tokens.
    Day(CustomerId, Date, Option<MeterId>, u8),
    Claim(CustomerId, IdempotencyKey),
    Reference(Gateway, Reference),
    Delivery(DeliveryId),
    Mail(MailId),
    Family(FamilyId),
    Plan(PlanId),
    PlanVersion(PlanId, u32),
    /// By its id or an alias.
    Meter(MeterId),
    Coupon(CouponCode),
    Brand(BrandId),
    TestClock,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Record {
    Subscription(Subscription),
    PastSubscription(Subscription),
    History { customer: CustomerId, subscription: SubscriptionId, version: u64, index: u16, event: Event },
    Payment(Payment),
    Wallet(Wallet),
    Account(VirtualAccount),
    Tokens(Tokens),
    Consumption(Consumption),
    Usage(MeterUsage),
    Shard(Shard),
    UsageRecord(UsageRecord),
    Day(DayUsage),
    Claim(Claim),
    Reference(Referred),
    Delivery(Delivery),
    Mail(Mail),
    Family(StoredFamily),
    Plan(StoredPlan),
    PlanVersion(Plan),
    Meter(MeterName),
    Coupon(StoredCoupon),
    Brand(Brand),
    TestClock(TestClock),
}

/// An idempotency key in use: what was asked under it, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    pub customer: CustomerId,
    pub key: IdempotencyKey,
    /// Of the request, so that another request under the same key is noticed.
    pub fingerprint: String,
    pub payment: PaymentId,
    /// What was consumed, if that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consumption: Option<ConsumptionId>,
    pub expires_at: Timestamp,
}

/// The only way from what a gateway says to a customer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Referred {
    pub gateway: Gateway,
    pub reference: Reference,
    pub customer: CustomerId,
    pub payment: PaymentId,
}

/// A family as stored, with a version of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredFamily {
    pub family: Family,
    /// That its file names.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub coupons: BTreeSet<CouponCode>,
    pub version: u64,
}

/// The current version of a plan; `revision` guards its replacement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredPlan {
    pub plan: Plan,
    #[serde(rename = "version")]
    pub revision: u64,
}

/// A coupon, and how often it was redeemed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredCoupon {
    pub coupon: Coupon,
    pub family: FamilyId,
    /// Its family's file names it no more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub withdrawn: bool,
    /// Counted for those only of which there are so many: of the others, nobody has to wait for anybody.
    pub redeemed: u32,
    pub version: u64,
}

/// What a name means in each family that has a meter of that name or alias.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MeterName {
    pub name: MeterId,
    pub families: BTreeMap<FamilyId, Meter>,
    pub version: u64,
}

impl Record {
    pub fn key(&self) -> Key {
        match self {
            Self::Subscription(it) => Key::Subscription(it.customer.clone()),
            Self::PastSubscription(it) => Key::PastSubscription(it.customer.clone(), it.id.clone()),
            Self::History { customer, subscription, version, index, .. } => {
                Key::History(customer.clone(), subscription.clone(), *version, *index)
            }
            Self::Payment(it) => Key::Payment(it.customer.clone(), it.id.clone()),
            Self::Wallet(it) => Key::Wallet(it.customer.clone()),
            Self::Account(it) => Key::Account(it.customer.clone()),
            Self::Tokens(it) => Key::Tokens(it.customer.clone()),
            Self::Consumption(it) => Key::Consumption(it.customer.clone(), it.id.clone()),
            Self::Usage(it) => Key::Usage(it.customer.clone(), it.meter.clone()),
            Self::Shard(it) => Key::Shard(it.customer.clone(), it.meter.clone(), it.number),
            Self::UsageRecord(it) => Key::UsageRecord(it.customer.clone(), it.id.clone()),
            Self::Day(it) => Key::Day(it.customer.clone(), it.date, it.meter.clone(), it.shard),
            Self::Claim(it) => Key::Claim(it.customer.clone(), it.key.clone()),
            Self::Reference(it) => Key::Reference(it.gateway, it.reference.clone()),
            Self::Delivery(it) => Key::Delivery(it.id.clone()),
            Self::Mail(it) => Key::Mail(it.id.clone()),
            Self::Family(it) => Key::Family(it.family.id.clone()),
            Self::Plan(it) => Key::Plan(it.plan.id.clone()),
            Self::PlanVersion(it) => Key::PlanVersion(it.id.clone(), it.version),
            Self::Meter(it) => Key::Meter(it.name.clone()),
            Self::Coupon(it) => Key::Coupon(it.coupon.code.clone()),
            Self::Brand(it) => Key::Brand(it.id.clone()),
            Self::TestClock(_) => Key::TestClock,
        }
    }

    /// The number that guards a record's replacement; none if it never is replaced.
    pub fn version(&self) -> Option<u64> {
        match self {
            Self::Subscription(it) => Some(it.version),
            Self::Payment(it) => Some(it.version),
            Self::Wallet(it) => Some(it.version),
            Self::Account(it) => Some(it.version),
            Self::Tokens(it) => Some(it.version),
            Self::Usage(it) => Some(it.version),
            Self::Shard(it) => Some(it.version),
            Self::Delivery(it) => Some(it.version),
            Self::Mail(it) => Some(it.version),
            Self::Family(it) => Some(it.version),
            Self::Plan(it) => Some(it.revision),
            Self::Meter(it) => Some(it.version),
            Self::Coupon(it) => Some(it.version),
            Self::Brand(it) => Some(it.version),
            Self::TestClock(it) => Some(it.version),
            Self::PastSubscription(_)
            | Self::History { .. }
            | Self::Consumption(_)
            | Self::UsageRecord(_)
            | Self::Day(_)
            | Self::Claim(_)
            | Self::Reference(_)
            | Self::PlanVersion(_) => None,
        }
    }

    fn version_mut(&mut self) -> Option<&mut u64> {
        match self {
            Self::Subscription(it) => Some(&mut it.version),
            Self::Payment(it) => Some(&mut it.version),
            Self::Wallet(it) => Some(&mut it.version),
            Self::Account(it) => Some(&mut it.version),
            Self::Tokens(it) => Some(&mut it.version),
            Self::Usage(it) => Some(&mut it.version),
            Self::Shard(it) => Some(&mut it.version),
            Self::Delivery(it) => Some(&mut it.version),
            Self::Mail(it) => Some(&mut it.version),
            Self::Family(it) => Some(&mut it.version),
            Self::Plan(it) => Some(&mut it.revision),
            Self::Meter(it) => Some(&mut it.version),
            Self::Coupon(it) => Some(&mut it.version),
            Self::Brand(it) => Some(&mut it.version),
            Self::TestClock(it) => Some(&mut it.version),
            Self::PastSubscription(_)
            | Self::History { .. }
            | Self::Consumption(_)
            | Self::UsageRecord(_)
            | Self::Day(_)
            | Self::Claim(_)
            | Self::Reference(_)
            | Self::PlanVersion(_) => None,
        }
    }

    /// The alarm clock: which queue is to wake a worker for it, and when.
    pub fn due(&self) -> Option<(Lane, Timestamp, Wanted)> {
        match self {
            Self::Subscription(it) => {
                let lane = match it.status {
                    Status::PastDue { .. } => Lane::PaymentRetries,
                    Status::Incomplete
                    | Status::Active { .. }
                    | Status::Paused { .. }
                    | Status::Canceled { .. }
                    | Status::Expired { .. } => Lane::Renewals,
                };
                Some((lane, it.due_at()?, Wanted::Subscription { customer: it.customer.clone() }))
            }
            Self::Payment(it) => {
                let wanted = Wanted::Payment { customer: it.customer.clone(), payment: it.id.clone() };
                Some((Lane::PaymentRetries, it.due_at()?, wanted))
            }
            Self::Delivery(it) => {
                Some((Lane::PaymentRetries, it.due_at()?, Wanted::Delivery { delivery: it.id.clone() }))
            }
            Self::Mail(it) => Some((Lane::Mails, it.due_at()?, Wanted::Mail { mail: it.id.clone() })),
            Self::Wallet(it) => {
                Some((Lane::PaymentRetries, it.due_at()?, Wanted::Wallet { customer: it.customer.clone() }))
            }
            Self::Account(it) => {
                Some((Lane::PaymentRetries, it.check_at, Wanted::Account { customer: it.customer.clone() }))
            }
            Self::PastSubscription(_)
            | Self::History { .. }
            | Self::Tokens(_)
            | Self::Consumption(_)
            | Self::Usage(_)
            | Self::Shard(_)
            | Self::UsageRecord(_)
            | Self::Day(_)
            | Self::Claim(_)
            | Self::Reference(_)
            | Self::Family(_)
            | Self::Plan(_)
            | Self::PlanVersion(_)
            | Self::Meter(_)
            | Self::Coupon(_)
            | Self::Brand(_)
            | Self::TestClock(_) => None,
        }
    }

    /// When the store may forget it. Advisory, and never for money.
    pub fn expires_at(&self) -> Option<Timestamp> {
        match self {
            Self::Claim(it) => Some(it.expires_at),
            Self::UsageRecord(it) => Some(it.expires_at),
            Self::Day(it) => it.expires_at(),
            Self::Delivery(it) => it.expires_at(),
            Self::Mail(it) => it.expires_at(),
            Self::Subscription(_)
            | Self::PastSubscription(_)
            | Self::History { .. }
            | Self::Payment(_)
            | Self::Wallet(_)
            | Self::Account(_)
            | Self::Tokens(_)
            | Self::Consumption(_)
            | Self::Usage(_)
            | Self::Shard(_)
            | Self::Reference(_)
            | Self::Family(_)
            | Self::Plan(_)
            | Self::PlanVersion(_)
            | Self::Meter(_)
            | Self::Coupon(_)
            | Self::Brand(_)
            | Self::TestClock(_) => None,
        }
    }
}

/// Records as they were read, to be taken out one by one.
#[derive(Clone, Debug, Default)]
pub struct Found(Vec<Record>);

macro_rules! take {
    ($($name:ident: $variant:ident($type:ty)),* $(,)?) => {
        $(pub fn $name(&mut self) -> Option<$type> {
            let at = self.0.iter().position(|record| matches!(record, Record::$variant(_)))?;
            match self.0.swap_remove(at) {
                Record::$variant(it) => Some(it),
                _ => unreachable!("the position of that variant"),
            }
        })*
    };
}

impl Found {
    pub fn new(records: Vec<Record>) -> Self {
        Self(records)
    }

    pub fn records(&self) -> &[Record] {
        &self.0
    }

    pub(crate) fn put(&mut self, record: Record) {
        self.0.push(record);
    }

    /// Where that is counted which the meters among them have lent to their shards.
    pub(crate) fn shard_keys(&self) -> Vec<Key> {
        let usage = |it: &Record| if let Record::Usage(it) = it { it.shard_keys() } else { vec![] };
        self.0.iter().flat_map(usage).collect()
    }

    /// The same records, each meter with its shards. None: they were not read at one moment.
    pub(crate) fn whole(self, shards: Self) -> Option<Self> {
        let is_shard = |it: &Record| matches!(it, Record::Shard(_));
        let (shards, records): (Vec<Record>, Vec<Record>) = self.0.into_iter().chain(shards.0).partition(is_shard);
        let of = |usage: &MeterUsage| {
            let shards = shards.iter().filter_map(|it| if let Record::Shard(it) = it { Some(it) } else { None });
            let its = |it: &&Shard| (&it.customer, &it.meter) == (&usage.customer, &usage.meter);
            shards.filter(its).cloned().collect()
        };
        let whole = records.into_iter().map(|it| {
            let Record::Usage(usage) = it else { return Some(it) };
            let its = of(&usage);
            usage.with(its).map(Record::Usage)
        });
        whole.collect::<Option<_>>().map(Self)
    }

    /// The family that `plan` is sold in. It is never taken out of the catalogue: without it nobody can tell what a
    /// change would take away.
    pub(crate) fn family_of(&mut self, plan: &Plan) -> Result<Family, StoreError> {
        let lost =
            || StoreError::Unavailable(format!("the family `{}` of `{}` is not stored", plan.family, plan.id).into());
        self.family().map(|it| it.family).ok_or_else(lost)
    }

    take! {
        subscription: Subscription(Subscription), past_subscription: PastSubscription(Subscription),
        payment: Payment(Payment), wallet: Wallet(Wallet), account: Account(VirtualAccount), tokens: Tokens(Tokens),
        consumption: Consumption(Consumption), claim: Claim(Claim),
        referred: Reference(Referred), delivery: Delivery(Delivery), mail: Mail(Mail), family: Family(StoredFamily),
        plan: Plan(StoredPlan), meter: Meter(MeterName), coupon: Coupon(StoredCoupon), usage: Usage(MeterUsage),
        usage_record: UsageRecord(UsageRecord), shard: Shard(Shard),
        brand: Brand(Brand), test_clock: TestClock(TestClock),
    }
}

impl Referred {
    /// Whatever names the account leads to its customer.
    pub(crate) fn to_account(account: &VirtualAccount) -> Self {
        Self {
            gateway: account.gateway,
            reference: Reference::of_account(account.gateway.as_str(), &account.account.account_number),
            customer: account.customer.clone(),
            payment: PaymentId::transfer(&account.customer, 0),
        }
    }

    /// Whatever names the subscription, or who pays for it, leads to its customer.
    pub(crate) fn to_driven(customer: &CustomerId, gateway: Gateway, seen: &Seen) -> [Self; 2] {
        let name = gateway.as_str();
        let references = [Reference::of_driven(name, &seen.id), Reference::of_payer(name, &seen.payer)];
        let payment = PaymentId::driven(customer);
        references.map(|reference| Self { gateway, reference, customer: customer.clone(), payment: payment.clone() })
    }

    pub fn to(payment: &Payment) -> Self {
        Self {
            gateway: payment.gateway,
            reference: payment.reference.clone(),
            customer: payment.customer.clone(),
            payment: payment.id.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{active, checkout_payment, customer, instant, meter};

    #[test]
    fn what_is_kept_for_a_while_says_until_when_and_money_never_does() {
        let until = instant("2026-04-04T00:00:00Z");
        let date = jiff::civil::date(2025, 2, 28);
        let day = DayUsage { customer: customer(), date, meter: Some(meter("minutes")), shard: 0, value: 1 };
        assert_eq!(Record::Day(day).expires_at(), Some(until));
        let money = [
            Record::Subscription(active()),
            Record::Payment(checkout_payment()),
            Record::Wallet(crate::wallet::Wallet::empty(customer())),
        ];
        for record in money {
            assert_eq!(record.expires_at(), None, "{record:?}");
        }
    }
}
