//! Flitt. <https://docs.flitt.com>
//!
//! Every request is a POST of parameters that are signed by their values, and
//! nearly every answer is HTTP 200: whether the request was accepted, one field
//! says; what became of the order, another. There are no idempotency keys: an order's
//! id is unique for ever, and so is a reversal's.

mod declines;
mod outcome;
pub(super) mod params;
pub(super) mod signature;
pub(super) mod webhook;
mod wire;

use super::access::{Access, keys_refused, no_answer};
use super::keys::FlittKeys;
use super::{Received, WebhookError, coming_back};
use billing::delivery::Notice;
use billing::money::{Currency, Money};
use billing::outcome::{Outcome, RefundOutcome, Sighting, Stage};
use billing::payment::{Address, CheckoutMethod, Collection, Opened, Payment, Refund, RefundStatus};
use billing::ports::GatewayError;
use billing::wallet::Method;
use params::Params;
use reqwest::RequestBuilder;
use serde_json::json;
use wire::{Order, Page, Refused, Reversal, Said};

/// What is held to verify a card, and let go again.
const HELD_TO_VERIFY: i64 = 100;

/// Flitt writes an amount in twelve digits.
const MOST: i64 = 999_999_999_999;

/// No value may hold `|`, which separates them where they are signed.
type Fields = Vec<(&'static str, String)>;

#[derive(Clone, Debug)]
pub(super) struct Flitt {
    access: Access<FlittKeys>,
}

impl Flitt {
    pub(super) fn new(access: Access<FlittKeys>) -> Self {
        Self { access }
    }

    pub(super) fn accepts(&self, payment: &Payment) -> Result<(), GatewayError> {
        if let Collection::Checkout { method, .. } = &payment.collection
            && *method != CheckoutMethod::Checkout
        {
            let problem = "Flitt offers `checkout` only".to_owned();
            return Err(GatewayError::Unacceptable { field: "method", problem });
        }
        chargeable(payment.amount)
    }

    pub(super) fn setup_amount(&self, currency: Currency) -> Result<Money, GatewayError> {
        let amount = Money::new(HELD_TO_VERIFY, currency);
        chargeable(amount).map(|()| amount)
    }

    /// Asks for an order that there is not. Flitt looks at who asks first, and says HTTP 200 to anybody.
    pub(super) async fn answers(&self) -> Result<(), GatewayError> {
        let request = self.signed("/api/status/order_id", "none", vec![]).await?;
        let answer = self.access.hear(request).await?;
        answer.ready()?;
        match wire::said(&answer.body) {
            Ok(Err(refused)) if declines::is_about_keys(refused.code()) => Err(keys_refused()),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    pub(super) async fn open(&self, payment: &Payment) -> Result<Opened, GatewayError> {
        match self.ask("/api/checkout/url", payment, self.page(payment)?).await? {
            // This answer is not signed.
            Ok(said) => {
                let page: Page = said.read().map_err(no_answer)?;
                let id = page.payment_id.unwrap_or_else(|| payment.reference.to_string());
                Ok(Opened { id, at: Address::CheckoutUrl(page.checkout_url) })
            }
            Err(refused) if declines::is_known_order(refused.code()) => Err(GatewayError::OpenedBefore),
            Err(refused) => Err(refused.error()),
        }
    }

    /// A page cannot be closed early, so its lifetime is that of the payment.
    fn page(&self, payment: &Payment) -> Result<Fields, GatewayError> {
        let Collection::Checkout { order, payer, return_url, expires_at, .. } = &payment.collection else {
            return Err(GatewayError::Rejected("an off-session charge has no page".to_owned()));
        };
        let lifetime = expires_at.duration_since(payment.created_at).as_secs().max(1);
        let about = order.as_ref().map_or("Payment method", |order| order.plan.display_name.as_str());
        let mut fields = self.order(payment, about);
        fields.push(("lifetime", lifetime.to_string()));
        // After a failed try the customer may try again, until the order ends.
        fields.push(("delayed", "Y".to_owned()));
        fields.push(("required_rectoken", "Y".to_owned()));
        // Cards only: what cannot be charged again off-session would end with its first period.
        fields.push(("payment_systems", "card".to_owned()));
        if payment.is_setup() {
            fields.push(("verification", "Y".to_owned()));
        }
        fields.extend(return_url.as_ref().map(|url| ("response_url", address(&coming_back(url, payment)))));
        let email = payer.email.clone().filter(|email| !email.contains('|'));
        fields.extend(email.map(|email| ("sender_email", email)));
        Ok(fields)
    }

    fn order(&self, payment: &Payment, about: &str) -> Fields {
        let mut fields = amount(payment.amount);
        fields.push(("order_desc", about.replace('|', "/")));
        let callback = self.access.callback.as_ref();
        fields.extend(callback.map(|url| ("server_callback_url", address(url))));
        fields
    }

    pub(super) async fn charge(&self, payment: &Payment) -> Result<Outcome, GatewayError> {
        let Collection::OffSession { method, .. } = &payment.collection else {
            return Err(GatewayError::Rejected("a checkout is paid by the customer".to_owned()));
        };
        let about = payment.bought.as_ref().map_or("Payment", |bought| bought.plan.as_str());
        let mut fields = self.order(payment, about);
        fields.push(("rectoken", method.token.clone()));
        match self.ask_signed("/api/recurring", payment, fields).await? {
            Ok(said) => {
                let order: Order = said.read().map_err(no_answer)?;
                // However often it was looked up before, this is the first that is heard of this charge.
                let unsure = order.is_unsure();
                Ok(if unsure { Outcome::Pending(Stage::Processing) } else { order.outcome(payment) })
            }
            Err(refused) if declines::is_known_order(refused.code()) => match self.find(payment).await? {
                Sighting::Known(outcome) => Ok(outcome),
                Sighting::NeverHeard | Sighting::CannotTell => {
                    Err(GatewayError::NoAnswer("a duplicate that cannot be found".into()))
                }
            },
            Err(refused) if declines::is_unsure(refused.code()) => Err(refused.error()),
            Err(refused) => match declines::refusal(refused.code()) {
                Some(decline) => Ok(Outcome::Declined(decline)),
                None => Err(refused.error()),
            },
        }
    }

    pub(super) async fn find(&self, payment: &Payment) -> Result<Sighting, GatewayError> {
        match self.ask_signed("/api/status/order_id", payment, vec![]).await? {
            Ok(said) => Ok(Sighting::Known(said.read::<Order>().map_err(no_answer)?.outcome(payment))),
            Err(refused) if declines::is_unknown_order(refused.code()) => Ok(Sighting::NeverHeard),
            Err(refused) => Err(refused.error()),
        }
    }

    /// A page cannot be closed here: how it stands is all there is to say.
    pub(super) async fn close(&self, payment: &Payment) -> Result<Sighting, GatewayError> {
        self.find(payment).await
    }

    /// Under one `reverse_id` money goes back once, however often it is asked.
    pub(super) async fn refund(&self, payment: &Payment, refund: &Refund) -> Result<RefundOutcome, GatewayError> {
        let name = payment.refund_reference(refund);
        let mut fields = amount(refund.amount);
        fields.push(("reverse_id", name.clone()));
        match self.ask_signed("/api/reverse/order_id", payment, fields).await? {
            Ok(said) => {
                let reversal: Reversal = said.read().map_err(no_answer)?;
                match reversal.reverse_id.as_ref().is_none_or(|id| *id == name) {
                    true => Ok(reversal.outcome(name)),
                    false => Err(GatewayError::NoAnswer("an answer about another reversal".into())),
                }
            }
            Err(refused) => self.refund_refused(payment, refund, name, refused).await,
        }
    }

    /// A refusal does not say that nothing went back: before it counts, the order does.
    async fn refund_refused(
        &self,
        payment: &Payment,
        refund: &Refund,
        name: String,
        refused: Refused,
    ) -> Result<RefundOutcome, GatewayError> {
        let code = refused.code();
        if code == NOT_ENOUGH_TURNOVER {
            return Ok(RefundOutcome::Pending); // there will be enough when more was sold
        }
        if declines::is_unsure(code) || declines::is_bad_request(code) {
            return Err(refused.error());
        }
        let (taken, returned) = match self.find(payment).await? {
            Sighting::Known(Outcome::Succeeded { receipt, aftermath, .. }) => {
                (receipt.amount.minor, aftermath.returned)
            }
            Sighting::Known(Outcome::Pending(_) | Outcome::Declined(_) | Outcome::Expired)
            | Sighting::NeverHeard
            | Sighting::CannotTell => return Err(refused.error()),
        };
        let done = |other: &&Refund| matches!(other.status, RefundStatus::Done { .. });
        let all = payment.paid().into_iter().flat_map(|paid| &paid.refunds);
        let others: i64 = all.filter(done).map(|other| other.amount.minor).sum();
        let known = code == KNOWN_REVERSAL;
        match returned >= taken || (known && returned - others >= refund.amount.minor) {
            true => Ok(RefundOutcome::Done { id: name }),
            false if known => Ok(RefundOutcome::Pending),
            false => Ok(RefundOutcome::Failed { code: code.to_owned() }),
        }
    }

    /// Flitt keeps no list of cards: a token that nobody holds is charged by nobody.
    pub(super) async fn forget(&self, _: &Method) -> Result<(), GatewayError> {
        Ok(())
    }

    pub(super) async fn receive(&self, delivery: &Received<'_>) -> Result<Notice, WebhookError> {
        let keys = self.access.keys.get().await?;
        let params = webhook::verify(&keys.payment_keys, delivery)?;
        webhook::notice(&params, &keys.merchant_id, delivery)
    }

    /// Asks, and believes no answer that Flitt did not sign. It signs no refusal.
    async fn ask_signed(&self, path: &str, payment: &Payment, fields: Fields) -> Result<Said, GatewayError> {
        let said = match self.ask(path, payment, fields).await? {
            Ok(said) => said,
            Err(refused) => return Ok(Err(refused)),
        };
        let keys = self.access.keys.get().await?;
        believed(&keys, payment, said).map(Ok)
    }

    async fn ask(&self, path: &str, payment: &Payment, fields: Fields) -> Result<Said, GatewayError> {
        let request = self.signed(path, payment.reference.as_str(), fields).await?;
        wire::said(&self.access.send(request).await?.body)
    }

    async fn signed(&self, path: &str, order: &str, fields: Fields) -> Result<RequestBuilder, GatewayError> {
        let keys = self.access.keys.get().await?;
        let key = keys.payment_keys.first().ok_or_else(|| GatewayError::NoAnswer("no key to sign with".into()))?;
        let named = [("merchant_id", keys.merchant_id.clone()), ("order_id", order.to_owned())];
        let params = Params::from_iter(fields.into_iter().chain(named));
        let signature = signature::sign(key, &params);
        let body = json!({ "request": params.with("signature", signature) });
        Ok(self.access.http.post(self.access.url(path)).json(&body))
    }
}

/// `said`, if Flitt signed it and it is about the order that was asked about.
fn believed(keys: &FlittKeys, payment: &Payment, said: Params) -> Result<Params, GatewayError> {
    let said = signature::verified(&keys.payment_keys, said).map_err(no_answer)?;
    let ours = said.text("merchant_id").is_none_or(|merchant| merchant == keys.merchant_id);
    match ours && said.text("order_id") == Some(payment.reference.as_str()) {
        true => Ok(said),
        false => Err(GatewayError::NoAnswer("an answer about another order".into())),
    }
}

/// Nothing was sold from which it could be paid.
const NOT_ENOUGH_TURNOVER: &str = "1069";

/// One of that name was asked for before.
const KNOWN_REVERSAL: &str = "1013";

fn amount(amount: Money) -> Fields {
    vec![("amount", amount.minor.to_string()), ("currency", amount.currency.code().to_owned())]
}

/// An address without Flitt's separator.
fn address(url: &str) -> String {
    url.replace('|', "%7C")
}

/// The currencies of Flitt's countries. All have hundredths, and are counted in them.
fn chargeable(amount: Money) -> Result<(), GatewayError> {
    let unacceptable = |field, problem: String| Err(GatewayError::Unacceptable { field, problem });
    match amount.currency.code() {
        "GEL" | "USD" | "EUR" | "AMD" | "AZN" | "KZT" | "MDL" | "UZS" if amount.minor > MOST => {
            unacceptable("quantity", "is more than Flitt charges at once".to_owned())
        }
        "GEL" | "USD" | "EUR" | "AMD" | "AZN" | "KZT" | "MDL" | "UZS" => Ok(()),
        _ => unacceptable("currency", format!("Flitt does not take {}", amount.currency)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;
    use crate::http_client;
    use crate::secrets::{KeySource, KeyStore};
    use billing::payment::Gateway;
    use billing::testing::{checkout_payment, off_session_payment};

    fn flitt() -> Flitt {
        let http = http_client::client().unwrap_or_else(|error| panic!("{error}"));
        let keys = KeySource::new(KeyStore::given(json!({"merchant_id": "1549901", "payment_keys": ["test"]})));
        let callback = Some("https://billing.example/webhooks/flitt?a|b".to_owned());
        Flitt::new(Access { api: "https://pay.flitt.com".to_owned(), http, keys, callback })
    }

    fn money(minor: i64, code: &str) -> Money {
        Money::new(minor, Currency::from_code(code).unwrap_or_else(|| panic!("{code}")))
    }

    /// A checkout in GEL with an address and an e-mail.
    fn checkout(return_url: &str, email: &str) -> Payment {
        let mut payment = Payment { gateway: Gateway::Flitt, amount: money(1_399, "GEL"), ..checkout_payment() };
        if let Collection::Checkout { payer, return_url: to, .. } = &mut payment.collection {
            (payer.email, *to) = (Some(email.to_owned()), Some(return_url.to_owned()));
        }
        payment
    }

    fn page(payment: &Payment) -> Params {
        Params::from_iter(flitt().page(payment).unwrap_or_else(|error| panic!("{error}")))
    }

    #[test]
    fn a_page_is_open_as_long_as_its_payment_and_leaves_a_card() {
        let payment = checkout("https://app.example/back", "billing@acme.example");
        let page = page(&payment);
        let expected = [
            ("amount", "1399"),
            ("currency", "GEL"),
            ("lifetime", "86400"),
            ("delayed", "Y"),
            ("required_rectoken", "Y"),
            ("sender_email", "billing@acme.example"),
        ];
        for (name, value) in expected {
            assert_eq!(page.text(name), Some(value), "{name}");
        }
        assert_eq!(page.text("verification"), None);
        let back = format!("https://app.example/back?payment={}", payment.id);
        assert_eq!(page.text("response_url"), Some(back.as_str()));
    }

    #[test]
    fn a_setup_verifies_a_card_and_sells_nothing() {
        let setup = Payment { bought: None, ..checkout("https://app.example/back", "billing@acme.example") };
        assert_eq!(page(&setup).text("verification"), Some("Y"));
        assert_eq!(flitt().setup_amount(money(0, "GEL").currency).ok(), Some(money(100, "GEL")));
    }

    #[test]
    fn no_value_holds_what_separates_them() {
        let mut payment = checkout("https://app.example/a|b", "a|b@acme.example");
        if let Collection::Checkout { order: Some(order), .. } = &mut payment.collection {
            order.plan.display_name = "Starter | monthly".to_owned();
        }
        let page = page(&payment);
        assert!(page.iter().all(|(_, value)| !value.contains('|')));
        assert_eq!(page.text("order_desc"), Some("Starter / monthly"));
        assert_eq!(page.text("server_callback_url"), Some("https://billing.example/webhooks/flitt?a%7Cb"));
        assert_eq!(page.text("sender_email"), None);
    }

    #[test]
    fn only_the_currencies_of_its_countries_and_its_own_page_are_offered() {
        let refused = |payment: &Payment| match flitt().accepts(payment) {
            Ok(()) => None,
            Err(GatewayError::Unacceptable { field, .. }) => Some(field),
            Err(error) => panic!("{error}"),
        };
        let of = |amount| Payment { gateway: Gateway::Flitt, amount, ..off_session_payment() };
        for code in ["GEL", "USD", "EUR", "AMD", "AZN", "KZT", "MDL", "UZS"] {
            assert_eq!(refused(&of(money(1_399, code))), None, "{code}");
        }
        for code in ["NGN", "GBP", "JPY", "KWD"] {
            assert_eq!(refused(&of(money(1_399, code))), Some("currency"), "{code}");
        }
        assert_eq!(refused(&of(money(1_000_000_000_000, "GEL"))), Some("quantity"));
        let mut transfer = checkout("https://app.example/back", "billing@acme.example");
        if let Collection::Checkout { method, .. } = &mut transfer.collection {
            *method = CheckoutMethod::BankTransfer;
        }
        assert_eq!(refused(&transfer), Some("method"));
    }

    #[test]
    fn an_answer_that_is_not_signed_or_not_about_the_order_is_none() {
        let payment = checkout("https://app.example/back", "billing@acme.example");
        let keys = FlittKeys { merchant_id: "1549901".to_owned(), payment_keys: vec![Secret::new("test")] };
        let believed = |order: &str, merchant: &'static str, key: &str| {
            let said = Params::from_iter([("order_id", order.to_owned()), ("merchant_id", merchant.to_owned())]);
            let signature = signature::sign(&Secret::new(key), &said);
            super::believed(&keys, &payment, said.with("signature", signature)).is_ok()
        };
        let ours = payment.reference.as_str();
        assert!(believed(ours, "1549901", "test"));
        assert!(believed(ours, "", "test")); // a reversal's does not name the merchant
        assert!(!believed(ours, "1549901", "other"));
        assert!(!believed(ours, "1549902", "test"));
        assert!(!believed("rabcdefghijklmnopqrstuvwxy", "1549901", "test"));
        assert!(!believed("", "1549901", "test"));
    }

    #[test]
    fn yes_no_and_what_is_neither() {
        let yes = wire::said(br#"{"response":{"response_status":"success","checkout_url":"https://x","cards":[]}}"#);
        let yes = yes.ok().and_then(Result::ok).and_then(|said| said.read::<Page>().ok());
        assert_eq!(yes.map(|page| page.checkout_url).as_deref(), Some("https://x"));
        for code in ["1018", "\"1018\""] {
            let no = format!(r#"{{"response":{{"response_status":"failure","error_code":{code},"request_id":"5h"}}}}"#);
            let Ok(Err(refused)) = wire::said(no.as_bytes()) else { panic!("{no}") };
            assert!(declines::is_unknown_order(refused.code()));
            let GatewayError::Rejected(text) = refused.error() else { panic!("{no}") };
            assert_eq!(text, "error 1018, request 5h");
        }
        for neither in ["", "<html>", "[]", r#"{"response":{}}"#, r#"{"response":{"response_status":"maybe"}}"#] {
            assert!(matches!(wire::said(neither.as_bytes()), Err(GatewayError::NoAnswer(_))), "{neither}");
        }
    }
}
