//! Every key in the table, in one place.
//!
//! | record            | `pk`                       | `sk`                                  | `due`           |
//! |-------------------|----------------------------|---------------------------------------|-----------------|
//! | subscription      | `CUST#{customer}`          | `LIVE#SUB`                            | its lane, shard |
//! | wallet            | `CUST#{customer}`          | `LIVE#WALLET`                         | its lane, shard |
//! | account           | `CUST#{customer}`          | `LIVE#ACCOUNT`                        | its lane, shard |
//! | tokens            | `CUST#{customer}`          | `LIVE#TOKENS`                         |                 |
//! | usage             | `CUST#{customer}`          | `LIVE#USAGE#{meter}`                  |                 |
//! | past subscription | `CUST#{customer}`          | `SUB#{number}`                        |                 |
//! | history           | `CUST#{customer}`          | `EVENT#{number}#{version}#{index}`    |                 |
//! | payment           | `CUST#{customer}`          | `PAY#{number}#{period}#{attempt}`     | its lane, shard |
//! | consumption       | `CUST#{customer}`          | `USE#{consumption}`                   |                 |
//! | usage record      | `CUST#{customer}`          | `COUNT#{use}`                         |                 |
//! | day               | `CUST#{customer}`          | `DAY#{date}#{meter}`                  |                 |
//! | claim             | `CUST#{customer}`          | `CLAIM#{key}`                         |                 |
//! | reference         | `REF#{gateway}#{reference}`| `REF`                                 |                 |
//! | delivery          | `HOOK#{gateway}#{event}`   | `HOOK`                                | its lane, shard |
//! | mail              | `MAIL#{mail}`              | `MAIL`                                | its lane, shard |
//! | family, plan      | `CATALOGUE`                | `FAMILY#{family}`, `PLAN#{plan}`      |                 |
//! | meter's name      | `METER#{name}`             | `METER`                               |                 |
//! | plan version      | `PLAN#{plan}`              | `VERSION#{version}`                   |                 |
//! | coupon            | `COUPON#{code}`            | `COUPON`                              |                 |
//! | brand             | `BRANDS`                   | `BRAND#{brand}`                       |                 |
//! | test clock        | `CLOCK`                    | `CLOCK`                               |                 |
//!
//! | question                                | answered by                                               |
//! |-----------------------------------------|-----------------------------------------------------------|
//! | what is true of a customer now?         | query `CUST#{customer}`, `sk begins_with LIVE#`           |
//! | which payments did they make?           | query `CUST#{customer}`, `sk begins_with PAY#`, backwards |
//! | what did they consume?                  | query `CUST#{customer}`, `sk begins_with USE#`, backwards |
//! | what did they use, day by day?          | query `CUST#{customer}`, `sk` between two `DAY#`          |
//! | how did a subscription get there?       | query `CUST#{customer}`, `sk begins_with EVENT#{number}`  |
//! | whose payment does a gateway speak of?  | get `REF#…`                                               |
//! | have we seen this webhook?              | get `HOOK#…`; its creation is refused if it exists        |
//! | what is for sale?                       | query `CATALOGUE`                                         |
//! | which brands are there?                 | query `BRANDS`                                            |
//! | what is due now?                        | query `due-index`: `due = {lane}#{shard}`, `due_at <= now`|
//!
//! `due-index` is sparse: only records with something left to do carry `due`.
//! It is spread over shards, because one value of `due` is one partition of the
//! index and takes about a thousand writes a second.

use aws_sdk_dynamodb::types::AttributeValue;
use billing::delivery::DeliveryId;
use billing::id::{ConsumptionId, CustomerId, MailId, MeterId, PaymentId, SubscriptionId, UsageId};
use billing::payment::Gateway;
use billing::ports::{Key, Lane, Record, Wanted};
use jiff::Timestamp;
use jiff::civil::Date;
use sha2::{Digest, Sha256};
use std::collections::HashMap;

pub type Item = HashMap<String, AttributeValue>;

/// What `sk` begins with for the records of each kind that are queried together.
pub const LIVE: &str = "LIVE#";
pub const PAYMENTS: &str = "PAY#";
pub const CONSUMPTIONS: &str = "USE#";
pub const USES: &str = "COUNT#";
pub const DAYS: &str = "DAY#";
pub const CATALOGUE: &str = "CATALOGUE";
pub const BRANDS: &str = "BRANDS";

const SUBSCRIPTION: &str = "LIVE#SUB";
const WALLET: &str = "LIVE#WALLET";
const ACCOUNT: &str = "LIVE#ACCOUNT";

pub const DUE_INDEX: &str = "due-index";
pub const SHARDS: u8 = 8;

pub fn customer(id: &CustomerId) -> String {
    format!("CUST#{id}")
}

pub fn payment(id: &PaymentId) -> String {
    // Zero-padded, so that they sort as the numbers they are.
    format!("{PAYMENTS}{:08}#{:08}#{:08}", id.subscription.number, id.period, id.attempt)
}

pub fn consumption(id: &ConsumptionId) -> String {
    format!("{CONSUMPTIONS}{id}")
}

pub fn used(id: &UsageId) -> String {
    format!("{USES}{}", digest(id.as_str()))
}

/// Of one thing that was used, or before all that were used on that day. Tokens are no meter.
pub fn day(date: Date, meter: Option<&str>) -> String {
    format!("{DAYS}{date}#{}", meter.unwrap_or("-"))
}

pub fn of(key: &Key) -> Item {
    let (pk, sk) = match key {
        Key::Subscription(of) => (customer(of), SUBSCRIPTION.to_owned()),
        Key::Wallet(of) => (customer(of), WALLET.to_owned()),
        Key::Account(of) => (customer(of), ACCOUNT.to_owned()),
        Key::Tokens(of) => (customer(of), format!("{LIVE}TOKENS")),
        Key::Usage(of, meter) => (customer(of), format!("{LIVE}USAGE#{meter}")),
        Key::Shard(of, meter, number) => (customer(of), format!("{LIVE}SHARD#{meter}#{number}")),
        Key::PastSubscription(of, id) => (customer(of), format!("SUB#{:08}", id.number)),
        Key::History(of, id, version, index) => {
            (customer(of), format!("EVENT#{:08}#{version:012}#{index:03}", id.number))
        }
        Key::Payment(of, id) => (customer(of), payment(id)),
        Key::Consumption(of, id) => (customer(of), consumption(id)),
        Key::Day(of, date, meter, shard) => {
            let day = day(*date, meter.as_ref().map(MeterId::as_str));
            (customer(of), if *shard == 0 { day } else { format!("{day}#{shard}") })
        }
        // Hashed, both: any text of up to 255 characters, chosen by the caller.
        Key::UsageRecord(of, id) => (customer(of), used(id)),
        Key::Claim(of, key) => (customer(of), format!("CLAIM#{}", digest(key.as_str()))),
        Key::Reference(gateway, reference) => (format!("REF#{}#{reference}", gateway.as_str()), "REF".to_owned()),
        Key::Delivery(DeliveryId { gateway, event }) => {
            (format!("HOOK#{}#{event}", gateway.as_str()), "HOOK".to_owned())
        }
        Key::Mail(id) => (format!("MAIL#{id}"), "MAIL".to_owned()),
        Key::Family(id) => (CATALOGUE.to_owned(), format!("FAMILY#{id}")),
        Key::Plan(id) => (CATALOGUE.to_owned(), format!("PLAN#{id}")),
        Key::Meter(name) => (format!("METER#{name}"), "METER".to_owned()),
        Key::PlanVersion(id, version) => (format!("PLAN#{id}"), format!("VERSION#{version:08}")),
        Key::Coupon(code) => (format!("COUPON#{code}"), "COUPON".to_owned()),
        Key::Brand(id) => (BRANDS.to_owned(), format!("BRAND#{id}")),
        Key::TestClock => ("CLOCK".to_owned(), "CLOCK".to_owned()),
    };
    strings([("pk", pk), ("sk", sk)])
}

/// The attributes that put `record` into the index of what is due.
pub fn due(record: &Record) -> Option<Item> {
    let (in_lane, at, wanted) = record.due()?;
    let shard = Sha256::digest(sharded_by(&wanted))[0] % SHARDS;
    let mut item = strings([("due", lane(in_lane, shard))]);
    item.insert("due_at".to_owned(), AttributeValue::N(at.as_second().to_string()));
    Some(item)
}

pub fn lane(lane: Lane, shard: u8) -> String {
    let name = match lane {
        Lane::Renewals => "renewals",
        Lane::PaymentRetries => "payment-retries",
        Lane::Mails => "mails",
    };
    format!("{name}#{shard}")
}

fn sharded_by(wanted: &Wanted) -> &str {
    match wanted {
        Wanted::Subscription { customer }
        | Wanted::Payment { customer, .. }
        | Wanted::Wallet { customer }
        | Wanted::Account { customer } => customer.as_str(),
        Wanted::Delivery { delivery } => &delivery.event,
        Wanted::Mail { mail } => mail.as_str(),
    }
}

/// The record that an entry of the index names, and when it is due. None: not one of ours.
pub fn wanted(item: &Item) -> Option<(Timestamp, Wanted)> {
    let due_at = item.get("due_at").and_then(|value| value.as_n().ok())?.parse().ok()?;
    Some((Timestamp::from_second(due_at).ok()?, named(item)?))
}

/// An item by its key, for whoever has to look at it.
pub fn told(item: &Item) -> String {
    let text = |name| item.get(name).and_then(|value| value.as_s().ok()).map_or("-", String::as_str);
    format!("{} {}", text("pk"), text("sk"))
}

fn named(item: &Item) -> Option<Wanted> {
    let text = |name| item.get(name).and_then(|value| value.as_s().ok()).map(String::as_str);
    let (pk, sk) = (text("pk")?, text("sk")?);
    if let Some(event) = pk.strip_prefix("HOOK#") {
        let (gateway, event) = event.split_once('#')?;
        let gateway = Gateway::ALL.into_iter().find(|it| it.as_str() == gateway)?;
        return Some(Wanted::Delivery { delivery: DeliveryId { gateway, event: event.to_owned() } });
    }
    if let Some(mail) = pk.strip_prefix("MAIL#") {
        return Some(Wanted::Mail { mail: MailId::try_from(mail.to_owned()).ok()? });
    }
    let customer = CustomerId::try_from(pk.strip_prefix("CUST#")?.to_owned()).ok()?;
    match sk {
        SUBSCRIPTION => Some(Wanted::Subscription { customer }),
        WALLET => Some(Wanted::Wallet { customer }),
        ACCOUNT => Some(Wanted::Account { customer }),
        _ => {
            let mut numbers = sk.strip_prefix(PAYMENTS)?.split('#').map(str::parse);
            let mut next = || numbers.next()?.ok();
            let subscription = SubscriptionId::nth(&customer, next()?);
            let payment = PaymentId { subscription, period: next()?, attempt: next()? };
            Some(Wanted::Payment { customer, payment })
        }
    }
}

/// Where in a subscription's history an event belongs, which only its key says.
pub fn history(pk: &str, sk: &str) -> Option<(CustomerId, SubscriptionId, u64, u16)> {
    let customer = CustomerId::try_from(pk.strip_prefix("CUST#")?.to_owned()).ok()?;
    let mut numbers = sk.strip_prefix("EVENT#")?.split('#');
    let subscription = SubscriptionId::nth(&customer, numbers.next()?.parse().ok()?);
    Some((customer, subscription, numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

fn digest(text: &str) -> String {
    data_encoding::BASE32_NOPAD.encode(&Sha256::digest(text))
}

fn strings<const N: usize>(pairs: [(&str, String); N]) -> Item {
    pairs.into_iter().map(|(name, value)| (name.to_owned(), AttributeValue::S(value))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use billing::ports::Key;

    fn acme() -> CustomerId {
        CustomerId::try_from("acme".to_owned()).unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn an_entry_of_the_index_leads_back_to_its_record() {
        let subscription = billing::id::SubscriptionId::nth(&acme(), 3);
        let payment = PaymentId { subscription, period: 12, attempt: 2 };
        let delivery = DeliveryId { gateway: Gateway::Stripe, event: "evt_1#2".to_owned() };
        let mail = MailId::try_from(format!("mail_{}", "a7".repeat(12))).unwrap_or_else(|error| panic!("{error}"));
        let cases = [
            (Key::Subscription(acme()), Wanted::Subscription { customer: acme() }),
            (Key::Wallet(acme()), Wanted::Wallet { customer: acme() }),
            (Key::Account(acme()), Wanted::Account { customer: acme() }),
            (Key::Payment(acme(), payment.clone()), Wanted::Payment { customer: acme(), payment }),
            (Key::Delivery(delivery.clone()), Wanted::Delivery { delivery }),
            (Key::Mail(mail.clone()), Wanted::Mail { mail }),
        ];
        for (key, expected) in cases {
            assert_eq!(named(&of(&key)), Some(expected));
        }
    }

    #[test]
    fn payments_sort_by_age() {
        let id = |number, period, attempt| {
            let subscription = billing::id::SubscriptionId::nth(&acme(), number);
            payment(&PaymentId { subscription, period, attempt })
        };
        let sorted = [id(1, 0, 1), id(1, 2, 1), id(1, 2, 2), id(1, 10, 1), id(2, 0, 1), id(10, 0, 1)];
        assert!(sorted.is_sorted());
    }
}
