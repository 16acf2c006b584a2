//! The simulator from outside, over HTTP, as an adapter and a person meet it.

#![allow(clippy::expect_used)]

mod admin;
mod faults;
mod paystack;
mod stripe;
mod stripe_checkout;
mod webhooks;
mod world;
