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
    };
}

mod charges;
mod desk;
mod hostile;
mod pages;
mod refunds;
mod requests;
mod silence;
mod vectors;
mod webhooks;
mod wire;
