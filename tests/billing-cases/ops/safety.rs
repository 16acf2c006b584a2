//! How an invoice stands after what a gateway told of its payment.

use super::{Answer, Op};
use crate::cases::{Case, Refusal};
use billing::outcome::{Aftermath, Decline, Dispute, DisputeStanding, Outcome, Receipt, Remedy, Stage};
use billing::payment::Payment;
use billing::testing::off_session_payment;
use serde::Deserialize;
use serde_json::json;

pub(crate) const OPS: &[(&str, Op)] = &[("event_sequence", event_sequence)];

/// Each event is the gateway's word about the payment of the invoice, in the order in which it comes.
fn event_sequence(case: &Case) -> Answer {
    #[derive(Deserialize)]
    struct Input {
        events: Vec<String>,
    }
    let Input { events } = case.input()?;
    let mut payment = off_session_payment();
    let (mut aftermath, mut reversals) = (Aftermath::default(), 0);
    for (number, event) in events.iter().enumerate() {
        let told = outcome(event, &payment, &mut aftermath);
        let told = told.ok_or_else(|| Refusal::of(&format!("events[{number}]"), format!("`{event}` is no event")))?;
        let before = gone(&payment);
        if let Some((settled, _)) = payment.clone().settle(told, payment.created_at) {
            payment = settled;
        }
        reversals += u32::from(gone(&payment) > before);
    }
    let invoice = match (payment.is_settled(), gone(&payment)) {
        (true, 0) => "paid",
        (true, gone) if gone < payment.amount.minor => "partially_paid",
        (true, _) | (false, _) => "unpaid",
    };
    Ok(json!({ "invoice": invoice, "reversals": reversals }))
}

/// What the gateway answers from then on; what became of the money is told whole each time.
fn outcome(event: &str, payment: &Payment, aftermath: &mut Aftermath) -> Option<Outcome> {
    let (name, manner) =
        event.split_once('(').map_or((event, ""), |(name, manner)| (name, manner.trim_end_matches(')')));
    let dispute = |standing| Some(Dispute { id: "dp_1".to_owned(), reason: "fraudulent".to_owned(), standing });
    match name.trim() {
        "pending" | "processing" => return Some(Outcome::Pending(Stage::Processing)),
        "failed" | "declined" => return Some(Outcome::Declined(Decline::new("declined", Remedy::RetryLater))),
        "expired" | "canceled" => return Some(Outcome::Expired),
        "succeeded" => {}
        "chargeback" => aftermath.dispute = dispute(DisputeStanding::Lost),
        "dispute" => aftermath.dispute = dispute(DisputeStanding::Open),
        "chargeback_won" | "dispute_won" => aftermath.dispute = dispute(DisputeStanding::Won),
        "refund" if manner.contains("partial") => aftermath.returned = aftermath.returned.max(payment.amount.minor / 2),
        "refund" => aftermath.returned = payment.amount.minor,
        _ => return None,
    }
    let receipt = Receipt { id: "ch_1".to_owned(), amount: payment.amount };
    Some(Outcome::Succeeded { receipt, aftermath: aftermath.clone(), method: None })
}

/// Minor units that went back.
fn gone(payment: &Payment) -> i64 {
    payment.paid().map_or(0, |paid| paid.gone())
}
