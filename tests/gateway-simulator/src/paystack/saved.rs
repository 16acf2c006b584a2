//! Saved cards, charged again: at once, in part, or only once the customer has approved.

use super::refusal::{Refusal, Result};
use super::transactions::{self, Customer, Status};
use super::{Done, Fields, customers, done, integer, required, text};
use crate::faults::Fault;
use crate::gateway::{Gateway, Operation};
use crate::state::State;
use serde_json::{Value, json};

pub(super) fn charge(state: &mut State, fields: &Fields) -> Result<Done> {
    attempt(state, fields, None)
}

/// Takes what the card holds, if it is not too little. How much it holds is ordered as a fault, `wrong_amount`.
pub(super) fn charge_in_part(state: &mut State, fields: &Fields) -> Result<Done> {
    required(fields, "currency")?;
    let least = integer(fields, "at_least")?.unwrap_or(1);
    attempt(state, fields, Some(least))
}

/// What is left of a fault when a part is enough.
fn in_part(fault: Option<Fault>, least: i64, amount: i64) -> Option<Fault> {
    match fault {
        Some(Fault::WrongAmount { minor }) if minor >= amount => None,
        Some(Fault::WrongAmount { minor }) if minor < least => {
            Some(Fault::Decline { code: "insufficient_funds".to_owned() })
        }
        fault => fault,
    }
}

fn attempt(state: &mut State, fields: &Fields, least: Option<i64>) -> Result<Done> {
    let code = required(fields, "authorization_code")?;
    let email = customers::email(fields)?;
    let Some(authorization) = state.paystack.authorizations.get(code).cloned() else {
        return Err(Refusal::invalid("Authorization code is invalid", "invalid_authorization_code"));
    };
    let reusable = authorization.test_card().is_some_and(|card| card.reusable);
    if authorization.email != email || authorization.inactive || !reusable {
        let message = "Email does not match Authorization code. Authorization may be inactive or belong to a different \
                       email. Please confirm.";
        return Err(Refusal::invalid(message, "email_mismatch"));
    }
    let mut transaction = transactions::open(state, fields)?;
    if least.is_some_and(|least| !(1..=transaction.amount).contains(&least)) {
        return Err(Refusal::invalid("at_least must not be more than the amount", "invalid_amount"));
    }
    transaction.saved = Some(code.to_owned());
    let (reference, amount) = (transaction.reference.clone(), transaction.amount);
    let fault = state.faults.on_charge(Gateway::Paystack, Operation::OffSession);
    let pauses = matches!(fault, Some(Fault::Paused {} | Fault::RequireAction {}));
    if pauses || (fault.is_none() && state.settings.paystack.two_factor) {
        transaction.status = Status::Ongoing;
        let data = json!({
            "paused": true, "authorization_url": transaction.address(state), "reference": reference,
            "access_code": transaction.access_code,
        });
        state.paystack.transactions.add(transaction);
        return Ok(done("Please, redirect your customer to the authorization url provided", data));
    }
    let fault = match least {
        Some(least) => in_part(fault, least, amount),
        None => fault,
    };
    state.paystack.transactions.add(transaction);
    transactions::settle(state, &reference, &authorization, fault, Customer::Away);
    let Some(transaction) = state.paystack.transactions.get(&reference) else {
        return Err(Refusal::not_found("Transaction", "transaction_not_found"));
    };
    let mut data = transaction.json(state);
    // This answer shows the metadata as it was sent; verify shows it as an object.
    if let Some(sent @ Value::String(_)) = fields.get("metadata") {
        data["metadata"] = sent.clone();
    }
    Ok(done("Charge attempted", data))
}

/// `POST /charge`: from a saved card, or by transfer to an account made for it.
pub(super) fn charge_directly(state: &mut State, fields: &Fields) -> Result<Done> {
    match (text(fields, "authorization_code"), fields.get("bank_transfer").and_then(Value::as_object)) {
        (Some(_), None) => charge(state, fields),
        (None, Some(terms)) => super::transfers::ask(state, fields, terms),
        (Some(_), Some(_)) | (None, None) => {
            let message = "Exactly one of authorization_code and bank_transfer must be sent";
            Err(Refusal::invalid(message, "invalid_params"))
        }
    }
}
