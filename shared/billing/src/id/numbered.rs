//! Ids that are counted: a customer's subscriptions, their periods, and the attempts to collect each.

use super::{CustomerId, Invalid, Reference, base32};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt;

/// The `number`th subscription of a customer, counted from 1: `sub_k3f9x2m7ab-1`.
/// Number 0 stands for none: payments that set a method up (period 0) and
/// transfers that came in (period 1) belong to it, and period 2 leads to a
/// subscription that is driven elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SubscriptionId {
    tag: String,
    pub number: u32,
}

impl SubscriptionId {
    pub fn nth(customer: &CustomerId, number: u32) -> Self {
        Self { tag: tag(customer), number }
    }

    pub fn next(&self) -> Self {
        Self { tag: self.tag.clone(), number: self.number + 1 }
    }
}

/// The period of a subscription with that index: `per_k3f9x2m7ab-1-0`. No two of one subscription have the same.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PeriodId {
    pub subscription: SubscriptionId,
    pub index: u32,
}

/// The `attempt`th attempt, counted from 1, to collect one period of one
/// subscription: `pay_k3f9x2m7ab-1-0-1`. Ids of one customer sort by age.
/// Those that pay for a change within a period are counted from 1,001, so that
/// none is taken for one that pays for the period itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PaymentId {
    pub subscription: SubscriptionId,
    pub period: u32,
    pub attempt: u32,
}

/// More than there are ever attempts for one period: pages are opened by people, and charges by the ladder.
const CHANGES_COUNT_FROM: u32 = 1_000;

impl PaymentId {
    /// The payment with which `customer` sets a method up for the `number`th time.
    pub(crate) fn setup(customer: &CustomerId, number: u32) -> Self {
        Self { subscription: SubscriptionId::nth(customer, 0), period: 0, attempt: number }
    }

    /// The `number`th transfer to the virtual account of `customer`; number 0 stands for the account itself.
    pub(crate) fn transfer(customer: &CustomerId, number: u32) -> Self {
        Self { subscription: SubscriptionId::nth(customer, 0), period: 1, attempt: number }
    }

    /// Whether this names a virtual account rather than a payment.
    pub(crate) fn is_account(&self) -> bool {
        self.subscription.number == 0 && self.period == 1 && self.attempt == 0
    }

    /// The payment for the `number`th change of `subscription`, which costs something in `period`. Number 0 stands for
    /// a change that cost nothing.
    pub(crate) fn change(subscription: SubscriptionId, period: u32, number: u32) -> Self {
        Self { subscription, period, attempt: CHANGES_COUNT_FROM.saturating_add(number) }
    }

    /// Whether it pays for a change within a period, and not for the period.
    pub fn is_for_change(&self) -> bool {
        self.attempt >= CHANGES_COUNT_FROM
    }

    /// What stands for the customer's driven subscription where a payment's id does elsewhere.
    pub(crate) fn driven(customer: &CustomerId) -> Self {
        Self { subscription: SubscriptionId::nth(customer, 0), period: 2, attempt: 0 }
    }

    /// Whether this names a driven subscription rather than a payment.
    pub(crate) fn is_driven(&self) -> bool {
        self.subscription.number == 0 && self.period == 2 && self.attempt == 0
    }

    /// Whether the payment can be one of `customer`'s at all.
    pub fn belongs_to(&self, customer: &CustomerId) -> bool {
        self.subscription.tag == tag(customer)
    }

    /// What the gateway is to know this attempt by.
    pub fn reference(&self, customer: &CustomerId) -> Reference {
        let Self { subscription, period, attempt } = self;
        let digest = Sha256::digest(format!("v1|{customer}|{subscription}|{period}|{attempt}"));
        Reference(format!("r{}", &base32(&digest)[..25]))
    }
}

impl fmt::Display for PeriodId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "per_{}-{}-{}", self.subscription.tag, self.subscription.number, self.index)
    }
}

impl fmt::Display for SubscriptionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sub_{}-{}", self.tag, self.number)
    }
}

impl fmt::Display for PaymentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { subscription, period, attempt } = self;
        write!(f, "pay_{}-{}-{period}-{attempt}", subscription.tag, subscription.number)
    }
}

impl TryFrom<String> for SubscriptionId {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        let parse = || {
            let (tag, number) = text.strip_prefix("sub_")?.split_once('-')?;
            Some(Self { tag: tag.to_owned(), number: number.parse().ok()? })
        };
        // What is printed must be what was read: one id, one spelling.
        parse().filter(|id: &Self| id.to_string() == text).ok_or(Invalid { expected: "a subscription id (`sub_…`)" })
    }
}

impl TryFrom<String> for PeriodId {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        let parse = || {
            let mut parts = text.strip_prefix("per_")?.split('-');
            let tag = parts.next()?.to_owned();
            let mut number = || parts.next()?.parse().ok();
            let (subscription, index) = (number()?, number()?);
            Some(Self { subscription: SubscriptionId { tag, number: subscription }, index })
        };
        parse().filter(|id: &Self| id.to_string() == text).ok_or(Invalid { expected: "a period id (`per_…`)" })
    }
}

impl From<PeriodId> for String {
    fn from(id: PeriodId) -> String {
        id.to_string()
    }
}

impl TryFrom<String> for PaymentId {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        let parse = || {
            let mut parts = text.strip_prefix("pay_")?.split('-');
            let tag = parts.next()?.to_owned();
            let mut number = || parts.next()?.parse().ok();
            let (subscription, period, attempt) = (number()?, number()?, number()?);
            Some(Self { subscription: SubscriptionId { tag, number: subscription }, period, attempt })
        };
        parse().filter(|id: &Self| id.to_string() == text).ok_or(Invalid { expected: "a payment id (`pay_…`)" })
    }
}

impl From<SubscriptionId> for String {
    fn from(id: SubscriptionId) -> String {
        id.to_string()
    }
}

impl From<PaymentId> for String {
    fn from(id: PaymentId) -> String {
        id.to_string()
    }
}

/// Says whose an id is without saying who that is.
fn tag(customer: &CustomerId) -> String {
    base32(&Sha256::digest(format!("customer|{customer}")))[..12].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn customer(text: &str) -> CustomerId {
        CustomerId::try_from(text.to_owned()).unwrap_or_else(|_| panic!("{text}"))
    }

    fn payment(customer: &CustomerId, attempt: u32) -> PaymentId {
        PaymentId { subscription: SubscriptionId::nth(customer, 1), period: 0, attempt }
    }

    #[test]
    fn ids_read_back_as_they_were_printed() {
        let id = payment(&customer("acme"), 2);
        assert_eq!(PaymentId::try_from(id.to_string()).ok(), Some(id.clone()));
        assert_eq!(SubscriptionId::try_from(id.subscription.to_string()).ok(), Some(id.subscription.clone()));
        let period = PeriodId { subscription: id.subscription, index: 12 };
        assert_eq!(PeriodId::try_from(period.to_string()).ok(), Some(period.clone()));
        let written = [String::from(period.clone()), String::from(payment(&customer("acme"), 2))];
        assert_eq!(written, [period.to_string(), payment(&customer("acme"), 2).to_string()]);
    }

    #[test]
    fn a_number_says_whether_a_change_is_paid_for_or_the_period() {
        let acme = customer("acme");
        let change = |number| PaymentId::change(SubscriptionId::nth(&acme, 1), 0, number);
        assert_eq!([0, 1, 7].map(|number| change(number).is_for_change()), [true; 3]);
        assert_eq!([1, 2, 999].map(|attempt| payment(&acme, attempt).is_for_change()), [false; 3]);
        assert_ne!(change(1), payment(&acme, 1));
    }

    #[test]
    fn what_stands_for_no_payment_is_told_from_all_that_are() {
        let acme = customer("acme");
        let numbered =
            |number, period, attempt| PaymentId { subscription: SubscriptionId::nth(&acme, number), period, attempt };
        assert!(PaymentId::driven(&acme).is_driven() && PaymentId::transfer(&acme, 0).is_account());
        let payments = [
            PaymentId::setup(&acme, 0),
            PaymentId::setup(&acme, 1),
            PaymentId::transfer(&acme, 1),
            numbered(0, 2, 1),
            numbered(1, 2, 0),
            numbered(1, 1, 0),
            numbered(1, 2, 1),
        ];
        for payment in payments {
            assert!(!payment.is_driven() && !payment.is_account(), "{payment}");
        }
    }

    #[test]
    fn an_id_has_one_spelling() {
        let id = payment(&customer("acme"), 1).to_string();
        for other in
            [id.replace("-1-0-1", "-01-0-1"), id.replace("-1-0-1", "-1-0-+1"), format!("{id}-1"), id[..9].into()]
        {
            assert!(PaymentId::try_from(other.clone()).is_err(), "{other}");
        }
    }

    #[test]
    fn an_id_tells_its_owner_from_others() {
        let id = payment(&customer("acme"), 1);
        assert!(id.belongs_to(&customer("acme")));
        assert!(!id.belongs_to(&customer("globex")));
    }

    #[test]
    fn references_differ_by_customer_and_attempt_and_suit_every_gateway() {
        let (acme, globex) = (customer("acme"), customer("globex"));
        let references = [
            payment(&acme, 1).reference(&acme),
            payment(&acme, 2).reference(&acme),
            payment(&globex, 1).reference(&globex),
        ];
        assert!(references[0] != references[1] && references[0] != references[2]);
        for reference in references {
            assert!(Reference::try_from(reference.to_string()).is_ok());
            assert!(reference.as_str().bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()));
        }
    }

    /// Found by the fuzzer: a delivery could name a payment in letters that no reference has.
    #[test]
    fn a_reference_has_one_spelling() {
        let reference = payment(&customer("acme"), 1).reference(&customer("acme")).to_string();
        for other in [reference.to_uppercase(), reference.replacen(['a', 'b', 'c'], "X", 1), format!("{reference}2")] {
            assert!(other != reference && Reference::try_from(other.clone()).is_err(), "{other}");
        }
    }
}
