//! Money that goes back: by the merchant's wish or by the customer's bank.

use super::{ask_signed, later, refused, saved, send, signed, status};
use crate::world::world;
use serde_json::json;

#[tokio::test]
async fn a_reversal_happens_once_however_often_it_is_asked_for() {
    let world = world().await;
    saved(&world, "r1").await;
    let part =
        |amount: i64, name: &str| json!({"order_id": "r1", "amount": amount, "currency": "GEL", "reverse_id": name});
    let reverse = async |amount, name| ask_signed(&world, "reverse/order_id", part(amount, name)).await;
    let refuses =
        async |amount, name| refused(&send(&world, "reverse/order_id", &json!(signed(part(amount, name)))).await);
    let first = reverse(1600, "refund_1").await;
    assert_eq!((&first["reverse_status"], &first["reversal_amount"]), (&json!("approved"), &json!("1600")));
    assert_eq!(first["reverse_id"], "refund_1");
    assert_eq!(reverse(1600, "refund_1").await, first);
    let partly = status(&world, "r1").await;
    assert_eq!((&partly["order_status"], &partly["reversal_amount"]), (&json!("approved"), &json!("1600")));
    assert_eq!(refuses(3001, "refund_2").await, "1023");
    for code in ["1069", "1084"] {
        world.fault("flitt", "refund", json!({"kind": "decline", "code": code}));
        assert_eq!(refuses(1000, "refund_2").await, code);
    }
    world.fault("flitt", "refund", json!({"kind": "decline", "code": "1000"}));
    let declined = reverse(1000, "refund_3").await;
    assert_eq!((&declined["reverse_status"], &declined["response_code"]), (&json!("declined"), &json!("1000")));
    world.fault("flitt", "refund", json!({"kind": "pending", "seconds": 60}));
    assert_eq!(reverse(1000, "refund_4").await["reverse_status"], "processing");
    assert_eq!(refuses(2001, "refund_5").await, "1023");
    assert_eq!(status(&world, "r1").await["reversal_amount"], "1600");
    later(&world, 61).await;
    assert_eq!(reverse(1000, "refund_4").await["reverse_status"], "approved");
    assert_eq!(status(&world, "r1").await["reversal_amount"], "2600");
    reverse(2000, "refund_5").await;
    let all = status(&world, "r1").await;
    assert_eq!((&all["order_status"], &all["reversal_amount"]), (&json!("reversed"), &json!("4600")));
    assert_eq!(refuses(1, "refund_6").await, "1086");
    assert_eq!(reverse(1600, "refund_1").await, first);

    let books = world.simulator.books();
    assert_eq!(books["charges"][0]["refunded"], 4600);
    let refunds: Vec<_> = books["refunds"].as_array().expect("rows").iter().map(|row| row["status"].clone()).collect();
    assert_eq!(refunds, ["approved", "failed", "approved", "approved"]);
    let listed = send(&world, "transaction_list", &json!(signed(json!({"order_id": "r1"})))).await.ok();
    let rows = listed["response"].as_array().expect("rows");
    let kinds: Vec<_> =
        rows.iter().map(|row| (row["tran_type"].as_str(), row["transaction_status"].as_str())).collect();
    let (yes, no) = (Some("approved"), Some("declined"));
    let back = Some("reverse");
    assert_eq!(kinds, [(Some("purchase"), yes), (back, yes), (back, no), (back, yes), (back, yes)]);
    assert!(listed.to_string().contains("\"amount\":46.0,"), "{listed}");
}

#[tokio::test]
async fn a_chargeback_takes_everything_until_it_is_won() {
    let world = world().await;
    saved(&world, "r1").await;
    let dispute = |outcome: &str| {
        let order = json!({"gateway": "flitt", "reference": "r1", "outcome": outcome});
        world.simulator.admin("dispute", &order)
    };
    assert!(dispute("won").is_err() && dispute("lost").is_err());
    for (outcome, ends, back) in [("open", "reversed", "4600"), ("won", "approved", "0"), ("open", "reversed", "4600")]
    {
        dispute(outcome).expect("a dispute");
        let now = status(&world, "r1").await;
        assert_eq!((&now["order_status"], &now["reversal_amount"]), (&json!(ends), &json!(back)), "{outcome}");
    }
    assert!(dispute("open").is_err());
    dispute("lost").expect("an end");
    assert!(dispute("won").is_err());
    assert_eq!(status(&world, "r1").await["order_status"], "reversed");
    assert_eq!(world.simulator.books()["disputes"][0]["stage"], "lost");
    let nothing = json!({"gateway": "flitt", "reference": "none", "outcome": "open"});
    assert!(world.simulator.admin("dispute", &nothing).is_err());
}
