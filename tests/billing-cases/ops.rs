//! Which function answers which operation, and which have none.

mod amounts;
mod changes;
mod credits;
mod customers;
mod dates;
mod dunning;
mod interval;
mod prices;
mod safety;
mod shares;
mod trials;

use crate::cases::{Case, Refusal};
use serde_json::Value;

/// An answer as JSON, under the names that cases expect it by.
pub(crate) type Answer = Result<Value, Refusal>;

pub(crate) type Op = fn(&Case) -> Answer;

/// Each family of operations is a file, and tells its own.
const FAMILIES: &[&[(&str, Op)]] = &[
    changes::OPS,
    credits::OPS,
    customers::OPS,
    dates::OPS,
    dunning::OPS,
    prices::OPS,
    safety::OPS,
    shares::OPS,
    trials::OPS,
];

/// Operations that no function of billing is to answer, and why.
const ELSEWHERE: [(&str, &str); 5] = [
    ("flitt_duplicate_order", "what a gateway answers is tested with its adapter, in tests/contracts"),
    ("inbound_redelivery_schedule", "when a gateway comes back is the gateway's to decide; nothing here computes it"),
    ("paystack_signature", "signatures are verified by make check-vectors"),
    ("signature_mutations", "forged and altered deliveries are in tests/contracts/vectors.json and tests/fuzz"),
    ("stripe_signature", "signatures are verified by make check-vectors"),
];

/// Fields that an operation does not read, and cases have.
const INFORMATION: [(&str, &str); 1] = [
    // Which of the bounds the case is about: the others are not expected.
    ("billing_period_bounds", "want"),
];

pub(crate) fn is_information(op: &str, field: &str) -> bool {
    INFORMATION.contains(&(op, field))
}

pub(crate) const UNKNOWN: &str = "no function of billing answers to this name";

/// What answers to `name`, or why nothing does.
pub(crate) fn find(name: &str) -> Result<Op, &'static str> {
    let known = FAMILIES.iter().flat_map(|family| family.iter()).find(|(op, _)| *op == name);
    let elsewhere = || ELSEWHERE.iter().find(|(op, _)| *op == name).map_or(UNKNOWN, |(_, reason)| reason);
    known.map(|(_, op)| *op).ok_or_else(elsewhere)
}
