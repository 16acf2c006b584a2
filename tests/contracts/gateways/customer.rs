//! A customer, who pays on the gateways' pages with their test cards.

use super::desk::Desk;
use super::payments::address;
use billing::outcome::Outcome;
use billing::payment::{Address, Gateway, Payment};

/// A test card, or a source in a PayPal wallet, by what it does.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Card {
    Pays,
    Declines,
    /// A refund to it takes a while.
    RefundsPend,
    /// A refund to it fails after a while.
    RefundsFail,
}

impl Card {
    const fn at(self, gateway: Gateway) -> &'static str {
        match (gateway, self) {
            (Gateway::Stripe, Self::Pays) => "4242424242424242",
            (Gateway::Stripe, Self::Declines) => "4000000000009995",
            (Gateway::Stripe, Self::RefundsPend) => "4000000000007726",
            (Gateway::Stripe, Self::RefundsFail) => "4000000000005126",
            (Gateway::Paystack, Self::Pays | Self::RefundsPend) => "4084084084084081",
            (Gateway::Paystack, Self::Declines) => "4084080000670037",
            (Gateway::Paystack, Self::RefundsFail) => "4084080000671803",
            // Of theirs none is slow or bad at taking money back: it is ordered.
            (Gateway::Flitt, Self::Pays | Self::RefundsPend | Self::RefundsFail) => "4444555511116666",
            (Gateway::Flitt, Self::Declines) => "4444111155556666",
            (Gateway::PayPal, Self::Pays | Self::RefundsPend | Self::RefundsFail) => "balance",
            (Gateway::PayPal, Self::Declines) => "declined",
        }
    }
}

impl Desk {
    /// A page that was paid. Of PayPal, approved and captured.
    pub(crate) async fn paid(&self) -> Payment {
        let payment = self.opened().await;
        self.pay(&payment, Card::Pays).await;
        payment
    }

    /// The customer pays, and somebody looks.
    pub(crate) async fn pay(&self, payment: &Payment, card: Card) -> Outcome {
        self.visit(payment, card).await.unwrap_or_else(|status| panic!("{card:?}: {status}"));
        self.found(payment).await
    }

    /// The customer's card is declined on the page. PayPal's say so to us, when the money is to be taken.
    pub(crate) async fn fail_to_pay(&self, payment: &Payment) -> Outcome {
        let visited = self.visit(payment, Card::Declines).await;
        assert_eq!(visited.is_ok(), self.gateway == Gateway::PayPal, "{visited:?}");
        self.found(payment).await
    }

    /// The customer fills in the page; where it sends them, or the status that says why not.
    pub(crate) async fn visit(&self, payment: &Payment, card: Card) -> Result<String, u16> {
        match address(payment) {
            Address::CheckoutUrl(url) => self.fill_in(url, card).await,
            Address::ClientSecret(secret) => {
                self.fill_in(&format!("{}/elements/{secret}", self.simulator.stripe()), card).await
            }
            Address::BankAccount(_) => panic!("a transfer is made at a bank"),
        }
    }

    pub(crate) async fn fill_in(&self, url: &str, card: Card) -> Result<String, u16> {
        let means = if self.gateway == Gateway::PayPal { "funding" } else { "card" };
        let form = [("action", "pay"), (means, card.at(self.gateway))];
        let answer = self.http.post(url).form(&form).send().await.expect("a page");
        let location = answer.headers().get("location").and_then(|value| value.to_str().ok()).map(str::to_owned);
        match answer.status().as_u16() {
            200 | 303 => Ok(match location {
                Some(location) => location,
                None => form_target(&answer.text().await.expect("a page")),
            }),
            refused => Err(refused),
        }
    }
}

/// Where a page posts its form to by itself; nowhere, if it has none.
fn form_target(page: &str) -> String {
    let target = page.split_once("<form method=\"post\" action=\"").and_then(|(_, rest)| rest.split_once('"'));
    target.map_or_else(String::new, |(target, _)| target.replace("&amp;", "&").replace("&#38;", "&"))
}
