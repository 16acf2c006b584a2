//! What an item of the table is to a record, and back.

use super::keys::{self, Item};
use super::unavailable;
use aws_sdk_dynamodb::types::AttributeValue;
use billing::ports::{Record, StoreError};
use serde::de::DeserializeOwned;
use serde_dynamo::aws_sdk_dynamodb_1::{from_item, to_item};

/// The schema that this code writes. It reads this one and those before it.
///
/// 2: subscriptions have add-ons, trials, pauses, changes to come and balances. Code that knows of none of them would
/// write such a record back without; it leaves it alone instead.
/// 3: a subscription has a time zone. Code that does not know it would count the next period in UTC.
/// 4: what was used beyond limits is charged for. Code that does not know it would write a subscription back without.
/// 5: a meter has reservations. Code that does not know them would give to others what is held, and write it back without.
/// 6: a subscription is suspended when grace is over. Code that does not know that would end it, or serve it.
/// 7: what is told late is charged for. Code that does not know it would write a subscription back without.
/// 8: a meter lends to its shards. Code that does not know them would miss what they have counted.
/// 9: a customer has a brand. Code that does not know it would write a subscription back without, and to them under no name.
/// 10: a payment says what tokens it brought, and whether it holds a coupon. Code that does not know it would write it back
/// without, leave the tokens to who has the money back, and count the coupon twice.
const SCHEMA: u32 = 10;

pub(super) fn item(record: &Record) -> Result<Item, StoreError> {
    let mut item: Item = match record {
        Record::Subscription(it) | Record::PastSubscription(it) => to_item(it),
        Record::History { event, .. } => to_item(event),
        Record::Payment(it) => to_item(it),
        Record::Wallet(it) => to_item(it),
        Record::Account(it) => to_item(it),
        Record::Tokens(it) => to_item(it),
        Record::Consumption(it) => to_item(it),
        Record::Usage(it) => to_item(it),
        Record::Shard(it) => to_item(it),
        Record::UsageRecord(it) => to_item(it),
        Record::Day(it) => to_item(it),
        Record::Claim(it) => to_item(it),
        Record::Reference(it) => to_item(it),
        Record::Delivery(it) => to_item(it),
        Record::Mail(it) => to_item(it),
        Record::Family(it) => to_item(it),
        Record::Plan(it) => to_item(it),
        Record::PlanVersion(it) => to_item(it),
        Record::Meter(it) => to_item(it),
        Record::Coupon(it) => to_item(it),
        Record::Brand(it) => to_item(it),
        Record::TestClock(it) => to_item(it),
    }
    .map_err(unavailable)?;
    item.extend(keys::of(&record.key()));
    item.extend(keys::due(record).into_iter().flatten());
    item.insert("schema".to_owned(), AttributeValue::N(SCHEMA.to_string()));
    if let Some(at) = record.expires_at() {
        // Never the attribute of the same name inside a record: this one is a number, as the table's TTL wants it.
        item.insert("forget_at".to_owned(), AttributeValue::N(at.as_second().to_string()));
    }
    Ok(item)
}

pub(super) fn records(items: Vec<Item>) -> Result<Vec<Record>, StoreError> {
    let records: Result<Vec<Option<Record>>, StoreError> = items.into_iter().map(record).collect();
    Ok(records?.into_iter().flatten().collect())
}

/// Reads an item as the kind of record that its key says it is.
fn record(item: Item) -> Result<Option<Record>, StoreError> {
    let text = |name| item.get(name).and_then(|value: &AttributeValue| value.as_s().ok()).cloned().unwrap_or_default();
    let (pk, sk) = (text("pk"), text("sk"));
    let kind = |text: &str| text.split('#').next().unwrap_or_default().to_owned();
    Ok(Some(match (kind(&pk).as_str(), kind(&sk).as_str()) {
        ("CUST", "LIVE") => match sk.trim_start_matches(keys::LIVE) {
            "SUB" => Record::Subscription(read(item)?),
            "WALLET" => Record::Wallet(read(item)?),
            "ACCOUNT" => Record::Account(read(item)?),
            "TOKENS" => Record::Tokens(read(item)?),
            part if part.starts_with("SHARD#") => Record::Shard(read(item)?),
            _ => Record::Usage(read(item)?),
        },
        ("CUST", "SUB") => Record::PastSubscription(read(item)?),
        ("CUST", "PAY") => Record::Payment(read(item)?),
        ("CUST", "USE") => Record::Consumption(read(item)?),
        ("CUST", "COUNT") => Record::UsageRecord(read(item)?),
        ("CUST", "DAY") => Record::Day(read(item)?),
        ("CUST", "CLAIM") => Record::Claim(read(item)?),
        ("CUST", "EVENT") => match keys::history(&pk, &sk) {
            Some((customer, subscription, version, index)) => {
                Record::History { customer, subscription, version, index, event: read(item)? }
            }
            None => return Ok(None),
        },
        ("REF", _) => Record::Reference(read(item)?),
        ("HOOK", _) => Record::Delivery(read(item)?),
        ("MAIL", _) => Record::Mail(read(item)?),
        ("CATALOGUE", "FAMILY") => Record::Family(read(item)?),
        ("CATALOGUE", "PLAN") => Record::Plan(read(item)?),
        ("METER", _) => Record::Meter(read(item)?),
        ("PLAN", _) => Record::PlanVersion(read(item)?),
        ("COUPON", _) => Record::Coupon(read(item)?),
        ("BRANDS", _) => Record::Brand(read(item)?),
        ("CLOCK", _) => Record::TestClock(read(item)?),
        _ => return Ok(None),
    }))
}

/// A record written by a newer release is left alone: what it means is not known here.
pub(super) fn read<T: DeserializeOwned>(item: Item) -> Result<T, StoreError> {
    let schema = item.get("schema").and_then(|value| value.as_n().ok()).and_then(|schema| schema.parse::<u32>().ok());
    match schema {
        Some(1..=SCHEMA) => from_item(item).map_err(unavailable),
        _ => Err(StoreError::Unavailable(format!("a record of schema {schema:?}, and {SCHEMA} is known").into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use billing::testing::{active, plan};
    use serde_json::json;

    #[test]
    fn tiers_and_addons_are_read_as_they_were_written() {
        let mut subscription = active();
        let naira = |minor: i64| json!({"minor": minor, "currency": "NGN"});
        let tiers =
            json!([{"up_to": 5, "amount": naira(700), "flat": naira(1)}, {"up_to": null, "amount": naira(600)}]);
        let price =
            json!({"interval": "month", "amount": naira(0), "recurring": true, "tiers": tiers, "minimum": naira(9)});
        let prices = json!([{"interval": "month", "amount": naira(5)}]);
        let addon = json!({"id": "more", "name": "More", "prices": prices, "per_unit": true, "limits": {"estates": 5}});
        let mut more = plan("estates-starter");
        more.prices = serde_json::from_value(json!([price])).unwrap_or_else(|error| panic!("{error}"));
        more.addons = serde_json::from_value(json!([addon])).unwrap_or_else(|error| panic!("{error}"));
        let bought = json!([{"addon": addon, "price": naira(5), "quantity": 2}]);
        subscription.order.price = more.prices[0].clone();
        subscription.order.addons = serde_json::from_value(bought).unwrap_or_else(|error| panic!("{error}"));
        subscription.order.plan = more;
        let written = item(&Record::Subscription(subscription.clone())).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(read(written).ok(), Some(subscription));
    }
}
