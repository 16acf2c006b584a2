//! DynamoDB in the test's own process: an ordinary SDK client whose connector
//! calls the engine instead of the network. It counts what it is asked, and
//! does to order what the engine never does by itself: lose an answer, throttle,
//! run into somebody else's transaction.

use crate::spent::Spent;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::{BehaviorVersion, Config, Credentials, Region};
use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use billing::ports::{Record, Store, Write};
use dynoxide::{Database, DynoxideError, ImportOptions};
use platform::dynamodb::Table;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The table as it is deployed.
const TEMPLATE: &str = include_str!("../../infra/data.yaml");

const NAME: &str = "billing";

#[derive(Clone)]
pub struct Embedded {
    database: Database,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    requests: BTreeMap<String, u32>,
    /// But for the requests, which are counted by their names.
    spent: Spent,
    faults: Vec<(&'static str, Fault)>,
    page: Option<u64>,
    importing: bool,
}

/// What the next request of a kind is to meet.
#[derive(Clone, Debug)]
pub enum Fault {
    /// It does nothing, because of what these codes say of each of its writes.
    Canceled(&'static [&'static str]),
    /// It is done, and nobody is told.
    LostAnswer,
    /// Of a batch, only so many keys are read.
    Unprocessed { read: usize },
    /// It does nothing: there were too many.
    Throttled,
}

impl Embedded {
    /// An empty table.
    pub fn new() -> Self {
        let database = Database::memory().expect("a database in memory");
        let embedded = Self { database, state: Arc::default() };
        let (status, answer) = embedded.perform("CreateTable", declared().to_string().as_bytes());
        assert_eq!(status, 200, "infra/data.yaml declares no table that can be made: {answer}");
        embedded
    }

    /// The store over it.
    pub fn table(&self) -> Table {
        Table::new(self.client(), NAME.to_owned())
    }

    pub fn client(&self) -> Client {
        let connector = SharedHttpConnector::new(self.clone());
        let config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("eu-west-1"))
            .credentials_provider(Credentials::new("embedded", "embedded", None, None, "tests"))
            .retry_config(RetryConfig::standard().with_initial_backoff(Duration::from_millis(1)))
            .http_client(http_client_fn(move |_, _| connector.clone()));
        Client::from_conf(config.build())
    }

    /// The next so many requests of that operation meet `fault`.
    pub fn inject(&self, operation: &'static str, fault: &Fault, times: usize) {
        let mut state = self.state();
        state.faults.extend(std::iter::repeat_n((operation, fault.clone()), times));
    }

    /// No page of a query holds more than so many items from now on.
    pub fn page_by(&self, items: u64) {
        self.state().page = Some(items);
    }

    /// How often each operation was requested since this was last asked.
    pub fn requests(&self) -> BTreeMap<String, u32> {
        std::mem::take(&mut self.state().requests)
    }

    /// What was spent since this was last asked.
    pub fn spent(&self) -> Spent {
        let mut requests = self.requests();
        let mut count = |operation| requests.remove(operation).unwrap_or_default();
        let reads = count("GetItem") + count("BatchGetItem") + count("Query");
        let writes = count("TransactWriteItems");
        assert!(requests.is_empty(), "neither: {requests:?}");
        Spent { reads, writes, ..std::mem::take(&mut self.state().spent) }
    }

    /// Stores new records by the engine's own fast way, however many, and counts nothing.
    pub async fn import(&self, records: Vec<Record>) {
        self.state().importing = true;
        let stored = self.table().commit(records.into_iter().map(Write::Create).collect()).await;
        self.state().importing = false;
        stored.expect("imported");
    }

    /// An item as it is stored.
    pub fn item(&self, pk: &str, sk: &str) -> Option<Value> {
        let request = json!({"TableName": NAME, "Key": {"pk": {"S": pk}, "sk": {"S": sk}}});
        let (_, answer) = self.perform("GetItem", request.to_string().as_bytes());
        let answer: Value = serde_json::from_str(&answer).expect("JSON");
        answer.get("Item").cloned()
    }

    /// Every item as it is stored.
    pub fn items(&self) -> Vec<Value> {
        let (_, answer) = self.perform("Scan", json!({"TableName": NAME}).to_string().as_bytes());
        let mut answer: Value = serde_json::from_str(&answer).expect("JSON");
        assert!(answer.get("LastEvaluatedKey").is_none(), "more items than a page holds");
        answer["Items"].as_array_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Stores an item as it is, as another release of the code might have.
    pub fn put(&self, item: &Value) {
        let request = json!({"TableName": NAME, "Item": item});
        let (status, answer) = self.perform("PutItem", request.to_string().as_bytes());
        assert_eq!(status, 200, "{answer}");
    }

    /// The attribute by which the table forgets.
    pub fn forgets_by(&self) -> &'static str {
        let line = TEMPLATE.lines().find_map(|line| line.trim().strip_prefix("TimeToLiveSpecification:"));
        line.and_then(flow).and_then(|fields| fields.get("AttributeName").copied()).expect("a TTL in infra/data.yaml")
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The fault that `operation` is to meet now, if one is.
    fn fault(&self, operation: &str) -> Option<Fault> {
        let mut state = self.state();
        let at = state.faults.iter().position(|(on, _)| *on == operation)?;
        Some(state.faults.remove(at).1)
    }

    fn answer(&self, operation: &str, body: &[u8]) -> Result<(u16, String), ConnectorError> {
        if self.state().importing {
            return Ok(self.imported(body));
        }
        *self.state().requests.entry(operation.to_owned()).or_default() += 1;
        match self.fault(operation) {
            None => Ok(self.metered(operation, &self.paged(operation, body))),
            Some(Fault::Canceled(codes)) => Ok((400, canceled(codes))),
            Some(Fault::Throttled) => Ok((400, error("ProvisionedThroughputExceededException").to_string())),
            Some(Fault::Unprocessed { read }) => Ok(self.partly(body, read)),
            Some(Fault::LostAnswer) => {
                self.perform(operation, body);
                Err(ConnectorError::io("the answer was lost".into()))
            }
        }
    }

    fn metered(&self, operation: &str, body: &[u8]) -> (u16, String) {
        let mut request: Value = serde_json::from_slice(body).expect("JSON");
        request["ReturnConsumedCapacity"] = "TOTAL".into();
        let (status, text) = self.perform(operation, request.to_string().as_bytes());
        let answer: Value = serde_json::from_str(&text).expect("JSON");
        let consumed = &answer["ConsumedCapacity"];
        // Of several tables in one request there is a list.
        let consumed =
            consumed.as_array().map_or_else(|| half_units(consumed), |tables| tables.iter().map(half_units).sum());
        let spent = &mut self.state().spent;
        spent.rows += answer["ScannedCount"].as_u64().unwrap_or_default();
        *(if operation.contains("Write") { &mut spent.write_halves } else { &mut spent.read_halves }) += consumed;
        (status, text)
    }

    /// What a transaction puts, put without its conditions.
    fn imported(&self, body: &[u8]) -> (u16, String) {
        let mut request: Value = serde_json::from_slice(body).expect("JSON");
        let puts = request["TransactItems"].as_array_mut().expect("what is written");
        let items = puts.iter_mut().map(|put| serde_json::from_value(put["Put"]["Item"].take()).expect("an item"));
        self.database.import_items(NAME, items.collect(), ImportOptions::default()).expect("imported");
        (200, "{}".to_owned())
    }

    /// The request, asking for pages as small as was ordered.
    fn paged(&self, operation: &str, body: &[u8]) -> Vec<u8> {
        let page = self.state().page.filter(|_| operation == "Query");
        let Some(page) = page else { return body.to_vec() };
        let mut request: Value = serde_json::from_slice(body).expect("JSON");
        let limit = request["Limit"].as_u64().map_or(page, |limit| limit.min(page));
        request["Limit"] = limit.into();
        request.to_string().into_bytes()
    }

    /// A batch of which only the first `read` keys are read.
    fn partly(&self, body: &[u8], read: usize) -> (u16, String) {
        let mut request: Value = serde_json::from_slice(body).expect("JSON");
        let keys = request["RequestItems"][NAME]["Keys"].as_array_mut().expect("keys");
        let left = keys.split_off(read.min(keys.len()));
        let mut answer = match keys.is_empty() {
            true => json!({"Responses": {NAME: []}}),
            false => {
                let (_, answer) = self.perform("BatchGetItem", request.to_string().as_bytes());
                serde_json::from_str(&answer).expect("JSON")
            }
        };
        if !left.is_empty() {
            answer["UnprocessedKeys"] = json!({NAME: {"Keys": left, "ConsistentRead": true}});
        }
        (200, answer.to_string())
    }

    fn perform(&self, operation: &str, body: &[u8]) -> (u16, String) {
        macro_rules! one_of {
            ($($name:literal => $method:ident),* $(,)?) => {
                match operation {
                    $($name => serde_json::from_slice(body)
                        .map_err(|error| DynoxideError::SerializationException(error.to_string()))
                        .and_then(|request| self.database.$method(request))
                        .map(|answer| json!(answer).to_string()),)*
                    other => Err(DynoxideError::ValidationException(format!("{other} is not served here"))),
                }
            };
        }
        let answer = one_of! {
            "CreateTable" => create_table, "GetItem" => get_item, "BatchGetItem" => batch_get_item, "Query" => query,
            "TransactWriteItems" => transact_write_items, "PutItem" => put_item, "Scan" => scan,
        };
        answer.map_or_else(|error| (error.status_code(), error.to_json()), |answer| (200, answer))
    }
}

impl Default for Embedded {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Embedded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Embedded")
    }
}

impl HttpConnector for Embedded {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let target = request.headers().get("x-amz-target").unwrap_or_default();
        let operation = target.rsplit('.').next().unwrap_or_default();
        let answer = self.answer(operation, request.body().bytes().unwrap_or_default());
        HttpConnectorFuture::ready(answer.map(|(status, json)| {
            let status = status.try_into().expect("a status");
            let mut response = HttpResponse::new(status, SdkBody::from(json));
            response.headers_mut().insert("content-type", "application/x-amz-json-1.0");
            response
        }))
    }
}

/// Of what one table consumed: `1.5` units are 3 halves.
fn half_units(consumed: &Value) -> u64 {
    let units = consumed["CapacityUnits"].to_string();
    let (whole, rest) = units.split_once('.').unwrap_or((&units, "0"));
    whole.parse::<u64>().unwrap_or_default() * 2 + u64::from(rest != "0")
}

fn error(kind: &str) -> Value {
    json!({"__type": format!("com.amazonaws.dynamodb.v20120810#{kind}"), "message": kind})
}

fn canceled(codes: &[&str]) -> String {
    let mut error = error("TransactionCanceledException");
    error["CancellationReasons"] = codes.iter().map(|code| json!({"Code": code})).collect();
    error.to_string()
}

/// The request that makes the table of infra/data.yaml, which writes what is
/// needed here a line each.
fn declared() -> Value {
    let (table, index) = TEMPLATE.split_once("GlobalSecondaryIndexes:").unwrap_or((TEMPLATE, ""));
    let lines = |text: &'static str, with: &str| -> Vec<Value> {
        let flows = text.lines().filter_map(|line| flow(line.trim().trim_start_matches("- ")));
        flows.filter(|fields| fields.contains_key(with)).map(|fields| json!(fields)).collect()
    };
    let index_name = index.lines().find_map(|line| line.trim().strip_prefix("- IndexName: "));
    let projection = index.lines().find_map(|line| flow(line.trim().strip_prefix("Projection: ")?));
    json!({
        "TableName": NAME, "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": lines(table, "AttributeType"), "KeySchema": lines(table, "KeyType"),
        "GlobalSecondaryIndexes": [
            {"IndexName": index_name, "KeySchema": lines(index, "KeyType"), "Projection": projection},
        ],
    })
}

/// `{a: b, c: d}`.
fn flow(text: &'static str) -> Option<BTreeMap<&'static str, &'static str>> {
    let (inner, _) = text.trim().strip_prefix('{')?.split_once('}')?;
    inner.split(", ").map(|field| field.split_once(": ")).collect()
}
