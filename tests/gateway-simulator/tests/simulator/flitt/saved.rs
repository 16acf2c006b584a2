//! Saved cards: charged without their owner, with an outcome to order.

use super::{EMAIL, later, order, refused, renew, saved, send, signed, status};
use crate::world::world;
use serde_json::{Value, json};

#[tokio::test]
async fn a_saved_card_is_charged_again() {
    let world = world().await;
    let rectoken = saved(&world, "r1").await;
    let first = status(&world, "r1").await;
    assert_eq!((rectoken.len(), first["rectoken_lifetime"].as_str().map(str::len)), (46, Some(19)));
    let renewed = renew(&world, "r2", &rectoken).await;
    assert_eq!((&renewed["order_status"], &renewed["masked_card"]), (&json!("approved"), &json!("444455XXXXXX6666")));
    let again = json!(signed(order("r2", json!({"rectoken": rectoken}))));
    assert_eq!(refused(&send(&world, "recurring", &again).await), "1013");
    let charges = world.charges();
    assert_eq!((charges.len(), &charges[1]["off_session"], &charges[1]["reference"]), (2, &json!(true), &json!("r2")));
    assert_eq!(
        (&charges[1]["customer"], &charges[1]["payment"]),
        (&json!(EMAIL), &json!(renewed["payment_id"].to_string()))
    );
    later(&world, 4 * 365 * 86_400).await;
    assert_eq!(renew(&world, "r3", &rectoken).await["response_code"], 1082);
}

#[tokio::test]
async fn what_a_saved_card_does_next_can_be_ordered() {
    let world = world().await;
    let rectoken = saved(&world, "r1").await;
    for code in [1037, 1003, 1042] {
        world.fault("flitt", "off_session", json!({"kind": "decline", "code": code.to_string()}));
        let declined = renew(&world, &format!("declined-{code}"), &rectoken).await;
        assert_eq!((&declined["order_status"], &declined["response_code"]), (&json!("declined"), &json!(code)));
        assert_eq!(declined["actual_amount"], "");
    }
    world.fault("flitt", "off_session", json!({"kind": "require_action"}));
    assert_eq!(renew(&world, "asks", &rectoken).await["response_code"], 1073);
    world.fault("flitt", "off_session", json!({"kind": "wrong_amount", "minor": 100}));
    let wrong = renew(&world, "wrong", &rectoken).await;
    assert_eq!((&wrong["amount"], &wrong["actual_amount"]), (&json!("4600"), &json!("100")));
    // What refuses the request does not take the order's name.
    world.fault("flitt", "off_session", json!({"kind": "decline", "code": "1059"}));
    let request = json!(signed(order("refused", json!({"rectoken": rectoken}))));
    assert_eq!(refused(&send(&world, "recurring", &request).await), "1059");
    assert_eq!(renew(&world, "refused", &rectoken).await["order_status"], "approved");
    let word = json!({"gateway": "flitt", "on": "charge", "fault": {"kind": "decline", "code": "insufficient_funds"}});
    assert!(world.simulator.admin("faults", &word).is_err_and(|error| error.starts_with("fault.code")));
    let before = world.charges().len();
    for (id, code, ends) in [("late", Value::Null, "approved"), ("late too", json!("1051"), "declined")] {
        world.fault("flitt", "off_session", json!({"kind": "pending", "seconds": 60, "code": code}));
        let hangs = renew(&world, id, &rectoken).await;
        assert_eq!((&hangs["order_status"], &hangs["response_code"]), (&json!("processing"), &json!("")));
        assert_eq!(status(&world, id).await["order_status"], "processing");
        later(&world, 61).await;
        assert_eq!(status(&world, id).await["order_status"], ends, "{id}");
    }
    assert_eq!(world.charges().len(), before + 2);
}

#[tokio::test]
async fn a_charge_whose_answer_was_lost_is_found_by_its_order() {
    let world = world().await;
    let rectoken = saved(&world, "r1").await;
    let request = json!(signed(order("r2", json!({"rectoken": rectoken}))));
    world.fault("flitt", "off_session", json!({"kind": "error_500"}));
    let lost = send(&world, "recurring", &request).await;
    assert_eq!((lost.status, lost.json["response"]["error_code"].as_str()), (500, Some("1002")));
    let looked = json!(signed(json!({"order_id": "r2"})));
    assert_eq!(refused(&send(&world, "status/order_id", &looked).await), "1018");
    world.fault("flitt", "off_session", json!({"kind": "error_500_after"}));
    assert_eq!(send(&world, "recurring", &request).await.status, 500);
    assert_eq!(status(&world, "r2").await["order_status"], "approved");
    assert_eq!(refused(&send(&world, "recurring", &request).await), "1013");
    assert_eq!(world.charges().len(), 2);
}
