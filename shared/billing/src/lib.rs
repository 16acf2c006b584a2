//! What a subscription is, what it owes, and what may happen to it next.
//!
//! # Map, in reading order
//!
//! | module           | question it answers                                              |
//! |------------------|------------------------------------------------------------------|
//! | [`money`]        | how much, in which currency                                      |
//! | [`calendar`]     | when a period starts and ends                                    |
//! | [`id`]           | how things are named, and which names follow from others         |
//! | [`catalog`]      | what is for sale                                                 |
//! | [`entitlement`]  | what a plan allows, how much of it is used, what blocks a smaller one |
//! | [`order`]        | what was bought, and what a period of it costs                   |
//! | [`subscription`] | what state a customer's plan is in, and what may change it       |
//! | [`driven`]       | what a subscription is that another system charges for           |
//! | [`dunning`]      | when a declined renewal is tried again, and when we give up      |
//! | [`outcome`]      | what a gateway can answer about a payment                        |
//! | [`payment`]      | how one attempt to collect money ends                            |
//! | [`account`]      | what came in by bank transfer, and what of it is left            |
//! | [`wallet`]       | which payment methods a customer has left with the gateways      |
//! | [`delivery`]     | what a gateway told us, kept for audit                           |
//! | [`ports`]        | what the outside world must provide                              |
//! | [`workflow`]     | the steps: load, decide, commit, call, decide, commit            |
//!
//! **Invariant.** Everything outside [`ports`] and [`workflow`] is synchronous
//! and total: no clock, no randomness, no I/O, no `async`. Time arrives as an
//! argument. This crate's `Cargo.toml` names no AWS or HTTP crate.

pub mod account;
pub mod calendar;
pub mod catalog;
pub mod delivery;
pub mod driven;
pub mod dunning;
pub mod entitlement;
pub mod id;
pub mod mail;
pub mod money;
pub mod order;
pub mod outcome;
pub mod payment;
pub mod ports;
pub mod subscription;
pub mod wallet;
pub mod workflow;

#[cfg(any(test, feature = "testing"))]
pub mod testing;
