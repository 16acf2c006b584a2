//! Paystack's dedicated accounts, accounts made for one payment, and the Demo Bank that people send money from.

use crate::world::{World, read, world, world_with};
use gateway_simulator::Options;
use serde_json::{Value, json};

const EMAIL: &str = "ada@acme.example";

/// A customer with an account of their own.
async fn account(world: &World) -> Value {
    let person = json!({"email": EMAIL, "first_name": "Ada", "last_name": "Okonkwo", "phone": "+2348100000000"});
    let customer = world.paystack("customer", person).await.ok();
    let body = json!({"customer": customer["data"]["customer_code"], "preferred_bank": "test-bank"});
    world.paystack("dedicated_account", body).await.ok()["data"].clone()
}

fn send(world: &World, account: &Value, amount: i64) -> Value {
    let body = json!({"account_number": account, "amount": amount, "sender": "Adaeze Òkónkwọ"});
    world.admin("paystack/transfer", body)["transfer"].clone()
}

/// The gateway's events so far.
fn events(world: &World) -> Vec<String> {
    let books = world.simulator.books();
    let rows = books["deliveries"].as_array().expect("rows");
    rows.iter().map(|row| row["event"].as_str().unwrap_or_default().to_owned()).collect()
}

async fn ask(world: &World, reference: &str, more: Value) -> Value {
    let mut body = json!({"email": EMAIL, "amount": 700_000, "reference": reference, "bank_transfer": {}});
    if let (Some(body), Value::Object(more)) = (body.as_object_mut(), more) {
        body.extend(more);
    }
    world.paystack("charge", body).await.ok()["data"].clone()
}

async fn verify(world: &World, reference: &str) -> Value {
    world.paystack_get(&format!("transaction/verify/{reference}")).await.ok()["data"].clone()
}

#[tokio::test]
async fn a_customer_gets_one_account_in_two_steps() {
    let world = world().await;
    let nameless = world.paystack("customer", json!({"email": EMAIL})).await.ok();
    let body = json!({"customer": nameless["data"]["customer_code"], "preferred_bank": "test-bank"});
    assert_eq!(world.paystack("dedicated_account", body).await.status, 400);
    // An address that is known keeps what it had, but takes what it lacked.
    let first = account(&world).await;
    assert_eq!((first["account_number"].as_str().map(str::len), first["active"].as_bool()), (Some(10), Some(true)));
    assert_eq!(
        (first["bank"]["slug"].as_str(), first["account_name"].as_str()),
        (Some("test-bank"), Some("SIMULATOR/ADA OKONKWO"))
    );
    assert_eq!(first["customer"]["email"], EMAIL);
    assert_eq!(account(&world).await["id"], first["id"]);
    let customer = world.paystack_get(&format!("customer/{EMAIL}")).await.ok();
    assert_eq!(customer["data"]["dedicated_account"]["account_number"], first["account_number"]);
    let live = json!({"customer": EMAIL, "preferred_bank": "wema-bank"});
    assert_eq!(world.paystack("dedicated_account", live).await.status, 400);
    let providers = world.paystack_get("dedicated_account/available_providers").await.ok();
    assert_eq!(providers["data"][0]["provider_slug"], "test-bank");
    assert_eq!(providers["data"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn an_account_asked_for_in_one_step_comes_by_webhook() {
    let world = world().await;
    let person = json!({"email": EMAIL, "first_name": "Ada", "last_name": "Okonkwo", "phone": "+2348100000000",
        "preferred_bank": "test-bank", "country": "NG"});
    for (bvn, event) in [("12345678901", "dedicatedaccount.assign.success"), ("123", "dedicatedaccount.assign.failed")]
    {
        world.admin("reset", json!({}));
        let mut body = person.clone();
        body["bvn"] = json!(bvn);
        let asked = world.paystack("dedicated_account/assign", body).await.ok();
        assert_eq!(
            (asked["message"].as_str(), asked.get("data")),
            (Some("Assign dedicated account in progress"), None)
        );
        world.wait(2).await;
        assert_eq!(events(&world), [event]);
        let listed = world.paystack_get("dedicated_account?active=true").await.ok();
        assert_eq!(listed["data"].as_array().map(Vec::len), Some(usize::from(event.ends_with("success"))));
    }
    let mut nameless = person.clone();
    nameless["last_name"] = Value::Null;
    assert_eq!(world.paystack("dedicated_account/assign", nameless).await.status, 400);
}

#[tokio::test]
async fn accounts_are_listed_fetched_and_given_up() {
    let world = world().await;
    let account = account(&world).await;
    let customer = &account["customer"];
    for wanted in [&customer["id"], &customer["customer_code"]] {
        let wanted = wanted.as_str().map_or_else(|| wanted.to_string(), str::to_owned);
        let listed = world.paystack_get(&format!("dedicated_account?customer={wanted}&active=true")).await.ok();
        assert_eq!(listed["data"][0]["id"], account["id"]);
    }
    let path = format!("dedicated_account/{}", account["id"]);
    assert_eq!(world.paystack_get(&path).await.ok()["data"]["account_number"], account["account_number"]);
    assert_eq!(world.paystack_delete(&path).await.ok()["data"]["active"], false);
    assert_eq!(world.paystack_get("dedicated_account?active=true").await.ok()["data"], json!([]));
    assert_eq!(world.paystack_get("dedicated_account/1").await.status, 404);
    // Money that is sent to it now comes back.
    assert_eq!(send(&world, &account["account_number"], 700_000)["fate"], "returned");
    assert!(world.charges().is_empty() && events(&world).is_empty());
}

#[tokio::test]
async fn any_amount_that_reaches_an_account_is_a_charge_under_paystacks_own_reference() {
    let world = world().await;
    let account = account(&world).await;
    let number = &account["account_number"];
    for amount in [700_000, 1, 123_456] {
        assert_eq!(send(&world, number, amount)["fate"], "credited");
    }
    assert_eq!(events(&world), ["charge.success"; 3]);
    let query = format!("transaction?customer={}&status=success&perPage=2&page=1", account["customer"]["id"]);
    let listed = world.paystack_get(&query).await.ok();
    assert_eq!((listed["meta"]["total"].as_i64(), listed["data"].as_array().map(Vec::len)), (Some(3), Some(2)));
    let newest = &listed["data"][0];
    assert_eq!((newest["amount"].as_i64(), newest["channel"].as_str()), (Some(123_456), Some("dedicated_nuban")));
    let reference = newest["reference"].as_str().expect("a reference");
    let verified = verify(&world, reference).await;
    let sent = &verified["authorization"];
    assert_eq!((sent["channel"].as_str(), sent["card_type"].as_str()), (Some("dedicated_nuban"), Some("transfer")));
    assert_eq!((sent["reusable"].as_bool(), sent["sender_name"].as_str()), (Some(false), Some("Adaeze Òkónkwọ")));
    assert_eq!(&sent["receiver_bank_account_number"], number);
    assert_eq!(verified["customer"]["customer_code"], account["customer"]["customer_code"]);

    let charges = world.charges();
    let total: i64 = charges.iter().filter_map(|charge| charge["amount"]["minor"].as_i64()).sum();
    assert_eq!((total, charges[2]["reference"].as_str()), (823_457, Some(reference)));
    let transfers = world.simulator.books()["transfers"].clone();
    assert_eq!((&transfers[2]["account"], transfers[2]["customer"].as_str()), (number, Some(EMAIL)));
    assert_eq!(transfers[2]["charge"], charges[2]["id"]);
}

#[tokio::test]
async fn transactions_are_listed_by_time() {
    let world = world().await;
    let account = account(&world).await;
    send(&world, &account["account_number"], 700_000);
    let now =
        verify(&world, world.charges()[0]["reference"].as_str().expect("a reference")).await["created_at"].clone();
    let now: jiff::Timestamp = now.as_str().expect("a time").parse().expect("a time");
    let hour = jiff::SignedDuration::from_hours(1);
    let (before, after) = (now - hour, now + hour);
    for (query, count) in [
        (format!("from={before}&to={after}"), 1),
        (format!("from={after}"), 0),
        (format!("to={before}"), 0),
        (format!("from={}", before.to_zoned(jiff::tz::TimeZone::UTC).date()), 1),
    ] {
        let listed = world.paystack_get(&format!("transaction?{query}")).await.ok();
        assert_eq!(listed["data"].as_array().map(Vec::len), Some(count), "{query}");
    }
    assert_eq!(world.paystack_get("transaction?from=yesterday").await.status, 400);
}

#[tokio::test]
async fn a_transfer_that_went_unnoticed_is_found_by_asking_again() {
    let world = world().await;
    let account = account(&world).await;
    let number = account["account_number"].as_str().expect("a number");
    let body = json!({"account_number": number, "amount": 700_000, "unnoticed": true});
    assert_eq!(world.admin("paystack/transfer", body)["transfer"]["fate"], "unnoticed");
    assert!(world.charges().is_empty() && events(&world).is_empty());
    let path = format!("dedicated_account/requery?account_number={number}&provider_slug=test-bank&date=2026-11-21");
    world.paystack_get(&path).await.ok();
    assert_eq!((events(&world), world.charges().len()), (vec!["charge.success".to_owned()], 1));
    world.paystack_get(&path).await.ok();
    let books = world.simulator.books();
    assert_eq!((world.charges().len(), books["transfers"].as_array().map(Vec::len)), (1, Some(1)));
    assert_eq!(books["transfers"][0]["fate"], "credited");
    let unknown = world.paystack_get("dedicated_account/requery?account_number=1&provider_slug=test-bank").await;
    assert_eq!(unknown.status, 404);
}

#[tokio::test]
async fn an_account_for_one_payment_takes_exactly_what_is_due_once() {
    let world = world().await;
    let asked = ask(&world, "r1", json!({})).await;
    assert_eq!((asked["status"].as_str(), asked["reference"].as_str()), (Some("pending_bank_transfer"), Some("r1")));
    assert!(
        asked["account_number"].is_string() && asked["bank"]["name"].is_string() && asked["display_text"].is_string()
    );
    assert_eq!(verify(&world, "r1").await["status"], "ongoing");
    for wrong in [699_999, 700_001] {
        assert_eq!(send(&world, &asked["account_number"], wrong)["fate"], "returned");
    }
    assert_eq!(send(&world, &asked["account_number"], 700_000)["fate"], "credited");
    assert_eq!(send(&world, &asked["account_number"], 700_000)["fate"], "returned");
    assert_eq!(events(&world), ["bank.transfer.rejected", "bank.transfer.rejected", "charge.success"]);
    let paid = verify(&world, "r1").await;
    assert_eq!((paid["status"].as_str(), paid["channel"].as_str()), (Some("success"), Some("bank_transfer")));
    assert_eq!(paid["authorization"]["receiver_bank_account_number"], asked["account_number"]);
    let charges = world.charges();
    assert_eq!((charges.len(), charges[0]["reference"].as_str()), (1, Some("r1")));
    assert_eq!(charges[0]["amount"], json!({"minor": 700_000, "currency": "NGN"}));
}

#[tokio::test]
async fn what_is_rejected_says_why() {
    let world = world().await;
    let (merchant, address) = crate::world::Merchant::open(&[]).await;
    world.admin("configure", json!({"paystack": {"webhook_url": address}}));
    let asked = ask(&world, "r1", json!({})).await;
    send(&world, &asked["account_number"], 500_000);
    // What is ordered past HTTP is sent when it is next looked for.
    assert_eq!(merchant.events(1).await, ["bank.transfer.rejected"]);
    let event: Value = serde_json::from_str(&merchant.got()[0].1).expect("JSON");
    let transfer = &event["data"]["bank_transfer"];
    assert_eq!(
        (transfer["message_type"].as_str(), transfer["amount"].as_i64()),
        (Some("INCORRECT_AMOUNT"), Some(500_000))
    );
    assert_eq!(transfer["transaction_id"], verify(&world, "r1").await["id"]);
    assert_eq!(event["data"]["customer"]["email"], EMAIL);
}

#[tokio::test]
async fn an_account_for_one_payment_ends_with_its_time() {
    let world = world().await;
    let refused = |terms: Value| json!({"email": EMAIL, "amount": 700_000, "bank_transfer": terms});
    for terms in [json!({"account_expires_at": "2020-01-01T00:00:00Z"}), json!({"account_expires_at": "soon"})] {
        assert_eq!(world.paystack("charge", refused(terms)).await.status, 400);
    }
    let little = json!({"email": EMAIL, "amount": 9_999, "bank_transfer": {}});
    assert_eq!(world.paystack("charge", little).await.status, 400);
    let foreign = json!({"email": EMAIL, "amount": 700_000, "currency": "GHS", "bank_transfer": {}});
    assert_eq!(world.paystack("charge", foreign).await.status, 400);
    let now: jiff::Timestamp =
        world.admin("clock", json!({"advance_seconds": 0}))["now"].as_str().expect("a time").parse().expect("a time");
    let end = now + jiff::SignedDuration::from_mins(20);
    let asked = ask(&world, "r1", json!({"bank_transfer": {"account_expires_at": end.to_string()}})).await;
    world.wait(21 * 60).await;
    assert_eq!(verify(&world, "r1").await["status"], "abandoned");
    assert_eq!(send(&world, &asked["account_number"], 700_000)["fate"], "returned");
    assert!(world.charges().is_empty());
}

#[tokio::test]
async fn accounts_disputes_and_unnoticed_money_survive_a_restart() {
    let folder = std::env::temp_dir().join(format!("gateway-simulator-transfers-{}", std::process::id()));
    let options = Options { state: Some(folder.join("state.json")), ..Options::default() };
    let first = world_with(options.clone()).await;
    let number = account(&first).await["account_number"].clone();
    let asked = ask(&first, "r1", json!({})).await;
    send(&first, &asked["account_number"], 700_000);
    first.admin("dispute", json!({"gateway": "paystack", "reference": "r1", "outcome": "open"}));
    first.admin("paystack/transfer", json!({"account_number": number, "amount": 5, "unnoticed": true}));
    let books = first.simulator.books();
    first.simulator.shutdown().await.expect("a saved state");

    let second = world_with(options).await;
    assert_eq!(second.simulator.books(), books);
    second.admin("dispute", json!({"gateway": "paystack", "reference": "r1", "outcome": "lost"}));
    assert_eq!(verify(&second, "r1").await["status"], "reversed");
    let number = number.as_str().expect("a number");
    let path = format!("dedicated_account/requery?account_number={number}&provider_slug=test-bank");
    second.paystack_get(&path).await.ok();
    assert_eq!(second.charges()[1]["amount"]["minor"], 5);
    second.simulator.shutdown().await.expect("a saved state");
    std::fs::remove_dir_all(folder).expect("the folder is there");
}

#[tokio::test]
async fn a_person_sends_money_on_the_banks_page() {
    let world = world().await;
    let account = account(&world).await;
    let number = account["account_number"].as_str().expect("a number");
    ask(&world, "r1", json!({})).await;
    let url = format!("{}/bank", world.simulator.paystack());
    let page = read(world.client.get(&url)).await.expect("a page");
    assert!(page.text.contains(number) && page.text.contains("exactly NGN 7,000.00"), "{}", page.text);
    let send = async |amount: &str| {
        let form = [("account_number", number), ("amount", amount), ("sender", "<Ada>")];
        read(world.client.post(&url).form(&form)).await.expect("a page")
    };
    let sent = send("7,000.50").await;
    assert_eq!(sent.status, 200);
    assert!(sent.text.contains("NGN 7,000.50 arrived"), "{}", sent.text);
    assert_eq!(send("lots").await.status, 400);
    assert_eq!(world.charges()[0]["amount"]["minor"], 700_050);
    let nowhere = world.simulator.admin("paystack/transfer", &json!({"account_number": "1", "amount": 1}));
    assert!(nowhere.is_err_and(|error| error.starts_with("account_number")));
}
