//! What a gateway promises, whichever it is: the same tests over every adapter,
//! against the simulator, which shares no code with them and keeps books of its
//! own; and what only one of them does.

/// Runs each test against every gateway.
macro_rules! promises {
    ($($name:ident),* $(,)?) => {
        mod stripe {
            $(#[tokio::test]
            async fn $name() {
                super::$name(&crate::gateways::desk::Desk::open(billing::payment::Gateway::Stripe).await).await;
            })*
        }
        mod paystack {
            $(#[tokio::test]
            async fn $name() {
                super::$name(&crate::gateways::desk::Desk::open(billing::payment::Gateway::Paystack).await).await;
            })*
        }
        mod flitt {
            $(#[tokio::test]
            async fn $name() {
                super::$name(&crate::gateways::desk::Desk::open(billing::payment::Gateway::Flitt).await).await;
            })*
        }
        mod paypal {
            $(#[tokio::test]
            async fn $name() {
                super::$name(&crate::gateways::desk::Desk::open(billing::payment::Gateway::PayPal).await).await;
            })*
        }
    };
}

mod accepted;
mod aftermath;
mod catalogue;
mod charges;
mod customer;
mod declines;
mod desk;
mod driven;
mod hostile;
mod only_flitt;
mod only_paypal;
mod only_paystack;
mod pages;
mod payments;
mod refunds;
mod requests;
mod setups;
mod signatures;
mod signing;
mod silence;
mod vectors;
mod webhooks;
mod wire;
