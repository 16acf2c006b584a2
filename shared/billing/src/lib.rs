//! What a subscription is, what it owes, and what may happen to it next.
//!
//! # Map, in reading order
//!
//! | module           | question it answers                                              |
//! |------------------|------------------------------------------------------------------|
//! | [`money`]        | how much, in which currency                                      |
//! | [`ratio`]        | what part of it, exactly, and how it becomes whole               |
//! | [`calendar`]     | when a period starts and ends                                    |
//! | [`id`]           | how things are named, and which names follow from others         |
//! | [`catalog`]      | what is for sale                                                 |
//! | [`pricing`]      | what a quantity costs                                            |
//! | [`entitlement`]  | what a customer is allowed, and how much of it is used            |
//! | [`downgrade`]    | what stands in the way of a smaller plan                         |
//! | [`usage`]        | what was used of what is metered                                 |
//! | [`reservation`]  | what is held for a use to come                                   |
//! | [`shard`]        | how a counter is kept in several places                          |
//! | [`statistics`]   | what was used on each day                                        |
//! | [`alert`]        | what a customer is told of as a limit comes near                 |
//! | [`order`]        | what was bought, and what a period of it costs                   |
//! | [`discount`]     | what is taken off a price, and how often a coupon may be redeemed |
//! | [`tax`]          | what of a price is tax                                           |
//! | [`subscription`] | what state a customer's plan is in, and what may change it       |
//! | [`proration`]    | what a change within a period costs                              |
//! | [`credit`]       | what is given back, never more than was paid                     |
//! | [`trial`]        | when a subscription that is tried first begins to cost           |
//! | [`token`]        | whether what was paid for before can be used                     |
//! | [`driven`]       | what a subscription is that another system charges for           |
//! | [`dunning`]      | when a declined renewal is tried again, and when we give up      |
//! | [`outcome`]      | what a gateway can answer about a payment                        |
//! | [`payment`]      | how one attempt to collect money ends                            |
//! | [`account`]      | what came in by bank transfer, and what of it is left            |
//! | [`wallet`]       | which payment methods a customer has left with the gateways      |
//! | [`delivery`]     | what a gateway told us, kept for audit                           |
//! | [`mail`]         | what a customer must be told, and how they are reached           |
//! | [`brand`]        | under whose name that is                                         |
//! | [`ports`]        | what the outside world must provide                              |
//! | [`workflow`]     | the steps: load, decide, commit, call, decide, commit            |
//!
//! [`tax`], the campaigns of [`dunning`], credit notes of [`credit`], and what other systems count otherwise in
//! [`calendar`] and [`pricing`] are held against those systems' cases (`tests/billing-cases`) and used by no workflow yet.
//!
//! **Invariant.** Everything outside [`ports`] and [`workflow`] is synchronous
//! and total: no clock, no randomness, no I/O, no `async`. Time arrives as an
//! argument. This crate's `Cargo.toml` names no AWS or HTTP crate.

pub mod account;
pub mod alert;
pub mod brand;
pub mod calendar;
pub mod catalog;
pub mod credit;
pub mod delivery;
pub mod discount;
pub mod downgrade;
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
pub mod pricing;
pub mod proration;
pub mod ratio;
pub mod reservation;
pub mod shard;
pub mod statistics;
pub mod subscription;
pub mod tax;
pub mod token;
pub mod trial;
pub mod usage;
pub mod wallet;
pub mod workflow;

#[cfg(any(test, feature = "testing"))]
pub mod testing;
