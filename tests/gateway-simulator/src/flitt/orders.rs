//! Orders: opened by the merchant under its own name, paid on a page or from a saved card, asked about, expired.

use super::callbacks::{self, About};
use super::cards::{self, Card};
use super::refusal::{Refusal, Result};
use super::reversals::Reversal;
use super::wire::{Request, Success};
use super::{codes, python};
use crate::books::Stage;
use crate::state::State;
use crate::table::Row;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

const LIFETIME: i64 = 36_000;
const LONGEST_LIFETIME: i64 = 69_120_000;
const LANGUAGES: [&str; 20] = [
    "ka", "en", "ru", "uk", "az", "hy", "kk", "ro", "uz", "lv", "fr", "pl", "cs", "sk", "es", "de", "it", "pt", "ko",
    "bg",
];

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Status {
    /// Nobody has tried to pay.
    Created,
    /// The bank or the customer is busy with it; or a try failed, and the customer may try again.
    Processing,
    Declined,
    Approved,
    Expired,
    /// All of it went back.
    Reversed,
}

/// One movement, or the try of one.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Transaction {
    pub(super) number: u64,
    kind: String,
    pub(super) approved: bool,
    amount: i64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Order {
    pub(super) id: String,
    /// `payment_id`.
    pub(super) number: u64,
    /// The page's.
    pub(super) token: String,
    pub(super) status: Status,
    pub(super) amount: i64,
    /// What was taken.
    pub(super) actual: Option<i64>,
    pub(super) currency: String,
    pub(super) about: String,
    pub(super) email: Option<String>,
    pub(super) response_url: Option<String>,
    pub(super) cancel_url: Option<String>,
    pub(super) callback_url: Option<String>,
    pub(super) chargeback_url: Option<String>,
    merchant_data: Option<String>,
    product: Option<String>,
    /// Whether a failed try leaves it open: `delayed`.
    pub(super) patient: bool,
    pub(super) keeps_card: bool,
    /// The card is only looked at: what is held of it is let go again.
    pub(super) verifies: bool,
    pub(super) off_session: bool,
    /// The number of the test card that it was last tried with.
    pub(super) card: Option<String>,
    /// The customer is at their bank.
    pub(super) asked: bool,
    /// Why the last try failed.
    pub(super) code: Option<String>,
    /// What becomes of a try that hangs, and when: declined for a reason, or approved.
    pub(super) becomes: Option<(Option<String>, i64)>,
    pub(super) rectoken: Option<String>,
    pub(super) transactions: Vec<Transaction>,
    pub(super) reversals: Vec<Reversal>,
    /// How far the customer's bank has taken it back.
    pub(super) chargeback: Option<Stage>,
    created: i64,
    until: i64,
}

impl Row for Order {
    fn id(&self) -> &str {
        &self.id
    }
}

fn time(seconds: i64) -> String {
    let time = jiff::Timestamp::from_second(seconds).unwrap_or_default();
    time.strftime("%d.%m.%Y %H:%M:%S").to_string()
}

impl Order {
    pub(super) fn kind(&self) -> &'static str {
        if self.verifies { "verification" } else { "purchase" }
    }

    /// The page on which its customer pays.
    fn address(&self, state: &State) -> String {
        format!("{}/flitt/merchants/simulator/default/index.html?token={}", state.base, self.token)
    }

    pub(super) fn test_card(&self) -> Option<&'static Card> {
        self.card.as_deref().and_then(cards::by_number)
    }

    /// Its customer may still pay.
    pub(super) fn is_open(&self) -> bool {
        matches!(self.status, Status::Created | Status::Processing) && self.becomes.is_none() && !self.off_session
    }

    /// The try that took the money.
    pub(super) fn charge(&self) -> Option<&Transaction> {
        self.transactions.iter().find(|row| row.approved && row.kind == self.kind())
    }

    pub(super) fn note(&mut self, number: u64, kind: &str, approved: bool, amount: i64) {
        self.transactions.push(Transaction { number, kind: kind.to_owned(), approved, amount });
    }

    /// As status, callbacks and charges show it, before it is signed.
    pub(super) fn fields(&self, state: &State) -> Map<String, Value> {
        let card = self.test_card();
        let paid = self.charge();
        let token = self.rectoken.as_ref().and_then(|rectoken| state.flitt.tokens.get(rectoken));
        let verified = match (self.verifies, self.status) {
            (false, _) => "",
            (true, Status::Approved) => "verified",
            (true, Status::Declined | Status::Expired) => "failed",
            (true, Status::Created | Status::Processing | Status::Reversed) => "created",
        };
        let text = |value: Option<&str>| json!(value.unwrap_or_default());
        let number =
            |digits: Option<&str>| digits.and_then(|text| text.parse::<u64>().ok()).map_or(json!(""), |n| json!(n));
        let fields = json!({
            "order_id": self.id, "merchant_id": number(Some(&state.settings.flitt.merchant_id)),
            "payment_id": self.number, "response_status": "success", "order_status": self.status,
            "tran_type": self.kind(), "amount": self.amount.to_string(), "currency": self.currency,
            "actual_amount": self.actual.map(|minor| minor.to_string()).unwrap_or_default(),
            "actual_currency": text(self.actual.map(|_| self.currency.as_str())),
            "reversal_amount": self.reversed().to_string(), "settlement_amount": "0", "settlement_currency": "",
            "settlement_date": "", "fee": "", "fee_oplata": "0", "order_time": time(self.created),
            "masked_card": card.map(Card::masked).unwrap_or_default(), "card_bin": number(card.map(Card::bin)),
            "card_type": text(card.map(|card| card.kind)), "payment_system": text(card.map(|_| "card")),
            "eci": text(paid.and(card).map(|card| card.eci)),
            "rrn": paid.map(|row| format!("{:012}", row.number)).unwrap_or_default(),
            "approval_code": paid.map(|row| format!("{:06}", row.number % 1_000_000)).unwrap_or_default(),
            "response_code": number(self.code.as_deref()),
            "response_description": text(self.code.as_deref().map(codes::text)),
            "sender_email": text(self.email.as_deref()), "sender_cell_phone": "", "sender_account": "",
            "product_id": text(self.product.as_deref()), "merchant_data": text(self.merchant_data.as_deref()),
            "verification_status": verified, "rectoken": text(token.map(|token| token.rectoken.as_str())),
            "rectoken_lifetime": token.map(|token| time(token.until)).unwrap_or_default(), "parent_order_id": "",
            "additional_info": python::dumps(&self.additional(card)),
        });
        match fields {
            Value::Object(fields) => fields,
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => Map::new(),
        }
    }

    fn additional(&self, card: Option<&Card>) -> Value {
        let paid = self.charge();
        json!({
            "capture_status": null, "capture_amount": null, "reservation_data": null,
            "transaction_id": self.transactions.last().map(|row| row.number), "bank_response_code": null,
            "bank_response_description": null, "client_fee": 0.0, "settlement_fee": 0.0, "bank_name": null,
            "bank_country": null, "card_type": card.map(|card| card.kind), "card_product": null,
            "card_category": null, "timeend": time(self.until), "ipaddress_v4": "127.0.0.1",
            "payment_method": card.map(|_| "card"), "is_test": true,
            "schemeid": paid.map(|row| format!("{:015}", row.number)),
        })
    }
}

/// An order that is not taken yet, for the page or for a saved card.
pub(super) fn open(state: &mut State, request: &Request) -> Result<Order> {
    let id = request.limited("order_id", 1024)?.ok_or_else(|| Refusal::missing("order_id"))?;
    let about = request.limited("order_desc", 1024)?.ok_or_else(|| Refusal::missing("order_desc"))?;
    let amount = request.amount()?;
    let currency = request.currency(state)?;
    if request.yes("preauth", false)? {
        return Err(Refusal::coded(1027));
    }
    let callback_url = request.web_address("server_callback_url")?;
    let merchant_data = request.limited("merchant_data", 2048)?;
    if state.flitt.orders.get(&id).is_some() {
        let merchant = &state.settings.flitt.merchant_id;
        return Err(Refusal::new(1013, &format!("Duplicate order `{id}` for merchant `{merchant}`")));
    }
    let now = state.now();
    Ok(Order {
        id,
        number: 800_000_000 + state.serial(),
        token: state.id("", 40).to_lowercase(),
        status: Status::Created,
        amount,
        actual: None,
        currency,
        about,
        email: request.text("sender_email"),
        response_url: None,
        cancel_url: None,
        callback_url,
        chargeback_url: None,
        merchant_data,
        product: request.text("product_id"),
        patient: false,
        keeps_card: false,
        verifies: false,
        off_session: true,
        card: None,
        asked: false,
        code: None,
        becomes: None,
        rectoken: None,
        transactions: Vec::new(),
        reversals: Vec::new(),
        chargeback: None,
        created: now,
        until: now + LIFETIME,
    })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Opens {
    Page,
    /// A form on the merchant's own page.
    Embedded,
}

pub(super) fn checkout(state: &mut State, request: &Request, opens: Opens) -> Result<Success> {
    let order = open(state, request)?;
    if request.yes("subscription", false)? || request.text("rectoken").is_some() {
        // Flitt's own schedules, and pages for a saved card, are not simulated.
        return Err(Refusal::coded(1100));
    }
    if request.text("lang").is_some_and(|lang| !LANGUAGES.contains(&lang.as_str())) {
        return Err(Refusal::incorrect("lang"));
    }
    let lifetime = match request.text("lifetime").map(|text| text.parse()) {
        None => LIFETIME,
        Some(Ok(seconds)) if (1..=LONGEST_LIFETIME).contains(&seconds) => seconds,
        Some(_) => return Err(Refusal::incorrect("lifetime")),
    };
    let verifies = request.yes("verification", false)?;
    let order = Order {
        response_url: request.web_address("response_url")?,
        cancel_url: request.web_address("cancel_url")?,
        chargeback_url: request.web_address("chargeback_callback_url")?,
        patient: request.yes("delayed", true)?,
        keeps_card: request.yes("required_rectoken", false)?,
        verifies,
        off_session: false,
        until: order.created + lifetime,
        ..order
    };
    let mut fields = Map::new();
    fields.insert("response_status".to_owned(), json!("success"));
    match opens {
        Opens::Page => {
            fields.insert("checkout_url".to_owned(), json!(order.address(state)));
            fields.insert("payment_id".to_owned(), json!(order.number.to_string()));
        }
        Opens::Embedded => {
            fields.insert("token".to_owned(), json!(order.token));
        }
    }
    state.flitt.orders.add(order);
    Ok(Success::Unsigned(fields))
}

fn find<'a>(state: &'a State, request: &Request) -> Result<&'a Order> {
    let id = request.required("order_id")?;
    state.flitt.orders.get(&id).ok_or_else(|| Refusal::no_such_order(&id))
}

pub(super) fn status(state: &State, request: &Request) -> Result<Success> {
    Ok(Success::Signed(find(state, request)?.fields(state)))
}

/// Every movement of an order, in major units.
pub(super) fn transactions(state: &State, request: &Request) -> Result<Success> {
    let order = find(state, request)?;
    let rows = order.transactions.iter().map(|row| {
        let major = format!("{}.{:02}", row.amount / 100, row.amount % 100);
        json!({
            "id": row.number, "payment_id": order.number, "tran_type": row.kind,
            "transaction_status": if row.approved { "approved" } else { "declined" },
            "amount": serde_json::from_str::<Value>(&major).unwrap_or_default(), "currency": order.currency,
        })
    });
    Ok(Success::List(rows.collect()))
}

/// Pages that stayed open to their end: expired, or declined when a try had failed.
pub(super) fn expire_due(state: &mut State) {
    let now = state.now();
    let mut over = Vec::new();
    for order in state.flitt.orders.iter_mut().filter(|order| order.is_open() && order.until <= now) {
        order.status = if order.code.is_some() { Status::Declined } else { Status::Expired };
        order.asked = false;
        over.push(order.id.clone());
    }
    for id in over {
        callbacks::tell(state, &id, About::Payment);
    }
}
