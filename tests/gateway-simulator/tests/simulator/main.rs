//! The simulator from outside, over HTTP, as an adapter and a person meet it.

#![allow(clippy::expect_used)]

mod admin;
mod faults;
mod flitt;
mod paypal;
mod paypal_refunds;
mod paypal_vault;
mod paypal_webhooks;
mod paypal_world;
mod paystack;
mod paystack_disputes;
mod paystack_saved;
mod paystack_transfers;
mod stripe;
mod stripe_catalogue;
mod stripe_checkout;
mod stripe_disputes;
mod stripe_setups;
mod stripe_subscriptions;
mod webhooks;
mod world;
