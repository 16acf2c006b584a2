//! What every adapter must keep to: one suite for both stores, one for every
//! gateway, what a call may cost, and what may go over the wire.

#![allow(clippy::expect_used, reason = "what a test expects and does not get is its failure")]

mod cost;
mod gateways;
mod samples;
mod store;
