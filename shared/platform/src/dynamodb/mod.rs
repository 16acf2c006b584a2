//! The single table: its [keys](keys), what its items are, and the one way to write to it.

mod items;
pub mod keys;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::builders::UpdateBuilder;
use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes, Put, TransactWriteItem, Update};
use billing::brand::Brand;
use billing::id::{ConsumptionId, CustomerId, PaymentId, UsageId};
use billing::payment::Payment;
use billing::ports::{Found, Key, Lane, Record, Store, StoreError, Wanted, Write};
use billing::statistics::DayUsage;
use billing::token::Consumption;
use billing::usage::UsageRecord;
use futures::future::try_join_all;
use items::{item, read, records};
use jiff::Timestamp;
use jiff::civil::Date;
use keys::Item;
use std::time::Duration;

/// How often a request is repeated of which DynamoDB says that it did nothing.
const MOST_TRIES: u32 = 6;

/// The longest that is waited before the first of these; before each other, twice as long as before that.
const FIRST_PAUSE_MS: u64 = 50;

/// The most keys that one `BatchGetItem` takes.
const MOST_KEYS: usize = 100;

#[derive(Clone, Debug)]
pub struct Table {
    client: Client,
    name: String,
}

impl Table {
    pub fn new(client: Client, name: String) -> Self {
        Self { client, name }
    }

    /// One record costs a plain get; more cost a batch. Both read what is true now.
    async fn read(&self, keys: Vec<Item>) -> Result<Vec<Item>, StoreError> {
        if let [key] = keys.as_slice() {
            let request = self.client.get_item().table_name(&self.name).set_key(Some(key.clone()));
            let output = Box::pin(request.consistent_read(true).send()).await.map_err(unavailable)?;
            return Ok(output.item.into_iter().collect());
        }
        let mut items = vec![];
        for keys in keys.chunks(MOST_KEYS) {
            let mut left = keys.to_vec();
            for tries in 0..MOST_TRIES {
                go_apart(tries).await;
                let wanted = KeysAndAttributes::builder().set_keys(Some(left)).consistent_read(true).build();
                let wanted = wanted.map_err(unavailable)?;
                let request = self.client.batch_get_item().request_items(&self.name, wanted);
                let output = Box::pin(request.send()).await.map_err(unavailable)?;
                items.extend(output.responses.into_iter().flat_map(|mut tables| tables.remove(&self.name)).flatten());
                let mut rest = output.unprocessed_keys.unwrap_or_default();
                left = rest.remove(&self.name).map(|it| it.keys).unwrap_or_default();
                if left.is_empty() {
                    break;
                }
            }
            if !left.is_empty() {
                return Err(StoreError::Unavailable("the table is throttled".into()));
            }
        }
        Ok(items)
    }

    /// All that `query` finds, or the first `limit`.
    async fn query(&self, query: QueryFluentBuilder, limit: Option<u32>) -> Result<Vec<Item>, StoreError> {
        let limit = limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
        let (mut items, mut start) = (vec![], None);
        while items.len() < limit {
            let page = i32::try_from(limit - items.len()).ok();
            let request = query.clone().set_limit(page).set_exclusive_start_key(start);
            let output = Box::pin(request.send()).await.map_err(unavailable)?;
            items.extend(output.items.unwrap_or_default());
            start = output.last_evaluated_key;
            if start.is_none() {
                break;
            }
        }
        Ok(items)
    }

    fn in_partition(&self, pk: impl Into<String>) -> QueryFluentBuilder {
        self.client
            .query()
            .table_name(&self.name)
            .consistent_read(true)
            .expression_attribute_values(":pk", AttributeValue::S(pk.into()))
    }

    fn beginning_with(&self, pk: impl Into<String>, sk: &str) -> QueryFluentBuilder {
        self.in_partition(pk)
            .key_condition_expression("pk = :pk AND begins_with(sk, :sk)")
            .expression_attribute_values(":sk", AttributeValue::S(sk.to_owned()))
    }

    /// The last `limit` items of a partition whose keys begin with `kind`, backwards; from before `before`.
    async fn newest(
        &self,
        pk: String,
        kind: &str,
        before: Option<String>,
        limit: u32,
    ) -> Result<Vec<Item>, StoreError> {
        let query = match before {
            None => self.beginning_with(pk, kind),
            // BETWEEN includes both ends: the end is a key that sorts just below `before`.
            Some(before) => self
                .in_partition(pk)
                .key_condition_expression("pk = :pk AND sk BETWEEN :first AND :last")
                .expression_attribute_values(":first", AttributeValue::S(kind.to_owned()))
                .expression_attribute_values(":last", AttributeValue::S(below(&before))),
        };
        self.query(query.scan_index_forward(false), Some(limit)).await
    }

    fn item_of(&self, write: Write) -> Result<TransactWriteItem, StoreError> {
        let number = |number: u64| AttributeValue::N(number.to_string());
        let (item, put) = match &write {
            Write::Create(record) => (item(record)?, Put::builder().condition_expression("attribute_not_exists(pk)")),
            Write::Replace { record, seen } => {
                let put = Put::builder().condition_expression("version = :seen");
                (item(record)?, put.expression_attribute_values(":seen", number(*seen)))
            }
            Write::Set(day) => (item(&Record::Day(day.clone()))?, Put::builder()),
            Write::Consume { tokens, .. } => {
                let update = Update::builder()
                    .update_expression("SET balance = balance - :tokens, version = version + :one")
                    .condition_expression("balance >= :tokens")
                    .expression_attribute_values(":tokens", number(tokens.get().into()));
                return self.update(&write.key(), update);
            }
            Write::Count { period, by, at_most, held, at, .. } => {
                // More than is allowed at all is refused by what no counter is.
                let room = at_most.checked_sub(by.get()).map_or(AttributeValue::N("-1".to_owned()), number);
                let update = Update::builder()
                    .update_expression("SET #value = #value + :by, #at = :at, version = version + :one")
                    .condition_expression(
                        "#period = :period AND #value <= :room AND attribute_not_exists(#lease) \
                         AND (attribute_not_exists(#reservations) OR #reservations.#held <= :held)",
                    )
                    .expression_attribute_names("#value", "value")
                    .expression_attribute_names("#at", "at")
                    .expression_attribute_names("#period", "period")
                    .expression_attribute_names("#reservations", "reservations")
                    .expression_attribute_names("#held", "held")
                    .expression_attribute_names("#lease", "lease")
                    .expression_attribute_values(":by", number(by.get()))
                    .expression_attribute_values(":at", AttributeValue::S(at.to_string()))
                    .expression_attribute_values(":period", AttributeValue::S(period.to_string()))
                    .expression_attribute_values(":room", room)
                    .expression_attribute_values(":held", number(*held));
                return self.update(&write.key(), update);
            }
            Write::CountInShard { lease, by, at, .. } => {
                let update = Update::builder()
                    .update_expression(
                        "SET #value = #value + :by, #left = #left - :by, #at = :at, version = version + :one",
                    )
                    .condition_expression("#lease = :lease AND #left >= :by")
                    .expression_attribute_names("#value", "value")
                    .expression_attribute_names("#left", "left")
                    .expression_attribute_names("#at", "at")
                    .expression_attribute_names("#lease", "lease")
                    .expression_attribute_values(":by", number(by.get()))
                    .expression_attribute_values(":at", AttributeValue::S(at.to_string()))
                    .expression_attribute_values(":lease", number(*lease));
                return self.update(&write.key(), update);
            }
            Write::Add(day) => return self.add(&write.key(), day),
        };
        let put = put.table_name(&self.name).set_item(Some(item)).build().map_err(unavailable)?;
        Ok(TransactWriteItem::builder().put(put).build())
    }

    /// What is stored of the day, with its value added to it: DynamoDB begins at zero where there is none.
    fn add(&self, key: &Key, day: &DayUsage) -> Result<TransactWriteItem, StoreError> {
        let mut update = Update::builder()
            .table_name(&self.name)
            .set_key(Some(keys::of(key)))
            .expression_attribute_names("#value", "value")
            .expression_attribute_values(":value", AttributeValue::N(day.value.to_string()));
        let item = item(&Record::Day(day.clone()))?;
        let others = item.into_iter().filter(|(name, _)| !["pk", "sk", "value"].contains(&name.as_str()));
        let mut set = vec![];
        for (n, (name, value)) in others.enumerate() {
            set.push(format!("#{n} = :{n}"));
            update = update
                .expression_attribute_names(format!("#{n}"), name)
                .expression_attribute_values(format!(":{n}"), value);
        }
        let update = update.update_expression(format!("SET {} ADD #value :value", set.join(", ")));
        Ok(TransactWriteItem::builder().update(update.build().map_err(unavailable)?).build())
    }

    /// Of a record that is there, whatever its version: it has the next one then.
    fn update(&self, key: &Key, update: UpdateBuilder) -> Result<TransactWriteItem, StoreError> {
        let update = update
            .table_name(&self.name)
            .set_key(Some(keys::of(key)))
            .expression_attribute_values(":one", AttributeValue::N("1".to_owned()));
        Ok(TransactWriteItem::builder().update(update.build().map_err(unavailable)?).build())
    }
}

impl Store for Table {
    async fn get(&self, keys: Vec<Key>) -> Result<Found, StoreError> {
        if keys.is_empty() {
            return Ok(Found::default());
        }
        let mut records = records(self.read(keys.iter().map(keys::of).collect()).await?)?;
        // An id that says it is another customer's leads to the same item, and is not what was asked for.
        records.retain(|record| keys.contains(&record.key()));
        Ok(Found::new(records))
    }

    async fn live(&self, customer: &CustomerId) -> Result<Found, StoreError> {
        let live = self.beginning_with(keys::customer(customer), keys::LIVE);
        records(self.query(live, None).await?).map(Found::new)
    }

    async fn payments(
        &self,
        customer: &CustomerId,
        before: Option<&PaymentId>,
        limit: u32,
    ) -> Result<Vec<Payment>, StoreError> {
        let before = before.map(keys::payment);
        let items = self.newest(keys::customer(customer), keys::PAYMENTS, before, limit).await?;
        items.into_iter().map(read).collect()
    }

    async fn consumptions(
        &self,
        customer: &CustomerId,
        before: Option<&ConsumptionId>,
        limit: u32,
    ) -> Result<Vec<Consumption>, StoreError> {
        let before = before.map(keys::consumption);
        let items = self.newest(keys::customer(customer), keys::CONSUMPTIONS, before, limit).await?;
        items.into_iter().map(read).collect()
    }

    async fn uses(
        &self,
        customer: &CustomerId,
        after: Option<&UsageId>,
        limit: u32,
    ) -> Result<Vec<UsageRecord>, StoreError> {
        // BETWEEN includes both ends: the first is a key that sorts just above `after`, and all keys are of one length.
        let first = after.map_or(keys::USES.to_owned(), |after| keys::used(after) + "~");
        let query = self
            .in_partition(keys::customer(customer))
            .key_condition_expression("pk = :pk AND sk BETWEEN :first AND :last")
            .expression_attribute_values(":first", AttributeValue::S(first))
            .expression_attribute_values(":last", AttributeValue::S(format!("{}~", keys::USES)));
        self.query(query, Some(limit)).await?.into_iter().map(read).collect()
    }

    async fn days(&self, customer: &CustomerId, from: Date, to: Date) -> Result<Vec<DayUsage>, StoreError> {
        let query = self
            .in_partition(keys::customer(customer))
            .key_condition_expression("pk = :pk AND sk BETWEEN :first AND :last")
            .expression_attribute_values(":first", AttributeValue::S(keys::day(from, Some(""))))
            .expression_attribute_values(":last", AttributeValue::S(keys::day(to, Some("~"))));
        self.query(query, None).await?.into_iter().map(read).collect()
    }

    async fn catalogue(&self) -> Result<Found, StoreError> {
        let all = self.in_partition(keys::CATALOGUE).key_condition_expression("pk = :pk");
        records(self.query(all, None).await?).map(Found::new)
    }

    async fn brands(&self) -> Result<Vec<Brand>, StoreError> {
        let all = self.in_partition(keys::BRANDS).key_condition_expression("pk = :pk");
        self.query(all, None).await?.into_iter().map(read).collect()
    }

    async fn due(&self, lane: Lane, then: Timestamp, limit: u32) -> Result<Vec<(Timestamp, Wanted)>, StoreError> {
        let shards = (0..keys::SHARDS).map(|shard| {
            let query = self
                .client
                .query()
                .table_name(&self.name)
                .index_name(keys::DUE_INDEX)
                .key_condition_expression("due = :due AND due_at <= :then")
                .expression_attribute_values(":due", AttributeValue::S(keys::lane(lane, shard)))
                .expression_attribute_values(":then", AttributeValue::N(then.as_second().to_string()));
            self.query(query, Some(limit.div_ceil(u32::from(keys::SHARDS))))
        });
        let items = try_join_all(shards).await?;
        let wanted = |item| {
            let wanted = keys::wanted(item);
            if wanted.is_none() {
                tracing::error!(key = keys::told(item), "an item of the due index names nothing that could be due");
            }
            wanted
        };
        let mut due: Vec<(Timestamp, Wanted)> = items.iter().flatten().filter_map(wanted).collect();
        // Every shard gave its share, rounded up: of few, what is due first.
        due.sort();
        due.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        Ok(due)
    }

    async fn commit(&self, writes: Vec<Write>) -> Result<(), StoreError> {
        if writes.is_empty() {
            return Ok(());
        }
        let creates: Vec<bool> = writes.iter().map(|write| matches!(write, Write::Create(_))).collect();
        let parts = writes.into_iter().map(|write| self.item_of(write)).collect::<Result<Vec<_>, _>>()?;
        let mut last = None;
        for tries in 0..MOST_TRIES {
            go_apart(tries).await;
            // The SDK repeats a lost answer under one token, so nothing is written twice; what comes back here did nothing.
            let request = self.client.transact_write_items().set_transact_items(Some(parts.clone()));
            match Box::pin(request.send()).await {
                Ok(_) => return Ok(()),
                Err(error) => match refusal(&error, &creates) {
                    Some(StoreError::Conflict) => return Err(StoreError::Conflict),
                    // Also beside a duplicate: what met another transaction may turn out to be a conflict.
                    Some(_) | None if is_contention(&error) => last = Some(error),
                    Some(refusal) => return Err(refusal),
                    None => return Err(unavailable(error)),
                },
            }
        }
        Err(last.map_or(StoreError::Conflict, unavailable))
    }
}

/// Lets those who met at one record go apart: each waits for as long as chance has it (F10).
async fn go_apart(tries: u32) {
    if let Some(doubled) = tries.checked_sub(1) {
        let most = FIRST_PAUSE_MS << doubled;
        tokio::time::sleep(Duration::from_millis(fastrand::u64(0..=most))).await;
    }
}

/// Which condition stopped the transaction, if it was one of ours.
///
/// A conflict outranks a duplicate: someone else has moved on, so the caller
/// must read again before it may conclude that its own work was done.
fn refusal(error: &SdkError<TransactWriteItemsError>, creates: &[bool]) -> Option<StoreError> {
    let failed = reasons(error).map(|code| code == Some("ConditionalCheckFailed"));
    let failed: Vec<bool> =
        creates.iter().zip(failed).filter_map(|(create, failed)| failed.then_some(*create)).collect();
    match failed.iter().all(|create| *create) {
        _ if failed.is_empty() => None,
        true => Some(StoreError::Duplicate),
        false => Some(StoreError::Conflict),
    }
}

/// Someone else's transaction was on one of our records at the same moment. Ours
/// did nothing and may be tried again; the SDK does not do so by itself.
fn is_contention(error: &SdkError<TransactWriteItemsError>) -> bool {
    reasons(error).any(|code| code == Some("TransactionConflict"))
        || error.code() == Some("TransactionInProgressException")
}

fn reasons(error: &SdkError<TransactWriteItemsError>) -> impl Iterator<Item = Option<&str>> {
    let canceled = match error.as_service_error() {
        Some(TransactWriteItemsError::TransactionCanceledException(canceled)) => canceled.cancellation_reasons(),
        _ => &[],
    };
    canceled.iter().map(|reason| reason.code())
}

/// A key that sorts below `key` and above every key that is below it.
fn below(key: &str) -> String {
    let mut bytes = key.as_bytes().to_vec();
    if let Some(last) = bytes.last_mut() {
        *last = last.saturating_sub(1); // keys end in a digit or a letter: what sorts just below it ends none
    }
    bytes.push(b'~'); // and this above everything that ends in a lower one
    String::from_utf8_lossy(&bytes).into_owned()
}

fn unavailable(error: impl std::error::Error + Send + Sync + 'static) -> StoreError {
    StoreError::Unavailable(Box::new(error))
}
